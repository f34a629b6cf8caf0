/*
 * DMA of device models through the emulated VT-d, with or without a PASID
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_IOMMU_DMA_H
#define HW_I386_INTEL_IOMMU_DMA_H

#include "exec/memattrs.h"
#include "hw/pci/pci_device.h"

/*
 * What a request asks for.  A request without VTD_REQ_WRITE reads; PRIV and
 * EXEC are the PMR and ER bits of the PASID TLP prefix and mean nothing
 * without a PASID (PCIe 6.0 6.20.2).
 */
#define VTD_REQ_WRITE   (1u << 0)
#define VTD_REQ_PRIV    (1u << 1)   /* privileged mode requested */
#define VTD_REQ_EXEC    (1u << 2)   /* execute requested, with a read only */

/**
 * vtd_dma_rw - read or write guest memory as @dev
 *
 * @dev: the requester
 * @pasid: the PASID of the requests, or PCI_NO_PASID
 * @addr: I/O virtual address
 * @buf: host buffer of @len bytes
 * @len: number of bytes; any alignment, may cross pages
 * @flags: VTD_REQ_WRITE for memory writes (device to memory), VTD_REQ_PRIV,
 *         VTD_REQ_EXEC
 * @done: if not NULL, the number of bytes transferred; after an error
 *        @addr + *@done is the address that faulted
 *
 * Each page is translated on its own, as hardware does: bytes before the page
 * that faults are transferred.  A refused translation is recorded in the VT-d
 * fault recording register before this returns.
 *
 * Requests reach RAM only; MMIO of other devices, and with a PASID the
 * interrupt address range too, answers with an error.  MSIs are sent with
 * msi_notify()/msix_notify().
 *
 * No address space is kept per PASID, so a guest cannot make this grow.
 *
 * Call with the BQL held.  Returns MEMTX_OK, or another MemTxResult if the
 * device is no bus master, the translation failed, there is no VT-d for a
 * request-with-PASID, or the memory is not RAM.
 */
MemTxResult vtd_dma_rw(PCIDevice *dev, uint32_t pasid, dma_addr_t addr,
                       void *buf, dma_addr_t len, unsigned flags,
                       dma_addr_t *done);

#endif
