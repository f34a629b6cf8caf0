/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IOASID core, what its files share. From the bottom up; a file calls those above
 * it in this list and none below it:
 *
 *	ioasid-cgroup.c		charges ids to the cgroup of the task
 *	ioasid-pool.c		capacity: how many ids there may be at all
 *	ioasid-allocator.c	the number space and custom allocators
 *	ioasid-notifier.c	the chains of subscribers and their workqueue
 *	ioasid-quota.c		the quota of a set, and what keeps the set
 *	ioasid.c		the life of an id
 *	ioasid-data.c		what an id leads to: private data, its set
 *	ioasid-spid.c		private ids of a set
 *	ioasid-walk.c		walks over the ids of a set
 *	ioasid-mm.c		subscribers by mm
 *	ioasid-set.c		sets of ids: making and freeing them
 *	ioasid-debugfs.c	what it looks like from outside
 *
 * Conventions: @e is always a struct ioasid_entry, @set a struct ioasid_set,
 * @id an ioasid_t. "pasid" names the 20-bit value on the bus, "ioasid" the
 * number that software manages; they have the same value.
 *
 * Locks, the spinlocks usable in any context but NMI, none held while a notifier runs
 * (rcu_read_lock() is):
 *
 *	e->lock			state of one id, its uses, its SPID, who delivers
 *				its events
 *	set->lock		the list of a set's ids, its quota and its count
 *	set->spids xa_lock	the SPIDs of a set
 *	ioasid_xa xa_lock	all ids, the capacity, the list of custom allocators
 *	ioasid_sets_lock	mutex: the list of sets, the subscribers by mm
 *	ioasid_quota_lock	mutex: who changes the quota of a set
 *	ioasid_chain_lock	mutex: who registers a subscriber; links of ioasid-mm.c
 *				are new, so that they need no look and not this
 *
 * Order: the mutexes, which are not nested, > everything; e->lock > set->spids
 * xa_lock; the others are not nested.
 *
 * Lookups run under RCU: entries and sets are freed after a grace period.
 */
#ifndef __IOASID_PRIVATE_H
#define __IOASID_PRIVATE_H

#include <linux/atomic.h>
#include <linux/ioasid.h>
#include <linux/notifier.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/**
 * enum ioasid_state - life of an id
 * @IOASID_STATE_NEW: being allocated, nobody can find it
 * @IOASID_STATE_IDLE: allocated
 * @IOASID_STATE_ACTIVE: in use: has an SPID, a page table or a device
 * @IOASID_STATE_FREE_PENDING: freed by its owner, others still refer to it
 * @IOASID_STATE_RELEASED: its number can be allocated again
 */
enum ioasid_state {
	IOASID_STATE_NEW,
	IOASID_STATE_IDLE,
	IOASID_STATE_ACTIVE,
	IOASID_STATE_FREE_PENDING,
	IOASID_STATE_RELEASED,
};

/* Flags of an entry, under its lock */
#define IOASID_EMITTING		BIT(0)	/* somebody delivers its events */
#define IOASID_FREE_SENT	BIT(1)	/* FREE was, or is being, delivered */
#define IOASID_OWNED		BIT(2)	/* the owner's reference is not dropped */
#define IOASID_DETACHED		BIT(3)	/* UNBIND is due, then the SPID goes */

/* For ioasid_emit(): nothing but what is due */
#define IOASID_NOTIFY_NONE	((enum ioasid_notify_event)0)

/**
 * struct ioasid_entry - an IOASID
 * @set: its set, kept as long as there is an id in its list
 * @private: private data, RCU; ERR_PTR(-ENOENT) until the id can be found
 * @id: the number
 * @state: enum ioasid_state, written under @lock, or the set's when nobody else
 *	   can be at the id, read without
 * @flags: IOASID_EMITTING etc., under @lock
 * @uses: SPID, page table and devices, under @lock
 * @refs: references: the owner's, those of ioasid_get(), one for each use but
 *	  the SPID
 * @lock: protects @state, @flags, @uses and @spid
 * @spid: the SPID, also one that is detached and whose UNBIND is due;
 *	  %INVALID_IOASID for none. Set and removed by who has the mark
 *	  IOASID_EMITTING only.
 * @cg: the cgroup that the id is charged to, a reference is held; or NULL
 * @node: in the set's list, under the set's lock
 * @rcu: for freeing; the entry has left the list by then
 *
 * One cache line without debug options: a lookup touches nothing else.
 */
struct ioasid_entry {
	struct ioasid_set *set;
	void __rcu *private;
	ioasid_t id;
	u8 state;
	u8 flags;
	u16 uses;
	refcount_t refs;
	/* state, flags, uses, spid */
	spinlock_t lock;
	ioasid_t spid;
#ifdef CONFIG_CGROUP_MISC
	struct misc_cg *cg;
#endif
	union {
		struct list_head node;
		struct rcu_head rcu;
	};
};

/**
 * struct ioasid_set - a group of ids with one owner
 * @refs: the creator's and one for all ids in @ids together
 * @pool: where its ids are taken from
 * @serial: number of the set since boot, to name it in debugfs and traces
 * @type: what @token is
 * @charged: ids of it are charged to the cgroup of the task that allocates them
 * @token: the owner
 * @gfp: for what is allocated on behalf of the owner
 * @comm: name of the task that made the set, for debugfs
 * @lock: protects @ids, @quota, @nr and @dying
 * @ids: every entry of the set, in order of allocation
 * @quota: how many ids the set reserved, 0: shares what is left
 * @nr: ids that exist or are being allocated
 * @dying: no new ids
 * @pending: ids in %IOASID_STATE_FREE_PENDING
 * @spids: SPID -> entry
 * @watch: is notified when ids are released, RCU
 * @chain: subscribers of this set
 * @links: those of them that subscribed by mm, under ioasid_sets_lock
 * @sets: in the list of all sets, under ioasid_sets_lock
 * @rwork: frees the set, in process context as mmdrop() may not be called
 *	   where ids are put
 */
struct ioasid_set {
	refcount_t refs;
	struct ioasid_pool *pool;
	u32 serial;
	enum ioasid_set_type type;
	bool charged;
	void *token;
	gfp_t gfp;
	char comm[TASK_COMM_LEN];
	/* ids, quota, nr, dying */
	spinlock_t lock;
	struct list_head ids;
	u32 quota;
	u32 nr;
	bool dying;
	atomic_t pending;
	struct xarray spids;
	struct ioasid_set_watch __rcu *watch;
	struct atomic_notifier_head chain;
	struct list_head links;
	struct list_head sets;
	struct rcu_work rwork;
};

/*
 * Sets without quota take each id from the pool. A set is one or the other for life, but the quota may be changed meanwhile.
 */
static inline bool ioasid_set_is_shared(const struct ioasid_set *set)
{
	return !READ_ONCE(set->quota);
}

/* ioasid-cgroup.c */
#ifdef CONFIG_CGROUP_MISC
int ioasid_cg_charge(struct ioasid_entry *e);
void ioasid_cg_uncharge(struct ioasid_entry *e);
void ioasid_cg_set_capacity(u32 capacity);
#else
static inline int ioasid_cg_charge(struct ioasid_entry *e)
{
	return 0;
}

static inline void ioasid_cg_uncharge(struct ioasid_entry *e)
{
}

static inline void ioasid_cg_set_capacity(u32 capacity)
{
}
#endif

/**
 * enum ioasid_pool_user - who took ids from the pool
 * @IOASID_POOL_QUOTA: quotas of sets
 * @IOASID_POOL_SHARED: ids of the kernel's sets without quota, as that of SVA
 * @IOASID_POOL_TENANTS: ids of users' sets without quota
 * @IOASID_POOL_USERS: number of the above
 */
enum ioasid_pool_user {
	IOASID_POOL_QUOTA,
	IOASID_POOL_SHARED,
	IOASID_POOL_TENANTS,
	IOASID_POOL_USERS,
};

/**
 * struct ioasid_pool - how many ids there may be, and who has them
 * @capacity: ids there may be
 * @left: ids nobody took
 * @taken: ids taken, by user
 * @kept: percent of what is not a quota that tenants leave to others
 * @highest: highest number that the hardware can send, 0 for no such limit
 *
 * @capacity is the sum of @left and @taken. All under the lock of ioasid_xa.
 */
struct ioasid_pool {
	u32 capacity;
	u32 left;
	u32 taken[IOASID_POOL_USERS];
	u32 kept;
	ioasid_t highest;
};

/* For ids of sets without quota */
static inline enum ioasid_pool_user
ioasid_set_pool_user(const struct ioasid_set *set)
{
	return set->type == IOASID_SET_TYPE_MM ? IOASID_POOL_TENANTS :
						 IOASID_POOL_SHARED;
}

/* ioasid-pool.c */
extern struct xarray ioasid_xa;
extern struct ioasid_pool ioasid_pool;
void ioasid_pool_init(void);
int __ioasid_pool_charge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			 u32 nr);
void __ioasid_pool_uncharge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			    u32 nr);
int ioasid_pool_charge(struct ioasid_pool *pool, enum ioasid_pool_user user,
		       u32 nr);
void ioasid_pool_uncharge(struct ioasid_pool *pool, enum ioasid_pool_user user,
			  u32 nr);
void ioasid_pool_read(const struct ioasid_pool *pool, struct ioasid_pool *copy);
void ioasid_pool_lower(struct ioasid_pool *pool, u32 total);

/* ioasid-allocator.c */
int ioasid_number_alloc(struct ioasid_entry *e, ioasid_t min, ioasid_t max);
void ioasid_number_free(struct ioasid_entry *e);

/* ioasid-notifier.c */
extern atomic_t ioasid_chain_all;
void ioasid_notify(enum ioasid_notify_event event, struct ioasid_nb_args *args);

/*
 * Is there anybody to notify about an id that is not in use? A subscriber that is
 * not seen yet has not been notified of any id either, if the caller holds the
 * lock that the subscriber's next look at the id takes: the set's before the id is
 * in its list, then the id's.
 */
static inline bool ioasid_has_subscribers(const struct ioasid_set *set)
{
	return rcu_access_pointer(set->chain.head) ||
	       atomic_read(&ioasid_chain_all);
}

/* ioasid-quota.c */
bool ioasid_set_tryget(struct ioasid_set *set);
int ioasid_set_charge(struct ioasid_set *set);
void ioasid_set_uncharge(struct ioasid_set *set);

static inline void ioasid_set_count(struct ioasid_set *set, int change)
{
	lockdep_assert_held(&set->lock);
	/* For ioasid_set_is_empty() and debugfs */
	WRITE_ONCE(set->nr, set->nr + change);
}

/* ioasid.c */
struct ioasid_entry *ioasid_entry_lookup(ioasid_t id);
struct ioasid_entry *ioasid_entry_get(struct ioasid_set *set, ioasid_t id,
				      int *err);
bool ioasid_entry_tryget(struct ioasid_entry *e);
bool ioasid_entry_put(struct ioasid_entry *e);
bool ioasid_entry_free(struct ioasid_entry *e);
bool ioasid_entry_is_freed(const struct ioasid_entry *e);
int ioasid_entry_start_use(struct ioasid_entry *e);
bool ioasid_emit_begin(struct ioasid_entry *e);
int ioasid_emit_begin_wait(struct ioasid_entry *e);
bool ioasid_emit(struct ioasid_entry *e, enum ioasid_notify_event first);

/* ioasid-spid.c */
ioasid_t ioasid_spid_current(const struct ioasid_entry *e);

/* ioasid-walk.c */
extern struct list_head ioasid_sets;
extern struct mutex ioasid_sets_lock;
struct ioasid_entry *ioasid_set_next(struct ioasid_set *set,
				     struct ioasid_entry *prev);

/* ioasid-mm.c */
int ioasid_mm_add_set(struct ioasid_set *set);
void ioasid_mm_del_set(struct ioasid_set *set);

/* ioasid-set.c */
struct ioasid_set *__ioasid_set_alloc(struct ioasid_pool *pool, void *token,
				      u32 quota, enum ioasid_set_type type);

#endif /* __IOASID_PRIVATE_H */
