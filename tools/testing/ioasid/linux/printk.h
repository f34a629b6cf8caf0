/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_PRINTK_H
#define _SHIM_LINUX_PRINTK_H

#include <stdio.h>
#include <stdlib.h>

/* Random tests make thousands of them: shown with V=1 only */
#define pr_warn(format, ...) do {					\
	if (getenv("V"))						\
		fprintf(stderr, "# " format, ##__VA_ARGS__);		\
} while (0)

#endif
