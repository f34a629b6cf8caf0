// SPDX-License-Identifier: GPL-2.0
/*
 * How often software waits for an IOMMU when a process that is bound to devices unmaps memory: once for its IOTLB and once for
 * the TLBs of devices, however many devices there are and however many blocks the range is flushed as; and that the TLB of
 * each device is flushed. What a kernel page table that is freed costs: one command for each IOMMU, however many
 * processes there are. Prints TAP.
 *
 * usage: sva-waits DEVICES
 */
#define _GNU_SOURCE
#include "sva-waits.h"

#define TIMES 5

#define BLOCKS 2

/* Flushes of the first and the last block of a range, as the log has them */
static uint64_t iotlb_of[UNITS][BLOCKS], tlb_of[DEVICES][BLOCKS];

static void read_log(const uint64_t *since, const uint8_t *at)
{
	for (int block = 0; block < BLOCKS; block++) {
		const uint8_t *address = block ? at + UNMAP_PAGES * PAGE - 1 : at;

		for (int i = 0; i < units; i++)
			iotlb_of[i][block] = window_flushes(windows[i], since[i], PIOTLB, 0, address, UNMAP_ORDER);
		for (int i = 0; i < devices; i++)
			tlb_of[i][block] = window_flushes(windows[unit_of[i]], since[unit_of[i]], DEVICE_PIOTLB, id_of[i],
							  address, UNMAP_ORDER);
	}
}

/* The least of some times: others may flush at the same moment, which only adds */
static void unmap_counts(unsigned int first, struct counts *least)
{
	uint64_t waits, least_waits = UINT64_MAX, total[UNITS];
	struct counts before[UNITS], more[UNITS];
	uint8_t *at;

	for (int time = 0; time < TIMES; time++) {
		at = fill_region(first);
		for (int i = 0; i < units; i++) {
			total[i] = windows[i][WINDOW_TOTAL];
			before[i] = count(i);
		}
		munmap(at, UNMAP_PAGES * PAGE);
		waits = 0;
		for (int i = 0; i < units; i++) {
			more[i] = since(i, before[i]);
			waits += more[i].waits;
		}
		if (waits < least_waits) {
			least_waits = waits;
			memcpy(least, more, sizeof(more));
			read_log(total, at);
		}
		munmap(REGION, REGION_PAGES * PAGE);
	}
}

/* With the first BOUND devices: each of CALLS flushes is of so many BLOCKS, and waits for each stage once */
static int waits_for_stages(const struct counts *more, int bound, uint64_t calls, unsigned int blocks, const char *what)
{
	int ok = calls > 0;

	for (int i = 0; i < devices; i++) {
		for (int block = 0; block < BLOCKS; block++) {
			if (tlb_of[i][block] == (i < bound ? calls : 0))
				continue;
			printf("# block %d: %llu flushes of the TLB of device %d\n", block, (unsigned long long)tlb_of[i][block], i);
			ok = 0;
		}
	}
	for (int i = 0; i < units; i++) {
		unsigned int here = 0;

		for (int device = 0; device < bound; device++)
			here += unit_of[device] == i;
		print_counts(what, i, more[i]);
		for (int block = 0; here && block < BLOCKS; block++)
			ok &= iotlb_of[i][block] >= calls;
		ok &= more[i].waits == (here ? 2 * calls : 0) && more[i].tlbs == calls * blocks * here &&
		      more[i].piotlb >= (here ? calls * blocks : 0) && more[i].piotlb <= calls * blocks * here && !more[i].iotlb;
	}
	return ok;
}

static void test_unmap(void)
{
	static struct queue queue[DEVICES];
	struct counts more[UNITS];
	char name[80];
	uint64_t calls = 0;

	unmap_counts(0, more);
	check(!more[0].waits && !more[units - 1].waits, "unmap_of_a_process_without_devices_waits_for_nobody");
	for (int bound = 1; bound <= devices; bound++) {
		snprintf(name, sizeof(name), "device_%d_is_bound", bound);
		check(bind_device(&queue[bound - 1], bound - 1), name);

		/* The memory management may flush a range more than once: each flushes the one device once */
		unmap_counts(UNMAP_PAGES, more);
		if (bound == 1)
			calls = more[unit_of[0]].tlbs;
		snprintf(name, sizeof(name), "unmap_with_%d_devices_waits_for_each_stage_once", bound);
		check(waits_for_stages(more, bound, calls, 1, name), name);

		unmap_counts(UNMAP_PAGES / 2, more);
		snprintf(name, sizeof(name), "unmap_of_two_blocks_with_%d_devices_waits_for_each_stage_once", bound);
		check(waits_for_stages(more, bound, calls, 2, name), name);
	}
	for (int i = 0; i < devices; i++)
		queue_close(&queue[i]);
}

static void test_kernel_table(int processes)
{
	struct counts more[UNITS] = {};
	char name[80];
	int ok = free_table_with(processes, more);

	snprintf(name, sizeof(name), "kernel_table_with_%d_processes_is_one_command_for_each_iommu", processes);
	if (!ok)
		printf("# %s\n", strerror(errno));
	for (int i = 0; i < units; i++) {
		print_counts(name, i, more[i]);
		ok &= more[i].waits == 1 && more[i].iotlb == 1 && !more[i].piotlb && !more[i].tlbs;
	}
	check(ok, name);
}

int main(int argc, char **argv)
{
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!set_up(argc > 1 ? atoi(argv[1]) : 1)) {
		printf("Bail out! no queue, no window of a VT-d, or no module: %s\n", strerror(errno));
		return 1;
	}
	test_unmap();
	test_kernel_table(1);
	test_kernel_table(8);
	printf("1..%d\n", number);
	return failed;
}
