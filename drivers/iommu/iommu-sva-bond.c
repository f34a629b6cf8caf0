// SPDX-License-Identifier: GPL-2.0
/*
 * IOMMU core: bonds of devices with address spaces of processes
 *
 * What iommu_sva_bind_device() returns is a bond of the core, which has that of
 * the IOMMU driver inside. It is among the PASIDs of its group, next to the
 * domains: ownership, the type of the default domain, and who cleans up behind
 * a driver are about both.
 *
 * A bond can lose its device: the device's driver is unbound, or the device
 * unplugged, and somebody has not unbound yet. The bond is dead then. Nothing
 * of it is in the IOMMU, and its PASID is free for others of the group; it only
 * waits for those who hold it.
 *
 * Lock order: group->mutex, then those of the IOMMU driver.
 */
#include <linux/device.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "iommu-priv.h"
#include "iommu-sva-lib.h"

/**
 * struct iommu_sva_bond - a process and a device
 * @sva: what those who bind get; has a reference to the device
 * @handle: the driver's, NULL when the bond is dead; under the group's mutex
 * @group: the group of the device, with a reference
 * @pasid: the index in the group's pasid_array, as long as it is not dead
 * @users: how often it was bound, and not unbound; under the group's mutex
 */
struct iommu_sva_bond {
	struct iommu_sva sva;
	struct iommu_sva *handle;
	struct iommu_group *group;
	ioasid_t pasid;
	unsigned int users;
};

static struct iommu_sva_bond *to_bond(struct iommu_sva *sva)
{
	return container_of(sva, struct iommu_sva_bond, sva);
}

static struct iommu_sva_bond *entry_bond(void *entry)
{
	return xa_pointer_tag(entry) == IOMMU_PASID_BOND ?
	       xa_untag_pointer(entry) : NULL;
}

/* The limit of a cgroup has the same error, and is reached more often */
static int iommu_sva_refuse(struct device *dev, const char *why)
{
	dev_warn_ratelimited(dev, "not bound to a process: %s (%d)\n", why,
			     -EBUSY);
	return -EBUSY;
}

static void iommu_sva_undo(struct device *dev, struct iommu_sva *handle,
			   ioasid_t pasid)
{
	iopf_block_pasid(dev, pasid);
	dev_iommu_ops(dev)->sva_unbind(handle);
	iopf_remove_pasid(dev, pasid);
}

/* One user more, of the bond that the driver has bound once more */
static struct iommu_sva_bond *iommu_sva_bond_get(struct iommu_group *group,
						 struct iommu_sva *handle,
						 ioasid_t pasid)
{
	struct iommu_sva_bond *bond;
	void *entry;
	int ret;

	entry = xa_load(&group->pasid_array, pasid);
	bond = entry_bond(entry);
	if (bond && bond->handle == handle) {
		bond->users++;
		return bond;
	}
	if (entry)
		return ERR_PTR(-EBUSY);

	bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	if (!bond)
		return ERR_PTR(-ENOMEM);
	ret = xa_insert(&group->pasid_array, pasid,
			xa_tag_pointer(bond, IOMMU_PASID_BOND), GFP_KERNEL);
	if (ret) {
		kfree(bond);
		return ERR_PTR(ret);
	}
	iommu_sva_hold_pasid(pasid);
	bond->sva.dev = get_device(handle->dev);
	bond->handle = handle;
	bond->group = iommu_group_ref_get(group);
	bond->pasid = pasid;
	bond->users = 1;
	return bond;
}

/* What keeps processes from being bound, whichever they are */
static int iommu_group_may_bind(struct iommu_group *group, struct device *dev)
{
	lockdep_assert_held(&group->mutex);
	/*
	 * To keep things simple, SVA currently doesn't support IOMMU groups
	 * with more than one device. Existing SVA-capable systems are not
	 * affected by the problems that required IOMMU groups (lack of ACS
	 * isolation, device ID aliasing and other hardware issues).
	 */
	if (!list_is_singular(&group->devices))
		return -EINVAL;
	if (group->owner)
		return iommu_sva_refuse(dev, "user space owns the device");
	return 0;
}

static struct iommu_sva_bond *iommu_group_bind(struct iommu_group *group,
					       struct device *dev,
					       unsigned int flags)
{
	struct iommu_sva_bond *bond;
	const struct iommu_ops *ops;
	struct iommu_sva *handle;
	ioasid_t pasid;
	void *entry;
	int ret;

	ret = iommu_group_may_bind(group, dev);
	if (ret)
		return ERR_PTR(ret);
	/* The device may have gone since the mutex was not held */
	if (!dev->iommu || !dev->iommu->iommu_dev)
		return ERR_PTR(-ENODEV);
	ops = dev_iommu_ops(dev);

	/* Before the driver touches what belongs to a domain */
	if (!(flags & IOMMU_SVA_BIND_SUPERVISOR) &&
	    pasid_valid(current->mm->pasid)) {
		entry = xa_load(&group->pasid_array, current->mm->pasid);
		if (entry && !entry_bond(entry))
			return ERR_PTR(iommu_sva_refuse(dev, "a domain has the PASID"));
	}

	handle = ops->sva_bind(dev, flags);
	if (IS_ERR(handle))
		return ERR_CAST(handle);
	pasid = ops->sva_get_pasid(handle);
	ret = iopf_add_pasid(dev, pasid);
	if (ret) {
		ops->sva_unbind(handle);
		return ERR_PTR(ret);
	}
	bond = iommu_sva_bond_get(group, handle, pasid);
	if (IS_ERR(bond))
		iommu_sva_undo(dev, handle, pasid);
	return bond;
}

/**
 * iommu_sva_bind_device() - Bind the address space of a process to a device
 * @dev: the device
 * @flags: 0, or IOMMU_SVA_BIND_SUPERVISOR for the address space of the kernel
 *
 * Create a bond between device and the address space of the current process,
 * allowing the device to access it using the PASID that iommu_sva_get_pasid()
 * returns. If a bond already exists between the two, it is returned and an
 * additional reference is taken. Caller must call iommu_sva_unbind_device() to
 * release each reference; any task may.
 *
 * The PASID belongs to the process, not to the bond: it is charged to the cgroup
 * of the task that binds first, and kept until the process has ended and is not
 * bound any more. A child after fork() has none, and gets its own when it binds.
 *
 * As long as there is a bond, user space cannot claim the device (VFIO), nor the
 * administrator change its default domain. When the driver of @dev is unbound
 * from it, or @dev unplugged, the bonds that are left are taken apart, with a
 * line in the log; iommu_sva_unbind_device() is still to be called for each.
 *
 * iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA) must be called first, to
 * initialize the required SVA features.
 *
 * Context: Process context, may sleep, and for the mmap_lock of the process, which
 * another thread may have for long: nothing that others wait for should be held.
 * Takes the group's mutex.
 * Return: the bond, or ERR_PTR of
 * -EINVAL: unknown @flags; no IOMMU_SVA_BIND_SUPERVISOR and the current task has
 * no address space of user space; or the device shares its group;
 * -ENODEV: the device has no IOMMU, or its driver has no SVA;
 * -EOPNOTSUPP: the hardware, or the driver, cannot do what @flags ask for;
 * -EOVERFLOW: the process has a PASID that the device cannot send;
 * -ENOSPC: all PASIDs are taken; -EBUSY: the limit of the cgroup is reached,
 * user space owns the device, or a domain is attached to the PASID for it;
 * -ENOMEM.
 */
struct iommu_sva *iommu_sva_bind_device(struct device *dev, unsigned int flags)
{
	bool user = !(flags & IOMMU_SVA_BIND_SUPERVISOR);
	struct iommu_sva_bond *bond;
	const struct iommu_ops *ops;
	struct iommu_group *group;
	int ret;

	if (flags & ~IOMMU_SVA_BIND_SUPERVISOR)
		return ERR_PTR(-EINVAL);
	if (user && !current->mm)
		return ERR_PTR(-EINVAL);

	if (!dev->iommu || !dev->iommu->iommu_dev)
		return ERR_PTR(-ENODEV);
	ops = dev_iommu_ops(dev);
	if (!ops->sva_bind)
		return ERR_PTR(-ENODEV);

	group = iommu_group_get(dev);
	if (!group)
		return ERR_PTR(-ENODEV);

	/* Before anything is charged to the process */
	mutex_lock(&group->mutex);
	ret = iommu_group_may_bind(group, dev);
	mutex_unlock(&group->mutex);
	if (!ret && user && ops->sva_prepare)
		ret = ops->sva_prepare(dev);
	if (ret) {
		iommu_group_put(group);
		return ERR_PTR(ret);
	}

	/* Ensure device count and domain don't change while we're binding */
	mutex_lock(&group->mutex);
	bond = iommu_group_bind(group, dev, flags);
	mutex_unlock(&group->mutex);
	if (user && ops->sva_finish)
		ops->sva_finish(dev);
	iommu_group_put(group);

	return IS_ERR(bond) ? ERR_CAST(bond) : &bond->sva;
}
EXPORT_SYMBOL_GPL(iommu_sva_bind_device);

/**
 * iommu_sva_unbind_device() - Remove a bond created with iommu_sva_bind_device
 * @handle: the handle returned by iommu_sva_bind_device()
 *
 * Put reference to a bond between device and address space. The device should
 * not be issuing any more transaction for this PASID. All outstanding page
 * requests for this PASID must have been flushed to the IOMMU. With the last
 * reference they are answered as invalid, without the memory being asked for.
 *
 * The device may be gone already, or another driver's.
 *
 * Context: Process context, may sleep, but not for page faults of the process.
 */
void iommu_sva_unbind_device(struct iommu_sva *handle)
{
	struct iommu_sva_bond *bond = to_bond(handle);
	struct iommu_group *group = bond->group;
	bool last;

	mutex_lock(&group->mutex);
	last = !--bond->users;
	if (bond->handle) {
		iommu_sva_undo(bond->sva.dev, bond->handle, bond->pasid);
		if (last) {
			xa_erase(&group->pasid_array, bond->pasid);
			iommu_sva_release_pasid(bond->pasid);
		}
	}
	mutex_unlock(&group->mutex);
	if (!last)
		return;

	put_device(bond->sva.dev);
	kfree(bond);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_sva_unbind_device);

/**
 * iommu_sva_get_pasid() - the PASID of a bond
 * @handle: the handle returned by iommu_sva_bind_device()
 *
 * Context: Any context.
 * Return: the PASID; IOMMU_PASID_INVALID when the device was taken from the
 * bond, as its PASID can be somebody else's then.
 */
u32 iommu_sva_get_pasid(struct iommu_sva *handle)
{
	struct iommu_sva_bond *bond = to_bond(handle);

	return READ_ONCE(bond->handle) ? bond->pasid : IOMMU_PASID_INVALID;
}
EXPORT_SYMBOL_GPL(iommu_sva_get_pasid);

/**
 * iommu_group_end_bonds - take a device from the bonds that it is left in
 * @group: the group of @dev, locked
 * @dev: the device that its driver, or the bus, is done with
 *
 * Its driver should have unbound them. The tables of the device's PASIDs may be
 * freed next, or the device given to user space.
 */
void iommu_group_end_bonds(struct iommu_group *group, struct device *dev)
{
	struct iommu_sva_bond *bond;
	unsigned long pasid;
	unsigned int i;
	void *entry;

	lockdep_assert_held(&group->mutex);
	xa_for_each(&group->pasid_array, pasid, entry) {
		bond = entry_bond(entry);
		if (!bond || bond->sva.dev != dev)
			continue;
		dev_warn(dev, "PASID %lu was left bound to a process: unbound\n",
			 pasid);
		/* As often as the driver was told to bind */
		for (i = 0; i < bond->users; i++)
			iommu_sva_undo(dev, bond->handle, bond->pasid);
		WRITE_ONCE(bond->handle, NULL);
		xa_erase(&group->pasid_array, pasid);
		iommu_sva_release_pasid(pasid);
	}
}

/**
 * iommu_sva_release_device - take a device that goes away from its bonds
 * @dev: the device, before its IOMMU driver forgets it
 */
void iommu_sva_release_device(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;

	mutex_lock(&group->mutex);
	iommu_group_end_bonds(group, dev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
