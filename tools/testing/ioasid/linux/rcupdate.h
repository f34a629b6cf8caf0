/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_RCUPDATE_H
#define _SHIM_LINUX_RCUPDATE_H

#include <linux/kernel.h>
#include <linux/lockdep.h>

#ifdef IOASID_BENCH
#include <urcu-qsbr.h>

/* Callbacks run in batches in the thread that queued them, see bench-shim.c. */
void bench_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
#undef call_rcu
#define call_rcu(head, func)	bench_call_rcu(head, func)

/* As in the kernel, a function "below 4096" is an offset to kfree() from. */
#define kfree_rcu(ptr, field)						\
	bench_call_rcu(&(ptr)->field,					\
		       (void *)__builtin_offsetof(typeof(*(ptr)), field))

#define rcu_dereference_protected(p, cond)	CMM_LOAD_SHARED(p)
#define rcu_dereference_check(p, cond)		rcu_dereference(p)

#else /* !IOASID_BENCH */
#include <urcu.h>

/* Counts, and looks whether others are kept waiting by a mutex */
void shim_count_grace_period(void);

static inline void shim_synchronize_rcu(void)
{
	might_sleep();
	shim_count_grace_period();
	synchronize_rcu();
}
#undef synchronize_rcu
#define synchronize_rcu()	shim_synchronize_rcu()

/* The conditions are checked, as with PROVE_RCU. */
#define rcu_dereference_protected(p, cond) \
	({ WARN_ON(!(cond)); CMM_LOAD_SHARED(p); })
#define rcu_dereference_check(p, cond) \
	({ WARN_ON(!(cond) && !rcu_read_ongoing()); rcu_dereference(p); })
#endif /* IOASID_BENCH */

#define rcu_dereference_raw(p)		rcu_dereference(p)
#define rcu_access_pointer(p)		CMM_LOAD_SHARED(p)
#define RCU_INIT_POINTER(p, v)		do { (p) = (v); } while (0)
#define RCU_LOCKDEP_WARN(cond, s)	do { } while (0)
#define rcu_replace_pointer(p, v, cond)					\
({									\
	typeof(p) __old = rcu_dereference_protected(p, cond);		\
	rcu_assign_pointer(p, v);					\
	__old;								\
})

#endif /* _SHIM_LINUX_RCUPDATE_H */
