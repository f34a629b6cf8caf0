/*
 * DMA of device models through the emulated VT-d, with or without a PASID
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "hw/i386/intel_iommu_dma.h"
#include "hw/pci/pci_bus.h"
#include "intel_iommu_internal.h"

/* One access that stays within a 4K page */
static MemTxResult vtd_dma_rw_page(PCIDevice *dev, uint32_t pasid,
                                   dma_addr_t addr, void *buf, dma_addr_t len,
                                   unsigned flags)
{
    bool is_write = flags & VTD_REQ_WRITE;
    MemTxAttrs attrs = {
        .requester_id = pci_requester_id(dev),
        .memory = true,
    };
    IntelIOMMUState *s;
    IOMMUTLBEntry entry;

    if (pasid == PCI_NO_PASID) {
        return address_space_rw(&dev->bus_master_as, addr, attrs, buf, len,
                                is_write);
    }

    s = vtd_of_device(dev);
    if (!s) {
        return MEMTX_DECODE_ERROR;
    }

    entry = vtd_translate_pasid(s, pci_get_bus(dev), dev->devfn, pasid, addr,
                                flags);
    if (!(entry.perm & (is_write ? IOMMU_WO : IOMMU_RO))) {
        return MEMTX_ACCESS_ERROR;
    }
    return address_space_rw(entry.target_as,
                            entry.translated_addr | (addr & entry.addr_mask),
                            attrs, buf, len, is_write);
}

MemTxResult vtd_dma_rw(PCIDevice *dev, uint32_t pasid, dma_addr_t addr,
                       void *buf, dma_addr_t len, unsigned flags,
                       dma_addr_t *done)
{
    bool bus_master = pci_get_word(dev->config + PCI_COMMAND) &
                      PCI_COMMAND_MASTER;
    MemTxResult res = bus_master ? MEMTX_OK : MEMTX_ACCESS_ERROR;
    dma_addr_t pos = 0;

    assert(bql_locked());

    while (res == MEMTX_OK && pos < len) {
        dma_addr_t in_page = VTD_PAGE_SIZE - ((addr + pos) % VTD_PAGE_SIZE);
        dma_addr_t n = MIN(len - pos, in_page);

        res = vtd_dma_rw_page(dev, pasid, addr + pos, (uint8_t *)buf + pos, n,
                              flags);
        if (res == MEMTX_OK) {
            pos += n;
        }
    }
    if (done) {
        *done = pos;
    }
    return res;
}
