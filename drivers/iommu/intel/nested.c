// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of users, on top of second-level tables of the kernel
 *
 * A user has made the table, in memory that it has mapped in a domain, the parent: a
 * first-level table (VT-d 4.0, 3.6) whose addresses, of tables and of pages, are those of
 * the parent. The IOMMU has each of them translated by the second level (3.8), so that
 * what a table says, wrong as it may be, leads to memory of the parent or nowhere. The
 * kernel does not look at it.
 *
 * All tables of a parent have its domain id. Together with the PASID it names what one of
 * them leads to, as no two have the same PASID, and what is dropped of the parent by
 * domain id is dropped of all (6.5.2.3).
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <linux/dmar.h>
#include <linux/iommu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "flush.h"
#include "iommu.h"
#include "pasid.h"

static struct intel_nested *to_nested(struct iommu_domain *domain)
{
	return container_of(domain, struct intel_nested, domain);
}

/**
 * intel_nested_fits - can an IOMMU walk a page table of a user?
 * @iommu: the IOMMU
 * @config: of which kind it is
 */
bool intel_nested_fits(const struct intel_iommu *iommu,
		       const struct iommu_nested_config *config)
{
	if (!ecap_nest(iommu->ecap) || !ecap_flts(iommu->ecap) ||
	    !ecap_slts(iommu->ecap))
		return false;
	/*
	 * Without snooping, flags of entries are not set (7.1.3, SFS.9), and what a CPU has
	 * written to the table may not have come to memory.
	 */
	if (!ecap_smpwc(iommu->ecap))
		return false;
	if (config->width == 57 && !cap_fl5lp_support(iommu->cap))
		return false;
	if (config->sre && !ecap_srs(iommu->ecap))
		return false;
	return !config->eafe || ecap_eafs(iommu->ecap);
}

/**
 * intel_nested_caps - what the IOMMU of a device can do
 * @dev: the device
 * @cap: set to the capability register (VT-d 4.0, 11.4.2)
 * @ecap: set to the extended one (11.4.3)
 */
void intel_nested_caps(struct device *dev, u64 *cap, u64 *ecap)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info)
		return;
	*cap = info->iommu->cap;
	*ecap = info->iommu->ecap;
}

/* All that have PASIDs can. One that is plugged in later may not */
static bool nested_fits_all(const struct iommu_nested_config *config)
{
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;
	bool fits = true;

	rcu_read_lock();
	for_each_active_iommu(iommu, drhd)
		if (pasid_supported(iommu))
			fits &= intel_nested_fits(iommu, config);
	rcu_read_unlock();
	return fits;
}

/* In a PASID entry, bits above those of physical addresses are reserved (VT-d 4.0, 9.6) */
static int nested_root_bits(const struct dmar_domain *parent)
{
#ifdef CONFIG_X86
	return min_t(int, parent->gaw, boot_cpu_data.x86_phys_bits);
#else
	return parent->gaw;
#endif
}

static int nested_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_nested *nested = to_nested(domain);

	if (!info || !intel_nested_fits(info->iommu, &nested->config))
		return -EOPNOTSUPP;
	return domain_attach_pasid(nested->parent, dev, pasid, nested);
}

static void nested_remove_dev_pasid(struct iommu_domain *domain,
				    struct device *dev, ioasid_t pasid)
{
	domain_detach_pasid(to_nested(domain)->parent, dev, pasid);
}

/*
 * The smallest block that covers the range: one descriptor, and what else it drops is
 * loaded again.
 */
static void nested_flush_user(struct iommu_domain *domain,
			      const struct iommu_user_range *range)
{
	u64 first = range->addr >> VTD_PAGE_SHIFT;
	unsigned int order = FLUSH_ALL;
	u64 addr = 0;

	if (range->npages != U64_MAX) {
		order = fls64(first ^ (first + range->npages - 1));
		addr = range->addr & ~(((u64)VTD_PAGE_SIZE << order) - 1);
	}
	domain_flush_nested(to_nested(domain), addr, order, range->leaf);
}

static void nested_free(struct iommu_domain *domain)
{
	kfree(to_nested(domain));
}

static const struct iommu_domain_ops intel_nested_domain_ops = {
	.set_dev_pasid = nested_set_dev_pasid,
	.remove_dev_pasid = nested_remove_dev_pasid,
	.flush_user = nested_flush_user,
	.free = nested_free,
};

/**
 * intel_nested_alloc - allocate a domain of a page table of a user
 * @parent: what its addresses are of, a domain allocated with IOMMU_USER_NEST_PARENT that
 *	    is there as long as this one
 * @config: where it is, and of which kind
 *
 * Context: Process context, may sleep. Memory is charged to the caller's cgroup.
 * Return: the domain; or an ERR_PTR(): -EINVAL when the table cannot be there, or the
 * flags contradict each other; -EOPNOTSUPP when an IOMMU cannot walk it; -ENOMEM.
 */
struct iommu_domain *intel_nested_alloc(struct iommu_domain *parent,
					const struct iommu_nested_config *config)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(parent);
	struct intel_nested *nested;

	if (!(dmar_domain->flags & DOMAIN_FLAG_NEST_PARENT) ||
	    config->pgtable & ~VTD_PAGE_MASK ||
	    config->pgtable >> nested_root_bits(dmar_domain))
		return ERR_PTR(-EINVAL);
	/* Write protection is for privileged requests */
	if (config->wpe && !config->sre)
		return ERR_PTR(-EINVAL);
	if (!nested_fits_all(config))
		return ERR_PTR(-EOPNOTSUPP);

	nested = kzalloc(sizeof(*nested), GFP_KERNEL_ACCOUNT);
	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->domain.ops = &intel_nested_domain_ops;
	nested->parent = dmar_domain;
	nested->config = *config;
	return &nested->domain;
}
