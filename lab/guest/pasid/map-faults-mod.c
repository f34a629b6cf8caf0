// SPDX-License-Identifier: GPL-2.0
/*
 * Maps and unmaps in a domain of a PASID of a device what drivers seldom do, and looks at what became of it.
 *
 * In /sys/kernel/debug/map-faults, as pasid-group-mod.c has it:
 *
 * command	One command a write(). The errno is that of the function called; EIO: it did something else than it says.
 *
 *	nomem DEV small		memory runs out at each place of a mapping of small pages, which is then made again
 *	nomem DEV large		of large ones
 *	hole DEV		unmap what is not mapped
 *	before DEV		unmap a page, and a part of the large page behind it
 *	inside DEV		unmap a page in the middle of a large one
 *	beyond DEV		unmap at an address that no table can have
 *	replace DEV		map a large page where a table is; when is the table freed?
 *	gather DEV		unmap two ranges of different sizes in one call; when is the table of the second freed?
 *	gfp DEV			how the tables are allocated
 *	order DEV		are there barriers between a change of a table and the look who has to be told?
 *	dump DEV		a fault is dumped when its table is free memory (DEV must be QEMU's)
 *	leave DEV		attach a domain to a new PASID, and leave it
 *	clear DEV		undo that, if nobody else has
 *
 * result	what the last command has to say, in words
 *
 * When DEV is QEMU's vtd-testdev (hw/i386/vtd-testdev.c, sva=on), it is asked, too, what it can reach.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define MFM_WORD 32
/* All of the pattern's words look like entries that are present */
#define MFM_PATTERN 0x5a
#define MFM_ORDER 9
#define MFM_PROT (IOMMU_READ | IOMMU_WRITE)
/* This page of a table nobody maps */
#define MFM_WALK 5
/* Far from what else is mapped, on a border of 1 GiB */
#define MFM_IOVA (64ul * SZ_1G)

/* include/hw/i386/vtd-testdev.h of QEMU */
#define MFM_VENDOR	0x1234
#define MFM_DEVICE	0x11f0
#define MFM_REG_ADDR	0x00
#define MFM_REG_PASID	0x08
#define MFM_REG_FLAGS	0x10
#define MFM_REG_DATA	0x18
#define MFM_REG_COMMAND	0x40
#define MFM_REG_RESULT	0x48
#define MFM_COMMAND_DMA	1

/* What a test has to itself */
struct mfm_test {
	struct iommu_domain *domain;
	struct device *dev;
	struct ioasid_set *set;
	ioasid_t pasid;
	struct page *memory;	/* of 2 MiB, aligned to that */
	void __iomem *regs;	/* of a vtd-testdev */
};

/* Protects all of them; commands come one after the other */
static DEFINE_MUTEX(mfm_lock);
static char mfm_result[160];
static struct dentry *mfm_dir;
static struct mfm_test mfm_left;

/*
 * The tables that the task allocates: how many, which are the last ones, and with what flags. The allocation number
 * mfm_fail_at fails, 0: none.
 */
static struct task_struct *mfm_task;
static unsigned int mfm_allocations, mfm_fail_at;
static struct page *mfm_last, *mfm_last_but_one, *mfm_stolen;
static gfp_t mfm_gfp_all, mfm_gfp_any;

static int mfm_alloc_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	/* __alloc_pages(gfp, order, nid, nodemask) */
	gfp_t gfp = regs_get_kernel_argument(regs, 0);

	if (current != READ_ONCE(mfm_task) || !(gfp & __GFP_ZERO) || regs_get_kernel_argument(regs, 1))
		return 1;
	mfm_gfp_all &= gfp;
	mfm_gfp_any |= gfp;
	return 0;
}

static int mfm_alloc_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	mfm_last_but_one = mfm_last;
	mfm_last = (struct page *)regs_return_value(regs);
	if (++mfm_allocations == mfm_fail_at) {
		mfm_stolen = mfm_last;
		regs_set_return_value(regs, 0);
	}
	return 0;
}

static struct kretprobe mfm_alloc = {
	.kp.symbol_name = "__alloc_pages",
	.entry_handler = mfm_alloc_entry,
	.handler = mfm_alloc_return,
	.maxactive = 64,
};

/* Whether the device can read eight bytes there; without one that can be asked, what it should */
static bool mfm_reads(struct mfm_test *t, unsigned long iova, bool should)
{
	if (!t->regs)
		return should;
	writeq(iova, t->regs + MFM_REG_ADDR);
	writeq(t->pasid, t->regs + MFM_REG_PASID);
	writeq(0, t->regs + MFM_REG_FLAGS);
	writeq(MFM_COMMAND_DMA, t->regs + MFM_REG_COMMAND);
	return !readq(t->regs + MFM_REG_RESULT);
}

/* When the task flushes for the first time, has this page a user? And does the device walk it? */
static struct page *mfm_table;
static struct mfm_test *mfm_walker;
static u64 mfm_entry;
static int mfm_users_at_flush, mfm_users_at_last;
static bool mfm_walked;

static int mfm_submit_entry(struct kprobe *probe, struct pt_regs *regs)
{
	if (current == READ_ONCE(mfm_task) && mfm_table)
		mfm_users_at_last = page_count(mfm_table);
	if (current == READ_ONCE(mfm_task) && mfm_table && mfm_users_at_flush < 0) {
		u64 *entry = (u64 *)page_address(mfm_table) + MFM_WALK;

		mfm_users_at_flush = page_count(mfm_table);
		/* As somebody else may do who has got the page if it is free */
		WRITE_ONCE(*entry, mfm_entry);
		mfm_walked = mfm_reads(mfm_walker, MFM_IOVA + MFM_WALK * SZ_4K, false);
		WRITE_ONCE(*entry, 0);
	}
	return 0;
}

static struct kprobe mfm_submit = { .symbol_name = "qi_submit_sync", .pre_handler = mfm_submit_entry };

static DECLARE_COMPLETION(mfm_dumped);

static int mfm_dump_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	complete(&mfm_dumped);
	return 0;
}

static struct kretprobe mfm_dumps = { .kp.symbol_name = "dmar_fault_dump_ptes", .handler = mfm_dump_return };

static void mfm_watch(unsigned int fail_at)
{
	mfm_allocations = 0;
	mfm_fail_at = fail_at;
	mfm_gfp_all = ~(gfp_t)0;
	mfm_gfp_any = 0;
	mfm_last = NULL;
	mfm_last_but_one = NULL;
	WRITE_ONCE(mfm_task, current);
}

/* Whether an allocation has failed */
static bool mfm_unwatch(void)
{
	struct page *stolen = mfm_stolen;

	WRITE_ONCE(mfm_task, NULL);
	mfm_stolen = NULL;
	if (stolen)
		__free_page(stolen);
	return stolen;
}

static void mfm_end(struct mfm_test *t)
{
	if (t->pasid) {
		iommu_detach_device_pasid(t->domain, t->dev, t->pasid);
		ioasid_free(t->set, t->pasid);
	}
	if (t->domain)
		iommu_domain_free(t->domain);
	if (t->set)
		ioasid_set_free(t->set);
	if (t->memory)
		__free_pages(t->memory, MFM_ORDER);
	if (t->regs) {
		iounmap(t->regs);
		pci_disable_device(to_pci_dev(t->dev));
	}
	put_device(t->dev);
	memset(t, 0, sizeof(*t));
}

static int mfm_open_requester(struct mfm_test *t)
{
	struct pci_dev *pdev = to_pci_dev(t->dev);
	int ret;

	if (pdev->vendor != MFM_VENDOR || pdev->device != MFM_DEVICE)
		return 0;
	ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	t->regs = pci_ioremap_bar(pdev, 0);
	if (t->regs)
		return 0;
	pci_disable_device(pdev);
	return -ENOMEM;
}

static int mfm_begin(struct mfm_test *t, struct device *dev)
{
	struct ioasid_set *set;
	ioasid_t pasid;
	int ret;

	memset(t, 0, sizeof(*t));
	t->dev = get_device(dev);
	t->memory = alloc_pages(GFP_KERNEL, MFM_ORDER);
	t->domain = iommu_domain_alloc(dev->bus);
	ret = -ENOMEM;
	if (!t->memory || !t->domain)
		goto err;
	memset(page_address(t->memory), MFM_PATTERN | 3, SZ_2M);
	ret = mfm_open_requester(t);
	if (ret)
		goto err;
	set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	ret = PTR_ERR_OR_ZERO(set);
	if (ret)
		goto err;
	t->set = set;
	ret = ioasid_alloc(set, IOASID_ALLOC_BASE, IOASID_MAX, NULL, &pasid);
	if (ret)
		goto err;
	ret = iommu_attach_device_pasid(t->domain, dev, pasid);
	if (ret)
		ioasid_free(set, pasid);
	else
		t->pasid = pasid;
	if (!ret)
		return 0;
err:
	mfm_end(t);
	return ret;
}

/* Note what is wrong, if it is the first such thing, for the reader of `result` */
static int mfm_wrong(const char *fmt, ...)
{
	va_list args;

	if (mfm_result[0])
		return -EIO;
	va_start(args, fmt);
	vsnprintf(mfm_result, sizeof(mfm_result), fmt, args);
	va_end(args);
	return -EIO;
}

static int mfm_is_mapped(struct mfm_test *t, unsigned long iova, phys_addr_t phys)
{
	phys_addr_t found = iommu_iova_to_phys(t->domain, iova);

	if (found != phys)
		return mfm_wrong("%lx is mapped to %llx, not %llx", iova, found, phys);
	if (mfm_reads(t, iova, phys) != !!phys)
		return mfm_wrong("the device %s %lx", phys ? "cannot read" : "can read", iova);
	return 0;
}

static int mfm_is_intact(struct mfm_test *t)
{
	u8 *found = memchr_inv(page_address(t->memory), MFM_PATTERN | 3, SZ_2M);

	return found ? mfm_wrong("memory was written, at %lx", found - (u8 *)page_address(t->memory)) : 0;
}

static int mfm_unmaps(struct mfm_test *t, unsigned long iova, size_t size, size_t want)
{
	size_t unmapped = iommu_unmap(t->domain, iova, size);

	return unmapped == want ? 0 : mfm_wrong("%zx of %zx at %lx were unmapped, not %zx", unmapped, size, iova, want);
}

/* One mapping, in which the allocation number fail_at fails. 1: there is none of that number */
static int mfm_nomem_at(struct device *dev, bool large, unsigned int fail_at)
{
	/* So that one call of the driver needs several tables, and crosses a border of 1 GiB */
	size_t page = large ? SZ_2M : SZ_4K, size = large ? SZ_2M * 8 : SZ_2M * 2 + SZ_4K * 16, at;
	unsigned long iova = large ? MFM_IOVA - SZ_2M * 4 : MFM_IOVA - SZ_2M - SZ_4K;
	phys_addr_t phys = SZ_2M;
	struct mfm_test t;
	bool failed;
	int ret;

	ret = mfm_begin(&t, dev);
	if (ret)
		return ret;
	ret = iommu_map(t.domain, iova - page, phys, page, MFM_PROT) ?:
	      iommu_map(t.domain, iova + size + SZ_2G, phys, page, MFM_PROT);
	if (ret)
		goto end;
	mfm_watch(fail_at);
	ret = iommu_map(t.domain, iova, phys, size, MFM_PROT);
	failed = mfm_unwatch();
	if (!failed) {
		ret = ret ?: 1;
		goto end;
	}
	if (ret != -ENOMEM) {
		ret = mfm_wrong("allocation %u fails: %d", fail_at, ret);
		goto end;
	}
	ret = 0;
	for (at = 0; at < size && !ret; at += SZ_4K)
		if (iommu_iova_to_phys(t.domain, iova + at))
			ret = mfm_wrong("allocation %u fails: %zx of %zx is mapped", fail_at, at, size);
	ret = ret ?: mfm_is_mapped(&t, iova, 0);
	/* Its neighbours are no part of it */
	ret = ret ?: mfm_is_mapped(&t, iova - page, phys);
	ret = ret ?: mfm_is_mapped(&t, iova + size + SZ_2G, phys);
	/* It can be made now, and is right */
	ret = ret ?: iommu_map(t.domain, iova, phys, size, MFM_PROT);
	for (at = 0; at < size && !ret; at += SZ_4K * 61)
		ret = mfm_is_mapped(&t, iova + at, phys + at);
	ret = ret ?: mfm_unmaps(&t, iova, size, size);
end:
	mfm_end(&t);
	return ret;
}

static int mfm_nomem(struct device *dev, bool large)
{
	unsigned int fail_at;
	int ret;

	for (fail_at = 1; ; fail_at++) {
		ret = mfm_nomem_at(dev, large, fail_at);
		if (ret)
			break;
	}
	if (ret < 0)
		return ret;
	if (fail_at == 1)
		return mfm_wrong("nothing was allocated");
	snprintf(mfm_result, sizeof(mfm_result), "%u places", fail_at - 1);
	return 0;
}

static int mfm_hole(struct mfm_test *t)
{
	unsigned long iova = MFM_IOVA, behind = iova + 4 * SZ_2M;
	phys_addr_t phys = page_to_phys(t->memory);
	int ret;

	/* In a table, with a page on each side; and behind a hole that has none */
	ret = iommu_map(t->domain, iova, phys, SZ_4K, MFM_PROT) ?:
	      iommu_map(t->domain, iova + 2 * SZ_4K, phys, SZ_4K, MFM_PROT) ?:
	      iommu_map(t->domain, behind, phys, SZ_4K, MFM_PROT);
	if (ret)
		return ret;
	/* It may cache what is there */
	ret = mfm_is_mapped(t, behind, phys);
	ret = ret ?: mfm_unmaps(t, iova + SZ_4K, SZ_4K, 0);
	ret = ret ?: mfm_unmaps(t, behind - SZ_1M, SZ_4K, 0);
	/* Where not even an upper table is: the hole is as large as what that would be for */
	ret = ret ?: mfm_unmaps(t, iova - SZ_4K, SZ_4K, 0);
	ret = ret ?: mfm_is_mapped(t, iova, phys);
	ret = ret ?: mfm_is_mapped(t, iova + 2 * SZ_4K, phys);
	return ret ?: mfm_is_mapped(t, behind, phys);
}

/* The same before a large page, whose memory looks like a table */
static int mfm_hole_large(struct mfm_test *t)
{
	unsigned long iova = MFM_IOVA + SZ_2M;
	phys_addr_t phys = page_to_phys(t->memory);
	int ret;

	ret = iommu_map(t->domain, iova, phys, SZ_2M, MFM_PROT);
	if (ret)
		return ret;
	ret = mfm_unmaps(t, iova - SZ_1M, SZ_4K, 0);
	ret = mfm_is_intact(t) ?: ret;
	return ret ?: mfm_is_mapped(t, iova, phys);
}

static int mfm_before(struct mfm_test *t)
{
	unsigned long iova = MFM_IOVA + SZ_2M;
	phys_addr_t phys = page_to_phys(t->memory);
	int ret;

	ret = iommu_map(t->domain, iova - SZ_4K, phys, SZ_4K, MFM_PROT) ?:
	      iommu_map(t->domain, iova, phys, SZ_2M, MFM_PROT) ?:
	      iommu_map(t->domain, iova + SZ_2M, phys, SZ_2M, MFM_PROT);
	if (ret)
		return ret;
	/* A large page goes as a whole */
	ret = mfm_unmaps(t, iova - SZ_4K, SZ_8K, SZ_4K + SZ_2M);
	ret = mfm_is_intact(t) ?: ret;
	ret = ret ?: mfm_is_mapped(t, iova - SZ_4K, 0);
	ret = ret ?: mfm_is_mapped(t, iova, 0);
	return ret ?: mfm_is_mapped(t, iova + SZ_2M, phys);
}

static int mfm_inside(struct mfm_test *t)
{
	unsigned long iova = MFM_IOVA + SZ_2M;
	phys_addr_t phys = page_to_phys(t->memory);
	int ret;

	ret = iommu_map(t->domain, iova, phys, SZ_2M, MFM_PROT) ?:
	      iommu_map(t->domain, iova + SZ_2M, phys, SZ_4K, MFM_PROT);
	if (ret)
		return ret;
	ret = mfm_unmaps(t, iova + SZ_4K, SZ_4K, 0);
	ret = mfm_is_intact(t) ?: ret;
	ret = ret ?: mfm_is_mapped(t, iova + SZ_4K, phys + SZ_4K);
	ret = ret ?: mfm_is_mapped(t, iova + SZ_2M, phys);
	/* A large page of which the beginning is named still goes as a whole */
	return ret ?: mfm_unmaps(t, iova, SZ_4K, SZ_2M);
}

static int mfm_beyond(struct mfm_test *t)
{
	return mfm_unmaps(t, 1ul << 60, SZ_4K, 0);
}

/* Map a page, for which a last-level table is allocated: mfm_table from now on */
static int mfm_map_table(struct mfm_test *t, unsigned long iova)
{
	int ret;

	mfm_watch(0);
	ret = iommu_map(t->domain, iova, page_to_phys(t->memory), SZ_4K, MFM_PROT);
	mfm_unwatch();
	mfm_table = mfm_last;
	return ret || mfm_table ? ret : -EIO;
}

static int mfm_replace(struct mfm_test *t)
{
	phys_addr_t phys = page_to_phys(t->memory);
	unsigned long iova = MFM_IOVA;
	int ret;

	/* Two pages, so that the table stays when one is unmapped, and then the other */
	ret = mfm_map_table(t, iova);
	if (ret)
		goto out;
	ret = iommu_map(t->domain, iova + SZ_4K, phys, SZ_4K, MFM_PROT);
	/* The device walks there, and its IOMMU caches where the table is */
	ret = ret ?: mfm_is_mapped(t, iova + SZ_4K, phys);
	mfm_entry = *(u64 *)page_address(mfm_table);
	ret = ret ?: mfm_unmaps(t, iova, SZ_4K, SZ_4K);
	ret = ret ?: mfm_unmaps(t, iova + SZ_4K, SZ_4K, SZ_4K);
	if (!ret && page_count(mfm_table) != 1)
		ret = mfm_wrong("the table was freed too early for the test");
	if (ret)
		goto out;
	mfm_users_at_flush = -1;
	mfm_walked = false;
	mfm_walker = t;
	mfm_watch(0);
	ret = iommu_map(t->domain, iova, phys, SZ_2M, MFM_PROT);
	mfm_unwatch();
	ret = ret ?: mfm_is_mapped(t, iova + SZ_1M, phys + SZ_1M);
	if (!ret && mfm_users_at_flush < 0)
		ret = mfm_wrong("nothing was flushed");
	if (!ret && mfm_users_at_flush != 1)
		ret = mfm_wrong("the IOMMU %s a free page: %d users when it is flushed",
				mfm_walked ? "walks" : "may walk", mfm_users_at_flush);
	if (!ret && page_count(mfm_table))
		ret = mfm_wrong("the table was not freed");
	if (!ret && mfm_walked)
		snprintf(mfm_result, sizeof(mfm_result), "walked until then");
out:
	mfm_table = NULL;
	return ret;
}

/*
 * The core unmaps the page before the border by itself, and then all behind it. The last flush is that of what has the
 * table, which must be there until then.
 */
static int mfm_gather(struct mfm_test *t)
{
	phys_addr_t phys = page_to_phys(t->memory);
	unsigned long iova = MFM_IOVA + SZ_2M;
	int ret;

	ret = mfm_map_table(t, iova);
	if (ret)
		goto out;
	/* Not aligned as the address is, so that there are small pages */
	ret = iommu_map(t->domain, iova + SZ_4K, phys, SZ_2M - SZ_4K, MFM_PROT);
	ret = ret ?: iommu_map(t->domain, iova - SZ_4K, phys, SZ_4K, MFM_PROT);
	ret = ret ?: mfm_is_mapped(t, iova + SZ_4K, phys);
	if (ret)
		goto out;
	mfm_users_at_flush = 0;
	mfm_users_at_last = -1;
	mfm_watch(0);
	ret = mfm_unmaps(t, iova - SZ_4K, SZ_2M + SZ_4K, SZ_2M + SZ_4K);
	mfm_unwatch();
	if (!ret && mfm_users_at_last < 0)
		ret = mfm_wrong("nothing was flushed");
	if (!ret && !mfm_users_at_last)
		ret = mfm_wrong("the table was freed before its range was flushed");
	if (!ret && page_count(mfm_table))
		ret = mfm_wrong("the table was not freed");
out:
	mfm_table = NULL;
	return ret;
}

static int mfm_gfp(struct mfm_test *t)
{
	phys_addr_t phys = page_to_phys(t->memory);
	int ret;

	mfm_watch(0);
	ret = iommu_map(t->domain, MFM_IOVA, phys, SZ_4K, MFM_PROT);
	mfm_unwatch();
	if (!ret && !mfm_last)
		ret = mfm_wrong("no table was allocated");
	if (!ret && !gfpflags_allow_blocking(mfm_gfp_all))
		ret = mfm_wrong("iommu_map() takes tables from the reserves: %pGg", &mfm_gfp_all);
	if (ret)
		return ret;
	mfm_watch(0);
	ret = iommu_map_atomic(t->domain, MFM_IOVA * 2, phys, SZ_4K, MFM_PROT);
	mfm_unwatch();
	if (!ret && !mfm_last)
		ret = mfm_wrong("no table was allocated");
	if (!ret && gfpflags_allow_blocking(mfm_gfp_any))
		ret = mfm_wrong("iommu_map_atomic() may sleep: %pGg", &mfm_gfp_any);
	return ret;
}

/*
 * The page of a table goes while a fault is dumped. KASAN keeps the memory that is freed here from others for a while.
 * Few faults are dumped in a row: ask again until one is.
 */
static int mfm_dump(struct mfm_test *t)
{
	unsigned long at = MFM_IOVA + MFM_WALK * SZ_4K;
	u64 *upper, entry;
	int tries, ret;
	void *table;

	if (!t->regs)
		return -ENODEV;
	ret = mfm_map_table(t, MFM_IOVA);
	mfm_table = NULL;
	if (ret)
		return ret;
	if (!mfm_last_but_one)
		return mfm_wrong("one table was allocated");
	table = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	upper = page_address(mfm_last_but_one);
	entry = READ_ONCE(*upper);
	if ((entry & PAGE_MASK & ~BIT_ULL(63)) != page_to_phys(mfm_last)) {
		kfree(table);
		return mfm_wrong("the entry is %llx, the table %llx", entry, page_to_phys(mfm_last));
	}
	WRITE_ONCE(*upper, (entry & ~PAGE_MASK) | virt_to_phys(table));
	kfree(table);
	reinit_completion(&mfm_dumped);
	for (tries = 0; tries < 15; tries++) {
		if (mfm_reads(t, at, false)) {
			ret = mfm_wrong("the device can read %lx", at);
			break;
		}
		if (wait_for_completion_timeout(&mfm_dumped, HZ))
			break;
	}
	WRITE_ONCE(*upper, entry);
	if (!ret && tries == 15)
		ret = mfm_wrong("no fault was dumped");
	return ret;
}

/* smp_mb() of x86: lock addl $0,-4(%rsp) */
static const u8 mfm_barrier[] = { 0xf0, 0x83, 0x44, 0x24, 0xfc, 0x00 };

/* Whether the code of the function has one; an error if there is no such function */
static int mfm_has_barrier(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	u8 code[sizeof(mfm_barrier)];
	char symbol[KSYM_SYMBOL_LEN];
	u8 *at;
	int ret;

	ret = register_kprobe(&probe);
	if (ret)
		return ret;
	at = probe.addr;
	unregister_kprobe(&probe);
	do {
		if (copy_from_kernel_nofault(code, at, sizeof(code)))
			return -EFAULT;
		if (!memcmp(code, mfm_barrier, sizeof(code)))
			return 1;
		sprint_symbol_no_offset(symbol, (unsigned long)++at);
	} while (!strcmp(symbol, name));
	return 0;
}

static int mfm_order(struct mfm_test *t)
{
	/* The second one is where the first one is inlined */
	static const char *const names[][2] = {
		{ "intel_iommu_tlb_sync" }, { "intel_flush_iotlb_all" }, { "intel_iommu_iotlb_sync_map" },
		{ "switch_to_super_page", "__domain_mapping" },
		{ "domain_add_dev_info", "intel_iommu_attach_device" }, { "domain_attach_pasid" },
	};
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		ret = mfm_has_barrier(names[i][0]);
		if (ret == -ENOENT && names[i][1])
			ret = mfm_has_barrier(names[i][1]);
		if (ret < 0)
			return ret;
		if (!ret)
			return mfm_wrong("%s() has no barrier", names[i][0]);
	}
	return 0;
}

static int mfm_leave(struct device *dev)
{
	int ret;

	if (mfm_left.dev)
		return -EBUSY;
	ret = mfm_begin(&mfm_left, dev);
	if (!ret)
		snprintf(mfm_result, sizeof(mfm_result), "%u", mfm_left.pasid);
	return ret;
}

static int mfm_clear(struct device *dev)
{
	if (mfm_left.dev != dev)
		return -EINVAL;
	mfm_end(&mfm_left);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct mfm_test *t);
} mfm_tests[] = {
	{ "hole", mfm_hole },
	{ "hole-large", mfm_hole_large },
	{ "before", mfm_before },
	{ "inside", mfm_inside },
	{ "beyond", mfm_beyond },
	{ "replace", mfm_replace },
	{ "gather", mfm_gather },
	{ "gfp", mfm_gfp },
	{ "order", mfm_order },
	{ "dump", mfm_dump },
};

static int mfm_run(const char *name, struct device *dev)
{
	struct mfm_test t;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(mfm_tests); i++) {
		if (strcmp(mfm_tests[i].name, name))
			continue;
		ret = mfm_begin(&t, dev);
		if (!ret) {
			ret = mfm_tests[i].run(&t);
			mfm_end(&t);
		}
		return ret;
	}
	return -EINVAL;
}

static int mfm_command(char *line)
{
	char word[3][MFM_WORD] = {};
	struct device *dev;
	int nr, ret;

	nr = sscanf(line, "%31s %31s %31s", word[0], word[1], word[2]);
	if (nr < 2)
		return -EINVAL;
	dev = bus_find_device_by_name(&pci_bus_type, NULL, word[1]);
	if (!dev)
		return -ENODEV;
	if (!strcmp(word[0], "nomem"))
		ret = mfm_nomem(dev, !strcmp(word[2], "large"));
	else if (!strcmp(word[0], "leave"))
		ret = mfm_leave(dev);
	else if (!strcmp(word[0], "clear"))
		ret = mfm_clear(dev);
	else
		ret = mfm_run(word[0], dev);
	put_device(dev);
	return ret;
}

static ssize_t mfm_command_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	char *line;
	int ret;

	if (count > 3 * MFM_WORD)
		return -EINVAL;
	line = memdup_user_nul(buf, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&mfm_lock);
	mfm_result[0] = '\0';
	ret = mfm_command(line);
	mutex_unlock(&mfm_lock);
	kfree(line);
	return ret ?: count;
}

static const struct file_operations mfm_command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = mfm_command_write,
	.llseek = no_llseek,
};

static ssize_t mfm_result_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	char line[sizeof(mfm_result) + 1];
	int len;

	mutex_lock(&mfm_lock);
	len = scnprintf(line, sizeof(line), "%s\n", mfm_result);
	mutex_unlock(&mfm_lock);
	return simple_read_from_buffer(buf, count, pos, line, len);
}

static const struct file_operations mfm_result_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = mfm_result_read,
	.llseek = no_llseek,
};

static int __init mfm_init(void)
{
	int ret;

	ret = register_kretprobe(&mfm_alloc);
	if (ret)
		return ret;
	ret = register_kprobe(&mfm_submit);
	if (ret) {
		unregister_kretprobe(&mfm_alloc);
		return ret;
	}
	ret = register_kretprobe(&mfm_dumps);
	if (ret) {
		unregister_kprobe(&mfm_submit);
		unregister_kretprobe(&mfm_alloc);
		return ret;
	}
	mfm_dir = debugfs_create_dir("map-faults", NULL);
	debugfs_create_file("command", 0200, mfm_dir, NULL, &mfm_command_fops);
	debugfs_create_file("result", 0400, mfm_dir, NULL, &mfm_result_fops);
	return 0;
}
module_init(mfm_init);

static void __exit mfm_exit(void)
{
	debugfs_remove(mfm_dir);
	if (mfm_left.dev)
		mfm_end(&mfm_left);
	unregister_kretprobe(&mfm_dumps);
	unregister_kprobe(&mfm_submit);
	unregister_kretprobe(&mfm_alloc);
}
module_exit(mfm_exit);

MODULE_DESCRIPTION("Maps and unmaps for tests what drivers seldom do");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
