// SPDX-License-Identifier: GPL-2.0
/*
 * What the memory management changes under a DSA has to leave the IOTLB and the device's TLB: overlapping gathers, huge
 * pages that are split, memory that moves, rights that are added, processes that come one after the other with the
 * same PASID. The programs are correct: nothing is in flight while memory changes. Prints TAP.
 *
 * The machine's VT-d counts invalidations (x-inv-log) and keeps what the specification lets it keep (x-strict-inv).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

#include "sva-user.h"
#include "window.h"

#define MB2 (2ul << 20)
#define ROUNDS 8
#define PIOTLB_OF_PASID (WINDOW_COUNTERS + PIOTLB * 4 + 2)

static const volatile uint64_t *window;
static uint8_t *const region = (uint8_t *)0x600000000000ul;
static uint8_t source[PAGE] __attribute__((aligned(4096)));
static struct queue queue;

/* Overlapping gathers: each thread zaps pages of its own, both under the mmap_lock for reading */

static int stop;

static void *zap(void *at)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		memset(at, 1, 64 * PAGE);
		madvise(at, 64 * PAGE, MADV_DONTNEED);
	}
	return NULL;
}

static uint64_t flushes_of_pasid(unsigned int threads, unsigned int rounds)
{
	uint8_t *memory = map(64 * PAGE * (threads + 1));
	uint64_t before = window[PIOTLB_OF_PASID], more = 0;
	pthread_t thread[4];

	stop = 0;
	for (unsigned int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, zap, memory + 64 * PAGE * (i + 1));
	for (unsigned int i = 0; i < rounds && !more; i++) {
		memset(memory, 1, 64 * PAGE);
		madvise(memory, 64 * PAGE, MADV_DONTNEED);
		more = window[PIOTLB_OF_PASID] - before;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	munmap(memory, 64 * PAGE * (threads + 1));
	return more;
}

static void test_gathers(void)
{
	check(!flushes_of_pasid(0, 100), "gathers_one_by_one_flush_ranges");
	check(flushes_of_pasid(2, 3000), "gathers_that_overlap_flush_the_whole_pasid");
}

/* The device writes to AT what the process then has to find there */
static int device_writes(uint8_t *at, unsigned int what)
{
	memset(source, what, sizeof(source));
	if (copy(&queue, at, source, PAGE, 1) != DSA_COMP_SUCCESS) {
		printf("# write of %#x: status %#x\n", what, record.status);
		return 0;
	}
	for (size_t i = 0; i < PAGE; i++) {
		if (at[i] != (uint8_t)what) {
			printf("# write of %#x: the process finds %#x\n", what, at[i]);
			return 0;
		}
	}
	return 1;
}

/* What the device reads at AT */
static int device_reads(const uint8_t *at, unsigned int what)
{
	static uint8_t to[PAGE] __attribute__((aligned(4096)));

	memset(to, ~what, sizeof(to));
	if (copy(&queue, to, at, PAGE, 1) == DSA_COMP_SUCCESS && to[0] == (uint8_t)what && to[PAGE - 1] == (uint8_t)what)
		return 1;
	printf("# read: status %#x, %#x instead of %#x\n", record.status, to[0], what);
	return 0;
}

static int huge_kb(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	int in = 0, kb = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strstr(line, "600000000000-"))
			in = 1;
		if (in && sscanf(line, "AnonHugePages: %d", &kb) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kb;
}

static void huge_page(void)
{
	map_at(region, MB2, PROT_READ | PROT_WRITE);
	madvise(region, MB2, MADV_HUGEPAGE);
}

/* A page of a huge page is given back, and comes again as another one */
static int split_by_zap(unsigned int round)
{
	uint8_t *at = region + (3 + round) * PAGE;

	huge_page();
	memset(region, 0x11, MB2);
	if (huge_kb() != MB2 >> 10)
		return -1;
	if (!device_writes(at, 0x40 + round))
		return 0;
	madvise(at, PAGE, MADV_DONTNEED);
	return device_writes(at, 0x80 + round);
}

/* The huge zero page: the process writes to a page of it */
static int split_of_zero(unsigned int round)
{
	uint8_t *at = region + (3 + round) * PAGE;

	huge_page();
	if (*(volatile uint8_t *)at || !device_reads(at, 0))
		return 0;
	memset(at, 0x33, PAGE);
	return device_reads(at, 0x33);
}

/* Part of a huge page moves away; what comes in its place is not it */
static int split_by_move(unsigned int round)
{
	uint8_t *at = region + (3 + round) * PAGE, *there = region + 4 * MB2;

	huge_page();
	memset(region, 0x11, MB2);
	if (huge_kb() != MB2 >> 10)
		return -1;
	if (!device_writes(at, 0x40 + round) ||
	    mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == MAP_FAILED)
		return 0;
	map_at(at, PAGE, PROT_READ | PROT_WRITE);
	return device_writes(at, 0x80 + round) && there[0] == 0x40 + round && device_writes(there, 0xc0 + round);
}

/* A page that the device may only read becomes one that it may write, without block on fault */
static int more_rights(unsigned int round)
{
	uint8_t *at = region + round * PAGE;
	pid_t child;
	int status;

	map_at(region, MB2, PROT_READ | PROT_WRITE);
	madvise(region, MB2, MADV_NOHUGEPAGE);
	memset(at, 0x22, PAGE);
	/* Shared with a child for a moment: read-only, and writable again by a fault of the process alone */
	child = fork();
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	if (!device_reads(at, 0x22))
		return 0;
	at[8] = 1;
	status = copy(&queue, at, source, PAGE, 0);
	if (status != DSA_COMP_SUCCESS)
		printf("# write to a page that was read-only: status %#x\n", status);
	return status == DSA_COMP_SUCCESS;
}

static void rounds(int (*once)(unsigned int round), const char *name)
{
	unsigned int good = 0, tried = 0;
	int ok;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		ok = once(i);
		munmap(region, 8 * MB2);
		tried += ok >= 0;
		good += ok > 0;
	}
	if (!tried)
		printf("# there was no huge page\n");
	check(tried && good == tried, name);
}

/* Processes with the same PASID and the same addresses */

static int copies_its_own(int talk)
{
	uint8_t *memory = mmap(region, 3 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	struct dsa_completion_record *there = (void *)(memory + 2 * PAGE);
	static unsigned int who;
	int file = open(SHARED, O_RDWR);

	who = hear(talk);
	memset(memory, who, PAGE);
	descriptor = memmove_of(memory + PAGE, memory, 64, there, 0);
	if (file < 0 || submit_by_write(file, &descriptor, 1) != 1 || wait_for(there) != DSA_COMP_SUCCESS ||
	    memory[PAGE] != who) {
		printf("# process %u: status %#x, %#x\n", who, there->status, memory[PAGE]);
		return 1;
	}
	return 0;
}

static void test_reuse(void)
{
	int good = 0;

	for (int i = 1; i <= 4; i++) {
		struct child child = start(copies_its_own);

		say(child.talk, i);
		waitid(P_PID, child.pid, &(siginfo_t){}, WEXITED | WNOWAIT);
		good += end(&child);
		/* The PASID goes with the address space, which idle CPUs borrow */
		visit_cpus();
	}
	check(good == 4, "processes_that_follow_each_other_have_their_own_memory");
}

int main(void)
{
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	window = window_of_unit(0);
	if (!window || queue_open(&queue, DEDICATED)) {
		printf("Bail out! no window of the VT-d, or no queue: %s\n", strerror(errno));
		return 1;
	}

	test_gathers();
	rounds(split_by_zap, "page_of_a_huge_page_that_is_given_back");
	rounds(split_of_zero, "page_of_the_huge_zero_page_that_is_written");
	rounds(split_by_move, "page_of_a_huge_page_that_moves");
	rounds(more_rights, "page_that_becomes_writable");
	queue_close(&queue);
	test_reuse();

	printf("1..%d\n", number);
	return failed;
}
