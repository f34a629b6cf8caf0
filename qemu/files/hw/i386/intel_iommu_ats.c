/*
 * Device TLBs (ATS) of device models behind the emulated VT-d
 *
 * VT-d spec chapter 4 (support for device TLBs) and 6.5.2.5, 6.5.2.6 (their
 * invalidation); PCIe 6.0 chapter 10.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/i386/pc.h"
#include "hw/pci/pci_bus.h"
#include "intel_iommu_internal.h"

/* The VT-d, if @dev may use it: requests need bus mastering */
IntelIOMMUState *vtd_of_requester(PCIDevice *dev)
{
    assert(bql_locked());

    if (!(pci_get_word(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER)) {
        return NULL;
    }
    return vtd_of_device(dev);
}

bool vtd_ats_translate(PCIDevice *dev, uint32_t pasid, hwaddr addr,
                       unsigned flags, VTDTranslation *t)
{
    IntelIOMMUState *s = vtd_of_requester(dev);
    bool priv = pasid != PCI_NO_PASID && (flags & VTD_REQ_PRIV);
    bool exec = pasid != PCI_NO_PASID && (flags & VTD_REQ_EXEC);
    VTDXlat x;

    *t = (VTDTranslation) { .size = VTD_PAGE_SIZE, .priv = priv };

    if (!s || !s->dmar_enabled) {
        return false;
    }
    if (pasid == PCI_NO_PASID) {
        flags &= ~(VTD_REQ_PRIV | VTD_REQ_EXEC);

        if (addr >= VTD_INTERRUPT_ADDR_FIRST &&
            addr <= VTD_INTERRUPT_ADDR_LAST) {
            /* VT-d spec 3.14: interrupts go out as untranslated writes */
            t->addr = addr & VTD_PAGE_MASK_4K;
            t->write = true;
            t->untranslated = true;
            return true;
        }
    }

    if (!vtd_translate_ats(s, pci_get_bus(dev), dev->devfn, pasid, addr, flags,
                           &x)) {
        return false;
    }
    t->addr = x.addr;
    t->size = x.mask + 1;
    t->read = x.access & IOMMU_RO;
    t->write = x.access & IOMMU_WO;
    t->exec = exec && (x.access & VTD_ACCESS_EXEC);
    return true;
}

MemTxResult vtd_dma_translated_rw(PCIDevice *dev, hwaddr addr, void *buf,
                                  dma_addr_t len, unsigned flags)
{
    IntelIOMMUState *s = vtd_of_requester(dev);
    MemTxAttrs attrs = {
        .requester_id = pci_requester_id(dev),
        .memory = true,
    };

    if (!s || !vtd_admit_translated(s, pci_get_bus(dev), dev->devfn, addr,
                                    flags)) {
        return MEMTX_ACCESS_ERROR;
    }
    return address_space_rw(&address_space_memory, addr, attrs, buf, len,
                            flags & VTD_REQ_WRITE);
}

static PCIDevice *vtd_find_device(uint16_t source_id)
{
    PCIBus *bus = PC_MACHINE(qdev_get_machine())->pcibus;

    return pci_find_device(bus, VTD_SID_TO_BUS(source_id),
                           VTD_SID_TO_DEVFN(source_id));
}

/* The device model with this source-id, if it has a device TLB */
VTDAtsDevice *vtd_ats_device(uint16_t source_id)
{
    PCIDevice *dev = vtd_find_device(source_id);

    return dev ? (VTDAtsDevice *)object_dynamic_cast(OBJECT(dev),
                                                     TYPE_VTD_ATS_DEVICE) :
                 NULL;
}

/*
 * The address and S fields of an invalidation descriptor: with S set, the
 * lowest clear bit says how many pages (PCIe 6.0 10.3.2.3).  @size 0 is 2^64.
 */
void vtd_dev_iotlb_range(uint64_t field, bool s_bit, uint64_t *addr,
                         uint64_t *size)
{
    unsigned ones = cto64(field >> VTD_PAGE_SHIFT);

    if (!s_bit) {
        *size = VTD_PAGE_SIZE;
    } else if (VTD_PAGE_SHIFT + 1 + ones >= 64) {
        *size = 0;
    } else {
        *size = 1ULL << (VTD_PAGE_SHIFT + 1 + ones);
    }
    *addr = field & ~(*size - 1);
}

/*
 * Returns whether the invalidation is answered.  One that is absent, or has no
 * power, does not; a device model without this interface does, it has a
 * notifier.
 */
bool vtd_dev_iotlb_invalidate(uint16_t source_id, uint32_t pasid, bool global,
                              uint64_t addr, uint64_t size)
{
    PCIDevice *pdev = vtd_find_device(source_id);
    VTDAtsDevice *dev = vtd_ats_device(source_id);

    if (!pdev || !pdev->enabled) {
        return false;
    }
    return !dev ||
           VTD_ATS_DEVICE_GET_CLASS(dev)->dev_iotlb_invalidate(dev, pasid,
                                                               global, addr,
                                                               size);
}

static const TypeInfo vtd_ats_device_info = {
    .name = TYPE_VTD_ATS_DEVICE,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(VTDAtsDeviceClass),
};

static void vtd_ats_device_register_types(void)
{
    type_register_static(&vtd_ats_device_info);
}

type_init(vtd_ats_device_register_types)
