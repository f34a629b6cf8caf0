// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: the number space and custom allocators
 *
 * All ids of the system are in one xarray, lowest free number first: low
 * numbers keep the PASID tables of the devices small. A custom allocator (the
 * VT-d virtual command in a guest) takes precedence and chooses the numbers
 * itself; the xarray then only records them.
 *
 * 1. Custom allocators with the same two functions form a group that shares
 *    one number space; they differ in their private data only.
 * 2. The first allocator of the list and its group are active. The others wait
 *    until the last of that group is unregistered.
 * 3. The first custom allocator can only be registered without outstanding ids, or
 *    numbers of two spaces would mix.
 * 4. Unregistering the last of a group with outstanding ids is a bug of the
 *    caller. The ids live on, their numbers are not given back to it.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/printk.h>

#include "ioasid-private.h"

/* Ids that came from the active group of custom allocators */
#define IOASID_MARK_CUSTOM	XA_MARK_1

/* Under the lock of ioasid_xa */
static LIST_HEAD(ioasid_allocators);

static struct ioasid_allocator_ops *ioasid_allocator(void)
{
	lockdep_assert_held(&ioasid_xa.xa_lock);
	return list_first_entry_or_null(&ioasid_allocators,
					struct ioasid_allocator_ops, list);
}

static bool ioasid_same_group(const struct ioasid_allocator_ops *a,
			      const struct ioasid_allocator_ops *b)
{
	return a->alloc == b->alloc && a->free == b->free;
}

/*
 * One try under the lock of ioasid_xa: the number is in ioasid_xa before the lock
 * is dropped, or has gone back to its allocator, which may be another one then.
 * xas_error() says how it went.
 */
static void ioasid_number_try_custom(struct xa_state *xas,
				     struct ioasid_entry *e, ioasid_t min,
				     ioasid_t max)
{
	struct ioasid_allocator_ops *ops = ioasid_allocator();
	ioasid_t id;

	id = ops->alloc(min, max, ops->pdata);
	if (id == INVALID_IOASID) {
		xas_set_err(xas, -ENOSPC);
		return;
	}
	if (id < min || id > max) {
		xas_set_err(xas, -ENOSPC);
		goto give_back;
	}

	xas_set(xas, id);
	if (xas_load(xas)) {
		/* Do not take the number away from its holder. */
		WARN_ONCE(1, "custom allocator gave IOASID %u twice\n", id);
		xas_set_err(xas, -ENOSPC);
		return;
	}
	e->id = id;
	xas_store(xas, e);
	if (!xas_error(xas)) {
		/* For __xa_alloc(), when there is no allocator any more */
		xas_clear_mark(xas, XA_FREE_MARK);
		xas_set_mark(xas, IOASID_MARK_CUSTOM);
		return;
	}
give_back:
	ops->free(id, ops->pdata);
}

static void ioasid_number_give(struct ioasid_entry *e)
{
	if (ioasid_set_is_shared(e->set))
		__ioasid_pool_uncharge(e->set->pool, ioasid_set_pool_user(e->set),
				       1);
}

/*
 * Give @e a number in [@min, @max], and take it from the pool unless the set has
 * done so. May sleep. Returns 0, -ENOSPC or -ENOMEM.
 */
int ioasid_number_alloc(struct ioasid_entry *e, ioasid_t min, ioasid_t max)
{
	XA_STATE(xas, &ioasid_xa, 0);
	int ret = 0;

	xa_lock_irq(&ioasid_xa);
	if (ioasid_set_is_shared(e->set))
		ret = __ioasid_pool_charge(e->set->pool,
					   ioasid_set_pool_user(e->set), 1);
	if (ret)
		goto out_unlock;
again:
	if (!ioasid_allocator()) {
		/* May drop the lock to get memory. */
		ret = __xa_alloc(&ioasid_xa, &e->id, e, XA_LIMIT(min, max),
				 GFP_KERNEL);
		if (ret == -EBUSY)
			ret = -ENOSPC;
		if (ret || likely(!ioasid_allocator()))
			goto out;
		/* One was registered meanwhile. */
		__xa_erase(&ioasid_xa, e->id);
	}

	/*
	 * It may go, or another one come, whenever the lock is dropped, so that
	 * is done without a number in hand.
	 */
	ioasid_number_try_custom(&xas, e, min, max);
	if (xas_error(&xas) == -ENOMEM) {
		bool more;

		xa_unlock_irq(&ioasid_xa);
		more = xas_nomem(&xas, GFP_KERNEL);
		xa_lock_irq(&ioasid_xa);
		if (more)
			goto again;
	}
	ret = xas_error(&xas);
out:
	if (ret)
		ioasid_number_give(e);
out_unlock:
	xa_unlock_irq(&ioasid_xa);
	/* A node that was not needed in the end */
	xas_destroy(&xas);
	return ret;
}

/* Nobody can find @e from here on; its number may be allocated again at once. */
void ioasid_number_free(struct ioasid_entry *e)
{
	struct ioasid_allocator_ops *ops;
	unsigned long flags;
	bool custom;

	xa_lock_irqsave(&ioasid_xa, flags);
	custom = xa_get_mark(&ioasid_xa, e->id, IOASID_MARK_CUSTOM);
	__xa_erase(&ioasid_xa, e->id);
	ops = ioasid_allocator();
	if (custom && ops)
		ops->free(e->id, ops->pdata);
	ioasid_number_give(e);
	xa_unlock_irqrestore(&ioasid_xa, flags);
}

/**
 * ioasid_has_allocator - is a custom allocator registered?
 *
 * All numbers are that allocator's then, also those that the core keeps out of
 * its own number space.
 *
 * Context: Any context but NMI.
 */
bool ioasid_has_allocator(void)
{
	unsigned long flags;
	bool has;

	xa_lock_irqsave(&ioasid_xa, flags);
	has = ioasid_allocator();
	xa_unlock_irqrestore(&ioasid_xa, flags);
	return has;
}

/**
 * ioasid_register_allocator - register a custom allocator
 * @ops: its functions and data, must stay until it is unregistered
 *
 * Ids are taken from custom allocators as long as one is registered; see the
 * rules at the top of this file. A result outside of the range that was asked
 * for is given back and the allocation fails.
 *
 * Context: Any context but NMI.
 * Return: 0; -EEXIST when @ops is registered already; -EAGAIN when it is the
 * first custom allocator and there are outstanding ids.
 */
int ioasid_register_allocator(struct ioasid_allocator_ops *ops)
{
	struct ioasid_allocator_ops *other;
	unsigned long flags, index = 0;
	int ret = 0;

	xa_lock_irqsave(&ioasid_xa, flags);
	/* Not xa_empty(): there may be nodes without any id. */
	if (list_empty(&ioasid_allocators) &&
	    xa_find(&ioasid_xa, &index, ULONG_MAX, XA_PRESENT)) {
		ret = -EAGAIN;
		goto out;
	}
	list_for_each_entry(other, &ioasid_allocators, list) {
		if (other == ops) {
			ret = -EEXIST;
			goto out;
		}
	}
	list_add_tail(&ops->list, &ioasid_allocators);
out:
	xa_unlock_irqrestore(&ioasid_xa, flags);
	if (ret)
		pr_warn("custom allocator not registered: %s\n",
			ret == -EAGAIN ? "ids are in use" : "it is already");
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_register_allocator);

/**
 * ioasid_unregister_allocator - remove a custom allocator
 * @ops: as registered
 *
 * When @ops was active, another one of its group takes over, or the allocator
 * registered next, or else the core allocates numbers itself.
 *
 * Context: Any context but NMI.
 */
void ioasid_unregister_allocator(struct ioasid_allocator_ops *ops)
{
	struct ioasid_allocator_ops *other;
	bool found = false, last = true;
	unsigned long index, flags;
	struct ioasid_entry *e;

	xa_lock_irqsave(&ioasid_xa, flags);
	list_for_each_entry(other, &ioasid_allocators, list)
		found |= other == ops;
	if (WARN_ON_ONCE(!found))
		goto out;

	if (ops != ioasid_allocator()) {
		list_del(&ops->list);
		goto out;
	}

	list_del(&ops->list);
	list_for_each_entry(other, &ioasid_allocators, list) {
		if (ioasid_same_group(other, ops)) {
			list_move(&other->list, &ioasid_allocators);
			last = false;
			break;
		}
	}
	if (!last || !xa_marked(&ioasid_xa, IOASID_MARK_CUSTOM))
		goto out;
	WARN_ONCE(1, "custom allocator removed while IOASIDs are in use\n");
	xa_for_each_marked(&ioasid_xa, index, e, IOASID_MARK_CUSTOM)
		__xa_clear_mark(&ioasid_xa, index, IOASID_MARK_CUSTOM);
out:
	xa_unlock_irqrestore(&ioasid_xa, flags);
}
EXPORT_SYMBOL_GPL(ioasid_unregister_allocator);
