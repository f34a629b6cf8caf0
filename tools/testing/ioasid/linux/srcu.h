/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_SRCU_H
#define _SHIM_LINUX_SRCU_H

struct srcu_struct { };

#endif
