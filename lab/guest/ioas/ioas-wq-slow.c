// SPDX-License-Identifier: GPL-2.0
/*
 * What waits for a page that does not come, as one of a file whose server does not answer, holds up nobody else: descriptors
 * under an IOASID of type SVA, whose queue and file are closed in any order, and MAP. Prints TAP.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "../sva/sva-stall.h"
#include "ioas-sva.h"
#include "load-module.h"

enum order { QUEUE_FIRST, FILE_FIRST, FREE_FIRST, DETACH_FIRST, KILLED };

static enum order order;

static uint8_t *slow_page(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, open(STALL, O_RDWR | O_CLOEXEC), 0);
}

static int waiting(int want)
{
	for (int i = 0; i < HANG_MS / 10 && number_in(STALL, "") < want; i++)
		usleep(10000);
	return number_in(STALL, "") == want;
}

/* Has a descriptor wait, and ends what it waits for in that order */
static int lets_one_wait(int talk)
{
	struct queue queue;
	struct area area;

	/* Without a portal: what is mapped keeps the file, and is not unmapped while a page fault of the process waits */
	if (sva_open(&area, open("/dev/ioasid", O_RDWR | O_CLOEXEC)) || wq_open(&queue, queue_name) || wq_attach(&queue, &area))
		return 1;
	descriptor = memmove_of(map(PAGE), slow_page(), 64, &record, 1);
	if (give(&queue, &descriptor))
		return 1;
	say(talk, 's');
	hear(talk);
	switch (order) {
	case FILE_FIRST:
		close(area.fd);
		break;
	case FREE_FIRST:
		if (sva_free(&area))
			return 1;
		break;
	case DETACH_FIRST:
		if (wq_detach(&queue, &area))
			return 1;
		break;
	default:
		break;
	}
	close(queue.file);
	if (order != FILE_FIRST)
		close(area.fd);
	say(talk, 'c');
	return record.status == DSA_COMP_SUCCESS;
}

/* Somebody else has the queue, and the device does what it is told */
static int others_go_on(void)
{
	struct queue queue;
	struct area area;
	int ok;

	if (area_open(&area) || !is_err(wq_open(&queue, queue_name), 0))
		return 0;
	ok = is_err(wq_start(&queue, &area), 0) && moves(&queue, &area, 9, 3) && is_err(wq_detach(&queue, &area), 0);
	wq_close(&queue);
	area_close(&area);
	return ok;
}

static void test_order(enum order what, const char *queue, const char *name, int slow)
{
	struct child child;
	char line[128];
	int ok;

	order = what;
	queue_name = queue;
	child = start(lets_one_wait);
	ok = heard(&child, 's') && waiting(slow);
	if (what == KILLED) {
		end_at_once(&child);
	} else {
		say(child.talk, 'g');
		ok = ok && heard(&child, 'c');
		ok &= end(&child);
	}
	snprintf(line, sizeof(line), "%s: %s", strcmp(queue, SHARED) ? "dedicated" : "shared", name);
	check(ok && others_go_on() && number_in(STALL, "") == slow, line);
}

static void *map_slow(void *argument)
{
	struct area *area = argument;
	uint64_t iova = BESIDE;
	int ret = ioas_map(area->fd, area->id, slow_page(), PAGE, IOASID_MAP_READ | FIXED, &iova);

	return (void *)(intptr_t)ret;
}

/* One thread maps; the others do with the IOASID what does not change its mappings */
static int maps_slowly(int talk)
{
	pthread_t thread;
	struct queue queue;
	struct area area;
	void *ret;
	int ok;

	if (area_open(&area) || wq_open(&queue, SHARED) || wq_start(&queue, &area))
		return 1;
	pthread_create(&thread, NULL, map_slow, &area);
	say(talk, 's');
	hear(talk);
	ok = moves(&queue, &area, 10, 3) && is_err(wq_detach(&queue, &area), 0) && is_err(wq_attach(&queue, &area), 0) &&
	     moves(&queue, &area, 11, 3);
	wq_close(&queue);
	ok = ok && !wq_open(&queue, SHARED) && is_err(wq_start(&queue, &area), 0) && moves(&queue, &area, 12, 3);
	say(talk, ok ? 'y' : 'n');
	hear(talk);
	pthread_join(thread, &ret);
	/* What the page has, which is nothing */
	fill_both(&area);
	ok = ok && !ret && run(&queue, &area, TARGET, BESIDE) == DSA_COMP_SUCCESS && !area.memory[PAGE] && !area_free(&area);
	wq_close(&queue);
	close(area.fd);
	return !ok;
}

int main(void)
{
	static const char * const names[] = {
		"the queue is closed while a page fault waits, and others have it",
		"the file is, first",
		"the IOASID is freed",
		"it is detached",
		"the process is killed",
	};
	struct child mapper;
	struct rest before;
	int slow = 0, ok;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(!load("/lab/sva-stall-mod.ko") && shell(QUEUES "load && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"),
	      "two queues in mode ioasid, that wait for page faults");
	before = the_rest();
	for (enum order what = QUEUE_FIRST; what <= KILLED; what++) {
		test_order(what, DEDICATED, names[what], ++slow);
		test_order(what, SHARED, names[what], ++slow);
	}

	mapper = start(maps_slowly);
	queue_name = SHARED;
	check(heard(&mapper, 's') && waiting(++slow) && others_go_on(), "MAP waits for a page, and nobody else does");
	say(mapper.talk, 'g');
	check(heard(&mapper, 'y') && number_in(STALL, "") == slow, "its IOASID is used, detached and attached meanwhile");
	put_file(STALL, "go");
	say(mapper.talk, 'g');
	ok = end(&mapper);
	check(ok, "the page comes, and is mapped");
	check(is_as_before(&before), "nothing is left");
	check(shell(QUEUES "off 0 1") && !log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"),
	      "the driver goes");
	printf("1..%d\n", number);
	return failed;
}
