// SPDX-License-Identifier: GPL-2.0
/*
 * Page requests of devices to a process: which are served, and how, which are answered "invalid", what becomes of
 * the queue when it overflows, of requests when the process is unbound, and of both in a suspend to RAM. A DSA sends
 * those that its work leads to, the emulator's test device any. Prints TAP.
 *
 * usage: sva-prq [suspend]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dsa-user.h"
#include "kernel-log.h"
#include "load-module.h"
#include "sva-requester.h"
#include "tap-fault.h"

#define TRACING "/sys/kernel/debug/tracing/"

/* PCIe 6.0 10.4.2.1 */
enum { SUCCESS = 0, INVALID = 1, NO_ANSWER = -1 };

/* Of the kernel's enum fault_flag */
enum { FLAG_WRITE = 1 << 0, FLAG_USER = 1 << 6, FLAG_REMOTE = 1 << 7 };

/* For an answer that must come */
#define WAIT_MS 120000

static int requester;

static int page_request(uint64_t addr, unsigned int flags)
{
	struct requester_page page = { .addr = addr, .flags = flags, .last = 1 };

	/* It has none when it asks for nothing: a stop marker */
	page.wait_ms = flags & ~REQUESTER_PRIV ? WAIT_MS : 1000;
	return ioctl(requester, REQUESTER_PAGE, &page) ? -2 : page.response;
}

static int request(const void *at, unsigned int flags)
{
	return page_request((uintptr_t)at, flags);
}

static int populated(void *at)
{
	unsigned char there = 0;

	return !mincore(at, PAGE, &there) && there & 1;
}

static int write_file(const char *name, const char *text)
{
	int file = open(name, O_WRONLY | O_CLOEXEC), ok = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);

	close(file);
	return ok;
}

/* The flags that the kernel's fault handler got for this address while the request was served, -1 if it was not called */
static int flags_of(void *at, unsigned int flags)
{
	char line[256], *found;
	int got = -1;
	FILE *trace;

	snprintf(line, sizeof(line), "addr == %#lx", (unsigned long)at);
	if (!write_file(TRACING "events/lab/served/filter", line) || !write_file(TRACING "trace", "\n") ||
	    !write_file(TRACING "events/lab/served/enable", "1"))
		printf("# no trace: %s\n", strerror(errno));
	if (request(at, flags) != SUCCESS)
		printf("# not served\n");
	write_file(TRACING "events/lab/served/enable", "0");
	trace = fopen(TRACING "trace", "re");
	while (trace && fgets(line, sizeof(line), trace))
		if ((found = strstr(line, "flags=")))
			got = strtol(found + strlen("flags="), NULL, 0);
	if (trace)
		fclose(trace);
	printf("# flags %#x\n", got);
	return got;
}

static void test_served(void)
{
	uint8_t *memory = map(4 * PAGE);
	int ok;

	ok = !populated(memory) && request(memory, REQUESTER_READ) == SUCCESS && populated(memory);
	check(ok && !ioctl(requester, REQUESTER_READ_DATA, &memory), "a_page_is_served_and_read");
	ok = write_file(TRACING "kprobe_events", "p:lab/served handle_mm_fault addr=%si:x64 flags=%dx:x32");
	ok &= flags_of(memory + PAGE, REQUESTER_READ) == (FLAG_USER | FLAG_REMOTE);
	ok &= flags_of(memory + 2 * PAGE, REQUESTER_READ | REQUESTER_WRITE) == (FLAG_USER | FLAG_REMOTE | FLAG_WRITE);
	check(ok, "faults_are_those_of_a_user_and_remote");
	munmap(memory, 4 * PAGE);
}

static void test_group(void)
{
	uint8_t *memory = map(4 * PAGE);
	struct requester_page page = { .flags = REQUESTER_READ | REQUESTER_WRITE, .group = 7 };
	int before = ioctl(requester, REQUESTER_RESPONSES), ok = 1;

	for (int i = 0; i < 4; i++) {
		page.addr = (uintptr_t)memory + i * PAGE;
		page.last = i == 3;
		page.wait_ms = page.last ? WAIT_MS : 200;
		ok &= !ioctl(requester, REQUESTER_PAGE, &page) && page.response == (page.last ? SUCCESS : NO_ANSWER);
	}
	for (int i = 0; i < 4; i++)
		ok &= populated(memory + i * PAGE);
	check(ok && ioctl(requester, REQUESTER_RESPONSES) == before + 1, "a_group_is_served_and_answered_once");
	munmap(memory, 4 * PAGE);
}

static void test_refused(void)
{
	uint8_t *memory = map(2 * PAGE), *constant = map(PAGE);
	struct requester_page page = { .addr = (uintptr_t)memory, .flags = REQUESTER_READ, .last = 1, .no_pasid = 1,
				       .wait_ms = WAIT_MS };
	int ok = 1;

	ok &= request(memory, REQUESTER_PRIV | REQUESTER_READ) == INVALID;
	ok &= request(memory, REQUESTER_PRIV | REQUESTER_WRITE) == INVALID;
	ok &= request(memory, REQUESTER_PRIV | REQUESTER_READ | REQUESTER_WRITE) == INVALID;
	check(ok && !populated(memory), "in_privileged_mode_is_invalid");
	/* Though the process could */
	mprotect(memory, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	ok = request(memory, REQUESTER_EXEC | REQUESTER_READ) == INVALID;
	ok &= request(memory, REQUESTER_EXEC | REQUESTER_READ | REQUESTER_WRITE) == INVALID;
	check(ok && !populated(memory), "execute_and_read_is_invalid");
	check(request(memory, 0) == NO_ANSWER && request(memory, REQUESTER_PRIV) == NO_ANSWER && !populated(memory),
	      "a_stop_marker_is_not_answered");
	ok = !ioctl(requester, REQUESTER_PAGE, &page) && page.response == INVALID && !populated(memory);
	check(ok, "without_pasid_is_invalid");

	/* The kernel's own half, its direct map and text; and none of the two halves */
	ok = page_request(0xffff888000000000, REQUESTER_READ) == INVALID;
	ok &= page_request(0xffffffff81000000, REQUESTER_READ | REQUESTER_WRITE) == INVALID;
	ok &= page_request(0x0001000000000000, REQUESTER_READ) == INVALID;
	check(ok, "addresses_of_the_kernel_are_invalid");

	fill(constant, PAGE, 5, 1);
	mprotect(constant, PAGE, PROT_READ);
	ok = request(constant, REQUESTER_WRITE) == INVALID && filled(constant, PAGE, 5, 1);
	mprotect(memory, PAGE, PROT_NONE);
	ok &= request(memory, REQUESTER_READ) == INVALID && request(memory + PAGE, REQUESTER_READ) == SUCCESS;
	munmap(memory, 2 * PAGE);
	check(ok && request(memory, REQUESTER_READ) == INVALID, "rights_of_the_mapping_count");
	munmap(constant, PAGE);
}

#define REFUSED 400

/* What a program can do for ever must not fill the log. It keeps some hundred lines, and each kind is looked at by itself. */
static void test_log(void)
{
	static const struct {
		const char *words;
		uint64_t addr;
		unsigned int flags, no_pasid;
	} kinds[] = {
		{ "Page request in Privilege Mode", 0x10000, REQUESTER_PRIV | REQUESTER_READ, 0 },
		{ "Execution request not supported", 0x10000, REQUESTER_EXEC | REQUESTER_READ, 0 },
		{ "Address is not canonical", 0x0001000000000000, REQUESTER_READ, 0 },
		{ "Page request without PASID", 0x10000, REQUESTER_READ, 1 },
		/* Not mapped, which the thread of the process's faults finds */
		{ "fault", 0x10000, REQUESTER_READ, 0 },
	};
	int ok = 1;

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		struct requester_page page = { .addr = kinds[kind].addr, .flags = kinds[kind].flags, .last = 1,
					       .no_pasid = kinds[kind].no_pasid, .wait_ms = WAIT_MS };
		int lines, all;

		klogctl(5 /* SYSLOG_ACTION_CLEAR */, NULL, 0);
		for (int i = 0; i < REFUSED; i++)
			ok &= !ioctl(requester, REQUESTER_PAGE, &page) && page.response == INVALID;
		lines = log_count(kinds[kind].words);
		all = log_count("\n");
		printf("# %d requests, %d lines, %d of '%s'\n", REFUSED, all, lines, kinds[kind].words);
		/* The limit is ten lines in five seconds: more are there when it has taken three minutes */
		ok &= lines < REFUSED / 4 && all < REFUSED * 3 / 4;
	}
	check(ok, "refused_requests_do_not_fill_the_log");
}

/*
 * Memory whose faults a monitor handles: it is not asked for those of a device, which could be kept waiting by it for
 * as long as it likes, and others with it.
 */
static void test_userfaultfd(void)
{
	struct uffdio_register range = { .range.len = 4 * PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP };
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	uint8_t *memory = map(4 * PAGE), *source = map(PAGE);
	struct uffdio_copy copy_in = { .len = PAGE };
	struct uffdio_writeprotect protect = { .range.len = PAGE, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct pollfd monitor = { .events = POLLIN };
	int ok;

	range.range.start = (uintptr_t)memory;
	monitor.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (monitor.fd < 0 || ioctl(monitor.fd, UFFDIO_API, &api) || ioctl(monitor.fd, UFFDIO_REGISTER, &range)) {
		check(0, "userfaultfd");
		return;
	}
	ok = request(memory, REQUESTER_READ) == INVALID;
	ok &= request(memory + PAGE, REQUESTER_READ | REQUESTER_WRITE) == INVALID;
	check(ok && !populated(memory) && !populated(memory + PAGE) && !poll(&monitor, 1, 0),
	      "what_a_monitor_of_userfaultfd_has_to_fill_is_invalid");

	memset(source, 0x5a, PAGE);
	copy_in.src = (uintptr_t)source;
	copy_in.dst = (uintptr_t)memory;
	ok = !ioctl(monitor.fd, UFFDIO_COPY, &copy_in) && request(memory, REQUESTER_READ | REQUESTER_WRITE) == SUCCESS;
	protect.range.start = (uintptr_t)memory;
	ok &= !ioctl(monitor.fd, UFFDIO_WRITEPROTECT, &protect);
	ok &= request(memory, REQUESTER_READ) == SUCCESS && request(memory, REQUESTER_READ | REQUESTER_WRITE) == INVALID;
	check(ok && memory[0] == 0x5a && !poll(&monitor, 1, 0), "what_it_has_filled_is_served_unless_it_protects_it");
	close(monitor.fd);
	check(request(memory + PAGE, REQUESTER_READ | REQUESTER_WRITE) == SUCCESS, "without_the_monitor_it_is_memory");
	munmap(memory, 4 * PAGE);
	munmap(source, PAGE);
}

/* An address that is wrong by a little must not become the stack's */
static void test_stack(void)
{
	uint8_t *room = map(2048 * PAGE), *stack = room + 2047 * PAGE;
	int ok;

	munmap(room, 2048 * PAGE);
	ok = mmap(stack, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0) == stack;
	ok &= request(stack, REQUESTER_READ | REQUESTER_WRITE) == SUCCESS;
	ok &= request(stack - 8, REQUESTER_READ | REQUESTER_WRITE) == INVALID && request(stack - PAGE, REQUESTER_READ) == INVALID;
	check(ok, "a_stack_does_not_grow_by_a_device");
	/* It does so by its process */
	*(volatile uint8_t *)(stack - 8) = 1;
	check(request(stack - 8, REQUESTER_READ | REQUESTER_WRITE) == SUCCESS, "what_it_has_grown_to_is_served");
	munmap(stack - PAGE, 2 * PAGE);
}

#define COPY_TRIES 20

/*
 * Copies with faults, 0 when each was right. A device that is told again and again to ask once more, as the queue is
 * full, gives up with the status of a page that is refused, and software may try again; one that is refused stays so.
 */
static int copy_with_faults(struct queue *queue, int rounds)
{
	int ok = 1;

	for (int i = 0; i < rounds && ok; i++) {
		uint8_t *from = map(8 * PAGE), *to = map(8 * PAGE);

		int status = DSA_COMP_PAGE_FAULT_IR;

		fill(from, 8 * PAGE, 6, i);
		for (int tries = 0; tries < COPY_TRIES && (status & ~DSA_COMP_STATUS_WRITE) == DSA_COMP_PAGE_FAULT_IR; tries++)
			status = copy(queue, to, from, 8 * PAGE, 1);
		ok = status == DSA_COMP_SUCCESS && filled(to, 8 * PAGE, 6, i);
		if (!ok)
			printf("# copy %d: status %#x\n", i, status);
		munmap(from, 8 * PAGE);
		munmap(to, 8 * PAGE);
	}
	return !ok;
}

/* The queue has that many entries (PRQ_ORDER of the kernel). A DSA meets it full, too, and asks again. */
#define ENTRIES 2048
#define FLOOD 3000

static void test_overflow(void)
{
	uint8_t *memory = map(FLOOD * PAGE);
	int before, after = 0, status, ok = 1;

	for (int i = 0; i < 3; i++) {
		struct requester_flood flood = { .addr = (uintptr_t)memory, .count = FLOOD, .hold_ms = 100 };
		pid_t child;

		fflush(stdout);
		child = fork();
		if (!child) {
			struct queue queue;

			_exit(queue_open(&queue, SHARED) || copy_with_faults(&queue, 30));
		}
		before = ioctl(requester, REQUESTER_RESPONSES);
		ok &= !ioctl(requester, REQUESTER_FLOOD, &flood) && flood.refused >= FLOOD - ENTRIES;
		ok &= waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
		for (int tries = 0; tries < 1200; tries++) {
			after = ioctl(requester, REQUESTER_RESPONSES);
			if (after - before == (int)(flood.count - flood.refused))
				break;
			usleep(100000);
		}
		printf("# %u of %u requests met a full queue, %d were answered\n", flood.refused, flood.count, after - before);
		ok &= after - before == (int)(flood.count - flood.refused);
		ok &= request(memory + (FLOOD - 1) * PAGE, REQUESTER_READ) == SUCCESS;
		ok &= populated(memory + (FLOOD - 1) * PAGE);
		madvise(memory, FLOOD * PAGE, MADV_DONTNEED);
	}
	check(ok, "an_overflow_of_the_queue_is_recovered");
	munmap(memory, FLOOD * PAGE);
}

#define OVERFLOWS 60
#define OVERFLOWS_S 15

/* Nor must what overflows again and again, of pages that nobody has. A slow machine does less of it, and shows less. */
static void test_overflow_log(void)
{
	struct requester_flood flood = { .addr = 0x10000000, .count = FLOOD, .hold_ms = 5 };
	int ok = 1, done, detected, cleared;
	time_t start = time(NULL), seconds;
	long limit;

	klogctl(5 /* SYSLOG_ACTION_CLEAR */, NULL, 0);
	for (done = 0; done < OVERFLOWS && time(NULL) - start < OVERFLOWS_S; done++) {
		int before = ioctl(requester, REQUESTER_RESPONSES);

		ok &= !ioctl(requester, REQUESTER_FLOOD, &flood) && flood.refused;
		for (int tries = 0; tries < 120000 && ioctl(requester, REQUESTER_RESPONSES) - before <
				    (int)(flood.count - flood.refused); tries++)
			usleep(1000);
	}
	detected = log_count("PRQ overflow detected");
	cleared = log_count("PRQ overflow cleared");
	seconds = time(NULL) - start;
	limit = 10 * (seconds / 5 + 2);
	printf("# %d overflows in %ld s, %d + %d lines\n", done, (long)seconds, detected, cleared);
	check(ok && detected && cleared && detected <= limit && cleared <= limit, "overflows_do_not_fill_the_log");
}

#define PENDING 20

static void *send_and_hold(void *memory)
{
	struct requester_flood flood = { .addr = (uintptr_t)memory, .count = PENDING, .hold_ms = 400 };

	return (void *)(intptr_t)(ioctl(requester, REQUESTER_FLOOD, &flood) ? -1 : (int)flood.refused);
}

/* Whoever comes next may get the PASID: nothing may be left of it */
static void test_drain(void)
{
	uint8_t *memory = map(PENDING * PAGE);
	int before = ioctl(requester, REQUESTER_RESPONSES), floods = ioctl(requester, REQUESTER_FLOODS), after, ok;
	pthread_t thread;
	void *result;

	ok = !pthread_create(&thread, NULL, send_and_hold, memory);
	while (ok && ioctl(requester, REQUESTER_FLOODS) == floods)
		usleep(1000);
	after = ioctl(requester, REQUESTER_UNBIND);
	printf("# %d of %d requests were answered when unbind was done\n", after - before, PENDING);
	ok &= !pthread_join(thread, &result) && !result && after - before == PENDING;
	check(ok && !ioctl(requester, REQUESTER_BIND) && request(memory, REQUESTER_READ) == SUCCESS,
	      "unbind_waits_for_page_requests");
	munmap(memory, PENDING * PAGE);
}

static int set_up_queues(void)
{
	return system("sh /lab/sva-queues.sh >/tmp/queues 2>&1 || { sed 's/^/# /' /tmp/queues; exit 1; }");
}

static void test_suspend(void)
{
	uint8_t *memory = map(2 * PAGE), *other = memory + PAGE;
	struct queue queue, shared;
	int ok;

	check(request(memory, REQUESTER_READ) == SUCCESS && !queue_open(&queue, DEDICATED) && !queue_open(&shared, SHARED) &&
	      !copy_with_faults(&queue, 3), "page_requests_before");
	/* The registers of the IOMMU, and of the devices, are lost */
	check(!system(". /lab/dsa-lib.sh && suspend_to_ram"), "suspend_to_ram");
	ok = !ioctl(requester, REQUESTER_READ_DATA, &memory);
	check(ok, "memory_that_is_there_is_read_after");
	ok = request(other, REQUESTER_READ) == SUCCESS && populated(other);
	check(ok && !ioctl(requester, REQUESTER_READ_DATA, &other), "page_requests_after");
	check(!copy_with_faults(&queue, 3) && !copy_with_faults(&shared, 3), "page_requests_of_a_dsa_after");
	queue_close(&queue);
	queue_close(&shared);
	check(!queue_open(&queue, DEDICATED) && !copy_with_faults(&queue, 3), "who_opens_a_queue_after");
	queue_close(&queue);
	munmap(memory, 2 * PAGE);
}

int main(int argc, char **argv)
{
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	check(!set_up_queues(), "queues_of_type_user");
	requester = load("/lab/sva-requester-mod.ko") ? -1 :
		open("/sys/kernel/debug/sva-requester", O_RDWR | O_CLOEXEC);
	if (requester < 0 || ioctl(requester, REQUESTER_BIND)) {
		printf("Bail out! %s\n", strerror(errno));
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "suspend")) {
		test_suspend();
	} else {
		test_served();
		test_group();
		test_refused();
		test_log();
		test_userfaultfd();
		test_stack();
		test_overflow();
		test_overflow_log();
		test_drain();
	}
	printf("1..%d\n", number);
	return failed;
}
