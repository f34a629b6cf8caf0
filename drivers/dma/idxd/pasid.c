// SPDX-License-Identifier: GPL-2.0
/*
 * System PASID: kernel work queues that tag their DMA with a PASID
 *
 * The PASID comes from iommu_dma_pasid_enable() and is there from probe to
 * remove, whether user space has SVA or not. What kernel queues put into
 * descriptors are addresses of the DMA API in each mode offered, so the rest
 * of the driver only has to know the number and whether requests with it are
 * privileged.
 *
 * Completion interrupts of descriptors that are not privileged take two
 * permissions: GENCFG.User-mode Interrupts Enable, and an MSI-X permission
 * entry with the very PASID of the descriptor (DSA specification 9.2, GENCFG
 * and MSI-X Permission Table). The latter is why enabling the former gives
 * user space no interrupt of the kernel.
 *
 * Whoever calls idxd_disable_system_pasid() has disabled the device: disabling
 * a work queue drains it, so no request with the PASID is left.
 */
#include <linux/iommu-dma-pasid.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <uapi/linux/idxd.h>
#include "registers.h"
#include "idxd.h"

#define IDXD_SYSTEM_PASID_OFF	-1

static const struct {
	const char *name;
	int mode;
} idxd_pasid_modes[] = {
	{ "off", IDXD_SYSTEM_PASID_OFF },
	{ "bypass", IOMMU_DMA_PASID_BYPASS },
	{ "iova", IOMMU_DMA_PASID_IOVA },
	{ "kva", IOMMU_DMA_PASID_KVA },
};

static int system_pasid = IOMMU_DMA_PASID_IOVA;

static const char *idxd_pasid_mode_name(int mode)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(idxd_pasid_modes); i++)
		if (idxd_pasid_modes[i].mode == mode)
			return idxd_pasid_modes[i].name;
	return "?";
}

static int system_pasid_set(const char *val, const struct kernel_param *kp)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(idxd_pasid_modes); i++) {
		if (sysfs_streq(val, idxd_pasid_modes[i].name)) {
			WRITE_ONCE(system_pasid, idxd_pasid_modes[i].mode);
			return 0;
		}
	}
	return -EINVAL;
}

static int system_pasid_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n",
			  idxd_pasid_mode_name(READ_ONCE(system_pasid)));
}

static const struct kernel_param_ops system_pasid_ops = {
	.set = system_pasid_set,
	.get = system_pasid_get,
};

module_param_cb(system_pasid, &system_pasid_ops, NULL, 0644);
MODULE_PARM_DESC(system_pasid, "Address space of the PASID of kernel queues: iova (default), bypass, off");

/*
 * Without a system PASID the device works as one that has none: kernel queues
 * are dedicated, and their requests are those of the RID.
 */
void idxd_enable_system_pasid(struct idxd_device *idxd)
{
	struct device *dev = &idxd->pdev->dev;
	int mode = READ_ONCE(system_pasid);
	int pasid;

	if (mode == IDXD_SYSTEM_PASID_OFF)
		return;
	/* Work queues that software cannot configure carry no PASID of ours */
	if (!test_bit(IDXD_FLAG_CONFIGURABLE, &idxd->flags)) {
		dev_info(dev, "No system PASID, the configuration is fixed.\n");
		return;
	}
	/* Clients of the DMA engine hand over DMA addresses, which these are not */
	if (mode == IOMMU_DMA_PASID_KVA) {
		dev_warn(dev, "No system PASID, mode kva is not for kernel queues.\n");
		return;
	}

	pasid = iommu_dma_pasid_enable(dev, NULL, mode);
	if (pasid < 0) {
		/* Why has been said */
		dev_info(dev, "No system PASID in mode %s: %d\n",
			 idxd_pasid_mode_name(mode), pasid);
		return;
	}
	idxd->pasid = pasid;
	idxd->pasid_mode = mode;
	idxd->pasid_priv = iommu_dma_pasid_is_priv(dev, pasid);
	set_bit(IDXD_FLAG_PASID_ENABLED, &idxd->flags);
	dev_dbg(dev, "system pasid: %u, mode %s, %sprivileged\n", idxd->pasid,
		idxd_pasid_mode_name(mode), idxd->pasid_priv ? "" : "not ");
}

void idxd_disable_system_pasid(struct idxd_device *idxd)
{
	struct device *dev = &idxd->pdev->dev;
	int rc;

	if (!test_and_clear_bit(IDXD_FLAG_PASID_ENABLED, &idxd->flags))
		return;
	rc = iommu_dma_pasid_disable(dev, NULL, idxd->pasid_mode);
	if (rc)
		dev_warn(dev, "Disabling system PASID %u failed: %d\n",
			 idxd->pasid, rc);
	idxd->pasid = 0;
}

/*
 * GENCFG can only be written while the device is disabled, and a reset clears
 * it: called before each time that the device is enabled.
 */
void idxd_config_system_pasid(struct idxd_device *idxd)
{
	union gencfg_reg gencfg;
	union gensts_reg gensts;

	lockdep_assert_held(&idxd->dev_lock);
	gensts.bits = ioread32(idxd->reg_base + IDXD_GENSTATS_OFFSET);
	if (gensts.state != IDXD_DEVICE_STATE_DISABLED ||
	    !device_pasid_enabled(idxd))
		return;
	gencfg.bits = ioread32(idxd->reg_base + IDXD_GENCFG_OFFSET);
	gencfg.user_int_en = !idxd->pasid_priv;
	iowrite32(gencfg.bits, idxd->reg_base + IDXD_GENCFG_OFFSET);
}
