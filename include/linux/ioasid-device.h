/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices that are used through a file of theirs, and to which IOASIDs of
 * /dev/ioasid are attached
 */
#ifndef _LINUX_IOASID_DEVICE_H
#define _LINUX_IOASID_DEVICE_H

#include <linux/errno.h>
#include <linux/ioasid-types.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <uapi/linux/ioasid.h>

struct device;
struct ioasid_device;

/**
 * struct ioasid_device_ops - how a driver has its device use a PASID
 * @start: the IOMMU lets requests with the PASID through: use it for the file. Returns
 *	   0 or an error. The driver takes a reference to the IOASID, ioasid_get(), as
 *	   long as its hardware knows the number
 * @revoke: the file submits nothing any more when this returns
 * @stop: the IOMMU lets no request through, by way of this file at least: end what is
 *	  in flight, forget the PASID
 *
 * For devices whose driver places the PASID; others send what their user tells them to.
 * Of such a device, a file has one PASID at a time. In this order, each of them once;
 * @revoke and @stop also when the driver has done all that already, for reasons of its
 * own. All of them may sleep, and take locks of the driver that are not held while
 * ioasid_device_ioctl(), ioasid_device_detach_all() or ioasid_device_remove() is called.
 */
struct ioasid_device_ops {
	int (*start)(struct ioasid_device *idev, ioasid_t pasid);
	void (*revoke)(struct ioasid_device *idev);
	void (*stop)(struct ioasid_device *idev);
};

/**
 * struct ioasid_device - a device that user space has a file of
 * @dev: the device
 * @ops: what its driver does, NULL when the user of the device does it
 * @lock: serialises attaching and detaching by way of the device's file
 * @removed: nothing can be attached any more; under @lock
 * @attached: struct ioasid_attachment
 *
 * Its driver has one in its own struct: one for all files of the device or, with @ops,
 * one for each.
 */
struct ioasid_device {
	struct device *dev;
	const struct ioasid_device_ops *ops;
	/* Attaching and detaching by way of the device's file; removed */
	struct mutex lock;
	bool removed;
	struct list_head attached;
};

static inline void ioasid_device_init(struct ioasid_device *idev,
				      struct device *dev,
				      const struct ioasid_device_ops *ops)
{
	idev->dev = dev;
	idev->ops = ops;
	idev->removed = false;
	mutex_init(&idev->lock);
	INIT_LIST_HEAD(&idev->attached);
}

static inline void ioasid_device_fini(struct ioasid_device *idev)
{
	mutex_destroy(&idev->lock);
}

/* An ioctl number that is for ioasid_device_ioctl() */
static inline bool ioasid_is_device_ioctl(unsigned int cmd)
{
	return _IOC_TYPE(cmd) == IOASID_IOC_MAGIC;
}

#if IS_REACHABLE(CONFIG_IOASID_USER) && defined(CONFIG_IOASID_USER_TABLES)
long ioasid_device_ioctl(struct ioasid_device *idev, unsigned int cmd,
			 unsigned long arg);
void ioasid_device_detach_all(struct ioasid_device *idev);
void ioasid_device_remove(struct ioasid_device *idev);

/* Can IOASIDs be attached to devices with this kernel? */
static inline bool ioasid_device_supported(void)
{
	return true;
}
#else
static inline long ioasid_device_ioctl(struct ioasid_device *idev,
				       unsigned int cmd, unsigned long arg)
{
	return -ENOTTY;
}

static inline void ioasid_device_detach_all(struct ioasid_device *idev)
{
}

static inline void ioasid_device_remove(struct ioasid_device *idev)
{
}

static inline bool ioasid_device_supported(void)
{
	return false;
}
#endif

#endif /* _LINUX_IOASID_DEVICE_H */
