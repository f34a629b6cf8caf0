/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of events share, and those that are not in test-events.c */
#ifndef _IOASID_TEST_EVENTS_H
#define _IOASID_TEST_EVENTS_H

#include <pthread.h>
#include <semaphore.h>

#include "ioasid-private.h"
#include "test.h"

struct ioasid_set *null_set(void);
struct ioasid_set *mm_set(struct mm_struct *mm);

/* For handlers: the set, the event on which they do something */
extern struct ioasid_set *hook_set;
extern unsigned long hook_event;

struct thread {
	pthread_t thread;
	void (*fn)(void);
};

void thread_start(struct thread *t, void (*fn)(void));
void thread_join(struct thread *t);

/* A handler that posts @reached and waits for @go_on, on hook_event of id 2 */
extern sem_t reached, go_on;
extern struct sub stopper;
void stop_hook(unsigned long event, struct ioasid_nb_args *args);

/* test-stop.c */
void events_slow_handler(void);
void events_detach_being_freed(void);
void events_one_attachment(void);
void events_of_one_call_are_bounded(void);
void events_data_stays(void);
void events_free_while_owner_puts(void);

/* test-mm.c */
void events_mm(void);
void events_mm_grace_periods(void);
void events_replay_while_events(void);
void events_replay_while_freeing(void);
void events_replay_while_owner_puts(void);

/* test-pool.c */
void events_set_free_with_users(void);
void events_memory_is_accounted(void);
void events_uses_do_not_wrap(void);
void pool_keeps_a_share(void);
void pool_highest_number(void);

#endif
