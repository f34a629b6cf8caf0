// SPDX-License-Identifier: GPL-2.0
/*
 * Events of /dev/ioasid: ids that are released, faults of devices, devices that go
 *
 * All are in one list, in the order in which they happened. The event that an id is
 * released is what is kept of the id anyway, so it needs no memory and is never lost.
 * Faults can be any number: they have a fixed number of records of the file, which are
 * made before a device is attached, and beyond that are counted only. The event that a
 * device went away is made with its attachment, as there may be no memory then.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "ioasid-user.h"
#include "iommu-pasid-fault.h"

/* Faults that a file keeps until they are read */
#define IOASID_USER_FAULTS	256

/**
 * struct ioasid_user_fault - a fault, or room for one
 * @event: in events or free_faults of struct ioasid_user; state IOASID_USER_FAULT
 * @addr: these as in struct ioasid_event_fault
 * @spid:
 * @perm:
 * @reason:
 * @hw_reason:
 * @flags: of its header
 * @lost: only counted for the last one, while there is no room
 */
struct ioasid_user_fault {
	struct ioasid_user_id event;
	u64 addr;
	u32 spid;
	u32 perm;
	u32 reason;
	u32 hw_reason;
	u32 flags;
	u32 lost;
};

/**
 * struct ioasid_user_detached - a device that went away, or may do so
 * @event: in events of struct ioasid_user, when it did; state IOASID_USER_DETACHED
 * @spid: as in struct ioasid_event_detached
 */
struct ioasid_user_detached {
	struct ioasid_user_id event;
	u32 spid;
};

union ioasid_user_event {
	struct ioasid_event header;
	struct ioasid_event_freed freed;
	struct ioasid_event_fault fault;
	struct ioasid_event_detached detached;
};

static struct ioasid_user_fault *to_fault(struct ioasid_user_id *event)
{
	return container_of(event, struct ioasid_user_fault, event);
}

static struct ioasid_user_detached *to_detached(struct ioasid_user_id *event)
{
	return container_of(event, struct ioasid_user_detached, event);
}

/*
 * User space decides how many wait: in a work that is nobody else's time, and takes no
 * lock that others wait for.
 */
static void ioasid_events_wake(struct work_struct *work)
{
	struct ioasid_user *user = container_of(work, struct ioasid_user,
						wake_work);

	wake_up_interruptible_poll(&user->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * ioasid_events_init - no events yet
 * @user: the file
 */
void ioasid_events_init(struct ioasid_user *user)
{
	mutex_init(&user->read_mutex);
	INIT_WORK(&user->wake_work, ioasid_events_wake);
	init_waitqueue_head(&user->wait);
	INIT_LIST_HEAD(&user->events);
	INIT_LIST_HEAD(&user->free_faults);
}

/**
 * ioasid_events_free - free what was not read
 * @user: the file, of which nobody reports anything any more
 */
void ioasid_events_free(struct ioasid_user *user)
{
	struct ioasid_user_id *event, *next;

	cancel_work_sync(&user->wake_work);
	list_for_each_entry_safe(event, next, &user->events, list) {
		if (event->state == IOASID_USER_DETACHED)
			ioasid_events_free_detached(event);
		else if (event->state != IOASID_USER_FAULT)
			kfree(event);
		cond_resched();
	}
	kvfree(user->faults);
	mutex_destroy(&user->read_mutex);
}

/**
 * ioasid_events_make_room - have room for faults
 * @user: the file, to which faults are reported from now on
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: 0; -ENOMEM.
 */
int ioasid_events_make_room(struct ioasid_user *user)
{
	struct ioasid_user_fault *faults;
	unsigned int i;

	if (READ_ONCE(user->faults))
		return 0;
	faults = kvcalloc(IOASID_USER_FAULTS, sizeof(*faults),
			  GFP_KERNEL_ACCOUNT);
	if (!faults)
		return -ENOMEM;
	spin_lock_irq(&user->lock);
	if (!user->faults) {
		for (i = 0; i < IOASID_USER_FAULTS; i++) {
			faults[i].event.state = IOASID_USER_FAULT;
			list_add_tail(&faults[i].event.list, &user->free_faults);
		}
		WRITE_ONCE(user->faults, faults);
		faults = NULL;
	}
	spin_unlock_irq(&user->lock);
	kvfree(faults);
	return 0;
}

/**
 * ioasid_events_add - add an event
 * @user: the file, its lock held
 * @event: the event, in no list
 */
void ioasid_events_add(struct ioasid_user *user, struct ioasid_user_id *event)
{
	lockdep_assert_held(&user->lock);
	list_add_tail(&event->list, &user->events);
	queue_work(system_unbound_wq, &user->wake_work);
}

/**
 * ioasid_events_add_fault - add the event that a request was refused
 * @user: the file, with room for faults
 * @id: the IOASID
 * @cookie: of the attachment, under @user's lock
 * @fault: the request
 * @fault_flags: of struct ioasid_event_fault
 *
 * Context: Any but NMI.
 */
void ioasid_events_add_fault(struct ioasid_user *user, ioasid_t id,
			     const u64 *cookie,
			     const struct iommu_pasid_fault *fault,
			     u32 fault_flags)
{
	u32 spid = ioasid_spid_of(id);
	struct ioasid_user_fault *new;
	struct ioasid_user_id *room;
	unsigned long flags;

	spin_lock_irqsave(&user->lock, flags);
	room = list_first_entry_or_null(&user->free_faults,
					struct ioasid_user_id, list);
	if (user->closed) {
		/* Nobody will read it. */
	} else if (!room) {
		user->last_fault->lost++;
	} else {
		new = to_fault(room);
		new->event.id = id;
		new->event.cookie = *cookie;
		new->addr = fault->addr;
		new->spid = spid;
		new->perm = fault->perm;
		new->reason = fault->reason;
		new->hw_reason = fault->hw_reason;
		new->flags = fault_flags;
		new->lost = 0;
		user->last_fault = new;
		list_del(&room->list);
		ioasid_events_add(user, room);
	}
	spin_unlock_irqrestore(&user->lock, flags);
}

/**
 * ioasid_events_set_cookie - change the cookie of faults
 * @user: the file
 * @cookie: that of ioasid_events_add_fault()
 * @value: the new one, which all that are added from now on have
 *
 * Context: Process context.
 */
void ioasid_events_set_cookie(struct ioasid_user *user, u64 *cookie, u64 value)
{
	spin_lock_irq(&user->lock);
	*cookie = value;
	spin_unlock_irq(&user->lock);
}

/**
 * ioasid_events_alloc_detached - make the event that a device went away
 * @id: the IOASID that it is attached to
 * @cookie: of the attachment
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: the event, NULL when there is no memory.
 */
struct ioasid_user_id *ioasid_events_alloc_detached(ioasid_t id, u64 cookie)
{
	struct ioasid_user_detached *detached;

	detached = kzalloc(sizeof(*detached), GFP_KERNEL_ACCOUNT);
	if (!detached)
		return NULL;
	detached->event.id = id;
	detached->event.cookie = cookie;
	detached->event.state = IOASID_USER_DETACHED;
	return &detached->event;
}

/**
 * ioasid_events_add_detached - add the event that a device went away
 * @user: the file, which is not freed meanwhile
 * @detached: the event, set to NULL unless the file is being closed
 *
 * Context: Process context.
 */
void ioasid_events_add_detached(struct ioasid_user *user,
				struct ioasid_user_id **detached)
{
	to_detached(*detached)->spid = ioasid_spid_of((*detached)->id);

	spin_lock_irq(&user->lock);
	if (!user->closed) {
		ioasid_events_add(user, *detached);
		*detached = NULL;
	}
	spin_unlock_irq(&user->lock);
}

/**
 * ioasid_events_free_detached - free the event that a device went away
 * @detached: the event, in no list; or NULL
 */
void ioasid_events_free_detached(struct ioasid_user_id *detached)
{
	if (detached)
		kfree(to_detached(detached));
}

/* The oldest event, which stays while read_mutex is held; NULL for none */
static struct ioasid_user_id *ioasid_events_peek(struct ioasid_user *user)
{
	struct ioasid_user_id *event;

	spin_lock_irq(&user->lock);
	event = list_first_entry_or_null(&user->events, struct ioasid_user_id,
					 list);
	spin_unlock_irq(&user->lock);
	return event;
}

/*
 * As user space gets it. That of a fault does not change meanwhile: the last one
 * counts those that are lost, but when it is the first one as well, there is room.
 */
static void ioasid_events_describe(struct ioasid_user_id *event,
				   union ioasid_user_event *out)
{
	struct ioasid_user_fault *fault;

	memset(out, 0, sizeof(*out));
	switch (event->state) {
	case IOASID_USER_FAULT:
		fault = to_fault(event);
		out->fault = (struct ioasid_event_fault) {
			.header.size = sizeof(out->fault),
			.header.type = IOASID_EVENT_FAULT,
			.header.flags = fault->flags,
			.ioasid = event->id,
			.cookie = event->cookie,
			.addr = fault->addr,
			.spid = fault->spid,
			.perm = fault->perm,
			.reason = fault->reason,
			.hw_reason = fault->hw_reason,
			.lost = fault->lost,
		};
		break;
	case IOASID_USER_DETACHED:
		out->detached = (struct ioasid_event_detached) {
			.header.size = sizeof(out->detached),
			.header.type = IOASID_EVENT_DETACHED,
			.ioasid = event->id,
			.cookie = event->cookie,
			.spid = to_detached(event)->spid,
		};
		break;
	default:
		out->freed = (struct ioasid_event_freed) {
			.header.size = sizeof(out->freed),
			.header.type = IOASID_EVENT_FREED,
			.ioasid = event->id,
			.cookie = event->cookie,
		};
	}
}

/* @event was read. */
static void ioasid_events_consume(struct ioasid_user *user,
				  struct ioasid_user_id *event)
{
	u8 state = event->state;

	spin_lock_irq(&user->lock);
	list_del(&event->list);
	if (state == IOASID_USER_FAULT)
		list_add(&event->list, &user->free_faults);
	spin_unlock_irq(&user->lock);
	if (state == IOASID_USER_DETACHED)
		ioasid_events_free_detached(event);
	else if (state != IOASID_USER_FAULT)
		kfree_rcu(event, rcu);
}

ssize_t ioasid_user_read(struct file *file, char __user *buf, size_t count,
			 loff_t *ppos)
{
	struct ioasid_user *user = file->private_data;
	struct ioasid_user_id *event;
	union ioasid_user_event out;
	ssize_t done = 0;
	int ret;

	/* No event is smaller. */
	if (count < sizeof(out.freed))
		return -EINVAL;

	if (file->f_flags & O_NONBLOCK)
		ret = mutex_trylock(&user->read_mutex) ? 0 : -EAGAIN;
	else
		ret = mutex_lock_interruptible(&user->read_mutex);
	if (ret)
		return ret;
	while (!(event = ioasid_events_peek(user))) {
		mutex_unlock(&user->read_mutex);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(user->wait,
					       ioasid_events_peek(user));
		if (!ret)
			ret = mutex_lock_interruptible(&user->read_mutex);
		if (ret)
			return ret;
	}
	do {
		ioasid_events_describe(event, &out);
		if (out.header.size > count - done) {
			ret = -EINVAL;
			break;
		}
		if (copy_to_user(buf + done, &out, out.header.size)) {
			ret = -EFAULT;
			break;
		}
		ioasid_events_consume(user, event);
		done += out.header.size;
	} while ((event = ioasid_events_peek(user)));
	mutex_unlock(&user->read_mutex);
	return done ?: ret;
}

__poll_t ioasid_user_poll(struct file *file, poll_table *wait)
{
	struct ioasid_user *user = file->private_data;

	poll_wait(file, &user->wait, wait);
	return ioasid_events_peek(user) ? EPOLLIN | EPOLLRDNORM : 0;
}
