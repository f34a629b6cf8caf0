/* SPDX-License-Identifier: GPL-2.0 */
/* The model of the core, what it is compared with and what is compared */
#ifndef _IOASID_TEST_MODEL_H
#define _IOASID_TEST_MODEL_H

#include "ioasid-private.h"
#include "test.h"

#define SETS		6
#define SUBS		8
#define IDS		96	/* beyond what the highest min and the pool give */
#define SPIDS		10
#define NONE		INVALID_IOASID

enum { GLOBAL = -1 };

struct m_due {
	unsigned long event;
	ioasid_t spid;
};

struct m_id {
	bool exists;
	int set;
	void *private;
	enum ioasid_state state;
	int refs;
	int uses;
	bool owned, emitting, free_sent;
	ioasid_t spid;
	struct m_due due[8];
	int nr_due;
};

struct m_chain {
	int sub[SUBS];
	int nr;
};

struct m_set {
	struct ioasid_set *real;	/* NULL: no such set */
	enum ioasid_set_type type;
	int mm;
	u32 quota, nr;
	bool dying;
	int refs, pending;
	int held;			/* references that we have */
	ioasid_t order[IDS];		/* ids as allocated, nr of them */
	ioasid_t ns[SPIDS];		/* SPID -> id, 0 for none */
	struct m_chain chain;
};

enum sub_kind { SUB_NONE, SUB_GLOBAL, SUB_SET, SUB_MM };

struct m_sub {
	struct notifier_block nb;
	enum sub_kind kind;
	int target;
};

extern struct m_id ids[IDS];
extern struct m_set sets[SETS];
extern int set_order[SETS], nr_sets;	/* as made */
extern struct m_sub subs[SUBS];
extern int mm_order[SUBS], nr_mm_subs;	/* as subscribed */
extern struct m_chain global;
extern struct ioasid_pool pool;

/* What handlers of the core saw and did */

enum action {
	ACT_NONE, ACT_GET, ACT_PUT, ACT_FREE, ACT_FREE_OTHER, ACT_DETACH,
	ACT_UNUSE, ACT_FIND, ACTIONS,
};

struct record {
	int sub;
	unsigned long event;
	struct ioasid_nb_args args;
	enum action action;
	ioasid_t other;
	long result;
};

extern struct record records[4096];
extern int nr_records, next_record;

extern const char *op_name;
extern unsigned long op_number, seed;

#define CHECK(what, core, model) do {					\
	long __c = (long)(core), __m = (long)(model);			\
									\
	if (__c != __m)							\
		test_fail(__FILE__, __LINE__,				\
			  "SEED=%lu operation %lu %s: %s: core %ld, model %ld", \
			  seed, op_number, op_name, what, __c, __m);	\
} while (0)

/* The operations of the model */

bool m_freed(ioasid_t id);
bool m_exists(ioasid_t id);
void m_set_put(int s);
bool m_put(ioasid_t id);
bool m_free(int s, ioasid_t id);
int m_get(int s, ioasid_t id);
int m_get_if_owned(ioasid_t id, int mm);
int m_use(int s, ioasid_t id);
bool m_unuse(ioasid_t id);
int m_alloc(int s, ioasid_t min, ioasid_t max, void *private, ioasid_t *id);
int m_attach(ioasid_t id, ioasid_t spid);
int m_detach(ioasid_t id);
ioasid_t m_find_by_spid(int s, ioasid_t spid, bool get);
void m_free_all(int s);
void m_chain_add(struct m_chain *chain, int sub);
void m_list_del(int *list, int *nr, int what);
void m_register_mm(int sub, int mm);

#endif
