// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: capacity
 *
 * The pool counts, it does not know numbers.  Whoever wants ids takes them from
 * it first, so that a promise (a quota, a reservation) can always be kept:
 *
 *	capacity = left + reserved + quotas of sets + ids of sets without quota
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

#include "ioasid-private.h"

/* Protects the pool.  Leaf lock, taken in any context but NMI. */
static DEFINE_SPINLOCK(ioasid_pool_lock);

static struct ioasid_pool_state ioasid_pool = {
	.capacity = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
	.left = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
};

static void ioasid_pool_check(void)
{
	u32 sum = ioasid_pool.left;
	int i;

	lockdep_assert_held(&ioasid_pool_lock);
	if (!IS_ENABLED(CONFIG_IOASID_DEBUG))
		return;
	for (i = 0; i < IOASID_POOL_USERS; i++)
		sum += ioasid_pool.taken[i];
	WARN_ONCE(sum != ioasid_pool.capacity,
		  "IOASID pool: capacity %u, accounted for %u\n",
		  ioasid_pool.capacity, sum);
}

static int __ioasid_pool_take(enum ioasid_pool_user user, u32 nr)
{
	lockdep_assert_held(&ioasid_pool_lock);
	if (nr > ioasid_pool.left)
		return -ENOSPC;
	ioasid_pool.left -= nr;
	ioasid_pool.taken[user] += nr;
	ioasid_pool_check();
	return 0;
}

/* Returns 0, or -ENOSPC when fewer than @nr are left. */
int ioasid_pool_take(enum ioasid_pool_user user, u32 nr)
{
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	ret = __ioasid_pool_take(user, nr);
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);
	return ret;
}

void ioasid_pool_give(enum ioasid_pool_user user, u32 nr)
{
	unsigned long flags;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	if (!WARN_ON_ONCE(nr > ioasid_pool.taken[user])) {
		ioasid_pool.taken[user] -= nr;
		ioasid_pool.left += nr;
	}
	ioasid_pool_check();
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);
}

void ioasid_pool_read(struct ioasid_pool_state *state)
{
	unsigned long flags;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	*state = ioasid_pool;
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pool_read);

/*
 * Put @state in the place of the pool and the pool into @state, so that a test
 * can have a small one and leave the real one as it was.
 */
void ioasid_pool_swap(struct ioasid_pool_state *state)
{
	unsigned long flags;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	swap(ioasid_pool, *state);
	ioasid_pool_check();
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pool_swap);

/**
 * ioasid_install_capacity - tell how many ids the hardware allows
 * @total: number of ids that can be allocated, reserved ones not counted
 *
 * For IOMMU drivers whose hardware has PASIDs.  Capacity is only lowered: of
 * several IOMMUs the one with the fewest ids counts, as an id is valid on all
 * of them.  Reservations and quotas given out before are kept.  When more is
 * out than @total, the capacity stays as it is and a warning is logged.
 *
 * Without any call the capacity is that of 20-bit PASIDs.
 *
 * Context: Any context but NMI.
 */
void ioasid_install_capacity(u32 total)
{
	u32 capacity, lower = 0, out = 0;
	unsigned long flags;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	capacity = ioasid_pool.capacity;
	if (total < capacity) {
		lower = capacity - total;
		if (lower <= ioasid_pool.left) {
			ioasid_pool.capacity -= lower;
			ioasid_pool.left -= lower;
		} else {
			out = capacity - ioasid_pool.left;
		}
	}
	ioasid_pool_check();
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);

	if (out)
		pr_warn("cannot lower the capacity from %u to %u: %u ids are taken\n",
			capacity, total, out);
}
EXPORT_SYMBOL_GPL(ioasid_install_capacity);

/**
 * ioasid_get_capacity - how many ids there may be in the system
 *
 * Context: Any context but NMI.
 * Return: the number of ids that can be allocated, those in use included.
 */
u32 ioasid_get_capacity(void)
{
	struct ioasid_pool_state state;

	ioasid_pool_read(&state);
	return state.capacity;
}
EXPORT_SYMBOL_GPL(ioasid_get_capacity);

/**
 * ioasid_reserve_capacity - take ids from the pool without allocating them
 * @nr: how many, 0 for all that are left
 * @out: how many were taken, may be NULL unless @nr is 0
 *
 * Context: Any context but NMI.
 * Return: 0; -ENOSPC when fewer than @nr, or for 0 none, are left; -EINVAL for
 * @nr 0 without @out.
 */
int ioasid_reserve_capacity(u32 nr, u32 *out)
{
	unsigned long flags;
	int ret = -ENOSPC;

	if (!nr && !out)
		return -EINVAL;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	if (!nr)
		nr = ioasid_pool.left;
	if (nr)
		ret = __ioasid_pool_take(IOASID_POOL_RESERVED, nr);
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);

	if (!ret && out)
		*out = nr;
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_reserve_capacity);

/**
 * ioasid_cancel_capacity - give back what ioasid_reserve_capacity() took
 * @nr: how many ids
 *
 * Context: Any context but NMI.
 * Return: 0, or -EINVAL when fewer than @nr are reserved; none is given back
 * then.
 */
int ioasid_cancel_capacity(u32 nr)
{
	unsigned long flags;
	int ret = -EINVAL;

	spin_lock_irqsave(&ioasid_pool_lock, flags);
	if (nr <= ioasid_pool.taken[IOASID_POOL_RESERVED]) {
		ioasid_pool.taken[IOASID_POOL_RESERVED] -= nr;
		ioasid_pool.left += nr;
		ret = 0;
	}
	ioasid_pool_check();
	spin_unlock_irqrestore(&ioasid_pool_lock, flags);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_cancel_capacity);
