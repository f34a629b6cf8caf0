/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of /dev/ioasid have in common
 */
#ifndef __IOASID_USER_H
#define __IOASID_USER_H

#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/ioasid.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/ioasid.h>

struct file;
struct ioasid_ioas;
struct ioasid_user_fault;
struct iommu_pasid_fault;

/**
 * enum ioasid_user_state - what user space knows of an id
 * @IOASID_USER_NEW: nothing yet, ALLOC has not returned
 * @IOASID_USER_LIVE: it has the id
 * @IOASID_USER_FREEING: FREE has not returned, or ALLOC has failed and frees it
 * @IOASID_USER_PENDING: it waits for the event that the id is released
 * @IOASID_USER_SILENT: it does not wait for that
 * @IOASID_USER_RELEASED: the core has no such id any more
 * @IOASID_USER_FAULT: none of these: no id, but a fault under one (ioasid-events.c)
 * @IOASID_USER_DETACHED: nor that: a device that it was attached to went away
 */
enum ioasid_user_state {
	IOASID_USER_NEW,
	IOASID_USER_LIVE,
	IOASID_USER_FREEING,
	IOASID_USER_PENDING,
	IOASID_USER_SILENT,
	IOASID_USER_RELEASED,
	IOASID_USER_FAULT,
	IOASID_USER_DETACHED,
};

/**
 * struct ioasid_user_id - an id of a file, the private data of the IOASID
 * @list: in ids of struct ioasid_user; in events, from RELEASED until it is read
 * @rcu: for freeing, when it is in no list
 * @cookie: of ALLOC
 * @id: the number
 * @state: enum ioasid_user_state
 */
struct ioasid_user_id {
	union {
		struct list_head list;
		struct rcu_head rcu;
	};
	u64 cookie;
	ioasid_t id;
	u8 state;
};

/**
 * struct ioasid_user - an open file
 * @rcu: for freeing
 * @set: its IOASIDs
 * @watch: notified by the core when one of them is released
 * @mutex: serialises the commands that change something
 * @lock: protects what follows, up to @faults, and the states of ids
 * @closed: nothing is recorded any more
 * @allocated: ids that exist
 * @pending: of these, how many are being freed
 * @ids: all of them
 * @events: those that are released and were not read, and faults, oldest first
 * @free_faults: room for faults
 * @last_fault: the fault that came last, which counts what is lost
 * @faults: memory of all faults, once a device was attached
 * @spaces: struct ioasid_ioas of ids that stand for one, by id
 * @read_mutex: serialises readers; taken outside of @lock
 * @wait: for events
 * @wake_work: wakes those who wait
 */
struct ioasid_user {
	struct rcu_head rcu;
	struct ioasid_set *set;
	struct ioasid_set_watch watch;
	/* Commands that change something */
	struct mutex mutex;
	/* What is between here and spaces, and states of ids */
	spinlock_t lock;
	bool closed;
	u32 allocated;
	u32 pending;
	struct list_head ids;
	struct list_head events;
	struct list_head free_faults;
	struct ioasid_user_fault *last_fault;
	struct ioasid_user_fault *faults;
	struct xarray spaces;
	/* Readers of @events; outside of @lock */
	struct mutex read_mutex;
	wait_queue_head_t wait;
	struct work_struct wake_work;
};

/* What the struct of each ioctl begins with */
struct ioasid_args_common {
	u32 size;
	u32 flags;
};

/**
 * struct ioasid_args_layout - the struct of an ioctl
 * @size: its size
 * @min_size: that of the first version
 * @out: where the members that the kernel writes begin
 * @out_end: and end, 0 when there are none
 * @flags: those that have a meaning
 */
struct ioasid_args_layout {
	size_t size;
	size_t min_size;
	size_t out;
	size_t out_end;
	u32 flags;
};

#define IOASID_ARGS_LAYOUT(_union, _struct, _last, ...)			\
	{								\
		.size = sizeof(struct _struct) +			\
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) >	\
					  sizeof(_union)),		\
		.min_size = offsetofend(struct _struct, _last),		\
		__VA_ARGS__						\
	}
#define IOASID_ARGS_OUT(_struct, _first, _last)				\
	.out = offsetof(struct _struct, _first),			\
	.out_end = offsetofend(struct _struct, _last)

/* A copy of the caller's struct, zero-extended */
union ioasid_user_args {
	struct ioasid_args_common common;
	struct ioasid_get_info info;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_set_spid set_spid;
	struct ioasid_clear_spid clear_spid;
	struct ioasid_find_spid find_spid;
	struct ioasid_query query;
	struct ioasid_map map;
	struct ioasid_unmap unmap;
	struct ioasid_get_iova_ranges ranges;
	struct ioasid_bind_pgtable bind;
	struct ioasid_unbind_pgtable unbind;
	struct ioasid_invalidate invalidate;
};

/* ioasid-file.c */
int ioasid_copy_args(const struct ioasid_args_layout *layout, void __user *uptr,
		     void *args, u32 *size);
int ioasid_copy_out(const struct ioasid_args_layout *layout, void __user *uptr,
		    u32 size, const void *args);
struct ioasid_user *ioasid_user_of(struct file *file);
int ioasid_user_get(struct ioasid_user *user, ioasid_t id);

/* ioasid-events.c */
void ioasid_events_init(struct ioasid_user *user);
void ioasid_events_free(struct ioasid_user *user);
int ioasid_events_make_room(struct ioasid_user *user);
void ioasid_events_add(struct ioasid_user *user, struct ioasid_user_id *event);
void ioasid_events_add_fault(struct ioasid_user *user, ioasid_t id,
			     const u64 *cookie,
			     const struct iommu_pasid_fault *fault,
			     u32 fault_flags);
void ioasid_events_set_cookie(struct ioasid_user *user, u64 *cookie, u64 value);
struct ioasid_user_id *ioasid_events_alloc_detached(ioasid_t id, u64 cookie);
void ioasid_events_add_detached(struct ioasid_user *user,
				struct ioasid_user_id **detached);
void ioasid_events_free_detached(struct ioasid_user_id *detached);
ssize_t ioasid_user_read(struct file *file, char __user *buf, size_t count,
			 loff_t *ppos);
__poll_t ioasid_user_poll(struct file *file, poll_table *wait);

#ifdef CONFIG_IOASID_USER_TABLES
/* ioasid-ioas.c */
void ioasid_ioas_init(void);
void ioasid_ioas_exit(void);
void ioasid_ioas_info(struct ioasid_get_info *info);
struct ioasid_ioas *ioasid_ioas_alloc(struct ioasid_user *user,
				      const struct ioasid_alloc *alloc);
int ioasid_ioas_publish(struct ioasid_user *user, ioasid_t id,
			struct ioasid_ioas *ioas);
struct ioasid_ioas *ioasid_ioas_find(struct ioasid_user *user, ioasid_t id);
int ioasid_ioas_get(struct ioasid_user *user, ioasid_t id, bool keep_id,
		    struct ioasid_ioas **ioas);
int ioasid_ioas_begin_free(struct ioasid_ioas *ioas);
void ioasid_ioas_abort_free(struct ioasid_ioas *ioas);
bool ioasid_ioas_is(struct ioasid_user *user, ioasid_t id,
		    struct ioasid_ioas *ioas);
void ioasid_ioas_end(struct ioasid_user *user, ioasid_t id,
		     struct ioasid_ioas *ioas);
void ioasid_ioas_discard(struct ioasid_user *user, ioasid_t id);
void ioasid_ioas_end_all(struct ioasid_user *user);
void ioasid_ioas_put(struct ioasid_ioas *ioas);
void ioasid_ioas_totals(struct ioasid_user *user, u64 *mapped, u32 *attached);
int ioasid_user_map(struct ioasid_user *user, union ioasid_user_args *args,
		    void **data);
void ioasid_user_map_done(struct ioasid_user *user,
			  union ioasid_user_args *args, void *data, int err);
int ioasid_user_unmap(struct ioasid_user *user, union ioasid_user_args *args,
		      void **data);
int ioasid_user_get_iova_ranges(struct ioasid_user *user,
				union ioasid_user_args *args, void **data);

/* ioasid-pgtable.c */
int ioasid_user_bind_pgtable(struct ioasid_user *user,
			     union ioasid_user_args *args, void **data);
int ioasid_user_unbind_pgtable(struct ioasid_user *user,
			       union ioasid_user_args *args, void **data);
int ioasid_user_invalidate(struct ioasid_user *user,
			   union ioasid_user_args *args, void **data);

/* ioasid-pin.c */
int ioasid_pin_init(void);
void ioasid_pin_exit(void);
#else
static inline int ioasid_pin_init(void)
{
	return 0;
}

static inline void ioasid_pin_exit(void)
{
}

static inline void ioasid_ioas_init(void)
{
}

static inline void ioasid_ioas_exit(void)
{
}

static inline void ioasid_ioas_info(struct ioasid_get_info *info)
{
	info->out_page_sizes = 0;
	info->out_iova_last = 0;
	info->out_formats = 0;
	info->out_features = 0;
}

static inline struct ioasid_ioas *
ioasid_ioas_alloc(struct ioasid_user *user, const struct ioasid_alloc *alloc)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline int ioasid_ioas_publish(struct ioasid_user *user, ioasid_t id,
				      struct ioasid_ioas *ioas)
{
	return 0;
}

static inline struct ioasid_ioas *ioasid_ioas_find(struct ioasid_user *user,
						   ioasid_t id)
{
	return NULL;
}

static inline int ioasid_ioas_begin_free(struct ioasid_ioas *ioas)
{
	return 0;
}

static inline void ioasid_ioas_abort_free(struct ioasid_ioas *ioas)
{
}

static inline bool ioasid_ioas_is(struct ioasid_user *user, ioasid_t id,
				  struct ioasid_ioas *ioas)
{
	return true;
}

static inline void ioasid_ioas_end(struct ioasid_user *user, ioasid_t id,
				   struct ioasid_ioas *ioas)
{
}

static inline void ioasid_ioas_discard(struct ioasid_user *user, ioasid_t id)
{
}

static inline void ioasid_ioas_end_all(struct ioasid_user *user)
{
}

static inline void ioasid_ioas_put(struct ioasid_ioas *ioas)
{
}

static inline void ioasid_ioas_totals(struct ioasid_user *user, u64 *mapped,
				      u32 *attached)
{
	*mapped = 0;
	*attached = 0;
}
#endif

#endif /* __IOASID_USER_H */
