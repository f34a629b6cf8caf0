/*
 * Intel Data Streaming Accelerator: memory accesses of a descriptor
 *
 * The one place through which descriptors, operations and completion records
 * reach memory: with translations of the device TLB where ATS is in use, else
 * with untranslated requests (DSA specification, 3.13).
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/pci_bus.h"
#include "intel-dsa.h"

/* One access that stays within a page; returns a status code, 0 for success */
static uint8_t dma_page(IntelDSAState *s, uint32_t pasid, unsigned flags,
                        bool ats, uint64_t addr, void *buf, unsigned len)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    bool untranslated = !ats;
    uint64_t hpa = 0;
    uint8_t status;

    if (ats) {
        status = intel_dsa_atc_translate(s, pasid, flags, addr, &hpa,
                                         &untranslated);
        if (status) {
            return status;
        }
    }
    if (untranslated) {
        /* Hardware would not hear of a failed write: more help to a test */
        return vtd_dma_rw(pdev, pasid, addr, buf, len, flags, NULL) == MEMTX_OK
               ? DSA_STATUS_NONE : DSA_STATUS_PAGE_FAULT;
    }
    if (vtd_dma_translated_rw(pdev, hpa, buf, len, flags) == MEMTX_OK) {
        return DSA_STATUS_NONE;
    }
    return flags & VTD_REQ_WRITE ? DSA_STATUS_HW_ERR_WRITE : DSA_STATUS_HW_ERR;
}

/*
 * Read or write @len bytes at @addr.  On a failure @fault names the first
 * address that could not be accessed, and why.
 */
bool intel_dsa_dma(IntelDSAState *s, const IntelDSAContext *ctx, uint64_t addr,
                   void *buf, unsigned len, bool write, IntelDSAFault *fault)
{
    uint32_t pasid = ctx->has_pasid ? ctx->pasid : PCI_NO_PASID;
    bool ats = intel_dsa_ats(s, ctx);
    unsigned flags = 0, n, pos;

    if (write) {
        flags |= VTD_REQ_WRITE;
    }
    if (ctx->has_pasid && ctx->priv) {
        flags |= VTD_REQ_PRIV;
    }
    for (pos = 0; pos < len; pos += n) {
        n = MIN(len - pos, INTEL_DSA_CHUNK - (addr + pos) % INTEL_DSA_CHUNK);

        fault->write = write;
        fault->addr = addr + pos;
        /* Unplugged by its own interrupt message: there is no bus any more */
        fault->status = s->dead ? DSA_STATUS_PAGE_FAULT :
                        dma_page(s, pasid, flags, ats, addr + pos,
                                 (uint8_t *)buf + pos, n);
        if (fault->status) {
            return false;
        }
    }
    return true;
}
