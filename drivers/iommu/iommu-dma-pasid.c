// SPDX-License-Identifier: GPL-2.0
/*
 * DMA with PASID for kernel drivers
 *
 * A driver whose device tags requests with a PASID, and that wants to do DMA
 * for the kernel with it, enables one here and goes on to use the DMA API. It
 * never gets more than its requests without PASID have: bypass only when the
 * administrator made the default domain of the device an identity domain.
 *
 * Documentation/driver-api/iommu-dma-pasid.rst
 */
#include <linux/crash_dump.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/iommu-dma-pasid.h>
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "iommu-priv.h"

/**
 * struct iommu_dma_pasid - the PASID that the driver of a group's device uses
 * @domain: what it is attached to
 * @dev: the device
 * @mode: the mode in which it was enabled
 * @pasid: the PASID
 * @users: how often it was enabled
 *
 * Protected by the group's mutex.
 */
struct iommu_dma_pasid {
	struct iommu_domain *domain;
	struct device *dev;
	enum iommu_dma_pasid_mode mode;
	ioasid_t pasid;
	unsigned int users;
};

static const char * const iommu_dma_pasid_modes[] = {
	[IOMMU_DMA_PASID_BYPASS] = "bypass",
	[IOMMU_DMA_PASID_IOVA] = "iova",
	[IOMMU_DMA_PASID_KVA] = "kva",
};

static int iommu_dma_pasid_refuse(struct device *dev,
				  enum iommu_dma_pasid_mode mode, int err,
				  const char *why)
{
	dev_warn_ratelimited(dev, "no DMA with PASID in mode %s: %s (%d)\n",
			     iommu_dma_pasid_modes[mode], why, err);
	return err;
}

/*
 * One PASID outside of the number space of the IOASID core serves all devices:
 * PASID tables are per device. With a custom allocator all numbers are those
 * of the host, which has to be asked.
 */
static int iommu_dma_pasid_get_number(struct device *dev, ioasid_t *pasid)
{
	ioasid_t limit = iommu_pasid_limit(dev);

	if (!ioasid_has_allocator()) {
		*pasid = IOASID_DMA_PASID;
		return 0;
	}
	if (limit <= IOASID_ALLOC_BASE)
		return -ENOSPC;
	return ioasid_alloc(iommu_host_pasid_set(), IOASID_ALLOC_BASE,
			    limit - 1, NULL, pasid);
}

static void iommu_dma_pasid_put_number(ioasid_t pasid)
{
	if (pasid != IOASID_DMA_PASID)
		ioasid_free(iommu_host_pasid_set(), pasid);
}

static void iommu_dma_pasid_remove(struct iommu_group *group)
{
	struct iommu_dma_pasid *dp = group->dma_pasid;

	lockdep_assert_held(&group->mutex);
	iommu_group_detach_pasid(group, dp->domain, dp->dev, dp->pasid);
	iommu_dma_pasid_put_number(dp->pasid);
	group->dma_pasid = NULL;
	kfree(dp);
	/* Of iommu_dma_pasid_add() */
	group->owner_cnt--;
}

static int iommu_dma_pasid_add(struct iommu_group *group, struct device *dev,
			       enum iommu_dma_pasid_mode mode)
{
	struct iommu_dma_pasid *dp;
	ioasid_t pasid;
	int ret;

	lockdep_assert_held(&group->mutex);
	if (iommu_pasid_limit(dev) <= IOASID_DMA_PASID)
		return iommu_dma_pasid_refuse(dev, mode, -ENODEV,
					      "the device has no PASID");
	if (group->owner || group->domain != group->default_domain)
		return iommu_dma_pasid_refuse(dev, mode, -EBUSY,
					      "user space owns the device");
	if (!group->default_domain)
		return iommu_dma_pasid_refuse(dev, mode, -ENODEV,
					      "the device has no default domain");
	if (mode == IOMMU_DMA_PASID_BYPASS) {
		if (to_pci_dev(dev)->untrusted)
			return iommu_dma_pasid_refuse(dev, mode, -EPERM,
						      "the device is not trusted");
		if (group->default_domain->type != IOMMU_DOMAIN_IDENTITY)
			return iommu_dma_pasid_refuse(dev, mode, -EPERM,
						      "the default domain is no identity domain");
	}
	ret = iommu_pasid_check_group(group, dev);
	if (ret)
		return iommu_dma_pasid_refuse(dev, mode, ret,
					      "the device shares its group or its path to the IOMMU");

	dp = kzalloc(sizeof(*dp), GFP_KERNEL);
	if (!dp)
		return -ENOMEM;

	ret = iommu_dma_pasid_get_number(dev, &pasid);
	if (ret) {
		kfree(dp);
		return iommu_dma_pasid_refuse(dev, mode, ret, "no PASID is free");
	}

	ret = iommu_group_attach_pasid(group, group->default_domain, dev, pasid,
				       iommu_dma_pasid_modes[mode], NULL);
	if (ret) {
		iommu_dma_pasid_put_number(pasid);
		kfree(dp);
		return iommu_dma_pasid_refuse(dev, mode, ret,
					      "the IOMMU cannot attach it");
	}

	dp->domain = group->default_domain;
	dp->dev = dev;
	dp->mode = mode;
	dp->pasid = pasid;
	dp->users = 1;
	group->dma_pasid = dp;
	/* User space cannot claim the device while the kernel does DMA. */
	group->owner_cnt++;
	dev_info(dev, "DMA with PASID %u in mode %s, %s domain\n", pasid,
		 iommu_dma_pasid_modes[mode],
		 iommu_domain_type_str(dp->domain->type));
	return pasid;
}

/**
 * iommu_dma_pasid_enable - let a device do DMA for the kernel with a PASID
 * @dev: a PCI device, bound to the caller's driver
 * @domain: %NULL for the modes %IOMMU_DMA_PASID_BYPASS and
 *	    %IOMMU_DMA_PASID_IOVA
 * @mode: which addresses @dev will use
 *
 * In the mode %IOMMU_DMA_PASID_IOVA everything that was and will be mapped for
 * @dev by the DMA API is reachable with the PASID, and nothing else. With an
 * identity default domain those addresses are physical ones, as they are
 * without PASID. %IOMMU_DMA_PASID_BYPASS insists on that.
 *
 * Neither mode needs privileged requests of the device.
 *
 * Enabling the same mode again counts, and returns the same PASID. As long as
 * it is enabled, user space cannot claim the device (VFIO) nor the administrator
 * change its default domain.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 * Return: the PASID (> 0), or
 *
 * * -EINVAL: no such mode, @domain is not what @mode wants, or the device
 *   shares its group or its path to the IOMMU with another one;
 * * -ENODEV: the device has no IOMMU, no PASIDs or no default domain;
 * * -EPERM: %IOMMU_DMA_PASID_BYPASS for a device whose default domain is no
 *   identity domain, or that is not trusted;
 * * -EBUSY: user space owns the device, or another mode is enabled;
 * * -EOPNOTSUPP: the IOMMU or its driver cannot do it, %IOMMU_DMA_PASID_KVA, or
 *   this is a kdump kernel;
 * * -ENOSPC: no PASID or no domain id is free;
 * * -ENOMEM.
 *
 * Each but -ENOMEM is explained in the log.
 */
int iommu_dma_pasid_enable(struct device *dev, struct iommu_domain **domain,
			   enum iommu_dma_pasid_mode mode)
{
	struct iommu_dma_pasid *dp;
	struct iommu_group *group;
	int ret;

	if ((unsigned int)mode >= ARRAY_SIZE(iommu_dma_pasid_modes)) {
		dev_warn_ratelimited(dev, "no DMA with PASID: no mode %d (%d)\n",
				     mode, -EINVAL);
		return -EINVAL;
	}
	if (mode == IOMMU_DMA_PASID_KVA)
		return iommu_dma_pasid_refuse(dev, mode, -EOPNOTSUPP,
					      "not supported");
	if (domain)
		return iommu_dma_pasid_refuse(dev, mode, -EINVAL,
					      "this mode has no domain");
	/*
	 * A kdump kernel goes on with the PASID tables of the one that crashed,
	 * until the driver of each device has reset it.
	 */
	if (is_kdump_kernel())
		return iommu_dma_pasid_refuse(dev, mode, -EOPNOTSUPP,
					      "this is a kdump kernel");

	group = iommu_group_get(dev);
	if (!group || !dev_is_pci(dev)) {
		iommu_group_put(group);
		return iommu_dma_pasid_refuse(dev, mode, -ENODEV,
					      "no PCI device behind an IOMMU");
	}

	mutex_lock(&group->mutex);
	dp = group->dma_pasid;
	if (!dp) {
		ret = iommu_dma_pasid_add(group, dev, mode);
	} else if (dp->mode != mode) {
		ret = iommu_dma_pasid_refuse(dev, mode, -EBUSY,
					     "another mode is enabled");
	} else {
		dp->users++;
		ret = dp->pasid;
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);

	return ret;
}
EXPORT_SYMBOL_GPL(iommu_dma_pasid_enable);

/**
 * iommu_dma_pasid_disable - stop DMA with a PASID
 * @dev: the device, which sends no more requests with the PASID
 * @domain: as given to iommu_dma_pasid_enable()
 * @mode: as given to iommu_dma_pasid_enable()
 *
 * To be called as often as iommu_dma_pasid_enable() succeeded. After the last
 * time requests with the PASID are refused.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 * Return: 0; -EINVAL when it is not enabled like this.
 */
int iommu_dma_pasid_disable(struct device *dev, struct iommu_domain **domain,
			    enum iommu_dma_pasid_mode mode)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommu_dma_pasid *dp;
	int ret = 0;

	if (!group)
		return -EINVAL;

	mutex_lock(&group->mutex);
	dp = group->dma_pasid;
	if (!dp || dp->dev != dev || dp->mode != mode || domain)
		ret = -EINVAL;
	else if (!--dp->users)
		iommu_dma_pasid_remove(group);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);

	if (ret)
		dev_warn_ratelimited(dev, "DMA with PASID disabled in mode %d, in which it is not enabled (%d)\n",
				     mode, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_dma_pasid_disable);

/**
 * iommu_dma_pasid_is_priv - does a PASID need privileged requests?
 * @dev: the device
 * @pasid: a PASID from iommu_dma_pasid_enable()
 *
 * Return: true when the device has to set Privileged Mode Requested in its
 * requests with @pasid (PCIe 6.0, 6.20.2.3). None of today's modes needs it.
 */
bool iommu_dma_pasid_is_priv(struct device *dev, ioasid_t pasid)
{
	return false;
}
EXPORT_SYMBOL_GPL(iommu_dma_pasid_is_priv);

/**
 * iommu_dma_pasid_abandon - disable what a driver has left enabled
 * @group: the group of @dev, locked
 * @dev: the device that its driver, or the bus, is done with
 */
void iommu_dma_pasid_abandon(struct iommu_group *group, struct device *dev)
{
	struct iommu_dma_pasid *dp = group->dma_pasid;

	if (!dp || dp->dev != dev)
		return;
	dev_warn(dev, "DMA with PASID %u in mode %s was left enabled: disabled\n",
		 dp->pasid, iommu_dma_pasid_modes[dp->mode]);
	iommu_dma_pasid_remove(group);
}
