// SPDX-License-Identifier: GPL-2.0
/*
 * Domains of the address space of a process
 *
 * What follows the mm, and flushes what it unmaps, is in svm.c, and the same for bonds:
 * one for each mm. A domain holds it, and has devices added with PASIDs of their own.
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <linux/dmar.h>
#include <linux/iommu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "iommu.h"
#include "pasid.h"

struct sva_domain {
	struct iommu_domain domain;
	struct intel_svm *svm;
};

static struct sva_domain *to_sva_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct sva_domain, domain);
}

static bool sva_domain_possible(void)
{
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;
	bool possible = false;

	rcu_read_lock();
	for_each_active_iommu(iommu, drhd)
		possible |= !!(iommu->flags & VTD_FLAG_SVM_CAPABLE);
	rcu_read_unlock();
	return possible;
}

/**
 * intel_iommu_domain_alloc_sva - allocate a domain of the address space of a process
 * @mm: that of the current process; NULL only asks whether there can be one
 *
 * Context: Process context, may sleep, and for the mmap_lock of the process.
 * Return: the domain; or an ERR_PTR(): -EOPNOTSUPP when no IOMMU can walk the page tables
 * of processes; -EINVAL for NULL; -ENOSPC when the process has many; -ENOMEM; -EINTR.
 */
struct iommu_domain *intel_iommu_domain_alloc_sva(struct mm_struct *mm)
{
	struct sva_domain *sva;

	if (!sva_domain_possible())
		return ERR_PTR(-EOPNOTSUPP);
	if (!mm)
		return ERR_PTR(-EINVAL);
	sva = kzalloc(sizeof(*sva), GFP_KERNEL_ACCOUNT);
	if (!sva)
		return ERR_PTR(-ENOMEM);
	sva->svm = intel_svm_follow(mm);
	if (IS_ERR(sva->svm)) {
		struct iommu_domain *err = ERR_CAST(sva->svm);

		kfree(sva);
		return err;
	}
	return &sva->domain;
}

static void sva_domain_free(struct iommu_domain *domain)
{
	struct sva_domain *sva = to_sva_domain(domain);

	intel_svm_unfollow(sva->svm);
	kfree(sva);
}

/* Page requests take what IOMMU_DEV_FEAT_SVA has enabled */
static int sva_domain_set_dev_pasid(struct iommu_domain *domain,
				    struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info || !info->pasid_enabled || !info->pasid_table ||
	    !(info->iommu->flags & VTD_FLAG_SVM_CAPABLE) ||
	    !dev->iommu->iopf_param)
		return -EOPNOTSUPP;
	if (pasid >= intel_pasid_max_id || pasid >= info->pasid_table->max_pasid)
		return -EINVAL;
	return intel_svm_attach(to_sva_domain(domain)->svm, dev, domain->mm,
				pasid);
}

static void sva_domain_remove_dev_pasid(struct iommu_domain *domain,
					struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	intel_svm_detach(to_sva_domain(domain)->svm, dev, pasid);
	dmar_drain_user_faults(info->iommu);
}

const struct iommu_domain_ops intel_sva_domain_ops = {
	.set_dev_pasid = sva_domain_set_dev_pasid,
	.remove_dev_pasid = sva_domain_remove_dev_pasid,
	.free = sva_domain_free,
};
