// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-nest-hostile GROUP DEVICE [device-tlb]
 *
 * Prints TAP. While the device writes all the time by a page table of the program's, that is taken away in one of several
 * ways, and others of the process do what they can to the same IOASIDs: when the ioctl has returned, no byte that could be
 * reached changes any more.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "ioas-nest.h"

#define GVA 0x7f0000000000ul
#define LEVELS 4
#define SECONDS 8
/* What the device writes */
#define PATTERN 0x6666666666666666ul
#define NOISE 3
/* Of noise; from DESTRUCTIVE on it takes away, too */
#define KINDS 13
#define DESTRUCTIVE 8

static struct guest guest, shadow;
static int fd;
static uint32_t parent, child;
static _Atomic int stop, quiet, inside;
static _Atomic unsigned long done[KINDS], good[KINDS];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int clear_spid(uint32_t id)
{
	struct ioasid_clear_spid c = { .size = sizeof(c), .ioasid = id };

	return ioctl(fd, IOASID_CLEAR_SPID, &c) ? errno : 0;
}

static int other_table(void)
{
	uint32_t id;
	int ret = nest_alloc(fd, parent, 48, &id);

	if (ret)
		return ret;
	/* It may be of the number that is taken away: of an empty table */
	nest_bind(fd, id, gpa_of(TABLES + 8), 0);
	ioas_attach(&dev, fd, id);
	nest_invalidate(fd, id, GVA, 1, 0);
	return ioas_free(fd, id, NULL);
}

static int map_beside(void)
{
	uint64_t iova = gpa_of(HOLE + 1);
	int ret = ioas_map(fd, parent, guest_page(&guest, HOLE + 1), PAGE, RW | FIXED, &iova);

	return ret ?: ioas_unmap(fd, parent, iova, PAGE);
}

/* One thing that never makes the page reachable again */
static int noise(unsigned int what)
{
	switch (what) {
	case 0: return nest_invalidate(fd, child, GVA, 1, IOASID_INV_LEAF);
	case 1: return nest_invalidate(fd, child, 0, WHOLE, 0);
	case 2: return ioas_set_spid(fd, child, 7);
	case 3: return clear_spid(child);
	case 4: return other_table();
	case 5: return map_beside();
	case 6: return ioas_attach(&dev, fd, parent);
	case 7: return ioas_detach(&dev, fd, parent);
	case 8: return nest_unbind(fd, child);
	case 9: return ioas_detach(&dev, fd, child);
	case 10: return ioas_unmap(fd, parent, gpa_of(DATA), PAGE);
	case 11: return ioas_free(fd, child, NULL);
	default: return ioas_free(fd, parent, NULL);
	}
}

static void *noisy(void *seed)
{
	unsigned int random = (uintptr_t)seed * 7919 + 1;

	while (!stop) {
		unsigned int what = rand_r(&random) % DESTRUCTIVE;

		if (rand_r(&random) % 12 == 0)
			what = DESTRUCTIVE + rand_r(&random) % (KINDS - DESTRUCTIVE);
		if (quiet) {
			sched_yield();
			continue;
		}
		inside++;
		if (!quiet) {
			done[what]++;
			good[what] += !noise(what);
		}
		inside--;
	}
	return NULL;
}

static void calm(void)
{
	quiet = 1;
	while (inside)
		sched_yield();
}

static int set_up(void)
{
	uint64_t iova = BASE;
	int ret;

	drain_events(fd, 0);
	ret = nest_parent(fd, &parent);
	if (ret)
		return ret;
	ret = ioas_map(fd, parent, guest.memory, HOLE * PAGE, RW | FIXED, &iova);
	iova = gpa_of(DATA);
	ret = ret ?: ioas_map(fd, parent, guest_page(&guest, DATA), PAGE, RW | FIXED, &iova);
	make_table(&guest, LEVELS, TABLES, GVA, DATA, P | W | U);
	ret = ret ?: nest_alloc(fd, parent, 48, &child);
	ret = ret ?: nest_bind(fd, child, gpa_of(TABLES), 0);
	return ret ?: ioas_attach(&dev, fd, child);
}

static const char * const ways[] = { "UNBIND", "DETACH", "FREE", "UNMAP of a page", "UNMAP of everything",
				     "FREE of the parent", "close", "UNMAP of tables", "INVALIDATE" };
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static int take_away(unsigned int way)
{
	switch (way) {
	case 0: return nest_unbind(fd, child);
	case 1: return ioas_detach(&dev, fd, child);
	case 2: return ioas_free(fd, child, NULL);
	case 3: return ioas_unmap(fd, parent, gpa_of(DATA), PAGE);
	case 4: return ioas_unmap(fd, parent, 0, ~0ul);
	case 5: return ioas_free(fd, parent, NULL);
	case 6: return close(fd);
	case 7: return ioas_unmap(fd, parent, BASE, HOLE * PAGE);
	default:
		*leaf_of(&guest, LEVELS, TABLES, GVA) = 0;
		return nest_invalidate(fd, child, GVA, 1, IOASID_INV_LEAF);
	}
}

/* How many bytes are not as they were left, after some time in which the device tries */
static unsigned int changed(unsigned long from, unsigned long to)
{
	unsigned long tries = dev.regs[TD_FLIGHT_OK / 8] + dev.regs[TD_FLIGHT_FAILED / 8];
	unsigned int bytes = 0;

	memcpy(shadow.memory, guest.memory, GUEST_PAGES * PAGE);
	for (int i = 0; i < 40 && dev.regs[TD_FLIGHT_OK / 8] + dev.regs[TD_FLIGHT_FAILED / 8] < tries + 20; i++)
		usleep(200);
	for (unsigned long i = from * PAGE; i < to * PAGE; i++)
		bytes += ((char *)shadow.memory)[i] != ((char *)guest.memory)[i];
	return bytes;
}

/* What the device may still have in its TLB by INVALIDATE of others is none of this */
static int round_of(unsigned int way, int command, unsigned long *flown)
{
	int ret, bad;

	if (set_up())
		return 0;
	fly(&dev, child, GVA, command, PATTERN, 2000);
	quiet = 0;
	usleep(rand() % 3000);
	ret = take_away(way);
	/* ENOENT: someone was first, and it is as gone as if this had been */
	guest_page(&guest, DATA)[0] = 0;
	for (int nr = TABLES; nr < TABLES + LEVELS; nr++)
		for (int i = 0; i < 512; i++)
			guest_page(&guest, nr)[i] &= ~(uint64_t)(A | D);
	if (way == 6)
		calm();
	/* Of the page alone: tables are walked still */
	bad = (!ret || ret == ENOENT) &&
	      (way == 3 || way == 8 ? changed(DATA, DATA + 1) : changed(0, GUEST_PAGES));
	*flown += dev.regs[TD_FLIGHT_OK / 8];
	if (bad)
		printf("# %s (%s), command %d: memory changes afterwards, data %lx\n", ways[way], strerror(ret), command,
		       guest_page(&guest, DATA)[0]);
	calm();
	land(&dev);
	if (way == 6) {
		fd = open("/dev/ioasid", O_RDWR);
	} else {
		ioas_free(fd, child, NULL);
		ioas_free(fd, parent, NULL);
	}
	return bad;
}

static void barriers(int noisy_too)
{
	unsigned long rounds = 0, flown[WAYS] = {}, bad = 0;
	double end = now() + SECONDS;
	pthread_t threads[NOISE];
	char line[96];

	stop = 0;
	quiet = 1;
	for (uintptr_t i = 0; i < NOISE && noisy_too; i++)
		pthread_create(&threads[i], NULL, noisy, (void *)i);
	for (; now() < end; rounds++) {
		unsigned int way = rounds % WAYS;
		/* Threads that close what others use would close another file */
		int command = dev.has_tlb && rounds / WAYS % 2 ? TD_DMA_TLB : TD_DMA;

		bad += round_of(way, command, &flown[way]);
	}
	stop = 1;
	for (int i = 0; i < NOISE && noisy_too; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < WAYS; i++)
		printf("# %s: %lu writes before\n", ways[i], flown[i]);
	for (int i = 0; i < KINDS && noisy_too; i++)
		printf("# noise %d: %lu of %lu\n", i, good[i], done[i]);
	snprintf(line, sizeof(line), "%lu rounds%s: nothing is written when an ioctl has returned", rounds,
		 noisy_too ? " with noise" : "");
	check(!bad, line);
}

/* All at once on the same numbers, in several processes that share the file, some of which are killed */
static void *storm_thread(void *seed)
{
	unsigned int random = (uintptr_t)seed * 31337 + getpid();
	uint32_t ids[16];
	uint64_t iova;

	for (;;) {
		uint32_t id = child + rand_r(&random) % 6 - 2, p = rand_r(&random) % 3 ? parent : id;

		switch (rand_r(&random) % 14) {
		case 0: nest_bind(fd, id, gpa_of(TABLES), 0); break;
		case 1: nest_unbind(fd, id); break;
		case 2: ioas_attach(&dev, fd, id); break;
		case 3: ioas_detach(&dev, fd, id); break;
		case 4: ioas_free(fd, id, NULL); break;
		case 5:
			if (rand_r(&random) % 8 == 0)
				ioas_free(fd, parent, NULL);
			break;
		case 6: nest_invalidate(fd, id, GVA, 1ul << rand_r(&random) % 20, 0); break;
		case 7: ioas_set_spid(fd, id, rand_r(&random) % 4); break;
		case 8: clear_spid(id); break;
		case 9:
			iova = BASE + rand_r(&random) % 16 * PAGE;
			ioas_map(fd, p, guest.memory, PAGE * (1 + rand_r(&random) % 8), RW | FIXED, &iova);
			break;
		case 10: ioas_unmap(fd, p, 0, ~0ul); break;
		case 11: nest_alloc(fd, p, 48, &ids[0]); break;
		case 12:
			if (rand_r(&random) % 4 == 0 && !nest_parent(fd, &ids[0]))
				parent = ids[0];
			break;
		default:
			if (!nest_alloc(fd, parent, 48, &ids[0])) {
				child = ids[0];
				nest_bind(fd, child, gpa_of(TABLES), 0);
				ioas_attach(&dev, fd, child);
			}
		}
	}
	return NULL;
}

static void storm(void)
{
	double end = now() + SECONDS;
	unsigned long kills = 0, bad = 0;

	while (now() < end) {
		pid_t pids[3];

		if (set_up())
			break;
		fly(&dev, child, GVA, kills % 2 && dev.has_tlb ? TD_DMA_TLB : TD_DMA, PATTERN, 3000);
		for (int i = 0; i < 3; i++) {
			pids[i] = fork();
			if (!pids[i]) {
				pthread_t t;

				for (uintptr_t n = 0; n < 4; n++)
					pthread_create(&t, NULL, storm_thread, (void *)n);
				pause();
			}
		}
		for (int i = 0; i < 3; i++) {
			usleep(rand() % 150000);
			kill(pids[i], SIGKILL);
			kills++;
			drain_events(fd, 0);
		}
		for (int i = 0; i < 3; i++)
			waitpid(pids[i], NULL, 0);
		close(fd);
		memset(guest.memory, 0, GUEST_PAGES * PAGE);
		bad += !!changed(0, GUEST_PAGES);
		land(&dev);
		fd = open("/dev/ioasid", O_RDWR);
	}
	printf("# %lu processes killed\n", kills);
	check(kills && !bad, "all at once, by processes that are killed: nothing is written when the file is closed");
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct space space;
	long pinned;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	guest.memory = mmap(NULL, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shadow.memory = guest_memory();
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, argv[1], argv[2]), "/dev/ioasid and the device are opened");
	pinned = pinned_pages();
	if (!failed) {
		barriers(0);
		barriers(1);
		storm();
	}
	close(fd);
	check(locked_kib() == 0 && pinned_pages() == pinned, "nothing is left");
	check(read_space(0, &space) == 0, "no address space");
	printf("1..%d\n", number);
	return failed;
}
