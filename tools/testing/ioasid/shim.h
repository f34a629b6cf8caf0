/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests see of the kernel that shim.c is */
#ifndef _IOASID_TEST_SHIM_H
#define _IOASID_TEST_SHIM_H

#include <linux/types.h>

/* Warnings so far; while they are expected they are not printed */
extern int shim_warnings;
extern bool shim_warnings_expected;

/* mmgrab()s without mmdrop() */
extern int shim_mm_refs;

/* Of tools/testing/radix-tree and tools/lib: objects that are out */
extern int nr_allocated;
extern int kmalloc_nr_allocated;

/* Make the @nth allocation of this thread from now on fail, once */
void fail_allocation(unsigned int nth);
/* Call @fn in the middle of that allocation, as if another CPU did */
void during_allocation(unsigned int nth, void (*fn)(void));
/* No more failures; has one happened? */
bool fail_done(void);

/* Give the CPU away now and then where locks are taken and dropped */
extern bool shim_jitter;

/* Is no spinlock held and are interrupts on? Handlers are called like that. */
bool shim_may_sleep(void);
/* Does this thread have any? */
bool shim_holds_mutex(void);

/* How often this thread waited for a grace period */
extern __thread unsigned int shim_grace_periods;

/* How often this thread allocated what is not charged to the task */
extern __thread unsigned int shim_unaccounted;

/* Wait until RCU callbacks and works have run */
void shim_settle(void);
void shim_init(void);

/* The initcalls of the core */
int initcall_ioasid_init(void);
int initcall_ioasid_notifier_init(void);

#endif
