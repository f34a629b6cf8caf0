// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-nest-late GROUP DEVICE
 *
 * Prints TAP. What is over when an ioctl has returned: faults of a table that was unbound do not come under the next one,
 * those of an IOASID that was freed not under one of another file with its number; and who detaches what is being freed
 * finds it detached.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "ioas-nest.h"
#include "kernel-log.h"

#define GVA 0x7f0000000000ul
#define LEVELS 4
#define ROUNDS 150
#define BUSY 3

static struct guest guest;
static uint32_t parent, child;
static _Atomic int going;
static int fd;

/* Writes to @addr for a while */
static void flight(uint32_t pasid, uint64_t addr)
{
	fly(&dev, pasid, addr, TD_DMA, 0, 1000);
	usleep(rand() % 4000);
	land(&dev);
}

static int make_child(void)
{
	return nest_alloc(fd, parent, 48, &child) ?: nest_bind(fd, child, gpa_of(TABLES), 0) ?: ioas_attach(&dev, fd, child);
}

/* The page that is asked for is of the second table only */
static void late_after_unbind(void)
{
	unsigned int told = 0, late = 0, wrong = make_child();

	for (int i = 0; i < ROUNDS && !wrong; i++) {
		flight(child, GVA + PAGE);
		wrong += nest_unbind(fd, child);
		told += !!drain_events(fd, 0);
		wrong += nest_bind(fd, child, gpa_of(TABLES + 8), 0);
		late += drain_events(fd, 20);
		wrong += nest_unbind(fd, child) || nest_bind(fd, child, gpa_of(TABLES), 0);
	}
	printf("# in %u of %u rounds there were faults; %u late\n", told, ROUNDS, late);
	check(!wrong && told && !late, "faults of a table do not come under the one that is bound behind it");
	ioas_free(fd, child, NULL);
}

static void late_after_free(void)
{
	unsigned int same = 0, late = 0, wrong = 0;
	int other = open("/dev/ioasid", O_RDWR);
	uint32_t id;

	for (int i = 0; i < ROUNDS && !wrong; i++) {
		wrong += make_child();
		flight(child, GVA + PAGE);
		wrong += ioas_free(fd, child, NULL);
		drain_events(fd, 0);
		wrong += ioas_alloc(other, &id);
		if (id == child && !ioas_attach(&dev, other, id)) {
			same++;
			late += drain_events(other, 20);
		}
		late += drain_events(fd, 0);
		ioas_free(other, id, NULL);
	}
	printf("# %u times the number was the same; %u late\n", same, late);
	check(!wrong && same && !late, "nor those of an IOASID under another file's");
	close(other);
}

static void *frees(void *unused)
{
	(void)unused;
	while (!going)
		;
	ioas_free(fd, child, NULL);
	return NULL;
}

/* Keeps the lock busy that both wait for */
static void *invalidates(void *unused)
{
	static struct ioasid_inv_vtd_s1 entries[1024];
	struct ioasid_invalidate i = { .size = sizeof(i), .num = 1024, .entry_size = sizeof(entries[0]),
				       .entries = (uintptr_t)entries };

	(void)unused;
	for (int n = 0; n < 1024; n++)
		entries[n].npages = 1;
	while (going < 2) {
		i.ioasid = child;
		ioctl(fd, IOASID_INVALIDATE, &i);
	}
	return NULL;
}

static void detach_beside_free(void)
{
	unsigned int gone = 0, wrong = 0;
	pthread_t busy[BUSY], free;
	uint64_t data = 0;
	int ret;

	going = 0;
	for (int i = 0; i < BUSY; i++)
		pthread_create(&busy[i], NULL, invalidates, NULL);
	for (int i = 0; i < ROUNDS && !wrong; i++) {
		going = 0;
		wrong += make_child();
		pthread_create(&free, NULL, frees, NULL);
		usleep(300);
		going = 1;
		usleep(rand() % 2000);
		ret = ioas_detach(&dev, fd, child);
		gone += ret == ENOENT;
		wrong += (ret && ret != ENOENT) || !request(&dev, child, GVA, TD_DMA, TD_WRITE, &data);
		pthread_join(free, NULL);
	}
	going = 2;
	for (int i = 0; i < BUSY; i++)
		pthread_join(busy[i], NULL);
	printf("# FREE was first in %u of %u rounds\n", gone, ROUNDS);
	check(!wrong && gone, "what is being freed is detached when DETACH returns");
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	if (argc != 3)
		return 2;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	guest.memory = guest_memory();
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, argv[1], argv[2]) && !nest_make_parent(fd, &guest, &parent),
	      "/dev/ioasid, a device and a parent");
	if (failed)
		goto out;
	make_table(&guest, LEVELS, TABLES, GVA, DATA, P | W | U);
	make_table(&guest, LEVELS, TABLES + 8, GVA + PAGE, DATA + 1, P | W | U);
	late_after_unbind();
	late_after_free();
	/* A fault that nobody is told of is for the log */
	check(!log_count("fault addr 0x7f0000001000"), "none of these faults is in the log");
	detach_beside_free();
	close(fd);
	check(locked_kib() == 0 && !pinned_pages(), "nothing is left");
out:
	printf("1..%d\n", number);
	return failed;
}
