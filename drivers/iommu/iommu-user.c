// SPDX-License-Identifier: GPL-2.0
/*
 * IOMMU core: domains whose mappings a process makes
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>

#include "iommu-user.h"

static const struct iommu_ops *iommu_user_ops(void)
{
#ifdef CONFIG_PCI
	/* Only PCI devices have PASIDs that the core attaches */
	return pci_bus_type.iommu_ops;
#else
	return NULL;
#endif
}

/**
 * iommu_domain_alloc_user - allocate a domain that a process maps its memory in
 * @flags: must be 0
 *
 * What it can do does not depend on the devices that are attached to it; they are
 * refused if their IOMMU can do less. It is freed by iommu_domain_free().
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: the domain; or an ERR_PTR(): -EOPNOTSUPP when the IOMMUs cannot have one;
 * -ENOMEM.
 */
struct iommu_domain *iommu_domain_alloc_user(u32 flags)
{
	const struct iommu_ops *ops = iommu_user_ops();
	struct iommu_domain *domain;

	if (!ops || !ops->domain_alloc_user)
		return ERR_PTR(-EOPNOTSUPP);
	domain = ops->domain_alloc_user(flags);
	if (IS_ERR(domain))
		return domain;
	domain->type = IOMMU_DOMAIN_UNMANAGED;
	domain->ops = ops->default_domain_ops;
	return domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_alloc_user, IOMMU_USER);

/**
 * iommu_iova_to_run - where a range is in memory, and how far it is contiguous
 * @domain: the domain
 * @iova: first address for devices, aligned to a page
 * @max: bytes that are asked for, whole pages
 * @len: set to the number of bytes behind @iova that are contiguous, as far as is told
 *	 in one step, @max at most; to 0 if @iova is not mapped
 *
 * Context: Any. Nobody changes the range meanwhile.
 * Return: the first address in memory.
 */
phys_addr_t iommu_iova_to_run(struct iommu_domain *domain, dma_addr_t iova,
			      size_t max, size_t *len)
{
	phys_addr_t phys;

	if (domain->ops->iova_to_run)
		return domain->ops->iova_to_run(domain, iova, max, len);
	phys = domain->ops->iova_to_phys(domain, iova);
	*len = 0;
	if (!phys)
		return 0;
	while (*len < max &&
	       domain->ops->iova_to_phys(domain, iova + *len) == phys + *len)
		*len += PAGE_SIZE;
	return phys;
}
EXPORT_SYMBOL_NS_GPL(iommu_iova_to_run, IOMMU_USER);
