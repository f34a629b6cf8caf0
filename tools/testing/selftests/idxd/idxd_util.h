/* SPDX-License-Identifier: GPL-2.0 */
/* What programs need that use the work queues of idxd from user space */
#ifndef IDXD_UTIL_H
#define IDXD_UTIL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The compiler may not know the two instructions. Both store 64 bytes at once,
 * and are ordered behind earlier stores only by the SFENCE.
 */
static inline void idxd_movdir64b(void *portal, const void *desc)
{
	asm volatile("sfence\n"
		     ".byte 0x66, 0x0f, 0x38, 0xf8, 0x02" :
		     : "a" (portal), "d" (desc) : "memory");
}

/* True: the device has not taken it, try again */
static inline bool idxd_enqcmd(void *portal, const void *desc)
{
	uint8_t retry;

	asm volatile("sfence\n"
		     ".byte 0xf2, 0x0f, 0x38, 0xf8, 0x02\n"
		     "setz %0" : "=r" (retry)
		     : "a" (portal), "d" (desc) : "memory", "cc");
	return retry;
}

/*
 * An idle CPU keeps the address space of the task that it ran last, and with it
 * the PASID: run on each CPU, so that it keeps this one's.
 */
static inline void visit_cpus(void)
{
	cpu_set_t all, one;
	int cpu;

	sched_getaffinity(0, sizeof(all), &all);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

#endif
