// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: sets
 *
 * A set groups the ids of one owner.  It is the unit of security (an id is only
 * reached through its set, or by kernel code that says so), of quota, and the
 * namespace of the owner's private ids.
 *
 * A set is kept by its creator's reference and by every id in it, so it goes
 * when it was freed and its last id is gone, and its quota returns then.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ioasid-private.h"

/*
 * Protects ioasid_sets, ioasid_set_serial and, in ioasid-notifier.c, the
 * subscribers by mm.
 */
DEFINE_MUTEX(ioasid_sets_lock);
LIST_HEAD(ioasid_sets);
static u32 ioasid_set_serial;

static void ioasid_set_release_work(struct work_struct *work)
{
	struct ioasid_set *set = container_of(to_rcu_work(work),
					      struct ioasid_set, rwork);
	unsigned long spid = 0;

	mutex_lock(&ioasid_sets_lock);
	list_del(&set->sets);
	ioasid_notifier_del_set(set);
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

	ret = ioasid_pool_take(pool, IOASID_POOL_QUOTA, quota);
	if (ret)
		goto err_free;

	refcount_set(&set->refs, 1);
	set->pool = pool;
	set->type = type;
	set->token = token;
	set->quota = quota;
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
	ret = ioasid_notifier_add_set(set);
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
	ioasid_pool_give(pool, IOASID_POOL_QUOTA, quota);
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

/* For sets found under RCU or ioasid_sets_lock, which may be on their way out */
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
	ioasid_pool_give(set->pool, IOASID_POOL_QUOTA, set->quota);
	/* Not where subscribers' work is: that of a tenant shall not wait. */
	queue_rcu_work(system_unbound_wq, &set->rwork);
}
EXPORT_SYMBOL_GPL(ioasid_set_put);

/**
 * ioasid_set_free - end a set
 * @set: the set
 *
 * No id can be allocated from now on, every id is freed as by ioasid_free() and
 * the creator's reference is dropped.  Ids that have users stay until those let
 * go, and so does the set with its quota.
 *
 * Context: Process context, may sleep; notifiers run in it.
 */
void ioasid_set_free(struct ioasid_set *set)
{
	unsigned long flags;

	spin_lock_irqsave(&set->lock, flags);
	WRITE_ONCE(set->dying, true);
	spin_unlock_irqrestore(&set->lock, flags);

	ioasid_free_all_in_set(set);
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
 * ioasid_adjust_set - change the quota of a set
 * @set: a set that was made with a quota
 * @quota: the new one, > 0
 *
 * The difference is taken from, or given back to, what is left.
 *
 * Context: Process context, may sleep.
 * Return: 0; -EINVAL for a @quota of 0 or below the number of ids that the set
 * has, those being freed included, or for a set without quota; -ENOSPC when not enough is left.
 */
int ioasid_adjust_set(struct ioasid_set *set, u32 quota)
{
	u32 old, more = 0, less = 0;
	unsigned long flags;
	int ret = 0;

	/* The mutex keeps set->quota from changing between the steps. */
	mutex_lock(&ioasid_sets_lock);
	old = set->quota;
	if (!quota || !old) {
		ret = -EINVAL;
		goto out;
	}

	if (quota > old) {
		more = quota - old;
		ret = ioasid_pool_take(set->pool, IOASID_POOL_QUOTA, more);
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
		ioasid_pool_give(set->pool, IOASID_POOL_QUOTA, less);
out:
	mutex_unlock(&ioasid_sets_lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_adjust_set);

static void ioasid_set_count(struct ioasid_set *set, int change)
{
	lockdep_assert_held(&set->lock);
	/* For ioasid_set_is_empty() and debugfs */
	WRITE_ONCE(set->nr, set->nr + change);
}

/*
 * Count an id that is about to be allocated against the quota.  Without one it
 * is counted in ioasid_set_add(), and the pool is what limits it.
 * Returns 0, -ENOSPC, or -EINVAL for a set that was freed.
 */
int ioasid_set_charge(struct ioasid_set *set)
{
	unsigned long flags;
	int ret = 0;

	/* Only saves work: ioasid_set_add() looks again. */
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

/* For an allocation that failed before ioasid_set_add() */
void ioasid_set_uncharge(struct ioasid_set *set)
{
	unsigned long flags;

	if (ioasid_set_is_shared(set))
		return;
	spin_lock_irqsave(&set->lock, flags);
	ioasid_set_count(set, -1);
	spin_unlock_irqrestore(&set->lock, flags);
}

/*
 * From here on the id can be found.  It gets its state under the set's lock, so
 * that a walk of the set that frees everything does not meet a half-made one.
 * When nobody is there to be told, that was ALLOC; else the caller is to emit:
 * it has the mark and a reference for that.  Otherwise it has none.
 * Returns 0, or -EINVAL when the set was freed since ioasid_set_charge().
 */
int ioasid_set_add(struct ioasid_set *set, struct ioasid_entry *e,
		   void *private, bool *emit)
{
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&set->lock, flags);
	if (set->dying) {
		ret = -EINVAL;
	} else {
		/* One reference for all, or each id would contend for it. */
		if (list_empty(&set->ids))
			ioasid_set_get(set);
		list_add_tail(&e->node, &set->ids);
		if (ioasid_set_is_shared(set))
			ioasid_set_count(set, 1);
		*emit = ioasid_has_subscribers(set);
		/* Nothing comes before ALLOC. */
		e->flags = IOASID_OWNED | (*emit ? IOASID_EMITTING : 0);
		refcount_set(&e->refs, *emit ? 2 : 1);
		/* Before the state, or it replaced what others attached. */
		rcu_assign_pointer(e->private, private);
		ioasid_set_state(e, IOASID_STATE_IDLE);
	}
	spin_unlock_irqrestore(&set->lock, flags);
	return ret;
}

/*
 * Undoes ioasid_set_charge() and ioasid_set_add().  Returns true when it was the
 * last id: the caller drops the reference that they had in common.
 */
bool ioasid_set_del(struct ioasid_set *set, struct ioasid_entry *e)
{
	unsigned long flags;
	bool last;

	spin_lock_irqsave(&set->lock, flags);
	list_del(&e->node);
	last = list_empty(&set->ids);
	ioasid_set_count(set, -1);
	ioasid_set_state(e, IOASID_STATE_GONE);
	spin_unlock_irqrestore(&set->lock, flags);
	return last;
}

/*
 * Step through the ids of a set: returns the one after @prev, or the first,
 * with a reference, and drops that of @prev.  The reference keeps an entry in
 * the list, so nothing is lost or seen twice while others allocate and free.
 */
struct ioasid_entry *ioasid_set_next(struct ioasid_set *set,
				     struct ioasid_entry *prev)
{
	struct ioasid_entry *e = NULL, *pos;
	unsigned long flags;

	spin_lock_irqsave(&set->lock, flags);
	pos = prev ? list_next_entry(prev, node) :
		     list_first_entry(&set->ids, struct ioasid_entry, node);
	list_for_each_entry_from(pos, &set->ids, node) {
		if (refcount_inc_not_zero(&pos->refs)) {
			e = pos;
			break;
		}
	}
	spin_unlock_irqrestore(&set->lock, flags);

	if (prev)
		ioasid_entry_put(prev);
	return e;
}

/**
 * ioasid_set_for_each_ioasid - call a function for every id of a set
 * @set: the set
 * @fn: called with the id and @data; may sleep; a value other than 0 ends the
 *	walk.  Ids being freed are left out.
 * @data: for @fn
 *
 * A reference is held to the id while @fn runs, so an ioasid_free() in it
 * returns false.  Ids allocated or freed during the walk may be left out.
 *
 * Context: Process context, may sleep.
 * Return: what @fn returned last, 0 for an empty set.
 */
int ioasid_set_for_each_ioasid(struct ioasid_set *set,
			       int (*fn)(ioasid_t id, void *data), void *data)
{
	struct ioasid_entry *e = NULL;
	int ret = 0;

	while ((e = ioasid_set_next(set, e))) {
		if (!ioasid_entry_is_freed(e))
			ret = fn(e->id, data);
		if (ret) {
			ioasid_entry_put(e);
			break;
		}
		cond_resched();
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_set_for_each_ioasid);

/**
 * ioasid_free_all_in_set - free every id of a set
 * @set: the set
 *
 * As ioasid_free() for each of them, in the order of their allocation.
 *
 * Context: Process context, may sleep; notifiers run in it.
 */
void ioasid_free_all_in_set(struct ioasid_set *set)
{
	struct ioasid_entry *e = NULL;

	while ((e = ioasid_set_next(set, e))) {
		ioasid_entry_free(e);
		cond_resched();
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_free_all_in_set);

/**
 * ioasid_set_watch_gone - be told when ids of a set are gone
 * @set: the set
 * @watch: who is told, NULL: nobody any more
 *
 * For the owner, who frees ids that others may still use and wants to know when
 * those have let go.  A set has one watch.  Who takes it away waits for an RCU
 * grace period before freeing it.
 *
 * Context: Any context but NMI.
 */
void ioasid_set_watch_gone(struct ioasid_set *set,
			   struct ioasid_set_watch *watch)
{
	rcu_assign_pointer(set->watch, watch);
}
EXPORT_SYMBOL_GPL(ioasid_set_watch_gone);

void ioasid_set_tell_gone(struct ioasid_set *set, ioasid_t id, void *private)
{
	struct ioasid_set_watch *watch;

	rcu_read_lock();
	watch = rcu_dereference(set->watch);
	if (watch)
		watch->gone(watch, id, private);
	rcu_read_unlock();
}
