/*
 * usage: ioas-leaves GROUP DEVICE [device-tlb]
 *
 * Prints TAP. Of which page sizes the table of an IOASID is made, as the kernel counts them in
 * /sys/kernel/debug/ioasid_spaces: large ones where memory and addresses allow it, also where small ones have been, and
 * whatever the memory is of. The device reads each page.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "ioas-check.h"

/* Far from what the kernel chooses */
#define PLACE (64ul << 30)
#define ROUNDS 10
/* How often the device has to have read before something is changed under it, and after that */
#define ENOUGH 20
/* So much takes a while */
#define LONG (16 * MEGA)

static int fd;
static uint32_t id;

static void set_hugepages(int count)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", "w");

	if (file) {
		fprintf(file, "%d\n", count);
		fclose(file);
	}
}

/* In large pages, or the test would say nothing */
static void *huge_memory(uint64_t length)
{
	char *start = aligned_memory(length, MADV_HUGEPAGE), line[128];
	unsigned long kib = 0, sum = 0;
	FILE *smaps;

	if (!start)
		return NULL;
	mark(start, length);
	smaps = fopen("/proc/self/smaps", "r");
	while (smaps && fgets(line, sizeof(line), smaps))
		if (sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			sum += kib;
	if (smaps)
		fclose(smaps);
	if (sum * 1024 < length) {
		printf("# only %lu KiB of huge pages\n", sum);
		return NULL;
	}
	return start;
}

static void *hugetlb_memory(uint64_t length, void *at)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (at ? MAP_FIXED : 0);
	void *start = mmap(at, length, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	mark(start, length);
	return start;
}

static int unmap_all(void)
{
	return ioas_unmap(fd, id, 0, ~0ul);
}

static int is_empty(void)
{
	struct space s;

	return has_entries(id, 0, 0) && read_space(id, &s) > 0 && !s.mappings;
}

static void before_attach(char *huge)
{
	uint64_t iova = PLACE, beside = PLACE + 16 * MEGA + PAGE;

	check(is_empty(), "at first a table has no entries");
	check(!ioas_map(fd, id, huge, 8 * MEGA, RW | FIXED, &iova) && has_entries(id, 0, 4),
	      "aligned huge pages have large entries before anything is attached");
	check(!ioas_attach(&dev, fd, id) && has_entries(id, 0, 4), "ATTACH changes none of them");
	check(reads_all(id, PLACE, huge, 8 * MEGA) && is_refused(&dev, id, PLACE - PAGE) &&
	      is_refused(&dev, id, PLACE + 8 * MEGA), "the device reads all of it, and nothing beside it");
	check(!ioas_map(fd, id, huge, 2 * MEGA, RW | FIXED, &beside) && has_entries(id, 512, 4) &&
	      reads_all(id, beside, huge, 2 * MEGA),
	      "at an address that is not aligned as the memory is, entries are small");
	check(!unmap_all() && is_empty() && refuses_all(id, PLACE, 8 * MEGA), "without mappings there are no entries");
}

/* Three small pages into the memory; the kernel chooses an address that is equal modulo 2 MiB */
static void chosen(char *huge)
{
	char *odd = huge + 3 * PAGE;
	uint64_t iova = 0, fixed = PLACE + 3 * PAGE;

	check(!ioas_map(fd, id, odd, 6 * MEGA, RW, &iova) && !((iova ^ (uintptr_t)odd) % HUGE),
	      "an address that the kernel chooses is that of the memory modulo 2 MiB");
	check(has_entries(id, 512, 2), "the middle has large entries, both ends have small ones");
	check(reads_all(id, iova, odd, 6 * MEGA) && is_refused(&dev, id, iova - PAGE) &&
	      is_refused(&dev, id, iova + 6 * MEGA), "the device reads all of it");
	check(!ioas_map(fd, id, odd, 6 * MEGA, RW | FIXED, &fixed) && has_entries(id, 1024, 4) &&
	      reads_all(id, fixed, odd, 6 * MEGA), "the same at such an address that the program has chosen");
	check(!unmap_all() && is_empty(), "all of it is unmapped");
}

/* A thread has the device read one page, which is there, with @want, or is not */
static struct {
	volatile int stop, count, refused;
	uint64_t addr, want;
	int wrong, changes[2];
} reader;

static void *read_on(void *unused)
{
	int way = 0, now, was[2] = { -1, -1 };
	uint64_t data;

	(void)unused;
	while (!reader.stop) {
		/* By way of the device's cache, and without: they need not change in the same moment */
		way = dev.has_tlb && !way;
		data = 0;
		now = request(&dev, id, reader.addr, way ? TD_DMA_TLB : TD_DMA, 0, &data);
		reader.wrong += !now && data != reader.want;
		reader.changes[way] += was[way] >= 0 && now != was[way];
		was[way] = now;
		reader.refused = now;
		reader.count++;
	}
	return NULL;
}

static int begin_reading(pthread_t *thread, uint64_t addr, uint64_t want)
{
	memset((void *)&reader, 0, sizeof(reader));
	reader.addr = addr;
	reader.want = want;
	if (pthread_create(thread, NULL, read_on, NULL))
		return 1;
	while (reader.count < ENOUGH)
		sched_yield();
	return 0;
}

/* Whether it was refused first and read then, or the other way round, with nothing between */
static int end_reading(pthread_t thread, int refused)
{
	int seen = reader.count;

	while (reader.count < seen + ENOUGH)
		sched_yield();
	reader.stop = 1;
	pthread_join(thread, NULL);
	if (!reader.wrong && reader.changes[0] == 1 && reader.changes[1] == dev.has_tlb && reader.refused == refused)
		return 1;
	printf("# at 0x%lx: %d of %d reads were wrong, %d and %d changes, the last was %srefused\n", reader.addr,
	       reader.wrong, reader.count, reader.changes[0], reader.changes[1], reader.refused ? "" : "not ");
	return 0;
}

/* Faults so far that say anything but that nothing is mapped */
static int odd_faults(void)
{
	struct ioasid_event_fault e;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int odd = 0;

	while (poll(&p, 1, 0) == 1 && read(fd, &e, sizeof(e)) == sizeof(e))
		if (e.header.type != IOASID_EVENT_FAULT || e.reason != IOASID_FAULT_ACCESS) {
			printf("# event of type %u: reason %u, 0x%x, at 0x%llx\n", e.header.type, e.reason, e.hw_reason,
			       e.addr);
			odd++;
		}
	return odd;
}

/* Small ones, a large one in their place, small ones again; each change under the eyes of the device */
static void replaced(char *small, char *huge)
{
	int wrong = 0, shape = 0, watched = 0, odd = odd_faults(), round;
	uint64_t first = PLACE, second = PLACE + 2 * PAGE, seen = PLACE + 3 * PAGE;
	pthread_t thread;

	for (round = 0; round < ROUNDS && !wrong; round++) {
		wrong |= begin_reading(&thread, seen, value_at(small + 3 * PAGE));
		wrong |= ioas_map(fd, id, small, 2 * PAGE, RW | FIXED, &first) ||
			 ioas_map(fd, id, small + 2 * PAGE, 2 * PAGE, RW | FIXED, &second);
		watched += end_reading(thread, 0);
		shape += has_entries(id, 4, 0) && reads_all(id, PLACE, small, 4 * PAGE) &&
			 refuses_all(id, PLACE + 4 * PAGE, 64 * PAGE);

		wrong |= begin_reading(&thread, seen, value_at(small + 3 * PAGE));
		wrong |= ioas_unmap(fd, id, first, 2 * PAGE) || ioas_unmap(fd, id, second, 2 * PAGE);
		watched += end_reading(thread, 1);
		shape += is_empty();

		/* The table that had the small ones is still there, and empty */
		wrong |= begin_reading(&thread, seen, value_at(huge + 3 * PAGE));
		wrong |= ioas_map(fd, id, huge, HUGE, RW | FIXED, &first);
		watched += end_reading(thread, 0);
		shape += has_entries(id, 0, 1) && reads_all(id, PLACE, huge, HUGE) &&
			 is_refused(&dev, id, PLACE + HUGE) && is_refused(&dev, id, PLACE - PAGE);

		wrong |= begin_reading(&thread, seen, value_at(huge + 3 * PAGE));
		wrong |= ioas_unmap(fd, id, first, HUGE);
		watched += end_reading(thread, 1);
		shape += is_empty();
		odd += odd_faults();
	}
	check(!wrong && round == ROUNDS, "small mappings and a large one take turns at an address");
	check(shape == 4 * ROUNDS, "each is in the table as what it is, and the device reads all of it");
	check(watched == 4 * ROUNDS, "a device that goes on reading sees each come, and go, once, with the right data");
	/* The last one has time to come */
	usleep(200000);
	odd += odd_faults();
	check(!odd, "its faults say that nothing is mapped, and no more");
}

static void hugetlb(char *pages)
{
	char *odd = pages + 5 * PAGE;
	uint64_t iova = 0, fixed = PLACE + PAGE;

	check(!ioas_map(fd, id, odd, 2 * HUGE, RW, &iova) && has_entries(id, 512, 1),
	      "hugetlb from the middle of a page on");
	check(reads_all(id, iova, odd, 2 * HUGE) && is_refused(&dev, id, iova - PAGE) &&
	      is_refused(&dev, id, iova + 2 * HUGE), "the device reads it");
	check(!ioas_map(fd, id, pages, 2 * HUGE, RW | FIXED, &fixed) && has_entries(id, 512 + 1024, 1) &&
	      reads_all(id, fixed, pages, 2 * HUGE), "at another address modulo 2 MiB its entries are small");
	check(!unmap_all() && is_empty(), "all of it is unmapped");
	check(!ioas_map(fd, id, pages, 2 * HUGE, RW, &iova) && has_entries(id, 0, 2),
	      "whole pages have large entries only");
	check(!unmap_all() && is_empty(), "they are unmapped");
}

/* One MAP, of which parts are of different kinds of memory */
static void kinds(void)
{
	char *all = aligned_memory(3 * HUGE, MADV_NOHUGEPAGE);
	uint64_t iova = 0, at;
	int wrong;

	wrong = !hugetlb_memory(HUGE, all + HUGE);
	wrong |= mmap(all + 2 * HUGE, MEGA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		 MAP_FAILED;
	mark(all, 3 * HUGE);
	check(!wrong && !ioas_map(fd, id, all + MEGA, 4 * MEGA + MEGA / 2, RW, &iova),
	      "a MAP of private, hugetlb, shared and again private memory");
	check(reads_all(id, iova, all + MEGA, 4 * MEGA + MEGA / 2), "the device reads all of it");
	for (at = 0, wrong = 0; at < 4 * MEGA; at += MEGA)
		wrong |= !writes(&dev, id, iova + at + 8, at + 1) || ((uint64_t *)(all + MEGA + at))[1] != at + 1;
	check(!wrong, "and writes to each kind");
	check(!unmap_all() && is_empty() && locked_kib() == 0, "all of it is unmapped");
	munmap(all, 3 * HUGE);
}

static volatile int stop;
static int maps_failed;

static void *map_and_unmap(void *memory)
{
	uint64_t iova = PLACE;

	while (!stop)
		maps_failed |= ioas_map(fd, id, memory, LONG, RW | FIXED, &iova) || ioas_unmap(fd, id, PLACE, LONG);
	return NULL;
}

/* The table in which a MAP is at work is not waited for */
static void busy(void)
{
	char *memory = scattered_memory(LONG), *other = scattered_memory(PAGE);
	int seen = 0, wrong = 0, tries;
	uint64_t iova = PLACE;
	struct space s, t;
	uint32_t second;
	pthread_t thread;

	check(memory && other && !ioas_alloc(fd, &second) &&
	      !ioas_map(fd, second, other, PAGE, RW | FIXED, &iova), "another IOASID");
	pthread_create(&thread, NULL, map_and_unmap, memory);
	for (tries = 0; tries < 1000 && (seen < ENOUGH || tries < 100); tries++) {
		read_space(id, &s);
		read_space(second, &t);
		seen += s.busy;
		/* What is told without the table is told, and of the other one all */
		wrong |= s.attached != 1 || s.mappings > 1 || (s.bytes && s.bytes != LONG) || t.busy || t.small != 1;
		/* One of both has to be at another place when it is looked for the next time */
		usleep(random() % 2000);
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("# busy %d times of %d\n", seen, tries);
	check(seen >= ENOUGH && !maps_failed, "a table in which much is mapped and unmapped is said to be busy");
	check(!wrong, "how much is mapped is told all the same, and what others have");
	check(is_empty() && has_entries(second, 1, 0) && !ioas_free(fd, second, NULL), "then it is not busy any more");
	munmap(memory, LONG);
}

/*
 * Memory that a server has to bring is not waited for by who pins it for long (__gup_longterm_locked() of 6.1 lets no
 * fault be tried again)
 */
static void served(void)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING, .range.len = PAGE };
	char *memory = scattered_memory(3 * PAGE), *other = scattered_memory(PAGE);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_copy copy = { .len = PAGE };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	uint64_t iova = PLACE;

	reg.range.start = (uintptr_t)memory + PAGE;
	madvise(memory + PAGE, PAGE, MADV_DONTNEED);
	check(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg),
	      "a server of page faults");
	check(is_err(ioas_map(fd, id, memory, 3 * PAGE, RW | FIXED, &iova), EFAULT) && is_empty() &&
	      locked_kib() == 0 && refuses_all(id, PLACE, 3 * PAGE),
	      "what it has not brought is not mapped, nor what is before it");
	copy.src = (uintptr_t)other;
	copy.dst = (uintptr_t)memory + PAGE;
	check(!ioctl(uffd, UFFDIO_COPY, &copy) && !ioas_map(fd, id, memory, 3 * PAGE, RW | FIXED, &iova) &&
	      has_entries(id, 3, 0), "what it has brought is");
	check(reads(&dev, id, PLACE, value_at(memory)) && reads(&dev, id, PLACE + PAGE, value_at(other)) &&
	      reads(&dev, id, PLACE + 2 * PAGE, value_at(memory + 2 * PAGE)), "the device reads it");
	check(!unmap_all() && is_empty(), "it is unmapped");
	close(uffd);
}

int main(int argc, char **argv)
{
	struct ioasid_get_info info;
	char *huge, *small, *pages;
	struct space s;
	long pinned;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, argv[1], argv[2]), "/dev/ioasid and the device are opened");
	if (failed)
		goto out;
	check(!get_info(fd, &info) && info.out_page_sizes & HUGE, "there are pages of 2 MiB");
	printf("# page sizes 0x%llx, addresses up to 0x%llx\n", info.out_page_sizes, info.out_iova_last);
	set_hugepages(5);
	huge = huge_memory(8 * MEGA);
	small = scattered_memory(4 * PAGE);
	pages = hugetlb_memory(3 * HUGE, NULL);
	check(huge && small && pages && !ioas_alloc(fd, &id), "memory of each kind");
	if (failed)
		goto out;
	pinned = pinned_pages();
	before_attach(huge);
	chosen(huge);
	replaced(small, huge);
	hugetlb(pages);
	kinds();
	busy();
	served();
	check(!ioas_free(fd, id, NULL) && !read_space(id, &s) && locked_kib() == 0 && pinned_pages() == pinned,
	      "at the end nothing is there, nor charged, nor pinned");
out:
	printf("1..%d\n", number);
	return failed;
}
