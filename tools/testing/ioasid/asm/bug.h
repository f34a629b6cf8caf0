/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TOOLS_ASM_BUG_H
#define _TOOLS_ASM_BUG_H

#include <linux/compiler.h>

/* Every warning fails the test that runs, so none of them is only "once". */
void shim_warn(const char *file, int line, const char *format, ...);

#define WARN(condition, format...) ({				\
	int __ret_warn_on = !!(condition);			\
	if (unlikely(__ret_warn_on))				\
		shim_warn(__FILE__, __LINE__, format);		\
	unlikely(__ret_warn_on);				\
})
#define WARN_ON(condition)		WARN(condition, "%s\n", #condition)
#define WARN_ONCE(condition, format...)	WARN(condition, format)
#define WARN_ON_ONCE(condition)		WARN_ON(condition)

#endif /* _TOOLS_ASM_BUG_H */
