// SPDX-License-Identifier: GPL-2.0
/*
 * Faults of requests with PASID, for who attached the PASID
 *
 * A fault says whose request was refused (VT-d 4.0, 11.4.14.1). If somebody asked to
 * be told of those of the PASID, that is done here, and nobody else hears of it: a
 * device that user space drives can cause any number of them.
 */
#include <linux/dmar.h>
#include <uapi/linux/ioasid.h>

#include "../iommu-pasid-fault.h"
#include "iommu.h"

/*
 * Of the reasons (VT-d 4.0, 7.1.3) those that a device can cause. False for one that
 * means that what the driver has set up is wrong, or cannot be read: that is for the
 * log, whoever met it.
 */
static bool user_fault_reason(u8 hw_reason, u32 *reason)
{
	switch (hw_reason) {
	case 0x51: /* no PASID directory entry, or no entry: while it is detached */
	case 0x59:
	case 0x5c: /* to execute, or privileged, where that is off */
	case 0x5d:
	case 0x71: /* first level: no entry */
	case 0x81: /* ... not for the user, not to be executed */
	case 0x82:
	case 0x85: /* either level: not to be written, read */
	case 0x86:
		*reason = IOASID_FAULT_ACCESS;
		return true;
	case 0x80: /* first level: not canonical */
	case 0x83: /* more bits than the IOMMU, or the second level, has */
	case 0x84:
	case 0x87: /* where interrupts go */
		*reason = IOASID_FAULT_RANGE;
		return true;
	case 0x70: /* tables cannot be read, or have what is reserved */
	case 0x72:
	case 0x73:
	case 0x78:
	case 0x7a:
	case 0x7b:
	case 0x58:
	case 0x5a:
	case 0x5b:
		return false;
	default:
		*reason = IOASID_FAULT_UNKNOWN;
		return true;
	}
}

static u32 user_fault_perm(const struct dmar_fault_record *record)
{
	bool type = dma_frcd_type(record->fault);
	u32 perm = 0;

	/* The second bit of the type tells page requests from others. */
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

/**
 * dmar_fault_of_user - tell who attached a PASID that a request was refused
 * @iommu: the IOMMU
 * @record: what it says
 *
 * Context: Any but NMI.
 * Return: true when somebody was told; false when it is for the log.
 */
bool dmar_fault_of_user(struct intel_iommu *iommu,
			const struct dmar_fault_record *record)
{
	struct iommu_pasid_fault fault = {
		.addr = dma_frcd_page_addr(record->addr),
		.hw_reason = dma_frcd_fault_reason(record->fault),
	};

	if (!dma_frcd_pasid_present(record->source) ||
	    !user_fault_reason(fault.hw_reason, &fault.reason))
		return false;
	fault.perm = user_fault_perm(record);
	return iommu_report_pasid_fault(iommu->segment,
					dma_frcd_source_id(record->source),
					dma_frcd_pasid_value(record->fault),
					&fault);
}
