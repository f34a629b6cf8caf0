// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel page tables that are freed while an IOMMU walks them for a process: a DSA is sent to kernel addresses with
 * the process's PASID, so that the IOMMU has the upper levels in its paging-structure caches; the kernel frees a
 * table, and the page comes back with entries that open a page of the kernel. The device must not get there.
 * Prints TAP.
 *
 * usage: sva-kpgtable [no-cache|two]
 *
 * First the same with a table that the kernel did not free, and no flush: with such caches the device gets there,
 * so the test would see it; with "no-cache", the machine has none, and the device does not. With "two" a second DSA
 * behind another IOMMU does all that the first one does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "dsa-user.h"
#include "kpgtable.h"
#include "load-module.h"
#include "tap-fault.h"

#define TRIES 5
#define SET_UP(more) "( sh /lab/sva-queues.sh 0 " more " ) >/tmp/queues 2>&1 || { sed 's/^/# /' /tmp/queues; exit 1; }"

static struct queue queue[2];
static int queues = 1;
static int module;

/* A user may not go there, whatever the reason */
static int refused(struct queue *queue, void *target)
{
	static uint8_t source[64] __attribute__((aligned(64))) = "anything";
	int status = copy(queue, target, source, sizeof(source), 0);

	if (status != (DSA_COMP_PAGE_FAULT_NOBOF | DSA_COMP_STATUS_WRITE))
		printf("# copy to %p: status %#x\n", target, status);
	return status == (DSA_COMP_PAGE_FAULT_NOBOF | DSA_COMP_STATUS_WRITE);
}

/* 1: as expected, 0: not, -1 with errno: it did not come that far */
static int once(enum kpgtable_kind kind, unsigned int how, int expect_written)
{
	__u64 address = kind;
	int written;
	void *target;

	if (ioctl(module, KPGTABLE_MAP, &address))
		return -1;
	target = (void *)(uintptr_t)address;
	for (int i = 0; i < queues; i++) {
		if (!refused(&queue[i], target)) {
			printf("# with the table in place\n");
			return 0;
		}
	}
	if (ioctl(module, how))
		return -1;
	if (how == KPGTABLE_FREE && ioctl(module, KPGTABLE_TAKE))
		return -1;
	for (int i = 0; i < queues; i++)
		if (refused(&queue[i], target) == expect_written)
			return 0;
	written = ioctl(module, KPGTABLE_WRITTEN);
	if (written)
		printf("# the device wrote a page of the kernel\n");
	return written == expect_written;
}

static int is_there(enum kpgtable_kind kind)
{
	__u64 address = kind;
	int there = !ioctl(module, KPGTABLE_MAP, &address) || errno != EOPNOTSUPP;

	ioctl(module, KPGTABLE_END);
	return there;
}

static void test(enum kpgtable_kind kind, unsigned int how, int expect_written, const char *name)
{
	int ok = -1;

	/* Others use the same addresses and pages */
	for (int i = 0; i < TRIES && ok < 0; i++) {
		if (!queue_open(&queue[0], DEDICATED) && (queues < 2 || !queue_open(&queue[1], DEDICATED2))) {
			ok = once(kind, how, expect_written);
			if (ok < 0)
				printf("# %s\n", strerror(errno));
			/* Flushes also what a control leaves in caches, before the pages become something else */
			for (int j = 0; j < queues; j++)
				queue_close(&queue[j]);
		}
		if (ioctl(module, KPGTABLE_END))
			ok = 0;
	}
	check(ok == 1, name);
}

int main(int argc, char **argv)
{
	int cached = argc < 2 || strcmp(argv[1], "no-cache");

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (argc > 1 && !strcmp(argv[1], "two"))
		queues = 2;
	check(!system(queues == 1 ? SET_UP("") : SET_UP("&& sh /lab/sva-queues.sh 1")),
	      "queues_of_type_user");
	module = load("/lab/kpgtable-mod.ko") ? -1 : open("/sys/kernel/debug/kpgtable", O_RDWR | O_CLOEXEC);
	if (module < 0) {
		printf("Bail out! %s\n", strerror(errno));
		return 1;
	}

	test(KPGTABLE_PTE, KPGTABLE_CONTROL, cached, cached ? "a_stale_table_is_walked_without_a_flush" :
	     "without_caches_no_stale_table_is_walked");
	test(KPGTABLE_PMD, KPGTABLE_CONTROL, cached, cached ? "a_stale_upper_table_is_walked_without_a_flush" :
	     "without_caches_no_stale_upper_table_is_walked");
	test(KPGTABLE_PTE, KPGTABLE_FREE, 0, "a_table_that_a_huge_mapping_replaces");
	test(KPGTABLE_PMD, KPGTABLE_FREE, 0, "an_upper_table_that_a_huge_mapping_replaces");
	test(KPGTABLE_MEMORY, KPGTABLE_FREE, 0, "a_table_of_memory_that_is_removed");
	if (is_there(KPGTABLE_SHADOW))
		test(KPGTABLE_SHADOW, KPGTABLE_FREE, 0, "a_table_of_shadow_memory");
	else
		printf("ok %d a_table_of_shadow_memory # SKIP this kernel has no KASAN\n", ++number);

	printf("1..%d\n", number);
	return failed;
}
