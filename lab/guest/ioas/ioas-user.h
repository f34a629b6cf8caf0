/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that map memory in an IOASID of /dev/ioasid, and attach it to a device that they have from
 * VFIO: QEMU's vtd-testdev (hw/i386/vtd-testdev.c), which is asked what it reaches.
 */
#ifndef IOAS_USER_H
#define IOAS_USER_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel's, not that of the machine on which this is compiled */
#include "../../../include/uapi/linux/ioasid.h"
#include "vfio-group.h"

#define PAGE 4096ul
#define MEGA (1ul << 20)

/* include/hw/i386/vtd-testdev.h of QEMU, intel_iommu_dma.h for the flag */
enum { TD_ADDR = 0x00, TD_PASID = 0x08, TD_FLAGS = 0x10, TD_DATA = 0x18, TD_COMMAND = 0x40, TD_RESULT = 0x48 };
enum { TD_COUNT = 0x100, TD_PERIOD = 0x108, TD_STRIDE = 0x110, TD_FLIGHT_OK = 0x128, TD_FLIGHT_FAILED = 0x130 };
enum { TD_DMA = 1, TD_DMA_TLB = 4, TD_STOP = 7 };
#define TD_WRITE 1u

struct requester {
	int group, container, fd;
	int has_tlb;
	volatile uint64_t *regs;
};

static inline int open_requester(struct requester *r, const char *number, const char *name)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	/* Memory space and bus mastering */
	uint16_t command = 6;

	if (claim_group(number))
		return 1;
	r->group = group;
	r->container = container;
	r->fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (r->fd < 0)
		return refused("VFIO_GROUP_GET_DEVICE_FD");
	if (ioctl(r->fd, VFIO_DEVICE_GET_REGION_INFO, &config) || ioctl(r->fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
		return refused("VFIO_DEVICE_GET_REGION_INFO");
	if (pwrite(r->fd, &command, 2, config.offset + 4) != 2)
		return refused("the command register");
	r->regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, bar.offset);
	return r->regs == MAP_FAILED ? refused("BAR 0") : 0;
}

static inline void close_requester(struct requester *r)
{
	munmap((void *)r->regs, PAGE);
	close(r->fd);
	close(r->group);
	close(r->container);
}

/* One request of eight bytes; 0, or 1 when it is refused */
static inline int request(struct requester *r, uint32_t pasid, uint64_t addr, int command, unsigned int flags,
			  uint64_t *data)
{
	int result;

	r->regs[TD_ADDR / 8] = addr;
	r->regs[TD_PASID / 8] = pasid;
	r->regs[TD_FLAGS / 8] = flags;
	r->regs[TD_DATA / 8] = *data;
	r->regs[TD_COMMAND / 8] = command;
	result = r->regs[TD_RESULT / 8];
	*data = r->regs[TD_DATA / 8];
	return result;
}

/* Whether the device reads @want there, by way of its own cache, if it has one, and without */
static inline int reads(struct requester *r, uint32_t pasid, uint64_t addr, uint64_t want)
{
	uint64_t cached = want, direct = 0;

	if (r->has_tlb && request(r, pasid, addr, TD_DMA_TLB, 0, &cached))
		return 0;
	return cached == want && !request(r, pasid, addr, TD_DMA, 0, &direct) && direct == want;
}

static inline int is_refused(struct requester *r, uint32_t pasid, uint64_t addr)
{
	uint64_t data = 0;

	return (!r->has_tlb || request(r, pasid, addr, TD_DMA_TLB, 0, &data)) &&
	       request(r, pasid, addr, TD_DMA, 0, &data);
}

static inline int writes(struct requester *r, uint32_t pasid, uint64_t addr, uint64_t value)
{
	return !request(r, pasid, addr, r->has_tlb ? TD_DMA_TLB : TD_DMA, TD_WRITE, &value);
}

/* Writes to one address, one each @period nanoseconds, until land() */
static inline void fly(struct requester *r, uint32_t pasid, uint64_t addr, int command, uint64_t data, uint64_t period)
{
	r->regs[TD_ADDR / 8] = addr;
	r->regs[TD_PASID / 8] = pasid;
	r->regs[TD_FLAGS / 8] = TD_WRITE;
	r->regs[TD_DATA / 8] = data;
	r->regs[TD_COUNT / 8] = ~0ul;
	r->regs[TD_PERIOD / 8] = period;
	r->regs[TD_STRIDE / 8] = 0;
	r->regs[TD_COMMAND / 8] = command;
	r->regs[TD_COUNT / 8] = 0;
}

static inline void land(struct requester *r)
{
	r->regs[TD_COMMAND / 8] = TD_STOP;
}

/* These return what the ioctl does, or errno */
static inline int ioas_alloc(int fd, uint32_t *id)
{
	struct ioasid_alloc a = { .size = sizeof(a), .type = IOASID_TYPE_IOVA, .max = ~0u };
	int ret = ioctl(fd, IOASID_ALLOC, &a) ? errno : 0;

	*id = a.out_ioasid;
	return ret;
}

static inline int ioas_free(int fd, uint32_t id, int *pending)
{
	struct ioasid_free f = { .size = sizeof(f), .ioasid = id };
	int ret = ioctl(fd, IOASID_FREE, &f) ? errno : 0;

	if (pending)
		*pending = f.out_pending;
	return ret;
}

static inline int ioas_map(int fd, uint32_t id, void *va, uint64_t length, unsigned int flags, uint64_t *iova)
{
	struct ioasid_map m = { .size = sizeof(m), .flags = flags, .ioasid = id, .user_va = (uintptr_t)va,
				.length = length, .iova = flags & IOASID_MAP_FIXED_IOVA ? *iova : 0 };
	int ret = ioctl(fd, IOASID_MAP, &m) ? errno : 0;

	if (!ret)
		*iova = m.out_iova;
	return ret;
}

static inline int ioas_unmap(int fd, uint32_t id, uint64_t iova, uint64_t length)
{
	struct ioasid_unmap u = { .size = sizeof(u), .ioasid = id, .iova = iova, .length = length };

	return ioctl(fd, IOASID_UNMAP, &u) ? errno : 0;
}

static inline int ioas_set_spid(int fd, uint32_t id, uint32_t spid)
{
	struct ioasid_set_spid s = { .size = sizeof(s), .ioasid = id, .spid = spid };

	return ioctl(fd, IOASID_SET_SPID, &s) ? errno : 0;
}

/* By which events name the attachment */
#define COOKIE_OF(id) (0xc00c1e0000000000ul | (id))

static inline int ioas_attach(struct requester *r, int fd, uint32_t id)
{
	struct ioasid_device_attach a = { .size = sizeof(a), .ioasid_fd = fd, .ioasid = id, .cookie = COOKIE_OF(id) };
	int ret = ioctl(r->fd, IOASID_DEVICE_ATTACH, &a) ? errno : 0;

	return ret ?: a.out_pasid == id ? 0 : EPROTO;
}

static inline int ioas_detach(struct requester *r, int fd, uint32_t id)
{
	struct ioasid_device_detach d = { .size = sizeof(d), .ioasid_fd = fd, .ioasid = id };

	return ioctl(r->fd, IOASID_DEVICE_DETACH, &d) ? errno : 0;
}

/* VmLck of this process, in KiB; -1 when it is not told */
static inline long locked_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib;
}

#endif
