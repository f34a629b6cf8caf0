// SPDX-License-Identifier: GPL-2.0
/*
 * Domains attached to PASIDs of a device
 *
 * A domain knows the devices whose requests without PASID it translates
 * (dmar_domain.devices), and here the PASIDs of devices (dmar_domain.dev_pasids).
 * What is unmapped must leave the caches for all of them (VT-d 4.0, 6.5.2):
 *
 *			second level		first level
 *	IOTLB		by domain id, once	by PASID, once for each that
 *			for each IOMMU		an IOMMU has of the domain
 *	device TLB	each (device, PASID)	each (device, PASID)
 *
 * An attachment is in the list before its PASID entry is present, and until the
 * entry is gone from all caches: a flush too many does no harm, one that comes
 * in between and misses does.
 *
 * Lock order: mutex of the device's group, iommu->lock, domain->lock.
 *
 * A new kind of attachment starts in domain_setup_pasid_entry(), its refusals in
 * domain_fit_iommu(); intel_pasid_tear_down_entry() has to know how it is flushed.
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <trace/events/iommu_pasid.h>

#include "iommu.h"
#include "pasid.h"

/**
 * struct dev_pasid_info - a domain attached to a PASID of a device
 * @link: in dmar_domain.dev_pasids, under dmar_domain.lock
 * @info: the device
 * @pasid: the PASID
 */
struct dev_pasid_info {
	struct list_head link;
	struct device_domain_info *info;
	ioasid_t pasid;
};

/*
 * By IOMMU, then by PASID: those that share an IOTLB entry are neighbours, and
 * one flush is enough for them.
 */
static bool dev_pasid_before(const struct dev_pasid_info *a,
			     const struct dev_pasid_info *b)
{
	if (a->info->iommu != b->info->iommu)
		return a->info->iommu->seq_id < b->info->iommu->seq_id;
	return a->pasid < b->pasid;
}

static void domain_add_dev_pasid(struct dmar_domain *domain,
				 struct dev_pasid_info *new)
{
	struct list_head *pos = &domain->dev_pasids;
	struct dev_pasid_info *dp;
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (dev_pasid_before(new, dp)) {
			pos = &dp->link;
			break;
		}
	}
	list_add_tail(&new->link, pos);
	spin_unlock_irqrestore(&domain->lock, flags);
}

static void domain_del_dev_pasid(struct dmar_domain *domain,
				 struct dev_pasid_info *dp)
{
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	list_del(&dp->link);
	spin_unlock_irqrestore(&domain->lock, flags);
	kfree(dp);
}

static struct dev_pasid_info *domain_find_dev_pasid(struct dmar_domain *domain,
						    struct device *dev,
						    ioasid_t pasid)
{
	struct dev_pasid_info *dp, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (dp->info->dev == dev && dp->pasid == pasid) {
			found = dp;
			break;
		}
	}
	spin_unlock_irqrestore(&domain->lock, flags);
	return found;
}

/**
 * domain_flush_piotlb - flush a first-level domain from the IOTLB of an IOMMU
 * @domain: the domain
 * @info: the domain's entry for the IOMMU
 * @addr: first address, aligned to @npages
 * @npages: number of pages, a power of two; -1 for all
 * @ih: invalidation hint: only leaf entries have changed
 *
 * Translations are tagged with the PASID, that of requests without PASID is 0.
 *
 * Context: Under RCU. Takes domain->lock.
 */
void domain_flush_piotlb(struct dmar_domain *domain,
			 struct iommu_domain_info *info, u64 addr,
			 unsigned long npages, bool ih)
{
	struct intel_iommu *iommu = info->iommu;
	struct device_domain_info *dev_info;
	ioasid_t last = PASID_RID2PASID;
	struct dev_pasid_info *dp;
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	list_for_each_entry(dev_info, &domain->devices, link) {
		if (dev_info->iommu != iommu)
			continue;
		qi_flush_piotlb(iommu, info->did, PASID_RID2PASID, addr,
				npages, ih);
		break;
	}
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (dp->info->iommu != iommu || dp->pasid == last)
			continue;
		qi_flush_piotlb(iommu, info->did, dp->pasid, addr, npages, ih);
		trace_iommu_pasid_flush(iommu->name, dp->pasid, addr,
					npages == -1 ? 0 : npages);
		last = dp->pasid;
	}
	spin_unlock_irqrestore(&domain->lock, flags);
}

/**
 * domain_flush_pasid_dev_tlbs - flush a domain's PASIDs from device TLBs
 * @domain: the domain, domain->lock held
 * @addr: first address, aligned to the size
 * @mask: log2 of the number of pages
 */
void domain_flush_pasid_dev_tlbs(struct dmar_domain *domain, u64 addr,
				 unsigned int mask)
{
	struct dev_pasid_info *dp;

	lockdep_assert_held(&domain->lock);
	list_for_each_entry(dp, &domain->dev_pasids, link)
		intel_flush_dev_tlb(dp->info, dp->pasid, addr, mask);
}

/**
 * domain_pasids_support_snooping - do the IOMMUs of all PASIDs allow to force it?
 * @domain: the domain, domain->lock held
 *
 * With first-level tables snooping is a bit of the PASID entry. Entries that are
 * present are not changed for it, so it has to be forced before a PASID is
 * attached.
 */
bool domain_pasids_support_snooping(struct dmar_domain *domain)
{
	struct dev_pasid_info *dp;

	lockdep_assert_held(&domain->lock);
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (domain->flags & DOMAIN_FLAG_USE_FIRST_LEVEL ||
		    !ecap_sc_support(dp->info->iommu->ecap))
			return false;
	}
	return true;
}

/* How many levels above the 4 KiB pages can have pages of their own */
static int iommu_page_levels(struct dmar_domain *domain,
			     struct intel_iommu *iommu)
{
	if (domain->flags & DOMAIN_FLAG_USE_FIRST_LEVEL)
		return cap_fl1gp_support(iommu->cap) ? 2 : 1;
	return fls(cap_super_page_val(iommu->cap));
}

/*
 * A domain that nobody is attached to can be fitted to the IOMMU. That frees
 * levels of its table, so another one has to fit as it is: what is mapped was
 * not flushed for an IOMMU that snoops no caches, and may be of large pages.
 */
static int domain_fit_iommu(struct dmar_domain *domain, struct device *dev,
			    struct intel_iommu *iommu)
{
	unsigned long flags;
	bool live;

	spin_lock_irqsave(&domain->lock, flags);
	live = !list_empty(&domain->devices) || !list_empty(&domain->dev_pasids);
	spin_unlock_irqrestore(&domain->lock, flags);

	if (!live)
		return prepare_domain_attach_device(&domain->domain, dev);
	if (domain->force_snooping && !ecap_sc_support(iommu->ecap))
		return -EOPNOTSUPP;
	if (domain_passes_through(domain))
		return 0;
	if (iommu->agaw < domain->agaw || cap_mgaw(iommu->cap) < domain->gaw)
		return -EINVAL;
	if (domain->iommu_coherency && !iommu_paging_structure_coherency(iommu))
		return -EINVAL;
	if (iommu_page_levels(domain, iommu) < domain->iommu_superpage)
		return -EINVAL;
	return 0;
}

/**
 * intel_iommu_set_dev_pasid - let a domain translate a PASID of a device
 * @domain: the domain
 * @dev: the device
 * @pasid: the PASID, whose entry is not present
 *
 * Context: Process context, may sleep. The mutex of the device's group is held.
 * Return: 0; -EOPNOTSUPP when @dev or its IOMMU has no PASIDs; -EINVAL when
 * @pasid is larger than those they have, or the IOMMU cannot walk the tables of
 * a domain that is in use;
 * -EBUSY when the PASID entry is present; -ENOSPC when the IOMMU has no domain id
 * left; -ENOMEM.
 */
int intel_iommu_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu;
	struct dev_pasid_info *dp;
	int ret;

	if (!info || !info->pasid_enabled || !info->pasid_table)
		return -EOPNOTSUPP;
	iommu = info->iommu;
	/* Only the queue knows PASID-based invalidations. */
	if (!pasid_supported(iommu) || !iommu->qi)
		return -EOPNOTSUPP;
	if (pasid >= intel_pasid_max_id || pasid >= info->pasid_table->max_pasid)
		return -EINVAL;

	ret = domain_fit_iommu(dmar_domain, dev, iommu);
	if (ret)
		return ret;

	dp = kzalloc(sizeof(*dp), GFP_KERNEL);
	if (!dp)
		return -ENOMEM;
	dp->info = info;
	dp->pasid = pasid;

	ret = domain_attach_iommu(dmar_domain, iommu);
	if (ret) {
		kfree(dp);
		return ret;
	}

	domain_add_dev_pasid(dmar_domain, dp);
	ret = domain_setup_pasid_entry(dmar_domain, dev, pasid);
	if (ret) {
		domain_del_dev_pasid(dmar_domain, dp);
		domain_detach_iommu(dmar_domain, iommu);
	}
	return ret;
}

/**
 * intel_iommu_remove_dev_pasid - undo intel_iommu_set_dev_pasid()
 * @domain: the domain
 * @dev: the device, which sends no more requests with @pasid
 * @pasid: the PASID
 *
 * Context: Process context, may sleep. The mutex of the device's group is held.
 */
void intel_iommu_remove_dev_pasid(struct iommu_domain *domain,
				  struct device *dev, ioasid_t pasid)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct dev_pasid_info *dp;
	struct intel_iommu *iommu;

	dp = domain_find_dev_pasid(dmar_domain, dev, pasid);
	if (WARN_ON(!dp))
		return;
	iommu = dp->info->iommu;

	intel_pasid_tear_down_entry(iommu, dev, pasid, false);
	intel_drain_pasid_prq(dev, pasid, domain_id_iommu(dmar_domain, iommu));
	domain_del_dev_pasid(dmar_domain, dp);
	domain_detach_iommu(dmar_domain, iommu);
}
