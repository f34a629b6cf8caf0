// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: charging ids to cgroups
 *
 * Ids of sets without quota (@charged) are charged to the misc cgroup of the task that
 * causes their allocation: those are the ids of user space. A set with a quota
 * is the kernel's own and limited by that.
 *
 * The cgroup is remembered in the id and uncharged when the id is released,
 * which may be long after the task was moved or died and the cgroup was removed.
 */
#include <linux/export.h>
#include <linux/misc_cgroup.h>

#include "ioasid-private.h"

#include <trace/events/ioasid.h>

/*
 * For an id that cannot be found yet; its place in the pool is taken. So the
 * capacity of the misc controller is never exceeded, and the only thing that
 * can refuse the charge is a limit. Returns 0 or -EBUSY.
 */
int ioasid_cg_charge(struct ioasid_entry *e)
{
	struct misc_cg *cg;
	int ret;

	e->cg = NULL;
	if (!e->set->charged)
		return 0;

	cg = get_current_misc_cg();
	ret = misc_cg_try_charge(MISC_CG_RES_IOASIDS, cg, 1);
	if (ret) {
		trace_charge_failed(e->set->serial, cgroup_id(cg->css.cgroup));
		put_misc_cg(cg);
		return ret;
	}
	e->cg = cg;
	return 0;
}

/* Any context but NMI. */
void ioasid_cg_uncharge(struct ioasid_entry *e)
{
	if (!e->cg)
		return;
	misc_cg_uncharge(MISC_CG_RES_IOASIDS, e->cg, 1);
	put_misc_cg(e->cg);
	e->cg = NULL;
}

void ioasid_cg_set_capacity(u32 capacity)
{
	misc_cg_set_capacity(MISC_CG_RES_IOASIDS, capacity);
}

/**
 * ioasid_current_charge - ids charged to the cgroup of the current task
 *
 * Context: Process context.
 * Return: the number of ids, those of cgroups below it included; 0 without the
 * misc controller.
 */
u32 ioasid_current_charge(void)
{
	struct misc_cg *cg = get_current_misc_cg();
	u32 nr = atomic_long_read(&cg->res[MISC_CG_RES_IOASIDS].usage);

	put_misc_cg(cg);
	return nr;
}
EXPORT_SYMBOL_GPL(ioasid_current_charge);
