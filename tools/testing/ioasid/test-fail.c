// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation failures, one at a time: the first allocation of a call fails, then
 * the second, until none is left to fail and the call succeeds. Each failing
 * call returns -ENOMEM and leaves everything as it was.
 */
#include <stdio.h>

#include "ioasid-private.h"
#include "test.h"

#define MAX_SETS	8

/* All that can be seen of the core */
struct snapshot {
	struct ioasid_pool pool;
	int mm_refs;
	int objects;
	int kmallocs;
	unsigned long ids;
	int sets;
	struct {
		struct ioasid_set *set;
		unsigned int refs;
		u32 nr;
		u32 quota;
		unsigned long spids;
		unsigned int subs;
	} set[MAX_SETS];
};

static void snapshot(struct snapshot *s)
{
	struct notifier_block *nb;
	struct ioasid_set *set;
	unsigned long index;
	void *entry;

	memset(s, 0, sizeof(*s));
	shim_settle();
	ioasid_pool_read(&ioasid_pool, &s->pool);
	s->mm_refs = shim_mm_refs;
	s->objects = nr_allocated;
	s->kmallocs = kmalloc_nr_allocated;
	xa_for_each(&ioasid_xa, index, entry)
		s->ids++;

	mutex_lock(&ioasid_sets_lock);
	list_for_each_entry(set, &ioasid_sets, sets) {
		if (!EXPECT(s->sets < MAX_SETS))
			break;
		s->set[s->sets].set = set;
		s->set[s->sets].refs = refcount_read(&set->refs);
		s->set[s->sets].nr = set->nr;
		s->set[s->sets].quota = set->quota;
		xa_for_each(&set->spids, index, entry)
			s->set[s->sets].spids++;
		for (nb = set->chain.head; nb; nb = nb->next)
			s->set[s->sets].subs++;
		s->sets++;
	}
	mutex_unlock(&ioasid_sets_lock);
}

/**
 * sweep - let each allocation of a call fail
 * @call: the call, returns 0 or an error
 * @want: how many allocations it has at least
 * @max_nodes: how many xarray nodes a failed call may leave behind. A tree that
 *	       grew higher before a node could not be had stays high; the next
 *	       call uses that.
 */
static void sweep(const char *name, int (*call)(void), unsigned int want,
		  int max_nodes)
{
	struct snapshot before, after;
	unsigned int nth;
	bool hit;
	int ret;

	snapshot(&before);
	for (nth = 1; ; nth++) {
		fail_allocation(nth);
		ret = call();
		hit = fail_done();
		if (!hit)
			break;
		if (!EXPECT_EQ(ret, -ENOMEM))
			break;
		snapshot(&after);
		if (after.objects > before.objects &&
		    after.objects <= before.objects + max_nodes)
			after.objects = before.objects;
		if (memcmp(&before, &after, sizeof(before)))
			test_fail(__FILE__, __LINE__,
				  "%s leaves traces when allocation %u fails: objects %+d kmalloc %+d mm %+d ids %+ld sets %+d",
				  name, nth, after.objects - before.objects,
				  after.kmallocs - before.kmallocs,
				  after.mm_refs - before.mm_refs,
				  after.ids - before.ids,
				  after.sets - before.sets);
		EXPECT_EVENTS("");
	}
	EXPECT_EQ(ret, 0);
	if (nth - 1 < want)
		test_fail(__FILE__, __LINE__, "%s has %u allocations, not %u",
			  name, nth - 1, want);
}

static struct sub sub_g = SUB("g", IOMMU, NULL), sub_m = SUB("m", CPU, NULL),
	sub_n = SUB("n", CPU, NULL);
static struct mm_struct mm;
static struct ioasid_set *set, *new_set;
static ioasid_t min, id, spid;

static int call_alloc(void)
{
	return ioasid_alloc(set, min, IOASID_MAX, &mm, &id);
}

static void fail_alloc(void)
{
	static const ioasid_t mins[] = { 2, 7, 8, 63, 64, 511, 4096, 1000000 };
	char want[32];
	size_t i;

	set = ioasid_set_alloc(&mm, 100, IOASID_SET_TYPE_MM);
	ioasid_register_notifier(NULL, &sub_g.nb);
	/* Each of them makes the tree deeper or needs another branch. */
	for (i = 0; i < ARRAY_SIZE(mins); i++) {
		min = mins[i];
		sweep("alloc", call_alloc, i == 1 ? 1 : 2, 8);
		snprintf(want, sizeof(want), "g:A%u", mins[i]);
		EXPECT_EVENTS(want);
		EXPECT_EQ(id, min);
		EXPECT(ioasid_find(set, id, NULL) == &mm);
	}
	ioasid_unregister_notifier(NULL, &sub_g.nb);
	EXPECT_EQ(set->nr, ARRAY_SIZE(mins));
	ioasid_set_free(set);
	shim_settle();
	EXPECT_EQ(nr_allocated, 0);
}

static unsigned int custom_out;

static ioasid_t custom_alloc(ioasid_t min, ioasid_t max, void *pdata)
{
	custom_out++;
	return max;
}

static void custom_free(ioasid_t id, void *pdata)
{
	custom_out--;
}

/* With a custom allocator, its number goes back. */
static void fail_alloc_custom(void)
{
	static struct ioasid_allocator_ops ops = {
		.alloc = custom_alloc,
		.free = custom_free,
	};

	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	EXPECT_EQ(ioasid_register_allocator(&ops), 0);
	min = 2;
	custom_out = 0;
	sweep("alloc with a custom allocator", call_alloc, 2, 16);
	EXPECT_EQ(custom_out, 1);
	EXPECT_EQ(id, IOASID_MAX);
	EXPECT(ioasid_free(set, id));
	EXPECT_EQ(custom_out, 0);
	ioasid_unregister_allocator(&ops);
	ioasid_set_free(set);
}

static int call_attach_spid(void)
{
	return ioasid_attach_spid(id, spid);
}

static void fail_attach_spid(void)
{
	static const ioasid_t spids[] = { 0, 1, 8, 64, 4095, 1 << 30 };
	size_t i;

	set = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
	for (i = 0; i < ARRAY_SIZE(spids); i++) {
		id = new_id(set, 0, IOASID_MAX, NULL);
		spid = spids[i];
		/* The first one needs no node, the second fits beside it. */
		sweep("attach_spid", call_attach_spid, spid > 1, 24);
		EXPECT_EQ(ioasid_find_by_spid(set, spid, false), id);
		EXPECT_EQ(id_state(id), IOASID_STATE_ACTIVE);
		EXPECT_EQ(id_refs(id), 1);
	}
	ioasid_set_free(set);
	shim_settle();
	EXPECT_EQ(nr_allocated, 0);
}

/*
 * The xarray keeps the nodes that it got before one could not be had. They go
 * with the set, and do not look like ids that are out.
 */
static void fail_leaves_nodes(void)
{
	static struct ioasid_allocator_ops ops = {
		.alloc = custom_alloc,
		.free = custom_free,
	};

	set = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
	id = new_id(set, 0, IOASID_MAX, NULL);
	fail_allocation(3);
	EXPECT_EQ(ioasid_attach_spid(id, 4095), -ENOMEM);
	EXPECT(fail_done());
	ioasid_set_free(set);
	shim_settle();
	EXPECT_EQ(nr_allocated, 0);

	set = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
	min = 4096;
	fail_allocation(4);
	EXPECT_EQ(call_alloc(), -ENOMEM);
	EXPECT(fail_done());
	ioasid_set_free(set);
	if (EXPECT_EQ(ioasid_register_allocator(&ops), 0))
		ioasid_unregister_allocator(&ops);
}

/* What others do while an allocation is waited for, one thing at a time */

static void free_the_set(void)
{
	ioasid_set_free(set);
}

static void race_alloc_with_set_free(void)
{
	unsigned int nth;

	/* The entry, then a node of the xarray */
	for (nth = 1; nth <= 2; nth++) {
		set = ioasid_set_get(ioasid_set_alloc(NULL, 5,
						      IOASID_SET_TYPE_NULL));
		min = 2;
		during_allocation(nth, free_the_set);
		EXPECT_EQ(call_alloc(), -EINVAL);
		EXPECT(fail_done());
		EXPECT(ioasid_set_is_empty(set));
		EXPECT_EQ(id_state(2), -1);
		ioasid_set_put(set);
		shim_settle();
	}
}

static void free_the_id(void)
{
	EXPECT(!ioasid_free(set, id));
}

static void attach_another(void)
{
	EXPECT_EQ(ioasid_attach_spid(id, spid + 1), 0);
}

static void race_attach_spid(void)
{
	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	spid = 7;
	id = new_id(set, 0, IOASID_MAX, NULL);
	during_allocation(1, free_the_id);
	EXPECT_EQ(call_attach_spid(), -EBUSY);
	EXPECT(fail_done());
	EXPECT_EQ(id_state(id), -1);

	id = new_id(set, 0, IOASID_MAX, NULL);
	during_allocation(1, attach_another);
	EXPECT_EQ(call_attach_spid(), -EEXIST);
	EXPECT(fail_done());
	EXPECT_EQ(ioasid_find_by_spid(set, 8, false), id);
	/* The reserved one is free again. */
	EXPECT_EQ(ioasid_detach_spid(id), 0);
	EXPECT_EQ(call_attach_spid(), 0);
	EXPECT(ioasid_free(set, id));
	ioasid_set_free(set);
}

static void (*half_made)(ioasid_t id);

/* The linker sends the calls of ioasid.c here: --wrap */
int __real_ioasid_number_alloc(struct ioasid_entry *e, ioasid_t min,
			       ioasid_t max);
int __wrap_ioasid_number_alloc(struct ioasid_entry *e, ioasid_t min,
			       ioasid_t max);

/* It has its number and is not published. */
int __wrap_ioasid_number_alloc(struct ioasid_entry *e, ioasid_t min,
			       ioasid_t max)
{
	int ret = __real_ioasid_number_alloc(e, min, max);

	if (!ret && half_made)
		half_made(e->id);
	return ret;
}

void __real_ioasid_number_free(struct ioasid_entry *e);
void __wrap_ioasid_number_free(struct ioasid_entry *e);

/* It is about to leave the set, so RCU will be all that keeps that. */
void __wrap_ioasid_number_free(struct ioasid_entry *e)
{
	EXPECT(rcu_read_ongoing() || e->state == IOASID_STATE_NEW);
	__real_ioasid_number_free(e);
}

static bool getter_of_nothing(void *data)
{
	return EXPECT(!data);
}

static void look_it_up(ioasid_t number)
{
	half_made = NULL;
	id = number;
	EXPECT(ioasid_find(NULL, id, NULL) == ERR_PTR(-ENOENT));
	EXPECT(ioasid_find(set, id, getter_of_nothing) == ERR_PTR(-ENOENT));
	EXPECT(ioasid_find_set(id) == ERR_PTR(-ENOENT));
	EXPECT_EQ(ioasid_get(NULL, id), -ENOENT);
	EXPECT_EQ(ioasid_attach_spid(id, 1), -ENOENT);
	EXPECT_EQ(ioasid_detach_spid(id), -ENOENT);
	EXPECT_EQ(ioasid_attach_data(id, &mm), -ENOENT);
	EXPECT_EQ(ioasid_detach_data(id), -ENOENT);
}

static void look_it_up_last(ioasid_t number)
{
	look_it_up(number);
	ioasid_set_free(set);
}

/* An id that has its number already, of a set that is about to go or not */
static void race_alloc_with_lookup(void)
{
	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	half_made = look_it_up;
	EXPECT_EQ(new_id(set, 0, IOASID_MAX, &set), 2);
	EXPECT_EQ(id, 2);
	EXPECT(ioasid_find(set, id, NULL) == &set);
	EXPECT(ioasid_free(set, id));

	half_made = look_it_up_last;
	EXPECT_EQ(new_id(set, 0, IOASID_MAX, &set), INVALID_IOASID);
	EXPECT(ioasid_find(NULL, id, NULL) == ERR_PTR(-ENOENT));
}

static struct ioasid_allocator_ops race_ops = {
	.alloc = custom_alloc,
	.free = custom_free,
};

static void register_the_allocator(void)
{
	EXPECT_EQ(ioasid_register_allocator(&race_ops), 0);
}

static void race_alloc_with_allocator(void)
{
	unsigned int nth;

	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	min = 2;
	custom_out = 0;
	for (nth = 1; nth <= 2; nth++) {
		during_allocation(nth, register_the_allocator);
		EXPECT_EQ(call_alloc(), 0);
		EXPECT(fail_done());
		/* From the allocator, though it came late */
		EXPECT_EQ(id, IOASID_MAX);
		EXPECT_EQ(custom_out, 1);
		EXPECT(ioasid_free(set, id));
		EXPECT_EQ(custom_out, 0);
		ioasid_unregister_allocator(&race_ops);
		xa_destroy(&ioasid_xa);
	}
	ioasid_set_free(set);
}

/* Another group, which is active when the first one goes */
static unsigned int other_out;

static ioasid_t other_alloc(ioasid_t min, ioasid_t max, void *pdata)
{
	other_out++;
	return 6;
}

static void other_free(ioasid_t id, void *pdata)
{
	EXPECT_EQ(id, 6);
	other_out--;
}

static struct ioasid_allocator_ops other_ops = {
	.alloc = other_alloc,
	.free = other_free,
};

static void unregister_the_allocator(void)
{
	ioasid_unregister_allocator(&race_ops);
}

/* Each number comes from, and goes back to, the allocator that is there. */
static void race_alloc_with_allocator_that_goes(void)
{
	unsigned int nth, left;

	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	min = 2;
	/* Nobody is left, or the other group */
	for (left = 0; left <= 1; left++) {
		/* The entry, then nodes */
		for (nth = 1; nth <= 4; nth++) {
			custom_out = 0;
			other_out = 0;
			EXPECT_EQ(ioasid_register_allocator(&race_ops), 0);
			if (left)
				EXPECT_EQ(ioasid_register_allocator(&other_ops),
					  0);
			during_allocation(nth, unregister_the_allocator);
			EXPECT_EQ(call_alloc(), 0);
			EXPECT(fail_done());
			EXPECT_EQ(id, left ? 6 : 2);
			EXPECT_EQ(custom_out, 0);
			EXPECT_EQ(other_out, left);
			EXPECT(ioasid_free(set, id));
			EXPECT_EQ(other_out, 0);
			if (left)
				ioasid_unregister_allocator(&other_ops);
			xa_destroy(&ioasid_xa);
		}
	}
	ioasid_set_free(set);
}

static int call_set_alloc(void)
{
	new_set = ioasid_set_alloc(&mm, 20, IOASID_SET_TYPE_MM);
	return PTR_ERR_OR_ZERO(new_set);
}

/* The set, and a link for each subscriber that waits for the mm */
static void fail_set_alloc(void)
{
	struct mm_struct other = { };
	static struct sub o = SUB("o", CPU, NULL);

	pool_start(100, 0);
	set = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &sub_m.nb), 0);
	EXPECT_EQ(ioasid_register_notifier_mm(&other, &o.nb), 0);
	EXPECT_EQ(ioasid_register_notifier_mm(&mm, &sub_n.nb), 0);
	sweep("set_alloc", call_set_alloc, 3, 0);
	id = new_id(new_set, 0, IOASID_MAX, NULL);
	EXPECT_EQ(id, 2);
	EXPECT_EVENTS("m:A2 n:A2");
	ioasid_unregister_notifier_mm(&mm, &sub_n.nb);
	ioasid_unregister_notifier_mm(&other, &o.nb);
	ioasid_unregister_notifier_mm(&mm, &sub_m.nb);
	ioasid_set_free(new_set);
	ioasid_set_free(set);
	shim_settle();
	pool_end();
}

static int call_register_mm(void)
{
	return ioasid_register_notifier_mm(&mm, &sub_m.nb);
}

/* The subscriber, and a link for each set of the mm; not one event on failure */
static void fail_register_mm(void)
{
	struct ioasid_set *sets[3];
	int i;

	for (i = 0; i < 3; i++) {
		sets[i] = ioasid_set_alloc(&mm, 0, IOASID_SET_TYPE_MM);
		EXPECT_EQ(new_id(sets[i], 0, IOASID_MAX, NULL), 2 + i);
		EXPECT_EQ(ioasid_attach_spid(2 + i, 1), 0);
	}
	sweep("register_notifier_mm", call_register_mm, 4, 0);
	EXPECT_EVENTS("m:A2 m:+2/1 m:A3 m:+3/1 m:A4 m:+4/1");
	for (i = 0; i < 3; i++)
		ioasid_set_free(sets[i]);
	EXPECT_EVENTS("m:F2/1 m:F3/1 m:F4/1");
	ioasid_unregister_notifier_mm(&mm, &sub_m.nb);
}

#define TEST(name)	{ #name, name }
const struct test fail_tests[] = {
	TEST(fail_alloc),
	TEST(fail_alloc_custom),
	TEST(fail_attach_spid),
	TEST(fail_leaves_nodes),
	TEST(fail_set_alloc),
	TEST(fail_register_mm),
	TEST(race_alloc_with_set_free),
	TEST(race_attach_spid),
	TEST(race_alloc_with_allocator),
	TEST(race_alloc_with_allocator_that_goes),
	TEST(race_alloc_with_lookup),
	{ }
};
