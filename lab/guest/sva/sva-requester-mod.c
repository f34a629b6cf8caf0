// SPDX-License-Identifier: GPL-2.0
/*
 * Driver of QEMU's vtd-testdev (hw/i386/vtd-testdev.c, sva=on), which sends the page requests that it is told to,
 * also such as no work queue of a DSA sends. See sva-requester.h.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

#include "sva-requester.h"

/* include/hw/i386/vtd-testdev.h of QEMU */
#define REG_ADDR	0x00
#define REG_PASID	0x08
#define REG_FLAGS	0x10
#define REG_DATA	0x18
#define REG_PRGI	0x20
#define REG_LAST	0x28
#define REG_COMMAND	0x40
#define REG_RESULT	0x48
#define REG_RESP_COUNT	0xc0
#define REG_RESP_CODE	0xd8
#define COMMAND_DMA		1
#define COMMAND_DMA_TLB		4
#define COMMAND_PAGE_REQUEST	5
#define RESULT_ANSWERED	0x100	/* at once, and plus the code: the queue did not take it */
#define NO_PASID	0xffffffffu
#define GROUPS		512

/* The device has one set of registers */
static DEFINE_MUTEX(svr_regs_lock);
static DEFINE_MUTEX(svr_bind_lock);
static struct pci_dev *svr_pdev;
static void __iomem *svr_regs;
static struct iommu_sva *svr_sva;
static u32 svr_pasid;
static struct dentry *svr_file;
static atomic_t svr_floods = ATOMIC_INIT(0);

static void svr_request(u64 addr, u32 pasid, u32 flags, u32 group, u32 last)
{
	writeq(addr, svr_regs + REG_ADDR);
	writeq(pasid, svr_regs + REG_PASID);
	writeq(flags, svr_regs + REG_FLAGS);
	writeq(group, svr_regs + REG_PRGI);
	writeq(last, svr_regs + REG_LAST);
	writeq(COMMAND_PAGE_REQUEST, svr_regs + REG_COMMAND);
}

static int svr_page(struct requester_page *page)
{
	u64 before, now;

	mutex_lock(&svr_regs_lock);
	before = readq(svr_regs + REG_RESP_COUNT);
	svr_request(page->addr, page->no_pasid ? NO_PASID : svr_pasid, page->flags, page->group, page->last);
	page->response = -1;
	if (readq(svr_regs + REG_RESULT) & RESULT_ANSWERED)
		page->response = readq(svr_regs + REG_RESULT) & ~RESULT_ANSWERED;
	else if (!readq_poll_timeout(svr_regs + REG_RESP_COUNT, now, now != before, 100,
				     (u64)page->wait_ms * USEC_PER_MSEC))
		page->response = readq(svr_regs + REG_RESP_CODE);
	mutex_unlock(&svr_regs_lock);
	return 0;
}

/* Who reports a fault of the device needs param->lock, and waits for it in the thread of the queue */
static int svr_flood(struct requester_flood *flood)
{
	struct dev_iommu *param = svr_pdev->dev.iommu;
	u32 i;

	flood->refused = 0;
	mutex_lock(&svr_regs_lock);
	mutex_lock(&param->lock);
	for (i = 0; i < flood->count; i++) {
		svr_request(flood->addr + i * PAGE_SIZE, svr_pasid, REQUESTER_READ, i % GROUPS, 1);
		flood->refused += !!readq(svr_regs + REG_RESULT);
	}
	mutex_unlock(&svr_regs_lock);
	atomic_inc(&svr_floods);
	msleep(flood->hold_ms);
	mutex_unlock(&param->lock);
	return 0;
}

static int svr_read(u64 addr)
{
	int ret;

	mutex_lock(&svr_regs_lock);
	writeq(addr, svr_regs + REG_ADDR);
	writeq(svr_pasid, svr_regs + REG_PASID);
	writeq(0, svr_regs + REG_FLAGS);
	writeq(COMMAND_DMA_TLB, svr_regs + REG_COMMAND);
	ret = readq(svr_regs + REG_RESULT) ? -EFAULT : 0;
	mutex_unlock(&svr_regs_lock);
	return ret;
}

/*
 * A device that has the next fault ready as soon as there is room for it: the handler takes the lock of the registers again
 * when it is done with a record, and asks once for each whether it may print it.
 */
#define STORM_FAULTS 200	/* in one interrupt */

struct svr_inside {
	bool yes;
	u32 locks, rounds;
};

static DEFINE_PER_CPU(struct svr_inside, svr_inside);
static u32 svr_rounds;

static int svr_interrupt(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	this_cpu_write(svr_inside.locks, 0);
	this_cpu_write(svr_inside.rounds, 0);
	this_cpu_write(svr_inside.yes, true);
	return 0;
}

static int svr_interrupt_ends(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	this_cpu_write(svr_inside.yes, false);
	if (this_cpu_read(svr_inside.rounds) > READ_ONCE(svr_rounds))
		WRITE_ONCE(svr_rounds, this_cpu_read(svr_inside.rounds));
	return 0;
}

static int svr_lock(struct kprobe *probe, struct pt_regs *regs)
{
	u32 locks;

	if (!this_cpu_read(svr_inside.yes))
		return 0;
	locks = this_cpu_inc_return(svr_inside.locks);
	if (locks > 1 && locks < STORM_FAULTS)
		writeq(COMMAND_DMA, svr_regs + REG_COMMAND);
	return 0;
}

static int svr_round(struct kprobe *probe, struct pt_regs *regs)
{
	if (this_cpu_read(svr_inside.yes))
		this_cpu_inc(svr_inside.rounds);
	return 0;
}

static struct kretprobe svr_probe_interrupt = {
	.kp.symbol_name = "dmar_fault", .entry_handler = svr_interrupt, .handler = svr_interrupt_ends,
};
static struct kprobe svr_probe_lock = { .symbol_name = "_raw_spin_lock_irqsave", .pre_handler = svr_lock };
static struct kprobe svr_probe_round = { .symbol_name = "___ratelimit", .pre_handler = svr_round };

/* One that was registered before is not enabled otherwise */
static struct kprobe *svr_fresh(struct kprobe *probe)
{
	probe->addr = NULL;
	probe->flags = 0;
	return probe;
}

static int svr_storm(struct requester_storm *storm)
{
	ktime_t end;
	int ret;

	storm->count = 0;
	mutex_lock(&svr_regs_lock);
	WRITE_ONCE(svr_rounds, 0);
	writeq(storm->addr, svr_regs + REG_ADDR);
	writeq(svr_pasid, svr_regs + REG_PASID);
	writeq(0, svr_regs + REG_FLAGS);
	svr_fresh(&svr_probe_interrupt.kp);
	ret = register_kretprobe(&svr_probe_interrupt);
	if (ret)
		goto unlock;
	ret = register_kprobe(svr_fresh(&svr_probe_round));
	if (ret)
		goto unregister_interrupt;
	ret = register_kprobe(svr_fresh(&svr_probe_lock));
	if (ret)
		goto unregister_round;
	end = ktime_add_ms(ktime_get(), storm->ms);
	do {
		writeq(COMMAND_DMA, svr_regs + REG_COMMAND);
		storm->count++;
		cond_resched();
	} while (ktime_before(ktime_get(), end));
	/* The last interrupt may print still */
	synchronize_rcu();
	storm->rounds = READ_ONCE(svr_rounds);
	unregister_kprobe(&svr_probe_lock);
unregister_round:
	unregister_kprobe(&svr_probe_round);
unregister_interrupt:
	unregister_kretprobe(&svr_probe_interrupt);
unlock:
	mutex_unlock(&svr_regs_lock);
	return ret;
}

static int svr_bind(void)
{
	struct iommu_sva *sva;

	if (svr_sva)
		return -EBUSY;
	sva = iommu_sva_bind_device(&svr_pdev->dev, 0);
	if (IS_ERR(sva))
		return PTR_ERR(sva);
	svr_sva = sva;
	svr_pasid = iommu_sva_get_pasid(sva);
	return 0;
}

static void svr_unbind(void)
{
	if (svr_sva)
		iommu_sva_unbind_device(svr_sva);
	svr_sva = NULL;
}

static long svr_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct requester_flood flood;
	struct requester_storm storm;
	struct requester_page page;
	long ret;
	u64 addr;

	switch (command) {
	case REQUESTER_BIND:
		mutex_lock(&svr_bind_lock);
		ret = svr_bind();
		mutex_unlock(&svr_bind_lock);
		return ret;
	case REQUESTER_UNBIND:
		mutex_lock(&svr_bind_lock);
		svr_unbind();
		mutex_unlock(&svr_bind_lock);
		fallthrough;
	case REQUESTER_RESPONSES:
		return readq(svr_regs + REG_RESP_COUNT);
	case REQUESTER_PAGE:
		if (copy_from_user(&page, user, sizeof(page)))
			return -EFAULT;
		svr_page(&page);
		return copy_to_user(user, &page, sizeof(page)) ? -EFAULT : 0;
	case REQUESTER_FLOOD:
		if (copy_from_user(&flood, user, sizeof(flood)))
			return -EFAULT;
		svr_flood(&flood);
		return copy_to_user(user, &flood, sizeof(flood)) ? -EFAULT : 0;
	case REQUESTER_FLOODS:
		return atomic_read(&svr_floods);
	case REQUESTER_STORM:
		if (copy_from_user(&storm, user, sizeof(storm)))
			return -EFAULT;
		return svr_storm(&storm) ?: copy_to_user(user, &storm, sizeof(storm)) ? -EFAULT : 0;
	case REQUESTER_READ_DATA:
		return get_user(addr, (u64 __user *)user) ?: svr_read(addr);
	}
	return -ENOTTY;
}

static int svr_release(struct inode *inode, struct file *file)
{
	mutex_lock(&svr_bind_lock);
	svr_unbind();
	mutex_unlock(&svr_bind_lock);
	return 0;
}

static const struct file_operations svr_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.unlocked_ioctl = svr_ioctl,
	.release = svr_release,
	.llseek = no_llseek,
};

static int svr_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = pcim_enable_device(pdev);

	ret = ret ?: pcim_iomap_regions(pdev, BIT(0), KBUILD_MODNAME);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = iommu_dev_enable_feature(&pdev->dev, IOMMU_DEV_FEAT_SVA);
	if (ret)
		return ret;
	svr_pdev = pdev;
	svr_regs = pcim_iomap_table(pdev)[0];
	svr_file = debugfs_create_file_unsafe("sva-requester", 0600, NULL, NULL, &svr_fops);
	return 0;
}

static void svr_remove(struct pci_dev *pdev)
{
	debugfs_remove(svr_file);
	mutex_lock(&svr_bind_lock);
	svr_unbind();
	mutex_unlock(&svr_bind_lock);
	iommu_dev_disable_feature(&pdev->dev, IOMMU_DEV_FEAT_SVA);
}

static const struct pci_device_id svr_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11f0) },
	{ }
};

static struct pci_driver svr_driver = {
	.name = KBUILD_MODNAME,
	.id_table = svr_ids,
	.probe = svr_probe,
	.remove = svr_remove,
};
module_pci_driver(svr_driver);

MODULE_DESCRIPTION("Sends page requests for tests");
MODULE_LICENSE("GPL");
