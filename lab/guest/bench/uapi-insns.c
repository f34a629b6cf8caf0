// SPDX-License-Identifier: GPL-2.0
/*
 * Guest instructions of /dev/ioasid, for scripts/bench:
 *	7 ALLOC+FREE, 8 open+close, 9 SET_SPID+FIND_SPID (and CLEAR_SPID), 10 and
 *	11 ALLOC+FREE in a cgroup of depth 1 and 5
 * each ROUNDS times, with 1000 ids on the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioasid.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "insn-mark.h"

#define ROUNDS	100
#define IDS	1000

static int fd;

static void check(int ret, const char *what)
{
	if (ret < 0) {
		perror(what);
		exit(1);
	}
}

static uint32_t alloc_id(void)
{
	struct ioasid_alloc arg = {
		.size = sizeof(arg),
		.type = IOASID_TYPE_NONE,
		.max = UINT32_MAX,
	};

	check(ioctl(fd, IOASID_ALLOC, &arg), "IOASID_ALLOC");
	return arg.out_ioasid;
}

static void free_id(uint32_t id)
{
	struct ioasid_free arg = { .size = sizeof(arg), .ioasid = id };

	check(ioctl(fd, IOASID_FREE, &arg), "IOASID_FREE");
}

static void set_spid(uint32_t id, uint32_t spid)
{
	struct ioasid_set_spid arg = { .size = sizeof(arg), .ioasid = id, .spid = spid };

	check(ioctl(fd, IOASID_SET_SPID, &arg), "IOASID_SET_SPID");
}

static void find_spid(uint32_t spid)
{
	struct ioasid_find_spid arg = { .size = sizeof(arg), .spid = spid };

	check(ioctl(fd, IOASID_FIND_SPID, &arg), "IOASID_FIND_SPID");
}

static void clear_spid(uint32_t id)
{
	struct ioasid_clear_spid arg = { .size = sizeof(arg), .ioasid = id };

	check(ioctl(fd, IOASID_CLEAR_SPID, &arg), "IOASID_CLEAR_SPID");
}

/* Make a cgroup in each one, and go to the innermost. */
static void enter(int depth)
{
	char path[256] = "/sys/fs/cgroup", file[300];
	int i, file_fd;

	for (i = 1; i <= depth; i++) {
		snprintf(file, sizeof(file), "%s/cgroup.subtree_control", path);
		file_fd = open(file, O_WRONLY);
		if (write(file_fd, "+misc", 5) < 0 && i > 1)
			check(-1, file);
		close(file_fd);
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "/bench%d", depth);
		check(mkdir(path, 0755), path);
	}
	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	file_fd = open(file, O_WRONLY);
	check(write(file_fd, "0", 1), file);
	close(file_fd);
}

#define PAIRS(mark)					\
do {							\
	free_id(alloc_id());				\
	INSN_MARK_BEGIN(mark);				\
	for (i = 0; i < ROUNDS; i++)			\
		free_id(alloc_id());			\
	INSN_MARK_END(mark);				\
} while (0)

int main(void)
{
	uint32_t ids[IDS];
	int i;

	fd = open("/dev/ioasid", O_RDWR);
	check(fd, "/dev/ioasid");
	for (i = 0; i < IDS; i++)
		ids[i] = alloc_id();
	PAIRS(7);

	close(open("/dev/ioasid", O_RDWR));
	INSN_MARK_BEGIN(8);
	for (i = 0; i < ROUNDS; i++)
		close(open("/dev/ioasid", O_RDWR));
	INSN_MARK_END(8);

	for (i = 1; i < IDS; i++)
		set_spid(ids[i], i);
	set_spid(ids[0], IDS);
	clear_spid(ids[0]);
	INSN_MARK_BEGIN(9);
	for (i = 0; i < ROUNDS; i++) {
		set_spid(ids[0], IDS);
		find_spid(IDS);
		clear_spid(ids[0]);
	}
	INSN_MARK_END(9);

	enter(1);
	PAIRS(10);
	enter(5);
	PAIRS(11);
	puts("counted");
	return 0;
}
