// SPDX-License-Identifier: GPL-2.0
/*
 * What is counted: ids and quotas of the pool, uses, memory.
 */
#include "test-events.h"

void events_set_free_with_users(void)
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

/* What a tenant causes is charged to him, whatever it is allocated for. */
void events_memory_is_accounted(void)
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

void events_uses_do_not_wrap(void)
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

/* Whatever users allocate, a share is left for others. */
void pool_keeps_a_share(void)
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
void pool_highest_number(void)
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
