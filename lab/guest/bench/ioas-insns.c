// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-insns GROUP DEVICE CGROUP [threads]
 *
 * For scripts/bench: what it costs to map memory for a device of VFIO, and to unmap it, with VFIO's type1 and in an
 * IOASID that is attached to the same device. Guest instructions are between marks, four regions for each of cases[]:
 * type1's map and unmap, the IOASID's map and unmap. Printed are the kernel memory that a mapping takes, the part of it
 * that CGROUP, in which this runs, is charged for a GiB, and the entries that the IOASID's page table has for each case.
 *
 * With "threads", the time that two threads need beside one, for a machine with two CPUs.
 */
#include <pthread.h>
#include <time.h>

#include "../ioas/ioas-check.h"

#include "insn-mark.h"

/* Addresses for devices: none that is reserved, and aligned to the largest page */
#define PLACE (64ul << 30)
#define HUGE_PAGES (HUGE / PAGE)
#define GIB (1024 * MEGA)
/* Type1 lets a container have 65535 */
#define MAPPINGS 50000ul
#define PAIRS 10
#define RUNS 25
/* Bits of /proc/kpageflags, include/uapi/linux/kernel-page-flags.h */
#define KPF_HUGE 17
#define KPF_THP 22

enum kind { SINGLE, SCATTERED, HUGETLB, THP };

static const struct {
	enum kind kind;
	size_t size;
	int rounds;
} cases[] = {
	{ SINGLE, PAGE, 50 },
	{ SCATTERED, HUGE, 10 },
	{ HUGETLB, HUGE, 20 },
	{ HUGETLB, 64 * MEGA, 5 },
	{ HUGETLB, GIB, 3 },
	{ THP, HUGE, 20 },
	{ THP, 64 * MEGA, 5 },
	{ THP, GIB, 3 },
};

static int fd;
static uint32_t id;

/* In each of @count pieces */
static const struct {
	const char *size;
	enum kind kind;
	size_t length;
	int count;
	/* Entries of 4 KiB, of 2 MiB */
	unsigned long small, large;
} charges[] = {
	{ "4 KiB", SCATTERED, 64 * MEGA, 16, GIB / PAGE, 0 },
	{ "2 MiB", THP, GIB, 4, 0, 4 * GIB / HUGE },
};

static void die(const char *what)
{
	printf("** %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Where it is told to */
static int ioasid_map(void *va, uint64_t size, uint64_t iova)
{
	return ioas_map(fd, id, va, size, RW | FIXED, &iova);
}

static int ioasid_unmap(uint64_t iova, uint64_t size)
{
	return ioas_unmap(fd, id, iova, size);
}

static int type1_map(void *va, uint64_t size, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m), .vaddr = (uintptr_t)va, .iova = iova, .size = size,
					      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE };

	return ioctl(dev.container, VFIO_IOMMU_MAP_DMA, &m);
}

static int type1_unmap(uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u), .iova = iova, .size = size };

	return ioctl(dev.container, VFIO_IOMMU_UNMAP_DMA, &u) || u.size != size;
}

/* Where the pages are in memory: the numbers of their frames */
static void frames_of(const uint8_t *at, size_t pages, uint64_t *frames)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t i;

	if (pread(pagemap, frames, pages * 8, (uintptr_t)at / PAGE * 8) != (ssize_t)pages * 8)
		die("pagemap");
	close(pagemap);
	for (i = 0; i < pages; i++)
		frames[i] &= (1ul << 55) - 1;
}

static int has_flag(uint64_t frame, int flag)
{
	int flags = open("/proc/kpageflags", O_RDONLY);
	uint64_t of_page;

	if (pread(flags, &of_page, 8, frame * 8) != 8)
		die("kpageflags");
	close(flags);
	return of_page >> flag & 1;
}

/* Whether these are pages of 2 MiB, and of this kind */
static int is_huge(const uint8_t *at, size_t size, int flag)
{
	uint64_t frames[HUGE_PAGES];
	size_t done, i;

	for (done = 0; done < size; done += HUGE) {
		frames_of(at + done, HUGE_PAGES, frames);
		if (!frames[0] || frames[0] % HUGE_PAGES || !has_flag(frames[0], flag))
			return 0;
		for (i = 1; i < HUGE_PAGES; i++)
			if (frames[i] != frames[0] + i)
				return 0;
	}
	return 1;
}

/* Whether no page is beside the next one in memory */
static int is_scattered(const uint8_t *at, size_t pages)
{
	uint64_t frames[HUGE_PAGES];
	size_t i;

	frames_of(at, pages, frames);
	for (i = 1; i < pages; i++)
		if (frames[i] - frames[i - 1] + 1 <= 2)
			return 0;
	return 1;
}

static uint8_t *map_anonymous(size_t size, int flags)
{
	uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static int is_kind(enum kind kind, const uint8_t *at, size_t size)
{
	switch (kind) {
	case SCATTERED:
		return is_scattered(at, size / PAGE);
	case HUGETLB:
		return is_huge(at, size, KPF_HUGE);
	case THP:
		return is_huge(at, size, KPF_THP);
	default:
		return 1;
	}
}

/* Memory that is there: each page has its number */
static uint8_t *fill(enum kind kind, size_t size)
{
	size_t pages = size / PAGE, i, nr;
	uint8_t *at, *others = NULL;

	if (kind == HUGETLB) {
		at = map_anonymous(size, MAP_HUGETLB);
	} else {
		at = map_anonymous(size + HUGE, 0);
		at += -(uintptr_t)at % HUGE;
		if (madvise(at, size, kind == THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
			die("madvise");
	}
	if (kind == SCATTERED) {
		others = map_anonymous(size, 0);
		madvise(others, size, MADV_NOHUGEPAGE);
	}
	for (i = 0; i < pages; i++) {
		/* All of them, as 197 is odd, but neighbours are far apart in time */
		nr = kind == SCATTERED ? i * 197 % pages : i;
		*(uint64_t *)(at + nr * PAGE) = nr;
		if (others)
			others[nr * PAGE] = 1;
	}
	return at;
}

/* Memory of a case */
static uint8_t *take(enum kind kind, size_t size)
{
	uint8_t *at = fill(kind, size);
	int tries = 0;

	/* By chance two pages are neighbours. What was tried is kept, so the next are others. */
	while (!is_kind(kind, at, size)) {
		errno = EINVAL;
		if (kind != SCATTERED || ++tries == 20)
			die("memory is not of the kind it has to be");
		at = fill(kind, size);
	}
	return at;
}

/* Of the page table: how many of 4 KiB, of 2 MiB and of 1 GiB there are while a case is mapped. Between none of its rounds. */
static void print_entries(int nr, void *at)
{
	size_t size = cases[nr].size;
	int is_small = cases[nr].kind == SINGLE || cases[nr].kind == SCATTERED;
	struct space s;

	if (ioasid_map(at, size, PLACE) || read_space(id, &s) < 1 || ioasid_unmap(PLACE, size))
		die("entries");
	printf("case %d: %lu %lu %lu\n", nr, s.small, s.large, s.giant);
	errno = EINVAL;
	if (s.busy || s.bytes != size || s.small * PAGE + s.large * HUGE + s.giant * GIB != size ||
	    s.small != (is_small ? size / PAGE : 0))
		die("entries that cannot be");
}

/* Mark numbers are constants, so one copy for each */
#define MEASURE(nr)								\
do {										\
	size_t size = cases[nr].size;						\
	uint8_t *at = take(cases[nr].kind, size);				\
	uint64_t iova = PLACE;							\
	int err = 0;								\
										\
	for (int i = 0; i < cases[nr].rounds; i++) {				\
		INSN_MARK_BEGIN(4 * (nr) + 1);					\
		err |= type1_map(at, size, PLACE);				\
		INSN_MARK_END(4 * (nr) + 1);					\
		INSN_MARK_BEGIN(4 * (nr) + 2);					\
		err |= type1_unmap(PLACE, size);				\
		INSN_MARK_END(4 * (nr) + 2);					\
		INSN_MARK_BEGIN(4 * (nr) + 3);					\
		err |= ioas_map(fd, id, at, size, RW | FIXED, &iova);		\
		INSN_MARK_END(4 * (nr) + 3);					\
		err |= !reads(&dev, id, PLACE + size - PAGE, size / PAGE - 1);	\
		INSN_MARK_BEGIN(4 * (nr) + 4);					\
		err |= ioas_unmap(fd, id, PLACE, size);				\
		INSN_MARK_END(4 * (nr) + 4);					\
	}									\
	if (err)								\
		die("case " #nr);						\
	print_entries(nr, at);							\
	munmap(at, size);							\
} while (0)

/* Of slabs, which one mapping more or less does not change: that of many */
static long slab_bytes(void)
{
	FILE *info = fopen("/proc/meminfo", "r");
	long kib = -1;
	char line[128];

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "SUnreclaim: %ld", &kib) == 1)
			break;
	if (info)
		fclose(info);
	return kib * 1024;
}

static void print_memory(void)
{
	uint8_t *at = take(SINGLE, PAGE);
	long none, type1, ioasid;
	uint64_t i;

	none = slab_bytes();
	for (i = 0; i < MAPPINGS; i++)
		if (type1_map(at, PAGE, PLACE + i * PAGE))
			die("many mappings of type1");
	type1 = slab_bytes() - none;
	for (i = 0; i < MAPPINGS; i++)
		type1_unmap(PLACE + i * PAGE, PAGE);
	none = slab_bytes();
	for (i = 0; i < MAPPINGS; i++)
		if (ioasid_map(at, PAGE, PLACE + i * PAGE))
			die("many mappings of the IOASID");
	ioasid = slab_bytes() - none;
	ioas_unmap(fd, id, 0, ~0ul);
	printf("slab bytes of a mapping: type1 %lu ioasid %lu\n", type1 / MAPPINGS, ioasid / MAPPINGS);
}

/* Bytes of kernel memory that the cgroup is charged for */
static long charged(const char *cgroup)
{
	char path[128], text[4096];
	const char *at;
	int file;

	/* Who asks for this gets all counters of the cgroup up to date; memory.stat may be late by many pages */
	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	file = open(path, O_RDONLY);
	if (read(file, text, sizeof(text)) < 1)
		die(path);
	close(file);
	snprintf(path, sizeof(path), "%s/memory.stat", cgroup);
	file = open(path, O_RDONLY);
	memset(text, 0, sizeof(text));
	if (read(file, text, sizeof(text) - 1) < 1)
		die(path);
	close(file);
	at = strstr(text, "\nkernel ");
	if (!at)
		die("no kernel memory in memory.stat");
	return atol(at + strlen("\nkernel "));
}

/* KiB for each GiB of these mappings, and what of it is left when they are gone */
static void print_charge(const char *cgroup, int nr, int is_ioasid, void *at)
{
	size_t length = charges[nr].length;
	int (*map)(void *, uint64_t, uint64_t) = is_ioasid ? ioasid_map : type1_map;
	int (*unmap)(uint64_t, uint64_t) = is_ioasid ? ioasid_unmap : type1_unmap;
	/* Where no table is, but those above it */
	uint64_t place = PLACE + (8 * nr + 1) * GIB;
	long none, mapped;
	double gib = (double)length * charges[nr].count / GIB;
	int i, err = map(at, PAGE, PLACE);

	none = charged(cgroup);
	for (i = 0; i < charges[nr].count; i++)
		err |= map(at, length, place + i * length);
	mapped = charged(cgroup);
	/* And that of the page beside */
	err |= is_ioasid && !has_entries(id, charges[nr].small + 1, charges[nr].large);
	for (i = 0; i < charges[nr].count; i++)
		err |= unmap(place + i * length, length);
	if (err || mapped <= none)
		die("what is charged");
	printf(" %s %.1f (%.1f left)", is_ioasid ? "ioasid" : "type1", (mapped - none) / 1024 / gib,
	       (charged(cgroup) - none) / 1024 / gib);
	if (unmap(PLACE, PAGE))
		die("the page beside");
}

static void print_charges(const char *cgroup)
{
	for (size_t i = 0; i < sizeof(charges) / sizeof(*charges); i++) {
		/* Not every small page has to be away from the next: the entries are looked at */
		uint8_t *at = fill(charges[i].kind, charges[i].length);

		printf("KiB charged for 1 GiB in entries of %s:", charges[i].size);
		print_charge(cgroup, i, 0, at);
		print_charge(cgroup, i, 1, at);
		printf("\n");
		munmap(at, charges[i].length);
	}
}

static void *map_type1(void *at)
{
	uint64_t iova = PLACE + (uintptr_t)at % (1ul << 40);

	for (int i = 0; i < PAIRS; i++)
		if (type1_map(at, HUGE, iova) || type1_unmap(iova, HUGE))
			die("type1 in a thread");
	return NULL;
}

static void *map_ioasid(void *at)
{
	uint64_t iova = PLACE + (uintptr_t)at % (1ul << 40);

	for (int i = 0; i < PAIRS; i++)
		if (ioasid_map(at, HUGE, iova) || ioasid_unmap(iova, HUGE))
			die("the IOASID in a thread");
	return NULL;
}

/* The least of several short runs: the host may have other work in between */
static double seconds(int threads, void *(*run)(void *), uint8_t **at)
{
	struct timespec start, end;
	pthread_t thread[2];
	double least = 1e9, took;

	for (int i = 0; i < RUNS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		for (int t = 0; t < threads; t++)
			if (pthread_create(&thread[t], NULL, run, at[t]))
				die("pthread_create");
		for (int t = 0; t < threads; t++)
			pthread_join(thread[t], NULL);
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
		least = took < least ? took : least;
	}
	return least;
}

static void print_threads(void)
{
	uint8_t *at[] = { take(SCATTERED, HUGE), take(SCATTERED, HUGE) };

	printf("two threads: type1 %.2f", seconds(2, map_type1, at) / seconds(1, map_type1, at));
	printf(" ioasid %.2f\n", seconds(2, map_ioasid, at) / seconds(1, map_ioasid, at));
}

int main(int argc, char **argv)
{
	FILE *pool;

	/* Nothing is tested here */
	if (argc < 4)
		return 2;
	fd = open("/dev/ioasid", O_RDWR);
	if (fd < 0 || open_requester(&dev, argv[1], argv[2]) || ioas_alloc(fd, &id) || ioas_attach(&dev, fd, id))
		die("/dev/ioasid and the device");
	if (argc > 4) {
		print_threads();
		return 0;
	}
	print_memory();
	MEASURE(0);
	MEASURE(1);
	MEASURE(2);
	MEASURE(3);
	MEASURE(4);
	/* THP needs the memory */
	pool = fopen("/proc/sys/vm/nr_hugepages", "w");
	if (!pool || fputs("0", pool) < 0 || fclose(pool))
		die("nr_hugepages");
	MEASURE(5);
	MEASURE(6);
	MEASURE(7);
	/* Last: what it leaves of memory and of tables would change what is above */
	print_charges(argv[3]);
	return 0;
}
