/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers of the tests of /dev/ioasid
 *
 * Functions called cmd_*() and tc() return 0 or an errno.
 */
#ifndef __SELFTEST_IOASID_UTIL_H
#define __SELFTEST_IOASID_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/ioasid.h>

#define __unused_fn	__attribute__((unused))

/*
 * Of the harness: a limit is for a test that hangs. How long one takes that
 * does not is up to the kernel's debugging, the machine, and what else that
 * machine does.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	1800

#define INVALID_ID	UINT32_MAX
#define TC_DIR		"/sys/kernel/debug/ioasid-test"

/* What addresses and lengths of mappings are multiples of */
#define IOVA_PAGE	4096ULL
#define MAP_RW		(IOASID_MAP_READ | IOASID_MAP_WRITE)
#define UNMAP_ALL	UINT64_MAX
/* In an output that was not written */
#define UNTOLD		0x5a5a5a5a5a5a5a5aULL

/* Debugging that looks at each lock and each piece of memory */
static __unused_fn bool kernel_is_slow(void)
{
	return !access("/proc/lockdep", F_OK) ||
	       !access("/sys/kernel/debug/kmemleak", F_OK);
}

static __unused_fn int dev_open(void)
{
	return open("/dev/ioasid", O_RDWR | O_CLOEXEC);
}

static __unused_fn int cmd(int fd, unsigned int nr, void *arg)
{
	return ioctl(fd, nr, arg) ? errno : 0;
}

static __unused_fn int cmd_info(int fd, struct ioasid_get_info *info)
{
	*info = (struct ioasid_get_info) { .size = sizeof(*info) };
	return cmd(fd, IOASID_GET_INFO, info);
}

/* Can an IOASID be an I/O address space here? */
static __unused_fn bool has_iova(int fd)
{
	struct ioasid_get_info info;

	return !cmd_info(fd, &info) &&
	       info.out_types & 1U << IOASID_TYPE_IOVA;
}

static __unused_fn int cmd_alloc_type(int fd, uint32_t type, uint32_t min,
				      uint32_t max, uint64_t cookie,
				      uint32_t *id)
{
	struct ioasid_alloc alloc = {
		.size = sizeof(alloc),
		.type = type,
		.min = min,
		.max = max,
		.out_ioasid = INVALID_ID,
		.cookie = cookie,
	};
	int ret = cmd(fd, IOASID_ALLOC, &alloc);

	*id = alloc.out_ioasid;
	return ret;
}

static __unused_fn int cmd_alloc_cookie(int fd, uint32_t min, uint32_t max,
					uint64_t cookie, uint32_t *id)
{
	return cmd_alloc_type(fd, IOASID_TYPE_NONE, min, max, cookie, id);
}

static __unused_fn int cmd_alloc_range(int fd, uint32_t min, uint32_t max,
				       uint32_t *id)
{
	return cmd_alloc_cookie(fd, min, max, 0, id);
}

static __unused_fn int cmd_alloc(int fd, uint32_t *id)
{
	return cmd_alloc_range(fd, 0, UINT32_MAX, id);
}

static __unused_fn int cmd_alloc_iova_range(int fd, uint32_t min, uint32_t max,
					    uint32_t *id)
{
	return cmd_alloc_type(fd, IOASID_TYPE_IOVA, min, max, 0, id);
}

static __unused_fn int cmd_alloc_iova(int fd, uint32_t *id)
{
	return cmd_alloc_iova_range(fd, 0, UINT32_MAX, id);
}

/* Can an IOASID be a page table of the user here? */
static __unused_fn bool has_pgtable(int fd)
{
	struct ioasid_get_info info;

	return !cmd_info(fd, &info) &&
	       info.out_types & 1U << IOASID_TYPE_PGTABLE;
}

static __unused_fn int cmd_alloc_parent_range(int fd, uint32_t min,
					      uint32_t max, uint32_t *id)
{
	struct ioasid_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOASID_ALLOC_NEST_PARENT,
		.type = IOASID_TYPE_IOVA,
		.min = min,
		.max = max,
		.out_ioasid = INVALID_ID,
	};
	int ret = cmd(fd, IOASID_ALLOC, &alloc);

	*id = alloc.out_ioasid;
	return ret;
}

static __unused_fn int cmd_alloc_parent(int fd, uint32_t *id)
{
	return cmd_alloc_parent_range(fd, 0, UINT32_MAX, id);
}

static __unused_fn int cmd_alloc_pgtable_range(int fd, uint32_t parent,
					       uint32_t width, uint32_t min,
					       uint32_t max, uint32_t *id)
{
	struct ioasid_alloc alloc = {
		.size = sizeof(alloc),
		.type = IOASID_TYPE_PGTABLE,
		.min = min,
		.max = max,
		.out_ioasid = INVALID_ID,
		.parent = parent,
		.format = IOASID_FORMAT_VTD_S1,
		.addr_width = width,
	};
	int ret = cmd(fd, IOASID_ALLOC, &alloc);

	*id = alloc.out_ioasid;
	return ret;
}

static __unused_fn int cmd_alloc_pgtable(int fd, uint32_t parent,
					 uint32_t width, uint32_t *id)
{
	return cmd_alloc_pgtable_range(fd, parent, width, 0, UINT32_MAX, id);
}

static __unused_fn int cmd_bind(int fd, uint32_t id, uint64_t pgtable,
				uint32_t flags)
{
	struct ioasid_bind_pgtable bind = {
		.size = sizeof(bind),
		.flags = flags,
		.ioasid = id,
		.pgtable = pgtable,
	};

	return cmd(fd, IOASID_BIND_PGTABLE, &bind);
}

static __unused_fn int cmd_unbind(int fd, uint32_t id)
{
	struct ioasid_unbind_pgtable unbind = {
		.size = sizeof(unbind),
		.ioasid = id,
	};

	return cmd(fd, IOASID_UNBIND_PGTABLE, &unbind);
}

/* @done: set to how many were done, INVALID_ID when it fails */
static __unused_fn int cmd_invalidate(int fd, uint32_t id, uint32_t flags,
				      const struct ioasid_inv_vtd_s1 *entries,
				      uint32_t num, uint32_t *done)
{
	struct ioasid_invalidate arg = {
		.size = sizeof(arg),
		.flags = flags,
		.ioasid = id,
		.num = num,
		.entry_size = sizeof(*entries),
		.out_num = INVALID_ID,
		.entries = (uintptr_t)entries,
	};
	int ret = cmd(fd, IOASID_INVALIDATE, &arg);

	*done = arg.out_num;
	return ret;
}

static __unused_fn int cmd_free_pending(int fd, uint32_t id, bool *pending)
{
	struct ioasid_free arg = {
		.size = sizeof(arg),
		.ioasid = id,
		.out_pending = 7,
	};
	int ret = cmd(fd, IOASID_FREE, &arg);

	*pending = arg.out_pending;
	if (!ret && arg.out_pending > 1)
		ret = -1;
	return ret;
}

/* For an id that nobody else uses: EINPROGRESS when somebody does */
static __unused_fn int cmd_free(int fd, uint32_t id)
{
	bool pending;
	int ret = cmd_free_pending(fd, id, &pending);

	return ret ?: pending ? EINPROGRESS : 0;
}

static __unused_fn int cmd_set_spid(int fd, uint32_t id, uint32_t spid)
{
	struct ioasid_set_spid arg = {
		.size = sizeof(arg),
		.ioasid = id,
		.spid = spid,
	};

	return cmd(fd, IOASID_SET_SPID, &arg);
}

static __unused_fn int cmd_clear_spid(int fd, uint32_t id)
{
	struct ioasid_clear_spid arg = {
		.size = sizeof(arg),
		.ioasid = id,
	};

	return cmd(fd, IOASID_CLEAR_SPID, &arg);
}

static __unused_fn int cmd_find_spid(int fd, uint32_t spid, uint32_t *id)
{
	struct ioasid_find_spid arg = {
		.size = sizeof(arg),
		.spid = spid,
		.out_ioasid = INVALID_ID,
	};
	int ret = cmd(fd, IOASID_FIND_SPID, &arg);

	*id = arg.out_ioasid;
	return ret;
}

static __unused_fn int cmd_query(int fd, uint32_t id, uint32_t *state,
				 uint64_t *cookie)
{
	struct ioasid_query arg = {
		.size = sizeof(arg),
		.ioasid = id,
		.out_state = INVALID_ID,
	};
	int ret = cmd(fd, IOASID_QUERY, &arg);

	*state = arg.out_state;
	*cookie = arg.out_cookie;
	return ret;
}

/*
 * @iova: the address, with FIXED_IOVA; otherwise set to what the kernel chose. -1
 * when what the kernel told does not agree with what it returned.
 */
static __unused_fn int cmd_map(int fd, uint32_t id, uint32_t flags,
			       const void *va, uint64_t length, uint64_t *iova)
{
	bool fixed = flags & IOASID_MAP_FIXED_IOVA;
	struct ioasid_map arg = {
		.size = sizeof(arg),
		.flags = flags,
		.ioasid = id,
		.user_va = (uintptr_t)va,
		.length = length,
		.iova = fixed ? *iova : 0,
		.out_iova = UNTOLD,
	};
	int ret = cmd(fd, IOASID_MAP, &arg);

	if (ret)
		return arg.out_iova == UNTOLD ? ret : -1;
	if (fixed && arg.out_iova != *iova)
		return -1;
	*iova = arg.out_iova;
	return 0;
}

/* @done: set to the number of bytes that were mapped, 0 when it fails */
static __unused_fn int cmd_unmap(int fd, uint32_t id, uint64_t iova,
				 uint64_t length, uint64_t *done)
{
	struct ioasid_unmap arg = {
		.size = sizeof(arg),
		.ioasid = id,
		.iova = iova,
		.length = length,
		.out_length = UNTOLD,
	};
	int ret = cmd(fd, IOASID_UNMAP, &arg);

	*done = ret ? 0 : arg.out_length;
	if (ret && arg.out_length != UNTOLD)
		return -1;
	return ret;
}

/* Number of ids of a file, -1 when that cannot be found out */
static __unused_fn int nr_allocated(int fd)
{
	struct ioasid_get_info info;

	return cmd_info(fd, &info) ? -1 : info.out_allocated;
}

/* Write a file: 0 or an errno. */
static __unused_fn int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ret = errno;
	close(fd);
	return ret;
}

/* Read a file, as text: 0 or an errno. */
static __unused_fn int file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;
	ssize_t len;

	if (fd < 0)
		return errno;
	len = read(fd, buf, size - 1);
	if (len < 0)
		ret = errno;
	else
		buf[len] = '\0';
	close(fd);
	return ret;
}

/* VmLck of this process, in pages; -1 when that cannot be found out */
static __unused_fn long vm_lck(void)
{
	char buf[8192];
	const char *pos;

	if (file_read("/proc/self/status", buf, sizeof(buf)))
		return -1;
	pos = strstr(buf, "\nVmLck:");
	return pos ? atol(pos + 7) * 1024 / (long)IOVA_PAGE : -1;
}

static __unused_fn void debugfs_mount(void)
{
	struct stat st;

	/* Fails when it is mounted, or not configured: then stat() tells. */
	if (stat("/sys/kernel/debug/ioasid", &st))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
}

/* Is there the in-kernel test client (CONFIG_IOASID_TEST)? */
static __unused_fn bool tc_present(void)
{
	debugfs_mount();
	return !access(TC_DIR "/command", W_OK);
}

/* A command to the test client */
static __unused_fn __attribute__((format(printf, 1, 2)))
int tc(const char *fmt, ...)
{
	char line[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return file_write(TC_DIR "/command", line);
}

/* Read the test client's log, which empties it. */
static __unused_fn int tc_log(char *buf, size_t size)
{
	int fd = open(TC_DIR "/log", O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t len;

	if (fd < 0)
		return errno;
	/* A line a read() */
	while (size - done > 80 && (len = read(fd, buf + done, 80)) > 0)
		done += len;
	buf[done] = '\0';
	close(fd);
	return 0;
}

#endif /* __SELFTEST_IOASID_UTIL_H */
