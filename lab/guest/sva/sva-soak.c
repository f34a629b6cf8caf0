// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes that bind a DSA, submit, and die in the middle of it.
 *
 *     sva-soak [high] SECONDS [SEED]    run: the seed repeats what is done, not when
 *
 * Each looks at what its descriptors did; data of another process, or of one that is
 * gone, ends the soak. Some have threads, which give memory back, change its protection
 * and split and collapse huge pages, all at once and with the device at work in it: what
 * the device wrote must be where the process reads. The PASIDs, their charges and the
 * memory of address spaces must be the same before and after. Counting leaks exactly
 * takes slab_nomerge. Prints TAP.
 *
 * high: with memory where only five levels of page tables reach.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "soak.h"

#define WORKERS 6
/* Of which so many can have a PASID at a time */
#define LIMIT "4"

enum count {
	OPENED, REFUSED, BUSY, COPIED, FAULTED, FORKED, EXECUTED, ENDED, DIED, KILLED, THREADS, GIVEN_BACK, MAPPED_ANEW, PROTECTED,
	COLLAPSED, SPLIT, UNMAPPED, COUNTS
};

static const char *const count_names[COUNTS] = {
	"queues opened", "refused by the cgroup", "dedicated queue busy", "copies", "copies that ended with a fault", "forks",
	"programs executed", "ended", "died by themselves", "killed", "threads", "given back under the device", "mapped anew",
	"made read-only", "huge pages made", "huge pages split",
	"page tables freed under the device",
};

/* Each soak has to see these, however slow the machine is */
static const enum count must_happen[] = {
	OPENED, REFUSED, COPIED, FAULTED, KILLED, THREADS, GIVEN_BACK, MAPPED_ANEW, PROTECTED, COLLAPSED, SPLIT,
	UNMAPPED,
};

static struct shared {
	atomic_ulong counts[COUNTS];
	atomic_int wrong;
} *shared;

static void count(enum count what)
{
	atomic_fetch_add(&shared->counts[what], 1);
}

/* Whether the device may still ask for pages, for who wonders why one was not there (PCIe 6.0, 7.8.8 and 10.5) */
static void print_device(void)
{
	static uint8_t config[4096];
	int file = open("/sys/bus/pci/devices/0000:00:10.0/config", O_RDONLY);
	unsigned int at = 0x100;

	if (read(file, config, sizeof(config)) != sizeof(config))
		return;
	while (at) {
		uint32_t head;
		uint16_t control, status;

		memcpy(&head, config + at, sizeof(head));
		memcpy(&control, config + at + 4, sizeof(control));
		memcpy(&status, config + at + 6, sizeof(status));
		if ((head & 0xffff) == 0x0f || (head & 0xffff) == 0x13)
			printf("# capability %#x: %#x, %#x\n", head & 0xffff, control, status);
		at = head >> 20;
	}
}

static void wrong(const char *what, unsigned int who, unsigned int status)
{
	atomic_store(&shared->wrong, 1);
	printf("# process %u: %s: status %#x\n", who, what, status);
	print_device();
	fflush(stdout);
	_exit(1);
}

#define SLOTS 4

static struct dsa_hw_desc slots[SLOTS] __attribute__((aligned(64)));
static struct dsa_completion_record records[SLOTS] __attribute__((aligned(32)));

/* In all processes at the same addresses, out of reach of a heap at a random address */
static uint8_t *arena = (uint8_t *)0x500000000ul;
#define PART (16 * PAGE)
/* Of a thread: a huge page, and what it copies into it */
#define HUGE (512 * PAGE)
#define CREW 3
#define CREW_AT(i) (arena + (2 + 2 * (i)) * HUGE)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Several descriptors at once, of which memory can be taken away; each is looked at */
static void work(struct queue *queue, unsigned int who, unsigned int when)
{
	const size_t size = PAGE + rnd(15) * PAGE;
	int block = rnd(4) != 0, by_kernel = rnd(3) == 0, taken = rnd(8) == 0 ? (int)rnd(SLOTS) : -1;
	uint8_t *from = map_at(arena, SLOTS * PART, PROT_READ | PROT_WRITE);
	uint8_t *to = map_at(arena + SLOTS * PART, SLOTS * PART, PROT_READ | PROT_WRITE);

	if (rnd(4))
		memset(to, 0, SLOTS * PART);
	for (int i = 0; i < SLOTS; i++) {
		fill(from + i * PART, size, who, when + i);
		slots[i] = memmove_of(to + i * PART, from + i * PART, size, &records[i], block);
		if (!by_kernel) {
			submit(queue, &slots[i]);
			continue;
		}
		while (submit_by_write(queue->file, &slots[i], 1) != 1) {
			if (errno != EAGAIN)
				wrong("write()", who, errno);
			usleep(100);
		}
	}
	if (taken >= 0)
		munmap(to + taken * PART, PART);
	for (int i = 0; i < SLOTS; i++) {
		int status = wait_for(&records[i]) & DSA_COMP_STATUS_MASK;
		size_t done = status == DSA_COMP_SUCCESS ? size : records[i].bytes_completed & -8ul;

		count(status == DSA_COMP_SUCCESS ? COPIED : FAULTED);
		if (status != DSA_COMP_SUCCESS && !(status == DSA_COMP_PAGE_FAULT_NOBOF && !block) &&
		    !(status == DSA_COMP_PAGE_FAULT_IR && taken == i)) {
			printf("# copy %d of %zu bytes from %p, taken %d, block %d, by the kernel %d: %u bytes done, fault at %#llx\n",
			       i, size, from + i * PART, taken, block, by_kernel, records[i].bytes_completed,
			       (unsigned long long)records[i].fault_addr);
			wrong("a copy", who, records[i].status);
		}
		if (taken != i && !filled(to + i * PART, done, who, when + i))
			wrong("data", who, records[i].status);
	}
}

struct member {
	pthread_t thread;
	struct queue queue;
	unsigned int who, index;
	uint64_t seed;
	uint8_t *region, *source;
	int huge;
	uint32_t holds[512];	/* what was copied to each page, 0: nothing, it is zero */
	struct dsa_hw_desc slots[SLOTS] __attribute__((aligned(64)));
	struct dsa_completion_record records[SLOTS] __attribute__((aligned(32)));
};

static void give(struct member *m, unsigned int slot, unsigned int page, int block, uint32_t when)
{
	fill(m->source + slot * PAGE, PAGE, m->who, when);
	m->slots[slot] = memmove_of(m->region + page * PAGE, m->source + slot * PAGE, PAGE, &m->records[slot], block);
	if (rnd(3)) {
		submit(&m->queue, &m->slots[slot]);
		return;
	}
	while (submit_by_write(m->queue.file, &m->slots[slot], 1) != 1) {
		if (errno != EAGAIN)
			wrong("write() of a thread", m->who, errno);
		usleep(100);
	}
}

static int zero(const uint8_t *at)
{
	return !at[0] && !memcmp(at, at + 1, PAGE - 1);
}

static void look(struct member *m, unsigned int page, const char *what)
{
	const uint8_t *at = m->region + page * PAGE;

	if (m->holds[page] ? !filled(at, PAGE, m->who, m->holds[page]) : !zero(at))
		wrong(what, m->who, page);
}

/* The kernel gets the page, and the next one who wants memory from it */
static void give_back(struct member *m, unsigned int first, unsigned int pages)
{
	if (m->huge)
		count(SPLIT);
	m->huge = 0;
	if (rnd(2)) {
		madvise(m->region + first * PAGE, pages * PAGE, MADV_DONTNEED);
		count(GIVEN_BACK);
	} else {
		munmap(m->region + first * PAGE, pages * PAGE);
		map_at(m->region + first * PAGE, pages * PAGE, PROT_READ | PROT_WRITE);
		madvise(m->region + first * PAGE, pages * PAGE, MADV_HUGEPAGE);
		count(MAPPED_ANEW);
	}
	memset(m->holds + first, 0, pages * sizeof(m->holds[0]));
}

/*
 * What the device reads goes while it does, and with it the page table, as nothing else is in its two megabytes. What
 * becomes of those copies is open. Those that are made after that are not.
 */
static void unmap_source(struct member *m, const unsigned int *pages, uint32_t when)
{
	munmap(m->source, SLOTS * PAGE);
	map_at(m->source, SLOTS * PAGE, PROT_READ | PROT_WRITE);
	count(UNMAPPED);
	for (unsigned int i = 0; i < SLOTS; i++) {
		int status = wait_for(&m->records[i]) & DSA_COMP_STATUS_MASK;

		if (status != DSA_COMP_SUCCESS && status != DSA_COMP_PAGE_FAULT_IR)
			wrong("a copy from what was unmapped", m->who, status);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		give(m, i, pages[i], 1, when + i);
}

static void *crew_member(void *arg)
{
	struct member *m = arg;
	unsigned int rounds, pages[SLOTS];
	uint32_t when = 1;

	random_state = m->seed;
	rounds = 4 + rnd(12);
	m->region = map_at(CREW_AT(m->index), HUGE, PROT_READ | PROT_WRITE);
	m->source = map_at(CREW_AT(m->index) + HUGE, SLOTS * PAGE, PROT_READ | PROT_WRITE);
	if (rnd(4))
		madvise(m->region, HUGE, MADV_HUGEPAGE);
	count(THREADS);
	for (unsigned int round = 0; round < rounds; round++, when += SLOTS + 1) {
		/* The device is at work in one part of the region, and the rest of it changes */
		unsigned int part = rnd(8) * 64, other = (part + 64 * (1 + rnd(7))) % 512, page;

		if (rnd(2) && !madvise(m->region, HUGE, MADV_COLLAPSE)) {
			m->huge = 1;
			count(COLLAPSED);
		}
		for (unsigned int i = 0; i < SLOTS; i++) {
			pages[i] = part + 16 * i + rnd(16);
			give(m, i, pages[i], 1, when + i);
		}
		switch (rnd(6)) {
		case 0:
			give_back(m, other + rnd(32), 1 + rnd(32));
			break;
		case 1:
			mprotect(m->region + other * PAGE, 64 * PAGE, PROT_READ);
			m->huge = 0;
			mprotect(m->region + other * PAGE, 64 * PAGE, PROT_READ | PROT_WRITE);
			break;
		case 2:
		case 3:
			unmap_source(m, pages, when);
			break;
		case 4:
			if (!madvise(m->region, HUGE, MADV_COLLAPSE)) {
				m->huge = 1;
				count(COLLAPSED);
			}
			break;
		}
		for (unsigned int i = 0; i < SLOTS; i++) {
			if (wait_for(&m->records[i]) != DSA_COMP_SUCCESS)
				wrong("a thread's copy", m->who, m->records[i].status);
			count(COPIED);
			m->holds[pages[i]] = when + i;
		}
		for (unsigned int i = 0; i < SLOTS; i++)
			look(m, pages[i], "a thread's data, at page");

		/* What the device can reach is what the process can, as soon as the call is done */
		page = pages[rnd(SLOTS)];
		if (rnd(2)) {
			give_back(m, page, 1);
			if (rnd(2))
				look(m, page, "data in a page that was given back,");
			give(m, 0, page, 1, when + SLOTS);
			if (wait_for(&m->records[0]) != DSA_COMP_SUCCESS)
				wrong("a copy to a page that was given back", m->who, m->records[0].status);
			m->holds[page] = when + SLOTS;
			look(m, page, "the device missed that it was given back: page");
		} else {
			int status;

			mprotect(m->region + page * PAGE, PAGE, PROT_READ);
			m->huge = 0;
			count(PROTECTED);
			give(m, 0, page, rnd(2), when + SLOTS);
			status = wait_for(&m->records[0]) & DSA_COMP_STATUS_MASK;
			if (status != DSA_COMP_PAGE_FAULT_NOBOF && status != DSA_COMP_PAGE_FAULT_IR)
				wrong("a copy to a page that is read-only", m->who, status);
			count(FAULTED);
			look(m, page, "the device wrote to what is read-only: page");
			mprotect(m->region + page * PAGE, PAGE, PROT_READ | PROT_WRITE);
		}
		look(m, rnd(512), "of another one's, page");
	}
	for (unsigned int page = 0; page < 512; page++)
		look(m, page, "at the end, page");
	munmap(m->region, HUGE);
	munmap(m->source, SLOTS * PAGE);
	return NULL;
}

/* Threads that share the queue and the address space */
static void work_together(struct queue *queue, unsigned int who)
{
	static struct member members[CREW];

	for (unsigned int i = 0; i < CREW; i++) {
		memset(&members[i], 0, sizeof(members[i]));
		members[i].queue = *queue;
		/* Eight bits, which no process has */
		members[i].who = 128 | (who > 100) << 6 | who % 100 << 2 | i;
		members[i].index = i;
		members[i].seed = random_state + i;
		if (pthread_create(&members[i].thread, NULL, crew_member, &members[i]))
			wrong("a thread", who, errno);
	}
	for (unsigned int i = 0; i < CREW; i++)
		pthread_join(members[i].thread, NULL);
	rnd(2);
}

static void open_one(struct queue *queue, int *is_open)
{
	int dedicated = rnd(4) == 0;

	*is_open = 0;
	if (!queue_open(queue, dedicated ? DEDICATED : SHARED)) {
		count(OPENED);
		*is_open = 1;
	} else if (errno != EBUSY) {
		wrong(strerror(errno), 0, errno);
	} else {
		count(dedicated ? BUSY : REFUSED);
	}
}

/* One life. It can end at any time: its parent kills some. */
static void live(unsigned int who, char *program, unsigned long seed)
{
	struct queue queues[2];
	int is_open[2] = { 0, 0 };
	unsigned int end = rnd(3), rounds = 1 + rnd(40);
	char number[24], next[24];

	for (unsigned int round = 0; round < rounds; round++) {
		unsigned int which = rnd(2);
		pid_t child;

		if (!is_open[which])
			open_one(&queues[which], &is_open[which]);
		/* What it does at its end takes the descriptors of work() */
		if (is_open[which] && slots[0].completion_addr && rnd(6) == 0)
			work_together(&queues[which], who);
		else if (is_open[which])
			work(&queues[which], who, round * SLOTS);
		switch (rnd(16)) {
		case 0:
			if (is_open[which])
				queue_close(&queues[which]);
			is_open[which] = 0;
			break;
		case 1:
			/* It has its parent's files and none of its queues; it dies before or behind its parent */
			count(FORKED);
			child = fork();
			if (!child) {
				if (is_open[which] && (submit_by_write(queues[which].file, slots, 1) != -1 || errno != EPERM))
					wrong("a child submits", who, errno);
				open_one(&queues[which], &is_open[which]);
				if (is_open[which])
					work(&queues[which], who + 100, round * SLOTS);
				_exit(0);
			}
			if (rnd(2))
				waitpid(child, NULL, 0);
			break;
		}
	}
	if (end == 0) {
		count(EXECUTED);
		snprintf(number, sizeof(number), "%u", who);
		snprintf(next, sizeof(next), "%lu", seed + 1000003);
		execl(program, program, "live", number, next, NULL);
	}
	if (end == 1) {
		/* Nobody waits for these */
		count(DIED);
		for (int i = 0; i < 2; i++)
			if (is_open[i])
				submit(&queues[i], &slots[i]);
		raise(SIGKILL);
	}
	count(ENDED);
	_exit(0);
}

static void start_life(pid_t *pid, unsigned int who, unsigned long seed)
{
	fflush(stdout);
	*pid = fork();
	if (*pid)
		return;
	random_state = seed;
	rnd(2);
	enter_cgroup();
	live(who, "/proc/self/exe", seed);
}

static int all_happened(void)
{
	for (unsigned int i = 0; i < sizeof(must_happen) / sizeof(must_happen[0]); i++)
		if (!atomic_load(&shared->counts[must_happen[i]]))
			return 0;
	return 1;
}

/* For so long, and until it was worth it: a slow machine gets two minutes more to do it all once */
static void soak(unsigned int seconds, unsigned long seed)
{
	pid_t pids[WORKERS] = { 0 };
	unsigned long lives = 0;
	time_t end = time(NULL) + seconds, said = time(NULL);

	random_state = seed;
	while ((time(NULL) < end || (!all_happened() && time(NULL) < end + 120)) && !atomic_load(&shared->wrong)) {
		unsigned int i = rnd(WORKERS);
		int status;

		if (!pids[i]) {
			start_life(&pids[i], 1 + i, seed + ++lives * 7919);
		} else if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
			if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
				printf("# process %u: signal %d\n", 1 + i, WTERMSIG(status));
				atomic_store(&shared->wrong, 1);
			}
			pids[i] = 0;
		} else if (rnd(40) == 0) {
			count(KILLED);
			kill(pids[i], SIGKILL);
		}
		usleep(2000);
		if (time(NULL) > said + 60) {
			said = time(NULL);
			printf("# %ld s left\n", (long)(end - said));
		}
	}
	kill_all();
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(int argc, char **argv)
{
	/* Behind exec(), too */
	int high = getenv("HIGH") || (argc > 1 && !strcmp(argv[1], "high") && argc-- && argv++ && !setenv("HIGH", "1", 1));
	unsigned int seconds = argc > 1 ? atoi(argv[1]) : 30;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	struct kernel_counters before, after;
	char path[] = "/tmp/soak-shared";
	int file = open(path, O_RDWR | O_CREAT, 0600);

	/* Behind exec(), too */
	if (ftruncate(file, sizeof(*shared)))
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (high)
		arena = (uint8_t *)(1ul << 55);
	if (argc == 4 && !strcmp(argv[1], "live")) {
		random_state = strtoul(argv[3], NULL, 0);
		rnd(2);
		live(atoi(argv[2]), "/proc/self/exe", random_state);
	}

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(map_at(arena, PAGE, PROT_READ) == arena, high ? "memory_beyond_four_levels" : "memory");
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	make_cgroup(LIMIT);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	printf("# %u seconds, seed %lu\n", seconds, seed);

	/* Caches fill on first use, that is no leak */
	soak(seconds < 300 ? seconds / 5 + 3 : 60, seed);
	/* Ids go a grace period after their last reference */
	for (int i = 0; i < 100; i++) {
		usleep(100000);
		read_kernel_counters(&before);
		if (!before.ids && !before.charged)
			break;
	}
	print_kernel_counters("before", &before);
	memset(shared->counts, 0, sizeof(shared->counts));
	soak(seconds, seed + 1);
	for (int i = 0; i < 100; i++) {
		read_kernel_counters(&after);
		if (same_in_kernel(&before, &after))
			break;
		usleep(100000);
	}
	print_kernel_counters("after", &after);
	for (int i = 0; i < COUNTS; i++)
		printf("# %s: %lu\n", count_names[i], atomic_load(&shared->counts[i]));
	check(!atomic_load(&shared->wrong), "each_process_has_its_own_data");
	check(all_happened(), "all_that_should_happens");
	check(same_in_kernel(&before, &after) && !after.charged && !after.ids, "ids_charges_and_address_spaces_are_the_same");
	/* What else the kernel has in slabs moves a little */
	check(after.unreclaimable < before.unreclaimable + before.unreclaimable / 20 + 512, "slab_does_not_grow");
	check(!rmdir(CGROUP) && shell("rmmod idxd"), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
