// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: subscribers and the delivery of events
 *
 * Every event goes to the chain of the id's set, then to the global chain.
 * Subscribers that know an mm but not its sets have an entry in the chain of
 * each set of that mm, so that priorities hold among all of a set.
 *
 * Who only holds state for ids that it uses (ioasid_use()) is in the global chain,
 * too, but does not count: an id that nobody uses comes and goes without events
 * then, which is most of what ids do.
 *
 * Handlers run without any lock of the core and may call every function of it
 * that does not sleep, also for the id that the event is about.  What keeps the
 * events of one id in order is its mark IOASID_EMITTING: who has it is the only
 * one to deliver.
 *
 * Who allocates or attaches an SPID has the mark for what it does, and waits for
 * it if it must.  Detaching and freeing is possible in any context and leaves
 * its event to who has the mark:
 *
 *	due						delivered
 *	IOASID_DETACHED					UNBIND, then removed
 *	state FREE_PENDING and !IOASID_FREE_SENT	FREE, nothing after it
 *
 * As there is no SPID to detach before another one could take the mark, nobody
 * ever delivers more than one event of its own and these two, whatever others do
 * with the id meanwhile.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <trace/events/ioasid.h>

#include "ioasid-private.h"

ATOMIC_NOTIFIER_HEAD(ioasid_chain);
/* How many in it want all events; not less while one of them is in it */
atomic_t ioasid_chain_all = ATOMIC_INIT(0);
EXPORT_SYMBOL_IF_KUNIT(ioasid_chain_all);
static struct workqueue_struct *ioasid_wq;

/**
 * struct ioasid_mm_sub - a subscriber to all sets of an mm
 * @list: in ioasid_mm_subs
 * @mm: the mm, a reference (mmgrab()) is held: its address is not reused
 * @nb: the subscriber
 * @links: its struct ioasid_mm_link, one for each set; until it is registered
 *	   those whose ids it has not been told of come first
 * @replay: it has not been told of all ids that were there first
 */
struct ioasid_mm_sub {
	struct list_head list;
	struct mm_struct *mm;
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
 *	 the subscriber has not been told of, as long as @sub's @replay says so
 * @todo: nobody has begun to tell it
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
static void ioasid_call(struct ioasid_entry *e, enum ioasid_notify_event event)
{
	/* The SPID stays, as we have the mark. */
	struct ioasid_nb_args args = {
		.id = e->id,
		.spid = e->spid,
		.set = e->set,
	};
	int ret;

	if (event == IOASID_NOTIFY_BIND)
		trace_bind(e->set->serial, e->id, args.spid);
	else if (event == IOASID_NOTIFY_UNBIND)
		trace_unbind(e->set->serial, e->id, args.spid);

	args.pdata = rcu_dereference(e->private);
	ret = atomic_notifier_call_chain(&e->set->chain, event, &args);
	ret |= atomic_notifier_call_chain(&ioasid_chain, event, &args);
	WARN_ONCE(ret & NOTIFY_STOP_MASK,
		  "IOASID notifiers cannot stop an event, others missed it\n");
}

/*
 * Deliver @first, the caller's own event, if it is one, and what is due, then
 * give up the mark, and with FREE drop the owner's reference.  The caller has the
 * mark and a reference, that of the owner if it is about FREE, or is releasing
 * the entry.  Returns true when it has dropped the last one.
 */
bool ioasid_emit(struct ioasid_entry *e, enum ioasid_notify_event first)
{
	bool drop_owner = false;
	unsigned long flags;

	/*
	 * Also covers the time between the decision to send FREE and sending
	 * it, for ioasid_mm_replay().
	 */
	rcu_read_lock();
	if (first != IOASID_NOTIFY_NONE)
		ioasid_call(e, first);

	spin_lock_irqsave(&e->lock, flags);
	if (e->flags & IOASID_DETACHED) {
		spin_unlock_irqrestore(&e->lock, flags);
		ioasid_call(e, IOASID_NOTIFY_UNBIND);
		spin_lock_irqsave(&e->lock, flags);
		ioasid_spid_pop(e);
	}
	if (ioasid_entry_is_freed(e) && !(e->flags & IOASID_FREE_SENT)) {
		e->flags |= IOASID_FREE_SENT;
		spin_unlock_irqrestore(&e->lock, flags);
		ioasid_call(e, IOASID_NOTIFY_FREE);
		spin_lock_irqsave(&e->lock, flags);
		if (e->spid != INVALID_IOASID)
			ioasid_spid_pop(e);
		drop_owner = e->flags & IOASID_OWNED;
		e->flags &= ~IOASID_OWNED;
	}
	e->flags &= ~IOASID_EMITTING;
	spin_unlock_irqrestore(&e->lock, flags);
	rcu_read_unlock();

	return drop_owner && ioasid_entry_put_owner(e);
}

/*
 * Handlers do not sleep and nobody delivers more than three events, so what is
 * waited for does not take long; it is rare as well.  Returns 0 or -ERESTARTSYS.
 */
static int ioasid_emit_wait(void)
{
	schedule_timeout_killable(1);
	return fatal_signal_pending(current) ? -ERESTARTSYS : 0;
}

/*
 * Wait for the mark.  The caller has a reference, not that of the owner.
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
 * ioasid_wait_events - wait until subscribers know what happened to an id
 * @set: the set that it belongs, or belonged, to
 * @id: the id, which the caller keeps from being allocated again in @set
 *
 * ioasid_free() and ioasid_detach_spid() leave their event to another CPU when
 * that is delivering one of the same id.  Who needs to know that no subscriber
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
	 * The replay may not have come to this id: tell what came before.  The
	 * replay will tell of it again, unless this is FREE.
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

/* Tell a new subscriber of the ids that the set has. */
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
 * but for the grace period: one is enough for all links that go together.  Until
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
int ioasid_notifier_add_set(struct ioasid_set *set)
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
			ioasid_notifier_del_set(set);
			return -ENOMEM;
		}
	}
	return 0;
}

/*
 * The set goes, and with it the links to it.  Nobody calls its chain any more: a
 * grace period has passed since the last id went, or it never had one.
 */
void ioasid_notifier_del_set(struct ioasid_set *set)
{
	struct ioasid_mm_link *link, *next;

	lockdep_assert_held(&ioasid_sets_lock);
	list_for_each_entry_safe(link, next, &set->links, in_set) {
		ioasid_mm_unlink(link);
		list_del(&link->list);
		kfree(link);
	}
	WARN_ONCE(rcu_access_pointer(set->chain.head),
		  "IOASID set is going and has subscribers\n");
}

static int ioasid_chain_add(struct atomic_notifier_head *chain,
			    struct notifier_block *nb)
{
	struct notifier_block *other;
	int ret = 0;

	/* Keeps another one from registering between the two steps. */
	mutex_lock(&ioasid_sets_lock);
	rcu_read_lock();
	for (other = rcu_dereference(chain->head); other;
	     other = rcu_dereference(other->next))
		if (other == nb)
			ret = -EBUSY;
	rcu_read_unlock();
	if (!ret)
		ret = atomic_notifier_chain_register(chain, nb);
	mutex_unlock(&ioasid_sets_lock);
	return ret;
}

static int ioasid_chain_del(struct atomic_notifier_head *chain,
			    struct notifier_block *nb)
{
	int ret = atomic_notifier_chain_unregister(chain, nb);

	WARN_ONCE(ret, "IOASID notifier %ps was not registered\n",
		  nb->notifier_call);
	return ret;
}

/**
 * ioasid_register_notifier - subscribe to events
 * @set: a set, of which the caller holds a reference until it has unregistered;
 *	 NULL for the events of all sets
 * @nb: the subscriber; enum ioasid_notifier_prio has the priorities.  It must
 *	not be in another chain.  It is called with enum ioasid_notify_event and
 *	struct ioasid_nb_args, possibly with interrupts disabled, must not sleep
 *	and returns NOTIFY_OK or NOTIFY_DONE.
 *
 * Subscribers of the set are called before those of all sets, and among each
 * the highest priority first.  The order holds for what handlers do themselves;
 * work they queue with ioasid_queue_work() runs in the order of queueing.
 *
 * Context: Process context, may sleep.
 * Return: 0; -EINVAL for @nb without a function; -EBUSY when @nb is registered
 * there already.
 */
int ioasid_register_notifier(struct ioasid_set *set, struct notifier_block *nb)
{
	int ret;

	if (!nb || !nb->notifier_call)
		return -EINVAL;
	if (set)
		return ioasid_chain_add(&set->chain, nb);

	/* First, so that an id which @nb has met does not go unheard */
	atomic_inc(&ioasid_chain_all);
	ret = ioasid_chain_add(&ioasid_chain, nb);
	if (ret)
		atomic_dec(&ioasid_chain_all);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_register_notifier);

/**
 * ioasid_unregister_notifier - end a subscription
 * @set: as registered
 * @nb: as registered
 *
 * When it returns @nb is not running and will not be called again.
 *
 * Context: Process context, may sleep.
 */
void ioasid_unregister_notifier(struct ioasid_set *set,
				struct notifier_block *nb)
{
	if (set)
		ioasid_chain_del(&set->chain, nb);
	else if (!ioasid_chain_del(&ioasid_chain, nb))
		atomic_dec(&ioasid_chain_all);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unregister_notifier);

/**
 * ioasid_register_notifier_in_use - subscribe to FREE of ids that are in use
 * @nb: the subscriber, as for ioasid_register_notifier()
 *
 * For those who hold state only for ids that they have taken into use, by
 * ioasid_use(): of those they get FREE, whatever set they are in.  Other ids need
 * not send events for them and are cheaper to allocate and to free.  @nb is
 * called for other events and ids as well when somebody else asked for those.
 *
 * Context: Process context, may sleep.
 * Return: as ioasid_register_notifier().
 */
int ioasid_register_notifier_in_use(struct notifier_block *nb)
{
	if (!nb || !nb->notifier_call)
		return -EINVAL;
	return ioasid_chain_add(&ioasid_chain, nb);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_register_notifier_in_use);

/**
 * ioasid_unregister_notifier_in_use - end a subscription to ids in use
 * @nb: as registered
 *
 * When it returns @nb is not running and will not be called again.
 *
 * Context: Process context, may sleep.
 */
void ioasid_unregister_notifier_in_use(struct notifier_block *nb)
{
	ioasid_chain_del(&ioasid_chain, nb);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unregister_notifier_in_use);

static struct ioasid_mm_sub *ioasid_mm_find(struct mm_struct *mm,
					    struct notifier_block *nb)
{
	struct ioasid_mm_sub *sub;

	lockdep_assert_held(&ioasid_sets_lock);
	list_for_each_entry(sub, &ioasid_mm_subs, list)
		if (sub->mm == mm && sub->nb == nb)
			return sub;
	return NULL;
}

/*
 * Under ioasid_sets_lock, which others get in between and which is dropped in
 * the end.  The subscriber is not found any more, and no set is linked to it.
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
	mmdrop(sub->mm);
	kfree(sub);
}

/**
 * ioasid_register_notifier_mm - subscribe to the events of all sets of an mm
 * @mm: the mm; a reference (mmgrab()) is taken
 * @nb: the subscriber, as for ioasid_register_notifier().  The same one may
 *	subscribe to one mm only.
 *
 * For subscribers that know a process but not its sets.  Sets of that mm that
 * are made later count as well.  Of the ids that are there already the
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
	struct ioasid_mm_link *link;
	struct ioasid_mm_sub *sub;
	struct ioasid_set *set;
	int ret = 0;

	if (!mm || !nb || !nb->notifier_call)
		return -EINVAL;

	sub = kzalloc(sizeof(*sub), GFP_KERNEL_ACCOUNT);
	if (!sub)
		return -ENOMEM;
	mmgrab(mm);
	sub->mm = mm;
	sub->nb = nb;
	INIT_LIST_HEAD(&sub->links);
	sub->replay = true;

	mutex_lock(&ioasid_sets_lock);
	if (ioasid_mm_find(mm, nb))
		ret = -EBUSY;
	list_add_tail(&sub->list, &ioasid_mm_subs);
	list_for_each_entry(set, &ioasid_sets, sets) {
		if (!ret && set->type == IOASID_SET_TYPE_MM &&
		    set->token == mm && !ioasid_mm_link(sub, set, true))
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
	 * the link; that CPU shall tell of the id first.  Once for all sets.
	 */
	synchronize_rcu();
	WRITE_ONCE(sub->replay, false);
	return 0;

err_free:
	ioasid_mm_free(sub);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_register_notifier_mm);

/**
 * ioasid_unregister_notifier_mm - end a subscription to an mm
 * @mm: as registered
 * @nb: as registered
 *
 * Not before ioasid_register_notifier_mm() has returned.  When it returns @nb is
 * not running and will not be called again.
 *
 * Context: Process context, may sleep.
 */
void ioasid_unregister_notifier_mm(struct mm_struct *mm,
				   struct notifier_block *nb)
{
	struct ioasid_mm_sub *sub;

	mutex_lock(&ioasid_sets_lock);
	sub = ioasid_mm_find(mm, nb);
	if (sub)
		ioasid_mm_free(sub);
	else
		mutex_unlock(&ioasid_sets_lock);
	WARN_ONCE(!sub, "IOASID notifier %ps was not registered for this mm\n",
		  nb->notifier_call);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unregister_notifier_mm);

/**
 * ioasid_queue_work - run work of a notifier that has to sleep
 * @work: the work
 *
 * There is one ordered workqueue for all subscribers.  Queue one item that
 * drains a list, not one for each id: a set with a million ids may be freed.
 *
 * Context: Any context but NMI.
 * Return: false when @work was queued already.
 */
bool ioasid_queue_work(struct work_struct *work)
{
	return queue_work(ioasid_wq, work);
}
EXPORT_SYMBOL_GPL(ioasid_queue_work);

static int __init ioasid_notifier_init(void)
{
	ioasid_wq = alloc_ordered_workqueue("ioasid", WQ_MEM_RECLAIM);
	if (!ioasid_wq)
		panic("ioasid: no workqueue\n");
	return 0;
}
core_initcall(ioasid_notifier_init);
