/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_WORKQUEUE_H
#define _SHIM_LINUX_WORKQUEUE_H

#include <linux/list.h>
#include <linux/rcupdate.h>

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	struct list_head entry;
	work_func_t func;
	bool pending;
};

struct rcu_work {
	struct work_struct work;
	struct rcu_head rcu;
	struct workqueue_struct *wq;
};

#define INIT_WORK(w, f) \
	do { (w)->func = (f); (w)->pending = false; } while (0)
#define INIT_RCU_WORK(w, f)	INIT_WORK(&(w)->work, f)
#define to_rcu_work(w)		container_of(w, struct rcu_work, work)
#define WQ_MEM_RECLAIM		0

/* All of them are ordered: one thread each */
extern struct workqueue_struct *system_unbound_wq;

struct workqueue_struct *alloc_ordered_workqueue(const char *name, int flags);
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork);

#endif /* _SHIM_LINUX_WORKQUEUE_H */
