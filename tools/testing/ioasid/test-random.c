// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on the core and on a model of it that is slow and obvious:
 * arrays, searched from the beginning. After each operation the results, the
 * events and all that can be seen of both must be equal.
 *
 * Subscribers act on what they are told, at random as well: they get, put, free
 * and detach in their handlers. The core goes first; what its handlers saw and
 * did is written down, and the model has to produce the same events and, doing
 * the same in its turn, the same results.
 *
 *	SEED=	first seed, printed; OPS= number of operations
 */
#include <stdio.h>
#include <time.h>

#include "test-model.h"

#define MMS		3
#define MIN_MAX		44
#define EPOCH		2000	/* operations until everything is torn down */

static struct mm_struct mms[MMS];
static char privates[4];

/* What we hold of an id */
static int held[IDS], used[IDS];

struct record records[4096];
int nr_records, next_record;

static bool may_act;
static int depth;

const char *op_name;
unsigned long op_number, seed;

static int model_notify(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct ioasid_nb_args *args = data;
	ioasid_t id = args->id;
	struct record *r;

	if (nr_records == ARRAY_SIZE(records))
		abort();
	r = &records[nr_records++];
	*r = (struct record){
		.sub = container_of(nb, struct m_sub, nb) - subs,
		.event = event,
		.args = *args,
	};
	if (!shim_may_sleep() || shim_holds_mutex())
		test_fail(__FILE__, __LINE__, "called under a lock");
	if (!may_act || depth > 3 || random_below(4))
		return NOTIFY_OK;

	depth++;
	r->action = random_below(ACTIONS);
	switch (r->action) {
	case ACT_GET:
		r->result = ioasid_get(NULL, id);
		held[id] += !r->result;
		break;
	case ACT_PUT:
		if (held[id]) {
			held[id]--;
			r->result = ioasid_put(NULL, id);
		} else {
			r->action = ACT_NONE;
		}
		break;
	case ACT_FREE:
		r->result = ioasid_free(args->set, id);
		break;
	case ACT_FREE_OTHER:
		r->other = random_below(MIN_MAX);
		r->result = ioasid_free(NULL, r->other);
		break;
	case ACT_DETACH:
		r->result = ioasid_detach_spid(id);
		break;
	case ACT_UNUSE:
		if (used[id]) {
			used[id]--;
			r->result = ioasid_unuse(NULL, id);
		} else {
			r->action = ACT_NONE;
		}
		break;
	case ACT_FIND:
		r->other = random_below(SPIDS);
		r->result = ioasid_find_by_spid(args->set, r->other, true);
		if (r->result != NONE)
			held[r->result]++;
		break;
	default:
		break;
	}
	depth--;
	return NOTIFY_OK;
}

/* Operations on both */

static void done(void)
{
	CHECK("events", nr_records, next_record);
}

/* A set that we may use: we have a reference */
static int some_set(void)
{
	int s = random_below(SETS);

	return sets[s].real && sets[s].held ? s : -1;
}

static struct ioasid_set *real_set(int s)
{
	return s < 0 ? NULL : sets[s].real;
}

static ioasid_t some_id(void)
{
	/* Mostly one that may be there */
	return random_below(20) ? random_below(MIN_MAX + 2) : random_below(4) - 2;
}

/* The allocation of the model that is not made: nothing may have changed. */
static bool failed(int ret)
{
	if (!fail_done())
		return false;
	CHECK("result of a failed allocation", ret, -ENOMEM);
	return true;
}

static void maybe_fail(void)
{
	if (!random_below(10))
		fail_allocation(1 + random_below(3));
}

static void op_set_alloc(void)
{
	int s = random_below(SETS), i, ret, want = 0;
	enum ioasid_set_type type = random_below(3) ? IOASID_SET_TYPE_MM :
						      IOASID_SET_TYPE_NULL;
	int mm = random_below(MMS);
	u32 quota = random_below(2) ? random_below(12) : 0;
	bool wrong = !random_below(20);
	void *token = (type == IOASID_SET_TYPE_MM) != wrong ? &mms[mm] : NULL;
	struct ioasid_set *set;

	if (sets[s].real)
		return;
	maybe_fail();
	set = ioasid_set_alloc(token, quota, type);
	ret = PTR_ERR_OR_ZERO(set);
	if (failed(ret))
		return;
	if (wrong)
		want = -EINVAL;
	else if (quota > pool.left)
		want = -ENOSPC;
	CHECK("set_alloc", ret, want);
	if (ret)
		return;

	pool.left -= quota;
	pool.taken[IOASID_POOL_QUOTA] += quota;
	sets[s] = (struct m_set){
		.real = set,
		.type = type,
		.mm = mm,
		.quota = quota,
		.refs = 1,
		.held = 1,
	};
	set_order[nr_sets++] = s;
	for (i = 0; i < nr_mm_subs; i++)
		if (type == IOASID_SET_TYPE_MM && subs[mm_order[i]].target == mm)
			m_chain_add(&sets[s].chain, mm_order[i]);
}

static void op_set_free(void)
{
	int s = some_set();

	if (s < 0 || sets[s].dying || random_below(4))
		return;
	sets[s].held--;
	ioasid_set_free(sets[s].real);
	sets[s].dying = true;
	m_free_all(s);
	m_set_put(s);
}

static void op_set_get(void)
{
	int s = some_set();

	if (s < 0 || sets[s].held > 3)
		return;
	CHECK("set_get", ioasid_set_get(sets[s].real), sets[s].real);
	sets[s].refs++;
	sets[s].held++;
}

/* Not the creator's reference, unless it was freed */
static void op_set_put(void)
{
	int s = some_set(), i, needed;

	if (s < 0)
		return;
	needed = !sets[s].dying;
	for (i = 0; i < SUBS; i++)
		needed += subs[i].kind == SUB_SET && subs[i].target == s;
	if (sets[s].held <= needed)
		return;
	sets[s].held--;
	ioasid_set_put(sets[s].real);
	m_set_put(s);
}

static void op_adjust(void)
{
	u32 quota = random_below(14);
	int s = some_set(), want = 0;

	if (s < 0)
		return;
	if (!quota || !sets[s].quota || quota < sets[s].nr)
		want = -EINVAL;
	else if (quota > sets[s].quota && quota - sets[s].quota > pool.left)
		want = -ENOSPC;
	CHECK("adjust", ioasid_set_adjust_quota(sets[s].real, quota), want);
	if (want)
		return;
	pool.left += sets[s].quota - quota;
	pool.taken[IOASID_POOL_QUOTA] += quota - sets[s].quota;
	sets[s].quota = quota;
}

static void op_alloc(void)
{
	ioasid_t min = random_below(3) ? 0 : random_below(MIN_MAX);
	ioasid_t max = random_below(3) ? NONE : random_below(MIN_MAX);
	void *private = random_below(2) ? &privates[random_below(4)] : NULL;
	ioasid_t id = 0, want = 0;
	int s = some_set(), ret;

	if (s < 0)
		return;
	if (!random_below(50))
		min = IOASID_MAX + 1;
	maybe_fail();
	ret = ioasid_alloc(sets[s].real, min, max, private, &id);
	if (failed(ret))
		return;
	CHECK("alloc", ret, m_alloc(s, min, max, private, &want));
	if (!ret)
		CHECK("number", id, want);
}

static void op_free(void)
{
	ioasid_t id = some_id();
	int s = random_below(2) ? some_set() : -1;
	bool ret = ioasid_free(real_set(s), id);

	CHECK("free", ret, m_free(s, id));
}

static void op_free_all(void)
{
	int s = some_set();

	if (s < 0 || random_below(4))
		return;
	ioasid_set_free_all(sets[s].real);
	m_free_all(s);
}

static void op_get(void)
{
	int s = random_below(2) ? some_set() : -1;
	ioasid_t id = some_id();
	int ret = ioasid_get(real_set(s), id);

	CHECK("get", ret, m_get(s, id));
	if (!ret)
		held[id]++;
}

static void op_get_if_owned(void)
{
	int mm = random_below(MMS + 1);
	ioasid_t id = some_id();
	int ret;

	current->mm = mm < MMS ? &mms[mm] : NULL;
	ret = ioasid_get_if_owned(id);
	current->mm = NULL;
	CHECK("get_if_owned", ret, m_get_if_owned(id, mm));
	if (!ret)
		held[id]++;
}

static void op_put(void)
{
	ioasid_t id = some_id();
	bool ret;

	if (id >= IDS || !held[id])
		return;
	held[id]--;
	ret = ioasid_put(random_below(2) ? sets[ids[id].set].real : NULL, id);
	CHECK("put", ret, m_put(id));
}

/* The owner puts what it knows to be the last reference. */
static void op_owner_put(void)
{
	ioasid_t id = some_id();
	bool ret;

	if (!m_exists(id) || !ids[id].owned || ids[id].refs != 1)
		return;
	ret = ioasid_put(NULL, id);
	CHECK("owner's put", ret, m_put(id));
}

static void op_use(void)
{
	int s = random_below(2) ? some_set() : -1;
	ioasid_t id = some_id();
	int ret = ioasid_use(real_set(s), id);

	CHECK("use", ret, m_use(s, id));
	if (!ret)
		used[id]++;
}

static void op_unuse(void)
{
	ioasid_t id = some_id();
	bool ret;

	if (id >= IDS || !used[id])
		return;
	used[id]--;
	ret = ioasid_unuse(NULL, id);
	CHECK("unuse", ret, m_unuse(id));
}

static void op_attach_spid(void)
{
	ioasid_t spid = random_below(50) ? random_below(SPIDS) : NONE;
	ioasid_t id = some_id();
	int ret;

	maybe_fail();
	ret = ioasid_attach_spid(id, spid);
	if (failed(ret))
		return;
	CHECK("attach_spid", ret, m_attach(id, spid));
}

static void op_detach_spid(void)
{
	ioasid_t id = some_id();
	int ret = ioasid_detach_spid(id);

	CHECK("detach_spid", ret, m_detach(id));
}

static void op_find_by_spid(void)
{
	ioasid_t spid = random_below(SPIDS), id;
	int s = some_set();

	if (s < 0)
		return;
	id = ioasid_find_by_spid(sets[s].real, spid, true);
	CHECK("find_by_spid", id, m_find_by_spid(s, spid, true));
	if (id != NONE)
		held[id]++;
}

static bool getter_refuses, getter_called;

static bool getter(void *data)
{
	getter_called = true;
	return !getter_refuses;
}

static void op_find(void)
{
	int s = random_below(2) ? some_set() : -1;
	ioasid_t id = some_id();
	void *found, *want;

	getter_refuses = random_below(2);
	getter_called = false;
	found = ioasid_find(real_set(s), id, getter);
	if (!m_exists(id))
		want = ERR_PTR(-ENOENT);
	else if (s >= 0 && ids[id].set != s)
		want = ERR_PTR(-EACCES);
	else
		want = ids[id].private;
	CHECK("getter", getter_called, !IS_ERR_OR_NULL(want));
	if (getter_called && getter_refuses)
		want = NULL;
	CHECK("find", found, want);
}

static void op_find_set(void)
{
	ioasid_t id = some_id();
	struct ioasid_set *set = ioasid_find_set(id);

	CHECK("find_set", set, m_exists(id) ? sets[ids[id].set].real :
					      ERR_PTR(-ENOENT));
	if (!IS_ERR(set))
		ioasid_set_put(set);
}

static void op_data(void)
{
	void *private = &privates[random_below(4)];
	ioasid_t id = some_id();
	int want = 0;

	if (!random_below(8)) {
		CHECK("detach_data", ioasid_detach_data(id),
		      m_exists(id) ? 0 : -ENOENT);
		if (m_exists(id))
			ids[id].private = NULL;
		return;
	}
	if (!m_exists(id))
		want = -ENOENT;
	else if (ids[id].private)
		want = -EBUSY;
	CHECK("attach_data", ioasid_attach_data(id, private), want);
	if (!want)
		ids[id].private = private;
}

static void op_capacity(void)
{
	u32 nr = random_below(50), lower;

	/* Seldom, as it never rises again */
	if (random_below(8))
		return;
	ioasid_install_capacity(nr);
	lower = pool.capacity - nr;
	if (nr < pool.capacity && lower <= pool.left) {
		pool.capacity -= lower;
		pool.left -= lower;
	}
}

static void op_register(void)
{
	int sub = random_below(SUBS), kind = 1 + random_below(3), target = 0;
	int ret;

	if (kind == SUB_SET)
		target = some_set();
	else if (kind == SUB_MM)
		target = random_below(MMS);
	if (target < 0)
		return;
	if (subs[sub].kind != SUB_NONE) {
		/* Once more in the same place */
		if (subs[sub].kind != kind || subs[sub].target != target)
			return;
		if (kind == SUB_MM)
			ret = ioasid_register_notifier_mm(&mms[target],
							  &subs[sub].nb);
		else
			ret = ioasid_register_notifier(kind == SUB_SET ?
						       sets[target].real : NULL,
						       &subs[sub].nb);
		CHECK("register twice", ret, -EBUSY);
		return;
	}

	subs[sub].nb.priority = random_below(4);
	if (kind == SUB_MM) {
		maybe_fail();
		/* A replay with actions is looked at in test-mm.c. */
		may_act = false;
		ret = ioasid_register_notifier_mm(&mms[target], &subs[sub].nb);
		may_act = true;
		if (failed(ret))
			return;
		CHECK("register_mm", ret, 0);
		m_register_mm(sub, target);
	} else if (kind == SUB_SET) {
		CHECK("register", ioasid_register_notifier(sets[target].real,
							   &subs[sub].nb), 0);
		m_chain_add(&sets[target].chain, sub);
		ioasid_set_get(sets[target].real);
		sets[target].refs++;
		sets[target].held++;
	} else {
		CHECK("register", ioasid_register_notifier(NULL, &subs[sub].nb),
		      0);
		m_chain_add(&global, sub);
	}
	subs[sub].kind = kind;
	subs[sub].target = target;
}

static void unregister(int sub)
{
	int s, target = subs[sub].target;

	switch (subs[sub].kind) {
	case SUB_NONE:
		return;
	case SUB_GLOBAL:
		ioasid_unregister_notifier(NULL, &subs[sub].nb);
		m_list_del(global.sub, &global.nr, sub);
		break;
	case SUB_SET:
		ioasid_unregister_notifier(sets[target].real, &subs[sub].nb);
		m_list_del(sets[target].chain.sub, &sets[target].chain.nr, sub);
		sets[target].held--;
		ioasid_set_put(sets[target].real);
		m_set_put(target);
		break;
	case SUB_MM:
		ioasid_unregister_notifier_mm(&mms[target], &subs[sub].nb);
		for (s = 0; s < SETS; s++)
			m_list_del(sets[s].chain.sub, &sets[s].chain.nr, sub);
		m_list_del(mm_order, &nr_mm_subs, sub);
		break;
	}
	subs[sub].kind = SUB_NONE;
}

static void op_unregister(void)
{
	unregister(random_below(SUBS));
}

/* Compare all there is. */

static int walked;

static int walk(ioasid_t id, void *data)
{
	struct m_set *set = data;

	while (walked < (int)set->nr && m_freed(set->order[walked]))
		walked++;
	if (walked == (int)set->nr)
		return -1;
	CHECK("walk", id, set->order[walked++]);
	return 0;
}

static void compare_id(ioasid_t id)
{
	struct ioasid_entry *e;

	rcu_read_lock();
	e = xa_load(&ioasid_xa, id);
	CHECK("exists", !!e, ids[id].exists);
	if (e && ids[id].exists) {
		CHECK("set", e->set, sets[ids[id].set].real);
		CHECK("id", e->id, id);
		CHECK("state", e->state, ids[id].state);
		CHECK("refs", refcount_read(&e->refs), ids[id].refs);
		CHECK("uses", e->uses, ids[id].uses);
		CHECK("data", e->private, ids[id].private);
		CHECK("owned", !!(e->flags & IOASID_OWNED), ids[id].owned);
		CHECK("emitting", !!(e->flags & IOASID_EMITTING), 0);
		CHECK("free sent", !!(e->flags & IOASID_FREE_SENT),
		      ids[id].free_sent);
		CHECK("references",
		      ids[id].refs, ids[id].owned + held[id] + used[id]);
	}
	rcu_read_unlock();
}

static void compare_set(struct m_set *set)
{
	struct ioasid_set *real = set->real;
	ioasid_t spid;
	u32 i;

	CHECK("nr", real->nr, set->nr);
	CHECK("empty", ioasid_set_is_empty(real), !set->nr);
	CHECK("quota", real->quota, set->quota);
	CHECK("pending", atomic_read(&real->pending), set->pending);
	CHECK("dying", real->dying, set->dying);
	/* The ids have one together. */
	CHECK("set refs", refcount_read(&real->refs),
	      set->refs - set->nr + !!set->nr);
	for (spid = 0; spid < SPIDS; spid++)
		CHECK("spid", ioasid_find_by_spid(real, spid, false),
		      m_find_by_spid(set - sets, spid, false));
	walked = 0;
	CHECK("for_each", ioasid_set_for_each_ioasid(real, walk, set), 0);
	for (i = walked; i < set->nr; i++)
		CHECK("walk left out", m_freed(set->order[i]), true);
}

static void compare(void)
{
	struct ioasid_pool state;
	ioasid_t id;
	int i;

	ioasid_pool_read(&ioasid_pool, &state);
	CHECK("capacity", state.capacity, pool.capacity);
	CHECK("left", state.left, pool.left);
	for (i = 0; i < IOASID_POOL_USERS; i++)
		CHECK("taken", state.taken[i], pool.taken[i]);
	for (id = 0; id < IDS; id++)
		compare_id(id);
	for (i = 0; i < SETS; i++)
		if (sets[i].real)
			compare_set(&sets[i]);
}

static const struct op {
	const char *name;
	void (*run)(void);
	int weight;
} ops[] = {
	{ "set_alloc", op_set_alloc, 3 },
	{ "set_free", op_set_free, 3 },
	{ "set_get", op_set_get, 1 },
	{ "set_put", op_set_put, 2 },
	{ "adjust", op_adjust, 3 },
	{ "alloc", op_alloc, 18 },
	{ "free", op_free, 6 },
	{ "free_all", op_free_all, 1 },
	{ "get", op_get, 8 },
	{ "get_if_owned", op_get_if_owned, 4 },
	{ "put", op_put, 16 },
	{ "owner_put", op_owner_put, 1 },
	{ "use", op_use, 5 },
	{ "unuse", op_unuse, 7 },
	{ "attach_spid", op_attach_spid, 12 },
	{ "detach_spid", op_detach_spid, 5 },
	{ "find_by_spid", op_find_by_spid, 3 },
	{ "find", op_find, 3 },
	{ "find_set", op_find_set, 1 },
	{ "data", op_data, 3 },
	{ "capacity", op_capacity, 2 },
	{ "register", op_register, 2 },
	{ "unregister", op_unregister, 1 },
};

static const struct op *some_op(void)
{
	int i, sum = 0, at;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		sum += ops[i].weight;
	at = random_below(sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return &ops[i];
}

static void start(void)
{
	int i;

	pool = (struct ioasid_pool){ 0 };
	pool.capacity = 4 + random_below(36);
	pool.left = pool.capacity;
	pool.kept = random_below(2) ? random_below(101) : 0;
	pool_start(pool.capacity, pool.kept);
	for (i = 0; i < SUBS; i++)
		subs[i].nb.notifier_call = model_notify;
}

/* Give everything back; the core has to be empty then. */
static void stop(void)
{
	ioasid_t id;
	int i;

	op_name = "teardown";
	may_act = false;
	nr_records = 0;
	next_record = 0;
	for (i = 0; i < SUBS; i++)
		unregister(i);
	for (i = 0; i < SETS; i++) {
		while (sets[i].real && sets[i].held) {
			sets[i].held--;
			if (sets[i].dying) {
				ioasid_set_put(sets[i].real);
				m_set_put(i);
				continue;
			}
			ioasid_set_free(sets[i].real);
			sets[i].dying = true;
			m_free_all(i);
			m_set_put(i);
		}
	}
	compare();
	for (id = 0; id < IDS; id++) {
		for (; used[id]; used[id]--)
			CHECK("unuse", ioasid_unuse(NULL, id), m_unuse(id));
		for (; held[id]; held[id]--)
			CHECK("put", ioasid_put(NULL, id), m_put(id));
	}
	CHECK("sets", nr_sets, 0);
	/* Failed allocations may have left nodes with nothing in them. */
	xa_destroy(&ioasid_xa);
	shim_settle();
	CHECK("objects", nr_allocated + kmalloc_nr_allocated, 0);
	pool_end();
}

static void model_random(void)
{
	unsigned long todo = test_param("OPS", 200000), at = 0;
	const struct op *op;

	seed = test_param("SEED", time(NULL));
	printf("# SEED=%lu OPS=%lu\n", seed, todo);
	random_seed(seed);
	for (op_number = 0; op_number < todo && !test_has_failed();
	     op_number++) {
		if (op_number == at) {
			if (at)
				stop();
			start();
			at += EPOCH;
		}
		op = some_op();
		op_name = op->name;
		nr_records = 0;
		next_record = 0;
		may_act = true;
		op->run();
		/* An operation that did nothing */
		fail_done();
		done();
		compare();
	}
	if (!test_has_failed())
		stop();
}

#define TEST(name)	{ #name, name }
const struct test model_tests[] = {
	TEST(model_random),
	{ }
};
