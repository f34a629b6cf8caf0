// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/ioasid: IOASIDs for user space
 *
 * 1. Each open file is one set of IOASIDs. Whoever has the file may use it; no
 *    other file reaches its ids.
 * 2. The set takes the mm of the opener as token, for in-kernel subscribers
 *    that only know an mm. It grants nothing.
 * 3. The last close frees all ids and waits for no other program.
 *
 * The core knows who uses an id. What it does not know is kept here: whether
 * user space has been told of the id, and that it is released. That is
 * the private data of the id, so it is there before the id can be found.
 *
 * Locks: ioasid_user->mutex serialises the commands that change something, so that
 * a number means the same id while it is held, and that at most one task of a file
 * waits for the delivery of an event; it is not held while user memory is waited for.
 * ioasid_user->lock, a spinlock taken in any context, protects the lists of ids,
 * their states, and the counts. Order: mutex > lock; read_mutex > lock; around mutex
 * the map_mutex of an address space, and inside of it those by which it is detached
 * (ioasid-ioas.h).
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <kunit/visibility.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "ioasid-user.h"

static void ioasid_user_set_state(struct ioasid_user *user,
				  struct ioasid_user_id *uid,
				  enum ioasid_user_state state)
{
	lockdep_assert_held(&user->lock);
	user->pending += (state == IOASID_USER_PENDING) -
			 (uid->state == IOASID_USER_PENDING);
	uid->state = state;
}

static void ioasid_user_released(struct ioasid_set_watch *watch, ioasid_t id,
				 void *private)
{
	struct ioasid_user *user = container_of(watch, struct ioasid_user,
						watch);
	struct ioasid_user_id *uid = private;
	enum ioasid_user_state was;
	unsigned long flags;

	/* The kernel may have allocated an id of its own in the set. */
	if (!uid)
		return;

	spin_lock_irqsave(&user->lock, flags);
	if (!user->closed) {
		was = uid->state;
		ioasid_user_set_state(user, uid, IOASID_USER_RELEASED);
		user->allocated--;
		list_del(&uid->list);
		uid->id = id;
		if (was == IOASID_USER_LIVE || was == IOASID_USER_PENDING)
			ioasid_events_add(user, uid);
		else if (was == IOASID_USER_SILENT)
			kfree_rcu(uid, rcu);
		/* Else whoever frees or allocates it looks at the state. */
	}
	spin_unlock_irqrestore(&user->lock, flags);
}

/*
 * What user space knows as @id. Under RCU, which keeps it; it may be released by now.
 * NULL when there is none.
 */
static struct ioasid_user_id *ioasid_user_find(struct ioasid_user *user,
					       ioasid_t id)
{
	void *uid = ioasid_find(user->set, id, NULL);

	return IS_ERR(uid) ? NULL : uid;
}

/*
 * Free an id in state FREEING; when it is not released at once it goes to state @then.
 * Waits until subscribers are notified. Returns true when it is released.
 */
static bool ioasid_user_free_id(struct ioasid_user *user,
				struct ioasid_user_id *uid, ioasid_t id,
				enum ioasid_user_state then)
{
	bool released, mine;

	lockdep_assert_held(&user->mutex);
	released = ioasid_free(user->set, id);
	/* When another CPU notifies them; who is killed need not know. */
	if (!released)
		ioasid_wait_events(user->set, id);

	spin_lock_irq(&user->lock);
	mine = uid->state == IOASID_USER_RELEASED;
	/* The call that it is released may be yet to come. */
	if (!mine)
		ioasid_user_set_state(user, uid,
				      released ? IOASID_USER_SILENT : then);
	spin_unlock_irq(&user->lock);
	if (mine)
		kfree_rcu(uid, rcu);
	return released || mine;
}

/**
 * ioasid_user_get - get a reference to an id that user space has
 * @user: the file
 * @id: the number
 *
 * Context: Process context. user->mutex is held.
 * Return: 0; -ENOENT when it has none of that number; -EBUSY when it is being freed.
 */
int ioasid_user_get(struct ioasid_user *user, ioasid_t id)
{
	struct ioasid_user_id *uid;
	int ret;

	lockdep_assert_held(&user->mutex);
	ret = ioasid_get(user->set, id);
	if (ret == -EACCES)
		return -ENOENT;
	if (ret)
		return ret;

	rcu_read_lock();
	uid = ioasid_user_find(user, id);
	spin_lock_irq(&user->lock);
	if (!uid || uid->state == IOASID_USER_NEW)
		ret = -ENOENT;
	else if (uid->state != IOASID_USER_LIVE)
		ret = -EBUSY;
	spin_unlock_irq(&user->lock);
	rcu_read_unlock();
	if (ret)
		ioasid_put(user->set, id);
	return ret;
}

static int ioasid_user_get_info(struct ioasid_user *user,
				union ioasid_user_args *args, void **data)
{
	struct ioasid_get_info *info = &args->info;

	if (info->__reserved)
		return -EOPNOTSUPP;
	info->out_capacity = ioasid_get_capacity();
	info->out_min = IOASID_ALLOC_BASE;
	info->out_max = ioasid_get_max();
	info->out_limit = ioasid_get_users_limit();
	info->out_types = BIT(IOASID_TYPE_NONE);
	ioasid_ioas_info(info);
	ioasid_ioas_totals(user, &info->out_mapped, &info->out_attached);
	info->out_charged = ioasid_current_charge();
	spin_lock_irq(&user->lock);
	info->out_allocated = user->allocated;
	info->out_pending = user->pending;
	spin_unlock_irq(&user->lock);
	return 0;
}

/*
 * An id that no device sees gets a high number: low ones are for devices whose
 * PASIDs have few bits. From each power of two on, the lowest that is free.
 */
static int ioasid_user_alloc_high(struct ioasid_user *user,
				  struct ioasid_user_id *uid, ioasid_t min,
				  ioasid_t max, ioasid_t *id)
{
	ioasid_t low;
	int ret;

	for (;;) {
		low = max_t(ioasid_t, min, rounddown_pow_of_two(max));
		ret = ioasid_alloc(user->set, low, max, uid, id);
		if (ret != -ENOSPC || low == min)
			return ret;
		max = low - 1;
	}
}

/* User space has the number, or will never know it. */
static void ioasid_user_alloc_done(struct ioasid_user *user,
				   union ioasid_user_args *args, void *data,
				   int err)
{
	struct ioasid_user_id *uid = data;
	bool released;

	if (!err) {
		spin_lock_irq(&user->lock);
		if (uid->state == IOASID_USER_NEW)
			ioasid_user_set_state(user, uid, IOASID_USER_LIVE);
		else
			/* The kernel freed it before user space knew it. */
			ioasid_events_add(user, uid);
		spin_unlock_irq(&user->lock);
		return;
	}

	ioasid_ioas_discard(user, args->alloc.out_ioasid);
	mutex_lock(&user->mutex);
	spin_lock_irq(&user->lock);
	released = uid->state == IOASID_USER_RELEASED;
	if (!released)
		ioasid_user_set_state(user, uid, IOASID_USER_FREEING);
	spin_unlock_irq(&user->lock);
	if (released)
		kfree_rcu(uid, rcu);
	else
		ioasid_user_free_id(user, uid, args->alloc.out_ioasid,
				    IOASID_USER_SILENT);
	mutex_unlock(&user->mutex);
}

static int ioasid_user_alloc(struct ioasid_user *user,
			     union ioasid_user_args *args, void **data)
{
	struct ioasid_alloc *alloc = &args->alloc;
	ioasid_t min = max_t(ioasid_t, alloc->min, IOASID_ALLOC_BASE);
	ioasid_t max = min_t(ioasid_t, alloc->max, ioasid_get_max());
	struct ioasid_ioas *ioas = NULL;
	struct ioasid_user_id *uid;
	int ret;

	if (alloc->type > IOASID_TYPE_PGTABLE || alloc->__reserved)
		return -EOPNOTSUPP;
	if (alloc->min > alloc->max ||
	    (alloc->flags && alloc->type != IOASID_TYPE_IOVA))
		return -EINVAL;
	if (alloc->type != IOASID_TYPE_PGTABLE &&
	    (alloc->parent || alloc->format || alloc->addr_width))
		return -EINVAL;
	if (min > max)
		return -ENOSPC;

	uid = kzalloc(sizeof(*uid), GFP_KERNEL_ACCOUNT);
	if (!uid)
		return -ENOMEM;
	uid->cookie = alloc->cookie;
	uid->state = IOASID_USER_NEW;
	if (alloc->type != IOASID_TYPE_NONE) {
		ioas = ioasid_ioas_alloc(user, alloc);
		ret = PTR_ERR_OR_ZERO(ioas);
		if (ret)
			goto err_free;
	}

	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		goto err_put;

	/* First, as the id may be released before we have it. */
	spin_lock_irq(&user->lock);
	list_add_tail(&uid->list, &user->ids);
	user->allocated++;
	spin_unlock_irq(&user->lock);

	ret = ioas ? ioasid_alloc(user->set, min, max, uid, &alloc->out_ioasid) :
		     ioasid_user_alloc_high(user, uid, min, max,
					    &alloc->out_ioasid);
	mutex_unlock(&user->mutex);
	if (ret)
		goto err_del;
	ret = ioasid_ioas_publish(user, alloc->out_ioasid, ioas);
	if (ret) {
		/* As if it could not be told */
		ioasid_ioas_put(ioas);
		ioasid_user_alloc_done(user, args, uid, ret);
		return ret;
	}
	*data = uid;
	return 0;

err_del:
	/* The core never had it. */
	spin_lock_irq(&user->lock);
	list_del(&uid->list);
	user->allocated--;
	spin_unlock_irq(&user->lock);
err_put:
	ioasid_ioas_put(ioas);
err_free:
	kfree(uid);
	return ret;
}

static int ioasid_user_free(struct ioasid_user *user,
			    union ioasid_user_args *args, void **data)
{
	struct ioasid_free *free = &args->free;
	struct ioasid_user_id *uid;
	struct ioasid_ioas *ioas;
	int ret;

again:
	/* Another thread may be mapping memory in it, for as long as that takes. */
	ioas = ioasid_ioas_find(user, free->ioasid);
	ret = ioasid_ioas_begin_free(ioas);
	if (ret)
		goto out_put;
	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		goto out_abort;

	rcu_read_lock();
	uid = ioasid_user_find(user, free->ioasid);
	spin_lock_irq(&user->lock);
	if (!uid || uid->state == IOASID_USER_NEW ||
	    uid->state == IOASID_USER_SILENT || uid->state == IOASID_USER_RELEASED)
		ret = -ENOENT;
	else if (uid->state != IOASID_USER_LIVE)
		ret = -EBUSY;
	else if (!ioasid_ioas_is(user, free->ioasid, ioas))
		ret = -EAGAIN;
	else
		ioasid_user_set_state(user, uid, IOASID_USER_FREEING);
	spin_unlock_irq(&user->lock);
	rcu_read_unlock();

	/* Nobody else frees the memory of one in state FREEING. */
	if (!ret) {
		ioasid_ioas_end(user, free->ioasid, ioas);
		free->out_pending = !ioasid_user_free_id(user, uid, free->ioasid,
							 IOASID_USER_PENDING);
	}
	mutex_unlock(&user->mutex);
	if (!ret)
		goto out_put;
out_abort:
	ioasid_ioas_abort_free(ioas);
out_put:
	ioasid_ioas_put(ioas);
	if (ret == -EAGAIN)
		goto again;
	return ret;
}

static int ioasid_user_query(struct ioasid_user *user,
			     union ioasid_user_args *args, void **data)
{
	struct ioasid_query *query = &args->query;
	struct ioasid_user_id *uid;
	bool freed;
	int ret;

	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		return ret;

	/* The kernel may be freeing it, too. */
	freed = ioasid_get(user->set, query->ioasid);
	if (!freed)
		ioasid_put(user->set, query->ioasid);

	rcu_read_lock();
	uid = ioasid_user_find(user, query->ioasid);
	spin_lock_irq(&user->lock);
	if (uid && (uid->state == IOASID_USER_LIVE ||
		    uid->state == IOASID_USER_PENDING)) {
		query->out_state = freed ? IOASID_STATE_FREEING :
					   IOASID_STATE_LIVE;
		query->out_cookie = uid->cookie;
	} else {
		ret = -ENOENT;
	}
	spin_unlock_irq(&user->lock);
	rcu_read_unlock();
	mutex_unlock(&user->mutex);
	return ret;
}

static int ioasid_user_set_spid(struct ioasid_user *user,
				union ioasid_user_args *args, void **data)
{
	struct ioasid_set_spid *set = &args->set_spid;
	int ret;

	if (set->spid == INVALID_IOASID)
		return -EINVAL;
	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		return ret;
	ret = ioasid_user_get(user, set->ioasid);
	if (!ret) {
		ret = ioasid_attach_spid(set->ioasid, set->spid);
		ioasid_put(user->set, set->ioasid);
	}
	mutex_unlock(&user->mutex);
	return ret;
}

static int ioasid_user_clear_spid(struct ioasid_user *user,
				  union ioasid_user_args *args, void **data)
{
	struct ioasid_clear_spid *clear = &args->clear_spid;
	int ret;

	if (clear->__reserved)
		return -EOPNOTSUPP;
	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		return ret;
	ret = ioasid_user_get(user, clear->ioasid);
	if (!ret) {
		ret = ioasid_detach_spid(clear->ioasid);
		/* When another CPU notifies subscribers */
		if (!ret)
			ret = ioasid_wait_events(user->set, clear->ioasid);
		ioasid_put(user->set, clear->ioasid);
	}
	mutex_unlock(&user->mutex);
	return ret;
}

static int ioasid_user_find_spid(struct ioasid_user *user,
				 union ioasid_user_args *args, void **data)
{
	struct ioasid_find_spid *find = &args->find_spid;

	find->out_ioasid = ioasid_find_by_spid(user->set, find->spid, false);
	return find->out_ioasid == INVALID_IOASID ? -ENOENT : 0;
}

/**
 * struct ioasid_user_op - an ioctl
 * @args: its struct
 * @execute: does it; leaves something for @done
 * @done: told whether the outputs reached user space, may be NULL
 */
struct ioasid_user_op {
	struct ioasid_args_layout args;
	int (*execute)(struct ioasid_user *user, union ioasid_user_args *args,
		       void **data);
	void (*done)(struct ioasid_user *user, union ioasid_user_args *args,
		     void *data, int err);
};

#define IOASID_USER_OP(_cmd, _struct, _last, _execute, _done, ...)	\
	[_IOC_NR(_cmd)] = {						\
		.args = IOASID_ARGS_LAYOUT(union ioasid_user_args,	\
					   _struct, _last, __VA_ARGS__), \
		.execute = _execute,					\
		.done = _done,						\
	}

/*
 * A new ioctl starts here: a line, its function, its member of union
 * ioasid_user_args, its struct and number in the uapi header; then the selftests
 * ioasid_abi and ioasid_fuzz.
 */
static const struct ioasid_user_op ioasid_user_ops[] = {
	IOASID_USER_OP(IOASID_GET_INFO, ioasid_get_info, out_limit,
		       ioasid_user_get_info, NULL,
		       IOASID_ARGS_OUT(ioasid_get_info, out_capacity,
				       out_features)),
	IOASID_USER_OP(IOASID_ALLOC, ioasid_alloc, cookie,
		       ioasid_user_alloc, ioasid_user_alloc_done,
		       IOASID_ARGS_OUT(ioasid_alloc, out_ioasid, out_ioasid),
		       .flags = IOASID_ALLOC_NEST_PARENT),
	IOASID_USER_OP(IOASID_FREE, ioasid_free, out_pending,
		       ioasid_user_free, NULL,
		       IOASID_ARGS_OUT(ioasid_free, out_pending, out_pending)),
	IOASID_USER_OP(IOASID_SET_SPID, ioasid_set_spid, spid,
		       ioasid_user_set_spid, NULL),
	IOASID_USER_OP(IOASID_CLEAR_SPID, ioasid_clear_spid, __reserved,
		       ioasid_user_clear_spid, NULL),
	IOASID_USER_OP(IOASID_FIND_SPID, ioasid_find_spid, out_ioasid,
		       ioasid_user_find_spid, NULL,
		       IOASID_ARGS_OUT(ioasid_find_spid, out_ioasid,
				       out_ioasid)),
	IOASID_USER_OP(IOASID_QUERY, ioasid_query, out_cookie,
		       ioasid_user_query, NULL,
		       IOASID_ARGS_OUT(ioasid_query, out_state, out_cookie)),
#ifdef CONFIG_IOASID_USER_TABLES
	IOASID_USER_OP(IOASID_MAP, ioasid_map, out_iova,
		       ioasid_user_map, ioasid_user_map_done,
		       IOASID_ARGS_OUT(ioasid_map, out_iova, out_iova),
		       .flags = IOASID_MAP_READ | IOASID_MAP_WRITE |
				IOASID_MAP_FIXED_IOVA),
	IOASID_USER_OP(IOASID_UNMAP, ioasid_unmap, out_length,
		       ioasid_user_unmap, NULL,
		       IOASID_ARGS_OUT(ioasid_unmap, out_length, out_length)),
	IOASID_USER_OP(IOASID_BIND_PGTABLE, ioasid_bind_pgtable, __reserved2,
		       ioasid_user_bind_pgtable, NULL,
		       .flags = IOASID_PGTABLE_VTD_SRE | IOASID_PGTABLE_VTD_EAFE |
				IOASID_PGTABLE_VTD_WPE),
	IOASID_USER_OP(IOASID_UNBIND_PGTABLE, ioasid_unbind_pgtable, __reserved,
		       ioasid_user_unbind_pgtable, NULL),
	IOASID_USER_OP(IOASID_INVALIDATE, ioasid_invalidate, __reserved,
		       ioasid_user_invalidate, NULL,
		       IOASID_ARGS_OUT(ioasid_invalidate, out_num, out_num),
		       .flags = IOASID_INVALIDATE_SPID),
	IOASID_USER_OP(IOASID_GET_IOVA_RANGES, ioasid_get_iova_ranges, __reserved,
		       ioasid_user_get_iova_ranges, NULL,
		       IOASID_ARGS_OUT(ioasid_get_iova_ranges, out_alignment,
				       out_num)),
#endif
};

/**
 * ioasid_copy_out - copy the outputs, and nothing else, to the caller's struct
 * @layout: of the struct
 * @uptr: the caller's
 * @size: its size
 * @args: the kernel's
 *
 * Return: 0; -EFAULT.
 */
int ioasid_copy_out(const struct ioasid_args_layout *layout, void __user *uptr,
		    u32 size, const void *args)
{
	size_t end = min_t(size_t, size, layout->out_end);

	if (end <= layout->out)
		return 0;
	return copy_to_user(uptr + layout->out, args + layout->out,
			    end - layout->out) ? -EFAULT : 0;
}

/**
 * ioasid_copy_args - take over the struct of an ioctl
 * @layout: of the struct
 * @uptr: the caller's
 * @args: set to a copy, zero-extended
 * @size: set to the size of the caller's
 *
 * Return: 0; -EFAULT, also when the outputs cannot be written; -EINVAL, -E2BIG,
 * -EOPNOTSUPP as include/uapi/linux/ioasid.h has them.
 */
int ioasid_copy_args(const struct ioasid_args_layout *layout, void __user *uptr,
		     void *args, u32 *size)
{
	const struct ioasid_args_common *common = args;
	int ret;

	if (get_user(*size, (u32 __user *)uptr))
		return -EFAULT;
	if (*size < layout->min_size)
		return -EINVAL;
	if (*size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(args, layout->size, uptr, *size);
	if (ret)
		return ret;
	if (common->flags & ~layout->flags)
		return -EOPNOTSUPP;
	/* What cannot be told is not done: the outputs are as the caller left them. */
	return ioasid_copy_out(layout, uptr, *size, args);
}

static long ioasid_user_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct ioasid_user *user = file->private_data;
	void __user *uptr = (void __user *)arg;
	const struct ioasid_user_op *op;
	union ioasid_user_args args;
	void *data = NULL;
	u32 size;
	int ret;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(ioasid_user_ops) ||
	    cmd != _IO(IOASID_IOC_MAGIC, _IOC_NR(cmd)))
		return -ENOTTY;
	op = &ioasid_user_ops[array_index_nospec(_IOC_NR(cmd),
						 ARRAY_SIZE(ioasid_user_ops))];
	if (!op->execute)
		return -ENOTTY;
	ret = ioasid_copy_args(&op->args, uptr, &args, &size);
	if (ret)
		return ret;
	ret = op->execute(user, &args, &data);
	if (ret)
		return ret;

	/* Fails when another thread has taken the memory away since. */
	ret = ioasid_copy_out(&op->args, uptr, size, &args);
	if (op->done)
		op->done(user, &args, data, ret);
	return ret;
}

static void ioasid_user_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct ioasid_user *user = file->private_data;
	u32 allocated, pending, attached;
	u64 mapped;

	ioasid_ioas_totals(user, &mapped, &attached);
	spin_lock_irq(&user->lock);
	allocated = user->allocated;
	pending = user->pending;
	spin_unlock_irq(&user->lock);
	seq_printf(m, "ioasid-allocated:\t%u\nioasid-pending:\t%u\n",
		   allocated, pending);
	seq_printf(m, "ioasid-mapped:\t%llu\nioasid-attached:\t%u\n", mapped,
		   attached);
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
	spin_lock_init(&user->lock);
	INIT_LIST_HEAD(&user->ids);
	xa_init_flags(&user->spaces, XA_FLAGS_ACCOUNT);
	ioasid_events_init(user);
	user->watch.released = ioasid_user_released;
	ioasid_set_watch_released(user->set, &user->watch);

	/* misc_open() put the miscdevice here. */
	file->private_data = user;
	return stream_open(inode, file);
}

static int ioasid_user_release(struct inode *inode, struct file *file)
{
	struct ioasid_user *user = file->private_data;
	struct ioasid_user_id *uid, *next;

	ioasid_set_watch_released(user->set, NULL);
	/* A call that found the watch before may still come, and does nothing. */
	spin_lock_irq(&user->lock);
	user->closed = true;
	spin_unlock_irq(&user->lock);

	ioasid_ioas_end_all(user);
	ioasid_set_free(user->set);
	/*
	 * Ids that are in use stay, and point to what is freed here; only commands
	 * of this file look at it.
	 */
	list_for_each_entry_safe(uid, next, &user->ids, list) {
		kfree(uid);
		cond_resched();
	}
	ioasid_events_free(user);
	mutex_destroy(&user->mutex);
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

/**
 * ioasid_user_of - what an open file of /dev/ioasid is
 * @file: any file
 *
 * Return: it, while @file is held; NULL when it is another file.
 */
struct ioasid_user *ioasid_user_of(struct file *file)
{
	return file->f_op == &ioasid_user_fops ? file->private_data : NULL;
}

/**
 * ioasid_file_get - the set of a file of /dev/ioasid
 * @fd: a descriptor of the current process
 *
 * For in-kernel users that are given the file, as that of another device is given one:
 * they subscribe to its events by ioasid_register_notifier_file(), and find its ids and
 * SPIDs, whoever has opened it.
 *
 * Context: Process context.
 * Return: the set, with a reference, which has no ids any more when the file is closed;
 * ERR_PTR(-EBADF) when it is no such file.
 */
struct ioasid_set *ioasid_file_get(int fd)
{
	struct file *file = fget(fd);
	struct ioasid_set *set = ERR_PTR(-EBADF);
	struct ioasid_user *user;

	if (!file)
		return set;
	user = ioasid_user_of(file);
	if (user)
		set = ioasid_set_get(user->set);
	fput(file);
	return set;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_file_get);

static struct miscdevice ioasid_user_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ioasid",
	.fops = &ioasid_user_fops,
	.mode = 0660,
};

static int __init ioasid_user_init(void)
{
	int ret;

	ret = ioasid_pin_init();
	if (ret)
		return ret;
	ioasid_ioas_init();
	ret = misc_register(&ioasid_user_misc);
	if (ret) {
		ioasid_ioas_exit();
		ioasid_pin_exit();
	}
	return ret;
}
module_init(ioasid_user_init);

static void __exit ioasid_user_exit(void)
{
	misc_deregister(&ioasid_user_misc);
	ioasid_ioas_exit();
	ioasid_pin_exit();
	/* Let calls of ioasid_user_released() end. */
	synchronize_rcu();
}
module_exit(ioasid_user_exit);

MODULE_DESCRIPTION("IOASIDs for user space");
MODULE_IMPORT_NS(IOMMU_USER);
MODULE_LICENSE("GPL");
