// SPDX-License-Identifier: GPL-2.0
/*
 * Faults of requests with PASID, for who attached the PASID
 *
 * A fault says whose request was refused (VT-d 4.0, 11.4.14.1). If somebody asked to
 * be told of those of the PASID, nobody else hears of it: a device that user space
 * drives can cause any number of them.
 *
 * The interrupt only reads the IOMMU. Who is to be told is found out in a work: that
 * depends on how many PASIDs there are, and has locks that an interrupt must not wait
 * for.
 */
#include <linux/dmar.h>
#include <linux/kfifo.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/workqueue.h>
#include <uapi/linux/ioasid.h>

#include "../iommu-pasid-fault.h"
#include "iommu.h"

/* So many a second are read when they come, others now and then */
#define DMAR_USER_FAULTS_PER_SECOND	256

/* What a reason of hardware says of a request */
struct user_fault_class {
	u32 reason;
	bool stage2;
	bool table;
};

/*
 * Of the reasons (VT-d 4.0, 7.1.3) those that a device can cause, or who has made its page
 * table. False for one that means that what the driver has set up is wrong, or cannot be
 * read: that is for the log, whoever met it.
 */
static bool user_fault_classify(u8 hw_reason, struct user_fault_class *class)
{
	*class = (struct user_fault_class) {};
	/* Root and context entries, which are not of one PASID; interrupts */
	if (hw_reason < 0x50)
		return false;
	switch (hw_reason) {
	case 0x75: /* second level, of a table of the first one: no entry, */
	case 0x76:
	case 0x77: /* not to be written, to note an access */
	case 0x79: /* ... of the page: no entry */
	case 0x86: /* not to be read; the first level has nothing that says so */
		class->stage2 = true;
		fallthrough;
	case 0x51: /* no PASID directory entry, or no entry: while it is detached */
	case 0x59:
	case 0x5c: /* to execute, or privileged, where that is off */
	case 0x5d:
	case 0x71: /* first level: no entry */
	case 0x81: /* ... not for the user, not to be executed */
	case 0x82:
	case 0x85: /* either level: not to be written */
		class->reason = IOASID_FAULT_ACCESS;
		return true;
	case 0x74: /* more bits than the second level has: of a table, of a page */
	case 0x84:
		class->stage2 = true;
		fallthrough;
	case 0x80: /* first level: not canonical */
	case 0x83: /* more bits than the IOMMU has */
	case 0x87: /* where interrupts go */
		class->reason = IOASID_FAULT_RANGE;
		return true;
	case 0x72: /* first level: has what is reserved, or changes all the time */
	case 0x91:
		class->reason = IOASID_FAULT_TABLE;
		class->table = true;
		return true;
	case 0x50: /* tables cannot be read, have what is reserved, or are not snooped */
	case 0x52:
	case 0x58:
	case 0x5a:
	case 0x5b:
	case 0x70:
	case 0x73:
	case 0x78:
	case 0x7a:
	case 0x7b:
	case 0x7c:
	case 0x90:
		return false;
	default:
		return true;
	}
}

static u32 user_fault_perm(const struct dmar_fault_record *record)
{
	bool type = dma_frcd_type(record->fault);
	u32 perm;

	/* The second bit of the type tells page requests and atomic operations. */
	if (dma_frcd_type2(record->source))
		perm = type ? IOASID_FAULT_PERM_READ | IOASID_FAULT_PERM_WRITE : 0;
	else
		perm = type ? IOASID_FAULT_PERM_READ : IOASID_FAULT_PERM_WRITE;
	if (dma_frcd_execute(record->source))
		perm |= IOASID_FAULT_PERM_EXEC;
	if (dma_frcd_privileged(record->source))
		perm |= IOASID_FAULT_PERM_PRIV;
	return perm;
}

/* False when nobody wants to be told */
static bool dmar_tell_user(struct intel_iommu *iommu,
			   const struct dmar_fault_record *record)
{
	struct iommu_pasid_fault fault = {
		.addr = dma_frcd_page_addr(record->addr),
		.perm = user_fault_perm(record),
		.hw_reason = dma_frcd_fault_reason(record->fault),
	};
	struct user_fault_class class;

	user_fault_classify(fault.hw_reason, &class);
	fault.reason = class.reason;
	fault.stage2 = class.stage2;
	fault.table = class.table;
	return iommu_report_pasid_fault(iommu->segment,
					dma_frcd_source_id(record->source),
					dma_frcd_pasid_value(record->fault),
					&fault);
}

static void dmar_user_faults_work(struct work_struct *work)
{
	struct intel_iommu *iommu = container_of(work, struct intel_iommu,
						 user_faults.work);
	struct dmar_fault_record record;

	while (kfifo_get(&iommu->user_faults.records, &record)) {
		if (!dmar_tell_user(iommu, &record))
			dmar_log_fault(iommu, &record, 0);
		cond_resched();
	}
}

/**
 * dmar_user_faults_init - prepare for faults of users
 * @iommu: the IOMMU
 */
void dmar_user_faults_init(struct intel_iommu *iommu)
{
	struct dmar_user_faults *faults = &iommu->user_faults;

	INIT_KFIFO(faults->records);
	INIT_WORK(&faults->work, dmar_user_faults_work);
	ratelimit_state_init(&faults->limit, HZ, DMAR_USER_FAULTS_PER_SECOND);
	/* It says nothing */
	ratelimit_set_flags(&faults->limit, RATELIMIT_MSG_ON_RELEASE);
}

/**
 * dmar_user_faults_exit - undo dmar_user_faults_init()
 * @iommu: the IOMMU, whose faults are not read any more
 */
void dmar_user_faults_exit(struct intel_iommu *iommu)
{
	cancel_work_sync(&iommu->user_faults.work);
}

/**
 * dmar_drain_user_faults - notify of the faults that there were
 * @iommu: the IOMMU
 *
 * Faults of a PASID that is detached are not for who has it next: when this returns, none
 * of those that came before is on its way.
 *
 * Context: Process context, may sleep.
 */
void dmar_drain_user_faults(struct intel_iommu *iommu)
{
	if (!iommu_pasid_faults_wanted())
		return;
	dmar_fault(-1, iommu);
	flush_work(&iommu->user_faults.work);
}

/**
 * dmar_defer_fault - take a fault that somebody may want to be told of
 * @iommu: the IOMMU, its register_lock held
 * @record: what it says
 * @too_fast: set to true when they come too fast
 *
 * If nobody does it is printed later.
 *
 * Context: Any but NMI.
 * Return: true when it is taken; false when it is to be printed now.
 */
bool dmar_defer_fault(struct intel_iommu *iommu,
		      const struct dmar_fault_record *record, bool *too_fast)
{
	struct dmar_user_faults *faults = &iommu->user_faults;
	struct user_fault_class class;

	if (!dma_frcd_pasid_present(record->source) ||
	    !iommu_pasid_faults_wanted() ||
	    !user_fault_classify(dma_frcd_fault_reason(record->fault), &class))
		return false;
	/* One for which there is no room is lost, as those that an IOMMU has none for. */
	if (!kfifo_put(&faults->records, *record) || !__ratelimit(&faults->limit))
		*too_fast = true;
	queue_work(system_unbound_wq, &faults->work);
	return true;
}
