/* SPDX-License-Identifier: GPL-2.0 */
/* XA_CHUNK_SHIFT comes from the Makefile: small nodes to test, 64 to measure */
#include "../../../../include/linux/xarray.h"
