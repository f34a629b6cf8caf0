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
#include <sys/mman.h>

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

/* The next event is that what was allocated with @cookie is gone. */
static bool read_cookie(int fd, uint32_t id, uint64_t cookie)
{
	struct ioasid_event_freed event;

	return read(fd, &event, sizeof(event)) == sizeof(event) &&
	       event.header.type == IOASID_EVENT_FREED &&
	       event.ioasid == id && event.cookie == cookie;
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
 * told that the old id is gone. That is no event of the new one.
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
	EXPECT_EQ(-1, read(self->fd, (void *)&const_alloc, sizeof(const_alloc)));
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

/* However late they are read: an id that is gone is its own event. */
TEST_F(events, none_is_lost)
{
	const uint32_t nr = 1000;
	uint32_t i, *id = calloc(nr, sizeof(*id));

	ASSERT_NE(NULL, id);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id[i]));
		ASSERT_EQ(0, free_used(self->fd, id[i]));
	}
	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, tc("unuse %u", id[i]));
	EXPECT_EQ(0, nr_allocated(self->fd));
	for (i = 0; i < nr; i++)
		ASSERT_TRUE(read_freed(self->fd, id[i]));
	EXPECT_FALSE(readable(self->fd));
	free(id);
}

TEST_F(events, close_with_unread_events)
{
	uint32_t id;
	int i, fd;

	fd = dev_open();
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, cmd_alloc(fd, &id));
		ASSERT_EQ(0, free_used(fd, id));
		ASSERT_EQ(0, tc("unuse %u", id));
	}
	EXPECT_TRUE(readable(fd));
	close(fd);
}

/* A number is used again, a cookie says which id is meant. */
TEST_F(events, cookie_tells_ids_of_the_same_number_apart)
{
	const uint64_t a = 0x123456789abcdef0, b = UINT64_MAX;
	uint64_t cookie;
	uint32_t id, state;

	ASSERT_EQ(0, cmd_alloc_cookie(self->fd, 9000, 9000, a, &id));
	ASSERT_EQ(0, cmd_query(self->fd, 9000, &state, &cookie));
	EXPECT_EQ(a, cookie);
	ASSERT_EQ(0, free_used(self->fd, 9000));
	ASSERT_EQ(0, tc("unuse 9000"));
	ASSERT_EQ(0, cmd_alloc_cookie(self->fd, 9000, 9000, b, &id));
	ASSERT_EQ(0, cmd_query(self->fd, 9000, &state, &cookie));
	EXPECT_EQ(b, cookie);
	ASSERT_EQ(0, tc("free 9000"));
	EXPECT_TRUE(read_cookie(self->fd, 9000, a));
	EXPECT_TRUE(read_cookie(self->fd, 9000, b));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(events, query_changes_nothing)
{
	uint32_t id, state;
	uint64_t cookie;
	int i, other;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, cmd_query(self->fd, id, &state, &cookie));
		EXPECT_EQ(IOASID_STATE_LIVE, state);
		EXPECT_EQ(0, cookie);
	}
	EXPECT_EQ(ENOENT, cmd_query(self->fd, id + 1, &state, &cookie));
	other = dev_open();
	EXPECT_EQ(ENOENT, cmd_query(other, id, &state, &cookie));
	close(other);

	ASSERT_EQ(0, free_used(self->fd, id));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, cmd_query(self->fd, id, &state, &cookie));
		EXPECT_EQ(IOASID_STATE_FREEING, state);
	}
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_EQ(ENOENT, cmd_query(self->fd, id, &state, &cookie));
	EXPECT_TRUE(read_freed(self->fd, id));

	/* Freed by the kernel */
	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, tc("use %u", id));
	ASSERT_EQ(0, tc("free %u", id));
	EXPECT_EQ(0, cmd_query(self->fd, id, &state, &cookie));
	EXPECT_EQ(IOASID_STATE_FREEING, state);
	ASSERT_EQ(0, tc("unuse %u", id));
	EXPECT_TRUE(read_freed(self->fd, id));
}

/* A thread that does one thing of the test client's when it is told to */
struct doer {
	pthread_t thread;
	const char *what;
	int fd;
	bool go;
	bool busy;
	bool end;
	/* How often it succeeded */
	unsigned int done;
};

static void *do_it(void *data)
{
	struct doer *d = data;
	ssize_t len = strlen(d->what);

	while (!__atomic_load_n(&d->end, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&d->busy, true, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&d->go, __ATOMIC_SEQ_CST) &&
		    write(d->fd, d->what, len) == len)
			d->done++;
		__atomic_store_n(&d->busy, false, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static int doer_start(struct doer *d, const char *what)
{
	*d = (struct doer) { .what = what };
	d->fd = open(TC_DIR "/command", O_WRONLY | O_CLOEXEC);
	return pthread_create(&d->thread, NULL, do_it, d);
}

static void doer_go(struct doer *d)
{
	__atomic_store_n(&d->go, true, __ATOMIC_SEQ_CST);
}

/* Nothing is under way when it returns. */
static void doer_stop(struct doer *d)
{
	__atomic_store_n(&d->go, false, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&d->busy, __ATOMIC_SEQ_CST))
		;
	while (__atomic_load_n(&d->busy, __ATOMIC_SEQ_CST))
		;
}

static void doer_end(struct doer *d)
{
	__atomic_store_n(&d->end, true, __ATOMIC_SEQ_CST);
	pthread_join(d->thread, NULL);
	close(d->fd);
}

/* Enough for some on each side; a kernel under KASAN needs milliseconds for one */
#define RACES	1000

/*
 * The kernel frees an id while ALLOC is about to return it. It is there, or its
 * event is.
 */
TEST_F(events, freed_while_alloc_returns)
{
	unsigned int i, freed = 0;
	struct doer d;
	uint32_t id;

	ASSERT_EQ(0, doer_start(&d, "free 60000"));
	for (i = 0; i < RACES; i++) {
		doer_go(&d);
		ASSERT_EQ(0, cmd_alloc_range(self->fd, 60000, 60000, &id));
		doer_stop(&d);
		if (readable(self->fd)) {
			ASSERT_TRUE(read_freed(self->fd, 60000));
			ASSERT_EQ(ENOENT, cmd_free(self->fd, 60000));
			freed++;
		} else {
			ASSERT_EQ(0, cmd_set_spid(self->fd, 60000, 1));
			ASSERT_EQ(0, cmd_free(self->fd, 60000));
		}
		ASSERT_EQ(0, nr_allocated(self->fd));
		ASSERT_FALSE(readable(self->fd));
	}
	doer_end(&d);
	TH_LOG("the kernel freed %u of %u", freed, i);
}

/* A driver that begins to use an id while it is freed has it, or has not. */
TEST_F(events, freed_while_a_driver_takes_it)
{
	struct pollfd pfd = { .fd = self->fd, .events = POLLIN };
	unsigned int i, k, pending = 0;
	struct doer d;
	uint32_t id;
	int ret;

	ASSERT_EQ(0, doer_start(&d, "hold 60002"));
	for (i = 0; i < RACES; i++) {
		doer_go(&d);
		ASSERT_EQ(0, cmd_alloc_range(self->fd, 60002, 60002, &id));
		for (k = 0; k < (i % 64) * 20; k++)
			__asm__ volatile ("" ::: "memory");
		ret = cmd_free(self->fd, id);
		doer_stop(&d);
		ASSERT_TRUE(!ret || ret == EINPROGRESS);
		if (ret) {
			ASSERT_EQ(1, poll(&pfd, 1, -1));
			ASSERT_TRUE(read_freed(self->fd, id));
			pending++;
		}
		ASSERT_EQ(0, nr_allocated(self->fd));
		ASSERT_FALSE(readable(self->fd));
	}
	doer_end(&d);
	TH_LOG("%u of %u had a driver", pending, i);
}

/* The page that ALLOC writes to, made constant in the middle of it */
struct flipper {
	pthread_t thread;
	char *page;
	bool end;
};

static void *flip(void *data)
{
	struct flipper *f = data;

	while (!__atomic_load_n(&f->end, __ATOMIC_RELAXED)) {
		mprotect(f->page, 4096, PROT_READ);
		mprotect(f->page, 4096, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* No event of an id that the file was never given, though it has users */
TEST_F(events, no_event_of_an_unknown_id)
{
	struct ioasid_alloc *alloc;
	struct flipper f = {};
	struct doer d;
	uint32_t i, ret, failed = 0;

	f.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, f.page);
	alloc = (void *)f.page;
	*alloc = (struct ioasid_alloc) {
		.size = sizeof(*alloc),
		.min = 60001,
		.max = 60001,
	};
	ASSERT_EQ(0, pthread_create(&f.thread, NULL, flip, &f));
	ASSERT_EQ(0, doer_start(&d, "use 60001"));
	for (i = 0; i < RACES / 4; i++) {
		d.done = 0;
		doer_go(&d);
		ret = cmd(self->fd, IOASID_ALLOC, alloc);
		doer_stop(&d);
		if (!ret) {
			bool pending;

			ASSERT_EQ(0, cmd_free_pending(self->fd, 60001,
						      &pending));
			ASSERT_EQ(d.done > 0, pending);
		} else {
			ASSERT_EQ(EFAULT, ret);
			ASSERT_EQ(ENOENT, cmd_free(self->fd, 60001));
			failed += d.done > 0;
		}
		while (d.done) {
			ASSERT_EQ(0, tc("unuse 60001"));
			d.done--;
			if (!d.done && !ret)
				ASSERT_TRUE(read_freed(self->fd, 60001));
		}
		ASSERT_EQ(0, nr_allocated(self->fd));
		ASSERT_FALSE(readable(self->fd));
	}
	__atomic_store_n(&f.end, true, __ATOMIC_RELAXED);
	pthread_join(f.thread, NULL);
	doer_end(&d);
	TH_LOG("%u failed and had a user", failed);
	munmap(f.page, 4096);
}

struct spid_setter {
	pthread_t thread;
	int fd;
	uint32_t id;
	bool go;
	bool end;
};

static void *set_spid_5(void *data)
{
	struct spid_setter *s = data;

	while (!__atomic_load_n(&s->end, __ATOMIC_ACQUIRE)) {
		if (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
			continue;
		cmd_set_spid(s->fd, s->id, 5);
		__atomic_store_n(&s->go, false, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The SPID of an id is free when FREE, or CLEAR_SPID, has returned. */
TEST_F(events, spid_can_be_used_again_at_once)
{
	struct spid_setter s = { .fd = self->fd };
	uint32_t other;
	int i, k, ret;

	/* Subscribers, so that delivering takes time */
	for (i = 0; i < 12; i++)
		ASSERT_EQ(0, tc("sub w%d all last", i));
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, set_spid_5, &s));
	for (i = 0; i < RACES / 4; i++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &s.id));
		ASSERT_EQ(0, cmd_alloc(self->fd, &other));
		__atomic_store_n(&s.go, true, __ATOMIC_RELEASE);
		for (k = 0; k < (i % 64) * 40; k++)
			__asm__ volatile ("" ::: "memory");
		if (i % 2) {
			ASSERT_EQ(0, cmd_free(self->fd, s.id));
		} else {
			ret = cmd_clear_spid(self->fd, s.id);
			ASSERT_TRUE(!ret || ret == ENOENT);
			if (ret)
				ASSERT_EQ(0, cmd_free(self->fd, s.id));
		}
		ASSERT_EQ(0, cmd_set_spid(self->fd, other, 5)) {
			TH_LOG("round %d", i);
		}
		while (__atomic_load_n(&s.go, __ATOMIC_ACQUIRE))
			;
		ASSERT_EQ(0, cmd_free(self->fd, other));
		cmd_free(self->fd, s.id);
		if (i % 100 == 0)
			tc_log(self->log, sizeof(self->log));
	}
	__atomic_store_n(&s.end, true, __ATOMIC_RELEASE);
	pthread_join(s.thread, NULL);
	for (i = 0; i < 12; i++)
		EXPECT_EQ(0, tc("unsub w%d", i));
	while (!tc_log(self->log, sizeof(self->log)) && *self->log)
		;
}

struct feeder {
	pthread_t thread;
	int fd;
	uint32_t id;
	uint32_t spid;
	unsigned int set;
	unsigned int errors;
};

static void *feed(void *data)
{
	struct feeder *f = data;
	int i, ret;

	for (i = 0; i < RACES / 4; i++) {
		ret = cmd_set_spid(f->fd, f->id, f->spid++);
		f->set += !ret;
		f->errors += ret && ret != EEXIST;
		ret = cmd_clear_spid(f->fd, f->id);
		f->errors += ret && ret != ENOENT;
	}
	return NULL;
}

/* Nobody is refused, or kept, because others do the same with the same id. */
TEST_F(events, threads_set_and_clear_the_same_id)
{
	struct feeder f[4] = {};
	uint32_t id, found;
	unsigned int i, set = 0;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	for (i = 0; i < 4; i++) {
		f[i] = (struct feeder) {
			.fd = self->fd,
			.id = id,
			.spid = 1 + i * RACES,
		};
		ASSERT_EQ(0, pthread_create(&f[i].thread, NULL, feed, &f[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(f[i].thread, NULL);
		EXPECT_EQ(0, f[i].errors);
		set += f[i].set;
	}
	TH_LOG("%u times", set);
	EXPECT_EQ(0, cmd_set_spid(self->fd, id, 3));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 3, &found));
	EXPECT_EQ(id, found);
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
	/* A file opened after subscribing is notified of as well */
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

static int sub_by_file(int fd)
{
	int ret = tc("sub passed %d cpu", fd) ?: tc("sub own mm cpu");

	/* Twice is refused, and changes nothing */
	if (!ret && tc("sub passed %d cpu", fd) != EEXIST)
		ret = -1;
	return ret;
}

/*
 * Who is given the file subscribes to it, another address space than that of who
 * opened it; subscribing by its own mm it hears nothing.
 */
TEST_F(events, passed_file_is_subscribed_to)
{
	uint32_t a, b;
	char want[1024];
	int status;
	pid_t pid;

	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_set_spid(self->fd, a, 8));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(sub_by_file(self->fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, cmd_alloc(self->fd, &b));
	ASSERT_EQ(0, cmd_free(self->fd, a));
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, tc_log(self->log, sizeof(self->log)));
	snprintf(want, sizeof(want),
		 "passed ALLOC id=%1$u\npassed BIND id=%1$u spid=8\n"
		 "passed ALLOC id=%2$u\npassed FREE id=%1$u spid=8\n"
		 "passed FREE id=%2$u\n", a, b);
	EXPECT_STREQ(want, self->log);
	EXPECT_EQ(0, tc("unsub passed"));
	EXPECT_EQ(0, tc("unsub own"));
}

TEST_F(events, other_files_are_not_subscribed_to)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, null);
	EXPECT_EQ(EBADF, tc("sub no %d cpu", null));
	EXPECT_EQ(EBADF, tc("sub no 9999 cpu"));
	EXPECT_EQ(ENOENT, tc("unsub no"));
	close(null);
}

/* An ALLOC that cannot tell its number has not happened: nobody hears of it. */
TEST_F(events, failed_copy_is_no_event)
{
	uint32_t id;

	ASSERT_EQ(0, tc("sub watch mm cpu"));
	EXPECT_EQ(EFAULT, cmd(self->fd, IOASID_ALLOC, (void *)&const_alloc));
	ASSERT_EQ(0, tc_log(self->log, sizeof(self->log)));
	EXPECT_STREQ("", self->log);
	EXPECT_EQ(0, tc("unsub watch"));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, 40000, 40000, &id));
	EXPECT_FALSE(readable(self->fd));
}

TEST_HARNESS_MAIN
