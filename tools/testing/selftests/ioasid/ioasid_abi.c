// SPDX-License-Identifier: GPL-2.0
/*
 * Format of the ioctls of /dev/ioasid: sizes, flags, tails, errno, for every
 * struct alike.
 */
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define SPID	77

/*
 * What programs were compiled with stays as it is. What the kernel thinks of it is
 * seen by the variants below, as far as /dev/ioasid has it.
 */
#define NUMBER(value, nr)						\
	_Static_assert((value) == (nr), #value)
#define OFFSET(type, member, nr)					\
	_Static_assert(offsetof(struct type, member) == (nr), #type "." #member)

NUMBER(IOASID_GET_INFO, 0x5e01);
NUMBER(IOASID_ALLOC, 0x5e02);
NUMBER(IOASID_FREE, 0x5e03);
NUMBER(IOASID_SET_SPID, 0x5e04);
NUMBER(IOASID_CLEAR_SPID, 0x5e05);
NUMBER(IOASID_FIND_SPID, 0x5e06);
NUMBER(IOASID_MAP, 0x5e07);
NUMBER(IOASID_UNMAP, 0x5e08);
NUMBER(IOASID_BIND_PGTABLE, 0x5e09);
NUMBER(IOASID_GET_IOVA_RANGES, 0x5e0a);
NUMBER(IOASID_INVALIDATE, 0x5e0b);
NUMBER(IOASID_QUERY, 0x5e0c);
NUMBER(IOASID_UNBIND_PGTABLE, 0x5e0d);
NUMBER(IOASID_DEVICE_INFO, 0x5e10);
NUMBER(IOASID_DEVICE_ATTACH, 0x5e11);
NUMBER(IOASID_DEVICE_DETACH, 0x5e12);

NUMBER(IOASID_TYPE_NONE, 0);
NUMBER(IOASID_TYPE_IOVA, 1);
NUMBER(IOASID_TYPE_SVA, 2);
NUMBER(IOASID_TYPE_PGTABLE, 3);
NUMBER(IOASID_TYPE_EPT, 4);
NUMBER(IOASID_TYPE_PASID_TABLE, 5);

NUMBER(IOASID_MAP_READ, 1);
NUMBER(IOASID_MAP_WRITE, 2);
NUMBER(IOASID_MAP_FIXED_IOVA, 4);

NUMBER(IOASID_FORMAT_VTD_S1, 1);
NUMBER(IOASID_FEATURE_NEST_PARENT, 1);
NUMBER(IOASID_ALLOC_NEST_PARENT, 1);
NUMBER(IOASID_PGTABLE_VTD_SRE, 1);
NUMBER(IOASID_PGTABLE_VTD_EAFE, 2);
NUMBER(IOASID_PGTABLE_VTD_PCD, 4);
NUMBER(IOASID_PGTABLE_VTD_PWT, 8);
NUMBER(IOASID_PGTABLE_VTD_EMTE, 16);
NUMBER(IOASID_PGTABLE_VTD_CD, 32);
NUMBER(IOASID_PGTABLE_VTD_WPE, 64);
NUMBER(IOASID_INV_LEAF, 1);
NUMBER(IOASID_INVALIDATE_SPID, 1);
NUMBER(IOASID_FAULT_STAGE2, 1);
NUMBER(IOASID_FAULT_TABLE, 3);

NUMBER(sizeof(struct ioasid_alloc), 48);
OFFSET(ioasid_alloc, cookie, 24);
OFFSET(ioasid_alloc, parent, 32);
OFFSET(ioasid_alloc, format, 36);
OFFSET(ioasid_alloc, addr_width, 40);
OFFSET(ioasid_alloc, __reserved, 44);

NUMBER(sizeof(struct ioasid_bind_pgtable), 40);
OFFSET(ioasid_bind_pgtable, ioasid, 8);
OFFSET(ioasid_bind_pgtable, pat, 12);
OFFSET(ioasid_bind_pgtable, pgtable, 16);
OFFSET(ioasid_bind_pgtable, emt, 24);
OFFSET(ioasid_bind_pgtable, __reserved, 28);
OFFSET(ioasid_bind_pgtable, __reserved2, 32);

NUMBER(sizeof(struct ioasid_unbind_pgtable), 16);
OFFSET(ioasid_unbind_pgtable, ioasid, 8);
OFFSET(ioasid_unbind_pgtable, __reserved, 12);

NUMBER(sizeof(struct ioasid_inv_vtd_s1), 24);
OFFSET(ioasid_inv_vtd_s1, addr, 0);
OFFSET(ioasid_inv_vtd_s1, npages, 8);
OFFSET(ioasid_inv_vtd_s1, flags, 16);
OFFSET(ioasid_inv_vtd_s1, __reserved, 20);

NUMBER(sizeof(struct ioasid_invalidate), 40);
OFFSET(ioasid_invalidate, ioasid, 8);
OFFSET(ioasid_invalidate, num, 12);
OFFSET(ioasid_invalidate, entry_size, 16);
OFFSET(ioasid_invalidate, out_num, 20);
OFFSET(ioasid_invalidate, entries, 24);
OFFSET(ioasid_invalidate, __reserved, 32);

NUMBER(sizeof(struct ioasid_get_info), 80);
OFFSET(ioasid_get_info, out_limit, 36);
OFFSET(ioasid_get_info, out_page_sizes, 40);
OFFSET(ioasid_get_info, out_iova_last, 48);
OFFSET(ioasid_get_info, out_mapped, 56);
OFFSET(ioasid_get_info, out_attached, 64);
OFFSET(ioasid_get_info, out_formats, 68);
OFFSET(ioasid_get_info, out_features, 72);
OFFSET(ioasid_get_info, __reserved, 76);

NUMBER(sizeof(struct ioasid_map), 48);
OFFSET(ioasid_map, size, 0);
OFFSET(ioasid_map, flags, 4);
OFFSET(ioasid_map, ioasid, 8);
OFFSET(ioasid_map, __reserved, 12);
OFFSET(ioasid_map, user_va, 16);
OFFSET(ioasid_map, length, 24);
OFFSET(ioasid_map, iova, 32);
OFFSET(ioasid_map, out_iova, 40);

NUMBER(sizeof(struct ioasid_unmap), 40);
OFFSET(ioasid_unmap, size, 0);
OFFSET(ioasid_unmap, flags, 4);
OFFSET(ioasid_unmap, ioasid, 8);
OFFSET(ioasid_unmap, __reserved, 12);
OFFSET(ioasid_unmap, iova, 16);
OFFSET(ioasid_unmap, length, 24);
OFFSET(ioasid_unmap, out_length, 32);

NUMBER(sizeof(struct ioasid_iova_range), 16);
OFFSET(ioasid_iova_range, start, 0);
OFFSET(ioasid_iova_range, last, 8);

NUMBER(sizeof(struct ioasid_get_iova_ranges), 40);
OFFSET(ioasid_get_iova_ranges, size, 0);
OFFSET(ioasid_get_iova_ranges, flags, 4);
OFFSET(ioasid_get_iova_ranges, ioasid, 8);
OFFSET(ioasid_get_iova_ranges, num, 12);
OFFSET(ioasid_get_iova_ranges, ranges, 16);
OFFSET(ioasid_get_iova_ranges, out_alignment, 24);
OFFSET(ioasid_get_iova_ranges, out_num, 32);
OFFSET(ioasid_get_iova_ranges, __reserved, 36);

NUMBER(sizeof(struct ioasid_device_info), 40);
OFFSET(ioasid_device_info, size, 0);
OFFSET(ioasid_device_info, flags, 4);
OFFSET(ioasid_device_info, out_ioasid_last, 8);
OFFSET(ioasid_device_info, out_types, 12);
OFFSET(ioasid_device_info, out_formats, 16);
OFFSET(ioasid_device_info, out_features, 20);
OFFSET(ioasid_device_info, out_vtd_cap, 24);
OFFSET(ioasid_device_info, out_vtd_ecap, 32);

NUMBER(sizeof(struct ioasid_device_attach), 32);
OFFSET(ioasid_device_attach, size, 0);
OFFSET(ioasid_device_attach, flags, 4);
OFFSET(ioasid_device_attach, ioasid_fd, 8);
OFFSET(ioasid_device_attach, ioasid, 12);
OFFSET(ioasid_device_attach, cookie, 16);
OFFSET(ioasid_device_attach, out_pasid, 24);
OFFSET(ioasid_device_attach, __reserved, 28);

NUMBER(sizeof(struct ioasid_device_detach), 20);
OFFSET(ioasid_device_detach, size, 0);
OFFSET(ioasid_device_detach, flags, 4);
OFFSET(ioasid_device_detach, ioasid_fd, 8);
OFFSET(ioasid_device_detach, ioasid, 12);
OFFSET(ioasid_device_detach, __reserved, 16);

NUMBER(IOASID_EVENT_DETACHED, 4);
NUMBER(sizeof(struct ioasid_event_detached), 32);
OFFSET(ioasid_event_detached, ioasid, 12);
OFFSET(ioasid_event_detached, cookie, 16);
OFFSET(ioasid_event_detached, spid, 24);
OFFSET(ioasid_event_detached, __reserved, 28);
NUMBER(sizeof(struct ioasid_event_fault), 56);
OFFSET(ioasid_event_fault, ioasid, 12);
OFFSET(ioasid_event_fault, cookie, 16);
OFFSET(ioasid_event_fault, addr, 24);
OFFSET(ioasid_event_fault, spid, 32);
OFFSET(ioasid_event_fault, perm, 36);
OFFSET(ioasid_event_fault, reason, 40);
OFFSET(ioasid_event_fault, hw_reason, 44);
OFFSET(ioasid_event_fault, lost, 48);
OFFSET(ioasid_event_fault, __reserved, 52);

/* To be mapped; what is mapped is left to the last close */
static char memory[IOVA_PAGE] __attribute__((aligned(IOVA_PAGE)));

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

static void fill_map(int fd, uint32_t id, void *arg)
{
	struct ioasid_map *map = arg;

	map->flags = MAP_RW;
	map->ioasid = id;
	map->user_va = (uintptr_t)memory;
	map->length = sizeof(memory);
}

static void fill_unmap(int fd, uint32_t id, void *arg)
{
	struct ioasid_unmap *unmap = arg;
	uint64_t iova = 0;

	cmd_map(fd, id, MAP_RW, memory, sizeof(memory), &iova);
	unmap->ioasid = id;
	unmap->iova = iova;
	unmap->length = sizeof(memory);
}

static void fill_ranges(int fd, uint32_t id, void *arg)
{
	struct ioasid_get_iova_ranges *get = arg;
	static struct ioasid_iova_range range;

	get->ioasid = id;
	get->num = 1;
	get->ranges = (uintptr_t)&range;
}

static void fill_bind(int fd, uint32_t id, void *arg)
{
	struct ioasid_bind_pgtable *bind = arg;

	cmd_unbind(fd, id);
	bind->ioasid = id;
	bind->pgtable = IOVA_PAGE;
}

static void fill_unbind(int fd, uint32_t id, void *arg)
{
	struct ioasid_unbind_pgtable *unbind = arg;

	cmd_bind(fd, id, IOVA_PAGE, 0);
	unbind->ioasid = id;
}

static void fill_invalidate(int fd, uint32_t id, void *arg)
{
	static const struct ioasid_inv_vtd_s1 entry = { .npages = 1 };
	struct ioasid_invalidate *invalidate = arg;

	cmd_bind(fd, id, IOVA_PAGE, 0);
	invalidate->ioasid = id;
	invalidate->num = 1;
	invalidate->entry_size = sizeof(entry);
	invalidate->entries = (uintptr_t)&entry;
}

FIXTURE(abi)
{
	int fd;
	/* No type of IOASID that the ioctl is for */
	bool lacks;
	uint32_t id;
	/* IOASIDs that there are, with a parent */
	int nr;
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
	/* Wants an IOASID_TYPE_IOVA */
	bool iova;
	/* Or an IOASID_TYPE_PGTABLE */
	bool pgtable;
	/* That have a meaning */
	uint32_t flags;
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
	.reserved = offsetof(struct ioasid_get_info, __reserved),
	OUT(ioasid_get_info, out_capacity, out_features),
};

FIXTURE_VARIANT_ADD(abi, alloc)
{
	.cmd = IOASID_ALLOC,
	.size = sizeof(struct ioasid_alloc),
	.min_size = 32,
	.fill = fill_alloc,
	.flags = IOASID_ALLOC_NEST_PARENT,
	.reserved = offsetof(struct ioasid_alloc, __reserved),
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

FIXTURE_VARIANT_ADD(abi, map)
{
	.cmd = IOASID_MAP,
	.size = sizeof(struct ioasid_map),
	.min_size = 48,
	.fill = fill_map,
	.iova = true,
	.flags = MAP_RW | IOASID_MAP_FIXED_IOVA,
	.reserved = offsetof(struct ioasid_map, __reserved),
	OUT(ioasid_map, out_iova, out_iova),
};

FIXTURE_VARIANT_ADD(abi, unmap)
{
	.cmd = IOASID_UNMAP,
	.size = sizeof(struct ioasid_unmap),
	.min_size = 40,
	.fill = fill_unmap,
	.iova = true,
	.reserved = offsetof(struct ioasid_unmap, __reserved),
	OUT(ioasid_unmap, out_length, out_length),
};

FIXTURE_VARIANT_ADD(abi, get_iova_ranges)
{
	.cmd = IOASID_GET_IOVA_RANGES,
	.size = sizeof(struct ioasid_get_iova_ranges),
	.min_size = 40,
	.fill = fill_ranges,
	.iova = true,
	.reserved = offsetof(struct ioasid_get_iova_ranges, __reserved),
	OUT(ioasid_get_iova_ranges, out_alignment, out_num),
};

FIXTURE_VARIANT_ADD(abi, bind_pgtable)
{
	.cmd = IOASID_BIND_PGTABLE,
	.size = sizeof(struct ioasid_bind_pgtable),
	.min_size = 40,
	.fill = fill_bind,
	.pgtable = true,
	.flags = IOASID_PGTABLE_VTD_SRE | IOASID_PGTABLE_VTD_EAFE |
		 IOASID_PGTABLE_VTD_WPE,
	.reserved = offsetof(struct ioasid_bind_pgtable, __reserved),
};

FIXTURE_VARIANT_ADD(abi, unbind_pgtable)
{
	.cmd = IOASID_UNBIND_PGTABLE,
	.size = sizeof(struct ioasid_unbind_pgtable),
	.min_size = 16,
	.fill = fill_unbind,
	.pgtable = true,
	.reserved = offsetof(struct ioasid_unbind_pgtable, __reserved),
};

FIXTURE_VARIANT_ADD(abi, invalidate)
{
	.cmd = IOASID_INVALIDATE,
	.size = sizeof(struct ioasid_invalidate),
	.min_size = 40,
	.fill = fill_invalidate,
	.pgtable = true,
	.flags = IOASID_INVALIDATE_SPID,
	.reserved = offsetof(struct ioasid_invalidate, __reserved),
	OUT(ioasid_invalidate, out_num, out_num),
};

static int alloc_id(FIXTURE_DATA(abi) *self,
		    const FIXTURE_VARIANT(abi) *variant)
{
	uint32_t parent;
	int ret;

	self->nr = 1;
	if (variant->iova)
		return cmd_alloc_iova(self->fd, &self->id);
	if (!variant->pgtable)
		return cmd_alloc(self->fd, &self->id);
	self->nr = 2;
	ret = cmd_alloc_parent(self->fd, &parent);
	return ret ?: cmd_alloc_pgtable(self->fd, parent, 48, &self->id);
}

FIXTURE_SETUP(abi)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->mem = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, mprotect(self->mem + self->page, self->page, PROT_NONE));
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	/* The setup cannot skip: the tests do */
	self->lacks = (variant->iova && !has_iova(self->fd)) ||
		      (variant->pgtable && !has_pgtable(self->fd));
	if (!self->lacks)
		ASSERT_EQ(0, alloc_id(self, variant));
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

#define SKIP_IF_LACKING() do {						\
	if (self->lacks)						\
		SKIP(return, "no type of IOASID that it is for");	\
} while (0)

TEST_F(abi, first_version_is_accepted)
{
	void *arg = REQUEST(variant->min_size);

	SKIP_IF_LACKING();
	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
	EXPECT_EQ(variant->min_size, *(uint32_t *)arg);
}

TEST_F(abi, shorter_is_einval)
{
	size_t size;
	char *arg;

	SKIP_IF_LACKING();
	for (size = 4; size < variant->min_size; size++) {
		/* Backed by enough memory, so that only the size is wrong */
		arg = REQUEST(variant->size);
		memcpy(arg, &(uint32_t) { size }, sizeof(uint32_t));
		EXPECT_EQ(EINVAL, cmd(self->fd, variant->cmd, arg));
	}
	arg = REQUEST(variant->size);
	memset(arg, 0, sizeof(uint32_t));
	EXPECT_EQ(EINVAL, cmd(self->fd, variant->cmd, arg));
	EXPECT_EQ(self->nr, nr_allocated(self->fd));
}

TEST_F(abi, zero_tail_is_accepted)
{
	static const size_t tails[] = { 1, 3, 4, 8, 9, 100 };
	unsigned int i;

	SKIP_IF_LACKING();
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

	SKIP_IF_LACKING();
	for (i = 0; i < tail; i++) {
		arg = REQUEST(variant->size + tail);
		arg[variant->size + i] = 1;
		EXPECT_EQ(E2BIG, cmd(self->fd, variant->cmd, arg));
	}
	EXPECT_EQ(self->nr, nr_allocated(self->fd));
}

TEST_F(abi, a_page_is_accepted_more_is_e2big)
{
	char *arg;

	SKIP_IF_LACKING();
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

	SKIP_IF_LACKING();
	for (bit = 0; bit < 32; bit++) {
		uint32_t *arg = REQUEST(variant->size);

		if (variant->flags & 1U << bit)
			continue;
		arg[1] |= 1U << bit;
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, variant->cmd, arg));
	}
	EXPECT_EQ(self->nr, nr_allocated(self->fd));
}

TEST_F(abi, reserved_is_eopnotsupp)
{
	char *arg;

	SKIP_IF_LACKING();
	if (!variant->reserved)
		return;
	arg = REQUEST(variant->size);
	arg[variant->reserved] = 1;
	EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, variant->cmd, arg));
	EXPECT_EQ(self->nr, nr_allocated(self->fd));
}

TEST_F(abi, bad_memory_is_efault)
{
	size_t i;

	SKIP_IF_LACKING();
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
	EXPECT_EQ(self->nr, nr_allocated(self->fd));
}

/* The id of the fixture is there, with an SPID or without. */
static bool is_unchanged(const FIXTURE_DATA(abi) *self,
			 bool has_spid)
{
	uint32_t found = INVALID_ID;

	if (nr_allocated(self->fd) != self->nr)
		return false;
	if (cmd_find_spid(self->fd, SPID, &found) != (has_spid ? 0 : ENOENT))
		return false;
	return !has_spid || found == self->id;
}

/* What fails with EFAULT has not happened. */
TEST_F(abi, outputs_that_cannot_be_written_leave_everything)
{
	void *arg = REQUEST(variant->size);
	uint32_t found;
	bool has_spid;

	SKIP_IF_LACKING();
	if (!variant->out)
		return;
	has_spid = !cmd_find_spid(self->fd, SPID, &found);
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ));
	EXPECT_EQ(EFAULT, cmd(self->fd, variant->cmd, arg));
	EXPECT_TRUE(is_unchanged(self, has_spid));
	EXPECT_EQ(0, cmd_free(self->fd, self->id));
	EXPECT_EQ(self->nr - 1, nr_allocated(self->fd));
}

/* A struct without outputs may be constant; the command has happened. */
TEST_F(abi, without_outputs_nothing_is_written)
{
	void *arg = REQUEST(variant->size);
	bool has_spid;

	SKIP_IF_LACKING();
	if (variant->out)
		return;
	has_spid = variant->cmd == IOASID_SET_SPID;
	EXPECT_TRUE(is_unchanged(self, variant->cmd == IOASID_CLEAR_SPID));
	ASSERT_EQ(0, mprotect(self->mem, self->page, PROT_READ));
	EXPECT_EQ(0, cmd(self->fd, variant->cmd, arg));
	EXPECT_TRUE(is_unchanged(self, has_spid));
}

/* What stands before and behind the outputs may be in memory that is constant. */
TEST_F(abi, only_outputs_are_written)
{
	char before[256], *arg;
	size_t i;

	SKIP_IF_LACKING();
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
		/* Known or not, as the kernel is configured */
		if (nr == _IOC_NR(IOASID_MAP) || nr == _IOC_NR(IOASID_UNMAP) ||
		    nr == _IOC_NR(IOASID_GET_IOVA_RANGES) ||
		    nr == _IOC_NR(IOASID_BIND_PGTABLE) ||
		    nr == _IOC_NR(IOASID_UNBIND_PGTABLE) ||
		    nr == _IOC_NR(IOASID_INVALIDATE))
			continue;
		EXPECT_EQ(ENOTTY, cmd(self->fd, _IO(IOASID_IOC_MAGIC, nr), arg));
	}
	/* Known numbers with a direction, a size or another letter */
	for (nr = _IOC_NR(IOASID_GET_INFO); nr <= _IOC_NR(IOASID_UNBIND_PGTABLE);
	     nr++) {
		EXPECT_EQ(ENOTTY, cmd(self->fd,
				      _IOC(_IOC_READ, IOASID_IOC_MAGIC, nr, 0), arg));
		EXPECT_EQ(ENOTTY, cmd(self->fd,
				      _IOC(_IOC_NONE, IOASID_IOC_MAGIC, nr, 16),
				      arg));
		EXPECT_EQ(ENOTTY, cmd(self->fd, _IO(IOASID_IOC_MAGIC + 1, nr), arg));
	}
}

TEST_F(dev, commands_of_device_files_are_enotty)
{
	struct ioasid_device_info info = { .size = sizeof(info) };
	struct ioasid_device_attach attach = {
		.size = sizeof(attach),
		.ioasid_fd = self->fd,
	};
	struct ioasid_device_detach detach = {
		.size = sizeof(detach),
		.ioasid_fd = self->fd,
	};

	ASSERT_EQ(0, cmd_alloc(self->fd, &attach.ioasid));
	detach.ioasid = attach.ioasid;
	EXPECT_EQ(ENOTTY, cmd(self->fd, IOASID_DEVICE_INFO, &info));
	EXPECT_EQ(ENOTTY, cmd(self->fd, IOASID_DEVICE_ATTACH, &attach));
	EXPECT_EQ(ENOTTY, cmd(self->fd, IOASID_DEVICE_DETACH, &detach));
}

/* A program gets as much of the struct as it knows, and no byte more. */
TEST_F(dev, info_is_told_up_to_its_size)
{
	struct ioasid_get_info whole, part;
	char *bytes = (char *)&part;
	uint32_t size, i;

	for (size = 40; size <= sizeof(whole); size++) {
		ASSERT_EQ(0, cmd_info(self->fd, &whole));
		memset(&part, 0, sizeof(part));
		part.size = size;
		ASSERT_EQ(0, cmd(self->fd, IOASID_GET_INFO, &part));
		/* Of what does not change meanwhile */
		EXPECT_EQ(whole.out_types, part.out_types);
		EXPECT_EQ(0, memcmp(bytes + 40, (char *)&whole + 40, size - 40));
		for (i = size; i < sizeof(part); i++)
			EXPECT_EQ(0, bytes[i]);
	}
}

/* A type is supported or not; without its page tables nothing is told of them. */
TEST_F(dev, info_of_iova_agrees_with_alloc)
{
	struct ioasid_get_info info;
	uint32_t id;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	if (info.out_types & 1U << IOASID_TYPE_IOVA) {
		EXPECT_NE(0, info.out_page_sizes & IOVA_PAGE);
		EXPECT_EQ(0, info.out_page_sizes & (IOVA_PAGE - 1));
		EXPECT_LE(UINT32_MAX, info.out_iova_last);
		EXPECT_EQ(0, (info.out_iova_last + 1) & (IOVA_PAGE - 1));
		EXPECT_EQ(0, cmd_alloc_iova(self->fd, &id));
	} else {
		EXPECT_EQ(0, info.out_page_sizes);
		EXPECT_EQ(0, info.out_iova_last);
		EXPECT_EQ(EOPNOTSUPP, cmd_alloc_iova(self->fd, &id));
	}
}

TEST_F(dev, other_types_are_eopnotsupp)
{
	static const uint32_t types[] = {
		IOASID_TYPE_EPT, IOASID_TYPE_PASID_TABLE,
		IOASID_TYPE_PASID_TABLE + 1, 31, 32, UINT32_MAX,
	};
	struct ioasid_get_info info;
	unsigned int i;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	EXPECT_EQ(1U << IOASID_TYPE_NONE,
		  info.out_types & ~(1U << IOASID_TYPE_IOVA |
				     1U << IOASID_TYPE_SVA |
				     1U << IOASID_TYPE_PGTABLE));
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

/* As many as one process can have */
#define SVA_MAX	16

TEST_F(dev, sva_as_out_types_says)
{
	struct ioasid_alloc arg = {
		.size = sizeof(arg),
		.type = IOASID_TYPE_SVA,
		.max = UINT32_MAX,
	};
	uint32_t ids[SVA_MAX];
	struct ioasid_get_info info;
	unsigned int i;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	if (!(info.out_types & 1U << IOASID_TYPE_SVA)) {
		EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_ALLOC, &arg));
		EXPECT_EQ(0, nr_allocated(self->fd));
		return;
	}
	for (i = 0; i < SVA_MAX; i++) {
		ASSERT_EQ(0, cmd(self->fd, IOASID_ALLOC, &arg));
		ids[i] = arg.out_ioasid;
	}
	EXPECT_EQ(ENOSPC, cmd(self->fd, IOASID_ALLOC, &arg));
	EXPECT_EQ(SVA_MAX, nr_allocated(self->fd));
	for (i = 0; i < SVA_MAX; i++)
		EXPECT_EQ(0, cmd_free(self->fd, ids[i]));
	/* None of them is counted any more */
	EXPECT_EQ(0, cmd(self->fd, IOASID_ALLOC, &arg));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(dev, sva_has_no_mappings)
{
	struct ioasid_alloc arg = {
		.size = sizeof(arg),
		.type = IOASID_TYPE_SVA,
		.max = UINT32_MAX,
	};
	struct ioasid_get_iova_ranges ranges = { .size = sizeof(ranges) };
	struct ioasid_map map = {
		.size = sizeof(map),
		.flags = IOASID_MAP_READ,
		.user_va = (uintptr_t)self & ~4095ULL,
		.length = 4096,
	};
	struct ioasid_unmap unmap = { .size = sizeof(unmap), .length = 4096 };

	if (cmd(self->fd, IOASID_ALLOC, &arg) == EOPNOTSUPP)
		SKIP(return, "no IOMMU that walks tables of processes");
	map.ioasid = arg.out_ioasid;
	unmap.ioasid = arg.out_ioasid;
	ranges.ioasid = arg.out_ioasid;
	EXPECT_EQ(EINVAL, cmd(self->fd, IOASID_MAP, &map));
	EXPECT_EQ(EINVAL, cmd(self->fd, IOASID_UNMAP, &unmap));
	EXPECT_EQ(EINVAL, cmd(self->fd, IOASID_GET_IOVA_RANGES, &ranges));
}

/* What is said of page tables of users agrees with ALLOC. */
TEST_F(dev, pgtable_as_out_types_says)
{
	struct ioasid_get_info info;
	uint32_t parent, id;
	bool has;

	ASSERT_EQ(0, cmd_info(self->fd, &info));
	has = info.out_types & 1U << IOASID_TYPE_PGTABLE;
	EXPECT_EQ(has ? 1U << IOASID_FORMAT_VTD_S1 : 0, info.out_formats);
	EXPECT_EQ(has ? IOASID_FEATURE_NEST_PARENT : 0, info.out_features);
	if (!has) {
		EXPECT_EQ(EOPNOTSUPP, cmd_alloc_parent(self->fd, &parent));
		EXPECT_EQ(0, nr_allocated(self->fd));
		return;
	}
	ASSERT_EQ(0, cmd_alloc_parent(self->fd, &parent));
	EXPECT_EQ(0, cmd_alloc_pgtable(self->fd, parent, 48, &id));
	EXPECT_EQ(2, nr_allocated(self->fd));
}

/* Each member of ALLOC is for one type only */
TEST_F(dev, alloc_members_of_other_types_are_einval)
{
	static const struct ioasid_alloc args[] = {
		{ .type = IOASID_TYPE_NONE, .flags = IOASID_ALLOC_NEST_PARENT },
		{ .type = IOASID_TYPE_SVA, .flags = IOASID_ALLOC_NEST_PARENT },
		{ .type = IOASID_TYPE_PGTABLE, .flags = IOASID_ALLOC_NEST_PARENT },
		{ .type = IOASID_TYPE_NONE, .parent = 1 },
		{ .type = IOASID_TYPE_IOVA, .parent = 1 },
		{ .type = IOASID_TYPE_SVA, .format = IOASID_FORMAT_VTD_S1 },
		{ .type = IOASID_TYPE_IOVA, .addr_width = 48 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(args) / sizeof(*args); i++) {
		struct ioasid_alloc arg = args[i];

		arg.size = sizeof(arg);
		arg.max = UINT32_MAX;
		EXPECT_EQ(EINVAL, cmd(self->fd, IOASID_ALLOC, &arg));
	}
	EXPECT_EQ(0, nr_allocated(self->fd));
}

TEST_F(dev, pgtable_parents)
{
	uint32_t plain, parent, id, other;
	struct ioasid_alloc arg = {
		.size = sizeof(arg),
		.type = IOASID_TYPE_PGTABLE,
		.max = UINT32_MAX,
		.addr_width = 48,
	};
	int fd;

	if (!has_pgtable(self->fd))
		SKIP(return, "no IOMMU that walks page tables of users");
	ASSERT_EQ(0, cmd_alloc_iova(self->fd, &plain));
	ASSERT_EQ(0, cmd_alloc_parent(self->fd, &parent));
	EXPECT_EQ(EINVAL, cmd_alloc_pgtable(self->fd, plain, 48, &id));
	EXPECT_EQ(ENOENT, cmd_alloc_pgtable(self->fd, parent + 1, 48, &id));
	EXPECT_EQ(EINVAL, cmd_alloc_pgtable(self->fd, parent, 39, &id));
	arg.parent = parent;
	for (arg.format = 0; arg.format < 4; arg.format++)
		if (arg.format != IOASID_FORMAT_VTD_S1)
			EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_ALLOC, &arg));
	fd = dev_open();
	EXPECT_EQ(ENOENT, cmd_alloc_pgtable(fd, parent, 48, &id));
	close(fd);
	ASSERT_EQ(0, cmd_alloc_pgtable(self->fd, parent, 48, &id));
	EXPECT_EQ(EINVAL, cmd_alloc_pgtable(self->fd, id, 48, &other));
	/* The parent can go first */
	EXPECT_EQ(0, cmd_bind(self->fd, id, 0, 0));
	EXPECT_EQ(0, cmd_free(self->fd, parent));
	EXPECT_EQ(ENOENT, cmd_unbind(self->fd, id));
	EXPECT_EQ(ENOENT, cmd_bind(self->fd, id, 0, 0));
	EXPECT_EQ(0, cmd_free(self->fd, id));
	EXPECT_EQ(1, nr_allocated(self->fd));
}

TEST_F(dev, pgtable_binds_once)
{
	struct ioasid_bind_pgtable bind = { .size = sizeof(bind), .pat = 1 };
	uint32_t parent, id;

	if (!has_pgtable(self->fd))
		SKIP(return, "no IOMMU that walks page tables of users");
	ASSERT_EQ(0, cmd_alloc_parent(self->fd, &parent));
	ASSERT_EQ(0, cmd_alloc_pgtable(self->fd, parent, 48, &id));
	EXPECT_EQ(ENOENT, cmd_unbind(self->fd, id));
	EXPECT_EQ(EINVAL, cmd_bind(self->fd, id, 8, 0));
	EXPECT_EQ(EINVAL, cmd_bind(self->fd, id, 1ULL << 62, 0));
	EXPECT_EQ(EINVAL, cmd_bind(self->fd, id, 0, IOASID_PGTABLE_VTD_WPE));
	EXPECT_EQ(EINVAL, cmd_bind(self->fd, parent, 0, 0));
	bind.ioasid = id;
	EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_BIND_PGTABLE, &bind));
	bind.pat = 0;
	bind.emt = 1;
	EXPECT_EQ(EOPNOTSUPP, cmd(self->fd, IOASID_BIND_PGTABLE, &bind));
	EXPECT_EQ(0, cmd_bind(self->fd, id, 0, 0));
	EXPECT_EQ(EBUSY, cmd_bind(self->fd, id, 0, 0));
	EXPECT_EQ(0, cmd_unbind(self->fd, id));
	EXPECT_EQ(0, cmd_bind(self->fd, id, IOVA_PAGE, 0));
	EXPECT_EQ(0, cmd_free(self->fd, id));
	EXPECT_EQ(0, cmd_free(self->fd, parent));
}

#define INVALIDATE_MAX	1024

TEST_F(dev, invalidate_entries)
{
	static struct ioasid_inv_vtd_s1 entries[INVALIDATE_MAX + 8];
	struct ioasid_invalidate arg = {
		.size = sizeof(arg),
		.num = 1,
		.entry_size = sizeof(*entries) - 8,
		.entries = (uintptr_t)entries,
	};
	uint32_t parent, id, done, i;

	if (!has_pgtable(self->fd))
		SKIP(return, "no IOMMU that walks page tables of users");
	for (i = 0; i < INVALIDATE_MAX + 8; i++)
		entries[i].npages = 1;
	ASSERT_EQ(0, cmd_alloc_parent(self->fd, &parent));
	ASSERT_EQ(0, cmd_alloc_pgtable(self->fd, parent, 48, &id));
	EXPECT_EQ(ENOENT, cmd_invalidate(self->fd, id, 0, entries, 1, &done));
	EXPECT_EQ(ENOENT, cmd_invalidate(self->fd, id, 0, NULL, 0, &done));
	ASSERT_EQ(0, cmd_bind(self->fd, id, 0, 0));
	EXPECT_EQ(EINVAL, cmd_invalidate(self->fd, parent, 0, entries, 1, &done));
	EXPECT_EQ(0, cmd_invalidate(self->fd, id, 0, NULL, 0, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(0, cmd_invalidate(self->fd, id, 0, entries, 3, &done));
	EXPECT_EQ(3, done);
	EXPECT_EQ(0, cmd_invalidate(self->fd, id, 0, entries,
				    INVALIDATE_MAX + 8, &done));
	EXPECT_EQ(INVALIDATE_MAX, done);
	EXPECT_EQ(EFAULT, cmd_invalidate(self->fd, id, 0, NULL, 1, &done));
	EXPECT_EQ(INVALID_ID, done);

	arg.ioasid = id;
	EXPECT_EQ(EINVAL, cmd(self->fd, IOASID_INVALIDATE, &arg));
	/* Larger ones of a newer program, as long as it does not use that */
	arg.entry_size = 2 * sizeof(*entries);
	entries[1] = (struct ioasid_inv_vtd_s1) {};
	EXPECT_EQ(0, cmd(self->fd, IOASID_INVALIDATE, &arg));
	entries[1].npages = 1;
	EXPECT_EQ(E2BIG, cmd(self->fd, IOASID_INVALIDATE, &arg));
	arg.entry_size = UINT32_MAX;
	EXPECT_EQ(E2BIG, cmd(self->fd, IOASID_INVALIDATE, &arg));

	/* With one that is wrong none is done, wherever it stands */
	entries[2].addr = 1;
	EXPECT_EQ(EINVAL, cmd_invalidate(self->fd, id, 0, entries, 8, &done));
	EXPECT_EQ(INVALID_ID, done);
	entries[2].addr = 0;
	entries[2].flags = 2;
	EXPECT_EQ(EOPNOTSUPP, cmd_invalidate(self->fd, id, 0, entries, 8, &done));
	entries[2].flags = 0;
	entries[2].__reserved = 1;
	EXPECT_EQ(EOPNOTSUPP, cmd_invalidate(self->fd, id, 0, entries, 8, &done));
}

/* By the SPID, whether it was set before BIND or after */
TEST_F(dev, invalidate_by_spid)
{
	uint32_t parent, ids[2], done, i;

	if (!has_pgtable(self->fd))
		SKIP(return, "no IOMMU that walks page tables of users");
	ASSERT_EQ(0, cmd_alloc_parent(self->fd, &parent));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, cmd_alloc_pgtable(self->fd, parent, 48, &ids[i]));
		if (i)
			ASSERT_EQ(0, cmd_set_spid(self->fd, ids[i], SPID + i));
		ASSERT_EQ(0, cmd_bind(self->fd, ids[i], 0, 0));
		if (!i)
			ASSERT_EQ(0, cmd_set_spid(self->fd, ids[i], SPID + i));
		EXPECT_EQ(0, cmd_invalidate(self->fd, SPID + i,
					    IOASID_INVALIDATE_SPID, NULL, 0,
					    &done));
	}
	EXPECT_EQ(ENOENT, cmd_invalidate(self->fd, SPID + 2,
					 IOASID_INVALIDATE_SPID, NULL, 0, &done));
	EXPECT_EQ(0, cmd_unbind(self->fd, ids[0]));
	EXPECT_EQ(ENOENT, cmd_invalidate(self->fd, SPID, IOASID_INVALIDATE_SPID,
					 NULL, 0, &done));
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
