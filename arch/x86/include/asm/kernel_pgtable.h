/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_X86_KERNEL_PGTABLE_H
#define _ASM_X86_KERNEL_PGTABLE_H

#include <linux/gfp.h>
#include <linux/mm_types.h>

#ifdef CONFIG_IOMMU_SVA
/**
 * struct kernel_pgtable_walker - hardware besides the CPUs that walks the tables
 * @flush: forget all entries of the kernel's part of the tables that point to
 *	   tables. Called under RCU with interrupts enabled, must not sleep.
 */
struct kernel_pgtable_walker {
	void (*flush)(void);
};

void kernel_pgtable_set_walker(const struct kernel_pgtable_walker *walker);
void kernel_pgtable_walker_get(void);
void kernel_pgtable_walker_put(void);
void kernel_pgtable_sync(void);
void kernel_pgtable_free(struct page *page);
#else
static inline void kernel_pgtable_sync(void)
{
}

static inline void kernel_pgtable_free(struct page *page)
{
	__free_page(page);
}
#endif

#endif /* _ASM_X86_KERNEL_PGTABLE_H */
