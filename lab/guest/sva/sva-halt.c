// SPDX-License-Identifier: GPL-2.0
/*
 * A DSA that halts while processes and a kernel client have work in it: all of them hear of it, nobody waits for it, and a
 * reset brings the device and its queues back. Prints TAP.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/syscall.h>

#include "dsa-test.h"
#include "sva-stall.h"

#define CLIENT "/sys/kernel/debug/idxd-client/"
#define ROUNDS 5

enum needs { NEEDS_SOFTWARE_RESET = 0, NEEDS_FLR = DSA_TEST_NEEDS_FLR };

static int halts;

static void halt(enum needs needs)
{
	dsa_test(DSA_TEST_HALT | needs);
	halts++;
}

static int comes_true(int (*it)(void))
{
	for (int i = 0; i < HANG_MS / 10; i++) {
		if (it())
			return 1;
		usleep(10000);
	}
	return 0;
}

static int halt_is_logged(void)
{
	return log_count("idxd halted, need") >= halts;
}

static int a_fault_waits(void)
{
	return number_in(STALL, "") > 0;
}

static int no_fault_waits(void)
{
	return !a_fault_waits();
}

static int client_has_nothing_left(void)
{
	return !number_in(CLIENT "left", "");
}

static int queue_opens(const char *name)
{
	int file = open(name, O_RDWR);

	if (file >= 0)
		close(file);
	return file >= 0 ? 0 : -errno;
}

static int both_open(void)
{
	return !queue_opens(DEDICATED) && !queue_opens(SHARED);
}

static int queue_copies(const char *name)
{
	int file = open(name, O_RDWR), ok = file >= 0 && copies_by_write(file, 3, 10);

	close(file);
	return ok;
}

static void check_device(const char *name)
{
	check(comes_true(both_open) && queue_copies(DEDICATED) && queue_copies(SHARED), name);
}

static int has_hung_up(int file)
{
	struct pollfd waits = { .fd = file, .events = POLLIN };

	return poll(&waits, 1, HANG_MS) == 1 && waits.revents & POLLHUP;
}

/* Submits until the queue refuses */
static int writes(int talk)
{
	int file = open(SHARED, O_RDWR), rc;
	uint8_t *memory = map(2 * PAGE);

	fill(memory, PAGE, 1, 1);
	descriptor = memmove_of(memory + PAGE, memory, PAGE, &record, 1);
	say(talk, file >= 0 ? 'o' : 'x');
	do
		rc = submit_by_write(file, &descriptor, 1);
	while (rc == 1 || errno == EAGAIN);
	say(talk, errno == EIO || errno == ENODEV ? 'o' : 'x');
	rc = has_hung_up(file) && submit_by_write(file, &descriptor, 1) != 1 && errno == ENODEV;
	say(talk, rc ? 'o' : 'x');
	hear(talk);
	return 0;
}

/* Closes sit in the device's commands then */
static int opens_and_closes(int talk)
{
	uint8_t *memory = map(PAGE * 512);

	say(talk, 'o');
	for (;;) {
		int file = open(SHARED, O_RDWR);

		if (file < 0)
			break;
		descriptor = memmove_of(memory, memory + PAGE * 256, PAGE * 256, &record, 1);
		submit_by_write(file, &descriptor, 1);
		close(file);
	}
	say(talk, errno == ENXIO ? 'o' : 'x');
	hear(talk);
	return 0;
}

static void reset(void)
{
	put_file(FUNCTION "reset", "1");
}

static void under_load(void)
{
	int file = open(DEDICATED, O_RDWR), ready;
	struct child staller, writer;

	queue_name = SHARED;
	staller = start(stalls);
	ready = heard(&staller, 's') && comes_true(a_fault_waits);
	writer = start(writes);
	ready &= heard(&writer, 'o');
	put_file(CLIENT "command", "take");
	put_file(CLIENT "command", "load");
	check(ready && file >= 0, "processes_and_a_client_have_work_in_the_device");

	halt(NEEDS_FLR);
	check(comes_true(halt_is_logged), "the_halt_is_in_the_log");
	check(heard(&writer, 'o'), "write_ends_with_an_error");
	check(heard(&writer, 'o'), "poll_says_that_the_queue_is_gone");
	check(has_hung_up(file), "to_who_has_the_other_queue_too");
	check(comes_true(client_has_nothing_left), "the_kernel_client_gets_all_of_its_callbacks");
	check(queue_opens(SHARED) == -ENXIO && queue_opens(DEDICATED) == -ENXIO, "nobody_opens_a_queue");
	put_file(STALL, "go");
	say(staller.talk, 'c');
	check(heard(&staller, 'c'), "close_ends");
	close(file);
	check(end(&writer) && end(&staller), "their_processes_end");
	put_file(CLIENT "command", "release");
	check(comes_true(no_fault_waits), "so_does_the_page_fault");

	reset();
	check_device("a_function_level_reset_brings_the_queues_back");
}

int main(void)
{
	int client = open("/lab/idxd-client-mod.ko", O_RDONLY | O_CLOEXEC);
	int stall = open("/lab/sva-stall-mod.ko", O_RDONLY | O_CLOEXEC);
	struct child child;
	int ok = 1, file;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	signal(SIGPIPE, SIG_IGN);
	check(shell("modprobe idxd && . /lab/dsa-lib.sh && accel config-wq dsa0/wq0.2 --group-id=0 --mode=dedicated "
		    "--wq-size=16 --priority=5 --type=kernel --name=dmaengine --driver-name=dmaengine "
		    "--max-batch-size=32 --max-transfer-size=2097152"), "a_queue_of_type_kernel");
	check(shell("sh /lab/sva-queues.sh && . /lab/dsa-lib.sh && accel enable-wq dsa0/wq0.2"), "and_two_of_type_user");
	if (syscall(SYS_finit_module, client, "", 0) || syscall(SYS_finit_module, stall, "", 0)) {
		printf("Bail out! no module: %s\n", strerror(errno));
		return 1;
	}

	under_load();
	check(shell(". /lab/dsa-lib.sh; dmatest 10 1; s=$?; rmmod dmatest; exit $s"), "and_that_of_the_kernel");

	/* One that a reset by command would do for */
	file = open(SHARED, O_RDWR);
	halt(NEEDS_SOFTWARE_RESET);
	check(has_hung_up(file), "a_halt_that_needs_less");
	close(file);
	check_device("is_mended_without_an_administrator");
	check(shell(". /lab/dsa-lib.sh; dmatest 10 1; s=$?; rmmod dmatest; exit $s"), "with_the_queue_of_the_kernel");

	for (int i = 0; i < ROUNDS; i++) {
		child = start(opens_and_closes);
		ok &= heard(&child, 'o');
		usleep(20000 * i);
		halt(NEEDS_FLR);
		ok &= heard(&child, 'o');
		ok &= end(&child);
		reset();
		ok &= comes_true(both_open);
	}
	check(ok, "halts_beside_open_and_close");
	check_device("leave_a_device_that_works");

	/* A reset that comes before anybody has seen to the halt */
	for (int i = 0; i < ROUNDS; i++) {
		file = open(DEDICATED, O_RDWR);
		halt(NEEDS_FLR);
		reset();
		ok &= has_hung_up(file);
		close(file);
		ok &= comes_true(both_open);
	}
	check(ok, "resets_at_once");
	check_device("leave_one_too");

	/* Queues that are disabled, and a driver that goes, while the device has halted */
	halt(NEEDS_FLR);
	check(shell(". /lab/dsa-lib.sh; accel disable-wq dsa0/wq0.1 && accel disable-wq dsa0/wq0.2"), "queues_of_a_halted_device_can_be_disabled");
	reset();
	check(queue_copies(DEDICATED), "the_reset_brings_the_rest_back");
	halt(NEEDS_FLR);
	check(shell("rmmod idxd_client_mod; rmmod idxd"), "the_driver_of_a_halted_device_goes");

	printf("1..%d\n", number);
	return failed;
}
