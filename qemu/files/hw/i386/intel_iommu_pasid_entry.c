/*
 * Checks of the PASID-table entries of the emulated VT-d
 *
 * VT-d spec 9.6 (the entry) and 7.1.3 (SPT.3 and SPT.4).  A field that belongs
 * to a capability is reserved where the capability is missing, whatever the
 * entry is for otherwise: software that sets it has not looked at CAP and ECAP.
 * What a translation type does not use, but could hold, is not looked at.
 *
 * Two readings are deliberate.  AW is reserved without second-stage translation,
 * but Linux sets it in all entries: it is ignored there.  NXE is accepted
 * without ERS, as later revisions have neither.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel_iommu_internal.h"

/* SPT.3: a reserved field that is not zero */
static bool vtd_pe_reserved(IntelIOMMUState *s, const VTDPASIDEntry *pe)
{
    uint64_t beyond_haw = ~VTD_HAW_MASK(s->aw_bits);
    uint64_t rsvd[ARRAY_SIZE(pe->val)] = {
        VTD_SM_PASID_ENTRY_RSVD_VAL0 | beyond_haw,
        VTD_SM_PASID_ENTRY_RSVD_VAL1,
        VTD_SM_PASID_ENTRY_RSVD_VAL2 | beyond_haw,
        ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL,
    };

    if (!(s->ecap & VTD_ECAP_SMPWC)) {
        rsvd[1] |= VTD_SM_PASID_ENTRY_PWSNP;
    }
    if (!(s->ecap & VTD_ECAP_SC)) {
        rsvd[1] |= VTD_SM_PASID_ENTRY_PGSNP;
    }
    if (!(s->ecap & VTD_ECAP_SRS)) {
        rsvd[2] |= VTD_SM_PASID_ENTRY_SRE | VTD_SM_PASID_ENTRY_WPE;
    }
    if (!(s->ecap & VTD_ECAP_ERS)) {
        rsvd[2] |= VTD_SM_PASID_ENTRY_ERE;
    }

    for (int i = 0; i < ARRAY_SIZE(rsvd); i++) {
        if (pe->val[i] & rsvd[i]) {
            return true;
        }
    }
    return false;
}

static bool vtd_pe_type_supported(IntelIOMMUState *s, unsigned pgtt)
{
    switch (pgtt) {
    case VTD_SM_PASID_ENTRY_FLT:
        return s->ecap & VTD_ECAP_FLTS;
    case VTD_SM_PASID_ENTRY_SLT:
        return s->ecap & VTD_ECAP_SLTS;
    case VTD_SM_PASID_ENTRY_NESTED:
        return s->ecap & VTD_ECAP_NEST;
    case VTD_SM_PASID_ENTRY_PT:
        return s->ecap & VTD_ECAP_PT;
    default:
        return false;
    }
}

/*
 * What is wrong with a present entry, or 0.  Values that the fields of its
 * translation type cannot have are SPT.4, invalid programming.
 */
VTDFaultReason vtd_pe_check(IntelIOMMUState *s, const VTDPASIDEntry *pe)
{
    unsigned pgtt = VTD_PE_GET_TYPE(pe);

    if (vtd_pe_reserved(s, pe)) {
        return VTD_FR_PASID_TABLE_ENTRY_RSVD;
    }
    if (!vtd_pe_type_supported(s, pgtt) ||
        (vtd_pgtt_has_first_stage(pgtt) &&
         !vtd_is_fl_level_supported(s, VTD_PE_GET_FL_LEVEL(pe))) ||
        (vtd_pgtt_has_second_stage(pgtt) &&
         !vtd_is_sl_level_supported(s, VTD_PE_GET_SL_LEVEL(pe)))) {
        return VTD_FR_PASID_TABLE_ENTRY_INV;
    }
    return 0;
}
