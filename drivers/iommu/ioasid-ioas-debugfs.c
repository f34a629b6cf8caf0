// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/ioasid_spaces: the I/O address spaces of /dev/ioasid
 *
 * One line for each: what is mapped, and by entries of which size in the page table.
 * For people, no ABI. The table of one in which something is being mapped or unmapped
 * is "busy": that may last, and is not waited for.
 */
#include <linux/bits.h>
#include <linux/debugfs.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <uapi/linux/ioasid.h>

#include "ioasid-ioas.h"
#include "iommu-user.h"

/* Protects the list, in which an address space is as long as there is a reference. */
static DEFINE_MUTEX(ioasid_spaces_lock);
static LIST_HEAD(ioasid_spaces);

static struct dentry *ioasid_spaces_file;

/**
 * ioasid_ioas_list - show an address space
 * @ioas: the address space
 */
void ioasid_ioas_list(struct ioasid_ioas *ioas)
{
	mutex_lock(&ioasid_spaces_lock);
	list_add_tail(&ioas->spaces, &ioasid_spaces);
	mutex_unlock(&ioasid_spaces_lock);
}

/**
 * ioasid_ioas_unlist - do not show an address space any more
 * @ioas: the address space, without a reference
 */
void ioasid_ioas_unlist(struct ioasid_ioas *ioas)
{
	mutex_lock(&ioasid_spaces_lock);
	list_del(&ioas->spaces);
	mutex_unlock(&ioasid_spaces_lock);
}

/* From @at on, the first that is not going, after @skip others; with a reference */
static struct ioasid_ioas *ioasid_spaces_get(struct list_head *at, loff_t skip)
{
	struct ioasid_ioas *ioas;

	for (; at != &ioasid_spaces; at = at->next) {
		ioas = list_entry(at, struct ioasid_ioas, spaces);
		if (skip)
			skip--;
		else if (refcount_inc_not_zero(&ioas->refs))
			return ioas;
	}
	return NULL;
}

static void *ioasid_spaces_start(struct seq_file *m, loff_t *pos)
{
	struct ioasid_ioas *ioas;

	mutex_lock(&ioasid_spaces_lock);
	ioas = ioasid_spaces_get(ioasid_spaces.next, *pos);
	mutex_unlock(&ioasid_spaces_lock);
	return ioas;
}

static void *ioasid_spaces_next(struct seq_file *m, void *p, loff_t *pos)
{
	struct ioasid_ioas *ioas = p, *next;

	++*pos;
	mutex_lock(&ioasid_spaces_lock);
	next = ioasid_spaces_get(ioas->spaces.next, 0);
	mutex_unlock(&ioasid_spaces_lock);
	ioasid_ioas_put(ioas);
	return next;
}

static void ioasid_spaces_stop(struct seq_file *m, void *p)
{
	ioasid_ioas_put(p);
}

/* A part of the table from @iova on, with map_mutex. Returns where it ends, 0 for the end. */
static u64 ioasid_spaces_count(struct ioasid_ioas *ioas, u64 iova,
			       unsigned long counts[BITS_PER_LONG])
{
	struct ioasid_mapping *map = ioasid_maps_first(ioas, iova);
	struct iommu_run runs[16];
	unsigned int found, i;
	size_t page;

	if (!map)
		return 0;
	iova = max(iova, map->iova);
	found = iommu_iova_to_runs(ioas->domain, iova, map->last - iova + 1, runs,
				   ARRAY_SIZE(runs), &page);
	for (i = 0; i < found; i++) {
		counts[ilog2(page)] += runs[i].size / page;
		iova += runs[i].size;
	}
	return found ? iova : 0;
}

static void ioasid_spaces_show_pages(struct seq_file *m,
				     struct ioasid_ioas *ioas)
{
	unsigned long counts[BITS_PER_LONG] = {};
	unsigned long sizes = ioas->domain->pgsize_bitmap;
	unsigned int bit;
	u64 iova = 0;

	do {
		/* Each time: whose it is does not wait for who looks at it */
		if (!mutex_trylock(&ioas->map_mutex)) {
			seq_puts(m, " busy");
			return;
		}
		iova = ioasid_spaces_count(ioas, iova, counts);
		mutex_unlock(&ioas->map_mutex);
		cond_resched();
	} while (iova);
	for_each_set_bit(bit, &sizes, BITS_PER_LONG)
		seq_printf(m, " %luK:%lu", BIT(bit) / SZ_1K, counts[bit]);
}

static int ioasid_spaces_show(struct seq_file *m, void *p)
{
	struct ioasid_ioas *ioas = p;

	if (ioas->type == IOASID_TYPE_SVA) {
		seq_printf(m, "ioasid %u attached %u sva\n",
			   READ_ONCE(ioas->id), ioasid_ioas_attachments(ioas));
		return 0;
	}
	if (ioas->type == IOASID_TYPE_PGTABLE) {
		seq_printf(m, "ioasid %u attached %u pgtable parent %u%s\n",
			   READ_ONCE(ioas->id), ioasid_ioas_attachments(ioas),
			   READ_ONCE(ioas->parent->id),
			   READ_ONCE(ioas->domain) ? " bound" : "");
		return 0;
	}
	seq_printf(m, "ioasid %u attached %u mappings %u bytes %llu pages",
		   READ_ONCE(ioas->id), ioasid_ioas_attachments(ioas),
		   READ_ONCE(ioas->nr_maps), READ_ONCE(ioas->mapped));
	ioasid_spaces_show_pages(m, ioas);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations ioasid_spaces_sops = {
	.start = ioasid_spaces_start,
	.next = ioasid_spaces_next,
	.stop = ioasid_spaces_stop,
	.show = ioasid_spaces_show,
};
DEFINE_SEQ_ATTRIBUTE(ioasid_spaces);

/**
 * ioasid_ioas_debugfs_init - make the file
 */
void __init ioasid_ioas_debugfs_init(void)
{
	ioasid_spaces_file = debugfs_create_file("ioasid_spaces", 0400, NULL,
						 NULL, &ioasid_spaces_fops);
}

/**
 * ioasid_ioas_debugfs_exit - remove the file
 */
void ioasid_ioas_debugfs_exit(void)
{
	debugfs_remove(ioasid_spaces_file);
}
