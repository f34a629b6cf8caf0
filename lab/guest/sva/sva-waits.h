/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that count what VT-ds are told: devices of a process, what the test windows have counted,
 * memory to unmap, and the freeing of a kernel page table (kpgtable-mod.c).
 */
#ifndef SVA_WAITS_H
#define SVA_WAITS_H

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "sva-user.h"

#include "kpgtable.h"
#include "load-module.h"
#include "window.h"

#define DEVICES		4
#define UNITS		2
#define REGION		((uint8_t *)0x600000000000ul)
/* Fewer than a huge page has, and pages around those that are unmapped: no table becomes empty */
#define REGION_PAGES	256
#define UNMAP_ORDER	6
#define UNMAP_PAGES	(1 << UNMAP_ORDER)

struct counts {
	uint64_t waits, iotlb, piotlb, tlbs;
};

static const volatile uint64_t *windows[UNITS];
static int units;
/* Of each device: its IOMMU, and its requester id */
static int unit_of[DEVICES];
static unsigned int id_of[DEVICES];
static int devices;
static int kpgtable;

/* Each descriptor of interrupt remapping has a wait of its own, and nothing to do with this */
static inline struct counts count(int unit)
{
	return (struct counts) {
		.waits = window_count(windows[unit], WAIT) - window_count(windows[unit], INTERRUPTS),
		.iotlb = window_count(windows[unit], IOTLB),
		.piotlb = window_count(windows[unit], PIOTLB),
		.tlbs = window_count(windows[unit], DEVICE_TLB) + window_count(windows[unit], DEVICE_PIOTLB),
	};
}

static inline struct counts since(int unit, struct counts before)
{
	struct counts now = count(unit);

	return (struct counts) { now.waits - before.waits, now.iotlb - before.iotlb, now.piotlb - before.piotlb,
				 now.tlbs - before.tlbs };
}

static inline void print_counts(const char *what, int unit, struct counts more)
{
	printf("# %s, IOMMU %d: %llu waits, %llu flushes of the IOTLB, %llu of it by PASID, %llu of device TLBs\n", what, unit,
	       (unsigned long long)more.waits, (unsigned long long)(more.iotlb + more.piotlb),
	       (unsigned long long)more.piotlb, (unsigned long long)more.tlbs);
}

/* The root bus of the second IOMMU is 20 */
static inline int find_device(int device)
{
	unsigned int bus, slot, function;
	char name[64], path[PATH_MAX];

	snprintf(name, sizeof(name), "/sys/bus/dsa/devices/dsa%d/..", device);
	if (!realpath(name, path) || sscanf(strrchr(path, '/'), "/%*x:%x:%x.%x", &bus, &slot, &function) != 3)
		return 0;
	id_of[device] = bus << 8 | slot << 3 | function;
	unit_of[device] = !!strstr(path, "/pci0000:20/");
	if (unit_of[device] >= units)
		units = unit_of[device] + 1;
	return 1;
}

/* Queues of so many DSAs, the windows, and the module; 0 when something is missing */
static inline int set_up(int number)
{
	int ok = number <= DEVICES;
	char command[64];

	devices = number;
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	for (int i = 0; ok && i < devices; i++) {
		snprintf(command, sizeof(command), "sh /lab/sva-queues.sh %d", i);
		ok = shell(command) && find_device(i);
	}
	for (int i = 0; ok && i < units; i++) {
		windows[i] = window_of_unit(i);
		ok = !!windows[i];
	}
	if (ok)
		ok = !load("/lab/kpgtable-mod.ko");
	kpgtable = open("/sys/kernel/debug/kpgtable", O_RDWR | O_CLOEXEC);
	return ok && kpgtable >= 0;
}

/* By its shared queue, which others can open, too: the process is bound to the device then */
static inline int bind_device(struct queue *queue, int device)
{
	char name[32];

	snprintf(name, sizeof(name), "/dev/dsa/wq%d.1", device);
	if (queue_open(queue, name))
		return 0;
	queue->shared = 1;
	return 1;
}

/* Memory of which UNMAP_PAGES, beginning with page FIRST, are about to be unmapped */
static inline uint8_t *fill_region(unsigned int first)
{
	map_at(REGION, REGION_PAGES * PAGE, PROT_READ | PROT_WRITE);
	madvise(REGION, REGION_PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(REGION, 1, REGION_PAGES * PAGE);
	return REGION + first * PAGE;
}

static inline int holds_devices(int talk)
{
	struct queue queue[DEVICES];

	for (int i = 0; i < devices; i++) {
		if (!bind_device(&queue[i], i)) {
			printf("# queue of device %d: %s\n", i, strerror(errno));
			return 1;
		}
	}
	say(talk, 'o');
	hear(talk);
	return 0;
}

/* What the IOMMUs are told when a table is freed; 0 when it was not, with errno */
static inline int free_table(struct counts *more)
{
	struct counts before[UNITS];
	__u64 address = KPGTABLE_PTE;
	int ok = !ioctl(kpgtable, KPGTABLE_MAP, &address);

	/* What was before has an end */
	usleep(200000);
	for (int i = 0; i < units; i++)
		before[i] = count(i);
	ok = ok && !ioctl(kpgtable, KPGTABLE_FREE);
	/* A worker does it */
	for (int i = 0; ok && i < 200 && !since(units - 1, before[units - 1]).waits; i++)
		usleep(10000);
	usleep(200000);
	for (int i = 0; i < units; i++)
		more[i] = since(i, before[i]);
	ioctl(kpgtable, KPGTABLE_END);
	return ok;
}

/* The same while so many processes are bound to all devices */
static inline int free_table_with(int processes, struct counts *more)
{
	static struct child children[64];
	int ok = processes <= 64, started = 0;

	for (; ok && started < processes; started++) {
		children[started] = start(holds_devices);
		ok = heard(&children[started], 'o');
	}
	/* Somebody else may be at the same addresses */
	for (int i = 0; ok && i < 5; i++)
		if (free_table(more))
			break;
		else if (i == 4)
			ok = 0;
	for (int i = 0; i < started; i++)
		ok &= end(&children[i]);
	return ok;
}

#endif
