// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend
 *
 * A sleep may take the device's registers like a function level reset, and its
 * queues are paused and brought back like there. The locks are not held
 * meanwhile: another task may resume the device, and nobody runs who would use
 * it.
 */
#include <linux/pci.h>
#include <linux/pm.h>
#include "idxd.h"

static int idxd_suspend(struct device *dev)
{
	struct idxd_device *idxd = dev_get_drvdata(dev);

	/* It may want to reset the function, whose lock is held here */
	flush_work(&idxd->halt_work);
	idxd_reset_prepare(idxd->pdev);
	/* Power may stay, and the device must not be found enabled then */
	if (idxd_device_init_reset(idxd))
		dev_warn(dev, "Not reset before suspend\n");
	idxd_reset_unlock(idxd);
	return 0;
}

static int idxd_resume(struct device *dev)
{
	struct idxd_device *idxd = dev_get_drvdata(dev);

	idxd_reset_lock(idxd);
	idxd_pci_reset_done(idxd->pdev);
	return 0;
}

DEFINE_SIMPLE_DEV_PM_OPS(idxd_pm_ops, idxd_suspend, idxd_resume);
