// SPDX-License-Identifier: GPL-2.0
/*
 * Intel DSAs for the test client of DMA with PASID
 *
 * A driver that lets a DSA copy memory as the commands of
 * drivers/iommu/iommu-dma-pasid-client.c say, with any PASID and to any address.
 * It shares the layout of the registers with idxd, and nothing else: a device is
 * bound to it by driver_override only.
 *
 * Nothing that was enabled or attached for a device is undone when the device is
 * unbound: leaving it is one of the tests.
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu-dma-pasid.h>
#include <linux/iommu-dma-pasid-client.h>
#include <linux/iopoll.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <uapi/linux/idxd.h>

#include "registers.h"

#define DSA_CLIENT_QUEUES	8
#define DSA_CLIENT_PORTAL	1	/* the limited one, for kernel queues */
#define DSA_CLIENT_PORTALS	4	/* of each queue */
/* Emulators are slow, and what does not come at all is a bug. */
#define DSA_CLIENT_TIMEOUT_US	(30 * USEC_PER_SEC)

/**
 * struct dsa_client - a DSA that this driver is bound to
 * @pdev: the PCI device
 * @client: its registration with the test client
 * @regs: BAR 0
 * @portals: BAR 2
 * @grpcfg_offset: offset of the group table in @regs
 * @wqcfg_offset: offset of the work queue table in @regs
 * @wqcfg_size: size of one entry of it
 * @queue_size: entries of each queue
 * @nr_queues: how many of them are used
 */
struct dsa_client {
	struct pci_dev *pdev;
	struct iommu_dma_pasid_client *client;
	void __iomem *regs;
	void __iomem *portals;
	u32 grpcfg_offset;
	u32 wqcfg_offset;
	u32 wqcfg_size;
	u32 queue_size;
	u32 nr_queues;
};

static int dsa_client_cmd(struct dsa_client *dsa, int code, u32 operand)
{
	union idxd_command_reg cmd = { .operand = operand, .cmd = code };
	u32 status;
	int ret;

	iowrite32(cmd.bits, dsa->regs + IDXD_CMD_OFFSET);
	ret = read_poll_timeout(ioread32, status, !(status & IDXD_CMDSTS_ACTIVE),
				10, DSA_CLIENT_TIMEOUT_US, false,
				dsa->regs + IDXD_CMDSTS_OFFSET);
	if (ret)
		return ret;
	if (status & IDXD_CMDSTS_ERR_MASK) {
		pci_info(dsa->pdev, "command %d of %#x: error %#x\n", code,
			 operand, status & IDXD_CMDSTS_ERR_MASK);
		return -EIO;
	}
	return 0;
}

/* One group of all engines and queues; the queues get their sizes here. */
static int dsa_client_start(struct device *dev)
{
	struct dsa_client *dsa = dev_get_drvdata(dev);
	union engine_cap_reg engines;
	union group_cap_reg groups;
	union group_flags flags = { };
	u32 q;
	int ret;

	ret = dsa_client_cmd(dsa, IDXD_CMD_RESET_DEVICE, 0);
	if (ret)
		return ret;

	groups.bits = ioread64(dsa->regs + IDXD_GRPCAP_OFFSET);
	engines.bits = ioread64(dsa->regs + IDXD_ENGCAP_OFFSET);
	flags.tc_a = 1;
	flags.tc_b = 1;
	flags.rdbufs_allowed = groups.total_rdbufs;
	iowrite64(GENMASK_ULL(dsa->nr_queues - 1, 0),
		  dsa->regs + GRPWQCFG_OFFSET(dsa, 0, 0));
	iowrite64(GENMASK_ULL(engines.num_engines - 1, 0),
		  dsa->regs + GRPENGCFG_OFFSET(dsa, 0));
	iowrite64(flags.bits, dsa->regs + GRPFLGCFG_OFFSET(dsa, 0));
	for (q = 0; q < dsa->nr_queues; q++)
		iowrite32(dsa->queue_size, dsa->regs + WQCFG_OFFSET(dsa, q, 0));
	return dsa_client_cmd(dsa, IDXD_CMD_ENABLE_DEVICE, 0);
}

static int dsa_client_stop(struct device *dev)
{
	return dsa_client_cmd(dev_get_drvdata(dev), IDXD_CMD_DISABLE_DEVICE, 0);
}

/* The entry of a queue can be written while the queue is disabled. */
static int dsa_client_disable_queue(struct dsa_client *dsa, u32 q)
{
	union wqcfg cfg = { };

	cfg.bits[WQCFG_OCCUP_IDX] = ioread32(dsa->regs +
					     WQCFG_OFFSET(dsa, q, WQCFG_OCCUP_IDX));
	if (!cfg.wq_state)
		return 0;
	return dsa_client_cmd(dsa, IDXD_CMD_DISABLE_WQ, BIT(q));
}

static int dsa_client_queue(struct device *dev, u32 q, ioasid_t pasid)
{
	struct dsa_client *dsa = dev_get_drvdata(dev);
	union wqcfg cfg = { };
	int ret, i;

	ret = dsa_client_disable_queue(dsa, q);
	if (ret)
		return ret;

	cfg.wq_size = dsa->queue_size;
	cfg.mode = 1;	/* dedicated */
	cfg.priority = 1;
	if (pasid) {
		cfg.pasid_en = 1;
		cfg.pasid = pasid;
		cfg.priv = iommu_dma_pasid_is_priv(dev, pasid);
	}
	cfg.max_xfer_shift = ilog2(IOMMU_DMA_PASID_COPY_MAX);
	for (i = 0; i < 4; i++)
		iowrite32(cfg.bits[i], dsa->regs + WQCFG_OFFSET(dsa, q, i));
	return dsa_client_cmd(dsa, IDXD_CMD_ENABLE_WQ, q);
}

static void dsa_client_submit(struct device *dev, u32 q,
			      const struct iommu_dma_pasid_copy *copy)
{
	struct dsa_client *dsa = dev_get_drvdata(dev);
	void __iomem *portal = dsa->portals +
		(q * DSA_CLIENT_PORTALS + DSA_CLIENT_PORTAL) * IDXD_PORTAL_SIZE;
	struct dsa_hw_desc desc __aligned(64) = {
		.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR,
		.opcode = DSA_OPCODE_MEMMOVE,
		.completion_addr = copy->record_dma,
		.src_addr = copy->src,
		.dst_addr = copy->dst,
		.xfer_size = copy->size,
	};

	memset(copy->record, 0, sizeof(struct dsa_completion_record));
	/* The record is clean, and the source there, before the device looks. */
	wmb();
	iosubmit_cmds512(portal, &desc, 1);
}

/*
 * The status of a completion record; or its stand-in when the device could not
 * write one and says so (DSA specification 9.2, SWERROR).
 */
#define DSA_CLIENT_NO_RECORD	DSA_COMP_STATUS_MASK

static u8 dsa_client_status(struct dsa_client *dsa,
			    const struct dsa_completion_record *record)
{
	u64 swerr;

	if (READ_ONCE(record->status))
		return record->status;
	swerr = ioread64(dsa->regs + IDXD_SWERR_OFFSET);
	if (!(swerr & IDXD_SWERR_VALID))
		return 0;
	iowrite64(swerr & IDXD_SWERR_ACK, dsa->regs + IDXD_SWERR_OFFSET);
	return DSA_CLIENT_NO_RECORD;
}

static int dsa_client_wait(struct device *dev, u32 q,
			   const struct iommu_dma_pasid_copy *copy, u64 *fault)
{
	const struct dsa_completion_record *record = copy->record;
	struct dsa_client *dsa = dev_get_drvdata(dev);
	u8 status;
	int ret;

	ret = read_poll_timeout(dsa_client_status, status, status, 10,
				DSA_CLIENT_TIMEOUT_US, false, dsa, record);
	if (ret) {
		dev_err(dev, "no completion on queue %u\n", q);
		return ret;
	}
	/* The rest of the record, and the destination, after the status */
	dma_rmb();
	switch (status & DSA_COMP_STATUS_MASK) {
	case DSA_COMP_SUCCESS:
		return 0;
	case DSA_COMP_PAGE_FAULT_NOBOF:
		*fault = record->fault_addr;
		return -EFAULT;
	case DSA_CLIENT_NO_RECORD:
		return -ENXIO;
	}
	dev_info(dev, "queue %u: completion status %#x\n", q, status);
	return -EIO;
}

static const struct iommu_dma_pasid_client_ops dsa_client_ops = {
	.start = dsa_client_start,
	.stop = dsa_client_stop,
	.queue = dsa_client_queue,
	.submit = dsa_client_submit,
	.wait = dsa_client_wait,
};

static int dsa_client_enable(struct pci_dev *pdev)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_iomap_regions(pdev, BIT(IDXD_MMIO_BAR) | BIT(IDXD_WQ_BAR),
				 KBUILD_MODNAME);
	if (ret)
		return ret;
	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
}

static void dsa_client_init_tables(struct dsa_client *dsa)
{
	union offsets_reg offsets;
	union wq_cap_reg wqs;

	wqs.bits = ioread64(dsa->regs + IDXD_WQCAP_OFFSET);
	offsets.bits[0] = ioread64(dsa->regs + IDXD_TABLE_OFFSET);
	dsa->grpcfg_offset = offsets.grpcfg * IDXD_TABLE_MULT;
	dsa->wqcfg_offset = offsets.wqcfg * IDXD_TABLE_MULT;
	dsa->wqcfg_size = 1 << (wqs.wqcfg_size + IDXD_WQCFG_MIN);
	dsa->nr_queues = min_t(u32, wqs.num_wqs, DSA_CLIENT_QUEUES);
	dsa->queue_size = wqs.total_wq_size / dsa->nr_queues;
}

static int dsa_client_probe(struct pci_dev *pdev,
			    const struct pci_device_id *id)
{
	struct dsa_client *dsa;
	int ret;

	if (!boot_cpu_has(X86_FEATURE_MOVDIR64B))
		return -EOPNOTSUPP;
	if (pdev->vendor != PCI_VENDOR_ID_INTEL ||
	    pdev->device != PCI_DEVICE_ID_INTEL_DSA_SPR0)
		return -ENODEV;
	ret = dsa_client_enable(pdev);
	if (ret)
		return ret;
	dsa = devm_kzalloc(&pdev->dev, sizeof(*dsa), GFP_KERNEL);
	if (!dsa)
		return -ENOMEM;
	dsa->pdev = pdev;
	dsa->regs = pcim_iomap_table(pdev)[IDXD_MMIO_BAR];
	dsa->portals = pcim_iomap_table(pdev)[IDXD_WQ_BAR];
	dsa_client_init_tables(dsa);
	pci_set_drvdata(pdev, dsa);
	pci_set_master(pdev);

	dsa->client = iommu_dma_pasid_client_register(&pdev->dev, &dsa_client_ops,
						      dsa->nr_queues);
	if (!IS_ERR(dsa->client))
		return 0;
	pci_clear_master(pdev);
	return PTR_ERR(dsa->client);
}

static void dsa_client_remove(struct pci_dev *pdev)
{
	struct dsa_client *dsa = pci_get_drvdata(pdev);

	iommu_dma_pasid_client_unregister(dsa->client);
	/* Waits for what a timeout may have left behind */
	dsa_client_cmd(dsa, IDXD_CMD_RESET_DEVICE, 0);
	pci_clear_master(pdev);
}

/*
 * A device that is enabled halts when the PCI core takes bus mastering away,
 * and only a function level reset brings it back. Its queues are gone after
 * the suspend; what PASIDs it has is not.
 */
static int dsa_client_suspend(struct device *dev)
{
	struct dsa_client *dsa = dev_get_drvdata(dev);
	union gensts_reg sts;

	sts.bits = ioread32(dsa->regs + IDXD_GENSTATS_OFFSET);
	if (sts.state != IDXD_DEVICE_STATE_ENABLED)
		return 0;
	return dsa_client_stop(dev);
}

static DEFINE_SIMPLE_DEV_PM_OPS(dsa_client_pm_ops, dsa_client_suspend, NULL);

/* Without a table of ids, as only driver_override is to choose it */
static struct pci_driver dsa_client_driver = {
	.name = KBUILD_MODNAME,
	.probe = dsa_client_probe,
	.remove = dsa_client_remove,
	.driver.pm = pm_sleep_ptr(&dsa_client_pm_ops),
};
module_pci_driver(dsa_client_driver);

MODULE_DESCRIPTION("Intel DSAs for the test client of DMA with PASID");
MODULE_LICENSE("GPL");
