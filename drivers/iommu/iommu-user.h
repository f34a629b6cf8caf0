/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Domains whose mappings a process makes, for the files of /dev/ioasid
 */
#ifndef __IOMMU_USER_H
#define __IOMMU_USER_H

#include <linux/types.h>

struct device;
struct iommu_domain;
struct iommu_nested_config;
struct iommu_ops;
struct iommu_run;
struct iommu_user_range;

const struct iommu_ops *iommu_user_ops(void);
struct iommu_domain *iommu_domain_alloc_user(u32 flags);
struct iommu_domain *
iommu_domain_alloc_nested(struct iommu_domain *parent,
			  const struct iommu_nested_config *config);
void iommu_dev_nested_caps(struct device *dev, u64 *cap, u64 *ecap);
void iommu_flush_user(struct iommu_domain *domain,
		      const struct iommu_user_range *range);
int iommu_map_nosync(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t paddr, size_t size, int prot, gfp_t gfp);
void iommu_sync_map(struct iommu_domain *domain, unsigned long iova,
		    size_t size);
unsigned int iommu_iova_to_runs(struct iommu_domain *domain, dma_addr_t iova,
				size_t max, struct iommu_run *runs,
				unsigned int nr, size_t *page);

#endif /* __IOMMU_USER_H */
