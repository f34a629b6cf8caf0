/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_SCHED_H
#define _SHIM_LINUX_SCHED_H

#include <stdbool.h>
#include <string.h>
#include <linux/mm_types.h>

#define TASK_COMM_LEN	16

struct task_struct {
	struct mm_struct *mm;
	bool killed;
	char comm[TASK_COMM_LEN];
};

/* The task of this thread */
extern __thread struct task_struct shim_task;
#define current		(&shim_task)

#define get_task_comm(buf, task)	memcpy(buf, (task)->comm, TASK_COMM_LEN)

void schedule_timeout_killable(long jiffies);

#endif /* _SHIM_LINUX_SCHED_H */
