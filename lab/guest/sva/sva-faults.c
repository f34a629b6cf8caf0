// SPDX-License-Identifier: GPL-2.0
/*
 * Faults of DMA that come as fast as a device can cause them: they fill neither the log nor a CPU, and the next one is
 * heard of. Prints TAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "kernel-log.h"
#include "load-module.h"
#include "sva-requester.h"
#include "tap-fault.h"

#define FAULT_LINE "fault addr"
#define STORM_MS 3000

static int requester;

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Of the faults of all IOMMUs, on all CPUs; the line ends in words */
static long interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[512];
	long count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		char *at = strchr(line, ':'), *end;

		if (!at || !strstr(line, " dmar") || strstr(line, "-prq"))
			continue;
		for (at++;; at = end) {
			long number = strtol(at, &end, 10);

			if (end == at || (*end != ' ' && *end != '\n'))
				break;
			count += number;
		}
	}
	if (file)
		fclose(file);
	return count;
}

static struct requester_storm storm(void *at, unsigned int ms)
{
	struct requester_storm storm = { .addr = (uintptr_t)at, .ms = ms };

	if (ioctl(requester, REQUESTER_STORM, &storm)) {
		printf("# no storm: %s\n", strerror(errno));
		storm.count = 0;
	}
	return storm;
}

/* The log takes ten lines in five seconds, so it may be some later one */
static int is_heard(void *at)
{
	int before = log_count(FAULT_LINE);

	for (int i = 0; i < 60 && storm(at, 0).count; i++) {
		sleep(1);
		if (log_count(FAULT_LINE) > before)
			return 1;
	}
	return 0;
}

int main(void)
{
	uint8_t *memory = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before, count, time, most;
	struct requester_storm faults;
	int lines;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	requester = load("/lab/sva-requester-mod.ko") ? -1 :
		open("/sys/kernel/debug/sva-requester", O_RDWR | O_CLOEXEC);
	if (requester < 0 || ioctl(requester, REQUESTER_BIND)) {
		printf("Bail out! %s\n", strerror(errno));
		return 1;
	}
	before = interrupts();
	check(is_heard(memory) && interrupts() > before, "a_fault_is_in_the_log");

	lines = log_count(FAULT_LINE);
	before = interrupts();
	time = milliseconds();
	faults = storm(memory, STORM_MS);
	time = milliseconds() - time;
	count = interrupts() - before;
	lines = log_count(FAULT_LINE) - lines;
	printf("# %u faults in %ld ms: %ld interrupts, %u rounds at most, %d lines\n", faults.count, time, count, faults.rounds,
	       lines);
	check(faults.count > 1000, "many_faults");
	/* One in 20 ms, and each that has a line */
	most = time / 20 + 10 * (time / 5000 + 1);
	check(count && count <= most, "they_have_few_interrupts");
	/* The emulated IOMMU has room for one record; the handler asks once whether it may print the status, too */
	check(faults.rounds && faults.rounds <= 2, "an_interrupt_looks_at_each_record_once");
	check(lines <= 10 * (time / 5000 + 1), "they_do_not_fill_the_log");

	/* It is not masked for ever */
	before = interrupts();
	check(is_heard(memory) && interrupts() > before, "the_next_one_is_in_the_log");
	printf("1..%d\n", number);
	return failed;
}
