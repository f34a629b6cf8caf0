// SPDX-License-Identifier: GPL-2.0
/*
 * A program of the demonstration: it moves its memory with a DSA, by its own addresses.
 *
 *     demo-sva faults      one copy, of and to memory that is not there yet
 *     demo-sva share WHO   copies until it is told to end
 *     demo-sva open        opens the queue, that is all
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "dsa-user.h"

static struct queue queue;

static int faults(void)
{
	const size_t size = 16 * PAGE;
	int file = open("/proc/self/exe", O_RDONLY);
	uint8_t *program = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0), *to = map(size);
	unsigned char there[16];
	int pages = 0;

	/* From the pages of a file to memory that no CPU has touched */
	mincore(to, size, there);
	for (int i = 0; i < 16; i++)
		pages += there[i] & 1;
	printf("   copy %zu bytes from %p to %p, of which %d of 16 pages are there\n", size, program, to, pages);
	if (pages || copy(&queue, to, program, size, 1) != DSA_COMP_SUCCESS)
		return 1;
	mincore(to, size, there);
	for (int i = 0; i < 16; i++)
		pages += there[i] & 1;
	printf("   done: the device asked for them by page requests, %d of 16 are there, and the bytes are %s\n", pages,
	       memcmp(to, program, size) ? "WRONG" : "the same");
	if (pages != 16 || memcmp(to, program, size))
		return 1;

	munmap(to, size);
	copy(&queue, to, program, PAGE, 1);
	printf("   the same to memory that was unmapped: status 0x%02x, fault at %#lx\n", record.status,
	       (unsigned long)record.fault_addr & -PAGE);
	return record.status != (DSA_COMP_PAGE_FAULT_IR | DSA_COMP_STATUS_WRITE);
}

/* Each has its data at the same addresses */
static int share(unsigned int who)
{
	uint8_t *memory = map_at((void *)0x500000000ul, 2 * PAGE, PROT_READ | PROT_WRITE);
	unsigned int count = 0;
	char end;

	fcntl(0, F_SETFL, O_NONBLOCK);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &end, 1) == -1 && errno == EAGAIN) {
		fill(memory, PAGE, who, count);
		if (copy(&queue, memory + PAGE, memory, PAGE, 1) != DSA_COMP_SUCCESS || !filled(memory + PAGE, PAGE, who, count))
			return 1;
		count++;
	}
	printf("   process %u: %s at %p, all its own\n", who, count > 10 ? "many copies" : "few copies", memory);
	return count <= 10;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (queue_open(&queue, SHARED2)) {
		printf("   open %s: %s\n", SHARED2, strerror(errno));
		return errno == EBUSY ? 16 : 1;
	}
	if (!strcmp(argv[1], "faults"))
		return faults();
	if (!strcmp(argv[1], "share") && argc == 3)
		return share(atoi(argv[2]));
	return 0;
}
