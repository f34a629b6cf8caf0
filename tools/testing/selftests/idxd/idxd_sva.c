// SPDX-License-Identifier: GPL-2.0
/*
 * Shared virtual addressing with the work queues of idxd in user space: a DSA
 * uses addresses of the process, its page faults are served, it sees what the
 * process does with its memory, and what it was given goes with the process.
 *
 * Takes enabled work queues of type user that nobody else uses, a dedicated and
 * a shared one (Documentation/misc-devices/idxd.rst), and root. What there is no
 * queue for is skipped.
 *
 * All processes have their data at the same address: a descriptor that ran with
 * the address space of another leaves the wrong data behind.
 */
#include <cpuid.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/idxd.h>

#include "../kselftest_harness.h"
#include "../ioasid/ioasid_cgroup_util.h"
#include "idxd_util.h"

#define DEVICES		"/sys/bus/dsa/devices"
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define AFTER_EXEC	"IDXD_SVA_AFTER_EXEC"

#define PAGE		4096UL
#define ARENA		((uint8_t *)0x500000000UL)
#define ARENA_SIZE	(64 * PAGE)
#define SOURCE		ARENA
#define TARGET		(ARENA + ARENA_SIZE / 2)
/* The device writes no record that is not on a boundary of 32 bytes */
#define RECORD		((struct dsa_completion_record *)(TARGET - PAGE))
#define NR_PORTALS	(PAGE / sizeof(struct dsa_hw_desc))

struct wq {
	char name[32];
	bool shared;
	bool block_on_fault;
	int fd;
	uint8_t *portal;
	unsigned int next;
};

static bool wq_attr_is(const char *name, const char *attr, const char *value)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", name, attr);
	return !file_read(path, text, sizeof(text)) &&
	       !strcmp(strtok(text, "\n") ?: "", value);
}

static bool cpu_submits(bool shared)
{
	unsigned int eax, ebx, ecx, edx;

	/* CPUID.7.0:ECX: 28 is MOVDIR64B, 29 is ENQCMD */
	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	       ecx & 1U << (shared ? 29 : 28);
}

/* An empty name: there is none */
static struct wq wq_find(bool shared)
{
	struct wq wq = { .shared = shared, .fd = -1 };
	DIR *dir = cpu_submits(shared) ? opendir(DEVICES) : NULL;
	const char *mode = shared ? "shared" : "dedicated";
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "wq", 2) ||
		    !wq_attr_is(entry->d_name, "type", "user") ||
		    !wq_attr_is(entry->d_name, "mode", mode) ||
		    !wq_attr_is(entry->d_name, "state", "enabled"))
			continue;
		snprintf(wq.name, sizeof(wq.name), "%.31s", entry->d_name);
		wq.block_on_fault = wq_attr_is(wq.name, "block_on_fault", "1");
		break;
	}
	if (dir)
		closedir(dir);
	return wq;
}

/* 0 or an errno */
static int wq_open(struct wq *wq)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/dsa/%s", wq->name);
	wq->fd = open(path, O_RDWR | O_CLOEXEC);
	if (wq->fd < 0)
		return errno;
	wq->portal = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, wq->fd, 0);
	return wq->portal == MAP_FAILED ? errno : 0;
}

static void wq_close(struct wq *wq)
{
	if (wq->fd < 0)
		return;
	munmap(wq->portal, PAGE);
	close(wq->fd);
	wq->fd = -1;
}

static void arena_map(void)
{
	if (mmap(ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != ARENA)
		abort();
}

static void fill(uint8_t *at, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		at[i] = seed + i + i / 256;
}

static bool filled(const uint8_t *at, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (at[i] != (uint8_t)(seed + i + i / 256))
			return false;
	return true;
}

static struct dsa_hw_desc memmove_desc(void *to, const void *from, size_t size,
				       bool block_on_fault)
{
	return (struct dsa_hw_desc) {
		.opcode = DSA_OPCODE_MEMMOVE,
		.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR |
			 (block_on_fault ? IDXD_OP_FLAG_BOF : 0),
		.completion_addr = (uintptr_t)RECORD,
		.src_addr = (uintptr_t)from,
		.dst_addr = (uintptr_t)to,
		.xfer_size = size,
	};
}

static void wq_submit(struct wq *wq, const struct dsa_hw_desc *in)
{
	struct dsa_hw_desc desc __attribute__((aligned(64))) = *in;
	void *portal = wq->portal + wq->next++ % NR_PORTALS * sizeof(desc);

	if (!wq->shared)
		idxd_movdir64b(portal, &desc);
	else
		while (idxd_enqcmd(portal, &desc))
			sched_yield();
}

/* The status without the bit that says it was a write, 0: none, it hangs */
static int wait_for_record(void)
{
	time_t end = time(NULL) + 120;
	uint8_t status;

	while (!(status = __atomic_load_n(&RECORD->status, __ATOMIC_ACQUIRE)) &&
	       time(NULL) < end)
		usleep(50);
	return status & DSA_COMP_STATUS_MASK;
}

static int wq_copy(struct wq *wq, void *to, const void *from, size_t size,
		   bool block_on_fault)
{
	struct dsa_hw_desc desc = memmove_desc(to, from, size, block_on_fault);

	RECORD->status = 0;
	wq_submit(wq, &desc);
	return wait_for_record();
}

/* Are copies right, several times, with data of its own? */
static bool wq_works(struct wq *wq, unsigned int seed)
{
	unsigned int i;

	arena_map();
	for (i = 0; i < 50; i++) {
		fill(SOURCE, PAGE, seed + i);
		memset(TARGET, 0, PAGE);
		if (wq_copy(wq, TARGET, SOURCE, PAGE, false) !=
		    DSA_COMP_SUCCESS || !filled(TARGET, PAGE, seed + i))
			return false;
	}
	return true;
}

static bool ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static bool is_fault(int status)
{
	return status == DSA_COMP_PAGE_FAULT_NOBOF ||
	       status == DSA_COMP_PAGE_FAULT_IR;
}

/* The second half of after_exec, before the harness has the process */
static __attribute__((constructor)) void run_after_exec(void)
{
	const char *mode = getenv(AFTER_EXEC);
	struct wq wq;

	if (!mode)
		return;
	wq = wq_find(!strcmp(mode, "shared"));
	_exit(wq_open(&wq) || !wq_works(&wq, 90));
}

FIXTURE(idxd_sva)
{
	struct wq wq;
};

FIXTURE_VARIANT(idxd_sva)
{
	bool shared;
};

FIXTURE_VARIANT_ADD(idxd_sva, dedicated)
{
	.shared = false,
};

FIXTURE_VARIANT_ADD(idxd_sva, shared)
{
	.shared = true,
};

FIXTURE_SETUP(idxd_sva)
{
	self->wq = wq_find(variant->shared);
	if (!self->wq.name[0])
		return;
	arena_map();
	ASSERT_EQ(0, wq_open(&self->wq));
}

FIXTURE_TEARDOWN(idxd_sva)
{
	wq_close(&self->wq);
}

/* A setup cannot skip */
#define NEED_WQ()							\
do {									\
	if (!self->wq.name[0])						\
		SKIP(return, "no enabled %s queue of type user",	\
		     variant->shared ? "shared" : "dedicated");		\
} while (0)

TEST_F(idxd_sva, copies)
{
	static const size_t sizes[] = { 1, 63, 64, PAGE, 3 * PAGE + 5 };
	unsigned int i;

	NEED_WQ();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(SOURCE + i, sizes[i], i);
		memset(TARGET, 0xee, 8 * PAGE);
		EXPECT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET + 7,
						    SOURCE + i, sizes[i],
						    false));
		EXPECT_TRUE(filled(TARGET + 7, sizes[i], i));
		EXPECT_EQ(0xee, TARGET[6]);
		EXPECT_EQ(0xee, TARGET[7 + sizes[i]]);
	}
}

TEST_F(idxd_sva, page_faults_are_served)
{
	NEED_WQ();
	if (!self->wq.block_on_fault)
		SKIP(return, "block_on_fault of the queue is 0");
	fill(SOURCE, 8 * PAGE, 1);
	/* Nobody has touched the target */
	EXPECT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET, SOURCE,
					    8 * PAGE, true));
	EXPECT_TRUE(filled(TARGET, 8 * PAGE, 1));
}

TEST_F(idxd_sva, page_fault_ends_a_copy)
{
	size_t done;

	NEED_WQ();
	fill(SOURCE, 8 * PAGE, 2);
	memset(TARGET, 0, 8 * PAGE);
	ASSERT_EQ(0, madvise(TARGET + 5 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(DSA_COMP_PAGE_FAULT_NOBOF, wq_copy(&self->wq, TARGET, SOURCE,
						     8 * PAGE, false));
	EXPECT_EQ((uintptr_t)TARGET + 5 * PAGE,
		  RECORD->fault_addr & ~(PAGE - 1));
	EXPECT_TRUE(RECORD->status & DSA_COMP_STATUS_WRITE);
	done = RECORD->bytes_completed;
	ASSERT_GE(5 * PAGE, done);

	/* The process touches it, and goes on */
	TARGET[5 * PAGE] = 0;
	EXPECT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET + done,
					    SOURCE + done, 8 * PAGE - done,
					    false));
	EXPECT_TRUE(filled(TARGET, 8 * PAGE, 2));
}

TEST_F(idxd_sva, unmapped_memory)
{
	NEED_WQ();
	fill(SOURCE, PAGE, 3);
	memset(TARGET, 0, 2 * PAGE);
	ASSERT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET, SOURCE, PAGE,
					    false));
	/* The device has had a translation of both */
	ASSERT_EQ(0, munmap(SOURCE, PAGE));
	memset(TARGET, 0x11, PAGE);
	EXPECT_TRUE(is_fault(wq_copy(&self->wq, TARGET, SOURCE, PAGE, false)));
	EXPECT_EQ(0x11, TARGET[0]);
	EXPECT_EQ(0x11, TARGET[PAGE - 1]);
}

TEST_F(idxd_sva, read_only_memory)
{
	NEED_WQ();
	fill(SOURCE, PAGE, 4);
	ASSERT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET, SOURCE, PAGE,
					    true));
	ASSERT_EQ(0, mprotect(TARGET, PAGE, PROT_READ));
	fill(SOURCE, PAGE, 5);
	EXPECT_TRUE(is_fault(wq_copy(&self->wq, TARGET, SOURCE, PAGE, false)));
	EXPECT_TRUE(filled(TARGET, PAGE, 4));
}

TEST_F(idxd_sva, memory_that_is_replaced)
{
	unsigned int i;

	NEED_WQ();
	for (i = 0; i < 100; i++) {
		/* Maps all of it anew */
		arena_map();
		fill(SOURCE, PAGE, i);
		TARGET[0] = 0;
		ASSERT_EQ(DSA_COMP_SUCCESS, wq_copy(&self->wq, TARGET, SOURCE,
						    PAGE, false));
		ASSERT_TRUE(filled(TARGET, PAGE, i));
	}
}

TEST_F(idxd_sva, write_submits)
{
	struct dsa_hw_desc desc = memmove_desc(TARGET, SOURCE, PAGE, false);

	NEED_WQ();
	fill(SOURCE, PAGE, 6);
	memset(TARGET, 0, PAGE);
	/* Which address space it is, is not for the process to say */
	desc.pasid = 0xfffff;
	desc.priv = 1;
	RECORD->status = 0;
	ASSERT_EQ((ssize_t)sizeof(desc), write(self->wq.fd, &desc, sizeof(desc)));
	EXPECT_EQ(DSA_COMP_SUCCESS, wait_for_record());
	EXPECT_TRUE(filled(TARGET, PAGE, 6));

	EXPECT_EQ(-1, write(self->wq.fd, (void *)1, sizeof(desc)));
	EXPECT_EQ(EFAULT, errno);
	desc.completion_addr++;
	EXPECT_EQ(-1, write(self->wq.fd, &desc, sizeof(desc)));
	EXPECT_EQ(EINVAL, errno);
}

/* Exit status: 0 when all was as it should be */
static int child_of_fork(struct wq *inherited)
{
	struct dsa_hw_desc desc = memmove_desc(TARGET, SOURCE, PAGE, false);
	struct wq own = wq_find(inherited->shared);

	if (write(inherited->fd, &desc, sizeof(desc)) != -1 || errno != EPERM)
		return 1;
	if (mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, inherited->fd, 0) !=
	    MAP_FAILED || errno != EPERM)
		return 2;
	if (!inherited->shared)
		return wq_open(&own) == EBUSY ? 0 : 3;
	return !wq_open(&own) && wq_works(&own, 70) ? 0 : 4;
}

TEST_F(idxd_sva, child_inherits_no_address_space)
{
	pid_t child;

	NEED_WQ();
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(child_of_fork(&self->wq));
	EXPECT_TRUE(wq_works(&self->wq, 7));
	EXPECT_TRUE(ended_well(child));
	EXPECT_TRUE(wq_works(&self->wq, 8));
}

TEST_F(idxd_sva, after_exec)
{
	pid_t child;

	NEED_WQ();
	wq_close(&self->wq);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (wq_open(&self->wq) || !wq_works(&self->wq, 9))
			_exit(2);
		setenv(AFTER_EXEC, variant->shared ? "shared" : "dedicated", 1);
		execl("/proc/self/exe", "idxd_sva", NULL);
		_exit(3);
	}
	EXPECT_TRUE(ended_well(child));
	ASSERT_EQ(0, wq_open(&self->wq));
	EXPECT_TRUE(wq_works(&self->wq, 10));
}

/* Has the device write to memory that outlives the process, until it is killed */
static void write_for_ever(struct wq *wq, uint8_t *memory)
{
	unsigned int i;

	if (wq_open(wq))
		_exit(1);
	for (i = 0;; i++) {
		memset(SOURCE, i, 16 * PAGE);
		if (wq_copy(wq, memory, SOURCE, 16 * PAGE, false) !=
		    DSA_COMP_SUCCESS)
			_exit(2);
	}
}

TEST_F(idxd_sva, killed_at_work)
{
	const size_t size = 16 * PAGE;
	uint8_t *memory = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int i, status;
	pid_t child;

	NEED_WQ();
	ASSERT_NE(MAP_FAILED, memory);
	wq_close(&self->wq);
	for (i = 0; i < 20; i++) {
		memset(memory, 0xff, size);
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			/* Not there for the device before the child touched it */
			memset(memory, 0xff, size);
			write_for_ever(&self->wq, memory);
		}
		usleep(20000 + i * 500);
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		memcpy(memory + size, memory, size);
		ASSERT_EQ(0, wq_open(&self->wq));
		ASSERT_TRUE(wq_works(&self->wq, i));
		wq_close(&self->wq);
		ASSERT_EQ(0, memcmp(memory, memory + size, size));
	}
}

TEST(processes_share_a_queue)
{
	struct wq wq = wq_find(true);
	pid_t children[4];
	unsigned int i, j;

	if (!wq.name[0])
		SKIP(return, "no enabled shared queue of type user");
	for (i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (children[i])
			continue;
		if (wq_open(&wq))
			_exit(1);
		for (j = 0; j < 10; j++)
			if (!wq_works(&wq, 50 * i))
				_exit(2);
		_exit(0);
	}
	for (i = 0; i < ARRAY_SIZE(children); i++)
		EXPECT_TRUE(ended_well(children[i]));
}

static bool charge_becomes(const struct cgroup *cg, long nr)
{
	int i;

	for (i = 0; i < 12000 && cg_current(cg) != nr; i++) {
		visit_cpus();
		usleep(10000);
	}
	return cg_current(cg) == nr;
}

static int open_in_cgroup(struct wq *wq, const struct cgroup *cg, int expect)
{
	if (cg_enter(cg, getpid()))
		return 1;
	if (wq_open(wq) != expect)
		return 2;
	if (expect)
		return cg_current(cg) ? 3 : 0;
	return wq_works(wq, 11) && cg_current(cg) == 1 ? 0 : 4;
}

TEST(open_is_limited_by_the_cgroup)
{
	struct cgroup root = { .path = CGROUP_ROOT };
	struct cgroup top = cg_path(CGROUP_ROOT, "idxd_sva_test");
	struct wq wq = wq_find(false);
	bool subtree;
	pid_t child;
	int limit;

	if (!wq.name[0])
		wq = wq_find(true);
	if (!wq.name[0])
		SKIP(return, "no enabled queue of type user");
	if (access(CGROUP_ROOT "/cgroup.controllers", R_OK))
		mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL);
	if (!strstr(cg_read(&root, "cgroup.controllers"), "misc"))
		SKIP(return, "no misc controller at " CGROUP_ROOT);
	subtree = strstr(cg_read(&root, "cgroup.subtree_control"), "misc");
	ASSERT_EQ(0, cg_write(&root, "cgroup.subtree_control", "+misc"));
	ASSERT_EQ(0, cg_make(&top));

	for (limit = 0; limit < 2; limit++) {
		EXPECT_EQ(0, cg_write(&top, "ioasids.max", limit ? "1" : "0"));
		child = fork();
		if (!child)
			_exit(open_in_cgroup(&wq, &top, limit ? 0 : EBUSY));
		EXPECT_TRUE(ended_well(child));
		EXPECT_EQ(1, cg_events(&top));
	}
	EXPECT_TRUE(charge_becomes(&top, 0));

	EXPECT_EQ(0, cg_remove(&top));
	if (!subtree)
		cg_write(&root, "cgroup.subtree_control", "-misc");
}

TEST_HARNESS_MAIN
