// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: the life of an id
 *
 * An IOASID (on PCI: a PASID) tags a DMA request with an address space. This
 * file has all that happens to one id: it is allocated and published, gets and
 * loses references and uses, its events are delivered, its SPID is removed, and
 * it is released.
 *
 * 1. Whoever allocates an id owns it and holds the first reference. Others
 *    take references of their own with ioasid_get() or ioasid_use().
 * 2. ioasid_free() is the owner's. It notifies all subscribers and drops the
 *    owner's reference. From then on nobody gets a new reference; the number is
 *    not allocated again before the last reference is dropped.
 * 3. Freeing while there are users is legal, as guests and user space decide
 *    about it and are not trusted to know.
 * 4. Every id gets exactly one FREE event, also one whose owner just puts it.
 * 5. Lookups, get and put never sleep, and take no lock except for the put that
 *    drops the last reference.
 *
 * What keeps the events of one id in order is its mark IOASID_EMITTING: who has
 * it is the only one to deliver. Who allocates or attaches an SPID has the mark
 * for what it does, and waits for it if it must. Detaching and freeing is
 * possible in any context and leaves its event to who has the mark:
 *
 *	due						delivered
 *	IOASID_DETACHED					UNBIND, then removed
 *	state FREE_PENDING and !IOASID_FREE_SENT	FREE, nothing after it
 *
 * As there is no SPID to detach before another one could take the mark, nobody
 * ever delivers more than one event of its own and these two, whatever others do
 * with the id meanwhile.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ioasid-private.h"

#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>

static struct kmem_cache *ioasid_cache;

/* Can lookups return this entry? Who sees a state sees all written before. */
static bool ioasid_entry_is_visible(const struct ioasid_entry *e)
{
	/* Pairs with smp_store_release() in ioasid_entry_set_state(). */
	u8 state = smp_load_acquire(&e->state);

	return state != IOASID_STATE_NEW && state != IOASID_STATE_RELEASED;
}

bool ioasid_entry_is_freed(const struct ioasid_entry *e)
{
	return READ_ONCE(e->state) >= IOASID_STATE_FREE_PENDING;
}

/* Every change of state goes through here. */
static void ioasid_entry_set_state(struct ioasid_entry *e,
				   enum ioasid_state state)
{
	/* For each new state, where it may come from */
	static const u8 from[] = {
		[IOASID_STATE_IDLE] = BIT(IOASID_STATE_NEW) |
				      BIT(IOASID_STATE_ACTIVE),
		[IOASID_STATE_ACTIVE] = BIT(IOASID_STATE_IDLE),
		[IOASID_STATE_FREE_PENDING] = BIT(IOASID_STATE_IDLE) |
					      BIT(IOASID_STATE_ACTIVE),
		[IOASID_STATE_RELEASED] = BIT(IOASID_STATE_FREE_PENDING),
	};

	/* The set's: while it is published and unpublished, by one task alone */
	lockdep_assert(lockdep_is_held(&e->lock) ||
		       lockdep_is_held(&e->set->lock));
	WARN(!(from[state] & BIT(e->state)),
	     "IOASID %u: state %u after %u\n", e->id, state, e->state);

	/* Pairs with smp_load_acquire() in ioasid_entry_is_visible(). */
	smp_store_release(&e->state, state);
}

/* Under RCU. NULL when there is no such id. */
struct ioasid_entry *ioasid_entry_lookup(ioasid_t id)
{
	struct ioasid_entry *e = xa_load(&ioasid_xa, id);

	return e && ioasid_entry_is_visible(e) ? e : NULL;
}

/* Under e->lock. Returns 0 or -EBUSY. */
int ioasid_entry_start_use(struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	if (ioasid_entry_is_freed(e) || e->uses == U16_MAX)
		return -EBUSY;
	if (!e->uses++)
		ioasid_entry_set_state(e, IOASID_STATE_ACTIVE);
	return 0;
}

static void ioasid_entry_end_use(struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	if (WARN_ON_ONCE(!e->uses))
		return;
	if (!--e->uses && !ioasid_entry_is_freed(e))
		ioasid_entry_set_state(e, IOASID_STATE_IDLE);
}

/* Under e->lock: become the one who delivers, unless somebody is already. */
bool ioasid_emit_begin(struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	if (e->flags & IOASID_EMITTING)
		return false;
	e->flags |= IOASID_EMITTING;
	return true;
}

/* Under RCU, for the private data: ioasid_detach_data() */
static void ioasid_entry_notify(struct ioasid_entry *e,
				enum ioasid_notify_event event)
{
	/* The SPID stays, as we have the mark. */
	struct ioasid_nb_args args = {
		.id = e->id,
		.spid = e->spid,
		.set = e->set,
		.pdata = rcu_dereference(e->private),
	};

	if (event == IOASID_NOTIFY_BIND)
		trace_bind(e->set->serial, e->id, args.spid);
	else if (event == IOASID_NOTIFY_UNBIND)
		trace_unbind(e->set->serial, e->id, args.spid);
	ioasid_notify(event, &args);
}

/* Under e->lock and with the mark: another id may have the SPID from here on. */
static void ioasid_entry_pop_spid(struct ioasid_entry *e)
{
	unsigned long flags;

	lockdep_assert_held(&e->lock);
	xa_lock_irqsave(&e->set->spids, flags);
	__xa_erase(&e->set->spids, e->spid);
	xa_unlock_irqrestore(&e->set->spids, flags);
	e->spid = INVALID_IOASID;
	e->flags &= ~IOASID_DETACHED;
	ioasid_entry_end_use(e);
}

/*
 * Deliver @first, the caller's own event, if it is one, and what is due, then
 * give up the mark. The caller has the mark and a reference, or is releasing the
 * entry. Returns true when FREE was among it and the owner's reference is to be
 * dropped for that.
 */
static bool ioasid_entry_deliver(struct ioasid_entry *e,
				 enum ioasid_notify_event first)
{
	bool drop_owner = false;
	unsigned long flags;

	/*
	 * Also covers the time between the decision to send FREE and sending
	 * it, for ioasid_mm_replay().
	 */
	rcu_read_lock();
	if (first != IOASID_NOTIFY_NONE)
		ioasid_entry_notify(e, first);

	spin_lock_irqsave(&e->lock, flags);
	if (e->flags & IOASID_DETACHED) {
		spin_unlock_irqrestore(&e->lock, flags);
		ioasid_entry_notify(e, IOASID_NOTIFY_UNBIND);
		spin_lock_irqsave(&e->lock, flags);
		ioasid_entry_pop_spid(e);
	}
	if (ioasid_entry_is_freed(e) && !(e->flags & IOASID_FREE_SENT)) {
		e->flags |= IOASID_FREE_SENT;
		spin_unlock_irqrestore(&e->lock, flags);
		ioasid_entry_notify(e, IOASID_NOTIFY_FREE);
		spin_lock_irqsave(&e->lock, flags);
		if (e->spid != INVALID_IOASID)
			ioasid_entry_pop_spid(e);
		drop_owner = e->flags & IOASID_OWNED;
		e->flags &= ~IOASID_OWNED;
	}
	e->flags &= ~IOASID_EMITTING;
	spin_unlock_irqrestore(&e->lock, flags);
	rcu_read_unlock();

	return drop_owner;
}

/*
 * From here on the id can be found. It gets its state under the set's lock, so
 * that a walk of the set that frees everything does not meet a half-made one.
 * Without subscribers that was ALLOC; else the caller is to emit: it has the mark
 * and a reference for that. Otherwise it has none.
 * Returns 0, or -EINVAL when the set was freed since ioasid_set_charge().
 */
static int ioasid_entry_publish(struct ioasid_entry *e, void *private,
				bool *emit)
{
	struct ioasid_set *set = e->set;
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
		ioasid_entry_set_state(e, IOASID_STATE_IDLE);
	}
	spin_unlock_irqrestore(&set->lock, flags);
	return ret;
}

/*
 * Undoes ioasid_set_charge() and ioasid_entry_publish(). Returns true when it was the
 * last id: the caller drops the reference that they had in common.
 */
static bool ioasid_entry_unpublish(struct ioasid_entry *e)
{
	struct ioasid_set *set = e->set;
	unsigned long flags;
	bool last;

	spin_lock_irqsave(&set->lock, flags);
	list_del(&e->node);
	last = list_empty(&set->ids);
	ioasid_set_count(set, -1);
	ioasid_entry_set_state(e, IOASID_STATE_RELEASED);
	spin_unlock_irqrestore(&set->lock, flags);
	return last;
}

static void ioasid_entry_rcu_free(struct rcu_head *rcu)
{
	kmem_cache_free(ioasid_cache,
			container_of(rcu, struct ioasid_entry, rcu));
}

/* Under RCU */
static void ioasid_set_notify_watch(struct ioasid_set *set, ioasid_t id,
				    void *private)
{
	struct ioasid_set_watch *watch = rcu_dereference(set->watch);

	if (watch)
		watch->released(watch, id, private);
}

/* The last reference was dropped. Under RCU, which keeps the set. */
static void ioasid_entry_release(struct ioasid_entry *e)
{
	struct ioasid_set *set = e->set;
	void *private = rcu_dereference(e->private);
	ioasid_t id = e->id;
	unsigned long flags;
	bool emit, last;

	if (!ioasid_entry_is_freed(e)) {
		/*
		 * The owner's was the last reference and it was put. An
		 * emitter has a reference, so there is none now.
		 */
		spin_lock_irqsave(&e->lock, flags);
		e->flags &= ~IOASID_OWNED;
		ioasid_entry_set_state(e, IOASID_STATE_FREE_PENDING);
		emit = ioasid_emit_begin(e);
		spin_unlock_irqrestore(&e->lock, flags);
		if (!WARN_ON_ONCE(!emit))
			ioasid_entry_deliver(e, IOASID_NOTIFY_NONE);
	}

	WARN_ON_ONCE(e->uses || e->spid != INVALID_IOASID ||
		     !(e->flags & IOASID_FREE_SENT));
	trace_release(set->serial, id);
	/* Before the number and its place in the pool, or too many are charged */
	ioasid_cg_uncharge(e);
	ioasid_number_free(e);
	last = ioasid_entry_unpublish(e);
	call_rcu(&e->rcu, ioasid_entry_rcu_free);
	ioasid_set_notify_watch(set, id, private);
	if (last)
		ioasid_set_put(set);
}

bool ioasid_entry_put(struct ioasid_entry *e)
{
	bool last;

	/*
	 * An id without references is left out by ioasid_mm_replay(). RCU also
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
static bool ioasid_entry_put_owner(struct ioasid_entry *e)
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
 * Deliver @first, if it is an event, and what is due, for a caller who has the mark
 * and a reference, that of the owner if it is about FREE. Returns true when this
 * has dropped the last reference.
 */
bool ioasid_emit(struct ioasid_entry *e, enum ioasid_notify_event first)
{
	return ioasid_entry_deliver(e, first) && ioasid_entry_put_owner(e);
}

/*
 * Free for the owner. The caller is under RCU, or has a reference. Returns
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
		ioasid_entry_set_state(e, IOASID_STATE_FREE_PENDING);
		/* Else who delivers an event of it now delivers FREE as well. */
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

	/* The owner's reference keeps it until subscribers are notified. */
	if (emit)
		return ioasid_emit(e, IOASID_NOTIFY_NONE);
	return drop && ioasid_entry_put_owner(e);
}

/* Under RCU. Take a reference, unless the id is being freed. */
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
 * Look an id up and take a reference. Returns NULL and sets *err to -ENOENT
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

/*
 * Handlers do not sleep and nobody delivers more than three events, so what is
 * waited for does not take long; it is rare as well. Returns 0 or -ERESTARTSYS.
 */
static int ioasid_emit_wait(void)
{
	schedule_timeout_killable(1);
	return fatal_signal_pending(current) ? -ERESTARTSYS : 0;
}

/*
 * Wait for the mark. The caller has a reference, not that of the owner.
 * Returns 0; -EBUSY when the id has had its FREE event; -ERESTARTSYS when the
 * task was killed.
 */
int ioasid_emit_begin_wait(struct ioasid_entry *e)
{
	bool mine, dead;
	int ret;

	for (;;) {
		spin_lock_irq(&e->lock);
		dead = e->flags & IOASID_FREE_SENT;
		mine = !dead && ioasid_emit_begin(e);
		spin_unlock_irq(&e->lock);
		if (mine)
			return 0;
		if (dead)
			return -EBUSY;
		ret = ioasid_emit_wait();
		if (ret)
			return ret;
	}
}

/**
 * ioasid_alloc - allocate an IOASID
 * @set: the set it shall belong to, of which the caller holds a reference
 * @min: lowest number wanted, inclusive
 * @max: highest number wanted, inclusive
 * @private: private data, for ioasid_find(), may be NULL
 * @id: where to put the number
 *
 * The number is the lowest free one. The range is clamped to
 * [%IOASID_ALLOC_BASE, %IOASID_MAX]. The caller owns the id and its first
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
	/* What ioasid_find() returns until it is published */
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
	ret = ioasid_entry_publish(e, private, &emit);
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
 * For the owner. Nobody gets a new reference, subscribers are notified by a FREE
 * event, the SPID leaves the namespace of the set, and the owner's reference is
 * dropped. Calling it again changes nothing.
 *
 * When an event of the same id is being delivered, by another CPU or by the
 * handler that calls this, that delivery sends FREE too, possibly after this
 * function has returned false.
 *
 * Context: Any context but NMI; notifiers run in it.
 * Return: true when the id was released (or there was none); false when there are
 * references to it still, it is just being released by another CPU, or is not of
 * @set.
 */
bool ioasid_free(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e;
	bool released = false;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e)
		released = true;
	else if (!set || e->set == set)
		released = ioasid_entry_free(e);
	rcu_read_unlock();
	return released;
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
 * last: subscribers get the FREE event from here then. Otherwise it has to
 * free, as ioasid_free() and ioasid_set_free() drop the owner's reference.
 *
 * Context: Any context but NMI; notifiers may run in it.
 * Return: true when it was the last one and the id was released.
 */
bool ioasid_put(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e = ioasid_entry_held(set, id);

	return e && ioasid_entry_put(e);
}
EXPORT_SYMBOL_GPL(ioasid_put);

/**
 * ioasid_use - take a reference to an IOASID and count it as in use
 * @set: the set it must belong to, NULL: any
 * @id: the id
 *
 * For callers that bind a page table to the id or attach a device to it. The id
 * is ACTIVE until the last of those, and its SPID, is removed.
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
 * Return: true when it was the last reference and the id was released.
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
 * ioasid_wait_events - wait until subscribers know what happened to an id
 * @set: the set that it belongs, or belonged, to
 * @id: the id, which the caller keeps from being allocated again in @set
 *
 * ioasid_free() and ioasid_detach_spid() leave their event to another CPU when
 * that is delivering one of the same id. Who needs to know that no subscriber
 * uses an SPID any more, and that it can name another id, calls this afterwards.
 *
 * Context: Process context, sleeps.
 * Return: 0; -ERESTARTSYS when the task was killed.
 */
int ioasid_wait_events(struct ioasid_set *set, ioasid_t id)
{
	struct ioasid_entry *e;
	bool busy;
	int ret;

	for (;;) {
		rcu_read_lock();
		e = ioasid_entry_lookup(id);
		busy = false;
		if (e && e->set == set) {
			spin_lock_irq(&e->lock);
			busy = e->flags & IOASID_EMITTING;
			spin_unlock_irq(&e->lock);
		}
		rcu_read_unlock();
		if (!busy)
			return 0;
		ret = ioasid_emit_wait();
		if (ret)
			return ret;
	}
}
EXPORT_SYMBOL_GPL(ioasid_wait_events);

static int __init ioasid_init(void)
{
	ioasid_cache = KMEM_CACHE(ioasid_entry, SLAB_HWCACHE_ALIGN | SLAB_PANIC);
	ioasid_pool_init();
	return 0;
}
core_initcall(ioasid_init);
