/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _IDXD_CDEV_H_
#define _IDXD_CDEV_H_

#include <linux/ioasid-device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

struct address_space;
struct iommu_sva;
struct mm_struct;

/*
 * Of an open file, and of the queue until the queue has dropped it: there are
 * references of both.
 */
struct idxd_user_context {
	struct kref ref;
	struct list_head list;	/* in wq->user_contexts, under wq->wq_lock */
	struct work_struct unbind_work;
	struct idxd_wq *wq;
	struct address_space *mapping;
	/*
	 * Read by those who submit or map.  Set under wq->wq_lock, too, when the
	 * queue goes: from then on nothing but the wq and the mm is there.
	 * Taken under the mmap_lock, so no memory of the process is touched
	 * with it.
	 */
	struct rw_semaphore revoked_lock;
	bool revoked;
	bool ready;		/* has a PASID to submit with, and is not revoked */
	unsigned int pasid;
	bool has_pasid;		/* the device knows it; under wq->wq_lock */
	bool has_ioasid;	/* ioasid and a reference to mm are there */
	struct mm_struct *mm;
	struct iommu_sva *sva;
	struct ioasid_device ioasid;
};

int idxd_user_context_take_pasid(struct idxd_user_context *ctx, unsigned int pasid);
void idxd_user_context_end_pasid(struct idxd_user_context *ctx);
void idxd_user_context_revoke(struct idxd_user_context *ctx, bool revoked);

/* ioasid.c */
void idxd_ioasid_init(struct idxd_user_context *ctx);
void idxd_ioasid_fini(struct idxd_user_context *ctx);
long idxd_ioasid_ioctl(struct idxd_user_context *ctx, unsigned int cmd,
		       unsigned long arg);

#endif
