// SPDX-License-Identifier: GPL-2.0
/*
 * Guest instructions of the core, for scripts/bench: a module that allocates
 * and frees, and looks ids up, between marks. Built against the stock kernel
 * and against the series', whose interfaces differ.
 *
 * Loading it fails on purpose when it is done, so that it can be loaded again.
 */
#include <linux/err.h>
#include <linux/ioasid.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "insn-mark.h"

#define FIRST	2
#define MAX	((1U << 20) - 1)
#define ROUNDS	100

#if __has_include(<linux/ioasid-types.h>)
#include <linux/ioasid.h>
#define new_set()	ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL)
#define end_set(set)	ioasid_set_free(set)
#define free_id(set, id)	ioasid_free(set, id)
#define new_id(set, data) ({						\
	ioasid_t __id;							\
									\
	ioasid_alloc(set, FIRST, MAX, data, &__id) ? INVALID_IOASID : __id; \
})
#else
static struct ioasid_set the_set;
#define new_set()	(&the_set)
#define end_set(set)	do { } while (0)
#define free_id(set, id)	ioasid_free(id)
#define new_id(set, data)	ioasid_alloc(set, FIRST, MAX, data)
#endif

static unsigned int live = 1000;
module_param(live, uint, 0);

/* Mark numbers are constants, so one copy for each number of live ids */
#define MEASURE(base)							\
do {									\
	INSN_MARK_BEGIN(base);						\
	for (i = 0; i < ROUNDS; i++) {					\
		id = new_id(set, NULL);					\
		free_id(set, id);					\
	}								\
	INSN_MARK_END(base);						\
	INSN_MARK_BEGIN((base) + 1);					\
	for (i = 0; i < ROUNDS; i++)					\
		ioasid_find(set, FIRST + i % live, NULL);		\
	INSN_MARK_END((base) + 1);					\
} while (0)

static int __init ioasid_insns_init(void)
{
	struct ioasid_set *set = new_set();
	unsigned int i;
	ioasid_t id;

	if (IS_ERR(set))
		return PTR_ERR(set);
	for (i = 0; i < live; i++)
		if (new_id(set, &live) != FIRST + i)
			return -EBUSY;
	/* What is used for the first time */
	id = new_id(set, NULL);
	free_id(set, id);
	rcu_barrier();
	if (live == 1000)
		MEASURE(1);
	else if (live == 100000)
		MEASURE(3);
	else
		MEASURE(5);
	for (i = 0; i < live; i++)
		free_id(set, FIRST + i);
	end_set(set);
	rcu_barrier();
	return -EAGAIN;
}
module_init(ioasid_insns_init);

MODULE_DESCRIPTION("Counts instructions of the IOASID core");
MODULE_LICENSE("GPL");
