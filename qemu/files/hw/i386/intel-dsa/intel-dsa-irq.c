/*
 * Intel Data Streaming Accelerator: interrupts and the software error register
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/msix.h"
#include "intel-dsa.h"
#include "trace.h"

/* Vector 0 reports commands, errors and halt; vectors 1.. are completions */
#define MISC_VECTOR 0

/*
 * A handle is opaque to software.  It differs from the table index, so that a
 * driver that confuses the two gets an error here as it may on hardware.
 */
#define HANDLE_BASE 0x100

uint16_t intel_dsa_handle_of_vector(unsigned vector)
{
    return HANDLE_BASE + vector;
}

void intel_dsa_misc_interrupt(IntelDSAState *s, uint32_t cause)
{
    intel_dsa_set_reg(s, A_INTCAUSE, intel_dsa_reg(s, A_INTCAUSE) | cause);
    s->misc_irq = true;
    intel_dsa_schedule(s);
}

/* Only from the bottom half: an MSI-X write can come back to this device */
void intel_dsa_flush_misc_interrupt(IntelDSAState *s)
{
    if (s->misc_irq) {
        s->misc_irq = false;
        trace_intel_dsa_interrupt(DEVICE(s)->id ?: "", MISC_VECTOR);
        msix_notify(PCI_DEVICE(s), MISC_VECTOR);
    }
}

/*
 * Find the MSI-X vector for the interrupt handle of a descriptor and check it
 * against the MSI-X permission table.
 */
bool intel_dsa_int_handle(IntelDSAState *s, uint16_t handle,
                          const IntelDSAContext *ctx, uint16_t *vector)
{
    uint32_t perm;
    unsigned v = handle;

    if (s->int_handles) {
        v = handle - HANDLE_BASE;
        if (handle < HANDLE_BASE || v > s->num_wqs ||
            !test_bit(v, s->handles)) {
            return false;
        }
    } else if (v > s->num_wqs) {
        return false;
    }

    perm = intel_dsa_reg(s, INTEL_DSA_MSIXPERM + v * DSA_MSIXPERM_SIZE);
    *vector = v;

    if (FIELD_EX32(perm, MSIXPERM, IGNORE)) {
        return true;
    }
    if (FIELD_EX32(perm, MSIXPERM, PASID_EN) != ctx->has_pasid) {
        return false;
    }
    return !ctx->has_pasid || FIELD_EX32(perm, MSIXPERM, PASID) == ctx->pasid;
}

static void record_swerr(IntelDSAState *s, uint64_t q0, uint64_t q1,
                         uint64_t q2)
{
    uint64_t old = intel_dsa_reg64(s, A_SWERR0);

    trace_intel_dsa_swerr(DEVICE(s)->id ?: "", FIELD_EX64(q0, SWERR0, ERROR),
                          q2);

    if (FIELD_EX64(old, SWERR0, VALID)) {
        /* The first error stays until software has acknowledged it */
        intel_dsa_set_reg64(s, A_SWERR0, old | R_SWERR0_OVERFLOW_MASK);
    } else {
        intel_dsa_set_reg64(s, A_SWERR0, q0 | R_SWERR0_VALID_MASK);
        intel_dsa_set_reg64(s, A_SWERR1, q1);
        intel_dsa_set_reg64(s, A_SWERR2, q2);
    }

    if (FIELD_EX32(intel_dsa_reg(s, A_GENCTRL), GENCTRL, SWERR_INT_EN)) {
        intel_dsa_misc_interrupt(s, R_INTCAUSE_SWERR_MASK);
    }
}

/* An error that no descriptor caused */
void intel_dsa_swerr(IntelDSAState *s, uint8_t error)
{
    record_swerr(s, FIELD_DP64(0, SWERR0, ERROR, error), 0, 0);
}

/* A descriptor that did not get into a queue: 5.3 */
void intel_dsa_swerr_submit(IntelDSAState *s, int wq, uint8_t error)
{
    uint64_t q0 = FIELD_DP64(0, SWERR0, WQ_IDX_VALID, 1);

    q0 = FIELD_DP64(q0, SWERR0, WQ_IDX, wq);
    record_swerr(s, FIELD_DP64(q0, SWERR0, ERROR, error), 0, 0);
}

/* An error of @e's descriptor that its completion record cannot tell */
void intel_dsa_swerr_work(IntelDSAState *s, IntelDSAEngine *e, uint8_t error,
                          const IntelDSAFault *fault)
{
    IntelDSAWork *w = &e->work;
    uint64_t q0 = 0, q1 = 0;

    q0 = FIELD_DP64(q0, SWERR0, DESC_VALID, 1);
    q0 = FIELD_DP64(q0, SWERR0, WQ_IDX_VALID, 1);
    q0 = FIELD_DP64(q0, SWERR0, WQ_IDX, e->wq);
    q0 = FIELD_DP64(q0, SWERR0, ERROR, error);
    q0 = FIELD_DP64(q0, SWERR0, OPERATION, w->opcode);
    q0 = FIELD_DP64(q0, SWERR0, PRIV, w->ctx.priv);
    q0 = FIELD_DP64(q0, SWERR0, PASID, w->ctx.has_pasid ? w->ctx.pasid : 0);
    q0 = FIELD_DP64(q0, SWERR0, FAULT_WRITE, fault && fault->write);
    if (e->in_batch) {
        q0 = FIELD_DP64(q0, SWERR0, BATCH, 1);
        q1 = FIELD_DP64(q1, SWERR1, BATCH_IDX, e->batch_next - 1);
    }
    q1 = FIELD_DP64(q1, SWERR1, INVALID_FLAGS, w->invalid_flags);

    record_swerr(s, q0, q1, fault ? fault->addr : 0);
}
