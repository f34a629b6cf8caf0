// SPDX-License-Identifier: GPL-2.0
/*
 * One IOASID of type SVA at queues of two DSAs at once: what the process unmaps or protects is so for both, what ends on one
 * leaves the other alone, and FREE, the close of its file and the end of the process end both. Prints TAP.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "ioas-sva.h"

#define COPIES 20
#define ROUNDS 20
#define KILLS 8
#define IN_FLIGHT 8
#define FLIGHT (16 * PAGE)
#define DECOY (64 * PAGE)

static struct queue queues[2];
static struct area area;
static int is_shared;

static const char *name_of(int i)
{
	static const char * const names[2][2] = { { DEDICATED, DEDICATED2 }, { SHARED, SHARED2 } };

	return names[is_shared][i];
}

static int open_both(void)
{
	return is_err(wq_open(&queues[0], name_of(0)), 0) && is_err(wq_open(&queues[1], name_of(1)), 0);
}

static int start_both(void)
{
	return is_err(wq_start(&queues[0], &area), 0) && is_err(wq_start(&queues[1], &area), 0);
}

static void close_both(void)
{
	wq_close(&queues[0]);
	wq_close(&queues[1]);
}

static int both_move(unsigned int who)
{
	return moves_own(&queues[0], who, COPIES) && moves_own(&queues[1], who + 1, COPIES);
}

/* Nothing is submitted any more, by write() or by what was the portal */
static int is_cut_off(struct queue *queue)
{
	int ok = is_err(write_error(queue), EINVAL) && (!queue->portal || portal_signal(queue) == SIGBUS);

	portal_unmap(queue);
	return ok;
}

static int user_passages(void)
{
	return line_count("/sys/kernel/debug/iommu_pasids", "domain SVA mode user");
}

/* Both copy what stands there */
static int both_copy(uint8_t *to, const uint8_t *from, unsigned int when)
{
	int ok = 1;

	for (int i = 0; i < 2; i++) {
		memset(to, 0, PAGE);
		ok &= own_status(&queues[i], to, from) == DSA_COMP_SUCCESS && filled(to, PAGE, 7, when);
	}
	return ok;
}

/* The page, which both have in their caches, goes; and there is another one */
static int both_see_what_is_mapped_anew(void)
{
	uint8_t *memory = map(2 * PAGE);
	int ok = 1;

	for (unsigned int i = 0; i < ROUNDS && ok; i++) {
		fill(memory, PAGE, 7, i);
		ok &= both_copy(memory + PAGE, memory, i);
		munmap(memory, PAGE);
		for (int j = 0; j < 2; j++)
			ok &= own_status(&queues[j], memory + PAGE, memory) > DSA_COMP_SUCCESS;
		ok &= map_at(memory, PAGE, PROT_READ | PROT_WRITE) == memory;
	}
	munmap(memory, 2 * PAGE);
	return ok;
}

/* Somebody else gets the page that both have written to */
static int page_leaves_both(void)
{
	uint8_t *memory = map(2 * PAGE), *decoy = map(DECOY);
	int ok = 1;

	fill(memory, PAGE, 7, 1);
	ok &= both_copy(memory + PAGE, memory, 1);
	madvise(memory + PAGE, PAGE, MADV_DONTNEED);
	memset(decoy, 0x11, DECOY);
	ok &= both_copy(memory + PAGE, memory, 1);
	for (size_t i = 0; i < DECOY; i++)
		ok &= decoy[i] == 0x11;
	munmap(memory, 2 * PAGE);
	munmap(decoy, DECOY);
	return ok;
}

static int neither_writes_behind_mprotect(void)
{
	uint8_t *memory = map(2 * PAGE);
	int ok;

	fill(memory, PAGE, 7, 0);
	ok = both_copy(memory + PAGE, memory, 0);
	fill(memory, PAGE, 7, 1);
	mprotect(memory + PAGE, PAGE, PROT_READ);
	for (int i = 0; i < 2; i++)
		ok &= own_status(&queues[i], memory + PAGE, memory) > DSA_COMP_SUCCESS && filled(memory + PAGE, PAGE, 7, 0);
	/* Given back, what they may is as it was */
	mprotect(memory + PAGE, PAGE, PROT_READ | PROT_WRITE);
	ok &= both_copy(memory + PAGE, memory, 1);
	munmap(memory, 2 * PAGE);
	return ok;
}

static struct dsa_hw_desc flights[2][IN_FLIGHT] __attribute__((aligned(64)));
static struct dsa_completion_record flown[2][IN_FLIGHT] __attribute__((aligned(32)));

/* All to the same place */
static int start_flights(uint8_t *to, const uint8_t *from, size_t size)
{
	int ok = 1;

	for (int i = 0; i < IN_FLIGHT; i++)
		for (int j = 0; j < 2; j++) {
			flown[j][i].status = 0;
			flights[j][i] = memmove_of(to, from, size, &flown[j][i], 1);
			ok &= !give(&queues[j], &flights[j][i]);
		}
	return ok;
}

/* Each copy is done, or came too late; returns how many did, or -1 */
static int faults_of_flights(void)
{
	int faults = 0;

	for (int i = 0; i < 2 * IN_FLIGHT; i++) {
		int status = wait_for(&flown[i % 2][i / 2]) & DSA_COMP_STATUS_MASK;

		if (status != DSA_COMP_SUCCESS && status != DSA_COMP_PAGE_FAULT_NOBOF && status != DSA_COMP_PAGE_FAULT_IR) {
			printf("# in flight: status %#x\n", status);
			return -1;
		}
		faults += status != DSA_COMP_SUCCESS;
	}
	return faults;
}

/* With page faults of both that wait; whose pages they are then finds what he wrote */
static int neither_writes_what_is_unmapped(void)
{
	uint8_t *from = map(FLIGHT), *decoy = map(DECOY);
	int ok = 1, faults = 0;

	fill(from, FLIGHT, 7, 0);
	for (int i = 0; i < ROUNDS && ok; i++) {
		uint8_t *to = map(FLIGHT);
		int late;

		ok &= start_flights(to, from, FLIGHT);
		usleep(i % 4 * 50);
		munmap(to, FLIGHT);
		memset(decoy, 0x11, DECOY);
		late = faults_of_flights();
		ok &= late >= 0;
		faults += late;
		for (size_t j = 0; j < DECOY; j++)
			ok &= decoy[j] == 0x11;
		madvise(decoy, DECOY, MADV_DONTNEED);
	}
	printf("# %d of %d copies came too late\n", faults, ROUNDS * 2 * IN_FLIGHT);
	munmap(from, FLIGHT);
	munmap(decoy, DECOY);
	return ok && faults;
}

/* Nobody but this process has something attached */
static int one_ends(int ends, int stays)
{
	int ok = is_err(wq_detach(&queues[ends], &area), 0) && is_cut_off(&queues[ends]) && attached_by(area.fd) == 1 &&
		 user_passages() == 1;

	ok &= sees_what_is_mapped_anew(&queues[stays]) && moves_own(&queues[stays], 20, COPIES);
	ok &= is_err(wq_start(&queues[ends], &area), 0) && attached_by(area.fd) == 2 && both_move(21);
	return ok;
}

/* The same by the close of its queue */
static int one_is_closed(int ends, int stays)
{
	int ok;

	wq_close(&queues[ends]);
	ok = attached_by(area.fd) == 1 && sees_what_is_mapped_anew(&queues[stays]);
	return ok && !wq_open(&queues[ends], name_of(ends)) && is_err(wq_start(&queues[ends], &area), 0) && both_move(22);
}

static int both_are_cut_off(void)
{
	int ok = is_cut_off(&queues[0]);

	return is_cut_off(&queues[1]) && ok && user_passages() == 0;
}

static void test_two(void)
{
	int fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC), ok;

	ok = !sva_open(&area, fd) && open_both();
	of(&queues[0], ok, "an IOASID, and queues of two devices");
	ok = ok && start_both() && attached_by(fd) == 2;
	of(&queues[0], ok, "it is attached to both");
	if (!ok)
		return;
	of(&queues[0], user_passages() == 2, "which debugfs shows");
	of(&queues[0], both_move(1), "page faults of both are served");
	of(&queues[0], both_see_what_is_mapped_anew(), "what is unmapped is so for both, and what is mapped anew");
	of(&queues[0], page_leaves_both(), "a page that is given back leaves both");
	of(&queues[0], neither_writes_behind_mprotect(), "neither writes what cannot be written any more");
	of(&queues[0], neither_writes_what_is_unmapped(), "neither writes to what is unmapped under it");
	of(&queues[0], one_ends(0, 1) && one_ends(1, 0), "detached from one, it stays with the other");
	of(&queues[0], one_is_closed(0, 1) && one_is_closed(1, 0), "closed, one leaves the other");
	of(&queues[0], is_err(sva_free(&area), 0) && both_are_cut_off() && allocated(fd) == 0, "FREE ends both");
	of(&queues[0], !sva_open(&area, fd) && start_both() && both_move(3), "another one is attached to both");
	close(fd);
	of(&queues[0], both_are_cut_off(), "the close of its file ends both");
	close_both();
}

/* Of all processes: what the devices write to all the time, and the number of the last one that had them do so */
static struct common {
	uint8_t page[PAGE];
	uint32_t id;
} *common;

static int write_common(const uint8_t *from)
{
	return start_flights(common->page, from, PAGE) && faults_of_flights() == 0;
}

/* The files of a process, which its child has as well, are of no use there; it closes them when it is told to */
static void keep_files(int talk)
{
	hear(talk);
	close_both();
	say(talk, 'c');
	exit(0);
}

/* Nothing but a signal ends it */
static int writes_until_killed(int talk, int keep)
{
	int ok = !sva_open(&area, area.fd) && open_both() && start_both();
	uint8_t *from = map(PAGE);

	common->id = area.id;
	memset(from, 0x33, PAGE);
	if (ok && keep && !fork())
		keep_files(talk);
	say(talk, ok && write_common(from) ? 'o' : 'x');
	while (ok)
		ok = write_common(from);
	say(talk, 'x');
	return 1;
}

static int is_killed(int talk)
{
	return writes_until_killed(talk, 0);
}

static int is_killed_with_files_kept(int talk)
{
	return writes_until_killed(talk, 1);
}

/* After some time in which both have written, neither does */
static int stops_writing(struct child *child, unsigned int after)
{
	int ok = heard(child, 'o');

	usleep(after);
	ok &= common->page[0] == 0x33 && common->page[PAGE - 1] == 0x33;
	ok &= poll(&(struct pollfd){ .fd = child->talk, .events = POLLIN }, 1, 0) == 0;
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	memset(common->page, 0x44, PAGE);
	usleep(20000);
	for (size_t i = 0; i < PAGE; i++)
		ok &= common->page[i] == 0x44;
	return ok;
}

static struct child start_to_be_killed(int (*run)(int talk), int fd)
{
	area.fd = fd;
	memset(common, 0, sizeof(*common));
	return start(run);
}

static void test_death(void)
{
	int fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC), ok = 1;

	for (int i = 0; i < KILLS && ok; i++) {
		struct child child = start_to_be_killed(is_killed, fd);

		ok &= stops_writing(&child, i * 2000);
		ok &= attached_by(fd) == 0 && user_passages() == 0 && allocated(fd) == i + 1;
		close(child.talk);
	}
	of(&queues[0], ok, "a process that is killed leaves both, and its number to the file");
	close(fd);
}

static int is_live(int fd, uint32_t id)
{
	struct ioasid_query query = { .size = sizeof(query), .ioasid = id };

	return !ioctl(fd, IOASID_QUERY, &query) && query.out_state == IOASID_STATE_LIVE;
}

static int files_are_closed(struct child *child)
{
	say(child->talk, 'e');
	return heard(child, 'c');
}

static void test_death_of_memory(void)
{
	int fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC), ok = 1;

	for (int i = 0; i < KILLS && ok; i++) {
		struct child child = start_to_be_killed(is_killed_with_files_kept, fd);

		ok &= stops_writing(&child, i * 2000);
		/* Nobody has closed anything */
		ok &= attached_by(fd) == 2 && user_passages() == 2 && is_live(fd, common->id);
		ok &= is_err(sva_free(&(struct area){ .fd = fd, .id = common->id }), 0);
		ok &= attached_by(fd) == 0 && user_passages() == 0 && allocated(fd) == 0;
		ok = ok && files_are_closed(&child);
		close(child.talk);
	}
	of(&queues[0], ok, "when its files are open elsewhere, both have its number until FREE, and reach nothing");
	close(fd);
}

static void test_of(int shared)
{
	is_shared = shared;
	test_two();
	test_death();
	test_death_of_memory();
}

#define BOTH(command) QUEUES command " && DSA=1 " QUEUES command

int main(void)
{
	struct rest before;

	printf("TAP version 13\n");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell(BOTH("load") " && " BOTH("queue 0 ioasid 0 1") " && " BOTH("queue 1 ioasid 0 1")),
	      "queues of two DSAs in mode ioasid");
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	before = the_rest();
	test_of(0);
	test_of(1);
	check(is_as_before(&before), "nothing is left");
	check(shell(BOTH("off 0 1")) && !log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"),
	      "the driver goes");
	printf("1..%d\n", number);
	return failed;
}
