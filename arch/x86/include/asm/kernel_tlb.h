/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_X86_KERNEL_TLB_H
#define _ASM_X86_KERNEL_TLB_H

#include <linux/jump_label.h>

struct notifier_block;

/**
 * struct kernel_tlb_range - which translations the kernel flushed
 * @start: first address, 0 when all of them were flushed
 * @end: the address behind the last one, TLB_FLUSH_ALL when all of them were
 */
struct kernel_tlb_range {
	unsigned long start;
	unsigned long end;
};

#ifdef CONFIG_IOMMU_SVA
DECLARE_STATIC_KEY_FALSE(kernel_tlb_watched);

int kernel_tlb_register_notifier(struct notifier_block *nb);
int kernel_tlb_unregister_notifier(struct notifier_block *nb);
void kernel_tlb_call_notifiers(unsigned long start, unsigned long end);

/* The CPUs do not have the kernel's translations of the range any more. */
static inline void kernel_tlb_flushed(unsigned long start, unsigned long end)
{
	if (static_branch_unlikely(&kernel_tlb_watched))
		kernel_tlb_call_notifiers(start, end);
}
#else
static inline void kernel_tlb_flushed(unsigned long start, unsigned long end)
{
}
#endif

#endif /* _ASM_X86_KERNEL_TLB_H */
