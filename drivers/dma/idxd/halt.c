// SPDX-License-Identifier: GPL-2.0
/*
 * A device that halts
 *
 * It has stopped all work, answers commands with errors, and stays so until it
 * is reset (DSA specification 5.3 and 9.2, GENSTS). The interrupt thread that
 * hears of it also completes commands, for which others wait with a wq_lock: it
 * takes none. It fails the command that is pending and marks the queues; the
 * rest is up to a work:
 *
 *  - what kernel clients have in flight is aborted, what they submit refused;
 *  - processes lose their queue, as when it is disabled.
 *
 * The queues stay as they are configured. A reset brings them back, see
 * reset.c; to be used again by clients as they are, and by processes that open
 * them anew.
 */
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/percpu-refcount.h>
#include <uapi/linux/idxd.h>
#include "registers.h"
#include "idxd.h"

static void idxd_halt_kernel_wq(struct idxd_wq *wq, struct list_head *pending)
{
	lockdep_assert_held(&wq->wq_lock);
	/* Until idxd_reset_done(), but nobody waits for that */
	if (!percpu_ref_is_dying(&wq->wq_active)) {
		wq->paused = true;
		reinit_completion(&wq->wq_resurrect);
		percpu_ref_kill(&wq->wq_active);
		complete_all(&wq->wq_resurrect);
		wait_for_completion(&wq->wq_dead);
	}
	idxd_take_pending_descs(&wq->ie, pending);
}

static void idxd_halt_wq(struct idxd_wq *wq)
{
	LIST_HEAD(pending);

	mutex_lock(&wq->wq_lock);
	/* Unless a reset has been here already */
	if (wq->halted && wq->state == IDXD_WQ_ENABLED) {
		if (is_idxd_wq_kernel(wq))
			idxd_halt_kernel_wq(wq, &pending);
		else if (is_idxd_wq_user(wq))
			idxd_wq_lose_users(wq);
	}
	wq->halted = false;
	mutex_unlock(&wq->wq_lock);
	idxd_complete_descs(&pending);
}

static void idxd_halt_work(struct work_struct *work)
{
	struct idxd_device *idxd = container_of(work, struct idxd_device, halt_work);
	int i, rc;

	for (i = 0; i < idxd->max_wqs; i++)
		idxd_halt_wq(idxd->wqs[i]);

	if (!READ_ONCE(idxd->halt_needs_reset))
		return;
	/* Whoever unbinds the driver has the lock, and waits for this */
	rc = pci_try_reset_function(idxd->pdev);
	if (rc)
		dev_err(&idxd->pdev->dev, "Not reset after a halt: %d\n", rc);
}

void idxd_init_halt(struct idxd_device *idxd)
{
	INIT_WORK(&idxd->halt_work, idxd_halt_work);
}

/**
 * idxd_halt - the device says that it has halted
 * @idxd:	the device
 * @gensts:	its general status
 *
 * Context: interrupt thread of the device, or who wants to send a command; takes
 * no lock that is held while somebody waits for one.
 */
void idxd_halt(struct idxd_device *idxd, union gensts_reg gensts)
{
	struct device *dev = &idxd->pdev->dev;
	bool enabled = false;
	int i;

	spin_lock(&idxd->dev_lock);
	if (idxd->state == IDXD_DEV_ENABLED) {
		enabled = true;
		WRITE_ONCE(idxd->state, IDXD_DEV_HALTED);
	}
	spin_unlock(&idxd->dev_lock);
	idxd_cmd_fail(idxd);
	if (!enabled)
		return;

	for (i = 0; i < idxd->max_wqs; i++)
		WRITE_ONCE(idxd->wqs[i]->halted, true);
	WRITE_ONCE(idxd->halt_needs_reset,
		   gensts.reset_type == IDXD_DEVICE_RESET_SOFTWARE);
	dev_err(dev, "idxd halted, need %s.\n",
		gensts.reset_type == IDXD_DEVICE_RESET_SOFTWARE ? "a reset" :
		gensts.reset_type == IDXD_DEVICE_RESET_FLR ? "FLR" :
		"system reset");
	/* Not idxd->wq, which is flushed by who holds locks of a reset */
	queue_work(system_unbound_wq, &idxd->halt_work);
}

/**
 * idxd_halt_end - the device has been reset, and is to be brought back
 * @idxd:	the device
 * @pending:	takes the descriptors that the reset has ended, be it of a halt or
 *		of a drain that took too long
 *
 * Context: between idxd_reset_prepare(), which has taken all locks, and
 * idxd_reset_done().
 */
void idxd_halt_end(struct idxd_device *idxd, struct list_head *pending)
{
	struct idxd_wq *wq;
	int i;

	/* As idxd_reset_done() restores what was enabled */
	spin_lock(&idxd->dev_lock);
	if (idxd->state == IDXD_DEV_HALTED)
		WRITE_ONCE(idxd->state, IDXD_DEV_ENABLED);
	spin_unlock(&idxd->dev_lock);
	for (i = 0; i < idxd->max_wqs; i++) {
		wq = idxd->wqs[i];
		lockdep_assert_held(&wq->wq_lock);
		if (wq->state == IDXD_WQ_ENABLED && is_idxd_wq_kernel(wq)) {
			idxd_take_pending_descs(&wq->ie, pending);
			wq->halted = false;
		}
	}
}
