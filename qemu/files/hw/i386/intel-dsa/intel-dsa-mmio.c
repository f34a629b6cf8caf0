/*
 * Intel Data Streaming Accelerator: register file
 *
 * Access rules are data: for each dword of BAR0 a reset value, a mask of
 * read-write bits, a mask of write-1-to-clear bits and the condition under
 * which the read-write bits can be written.  All other bits are read-only.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "intel-dsa.h"
#include "trace.h"

typedef struct IntelDSARegRule {
    hwaddr addr;
    uint32_t rw;
    uint32_t w1c;
    IntelDSALock lock;
} IntelDSARegRule;

/* Registers of fixed address; those not listed are read-only */
static const IntelDSARegRule reg_rules[] = {
    { A_GENCFG, R_GENCFG_RDBUF_LIMIT_MASK | R_GENCFG_USER_INT_EN_MASK, 0,
      INTEL_DSA_LOCK_DEVICE },
    { A_GENCTRL, R_GENCTRL_SWERR_INT_EN_MASK | R_GENCTRL_HALT_INT_EN_MASK },
    { A_INTCAUSE, 0, R_INTCAUSE_SWERR_MASK | R_INTCAUSE_CMD_MASK |
                     R_INTCAUSE_OCCUPANCY_MASK | R_INTCAUSE_PERFMON_MASK |
                     R_INTCAUSE_HALT_MASK | R_INTCAUSE_HANDLE_REVOKED_MASK },
    { A_SWERR0, 0, R_SWERR0_VALID_MASK | R_SWERR0_OVERFLOW_MASK },
};

/* One WQCFG entry, addresses relative to it */
static const IntelDSARegRule wqcfg_rules[] = {
    { DSA_WQCFG_DW_SIZE * 4, R_WQCFG_SIZE_SIZE_MASK, 0,
      INTEL_DSA_LOCK_DEVICE },
    { DSA_WQCFG_DW_THRESHOLD * 4, R_WQCFG_THRESHOLD_THRESHOLD_MASK, 0,
      INTEL_DSA_LOCK_WQ },
    { DSA_WQCFG_DW_MODE * 4,
      R_WQCFG_MODE_DEDICATED_MASK | R_WQCFG_MODE_BOF_MASK |
      R_WQCFG_MODE_ATS_DISABLE_MASK | R_WQCFG_MODE_PRIORITY_MASK |
      R_WQCFG_MODE_PASID_MASK | R_WQCFG_MODE_PASID_EN_MASK |
      R_WQCFG_MODE_PRIV_MASK, 0,
      INTEL_DSA_LOCK_WQ },
    { DSA_WQCFG_DW_LIMITS * 4,
      R_WQCFG_LIMITS_MAX_XFER_SHIFT_MASK |
      R_WQCFG_LIMITS_MAX_BATCH_SHIFT_MASK, 0,
      INTEL_DSA_LOCK_WQ },
};

uint64_t intel_dsa_reg64(IntelDSAState *s, hwaddr addr)
{
    return deposit64(intel_dsa_reg(s, addr), 32, 32,
                     intel_dsa_reg(s, addr + 4));
}

void intel_dsa_set_reg64(IntelDSAState *s, hwaddr addr, uint64_t val)
{
    intel_dsa_set_reg(s, addr, val);
    intel_dsa_set_reg(s, addr + 4, val >> 32);
}

uint32_t intel_dsa_wqcfg(IntelDSAState *s, int wq, int dword)
{
    return intel_dsa_reg(s, INTEL_DSA_WQCFG + wq * DSA_WQCFG_SIZE + dword * 4);
}

static void reset_value64(IntelDSAState *s, hwaddr addr, uint64_t val)
{
    s->regs_reset[addr / 4] = val;
    s->regs_reset[addr / 4 + 1] = val >> 32;
}

static void add_rule(IntelDSAState *s, hwaddr base, const IntelDSARegRule *r)
{
    unsigned i = (base + r->addr) / 4;

    s->regs_rw[i] = r->rw;
    s->regs_w1c[i] = r->w1c;
    s->regs_lock[i] = r->lock;
}

static void add_rw64(IntelDSAState *s, hwaddr addr, uint64_t rw,
                     IntelDSALock lock)
{
    IntelDSARegRule lo = { addr, rw, 0, lock };
    IntelDSARegRule hi = { addr + 4, rw >> 32, 0, lock };

    add_rule(s, 0, &lo);
    add_rule(s, 0, &hi);
}

static void init_capabilities(IntelDSAState *s)
{
    uint64_t val;
    uint32_t cmds;

    s->regs_reset[A_VERSION / 4] = FIELD_DP32(0, VERSION, MAJOR, 1);

    val = FIELD_DP64(0, GENCAP, BLOCK_ON_FAULT, s->pri_cap != 0);
    val = FIELD_DP64(val, GENCAP, OVERLAP_COPY, 1);
    val = FIELD_DP64(val, GENCAP, CACHE_CTRL_MEM, 1);
    val = FIELD_DP64(val, GENCAP, CACHE_CTRL_FLUSH, 1);
    val = FIELD_DP64(val, GENCAP, CMD_CAP, 1);
    val = FIELD_DP64(val, GENCAP, MAX_XFER_SHIFT, s->max_xfer_shift);
    val = FIELD_DP64(val, GENCAP, MAX_BATCH_SHIFT, s->max_batch_shift);
    val = FIELD_DP64(val, GENCAP, CONFIG_EN, 1);
    reset_value64(s, A_GENCAP, val);

    /* WQCFG_SIZE 0: 32 bytes an entry */
    val = FIELD_DP64(0, WQCAP, TOTAL_WQ_SIZE, s->wq_size);
    val = FIELD_DP64(val, WQCAP, NUM_WQS, s->num_wqs);
    val = FIELD_DP64(val, WQCAP, SHARED_MODE, 1);
    val = FIELD_DP64(val, WQCAP, DEDICATED_MODE, 1);
    val = FIELD_DP64(val, WQCAP, WQ_ATS, 1);
    val = FIELD_DP64(val, WQCAP, PRIORITY, 1);
    val = FIELD_DP64(val, WQCAP, OCCUPANCY, 1);
    reset_value64(s, A_WQCAP, val);

    val = FIELD_DP64(0, GRPCAP, NUM_GROUPS, s->num_groups);
    val = FIELD_DP64(val, GRPCAP, TOTAL_RDBUFS, s->num_rdbufs);
    val = FIELD_DP64(val, GRPCAP, RDBUF_CTRL, 1);
    val = FIELD_DP64(val, GRPCAP, RDBUF_LIMIT, 1);
    reset_value64(s, A_GRPCAP, val);

    reset_value64(s, A_ENGCAP, FIELD_DP64(0, ENGCAP, NUM_ENGINES,
                                          s->num_engines));
    reset_value64(s, A_OPCAP0, intel_dsa_opcap());

    val = FIELD_DP64(0, OFFSETS0, GRPCFG,
                     INTEL_DSA_GRPCFG / INTEL_DSA_TABLE_UNIT);
    val = FIELD_DP64(val, OFFSETS0, WQCFG,
                     INTEL_DSA_WQCFG / INTEL_DSA_TABLE_UNIT);
    val = FIELD_DP64(val, OFFSETS0, MSIXPERM,
                     INTEL_DSA_MSIXPERM / INTEL_DSA_TABLE_UNIT);
    reset_value64(s, A_OFFSETS0, val);

    cmds = MAKE_64BIT_MASK(DSA_CMD_ENABLE_DEVICE, DSA_CMD_ABORT_PASID);
    if (s->int_handles) {
        cmds |= 1u << DSA_CMD_REQUEST_INT_HANDLE;
        cmds |= 1u << DSA_CMD_RELEASE_INT_HANDLE;
    }
    s->regs_reset[A_CMDCAP / 4] = cmds;
}

void intel_dsa_regs_init(IntelDSAState *s)
{
    hwaddr base;
    unsigned i, j;

    init_capabilities(s);

    for (i = 0; i < ARRAY_SIZE(reg_rules); i++) {
        add_rule(s, 0, &reg_rules[i]);
    }

    for (i = 0; i < s->num_groups; i++) {
        base = INTEL_DSA_GRPCFG + i * DSA_GRPCFG_SIZE;
        add_rw64(s, base + DSA_GRPCFG_WQS, MAKE_64BIT_MASK(0, s->num_wqs),
                 INTEL_DSA_LOCK_DEVICE);
        add_rw64(s, base + DSA_GRPCFG_ENGINES,
                 MAKE_64BIT_MASK(0, s->num_engines), INTEL_DSA_LOCK_DEVICE);
        add_rw64(s, base + DSA_GRPCFG_FLAGS,
                 R_GRPFLAGS_TC_A_MASK | R_GRPFLAGS_TC_B_MASK |
                 R_GRPFLAGS_USE_RDBUF_LIMIT_MASK |
                 R_GRPFLAGS_RDBUFS_RESERVED_MASK |
                 R_GRPFLAGS_RDBUFS_ALLOWED_MASK, INTEL_DSA_LOCK_DEVICE);
    }

    for (i = 0; i < s->num_wqs; i++) {
        base = INTEL_DSA_WQCFG + i * DSA_WQCFG_SIZE;
        for (j = 0; j < ARRAY_SIZE(wqcfg_rules); j++) {
            add_rule(s, base, &wqcfg_rules[j]);
        }
    }

    for (i = 0; i <= s->num_wqs; i++) {
        IntelDSARegRule perm = {
            INTEL_DSA_MSIXPERM + i * DSA_MSIXPERM_SIZE,
            R_MSIXPERM_IGNORE_MASK | R_MSIXPERM_PASID_EN_MASK |
            R_MSIXPERM_PASID_MASK,
        };

        add_rule(s, 0, &perm);
    }
}

void intel_dsa_regs_reset(IntelDSAState *s)
{
    memcpy(s->regs, s->regs_reset, sizeof(s->regs));
}

/* RESET_WQ: the size stays, as it can only change while the device is off */
void intel_dsa_regs_reset_wq(IntelDSAState *s, int wq)
{
    unsigned first = (INTEL_DSA_WQCFG + wq * DSA_WQCFG_SIZE) / 4;

    for (unsigned i = 1; i < DSA_WQCFG_SIZE / 4; i++) {
        s->regs[first + i] = s->regs_reset[first + i];
    }
}

/* The WQ whose WQCFG entry @addr is in, or -1 */
static int wq_of_addr(IntelDSAState *s, hwaddr addr)
{
    if (addr < INTEL_DSA_WQCFG ||
        addr >= INTEL_DSA_WQCFG + s->num_wqs * DSA_WQCFG_SIZE) {
        return -1;
    }
    return (addr - INTEL_DSA_WQCFG) / DSA_WQCFG_SIZE;
}

static bool locked(IntelDSAState *s, hwaddr addr)
{
    switch (s->regs_lock[addr / 4]) {
    case INTEL_DSA_LOCK_DEVICE:
        return intel_dsa_state(s) != DSA_STATE_DISABLED;
    case INTEL_DSA_LOCK_WQ:
        return s->wqs[wq_of_addr(s, addr)].state != DSA_WQ_DISABLED;
    default:
        return false;
    }
}

static uint64_t intel_dsa_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    IntelDSAState *s = opaque;
    uint32_t val = intel_dsa_reg(s, addr);
    int wq = wq_of_addr(s, addr);

    if (wq >= 0 && addr % DSA_WQCFG_SIZE == DSA_WQCFG_DW_STATUS * 4) {
        val = FIELD_DP32(0, WQCFG_STATUS, OCCUPANCY, s->wqs[wq].count);
        val = FIELD_DP32(val, WQCFG_STATUS, STATE, s->wqs[wq].state);
    }
    trace_intel_dsa_reg_read(DEVICE(s)->id ?: "", addr, val);
    return val;
}

static void intel_dsa_regs_write(void *opaque, hwaddr addr, uint64_t val,
                                 unsigned size)
{
    IntelDSAState *s = opaque;
    uint32_t old = intel_dsa_reg(s, addr);
    uint32_t rw = s->regs_rw[addr / 4];
    uint32_t w1c = s->regs_w1c[addr / 4];

    trace_intel_dsa_reg_write(DEVICE(s)->id ?: "", addr, val);

    if (addr == A_CMD) {
        intel_dsa_cmd_write(s, val);
        return;
    }

    if (locked(s, addr)) {
        /* The idxd driver rewrites whole tables, equal values are no error */
        if ((old ^ val) & rw) {
            qemu_log_mask(LOG_GUEST_ERROR, "intel-dsa: write of 0x%" PRIx64
                          " to 0x%" HWADDR_PRIx " while it is locked\n",
                          val, addr);
        }
        rw = 0;
    }
    intel_dsa_set_reg(s, addr, ((old & ~rw) | (val & rw)) & ~(val & w1c));
}

const MemoryRegionOps intel_dsa_regs_ops = {
    .read = intel_dsa_regs_read,
    .write = intel_dsa_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 4,
    .valid.max_access_size = 8,
    .impl.min_access_size = 4,
    .impl.max_access_size = 4,
};
