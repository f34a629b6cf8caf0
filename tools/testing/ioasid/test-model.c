// SPDX-License-Identifier: GPL-2.0
/*
 * A model of the core that is slow and obvious: arrays, searched from the
 * beginning. test-random.c compares it with the core.
 */
#include "test-model.h"

struct m_id ids[IDS];
struct m_set sets[SETS];
int set_order[SETS], nr_sets;	/* as made */
struct m_sub subs[SUBS];
int mm_order[SUBS], nr_mm_subs;	/* as subscribed */
struct m_chain global;
struct ioasid_pool pool;

bool m_freed(ioasid_t id)
{
	return ids[id].state == IOASID_STATE_FREE_PENDING;
}

bool m_exists(ioasid_t id)
{
	return id < IDS && ids[id].exists;
}

void m_set_put(int s)
{
	int i;

	if (--sets[s].refs)
		return;
	pool.taken[IOASID_POOL_QUOTA] -= sets[s].quota;
	pool.left += sets[s].quota;
	sets[s].real = NULL;
	for (i = 0; set_order[i] != s; i++)
		;
	nr_sets--;
	for (; i < nr_sets; i++)
		set_order[i] = set_order[i + 1];
}

static enum ioasid_pool_user m_pool_user(const struct m_set *set)
{
	return set->type == IOASID_SET_TYPE_MM ? IOASID_POOL_TENANTS :
						 IOASID_POOL_SHARED;
}

/* Ids for users' sets: one by one, each keeps its part */
static u32 m_tenants(void)
{
	u32 all = pool.capacity - pool.taken[IOASID_POOL_QUOTA], nr = 0;

	while (nr < all && 100 * (all - nr - 1) >= pool.kept * all)
		nr++;
	return nr;
}

static long m_act(const struct record *r);

static void m_call(int sub, unsigned long event, ioasid_t id, ioasid_t spid)
{
	struct record *r = &records[next_record];

	if (next_record == nr_records) {
		test_fail(__FILE__, __LINE__,
			  "SEED=%lu operation %lu %s: event %lu of %u did not come",
			  seed, op_number, op_name, event, id);
		return;
	}
	next_record++;
	CHECK("subscriber", r->sub, sub);
	CHECK("event", r->event, event);
	CHECK("id of the event", r->args.id, id);
	CHECK("spid of the event", r->args.spid, spid);
	CHECK("set of the event", r->args.set, sets[ids[id].set].real);
	CHECK("data of the event", r->args.pdata, ids[id].private);
	if (r->action != ACT_NONE)
		CHECK("result in a handler", r->result, m_act(r));
}

static void m_deliver(ioasid_t id, unsigned long event, ioasid_t spid)
{
	struct m_chain *chain = &sets[ids[id].set].chain;
	int i;

	for (i = 0; i < chain->nr; i++)
		m_call(chain->sub[i], event, id, spid);
	for (i = 0; i < global.nr; i++)
		m_call(global.sub[i], event, id, spid);
}

static void m_end_use(ioasid_t id)
{
	if (!--ids[id].uses && !m_freed(id))
		ids[id].state = IOASID_STATE_IDLE;
}

static void m_emit(ioasid_t id)
{
	struct m_id *m = &ids[id];
	struct m_set *set = &sets[m->set];
	bool drop = false;
	struct m_due due;
	int i;

	m->emitting = true;
	while (m->nr_due || (m_freed(id) && !m->free_sent)) {
		if (m->nr_due) {
			due = m->due[0];
			m->nr_due--;
			for (i = 0; i < m->nr_due; i++)
				m->due[i] = m->due[i + 1];
			m_deliver(id, due.event, due.spid);
			if (due.event == IOASID_NOTIFY_UNBIND) {
				set->ns[due.spid] = 0;
				m_end_use(id);
			}
			continue;
		}
		m->free_sent = true;
		m_deliver(id, IOASID_NOTIFY_FREE, m->spid);
		m->spid = NONE;
		for (i = 0; i < SPIDS; i++) {
			if (set->ns[i] == id) {
				set->ns[i] = 0;
				m_end_use(id);
			}
		}
		drop = m->owned;
		m->owned = false;
	}
	m->emitting = false;
	if (drop)
		m_put(id);
}

static void m_due(ioasid_t id, unsigned long event, ioasid_t spid)
{
	ids[id].due[ids[id].nr_due++] = (struct m_due){ event, spid };
}

static void m_pending(ioasid_t id)
{
	ids[id].state = IOASID_STATE_FREE_PENDING;
	sets[ids[id].set].pending++;
}

bool m_put(ioasid_t id)
{
	struct m_set *set = &sets[ids[id].set];
	u32 i;

	if (--ids[id].refs)
		return false;
	if (!m_freed(id)) {
		ids[id].owned = false;
		m_pending(id);
		m_emit(id);
	}
	ids[id].exists = false;
	set->pending--;
	for (i = 0; set->order[i] != id; i++)
		;
	set->nr--;
	for (; i < set->nr; i++)
		set->order[i] = set->order[i + 1];
	if (!set->quota) {
		pool.taken[m_pool_user(set)]--;
		pool.left++;
	}
	m_set_put(set - sets);
	return true;
}

static void m_entry_free(ioasid_t id)
{
	if (m_freed(id))
		return;
	m_pending(id);
	if (!ids[id].emitting)
		m_emit(id);
}

/* s < 0: any set */
bool m_free(int s, ioasid_t id)
{
	if (!m_exists(id))
		return true;
	if ((s >= 0 && ids[id].set != s) || !ids[id].refs)
		return false;
	ids[id].refs++;
	m_entry_free(id);
	return m_put(id);
}

int m_get(int s, ioasid_t id)
{
	if (!m_exists(id))
		return -ENOENT;
	if (s >= 0 && ids[id].set != s)
		return -EACCES;
	if (m_freed(id))
		return -EBUSY;
	ids[id].refs++;
	return 0;
}

int m_get_if_owned(ioasid_t id, int mm)
{
	int ret = m_get(-1, id);

	if (ret)
		return ret;
	if (sets[ids[id].set].type != IOASID_SET_TYPE_MM)
		ret = -EINVAL;
	else if (sets[ids[id].set].mm != mm)
		ret = -EPERM;
	if (ret)
		ids[id].refs--;
	return ret;
}

int m_use(int s, ioasid_t id)
{
	int ret = m_get(s, id);

	if (!ret && !ids[id].uses++)
		ids[id].state = IOASID_STATE_ACTIVE;
	return ret;
}

bool m_unuse(ioasid_t id)
{
	m_end_use(id);
	return m_put(id);
}

int m_alloc(int s, ioasid_t min, ioasid_t max, void *private, ioasid_t *id)
{
	struct m_set *set = &sets[s];

	if (min > max)
		return -EINVAL;
	if (min < IOASID_ALLOC_BASE)
		min = IOASID_ALLOC_BASE;
	if (max > IOASID_MAX)
		max = IOASID_MAX;
	if (min > max)
		return -ENOSPC;
	if (set->dying)
		return -EINVAL;
	if (set->quota ? set->nr >= set->quota : !pool.left)
		return -ENOSPC;
	if (!set->quota && set->type == IOASID_SET_TYPE_MM &&
	    pool.taken[IOASID_POOL_TENANTS] >= m_tenants())
		return -ENOSPC;
	while (min <= max && m_exists(min))
		min++;
	if (min > max)
		return -ENOSPC;

	if (!set->quota) {
		pool.left--;
		pool.taken[m_pool_user(set)]++;
	}
	*id = min;
	ids[min] = (struct m_id){
		.exists = true,
		.set = s,
		.private = private,
		.state = IOASID_STATE_IDLE,
		.refs = 2,
		.owned = true,
		.spid = NONE,
	};
	set->order[set->nr++] = min;
	set->refs++;
	m_due(min, IOASID_NOTIFY_ALLOC, NONE);
	m_emit(min);
	m_put(min);
	return 0;
}

int m_attach(ioasid_t id, ioasid_t spid)
{
	int ret;

	if (spid == NONE)
		return -EINVAL;
	ret = m_get(-1, id);
	if (ret)
		return ret;
	if (sets[ids[id].set].ns[spid] || ids[id].spid != NONE) {
		ret = -EEXIST;
	} else {
		sets[ids[id].set].ns[spid] = id;
		ids[id].spid = spid;
		if (!ids[id].uses++)
			ids[id].state = IOASID_STATE_ACTIVE;
		m_due(id, IOASID_NOTIFY_BIND, spid);
		m_emit(id);
	}
	m_put(id);
	return ret;
}

int m_detach(ioasid_t id)
{
	if (!m_exists(id) || ids[id].spid == NONE)
		return -ENOENT;
	if (!ids[id].free_sent)
		m_due(id, IOASID_NOTIFY_UNBIND, ids[id].spid);
	ids[id].spid = NONE;
	if (!ids[id].emitting) {
		ids[id].refs++;
		m_emit(id);
		m_put(id);
	}
	return 0;
}

ioasid_t m_find_by_spid(int s, ioasid_t spid, bool get)
{
	ioasid_t id = sets[s].ns[spid];

	if (!id || m_freed(id))
		return NONE;
	ids[id].refs += get;
	return id;
}

/* As the core: hold one, find the next, drop the one */
void m_free_all(int s)
{
	struct m_set *set = &sets[s];
	ioasid_t id = 0, next;
	u32 i;

	for (;;) {
		i = 0;
		if (id)
			while (set->order[i++] != id)
				;
		while (i < set->nr && !ids[set->order[i]].refs)
			i++;
		next = i < set->nr ? set->order[i] : 0;
		if (next)
			ids[next].refs++;
		if (id)
			m_put(id);
		if (!next)
			break;
		id = next;
		m_entry_free(id);
	}
}

static long m_act(const struct record *r)
{
	ioasid_t id = r->args.id;

	switch (r->action) {
	case ACT_GET:
		return m_get(-1, id);
	case ACT_PUT:
		return m_put(id);
	case ACT_FREE:
		return m_free(ids[id].set, id);
	case ACT_FREE_OTHER:
		return m_free(-1, r->other);
	case ACT_DETACH:
		return m_detach(id);
	case ACT_UNUSE:
		return m_unuse(id);
	case ACT_FIND:
		return m_find_by_spid(ids[id].set, r->other, true);
	default:
		return 0;
	}
}

void m_chain_add(struct m_chain *chain, int sub)
{
	int i, at = 0;

	while (at < chain->nr &&
	       subs[chain->sub[at]].nb.priority >= subs[sub].nb.priority)
		at++;
	for (i = chain->nr++; i > at; i--)
		chain->sub[i] = chain->sub[i - 1];
	chain->sub[at] = sub;
}

void m_list_del(int *list, int *nr, int what)
{
	int i = 0;

	while (i < *nr && list[i] != what)
		i++;
	if (i == *nr)
		return;
	--*nr;
	for (; i < *nr; i++)
		list[i] = list[i + 1];
}

static void m_replay(int sub, int s)
{
	ioasid_t id;
	u32 i;

	for (i = 0; i < sets[s].nr; i++) {
		id = sets[s].order[i];
		if (ids[id].free_sent)
			continue;
		m_call(sub, IOASID_NOTIFY_ALLOC, id, NONE);
		if (ids[id].spid != NONE)
			m_call(sub, IOASID_NOTIFY_BIND, id, ids[id].spid);
	}
}

void m_register_mm(int sub, int mm)
{
	int i;

	mm_order[nr_mm_subs++] = sub;
	for (i = 0; i < nr_sets; i++)
		if (sets[set_order[i]].type == IOASID_SET_TYPE_MM &&
		    sets[set_order[i]].mm == mm)
			m_chain_add(&sets[set_order[i]].chain, sub);
	for (i = 0; i < nr_sets; i++)
		if (sets[set_order[i]].type == IOASID_SET_TYPE_MM &&
		    sets[set_order[i]].mm == mm)
			m_replay(sub, set_order[i]);
}
