// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: capacity
 *
 * The pool counts, it does not know numbers. Whoever wants ids takes them from
 * it first, so that a promise (a quota, a reservation) can always be kept:
 *
 *	capacity = left + quotas of sets + ids of sets without quota
 *
 * Of what is not a quota, users' sets together leave a share to others, whatever
 * users do: SVA finds ids there.
 *
 * There is one pool, ioasid_pool. Tests have another one for sets of their own, so
 * that whoever uses ids meanwhile does not notice.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/xarray.h>

#include "ioasid-private.h"

/*
 * All ids. Its lock also protects the pool, so that an id and its number are
 * taken under one, and the list of custom allocators. A node is charged to the
 * task that is the first to need it.
 */
DEFINE_XARRAY_FLAGS(ioasid_xa, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ |
				XA_FLAGS_ACCOUNT);
EXPORT_SYMBOL_IF_KUNIT(ioasid_xa);

struct ioasid_pool ioasid_pool = {
	.capacity = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
	.left = IOASID_MAX + 1 - IOASID_ALLOC_BASE,
	.kept = 25,
};

/* As a parameter of the core, whatever its object file is called */
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "ioasid."

module_param_named(kept_percent, ioasid_pool.kept, uint, 0644);
MODULE_PARM_DESC(kept_percent,
		 "percent of the IOASIDs of tasks that /dev/ioasid leaves to SVA and others (default 25)");

static void ioasid_pool_check(const struct ioasid_pool *pool)
{
	u32 sum = pool->left;
	int i;

	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (!IS_ENABLED(CONFIG_IOASID_DEBUG))
		return;
	for (i = 0; i < IOASID_POOL_USERS; i++)
		sum += pool->taken[i];
	WARN_ONCE(sum != pool->capacity,
		  "IOASID pool: capacity %u, accounted for %u\n",
		  pool->capacity, sum);
}

/*
 * What is promised to the kernel is off limits to tasks, so the misc controller
 * gets the rest as its capacity.  0 would mean "no such resource" to it; it may
 * have 1 too many then, as nobody gets to a charge when nothing is left here.
 */
static void ioasid_pool_set_cg_capacity(const struct ioasid_pool *pool)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (pool == &ioasid_pool)
		ioasid_cg_set_capacity(max(pool->capacity -
					   pool->taken[IOASID_POOL_QUOTA], 1U));
}

/* The misc controller refuses every charge before this. */
void __init ioasid_pool_init(void)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	ioasid_pool_set_cg_capacity(&ioasid_pool);
	xa_unlock_irqrestore(&ioasid_xa, flags);
}

/* Ids of sets without quota stay within what misc has. */
static void ioasid_pool_changed(const struct ioasid_pool *pool,
				enum ioasid_pool_user user)
{
	ioasid_pool_check(pool);
	if (user == IOASID_POOL_QUOTA)
		ioasid_pool_set_cg_capacity(pool);
}

/* How many ids users' sets can have together */
static u32 ioasid_pool_tenants(const struct ioasid_pool *pool)
{
	u32 nr = pool->capacity - pool->taken[IOASID_POOL_QUOTA];
	u32 kept = min(READ_ONCE(pool->kept), 100U);

	/* At least one is kept, however few there are. */
	return nr - DIV_ROUND_UP(nr * kept, 100);
}

/* Under the lock of ioasid_xa. Returns 0, or -ENOSPC when fewer are left. */
int __ioasid_pool_charge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			 u32 nr)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (nr > pool->left)
		return -ENOSPC;
	if (user == IOASID_POOL_TENANTS &&
	    pool->taken[user] + nr > ioasid_pool_tenants(pool))
		return -ENOSPC;
	pool->left -= nr;
	pool->taken[user] += nr;
	ioasid_pool_changed(pool, user);
	return 0;
}

/* Returns 0, or -ENOSPC when fewer than @nr are left. */
int ioasid_pool_charge(struct ioasid_pool *pool, enum ioasid_pool_user user,
		       u32 nr)
{
	unsigned long flags;
	int ret;

	xa_lock_irqsave(&ioasid_xa, flags);
	ret = __ioasid_pool_charge(pool, user, nr);
	xa_unlock_irqrestore(&ioasid_xa, flags);
	return ret;
}

/* Under the lock of ioasid_xa */
void __ioasid_pool_uncharge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			    u32 nr)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	if (WARN_ON_ONCE(nr > pool->taken[user]))
		return;
	pool->taken[user] -= nr;
	pool->left += nr;
	ioasid_pool_changed(pool, user);
}

void ioasid_pool_uncharge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			  u32 nr)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	__ioasid_pool_uncharge(pool, user, nr);
	xa_unlock_irqrestore(&ioasid_xa, flags);
}

/* Look at @pool: a copy is put into @copy. */
void ioasid_pool_read(const struct ioasid_pool *pool, struct ioasid_pool *copy)
{
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	*copy = *pool;
	xa_unlock_irqrestore(&ioasid_xa, flags);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pool_read);

/* Lower the capacity of @pool to @total, see ioasid_install_capacity() */
void ioasid_pool_lower(struct ioasid_pool *pool, u32 total)
{
	u32 capacity, lower = 0, out = 0;
	unsigned long flags;

	xa_lock_irqsave(&ioasid_xa, flags);
	capacity = pool->capacity;
	pool->highest = min(pool->highest ?: IOASID_MAX,
			    total + IOASID_ALLOC_BASE - 1);
	if (total < capacity) {
		lower = capacity - total;
		if (lower <= pool->left) {
			pool->capacity -= lower;
			pool->left -= lower;
			ioasid_pool_set_cg_capacity(pool);
		} else {
			out = capacity - pool->left;
		}
	}
	ioasid_pool_check(pool);
	xa_unlock_irqrestore(&ioasid_xa, flags);

	if (out)
		pr_warn("cannot lower the capacity from %u to %u: %u ids are taken\n",
			capacity, total, out);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pool_lower);

/**
 * ioasid_install_capacity - announce how many ids the hardware allows
 * @total: number of ids that can be allocated, reserved ones not counted
 *
 * For IOMMU drivers whose hardware has PASIDs. Capacity is only lowered: of
 * several IOMMUs the one with the fewest ids counts, as an id is valid on all
 * of them. Quotas reserved before are kept. When more ids are taken than @total, the
 * capacity stays as it is and a warning is logged.
 *
 * Without any call the capacity is that of 20-bit PASIDs. The numbers that users
 * get end where the hardware's do: ioasid_get_max().
 *
 * Context: Any context but NMI.
 */
void ioasid_install_capacity(u32 total)
{
	ioasid_pool_lower(&ioasid_pool, total);
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
	struct ioasid_pool pool;

	ioasid_pool_read(&ioasid_pool, &pool);
	return pool.capacity;
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
	struct ioasid_pool pool;

	ioasid_pool_read(&ioasid_pool, &pool);
	return min_t(ioasid_t, pool.highest ?: IOASID_MAX, IOASID_MAX);
}
EXPORT_SYMBOL_GPL(ioasid_get_max);

/**
 * ioasid_get_users_limit - how many ids users' sets can have together
 *
 * What is left after quotas and the share that others keep (the parameter
 * kept_percent).
 *
 * Context: Any context but NMI.
 * Return: the number of ids, those that users have included.
 */
u32 ioasid_get_users_limit(void)
{
	struct ioasid_pool pool;

	ioasid_pool_read(&ioasid_pool, &pool);
	return ioasid_pool_tenants(&pool);
}
EXPORT_SYMBOL_GPL(ioasid_get_users_limit);
