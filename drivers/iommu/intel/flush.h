/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flushes through the invalidation queue, see flush.c
 */
#ifndef __INTEL_IOMMU_FLUSH_H
#define __INTEL_IOMMU_FLUSH_H

#include "iommu.h"

/* As an order of pages: all that an address can be in */
#define FLUSH_ALL	(64 - VTD_PAGE_SHIFT)

/* What has more is cut. So many fit on the stack, and several into a queue. */
#define FLUSH_DESCS	16

/* A cache is loaded from those before it */
enum flush_stage {
	FLUSH_STAGE_CONTEXT,
	FLUSH_STAGE_PASID,
	FLUSH_STAGE_IOTLB,
	FLUSH_STAGE_DEV_TLB,
};

/*
 * Where the compiler clears what is on the stack, it would clear all of a flush
 * each time, to use two descriptors of it. None is read before it is written.
 */
#if defined(CONFIG_INIT_STACK_ALL_ZERO) || defined(CONFIG_INIT_STACK_ALL_PATTERN)
#define DEFINE_INTEL_FLUSH(name)					\
	struct intel_flush name __attribute__((__uninitialized__))
#else
#define DEFINE_INTEL_FLUSH(name)	struct intel_flush name
#endif

/**
 * struct intel_flush - the descriptors of a flush
 * @iommu: whose queue they are for
 * @options: those of qi_submit_sync()
 * @stage: that of the last one
 * @count: their number
 * @desc: the descriptors
 * @info: the device whose TLB one is for; %NULL for others
 */
struct intel_flush {
	struct intel_iommu *iommu;
	unsigned long options;
	enum flush_stage stage;
	unsigned int count;
	struct qi_desc desc[FLUSH_DESCS];
	struct device_domain_info *info[FLUSH_DESCS];
};

/**
 * struct intel_page_response - the answer to a group of page requests
 * @sid: requester id of the device
 * @group: index of the group
 * @pasid: their PASID, where @pasid_present
 * @code: QI_RESP_*
 * @pasid_present: whether they have a PASID
 * @last: whether one of them was marked as the last
 * @private: private data that they came with, two words; %NULL for none
 */
struct intel_page_response {
	u16 sid;
	u16 group;
	u32 pasid;
	u8 code;
	bool pasid_present;
	bool last;
	const u64 *private;
};

/**
 * intel_flush_begin - begin a flush
 * @flush: what it collects, on the stack of the caller
 * @iommu: the IOMMU
 *
 * intel_flush_wait() ends it.
 *
 * Context: Any context. Under RCU until the end when device TLBs are to be
 * flushed: a reset of a device waits for that.
 */
static inline void intel_flush_begin(struct intel_flush *flush,
				     struct intel_iommu *iommu)
{
	flush->iommu = iommu;
	flush->options = 0;
	flush->stage = FLUSH_STAGE_CONTEXT;
	flush->count = 0;
}

void intel_flush_wait(struct intel_flush *flush);

static inline struct qi_desc *intel_flush_push(struct intel_flush *flush,
					       struct device_domain_info *info)
{
	flush->info[flush->count] = info;
	return &flush->desc[flush->count++];
}

/* A descriptor to be filled; its words 1 to 3 are 0 */
static inline struct qi_desc *intel_flush_add(struct intel_flush *flush,
					      enum flush_stage stage,
					      struct device_domain_info *info)
{
	struct qi_desc *desc;

	if (unlikely(flush->stage != stage || flush->count == FLUSH_DESCS)) {
		intel_flush_wait(flush);
		flush->stage = stage;
	}
	desc = intel_flush_push(flush, info);
	desc->qw1 = 0;
	desc->qw2 = 0;
	desc->qw3 = 0;
	return desc;
}

/**
 * intel_flush_piotlb - add an invalidation of the IOTLB by PASID (VT-d 4.0, 6.5.2.4)
 * @flush: the flush
 * @did: domain id
 * @pasid: the PASID
 * @addr: first address, aligned to the size
 * @order: log2 of the number of pages; FLUSH_ALL for all of the PASID
 * @ih: invalidation hint: only leaf entries have changed
 */
static inline void intel_flush_piotlb(struct intel_flush *flush, u16 did,
				      u32 pasid, u64 addr, unsigned int order,
				      bool ih)
{
	struct qi_desc *desc = intel_flush_add(flush, FLUSH_STAGE_IOTLB, NULL);

	desc->qw0 = QI_EIOTLB_PASID(pasid) | QI_EIOTLB_DID(did) |
		    QI_EIOTLB_TYPE;
	if (order == FLUSH_ALL) {
		desc->qw0 |= QI_EIOTLB_GRAN(QI_GRAN_NONG_PASID);
		return;
	}
	WARN_ON_ONCE(!IS_ALIGNED(addr, (u64)VTD_PAGE_SIZE << order));
	desc->qw0 |= QI_EIOTLB_GRAN(QI_GRAN_PSI_PASID);
	desc->qw1 = QI_EIOTLB_ADDR(addr) | QI_EIOTLB_IH(ih) |
		    QI_EIOTLB_AM(order);
}

void intel_flush_context(struct intel_flush *flush, u16 did, u16 sid, u8 fm,
			 u64 type);
void intel_flush_pasid_cache(struct intel_flush *flush, u16 did, u64 gran,
			     u32 pasid);
void intel_flush_iotlb(struct intel_flush *flush, u16 did, u64 addr,
		       unsigned int order, u64 type);
void intel_flush_dev_tlb(struct intel_flush *flush,
			 struct device_domain_info *info, u32 pasid, u64 addr,
			 unsigned int order);

void intel_drain_page_requests(struct device_domain_info *info, u16 did,
			       u32 pasid);
void intel_respond_page(struct intel_iommu *iommu,
			const struct intel_page_response *response);
void intel_flush_iec_all(struct intel_iommu *iommu);
int intel_flush_iec(struct intel_iommu *iommu, int index, int mask);

#endif
