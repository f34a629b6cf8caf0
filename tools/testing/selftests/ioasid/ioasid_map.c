// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of processes in I/O address spaces of /dev/ioasid: MAP, UNMAP and
 * GET_IOVA_RANGES; what is charged and pinned; and where the kernel puts it
 *
 * No device is attached. What would be translated is not seen here, but what is
 * pinned is, by VmLck, by /proc/vmstat, and by memfds, which cannot be sealed
 * meanwhile.
 *
 * Wants an IOMMU that has PASIDs.
 */
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <linux/magic.h>

#include "../kselftest_harness.h"
#include "ioasid_cgroup_util.h"

#define PAGE		IOVA_PAGE
#define MAX_MAPPINGS	65535
/* Of the fixture's memory */
#define MEM_PAGES	64
#define MEM_SIZE	(MEM_PAGES * PAGE)

#define SZ_2M		(2ULL << 20)
#define SZ_1G		(1ULL << 30)

/* Nobody has memory there */
#define KERNEL_ADDRESS	((void *)0xffff888000000000UL)
#define VSYSCALL	((void *)0xffffffffff600000UL)
#define LAST_PAGE	((void *)-PAGE)

static __attribute__((constructor)) void require_iova(void)
{
	int fd = dev_open();

	/* Without the device the tests have something to say, too */
	if (fd >= 0 && !has_iova(fd))
		ksft_exit_skip("no IOASID_TYPE_IOVA (an IOMMU that has PASIDs)\n");
	close(fd);
}

/* MAP at an address of the kernel's choice */
static int cmd_map_any(int fd, uint32_t id, const void *va, uint64_t length,
		       uint64_t *iova)
{
	return cmd_map(fd, id, MAP_RW, va, length, iova);
}

static int cmd_map_at(int fd, uint32_t id, const void *va, uint64_t length,
		      uint64_t iova)
{
	return cmd_map(fd, id, MAP_RW | IOASID_MAP_FIXED_IOVA, va, length,
		       &iova);
}

/* MAP for reading only, at an address of the kernel's choice */
static int cmd_map_read(int fd, uint32_t id, const void *va, uint64_t length)
{
	uint64_t iova;

	return cmd_map(fd, id, IOASID_MAP_READ, va, length, &iova);
}

/* UNMAP of what is mapped as a whole: -1 when it was not all of it */
static int cmd_unmap_whole(int fd, uint32_t id, uint64_t iova, uint64_t length)
{
	uint64_t done;
	int ret = cmd_unmap(fd, id, iova, length, &done);

	return ret ?: done == length ? 0 : -1;
}

/* Unmap everything: -1 when that was not @length bytes */
static int cmd_unmap_all(int fd, uint32_t id, uint64_t length)
{
	uint64_t done;
	int ret = cmd_unmap(fd, id, 0, UNMAP_ALL, &done);

	return ret ?: done == length ? 0 : -1;
}

static int cmd_ranges(int fd, uint32_t id, struct ioasid_iova_range *ranges,
		      uint32_t num, struct ioasid_get_iova_ranges *get)
{
	*get = (struct ioasid_get_iova_ranges) {
		.size = sizeof(*get),
		.ioasid = id,
		.num = num,
		.ranges = (uintptr_t)ranges,
		.out_alignment = UNTOLD,
		.out_num = INVALID_ID,
	};
	return cmd(fd, IOASID_GET_IOVA_RANGES, get);
}

static int cmd_state(int fd, uint32_t id)
{
	uint32_t state;
	uint64_t cookie;

	return cmd_query(fd, id, &state, &cookie);
}

/* The number behind @key in a file that has one a line; -1 when it is not there */
static long long number_in(const char *path, const char *key)
{
	long long value = -1;
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = atoll(line + strlen(key));
	if (f)
		fclose(f);
	return value;
}

/* Pages that the system has pinned; -1 when it does not tell */
static long long pinned(void)
{
	long long acquired, released;

	/* CPUs have numbers that they have not handed in yet */
	file_write("/proc/sys/vm/stat_refresh", "1");
	acquired = number_in("/proc/vmstat", "nr_foll_pin_acquired ");
	released = number_in("/proc/vmstat", "nr_foll_pin_released ");
	return acquired < 0 || released < 0 ? -1 : acquired - released;
}

/* Others may pin, too, but not for long. */
static bool pinned_becomes(long long want)
{
	int i;

	for (i = 0; i < 50; i++) {
		if (pinned() == want)
			return true;
		usleep(20000);
	}
	return false;
}

/* Where a page of this process is; 0 when that cannot be found out */
static uint64_t pfn_of(const void *va)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t pos = (uintptr_t)va / PAGE * sizeof(uint64_t);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), pos) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static void *map_anon(uint64_t length, int prot)
{
	return mmap(NULL, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *map_shared(uint64_t length, int prot, int fd)
{
	return mmap(NULL, length, prot, MAP_SHARED, fd, 0);
}

/* Memory of a file that exists only here, of @length bytes */
static int memfd(uint64_t length)
{
	int fd = memfd_create("ioasid", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, length)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Fails with EBUSY while pages are pinned, which takes a moment; and while it is
 * mapped so that it can be written.
 */
static int seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) ? errno : 0;
}

static int drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return errno;
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	return syscall(SYS_capset, &head, data) ? errno : 0;
}

static int limit_memlock(uint64_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	return setrlimit(RLIMIT_MEMLOCK, &limit) ? errno : 0;
}

/* The largest page that a mapping of @length bytes can have */
static uint64_t largest_page(uint64_t sizes, uint64_t length)
{
	uint64_t size = 1ULL << 63;

	while (size > length || !(size & sizes))
		size >>= 1;
	return size;
}

static bool congruent(const void *va, uint64_t iova, uint64_t size)
{
	return !(((uintptr_t)va ^ iova) & (size - 1));
}

static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/* In a child, the harness has no say: the function returns the line, or 0. */
#define MUST(what) do {							\
	if (!(what))							\
		return __LINE__;					\
} while (0)

/* Do something in a child. Returns what that returns, -1 if it does not come so far */
static int in_child(int (*fn)(void *data), void *data)
{
	int *result = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0), ret;
	pid_t pid;

	*result = -1;
	pid = fork();
	if (!pid) {
		*result = fn(data);
		_exit(0);
	}
	ret = pid < 0 || wait_for(pid) ? -1 : *result;
	munmap(result, sizeof(int));
	return ret;
}

FIXTURE(map)
{
	int fd;
	uint32_t id;
	struct ioasid_get_info info;
	/* The last page that can be mapped */
	uint64_t last_page;
	/* MEM_SIZE bytes that were written to, and a page without access */
	char *mem;
	/* Before anything was mapped */
	long lck;
};

FIXTURE_SETUP(map)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, cmd_info(self->fd, &self->info));
	self->last_page = self->info.out_iova_last - (PAGE - 1);
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &self->id));
	self->mem = map_anon(MEM_SIZE + PAGE, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->mem);
	memset(self->mem, 1, MEM_SIZE);
	ASSERT_EQ(0, mprotect(self->mem + MEM_SIZE, PAGE, PROT_NONE));
	self->lck = vm_lck();
	ASSERT_LE(0, self->lck);
}

/* Whatever a test has left, nothing is charged for it after the last close. */
FIXTURE_TEARDOWN(map)
{
	close(self->fd);
	EXPECT_EQ(self->lck, vm_lck());
	munmap(self->mem, MEM_SIZE + PAGE);
}

/* Is as much charged as that? */
static bool charged(FIXTURE_DATA(map) *self, long pages)
{
	return vm_lck() == self->lck + pages;
}

/* Nothing is charged, and nothing mapped. */
static bool is_empty(FIXTURE_DATA(map) *self)
{
	return charged(self, 0) && !cmd_unmap_all(self->fd, self->id, 0);
}

TEST_F(map, info)
{
	uint64_t sizes = self->info.out_page_sizes;

	EXPECT_NE(0, sizes & PAGE);
	EXPECT_EQ(0, sizes & (PAGE - 1));
	EXPECT_LE(UINT32_MAX, self->info.out_iova_last);
	EXPECT_EQ(0, self->last_page & (PAGE - 1));
}

/* What is mapped is told by the file, and by /proc for people */
TEST_F(map, totals)
{
	char path[64], buf[1024], want[64];
	struct ioasid_get_info info;
	uint64_t iova = 0, done;
	uint32_t other;

	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &other));
	ASSERT_EQ(0, cmd_map(self->fd, self->id, MAP_RW, self->mem, 3 * PAGE,
			     &iova));
	ASSERT_EQ(0, cmd_map(self->fd, other, MAP_RW, self->mem, PAGE, &iova));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(4 * PAGE, info.out_mapped);
	EXPECT_EQ(0, info.out_attached);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	snprintf(want, sizeof(want), "ioasid-mapped:\t%lu\n",
		 (unsigned long)(4 * PAGE));
	ASSERT_EQ(0, file_read(path, buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, want));
	EXPECT_NE(NULL, strstr(buf, "ioasid-attached:\t0\n"));
	ASSERT_EQ(0, cmd_unmap(self->fd, other, iova, PAGE, &done));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(3 * PAGE, info.out_mapped);
	ASSERT_EQ(0, cmd_free(self->fd, self->id));
	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(0, info.out_mapped);
}

TEST_F(map, alloc_errors)
{
	struct ioasid_alloc arg = {
		.size = sizeof(arg),
		.flags = 1U << 31,
		.type = IOASID_TYPE_IOVA,
		.max = UINT32_MAX,
	};
	uint32_t id;

	EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_ALLOC, &arg));
	EXPECT_EQ(EINVAL, cmd_alloc_iova_range(self->fd, 6, 5, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_iova_range(self->fd, self->id, self->id,
					       &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_iova_range(self->fd,
					       self->info.out_max + 1,
					       UINT32_MAX, &id));
	EXPECT_EQ(ENOSPC, cmd_alloc_iova_range(self->fd, 0,
					       self->info.out_min - 1, &id));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

/* As a number it is one like others. */
TEST_F(map, is_an_ioasid)
{
	uint32_t id, state, found;
	uint64_t cookie;

	ASSERT_EQ(0, cmd_alloc_type(self->fd, IOASID_TYPE_IOVA, 5000, 5009, 77,
				    &id));
	EXPECT_LE(5000, id);
	EXPECT_GE(5009, id);
	EXPECT_EQ(0, cmd_query(self->fd, id, &state, &cookie));
	EXPECT_EQ(IOASID_STATE_LIVE, state);
	EXPECT_EQ(77, cookie);
	EXPECT_EQ(0, cmd_set_spid(self->fd, id, 3));
	EXPECT_EQ(0, cmd_find_spid(self->fd, 3, &found));
	EXPECT_EQ(id, found);
	EXPECT_EQ(0, cmd_free(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_free(self->fd, id));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

/* All three ioctls on an id. Returns their errno, -1 when they do not agree. */
static int cmd_each(int fd, uint32_t id, const void *va)
{
	struct ioasid_get_iova_ranges get;
	uint64_t iova, done;
	int ret = cmd_map_any(fd, id, va, PAGE, &iova);

	if (cmd_map_at(fd, id, va, PAGE, 0) != ret ||
	    cmd_unmap(fd, id, 0, PAGE, &done) != ret ||
	    cmd_unmap(fd, id, 0, UNMAP_ALL, &done) != ret ||
	    cmd_ranges(fd, id, NULL, 0, &get) != ret)
		return -1;
	return ret;
}

TEST_F(map, wrong_ids)
{
	uint32_t number, freed;
	uint64_t iova;
	int other;

	ASSERT_EQ(0, cmd_alloc(self->fd, &number));
	EXPECT_EQ(EINVAL, cmd_each(self->fd, number, self->mem));

	EXPECT_EQ(ENOENT, cmd_each(self->fd, 0, self->mem));
	EXPECT_EQ(ENOENT, cmd_each(self->fd, self->info.out_max, self->mem));
	EXPECT_EQ(ENOENT, cmd_each(self->fd, INVALID_ID, self->mem));

	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &freed));
	ASSERT_EQ(0, cmd_map_any(self->fd, freed, self->mem, PAGE, &iova));
	ASSERT_EQ(0, cmd_free(self->fd, freed));
	EXPECT_EQ(ENOENT, cmd_each(self->fd, freed, self->mem));

	/* Of another file */
	other = dev_open();
	ASSERT_LE(0, other);
	EXPECT_EQ(ENOENT, cmd_each(other, self->id, self->mem));
	close(other);
	EXPECT_TRUE(is_empty(self));
}

TEST_F(map, being_freed_is_ebusy)
{
	bool pending;

	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE, 0));
	ASSERT_EQ(0, tc("use %u", self->id));
	EXPECT_EQ(0, cmd_free_pending(self->fd, self->id, &pending));
	EXPECT_TRUE(pending);
	/* It waits for its user; the memory does not */
	EXPECT_TRUE(charged(self, 0));
	EXPECT_EQ(EBUSY, cmd_each(self->fd, self->id, self->mem));
	EXPECT_EQ(0, tc("unuse %u", self->id));
	EXPECT_EQ(ENOENT, cmd_each(self->fd, self->id, self->mem));
}

/* Then the user is told so, and gets another one of the same number. */
TEST_F(map, freed_by_the_kernel)
{
	uint32_t id;

	if (!tc_present())
		SKIP(return, "no test client (CONFIG_IOASID_TEST)");
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE, 0));
	ASSERT_EQ(0, tc("free %u", self->id));
	EXPECT_EQ(ENOENT, cmd_each(self->fd, self->id, self->mem));
	ASSERT_EQ(0, cmd_alloc_iova_range(self->fd, self->id, self->id, &id));
	EXPECT_TRUE(is_empty(self));
	EXPECT_EQ(0, cmd_map_at(self->fd, id, self->mem, PAGE, 0));
	EXPECT_TRUE(charged(self, 1));
	ASSERT_EQ(0, tc("free %u", id));
	/* To be found by the teardown */
}

/* A MAP of @flags and the rest; @va from the fixture's memory */
struct bad_map {
	uint32_t flags;
	uint64_t va;
	uint64_t length;
	uint64_t iova;
};

/* With addresses and lengths as they are, iova without FIXED_IOVA, too */
static int cmd_map_raw(FIXTURE_DATA(map) *self, const struct bad_map *bad)
{
	struct ioasid_map arg = {
		.size = sizeof(arg),
		.flags = bad->flags,
		.ioasid = self->id,
		.user_va = (uintptr_t)self->mem + bad->va,
		.length = bad->length,
		.iova = bad->iova,
		.out_iova = UNTOLD,
	};
	int ret = cmd(self->fd, IOASID_MAP, &arg);

	return ret && arg.out_iova != UNTOLD ? -1 : ret;
}

#define FIXED	(MAP_RW | IOASID_MAP_FIXED_IOVA)

TEST_F(map, map_einval)
{
	const uint64_t last = self->last_page;
	const struct bad_map bad[] = {
		/* Neither READ nor WRITE */
		{ 0, 0, PAGE, 0 },
		{ IOASID_MAP_FIXED_IOVA, 0, PAGE, 0 },
		/* No length */
		{ MAP_RW, 0, 0, 0 },
		{ FIXED, 0, 0, PAGE },
		/* Not aligned */
		{ MAP_RW, 0, 1, 0 },
		{ MAP_RW, 0, PAGE - 1, 0 },
		{ MAP_RW, 0, PAGE + 1, 0 },
		{ MAP_RW, 0, PAGE / 2, 0 },
		{ MAP_RW, 1, PAGE, 0 },
		{ MAP_RW, PAGE - 1, PAGE, 0 },
		{ MAP_RW, PAGE / 2, PAGE, 0 },
		{ MAP_RW, PAGE / 2, PAGE / 2, 0 },
		{ FIXED, 0, PAGE, 1 },
		{ FIXED, 0, PAGE, PAGE / 2 },
		{ FIXED, 0, PAGE, PAGE - 1 },
		{ FIXED, 0, PAGE, PAGE + 1 },
		/* An address that is not wanted */
		{ MAP_RW, 0, PAGE, PAGE },
		{ MAP_RW, 0, PAGE, 1 },
		{ MAP_RW, 0, PAGE, last },
		/* Beyond the last address */
		{ FIXED, 0, PAGE, last + PAGE },
		{ FIXED, 0, PAGE, last + 2 * PAGE },
		{ FIXED, 0, 2 * PAGE, last },
		{ FIXED, 0, MEM_SIZE, last - MEM_SIZE + 2 * PAGE },
		{ FIXED, 0, PAGE, 1ULL << 63 },
		{ FIXED, 0, PAGE, -PAGE },
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(EINVAL, cmd_map_raw(self, &bad[i])) {
			TH_LOG("number %u", i);
		}
	}
	EXPECT_TRUE(is_empty(self));
}

TEST_F(map, map_eopnotsupp)
{
	struct bad_map bad = { .length = PAGE };
	struct ioasid_map arg = {
		.size = sizeof(arg),
		.flags = MAP_RW,
		.ioasid = self->id,
		.__reserved = 1,
		.user_va = (uintptr_t)self->mem,
		.length = PAGE,
	};
	int bit;

	for (bit = 3; bit < 32; bit++) {
		bad.flags = MAP_RW | 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd_map_raw(self, &bad));
	}
	for (bit = 0; bit < 32; bit++) {
		arg.__reserved = 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_MAP, &arg));
	}
	EXPECT_TRUE(is_empty(self));
	arg.__reserved = 0;
	EXPECT_EQ(0, cmd(self->fd, IOASID_MAP, &arg));
}

/* Beyond the largest number; up to it they are wrong for other reasons. */
TEST_F(map, map_eoverflow)
{
	const uint64_t end = -(uintptr_t)self->mem;
	const struct bad_map bad[] = {
		{ MAP_RW, 0, end + PAGE, 0 },
		{ MAP_RW, end - PAGE, 2 * PAGE, 0 },
		{ MAP_RW, PAGE, -PAGE, 0 },
		{ FIXED, end - PAGE, 2 * PAGE, 0 },
		{ FIXED, 0, 2 * PAGE, -PAGE },
		{ FIXED, 0, -PAGE, 2 * PAGE },
		{ FIXED, 0, 1ULL << 63, (1ULL << 63) + PAGE },
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(EOVERFLOW, cmd_map_raw(self, &bad[i])) {
			TH_LOG("number %u", i);
		}
	}
	EXPECT_EQ(EINVAL, cmd_map_at(self->fd, self->id, self->mem, PAGE, -PAGE));
	EXPECT_EQ(EFAULT, cmd_map_at(self->fd, self->id, LAST_PAGE, PAGE, 0));
	EXPECT_TRUE(is_empty(self));
}

TEST_F(map, no_memory_is_efault)
{
	static void * const nowhere[] = {
		NULL, (void *)PAGE, KERNEL_ADDRESS, VSYSCALL, LAST_PAGE,
		(void *)(1UL << 63),
	};
	char *gone = map_anon(3 * PAGE, PROT_READ | PROT_WRITE);
	uint64_t iova, length;
	unsigned int i;

	for (i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
		EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, nowhere[i],
					      PAGE, &iova)) {
			TH_LOG("at %p", nowhere[i]);
		}
		EXPECT_EQ(EFAULT, cmd_map_at(self->fd, self->id, nowhere[i],
					     PAGE, PAGE));
		EXPECT_EQ(EFAULT, cmd_map_read(self->fd, self->id, nowhere[i],
					       PAGE));
	}
	/* A page without access, and one that is not there */
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, self->mem + MEM_SIZE,
				      PAGE, &iova));
	EXPECT_EQ(EFAULT, cmd_map_read(self->fd, self->id,
				       self->mem + MEM_SIZE, PAGE));
	ASSERT_NE(MAP_FAILED, gone);
	munmap(gone + PAGE, PAGE);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i == 1 ? EFAULT : 0,
			  cmd_map_at(self->fd, self->id, gone + i * PAGE, PAGE,
				     i * PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 2 * PAGE));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, gone, 2 * PAGE,
				      &iova));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, gone, 3 * PAGE,
				      &iova));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, gone + PAGE, 2 * PAGE,
				      &iova));
	/* More than there is; more than there can be */
	for (length = MEM_SIZE + PAGE; length < 1ULL << 31; length *= 2)
		EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, self->mem,
					      length, &iova));
	EXPECT_NE(0, cmd_map_any(self->fd, self->id, (void *)PAGE, -2 * PAGE,
				 &iova));
	EXPECT_NE(0, cmd_map_any(self->fd, self->id, self->mem,
				 -(uintptr_t)self->mem, &iova));
	EXPECT_TRUE(is_empty(self));
	munmap(gone, 3 * PAGE);
}

/* Some pages are there, and at the end something is wrong: all is undone. */
static int fail_at_the_end(FIXTURE_DATA(map) *self, uint32_t flags,
			   const char *va, uint64_t pages)
{
	uint64_t iova = SZ_2M, any;
	long long before = pinned();
	int ret;

	flags |= IOASID_MAP_FIXED_IOVA;
	ret = cmd_map(self->fd, self->id, flags, va, pages * PAGE, &iova);
	if (!ret || !is_empty(self))
		return -1;
	if (cmd_map(self->fd, self->id, flags & ~IOASID_MAP_FIXED_IOVA, va,
		    pages * PAGE, &any) != ret || !is_empty(self))
		return -1;
	if (!pinned_becomes(before))
		return -2;
	/* Without the end there is nothing wrong, and nothing in the way. */
	if (cmd_map(self->fd, self->id, flags, va, (pages - 1) * PAGE, &iova) ||
	    !charged(self, pages - 1) ||
	    cmd_unmap_whole(self->fd, self->id, iova, (pages - 1) * PAGE) ||
	    !charged(self, 0))
		return -3;
	return ret;
}

/* More than a buffer of the kernel has pages, and less */
#define NR_PARTS	5
static const unsigned int part_pages[NR_PARTS] = { 2, 3, 64, 513, 1100 };

TEST_F(map, efault_at_the_end)
{
	unsigned int i, n;
	char *va, *end;
	int fd;

	for (i = 0; i < NR_PARTS; i++) {
		n = part_pages[i];
		va = map_anon((n + 1) * PAGE, PROT_READ | PROT_WRITE);
		ASSERT_NE(MAP_FAILED, va);
		memset(va, 1, (n + 1) * PAGE);
		end = va + (n - 1) * PAGE;

		ASSERT_EQ(0, mprotect(end, PAGE, PROT_READ));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, MAP_RW, va, n));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, IOASID_MAP_WRITE, va, n));
		EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, n * PAGE));
		EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, n * PAGE));
		ASSERT_EQ(0, mprotect(end, PAGE, PROT_NONE));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, MAP_RW, va, n));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, IOASID_MAP_READ, va, n));
		munmap(end, PAGE);
		EXPECT_EQ(EFAULT, fail_at_the_end(self, MAP_RW, va, n));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, IOASID_MAP_READ, va, n));
		munmap(va, (n + 1) * PAGE);

		/*
		 * The file ends before its mapping does. That is not seen before
		 * the page is wanted, when others are pinned and mapped.
		 */
		fd = memfd((n - 1) * PAGE);
		ASSERT_LE(0, fd);
		va = map_shared(n * PAGE, PROT_READ | PROT_WRITE, fd);
		ASSERT_NE(MAP_FAILED, va);
		EXPECT_EQ(EFAULT, fail_at_the_end(self, MAP_RW, va, n));
		EXPECT_EQ(EFAULT, fail_at_the_end(self, IOASID_MAP_READ, va, n));
		munmap(va, n * PAGE);
		EXPECT_EQ(0, seal(fd));
		close(fd);
	}
}

/* In the middle of many VMAs, too */
TEST_F(map, memory_of_many_vmas)
{
	const unsigned int n = 600;
	uint64_t iova;
	unsigned int i;
	char *va;
	int fd;

	va = map_anon(n * PAGE, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, va);
	/* Every third one is of a file, every seventh can only be read */
	for (i = 0; i < n; i += 3) {
		fd = memfd(PAGE);
		ASSERT_LE(0, fd);
		ASSERT_NE(MAP_FAILED, mmap(va + i * PAGE, PAGE,
					   PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_FIXED, fd, 0));
		close(fd);
	}
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, n * PAGE, &iova));
	EXPECT_TRUE(charged(self, n));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova, n * PAGE));
	for (i = 0; i < n; i += 7)
		ASSERT_EQ(0, mprotect(va + i * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, va, n * PAGE, &iova));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, n * PAGE));
	EXPECT_TRUE(charged(self, n));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, n * PAGE));
	ASSERT_EQ(0, mprotect(va + n / 2 * PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(EFAULT, cmd_map_read(self->fd, self->id, va, n * PAGE));
	EXPECT_TRUE(is_empty(self));
	munmap(va, n * PAGE);
}

TEST_F(map, write_to_what_is_read_only)
{
	uint64_t iova;
	char *va;
	int fd;

	va = map_anon(2 * PAGE, PROT_READ);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, va, PAGE, &iova));
	EXPECT_EQ(EFAULT, cmd_map(self->fd, self->id, IOASID_MAP_WRITE, va, PAGE,
				  &iova));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, PAGE));
	/* One page that can be written, one that cannot */
	ASSERT_EQ(0, mprotect(va, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, PAGE, &iova));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, va, 2 * PAGE, &iova));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, 2 * PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 4 * PAGE));
	munmap(va, 2 * PAGE);

	/* It is the mapping that counts, not the file. */
	fd = memfd(PAGE);
	ASSERT_LE(0, fd);
	va = map_shared(PAGE, PROT_READ, fd);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, va, PAGE, &iova));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, PAGE));
	EXPECT_TRUE(is_empty(self));
	munmap(va, PAGE);
	close(fd);
}

/* The page that was mapped stays that of the process, whatever it does with it. */
static bool keeps_its_page(FIXTURE_DATA(map) *self, char *va, bool fork_later)
{
	uint64_t pfn, later;
	pid_t pid = 0;

	if (cmd_map_read(self->fd, self->id, va, PAGE))
		return false;
	pfn = pfn_of(va);
	if (fork_later) {
		pid = fork();
		if (!pid)
			for (;;)
				pause();
	}
	/* To a copy, if the page could be that of somebody else, too */
	*(volatile char *)va = 9;
	later = pfn_of(va);
	if (pid) {
		kill(pid, SIGKILL);
		wait_for(pid);
	}
	return !cmd_unmap_all(self->fd, self->id, PAGE) && pfn && pfn == later;
}

TEST_F(map, reading_gets_the_page_that_will_be_written)
{
	int prot = PROT_READ | PROT_WRITE, fd;
	uint64_t pfn;
	char *va, c;
	pid_t pid;

	if (!pfn_of(self->mem))
		SKIP(return, "no page frame numbers in pagemap");

	/* Memory that nobody has touched, which could be the page of zeroes */
	va = map_anon(PAGE, prot);
	EXPECT_TRUE(keeps_its_page(self, va, false));
	EXPECT_EQ(9, *va);
	munmap(va, PAGE);
	/* Or only looked at */
	va = map_anon(PAGE, prot);
	EXPECT_EQ(0, *(volatile char *)va);
	EXPECT_TRUE(keeps_its_page(self, va, false));
	munmap(va, PAGE);
	/* That cannot be written yet */
	va = map_anon(PAGE, PROT_READ);
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, PAGE));
	pfn = pfn_of(va);
	EXPECT_NE(0, pfn);
	ASSERT_EQ(0, mprotect(va, PAGE, prot));
	*va = 1;
	EXPECT_EQ(pfn, pfn_of(va));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, PAGE));
	munmap(va, PAGE);

	/* A page that is a child's, too */
	self->mem[0] = 5;
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	EXPECT_TRUE(keeps_its_page(self, self->mem, false));
	kill(pid, SIGKILL);
	wait_for(pid);
	/* Or becomes one */
	EXPECT_TRUE(keeps_its_page(self, self->mem + PAGE, true));

	/* Private memory of a file */
	fd = memfd(PAGE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	va = mmap(NULL, PAGE, prot, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ('x', *(volatile char *)va);
	EXPECT_TRUE(keeps_its_page(self, va, false));
	EXPECT_EQ(9, *va);
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ('x', c);
	munmap(va, PAGE);
	close(fd);
	EXPECT_TRUE(is_empty(self));
}

/* MAP has not changed what the process reads. */
TEST_F(map, contents_stay)
{
	char *exe, *copy;
	uint64_t iova;
	int fd;

	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	copy = malloc(PAGE);
	ASSERT_NE(NULL, copy);
	ASSERT_EQ(PAGE, pread(fd, copy, PAGE, 0));

	exe = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, exe);
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, exe, PAGE));
	EXPECT_EQ(0, memcmp(copy, exe, PAGE));
	EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, exe, PAGE, &iova));
	/* A private page can be written, whatever file system it is of */
	ASSERT_EQ(0, mprotect(exe, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, exe, PAGE, &iova));
	EXPECT_EQ(0, memcmp(copy, exe, PAGE));
	munmap(exe, PAGE);

	exe = map_shared(PAGE, PROT_READ, fd);
	ASSERT_NE(MAP_FAILED, exe);
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, exe, PAGE));
	EXPECT_EQ(0, memcmp(copy, exe, PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 3 * PAGE));
	munmap(exe, PAGE);
	free(copy);
	close(fd);
}

/* A file whose changes are looked for, shared; MAP_FAILED when there is none */
static char *map_watched_file(void)
{
	/* Not one that may have something on it */
	static const char * const devices[] = { "/dev/loop0", "/dev/ram0" };
	static const char * const dirs[] = {
		".", "/tmp", "/var/tmp", "/root", "/mnt",
	};
	char *va = MAP_FAILED;
	struct statfs fs;
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs) && va == MAP_FAILED; i++) {
		if (statfs(dirs[i], &fs) ||
		    (fs.f_type != EXT4_SUPER_MAGIC &&
		     fs.f_type != XFS_SUPER_MAGIC &&
		     fs.f_type != BTRFS_SUPER_MAGIC &&
		     fs.f_type != F2FS_SUPER_MAGIC))
			continue;
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			continue;
		if (!ftruncate(fd, PAGE))
			va = map_shared(PAGE, PROT_READ | PROT_WRITE, fd);
		close(fd);
	}
	for (i = 0; i < 2 && va == MAP_FAILED; i++) {
		fd = open(devices[i], O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		va = map_shared(PAGE, PROT_READ | PROT_WRITE, fd);
		close(fd);
	}
	return va;
}

TEST_F(map, memory_of_a_watched_file)
{
	char *va = map_watched_file();
	uint64_t iova;

	if (va == MAP_FAILED)
		SKIP(return, "no file system that writes back");
	EXPECT_EQ(EOPNOTSUPP, cmd_map_any(self->fd, self->id, va, PAGE, &iova));
	EXPECT_EQ(EOPNOTSUPP, cmd_map(self->fd, self->id, IOASID_MAP_WRITE, va,
				      PAGE, &iova));
	EXPECT_TRUE(is_empty(self));
	munmap(va, PAGE);
}

TEST_F(map, shared_memory)
{
	uint64_t iova;
	char *va;
	int fd;

	fd = memfd(MEM_SIZE);
	ASSERT_LE(0, fd);
	va = map_shared(MEM_SIZE, PROT_READ | PROT_WRITE, fd);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, MEM_SIZE, &iova));
	EXPECT_TRUE(charged(self, MEM_PAGES));
	munmap(va, MEM_SIZE);
	close(fd);

	va = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, MEM_SIZE, &iova));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va, MEM_SIZE));
	EXPECT_TRUE(charged(self, 3 * MEM_PAGES));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 3 * MEM_SIZE));
	munmap(va, MEM_SIZE);
}

/* What is pinned is seen by who wants a file not to be written any more. */
TEST_F(map, unmapped_is_unpinned)
{
	uint64_t iova, done;
	uint32_t id;
	int fd, how;
	char *va;

	for (how = 0; how < 3; how++) {
		int file = dev_open();

		ASSERT_LE(0, file);
		ASSERT_EQ(0, cmd_alloc_iova(file, &id));
		fd = memfd(MEM_SIZE);
		ASSERT_LE(0, fd);
		va = map_shared(MEM_SIZE, PROT_READ | PROT_WRITE, fd);
		ASSERT_NE(MAP_FAILED, va);
		ASSERT_EQ(0, cmd_map_any(file, id, va, MEM_SIZE, &iova));
		munmap(va, MEM_SIZE);
		/* The process does not have it any more, devices would. */
		EXPECT_EQ(EBUSY, seal(fd));
		EXPECT_TRUE(charged(self, MEM_PAGES));

		switch (how) {
		case 0:
			EXPECT_EQ(EINVAL, cmd_unmap(file, id, iova, PAGE, &done));
			EXPECT_EQ(EBUSY, seal(fd));
			EXPECT_EQ(0, cmd_unmap_whole(file, id, iova, MEM_SIZE));
			break;
		case 1:
			EXPECT_EQ(0, cmd_free(file, id));
			break;
		case 2:
			close(file);
			break;
		}
		EXPECT_TRUE(charged(self, 0));
		EXPECT_EQ(0, seal(fd));
		close(fd);
		if (how != 2)
			close(file);
	}
}

/* As many pins as pages, and none is left */
TEST_F(map, pins)
{
	long long before = pinned();
	unsigned int i, pages = 0;
	uint64_t iova[NR_PARTS];
	char *va;

	if (before < 0)
		SKIP(return, "no pins in /proc/vmstat");
	va = map_anon(1100 * PAGE, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, va);
	for (i = 0; i < NR_PARTS; i++) {
		ASSERT_EQ(0, cmd_map(self->fd, self->id,
				     i % 2 ? MAP_RW : IOASID_MAP_READ, va,
				     part_pages[i] * PAGE, &iova[i]));
		pages += part_pages[i];
		EXPECT_TRUE(pinned_becomes(before + pages));
	}
	EXPECT_TRUE(charged(self, pages));
	for (i = 0; i < NR_PARTS; i++) {
		EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova[i],
					     part_pages[i] * PAGE));
		pages -= part_pages[i];
		EXPECT_TRUE(pinned_becomes(before + pages));
		EXPECT_TRUE(charged(self, pages));
	}
	munmap(va, 1100 * PAGE);
}

static void *vvar(void)
{
	unsigned long start = 0;
	char line[256];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[vvar]"))
			start = strtoul(line, NULL, 16);
	if (f)
		fclose(f);
	return start ? (void *)start : MAP_FAILED;
}

/* A page of the first one of the files that can be mapped */
static void *map_file(const char *pattern, int flags, int prot, off_t offset)
{
	void *va = MAP_FAILED;
	glob_t found;
	size_t i;
	int fd;

	if (glob(pattern, 0, NULL, &found))
		return MAP_FAILED;
	for (i = 0; i < found.gl_pathc && va == MAP_FAILED; i++) {
		fd = open(found.gl_pathv[i], flags | O_CLOEXEC);
		if (fd < 0)
			continue;
		va = mmap(NULL, PAGE, prot, MAP_SHARED, fd, offset);
		close(fd);
	}
	globfree(&found);
	return va;
}

TEST_F(map, memory_that_cannot_be_pinned)
{
	/* The kernel's own; the BIOS; registers; memory that nobody else may see */
	static const char * const names[] = { "vvar", "mem", "PCI", "secret" };
	void *va[4] = { MAP_FAILED, MAP_FAILED, MAP_FAILED, MAP_FAILED };
	unsigned int i, nr = 0;
	uint64_t iova;
	int fd;

	va[0] = vvar();
	va[1] = map_file("/dev/mem", O_RDONLY, PROT_READ, 0xf0000);
	va[2] = map_file("/sys/bus/pci/devices/*/resource[0-5]", O_RDWR,
			 PROT_READ | PROT_WRITE, 0);
#ifdef SYS_memfd_secret
	fd = syscall(SYS_memfd_secret, O_CLOEXEC);
	if (fd >= 0 && !ftruncate(fd, PAGE))
		va[3] = map_shared(PAGE, PROT_READ | PROT_WRITE, fd);
	close(fd);
#else
	(void)fd;
#endif
	for (i = 0; i < 4; i++) {
		if (va[i] == MAP_FAILED)
			continue;
		nr++;
		EXPECT_EQ(EFAULT, cmd_map_read(self->fd, self->id, va[i], PAGE)) {
			TH_LOG("%s", names[i]);
		}
		EXPECT_EQ(EFAULT, cmd_map_any(self->fd, self->id, va[i], PAGE,
					      &iova)) {
			TH_LOG("%s", names[i]);
		}
	}
	/* It is locked, too */
	if (va[3] != MAP_FAILED)
		munmap(va[3], PAGE);
	EXPECT_TRUE(is_empty(self));
	if (!nr)
		SKIP(return, "no memory that cannot be pinned");
}

/* A large page of the process is charged in 4 KiB, and pinned as often. */
TEST_F(map, transparent_huge_pages)
{
	static const struct {
		uint64_t offset;
		uint64_t length;
	} parts[] = {
		{ 0, SZ_2M }, { 0, 2 * SZ_2M }, { 3 * PAGE, SZ_2M },
		{ 3 * PAGE, 2 * SZ_2M }, { SZ_2M - PAGE, 2 * PAGE },
		{ PAGE, PAGE }, { SZ_2M, SZ_2M - PAGE },
		{ SZ_2M - PAGE, SZ_2M + 2 * PAGE },
	};
	const unsigned int nr = sizeof(parts) / sizeof(*parts);
	uint64_t iova[sizeof(parts) / sizeof(*parts)], bytes = 0;
	long long before = pinned();
	char *start, *va;
	unsigned int i;

	start = map_anon(4 * SZ_2M, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, start);
	va = (char *)(((uintptr_t)start + SZ_2M - 1) & -SZ_2M);
	/* Where there are none, these are small pages. */
	madvise(va, 3 * SZ_2M, MADV_HUGEPAGE);
	memset(va, 1, 3 * SZ_2M);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id,
					 va + parts[i].offset, parts[i].length,
					 &iova[i]));
		bytes += parts[i].length;
		EXPECT_TRUE(charged(self, bytes / PAGE));
		EXPECT_TRUE(congruent(va + parts[i].offset, iova[i],
				      largest_page(self->info.out_page_sizes,
						   parts[i].length)));
	}
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before + bytes / PAGE));
	for (i = 0; i < nr; i++) {
		bytes -= parts[i].length;
		EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova[i],
					     parts[i].length));
		EXPECT_TRUE(charged(self, bytes / PAGE));
	}
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before));
	munmap(start, 4 * SZ_2M);
}

TEST_F(map, hugetlb)
{
	const char *nr = "/proc/sys/vm/nr_hugepages";
	const char *info = "/proc/meminfo";
	char *va = MAP_FAILED, old[32], more[32];
	long long before, unused;
	uint64_t iova;

	if (number_in(info, "Hugepagesize:") != 2048 ||
	    file_read(nr, old, sizeof(old)))
		SKIP(return, "no hugetlb of 2 MiB");
	before = pinned();
	snprintf(more, sizeof(more), "%d", atoi(old) + 2);
	file_write(nr, more);
	unused = number_in(info, "HugePages_Free:");
	if (unused >= 2)
		va = mmap(NULL, 2 * SZ_2M, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (va == MAP_FAILED) {
		file_write(nr, old);
		SKIP(return, "no huge pages");
	}
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, 2 * SZ_2M, &iova));
	EXPECT_TRUE(charged(self, 2 * SZ_2M / PAGE));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va + 3 * PAGE, SZ_2M));
	EXPECT_EQ(0, cmd_map_read(self->fd, self->id, va + SZ_2M - PAGE, 2 * PAGE));
	munmap(va, 2 * SZ_2M);
	EXPECT_EQ(unused - 2, number_in(info, "HugePages_Free:"));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 3 * SZ_2M + 2 * PAGE));
	EXPECT_EQ(unused, number_in(info, "HugePages_Free:"));
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before));
	EXPECT_TRUE(is_empty(self));
	file_write(nr, old);
}

TEST_F(map, vmlck)
{
	uint64_t iova[8], length;
	uint32_t id, other;
	long sum = 0;
	int i, fd;

	/* The same memory, as often as it is mapped */
	for (i = 0; i < 8; i++) {
		length = (i + 1) * 3 * PAGE;
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem + i * PAGE,
					 length, &iova[i]));
		sum += length / PAGE;
		ASSERT_TRUE(charged(self, sum));
	}
	EXPECT_EQ(EEXIST, cmd_map_at(self->fd, self->id, self->mem, PAGE,
				     iova[3]));
	EXPECT_EQ(EFAULT, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE + PAGE,
				     1ULL << 31));
	EXPECT_TRUE(charged(self, sum));
	for (i = 0; i < 8; i += 2) {
		length = (i + 1) * 3 * PAGE;
		ASSERT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova[i], length));
		sum -= length / PAGE;
		EXPECT_TRUE(charged(self, sum));
	}

	/* Another one, and one of another file */
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &id));
	fd = dev_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cmd_alloc_iova(fd, &other));
	EXPECT_EQ(0, cmd_map_any(self->fd, id, self->mem, 5 * PAGE, iova));
	EXPECT_EQ(0, cmd_map_any(fd, other, self->mem, 7 * PAGE, iova));
	EXPECT_TRUE(charged(self, sum + 12));
	EXPECT_EQ(0, cmd_free(self->fd, id));
	EXPECT_TRUE(charged(self, sum + 7));
	EXPECT_EQ(0, close(fd));
	EXPECT_TRUE(charged(self, sum));
	EXPECT_EQ(0, cmd_free(self->fd, self->id));
	EXPECT_TRUE(charged(self, 0));

	/* The last close does it, not the first one */
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &self->id));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, MEM_SIZE, iova));
	fd = dup(self->fd);
	close(self->fd);
	EXPECT_TRUE(charged(self, MEM_PAGES));
	close(fd);
	EXPECT_TRUE(charged(self, 0));
	self->fd = -1;
}

/* The process may do without the memory that it has mapped. */
TEST_F(map, vmlck_of_memory_that_is_gone)
{
	uint64_t iova;
	char *va;

	va = map_anon(MEM_SIZE, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, va, MEM_SIZE, &iova));
	munmap(va, MEM_SIZE);
	EXPECT_TRUE(charged(self, MEM_PAGES));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova, MEM_SIZE));
	EXPECT_TRUE(charged(self, 0));

	/* mlock() has the same count */
	ASSERT_EQ(0, mlock(self->mem, 4 * PAGE));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, 8 * PAGE, &iova));
	EXPECT_TRUE(charged(self, 12));
	ASSERT_EQ(0, munlock(self->mem, 4 * PAGE));
	EXPECT_TRUE(charged(self, 8));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 8 * PAGE));
}

/* In a child, which has nothing locked */
static int up_to_the_limit(void *data)
{
	FIXTURE_DATA(map) *self = data;
	uint64_t iova[2], done;
	int round;

	/* Whole pages count */
	for (round = 0; round < 2; round++) {
		MUST(!vm_lck());
		MUST(!limit_memlock(round ? 8 * PAGE : 9 * PAGE - 1));
		MUST(!drop_ipc_lock());

		MUST(cmd_map_any(self->fd, self->id, self->mem, 9 * PAGE,
				 iova) == ENOMEM);
		MUST(!vm_lck());
		MUST(!cmd_map_any(self->fd, self->id, self->mem, 8 * PAGE, iova));
		MUST(vm_lck() == 8);
		MUST(cmd_map_any(self->fd, self->id, self->mem, PAGE, iova + 1) ==
		     ENOMEM);
		MUST(cmd_map_at(self->fd, self->id, self->mem, PAGE, 0) == ENOMEM);
		MUST(cmd_map_read(self->fd, self->id, self->mem, PAGE) == ENOMEM);
		MUST(vm_lck() == 8);
		MUST(!cmd_unmap_whole(self->fd, self->id, iova[0], 8 * PAGE));
		MUST(!vm_lck());
		/* Nothing is there of what failed */
		MUST(cmd_unmap(self->fd, self->id, 0, PAGE, &done) == ENOENT);
		MUST(!cmd_unmap_all(self->fd, self->id, 0));

		MUST(!cmd_map_at(self->fd, self->id, self->mem, 7 * PAGE, 0));
		MUST(cmd_map_any(self->fd, self->id, self->mem, 2 * PAGE, iova) ==
		     ENOMEM);
		MUST(!cmd_map_any(self->fd, self->id, self->mem, PAGE, iova));
		MUST(cmd_map_any(self->fd, self->id, self->mem, PAGE, iova) ==
		     ENOMEM);
		MUST(!cmd_unmap_all(self->fd, self->id, 8 * PAGE));

		MUST(!mlock(self->mem, 3 * PAGE));
		MUST(cmd_map_any(self->fd, self->id, self->mem, 6 * PAGE, iova) ==
		     ENOMEM);
		MUST(!cmd_map_any(self->fd, self->id, self->mem, 5 * PAGE, iova));
		MUST(!munlock(self->mem, 3 * PAGE));
		MUST(!cmd_free(self->fd, self->id));
		MUST(!vm_lck());
		MUST(!cmd_alloc_iova(self->fd, &self->id));
	}
	/* What is not allowed at all */
	MUST(!limit_memlock(PAGE - 1));
	MUST(cmd_map_any(self->fd, self->id, self->mem, PAGE, iova) == ENOMEM);
	MUST(!vm_lck());
	return 0;
}

TEST_F(map, memlock_limit)
{
	EXPECT_EQ(0, in_child(up_to_the_limit, self));
}

static int beyond_the_limit(void *data)
{
	FIXTURE_DATA(map) *self = data;
	uint64_t iova;

	MUST(!limit_memlock(PAGE));
	MUST(!cmd_map_any(self->fd, self->id, self->mem, MEM_SIZE, &iova));
	MUST(vm_lck() == MEM_PAGES);
	MUST(!cmd_unmap_all(self->fd, self->id, MEM_SIZE));
	MUST(!vm_lck());
	return 0;
}

TEST_F(map, memlock_limit_is_overridden)
{
	EXPECT_EQ(0, in_child(beyond_the_limit, self));
}

static int map_in_child(void *data)
{
	FIXTURE_DATA(map) *self = data;

	MUST(!vm_lck());
	MUST(!cmd_map_at(self->fd, self->id, self->mem, 10 * PAGE, 0));
	MUST(vm_lck() == 10);
	/* What it unmaps is its own, too */
	MUST(!cmd_map_at(self->fd, self->id, self->mem, PAGE, SZ_2M));
	MUST(!cmd_unmap_whole(self->fd, self->id, SZ_2M, PAGE));
	MUST(vm_lck() == 10);
	return 0;
}

static int unmap_in_child(void *data)
{
	FIXTURE_DATA(map) *self = data;

	MUST(!vm_lck());
	MUST(!cmd_unmap_whole(self->fd, self->id, 0, 10 * PAGE));
	MUST(!vm_lck());
	return 0;
}

TEST_F(map, who_maps_is_charged)
{
	long long before = pinned();

	/* What a child has mapped outlives it, as the file does. */
	EXPECT_EQ(0, in_child(map_in_child, self));
	EXPECT_TRUE(charged(self, 0));
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before + 10));
	EXPECT_EQ(EEXIST, cmd_map_at(self->fd, self->id, self->mem, PAGE, 0));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 0, 10 * PAGE));
	EXPECT_TRUE(charged(self, 0));
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before));

	/* Who unmaps is not */
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 10 * PAGE, 0));
	EXPECT_EQ(0, in_child(unmap_in_child, self));
	EXPECT_TRUE(charged(self, 0));

	/* Nor does FREE or the last close need who has mapped. */
	EXPECT_EQ(0, in_child(map_in_child, self));
	EXPECT_EQ(0, cmd_free(self->fd, self->id));
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &self->id));
	EXPECT_EQ(0, in_child(map_in_child, self));
	close(self->fd);
	self->fd = -1;
	if (before >= 0)
		EXPECT_TRUE(pinned_becomes(before));
}

/* What a task that may have little memory maps where each page needs tables */
#define TABLES_CGROUP	"/sys/fs/cgroup/ioasid-map"
#define TABLES_MAX	(16 << 20)

struct tables {
	int fd;
	uint32_t id;
	void *mem;
	/* Mappings */
	uint64_t nr;
};

static int map_far_apart(void *data)
{
	struct cgroup cg = { TABLES_CGROUP };
	struct tables *t = data;

	MUST(!cg_enter(&cg, getpid()));
	while (t->nr < MAX_MAPPINGS &&
	       !cmd_map_at(t->fd, t->id, t->mem, PAGE, (t->nr + 1) * SZ_1G))
		t->nr++;
	return 0;
}

TEST_F(map, page_tables_are_charged)
{
	struct cgroup root = { "/sys/fs/cgroup" }, cg = { TABLES_CGROUP };
	struct tables *t;

	if (cg_write(&root, "cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory controller");
	ASSERT_EQ(0, cg_make(&cg));
	ASSERT_EQ(0, cg_write(&cg, "memory.max", "16M"));
	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, t);
	*t = (struct tables){ self->fd, self->id, self->mem };
	/* It is refused, or killed */
	in_child(map_far_apart, t);
	TH_LOG("%lu mappings", (unsigned long)t->nr);
	EXPECT_LT(TABLES_MAX / 4 / (2 * PAGE), t->nr);
	EXPECT_GT(TABLES_MAX / (2 * PAGE), t->nr);
	EXPECT_LT(TABLES_MAX / 4, cg_number(&cg, "memory.current", ""));
	ASSERT_EQ(0, cmd_free(self->fd, self->id));
	/* But for what each CPU has charged in advance */
	EXPECT_GT(TABLES_MAX / 4, cg_number(&cg, "memory.current", ""));
	munmap(t, sizeof(*t));
	EXPECT_EQ(0, cg_remove(&cg));
}

TEST_F(map, fixed_addresses)
{
	const uint64_t last = self->last_page;
	uint64_t iova;

	/* The first and the last page there are */
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, 0));
	EXPECT_EQ(EEXIST, cmd_map_at(self->fd, self->id, self->mem, PAGE, 0));
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, last));
	EXPECT_EQ(EEXIST, cmd_map_at(self->fd, self->id, self->mem, PAGE, last));
	EXPECT_EQ(EINVAL, cmd_map_at(self->fd, self->id, self->mem, PAGE,
				     last + PAGE));
	EXPECT_EQ(EEXIST, cmd_map_at(self->fd, self->id, self->mem, 2 * PAGE,
				     last - PAGE));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE, &iova));
	EXPECT_TRUE(charged(self, 3));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, last, PAGE));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 0, PAGE));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova, PAGE));
	EXPECT_TRUE(is_empty(self));

	/* Many of them */
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE,
				last - MEM_SIZE + PAGE));
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE, 0));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 2 * MEM_SIZE));
}

TEST_F(map, overlaps)
{
	/* In pages, and whether it overlaps those from 20 up to 30 */
	static const struct {
		unsigned int first, end;
		bool overlaps;
	} other[] = {
		{ 10, 21, true }, { 29, 40, true }, { 20, 30, true },
		{ 24, 26, true }, { 20, 21, true }, { 29, 30, true },
		{ 10, 40, true }, { 20, 40, true }, { 10, 30, true },
		{ 19, 31, true },
		{ 19, 20, false }, { 30, 31, false }, { 10, 20, false },
		{ 30, 40, false }, { 0, 20, false },
	};
	uint64_t iova, length;
	unsigned int i;
	uint32_t id;

	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 10 * PAGE,
				20 * PAGE));
	for (i = 0; i < sizeof(other) / sizeof(*other); i++) {
		iova = other[i].first * PAGE;
		length = other[i].end * PAGE - iova;
		EXPECT_EQ(other[i].overlaps ? EEXIST : 0,
			  cmd_map_at(self->fd, self->id, self->mem, length, iova)) {
			TH_LOG("%u-%u", other[i].first, other[i].end);
		}
		if (other[i].overlaps) {
			EXPECT_TRUE(charged(self, 10));
			continue;
		}
		EXPECT_TRUE(charged(self, 10 + length / PAGE));
		EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova, length));
	}
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 20 * PAGE, 10 * PAGE));

	/* Of one address space only */
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, PAGE));
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &id));
	EXPECT_EQ(0, cmd_map_at(self->fd, id, self->mem, PAGE, PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, id, PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, PAGE));
}

TEST_F(map, unmap_errors)
{
	struct ioasid_unmap arg = {
		.size = sizeof(arg),
		.ioasid = self->id,
		.length = PAGE,
	};
	static const uint64_t unaligned[][2] = {
		{ 0, 0 }, { PAGE, 0 }, { 0, 1 }, { 0, PAGE - 1 }, { 0, PAGE + 1 },
		{ 1, PAGE }, { PAGE - 1, PAGE }, { PAGE / 2, PAGE },
		{ PAGE / 2, PAGE / 2 }, { 0, UINT64_MAX - 1 },
		{ 1, UINT64_MAX }, { PAGE, UINT64_MAX },
	};
	static const uint64_t overflow[][2] = {
		{ -PAGE, 2 * PAGE }, { 2 * PAGE, -PAGE },
		{ 1ULL << 63, (1ULL << 63) + PAGE },
	};
	static const uint64_t empty[][2] = {
		{ 0, PAGE }, { 0, -PAGE }, { PAGE, -PAGE }, { -PAGE, PAGE },
		{ 1ULL << 63, 1ULL << 63 },
	};
	uint64_t done;
	unsigned int i;
	int bit;

	for (i = 0; i < sizeof(unaligned) / sizeof(*unaligned); i++) {
		EXPECT_EQ(EINVAL, cmd_unmap(self->fd, self->id, unaligned[i][0],
					    unaligned[i][1], &done)) {
			TH_LOG("number %u", i);
		}
	}
	for (i = 0; i < sizeof(overflow) / sizeof(*overflow); i++) {
		EXPECT_EQ(EOVERFLOW, cmd_unmap(self->fd, self->id, overflow[i][0],
					       overflow[i][1], &done)) {
			TH_LOG("number %u", i);
		}
	}
	for (i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		EXPECT_EQ(ENOENT, cmd_unmap(self->fd, self->id, empty[i][0],
					    empty[i][1], &done)) {
			TH_LOG("number %u", i);
		}
	}
	for (bit = 0; bit < 32; bit++) {
		arg.__reserved = 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_UNMAP, &arg));
	}
	/* Everything may be nothing */
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 0));
}

TEST_F(map, unmap_that_cuts)
{
	/* In pages, of mappings from 10 to 20, 20 to 22, 30 to 40 */
	static const unsigned int cuts[][2] = {
		{ 10, 19 }, { 11, 20 }, { 12, 13 }, { 0, 11 }, { 19, 20 },
		{ 19, 22 }, { 10, 21 }, { 21, 22 }, { 20, 31 }, { 21, 40 },
		{ 10, 39 }, { 11, 40 }, { 22, 31 }, { 39, 50 }, { 0, 35 },
		{ 35, 36 },
	};
	const uint64_t last = self->last_page;
	uint64_t done;
	unsigned int i;

	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 10 * PAGE,
				10 * PAGE));
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 2 * PAGE,
				20 * PAGE));
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 10 * PAGE,
				30 * PAGE));
	for (i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		EXPECT_EQ(EINVAL, cmd_unmap(self->fd, self->id, cuts[i][0] * PAGE,
					    (cuts[i][1] - cuts[i][0]) * PAGE,
					    &done)) {
			TH_LOG("%u-%u", cuts[i][0], cuts[i][1]);
		}
	}
	EXPECT_TRUE(charged(self, 22));
	/* All are there still, each as a whole */
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 20 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 10 * PAGE, 10 * PAGE));
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, 30 * PAGE, 10 * PAGE));
	EXPECT_TRUE(is_empty(self));

	/* At the end of the addresses */
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 2 * PAGE,
				last - PAGE));
	EXPECT_EQ(EINVAL, cmd_unmap(self->fd, self->id, last, PAGE, &done));
	EXPECT_EQ(EINVAL, cmd_unmap(self->fd, self->id, last - PAGE, PAGE, &done));
	EXPECT_EQ(EINVAL, cmd_unmap(self->fd, self->id, last, -last, &done));
	EXPECT_EQ(0, cmd_unmap(self->fd, self->id, last - PAGE, PAGE - last, &done));
	EXPECT_EQ(2 * PAGE, done);
	EXPECT_TRUE(is_empty(self));
}

TEST_F(map, unmap_of_several)
{
	static const unsigned int first[] = { 0, 1, 5, 9, 10, 30, 40 };
	static const unsigned int pages[] = { 1, 2, 1, 1, 8, 3, 5 };
	unsigned int i, total = 0;
	uint64_t done;

	for (i = 0; i < 7; i++) {
		ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem,
					pages[i] * PAGE, first[i] * PAGE));
		total += pages[i];
	}
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, 6 * PAGE,
				self->last_page - 5 * PAGE));
	total += 6;

	/* Holes at both ends and in between do not count */
	EXPECT_EQ(0, cmd_unmap(self->fd, self->id, 4 * PAGE, 15 * PAGE, &done));
	EXPECT_EQ((1 + 1 + 8) * PAGE, done);
	total -= 10;
	EXPECT_TRUE(charged(self, total));
	EXPECT_EQ(ENOENT, cmd_unmap(self->fd, self->id, 3 * PAGE, 27 * PAGE,
				    &done));
	/* From 0 on, not as a special case */
	EXPECT_EQ(0, cmd_unmap(self->fd, self->id, 0, 33 * PAGE, &done));
	EXPECT_EQ((1 + 2 + 3) * PAGE, done);
	total -= 6;
	EXPECT_TRUE(charged(self, total));
	EXPECT_EQ(ENOENT, cmd_unmap(self->fd, self->id, 0, 40 * PAGE, &done));
	/* All but the first page, up to the largest number */
	EXPECT_EQ(0, cmd_unmap(self->fd, self->id, PAGE, -PAGE, &done));
	EXPECT_EQ(total * PAGE, done);
	EXPECT_TRUE(is_empty(self));

	for (i = 0; i < 7; i++)
		ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem,
					pages[i] * PAGE, first[i] * PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, 21 * PAGE));
	EXPECT_TRUE(is_empty(self));
}

/* A page of the table can be large only where both addresses agree. */
TEST_F(map, chosen_addresses_are_congruent)
{
	static const uint64_t offsets[] = {
		0, PAGE, 3 * PAGE, SZ_2M / 2, SZ_2M - PAGE,
	};
	static const uint64_t lengths[] = {
		PAGE, 3 * PAGE, SZ_2M - PAGE, SZ_2M, SZ_2M + PAGE,
	};
	uint64_t iova, size, i, j, total = 0;
	char *start, *va;
	int round;

	start = map_anon(4 * SZ_2M, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, start);
	va = (char *)(((uintptr_t)start + SZ_2M - 1) & -SZ_2M);
	/* Then with a page in every third MiB, so that not every gap will do */
	for (round = 0; round < 2; round++) {
		for (i = 1; round && i < 12; i++)
			ASSERT_EQ(0, cmd_map_at(self->fd, self->id, va, PAGE,
						i * 3 * SZ_2M / 2));
		for (i = 0; i < 25; i++) {
			j = i / 5;
			size = largest_page(self->info.out_page_sizes, lengths[j]);
			ASSERT_EQ(0, cmd_map_any(self->fd, self->id,
						 va + offsets[i % 5], lengths[j],
						 &iova));
			total += lengths[j];
			EXPECT_TRUE(congruent(va + offsets[i % 5], iova, size)) {
				TH_LOG("round %d: %#llx bytes %#llx behind a border at %#llx",
				       round, (unsigned long long)lengths[j],
				       (unsigned long long)offsets[i % 5],
				       (unsigned long long)iova);
			}
			/* Programs take 0 for no address */
			EXPECT_NE(0, iova);
			EXPECT_EQ(0, iova & (PAGE - 1));
			EXPECT_GE(self->info.out_iova_last,
				  iova + lengths[j] - 1);
		}
		EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, total));
		total = 11 * PAGE;
	}
	munmap(start, 4 * SZ_2M);
}

TEST_F(map, zero_is_never_chosen)
{
	uint64_t iova;
	int i;

	/* Also where the first page is the only gap */
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, PAGE));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE,
					 &iova));
		EXPECT_NE(0, iova);
	}
	/* And where it has been used */
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, 0));
	ASSERT_EQ(0, cmd_unmap_whole(self->fd, self->id, 0, PAGE));
	ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE, &iova));
	EXPECT_NE(0, iova);
	ASSERT_EQ(0, cmd_unmap(self->fd, self->id, PAGE, -PAGE, &iova));
	EXPECT_EQ(12 * PAGE, iova);
	ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE, &iova));
	EXPECT_NE(0, iova);
}

struct mapping {
	uint64_t iova;
	uint64_t length;
};

/* What is mapped, in no order */
struct model {
	struct mapping maps[4096];
	unsigned int nr;
	uint64_t bytes;
};

static bool overlap(const struct mapping *map, uint64_t iova, uint64_t length)
{
	return map->iova < iova + length && iova < map->iova + map->length;
}

static bool model_is_free(const struct model *m, uint64_t iova, uint64_t length)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		if (overlap(&m->maps[i], iova, length))
			return false;
	return true;
}

static void model_add(struct model *m, uint64_t iova, uint64_t length)
{
	m->maps[m->nr++] = (struct mapping) { iova, length };
	m->bytes += length;
}

/* What UNMAP has to return */
static int model_unmap(struct model *m, uint64_t iova, uint64_t length,
		       uint64_t *done)
{
	struct mapping *map;
	unsigned int i;

	*done = 0;
	for (i = 0; i < m->nr; i++) {
		map = &m->maps[i];
		if (!overlap(map, iova, length))
			continue;
		if (map->iova < iova || map->iova + map->length > iova + length)
			return EINVAL;
		*done += map->length;
	}
	for (i = 0; i < m->nr;)
		if (overlap(&m->maps[i], iova, length))
			m->maps[i] = m->maps[--m->nr];
		else
			i++;
	m->bytes -= *done;
	return *done ? 0 : ENOENT;
}

static uint64_t rnd_state;

static uint32_t rnd(void)
{
	/* xorshift64*, Vigna */
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return (rnd_state * 0x2545f4914f6cdd1dull) >> 32;
}

TEST_F(map, holes_are_used)
{
	static struct model m;
	const uint64_t length = 4 * PAGE;
	uint64_t iova[200], end = 0, got;
	unsigned int i;

	/* Of different lengths, so that one hole is no other */
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem,
					 length + i % 3 * PAGE, &iova[i]));
		ASSERT_TRUE(model_is_free(&m, iova[i], length + i % 3 * PAGE));
		model_add(&m, iova[i], length + i % 3 * PAGE);
		if (iova[i] > end)
			end = iova[i];
	}
	for (i = 1; i < 200; i += 2) {
		ASSERT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova[i],
					     length + i % 3 * PAGE));
		ASSERT_EQ(0, model_unmap(&m, iova[i], length + i % 3 * PAGE,
					 &got));
	}
	/* As many again have room, before anything comes behind the last one */
	for (i = 1; i < 200; i += 2) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, length,
					 &got));
		EXPECT_TRUE(model_is_free(&m, got, length));
		EXPECT_GE(end, got);
		model_add(&m, got, length);
	}
	/* Those that do not fit come there, those that do into what is left */
	ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, 7 * PAGE, &got));
	EXPECT_TRUE(model_is_free(&m, got, 7 * PAGE));
	EXPECT_LT(end, got);
	model_add(&m, got, 7 * PAGE);
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE,
					 &got));
		EXPECT_TRUE(model_is_free(&m, got, PAGE));
		EXPECT_GE(end, got);
		model_add(&m, got, PAGE);
	}
	EXPECT_TRUE(charged(self, m.bytes / PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, m.bytes));
}

/* Each just wide enough, from where the kernel begins to look on */
TEST_F(map, narrow_holes_are_used)
{
	const uint64_t base = 1ULL << 32;
	const unsigned int nr = 100;
	bool used[201] = { };
	uint64_t iova;
	unsigned int i;

	for (i = 1; i < 2 * nr; i += 2)
		ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE,
					base + i * PAGE));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE,
					 &iova));
		iova = (iova - base) / PAGE;
		ASSERT_GT(2 * nr, iova);
		ASSERT_EQ(0, iova % 2);
		ASSERT_FALSE(used[iova]);
		used[iova] = true;
	}
	ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE, &iova));
	EXPECT_LE(base + 2 * nr * PAGE, iova);
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id,
				   (2 * nr + 1) * PAGE));
}

#define MODEL_ROUNDS	4000
/* Addresses that the model maps, the kernel's choice and its own */
#define MODEL_PAGES	2048
#define MODEL_LONGEST	24

TEST_F(map, model)
{
	uint64_t iova, length, done, want;
	int i, ret, expected;
	static struct model m;
	const char *va;

	rnd_state = 20;
	for (i = 0; i < MODEL_ROUNDS; i++) {
		length = (1 + rnd() % MODEL_LONGEST) * PAGE;
		iova = rnd() % MODEL_PAGES * PAGE;
		va = self->mem + rnd() % (MEM_PAGES - MODEL_LONGEST) * PAGE;
		switch (rnd() % 8) {
		case 0:
		case 1:
		case 2:
			ASSERT_EQ(0, cmd_map_any(self->fd, self->id, va, length,
						 &iova));
			ASSERT_NE(0, iova);
			ASSERT_EQ(0, iova & (PAGE - 1));
			ASSERT_GE(self->info.out_iova_last, iova + length - 1);
			ASSERT_TRUE(model_is_free(&m, iova, length)) {
				TH_LOG("step %d: %#llx bytes at %#llx", i,
				       (unsigned long long)length,
				       (unsigned long long)iova);
			}
			model_add(&m, iova, length);
			break;
		case 3:
		case 4:
			expected = model_is_free(&m, iova, length) ? 0 : EEXIST;
			ASSERT_EQ(expected, cmd_map_at(self->fd, self->id, va,
						       length, iova)) {
				TH_LOG("step %d", i);
			}
			if (!expected)
				model_add(&m, iova, length);
			break;
		case 5:
			if (!m.nr)
				break;
			/* One that there is */
			iova = rnd() % m.nr;
			length = m.maps[iova].length;
			iova = m.maps[iova].iova;
			/* fallthrough */
		default:
			expected = model_unmap(&m, iova, length, &want);
			ret = cmd_unmap(self->fd, self->id, iova, length, &done);
			ASSERT_EQ(expected, ret) {
				TH_LOG("step %d", i);
			}
			if (!ret)
				ASSERT_EQ(want, done);
		}
		if (i % 50 == 0)
			ASSERT_TRUE(charged(self, m.bytes / PAGE));
	}
	ASSERT_TRUE(charged(self, m.bytes / PAGE));
	/* One by one, half of them */
	for (i = m.nr / 2; i > 0; i--) {
		iova = m.maps[0].iova;
		length = m.maps[0].length;
		ASSERT_EQ(0, cmd_unmap_whole(self->fd, self->id, iova, length));
		ASSERT_EQ(0, model_unmap(&m, iova, length, &done));
	}
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, m.bytes));
	EXPECT_TRUE(is_empty(self));
}

struct no_room {
	FIXTURE_DATA(map) *self;
	uint64_t step;
};

/*
 * No gap is as wide as what is to be mapped. There is memory for it, but only in
 * name: if the kernel found room after all, the limit would save the machine.
 */
static int map_without_room(void *data)
{
	const struct no_room *no = data;
	FIXTURE_DATA(map) *self = no->self;
	uint64_t iova, at, nr;
	char *va;

	va = mmap(NULL, no->step, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (va == MAP_FAILED)
		return ENOMEM;
	nr = self->last_page / no->step + 1;
	MUST(!limit_memlock((nr + MEM_PAGES) * PAGE));
	MUST(!drop_ipc_lock());
	for (at = 0; at <= self->last_page; at += no->step)
		MUST(!cmd_map_at(self->fd, self->id, self->mem, PAGE, at));
	MUST(cmd_map_any(self->fd, self->id, va, no->step, &iova) == ENOSPC);
	MUST(vm_lck() == (long)nr);
	/* There is room for others */
	MUST(!cmd_map_any(self->fd, self->id, self->mem, MEM_SIZE, &iova));
	MUST(!cmd_unmap_whole(self->fd, self->id, iova, MEM_SIZE));
	/* All of a gap but the last page: too much memory, not too little room */
	MUST(cmd_map_any(self->fd, self->id, va, no->step - PAGE, &iova) ==
	     ENOMEM);
	MUST(!cmd_unmap_all(self->fd, self->id, nr * PAGE));
	MUST(!vm_lck());
	return 0;
}

TEST_F(map, no_room_is_enospc)
{
	/* Not more than a process has addresses for */
	struct no_room no = { .self = self, .step = 1ULL << 46 };
	int ret;

	while (no.step > 1 << 30 &&
	       no.step > self->info.out_iova_last / 512 + 1)
		no.step /= 2;
	if (self->info.out_iova_last / no.step > MAX_MAPPINGS / 2)
		SKIP(return, "too many addresses");
	ret = in_child(map_without_room, &no);
	if (ret == ENOMEM)
		SKIP(return, "not enough addresses in a process");
	EXPECT_EQ(0, ret);
}

TEST_F(map, many_mappings)
{
	uint64_t iova, done, first = 0;
	unsigned int i;

	for (i = 0; i < MAX_MAPPINGS; i++) {
		ASSERT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE,
					 &iova)) {
			TH_LOG("mapping %u", i);
		}
		if (!first)
			first = iova;
	}
	EXPECT_TRUE(charged(self, MAX_MAPPINGS));
	EXPECT_EQ(ENOSPC, cmd_map_any(self->fd, self->id, self->mem, PAGE,
				      &iova));
	EXPECT_EQ(ENOSPC, cmd_map_at(self->fd, self->id, self->mem, PAGE,
				     self->last_page));
	EXPECT_TRUE(charged(self, MAX_MAPPINGS));

	/* One goes, one comes */
	EXPECT_EQ(0, cmd_unmap_whole(self->fd, self->id, first, PAGE));
	EXPECT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE,
				self->last_page - MEM_SIZE + PAGE));
	EXPECT_EQ(ENOSPC, cmd_map_any(self->fd, self->id, self->mem, PAGE,
				      &iova));
	EXPECT_EQ(0, cmd_unmap(self->fd, self->id, 0, UNMAP_ALL, &done));
	EXPECT_EQ((MAX_MAPPINGS - 1) * PAGE + MEM_SIZE, done);
	EXPECT_TRUE(is_empty(self));
	EXPECT_EQ(0, cmd_map_any(self->fd, self->id, self->mem, PAGE, &iova));
}

TEST_F(map, ranges)
{
	struct ioasid_iova_range ranges[4], untold;
	struct ioasid_get_iova_ranges get;
	int round;

	memset(&untold, 0x5a, sizeof(untold));
	/* Whether something is mapped or not */
	for (round = 0; round < 2; round++) {
		memset(ranges, 0x5a, sizeof(ranges));
		ASSERT_EQ(0, cmd_ranges(self->fd, self->id, ranges, 4, &get));
		EXPECT_EQ(4, get.num);
		EXPECT_EQ(1, get.out_num);
		EXPECT_EQ(PAGE, get.out_alignment);
		EXPECT_EQ(0, ranges[0].start);
		EXPECT_EQ(self->info.out_iova_last, ranges[0].last);
		EXPECT_EQ(0, memcmp(ranges + 1, &untold, sizeof(untold)));

		/* As many as there is room for, and how many there are */
		memset(ranges, 0x5a, sizeof(ranges));
		EXPECT_EQ(0, cmd_ranges(self->fd, self->id, ranges, 0, &get));
		EXPECT_EQ(1, get.out_num);
		EXPECT_EQ(PAGE, get.out_alignment);
		EXPECT_EQ(0, memcmp(ranges, &untold, sizeof(untold)));
		EXPECT_EQ(0, cmd_ranges(self->fd, self->id, NULL, 0, &get));
		EXPECT_EQ(1, get.out_num);
		EXPECT_EQ(0, cmd_ranges(self->fd, self->id, ranges, 1, &get));
		EXPECT_EQ(0, ranges[0].start);
		EXPECT_EQ(0, memcmp(ranges + 1, &untold, sizeof(untold)));
		/* What is not there is not written to */
		EXPECT_EQ(0, cmd_ranges(self->fd, self->id, ranges, UINT32_MAX,
					&get));
		EXPECT_EQ(1, get.out_num);
		EXPECT_EQ(0, memcmp(ranges + 1, &untold, sizeof(untold)));

		ASSERT_EQ(round ? EEXIST : 0,
			  cmd_map_at(self->fd, self->id, self->mem, MEM_SIZE,
				     0));
	}
}

TEST_F(map, ranges_errors)
{
	struct ioasid_get_iova_ranges get = {
		.size = sizeof(get),
		.ioasid = self->id,
		.__reserved = 1,
	};
	struct ioasid_iova_range *range;
	char *constant;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		get.__reserved = 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_GET_IOVA_RANGES, &get));
	}
	EXPECT_EQ(EFAULT, cmd_ranges(self->fd, self->id, NULL, 1, &get));
	EXPECT_EQ(INVALID_ID, get.out_num);
	EXPECT_EQ(EFAULT, cmd_ranges(self->fd, self->id, KERNEL_ADDRESS, 1, &get));
	EXPECT_EQ(EFAULT, cmd_ranges(self->fd, self->id,
				     (void *)(self->mem + MEM_SIZE), 1, &get));
	/* Half of it */
	range = (void *)(self->mem + MEM_SIZE - sizeof(*range) / 2);
	EXPECT_EQ(EFAULT, cmd_ranges(self->fd, self->id, range, 1, &get));
	constant = map_anon(PAGE, PROT_READ);
	ASSERT_NE(MAP_FAILED, constant);
	EXPECT_EQ(EFAULT, cmd_ranges(self->fd, self->id, (void *)constant, 1,
				     &get));
	EXPECT_EQ(INVALID_ID, get.out_num);
	EXPECT_EQ(0, cmd_ranges(self->fd, self->id, (void *)constant, 0, &get));
	munmap(constant, PAGE);
}

/* What cannot be told has not happened. */
TEST_F(map, outputs_that_cannot_be_written)
{
	/* Two pages, the second cannot be written */
	char *two = map_anon(2 * PAGE, PROT_READ | PROT_WRITE);
	struct ioasid_get_iova_ranges *get;
	struct ioasid_unmap *unmap;
	struct ioasid_map *map;
	int split;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, cmd_map_at(self->fd, self->id, self->mem, PAGE, 0));
	for (split = 0; split < 2; split++) {
		ASSERT_EQ(0, mprotect(two, 2 * PAGE, PROT_READ | PROT_WRITE));
		/* The whole struct, or only what it ends with */
		map = (void *)(two + PAGE -
			       split * offsetof(struct ioasid_map, out_iova));
		*map = (struct ioasid_map) {
			.size = sizeof(*map),
			.flags = FIXED,
			.ioasid = self->id,
			.user_va = (uintptr_t)self->mem,
			.length = PAGE,
			.iova = PAGE,
		};
		ASSERT_EQ(0, mprotect(two + PAGE, PAGE, PROT_READ));
		EXPECT_EQ(EFAULT, cmd(self->fd, IOASID_MAP, map));
		EXPECT_TRUE(charged(self, 1));

		ASSERT_EQ(0, mprotect(two, 2 * PAGE, PROT_READ | PROT_WRITE));
		unmap = (void *)(two + PAGE - split *
				 offsetof(struct ioasid_unmap, out_length));
		*unmap = (struct ioasid_unmap) {
			.size = sizeof(*unmap),
			.ioasid = self->id,
			.length = UNMAP_ALL,
		};
		ASSERT_EQ(0, mprotect(two + PAGE, PAGE, PROT_READ));
		EXPECT_EQ(EFAULT, cmd(self->fd, IOASID_UNMAP, unmap));
		EXPECT_TRUE(charged(self, 1));

		ASSERT_EQ(0, mprotect(two, 2 * PAGE, PROT_READ | PROT_WRITE));
		get = (void *)(two + PAGE - split *
			       offsetof(struct ioasid_get_iova_ranges,
					out_num));
		*get = (struct ioasid_get_iova_ranges) {
			.size = sizeof(*get),
			.ioasid = self->id,
		};
		ASSERT_EQ(0, mprotect(two + PAGE, PAGE, PROT_READ));
		EXPECT_EQ(EFAULT, cmd(self->fd, IOASID_GET_IOVA_RANGES, get));
	}
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, PAGE));
	munmap(two, 2 * PAGE);
}

struct toggler {
	pthread_t thread;
	char *page;
	bool stop;
};

static void *toggle(void *data)
{
	struct toggler *t = data;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		mprotect(t->page, PAGE, PROT_READ);
		sched_yield();
		mprotect(t->page, PAGE, PROT_READ | PROT_WRITE);
		sched_yield();
	}
	return NULL;
}

/* Also when another thread takes the memory away while it happens */
TEST_F(map, outputs_that_are_taken_away)
{
	struct toggler t = { .page = map_anon(PAGE, PROT_READ | PROT_WRITE) };
	struct ioasid_map *map = (void *)t.page;
	unsigned int i, failed = 0;
	int ret;

	ASSERT_NE(MAP_FAILED, t.page);
	*map = (struct ioasid_map) {
		.size = sizeof(*map),
		.flags = FIXED,
		.ioasid = self->id,
		.user_va = (uintptr_t)self->mem,
		.length = MEM_SIZE,
	};
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, toggle, &t));
	for (i = 0; i < 500; i++) {
		ret = cmd(self->fd, IOASID_MAP, map);
		failed += ret == EFAULT;
		if (ret != EFAULT)
			ASSERT_EQ(0, ret);
		ASSERT_TRUE(charged(self, ret ? 0 : MEM_PAGES));
		ASSERT_EQ(0, cmd_unmap_all(self->fd, self->id,
					   ret ? 0 : MEM_SIZE));
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(t.thread, NULL);
	TH_LOG("%u of %u failed", failed, i);
	munmap(t.page, PAGE);
}

/* A thread that maps and unmaps until it cannot any more */
struct looper {
	pthread_t thread;
	int fd;
	uint32_t id;
	const char *mem;
	/* The errno that it ended with */
	int end;
	unsigned long rounds;
};

static void *map_and_unmap(void *data)
{
	struct looper *l = data;
	uint64_t iova, done;

	do {
		l->end = cmd_map_any(l->fd, l->id, l->mem, 4 * PAGE, &iova) ?:
			 cmd_unmap(l->fd, l->id, iova, 4 * PAGE, &done);
		l->rounds++;
	} while (!l->end);
	return NULL;
}

static bool start_loopers(struct looper *l, int nr, int fd, uint32_t id,
			  const char *mem)
{
	int i;

	for (i = 0; i < nr; i++) {
		l[i] = (struct looper) { .fd = fd, .id = id, .mem = mem };
		if (pthread_create(&l[i].thread, NULL, map_and_unmap, &l[i]))
			return false;
	}
	return true;
}

#define NR_LOOPERS	2

TEST_F(map, free_races_with_map)
{
	struct looper l[NR_LOOPERS];
	bool pending;
	uint32_t id;
	int i, j;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, cmd_alloc_iova(self->fd, &id));
		ASSERT_TRUE(start_loopers(l, NR_LOOPERS, self->fd, id, self->mem));
		usleep(200 * (i % 7));
		/* A MAP that has not come far may count as a user */
		EXPECT_EQ(0, cmd_free_pending(self->fd, id, &pending));
		for (j = 0; j < NR_LOOPERS; j++) {
			pthread_join(l[j].thread, NULL);
			if (l[j].end != EBUSY)
				EXPECT_EQ(ENOENT, l[j].end);
		}
		ASSERT_TRUE(charged(self, 0));
		ASSERT_EQ(ENOENT, cmd_state(self->fd, id));
	}
}

TEST_F(map, close_races_with_map)
{
	struct looper l[NR_LOOPERS], other[NR_LOOPERS];
	bool pending;
	uint64_t iova;
	uint32_t id;
	int i, j, fd;

	/* Two that go on, and two whose file is closed */
	ASSERT_TRUE(start_loopers(l, NR_LOOPERS, self->fd, self->id, self->mem));
	for (i = 0; i < 50; i++) {
		fd = dev_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, cmd_alloc_iova(fd, &id));
		ASSERT_EQ(0, cmd_map_at(fd, id, self->mem, MEM_SIZE, 0));
		ASSERT_EQ(0, cmd_map_any(fd, id, self->mem, PAGE, &iova));
		ASSERT_TRUE(start_loopers(other, i % 2 * NR_LOOPERS, fd, id,
					  self->mem));
		usleep(200 * (i % 7));
		EXPECT_EQ(0, close(fd));
		for (j = 0; j < i % 2 * NR_LOOPERS; j++) {
			pthread_join(other[j].thread, NULL);
			EXPECT_EQ(EBADF, other[j].end);
		}
	}
	EXPECT_EQ(0, cmd_free_pending(self->fd, self->id, &pending));
	for (j = 0; j < NR_LOOPERS; j++) {
		pthread_join(l[j].thread, NULL);
		if (l[j].end != EBUSY)
			EXPECT_EQ(ENOENT, l[j].end);
	}
	EXPECT_TRUE(charged(self, 0));
}

/* A thread that frees a number as soon as there is one, or asks for it */
struct pest {
	pthread_t thread;
	int fd;
	uint32_t id;
	bool only_asks;
	bool *stop;
	unsigned long freed;
	int bad;
};

static void *pester(void *data)
{
	struct pest *p = data;
	bool pending;
	int ret;

	while (!__atomic_load_n(p->stop, __ATOMIC_RELAXED)) {
		ret = p->only_asks ? cmd_state(p->fd, p->id) :
				     cmd_free_pending(p->fd, p->id, &pending);
		p->freed += !ret && !p->only_asks;
		if (ret && ret != ENOENT && ret != EBUSY)
			p->bad = ret;
	}
	return NULL;
}

/*
 * A FREE that waits for its turn may find that the number stands for another address
 * space by then: that one has to be emptied.
 */
TEST_F(map, free_races_with_alloc_of_the_same_number)
{
	const unsigned int rounds = kernel_is_slow() ? 100 : 500;
	const uint32_t number = 12345;
	struct pest p[4] = { };
	unsigned int i, j, left = 0, mapped = 0;
	unsigned long freed = 0;
	bool stop = false;
	uint32_t id;
	int ret;

	for (i = 0; i < 4; i++) {
		p[i] = (struct pest) {
			.fd = self->fd,
			.id = number,
			.only_asks = i == 3,
			.stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&p[i].thread, NULL, pester, &p[i]));
	}
	for (i = 0; i < rounds; i++) {
		/* A number may be gone a moment before it can be had again */
		do {
			ret = cmd_alloc_iova_range(self->fd, number, number, &id);
		} while (ret == ENOSPC);
		ASSERT_EQ(0, ret);
		ret = cmd_map_at(self->fd, number, self->mem, PAGE, 0);
		if (ret && ret != EBUSY)
			EXPECT_EQ(ENOENT, ret);
		mapped += !ret;
		/* Whoever has freed it has unmapped it */
		while (cmd_state(self->fd, number) != ENOENT)
			sched_yield();
		left += !charged(self, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (j = 0; j < 4; j++) {
		pthread_join(p[j].thread, NULL);
		EXPECT_EQ(0, p[j].bad);
		freed += p[j].freed;
	}
	TH_LOG("%u times there was something mapped", mapped);
	EXPECT_EQ(i, freed);
	EXPECT_EQ(0, left);
	EXPECT_TRUE(charged(self, 0));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

#define NR_MAPPERS	4
#define NR_EACH		100

struct mapper {
	pthread_t thread;
	int fd;
	uint32_t id;
	const char *mem;
	unsigned int nr;
	unsigned int errors;
	uint64_t iova[NR_EACH];
};

static uint64_t mapper_length(const struct mapper *m, int i)
{
	return (1 + (i + m->nr) % 5) * PAGE;
}

static void *map_some(void *data)
{
	struct mapper *m = data;
	int i;

	for (i = 0; i < NR_EACH; i++) {
		m->errors += !!cmd_map_any(m->fd, m->id, m->mem,
					   mapper_length(m, i), &m->iova[i]);
		/* To make holes for the others */
		if (i % 4 != 3)
			continue;
		m->errors += !!cmd_unmap_whole(m->fd, m->id, m->iova[i - 2],
					       mapper_length(m, i - 2));
	}
	return NULL;
}

TEST_F(map, threads_get_addresses_of_their_own)
{
	static struct mapper m[NR_MAPPERS];
	static struct model all;
	int i, j;

	for (i = 0; i < NR_MAPPERS; i++) {
		m[i] = (struct mapper) {
			.fd = self->fd, .id = self->id, .mem = self->mem, .nr = i,
		};
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, map_some, &m[i]));
	}
	for (i = 0; i < NR_MAPPERS; i++)
		pthread_join(m[i].thread, NULL);
	for (i = 0; i < NR_MAPPERS; i++) {
		EXPECT_EQ(0, m[i].errors);
		for (j = 0; j < NR_EACH; j++) {
			uint64_t length = mapper_length(&m[i], j);

			if (j % 4 == 1)
				continue;
			EXPECT_TRUE(model_is_free(&all, m[i].iova[j], length));
			model_add(&all, m[i].iova[j], length);
		}
	}
	EXPECT_TRUE(charged(self, all.bytes / PAGE));
	EXPECT_EQ(0, cmd_unmap_all(self->fd, self->id, all.bytes));
}

/* Who is killed in a MAP has mapped it, or not. */
TEST_F(map, killed_in_the_middle)
{
	const uint64_t length = 4 << 20;
	long long before = pinned();
	uint64_t iova, done;
	int i, status;
	pid_t pid;
	char *va;

	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			va = map_anon(length, PROT_READ | PROT_WRITE);
			while (!cmd_map_any(self->fd, self->id, va, length,
					    &iova) &&
			       !cmd_unmap(self->fd, self->id, iova, length, &done))
				;
			_exit(1);
		}
		usleep(3000 + 1000 * (i % 7));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(0, cmd_unmap(self->fd, self->id, 0, UNMAP_ALL, &done));
		if (done)
			EXPECT_EQ(length, done);
		if (before >= 0)
			EXPECT_TRUE(pinned_becomes(before));
	}
	EXPECT_TRUE(is_empty(self));
}

TEST_HARNESS_MAIN
