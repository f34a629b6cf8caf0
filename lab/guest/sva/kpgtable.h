/* SPDX-License-Identifier: GPL-2.0 */
/* What lab/guest/sva/kpgtable-mod.c does for lab/guest/sva/sva-kpgtable.c, by ioctl() on /sys/kernel/debug/kpgtable */
#ifndef LAB_KPGTABLE_H
#define LAB_KPGTABLE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Which kernel page table a test is about */
enum kpgtable_kind {
	KPGTABLE_PTE,		/* of an ioremap() of 4 KiB pages, which one of 2 MiB replaces */
	KPGTABLE_PMD,		/* of an ioremap() of 2 MiB pages, which one of 1 GiB replaces */
	KPGTABLE_MEMORY,	/* of the direct map of memory that is added, and removed */
	KPGTABLE_SHADOW,	/* of KASAN's shadow of memory that comes and goes; EOPNOTSUPP without KASAN */
};

/* Puts the table in place; gives the address that leads through it to where KPGTABLE_TAKE lets it lead */
#define KPGTABLE_MAP		_IOWR('k', 1, __u64)
/* Lets the kernel free the table as it does it */
#define KPGTABLE_FREE		_IO('k', 2)
/* Does it wrong: takes the table out without a flush of the IOMMU. It is forged then. */
#define KPGTABLE_CONTROL	_IO('k', 3)
/* Waits until the page that was the table is free, allocates it, and writes entries that let a user into the victim */
#define KPGTABLE_TAKE		_IO('k', 4)
/* 1: somebody has written the victim */
#define KPGTABLE_WRITTEN	_IO('k', 5)
/* Everything is as before KPGTABLE_MAP */
#define KPGTABLE_END		_IO('k', 6)

#endif
