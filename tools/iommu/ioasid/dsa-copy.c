// SPDX-License-Identifier: GPL-2.0
/*
 * dsa-copy: a driver in user space, of a device that reaches a part of its memory
 *
 * The device is an Intel DSA, which copies memory. It is bound to vfio-pci. The driver
 * maps what the device may reach in an IOASID, and gives the device a work queue whose
 * requests all have that IOASID as their PASID. One copy is of what is mapped. The
 * next one reads beside it: the device says that it failed, and the kernel says where,
 * with an event of /dev/ioasid.
 *
 * Documentation/userspace-api/ioasid.rst shows this program. Registers, descriptors
 * and completion records are those of the Intel Data Streaming Accelerator
 * Architecture Specification (341204), version 1.0, chapters 8 and 9.
 */
#include <cpuid.h>
#include <err.h>
#include <fcntl.h>
#include <immintrin.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/idxd.h>
#include <linux/ioasid.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define PAGE		4096
#define COOKIE		0xd5ac0b1e	/* any number, to know the fault by */
#define PATIENCE_MS	60000		/* for what takes microseconds: a machine can be busy */
#define DSA_ID		0x0b258086	/* device and vendor */

/* Registers, in BAR 0. OFFSETS says where the tables of groups and work queues are. */
#define WQCAP		0x20
#define  WQCAP_ATS	0x4000000000000
#define GRPCAP		0x30
#define OFFSETS		0x60
#define CMD		0xa0
#define  ENABLE_DEVICE	0x100000
#define  RESET_DEVICE	0x500000
#define  ENABLE_WQ0	0x600000
#define CMDSTS		0xa8
#define  CMDSTS_ERROR	0x000000ff
#define  CMDSTS_ACTIVE	0x80000000

/* How a work queue works */
#define MODE_DEDICATED	0x00000001
#define MODE_NO_ATS	0x00000004
#define MODE_PRIORITY	0x00000080
#define MODE_PASID(p)	(0x10000000 | (p) << 8)

#define REG32(at)	(*(volatile __u32 *)(regs + (at)))
#define REG64(at)	(*(volatile __u64 *)(regs + (at)))

static char *regs;
static void *portal;

/* All that the device can reach */
static struct {
	__u8 from[PAGE];
	__u8 to[PAGE];
	union {
		struct dsa_completion_record record;
		__u8 whole_page[PAGE];
	};
} memory __attribute__((aligned(PAGE)));

/* The same as the device sees it, from the address that MAP gave it */
#define IOVA_OF(member)	(iova + offsetof(typeof(memory), member))

static void do_ioctl(int fd, unsigned long cmd, void *arg, const char *name)
{
	if (ioctl(fd, cmd, arg) < 0)
		err(1, "%s", name);
}

#define DO(fd, cmd, arg) do_ioctl(fd, cmd, arg, #cmd)

static off_t region(int device, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	DO(device, VFIO_DEVICE_GET_REGION_INFO, &info);
	return info.offset;
}

static void *map_region(int device, unsigned int index, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
			region(device, index));

	if (at == MAP_FAILED)
		err(1, "mmap of registers");
	return at;
}

/*
 * VFIO gives a device away only when its group has a container with an IOMMU. Nothing is
 * mapped in this one: what the device sends without PASID reaches nothing.
 */
static int open_device(const char *address)
{
	char path[PATH_MAX], group_path[PATH_MAX] = "";
	int group, container, device;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	if (readlink(path, group_path, sizeof(group_path) - 1) < 0)
		err(1, "%s", path);
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(group_path, '/') + 1);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		err(1, "%s (is %s bound to vfio-pci?)", path, address);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0)
		err(1, "/dev/vfio/vfio");
	DO(group, VFIO_GROUP_SET_CONTAINER, &container);
	DO(container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		err(1, "VFIO_GROUP_GET_DEVICE_FD: %s", address);
	return device;
}

/* Is it a device for this driver? Then it may send requests from now on. */
static void probe(int device, const char *address)
{
	off_t config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
	__u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	__u32 id;

	if (pread(device, &id, sizeof(id), config) != sizeof(id))
		err(1, "%s: read of its configuration space", address);
	if (id != DSA_ID)
		errx(1, "%s is no DSA: %04x:%04x", address, id & 0xffff, id >> 16);
	if (pwrite(device, &command, sizeof(command), config + PCI_COMMAND) != sizeof(command))
		err(1, "%s: write to its configuration space", address);
	regs = map_region(device, VFIO_PCI_BAR0_REGION_INDEX, 2 * PAGE);
	/* Its first page takes descriptors for work queue 0. */
	portal = map_region(device, VFIO_PCI_BAR2_REGION_INDEX, PAGE);
}

/* Between two looks at what the device is to change */
static void wait_a_bit(const char *what, unsigned int *looks)
{
	if (++*looks > PATIENCE_MS * 10)
		errx(1, "%s: no answer of the device", what);
	usleep(100);
}

static void command(__u32 value, const char *name)
{
	unsigned int looks = 0;

	REG32(CMD) = value;
	while (REG32(CMDSTS) & CMDSTS_ACTIVE)
		wait_a_bit(name, &looks);
	if (REG32(CMDSTS) & CMDSTS_ERROR)
		errx(1, "%s: error 0x%02x of the device", name, REG32(CMDSTS) & CMDSTS_ERROR);
}

/* Work queue 0 and engine 0 are in group 0. */
static void start(__u32 pasid)
{
	__u32 group = (REG64(OFFSETS) & 0xffff) * 0x100;
	__u32 wq = (REG64(OFFSETS) >> 16 & 0xffff) * 0x100;
	__u32 read_buffers = REG64(GRPCAP) >> 8 & 0xff;
	__u32 mode = MODE_DEDICATED | MODE_PRIORITY | MODE_PASID(pasid);

	/*
	 * With ATS the device asks for a translation before each request. That there is
	 * none is an answer like others, and no fault that the kernel hears of.
	 */
	if (REG64(WQCAP) & WQCAP_ATS)
		mode |= MODE_NO_ATS;

	command(RESET_DEVICE, "RESET_DEVICE");
	REG64(group + 0) = 1 << 0;		/* its work queues */
	REG64(group + 32) = 1 << 0;		/* its engines */
	REG64(group + 40) = read_buffers << 20 | 1 << 3 | 1 << 0;	/* traffic class 1 */
	REG32(wq + 0) = 16;			/* descriptors at a time */
	REG32(wq + 8) = mode;
	REG32(wq + 12) = 12;			/* transfers of 2^12 bytes, no batches */
	command(ENABLE_DEVICE, "ENABLE_DEVICE");
	command(ENABLE_WQ0, "ENABLE_WQ");
}

/* A descriptor is one write of 64 bytes, and what it refers to is in memory before. */
static __attribute__((target("movdir64b"))) void submit(const struct dsa_hw_desc *desc)
{
	_mm_sfence();
	_movdir64b(portal, desc);
}

/* Has a page copied, and returns the status. */
static __u8 copy_page(__u64 iova, __u64 from)
{
	/* Its PASID stays 0: a dedicated queue has its own. */
	struct dsa_hw_desc desc = {
		.opcode = DSA_OPCODE_MEMMOVE,
		.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR,
		.completion_addr = IOVA_OF(record),
		.src_addr = from,
		.dst_addr = IOVA_OF(to),
		.xfer_size = PAGE,
	};
	unsigned int looks = 0;

	memory.record.status = DSA_COMP_NONE;
	submit(&desc);
	while (memory.record.status == DSA_COMP_NONE)
		wait_a_bit("copy", &looks);
	printf("copy of the page at 0x%llx: status 0x%02x\n", from, memory.record.status);
	return memory.record.status;
}

/* Waits for the next event that is a fault. */
static struct ioasid_event_fault read_fault(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct ioasid_event_fault fault;
	char buf[256];
	ssize_t len, at;

	while (poll(&pfd, 1, PATIENCE_MS) == 1) {
		len = read(fd, buf, sizeof(buf));
		if (len < 0)
			err(1, "read of events");
		/* A newer kernel may know other types, and longer events. */
		for (at = 0; at < len; at += fault.header.size) {
			memcpy(&fault.header, buf + at, sizeof(fault.header));
			if (fault.header.type != IOASID_EVENT_FAULT)
				continue;
			memcpy(&fault, buf + at, sizeof(fault));
			return fault;
		}
	}
	errx(1, "no event tells of the fault");
}

static void copy_twice(int fd, __u32 ioasid, __u64 iova)
{
	__u64 beside = iova + sizeof(memory);
	struct ioasid_event_fault fault;
	__u8 status;

	memset(memory.from, 0x5a, PAGE);
	status = copy_page(iova, IOVA_OF(from));
	if (status != DSA_COMP_SUCCESS || memcmp(memory.to, memory.from, PAGE))
		errx(1, "it was not copied");

	status = copy_page(iova, beside);
	/* A refused read without ATS can be an error like any other to hardware. */
	if (status != DSA_COMP_PAGE_FAULT_NOBOF && status != DSA_COMP_HW_ERR1)
		errx(1, "that is not the status for a page that is not mapped");
	fault = read_fault(fd);
	printf("fault: ioasid %u, cookie 0x%llx, addr 0x%llx, perm %u, reason %u, hw_reason 0x%x\n",
	       fault.ioasid, fault.cookie, fault.addr, fault.perm, fault.reason, fault.hw_reason);
	if (fault.ioasid != ioasid || fault.cookie != COOKIE || fault.addr != beside ||
	    fault.perm != IOASID_FAULT_PERM_READ || fault.reason != IOASID_FAULT_ACCESS)
		errx(1, "that is not the fault of this copy");
}

int main(int argc, char **argv)
{
	struct ioasid_device_info info = { .size = sizeof(info) };
	struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = IOASID_TYPE_IOVA };
	struct ioasid_map map = { .size = sizeof(map) };
	struct ioasid_device_attach attach = { .size = sizeof(attach), .cookie = COOKIE };
	struct ioasid_unmap unmap = { .size = sizeof(unmap) };
	struct ioasid_device_detach detach = { .size = sizeof(detach) };
	struct ioasid_free gone = { .size = sizeof(gone) };
	unsigned int eax, ebx, ecx, edx;
	int device, fd;

	if (argc != 2)
		errx(1, "usage: dsa-copy ADDRESS, that of a DSA which is bound to vfio-pci");
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ecx & bit_MOVDIR64B))
		errx(1, "this CPU has no MOVDIR64B");
	setvbuf(stdout, NULL, _IOLBF, 0);

	device = open_device(argv[1]);
	probe(device, argv[1]);
	DO(device, IOASID_DEVICE_INFO, &info);
	if (!info.out_ioasid_last)
		errx(1, "%s has no PASIDs", argv[1]);
	printf("%s is a DSA, with IOASIDs up to %u\n", argv[1], info.out_ioasid_last);

	fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/ioasid");
	alloc.max = info.out_ioasid_last;
	DO(fd, IOASID_ALLOC, &alloc);

	map.flags = IOASID_MAP_READ | IOASID_MAP_WRITE;
	map.ioasid = alloc.out_ioasid;
	map.user_va = (uintptr_t)&memory;
	map.length = sizeof(memory);
	DO(fd, IOASID_MAP, &map);
	printf("IOASID %u: %llu bytes at %p are mapped at 0x%llx\n", map.ioasid, map.length,
	       &memory, map.out_iova);

	attach.ioasid_fd = fd;
	attach.ioasid = alloc.out_ioasid;
	DO(device, IOASID_DEVICE_ATTACH, &attach);
	start(attach.out_pasid);
	printf("it is attached, and work queue 0 has PASID %u\n", attach.out_pasid);

	copy_twice(fd, alloc.out_ioasid, map.out_iova);

	/* UNMAP, DETACH and FREE would work while the device copies, too. */
	command(RESET_DEVICE, "RESET_DEVICE");
	unmap.ioasid = alloc.out_ioasid;
	unmap.iova = map.out_iova;
	unmap.length = map.length;
	DO(fd, IOASID_UNMAP, &unmap);
	detach.ioasid_fd = fd;
	detach.ioasid = alloc.out_ioasid;
	DO(device, IOASID_DEVICE_DETACH, &detach);
	gone.ioasid = alloc.out_ioasid;
	DO(fd, IOASID_FREE, &gone);
	printf("%llu bytes are unmapped, the IOASID is detached and freed\n", unmap.out_length);
	return 0;
}
