// SPDX-License-Identifier: GPL-2.0
/*
 * A device of idxd that refuses to enable work queues: the next `left` commands to do so name one that it does not have.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

/* DSA specification 9.2.13: the command, and the number of a queue that no device has */
#define ENABLE_WQ	6
#define NO_WQ		0xffff

static int left;
module_param(left, int, 0600);

/* idxd_cmd_exec(idxd, cmd_code, operand, status); all of a device's are sent one after the other */
static int on_command(struct kprobe *probe, struct pt_regs *regs)
{
	if (READ_ONCE(left) > 0 && regs_get_kernel_argument(regs, 1) == ENABLE_WQ) {
		WRITE_ONCE(left, left - 1);
		regs->dx = NO_WQ;
	}
	return 0;
}

static struct kprobe probe = { .symbol_name = "idxd_cmd_exec", .pre_handler = on_command };

static int __init lost_init(void)
{
	return register_kprobe(&probe);
}
module_init(lost_init);

static void __exit lost_exit(void)
{
	unregister_kprobe(&probe);
}
module_exit(lost_exit);

MODULE_DESCRIPTION("Work queues that a device does not enable");
MODULE_LICENSE("GPL");
