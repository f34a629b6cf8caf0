// SPDX-License-Identifier: GPL-2.0
/* The kernel's xarray; XA_DEBUG lets it check itself. */
#ifndef IOASID_BENCH
#define XA_DEBUG
#endif
#include <linux/rcupdate.h>
#include "../../../lib/xarray.c"
