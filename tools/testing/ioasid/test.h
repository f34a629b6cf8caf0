/* SPDX-License-Identifier: GPL-2.0 */
/* What the test files share */
#ifndef _IOASID_TEST_H
#define _IOASID_TEST_H

#include <linux/ioasid.h>
#include <linux/notifier.h>

#include "shim.h"

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test event_tests[], fail_tests[], model_tests[];
extern const struct test storm_tests[];

/* Says what went wrong in the test that runs, and that it failed */
void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool test_has_failed(void);

#define EXPECT(cond) \
	((cond) ? true : (test_fail(__FILE__, __LINE__, "%s", #cond), false))
#define EXPECT_EQ(a, b) ({						\
	long long __a = (a), __b = (b);					\
									\
	if (__a != __b)							\
		test_fail(__FILE__, __LINE__, "%s is %lld, not %lld",	\
			  #a, __a, __b);				\
	__a == __b;							\
})

/* The environment variable, or what it is without */
unsigned long test_param(const char *name, unsigned long value);

/* Random numbers of this thread, from a seed */
void random_seed(unsigned long seed);
unsigned int random_below(unsigned int limit);

/**
 * struct sub - a subscriber that writes events down
 * @nb: what is registered
 * @name: one letter or more
 * @hook: called after it was written down, may be NULL
 */
struct sub {
	struct notifier_block nb;
	const char *name;
	void (*hook)(unsigned long event, struct ioasid_nb_args *args);
};

#define SUB(_name, _priority, _hook) {			\
	.nb = {						\
		.notifier_call = sub_notify,		\
		.priority = IOASID_PRIO_##_priority,	\
	},						\
	.name = _name,					\
	.hook = _hook,					\
}

int sub_notify(struct notifier_block *nb, unsigned long event, void *data);

/*
 * Compare the events since the last call with "name:EVENT id[/spid] ...", an
 * empty string for none.  + BIND, - UNBIND, A ALLOC, F FREE.
 */
bool expect_events_at(const char *file, int line, const char *want);
/* The same for what they begin with */
bool expect_events_begin(const char *want);
#define EXPECT_EVENTS(want)	expect_events_at(__FILE__, __LINE__, want)

/* A small pool for the time of a test, of which tenants leave @kept percent */
void pool_start(u32 capacity, u32 kept);
void pool_end(void);

/* An id of @set, or INVALID_IOASID */
ioasid_t new_id(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		void *private);

/* Look into the core: state of an id, -1 when there is none */
int id_state(ioasid_t id);
unsigned int id_refs(ioasid_t id);

#endif
