/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test client of DMA with PASID: the hardware that copies memory for it
 *
 * drivers/iommu/iommu-dma-pasid-client.c has the commands of user space, the
 * memory and the checks of it. Drivers register the devices that they are bound
 * to, and program them as the commands ask for.
 */
#ifndef __LINUX_IOMMU_DMA_PASID_CLIENT_H
#define __LINUX_IOMMU_DMA_PASID_CLIENT_H

#include <linux/ioasid-types.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct device;
struct iommu_dma_pasid_client;

/* Bytes of the largest copy that a queue must take */
#define IOMMU_DMA_PASID_COPY_MAX	SZ_2M

/**
 * struct iommu_dma_pasid_copy - one copy of memory
 * @src: where the device reads
 * @dst: where the device writes
 * @size: bytes, at most IOMMU_DMA_PASID_COPY_MAX
 * @record: a page of coherent memory, in which the device says how it went;
 *	    nothing else is in it
 * @record_dma: where the device finds @record
 *
 * The addresses for the device are from the DMA API. They can be unmapped, and
 * that is no mistake.
 */
struct iommu_dma_pasid_copy {
	dma_addr_t src;
	dma_addr_t dst;
	size_t size;
	void *record;
	dma_addr_t record_dma;
};

/**
 * struct iommu_dma_pasid_client_ops - what a driver does with its device
 * @start: Reset and enable the device, without queues. Returns 0 or an error.
 * @stop: Disable the device. Returns 0 or an error.
 * @queue: Enable a queue, which may be enabled with another PASID, so that its
 *	   DMA has this PASID; 0: none. Returns 0 or an error.
 * @submit: Put a copy in a queue. If that is not enabled, @wait returns an error.
 * @wait: Wait, for a bounded time, until a copy that was submitted has ended.
 *	  Returns 0; -EFAULT when the device could not reach an address, which is
 *	  in \*fault then; -ENXIO when it could not even write to the record;
 *	  -ETIMEDOUT; -EIO for all else.
 *
 * Context: Process context, all may sleep. @start, @stop and @queue are called
 * by one at a time, @submit and @wait by many threads, for one queue too, and
 * also while @start, @stop or @queue is. None is called before
 * iommu_dma_pasid_client_register() or after
 * iommu_dma_pasid_client_unregister(); so @dev is bound to its driver, and has
 * its driver data.
 */
struct iommu_dma_pasid_client_ops {
	int (*start)(struct device *dev);
	int (*stop)(struct device *dev);
	int (*queue)(struct device *dev, u32 queue, ioasid_t pasid);
	void (*submit)(struct device *dev, u32 queue,
		       const struct iommu_dma_pasid_copy *copy);
	int (*wait)(struct device *dev, u32 queue,
		    const struct iommu_dma_pasid_copy *copy, u64 *fault);
};

struct iommu_dma_pasid_client *
iommu_dma_pasid_client_register(struct device *dev,
				const struct iommu_dma_pasid_client_ops *ops,
				u32 nr_queues);
void iommu_dma_pasid_client_unregister(struct iommu_dma_pasid_client *client);

#endif /* __LINUX_IOMMU_DMA_PASID_CLIENT_H */
