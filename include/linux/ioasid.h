/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IOASID core: sets, references, states, private ids and notifiers
 *
 * For drivers. A header that needs no more than ioasid_t includes
 * linux/ioasid-types.h.
 *
 * Documentation/driver-api/ioasid.rst explains the words used below.
 */
#ifndef __LINUX_IOASID_H
#define __LINUX_IOASID_H

#include <linux/err.h>
#include <linux/ioasid-types.h>
#include <linux/list.h>

struct ioasid_set;
struct mm_struct;
struct notifier_block;
struct work_struct;

/* PASIDs have 20 bits (PCIe r6.0, 6.20), whatever an IOMMU supports of them */
#define IOASID_MAX		((1U << 20) - 1)

/*
 * 0 tags requests without PASID on VT-d, 1 is for in-kernel DMA. ioasid_alloc()
 * never allocates either.
 */
#define IOASID_DMA_PASID	1
#define IOASID_ALLOC_BASE	2

/**
 * enum ioasid_set_type - what the token of a set is
 * @IOASID_SET_TYPE_NULL: the kernel's own set, no token
 * @IOASID_SET_TYPE_MM: a set of a user, the token is its struct mm_struct
 */
enum ioasid_set_type {
	IOASID_SET_TYPE_NULL,
	IOASID_SET_TYPE_MM,
};

/**
 * enum ioasid_notify_event - events of an IOASID
 * @IOASID_NOTIFY_ALLOC: the id was allocated and can be found
 * @IOASID_NOTIFY_FREE: the id is being freed: stop using it, then drop all
 *			references to it, here or from ioasid_queue_work().
 *			Comes once for every id and implies
 *			@IOASID_NOTIFY_UNBIND.
 * @IOASID_NOTIFY_BIND: an SPID was attached
 * @IOASID_NOTIFY_UNBIND: the SPID was detached
 *
 * A new event starts here: ioasid_emit() delivers it, the comment at the top of
 * ioasid.c says when; the test client and the tests in user space print each by
 * name.
 */
enum ioasid_notify_event {
	IOASID_NOTIFY_ALLOC = 1,
	IOASID_NOTIFY_FREE,
	IOASID_NOTIFY_BIND,
	IOASID_NOTIFY_UNBIND,
};

/**
 * enum ioasid_notifier_prio - order of the subscribers within one chain
 * @IOASID_PRIO_LAST: subscribers that only watch
 * @IOASID_PRIO_DEVICE: drivers of devices
 * @IOASID_PRIO_IOMMU: IOMMU drivers
 * @IOASID_PRIO_CPU: PASID translation tables of virtual CPUs, notified first
 *		     so that a guest stops issuing an id before the IOMMU forgets it
 */
enum ioasid_notifier_prio {
	IOASID_PRIO_LAST,
	IOASID_PRIO_DEVICE,
	IOASID_PRIO_IOMMU,
	IOASID_PRIO_CPU,
};

/**
 * struct ioasid_nb_args - what a notifier is called with
 * @id: the IOASID
 * @spid: its SPID, %INVALID_IOASID when it has none
 * @set: the set that owns the id
 * @pdata: private data of the id, under RCU. Only the owner of @set knows its
 *	   type.
 */
struct ioasid_nb_args {
	ioasid_t id;
	ioasid_t spid;
	struct ioasid_set *set;
	void *pdata;
};

/**
 * struct ioasid_set_watch - who wants to know when ids of a set are released
 * @released: called once for an id, when its number can be allocated again and
 *	      nothing is charged for it any more. The number may have been
 *	      allocated again by then: @private, the private data, says which id
 *	      it was. Called under RCU in any context but NMI.
 */
struct ioasid_set_watch {
	void (*released)(struct ioasid_set_watch *watch, ioasid_t id, void *private);
};

typedef ioasid_t (*ioasid_alloc_fn_t)(ioasid_t min, ioasid_t max, void *data);
typedef void (*ioasid_free_fn_t)(ioasid_t ioasid, void *data);

/**
 * struct ioasid_allocator_ops - a custom allocator
 * @alloc: returns an id in [min, max] or %INVALID_IOASID. Called with
 *	   interrupts disabled and the lock of all ids held: must not sleep, nor
 *	   allocate, free, get or put an id.
 * @free: takes an id back. Called as @alloc.
 * @list: the core's list of allocators
 * @pdata: handed to @alloc and @free
 */
struct ioasid_allocator_ops {
	ioasid_alloc_fn_t alloc;
	ioasid_free_fn_t free;
	struct list_head list;
	void *pdata;
};

#ifdef CONFIG_IOASID

void ioasid_install_capacity(u32 total);
u32 ioasid_get_capacity(void);
ioasid_t ioasid_get_max(void);
u32 ioasid_get_users_limit(void);

struct ioasid_set *ioasid_set_alloc(void *token, u32 quota,
				    enum ioasid_set_type type);
struct ioasid_set *ioasid_set_get(struct ioasid_set *set);
void ioasid_set_put(struct ioasid_set *set);
void ioasid_set_free(struct ioasid_set *set);
bool ioasid_set_is_empty(struct ioasid_set *set);
int ioasid_set_adjust_quota(struct ioasid_set *set, u32 quota);
int ioasid_set_for_each_ioasid(struct ioasid_set *set,
			       int (*fn)(ioasid_t id, void *data), void *data);
void ioasid_set_free_all(struct ioasid_set *set);
void ioasid_set_watch_released(struct ioasid_set *set,
			       struct ioasid_set_watch *watch);

int ioasid_alloc(struct ioasid_set *set, ioasid_t min, ioasid_t max,
		 void *private, ioasid_t *id);
bool ioasid_free(struct ioasid_set *set, ioasid_t id);
int ioasid_get(struct ioasid_set *set, ioasid_t id);
int ioasid_get_if_owned(ioasid_t id);
bool ioasid_put(struct ioasid_set *set, ioasid_t id);
int ioasid_use(struct ioasid_set *set, ioasid_t id);
bool ioasid_unuse(struct ioasid_set *set, ioasid_t id);
void *ioasid_find(struct ioasid_set *set, ioasid_t id, bool (*getter)(void *));
struct ioasid_set *ioasid_find_set(ioasid_t id);
int ioasid_attach_data(ioasid_t id, void *data);
int ioasid_detach_data(ioasid_t id);

int ioasid_attach_spid(ioasid_t id, ioasid_t spid);
int ioasid_detach_spid(ioasid_t id);
ioasid_t ioasid_spid_of(ioasid_t id);
ioasid_t ioasid_find_by_spid(struct ioasid_set *set, ioasid_t spid, bool get);

int ioasid_register_notifier(struct ioasid_set *set, struct notifier_block *nb);
void ioasid_unregister_notifier(struct ioasid_set *set,
				struct notifier_block *nb);
int ioasid_register_notifier_in_use(struct notifier_block *nb);
void ioasid_unregister_notifier_in_use(struct notifier_block *nb);
int ioasid_register_notifier_mm(struct mm_struct *mm,
				struct notifier_block *nb);
void ioasid_unregister_notifier_mm(struct mm_struct *mm,
				   struct notifier_block *nb);
int ioasid_register_notifier_file(struct ioasid_set *set,
				  struct notifier_block *nb);
void ioasid_unregister_notifier_file(struct ioasid_set *set,
				     struct notifier_block *nb);
int ioasid_wait_events(struct ioasid_set *set, ioasid_t id);
bool ioasid_queue_work(struct work_struct *work);

bool ioasid_has_allocator(void);
int ioasid_register_allocator(struct ioasid_allocator_ops *ops);
void ioasid_unregister_allocator(struct ioasid_allocator_ops *ops);

#else /* !CONFIG_IOASID */

static inline void ioasid_install_capacity(u32 total)
{
}

static inline u32 ioasid_get_capacity(void)
{
	return 0;
}

static inline ioasid_t ioasid_get_max(void)
{
	return 0;
}

static inline u32 ioasid_get_users_limit(void)
{
	return 0;
}

static inline struct ioasid_set *
ioasid_set_alloc(void *token, u32 quota, enum ioasid_set_type type)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline struct ioasid_set *ioasid_set_get(struct ioasid_set *set)
{
	return set;
}

static inline void ioasid_set_put(struct ioasid_set *set)
{
}

static inline void ioasid_set_free(struct ioasid_set *set)
{
}

static inline bool ioasid_set_is_empty(struct ioasid_set *set)
{
	return true;
}

static inline int ioasid_set_adjust_quota(struct ioasid_set *set, u32 quota)
{
	return -EOPNOTSUPP;
}

static inline int
ioasid_set_for_each_ioasid(struct ioasid_set *set,
			   int (*fn)(ioasid_t id, void *data), void *data)
{
	return 0;
}

static inline void ioasid_set_free_all(struct ioasid_set *set)
{
}

static inline void ioasid_set_watch_released(struct ioasid_set *set,
					     struct ioasid_set_watch *watch)
{
}

static inline int ioasid_alloc(struct ioasid_set *set, ioasid_t min,
			       ioasid_t max, void *private, ioasid_t *id)
{
	return -EOPNOTSUPP;
}

static inline bool ioasid_free(struct ioasid_set *set, ioasid_t id)
{
	return true;
}

static inline int ioasid_get(struct ioasid_set *set, ioasid_t id)
{
	return -EOPNOTSUPP;
}

static inline int ioasid_get_if_owned(ioasid_t id)
{
	return -EOPNOTSUPP;
}

static inline bool ioasid_put(struct ioasid_set *set, ioasid_t id)
{
	return false;
}

static inline int ioasid_use(struct ioasid_set *set, ioasid_t id)
{
	return -EOPNOTSUPP;
}

static inline bool ioasid_unuse(struct ioasid_set *set, ioasid_t id)
{
	return false;
}

static inline void *ioasid_find(struct ioasid_set *set, ioasid_t id,
				bool (*getter)(void *))
{
	return ERR_PTR(-ENOENT);
}

static inline struct ioasid_set *ioasid_find_set(ioasid_t id)
{
	return ERR_PTR(-ENOENT);
}

static inline int ioasid_attach_data(ioasid_t id, void *data)
{
	return -EOPNOTSUPP;
}

static inline int ioasid_detach_data(ioasid_t id)
{
	return -EOPNOTSUPP;
}

static inline int ioasid_attach_spid(ioasid_t id, ioasid_t spid)
{
	return -EOPNOTSUPP;
}

static inline int ioasid_detach_spid(ioasid_t id)
{
	return -EOPNOTSUPP;
}

static inline ioasid_t ioasid_spid_of(ioasid_t id)
{
	return INVALID_IOASID;
}

static inline ioasid_t ioasid_find_by_spid(struct ioasid_set *set,
					   ioasid_t spid, bool get)
{
	return INVALID_IOASID;
}

static inline int ioasid_register_notifier(struct ioasid_set *set,
					   struct notifier_block *nb)
{
	return -EOPNOTSUPP;
}

static inline void ioasid_unregister_notifier(struct ioasid_set *set,
					      struct notifier_block *nb)
{
}

static inline int ioasid_register_notifier_in_use(struct notifier_block *nb)
{
	return -EOPNOTSUPP;
}

static inline void ioasid_unregister_notifier_in_use(struct notifier_block *nb)
{
}

static inline int ioasid_register_notifier_mm(struct mm_struct *mm,
					      struct notifier_block *nb)
{
	return -EOPNOTSUPP;
}

static inline void ioasid_unregister_notifier_mm(struct mm_struct *mm,
						 struct notifier_block *nb)
{
}

static inline int ioasid_register_notifier_file(struct ioasid_set *set,
						struct notifier_block *nb)
{
	return -EOPNOTSUPP;
}

static inline void ioasid_unregister_notifier_file(struct ioasid_set *set,
						   struct notifier_block *nb)
{
}

static inline int ioasid_wait_events(struct ioasid_set *set, ioasid_t id)
{
	return 0;
}

static inline bool ioasid_queue_work(struct work_struct *work)
{
	return false;
}

static inline bool ioasid_has_allocator(void)
{
	return false;
}

static inline int ioasid_register_allocator(struct ioasid_allocator_ops *ops)
{
	return -EOPNOTSUPP;
}

static inline void ioasid_unregister_allocator(struct ioasid_allocator_ops *ops)
{
}

#endif /* CONFIG_IOASID */

#if defined(CONFIG_IOASID) && defined(CONFIG_CGROUP_MISC)
u32 ioasid_current_charge(void);
#else
static inline u32 ioasid_current_charge(void)
{
	return 0;
}
#endif

#if IS_REACHABLE(CONFIG_IOASID_USER)
struct ioasid_set *ioasid_file_get(int fd);
#else
static inline struct ioasid_set *ioasid_file_get(int fd)
{
	return ERR_PTR(-EBADF);
}
#endif

#endif /* __LINUX_IOASID_H */
