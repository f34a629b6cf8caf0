// SPDX-License-Identifier: GPL-2.0
/*
 * Events: their order, that each comes as often as it should, and what handlers
 * may do. The table of these tests, also of those in other files.
 */
#include <linux/workqueue.h>

#include "test-events.h"

struct ioasid_set *null_set(void)
{
	struct ioasid_set *set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);

	EXPECT(!IS_ERR(set));
	return set;
}

struct ioasid_set *mm_set(struct mm_struct *mm)
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

struct ioasid_set *hook_set;

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
unsigned long hook_event;

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
