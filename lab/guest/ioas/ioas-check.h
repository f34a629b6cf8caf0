/* SPDX-License-Identifier: GPL-2.0 */
/* For programs of the guest that print TAP, and look at each page of what is mapped in an IOASID */
#ifndef IOAS_CHECK_H
#define IOAS_CHECK_H

#include <poll.h>

#include "ioas-user.h"
#include "tap-fault.h"

#define RW (IOASID_MAP_READ | IOASID_MAP_WRITE)
#define FIXED IOASID_MAP_FIXED_IOVA
#define HUGE (2 * MEGA)

static struct requester dev;

static inline int is_err(int got, int want)
{
	if (got == want)
		return 1;
	printf("# %s, not %s\n", strerror(got), strerror(want));
	return 0;
}

/* Each page begins with a number of its own, by which what the device reads is known */
static inline uint64_t value_at(const void *va)
{
	return 0xa5a5000000000000ul | (uintptr_t)va >> 12;
}

static inline void mark(void *memory, uint64_t length)
{
	for (char *at = memory; at != (char *)memory + length; at += PAGE)
		*(uint64_t *)at = value_at(at);
}

/* Whether the device reads every page of what is marked */
static inline int reads_all(uint32_t id, uint64_t iova, const void *memory, uint64_t length)
{
	for (uint64_t at = 0; at != length; at += PAGE)
		if (!reads(&dev, id, iova + at, value_at((char *)memory + at))) {
			printf("# page %lu of %lu at 0x%lx is not read\n", at / PAGE, length / PAGE, iova);
			return 0;
		}
	return 1;
}

static inline int refuses_all(uint32_t id, uint64_t iova, uint64_t length)
{
	for (uint64_t at = 0; at != length; at += PAGE)
		if (!is_refused(&dev, id, iova + at)) {
			printf("# page %lu of %lu at 0x%lx is not refused\n", at / PAGE, length / PAGE, iova);
			return 0;
		}
	return 1;
}

/* Memory that begins at a multiple of 2 MiB, with @advice for it; nothing is there as yet */
static inline void *aligned_memory(uint64_t length, int advice)
{
	char *start = mmap(NULL, length + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	start = (char *)(((uintptr_t)start + HUGE - 1) & ~(HUGE - 1));
	madvise(start, length, advice);
	return start;
}

/* Small pages in an order in which hardly any is behind its neighbour in memory, too */
static inline void *scattered_memory(uint64_t length)
{
	char *start = aligned_memory(length, MADV_NOHUGEPAGE);

	for (uint64_t i = 0, nr = length / PAGE; start && i < nr; i++)
		*(volatile char *)(start + (i * 367 + 5) % nr * PAGE) = 1;
	if (start)
		mark(start, length);
	return start;
}

/* What /sys/kernel/debug/ioasid_spaces says of an IOASID */
struct space {
	unsigned int attached, mappings;
	unsigned long long bytes;
	int busy;
	unsigned long small, large, giant;	/* entries of 4 KiB, 2 MiB, 1 GiB */
};

/* Returns how many address spaces there are; *s is of the last one of that number, or zeroes */
static inline int read_space(uint32_t id, struct space *s)
{
	FILE *file = fopen("/sys/kernel/debug/ioasid_spaces", "r");
	char line[256], *word;
	unsigned int found;
	int lines = 0, end, skip;

	memset(s, 0, sizeof(*s));
	while (file && fgets(line, sizeof(line), file)) {
		lines++;
		if (sscanf(line, "ioasid %u %n", &found, &end) != 1 || found != id)
			continue;
		memset(s, 0, sizeof(*s));
		if (sscanf(line + end, "attached %u mappings %u bytes %llu pages%n", &s->attached, &s->mappings,
			   &s->bytes, &skip) != 3)
			continue;
		s->busy = !!strstr(line, " busy");
		for (word = strtok(line + end + skip, " \n"); word; word = strtok(NULL, " \n")) {
			sscanf(word, "4K:%lu", &s->small);
			sscanf(word, "2048K:%lu", &s->large);
			sscanf(word, "1048576K:%lu", &s->giant);
		}
	}
	if (file)
		fclose(file);
	return file ? lines : -1;
}

/* Whether it has so many entries of each size, and nothing but them */
static inline int has_entries(uint32_t id, unsigned long small, unsigned long large)
{
	struct space s;

	if (read_space(id, &s) > 0 && !s.busy && s.small == small && s.large == large && !s.giant &&
	    s.bytes == small * PAGE + large * HUGE)
		return 1;
	printf("# %u mappings, %llu bytes, entries: %lu small, %lu large, %lu giant%s; not %lu small, %lu large\n",
	       s.mappings, s.bytes, s.small, s.large, s.giant, s.busy ? ", busy" : "", small, large);
	return 0;
}

/* How many pages are pinned in the system: what nobody is charged for, neither */
static inline long pinned_pages(void)
{
	long sum = 0, count;
	char line[128];
	FILE *file;

	/* What each CPU has counted by itself */
	file = fopen("/proc/sys/vm/stat_refresh", "w");
	if (file) {
		fputs("1", file);
		fclose(file);
	}
	file = fopen("/proc/vmstat", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nr_foll_pin_acquired %ld", &count) == 1)
			sum += count;
		if (sscanf(line, "nr_foll_pin_released %ld", &count) == 1)
			sum -= count;
	}
	if (file)
		fclose(file);
	return sum;
}

/* The next event, a fault; 0 if there is none for so many milliseconds */
static inline int next_event(int fd, struct ioasid_event_fault *e, int wait)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	memset(e, 0, sizeof(*e));
	return poll(&p, 1, wait) == 1 && p.revents == POLLIN && read(fd, e, sizeof(*e)) == sizeof(*e);
}

/* How many faults there are until none comes for so many milliseconds */
static inline unsigned int drain_events(int fd, int wait)
{
	struct ioasid_event_fault e;
	unsigned int count = 0;

	while (next_event(fd, &e, wait))
		count++;
	return count;
}

static inline int get_info(int fd, struct ioasid_get_info *info)
{
	*info = (struct ioasid_get_info){ .size = sizeof(*info) };
	return ioctl(fd, IOASID_GET_INFO, info) ? errno : 0;
}

#endif
