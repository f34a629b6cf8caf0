// SPDX-License-Identifier: GPL-2.0
/*
 * IOMMU core: domains of the address space of a process
 *
 * iommu_sva_bind_device() gives a process one PASID for all devices. A domain has none:
 * it is attached to PASIDs as others are, which belong to whoever attaches it. Page
 * requests are served as those of a bond.
 *
 * When the process ends, its memory is out of reach of all devices at once. The domain
 * stays, and translates nothing.
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/sched.h>

#include "iommu-priv.h"
#include "iommu-sva-domain.h"
#include "iommu-sva-lib.h"
#include "iommu-user.h"

/**
 * iommu_has_sva_domains - can iommu_domain_alloc_sva() succeed on this machine?
 *
 * Context: Process context.
 */
bool iommu_has_sva_domains(void)
{
	const struct iommu_ops *ops = iommu_user_ops();

	return ops && ops->domain_alloc_sva &&
	       PTR_ERR(ops->domain_alloc_sva(NULL)) != -EOPNOTSUPP;
}
EXPORT_SYMBOL_NS_GPL(iommu_has_sva_domains, IOMMU_USER);

/**
 * iommu_dev_has_sva - are page faults of a device served?
 * @dev: the device, which can be gone
 *
 * That is what IOMMU_DEV_FEAT_SVA is enabled for.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 */
bool iommu_dev_has_sva(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	bool has;

	if (!group)
		return false;
	mutex_lock(&group->mutex);
	/* What is in the group has its data still */
	has = !iommu_pasid_check_group(group, dev) && dev->iommu->iopf_param;
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return has;
}
EXPORT_SYMBOL_NS_GPL(iommu_dev_has_sva, IOMMU_USER);

static int iommu_sva_set_dev_pasid(struct iommu_domain *domain,
				   struct device *dev, ioasid_t pasid)
{
	const struct iommu_ops *ops = iommu_user_ops();
	int ret;

	/* Another driver would take the domain for its own */
	if (dev_iommu_ops(dev) != ops)
		return -EINVAL;
	ret = iommu_sva_add_pasid(domain->mm, pasid);
	if (ret)
		return ret;
	ret = iopf_add_pasid(dev, pasid);
	if (ret)
		goto err_pasid;
	ret = ops->sva_domain_ops->set_dev_pasid(domain, dev, pasid);
	if (ret)
		goto err_iopf;
	return 0;

err_iopf:
	iopf_remove_pasid(dev, pasid);
err_pasid:
	iommu_sva_remove_pasid(pasid);
	return ret;
}

static void iommu_sva_remove_dev_pasid(struct iommu_domain *domain,
				       struct device *dev, ioasid_t pasid)
{
	const struct iommu_ops *ops = iommu_user_ops();

	/* Nobody waits for the memory of the process */
	iopf_block_pasid(dev, pasid);
	ops->sva_domain_ops->remove_dev_pasid(domain, dev, pasid);
	iopf_remove_pasid(dev, pasid);
	iommu_sva_remove_pasid(pasid);
}

static void iommu_sva_domain_free(struct iommu_domain *domain)
{
	iommu_user_ops()->sva_domain_ops->free(domain);
}

/* Around those of the driver, which knows nothing of page faults */
static const struct iommu_domain_ops iommu_sva_domain_ops = {
	.set_dev_pasid = iommu_sva_set_dev_pasid,
	.remove_dev_pasid = iommu_sva_remove_dev_pasid,
	.free = iommu_sva_domain_free,
};

/**
 * iommu_domain_alloc_sva - allocate a domain of the current process's address space
 *
 * It is freed by iommu_domain_free(). The mm_struct is kept until then, the memory of
 * the process is not.
 *
 * Context: Process context, may sleep, and for the mmap_lock of the process, which
 * another thread may have for long. Memory is charged to the caller's cgroup.
 * Return: the domain; or an ERR_PTR(): -EOPNOTSUPP when the IOMMUs cannot walk page
 * tables of processes; -EINVAL for a kernel thread; -ENOSPC when the process has many
 * already; -ENOMEM; -EINTR for a fatal signal.
 */
struct iommu_domain *iommu_domain_alloc_sva(void)
{
	const struct iommu_ops *ops = iommu_user_ops();
	struct iommu_domain *domain;

	if (!ops || !ops->domain_alloc_sva)
		return ERR_PTR(-EOPNOTSUPP);
	domain = ops->domain_alloc_sva(current->mm);
	if (IS_ERR(domain))
		return domain;
	domain->type = IOMMU_DOMAIN_SVA;
	domain->ops = &iommu_sva_domain_ops;
	domain->mm = current->mm;
	return domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_alloc_sva, IOMMU_USER);
