/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that have many processes live and die in CGROUP: their choices, their end, and what the kernel
 * has of IOASIDs and address spaces, which must be the same before and after. Counting that exactly takes slab_nomerge.
 */
#ifndef SOAK_H
#define SOAK_H

#include "sva-user.h"

static __thread uint64_t random_state;

static inline uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % below;
}

/* No process of the soak is left behind, those without parent included */
static inline int alone(void)
{
	return number_in(CGROUP "/cgroup.events", "populated ") == 0;
}

static inline void kill_all(void)
{
	put_file(CGROUP "/cgroup.kill", "1");
	for (int i = 0; i < 12000 && !alone(); i++)
		usleep(10000);
}

struct kernel_counters {
	char pool[256];
	long charged, ids, mms, unreclaimable;
};

static inline void read_kernel_counters(struct kernel_counters *counters)
{
	static const char * const caches[] = { "ioasid_entry", "mm_struct" };
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

/* Something else of the guest may have ended in the meantime: fewer address spaces are no leak. */
static inline int same_in_kernel(const struct kernel_counters *before, const struct kernel_counters *after)
{
	return !strcmp(before->pool, after->pool) && before->charged == after->charged && before->ids == after->ids &&
	       after->mms <= before->mms;
}

static inline void print_kernel_counters(const char *when, const struct kernel_counters *counters)
{
	printf("# %s: charged %ld, id objects %ld, mm objects %ld, unreclaimable slab %ld kB, %s", when, counters->charged,
	       counters->ids, counters->mms, counters->unreclaimable, counters->pool);
}

#endif
