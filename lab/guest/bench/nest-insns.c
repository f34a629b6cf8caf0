// SPDX-License-Identifier: GPL-2.0
/*
 * usage: nest-insns GROUP DEVICE
 *
 * For scripts/bench: what BIND, UNBIND and INVALIDATE cost, of a page table on top of a parent, attached to a device of VFIO;
 * and INVALIDATE again with the table attached to a work queue, too. Guest instructions are between marks; what each call
 * makes of flushes and waits is printed.
 */
#define _GNU_SOURCE
#include "../ioas/ioas-wq.h"
#include "../ioas/ioas-nest.h"
#include "window.h"

#include "insn-mark.h"

#define ROUNDS 20
#define GVA 0x7f0000000000ul

static struct guest guest;
static const volatile uint64_t *window;
static uint32_t parent, id;
static int fd;

static void die(const char *what)
{
	printf("** %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Entries of a page each, in one call */
static int invalidate_each(unsigned int num)
{
	static struct ioasid_inv_vtd_s1 entries[512];
	struct ioasid_invalidate i = { .size = sizeof(i), .ioasid = id, .num = num, .entry_size = sizeof(entries[0]),
				       .entries = (uintptr_t)entries };

	for (unsigned int n = 0; n < num; n++)
		entries[n] = (struct ioasid_inv_vtd_s1){ .addr = GVA + n * PAGE, .npages = 1, .flags = IOASID_INV_LEAF };
	return ioctl(fd, IOASID_INVALIDATE, &i) || i.out_num != num;
}

static int map_page(void)
{
	uint64_t iova = BASE + GUEST_PAGES * PAGE;

	return ioas_map(fd, parent, guest.memory, PAGE, RW | FIXED, &iova);
}

static int unmap_page(void)
{
	return ioas_unmap(fd, parent, BASE + GUEST_PAGES * PAGE, PAGE);
}

static uint64_t flushes(void)
{
	return window_count(window, PIOTLB) + window_count(window, IOTLB) + window_count(window, DEVICE_PIOTLB);
}

/* @before is not counted */
#define COUNT(region, before, call)							\
	do {										\
		uint64_t waits = 0, flushed = 0;					\
											\
		for (int i = 0; i < ROUNDS; i++) {					\
			if (before)							\
				die("before a call");					\
			waits -= window_count(window, WAIT);				\
			flushed -= flushes();						\
			INSN_MARK_BEGIN(region);					\
			if (call)							\
				die("a call");						\
			INSN_MARK_END(region);						\
			waits += window_count(window, WAIT);				\
			flushed += flushes();						\
		}									\
		printf("region %d: %lu waits, %lu flushes\n", region, waits / ROUNDS, flushed / ROUNDS); \
	} while (0)

/* Six regions from @first on; a constant is needed */
#define INVALIDATES(first)								\
	do {										\
		COUNT(first, 0, nest_invalidate(fd, id, GVA, 1, IOASID_INV_LEAF));	\
		COUNT(first + 1, 0, nest_invalidate(fd, id, GVA, 16, IOASID_INV_LEAF));	\
		COUNT(first + 2, 0, nest_invalidate(fd, id, GVA, 512, IOASID_INV_LEAF)); \
		COUNT(first + 3, 0, invalidate_each(16));				\
		COUNT(first + 4, 0, invalidate_each(512));				\
		COUNT(first + 5, map_page(), unmap_page());				\
	} while (0)

int main(int argc, char **argv)
{
	uint64_t iova = BASE;
	struct queue queue;
	struct area area;

	window = window_of_unit(0);
	if (argc != 3 || !window)
		return 2;
	fd = open("/dev/ioasid", O_RDWR);
	guest.memory = guest_memory();
	if (open_requester(&dev, argv[1], argv[2]) || nest_parent(fd, &parent) ||
	    ioas_map(fd, parent, guest.memory, GUEST_PAGES * PAGE, RW | FIXED, &iova) || nest_alloc(fd, parent, 48, &id) ||
	    nest_bind(fd, id, gpa_of(0), 0) || ioas_attach(&dev, fd, id))
		die("a page table");
	COUNT(1, nest_unbind(fd, id), nest_bind(fd, id, gpa_of(0), 0));
	nest_unbind(fd, id);
	COUNT(2, nest_bind(fd, id, gpa_of(0), 0), nest_unbind(fd, id));
	nest_bind(fd, id, gpa_of(0), 0);
	INVALIDATES(3);
	area = (struct area){ .fd = fd, .id = id };
	if (wq_open(&queue, SHARED) || wq_attach(&queue, &area))
		die("a work queue");
	INVALIDATES(9);
	return 0;
}
