// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, for as long as wanted: threads that share files, random
 * ioctls, memory that is mapped and goes, cgroups that come and go with their
 * tasks, kernel users that hold on to ids, and SIGKILL for all of them. What is
 * out, charged and pinned, and the memory of it, must be the same before and
 * after.
 *
 *	ioasid_soak SECONDS [SEED]
 *
 * Not run by default. Wants the test client (CONFIG_IOASID_TEST) and, to see
 * leaks exactly, slab_nomerge on the kernel's command line.
 */
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "ioasid_cgroup_util.h"

#define TOP		"/sys/fs/cgroup/ioasid-soak"
#define FUZZ_OUTPUT	"/tmp/ioasid-soak-fuzz"
#define THREADS		4
#define MAX_IDS		500
/* Holders look for ids below; ioasid_fuzz has those from 50000 on to itself. */
#define HOLD_IDS	2000
#define HELD		16
#define PAGE		IOVA_PAGE
/* Those that a mapper has, and may map at once; addresses that it asks for */
#define MAPPER_PAGES	512
#define MAPPER_RUN	32
#define MAPPER_WINDOW	1024
#define MAPPER_IDS	8
/* Until RCU callbacks and works are through */
#define SETTLE_TRIES	100

enum { STORM, STORM2, CHURN, HOLDER, SETS, FUZZ, MAPPER, NR_WORKERS };

static const char * const worker_names[NR_WORKERS] = {
	"storm", "storm", "churn", "holder", "sets", "fuzz", "mapper",
};

struct shared {
	bool stop;
	bool failed;
	unsigned long ops[NR_WORKERS];
	unsigned long killed[NR_WORKERS];
	unsigned int serial;
};

static struct shared *shared;

static unsigned long seed;

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static bool failed(void)
{
	return __atomic_load_n(&shared->failed, __ATOMIC_RELAXED);
}

static __thread uint64_t state;

static uint32_t rnd(void)
{
	/* xorshift64*, Vigna */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dull) >> 32;
}

static void rnd_seed(unsigned long what)
{
	state = (seed + what) * 0x9e3779b97f4a7c15ull | 1;
}

__attribute__((format(printf, 1, 2)))
static void fail(const char *fmt, ...)
{
	va_list ap;

	__atomic_store_n(&shared->failed, true, __ATOMIC_RELAXED);
	printf("soak: FAILED: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void count(int worker)
{
	__atomic_add_fetch(&shared->ops[worker], 1, __ATOMIC_RELAXED);
}

/* Threads of one process share two files and the ids that they know of. */
struct storm {
	int worker;
	int fd[2];
	uint32_t ids[MAX_IDS];
	unsigned long seed;
};

static void *storm_thread(void *arg)
{
	struct storm *s = arg;
	uint32_t *slot, id;
	char events[64];
	bool pending;
	int ret, fd;

	rnd_seed(__atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED));
	while (!stopped()) {
		fd = s->fd[rnd() % 2];
		slot = &s->ids[rnd() % MAX_IDS];
		id = __atomic_load_n(slot, __ATOMIC_RELAXED);
		switch (rnd() % 8) {
		case 0:
		case 1:
			ret = cmd_alloc(fd, &id);
			if (!ret)
				__atomic_store_n(slot, id, __ATOMIC_RELAXED);
			break;
		case 2:
		case 3:
			ret = cmd_free_pending(fd, id, &pending);
			break;
		case 4:
			ret = cmd_set_spid(fd, id, rnd() % 100);
			break;
		case 5:
			ret = cmd_clear_spid(fd, id);
			break;
		case 6:
			ret = cmd_find_spid(fd, rnd() % 100, &id);
			break;
		default:
			ret = read(fd, events, sizeof(events)) < 0 ? errno : 0;
			if (ret == EAGAIN)
				ret = 0;
		}
		if (ret && ret != ENOENT && ret != EEXIST && ret != EBUSY)
			fail("storm: errno %d", ret);
		/* A slot that was overwritten is an id until the close. */
		if (nr_allocated(fd) > 4 * MAX_IDS)
			break;
		count(s->worker);
	}
	return NULL;
}

static void storm(int worker, unsigned long round)
{
	struct storm s = { .worker = worker, .seed = round * 100 };
	pthread_t threads[THREADS];
	int i;

	while (!stopped()) {
		for (i = 0; i < 2; i++) {
			s.fd[i] = open("/dev/ioasid", O_RDWR | O_NONBLOCK);
			if (s.fd[i] < 0)
				fail("open: errno %d", errno);
		}
		for (i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, storm_thread, &s);
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		close(s.fd[0]);
		close(s.fd[1]);
	}
}

/* In a cgroup: take ids to the limit and beyond, until killed or done. */
static void churn_task(const struct cgroup *to)
{
	uint32_t id, i, got = 0;
	int fd = dev_open(), ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < 200; i++) {
		ret = cmd_alloc(fd, &id);
		if (!ret)
			got++;
		if (ret && ret != EBUSY)
			fail("churn: allocation: errno %d", ret);
		if (!ret && rnd() % 2)
			cmd_set_spid(fd, id, i);
		if (!ret && rnd() % 3 == 0 && !cmd_free(fd, id))
			got--;
		if (i == 50 && rnd() % 2)
			cg_enter(to, getpid());
		count(CHURN);
	}
	/* The last close does it, of this process or of one that has it, too. */
	if (rnd() % 2 && !fork()) {
		usleep(rnd() % 2000);
		_exit(0);
	}
	_exit(0);
}

static void churn(int worker, unsigned long round)
{
	struct cgroup outer, inner;
	unsigned int serial;
	char text[32];
	pid_t pid;
	int ret;

	while (!stopped()) {
		serial = __atomic_add_fetch(&shared->serial, 1, __ATOMIC_RELAXED);
		snprintf(text, sizeof(text), "%u", serial);
		outer = cg_path(TOP, text);
		snprintf(text, sizeof(text), "%u/inner", serial);
		inner = cg_path(TOP, text);
		if (cg_make(&outer) ||
		    cg_write(&outer, "cgroup.subtree_control", "+misc") ||
		    cg_make(&inner)) {
			fail("%s cannot be made", outer.path);
			return;
		}
		snprintf(text, sizeof(text), "%u", rnd() % 40);
		cg_write(&outer, "ioasids.max", rnd() % 4 ? text : "max");
		snprintf(text, sizeof(text), "%u", rnd() % 40);
		cg_write(&inner, "ioasids.max", rnd() % 4 ? text : "max");

		pid = fork();
		if (!pid) {
			rnd_seed(round * 1000003 + getpid());
			cg_enter(&inner, getpid());
			churn_task(&(struct cgroup){ TOP });
		}
		usleep(rnd() % 4000);
		cg_write(&outer, "ioasids.max", "1");
		if (rnd() % 2) {
			kill(pid, SIGKILL);
			__atomic_add_fetch(&shared->killed[worker], 1, __ATOMIC_RELAXED);
		}
		waitpid(pid, NULL, 0);
		/* Ids that a kernel user holds are still charged to them. */
		ret = cg_remove(&inner) ?: cg_remove(&outer);
		if (ret)
			fail("%s cannot be removed: errno %d", outer.path, ret);
	}
}

/* A kernel user: ids of other processes are not gone while it holds them. */
static void holder(int worker, unsigned long round)
{
	struct { uint32_t id; const char *drop; } held[HELD] = { };
	struct ioasid_get_info info;
	uint32_t first = 1;
	int i, ret;

	/* Where /dev/ioasid begins: the upper half of the numbers */
	i = dev_open();
	if (i < 0 || cmd_info(i, &info)) {
		fail("holder: errno %d", errno);
		return;
	}
	close(i);
	while (first <= info.out_max / 2)
		first *= 2;

	while (!stopped()) {
		i = rnd() % HELD;
		if (held[i].drop) {
			ret = tc("%s %u", held[i].drop, held[i].id);
			if (ret)
				fail("%s %u: errno %d", held[i].drop, held[i].id, ret);
			held[i].drop = NULL;
		} else {
			held[i].id = first + rnd() % HOLD_IDS;
			held[i].drop = rnd() % 2 ? "put" : "unuse";
			ret = tc("%s %u", held[i].drop[0] == 'p' ? "get" : "use",
				 held[i].id);
			if (ret)
				held[i].drop = NULL;
			if (ret && ret != ENOENT && ret != EBUSY)
				fail("get %u: errno %d", held[i].id, ret);
		}
		count(worker);
	}
	for (i = 0; i < HELD; i++)
		if (held[i].drop)
			tc("%s %u", held[i].drop, held[i].id);
}

/* Sets of the kernel come and go, and subscribers of everybody's events. */
static void sets(int worker, unsigned long round)
{
	char buf[8192];
	int i;

	while (!stopped()) {
		if (tc("set soak null %u", rnd() % 2 ? rnd() % 50 : 0))
			fail("a set cannot be made");
		if (tc("sub soak%u all cpu", rnd() % 10 % 2))
			fail("cannot subscribe");
		for (i = 0; i < 60; i++)
			tc("alloc soak");
		tc_log(buf, sizeof(buf));
		tc("unsub soak0");
		tc("unsub soak1");
		if (tc("end soak"))
			fail("the set cannot be freed");
		count(worker);
	}
}

/* Its own program, which knows what to expect of each ioctl */
static void fuzz(int worker, unsigned long round)
{
	char text[32], said[4096];
	int status, out;
	pid_t pid;

	while (!stopped()) {
		snprintf(text, sizeof(text), "%u", rnd());
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			setenv("IOASID_FUZZ_SEED", text, 1);
			/* Few, as the harness gives it 30 seconds. */
			setenv("IOASID_FUZZ_COUNT", "2000", 1);
			out = open(FUZZ_OUTPUT, O_CREAT | O_WRONLY | O_TRUNC, 0600);
			dup2(out, STDOUT_FILENO);
			dup2(out, STDERR_FILENO);
			execl("./ioasid_fuzz", "ioasid_fuzz", NULL);
			_exit(126);
		}
		if (waitpid(pid, &status, 0) != pid || status) {
			if (file_read(FUZZ_OUTPUT, said, sizeof(said)))
				said[0] = '\0';
			fail("IOASID_FUZZ_SEED=%s: status %x\n%s", text, status, said);
		}
		count(worker);
	}
}

/* Threads of one process map the same memory in a few address spaces. */
struct mapper {
	int worker;
	int fd[2];
	uint32_t ids[MAPPER_IDS];
	char *memory;
	unsigned long seed;
};

static int mapper_map(struct mapper *m, int fd, uint32_t id)
{
	uint32_t flags = rnd() % 3 ? IOASID_MAP_READ | IOASID_MAP_WRITE :
				     IOASID_MAP_READ;
	uint64_t iova = (1 + rnd() % MAPPER_WINDOW) * PAGE;
	uint32_t first = rnd() % (MAPPER_PAGES - MAPPER_RUN);

	if (rnd() % 2)
		flags |= IOASID_MAP_FIXED_IOVA;
	return cmd_map(fd, id, flags, m->memory + first * PAGE,
		       (1 + rnd() % MAPPER_RUN) * PAGE, &iova);
}

static int mapper_unmap(int fd, uint32_t id)
{
	uint64_t done;

	if (rnd() % 8 == 0)
		return cmd_unmap(fd, id, 0, UINT64_MAX, &done);
	return cmd_unmap(fd, id, (1 + rnd() % MAPPER_WINDOW) * PAGE,
			 (1 + rnd() % MAPPER_RUN) * PAGE, &done);
}

static void *mapper_thread(void *arg)
{
	struct mapper *m = arg;
	struct ioasid_get_info info;
	uint32_t *slot, id;
	bool pending;
	int ret, fd;

	rnd_seed(__atomic_add_fetch(&m->seed, 1, __ATOMIC_RELAXED));
	while (!stopped()) {
		fd = m->fd[rnd() % 2];
		slot = &m->ids[rnd() % MAPPER_IDS];
		id = __atomic_load_n(slot, __ATOMIC_RELAXED);
		switch (rnd() % 16) {
		case 0:
			ret = cmd_alloc_iova(fd, &id);
			if (!ret)
				__atomic_store_n(slot, id, __ATOMIC_RELAXED);
			break;
		case 1:
			ret = cmd_free_pending(fd, id, &pending);
			break;
		case 2:
			/* What is mapped stays as it is */
			madvise(m->memory + rnd() % MAPPER_PAGES * PAGE, PAGE,
				MADV_DONTNEED);
			ret = 0;
			break;
		case 3:
			ret = cmd_info(fd, &info);
			break;
		case 4 ... 9:
			ret = mapper_map(m, fd, id);
			break;
		default:
			ret = mapper_unmap(fd, id);
		}
		if (ret && ret != ENOENT && ret != EEXIST && ret != EBUSY &&
		    ret != EINVAL)
			fail("mapper: errno %d", ret);
		/* A slot that was overwritten is an id until the close. */
		if (nr_allocated(fd) > 4 * MAPPER_IDS)
			break;
		count(m->worker);
	}
	return NULL;
}

static void mapper(int worker, unsigned long round)
{
	struct mapper m = { .worker = worker, .seed = round * 100 };
	pthread_t threads[THREADS];
	int i;

	m.memory = mmap(NULL, MAPPER_PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (!stopped()) {
		m.fd[0] = dev_open();
		m.fd[1] = dev_open();
		for (i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, mapper_thread, &m);
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		close(m.fd[0]);
		close(m.fd[1]);
	}
}

/* A machine without PASIDs has no address spaces */
static bool can_map(void)
{
	struct ioasid_get_info info;
	int fd = dev_open();
	bool can = !cmd_info(fd, &info) &&
		   info.out_types & 1U << IOASID_TYPE_IOVA;

	close(fd);
	return can;
}

static void (* const worker_fns[NR_WORKERS])(int worker, unsigned long round) = {
	storm, storm, churn, holder, sets, fuzz, mapper,
};

static pid_t start(int worker, unsigned long round)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rnd_seed(worker * 7919 + round * 104729);
	worker_fns[worker](worker, round);
	_exit(0);
}

/* Holders and sets have something in the kernel that dies with nobody. */
static bool may_be_killed(int worker)
{
	return worker == STORM || worker == STORM2 || worker == MAPPER;
}

static void run(unsigned int seconds)
{
	time_t end = time(NULL) + seconds, said = time(NULL);
	unsigned long round = 0;
	pid_t pids[NR_WORKERS];
	bool client = tc_present(), map = can_map();
	int i;

	__atomic_store_n(&shared->stop, false, __ATOMIC_RELAXED);
	for (i = 0; i < NR_WORKERS; i++)
		pids[i] = (!client && (i == HOLDER || i == SETS)) ||
			  (!map && i == MAPPER) ? 0 : start(i, round);
	while (time(NULL) < end && !failed()) {
		usleep(rnd() % 400000);
		i = rnd() % NR_WORKERS;
		if (pids[i] && may_be_killed(i)) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
			shared->killed[i]++;
			pids[i] = start(i, ++round);
		}
		if (time(NULL) - said >= 60) {
			said = time(NULL);
			printf("soak: %ld s left\n", (long)(end - said));
			fflush(stdout);
		}
	}
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NR_WORKERS; i++)
		if (pids[i])
			waitpid(pids[i], NULL, 0);
}

struct counters {
	char ids[4096];
	long charged;
	long dying;
	long objects;
	long pinned;
	long slab_kb;
};

/* The number in the column after @key in a file like /proc/slabinfo */
static long column(const char *path, const char *key)
{
	char line[512];
	long value = -1;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), " %ld", &value);
	if (f)
		fclose(f);
	return value;
}

static void read_counters(struct counters *c)
{
	struct cgroup top = { TOP };

	memset(c, 0, sizeof(*c));
	/* So that the count of objects is that of allocated ones */
	file_write("/sys/kernel/slab/ioasid_entry/shrink", "1");
	file_write("/proc/sys/vm/drop_caches", "3");
	file_read("/sys/kernel/debug/ioasid", c->ids, sizeof(c->ids));
	c->charged = cg_current(&top);
	c->dying = cg_number(&top, "cgroup.stat", "nr_dying_descendants");
	c->objects = column("/proc/slabinfo", "ioasid_entry ");
	/* With what each CPU has counted by itself */
	file_write("/proc/sys/vm/stat_refresh", "1");
	c->pinned = column("/proc/vmstat", "nr_foll_pin_acquired") -
		    column("/proc/vmstat", "nr_foll_pin_released");
	c->slab_kb = column("/proc/meminfo", "SUnreclaim:");
}

static bool same(const struct counters *a, const struct counters *b)
{
	return !strcmp(a->ids, b->ids) && a->charged == b->charged &&
	       a->dying == b->dying && a->objects == b->objects &&
	       a->pinned == b->pinned;
}

static void print_counters(const char *when, const struct counters *c)
{
	printf("soak: %s: charged %ld, dying cgroups %ld, id objects %ld, ",
	       when, c->charged, c->dying, c->objects);
	printf("pinned pages %ld, slab %ld kB, %s", c->pinned, c->slab_kb, c->ids);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? atoi(argv[1]) : 60;
	struct cgroup top = { TOP };
	struct counters before, after;
	int i;

	seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	printf("soak: %u seconds, seed %lu\n", seconds, seed);
	fflush(stdout);
	debugfs_mount();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rnd_seed(0);
	if (cg_make(&top) || cg_write(&top, "cgroup.subtree_control", "+misc")) {
		printf("soak: no cgroup %s with the misc controller\n", TOP);
		return 1;
	}

	/* Caches fill on first use, that is no leak. */
	run(seconds < 300 ? seconds / 10 + 5 : 35);
	sleep(2);
	read_counters(&before);
	print_counters("before", &before);
	memset(shared->ops, 0, sizeof(shared->ops));
	memset(shared->killed, 0, sizeof(shared->killed));

	run(seconds);
	for (i = 0; i < SETTLE_TRIES; i++) {
		read_counters(&after);
		if (same(&before, &after))
			break;
		usleep(100000);
	}
	print_counters("after", &after);
	for (i = 0; i < NR_WORKERS; i++)
		printf("soak: %s: %lu rounds, killed %lu times\n",
		       worker_names[i], shared->ops[i], shared->killed[i]);
	if (!same(&before, &after))
		fail("not the same before and after");
	/* What else the kernel has in slabs moves a little. */
	if (after.slab_kb > before.slab_kb + before.slab_kb / 20 + 512)
		fail("%ld kB of slab more", after.slab_kb - before.slab_kb);
	rmdir(TOP);
	printf("soak: %s\n", failed() ? "FAILED" : "passed");
	return failed();
}
