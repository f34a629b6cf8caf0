// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of an I/O address space: user pages <-> runs <-> the page table
 *
 * A run is memory that is contiguous, for devices and in reality. Pages are pinned a
 * buffer full at a time, but a run goes on from one buffer to the next, or the table
 * would have no pages larger than what a buffer holds.
 *
 * Which pages are pinned is not recorded: the page table is the record. They are
 * read back from it before it is cleared, and unpinned when no device can have the
 * translation any more.
 *
 * All of this is under map_mutex of the address space.
 */
#include <linux/backing-dev.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ioasid-ioas.h"
#include "ioasid-user.h"
#include "iommu-user.h"

/* Charges of mappings whose process cannot have its lock taken at once */
static struct workqueue_struct *ioasid_uncharge_wq;

#define IOASID_BUFFER_PAGES	(PAGE_SIZE / sizeof(struct page *))
#define IOASID_BUFFER_RUNS	(PAGE_SIZE / sizeof(struct iommu_run))

/**
 * struct ioasid_pin - a MAP at work
 * @ioas: the address space
 * @map: what is to be mapped
 * @iova: where the open run begins
 * @run: the open run: pinned, and not in the page table yet
 */
struct ioasid_pin {
	struct ioasid_ioas *ioas;
	struct ioasid_mapping *map;
	u64 iova;
	struct iommu_run run;
};

static void ioasid_unpin_run(const struct iommu_run *run, bool dirty)
{
	unpin_user_page_range_dirty_lock(pfn_to_page(PHYS_PFN(run->phys)),
					 run->size >> PAGE_SHIFT, dirty);
}

/* Unmap a part of a mapping, from @iova up to @end, that is mapped as a whole */
static void ioasid_unmap_range(struct ioasid_ioas *ioas, u64 iova, u64 end,
			       bool dirty)
{
	struct iommu_run *runs = ioas->buffer;
	struct iommu_iotlb_gather gather;
	unsigned int nr, found, i;
	size_t unmapped, page;
	u64 start;

	while (iova != end) {
		start = iova;
		for (nr = 0; nr < IOASID_BUFFER_RUNS && iova != end; nr += found) {
			found = iommu_iova_to_runs(ioas->domain, iova,
						   end - iova, runs + nr,
						   IOASID_BUFFER_RUNS - nr,
						   &page);
			/* Rather leak the pages than go on with what is there */
			if (WARN_ON_ONCE(!found))
				return;
			for (i = nr; i < nr + found; i++)
				iova += runs[i].size;
		}
		iommu_iotlb_gather_init(&gather);
		unmapped = iommu_unmap_fast(ioas->domain, start, iova - start,
					    &gather);
		iommu_iotlb_sync(ioas->domain, &gather);
		if (WARN_ON_ONCE(unmapped != iova - start))
			return;
		for (i = 0; i < nr; i++) {
			ioasid_unpin_run(&runs[i], dirty);
			cond_resched();
		}
	}
}

/*
 * A page of a file whose changes are looked for by write-protecting it is changed by
 * a device without anybody noticing.
 */
static bool ioasid_vma_needs_writeback(struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED) || !vma->vm_file)
		return false;
	if (vma->vm_ops && (vma->vm_ops->page_mkwrite || vma->vm_ops->pfn_mkwrite))
		return true;
	return mapping_can_writeback(vma->vm_file->f_mapping);
}

/* Whether and how the pages of @vma are to be pinned: FOLL_*, or an error */
static int ioasid_pin_flags(struct vm_area_struct *vma, int prot)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return -EFAULT;
	if (prot & IOMMU_WRITE) {
		if (!(vma->vm_flags & VM_WRITE))
			return -EFAULT;
		return ioasid_vma_needs_writeback(vma) ?
		       -EOPNOTSUPP : FOLL_LONGTERM | FOLL_WRITE;
	}
	if (!(vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC)))
		return -EFAULT;
	/*
	 * A page that the process shares with others is copied when it is written
	 * to, and the device would go on with the old one. Have it copied now. The
	 * hugetlb of 6.1 can do that only where the process may write.
	 */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != VM_MAYWRITE)
		return FOLL_LONGTERM;
	if (!is_vm_hugetlb_page(vma))
		return FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE;
	return FOLL_LONGTERM | (vma->vm_flags & VM_WRITE ? FOLL_WRITE : 0);
}

/* Look at all of the memory, and charge it, before a page is touched */
static int ioasid_pin_charge(struct ioasid_mapping *map, unsigned long va,
			     unsigned long pages)
{
	unsigned long end = va + pages * PAGE_SIZE, at = va;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int ret;

	ret = mmap_write_lock_killable(mm);
	if (ret)
		return ret;
	while (at != end) {
		vma = vma_lookup(mm, at);
		ret = vma ? ioasid_pin_flags(vma, map->prot) : -EFAULT;
		if (ret < 0)
			goto out;
		at = min(vma->vm_end, end);
	}
	ret = __account_locked_vm(mm, pages, true, current,
				  capable(CAP_IPC_LOCK));
	if (ret)
		goto out;
	mmgrab(mm);
	map->mm = mm;
	map->pages = pages;
out:
	mmap_write_unlock(mm);
	return ret;
}

/* With the mmap_lock held for writing; drops it */
static void ioasid_pin_uncharge(struct ioasid_mapping *map)
{
	__account_locked_vm(map->mm, map->pages, false, current, true);
	mmap_write_unlock(map->mm);
	mmdrop(map->mm);
	kfree(map);
}

static void ioasid_pin_uncharge_work(struct work_struct *work)
{
	struct ioasid_mapping *map = container_of(work, struct ioasid_mapping,
						  uncharge);

	mmap_write_lock(map->mm);
	ioasid_pin_uncharge(map);
}

/**
 * ioasid_pin_free - free a mapping that is in no tree, with its charge
 * @map: the mapping
 *
 * A page fault may keep the lock that this needs for as long as the fault takes. Who
 * unmaps, or closes its file, does not wait for other processes.
 *
 * Context: Process context, may sleep.
 */
void ioasid_pin_free(struct ioasid_mapping *map)
{
	struct mm_struct *mm = map->mm;

	if (!mm) {
		kfree(map);
	} else if (mm == current->mm ? !mmap_write_lock_killable(mm) :
				       mmap_write_trylock(mm)) {
		ioasid_pin_uncharge(map);
	} else {
		INIT_WORK(&map->uncharge, ioasid_pin_uncharge_work);
		queue_work(ioasid_uncharge_wq, &map->uncharge);
	}
}

/**
 * ioasid_pin_init - to be called before all others
 *
 * Return: 0; -ENOMEM.
 */
int __init ioasid_pin_init(void)
{
	ioasid_uncharge_wq = alloc_workqueue("ioasid_uncharge", WQ_UNBOUND, 0);
	return ioasid_uncharge_wq ? 0 : -ENOMEM;
}

/**
 * ioasid_pin_exit - to be called behind all others
 */
void ioasid_pin_exit(void)
{
	destroy_workqueue(ioasid_uncharge_wq);
}

/* Put the open run in the page table; the next one begins behind it */
static int ioasid_pin_close_run(struct ioasid_pin *pin)
{
	struct iommu_run *run = &pin->run;
	int ret;

	if (!run->size)
		return 0;
	ret = iommu_map_nosync(pin->ioas->domain, pin->iova, run->phys, run->size,
			       pin->map->prot, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	pin->iova += run->size;
	run->size = 0;
	return 0;
}

/* How many of the @nr pages at @pages, 1 at least, go into one run */
static long ioasid_pin_contiguous(const struct ioasid_pin *pin,
				  struct page **pages, long nr)
{
	u64 next = pin->iova + pin->run.size;
	long i;

	/* No page of the table goes beyond that */
	nr = min_t(u64, nr, (SZ_1G - (next & (SZ_1G - 1))) >> PAGE_SHIFT);
	/* hugetlb maps all of one in one piece, others need not */
	if (PageCompound(pages[0]) && PageHuge(pages[0])) {
		struct folio *folio = page_folio(pages[0]);

		return min_t(long, nr, folio_nr_pages(folio) -
				       folio_page_idx(folio, pages[0]));
	}
	for (i = 1; i < nr; i++)
		if (pages[i] != nth_page(pages[0], i))
			break;
	return i;
}

/* @page, and @nr - 1 behind it */
static int ioasid_pin_add(struct ioasid_pin *pin, struct page *page, long nr)
{
	struct iommu_run *run = &pin->run;
	int ret;

	if (run->size && (page_to_phys(page) != run->phys + run->size ||
			  IS_ALIGNED(pin->iova + run->size, SZ_1G))) {
		ret = ioasid_pin_close_run(pin);
		if (ret)
			return ret;
	}
	if (!run->size)
		run->phys = page_to_phys(page);
	run->size += nr * PAGE_SIZE;
	return 0;
}

/* A buffer full of pages. Returns their number, or an error */
static long ioasid_pin_some(struct ioasid_pin *pin, unsigned long va,
			    unsigned long pages, int flags)
{
	struct page **buffer = pin->ioas->buffer;
	long nr, i, part;
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	nr = pin_user_pages_fast(va, min(pages, IOASID_BUFFER_PAGES), flags,
				 buffer);
	/* -EEXIST: memory without a struct page */
	if (nr <= 0)
		return nr && nr != -EEXIST ? nr : -EFAULT;
	for (i = 0; i < nr; i += part) {
		part = ioasid_pin_contiguous(pin, buffer + i, nr - i);
		ret = ioasid_pin_add(pin, buffer[i], part);
		if (ret) {
			unpin_user_pages(buffer + i, nr - i);
			return ret;
		}
	}
	cond_resched();
	return nr;
}

/* From @va on, what one VMA has of the range, which may have changed by now */
static long ioasid_pin_vma(struct ioasid_pin *pin, unsigned long va,
			   unsigned long pages)
{
	struct mm_struct *mm = current->mm;
	unsigned long done = 0;
	struct vm_area_struct *vma;
	int flags;
	long ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	vma = vma_lookup(mm, va);
	flags = vma ? ioasid_pin_flags(vma, pin->map->prot) : -EFAULT;
	if (flags >= 0)
		pages = min(pages, (vma->vm_end - va) >> PAGE_SHIFT);
	mmap_read_unlock(mm);
	if (flags < 0)
		return flags;
	while (done != pages) {
		ret = ioasid_pin_some(pin, va + done * PAGE_SIZE, pages - done,
				      flags);
		if (ret < 0)
			return ret;
		done += ret;
	}
	return done;
}

/**
 * ioasid_pin_map - pin memory of the caller, and map it
 * @ioas: the address space, its map_mutex held
 * @map: where and how; its mm is set, for ioasid_pin_free(), when it is charged
 * @va: first address of the memory
 *
 * Context: Process context, may sleep, for as long as the memory takes to be there.
 * Return: 0; or an error, and nothing is mapped: -EFAULT when the memory is not
 * there or none that can be pinned; -EOPNOTSUPP when its changes would have to be
 * noticed; -ENOMEM, also above RLIMIT_MEMLOCK; -EINTR for a fatal signal.
 */
int ioasid_pin_map(struct ioasid_ioas *ioas, struct ioasid_mapping *map,
		   unsigned long va)
{
	unsigned long pages = (map->last - map->iova + 1) >> PAGE_SHIFT, done = 0;
	struct ioasid_pin pin = { .ioas = ioas, .map = map, .iova = map->iova };
	long ret;

	if (!ioas->buffer)
		ioas->buffer = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!ioas->buffer)
		return -ENOMEM;
	ret = ioasid_pin_charge(map, va, pages);
	if (ret)
		return ret;
	while (done != pages) {
		ret = ioasid_pin_vma(&pin, va + done * PAGE_SIZE, pages - done);
		if (ret < 0)
			goto err_undo;
		done += ret;
	}
	ret = ioasid_pin_close_run(&pin);
	if (ret)
		goto err_undo;
	iommu_sync_map(ioas->domain, map->iova, map->last - map->iova + 1);
	return 0;

err_undo:
	if (pin.run.size)
		ioasid_unpin_run(&pin.run, false);
	ioasid_unmap_range(ioas, map->iova, pin.iova, map->prot & IOMMU_WRITE);
	return ret;
}

/**
 * ioasid_unmap_unpin - unmap a mapping, and unpin its memory
 * @ioas: the address space, its map_mutex held
 * @map: what is mapped; it stays charged
 *
 * Context: Process context, may sleep. Allocates nothing.
 */
void ioasid_unmap_unpin(struct ioasid_ioas *ioas, struct ioasid_mapping *map)
{
	ioasid_unmap_range(ioas, map->iova, map->last + 1,
			   map->prot & IOMMU_WRITE);
}
