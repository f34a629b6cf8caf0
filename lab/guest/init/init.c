// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the lab's guest: mounts, runs one program, looks for leaks and
 * kernel complaints, and only then says how it went.
 *
 * The job is a directory of the initial file system:
 *	/lab/job/argv		the program and its arguments, each ended by NUL
 *	/lab/job/timeout	seconds it may take
 *	/lab/job/shell		exists: run the program on the console instead
 *
 * Two virtio-serial ports lead out: lab.output carries what the program
 * prints, lab.verdict what PID 1 found, as lines "word value". The last line
 * is "end"; a verdict without it was cut off. The console carries only the
 * kernel's log: it is evidence, not the verdict.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
/* kmemleak reports an object only once it is this old (MSECS_MIN_AGE). */
#define KMEMLEAK_AGE	6

static int verdict = -1;
static int output = -1;

static void report(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(verdict >= 0 ? verdict : STDOUT_FILENO, format, args);
	va_end(args);
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void give_up(const char *what)
{
	report("init-failed %s: %s\n", what, strerror(errno));
	power_off();
}

static int read_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, buffer, size - 1);
	close(fd);
	if (length < 0)
		return -1;
	buffer[length] = '\0';
	return length;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = write(fd, text, strlen(text));
	close(fd);
	return length < 0 ? -1 : 0;
}

static void mount_file_systems(void)
{
	static const struct {
		const char *type, *path;
		int optional;
	} mounts[] = {
		{ "devtmpfs", "/dev" },
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "tmpfs", "/tmp" },
		{ "tmpfs", "/run" },
		{ "devpts", "/dev/pts", 1 },
		{ "tmpfs", "/dev/shm", 1 },
		{ "debugfs", "/sys/kernel/debug", 1 },
		{ "tracefs", "/sys/kernel/tracing", 1 },
		{ "cgroup2", "/sys/fs/cgroup", 1 },
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, NULL) &&
		    !mounts[i].optional)
			give_up(mounts[i].path);
	}
	/* One write each: a controller this kernel lacks must not refuse the others. */
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+misc");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
}

/* Open the virtio-serial port of that name. */
static int open_port(const char *name)
{
	char path[320], found[64];
	struct dirent *entry;
	DIR *ports = opendir("/sys/class/virtio-ports");
	int fd = -1;

	while (ports && fd < 0 && (entry = readdir(ports))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		if (read_file(path, found, sizeof(found)) < 0)
			continue;
		found[strcspn(found, "\n")] = '\0';
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		if (!strcmp(found, name))
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (ports)
		closedir(ports);
	return fd;
}

/* A distribution's kernel has the drivers of the ports as modules. */
static void load_port_drivers(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/sbin/modprobe", "modprobe", "-a", "virtio_pci", "virtio_console", NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static char **read_argv(void)
{
	static char text[65536];
	static char *argv[1024];
	int length = read_file("/lab/job/argv", text, sizeof(text));
	int count = 0;

	if (length <= 0)
		give_up("/lab/job/argv");
	for (char *word = text; word < text + length && count < 1023; word += strlen(word) + 1)
		argv[count++] = word;
	return argv;
}

/* Run the program in a session of its own, its output on the port or the console. */
static pid_t start(char **argv, int on_console)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	if (on_console) {
		int console = open("/dev/ttyS0", O_RDWR);

		ioctl(console, TIOCSCTTY, 1);
		dup2(console, STDIN_FILENO);
		dup2(console, STDOUT_FILENO);
		dup2(console, STDERR_FILENO);
	} else {
		int null = open("/dev/null", O_RDONLY);

		dup2(null, STDIN_FILENO);
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
	}
	setenv("PATH", "/lab/bin:/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/tmp", 1);
	if (chdir("/lab"))
		_exit(126);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Wait for the program, reaping orphans; report how it ended. */
static void wait_for(pid_t pid, long timeout)
{
	struct timespec tick = { .tv_nsec = 10 * 1000 * 1000 };
	time_t start_time = time(NULL);
	int status;

	for (;;) {
		pid_t gone = waitpid(-1, &status, WNOHANG);

		if (gone == pid)
			break;
		if (gone > 0)
			continue;
		if (timeout && time(NULL) - start_time > timeout) {
			report("timeout %ld\n", timeout);
			/* The kernel's view of who waits for what goes to the console. */
			write_file("/proc/sysrq-trigger", "w");
			kill(-1, SIGKILL);
			return;
		}
		nanosleep(&tick, NULL);
	}
	if (WIFSIGNALED(status))
		report("signal %d\n", WTERMSIG(status));
	else
		report("exit %d\n", WEXITSTATUS(status));
	/* Nothing of the job may live on while leaks are looked for. */
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void check_leaks(void)
{
	static char text[1 << 20];
	struct timespec aged;
	int failed, leaks = 0;

	if (access(KMEMLEAK, F_OK)) {
		report("leaks unchecked\n");
		return;
	}
	/*
	 * Two scans: what one sees for the first time, the other confirms. Only for the second one objects must have
	 * their age, and the first takes about as long.
	 */
	clock_gettime(CLOCK_MONOTONIC, &aged);
	aged.tv_sec += KMEMLEAK_AGE;
	failed = write_file(KMEMLEAK, "scan");
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &aged, NULL);
	if (failed || write_file(KMEMLEAK, "scan") || read_file(KMEMLEAK, text, sizeof(text)) < 0) {
		report("leaks unreadable\n");
		return;
	}
	for (char *hit = text; (hit = strstr(hit, "unreferenced object")); hit++)
		leaks++;
	if (leaks)
		printf("%s\n", text);
	report("leaks %d\n", leaks);
}

static void check_taint(void)
{
	char text[32];

	if (read_file("/proc/sys/kernel/tainted", text, sizeof(text)) < 0)
		report("taint unreadable\n");
	else
		report("taint %ld\n", atol(text));
}

int main(void)
{
	struct timespec tick = { .tv_nsec = 10 * 1000 * 1000 };
	int on_console;
	char text[32];
	long timeout = 0;

	mount_file_systems();
	on_console = !access("/lab/job/shell", F_OK);
	verdict = open_port("lab.verdict");
	output = open_port("lab.output");
	if (verdict < 0)
		load_port_drivers();
	/* The names of the ports come a moment after the driver. */
	for (int i = 0; i < 6000 && (verdict < 0 || output < 0); i++) {
		nanosleep(&tick, NULL);
		if (verdict < 0)
			verdict = open_port("lab.verdict");
		if (output < 0)
			output = open_port("lab.output");
	}
	if (verdict < 0 || output < 0)
		give_up("virtio-serial ports");
	if (read_file("/lab/job/timeout", text, sizeof(text)) > 0)
		timeout = atol(text);
	if (!access(KMEMLEAK, F_OK))
		write_file(KMEMLEAK, "clear");

	report("started 1\n");
	wait_for(start(read_argv(), on_console), timeout);
	close(output);
	check_leaks();
	check_taint();
	/* The console must have reached the host up to here: see cut-off in judge.py. */
	printf("lab: end of run\n");
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	report("end 1\n");
	power_off();
	return 0;
}
