// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the tests and reports in KTAP. After each of them everything that the
 * core allocated must be gone again and nothing may have warned.
 *
 *	ioasid-test [NAME...]	those whose name begins with one of these
 *	TIMEOUT=		seconds that a test may take
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ioasid-private.h"
#include "test.h"

static const struct test *const suites[] = {
	event_tests, fail_tests, model_tests, storm_tests,
};

static bool failed;

void test_fail(const char *file, int line, const char *format, ...)
{
	static int lines;
	va_list args;

	if (!__atomic_exchange_n(&failed, true, __ATOMIC_RELAXED))
		lines = 0;
	if (__atomic_add_fetch(&lines, 1, __ATOMIC_RELAXED) > 20)
		return;
	flockfile(stdout);
	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	funlockfile(stdout);
}

bool test_has_failed(void)
{
	return __atomic_load_n(&failed, __ATOMIC_RELAXED);
}

unsigned long test_param(const char *name, unsigned long value)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : value;
}

static __thread unsigned long random_state;

void random_seed(unsigned long seed)
{
	random_state = seed * 0x9e3779b97f4a7c15 + 1;
}

unsigned int random_below(unsigned int limit)
{
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return ((random_state * 0x2545f4914f6cdd1d) >> 32) % limit;
}

/* The events, as text */
static char log_text[1 << 14];
static size_t log_length;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

int sub_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	static const char sign[] = {
		[IOASID_NOTIFY_ALLOC] = 'A',
		[IOASID_NOTIFY_FREE] = 'F',
		[IOASID_NOTIFY_BIND] = '+',
		[IOASID_NOTIFY_UNBIND] = '-',
	};
	struct sub *sub = container_of(nb, struct sub, nb);
	struct ioasid_nb_args *args = data;

	if (!shim_may_sleep() || shim_holds_mutex())
		test_fail(__FILE__, __LINE__, "%s is called under a lock",
			  sub->name);

	pthread_mutex_lock(&log_lock);
	log_length += snprintf(log_text + log_length,
			       sizeof(log_text) - log_length, "%s%s:%c%u",
			       log_length ? " " : "", sub->name, sign[event],
			       args->id);
	if (args->spid != INVALID_IOASID)
		log_length += snprintf(log_text + log_length,
				       sizeof(log_text) - log_length, "/%u",
				       args->spid);
	if (log_length >= sizeof(log_text))
		abort();
	pthread_mutex_unlock(&log_lock);

	if (sub->hook)
		sub->hook(event, args);
	return NOTIFY_OK;
}

bool expect_events_at(const char *file, int line, const char *want)
{
	bool same;

	pthread_mutex_lock(&log_lock);
	same = !strcmp(log_text, want);
	if (!same)
		test_fail(file, line, "events \"%s\", not \"%s\"", log_text,
			  want);
	log_length = 0;
	log_text[0] = 0;
	pthread_mutex_unlock(&log_lock);
	return same;
}

bool expect_events_begin(const char *want)
{
	bool same;

	pthread_mutex_lock(&log_lock);
	same = !strncmp(log_text, want, strlen(want));
	if (!same)
		test_fail(__FILE__, __LINE__, "events \"%s\", not \"%s\"...",
			  log_text, want);
	log_length = 0;
	log_text[0] = 0;
	pthread_mutex_unlock(&log_lock);
	return same;
}

static struct ioasid_pool pool_saved;

void pool_start(u32 capacity, u32 kept)
{
	pool_saved = ioasid_pool;
	ioasid_pool = (struct ioasid_pool){
		.capacity = capacity,
		.left = capacity,
		.kept = kept,
	};
}

/* Also says whether everything came back. */
void pool_end(void)
{
	int i;

	EXPECT_EQ(ioasid_pool.left, ioasid_pool.capacity);
	for (i = 0; i < IOASID_POOL_USERS; i++)
		EXPECT_EQ(ioasid_pool.taken[i], 0);
	ioasid_pool = pool_saved;
}

ioasid_t new_id(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		void *private)
{
	ioasid_t id;

	return ioasid_alloc(set, min, max, private, &id) ? INVALID_IOASID : id;
}

int id_state(ioasid_t id)
{
	struct ioasid_entry *e;
	int state;

	rcu_read_lock();
	e = xa_load(&ioasid_xa, id);
	state = e ? e->state : -1;
	rcu_read_unlock();
	return state;
}

unsigned int id_refs(ioasid_t id)
{
	struct ioasid_entry *e;
	unsigned int refs;

	rcu_read_lock();
	e = xa_load(&ioasid_xa, id);
	refs = e ? refcount_read(&e->refs) : 0;
	rcu_read_unlock();
	return refs;
}

/* What runs now, for who ends it */
static const char *current_name;
static int current_number;

static void timeout(int sig)
{
	char text[128];
	int length = snprintf(text, sizeof(text),
			      "not ok %d %s # timeout\n", current_number,
			      current_name);

	/* Threads may hang as well, so there is no going on from here. */
	if (write(STDOUT_FILENO, text, length) != length)
		_exit(2);
	_exit(1);
}

static void run(const struct test *test, int number)
{
	struct ioasid_pool pool, after;
	int objects, kmallocs, mm_refs;
	struct timespec from, to;
	unsigned long index = 0;

	current_name = test->name;
	current_number = number;
	alarm(test_param("TIMEOUT", 300));
	failed = false;
	shim_warnings = 0;
	shim_settle();
	ioasid_pool_read(&ioasid_pool, &pool);
	/* What a test leaves is not held against the next one. */
	objects = nr_allocated;
	kmallocs = kmalloc_nr_allocated;
	mm_refs = shim_mm_refs;
	clock_gettime(CLOCK_MONOTONIC, &from);

	test->run();

	clock_gettime(CLOCK_MONOTONIC, &to);
	EXPECT_EVENTS("");
	/* Failed allocations may have left nodes with nothing in them. */
	EXPECT(!xa_find(&ioasid_xa, &index, ULONG_MAX, XA_PRESENT));
	xa_destroy(&ioasid_xa);
	shim_settle();
	EXPECT_EQ(nr_allocated, objects);
	EXPECT_EQ(kmalloc_nr_allocated, kmallocs);
	EXPECT_EQ(shim_mm_refs, mm_refs);
	EXPECT_EQ(shim_warnings, 0);
	EXPECT(list_empty(&ioasid_sets));
	ioasid_pool_read(&ioasid_pool, &after);
	EXPECT(!memcmp(&pool, &after, sizeof(pool)));

	printf("%sok %d %s # %ld ms\n", failed ? "not " : "", number,
	       test->name, (to.tv_sec - from.tv_sec) * 1000 +
	       (to.tv_nsec - from.tv_nsec) / 1000000);
	fflush(stdout);
}

static bool wanted(const struct test *test, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strncmp(test->name, argv[i], strlen(argv[i])))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	const struct test *test;
	int number = 0, bad = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, timeout);
	rcu_register_thread();
	shim_init();
	initcall_ioasid_init();
	initcall_ioasid_notifier_init();

	for (i = 0; i < ARRAY_SIZE(suites); i++)
		for (test = suites[i]; test->name; test++)
			number += wanted(test, argc, argv);
	printf("KTAP version 1\n1..%d\n", number);
	if (!number)
		return 2;

	number = 0;
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		for (test = suites[i]; test->name; test++) {
			if (!wanted(test, argc, argv))
				continue;
			run(test, ++number);
			bad += failed;
		}
	}
	printf("# %d tests, %d failed\n", number, bad);
	rcu_unregister_thread();
	return !!bad;
}
