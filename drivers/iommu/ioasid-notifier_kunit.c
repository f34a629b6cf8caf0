// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core: events, and what handlers may do
 */
#include "ioasid_kunit.h"

/* The i-th event that was seen */
static void expect_event(struct kunit *test, int i, char who,
			 enum ioasid_notify_event event, ioasid_t id,
			 ioasid_t spid)
{
	struct test_ctx *ctx = test->priv;

	KUNIT_ASSERT_GT_MSG(test, ctx->nr, i, "no event %d", i);
	KUNIT_EXPECT_EQ_MSG(test, ctx->events[i].who, who, "event %d", i);
	KUNIT_EXPECT_EQ_MSG(test, ctx->events[i].event, (unsigned long)event,
			    "event %d", i);
	KUNIT_EXPECT_EQ_MSG(test, ctx->events[i].id, id, "event %d", i);
	KUNIT_EXPECT_EQ_MSG(test, ctx->events[i].spid, spid, "event %d", i);
}

void ioasid_test_notifier_errors(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a, *bad;

	a = ioasid_test_sub(test, 'a', IOASID_PRIO_LAST);
	bad = ioasid_test_sub(test, 'b', 0);
	bad->nb.notifier_call = NULL;
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier(set, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_test_register(set, bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_test_register(set, a), 0);
	KUNIT_EXPECT_EQ(test, ioasid_test_register(set, a), -EBUSY);
	ioasid_test_unregister(a);
	KUNIT_EXPECT_EQ(test, ioasid_test_register(NULL, a), 0);
	KUNIT_EXPECT_EQ(test, ioasid_test_register(NULL, a), -EBUSY);
	ioasid_test_unregister(a);
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_mm(NULL, &a->nb), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_mm(ctx->mm, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(a), 0);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(a), -EBUSY);
	ioasid_test_unregister(a);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, ctx->nr, 0);
}

void ioasid_test_notifier_order(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0), *other = test_set(test, 0);
	struct test_sub *cpu, *iommu, *device, *last, *all, *foreign;
	struct test_ctx *ctx = test->priv;
	static const char who[] = "cidlg";
	int data, i;
	ioasid_t id;

	cpu = ioasid_test_sub(test, 'c', IOASID_PRIO_CPU);
	iommu = ioasid_test_sub(test, 'i', IOASID_PRIO_IOMMU);
	device = ioasid_test_sub(test, 'd', IOASID_PRIO_DEVICE);
	last = ioasid_test_sub(test, 'l', IOASID_PRIO_LAST);
	/* The global chain is after that of the set, whatever the priority */
	all = ioasid_test_sub(test, 'g', IOASID_PRIO_CPU);
	foreign = ioasid_test_sub(test, 'f', IOASID_PRIO_CPU);
	ioasid_test_register(NULL, all);
	ioasid_test_register(set, last);
	ioasid_test_register(set, iommu);
	ioasid_test_register(set, cpu);
	ioasid_test_register(set, device);
	ioasid_test_register(other, foreign);

	KUNIT_ASSERT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, &data, &id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 5), 0);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 6), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));

	KUNIT_EXPECT_EQ(test, ctx->nr, 25);
	for (i = 0; i < 5; i++) {
		expect_event(test, i, who[i], IOASID_NOTIFY_ALLOC, id, INVALID_IOASID);
		expect_event(test, 5 + i, who[i], IOASID_NOTIFY_BIND, id, 5U);
		expect_event(test, 10 + i, who[i], IOASID_NOTIFY_UNBIND, id, 5U);
		expect_event(test, 15 + i, who[i], IOASID_NOTIFY_BIND, id, 6U);
		/* FREE carries the SPID and stands for UNBIND */
		expect_event(test, 20 + i, who[i], IOASID_NOTIFY_FREE, id, 6U);
		KUNIT_EXPECT_PTR_EQ(test, ctx->events[i].pdata, (void *)&data);
		KUNIT_EXPECT_PTR_EQ(test, ctx->events[i].set, set);
	}

	ioasid_test_unregister(cpu);
	ioasid_test_unregister(iommu);
	ioasid_test_unregister(device);
	ioasid_test_unregister(last);
	ioasid_test_unregister(foreign);
	ioasid_test_unregister(all);
	ioasid_set_free(set);
	ioasid_set_free(other);
	KUNIT_EXPECT_EQ(test, ctx->nr, 25);
}

void ioasid_test_notifier_free_once_by_put(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;

	a = ioasid_test_sub(test, 'a', 0);
	ioasid_test_register(set, a);
	id = test_alloc(test, set);
	ioasid_attach_spid(id, 1);
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	KUNIT_EXPECT_FALSE(test, ioasid_put(set, id));
	KUNIT_EXPECT_EQ(test, ctx->nr, 2);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	KUNIT_EXPECT_EQ(test, ctx->nr, 3);
	expect_event(test, 2, 'a', IOASID_NOTIFY_FREE, id, 1U);

	/* One FREE for free, free again, put */
	id = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	ioasid_free(set, id);
	ioasid_free(set, id);
	ioasid_put(set, id);
	KUNIT_EXPECT_EQ(test, ctx->nr, 5);
	expect_event(test, 4, 'a', IOASID_NOTIFY_FREE, id, INVALID_IOASID);
	ioasid_test_unregister(a);
	ioasid_set_free(set);
}

/* A handler may call whatever does not sleep, also for its own id. */
static void react_calls_back(struct test_sub *sub, unsigned long event,
			     struct ioasid_nb_args *args)
{
	bool freed = event == IOASID_NOTIFY_FREE;
	bool named = event == IOASID_NOTIFY_BIND || event == IOASID_NOTIFY_UNBIND;
	struct ioasid_set *set;

	if (ioasid_get(args->set, args->id) != (freed ? -EBUSY : 0))
		sub->result = 1;
	if (!freed)
		ioasid_put(args->set, args->id);
	if (IS_ERR(ioasid_find(args->set, args->id, NULL)))
		sub->result = 2;
	set = ioasid_find_set(args->id);
	if (IS_ERR(set))
		sub->result = 3;
	else
		ioasid_set_put(set);
	if (named && ioasid_find_by_spid(args->set, args->spid, false) != args->id)
		sub->result = 4;
	if (freed && args->spid != INVALID_IOASID &&
	    ioasid_find_by_spid(args->set, args->spid, false) != INVALID_IOASID)
		sub->result = 5;
	if (ioasid_free(NULL, sub->data))
		sub->data = INVALID_IOASID;
}

void ioasid_test_notifier_calls_back(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id, victim;

	a = ioasid_test_sub(test, 'a', 0);
	a->react = react_calls_back;
	a->data = INVALID_IOASID;
	ioasid_test_register(set, a);
	victim = test_alloc(test, set);
	a->data = victim;
	id = test_alloc(test, set);
	/* ALLOC of id freed victim from within */
	expect_event(test, 1, 'a', IOASID_NOTIFY_ALLOC, id, INVALID_IOASID);
	expect_event(test, 2, 'a', IOASID_NOTIFY_FREE, victim, INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 4), 0);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 5), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, ctx->nr, 7);
	KUNIT_EXPECT_EQ(test, a->result, 0);

	/* The same by put */
	id = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 5), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	KUNIT_EXPECT_EQ(test, a->result, 0);
	ioasid_test_unregister(a);
	ioasid_set_free(set);
}

/* Frees its own id on BIND, then takes the SPID off it, twice. */
static void react_frees_on_bind(struct test_sub *sub, unsigned long event,
				struct ioasid_nb_args *args)
{
	if (event != IOASID_NOTIFY_BIND)
		return;
	if (ioasid_free(args->set, args->id))
		sub->result = 1;
	if (ioasid_get(NULL, args->id) != -EBUSY)
		sub->result = 2;
	if (ioasid_detach_spid(args->id))
		sub->result = 3;
	if (ioasid_detach_spid(args->id) != -ENOENT)
		sub->result = 4;
}

void ioasid_test_notifier_detach_while_freed_unbinds_once(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a, *b;
	ioasid_t id;
	int i;

	a = ioasid_test_sub(test, 'a', 1);
	b = ioasid_test_sub(test, 'b', 0);
	a->react = react_frees_on_bind;
	ioasid_test_register(set, a);
	ioasid_test_register(set, b);
	id = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 8), 0);
	/* Nobody sees FREE before BIND is through, nor anything after FREE */
	KUNIT_EXPECT_EQ(test, ctx->nr, 8);
	for (i = 0; i < 2; i++) {
		expect_event(test, i, "ab"[i], IOASID_NOTIFY_ALLOC, id, INVALID_IOASID);
		expect_event(test, 2 + i, "ab"[i], IOASID_NOTIFY_BIND, id, 8U);
		expect_event(test, 4 + i, "ab"[i], IOASID_NOTIFY_UNBIND, id, 8U);
		expect_event(test, 6 + i, "ab"[i], IOASID_NOTIFY_FREE, id, INVALID_IOASID);
	}
	KUNIT_EXPECT_EQ(test, a->result, 0);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);
	ioasid_test_unregister(a);
	ioasid_test_unregister(b);
	ioasid_set_free(set);
}

static void react_frees_on_alloc(struct test_sub *sub, unsigned long event,
				 struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_ALLOC)
		ioasid_free(NULL, args->id);
	/* Not an error, and no UNBIND: FREE implies it */
	if (event == IOASID_NOTIFY_FREE)
		sub->result = ioasid_detach_spid(args->id);
}

void ioasid_test_notifier_free_in_alloc(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 1);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;

	a = ioasid_test_sub(test, 'a', 0);
	a->react = react_frees_on_alloc;
	ioasid_test_register(set, a);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, NULL, &id), 0);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);
	KUNIT_EXPECT_EQ(test, ctx->nr, 2);
	expect_event(test, 1, 'a', IOASID_NOTIFY_FREE, id, INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, a->result, -ENOENT);
	KUNIT_EXPECT_TRUE(test, ioasid_set_is_empty(set));
	ioasid_test_unregister(a);
	ioasid_set_free(set);
}

static void react_detaches_on_free(struct test_sub *sub, unsigned long event,
				   struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_FREE)
		sub->result = ioasid_detach_spid(args->id);
}

void ioasid_test_notifier_detach_in_free(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;
	int i;

	/* Once by free, once by the last put */
	for (i = 0; i < 2; i++) {
		a = ioasid_test_sub(test, 'a', 0);
		a->react = react_detaches_on_free;
		a->result = 1;
		ioasid_test_register(set, a);
		id = test_alloc(test, set);
		ioasid_attach_spid(id, 8);
		KUNIT_EXPECT_TRUE(test, i ? ioasid_put(set, id) : ioasid_free(set, id));
		KUNIT_EXPECT_EQ(test, a->result, 0);
		KUNIT_EXPECT_EQ(test, ctx->nr, 3 * (i + 1));
		expect_event(test, 3 * i + 2, 'a', IOASID_NOTIFY_FREE, id, 8U);
		ioasid_test_unregister(a);
	}
	ioasid_set_free(set);
}

void ioasid_test_notifier_in_use_hears_of_those_only(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *sub, *bad;
	ioasid_t used, unused, again;

	bad = ioasid_test_sub(test, 'b', 0);
	bad->nb.notifier_call = NULL;
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_in_use(NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_in_use(bad), -EINVAL);
	sub = ioasid_test_sub(test, 'u', IOASID_PRIO_IOMMU);
	KUNIT_ASSERT_EQ(test, ioasid_test_register_in_use(sub), 0);
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_in_use(&sub->nb), -EBUSY);

	used = test_alloc(test, set);
	unused = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_use(set, used), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, unused));
	KUNIT_EXPECT_FALSE(test, ioasid_free(set, used));
	KUNIT_EXPECT_TRUE(test, ioasid_unuse(set, used));

	/* Used no more */
	again = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_use(set, again), 0);
	ioasid_unuse(set, again);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, again));

	/* Others of the system may want all events, then it gets them as well */
	if (!atomic_read(&ioasid_chain_all)) {
		KUNIT_EXPECT_EQ(test, ctx->nr, 1);
		expect_event(test, 0, 'u', IOASID_NOTIFY_FREE, used,
			     INVALID_IOASID);
	}
	ioasid_test_unregister(sub);
	ioasid_set_free(set);
}

void ioasid_test_notifier_mm_before_and_after_the_set(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *first, *second, *kernel = test_set(test, 0);
	struct test_sub *early, *late;
	ioasid_t a, b;

	/* Before there is a set of the mm */
	early = ioasid_test_sub(test, 'e', IOASID_PRIO_CPU);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(early), 0);
	first = test_mm_set(test);
	test_alloc(test, kernel);
	a = test_alloc(test, first);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, 1), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr, 2);
	expect_event(test, 0, 'e', IOASID_NOTIFY_ALLOC, a, INVALID_IOASID);
	expect_event(test, 1, 'e', IOASID_NOTIFY_BIND, a, 1U);

	/* A second set of the same mm, with the same SPID */
	second = test_mm_set(test);
	b = test_alloc(test, second);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(b, 1), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr, 4);
	KUNIT_EXPECT_PTR_EQ(test, ctx->events[3].set, second);

	/* After: notified of what is there, in each set */
	late = ioasid_test_sub(test, 'l', IOASID_PRIO_IOMMU);
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(late), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr, 8);
	expect_event(test, 4, 'l', IOASID_NOTIFY_ALLOC, a, INVALID_IOASID);
	expect_event(test, 5, 'l', IOASID_NOTIFY_BIND, a, 1U);
	expect_event(test, 6, 'l', IOASID_NOTIFY_ALLOC, b, INVALID_IOASID);
	expect_event(test, 7, 'l', IOASID_NOTIFY_BIND, b, 1U);
	KUNIT_EXPECT_PTR_EQ(test, ctx->events[7].set, second);

	/* Live, by priority, both */
	ioasid_detach_spid(a);
	KUNIT_EXPECT_EQ(test, ctx->nr, 10);
	expect_event(test, 8, 'e', IOASID_NOTIFY_UNBIND, a, 1U);
	expect_event(test, 9, 'l', IOASID_NOTIFY_UNBIND, a, 1U);

	ioasid_test_unregister(early);
	ioasid_set_free(first);
	KUNIT_EXPECT_EQ(test, ctx->nr, 11);
	expect_event(test, 10, 'l', IOASID_NOTIFY_FREE, a, INVALID_IOASID);
	/* The set goes before its subscriber */
	ioasid_test_settle();
	ioasid_set_free(second);
	expect_event(test, 11, 'l', IOASID_NOTIFY_FREE, b, 1U);
	ioasid_test_unregister(late);
	ioasid_set_free(kernel);
}

/* While it is notified of the first id, something happens to the second. */
static void react_during_replay(struct test_sub *sub, unsigned long event,
				struct ioasid_nb_args *args)
{
	ioasid_t other = sub->data;

	if (other == INVALID_IOASID || other == args->id)
		return;
	sub->data = INVALID_IOASID;
	ioasid_free(NULL, other);
}

void ioasid_test_notifier_mm_event_during_replay(struct kunit *test)
{
	struct ioasid_set *set = test_mm_set(test);
	struct test_ctx *ctx = test->priv;
	ioasid_t a = test_alloc(test, set), b = test_alloc(test, set);
	struct test_sub *sub;

	ioasid_attach_spid(b, 2);
	sub = ioasid_test_sub(test, 's', 0);
	sub->react = react_during_replay;
	sub->data = b;
	KUNIT_EXPECT_EQ(test, ioasid_test_register_mm(sub), 0);
	/* b's ALLOC and BIND come before its FREE, nothing after it */
	KUNIT_EXPECT_EQ(test, ctx->nr, 4);
	expect_event(test, 0, 's', IOASID_NOTIFY_ALLOC, a, INVALID_IOASID);
	expect_event(test, 1, 's', IOASID_NOTIFY_ALLOC, b, INVALID_IOASID);
	expect_event(test, 2, 's', IOASID_NOTIFY_BIND, b, 2U);
	expect_event(test, 3, 's', IOASID_NOTIFY_FREE, b, 2U);
	ioasid_test_unregister(sub);
	ioasid_set_free(set);
}
