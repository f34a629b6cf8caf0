// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes that bind a DSA, submit, and die in the middle of it.
 *
 *     sva-soak SECONDS [SEED]      run: the seed repeats what is done, not when
 *
 * Each looks at what its descriptors did; data of another process, or of one that is
 * gone, ends the soak. The PASIDs, their charges and the memory of address spaces must
 * be the same before and after. Counting leaks exactly takes slab_nomerge. Prints TAP.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/mount.h>

#include "sva-user.h"

#define WORKERS 6
/* Of which so many can have a PASID at a time */
#define LIMIT "4"

enum count { OPENED, REFUSED, BUSY, COPIED, FAULTED, FORKED, EXECUTED, ENDED, DIED, KILLED, COUNTS };

static const char *const count_names[COUNTS] = {
	"queues opened", "refused by the cgroup", "dedicated queue busy", "copies", "copies that ended with a fault", "forks",
	"programs executed", "ended", "died by themselves", "killed",
};

static struct shared {
	atomic_ulong counts[COUNTS];
	atomic_int wrong;
} *shared;

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % below;
}

static void count(enum count what)
{
	atomic_fetch_add(&shared->counts[what], 1);
}

static void wrong(const char *what, unsigned int who)
{
	atomic_store(&shared->wrong, 1);
	printf("# process %u: %s: status %#x\n", who, what, record.status);
	fflush(stdout);
	_exit(1);
}

#define SLOTS 4

static struct dsa_hw_desc slots[SLOTS] __attribute__((aligned(64)));
static struct dsa_completion_record records[SLOTS] __attribute__((aligned(32)));

/* In all processes at the same addresses, out of reach of a heap at a random address */
static uint8_t *const arena = (uint8_t *)0x500000000ul;
#define PART (16 * PAGE)

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
				wrong("write()", who);
			usleep(100);
		}
	}
	if (taken >= 0)
		munmap(to + taken * PART, PART);
	for (int i = 0; i < SLOTS; i++) {
		int status = wait_for(&records[i]) & DSA_COMP_STATUS_MASK;
		size_t done = status == DSA_COMP_SUCCESS ? size : records[i].bytes_completed & -8ul;

		count(status == DSA_COMP_SUCCESS ? COPIED : FAULTED);
		record = records[i];
		if (status != DSA_COMP_SUCCESS && !(status == DSA_COMP_PAGE_FAULT_NOBOF && !block) &&
		    !(status == DSA_COMP_PAGE_FAULT_IR && taken == i))
			wrong("a copy", who);
		if (taken != i && !filled(to + i * PART, done, who, when + i))
			wrong("data", who);
	}
}

static void open_one(struct queue *queue, int *is_open)
{
	int dedicated = rnd(4) == 0;

	*is_open = 0;
	if (!queue_open(queue, dedicated ? DEDICATED : SHARED)) {
		count(OPENED);
		*is_open = 1;
	} else if (errno != EBUSY) {
		wrong(strerror(errno), 0);
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
		if (is_open[which])
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
					wrong("a child submits", who);
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

/* No process of the soak is left behind, those without parent included */
static int alone(void)
{
	return number_in(CGROUP "/cgroup.events", "populated ") == 0;
}

static void soak(unsigned int seconds, unsigned long seed)
{
	pid_t pids[WORKERS] = { 0 };
	unsigned long lives = 0;
	time_t end = time(NULL) + seconds, said = time(NULL);

	random_state = seed;
	while (time(NULL) < end && !atomic_load(&shared->wrong)) {
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
	put_file(CGROUP "/cgroup.kill", "1");
	for (int i = 0; i < 1000 && !alone(); i++)
		usleep(10000);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

struct counters {
	char pool[256];
	long charged, ids, mms, unreclaimable;
};

static void read_counters(struct counters *counters)
{
	static const char *const caches[] = { "ioasid_entry", "mm_struct" };
	char name[64], line[256];
	FILE *file;

	memset(counters, 0, sizeof(*counters));
	visit_cpus();
	/* So that the count of objects is that of allocated ones */
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "/sys/kernel/slab/%s/shrink", caches[i]);
		put_file(name, "1");
	}
	put_file("/proc/sys/vm/drop_caches", "3");
	counters->charged = ids_charged();
	file = fopen("/sys/kernel/debug/ioasid", "r");
	if (!file || !fgets(counters->pool, sizeof(counters->pool), file))
		exit(1);
	fclose(file);
	counters->ids = counters->mms = -1;
	file = fopen("/proc/slabinfo", "r");
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "ioasid_entry %ld", &counters->ids);
		sscanf(line, "mm_struct %ld", &counters->mms);
	}
	fclose(file);
	file = fopen("/proc/meminfo", "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "SUnreclaim: %ld", &counters->unreclaimable);
	fclose(file);
}

static int same(const struct counters *a, const struct counters *b)
{
	return !strcmp(a->pool, b->pool) && a->charged == b->charged && a->ids == b->ids && a->mms == b->mms;
}

static void print_counters(const char *when, const struct counters *counters)
{
	printf("# %s: charged %ld, id objects %ld, mm objects %ld, unreclaimable slab %ld kB, %s", when, counters->charged,
	       counters->ids, counters->mms, counters->unreclaimable, counters->pool);
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? atoi(argv[1]) : 30;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	struct counters before, after;
	char path[] = "/tmp/soak-shared";
	int file = open(path, O_RDWR | O_CREAT, 0600);

	/* Behind exec(), too */
	if (ftruncate(file, sizeof(*shared)))
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (argc == 4 && !strcmp(argv[1], "live")) {
		random_state = strtoul(argv[3], NULL, 0);
		rnd(2);
		live(atoi(argv[2]), "/proc/self/exe", random_state);
	}

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	make_cgroup(LIMIT);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	printf("# %u seconds, seed %lu\n", seconds, seed);

	/* Caches fill on first use, that is no leak */
	soak(seconds < 300 ? seconds / 5 + 3 : 60, seed);
	/* Ids go a grace period after their last reference */
	for (int i = 0; i < 100; i++) {
		usleep(100000);
		read_counters(&before);
		if (!before.ids && !before.charged)
			break;
	}
	print_counters("before", &before);
	memset(shared->counts, 0, sizeof(shared->counts));
	soak(seconds, seed + 1);
	for (int i = 0; i < 100; i++) {
		read_counters(&after);
		if (same(&before, &after))
			break;
		usleep(100000);
	}
	print_counters("after", &after);
	for (int i = 0; i < COUNTS; i++)
		printf("# %s: %lu\n", count_names[i], atomic_load(&shared->counts[i]));
	check(!atomic_load(&shared->wrong), "each_process_has_its_own_data");
	check(shared->counts[OPENED] && shared->counts[REFUSED] && shared->counts[COPIED] && shared->counts[FAULTED] &&
	      shared->counts[KILLED], "all_that_should_happens");
	check(same(&before, &after) && !after.charged && !after.ids, "ids_charges_and_address_spaces_are_the_same");
	/* What else the kernel has in slabs moves a little */
	check(after.unreclaimable < before.unreclaimable + before.unreclaimable / 20 + 512, "slab_does_not_grow");
	check(!rmdir(CGROUP) && shell("rmmod idxd"), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
