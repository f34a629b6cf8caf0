// SPDX-License-Identifier: GPL-2.0
/*
 * Random ioctls on /dev/ioasid, checked against a model of what is allocated
 *
 * IOASID_FUZZ_SEED and IOASID_FUZZ_COUNT repeat and extend a run.
 */
#include <time.h>

#include "../kselftest_harness.h"
#include "ioasid_util.h"

#define NR_FILES	3
/* Numbers that the model follows; the rest of the fuzz stays below, too */
#define BASE		50000
#define NR_IDS		64

struct model {
	int fd;
	bool has[NR_IDS];
	/* SPID + 1 */
	uint32_t spid[NR_IDS];
	uint64_t cookie[NR_IDS];
};

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

/* Any command, size and content. Returns false for a wrong errno. */
static bool wild(struct model *m)
{
	static const int known[] = {
		ENOTTY, E2BIG, EOPNOTSUPP, EINVAL, ENOENT, EBUSY, ENOSPC,
		EEXIST, EFAULT,
	};
	uint32_t arg[64];
	unsigned int i, nr;
	int ret;

	for (i = 0; i < 64; i++)
		arg[i] = rnd() % 3 ? 0 : rnd_value();
	arg[0] = rnd() % 2 ? 4 * (rnd() % 64) : rnd_value();
	if (rnd() % 4)
		arg[1] = 0;
	nr = rnd() % 16;
	/* Would change what the model follows */
	if (nr == _IOC_NR(IOASID_ALLOC)) {
		arg[3] = 0;
		arg[4] = rnd() % 2;
	} else if (nr == _IOC_NR(IOASID_FREE) ||
		   nr == _IOC_NR(IOASID_SET_SPID) ||
		   nr == _IOC_NR(IOASID_CLEAR_SPID)) {
		arg[2] = rnd() % BASE;
	}
	ret = cmd(m->fd, _IO(IOASID_IOC_MAGIC, nr),
		  rnd() % 50 ? arg : (void *)(uintptr_t)rnd());
	if (!ret)
		return nr == _IOC_NR(IOASID_GET_INFO) ||
		       nr == _IOC_NR(IOASID_QUERY) ||
		       nr == _IOC_NR(IOASID_FIND_SPID);
	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (ret == known[i])
			return true;
	return false;
}

/* One command that the model predicts. Returns false if it was wrong. */
static bool step(struct model *files, struct model *m)
{
	uint32_t i = rnd() % NR_IDS, id = BASE + i, spid = rnd() % 100;
	uint32_t got, j, owner = INVALID_ID, state;
	bool taken = false;
	uint64_t cookie;
	int ret;

	for (j = 0; j < NR_FILES; j++)
		taken |= files[j].has[i];
	for (j = 0; j < NR_IDS; j++)
		if (m->spid[j] == spid + 1)
			owner = j;

	switch (rnd() % 7) {
	case 0:
	case 1:
		cookie = rnd();
		ret = cmd_alloc_cookie(m->fd, id, id, cookie, &got);
		if (taken)
			return ret == ENOSPC;
		m->has[i] = true;
		m->cookie[i] = cookie;
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
	default:
		ret = cmd_find_spid(m->fd, spid, &got);
		if (owner == INVALID_ID)
			return ret == ENOENT;
		return !ret && got == BASE + owner;
	}
}

TEST(model)
{
	const char *env = getenv("IOASID_FUZZ_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	unsigned long count = 100000, i;
	struct model files[NR_FILES] = { };
	bool is_wild;
	int f, j, nr;

	env = getenv("IOASID_FUZZ_COUNT");
	if (env)
		count = strtoul(env, NULL, 0);
	TH_LOG("IOASID_FUZZ_SEED=%llu IOASID_FUZZ_COUNT=%lu",
	       (unsigned long long)seed, count);
	/* The state must not be 0 */
	state = seed * 2 + 1;

	for (f = 0; f < NR_FILES; f++) {
		files[f].fd = dev_open();
		ASSERT_LE(0, files[f].fd);
	}
	for (i = 0; i < count; i++) {
		struct model *m = &files[rnd() % NR_FILES];

		if (rnd() % 1000 == 0) {
			close(m->fd);
			memset(m, 0, sizeof(*m));
			m->fd = dev_open();
			ASSERT_LE(0, m->fd);
		}
		is_wild = rnd() % 3 == 0;
		ASSERT_TRUE(is_wild ? wild(m) : step(files, m)) {
			TH_LOG("command %lu%s", i, is_wild ? ", wild" : "");
		}
	}
	for (f = 0; f < NR_FILES; f++) {
		nr = 0;
		for (j = 0; j < NR_IDS; j++)
			nr += files[f].has[j];
		EXPECT_EQ(nr, nr_allocated(files[f].fd));
		close(files[f].fd);
	}
}

TEST_HARNESS_MAIN
