// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-wq-share [demo]
 *
 * Three processes share one queue of a DSA, each with an IOASID of its own. Two have their data at the same addresses, and
 * each gets its own; the third has nothing there, and that it tried is told to itself alone. Prints TAP, or with demo only
 * what a demonstration shows.
 */
#define _GNU_SOURCE
#include <stdarg.h>

#include "ioas-wq.h"

#define COPIES 200
#define TRIES 10

static unsigned int who;

/* The third maps neither what the others copy, nor whereto */
static int open_poor(struct area *area)
{
	uint64_t iova = RECORD;

	area->fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	area->memory = map(PAGES);
	return area->fd < 0 || ioas_alloc(area->fd, &area->id) ||
	       ioas_map(area->fd, area->id, area->memory + RECORD - PLACE, PAGE, RW | FIXED, &iova);
}

static int waits_for(int talk, char what)
{
	return hear(talk) == what;
}

/* Steps that its parent tells it, so that what they say comes in order */
static int has_data(int talk)
{
	struct area area;
	struct queue queue;
	int ok = !area_open(&area) && !wq_open(&queue, SHARED) && !wq_attach(&queue, &area);

	say(talk, ok ? 'a' : 'x');
	if (!ok || !waits_for(talk, 'g'))
		return 1;
	ok = moves(&queue, &area, who, COPIES);
	say(talk, ok ? 'd' : 'x');
	if (!waits_for(talk, 't'))
		return 1;
	printf("   process %u, IOASID %u: %d copies from 0x%lx to 0x%lx, %s\n", who, area.id, COPIES, SOURCE, TARGET,
	       ok ? "all of its own data" : "NOT of its own data");
	fill_both(&area);
	say(talk, 't');
	/* Until the third has tried */
	if (!waits_for(talk, 'e'))
		return 1;
	ok &= both_filled(&area) && no_event(&area);
	printf("   process %u: its data is as it was, and it reads %s\n", who, no_event(&area) ? "no event" : "AN EVENT");
	say(talk, ok ? 'e' : 'x');
	hear(talk);
	wq_close(&queue);
	area_close(&area);
	return !ok;
}

/* By an address that the others have; 0 when that fails, and the process is told of it */
static int tries(struct queue *queue, const struct area *area, int show)
{
	union any_event e;
	int status = run(queue, area, TARGET, SOURCE), got = next_of_any(area->fd, &e, SOON);

	if (show) {
		printf("   process %u, IOASID %u: the same copy, where it has mapped nothing: status 0x%02x\n", who, area->id,
		       status);
		printf("   process %u reads %s: ioasid %u, cookie 0x%llx, addr 0x%llx, perm %u, reason %u\n", who,
		       got ? "an event" : "NO EVENT", e.fault.ioasid, e.fault.cookie, e.fault.addr, e.fault.perm,
		       e.fault.reason);
	}
	return status <= DSA_COMP_SUCCESS || !got || e.header.type != IOASID_EVENT_FAULT || e.fault.ioasid != area->id ||
	       e.fault.cookie != COOKIE_OF(area->id) || e.fault.addr != SOURCE || e.fault.perm != IOASID_FAULT_PERM_READ ||
	       e.fault.reason != IOASID_FAULT_ACCESS;
}

static int has_nothing(int talk)
{
	struct area area;
	struct queue queue;
	int ok = !open_poor(&area) && !wq_open(&queue, SHARED) && !wq_attach(&queue, &area);

	say(talk, ok ? 'a' : 'x');
	if (!ok || !waits_for(talk, 'g'))
		return 1;
	/* While the others copy */
	for (int i = 0; i < TRIES; i++)
		ok &= !tries(&queue, &area, 0);
	say(talk, ok ? 'd' : 'x');
	if (!waits_for(talk, 't'))
		return 1;
	ok &= !tries(&queue, &area, 1);
	say(talk, ok ? 't' : 'x');
	hear(talk);
	wq_close(&queue);
	area_close(&area);
	return !ok;
}

static int silent;

static void tell(int ok, const char *name)
{
	if (silent)
		failed |= !ok;
	else
		check(ok, name);
}

/* Do they all do it, and say so? */
static int all(struct child *children, int count, char order, char answer)
{
	int ok = 1;

	for (int i = 0; order && i < count; i++)
		say(children[i].talk, order);
	for (int i = 0; i < count; i++)
		ok &= heard(&children[i], answer);
	return ok;
}

static int one_by_one(struct child *children, int count, char order)
{
	int ok = 1;

	for (int i = 0; i < count; i++) {
		say(children[i].talk, order);
		ok &= heard(&children[i], order);
	}
	return ok;
}

int main(int argc, char **argv)
{
	struct child children[3];
	struct rest before;
	int ok = 1;

	silent = argc == 2 && !strcmp(argv[1], "demo");
	if (!silent)
		printf("TAP version 13\n");
	/* A child that is gone is heard of */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	tell(shell("sh /lab/ioas-queues.sh"), "queues in mode ioasid");
	before = the_rest();
	for (who = 1; who <= 3; who++)
		children[who - 1] = start(who < 3 ? has_data : has_nothing);
	tell(all(children, 3, 0, 'a') && the_rest().attached == before.attached + 3, "three processes have one queue open");
	if (!failed) {
		tell(all(children, 3, 'g', 'd'), "they have the device copy, all at once");
		tell(one_by_one(children, 2, 't'), "two have their data at the same address, and get their own");
		tell(one_by_one(children + 2, 1, 't'), "the third is kept out, and is told");
		tell(one_by_one(children, 2, 'e'), "the others have what they had, and are not told");
	}
	for (int i = 0; i < 3; i++)
		ok &= end(&children[i]);
	tell(ok && is_as_before(&before), "they end, and nothing is left");
	tell(shell("sh /lab/ioas-queues.sh off 0 1 && rmmod idxd"), "the driver goes");
	if (!silent)
		printf("1..%d\n", number);
	return failed;
}
