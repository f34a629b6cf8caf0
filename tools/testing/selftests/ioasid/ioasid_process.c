// SPDX-License-Identifier: GPL-2.0
/*
 * Files of /dev/ioasid in the hands of several processes: fork, exec, threads,
 * SCM_RIGHTS, kill -9, and races on one file
 */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define EXEC_ENV	"IOASID_TEST_EXEC"

/* After exec: use the file and the id that the environment names. */
static __attribute__((constructor)) void exec_child(void)
{
	const char *env = getenv(EXEC_ENV);
	uint32_t id, found;
	int fd, ret;

	if (!env)
		return;
	if (sscanf(env, "%d %u", &fd, &id) != 2)
		_exit(100);
	ret = cmd_find_spid(fd, 9, &found);
	if (ret == EBADF)
		_exit(104);
	if (ret || found != id)
		_exit(101);
	if (cmd_free(fd, id))
		_exit(102);
	if (cmd_alloc(fd, &id))
		_exit(103);
	_exit(0);
}

static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static int send_fd(int sock, int fd)
{
	char data = 0, control[CMSG_SPACE(sizeof(int))] = { };
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char data, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

FIXTURE(process)
{
	int fd;
	int sock[2];
};

FIXTURE_SETUP(process)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sock));
}

FIXTURE_TEARDOWN(process)
{
	close(self->fd);
	close(self->sock[0]);
	close(self->sock[1]);
}

TEST_F(process, forked_child_has_the_same_ids)
{
	uint32_t a, b, found;
	pid_t pid;

	ASSERT_EQ(0, cmd_alloc(self->fd, &a));
	ASSERT_EQ(0, cmd_set_spid(self->fd, a, 1));
	pid = fork();
	if (!pid) {
		if (cmd_find_spid(self->fd, 1, &found) || found != a)
			_exit(1);
		if (cmd_alloc(self->fd, &b) || cmd_set_spid(self->fd, b, 2))
			_exit(2);
		if (cmd_free(self->fd, a))
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(0, wait_for(pid));
	/* What the child allocated outlives it, as the file does */
	EXPECT_EQ(1, nr_allocated(self->fd));
	EXPECT_EQ(ENOENT, cmd_free(self->fd, a));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 2, &found));
	EXPECT_EQ(0, cmd_free(self->fd, found));
}

TEST_F(process, file_lives_as_long_as_a_child_has_it)
{
	uint32_t id, other;
	int probe;
	pid_t pid;
	char c;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	pid = fork();
	if (!pid) {
		if (read(self->sock[1], &c, 1) != 1)
			_exit(1);
		_exit(cmd_free(self->fd, id));
	}
	close(self->fd);
	probe = dev_open();
	EXPECT_EQ(ENOSPC, cmd_alloc_range(probe, id, id, &other));
	ASSERT_EQ(1, write(self->sock[0], "x", 1));
	ASSERT_EQ(0, wait_for(pid));
	EXPECT_EQ(0, cmd_alloc_range(probe, id, id, &other));
	self->fd = probe;
}

TEST_F(process, exec_keeps_the_file)
{
	char env[64];
	uint32_t id;
	pid_t pid;

	ASSERT_EQ(0, cmd_alloc(self->fd, &id));
	ASSERT_EQ(0, cmd_set_spid(self->fd, id, 9));
	snprintf(env, sizeof(env), EXEC_ENV "=%d %u", self->fd, id);
	pid = fork();
	if (!pid) {
		char *argv[] = { "exec", NULL };
		char *envp[] = { env, NULL };

		fcntl(self->fd, F_SETFD, 0);
		execve("/proc/self/exe", argv, envp);
		_exit(99);
	}
	ASSERT_EQ(0, wait_for(pid));
	/* One was freed and one allocated */
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(process, close_on_exec_frees)
{
	uint32_t id, again;
	char env[64];
	pid_t pid;
	int fd;

	pid = fork();
	if (!pid) {
		char *argv[] = { "true", NULL };
		char *envp[] = { env, NULL };

		fd = dev_open();
		if (cmd_alloc_range(fd, 6000, 6000, &id) ||
		    cmd_set_spid(fd, id, 9))
			_exit(1);
		snprintf(env, sizeof(env), EXEC_ENV "=%d %u", fd, id);
		execve("/proc/self/exe", argv, envp);
		_exit(99);
	}
	/* The new program has no such descriptor: it would find the SPID. */
	ASSERT_EQ(104, wait_for(pid));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, 6000, 6000, &again));
}

TEST_F(process, file_works_after_its_opener_died)
{
	uint32_t id, found;
	pid_t pid;
	int fd;

	pid = fork();
	if (!pid) {
		fd = dev_open();
		if (cmd_alloc(fd, &id) || cmd_set_spid(fd, id, 4))
			_exit(1);
		_exit(send_fd(self->sock[1], fd) ? 2 : 0);
	}
	ASSERT_EQ(0, wait_for(pid));
	fd = receive_fd(self->sock[0]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, nr_allocated(fd));
	EXPECT_EQ(0, cmd_find_spid(fd, 4, &found));
	EXPECT_EQ(0, cmd_alloc(fd, &id));
	EXPECT_EQ(0, cmd_free(fd, found));
	EXPECT_EQ(0, cmd_free(fd, id));
	close(fd);
}

TEST_F(process, file_in_flight_is_freed_with_the_socket)
{
	uint32_t id, again;
	int fd;

	fd = dev_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cmd_alloc_range(fd, 7000, 7000, &id));
	ASSERT_EQ(0, send_fd(self->sock[1], fd));
	close(fd);
	EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 7000, 7000, &again));
	close(self->sock[0]);
	close(self->sock[1]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sock));
	EXPECT_EQ(0, cmd_alloc_range(self->fd, 7000, 7000, &again));
}

TEST_F(process, killed_process_leaves_nothing)
{
	int i, fd, status;
	uint32_t id, last;
	pid_t pid;

	for (i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			fd = dev_open();
			id = 0;
			while (!cmd_alloc_range(fd, 10000, 10999, &last)) {
				cmd_set_spid(fd, last, last);
				id = last;
			}
			if (id != 10999)
				_exit(1);
			if (write(self->sock[1], "x", 1) != 1)
				_exit(2);
			for (;;)
				pause();
		}
		ASSERT_EQ(1, read(self->sock[0], &status, 1));
		EXPECT_EQ(ENOSPC, cmd_alloc_range(self->fd, 10000, 10999, &id));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	for (i = 10000; i < 11000; i++) {
		ASSERT_EQ(0, cmd_alloc_range(self->fd, 10000, 10999, &id));
		ASSERT_EQ(i, id);
	}
}

TEST_F(process, killed_in_the_middle_leaves_nothing)
{
	int i, fd, status;
	uint32_t id;
	pid_t pid;

	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			fd = dev_open();
			if (write(self->sock[1], "x", 1) != 1)
				_exit(2);
			for (;;) {
				cmd_alloc_range(fd, 20000, 20099, &id);
				cmd_set_spid(fd, id, id);
				cmd_free(fd, id);
			}
		}
		ASSERT_EQ(1, read(self->sock[0], &status, 1));
		usleep(1000 * (i % 5));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, cmd_alloc_range(self->fd, 20000, 20099, &id));
}

#define NR_THREADS	4
#define NR_ROUNDS	2000

struct thread {
	pthread_t thread;
	int fd;
	unsigned int nr;
	uint32_t id;
	unsigned int errors;
	unsigned int freed;
};

/* Ids that a thread has belong to nobody else. */
static void *own_ids(void *data)
{
	struct thread *t = data;
	uint32_t id[8], found;
	int i, j;

	for (i = 0; i < NR_ROUNDS / 8; i++) {
		for (j = 0; j < 8; j++) {
			uint32_t spid = 100 * t->nr + j;

			t->errors += !!cmd_alloc(t->fd, &id[j]);
			t->errors += !!cmd_set_spid(t->fd, id[j], spid);
			t->errors += !!cmd_find_spid(t->fd, spid, &found);
			t->errors += found != id[j];
		}
		for (j = 0; j < 8; j++)
			t->errors += !!cmd_free(t->fd, id[j]);
	}
	return NULL;
}

TEST_F(process, threads_get_ids_of_their_own)
{
	struct thread t[NR_THREADS] = { };
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		t[i].fd = self->fd;
		t[i].nr = i + 1;
		ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, own_ids, &t[i]));
	}
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(t[i].thread, NULL);
		EXPECT_EQ(0, t[i].errors);
	}
	EXPECT_EQ(0, nr_allocated(self->fd));
}

static pthread_barrier_t barrier;

static void *free_one(void *data)
{
	struct thread *t = data;
	bool pending;
	int ret;

	pthread_barrier_wait(&barrier);
	ret = cmd_free_pending(t->fd, t->id, &pending);
	if (!ret)
		t->freed++;
	else if (ret != ENOENT && ret != EBUSY)
		t->errors++;
	return NULL;
}

TEST_F(process, one_of_many_frees_succeeds)
{
	struct thread t[NR_THREADS] = { };
	unsigned int freed;
	uint32_t id;
	int i, round;

	pthread_barrier_init(&barrier, NULL, NR_THREADS);
	for (round = 0; round < 50; round++) {
		ASSERT_EQ(0, cmd_alloc(self->fd, &id));
		for (i = 0; i < NR_THREADS; i++) {
			t[i] = (struct thread) { .fd = self->fd, .id = id };
			ASSERT_EQ(0, pthread_create(&t[i].thread, NULL,
						    free_one, &t[i]));
		}
		freed = 0;
		for (i = 0; i < NR_THREADS; i++) {
			pthread_join(t[i].thread, NULL);
			EXPECT_EQ(0, t[i].errors);
			freed += t[i].freed;
		}
		ASSERT_EQ(1, freed);
		ASSERT_EQ(0, nr_allocated(self->fd));
	}
	pthread_barrier_destroy(&barrier);
}

/* Everything at random on few ids; only the errno is checked. */
static int race(int fd, unsigned int seed, uint32_t base)
{
	uint32_t id, found;
	bool pending;
	int i, ret;

	for (i = 0; i < NR_ROUNDS; i++) {
		id = base + rand_r(&seed) % 4;
		switch (rand_r(&seed) % 5) {
		case 0:
			ret = cmd_alloc_range(fd, id, id, &found);
			if (ret && ret != ENOSPC)
				return 1;
			if (!ret && found != id)
				return 2;
			break;
		case 1:
			ret = cmd_free_pending(fd, id, &pending);
			if (ret && ret != ENOENT && ret != EBUSY)
				return 3;
			break;
		case 2:
			ret = cmd_set_spid(fd, id, rand_r(&seed) % 4);
			if (ret && ret != ENOENT && ret != EEXIST &&
			    ret != EBUSY)
				return 4;
			break;
		case 3:
			ret = cmd_clear_spid(fd, id);
			if (ret && ret != ENOENT && ret != EBUSY)
				return 5;
			break;
		default:
			ret = cmd_find_spid(fd, rand_r(&seed) % 4, &found);
			if (ret && ret != ENOENT)
				return 6;
			if (!ret && (found < base || found >= base + 4))
				return 7;
		}
	}
	return 0;
}

TEST_F(process, two_processes_race_on_one_file)
{
	pid_t pid[2];
	uint32_t id;
	int i;

	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(race(self->fd, i + 1, 30000));
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, wait_for(pid[i]));
	close(self->fd);
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, cmd_alloc_range(self->fd, 30000 + i, 30000 + i,
					     &id));
}

static void *race_until_closed(void *data)
{
	struct thread *t = data;
	unsigned int seed = t->nr;
	uint32_t id, found;
	bool pending;
	int ret = 0;

	while (ret != EBADF) {
		id = 31000 + rand_r(&seed) % 4;
		switch (rand_r(&seed) % 4) {
		case 0:
			ret = cmd_alloc_range(t->fd, id, id, &found);
			break;
		case 1:
			ret = cmd_free_pending(t->fd, id, &pending);
			break;
		case 2:
			ret = cmd_set_spid(t->fd, id, rand_r(&seed) % 4);
			break;
		default:
			ret = cmd_clear_spid(t->fd, id);
		}
	}
	return NULL;
}

/* The last reference to the file is that of a thread that is in a command. */
TEST_F(process, close_races_with_commands)
{
	struct thread t[NR_THREADS] = { };
	uint32_t id;
	int i, j, fd;

	for (i = 0; i < 50; i++) {
		fd = dev_open();
		ASSERT_LE(0, fd);
		for (j = 0; j < NR_THREADS; j++) {
			t[j] = (struct thread) { .fd = fd, .nr = i + j };
			ASSERT_EQ(0, pthread_create(&t[j].thread, NULL,
						    race_until_closed, &t[j]));
		}
		usleep(200 * (i % 7));
		close(fd);
		for (j = 0; j < NR_THREADS; j++)
			pthread_join(t[j].thread, NULL);
		/* All are back, though nobody has freed them */
		for (j = 0; j < 4; j++)
			ASSERT_EQ(0, cmd_alloc_range(self->fd, 31000 + j,
						     31000 + j, &id));
		for (j = 0; j < 4; j++)
			ASSERT_EQ(0, cmd_free(self->fd, 31000 + j));
	}
}

TEST_HARNESS_MAIN
