// SPDX-License-Identifier: GPL-2.0
/*
 * Events while handlers take long: in user space a handler can be stopped in the
 * middle, which the KUnit tests cannot do.
 */
#include <stdio.h>
#include <unistd.h>

#include "test-events.h"

/* Threads that stop in a handler */
sem_t reached, go_on;

static void stop_in_handler(void)
{
	sem_post(&reached);
	sem_wait(&go_on);
}

static void *thread_fn(void *arg)
{
	struct thread *t = arg;

	rcu_register_thread();
	t->fn();
	rcu_unregister_thread();
	return NULL;
}

void thread_start(struct thread *t, void (*fn)(void))
{
	t->fn = fn;
	if (pthread_create(&t->thread, NULL, thread_fn, t))
		abort();
}

void thread_join(struct thread *t)
{
	pthread_join(t->thread, NULL);
}

void stop_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event != hook_event || args->id != 2)
		return;
	/* Once: a replay may repeat it. */
	hook_event = 0;
	stop_in_handler();
}

struct sub stopper = SUB("s", CPU, stop_hook);

static void stopped_alloc(void)
{
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
}

static int attach_result;

static void waiting_attach(void)
{
	attach_result = ioasid_attach_spid(2, 6);
}

/* Nothing of an id overtakes its ALLOC, and only what has to wait does. */
void events_slow_handler(void)
{
	static struct sub g = SUB("g", LAST, NULL);
	struct thread t, waiting;

	hook_set = null_set();
	hook_event = IOASID_NOTIFY_ALLOC;
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	ioasid_register_notifier(hook_set, &stopper.nb);
	ioasid_register_notifier(NULL, &g.nb);

	thread_start(&t, stopped_alloc);
	sem_wait(&reached);
	/* It can be found, but gets no SPID yet. */
	EXPECT_EQ(ioasid_get(hook_set, 2), 0);
	current->killed = true;
	EXPECT_EQ(ioasid_attach_spid(2, 5), -ERESTARTSYS);
	EXPECT_EQ(ioasid_wait_events(hook_set, 2), -ERESTARTSYS);
	current->killed = false;
	thread_start(&waiting, waiting_attach);
	while (id_refs(2) != 4)
		usleep(100);
	usleep(20000);
	EXPECT_EQ(ioasid_find_by_spid(hook_set, 5, false), INVALID_IOASID);
	EXPECT_EQ(ioasid_find_by_spid(hook_set, 6, false), INVALID_IOASID);
	EXPECT_EQ(ioasid_detach_spid(2), -ENOENT);
	/* Others are not held up; what was tried in vain is free. */
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 3);
	EXPECT_EQ(ioasid_attach_spid(3, 5), 0);
	EXPECT(ioasid_free(hook_set, 3));
	EXPECT_EQ(ioasid_wait_events(hook_set, 3), 0);
	EXPECT_EVENTS("s:A2 s:A3 g:A3 s:+3/5 g:+3/5 s:F3/5 g:F3/5");

	EXPECT(!ioasid_free(hook_set, 2));
	EXPECT_EQ(ioasid_attach_spid(2, 7), -EBUSY);
	sem_post(&go_on);
	thread_join(&waiting);
	thread_join(&t);
	EXPECT_EQ(attach_result, -EBUSY);
	EXPECT_EVENTS("g:A2 s:F2 g:F2");
	EXPECT(ioasid_put(hook_set, 2));
	EXPECT_EQ(id_state(2), -1);

	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(hook_set, &stopper.nb);
	ioasid_set_free(hook_set);
}

static void detach_pending_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_BIND)
		stop_in_handler();
}

static void stopped_attach(void)
{
	EXPECT_EQ(ioasid_attach_spid(2, 5), 0);
}

/* Freed while BIND is being delivered, then detached: UNBIND, once, then FREE */
void events_detach_being_freed(void)
{
	static struct sub s = SUB("s", CPU, detach_pending_hook),
		g = SUB("g", LAST, NULL);
	struct thread t;

	hook_set = null_set();
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	ioasid_register_notifier(hook_set, &s.nb);
	ioasid_register_notifier(NULL, &g.nb);
	thread_start(&t, stopped_attach);
	sem_wait(&reached);
	EXPECT(!ioasid_free(hook_set, 2));
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT_EQ(ioasid_detach_spid(2), -ENOENT);
	sem_post(&go_on);
	thread_join(&t);
	EXPECT_EVENTS("s:+2/5 g:+2/5 s:-2/5 g:-2/5 s:F2 g:F2");
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(hook_set, &s.nb);
	ioasid_set_free(hook_set);
}

static bool told;

static void wait_until_told(void)
{
	EXPECT_EQ(ioasid_wait_events(hook_set, 2), 0);
	/* That of the SPID, whether another one was attached since or not */
	EXPECT(ioasid_find_by_spid(hook_set, 5, false) != 2);
	__atomic_store_n(&told, true, __ATOMIC_RELEASE);
}

static void attach_stop_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_BIND && args->spid == 5 && args->id == 2)
		stop_in_handler();
}

/*
 * One attachment of an id at a time: the next waits until subscribers know that
 * the last one is gone, and so does who wants to use its SPID for another id.
 */
void events_one_attachment(void)
{
	static struct sub s = SUB("s", CPU, attach_stop_hook),
		g = SUB("g", LAST, NULL);
	struct thread t, waiting, watching;

	hook_set = null_set();
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	__atomic_store_n(&told, false, __ATOMIC_RELAXED);
	attach_result = 1;
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 3);
	ioasid_register_notifier(hook_set, &s.nb);
	ioasid_register_notifier(NULL, &g.nb);
	thread_start(&t, stopped_attach);
	sem_wait(&reached);
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT_EQ(ioasid_detach_spid(2), -ENOENT);
	thread_start(&waiting, waiting_attach);
	thread_start(&watching, wait_until_told);
	usleep(20000);
	EXPECT_EQ(__atomic_load_n(&told, __ATOMIC_ACQUIRE), false);
	EXPECT_EQ(READ_ONCE(attach_result), 1);
	EXPECT_EQ(ioasid_find_by_spid(hook_set, 5, false), 2);
	EXPECT_EQ(ioasid_attach_spid(3, 5), -EEXIST);
	EXPECT_EVENTS("s:+2/5");
	sem_post(&go_on);
	thread_join(&t);
	thread_join(&watching);
	EXPECT_EQ(ioasid_attach_spid(3, 5), 0);
	thread_join(&waiting);
	EXPECT_EQ(attach_result, 0);
	EXPECT_EQ(ioasid_find_by_spid(hook_set, 6, false), 2);
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(hook_set, &s.nb);
	ioasid_set_free(hook_set);
	/* The two attachments in any order */
	expect_events_begin("g:+2/5 s:-2/5 g:-2/5 s:+");
}

/* How many events one call delivers, whatever others do with the same id */
static __thread unsigned int delivered;
static unsigned int most_delivered;

static void count_hook(struct ioasid_nb_args *args)
{
	delivered++;
	/* So that others find the mark taken */
	usleep(random_below(4) ? 0 : 50);
}

static int count_notify(struct notifier_block *nb, unsigned long event,
			void *data)
{
	count_hook(data);
	return NOTIFY_OK;
}

static void called(void)
{
	unsigned int most = __atomic_load_n(&most_delivered, __ATOMIC_RELAXED);

	while (delivered > most &&
	       !__atomic_compare_exchange_n(&most_delivered, &most, delivered,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	delivered = 0;
}

static void feed(void)
{
	static ioasid_t spids;
	int i;

	random_seed((unsigned long)&i);
	for (i = 0; i < 1000; i++) {
		ioasid_attach_spid(2, __atomic_add_fetch(&spids, 1,
							 __ATOMIC_RELAXED));
		called();
		ioasid_detach_spid(2);
		called();
	}
}

void events_of_one_call_are_bounded(void)
{
	static struct notifier_block nb = { .notifier_call = count_notify };
	struct thread t[4];
	int i;

	hook_set = null_set();
	most_delivered = 0;
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	ioasid_register_notifier(hook_set, &nb);
	for (i = 0; i < 4; i++)
		thread_start(&t[i], feed);
	for (i = 0; i < 4; i++)
		thread_join(&t[i]);
	/* Its own, UNBIND and FREE */
	EXPECT(most_delivered >= 1);
	EXPECT(most_delivered <= 3);
	if (most_delivered > 3)
		printf("# %u events in one call\n", most_delivered);
	ioasid_set_free(hook_set);
	delivered = 0;
	ioasid_unregister_notifier(hook_set, &nb);
}

static struct mm_struct *data;
static bool data_freed;

static void data_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event != IOASID_NOTIFY_BIND)
		return;
	EXPECT(args->pdata == data);
	stop_in_handler();
	EXPECT(!__atomic_load_n(&data_freed, __ATOMIC_RELAXED));
	/* ASan sees it when it is not there any more. */
	EXPECT_EQ(((struct mm_struct *)args->pdata)->mm_count, 42);
}

static void detach_and_free_data(void)
{
	EXPECT_EQ(ioasid_detach_data(2), 0);
	__atomic_store_n(&data_freed, true, __ATOMIC_RELAXED);
	free(data);
}

/* ioasid_detach_data() waits for handlers that look at the data. */
void events_data_stays(void)
{
	static struct sub s = SUB("s", CPU, data_hook);
	struct thread attach, detach;

	data = malloc(sizeof(*data));
	data->mm_count = 42;
	data_freed = false;
	hook_set = null_set();
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	ioasid_register_notifier(hook_set, &s.nb);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	EXPECT_EQ(ioasid_attach_data(2, data), 0);
	EXPECT_EQ(ioasid_attach_data(2, data), -EBUSY);
	EXPECT_EQ(ioasid_attach_data(3, data), -ENOENT);
	EXPECT_EQ(ioasid_attach_data(2, NULL), -EINVAL);
	thread_start(&attach, stopped_attach);
	sem_wait(&reached);
	thread_start(&detach, detach_and_free_data);
	while (ioasid_find(hook_set, 2, NULL))
		usleep(100);
	usleep(20000);
	sem_post(&go_on);
	thread_join(&attach);
	thread_join(&detach);
	EXPECT_EQ(ioasid_detach_data(2), 0);
	EXPECT_EQ(ioasid_detach_data(3), -ENOENT);
	EXPECT_EVENTS("s:A2 s:+2/5");
	ioasid_unregister_notifier(hook_set, &s.nb);
	ioasid_set_free(hook_set);
}

static void put_two(void)
{
	EXPECT(ioasid_put(hook_set, 2));
}

/* The owner has put it, but the release has not come to the state yet. */
void events_free_while_owner_puts(void)
{
	static struct sub s = SUB("s", CPU, NULL);
	struct ioasid_entry *e;
	struct thread putting;
	int round;

	hook_set = null_set();
	EXPECT_EQ(ioasid_register_notifier(hook_set, &s.nb), 0);
	/* The first to get the lock is mostly, not always, this thread. */
	for (round = 0; round < 20; round++) {
		EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
		rcu_read_lock();
		e = ioasid_entry_lookup(2);
		spin_lock(&e->lock);
		thread_start(&putting, put_two);
		while (refcount_read(&e->refs))
			usleep(100);
		usleep(1000);
		spin_unlock(&e->lock);
		ioasid_free(hook_set, 2);
		rcu_read_unlock();
		thread_join(&putting);
		EXPECT_EVENTS("s:A2 s:F2");
		EXPECT_EQ(id_state(2), -1);
	}
	ioasid_unregister_notifier(hook_set, &s.nb);
	ioasid_set_free(hook_set);
}
