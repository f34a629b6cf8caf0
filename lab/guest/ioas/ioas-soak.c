// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes that open /dev/ioasid, allocate, map, attach at queues of idxd, submit, and die in the middle of it, while
 * queues are disabled and enabled again, and the function is reset.
 *
 *     ioas-soak SECONDS [SEED]    run: the seed repeats what is done, not when
 *
 * Each looks at its memory, in which there is nothing of another process, or of one that is gone. IOASIDs, their charges,
 * attachments, pinned pages and the memory of all that must be the same before and after, and the queues work then.
 * Counting leaks exactly takes slab_nomerge. Prints TAP.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "dsa-test.h"
#include "../sva/soak.h"
#include "ioas-sva.h"

#define WORKERS 6
/* IOASIDs that all of them can have together */
#define LIMIT "12"
#define AREAS 3
#define SLOTS 4
/* What a reset loses is not told: milliseconds after which it is given up */
#define LOST_MS 2000

enum count {
	OPENED, BUSY, GONE, ALLOCATED, REFUSED, ATTACHED, COPIED, FAULTED, LOST, UNMAPPED, LEFT, TOLD, DETACHED, FREED, FORKED,
	ENDED, DIED, KILLED, DISABLED, RESET, COUNTS
};

static const char * const count_names[COUNTS] = {
	"queues opened", "dedicated queue busy", "queue disabled", "IOASIDs", "refused by the cgroup", "attached", "copies",
	"copies that ended with a fault", "copies that were lost", "unmapped under the device", "left in flight",
	"events that say that the queue is gone", "detached", "freed", "files kept by a child", "ended", "died by themselves",
	"killed", "queues disabled and enabled", "resets",
};

/* Each soak has to see these, however slow the machine is */
static const enum count must_happen[] = {
	OPENED, GONE, ALLOCATED, REFUSED, ATTACHED, COPIED, FAULTED, UNMAPPED, LEFT, TOLD, DETACHED, FREED, FORKED, ENDED,
	DIED, KILLED, DISABLED, RESET,
};

static struct shared {
	atomic_ulong counts[COUNTS];
	atomic_int wrong, stop;
} *shared;

static void count(enum count what)
{
	atomic_fetch_add(&shared->counts[what], 1);
}

static void wrong(const char *what, unsigned int who, int error)
{
	atomic_store(&shared->wrong, 1);
	printf("# process %u: %s: %d, %s\n", who, what, error, strerror(error));
	fflush(stdout);
	_exit(1);
}

/* An IOASID of the process; of one of type SVA there is no memory in AREA */
struct owned {
	struct area area;
	int is_there, is_sva;
};

static struct life {
	unsigned int who;
	int fd, is_open;
	struct queue queue;
	struct owned owned[AREAS];
	struct owned *attached;
} life;

/* What the device copies by way of SVA, and where it does, in all processes at the same addresses */
static uint8_t * const arena = (uint8_t *)0x500000000ul;
#define PART (8 * PAGE)
#define FROM(i) (arena + (i) * PART)
#define TO(i) (arena + (SLOTS + (i)) * PART)

static struct dsa_hw_desc slots[SLOTS] __attribute__((aligned(64)));
static struct dsa_completion_record records[SLOTS] __attribute__((aligned(32)));

/* What @who has filled or the kernel has given, and nothing else */
static int is_own(const uint8_t *at, size_t size, unsigned int who)
{
	for (size_t i = 7; i < size; i += 8)
		if (at[i] && at[i] != who)
			return 0;
	return 1;
}

static void look(const uint8_t *at, size_t size, const char *what)
{
	if (!is_own(at, size, life.who))
		wrong(what, life.who, 0);
}

/* The queue goes, or has gone */
static int is_gone(int error)
{
	return error == ENODEV || error == ENXIO || error == ENOENT || error == EIO;
}

static void close_queue(void)
{
	if (life.is_open)
		wq_close(&life.queue);
	life.is_open = 0;
	life.attached = NULL;
}

static void open_queue(void)
{
	int dedicated = rnd(3) == 0, error = wq_open(&life.queue, dedicated ? DEDICATED : SHARED);

	life.is_open = !error;
	if (!error)
		count(OPENED);
	else if (dedicated && error == EBUSY)
		count(BUSY);
	else if (is_gone(error))
		count(GONE);
	else
		wrong("open() of a queue", life.who, error);
	if (error)
		usleep(rnd(20000));
}

static void allocate(struct owned *owned)
{
	int error;

	owned->is_sva = rnd(2);
	error = owned->is_sva ? sva_open(&owned->area, life.fd) : area_add(&owned->area, life.fd);
	owned->is_there = !error;
	if (!error) {
		count(ALLOCATED);
		return;
	}
	if (owned->area.memory)
		munmap(owned->area.memory, PAGES);
	if (error != EBUSY)
		wrong("ALLOC", life.who, error);
	count(REFUSED);
}

static void free_owned(struct owned *owned)
{
	int error = owned->is_sva ? sva_free(&owned->area) : ioas_free(life.fd, owned->area.id, NULL);

	if (error)
		wrong("FREE", life.who, error);
	if (!owned->is_sva) {
		look(owned->area.memory, 2 * PAGE, "behind FREE, memory");
		munmap(owned->area.memory, PAGES);
	}
	if (life.attached == owned) {
		portal_unmap(&life.queue);
		life.attached = NULL;
	}
	owned->is_there = 0;
	count(FREED);
}

static void attach(struct owned *owned)
{
	int error = wq_start(&life.queue, &owned->area);

	if (!error) {
		life.attached = owned;
		count(ATTACHED);
		return;
	}
	/* Between ATTACH and mmap() it may have gone */
	if (!is_gone(error))
		wrong("ATTACH", life.who, error);
	count(GONE);
	close_queue();
}

static void detach(void)
{
	int error = wq_detach(&life.queue, &life.attached->area);

	/* ENOENT: it has gone with its queue */
	if (error && error != ENOENT && !is_gone(error))
		wrong("DETACH", life.who, error);
	if (life.attached->area.memory)
		look(life.attached->area.memory, 2 * PAGE, "behind DETACH, memory");
	portal_unmap(&life.queue);
	life.attached = NULL;
	count(DETACHED);
}

/* Reads what the kernel has to say; 0 when that is that the queue is gone */
static int is_attached_still(void)
{
	union any_event e;

	while (next_of_any(life.fd, &e, 0))
		if (e.header.type == IOASID_EVENT_DETACHED) {
			count(TOLD);
			return 0;
		}
	return 1;
}

/* 0 when the queue does not take it */
static int submits(struct dsa_hw_desc *desc)
{
	int error = 0;

	if (SIGNAL_OF(error = give(&life.queue, desc)))
		return 0;
	if (error && error != EINVAL && !is_gone(error))
		wrong("write()", life.who, error);
	return !error;
}

/* 0 when that does not come any more: the queue is gone, or the function was reset */
static int completes(const struct dsa_completion_record *done)
{
	for (int ms = 0; !*(volatile uint8_t *)&done->status; ms++) {
		if (!is_attached_still())
			return 0;
		if (ms == LOST_MS) {
			count(LOST);
			return 0;
		}
		usleep(1000);
	}
	count((done->status & DSA_COMP_STATUS_MASK) == DSA_COMP_SUCCESS ? COPIED : FAULTED);
	return 1;
}

/* Copies in an address space that is mapped, some from beside it; 0 when the queue is to be closed */
static int work_iova(const struct area *area)
{
	int beside = rnd(4) == 0, wait = rnd(8);

	fill(area->memory, PAGE, life.who, rnd(1000));
	for (int i = 0; i < SLOTS; i++) {
		slots[i] = move_at(TARGET, beside ? BESIDE : SOURCE);
		record_of(area)->status = 0;
		if (!submits(&slots[i]))
			return 0;
	}
	if (!wait) {
		count(LEFT);
		return 1;
	}
	if (!completes(record_of(area)))
		return 0;
	look(area->memory, 2 * PAGE, "an address space of the kernel's");
	return 1;
}

/* The same by the addresses of the process: the device has to fetch the pages that it writes to, some of which are gone */
static int work_sva(void)
{
	int taken = rnd(4) == 0 ? (int)rnd(SLOTS) : -1, wait = rnd(8);

	map_at(arena, 2 * SLOTS * PART, PROT_READ | PROT_WRITE);
	for (int i = 0; i < SLOTS; i++) {
		fill(FROM(i), PART, life.who, rnd(1000));
		slots[i] = memmove_of(TO(i), FROM(i), PART, &records[i], 1);
		records[i].status = 0;
		if (!submits(&slots[i]))
			return 0;
	}
	if (taken >= 0) {
		munmap(TO(taken), PART);
		count(UNMAPPED);
	}
	if (!wait) {
		count(LEFT);
		return 1;
	}
	for (int i = 0; i < SLOTS; i++) {
		if (!completes(&records[i]))
			return 0;
		look(FROM(i), PART, "what was to be copied");
		if (i != taken)
			look(TO(i), PART, "what was copied");
	}
	return 1;
}

static void work(void)
{
	struct owned *owned = &life.owned[rnd(AREAS)];

	if (!life.is_open)
		open_queue();
	if (!owned->is_there)
		allocate(owned);
	if (life.is_open && !life.attached && owned->is_there)
		attach(owned);
	if (!life.attached)
		return;
	if (!(life.attached->is_sva ? work_sva() : work_iova(&life.attached->area)))
		close_queue();
}

/* The files outlive their process for a moment; its memory is attached and is none any more */
static void leave_files(void)
{
	unsigned int moment = rnd(20000);

	count(FORKED);
	if (fork())
		return;
	usleep(moment);
	_exit(0);
}

/* Nobody waits for what is submitted here, nor closes anything in order */
static void die(void)
{
	if (rnd(3) == 0)
		leave_files();
	count(DIED);
	if (life.attached && life.attached->is_sva)
		madvise(TO(0), SLOTS * PART, MADV_DONTNEED);
	for (int i = 0; i < SLOTS && life.attached; i++)
		submits(&slots[i]);
	raise(SIGKILL);
}

/* It can end at any time: its parent kills some. */
static void live(unsigned int who)
{
	unsigned int rounds = 1 + rnd(40);

	life = (struct life) { .who = who, .fd = open("/dev/ioasid", O_RDWR | O_NONBLOCK | O_CLOEXEC) };
	if (life.fd < 0)
		wrong("open()", who, errno);
	catch_faults();
	while (rounds--) {
		struct owned *owned = &life.owned[rnd(AREAS)];

		work();
		switch (rnd(8)) {
		case 0:
			if (life.attached)
				detach();
			break;
		case 1:
			if (owned->is_there)
				free_owned(owned);
			break;
		case 2:
			close_queue();
			break;
		}
	}
	if (rnd(2))
		die();
	/* The order of the ends is what the number says */
	if (who % 2)
		close_queue();
	close(life.fd);
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
	live(who);
}

static int quietly(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "( %s ) >/dev/null 2>&1", command);
	return !system(line);
}

static int is_stopped(void)
{
	return atomic_load(&shared->stop);
}

/* Whatever the reset that comes in between does to that: in the end the queue is enabled */
static void enable(unsigned int which)
{
	char command[64];

	snprintf(command, sizeof(command), QUEUES "queue %u ioasid 0 1", which);
	for (int i = 0; i < 50 && !quietly(command); i++)
		usleep(100000);
}

static void disables(void)
{
	char command[64];

	while (!is_stopped()) {
		unsigned int which = rnd(2);

		usleep(200000 + rnd(600000));
		snprintf(command, sizeof(command), QUEUES "off %u", which);
		if (!quietly(command))
			continue;
		usleep(rnd(50000));
		enable(which);
		count(DISABLED);
	}
}

static void resets(void)
{
	while (!is_stopped()) {
		usleep(700000 + rnd(1500000));
		put_file(FUNCTION "reset", "1");
		count(RESET);
	}
}

static pid_t start_meddler(void (*meddles)(void), unsigned long seed)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	random_state = seed;
	meddles();
	_exit(0);
}

static int all_happened(void)
{
	for (size_t i = 0; i < sizeof(must_happen) / sizeof(*must_happen); i++)
		if (!atomic_load(&shared->counts[must_happen[i]]))
			return 0;
	return 1;
}

static void look_after(pid_t *pid, unsigned int who)
{
	int status;

	if (waitpid(*pid, &status, WNOHANG) == *pid) {
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
			printf("# process %u: signal %d\n", who, WTERMSIG(status));
			atomic_store(&shared->wrong, 1);
		}
		*pid = 0;
	} else if (rnd(40) == 0) {
		count(KILLED);
		kill(*pid, SIGKILL);
	}
}

/* For so long, and until it was worth it: a slow machine gets two minutes more to do it all once */
static void soak(unsigned int seconds, unsigned long seed)
{
	pid_t pids[WORKERS] = { 0 }, meddlers[2];
	unsigned int who[WORKERS] = { 0 };
	unsigned long lives = 0;
	time_t end = time(NULL) + seconds, said = time(NULL);

	random_state = seed;
	atomic_store(&shared->stop, 0);
	meddlers[0] = start_meddler(disables, seed + 1);
	meddlers[1] = start_meddler(resets, seed + 2);
	while ((time(NULL) < end || (!all_happened() && time(NULL) < end + 120)) && !atomic_load(&shared->wrong)) {
		unsigned int i = rnd(WORKERS);

		if (pids[i]) {
			look_after(&pids[i], who[i]);
		} else {
			who[i] = 1 + lives++ % 255;
			start_life(&pids[i], who[i], seed + lives * 7919);
		}
		usleep(2000);
		if (time(NULL) > said + 60) {
			said = time(NULL);
			printf("# %ld s left\n", (long)(end - said));
		}
	}
	kill_all();
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < 2; i++)
		waitpid(meddlers[i], NULL, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

struct counters {
	struct kernel_counters kernel;
	struct rest rest;
};

static void read_counters(struct counters *counters)
{
	read_kernel_counters(&counters->kernel);
	counters->rest = the_rest();
}

static int same(const struct counters *before, const struct counters *after)
{
	return same_in_kernel(&before->kernel, &after->kernel) && !memcmp(&before->rest, &after->rest, sizeof(before->rest));
}

static void print_counters(const char *when, const struct counters *c)
{
	printf("# %s: ids %ld, attached %ld, address spaces %ld, pages pinned %ld\n", when, c->rest.ids, c->rest.attached,
	       c->rest.areas, c->rest.pinned);
	print_kernel_counters(when, &c->kernel);
}

/* Somebody new has both queues, with an IOASID of each type */
static int works(int talk)
{
	struct queue queues[2];
	struct area area, sva = { 0 };
	int ok = !area_open(&area) && is_err(sva_open(&sva, area.fd), 0);

	(void)talk;
	for (int i = 0; ok && i < 2; i++) {
		ok = is_err(wq_open(&queues[i], i ? SHARED : DEDICATED), 0) && is_err(wq_start(&queues[i], &area), 0) &&
		     moves(&queues[i], &area, 1, 5) && is_err(wq_detach(&queues[i], &area), 0);
		portal_unmap(&queues[i]);
		ok = ok && is_err(wq_start(&queues[i], &sva), 0) && moves_own(&queues[i], 2, 5) &&
		     sees_what_is_mapped_anew(&queues[i]);
	}
	return !ok;
}

/* Ids go a grace period after their last reference, and what is left of dead processes in its time */
static void settle(const struct counters *before, struct counters *after)
{
	for (int i = 0; i < 100; i++) {
		read_counters(after);
		if (before ? same(before, after) : !after->kernel.ids && !after->kernel.charged)
			break;
		usleep(100000);
	}
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? atoi(argv[1]) : 30;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	struct counters before, after;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	check(shell(QUEUES "load && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"),
	      "two queues in mode ioasid");
	make_cgroup(LIMIT);
	printf("# %u seconds, seed %lu\n", seconds, seed);

	/* Caches fill on first use, that is no leak */
	soak(seconds < 300 ? seconds / 5 + 3 : 60, seed);
	settle(NULL, &before);
	print_counters("before", &before);
	memset(shared->counts, 0, sizeof(shared->counts));
	soak(seconds, seed + 1);
	settle(&before, &after);
	print_counters("after", &after);
	for (int i = 0; i < COUNTS; i++)
		printf("# %s: %lu\n", count_names[i], atomic_load(&shared->counts[i]));
	check(!atomic_load(&shared->wrong), "each process has its own data, and no errors but those that it has to expect");
	check(all_happened(), "all that should happens");
	check(same(&before, &after) && !after.kernel.charged && !after.kernel.ids,
	      "IOASIDs, charges, attachments, pinned pages and address spaces are the same");
	/* What else the kernel has in slabs moves a little */
	check(after.kernel.unreclaimable < before.kernel.unreclaimable + before.kernel.unreclaimable / 20 + 512,
	      "slab does not grow");
	check(run_child(works), "the queues work for somebody new");
	check(!rmdir(CGROUP), "the cgroup goes");
	check(shell(QUEUES "off 0 1") && !log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"),
	      "the driver goes");
	printf("1..%d\n", number);
	return failed;
}
