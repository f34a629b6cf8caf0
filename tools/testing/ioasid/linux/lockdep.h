/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_LOCKDEP_H
#define _LINUX_LOCKDEP_H

#include <linux/bug.h>
#include <linux/spinlock.h>

#ifdef IOASID_BENCH
#define lockdep_is_held(lock)		1
#define lockdep_assert_held(lock)	((void)(lock))
#define lockdep_assert(cond)		((void)(cond))
#else
int lockdep_is_held(const void *lock);
#define lockdep_assert_held(lock)	((void)WARN_ON(!lockdep_is_held(lock)))
#define lockdep_assert(cond)		((void)WARN_ON(!(cond)))
#endif

#endif /* _LINUX_LOCKDEP_H */
