// SPDX-License-Identifier: GPL-2.0
/* The misc controller for the benchmark, see linux/misc_cgroup.h */
#include <errno.h>
#include <stdlib.h>

#include <linux/misc_cgroup.h>
#include <linux/compiler.h>

static struct cgroup cgroup;

static struct misc_cg root = {
	.css.cgroup = &cgroup,
	.res[MISC_CG_RES_IOASIDS].max = ULONG_MAX,
};

static struct misc_cg child = {
	.css.cgroup = &cgroup,
	.parent = &root,
	.res[MISC_CG_RES_IOASIDS].max = ULONG_MAX,
};

struct misc_cg *bench_cg = &child;
static unsigned long bench_cg_capacity[MISC_CG_RES_TYPES];
__thread long bench_cg_refs;

int misc_cg_try_charge(enum misc_res_type type, struct misc_cg *cg,
		       unsigned long amount)
{
	unsigned long usage;
	struct misc_cg *i;

	if (!READ_ONCE(bench_cg_capacity[type]))
		return -EINVAL;
	for (i = cg; i; i = i->parent) {
		usage = __atomic_add_fetch(&i->res[type].usage.counter, amount,
					   __ATOMIC_SEQ_CST);
		/* Nothing is limited here. */
		if (usage > READ_ONCE(i->res[type].max) ||
		    usage > READ_ONCE(bench_cg_capacity[type]))
			abort();
	}
	return 0;
}

void misc_cg_uncharge(enum misc_res_type type, struct misc_cg *cg,
		      unsigned long amount)
{
	struct misc_cg *i;

	for (i = cg; i; i = i->parent)
		if (__atomic_sub_fetch(&i->res[type].usage.counter, amount,
				       __ATOMIC_SEQ_CST) < 0)
			abort();
}

int misc_cg_set_capacity(enum misc_res_type type, unsigned long capacity)
{
	WRITE_ONCE(bench_cg_capacity[type], capacity);
	return 0;
}
