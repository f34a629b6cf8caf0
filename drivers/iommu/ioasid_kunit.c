// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core
 *
 * The sets of a test take their ids from a pool of the test's, so that neither the
 * test nor whoever uses ids meanwhile notices the other, and from numbers that
 * nobody is given who does not ask for them. The exit function checks that all
 * came back to the pool, and ends what a test left that was aborted: subscribers
 * and custom allocators are the test's memory, which goes with it.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ioasid-private.h"

#define TEST_CAPACITY	200000U
#define TEST_EVENTS	64

/* Tasks get the lowest numbers from the kernel, the highest from /dev/ioasid */
#define TEST_FIRST	500000U
#define TEST_LAST	(TEST_FIRST + TEST_CAPACITY)
/* Nobody has it */
#define TEST_NO_ID	(TEST_FIRST - 1)

/* What a subscriber saw */
struct test_event {
	char who;
	unsigned long event;
	ioasid_t id;
	ioasid_t spid;
	void *pdata;
	struct ioasid_set *set;
};

struct test_ctx {
	struct ioasid_pool pool;
	/* nr, events */
	spinlock_t lock;
	int nr;
	struct test_event events[TEST_EVENTS];
	/* The token of MM sets: never runs, never freed by mmdrop() */
	struct mm_struct *mm;
	/* What a test registered: test_sub, test_allocator */
	struct list_head subs;
	struct list_head allocators;
};

/**
 * struct test_sub - a subscriber of a test
 * @nb: notifier
 * @ctx: where it records
 * @list: in @ctx's subs while it is registered
 * @unregister: how that ends
 * @set: for @unregister
 * @who: name in the record
 * @react: called after recording
 * @data: for @react
 * @result: of @react, 0: as it should be
 */
struct test_sub {
	struct notifier_block nb;
	struct test_ctx *ctx;
	struct list_head list;
	void (*unregister)(struct test_sub *sub);
	struct ioasid_set *set;
	char who;
	void (*react)(struct test_sub *sub, unsigned long event,
		      struct ioasid_nb_args *args);
	ioasid_t data;
	int result;
};

static int test_notify(struct notifier_block *nb, unsigned long event, void *p)
{
	struct test_sub *sub = container_of(nb, struct test_sub, nb);
	struct test_ctx *ctx = sub->ctx;
	struct ioasid_nb_args *args = p;
	unsigned long flags;

	spin_lock_irqsave(&ctx->lock, flags);
	if (ctx->nr < TEST_EVENTS)
		ctx->events[ctx->nr] = (struct test_event) {
			.who = sub->who, .event = event, .id = args->id,
			.spid = args->spid, .pdata = args->pdata,
			.set = args->set,
		};
	ctx->nr++;
	spin_unlock_irqrestore(&ctx->lock, flags);

	if (sub->react)
		sub->react(sub, event, args);
	return NOTIFY_OK;
}

static struct test_sub *test_sub(struct kunit *test, char who, int prio)
{
	struct test_sub *sub = kunit_kzalloc(test, sizeof(*sub), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sub);
	sub->nb.notifier_call = test_notify;
	sub->nb.priority = prio;
	sub->ctx = test->priv;
	sub->who = who;
	INIT_LIST_HEAD(&sub->list);
	return sub;
}

static void test_unregister_set(struct test_sub *sub)
{
	ioasid_unregister_notifier(sub->set, &sub->nb);
}

static void test_unregister_mm(struct test_sub *sub)
{
	ioasid_unregister_notifier_mm(sub->ctx->mm, &sub->nb);
}

static void test_unregister_in_use(struct test_sub *sub)
{
	ioasid_unregister_notifier_in_use(&sub->nb);
}

static int test_registered(struct test_sub *sub, struct ioasid_set *set,
			   void (*unregister)(struct test_sub *sub), int ret)
{
	if (!ret) {
		sub->set = set;
		sub->unregister = unregister;
		list_add(&sub->list, &sub->ctx->subs);
	}
	return ret;
}

static int test_register(struct ioasid_set *set, struct test_sub *sub)
{
	return test_registered(sub, set, test_unregister_set,
			       ioasid_register_notifier(set, &sub->nb));
}

static int test_register_mm(struct test_sub *sub)
{
	return test_registered(sub, NULL, test_unregister_mm,
			       ioasid_register_notifier_mm(sub->ctx->mm,
							   &sub->nb));
}

static int test_register_in_use(struct test_sub *sub)
{
	return test_registered(sub, NULL, test_unregister_in_use,
			       ioasid_register_notifier_in_use(&sub->nb));
}

static void test_unregister(struct test_sub *sub)
{
	sub->unregister(sub);
	list_del_init(&sub->list);
}

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

static void test_nop(struct work_struct *work)
{
}

/* Wait until sets that were put are really freed. */
static void test_settle(void)
{
	struct work_struct work;

	rcu_barrier();
	INIT_WORK_ONSTACK(&work, test_nop);
	ioasid_queue_work(&work);
	flush_work(&work);
	destroy_work_on_stack(&work);
	rcu_barrier();
}

static int ioasid_test_init(struct kunit *test)
{
	struct test_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return -ENOMEM;
	ctx->mm = kunit_kzalloc(test, sizeof(*ctx->mm), GFP_KERNEL);
	if (!ctx->mm)
		return -ENOMEM;
	atomic_set(&ctx->mm->mm_count, 1);
	spin_lock_init(&ctx->lock);
	ctx->pool.capacity = TEST_CAPACITY;
	ctx->pool.left = TEST_CAPACITY;
	INIT_LIST_HEAD(&ctx->subs);
	INIT_LIST_HEAD(&ctx->allocators);
	test->priv = ctx;
	return 0;
}

struct test_allocator {
	struct ioasid_allocator_ops ops;
	struct list_head list;	/* in the test's allocators while registered */
	ioasid_t next;
	int allocs, frees;
	ioasid_t freed;
};

static int test_register_allocator(struct kunit *test, struct test_allocator *a)
{
	struct test_ctx *ctx = test->priv;
	int ret = ioasid_register_allocator(&a->ops);

	if (!ret)
		list_add(&a->list, &ctx->allocators);
	return ret;
}

static void test_unregister_allocator(struct test_allocator *a)
{
	ioasid_unregister_allocator(&a->ops);
	list_del(&a->list);
}

static void ioasid_test_exit(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct test_allocator *a, *next_a;
	struct test_sub *sub, *next;

	if (!ctx)
		return;
	list_for_each_entry_safe(sub, next, &ctx->subs, list)
		test_unregister(sub);
	list_for_each_entry_safe(a, next_a, &ctx->allocators, list)
		test_unregister_allocator(a);
	test_settle();
	KUNIT_EXPECT_EQ(test, ctx->pool.left, ctx->pool.capacity);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), 1);
}

static struct ioasid_set *test_set(struct kunit *test, u32 quota)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *set;

	set = __ioasid_set_alloc(&ctx->pool, NULL, quota, IOASID_SET_TYPE_NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(set));
	return set;
}

static struct ioasid_set *test_mm_set(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *set;

	set = __ioasid_set_alloc(&ctx->pool, ctx->mm, 0, IOASID_SET_TYPE_MM);
	KUNIT_ASSERT_FALSE(test, IS_ERR(set));
	return set;
}

static ioasid_t test_id(struct ioasid_set *set, ioasid_t min, ioasid_t max,
			void *private)
{
	ioasid_t id;

	return ioasid_alloc(set, min, max, private, &id) ? INVALID_IOASID : id;
}

static ioasid_t test_alloc(struct kunit *test, struct ioasid_set *set)
{
	ioasid_t id = test_id(set, TEST_FIRST, TEST_LAST, NULL);

	KUNIT_ASSERT_NE(test, id, INVALID_IOASID);
	return id;
}

static enum ioasid_state test_state(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e ? e->state : IOASID_STATE_RELEASED;
}

static unsigned int test_refs(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e ? refcount_read(&e->refs) : 0;
}

static u32 test_left(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_pool pool;

	ioasid_pool_read(&ctx->pool, &pool);
	return pool.left;
}

/* Capacity */

static u32 test_lower(struct kunit *test, u32 total)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_pool pool;

	ioasid_pool_lower(&ctx->pool, total);
	ioasid_pool_read(&ctx->pool, &pool);
	return pool.capacity;
}

static void capacity_install_only_lowers(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, test_lower(test, TEST_CAPACITY + 1), TEST_CAPACITY);
	KUNIT_EXPECT_EQ(test, test_lower(test, 1000), 1000U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 500), 500U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 700), 500U);
	KUNIT_EXPECT_EQ(test, test_left(test), 500U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 0), 0U);
}

static void capacity_install_keeps_quotas(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 100);

	KUNIT_EXPECT_EQ(test, test_lower(test, 150), 150U);
	KUNIT_EXPECT_EQ(test, test_left(test), 50U);
	/* Less than is out: ignored */
	KUNIT_EXPECT_EQ(test, test_lower(test, 99), 150U);
	ioasid_set_free(set);
}

static void capacity_exhausted_enospc(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t id;

	test_lower(test, 2);
	test_alloc(test, set);
	test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, NULL, &id),
			-ENOSPC);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, test_left(test), 2U);
}

/* Sets */

static void set_alloc_errors(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	u32 left = test_left(test);

	KUNIT_EXPECT_EQ(test, PTR_ERR(__ioasid_set_alloc(&ctx->pool, ctx, 0, IOASID_SET_TYPE_NULL)),
			(long)-EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(__ioasid_set_alloc(&ctx->pool, NULL, 0, IOASID_SET_TYPE_MM)),
			(long)-EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(__ioasid_set_alloc(&ctx->pool, NULL, 0, 77)),
			(long)-EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(__ioasid_set_alloc(&ctx->pool, NULL, left + 1,
							 IOASID_SET_TYPE_NULL)),
			(long)-ENOSPC);
	KUNIT_EXPECT_EQ(test, test_left(test), left);
}

static void set_quota_is_reserved_and_returned(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 5);
	ioasid_t id;
	int i;

	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 5);
	KUNIT_EXPECT_TRUE(test, ioasid_set_is_empty(set));
	for (i = 0; i < 5; i++)
		test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, NULL, &id),
			-ENOSPC);
	KUNIT_EXPECT_FALSE(test, ioasid_set_is_empty(set));
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 5);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
}

static void set_without_quota_shares(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);

	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
	test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 1);
	ioasid_set_free_all(set);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
	ioasid_set_free(set);
}

static void set_outlives_free_until_last_id(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 3), *found;
	ioasid_t id = test_alloc(test, set), no;

	test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	ioasid_set_get(set);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, NULL, &no),
			-EINVAL);
	ioasid_set_put(set);

	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_FREE_PENDING);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 3);
	found = ioasid_find_set(id);
	KUNIT_EXPECT_PTR_EQ(test, found, set);
	KUNIT_EXPECT_FALSE(test, ioasid_set_is_empty(set));
	ioasid_set_put(found);
	KUNIT_EXPECT_TRUE(test, ioasid_put(NULL, id));
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
	KUNIT_EXPECT_EQ(test, PTR_ERR(ioasid_find_set(id)), (long)-ENOENT);
}

static void set_adjust(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 2), *shared = test_set(test, 0);
	ioasid_t id;

	test_alloc(test, set);
	test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(set, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(set, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(shared, 5), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(set, TEST_CAPACITY + 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 2);
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(set, 3), 0);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 3);
	id = test_alloc(test, set);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, ioasid_set_adjust_quota(set, 2), 0);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 2);
	ioasid_set_free(set);
	ioasid_set_free(shared);
}

static int test_count_id(ioasid_t id, void *data)
{
	u64 *sum = data;

	*sum += id;
	return 0;
}

static int test_free_id(ioasid_t id, void *data)
{
	ioasid_free(data, id);
	return 0;
}

static int test_stop_at(ioasid_t id, void *data)
{
	return id == *(ioasid_t *)data ? -ECANCELED : 0;
}

static void set_for_each_sees_every_id(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	u64 want = 0, sum = 0;
	ioasid_t id = 0;
	int i;

	KUNIT_EXPECT_EQ(test, ioasid_set_for_each_ioasid(set, test_count_id, &sum), 0);
	for (i = 0; i < 100; i++) {
		id = test_alloc(test, set);
		want += id;
	}
	KUNIT_EXPECT_EQ(test, ioasid_set_for_each_ioasid(set, test_count_id, &sum), 0);
	KUNIT_EXPECT_EQ(test, sum, want);
	KUNIT_EXPECT_EQ(test, ioasid_set_for_each_ioasid(set, test_stop_at, &id),
			-ECANCELED);

	/* Ids being freed are left out */
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	ioasid_free(set, id);
	sum = 0;
	ioasid_set_for_each_ioasid(set, test_count_id, &sum);
	KUNIT_EXPECT_EQ(test, sum, want - id);
	ioasid_put(set, id);

	/* The function may free */
	ioasid_set_for_each_ioasid(set, test_free_id, set);
	KUNIT_EXPECT_TRUE(test, ioasid_set_is_empty(set));
	ioasid_set_free(set);
}

/* Allocation */

static void alloc_lowest_free(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t a, b, c;

	a = test_id(set, TEST_FIRST, TEST_FIRST + 2, NULL);
	b = test_id(set, TEST_FIRST, TEST_FIRST + 2, NULL);
	c = test_id(set, TEST_FIRST, TEST_FIRST + 2, NULL);
	KUNIT_EXPECT_EQ(test, a, TEST_FIRST);
	KUNIT_EXPECT_EQ(test, b, TEST_FIRST + 1);
	KUNIT_EXPECT_EQ(test, c, TEST_FIRST + 2);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, b));
	KUNIT_EXPECT_EQ(test, test_id(set, TEST_FIRST, TEST_FIRST + 2, NULL), b);
	ioasid_set_free(set);
}

static void alloc_errors(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t id = 77;
	u32 left;

	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, 6, 5, NULL, &id), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(NULL, 5, 6, NULL, &id), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, 0, 1, NULL, &id), -ENOSPC);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, IOASID_MAX + 1, U32_MAX, NULL, &id),
			-ENOSPC);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_FIRST, NULL, &id), 0);
	left = test_left(test);
	KUNIT_EXPECT_EQ(test, id, TEST_FIRST);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_FIRST, NULL, &id), -ENOSPC);
	KUNIT_EXPECT_EQ(test, test_id(set, TEST_FIRST, TEST_FIRST, NULL), INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, test_left(test), left);
	ioasid_set_free(set);
}

static void alloc_never_reserved_ids(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);

	KUNIT_EXPECT_GE(test, test_id(set, 0, IOASID_MAX, NULL),
			(ioasid_t)IOASID_ALLOC_BASE);
	KUNIT_EXPECT_EQ(test, test_id(set, IOASID_MAX, U32_MAX, NULL),
			IOASID_MAX);
	ioasid_set_free(set);
}

static void number_not_reused_while_referenced(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t id, other;

	KUNIT_ASSERT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_FIRST, NULL, &id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	KUNIT_EXPECT_FALSE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_FIRST, NULL, &other), -ENOSPC);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_FIRST, NULL, &other), 0);
	ioasid_set_free(set);
}

/* States and references */

static void state_edges(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t id = test_alloc(test, set);

	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_IDLE);
	KUNIT_EXPECT_EQ(test, test_refs(id), 1U);

	/* IDLE -> ACTIVE -> IDLE, uses counted, each with a reference */
	KUNIT_EXPECT_EQ(test, ioasid_use(set, id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_use(set, id), 0);
	KUNIT_EXPECT_EQ(test, test_refs(id), 3U);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_ACTIVE);
	KUNIT_EXPECT_FALSE(test, ioasid_unuse(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_ACTIVE);
	KUNIT_EXPECT_FALSE(test, ioasid_unuse(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_IDLE);

	/* An SPID is a use without a reference */
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 9), 0);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, test_refs(id), 1U);
	KUNIT_EXPECT_EQ(test, ioasid_use(set, id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(id), 0);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_ACTIVE);

	/* ACTIVE -> FREE_PENDING -> released */
	KUNIT_EXPECT_FALSE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_FREE_PENDING);
	KUNIT_EXPECT_TRUE(test, ioasid_unuse(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);

	/* IDLE -> FREE_PENDING -> released at once */
	id = test_alloc(test, set);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);

	/* IDLE and ACTIVE -> released by the owner's put */
	id = test_alloc(test, set);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	id = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 9), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 9, false), INVALID_IOASID);
	ioasid_set_free(set);
}

static void free_pending_refuses(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t id = test_alloc(test, set);

	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 3), 0);
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	KUNIT_EXPECT_FALSE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), -EBUSY);
	KUNIT_EXPECT_EQ(test, ioasid_get_if_owned(id), -EBUSY);
	KUNIT_EXPECT_EQ(test, ioasid_use(set, id), -EBUSY);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(id, 4), -EBUSY);
	/* Freeing again changes nothing */
	KUNIT_EXPECT_FALSE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, test_refs(id), 1U);
	/* The SPID is free for another id, the old one cannot be found */
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 3, false), INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(id), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(test_alloc(test, set), 3), 0);
	/* Data can still be found */
	KUNIT_EXPECT_EQ(test, ioasid_attach_data(id, test), 0);
	KUNIT_EXPECT_PTR_EQ(test, ioasid_find(set, id, NULL), (void *)test);
	KUNIT_EXPECT_TRUE(test, ioasid_put(set, id));
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));
	ioasid_set_free(set);
}

static void get_errors(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0), *other = test_set(test, 0);
	struct ioasid_set *mm = test_mm_set(test);
	ioasid_t id = test_alloc(test, set), mm_id = test_alloc(test, mm);

	KUNIT_EXPECT_EQ(test, ioasid_get(NULL, TEST_NO_ID), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_get(other, id), -EACCES);
	KUNIT_EXPECT_EQ(test, ioasid_use(other, id), -EACCES);
	KUNIT_EXPECT_EQ(test, ioasid_use(NULL, TEST_NO_ID), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_get(NULL, id), 0);
	KUNIT_EXPECT_FALSE(test, ioasid_put(other, id));
	KUNIT_EXPECT_FALSE(test, ioasid_unuse(other, id));
	KUNIT_EXPECT_EQ(test, test_refs(id), 2U);
	KUNIT_EXPECT_FALSE(test, ioasid_put(NULL, id));
	KUNIT_EXPECT_FALSE(test, ioasid_put(NULL, TEST_NO_ID));
	KUNIT_EXPECT_FALSE(test, ioasid_free(other, id));
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_IDLE);
	KUNIT_EXPECT_TRUE(test, ioasid_free(NULL, TEST_NO_ID));
	KUNIT_EXPECT_EQ(test, ioasid_get_if_owned(TEST_NO_ID), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_get_if_owned(id), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_get_if_owned(mm_id), -EPERM);
	KUNIT_EXPECT_EQ(test, test_refs(mm_id), 1U);
	ioasid_set_free(set);
	ioasid_set_free(other);
	ioasid_set_free(mm);
}

static bool test_getter_refuses(void *data)
{
	return false;
}

static bool test_getter_counts(void *data)
{
	++*(int *)data;
	return true;
}

static void find_and_data(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0), *other = test_set(test, 0);
	int data = 0;
	ioasid_t id;

	KUNIT_ASSERT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, &data, &id), 0);
	KUNIT_EXPECT_PTR_EQ(test, ioasid_find(set, id, NULL), (void *)&data);
	KUNIT_EXPECT_PTR_EQ(test, ioasid_find(NULL, id, test_getter_counts),
			    (void *)&data);
	KUNIT_EXPECT_EQ(test, data, 1);
	KUNIT_EXPECT_NULL(test, ioasid_find(set, id, test_getter_refuses));
	KUNIT_EXPECT_EQ(test, PTR_ERR(ioasid_find(other, id, NULL)), (long)-EACCES);
	KUNIT_EXPECT_EQ(test, PTR_ERR(ioasid_find(NULL, TEST_NO_ID, NULL)),
			(long)-ENOENT);

	KUNIT_EXPECT_EQ(test, ioasid_attach_data(id, &id), -EBUSY);
	KUNIT_EXPECT_EQ(test, ioasid_attach_data(id, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_attach_data(TEST_NO_ID, &id), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_detach_data(TEST_NO_ID), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_detach_data(id), 0);
	KUNIT_EXPECT_EQ(test, ioasid_detach_data(id), 0);
	/* No getter for no data */
	KUNIT_EXPECT_NULL(test, ioasid_find(set, id, test_getter_counts));
	KUNIT_EXPECT_EQ(test, data, 1);
	KUNIT_EXPECT_EQ(test, ioasid_attach_data(id, &id), 0);
	KUNIT_EXPECT_PTR_EQ(test, ioasid_find(set, id, NULL), (void *)&id);
	ioasid_set_free(set);
	ioasid_set_free(other);
}

/* SPIDs */

static void spid_errors(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0), *other = test_set(test, 0);
	ioasid_t a = test_alloc(test, set), b = test_alloc(test, set);
	ioasid_t c = test_alloc(test, other);

	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, INVALID_IOASID), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(TEST_NO_ID, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(TEST_NO_ID), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(a), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, 100), 0);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, 100), -EEXIST);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, 101), -EEXIST);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(b, 100), -EEXIST);
	/* The refused ones left no reservation behind */
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(b, 101), 0);
	/* Another set has a namespace of its own */
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(c, 100), 0);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 100, false), a);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 101, false), b);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(other, 100, false), c);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(other, 101, false), INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(a), 0);
	KUNIT_EXPECT_EQ(test, ioasid_detach_spid(a), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioasid_attach_spid(a, 0), 0);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 0, true), a);
	KUNIT_EXPECT_EQ(test, test_refs(a), 2U);
	KUNIT_EXPECT_EQ(test, test_refs(b), 1U);
	ioasid_put(set, a);
	ioasid_set_free(set);
	ioasid_set_free(other);
}

static void spid_1_to_100000(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	ioasid_t first = test_alloc(test, set), id;
	u32 spid, wrong = 0;

	KUNIT_ASSERT_EQ(test, ioasid_attach_spid(first, 1), 0);
	for (spid = 2; spid <= 100000; spid++) {
		id = test_id(set, TEST_FIRST, TEST_LAST, NULL);
		if (ioasid_attach_spid(id, spid))
			wrong++;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0U);
	KUNIT_EXPECT_EQ(test, ioasid_find_by_spid(set, 1, false), first);
	for (spid = 2; spid <= 100000; spid++) {
		id = ioasid_find_by_spid(set, spid, false);
		if (id == INVALID_IOASID || ioasid_detach_spid(id) ||
		    ioasid_find_by_spid(set, spid, false) != INVALID_IOASID)
			wrong++;
		if (!(spid % 1000))
			cond_resched();
	}
	KUNIT_EXPECT_EQ(test, wrong, 0U);
	ioasid_set_free(set);
}

/* Notifiers */

static void notifier_errors(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a, *bad;

	a = test_sub(test, 'a', IOASID_PRIO_LAST);
	bad = test_sub(test, 'b', 0);
	bad->nb.notifier_call = NULL;
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier(set, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_register(set, bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_register(set, a), 0);
	KUNIT_EXPECT_EQ(test, test_register(set, a), -EBUSY);
	test_unregister(a);
	KUNIT_EXPECT_EQ(test, test_register(NULL, a), 0);
	KUNIT_EXPECT_EQ(test, test_register(NULL, a), -EBUSY);
	test_unregister(a);
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_mm(NULL, &a->nb), -EINVAL);
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_mm(ctx->mm, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_register_mm(bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_register_mm(a), 0);
	KUNIT_EXPECT_EQ(test, test_register_mm(a), -EBUSY);
	test_unregister(a);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, ctx->nr, 0);
}

static void notifier_order(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0), *other = test_set(test, 0);
	struct test_sub *cpu, *iommu, *device, *last, *all, *foreign;
	struct test_ctx *ctx = test->priv;
	static const char who[] = "cidlg";
	int data, i;
	ioasid_t id;

	cpu = test_sub(test, 'c', IOASID_PRIO_CPU);
	iommu = test_sub(test, 'i', IOASID_PRIO_IOMMU);
	device = test_sub(test, 'd', IOASID_PRIO_DEVICE);
	last = test_sub(test, 'l', IOASID_PRIO_LAST);
	/* The global chain is after that of the set, whatever the priority */
	all = test_sub(test, 'g', IOASID_PRIO_CPU);
	foreign = test_sub(test, 'f', IOASID_PRIO_CPU);
	test_register(NULL, all);
	test_register(set, last);
	test_register(set, iommu);
	test_register(set, cpu);
	test_register(set, device);
	test_register(other, foreign);

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

	test_unregister(cpu);
	test_unregister(iommu);
	test_unregister(device);
	test_unregister(last);
	test_unregister(foreign);
	test_unregister(all);
	ioasid_set_free(set);
	ioasid_set_free(other);
	KUNIT_EXPECT_EQ(test, ctx->nr, 25);
}

static void notifier_free_once_by_put(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;

	a = test_sub(test, 'a', 0);
	test_register(set, a);
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
	test_unregister(a);
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

static void notifier_calls_back(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id, victim;

	a = test_sub(test, 'a', 0);
	a->react = react_calls_back;
	a->data = INVALID_IOASID;
	test_register(set, a);
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
	test_unregister(a);
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

static void notifier_detach_while_freed_unbinds_once(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a, *b;
	ioasid_t id;
	int i;

	a = test_sub(test, 'a', 1);
	b = test_sub(test, 'b', 0);
	a->react = react_frees_on_bind;
	test_register(set, a);
	test_register(set, b);
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
	test_unregister(a);
	test_unregister(b);
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

static void notifier_free_in_alloc(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 1);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;

	a = test_sub(test, 'a', 0);
	a->react = react_frees_on_alloc;
	test_register(set, a);
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, TEST_FIRST, TEST_LAST, NULL, &id), 0);
	KUNIT_EXPECT_EQ(test, (int)test_state(id), (int)IOASID_STATE_RELEASED);
	KUNIT_EXPECT_EQ(test, ctx->nr, 2);
	expect_event(test, 1, 'a', IOASID_NOTIFY_FREE, id, INVALID_IOASID);
	KUNIT_EXPECT_EQ(test, a->result, -ENOENT);
	KUNIT_EXPECT_TRUE(test, ioasid_set_is_empty(set));
	test_unregister(a);
	ioasid_set_free(set);
}

static void react_detaches_on_free(struct test_sub *sub, unsigned long event,
				   struct ioasid_nb_args *args)
{
	if (event == IOASID_NOTIFY_FREE)
		sub->result = ioasid_detach_spid(args->id);
}

static void notifier_detach_in_free(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *a;
	ioasid_t id;
	int i;

	/* Once by free, once by the last put */
	for (i = 0; i < 2; i++) {
		a = test_sub(test, 'a', 0);
		a->react = react_detaches_on_free;
		a->result = 1;
		test_register(set, a);
		id = test_alloc(test, set);
		ioasid_attach_spid(id, 8);
		KUNIT_EXPECT_TRUE(test, i ? ioasid_put(set, id) : ioasid_free(set, id));
		KUNIT_EXPECT_EQ(test, a->result, 0);
		KUNIT_EXPECT_EQ(test, ctx->nr, 3 * (i + 1));
		expect_event(test, 3 * i + 2, 'a', IOASID_NOTIFY_FREE, id, 8U);
		test_unregister(a);
	}
	ioasid_set_free(set);
}

static void notifier_in_use_hears_of_those_only(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_ctx *ctx = test->priv;
	struct test_sub *sub, *bad;
	ioasid_t used, unused, again;

	bad = test_sub(test, 'b', 0);
	bad->nb.notifier_call = NULL;
	KUNIT_EXPECT_EQ(test, ioasid_register_notifier_in_use(NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_register_in_use(bad), -EINVAL);
	sub = test_sub(test, 'u', IOASID_PRIO_IOMMU);
	KUNIT_ASSERT_EQ(test, test_register_in_use(sub), 0);
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
	test_unregister(sub);
	ioasid_set_free(set);
}

static void notifier_mm_before_and_after_the_set(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *first, *second, *kernel = test_set(test, 0);
	struct test_sub *early, *late;
	ioasid_t a, b;

	/* Before there is a set of the mm */
	early = test_sub(test, 'e', IOASID_PRIO_CPU);
	KUNIT_EXPECT_EQ(test, test_register_mm(early), 0);
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
	late = test_sub(test, 'l', IOASID_PRIO_IOMMU);
	KUNIT_EXPECT_EQ(test, test_register_mm(late), 0);
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

	test_unregister(early);
	ioasid_set_free(first);
	KUNIT_EXPECT_EQ(test, ctx->nr, 11);
	expect_event(test, 10, 'l', IOASID_NOTIFY_FREE, a, INVALID_IOASID);
	/* The set goes before its subscriber */
	test_settle();
	ioasid_set_free(second);
	expect_event(test, 11, 'l', IOASID_NOTIFY_FREE, b, 1U);
	test_unregister(late);
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

static void notifier_mm_event_during_replay(struct kunit *test)
{
	struct ioasid_set *set = test_mm_set(test);
	struct test_ctx *ctx = test->priv;
	ioasid_t a = test_alloc(test, set), b = test_alloc(test, set);
	struct test_sub *sub;

	ioasid_attach_spid(b, 2);
	sub = test_sub(test, 's', 0);
	sub->react = react_during_replay;
	sub->data = b;
	KUNIT_EXPECT_EQ(test, test_register_mm(sub), 0);
	/* b's ALLOC and BIND come before its FREE, nothing after it */
	KUNIT_EXPECT_EQ(test, ctx->nr, 4);
	expect_event(test, 0, 's', IOASID_NOTIFY_ALLOC, a, INVALID_IOASID);
	expect_event(test, 1, 's', IOASID_NOTIFY_ALLOC, b, INVALID_IOASID);
	expect_event(test, 2, 's', IOASID_NOTIFY_BIND, b, 2U);
	expect_event(test, 3, 's', IOASID_NOTIFY_FREE, b, 2U);
	test_unregister(sub);
	ioasid_set_free(set);
}

/* Custom allocators */

static ioasid_t test_custom_alloc(ioasid_t min, ioasid_t max, void *data)
{
	struct test_allocator *a = data;

	a->allocs++;
	return a->next;
}

static void test_custom_free(ioasid_t id, void *data)
{
	struct test_allocator *a = data;

	a->frees++;
	a->freed = id;
}

static void test_custom_free_2(ioasid_t id, void *data)
{
	test_custom_free(id, data);
}

static struct test_allocator *test_allocator(struct kunit *test,
					     bool other_group)
{
	struct test_allocator *a = kunit_kzalloc(test, sizeof(*a), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, a);
	a->ops.alloc = test_custom_alloc;
	a->ops.free = other_group ? test_custom_free_2 : test_custom_free;
	a->ops.pdata = a;
	a->next = INVALID_IOASID;
	return a;
}

/* The system has but one custom allocator: whoever needs an id gets it from that. */
static void test_skip_with_users(struct kunit *test)
{
	if (system_state >= SYSTEM_RUNNING || !xa_empty(&ioasid_xa))
		kunit_skip(test, "others may use IOASIDs now");
}

static void allocator_result_is_checked(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_allocator *a;
	ioasid_t id;

	test_skip_with_users(test);
	a = test_allocator(test, false);
	KUNIT_ASSERT_EQ(test, test_register_allocator(test, a), 0);
	KUNIT_EXPECT_EQ(test, test_register_allocator(test, a), -EEXIST);

	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, 10, 20, NULL, &id), -ENOSPC);
	KUNIT_EXPECT_EQ(test, a->frees, 0);
	/* Out of range: given back */
	a->next = 21;
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, 10, 20, NULL, &id), -ENOSPC);
	KUNIT_EXPECT_EQ(test, a->frees, 1);
	KUNIT_EXPECT_EQ(test, a->freed, 21U);
	a->next = 15;
	KUNIT_EXPECT_EQ(test, ioasid_alloc(set, 10, 20, NULL, &id), 0);
	KUNIT_EXPECT_EQ(test, id, 15U);
	/* Not given back before the last user drops its reference */
	KUNIT_EXPECT_EQ(test, ioasid_get(set, id), 0);
	ioasid_free(set, id);
	KUNIT_EXPECT_EQ(test, a->frees, 1);
	ioasid_put(set, id);
	KUNIT_EXPECT_EQ(test, a->frees, 2);
	KUNIT_EXPECT_EQ(test, a->freed, 15U);
	test_unregister_allocator(a);

	/* Back to our own */
	KUNIT_EXPECT_EQ(test, test_id(set, 11, 20, NULL), 11U);
	KUNIT_EXPECT_EQ(test, test_register_allocator(test, a), -EAGAIN);
	ioasid_set_free(set);
	KUNIT_EXPECT_EQ(test, a->frees, 2);
}

static void allocator_takes_over(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);
	struct test_allocator *a, *same, *other;
	ioasid_t id;

	test_skip_with_users(test);
	a = test_allocator(test, false);
	other = test_allocator(test, true);
	same = test_allocator(test, false);
	a->next = TEST_FIRST;
	other->next = TEST_FIRST + 1;
	same->next = TEST_FIRST + 2;
	KUNIT_ASSERT_EQ(test, test_register_allocator(test, a), 0);
	KUNIT_ASSERT_EQ(test, test_register_allocator(test, other), 0);
	KUNIT_ASSERT_EQ(test, test_register_allocator(test, same), 0);

	/* The first is active; its group keeps the ids when it goes */
	id = test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, id, TEST_FIRST);
	test_unregister_allocator(a);
	KUNIT_EXPECT_EQ(test, test_alloc(test, set), TEST_FIRST + 2);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, id));
	KUNIT_EXPECT_EQ(test, a->frees, 0);
	KUNIT_EXPECT_EQ(test, same->freed, TEST_FIRST);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, TEST_FIRST + 2));

	/* Then the next group */
	test_unregister_allocator(same);
	KUNIT_EXPECT_EQ(test, test_alloc(test, set), TEST_FIRST + 1);
	KUNIT_EXPECT_TRUE(test, ioasid_free(set, TEST_FIRST + 1));
	KUNIT_EXPECT_EQ(test, other->frees, 1);
	test_unregister_allocator(other);
	ioasid_set_free(set);
}

/* Concurrency */

#define STORM_THREADS	8
#define STORM_SHARED	16

struct storm {
	struct ioasid_set *set;
	struct test_sub *sub;
	ioasid_t shared[STORM_SHARED];
	atomic_t errors;
	atomic_t allocs, frees;
	struct task_struct *threads[STORM_THREADS];
	struct completion done[STORM_THREADS];
	atomic_t nr;
	u32 seed;
	int ops;
};

static struct storm *the_storm;

static int storm_notify(struct notifier_block *nb, unsigned long event, void *p)
{
	struct ioasid_nb_args *args = p;
	struct storm *s = the_storm;

	if (event == IOASID_NOTIFY_ALLOC)
		atomic_inc(&s->allocs);
	else if (event == IOASID_NOTIFY_FREE)
		atomic_inc(&s->frees);
	if (args->set != s->set || IS_ERR(ioasid_find(s->set, args->id, NULL)))
		atomic_inc(&s->errors);
	return NOTIFY_OK;
}

static int storm_thread(void *data)
{
	struct storm *s = data;
	int me = atomic_inc_return(&s->nr) - 1;
	struct rnd_state rnd;
	ioasid_t id;
	int i, ret;

	prandom_seed_state(&rnd, s->seed + me);
	for (i = 0; i < s->ops; i++) {
		u32 r = prandom_u32_state(&rnd);
		ioasid_t *slot = &s->shared[(r >> 8) % STORM_SHARED];

		id = READ_ONCE(*slot);
		switch (r % 8) {
		case 0:
			id = test_id(s->set, TEST_FIRST, TEST_LAST, NULL);
			if (id != INVALID_IOASID)
				id = xchg(slot, id);
			if (id != INVALID_IOASID)
				ioasid_free(s->set, id);
			break;
		case 1:
			id = xchg(slot, INVALID_IOASID);
			if (id != INVALID_IOASID)
				ioasid_free(s->set, id);
			break;
		case 2:
			ioasid_attach_spid(id, (r >> 12) % 32);
			break;
		case 3:
			ioasid_detach_spid(id);
			break;
		case 4:
			if (!ioasid_use(s->set, id)) {
				cond_resched();
				ioasid_unuse(s->set, id);
			}
			break;
		case 5:
			id = ioasid_find_by_spid(s->set, (r >> 12) % 32, true);
			if (id != INVALID_IOASID)
				ioasid_put(s->set, id);
			break;
		case 6:
			ret = ioasid_get(s->set, id);
			if (!ret)
				ioasid_put(s->set, id);
			else if (ret != -ENOENT && ret != -EBUSY)
				atomic_inc(&s->errors);
			break;
		case 7:
			/* A double free is legal and changes nothing */
			if (!ioasid_get(s->set, id)) {
				if (xchg(slot, INVALID_IOASID) == id)
					ioasid_free(s->set, id);
				ioasid_free(s->set, id);
				ioasid_put(s->set, id);
			}
			break;
		}
		cond_resched();
	}
	complete(&s->done[me]);
	return 0;
}

static int storm_keep(ioasid_t id, void *data)
{
	++*(int *)data;
	return 0;
}

static void storm_eight_threads(struct kunit *test)
{
	struct storm *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	int i, live = 0;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->set = test_set(test, 0);
	s->seed = get_random_u32();
	s->ops = 4000;
	s->sub = test_sub(test, 's', 0);
	s->sub->nb.notifier_call = storm_notify;
	the_storm = s;
	kunit_info(test, "seed %u", s->seed);
	for (i = 0; i < STORM_SHARED; i++)
		s->shared[i] = INVALID_IOASID;
	KUNIT_ASSERT_EQ(test, test_register(s->set, s->sub), 0);
	for (i = 0; i < STORM_THREADS; i++)
		init_completion(&s->done[i]);
	for (i = 0; i < STORM_THREADS; i++) {
		s->threads[i] = kthread_run(storm_thread, s, "ioasid-storm");
		KUNIT_EXPECT_FALSE(test, IS_ERR(s->threads[i]));
		if (IS_ERR(s->threads[i]))
			break;
	}
	/* Those that run use what is gone when a test ends. */
	while (i--)
		wait_for_completion(&s->done[i]);

	ioasid_set_for_each_ioasid(s->set, storm_keep, &live);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->allocs) - atomic_read(&s->frees),
			live);
	KUNIT_EXPECT_EQ(test, s->set->nr, (u32)live);
	ioasid_set_free_all(s->set);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->allocs), atomic_read(&s->frees));
	KUNIT_EXPECT_EQ(test, atomic_read(&s->errors), 0);
	KUNIT_EXPECT_TRUE(test, ioasid_set_is_empty(s->set));
	KUNIT_EXPECT_TRUE(test, xa_empty(&s->set->spids));
	test_unregister(s->sub);
	ioasid_set_free(s->set);
}

static struct kunit_case ioasid_cases[] = {
	KUNIT_CASE(capacity_install_only_lowers),
	KUNIT_CASE(capacity_install_keeps_quotas),
	KUNIT_CASE(capacity_exhausted_enospc),
	KUNIT_CASE(set_alloc_errors),
	KUNIT_CASE(set_quota_is_reserved_and_returned),
	KUNIT_CASE(set_without_quota_shares),
	KUNIT_CASE(set_outlives_free_until_last_id),
	KUNIT_CASE(set_adjust),
	KUNIT_CASE(set_for_each_sees_every_id),
	KUNIT_CASE(alloc_lowest_free),
	KUNIT_CASE(alloc_errors),
	KUNIT_CASE(alloc_never_reserved_ids),
	KUNIT_CASE(number_not_reused_while_referenced),
	KUNIT_CASE(state_edges),
	KUNIT_CASE(free_pending_refuses),
	KUNIT_CASE(get_errors),
	KUNIT_CASE(find_and_data),
	KUNIT_CASE(spid_errors),
	KUNIT_CASE(spid_1_to_100000),
	KUNIT_CASE(notifier_errors),
	KUNIT_CASE(notifier_order),
	KUNIT_CASE(notifier_free_once_by_put),
	KUNIT_CASE(notifier_calls_back),
	KUNIT_CASE(notifier_detach_while_freed_unbinds_once),
	KUNIT_CASE(notifier_free_in_alloc),
	KUNIT_CASE(notifier_detach_in_free),
	KUNIT_CASE(notifier_in_use_hears_of_those_only),
	KUNIT_CASE(notifier_mm_before_and_after_the_set),
	KUNIT_CASE(notifier_mm_event_during_replay),
	KUNIT_CASE(allocator_result_is_checked),
	KUNIT_CASE(allocator_takes_over),
	KUNIT_CASE(storm_eight_threads),
	{}
};

static struct kunit_suite ioasid_suite = {
	.name = "ioasid",
	.init = ioasid_test_init,
	.exit = ioasid_test_exit,
	.test_cases = ioasid_cases,
};

kunit_test_suite(ioasid_suite);

MODULE_DESCRIPTION("KUnit tests of the IOASID core");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
