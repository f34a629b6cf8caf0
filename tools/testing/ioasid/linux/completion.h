/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_COMPLETION_H
#define _SHIM_LINUX_COMPLETION_H

#include <pthread.h>
#include <linux/errno.h>

struct completion {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int done;
};

void init_completion(struct completion *c);
void complete(struct completion *c);
/* -ERESTARTSYS once current->killed is set */
int wait_for_completion_killable(struct completion *c);

#endif
