/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Domains of the address space of a process
 */
#ifndef __IOMMU_SVA_DOMAIN_H
#define __IOMMU_SVA_DOMAIN_H

#include <linux/err.h>
#include <linux/iommu.h>

static inline bool iommu_domain_is_sva(const struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_SVA;
}

#if defined(CONFIG_IOMMU_SVA) && defined(CONFIG_IOMMU_PASID)
bool iommu_has_sva_domains(void);
bool iommu_dev_has_sva(struct device *dev);
struct iommu_domain *iommu_domain_alloc_sva(void);
#else
static inline bool iommu_has_sva_domains(void)
{
	return false;
}

static inline bool iommu_dev_has_sva(struct device *dev)
{
	return false;
}

static inline struct iommu_domain *iommu_domain_alloc_sva(void)
{
	return ERR_PTR(-EOPNOTSUPP);
}
#endif

#endif /* __IOMMU_SVA_DOMAIN_H */
