// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that do everything at once. While it goes on, subscribers check what
 * they are notified of each id, and holders that their number stays theirs; at
 * the end nothing may be left.
 *
 *	SEED= THREADS= STORM_OPS= (for each thread)
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "ioasid-private.h"
#include "test.h"

#define MAX_THREADS	16
#define SETS		4
#define MMS		2
#define IDS		64
#define SPIDS		24
#define HOLD		12

/* Private data of an id: a number that no other id had */
static unsigned long generations;

/* What the subscriber to all knows of a number */
struct track {
	int busy;
	bool held;
	unsigned long generation;	/* 0: not allocated */
	ioasid_t spid;
};

static struct track tracks[IDS];
static unsigned long allocs, frees;

/* A thread, what it holds and its subscription to an mm */
struct storm {
	pthread_t thread;
	struct notifier_block nb;
	bool subscribed;
	int mm;
	unsigned long told[IDS], freed[IDS];
	struct {
		ioasid_t id;
		unsigned long generation;
		bool use;
	} held[HOLD];
	int nr_held;
	unsigned long ops;
	unsigned long seed;
};

static struct storm storms[MAX_THREADS];
static struct ioasid_set *sets[SETS];
static struct mm_struct mms[MMS];

static int track_notify(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct ioasid_nb_args *args = data;
	struct track *t = &tracks[args->id];
	unsigned long generation = (unsigned long)args->pdata;

	EXPECT(shim_may_sleep());
	EXPECT(!__atomic_exchange_n(&t->busy, 1, __ATOMIC_ACQUIRE));
	if (event == IOASID_NOTIFY_ALLOC) {
		EXPECT_EQ(t->generation, 0);
		t->generation = generation;
		t->spid = INVALID_IOASID;
		/* A subscriber that drops its reference when it is notified */
		t->held = generation % 3 == 0 && !ioasid_get(NULL, args->id);
		__atomic_add_fetch(&allocs, 1, __ATOMIC_RELAXED);
	} else {
		EXPECT_EQ(t->generation, generation);
	}
	switch (event) {
	case IOASID_NOTIFY_BIND:
		EXPECT_EQ(t->spid, INVALID_IOASID);
		EXPECT(args->spid < SPIDS);
		t->spid = args->spid;
		if (generation % 7 == 0)
			ioasid_free(args->set, args->id);
		break;
	case IOASID_NOTIFY_UNBIND:
		EXPECT_EQ(t->spid, args->spid);
		t->spid = INVALID_IOASID;
		break;
	case IOASID_NOTIFY_FREE:
		EXPECT_EQ(t->spid, args->spid);
		EXPECT_EQ(ioasid_get(NULL, args->id), -EBUSY);
		EXPECT(ioasid_find(args->set, args->id, NULL) == args->pdata);
		t->generation = 0;
		__atomic_add_fetch(&frees, 1, __ATOMIC_RELAXED);
		break;
	}
	__atomic_store_n(&t->busy, 0, __ATOMIC_RELEASE);

	/* The emitter has a reference, so this is not the last. */
	if (event == IOASID_NOTIFY_FREE && t->held)
		EXPECT(!ioasid_put(NULL, args->id));
	return NOTIFY_OK;
}

static int storm_notify(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct storm *me = container_of(nb, struct storm, nb);
	struct ioasid_nb_args *args = data;
	unsigned long generation = (unsigned long)args->pdata;

	EXPECT(__atomic_load_n(&me->subscribed, __ATOMIC_RELAXED));
	EXPECT(args->set->token == &mms[me->mm]);
	EXPECT(me->freed[args->id] != generation);
	if (event == IOASID_NOTIFY_ALLOC)
		me->told[args->id] = generation;
	EXPECT_EQ(me->told[args->id], generation);
	if (event == IOASID_NOTIFY_FREE) {
		me->freed[args->id] = generation;
		me->told[args->id] = 0;
	}
	return NOTIFY_OK;
}

static void hold(struct storm *me, ioasid_t id, bool use)
{
	me->held[me->nr_held].id = id;
	me->held[me->nr_held].use = use;
	me->held[me->nr_held].generation =
		(unsigned long)ioasid_find(NULL, id, NULL);
	EXPECT(!IS_ERR_VALUE(me->held[me->nr_held].generation));
	me->nr_held++;
}

static void let_go(struct storm *me)
{
	int i = random_below(me->nr_held);
	ioasid_t id = me->held[i].id;

	/* It was ours all the time. */
	EXPECT_EQ((unsigned long)ioasid_find(NULL, id, NULL),
		  me->held[i].generation);
	if (me->held[i].use)
		ioasid_unuse(NULL, id);
	else
		ioasid_put(NULL, id);
	me->held[i] = me->held[--me->nr_held];
}

static ioasid_t storm_alloc(struct ioasid_set *set)
{
	unsigned long generation;

	generation = __atomic_add_fetch(&generations, 1, __ATOMIC_RELAXED);
	return new_id(set, random_below(4) ? 0 : random_below(IDS), IDS - 1,
		      (void *)generation);
}

static void subscribe(struct storm *me)
{
	if (me->subscribed) {
		ioasid_unregister_notifier_mm(&mms[me->mm], &me->nb);
		__atomic_store_n(&me->subscribed, false, __ATOMIC_RELAXED);
		return;
	}
	memset(me->told, 0, sizeof(me->told));
	memset(me->freed, 0, sizeof(me->freed));
	me->mm = random_below(MMS);
	me->nb.priority = random_below(4);
	me->nb.notifier_call = storm_notify;
	__atomic_store_n(&me->subscribed, true, __ATOMIC_RELAXED);
	EXPECT_EQ(ioasid_register_notifier_mm(&mms[me->mm], &me->nb), 0);
}

static int walk(ioasid_t id, void *data)
{
	int ret = ioasid_get(data, id);

	/* The walk has a reference: it is there and nobody else's. */
	EXPECT(ret == 0 || ret == -EBUSY);
	if (!ret)
		ioasid_put(data, id);
	return 0;
}

/* A set of our own, freed while others reach for its ids */
static void short_set(void)
{
	struct ioasid_set *set;
	int i;

	set = ioasid_set_alloc(&mms[random_below(MMS)], random_below(4),
			       IOASID_SET_TYPE_MM);
	if (IS_ERR(set))
		return;
	for (i = 0; i < 4; i++)
		storm_alloc(set);
	ioasid_set_free(set);
}

static int not_freed(ioasid_t id, void *data)
{
	return !EXPECT(!"an id of a set that was freed");
}

/* A set that one thread frees while another allocates from it */
static struct ioasid_set *doomed;
static pthread_mutex_t doomed_lock = PTHREAD_MUTEX_INITIALIZER;

static struct ioasid_set *doomed_get(void)
{
	struct ioasid_set *set;

	pthread_mutex_lock(&doomed_lock);
	set = doomed ? ioasid_set_get(doomed) : NULL;
	pthread_mutex_unlock(&doomed_lock);
	return set;
}

static void doomed_replace(struct ioasid_set *new)
{
	struct ioasid_set *old;

	pthread_mutex_lock(&doomed_lock);
	old = doomed;
	doomed = IS_ERR(new) ? NULL : new;
	pthread_mutex_unlock(&doomed_lock);
	if (!old)
		return;
	ioasid_set_get(old);
	ioasid_set_free(old);
	/* What was there or came meanwhile is freed, if it has users or not. */
	ioasid_set_for_each_ioasid(old, not_freed, old);
	ioasid_set_put(old);
}

static void doomed_alloc(void)
{
	struct ioasid_set *set = doomed_get();
	int i;

	if (!set)
		return;
	for (i = 0; i < 3; i++)
		storm_alloc(set);
	ioasid_set_put(set);
}

static void one_op(struct storm *me)
{
	struct ioasid_set *set = sets[random_below(SETS)], *found;
	ioasid_t id = random_below(IDS), spid = random_below(SPIDS);
	bool room = me->nr_held < HOLD;

	switch (random_below(32)) {
	case 0 ... 7:
		storm_alloc(set);
		break;
	case 8 ... 10:
		ioasid_free(random_below(2) ? set : NULL, id);
		break;
	case 11 ... 13:
		if (room && !ioasid_get(random_below(2) ? set : NULL, id))
			hold(me, id, false);
		break;
	case 14 ... 15:
		if (room && !ioasid_use(NULL, id))
			hold(me, id, true);
		break;
	case 16 ... 20:
		if (me->nr_held)
			let_go(me);
		break;
	case 21 ... 23:
		ioasid_attach_spid(id, spid);
		break;
	case 24:
		ioasid_detach_spid(id);
		break;
	case 25:
		id = room ? ioasid_find_by_spid(set, spid, true) :
			    INVALID_IOASID;
		if (id != INVALID_IOASID)
			hold(me, id, false);
		break;
	case 26:
		found = ioasid_find_set(id);
		if (!IS_ERR(found))
			ioasid_set_put(found);
		current->mm = &mms[random_below(MMS)];
		if (room && !ioasid_get_if_owned(id))
			hold(me, id, false);
		break;
	case 27:
		current->killed = random_below(2);
		ioasid_wait_events(set, id);
		current->killed = false;
		break;
	case 28:
		doomed_alloc();
		break;
	case 29:
		if (!random_below(16))
			doomed_replace(ioasid_set_alloc(&mms[0], 0,
							IOASID_SET_TYPE_MM));
		break;
	case 30:
		ioasid_set_for_each_ioasid(set, walk, set);
		ioasid_set_adjust_quota(sets[SETS - 1], 1 + random_below(20));
		break;
	case 31:
		if (!random_below(8))
			ioasid_set_free_all(set);
		if (!random_below(16))
			short_set();
		if (!random_below(32))
			subscribe(me);
		break;
	}
}

static void *storm_thread(void *arg)
{
	struct storm *me = arg;
	unsigned long i;

	rcu_register_thread();
	random_seed(me->seed);
	for (i = 0; i < me->ops && !test_has_failed(); i++)
		one_op(me);
	while (me->nr_held)
		let_go(me);
	if (me->subscribed)
		subscribe(me);
	rcu_unregister_thread();
	return NULL;
}

static void storm(void)
{
	struct notifier_block all = {
		.notifier_call = track_notify,
		.priority = IOASID_PRIO_IOMMU,
	};
	unsigned long seed = test_param("SEED", time(NULL));
	unsigned long ops = test_param("STORM_OPS", 150000);
	unsigned int threads = test_param("THREADS", 8);
	unsigned int i;

	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	printf("# SEED=%lu THREADS=%u STORM_OPS=%lu\n", seed, threads, ops);
	allocs = 0;
	frees = 0;
	pool_start(IDS - IOASID_ALLOC_BASE, 0);
	memset(tracks, 0, sizeof(tracks));
	EXPECT_EQ(ioasid_register_notifier(NULL, &all), 0);
	sets[0] = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	sets[1] = ioasid_set_alloc(&mms[0], 0, IOASID_SET_TYPE_MM);
	sets[2] = ioasid_set_alloc(&mms[1], 0, IOASID_SET_TYPE_MM);
	sets[3] = ioasid_set_alloc(&mms[1], 10, IOASID_SET_TYPE_MM);

	shim_jitter = true;
	for (i = 0; i < threads; i++) {
		memset(&storms[i], 0, sizeof(storms[i]));
		storms[i].seed = seed + i;
		storms[i].ops = ops;
		pthread_create(&storms[i].thread, NULL, storm_thread,
			       &storms[i]);
	}
	for (i = 0; i < threads; i++)
		pthread_join(storms[i].thread, NULL);
	shim_jitter = false;

	doomed_replace(NULL);
	for (i = 0; i < SETS; i++)
		ioasid_set_free(sets[i]);
	for (i = 0; i < IDS; i++)
		EXPECT_EQ(tracks[i].generation, 0);
	EXPECT_EQ(allocs, frees);
	EXPECT(allocs > ops / 10);
	ioasid_unregister_notifier(NULL, &all);
	shim_settle();
	pool_end();
	printf("# %lu ids\n", allocs);
}

/*
 * One thread takes an id into use while another frees it. Nobody wants all events,
 * so freeing takes the short way if it can; a use that was given is told of it.
 */
static struct ioasid_set *in_use_set;
static ioasid_t in_use_id;
static unsigned int in_use_round, in_use_done, in_use_frees;
static bool in_use_given;

static int in_use_notify(struct notifier_block *nb, unsigned long event, void *p)
{
	if (event == IOASID_NOTIFY_FREE)
		__atomic_add_fetch(&in_use_frees, 1, __ATOMIC_RELAXED);
	return NOTIFY_OK;
}

/* Both are to go on at about the same moment. */
static void in_use_wait(unsigned int *counter, unsigned int round,
			unsigned int more)
{
	unsigned int spins = 0;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != round)
		if (!(++spins % 10000))
			sched_yield();
	for (spins = random_below(more); spins; spins--)
		__builtin_ia32_pause();
}

static void *in_use_thread(void *arg)
{
	unsigned int rounds = *(unsigned int *)arg, round;

	rcu_register_thread();
	random_seed(rounds);
	for (round = 1; round <= rounds; round++) {
		in_use_wait(&in_use_round, round, 100);
		in_use_given = !ioasid_use(in_use_set, in_use_id);
		__atomic_store_n(&in_use_done, round, __ATOMIC_RELEASE);
	}
	rcu_unregister_thread();
	return NULL;
}

static void storm_use_beside_free(void)
{
	struct notifier_block nb = {
		.notifier_call = in_use_notify,
		.priority = IOASID_PRIO_IOMMU,
	};
	unsigned int rounds = test_param("STORM_OPS", 150000) / 10;
	unsigned int round, before, given = 0;
	pthread_t thread;

	pool_start(4, 0);
	in_use_round = 0;
	in_use_done = 0;
	in_use_frees = 0;
	in_use_set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	EXPECT_EQ(ioasid_register_notifier_in_use(&nb), 0);
	shim_jitter = true;
	pthread_create(&thread, NULL, in_use_thread, &rounds);
	for (round = 1; round <= rounds; round++) {
		in_use_id = new_id(in_use_set, 0, 9, NULL);
		before = in_use_frees;
		__atomic_store_n(&in_use_round, round, __ATOMIC_RELEASE);
		in_use_wait(&in_use_round, round, 3000);
		ioasid_free(in_use_set, in_use_id);
		in_use_wait(&in_use_done, round, 1);
		given += in_use_given;
		EXPECT_EQ(in_use_frees - before, in_use_given);
		if (in_use_given)
			EXPECT(ioasid_unuse(in_use_set, in_use_id));
		if (test_has_failed())
			break;
	}
	/* Let it end */
	for (; round <= rounds; round++) {
		__atomic_store_n(&in_use_round, round, __ATOMIC_RELEASE);
		in_use_wait(&in_use_done, round, 1);
	}
	pthread_join(thread, NULL);
	shim_jitter = false;
	/* Else they did not meet. */
	EXPECT(given > 0 && given < rounds);
	printf("# %u of %u uses were given\n", given, rounds);
	ioasid_unregister_notifier_in_use(&nb);
	ioasid_set_free(in_use_set);
	shim_settle();
	pool_end();
}

#define TEST(name)	{ #name, name }
const struct test storm_tests[] = {
	TEST(storm),
	TEST(storm_use_beside_free),
	{ }
};
