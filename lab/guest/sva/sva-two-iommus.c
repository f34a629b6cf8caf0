// SPDX-License-Identifier: GPL-2.0
/*
 * One process, two DSAs, each behind an IOMMU of its own: it has one PASID on both, each IOMMU serves the faults of its
 * device, what the process unmaps leaves both, and what ends on one leaves the other alone. Prints TAP.
 *
 * The VT-ds count invalidations (x-inv-log) and keep what the specification lets them keep (x-strict-inv).
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

#include "sva-user.h"
#include "window.h"

struct side {
	const char *name;
	struct queue queue;
	const volatile uint64_t *window;
	char device[PATH_MAX], iommu[PATH_MAX];
};

static struct side sides[2] = { { .name = SHARED }, { .name = SHARED2 } };
static uint8_t source[PAGE] __attribute__((aligned(4096)));

static uint64_t count(const struct side *side, enum window_type type)
{
	return window_count(side->window, type);
}

/* Which IOMMU has the device, and where its window is: the root bus of the second one is 20 */
static int find(struct side *side, unsigned int number)
{
	char name[64], *end;

	snprintf(name, sizeof(name), "/sys/bus/dsa/devices/dsa%u/..", number);
	if (!realpath(name, side->device))
		return 0;
	end = side->device + strlen(side->device);
	strcpy(end, "/iommu");
	if (!realpath(side->device, side->iommu))
		return 0;
	*end = 0;
	side->window = window_of_unit(!!strstr(side->device, "/pci0000:20/"));
	printf("# %s: %s\n", side->device, side->iommu);
	return !!side->window;
}

static int open_both(void)
{
	return !queue_open(&sides[0].queue, SHARED) && !queue_open(&sides[1].queue, SHARED2);
}

static void close_both(void)
{
	queue_close(&sides[0].queue);
	queue_close(&sides[1].queue);
}

/* The device writes to AT, without block on fault, what the process then has to find there */
static int device_writes(struct side *side, uint8_t *at, unsigned int what)
{
	memset(source, what, sizeof(source));
	if (copy(&side->queue, at, source, PAGE, 0) != DSA_COMP_SUCCESS) {
		printf("# %s: write of %#x: status %#x\n", side->name, what, record.status);
		return 0;
	}
	for (size_t i = 0; i < PAGE; i++) {
		if (at[i] != (uint8_t)what) {
			printf("# %s: write of %#x: the process finds %#x\n", side->name, what, at[i]);
			return 0;
		}
	}
	return 1;
}

/* A page that nobody has touched: the IOMMU of the device asks for it, and the other one does not */
static int fault_is_served(struct side *side, struct side *other)
{
	uint8_t *at = map(2 * PAGE);
	uint64_t before = count(side, PAGE_RESPONSE), elsewhere = count(other, PAGE_RESPONSE);
	int ok;

	memset(at, 0x77, PAGE);
	ok = copy(&side->queue, at + PAGE, at, PAGE, 1) == DSA_COMP_SUCCESS && at[PAGE] == 0x77 && at[2 * PAGE - 1] == 0x77;
	ok &= count(side, PAGE_RESPONSE) > before && count(other, PAGE_RESPONSE) == elsewhere;
	if (!ok)
		printf("# %s: status %#x, %llu responses more, %llu at the other\n", side->name, record.status,
		       (unsigned long long)(count(side, PAGE_RESPONSE) - before),
		       (unsigned long long)(count(other, PAGE_RESPONSE) - elsewhere));
	munmap(at, 2 * PAGE);
	return ok;
}

/* Both have the page in their caches when it is given back; somebody else gets it, and another one comes in its place */
static int page_leaves_both(void)
{
	uint8_t *at = map(PAGE), *decoy = map(64 * PAGE);
	uint64_t before[4];
	int ok = 1;

	memset(at, 1, PAGE);
	for (int i = 0; i < 2; i++)
		ok &= device_writes(&sides[i], at, 0x40 + i);
	for (int i = 0; i < 4; i++)
		before[i] = count(&sides[i / 2], i % 2 ? DEVICE_PIOTLB : PIOTLB);
	madvise(at, PAGE, MADV_DONTNEED);
	for (int i = 0; i < 4; i++) {
		if (count(&sides[i / 2], i % 2 ? DEVICE_PIOTLB : PIOTLB) == before[i]) {
			printf("# %s: no flush of its %s\n", sides[i / 2].name, i % 2 ? "device's TLB" : "IOTLB");
			ok = 0;
		}
	}
	memset(decoy, 0x11, 64 * PAGE);
	memset(at, 2, PAGE);
	for (int i = 0; i < 2; i++)
		ok &= device_writes(&sides[i], at, 0x80 + i);
	for (size_t i = 0; i < 64 * PAGE; i++)
		ok &= decoy[i] == 0x11;
	munmap(at, PAGE);
	munmap(decoy, 64 * PAGE);
	return ok;
}

/* One unbinds: its IOMMU hears of the memory no more, the other one as before */
static int one_ends(struct side *ends, struct side *stays)
{
	uint8_t *at = map(PAGE);
	uint64_t before, elsewhere;
	int ok;

	memset(at, 1, PAGE);
	ok = device_writes(ends, at, 0x50) && device_writes(stays, at, 0x51);
	queue_close(&ends->queue);
	ok &= ids_charged() == 1 && device_writes(stays, at, 0x52);
	before = count(ends, PIOTLB);
	elsewhere = count(stays, PIOTLB);
	madvise(at, PAGE, MADV_DONTNEED);
	if (count(ends, PIOTLB) != before || count(stays, PIOTLB) == elsewhere) {
		printf("# %s: flushed %llu times, the other %llu times\n", ends->name,
		       (unsigned long long)(count(ends, PIOTLB) - before),
		       (unsigned long long)(count(stays, PIOTLB) - elsewhere));
		ok = 0;
	}
	memset(at, 2, PAGE);
	ok &= device_writes(stays, at, 0x53);
	/* And it comes again, to memory that has changed */
	ok &= !queue_open(&ends->queue, ends->name) && device_writes(ends, at, 0x54) && ids_charged() == 1;
	munmap(at, PAGE);
	return ok;
}

/* Processes with the same PASID, one after the other, at the same addresses on both devices */
static int copies_its_own(int talk)
{
	uint8_t *memory = mmap((void *)0x600000000000ul, 3 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	struct dsa_completion_record *there = (void *)(memory + 2 * PAGE);
	unsigned int who = hear(talk);
	int ok = open_both();

	for (int i = 0; ok && i < 2; i++) {
		memset(memory, who, PAGE);
		memset(memory + PAGE, 0, PAGE);
		descriptor = memmove_of(memory + PAGE, memory, 64, there, 0);
		submit(&sides[i].queue, &descriptor);
		if (wait_for(there) != DSA_COMP_SUCCESS || memory[PAGE] != who) {
			printf("# process %u, %s: status %#x, %#x\n", who, sides[i].name, there->status, memory[PAGE]);
			ok = 0;
		}
	}
	return !ok;
}

static void test_reuse(void)
{
	int good = 0;

	for (int i = 1; i <= 4; i++) {
		struct child child = start(copies_its_own);

		say(child.talk, i);
		waitid(P_PID, child.pid, &(siginfo_t){}, WEXITED | WNOWAIT);
		good += end(&child);
		/* The next one gets the same PASID */
		good += ids_become(1);
	}
	check(good == 8, "processes_that_follow_each_other_have_their_own_memory");
}

static int copies_on_both(int talk)
{
	if (!open_both())
		return 1;
	say(talk, 'o');
	for (;;)
		if (!copies(&sides[0].queue, 1, 1) || !copies(&sides[1].queue, 2, 1))
			return 1;
}

/* Its device is taken from the second queue, the first one goes on */
static int loses_one(int talk)
{
	int ok;

	if (!open_both())
		return 1;
	ok = copies(&sides[0].queue, 1, 2) && copies(&sides[1].queue, 2, 2);
	say(talk, ok ? 'o' : 'n');
	hear(talk);
	say(talk, copies(&sides[0].queue, 3, 5) ? 'y' : 'n');
	return 0;
}

int main(void)
{
	struct child child;
	int ok;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	check(shell("sh /lab/sva-queues.sh 0 && sh /lab/sva-queues.sh 1"), "queues_of_type_user");
	if (!find(&sides[0], 0) || !find(&sides[1], 1)) {
		printf("Bail out! no window of a VT-d: %s\n", strerror(errno));
		return 1;
	}
	check(strcmp(sides[0].iommu, sides[1].iommu), "each_device_has_an_iommu_of_its_own");

	/* The PASID of this process is charged until it ends */
	make_cgroup("max");
	enter_cgroup();
	if (!open_both()) {
		printf("Bail out! no queue: %s\n", strerror(errno));
		return 1;
	}
	check(ids_charged() == 1, "one_pasid_on_both");
	ok = fault_is_served(&sides[0], &sides[1]);
	check(fault_is_served(&sides[1], &sides[0]) && ok, "each_iommu_serves_the_faults_of_its_device");
	check(page_leaves_both(), "memory_that_is_given_back_leaves_both");
	check(one_ends(&sides[0], &sides[1]), "first_ends_and_second_stays");
	check(one_ends(&sides[1], &sides[0]), "second_ends_and_first_stays");
	close_both();
	test_reuse();

	child = start(copies_on_both);
	ok = heard(&child, 'o');
	usleep(100000);
	end_at_once(&child);
	check(ok && ids_become(1) && open_both() && copies(&sides[0].queue, 4, 2) && copies(&sides[1].queue, 5, 2),
	      "process_that_is_killed_leaves_both");
	close_both();

	child = start(loses_one);
	ok = heard(&child, 'o');
	put_file("/sys/bus/pci/drivers/idxd/unbind", strrchr(sides[1].device, '/') + 1);
	say(child.talk, 'g');
	ok &= heard(&child, 'y');
	check(end(&child) && ok, "device_of_one_goes_and_the_other_stays");
	check(ids_become(1), "nothing_is_left");

	printf("1..%d\n", number);
	return failed;
}
