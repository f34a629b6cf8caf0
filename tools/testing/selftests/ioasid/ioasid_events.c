// SPDX-License-Identifier: GPL-2.0
/*
 * Ids that have users in the kernel: FREE that leaves them pending, the events
 * of read() and poll(), and what subscribers in the kernel see
 *
 * The user in the kernel is the test client (CONFIG_IOASID_TEST).
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

/* In memory that cannot be written */
static const struct ioasid_alloc const_alloc = {
	.size = sizeof(const_alloc),
	.min = 40000,
	.max = 40000,
};

static __attribute__((constructor)) void require_test_client(void)
{
	if (!tc_present())
		ksft_exit_skip("no test client (CONFIG_IOASID_TEST)\n");
}

FIXTURE(events)
{
	int fd;
	char log[8192];
};

FIXTURE_SETUP(events)
{
	self->fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	tc_log(self->log, sizeof(self->log));
}

FIXTURE_TEARDOWN(events)
{
	close(self->fd);
}

static bool readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 && pfd.revents == POLLIN;
}

/* The next event is that @id is gone. */
static bool read_freed(int fd, uint32_t id)
{
	struct ioasid_event_freed event;

	return read(fd, &event, sizeof(event)) == sizeof(event) &&
	       event.header.size == sizeof(event) &&
	       event.header.type == IOASID_EVENT_FREED &&
	       !event.header.flags && event.ioasid == id;
}

/* Free an id that has a user. */
static int free_used(int fd, uint32_t id)
{
	bool pending;
	int ret;

	ret = tc("use %u", id) ?: cmd_free_pending(fd, id, &pending);
	return ret ?: pending ? 0 : -1;
}

TEST_F(events, no_event_when_gone_at_once)
{
	struct ioasid_event_freed event;
	uint32_t id;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_free(self->fd, id));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(-1, read(self->fd, &event, sizeof(event)));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(events, pending_id_is_busy)
{
	struct ioasid_get_info info;
	uint32_t id, other;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_set_spid(self->fd, id, 3));
	ASSERT_EQ(0, free_used(self->fd, id));
	EXPECT_EQ(EBUSY, cmd_free(self->fd, id));
	EXPECT_EQ(EBUSY, cmd_set_spid(self->fd, id, 4));
	EXPECT_EQ(EBUSY, cmd_clear_spid(self->fd, id));
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, id, id, &other));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(1, info.out_allocated);
	EXPECT_EQ(1, info.out_pending);
	EXPECT_FALSE(readable(self->fd));

	/* Its SPID can be used for another one */
	EXPECT_EQ(ENOENT, cmd_find_spid(self->fd, 3, &other));
	ASSERT_EQ(0, cmd_alloc(self->fd, &other));
	EXPECT_EQ(0, cmd_set_spid(self->fd, other, 3));
	EXPECT_EQ(0, tc("unuse %u", id));
}

TEST_F(events, freed_when_the_last_user_lets_go)
{
	struct ioasid_get_info info;
	uint32_t id, again;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, tc("get %u", id));
	ASSERT_EQ(0, free_used(self->fd, id));
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(EBUSY, cmd_free(self->fd, id));
	ASSERT_EQ(0, tc("put %u", id));
	EXPECT_TRUE(readable(self->fd));
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(0, info.out_allocated);
	EXPECT_EQ(0, info.out_pending);
	/* Nothing is left of it when the event is there */
	EXPECT_EQ(0, cmd_alloc_range(self->fd, id, id, &again));
	EXPECT_TRUE(read_freed(self->fd, id));
	EXPECT_FALSE(readable(self->fd));
}

struct letting_go {
	uint32_t id;
	bool go;
	bool end;
};

static void *let_go(void *data)
{
	struct letting_go *l = data;

	while (!__atomic_load_n(&l->end, __ATOMIC_ACQUIRE)) {
		if (!__atomic_load_n(&l->go, __ATOMIC_ACQUIRE))
			continue;
		if (tc("unuse %u", l->id))
			break;
		__atomic_store_n(&l->go, false, __ATOMIC_RELEASE);
	}
	return NULL;
}

/*
 * A number can be allocated again when it is free, which is before the file is
 * told that the old id is gone.  That is no event of the new one.
 */
TEST_F(events, number_that_is_allocated_again_at_once)
{
	struct letting_go l = {};
	pthread_t thread;
	uint32_t again;
	int i, ret;

	ASSERT_EQ(0, cmd_alloc(self->fd, &l.id));
	ASSERT_EQ(0, pthread_create(&thread, NULL, let_go, &l));
	for (i = 0; i < 2000; i++) {
		ASSERT_EQ(0, free_used(self->fd, l.id));
		__atomic_store_n(&l.go, true, __ATOMIC_RELEASE);
		do {
			ret = cmd_alloc_range(self->fd, l.id, l.id, &again);
		} while (ret == ENOSPC);
		ASSERT_EQ(0, ret);
		while (__atomic_load_n(&l.go, __ATOMIC_ACQUIRE))
			;
		EXPECT_TRUE(read_freed(self->fd, l.id));
		EXPECT_FALSE(readable(self->fd));
		ASSERT_EQ(0, cmd_set_spid(self->fd, l.id, 7));
	}
	__atomic_store_n(&l.end, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

TEST_F(events, in_the_order_in_which_they_went)
{
	struct ioasid_event_freed event[4];
	uint32_t id[4];
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, free_used(self->fd, id[i]));
	}
	for (i = 3; i >= 0; i--)
		ASSERT_EQ(0, tc("unuse %u", id[i]));

	/* Whole events only */
	EXPECT_EQ(-1, read(self->fd, event, sizeof(event[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(read_freed(self->fd, id[3]));
	ASSERT_EQ(2 * sizeof(event[0]),
		  read(self->fd, event, 3 * sizeof(event[0]) - 1));
	EXPECT_EQ(id[2], event[0].ioasid);
	EXPECT_EQ(id[1], event[1].ioasid);
	ASSERT_EQ(sizeof(event[0]), read(self->fd, event, sizeof(event)));
	EXPECT_EQ(id[0], event[0].ioasid);
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(events, unwritable_memory_loses_nothing)
{
	uint32_t id;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, free_used(self->fd, id));
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_EQ(-1, read(self->fd, (void *)&const_alloc, 16));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(read_freed(self->fd, id));
}

struct reader {
	int fd;
	uint32_t id;
	bool ok;
};

static void *read_one(void *data)
{
	struct reader *r = data;

	r->ok = read_freed(r->fd, r->id);
	return NULL;
}

TEST_F(events, read_waits)
{
	struct reader r = { .fd = dev_open() };
	pthread_t thread;

	ASSERT_EQ(0, cmd_alloc(r.fd, &r.id));
	ASSERT_EQ(0, free_used(r.fd, r.id));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	usleep(50000);
	EXPECT_FALSE(r.ok);
	ASSERT_EQ(0, tc("unuse %u", r.id));
	pthread_join(thread, NULL);
	EXPECT_TRUE(r.ok);
	close(r.fd);
}

static void on_signal(int sig)
{
}

TEST_F(events, read_is_interrupted_by_a_signal)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct ioasid_event_freed event;
	int fd = dev_open();

	sigaction(SIGALRM, &sa, NULL);
	ualarm(50000, 0);
	EXPECT_EQ(-1, read(fd, &event, sizeof(event)));
	EXPECT_EQ(EINTR, errno);
	close(fd);
}

TEST_F(events, poll_waits)
{
	struct pollfd pfd = { .fd = self->fd, .events = POLLIN };
	uint32_t id;

	/* "hold" lets go a little after FREE, as a driver does */
	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, tc("hold %u", id));
	if (cmd_free(self->fd, id) == EINPROGRESS) {
		EXPECT_EQ(1, poll(&pfd, 1, -1));
		EXPECT_EQ(POLLIN, pfd.revents);
		EXPECT_TRUE(read_freed(self->fd, id));
	}
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));
}

TEST_F(events, many_drivers_let_go)
{
	uint32_t id[100], waiting = 0, i;
	struct pollfd pfd = { .fd = self->fd, .events = POLLIN };
	struct ioasid_event_freed event;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, tc("hold %u", id[i]));
	}
	for (i = 0; i < 100; i++) {
		int ret = cmd_free(self->fd, id[i]);

		ASSERT_TRUE(!ret || ret == EINPROGRESS);
		waiting += ret == EINPROGRESS;
	}
	/* One event for each that was pending, and no other */
	while (waiting) {
		ASSERT_EQ(1, poll(&pfd, 1, -1));
		ASSERT_EQ(sizeof(event), read(self->fd, &event, sizeof(event)));
		ASSERT_EQ(IOASID_EVENT_FREED, event.header.type);
		waiting--;
	}
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(0, nr_allocated(self->fd));
}

TEST_F(events, freed_by_the_kernel)
{
	uint32_t id;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, tc("free %u", id));
	EXPECT_TRUE(read_freed(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));

	/* First the kernel, then the user, then it goes: one event */
	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, tc("use %u", id));
	ASSERT_EQ(0, tc("free %u", id));
	EXPECT_EQ(EBUSY, cmd_set_spid(self->fd, id, 1));
	EXPECT_EQ(EINPROGRESS, cmd_free(self->fd, id));
	EXPECT_FALSE(readable(self->fd));
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_TRUE(read_freed(self->fd, id));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(0, nr_allocated(self->fd));
}

TEST_F(events, overflow_is_told)
{
	struct ioasid_event_freed event;
	struct ioasid_event_lost lost;
	uint32_t id[400], nr = 0, i;

	for (i = 0; i < 400; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, free_used(self->fd, id[i]));
	}
	for (i = 0; i < 400; i++)
		ASSERT_EQ(0, tc("unuse %u", id[i]));

	for (;;) {
		ASSERT_EQ(sizeof(event), read(self->fd, &event, sizeof(event)));
		if (event.header.type != IOASID_EVENT_FREED)
			break;
		ASSERT_EQ(id[nr], event.ioasid);
		nr++;
	}
	ASSERT_EQ(sizeof(lost), sizeof(event));
	memcpy(&lost, &event, sizeof(lost));
	EXPECT_EQ(IOASID_EVENT_LOST, lost.header.type);
	EXPECT_EQ(sizeof(lost), lost.header.size);
	EXPECT_EQ(400, nr + lost.count);
	EXPECT_LE(100, nr);
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(0, nr_allocated(self->fd));

	/* And goes on as before */
	ASSERT_EQ(0, cmd_alloc(self->fd, &id[0]));
	ASSERT_EQ(0, free_used(self->fd, id[0]));
	ASSERT_EQ(0, tc("unuse %u", id[0]));
	EXPECT_TRUE(read_freed(self->fd, id[0]));
}

TEST_F(events, lost_has_its_place)
{
	struct ioasid_event_freed event;
	uint32_t id[300], i, lost = 0, seen = 0;

	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, free_used(self->fd, id[i]));
	}
	for (i = 0; i < 290; i++)
		ASSERT_EQ(0, tc("unuse %u", id[i]));
	/* Room for a few that come after the loss */
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(read_freed(self->fd, id[i]));
		seen++;
	}
	for (i = 290; i < 300; i++)
		ASSERT_EQ(0, tc("unuse %u", id[i]));
	while (read(self->fd, &event, sizeof(event)) == sizeof(event)) {
		if (event.header.type == IOASID_EVENT_LOST) {
			ASSERT_EQ(0, lost);
			lost = event.ioasid;
			seen += lost;
		} else {
			ASSERT_EQ(id[seen], event.ioasid);
			seen++;
		}
	}
	EXPECT_LT(0, lost);
	EXPECT_EQ(300, seen);
}

TEST_F(events, close_does_not_wait_for_users)
{
	uint32_t id, again;
	int fd = dev_open();

	ASSERT_EQ(0, cmd_alloc(fd, &id));
	ASSERT_EQ(0, tc("use %u", id));
	close(fd);
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, id, id, &again));
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, id, id, &again));
	/* The event of the closed file does not come to this one */
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(events, close_while_drivers_let_go)
{
	uint32_t id;
	int i, j, fd;

	for (i = 0; i < 20; i++) {
		fd = dev_open();
		for (j = 0; j < 20; j++) {
			ASSERT_EQ(0, cmd_alloc(fd, &id));
			ASSERT_EQ(0, tc("hold %u", id));
			if (j & 1)
				cmd_free(fd, id);
		}
		close(fd);
	}
}

/* Subscribers by mm, in order of priority, whatever the order of subscribing */
TEST_F(events, subscribers_are_told_in_order)
{
	uint32_t id;
	char want[1024];

	ASSERT_EQ(0, tc("sub last mm last"));
	ASSERT_EQ(0, tc("sub iommu mm iommu"));
	ASSERT_EQ(0, tc("sub cpu mm cpu"));
	ASSERT_EQ(0, tc("sub device mm device"));
	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_set_spid(self->fd, id, 5));
	ASSERT_EQ(0, cmd_clear_spid(self->fd, id));
	ASSERT_EQ(0, cmd_set_spid(self->fd, id, 6));
	ASSERT_EQ(0, cmd_free(self->fd, id));
	ASSERT_EQ(0, tc_log(self->log, sizeof(self->log)));
	snprintf(want, sizeof(want),
		 "cpu ALLOC id=%1$u\niommu ALLOC id=%1$u\n"
		 "device ALLOC id=%1$u\nlast ALLOC id=%1$u\n"
		 "cpu BIND id=%1$u spid=5\niommu BIND id=%1$u spid=5\n"
		 "device BIND id=%1$u spid=5\nlast BIND id=%1$u spid=5\n"
		 "cpu UNBIND id=%1$u spid=5\niommu UNBIND id=%1$u spid=5\n"
		 "device UNBIND id=%1$u spid=5\nlast UNBIND id=%1$u spid=5\n"
		 "cpu BIND id=%1$u spid=6\niommu BIND id=%1$u spid=6\n"
		 "device BIND id=%1$u spid=6\nlast BIND id=%1$u spid=6\n"
		 "cpu FREE id=%1$u spid=6\niommu FREE id=%1$u spid=6\n"
		 "device FREE id=%1$u spid=6\nlast FREE id=%1$u spid=6\n", id);
	EXPECT_STREQ(want, self->log);
	EXPECT_EQ(0, tc("unsub last"));
	EXPECT_EQ(0, tc("unsub iommu"));
	EXPECT_EQ(0, tc("unsub cpu"));
	EXPECT_EQ(0, tc("unsub device"));
}

TEST_F(events, late_subscriber_gets_a_replay)
{
	char want[1024];
	uint32_t a, b;
	int fd;

	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_set_spid(self->fd, a, 8));
	ASSERT_EQ(0, tc("sub late mm cpu"));
	/* A file opened after subscribing is told of as well */
	fd = dev_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cmd_alloc(fd, &b));
	close(fd);
	ASSERT_EQ(0, tc_log(self->log, sizeof(self->log)));
	snprintf(want, sizeof(want),
		 "late ALLOC id=%1$u\nlate BIND id=%1$u spid=8\n"
		 "late ALLOC id=%2$u\nlate FREE id=%2$u\n", a, b);
	EXPECT_STREQ(want, self->log);
	EXPECT_EQ(0, tc("unsub late"));
}

/* An ALLOC that cannot tell its number is undone, and subscribers know. */
TEST_F(events, failed_copy_is_alloc_then_free)
{
	uint32_t id;

	ASSERT_EQ(0, tc("sub watch mm cpu"));
	EXPECT_EQ(EFAULT, cmd(self->fd, IOASID_ALLOC, (void *)&const_alloc));
	ASSERT_EQ(0, tc_log(self->log, sizeof(self->log)));
	EXPECT_STREQ("watch ALLOC id=40000\nwatch FREE id=40000\n", self->log);
	EXPECT_EQ(0, tc("unsub watch"));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, 40000, 40000, &id));
	EXPECT_FALSE(readable(self->fd));
}

TEST_HARNESS_MAIN
