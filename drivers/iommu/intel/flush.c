// SPDX-License-Identifier: GPL-2.0
/*
 * Flushes through the invalidation queue
 *
 * A flush collects descriptors and gives those of a stage to the queue together,
 * with one wait behind them. The stages are caches that are loaded from each
 * other: context and PASID entries, the IOTLB, device TLBs. What is dropped from
 * one must be gone before the next is flushed (VT-d 4.0, 6.5.2). A fence in the
 * queue would do as well (6.5.2.8), but a time-out of a device would then have
 * what comes before it made again; and there are models of VT-d that refuse a
 * wait that is only a fence.
 *
 * A device answers each invalidation of its TLB, or hardware reports a time-out
 * (6.5.2.11). Who waits for the answer holds spinlocks, and may be in munmap():
 * so none is sent to a device that is gone or is being reset, and one that does
 * not answer is not asked again, and may do no DMA. The others of the same flush
 * are.
 *
 * Every descriptor of the driver is built here, or in flush.h if there may be
 * many in a flush, but for the wait of qi_submit_sync().
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/rcupdate.h>

#include "flush.h"
#include "pasid.h"

/* Whether the device that a descriptor is for, if any, answers as far as we know */
static bool flush_is_asked(struct device_domain_info *info)
{
	return !info || pci_ats_answers(to_pci_dev(info->dev));
}

/*
 * qi_submit_sync() has left the descriptors without an answer at type 0, which
 * none has. Whatever else these devices were to be asked goes with them.
 */
static bool flush_drop_unanswered(struct intel_flush *flush)
{
	unsigned int i, count = flush->count;

	for (i = 0; i < count; i++) {
		if (!flush->desc[i].qw0)
			pci_ats_no_answer(to_pci_dev(flush->info[i]->dev));
	}
	flush->count = 0;
	for (i = 0; i < count; i++) {
		if (flush->desc[i].qw0 && flush_is_asked(flush->info[i]))
			*intel_flush_push(flush, flush->info[i]) = flush->desc[i];
	}
	return flush->count < count;
}

/* For hardware that does not say who left an invalidation without an answer */
static void flush_each(struct intel_flush *flush)
{
	unsigned int i;

	for (i = 0; i < flush->count; i++) {
		if (flush_is_asked(flush->info[i]) &&
		    qi_submit_sync(flush->iommu, &flush->desc[i], 1,
				   flush->options) == -ETIMEDOUT)
			pci_ats_no_answer(to_pci_dev(flush->info[i]->dev));
	}
}

/**
 * intel_flush_wait - flush what has been collected, and wait for its end
 * @flush: the flush, which can go on
 *
 * Context: Any context. The devices whose TLBs are in it do not go meanwhile.
 */
void intel_flush_wait(struct intel_flush *flush)
{
	while (flush->count &&
	       qi_submit_sync(flush->iommu, flush->desc, flush->count,
			      flush->options) == -ETIMEDOUT) {
		if (flush_drop_unanswered(flush))
			continue;
		flush_each(flush);
		break;
	}
	flush->count = 0;
}

/**
 * intel_flush_context - add an invalidation of the context cache (VT-d 4.0, 6.5.2.1)
 * @flush: the flush
 * @did: domain id
 * @sid: requester id
 * @fm: which bits of its function number are not compared
 * @type: DMA_CCMD_*_INVL
 *
 * An IOMMU without a queue does it at once.
 */
void intel_flush_context(struct intel_flush *flush, u16 did, u16 sid, u8 fm,
			 u64 type)
{
	struct intel_iommu *iommu = flush->iommu;

	if (!iommu->qi) {
		iommu->flush.flush_context(iommu, did, sid, fm, type);
		return;
	}
	intel_flush_add(flush, FLUSH_STAGE_CONTEXT, NULL)->qw0 =
		QI_CC_FM(fm) | QI_CC_SID(sid) | QI_CC_DID(did) |
		QI_CC_GRAN(type) | QI_CC_TYPE;
}

/**
 * intel_flush_pasid_cache - add an invalidation of the PASID cache (VT-d 4.0, 6.5.2.2)
 * @flush: the flush
 * @did: domain id
 * @gran: QI_PC_*
 * @pasid: the PASID, for QI_PC_PASID_SEL
 */
void intel_flush_pasid_cache(struct intel_flush *flush, u16 did, u64 gran,
			     u32 pasid)
{
	intel_flush_add(flush, FLUSH_STAGE_PASID, NULL)->qw0 =
		QI_PC_PASID(pasid) | QI_PC_DID(did) | QI_PC_GRAN(gran) |
		QI_PC_TYPE;
}

/**
 * intel_flush_iotlb - add an invalidation of the IOTLB by domain id (VT-d 4.0, 6.5.2.3)
 * @flush: the flush
 * @did: domain id
 * @addr: first address, aligned to the size, with the invalidation hint in bit 6
 * @order: log2 of the number of pages, for DMA_TLB_PSI_FLUSH
 * @type: DMA_TLB_*_FLUSH
 *
 * An IOMMU without a queue does it at once.
 */
void intel_flush_iotlb(struct intel_flush *flush, u16 did, u64 addr,
		       unsigned int order, u64 type)
{
	struct intel_iommu *iommu = flush->iommu;
	struct qi_desc *desc;

	if (!iommu->qi) {
		iommu->flush.flush_iotlb(iommu, did, addr, order, type);
		return;
	}
	desc = intel_flush_add(flush, FLUSH_STAGE_IOTLB, NULL);
	desc->qw0 = QI_IOTLB_DID(did) |
		    QI_IOTLB_DR(!!cap_read_drain(iommu->cap)) |
		    QI_IOTLB_DW(!!cap_write_drain(iommu->cap)) |
		    QI_IOTLB_GRAN(type) | QI_IOTLB_TYPE;
	desc->qw1 = QI_IOTLB_ADDR(addr) | QI_IOTLB_AM(order);
}

/*
 * The size is where the lowest zero bit of the address is, counted from bit 12,
 * when there is more than a page (VT-d 4.0, 6.5.2.5 and 6.5.2.6).
 */
static u64 dev_tlb_range(u64 addr, unsigned int order)
{
	if (!order)
		return addr & VTD_PAGE_MASK;
	addr |= GENMASK_ULL(order + VTD_PAGE_SHIFT - 1, VTD_PAGE_SHIFT);
	return addr & ~BIT_ULL(order + VTD_PAGE_SHIFT - 1);
}

static void flush_add_dev_tlb(struct intel_flush *flush,
			      struct device_domain_info *info, u32 pasid,
			      u64 addr, unsigned int order)
{
	struct qi_desc *desc = intel_flush_add(flush, FLUSH_STAGE_DEV_TLB, info);
	u8 qdep = info->ats_qdep < QI_DEV_IOTLB_MAX_INVS ? info->ats_qdep : 0;
	u16 sid = PCI_DEVID(info->bus, info->devfn);

	desc->qw1 = dev_tlb_range(addr, order);
	if (pasid == PASID_RID2PASID) {
		desc->qw0 = QI_DEV_IOTLB_SID(sid) | QI_DEV_IOTLB_QDEP(qdep) |
			    QI_DEV_IOTLB_PFSID(info->pfsid) | QI_DIOTLB_TYPE;
		desc->qw1 |= order ? QI_DEV_IOTLB_SIZE : 0;
	} else {
		desc->qw0 = QI_DEV_EIOTLB_PASID(pasid) |
			    QI_DEV_EIOTLB_SID(sid) | QI_DEV_EIOTLB_QDEP(qdep) |
			    QI_DEV_EIOTLB_PFSID(info->pfsid) | QI_DEIOTLB_TYPE;
		desc->qw1 |= order ? QI_DEV_EIOTLB_SIZE : 0;
	}
}

/**
 * intel_flush_dev_tlb - add an invalidation of the TLB of a device
 * @flush: the flush, of the device's IOMMU
 * @info: the device; nothing happens when it has no TLB
 * @pasid: whose translations; PASID_RID2PASID: those of requests without PASID
 * @addr: first address, aligned to the size
 * @order: log2 of the number of pages; FLUSH_ALL for everything
 *
 * While the IOMMU does not translate none is to be sent (VT-d 4.0, 4.3).
 */
void intel_flush_dev_tlb(struct intel_flush *flush,
			 struct device_domain_info *info, u32 pasid, u64 addr,
			 unsigned int order)
{
	if (!info || !info->ats_enabled || !(flush->iommu->gcmd & DMA_GCMD_TE) ||
	    !pci_ats_answers(to_pci_dev(info->dev)))
		return;

	flush_add_dev_tlb(flush, info, pasid, addr, order);
	/*
	 * Some devices answer before their writes with what they flush are out.
	 * The answer to one that is sent after it comes behind those.
	 */
	if (unlikely(info->dtlb_extra_inval)) {
		intel_flush_wait(flush);
		if (pci_ats_answers(to_pci_dev(info->dev)))
			flush_add_dev_tlb(flush, info, pasid, addr, order);
	}
}

/**
 * intel_drain_page_requests - wait until no page request of a PASID is under way
 * @info: the device, whose requests with it have been stopped
 * @did: domain id that the PASID entry had
 * @pasid: the PASID
 *
 * What the device has sent is in the page request queue afterwards, and what it
 * is sent has arrived (VT-d 4.0, 7.10).
 *
 * Context: Any context.
 */
void intel_drain_page_requests(struct device_domain_info *info, u16 did,
			       u32 pasid)
{
	DEFINE_INTEL_FLUSH(flush);

	rcu_read_lock();
	intel_flush_begin(&flush, info->iommu);
	/* Behind the responses that are in the queue */
	intel_flush_add(&flush, FLUSH_STAGE_IOTLB, NULL)->qw0 =
		QI_IWD_FENCE | QI_IWD_TYPE;
	intel_flush_piotlb(&flush, did, pasid, 0, FLUSH_ALL, false);
	/* Of the PASID there is nothing in either: they need no order */
	flush.stage = FLUSH_STAGE_DEV_TLB;
	flush.options = QI_OPT_WAIT_DRAIN;
	intel_flush_dev_tlb(&flush, info, pasid, 0, 0);
	intel_flush_wait(&flush);
	rcu_read_unlock();
}

/**
 * intel_respond_page - answer a group of page requests (VT-d 4.0, 7.7.1)
 * @iommu: the IOMMU
 * @response: the answer
 *
 * Context: Any context.
 */
void intel_respond_page(struct intel_iommu *iommu,
			const struct intel_page_response *response)
{
	struct qi_desc desc = {
		.qw0 = QI_PGRP_PASID(response->pasid) |
		       QI_PGRP_DID(response->sid) |
		       QI_PGRP_PASID_P(response->pasid_present) |
		       QI_PGRP_PDP(!!response->private) |
		       QI_PGRP_RESP_CODE(response->code) | QI_PGRP_RESP_TYPE,
		.qw1 = QI_PGRP_IDX(response->group) |
		       QI_PGRP_LPIG(response->last),
	};

	if (response->private) {
		desc.qw2 = response->private[0];
		desc.qw3 = response->private[1];
	}
	qi_submit_sync(iommu, &desc, 1, 0);
}

/**
 * intel_flush_iec_all - flush the interrupt entry cache (VT-d 4.0, 6.5.2.7)
 * @iommu: the IOMMU
 *
 * Context: Any context.
 */
void intel_flush_iec_all(struct intel_iommu *iommu)
{
	struct qi_desc desc = { .qw0 = QI_IEC_TYPE };

	qi_submit_sync(iommu, &desc, 1, 0);
}

/**
 * intel_flush_iec - flush interrupt entries from their cache (VT-d 4.0, 6.5.2.7)
 * @iommu: the IOMMU
 * @index: the first entry
 * @mask: log2 of their number
 *
 * Context: Any context.
 * Return: 0, or what qi_submit_sync() says.
 */
int intel_flush_iec(struct intel_iommu *iommu, int index, int mask)
{
	struct qi_desc desc = {
		.qw0 = QI_IEC_IIDEX(index) | QI_IEC_IM(mask) |
		       QI_IEC_SELECTIVE | QI_IEC_TYPE,
	};

	return qi_submit_sync(iommu, &desc, 1, 0);
}
