/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LINUX_SPINLOCK_H_
#define __LINUX_SPINLOCK_H_

#include <pthread.h>
#include <stdbool.h>
#include <linux/compiler.h>

#ifdef IOASID_BENCH
/* Test and test-and-set, as big as the kernel's */
typedef struct {
	int locked;
} spinlock_t;

#define __SPIN_LOCK_UNLOCKED(x)	(spinlock_t){ 0 }

static inline void spin_lock_init(spinlock_t *l)
{
	l->locked = 0;
}

static inline void spin_lock(spinlock_t *l)
{
	while (unlikely(__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE)))
		while (__atomic_load_n(&l->locked, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
}

static inline void spin_unlock(spinlock_t *l)
{
	__atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
}

#define spin_lock_irq(x)		spin_lock(x)
#define spin_unlock_irq(x)		spin_unlock(x)
#define spin_lock_irqsave(x, f)		((f) = 0, spin_lock(x))
#define spin_unlock_irqrestore(x, f)	((void)(f), spin_unlock(x))

#else /* !IOASID_BENCH */
/* Knows who holds it; what may sleep asks whether anything is held. */
typedef struct {
	pthread_mutex_t mutex;
	const void *owner;
} spinlock_t;

#define __SPIN_LOCK_UNLOCKED(x) \
	(spinlock_t){ .mutex = PTHREAD_MUTEX_INITIALIZER }

void spin_lock_init(spinlock_t *l);
void spin_lock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
void spin_lock_irq(spinlock_t *l);
void spin_unlock_irq(spinlock_t *l);
unsigned long shim_irq_save(void);
void shim_irq_restore(unsigned long flags);

#define spin_lock_irqsave(x, f)		((f) = shim_irq_save(), spin_lock(x))
#define spin_unlock_irqrestore(x, f)	(spin_unlock(x), shim_irq_restore(f))
#endif /* IOASID_BENCH */

#define DEFINE_SPINLOCK(x)	spinlock_t x = __SPIN_LOCK_UNLOCKED(x)
#define spin_lock_bh(x)		spin_lock(x)
#define spin_unlock_bh(x)	spin_unlock(x)

#endif /* __LINUX_SPINLOCK_H_ */
