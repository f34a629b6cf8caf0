/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_SLAB_H
#define _SHIM_LINUX_SLAB_H

#include "../../../include/linux/slab.h"

#define SLAB_HWCACHE_ALIGN	0x00002000UL
#define KMEM_CACHE(type, flags)						\
	kmem_cache_create(#type, sizeof(struct type),			\
			  (flags) & SLAB_HWCACHE_ALIGN ? 64 : 0, flags, NULL)

#endif
