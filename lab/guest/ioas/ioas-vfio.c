/*
 * usage: ioas-vfio GROUP DEVICE [device-tlb]
 *
 * Prints TAP. A process maps its memory in IOASIDs of /dev/ioasid, attaches them to a device of VFIO, and asks the
 * device what it reaches: what is mapped, with the PASID that it is mapped for, as long as it is.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "ioas-check.h"

/* Far from what the kernel chooses */
#define PLACE (64ul << 30)
#define INTERRUPTS 0xfee00000ul
#define PAGES 512
#define STEPS 1500
#define RACES 40

static const char *group_number, *device_name;
static int fd;
static uint64_t *memory;	/* of PAGES, of which each begins with its number and MARK */

#define MARK 0x1234567800000000ul

static void *page(unsigned int nr)
{
	return (char *)memory + nr * PAGE;
}

static uint64_t value_of(unsigned int nr)
{
	return MARK | nr;
}

static void attach_and_map(void)
{
	uint64_t first = PLACE, second = 0;
	struct space space;
	uint32_t id, other;
	int pending = -1;

	check(!ioas_alloc(fd, &id) && !ioas_alloc(fd, &other) && id != other, "two IOASIDs");
	check(!ioas_map(fd, id, page(1), PAGE, RW | FIXED, &first) && first == PLACE, "a page is mapped before it is attached");
	check(is_refused(&dev, id, PLACE), "the device does not reach it");
	check(!ioas_attach(&dev, fd, id), "it is attached");
	check(reads(&dev, id, PLACE, value_of(1)), "the device reads the page");
	check(writes(&dev, id, PLACE + 8, 4711) && ((uint64_t *)page(1))[1] == 4711, "and writes to it");
	check(is_refused(&dev, id, PLACE - PAGE) && is_refused(&dev, id, PLACE + PAGE) && is_refused(&dev, id, 0),
	      "but not beside it");
	check(is_refused(&dev, other, PLACE) && is_refused(&dev, id + 100, PLACE), "nor with another PASID");
	check(is_err(ioas_attach(&dev, fd, id), EBUSY), "it is not attached twice");
	check(!ioas_map(fd, id, page(2), 2 * PAGE, RW, &second) && reads(&dev, id, second, value_of(2)) &&
	      reads(&dev, id, second + PAGE, value_of(3)), "what is mapped later is reached, too");

	check(!ioas_attach(&dev, fd, other), "the other one is attached");
	check(is_refused(&dev, other, PLACE), "it has nothing of the first");
	check(!ioas_map(fd, other, page(4), PAGE, RW | FIXED, &first) && reads(&dev, other, PLACE, value_of(4)) &&
	      reads(&dev, id, PLACE, value_of(1)), "each has its own memory at the same address");

	check(!ioas_unmap(fd, id, PLACE, PAGE) && is_refused(&dev, id, PLACE), "what is unmapped is not reached any more");
	check(reads(&dev, other, PLACE, value_of(4)), "in the other one it is");
	check(!ioas_detach(&dev, fd, other) && is_refused(&dev, other, PLACE), "nor what is detached");
	check(is_err(ioas_detach(&dev, fd, other), ENOENT), "it is not detached twice");
	check(!ioas_attach(&dev, fd, other) && reads(&dev, other, PLACE, value_of(4)), "attached again it is");
	check(!ioas_free(fd, other, &pending) && !pending && is_refused(&dev, other, PLACE), "FREE detaches, and waits for that");
	check(!ioas_free(fd, id, &pending) && !pending, "the first is freed with a mapping");
	check(!read_space(id, &space), "and nothing is left of either");
	check(locked_kib() == 0, "nothing is charged");
}

static void permissions(void)
{
	uint64_t iova = PLACE, zero = PLACE + MEGA;
	uint64_t *untouched;
	uint32_t id;

	ioas_alloc(fd, &id);
	ioas_attach(&dev, fd, id);
	check(!ioas_map(fd, id, page(1), PAGE, IOASID_MAP_READ | FIXED, &iova) && reads(&dev, id, iova, value_of(1)),
	      "a page to be read is read");
	check(!writes(&dev, id, iova, 1) && *(uint64_t *)page(1) == value_of(1), "and not written to");
	untouched = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(!ioas_map(fd, id, untouched, PAGE, IOASID_MAP_READ | FIXED, &zero) && reads(&dev, id, zero, 0),
	      "memory that nobody has touched is zeroes");
	*untouched = 815;
	check(reads(&dev, id, zero, 815), "and what is written there later is read by the device");
	if (!fork()) {
		/* A child that writes gets a copy: the device stays with the parent */
		*untouched = 1;
		_exit(0);
	}
	wait(NULL);
	*untouched = 816;
	check(reads(&dev, id, zero, 816), "a fork changes nothing");
	munmap(untouched, PAGE);
	check(reads(&dev, id, zero, 816), "nor does the end of the process's mapping");
	check(!ioas_unmap(fd, id, 0, ~0ul) && is_refused(&dev, id, zero) && is_refused(&dev, id, iova),
	      "unmapping everything does");
	ioas_free(fd, id, NULL);
}

static void refusals(void)
{
	struct ioasid_alloc none = { .size = sizeof(none), .max = ~0u };
	struct ioasid_device_info info = { .size = sizeof(info) };
	uint64_t iova = INTERRUPTS;
	uint32_t id;

	check(!ioctl(dev.fd, IOASID_DEVICE_INFO, &info) && info.out_ioasid_last == (1u << 20) - 1 &&
	      info.out_types & 1u << IOASID_TYPE_IOVA, "DEVICE_INFO");
	ioctl(fd, IOASID_ALLOC, &none);
	check(is_err(ioas_attach(&dev, fd, none.out_ioasid), EINVAL), "an IOASID that is only a number is not attached");
	check(is_err(ioas_attach(&dev, fd, 77777), ENOENT), "nor one that is not there");
	check(is_err(ioas_attach(&dev, dev.fd, 1), EBADF) && is_err(ioas_attach(&dev, -1, 1), EBADF),
	      "nor one of another file");
	check(ioctl(dev.fd, IOASID_MAP, &info) && errno == ENOTTY && ioctl(fd, IOASID_DEVICE_INFO, &info) &&
	      errno == ENOTTY, "each file has its own commands");

	ioas_alloc(fd, &id);
	check(!ioas_map(fd, id, page(0), PAGE, RW | FIXED, &iova), "a page is mapped where interrupts go");
	check(is_err(ioas_attach(&dev, fd, id), EADDRINUSE), "with it, nothing is attached");
	check(!ioas_unmap(fd, id, iova, PAGE) && !ioas_attach(&dev, fd, id), "without it is");
	check(is_err(ioas_map(fd, id, page(0), PAGE, RW | FIXED, &iova), EADDRINUSE), "then it is not mapped");
	check(!ioas_detach(&dev, fd, id) && !ioas_map(fd, id, page(0), PAGE, RW | FIXED, &iova),
	      "when it is detached it is");
	ioas_free(fd, id, NULL);
}

/* What this machine has is what GET_INFO says, and what ALLOC takes; ioas-nest is of one that has it */
static void nesting(void)
{
	struct ioasid_alloc parent = { .size = sizeof(parent), .flags = IOASID_ALLOC_NEST_PARENT, .type = IOASID_TYPE_IOVA,
				       .max = ~0u };
	struct ioasid_alloc table = { .size = sizeof(table), .type = IOASID_TYPE_PGTABLE, .max = ~0u,
				      .format = IOASID_FORMAT_VTD_S1, .addr_width = 48 };
	struct ioasid_device_info device = { .size = sizeof(device) };
	struct ioasid_get_info info = { .size = sizeof(info) };

	ioctl(fd, IOASID_GET_INFO, &info);
	ioctl(dev.fd, IOASID_DEVICE_INFO, &device);
	/* ECAP_REG.NEST */
	if (device.out_vtd_ecap >> 26 & 1) {
		check(info.out_types & 1u << IOASID_TYPE_PGTABLE && !ioctl(fd, IOASID_ALLOC, &parent) &&
		      !ioas_free(fd, parent.out_ioasid, NULL), "tables of users, on an IOMMU that nests");
		return;
	}
	ioas_alloc(fd, &table.parent);
	check(!(info.out_types & 1u << IOASID_TYPE_PGTABLE) && !info.out_formats &&
	      !(info.out_features & IOASID_FEATURE_NEST_PARENT) && !(device.out_types & 1u << IOASID_TYPE_PGTABLE) &&
	      ioctl(fd, IOASID_ALLOC, &parent) && errno == EOPNOTSUPP && ioctl(fd, IOASID_ALLOC, &table),
	      "no tables of users, on an IOMMU that does not nest");
	ioas_free(fd, table.parent, NULL);
}

static void ranges(void)
{
	struct ioasid_get_info info = { .size = sizeof(info) };
	struct ioasid_iova_range r[4] = {};
	struct ioasid_get_iova_ranges get = { .size = sizeof(get), .num = 4, .ranges = (uintptr_t)r };
	int whole;

	ioctl(fd, IOASID_GET_INFO, &info);
	ioas_alloc(fd, &get.ioasid);
	whole = !ioctl(fd, IOASID_GET_IOVA_RANGES, &get) && get.out_num == 1 && !r[0].start &&
		r[0].last == info.out_iova_last && get.out_alignment == PAGE;
	check(whole, "all addresses can be mapped");
	ioas_attach(&dev, fd, get.ioasid);
	check(!ioctl(fd, IOASID_GET_IOVA_RANGES, &get) && get.out_num == 2 && r[0].last == INTERRUPTS - 1 &&
	      r[1].start == INTERRUPTS + MEGA && r[1].last == info.out_iova_last, "but for those of interrupts");
	get.num = 1;
	check(!ioctl(fd, IOASID_GET_IOVA_RANGES, &get) && get.out_num == 2, "that there are more is told");
	ioas_free(fd, get.ioasid, NULL);
}

/* In which order the files are closed does not matter */
static void closes(void)
{
	uint64_t iova = PLACE;
	uint32_t id, old;
	int own;

	own = open("/dev/ioasid", O_RDWR);
	ioas_alloc(own, &id);
	ioas_map(own, id, page(1), PAGE, RW | FIXED, &iova);
	ioas_attach(&dev, own, id);
	check(reads(&dev, id, iova, value_of(1)) && locked_kib() == 4, "a page of another file is read");
	close(own);
	check(is_refused(&dev, id, iova), "after its close it is not");
	check(locked_kib() == 0, "nor charged");

	ioas_alloc(fd, &id);
	ioas_map(fd, id, page(1), PAGE, RW | FIXED, &iova);
	ioas_attach(&dev, fd, id);
	old = id;
	close_requester(&dev);
	check(!open_requester(&dev, group_number, device_name), "the device is closed, and opened again");
	check(is_refused(&dev, old, iova), "it does not reach what it did");
	check(is_err(ioas_detach(&dev, fd, id), ENOENT), "it is not attached any more");
	check(!ioas_attach(&dev, fd, id) && reads(&dev, id, iova, value_of(1)), "attached again it does");
	check(!ioctl(dev.fd, VFIO_DEVICE_RESET) || errno == ENOTTY || errno == EINVAL, "a reset, if it has one");
	ioas_free(fd, id, NULL);
}

/* A user that is killed leaves nothing: the device is free for the next one, and refuses what it had */
static void killed(void)
{
	uint64_t iova = PLACE;
	int ready[2], own;
	uint32_t id = 0;
	char text[32];
	pid_t child;

	close_requester(&dev);
	if (pipe(ready))
		return;
	child = fork();
	if (!child) {
		own = open("/dev/ioasid", O_RDWR);
		if (open_requester(&dev, group_number, device_name) || ioas_alloc(own, &id) ||
		    ioas_map(own, id, page(1), PAGES / 2 * PAGE, RW | FIXED, &iova) || ioas_attach(&dev, own, id) ||
		    !reads(&dev, id, iova, value_of(1)))
			id = 0;
		dprintf(ready[1], "%u\n", id);
		pause();
		_exit(0);
	}
	check(read(ready[0], text, sizeof(text)) > 0 && (id = atoi(text)), "a child has the device");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	check(!open_requester(&dev, group_number, device_name), "when it is killed another one gets it");
	check(is_refused(&dev, id, iova), "which does not reach the child's memory");
	close(ready[0]);
	close(ready[1]);
}

/* What the tree of mappings, the page table and the caches say, against a table of this program */
static void sequence(void)
{
	static unsigned short at[4 * PAGES];	/* page of memory + 1 that is mapped at PLACE + n pages */
	static unsigned short from[4 * PAGES];	/* where the mapping begins, n + 1 */
	unsigned int step, n, len, nr, wrong = 0, i;
	uint64_t iova;
	uint32_t id;
	int ret, want;

	srandom(18);
	memset(at, 0, sizeof(at));
	ioas_alloc(fd, &id);
	ioas_attach(&dev, fd, id);
	for (step = 0; step < STEPS && wrong < 5; step++) {
		n = random() % (4 * PAGES - 64);
		len = 1 + (random() % 4 ? random() % 4 : random() % 64);
		nr = random() % (PAGES - 64);
		iova = PLACE + n * PAGE;
		want = 0;
		if (random() % 2) {
			for (i = n; i < n + len; i++)
				want = at[i] ? EEXIST : want;
			ret = ioas_map(fd, id, page(nr), len * PAGE, RW | FIXED, &iova);
			for (i = n; i < n + len && !want; i++) {
				at[i] = nr + i - n + 1;
				from[i] = n + 1;
			}
		} else {
			want = ENOENT;
			for (i = n; i < n + len; i++)
				want = at[i] ? 0 : want;
			if (at[n] && n && at[n - 1] && from[n - 1] == from[n])
				want = EINVAL;
			if (at[n + len - 1] && at[n + len] && from[n + len - 1] == from[n + len])
				want = EINVAL;
			ret = ioas_unmap(fd, id, iova, len * PAGE);
			if (!want)
				memset(&at[n], 0, len * sizeof(at[0]));
		}
		if (ret != want) {
			printf("# step %u, %u pages at %u: %s, not %s\n", step, len, n, strerror(ret), strerror(want));
			wrong++;
		}
		/* At both ends, and somewhere */
		for (i = 0; i < 3; i++) {
			n = i == 0 ? n : i == 1 ? n + len : random() % (4 * PAGES);
			iova = PLACE + n * PAGE;
			if (at[n] ? !reads(&dev, id, iova, value_of(at[n] - 1)) : !is_refused(&dev, id, iova)) {
				printf("# step %u: page %u is %s\n", step, n, at[n] ? "not read" : "not refused");
				wrong++;
			}
		}
	}
	for (n = 0; n < 4 * PAGES; n++) {
		iova = PLACE + n * PAGE;
		wrong += at[n] ? !reads(&dev, id, iova, value_of(at[n] - 1)) : !is_refused(&dev, id, iova);
	}
	check(!wrong, "a long sequence does as a model does");
	ioas_free(fd, id, NULL);
	check(locked_kib() == 0, "after it nothing is charged");
}

static uint32_t raced;
static int raced_fd;

static void *race_free(void *unused)
{
	(void)unused;
	ioas_free(raced_fd, raced, NULL);
	return NULL;
}

static void *race_detach(void *unused)
{
	(void)unused;
	ioas_detach(&dev, raced_fd, raced);
	return NULL;
}

static void *race_close(void *unused)
{
	(void)unused;
	close(raced_fd);
	return NULL;
}

static void *race_attach(void *unused)
{
	(void)unused;
	ioas_attach(&dev, raced_fd, raced);
	return NULL;
}

static void *race_map(void *unused)
{
	uint64_t iova;

	(void)unused;
	if (!ioas_map(raced_fd, raced, page(8), 16 * PAGE, RW, &iova))
		ioas_unmap(raced_fd, raced, iova, 16 * PAGE);
	return NULL;
}

static void races(void)
{
	static void *(*const all[])(void *) = { race_free, race_detach, race_close, race_attach, race_map, race_free };
	unsigned int round, i, reached = 0;
	pthread_t threads[6];
	uint64_t iova = PLACE;

	for (round = 0; round < RACES; round++) {
		raced_fd = open("/dev/ioasid", O_RDWR);
		if (ioas_alloc(raced_fd, &raced) || ioas_map(raced_fd, raced, page(1), PAGE, RW | FIXED, &iova) ||
		    (round % 2 && ioas_attach(&dev, raced_fd, raced)))
			break;
		for (i = 0; i < 6; i++)
			pthread_create(&threads[i], NULL, all[(i + round) % 6], NULL);
		for (i = 0; i < 6; i++)
			pthread_join(threads[i], NULL);
		reached += !is_refused(&dev, raced, iova);
	}
	check(round == RACES && !reached, "FREE, DETACH, close, ATTACH and MAP at once");
	check(locked_kib() == 0, "leave nothing charged");
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned int i;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	group_number = argv[1];
	device_name = argv[2];
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < PAGES; i++)
		*(uint64_t *)page(i) = value_of(i);
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, group_number, device_name), "/dev/ioasid and the device are opened");
	if (failed)
		goto out;
	attach_and_map();
	permissions();
	refusals();
	nesting();
	ranges();
	closes();
	killed();
	sequence();
	races();
out:
	printf("1..%d\n", number);
	return failed;
}
