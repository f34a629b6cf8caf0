/*
 * Intel Data Streaming Accelerator: page requests
 *
 * PCIe 6.0 10.4 and 10.5.2, DSA specification 3.13.2.  Each page request is a
 * group of its own.  An engine that has sent one does nothing until the answer
 * is there.
 *
 * A request whose work is aborted stays outstanding, with its group index and
 * its place in the allocation, until it is answered: the answer must not meet
 * another request.  Only a reset of the interface forgets requests; what is
 * answered after that is unexpected, and ignored.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/pci_bus.h"
#include "intel-dsa.h"
#include "trace.h"

/*
 * A page that is answered with success and still not there is asked for again,
 * but not for ever: status 04h, "excessive page request retries".
 */
#define MAX_TRIES 500

/* With a full queue the answer comes at once; software empties it, in time */
#define RETRY_MS 1

static uint8_t *pri_reg(IntelDSAState *s, int reg)
{
    return PCI_DEVICE(s)->config + s->pri_cap + reg;
}

bool intel_dsa_pri_enabled(IntelDSAState *s)
{
    return s->pri_cap &&
           (pci_get_word(pri_reg(s, PCI_PRI_CTRL)) & PCI_PRI_CTRL_ENABLE);
}

uint32_t intel_dsa_pri_allocation(IntelDSAState *s)
{
    return pci_get_long(pri_reg(s, PCI_PRI_ALLOC_REQ));
}

/* After a response failure no request is sent until PRI is enabled again */
static bool failed(IntelDSAState *s)
{
    return pci_get_word(pri_reg(s, PCI_PRI_STATUS)) & PCI_PRI_STATUS_RF;
}

/* Stopped: not enabled, and no request is without an answer */
static void update_stopped(IntelDSAState *s)
{
    uint8_t *reg = pri_reg(s, PCI_PRI_STATUS);

    if (s->prs_count || intel_dsa_pri_enabled(s)) {
        pci_word_test_and_clear_mask(reg, PCI_PRI_STATUS_STOPPED);
    } else {
        pci_word_test_and_set_mask(reg, PCI_PRI_STATUS_STOPPED);
    }
}

/* The group @prgi is over; its engine, if it still waits, goes on */
static void answer(IntelDSAState *s, unsigned prgi, uint8_t code)
{
    IntelDSAPageRequest *r = &s->prs[prgi];

    if (r->engine >= 0) {
        s->engines[r->engine].wait = INTEL_DSA_WAIT_ANSWERED;
        s->engines[r->engine].prs_code = code;
    }
    r->busy = false;
    s->prs_count--;
    update_stopped(s);
    /* For the engine, or for one that waits for its turn */
    intel_dsa_schedule(s);
}

static void answer_all(IntelDSAState *s, uint8_t code)
{
    for (unsigned i = 0; i < INTEL_DSA_MAX_PRS && s->prs_count; i++) {
        if (s->prs[i].busy) {
            answer(s, i, code);
        }
    }
}

/* It disables the interface; answers to other groups are not waited for */
static void response_failure(IntelDSAState *s)
{
    pci_word_test_and_set_mask(pri_reg(s, PCI_PRI_STATUS), PCI_PRI_STATUS_RF);
    answer_all(s, VTD_PAGE_RESP_FAILURE);
}

static bool intel_dsa_page_response(VTDAtsDevice *dev,
                                    const VTDPageGroupResponse *response)
{
    IntelDSAState *s = INTEL_DSA(dev);
    uint32_t pasid = response->pasid;
    uint16_t prgi = response->prgi;
    uint8_t code = response->code;
    bool known;

    /* Each group is of one request here, without private data */
    if (!s->pri_cap || !response->last) {
        return false;
    }
    known = prgi < INTEL_DSA_MAX_PRS && s->prs[prgi].busy &&
            s->prs[prgi].pasid == pasid;
    trace_intel_dsa_page_response(DEVICE(s)->id ?: "", pasid, prgi, code,
                                  known);
    if (failed(s)) {
        return known;
    }
    if (!known) {
        pci_word_test_and_set_mask(pri_reg(s, PCI_PRI_STATUS),
                                   PCI_PRI_STATUS_UPRGI);
        return false;
    }
    if (code == VTD_PAGE_RESP_SUCCESS || code == VTD_PAGE_RESP_INVALID) {
        answer(s, prgi, code);
    } else {
        response_failure(s);
    }
    return true;
}

/* Group indices are used by turns, so that a late answer meets none soon */
static void send_request(IntelDSAState *s, IntelDSAEngine *e)
{
    const IntelDSAContext *ctx = &e->work.ctx;
    uint32_t pasid = ctx->has_pasid ? ctx->pasid : PCI_NO_PASID;
    unsigned flags = e->fault.write ? VTD_REQ_WRITE : VTD_REQ_READ;
    uint64_t page = e->fault.addr & ~(uint64_t)(INTEL_DSA_CHUNK - 1);
    unsigned prgi = s->prs_next;
    VTDPageResponse code;

    if (s->prs_count >= MIN(intel_dsa_pri_allocation(s), INTEL_DSA_MAX_PRS)) {
        return;
    }
    while (s->prs[prgi].busy) {
        prgi = (prgi + 1) % INTEL_DSA_MAX_PRS;
    }
    s->prs_next = (prgi + 1) % INTEL_DSA_MAX_PRS;

    if (ctx->has_pasid && ctx->priv) {
        flags |= VTD_REQ_PRIV;
    }
    s->prs[prgi] = (IntelDSAPageRequest) {
        .busy = true,
        .engine = e - s->engines,
        .pasid = pasid,
    };
    s->prs_count++;
    e->prs_after = 0;
    e->wait = INTEL_DSA_WAIT_RESPONSE;
    e->prgi = prgi;
    update_stopped(s);

    trace_intel_dsa_page_request(DEVICE(s)->id ?: "", e - s->engines, pasid,
                                 page, prgi, flags);
    if (!vtd_page_request(PCI_DEVICE(s), pasid, page, prgi, flags, true, NULL,
                          &code)) {
        /* The queue overflowed, or nobody takes page requests */
        trace_intel_dsa_page_response(DEVICE(s)->id ?: "", pasid, prgi, code,
                                      true);
        if (code == VTD_PAGE_RESP_FAILURE) {
            response_failure(s);
        } else {
            answer(s, prgi, code);
        }
        e->prs_after = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + RETRY_MS;
        timer_mod(s->prs_timer, e->prs_after);
    }
}

/*
 * Block @e until the page of @fault was asked for and there is an answer.
 * Returns false if that cannot be: @fault then says what to report.
 */
bool intel_dsa_prs_block(IntelDSAState *s, IntelDSAEngine *e,
                         IntelDSAFault *fault)
{
    uint64_t page = fault->addr / INTEL_DSA_CHUNK;

    if (fault->status != DSA_STATUS_PAGE_FAULT || s->dead ||
        !intel_dsa_ats(s, &e->work.ctx) || !intel_dsa_pri_enabled(s) ||
        failed(s)) {
        return false;
    }
    if (e->prs_tries && page == e->fault.addr / INTEL_DSA_CHUNK) {
        if (e->prs_tries == MAX_TRIES) {
            e->prs_tries = 0;
            fault->status = DSA_STATUS_PAGE_DENIED;
            return false;
        }
    } else {
        e->prs_tries = 0;
    }
    e->prs_tries++;
    e->fault = *fault;
    e->wait = INTEL_DSA_WAIT_CREDIT;
    return true;
}

/* What has become of the page that @e waits for */
IntelDSAPage intel_dsa_prs_poll(IntelDSAState *s, IntelDSAEngine *e)
{
    if (e->wait == INTEL_DSA_WAIT_CREDIT) {
        if (failed(s) || !intel_dsa_pri_enabled(s)) {
            e->prs_after = 0;
            e->wait = INTEL_DSA_WAIT_ANSWERED;
            e->prs_code = VTD_PAGE_RESP_FAILURE;
        } else {
            send_request(s, e);
            return INTEL_DSA_PAGE_WAIT;
        }
    }
    if (e->wait == INTEL_DSA_WAIT_RESPONSE ||
        (e->prs_after &&
         qemu_clock_get_ms(QEMU_CLOCK_REALTIME) < e->prs_after)) {
        return INTEL_DSA_PAGE_WAIT;
    }
    e->wait = INTEL_DSA_WAIT_NONE;
    switch (e->prs_code) {
    case VTD_PAGE_RESP_SUCCESS:
        return INTEL_DSA_PAGE_RETRY;
    case VTD_PAGE_RESP_INVALID:
        e->fault.status = DSA_STATUS_PAGE_DENIED;
        break;
    default:
        e->fault.status = DSA_STATUS_TRANSLATION;
        break;
    }
    return INTEL_DSA_PAGE_DENIED;
}

/* The work of @e is given up */
void intel_dsa_prs_abandon(IntelDSAState *s, IntelDSAEngine *e)
{
    if (e->wait == INTEL_DSA_WAIT_RESPONSE) {
        s->prs[e->prgi].engine = -1;
    }
    e->wait = INTEL_DSA_WAIT_NONE;
    e->prs_tries = 0;
}

/* The capability as it is after power-on, and nothing outstanding */
void intel_dsa_prs_reset(IntelDSAState *s)
{
    if (s->pri_cap) {
        pci_set_word(pri_reg(s, PCI_PRI_CTRL), 0);
        pci_set_word(pri_reg(s, PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
        pci_set_long(pri_reg(s, PCI_PRI_ALLOC_REQ), 0);
        answer_all(s, VTD_PAGE_RESP_FAILURE);
        update_stopped(s);
    }
}

/* The control register was perhaps written; @enabled is what it said before */
void intel_dsa_prs_config(IntelDSAState *s, bool enabled)
{
    uint16_t set;

    if (!s->pri_cap) {
        return;
    }
    set = pci_word_test_and_clear_mask(pri_reg(s, PCI_PRI_CTRL),
                                       PCI_PRI_CTRL_RESET);
    if (set && !intel_dsa_pri_enabled(s)) {
        answer_all(s, VTD_PAGE_RESP_FAILURE);
    }
    if (!enabled && intel_dsa_pri_enabled(s)) {
        pci_word_test_and_clear_mask(pri_reg(s, PCI_PRI_STATUS),
                                     PCI_PRI_STATUS_RF |
                                     PCI_PRI_STATUS_UPRGI);
    }
    update_stopped(s);
}

void intel_dsa_prs_class_init(ObjectClass *oc)
{
    VTD_ATS_DEVICE_CLASS(oc)->page_response = intel_dsa_page_response;
}
