// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of the PASIDs of a device
 *
 * The memory management may need long for a fault: a page comes from a file
 * whose server does not answer, or from a user of userfaultfd. So nothing that
 * others use may depend on the handler of a fault:
 *
 * - The handlers of a PASID run in a workqueue of its own, a few at a time. The
 *   rest waits behind them, and not in the way of other PASIDs.
 * - Who closes a bond does not wait for handlers. What is outstanding is
 *   answered in their place. A handler that comes back later finds that its
 *   group has its response, and drops what it holds.
 *
 * Lock order: group->mutex, dev_iommu.lock, iopf_pasid.lock,
 * iommu_fault_param.lock.
 */
#include <linux/iommu.h>
#include <linux/refcount.h>
#include <linux/slab.h>

#include "iommu-priv.h"
#include "iommu-sva-lib.h"
#include "iopf-pasid.h"

/*
 * Handlers at a time for one PASID. More than one, as the process may need
 * the device to serve a fault.
 */
#define IOPF_PASID_ACTIVE	4

/* How long a drain may wait for the faults of a process that stays */
#define IOPF_PASID_PATIENCE	HZ

/**
 * struct iopf_pasid - what page requests of a device with a PASID belong to
 * @dev: the device
 * @pasid: the PASID
 * @bonds: how many have it in use, under the mutex of the device's group
 * @drains: how many wait for the device to drain, under the same mutex
 * @refs: the device's, one for each group whose handler is not done, and those
 *	of who looks at it
 * @wq: the handlers
 * @lock: protects @blocked and @groups, and makes responses: one for each group
 * @blocked: requests are answered as invalid, without a look at the memory
 * @groups: struct iopf_group without response
 * @late: blocks when the patience is at its end
 * @release: ends @wq, which its own handlers cannot
 */
struct iopf_pasid {
	struct device *dev;
	ioasid_t pasid;
	unsigned int bonds;
	unsigned int drains;
	refcount_t refs;
	struct workqueue_struct *wq;
	struct mutex lock;	/* of blocked and groups, and for responses */
	bool blocked;
	struct list_head groups;
	struct delayed_work late;
	struct work_struct release;
};

static void iopf_pasid_release(struct work_struct *work)
{
	struct iopf_pasid *p = container_of(work, struct iopf_pasid, release);

	destroy_workqueue(p->wq);
	put_device(p->dev);
	mutex_destroy(&p->lock);
	kfree(p);
}

static void iopf_pasid_put(struct iopf_pasid *p)
{
	if (refcount_dec_and_test(&p->refs))
		schedule_work(&p->release);
}

static void iopf_pasid_block(struct iopf_pasid *p)
{
	struct iopf_group *group, *next;

	mutex_lock(&p->lock);
	p->blocked = true;
	list_for_each_entry_safe(group, next, &p->groups, link) {
		list_del_init(&group->link);
		iopf_complete_group(p->dev, &group->last_fault,
				    IOMMU_PAGE_RESP_INVALID);
	}
	mutex_unlock(&p->lock);
}

static void iopf_pasid_unblock(struct iopf_pasid *p)
{
	cancel_delayed_work_sync(&p->late);
	mutex_lock(&p->lock);
	p->blocked = false;
	mutex_unlock(&p->lock);
}

/* Out of reach of new requests */
static void iopf_pasid_end(struct iopf_pasid *p)
{
	cancel_delayed_work_sync(&p->late);
	iopf_pasid_block(p);
	iopf_pasid_put(p);
}

static void iopf_pasid_late(struct work_struct *work)
{
	iopf_pasid_block(container_of(to_delayed_work(work), struct iopf_pasid,
				      late));
}

static struct iopf_pasid *iopf_pasid_new(struct device *dev, ioasid_t pasid)
{
	struct iopf_pasid *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return NULL;
	p->wq = alloc_workqueue("iopf/%u", WQ_UNBOUND, IOPF_PASID_ACTIVE, pasid);
	if (!p->wq) {
		kfree(p);
		return NULL;
	}
	p->dev = get_device(dev);
	p->pasid = pasid;
	refcount_set(&p->refs, 1);
	mutex_init(&p->lock);
	INIT_LIST_HEAD(&p->groups);
	INIT_DELAYED_WORK(&p->late, iopf_pasid_late);
	INIT_WORK(&p->release, iopf_pasid_release);
	return p;
}

/* With a reference, as the device may end its page faults meanwhile */
static struct iopf_pasid *iopf_pasid_get(struct device *dev, ioasid_t pasid)
{
	struct dev_iommu *param = dev->iommu;
	struct iopf_pasid *p = NULL;

	if (!param)
		return NULL;
	mutex_lock(&param->lock);
	if (param->iopf_param)
		p = xa_load(&param->iopf_param->pasids, pasid);
	if (p)
		refcount_inc(&p->refs);
	mutex_unlock(&param->lock);
	return p;
}

/**
 * iopf_add_pasid - a process has bound a PASID of a device
 * @dev: the device
 * @pasid: the PASID, which the device does not use yet
 *
 * Context: Process context, may sleep. The mutex of the device's group is held.
 * Return: 0, also when the device reports no page faults; -ENOMEM.
 */
int iopf_add_pasid(struct device *dev, ioasid_t pasid)
{
	struct dev_iommu *param = dev->iommu;
	struct iopf_pasid *p = iopf_pasid_get(dev, pasid);
	int ret = 0;

	if (p) {
		p->bonds++;
		/* The only other bond may have been drained already */
		if (!p->drains)
			iopf_pasid_unblock(p);
		iopf_pasid_put(p);
		return 0;
	}
	p = iopf_pasid_new(dev, pasid);
	if (!p)
		return -ENOMEM;
	p->bonds = 1;
	mutex_lock(&param->lock);
	if (param->iopf_param)
		ret = xa_err(xa_store(&param->iopf_param->pasids, pasid, p,
				      GFP_KERNEL_ACCOUNT));
	if (!param->iopf_param || ret)
		iopf_pasid_put(p);
	mutex_unlock(&param->lock);
	return ret;
}

/**
 * iopf_block_pasid - answer the page requests of a bond that is at its end
 * @dev: the device
 * @pasid: the PASID
 *
 * Nothing happens when somebody else has a bond of the same PASID.
 *
 * Context: Process context, may sleep, but not for handlers of faults. The mutex
 * of the device's group is held.
 */
void iopf_block_pasid(struct device *dev, ioasid_t pasid)
{
	struct iopf_pasid *p = iopf_pasid_get(dev, pasid);

	if (!p)
		return;
	if (p->bonds == 1)
		iopf_pasid_block(p);
	iopf_pasid_put(p);
}

/**
 * iopf_remove_pasid - undo iopf_add_pasid()
 * @dev: the device
 * @pasid: the PASID, of which the IOMMU has no more page requests
 *
 * Context: Process context, may sleep, but not for handlers of faults. The mutex
 * of the device's group is held.
 */
void iopf_remove_pasid(struct device *dev, ioasid_t pasid)
{
	struct dev_iommu *param = dev->iommu;
	struct iopf_pasid *p = iopf_pasid_get(dev, pasid), *last = NULL;

	if (!p)
		return;
	if (!--p->bonds) {
		mutex_lock(&param->lock);
		if (param->iopf_param)
			last = xa_erase(&param->iopf_param->pasids, pasid);
		mutex_unlock(&param->lock);
	}
	if (last)
		iopf_pasid_end(last);
	iopf_pasid_put(p);
}

/**
 * iopf_remove_pasids - the device reports no more page faults
 * @param: the device, which others do not find any more
 *
 * Context: Process context, may sleep, but not for handlers of faults.
 */
void iopf_remove_pasids(struct iopf_device_param *param)
{
	struct iopf_pasid *p;
	unsigned long pasid;

	xa_for_each(&param->pasids, pasid, p)
		iopf_pasid_end(p);
	xa_destroy(&param->pasids);
}

/**
 * iopf_pasid_queue - give a page request group to the handlers of its PASID
 * @param: the device, dev_iommu.lock held
 * @group: the group
 *
 * Return: 0; -ENOENT when nobody has bound the PASID; -ESHUTDOWN when the
 * caller shall answer the group as invalid.
 */
int iopf_pasid_queue(struct iopf_device_param *param, struct iopf_group *group)
{
	struct iommu_fault_page_request *prm = &group->last_fault.fault.prm;
	struct iopf_pasid *p = NULL;
	int ret = 0;

	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)
		p = xa_load(&param->pasids, prm->pasid);
	if (!p)
		return -ENOENT;

	mutex_lock(&p->lock);
	if (p->blocked) {
		ret = -ESHUTDOWN;
	} else {
		refcount_inc(&p->refs);
		group->owner = p;
		list_add_tail(&group->link, &p->groups);
		queue_work(p->wq, &group->work);
	}
	mutex_unlock(&p->lock);
	return ret;
}

/**
 * iopf_pasid_wants - is there somebody who waits for the response to a group?
 * @group: the group
 */
bool iopf_pasid_wants(struct iopf_group *group)
{
	bool wants;

	if (!group->owner)
		return true;
	mutex_lock(&group->owner->lock);
	wants = !list_empty(&group->link);
	mutex_unlock(&group->owner->lock);
	return wants;
}

/**
 * iopf_pasid_complete - respond to a group, unless that has been done
 * @group: the group, which has an owner; its handler touches it no more
 * @status: the response
 */
void iopf_pasid_complete(struct iopf_group *group,
			 enum iommu_page_response_code status)
{
	struct iopf_pasid *p = group->owner;

	mutex_lock(&p->lock);
	if (!list_empty(&group->link)) {
		list_del_init(&group->link);
		iopf_complete_group(p->dev, &group->last_fault, status);
	}
	mutex_unlock(&p->lock);
	iopf_pasid_put(p);
}

/* Of a bond, whose PASID the mutex of the group keeps, or of a domain */
static void iopf_for_pasid(struct device *dev, struct iommu_sva *bond,
			   ioasid_t pasid, void (*fn)(struct iopf_pasid *p))
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iopf_pasid *p;

	if (!group)
		return;
	mutex_lock(&group->mutex);
	p = iopf_pasid_get(dev, bond ? iommu_sva_get_pasid(bond) : pasid);
	if (p) {
		fn(p);
		iopf_pasid_put(p);
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

static void iopf_drain_late(struct iopf_pasid *p)
{
	schedule_delayed_work(&p->late, IOPF_PASID_PATIENCE);
	p->drains++;
}

static void iopf_drain_bond(struct iopf_pasid *p)
{
	if (p->bonds > 1) {
		iopf_drain_late(p);
		return;
	}
	iopf_pasid_block(p);
	p->drains++;
}

static void iopf_drained_bond(struct iopf_pasid *p)
{
	if (!--p->drains && p->bonds > 1)
		iopf_pasid_unblock(p);
}

static void iopf_drained(struct iopf_pasid *p)
{
	/* It may be another one than that of the beginning */
	if (p->drains && !--p->drains)
		iopf_pasid_unblock(p);
}

/**
 * iommu_sva_drain_begin - let a device come to an end with its work for a bond
 * @handle: the bond
 *
 * A device may wait for responses to page requests before it has drained a
 * queue or a PASID, and be of no use for others meanwhile. If this is the only
 * bond of the process with the device, its outstanding requests are answered
 * as invalid at once, and so are later ones. Otherwise that happens when the
 * drain takes more than a second. iommu_sva_drain_end() must follow.
 *
 * Context: Process context, may sleep, but not for handlers of faults.
 */
void iommu_sva_drain_begin(struct iommu_sva *handle)
{
	iopf_for_pasid(handle->dev, handle, 0, iopf_drain_bond);
}
EXPORT_SYMBOL_GPL(iommu_sva_drain_begin);

/**
 * iommu_sva_drain_end - the device has drained, or failed to
 * @handle: the bond
 *
 * Context: Process context, may sleep, but not for handlers of faults.
 */
void iommu_sva_drain_end(struct iommu_sva *handle)
{
	iopf_for_pasid(handle->dev, handle, 0, iopf_drained_bond);
}
EXPORT_SYMBOL_GPL(iommu_sva_drain_end);

/**
 * iommu_pasid_drain_begin - let a device come to an end with its work for a PASID
 * @dev: the device
 * @pasid: a PASID that a domain is attached to, or not any more
 *
 * As iommu_sva_drain_begin(). Who else the domain is attached for, by way of another
 * queue of the device, is not known here: page requests are answered as invalid when
 * the drain takes more than a second. iommu_pasid_drain_end() must follow.
 *
 * Context: Process context, may sleep, but not for handlers of faults.
 */
void iommu_pasid_drain_begin(struct device *dev, ioasid_t pasid)
{
	iopf_for_pasid(dev, NULL, pasid, iopf_drain_late);
}
EXPORT_SYMBOL_GPL(iommu_pasid_drain_begin);

/**
 * iommu_pasid_drain_end - the device has drained, or failed to
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: Process context, may sleep, but not for handlers of faults.
 */
void iommu_pasid_drain_end(struct device *dev, ioasid_t pasid)
{
	iopf_for_pasid(dev, NULL, pasid, iopf_drained);
}
EXPORT_SYMBOL_GPL(iommu_pasid_drain_end);
