/* SPDX-License-Identifier: GPL-2.0 */
/* tools/include makes synchronize_rcu() a no-op, the core needs the real one. */
#pragma push_macro("synchronize_rcu")
#undef synchronize_rcu
#include "../../radix-tree/linux/kernel.h"
#undef synchronize_rcu
#pragma pop_macro("synchronize_rcu")

#ifndef _SHIM_LINUX_KERNEL_H
#define _SHIM_LINUX_KERNEL_H

#include <linux/bug.h>
#include <linux/printk.h>

#define notrace
#define swap(a, b) \
	do { typeof(a) __tmp = (a); (a) = (b); (b) = __tmp; } while (0)
#define U16_MAX ((u16)~0U)

/* Sleeping under a lock, with interrupts off or in a handler is a bug. */
#ifdef IOASID_BENCH
void bench_quiesce(void);
#define might_sleep()	do { } while (0)
#define cond_resched()	bench_quiesce()
#else
void shim_might_sleep(const char *file, int line);
#define might_sleep()	shim_might_sleep(__FILE__, __LINE__)
#define cond_resched()	might_sleep()
#endif

#endif /* _SHIM_LINUX_KERNEL_H */
