// SPDX-License-Identifier: GPL-2.0
/*
 * For scripts/bench: guest instructions of munmap() of 64 pages by a process that is bound to one device (region 1) and to
 * four (region 2), and what an IOMMU is told when a kernel page table is freed while 1 and 32 processes are bound.
 */
#define _GNU_SOURCE
#include "../sva/sva-waits.h"

#include "insn-mark.h"

#define ROUNDS	20

static void die(const char *what)
{
	printf("** %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Mark numbers are constants, so one copy for each */
#define MEASURE(region, more)							\
do {										\
	for (int i = 0; i < ROUNDS; i++) {					\
		uint8_t *at = fill_region(UNMAP_PAGES);				\
		struct counts before = count(0);				\
										\
		INSN_MARK_BEGIN(region);					\
		munmap(at, UNMAP_PAGES * PAGE);					\
		INSN_MARK_END(region);						\
		more = since(0, before);					\
	}									\
} while (0)

int main(void)
{
	static const int processes[] = { 1, 32 };
	struct queue queue[DEVICES];
	struct counts one, four, more[UNITS];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!set_up(DEVICES) || units != 1)
		die("queues, window, module");
	if (!bind_device(&queue[0], 0))
		die("bind");
	MEASURE(1, one);
	for (int i = 1; i < DEVICES; i++)
		if (!bind_device(&queue[i], i))
			die("bind");
	MEASURE(2, four);
	for (int i = 0; i < DEVICES; i++)
		queue_close(&queue[i]);
	printf("munmap with 1 device: %llu waits, %llu flushes\n", (unsigned long long)one.waits,
	       (unsigned long long)(one.piotlb + one.tlbs));
	printf("munmap with 4 devices: %llu waits, %llu flushes\n", (unsigned long long)four.waits,
	       (unsigned long long)(four.piotlb + four.tlbs));
	for (int i = 0; i < 2; i++) {
		if (!free_table_with(processes[i], more))
			die("kernel table");
		printf("table with %d processes: %llu commands\n", processes[i],
		       (unsigned long long)(more[0].iotlb + more[0].piotlb + more[0].tlbs));
	}
	return 0;
}
