// SPDX-License-Identifier: GPL-2.0
/*
 * ioasids.{max,current,events} of the misc controller, on cgroup v1
 *
 * Mounts a hierarchy of its own, which works when no cgroup v2 below the root
 * uses misc.
 */
#include "../kselftest_harness.h"
#include "ioasid_cgroup_util.h"

#define ROOT	"/tmp/ioasid_cgroup_v1"

TEST(v1_hierarchy)
{
	struct cgroup top = cg_path(ROOT, "top");
	struct cgroup below = cg_path(ROOT, "top/below");
	struct worker w = { };
	int i, ret;

	mkdir("/tmp", 01777);
	mkdir(ROOT, 0755);
	/* Cgroups that were just removed may still be on their way out. */
	for (i = 0; i < 3000; i++) {
		ret = mount("misc", ROOT, "cgroup", 0, "misc") ? errno : 0;
		if (ret != EBUSY)
			break;
		usleep(10000);
	}
	if (ret) {
		rmdir(ROOT);
		SKIP(return, "cannot mount misc: %s", strerror(ret));
	}

	EXPECT_NE(0, access(ROOT "/ioasids.max", F_OK));
	ASSERT_EQ(0, cg_make(&top));
	ASSERT_EQ(0, cg_make(&below));
	EXPECT_STREQ("max\n", cg_read(&top, "ioasids.max"));
	EXPECT_EQ(EINVAL, cg_write(&top, "ioasids.max", "many"));
	EXPECT_EQ(0, cg_write(&top, "ioasids.max", "2"));
	EXPECT_EQ(2, cg_number(&top, "misc.max", "ioasids"));

	ASSERT_EQ(0, worker_start(&w, &below));
	EXPECT_EQ(0, worker_do(&w, 'a'));
	EXPECT_EQ(0, worker_do(&w, 'a'));
	EXPECT_EQ(EBUSY, worker_do(&w, 'a'));
	EXPECT_EQ(2, cg_current(&top));
	EXPECT_EQ(2, cg_current(&below));
	EXPECT_EQ(1, cg_events(&top));
	EXPECT_EQ(0, cg_events(&below));
	worker_kill(&w);
	EXPECT_EQ(0, cg_current(&top));

	EXPECT_EQ(0, cg_remove(&below));
	EXPECT_EQ(0, cg_remove(&top));
	EXPECT_EQ(0, umount(ROOT));
	rmdir(ROOT);
}

TEST_HARNESS_MAIN
