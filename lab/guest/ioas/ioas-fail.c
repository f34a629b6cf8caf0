/*
 * usage: ioas-fail GROUP DEVICE [device-tlb]
 *
 * Prints TAP. Each allocation of each command on an IOASID with a page table fails in turn (/proc/self/fail-nth). The
 * command has failed then, and the device reaches no page of what was asked for, but all of what was there before;
 * or it has worked, and nothing is missing. What takes something away works whatever fails.
 */
#include "ioas-check.h"

#define LENGTH (4 * MEGA)
#define LARGE (64 * MEGA)
#define BESIDE (2 * PAGE)
#define INTERRUPTS 0xfee00000ul
/* More than a command allocates */
#define MOST 400
/* A slab that is full takes one allocation more now and then, so that one round misses some */
#define ROUNDS 6
#define FAULTS "/sys/kernel/debug/fail"

static int nth_file, starve_file, log_file;
static char *memory, *before, *behind;
/* A range across it needs new tables of all levels but the first */
static uint64_t edge;

static int tell(const char *path, const char *word)
{
	int file = open(path, O_WRONLY), ret;

	ret = write(file, word, strlen(word)) != (ssize_t)strlen(word);
	close(file);
	return ret;
}

static int set_up_faults(void)
{
	nth_file = open("/proc/self/fail-nth", O_RDWR);
	starve_file = open("/proc/self/make-it-fail", O_WRONLY);
	/* Allocations that may sleep, and single pages, too; and not a stack in the log for each */
	return nth_file < 0 || starve_file < 0 || tell(FAULTS "slab/ignore-gfp-wait", "N") ||
	       tell(FAULTS "slab/verbose", "0") || tell(FAULTS "_page_alloc/ignore-gfp-wait", "N") ||
	       tell(FAULTS "_page_alloc/ignore-gfp-highmem", "N") ||
	       tell(FAULTS "_page_alloc/min-order", "0") || tell(FAULTS "_page_alloc/verbose", "0");
}

static void arm(int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(nth_file, text, length, 0) != length)
		abort();
}

/* How many allocations there could have been until one fails; 0: one has failed. Nothing fails from now on. */
static int disarm(void)
{
	char text[16] = { };

	if (pread(nth_file, text, sizeof(text) - 1, 0) <= 0)
		abort();
	arm(0);
	return atoi(text);
}

/* So many pages, and no more, until feed(): who tries again what has failed survives one failure */
static int starve(int pages)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pages);
	return tell(FAULTS "_page_alloc/task-filter", "Y") || tell(FAULTS "_page_alloc/times", "1000000000") ||
	       tell(FAULTS "_page_alloc/space", text) || tell(FAULTS "_page_alloc/probability", "100") ||
	       pwrite(starve_file, "1", 1, 0) != 1;
}

/* By way of a file that is open: there is no memory to open one */
static int feed(void)
{
	return pwrite(starve_file, "0", 1, 0) != 1 || tell(FAULTS "_page_alloc/probability", "0");
}

/* Far from all others, so that tables of numbers and of the device's PASIDs need memory for it */
static int alloc_far(int fd, uint32_t *id)
{
	static uint32_t far;
	struct ioasid_alloc a = { .size = sizeof(a), .type = IOASID_TYPE_IOVA, .min = far += 200, .max = ~0u };
	int ret = ioctl(fd, IOASID_ALLOC, &a) ? errno : 0;

	*id = a.out_ioasid;
	return ret;
}

/* Everything that is counted of a file and of this process, and what is in the table */
struct state {
	struct ioasid_get_info info;
	struct space space;
	long kib, pinned;
	int spaces;
};

static void look(int fd, uint32_t id, struct state *s)
{
	memset(s, 0, sizeof(*s));
	get_info(fd, &s->info);
	s->spaces = read_space(id, &s->space);
	s->kib = locked_kib();
	s->pinned = pinned_pages();
}

static int is_as_before(int fd, uint32_t id, const struct state *was)
{
	struct state is;

	look(fd, id, &is);
	if (!memcmp(&is, was, sizeof(is)))
		return 1;
	printf("# is, was: %u %u IOASIDs, %u %u charged, %llu %llu bytes, %u %u attached, "
	       "%ld %ld KiB, %ld %ld pins, %d %d spaces\n",
	       is.info.out_allocated, was->info.out_allocated, is.info.out_charged, was->info.out_charged,
	       is.info.out_mapped, was->info.out_mapped, is.info.out_attached, was->info.out_attached, is.kib,
	       was->kib, is.pinned, was->pinned, is.spaces, was->spaces);
	return 0;
}

/* Which allocation fails next: the first one again, when there were not so many */
static int next_of_round(int nth, int left, int *round)
{
	*round += !!left;
	return left ? 1 : nth + 1;
}

static void tell_sweep(const char *command, int failures)
{
	printf("# %s has failed %d times in %d rounds\n", command, failures, ROUNDS);
}

static void allocs(void)
{
	int fd = open("/dev/ioasid", O_RDWR), nth = 1, round = 0, ret, left, wrong = 0, failures = 0;
	struct state was;
	uint32_t id;

	look(fd, 0, &was);
	while (round < ROUNDS && nth < MOST && !wrong) {
		arm(nth);
		ret = alloc_far(fd, &id);
		left = disarm();
		if (ret) {
			failures++;
			wrong |= left || !is_err(ret, ENOMEM);
		} else {
			wrong |= ioas_free(fd, id, NULL);
		}
		wrong |= !is_as_before(fd, 0, &was);
		nth = next_of_round(nth, left, &round);
	}
	tell_sweep("ALLOC", failures);
	check(!wrong && round == ROUNDS && failures > 2 * ROUNDS, "an ALLOC that fails leaves nothing");
	close(fd);
}

/* A file with an attached IOASID, and small mappings before @iova, and, if asked for, behind @iova + @length */
static int prepare(uint32_t *id, uint64_t iova, uint64_t length, int both)
{
	uint64_t low = iova - BESIDE, high = iova + length;
	int fd = open("/dev/ioasid", O_RDWR);

	if (fd < 0 || ioas_alloc(fd, id) || ioas_map(fd, *id, before, BESIDE, RW | FIXED, &low) ||
	    (both && ioas_map(fd, *id, behind, BESIDE, RW | FIXED, &high)) || ioas_attach(&dev, fd, *id)) {
		printf("# not prepared: %s\n", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int has_beside(uint32_t id, uint64_t iova, uint64_t length, int both)
{
	return reads_all(id, iova - BESIDE, before, BESIDE) &&
	       (both ? reads_all(id, iova + length, behind, BESIDE) : refuses_all(id, iova + length, BESIDE));
}

/*
 * A MAP of @va of which the @nth allocation fails, or, if that is negative, all behind so many pages; then the same
 * again. 0 when all is as it should be; sets how many allocations it had left, 0 if one has failed, adds to @failures.
 */
static int fail_map(int nth, char *va, uint64_t iova, uint64_t length, int both, int *left, int *failures)
{
	int fd, ret, ok, unarmed;
	struct state was;
	uint32_t id;

	fd = prepare(&id, iova, length, both);
	if (fd < 0)
		return 1;
	look(fd, id, &was);
	unarmed = nth < 0 && starve(-nth);
	arm(nth < 0 ? 0 : nth);
	ret = ioas_map(fd, id, va, length, RW | FIXED, &iova);
	*left = disarm();
	unarmed |= nth < 0 && feed();
	ok = !ret && !unarmed;
	if (ret) {
		++*failures;
		ok = !unarmed && !*left && is_err(ret, ENOMEM) && is_as_before(fd, id, &was) &&
		     refuses_all(id, iova, length) && has_beside(id, iova, length, both);
		/* What was left of the tables is good enough */
		ok &= !ioas_map(fd, id, va, length, RW | FIXED, &iova);
	}
	mark(va, length);
	ok &= reads_all(id, iova, va, length) && has_beside(id, iova, length, both) &&
	      locked_kib() == was.kib + (long)length / 1024;
	ok &= !ioas_unmap(fd, id, iova, length) && is_as_before(fd, id, &was) && refuses_all(id, iova, length) &&
	      has_beside(id, iova, length, both);
	close(fd);
	if (!ok || locked_kib())
		printf("# allocation %d of MAP (%s)\n", nth, strerror(ret));
	return !ok || locked_kib();
}

static void maps(int both, const char *name)
{
	int nth = 1, round = 0, left, wrong = 0, failures = 0;

	while (round < ROUNDS && nth < MOST && !wrong) {
		wrong = fail_map(nth, memory, edge - MEGA, LENGTH, both, &left, &failures);
		nth = next_of_round(nth, left, &round);
	}
	tell_sweep("MAP", failures);
	/* For what the kernel keeps of a mapping, and for a table, or four */
	check(!wrong && round == ROUNDS && failures > (both ? 1 : 4) * ROUNDS, name);
}

/* Too many pages to look at all of them for each allocation */
static void large(char *va, int nth, const char *name)
{
	int left, wrong, failures = 0;

	wrong = fail_map(nth, va, edge, LARGE, 0, &left, &failures);
	check(!wrong && failures == 1, name);
}

static int has_interrupts_reserved(int fd, uint32_t id)
{
	struct ioasid_get_iova_ranges get = { .size = sizeof(get), .ioasid = id };
	uint64_t iova = INTERRUPTS;

	return !ioctl(fd, IOASID_GET_IOVA_RANGES, &get) && get.out_num == 2 &&
	       is_err(ioas_map(fd, id, memory, PAGE, RW | FIXED, &iova), EADDRINUSE);
}

static void attaches(void)
{
	int nth = 1, round = 0, fd, ret, left, wrong = 0, failures = 0, open_ranges = 0, pending;
	uint64_t iova = edge;
	struct state was;
	uint32_t id;

	while (round < ROUNDS && nth < MOST && !wrong) {
		fd = open("/dev/ioasid", O_RDWR);
		wrong |= alloc_far(fd, &id) || ioas_map(fd, id, memory, 2 * PAGE, RW | FIXED, &iova);
		look(fd, id, &was);
		arm(nth);
		ret = ioas_attach(&dev, fd, id);
		left = disarm();
		if (ret) {
			failures++;
			/* Without memory for the table of PASIDs the IOMMU has none for the device */
			wrong |= left || (ret != ENODEV && !is_err(ret, ENOMEM)) || !is_as_before(fd, id, &was) ||
				 !refuses_all(id, edge, 2 * PAGE) || ioas_attach(&dev, fd, id);
		}
		wrong |= !reads_all(id, edge, memory, 2 * PAGE) || !is_refused(&dev, id, edge + 2 * PAGE);
		if (!has_interrupts_reserved(fd, id)) {
			printf("# interrupts are not reserved when allocation %d of ATTACH has failed (%s)\n", nth,
			       strerror(ret));
			open_ranges++;
		}
		wrong |= ioas_detach(&dev, fd, id) || !is_as_before(fd, id, &was) || !refuses_all(id, edge, 2 * PAGE);
		wrong |= ioas_free(fd, id, &pending) || pending || locked_kib();
		close(fd);
		if (wrong)
			printf("# allocation %d of ATTACH (%s)\n", nth, strerror(ret));
		nth = next_of_round(nth, left, &round);
	}
	tell_sweep("ATTACH", failures);
	check(!wrong && round == ROUNDS && failures > 2 * ROUNDS,
	      "an ATTACH that fails attaches nothing, and works the next time");
	check(!open_ranges, "what the device has reserved is known whenever it is attached");
}

static void ranges(void)
{
	struct ioasid_iova_range r[4];
	struct ioasid_get_iova_ranges get = { .size = sizeof(get), .num = 4, .ranges = (uintptr_t)r };
	int fd = prepare(&get.ioasid, edge, PAGE, 0), nth = 1, round = 0, ret, left, wrong = fd < 0, failures = 0;

	while (round < ROUNDS && nth < MOST && !wrong) {
		get.out_num = 77;
		arm(nth);
		ret = ioctl(fd, IOASID_GET_IOVA_RANGES, &get) ? errno : 0;
		left = disarm();
		failures += !!ret;
		wrong |= ret ? left || !is_err(ret, ENOMEM) || get.out_num != 77 : get.out_num != 2;
		nth = next_of_round(nth, left, &round);
	}
	tell_sweep("GET_IOVA_RANGES", failures);
	check(!wrong && round == ROUNDS && failures >= ROUNDS, "GET_IOVA_RANGES fails, or tells all of them");
	close(fd);
}

enum { UNMAP, DETACH, FREE };

static void takes(int command)
{
	static const char *const names[] = { "UNMAP", "DETACH", "FREE" };
	char name[64];

	int nth = 1, round = 0, fd, left, wrong = 0, pending, ret;
	uint64_t iova = edge - MEGA;
	uint32_t id;

	while (round < ROUNDS && nth < MOST && !wrong) {
		fd = prepare(&id, iova, LENGTH, 1);
		wrong = fd < 0 || ioas_map(fd, id, memory, LENGTH, RW | FIXED, &iova);
		pending = 0;
		arm(nth);
		ret = command == UNMAP ? ioas_unmap(fd, id, 0, ~0ul) :
		      command == DETACH ? ioas_detach(&dev, fd, id) : ioas_free(fd, id, &pending);
		left = disarm();
		wrong |= !is_err(ret, 0) || pending || !refuses_all(id, iova - BESIDE, LENGTH + 2 * BESIDE);
		if (command != DETACH)
			wrong |= locked_kib() || (command == UNMAP && !has_entries(id, 0, 0));
		close(fd);
		wrong |= locked_kib();
		nth = next_of_round(nth, left, &round);
	}
	snprintf(name, sizeof(name), "%s works whatever fails", names[command]);
	check(!wrong && round == ROUNDS, name);
}

/* From here on */
static void open_log(void)
{
	log_file = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	lseek(log_file, 0, SEEK_END);
}

/*
 * All that a kernel has to say are requests of a device that are refused, and have no file to be told to; and that the
 * machine below it is slow.
 */
static int is_expected(const char *line)
{
	static const char *const words[] = { "DMAR: ", "callbacks suppressed", "hrtimer: ", "clocksource: ", "perf: " };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(line, words[i]))
			return 1;
	return 0;
}

static int log_is_as_expected(void)
{
	char line[2048], *text;
	int odd = 0;
	ssize_t length;

	while ((length = read(log_file, line, sizeof(line) - 1)) > 0 || (length < 0 && errno == EPIPE)) {
		line[length < 0 ? 0 : length] = 0;
		text = strchr(line, ';');
		if (!text || is_expected(text))
			continue;
		printf("# log: %.200s\n", strtok(text + 1, "\n"));
		odd++;
	}
	return !odd;
}

int main(int argc, char **argv)
{
	struct ioasid_get_info info;
	char *untouched;
	long pinned;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	check(!open_requester(&dev, argv[1], argv[2]) && !set_up_faults(),
	      "the device is opened, and allocations can be made fail");
	open_log();
	/* Small pages, so that each 2 MiB need a table */
	memory = scattered_memory(LARGE);
	before = scattered_memory(BESIDE);
	behind = scattered_memory(BESIDE);
	untouched = aligned_memory(LARGE, MADV_NOHUGEPAGE);
	check(memory && before && behind && untouched, "there is memory");
	if (failed)
		goto out;
	get_info(open("/dev/ioasid", O_RDWR), &info);
	edge = info.out_iova_last >> 40 ? 512ul << 30 : 65ul << 30;
	pinned = pinned_pages();
	allocs();
	attaches();
	ranges();
	maps(1, "a MAP that fails maps nothing, and leaves its neighbours: a table between two others");
	maps(0, "a MAP that fails maps nothing, and leaves its neighbour: tables of all levels");
	takes(UNMAP);
	takes(DETACH);
	takes(FREE);
	large(memory, LARGE / HUGE / 2, "a large MAP that fails in the middle for want of a table");
	large(memory, -(int)(LARGE / HUGE / 3), "and when there are no pages any more");
	large(untouched, -(int)(LARGE / PAGE / 2), "and for want of the memory itself");
	check(locked_kib() == 0 && pinned_pages() == pinned, "at the end nothing is charged, nor pinned");
	check(log_is_as_expected(), "and the log has nothing of it");
out:
	printf("1..%d\n", number);
	return failed;
}
