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
 * 4. Every id gets exactly one FREE event, also one whose owner just puts it.
 * 5. Lookups, get and put never sleep, and take no lock except for the put that
 *    drops the last reference.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ioasid-private.h"

#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>

static struct kmem_cache *ioasid_cache;

/* Can lookups return this entry?  Who sees a state sees all written before. */
static bool ioasid_entry_is_visible(const struct ioasid_entry *e)
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

	/* The set's: in ioasid_set_add() and _del(), where nobody else is at it */
	lockdep_assert(lockdep_is_held(&e->lock) ||
		       lockdep_is_held(&e->set->lock));
	WARN(!(from[state] & BIT(e->state)),
	     "IOASID %u: state %u after %u\n", e->id, state, e->state);

	/* Pairs with smp_load_acquire() in ioasid_entry_is_visible(). */
	smp_store_release(&e->state, state);
}

/* Under RCU.  NULL when there is no such id. */
struct ioasid_entry *ioasid_entry_lookup(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e && ioasid_entry_is_visible(e) ? e : NULL;
}

/* Under RCU.  Take a reference, unless the id is being freed. */
bool ioasid_entry_tryget(struct ioasid_entry *e)
{
	if (!refcount_inc_not_zero(&e->refs))
		return false;
	/* Look after taking it: no reference once the owner's free was seen. */
	smp_mb__after_atomic();
	if (!ioasid_entry_is_freed(e))
		return true;
	ioasid_entry_put(e);
	return false;
}

/*
 * Look an id up and take a reference.  Returns NULL and sets *err to -ENOENT
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
		*err = -ENOENT;
	else if (set && e->set != set)
		*err = -EACCES;
	else if (!ioasid_entry_tryget(e))
		*err = -EBUSY;
	rcu_read_unlock();
	return *err ? NULL : e;
}

static void ioasid_entry_rcu_free(struct rcu_head *rcu)
{
	kmem_cache_free(ioasid_cache,
			container_of(rcu, struct ioasid_entry, rcu));
}

/* The last reference is gone. */
static void ioasid_entry_release(struct ioasid_entry *e)
{
	struct ioasid_set *set = e->set;
	void *private = rcu_dereference(e->private);
	ioasid_t id = e->id;
	unsigned long flags;
	bool emit, last;

	if (!ioasid_entry_is_freed(e)) {
		/*
		 * The owner's was the last reference and it was put.  An
		 * emitter has a reference, so there is none now.
		 */
		spin_lock_irqsave(&e->lock, flags);
		e->flags &= ~IOASID_OWNED;
		ioasid_set_state(e, IOASID_STATE_FREE_PENDING);
		emit = ioasid_emit_begin(e);
		spin_unlock_irqrestore(&e->lock, flags);
		if (!WARN_ON_ONCE(!emit))
			ioasid_emit(e, IOASID_NOTIFY_NONE);
	}

	WARN_ON_ONCE(e->uses || e->spid != INVALID_IOASID ||
		     !(e->flags & IOASID_FREE_SENT));
	trace_gone(set->serial, id);
	/* Before the number and its place in the pool, or too many are charged */
	ioasid_cg_uncharge(e);
	ioasid_number_free(e);
	last = ioasid_set_del(set, e);
	call_rcu(&e->rcu, ioasid_entry_rcu_free);
	ioasid_set_tell_gone(set, id, private);
	if (last)
		ioasid_set_put(set);
}

bool ioasid_entry_put(struct ioasid_entry *e)
{
	bool last;

	/*
	 * An id without references is left out by ioasid_mm_replay().  RCU also
	 * keeps the set, which may go with the id.
	 */
	rcu_read_lock();
	last = refcount_dec_and_test(&e->refs);
	if (last) {
		/* Counted by ioasid_entry_put_owner(), maybe in a moment */
		if (ioasid_entry_is_freed(e))
			atomic_dec(&e->set->pending);
		ioasid_entry_release(e);
	}
	rcu_read_unlock();
	return last;
}

/* FREE was delivered, drop the owner's reference. */
bool ioasid_entry_put_owner(struct ioasid_entry *e)
{
	struct ioasid_set *set = e->set;
	bool last;

	rcu_read_lock();
	last = refcount_dec_and_test(&e->refs);
	if (last)
		ioasid_entry_release(e);
	else
		atomic_inc(&set->pending);
	rcu_read_unlock();
	return last;
}

/*
 * Free for the owner.  The caller is under RCU, or has a reference.  Returns
 * true when nobody else had one.
 */
bool ioasid_entry_free(struct ioasid_entry *e)
{
	bool emit = false, drop = false;
	unsigned long flags;

	spin_lock_irqsave(&e->lock, flags);
	/* Without references the owner has put it, and it is being released. */
	if (!ioasid_entry_is_freed(e) && refcount_read(&e->refs)) {
		trace_free(e->set->serial, e->id, refcount_read(&e->refs));
		ioasid_set_state(e, IOASID_STATE_FREE_PENDING);
		/* Else who emits an event of it now emits FREE as well. */
		emit = ioasid_emit_begin(e);
		/*
		 * The state before the look for subscribers: one that is not
		 * seen here gets no reference, as it takes that afterwards.
		 * Pairs with the barrier in ioasid_entry_tryget().
		 */
		smp_mb();
		if (emit && !e->uses && !ioasid_has_subscribers(e->set)) {
			e->flags |= IOASID_FREE_SENT;
			e->flags &= ~(IOASID_EMITTING | IOASID_OWNED);
			emit = false;
			drop = true;
		}
	}
	spin_unlock_irqrestore(&e->lock, flags);

	/* The owner's reference keeps it until subscribers know. */
	if (emit)
		return ioasid_emit(e, IOASID_NOTIFY_NONE);
	return drop && ioasid_entry_put_owner(e);
}

/**
 * ioasid_alloc - allocate an IOASID
 * @set: the set it shall belong to, of which the caller holds a reference
 * @min: lowest number wanted, inclusive
 * @max: highest number wanted, inclusive
 * @private: private data, for ioasid_find(), may be NULL
 * @id: where to put the number
 *
 * The number is the lowest free one.  The range is clamped to
 * [%IOASID_ALLOC_BASE, %IOASID_MAX].  The caller owns the id and its first
 * reference, to be given back with ioasid_free().
 *
 * Context: Process context, may sleep; ALLOC notifiers run in it.
 * Return: 0; -ENOSPC when the range, the quota of the set or the capacity is
 * exhausted; -EBUSY when the cgroup of the task, or one above it, is at its
 * limit; -ENOMEM; -EINVAL for no @set, @max below @min or a set
 * that was freed.
 */
int ioasid_alloc(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		 void *private, ioasid_t *id)
{
	struct ioasid_entry *e;
	ioasid_t nr;
	bool emit;
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
	/* What ioasid_find() says until ioasid_set_add() */
	RCU_INIT_POINTER(e->private, ERR_PTR(-ENOENT));
	e->state = IOASID_STATE_NEW;
	e->flags = 0;
	e->uses = 0;
	e->spid = INVALID_IOASID;
	spin_lock_init(&e->lock);
	refcount_set(&e->refs, 0);

	/* The capacity first, so that only a limit can refuse the charge. */
	ret = ioasid_number_alloc(e, min, max);
	if (ret)
		goto err_free;

	ret = ioasid_cg_charge(e);
	if (ret)
		goto err_number;

	nr = e->id;
	ret = ioasid_set_add(set, e, private, &emit);
	if (ret)
		goto err_cg;

	trace_alloc(set->serial, nr);
	if (emit) {
		ioasid_emit(e, IOASID_NOTIFY_ALLOC);
		ioasid_entry_put(e);
	}
	*id = nr;
	return 0;

err_cg:
	ioasid_cg_uncharge(e);
err_number:
	/* It was never visible, so nobody has a reference. */
	ioasid_number_free(e);
err_free:
	call_rcu(&e->rcu, ioasid_entry_rcu_free);
err_uncharge:
	ioasid_set_uncharge(set);
	return ret;
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
 * When an event of the same id is being delivered, by another CPU or by the
 * handler that calls this, that delivery sends FREE too, possibly after this
 * function has returned false.
 *
 * Context: Any context but NMI; notifiers run in it.
 * Return: true when the id is gone (or there was none); false when it has users
 * that have not let go yet, is just being released by another CPU, or is not of
 * @set.
 */
bool ioasid_free(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e;
	bool gone = false;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e)
		gone = true;
	else if (!set || e->set == set)
		gone = ioasid_entry_free(e);
	rcu_read_unlock();
	return gone;
}
EXPORT_SYMBOL_GPL(ioasid_free);

/**
 * ioasid_get - take a reference to an IOASID
 * @set: the set it must belong to, NULL: any
 * @id: the id
 *
 * Context: Any context but NMI.
 * Return: 0; -ENOENT when there is no such id; -EACCES when it is not of @set;
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
 * Context: Process context, not a kernel thread; notifiers may run in it.
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
		return ret;

	if (e->set->type != IOASID_SET_TYPE_MM)
		ret = -EINVAL;
	else if (e->set->token != current->mm)
		ret = -EPERM;
	if (ret)
		ioasid_entry_put(e);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_get_if_owned);

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
 * For callers that bind a page table to the id or attach a device to it.  The id
 * is ACTIVE until the last of those, and its SPID, is gone.
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

/* Not inline, or compilers look at the data before they look for a getter. */
static noinline void *ioasid_private_get(void *priv, bool (*getter)(void *))
{
	return IS_ERR_OR_NULL(priv) || getter(priv) ? priv : NULL;
}

/**
 * ioasid_find - private data of an IOASID
 * @set: the set it must belong to, NULL: any
 * @id: the id
 * @getter: called under RCU with the data when it is not NULL, to take a
 *	    reference to it; must cope with data on its way out, as
 *	    refcount_inc_not_zero() does, and return false then.  May be NULL.
 *
 * Also finds the data of an id that is being freed.  Without @getter the caller
 * must know by other means that the data stays.
 *
 * Context: Any context but NMI.
 * Return: the data; NULL when there is none or @getter refused;
 * ERR_PTR(-ENOENT) when there is no such id, -EACCES when it is not of @set.
 */
void *ioasid_find(struct ioasid_set *set, ioasid_t id, bool (*getter)(void *))
{
	struct ioasid_entry *e;
	void *priv;

	/*
	 * Not ioasid_entry_lookup(): looking at the state is felt where many ids
	 * are found.  The data of an id that is being allocated is an error.
	 */
	rcu_read_lock();
	e = xa_load(&ioasid_xa, id);
	if (unlikely(!e)) {
		priv = ERR_PTR(-ENOENT);
	} else if (unlikely(set && e->set != set)) {
		priv = ERR_PTR(-EACCES);
	} else {
		priv = rcu_dereference(e->private);
		if (getter)
			priv = ioasid_private_get(priv, getter);
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
EXPORT_SYMBOL_IF_KUNIT(ioasid_find_set);

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
EXPORT_SYMBOL_IF_KUNIT(ioasid_attach_data);

/**
 * ioasid_detach_data - take the private data off an IOASID
 * @id: the id
 *
 * When there was data, waits for getters and notifiers that look at it, so that
 * the caller can drop its reference to it.  A caller of ioasid_find() without
 * getter is not waited for.
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
EXPORT_SYMBOL_IF_KUNIT(ioasid_detach_data);

static int __init ioasid_init(void)
{
	ioasid_cache = KMEM_CACHE(ioasid_entry, SLAB_HWCACHE_ALIGN | SLAB_PANIC);
	ioasid_pool_init();
	return 0;
}
core_initcall(ioasid_init);
