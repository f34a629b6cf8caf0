// SPDX-License-Identifier: GPL-2.0
/*
 * Two at the same moment, of which the second has to wait for the first: both ends of a bond, the end of a device and a
 * page request of it, the end of a device and a flush of memory that it has. sva-race-mod.c holds the first one until the
 * second has come, and says whether that went on. Prints TAP.
 *
 * The first is on CPU 1, which is held, all others are on CPU 0.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "load-module.h"
#include "sva-requester.h"
#include "sva-user.h"

#define RACE "/sys/kernel/debug/sva-race"
#define REQUESTER "/sys/kernel/debug/sva-requester"
#define REMOVE "/sys/bus/pci/devices/0000:01:00.0/remove"
#define RESCAN "/sys/bus/pci/rescan"

#define WAIT_MS 120000

/* CPUs */
enum { OTHERS, HELD };

static int requester;

static void on_cpu(pid_t task, int number)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(number, &cpus);
	if (sched_setaffinity(task, sizeof(cpus), &cpus))
		printf("# %d is not bound to CPU %d: %s\n", task, number, strerror(errno));
}

static int seen(const char *what)
{
	return number_in(RACE, what) == 1;
}

/* Jiffies are counted by this CPU then, and go on when the other one is held */
static void keep_busy(void)
{
	struct timespec now, start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000000l + now.tv_nsec - start.tv_nsec < 50000000);
}

static void arm(const char *scene)
{
	keep_busy();
	put_file(RACE, scene);
}

static int comes(const char *what)
{
	for (int i = 0; i < HANG_MS && !seen(what); i++)
		usleep(1000);
	return seen(what);
}

/* The second one came while the first was held, and has waited for it */
static void check_race(int ok, const char *name)
{
	int held = comes("over "), arrived = seen("arrived "), overtaken = seen("overtaken ");

	if (!held || !arrived || overtaken)
		printf("# held %d, arrived %d, overtaken %d\n", held, arrived, overtaken);
	check(ok && held && arrived && !overtaken, name);
	put_file(RACE, "nothing");
}

static int page_response(const void *at, unsigned int wait_ms)
{
	struct requester_page page = { .addr = (uintptr_t)at, .flags = REQUESTER_READ, .last = 1, .wait_ms = wait_ms };

	return ioctl(requester, REQUESTER_PAGE, &page) ? -2 : page.response;
}

static int its_cpu;

/* The device has its memory; what it is told to is to give back a part of that */
static int binds(int talk)
{
	uint8_t *memory = map(2 * PAGE);

	on_cpu(0, its_cpu);
	if (ioctl(requester, REQUESTER_BIND) || page_response(memory, WAIT_MS))
		return 1;
	memory[0] = 1;
	say(talk, 'b');
	if (hear(talk) != 'g')
		return 0;
	munmap(memory, PAGE);
	say(talk, 'u');
	hear(talk);
	return 0;
}

static int unbinds(int talk)
{
	on_cpu(0, its_cpu);
	say(talk, 'r');
	hear(talk);
	say(talk, ioctl(requester, REQUESTER_UNBIND) < 0 ? 'x' : 'u');
	hear(talk);
	return 0;
}

static int serves(int talk)
{
	uint8_t *memory = map(PAGE);

	(void)talk;
	return ioctl(requester, REQUESTER_BIND) || page_response(memory, WAIT_MS) ||
	       ioctl(requester, REQUESTER_READ_DATA, &memory) || ioctl(requester, REQUESTER_UNBIND) < 0;
}

/* The process ends while its bond is undone, and the other way round */
static void test_tear_down(int unbind_first, const char *name)
{
	struct child bound, undoes;
	int ok;

	its_cpu = unbind_first ? OTHERS : HELD;
	bound = start(binds);
	ok = heard(&bound, 'b');
	its_cpu = unbind_first ? HELD : OTHERS;
	undoes = start(unbinds);
	ok &= heard(&undoes, 'r');

	arm("tear-down");
	if (unbind_first)
		say(undoes.talk, 'g');
	else
		kill(bound.pid, SIGKILL);
	ok &= comes("held ");
	if (unbind_first)
		kill(bound.pid, SIGKILL);
	else
		say(undoes.talk, 'g');
	check_race(ok, name);
	ok = heard(&undoes, 'u') && end(&undoes);
	end_at_once(&bound);
	check(ok && run_child(serves), "the_next_process_is_served");
}

static int comes_back(void)
{
	put_file(RESCAN, "1");
	requester = open(REQUESTER, O_RDWR | O_CLOEXEC);
	return requester >= 0 && run_child(serves);
}

/* The thread that serves page requests, by its name; 0 for none */
static pid_t prq_thread(void)
{
	DIR *tasks = opendir("/proc");
	struct dirent *task;
	pid_t found = 0;

	while (tasks && !found && (task = readdir(tasks))) {
		char name[300], text[64] = "";
		int file;

		snprintf(name, sizeof(name), "/proc/%s/comm", task->d_name);
		file = open(name, O_RDONLY);
		if (file >= 0 && read(file, text, sizeof(text) - 1) > 0 && strstr(text, "-dmar") && strstr(text, "-prq"))
			found = atoi(task->d_name);
		if (file >= 0)
			close(file);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

/* A request of a device that nobody has bound is reported, too: the handler finds that it is for nobody */
static void test_report(void)
{
	pid_t thread = prq_thread();
	int ok = thread > 0;

	if (ok)
		on_cpu(thread, HELD);
	arm("report");
	page_response(NULL, 1);
	ok &= comes("held ");
	close(requester);
	put_file(REMOVE, "1");
	check_race(ok, "a_device_waits_for_the_report_of_its_page_request");
	check(comes_back(), "it_comes_back_and_is_served");
}

static void test_flush(void)
{
	struct child bound;
	int ok;

	its_cpu = HELD;
	bound = start(binds);
	ok = heard(&bound, 'b');
	arm("flush");
	say(bound.talk, 'g');
	ok &= comes("held ");
	put_file(REMOVE, "1");
	check_race(ok, "a_device_waits_for_who_flushes_its_translations");
	check(heard(&bound, 'u') && end(&bound), "who_flushed_goes_on");
	close(requester);
	check(comes_back(), "it_comes_back_and_is_served_again");
}

int main(void)
{
	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	on_cpu(0, OTHERS);
	requester = load("/lab/sva-requester-mod.ko") ? -1 : open(REQUESTER, O_RDWR | O_CLOEXEC);
	if (requester < 0 || load("/lab/sva-race-mod.ko")) {
		printf("Bail out! %s\n", strerror(errno));
		return 1;
	}
	check(run_child(serves), "a_process_is_served");
	test_tear_down(0, "unbind_waits_for_the_end_of_the_process");
	test_tear_down(1, "the_end_of_the_process_waits_for_unbind");
	test_report();
	test_flush();
	printf("1..%d\n", number);
	return failed;
}
