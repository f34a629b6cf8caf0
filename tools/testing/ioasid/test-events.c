// SPDX-License-Identifier: GPL-2.0
/*
 * Events: their order, that each comes as often as it should, and what handlers
 * may do. In user space a handler can be stopped in the middle, which the
 * KUnit tests cannot do.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/workqueue.h>

#include "ioasid-private.h"
#include "test.h"

static struct ioasid_set *null_set(void)
{
	struct ioasid_set *set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);

	EXPECT(!IS_ERR(set));
	return set;
}

static struct ioasid_set *mm_set(struct mm_struct *mm)
{
	struct ioasid_set *set = ioasid_set_alloc(mm, 0, IOASID_SET_TYPE_MM);

	EXPECT(!IS_ERR(set));
	return set;
}

static void events_priority(void)
{
	static struct sub d = SUB("d", DEVICE, NULL), c = SUB("c", CPU, NULL),
		i = SUB("i", IOMMU, NULL), l = SUB("l", LAST, NULL),
		g = SUB("g", CPU, NULL), h = SUB("h", LAST, NULL);
	struct ioasid_set *set = null_set(), *other = null_set();

	EXPECT_EQ(ioasid_register_notifier(NULL, &h.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(NULL, &g.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(set, &d.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(set, &l.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(set, &c.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(set, &i.nb), 0);

	EXPECT_EQ(new_id(set, 0, 100, NULL), 2);
	EXPECT_EVENTS("c:A2 i:A2 d:A2 l:A2 g:A2 h:A2");
	EXPECT_EQ(ioasid_attach_spid(2, 7), 0);
	EXPECT_EVENTS("c:+2/7 i:+2/7 d:+2/7 l:+2/7 g:+2/7 h:+2/7");
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT_EVENTS("c:-2/7 i:-2/7 d:-2/7 l:-2/7 g:-2/7 h:-2/7");
	EXPECT_EQ(ioasid_detach_spid(2), -ENOENT);
	EXPECT_EVENTS("");
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("c:F2 i:F2 d:F2 l:F2 g:F2 h:F2");
	EXPECT_EQ(new_id(other, 0, 100, NULL), 2);
	EXPECT(ioasid_free(other, 2));
	EXPECT_EVENTS("g:A2 h:A2 g:F2 h:F2");

	ioasid_unregister_notifier(set, &c.nb);
	ioasid_unregister_notifier(set, &d.nb);
	ioasid_unregister_notifier(set, &i.nb);
	ioasid_unregister_notifier(set, &l.nb);
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(NULL, &h.nb);
	EXPECT_EQ(new_id(set, 0, 100, NULL), 2);
	ioasid_set_free(set);
	ioasid_set_free(other);
}

static void events_bind_each_time(void)
{
	static struct sub g = SUB("g", IOMMU, NULL);
	struct ioasid_set *set = null_set();

	ioasid_register_notifier(NULL, &g.nb);
	EXPECT_EQ(new_id(set, 5, 5, NULL), 5);
	/* Another use does not stand in for the SPID, nor the other way round. */
	EXPECT_EQ(ioasid_use(set, 5), 0);
	EXPECT_EVENTS("g:A5");
	EXPECT_EQ(id_state(5), IOASID_STATE_ACTIVE);
	EXPECT_EQ(ioasid_attach_spid(5, 0), 0);
	EXPECT_EQ(ioasid_attach_spid(5, 1), -EEXIST);
	EXPECT_EQ(ioasid_detach_spid(5), 0);
	EXPECT_EQ(id_state(5), IOASID_STATE_ACTIVE);
	EXPECT(!ioasid_unuse(set, 5));
	EXPECT_EQ(id_state(5), IOASID_STATE_IDLE);
	EXPECT_EQ(ioasid_attach_spid(5, 0), 0);
	EXPECT_EQ(id_state(5), IOASID_STATE_ACTIVE);
	EXPECT_EQ(ioasid_detach_spid(5), 0);
	EXPECT_EQ(id_state(5), IOASID_STATE_IDLE);
	EXPECT_EQ(ioasid_attach_spid(5, 9), 0);
	EXPECT_EVENTS("g:+5/0 g:-5/0 g:+5/0 g:-5/0 g:+5/9");
	ioasid_set_free(set);
	EXPECT_EVENTS("g:F5/9");
	ioasid_unregister_notifier(NULL, &g.nb);
}

static void events_free_once(void)
{
	static struct sub g = SUB("g", IOMMU, NULL);
	struct ioasid_set *set = null_set();
	ioasid_t id;

	ioasid_register_notifier(NULL, &g.nb);
	id = new_id(set, 0, IOASID_MAX, NULL);
	EXPECT_EQ(ioasid_attach_spid(id, 3), 0);
	EXPECT_EQ(ioasid_get(set, id), 0);
	EXPECT_EVENTS("g:A2 g:+2/3");

	EXPECT(!ioasid_free(set, id));
	EXPECT_EVENTS("g:F2/3");
	EXPECT_EQ(id_state(id), IOASID_STATE_FREE_PENDING);
	EXPECT_EQ(ioasid_find_by_spid(set, 3, false), INVALID_IOASID);
	EXPECT_EQ(ioasid_get(set, id), -EBUSY);
	EXPECT_EQ(ioasid_use(set, id), -EBUSY);
	EXPECT_EQ(ioasid_attach_spid(id, 3), -EBUSY);
	EXPECT_EQ(ioasid_detach_spid(id), -ENOENT);
	EXPECT(!ioasid_free(set, id));
	ioasid_set_free_all(set);
	/* The number is taken, the SPID is not. */
	EXPECT_EQ(new_id(set, id, id, NULL), INVALID_IOASID);
	EXPECT_EQ(new_id(set, 0, IOASID_MAX, NULL), 3);
	EXPECT_EQ(ioasid_attach_spid(3, 3), 0);
	EXPECT_EVENTS("g:A3 g:+3/3");

	EXPECT(ioasid_put(set, id));
	EXPECT_EVENTS("");
	EXPECT(ioasid_free(set, id));
	EXPECT_EQ(new_id(set, id, id, NULL), id);
	ioasid_set_free(set);
	EXPECT_EVENTS("g:A2 g:F3/3 g:F2");
	ioasid_unregister_notifier(NULL, &g.nb);
}

static struct ioasid_set *hook_set;

static void put_hook(unsigned long event, struct ioasid_nb_args *args)
{
	/* No reference is left: it can be seen but not taken. */
	EXPECT_EQ(event, IOASID_NOTIFY_FREE);
	EXPECT_EQ(args->spid, 8);
	EXPECT(args->pdata == &hook_set);
	EXPECT(ioasid_find(args->set, args->id, NULL) == &hook_set);
	EXPECT_EQ(ioasid_get(NULL, args->id), -EBUSY);
	EXPECT_EQ(ioasid_get_if_owned(args->id), -EBUSY);
	EXPECT(!ioasid_free(NULL, args->id));
	EXPECT_EQ(ioasid_find_by_spid(args->set, 8, false), INVALID_IOASID);
	EXPECT_EQ(ioasid_detach_spid(args->id), 0);
	EXPECT_EQ(ioasid_detach_spid(args->id), -ENOENT);
}

static void events_owner_puts(void)
{
	static struct sub g = SUB("g", IOMMU, put_hook);
	struct ioasid_set *set = null_set();
	ioasid_t id = new_id(set, 0, 9, &hook_set);

	EXPECT_EQ(ioasid_attach_spid(id, 8), 0);
	ioasid_register_notifier(set, &g.nb);
	EXPECT_EQ(ioasid_get(NULL, id), 0);
	EXPECT(!ioasid_put(set, id));
	EXPECT_EVENTS("");
	EXPECT(ioasid_put(set, id));
	EXPECT_EVENTS("g:F2/8");
	EXPECT_EQ(id_state(id), -1);
	ioasid_unregister_notifier(set, &g.nb);
	ioasid_set_free(set);
}

/* A handler that frees the id on the event and looks at what it did */
static unsigned long hook_event;

static void free_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event != hook_event)
		return;
	EXPECT(!ioasid_free(args->set, args->id));
	EXPECT_EQ(id_state(args->id), IOASID_STATE_FREE_PENDING);
	EXPECT_EQ(ioasid_get(args->set, args->id), -EBUSY);
}

static void events_free_in_handler(void)
{
	static struct sub c = SUB("c", CPU, free_hook), g = SUB("g", LAST, NULL);
	struct ioasid_set *set = null_set();
	ioasid_t id = 0;

	ioasid_register_notifier(set, &c.nb);
	ioasid_register_notifier(NULL, &g.nb);

	/* Those behind the handler hear of ALLOC first all the same. */
	hook_event = IOASID_NOTIFY_ALLOC;
	EXPECT_EQ(ioasid_alloc(set, 0, 9, NULL, &id), 0);
	EXPECT_EQ(id, 2);
	EXPECT_EVENTS("c:A2 g:A2 c:F2 g:F2");
	EXPECT_EQ(id_state(2), -1);

	hook_event = IOASID_NOTIFY_BIND;
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(ioasid_attach_spid(2, 4), 0);
	EXPECT_EVENTS("c:A2 g:A2 c:+2/4 g:+2/4 c:F2/4 g:F2/4");
	EXPECT_EQ(id_state(2), -1);

	hook_event = IOASID_NOTIFY_UNBIND;
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(ioasid_attach_spid(2, 4), 0);
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT_EVENTS("c:A2 g:A2 c:+2/4 g:+2/4 c:-2/4 g:-2/4 c:F2 g:F2");
	EXPECT_EQ(id_state(2), -1);

	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(set, &c.nb);
	ioasid_set_free(set);
}

static void detach_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_ALLOC)
		EXPECT_EQ(ioasid_detach_spid(args->id), -ENOENT);
	else if (event == IOASID_NOTIFY_BIND)
		EXPECT_EQ(ioasid_detach_spid(args->id), 0);
	else if (event == IOASID_NOTIFY_UNBIND)
		EXPECT_EQ(ioasid_find_by_spid(args->set, args->spid, false),
			  args->id);
}

static void events_detach_in_handler(void)
{
	static struct sub c = SUB("c", CPU, detach_hook), g = SUB("g", LAST, NULL);
	struct ioasid_set *set = null_set();

	ioasid_register_notifier(set, &c.nb);
	ioasid_register_notifier(NULL, &g.nb);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(ioasid_attach_spid(2, 4), 0);
	EXPECT_EVENTS("c:A2 g:A2 c:+2/4 g:+2/4 c:-2/4 g:-2/4");
	EXPECT_EQ(ioasid_find_by_spid(set, 4, false), INVALID_IOASID);
	EXPECT_EQ(ioasid_attach_spid(2, 5), 0);
	EXPECT_EVENTS("c:+2/5 g:+2/5 c:-2/5 g:-2/5");
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(set, &c.nb);
	ioasid_set_free(set);
}

static bool refuse(void *data)
{
	return false;
}

static void callback_hook(unsigned long event, struct ioasid_nb_args *args)
{
	bool dying = event == IOASID_NOTIFY_FREE;
	struct ioasid_set *set;

	EXPECT(args->pdata == &hook_set);
	EXPECT(ioasid_find(args->set, args->id, NULL) == &hook_set);
	EXPECT(!ioasid_find(NULL, args->id, refuse));
	EXPECT(!ioasid_set_is_empty(args->set));
	set = ioasid_find_set(args->id);
	EXPECT(set == args->set);
	ioasid_set_put(set);
	EXPECT_EQ(ioasid_get(args->set, args->id), dying ? -EBUSY : 0);
	if (!dying)
		EXPECT(!ioasid_put(args->set, args->id));
	EXPECT_EQ(ioasid_use(NULL, args->id), dying ? -EBUSY : 0);
	if (!dying)
		EXPECT(!ioasid_unuse(NULL, args->id));
	if (args->spid != INVALID_IOASID) {
		EXPECT_EQ(ioasid_find_by_spid(args->set, args->spid, false),
			  dying ? INVALID_IOASID : args->id);
		EXPECT_EQ(ioasid_find_by_spid(args->set, args->spid, true),
			  dying ? INVALID_IOASID : args->id);
		if (!dying)
			EXPECT(!ioasid_put(args->set, args->id));
	}
}

static void events_call_back(void)
{
	static struct sub g = SUB("g", LAST, callback_hook);
	struct ioasid_set *set = null_set();

	ioasid_register_notifier(set, &g.nb);
	EXPECT_EQ(new_id(set, 0, 9, &hook_set), 2);
	EXPECT_EQ(ioasid_attach_spid(2, 4), 0);
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT_EQ(ioasid_attach_spid(2, 5), 0);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("g:A2 g:+2/4 g:-2/4 g:+2/5 g:F2/5");
	ioasid_unregister_notifier(set, &g.nb);
	ioasid_set_free(set);
}

static void holder_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_ALLOC)
		EXPECT_EQ(ioasid_get(args->set, args->id), 0);
	else if (event == IOASID_NOTIFY_FREE)
		EXPECT(!ioasid_put(args->set, args->id));
}

static void events_holder_lets_go(void)
{
	static struct sub g = SUB("g", LAST, holder_hook);
	struct ioasid_set *set = null_set();

	ioasid_register_notifier(set, &g.nb);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(id_refs(2), 2);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("g:A2 g:F2");
	ioasid_unregister_notifier(set, &g.nb);
	ioasid_set_free(set);
}

static void chain_hook(unsigned long event, struct ioasid_nb_args *args)
{
	/* Whoever frees the first frees them all. */
	if (event == IOASID_NOTIFY_FREE && args->id < 9)
		EXPECT(ioasid_free(args->set, args->id + 1));
}

static void events_free_another_in_handler(void)
{
	static struct sub g = SUB("g", LAST, chain_hook);
	struct ioasid_set *set = null_set();
	int i;

	for (i = 2; i <= 9; i++)
		EXPECT_EQ(new_id(set, 0, 9, NULL), i);
	ioasid_register_notifier(set, &g.nb);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("g:F2 g:F3 g:F4 g:F5 g:F6 g:F7 g:F8 g:F9");
	EXPECT(ioasid_set_is_empty(set));
	ioasid_unregister_notifier(set, &g.nb);
	ioasid_set_free(set);
}

static int stop_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	sub_notify(nb, event, data);
	return NOTIFY_BAD;
}

static void events_register_errors(void)
{
	static struct sub c = SUB("c", CPU, NULL), g = SUB("g", LAST, NULL);
	static struct notifier_block none;
	struct ioasid_set *set = null_set();
	struct mm_struct mm = { };

	EXPECT_EQ(ioasid_register_notifier(set, NULL), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier(set, &none), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier_mm(NULL, &c.nb), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, NULL), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &none), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier(set, &c.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(set, &c.nb), -EBUSY);
	EXPECT_EQ(ioasid_register_notifier(NULL, &g.nb), 0);
	EXPECT_EQ(ioasid_register_notifier(NULL, &g.nb), -EBUSY);

	shim_warnings_expected = true;
	c.nb.notifier_call = stop_notify;
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(shim_warnings, 1);
	/* The global chain is notified all the same. */
	EXPECT_EVENTS("c:A2 g:A2");
	c.nb.notifier_call = sub_notify;

	ioasid_unregister_notifier(set, &c.nb);
	ioasid_unregister_notifier(NULL, &g.nb);
	EXPECT_EQ(shim_warnings, 1);
	ioasid_unregister_notifier(set, &c.nb);
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier_mm(&mm, &c.nb);
	EXPECT_EQ(shim_warnings, 4);
	shim_warnings_expected = false;
	shim_warnings = 0;
	ioasid_set_free(set);
	EXPECT_EVENTS("");
}

static void events_mm(void)
{
	static struct sub m = SUB("m", DEVICE, NULL), c = SUB("c", CPU, NULL),
		l = SUB("l", LAST, NULL), g = SUB("g", CPU, NULL);
	struct ioasid_set *before, *after, *other, *kernel = null_set();
	struct mm_struct mm = { }, mm2 = { };

	before = mm_set(&mm);
	other = mm_set(&mm2);
	EXPECT_EQ(new_id(before, 0, 9, NULL), 2);
	EXPECT_EQ(new_id(other, 0, 9, NULL), 3);
	EXPECT_EQ(new_id(kernel, 0, 9, NULL), 4);
	EXPECT_EQ(new_id(before, 0, 9, NULL), 5);
	EXPECT_EQ(ioasid_attach_spid(5, 50), 0);
	EXPECT_EQ(new_id(before, 0, 9, NULL), 6);
	/* Freed: no more events of it. */
	EXPECT_EQ(ioasid_get(before, 2), 0);
	EXPECT(!ioasid_free(before, 2));

	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &m.nb), 0);
	EXPECT_EVENTS("m:A5 m:+5/50 m:A6");
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &m.nb), -EBUSY);
	EXPECT_EVENTS("");

	/* A set that is made later, with its own namespace */
	after = mm_set(&mm);
	EXPECT_EQ(new_id(after, 0, 9, NULL), 7);
	EXPECT_EQ(ioasid_attach_spid(7, 50), 0);
	EXPECT_EVENTS("m:A7 m:+7/50");

	/* In the order of priority with those of the set and those of all */
	ioasid_register_notifier(after, &l.nb);
	ioasid_register_notifier(after, &c.nb);
	ioasid_register_notifier(NULL, &g.nb);
	EXPECT_EQ(ioasid_detach_spid(7), 0);
	EXPECT_EVENTS("c:-7/50 m:-7/50 l:-7/50 g:-7/50");
	EXPECT(ioasid_free(NULL, 3));
	EXPECT(ioasid_free(NULL, 4));
	EXPECT_EVENTS("g:F3 g:F4");
	ioasid_unregister_notifier(NULL, &g.nb);
	ioasid_unregister_notifier(after, &l.nb);
	ioasid_unregister_notifier(after, &c.nb);

	EXPECT(ioasid_put(before, 2));
	EXPECT(ioasid_free(NULL, 6));
	EXPECT_EVENTS("m:F6");
	ioasid_set_free(before);
	EXPECT_EVENTS("m:F5/50");
	ioasid_unregister_notifier_mm(&mm, &m.nb);
	EXPECT(ioasid_free(NULL, 7));
	EXPECT_EVENTS("");

	/* Waits for a set, which goes and comes again. */
	ioasid_set_free(after);
	ioasid_set_free(other);
	ioasid_set_free(kernel);
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &m.nb), 0);
	shim_settle();
	EXPECT_EQ(mm.mm_count, 1);
	after = mm_set(&mm);
	EXPECT_EQ(new_id(after, 0, 9, NULL), 2);
	ioasid_set_free(after);
	shim_settle();
	after = mm_set(&mm);
	EXPECT_EQ(new_id(after, 0, 9, NULL), 2);
	ioasid_set_free(after);
	EXPECT_EVENTS("m:A2 m:F2 m:A2 m:F2");
	ioasid_unregister_notifier_mm(&mm, &m.nb);
	shim_settle();
	EXPECT_EQ(mm.mm_count, 0);
	EXPECT_EQ(mm2.mm_count, 0);
}

static unsigned int grace_periods_of_release;

static void count_grace_periods(struct work_struct *work)
{
	grace_periods_of_release = shim_grace_periods;
}

/* However many sets an mm has: one for all, and none for others. */
static void events_mm_grace_periods(void)
{
	static struct sub m = SUB("m", DEVICE, NULL);
	struct ioasid_set *sets[200];
	struct mm_struct mm = { };
	struct work_struct work;
	unsigned int before;
	int i;

	for (i = 0; i < 200; i++)
		sets[i] = mm_set(&mm);
	shim_grace_periods = 0;
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &m.nb), 0);
	EXPECT_EQ(shim_grace_periods, 1);

	/* Sets that go, on the workqueue */
	INIT_WORK(&work, count_grace_periods);
	queue_work(system_unbound_wq, &work);
	shim_settle();
	before = grace_periods_of_release;
	for (i = 0; i < 50; i++)
		ioasid_set_free(sets[i]);
	shim_settle();
	queue_work(system_unbound_wq, &work);
	shim_settle();
	EXPECT_EQ(grace_periods_of_release, before);
	EXPECT(!list_empty(&sets[50]->links));

	shim_grace_periods = 0;
	ioasid_unregister_notifier_mm(&mm, &m.nb);
	EXPECT_EQ(shim_grace_periods, 1);
	for (; i < 200; i++) {
		EXPECT(list_empty(&sets[i]->links));
		ioasid_set_free(sets[i]);
	}
	shim_settle();
	EXPECT_EQ(mm.mm_count, 0);
}

/* Threads that stop in a handler */
static sem_t reached, go_on;

static void stop_in_handler(void)
{
	sem_post(&reached);
	sem_wait(&go_on);
}

struct thread {
	pthread_t thread;
	void (*fn)(void);
};

static void *thread_fn(void *arg)
{
	struct thread *t = arg;

	rcu_register_thread();
	t->fn();
	rcu_unregister_thread();
	return NULL;
}

static void thread_start(struct thread *t, void (*fn)(void))
{
	t->fn = fn;
	if (pthread_create(&t->thread, NULL, thread_fn, t))
		abort();
}

static void thread_join(struct thread *t)
{
	pthread_join(t->thread, NULL);
}

static void stop_hook(unsigned long event, struct ioasid_nb_args *args)
{
	if (event != hook_event || args->id != 2)
		return;
	/* Once: a replay may repeat it. */
	hook_event = 0;
	stop_in_handler();
}

static struct sub stopper = SUB("s", CPU, stop_hook);

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
static void events_slow_handler(void)
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
static void events_detach_being_freed(void)
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
static void events_one_attachment(void)
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

static void events_of_one_call_are_bounded(void)
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

static struct mm_struct replay_mm;
static struct sub replayed = SUB("m", DEVICE, stop_hook);

static void stopped_register(void)
{
	EXPECT_EQ(ioasid_register_notifier_mm(&replay_mm, &replayed.nb), 0);
}

static void events_replay_while_events(void)
{
	struct thread t;

	hook_set = mm_set(&replay_mm);
	hook_event = IOASID_NOTIFY_ALLOC;
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 3);
	EXPECT_EQ(ioasid_attach_spid(3, 30), 0);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 4);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 5);
	EXPECT_EQ(ioasid_attach_spid(5, 50), 0);

	EXPECT_EQ(ioasid_attach_spid(2, 20), 0);

	thread_start(&t, stopped_register);
	sem_wait(&reached);
	EXPECT_EVENTS("m:A2");
	/* The one it is notified of now: what happens to it comes afterwards. */
	EXPECT_EQ(ioasid_detach_spid(2), 0);
	EXPECT(!ioasid_free(hook_set, 2));
	/* Those it was not notified of yet: it hears the beginning first. */
	EXPECT(ioasid_free(hook_set, 3));
	EXPECT_EVENTS("m:A3 m:+3/30 m:F3/30");
	EXPECT_EQ(ioasid_attach_spid(4, 40), 0);
	EXPECT_EVENTS("m:A4 m:+4/40");
	EXPECT_EQ(ioasid_detach_spid(5), 0);
	EXPECT_EVENTS("m:A5 m:+5/50 m:-5/50");
	/* A new one in the place of one that went */
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 3);
	EXPECT_EVENTS("m:A3");
	sem_post(&go_on);
	thread_join(&t);
	/* ALLOC and BIND may be repeated, those of 2 before its FREE. */
	EXPECT_EVENTS("m:+2/20 m:A2 m:+2/20 m:-2/20 m:A2 m:F2 m:A4 m:+4/40 m:A5 m:A3");
	EXPECT_EQ(id_state(2), -1);

	ioasid_unregister_notifier_mm(&replay_mm, &replayed.nb);
	ioasid_set_free(hook_set);
	EXPECT_EVENTS("");
}

static void stopped_free(void)
{
	EXPECT(ioasid_free(hook_set, 2));
}

static void stopped_put(void)
{
	EXPECT(ioasid_put(hook_set, 2));
}

/* A subscriber that comes while FREE is delivered must not get FREE alone. */
static void replay_while_freeing(void (*fn)(void))
{
	static struct sub i = SUB("i", IOMMU, NULL);
	struct thread freeing, registering;

	hook_set = mm_set(&replay_mm);
	hook_event = IOASID_NOTIFY_FREE;
	sem_init(&reached, 0, 0);
	sem_init(&go_on, 0, 0);
	EXPECT_EQ(new_id(hook_set, 0, 9, NULL), 2);
	EXPECT_EQ(ioasid_attach_spid(2, 9), 0);
	/* Who walks the chain has the next one in its hand already: have two. */
	ioasid_register_notifier(hook_set, &stopper.nb);
	ioasid_register_notifier(hook_set, &i.nb);
	replayed.hook = NULL;

	thread_start(&freeing, fn);
	sem_wait(&reached);
	EXPECT_EVENTS("s:F2/9");
	thread_start(&registering, stopped_register);
	while (!READ_ONCE(i.nb.next))
		usleep(100);
	/* Long enough for it to go as far as it can */
	usleep(20000);
	sem_post(&go_on);
	thread_join(&freeing);
	thread_join(&registering);
	EXPECT_EVENTS("i:F2/9 m:A2 m:+2/9 m:F2/9");

	replayed.hook = stop_hook;
	ioasid_unregister_notifier(hook_set, &i.nb);
	ioasid_unregister_notifier(hook_set, &stopper.nb);
	ioasid_unregister_notifier_mm(&replay_mm, &replayed.nb);
	ioasid_set_free(hook_set);
}

static void events_replay_while_freeing(void)
{
	replay_while_freeing(stopped_free);
}

static void events_replay_while_owner_puts(void)
{
	replay_while_freeing(stopped_put);
}

static void events_set_free_with_users(void)
{
	static struct sub g = SUB("g", LAST, NULL);
	struct mm_struct mm = { };
	struct ioasid_set *set;

	pool_start(10, 0);
	set = ioasid_set_alloc(&mm, 4, IOASID_SET_TYPE_MM);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 3);
	EXPECT_EQ(ioasid_use(set, 3), 0);
	ioasid_register_notifier(NULL, &g.nb);
	ioasid_set_free(set);
	EXPECT_EVENTS("g:F2 g:F3");
	EXPECT_EQ(id_state(2), -1);
	EXPECT_EQ(id_state(3), IOASID_STATE_FREE_PENDING);
	/* The user keeps id, set, mm and quota. */
	shim_settle();
	EXPECT_EQ(mm.mm_count, 1);
	EXPECT_EQ(ioasid_pool.left, 6);
	EXPECT(ioasid_unuse(NULL, 3));
	shim_settle();
	EXPECT_EQ(mm.mm_count, 0);
	EXPECT_EVENTS("");
	ioasid_unregister_notifier(NULL, &g.nb);
	pool_end();
}

static int nobody(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

/* Others' ids come and go without it; it does not stand in the way of who wants all */
static void events_in_use(void)
{
	static struct sub u = SUB("u", IOMMU, NULL), g = SUB("g", LAST, NULL);
	struct notifier_block none = { };
	struct ioasid_set *set;

	pool_start(10, 0);
	set = null_set();
	EXPECT_EQ(ioasid_register_notifier_in_use(NULL), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier_in_use(&none), -EINVAL);
	EXPECT_EQ(ioasid_register_notifier_in_use(&u.nb), 0);
	EXPECT_EQ(ioasid_register_notifier_in_use(&u.nb), -EBUSY);
	EXPECT_EQ(ioasid_register_notifier(NULL, &u.nb), -EBUSY);

	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 3);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 4);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("");
	EXPECT_EQ(ioasid_use(set, 3), 0);
	EXPECT(!ioasid_free(set, 3));
	EXPECT_EVENTS("u:F3");
	EXPECT(ioasid_unuse(set, 3));
	/* No longer */
	EXPECT_EQ(ioasid_use(set, 4), 0);
	EXPECT(!ioasid_unuse(set, 4));
	EXPECT(ioasid_free(set, 4));
	EXPECT_EVENTS("");

	EXPECT_EQ(ioasid_register_notifier(NULL, &g.nb), 0);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("u:A2 g:A2 u:F2 g:F2");
	ioasid_unregister_notifier(NULL, &g.nb);
	EXPECT_EQ(new_id(set, 0, 9, NULL), 2);
	EXPECT(ioasid_free(set, 2));
	EXPECT_EVENTS("");
	ioasid_unregister_notifier_in_use(&u.nb);
	ioasid_set_free(set);
	shim_settle();
	pool_end();
}

/* What a tenant causes is charged to him, whatever it is allocated for. */
static void events_memory_is_accounted(void)
{
	static struct sub m = SUB("m", CPU, NULL);
	struct ioasid_set *user, *kernel;
	struct mm_struct mm = { };
	unsigned int i;

	pool_start(2000, 0);
	shim_unaccounted = 0;
	m.nb.notifier_call = nobody;
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &m.nb), 0);
	user = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
	for (i = 0; i < 1000; i++) {
		ioasid_t id = new_id(user, 0, IOASID_MAX, NULL);

		EXPECT_EQ(ioasid_attach_spid(id, 77 * i), 0);
	}
	EXPECT_EQ(shim_unaccounted, 0);
	ioasid_set_free(user);
	ioasid_unregister_notifier_mm(&mm, &m.nb);

	/* The kernel's own are not. */
	kernel = ioasid_set_alloc(NULL, 10, IOASID_SET_TYPE_NULL);
	EXPECT(new_id(kernel, 0, IOASID_MAX, NULL) != INVALID_IOASID);
	EXPECT(shim_unaccounted > 0);
	ioasid_set_free(kernel);
	shim_settle();
	pool_end();
}

static void events_uses_do_not_wrap(void)
{
	struct ioasid_set *set = null_set();
	ioasid_t id = new_id(set, 0, IOASID_MAX, NULL);
	unsigned int i;

	for (i = 0; i < U16_MAX; i++)
		EXPECT_EQ(ioasid_use(set, id), 0);
	EXPECT_EQ(ioasid_use(set, id), -EBUSY);
	EXPECT_EQ(id_state(id), IOASID_STATE_ACTIVE);
	for (i = 0; i < U16_MAX; i++)
		EXPECT(!ioasid_unuse(set, id));
	EXPECT_EQ(id_state(id), IOASID_STATE_IDLE);
	EXPECT(ioasid_free(set, id));
	ioasid_set_free(set);
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
static void events_data_stays(void)
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
static void events_free_while_owner_puts(void)
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

/* Whatever users allocate, a share is left for others. */
static void pool_keeps_a_share(void)
{
	struct ioasid_set *user, *other, *kernel;
	struct mm_struct mm = { }, mm2 = { };
	int i;

	pool_start(110, 25);
	kernel = ioasid_set_alloc(NULL, 10, IOASID_SET_TYPE_NULL);
	user = mm_set(&mm);
	other = mm_set(&mm2);
	EXPECT_EQ(ioasid_get_users_limit(), 75);
	for (i = 0; i < 75; i++)
		EXPECT(new_id(i % 2 ? user : other, 0, IOASID_MAX,
				    NULL) != INVALID_IOASID);
	EXPECT_EQ(new_id(user, 0, IOASID_MAX, NULL), INVALID_IOASID);
	EXPECT_EQ(new_id(other, 0, IOASID_MAX, NULL), INVALID_IOASID);
	ioasid_set_free(kernel);
	shim_settle();
	/* Of what the quota was */
	EXPECT_EQ(ioasid_get_users_limit(), 82);
	kernel = null_set();
	for (i = 0; i < 35; i++)
		EXPECT(new_id(kernel, 0, IOASID_MAX, NULL) !=
		       INVALID_IOASID);
	EXPECT_EQ(new_id(kernel, 0, IOASID_MAX, NULL), INVALID_IOASID);
	ioasid_set_free(kernel);
	ioasid_set_free(user);
	ioasid_set_free(other);
	shim_settle();
	pool_end();
}

/* Where the hardware's numbers end */
static void pool_highest_number(void)
{
	pool_start(IOASID_MAX + 1 - IOASID_ALLOC_BASE, 0);
	EXPECT_EQ(ioasid_get_max(), IOASID_MAX);
	ioasid_install_capacity(254);
	EXPECT_EQ(ioasid_get_max(), 255);
	ioasid_install_capacity(1000);
	EXPECT_EQ(ioasid_get_max(), 255);
	EXPECT_EQ(ioasid_get_capacity(), 254);
	pool_end();
}

static int work_runs;

static void work_fn(struct work_struct *work)
{
	work_runs++;
}

static void events_queue_work(void)
{
	struct work_struct work;

	work_runs = 0;
	INIT_WORK(&work, work_fn);
	EXPECT(ioasid_queue_work(&work));
	shim_settle();
	EXPECT_EQ(work_runs, 1);
}

#define TEST(name)	{ #name, name }
const struct test event_tests[] = {
	TEST(events_priority),
	TEST(events_bind_each_time),
	TEST(events_free_once),
	TEST(events_owner_puts),
	TEST(events_free_in_handler),
	TEST(events_detach_in_handler),
	TEST(events_call_back),
	TEST(events_holder_lets_go),
	TEST(events_free_another_in_handler),
	TEST(events_register_errors),
	TEST(events_mm),
	TEST(events_mm_grace_periods),
	TEST(events_slow_handler),
	TEST(events_detach_being_freed),
	TEST(events_one_attachment),
	TEST(events_of_one_call_are_bounded),
	TEST(events_replay_while_events),
	TEST(events_replay_while_freeing),
	TEST(events_replay_while_owner_puts),
	TEST(events_set_free_with_users),
	TEST(events_in_use),
	TEST(events_memory_is_accounted),
	TEST(events_uses_do_not_wrap),
	TEST(events_data_stays),
	TEST(events_free_while_owner_puts),
	TEST(events_queue_work),
	TEST(pool_keeps_a_share),
	TEST(pool_highest_number),
	{ }
};
