/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __ASM_GENERIC_KERNEL_PGTABLE_H
#define __ASM_GENERIC_KERNEL_PGTABLE_H

/* Nothing but the CPUs walks the kernel's page tables. */
static inline void kernel_pgtable_sync(void)
{
}

#endif /* __ASM_GENERIC_KERNEL_PGTABLE_H */
