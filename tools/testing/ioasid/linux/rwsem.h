/* SPDX-License-Identifier: GPL-2.0 */
#include "../../../include/linux/rwsem.h"

#define __RWSEM_INITIALIZER(x)	{ .lock = PTHREAD_RWLOCK_INITIALIZER }
