// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: ids
 *
 * An IOASID (on PCI: a PASID) tags a DMA request with an address space.  This
 * file has the life of one id: allocation, references, states, private data.
 *
 * 1. Whoever allocates an id owns it and holds the first reference.  Others
 *    take references of their own with ioasid_get() or ioasid_use().
 * 2. ioasid_free() is the owner's.  It tells all subscribers and drops the
 *    owner's reference.  From then on no new reference is given out; the number
 *    is not handed out again before the last user has let go.
 * 3. Freeing while there are users is legal, as guests and user space decide
 *    about it and are not trusted to know.
 * 4. Every id gets one FREE event, also one whose owner just puts it.
 * 5. Lookups, get and put take no lock and never sleep.
 */
#include <linux/completion.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ioasid-private.h"

#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>

static struct kmem_cache *ioasid_cache;

/**
 * struct ioasid_waiter - who waits for an id to be gone
 * @list: in ioasid_waiters
 * @e: the id; only compared once the reference was dropped
 * @gone: completed when it is
 */
struct ioasid_waiter {
	struct list_head list;
	const struct ioasid_entry *e;
	struct completion gone;
};

/* Protects ioasid_waiters.  Leaf lock, taken in any context but NMI. */
static DEFINE_SPINLOCK(ioasid_waiters_lock);
static LIST_HEAD(ioasid_waiters);

/* Can lookups return this entry?  Who sees a state sees all written before. */
bool ioasid_entry_is_visible(const struct ioasid_entry *e)
{
	/* Pairs with smp_store_release() in ioasid_set_state(). */
	u8 state = smp_load_acquire(&e->state);

	return state != IOASID_STATE_NEW && state != IOASID_STATE_GONE;
}

bool ioasid_entry_is_freed(const struct ioasid_entry *e)
{
	return READ_ONCE(e->state) >= IOASID_STATE_FREE_PENDING;
}

/* Every change of state goes through here. */
void ioasid_set_state(struct ioasid_entry *e, enum ioasid_state state)
{
	/* For each new state, where it may come from */
	static const u8 from[] = {
		[IOASID_STATE_IDLE] = BIT(IOASID_STATE_NEW) |
				      BIT(IOASID_STATE_ACTIVE),
		[IOASID_STATE_ACTIVE] = BIT(IOASID_STATE_IDLE),
		[IOASID_STATE_FREE_PENDING] = BIT(IOASID_STATE_IDLE) |
					      BIT(IOASID_STATE_ACTIVE),
		[IOASID_STATE_GONE] = BIT(IOASID_STATE_FREE_PENDING),
	};

	lockdep_assert_held(&e->lock);
	WARN(!(from[state] & BIT(e->state)),
	     "IOASID %u: state %u after %u\n", e->id, state, e->state);

	if (state == IOASID_STATE_FREE_PENDING)
		atomic_inc(&e->set->pending);
	else if (state == IOASID_STATE_GONE)
		atomic_dec(&e->set->pending);
	/* Pairs with smp_load_acquire() in ioasid_entry_is_visible(). */
	smp_store_release(&e->state, state);
}

/* Under RCU.  NULL when there is no such id. */
static struct ioasid_entry *ioasid_entry_lookup(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e && ioasid_entry_is_visible(e) ? e : NULL;
}

/*
 * Look an id up and take a reference.  Returns NULL and sets *err to -EINVAL
 * (no such id), -EACCES (not of @set; NULL is any) or -EBUSY (being freed).
 */
struct ioasid_entry *ioasid_entry_get(struct ioasid_set *set, ioasid_t id,
				      int *err)
{
	struct ioasid_entry *e;

	*err = 0;
	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e)
		*err = -EINVAL;
	else if (set && e->set != set)
		*err = -EACCES;
	else if (!refcount_inc_not_zero(&e->refs))
		*err = -EBUSY;
	rcu_read_unlock();
	if (*err)
		return NULL;

	/* Look after taking it: no reference once the owner has freed. */
	smp_mb__after_atomic();
	if (ioasid_entry_is_freed(e)) {
		ioasid_entry_put(e);
		*err = -EBUSY;
		return NULL;
	}
	return e;
}

static void ioasid_entry_rcu_free(struct rcu_head *rcu)
{
	kmem_cache_free(ioasid_cache,
			container_of(rcu, struct ioasid_entry, rcu));
}

static void ioasid_wake_waiters(const struct ioasid_entry *e)
{
	struct ioasid_waiter *w;
	unsigned long flags;

	/*
	 * A waiter that is not in the list yet will see the state GONE, which
	 * was set under e->lock: ioasid_free_sync().
	 */
	if (list_empty(&ioasid_waiters))
		return;
	spin_lock_irqsave(&ioasid_waiters_lock, flags);
	list_for_each_entry(w, &ioasid_waiters, list)
		if (w->e == e)
			complete(&w->gone);
	spin_unlock_irqrestore(&ioasid_waiters_lock, flags);
}

/* The last reference is gone. */
static void ioasid_entry_release(struct ioasid_entry *e)
{
	struct ioasid_set *set = e->set;
	unsigned long flags;
	bool emit = false;

	spin_lock_irqsave(&e->lock, flags);
	if (!ioasid_entry_is_freed(e)) {
		/*
		 * The owner's was the last reference and it was put.  An
		 * emitter has a reference, so there is none now.
		 */
		e->flags &= ~IOASID_OWNED;
		ioasid_set_state(e, IOASID_STATE_FREE_PENDING);
		emit = ioasid_emit_begin(e);
		WARN_ON_ONCE(!emit);
	}
	spin_unlock_irqrestore(&e->lock, flags);
	if (emit)
		ioasid_emit(e);

	spin_lock_irqsave(&e->lock, flags);
	WARN_ON_ONCE(e->uses || e->spids || !(e->flags & IOASID_FREE_SENT));
	ioasid_set_state(e, IOASID_STATE_GONE);
	spin_unlock_irqrestore(&e->lock, flags);

	trace_ioasid_gone(set, e->id);
	ioasid_number_free(e);
	ioasid_set_del(set, e);
	ioasid_wake_waiters(e);
	call_rcu(&e->rcu, ioasid_entry_rcu_free);
	ioasid_set_put(set);
}

bool ioasid_entry_put(struct ioasid_entry *e)
{
	if (!refcount_dec_and_test(&e->refs))
		return false;
	ioasid_entry_release(e);
	return true;
}

/* The caller has a reference besides the owner's. */
void ioasid_entry_free(struct ioasid_entry *e)
{
	unsigned long flags;
	bool emit = false;

	spin_lock_irqsave(&e->lock, flags);
	if (!ioasid_entry_is_freed(e)) {
		trace_ioasid_free(e->set, e->id, refcount_read(&e->refs) - 1);
		ioasid_set_state(e, IOASID_STATE_FREE_PENDING);
		/* Else who emits an event of it now emits FREE as well. */
		emit = ioasid_emit_begin(e);
	}
	spin_unlock_irqrestore(&e->lock, flags);

	/* Also drops the owner's reference, once subscribers know. */
	if (emit)
		ioasid_emit(e);
}

/**
 * __ioasid_alloc - allocate an IOASID
 * @set: the set it shall belong to, of which the caller holds a reference
 * @min: lowest number wanted, inclusive
 * @max: highest number wanted, inclusive
 * @private: private data, for ioasid_find(), may be NULL
 * @id: where to put the number
 *
 * The number is the lowest free one.  It is never 0, nor one that is reserved
 * for in-kernel DMA, nor above %IOASID_MAX.  The caller owns the id and its
 * first reference, to be given back with ioasid_free().
 *
 * Context: Process context, may sleep; ALLOC notifiers run in it.
 * Return: 0; -ENOSPC when the range, the quota of the set or the capacity is
 * exhausted; -ENOMEM; -EINVAL for @max below @min or a set that was freed.
 */
int __ioasid_alloc(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		   void *private, ioasid_t *id)
{
	struct ioasid_entry *e;
	int ret;

	if (!set || min > max)
		return -EINVAL;
	min = max_t(ioasid_t, min, IOASID_ALLOC_BASE);
	max = min_t(ioasid_t, max, IOASID_MAX);
	if (min > max)
		return -ENOSPC;

	ret = ioasid_set_charge(set);
	if (ret)
		return ret;

	e = kmem_cache_alloc(ioasid_cache, set->gfp);
	if (!e) {
		ret = -ENOMEM;
		goto err_uncharge;
	}
	e->set = set;
	RCU_INIT_POINTER(e->private, private);
	e->state = IOASID_STATE_NEW;
	/* We are the first to emit, so that nothing comes before ALLOC. */
	e->flags = IOASID_OWNED | IOASID_EMITTING;
	e->uses = 0;
	e->spids = NULL;
	spin_lock_init(&e->lock);
	/* The owner's and one to emit with */
	refcount_set(&e->refs, 2);

	ret = ioasid_number_alloc(e, min, max);
	if (ret)
		goto err_free;

	ret = ioasid_set_add(set, e);
	if (ret)
		goto err_number;

	*id = e->id;
	trace_ioasid_alloc(set, e->id);
	ioasid_emit(e);
	ioasid_entry_put(e);
	return 0;

err_number:
	/* It was never visible, so nobody has a reference. */
	ioasid_number_free(e);
err_free:
	call_rcu(&e->rcu, ioasid_entry_rcu_free);
err_uncharge:
	ioasid_set_uncharge(set);
	return ret;
}
EXPORT_SYMBOL_GPL(__ioasid_alloc);

/**
 * ioasid_alloc - allocate an IOASID
 * @set: the set it shall belong to
 * @min: lowest number wanted, inclusive
 * @max: highest number wanted, inclusive
 * @private: private data, for ioasid_find(), may be NULL
 *
 * __ioasid_alloc() for who does not need to know why it failed.
 *
 * Context: Process context, may sleep; ALLOC notifiers run in it.
 * Return: the number or %INVALID_IOASID.
 */
ioasid_t ioasid_alloc(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		      void *private)
{
	ioasid_t id;

	return __ioasid_alloc(set, min, max, private, &id) ? INVALID_IOASID : id;
}
EXPORT_SYMBOL_GPL(ioasid_alloc);

/**
 * ioasid_free - free an IOASID
 * @set: the set it belongs to; NULL: any, for callers that own the id whatever
 *	 its set is
 * @id: the id
 *
 * For the owner.  No new references are given out, subscribers are told with a
 * FREE event, the SPID leaves the namespace of the set, and the owner's
 * reference is dropped.  Calling it again changes nothing.
 *
 * When another CPU is delivering an event of the same id, it delivers FREE too,
 * possibly after this function has returned false.
 *
 * Context: Any context but NMI; notifiers run in it.
 * Return: true when the id is gone (or there was none); false when it has users
 * that have not let go yet, or is not of @set.
 */
bool ioasid_free(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e;
	bool gone = false;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e)
		gone = true;
	else if ((set && e->set != set) || !refcount_inc_not_zero(&e->refs))
		e = NULL;
	rcu_read_unlock();
	if (!e)
		return gone;

	ioasid_entry_free(e);
	return ioasid_entry_put(e);
}
EXPORT_SYMBOL_GPL(ioasid_free);

/**
 * ioasid_free_sync - free an IOASID and wait until it is gone
 * @set: the set it belongs to, NULL: any
 * @id: the id
 *
 * As ioasid_free(), and waits for the users to let go.  A fatal signal ends the
 * wait; the id is freed all the same and goes with its last user.
 *
 * Context: Process context, sleeps; notifiers run in it.
 * Return: 0 when it is gone; -EACCES when it is not of @set; -ERESTARTSYS when
 * the task was killed.
 */
int ioasid_free_sync(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_waiter w = { };
	struct ioasid_entry *e;
	bool gone, ref;
	int ret = 0;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e || (set && e->set != set)) {
		rcu_read_unlock();
		return e ? -EACCES : 0;
	}

	/*
	 * Be in the list before looking at the state: a release that has not
	 * come to GONE by then finds us.  It needs no reference, as the entry
	 * is only compared with afterwards.
	 */
	init_completion(&w.gone);
	w.e = e;
	spin_lock_irq(&ioasid_waiters_lock);
	list_add(&w.list, &ioasid_waiters);
	spin_unlock_irq(&ioasid_waiters_lock);

	spin_lock_irq(&e->lock);
	gone = e->state == IOASID_STATE_GONE;
	spin_unlock_irq(&e->lock);

	ref = refcount_inc_not_zero(&e->refs);
	rcu_read_unlock();
	if (ref) {
		ioasid_entry_free(e);
		ioasid_entry_put(e);
	}
	if (!gone)
		ret = wait_for_completion_killable(&w.gone);

	spin_lock_irq(&ioasid_waiters_lock);
	list_del(&w.list);
	spin_unlock_irq(&ioasid_waiters_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_free_sync);

/**
 * ioasid_get - take a reference to an IOASID
 * @set: the set it must belong to, NULL: any
 * @id: the id
 *
 * Context: Any context but NMI.
 * Return: 0; -EINVAL when there is no such id; -EACCES when it is not of @set;
 * -EBUSY when it is being freed.
 */
int ioasid_get(struct ioasid_set *set, ioasid_t id)
{
	int ret;

	ioasid_entry_get(set, id, &ret);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_get);

/**
 * ioasid_get_if_owned - take a reference to an IOASID of the current process
 * @id: the id
 *
 * Context: Process context.
 * Return: 0; -ENOENT when there is no such id; -EINVAL when its set is not of
 * %IOASID_SET_TYPE_MM; -EPERM when it belongs to another mm; -EBUSY when it is
 * being freed.
 */
int ioasid_get_if_owned(ioasid_t id)
{
	struct ioasid_entry *e;
	int ret;

	e = ioasid_entry_get(NULL, id, &ret);
	if (!e)
		return ret == -EINVAL ? -ENOENT : ret;

	if (e->set->type != IOASID_SET_TYPE_MM)
		ret = -EINVAL;
	else if (e->set->token != current->mm)
		ret = -EPERM;
	if (ret)
		ioasid_entry_put(e);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_get_if_owned);

/* For dropping a reference that the caller holds, so there is an entry. */
static struct ioasid_entry *ioasid_entry_held(struct ioasid_set *set,
					      ioasid_t id)
{
	struct ioasid_entry *e;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (e && set && e->set != set)
		e = NULL;
	rcu_read_unlock();
	return e;
}

/**
 * ioasid_put - drop a reference to an IOASID
 * @set: the set it belongs to, NULL: any
 * @id: the id, of which the caller holds a reference
 *
 * An owner may put instead of free when it knows that its reference is the
 * last: subscribers get the FREE event from here then.  Otherwise it has to
 * free, as ioasid_free() and ioasid_set_free() drop the owner's reference.
 *
 * Context: Any context but NMI; notifiers may run in it.
 * Return: true when it was the last one and the id is gone.
 */
bool ioasid_put(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e = ioasid_entry_held(set, id);

	return e && ioasid_entry_put(e);
}
EXPORT_SYMBOL_GPL(ioasid_put);

/* Under e->lock.  Returns 0 or -EBUSY. */
int ioasid_entry_start_use(struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	if (ioasid_entry_is_freed(e) || e->uses == U16_MAX)
		return -EBUSY;
	if (!e->uses++)
		ioasid_set_state(e, IOASID_STATE_ACTIVE);
	return 0;
}

void ioasid_entry_end_use(struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	if (WARN_ON_ONCE(!e->uses))
		return;
	if (!--e->uses && !ioasid_entry_is_freed(e))
		ioasid_set_state(e, IOASID_STATE_IDLE);
}

/**
 * ioasid_use - take a reference to an IOASID and count it as in use
 * @set: the set it must belong to, NULL: any
 * @id: the id
 *
 * For who binds a page table to the id or attaches a device to it.  The id is
 * ACTIVE until the last of those, and its SPID, is gone.
 *
 * Context: Any context but NMI.
 * Return: as ioasid_get(), -EBUSY also when it has 65535 uses.
 */
int ioasid_use(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e;
	unsigned long flags;
	int ret;

	e = ioasid_entry_get(set, id, &ret);
	if (!e)
		return ret;

	spin_lock_irqsave(&e->lock, flags);
	ret = ioasid_entry_start_use(e);
	spin_unlock_irqrestore(&e->lock, flags);
	if (ret)
		ioasid_entry_put(e);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_use);

/**
 * ioasid_unuse - end a use of an IOASID and drop its reference
 * @set: the set it belongs to, NULL: any
 * @id: the id, of which the caller has a use
 *
 * Context: Any context but NMI; notifiers may run in it.
 * Return: true when it was the last reference and the id is gone.
 */
bool ioasid_unuse(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e = ioasid_entry_held(set, id);
	unsigned long flags;

	if (!e)
		return false;
	spin_lock_irqsave(&e->lock, flags);
	ioasid_entry_end_use(e);
	spin_unlock_irqrestore(&e->lock, flags);
	return ioasid_entry_put(e);
}
EXPORT_SYMBOL_GPL(ioasid_unuse);

/**
 * ioasid_find - private data of an IOASID
 * @set: the set it must belong to, NULL: any
 * @id: the id
 * @getter: called under RCU with the data when it is not NULL, to take a
 *	    reference to it; must cope with data on its way out, as
 *	    refcount_inc_not_zero() does, and return false then.  May be NULL.
 *
 * Also finds the data of an id that is being freed.
 *
 * Context: Any context but NMI.
 * Return: the data; NULL when there is none or @getter refused;
 * ERR_PTR(-ENOENT) when there is no such id, -EACCES when it is not of @set.
 */
void *ioasid_find(struct ioasid_set *set, ioasid_t id, bool (*getter)(void *))
{
	struct ioasid_entry *e;
	void *priv;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e) {
		priv = ERR_PTR(-ENOENT);
	} else if (set && e->set != set) {
		priv = ERR_PTR(-EACCES);
	} else {
		priv = rcu_dereference(e->private);
		if (priv && getter && !getter(priv))
			priv = NULL;
	}
	rcu_read_unlock();
	return priv;
}
EXPORT_SYMBOL_GPL(ioasid_find);

/**
 * ioasid_find_set - the set of an IOASID
 * @id: the id, may be being freed
 *
 * Context: Any context but NMI.
 * Return: the set, with a reference for ioasid_set_put(), or ERR_PTR(-ENOENT)
 * when there is no such id.
 */
struct ioasid_set *ioasid_find_set(ioasid_t id)
{
	struct ioasid_set *set = ERR_PTR(-ENOENT);
	struct ioasid_entry *e;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (e && ioasid_set_tryget(e->set))
		set = e->set;
	rcu_read_unlock();
	return set;
}
EXPORT_SYMBOL_GPL(ioasid_find_set);

/**
 * ioasid_attach_data - set the private data of an IOASID
 * @id: the id
 * @data: the data, not NULL
 *
 * Context: Any context but NMI.
 * Return: 0; -EINVAL for NULL; -ENOENT when there is no such id; -EBUSY when it
 * has data already.
 */
int ioasid_attach_data(ioasid_t id, void *data)
{
	struct ioasid_entry *e;
	unsigned long flags;
	int ret = -ENOENT;

	if (!data)
		return -EINVAL;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (e) {
		spin_lock_irqsave(&e->lock, flags);
		ret = rcu_access_pointer(e->private) ? -EBUSY : 0;
		if (!ret)
			rcu_assign_pointer(e->private, data);
		spin_unlock_irqrestore(&e->lock, flags);
	}
	rcu_read_unlock();
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_attach_data);

/**
 * ioasid_detach_data - take the private data off an IOASID
 * @id: the id
 *
 * When there was data, waits until nobody who found it still looks at it, so
 * that the caller can free it.
 *
 * Context: Process context, may sleep.
 * Return: 0, also when it had no data; -ENOENT when there is no such id.
 */
int ioasid_detach_data(ioasid_t id)
{
	struct ioasid_entry *e;
	unsigned long flags;
	void *data = NULL;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (e) {
		spin_lock_irqsave(&e->lock, flags);
		data = rcu_replace_pointer(e->private, NULL,
					   lockdep_is_held(&e->lock));
		spin_unlock_irqrestore(&e->lock, flags);
	}
	rcu_read_unlock();

	if (data)
		synchronize_rcu();
	return e ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(ioasid_detach_data);

static int __init ioasid_init(void)
{
	ioasid_cache = KMEM_CACHE(ioasid_entry, SLAB_HWCACHE_ALIGN | SLAB_PANIC);
	ioasid_debugfs_init();
	return 0;
}
core_initcall(ioasid_init);
