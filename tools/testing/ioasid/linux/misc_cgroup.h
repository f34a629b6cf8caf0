/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the benchmark: a cgroup below the root, at the price of the misc controller:
 * an atomic addition and two comparisons for each level, and a counter of this
 * thread for the reference, as css_get() has one of the CPU.
 */
#ifndef _SHIM_LINUX_MISC_CGROUP_H
#define _SHIM_LINUX_MISC_CGROUP_H

#include <limits.h>
#include <linux/types.h>

enum misc_res_type {
	MISC_CG_RES_IOASIDS,
	MISC_CG_RES_TYPES
};

#define atomic_long_read(v)	__atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)

struct misc_res {
	unsigned long max;
	atomic_long_t usage;
};

struct cgroup {
	unsigned long long id;
};

struct misc_cg {
	struct {
		struct cgroup *cgroup;
	} css;
	struct misc_cg *parent;
	struct misc_res res[MISC_CG_RES_TYPES];
};

extern struct misc_cg *bench_cg;
extern __thread long bench_cg_refs;

#define cgroup_id(cgroup)	((cgroup)->id)

static inline struct misc_cg *get_current_misc_cg(void)
{
	bench_cg_refs++;
	return bench_cg;
}

static inline void put_misc_cg(struct misc_cg *cg)
{
	bench_cg_refs--;
}

/* Functions, as they are in the kernel */
int misc_cg_try_charge(enum misc_res_type type, struct misc_cg *cg,
		       unsigned long amount);
void misc_cg_uncharge(enum misc_res_type type, struct misc_cg *cg,
		      unsigned long amount);
int misc_cg_set_capacity(enum misc_res_type type, unsigned long capacity);

#endif
