// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core: custom allocators
 */
#include "ioasid_kunit.h"

static int test_register_allocator(struct kunit *test, struct test_allocator *a)
{
	struct test_ctx *ctx = test->priv;
	int ret = ioasid_register_allocator(&a->ops);

	if (!ret)
		list_add(&a->list, &ctx->allocators);
	return ret;
}

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

void ioasid_test_allocator_result_is_checked(struct kunit *test)
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

void ioasid_test_allocator_takes_over(struct kunit *test)
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
