/* SPDX-License-Identifier: GPL-2.0 */
/* For programs of the guest that bring a module of the kernel with them */
#ifndef LOAD_MODULE_H
#define LOAD_MODULE_H

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0, or -1 and errno */
static inline int load(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	return file < 0 ? -1 : (int)syscall(SYS_finit_module, file, "", 0);
}

#endif
