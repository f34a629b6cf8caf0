// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/ioasid: IOASIDs for user space
 *
 * 1. Each open file is one set of IOASIDs.  Whoever has the file may use it; no
 *    other file reaches its ids.
 * 2. The set takes the mm of the opener as token, for in-kernel subscribers
 *    that only know an mm.  It grants nothing.
 * 3. The last close frees all ids and waits for nobody.
 *
 * The core knows who uses an id.  What it does not know is kept here: whether
 * user space has been told of the id, and has been told that it is gone.
 *
 * Locks: ioasid_user->mutex serialises allocating and freeing, so that a number
 * is in one of these at a time; it is not held while user memory is accessed.
 * The xa_lock of ioasid_user->ids, taken in any context, protects the entries
 * in there, the counts and the queue of events.  Order: mutex > xa_lock.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <linux/fs.h>
#include <linux/ioasid-core.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <uapi/linux/ioasid.h>

/* Events that wait to be read, a power of 2 */
#define IOASID_USER_EVENTS	256

/**
 * enum ioasid_user_state - what user space knows of an id
 * @IOASID_USER_NONE: nothing, it has none of that number
 * @IOASID_USER_NEW: not told yet
 * @IOASID_USER_LIVE: it has the id
 * @IOASID_USER_FREEING: not told yet whether FREE leaves it pending
 * @IOASID_USER_PENDING: it waits for the event that the id is gone
 */
enum ioasid_user_state {
	IOASID_USER_NONE,
	IOASID_USER_NEW,
	IOASID_USER_LIVE,
	IOASID_USER_FREEING,
	IOASID_USER_PENDING,
};

/*
 * An entry of ioasid_user->ids is a state and a number of late calls.
 *
 * The core says that an id is gone after its number became free.  When that
 * call is slow, the number may be allocated again on the same file before it
 * comes.  ALLOC then does what the call would have done, and the entry counts
 * one late call, which is to be ignored.
 */
#define IOASID_USER_STATE	0x7
#define IOASID_USER_LATE	0x8

struct ioasid_user_event {
	u32 type;
	u32 value;
};

/**
 * struct ioasid_user - an open file
 * @rcu: for freeing
 * @set: its IOASIDs
 * @watch: told by the core when one of them is gone
 * @mutex: see above
 * @ids: id -> state and late calls; its xa_lock protects what follows
 * @closed: nothing is recorded any more
 * @allocated: ids that exist
 * @pending: of these, how many are being freed
 * @head: counts events queued
 * @tail: counts events read
 * @events: the last events
 * @read_mutex: serialises readers; taken outside of the xa_lock
 * @wait: for events
 */
struct ioasid_user {
	struct rcu_head rcu;
	struct ioasid_set *set;
	struct ioasid_set_watch watch;
	/* Allocating and freeing */
	struct mutex mutex;
	struct xarray ids;
	bool closed;
	u32 allocated;
	u32 pending;
	u32 head;
	u32 tail;
	struct ioasid_user_event events[IOASID_USER_EVENTS];
	/* Readers of @events; outside of the xa_lock */
	struct mutex read_mutex;
	wait_queue_head_t wait;
};

static struct ioasid_user_event *ioasid_user_slot(struct ioasid_user *user,
						  u32 nr)
{
	BUILD_BUG_ON_NOT_POWER_OF_2(IOASID_USER_EVENTS);
	return &user->events[nr % IOASID_USER_EVENTS];
}

/* The last slot is for LOST, which counts what finds no room. */
static void ioasid_user_queue(struct ioasid_user *user, u32 type, u32 value)
{
	struct ioasid_user_event *event;
	u32 used = user->head - user->tail;

	lockdep_assert_held(&user->ids.xa_lock);
	if (used == IOASID_USER_EVENTS) {
		event = ioasid_user_slot(user, user->head - 1);
		event->value++;
		return;
	}
	event = ioasid_user_slot(user, user->head);
	if (used == IOASID_USER_EVENTS - 1) {
		type = IOASID_EVENT_LOST;
		value = 1;
	}
	event->type = type;
	event->value = value;
	user->head++;
	wake_up_interruptible_poll(&user->wait, EPOLLIN | EPOLLRDNORM);
}

static unsigned long ioasid_user_load(struct ioasid_user *user, ioasid_t id)
{
	void *entry = xa_load(&user->ids, id);

	return entry ? xa_to_value(entry) : IOASID_USER_NONE;
}

/* The entry exists, so that nothing has to be allocated. */
static void ioasid_user_store(struct ioasid_user *user, ioasid_t id,
			      unsigned long value)
{
	unsigned long old = ioasid_user_load(user, id) & IOASID_USER_STATE;
	unsigned long state = value & IOASID_USER_STATE;

	lockdep_assert_held(&user->ids.xa_lock);
	user->allocated += !!state - !!old;
	user->pending += (state == IOASID_USER_PENDING) -
			 (old == IOASID_USER_PENDING);
	if (value)
		__xa_store(&user->ids, id, xa_mk_value(value), GFP_NOWAIT);
	else
		__xa_erase(&user->ids, id);
}

static void ioasid_user_gone(struct ioasid_set_watch *watch, ioasid_t id)
{
	struct ioasid_user *user = container_of(watch, struct ioasid_user,
						watch);
	unsigned long flags, value;

	xa_lock_irqsave(&user->ids, flags);
	if (user->closed)
		goto out;

	value = ioasid_user_load(user, id);
	if (value >= IOASID_USER_LATE) {
		ioasid_user_store(user, id, value - IOASID_USER_LATE);
		goto out;
	}
	if (value == IOASID_USER_LIVE || value == IOASID_USER_PENDING)
		ioasid_user_queue(user, IOASID_EVENT_FREED, id);
	if (value != IOASID_USER_NONE)
		ioasid_user_store(user, id, IOASID_USER_NONE);
out:
	xa_unlock_irqrestore(&user->ids, flags);
}

/* The core has allocated @id.  Returns 0 or -ENOMEM. */
static int ioasid_user_add(struct ioasid_user *user, ioasid_t id)
{
	unsigned long state, value = 0;
	int ret;

	lockdep_assert_held(&user->mutex);
	xa_lock_irq(&user->ids);
	/* Keeps an old entry, from which nothing can be allocated meanwhile. */
	ret = __xa_insert(&user->ids, id, xa_mk_value(IOASID_USER_NEW),
			  GFP_KERNEL);
	if (!ret) {
		user->allocated++;
	} else if (ret == -EBUSY) {
		value = ioasid_user_load(user, id);
		state = value & IOASID_USER_STATE;
		if (state != IOASID_USER_NONE) {
			ioasid_user_queue(user, IOASID_EVENT_FREED, id);
			value += IOASID_USER_LATE;
		}
		ioasid_user_store(user, id, value - state + IOASID_USER_NEW);
		ret = 0;
	}
	xa_unlock_irq(&user->ids);
	return ret;
}

/*
 * Free an id in state FREEING.  Returns true when it is gone, or else leaves it
 * pending.
 */
static bool ioasid_user_free_id(struct ioasid_user *user, ioasid_t id)
{
	unsigned long value;
	bool gone;

	lockdep_assert_held(&user->mutex);
	gone = ioasid_free(user->set, id);

	xa_lock_irq(&user->ids);
	value = ioasid_user_load(user, id);
	if ((value & IOASID_USER_STATE) != IOASID_USER_FREEING) {
		/* Somebody else let go of it meanwhile. */
		gone = true;
	} else if (gone) {
		/* The call for it was mistaken for a late one, still to come */
		value -= IOASID_USER_FREEING;
		ioasid_user_store(user, id, value + IOASID_USER_LATE);
	} else {
		value += IOASID_USER_PENDING - IOASID_USER_FREEING;
		ioasid_user_store(user, id, value);
	}
	xa_unlock_irq(&user->ids);
	return gone;
}

/*
 * Move an id to another state.  Returns 0; -ENOENT when user space has none of
 * that number; -EBUSY when it is being freed.
 */
static int ioasid_user_move(struct ioasid_user *user, ioasid_t id,
			    enum ioasid_user_state from,
			    enum ioasid_user_state to)
{
	unsigned long value;
	int ret = 0;

	xa_lock_irq(&user->ids);
	value = ioasid_user_load(user, id);
	if ((value & IOASID_USER_STATE) == from)
		ioasid_user_store(user, id, value - from + to);
	else if ((value & IOASID_USER_STATE) >= IOASID_USER_FREEING)
		ret = -EBUSY;
	else
		ret = -ENOENT;
	xa_unlock_irq(&user->ids);
	return ret;
}

/*
 * Get a reference to an id that user space knows.  While it is held, the number
 * means the same id.
 */
static int ioasid_user_get(struct ioasid_user *user, ioasid_t id)
{
	unsigned long state;
	int ret;

	ret = ioasid_get(user->set, id);
	if (ret == -EINVAL || ret == -EACCES)
		return -ENOENT;
	if (ret)
		return ret;

	state = ioasid_user_load(user, id) & IOASID_USER_STATE;
	if (state == IOASID_USER_NONE || state == IOASID_USER_NEW) {
		ioasid_put(user->set, id);
		return -ENOENT;
	}
	return 0;
}

/* A copy of the caller's struct, zero-extended */
union ioasid_user_args {
	struct {
		u32 size;
		u32 flags;
	} common;
	struct ioasid_get_info info;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_set_spid set_spid;
	struct ioasid_clear_spid clear_spid;
	struct ioasid_find_spid find_spid;
};

static int ioasid_user_get_info(struct ioasid_user *user,
				union ioasid_user_args *args)
{
	struct ioasid_get_info *info = &args->info;

	if (info->__reserved)
		return -EOPNOTSUPP;
	info->out_capacity = ioasid_get_capacity();
	info->out_min = IOASID_ALLOC_BASE;
	info->out_max = IOASID_MAX;
	info->out_types = BIT(IOASID_TYPE_NONE);
	info->out_charged = ioasid_current_charge();
	xa_lock_irq(&user->ids);
	info->out_allocated = user->allocated;
	info->out_pending = user->pending;
	xa_unlock_irq(&user->ids);
	return 0;
}

static int ioasid_user_alloc(struct ioasid_user *user,
			     union ioasid_user_args *args)
{
	struct ioasid_alloc *alloc = &args->alloc;
	int ret;

	if (alloc->type != IOASID_TYPE_NONE)
		return -EOPNOTSUPP;

	mutex_lock(&user->mutex);
	ret = __ioasid_alloc(user->set, alloc->min, alloc->max, NULL,
			     &alloc->out_ioasid);
	if (!ret) {
		ret = ioasid_user_add(user, alloc->out_ioasid);
		if (ret)
			ioasid_free(user->set, alloc->out_ioasid);
	}
	mutex_unlock(&user->mutex);
	return ret;
}

/* User space has the number, or will never know it. */
static void ioasid_user_alloc_done(struct ioasid_user *user,
				   union ioasid_user_args *args, int err)
{
	ioasid_t id = args->alloc.out_ioasid;

	if (!err) {
		if (!ioasid_user_move(user, id, IOASID_USER_NEW,
				      IOASID_USER_LIVE))
			return;
		/* The kernel freed it before user space knew it. */
		xa_lock_irq(&user->ids);
		ioasid_user_queue(user, IOASID_EVENT_FREED, id);
		xa_unlock_irq(&user->ids);
		return;
	}
	mutex_lock(&user->mutex);
	if (!ioasid_user_move(user, id, IOASID_USER_NEW, IOASID_USER_FREEING))
		ioasid_user_free_id(user, id);
	mutex_unlock(&user->mutex);
}

static int ioasid_user_free(struct ioasid_user *user,
			    union ioasid_user_args *args)
{
	struct ioasid_free *free = &args->free;
	int ret;

	mutex_lock(&user->mutex);
	ret = ioasid_user_move(user, free->ioasid, IOASID_USER_LIVE,
			       IOASID_USER_FREEING);
	if (!ret)
		free->out_pending = !ioasid_user_free_id(user, free->ioasid);
	mutex_unlock(&user->mutex);
	return ret;
}

static int ioasid_user_set_spid(struct ioasid_user *user,
				union ioasid_user_args *args)
{
	struct ioasid_set_spid *set = &args->set_spid;
	int ret;

	if (set->spid == INVALID_IOASID)
		return -EINVAL;
	ret = ioasid_user_get(user, set->ioasid);
	if (ret)
		return ret;
	ret = ioasid_attach_spid(set->ioasid, set->spid);
	ioasid_put(user->set, set->ioasid);
	return ret;
}

static int ioasid_user_clear_spid(struct ioasid_user *user,
				  union ioasid_user_args *args)
{
	struct ioasid_clear_spid *clear = &args->clear_spid;
	int ret;

	if (clear->__reserved)
		return -EOPNOTSUPP;
	ret = ioasid_user_get(user, clear->ioasid);
	if (ret)
		return ret;
	ret = ioasid_detach_spid(clear->ioasid);
	ioasid_put(user->set, clear->ioasid);
	return ret;
}

static int ioasid_user_find_spid(struct ioasid_user *user,
				 union ioasid_user_args *args)
{
	struct ioasid_find_spid *find = &args->find_spid;

	find->out_ioasid = ioasid_find_by_spid(user->set, find->spid, false);
	return find->out_ioasid == INVALID_IOASID ? -ENOENT : 0;
}

/**
 * struct ioasid_user_op - an ioctl
 * @size: size of its struct
 * @min_size: that of the first version
 * @execute: does it
 * @done: told whether the struct reached user space, may be NULL
 */
struct ioasid_user_op {
	size_t size;
	size_t min_size;
	int (*execute)(struct ioasid_user *user, union ioasid_user_args *args);
	void (*done)(struct ioasid_user *user, union ioasid_user_args *args,
		     int err);
};

#define IOASID_USER_OP(_cmd, _struct, _last, _execute, _done)		\
	[_IOC_NR(_cmd)] = {						\
		.size = sizeof(struct _struct) +			\
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) >	\
					  sizeof(union ioasid_user_args)), \
		.min_size = offsetofend(struct _struct, _last),		\
		.execute = _execute,					\
		.done = _done,						\
	}

static const struct ioasid_user_op ioasid_user_ops[] = {
	IOASID_USER_OP(IOASID_GET_INFO, ioasid_get_info, __reserved,
		       ioasid_user_get_info, NULL),
	IOASID_USER_OP(IOASID_ALLOC, ioasid_alloc, out_ioasid,
		       ioasid_user_alloc, ioasid_user_alloc_done),
	IOASID_USER_OP(IOASID_FREE, ioasid_free, out_pending,
		       ioasid_user_free, NULL),
	IOASID_USER_OP(IOASID_SET_SPID, ioasid_set_spid, spid,
		       ioasid_user_set_spid, NULL),
	IOASID_USER_OP(IOASID_CLEAR_SPID, ioasid_clear_spid, __reserved,
		       ioasid_user_clear_spid, NULL),
	IOASID_USER_OP(IOASID_FIND_SPID, ioasid_find_spid, out_ioasid,
		       ioasid_user_find_spid, NULL),
};

static long ioasid_user_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct ioasid_user *user = file->private_data;
	void __user *uptr = (void __user *)arg;
	const struct ioasid_user_op *op;
	union ioasid_user_args args;
	u32 size;
	int ret;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(ioasid_user_ops) ||
	    cmd != _IO(IOASID_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;
	op = &ioasid_user_ops[_IOC_NR(cmd)];
	if (!op->execute)
		return -ENOTTY;

	if (get_user(size, (u32 __user *)uptr))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&args, op->size, uptr, size);
	if (ret)
		return ret;
	if (args.common.flags)
		return -EOPNOTSUPP;

	ret = op->execute(user, &args);
	if (ret)
		return ret;

	/* Another thread may have changed it since. */
	args.common.size = size;
	if (copy_to_user(uptr, &args, min_t(size_t, size, op->size)))
		ret = -EFAULT;
	if (op->done)
		op->done(user, &args, ret);
	return ret;
}

/* The oldest event, in the format of user space.  Returns false for none. */
static bool ioasid_user_peek(struct ioasid_user *user,
			     struct ioasid_user_event *event)
{
	bool ret;

	xa_lock_irq(&user->ids);
	ret = user->head != user->tail;
	if (ret)
		*event = *ioasid_user_slot(user, user->tail);
	xa_unlock_irq(&user->ids);
	return ret;
}

/* @event was read.  It is still the oldest, but LOST may count more by now. */
static void ioasid_user_consume(struct ioasid_user *user,
				const struct ioasid_user_event *event)
{
	struct ioasid_user_event *first;

	xa_lock_irq(&user->ids);
	first = ioasid_user_slot(user, user->tail);
	if (first->type == IOASID_EVENT_LOST && first->value > event->value)
		first->value -= event->value;
	else
		user->tail++;
	xa_unlock_irq(&user->ids);
}

static ssize_t ioasid_user_read(struct file *file, char __user *buf,
				size_t count, loff_t *ppos)
{
	struct ioasid_user *user = file->private_data;
	struct ioasid_user_event event;
	struct ioasid_event_freed out;
	ssize_t done = 0;
	int ret;

	BUILD_BUG_ON(sizeof(struct ioasid_event_freed) !=
		     sizeof(struct ioasid_event_lost));
	if (count < sizeof(out))
		return -EINVAL;

	ret = mutex_lock_interruptible(&user->read_mutex);
	if (ret)
		return ret;
	while (!ioasid_user_peek(user, &event)) {
		mutex_unlock(&user->read_mutex);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(user->wait,
					       READ_ONCE(user->head) !=
					       READ_ONCE(user->tail));
		if (!ret)
			ret = mutex_lock_interruptible(&user->read_mutex);
		if (ret)
			return ret;
	}
	do {
		out = (struct ioasid_event_freed) {
			.header.size = sizeof(out),
			.header.type = event.type,
			.ioasid = event.value,
		};
		if (copy_to_user(buf + done, &out, sizeof(out))) {
			ret = -EFAULT;
			break;
		}
		ioasid_user_consume(user, &event);
		done += sizeof(out);
	} while (count - done >= sizeof(out) && ioasid_user_peek(user, &event));
	mutex_unlock(&user->read_mutex);
	return done ?: ret;
}

static __poll_t ioasid_user_poll(struct file *file, poll_table *wait)
{
	struct ioasid_user *user = file->private_data;

	poll_wait(file, &user->wait, wait);
	if (READ_ONCE(user->head) != READ_ONCE(user->tail))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

static void ioasid_user_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct ioasid_user *user = file->private_data;
	u32 allocated, pending;

	xa_lock_irq(&user->ids);
	allocated = user->allocated;
	pending = user->pending;
	xa_unlock_irq(&user->ids);
	seq_printf(m, "ioasid-allocated:\t%u\nioasid-pending:\t%u\n",
		   allocated, pending);
}

static int ioasid_user_open(struct inode *inode, struct file *file)
{
	struct ioasid_user *user;

	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return -ENOMEM;

	user->set = ioasid_set_alloc(current->mm, 0, IOASID_SET_TYPE_MM);
	if (IS_ERR(user->set)) {
		int ret = PTR_ERR(user->set);

		kfree(user);
		return ret;
	}
	mutex_init(&user->mutex);
	mutex_init(&user->read_mutex);
	xa_init_flags(&user->ids, XA_FLAGS_LOCK_IRQ | XA_FLAGS_ACCOUNT);
	init_waitqueue_head(&user->wait);
	user->watch.gone = ioasid_user_gone;
	ioasid_set_watch_gone(user->set, &user->watch);

	/* misc_open() put the miscdevice here. */
	file->private_data = user;
	return stream_open(inode, file);
}

static int ioasid_user_release(struct inode *inode, struct file *file)
{
	struct ioasid_user *user = file->private_data;

	ioasid_set_watch_gone(user->set, NULL);
	/* A call that found the watch before may still come. */
	xa_lock_irq(&user->ids);
	user->closed = true;
	xa_unlock_irq(&user->ids);

	ioasid_set_free(user->set);
	xa_destroy(&user->ids);
	mutex_destroy(&user->mutex);
	mutex_destroy(&user->read_mutex);
	kfree_rcu(user, rcu);
	return 0;
}

static const struct file_operations ioasid_user_fops = {
	.owner = THIS_MODULE,
	.open = ioasid_user_open,
	.release = ioasid_user_release,
	.unlocked_ioctl = ioasid_user_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.read = ioasid_user_read,
	.poll = ioasid_user_poll,
	.llseek = no_llseek,
	.show_fdinfo = ioasid_user_show_fdinfo,
};

static struct miscdevice ioasid_user_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ioasid",
	.fops = &ioasid_user_fops,
	.mode = 0660,
};

static int __init ioasid_user_init(void)
{
	return misc_register(&ioasid_user_misc);
}
module_init(ioasid_user_init);

static void __exit ioasid_user_exit(void)
{
	misc_deregister(&ioasid_user_misc);
	/* Let calls of ioasid_user_gone() end. */
	synchronize_rcu();
}
module_exit(ioasid_user_exit);

MODULE_DESCRIPTION("IOASIDs for user space");
MODULE_LICENSE("GPL");
