// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: walks over the ids of a set
 *
 * A walk has no lock between two ids, so that what is done with an id may sleep,
 * and a set may have very many.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/sched.h>

#include "ioasid-private.h"

/* Protects ioasid_sets and, in ioasid-mm.c, the subscribers by mm. */
DEFINE_MUTEX(ioasid_sets_lock);
LIST_HEAD(ioasid_sets);

/*
 * Step through the ids of a set: returns the one after @prev, or the first,
 * with a reference, and drops that of @prev. The reference keeps an entry in
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
 *	walk. Ids being freed are left out.
 * @data: for @fn
 *
 * A reference is held to the id while @fn runs, so an ioasid_free() in it
 * returns false. Ids allocated or freed during the walk may be left out.
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
 * ioasid_set_free_all - free every id of a set
 * @set: the set
 *
 * As ioasid_free() for each of them, in the order of their allocation.
 *
 * Context: Process context, may sleep; notifiers run in it.
 */
void ioasid_set_free_all(struct ioasid_set *set)
{
	struct ioasid_entry *e = NULL;

	while ((e = ioasid_set_next(set, e))) {
		ioasid_entry_free(e);
		cond_resched();
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_set_free_all);
