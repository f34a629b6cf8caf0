/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_NOTIFIER_H
#define _SHIM_LINUX_NOTIFIER_H

#include <linux/errno.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/srcu.h>

/* The functions are under this. */
#define __KERNEL__
#include "../../../../include/linux/notifier.h"
#undef __KERNEL__

#endif
