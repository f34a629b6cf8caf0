// SPDX-License-Identifier: GPL-2.0
/*
 * A DSA that does not answer invalidations of its device TLB: while it is reset, where none may be sent; and because it is
 * broken. Then whoever unmaps memory goes on, the device reaches no memory any more, and a reset brings it back. Another
 * device, whose invalidations are in the same queue, works all the time. Prints TAP.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "dsa-test.h"
#include "pci-config.h"
#include "sva-user.h"

#define RESETS 5
#define TIMED_OUT "Invalidation Time-out Error"
#define GIVEN_UP "no answer to an invalidation"
#define MASTER 4

static int resets(void)
{
	return shell("echo 1 >" FUNCTION "reset");
}

static int is_master(void)
{
	int config = open(FUNCTION "config", O_RDONLY);
	uint16_t command = 0;

	pread(config, &command, 2, 4);
	close(config);
	return !!(command & MASTER);
}

/* PCIe 6.0, 10.5.1.3: the control register of the ATS capability */
static int uses_ats(void)
{
	int config = open(FUNCTION "config", O_RDONLY), at = pci_ext_capability(config, 0, PCI_EXT_CAP_ID_ATS);
	uint16_t control = 0;

	if (at > 0)
		pread(config, &control, 2, at + PCI_ATS_CTRL);
	close(config);
	return !!(control & PCI_ATS_CTRL_ENABLE);
}

/* Copies on one queue and unmaps, which is an invalidation each, until it is told to stop */
static int works_on(int talk, const char *name)
{
	struct queue queue;
	int ok = 1;

	enter_cgroup();
	if (queue_open(&queue, name))
		return 1;
	say(talk, 'o');
	do {
		ok &= copies(&queue, 2, 1);
		if (!ok)
			printf("# %s: status %#x\n", name, record.status);
	} while (ok && recv(talk, &(char){ 0 }, 1, MSG_DONTWAIT) == -1);
	queue_close(&queue);
	return !ok;
}

static int works_on_other(int talk)
{
	return works_on(talk, SHARED2);
}

/* Bound to the first device, and only unmaps: what it has in the device would be lost in a reset */
static int unmaps(int talk)
{
	struct queue queue;
	unsigned long count = 0;
	int ok;

	enter_cgroup();
	if (queue_open(&queue, SHARED))
		return 1;
	ok = copies(&queue, 3, 1);
	say(talk, 'o');
	do {
		uint8_t *memory = map(4 * PAGE);

		memory[0] = 1;
		ok &= !munmap(memory, 4 * PAGE);
		count++;
	} while (ok && recv(talk, &(char){ 0 }, 1, MSG_DONTWAIT) == -1);
	queue_close(&queue);
	return !ok || count < 2;
}

static void test_reset(void)
{
	struct child children[2] = { start(unmaps), start(works_on_other) };
	struct queue queue;
	int ok = heard(&children[0], 'o') && heard(&children[1], 'o');

	for (int i = 0; i < RESETS; i++)
		ok &= resets() && is_master();
	check(ok, "resets");
	say(children[0].talk, 'e');
	say(children[1].talk, 'e');
	check(end(&children[0]), "others_unmap_meanwhile");
	check(end(&children[1]), "another_device_works_meanwhile");
	check(!log_count(TIMED_OUT), "nothing_is_sent_during_a_reset");
	check(!queue_open(&queue, DEDICATED) && copies(&queue, 4, 5), "the_device_works_after_resets");
	queue_close(&queue);
}

static void test_silent(int round)
{
	uint8_t *memory = map(4 * PAGE), *kept = memory + 2 * PAGE;
	struct child children[2];
	struct queue queue;
	int ok, timeouts;

	/* First, as they would have the queue, too */
	children[0] = start(works_on_other);
	children[1] = start(unmaps);
	ok = heard(&children[0], 'o') && heard(&children[1], 'o');
	ok &= !queue_open(&queue, DEDICATED) && copies(&queue, 5, 2);
	/* In the device TLB, with both pages */
	fill(memory, PAGE, 6, 1);
	ok &= copy(&queue, kept, memory, PAGE, 1) == DSA_COMP_SUCCESS && filled(kept, PAGE, 6, 1);
	check(ok, "the_device_works");

	dsa_test(DSA_TEST_SILENT);
	check(!munmap(memory, PAGE) && !munmap(map(PAGE), PAGE), "a_process_unmaps_memory_of_a_silent_device");
	check(!is_master(), "the_device_is_no_bus_master");
	check(!uses_ats(), "nor_does_it_use_ats");
	/* It may have been another process that found out, and has not come to the log yet */
	for (int i = 0; i < HANG_MS && log_count(GIVEN_UP) < round; i++)
		usleep(1000);
	check(log_count(GIVEN_UP) == round, "which_the_log_says_once");
	timeouts = log_count(TIMED_OUT);
	fill(kept, PAGE, 7, 1);
	descriptor = memmove_of(kept, kept + PAGE, PAGE, &record, 0);
	submit(&queue, &descriptor);
	usleep(100000);
	check(!record.status && filled(kept, PAGE, 7, 1), "it_reaches_nothing_that_it_knew");
	for (int i = 0; i < 100; i++)
		munmap(map(PAGE), PAGE);
	check(log_count(TIMED_OUT) == timeouts && log_count(GIVEN_UP) == round, "it_is_not_asked_again");
	queue_close(&queue);
	say(children[1].talk, 'e');
	check(end(&children[1]), "processes_that_are_bound_to_it_end");

	check(resets() && is_master() && uses_ats(), "a_reset_makes_it_bus_master");
	check(!queue_open(&queue, DEDICATED) && copies(&queue, 8, 5), "and_brings_its_queues_back");
	queue_close(&queue);
	say(children[0].talk, 'e');
	check(end(&children[0]), "another_device_works_all_the_time");
	munmap(kept, 2 * PAGE);
}

/* Bound to both devices: one flush has descriptors for both, of which the first device leaves its own without an answer */
static int works_on_both(int talk)
{
	uint8_t *from = map(PAGE), *to = map(PAGE);
	struct queue silent, other;
	int ok;

	enter_cgroup();
	if (queue_open(&silent, SHARED) || queue_open(&other, SHARED2))
		return 1;
	fill(from, PAGE, 10, 1);
	/* Now it is in the device TLBs of both */
	ok = copy(&silent, to, from, PAGE, 1) == DSA_COMP_SUCCESS && copy(&other, to, from, PAGE, 1) == DSA_COMP_SUCCESS;
	say(talk, 'o');
	hear(talk);
	ok &= !munmap(from, PAGE) && map_at(from, PAGE, PROT_READ | PROT_WRITE) == from;
	fill(from, PAGE, 10, 2);
	ok &= copy(&other, to, from, PAGE, 1) == DSA_COMP_SUCCESS && filled(to, PAGE, 10, 2);
	queue_close(&other);
	queue_close(&silent);
	return !ok;
}

static void test_both(void)
{
	int given_up = log_count(GIVEN_UP);
	struct child child = start(works_on_both);
	int ok = heard(&child, 'o');

	dsa_test(DSA_TEST_SILENT);
	say(child.talk, 'g');
	check(end(&child) && ok, "others_of_the_same_flush_answer_and_have_nothing_old");
	check(!is_master() && log_count(GIVEN_UP) == given_up + 1, "the_silent_one_is_no_bus_master");
	check(resets() && is_master(), "a_reset_makes_it_bus_master_again");
}

/* Requests without PASID: the end of what the device is attached to by itself */
static void test_removed(void)
{
	int given_up = log_count(GIVEN_UP);
	struct queue queue;

	check(shell("echo 0000:00:10.0 >/sys/bus/pci/drivers/idxd/unbind"), "unbind");
	dsa_test(DSA_TEST_SILENT);
	check(shell("echo 1 >" FUNCTION "remove"), "a_silent_device_is_removed");
	check(log_count(GIVEN_UP) == given_up + 1, "which_takes_a_flush_without_pasid");
	/* It is as silent as before, which the first flush finds out */
	check(shell("echo 1 >/sys/bus/pci/rescan") && !uses_ats(), "when_it_comes_again_it_does_not_use_ats");
	check(resets() && uses_ats() && shell("sh /lab/sva-queues.sh") && !queue_open(&queue, DEDICATED) &&
	      copies(&queue, 9, 5), "and_works_after_a_reset");
	queue_close(&queue);
}

int main(void)
{
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh && sh /lab/sva-queues.sh 1"), "queues_of_two_devices");
	make_cgroup("max");
	test_reset();
	test_silent(1);
	test_silent(2);
	test_both();
	test_removed();
	check(ids_become(0) && shell("rmmod idxd") && !rmdir(CGROUP), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
