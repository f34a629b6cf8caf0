// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core: ids, their states, data and SPIDs
 */
#include "ioasid_kunit.h"

/* Allocation */

void ioasid_test_alloc_lowest_free(struct kunit *test)
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

void ioasid_test_alloc_errors(struct kunit *test)
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

void ioasid_test_alloc_never_reserved_ids(struct kunit *test)
{
	struct ioasid_set *set = test_set(test, 0);

	KUNIT_EXPECT_GE(test, test_id(set, 0, IOASID_MAX, NULL),
			(ioasid_t)IOASID_ALLOC_BASE);
	KUNIT_EXPECT_EQ(test, test_id(set, IOASID_MAX, U32_MAX, NULL),
			IOASID_MAX);
	ioasid_set_free(set);
}

void ioasid_test_number_not_reused_while_referenced(struct kunit *test)
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

void ioasid_test_state_edges(struct kunit *test)
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

void ioasid_test_free_pending_refuses(struct kunit *test)
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

void ioasid_test_get_errors(struct kunit *test)
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

void ioasid_test_find_and_data(struct kunit *test)
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

void ioasid_test_spid_errors(struct kunit *test)
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

void ioasid_test_spid_1_to_100000(struct kunit *test)
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
