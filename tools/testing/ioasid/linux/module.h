/* SPDX-License-Identifier: GPL-2.0 */
/* For 6.1's ioasid.c, see bench.mk */
#include <linux/export.h>
#include <linux/list.h>

#define MODULE_AUTHOR(x)
#define MODULE_DESCRIPTION(x)
#define MODULE_LICENSE(x)
