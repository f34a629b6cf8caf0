// SPDX-License-Identifier: GPL-2.0
/*
 * ioasids.{max,current,events} of the misc controller, on cgroup v2
 */
#include <poll.h>

#include "../kselftest_harness.h"
#include "ioasid_cgroup_util.h"

#define ROOT	"/sys/fs/cgroup"

static __attribute__((constructor)) void require_misc(void)
{
	char buf[256];

	if (access(ROOT "/cgroup.controllers", R_OK))
		mount("cgroup2", ROOT, "cgroup2", 0, NULL);
	if (file_read(ROOT "/cgroup.controllers", buf, sizeof(buf)))
		ksft_exit_skip("no cgroup v2 at " ROOT "\n");
	if (!strstr(buf, "misc"))
		ksft_exit_skip("no misc controller: %s", buf);
}

/* top, with the children a and b */
FIXTURE(cgroup)
{
	struct cgroup root, top, a, b;
	struct worker w;
	bool subtree;
};

FIXTURE_SETUP(cgroup)
{
	self->root = (struct cgroup) { .path = ROOT };
	self->top = cg_path(ROOT, "ioasid_test");
	self->a = cg_path(ROOT, "ioasid_test/a");
	self->b = cg_path(ROOT, "ioasid_test/b");

	self->subtree = strstr(cg_read(&self->root, "cgroup.subtree_control"),
			       "misc");
	ASSERT_EQ(0, cg_write(&self->root, "cgroup.subtree_control", "+misc"));
	ASSERT_EQ(0, cg_make(&self->top));
	ASSERT_EQ(0, cg_write(&self->top, "cgroup.subtree_control", "+misc"));
	ASSERT_EQ(0, cg_make(&self->a));
	ASSERT_EQ(0, cg_make(&self->b));
	ASSERT_EQ(0, worker_start(&self->w, &self->a));
}

/* Also when a test failed, so that the next one can make them. */
FIXTURE_TEARDOWN(cgroup)
{
	worker_kill(&self->w);
	EXPECT_EQ(0, cg_current(&self->top));
	cg_enter(&self->root, getpid());
	cg_remove(&self->a);
	cg_remove(&self->b);
	cg_remove(&self->top);
	if (!self->subtree)
		cg_write(&self->root, "cgroup.subtree_control", "-misc");
}

TEST_F(cgroup, files)
{
	EXPECT_STREQ("max\n", cg_read(&self->a, "ioasids.max"));
	EXPECT_STREQ("0\n", cg_read(&self->a, "ioasids.current"));
	EXPECT_STREQ("max 0\n", cg_read(&self->a, "ioasids.events"));
	/* Not on the root, and not by the names with the prefix */
	EXPECT_NE(0, access(ROOT "/ioasids.max", F_OK));
	EXPECT_NE(0, access(ROOT "/ioasids.current", F_OK));
	EXPECT_NE(0, access(ROOT "/ioasids.events", F_OK));
	EXPECT_NE(0, access(ROOT "/ioasid_test/misc.ioasids.max", F_OK));
}

TEST_F(cgroup, capacity_is_without_what_the_kernel_has)
{
	struct ioasid_get_info info;
	long before, after;
	int fd = dev_open();

	ASSERT_EQ(0, cmd_info(fd, &info));
	close(fd);
	before = cg_number(&self->root, "misc.capacity", "ioasids");
	EXPECT_LT(0, before);
	EXPECT_GE(info.out_capacity, before);
	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, tc("set reserves null 16"));
	after = cg_number(&self->root, "misc.capacity", "ioasids");
	EXPECT_EQ(before - 16, after);
	ASSERT_EQ(0, tc("quota reserves 10"));
	after = cg_number(&self->root, "misc.capacity", "ioasids");
	EXPECT_EQ(before - 10, after);
	ASSERT_EQ(0, tc("end reserves"));
	after = cg_number(&self->root, "misc.capacity", "ioasids");
	EXPECT_EQ(before, after);
}

TEST_F(cgroup, same_as_misc)
{
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "2"));
	EXPECT_EQ(2, cg_number(&self->a, "misc.max", "ioasids"));
	ASSERT_EQ(0, cg_write(&self->a, "misc.max", "ioasids 1"));
	EXPECT_STREQ("1\n", cg_read(&self->a, "ioasids.max"));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(1, cg_number(&self->a, "misc.current", "ioasids"));
	EXPECT_EQ(1, cg_current(&self->a));
	EXPECT_EQ(1, cg_number(&self->a, "misc.events", "ioasids.max"));
	EXPECT_EQ(1, cg_events(&self->a));
	ASSERT_EQ(0, cg_write(&self->a, "misc.max", "ioasids max"));
	EXPECT_STREQ("max\n", cg_read(&self->a, "ioasids.max"));
}

/* Neither ids that are gone nor those that were refused keep a cgroup. */
TEST_F(cgroup, removed_cgroup_goes)
{
	long dying = -1;
	int i;

	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "1"));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	worker_kill(&self->w);
	ASSERT_EQ(0, cg_remove(&self->a));
	/* RCU and works */
	for (i = 0; i < 12000 && dying; i++) {
		usleep(10000);
		dying = cg_number(&self->top, "cgroup.stat",
				  "nr_dying_descendants");
	}
	EXPECT_EQ(0, dying);
}

TEST_F(cgroup, sixth_of_five_is_refused)
{
	int i;

	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "5"));
	for (i = 1; i <= 5; i++) {
		EXPECT_EQ(0, worker_do(&self->w, 'a'));
		EXPECT_EQ(i, cg_current(&self->a));
	}
	EXPECT_EQ(0, cg_events(&self->a));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(5, cg_current(&self->a));
	EXPECT_EQ(1, cg_events(&self->a));
	/* One back, one more */
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(4, cg_current(&self->a));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(2, cg_events(&self->a));
}

TEST_F(cgroup, limit_of_the_parent_counts)
{
	struct worker other;

	ASSERT_EQ(0, worker_start(&other, &self->b));
	ASSERT_EQ(0, cg_write(&self->top, "ioasids.max", "3"));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&other, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&other, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(3, cg_current(&self->top));
	EXPECT_EQ(2, cg_current(&self->a));
	EXPECT_EQ(1, cg_current(&self->b));
	/* Counted where the limit is, and above */
	EXPECT_EQ(2, cg_events(&self->top));
	EXPECT_EQ(0, cg_events(&self->a));
	EXPECT_EQ(0, cg_events(&self->b));
	worker_kill(&other);
	EXPECT_EQ(2, cg_current(&self->top));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
}

TEST_F(cgroup, zero_denies)
{
	ASSERT_EQ(0, cg_write(&self->top, "ioasids.max", "0"));
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "max"));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, cg_current(&self->top));
	EXPECT_EQ(1, cg_events(&self->top));
}

TEST_F(cgroup, max_is_no_limit)
{
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "0"));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "max\n"));
	EXPECT_STREQ("max\n", cg_read(&self->a, "ioasids.max"));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(1, cg_current(&self->a));
	EXPECT_EQ(1, cg_events(&self->a));
}

TEST_F(cgroup, lowering_takes_nothing_away)
{
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "1"));
	EXPECT_EQ(2, cg_current(&self->a));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
}

TEST_F(cgroup, failed_allocation_is_not_charged)
{
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(ENOSPC, worker_do(&self->w, 'r'));
	EXPECT_EQ(1, cg_current(&self->a));
	EXPECT_EQ(0, cg_events(&self->a));
}

TEST_F(cgroup, wrong_text_is_refused_as_by_misc)
{
	static const char * const wrong[] = {
		"", " ", "\n", "maximum", "Max", "max max", "-1", "5x", "x5",
		"5 5", "0x", "1.5", "+", "--1",
		"18446744073709551616", "99999999999999999999999",
		"0x10000000000000000",
	};
	char misc[64];
	unsigned int i;
	int ret;

	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "7"));
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		/* write() of nothing does not reach the file */
		if (!*wrong[i])
			continue;
		snprintf(misc, sizeof(misc), "ioasids %s", wrong[i]);
		ret = cg_write(&self->a, "ioasids.max", wrong[i]);
		EXPECT_NE(0, ret) {
			TH_LOG("accepted '%s'", wrong[i]);
		}
		EXPECT_EQ(cg_write(&self->a, "misc.max", misc), ret) {
			TH_LOG("for '%s'", wrong[i]);
		}
		EXPECT_STREQ("7\n", cg_read(&self->a, "ioasids.max"));
	}
	EXPECT_EQ(ERANGE, cg_write(&self->a, "ioasids.max",
				   "18446744073709551616"));
	EXPECT_EQ(EINVAL, cg_write(&self->a, "ioasids.max", "many"));
	/* What is right to misc is right here */
	EXPECT_EQ(0, cg_write(&self->a, "ioasids.max", " 0x10\n"));
	EXPECT_STREQ("16\n", cg_read(&self->a, "ioasids.max"));
	EXPECT_EQ(0, cg_write(&self->a, "ioasids.max", "18446744073709551615"));
	EXPECT_STREQ("max\n", cg_read(&self->a, "ioasids.max"));
	EXPECT_EQ(0, cg_write(&self->a, "ioasids.max", "max\n"));
}

TEST_F(cgroup, events_wakes_pollers)
{
	struct pollfd pfd = { .events = POLLPRI };
	char path[160], buf[64];

	snprintf(path, sizeof(path), "%s/ioasids.events", self->a.path);
	ASSERT_EQ(0, cg_write(&self->a, "ioasids.max", "0"));
	pfd.fd = open(path, O_RDONLY);
	ASSERT_LE(0, pfd.fd);
	ASSERT_LT(0, read(pfd.fd, buf, sizeof(buf)));
	EXPECT_EQ(0, poll(&pfd, 1, 50));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_TRUE(pfd.revents & POLLPRI);
	close(pfd.fd);
}

TEST_F(cgroup, moving_the_task_moves_nothing)
{
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	ASSERT_EQ(0, cg_enter(&self->b, self->w.pid));
	EXPECT_EQ(2, cg_current(&self->a));
	EXPECT_EQ(0, cg_current(&self->b));
	/* New ones go to the new cgroup, each is uncharged where it was charged */
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(2, cg_current(&self->a));
	EXPECT_EQ(1, cg_current(&self->b));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(2, cg_current(&self->a));
	EXPECT_EQ(0, cg_current(&self->b));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(1, cg_current(&self->a));
	EXPECT_EQ(0, cg_current(&self->b));
	EXPECT_EQ(0, worker_do(&self->w, 'c'));
	EXPECT_EQ(0, cg_current(&self->a));
	EXPECT_EQ(0, cg_current(&self->top));
}

TEST_F(cgroup, charge_outlives_the_cgroup)
{
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	ASSERT_EQ(0, cg_enter(&self->b, self->w.pid));
	ASSERT_EQ(0, cg_remove(&self->a));
	EXPECT_EQ(2, cg_current(&self->top));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(1, cg_current(&self->top));
	/* The limit of the parent still counts it */
	ASSERT_EQ(0, cg_write(&self->top, "ioasids.max", "1"));
	EXPECT_EQ(EBUSY, worker_do(&self->w, 'a'));
	EXPECT_EQ(0, worker_do(&self->w, 'f'));
	EXPECT_EQ(0, cg_current(&self->top));
	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(1, cg_current(&self->b));
}

TEST_F(cgroup, kill_returns_everything)
{
	int i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, worker_do(&self->w, 'a'));
	EXPECT_EQ(100, cg_current(&self->top));
	worker_kill(&self->w);
	EXPECT_EQ(0, cg_current(&self->top));
	EXPECT_EQ(0, cg_current(&self->a));
}

TEST_F(cgroup, pending_id_stays_charged)
{
	bool pending;
	uint32_t id;
	int fd;

	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, cg_enter(&self->b, getpid()));
	fd = dev_open();
	ASSERT_EQ(0, cmd_alloc(fd, &id));
	ASSERT_EQ(0, tc("use %u", id));
	ASSERT_EQ(0, cmd_free_pending(fd, id, &pending));
	EXPECT_TRUE(pending);
	EXPECT_EQ(1, cg_current(&self->b));
	close(fd);
	EXPECT_EQ(1, cg_current(&self->b));
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_EQ(0, cg_current(&self->b));
}

TEST_F(cgroup, kernel_ids_with_a_quota_are_not_charged)
{
	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, cg_enter(&self->b, getpid()));
	ASSERT_EQ(0, cg_write(&self->b, "ioasids.max", "1"));
	ASSERT_EQ(0, tc("set quota null 4"));
	EXPECT_EQ(0, tc("alloc quota"));
	EXPECT_EQ(0, tc("alloc quota"));
	EXPECT_EQ(0, cg_current(&self->b));
	EXPECT_EQ(0, tc("end quota"));

	/* Those of a set that shares the pool are: SVA has such a set */
	ASSERT_EQ(0, tc("set shared null"));
	EXPECT_EQ(0, tc("alloc shared"));
	EXPECT_EQ(1, cg_current(&self->b));
	EXPECT_EQ(EBUSY, tc("alloc shared"));
	EXPECT_EQ(1, cg_current(&self->b));
	EXPECT_EQ(0, tc("end shared"));
	EXPECT_EQ(0, cg_current(&self->b));
}

TEST_F(cgroup, info_tells_the_charge)
{
	struct ioasid_get_info info;
	int fd = dev_open();

	EXPECT_EQ(0, worker_do(&self->w, 'a'));
	ASSERT_EQ(0, cg_enter(&self->a, getpid()));
	ASSERT_EQ(0, cmd_info(fd, &info));
	EXPECT_EQ(1, info.out_charged);
	EXPECT_EQ(0, info.out_allocated);
	close(fd);
}

/* Several tasks at the limit: it is reached, and never exceeded. */
TEST_F(cgroup, racing_tasks_share_the_limit)
{
	struct worker w[4];
	int i, round, got = 0;

	ASSERT_EQ(0, cg_write(&self->top, "ioasids.max", "50"));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, worker_start(&w[i], i & 1 ? &self->a : &self->b));
	for (round = 0; round < 20; round++) {
		/* All at once, then the answers */
		for (i = 0; i < 4; i++)
			ASSERT_EQ(1, write(w[i].sock, "a", 1));
		for (i = 0; i < 4; i++) {
			int ret;

			ASSERT_EQ(sizeof(ret),
				  read(w[i].sock, &ret, sizeof(ret)));
			ASSERT_TRUE(!ret || ret == EBUSY);
			got += !ret;
		}
		ASSERT_GE(50, cg_current(&self->top));
	}
	EXPECT_EQ(50, got);
	EXPECT_EQ(50, cg_current(&self->top));
	EXPECT_EQ(30, cg_events(&self->top));
	for (i = 0; i < 4; i++)
		worker_kill(&w[i]);
	EXPECT_EQ(0, cg_current(&self->top));
}

/*
 * What a holder of the file makes the kernel allocate, and what of that is charged
 * to its memory cgroup
 */
FIXTURE(memory)
{
	struct cgroup root, cg;
	bool subtree;
	long charged, slab;
};

FIXTURE_SETUP(memory)
{
	self->root = (struct cgroup) { .path = ROOT };
	self->cg = cg_path(ROOT, "ioasid_memory");
	if (!strstr(cg_read(&self->root, "cgroup.controllers"), "memory"))
		SKIP(return, "no memory controller");
	self->subtree = strstr(cg_read(&self->root, "cgroup.subtree_control"),
			       "memory");
	ASSERT_EQ(0, cg_write(&self->root, "cgroup.subtree_control",
			      "+memory"));
	ASSERT_EQ(0, cg_make(&self->cg));
	ASSERT_EQ(0, cg_enter(&self->cg, getpid()));
}

FIXTURE_TEARDOWN(memory)
{
	cg_enter(&self->root, getpid());
	cg_remove(&self->cg);
	if (!self->subtree)
		cg_write(&self->root, "cgroup.subtree_control", "-memory");
}

/* KiB in slabs, of all */
static long all_slabs(void)
{
	char buf[4096], *pos;

	if (file_read("/proc/meminfo", buf, sizeof(buf)))
		return -1;
	pos = strstr(buf, "\nSlab:");
	return pos ? atol(pos + strlen("\nSlab:")) : -1;
}

static void memory_begin(FIXTURE_DATA(memory) *self)
{
	self->charged = cg_number(&self->cg, "memory.current", "") / 1024;
	self->slab = all_slabs();
}

/* At least @kib were allocated, and all but what others may have were charged. */
static bool memory_end(FIXTURE_DATA(memory) *self, long kib)
{
	long charged, slab;

	charged = cg_number(&self->cg, "memory.current", "") / 1024 -
		  self->charged;
	slab = all_slabs() - self->slab;
	printf("# %ld KiB of slabs allocated, %ld KiB charged\n", slab, charged);
	if (charged < kib)
		return false;
	/* Kmemleak has a slab of its own for each, which nobody is charged. */
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		return true;
	/* The kernel charges in batches, and rounds. */
	return charged >= slab * 9 / 10 - 512;
}

#define NODE		576	/* bytes of a node of an xarray */
#define NR_SPARSE	8000

/* Each id far from the others: nothing is shared. */
TEST_F(memory, ids)
{
	int fd = dev_open(), i;
	uint32_t id;

	memory_begin(self);
	for (i = 0; i < NR_SPARSE; i++)
		ASSERT_EQ(0, cmd_alloc_range(fd, 1000 + 64 * i, 1000 + 64 * i,
					     &id));
	EXPECT_TRUE(memory_end(self, NR_SPARSE * (NODE + 64) / 1024));
	close(fd);
}

/* As many tables for as few SPIDs as can be: two nodes each */
TEST_F(memory, spids)
{
	uint32_t *id = calloc(NR_SPARSE, sizeof(*id));
	int fd = dev_open(), i;

	ASSERT_NE(NULL, id);
	for (i = 0; i < NR_SPARSE; i++)
		ASSERT_EQ(0, cmd_alloc(fd, &id[i]));
	memory_begin(self);
	for (i = 0; i < NR_SPARSE; i++)
		ASSERT_EQ(0, cmd_set_spid(fd, id[i], 4096 * i));
	EXPECT_TRUE(memory_end(self, 2 * NODE * NR_SPARSE / 1024));
	close(fd);
	free(id);
}

/* Bytes in slabs of the cgroup after so many files were opened, before less */
static long slabs_of_files(struct cgroup *cg, int *fd, int nr)
{
	long before = cg_number(cg, "memory.stat", "slab");
	int i;

	for (i = 0; i < nr; i++)
		fd[i] = dev_open();
	return fd[nr - 1] < 0 ? -1 :
	       cg_number(cg, "memory.stat", "slab") - before;
}

#define NR_FILES	300

/* A subscriber by mm makes each file cost more. */
TEST_F(memory, files_that_are_subscribed_to)
{
	long without, with;
	int fd[3][NR_FILES], i, j;

	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	/* Once for what is there once, as the table of descriptors */
	slabs_of_files(&self->cg, fd[0], NR_FILES);
	without = slabs_of_files(&self->cg, fd[1], NR_FILES);
	ASSERT_EQ(0, tc("sub costs mm cpu"));
	with = slabs_of_files(&self->cg, fd[2], NR_FILES);
	TH_LOG("%ld bytes without, %ld with a subscriber", without, with);
	EXPECT_LT(NR_FILES * 512, without);
	EXPECT_LE(without + NR_FILES * 64, with);
	EXPECT_EQ(0, tc("unsub costs"));
	for (i = 0; i < 3; i++)
		for (j = 0; j < NR_FILES; j++)
			close(fd[i][j]);
}

TEST_HARNESS_MAIN
