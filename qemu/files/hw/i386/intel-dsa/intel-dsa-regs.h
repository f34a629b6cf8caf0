/*
 * Intel Data Streaming Accelerator: register, table and descriptor layout
 *
 * Facts of the Intel Data Streaming Accelerator Architecture Specification
 * (order number 341204), named by the table or chapter they are in.  Nothing
 * here depends on the model.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_DSA_REGS_H
#define HW_I386_INTEL_DSA_REGS_H

#include "hw/registerfields.h"

#define INTEL_DSA_DEVICE_ID     0x0b25

/* 9.2 VERSION: the architecture version, 1.0 */
REG32(VERSION, 0x00)
    FIELD(VERSION, MINOR, 0, 8)
    FIELD(VERSION, MAJOR, 8, 8)

/* 9.2 GENCAP, General Capabilities */
REG64(GENCAP, 0x10)
    FIELD(GENCAP, BLOCK_ON_FAULT, 0, 1)
    FIELD(GENCAP, OVERLAP_COPY, 1, 1)
    FIELD(GENCAP, CACHE_CTRL_MEM, 2, 1)
    FIELD(GENCAP, CACHE_CTRL_FLUSH, 3, 1)
    FIELD(GENCAP, CMD_CAP, 4, 1)
    FIELD(GENCAP, DEST_READBACK, 8, 1)
    FIELD(GENCAP, DRAIN_READBACK, 9, 1)
    FIELD(GENCAP, MAX_XFER_SHIFT, 16, 5)
    FIELD(GENCAP, MAX_BATCH_SHIFT, 21, 4)
    FIELD(GENCAP, MAX_IMS_MULT, 25, 6)
    FIELD(GENCAP, CONFIG_EN, 31, 1)

/* 9.2 WQCAP, Work Queue Capabilities */
REG64(WQCAP, 0x20)
    FIELD(WQCAP, TOTAL_WQ_SIZE, 0, 16)
    FIELD(WQCAP, NUM_WQS, 16, 8)
    FIELD(WQCAP, WQCFG_SIZE, 24, 4)
    FIELD(WQCAP, SHARED_MODE, 48, 1)
    FIELD(WQCAP, DEDICATED_MODE, 49, 1)
    FIELD(WQCAP, WQ_ATS, 50, 1)
    FIELD(WQCAP, PRIORITY, 51, 1)
    FIELD(WQCAP, OCCUPANCY, 52, 1)
    FIELD(WQCAP, OCCUPANCY_INT, 53, 1)
    FIELD(WQCAP, OP_CONFIG, 54, 1)

/* 9.2 GRPCAP, Group Capabilities */
REG64(GRPCAP, 0x30)
    FIELD(GRPCAP, NUM_GROUPS, 0, 8)
    FIELD(GRPCAP, TOTAL_RDBUFS, 8, 8)
    FIELD(GRPCAP, RDBUF_CTRL, 16, 1)
    FIELD(GRPCAP, RDBUF_LIMIT, 17, 1)
    FIELD(GRPCAP, PROGRESS_LIMIT, 18, 1)

/* 9.2 ENGCAP, Engine Capabilities */
REG64(ENGCAP, 0x38)
    FIELD(ENGCAP, NUM_ENGINES, 0, 8)

/* 9.2 OPCAP: one bit per operation code, 256 bits */
REG64(OPCAP0, 0x40)
REG64(OPCAP1, 0x48)
REG64(OPCAP2, 0x50)
REG64(OPCAP3, 0x58)

/* 9.2 OFFSETS, Table Offsets, in units of 0x100 bytes */
REG64(OFFSETS0, 0x60)
    FIELD(OFFSETS0, GRPCFG, 0, 16)
    FIELD(OFFSETS0, WQCFG, 16, 16)
    FIELD(OFFSETS0, MSIXPERM, 32, 16)
    FIELD(OFFSETS0, IMS, 48, 16)
REG64(OFFSETS1, 0x68)
    FIELD(OFFSETS1, PERFMON, 0, 16)
#define INTEL_DSA_TABLE_UNIT    0x100

/* 9.2 GENCFG, General Configuration */
REG32(GENCFG, 0x80)
    FIELD(GENCFG, RDBUF_LIMIT, 0, 8)
    FIELD(GENCFG, USER_INT_EN, 12, 1)

/* 9.2 GENCTRL, General Control */
REG32(GENCTRL, 0x88)
    FIELD(GENCTRL, SWERR_INT_EN, 0, 1)
    FIELD(GENCTRL, HALT_INT_EN, 1, 1)

/* 9.2 GENSTS, General Status */
REG32(GENSTS, 0x90)
    FIELD(GENSTS, STATE, 0, 2)
    FIELD(GENSTS, RESET_TYPE, 2, 2)

enum {
    DSA_STATE_DISABLED,
    DSA_STATE_ENABLED,
    DSA_STATE_DRAIN,
    DSA_STATE_HALT,
};

enum {
    DSA_RESET_TYPE_SOFTWARE,
    DSA_RESET_TYPE_FLR,
};

/* 9.2 INTCAUSE, Interrupt Cause; write 1 to clear */
REG32(INTCAUSE, 0x98)
    FIELD(INTCAUSE, SWERR, 0, 1)
    FIELD(INTCAUSE, CMD, 1, 1)
    FIELD(INTCAUSE, OCCUPANCY, 2, 1)
    FIELD(INTCAUSE, PERFMON, 3, 1)
    FIELD(INTCAUSE, HALT, 4, 1)
    FIELD(INTCAUSE, HANDLE_REVOKED, 31, 1)

/* 9.2 CMD, Command */
REG32(CMD, 0xa0)
    FIELD(CMD, OPERAND, 0, 20)
    FIELD(CMD, CODE, 20, 5)
    FIELD(CMD, RSVD, 25, 6)
    FIELD(CMD, INT_REQ, 31, 1)

enum {
    DSA_CMD_ENABLE_DEVICE = 1,
    DSA_CMD_DISABLE_DEVICE,
    DSA_CMD_DRAIN_ALL,
    DSA_CMD_ABORT_ALL,
    DSA_CMD_RESET_DEVICE,
    DSA_CMD_ENABLE_WQ,
    DSA_CMD_DISABLE_WQ,
    DSA_CMD_DRAIN_WQ,
    DSA_CMD_ABORT_WQ,
    DSA_CMD_RESET_WQ,
    DSA_CMD_DRAIN_PASID,
    DSA_CMD_ABORT_PASID,
    DSA_CMD_REQUEST_INT_HANDLE,
    DSA_CMD_RELEASE_INT_HANDLE,
};

/* Operand of commands on a set of WQs: 16 WQs by mask, group of 16 by index */
#define DSA_CMD_WQ_MASK(operand)    extract32(operand, 0, 16)
#define DSA_CMD_WQ_GROUP(operand)   extract32(operand, 16, 4)
/* Operand of the interrupt handle commands: table entry, or handle; IMS */
#define DSA_CMD_INT_INDEX(operand)  extract32(operand, 0, 16)
#define DSA_CMD_INT_IMS             (1u << 16)

/* 9.2 CMDSTS, Command Status */
REG32(CMDSTS, 0xa8)
    FIELD(CMDSTS, ERR, 0, 8)
    FIELD(CMDSTS, RESULT, 8, 16)
    FIELD(CMDSTS, ACTIVE, 31, 1)

/* Chapter 5, command error codes */
enum {
    DSA_CMDSTS_SUCCESS          = 0x00,
    DSA_CMDSTS_INVALID_CMD      = 0x01,
    DSA_CMDSTS_INVALID_WQ       = 0x02,
    DSA_CMDSTS_HW_ERR           = 0x03,
    DSA_CMDSTS_DEV_ENABLED      = 0x10,
    DSA_CMDSTS_CONFIG           = 0x11,
    DSA_CMDSTS_NO_BUS_MASTER    = 0x12,
    DSA_CMDSTS_PRS_ALLOC        = 0x13,
    DSA_CMDSTS_WQ_SIZE_SUM      = 0x14,
    DSA_CMDSTS_GRP_NO_ENGINE    = 0x15,
    DSA_CMDSTS_GRP_WQ           = 0x16,
    DSA_CMDSTS_GRP_ENGINE       = 0x17,
    DSA_CMDSTS_GRP_RDBUFS       = 0x18,
    DSA_CMDSTS_DEV_NOT_ENABLED  = 0x20,
    DSA_CMDSTS_WQ_ENABLED       = 0x21,
    DSA_CMDSTS_WQ_SIZE          = 0x22,
    DSA_CMDSTS_WQ_PRIORITY      = 0x23,
    DSA_CMDSTS_WQ_MODE          = 0x24,
    DSA_CMDSTS_WQ_BOF           = 0x25,
    DSA_CMDSTS_WQ_PASID         = 0x26,
    DSA_CMDSTS_WQ_MAX_BATCH     = 0x27,
    DSA_CMDSTS_WQ_MAX_XFER      = 0x28,
    DSA_CMDSTS_WQ_PRIV          = 0x2a,
    DSA_CMDSTS_DIS_NOT_ENABLED  = 0x31,
    DSA_CMDSTS_WQ_NOT_ENABLED   = 0x32,
    DSA_CMDSTS_INT_INDEX        = 0x41,
    DSA_CMDSTS_INT_NO_HANDLE    = 0x42,
    DSA_CMDSTS_INT_RELEASE      = 0x43,
};

/* 9.2 CMDCAP: one bit per command code */
REG32(CMDCAP, 0xb0)

/* 9.2 SWERROR, Software Error, 256 bits */
REG64(SWERR0, 0xc0)
    FIELD(SWERR0, VALID, 0, 1)
    FIELD(SWERR0, OVERFLOW, 1, 1)
    FIELD(SWERR0, DESC_VALID, 2, 1)
    FIELD(SWERR0, WQ_IDX_VALID, 3, 1)
    FIELD(SWERR0, BATCH, 4, 1)
    FIELD(SWERR0, FAULT_WRITE, 5, 1)
    FIELD(SWERR0, PRIV, 6, 1)
    FIELD(SWERR0, ERROR, 8, 8)
    FIELD(SWERR0, WQ_IDX, 16, 8)
    FIELD(SWERR0, OPERATION, 32, 8)
    FIELD(SWERR0, PASID, 40, 20)
REG64(SWERR1, 0xc8)
    FIELD(SWERR1, BATCH_IDX, 0, 16)
    FIELD(SWERR1, INVALID_FLAGS, 32, 32)
REG64(SWERR2, 0xd0)
REG64(SWERR3, 0xd8)

/* Error codes that only SWERROR reports */
enum {
    DSA_SWERR_PCI_CFG = 0x51,
    DSA_SWERR_CMD_ACTIVE = 0x52,
    DSA_SWERR_DWQ_FULL = 0x53,
};

/* 9.2.16 GRPCFG, Group Configuration Table: 64 bytes a group */
#define DSA_GRPCFG_SIZE         64
#define DSA_GRPCFG_WQS          0   /* 256-bit mask of WQs */
#define DSA_GRPCFG_ENGINES      32  /* 64-bit mask of engines */
#define DSA_GRPCFG_FLAGS        40
/* First half of the flags: traffic classes and read buffers */
FIELD(GRPFLAGS, TC_A, 0, 3)
FIELD(GRPFLAGS, TC_B, 3, 3)
FIELD(GRPFLAGS, USE_RDBUF_LIMIT, 7, 1)
FIELD(GRPFLAGS, RDBUFS_RESERVED, 8, 8)
FIELD(GRPFLAGS, RDBUFS_ALLOWED, 20, 8)

/* 9.2 WQCFG, Work Queue Configuration Table: 32 bytes a WQ, in dwords */
#define DSA_WQCFG_SIZE          32
#define DSA_WQCFG_DW_SIZE       0
#define DSA_WQCFG_DW_THRESHOLD  1
#define DSA_WQCFG_DW_MODE       2
#define DSA_WQCFG_DW_LIMITS     3
#define DSA_WQCFG_DW_STATUS     6
FIELD(WQCFG_SIZE, SIZE, 0, 16)
FIELD(WQCFG_THRESHOLD, THRESHOLD, 0, 16)
FIELD(WQCFG_MODE, DEDICATED, 0, 1)
FIELD(WQCFG_MODE, BOF, 1, 1)
FIELD(WQCFG_MODE, ATS_DISABLE, 2, 1)
FIELD(WQCFG_MODE, PRIORITY, 4, 4)
FIELD(WQCFG_MODE, PASID, 8, 20)
FIELD(WQCFG_MODE, PASID_EN, 28, 1)
FIELD(WQCFG_MODE, PRIV, 29, 1)
FIELD(WQCFG_LIMITS, MAX_XFER_SHIFT, 0, 5)
FIELD(WQCFG_LIMITS, MAX_BATCH_SHIFT, 5, 4)
FIELD(WQCFG_STATUS, OCCUPANCY, 0, 16)
FIELD(WQCFG_STATUS, STATE, 30, 2)

enum {
    DSA_WQ_DISABLED,
    DSA_WQ_ENABLED,
    DSA_WQ_BUSY,
};

/* 9.2 MSIXPERM, MSI-X Permissions Table: 8 bytes a vector */
#define DSA_MSIXPERM_SIZE       8
FIELD(MSIXPERM, IGNORE, 2, 1)
FIELD(MSIXPERM, PASID_EN, 3, 1)
FIELD(MSIXPERM, PASID, 12, 20)

/* Chapter 3, portals: four pages a WQ in BAR2 */
#define DSA_PORTAL_PAGE         4096
#define DSA_PORTAL_PAGES        4
#define DSA_PORTAL_LIMITED      1   /* page number bit: threshold applies */
#define DSA_PORTAL_IMS          2   /* page number bit: handles are IMS's */

/* Chapter 8, descriptor: 64 bytes */
#define DSA_DESC_SIZE           64
#define DSA_DESC_DW0            0   /* PASID 19:0, privileged 31 */
#define DSA_DESC_DW1            4   /* flags 23:0, operation 31:24 */
#define DSA_DESC_CR_ADDR        8
#define DSA_DESC_SRC            16  /* or pattern, list, delta record */
#define DSA_DESC_DST            24  /* or second source, compare pattern */
#define DSA_DESC_XFER_SIZE      32  /* or descriptor count */
#define DSA_DESC_INT_HANDLE     36
#define DSA_DESC_EXPECTED_RES   40  /* compare, compare pattern */
#define DSA_DESC_DELTA_ADDR     40  /* create delta record */
#define DSA_DESC_MAX_DELTA      48
#define DSA_DESC_EXPECTED_MASK  56
#define DSA_DESC_DELTA_SIZE     40  /* apply delta record */
#define DSA_DESC_DST2           40  /* dualcast */
#define DSA_DESC_CRC_SEED       40  /* CRC generation, copy with CRC */
#define DSA_DESC_CRC_SEED_ADDR  48

FIELD(DESC_DW0, PASID, 0, 20)
FIELD(DESC_DW0, RSVD, 20, 11)
FIELD(DESC_DW0, PRIV, 31, 1)
FIELD(DESC_DW1, FLAGS, 0, 24)
FIELD(DESC_DW1, OPCODE, 24, 8)

/* Chapter 8, descriptor flags */
#define DSA_FLAG_FENCE          (1u << 0)
#define DSA_FLAG_BOF            (1u << 1)
#define DSA_FLAG_CRAV           (1u << 2)   /* completion address valid */
#define DSA_FLAG_RCR            (1u << 3)   /* request completion record */
#define DSA_FLAG_RCI            (1u << 4)   /* request completion interrupt */
#define DSA_FLAG_CHECK_RESULT   (1u << 7)
#define DSA_FLAG_CACHE_CTRL     (1u << 8)
#define DSA_FLAG_ADDR1_TC       (1u << 9)
#define DSA_FLAG_ADDR2_TC       (1u << 10)
#define DSA_FLAG_ADDR3_TC       (1u << 11)
#define DSA_FLAG_CR_TC          (1u << 12)
#define DSA_FLAG_STRICT_ORDER   (1u << 13)
#define DSA_FLAG_DEST_READBACK  (1u << 14)
#define DSA_FLAG_DEST_STEER     (1u << 15)
#define DSA_FLAG_OP_SHIFT       16          /* 23:16 belong to the operation */
#define DSA_FLAG_CRC_READ_SEED      (1u << 16)
#define DSA_FLAG_CRC_BYPASS_INVERT  (1u << 17)
#define DSA_FLAG_CRC_BYPASS_DATA    (1u << 18)
#define DSA_FLAG_DUALCAST_STEER     (1u << 16)
#define DSA_FLAG_DRAIN_NO_RB_TCA    (1u << 18)
#define DSA_FLAG_DRAIN_NO_RB_TCB    (1u << 19)

/* Chapter 8, operation codes */
enum {
    DSA_OP_NOOP         = 0x00,
    DSA_OP_BATCH        = 0x01,
    DSA_OP_DRAIN        = 0x02,
    DSA_OP_MEMMOVE      = 0x03,
    DSA_OP_FILL         = 0x04,
    DSA_OP_COMPARE      = 0x05,
    DSA_OP_COMPVAL      = 0x06,
    DSA_OP_CREATE_DELTA = 0x07,
    DSA_OP_APPLY_DELTA  = 0x08,
    DSA_OP_DUALCAST     = 0x09,
    DSA_OP_CRCGEN       = 0x10,
    DSA_OP_COPY_CRC     = 0x11,
    DSA_OP_DIF_CHECK    = 0x12,
    DSA_OP_DIF_INSERT   = 0x13,
    DSA_OP_DIF_STRIP    = 0x14,
    DSA_OP_DIF_UPDATE   = 0x15,
    DSA_OP_CFLUSH       = 0x20,
};

/* Chapter 8, completion record: 32 bytes */
#define DSA_CR_SIZE             32
#define DSA_CR_STATUS           0
#define DSA_CR_RESULT           1
#define DSA_CR_BYTES_COMPLETED  4
#define DSA_CR_FAULT_ADDR       8
#define DSA_CR_INVALID_FLAGS    16
#define DSA_CR_DELTA_SIZE       16
#define DSA_CR_CRC              16
#define DSA_CR_STATUS_WRITE     0x80    /* the fault was on a write */

/* Chapter 5, operation status codes */
enum {
    DSA_STATUS_NONE             = 0x00,
    DSA_STATUS_SUCCESS          = 0x01,
    DSA_STATUS_FALSE_PREDICATE  = 0x02,
    DSA_STATUS_PAGE_FAULT       = 0x03,
    DSA_STATUS_PAGE_DENIED      = 0x04,
    DSA_STATUS_BATCH_FAIL       = 0x05,
    DSA_STATUS_BATCH_PAGE_FAULT = 0x06,
    DSA_STATUS_DELTA_ORDER      = 0x07,
    DSA_STATUS_DELTA_RANGE      = 0x08,
    DSA_STATUS_BAD_OPCODE       = 0x10,
    DSA_STATUS_INVALID_FLAGS    = 0x11,
    DSA_STATUS_RESERVED         = 0x12,
    DSA_STATUS_XFER_SIZE        = 0x13,
    DSA_STATUS_DESC_COUNT       = 0x14,
    DSA_STATUS_DELTA_SIZE       = 0x15,
    DSA_STATUS_OVERLAP          = 0x16,
    DSA_STATUS_DUALCAST         = 0x17,
    DSA_STATUS_LIST_ALIGN       = 0x18,
    DSA_STATUS_INT_HANDLE       = 0x19,
    DSA_STATUS_CR_XLAT          = 0x1a,
    DSA_STATUS_CR_ALIGN         = 0x1b,
    DSA_STATUS_ADDR_ALIGN       = 0x1c,
    DSA_STATUS_PRIV             = 0x1d,
    DSA_STATUS_HW_ERR           = 0x20,
    DSA_STATUS_HW_ERR_WRITE     = 0x21,
    DSA_STATUS_TRANSLATION      = 0x22,
};

/* Chapter 8, delta record: entries of a 16-bit offset / 8 and 8 data bytes */
#define DSA_DELTA_ENTRY         10
#define DSA_DELTA_MIN_SIZE      80
#define DSA_DELTA_MAX_XFER      (0xffffu * 8)

/*
 * Control of the vendor-specific extended capability that x-test=on adds, for
 * tests in a guest; no hardware has it
 */
#define INTEL_DSA_TEST_ID       0x7e57
#define INTEL_DSA_TEST_SIZE     0x0c
#define INTEL_DSA_TEST_CTRL     0x08
#define INTEL_DSA_TEST_HALT     (1u << 0)   /* halt now; reads 0 */
#define INTEL_DSA_TEST_HALT_FLR (1u << 1)   /* reset type of that */
#define INTEL_DSA_TEST_SILENT   (1u << 4)   /* answer no invalidations */

#endif
