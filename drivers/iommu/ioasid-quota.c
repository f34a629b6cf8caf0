// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: the quota of a set, and the references that keep it
 *
 * A set is kept by its creator's reference and by one that all of its ids hold
 * together. With the last one its quota returns to the pool.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "ioasid-private.h"

/* Keeps the quota of a set from changing between the steps of a change. */
static DEFINE_MUTEX(ioasid_quota_lock);

/**
 * ioasid_set_get - take another reference to a set
 * @set: a set of which the caller holds a reference
 *
 * Context: Any context.
 * Return: @set.
 */
struct ioasid_set *ioasid_set_get(struct ioasid_set *set)
{
	refcount_inc(&set->refs);
	return set;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_set_get);

/* For sets found under RCU or ioasid_sets_lock, which may be being released */
bool ioasid_set_tryget(struct ioasid_set *set)
{
	return refcount_inc_not_zero(&set->refs);
}

/**
 * ioasid_set_put - drop a reference to a set
 * @set: the set
 *
 * With the last one the quota returns at once; the memory is freed later.
 *
 * Context: Any context but NMI.
 */
void ioasid_set_put(struct ioasid_set *set)
{
	if (!refcount_dec_and_test(&set->refs))
		return;
	ioasid_pool_uncharge(set->pool, IOASID_POOL_QUOTA, set->quota);
	/* Not where subscribers' work is: that of a tenant shall not wait. */
	queue_rcu_work(system_unbound_wq, &set->rwork);
}
EXPORT_SYMBOL_GPL(ioasid_set_put);

/*
 * Count an id that is about to be allocated against the quota. Without one it
 * is counted when it is published, and the pool is what limits it.
 * Returns 0, -ENOSPC, or -EINVAL for a set that was freed.
 */
int ioasid_set_charge(struct ioasid_set *set)
{
	unsigned long flags;
	int ret = 0;

	/* Only saves work: ioasid_entry_publish() looks again. */
	if (READ_ONCE(set->dying))
		return -EINVAL;
	if (ioasid_set_is_shared(set))
		return 0;

	spin_lock_irqsave(&set->lock, flags);
	if (set->nr >= set->quota)
		ret = -ENOSPC;
	else
		ioasid_set_count(set, 1);
	spin_unlock_irqrestore(&set->lock, flags);
	return ret;
}

/* For an allocation that failed before the id was published */
void ioasid_set_uncharge(struct ioasid_set *set)
{
	unsigned long flags;

	if (ioasid_set_is_shared(set))
		return;
	spin_lock_irqsave(&set->lock, flags);
	ioasid_set_count(set, -1);
	spin_unlock_irqrestore(&set->lock, flags);
}

/**
 * ioasid_set_adjust_quota - change the quota of a set
 * @set: a set that was made with a quota
 * @quota: the new one, > 0
 *
 * The difference is taken from, or given back to, what is left.
 *
 * Context: Process context, may sleep.
 * Return: 0; -EINVAL for a @quota of 0 or below the number of ids that the set
 * has, those being freed included, or for a set without quota; -ENOSPC when not
 * enough is left.
 */
int ioasid_set_adjust_quota(struct ioasid_set *set, u32 quota)
{
	u32 old, more = 0, less = 0;
	unsigned long flags;
	int ret = 0;

	mutex_lock(&ioasid_quota_lock);
	old = set->quota;
	if (!quota || !old) {
		ret = -EINVAL;
		goto out;
	}

	if (quota > old) {
		more = quota - old;
		ret = ioasid_pool_charge(set->pool, IOASID_POOL_QUOTA, more);
		if (ret)
			goto out;
	}

	spin_lock_irqsave(&set->lock, flags);
	if (quota < set->nr) {
		ret = -EINVAL;
	} else {
		WRITE_ONCE(set->quota, quota);
		if (quota < old)
			less = old - quota;
	}
	spin_unlock_irqrestore(&set->lock, flags);

	if (less)
		ioasid_pool_uncharge(set->pool, IOASID_POOL_QUOTA, less);
out:
	mutex_unlock(&ioasid_quota_lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_set_adjust_quota);
