// SPDX-License-Identifier: GPL-2.0
/*
 * Measures one of three: BENCH_CORE this core, BENCH_STOCK 6.1's ioasid.c,
 * BENCH_IDA lib/idr.c. One line for each figure: name, nanoseconds (or bytes).
 * bench.py runs all of them and compares. With BENCH_TURNS in the environment,
 * a socket, two programs take turns: what both of them can do is measured in one,
 * then in the other, as CPU and caches are shared with whoever else has the machine.
 * With BENCH_PAIRS only allocating and freeing is measured.
 *
 * The core has a subscriber to ids in use, as in every kernel with VT-d.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#ifdef BENCH_CORE
#include "ioasid-private.h"
#elif defined(BENCH_STOCK)
#include <linux/ioasid.h>
#else
#include <linux/idr.h>
#endif
#include <linux/rcupdate.h>

#include "bench-shim.h"

#define MAX_ID		((1U << 20) - 1)
#define FIRST_ID	2
#define OPS		200000
#define REPEAT		5
#define TURNS		15
#define THREAD_OPS	400000

/* What all of them can do */
#ifdef BENCH_CORE
typedef struct ioasid_set *set_t;

static set_t new_set(void)
{
	return ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
}

static int vtd_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static struct notifier_block vtd = {
	.notifier_call = vtd_notify,
	.priority = IOASID_PRIO_IOMMU,
};

#define set_done(set)		ioasid_set_free(set)
#define id_alloc(set, data) ({						\
	ioasid_t __id;							\
									\
	ioasid_alloc(set, FIRST_ID, MAX_ID, data, &__id) ?		\
		INVALID_IOASID : __id;					\
})
#define id_free(set, id)	((void)ioasid_free(set, id))
#define HAS_FIND
#elif defined(BENCH_STOCK)
typedef struct ioasid_set *set_t;

static set_t new_set(void)
{
	return calloc(1, sizeof(struct ioasid_set));
}

#define set_done(set)		free(set)
#define id_alloc(set, data)	ioasid_alloc(set, FIRST_ID, MAX_ID, data)
#define id_free(set, id)	ioasid_free(id)
#define HAS_FIND
#else
typedef struct ida *set_t;
typedef unsigned int ioasid_t;
static DEFINE_IDA(the_ida);

static set_t new_set(void)
{
	return &the_ida;
}

#define set_done(set)		do { } while (0)
#define id_alloc(set, data) \
	((void)(data), (ioasid_t)ida_alloc_range(set, FIRST_ID, MAX_ID, GFP_KERNEL))
#define id_free(set, id)	ida_free(set, id)
#endif

static unsigned int *order;	/* a random cycle through the live ids */
static unsigned long *next;	/* what comes after each in that cycle */
static volatile unsigned long sink;
static unsigned long random_state = 88172645463325252;

static unsigned int random_below(unsigned int limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 20) % limit;
}

static double now(void)
{
	struct timespec t;

	/* Of this thread, so that others on the machine do not count */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void report(const char *name, unsigned int live, double value)
{
	printf("%s_%u %.2f\n", name, live, value);
	fflush(stdout);
}

static int turns = -1;

/* Without the other program, or with it gone, every turn is this one's */
static void wait_for_turn(void)
{
	char c;

	if (turns >= 0 && recv(turns, &c, 1, 0) < 0)
		abort();
}

static void pass_turn(void)
{
	if (turns < 0)
		return;
	send(turns, "", 1, MSG_NOSIGNAL);
	wait_for_turn();
}

#define RUN(statement) do {						\
	unsigned int k;							\
									\
	for (k = 0; k < OPS; k++) {					\
		statement;						\
		if (k % 64 == 63)					\
			bench_quiesce();				\
	}								\
} while (0)

/*
 * Runs the statement OPS times and reports nanoseconds of CPU for one. Does so
 * several times and takes the least, as whatever else runs on the machine only
 * adds to it.
 */
#define MEASURE(name, live, statement) do {				\
	double __from, __ns, __least = 0;				\
	unsigned int __r;						\
									\
	for (__r = 0; __r < REPEAT; __r++) {				\
		bench_drain();						\
		__from = now();						\
		RUN(statement);						\
		__ns = (now() - __from) / OPS;				\
		if (!__r || __ns < __least)				\
			__least = __ns;					\
	}								\
	report(name, live, __least);					\
} while (0)

/* Reports the second time. The first replaces what others left in the caches. */
#define MEASURE_AGAIN(name, live, statement) do {			\
	double __from = 0;						\
	int __time;							\
									\
	bench_drain();							\
	for (__time = 0; __time < 2; __time++) {			\
		__from = now();						\
		RUN(statement);						\
	}								\
	report(name, live, (now() - __from) / OPS);			\
} while (0)

/* One from each program makes a pair. */
#define MEASURE_TURNS(name, live, statement) do {			\
	unsigned int __r;						\
									\
	for (__r = 0; __r < TURNS; __r++) {				\
		pass_turn();						\
		MEASURE_AGAIN(name, live, statement);			\
	}								\
} while (0)

/* Sattolo's shuffle: one cycle, so that each id leads to another */
static void make_order(unsigned int live)
{
	unsigned int i, j, swap;

	for (i = 0; i < live; i++)
		order[i] = FIRST_ID + i;
	for (i = live - 1; i > 0; i--) {
		j = random_below(i);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
}

/* ids FIRST_ID.. of the set; the data of each is the next in the order */
static noinline void fill(set_t set, unsigned int live)
{
	unsigned int i;
	long before = bench_bytes();
	double from;

	make_order(live);
	for (i = 0; i < live; i++)
		next[order[i]] = order[(i + 1) % live];

	from = now();
	for (i = 0; i < live; i++)
		if (id_alloc(set, (void *)next[FIRST_ID + i]) != FIRST_ID + i)
			abort();
	report("fill", live, (now() - from) / live);
	bench_drain();
	report("bytes", live, (double)(bench_bytes() - before) / live);
}

static noinline void empty(set_t set, unsigned int live)
{
	double from = now();
#ifdef BENCH_CORE
	ioasid_set_free_all(set);
#else
	unsigned int i;

	for (i = 0; i < live; i++) {
		id_free(set, FIRST_ID + i);
		if (i % 64 == 63)
			bench_quiesce();
	}
#endif
	bench_drain();
	report("free_all", live, (now() - from) / live);
}

static noinline void pairs(set_t set, unsigned int live)
{
	unsigned int id;

	MEASURE_TURNS("pair_last", live, {
		id = id_alloc(set, NULL);
		id_free(set, id);
	});
	MEASURE_TURNS("pair_random", live, {
		id = order[k % live];
		id_free(set, id);
		if (id_alloc(set, (void *)next[id]) != id)
			abort();
	});
}

#ifdef HAS_FIND
static noinline void finds(set_t set, unsigned int live)
{
	unsigned int limit = MAX_ID - live - FIRST_ID + 1;
	unsigned long sum = 0, id = FIRST_ID;
	unsigned int *miss;
	unsigned int i;

	MEASURE_TURNS("find", live, {
		sum += (unsigned long)ioasid_find(set, order[k % live], NULL);
	});
	/* What was found says what to find next. */
	MEASURE_TURNS("find_dependent", live, {
		id = (unsigned long)ioasid_find(set, id, NULL);
	});

	if (limit > live + 64)
		limit = live + 64;
	miss = malloc(OPS * sizeof(*miss));
	for (i = 0; i < OPS; i++)
		miss[i] = FIRST_ID + live + random_below(limit);
	MEASURE_TURNS("find_miss", live, {
		sum += (unsigned long)ioasid_find(set, miss[k], NULL);
	});
	free(miss);
	sink = sum + id;
}
#endif

#ifdef BENCH_CORE
static noinline void getputs(set_t set, unsigned int live)
{
	MEASURE("get_put", live, {
		if (ioasid_get(set, order[k % live]))
			abort();
		ioasid_put(set, order[k % live]);
	});
	MEASURE("use_unuse", live, {
		if (ioasid_use(set, order[k % live]))
			abort();
		ioasid_unuse(set, order[k % live]);
	});
}

/* SPIDs 1.. go to the ids in their random order. */
static noinline void spids(set_t set, unsigned int live)
{
	unsigned long sum = 0;
	unsigned int i;
	double from;

	from = now();
	for (i = 0; i < live; i++)
		if (ioasid_attach_spid(order[i], i + 1))
			abort();
	report("spid_fill", live, (now() - from) / live);
	for (i = 0; i < TURNS; i++) {
		MEASURE_AGAIN("find_beside_spid", live, {
			sum += (unsigned long)ioasid_find(set, order[k % live],
							  NULL);
		});
		MEASURE_AGAIN("spid_find", live, {
			unsigned int spid = order[k % live] - FIRST_ID + 1;

			sum += ioasid_find_by_spid(set, spid, false);
		});
	}
	MEASURE("spid_find_get", live, {
		unsigned int id;

		id = ioasid_find_by_spid(set, order[k % live] - FIRST_ID + 1,
					 true);
		ioasid_put(set, id);
	});
	MEASURE("spid_pair", live, {
		ioasid_detach_spid(order[k % live]);
		if (ioasid_attach_spid(order[k % live], k % live + 1))
			abort();
	});
	sink = sum;
}
#endif

static noinline void others(set_t set, unsigned int live)
{
#ifdef HAS_FIND
	finds(set, live);
#endif
#ifdef BENCH_CORE
	getputs(set, live);
	spids(set, live);
	for (unsigned int k = 0; k < live; k++) {
		ioasid_detach_spid(order[k]);
		if (k % 64 == 63)
			bench_quiesce();
	}
#endif
}

/* Threads */

struct worker {
	pthread_t thread;
	set_t set;
	void (*fn)(set_t set);
	double ns;
};

static pthread_barrier_t barrier;

static void thread_pair(set_t set)
{
	id_free(set, id_alloc(set, NULL));
}

#ifdef HAS_FIND
static __thread unsigned int at;

static void thread_find(set_t set)
{
	ioasid_find(NULL, order[at++ % 1000], NULL);
}
#endif

#ifdef BENCH_CORE
static void thread_get_put(set_t set)
{
	unsigned int id = order[at++ % 1000];

	ioasid_get(NULL, id);
	ioasid_put(NULL, id);
}
#endif

static void *worker(void *arg)
{
	struct worker *w = arg;
	unsigned int i;
	double from;

	rcu_register_thread();
	rcu_thread_offline();
	pthread_barrier_wait(&barrier);
	rcu_thread_online();
	from = now();
	for (i = 0; i < THREAD_OPS; i++) {
		w->fn(w->set);
		if (i % 64 == 63)
			bench_quiesce();
	}
	w->ns = (now() - from) / THREAD_OPS;
	bench_drain();
	rcu_unregister_thread();
	return NULL;
}

static void threads(const char *name, void (*fn)(set_t), unsigned int nr,
		    set_t a, set_t b)
{
	struct worker w[2] = { { .set = a, .fn = fn }, { .set = b, .fn = fn } };
	double ns = 0;
	unsigned int i;

	pthread_barrier_init(&barrier, NULL, nr);
	rcu_thread_offline();
	for (i = 0; i < nr; i++)
		pthread_create(&w[i].thread, NULL, worker, &w[i]);
	for (i = 0; i < nr; i++) {
		pthread_join(w[i].thread, NULL);
		ns += w[i].ns / nr;
	}
	rcu_thread_online();
	report(name, nr, ns);
}

/* On virtual machines one CPU can be half as fast as the other for a while */
static void stay_on_one_cpu(cpu_set_t *all)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(*all), all))
		abort();
	while (!CPU_ISSET(cpu, all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int main(void)
{
	static const unsigned int lives[] = { 10, 1000, 100000, 1000000 };
	unsigned int i, live;
	set_t set, other;
	cpu_set_t all;

	stay_on_one_cpu(&all);
	if (getenv("BENCH_TURNS"))
		turns = atoi(getenv("BENCH_TURNS"));
	wait_for_turn();
	rcu_register_thread();
	bench_shim_init();
#ifdef BENCH_CORE
	initcall_ioasid_init();
	initcall_ioasid_notifier_init();
	if (ioasid_register_notifier_in_use(&vtd))
		abort();
#endif
	order = calloc(MAX_ID + 1, sizeof(*order));
	next = calloc(MAX_ID + 1, sizeof(*next));

	for (i = 0; i < ARRAY_SIZE(lives); i++) {
		live = lives[i];
		set = new_set();
		fill(set, live);
		pairs(set, live);
		if (!getenv("BENCH_PAIRS"))
			others(set, live);
		empty(set, live);
		set_done(set);
		bench_drain();
	}

	if (getenv("BENCH_PAIRS"))
		return 0;
	sched_setaffinity(0, sizeof(all), &all);
	set = new_set();
	other = new_set();
	fill(set, 1000);
	threads("threads_pair_one_set", thread_pair, 1, set, set);
	threads("threads_pair_one_set", thread_pair, 2, set, set);
	threads("threads_pair_two_sets", thread_pair, 2, set, other);
#ifdef HAS_FIND
	threads("threads_find", thread_find, 1, set, set);
	threads("threads_find", thread_find, 2, set, set);
#endif
#ifdef BENCH_CORE
	threads("threads_get_put", thread_get_put, 1, set, set);
	threads("threads_get_put", thread_get_put, 2, set, set);
#endif
	return 0;
}
