// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of a process that has bound a DSA, of its PASID and of its charge:
 * fork(), exec(), munmap() and mprotect() under DMA, the end, and the limit of the
 * cgroup. And write(), the submission of who may not map a portal. Prints TAP.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/uio.h>

#include "sva-user.h"

static uint8_t *const arena = (uint8_t *)0x500000000ul;

#define QUEUE_SIZE 16

static int charged(int talk)
{
	struct queue shared, dedicated;
	int ok = 1;

	enter_cgroup();
	say(talk, 'i');
	hear(talk);
	ok &= !queue_open(&shared, SHARED) && copies(&shared, 1, 4);
	say(talk, 's');
	hear(talk);
	ok &= !queue_open(&dedicated, DEDICATED) && copies(&dedicated, 1, 4);
	say(talk, 'd');
	hear(talk);
	queue_close(&shared);
	queue_close(&dedicated);
	say(talk, 'c');
	hear(talk);
	return !ok;
}

static void test_charge(void)
{
	static const long ids[] = { 0, 1, 1, 1 };
	struct child child = start(charged);
	int ok = 1;

	for (int i = 0; i < 4; i++) {
		ok &= hear(child.talk) && ids_become(ids[i]);
		say(child.talk, 'g');
	}
	check(end(&child) && ok, "a_process_is_charged_once_and_until_its_end");
	check(ids_become(0), "its_end_gives_the_id_back");
}

static int closes_first;

/* Ends, with its queue open or closed; nothing is to be faulted in, so that no handler has its memory a moment longer */
static int ends(int talk)
{
	uint8_t *memory = map(2 * PAGE);
	struct queue queue;

	(void)talk;
	enter_cgroup();
	fill(memory, 2 * PAGE, 1, 1);
	if (queue_open(&queue, SHARED) || copy(&queue, memory + PAGE, memory, PAGE, 1) != DSA_COMP_SUCCESS ||
	    ids_charged() != 1)
		return 1;
	if (closes_first)
		queue_close(&queue);
	return 0;
}

/* Though a CPU that is idle may keep the address space of the task that it ran last */
static void test_reaped(void)
{
	int ok = 1, left = 0;

	for (int i = 0; i < 50; i++) {
		closes_first = i % 2;
		ok &= run_child(ends);
		left += ids_charged() != 0;
	}
	if (left)
		printf("# %d of 50 were still charged\n", left);
	check(ok && !left, "nothing_is_charged_for_a_process_that_is_reaped");
}

static int holds(int talk)
{
	struct queue queue;

	enter_cgroup();
	if (queue_open(&queue, SHARED))
		return 1;
	say(talk, 'o');
	while (hear(talk))
		say(talk, copies(&queue, 2, 4) ? 'y' : 'n');
	return 0;
}

static int is_refused(int talk)
{
	(void)talk;
	enter_cgroup();
	return open(SHARED, O_RDWR) != -1 || errno != EBUSY;
}

static void test_limit(void)
{
	struct child one, two, three;
	long events = number_in(CGROUP "/ioasids.events", "max ");
	int lines = log_count("refused a PASID"), ok;

	put_file(CGROUP "/ioasids.max", "2");
	one = start(holds);
	two = start(holds);
	ok = hear(one.talk) && hear(two.talk);
	ok &= run_child(is_refused);
	check(ok, "open_says_EBUSY_at_the_limit_of_the_cgroup");
	check(number_in(CGROUP "/ioasids.events", "max ") == events + 1 && log_count("refused a PASID") == lines + 1,
	      "the_cgroup_counts_it_and_the_log_has_a_line");
	say(one.talk, 'g');
	say(two.talk, 'g');
	ok = hear(one.talk) == 'y' && hear(two.talk) == 'y' && ids_become(2);
	ok &= end(&one) && ids_become(1);
	three = start(holds);
	check(ok && hear(three.talk) == 'o' && end(&two) && end(&three) && ids_become(0), "an_end_makes_room");
	put_file(CGROUP "/ioasids.max", "max");
}

/* Several descriptors in each call, more than the queue takes */
static int copies_at_once(int file)
{
	static struct dsa_hw_desc descriptors[4 * QUEUE_SIZE] __attribute__((aligned(64)));
	static struct dsa_completion_record records[4 * QUEUE_SIZE] __attribute__((aligned(32)));
	const int count = 4 * QUEUE_SIZE;
	uint8_t *memory = map(2 * count * PAGE);
	int ok = 1, done = 0, tries = 0;

	fill(memory, count * PAGE, 3, 1);
	for (int i = 0; i < count; i++)
		descriptors[i] = memmove_of(memory + (count + i) * PAGE, memory + i * PAGE, PAGE, &records[i], 1);
	while (ok && done < count) {
		/* A dedicated queue takes no more than its size, and says nothing about it */
		int took = submit_by_write(file, descriptors + done, count - done < QUEUE_SIZE ? count - done : QUEUE_SIZE);

		if (took <= 0) {
			ok = took < 0 && errno == EAGAIN && ++tries < 100000;
			sched_yield();
			continue;
		}
		for (int i = 0; i < took; i++)
			ok &= wait_for(&records[done + i]) == DSA_COMP_SUCCESS;
		done += took;
	}
	ok &= filled(memory + count * PAGE, count * PAGE, 3, 1);
	munmap(memory, 2 * count * PAGE);
	return ok;
}

static int fails(int file, const void *from, size_t size, int error)
{
	return write(file, from, size) == -1 && errno == error;
}

static void test_write(const char *name)
{
	int file = open(name, O_RDWR | O_CLOEXEC), ok;
	uint8_t *page = map(2 * PAGE);
	struct dsa_hw_desc *last = (void *)(page + PAGE - 64);

	check(file >= 0 && copies_by_write(file, 3, 50) && copies_at_once(file), "descriptors_by_write");

	munmap(page + PAGE, PAGE);
	*last = memmove_of(page + 64, page, 64, &record, 1);
	page[0] = 0x42;
	record.status = 0;
	ok = write(file, last, 63) == 0;
	ok &= write(file, last, 128) == 64 && wait_for(&record) == DSA_COMP_SUCCESS && page[64] == 0x42;
	ok &= fails(file, page + PAGE, 64, EFAULT);
	last->completion_addr++;
	ok &= fails(file, last, 64, EINVAL);
	*last = (struct dsa_hw_desc) { .opcode = DSA_OPCODE_BATCH, .desc_list_addr = (uintptr_t)page, .desc_count = 2 };
	ok &= fails(file, last, 64, EINVAL);
	check(ok, "write_refuses_what_it_should");
	munmap(page, PAGE);
	close(file);
}

static int unprivileged(int talk)
{
	struct queue queue;

	(void)talk;
	return chmod(SHARED, 0666) || setresuid(65534, 65534, 65534) || !queue_open(&queue, SHARED) || errno != EPERM ||
	       !copies_by_write(queue.file, 4, 50);
}

/* Nothing of its parent's queue is the child's */
static int inherits_nothing(const struct queue *queue)
{
	struct pollfd poll_for = { .fd = queue->file, .events = POLLIN };
	int ok;

	catch_faults();
	descriptor = memmove_of(arena, arena + PAGE, 64, &record, 1);
	ok = SIGNAL_OF(*(volatile uint8_t *)queue->portal = 0) == SIGSEGV;
	ok &= mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, queue->file, 0) == MAP_FAILED && errno == EPERM;
	ok &= fails(queue->file, &descriptor, 64, EPERM);
	ok &= !poll(&poll_for, 1, 0);
	return ok;
}

static struct queue inherited;

static int child_of_fork(int talk)
{
	struct queue own;
	int ok = inherits_nothing(&inherited);

	map_at(arena, 2 * PAGE, PROT_READ | PROT_WRITE);
	/* The parent has the dedicated one */
	ok &= queue_open(&own, DEDICATED) && errno == EBUSY;
	ok &= !queue_open(&own, SHARED) && copies(&own, 6, 50) && copies_by_write(own.file, 6, 50);
	close(inherited.file);
	say(talk, 'd');
	hear(talk);
	queue_close(&own);
	return !ok;
}

static void test_fork(const char *name)
{
	struct child child;
	int ok = 1;

	queue_open(&inherited, name);
	if (inherited.shared) {
		struct queue dedicated;

		queue_open(&dedicated, DEDICATED);
		child = start(child_of_fork);
		ok &= copies(&inherited, 5, 50) && copies(&dedicated, 5, 50) && hear(child.talk);
		ok &= copies(&inherited, 5, 50) && end(&child) && copies(&inherited, 5, 50) && copies(&dedicated, 5, 50);
		queue_close(&dedicated);
	} else {
		child = start(child_of_fork);
		ok &= copies(&inherited, 5, 50) && hear(child.talk);
		ok &= copies(&inherited, 5, 50) && end(&child) && copies(&inherited, 5, 50);
	}
	check(ok, inherited.shared ? "a_child_inherits_no_shared_queue" : "a_child_inherits_no_dedicated_queue");
	queue_close(&inherited);
}

static int orphan(int talk)
{
	int ok;

	say(talk, 'o');
	hear(talk);
	ok = inherits_nothing(&inherited);
	say(talk, ok ? 'y' : 'n');
	hear(talk);
	return 0;
}

static int parent_of_orphan(int talk)
{
	enter_cgroup();
	if (queue_open(&inherited, DEDICATED) || !copies(&inherited, 7, 4))
		return 1;
	fflush(stdout);
	if (!fork())
		exit(orphan(talk));
	pause();
	return 0;
}

/* The parent is gone, its descriptor and so its binding are not */
static void test_orphan(void)
{
	struct queue queue;
	struct child parent;
	int ok;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parent = start(parent_of_orphan);
	ok = hear(parent.talk) == 'o';
	kill(parent.pid, SIGKILL);
	waitpid(parent.pid, NULL, 0);
	ok &= queue_open(&queue, DEDICATED) && errno == EBUSY && ids_become(1);
	say(parent.talk, 'g');
	ok &= hear(parent.talk) == 'y';
	close(parent.talk);
	ok &= wait(NULL) > 0 && ids_become(0);
	ok &= !queue_open(&queue, DEDICATED) && copies(&queue, 8, 50);
	check(ok, "an_inherited_descriptor_keeps_the_queue_and_nothing_else");
	queue_close(&queue);
}

static int after_exec(int file)
{
	struct queue queue;
	int ok;

	descriptor = memmove_of(arena, arena + PAGE, 64, &record, 1);
	ok = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED && errno == EPERM;
	ok &= fails(file, &descriptor, 64, EPERM);
	if (!ok)
		printf("# the descriptor is of use behind exec()\n");
	/* The other one had FD_CLOEXEC */
	ok &= !queue_open(&queue, DEDICATED) && copies(&queue, 9, 50);
	queue_close(&queue);
	/* ENQCMD by a task that had another PASID */
	ok &= !queue_open(&queue, SHARED) && copies(&queue, 9, 50);
	return !ok;
}

static int execs(int talk)
{
	struct queue shared, dedicated;
	char file[16];

	(void)talk;
	enter_cgroup();
	if (queue_open(&shared, SHARED) || queue_open(&dedicated, DEDICATED) || !copies(&shared, 9, 4) ||
	    !copies(&dedicated, 9, 4))
		return 1;
	fcntl(shared.file, F_SETFD, 0);
	snprintf(file, sizeof(file), "%d", shared.file);
	execl("/proc/self/exe", "sva-life", "after-exec", file, NULL);
	return 1;
}

enum change { UNMAP, READ_ONLY, REPLACE, CHANGES };

/*
 * A device that writes to memory while the process takes it away. The process sees
 * the memory by another mapping; what is there when the system call returns stays.
 */
static void test_in_flight(const char *name)
{
	enum { COPIES = 8, PAGES = 256, ROUNDS = 60 };
	const size_t part = PAGES * PAGE, size = COPIES * part;
	static struct dsa_hw_desc descriptors[COPIES] __attribute__((aligned(64)));
	static struct dsa_completion_record records[COPIES] __attribute__((aligned(32)));
	int file = memfd_create("target", 0), counts[2] = { 0, 0 }, ok = 1;
	uint8_t *from = map(size), *before = map(size), *seen, *other = map(size);
	struct queue queue;

	ok &= !ftruncate(file, size) && !queue_open(&queue, name);
	seen = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	fill(from, size, 10, 0);
	for (int round = 0; ok && round < ROUNDS; round++) {
		/* The second half of what each descriptor writes, so that it has begun */
		const enum change change = round % CHANGES;
		const size_t changed = part / 2;

		memset(seen, round, size);
		mmap(arena, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, 0);
		for (int i = 0; i < COPIES; i++) {
			descriptors[i] = memmove_of(arena + i * part, from + i * part, part, &records[i], (round / CHANGES) % 2);
			submit(&queue, &descriptors[i]);
		}
		if (round % 2)
			usleep(round * 20);
		/* From the last on, which the device may not have come to */
		for (int i = COPIES - 1; i >= 0; i--) {
			uint8_t *at = arena + i * part + changed;

			if (change == UNMAP)
				munmap(at, changed);
			else if (change == READ_ONLY)
				mprotect(at, changed, PROT_READ);
			else
				map_at(at, changed, PROT_READ);
			memcpy(before + i * part, at - arena + seen, changed);
		}
		for (int i = 0; i < COPIES; i++) {
			int status = wait_for(&records[i]) & DSA_COMP_STATUS_MASK, fault = status != DSA_COMP_SUCCESS;

			counts[fault]++;
			ok &= !fault || status == DSA_COMP_PAGE_FAULT_NOBOF || status == DSA_COMP_PAGE_FAULT_IR;
			ok &= fault || !memcmp(seen + i * part, from + i * part, part);
			if (memcmp(before + i * part, seen + i * part + changed, changed)) {
				printf("# round %d, copy %d: written behind its end, status %#x\n", round, i, records[i].status);
				ok = 0;
			}
			/* What took its place is of zeroes */
			if (change == REPLACE)
				ok &= !memcmp(arena + i * part + changed, other, changed);
		}
	}
	printf("# %s: %d copies succeeded, %d ended with a fault\n", name, counts[0], counts[1]);
	check(ok && counts[0] && counts[1], queue.shared ? "memory_taken_from_a_shared_queue" : "memory_taken_from_a_dedicated_queue");
	queue_close(&queue);
	munmap(arena, size);
	munmap(seen, size);
	munmap(from, size);
	munmap(before, size);
	munmap(other, size);
	close(file);
}

static int shared_memory;

/* Has much to be written to memory that outlives it, and not all of it mapped, until it is killed */
static int writes_for_ever(const char *name)
{
	enum { SOURCES = 4, COPIES = 12 };
	const size_t size = 256 * PAGE;
	static struct dsa_hw_desc descriptors[COPIES] __attribute__((aligned(64)));
	static struct dsa_completion_record records[COPIES] __attribute__((aligned(32)));
	uint8_t *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared_memory, 0);
	uint8_t *from = map(SOURCES * size);
	struct queue queue;

	enter_cgroup();
	if (queue_open(&queue, name))
		return 1;
	fill(from, SOURCES * size, 12, getpid());
	for (unsigned int i = 0;; i++) {
		struct dsa_completion_record *at = &records[i % COPIES];

		if (i >= COPIES && wait_for(at) != DSA_COMP_SUCCESS)
			return 1;
		madvise(to + i % 8 * size / 8, size / 8, MADV_DONTNEED);
		descriptors[i % COPIES] = memmove_of(to, from + i % SOURCES * size, size, at, 1);
		submit(&queue, &descriptors[i % COPIES]);
	}
}

static int writes_to_dedicated(int talk)
{
	(void)talk;
	return writes_for_ever(DEDICATED);
}

static int writes_to_shared(int talk)
{
	(void)talk;
	return writes_for_ever(SHARED);
}

#define CLIENTS "/sys/bus/dsa/devices/dsa0/%s/clients"

/*
 * A process that is reaped can have its queue for a moment more: a page request of its that is
 * being served keeps the memory, and the mapping of the portal keeps the file. Ends as soon as
 * the queue is nobody's, so that what is written later is seen.
 */
static int is_let_go(const char *queue)
{
	char clients[sizeof(CLIENTS) + 16];

	snprintf(clients, sizeof(clients), CLIENTS, queue);
	for (time_t end = time(NULL) + 120; time(NULL) < end; sched_yield())
		if (!number_in(clients, ""))
			return 1;
	printf("# %s still has a client\n", queue);
	return 0;
}

static void test_killed(int (*victim)(int talk), const char *queue_name, const char *name)
{
	const size_t size = 256 * PAGE;
	uint8_t *seen, *before = map(size);
	int ok = 1;

	shared_memory = memfd_create("target", 0);
	ok &= !ftruncate(shared_memory, size);
	seen = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared_memory, 0);
	for (int i = 0; i < 12; i++) {
		struct child child = start(victim);
		struct queue queue;

		usleep(i * 1500);
		memcpy(before, seen, size);
		for (int j = 0; !memcmp(before, seen, size) && j < 120000; j++)
			usleep(1000);
		/* The device was writing, and the process has not ended by itself */
		ok &= memcmp(before, seen, size) && !waitpid(child.pid, NULL, WNOHANG);
		end_at_once(&child);
		ok &= is_let_go(queue_name);
		memcpy(before, seen, size);
		ok &= !queue_open(&queue, DEDICATED) && copies(&queue, 11, 4);
		queue_close(&queue);
		ok &= !memcmp(before, seen, size);
	}
	check(ok && ids_become(0), name);
	munmap(seen, size);
	munmap(before, size);
	close(shared_memory);
}

/* Of an operation that there is none of, without a record to say so in: an error of the device each time */
static int errors_are_counted_not_listed(void)
{
	int file = open(SHARED, O_RDWR), before = log_count(": err"), lines;
	struct pollfd error = { .fd = file, .events = POLLIN };

	memset(&descriptor, 0, sizeof(descriptor));
	descriptor.opcode = 0x3f;
	for (int i = 0; i < 400; i++) {
		if (write(file, &descriptor, sizeof(descriptor)) != sizeof(descriptor))
			i--;
		usleep(500);
	}
	if (poll(&error, 1, 60000) != 1 || !(error.revents & POLLIN))
		return 0;
	close(file);
	lines = log_count(": err") - before;
	if (lines > 12)
		printf("# %d lines\n", lines);
	return lines <= 12;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "after-exec"))
		return after_exec(atoi(argv[2]));
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	make_cgroup("max");

	test_charge();
	test_reaped();
	test_limit();
	test_write(DEDICATED);
	test_write(SHARED);
	check(run_child(unprivileged), "write_needs_no_privilege_and_mmap_does");
	test_fork(DEDICATED);
	test_fork(SHARED);
	test_orphan();
	check(run_child(execs) && ids_become(0), "a_program_behind_exec_has_its_own");
	test_in_flight(DEDICATED);
	test_in_flight(SHARED);
	test_killed(writes_to_dedicated, "wq0.0", "killed_with_a_dedicated_queue");
	test_killed(writes_to_shared, "wq0.1", "killed_with_a_shared_queue");
	check(errors_are_counted_not_listed(), "errors_of_a_process_do_not_fill_the_log");
	check(!log_count("fault addr") || log_count("fault addr") == log_count("fault reason 0x59"),
	      "only_absent_pasids_were_recorded");
	check(!rmdir(CGROUP) && shell("rmmod idxd"), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
