// SPDX-License-Identifier: GPL-2.0
/*
 * Test client of DMA with PASID
 *
 * Drives Intel DSAs, which software can let copy memory with any PASID, so
 * that what the IOMMU core does with PASIDs can be seen, and tested, from user
 * space. A device is bound by its driver_override and named by its PCI
 * address.
 *
 * In /sys/kernel/debug/iommu-dma-pasid-test:
 *
 * command	One command a write(). The errno is that of the function called.
 *
 *	enable DEV MODE, disable DEV MODE	bypass iova kva; PASID in result
 *	attach DEV OTHER	a new PASID of DEV to OTHER's default domain
 *	detach DEV PASID
 *	free DEV PASID		frees the number, still attached
 *	claim DEV, release DEV	DMA ownership by user space, that is by whom
 *				holds command open; ends when it is closed
 *	start DEV		reset and enable the device, without queues
 *	stop DEV
 *	queue DEV QUEUE PASID	enable dedicated queue; PASID 0: without
 *	map DEV NAME SIZE	a source and a destination by the DMA API of DEV
 *	unmap NAME		the memory stays
 *	drop NAME		it goes
 *	tail NAME FIRST PAGES	unmap pages of the source at one go, past the DMA
 *				API, whose ranges are aligned; and map them again,
 *				all but the last
 *	copy DEV QUEUE NAME	the source to the destination
 *	over DEV QUEUE NAME	the same, and the page behind, which is not mapped
 *	run DEV QUEUE THREADS ROUNDS
 *				threads that map, copy, compare and unmap
 *	bench DEV QUEUE ROUNDS	cycles that map, submit and unmap of a page take,
 *				without the waiting, in result
 *
 *	DEV of enable, attach, claim and map can be any PCI device.
 *	copy, over: -EFAULT is a fault of the device, the address is in result;
 *	-ENXIO the same when not even its completion record could be written;
 *	-EILSEQ is wrong memory: the destination does not equal the source, or
 *	something around the two has changed.
 *
 * result	what the last command has to say, in words
 *
 * Nothing that a command enabled or attached is undone when a driver is
 * unbound from the device: leaving it is one of the tests.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/iommu-dma-pasid.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/prandom.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/idxd.h>

#include "../dma/idxd/registers.h"

#define DPT_WORD	32
#define DPT_WORDS	5
#define DPT_QUEUES	8
#define DPT_PORTAL	1	/* the limited one, for kernel queues */
#define DPT_AROUND	0x5a	/* what memory around a mapped range holds */
#define DPT_MAX_SIZE	SZ_1M
#define DPT_MAX_THREADS	16
/* Emulators are slow, and what does not come at all is a bug. */
#define DPT_TIMEOUT_US	(30 * USEC_PER_SEC)

/**
 * struct dpt_dev - a DSA that this driver is bound to
 * @list: in dpt_devs, under dpt_lock
 * @pdev: the PCI device
 * @regs: BAR 0
 * @portals: BAR 2
 * @grpcfg_offset: offset of the group table in @regs
 * @wqcfg_offset: offset of the work queue table in @regs
 * @wqcfg_size: size of one entry of it
 * @queue_size: entries of each queue
 * @nr_queues: how many of them are used
 * @users: 1 for the binding, and 1 for each "run"
 * @idle: no users are left
 * @going: no new descriptors
 */
struct dpt_dev {
	struct list_head list;
	struct pci_dev *pdev;
	void __iomem *regs;
	void __iomem *portals;
	u32 grpcfg_offset;
	u32 wqcfg_offset;
	u32 wqcfg_size;
	u32 queue_size;
	u32 nr_queues;
	refcount_t users;
	struct completion idle;
	bool going;
};

/* Memory to copy: each of the two lies in the middle of a larger area */
struct dpt_buf {
	struct list_head list;
	char name[DPT_WORD];
	struct device *dev;	/* whose DMA API mapped it, with a reference */
	size_t size;
	size_t area;
	size_t offset;
	u8 *src, *dst;
	dma_addr_t src_dma, dst_dma;
	size_t tail;		/* of the source, one page that is not mapped; 0: none */
	bool mapped;
	struct dsa_completion_record *done;
	dma_addr_t done_dma;
};

struct dpt_claim {
	struct list_head list;
	struct file *file;
	struct device *dev;
};

struct dpt_pasid {
	struct list_head list;
	struct device *dev;
	struct iommu_domain *domain;
	ioasid_t pasid;
};

struct dpt_thread {
	struct work_struct work;
	struct dpt_dev *dd;
	u32 queue;
	u32 rounds;
	u32 seed;
	u32 done;
	int ret;
};

/* Protects the lists and dpt_result; "run" drops it meanwhile. */
static DEFINE_MUTEX(dpt_lock);
static LIST_HEAD(dpt_devs);
static LIST_HEAD(dpt_bufs);
static LIST_HEAD(dpt_claims);
static LIST_HEAD(dpt_pasids);
static char dpt_result[80];
static struct ioasid_set *dpt_set;
static struct dentry *dpt_dir;

static void __printf(1, 2) dpt_say(const char *format, ...)
{
	va_list args;

	lockdep_assert_held(&dpt_lock);
	va_start(args, format);
	vscnprintf(dpt_result, sizeof(dpt_result), format, args);
	va_end(args);
}

/* The device */

static int dpt_cmd(struct dpt_dev *dd, int code, u32 operand)
{
	union idxd_command_reg cmd = { .operand = operand, .cmd = code };
	u32 status;
	int ret;

	iowrite32(cmd.bits, dd->regs + IDXD_CMD_OFFSET);
	ret = read_poll_timeout(ioread32, status, !(status & IDXD_CMDSTS_ACTIVE),
				10, DPT_TIMEOUT_US, false,
				dd->regs + IDXD_CMDSTS_OFFSET);
	if (ret)
		return ret;
	if (status & IDXD_CMDSTS_ERR_MASK) {
		pci_info(dd->pdev, "command %d of %#x: error %#x\n", code,
			 operand, status & IDXD_CMDSTS_ERR_MASK);
		return -EIO;
	}
	return 0;
}

/* One group of all engines and queues; the queues get their sizes here. */
static int dpt_start(struct dpt_dev *dd)
{
	union engine_cap_reg engines;
	union group_cap_reg groups;
	union group_flags flags = { };
	u32 q;
	int ret;

	ret = dpt_cmd(dd, IDXD_CMD_RESET_DEVICE, 0);
	if (ret)
		return ret;

	groups.bits = ioread64(dd->regs + IDXD_GRPCAP_OFFSET);
	engines.bits = ioread64(dd->regs + IDXD_ENGCAP_OFFSET);
	flags.tc_a = 1;
	flags.tc_b = 1;
	flags.rdbufs_allowed = groups.total_rdbufs;
	iowrite64(GENMASK_ULL(dd->nr_queues - 1, 0),
		  dd->regs + GRPWQCFG_OFFSET(dd, 0, 0));
	iowrite64(GENMASK_ULL(engines.num_engines - 1, 0),
		  dd->regs + GRPENGCFG_OFFSET(dd, 0));
	iowrite64(flags.bits, dd->regs + GRPFLGCFG_OFFSET(dd, 0));
	for (q = 0; q < dd->nr_queues; q++)
		iowrite32(dd->queue_size, dd->regs + WQCFG_OFFSET(dd, q, 0));
	return dpt_cmd(dd, IDXD_CMD_ENABLE_DEVICE, 0);
}

static int dpt_queue(struct dpt_dev *dd, u32 q, ioasid_t pasid)
{
	union wqcfg cfg = { };
	int ret, i;

	if (q >= dd->nr_queues)
		return -EINVAL;
	cfg.bits[WQCFG_OCCUP_IDX] = ioread32(dd->regs +
					     WQCFG_OFFSET(dd, q, WQCFG_OCCUP_IDX));
	if (cfg.wq_state) {
		ret = dpt_cmd(dd, IDXD_CMD_DISABLE_WQ, BIT(q));
		if (ret)
			return ret;
	}

	memset(&cfg, 0, sizeof(cfg));
	cfg.wq_size = dd->queue_size;
	cfg.mode = 1;
	cfg.priority = 1;
	if (pasid) {
		cfg.pasid_en = 1;
		cfg.pasid = pasid;
		cfg.priv = iommu_dma_pasid_is_priv(&dd->pdev->dev, pasid);
	}
	cfg.max_xfer_shift = ilog2(2 * DPT_MAX_SIZE);
	for (i = 0; i < 4; i++)
		iowrite32(cfg.bits[i], dd->regs + WQCFG_OFFSET(dd, q, i));
	return dpt_cmd(dd, IDXD_CMD_ENABLE_WQ, q);
}

/*
 * The status of a completion record; or its stand-in when the device could not
 * write one and says so (DSA specification 9.2, SWERROR).
 */
#define DPT_NO_RECORD	DSA_COMP_STATUS_MASK

static u8 dpt_status(struct dpt_dev *dd, struct dsa_completion_record *done)
{
	u64 swerr;

	if (READ_ONCE(done->status))
		return done->status;
	swerr = ioread64(dd->regs + IDXD_SWERR_OFFSET);
	if (!(swerr & IDXD_SWERR_VALID))
		return 0;
	iowrite64(swerr & IDXD_SWERR_ACK, dd->regs + IDXD_SWERR_OFFSET);
	return DPT_NO_RECORD;
}

static void dpt_send(struct dpt_dev *dd, u32 q, dma_addr_t src, dma_addr_t dst,
		     size_t size, struct dsa_completion_record *done,
		     dma_addr_t done_dma)
{
	void __iomem *portal = dd->portals + q * 4 * SZ_4K + DPT_PORTAL * SZ_4K;
	struct dsa_hw_desc desc __aligned(64) = {
		.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR,
		.opcode = DSA_OPCODE_MEMMOVE,
		.completion_addr = done_dma,
		.src_addr = src,
		.dst_addr = dst,
		.xfer_size = size,
	};

	memset(done, 0, sizeof(*done));
	/* The record is clean, and the source there, before the device looks. */
	wmb();
	iosubmit_cmds512(portal, &desc, 1);
}

/*
 * -EFAULT: the device could not reach an address, which is in *fault;
 * -ENXIO: nor could it reach the completion record.
 */
static int dpt_wait(struct dpt_dev *dd, u32 q,
		    struct dsa_completion_record *done, u64 *fault)
{
	u8 status;
	int ret;

	ret = read_poll_timeout(dpt_status, status, status, 10, DPT_TIMEOUT_US,
				false, dd, done);
	if (ret) {
		pci_err(dd->pdev, "no completion on queue %u\n", q);
		return ret;
	}
	/* The rest of the record, and the destination, after the status */
	dma_rmb();
	switch (status & DSA_COMP_STATUS_MASK) {
	case DSA_COMP_SUCCESS:
		return 0;
	case DSA_COMP_PAGE_FAULT_NOBOF:
		*fault = done->fault_addr;
		return -EFAULT;
	case DPT_NO_RECORD:
		return -ENXIO;
	}
	pci_info(dd->pdev, "queue %u: completion status %#x\n", q, status);
	return -EIO;
}

static int dpt_submit(struct dpt_dev *dd, u32 q, dma_addr_t src, dma_addr_t dst,
		      size_t size, struct dsa_completion_record *done,
		      dma_addr_t done_dma, u64 *fault)
{
	if (READ_ONCE(dd->going))
		return -ESHUTDOWN;
	dpt_send(dd, q, src, dst, size, done, done_dma);
	return dpt_wait(dd, q, done, fault);
}

/* Memory */

static void dpt_buf_fill(struct dpt_buf *buf, struct rnd_state *rnd)
{
	memset(buf->src, DPT_AROUND, buf->area);
	memset(buf->dst, DPT_AROUND, buf->area);
	prandom_bytes_state(rnd, buf->src + buf->offset, buf->size);
}

/* What differs from the source is the range of the destination, if it may. */
static bool dpt_buf_good(struct dpt_buf *buf, bool copied)
{
	u8 *end = buf->dst + buf->offset + buf->size;

	if (memchr_inv(buf->dst, DPT_AROUND, buf->offset) ||
	    memchr_inv(end, DPT_AROUND, buf->dst + buf->area - end))
		return false;
	return !copied ||
	       !memcmp(buf->dst + buf->offset, buf->src + buf->offset, buf->size);
}

static int dpt_buf_map_source(struct dpt_buf *buf, size_t from, size_t size)
{
	return iommu_map(iommu_get_domain_for_dev(buf->dev), buf->src_dma + from,
			 virt_to_phys(buf->src + buf->offset + from), size,
			 IOMMU_READ | IOMMU_CACHE);
}

static int dpt_buf_tail(struct dpt_buf *buf, u32 first, u32 pages)
{
	size_t from = (size_t)first * PAGE_SIZE, size = (size_t)pages * PAGE_SIZE;

	if (!buf->mapped || buf->tail || pages < 2 || from + size > buf->size)
		return -EINVAL;
	if (iommu_unmap(iommu_get_domain_for_dev(buf->dev), buf->src_dma + from,
			size) != size)
		return -EIO;
	buf->tail = from + size - PAGE_SIZE;
	return dpt_buf_map_source(buf, from, size - PAGE_SIZE);
}

static void dpt_buf_unmap(struct dpt_buf *buf)
{
	if (!buf->mapped)
		return;
	/* The DMA API finds what it has mapped. */
	if (buf->tail && dpt_buf_map_source(buf, buf->tail, PAGE_SIZE))
		dev_err(buf->dev, "the tail cannot be mapped again\n");
	buf->tail = 0;
	dma_unmap_single(buf->dev, buf->src_dma, buf->size, DMA_TO_DEVICE);
	dma_unmap_single(buf->dev, buf->dst_dma, buf->size, DMA_FROM_DEVICE);
	buf->mapped = false;
}

static int dpt_buf_map(struct dpt_buf *buf)
{
	buf->src_dma = dma_map_single(buf->dev, buf->src + buf->offset,
				      buf->size, DMA_TO_DEVICE);
	if (dma_mapping_error(buf->dev, buf->src_dma))
		return -ENOMEM;
	buf->dst_dma = dma_map_single(buf->dev, buf->dst + buf->offset,
				      buf->size, DMA_FROM_DEVICE);
	if (dma_mapping_error(buf->dev, buf->dst_dma)) {
		dma_unmap_single(buf->dev, buf->src_dma, buf->size,
				 DMA_TO_DEVICE);
		return -ENOMEM;
	}
	buf->mapped = true;
	return 0;
}

static void dpt_buf_free(struct dpt_buf *buf)
{
	dpt_buf_unmap(buf);
	if (buf->done)
		dma_free_coherent(buf->dev, PAGE_SIZE, buf->done,
				  buf->done_dma);
	if (buf->src)
		free_pages_exact(buf->src, buf->area);
	if (buf->dst)
		free_pages_exact(buf->dst, buf->area);
	put_device(buf->dev);
	kfree(buf);
}

/* The record is in a page of its own, which stays mapped until the end. */
static struct dpt_buf *dpt_buf_alloc(struct device *dev, size_t offset,
				     size_t size)
{
	struct dpt_buf *buf = kzalloc(sizeof(*buf), GFP_KERNEL);

	if (!buf)
		return NULL;
	buf->dev = get_device(dev);
	buf->size = size;
	buf->offset = PAGE_SIZE + offset;
	/* Two pages behind it: "over" goes into the first. */
	buf->area = PAGE_ALIGN(buf->offset + size) + 2 * PAGE_SIZE;
	buf->src = alloc_pages_exact(buf->area, GFP_KERNEL);
	buf->dst = alloc_pages_exact(buf->area, GFP_KERNEL);
	buf->done = dma_alloc_coherent(dev, PAGE_SIZE, &buf->done_dma,
				       GFP_KERNEL);
	if (!buf->src || !buf->dst || !buf->done) {
		dpt_buf_free(buf);
		return NULL;
	}
	return buf;
}

static int dpt_copy(struct dpt_dev *dd, u32 q, struct dpt_buf *buf, bool over)
{
	struct rnd_state rnd;
	u64 fault = 0;
	bool good;
	int ret;

	if (q >= dd->nr_queues)
		return -EINVAL;
	prandom_seed_state(&rnd, buf->src_dma);
	dpt_buf_fill(buf, &rnd);
	ret = dpt_submit(dd, q, buf->src_dma, buf->dst_dma,
			 buf->size + (over ? PAGE_SIZE : 0), buf->done,
			 buf->done_dma, &fault);
	if (ret == -EFAULT)
		dpt_say("fault at %#llx", fault);
	if (ret && ret != -EFAULT)
		return ret;

	/*
	 * What is no longer mapped was not written at all, what is mapped up
	 * to the fault at most.
	 */
	good = dpt_buf_good(buf, !ret);
	if (!buf->mapped)
		good = good && !memchr_inv(buf->dst, DPT_AROUND, buf->area);
	if (!good) {
		dpt_say("memory differs (%d)", ret);
		return -EILSEQ;
	}
	return ret;
}

/* Threads */

static int dpt_run_round(struct dpt_thread *t, struct rnd_state *rnd)
{
	struct device *dev = &t->dd->pdev->dev;
	struct dpt_buf *buf;
	u64 fault = 0;
	int ret;

	buf = dpt_buf_alloc(dev, prandom_u32_state(rnd) % PAGE_SIZE,
			    1 + prandom_u32_state(rnd) % SZ_16K);
	if (!buf)
		return -ENOMEM;
	ret = dpt_buf_map(buf);
	if (ret)
		goto out;
	dpt_buf_fill(buf, rnd);
	ret = dpt_submit(t->dd, t->queue, buf->src_dma, buf->dst_dma, buf->size,
			 buf->done, buf->done_dma, &fault);
	if (!ret && !dpt_buf_good(buf, true))
		ret = -EILSEQ;
	if (ret && ret != -ESHUTDOWN)
		dev_err(dev, "run: queue %u round %u: %d, fault %#llx\n",
			t->queue, t->done, ret, fault);
out:
	dpt_buf_free(buf);
	return ret;
}

static void dpt_run_thread(struct work_struct *work)
{
	struct dpt_thread *t = container_of(work, struct dpt_thread, work);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, t->seed);
	while (t->done < t->rounds && !READ_ONCE(t->dd->going)) {
		t->ret = dpt_run_round(t, &rnd);
		if (t->ret)
			break;
		t->done++;
		cond_resched();
	}
}

static void dpt_dev_put(struct dpt_dev *dd)
{
	if (refcount_dec_and_test(&dd->users))
		complete(&dd->idle);
}

/* Without the lock, so that devices can go, and more can run, meanwhile */
static int dpt_run(struct dpt_dev *dd, u32 q, u32 nr, u32 rounds)
{
	struct dpt_thread *threads;
	u32 i, done = 0;
	int ret = 0;

	if (q >= dd->nr_queues || !nr || nr > DPT_MAX_THREADS)
		return -EINVAL;
	threads = kcalloc(nr, sizeof(*threads), GFP_KERNEL);
	if (!threads)
		return -ENOMEM;
	refcount_inc(&dd->users);
	mutex_unlock(&dpt_lock);

	for (i = 0; i < nr; i++) {
		INIT_WORK(&threads[i].work, dpt_run_thread);
		threads[i].dd = dd;
		threads[i].queue = q;
		threads[i].rounds = rounds;
		threads[i].seed = q * DPT_MAX_THREADS + i + 1;
		queue_work(system_unbound_wq, &threads[i].work);
	}
	for (i = 0; i < nr; i++) {
		flush_work(&threads[i].work);
		done += threads[i].done;
		ret = ret ?: threads[i].ret;
	}

	dpt_dev_put(dd);
	mutex_lock(&dpt_lock);
	dpt_say("%u rounds", done);
	kfree(threads);
	return ret;
}

/* With an emulator that counts instructions, those are the cycles. */
static int dpt_bench(struct dpt_dev *dd, u32 q, u32 rounds)
{
	struct dpt_buf *buf;
	cycles_t start, cycles = 0;
	u64 fault;
	u32 i;
	int ret = 0;

	if (q >= dd->nr_queues || !rounds)
		return -EINVAL;
	buf = dpt_buf_alloc(&dd->pdev->dev, 0, PAGE_SIZE);
	if (!buf)
		return -ENOMEM;
	for (i = 0; i < rounds && !ret; i++) {
		start = get_cycles();
		ret = dpt_buf_map(buf);
		if (ret)
			break;
		dpt_send(dd, q, buf->src_dma, buf->dst_dma, buf->size,
			 buf->done, buf->done_dma);
		cycles += get_cycles() - start;
		ret = dpt_wait(dd, q, buf->done, &fault);
		start = get_cycles();
		dpt_buf_unmap(buf);
		cycles += get_cycles() - start;
	}
	dpt_buf_free(buf);
	dpt_say("%llu", (u64)cycles / rounds);
	return ret;
}

/* PASIDs and ownership */

static int dpt_mode(const char *name)
{
	static const char * const names[] = {
		[IOMMU_DMA_PASID_BYPASS] = "bypass",
		[IOMMU_DMA_PASID_IOVA] = "iova",
		[IOMMU_DMA_PASID_KVA] = "kva",
	};

	return match_string(names, ARRAY_SIZE(names), name);
}

static int dpt_enable(struct device *dev, const char *name)
{
	int mode = dpt_mode(name);
	int pasid;

	if (mode < 0)
		return mode;
	pasid = iommu_dma_pasid_enable(dev, NULL, mode);
	if (pasid < 0)
		return pasid;
	dpt_say("%d", pasid);
	return 0;
}

static void dpt_pasid_end(struct dpt_pasid *dp, bool detach)
{
	if (detach)
		iommu_detach_device_pasid(dp->domain, dp->dev, dp->pasid);
	ioasid_free(dpt_set, dp->pasid);
	list_del(&dp->list);
	put_device(dp->dev);
	kfree(dp);
}

static int dpt_attach(struct device *dev, const char *other)
{
	struct device *domain_dev;
	struct dpt_pasid *dp;
	int ret;

	domain_dev = bus_find_device_by_name(&pci_bus_type, NULL, other);
	if (!domain_dev)
		return -ENODEV;
	dp = kzalloc(sizeof(*dp), GFP_KERNEL);
	if (!dp) {
		put_device(domain_dev);
		return -ENOMEM;
	}
	dp->dev = get_device(dev);
	dp->domain = iommu_get_domain_for_dev(domain_dev);
	put_device(domain_dev);
	ret = -ENODEV;
	if (!dp->domain)
		goto err_free;
	ret = ioasid_alloc(dpt_set, IOASID_ALLOC_BASE, IOASID_MAX, NULL,
			   &dp->pasid);
	if (ret)
		goto err_free;
	ret = iommu_attach_device_pasid(dp->domain, dev, dp->pasid);
	if (ret)
		goto err_pasid;
	list_add_tail(&dp->list, &dpt_pasids);
	dpt_say("%u", dp->pasid);
	return 0;

err_pasid:
	ioasid_free(dpt_set, dp->pasid);
err_free:
	put_device(dp->dev);
	kfree(dp);
	return ret;
}

static int dpt_detach(struct device *dev, ioasid_t pasid, bool detach)
{
	struct dpt_pasid *dp;

	list_for_each_entry(dp, &dpt_pasids, list) {
		if (dp->dev == dev && dp->pasid == pasid) {
			dpt_pasid_end(dp, detach);
			return 0;
		}
	}
	return -ENOENT;
}

static void dpt_claim_end(struct dpt_claim *claim)
{
	iommu_device_release_dma_owner(claim->dev, DMA_OWNER_USER);
	list_del(&claim->list);
	put_device(claim->dev);
	kfree(claim);
}

static int dpt_claim(struct device *dev, struct file *file)
{
	struct dpt_claim *claim = kzalloc(sizeof(*claim), GFP_KERNEL);
	int ret;

	if (!claim)
		return -ENOMEM;
	ret = iommu_device_set_dma_owner(dev, DMA_OWNER_USER, file);
	if (ret) {
		kfree(claim);
		return ret;
	}
	claim->dev = get_device(dev);
	claim->file = file;
	list_add_tail(&claim->list, &dpt_claims);
	return 0;
}

static int dpt_release(struct device *dev, struct file *file)
{
	struct dpt_claim *claim;

	list_for_each_entry(claim, &dpt_claims, list) {
		if (claim->dev == dev && claim->file == file) {
			dpt_claim_end(claim);
			return 0;
		}
	}
	return -ENOENT;
}

/* Commands */

static struct dpt_buf *dpt_buf_find(const char *name)
{
	struct dpt_buf *buf;

	list_for_each_entry(buf, &dpt_bufs, list)
		if (!strcmp(buf->name, name))
			return buf;
	return NULL;
}

static int dpt_map(struct device *dev, const char *name, u32 size)
{
	struct dpt_buf *buf;
	int ret;

	if (!size || size > DPT_MAX_SIZE)
		return -EINVAL;
	if (dpt_buf_find(name))
		return -EEXIST;
	buf = dpt_buf_alloc(dev, 0, size);
	if (!buf)
		return -ENOMEM;
	ret = dpt_buf_map(buf);
	if (ret) {
		dpt_buf_free(buf);
		return ret;
	}
	strscpy(buf->name, name, sizeof(buf->name));
	list_add_tail(&buf->list, &dpt_bufs);
	/* Physical addresses are the business of root, who reads this. */
	dpt_say("dma %#llx is %s", (u64)buf->dst_dma,
		buf->dst_dma == virt_to_phys(buf->dst + buf->offset) ?
		"physical" : "translated");
	return 0;
}

static struct dpt_dev *dpt_dev_find(struct device *dev)
{
	struct dpt_dev *dd;

	list_for_each_entry(dd, &dpt_devs, list)
		if (&dd->pdev->dev == dev)
			return dd;
	return NULL;
}

/* Commands that need a device that this driver is bound to */
static int dpt_dev_command(struct dpt_dev *dd, const char *verb, int nr,
			   char (*arg)[DPT_WORD])
{
	struct dpt_buf *buf;
	u32 x[3] = { };
	int i;

	if (nr == 0 && !strcmp(verb, "start"))
		return dpt_start(dd);
	if (nr == 0 && !strcmp(verb, "stop"))
		return dpt_cmd(dd, IDXD_CMD_DISABLE_DEVICE, 0);

	if (nr == 2 && (!strcmp(verb, "copy") || !strcmp(verb, "over"))) {
		buf = dpt_buf_find(arg[1]);
		if (!buf)
			return -ENOENT;
		if (kstrtou32(arg[0], 0, &x[0]))
			return -EINVAL;
		return dpt_copy(dd, x[0], buf, verb[0] == 'o');
	}

	for (i = 0; i < nr && i < ARRAY_SIZE(x); i++)
		if (kstrtou32(arg[i], 0, &x[i]))
			return -EINVAL;
	if (nr == 2 && !strcmp(verb, "queue"))
		return dpt_queue(dd, x[0], x[1]);
	if (nr == 2 && !strcmp(verb, "bench"))
		return dpt_bench(dd, x[0], x[1]);
	if (nr == 3 && !strcmp(verb, "run"))
		return dpt_run(dd, x[0], x[1], x[2]);
	return -EINVAL;
}

static int dpt_command(struct file *file, char *line)
{
	char word[DPT_WORDS][DPT_WORD];
	struct device *dev;
	struct dpt_buf *buf;
	struct dpt_dev *dd;
	int nr, ret;
	u32 x, y;

	/* The numbers are those of DPT_WORD and DPT_WORDS */
	nr = sscanf(line, "%31s %31s %31s %31s %31s", word[0], word[1],
		    word[2], word[3], word[4]);
	if (nr < 2)
		return -EINVAL;

	if (!strcmp(word[0], "unmap") || !strcmp(word[0], "drop")) {
		buf = dpt_buf_find(word[1]);
		if (!buf)
			return -ENOENT;
		dpt_buf_unmap(buf);
		if (word[0][0] == 'd') {
			list_del(&buf->list);
			dpt_buf_free(buf);
		}
		return 0;
	}

	if (nr == 4 && !strcmp(word[0], "tail")) {
		buf = dpt_buf_find(word[1]);
		if (!buf)
			return -ENOENT;
		return kstrtou32(word[2], 0, &x) ?: kstrtou32(word[3], 0, &y) ?:
		       dpt_buf_tail(buf, x, y);
	}

	dev = bus_find_device_by_name(&pci_bus_type, NULL, word[1]);
	if (!dev)
		return -ENODEV;
	dd = dpt_dev_find(dev);
	if (nr == 3 && !strcmp(word[0], "enable"))
		ret = dpt_enable(dev, word[2]);
	else if (nr == 3 && !strcmp(word[0], "disable"))
		ret = iommu_dma_pasid_disable(dev, NULL, dpt_mode(word[2]));
	else if (nr == 3 && !strcmp(word[0], "attach"))
		ret = dpt_attach(dev, word[2]);
	else if (nr == 3 && !strcmp(word[0], "detach"))
		ret = kstrtou32(word[2], 0, &x) ?: dpt_detach(dev, x, true);
	else if (nr == 3 && !strcmp(word[0], "free"))
		ret = kstrtou32(word[2], 0, &x) ?: dpt_detach(dev, x, false);
	else if (nr == 2 && !strcmp(word[0], "claim"))
		ret = dpt_claim(dev, file);
	else if (nr == 2 && !strcmp(word[0], "release"))
		ret = dpt_release(dev, file);
	else if (nr == 4 && !strcmp(word[0], "map"))
		ret = kstrtou32(word[3], 0, &x) ?: dpt_map(dev, word[2], x);
	else if (dd)
		ret = dpt_dev_command(dd, word[0], nr - 2, word + 2);
	else
		ret = -ENODEV;
	put_device(dev);
	return ret;
}

static ssize_t dpt_command_write(struct file *file, const char __user *buf,
				 size_t count, loff_t *pos)
{
	char *line;
	int ret;

	if (count > DPT_WORDS * DPT_WORD)
		return -EINVAL;
	line = memdup_user_nul(buf, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&dpt_lock);
	dpt_result[0] = '\0';
	ret = dpt_command(file, line);
	mutex_unlock(&dpt_lock);
	kfree(line);
	return ret ?: count;
}

static int dpt_command_release(struct inode *inode, struct file *file)
{
	struct dpt_claim *claim, *next;

	mutex_lock(&dpt_lock);
	list_for_each_entry_safe(claim, next, &dpt_claims, list)
		if (claim->file == file)
			dpt_claim_end(claim);
	mutex_unlock(&dpt_lock);
	return 0;
}

static const struct file_operations dpt_command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = dpt_command_write,
	.release = dpt_command_release,
	.llseek = no_llseek,
};

static ssize_t dpt_result_read(struct file *file, char __user *buf,
			       size_t count, loff_t *pos)
{
	char line[sizeof(dpt_result) + 1];
	int len;

	mutex_lock(&dpt_lock);
	len = scnprintf(line, sizeof(line), "%s\n", dpt_result);
	mutex_unlock(&dpt_lock);
	return simple_read_from_buffer(buf, count, pos, line, len);
}

static const struct file_operations dpt_result_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = dpt_result_read,
	.llseek = no_llseek,
};

/* The driver */

static int dpt_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	union wq_cap_reg wqs;
	union offsets_reg offsets;
	struct dpt_dev *dd;
	int ret;

	if (!boot_cpu_has(X86_FEATURE_MOVDIR64B))
		return -EOPNOTSUPP;
	if (pdev->vendor != PCI_VENDOR_ID_INTEL ||
	    pdev->device != PCI_DEVICE_ID_INTEL_DSA_SPR0)
		return -ENODEV;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_iomap_regions(pdev, BIT(0) | BIT(2), KBUILD_MODNAME);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	pci_set_master(pdev);

	dd = kzalloc(sizeof(*dd), GFP_KERNEL);
	if (!dd)
		return -ENOMEM;
	dd->pdev = pdev;
	dd->regs = pcim_iomap_table(pdev)[0];
	dd->portals = pcim_iomap_table(pdev)[2];
	refcount_set(&dd->users, 1);
	init_completion(&dd->idle);
	wqs.bits = ioread64(dd->regs + IDXD_WQCAP_OFFSET);
	offsets.bits[0] = ioread64(dd->regs + IDXD_TABLE_OFFSET);
	dd->grpcfg_offset = offsets.grpcfg * IDXD_TABLE_MULT;
	dd->wqcfg_offset = offsets.wqcfg * IDXD_TABLE_MULT;
	dd->wqcfg_size = 1 << (wqs.wqcfg_size + IDXD_WQCFG_MIN);
	dd->nr_queues = min_t(u32, wqs.num_wqs, DPT_QUEUES);
	dd->queue_size = wqs.total_wq_size / dd->nr_queues;
	pci_set_drvdata(pdev, dd);

	mutex_lock(&dpt_lock);
	list_add_tail(&dd->list, &dpt_devs);
	mutex_unlock(&dpt_lock);
	return 0;
}

static void dpt_remove(struct pci_dev *pdev)
{
	struct dpt_dev *dd = pci_get_drvdata(pdev);
	struct dpt_buf *buf, *next;

	mutex_lock(&dpt_lock);
	list_del(&dd->list);
	WRITE_ONCE(dd->going, true);
	list_for_each_entry_safe(buf, next, &dpt_bufs, list) {
		if (buf->dev == &pdev->dev) {
			list_del(&buf->list);
			dpt_buf_free(buf);
		}
	}
	mutex_unlock(&dpt_lock);

	dpt_dev_put(dd);
	wait_for_completion(&dd->idle);
	/* Waits for what a timeout may have left behind */
	dpt_cmd(dd, IDXD_CMD_RESET_DEVICE, 0);
	pci_clear_master(pdev);
	kfree(dd);
}

/*
 * A device that is enabled halts when the PCI core takes bus mastering away,
 * and only a function level reset brings it back. Its queues are gone after
 * the suspend; what PASIDs it has is not.
 */
static int dpt_suspend(struct device *dev)
{
	struct dpt_dev *dd = dev_get_drvdata(dev);
	union gensts_reg sts;

	sts.bits = ioread32(dd->regs + IDXD_GENSTATS_OFFSET);
	if (sts.state != IDXD_DEVICE_STATE_ENABLED)
		return 0;
	return dpt_cmd(dd, IDXD_CMD_DISABLE_DEVICE, 0);
}

static DEFINE_SIMPLE_DEV_PM_OPS(dpt_pm_ops, dpt_suspend, NULL);

/* Only by driver_override */
static struct pci_driver dpt_driver = {
	.name = "iommu-dma-pasid-test",
	.probe = dpt_probe,
	.remove = dpt_remove,
	.driver.pm = pm_sleep_ptr(&dpt_pm_ops),
};

static int __init dpt_init(void)
{
	int ret;

	dpt_set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	if (IS_ERR(dpt_set))
		return PTR_ERR(dpt_set);
	ret = pci_register_driver(&dpt_driver);
	if (ret) {
		ioasid_set_free(dpt_set);
		return ret;
	}
	dpt_dir = debugfs_create_dir("iommu-dma-pasid-test", NULL);
	debugfs_create_file("command", 0200, dpt_dir, NULL, &dpt_command_fops);
	debugfs_create_file("result", 0400, dpt_dir, NULL, &dpt_result_fops);
	return 0;
}
module_init(dpt_init);

static void __exit dpt_exit(void)
{
	struct dpt_pasid *dp, *next_dp;
	struct dpt_buf *buf, *next;

	debugfs_remove(dpt_dir);
	pci_unregister_driver(&dpt_driver);
	list_for_each_entry_safe(buf, next, &dpt_bufs, list) {
		list_del(&buf->list);
		dpt_buf_free(buf);
	}
	mutex_lock(&dpt_lock);
	list_for_each_entry_safe(dp, next_dp, &dpt_pasids, list)
		dpt_pasid_end(dp, true);
	mutex_unlock(&dpt_lock);
	ioasid_set_free(dpt_set);
}
module_exit(dpt_exit);

MODULE_DESCRIPTION("Test client of DMA with PASID");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
