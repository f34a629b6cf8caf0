// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: sets
 *
 * A set groups the ids of one owner. It is the unit of security (an id is only
 * reached through its set, or by kernel code that says so), of quota, and the
 * namespace of the owner's private ids.
 *
 * A set that was freed is released with its last id: ioasid-quota.c.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ioasid-private.h"

/* How many sets there were since boot, under ioasid_sets_lock */
static u32 ioasid_set_serial;

static void ioasid_set_release_work(struct work_struct *work)
{
	struct ioasid_set *set = container_of(to_rcu_work(work),
					      struct ioasid_set, rwork);
	unsigned long spid = 0;

	mutex_lock(&ioasid_sets_lock);
	list_del(&set->sets);
	ioasid_mm_del_set(set);
	mutex_unlock(&ioasid_sets_lock);

	WARN_ON_ONCE(xa_find(&set->spids, &spid, ULONG_MAX, XA_PRESENT) ||
		     !list_empty(&set->ids));
	/* An insertion that ran out of memory may have left empty nodes. */
	xa_destroy(&set->spids);
	if (set->type == IOASID_SET_TYPE_MM)
		mmdrop(set->token);
	kfree(set);
}

/* ioasid_set_alloc() with the pool that ids of the set are taken from */
struct ioasid_set *__ioasid_set_alloc(struct ioasid_pool *pool, void *token,
				      u32 quota, enum ioasid_set_type type)
{
	struct ioasid_set *set;
	int ret;

	switch (type) {
	case IOASID_SET_TYPE_NULL:
		if (token)
			return ERR_PTR(-EINVAL);
		break;
	case IOASID_SET_TYPE_MM:
		if (!token)
			return ERR_PTR(-EINVAL);
		break;
	default:
		return ERR_PTR(-EINVAL);
	}

	set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
	if (!set)
		return ERR_PTR(-ENOMEM);

	ret = ioasid_pool_charge(pool, IOASID_POOL_QUOTA, quota);
	if (ret)
		goto err_free;

	refcount_set(&set->refs, 1);
	set->pool = pool;
	set->type = type;
	set->token = token;
	set->quota = quota;
	/* Ids from a test's pool are nobody's. */
	set->charged = !quota && pool == &ioasid_pool;
	/* What tasks cause is theirs: ids of a user, or that are charged to one */
	set->gfp = type == IOASID_SET_TYPE_MM || !quota ? GFP_KERNEL_ACCOUNT :
							  GFP_KERNEL;
	get_task_comm(set->comm, current);
	spin_lock_init(&set->lock);
	INIT_LIST_HEAD(&set->ids);
	/* The xarray does not look at gfp flags where it does not sleep. */
	xa_init_flags(&set->spids, XA_FLAGS_LOCK_IRQ |
		      (set->gfp & __GFP_ACCOUNT ? XA_FLAGS_ACCOUNT : 0));
	ATOMIC_INIT_NOTIFIER_HEAD(&set->chain);
	INIT_LIST_HEAD(&set->links);
	INIT_RCU_WORK(&set->rwork, ioasid_set_release_work);

	ret = mutex_lock_killable(&ioasid_sets_lock);
	if (ret)
		goto err_give;
	ret = ioasid_mm_add_set(set);
	if (!ret) {
		set->serial = ++ioasid_set_serial;
		list_add_tail(&set->sets, &ioasid_sets);
	}
	mutex_unlock(&ioasid_sets_lock);
	if (ret)
		goto err_give;

	if (type == IOASID_SET_TYPE_MM)
		mmgrab(token);
	return set;

err_give:
	ioasid_pool_uncharge(pool, IOASID_POOL_QUOTA, quota);
err_free:
	kfree(set);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(__ioasid_set_alloc);

/**
 * ioasid_set_alloc - make a set
 * @token: the owner: the struct mm_struct for %IOASID_SET_TYPE_MM, of which a
 *	   reference (mmgrab()) is taken; NULL for %IOASID_SET_TYPE_NULL
 * @quota: number of ids to reserve for the set, and the most it can have; 0 for
 *	   no reservation: the set shares what is left with all others
 * @type: what @token is
 *
 * Context: Process context, may sleep.
 * Return: the set with one reference, to be given back with ioasid_set_free();
 * ERR_PTR(-EINVAL) for a token that does not fit the type, -ENOSPC when @quota
 * ids are not left, -ENOMEM, -EINTR when the task was killed.
 */
struct ioasid_set *ioasid_set_alloc(void *token, u32 quota,
				    enum ioasid_set_type type)
{
	return __ioasid_set_alloc(&ioasid_pool, token, quota, type);
}
EXPORT_SYMBOL_GPL(ioasid_set_alloc);

/**
 * ioasid_set_free - end a set
 * @set: the set
 *
 * No id can be allocated from now on, every id is freed as by ioasid_free() and
 * the creator's reference is dropped. Ids that have users stay until those drop
 * their references, and so does the set with its quota.
 *
 * Context: Process context, may sleep; notifiers run in it.
 */
void ioasid_set_free(struct ioasid_set *set)
{
	unsigned long flags;

	spin_lock_irqsave(&set->lock, flags);
	WRITE_ONCE(set->dying, true);
	spin_unlock_irqrestore(&set->lock, flags);

	ioasid_set_free_all(set);
	ioasid_set_put(set);
}
EXPORT_SYMBOL_GPL(ioasid_set_free);

/**
 * ioasid_set_is_empty - check whether a set has no ids
 * @set: the set
 *
 * Ids being freed count, ids being allocated may or may not.
 *
 * Context: Any context but NMI.
 * Return: true when it had none at the time of the call.
 */
bool ioasid_set_is_empty(struct ioasid_set *set)
{
	return !READ_ONCE(set->nr);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_set_is_empty);

/**
 * ioasid_set_watch_released - be notified when ids of a set are released
 * @set: the set
 * @watch: who is notified, NULL: nobody any more
 *
 * For the owner, who frees ids that others may still use and wants to know when
 * the last of those has dropped its reference. A set has one watch. Who takes it
 * away waits for an RCU grace period before freeing it.
 *
 * Context: Any context but NMI.
 */
void ioasid_set_watch_released(struct ioasid_set *set,
			       struct ioasid_set_watch *watch)
{
	rcu_assign_pointer(set->watch, watch);
}
EXPORT_SYMBOL_GPL(ioasid_set_watch_released);
