// SPDX-License-Identifier: GPL-2.0
/*
 * I/O address spaces of /dev/ioasid: IOASIDs of another type than NONE
 *
 * One of type IOVA is a page table, which is complete when the IOASID is allocated: what
 * is mapped does not depend on whether, and to what, it is attached.
 *
 * Locks are described at struct ioasid_ioas. ALLOC, FREE and the last close make and
 * end an address space; commands in between find it under RCU and hold a reference.
 * One that has found it meets @dead when the end comes first.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <linux/iommu.h>
#include <linux/ioasid.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioasid-ioas.h"
#include "ioasid-user.h"
#include "iommu-sva-domain.h"
#include "iommu-user.h"

/* As many as VFIO type1 lets a container have, unless told otherwise */
#define IOASID_IOAS_MAPS	U16_MAX

/* What the domain that was made last can have: GET_INFO needs no memory */
static u64 ioasid_page_sizes, ioasid_iova_last;
static u32 ioasid_features;

static void ioasid_ioas_learn(const struct iommu_domain *domain)
{
	WRITE_ONCE(ioasid_page_sizes, domain->pgsize_bitmap);
	WRITE_ONCE(ioasid_iova_last, domain->geometry.aperture_end);
}

/**
 * ioasid_ioas_init - find out whether this machine can have address spaces
 */
void __init ioasid_ioas_init(void)
{
	struct iommu_domain *domain = iommu_domain_alloc_user(0);

	ioasid_ioas_debugfs_init();
	if (IS_ERR(domain))
		return;
	ioasid_ioas_learn(domain);
	iommu_domain_free(domain);
	domain = iommu_domain_alloc_user(IOMMU_USER_NEST_PARENT);
	if (IS_ERR(domain))
		return;
	ioasid_features |= IOASID_FEATURE_NEST_PARENT;
	iommu_domain_free(domain);
}

/**
 * ioasid_ioas_exit - undo ioasid_ioas_init()
 */
void ioasid_ioas_exit(void)
{
	ioasid_ioas_debugfs_exit();
}

/**
 * ioasid_ioas_info - what an address space of this machine can have
 * @info: out_types gets the types that have a page table; the members about page
 *	  tables are set, to 0 if there are none
 *
 * Context: Any.
 */
void ioasid_ioas_info(struct ioasid_get_info *info)
{
	info->out_page_sizes = READ_ONCE(ioasid_page_sizes);
	info->out_iova_last = READ_ONCE(ioasid_iova_last);
	info->out_features = ioasid_features;
	info->out_formats = 0;
	if (ioasid_features & IOASID_FEATURE_NEST_PARENT) {
		info->out_types |= BIT(IOASID_TYPE_PGTABLE);
		info->out_formats |= BIT(IOASID_FORMAT_VTD_S1);
	}
	if (info->out_page_sizes)
		info->out_types |= BIT(IOASID_TYPE_IOVA);
	if (iommu_has_sva_domains())
		info->out_types |= BIT(IOASID_TYPE_SVA);
}

/* Sets what is of its type; the rest is as that of a new one */
static int ioasid_ioas_init_type(struct ioasid_ioas *ioas,
				 struct ioasid_user *user,
				 const struct ioasid_alloc *alloc)
{
	struct iommu_domain *domain;
	u32 flags = 0;

	ioas->type = alloc->type;
	if (alloc->type == IOASID_TYPE_PGTABLE)
		return ioasid_pgtable_init(ioas, user, alloc);
	if (alloc->flags & IOASID_ALLOC_NEST_PARENT)
		flags |= IOMMU_USER_NEST_PARENT;
	if (alloc->type == IOASID_TYPE_SVA)
		domain = iommu_domain_alloc_sva();
	else
		domain = iommu_domain_alloc_user(flags);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ioas->domain = domain;
	ioas->nests = flags;
	if (alloc->type == IOASID_TYPE_IOVA)
		ioasid_ioas_learn(domain);
	return 0;
}

/**
 * ioasid_ioas_alloc - make an address space
 * @user: the file
 * @alloc: of which type. IOASID_TYPE_IOVA: one in which nothing is mapped;
 *	   IOASID_TYPE_SVA: that of the current process; IOASID_TYPE_PGTABLE: one to
 *	   which a page table of the user can be bound
 *
 * Context: Process context, may sleep, for SVA also for the mmap_lock of the process.
 * Memory is charged to the caller's cgroup.
 * Return: it, with a reference; or an ERR_PTR(): -EOPNOTSUPP when the machine cannot
 * have one; for SVA, -ENOSPC when the process has many, and -EINTR; for PGTABLE, what
 * ioasid_pgtable_init() says; -ENOMEM.
 */
struct ioasid_ioas *ioasid_ioas_alloc(struct ioasid_user *user,
				      const struct ioasid_alloc *alloc)
{
	struct ioasid_ioas *ioas;
	int ret;

	ioas = kzalloc(sizeof(*ioas), GFP_KERNEL_ACCOUNT);
	if (!ioas)
		return ERR_PTR(-ENOMEM);
	ret = ioasid_ioas_init_type(ioas, user, alloc);
	if (ret) {
		kfree(ioas);
		return ERR_PTR(ret);
	}
	refcount_set(&ioas->refs, 1);
	mutex_init(&ioas->map_mutex);
	mutex_init(&ioas->lock);
	mutex_init(&ioas->attach_lock);
	ioas->maps = RB_ROOT;
	INIT_LIST_HEAD(&ioas->reserved);
	INIT_LIST_HEAD(&ioas->passages);
	INIT_LIST_HEAD(&ioas->children);
	INIT_LIST_HEAD(&ioas->attached);
	ioasid_ioas_list(ioas);
	return ioas;
}

/**
 * ioasid_ioas_put - drop a reference
 * @ioas: the address space, or NULL
 *
 * With the last one it goes: nothing is mapped then, and nothing attached.
 *
 * Context: Process context, may sleep.
 */
void ioasid_ioas_put(struct ioasid_ioas *ioas)
{
	if (!ioas || !refcount_dec_and_test(&ioas->refs))
		return;
	ioasid_ioas_unlist(ioas);
	/* What was bound is not bound any more */
	if (ioas->domain)
		iommu_domain_free(ioas->domain);
	ioasid_ioas_put(ioas->parent);
	free_page((unsigned long)ioas->buffer);
	mutex_destroy(&ioas->map_mutex);
	mutex_destroy(&ioas->lock);
	mutex_destroy(&ioas->attach_lock);
	kfree_rcu(ioas, rcu);
}

/**
 * ioasid_ioas_find - find the address space of an IOASID
 * @user: the file
 * @id: the IOASID
 *
 * Return: it, with a reference; NULL when there is none.
 */
struct ioasid_ioas *ioasid_ioas_find(struct ioasid_user *user, ioasid_t id)
{
	struct ioasid_ioas *ioas;

	rcu_read_lock();
	ioas = xa_load(&user->spaces, id);
	if (ioas && !refcount_inc_not_zero(&ioas->refs))
		ioas = NULL;
	rcu_read_unlock();
	return ioas;
}

/**
 * ioasid_ioas_is - is this the address space of an IOASID?
 * @user: the file, its mutex held
 * @id: the IOASID
 * @ioas: what ioasid_ioas_find() said, NULL included
 *
 * The number may have been freed, and allocated again, since.
 */
bool ioasid_ioas_is(struct ioasid_user *user, ioasid_t id,
		    struct ioasid_ioas *ioas)
{
	return xa_load(&user->spaces, id) == ioas;
}

/**
 * ioasid_ioas_begin_free - wait for commands that use an address space
 * @ioas: the address space, or NULL
 *
 * ioasid_ioas_end() or ioasid_ioas_abort_free() has to follow.
 *
 * Context: Process context, may sleep. Takes map_mutex, and keeps it.
 * Return: 0; -EINTR for a fatal signal.
 */
int ioasid_ioas_begin_free(struct ioasid_ioas *ioas)
{
	return ioas ? mutex_lock_killable(&ioas->map_mutex) : 0;
}

/**
 * ioasid_ioas_abort_free - undo ioasid_ioas_begin_free()
 * @ioas: the address space, or NULL
 */
void ioasid_ioas_abort_free(struct ioasid_ioas *ioas)
{
	if (ioas)
		mutex_unlock(&ioas->map_mutex);
}

/* Addresses that requests with PASID cannot be translated at; 0, or -ENOMEM */
static int ioasid_reserved_of(struct device *dev, struct list_head *list)
{
	struct iommu_resv_region *region;
	struct ioasid_reserved *reserved;
	LIST_HEAD(regions);
	bool has_msi = false;
	int ret = 0;

	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		has_msi |= region->type == IOMMU_RESV_MSI;
		/* What firmware has mapped is for requests without PASID. */
		if (region->type == IOMMU_RESV_DIRECT ||
		    region->type == IOMMU_RESV_DIRECT_RELAXABLE)
			continue;
		reserved = kzalloc(sizeof(*reserved), GFP_KERNEL_ACCOUNT);
		if (!reserved) {
			ret = -ENOMEM;
			break;
		}
		reserved->dev = dev;
		reserved->iova = region->start;
		reserved->last = region->start + region->length - 1;
		list_add_tail(&reserved->link, list);
	}
	iommu_put_resv_regions(dev, &regions);
	/*
	 * Nobody says that memory for them was short. Where interrupts go is the last
	 * one that an IOMMU with PASIDs adds.
	 */
	return ret ?: has_msi ? 0 : -ENOMEM;
}

static void ioasid_reserved_free(struct list_head *list)
{
	struct ioasid_reserved *reserved, *next;

	list_for_each_entry_safe(reserved, next, list, link)
		kfree(reserved);
}

/**
 * ioasid_ioas_reserve - keep mappings from what is reserved for a device
 * @ioas: the address space, its attach_lock held
 * @dev: the device
 *
 * Return: 0; -EADDRINUSE when there is a mapping; -ENOMEM.
 */
int ioasid_ioas_reserve(struct ioasid_ioas *ioas, struct device *dev)
{
	struct ioasid_reserved *reserved;
	struct ioasid_mapping *map;
	LIST_HEAD(list);
	int ret;

	/* In others MAP maps nothing */
	if (ioas->type != IOASID_TYPE_IOVA)
		return 0;
	ret = ioasid_reserved_of(dev, &list);
	mutex_lock(&ioas->lock);
	list_for_each_entry(reserved, &list, link) {
		map = ioasid_maps_first(ioas, reserved->iova);
		if (!ret && map && map->iova <= reserved->last)
			ret = -EADDRINUSE;
	}
	if (!ret)
		list_splice_tail_init(&list, &ioas->reserved);
	mutex_unlock(&ioas->lock);
	ioasid_reserved_free(&list);
	return ret;
}

/**
 * ioasid_ioas_unreserve - undo ioasid_ioas_reserve()
 * @ioas: the address space
 * @dev: the device
 */
void ioasid_ioas_unreserve(struct ioasid_ioas *ioas, struct device *dev)
{
	struct ioasid_reserved *reserved, *next;
	LIST_HEAD(list);

	mutex_lock(&ioas->lock);
	list_for_each_entry_safe(reserved, next, &ioas->reserved, link)
		if (reserved->dev == dev)
			list_move(&reserved->link, &list);
	mutex_unlock(&ioas->lock);
	ioasid_reserved_free(&list);
}

static void ioasid_ioas_remove(struct ioasid_ioas *ioas,
			       struct ioasid_mapping *map)
{
	ioasid_unmap_unpin(ioas, map);
	mutex_lock(&ioas->lock);
	ioasid_maps_remove(ioas, map);
	mutex_unlock(&ioas->lock);
	ioasid_pin_free(map);
}

/**
 * ioasid_ioas_end - end an address space
 * @user: the file
 * @id: the IOASID that it is found by
 * @ioas: the address space, or NULL; with map_mutex as ioasid_ioas_begin_free() left it
 *
 * Detaches it from all devices, unmaps everything, and drops the reference of the
 * file, if it has it still. The caller keeps its own.
 *
 * Context: Process context, may sleep. Drops map_mutex.
 */
void ioasid_ioas_end(struct ioasid_user *user, ioasid_t id,
		     struct ioasid_ioas *ioas)
{
	struct ioasid_mapping *map;
	bool found;

	if (!ioas)
		return;
	mutex_lock(&ioas->attach_lock);
	ioas->dead = true;
	mutex_unlock(&ioas->attach_lock);
	ioasid_pgtable_unbind_children(ioas);
	ioasid_ioas_detach_all(ioas);
	ioasid_pgtable_unbind(ioas);
	/* Who detaches it meanwhile finds it, and waits */
	found = xa_cmpxchg(&user->spaces, id, ioas, NULL, 0) == ioas;
	while ((map = ioasid_maps_first(ioas, 0))) {
		ioasid_ioas_remove(ioas, map);
		cond_resched();
	}
	mutex_unlock(&ioas->map_mutex);
	if (found)
		ioasid_ioas_put(ioas);
}

/**
 * ioasid_ioas_discard - end an address space that no command uses
 * @user: the file
 * @id: the IOASID; it may have none
 *
 * Context: Process context, may sleep.
 */
void ioasid_ioas_discard(struct ioasid_user *user, ioasid_t id)
{
	struct ioasid_ioas *ioas = ioasid_ioas_find(user, id);

	if (!ioas)
		return;
	mutex_lock(&ioas->map_mutex);
	ioasid_ioas_end(user, id, ioas);
	ioasid_ioas_put(ioas);
}

/**
 * ioasid_ioas_end_all - end all address spaces of a file that is closed
 * @user: the file, which has no commands any more
 *
 * Context: Process context, may sleep.
 */
void ioasid_ioas_end_all(struct ioasid_user *user)
{
	struct ioasid_ioas *ioas;
	unsigned long id;

	xa_for_each(&user->spaces, id, ioas)
		ioasid_ioas_discard(user, id);
	xa_destroy(&user->spaces);
}

/**
 * ioasid_ioas_publish - let commands find an address space
 * @user: the file
 * @id: its IOASID, which user space does not know yet
 * @ioas: the address space; NULL if the IOASID is to have none
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENOMEM; -EINTR for a fatal signal.
 */
int ioasid_ioas_publish(struct ioasid_user *user, ioasid_t id,
			struct ioasid_ioas *ioas)
{
	struct ioasid_ioas *old = ioasid_ioas_find(user, id);
	int ret;

	/* The kernel has freed the IOASID of that one, or @id would not be new. */
	if (old) {
		ret = ioasid_ioas_begin_free(old);
		if (!ret)
			ioasid_ioas_end(user, id, old);
		ioasid_ioas_put(old);
		if (ret)
			return ret;
	}
	if (!ioas)
		return 0;
	WRITE_ONCE(ioas->id, id);
	return xa_insert(&user->spaces, id, ioas, GFP_KERNEL_ACCOUNT);
}

/**
 * ioasid_ioas_totals - what all address spaces of a file have
 * @user: the file
 * @mapped: set to the number of bytes that are mapped
 * @attached: set to the number of attachments
 *
 * Context: Process context, may sleep.
 */
void ioasid_ioas_totals(struct ioasid_user *user, u64 *mapped, u32 *attached)
{
	struct ioasid_ioas *ioas;
	unsigned long id;

	*mapped = 0;
	*attached = 0;
	xa_for_each(&user->spaces, id, ioas) {
		/* What was found may be gone */
		ioas = ioasid_ioas_find(user, id);
		if (!ioas)
			continue;
		*mapped += READ_ONCE(ioas->mapped);
		*attached += ioasid_ioas_attachments(ioas);
		ioasid_ioas_put(ioas);
		cond_resched();
	}
}

/**
 * ioasid_ioas_get - find the address space of an IOASID that user space has
 * @user: the file
 * @id: the IOASID
 * @keep_id: keep a reference to @id, too, so that it means the same for as long.
 *	     Without, the address space ends with the IOASID that is freed meanwhile
 * @ioas: set to the address space
 *
 * Context: Process context, may sleep. Takes user->mutex.
 * Return: 0, with a reference; -ENOENT when there is no such IOASID; -EBUSY when it is
 * being freed; -EINVAL when it is of another type; -EINTR for a fatal signal.
 */
int ioasid_ioas_get(struct ioasid_user *user, ioasid_t id, bool keep_id,
		    struct ioasid_ioas **ioas)
{
	int ret;

	ret = mutex_lock_killable(&user->mutex);
	if (ret)
		return ret;
	ret = ioasid_user_get(user, id);
	if (!ret) {
		*ioas = ioasid_ioas_find(user, id);
		if (!*ioas)
			ret = -EINVAL;
		/* Before FREE can look whether somebody uses it */
		if (ret || !keep_id)
			ioasid_put(user->set, id);
	}
	mutex_unlock(&user->mutex);
	return ret;
}

/* One with mappings of its own; -EINVAL for other types, too */
static int ioasid_ioas_get_maps(struct ioasid_user *user, ioasid_t id,
				struct ioasid_ioas **ioas)
{
	int ret = ioasid_ioas_get(user, id, false, ioas);

	if (!ret && (*ioas)->type != IOASID_TYPE_IOVA) {
		ioasid_ioas_put(*ioas);
		ret = -EINVAL;
	}
	return ret;
}

/*
 * Find an address space for a command that changes it. Returns with map_mutex held,
 * and a reference; or an error.
 */
static int ioasid_ioas_lock(struct ioasid_user *user, ioasid_t id,
			    struct ioasid_ioas **found)
{
	struct ioasid_ioas *ioas;
	int ret;

	ret = ioasid_ioas_get_maps(user, id, &ioas);
	if (ret)
		return ret;

	ret = mutex_lock_killable(&ioas->map_mutex);
	if (!ret && ioas->dead) {
		mutex_unlock(&ioas->map_mutex);
		ret = -ENOENT;
	}
	if (ret)
		ioasid_ioas_put(ioas);
	else
		*found = ioas;
	return ret;
}

static void ioasid_ioas_unlock(struct ioasid_ioas *ioas)
{
	mutex_unlock(&ioas->map_mutex);
	ioasid_ioas_put(ioas);
}

static int ioasid_check_map(const struct ioasid_map *map)
{
	bool fixed = map->flags & IOASID_MAP_FIXED_IOVA;
	u64 last_va, last;

	if (map->__reserved)
		return -EOPNOTSUPP;
	if (!(map->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE)) || !map->length ||
	    !PAGE_ALIGNED(map->user_va | map->length | map->iova) ||
	    (!fixed && map->iova))
		return -EINVAL;
	if (check_add_overflow(map->user_va, map->length - 1, &last_va) ||
	    (fixed && check_add_overflow(map->iova, map->length - 1, &last)))
		return -EOVERFLOW;
	/* No process has memory there */
	if (last_va >= TASK_SIZE)
		return -EFAULT;
	return 0;
}

/* Choose the addresses, or look whether they are free, and take them */
static int ioasid_ioas_place(struct ioasid_ioas *ioas,
			     struct ioasid_mapping *new,
			     const struct ioasid_map *map)
{
	struct ioasid_mapping *other;
	int ret = 0;

	mutex_lock(&ioas->lock);
	if (ioas->nr_maps == IOASID_IOAS_MAPS) {
		ret = -ENOSPC;
		goto out;
	}
	new->iova = map->iova;
	if (!(map->flags & IOASID_MAP_FIXED_IOVA)) {
		ret = ioasid_maps_find_gap(ioas, map->user_va, map->length,
					   &new->iova);
		if (ret)
			goto out;
	}
	new->last = new->iova + map->length - 1;
	other = ioasid_maps_first(ioas, new->iova);
	if (new->last > ioas->domain->geometry.aperture_end)
		ret = -EINVAL;
	else if (other && other->iova <= new->last)
		ret = -EEXIST;
	else if (ioasid_reserved_in(ioas, new->iova, new->last))
		ret = -EADDRINUSE;
	else
		ioasid_maps_insert(ioas, new);
out:
	mutex_unlock(&ioas->lock);
	return ret;
}

int ioasid_user_map(struct ioasid_user *user, union ioasid_user_args *args,
		    void **data)
{
	struct ioasid_map *map = &args->map;
	struct ioasid_mapping *new;
	struct ioasid_ioas *ioas;
	int ret;

	ret = ioasid_check_map(map);
	if (ret)
		return ret;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	if (map->flags & IOASID_MAP_READ)
		new->prot |= IOMMU_READ;
	if (map->flags & IOASID_MAP_WRITE)
		new->prot |= IOMMU_WRITE;

	ret = ioasid_ioas_lock(user, map->ioasid, &ioas);
	if (ret)
		goto err_free;
	/*
	 * Some IOMMUs note accesses to the top of a page table on top of this one also in
	 * memory that they may only read (Sapphire Rapids, SPR17).
	 */
	ret = ioas->nests && !(map->flags & IOASID_MAP_WRITE) ? -EOPNOTSUPP : 0;
	if (!ret)
		ret = ioasid_ioas_place(ioas, new, map);
	if (ret)
		goto err_unlock;
	/* First it has its place, so that no device comes that has it reserved. */
	ret = ioasid_pin_map(ioas, new, map->user_va);
	if (ret)
		goto err_remove;
	map->out_iova = new->iova;
	*data = ioas;
	return 0;

err_remove:
	mutex_lock(&ioas->lock);
	ioasid_maps_remove(ioas, new);
	mutex_unlock(&ioas->lock);
err_unlock:
	ioasid_ioas_unlock(ioas);
err_free:
	ioasid_pin_free(new);
	return ret;
}

/* User space has been told where it is, or will never know. */
void ioasid_user_map_done(struct ioasid_user *user, union ioasid_user_args *args,
			  void *data, int err)
{
	struct ioasid_ioas *ioas = data;

	if (err)
		ioasid_ioas_remove(ioas,
				   ioasid_maps_first(ioas, args->map.out_iova));
	ioasid_ioas_unlock(ioas);
}

/*
 * Are there mappings from @iova up to @last, and none that is there in part? Sets the
 * first one.
 */
static int ioasid_ioas_check_unmap(struct ioasid_ioas *ioas, u64 iova, u64 last,
				   struct ioasid_mapping **first)
{
	struct ioasid_mapping *map;

	map = ioasid_maps_first(ioas, iova);
	*first = map;
	if (!map || map->iova > last)
		return -ENOENT;
	if (map->iova < iova)
		return -EINVAL;
	map = ioasid_maps_first(ioas, last);
	if (map && map->iova <= last && map->last > last)
		return -EINVAL;
	return 0;
}

int ioasid_user_unmap(struct ioasid_user *user, union ioasid_user_args *args,
		      void **data)
{
	struct ioasid_unmap *unmap = &args->unmap;
	bool all = !unmap->iova && unmap->length == U64_MAX;
	struct ioasid_mapping *map, *next;
	struct ioasid_ioas *ioas;
	u64 last;
	int ret;

	if (unmap->__reserved)
		return -EOPNOTSUPP;
	if (!all && (!unmap->length ||
		     !PAGE_ALIGNED(unmap->iova | unmap->length)))
		return -EINVAL;
	if (check_add_overflow(unmap->iova, unmap->length - 1, &last))
		return -EOVERFLOW;

	ret = ioasid_ioas_lock(user, unmap->ioasid, &ioas);
	if (ret)
		return ret;
	ret = ioasid_ioas_check_unmap(ioas, unmap->iova, last, &map);
	unmap->out_length = 0;
	if (ret == -ENOENT && all)
		ret = 0;
	else if (!ret)
		for (; map && map->iova <= last; map = next) {
			next = ioasid_maps_next(map);
			unmap->out_length += map->last - map->iova + 1;
			ioasid_ioas_remove(ioas, map);
			cond_resched();
		}
	ioasid_ioas_unlock(ioas);
	return ret;
}

/* The first address behind @iova, itself included, that can be mapped; 0 for none */
static u64 ioasid_ioas_next_usable(struct ioasid_ioas *ioas, u64 iova)
{
	struct ioasid_reserved *reserved;

	while ((reserved = ioasid_reserved_in(ioas, iova, iova))) {
		iova = reserved->last + 1;
		if (!iova)
			break;
	}
	return iova;
}

/* The last address of the usable range that begins at @iova */
static u64 ioasid_ioas_usable_end(struct ioasid_ioas *ioas, u64 iova)
{
	u64 last = ioas->domain->geometry.aperture_end;
	struct ioasid_reserved *reserved;

	list_for_each_entry(reserved, &ioas->reserved, link)
		if (reserved->iova > iova)
			last = min(last, reserved->iova - 1);
	return last;
}

int ioasid_user_get_iova_ranges(struct ioasid_user *user,
				union ioasid_user_args *args, void **data)
{
	struct ioasid_get_iova_ranges *get = &args->ranges;
	struct ioasid_iova_range *ranges;
	struct ioasid_ioas *ioas;
	u64 iova, end;
	u32 room;
	int ret;

	if (get->__reserved)
		return -EOPNOTSUPP;
	/* More ranges than this no user has room for, nor have devices */
	room = min_t(u32, get->num, PAGE_SIZE / sizeof(*ranges));
	ranges = kcalloc(room ?: 1, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return -ENOMEM;
	ret = ioasid_ioas_get_maps(user, get->ioasid, &ioas);
	if (ret)
		goto out;
	end = ioas->domain->geometry.aperture_end;
	get->out_alignment = PAGE_SIZE;
	get->out_num = 0;
	mutex_lock(&ioas->lock);
	iova = ioasid_ioas_next_usable(ioas, ioas->domain->geometry.aperture_start);
	while (iova <= end && (iova || !get->out_num)) {
		struct ioasid_iova_range next = {
			.start = iova,
			.last = ioasid_ioas_usable_end(ioas, iova),
		};

		if (get->out_num < room)
			ranges[get->out_num] = next;
		get->out_num++;
		if (next.last >= end)
			break;
		iova = ioasid_ioas_next_usable(ioas, next.last + 1);
	}
	mutex_unlock(&ioas->lock);
	ioasid_ioas_put(ioas);
	if (copy_to_user(u64_to_user_ptr(get->ranges), ranges,
			 min(room, get->out_num) * sizeof(*ranges)))
		ret = -EFAULT;
out:
	kfree(ranges);
	return ret;
}
