// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of kernel_tlb.c: each change of the kernel's mappings is notified of
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/set_memory.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include <asm/kernel_tlb.h>
#include <asm/tlbflush.h>

/* Few enough pages to be flushed one by one */
#define TEST_PAGES	4

/**
 * struct kernel_tlb_watch - a notifier that waits for the flush of a range
 * @nb: notifier
 * @lock: protects the rest; flushes come from any CPU
 * @start: first address of the range
 * @end: the address behind it
 * @flushed: the part of it from @start on that was flushed, in bytes
 * @all: all translations were flushed
 * @calls: how often it was called, for whatever range
 */
struct kernel_tlb_watch {
	struct notifier_block nb;
	spinlock_t lock;
	unsigned long start;
	unsigned long end;
	unsigned long flushed;
	bool all;
	unsigned int calls;
};

static int kernel_tlb_watch_fn(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct kernel_tlb_watch *watch =
		container_of(nb, struct kernel_tlb_watch, nb);
	const struct kernel_tlb_range *range = data;
	unsigned long next, flags;

	spin_lock_irqsave(&watch->lock, flags);
	watch->calls++;
	if (!range->start && range->end == TLB_FLUSH_ALL)
		watch->all = true;
	/* set_memory_*() flushes page by page */
	next = watch->start + watch->flushed;
	if (range->start <= next && range->end > next)
		watch->flushed = min(range->end, watch->end) - watch->start;
	spin_unlock_irqrestore(&watch->lock, flags);
	return NOTIFY_OK;
}

static void watch_range(struct kernel_tlb_watch *watch, void *start,
			unsigned int pages)
{
	spin_lock_irq(&watch->lock);
	watch->start = (unsigned long)start;
	watch->end = watch->start + pages * PAGE_SIZE;
	watch->flushed = 0;
	watch->all = false;
	watch->calls = 0;
	spin_unlock_irq(&watch->lock);
}

static bool watch_saw_range(struct kernel_tlb_watch *watch)
{
	bool saw;

	spin_lock_irq(&watch->lock);
	saw = watch->start + watch->flushed == watch->end;
	spin_unlock_irq(&watch->lock);
	return saw;
}

static bool watch_saw_all(struct kernel_tlb_watch *watch)
{
	bool saw;

	spin_lock_irq(&watch->lock);
	saw = watch->all;
	spin_unlock_irq(&watch->lock);
	return saw;
}

static int kernel_tlb_test_init(struct kunit *test)
{
	struct kernel_tlb_watch *watch;

	watch = kunit_kzalloc(test, sizeof(*watch), GFP_KERNEL);
	if (!watch)
		return -ENOMEM;
	spin_lock_init(&watch->lock);
	watch->nb.notifier_call = kernel_tlb_watch_fn;
	test->priv = watch;
	return kernel_tlb_register_notifier(&watch->nb);
}

static void kernel_tlb_test_exit(struct kunit *test)
{
	struct kernel_tlb_watch *watch = test->priv;

	if (watch)
		kernel_tlb_unregister_notifier(&watch->nb);
}

static void unmap_is_told(struct kunit *test)
{
	struct kernel_tlb_watch *watch = test->priv;
	void *area = vmalloc(TEST_PAGES * PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, area);
	watch_range(watch, area, TEST_PAGES);
	vfree(area);
	/* Unmapped areas wait for each other otherwise */
	vm_unmap_aliases();
	KUNIT_EXPECT_TRUE(test, watch_saw_range(watch));
}

static void set_memory_is_told(struct kunit *test)
{
	struct kernel_tlb_watch *watch = test->priv;
	unsigned long addr;

	addr = __get_free_pages(GFP_KERNEL, get_order(TEST_PAGES * PAGE_SIZE));
	KUNIT_ASSERT_NE(test, addr, 0UL);

	watch_range(watch, (void *)addr, TEST_PAGES);
	KUNIT_EXPECT_EQ(test, set_memory_ro(addr, TEST_PAGES), 0);
	KUNIT_EXPECT_TRUE(test, watch_saw_range(watch));

	/* Again, without a large page to split, which flushes all */
	KUNIT_EXPECT_EQ(test, set_memory_rw(addr, TEST_PAGES), 0);
	watch_range(watch, (void *)addr, TEST_PAGES);
	KUNIT_EXPECT_EQ(test, set_memory_ro(addr, TEST_PAGES), 0);
	KUNIT_EXPECT_TRUE(test, watch_saw_range(watch));
	KUNIT_EXPECT_FALSE(test, watch_saw_all(watch));

	KUNIT_EXPECT_EQ(test, set_memory_rw(addr, TEST_PAGES), 0);
	free_pages(addr, get_order(TEST_PAGES * PAGE_SIZE));
}

static void flush_of_all_is_told(struct kunit *test)
{
	struct kernel_tlb_watch *watch = test->priv;

	watch_range(watch, NULL, 0);
	flush_tlb_all();
	KUNIT_EXPECT_TRUE(test, watch_saw_all(watch));
}

static void nobody_is_told_after_the_end(struct kunit *test)
{
	struct kernel_tlb_watch *watch = test->priv;

	KUNIT_EXPECT_EQ(test, kernel_tlb_unregister_notifier(&watch->nb), 0);
	KUNIT_EXPECT_EQ(test, kernel_tlb_unregister_notifier(&watch->nb),
			-ENOENT);
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&kernel_tlb_watched.key));

	watch_range(watch, NULL, 0);
	flush_tlb_all();
	KUNIT_EXPECT_EQ(test, watch->calls, 0U);

	KUNIT_EXPECT_EQ(test, kernel_tlb_register_notifier(&watch->nb), 0);
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&kernel_tlb_watched.key));
}

static struct kunit_case kernel_tlb_test_cases[] = {
	KUNIT_CASE(unmap_is_told),
	KUNIT_CASE(set_memory_is_told),
	KUNIT_CASE(flush_of_all_is_told),
	KUNIT_CASE(nobody_is_told_after_the_end),
	{}
};

static struct kunit_suite kernel_tlb_test_suite = {
	.name = "kernel_tlb",
	.init = kernel_tlb_test_init,
	.exit = kernel_tlb_test_exit,
	.test_cases = kernel_tlb_test_cases,
};

kunit_test_suite(kernel_tlb_test_suite);
