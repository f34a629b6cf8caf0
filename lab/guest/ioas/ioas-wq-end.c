// SPDX-License-Identifier: GPL-2.0
/*
 * Work queues of idxd in mode ioasid that end under their users: disabled, the driver unbound, the device removed or halted.
 * Their files of /dev/ioasid say so, nothing works on, and the next ones have it as if it were new. Resets under an
 * attachment, threads that attach and detach all the time, and processes that are killed. Prints TAP.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "dsa-test.h"
#include "ioas-wq.h"
#include "load-module.h"

#define DEVICE "0000:00:10.0"
#define RESETS 3
#define KILLS 10
#define RACERS 4
#define RACE_SECONDS 4

/* Has the kernel something to say to whose file it is? */
static int is_over(const struct area *area)
{
	struct pollfd p = { .fd = area->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* One copy; 0 when it cannot be submitted, or does not end as it should */
static int loads_once(struct queue *queue, const struct area *area, unsigned int when)
{
	struct dsa_completion_record *done = record_of(area);

	fill(area->memory, PAGE, 1, when);
	descriptor = move_at(TARGET, SOURCE);
	done->status = 0;
	if (give(queue, &descriptor))
		return 0;
	for (unsigned int polls = 0; !*(volatile uint8_t *)&done->status && !is_over(area); polls++)
		usleep(polls < 100 ? 0 : 100);
	return done->status == DSA_COMP_SUCCESS && filled(area->memory + PAGE, PAGE, 1, when);
}

/* Submits until that ends, by whatever; what that was is_ended() looks at */
static void loads(struct queue *queue, const struct area *area)
{
	unsigned int when = 0;

	while (loads_once(queue, area, when))
		when++;
}

static void loads_until_it_ends(struct queue *queue, const struct area *area)
{
	catch_faults();
	SIGNAL_OF(loads(queue, area));
}

static int is_one_of(int error, int one, int other, const char *what)
{
	if (error == one || error == other)
		return 1;
	printf("# %s: %s\n", what, strerror(error));
	return 0;
}

/* Nothing works on a queue that is gone, and everything says so */
static int is_gone(struct queue *queue, const struct area *area)
{
	struct pollfd p = { .fd = queue->file, .events = POLLIN };
	uint8_t *portal = queue->portal;
	int ok = 1;

	ok &= is_one_of(write_error(queue), ENODEV, EINVAL, "write()");
	ok &= is_one_of(portal_map(queue), ENODEV, EINVAL, "mmap()");
	queue->portal = portal;
	ok &= !portal || portal_signal(queue) == SIGBUS;
	ok &= is_one_of(wq_attach(queue, area), ENODEV, ENODEV, "ATTACH");
	ok &= is_one_of(wq_detach(queue, area), ENODEV, ENOENT, "DETACH");
	ok &= poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
	if (!ok)
		printf("# %s queue: is not gone\n", queue->shared ? "shared" : "dedicated");
	return ok;
}

/* The device writes nothing any more, and what was mapped can be had back */
static int is_given_back(const struct area *area)
{
	fill_both(area);
	usleep(20000);
	return both_filled(area) && !ioas_unmap(area->fd, area->id, PLACE, PAGES) && locked_kib() == 0;
}

static int loses(int talk, const char *name)
{
	struct area area;
	struct queue queue;
	int ok;

	if (area_open(&area) || wq_open(&queue, name) || !is_err(wq_start(&queue, &area), 0))
		return 1;
	say(talk, 'o');
	loads_until_it_ends(&queue, &area);
	ok = end_is_told(&area, COOKIE_OF(area.id)) && no_event(&area) && is_gone(&queue, &area) && is_given_back(&area);
	say(talk, ok ? 'y' : 'n');
	/* The files are closed when others have the queue */
	hear(talk);
	ok &= is_gone(&queue, &area) && !area_free(&area) && no_event(&area);
	wq_close(&queue);
	close(area.fd);
	return !ok;
}

static int loses_portal(int talk)
{
	return loses(talk, DEDICATED);
}

static int loses_write(int talk)
{
	return loses(talk, SHARED);
}

/* In which order is the kernel's choice */
static int both_ends_are_told(const struct area *area, uint64_t one, uint64_t other)
{
	union any_event e[2];
	int ok = 1;

	for (int i = 0; i < 2; i++)
		ok &= next_of_any(area->fd, &e[i], HANG_MS) && e[i].header.type == IOASID_EVENT_DETACHED &&
		      e[i].detached.ioasid == area->id;
	ok = ok && e[0].detached.cookie + e[1].detached.cookie == one + other &&
	     (e[0].detached.cookie == one || e[0].detached.cookie == other);
	if (!ok)
		printf("# types %u, %u, cookies %llx, %llx\n", e[0].header.type, e[1].header.type, e[0].detached.cookie,
		       e[1].detached.cookie);
	return ok;
}

/* An IOASID that is attached twice is told twice; a file that has nothing attached is not told of */
static int loses_two(int talk)
{
	struct queue queues[3];
	struct area area;
	int ok = !area_open(&area);

	for (int i = 0; i < 3; i++)
		ok &= !wq_open(&queues[i], SHARED);
	ok &= !wq_attach_as(&queues[0], area.fd, area.id, 100) && !wq_attach_as(&queues[1], area.fd, area.id, 101) &&
	      moves(&queues[0], &area, 2, 5) && moves(&queues[1], &area, 3, 5);
	say(talk, ok ? 'o' : 'x');
	ok &= both_ends_are_told(&area, 100, 101);
	for (int i = 0; i < 3; i++)
		ok &= is_gone(&queues[i], &area);
	ok &= no_event(&area) && is_given_back(&area);
	say(talk, ok ? 'y' : 'n');
	hear(talk);
	for (int i = 0; i < 3; i++)
		wq_close(&queues[i]);
	area_close(&area);
	return !ok;
}

/* Opened, once that is possible again: a device that was reset takes a moment */
static int opens(struct queue *queue, const char *name)
{
	for (int i = 0; i < HANG_MS / 10; i++) {
		if (!wq_open(queue, name))
			return 1;
		usleep(10000);
	}
	printf("# %s: %s\n", name, strerror(errno));
	return 0;
}

/* Everything, for somebody new */
static int is_as_new(struct queue queues[2], struct area *area)
{
	int ok = !area_open(area);

	for (int i = 0; i < 2; i++)
		ok = ok && opens(&queues[i], i ? SHARED : DEDICATED) && is_err(wq_start(&queues[i], area), 0) &&
		     moves(&queues[i], area, 4, 5);
	return ok;
}

static int goes_on(struct queue queues[2], const struct area *area)
{
	return moves(&queues[0], area, 5, 5) && moves(&queues[1], area, 5, 5);
}

/* Without a command the device halts, as one that needs a reset of the function */
static int ends(const char *command)
{
	if (command)
		return shell(command);
	dsa_test(DSA_TEST_HALT | DSA_TEST_NEEDS_FLR);
	return 1;
}

/* GO ends the queues under three processes, COME makes them queues again */
static void test_goes(const char *name, const char *go, const char *come)
{
	static int (* const runs[])(int) = { loses_portal, loses_write, loses_two };
	struct child children[3];
	struct queue queues[2];
	struct area area;
	char line[128];
	struct rest before = the_rest();
	int ok = 1;

	for (int i = 0; i < 3; i++) {
		children[i] = start(runs[i]);
		ok &= heard(&children[i], 'o');
	}
	usleep(100000);
	if (!ok || !ends(go)) {
		for (int i = 0; i < 3; i++)
			end_at_once(&children[i]);
		check(0, name);
		return;
	}
	for (int i = 0; i < 3; i++)
		ok &= heard(&children[i], 'y');
	check(ok, name);

	snprintf(line, sizeof(line), "%s: whoever comes then has new queues", name);
	ok = shell(come) && is_as_new(queues, &area);
	for (int i = 0; i < 3; i++) {
		say(children[i].talk, 'g');
		ok &= end(&children[i]);
		/* Their end takes nothing from who has them now */
		ok = ok && goes_on(queues, &area);
	}
	check(ok, line);
	if (!ok) {
		printf("Bail out! %s: they do not come back\n", name);
		exit(1);
	}
	wq_close(&queues[0]);
	wq_close(&queues[1]);
	area_close(&area);
	snprintf(line, sizeof(line), "%s: nothing is left", name);
	check(is_as_before(&before), line);
}

static void test_reset(void)
{
	struct queue queues[2];
	struct area area;
	int ok = is_as_new(queues, &area);

	for (int i = 0; i < RESETS; i++) {
		put_file(FUNCTION "reset", "1");
		ok = ok && goes_on(queues, &area);
	}
	check(ok && no_event(&area), "a reset of the function takes nothing from who has an IOASID attached");
	check(!wq_detach(&queues[0], &area) && is_err(write_error(&queues[0]), EINVAL) && moves(&queues[1], &area, 6, 5),
	      "behind it one is detached");
	portal_unmap(&queues[0]);
	check(is_err(wq_start(&queues[0], &area), 0) && goes_on(queues, &area), "and attached");
	fill_both(&area);
	check(is_kept_out(&queues[0], &area, TARGET, BESIDE) && fault_is_told(&area, BESIDE, IOASID_FAULT_PERM_READ) &&
	      is_kept_out(&queues[1], &area, TARGET, BESIDE) && fault_is_told(&area, BESIDE, IOASID_FAULT_PERM_READ),
	      "and faults are told");
	wq_close(&queues[0]);
	wq_close(&queues[1]);
	area_close(&area);
}

/* Each has an area, which it frees and allocates, and attaches those of all to the queues of all */
static struct racer {
	pthread_t thread;
	struct area area;
	volatile uint32_t id;
	unsigned int wrong;
	unsigned long attached, written, freed;
} racers[RACERS];

static struct queue raced[3];
static volatile int stop;

/* FREE, behind which the device writes no more, whoever was about to use it; and ALLOC */
static void frees(struct racer *racer, unsigned int who)
{
	uint64_t iova = PLACE;
	int ret = ioas_free(racer->area.fd, racer->area.id, NULL);

	fill(racer->area.memory + PAGE, PAGE, 0xf0 + who, 0);
	usleep(500);
	if (ret || !filled(racer->area.memory + PAGE, PAGE, 0xf0 + who, 0))
		racer->wrong |= 1;
	ret = ioas_alloc(racer->area.fd, &racer->area.id);
	if (ret || ioas_map(racer->area.fd, racer->area.id, racer->area.memory, PAGES, RW | FIXED, &iova))
		racer->wrong |= 2;
	racer->id = racer->area.id;
	racer->freed++;
}

/* What is in the way of others is refused, nothing else is */
static int may_fail(int error)
{
	return !error || error == EBUSY || error == EINVAL || error == ENOENT;
}

static void races_once(struct racer *racer, unsigned int who, unsigned int *seed)
{
	struct queue *queue = &raced[rand_r(seed) % 3];
	struct racer *other = &racers[rand_r(seed) % RACERS];
	struct dsa_hw_desc desc __attribute__((aligned(64))) = move_at(TARGET, SOURCE);
	struct area area = { .fd = other->area.fd, .id = other->id };
	int ret = 0;

	switch (rand_r(seed) % 8) {
	case 0:
		frees(racer, who);
		break;
	case 1:
	case 2:
		ret = wq_attach(queue, &area);
		racer->attached += !ret;
		break;
	case 3:
		ret = wq_detach(queue, &area);
		break;
	default:
		ret = give(queue, &desc);
		racer->written += !ret;
	}
	if (!may_fail(ret)) {
		printf("# racer %u: %s\n", who, strerror(ret));
		racer->wrong |= 4;
	}
}

/* In each memory there is what was there, or what FREE left; never that of another */
static int is_own(const struct racer *racer, unsigned int who)
{
	const uint8_t *target = racer->area.memory + PAGE;

	for (size_t i = 0; i < PAGE; i += 8) {
		uint8_t from = target[i + 7];

		if (from && from != who && from != 0xf0 + who)
			return 0;
	}
	return filled(racer->area.memory, PAGE, who, 7);
}

static void *race(void *argument)
{
	struct racer *racer = argument;
	unsigned int who = racer - racers + 1, seed = who;

	while (!stop && !racer->wrong) {
		races_once(racer, who, &seed);
		if (!is_own(racer, who))
			racer->wrong |= 8;
	}
	return NULL;
}

static void test_threads(void)
{
	static const char * const names[] = { DEDICATED, SHARED, SHARED };
	unsigned long attached = 0, written = 0, freed = 0;
	struct rest before = the_rest();
	int ok = 1;

	for (int i = 0; i < 3; i++)
		ok &= opens(&raced[i], names[i]);
	for (int i = 0; i < RACERS; i++) {
		/* Two of a file */
		ok &= i % 2 ? !area_add(&racers[i].area, racers[i - 1].area.fd) : !area_open(&racers[i].area);
		fill(racers[i].area.memory, PAGE, i + 1, 7);
		racers[i].id = racers[i].area.id;
	}
	for (int i = 0; i < RACERS; i++)
		ok &= !pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	sleep(RACE_SECONDS);
	stop = 1;
	for (int i = 0; i < RACERS; i++) {
		pthread_join(racers[i].thread, NULL);
		if (racers[i].wrong)
			printf("# racer %d: wrong %#x\n", i + 1, racers[i].wrong);
		ok &= !racers[i].wrong;
		attached += racers[i].attached;
		written += racers[i].written;
		freed += racers[i].freed;
	}
	printf("# %lu times attached, %lu descriptors written, %lu times freed\n", attached, written, freed);
	check(ok && attached > 10 && written > 10 && freed > 10, "threads attach, detach, free and write at once");
	for (int i = 0; i < 3; i++)
		wq_close(&raced[i]);
	for (int i = 0; i < RACERS; i++)
		munmap(racers[i].area.memory, PAGES);
	for (int i = 0; i < RACERS; i += 2)
		close(racers[i].area.fd);
	check(is_as_before(&before), "after them nothing is left");
}

static const char *killed_name;

static int is_killed(int talk)
{
	struct area area;
	struct queue queue;

	if (area_open(&area) || wq_open(&queue, killed_name) || wq_start(&queue, &area))
		return 1;
	say(talk, 'o');
	loads(&queue, &area);
	/* Nothing but the kill ends it */
	say(talk, 'x');
	return 1;
}

static void test_killed(const char *name)
{
	struct rest before = the_rest();
	struct child child;
	struct queue queue;
	int ok = 1;

	killed_name = name;
	for (int i = 0; i < KILLS && ok; i++) {
		child = start(is_killed);
		ok &= heard(&child, 'o');
		usleep(5000 + 1000 * i);
		ok &= poll(&(struct pollfd){ .fd = child.talk, .events = POLLIN }, 1, 0) == 0;
		end_at_once(&child);
		ok &= opens(&queue, name) && is_err(write_error(&queue), EINVAL);
		wq_close(&queue);
	}
	of(&queue, ok, "who copies is killed, and another one has the queue");
	of(&queue, is_as_before(&before), "number and memory are given back");
}

#define BOTH QUEUES "queue 0 ioasid 1 && " QUEUES "queue 1 ioasid 1"
#define IDXD "/sys/bus/pci/drivers/idxd"
#define REFUSE "/sys/module/queue_lost_mod/parameters/left"

int main(void)
{
	struct queue queues[2];
	struct area area;
	int ok;

	printf("TAP version 13\n");
	/* Children have it */
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	check(shell("sh /lab/ioas-queues.sh"), "queues in mode ioasid");
	ok = is_as_new(queues, &area);
	check(ok, "they work");
	if (!ok)
		goto out;
	wq_close(&queues[0]);
	wq_close(&queues[1]);
	area_close(&area);

	test_goes("queues are disabled", QUEUES "off 0 1", BOTH);
	test_goes("the device is disabled", "echo dsa0 >/sys/bus/dsa/drivers/idxd/unbind", "sh /lab/ioas-queues.sh");
	test_goes("the driver is unbound", "echo " DEVICE " >" IDXD "/unbind",
		  "echo " DEVICE " >" IDXD "/bind && sh /lab/ioas-queues.sh");
	test_goes("the device is removed", "echo 1 >" FUNCTION "remove", "echo 1 >/sys/bus/pci/rescan && sh /lab/ioas-queues.sh");
	test_reset();
	check(!load("/lab/queue-lost-mod.ko"), "a device that refuses to enable queues");
	test_goes("queues are lost after a reset", "echo 2 >" REFUSE " && echo 1 >" FUNCTION "reset", QUEUES "off 0 1 && " BOTH);
	/* The reset that mends it brings back the queues, too, with their mode */
	test_goes("the device halts", NULL, "echo 1 >" FUNCTION "reset");
	test_killed(DEDICATED);
	test_killed(SHARED);
	test_threads();
	check(shell(QUEUES "off 0 1") && !log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"),
	      "the driver goes");
out:
	printf("1..%d\n", number);
	return failed;
}
