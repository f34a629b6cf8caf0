// SPDX-License-Identifier: GPL-2.0
/*
 * Subscribers of an mm: they hear of all its sets, and are told what is there
 * already, whatever happens to it meanwhile.
 */
#include <unistd.h>

#include <linux/workqueue.h>

#include "test-events.h"

void events_mm(void)
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
void events_mm_grace_periods(void)
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

static struct mm_struct replay_mm;
static struct sub replayed = SUB("m", DEVICE, stop_hook);

static void stopped_register(void)
{
	EXPECT_EQ(ioasid_register_notifier_mm(&replay_mm, &replayed.nb), 0);
}

void events_replay_while_events(void)
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

void events_replay_while_freeing(void)
{
	replay_while_freeing(stopped_free);
}

void events_replay_while_owner_puts(void)
{
	replay_while_freeing(stopped_put);
}
