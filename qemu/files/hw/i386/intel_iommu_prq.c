/*
 * Page requests of device models to the emulated VT-d
 *
 * VT-d spec 7.4 to 7.7: the page request queue, its overflow and its event, and
 * the page group response; 11.4.11: the registers.  All state is in registers
 * and in guest memory.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "exec/address-spaces.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/pci_bus.h"
#include "system/dma.h"
#include "intel_iommu_internal.h"
#include "trace.h"

#define VTD_PQA_SIZE(val)       ((val) & 7)
#define VTD_PQ_INDEX_MASK       0x7ffe0ULL
#define VTD_PRS_PENDING         (VTD_PRS_PPR | VTD_PRS_PRO)

static uint32_t vtd_prq_reg(IntelIOMMUState *s, hwaddr reg)
{
    return ldl_le_p(&s->csr[reg]);
}

static void vtd_prq_set_reg(IntelIOMMUState *s, hwaddr reg, uint32_t clear,
                            uint32_t set)
{
    stl_le_p(&s->csr[reg], (vtd_prq_reg(s, reg) & ~clear) | set);
}

/* Send the event that IP stands for, unless it is masked */
static void vtd_prq_send_event(IntelIOMMUState *s)
{
    uint32_t pectl = vtd_prq_reg(s, DMAR_PECTL_REG);

    if ((pectl & VTD_PECTL_IP) && !(pectl & VTD_PECTL_IM)) {
        vtd_prq_set_reg(s, DMAR_PECTL_REG, VTD_PECTL_IP, 0);
        vtd_generate_interrupt(s, DMAR_PEADDR_REG, DMAR_PEDATA_REG);
    }
}

/* A status bit that comes to one already set is not a new event */
static void vtd_prq_set_status(IntelIOMMUState *s, uint32_t bit)
{
    bool pending = vtd_prq_reg(s, DMAR_PRS_REG) & VTD_PRS_PENDING;

    vtd_prq_set_reg(s, DMAR_PRS_REG, 0, bit);
    if (!pending) {
        vtd_prq_set_reg(s, DMAR_PECTL_REG, 0, VTD_PECTL_IP);
        vtd_prq_send_event(s);
    }
}

/* After a write to PRS or PECTL */
void vtd_prq_handle_write(IntelIOMMUState *s)
{
    if (!(vtd_prq_reg(s, DMAR_PRS_REG) & VTD_PRS_PENDING)) {
        vtd_prq_set_reg(s, DMAR_PECTL_REG, VTD_PECTL_IP, 0);
    }
    vtd_prq_send_event(s);
}

typedef enum {
    VTD_PRQ_QUEUED,
    VTD_PRQ_OVERFLOW,
    VTD_PRQ_BROKEN,
} VTDPRQResult;

static VTDPRQResult vtd_prq_write(IntelIOMMUState *s, const uint64_t desc[4])
{
    uint64_t pqa = ldq_le_p(&s->csr[DMAR_PQA_REG]);
    uint64_t mask = (VTD_PAGE_SIZE << VTD_PQA_SIZE(pqa)) - 1;
    uint64_t base = pqa & VTD_PT_BASE_ADDR_MASK(s->aw_bits);
    uint64_t head = ldq_le_p(&s->csr[DMAR_PQH_REG]) & VTD_PQ_INDEX_MASK & mask;
    uint64_t tail = ldq_le_p(&s->csr[DMAR_PQT_REG]) & VTD_PQ_INDEX_MASK & mask;
    uint64_t next = (tail + VTD_PRQ_DESC_SIZE) & mask;
    MemTxAttrs attrs = { .memory = true };
    uint64_t buf[4];

    /* Until software clears the overflow, nothing is queued */
    if (vtd_prq_reg(s, DMAR_PRS_REG) & VTD_PRS_PRO) {
        return VTD_PRQ_OVERFLOW;
    }
    if (next == head) {
        vtd_prq_set_status(s, VTD_PRS_PRO);
        return VTD_PRQ_OVERFLOW;
    }

    for (int i = 0; i < ARRAY_SIZE(buf); i++) {
        buf[i] = cpu_to_le64(desc[i]);
    }
    if (dma_memory_write(&address_space_memory, base + tail, buf, sizeof(buf),
                         attrs) != MEMTX_OK) {
        qemu_log_mask(LOG_GUEST_ERROR, "intel-iommu: the page request queue at "
                      "0x%" PRIx64 " is not RAM\n", base);
        return VTD_PRQ_BROKEN;
    }
    stq_le_p(&s->csr[DMAR_PQT_REG], next);
    vtd_prq_set_status(s, VTD_PRS_PPR);
    return VTD_PRQ_QUEUED;
}

bool vtd_page_request(PCIDevice *dev, uint32_t pasid, hwaddr addr,
                      uint16_t prgi, unsigned flags, bool last,
                      const uint64_t private_data[2], VTDPageResponse *resp)
{
    IntelIOMMUState *s = vtd_of_requester(dev);
    bool with_pasid = pasid != PCI_NO_PASID;
    uint64_t desc[4] = { 0 };
    uint16_t source_id;

    *resp = VTD_PAGE_RESP_FAILURE;
    if (!s || !(s->ecap & VTD_ECAP_PRS) || !s->dmar_enabled) {
        return false;
    }
    flags &= VTD_REQ_READ | VTD_REQ_WRITE | VTD_REQ_PRIV | VTD_REQ_EXEC;
    if (!with_pasid) {
        flags &= ~(VTD_REQ_PRIV | VTD_REQ_EXEC);
    }
    if (!vtd_admit_page_request(s, pci_get_bus(dev), dev->devfn, pasid, addr,
                                flags)) {
        return false;
    }

    source_id = pci_requester_id(dev);
    desc[0] = VTD_PRQ_TYPE | VTD_PRQ_SID(source_id);
    if (with_pasid) {
        desc[0] |= VTD_PRQ_PASID_PRESENT | VTD_PRQ_PASID(pasid) |
                   (flags & VTD_REQ_EXEC ? VTD_PRQ_EXEC : 0) |
                   (flags & VTD_REQ_PRIV ? VTD_PRQ_PRIV : 0);
    }
    desc[1] = (addr & VTD_PAGE_MASK_4K) | VTD_PRQ_PRGI(prgi) |
              (flags & VTD_REQ_READ ? VTD_PRQ_READ : 0) |
              (flags & VTD_REQ_WRITE ? VTD_PRQ_WRITE : 0) |
              (last ? VTD_PRQ_LAST : 0);
    if (private_data) {
        desc[0] |= VTD_PRQ_PRIVATE_DATA;
        desc[2] = private_data[0];
        desc[3] = private_data[1];
    }

    switch (vtd_prq_write(s, desc)) {
    case VTD_PRQ_QUEUED:
        trace_vtd_page_request(source_id, desc[0], desc[1], "queued");
        return true;
    case VTD_PRQ_OVERFLOW:
        /* The device finds out when it tries again */
        trace_vtd_page_request(source_id, desc[0], desc[1], "overflow");
        *resp = VTD_PAGE_RESP_SUCCESS;
        return !last;
    default:
        return false;
    }
}

/* VT-d spec 6.5.2.11: page group response descriptor */
bool vtd_process_page_group_response(IntelIOMMUState *s, VTDInvDesc *desc)
{
    VTDPageGroupResponse response = {
        .pasid = desc->val[0] & VTD_INV_DESC_PGRP_PASID_PRESENT ?
                 VTD_INV_DESC_PGRP_PASID(desc->val[0]) : PCI_NO_PASID,
        .prgi = VTD_INV_DESC_PGRP_PRGI(desc->val[1]),
        .code = VTD_INV_DESC_PGRP_CODE(desc->val[0]),
        .last = desc->val[1] & VTD_INV_DESC_PGRP_LAST,
        .private_data = desc->val[0] & VTD_INV_DESC_PGRP_PRIVATE_DATA ?
                        &desc->val[2] : NULL,
    };
    uint16_t sid = VTD_INV_DESC_PGRP_SID(desc->val[0]);
    VTDAtsDevice *dev;

    trace_vtd_page_response(sid, response.pasid, response.prgi, response.code);

    /*
     * What answers a request before the last of its group is sent on only if
     * the device has given private data to know it by (VT-d spec 7.7).
     */
    if (!response.last && !response.private_data) {
        return true;
    }
    dev = vtd_ats_device(sid);
    if (!dev ||
        !VTD_ATS_DEVICE_GET_CLASS(dev)->page_response(dev, &response)) {
        vtd_inv_log_add_unknown_response(s);
    }
    return true;
}
