// SPDX-License-Identifier: GPL-2.0
/*
 * A process that has an IOASID of type SVA attached calls exec(), with its files open and the device at work. The device is
 * kept out of both address spaces, the old number stays with the file of /dev/ioasid, and the new program, which cannot
 * attach it, frees it and has one of its own. Prints TAP.
 *
 * usage: ioas-sva-exec                                    runs it
 *        ioas-sva-exec new QUEUE FD OLD FILE COMMON TALK  is the new program
 */
#define _GNU_SOURCE
#include "ioas-sva.h"

#define COPIES 20
/* The device has to fetch each page, which takes longer than exec() */
#define IN_FLIGHT 8
#define FLIGHT (256 * PAGE)
#define EXECS 4
#define TRIES 5

/* In a file: what the device writes to, by way of the old program, and both programs look at */
struct common {
	struct dsa_completion_record records[IN_FLIGHT] __attribute__((aligned(4096)));
	uint8_t flights[IN_FLIGHT][FLIGHT] __attribute__((aligned(4096)));
};

static struct common *map_common(int file)
{
	return mmap(NULL, sizeof(struct common), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

/* What there is of the old program in the new one */
struct rests {
	struct area area;
	struct queue queue;
	int common, talk;
};

static int exec_with(const struct rests *r, const char *name)
{
	const int numbers[] = { r->area.fd, r->area.id, r->queue.file, r->common, r->talk };
	char words[5][16];

	for (int i = 0; i < 5; i++)
		snprintf(words[i], sizeof(words[i]), "%d", numbers[i]);
	execl("/proc/self/exe", "ioas-sva-exec", "new", name, words[0], words[1], words[2], words[3], words[4], NULL);
	return 1;
}

static const char *queue_name;

static int calls_exec(int talk)
{
	static struct dsa_hw_desc flights[IN_FLIGHT] __attribute__((aligned(64)));
	struct rests r = { .common = memfd_create("common", 0), .talk = talk };
	struct common *common;
	uint8_t *from = map(FLIGHT);
	int ok;

	enter_cgroup();
	ok = !ftruncate(r.common, sizeof(*common)) && !sva_open(&r.area, open("/dev/ioasid", O_RDWR | O_NONBLOCK)) &&
	     !wq_open(&r.queue, queue_name) && !fcntl(r.queue.file, F_SETFD, 0) && is_err(wq_start(&r.queue, &r.area), 0);
	ok = ok && moves_own(&r.queue, 1, COPIES);
	common = map_common(r.common);
	memset(common->records, 0, sizeof(common->records));
	memset(from, 0x33, FLIGHT);
	for (int i = 0; ok && i < IN_FLIGHT; i++) {
		flights[i] = memmove_of(common->flights[i], from, FLIGHT, &common->records[i], 1);
		ok &= !give(&r.queue, &flights[i]);
	}
	say(talk, ok ? 'o' : 'x');
	return ok ? exec_with(&r, queue_name) : 1;
}

static int status_of(const struct common *common, int i)
{
	return *(volatile uint8_t *)&common->records[i].status & DSA_COMP_STATUS_MASK;
}

static int unfinished(const struct common *common)
{
	int number = 0;

	for (int i = 0; i < IN_FLIGHT; i++)
		number += !status_of(common, i);
	return number;
}

static int failures(const struct common *common)
{
	int number = 0;

	for (int i = 0; i < IN_FLIGHT; i++)
		number += status_of(common, i) > DSA_COMP_SUCCESS;
	return number;
}

/*
 * What was in flight does not go on. Its record has an error, when the memory went while the device waited for a page, or
 * nothing, as the record is out of reach, too. A page fault that is served keeps the memory until it is.
 */
static int is_blocked(struct common *common)
{
	int silent, ok = 1;

	usleep(100000);
	silent = unfinished(common);
	memset(common->flights, 0x44, sizeof(common->flights));
	usleep(200000);
	ok &= unfinished(common) == silent;
	for (int i = 0; i < IN_FLIGHT; i++)
		for (size_t j = 0; j < FLIGHT; j++)
			ok &= common->flights[i][j] == 0x44;
	printf("# statuses:");
	for (int i = 0; i < IN_FLIGHT; i++)
		printf(" %#x", status_of(common, i));
	printf("\n");
	return ok;
}

static int is_kept(const struct area *area)
{
	struct ioasid_query query = { .size = sizeof(query), .ioasid = area->id };

	return !ioctl(area->fd, IOASID_QUERY, &query) && query.out_state == IOASID_STATE_LIVE && allocated(area->fd) == 1 &&
	       attached_by(area->fd) == 1 && ids_charged() == 1;
}

static int is_of_no_use(struct queue *queue, const struct area *area)
{
	int ok = is_err(write_error(queue), EPERM) && is_err(wq_attach(queue, area), EPERM) &&
		 is_err(wq_detach(queue, area), EPERM);

	return ok && is_err(portal_map(queue), EPERM);
}

/* By a queue that the new program has opened: one that is shared, whichever the old one had */
static int has_one_of_its_own(struct queue *queue, struct area *own, const struct area *area)
{
	return !wq_open(queue, SHARED) && is_err(wq_attach(queue, area), EPERM) && is_err(write_error(queue), EINVAL) &&
	       is_err(sva_open(own, area->fd), 0) && is_err(wq_start(queue, own), 0) && moves_own(queue, 2, COPIES) &&
	       ids_charged() == 2 && attached_by(area->fd) == 2;
}

/* By the close of the queue, or by FREE */
static int is_detached(struct queue *queue, const struct area *area, int by_close)
{
	int ok = 1;

	if (by_close) {
		wq_close(queue);
		ok = attached_by(area->fd) == 1 && allocated(area->fd) == 2 && ids_charged() == 2;
	}
	return is_err(sva_free(area), 0) && ok && attached_by(area->fd) == 1 && allocated(area->fd) == 1 && ids_become(1);
}

/* The queue of the old program is one of the new one, which has the same number perhaps */
static int has_its_queue(struct queue *queue, struct area *own, const char *name)
{
	struct area again;

	return !wq_open(queue, name) && is_err(sva_open(&again, own->fd), 0) && is_err(wq_start(queue, &again), 0) &&
	       moves_own(queue, 3, COPIES) && sees_what_is_mapped_anew(queue) && is_err(sva_free(&again), 0);
}

static int new_program(char **args)
{
	struct rests r = { .area = { .fd = atoi(args[1]), .id = atoi(args[2]) }, .queue = { .file = atoi(args[3]) } };
	struct common *common = map_common(atoi(args[4]));
	int talk = atoi(args[5]), by_close, ok;
	struct queue queue;
	struct area own;

	r.queue.shared = !strcmp(args[0], SHARED);
	ok = is_blocked(common);
	/* Nothing was in flight, and nothing is known */
	if (!unfinished(common) && !failures(common))
		return 0;
	say(talk, ok ? 'y' : 'n');
	say(talk, no_event(&r.area) ? 'y' : 'n');
	say(talk, is_kept(&r.area) ? 'y' : 'n');
	say(talk, is_of_no_use(&r.queue, &r.area) ? 'y' : 'n');
	say(talk, has_one_of_its_own(&queue, &own, &r.area) ? 'y' : 'n');
	by_close = hear(talk) == 'c';
	say(talk, is_detached(&r.queue, &r.area, by_close) ? 'y' : 'n');
	if (!by_close)
		wq_close(&r.queue);
	say(talk, has_its_queue(&r.queue, &own, args[0]) ? 'y' : 'n');
	return 0;
}

/* Until there was something in flight; the first answer of the new program */
static char start_and_exec(struct child *child)
{
	for (int i = 0; i < TRIES; i++) {
		char answer;

		*child = start(calls_exec);
		answer = heard(child, 'o') ? hear(child->talk) : 'x';
		if (answer)
			return answer;
		if (!end(child) || !ids_become(0))
			return 'x';
	}
	return 0;
}

static void test_exec(const char *name, int by_close)
{
	static const char * const before[] = {
		"which is no event", "the number stays with the file, and attached", "the file of the queue is of no use",
		"the new program attaches one of its own only",
	};
	struct queue queue = { .shared = !strcmp(name, SHARED) };
	struct child child;

	queue_name = name;
	of(&queue, start_and_exec(&child) == 'y', "what is in flight ends with exec()");
	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++)
		of(&queue, heard(&child, 'y'), before[i]);
	say(child.talk, by_close ? 'c' : 'f');
	of(&queue, heard(&child, 'y'), by_close ? "the close of the queue detaches it, and FREE frees it" :
	   "FREE detaches and frees it");
	of(&queue, heard(&child, 'y'), "then the new program has the queue");
	of(&queue, end(&child) && ids_become(0), "which ends, and nothing is charged");
}

int main(int argc, char **argv)
{
	struct rest before;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 8 && !strcmp(argv[1], "new"))
		return new_program(argv + 2);
	printf("TAP version 13\n");
	signal(SIGPIPE, SIG_IGN);
	check(shell(QUEUES "load && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"),
	      "two queues in mode ioasid");
	make_cgroup("max");
	before = the_rest();
	for (int i = 0; i < EXECS && !failed; i++)
		test_exec(i % 4 < 2 ? DEDICATED : SHARED, i % 2);
	check(is_as_before(&before), "nothing is left");
	check(shell(QUEUES "off 0 1") && !log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"),
	      "the driver goes");
	printf("1..%d\n", number);
	return failed;
}
