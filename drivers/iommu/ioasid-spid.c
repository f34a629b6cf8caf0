// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: private ids of a set
 *
 * An SPID is what the owner of a set calls one of its ids; for a VMM it is the
 * PASID that the guest uses. It is unique within the set, and an id has one at
 * most.
 *
 * A slot of set->spids is reserved before anything else, as that may sleep. It is
 * filled, and emptied, under e->lock together with e->spid, so that the namespace
 * and the entry always agree. An SPID stays in the namespace until all
 * subscribers had UNBIND or FREE, so that it does not name another id before.
 * While they hear of UNBIND it can be looked up.
 */
#include <linux/export.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ioasid-private.h"

/* Under e->lock: what the id is called now */
ioasid_t ioasid_spid_current(const struct ioasid_entry *e)
{
	lockdep_assert_held(&e->lock);
	return e->flags & IOASID_DETACHED ? INVALID_IOASID : e->spid;
}

/* Under e->lock and with the mark. Returns 0, -EEXIST or -EBUSY. */
static int ioasid_spid_name(struct ioasid_entry *e, ioasid_t spid)
{
	unsigned long flags;
	int ret;

	lockdep_assert_held(&e->lock);
	if (e->spid != INVALID_IOASID)
		return -EEXIST;
	ret = ioasid_entry_start_use(e);
	if (ret)
		return ret;
	e->spid = spid;

	/* The slot is reserved, so this does not allocate or fail. */
	xa_lock_irqsave(&e->set->spids, flags);
	__xa_store(&e->set->spids, spid, e, 0);
	xa_unlock_irqrestore(&e->set->spids, flags);
	return 0;
}

/**
 * ioasid_attach_spid - give an IOASID a private id
 * @id: the id
 * @spid: what it shall be called in its set, anything but %INVALID_IOASID
 *
 * Subscribers get a BIND event. Waits for another CPU, or a handler, that
 * delivers an event of this id.
 *
 * Context: Process context, may sleep; notifiers run in it.
 * Return: 0; -EINVAL for %INVALID_IOASID; -ENOENT when there is no such id;
 * -EEXIST when the id has an SPID, or @spid names an id of the set, also while
 * its UNBIND or FREE is being delivered; -EBUSY when the id is being freed;
 * -ENOMEM; -ERESTARTSYS when the task was killed.
 */
int ioasid_attach_spid(ioasid_t id, ioasid_t spid)
{
	struct ioasid_entry *e;
	int ret;

	if (spid == INVALID_IOASID)
		return -EINVAL;

	e = ioasid_entry_get(NULL, id, &ret);
	if (!e)
		return ret;

	ret = xa_insert_irq(&e->set->spids, spid, NULL, e->set->gfp);
	if (ret) {
		if (ret == -EBUSY)
			ret = -EEXIST;
		goto out_put;
	}

	ret = ioasid_emit_begin_wait(e);
	if (ret)
		goto out_erase;

	spin_lock_irq(&e->lock);
	ret = ioasid_spid_name(e, spid);
	spin_unlock_irq(&e->lock);

	ioasid_emit(e, ret ? IOASID_NOTIFY_NONE : IOASID_NOTIFY_BIND);
	if (!ret)
		goto out_put;

out_erase:
	/* Only a reservation */
	xa_erase_irq(&e->set->spids, spid);
out_put:
	ioasid_entry_put(e);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_attach_spid);

/**
 * ioasid_detach_spid - take the private id off an IOASID
 * @id: the id, may be being freed
 *
 * Subscribers get an UNBIND event, unless FREE was sent, which implies it. The
 * SPID may name another id of the set as soon as they had it: on return, unless
 * another CPU was delivering an event of this id: ioasid_wait_events().
 *
 * Context: Any context but NMI; notifiers may run in it.
 * Return: 0; -ENOENT when there is no such id or it has no SPID.
 */
int ioasid_detach_spid(ioasid_t id)
{
	struct ioasid_entry *e;
	unsigned long flags;
	bool emit = false;
	int ret = -ENOENT;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (!e) {
		rcu_read_unlock();
		return -ENOENT;
	}

	spin_lock_irqsave(&e->lock, flags);
	if (ioasid_spid_current(e) != INVALID_IOASID) {
		e->flags |= IOASID_DETACHED;
		ret = 0;
		/*
		 * Without a reference to be had the id is being released, and
		 * the CPU that does it will emit this as well.
		 */
		if (!(e->flags & (IOASID_EMITTING | IOASID_FREE_SENT)) &&
		    refcount_inc_not_zero(&e->refs))
			emit = ioasid_emit_begin(e);
	}
	spin_unlock_irqrestore(&e->lock, flags);
	rcu_read_unlock();

	if (emit) {
		ioasid_emit(e, IOASID_NOTIFY_NONE);
		ioasid_entry_put(e);
	}
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_detach_spid);

/**
 * ioasid_spid_of - the private id of an IOASID
 * @id: the id
 *
 * Context: Any context but NMI.
 * Return: what its set calls it now; %INVALID_IOASID when it has no SPID, or there
 * is no such id.
 */
ioasid_t ioasid_spid_of(ioasid_t id)
{
	ioasid_t spid = INVALID_IOASID;
	struct ioasid_entry *e;
	unsigned long flags;

	rcu_read_lock();
	e = ioasid_entry_lookup(id);
	if (e) {
		spin_lock_irqsave(&e->lock, flags);
		spid = ioasid_spid_current(e);
		spin_unlock_irqrestore(&e->lock, flags);
	}
	rcu_read_unlock();
	return spid;
}
EXPORT_SYMBOL_GPL(ioasid_spid_of);

/**
 * ioasid_find_by_spid - the IOASID that a set calls @spid
 * @set: the set
 * @spid: the SPID
 * @get: also take a reference, for ioasid_put()
 *
 * Context: Any context but NMI.
 * Return: the id, or %INVALID_IOASID when there is none or it is being freed.
 */
ioasid_t ioasid_find_by_spid(struct ioasid_set *set, ioasid_t spid, bool get)
{
	ioasid_t id = INVALID_IOASID;
	struct ioasid_entry *e;

	rcu_read_lock();
	e = xa_load(&set->spids, spid);
	if (e && (get ? ioasid_entry_tryget(e) : !ioasid_entry_is_freed(e)))
		id = e->id;
	rcu_read_unlock();
	return id;
}
EXPORT_SYMBOL_GPL(ioasid_find_by_spid);
