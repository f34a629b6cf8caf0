// SPDX-License-Identifier: GPL-2.0
/*
 * Freeing the kernel's page tables when IOMMUs walk them, too
 *
 * With shared virtual addressing (SVA) an IOMMU walks the tables of a process,
 * and the upper half of those are the kernel's. User requests get no translation
 * there, but the IOMMU walks the tables to find that out, and may keep what it
 * has seen of the upper levels in its paging-structure caches (VT-d 4.0, 6.2.4).
 * The CPUs are notified when the kernel changes its tables, the IOMMU is not: it can
 * walk on through a table that was freed, and take for an entry what is in that
 * page now. Whoever can write there, decides which memory the device reaches.
 *
 * So a table that was in use is only given back after the caches of all IOMMUs
 * with SVA were flushed. The entry that pointed to it must be clear before. The
 * tables are collected and freed from a workqueue, as the flush takes a command
 * for each process and IOMMU.
 *
 * Changes of entries that map memory are no concern of this: they have the
 * supervisor bit, which keeps user requests out whatever they map.
 *
 * Where nobody uses SVA, tables are freed at once. A process that starts to use
 * it at the same time does no harm: its IOMMU is given the tables after the
 * static key was switched, and sees that the entry is clear.
 */
#include <linux/jump_label_ratelimit.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <asm/kernel_pgtable.h>

/* SVA is in use. Not switched off at once: it costs more than to leave it on. */
static DEFINE_STATIC_KEY_DEFERRED_FALSE(kernel_pgtable_shared, HZ);

static const struct kernel_pgtable_walker __rcu *kernel_pgtable_walker;

/* Protects the list of tables, which are linked by their lru */
static DEFINE_SPINLOCK(kernel_pgtable_lock);
static LIST_HEAD(kernel_pgtables);

/**
 * kernel_pgtable_set_walker - who flushes, NULL: nobody
 * @walker: the driver of the IOMMUs, stays
 */
void kernel_pgtable_set_walker(const struct kernel_pgtable_walker *walker)
{
	rcu_assign_pointer(kernel_pgtable_walker, walker);
}

/**
 * kernel_pgtable_walker_get - an IOMMU is about to be given a process's tables
 *
 * To be called before that, and kernel_pgtable_walker_put() after it does not
 * have them any more. Counts.
 *
 * Context: Process context, may sleep.
 */
void kernel_pgtable_walker_get(void)
{
	static_branch_deferred_inc(&kernel_pgtable_shared);
}

/**
 * kernel_pgtable_walker_put - undo kernel_pgtable_walker_get()
 *
 * Context: Process context, may sleep.
 */
void kernel_pgtable_walker_put(void)
{
	static_branch_slow_dec_deferred(&kernel_pgtable_shared);
}

static void kernel_pgtable_flush(void)
{
	const struct kernel_pgtable_walker *walker;

	rcu_read_lock();
	walker = rcu_dereference(kernel_pgtable_walker);
	if (walker)
		walker->flush();
	rcu_read_unlock();
}

/**
 * kernel_pgtable_sync - let no IOMMU use a table that is not in place any more
 *
 * For the caller that frees the table itself.
 *
 * Context: Any context in which interrupts are enabled.
 */
void kernel_pgtable_sync(void)
{
	if (static_branch_unlikely(&kernel_pgtable_shared.key))
		kernel_pgtable_flush();
}

static void kernel_pgtable_free_work_fn(struct work_struct *work)
{
	struct page *page, *next;
	LIST_HEAD(tables);

	spin_lock(&kernel_pgtable_lock);
	list_splice_init(&kernel_pgtables, &tables);
	spin_unlock(&kernel_pgtable_lock);

	kernel_pgtable_flush();
	list_for_each_entry_safe(page, next, &tables, lru)
		__free_page(page);
}

static DECLARE_WORK(kernel_pgtable_free_work, kernel_pgtable_free_work_fn);

/**
 * kernel_pgtable_free - free a table of the kernel's page table
 * @page: the table, which is in no entry any more, nor in the TLB of a CPU
 *
 * Context: Process context.
 */
void kernel_pgtable_free(struct page *page)
{
	if (!static_branch_unlikely(&kernel_pgtable_shared.key)) {
		__free_page(page);
		return;
	}

	spin_lock(&kernel_pgtable_lock);
	list_add_tail(&page->lru, &kernel_pgtables);
	spin_unlock(&kernel_pgtable_lock);
	schedule_work(&kernel_pgtable_free_work);
}
