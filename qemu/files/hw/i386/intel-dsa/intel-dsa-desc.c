/*
 * Intel Data Streaming Accelerator: life of a descriptor in an engine
 *
 * check -> run (once a step) -> complete; a batch puts the descriptors of its
 * list through the same states, with a fetch after each, before it completes
 * itself.
 *
 * A page fault can block the engine in any of them but check, until a page
 * request is answered; then the step is done once more from its beginning.
 * Steps are made such that this does no harm.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bus.h"
#include "intel-dsa.h"
#include "trace.h"

void intel_dsa_work_init(IntelDSAWork *w, const uint8_t *raw,
                         const IntelDSAContext *ctx)
{
    uint32_t dw1 = ldl_le_p(raw + DSA_DESC_DW1);

    memset(w, 0, sizeof(*w));
    memcpy(w->raw, raw, DSA_DESC_SIZE);
    w->ctx = *ctx;
    w->opcode = FIELD_EX32(dw1, DESC_DW1, OPCODE);
    w->flags = FIELD_EX32(dw1, DESC_DW1, FLAGS);
    w->cr_addr = ldq_le_p(raw + DSA_DESC_CR_ADDR);
    w->src = ldq_le_p(raw + DSA_DESC_SRC);
    w->dst = ldq_le_p(raw + DSA_DESC_DST);
    w->size = ldl_le_p(raw + DSA_DESC_XFER_SIZE);
    w->delta_last = -1;
    w->state = INTEL_DSA_WORK_CHECK;
}

/* The descriptor is completed, or given up */
void intel_dsa_engine_idle(IntelDSAState *s, IntelDSAEngine *e)
{
    if (e->wq >= 0) {
        intel_dsa_prs_abandon(s, e);
        s->wqs[e->wq].busy = false;
        s->wqs[e->wq].retired++;
        s->drain_left -= e->drain;
    }
    e->wq = -1;
    e->drain = false;
    e->in_batch = false;
}

/* Flags that are reserved for this descriptor but set, or missing */
static uint32_t bad_flags(IntelDSAState *s, IntelDSAEngine *e,
                          const IntelDSAOp *op)
{
    IntelDSAWork *w = &e->work;
    uint32_t valid = op->flags;
    uint32_t bad;

    if (!e->in_batch) {
        valid &= ~DSA_FLAG_FENCE;
    }
    if (!FIELD_EX32(intel_dsa_wqcfg(s, e->wq, DSA_WQCFG_DW_MODE), WQCFG_MODE,
                    BOF)) {
        valid &= ~DSA_FLAG_BOF;
    }
    if (!(w->flags & DSA_FLAG_CRAV)) {
        valid &= ~DSA_FLAG_RCR;
    }
    if (!w->ctx.priv &&
        !FIELD_EX32(intel_dsa_reg(s, A_GENCFG), GENCFG, USER_INT_EN)) {
        valid &= ~DSA_FLAG_RCI;
    }

    bad = w->flags & ~valid;
    if (op->record_required) {
        bad |= ~w->flags & (DSA_FLAG_CRAV | DSA_FLAG_RCR);
    }
    return bad;
}

static bool reserved_set(IntelDSAEngine *e, const IntelDSAOp *op)
{
    IntelDSAWork *w = &e->work;

    if (FIELD_EX32(ldl_le_p(w->raw + DSA_DESC_DW0), DESC_DW0, RSVD)) {
        return true;
    }
    for (int i = 0; i < DSA_DESC_SIZE; i++) {
        if ((op->reserved & (1ull << i)) && w->raw[i]) {
            return true;
        }
    }
    return false;
}

static uint64_t wq_limit(IntelDSAState *s, IntelDSAEngine *e, bool batch)
{
    uint32_t limits = intel_dsa_wqcfg(s, e->wq, DSA_WQCFG_DW_LIMITS);

    return 1ull << (batch ?
                    FIELD_EX32(limits, WQCFG_LIMITS, MAX_BATCH_SHIFT) :
                    FIELD_EX32(limits, WQCFG_LIMITS, MAX_XFER_SHIFT));
}

/* Chapter 5, descriptor checks; the first that fails is reported */
static uint8_t check(IntelDSAState *s, IntelDSAEngine *e)
{
    IntelDSAWork *w = &e->work;
    const IntelDSAOp *op = intel_dsa_op(w->opcode);

    if ((w->flags & DSA_FLAG_CRAV) && w->cr_addr % DSA_CR_SIZE) {
        /* Nowhere to write a record to: the error goes to SWERROR */
        w->flags &= ~(DSA_FLAG_CRAV | DSA_FLAG_RCI);
        return DSA_STATUS_CR_ALIGN;
    }
    if (!op || (e->in_batch && op->not_in_batch)) {
        if (w->opcode >= DSA_OP_DIF_CHECK && w->opcode <= DSA_OP_DIF_UPDATE) {
            qemu_log_mask(LOG_UNIMP, "intel-dsa: DIF operation 0x%x is not "
                          "modelled\n", w->opcode);
        }
        w->flags &= ~DSA_FLAG_RCI;
        return DSA_STATUS_BAD_OPCODE;
    }
    w->invalid_flags = bad_flags(s, e, op);
    if (w->invalid_flags) {
        w->flags &= ~(w->invalid_flags & DSA_FLAG_RCI);
    }
    if (w->flags & DSA_FLAG_RCI) {
        uint16_t handle = lduw_le_p(w->raw + DSA_DESC_INT_HANDLE);

        if (!intel_dsa_int_handle(s, handle, &w->ctx, &w->vector)) {
            w->flags &= ~DSA_FLAG_RCI;
            if (!w->invalid_flags) {
                return DSA_STATUS_INT_HANDLE;
            }
        }
    }
    if (w->invalid_flags) {
        return DSA_STATUS_INVALID_FLAGS;
    }
    if (reserved_set(e, op)) {
        return DSA_STATUS_RESERVED;
    }
    if (w->ctx.has_pasid && w->ctx.priv && !intel_dsa_pasid_priv_enabled(s)) {
        /* Goes to SWERROR: a record would be a write with that privilege */
        w->flags &= ~(DSA_FLAG_CRAV | DSA_FLAG_RCI);
        return DSA_STATUS_PRIV;
    }
    if (op->sized && (!w->size || w->size > wq_limit(s, e, false))) {
        return DSA_STATUS_XFER_SIZE;
    }
    if (w->opcode == DSA_OP_BATCH &&
        (w->size < 2 || w->size > wq_limit(s, e, true))) {
        return DSA_STATUS_DESC_COUNT;
    }
    return op->check ? op->check(w) : DSA_STATUS_NONE;
}

/* Chapter 5: the codes that come with an address */
static bool is_fault(uint8_t status)
{
    return status == DSA_STATUS_PAGE_FAULT ||
           status == DSA_STATUS_PAGE_DENIED ||
           status == DSA_STATUS_BATCH_PAGE_FAULT;
}

/* Chapter 8, completion record: the status byte is written last */
static bool write_record(IntelDSAState *s, IntelDSAWork *w,
                         IntelDSAFault *fault)
{
    uint8_t cr[DSA_CR_SIZE] = { 0 };

    cr[DSA_CR_STATUS] = w->status;
    cr[DSA_CR_RESULT] = w->result;
    stl_le_p(cr + DSA_CR_BYTES_COMPLETED, w->done);
    if (is_fault(w->status)) {
        cr[DSA_CR_STATUS] |= w->fault.write ? DSA_CR_STATUS_WRITE : 0;
        stq_le_p(cr + DSA_CR_FAULT_ADDR, w->fault.addr);
    }
    if (w->status == DSA_STATUS_INVALID_FLAGS) {
        stl_le_p(cr + DSA_CR_INVALID_FLAGS, w->invalid_flags);
    } else if (w->opcode == DSA_OP_CREATE_DELTA) {
        stl_le_p(cr + DSA_CR_DELTA_SIZE, w->delta_size);
    } else if (w->opcode == DSA_OP_CRCGEN || w->opcode == DSA_OP_COPY_CRC) {
        stq_le_p(cr + DSA_CR_CRC, w->crc);
    }

    return intel_dsa_dma(s, &w->ctx, w->cr_addr + 1, cr + 1, sizeof(cr) - 1,
                         true, fault) &&
           intel_dsa_dma(s, &w->ctx, w->cr_addr, cr, 1, true, fault);
}

static void batch_end(IntelDSAEngine *e, uint8_t status)
{
    e->work = e->batch;
    e->work.status = status;
    e->work.state = INTEL_DSA_WORK_COMPLETE;
    e->in_batch = false;
}

/* The list cannot be read any further */
static void batch_fault(IntelDSAEngine *e, const IntelDSAFault *fault)
{
    uint8_t status = fault->status;

    if (status == DSA_STATUS_PAGE_FAULT || status == DSA_STATUS_PAGE_DENIED) {
        status = DSA_STATUS_BATCH_PAGE_FAULT;
    }
    e->batch.fault = *fault;
    batch_end(e, status);
}

/* 3.13.3: the list may block, whatever Block on Fault says */
static void batch_fetch(IntelDSAState *s, IntelDSAEngine *e)
{
    IntelDSAWork *b = &e->batch;
    uint8_t end = e->batch_failed ? DSA_STATUS_BATCH_FAIL : DSA_STATUS_SUCCESS;
    uint64_t addr = b->src + (uint64_t)e->batch_next * DSA_DESC_SIZE;
    uint8_t raw[DSA_DESC_SIZE];
    IntelDSAFault fault;

    if (e->batch_next == b->size) {
        batch_end(e, end);
        return;
    }
    if (!intel_dsa_dma(s, &b->ctx, addr, raw, sizeof(raw), false, &fault)) {
        if (!intel_dsa_prs_block(s, e, &fault)) {
            batch_fault(e, &fault);
        }
        return;
    }

    intel_dsa_work_init(&e->work, raw, &b->ctx);
    e->batch_next++;

    /* A fence gives up the rest of a batch in which something failed */
    if ((e->work.flags & DSA_FLAG_FENCE) && e->batch_failed) {
        batch_end(e, end);
    }
}

/* All that there is to report was; @lost: why the record was not written */
static void retire(IntelDSAState *s, IntelDSAEngine *e,
                   const IntelDSAFault *lost)
{
    IntelDSAWork *w = &e->work;
    const IntelDSAOp *op = intel_dsa_op(w->opcode);
    bool error = w->status != DSA_STATUS_SUCCESS &&
                 w->status != DSA_STATUS_FALSE_PREDICATE;

    trace_intel_dsa_desc(DEVICE(s)->id ?: "", e->wq, op ? op->name : "unknown",
                         w->ctx.has_pasid ? w->ctx.pasid : PCI_NO_PASID,
                         w->ctx.priv, w->flags, w->size, w->status, w->done,
                         is_fault(w->status) ? w->fault.addr : 0);

    if (lost) {
        bool page = lost->status == DSA_STATUS_PAGE_FAULT ||
                    lost->status == DSA_STATUS_PAGE_DENIED;

        intel_dsa_swerr_work(s, e, page ? DSA_STATUS_CR_XLAT : lost->status,
                             lost);
    } else if (error && (!(w->flags & DSA_FLAG_CRAV) ||
                         w->status == DSA_STATUS_TRANSLATION)) {
        intel_dsa_swerr_work(s, e, w->status,
                             is_fault(w->status) ? &w->fault : NULL);
    }

    if ((w->flags & DSA_FLAG_RCI) && !s->dead) {
        trace_intel_dsa_interrupt(DEVICE(s)->id ?: "", w->vector);
        msix_notify(PCI_DEVICE(s), w->vector);
    }

    if (e->in_batch) {
        e->batch_failed |= w->status != DSA_STATUS_SUCCESS;
        e->batch.done++;
        w->state = INTEL_DSA_WORK_FETCH;
    } else {
        intel_dsa_engine_idle(s, e);
    }
}

/* 3.13.3: the completion record may block, whatever Block on Fault says */
static void complete(IntelDSAState *s, IntelDSAEngine *e)
{
    IntelDSAWork *w = &e->work;
    IntelDSAFault fault;

    if ((w->flags & DSA_FLAG_CRAV) &&
        ((w->flags & DSA_FLAG_RCR) || w->status != DSA_STATUS_SUCCESS) &&
        !write_record(s, w, &fault)) {
        if (!intel_dsa_prs_block(s, e, &fault)) {
            retire(s, e, &fault);
        }
        return;
    }
    retire(s, e, NULL);
}

static void run(IntelDSAState *s, IntelDSAEngine *e, unsigned *cost)
{
    IntelDSAWork *w = &e->work;

    *cost += intel_dsa_op(w->opcode)->step(s, w);
    if (w->status == DSA_STATUS_PAGE_FAULT && (w->flags & DSA_FLAG_BOF)) {
        if (intel_dsa_prs_block(s, e, &w->fault)) {
            w->status = DSA_STATUS_NONE;
            return;
        }
        w->status = w->fault.status;
    }
    if (w->status) {
        w->state = INTEL_DSA_WORK_COMPLETE;
    }
}

/* The page that the engine has waited for does not come */
static void page_denied(IntelDSAState *s, IntelDSAEngine *e)
{
    IntelDSAWork *w = &e->work;

    switch (w->state) {
    case INTEL_DSA_WORK_RUN:
        w->fault = e->fault;
        w->status = e->fault.status;
        w->state = INTEL_DSA_WORK_COMPLETE;
        break;
    case INTEL_DSA_WORK_COMPLETE:
        retire(s, e, &e->fault);
        break;
    case INTEL_DSA_WORK_FETCH:
        batch_fault(e, &e->fault);
        break;
    case INTEL_DSA_WORK_CHECK:
        g_assert_not_reached();
    }
}

/*
 * One step of one engine.  Adds what it cost, in bytes or the like, to @cost;
 * returns false if there is nothing to do.
 */
bool intel_dsa_engine_step(IntelDSAState *s, int engine, unsigned *cost)
{
    IntelDSAEngine *e = &s->engines[engine];
    IntelDSAWork *w = &e->work;

    if (e->wq < 0) {
        return intel_dsa_engine_dispatch(s, engine);
    }
    if (e->wait) {
        switch (intel_dsa_prs_poll(s, e)) {
        case INTEL_DSA_PAGE_WAIT:
            return false;
        case INTEL_DSA_PAGE_RETRY:
            break;
        case INTEL_DSA_PAGE_DENIED:
            page_denied(s, e);
            return true;
        }
    }

    switch (w->state) {
    case INTEL_DSA_WORK_CHECK:
        w->status = check(s, e);
        if (w->status) {
            w->state = INTEL_DSA_WORK_COMPLETE;
        } else if (w->opcode == DSA_OP_BATCH) {
            e->batch = *w;
            e->in_batch = true;
            e->batch_next = 0;
            e->batch_failed = false;
            w->state = INTEL_DSA_WORK_FETCH;
        } else {
            w->state = INTEL_DSA_WORK_RUN;
        }
        break;
    case INTEL_DSA_WORK_RUN:
        run(s, e, cost);
        break;
    case INTEL_DSA_WORK_COMPLETE:
        complete(s, e);
        break;
    case INTEL_DSA_WORK_FETCH:
        batch_fetch(s, e);
        break;
    }
    return true;
}
