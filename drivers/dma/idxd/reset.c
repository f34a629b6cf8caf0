// SPDX-License-Identifier: GPL-2.0
/*
 * Function level reset under a bound driver
 *
 * The reset takes the device's registers; the driver keeps what it wrote, and
 * the PCI core restores the configuration space with the PASID capability and
 * the MSI-X table. So kernel queues are paused and drained before the reset,
 * written and enabled again behind it, and their clients notice nothing.
 * Those of user space are written again too, but what they had in flight is
 * lost, and only they can know.
 */
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/percpu-refcount.h>
#include <uapi/linux/idxd.h>
#include "registers.h"
#include "idxd.h"

/**
 * idxd_reset_lock - let nobody else send commands to the device
 * @idxd:	the device, whose PCI function is locked
 */
void idxd_reset_lock(struct idxd_device *idxd)
{
	int i;

	device_lock(idxd_confdev(idxd));
	for (i = 0; i < idxd->max_wqs; i++)
		mutex_lock_nest_lock(&idxd->wqs[i]->wq_lock,
				     &idxd->pdev->dev.mutex);
}

/**
 * idxd_reset_unlock - undo idxd_reset_lock()
 * @idxd:	the device
 */
void idxd_reset_unlock(struct idxd_device *idxd)
{
	int i;

	for (i = 0; i < idxd->max_wqs; i++)
		mutex_unlock(&idxd->wqs[i]->wq_lock);
	device_unlock(idxd_confdev(idxd));
}

/*
 * All locks are held from here to idxd_reset_done(). The PCI core calls both
 * from one task, with the device locked.
 */
void idxd_reset_prepare(struct pci_dev *pdev)
{
	struct idxd_device *idxd = pci_get_drvdata(pdev);
	struct idxd_wq *wq;
	int i;

	idxd_reset_lock(idxd);
	for (i = 0; i < idxd->max_wqs; i++) {
		wq = idxd->wqs[i];
		if (wq->state != IDXD_WQ_ENABLED)
			continue;
		/* A queue on its way out is not paused: it stays quiet */
		if (is_idxd_wq_kernel(wq) &&
		    !percpu_ref_is_dying(&wq->wq_active)) {
			wq->paused = true;
			reinit_completion(&wq->wq_resurrect);
			percpu_ref_kill(&wq->wq_active);
			wait_for_completion(&wq->wq_dead);
		}
		idxd_wq_drain(wq);
	}
}

static int idxd_reset_restore_wq(struct idxd_wq *wq)
{
	struct idxd_device *idxd = wq->idxd;
	struct idxd_irq_entry *ie = &wq->ie;
	int rc;

	rc = idxd_wq_enable_hw(wq);
	if (rc < 0 || !is_idxd_wq_kernel(wq))
		return rc;

	idxd_device_set_perm_entry(idxd, ie);
	if (idxd->request_int_handles) {
		rc = idxd_device_request_int_handle(idxd, ie->id,
						    &ie->int_handle,
						    IDXD_IRQ_MSIX);
		if (rc < 0)
			return rc;
	}
	if (wq->paused) {
		reinit_completion(&wq->wq_dead);
		percpu_ref_reinit(&wq->wq_active);
	}
	return 0;
}

static int idxd_reset_restore_device(struct idxd_device *idxd)
{
	int rc = 0;

	spin_lock(&idxd->dev_lock);
	idxd_unmask_error_interrupts(idxd);
	if (idxd->state == IDXD_DEV_ENABLED &&
	    test_bit(IDXD_FLAG_CONFIGURABLE, &idxd->flags))
		rc = idxd_device_config(idxd);
	spin_unlock(&idxd->dev_lock);
	if (!rc && idxd->state == IDXD_DEV_ENABLED)
		rc = idxd_device_enable(idxd);
	return rc;
}

void idxd_reset_done(struct pci_dev *pdev)
{
	struct idxd_device *idxd = pci_get_drvdata(pdev);
	struct idxd_wq *wq;
	int device_rc, rc, i;

	device_rc = idxd_reset_restore_device(idxd);
	if (device_rc) {
		dev_err(&pdev->dev, "Not enabled after reset: %d\n", device_rc);
		idxd->state = IDXD_DEV_DISABLED;
	}

	for (i = 0; i < idxd->max_wqs; i++) {
		wq = idxd->wqs[i];
		if (wq->state == IDXD_WQ_ENABLED) {
			rc = device_rc ?: idxd_reset_restore_wq(wq);
			if (rc < 0) {
				dev_err(&pdev->dev, "wq %d is lost after reset: %d\n",
					wq->id, rc);
				clear_bit(wq->id, idxd->wq_enable_map);
				wq->state = IDXD_WQ_DISABLED;
				if (is_idxd_wq_user(wq))
					idxd_wq_lose_users(wq);
			}
			/* Lets those who wait go on, or fail */
			if (wq->paused)
				complete_all(&wq->wq_resurrect);
			wq->paused = false;
		}
	}
	idxd_reset_unlock(idxd);
}
