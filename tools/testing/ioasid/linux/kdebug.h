/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of kernel/notifier.c that are not used here need */
struct pt_regs;

enum die_val { DIE_UNUSED };

struct die_args {
	struct pt_regs *regs;
	const char *str;
	long err;
	int trapnr;
	int signr;
};

#define SYSTEM_BOOTING	0
#define system_state	1
