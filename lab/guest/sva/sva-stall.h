/* SPDX-License-Identifier: GPL-2.0 */
/* For programs that use sva-stall-mod.c: a page that comes when it is told to */
#ifndef SVA_STALL_H
#define SVA_STALL_H

#include "sva-user.h"

#define STALL "/sys/kernel/debug/sva-stall"

/* Of the processes that are started next */
static const char *queue_name;

/* Lets the device copy from the page, and closes the queue when it is told to */
static inline int stalls(int talk)
{
	int memory = open(STALL, O_RDWR), file = open(queue_name, O_RDWR);
	uint8_t *slow = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	uint8_t *to = map(PAGE);

	descriptor = memmove_of(to, slow, 64, &record, 1);
	if (slow == MAP_FAILED || submit_by_write(file, &descriptor, 1) != 1)
		return 1;
	say(talk, 's');
	hear(talk);
	close(file);
	say(talk, 'c');
	hear(talk);
	return 0;
}

#endif
