// SPDX-License-Identifier: GPL-2.0
/*
 * Attaching address spaces of /dev/ioasid to devices that user space has a file of
 *
 * An attachment is ended by who is first: FREE or the last close of the file of
 * /dev/ioasid; DETACH, the last close of the device's, or the device's driver. Others
 * that want it gone wait until it is. The order of the end is that of
 * struct ioasid_device_ops.
 *
 *	DEVICE_ATTACH			device->lock > ioas->attach_lock >
 *					group->mutex; the driver's
 *	BIND, UNBIND, a parent's FREE	ioas->attach_lock > the parent's > group->mutex
 *	DEVICE_DETACH, device's close	device->lock, then as everybody
 *	FREE, file's close		map_mutex, then as everybody
 *	everybody			the driver's; attach_lock > ioas->lock, group->mutex
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/ioasid-device.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioasid-ioas.h"
#include "ioasid-user.h"
#include "iommu-pasid-fault.h"
#include "iommu-priv.h"
#include "iommu-sva-domain.h"
#include "iommu-user.h"

/* A copy of the caller's struct, zero-extended */
union ioasid_device_args {
	struct ioasid_args_common common;
	struct ioasid_device_info info;
	struct ioasid_device_attach attach;
	struct ioasid_device_detach detach;
};

/**
 * struct ioasid_passage - an address space that the IOMMU lets a device reach
 * @of_ioas: in passages of struct ioasid_ioas
 * @dev: the device
 * @pasid: the PASID that it tags its requests with: the IOASID
 * @attachments: struct ioasid_attachment: several files of the device, as of work queues
 *		 with one each; under attach_lock
 * @user: the file of /dev/ioasid, which is notified of faults
 * @cookie: of the first one, as faults do not tell by way of which they came; under the
 *	    lock of @user
 * @nested: the page table is the user's
 * @sink: gets the faults
 */
struct ioasid_passage {
	struct list_head of_ioas;
	struct device *dev;
	ioasid_t pasid;
	struct list_head attachments;
	struct ioasid_user *user;
	u64 cookie;
	bool nested;
	struct iommu_fault_sink sink;
};

/**
 * struct ioasid_attachment - an address space attached by way of a file of a device
 * @refs: one of who ends it, one of each who waits for that
 * @of_device: in attached of struct ioasid_device
 * @of_ioas: in attached of struct ioasid_ioas
 * @of_passage: in attachments of @passage
 * @ioas: the address space, with a reference
 * @idev: what @of_device is in; its driver ends all attachments before it goes
 * @dev: the device, with a reference
 * @passage: through the IOMMU, once there is one
 * @user: the file of /dev/ioasid; it ends all attachments before it goes
 * @cookie: by which user space knows the attachment
 * @detached: the event that its device went away, NULL when that was said
 * @ending: somebody ends it
 * @gone: it has ended
 */
struct ioasid_attachment {
	refcount_t refs;
	struct list_head of_device;
	struct list_head of_ioas;
	struct list_head of_passage;
	struct ioasid_ioas *ioas;
	struct ioasid_device *idev;
	struct device *dev;
	struct ioasid_passage *passage;
	struct ioasid_user *user;
	u64 cookie;
	struct ioasid_user_id *detached;
	bool ending;
	struct completion gone;
};

/* Protects the lists of all address spaces and devices, and @ending */
static DEFINE_SPINLOCK(ioasid_attachments_lock);

static void ioasid_attachment_put(struct ioasid_attachment *att)
{
	if (!refcount_dec_and_test(&att->refs))
		return;
	put_device(att->dev);
	ioasid_ioas_put(att->ioas);
	ioasid_events_free_detached(att->detached);
	kfree(att);
}

static bool ioasid_report_fault(struct iommu_fault_sink *sink,
				const struct iommu_pasid_fault *fault)
{
	struct ioasid_passage *passage = container_of(sink,
						      struct ioasid_passage,
						      sink);

	/* The kernel's own table has nothing wrong in it */
	if (fault->table && !passage->nested)
		return false;
	ioasid_events_add_fault(passage->user, passage->pasid,
				&passage->cookie, fault,
				passage->nested && fault->stage2 ?
				IOASID_FAULT_STAGE2 : 0);
	return true;
}

static struct ioasid_passage *ioasid_passage_find(struct ioasid_ioas *ioas,
						  struct device *dev)
{
	struct ioasid_passage *passage;

	lockdep_assert_held(&ioas->attach_lock);
	list_for_each_entry(passage, &ioas->passages, of_ioas)
		if (passage->dev == dev)
			return passage;
	return NULL;
}

/* Have the IOMMU let the device of @att reach its address space */
static int ioasid_passage_open(struct ioasid_attachment *att, ioasid_t pasid)
{
	struct ioasid_ioas *ioas = att->ioas;
	struct ioasid_passage *passage = ioasid_passage_find(ioas, att->dev);
	int ret;

	if (!ioas->domain)
		return -EINVAL;
	if (passage && !att->idev->ops)
		return -EBUSY;
	if (passage)
		goto out;
	passage = kzalloc(sizeof(*passage), GFP_KERNEL_ACCOUNT);
	if (!passage)
		return -ENOMEM;
	passage->dev = att->dev;
	passage->pasid = pasid;
	INIT_LIST_HEAD(&passage->attachments);
	passage->user = att->user;
	passage->cookie = att->cookie;
	passage->nested = ioas->parent;
	passage->sink.report = ioasid_report_fault;

	ret = ioasid_ioas_reserve(ioas, att->dev);
	if (ret)
		goto err_free;
	ret = iommu_attach_pasid_sink(ioas->domain, att->dev, pasid, "user",
				      &passage->sink);
	if (ret)
		goto err_unreserve;
	list_add_tail(&passage->of_ioas, &ioas->passages);
out:
	list_add_tail(&att->of_passage, &passage->attachments);
	att->passage = passage;
	return 0;

err_unreserve:
	ioasid_ioas_unreserve(ioas, att->dev);
err_free:
	kfree(passage);
	return ret;
}

/* The IOMMU refuses the device from here on, unless it has another attachment. */
static void ioasid_passage_close(struct ioasid_attachment *att)
{
	struct ioasid_passage *passage = att->passage;
	struct ioasid_ioas *ioas = att->ioas;
	struct ioasid_attachment *first;

	lockdep_assert_held(&ioas->attach_lock);
	list_del(&att->of_passage);
	first = list_first_entry_or_null(&passage->attachments,
					 struct ioasid_attachment, of_passage);
	if (first) {
		ioasid_events_set_cookie(passage->user, &passage->cookie,
					 first->cookie);
		return;
	}
	list_del(&passage->of_ioas);
	/* None is open while nothing is bound */
	if (ioas->domain)
		iommu_detach_device_pasid(ioas->domain, passage->dev,
					  passage->pasid);
	ioasid_ioas_unreserve(ioas, passage->dev);
	kfree(passage);
}

static void ioasid_close_passages_before(struct ioasid_ioas *ioas,
					 struct ioasid_passage *end)
{
	struct ioasid_passage *passage;

	list_for_each_entry(passage, &ioas->passages, of_ioas) {
		if (passage == end)
			return;
		iommu_detach_device_pasid(ioas->domain, passage->dev,
					  passage->pasid);
	}
}

/**
 * ioasid_ioas_open_passages - let all devices reach a page table that is bound
 * @ioas: the address space, its attach_lock held
 *
 * Return: 0, or as iommu_attach_device_pasid(), and then none does.
 */
int ioasid_ioas_open_passages(struct ioasid_ioas *ioas)
{
	struct ioasid_passage *passage;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	list_for_each_entry(passage, &ioas->passages, of_ioas) {
		ret = iommu_attach_pasid_sink(ioas->domain, passage->dev,
					      passage->pasid, "user",
					      &passage->sink);
		if (ret) {
			ioasid_close_passages_before(ioas, passage);
			return ret;
		}
	}
	return 0;
}

/**
 * ioasid_ioas_close_passages - undo ioasid_ioas_open_passages()
 * @ioas: the address space, its attach_lock held
 *
 * The devices stay attached, and are refused.
 */
void ioasid_ioas_close_passages(struct ioasid_ioas *ioas)
{
	lockdep_assert_held(&ioas->attach_lock);
	ioasid_close_passages_before(ioas, NULL);
}

/* Nobody else does. */
static void ioasid_attachment_end(struct ioasid_attachment *att)
{
	const struct ioasid_device_ops *ops = att->idev->ops;

	if (ops)
		ops->revoke(att->idev);
	mutex_lock(&att->ioas->attach_lock);
	ioasid_passage_close(att);
	mutex_unlock(&att->ioas->attach_lock);
	if (ops)
		ops->stop(att->idev);
}

/*
 * End an attachment, or wait for who does. Both lists have lost it then. With @lost the
 * file of /dev/ioasid is notified, as it has not asked for that.
 */
static void ioasid_end_attachment(struct ioasid_attachment *att, bool lost)
	__releases(&ioasid_attachments_lock)
{
	bool mine = !att->ending;

	att->ending = true;
	refcount_inc(&att->refs);
	spin_unlock(&ioasid_attachments_lock);

	if (mine) {
		ioasid_attachment_end(att);
		if (lost)
			ioasid_events_add_detached(att->user, &att->detached);
		spin_lock(&ioasid_attachments_lock);
		list_del(&att->of_device);
		list_del(&att->of_ioas);
		att->ioas->nr_attached--;
		spin_unlock(&ioasid_attachments_lock);
		complete_all(&att->gone);
		ioasid_attachment_put(att);
	} else {
		wait_for_completion(&att->gone);
	}
	ioasid_attachment_put(att);
}

/**
 * ioasid_ioas_detach_all - detach an address space from all devices
 * @ioas: the address space, to which no other device is attached any more
 *
 * When this returns, no device reaches what is mapped.
 *
 * Context: Process context, may sleep.
 */
void ioasid_ioas_detach_all(struct ioasid_ioas *ioas)
{
	struct ioasid_attachment *att;

	for (;;) {
		spin_lock(&ioasid_attachments_lock);
		att = list_first_entry_or_null(&ioas->attached,
					       struct ioasid_attachment, of_ioas);
		if (!att)
			break;
		ioasid_end_attachment(att, false);
	}
	spin_unlock(&ioasid_attachments_lock);
}

/**
 * ioasid_ioas_attachments - how many devices an address space is attached to
 * @ioas: the address space
 */
unsigned int ioasid_ioas_attachments(struct ioasid_ioas *ioas)
{
	return READ_ONCE(ioas->nr_attached);
}

static void ioasid_device_end_all(struct ioasid_device *idev, bool lost)
{
	struct ioasid_attachment *att;

	lockdep_assert_held(&idev->lock);
	for (;;) {
		spin_lock(&ioasid_attachments_lock);
		att = list_first_entry_or_null(&idev->attached,
					       struct ioasid_attachment,
					       of_device);
		if (!att)
			break;
		ioasid_end_attachment(att, lost);
	}
	spin_unlock(&ioasid_attachments_lock);
}

/**
 * ioasid_device_detach_all - detach everything from a device
 * @idev: the device, whose last file is being closed
 *
 * For the driver of the device, before it does anything by which the device stops to
 * answer invalidations of its translations.
 *
 * Context: Process context, may sleep. Takes a lock under which a page table may be
 * attached or detached, not one under which user memory is waited for.
 */
void ioasid_device_detach_all(struct ioasid_device *idev)
{
	mutex_lock(&idev->lock);
	ioasid_device_end_all(idev, false);
	mutex_unlock(&idev->lock);
}
EXPORT_SYMBOL_GPL(ioasid_device_detach_all);

/**
 * ioasid_device_remove - take a device away from those who use it
 * @idev: the device
 *
 * Detaches everything from it, with an event IOASID_EVENT_DETACHED for each attachment.
 * Nothing is attached any more then, by way of files that are open still. For the driver,
 * before it loses the device.
 *
 * Context: As ioasid_device_detach_all().
 */
void ioasid_device_remove(struct ioasid_device *idev)
{
	mutex_lock(&idev->lock);
	idev->removed = true;
	ioasid_device_end_all(idev, true);
	mutex_unlock(&idev->lock);
}
EXPORT_SYMBOL_GPL(ioasid_device_remove);

/* That of @ioas, with a reference; or NULL */
static struct ioasid_attachment *
ioasid_get_attachment(struct ioasid_device *idev, struct ioasid_ioas *ioas)
{
	struct ioasid_attachment *att = NULL;
	struct ioasid_passage *passage;

	lockdep_assert_held(&idev->lock);
	mutex_lock(&ioas->attach_lock);
	spin_lock(&ioasid_attachments_lock);
	if (idev->ops) {
		/* One at a time */
		att = list_first_entry_or_null(&idev->attached,
					       struct ioasid_attachment,
					       of_device);
		if (att && att->ioas != ioas)
			att = NULL;
	} else {
		/* There can be many, but of @ioas one */
		passage = ioasid_passage_find(ioas, idev->dev);
		if (passage)
			att = list_first_entry(&passage->attachments,
					       struct ioasid_attachment,
					       of_passage);
	}
	if (att)
		refcount_inc(&att->refs);
	spin_unlock(&ioasid_attachments_lock);
	mutex_unlock(&ioas->attach_lock);
	return att;
}

/* FREE either finds all of the attachment, or nothing of it is there. */
static int ioasid_attach_new(struct ioasid_attachment *att, ioasid_t pasid)
{
	const struct ioasid_device_ops *ops = att->idev->ops;
	struct ioasid_ioas *ioas = att->ioas;
	int ret;

	mutex_lock(&ioas->attach_lock);
	ret = ioas->dead ? -ENOENT : ioasid_passage_open(att, pasid);
	if (ret)
		goto out;
	ret = ops ? ops->start(att->idev, pasid) : 0;
	if (ret) {
		ioasid_passage_close(att);
		goto out;
	}
	spin_lock(&ioasid_attachments_lock);
	list_add_tail(&att->of_device, &att->idev->attached);
	list_add_tail(&att->of_ioas, &ioas->attached);
	ioas->nr_attached++;
	spin_unlock(&ioasid_attachments_lock);
out:
	mutex_unlock(&ioas->attach_lock);
	return ret;
}

/* Can something be attached to @idev? */
static int ioasid_may_attach(struct ioasid_device *idev)
{
	bool busy;

	lockdep_assert_held(&idev->lock);
	if (idev->removed)
		return -ENODEV;
	if (!iommu_pasid_limit(idev->dev))
		return -EOPNOTSUPP;
	spin_lock(&ioasid_attachments_lock);
	busy = idev->ops && !list_empty(&idev->attached);
	spin_unlock(&ioasid_attachments_lock);
	return busy ? -EBUSY : 0;
}

/* Both have a reference, so that the id means the same until the IOMMU has it */
static int ioasid_attach(struct ioasid_device *idev, struct ioasid_user *user,
			 struct ioasid_ioas *ioas,
			 const struct ioasid_device_attach *attach)
{
	struct ioasid_attachment *att;
	int ret;

	ret = ioasid_events_make_room(user);
	if (ret)
		return ret;
	att = kzalloc(sizeof(*att), GFP_KERNEL_ACCOUNT);
	if (!att)
		return -ENOMEM;
	refcount_set(&att->refs, 1);
	init_completion(&att->gone);
	refcount_inc(&ioas->refs);
	att->ioas = ioas;
	att->idev = idev;
	att->dev = get_device(idev->dev);
	att->user = user;
	att->cookie = attach->cookie;
	att->detached = ioasid_events_alloc_detached(attach->ioasid,
						     attach->cookie);
	if (!att->detached) {
		ret = -ENOMEM;
		goto err_put;
	}

	ret = mutex_lock_killable(&idev->lock);
	if (ret)
		goto err_put;
	ret = ioasid_may_attach(idev);
	if (!ret)
		ret = ioasid_attach_new(att, attach->ioasid);
	mutex_unlock(&idev->lock);
	if (!ret)
		return 0;
err_put:
	ioasid_attachment_put(att);
	return ret;
}

/* -ENOENT when it is not attached */
static int ioasid_detach(struct ioasid_device *idev, struct ioasid_ioas *ioas)
{
	struct ioasid_attachment *att;

	mutex_lock(&idev->lock);
	att = ioasid_get_attachment(idev, ioas);
	if (att) {
		spin_lock(&ioasid_attachments_lock);
		ioasid_end_attachment(att, false);
		ioasid_attachment_put(att);
	}
	mutex_unlock(&idev->lock);
	return att ? 0 : -ENOENT;
}

static int ioasid_device_attach(struct ioasid_device *idev,
				union ioasid_device_args *args, void **data)
{
	struct ioasid_device_attach *attach = &args->attach;
	struct ioasid_ioas *ioas;
	struct ioasid_user *user;
	struct file *file;
	int ret;

	if (attach->__reserved)
		return -EOPNOTSUPP;
	file = fget(attach->ioasid_fd);
	user = file ? ioasid_user_of(file) : NULL;
	if (!user) {
		ret = -EBADF;
		goto out_file;
	}
	ret = ioasid_ioas_get(user, attach->ioasid, true, &ioas);
	if (ret)
		goto out_file;
	/* Whose memory it is has to agree */
	if (ioas->type == IOASID_TYPE_SVA && ioas->domain->mm != current->mm)
		ret = -EPERM;
	else
		ret = ioasid_attach(idev, user, ioas, attach);
	if (ret) {
		ioasid_ioas_put(ioas);
	} else {
		attach->out_pasid = attach->ioasid;
		*data = ioas;
	}
	ioasid_put(user->set, attach->ioasid);
out_file:
	if (file)
		fput(file);
	return ret;
}

/* User space has been told, or will never know. */
static void ioasid_device_attach_done(struct ioasid_device *idev, void *data,
				      int err)
{
	struct ioasid_ioas *ioas = data;

	if (err)
		ioasid_detach(idev, ioas);
	ioasid_ioas_put(ioas);
}

static int ioasid_device_detach(struct ioasid_device *idev,
				union ioasid_device_args *args, void **data)
{
	struct ioasid_device_detach *detach = &args->detach;
	struct ioasid_ioas *ioas = NULL;
	struct ioasid_user *user;
	struct file *file;
	int ret;

	if (detach->__reserved)
		return -EOPNOTSUPP;
	file = fget(detach->ioasid_fd);
	user = file ? ioasid_user_of(file) : NULL;
	if (user)
		ioas = ioasid_ioas_find(user, detach->ioasid);
	if (!user)
		ret = -EBADF;
	else if (!ioas)
		ret = -ENOENT;
	else
		ret = ioasid_detach(idev, ioas);
	ioasid_ioas_put(ioas);
	if (file)
		fput(file);
	return ret;
}

static int ioasid_device_info(struct ioasid_device *idev,
			      union ioasid_device_args *args, void **data)
{
	struct ioasid_device_info *info = &args->info;
	ioasid_t limit = iommu_pasid_limit(idev->dev);
	struct ioasid_get_info machine = {};

	ioasid_ioas_info(&machine);
	info->out_ioasid_last = limit ? limit - 1 : 0;
	info->out_types = limit ? machine.out_types : 0;
	info->out_formats = limit ? machine.out_formats : 0;
	info->out_features = limit ? machine.out_features : 0;
	info->out_vtd_cap = 0;
	info->out_vtd_ecap = 0;
	/* A driver that loses the device waits for this */
	mutex_lock(&idev->lock);
	if (info->out_formats && !idev->removed)
		iommu_dev_nested_caps(idev->dev, &info->out_vtd_cap,
				      &info->out_vtd_ecap);
	mutex_unlock(&idev->lock);
	if (!iommu_dev_has_sva(idev->dev))
		info->out_types &= ~BIT(IOASID_TYPE_SVA);
	return 0;
}

/**
 * struct ioasid_device_op - an ioctl on the file of a device
 * @args: its struct
 * @execute: does it; leaves something for @done
 * @done: told whether the outputs reached user space, may be NULL
 */
struct ioasid_device_op {
	struct ioasid_args_layout args;
	int (*execute)(struct ioasid_device *idev,
		       union ioasid_device_args *args, void **data);
	void (*done)(struct ioasid_device *idev, void *data, int err);
};

#define IOASID_DEVICE_FIRST	_IOC_NR(IOASID_DEVICE_INFO)

#define IOASID_DEVICE_OP(_cmd, _struct, _last, _execute, _done, ...)	\
	[_IOC_NR(_cmd) - IOASID_DEVICE_FIRST] = {			\
		.args = IOASID_ARGS_LAYOUT(union ioasid_device_args,	\
					   _struct, _last, __VA_ARGS__), \
		.execute = _execute,					\
		.done = _done,						\
	}

static const struct ioasid_device_op ioasid_device_ops[] = {
	IOASID_DEVICE_OP(IOASID_DEVICE_INFO, ioasid_device_info, out_types,
			 ioasid_device_info, NULL,
			 IOASID_ARGS_OUT(ioasid_device_info, out_ioasid_last,
					 out_vtd_ecap)),
	IOASID_DEVICE_OP(IOASID_DEVICE_ATTACH, ioasid_device_attach, out_pasid,
			 ioasid_device_attach, ioasid_device_attach_done,
			 IOASID_ARGS_OUT(ioasid_device_attach, out_pasid,
					 out_pasid)),
	IOASID_DEVICE_OP(IOASID_DEVICE_DETACH, ioasid_device_detach, __reserved,
			 ioasid_device_detach, NULL),
};

/**
 * ioasid_device_ioctl - an ioctl on the file of a device
 * @idev: the device, which stays open meanwhile
 * @cmd: one for which ioasid_is_device_ioctl() is true
 * @arg: the argument
 *
 * Context: Process context, may sleep. The driver holds no lock that it takes to close
 * the device.
 * Return: 0; -ENOTTY when there is no such ioctl for devices; errors as
 * include/uapi/linux/ioasid.h has them.
 */
long ioasid_device_ioctl(struct ioasid_device *idev, unsigned int cmd,
			 unsigned long arg)
{
	unsigned int nr = _IOC_NR(cmd) - IOASID_DEVICE_FIRST;
	void __user *uptr = (void __user *)arg;
	const struct ioasid_device_op *op;
	union ioasid_device_args args;
	void *data = NULL;
	u32 size;
	int ret;

	if (nr >= ARRAY_SIZE(ioasid_device_ops) ||
	    cmd != _IO(IOASID_IOC_MAGIC, _IOC_NR(cmd)))
		return -ENOTTY;
	op = &ioasid_device_ops[array_index_nospec(nr, ARRAY_SIZE(ioasid_device_ops))];
	ret = ioasid_copy_args(&op->args, uptr, &args, &size);
	if (ret)
		return ret;
	ret = op->execute(idev, &args, &data);
	if (ret)
		return ret;
	ret = ioasid_copy_out(&op->args, uptr, size, &args);
	if (op->done)
		op->done(idev, data, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_device_ioctl);
