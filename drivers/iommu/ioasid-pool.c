// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: capacity
 *
 * The pool counts, it does not know numbers.  Whoever wants ids takes them from
 * it first, so that a promise (a quota, a reservation) can always be kept:
 *
 *	capacity = left + reserved + quotas of sets + ids of sets without quota
 *
 * Of what is neither reserved nor a quota, users' sets together leave a share to
 * others, whatever users do: SVA finds ids there.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/xarray.h>

#include "ioasid-private.h"

/*
 * All ids.  Its lock also protects the pool, so that an id and its number are
 * taken under one, and the list of custom allocators.  A node is charged to the
 * task that is the first to need it.
 */
DEFINE_XARRAY_FLAGS(ioasid_xa, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ |
				XA_FLAGS_ACCOUNT);
EXPORT_SYMBOL_IF_KUNIT(ioasid_xa);

static struct ioasid_pool_state ioasid_pool = {
	.capacity = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
	.left = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
	.kept = 25,
};

module_param_named(kept_percent, ioasid_pool.kept, uint, 0644);
MODULE_PARM_DESC(kept_percent,
		 "percent of the IOASIDs of tasks that /dev/ioasid leaves to SVA and others (default 25)");

static void ioasid_pool_check(void)
{
	u32 sum = ioasid_pool.left;
	int i;

	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (!IS_ENABLED(CONFIG_IOASID_DEBUG))
		return;
	for (i = 0; i < IOASID_POOL_USERS; i++)
		sum += ioasid_pool.taken[i];
	WARN_ONCE(sum != ioasid_pool.capacity,
		  "IOASID pool: capacity %u, accounted for %u\n",
		  ioasid_pool.capacity, sum);
}

/*
 * What is promised to the kernel is off limits to tasks, so the misc controller
 * gets the rest as its capacity.  0 would mean "no such resource" to it; it may
 * have 1 too many then, as nobody gets to a charge when nothing is left here.
 */
static void ioasid_pool_tell_cg(void)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	ioasid_cg_set_capacity(max(ioasid_pool.capacity -
				   ioasid_pool.taken[IOASID_POOL_QUOTA] -
				   ioasid_pool.taken[IOASID_POOL_RESERVED],
				   1U));
}

/* The misc controller refuses every charge before this. */
void __init ioasid_pool_init(void)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	ioasid_pool_tell_cg();
	xa_unlock_irqrestore(&ioasid_xa, flags);
}

/* Ids of sets without quota stay within what misc has. */
static void ioasid_pool_changed(enum ioasid_pool_user user)
{
	ioasid_pool_check();
	if (user != IOASID_POOL_SHARED && user != IOASID_POOL_TENANTS)
		ioasid_pool_tell_cg();
}

/* How many ids users' sets can have together */
static u32 ioasid_pool_tenants(const struct ioasid_pool_state *pool)
{
	u32 nr = pool->capacity - pool->taken[IOASID_POOL_QUOTA] -
		 pool->taken[IOASID_POOL_RESERVED];
	u32 kept = min(READ_ONCE(pool->kept), 100U);

	/* At least one is kept, however few there are. */
	return nr - DIV_ROUND_UP(nr * kept, 100);
}

/* Under the lock of ioasid_xa.  Returns 0, or -ENOSPC when fewer are left. */
int __ioasid_pool_take(enum ioasid_pool_user user, u32 nr)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (nr > ioasid_pool.left)
		return -ENOSPC;
	if (user == IOASID_POOL_TENANTS &&
	    ioasid_pool.taken[user] + nr > ioasid_pool_tenants(&ioasid_pool))
		return -ENOSPC;
	ioasid_pool.left -= nr;
	ioasid_pool.taken[user] += nr;
	ioasid_pool_changed(user);
	return 0;
}

/* Returns 0, or -ENOSPC when fewer than @nr are left. */
int ioasid_pool_take(enum ioasid_pool_user user, u32 nr)
{
	unsigned long flags;
	int ret;

	xa_lock_irqsave(&ioasid_xa, flags);
	ret = __ioasid_pool_take(user, nr);
	xa_unlock_irqrestore(&ioasid_xa, flags);
	return ret;
}

/* Under the lock of ioasid_xa */
void __ioasid_pool_give(enum ioasid_pool_user user, u32 nr)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (WARN_ON_ONCE(nr > ioasid_pool.taken[user]))
		return;
	ioasid_pool.taken[user] -= nr;
	ioasid_pool.left += nr;
	ioasid_pool_changed(user);
}

void ioasid_pool_give(enum ioasid_pool_user user, u32 nr)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	__ioasid_pool_give(user, nr);
	xa_unlock_irqrestore(&ioasid_xa, flags);
}

void ioasid_pool_read(struct ioasid_pool_state *state)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	*state = ioasid_pool;
	xa_unlock_irqrestore(&ioasid_xa, flags);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pool_read);

/*
 * Put @state in the place of the pool and the pool into @state, so that a test
 * can have a small one and leave the real one as it was.
 */
void ioasid_pool_swap(struct ioasid_pool_state *state)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	swap(ioasid_pool, *state);
	ioasid_pool_check();
	ioasid_pool_tell_cg();
	xa_unlock_irqrestore(&ioasid_xa, flags);
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
 * Without any call the capacity is that of 20-bit PASIDs.  The numbers that users
 * get end where the hardware's do: ioasid_get_max().
 *
 * Context: Any context but NMI.
 */
void ioasid_install_capacity(u32 total)
{
	u32 capacity, lower = 0, out = 0;
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	capacity = ioasid_pool.capacity;
	ioasid_pool.highest = min(ioasid_pool.highest ?: IOASID_MAX,
				  total + IOASID_ALLOC_BASE - 1);
	if (total < capacity) {
		lower = capacity - total;
		if (lower <= ioasid_pool.left) {
			ioasid_pool.capacity -= lower;
			ioasid_pool.left -= lower;
			ioasid_pool_tell_cg();
		} else {
			out = capacity - ioasid_pool.left;
		}
	}
	ioasid_pool_check();
	xa_unlock_irqrestore(&ioasid_xa, flags);

	if (out)
		pr_warn("cannot lower the capacity from %u to %u: %u ids are taken\n",
			capacity, total, out);
}
EXPORT_SYMBOL_GPL(ioasid_install_capacity);

/**
 * ioasid_get_capacity - how many ids there may be in the system
 *
 * Context: Any context but NMI.
 * Return: the number of ids that can be allocated, those in use or reserved
 * included.
 */
u32 ioasid_get_capacity(void)
{
	struct ioasid_pool_state state;

	ioasid_pool_read(&state);
	return state.capacity;
}
EXPORT_SYMBOL_GPL(ioasid_get_capacity);

/**
 * ioasid_get_max - the highest number that is of use for all hardware
 *
 * Context: Any context but NMI.
 * Return: the number, at most %IOASID_MAX.
 */
ioasid_t ioasid_get_max(void)
{
	struct ioasid_pool_state state;

	ioasid_pool_read(&state);
	return min_t(ioasid_t, state.highest ?: IOASID_MAX, IOASID_MAX);
}
EXPORT_SYMBOL_GPL(ioasid_get_max);

/**
 * ioasid_get_users_limit - how many ids users' sets can have together
 *
 * What is left after quotas, reservations and the share that others keep (the
 * parameter kept_percent).
 *
 * Context: Any context but NMI.
 * Return: the number of ids, those that users have included.
 */
u32 ioasid_get_users_limit(void)
{
	struct ioasid_pool_state state;

	ioasid_pool_read(&state);
	return ioasid_pool_tenants(&state);
}
EXPORT_SYMBOL_GPL(ioasid_get_users_limit);

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

	xa_lock_irqsave(&ioasid_xa, flags);
	if (!nr)
		nr = ioasid_pool.left;
	if (nr)
		ret = __ioasid_pool_take(IOASID_POOL_RESERVED, nr);
	xa_unlock_irqrestore(&ioasid_xa, flags);

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

	xa_lock_irqsave(&ioasid_xa, flags);
	if (nr <= ioasid_pool.taken[IOASID_POOL_RESERVED]) {
		ioasid_pool.taken[IOASID_POOL_RESERVED] -= nr;
		ioasid_pool.left += nr;
		ioasid_pool_changed(IOASID_POOL_RESERVED);
		ret = 0;
	}
	xa_unlock_irqrestore(&ioasid_xa, flags);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_cancel_capacity);
