// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the IOASID core: concurrency
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/prandom.h>

#include "ioasid_kunit.h"

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

void ioasid_test_storm_eight_threads(struct kunit *test)
{
	struct storm *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	int i, live = 0;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->set = test_set(test, 0);
	s->seed = get_random_u32();
	s->ops = 4000;
	s->sub = ioasid_test_sub(test, 's', 0);
	s->sub->nb.notifier_call = storm_notify;
	the_storm = s;
	kunit_info(test, "seed %u", s->seed);
	for (i = 0; i < STORM_SHARED; i++)
		s->shared[i] = INVALID_IOASID;
	KUNIT_ASSERT_EQ(test, ioasid_test_register(s->set, s->sub), 0);
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
	ioasid_test_unregister(s->sub);
	ioasid_set_free(s->set);
}
