// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: subscribers to ids that are there before them
 *
 * A subscriber that knows a process but not its sets has an entry in the chain of
 * each set of that mm, so that priorities hold among all of a set; one that was given
 * a set has one in its chain. Ids that are there before it are replayed to it.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ioasid-private.h"

/**
 * struct ioasid_mm_sub - a subscriber to all sets of an mm, or to one set
 * @list: in ioasid_mm_subs
 * @mm: the mm, a reference (mmgrab()) is held: its address is not reused; or NULL
 * @set: the set, a reference is held; or NULL
 * @nb: the subscriber
 * @links: its struct ioasid_mm_link, one for each set; until it is registered
 *	   those whose ids were not replayed to it come first
 * @replay: not all ids that were there first have been replayed to it
 */
struct ioasid_mm_sub {
	struct list_head list;
	struct mm_struct *mm;
	struct ioasid_set *set;
	struct notifier_block *nb;
	struct list_head links;
	bool replay;
};

/**
 * struct ioasid_mm_link - stands for an ioasid_mm_sub in the chain of one set
 * @nb: in the set's chain, with the priority of @sub's
 * @sub: the subscriber
 * @set: the set; the link is removed before it goes
 * @list: in @sub's links
 * @in_set: in @set's links
 * @old: the set is older than the subscription, so that there may be ids which
 *	 were not replayed, as long as @sub's @replay says so
 * @todo: its replay has not begun
 */
struct ioasid_mm_link {
	struct notifier_block nb;
	struct ioasid_mm_sub *sub;
	struct ioasid_set *set;
	struct list_head list;
	struct list_head in_set;
	bool old;
	bool todo;
};

/* How many links to remove before others get the mutex */
#define IOASID_MM_BATCH		64

/* Subscribers by mm and their links, under ioasid_sets_lock */
static LIST_HEAD(ioasid_mm_subs);

static void ioasid_mm_call(struct ioasid_mm_link *link,
			   enum ioasid_notify_event event, ioasid_t spid,
			   struct ioasid_nb_args *args)
{
	struct notifier_block *nb = link->sub->nb;
	struct ioasid_nb_args copy = *args;

	copy.spid = spid;
	nb->notifier_call(nb, event, &copy);
}

/* The subscriber's events of one set pass through here. */
static int ioasid_mm_notify(struct notifier_block *nb, unsigned long event,
			    void *data)
{
	struct ioasid_mm_link *link = container_of(nb, struct ioasid_mm_link, nb);
	struct ioasid_nb_args *args = data;

	/*
	 * The replay may not have come to this id: notify of what came before.
	 * The replay will do so again, unless this is FREE.
	 */
	if (link->old && READ_ONCE(link->sub->replay) &&
	    event != IOASID_NOTIFY_ALLOC) {
		ioasid_mm_call(link, IOASID_NOTIFY_ALLOC, INVALID_IOASID, args);
		if (event != IOASID_NOTIFY_BIND && args->spid != INVALID_IOASID)
			ioasid_mm_call(link, IOASID_NOTIFY_BIND, args->spid,
				       args);
	}
	return link->sub->nb->notifier_call(link->sub->nb, event, data);
}

/* Notify a new subscriber of the ids that the set has. */
static int ioasid_mm_replay(struct ioasid_mm_link *link)
{
	struct ioasid_nb_args args = { .set = link->set };
	struct ioasid_entry *e = NULL;
	ioasid_t spid;
	int ret;

	while ((e = ioasid_set_next(link->set, e))) {
		ret = ioasid_emit_begin_wait(e);
		if (ret == -EBUSY)
			continue;
		if (ret) {
			ioasid_entry_put(e);
			return ret;
		}

		rcu_read_lock();
		/* It stays, as we have the mark. */
		spid = e->spid;
		args.id = e->id;
		args.pdata = rcu_dereference(e->private);
		ioasid_mm_call(link, IOASID_NOTIFY_ALLOC, INVALID_IOASID, &args);
		if (spid != INVALID_IOASID)
			ioasid_mm_call(link, IOASID_NOTIFY_BIND, spid, &args);
		rcu_read_unlock();

		ioasid_emit(e, IOASID_NOTIFY_NONE);
		cond_resched();
	}
	return 0;
}

/* Charged to the task: who opens many files has many links. */
static struct ioasid_mm_link *ioasid_mm_link(struct ioasid_mm_sub *sub,
					     struct ioasid_set *set, bool old)
{
	struct ioasid_mm_link *link;

	link = kzalloc(sizeof(*link), GFP_KERNEL_ACCOUNT);
	if (!link)
		return NULL;
	link->nb.notifier_call = ioasid_mm_notify;
	link->nb.priority = sub->nb->priority;
	link->sub = sub;
	link->set = set;
	link->old = old;
	link->todo = old;
	list_add_tail(&link->list, &sub->links);
	list_add_tail(&link->in_set, &set->links);
	atomic_notifier_chain_register(&set->chain, &link->nb);
	return link;
}

/*
 * Take a link out of its set's chain, as atomic_notifier_chain_unregister() does
 * but for the grace period: one is enough for all links that go together. Until
 * it is over the link may be called.
 */
static void ioasid_mm_unlink(struct ioasid_mm_link *link)
{
	struct atomic_notifier_head *chain = &link->set->chain;
	struct notifier_block __rcu **pos = &chain->head;
	struct notifier_block *nb;
	unsigned long flags;

	lockdep_assert_held(&ioasid_sets_lock);
	spin_lock_irqsave(&chain->lock, flags);
	for (;;) {
		nb = rcu_dereference_protected(*pos,
					       lockdep_is_held(&chain->lock));
		if (WARN_ON_ONCE(!nb))
			break;
		if (nb == &link->nb) {
			rcu_assign_pointer(*pos, nb->next);
			break;
		}
		pos = &nb->next;
	}
	spin_unlock_irqrestore(&chain->lock, flags);
	list_del(&link->in_set);
}

/* A new set: link it to the subscribers that wait for its mm. */
int ioasid_mm_add_set(struct ioasid_set *set)
{
	struct ioasid_mm_link *link;
	struct ioasid_mm_sub *sub;

	lockdep_assert_held(&ioasid_sets_lock);
	if (set->type != IOASID_SET_TYPE_MM)
		return 0;

	list_for_each_entry(sub, &ioasid_mm_subs, list) {
		if (sub->mm != set->token)
			continue;
		link = ioasid_mm_link(sub, set, false);
		if (!link) {
			ioasid_mm_del_set(set);
			return -ENOMEM;
		}
	}
	return 0;
}

/*
 * The set is released, and with it the links to it. Nobody calls its chain any
 * more: a grace period has passed since its last id was, or it never had one.
 */
void ioasid_mm_del_set(struct ioasid_set *set)
{
	struct ioasid_mm_link *link, *next;

	lockdep_assert_held(&ioasid_sets_lock);
	list_for_each_entry_safe(link, next, &set->links, in_set) {
		ioasid_mm_unlink(link);
		list_del(&link->list);
		kfree(link);
	}
	WARN_ONCE(rcu_access_pointer(set->chain.head),
		  "IOASID set is released and has subscribers\n");
}

/* One of @mm and @set is NULL. */
static struct ioasid_mm_sub *ioasid_mm_find(struct mm_struct *mm,
					    struct ioasid_set *set,
					    struct notifier_block *nb)
{
	struct ioasid_mm_sub *sub;

	lockdep_assert_held(&ioasid_sets_lock);
	list_for_each_entry(sub, &ioasid_mm_subs, list)
		if (sub->mm == mm && sub->set == set && sub->nb == nb)
			return sub;
	return NULL;
}

static bool ioasid_mm_wants(const struct ioasid_mm_sub *sub,
			    const struct ioasid_set *set)
{
	if (sub->set)
		return sub->set == set;
	return set->type == IOASID_SET_TYPE_MM && set->token == sub->mm;
}

/*
 * Under ioasid_sets_lock, which others get in between and which is dropped in
 * the end. The subscriber is not found any more, and no set is linked to it.
 */
static void ioasid_mm_free(struct ioasid_mm_sub *sub)
{
	struct ioasid_mm_link *link, *next;
	LIST_HEAD(links);
	int nr = 0;

	lockdep_assert_held(&ioasid_sets_lock);
	list_del(&sub->list);
	while (!list_empty(&sub->links)) {
		link = list_first_entry(&sub->links, struct ioasid_mm_link,
					list);
		ioasid_mm_unlink(link);
		list_move_tail(&link->list, &links);
		if (++nr % IOASID_MM_BATCH)
			continue;
		mutex_unlock(&ioasid_sets_lock);
		cond_resched();
		mutex_lock(&ioasid_sets_lock);
	}
	mutex_unlock(&ioasid_sets_lock);

	/* For handlers that run */
	synchronize_rcu();
	list_for_each_entry_safe(link, next, &links, list)
		kfree(link);
	if (sub->mm)
		mmdrop(sub->mm);
	if (sub->set)
		ioasid_set_put(sub->set);
	kfree(sub);
}

/* One of @mm and @of_set is NULL. */
static int ioasid_mm_register(struct mm_struct *mm, struct ioasid_set *of_set,
			      struct notifier_block *nb)
{
	struct ioasid_mm_link *link;
	struct ioasid_mm_sub *sub;
	struct ioasid_set *set;
	int ret = 0;

	if (!nb || !nb->notifier_call)
		return -EINVAL;

	sub = kzalloc(sizeof(*sub), GFP_KERNEL_ACCOUNT);
	if (!sub)
		return -ENOMEM;
	if (mm)
		mmgrab(mm);
	if (of_set)
		ioasid_set_get(of_set);
	sub->mm = mm;
	sub->set = of_set;
	sub->nb = nb;
	INIT_LIST_HEAD(&sub->links);
	sub->replay = true;

	mutex_lock(&ioasid_sets_lock);
	if (ioasid_mm_find(mm, of_set, nb))
		ret = -EBUSY;
	list_add_tail(&sub->list, &ioasid_mm_subs);
	list_for_each_entry(set, &ioasid_sets, sets) {
		if (!ret && ioasid_mm_wants(sub, set) &&
		    !ioasid_mm_link(sub, set, true))
			ret = -ENOMEM;
	}
	if (ret)
		goto err_free;

	/* Handlers do not run under the mutex, a reference keeps the set. */
	for (;;) {
		link = list_first_entry_or_null(&sub->links,
						struct ioasid_mm_link, list);
		if (!link || !link->todo)
			break;
		link->todo = false;
		list_move_tail(&link->list, &sub->links);
		set = link->set;
		if (!ioasid_set_tryget(set))
			continue;
		mutex_unlock(&ioasid_sets_lock);
		ret = ioasid_mm_replay(link);
		ioasid_set_put(set);
		mutex_lock(&ioasid_sets_lock);
		if (ret)
			goto err_free;
	}
	mutex_unlock(&ioasid_sets_lock);

	/*
	 * A FREE that we left to the CPU that delivers it may not have come to
	 * the link; that CPU shall replay the id first. Once for all sets.
	 */
	synchronize_rcu();
	WRITE_ONCE(sub->replay, false);
	return 0;

err_free:
	ioasid_mm_free(sub);
	return ret;
}

/**
 * ioasid_register_notifier_mm - subscribe to the events of all sets of an mm
 * @mm: the mm; a reference (mmgrab()) is taken
 * @nb: the subscriber, as for ioasid_register_notifier(). The same one may
 *	subscribe to one mm only.
 *
 * For subscribers that know a process but not its sets. Sets of that mm that
 * are made later count as well. Of the ids that are there already the
 * subscriber gets ALLOC, and BIND when they have an SPID, before anything else;
 * those two may come twice, but not after FREE.
 *
 * An mm may have several sets, each with SPIDs of its own: look at the set in
 * the arguments.
 *
 * Context: Process context, may sleep; @nb is called in it.
 * Return: 0; -EINVAL for NULL or @nb without a function; -EBUSY when @nb is
 * registered for @mm already; -ENOMEM; -ERESTARTSYS when the task was killed.
 */
int ioasid_register_notifier_mm(struct mm_struct *mm, struct notifier_block *nb)
{
	return mm ? ioasid_mm_register(mm, NULL, nb) : -EINVAL;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_register_notifier_mm);

/**
 * ioasid_register_notifier_file - subscribe to the events of a set that has ids
 * @set: the set, as ioasid_file_get() returns it; a reference is taken
 * @nb: the subscriber, as for ioasid_register_notifier(). The same one may
 *	subscribe to one set only.
 *
 * For subscribers that are given a file of /dev/ioasid, whoever opened it and whoever
 * has it: as ioasid_register_notifier(), but of the ids that are there already the
 * subscriber gets ALLOC, and BIND, as with ioasid_register_notifier_mm().
 *
 * Context: Process context, may sleep; @nb is called in it.
 * Return: as ioasid_register_notifier_mm().
 */
int ioasid_register_notifier_file(struct ioasid_set *set,
				  struct notifier_block *nb)
{
	return set ? ioasid_mm_register(NULL, set, nb) : -EINVAL;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_register_notifier_file);

static void ioasid_mm_unregister(struct mm_struct *mm, struct ioasid_set *set,
				 struct notifier_block *nb)
{
	struct ioasid_mm_sub *sub;

	mutex_lock(&ioasid_sets_lock);
	sub = ioasid_mm_find(mm, set, nb);
	if (sub)
		ioasid_mm_free(sub);
	else
		mutex_unlock(&ioasid_sets_lock);
	WARN_ONCE(!sub, "IOASID notifier %ps was not registered there\n",
		  nb->notifier_call);
}

/**
 * ioasid_unregister_notifier_mm - end a subscription to an mm
 * @mm: as registered
 * @nb: as registered
 *
 * Not before ioasid_register_notifier_mm() has returned. When it returns @nb is
 * not running and will not be called again.
 *
 * Context: Process context, may sleep.
 */
void ioasid_unregister_notifier_mm(struct mm_struct *mm,
				   struct notifier_block *nb)
{
	ioasid_mm_unregister(mm, NULL, nb);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unregister_notifier_mm);

/**
 * ioasid_unregister_notifier_file - end a subscription to a set that has ids
 * @set: as registered
 * @nb: as registered
 *
 * Context: As ioasid_unregister_notifier_mm().
 */
void ioasid_unregister_notifier_file(struct ioasid_set *set,
				     struct notifier_block *nb)
{
	ioasid_mm_unregister(NULL, set, nb);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unregister_notifier_file);
