/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults of requests with PASID that nobody recovers from: from the driver of the IOMMU
 * to who attached the PASID
 */
#ifndef __IOMMU_PASID_FAULT_H
#define __IOMMU_PASID_FAULT_H

#include <linux/ioasid-types.h>
#include <linux/types.h>

/**
 * struct iommu_pasid_fault - a request that was refused
 * @addr: the address, rounded down to its page
 * @perm: what it asked for, enum ioasid_fault_perm
 * @reason: enum ioasid_fault_reason
 * @hw_reason: as the IOMMU says it
 * @stage2: it is the parent's, if the page table is on top of another one
 * @table: whoever has made the page table is to blame, not who sent the request
 */
struct iommu_pasid_fault {
	u64 addr;
	u32 perm;
	u32 reason;
	u32 hw_reason;
	bool stage2;
	bool table;
};

/**
 * struct iommu_fault_sink - who is told of the faults of a PASID
 * @report: does it; false for one that it does not take, which is for the log. Called
 *	    with a spinlock held, without which the PASID is not detached, and interrupts
 *	    disabled
 */
struct iommu_fault_sink {
	bool (*report)(struct iommu_fault_sink *sink,
		       const struct iommu_pasid_fault *fault);
};

#ifdef CONFIG_IOMMU_PASID
bool iommu_pasid_faults_wanted(void);
bool iommu_report_pasid_fault(int segment, u16 rid, ioasid_t pasid,
			      const struct iommu_pasid_fault *fault);
#else
static inline bool iommu_pasid_faults_wanted(void)
{
	return false;
}

static inline bool
iommu_report_pasid_fault(int segment, u16 rid, ioasid_t pasid,
			 const struct iommu_pasid_fault *fault)
{
	return false;
}
#endif

#endif /* __IOMMU_PASID_FAULT_H */
