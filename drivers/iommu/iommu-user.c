// SPDX-License-Identifier: GPL-2.0
/*
 * IOMMU core: domains whose mappings a process makes
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>

#include "iommu-priv.h"
#include "iommu-user.h"

/**
 * iommu_user_ops - the IOMMU driver that makes domains for users
 *
 * Return: its operations; NULL when there is none.
 */
const struct iommu_ops *iommu_user_ops(void)
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
 * @flags: IOMMU_USER_NEST_PARENT: it can be the parent of page tables of users
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
 * iommu_domain_alloc_nested - allocate a domain of a page table that a user has made
 * @parent: what its addresses are of; it is there as long as the new one
 * @config: where it is, and of which kind
 *
 * It has no mappings of its own, and can be attached to PASIDs only. It is freed by
 * iommu_domain_free().
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: the domain; or an ERR_PTR(): -EINVAL when @parent was not allocated as one, or
 * @config makes no sense; -EOPNOTSUPP when an IOMMU cannot walk such a table; -ENOMEM.
 */
struct iommu_domain *
iommu_domain_alloc_nested(struct iommu_domain *parent,
			  const struct iommu_nested_config *config)
{
	struct iommu_domain *domain;

	if (!parent->ops->alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	domain = parent->ops->alloc_nested(parent, config);
	if (IS_ERR(domain))
		return domain;
	domain->type = IOMMU_DOMAIN_NESTED;
	domain->parent = parent;
	return domain;
}
EXPORT_SYMBOL_NS_GPL(iommu_domain_alloc_nested, IOMMU_USER);

/**
 * iommu_dev_nested_caps - what the IOMMU of a device can do, for who makes page tables
 * @dev: the device, which its driver has
 * @cap: set to the capability register, 0 if there is none
 * @ecap: set to the extended one, 0 if there is none
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 */
void iommu_dev_nested_caps(struct device *dev, u64 *cap, u64 *ecap)
{
	struct iommu_group *group = iommu_group_get(dev);

	*cap = 0;
	*ecap = 0;
	if (!group)
		return;
	mutex_lock(&group->mutex);
	if (!iommu_pasid_check_group(group, dev) && dev_iommu_ops(dev)->nested_caps)
		dev_iommu_ops(dev)->nested_caps(dev, cap, ecap);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_NS_GPL(iommu_dev_nested_caps, IOMMU_USER);

/**
 * iommu_flush_user - drop from caches what a user has changed in its page table
 * @domain: of iommu_domain_alloc_nested(), which nobody attaches or detaches meanwhile
 * @range: what has been changed
 *
 * Context: Process context.
 */
void iommu_flush_user(struct iommu_domain *domain,
		      const struct iommu_user_range *range)
{
	domain->ops->flush_user(domain, range);
}
EXPORT_SYMBOL_NS_GPL(iommu_flush_user, IOMMU_USER);

/**
 * iommu_iova_to_runs - where a range is in memory
 * @domain: the domain
 * @iova: first address for devices, aligned to a page
 * @max: number of bytes, whole pages
 * @runs: set to the contiguous pieces, in the order of the addresses for devices. What
 *	  is contiguous may be told in several
 * @nr: how many there is room for, 1 at least
 * @page: set to the size of the pages of the table that all of them are made of
 *
 * Context: Any. Nobody changes the range meanwhile.
 * Return: how many runs were found, which may be those of a part of the range; 0 if
 * @iova is not mapped.
 */
unsigned int iommu_iova_to_runs(struct iommu_domain *domain, dma_addr_t iova,
				size_t max, struct iommu_run *runs,
				unsigned int nr, size_t *page)
{
	if (domain->ops->iova_to_runs)
		return domain->ops->iova_to_runs(domain, iova, max, runs, nr,
						 page);
	*page = PAGE_SIZE;
	runs->phys = domain->ops->iova_to_phys(domain, iova);
	if (!runs->phys)
		return 0;
	for (runs->size = PAGE_SIZE; runs->size < max; runs->size += PAGE_SIZE)
		if (domain->ops->iova_to_phys(domain, iova + runs->size) !=
		    runs->phys + runs->size)
			break;
	return 1;
}
EXPORT_SYMBOL_NS_GPL(iommu_iova_to_runs, IOMMU_USER);
