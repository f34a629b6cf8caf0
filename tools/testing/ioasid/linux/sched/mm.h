/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_SCHED_MM_H
#define _SHIM_LINUX_SCHED_MM_H

#include "../../../../include/linux/sched/mm.h"
#include <linux/mm_types.h>

void mmgrab(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);

#endif
