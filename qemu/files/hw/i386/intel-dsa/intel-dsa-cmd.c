/*
 * Intel Data Streaming Accelerator: commands
 *
 * A write to CMD only sets CMDSTS.ACTIVE; the bottom half starts the command
 * and completes it once the work queues it waits for are drained.  That wait
 * covers the descriptors accepted before the command, so new ones cannot make
 * it last.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "intel-dsa.h"
#include "trace.h"

void intel_dsa_cmd_write(IntelDSAState *s, uint32_t val)
{
    if (FIELD_EX32(intel_dsa_reg(s, A_CMDSTS), CMDSTS, ACTIVE)) {
        qemu_log_mask(LOG_GUEST_ERROR, "intel-dsa: command 0x%x written while "
                      "one is active\n", val);
        intel_dsa_swerr(s, DSA_SWERR_CMD_ACTIVE);
        return;
    }
    intel_dsa_set_reg(s, A_CMD, val);
    intel_dsa_set_reg(s, A_CMDSTS, R_CMDSTS_ACTIVE_MASK);
    s->cmd_started = false;
    intel_dsa_schedule(s);
}

static uint32_t operand(IntelDSAState *s)
{
    return FIELD_EX32(intel_dsa_reg(s, A_CMD), CMD, OPERAND);
}

static unsigned code(IntelDSAState *s)
{
    return FIELD_EX32(intel_dsa_reg(s, A_CMD), CMD, CODE);
}

static void finish(IntelDSAState *s, uint8_t err, uint16_t result)
{
    uint32_t sts = FIELD_DP32(0, CMDSTS, ERR, err);

    trace_intel_dsa_cmd(DEVICE(s)->id ?: "", code(s), operand(s), err);

    intel_dsa_set_reg(s, A_CMDSTS, FIELD_DP32(sts, CMDSTS, RESULT, result));
    s->cmd_started = false;
    if (FIELD_EX32(intel_dsa_reg(s, A_CMD), CMD, INT_REQ)) {
        intel_dsa_misc_interrupt(s, R_INTCAUSE_CMD_MASK);
    }
}

static void set_state(IntelDSAState *s, int state)
{
    intel_dsa_set_reg(s, A_GENSTS,
                      FIELD_DP32(intel_dsa_reg(s, A_GENSTS), GENSTS, STATE,
                                 state));
}

static uint64_t grpcfg(IntelDSAState *s, int group, int offset)
{
    return intel_dsa_reg64(s, INTEL_DSA_GRPCFG + group * DSA_GRPCFG_SIZE +
                              offset);
}

static unsigned configured_size(IntelDSAState *s, int wq)
{
    return FIELD_EX32(intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_SIZE), WQCFG_SIZE,
                      SIZE);
}

/* ENABLE_DEVICE: what the group and WQ tables must fulfil */
static uint8_t check_config(IntelDSAState *s)
{
    uint64_t wqs = 0, engines = 0, sized = 0;
    unsigned size = 0, reserved = 0;

    for (int i = 0; i < s->num_wqs; i++) {
        size += configured_size(s, i);
        sized |= (uint64_t)!!configured_size(s, i) << i;
    }
    if (size > s->wq_size) {
        return DSA_CMDSTS_WQ_SIZE_SUM;
    }

    for (int i = 0; i < s->num_groups; i++) {
        uint64_t w = grpcfg(s, i, DSA_GRPCFG_WQS);
        uint64_t e = grpcfg(s, i, DSA_GRPCFG_ENGINES);
        uint64_t flags = grpcfg(s, i, DSA_GRPCFG_FLAGS);

        if (w && !e) {
            return DSA_CMDSTS_GRP_NO_ENGINE;
        }
        if (w & wqs) {
            return DSA_CMDSTS_GRP_WQ;
        }
        if (e & engines) {
            return DSA_CMDSTS_GRP_ENGINE;
        }
        wqs |= w;
        engines |= e;
        if (w) {
            reserved += FIELD_EX64(flags, GRPFLAGS, RDBUFS_RESERVED);
            if (FIELD_EX64(flags, GRPFLAGS, RDBUFS_ALLOWED) > s->num_rdbufs) {
                return DSA_CMDSTS_GRP_RDBUFS;
            }
        }
    }
    if (sized & ~wqs) {
        return DSA_CMDSTS_GRP_WQ;
    }
    if (reserved > s->num_rdbufs) {
        return DSA_CMDSTS_GRP_RDBUFS;
    }
    return DSA_CMDSTS_SUCCESS;
}

static uint8_t enable_device(IntelDSAState *s)
{
    uint8_t err;

    if (intel_dsa_state(s) != DSA_STATE_DISABLED) {
        return DSA_CMDSTS_DEV_ENABLED;
    }
    if (!intel_dsa_bus_master(s)) {
        return DSA_CMDSTS_NO_BUS_MASTER;
    }
    if (intel_dsa_pri_enabled(s) &&
        (!intel_dsa_pri_allocation(s) ||
         intel_dsa_pri_allocation(s) > INTEL_DSA_MAX_PRS)) {
        return DSA_CMDSTS_PRS_ALLOC;
    }
    err = check_config(s);
    if (!err) {
        set_state(s, DSA_STATE_ENABLED);
    }
    return err;
}

static uint8_t enable_wq(IntelDSAState *s)
{
    uint32_t wq = operand(s);
    uint64_t gencap = intel_dsa_reg64(s, A_GENCAP);
    uint32_t mode, limits;

    if (wq >= s->num_wqs) {
        return DSA_CMDSTS_INVALID_WQ;
    }
    if (intel_dsa_state(s) != DSA_STATE_ENABLED) {
        return DSA_CMDSTS_DEV_NOT_ENABLED;
    }
    if (s->wqs[wq].state != DSA_WQ_DISABLED) {
        return DSA_CMDSTS_WQ_ENABLED;
    }
    if (!configured_size(s, wq)) {
        return DSA_CMDSTS_WQ_SIZE;
    }

    mode = intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_MODE);
    limits = intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_LIMITS);
    if (!FIELD_EX32(mode, WQCFG_MODE, PRIORITY)) {
        return DSA_CMDSTS_WQ_PRIORITY;
    }
    if (FIELD_EX32(mode, WQCFG_MODE, BOF) && !intel_dsa_pri_enabled(s)) {
        return DSA_CMDSTS_WQ_BOF;
    }
    if (FIELD_EX32(mode, WQCFG_MODE, PASID_EN)) {
        if (!intel_dsa_pasid_enabled(s)) {
            return DSA_CMDSTS_WQ_PASID;
        }
        if (FIELD_EX32(mode, WQCFG_MODE, DEDICATED) &&
            FIELD_EX32(mode, WQCFG_MODE, PRIV) &&
            !intel_dsa_pasid_priv_enabled(s)) {
            return DSA_CMDSTS_WQ_PRIV;
        }
    } else if (!FIELD_EX32(mode, WQCFG_MODE, DEDICATED)) {
        return DSA_CMDSTS_WQ_PASID;
    }
    if (FIELD_EX32(limits, WQCFG_LIMITS, MAX_BATCH_SHIFT) >
        FIELD_EX64(gencap, GENCAP, MAX_BATCH_SHIFT)) {
        return DSA_CMDSTS_WQ_MAX_BATCH;
    }
    if (FIELD_EX32(limits, WQCFG_LIMITS, MAX_XFER_SHIFT) >
        FIELD_EX64(gencap, GENCAP, MAX_XFER_SHIFT)) {
        return DSA_CMDSTS_WQ_MAX_XFER;
    }

    intel_dsa_wq_enable(s, wq);
    return DSA_CMDSTS_SUCCESS;
}

/*
 * The WQs that a DISABLE/DRAIN/ABORT/RESET_WQ operand names, into cmd_wqs.  Of
 * a disabled one the configuration can be reset.
 */
static uint8_t named_wqs(IntelDSAState *s)
{
    unsigned first = DSA_CMD_WQ_GROUP(operand(s)) * 16;
    uint32_t mask = DSA_CMD_WQ_MASK(operand(s));

    for (unsigned i = 0; i < 16; i++) {
        if (!(mask & (1u << i))) {
            continue;
        }
        if (first + i >= s->num_wqs) {
            return DSA_CMDSTS_INVALID_WQ;
        }
        if (s->wqs[first + i].state == DSA_WQ_DISABLED &&
            code(s) != DSA_CMD_RESET_WQ) {
            return DSA_CMDSTS_WQ_NOT_ENABLED;
        }
        set_bit(first + i, s->cmd_wqs);
    }
    return mask ? DSA_CMDSTS_SUCCESS : DSA_CMDSTS_INVALID_WQ;
}

/* 5.8.3: only Disable Device is an error when the device is disabled */
static uint8_t all_wqs(IntelDSAState *s)
{
    if (intel_dsa_state(s) != DSA_STATE_ENABLED &&
        code(s) == DSA_CMD_DISABLE_DEVICE) {
        return DSA_CMDSTS_DIS_NOT_ENABLED;
    }
    for (int i = 0; i < s->num_wqs; i++) {
        if (s->wqs[i].state != DSA_WQ_DISABLED) {
            set_bit(i, s->cmd_wqs);
        }
    }
    return DSA_CMDSTS_SUCCESS;
}

static uint8_t request_handle(IntelDSAState *s, uint16_t *handle)
{
    unsigned idx = DSA_CMD_INT_INDEX(operand(s));

    /* Entry 0 is the misc. interrupt; there is no interrupt message storage */
    if ((operand(s) & DSA_CMD_INT_IMS) || !idx || idx > s->num_wqs) {
        return DSA_CMDSTS_INT_INDEX;
    }
    set_bit(idx, s->handles);
    *handle = intel_dsa_handle_of_vector(idx);
    return DSA_CMDSTS_SUCCESS;
}

static uint8_t release_handle(IntelDSAState *s)
{
    unsigned handle = DSA_CMD_INT_INDEX(operand(s));

    for (unsigned i = 1; i <= s->num_wqs; i++) {
        if (!(operand(s) & DSA_CMD_INT_IMS) && test_bit(i, s->handles) &&
            intel_dsa_handle_of_vector(i) == handle) {
            clear_bit(i, s->handles);
            return DSA_CMDSTS_SUCCESS;
        }
    }
    return DSA_CMDSTS_INT_RELEASE;
}

static void for_cmd_wqs(IntelDSAState *s,
                        void (*fn)(IntelDSAState *s, int wq))
{
    for (int i = 0; i < s->num_wqs; i++) {
        if (test_bit(i, s->cmd_wqs)) {
            fn(s, i);
        }
    }
}

static void stop_accepting(IntelDSAState *s, int wq)
{
    s->wqs[wq].accepting = false;
    s->wqs[wq].state = DSA_WQ_BUSY;
}

static void abort_all_pasids(IntelDSAState *s, int wq)
{
    intel_dsa_wq_abort(s, wq, -1);
}

static void abort_operand_pasid(IntelDSAState *s, int wq)
{
    intel_dsa_wq_abort(s, wq, operand(s));
}

static void mark_operand_pasid(IntelDSAState *s, int wq)
{
    intel_dsa_wq_mark(s, wq, operand(s));
}

static void snapshot(IntelDSAState *s, int wq)
{
    s->wqs[wq].drain_target = s->wqs[wq].submitted;
}

/* Whether a halted device takes a reset command */
static bool software_resets(IntelDSAState *s)
{
    return FIELD_EX32(intel_dsa_reg(s, A_GENSTS), GENSTS, RESET_TYPE) ==
           DSA_RESET_TYPE_SOFTWARE;
}

/* What happens at once; returns an error or leaves a wait for cmd_wqs */
static uint8_t start(IntelDSAState *s, uint16_t *result)
{
    unsigned cmd = code(s);
    uint8_t err = DSA_CMDSTS_SUCCESS;

    bitmap_zero(s->cmd_wqs, INTEL_DSA_MAX_WQS);

    if (FIELD_EX32(intel_dsa_reg(s, A_CMD), CMD, RSVD) ||
        !(intel_dsa_reg(s, A_CMDCAP) & (1u << cmd))) {
        return DSA_CMDSTS_INVALID_CMD;
    }
    if (intel_dsa_state(s) == DSA_STATE_HALT &&
        (cmd != DSA_CMD_RESET_DEVICE || !software_resets(s))) {
        return DSA_CMDSTS_HW_ERR;
    }

    switch (cmd) {
    case DSA_CMD_ENABLE_DEVICE:
        return enable_device(s);
    case DSA_CMD_ENABLE_WQ:
        return enable_wq(s);
    case DSA_CMD_REQUEST_INT_HANDLE:
        return request_handle(s, result);
    case DSA_CMD_RELEASE_INT_HANDLE:
        return release_handle(s);
    case DSA_CMD_RESET_DEVICE:
        return DSA_CMDSTS_SUCCESS;
    case DSA_CMD_DISABLE_WQ:
    case DSA_CMD_RESET_WQ:
    case DSA_CMD_DRAIN_WQ:
    case DSA_CMD_ABORT_WQ:
        err = named_wqs(s);
        break;
    default:
        err = all_wqs(s);
        break;
    }
    if (err) {
        bitmap_zero(s->cmd_wqs, INTEL_DSA_MAX_WQS);
        return err;
    }

    switch (cmd) {
    case DSA_CMD_DISABLE_DEVICE:
        set_state(s, DSA_STATE_DRAIN);
        /* fall through */
    case DSA_CMD_DISABLE_WQ:
        for_cmd_wqs(s, stop_accepting);
        break;
    case DSA_CMD_DRAIN_PASID:
        for_cmd_wqs(s, mark_operand_pasid);
        return DSA_CMDSTS_SUCCESS;
    case DSA_CMD_RESET_WQ:
    case DSA_CMD_ABORT_ALL:
    case DSA_CMD_ABORT_WQ:
        for_cmd_wqs(s, abort_all_pasids);
        break;
    case DSA_CMD_ABORT_PASID:
        for_cmd_wqs(s, abort_operand_pasid);
        /* Nothing to wait for, neither what others have there */
        bitmap_zero(s->cmd_wqs, INTEL_DSA_MAX_WQS);
        return DSA_CMDSTS_SUCCESS;
    }
    for_cmd_wqs(s, snapshot);
    return DSA_CMDSTS_SUCCESS;
}

static bool drained(IntelDSAState *s)
{
    if (code(s) == DSA_CMD_DRAIN_PASID) {
        return !s->drain_left;
    }
    for (int i = 0; i < s->num_wqs; i++) {
        if (test_bit(i, s->cmd_wqs) &&
            s->wqs[i].retired < s->wqs[i].drain_target) {
            return false;
        }
    }
    return true;
}

/* What is left to do when the wait is over */
static void end(IntelDSAState *s)
{
    switch (code(s)) {
    case DSA_CMD_DISABLE_DEVICE:
        for_cmd_wqs(s, intel_dsa_wq_disable);
        set_state(s, DSA_STATE_DISABLED);
        break;
    case DSA_CMD_DISABLE_WQ:
        for_cmd_wqs(s, intel_dsa_wq_disable);
        break;
    case DSA_CMD_RESET_WQ:
        for_cmd_wqs(s, intel_dsa_wq_disable);
        for_cmd_wqs(s, intel_dsa_regs_reset_wq);
        break;
    }
}

/* 3.15: CMD and SWERROR keep what they say */
static void reset_device(IntelDSAState *s)
{
    uint32_t cmd = intel_dsa_reg(s, A_CMD);
    uint64_t err[3] = {
        intel_dsa_reg64(s, A_SWERR0),
        intel_dsa_reg64(s, A_SWERR1),
        intel_dsa_reg64(s, A_SWERR2),
    };

    intel_dsa_reset_state(s);
    intel_dsa_set_reg(s, A_CMD, cmd);
    intel_dsa_set_reg64(s, A_SWERR0, err[0]);
    intel_dsa_set_reg64(s, A_SWERR1, err[1]);
    intel_dsa_set_reg64(s, A_SWERR2, err[2]);
}

/* Start or finish the active command; false if there is nothing to do yet */
bool intel_dsa_cmd_step(IntelDSAState *s)
{
    uint16_t result = 0;
    uint8_t err;

    if (!FIELD_EX32(intel_dsa_reg(s, A_CMDSTS), CMDSTS, ACTIVE)) {
        return false;
    }
    if (!s->cmd_started) {
        s->cmd_started = true;
        err = start(s, &result);
        if (err || result) {
            finish(s, err, result);
            return true;
        }
        if (code(s) == DSA_CMD_RESET_DEVICE) {
            reset_device(s);
        }
    }
    if (intel_dsa_state(s) == DSA_STATE_HALT) {
        finish(s, DSA_CMDSTS_HW_ERR, 0);
        return true;
    }
    if (!drained(s)) {
        return false;
    }
    end(s);
    finish(s, DSA_CMDSTS_SUCCESS, 0);
    return true;
}
