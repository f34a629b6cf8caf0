// SPDX-License-Identifier: GPL-2.0
/*
 * A client of the DMA engine that ends at bad moments. /sys/kernel/debug/idxd-client/command takes one word:
 *
 *   take      a channel, and two buffers that are mapped for it
 *   prepare   a copy, which is kept
 *   submit    what was prepared
 *   load      descriptors for as many copies as a queue holds, without waiting; their callbacks sleep
 *   quiet     the same without asking for an interrupt, several times as many
 *   sync      terminate, and wait for the end
 *   unmap     the buffers, whose device is about to lose its driver
 *   release   the channel
 *
 * and .../left says how many callbacks of load have not returned, .../late how many bytes were written since sync or release.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dmaengine.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#define SIZE SZ_2M
#define COUNT 16
#define QUIET 64
#define MARK 0x5a

static struct dentry *directory;
static struct dma_chan *chan;
static struct dma_async_tx_descriptor *prepared;
static u8 *from, *to;
static dma_addr_t from_dma, to_dma;
static atomic_t left;
static u8 stale[COUNT];

static void done(void *unused)
{
	/* Long enough that somebody who does not wait is seen not to */
	msleep(20);
	atomic_dec(&left);
}

static struct dma_async_tx_descriptor *prepare(size_t size, unsigned long flags)
{
	return chan->device->device_prep_dma_memcpy(chan, to_dma, from_dma, size, flags);
}

static int load(int count, size_t size, unsigned long flags)
{
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;
	int i;

	memset(from, 1, SIZE);
	for (i = 0; i < count; i++) {
		tx = prepare(size, flags);
		if (!tx)
			return -EIO;
		if (flags & DMA_PREP_INTERRUPT) {
			tx->callback = done;
			atomic_inc(&left);
		}
		cookie = dmaengine_submit(tx);
		if (dma_submit_error(cookie))
			return cookie;
	}
	dma_async_issue_pending(chan);
	return 0;
}

static int take(void)
{
	dma_cap_mask_t mask;
	struct device *dev;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	chan = dma_request_channel(mask, NULL, NULL);
	if (!chan)
		return -ENODEV;
	dev = dmaengine_get_dma_device(chan);
	from = dma_alloc_coherent(dev, SIZE, &from_dma, GFP_KERNEL);
	to = dma_alloc_coherent(dev, SIZE, &to_dma, GFP_KERNEL);
	return from && to ? 0 : -ENOMEM;
}

static void unmap(struct device *dev)
{
	dma_free_coherent(dev, SIZE, from, from_dma);
	dma_free_coherent(dev, SIZE, to, to_dma);
	from = NULL;
	to = NULL;
}

/* How many callbacks have not returned by then */
static int release(void)
{
	struct device *dev = dmaengine_get_dma_device(chan);
	int late;

	get_device(dev);
	prepared = NULL;
	dma_release_channel(chan);
	late = atomic_read(&left);
	chan = NULL;
	if (to) {
		/* From here nobody writes to it any more */
		memset(to, MARK, SIZE);
		msleep(300);
		memcpy(stale, to, COUNT);
		unmap(dev);
	}
	put_device(dev);
	return late;
}

static int sync(void)
{
	int rc = dmaengine_terminate_sync(chan);

	memset(to, MARK, SIZE);
	memset(stale, 0, sizeof(stale));
	return rc;
}

static int submit(void)
{
	dma_cookie_t cookie;

	if (!prepared)
		return -EINVAL;
	cookie = dmaengine_submit(prepared);
	prepared = NULL;
	return dma_submit_error(cookie) ? cookie : 0;
}

static int run(const char *what)
{
	if (!strcmp(what, "take"))
		return chan ? -EBUSY : take();
	if (!chan)
		return -ENOTCONN;
	if (!strcmp(what, "prepare")) {
		prepared = prepare(64, DMA_PREP_INTERRUPT);
		return prepared ? 0 : -EIO;
	}
	if (!strcmp(what, "submit"))
		return submit();
	if (!strcmp(what, "load"))
		return load(COUNT, SIZE, DMA_PREP_INTERRUPT);
	if (!strcmp(what, "quiet"))
		return load(QUIET, 64, 0);
	if (!strcmp(what, "sync"))
		return sync();
	if (!strcmp(what, "unmap")) {
		unmap(dmaengine_get_dma_device(chan));
		return 0;
	}
	if (!strcmp(what, "release")) {
		release();
		return 0;
	}
	return -EINVAL;
}

static ssize_t command_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	char what[16];
	ssize_t length = strncpy_from_user(what, text, min(size + 1, sizeof(what)));
	int rc;

	if (length < 0 || size >= sizeof(what))
		return -EINVAL;
	what[size] = 0;
	rc = run(strim(what));
	return rc ? rc : size;
}

static const struct file_operations command_fops = {
	.owner = THIS_MODULE,
	.write = command_write,
};

static int left_get(void *unused, u64 *value)
{
	*value = atomic_read(&left);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(left_fops, left_get, NULL, "%llu\n");

static int late_get(void *unused, u64 *value)
{
	int i;

	*value = 0;
	if (to) {
		for (i = 0; i < SIZE; i++)
			*value += to[i] != MARK;
		return 0;
	}
	for (i = 0; i < COUNT; i++)
		*value += stale[i] != MARK;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(late_fops, late_get, NULL, "%llu\n");

static int __init client_init(void)
{
	directory = debugfs_create_dir("idxd-client", NULL);
	debugfs_create_file("command", 0200, directory, NULL, &command_fops);
	debugfs_create_file("left", 0400, directory, NULL, &left_fops);
	debugfs_create_file("late", 0400, directory, NULL, &late_fops);
	return 0;
}
module_init(client_init);

static void __exit client_exit(void)
{
	debugfs_remove(directory);
	if (chan)
		pr_info("idxd-client: %d callbacks are left\n", release());
}
module_exit(client_exit);

MODULE_DESCRIPTION("A client of the DMA engine that ends at bad moments");
MODULE_LICENSE("GPL");
