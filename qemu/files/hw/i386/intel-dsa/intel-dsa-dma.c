/*
 * Intel Data Streaming Accelerator: memory accesses of a descriptor
 *
 * The one place through which descriptors, operations and completion records
 * reach memory.  The context's privilege is not passed on: the VT-d model does
 * not tell supervisor requests from others yet.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_dma.h"
#include "hw/pci/pci_bus.h"
#include "intel-dsa.h"

/*
 * Read or write @len bytes at @addr.  On a failure @fault names the first
 * address that could not be accessed.
 */
bool intel_dsa_dma(IntelDSAState *s, const IntelDSAContext *ctx, uint64_t addr,
                   void *buf, unsigned len, bool write, IntelDSAFault *fault)
{
    uint32_t pasid = ctx->has_pasid ? ctx->pasid : PCI_NO_PASID;
    dma_addr_t done = 0;

    /* Unplugged by its own interrupt message: there is no bus any more */
    if (!s->dead && vtd_dma_rw(PCI_DEVICE(s), pasid, addr, buf, len, write,
                               &done) == MEMTX_OK) {
        return true;
    }
    fault->addr = addr + done;
    fault->write = write;
    return false;
}
