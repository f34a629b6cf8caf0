/* SPDX-License-Identifier: GPL-2.0 */
/* The configuration that the core is built with in user space */
#ifndef __LP64__
#error "64-bit only: the layout of an entry is part of what is tested"
#endif
#define CONFIG_64BIT 1
#define CONFIG_IOASID 1
#ifndef IOASID_BENCH
#define CONFIG_IOASID_DEBUG 1
#endif
