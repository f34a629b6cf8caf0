// SPDX-License-Identifier: GPL-2.0
/*
 * Flushes of device TLBs
 *
 * A device answers each invalidation of its TLB, or hardware reports a time-out
 * (VT-d 4.0, 6.5.2.11). Who waits for the answer holds spinlocks, and may be
 * in munmap(): so none is sent to a device that is gone or is being reset, and
 * one that does not answer is not asked again, and may do no DMA.
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/rcupdate.h>

#include "iommu.h"
#include "pasid.h"

static int devtlb_send(struct device_domain_info *info, u32 pasid, u64 addr,
		       unsigned int order)
{
	u16 sid = PCI_DEVID(info->bus, info->devfn);

	if (pasid == PASID_RID2PASID)
		return qi_flush_dev_iotlb(info->iommu, sid, info->pfsid,
					  info->ats_qdep, addr, order);
	return qi_flush_dev_iotlb_pasid(info->iommu, sid, info->pfsid, pasid,
					info->ats_qdep, addr, order);
}

/**
 * intel_flush_dev_tlb - flush a range from the device TLB of a device
 * @info: the device; nothing happens when it has no device TLB
 * @pasid: whose translations; PASID_RID2PASID: those of requests without PASID
 * @addr: first address, aligned to the size
 * @order: log2 of the number of pages; DEV_TLB_ALL for everything
 *
 * The only caller of qi_flush_dev_iotlb*(): a new flush of device TLBs calls this,
 * after that of the IOTLB, so that no device is asked that is removed or does not
 * answer.
 *
 * Context: Any context. The IOTLB has been flushed.
 */
void intel_flush_dev_tlb(struct device_domain_info *info, u32 pasid, u64 addr,
			 unsigned int order)
{
	struct pci_dev *pdev;
	int ret;

	if (!info || !info->ats_enabled)
		return;

	pdev = to_pci_dev(info->dev);
	rcu_read_lock();
	if (pci_ats_answers(pdev)) {
		ret = devtlb_send(info, pasid, addr, order);
		/*
		 * Some devices answer before their writes with what they flush
		 * are out. The second answer comes behind those.
		 */
		if (!ret && unlikely(info->dtlb_extra_inval))
			ret = devtlb_send(info, pasid, addr, order);
		if (ret == -ETIMEDOUT)
			pci_ats_no_answer(pdev);
	}
	rcu_read_unlock();
}
