// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core: capacity and sets
 */
#include "ioasid_kunit.h"

/* Capacity */

static u32 test_lower(struct kunit *test, u32 total)
{
	struct test_ctx *ctx = test->priv;
	struct ioasid_pool pool;

	ioasid_pool_lower(&ctx->pool, total);
	ioasid_pool_read(&ctx->pool, &pool);
	return pool.capacity;
}

void ioasid_test_capacity_install_only_lowers(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, test_lower(test, TEST_CAPACITY + 1), TEST_CAPACITY);
	KUNIT_EXPECT_EQ(test, test_lower(test, 1000), 1000U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 500), 500U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 700), 500U);
	KUNIT_EXPECT_EQ(test, test_left(test), 500U);
	KUNIT_EXPECT_EQ(test, test_lower(test, 0), 0U);
}

void ioasid_test_capacity_install_keeps_quotas(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 100);

	KUNIT_EXPECT_EQ(test, test_lower(test, 150), 150U);
	KUNIT_EXPECT_EQ(test, test_left(test), 50U);
	/* Less than is out: ignored */
	KUNIT_EXPECT_EQ(test, test_lower(test, 99), 150U);
	ioasid_set_free(set);
}

void ioasid_test_capacity_exhausted_enospc(struct kunit *test)
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

void ioasid_test_set_alloc_errors(struct kunit *test)
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

void ioasid_test_set_quota_is_reserved_and_returned(struct kunit *test)
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

void ioasid_test_set_without_quota_shares(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);

	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
	test_alloc(test, set);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY - 1);
	ioasid_set_free_all(set);
	KUNIT_EXPECT_EQ(test, test_left(test), TEST_CAPACITY);
	ioasid_set_free(set);
}

void ioasid_test_set_outlives_free_until_last_id(struct kunit *test)
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

void ioasid_test_set_adjust(struct kunit *test)
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

void ioasid_test_set_for_each_sees_every_id(struct kunit *test)
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
