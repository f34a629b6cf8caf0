/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The type of an IOASID, for headers that nearly everything includes, as
 * linux/sched/mm.h. Who calls the IOASID core includes linux/ioasid.h.
 */
#ifndef __LINUX_IOASID_TYPES_H
#define __LINUX_IOASID_TYPES_H

#include <linux/types.h>

#define INVALID_IOASID ((ioasid_t)-1)
typedef unsigned int ioasid_t;

static inline bool pasid_valid(ioasid_t ioasid)
{
	return IS_ENABLED(CONFIG_IOASID) && ioasid != INVALID_IOASID;
}

#endif /* __LINUX_IOASID_TYPES_H */
