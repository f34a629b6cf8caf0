// SPDX-License-Identifier: GPL-2.0
/*
 * Domains whose mappings a process makes
 *
 * It maps before it knows which devices will be attached, and keeps what it has
 * mapped when others come. So a domain of a user is complete from the beginning:
 * it has the levels, the page sizes and the coherency that all IOMMUs with PASIDs
 * have in common, and none of them changes. An IOMMU that cannot walk its
 * tables, as it was plugged in later, is refused (domain_fit_iommu()).
 *
 * There is no lock here: one caller at a time changes a range, which is why it can
 * be read back without one, too.
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <linux/dmar.h>
#include <linux/iommu.h>
#include <linux/rcupdate.h>

#include "iommu.h"
#include "pasid.h"

/**
 * struct user_domain_caps - what all IOMMUs have in common
 * @agaw: levels of second-level tables, as dmar_domain.agaw
 * @width: of addresses, in bits
 * @snoops: whether each can be told to snoop caches whatever the request says
 * @nests: whether each can walk a page table of a user on top of one of the kernel
 */
struct user_domain_caps {
	int agaw;
	int width;
	bool snoops;
	bool nests;
};

/* False without an IOMMU that has PASIDs */
static bool user_domain_common_caps(struct user_domain_caps *caps)
{
	static const struct iommu_nested_config smallest = { .width = 48 };
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;
	bool found = false;

	*caps = (struct user_domain_caps) {
		.agaw = INT_MAX,
		.width = MAX_AGAW_WIDTH,
		.snoops = true,
		.nests = true,
	};
	rcu_read_lock();
	for_each_active_iommu(iommu, drhd) {
		/* Behind others no device has PASIDs */
		if (!pasid_supported(iommu))
			continue;
		found = true;
		caps->agaw = min(caps->agaw, iommu->agaw);
		caps->width = min_t(int, caps->width, cap_mgaw(iommu->cap));
		caps->snoops &= ecap_sc_support(iommu->ecap);
		caps->nests &= intel_nested_fits(iommu, &smallest);
	}
	rcu_read_unlock();
	if (found)
		caps->width = min(caps->width, agaw_to_width(caps->agaw));
	return found;
}

/**
 * intel_iommu_domain_alloc_user - allocate a domain for a user
 * @flags: IOMMU_USER_NEST_PARENT: it can be the parent of page tables of users
 *
 * Second-level tables if all IOMMUs have them: they reach every address below the
 * limit, and can be a parent.
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: the domain; or an ERR_PTR(): -EOPNOTSUPP when no IOMMU has PASIDs, or one that
 * has cannot do what the flags say; -ENOMEM.
 */
struct iommu_domain *intel_iommu_domain_alloc_user(u32 flags)
{
	struct dmar_domain *dmar_domain;
	struct user_domain_caps caps;
	struct iommu_domain *domain;

	if (flags & ~IOMMU_USER_NEST_PARENT || !user_domain_common_caps(&caps) ||
	    (flags & IOMMU_USER_NEST_PARENT && !caps.nests))
		return ERR_PTR(-EOPNOTSUPP);

	dmar_domain = alloc_domain(IOMMU_DOMAIN_UNMANAGED);
	if (!dmar_domain)
		return ERR_PTR(-ENOMEM);
	if (md_domain_init(dmar_domain, agaw_to_width(caps.agaw),
			   GFP_KERNEL_ACCOUNT)) {
		domain_exit(dmar_domain);
		return ERR_PTR(-ENOMEM);
	}
	dmar_domain->gaw = caps.width;
	domain_update_iommu_cap(dmar_domain);
	dmar_domain->flags |= DOMAIN_FLAG_USER;
	if (flags & IOMMU_USER_NEST_PARENT)
		dmar_domain->flags |= DOMAIN_FLAG_NEST_PARENT;

	domain = &dmar_domain->domain;
	domain->pgsize_bitmap |= SZ_4K;
	domain->geometry.aperture_start = 0;
	domain->geometry.force_aperture = true;
	if (caps.snoops)
		intel_iommu_ops.default_domain_ops->enforce_cache_coherency(domain);
	return domain;
}

/**
 * intel_iommu_iova_to_runs - where a range is in memory
 * @domain: the domain
 * @iova: first address, aligned to a page
 * @max: number of bytes, whole pages
 * @runs: set to the contiguous pieces
 * @nr: how many there is room for
 * @page: set to the size of the pages of the table that they are made of
 *
 * Walks the table once, and then goes from entry to entry to the end of the last level,
 * or to one of another size.
 *
 * Context: Any. Nobody changes the range meanwhile.
 * Return: how many were found; 0 if @iova is not mapped.
 */
unsigned int intel_iommu_iova_to_runs(struct iommu_domain *domain,
				      dma_addr_t iova, size_t max,
				      struct iommu_run *runs, unsigned int nr,
				      size_t *page)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct iommu_run *run = runs;
	struct dma_pte *pte, *first;
	size_t offset, part;
	phys_addr_t phys;
	int level = 0;

	/* Level 0: that of the leaf, nothing is allocated */
	first = pfn_to_dma_pte(dmar_domain, iova >> VTD_PAGE_SHIFT, &level, 0);
	if (!first || !dma_pte_present(first))
		return 0;
	*page = (size_t)1 << (VTD_PAGE_SHIFT + level_to_offset_bits(level));
	offset = iova & (*page - 1);
	run->phys = dma_pte_addr(first) + offset;
	run->size = min(*page - offset, max);
	max -= run->size;

	pte = first;
	while (max && !first_pte_in_page(++pte) && dma_pte_present(pte) &&
	       dma_pte_superpage(pte) == dma_pte_superpage(first)) {
		phys = dma_pte_addr(pte);
		part = min(*page, max);
		if (phys == run->phys + run->size) {
			run->size += part;
		} else {
			if (++run == runs + nr)
				return nr;
			run->phys = phys;
			run->size = part;
		}
		max -= part;
	}
	return run - runs + 1;
}
