/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that make first-level page tables (VT-d 4.0, 3.6 and 9.8) in memory that they have mapped in a
 * parent, and a walk of such a table as the specification has it, which is what the device's is compared with.
 */
#ifndef IOAS_NEST_H
#define IOAS_NEST_H

#include "ioas-check.h"

/* The "guest": so many pages, which the parent has from BASE on, where it has them */
#define GUEST_PAGES 256
#define BASE (64ul << 30)
#define ADDRESS_BITS 48
/* Of these pages: tables, some that the parent does not have, and data */
enum { TABLES = 0, HOLE = 120, DATA = 140 };

enum { P = 1 << 0, W = 1 << 1, U = 1 << 2, A = 1 << 5, D = 1 << 6, PS = 1 << 7 };
#define ADDRESS 0xffffffffff000ul
/* Above the addresses that there are, up to where software may have bits of its own */
#define RESERVED (ADDRESS & ~((1ul << ADDRESS_BITS) - 1))

struct guest {
	uint64_t *memory;
	unsigned char maps[GUEST_PAGES];	/* the parent has them */
	int giant;				/* there are pages of 1 GiB */
	uint64_t last;				/* address that a parent can have */
};

struct walk {
	int ok;
	unsigned int reason;	/* enum ioasid_fault_reason */
	int stage2;
	uint64_t *host;		/* of what is read or written */
};

static inline uint64_t *guest_page(const struct guest *g, unsigned int nr)
{
	return g->memory + nr * PAGE / 8;
}

static inline uint64_t gpa_of(unsigned int nr)
{
	return BASE + nr * PAGE;
}

static inline uint64_t *guest_memory(void)
{
	return mmap(NULL, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A table of one page, at @gva, of guest pages @table and those behind */
static inline void make_table(const struct guest *g, int levels, unsigned int table, uint64_t gva, unsigned int page,
			      uint64_t flags)
{
	for (int level = levels; level; level--, table++) {
		uint64_t *entries = guest_page(g, table);

		memset(entries, 0, PAGE);
		entries[gva >> (12 + 9 * (level - 1)) & 511] = level > 1 ? gpa_of(table + 1) | P | W | U : gpa_of(page) | flags;
	}
}

/* The entry of a page in a table that make_table() has made */
static inline uint64_t *leaf_of(const struct guest *g, int levels, unsigned int table, uint64_t gva)
{
	return guest_page(g, table + levels - 1) + (gva >> 12 & 511);
}

/* Where the parent has an address; NULL for nowhere */
static inline uint64_t *parent_walk(const struct guest *g, uint64_t gpa)
{
	uint64_t nr = (gpa - BASE) / PAGE;

	return gpa < BASE || nr >= GUEST_PAGES || !g->maps[nr] ? NULL : g->memory + (gpa - BASE) / 8;
}

static inline struct walk refuse(unsigned int reason, int stage2)
{
	return (struct walk){ .reason = reason, .stage2 = stage2 };
}

static inline int has_reserved(const struct guest *g, uint64_t entry, int level)
{
	if (entry & RESERVED)
		return 1;
	if (!(entry & PS))
		return 0;
	switch (level) {
	case 1:
		return 0;
	case 2:
		return !!(entry & 0x1fe000);
	case 3:
		return !g->giant || entry & 0x3fffe000;
	default:
		return 1;
	}
}

/*
 * What a request that is not privileged finds, level by level: each table, and the page, is where the parent has it. Sets
 * the accessed flags on the way, and the dirty one for a write.
 */
static inline struct walk walk(const struct guest *g, uint64_t root, int levels, uint64_t gva, int write)
{
	uint64_t table = root, rights = W | U, offset, page;
	int unused = 64 - 12 - 9 * levels;

	if ((int64_t)(gva << unused) >> unused != (int64_t)gva)
		return refuse(IOASID_FAULT_RANGE, 0);
	for (int level = levels;; level--) {
		uint64_t *entry = parent_walk(g, table), *host;

		if (!entry)
			return refuse(table > g->last ? IOASID_FAULT_RANGE : IOASID_FAULT_ACCESS, 1);
		entry += gva >> (12 + 9 * (level - 1)) & 511;
		if (!(*entry & P))
			return refuse(IOASID_FAULT_ACCESS, 0);
		if (has_reserved(g, *entry, level))
			return refuse(IOASID_FAULT_TABLE, 0);
		rights &= *entry;
		table = *entry & ADDRESS;
		if (level > 1 && !(*entry & PS)) {
			*entry |= A;
			continue;
		}
		if (!(rights & U) || (write && !(rights & W)))
			return refuse(IOASID_FAULT_ACCESS, 0);
		offset = (1ul << (12 + 9 * (level - 1))) - 1;
		page = (table & ~offset) | (gva & offset);
		host = parent_walk(g, page);
		if (!host)
			return refuse(page > g->last ? IOASID_FAULT_RANGE : IOASID_FAULT_ACCESS, 1);
		*entry |= write ? A | D : A;
		return (struct walk){ .ok = 1, .host = host };
	}
}

/* These return what the ioctl does, or errno */
static inline int nest_parent(int fd, uint32_t *id)
{
	struct ioasid_alloc a = { .size = sizeof(a), .flags = IOASID_ALLOC_NEST_PARENT, .type = IOASID_TYPE_IOVA, .max = ~0u };
	int ret = ioctl(fd, IOASID_ALLOC, &a) ? errno : 0;

	*id = a.out_ioasid;
	return ret;
}

static inline int nest_map(int fd, uint32_t parent, struct guest *g, unsigned int nr)
{
	uint64_t iova = gpa_of(nr);

	g->maps[nr] = 1;
	return ioas_map(fd, parent, guest_page(g, nr), PAGE, RW | FIXED, &iova);
}

/* With all pages of the guest but those of HOLE */
static inline int nest_make_parent(int fd, struct guest *g, uint32_t *id)
{
	int ret = nest_parent(fd, id);

	for (unsigned int nr = 0; nr < GUEST_PAGES && !ret; nr++)
		if (nr < HOLE || nr >= DATA)
			ret = nest_map(fd, *id, g, nr);
	return ret;
}

static inline int nest_alloc(int fd, uint32_t parent, unsigned int width, uint32_t *id)
{
	struct ioasid_alloc a = { .size = sizeof(a), .type = IOASID_TYPE_PGTABLE, .max = ~0u, .parent = parent,
				  .format = IOASID_FORMAT_VTD_S1, .addr_width = width };
	int ret = ioctl(fd, IOASID_ALLOC, &a) ? errno : 0;

	*id = a.out_ioasid;
	return ret;
}

static inline int nest_bind(int fd, uint32_t id, uint64_t table, unsigned int flags)
{
	struct ioasid_bind_pgtable b = { .size = sizeof(b), .flags = flags, .ioasid = id, .pgtable = table };

	return ioctl(fd, IOASID_BIND_PGTABLE, &b) ? errno : 0;
}

static inline int nest_unbind(int fd, uint32_t id)
{
	struct ioasid_unbind_pgtable u = { .size = sizeof(u), .ioasid = id };

	return ioctl(fd, IOASID_UNBIND_PGTABLE, &u) ? errno : 0;
}

/* @id is an SPID with IOASID_INVALIDATE_SPID in @how */
static inline int nest_invalidate_as(int fd, uint32_t id, unsigned int how, uint64_t addr, uint64_t npages, unsigned int flags)
{
	struct ioasid_inv_vtd_s1 entry = { .addr = addr, .npages = npages, .flags = flags };
	struct ioasid_invalidate i = { .size = sizeof(i), .flags = how, .ioasid = id, .num = 1, .entry_size = sizeof(entry),
				       .entries = (uintptr_t)&entry };

	return ioctl(fd, IOASID_INVALIDATE, &i) ? errno : i.out_num == 1 ? 0 : EPROTO;
}

static inline int nest_invalidate(int fd, uint32_t id, uint64_t addr, uint64_t npages, unsigned int flags)
{
	return nest_invalidate_as(fd, id, 0, addr, npages, flags);
}

#define WHOLE ~0ul

#endif
