/* SPDX-License-Identifier: GPL-2.0 */
/* For programs of the guest that claim an IOMMU group by way of VFIO, as a virtual machine monitor does */
#ifndef VFIO_GROUP_H
#define VFIO_GROUP_H

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static int container, group;

static inline int refused(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

/* The group of this number, with a container of its own; 1 and a line of output when that is refused */
static inline int claim_group(const char *number)
{
	char path[64];

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		return refused("/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	group = open(path, O_RDWR);
	if (group < 0)
		return refused(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return refused("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return refused("VFIO_SET_IOMMU");
	return 0;
}

#endif
