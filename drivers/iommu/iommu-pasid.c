// SPDX-License-Identifier: GPL-2.0
/*
 * IOMMU core: domains attached to PASIDs of a device
 *
 * The requests without PASID of a device, those of its requester id (RID), go
 * to the domain of its group. Here are the requests with PASID: each PASID of
 * a device can have a domain of its own, or share one with others.
 *
 * An attachment holds a reference to its IOASID, so that the number is not
 * allocated again while a PASID table names it. When the IOASID is freed
 * nonetheless, by its set's owner, the attachment is taken apart from the
 * workqueue of the IOASID core, and the reference goes with it.
 *
 * Lock order: group->mutex, then iommu_pasid_lock, then those of a sink of faults.
 */
#define pr_fmt(fmt) "iommu: " fmt

#include <kunit/visibility.h>
#include <linux/debugfs.h>
#include <linux/hashtable.h>
#include <linux/init.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/jhash.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/threads.h>
#include <linux/workqueue.h>

#include "iommu-pasid-fault.h"
#include "iommu-priv.h"

#define CREATE_TRACE_POINTS
#include <trace/events/iommu_pasid.h>

/**
 * struct group_pasid - a domain attached to a PASID of a device
 * @domain: the domain
 * @dev: the device, the only one of @group
 * @group: its group, whose pasid_array this is in
 * @pasid: the PASID
 * @mode: what for, as debugfs shows it
 * @sink: who is told of faults; NULL, then the log is
 * @hash: in iommu_pasids by @pasid
 * @free: in iommu_pasids_freed, or empty
 * @freed: the IOASID is being freed, under iommu_pasid_lock
 */
struct group_pasid {
	struct iommu_domain *domain;
	struct device *dev;
	struct iommu_group *group;
	ioasid_t pasid;
	const char *mode;
	struct iommu_fault_sink *sink;
	struct hlist_node hash;
	struct list_head free;
	bool freed;
};

/* Protects the hash, the list, and the fields by which entries are in them */
static DEFINE_SPINLOCK(iommu_pasid_lock);
static DEFINE_HASHTABLE(iommu_pasids, 10);
/* User space chooses PASIDs, but not which of them are together in the hash */
static u32 iommu_pasid_secret __ro_after_init;
/* Attachments that have a sink */
static atomic_t iommu_pasid_sinks;
/* Entries whose IOASID is being freed, for iommu_pasid_free_work */
static LIST_HEAD(iommu_pasids_freed);

/* PASIDs of the kernel that come from the IOASID core */
static struct ioasid_set *iommu_host_pasids;

/* Numbers below are not of the IOASID core: nobody can free them */
static bool pasid_is_counted(ioasid_t pasid)
{
	return pasid >= IOASID_ALLOC_BASE;
}

/* NULL for a bond with a process, too: its domain is none of the core's */
static struct group_pasid *entry_group_pasid(void *entry)
{
	return xa_pointer_tag(entry) == IOMMU_PASID_BOND ? NULL : entry;
}

static u32 iommu_pasid_key(ioasid_t pasid)
{
	return jhash_1word(pasid, iommu_pasid_secret);
}

static struct device *iommu_group_only_device(struct iommu_group *group)
{
	lockdep_assert_held(&group->mutex);
	if (!list_is_singular(&group->devices))
		return NULL;
	return list_first_entry(&group->devices, struct group_device, list)->dev;
}

/*
 * The kernel takes one for each device that does DMA with PASID, and only in a
 * guest whose hypervisor hands them out; tasks take one for each process. Few
 * are enough then, but for machines that have room.
 */
static u32 __init iommu_kernel_share(u32 ids)
{
	return min_t(u32, PID_MAX_DEFAULT, DIV_ROUND_UP(ids, 8));
}

/**
 * iommu_install_pasids - announce how many PASIDs the IOMMUs have
 * @limit: PASIDs are smaller than this
 *
 * For the driver of the IOMMUs, at boot, with the limit of the IOMMU that has
 * the fewest. Sets aside the kernel's share, so that tasks cannot take all.
 */
void __init iommu_install_pasids(ioasid_t limit)
{
	u32 ids = limit > IOASID_ALLOC_BASE ? limit - IOASID_ALLOC_BASE : 0;
	struct ioasid_set *set;

	ioasid_install_capacity(ids);
	set = ioasid_set_alloc(NULL, iommu_kernel_share(ids),
			       IOASID_SET_TYPE_NULL);
	if (IS_ERR(set))
		pr_err("no PASIDs for the kernel: %ld\n", PTR_ERR(set));
	else
		iommu_host_pasids = set;
}

/**
 * iommu_host_pasid_set - the set of the kernel's own PASIDs
 *
 * Return: the set; NULL when no IOMMU has PASIDs.
 */
struct ioasid_set *iommu_host_pasid_set(void)
{
	return iommu_host_pasids;
}

/**
 * iommu_pasid_limit - number of PASIDs that a device can use
 * @dev: the device
 *
 * Return: PASIDs are smaller than this; 0 when @dev has none.
 */
ioasid_t iommu_pasid_limit(struct device *dev)
{
	int max;

	if (!dev_is_pci(dev))
		return 0;
	max = pci_max_pasids(to_pci_dev(dev));
	return max > 0 ? max : 0;
}
EXPORT_SYMBOL_NS_GPL(iommu_pasid_limit, IOMMU_USER);

/**
 * iommu_pasid_check_group - can the PASIDs of a device be distinguished from others'?
 * @group: the group, locked
 * @dev: a device of it
 *
 * A request with PASID is routed by its address as any other one. Unless all
 * switches above send it to the IOMMU (PCIe ACS), a peer may take it for a
 * request to itself: an I/O virtual address can be any number.
 *
 * Return: 0; -EINVAL when @dev is not alone in @group or not isolated.
 */
int iommu_pasid_check_group(struct iommu_group *group, struct device *dev)
{
	if (iommu_group_only_device(group) != dev)
		return -EINVAL;
	if (dev_is_pci(dev) &&
	    !pci_acs_path_enabled(to_pci_dev(dev), NULL, PCI_ACS_RR | PCI_ACS_UF))
		return -EINVAL;
	return 0;
}

/**
 * iommu_group_attach_pasid - attach a domain to a PASID of a locked group
 * @group: the group of @dev, locked
 * @domain: the domain
 * @dev: the device
 * @pasid: the PASID
 * @mode: what for, as debugfs shows it; a constant
 * @sink: who is told of faults, until @pasid is detached; NULL, then the log is
 *
 * Return: as iommu_attach_device_pasid().
 */
int iommu_group_attach_pasid(struct iommu_group *group,
			     struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid, const char *mode,
			     struct iommu_fault_sink *sink)
{
	struct iommu_domain *of;
	struct group_pasid *gp;
	unsigned long flags;
	int ret;

	lockdep_assert_held(&group->mutex);
	if (!dev->iommu || !dev->iommu->iommu_dev)
		return -ENODEV;
	/* Operations of drivers take the domain, and the device, for their own. */
	of = domain->type == IOMMU_DOMAIN_NESTED ? domain->parent : domain;
	if (of->type != IOMMU_DOMAIN_SVA &&
	    of->ops != dev_iommu_ops(dev)->default_domain_ops)
		return -EINVAL;
	if (!domain->ops->set_dev_pasid || !domain->ops->remove_dev_pasid)
		return -EOPNOTSUPP;
	if (!pasid || pasid >= iommu_pasid_limit(dev))
		return -EINVAL;
	ret = iommu_pasid_check_group(group, dev);
	if (ret)
		return ret;

	gp = kzalloc(sizeof(*gp), GFP_KERNEL_ACCOUNT);
	if (!gp)
		return -ENOMEM;
	gp->domain = domain;
	gp->dev = dev;
	gp->group = group;
	gp->pasid = pasid;
	gp->mode = mode;
	gp->sink = sink;
	INIT_LIST_HEAD(&gp->free);
	atomic_add(!!sink, &iommu_pasid_sinks);

	ret = xa_insert(&group->pasid_array, pasid, gp, GFP_KERNEL);
	if (ret)
		goto err_free;

	/* Before ioasid_use(), or a FREE in between would find nothing. */
	spin_lock_irqsave(&iommu_pasid_lock, flags);
	hash_add(iommu_pasids, &gp->hash, iommu_pasid_key(pasid));
	spin_unlock_irqrestore(&iommu_pasid_lock, flags);

	if (pasid_is_counted(pasid)) {
		ret = ioasid_use(NULL, pasid);
		if (ret)
			goto err_remove;
	}

	ret = domain->ops->set_dev_pasid(domain, dev, pasid);
	if (ret)
		goto err_unuse;

	trace_iommu_pasid_attach(dev, pasid, domain->type, mode);
	return 0;

err_unuse:
	if (pasid_is_counted(pasid))
		ioasid_unuse(NULL, pasid);
err_remove:
	spin_lock_irqsave(&iommu_pasid_lock, flags);
	hash_del(&gp->hash);
	list_del(&gp->free);
	spin_unlock_irqrestore(&iommu_pasid_lock, flags);
	xa_erase(&group->pasid_array, pasid);
err_free:
	atomic_sub(!!sink, &iommu_pasid_sinks);
	kfree(gp);
	return ret;
}

static void iommu_group_remove_pasid(struct group_pasid *gp)
{
	struct iommu_group *group = gp->group;
	unsigned long flags;

	lockdep_assert_held(&group->mutex);
	gp->domain->ops->remove_dev_pasid(gp->domain, gp->dev, gp->pasid);
	trace_iommu_pasid_detach(gp->dev, gp->pasid, gp->domain->type, gp->mode);

	spin_lock_irqsave(&iommu_pasid_lock, flags);
	hash_del(&gp->hash);
	list_del(&gp->free);
	spin_unlock_irqrestore(&iommu_pasid_lock, flags);
	xa_erase(&group->pasid_array, gp->pasid);

	if (pasid_is_counted(gp->pasid))
		ioasid_unuse(NULL, gp->pasid);
	atomic_sub(!!gp->sink, &iommu_pasid_sinks);
	kfree(gp);
}

/**
 * iommu_group_detach_pasid - detach a domain from a PASID of a locked group
 * @group: the group of @dev, locked
 * @domain: the domain
 * @dev: the device
 * @pasid: the PASID
 *
 * Does nothing when they are not attached.
 */
void iommu_group_detach_pasid(struct iommu_group *group,
			      struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid)
{
	struct group_pasid *gp;

	gp = entry_group_pasid(xa_load(&group->pasid_array, pasid));
	if (gp && gp->dev == dev && gp->domain == domain)
		iommu_group_remove_pasid(gp);
}

/**
 * iommu_attach_pasid_sink - attach a domain to a PASID of a device, with a sink
 * @domain: the domain, which must not be freed while it is attached
 * @dev: the device
 * @pasid: the PASID
 * @mode: what for, as debugfs shows it; a constant
 * @sink: who is told of faults, also while it is attached; NULL, then the log is
 *
 * Of @sink nothing is used any more when @pasid was detached.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 * Return: as iommu_attach_device_pasid().
 */
int iommu_attach_pasid_sink(struct iommu_domain *domain, struct device *dev,
			    ioasid_t pasid, const char *mode,
			    struct iommu_fault_sink *sink)
{
	struct iommu_group *group = iommu_group_get(dev);
	int ret;

	if (!group)
		return -ENODEV;

	mutex_lock(&group->mutex);
	ret = iommu_group_attach_pasid(group, domain, dev, pasid, mode, sink);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);

	return ret;
}
EXPORT_SYMBOL_NS_GPL(iommu_attach_pasid_sink, IOMMU_USER);

/**
 * iommu_attach_device_pasid - attach a domain to a PASID of a device
 * @domain: the domain, which must not be freed while it is attached
 * @dev: the device
 * @pasid: the PASID, allocated from an IOASID set by the caller
 *
 * From now on the requests of @dev that carry @pasid are translated by @domain.
 * One domain can have any number of PASIDs and RIDs, of devices that one driver
 * of IOMMUs serves; an IOMMU refuses a domain that it cannot walk as it is.
 *
 * Freeing @pasid detaches it, some time later, from a workqueue; the number is
 * not allocated again before that.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 * Return: 0; -ENODEV when @dev has no group or no IOMMU; -EINVAL when @domain
 * is of another driver, or in use and not for this IOMMU; when @pasid is 0 or
 * larger than @dev can send, or no allocated IOASID; or when the device shares
 * its group or its path to the IOMMU with others; -EBUSY when @pasid is in use
 * for @dev already or is being freed; -EOPNOTSUPP when the IOMMU or its driver
 * cannot do it; -ENOSPC when the IOMMU has no domain id left; -ENOMEM.
 */
int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid)
{
	return iommu_attach_pasid_sink(domain, dev, pasid, "attached", NULL);
}
EXPORT_SYMBOL_GPL(iommu_attach_device_pasid);

/**
 * iommu_detach_device_pasid - detach a domain from a PASID of a device
 * @domain: the domain
 * @dev: the device, which sends no more requests with @pasid
 * @pasid: the PASID
 *
 * When this returns, requests with @pasid are refused and the IOMMU holds
 * nothing of @domain for it, page requests included.
 *
 * Does nothing when they are not attached, as when @pasid was freed or @dev
 * unplugged in the meantime.
 *
 * Context: Process context, may sleep. Takes the group's mutex.
 */
void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev,
			       ioasid_t pasid)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;

	mutex_lock(&group->mutex);
	iommu_group_detach_pasid(group, domain, dev, pasid);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_detach_device_pasid);

static bool is_pci_requester(struct device *dev, int segment, u16 rid)
{
	struct pci_dev *pdev;

	if (!dev_is_pci(dev))
		return false;
	pdev = to_pci_dev(dev);
	return pci_domain_nr(pdev->bus) == segment && pci_dev_id(pdev) == rid;
}

/**
 * iommu_pasid_faults_wanted - is there anybody to be told of faults?
 *
 * Context: Any.
 */
bool iommu_pasid_faults_wanted(void)
{
	return atomic_read(&iommu_pasid_sinks);
}

/**
 * iommu_report_pasid_fault - tell who attached a PASID that a request was refused
 * @segment: PCI segment of the requester
 * @rid: its requester id
 * @pasid: the PASID
 * @fault: the request
 *
 * For the driver of the IOMMU, before it says anything in the log: a device of user
 * space can cause any number of faults.
 *
 * Context: Any but NMI.
 * Return: true when somebody was told.
 */
bool iommu_report_pasid_fault(int segment, u16 rid, ioasid_t pasid,
			      const struct iommu_pasid_fault *fault)
{
	struct group_pasid *gp;
	unsigned long flags;
	bool told = false;

	spin_lock_irqsave(&iommu_pasid_lock, flags);
	hash_for_each_possible(iommu_pasids, gp, hash, iommu_pasid_key(pasid)) {
		if (gp->pasid != pasid || !gp->sink ||
		    !is_pci_requester(gp->dev, segment, rid))
			continue;
		told = gp->sink->report(gp->sink, fault);
		break;
	}
	spin_unlock_irqrestore(&iommu_pasid_lock, flags);
	return told;
}

/**
 * iommu_group_detach_leftovers - detach all PASIDs of a device
 * @group: the group of @dev, locked
 * @dev: the device that its driver, or the bus, is done with
 *
 * Its driver should have done so. The tables behind a leftover may be freed
 * next, so do not leave that to chance.
 */
void iommu_group_detach_leftovers(struct iommu_group *group, struct device *dev)
{
	struct group_pasid *gp;
	unsigned long pasid;
	void *entry;

	lockdep_assert_held(&group->mutex);
	iommu_dma_pasid_abandon(group, dev);
	xa_for_each(&group->pasid_array, pasid, entry) {
		gp = entry_group_pasid(entry);
		if (!gp || gp->dev != dev)
			continue;
		dev_warn(dev, "PASID %lu (%s) was left attached: detached\n",
			 pasid, gp->mode);
		iommu_group_remove_pasid(gp);
	}
}

/**
 * iommu_pasid_release_device - detach all PASIDs of a device that goes away
 * @dev: the device, before its IOMMU driver forgets it
 */
void iommu_pasid_release_device(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;

	mutex_lock(&group->mutex);
	iommu_group_detach_leftovers(group, dev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

static void iommu_pasid_free_work_fn(struct work_struct *work)
{
	struct iommu_group *group;
	struct group_pasid *gp;
	ioasid_t pasid;

	spin_lock_irq(&iommu_pasid_lock);
	while ((gp = list_first_entry_or_null(&iommu_pasids_freed,
					      struct group_pasid, free))) {
		list_del_init(&gp->free);
		pasid = gp->pasid;
		/* While @gp is in the list, its device is in the group. */
		group = iommu_group_ref_get(gp->group);
		spin_unlock_irq(&iommu_pasid_lock);

		/* @gp may be freed, and the number taken by another one. */
		mutex_lock(&group->mutex);
		gp = entry_group_pasid(xa_load(&group->pasid_array, pasid));
		if (gp && gp->freed)
			iommu_group_remove_pasid(gp);
		mutex_unlock(&group->mutex);
		iommu_group_put(group);

		spin_lock_irq(&iommu_pasid_lock);
	}
	spin_unlock_irq(&iommu_pasid_lock);
}

static DECLARE_WORK(iommu_pasid_free_work, iommu_pasid_free_work_fn);

/* Called in any context: only notes what has to be detached */
static int iommu_pasid_notify(struct notifier_block *nb, unsigned long event,
			      void *data)
{
	struct ioasid_nb_args *args = data;
	struct group_pasid *gp;
	unsigned long flags;
	bool queue = false;

	if (event != IOASID_NOTIFY_FREE)
		return NOTIFY_DONE;

	spin_lock_irqsave(&iommu_pasid_lock, flags);
	hash_for_each_possible(iommu_pasids, gp, hash, iommu_pasid_key(args->id)) {
		if (gp->pasid != args->id || gp->freed)
			continue;
		gp->freed = true;
		list_add_tail(&gp->free, &iommu_pasids_freed);
		queue = true;
	}
	spin_unlock_irqrestore(&iommu_pasid_lock, flags);

	if (!queue)
		return NOTIFY_DONE;
	ioasid_queue_work(&iommu_pasid_free_work);
	return NOTIFY_OK;
}

static struct notifier_block iommu_pasid_nb = {
	.notifier_call = iommu_pasid_notify,
	.priority = IOASID_PRIO_IOMMU,
};

static int iommu_pasids_show(struct seq_file *m, void *unused)
{
	struct group_pasid *gp;
	int bucket;

	spin_lock_irq(&iommu_pasid_lock);
	hash_for_each(iommu_pasids, bucket, gp, hash)
		seq_printf(m, "device %s pasid %u group %d domain %s mode %s%s\n",
			   dev_name(gp->dev), gp->pasid, gp->group->id,
			   iommu_domain_type_str(gp->domain->type), gp->mode,
			   gp->freed ? " being-freed" : "");
	spin_unlock_irq(&iommu_pasid_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(iommu_pasids);

static int __init iommu_pasid_init(void)
{
	int ret;

	iommu_pasid_secret = get_random_u32();
	ret = ioasid_register_notifier_in_use(&iommu_pasid_nb);
	if (ret)
		pr_err("not notified of freed PASIDs: %d\n", ret);
	debugfs_create_file("iommu_pasids", 0400, NULL, NULL, &iommu_pasids_fops);
	return 0;
}

/* After the IOASID core, before the drivers of IOMMUs */
postcore_initcall(iommu_pasid_init);
