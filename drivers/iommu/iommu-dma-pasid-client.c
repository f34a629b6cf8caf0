// SPDX-License-Identifier: GPL-2.0
/*
 * Test client of DMA with PASID
 *
 * Lets devices copy memory with any PASID, so that what the IOMMU core does with
 * PASIDs can be seen, and tested, from user space. How a device is programmed is
 * up to its driver, which registers it here. Commands name devices by their PCI
 * addresses.
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
 *	queue DEV QUEUE PASID	enable a queue; PASID 0: without
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
 *	DEV of enable, attach, claim and map can be any PCI device; start, stop,
 *	queue, copy, over, run and bench need one that its driver has registered.
 *	copy, over: -EFAULT is a fault of the device, the address is in result;
 *	-ENXIO the same when not even its completion record could be written;
 *	-EILSEQ is wrong memory: the destination does not equal the source, or
 *	something around the two has changed.
 *
 * result	what the last command has to say, in words
 *
 * Nothing that a command enabled or attached is undone when a device is
 * unregistered: a driver that leaves it is one of the tests.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/iommu-dma-pasid.h>
#include <linux/iommu-dma-pasid-client.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define DPT_WORD	32
#define DPT_WORDS	5
#define DPT_AROUND	0x5a	/* what memory around a mapped range holds */
#define DPT_MAX_SIZE	SZ_1M
#define DPT_MAX_THREADS	16

/* "over" adds a page. */
static_assert(DPT_MAX_SIZE + PAGE_SIZE <= IOMMU_DMA_PASID_COPY_MAX);

/**
 * struct iommu_dma_pasid_client - a device that its driver has registered
 * @list: in dpt_clients, under dpt_lock
 * @dev: the device
 * @ops: what its driver does with it
 * @nr_queues: how many it has
 * @users: 1 for the registration, and 1 for each "run"
 * @idle: no users are left
 * @going: no new copies
 */
struct iommu_dma_pasid_client {
	struct list_head list;
	struct device *dev;
	const struct iommu_dma_pasid_client_ops *ops;
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
	size_t area;
	size_t offset;
	u8 *src, *dst;
	struct iommu_dma_pasid_copy copy;
	size_t tail;		/* of the source, one page that is not mapped; 0: none */
	bool mapped;
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
	struct iommu_dma_pasid_client *client;
	u32 queue;
	u32 rounds;
	u32 seed;
	u32 done;
	int ret;
};

/**
 * struct dpt_command - a command that was written
 * @file: by way of which
 * @nr: how many words it has
 * @word: the words
 * @buf: the buffer that it names first, if it is about one
 * @dev: the device that it names first, with a reference, otherwise
 * @client: the registration of @dev, NULL without
 */
struct dpt_command {
	struct file *file;
	int nr;
	char word[DPT_WORDS][DPT_WORD];
	struct dpt_buf *buf;
	struct device *dev;
	struct iommu_dma_pasid_client *client;
};

/* Protects the lists and dpt_result; "run" drops it meanwhile. */
static DEFINE_MUTEX(dpt_lock);
static LIST_HEAD(dpt_clients);
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

static int dpt_submit(struct iommu_dma_pasid_client *client, u32 q,
		      const struct iommu_dma_pasid_copy *copy, u64 *fault)
{
	if (READ_ONCE(client->going))
		return -ESHUTDOWN;
	client->ops->submit(client->dev, q, copy);
	return client->ops->wait(client->dev, q, copy, fault);
}

/* Memory */

static void dpt_buf_fill(struct dpt_buf *buf, struct rnd_state *rnd)
{
	memset(buf->src, DPT_AROUND, buf->area);
	memset(buf->dst, DPT_AROUND, buf->area);
	prandom_bytes_state(rnd, buf->src + buf->offset, buf->copy.size);
}

/* What differs from the source is the range of the destination, if it may. */
static bool dpt_buf_good(struct dpt_buf *buf, bool copied)
{
	u8 *end = buf->dst + buf->offset + buf->copy.size;

	if (memchr_inv(buf->dst, DPT_AROUND, buf->offset) ||
	    memchr_inv(end, DPT_AROUND, buf->dst + buf->area - end))
		return false;
	return !copied ||
	       !memcmp(buf->dst + buf->offset, buf->src + buf->offset, buf->copy.size);
}

static int dpt_buf_map_source(struct dpt_buf *buf, size_t from, size_t size)
{
	return iommu_map(iommu_get_domain_for_dev(buf->dev), buf->copy.src + from,
			 virt_to_phys(buf->src + buf->offset + from), size,
			 IOMMU_READ | IOMMU_CACHE);
}

static int dpt_buf_tail(struct dpt_buf *buf, u32 first, u32 pages)
{
	size_t from = (size_t)first * PAGE_SIZE, size = (size_t)pages * PAGE_SIZE;

	if (!buf->mapped || buf->tail || pages < 2 || from + size > buf->copy.size)
		return -EINVAL;
	if (iommu_unmap(iommu_get_domain_for_dev(buf->dev), buf->copy.src + from,
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
	dma_unmap_single(buf->dev, buf->copy.src, buf->copy.size, DMA_TO_DEVICE);
	dma_unmap_single(buf->dev, buf->copy.dst, buf->copy.size, DMA_FROM_DEVICE);
	buf->mapped = false;
}

static int dpt_buf_map(struct dpt_buf *buf)
{
	buf->copy.src = dma_map_single(buf->dev, buf->src + buf->offset,
				       buf->copy.size, DMA_TO_DEVICE);
	if (dma_mapping_error(buf->dev, buf->copy.src))
		return -ENOMEM;
	buf->copy.dst = dma_map_single(buf->dev, buf->dst + buf->offset,
				       buf->copy.size, DMA_FROM_DEVICE);
	if (dma_mapping_error(buf->dev, buf->copy.dst)) {
		dma_unmap_single(buf->dev, buf->copy.src, buf->copy.size,
				 DMA_TO_DEVICE);
		return -ENOMEM;
	}
	buf->mapped = true;
	return 0;
}

static void dpt_buf_free(struct dpt_buf *buf)
{
	dpt_buf_unmap(buf);
	if (buf->copy.record)
		dma_free_coherent(buf->dev, PAGE_SIZE, buf->copy.record,
				  buf->copy.record_dma);
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
	buf->copy.size = size;
	buf->offset = PAGE_SIZE + offset;
	/* Two pages behind it: "over" goes into the first. */
	buf->area = PAGE_ALIGN(buf->offset + size) + 2 * PAGE_SIZE;
	buf->src = alloc_pages_exact(buf->area, GFP_KERNEL);
	buf->dst = alloc_pages_exact(buf->area, GFP_KERNEL);
	buf->copy.record = dma_alloc_coherent(dev, PAGE_SIZE,
					      &buf->copy.record_dma, GFP_KERNEL);
	if (!buf->src || !buf->dst || !buf->copy.record) {
		dpt_buf_free(buf);
		return NULL;
	}
	return buf;
}

static struct dpt_buf *dpt_buf_find(const char *name)
{
	struct dpt_buf *buf;

	list_for_each_entry(buf, &dpt_bufs, list)
		if (!strcmp(buf->name, name))
			return buf;
	return NULL;
}

/* All of a device, or with NULL all there are */
static void dpt_bufs_free(struct device *dev)
{
	struct dpt_buf *buf, *next;

	lockdep_assert_held(&dpt_lock);
	list_for_each_entry_safe(buf, next, &dpt_bufs, list) {
		if (dev && buf->dev != dev)
			continue;
		list_del(&buf->list);
		dpt_buf_free(buf);
	}
}

static int dpt_unmap(const struct dpt_command *cmd)
{
	dpt_buf_unmap(cmd->buf);
	return 0;
}

static int dpt_drop(const struct dpt_command *cmd)
{
	list_del(&cmd->buf->list);
	dpt_buf_free(cmd->buf);
	return 0;
}

static int dpt_tail(const struct dpt_command *cmd)
{
	u32 first, pages;

	return kstrtou32(cmd->word[2], 0, &first) ?:
	       kstrtou32(cmd->word[3], 0, &pages) ?:
	       dpt_buf_tail(cmd->buf, first, pages);
}

static int dpt_map(const struct dpt_command *cmd)
{
	struct dpt_buf *buf;
	u32 size;
	int ret;

	ret = kstrtou32(cmd->word[3], 0, &size);
	if (ret)
		return ret;
	if (!size || size > DPT_MAX_SIZE)
		return -EINVAL;
	if (dpt_buf_find(cmd->word[2]))
		return -EEXIST;
	buf = dpt_buf_alloc(cmd->dev, 0, size);
	if (!buf)
		return -ENOMEM;
	ret = dpt_buf_map(buf);
	if (ret) {
		dpt_buf_free(buf);
		return ret;
	}
	strscpy(buf->name, cmd->word[2], sizeof(buf->name));
	list_add_tail(&buf->list, &dpt_bufs);
	/* Physical addresses are the business of root, who reads this. */
	dpt_say("dma %#llx is %s", (u64)buf->copy.dst,
		buf->copy.dst == virt_to_phys(buf->dst + buf->offset) ?
		"physical" : "translated");
	return 0;
}

/* Copies */

/* The numbers of a command for a client, the first of which is its queue */
static int dpt_numbers(const struct dpt_command *cmd, u32 *x, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (kstrtou32(cmd->word[2 + i], 0, &x[i]))
			return -EINVAL;
	return x[0] < cmd->client->nr_queues ? 0 : -EINVAL;
}

static int dpt_start(const struct dpt_command *cmd)
{
	return cmd->client->ops->start(cmd->dev);
}

static int dpt_stop(const struct dpt_command *cmd)
{
	return cmd->client->ops->stop(cmd->dev);
}

static int dpt_queue(const struct dpt_command *cmd)
{
	u32 x[2];

	return dpt_numbers(cmd, x, ARRAY_SIZE(x)) ?:
	       cmd->client->ops->queue(cmd->dev, x[0], x[1]);
}

/*
 * What is no longer mapped was not written at all, what is mapped up to the
 * fault at most.
 */
static bool dpt_copy_good(struct dpt_buf *buf, bool copied)
{
	if (!dpt_buf_good(buf, copied))
		return false;
	return buf->mapped || !memchr_inv(buf->dst, DPT_AROUND, buf->area);
}

static int dpt_copy_more(const struct dpt_command *cmd, size_t more)
{
	struct dpt_buf *buf = dpt_buf_find(cmd->word[3]);
	struct iommu_dma_pasid_copy copy;
	struct rnd_state rnd;
	u64 fault = 0;
	u32 q;
	int ret;

	if (!buf)
		return -ENOENT;
	ret = dpt_numbers(cmd, &q, 1);
	if (ret)
		return ret;
	prandom_seed_state(&rnd, buf->copy.src);
	dpt_buf_fill(buf, &rnd);
	copy = buf->copy;
	copy.size += more;
	ret = dpt_submit(cmd->client, q, &copy, &fault);
	if (ret == -EFAULT)
		dpt_say("fault at %#llx", fault);
	if (ret && ret != -EFAULT)
		return ret;
	if (!dpt_copy_good(buf, !ret)) {
		dpt_say("memory differs (%d)", ret);
		return -EILSEQ;
	}
	return ret;
}

static int dpt_copy(const struct dpt_command *cmd)
{
	return dpt_copy_more(cmd, 0);
}

static int dpt_over(const struct dpt_command *cmd)
{
	return dpt_copy_more(cmd, PAGE_SIZE);
}

/* With an emulator that counts instructions, those are the cycles. */
static int dpt_bench_rounds(struct iommu_dma_pasid_client *client, u32 q,
			    struct dpt_buf *buf, u32 rounds, cycles_t *cycles)
{
	cycles_t start;
	u64 fault;
	u32 i;
	int ret = 0;

	for (i = 0; i < rounds && !ret; i++) {
		start = get_cycles();
		ret = dpt_buf_map(buf);
		if (ret)
			break;
		client->ops->submit(client->dev, q, &buf->copy);
		*cycles += get_cycles() - start;
		ret = client->ops->wait(client->dev, q, &buf->copy, &fault);
		start = get_cycles();
		dpt_buf_unmap(buf);
		*cycles += get_cycles() - start;
	}
	return ret;
}

static int dpt_bench(const struct dpt_command *cmd)
{
	cycles_t cycles = 0;
	struct dpt_buf *buf;
	u32 x[2];
	int ret;

	ret = dpt_numbers(cmd, x, ARRAY_SIZE(x));
	if (ret)
		return ret;
	if (!x[1])
		return -EINVAL;
	buf = dpt_buf_alloc(cmd->dev, 0, PAGE_SIZE);
	if (!buf)
		return -ENOMEM;
	ret = dpt_bench_rounds(cmd->client, x[0], buf, x[1], &cycles);
	dpt_buf_free(buf);
	dpt_say("%llu", div_u64(cycles, x[1]));
	return ret;
}

/* Threads */

static int dpt_run_round(struct dpt_thread *t, struct rnd_state *rnd)
{
	struct device *dev = t->client->dev;
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
	ret = dpt_submit(t->client, t->queue, &buf->copy, &fault);
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
	while (t->done < t->rounds && !READ_ONCE(t->client->going)) {
		t->ret = dpt_run_round(t, &rnd);
		if (t->ret)
			break;
		t->done++;
		cond_resched();
	}
}

static void dpt_client_put(struct iommu_dma_pasid_client *client)
{
	if (refcount_dec_and_test(&client->users))
		complete(&client->idle);
}

static int dpt_run_threads(struct dpt_thread *threads, u32 nr, u32 *done)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		queue_work(system_unbound_wq, &threads[i].work);
	for (i = 0; i < nr; i++) {
		flush_work(&threads[i].work);
		*done += threads[i].done;
		ret = ret ?: threads[i].ret;
	}
	return ret;
}

static struct dpt_thread *dpt_threads_alloc(struct iommu_dma_pasid_client *client,
					    u32 q, u32 nr, u32 rounds)
{
	struct dpt_thread *threads = kcalloc(nr, sizeof(*threads), GFP_KERNEL);
	u32 i;

	for (i = 0; threads && i < nr; i++) {
		INIT_WORK(&threads[i].work, dpt_run_thread);
		threads[i].client = client;
		threads[i].queue = q;
		threads[i].rounds = rounds;
		threads[i].seed = q * DPT_MAX_THREADS + i + 1;
	}
	return threads;
}

/* Without the lock, so that devices can go, and more can run, meanwhile */
static int dpt_run(const struct dpt_command *cmd)
{
	struct iommu_dma_pasid_client *client = cmd->client;
	struct dpt_thread *threads;
	u32 x[3], done = 0;
	int ret;

	ret = dpt_numbers(cmd, x, ARRAY_SIZE(x));
	if (ret)
		return ret;
	if (!x[1] || x[1] > DPT_MAX_THREADS)
		return -EINVAL;
	threads = dpt_threads_alloc(client, x[0], x[1], x[2]);
	if (!threads)
		return -ENOMEM;

	refcount_inc(&client->users);
	mutex_unlock(&dpt_lock);
	ret = dpt_run_threads(threads, x[1], &done);
	/* The device, and its driver, may be gone from here on. */
	dpt_client_put(client);
	mutex_lock(&dpt_lock);

	dpt_say("%u rounds", done);
	kfree(threads);
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

static int dpt_enable(const struct dpt_command *cmd)
{
	int mode = dpt_mode(cmd->word[2]);
	int pasid;

	if (mode < 0)
		return mode;
	pasid = iommu_dma_pasid_enable(cmd->dev, NULL, mode);
	if (pasid < 0)
		return pasid;
	dpt_say("%d", pasid);
	return 0;
}

static int dpt_disable(const struct dpt_command *cmd)
{
	return iommu_dma_pasid_disable(cmd->dev, NULL, dpt_mode(cmd->word[2]));
}

static int dpt_pasid_begin(struct dpt_pasid *dp)
{
	int ret;

	ret = ioasid_alloc(dpt_set, IOASID_ALLOC_BASE, IOASID_MAX, NULL,
			   &dp->pasid);
	if (ret)
		return ret;
	ret = iommu_attach_device_pasid(dp->domain, dp->dev, dp->pasid);
	if (ret)
		ioasid_free(dpt_set, dp->pasid);
	return ret;
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

static struct iommu_domain *dpt_domain_of(const char *name)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, name);
	struct iommu_domain *domain;

	if (!dev)
		return NULL;
	domain = iommu_get_domain_for_dev(dev);
	put_device(dev);
	return domain;
}

static int dpt_attach(const struct dpt_command *cmd)
{
	struct iommu_domain *domain = dpt_domain_of(cmd->word[2]);
	struct dpt_pasid *dp;
	int ret;

	if (!domain)
		return -ENODEV;
	dp = kzalloc(sizeof(*dp), GFP_KERNEL);
	if (!dp)
		return -ENOMEM;
	dp->dev = cmd->dev;
	dp->domain = domain;
	ret = dpt_pasid_begin(dp);
	if (ret) {
		kfree(dp);
		return ret;
	}
	get_device(dp->dev);
	list_add_tail(&dp->list, &dpt_pasids);
	dpt_say("%u", dp->pasid);
	return 0;
}

static int dpt_forget(const struct dpt_command *cmd, bool detach)
{
	struct dpt_pasid *dp;
	u32 pasid;
	int ret;

	ret = kstrtou32(cmd->word[2], 0, &pasid);
	if (ret)
		return ret;
	list_for_each_entry(dp, &dpt_pasids, list) {
		if (dp->dev == cmd->dev && dp->pasid == pasid) {
			dpt_pasid_end(dp, detach);
			return 0;
		}
	}
	return -ENOENT;
}

static int dpt_detach(const struct dpt_command *cmd)
{
	return dpt_forget(cmd, true);
}

static int dpt_free(const struct dpt_command *cmd)
{
	return dpt_forget(cmd, false);
}

static void dpt_claim_end(struct dpt_claim *claim)
{
	iommu_device_release_dma_owner(claim->dev, DMA_OWNER_USER);
	list_del(&claim->list);
	put_device(claim->dev);
	kfree(claim);
}

static int dpt_claim(const struct dpt_command *cmd)
{
	struct dpt_claim *claim = kzalloc(sizeof(*claim), GFP_KERNEL);
	int ret;

	if (!claim)
		return -ENOMEM;
	ret = iommu_device_set_dma_owner(cmd->dev, DMA_OWNER_USER, cmd->file);
	if (ret) {
		kfree(claim);
		return ret;
	}
	claim->dev = get_device(cmd->dev);
	claim->file = cmd->file;
	list_add_tail(&claim->list, &dpt_claims);
	return 0;
}

static int dpt_release(const struct dpt_command *cmd)
{
	struct dpt_claim *claim;

	list_for_each_entry(claim, &dpt_claims, list) {
		if (claim->dev == cmd->dev && claim->file == cmd->file) {
			dpt_claim_end(claim);
			return 0;
		}
	}
	return -ENOENT;
}

/* Commands */

enum dpt_about {
	DPT_BUF,	/* a buffer */
	DPT_DEV,	/* any PCI device */
	DPT_CLIENT,	/* a device that its driver has registered */
};

static const struct dpt_verb {
	const char *name;
	int nr;		/* of words, with the verb; 0: any */
	enum dpt_about about;
	int (*call)(const struct dpt_command *cmd);
} dpt_verbs[] = {
	{ "unmap",	0, DPT_BUF,	dpt_unmap },
	{ "drop",	0, DPT_BUF,	dpt_drop },
	{ "tail",	4, DPT_BUF,	dpt_tail },
	{ "enable",	3, DPT_DEV,	dpt_enable },
	{ "disable",	3, DPT_DEV,	dpt_disable },
	{ "attach",	3, DPT_DEV,	dpt_attach },
	{ "detach",	3, DPT_DEV,	dpt_detach },
	{ "free",	3, DPT_DEV,	dpt_free },
	{ "claim",	2, DPT_DEV,	dpt_claim },
	{ "release",	2, DPT_DEV,	dpt_release },
	{ "map",	4, DPT_DEV,	dpt_map },
	{ "start",	2, DPT_CLIENT,	dpt_start },
	{ "stop",	2, DPT_CLIENT,	dpt_stop },
	{ "queue",	4, DPT_CLIENT,	dpt_queue },
	{ "copy",	4, DPT_CLIENT,	dpt_copy },
	{ "over",	4, DPT_CLIENT,	dpt_over },
	{ "bench",	4, DPT_CLIENT,	dpt_bench },
	{ "run",	5, DPT_CLIENT,	dpt_run },
};

/* An unknown verb counts as one for a client: -ENODEV comes before -EINVAL. */
static const struct dpt_verb *dpt_verb_find(const struct dpt_command *cmd)
{
	static const struct dpt_verb unknown = { .about = DPT_CLIENT };
	const struct dpt_verb *verb;

	for (verb = dpt_verbs; verb < dpt_verbs + ARRAY_SIZE(dpt_verbs); verb++)
		if (!strcmp(cmd->word[0], verb->name) &&
		    (!verb->nr || verb->nr == cmd->nr))
			return verb;
	return &unknown;
}

static struct iommu_dma_pasid_client *dpt_client_find(struct device *dev)
{
	struct iommu_dma_pasid_client *client;

	list_for_each_entry(client, &dpt_clients, list)
		if (client->dev == dev)
			return client;
	return NULL;
}

static int dpt_call_buf(const struct dpt_verb *verb, struct dpt_command *cmd)
{
	cmd->buf = dpt_buf_find(cmd->word[1]);
	return cmd->buf ? verb->call(cmd) : -ENOENT;
}

static int dpt_call_dev(const struct dpt_verb *verb, struct dpt_command *cmd)
{
	int ret;

	cmd->dev = bus_find_device_by_name(&pci_bus_type, NULL, cmd->word[1]);
	if (!cmd->dev)
		return -ENODEV;
	cmd->client = dpt_client_find(cmd->dev);
	if (verb->about == DPT_CLIENT && !cmd->client)
		ret = -ENODEV;
	else
		ret = verb->call ? verb->call(cmd) : -EINVAL;
	put_device(cmd->dev);
	return ret;
}

static int dpt_command(struct file *file, const char *line)
{
	struct dpt_command cmd = { .file = file };
	const struct dpt_verb *verb;

	/* The numbers are those of DPT_WORD and DPT_WORDS */
	cmd.nr = sscanf(line, "%31s %31s %31s %31s %31s", cmd.word[0],
			cmd.word[1], cmd.word[2], cmd.word[3], cmd.word[4]);
	if (cmd.nr < 2)
		return -EINVAL;
	verb = dpt_verb_find(&cmd);
	return verb->about == DPT_BUF ? dpt_call_buf(verb, &cmd) :
					dpt_call_dev(verb, &cmd);
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

/* Devices */

/**
 * iommu_dma_pasid_client_register() - Offer a device to the test client
 * @dev: A PCI device, that the caller is bound to
 * @ops: What to do with it
 * @nr_queues: How many queues @dev has; their numbers begin at 0.
 *
 * Commands find @dev before this returns.
 *
 * Context: Process context, may sleep. Takes dpt_lock.
 * Return: What iommu_dma_pasid_client_unregister() takes, or ERR_PTR(-ENOMEM).
 */
struct iommu_dma_pasid_client *
iommu_dma_pasid_client_register(struct device *dev,
				const struct iommu_dma_pasid_client_ops *ops,
				u32 nr_queues)
{
	struct iommu_dma_pasid_client *client;

	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return ERR_PTR(-ENOMEM);
	client->dev = dev;
	client->ops = ops;
	client->nr_queues = nr_queues;
	refcount_set(&client->users, 1);
	init_completion(&client->idle);

	mutex_lock(&dpt_lock);
	list_add_tail(&client->list, &dpt_clients);
	mutex_unlock(&dpt_lock);
	return client;
}
EXPORT_SYMBOL_GPL(iommu_dma_pasid_client_register);

/**
 * iommu_dma_pasid_client_unregister() - Take a device from the test client
 * @client: What iommu_dma_pasid_client_register() returned
 *
 * Unmaps and frees the device's buffers. Its PASIDs, and the ownership of its
 * DMA, stay as they are.
 *
 * Context: Process context, sleeps until all commands for the device have ended,
 * "run" as soon as its threads have waited for the copy that they are at. Takes
 * dpt_lock. Call it while the device is bound and works.
 */
void iommu_dma_pasid_client_unregister(struct iommu_dma_pasid_client *client)
{
	mutex_lock(&dpt_lock);
	list_del(&client->list);
	WRITE_ONCE(client->going, true);
	dpt_bufs_free(client->dev);
	mutex_unlock(&dpt_lock);

	dpt_client_put(client);
	wait_for_completion(&client->idle);
	kfree(client);
}
EXPORT_SYMBOL_GPL(iommu_dma_pasid_client_unregister);

static int __init dpt_init(void)
{
	dpt_set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	if (IS_ERR(dpt_set))
		return PTR_ERR(dpt_set);
	dpt_dir = debugfs_create_dir("iommu-dma-pasid-test", NULL);
	debugfs_create_file("command", 0200, dpt_dir, NULL, &dpt_command_fops);
	debugfs_create_file("result", 0400, dpt_dir, NULL, &dpt_result_fops);
	return 0;
}
module_init(dpt_init);

/* Drivers that register devices use this module, so that none is left. */
static void __exit dpt_exit(void)
{
	struct dpt_pasid *dp, *next;

	debugfs_remove(dpt_dir);
	mutex_lock(&dpt_lock);
	dpt_bufs_free(NULL);
	list_for_each_entry_safe(dp, next, &dpt_pasids, list)
		dpt_pasid_end(dp, true);
	mutex_unlock(&dpt_lock);
	ioasid_set_free(dpt_set);
}
module_exit(dpt_exit);

MODULE_DESCRIPTION("Test client of DMA with PASID");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
