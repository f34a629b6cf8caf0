/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_INIT_H
#define _SHIM_LINUX_INIT_H

#define __init
#define __exit

/* Called by name, in the order that the link order gives in the kernel */
#define core_initcall(fn)	int initcall_##fn(void); \
				int initcall_##fn(void) { return fn(); }
#endif
