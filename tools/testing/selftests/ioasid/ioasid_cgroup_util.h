/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cgroups of the tests of /dev/ioasid: a directory "top" below the root of the
 * hierarchy that has the misc controller
 */
#ifndef __SELFTEST_IOASID_CGROUP_UTIL_H
#define __SELFTEST_IOASID_CGROUP_UTIL_H

#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ioasid_util.h"

struct cgroup {
	char path[128];
};

/* "name" or "name/below"; the caller checks with cg_exists(). */
static __unused_fn struct cgroup cg_path(const char *root, const char *name)
{
	struct cgroup cg;

	snprintf(cg.path, sizeof(cg.path), "%s/%s", root, name);
	return cg;
}

static __unused_fn int cg_write(const struct cgroup *cg, const char *file,
				const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return file_write(path, text);
}

static __unused_fn const char *cg_read(const struct cgroup *cg,
				       const char *file)
{
	static char buf[1024];
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	if (file_read(path, buf, sizeof(buf)))
		strcpy(buf, "unreadable");
	return buf;
}

/* The number behind @key in a flat-keyed file, or of the file for "" */
static __unused_fn long cg_number(const struct cgroup *cg, const char *file,
				  const char *key)
{
	const char *pos = cg_read(cg, file);
	size_t len = strlen(key);

	if (!len)
		return *pos >= '0' && *pos <= '9' ? atol(pos) : -1;
	while (pos) {
		if (!strncmp(pos, key, len) && pos[len] == ' ')
			return atol(pos + len);
		pos = strchr(pos, '\n');
		if (pos)
			pos++;
	}
	return -1;
}

static __unused_fn long cg_current(const struct cgroup *cg)
{
	return cg_number(cg, "ioasids.current", "");
}

static __unused_fn long cg_events(const struct cgroup *cg)
{
	return cg_number(cg, "ioasids.events", "max");
}

static __unused_fn int cg_enter(const struct cgroup *cg, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", pid);
	return cg_write(cg, "cgroup.procs", text);
}

static __unused_fn int cg_make(const struct cgroup *cg)
{
	return mkdir(cg->path, 0755) ? errno : 0;
}

/* A task that just left may still keep it for a moment. */
static __unused_fn int cg_remove(const struct cgroup *cg)
{
	int i;

	for (i = 0; i < 12000; i++) {
		if (!rmdir(cg->path))
			return 0;
		if (errno != EBUSY)
			return errno;
		usleep(10000);
	}
	return EBUSY;
}

/*
 * A process that lives in a cgroup, holds ids and does what it is told, one
 * letter at a time: 'a' allocate, 'r' allocate in a range that is taken, 'f'
 * free the last one, 'c' close the file, 'q' quit. It answers each with the
 * return value.
 */
struct worker {
	pid_t pid;
	int sock;
};

static __unused_fn void worker_main(int sock)
{
	uint32_t id[1000], nr = 0, none;
	int fd = dev_open(), ret;
	char what;

	while (read(sock, &what, 1) == 1) {
		ret = -1;
		switch (what) {
		case 'a':
			ret = cmd_alloc(fd, &id[nr]);
			nr += !ret;
			break;
		case 'r':
			ret = cmd_alloc_range(fd, id[0], id[0], &none);
			break;
		case 'f':
			ret = cmd_free(fd, id[--nr]);
			break;
		case 'c':
			ret = close(fd);
			break;
		case 'q':
			_exit(0);
		}
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(1);
}

static __unused_fn int worker_do(struct worker *w, char what)
{
	int ret;

	if (write(w->sock, &what, 1) != 1 ||
	    read(w->sock, &ret, sizeof(ret)) != sizeof(ret))
		return -1;
	return ret;
}

static __unused_fn int worker_start(struct worker *w, const struct cgroup *cg)
{
	int sock[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return errno;
	w->pid = fork();
	if (!w->pid) {
		close(sock[0]);
		ret = cg_enter(cg, getpid());
		if (write(sock[1], &ret, sizeof(ret)) != sizeof(ret))
			_exit(1);
		worker_main(sock[1]);
	}
	close(sock[1]);
	w->sock = sock[0];
	if (w->pid < 0 || read(w->sock, &ret, sizeof(ret)) != sizeof(ret))
		return -1;
	return ret;
}

static __unused_fn void worker_kill(struct worker *w)
{
	int status;

	if (w->pid <= 0)
		return;
	kill(w->pid, SIGKILL);
	waitpid(w->pid, &status, 0);
	close(w->sock);
	w->pid = 0;
}

#endif /* __SELFTEST_IOASID_CGROUP_UTIL_H */
