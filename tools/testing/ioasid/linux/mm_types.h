/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_MM_TYPES_H
#define _SHIM_LINUX_MM_TYPES_H

struct mm_struct {
	int mm_count;
};

#endif
