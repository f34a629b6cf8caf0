// SPDX-License-Identifier: GPL-2.0
/*
 * Random ioctls on /dev/ioasid, checked against a model of what is allocated and,
 * where an IOASID can be an I/O address space, of what is mapped
 *
 * IOASID_FUZZ_SEED and IOASID_FUZZ_COUNT repeat and extend a run.
 */
#include <time.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define NR_FILES	3
/*
 * Numbers that the model follows. The rest of the fuzz stays below, but for an address
 * space and a page table of each file, which have numbers behind them.
 */
#define BASE		50000
#define NR_IDS		64
/* Pages that the model maps; the first one is at address 0 */
#define NR_SLOTS	32
#define MAX_PAGES	4

struct model {
	int fd;
	bool has[NR_IDS];
	/* SPID + 1 */
	uint32_t spid[NR_IDS];
	uint64_t cookie[NR_IDS];
	/* It is an I/O address space */
	bool iova[NR_IDS];
	/* The slot that the mapping begins with + 1 */
	uint8_t slots[NR_IDS][NR_SLOTS];
	/* An address space in which anything may be mapped, not in the model */
	uint32_t wild;
	/* A page table on top of it, that anything may be bound to; or INVALID_ID */
	uint32_t table;
};

static char memory[MAX_PAGES * IOVA_PAGE] __attribute__((aligned(IOVA_PAGE)));
static bool iova_supported, pgtable_supported;

static uint64_t state;

static uint32_t rnd(void)
{
	/* xorshift64*, Vigna */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dull) >> 32;
}

static uint32_t rnd_value(void)
{
	switch (rnd() % 6) {
	case 0:
		return rnd() % 8;
	case 1:
		return UINT32_MAX - rnd() % 4;
	case 2:
		return 1U << rnd() % 32;
	default:
		return BASE + rnd() % NR_IDS;
	}
}

/* Some multiple of the page size, or not */
static uint64_t rnd_length(void)
{
	switch (rnd() % 8) {
	case 0:
		return (uint64_t)rnd_value() << 32 | rnd_value();
	case 1:
		return -IOVA_PAGE;
	case 2:
		return rnd_value();
	default:
		return rnd() % (MAX_PAGES + 1) * IOVA_PAGE;
	}
}

/*
 * The ioctls of address spaces: some of their members make sense, as otherwise
 * hardly one would get far.
 */
static void wild_iova(struct model *m, unsigned int nr, uint32_t *arg)
{
	static struct ioasid_iova_range ranges[8];
	uint64_t value[3];

	if (nr == _IOC_NR(IOASID_GET_IOVA_RANGES)) {
		/* Not just anywhere: it is written to */
		arg[3] = rnd() % 2 ? rnd() % 9 : rnd_value();
		value[0] = rnd() % 4 ? (uintptr_t)ranges : 0;
		memcpy(arg + 4, value, sizeof(value[0]));
	} else {
		arg[1] = rnd() % 8 ? rnd() % 8 : rnd_value();
		value[0] = rnd() % 4 ? (uintptr_t)memory : rnd_length();
		value[1] = rnd_length();
		value[2] = rnd_length();
		if (nr == _IOC_NR(IOASID_MAP)) {
			memcpy(arg + 4, value, sizeof(value));
		} else {
			if (rnd() % 4)
				arg[1] = 0;
			memcpy(arg + 4, value + 1, 2 * sizeof(value[0]));
		}
	}
	/* Others would change what the model follows */
	arg[2] = m->wild != INVALID_ID && rnd() % 4 ? m->wild : rnd() % BASE;
	if (rnd() % 4) {
		arg[0] = nr == _IOC_NR(IOASID_MAP) ? sizeof(struct ioasid_map) :
						     sizeof(struct ioasid_unmap);
		memset(arg + arg[0] / 4, 0, 256 - arg[0]);
		if (nr != _IOC_NR(IOASID_GET_IOVA_RANGES))
			arg[3] = 0;
	}
}

/* The same for those of page tables of users */
static void wild_pgtable(struct model *m, unsigned int nr, uint32_t *arg)
{
	static struct ioasid_inv_vtd_s1 entries[4];
	uint64_t value;
	unsigned int i;

	if (nr == _IOC_NR(IOASID_BIND_PGTABLE)) {
		value = rnd_length();
		memcpy(arg + 4, &value, sizeof(value));
		arg[1] = rnd() % 4 ? 0 : rnd_value();
		if (rnd() % 4) {
			arg[0] = sizeof(struct ioasid_bind_pgtable);
			arg[3] = 0;
			memset(arg + 6, 0, 256 - 24);
		}
	} else if (nr == _IOC_NR(IOASID_INVALIDATE)) {
		for (i = 0; i < 4; i++)
			entries[i] = (struct ioasid_inv_vtd_s1) {
				.addr = rnd_length() << rnd() % 36,
				.npages = rnd() % 8 ? rnd_value() : UINT64_MAX,
				.flags = rnd() % 8 ? rnd() % 2 : rnd_value(),
			};
		value = rnd() % 8 ? (uintptr_t)entries : rnd_value();
		memcpy(arg + 6, &value, sizeof(value));
		arg[3] = rnd() % 4 ? rnd() % 5 : rnd_value();
		arg[4] = rnd() % 4 ? sizeof(*entries) : rnd_value();
		arg[1] = rnd() % 4 ? 0 : 1;
		if (rnd() % 4) {
			arg[0] = sizeof(struct ioasid_invalidate);
			memset(arg + 8, 0, 256 - 32);
		}
	}
	arg[2] = m->table != INVALID_ID && rnd() % 4 ? m->table : rnd() % BASE;
}

static bool is_pgtable_command(unsigned int nr)
{
	return nr == _IOC_NR(IOASID_BIND_PGTABLE) ||
	       nr == _IOC_NR(IOASID_UNBIND_PGTABLE) ||
	       nr == _IOC_NR(IOASID_INVALIDATE);
}

/* Any command, size and content. Returns false for a wrong errno. */
static bool wild(struct model *m)
{
	static const int known[] = {
		ENOTTY, E2BIG, EOPNOTSUPP, EINVAL, ENOENT, EBUSY, ENOSPC,
		EEXIST, EFAULT, EOVERFLOW,
	};
	uint32_t arg[64];
	unsigned int i, nr;
	int ret;

	for (i = 0; i < 64; i++)
		arg[i] = rnd() % 3 ? 0 : rnd_value();
	arg[0] = rnd() % 2 ? 4 * (rnd() % 64) : rnd_value();
	if (rnd() % 4)
		arg[1] = 0;
	nr = rnd() % 20;
	/* Would change what the model follows */
	if (nr == _IOC_NR(IOASID_ALLOC)) {
		arg[3] = 0;
		arg[4] = rnd() % 2;
	} else if (nr == _IOC_NR(IOASID_FREE) ||
		   nr == _IOC_NR(IOASID_SET_SPID) ||
		   nr == _IOC_NR(IOASID_CLEAR_SPID)) {
		arg[2] = rnd() % BASE;
	} else if (nr == _IOC_NR(IOASID_MAP) || nr == _IOC_NR(IOASID_UNMAP) ||
		   nr == _IOC_NR(IOASID_GET_IOVA_RANGES)) {
		wild_iova(m, nr, arg);
	} else if (is_pgtable_command(nr)) {
		wild_pgtable(m, nr, arg);
	}
	ret = cmd(m->fd, _IO(IOASID_IOC_MAGIC, nr),
		  rnd() % 50 ? arg : (void *)(uintptr_t)rnd());
	if (!ret)
		return nr == _IOC_NR(IOASID_GET_INFO) ||
		       nr == _IOC_NR(IOASID_QUERY) ||
		       nr == _IOC_NR(IOASID_FIND_SPID) ||
		       (nr == _IOC_NR(IOASID_MAP) && arg[2] == m->wild) ||
		       (nr == _IOC_NR(IOASID_UNMAP) && arg[2] == m->wild) ||
		       (nr == _IOC_NR(IOASID_GET_IOVA_RANGES) &&
			arg[2] == m->wild) ||
		       (is_pgtable_command(nr) && arg[2] == m->table);
	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (ret == known[i])
			return true;
	return false;
}

/* The errno of MAP, UNMAP and GET_IOVA_RANGES for want of an address space; or 0 */
static int no_space(const struct model *m, uint32_t i)
{
	if (!m->has[i])
		return ENOENT;
	return m->iova[i] ? 0 : EINVAL;
}

static bool step_map(struct model *m, uint32_t i)
{
	uint32_t first = rnd() % NR_SLOTS, nr = 1 + rnd() % MAX_PAGES, j;
	uint64_t iova = first * IOVA_PAGE;
	bool taken = false;
	int ret;

	if (first + nr > NR_SLOTS)
		nr = NR_SLOTS - first;
	for (j = 0; j < nr; j++)
		taken |= m->slots[i][first + j];
	ret = cmd_map(m->fd, BASE + i, MAP_RW | IOASID_MAP_FIXED_IOVA, memory,
		      nr * IOVA_PAGE, &iova);
	if (no_space(m, i))
		return ret == no_space(m, i);
	if (taken)
		return ret == EEXIST;
	for (j = 0; j < nr; j++)
		m->slots[i][first + j] = first + 1;
	return !ret;
}

static bool step_unmap(struct model *m, uint32_t i)
{
	uint32_t first = rnd() % NR_SLOTS, nr = 1 + rnd() % NR_SLOTS, end, j;
	uint8_t *slots = m->slots[i];
	uint64_t bytes = 0, done;
	bool cut;
	int ret;

	end = first + nr > NR_SLOTS ? NR_SLOTS : first + nr;
	cut = slots[first] && slots[first] != first + 1;
	cut |= end < NR_SLOTS && slots[end] && slots[end] != end + 1;
	for (j = first; j < end; j++)
		bytes += slots[j] ? IOVA_PAGE : 0;
	ret = cmd_unmap(m->fd, BASE + i, first * IOVA_PAGE,
			(end - first) * IOVA_PAGE, &done);
	if (no_space(m, i))
		return ret == no_space(m, i);
	if (cut)
		return ret == EINVAL;
	if (!bytes)
		return ret == ENOENT;
	memset(slots + first, 0, end - first);
	return !ret && done == bytes;
}

/* One command that the model predicts. Returns false if it was wrong. */
static bool step(struct model *files, struct model *m)
{
	uint32_t i = rnd() % NR_IDS, id = BASE + i, spid = rnd() % 100;
	uint32_t got, j, owner = INVALID_ID, state;
	bool taken = false, iova;
	uint64_t cookie;
	int ret;

	for (j = 0; j < NR_FILES; j++)
		taken |= files[j].has[i];
	for (j = 0; j < NR_IDS; j++)
		if (m->spid[j] == spid + 1)
			owner = j;

	/* The last ones only where they are not unknown */
	switch (rnd() % (iova_supported ? 11 : 7)) {
	case 0:
	case 1:
		cookie = rnd();
		iova = iova_supported && rnd() % 2;
		ret = cmd_alloc_type(m->fd, iova ? IOASID_TYPE_IOVA :
						   IOASID_TYPE_NONE,
				     id, id, cookie, &got);
		if (taken)
			return ret == ENOSPC;
		m->has[i] = true;
		m->cookie[i] = cookie;
		m->iova[i] = iova;
		memset(m->slots[i], 0, NR_SLOTS);
		return !ret && got == id;
	case 2:
		ret = cmd_free(m->fd, id);
		if (!m->has[i])
			return ret == ENOENT;
		m->has[i] = false;
		m->spid[i] = 0;
		return !ret;
	case 3:
		ret = cmd_set_spid(m->fd, id, spid);
		if (!m->has[i])
			return ret == ENOENT;
		if (m->spid[i] || owner != INVALID_ID)
			return ret == EEXIST;
		m->spid[i] = spid + 1;
		return !ret;
	case 4:
		ret = cmd_clear_spid(m->fd, id);
		if (!m->has[i] || !m->spid[i])
			return ret == ENOENT;
		m->spid[i] = 0;
		return !ret;
	case 5:
		ret = cmd_query(m->fd, id, &state, &cookie);
		if (!m->has[i])
			return ret == ENOENT;
		return !ret && state == IOASID_STATE_LIVE &&
		       cookie == m->cookie[i];
	case 7:
	case 8:
		return step_map(m, i);
	case 9:
	case 10:
		return step_unmap(m, i);
	default:
		ret = cmd_find_spid(m->fd, spid, &got);
		if (owner == INVALID_ID)
			return ret == ENOENT;
		return !ret && got == BASE + owner;
	}
}

/* A new file; returns false when there is none. */
static bool open_model(struct model *files, int f)
{
	struct model *m = &files[f];
	uint32_t id = BASE + NR_IDS + f;

	memset(m, 0, sizeof(*m));
	m->wild = INVALID_ID;
	m->table = INVALID_ID;
	m->fd = dev_open();
	if (m->fd < 0)
		return false;
	if (!iova_supported)
		return true;
	if (!pgtable_supported)
		return !cmd_alloc_iova_range(m->fd, id, id, &m->wild);
	if (cmd_alloc_parent_range(m->fd, id, id, &m->wild))
		return false;
	id += NR_FILES;
	return !cmd_alloc_pgtable_range(m->fd, m->wild, 48, id, id, &m->table);
}

TEST(model)
{
	const char *env = getenv("IOASID_FUZZ_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	unsigned long count = 100000, i;
	static struct model files[NR_FILES];
	bool is_wild;
	int f, j, nr;

	env = getenv("IOASID_FUZZ_COUNT");
	if (env)
		count = strtoul(env, NULL, 0);
	TH_LOG("IOASID_FUZZ_SEED=%llu IOASID_FUZZ_COUNT=%lu",
	       (unsigned long long)seed, count);
	/* The state must not be 0 */
	state = seed * 2 + 1;

	f = dev_open();
	iova_supported = f >= 0 && has_iova(f);
	pgtable_supported = f >= 0 && has_pgtable(f);
	close(f);
	for (f = 0; f < NR_FILES; f++)
		ASSERT_TRUE(open_model(files, f));
	for (i = 0; i < count; i++) {
		struct model *m;

		f = rnd() % NR_FILES;
		m = &files[f];
		if (rnd() % 1000 == 0) {
			close(m->fd);
			ASSERT_TRUE(open_model(files, f));
		}
		is_wild = rnd() % 3 == 0;
		ASSERT_TRUE(is_wild ? wild(m) : step(files, m)) {
			TH_LOG("command %lu%s", i, is_wild ? ", wild" : "");
		}
	}
	for (f = 0; f < NR_FILES; f++) {
		nr = (files[f].wild != INVALID_ID) +
		     (files[f].table != INVALID_ID);
		for (j = 0; j < NR_IDS; j++)
			nr += files[f].has[j];
		EXPECT_EQ(nr, nr_allocated(files[f].fd));
		close(files[f].fd);
	}
	/* Nothing is charged any more */
	EXPECT_EQ(0, vm_lck());
}

TEST_HARNESS_MAIN
