// SPDX-License-Identifier: GPL-2.0
/*
 * A device waits for a page of one process whose file's server does not answer. Nobody else may wait for it: not page
 * faults of other processes, on this device or another one, not open() or close(), not the queue of a process that was
 * killed. Prints TAP.
 *
 * Each of them has to come to its end while the fault still waits. That is an order of events; the seconds below end
 * the test when one does not come.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "sva-stall.h"

/* Has a queue open, and when it is told to, lets the device fault on pages that are not there */
static int faults(int talk)
{
	int file = open(queue_name, O_RDWR), ok = file >= 0;
	uint8_t *memory;

	say(talk, ok ? 'o' : 'x');
	hear(talk);
	memory = map(16 * PAGE);
	for (int i = 0; ok && i < 8; i++) {
		fill(memory, PAGE, 7, i);
		descriptor = memmove_of(memory + (2 + i) * PAGE, memory, PAGE, &record, 1);
		ok = submit_by_write(file, &descriptor, 1) == 1;
		while (ok && !*(volatile uint8_t *)&record.status)
			usleep(100);
		ok = ok && record.status == DSA_COMP_SUCCESS && filled(memory + (2 + i) * PAGE, PAGE, 7, i);
	}
	say(talk, ok ? 'o' : 'x');
	hear(talk);
	close(file);
	say(talk, 'o');
	hear(talk);
	return 0;
}

static int opens(int talk)
{
	int file = open(queue_name, O_RDWR);

	close(file);
	say(talk, file >= 0 ? 'o' : 'x');
	hear(talk);
	return 0;
}

/* Behind a descriptor that waits, in the same queue */
static int gives_up(int talk)
{
	int file = open(queue_name, O_RDWR), ok;
	uint8_t *memory = map(2 * PAGE);

	descriptor = memmove_of(memory + PAGE, memory, PAGE, &record, 1);
	ok = submit_by_write(file, &descriptor, 1) == 1;
	close(file);
	say(talk, ok ? 'o' : 'x');
	hear(talk);
	return 0;
}

/* Of two processes with the same PASID, one after the other */
#define ARENA ((void *)0x500000000ul)

/* Its copy stands behind what waits. It closes the shared queue first, and then its last one. */
static int leaves(int talk)
{
	int shared = open(SHARED, O_RDWR), dedicated = open(DEDICATED, O_RDWR), ok;
	uint8_t *memory = map_at(ARENA, 2 * PAGE, PROT_READ | PROT_WRITE);

	fill(memory, PAGE, 8, 1);
	descriptor = memmove_of(memory + PAGE, memory, PAGE, &record, 1);
	ok = shared >= 0 && dedicated >= 0 && submit_by_write(shared, &descriptor, 1) == 1;
	close(shared);
	close(dedicated);
	say(talk, ok && !record.status ? 'o' : 'x');
	hear(talk);
	return 0;
}

/* What the other one left would be done before this one's own copy, in the same queue. */
static int inherits(int talk)
{
	int file = open(SHARED, O_RDWR), ok;
	uint8_t *memory = map_at(ARENA, 4 * PAGE, PROT_READ | PROT_WRITE);

	fill(memory, PAGE, 9, 1);
	memset(memory + PAGE, 0, PAGE);
	fill(memory + 2 * PAGE, PAGE, 9, 2);
	descriptor = memmove_of(memory + 3 * PAGE, memory + 2 * PAGE, PAGE, &record, 1);
	ok = file >= 0 && submit_by_write(file, &descriptor, 1) == 1;
	say(talk, ok ? 'o' : 'x');
	hear(talk);
	ok = wait_for(&record) == DSA_COMP_SUCCESS && filled(memory + 3 * PAGE, PAGE, 9, 2);
	for (unsigned int i = 0; i < PAGE; i++)
		ok = ok && !memory[PAGE + i];
	say(talk, ok ? 'o' : 'x');
	hear(talk);
	return 0;
}

static void *touches(void *slow)
{
	return (void *)(uintptr_t)*(volatile uint8_t *)slow;
}

/* Behind the mmap_lock of its own process, which a thread has that waits for the page */
static int opens_late(int talk)
{
	int memory = open(STALL, O_RDWR), file;
	pthread_t thread;
	void *slow = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	if (pthread_create(&thread, NULL, touches, slow))
		return 1;
	hear(talk);
	say(talk, 'g');
	file = open(queue_name, O_RDWR);
	pthread_join(thread, NULL);
	/* The queue has gone meanwhile */
	return file >= 0 || errno != ENXIO;
}

static int waiting(void)
{
	return number_in(STALL, "");
}

/* The child has said so, and the fault waits still */
static void check_beside(struct child *child, int stalled, const char *name)
{
	int ok = heard(child, 'o');

	if (waiting() < stalled)
		printf("# %d faults wait, not %d\n", waiting(), stalled);
	check(ok && waiting() >= stalled, name);
}

static struct child stall(const char *name, int count)
{
	struct child child;

	queue_name = name;
	child = start(stalls);
	check(heard(&child, 's'), "descriptor_with_a_page_that_does_not_come");
	for (int i = 0; i < HANG_MS / 10 && waiting() < count; i++)
		usleep(10000);
	check(waiting() == count, "its_fault_waits");
	return child;
}

int main(void)
{
	struct child neighbour, far, visitor, first, second, third, late, heir;
	int module = open("/lab/sva-stall-mod.ko", O_RDONLY | O_CLOEXEC);

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	check(shell("sh /lab/sva-queues.sh && sh /lab/sva-queues.sh 1"), "queues_of_type_user");
	if (syscall(SYS_finit_module, module, "", 0)) {
		printf("Bail out! no module: %s\n", strerror(errno));
		return 1;
	}

	queue_name = DEDICATED;
	neighbour = start(faults);
	check(heard(&neighbour, 'o'), "a_process_has_another_queue_of_the_device_open");
	queue_name = SHARED2;
	far = start(faults);
	check(heard(&far, 'o'), "another_has_one_of_another_device");

	/* One of the two engines of the device waits */
	first = stall(SHARED, 1);
	say(neighbour.talk, 'g');
	check_beside(&neighbour, 1, "page_faults_of_the_device_are_served");
	say(far.talk, 'g');
	check_beside(&far, 1, "page_faults_of_another_device_are_served");
	queue_name = SHARED;
	visitor = start(opens);
	check_beside(&visitor, 1, "open_and_close_of_the_same_queue");
	check(end(&visitor), "and_its_process_ends");
	visitor = start(gives_up);
	check_beside(&visitor, 1, "close_with_a_descriptor_behind_it");
	check(end(&visitor), "and_its_process_ends_too");
	say(neighbour.talk, 'c');
	check_beside(&neighbour, 1, "close_of_another_queue");
	say(far.talk, 'c');
	check_beside(&far, 1, "close_of_another_device");
	check(end(&neighbour) && end(&far), "their_processes_end");

	/* It closes its queue: the device gets an answer in place of the page */
	say(first.talk, 'c');
	check(heard(&first, 'c') && waiting() == 1, "close_of_the_queue_that_waits");

	/* It is killed */
	second = stall(SHARED, 2);
	kill(second.pid, SIGKILL);
	check(waitpid(second.pid, NULL, 0) == second.pid && waiting() == 2, "a_killed_process_is_reaped");
	queue_name = SHARED;
	visitor = start(faults);
	check(heard(&visitor, 'o'), "the_queue_opens");
	say(visitor.talk, 'g');
	check_beside(&visitor, 2, "page_faults_are_served");
	say(visitor.talk, 'c');
	check_beside(&visitor, 2, "it_closes");
	check(end(&visitor), "and_its_process_ends");

	/* It waits for its own memory when it opens the queue */
	late = start(opens_late);
	for (int i = 0; i < HANG_MS / 10 && waiting() < 3; i++)
		usleep(10000);
	say(late.talk, 'g');
	heard(&late, 'g');
	usleep(100000);
	visitor = start(opens);
	check_beside(&visitor, 3, "open_and_close_beside_one_who_opens_and_waits");
	check(end(&visitor), "and_its_process_ends_then");
	queue_name = SHARED2;
	visitor = start(opens);
	check_beside(&visitor, 3, "and_those_of_another_device");
	check(end(&visitor), "whose_process_ends");

	/* Who goes with work in a queue that he closed before his last one leaves none to the next */
	third = stall(SHARED, 4);
	visitor = start(leaves);
	check_beside(&visitor, 4, "a_process_leaves_a_copy_behind_in_a_queue_that_it_closed");
	check(end(&visitor), "and_it_ends");
	heir = start(inherits);
	check_beside(&heir, 4, "the_next_with_its_pasid_has_the_queue_open");
	end_at_once(&third);
	say(heir.talk, 'g');
	check(heard(&heir, 'o'), "and_only_its_own_copy_is_done_in_its_memory");
	check(end(&heir), "and_ends");

	/* The queue is disabled: what is in it comes to its end, without the page */
	third = stall(SHARED, 5);
	check(shell("echo wq0.1 >/sys/bus/dsa/drivers/user/unbind") && waiting() == 5, "the_queue_is_disabled");

	put_file(STALL, "go");
	end_at_once(&first);
	end_at_once(&third);
	check(end(&late), "who_waited_finds_that_the_queue_has_gone");
	for (int i = 0; i < HANG_MS / 10 && waiting(); i++)
		usleep(10000);
	check(!waiting(), "late_handlers_come_to_their_end");
	check(!log_count("did not complete"), "no_command_took_too_long");

	printf("1..%d\n", number);
	return failed;
}
