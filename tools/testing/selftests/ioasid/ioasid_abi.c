// SPDX-License-Identifier: GPL-2.0
/*
 * Format of the ioctls of /dev/ioasid: sizes, flags, tails, errno, for every
 * struct alike.
 */
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define SPID	77

/* Fill in a request that succeeds. */
static void fill_info(int fd, uint32_t id, void *arg)
{
}

static void fill_alloc(int fd, uint32_t id, void *arg)
{
	struct ioasid_alloc *alloc = arg;

	alloc->max = UINT32_MAX;
}

static void fill_free(int fd, uint32_t id, void *arg)
{
	struct ioasid_free *arg_free = arg;

	arg_free->ioasid = id;
}

static void fill_set_spid(int fd, uint32_t id, void *arg)
{
	struct ioasid_set_spid *set = arg;

	set->ioasid = id;
	set->spid = SPID;
}

static void fill_clear_spid(int fd, uint32_t id, void *arg)
{
	struct ioasid_clear_spid *clear = arg;

	cmd_set_spid(fd, id, SPID);
	clear->ioasid = id;
}

static void fill_find_spid(int fd, uint32_t id, void *arg)
{
	struct ioasid_find_spid *find = arg;

	cmd_set_spid(fd, id, SPID);
	find->spid = SPID;
}

static void fill_query(int fd, uint32_t id, void *arg)
{
	struct ioasid_query *query = arg;

	query->ioasid = id;
}

FIXTURE(abi)
{
	int fd;
	uint32_t id;
	size_t page;
	/* Two pages, the second not accessible */
	char *mem;
};

/* min_size: of the first version, which programs are compiled with */
FIXTURE_VARIANT(abi)
{
	unsigned int cmd;
	size_t size;
	size_t min_size;
	void (*fill)(int fd, uint32_t id, void *arg);
	/* A reserved member, 0 when there is none */
	size_t reserved;
	/* What the kernel writes, 0 when it writes nothing */
	size_t out;
	size_t out_end;
};

#define OUT(type, first, last)						\
	.out = offsetof(struct type, first),				\
	.out_end = offsetof(struct type, last) +			\
		   sizeof(((struct type *)0)->last)

FIXTURE_VARIANT_ADD(abi, get_info)
{
	.cmd = IOASID_GET_INFO,
	.size = sizeof(struct ioasid_get_info),
	.min_size = 40,
	.fill = fill_info,
	OUT(ioasid_get_info, out_capacity, out_limit),
};

FIXTURE_VARIANT_ADD(abi, alloc)
{
	.cmd = IOASID_ALLOC,
	.size = sizeof(struct ioasid_alloc),
	.min_size = 32,
	.fill = fill_alloc,
	OUT(ioasid_alloc, out_ioasid, out_ioasid),
};

FIXTURE_VARIANT_ADD(abi, free)
{
	.cmd = IOASID_FREE,
	.size = sizeof(struct ioasid_free),
	.min_size = 16,
	.fill = fill_free,
	OUT(ioasid_free, out_pending, out_pending),
};

FIXTURE_VARIANT_ADD(abi, set_spid)
{
	.cmd = IOASID_SET_SPID,
	.size = sizeof(struct ioasid_set_spid),
	.min_size = 16,
	.fill = fill_set_spid,
};

FIXTURE_VARIANT_ADD(abi, clear_spid)
{
	.cmd = IOASID_CLEAR_SPID,
	.size = sizeof(struct ioasid_clear_spid),
	.min_size = 16,
	.fill = fill_clear_spid,
	.reserved = offsetof(struct ioasid_clear_spid, __reserved),
};

FIXTURE_VARIANT_ADD(abi, find_spid)
{
	.cmd = IOASID_FIND_SPID,
	.size = sizeof(struct ioasid_find_spid),
	.min_size = 16,
	.fill = fill_find_spid,
	OUT(ioasid_find_spid, out_ioasid, out_ioasid),
};

FIXTURE_VARIANT_ADD(abi, query)
{
	.cmd = IOASID_QUERY,
	.size = sizeof(struct ioasid_query),
	.min_size = 24,
	.fill = fill_query,
	OUT(ioasid_query, out_state, out_cookie),
};

FIXTURE_SETUP(abi)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->mem = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, mprotect(self->mem + self->page, self->page, PROT_NONE));
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, cmd_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(abi)
{
	close(self->fd);
	munmap(self->mem, 2 * self->page);
}

/* A request of @size bytes that ends at the end of the page */
static void *request(struct __test_metadata *_metadata,
		     FIXTURE_DATA(abi) *self,
		     const FIXTURE_VARIANT(abi) *variant, size_t size)
{
	char *arg = self->mem + self->page - size;

	memset(self->mem, 0, self->page);
	variant->fill(self->fd, self->id, arg);
	memcpy(arg, &(uint32_t) { size }, sizeof(uint32_t));
	return arg;
}

#define REQUEST(size)	request(_metadata, self, variant, size)

TEST_F(abi, first_version_is_accepted)
{
	void *arg = REQUEST(variant->min_size);

	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
	EXPECT_EQ(variant->min_size, *(uint32_t *)arg);
}

TEST_F(abi, shorter_is_einval)
{
	size_t size;
	char *arg;

	for (size = 4; size < variant->min_size; size++) {
		/* Backed by enough memory, so that only the size is wrong */
		arg = REQUEST(variant->size);
		memcpy(arg, &(uint32_t) { size }, sizeof(uint32_t));
		EXPECT_EQ(EINVAL, cmd(self->fd, variant->cmd, arg));
	}
	arg = REQUEST(variant->size);
	memset(arg, 0, sizeof(uint32_t));
	EXPECT_EQ(EINVAL, cmd(self->fd, variant->cmd, arg));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(abi, zero_tail_is_accepted)
{
	static const size_t tails[] = { 1, 3, 4, 8, 9, 100 };
	unsigned int i;

	for (i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		void *arg;

		arg = REQUEST(variant->size + tails[i]);
		EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
		EXPECT_EQ(variant->size + tails[i], *(uint32_t *)arg);

		/* For the next round */
		cmd_clear_spid(self->fd, self->id);
		if (variant->cmd == IOASID_FREE)
			ASSERT_EQ(0, cmd_alloc(self->fd, &self->id));
	}
}

TEST_F(abi, nonzero_tail_is_e2big)
{
	size_t tail = 40, i;
	char *arg;

	for (i = 0; i < tail; i++) {
		arg = REQUEST(variant->size + tail);
		arg[variant->size + i] = 1;
		EXPECT_EQ(E2BIG, cmd(self->fd, variant->cmd, arg));
	}
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(abi, a_page_is_accepted_more_is_e2big)
{
	char *arg;

	arg = REQUEST(self->page);
	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));

	cmd_clear_spid(self->fd, self->id);
	ASSERT_EQ(0, mprotect(self->mem + self->page, self->page,
			      PROT_READ | PROT_WRITE));
	arg = REQUEST(self->page);
	memcpy(arg, &(uint32_t) { self->page + 1 }, sizeof(uint32_t));
	EXPECT_EQ(E2BIG, cmd(self->fd, variant->cmd, arg));
	memcpy(arg, &(uint32_t) { UINT32_MAX }, sizeof(uint32_t));
	EXPECT_EQ(E2BIG, cmd(self->fd, variant->cmd, arg));
}

TEST_F(abi, flags_are_eopnotsupp)
{
	int bit;

	for (bit = 0; bit < 32; bit++) {
		uint32_t *arg = REQUEST(variant->size);

		arg[1] = 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, variant->cmd, arg));
	}
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(abi, reserved_is_eopnotsupp)
{
	char *arg;

	if (!variant->reserved)
		return;
	arg = REQUEST(variant->size);
	arg[variant->reserved] = 1;
	EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, variant->cmd, arg));
}

TEST_F(abi, bad_memory_is_efault)
{
	size_t i;

	EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, NULL));
	EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, self->mem + self->page));
	EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, (void *)-1UL));

	/* Ends in the page that is not accessible */
	for (i = 1; i < variant->size; i++) {
		char *arg = self->mem + self->page - i;

		memset(self->mem, 0, self->page);
		if (i >= 4)
			memcpy(arg, &(uint32_t) { variant->size }, 4);
		EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, arg));
	}
	EXPECT_EQ(1, nr_allocated(self->fd));
}

/* The id of the fixture is there, with an SPID or without. */
static bool is_unchanged(int fd, uint32_t id, bool has_spid)
{
	uint32_t found = INVALID_ID;

	if (nr_allocated(fd) != 1)
		return false;
	if (cmd_find_spid(fd, SPID, &found) != (has_spid ? 0 : ENOENT))
		return false;
	return !has_spid || found == id;
}

/* What fails with EFAULT has not happened. */
TEST_F(abi, outputs_that_cannot_be_written_leave_everything)
{
	void *arg = REQUEST(variant->size);
	uint32_t found;
	bool has_spid;

	if (!variant->out)
		return;
	has_spid = !cmd_find_spid(self->fd, SPID, &found);
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ));
	EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, arg));
	EXPECT_TRUE(is_unchanged(self->fd, self->id, has_spid));
	EXPECT_EQ(0, cmd_free(self->fd, self->id));
	EXPECT_EQ(0, nr_allocated(self->fd));
}

/* A struct without outputs may be constant; the command has happened. */
TEST_F(abi, without_outputs_nothing_is_written)
{
	void *arg = REQUEST(variant->size);
	bool has_spid;

	if (variant->out)
		return;
	has_spid = variant->cmd == IOASID_SET_SPID;
	EXPECT_TRUE(is_unchanged(self->fd, self->id, !has_spid));
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ));
	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
	EXPECT_TRUE(is_unchanged(self->fd, self->id, has_spid));
}

/* What stands before and behind the outputs may be in memory that is constant. */
TEST_F(abi, only_outputs_are_written)
{
	char before[256], *arg;
	size_t i;

	if (!variant->out)
		return;
	ASSERT_EQ(0, mprotect(self->mem + self->page, self->page,
			      PROT_READ | PROT_WRITE));

	/* The outputs begin with the second page */
	memset(self->mem, 0, 2 * self->page);
	arg = self->mem + self->page - variant->out;
	variant->fill(self->fd, self->id, arg);
	memcpy(arg, &(uint32_t) { variant->size }, sizeof(uint32_t));
	memset(arg + variant->out, 0xa5, variant->out_end - variant->out);
	memcpy(before, arg, variant->size);
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ));
	ASSERT_EQ(0, cmd(self->fd, variant->cmd, arg));
	for (i = 0; i < variant->size; i++)
		if (i < variant->out || i >= variant->out_end)
			EXPECT_EQ(before[i], arg[i]);
	EXPECT_NE(0, memcmp(before + variant->out, arg + variant->out,
			    variant->out_end - variant->out));

	/* The first page ends with the outputs; members stand behind some */
	cmd_clear_spid(self->fd, self->id);
	if (variant->cmd == IOASID_FREE)
		ASSERT_EQ(0, cmd_alloc(self->fd, &self->id));
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ | PROT_WRITE));
	memset(self->mem, 0, 2 * self->page);
	arg = self->mem + self->page - variant->out_end;
	variant->fill(self->fd, self->id, arg);
	memcpy(arg, &(uint32_t) { variant->size }, sizeof(uint32_t));
	ASSERT_EQ(0, mprotect(self->mem + self->page, self->page, PROT_READ));
	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
}

FIXTURE(dev)
{
	int fd;
};

FIXTURE_SETUP(dev)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(dev)
{
	close(self->fd);
}

TEST_F(dev, unknown_commands_are_enotty)
{
	uint32_t arg[32] = { sizeof(arg) };
	int nr;

	/* 0 is not used; what is above the last one is to come. */
	for (nr = 0; nr < 256; nr++) {
		if (nr >= _IOC_NR(IOASID_GET_INFO) &&
		    nr <= _IOC_NR(IOASID_FIND_SPID))
			continue;
		if (nr == _IOC_NR(IOASID_QUERY))
			continue;
		EXPECT_EQ(ENOTTY, cmd(self->fd, _IO(IOASID_IOC_MAGIC, nr), arg));
	}
	/* Known numbers with a direction, a size or another letter */
	for (nr = 1; nr < 7; nr++) {
		EXPECT_EQ(ENOTTY, cmd(self->fd,
				      _IOC(_IOC_READ, IOASID_IOC_MAGIC, nr, 0), arg));
		EXPECT_EQ(ENOTTY, cmd(self->fd,
				      _IOC(_IOC_NONE, IOASID_IOC_MAGIC, nr, 16),
				      arg));
		EXPECT_EQ(ENOTTY, cmd(self->fd, _IO(IOASID_IOC_MAGIC + 1, nr), arg));
	}
}

TEST_F(dev, other_types_are_eopnotsupp)
{
	static const uint32_t types[] = {
		IOASID_TYPE_IOVA, IOASID_TYPE_SVA, IOASID_TYPE_PGTABLE,
		IOASID_TYPE_EPT, IOASID_TYPE_PASID_TABLE,
		IOASID_TYPE_PASID_TABLE + 1, 31, 32, UINT32_MAX,
	};
	struct ioasid_get_info info;
	unsigned int i;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(1U << IOASID_TYPE_NONE, info.out_types);
	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct ioasid_alloc arg = {
			.size = sizeof(arg),
			.type = types[i],
			.max = UINT32_MAX,
		};

		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_ALLOC, &arg));
	}
	EXPECT_EQ(0, nr_allocated(self->fd));
}

TEST_F(dev, write_seek_and_mmap_fail)
{
	EXPECT_EQ(-1, write(self->fd, "x", 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd,
				   0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(dev, node_is_0660)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
}

TEST_HARNESS_MAIN
