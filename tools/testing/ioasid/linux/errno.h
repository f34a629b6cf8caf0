/* SPDX-License-Identifier: GPL-2.0 */
#include <asm/errno.h>

#ifndef ERESTARTSYS
#define ERESTARTSYS	512
#endif
