/* SPDX-License-Identifier: GPL-2.0 */
/* For programs of the guest that test SVA with several processes: children that talk, a cgroup that counts PASIDs */
#ifndef SVA_USER_H
#define SVA_USER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "dsa-user.h"
#include "kernel-log.h"
#include "tap-fault.h"

#define CGROUP "/sys/fs/cgroup/sva"

struct child {
	pid_t pid;
	int talk;
};

/* RUN gets its end of a socket and says how it went as main() does */
static inline struct child start(int (*run)(int talk))
{
	struct child child;
	int talk[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, talk))
		exit(1);
	child.pid = fork();
	if (!child.pid) {
		close(talk[0]);
		exit(run(talk[1]));
	}
	close(talk[1]);
	child.talk = talk[0];
	return child;
}

static inline void say(int talk, char what)
{
	if (write(talk, &what, 1) != 1)
		exit(1);
}

/* What the other one says; 0 when it is gone */
static inline char hear(int talk)
{
	char what;

	return read(talk, &what, 1) == 1 ? what : 0;
}

#define HANG_MS 60000

/* Does the child say so? The time ends a test that hangs. */
static inline int heard(struct child *child, char what)
{
	struct pollfd waits = { .fd = child->talk, .events = POLLIN };

	return poll(&waits, 1, HANG_MS) == 1 && hear(child->talk) == what;
}

/* Has the child ended well? */
static inline int end(struct child *child)
{
	int status;

	/* Children that were started later have it open, too */
	shutdown(child->talk, SHUT_RDWR);
	close(child->talk);
	if (waitpid(child->pid, &status, 0) != child->pid)
		return 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 1;
	printf("# a child ended with status %#x\n", status);
	return 0;
}

static inline void end_at_once(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->talk);
}

static inline int run_child(int (*run)(int talk))
{
	struct child child = start(run);

	return end(&child);
}

static inline void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static inline void put_file(const char *name, const char *text)
{
	int file = open(name, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		printf("# %s: %s\n", name, strerror(errno));
	if (file >= 0)
		close(file);
}

/* The first number in a file, behind WORD when there is one */
static inline long number_in(const char *name, const char *word)
{
	char text[256];
	int file = open(name, O_RDONLY), length = read(file, text, sizeof(text) - 1);
	char *at;

	close(file);
	text[length < 0 ? 0 : length] = 0;
	at = strstr(text, word);
	return at ? atol(at + strlen(word)) : -1;
}

/* How many lines of a file have it; none when there is no such file */
static inline int line_count(const char *name, const char *words)
{
	FILE *file = fopen(name, "r");
	static char line[1024];
	int count = 0;

	while (file && fgets(line, sizeof(line), file))
		count += !!strstr(line, words);
	if (file)
		fclose(file);
	return count;
}

static inline long ids_charged(void)
{
	return number_in(CGROUP "/ioasids.current", "");
}

static inline int ids_become(long count)
{
	for (int i = 0; i < 12000; i++) {
		if (ids_charged() == count)
			return 1;
		usleep(10000);
	}
	printf("# %ld ids are charged, not %ld\n", ids_charged(), count);
	return 0;
}

static inline void enter_cgroup(void)
{
	put_file(CGROUP "/cgroup.procs", "0");
}

static inline void make_cgroup(const char *limit)
{
	mkdir(CGROUP, 0755);
	put_file(CGROUP "/ioasids.max", limit);
}

static inline int shell(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "( %s ) >/tmp/shell 2>&1 || { sed 's/^/# /' /tmp/shell; exit 1; }", command);
	fflush(stdout);
	return !system(line);
}

static inline int copies(struct queue *queue, unsigned int who, unsigned int count)
{
	uint8_t *memory = map(2 * PAGE);
	int ok = 1;

	for (unsigned int i = 0; i < count; i++) {
		fill(memory, PAGE, who, i);
		ok &= copy(queue, memory + PAGE, memory, PAGE, 1) == DSA_COMP_SUCCESS && filled(memory + PAGE, PAGE, who, i);
	}
	munmap(memory, 2 * PAGE);
	return ok;
}

static inline int copies_by_write(int file, unsigned int who, unsigned int count)
{
	uint8_t *memory = map(2 * PAGE);
	int ok = 1;

	for (unsigned int i = 0; i < count; i++) {
		fill(memory, PAGE, who, i);
		descriptor = memmove_of(memory + PAGE, memory, PAGE, &record, 1);
		/* Not for the process to say */
		descriptor.pasid = 0x7fff1;
		descriptor.priv = 1;
		ok &= submit_by_write(file, &descriptor, 1) == 1 && wait_for(&record) == DSA_COMP_SUCCESS &&
		      filled(memory + PAGE, PAGE, who, i);
	}
	munmap(memory, 2 * PAGE);
	return ok;
}

#endif
