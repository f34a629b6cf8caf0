/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA with PASID for kernel drivers
 *
 * Documentation/driver-api/iommu-dma-pasid.rst has the whole story.
 */
#ifndef __LINUX_IOMMU_DMA_PASID_H
#define __LINUX_IOMMU_DMA_PASID_H

#include <linux/errno.h>
#include <linux/ioasid-types.h>

struct device;
struct iommu_domain;

/**
 * enum iommu_dma_pasid_mode - which addresses a device puts next to its PASID
 * @IOMMU_DMA_PASID_BYPASS: physical addresses
 * @IOMMU_DMA_PASID_IOVA: addresses from the DMA API, as without PASID
 * @IOMMU_DMA_PASID_KVA: kernel virtual addresses
 */
enum iommu_dma_pasid_mode {
	IOMMU_DMA_PASID_BYPASS,
	IOMMU_DMA_PASID_IOVA,
	IOMMU_DMA_PASID_KVA,
};

#ifdef CONFIG_IOMMU_DMA_PASID
int iommu_dma_pasid_enable(struct device *dev, struct iommu_domain **domain,
			   enum iommu_dma_pasid_mode mode);
int iommu_dma_pasid_disable(struct device *dev, struct iommu_domain **domain,
			    enum iommu_dma_pasid_mode mode);
bool iommu_dma_pasid_is_priv(struct device *dev, ioasid_t pasid);
#else
static inline int iommu_dma_pasid_enable(struct device *dev,
					 struct iommu_domain **domain,
					 enum iommu_dma_pasid_mode mode)
{
	return -EOPNOTSUPP;
}

static inline int iommu_dma_pasid_disable(struct device *dev,
					  struct iommu_domain **domain,
					  enum iommu_dma_pasid_mode mode)
{
	return -EINVAL;
}

static inline bool iommu_dma_pasid_is_priv(struct device *dev, ioasid_t pasid)
{
	return false;
}
#endif /* CONFIG_IOMMU_DMA_PASID */

#endif /* __LINUX_IOMMU_DMA_PASID_H */
