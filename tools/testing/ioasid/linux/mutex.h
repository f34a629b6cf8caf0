/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_MUTEX_H
#define _SHIM_LINUX_MUTEX_H

#include <pthread.h>
#include <linux/lockdep.h>

/* Begins with the owner as a spinlock does, for lockdep_is_held() */
struct mutex {
	spinlock_t lock;
};

#define DEFINE_MUTEX(x) \
	struct mutex x = { .lock = __SPIN_LOCK_UNLOCKED(x.lock) }

#ifdef IOASID_BENCH
#define mutex_lock(m)	spin_lock(&(m)->lock)
#define mutex_unlock(m)	spin_unlock(&(m)->lock)
#define mutex_lock_killable(m)	({ mutex_lock(m); 0; })
#else
void mutex_lock(struct mutex *m);
/* -EINTR once current->killed is set and somebody else has it */
int mutex_lock_killable(struct mutex *m);
void mutex_unlock(struct mutex *m);
#endif

#endif /* _SHIM_LINUX_MUTEX_H */
