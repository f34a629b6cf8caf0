// SPDX-License-Identifier: GPL-2.0
/*
 * Guest instructions of what frees kernel page tables, for scripts/bench: a module that maps and removes memory
 * between marks. Each region ends when the worker that gives tables back is done, if there is one. For a machine
 * with one CPU, and more memory than the kernel is told of (mem=1G).
 *
 * Loading it fails on purpose when it is done, so that it can be loaded again.
 */
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "insn-mark.h"

#define ROUNDS		20
#define SMALL		SZ_64K
#define MORE_MEMORY	SZ_1G
#define MORE_SIZE	SZ_128M

static bool sva;
module_param(sva, bool, 0);

static int small(void)
{
	void *area = vmalloc(SMALL);

	if (!area)
		return -ENOMEM;
	vfree(area);
	return 0;
}

static void prepare(void)
{
	vfree(vmalloc(2 * PMD_SIZE));
	/* So that the addresses are used again, which still have tables of small pages */
	vm_unmap_aliases();
	__flush_workqueue(system_wq);
}

static int large(void)
{
	unsigned int level;
	void *area = vmalloc_huge(PMD_SIZE, GFP_KERNEL);
	int ret = area && lookup_address((unsigned long)area, &level) && level == PG_LEVEL_2M ? 0 : -EILSEQ;

	vfree(area);
	__flush_workqueue(system_wq);
	return ret;
}

static int remove(void)
{
	int ret = remove_memory(MORE_MEMORY, MORE_SIZE);

	__flush_workqueue(system_wq);
	return ret;
}

/* Mark numbers are constants, so one copy for each */
#define MEASURE(base)								\
do {										\
	for (i = 0; i < ROUNDS && !ret; i++) {					\
		INSN_MARK_BEGIN(base);						\
		ret = small();							\
		INSN_MARK_END(base);						\
	}									\
	for (i = 0; i < ROUNDS && !ret; i++) {					\
		prepare();							\
		INSN_MARK_BEGIN((base) + 1);					\
		ret = large();							\
		INSN_MARK_END((base) + 1);					\
	}									\
	for (i = 0; i < ROUNDS && !ret; i++) {					\
		ret = add_memory(0, MORE_MEMORY, MORE_SIZE, MHP_NONE);		\
		if (ret)							\
			break;							\
		INSN_MARK_BEGIN((base) + 2);					\
		ret = remove();							\
		INSN_MARK_END((base) + 2);					\
	}									\
} while (0)

static int __init kpgtable_insns_init(void)
{
	int i, ret = 0;

	if (sva)
		MEASURE(4);
	else
		MEASURE(1);
	return ret ?: -EAGAIN;
}
module_init(kpgtable_insns_init);

MODULE_DESCRIPTION("Counts instructions where kernel page tables are freed");
MODULE_LICENSE("GPL");
