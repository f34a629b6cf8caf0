/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_REFCOUNT_H
#define _SHIM_LINUX_REFCOUNT_H

/*
 * tools/include has one that asserts; a warning is what the kernel gives, and
 * dec_and_test is one atomic operation there, which matters to the benchmark.
 */
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/types.h>

typedef struct refcount_struct {
	unsigned int refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, unsigned int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return __atomic_load_n(&r->refs, __ATOMIC_RELAXED);
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	unsigned int old = refcount_read(r);

	do {
		if (!old)
			return false;
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old + 1, false,
					      __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	WARN((int)old < 0, "refcount saturated\n");
	return true;
}

static inline void refcount_inc(refcount_t *r)
{
	unsigned int old = __atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);

	WARN(!old, "refcount taken from 0\n");
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	unsigned int old = __atomic_fetch_sub(&r->refs, 1, __ATOMIC_RELEASE);

	if (old == 1) {
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		return true;
	}
	WARN((int)old <= 0, "refcount underflow\n");
	return false;
}

#define smp_mb__after_atomic()	barrier()

#endif /* _SHIM_LINUX_REFCOUNT_H */
