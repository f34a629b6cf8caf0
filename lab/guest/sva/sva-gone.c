// SPDX-License-Identifier: GPL-2.0
/*
 * Processes with two DSAs, and what they see when one of them goes: its queue is
 * disabled, its driver unbound, the device removed. Prints TAP.
 *
 *     sva-gone             the tests
 *     sva-gone hold N      have both queues of DSA N until they go (for sva-unplug.sh)
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "sva-user.h"

#define DEVICE2 "0000:00:11.0"
#define DSA "/sys/bus/dsa/drivers"
#define IDXD "/sys/bus/pci/drivers/idxd"

/* What is in flight when the queue goes is not served any page */
static int had_no_page(void)
{
	return (record.status & 0x3f) == DSA_COMP_PAGE_FAULT_IR;
}

/* Copies until the portal is gone; it must not end otherwise */
static int copies_until_it_goes(struct queue *queue, unsigned int who)
{
	int got;

	catch_faults();
	got = SIGNAL_OF(while (copies(queue, who, 1) || had_no_page()));
	if (got != SIGBUS)
		printf("# %s queue: signal %d, status %#x\n", queue->shared ? "shared" : "dedicated", got, record.status);
	return got == SIGBUS;
}

/* Nothing works on the queue, and everything says so */
static int is_gone(struct queue *queue)
{
	struct pollfd poll_for = { .fd = queue->file, .events = POLLIN };
	void *portal;
	volatile int ok = 1;

	catch_faults();
	record.status = 0;
	descriptor = memmove_of(&descriptor, &descriptor, 64, &record, 1);
	ok &= write(queue->file, &descriptor, 64) == -1 && errno == ENODEV;
	portal = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, queue->file, 0);
	ok &= portal == MAP_FAILED && errno == ENODEV;
	ok &= poll(&poll_for, 1, 0) == 1 && poll_for.revents & POLLHUP;
	ok &= SIGNAL_OF(idxd_movdir64b(queue->portal, &descriptor)) == SIGBUS && !record.status;
	if (!ok)
		printf("# %s queue: is not gone\n", queue->shared ? "shared" : "dedicated");
	return ok;
}

static int loses(int talk, const char *name)
{
	struct queue queue, first;
	int ok;

	enter_cgroup();
	if (queue_open(&queue, name) || queue_open(&first, SHARED))
		return 1;
	say(talk, 'o');
	ok = copies_until_it_goes(&queue, 1) && is_gone(&queue);
	/* The mm is bound to the other one as before */
	ok &= copies(&first, 2, 5);
	say(talk, ok ? 'y' : 'n');
	/* The files are closed when all has come back */
	hear(talk);
	ok &= is_gone(&queue) && copies(&first, 3, 5);
	queue_close(&queue);
	ok &= copies(&first, 4, 5);
	return !ok;
}

static int loses_dedicated(int talk)
{
	return loses(talk, DEDICATED2);
}

static int loses_shared(int talk)
{
	return loses(talk, SHARED2);
}

static void *sleeps(void *file)
{
	struct pollfd poll_for = { .fd = *(int *)file, .events = POLLIN };

	return (void *)(uintptr_t)(poll(&poll_for, 1, 20000) == 1 && poll_for.revents & POLLHUP);
}

/* Without a mapping: write() fails, and who sleeps in poll() wakes up */
static int loses_in_kernel(int talk)
{
	pthread_t sleeper;
	void *woken;
	int file, ok = 1;

	enter_cgroup();
	file = open(SHARED2, O_RDWR | O_CLOEXEC);
	if (file < 0 || pthread_create(&sleeper, NULL, sleeps, &file))
		return 1;
	say(talk, 'o');
	errno = 0;
	while (copies_by_write(file, 5, 1) || had_no_page())
		;
	ok &= errno == ENODEV && !pthread_join(sleeper, &woken) && woken;
	say(talk, ok ? 'y' : 'n');
	hear(talk);
	return close(file) || !ok;
}

/* What goes is DSA 1; COME makes it another one with two queues */
static void test_goes(const char *name, const char *go, const char *come)
{
	struct child children[3];
	struct queue queue, second;
	int ok = 1;

	children[0] = start(loses_dedicated);
	children[1] = start(loses_shared);
	children[2] = start(loses_in_kernel);
	for (int i = 0; i < 3; i++)
		ok &= hear(children[i].talk) == 'o';
	usleep(100000);
	if (!ok || !shell(go)) {
		for (int i = 0; i < 3; i++)
			end_at_once(&children[i]);
		check(0, name);
		return;
	}
	for (int i = 0; i < 3; i++)
		ok &= hear(children[i].talk) == 'y';
	check(ok && ids_become(3), name);

	if (!shell(come) || queue_open(&queue, DEDICATED2) || queue_open(&second, SHARED2)) {
		printf("Bail out! %s: it does not come back: %s\n", name, strerror(errno));
		exit(1);
	}
	ok = copies(&queue, 6, 5) && copies(&second, 6, 5);
	for (int i = 0; i < 3; i++) {
		say(children[i].talk, 'g');
		ok &= end(&children[i]);
		/* Their end takes nothing from those who have it now */
		ok &= copies(&queue, 7, 5) && copies(&second, 7, 5);
		ok &= open(DEDICATED2, O_RDWR) == -1 && errno == EBUSY;
	}
	queue_close(&queue);
	queue_close(&second);
	check(ok && ids_become(0), "old_files_leave_new_queues_alone");
}

static int has_two(int talk)
{
	struct queue one, two;
	int ok = 1;

	enter_cgroup();
	ok &= !queue_open(&one, SHARED) && !queue_open(&two, SHARED2);
	ok &= copies(&one, 8, 50) && copies(&two, 8, 50);
	say(talk, 'b');
	hear(talk);
	queue_close(&one);
	ok &= copies(&two, 8, 50);
	ok &= !queue_open(&one, DEDICATED) && copies(&one, 8, 50);
	queue_close(&two);
	ok &= copies(&one, 8, 50);
	queue_close(&one);
	return !ok;
}

static void test_two(void)
{
	struct child child = start(has_two);
	int ok = hear(child.talk) == 'b' && ids_become(1);

	say(child.talk, 'g');
	check(end(&child) && ok && ids_become(0), "two_devices_have_one_pasid_and_part_alone");
}

static int hold(const char *number)
{
	char name[32];
	struct queue queues[2];

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "/dev/dsa/wq%s.%d", number, i);
		if (queue_open(&queues[i], name)) {
			perror(name);
			return 1;
		}
		queues[i].shared = i;
	}
	printf("holding\n");
	fflush(stdout);
	return !copies_until_it_goes(&queues[1], 9) || !is_gone(&queues[0]) || !is_gone(&queues[1]);
}

#define QUEUES2 "sh /lab/sva-queues.sh 1"
#define CONFIG2 ". /lab/dsa-lib.sh && for q in 0 1; do accel config-wq dsa1/wq1.$q --type=user " \
	"--name=again$q --driver-name=user --priority=10 --block-on-fault=1 " \
	"$([ $q = 0 ] && echo --mode=dedicated || echo --mode=shared --threshold=8) || exit; done && accel enable-wq dsa1/wq1.0 && accel enable-wq dsa1/wq1.1"

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh && " QUEUES2), "queues_of_two_devices");
	make_cgroup("max");
	test_two();
	/* accel-config looks for clients before it asks the kernel */
	test_goes("queues_are_disabled", "echo wq1.0 >" DSA "/user/unbind && echo wq1.1 >" DSA "/user/unbind", CONFIG2);
	test_goes("device_is_disabled", "echo dsa1 >" DSA "/idxd/unbind", QUEUES2);
	test_goes("driver_is_unbound", "echo " DEVICE2 " >" IDXD "/unbind", "echo " DEVICE2 " >" IDXD "/bind && " QUEUES2);
	test_goes("device_is_removed", "echo 1 >/sys/bus/pci/devices/" DEVICE2 "/remove",
		  "echo 1 >/sys/bus/pci/rescan && " QUEUES2);
	check(!log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd") && !rmdir(CGROUP), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
