// SPDX-License-Identifier: GPL-2.0
/*
 * IOASIDs of type PGTABLE: page tables that the user makes
 *
 * One of them has a parent from the beginning, and a domain while a table is bound. What
 * devices it is attached to does not change with that: while none is bound the IOMMU
 * refuses them. attach_lock is over both, and over the parent's, which may end first.
 */
#define pr_fmt(fmt) "ioasid: " fmt

#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioasid-ioas.h"
#include "ioasid-user.h"
#include "iommu-user.h"

/* So many entries are done by one INVALIDATE */
#define IOASID_INVALIDATE_MAX	1024

/* 0, or why the machine cannot walk such tables */
static int ioasid_pgtable_possible(struct ioasid_ioas *parent, u32 width)
{
	struct iommu_nested_config config = { .width = width };
	struct iommu_domain *domain;

	domain = iommu_domain_alloc_nested(parent->domain, &config);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	iommu_domain_free(domain);
	return 0;
}

/**
 * ioasid_pgtable_init - make an address space one for a page table of the user
 * @ioas: the address space
 * @user: the file
 * @alloc: parent, format, width
 *
 * Context: Process context, may sleep.
 * Return: 0, with a reference to the parent; -ENOENT when there is no such parent; -EBUSY
 * when it is being freed; -EINVAL when it is no parent, or for the width; -EOPNOTSUPP for
 * the format, or when the IOMMUs cannot walk it; -EINTR; -ENOMEM.
 */
int ioasid_pgtable_init(struct ioasid_ioas *ioas, struct ioasid_user *user,
			const struct ioasid_alloc *alloc)
{
	struct ioasid_ioas *parent;
	int ret;

	if (alloc->format != IOASID_FORMAT_VTD_S1)
		return -EOPNOTSUPP;
	if (alloc->addr_width != 48 && alloc->addr_width != 57)
		return -EINVAL;
	ret = ioasid_ioas_get(user, alloc->parent, false, &parent);
	if (ret)
		return ret;
	/* The IOMMU driver knows which of that type can be one */
	if (parent->type == IOASID_TYPE_IOVA)
		ret = ioasid_pgtable_possible(parent, alloc->addr_width);
	else
		ret = -EINVAL;
	if (ret) {
		ioasid_ioas_put(parent);
		return ret;
	}
	ioas->parent = parent;
	ioas->width = alloc->addr_width;
	return 0;
}

/* Both attach_locks are held. */
static int ioasid_pgtable_bind_locked(struct ioasid_ioas *ioas,
				      const struct iommu_nested_config *config)
{
	struct iommu_domain *domain;
	int ret;

	if (ioas->dead || ioas->parent->dead)
		return -ENOENT;
	if (ioas->domain)
		return -EBUSY;
	domain = iommu_domain_alloc_nested(ioas->parent->domain, config);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	WRITE_ONCE(ioas->domain, domain);
	ret = ioasid_ioas_open_passages(ioas);
	if (ret) {
		WRITE_ONCE(ioas->domain, NULL);
		iommu_domain_free(domain);
		return ret;
	}
	list_add_tail(&ioas->of_parent, &ioas->parent->children);
	return 0;
}

static void ioasid_pgtable_lock(struct ioasid_ioas *ioas)
{
	mutex_lock(&ioas->attach_lock);
	/* A parent has none */
	mutex_lock_nested(&ioas->parent->attach_lock, SINGLE_DEPTH_NESTING);
}

static void ioasid_pgtable_unlock(struct ioasid_ioas *ioas)
{
	mutex_unlock(&ioas->parent->attach_lock);
	mutex_unlock(&ioas->attach_lock);
}

/**
 * ioasid_pgtable_unbind - unbind what is bound
 * @ioas: the address space, of any type
 *
 * Context: Process context, may sleep. Takes attach_lock, and that of the parent.
 * Return: 0; -ENOENT when nothing is bound.
 */
int ioasid_pgtable_unbind(struct ioasid_ioas *ioas)
{
	struct iommu_domain *domain;

	if (!ioas->parent)
		return -ENOENT;
	ioasid_pgtable_lock(ioas);
	domain = ioas->domain;
	if (domain) {
		ioasid_ioas_close_passages(ioas);
		WRITE_ONCE(ioas->domain, NULL);
		list_del(&ioas->of_parent);
	}
	ioasid_pgtable_unlock(ioas);
	if (!domain)
		return -ENOENT;
	iommu_domain_free(domain);
	return 0;
}

/**
 * ioasid_pgtable_unbind_children - unbind all that is on top of an address space
 * @parent: the address space, of any type, on top of which nothing is bound any more
 *
 * Context: Process context, may sleep. Takes attach_lock, and those of others.
 */
void ioasid_pgtable_unbind_children(struct ioasid_ioas *parent)
{
	struct ioasid_ioas *ioas;

	for (;;) {
		mutex_lock(&parent->attach_lock);
		ioas = list_first_entry_or_null(&parent->children,
						struct ioasid_ioas, of_parent);
		/* What is bound has a reference of its file, or of who ends it */
		if (ioas)
			refcount_inc(&ioas->refs);
		mutex_unlock(&parent->attach_lock);
		if (!ioas)
			return;
		ioasid_pgtable_unbind(ioas);
		ioasid_ioas_put(ioas);
		cond_resched();
	}
}

/* As ioasid_ioas_get() */
static int ioasid_pgtable_get(struct ioasid_user *user, ioasid_t id,
			      bool keep_id, struct ioasid_ioas **ioas)
{
	int ret = ioasid_ioas_get(user, id, keep_id, ioas);

	if (ret || (*ioas)->type == IOASID_TYPE_PGTABLE)
		return ret;
	if (keep_id)
		ioasid_put(user->set, id);
	ioasid_ioas_put(*ioas);
	return -EINVAL;
}

int ioasid_user_bind_pgtable(struct ioasid_user *user,
			     union ioasid_user_args *args, void **data)
{
	struct ioasid_bind_pgtable *bind = &args->bind;
	struct iommu_nested_config config = {
		.pgtable = bind->pgtable,
		.sre = bind->flags & IOASID_PGTABLE_VTD_SRE,
		.wpe = bind->flags & IOASID_PGTABLE_VTD_WPE,
		.eafe = bind->flags & IOASID_PGTABLE_VTD_EAFE,
	};
	struct ioasid_ioas *ioas;
	int ret;

	if (bind->pat || bind->emt || bind->__reserved || bind->__reserved2)
		return -EOPNOTSUPP;
	/* Passages of devices are under that number */
	ret = ioasid_pgtable_get(user, bind->ioasid, true, &ioas);
	if (ret)
		return ret;
	config.width = ioas->width;
	ioasid_pgtable_lock(ioas);
	ret = ioasid_pgtable_bind_locked(ioas, &config);
	ioasid_pgtable_unlock(ioas);
	ioasid_put(user->set, bind->ioasid);
	ioasid_ioas_put(ioas);
	return ret;
}

int ioasid_user_unbind_pgtable(struct ioasid_user *user,
			       union ioasid_user_args *args, void **data)
{
	struct ioasid_unbind_pgtable *unbind = &args->unbind;
	struct ioasid_ioas *ioas;
	int ret;

	if (unbind->__reserved)
		return -EOPNOTSUPP;
	ret = ioasid_pgtable_get(user, unbind->ioasid, false, &ioas);
	if (ret)
		return ret;
	ret = ioasid_pgtable_unbind(ioas);
	ioasid_ioas_put(ioas);
	return ret;
}

static bool is_canonical(u64 addr, u8 width)
{
	return (u64)sign_extend64(addr, width - 1) == addr;
}

static int ioasid_check_inv(const struct ioasid_inv_vtd_s1 *inv, u8 width)
{
	u64 last;

	if (inv->flags & ~IOASID_INV_LEAF || inv->__reserved)
		return -EOPNOTSUPP;
	if (inv->npages == U64_MAX)
		return inv->addr ? -EINVAL : 0;
	if (!inv->npages || !PAGE_ALIGNED(inv->addr) ||
	    inv->npages > BIT_ULL(width - 1 - PAGE_SHIFT))
		return -EINVAL;
	if (check_add_overflow(inv->addr, inv->npages * PAGE_SIZE - 1, &last) ||
	    !is_canonical(inv->addr, width) || !is_canonical(last, width))
		return -EINVAL;
	return 0;
}

/* All entries are as they have to be, or none is done. */
static int ioasid_copy_invs(const struct ioasid_invalidate *invalidate, u32 num,
			    u8 width, struct ioasid_inv_vtd_s1 *invs)
{
	void __user *uptr = u64_to_user_ptr(invalidate->entries);
	u32 i;
	int ret;

	for (i = 0; i < num; i++) {
		ret = copy_struct_from_user(&invs[i], sizeof(invs[i]),
					    uptr + (u64)i * invalidate->entry_size,
					    invalidate->entry_size);
		if (!ret)
			ret = ioasid_check_inv(&invs[i], width);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* How many were done; or -ENOENT, before the first */
static int ioasid_pgtable_flush(struct ioasid_ioas *ioas,
				const struct ioasid_inv_vtd_s1 *invs, u32 num)
{
	struct iommu_user_range range;
	u32 done = 0;
	int ret;

	/* Each has the lock anew: others need not wait for all */
	do {
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		mutex_lock(&ioas->attach_lock);
		ret = ioas->domain ? 0 : -ENOENT;
		if (!ret && num) {
			range.addr = invs[done].addr;
			range.npages = invs[done].npages;
			range.leaf = invs[done].flags & IOASID_INV_LEAF;
			iommu_flush_user(ioas->domain, &range);
		}
		mutex_unlock(&ioas->attach_lock);
		if (ret)
			return done ?: ret;
		cond_resched();
	} while (++done < num);
	return num;
}

int ioasid_user_invalidate(struct ioasid_user *user,
			   union ioasid_user_args *args, void **data)
{
	struct ioasid_invalidate *invalidate = &args->invalidate;
	u32 num = min_t(u32, invalidate->num, IOASID_INVALIDATE_MAX);
	struct ioasid_inv_vtd_s1 *invs = NULL;
	ioasid_t id = invalidate->ioasid;
	struct ioasid_ioas *ioas;
	int ret;

	if (invalidate->__reserved)
		return -EOPNOTSUPP;
	if (num && invalidate->entry_size < sizeof(*invs))
		return -EINVAL;
	if (num && invalidate->entry_size > PAGE_SIZE)
		return -E2BIG;
	if (invalidate->flags & IOASID_INVALIDATE_SPID)
		id = ioasid_find_by_spid(user->set, id, false);
	if (id == INVALID_IOASID)
		return -ENOENT;
	ret = ioasid_pgtable_get(user, id, false, &ioas);
	if (ret)
		return ret;
	if (num) {
		invs = kvmalloc_array(num, sizeof(*invs), GFP_KERNEL_ACCOUNT);
		ret = invs ? ioasid_copy_invs(invalidate, num, ioas->width, invs) :
			     -ENOMEM;
	}
	if (!ret)
		ret = ioasid_pgtable_flush(ioas, invs, num);
	if (ret >= 0) {
		invalidate->out_num = ret;
		ret = 0;
	}
	kvfree(invs);
	ioasid_ioas_put(ioas);
	return ret;
}
