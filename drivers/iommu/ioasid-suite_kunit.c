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
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ioasid_kunit.h"

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

struct test_sub *ioasid_test_sub(struct kunit *test, char who, int prio)
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

int ioasid_test_register(struct ioasid_set *set, struct test_sub *sub)
{
	return test_registered(sub, set, test_unregister_set,
			       ioasid_register_notifier(set, &sub->nb));
}

int ioasid_test_register_mm(struct test_sub *sub)
{
	return test_registered(sub, NULL, test_unregister_mm,
			       ioasid_register_notifier_mm(sub->ctx->mm,
							   &sub->nb));
}

int ioasid_test_register_in_use(struct test_sub *sub)
{
	return test_registered(sub, NULL, test_unregister_in_use,
			       ioasid_register_notifier_in_use(&sub->nb));
}

void ioasid_test_unregister(struct test_sub *sub)
{
	sub->unregister(sub);
	list_del_init(&sub->list);
}

static void test_nop(struct work_struct *work)
{
}

void ioasid_test_settle(void)
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

static void ioasid_test_exit(struct kunit *test)
{
	struct test_ctx *ctx = test->priv;
	struct test_allocator *a, *next_a;
	struct test_sub *sub, *next;

	if (!ctx)
		return;
	list_for_each_entry_safe(sub, next, &ctx->subs, list)
		ioasid_test_unregister(sub);
	list_for_each_entry_safe(a, next_a, &ctx->allocators, list)
		test_unregister_allocator(a);
	ioasid_test_settle();
	KUNIT_EXPECT_EQ(test, ctx->pool.left, ctx->pool.capacity);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), 1);
}

/* A case has the name of its function without the prefix. */
#define IOASID_CASE(_name)	{ .run_case = ioasid_test_##_name, .name = #_name }

static struct kunit_case ioasid_cases[] = {
	IOASID_CASE(capacity_install_only_lowers),
	IOASID_CASE(capacity_install_keeps_quotas),
	IOASID_CASE(capacity_exhausted_enospc),
	IOASID_CASE(set_alloc_errors),
	IOASID_CASE(set_quota_is_reserved_and_returned),
	IOASID_CASE(set_without_quota_shares),
	IOASID_CASE(set_outlives_free_until_last_id),
	IOASID_CASE(set_adjust),
	IOASID_CASE(set_for_each_sees_every_id),
	IOASID_CASE(alloc_lowest_free),
	IOASID_CASE(alloc_errors),
	IOASID_CASE(alloc_never_reserved_ids),
	IOASID_CASE(number_not_reused_while_referenced),
	IOASID_CASE(state_edges),
	IOASID_CASE(free_pending_refuses),
	IOASID_CASE(get_errors),
	IOASID_CASE(find_and_data),
	IOASID_CASE(spid_errors),
	IOASID_CASE(spid_1_to_100000),
	IOASID_CASE(notifier_errors),
	IOASID_CASE(notifier_order),
	IOASID_CASE(notifier_free_once_by_put),
	IOASID_CASE(notifier_calls_back),
	IOASID_CASE(notifier_detach_while_freed_unbinds_once),
	IOASID_CASE(notifier_free_in_alloc),
	IOASID_CASE(notifier_detach_in_free),
	IOASID_CASE(notifier_in_use_hears_of_those_only),
	IOASID_CASE(notifier_mm_before_and_after_the_set),
	IOASID_CASE(notifier_mm_event_during_replay),
	IOASID_CASE(allocator_result_is_checked),
	IOASID_CASE(allocator_takes_over),
	IOASID_CASE(storm_eight_threads),
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
