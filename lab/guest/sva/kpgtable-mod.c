// SPDX-License-Identifier: GPL-2.0
/*
 * A module for tests of kernel page tables that are freed while an IOMMU walks them: it puts a table in place,
 * has it freed by the kernel, gets hold of the page, and fills it with entries such as an attacker's, which open
 * a page of the kernel to user requests. See kpgtable.h.
 *
 * A walk through the freed table is real: with the upper entries, which have the user bit set in all of the
 * vmalloc area and the direct map, those entries let a device write the page.
 */
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "kpgtable.h"

/* No device is there, and nobody uses the mappings but the test's device, whose requests are those of a user */
#define NOWHERE		(512ULL * SZ_1G)
/* Above what the kernel has of the machine's memory: it runs with mem=1G */
#define MORE_MEMORY	SZ_1G
#define MORE_SIZE	SZ_128M
/* Behind all memory, and less than what one table of the shadow is for: 16 MiB */
#define SHADOWED	((void *)__va(512ULL * SZ_1G))
#define SHADOWED_SIZE	SZ_8M
#define VICTIM		0x5a
#define TAKE_TRIES	100
#define TAKE_PAGES	512
#define TAKE_MANY	SZ_64K	/* of every tenth try: it may be part of a larger free block by then */

static DEFINE_MUTEX(kpt_lock);
static struct dentry *kpt_file;

static enum kpgtable_kind kpt_kind;
static unsigned long kpt_address;	/* where the mapping begins */
static void __iomem *kpt_mapping;
static bool kpt_added;
static bool kpt_shadowed;
static struct page *kpt_table;
static bool kpt_table_taken;
static struct page *kpt_victim;
static u64 *kpt_cut;			/* the entry that a control took away, and what it was */
static u64 kpt_cut_value;

/* KASAN's functions for device memory are not for modules */
static unsigned long kpt_function(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	unsigned long address = 0;

	if (!register_kprobe(&probe)) {
		address = (unsigned long)probe.addr;
		unregister_kprobe(&probe);
	}
	return address;
}

static int kpt_add_shadow(void)
{
#ifdef CONFIG_KASAN
	int (*add)(void *start, unsigned long size) = (void *)kpt_function("kasan_add_zero_shadow");
	int ret = add ? add(SHADOWED, SHADOWED_SIZE) : -EOPNOTSUPP;

	kpt_shadowed = !ret;
	kpt_address = (unsigned long)kasan_mem_to_shadow(SHADOWED);
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}

static int kpt_remove_shadow(void)
{
	void (*remove)(void *start, unsigned long size) = (void *)kpt_function("kasan_remove_zero_shadow");

	kpt_shadowed = false;
	if (!remove)
		return -EOPNOTSUPP;
	remove(SHADOWED, SHADOWED_SIZE);
	return 0;
}

/* What an entry of the table maps */
static unsigned int kpt_level(void)
{
	return kpt_kind == KPGTABLE_PTE || kpt_kind == KPGTABLE_SHADOW ? PG_LEVEL_4K : PG_LEVEL_2M;
}

static u64 kpt_size(void)
{
	return kpt_kind == KPGTABLE_PTE ? PMD_SIZE : PUD_SIZE;
}

/* Where the forged entries let a user write, as an offset into what an entry maps */
static unsigned long kpt_offset(void)
{
	return kpt_level() == PG_LEVEL_4K ? 0 : page_to_phys(kpt_victim) & ~PMD_MASK;
}

/* The entry above the table */
static u64 *kpt_upper(unsigned long address, unsigned int level)
{
	pgd_t *pgd = pgd_offset_pgd((pgd_t *)__va(read_cr3_pa()), address);
	pud_t *pud = pud_offset(p4d_offset(pgd, address), address);

	return level == PG_LEVEL_2M ? (u64 *)pud : (u64 *)pmd_offset(pud, address);
}

static int kpt_map(void)
{
	unsigned int level;
	pte_t *entry;
	int ret;

	if (kpt_victim)
		return -EBUSY;
	kpt_victim = alloc_page(GFP_KERNEL);
	if (!kpt_victim)
		return -ENOMEM;
	memset(page_address(kpt_victim), VICTIM, PAGE_SIZE);

	if (kpt_kind == KPGTABLE_MEMORY) {
		/* Not online: nobody uses it, and removing it frees its part of the direct map */
		ret = add_memory(0, MORE_MEMORY, MORE_SIZE, MHP_NONE);
		if (ret)
			return ret;
		kpt_added = true;
		kpt_address = (unsigned long)__va(MORE_MEMORY);
	} else if (kpt_kind == KPGTABLE_SHADOW) {
		ret = kpt_add_shadow();
		if (ret)
			return ret;
	} else {
		/* Addresses that wait to be given out again come now, not between this mapping and the next */
		vm_unmap_aliases();
		/* One page off, so that it cannot be mapped by what is one size larger */
		kpt_mapping = ioremap(NOWHERE + (kpt_kind == KPGTABLE_PTE ? PAGE_SIZE : PMD_SIZE), kpt_size());
		if (!kpt_mapping)
			return -ENOMEM;
		kpt_address = (unsigned long)kpt_mapping;
	}
	entry = lookup_address(kpt_address, &level);
	if (!entry || level != kpt_level())
		return -EILSEQ;
	kpt_table = virt_to_page(entry);
	kpt_table_taken = false;
	return 0;
}

static int kpt_free(void)
{
	unsigned int level;

	if (kpt_added) {
		kpt_added = false;
		return remove_memory(MORE_MEMORY, MORE_SIZE);
	}
	if (kpt_shadowed)
		return kpt_remove_shadow();
	iounmap(kpt_mapping);
	/* The addresses are given out again only after this */
	vm_unmap_aliases();
	kpt_mapping = ioremap(NOWHERE, kpt_size());
	if (!kpt_mapping)
		return -ENOMEM;
	/* Somebody else was in between */
	if ((unsigned long)kpt_mapping != kpt_address)
		return -ESTALE;
	if (!lookup_address(kpt_address, &level) ||
	    level != (kpt_kind == KPGTABLE_PTE ? PG_LEVEL_2M : PG_LEVEL_1G))
		return -EILSEQ;
	return 0;
}

static void kpt_forge(void)
{
	u64 entry, *entries = page_address(kpt_table);
	int i;

	entry = page_to_phys(kpt_victim) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY;
	if (kpt_level() == PG_LEVEL_2M)
		entry = (entry & (PMD_MASK | ~PAGE_MASK)) | _PAGE_PSE;
	for (i = 0; i < PTRS_PER_PTE; i++)
		WRITE_ONCE(entries[i], entry);
}

static int kpt_control(void)
{
	unsigned int level;

	if (kpt_kind >= KPGTABLE_MEMORY || !lookup_address(kpt_address, &level))
		return -EINVAL;
	kpt_cut = kpt_upper(kpt_address, level);
	kpt_cut_value = *kpt_cut;
	WRITE_ONCE(*kpt_cut, 0);
	kpt_forge();
	return 0;
}

/* Pages that were freed on a CPU are found there first */
static long kpt_take_here(void *data)
{
	int i, nr = *(int *)data;
	struct page *page, *next;
	LIST_HEAD(others);

	for (i = 0; i < nr && !kpt_table_taken; i++) {
		page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		if (!page)
			break;
		if (page == kpt_table)
			kpt_table_taken = true;
		else
			list_add(&page->lru, &others);
	}
	list_for_each_entry_safe(page, next, &others, lru)
		__free_page(page);
	return 0;
}

static int kpt_take(void)
{
	int tries, cpu, nr;

	for (tries = 1; tries <= TAKE_TRIES; tries++) {
		nr = tries % 10 ? TAKE_PAGES : TAKE_MANY;
		for_each_online_cpu(cpu) {
			work_on_cpu(cpu, kpt_take_here, &nr);
			if (kpt_table_taken) {
				kpt_forge();
				return 0;
			}
		}
		msleep(10);
	}
	return -EAGAIN;
}

static void kpt_end(void)
{
	if (kpt_added)
		WARN_ON(remove_memory(MORE_MEMORY, MORE_SIZE));
	kpt_added = false;
	if (kpt_shadowed)
		kpt_remove_shadow();
	if (kpt_cut) {
		/* The table is the kernel's still. It is empty, as if unmapped. */
		clear_page(page_address(kpt_table));
		WRITE_ONCE(*kpt_cut, kpt_cut_value);
		kpt_cut = NULL;
	}
	if (kpt_mapping)
		iounmap(kpt_mapping);
	kpt_mapping = NULL;
	if (kpt_table_taken) {
		clear_page(page_address(kpt_table));
		__free_page(kpt_table);
	}
	kpt_table_taken = false;
	kpt_table = NULL;
	if (kpt_victim)
		__free_page(kpt_victim);
	kpt_victim = NULL;
}

static long kpt_command(unsigned int command, __u64 __user *arg)
{
	u64 word;
	int ret;

	switch (command) {
	case KPGTABLE_MAP:
		if (get_user(word, arg))
			return -EFAULT;
		if (word > KPGTABLE_SHADOW)
			return -EINVAL;
		kpt_kind = word;
		ret = kpt_map();
		return ret ?: put_user((u64)kpt_address + kpt_offset(), arg);
	case KPGTABLE_END:
		kpt_end();
		return 0;
	}
	if (!kpt_table)
		return -EINVAL;
	switch (command) {
	case KPGTABLE_FREE:
		return kpt_free();
	case KPGTABLE_CONTROL:
		return kpt_control();
	case KPGTABLE_TAKE:
		return kpt_take();
	case KPGTABLE_WRITTEN:
		return !!memchr_inv(page_address(kpt_victim), VICTIM, PAGE_SIZE);
	}
	return -ENOTTY;
}

static long kpt_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	long ret;

	mutex_lock(&kpt_lock);
	ret = kpt_command(command, (__u64 __user *)arg);
	mutex_unlock(&kpt_lock);
	return ret;
}

static const struct file_operations kpt_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.unlocked_ioctl = kpt_ioctl,
	.llseek = no_llseek,
};

static int __init kpt_init(void)
{
	kpt_file = debugfs_create_file_unsafe("kpgtable", 0600, NULL, NULL, &kpt_fops);
	return PTR_ERR_OR_ZERO(kpt_file);
}
module_init(kpt_init);

static void __exit kpt_exit(void)
{
	debugfs_remove(kpt_file);
	kpt_end();
}
module_exit(kpt_exit);

MODULE_DESCRIPTION("Forges kernel page tables that were freed");
MODULE_LICENSE("GPL");
