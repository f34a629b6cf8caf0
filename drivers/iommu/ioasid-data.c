// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: what an id leads to, its private data and its set
 *
 * Private data is under RCU: who finds it takes a reference to it before the
 * grace period that ioasid_detach_data() waits for.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/rcupdate.h>

#include "ioasid-private.h"

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
 *	    refcount_inc_not_zero() does, and return false then. May be NULL.
 *
 * Also finds the data of an id that is being freed. Without @getter the caller
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
	 * are found. The data of an id that is being allocated is an error.
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
 * the caller can drop its reference to it. A caller of ioasid_find() without
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
