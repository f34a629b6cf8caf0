// SPDX-License-Identifier: GPL-2.0
/*
 * IOASIDs and SPIDs of /dev/ioasid: ranges, errors, limits, and two files that
 * do not see each other
 */
#include <sys/prctl.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define IOASID_LOWEST	2
#define IOASID_HIGHEST	((1U << 20) - 1)

FIXTURE(ids)
{
	int fd;
	int other;
};

FIXTURE_SETUP(ids)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	self->other = dev_open();
	ASSERT_LE(0, self->other);
}

FIXTURE_TEARDOWN(ids)
{
	close(self->fd);
	close(self->other);
	/* Of exhaustion_is_enospc, where it had one */
	tc("end hog");
}

TEST_F(ids, info_tells_the_range)
{
	struct ioasid_get_info info;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(IOASID_LOWEST, info.out_min);
	EXPECT_GE(IOASID_HIGHEST, info.out_max);
	EXPECT_LT(IOASID_LOWEST, info.out_max);
	EXPECT_LT(0, info.out_limit);
	/* A share is kept for others. */
	EXPECT_GT(info.out_capacity, info.out_limit);
	EXPECT_LT(0, info.out_capacity);
	EXPECT_GE(IOASID_HIGHEST - IOASID_LOWEST + 1, info.out_capacity);
	EXPECT_EQ(0, info.out_allocated);
	EXPECT_EQ(0, info.out_pending);
}

/* Devices whose PASIDs have few bits need the low ones. */
TEST_F(ids, high_numbers_first)
{
	struct ioasid_get_info info;
	uint32_t a, b, c, low;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_alloc(self->fd, &b));
	ASSERT_EQ(0, cmd_alloc(self->other, &c));
	EXPECT_LE(info.out_max / 2, a);
	EXPECT_LE(info.out_max / 2, b);
	EXPECT_LE(info.out_max / 2, c);
	EXPECT_NE(a, b);
	EXPECT_NE(a, c);
	EXPECT_NE(b, c);
	/* In each range the upper half, then what is left */
	ASSERT_EQ(0, cmd_alloc_range(self->fd, 600, 1025, &a));
	EXPECT_LE(1024, a);
	ASSERT_EQ(0, cmd_alloc_range(self->fd, 600, 1025, &b));
	EXPECT_LE(1024, b);
	ASSERT_EQ(0, cmd_alloc_range(self->fd, 600, 1025, &low));
	EXPECT_GT(1024, low);
	EXPECT_LE(600, low);
}

TEST_F(ids, range_is_inclusive)
{
	uint32_t id;

	EXPECT_EQ(0, cmd_alloc_range(self->fd, 5000, 5001, &id));
	EXPECT_EQ(5000, id);
	EXPECT_EQ(0, cmd_alloc_range(self->fd, 5000, 5001, &id));
	EXPECT_EQ(5001, id);
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 5000, 5001, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->other, 5000, 5001, &id));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, IOASID_HIGHEST, UINT32_MAX,
				     &id));
	EXPECT_EQ(IOASID_HIGHEST, id);
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, IOASID_HIGHEST, UINT32_MAX,
					  &id));
	EXPECT_EQ(3, nr_allocated(self->fd));
}

TEST_F(ids, reserved_numbers_are_not_given)
{
	uint32_t id;

	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 0, 0, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 0, 1, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 1, 1, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, IOASID_HIGHEST + 1,
					  UINT32_MAX, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, UINT32_MAX, UINT32_MAX,
					  &id));
	EXPECT_EQ(0, nr_allocated(self->fd));
}

TEST_F(ids, min_above_max_is_einval)
{
	uint32_t id;

	EXPECT_EQ(EINVAL, cmd_alloc_range(self->fd, 1, 0, &id));
	EXPECT_EQ(EINVAL, cmd_alloc_range(self->fd, UINT32_MAX, 0, &id));
	EXPECT_EQ(EINVAL, cmd_alloc_range(self->fd, 101, 100, &id));
}

TEST_F(ids, unknown_ids_are_enoent)
{
	static const uint32_t unknown[] = {
		0, 1, IOASID_HIGHEST, IOASID_HIGHEST + 1, 1U << 31, UINT32_MAX
	};
	unsigned int i;
	uint32_t id;

	for (i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		EXPECT_EQ(ENOENT, cmd_free(self->fd, unknown[i]));
		EXPECT_EQ(ENOENT, cmd_set_spid(self->fd, unknown[i], 1));
		EXPECT_EQ(ENOENT, cmd_clear_spid(self->fd, unknown[i]));
		EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, unknown[i], &id));
	}
	/* Freed ones are unknown */
	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_free(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_set_spid(self->fd, id, 1));
	EXPECT_EQ(ENOENT, cmd_clear_spid(self->fd, id));
}

TEST_F(ids, other_files_ids_are_enoent)
{
	uint32_t id, found;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_set_spid(self->fd, id, 10));
	EXPECT_EQ(ENOENT, cmd_free(self->other, id));
	EXPECT_EQ(ENOENT, cmd_set_spid(self->other, id, 11));
	EXPECT_EQ(ENOENT, cmd_clear_spid(self->other, id));
	EXPECT_EQ(ENOENT, cmd_find_spid(self->other, 10, &found));
	EXPECT_EQ(0, nr_allocated(self->other));
	EXPECT_EQ(1, nr_allocated(self->fd));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 10, &found));
	EXPECT_EQ(id, found);
}

TEST_F(ids, closing_one_file_leaves_the_other)
{
	uint32_t a, b, id;

	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_alloc(self->other, &b));
	ASSERT_EQ(0, cmd_set_spid(self->other, b, 1));
	close(self->fd);
	EXPECT_EQ(0, cmd_find_spid(self->other, 1, &id));
	EXPECT_EQ(b, id);
	/* That of the closed file is free */
	EXPECT_EQ(0, cmd_alloc_range(self->other, a, a, &id));
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
}

TEST_F(ids, kernel_ids_are_enoent)
{
	char buf[32];
	uint32_t id;

	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, tc("set kernelids null 4"));
	ASSERT_EQ(0, tc("alloc kernelids"));
	ASSERT_EQ(0, file_read(TC_DIR "/result", buf, sizeof(buf)));
	id = atoi(buf);
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_set_spid(self->fd, id, 1));
	EXPECT_EQ(ENOENT, cmd_clear_spid(self->fd, id));
	EXPECT_EQ(0, tc("end kernelids"));
}

TEST_F(ids, spid_is_found_until_cleared)
{
	uint32_t id, found;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	EXPECT_EQ(ENOENT, cmd_clear_spid(self->fd, id));
	EXPECT_EQ(0, cmd_set_spid(self->fd, id, 0));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 0, &found));
	EXPECT_EQ(id, found);
	EXPECT_EQ(0, cmd_clear_spid(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, 0, &found));
	EXPECT_EQ(ENOENT, cmd_clear_spid(self->fd, id));
	EXPECT_EQ(0, cmd_set_spid(self->fd, id, UINT32_MAX - 1));
	EXPECT_EQ(0, cmd_find_spid(self->fd, UINT32_MAX - 1, &found));
	EXPECT_EQ(id, found);
	EXPECT_EQ(EINVAL, cmd_set_spid(self->fd, id, UINT32_MAX));
	EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, UINT32_MAX, &found));
}

TEST_F(ids, spid_is_unique_in_a_file)
{
	uint32_t a, b, c, found;

	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_alloc(self->fd, &b));
	ASSERT_EQ(0, cmd_alloc(self->other, &c));
	ASSERT_EQ(0, cmd_set_spid(self->fd, a, 5));
	EXPECT_EQ(EEXIST, cmd_set_spid(self->fd, b, 5));
	EXPECT_EQ(EEXIST, cmd_set_spid(self->fd, a, 6));
	EXPECT_EQ(EEXIST, cmd_set_spid(self->fd, a, 5));
	EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, 6, &found));
	/* Another file has a namespace of its own */
	EXPECT_EQ(0, cmd_set_spid(self->other, c, 5));
	EXPECT_EQ(0, cmd_find_spid(self->other, 5, &found));
	EXPECT_EQ(c, found);
	EXPECT_EQ(0, cmd_find_spid(self->fd, 5, &found));
	EXPECT_EQ(a, found);
	/* It goes with its id */
	EXPECT_EQ(0, cmd_free(self->fd, a));
	EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, 5, &found));
	EXPECT_EQ(0, cmd_set_spid(self->fd, b, 5));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 5, &found));
	EXPECT_EQ(b, found);
}

TEST_F(ids, many_spids)
{
	const uint32_t nr = 1000;
	uint32_t i, found, *id = calloc(nr, sizeof(*id));

	ASSERT_NE(NULL, id);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, cmd_set_spid(self->fd, id[i], 3 * i));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, cmd_find_spid(self->fd, 3 * i, &found));
		ASSERT_EQ(id[i], found);
		ASSERT_EQ(ENOENT, cmd_find_spid(self->fd, 3 * i + 1, &found));
	}
	free(id);
}

/* Without the misc controller, nothing is charged; disabled at boot, the root is. */
static bool has_misc(void)
{
	char buf[4096];

	return !file_read("/proc/cgroups", buf, sizeof(buf)) &&
	       strstr(buf, "\nmisc\t");
}

TEST_F(ids, info_counts)
{
	struct ioasid_get_info info, before;
	uint32_t id[3];

	ASSERT_EQ(0, cmd_info(self->fd, &before));
	ASSERT_EQ(0, cmd_alloc(self->fd, &id[0]));
	ASSERT_EQ(0, cmd_alloc(self->fd, &id[1]));
	ASSERT_EQ(0, cmd_alloc(self->other, &id[2]));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(2, info.out_allocated);
	EXPECT_EQ(before.out_capacity, info.out_capacity);
	EXPECT_EQ(before.out_charged + (has_misc() ? 3 : 0), info.out_charged);
	ASSERT_EQ(0, cmd_free(self->fd, id[0]));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(1, info.out_allocated);
	EXPECT_EQ(0, info.out_pending);
}

TEST_F(ids, fdinfo_counts)
{
	char path[64], buf[1024];
	uint32_t id;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_EQ(0, file_read(path, buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, "ioasid-allocated:\t1\n"));
	EXPECT_NE(NULL, strstr(buf, "ioasid-pending:\t0\n"));
}

#define DEBUGFS	"/sys/kernel/debug/ioasid"

/* The whole of debugfs, read in pieces of @piece bytes; to be freed */
static char *read_debugfs(size_t piece)
{
	size_t len = 0, room = 1 << 20;
	char *buf = malloc(room);
	int fd = open(DEBUGFS, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while (fd >= 0 && len + piece < room &&
	       (got = read(fd, buf + len, piece)) > 0)
		len += got;
	buf[len] = '\0';
	if (fd >= 0)
		close(fd);
	return buf;
}

static int count(const char *text, const char *what)
{
	int nr = 0;

	for (; (text = strstr(text, what)); text++)
		nr++;
	return nr;
}

/* A task chooses its name. It cannot write lines, or colours, with it. */
TEST_F(ids, names_of_tasks_are_escaped)
{
	static const char *const names[] = {
		"a\nid 9 set 1 s", "\033[31mred\033[0m", "b\\012c",
	};
	static const char *const shown[] = {
		" owner a\\012id 9 set 1 s\n", " owner \\033[31mred\\033[0m\n",
		" owner b\\134012c\n",
	};
	char before[16];
	unsigned int i;
	char *text;
	int fd;

	debugfs_mount();
	if (access(DEBUGFS, R_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, prctl(PR_GET_NAME, before));
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		ASSERT_EQ(0, prctl(PR_SET_NAME, names[i]));
		fd = dev_open();
		ASSERT_EQ(0, prctl(PR_SET_NAME, before));
		text = read_debugfs(4096);
		EXPECT_EQ(1, count(text, shown[i])) {
			TH_LOG("%s", text);
		}
		EXPECT_EQ(0, count(text, "\nid 9 set 1 s"));
		EXPECT_EQ(0, count(text, "\033"));
		free(text);
		close(fd);
	}
}

/* Also when it is read in pieces, and sets go in between. */
TEST_F(ids, debugfs_shows_each_set_once)
{
	static const size_t pieces[] = { 100, 4096, 65536 };
	char before[16], line[32];
	unsigned int i;
	int fd[500], j, debugfs;
	char *text;

	debugfs_mount();
	if (access(DEBUGFS, R_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, prctl(PR_GET_NAME, before));
	for (j = 0; j < 500; j++) {
		snprintf(line, sizeof(line), "once%d.", j);
		ASSERT_EQ(0, prctl(PR_SET_NAME, line));
		fd[j] = dev_open();
		ASSERT_LE(0, fd[j]);
	}
	ASSERT_EQ(0, prctl(PR_SET_NAME, before));
	for (i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		text = read_debugfs(pieces[i]);
		for (j = 0; j < 500; j++) {
			snprintf(line, sizeof(line), " owner once%d.\n", j);
			EXPECT_EQ(1, count(text, line));
		}
		EXPECT_EQ(1, count(text, "capacity "));
		free(text);
	}

	/* The set where a reader stopped goes. */
	debugfs = open(DEBUGFS, O_RDONLY | O_CLOEXEC);
	text = malloc(8192);
	ASSERT_LT(0, read(debugfs, text, 4096));
	for (j = 0; j < 400; j++)
		close(fd[j]);
	while (read(debugfs, text, 4096) > 0)
		;
	close(debugfs);
	free(text);
	for (; j < 500; j++)
		close(fd[j]);
}

/* All but so many, on a kernel that needs minutes for a million ids */
#define LEFT_ON_SLOW_KERNEL	20000

/*
 * Take all that there are for /dev/ioasid. Nobody else may allocate meanwhile.
 * Where that is too much work, the quota of a set of the kernel has taken most of
 * them before.
 */
TEST_F(ids, exhaustion_is_enospc)
{
	uint8_t *seen = calloc(1, (IOASID_HIGHEST + 1) / 8);
	struct ioasid_get_info info;
	uint32_t id, last = 0, nr = 0;
	int ret;

	ASSERT_NE(NULL, seen);
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	if (kernel_is_slow() && !access(TC_DIR, F_OK)) {
		uint32_t quota = info.out_capacity;

		/* Other quotas are taken off what is left, too */
		do {
			ASSERT_LT(LEFT_ON_SLOW_KERNEL, quota);
			quota -= LEFT_ON_SLOW_KERNEL;
			ret = tc("set hog null %u", quota);
		} while (ret == ENOSPC);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, cmd_info(self->fd, &info));
	}
	while (!(ret = cmd_alloc(self->fd, &id))) {
		ASSERT_LE(IOASID_LOWEST, id);
		ASSERT_GE(info.out_max, id);
		ASSERT_FALSE(seen[id / 8] & (1 << id % 8));
		seen[id / 8] |= 1 << id % 8;
		last = id;
		nr++;
		ASSERT_GE(info.out_limit, nr);
	}
	free(seen);
	if (ret == EBUSY)
		SKIP(return, "this cgroup is limited to %u IOASIDs", nr);
	ASSERT_EQ(ENOSPC, ret);
	TH_LOG("%u of %u", nr, info.out_capacity);
	EXPECT_EQ(info.out_limit, nr);
	EXPECT_EQ(nr, nr_allocated(self->fd));
	EXPECT_EQ(ENOSPC, cmd_alloc(self->other, &id));

	/* Others find some all the same, also with few bits. */
	if (tc_present()) {
		ASSERT_EQ(0, tc("set rest null"));
		EXPECT_EQ(0, tc("alloc rest"));
		EXPECT_EQ(0, tc("alloc rest 2 255"));
		EXPECT_EQ(0, tc("end rest"));
	}

	EXPECT_EQ(0, cmd_free(self->fd, last));
	EXPECT_EQ(0, cmd_alloc(self->other, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc(self->fd, &id));
	EXPECT_EQ(1, nr_allocated(self->other));
	close(self->fd);

	/* All but that one are back */
	EXPECT_EQ(0, cmd_alloc(self->other, &id));
	EXPECT_EQ(0, cmd_alloc(self->other, &id));
	EXPECT_EQ(3, nr_allocated(self->other));
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
}

TEST_HARNESS_MAIN
