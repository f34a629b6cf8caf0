/*
 * Device TLBs (ATS) and page requests (PRI) of device models behind the
 * emulated VT-d
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_IOMMU_ATS_H
#define HW_I386_INTEL_IOMMU_ATS_H

#include "hw/i386/intel_iommu_dma.h"
#include "qom/object.h"

/* For vtd_page_request(), where reading and writing are asked for apart */
#define VTD_REQ_READ    (1u << 3)

/**
 * VTDTranslation - what a translation completion says (PCIe 6.0 10.2.3)
 *
 * @addr: translated address of the first byte of the range
 * @size: bytes in the range, a power of two of at least 4K; the range is
 *        aligned to it, before and after translation
 * @read: reads are permitted
 * @write: writes are permitted
 * @exec: execution is permitted; only set if it was asked for
 * @priv: the permissions are those of requests in privileged mode
 * @global: the same for all PASIDs of the device
 * @untranslated: (U) use untranslated requests only for this range
 *
 * With neither @read nor @write nothing but @size is meaningful, and nothing
 * may be cached: an invalidation is not sent for what becomes present.
 */
typedef struct VTDTranslation {
    hwaddr addr;
    hwaddr size;
    bool read;
    bool write;
    bool exec;
    bool priv;
    bool global;
    bool untranslated;
} VTDTranslation;

/**
 * vtd_ats_translate - send a translation request for the page at @addr
 *
 * @dev: the requester
 * @pasid: the PASID of the request, or PCI_NO_PASID
 * @addr: I/O virtual address
 * @flags: VTD_REQ_WRITE if writing is wanted (NW=0), VTD_REQ_PRIV,
 *         VTD_REQ_EXEC
 * @t: the result
 *
 * Call with the BQL held.  Returns true for a successful completion, which
 * is also what a page gets that is not present or does not permit the access:
 * @t then lacks the permission, and no fault is recorded.  Returns false for
 * Unsupported Request and Completer Abort: @dev may not use ATS, the tables
 * are broken, or there is no VT-d; the fault is recorded as VT-d wants it.
 */
bool vtd_ats_translate(PCIDevice *dev, uint32_t pasid, hwaddr addr,
                       unsigned flags, VTDTranslation *t);

/**
 * vtd_dma_translated_rw - read or write memory with translated requests
 *
 * @dev: the requester
 * @addr: an address that vtd_ats_translate() returned, or one in its range
 * @buf: host buffer of @len bytes
 * @len: number of bytes
 * @flags: VTD_REQ_WRITE for writes
 *
 * There is no page-table walk and no check of permissions; the caller's device
 * TLB is trusted if the context-entry of @dev says so (DTE), and the request
 * is blocked and recorded as a fault if not.
 *
 * Call with the BQL held.  Returns as vtd_dma_rw() does.
 */
MemTxResult vtd_dma_translated_rw(PCIDevice *dev, hwaddr addr, void *buf,
                                  dma_addr_t len, unsigned flags);

/* Response codes of a page request group response (PCIe 6.0 10.4.2) */
typedef enum VTDPageResponse {
    VTD_PAGE_RESP_SUCCESS = 0,
    VTD_PAGE_RESP_INVALID = 1,
    VTD_PAGE_RESP_FAILURE = 15,
} VTDPageResponse;

/* PRGI has 9 bits */
#define VTD_PRGI_MAX    0x1ff

/**
 * vtd_page_request - send a page request message
 *
 * @dev: the requester
 * @pasid: the PASID, or PCI_NO_PASID
 * @addr: I/O virtual address of the page
 * @prgi: page request group index, up to VTD_PRGI_MAX
 * @flags: VTD_REQ_READ and VTD_REQ_WRITE as wanted, VTD_REQ_PRIV,
 *         VTD_REQ_EXEC.  @last with neither of the first two is a stop marker
 * @last: the last request of its group
 * @private_data: two quadwords for the page request descriptor, which software
 *                gives back in its response; NULL for none
 * @resp: the answer if false is returned
 *
 * Call with the BQL held.  Returns true if the message was sent: the answer to
 * the group comes with VTDAtsDeviceClass.page_response after its last request
 * (or never, if software never answers).  Returns false if the hardware
 * answered at once, with the response code in *@resp: page requests are not
 * possible or not enabled, or the queue overflowed; the callback is not called
 * then.  A request that is not the last of its group and meets an overflow is
 * dropped silently, as there is no answer to it.
 */
bool vtd_page_request(PCIDevice *dev, uint32_t pasid, hwaddr addr,
                      uint16_t prgi, unsigned flags, bool last,
                      const uint64_t private_data[2], VTDPageResponse *resp);

#define TYPE_VTD_ATS_DEVICE "vtd-ats-device"

typedef struct VTDAtsDevice VTDAtsDevice;
typedef struct VTDAtsDeviceClass VTDAtsDeviceClass;
DECLARE_CLASS_CHECKERS(VTDAtsDeviceClass, VTD_ATS_DEVICE, TYPE_VTD_ATS_DEVICE)

/**
 * VTDPageGroupResponse - what a page request group response says
 *
 * @pasid: PASID of the group, PCI_NO_PASID if the response has none
 * @prgi: page request group index
 * @code: the response code as software gave it, reserved ones included
 *        (PCIe 6.0 10.4.2.1: taken as a failure)
 * @last: it answers the group.  If not, it answers a request with private data
 *        before the last of the group, which waits on
 * @private_data: two quadwords, which software should have copied from the
 *                request; NULL for none
 */
typedef struct VTDPageGroupResponse {
    uint32_t pasid;
    uint16_t prgi;
    uint8_t code;
    bool last;
    const uint64_t *private_data;
} VTDPageGroupResponse;

/*
 * What a PCI device with a device TLB implements.  Both functions are called
 * with the BQL held, from the MMIO write with which software queued the
 * descriptor; they may call the functions above.
 */
struct VTDAtsDeviceClass {
    InterfaceClass parent;

    /**
     * @dev_iotlb_invalidate: an invalidation request
     *
     * @dev: the device
     * @pasid: drop translations with this PASID; PCI_NO_PASID: those without
     * @global: drop translations with any PASID; @pasid means nothing
     * @addr: first address of the range, aligned to @size
     * @size: bytes, a power of two of at least 4K; 0 is all 2^64 bytes
     *
     * Returns whether the device answers.  The completion is sent when this
     * returns true: no request that uses an old translation may follow.
     */
    bool (*dev_iotlb_invalidate)(VTDAtsDevice *dev, uint32_t pasid,
                                 bool global, uint64_t addr, uint64_t size);

    /**
     * @page_response: a page request group response
     *
     * @dev: the device
     * @response: what it says
     *
     * Software decides what it answers: a group that was never requested, or
     * was answered before, must do no harm.
     *
     * Returns whether the device waits for it.
     */
    bool (*page_response)(VTDAtsDevice *dev,
                          const VTDPageGroupResponse *response);
};

#endif
