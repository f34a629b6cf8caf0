// SPDX-License-Identifier: GPL-2.0
/*
 * Gives a VT-d descriptors that it does not know: of each submission of more than `at` descriptors the one at that place,
 * until `left`, which counts down, is 0.
 */
#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/module.h>

/* VT-d 4.0, 6.5.2: bits 3:0 of a descriptor are its type, there is none of this */
#define RESERVED_TYPE	0xf

static unsigned int at;
module_param(at, uint, 0600);
static int left;
module_param(left, int, 0600);

/* qi_submit_sync(iommu, desc, count, options) */
static int on_submit(struct kprobe *probe, struct pt_regs *regs)
{
	/* Four words a descriptor */
	u64 *desc = (u64 *)regs_get_kernel_argument(regs, 1);
	unsigned int count = regs_get_kernel_argument(regs, 2);

	if (READ_ONCE(left) > 0 && count > READ_ONCE(at)) {
		WRITE_ONCE(left, left - 1);
		desc[4 * at] |= RESERVED_TYPE;
	}
	return 0;
}

static struct kprobe probe = { .symbol_name = "qi_submit_sync", .pre_handler = on_submit };

static int __init refused_init(void)
{
	return register_kprobe(&probe);
}
module_init(refused_init);

static void __exit refused_exit(void)
{
	unregister_kprobe(&probe);
}
module_exit(refused_exit);

MODULE_DESCRIPTION("Descriptors that a VT-d does not know");
MODULE_LICENSE("GPL");
