/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the KUnit tests of the IOASID core share */
#ifndef __IOASID_KUNIT_H
#define __IOASID_KUNIT_H

#include <kunit/test.h>

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

struct test_allocator {
	struct ioasid_allocator_ops ops;
	struct list_head list;	/* in the test's allocators while registered */
	ioasid_t next;
	int allocs, frees;
	ioasid_t freed;
};

/* Subscribers; what they are notified of is written to the test's events. */
struct test_sub *ioasid_test_sub(struct kunit *test, char who, int prio);
int ioasid_test_register(struct ioasid_set *set, struct test_sub *sub);
int ioasid_test_register_mm(struct test_sub *sub);
int ioasid_test_register_in_use(struct test_sub *sub);
void ioasid_test_unregister(struct test_sub *sub);

/* Wait until sets that were put are really freed. */
void ioasid_test_settle(void);

static inline void test_unregister_allocator(struct test_allocator *a)
{
	ioasid_unregister_allocator(&a->ops);
	list_del(&a->list);
}

static inline struct ioasid_set *test_set(struct kunit *test, u32 quota)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *set;

	set = __ioasid_set_alloc(&ctx->pool, NULL, quota, IOASID_SET_TYPE_NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(set));
	return set;
}

static inline struct ioasid_set *test_mm_set(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_set *set;

	set = __ioasid_set_alloc(&ctx->pool, ctx->mm, 0, IOASID_SET_TYPE_MM);
	KUNIT_ASSERT_FALSE(test, IS_ERR(set));
	return set;
}

static inline ioasid_t test_id(struct ioasid_set *set, ioasid_t min,
			       ioasid_t max, void *private)
{
	ioasid_t id;

	return ioasid_alloc(set, min, max, private, &id) ? INVALID_IOASID : id;
}

static inline ioasid_t test_alloc(struct kunit *test, struct ioasid_set *set)
{
	ioasid_t id = test_id(set, TEST_FIRST, TEST_LAST, NULL);

	KUNIT_ASSERT_NE(test, id, INVALID_IOASID);
	return id;
}

static inline enum ioasid_state test_state(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e ? e->state : IOASID_STATE_RELEASED;
}

static inline unsigned int test_refs(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e ? refcount_read(&e->refs) : 0;
}

static inline u32 test_left(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_pool pool;

	ioasid_pool_read(&ctx->pool, &pool);
	return pool.left;
}

/* ioasid-set_kunit.c */
void ioasid_test_capacity_install_only_lowers(struct kunit *test);
void ioasid_test_capacity_install_keeps_quotas(struct kunit *test);
void ioasid_test_capacity_exhausted_enospc(struct kunit *test);
void ioasid_test_set_alloc_errors(struct kunit *test);
void ioasid_test_set_quota_is_reserved_and_returned(struct kunit *test);
void ioasid_test_set_without_quota_shares(struct kunit *test);
void ioasid_test_set_outlives_free_until_last_id(struct kunit *test);
void ioasid_test_set_adjust(struct kunit *test);
void ioasid_test_set_for_each_sees_every_id(struct kunit *test);

/* ioasid-id_kunit.c */
void ioasid_test_alloc_lowest_free(struct kunit *test);
void ioasid_test_alloc_errors(struct kunit *test);
void ioasid_test_alloc_never_reserved_ids(struct kunit *test);
void ioasid_test_number_not_reused_while_referenced(struct kunit *test);
void ioasid_test_state_edges(struct kunit *test);
void ioasid_test_free_pending_refuses(struct kunit *test);
void ioasid_test_get_errors(struct kunit *test);
void ioasid_test_find_and_data(struct kunit *test);
void ioasid_test_spid_errors(struct kunit *test);
void ioasid_test_spid_1_to_100000(struct kunit *test);

/* ioasid-notifier_kunit.c */
void ioasid_test_notifier_errors(struct kunit *test);
void ioasid_test_notifier_order(struct kunit *test);
void ioasid_test_notifier_free_once_by_put(struct kunit *test);
void ioasid_test_notifier_calls_back(struct kunit *test);
void ioasid_test_notifier_detach_while_freed_unbinds_once(struct kunit *test);
void ioasid_test_notifier_free_in_alloc(struct kunit *test);
void ioasid_test_notifier_detach_in_free(struct kunit *test);
void ioasid_test_notifier_in_use_hears_of_those_only(struct kunit *test);
void ioasid_test_notifier_mm_before_and_after_the_set(struct kunit *test);
void ioasid_test_notifier_mm_event_during_replay(struct kunit *test);

/* ioasid-allocator_kunit.c */
void ioasid_test_allocator_result_is_checked(struct kunit *test);
void ioasid_test_allocator_takes_over(struct kunit *test);

/* ioasid-storm_kunit.c */
void ioasid_test_storm_eight_threads(struct kunit *test);

#endif /* __IOASID_KUNIT_H */
