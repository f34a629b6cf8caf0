// SPDX-License-Identifier: GPL-2.0
/*
 * Work queues of user space that import IOASIDs of /dev/ioasid
 *
 * With the attribute pasid_mode set to ioasid, the file of a queue has no PASID when it
 * is opened, and submits nothing until IOASID_DEVICE_ATTACH gives it one. A dedicated
 * queue has the PASID in its configuration. For a shared one it is in each descriptor,
 * where write() places it: several processes have the queue, with a PASID each, and
 * ENQCMD of user space would place that of the process.
 *
 * In the order of struct ioasid_device_ops, a queue without PASID, whose requests
 * the IOMMU takes for the kernel's, is never within reach of a process.
 *
 * Lock order: ours of struct ioasid_device, then wq_lock, then revoked_lock. Who has
 * a wq_lock detaches nothing: see idxd_wq_forget_users().
 */
#include <linux/ioasid.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <uapi/linux/idxd.h>
#include "registers.h"
#include "idxd.h"
#include "cdev.h"

static struct idxd_user_context *to_context(struct ioasid_device *ioasid)
{
	return container_of(ioasid, struct idxd_user_context, ioasid);
}

static int idxd_ioasid_start_locked(struct idxd_user_context *ctx, ioasid_t pasid)
{
	struct idxd_wq *wq = ctx->wq;
	int rc;

	lockdep_assert_held(&wq->wq_lock);
	if (ctx->revoked || wq->halted || wq->state != IDXD_WQ_ENABLED ||
	    wq->idxd->state != IDXD_DEV_ENABLED)
		return -ENODEV;
	/* The device has refused to release the last one */
	if (ctx->has_pasid)
		return -EBUSY;
	rc = ioasid_get(NULL, pasid);
	if (rc)
		return rc;
	rc = idxd_user_context_take_pasid(ctx, pasid);
	if (rc)
		ioasid_put(NULL, pasid);
	return rc == -ENXIO ? -ENODEV : rc;
}

static int idxd_ioasid_start(struct ioasid_device *ioasid, ioasid_t pasid)
{
	struct idxd_user_context *ctx = to_context(ioasid);
	int rc;

	mutex_lock(&ctx->wq->wq_lock);
	rc = idxd_ioasid_start_locked(ctx, pasid);
	mutex_unlock(&ctx->wq->wq_lock);
	return rc;
}

static void idxd_ioasid_revoke(struct ioasid_device *ioasid)
{
	idxd_user_context_revoke(to_context(ioasid), false);
}

static void idxd_ioasid_stop(struct ioasid_device *ioasid)
{
	struct idxd_user_context *ctx = to_context(ioasid);

	mutex_lock(&ctx->wq->wq_lock);
	/* Unless the queue has gone with it */
	if (ctx->has_pasid)
		idxd_user_context_end_pasid(ctx);
	mutex_unlock(&ctx->wq->wq_lock);
}

static const struct ioasid_device_ops idxd_ioasid_ops = {
	.start = idxd_ioasid_start,
	.revoke = idxd_ioasid_revoke,
	.stop = idxd_ioasid_stop,
};

/**
 * idxd_ioasid_init - prepare a file for an IOASID
 * @ctx:	the file, of a queue whose pasid_mode is ioasid
 *
 * Context: process that opens it; wq_lock is held.
 */
void idxd_ioasid_init(struct idxd_user_context *ctx)
{
	struct device *dev = &ctx->wq->idxd->pdev->dev;

	/* Compared with only, but no other process is to get its address */
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	ioasid_device_init(&ctx->ioasid, get_device(dev), &idxd_ioasid_ops);
	ctx->has_ioasid = true;
}

/**
 * idxd_ioasid_fini - undo idxd_ioasid_init()
 * @ctx:	the file, which has no PASID
 */
void idxd_ioasid_fini(struct idxd_user_context *ctx)
{
	ioasid_device_fini(&ctx->ioasid);
	put_device(ctx->ioasid.dev);
	mmdrop(ctx->mm);
}

/**
 * idxd_ioasid_ioctl - an ioctl on the file of a queue
 * @ctx:	the file
 * @cmd:	the ioctl
 * @arg:	its argument
 *
 * Return: as ioasid_device_ioctl(); -ENOTTY also for a queue that imports no IOASIDs,
 * -EPERM for a process that has not opened the file.
 */
long idxd_ioasid_ioctl(struct idxd_user_context *ctx, unsigned int cmd,
		       unsigned long arg)
{
	if (!ctx->has_ioasid || !ioasid_is_device_ioctl(cmd))
		return -ENOTTY;
	if (current->mm != ctx->mm)
		return -EPERM;
	return ioasid_device_ioctl(&ctx->ioasid, cmd, arg);
}
