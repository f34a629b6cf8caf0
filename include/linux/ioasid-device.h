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

/**
 * struct ioasid_device - a device that user space has a file of
 * @dev: the device
 * @lock: serialises attaching and detaching by way of the device's file
 * @attached: struct ioasid_attachment
 *
 * Its driver has one in its own struct, of which all files of the device share one.
 */
struct ioasid_device {
	struct device *dev;
	/* Attaching and detaching by way of the device's file */
	struct mutex lock;
	struct list_head attached;
};

static inline void ioasid_device_init(struct ioasid_device *idev,
				      struct device *dev)
{
	idev->dev = dev;
	mutex_init(&idev->lock);
	INIT_LIST_HEAD(&idev->attached);
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
#else
static inline long ioasid_device_ioctl(struct ioasid_device *idev,
				       unsigned int cmd, unsigned long arg)
{
	return -ENOTTY;
}

static inline void ioasid_device_detach_all(struct ioasid_device *idev)
{
}
#endif

#endif /* _LINUX_IOASID_DEVICE_H */
