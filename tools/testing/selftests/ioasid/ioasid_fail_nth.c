// SPDX-License-Identifier: GPL-2.0
/*
 * Fail every allocation on the call chain of each command in turn
 *
 * /proc/self/fail-nth (CONFIG_FAULT_INJECTION) makes the nth allocation of the
 * task fail. n goes up until a command comes through without a failure; each
 * command before that must have failed with an errno that is allowed, and have
 * left nothing behind, or succeeded.
 *
 * Some code tries an allocation that failed again and so survives one failure.
 * For that, failslab also lets a task have some memory and then no more, with
 * the amount going up.
 */
#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define NTH_MAX	200

static __attribute__((constructor)) void require_faults(void)
{
	debugfs_mount();
	if (access("/proc/self/fail-nth", W_OK))
		ksft_exit_skip("no fail-nth (CONFIG_FAULT_INJECTION)\n");
	/* Not only allocations that may not sleep */
	if (file_write("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"))
		ksft_exit_skip("no failslab (CONFIG_FAILSLAB)\n");
	file_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	file_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	file_write("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	/* Failures are meant here and need no stack in the log. */
	file_write("/sys/kernel/debug/failslab/verbose", "0");
	file_write("/sys/kernel/debug/fail_page_alloc/verbose", "0");
}

FIXTURE(fail)
{
	int fd;
	int nth;
	uint32_t id;
};

/* misc counts what is charged anywhere; nobody else allocates meanwhile. */
static uint32_t charged(int fd)
{
	struct ioasid_get_info info;

	return cmd_info(fd, &info) ? INVALID_ID : info.out_charged;
}

FIXTURE_SETUP(fail)
{
	self->nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->nth);
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, cmd_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(fail)
{
	close(self->fd);
	close(self->nth);
}

static void arm(FIXTURE_DATA(fail) *self, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(self->nth, text, len, 0) != len)
		abort();
}

/* Was a failure injected since arm()? */
static bool fired(FIXTURE_DATA(fail) *self)
{
	char text[16] = { };

	if (pread(self->nth, text, sizeof(text) - 1, 0) <= 0)
		abort();
	arm(self, 0);
	return atoi(text) == 0;
}

#define SWEEP(nth)	for (nth = 1; nth < NTH_MAX; nth++)

TEST_F(fail, open)
{
	uint32_t before = charged(self->fd), id;
	int nth, fd, err, failed = 0;
	bool hit;

	SWEEP(nth) {
		arm(self, nth);
		fd = dev_open();
		err = errno;
		hit = fired(self);
		if (fd < 0) {
			ASSERT_TRUE(hit);
			ASSERT_EQ(ENOMEM, err);
			failed++;
			continue;
		}
		ASSERT_EQ(0, cmd_alloc(fd, &id));
		close(fd);
		if (!hit)
			break;
	}
	EXPECT_LT(nth, NTH_MAX);
	TH_LOG("%d failures injected, %d made it fail", nth - 1, failed);
	EXPECT_LT(1, failed);
	EXPECT_EQ(before, charged(self->fd));
}

TEST_F(fail, alloc)
{
	uint32_t before = charged(self->fd), id, want;
	int nth, ret, failed = 0, round;
	bool hit;

	/* Rounds, as not every allocation needs memory for the tables */
	for (round = 0; round < 5; round++) {
		want = 100000 + round * 5000;
		SWEEP(nth) {
			arm(self, nth);
			ret = cmd_alloc_range(self->fd, want, want, &id);
			hit = fired(self);
			if (ret) {
				ASSERT_TRUE(hit);
				ASSERT_EQ(ENOMEM, ret);
				ASSERT_EQ(1, nr_allocated(self->fd));
				ASSERT_EQ(before, charged(self->fd));
				failed++;
				continue;
			}
			ASSERT_EQ(want, id);
			ASSERT_EQ(0, cmd_free(self->fd, id));
			if (!hit)
				break;
		}
		EXPECT_LT(nth, NTH_MAX);
	}
	TH_LOG("%d allocations failed", failed);
	EXPECT_LT(1, failed);
	EXPECT_EQ(before, charged(self->fd));
}

TEST_F(fail, set_spid)
{
	int nth, ret, failed = 0;
	uint32_t found;
	bool hit;

	SWEEP(nth) {
		arm(self, nth);
		ret = cmd_set_spid(self->fd, self->id, 70000);
		hit = fired(self);
		if (ret) {
			ASSERT_TRUE(hit);
			ASSERT_EQ(ENOMEM, ret);
			ASSERT_EQ(ENOENT, cmd_find_spid(self->fd, 70000,
							&found));
			ASSERT_EQ(ENOENT, cmd_clear_spid(self->fd, self->id));
			failed++;
			continue;
		}
		ASSERT_EQ(0, cmd_find_spid(self->fd, 70000, &found));
		ASSERT_EQ(self->id, found);
		ASSERT_EQ(0, cmd_clear_spid(self->fd, self->id));
		if (!hit)
			break;
	}
	EXPECT_LT(nth, NTH_MAX);
	TH_LOG("%d of %d failed", failed, nth - 1);
	/* An xarray asks twice for each node, so that none may fail. */
	EXPECT_LT(1, nth);
}

static int failslab(const char *file, int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/sys/kernel/debug/failslab/%s", file);
	snprintf(text, sizeof(text), "%d", value);
	return file_write(path, text);
}

TEST_F(fail, alloc_with_little_memory)
{
	uint32_t before = charged(self->fd), id;
	int space, ret, failed = 0, make;

	make = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, make);
	ASSERT_EQ(0, failslab("task-filter", 1));
	ASSERT_EQ(0, failslab("interval", 1));
	ASSERT_EQ(0, failslab("times", 1000000000));

	/* A number whose tables have no memory yet, and so much as they need */
	for (space = 0; space < 16384; space += 32) {
		ASSERT_EQ(0, failslab("space", space));
		ASSERT_EQ(0, failslab("probability", 100));
		ASSERT_EQ(1, pwrite(make, "1", 1, 0));
		ret = cmd_alloc_range(self->fd, 300000, 300000, &id);
		ASSERT_EQ(1, pwrite(make, "0", 1, 0));
		ASSERT_EQ(0, failslab("probability", 0));
		if (!ret)
			break;
		ASSERT_EQ(ENOMEM, ret);
		ASSERT_EQ(1, nr_allocated(self->fd));
		ASSERT_EQ(before, charged(self->fd));
		failed++;
	}
	EXPECT_EQ(0, failslab("task-filter", 0));
	close(make);
	TH_LOG("enough with %d bytes, %d allocations failed", space, failed);
	EXPECT_EQ(0, ret);
	EXPECT_LT(10, failed);
	EXPECT_EQ(0, cmd_free(self->fd, id));
}

/* What takes something away cannot fail for want of memory. */
TEST_F(fail, free_and_clear_need_no_memory)
{
	struct ioasid_get_info info;
	uint32_t found;
	int nth;

	for (nth = 1; nth <= 5; nth++) {
		ASSERT_EQ(0, cmd_set_spid(self->fd, self->id, 5));
		arm(self, nth);
		ASSERT_EQ(0, cmd_find_spid(self->fd, 5, &found));
		ASSERT_EQ(0, cmd_info(self->fd, &info));
		ASSERT_EQ(0, cmd_clear_spid(self->fd, self->id));
		ASSERT_EQ(0, cmd_free(self->fd, self->id));
		EXPECT_FALSE(fired(self));
		ASSERT_EQ(0, cmd_alloc(self->fd, &self->id));
	}
}

TEST_HARNESS_MAIN
