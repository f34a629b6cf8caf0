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
 * A page table of a user (nested.c) is on top of a second level, its parent, and tagged
 * with the domain id of that: what is unmapped from the parent leaves the IOTLB for all
 * that are on top. Device TLBs have addresses of the user's table, so they lose all.
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

#include "flush.h"
#include "iommu.h"
#include "pasid.h"

/*
 * So many page tables of users a parent has attached at most: what is unmapped from it is
 * flushed from the TLB of the device for each, with interrupts off.
 */
#define DOMAIN_MAX_NESTED	256

/**
 * struct dev_pasid_info - a domain attached to a PASID of a device
 * @link: in dmar_domain.dev_pasids, under dmar_domain.lock
 * @info: the device
 * @pasid: the PASID
 * @nested: the page table of a user that the PASID has, on top of the domain; or NULL
 */
struct dev_pasid_info {
	struct list_head link;
	struct device_domain_info *info;
	ioasid_t pasid;
	const struct intel_nested *nested;
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

static int domain_add_dev_pasid(struct dmar_domain *domain,
				struct dev_pasid_info *new)
{
	struct list_head *pos = &domain->dev_pasids;
	struct dev_pasid_info *dp;
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	if (new->nested && domain->nr_nested == DOMAIN_MAX_NESTED) {
		spin_unlock_irqrestore(&domain->lock, flags);
		return -ENOSPC;
	}
	domain->nr_nested += !!new->nested;
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (dev_pasid_before(new, dp)) {
			pos = &dp->link;
			break;
		}
	}
	list_add_tail(&new->link, pos);
	spin_unlock_irqrestore(&domain->lock, flags);
	return 0;
}

static void domain_del_dev_pasid(struct dmar_domain *domain,
				 struct dev_pasid_info *dp)
{
	unsigned long flags;

	spin_lock_irqsave(&domain->lock, flags);
	list_del(&dp->link);
	domain->nr_nested -= !!dp->nested;
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

/* By domain id, whatever the PASID. The hint is a bit of the address. */
static void domain_flush_iotlb(struct intel_flush *flush, u16 did, u64 addr,
			       unsigned int order, bool ih)
{
	if (order == FLUSH_ALL)
		intel_flush_iotlb(flush, did, 0, 0, DMA_TLB_DSI_FLUSH);
	else
		intel_flush_iotlb(flush, did, addr | (ih ? BIT(6) : 0), order,
				  DMA_TLB_PSI_FLUSH);
}

/* Translations are tagged with the PASID, that of requests without PASID is 0 */
static void domain_flush_piotlb(struct intel_flush *flush,
				struct dmar_domain *domain, u16 did, u64 addr,
				unsigned int order, bool ih)
{
	struct intel_iommu *iommu = flush->iommu;
	struct device_domain_info *dev_info;
	ioasid_t last = PASID_RID2PASID;
	struct dev_pasid_info *dp;

	list_for_each_entry(dev_info, &domain->devices, link) {
		if (dev_info->iommu != iommu)
			continue;
		intel_flush_piotlb(flush, did, PASID_RID2PASID, addr, order, ih);
		break;
	}
	list_for_each_entry(dp, &domain->dev_pasids, link) {
		if (dp->info->iommu != iommu || dp->pasid == last)
			continue;
		intel_flush_piotlb(flush, did, dp->pasid, addr, order, ih);
		if (trace_iommu_pasid_flush_enabled())
			trace_iommu_pasid_flush(iommu->name, dp->pasid, addr,
						order == FLUSH_ALL ?
						0 : 1UL << order);
		last = dp->pasid;
	}
}

/* Those behind other IOMMUs wait for their IOTLB */
static void domain_flush_dev_tlbs(struct intel_flush *flush,
				  struct dmar_domain *domain, u64 addr,
				  unsigned int order)
{
	struct device_domain_info *info;
	struct dev_pasid_info *dp;

	list_for_each_entry(info, &domain->devices, link)
		if (info->iommu == flush->iommu && info->ats_enabled)
			intel_flush_dev_tlb(flush, info, PASID_RID2PASID, addr,
					    order);
	list_for_each_entry(dp, &domain->dev_pasids, link)
		if (dp->info->iommu == flush->iommu && dp->info->ats_enabled)
			intel_flush_dev_tlb(flush, dp->info, dp->pasid,
					    dp->nested ? 0 : addr,
					    dp->nested ? FLUSH_ALL : order);
}

/**
 * domain_flush - flush a range of a domain from an IOMMU and devices behind it
 * @domain: the domain
 * @info: the domain's entry for the IOMMU
 * @addr: first address, aligned to the size
 * @order: log2 of the number of pages; FLUSH_ALL for all
 * @ih: invalidation hint: only leaf entries have changed
 * @dev_tlbs: whether device TLBs can have it, which they cannot when there was
 *	no translation before
 *
 * Context: Under RCU, which keeps @info and its domain id. Takes domain->lock,
 * also while it waits, so that no attachment goes meanwhile.
 */
void domain_flush(struct dmar_domain *domain, struct iommu_domain_info *info,
		  u64 addr, unsigned int order, bool ih, bool dev_tlbs)
{
	bool first_level = domain->flags & DOMAIN_FLAG_USE_FIRST_LEVEL;
	struct intel_iommu *iommu = info->iommu;
	unsigned int tlb_order = order;
	DEFINE_INTEL_FLUSH(flush);
	unsigned long flags;
	u64 tlb_addr = addr;

	/* What is a leaf here may be a table of a user, on top of this one */
	if (domain->flags & DOMAIN_FLAG_NEST_PARENT)
		ih = false;
	/* Without page-selective invalidation, or for more than it can be of */
	if (!cap_pgsel_inv(iommu->cap) ||
	    order > cap_max_amask_val(iommu->cap)) {
		tlb_order = FLUSH_ALL;
		tlb_addr = 0;
	}
	if (!domain->has_iotlb_device && list_empty(&domain->dev_pasids))
		dev_tlbs = false;

	intel_flush_begin(&flush, iommu);
	if (!first_level)
		domain_flush_iotlb(&flush, info->did, tlb_addr, tlb_order, ih);
	if (first_level || dev_tlbs) {
		spin_lock_irqsave(&domain->lock, flags);
		if (first_level)
			domain_flush_piotlb(&flush, domain, info->did, tlb_addr,
					    tlb_order, ih);
		if (dev_tlbs)
			domain_flush_dev_tlbs(&flush, domain, addr, order);
		intel_flush_wait(&flush);
		spin_unlock_irqrestore(&domain->lock, flags);
	} else {
		intel_flush_wait(&flush);
	}
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
	live = domain->flags & DOMAIN_FLAG_USER ||
	       !list_empty(&domain->devices) || !list_empty(&domain->dev_pasids);
	spin_unlock_irqrestore(&domain->lock, flags);

	if (!live)
		return prepare_domain_attach_device(&domain->domain, dev);
	if (domain->force_snooping && !ecap_sc_support(iommu->ecap))
		return -EOPNOTSUPP;
	if (domain_passes_through(domain))
		return 0;
	if (iommu->agaw < domain->agaw || cap_mgaw(iommu->cap) < domain->gaw)
		return -EINVAL;
	/* It need not have a smaller number of levels because it has a larger one */
	if (!(domain->flags & DOMAIN_FLAG_USE_FIRST_LEVEL) &&
	    !(cap_sagaw(iommu->cap) & BIT(domain->agaw)))
		return -EINVAL;
	if (domain->iommu_coherency && !iommu_paging_structure_coherency(iommu))
		return -EINVAL;
	if (iommu_page_levels(domain, iommu) < domain->iommu_superpage)
		return -EINVAL;
	return 0;
}

/**
 * domain_attach_pasid - let a domain, or a table on top of it, translate a PASID
 * @dmar_domain: the domain
 * @dev: the device
 * @pasid: the PASID, whose entry is not present
 * @nested: the table on top of it; NULL for none
 *
 * Context: Process context, may sleep. The mutex of the device's group is held.
 * Return: as intel_iommu_set_dev_pasid(); -ENOSPC also when DOMAIN_MAX_NESTED tables are
 * attached on top of the domain.
 */
int domain_attach_pasid(struct dmar_domain *dmar_domain, struct device *dev,
			ioasid_t pasid, const struct intel_nested *nested)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
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

	dp = kzalloc(sizeof(*dp), GFP_KERNEL_ACCOUNT);
	if (!dp)
		return -ENOMEM;
	dp->info = info;
	dp->pasid = pasid;
	dp->nested = nested;

	ret = domain_attach_iommu(dmar_domain, iommu);
	if (ret)
		goto err_free;
	ret = domain_add_dev_pasid(dmar_domain, dp);
	if (ret)
		goto err_iommu;

	domain_order_attach();
	if (nested)
		ret = intel_pasid_setup_nested(iommu, dmar_domain, dev, pasid,
					       &nested->config);
	else
		ret = domain_setup_pasid_entry(dmar_domain, dev, pasid);
	if (!ret)
		return 0;

	domain_del_dev_pasid(dmar_domain, dp);
	domain_detach_iommu(dmar_domain, iommu);
	return ret;

err_iommu:
	domain_detach_iommu(dmar_domain, iommu);
err_free:
	kfree(dp);
	return ret;
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
	return domain_attach_pasid(to_dmar_domain(domain), dev, pasid, NULL);
}

/**
 * domain_detach_pasid - undo domain_attach_pasid()
 * @dmar_domain: the domain
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: Process context, may sleep. The mutex of the device's group is held.
 */
void domain_detach_pasid(struct dmar_domain *dmar_domain, struct device *dev,
			 ioasid_t pasid)
{
	struct dev_pasid_info *dp;
	struct intel_iommu *iommu;

	dp = domain_find_dev_pasid(dmar_domain, dev, pasid);
	if (WARN_ON(!dp))
		return;
	iommu = dp->info->iommu;

	/* A user's device may go on; the log is not for it to fill */
	intel_pasid_tear_down_entry(iommu, dev, pasid,
				    dmar_domain->flags & DOMAIN_FLAG_USER);
	intel_drain_pasid_prq(dev, pasid, domain_id_iommu(dmar_domain, iommu));
	if (dmar_domain->flags & DOMAIN_FLAG_USER)
		dmar_drain_user_faults(iommu);
	domain_del_dev_pasid(dmar_domain, dp);
	domain_detach_iommu(dmar_domain, iommu);
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
	domain_detach_pasid(to_dmar_domain(domain), dev, pasid);
}

/* What one IOMMU has, and the devices behind it */
static void domain_flush_nested_iommu(const struct intel_nested *nested,
				      struct iommu_domain_info *info, u64 addr,
				      unsigned int order, bool leaf)
{
	struct dmar_domain *parent = nested->parent;
	struct intel_iommu *iommu = info->iommu;
	ioasid_t last = PASID_RID2PASID;
	unsigned int tlb_order = order;
	struct dev_pasid_info *dp;
	DEFINE_INTEL_FLUSH(flush);
	unsigned long flags;

	if (!cap_pgsel_inv(iommu->cap) || order > cap_max_amask_val(iommu->cap))
		tlb_order = FLUSH_ALL;

	intel_flush_begin(&flush, iommu);
	spin_lock_irqsave(&parent->lock, flags);
	list_for_each_entry(dp, &parent->dev_pasids, link) {
		if (dp->nested != nested || dp->info->iommu != iommu ||
		    dp->pasid == last)
			continue;
		intel_flush_piotlb(&flush, info->did, dp->pasid, addr,
				   tlb_order, leaf);
		trace_iommu_pasid_flush(iommu->name, dp->pasid, addr,
					tlb_order == FLUSH_ALL ?
					0 : 1UL << tlb_order);
		last = dp->pasid;
	}
	list_for_each_entry(dp, &parent->dev_pasids, link)
		if (dp->nested == nested && dp->info->iommu == iommu)
			intel_flush_dev_tlb(&flush, dp->info, dp->pasid, addr,
					    order);
	intel_flush_wait(&flush);
	spin_unlock_irqrestore(&parent->lock, flags);
}

/**
 * domain_flush_nested - flush a range of a page table of a user
 * @nested: the table
 * @addr: first address, aligned to the size
 * @order: log2 of the number of pages; FLUSH_ALL for all
 * @leaf: only leaf entries have changed
 *
 * Context: Any context.
 */
void domain_flush_nested(const struct intel_nested *nested, u64 addr,
			 unsigned int order, bool leaf)
{
	struct iommu_domain_info *info;
	unsigned long i;

	rcu_read_lock();
	xa_for_each(&nested->parent->iommu_array, i, info)
		domain_flush_nested_iommu(nested, info, addr, order, leaf);
	rcu_read_unlock();
}
