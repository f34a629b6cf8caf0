// SPDX-License-Identifier: GPL-2.0
/*
 * ioasidctl: look at IOASIDs (PCI: PASIDs), their users and their limits, and
 * allocate some by hand. See ioasidctl.8.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/ioasid.h>

#define DEV		"/dev/ioasid"
#define DEBUGFS		"/sys/kernel/debug/ioasid"
#define INSTANCES	"/sys/kernel/tracing/instances"
#define CGROUPS		"/sys/fs/cgroup"

static __attribute__((noreturn, format(printf, 1, 2)))
void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "ioasidctl: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static int dev_open(void)
{
	int fd = open(DEV, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		die(DEV ": %s", strerror(errno));
	return fd;
}

/* The first line of a file, without its end. Returns false if there is none. */
static bool read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, size, f);

	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	if (f)
		fclose(f);
	return ok;
}

/* The number behind @key in a file, -1 when it has none */
static long read_number(const char *path, const char *key)
{
	size_t len = strlen(key);
	char line[256];
	long nr = -1;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (nr < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len) && isspace(line[len]))
			nr = strtol(line + len, NULL, 10);
	fclose(f);
	return nr;
}

static const char * const type_names[] = {
	[IOASID_TYPE_NONE] = "none",
	[IOASID_TYPE_IOVA] = "iova",
	[IOASID_TYPE_SVA] = "sva",
	[IOASID_TYPE_PGTABLE] = "pgtable",
};

/* What an I/O address space can have, if there can be one */
static void show_tables(const struct ioasid_get_info *info)
{
	unsigned int i;

	printf("types");
	for (i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if (info->out_types & 1U << i)
			printf(" %s", type_names[i]);
	printf("\n");
	if (!(info->out_types & 1U << IOASID_TYPE_IOVA))
		return;
	printf("page-sizes");
	for (i = 0; i < 64; i++)
		if (info->out_page_sizes >> i & 1)
			printf(" %llu", 1ULL << i);
	printf("\nlast-iova 0x%llx\n",
	       (unsigned long long)info->out_iova_last);
}

static void show_info(int fd)
{
	struct ioasid_get_info info = { .size = sizeof(info) };
	long nr;

	if (ioctl(fd, IOASID_GET_INFO, &info))
		die("GET_INFO: %s", strerror(errno));
	printf("capacity %u\n", info.out_capacity);
	nr = read_number(CGROUPS "/misc.capacity", "ioasids");
	if (nr >= 0)
		printf("capacity-of-tasks %ld\n", nr);
	printf("limit-of-dev-ioasid %u\n", info.out_limit);
	printf("lowest %u\nhighest %u\n", info.out_min, info.out_max);
	printf("charged-to-this-cgroup %u\n", info.out_charged);
	printf("allocated-here %u\npending-here %u\n", info.out_allocated,
	       info.out_pending);
	show_tables(&info);
}

static int cmd_info(void)
{
	show_info(dev_open());
	return 0;
}

/* A task chooses its name: nothing of it may look like lines or colours. */
static void print_name(const char *name, int width)
{
	for (; *name; name++) {
		unsigned char c = *name;

		if (c > ' ' && c < 0x7f && c != '\\')
			width -= printf("%c", c);
		else if (c == ' ' && name[1])
			width -= printf(" ");
		else
			width -= printf("\\%03o", c);
	}
	if (width > 0)
		printf("%*s", width, "");
}

static bool is_number(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

/* One line for each descriptor of /dev/ioasid of a process */
static void list_process(const char *pid)
{
	char path[PATH_MAX], target[PATH_MAX], comm[64];
	struct dirent *d;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (!is_number(d->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, d->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (strcmp(target, DEV))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", pid);
		if (!read_line(path, comm, sizeof(comm)))
			strcpy(comm, "?");
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid,
			 d->d_name);
		printf("%7s ", pid);
		print_name(comm, 15);
		printf(" %4s %9ld %7ld %8ld %14ld\n", d->d_name,
		       read_number(path, "ioasid-allocated:"),
		       read_number(path, "ioasid-pending:"),
		       read_number(path, "ioasid-attached:"),
		       read_number(path, "ioasid-mapped:"));
	}
	closedir(dir);
}

static int cmd_users(void)
{
	struct dirent *d;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		die("/proc: %s", strerror(errno));
	printf("%7s %-15s %4s %9s %7s %8s %14s\n", "PID", "COMMAND", "FD",
	       "ALLOCATED", "PENDING", "ATTACHED", "MAPPED");
	while ((d = readdir(dir)))
		if (is_number(d->d_name))
			list_process(d->d_name);
	closedir(dir);
	return 0;
}

/* Show a file of the kernel as it is */
static int cmd_debugfs(const char *path)
{
	char buf[4096];
	size_t len;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		die("%s: %s (needs CONFIG_DEBUG_FS, mounted)", path,
		    strerror(errno));
	while ((len = fread(buf, 1, sizeof(buf), f)))
		fwrite(buf, 1, len, stdout);
	fclose(f);
	return 0;
}

static int cmd_limits(const char *top)
{
	char *const roots[] = { (char *)top, NULL };
	char path[PATH_MAX], max[32], now[32];
	bool found = false;
	long refused;
	FTSENT *ent;
	FTS *fts;

	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!fts)
		die("%s: %s", top, strerror(errno));
	printf("%9s %9s %9s %s\n", "CURRENT", "MAX", "REFUSED", "CGROUP");
	while ((ent = fts_read(fts))) {
		if (ent->fts_info != FTS_D)
			continue;
		snprintf(path, sizeof(path), "%s/ioasids.max", ent->fts_path);
		if (!read_line(path, max, sizeof(max)))
			continue;
		found = true;
		snprintf(path, sizeof(path), "%s/ioasids.current",
			 ent->fts_path);
		if (!read_line(path, now, sizeof(now)))
			continue;
		snprintf(path, sizeof(path), "%s/ioasids.events",
			 ent->fts_path);
		refused = read_number(path, "max");
		/* Where there is nothing to say, most often */
		if (!strcmp(max, "max") && !strcmp(now, "0") && refused <= 0)
			continue;
		printf("%9s %9s %9ld %s\n", now, max, refused, ent->fts_path);
	}
	fts_close(fts);
	if (!found)
		fprintf(stderr,
			"ioasidctl: no ioasids.max below %s (needs CONFIG_CGROUP_IOASIDS, and +misc in cgroup.subtree_control)\n",
			top);
	return !found;
}

static void print_events(int fd)
{
	char buf[4096], *pos;
	ssize_t len;

	len = read(fd, buf, sizeof(buf));
	for (pos = buf; pos < buf + len; ) {
		struct ioasid_event_freed event = { };
		uint32_t size;

		memcpy(&size, pos, sizeof(size));
		memcpy(&event, pos, size < sizeof(event) ? size : sizeof(event));
		pos += size;
		if (event.header.type == IOASID_EVENT_FREED)
			printf("released %u\n", event.ioasid);
	}
}

/* One line of "ioasidctl shell". Returns false to quit. */
static bool shell_command(int fd, char *line)
{
	uint32_t x = 0, y = 0;
	char verb[16];
	int nr, ret = 0;

	nr = sscanf(line, "%15s %u %u", verb, &x, &y) - 1;
	if (nr < 0 || *verb == '#')
		return true;

	if (!strcmp(verb, "alloc") && nr != 1) {
		struct ioasid_alloc arg = {
			.size = sizeof(arg),
			.type = IOASID_TYPE_NONE,
			.min = x,
			.max = nr == 2 ? y : UINT32_MAX,
		};

		ret = ioctl(fd, IOASID_ALLOC, &arg);
		if (!ret)
			printf("%u\n", arg.out_ioasid);
	} else if (!strcmp(verb, "free") && nr == 1) {
		struct ioasid_free arg = { .size = sizeof(arg), .ioasid = x };

		ret = ioctl(fd, IOASID_FREE, &arg);
		if (!ret)
			printf("%s %u\n", arg.out_pending ? "pending" : "released",
			       x);
	} else if (!strcmp(verb, "spid") && nr == 2) {
		struct ioasid_set_spid arg = {
			.size = sizeof(arg),
			.ioasid = x,
			.spid = y,
		};

		ret = ioctl(fd, IOASID_SET_SPID, &arg);
		if (!ret)
			printf("ok\n");
	} else if (!strcmp(verb, "nospid") && nr == 1) {
		struct ioasid_clear_spid arg = {
			.size = sizeof(arg),
			.ioasid = x,
		};

		ret = ioctl(fd, IOASID_CLEAR_SPID, &arg);
		if (!ret)
			printf("ok\n");
	} else if (!strcmp(verb, "find") && nr == 1) {
		struct ioasid_find_spid arg = { .size = sizeof(arg), .spid = x };

		ret = ioctl(fd, IOASID_FIND_SPID, &arg);
		if (!ret)
			printf("%u\n", arg.out_ioasid);
	} else if (!strcmp(verb, "info") && !nr) {
		show_info(fd);
	} else if (!strcmp(verb, "quit")) {
		return false;
	} else {
		printf("commands: alloc [MIN MAX], free ID, spid ID SPID, nospid ID, find SPID, info, quit\n");
	}
	if (ret)
		printf("error %s\n", strerror(errno));
	return true;
}

static int cmd_shell(void)
{
	struct pollfd pfd[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = dev_open(), .events = POLLIN },
	};
	char line[128];
	size_t len = 0;
	ssize_t got;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (poll(pfd, 2, -1) > 0) {
		char *end;

		if (pfd[1].revents)
			print_events(pfd[1].fd);
		if (!pfd[0].revents)
			continue;
		got = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);
		if (got <= 0)
			break;
		len += got;
		line[len] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			if (!shell_command(pfd[1].fd, line))
				return 0;
			len -= end + 1 - line;
			memmove(line, end + 1, len + 1);
		}
		if (len == sizeof(line) - 1)
			len = 0;
	}
	return 0;
}

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Prints the kernel's trace events, in an instance that nobody else uses. */
static int cmd_watch(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	char dir[PATH_MAX], path[PATH_MAX + 32], buf[4096];
	ssize_t len;
	int fd;

	snprintf(dir, sizeof(dir), INSTANCES "/ioasidctl-%d", getpid());
	if (mkdir(dir, 0700))
		die("%s: %s (needs tracefs, mounted)", dir, strerror(errno));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGPIPE, &sa, NULL);

	snprintf(path, sizeof(path), "%s/events/ioasid/enable", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1) {
		fprintf(stderr, "ioasidctl: %s: %s\n", path, strerror(errno));
		stop = 1;
	}
	if (fd >= 0)
		close(fd);

	snprintf(path, sizeof(path), "%s/trace_pipe", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (!stop && fd >= 0) {
		len = read(fd, buf, sizeof(buf));
		if (len <= 0 || write(STDOUT_FILENO, buf, len) != len)
			break;
	}
	if (fd >= 0)
		close(fd);
	rmdir(dir);
	return 0;
}

static __attribute__((noreturn)) void usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: ioasidctl info           how many there can be and are\n"
		"       ioasidctl users          processes that have " DEV " open\n"
		"       ioasidctl sets           all sets and ids (debugfs)\n"
		"       ioasidctl spaces         what is mapped (debugfs)\n"
		"       ioasidctl limits [DIR]   cgroups with a limit or with ids\n"
		"       ioasidctl watch          print events until interrupted (tracefs)\n"
		"       ioasidctl shell          allocate and free, commands on standard input\n");
	exit(status);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "limits") && argc <= 3)
		return cmd_limits(argc == 3 ? argv[2] : CGROUPS);
	if (argc != 2)
		usage(2);
	if (!strcmp(verb, "info"))
		return cmd_info();
	if (!strcmp(verb, "users"))
		return cmd_users();
	if (!strcmp(verb, "sets"))
		return cmd_debugfs(DEBUGFS);
	if (!strcmp(verb, "spaces"))
		return cmd_debugfs(DEBUGFS "_spaces");
	if (!strcmp(verb, "watch"))
		return cmd_watch();
	if (!strcmp(verb, "shell"))
		return cmd_shell();
	usage(strcmp(verb, "-h") && strcmp(verb, "--help") ? 2 : 0);
}
