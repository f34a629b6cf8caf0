/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O address spaces of /dev/ioasid: an IOASID of another type than NONE, and what is
 * mapped in it
 */
#ifndef __IOASID_IOAS_H
#define __IOASID_IOAS_H

#include <linux/ioasid-types.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct device;
struct ioasid_alloc;
struct ioasid_user;
struct iommu_domain;
struct mm_struct;

/**
 * struct ioasid_mapping - what one MAP has mapped
 * @node: in maps of struct ioasid_ioas, by @iova
 * @iova: first address for devices
 * @last: and the last one
 * @gap: bytes before @iova that are not mapped
 * @widest: the largest @gap in the subtree of @node
 * @uncharge: when it is in no tree any more
 * @mm: of who called MAP, once its locked_vm is charged. Its struct is held only
 * @pages: of 4 KiB, that are charged
 * @prot: IOMMU_READ, IOMMU_WRITE
 */
struct ioasid_mapping {
	union {
		struct {
			struct rb_node node;
			u64 iova;
			u64 last;
			u64 gap;
			u64 widest;
		};
		struct work_struct uncharge;
	};
	struct mm_struct *mm;
	unsigned long pages;
	int prot;
};

/**
 * struct ioasid_reserved - addresses that no mapping may have
 * @link: in reserved of struct ioasid_ioas
 * @dev: the attached device whose they are
 * @iova: the first one
 * @last: and the last one
 */
struct ioasid_reserved {
	struct list_head link;
	struct device *dev;
	u64 iova;
	u64 last;
};

/**
 * struct ioasid_ioas - an I/O address space
 * @refs: one of the file that has it, one of each command and attachment
 * @rcu: for freeing, as commands find it under RCU
 * @spaces: in the list that debugfs shows
 * @id: the IOASID, for debugfs; 0 as long as there is none
 * @type: enum ioasid_type
 * @nests: it can be a parent
 * @width: of addresses, in bits, with a @parent
 * @parent: of a page table of the user, with a reference; NULL for other types
 * @domain: its page table; with a @parent NULL unless one is bound, under @attach_lock
 * @map_mutex: held from the beginning of a MAP, UNMAP or FREE to its end, which may
 *	       take as long as user memory takes to be there; protects the page table,
 *	       @buffer and mappings as such. Never waited for with a driver's lock held
 * @buffer: a page for who holds @map_mutex, once there was a MAP
 * @lock: protects @maps, @nr_maps, @mapped, @reserved. Inside of @map_mutex; short
 * @maps: struct ioasid_mapping, disjoint
 * @nr_maps: how many
 * @mapped: bytes that they have
 * @reserved: struct ioasid_reserved, in no order; none overlaps a mapping
 * @attach_lock: serialises attaching and binding with the end of the address space;
 *		 protects @dead, @passages and @children. Outside of @lock
 * @dead: it is being freed: there will be no new mapping and no new attachment
 * @passages: struct ioasid_passage, one for each device it is attached to
 * @children: those that are bound on top of it
 * @of_parent: in children of @parent, under its attach_lock
 * @attached: struct ioasid_attachment, under ioasid_attachments_lock
 * @nr_attached: how many
 *
 * Locks are taken in this order: @map_mutex, @attach_lock, that of the parent, @lock.
 */
struct ioasid_ioas {
	refcount_t refs;
	struct rcu_head rcu;
	struct list_head spaces;
	ioasid_t id;
	u8 type;
	bool nests;
	u8 width;
	struct ioasid_ioas *parent;
	struct iommu_domain *domain;
	/* MAP, UNMAP, FREE: the page table, buffer, mappings */
	struct mutex map_mutex;
	void *buffer;
	/* What is between here and attach_lock */
	struct mutex lock;
	struct rb_root maps;
	u32 nr_maps;
	u64 mapped;
	struct list_head reserved;
	/* dead, passages, children, and what is bound */
	struct mutex attach_lock;
	bool dead;
	struct list_head passages;
	struct list_head children;
	struct list_head of_parent;
	struct list_head attached;
	unsigned int nr_attached;
};

/* ioasid-ioas.c */
void ioasid_ioas_put(struct ioasid_ioas *ioas);
int ioasid_ioas_reserve(struct ioasid_ioas *ioas, struct device *dev);
void ioasid_ioas_unreserve(struct ioasid_ioas *ioas, struct device *dev);

/* ioasid-maps.c */
struct ioasid_mapping *ioasid_maps_first(struct ioasid_ioas *ioas, u64 iova);
struct ioasid_mapping *ioasid_maps_next(struct ioasid_mapping *map);
void ioasid_maps_insert(struct ioasid_ioas *ioas, struct ioasid_mapping *map);
void ioasid_maps_remove(struct ioasid_ioas *ioas, struct ioasid_mapping *map);
int ioasid_maps_find_gap(struct ioasid_ioas *ioas, unsigned long va, u64 length,
			 u64 *iova);
struct ioasid_reserved *ioasid_reserved_in(struct ioasid_ioas *ioas, u64 iova,
					   u64 last);

/* ioasid-pin.c */
int ioasid_pin_map(struct ioasid_ioas *ioas, struct ioasid_mapping *map,
		   unsigned long va);
void ioasid_unmap_unpin(struct ioasid_ioas *ioas, struct ioasid_mapping *map);
void ioasid_pin_free(struct ioasid_mapping *map);

/* ioasid-pgtable.c */
int ioasid_pgtable_init(struct ioasid_ioas *ioas, struct ioasid_user *user,
			const struct ioasid_alloc *alloc);
int ioasid_pgtable_unbind(struct ioasid_ioas *ioas);
void ioasid_pgtable_unbind_children(struct ioasid_ioas *parent);

/* ioasid-attach.c */
int ioasid_ioas_open_passages(struct ioasid_ioas *ioas);
void ioasid_ioas_close_passages(struct ioasid_ioas *ioas);
void ioasid_ioas_detach_all(struct ioasid_ioas *ioas);
unsigned int ioasid_ioas_attachments(struct ioasid_ioas *ioas);

/* ioasid-ioas-debugfs.c */
#ifdef CONFIG_DEBUG_FS
void ioasid_ioas_list(struct ioasid_ioas *ioas);
void ioasid_ioas_unlist(struct ioasid_ioas *ioas);
void ioasid_ioas_debugfs_init(void);
void ioasid_ioas_debugfs_exit(void);
#else
static inline void ioasid_ioas_list(struct ioasid_ioas *ioas)
{
}

static inline void ioasid_ioas_unlist(struct ioasid_ioas *ioas)
{
}

static inline void ioasid_ioas_debugfs_init(void)
{
}

static inline void ioasid_ioas_debugfs_exit(void)
{
}
#endif

#endif /* __IOASID_IOAS_H */
