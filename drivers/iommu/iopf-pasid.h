/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page faults of the PASIDs of a device; see iopf-pasid.c
 */
#ifndef _IOPF_PASID_H
#define _IOPF_PASID_H

#include <linux/ioasid-types.h>
#include <linux/iommu.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct iopf_pasid;

/**
 * struct iopf_device_param - IO Page Fault data attached to a device
 * @dev: the device that owns this param
 * @queue: IOPF queue
 * @queue_list: index into queue->devices
 * @partial: faults that are part of a Page Request Group for which the last
 *           request hasn't been submitted yet.
 * @pasids: struct iopf_pasid by PASID, under dev_iommu.lock
 */
struct iopf_device_param {
	struct device			*dev;
	struct iopf_queue		*queue;
	struct list_head		queue_list;
	struct list_head		partial;
	struct xarray			pasids;
};

struct iopf_fault {
	struct iommu_fault		fault;
	struct list_head		list;
};

/**
 * struct iopf_group - a page request group that waits for its response
 * @last_fault: the last request of the group
 * @faults: all requests, the last one included
 * @work: the handler
 * @dev: the device
 * @owner: the PASID that the group belongs to, or NULL; holds a reference
 * @link: in iopf_pasid.groups while there was no response, under iopf_pasid.lock
 */
struct iopf_group {
	struct iopf_fault		last_fault;
	struct list_head		faults;
	struct work_struct		work;
	struct device			*dev;
	struct iopf_pasid		*owner;
	struct list_head		link;
};

int iopf_complete_group(struct device *dev, struct iopf_fault *iopf,
			enum iommu_page_response_code status);

void iopf_remove_pasids(struct iopf_device_param *param);
int iopf_pasid_queue(struct iopf_device_param *param, struct iopf_group *group);
bool iopf_pasid_wants(struct iopf_group *group);
void iopf_pasid_complete(struct iopf_group *group,
			 enum iommu_page_response_code status);

#endif
