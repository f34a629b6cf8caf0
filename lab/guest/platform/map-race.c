// SPDX-License-Identifier: GPL-2.0
/*
 * A CPU that changes where devices are in memory, while another uses its own: no access must go astray, and the
 * machine must not end. For the emulator, not for the kernel.
 *
 * usage: map-race SECONDS
 *
 * One thread turns the memory decoding of a DSA off and on. The other sleeps, so that its CPU writes the local APIC's
 * timer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CONFIG "/sys/bus/pci/devices/0000:00:10.0/config"
#define COMMAND 4
#define COMMAND_MEMORY 2

static volatile int ended;
static unsigned long sleeps;

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *sleep_on(void *unused)
{
	const struct timespec shortly = { .tv_nsec = 1 };

	run_on(1);
	for (; !ended; sleeps++)
		nanosleep(&shortly, NULL);
	return unused;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	int config = open(CONFIG, O_RDWR);
	unsigned long changes = 0;
	uint16_t command, other;
	pthread_t sleeper;

	if (config < 0 || pread(config, &command, sizeof(command), COMMAND) != sizeof(command)) {
		perror(CONFIG);
		return 1;
	}
	other = command ^ COMMAND_MEMORY;
	pthread_create(&sleeper, NULL, sleep_on, NULL);
	run_on(0);
	while (time(NULL) < end) {
		if (pwrite(config, &other, sizeof(other), COMMAND) != sizeof(other) ||
		    pwrite(config, &command, sizeof(command), COMMAND) != sizeof(command)) {
			perror(CONFIG);
			return 1;
		}
		changes++;
	}
	ended = 1;
	pthread_join(sleeper, NULL);
	printf("%lu changes, %lu sleeps\n", changes, sleeps);
	return !changes || !sleeps;
}
