// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: the chains of subscribers and their workqueue
 *
 * Every event goes to the chain of the id's set, then to the global chain.
 *
 * Who only holds state for ids that it uses (ioasid_use()) is in the global chain,
 * too, but does not count: an id that nobody uses comes and goes without events
 * then, which is most of what ids do.
 *
 * Handlers run without any lock of the core and may call every function of it
 * that does not sleep, also for the id that the event is about.
 */
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>

#include "ioasid-private.h"

/* Keeps others from registering while one looks whether it is registered. */
static DEFINE_MUTEX(ioasid_chain_lock);
static ATOMIC_NOTIFIER_HEAD(ioasid_chain);
/* How many in it want all events; not less while one of them is in it */
atomic_t ioasid_chain_all = ATOMIC_INIT(0);
EXPORT_SYMBOL_IF_KUNIT(ioasid_chain_all);
static struct workqueue_struct *ioasid_wq;

/* Notify all subscribers of @args->set, then those of all sets. Under RCU. */
void ioasid_notify(enum ioasid_notify_event event, struct ioasid_nb_args *args)
{
	int ret;

	ret = atomic_notifier_call_chain(&args->set->chain, event, args);
	ret |= atomic_notifier_call_chain(&ioasid_chain, event, args);
	WARN_ONCE(ret & NOTIFY_STOP_MASK,
		  "IOASID notifiers cannot stop an event, others missed it\n");
}

static int ioasid_chain_add(struct atomic_notifier_head *chain,
			    struct notifier_block *nb)
{
	struct notifier_block *other;
	int ret = 0;

	mutex_lock(&ioasid_chain_lock);
	rcu_read_lock();
	for (other = rcu_dereference(chain->head); other;
	     other = rcu_dereference(other->next))
		if (other == nb)
			ret = -EBUSY;
	rcu_read_unlock();
	if (!ret)
		ret = atomic_notifier_chain_register(chain, nb);
	mutex_unlock(&ioasid_chain_lock);
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
 * @nb: the subscriber; enum ioasid_notifier_prio has the priorities. It must
 *	not be in another chain. It is called with enum ioasid_notify_event and
 *	struct ioasid_nb_args, possibly with interrupts disabled, must not sleep
 *	and returns NOTIFY_OK or NOTIFY_DONE.
 *
 * Subscribers of the set are called before those of all sets, and among each
 * the highest priority first. The order holds for what handlers do themselves;
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
 * ioasid_use(): of those they get FREE, whatever set they are in. Other ids need
 * not send events for them and are cheaper to allocate and to free. @nb is
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

/**
 * ioasid_queue_work - run work of a notifier that has to sleep
 * @work: the work
 *
 * There is one ordered workqueue for all subscribers. Queue one item that
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
