/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups, for the files of the IOMMU core only
 */
#ifndef __IOMMU_PRIV_H
#define __IOMMU_PRIV_H

#include <linux/ioasid-types.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

struct device;
struct file;
struct iommu_dma_pasid;
struct iommu_domain;
struct iommu_fault_sink;

struct iommu_group {
	struct kobject kobj;
	struct kobject *devices_kobj;
	struct list_head devices;
	struct mutex mutex;	/* all of the group but its name */
	void *iommu_data;
	void (*iommu_data_release)(void *iommu_data);
	char *name;
	int id;
	struct iommu_domain *default_domain;
	struct iommu_domain *blocking_domain;
	struct iommu_domain *domain;
	struct list_head entry;
	unsigned int owner_cnt;
	struct file *owner;	/* of user space, NULL: the kernel's */
	struct xarray pasid_array;	/* all uses of PASIDs, under @mutex */
	struct iommu_dma_pasid *dma_pasid;
};

/*
 * Entries of iommu_group.pasid_array are struct group_pasid, or have this tag:
 * then they are bonds of a device with a process (SVA).
 */
#define IOMMU_PASID_BOND	1

struct group_device {
	struct list_head list;
	struct device *dev;
	char *name;
};

const char *iommu_domain_type_str(unsigned int t);

#ifdef CONFIG_IOMMU_PASID
void iommu_install_pasids(ioasid_t limit);
struct ioasid_set *iommu_host_pasid_set(void);
ioasid_t iommu_pasid_limit(struct device *dev);
int iommu_pasid_check_group(struct iommu_group *group, struct device *dev);
int iommu_group_attach_pasid(struct iommu_group *group,
			     struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid, const char *mode,
			     struct iommu_fault_sink *sink);
int iommu_attach_pasid_sink(struct iommu_domain *domain, struct device *dev,
			    ioasid_t pasid, const char *mode,
			    struct iommu_fault_sink *sink);
void iommu_group_detach_pasid(struct iommu_group *group,
			      struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid);
void iommu_group_detach_leftovers(struct iommu_group *group,
				  struct device *dev);
void iommu_pasid_release_device(struct device *dev);
#else
static inline void iommu_group_detach_leftovers(struct iommu_group *group,
						struct device *dev)
{
}

static inline void iommu_pasid_release_device(struct device *dev)
{
}
#endif

#ifdef CONFIG_IOMMU_DMA_PASID
void iommu_dma_pasid_abandon(struct iommu_group *group, struct device *dev);
#else
static inline void iommu_dma_pasid_abandon(struct iommu_group *group,
					   struct device *dev)
{
}
#endif

#endif /* __IOMMU_PRIV_H */
