/*
 * Helpers of the qtests that send requests through the emulated VT-d: tables,
 * the invalidation queue, faults, and the requester vtd-testdev
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_VTD_LIB_H
#define TESTS_VTD_LIB_H

#include "libqtest.h"
#include "libqos/pci.h"
#include "hw/i386/intel_iommu_internal.h"
#include "hw/i386/vtd-testdev.h"

/* Where the tests put things in guest memory */
#define VTD_MEM_TABLES      0x01000000  /* all tables and queues */
#define VTD_MEM_PRQ         0x02000000  /* page request queue */
#define VTD_MEM_A           0x03000000  /* 2M each, of different content */
#define VTD_MEM_B           0x03200000
#define VTD_MEM_A_DATA      0xaaaaaaaaaaaaaaaaull
#define VTD_MEM_B_DATA      0xbbbbbbbbbbbbbbbbull
#define VTD_MEM_SIZE        128         /* MiB */

#define VTD_OPTIONS         "x-scalable-mode=on,x-flts=on,x-slts=on," \
                            "x-pasid-mode=on,x-pss=19,x-pasid-cache=on," \
                            "device-iotlb=on"

#define VTD_SLOT            4
#define VTD_SID             (VTD_SLOT << 3)

/* What vtd_enable() writes to the context-entry by default */
#define VTD_CONTEXT_ALL     (VTD_SM_CONTEXT_ENTRY_PASIDE | \
                             VTD_SM_CONTEXT_ENTRY_DTE | \
                             VTD_SM_CONTEXT_ENTRY_PRE)

/* Entries of first-stage tables; the second stage has VTD_SL_R and VTD_SL_W */
#define FS_USER             (VTD_FL_P | VTD_FL_RW | VTD_FL_US)
#define FS_KERNEL           (VTD_FL_P | VTD_FL_RW)
#define SS_RW               (VTD_SL_R | VTD_SL_W)

typedef struct VTDTest {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint64_t regs;                  /* registers of the VT-d */
    uint16_t sid;                   /* of dev */
    uint64_t base;                  /* fixed tables */
    uint64_t tables;                /* next free page */
} VTDTest;

/* A PASID entry; level 0 is 4 */
typedef struct VTDTestPASID {
    unsigned pgtt;                  /* VTD_SM_PASID_ENTRY_* */
    uint16_t did;
    uint64_t fs_root;
    uint64_t ss_root;
    unsigned fs_level;
    uint64_t bits0;                 /* to add to val[0] and val[2] */
    uint64_t bits2;
} VTDTestPASID;

VTDTest *vtd_start(const char *options);
/* The same with the options @more, which start with a space, behind the VT-d */
VTDTest *vtd_start_with(const char *options, const char *more);
/* A second VT-d of the machine of @t and the requester at @sid behind it */
VTDTest *vtd_second(VTDTest *t, uint64_t regs, uint16_t sid);
/* The same with tables for the test device, translation on */
VTDTest *vtd_start_enabled(const char *options);
void vtd_stop(VTDTest *t);
void vtd_enable(VTDTest *t, uint64_t context_bits);
void vtd_set_context(VTDTest *t, uint64_t bits);

uint64_t vtd_reg_readq(VTDTest *t, unsigned reg);
uint32_t vtd_reg_readl(VTDTest *t, unsigned reg);
void vtd_reg_writeq(VTDTest *t, unsigned reg, uint64_t val);
void vtd_reg_writel(VTDTest *t, unsigned reg, uint32_t val);

uint64_t vtd_page(VTDTest *t);
uint64_t vtd_entry(VTDTest *t, uint64_t root, unsigned levels, unsigned level,
                   uint64_t addr);
/* Map one page of the level: 1 for 4K, 2 for 2M, 3 for 1G */
void vtd_map_level(VTDTest *t, uint64_t root, unsigned levels, unsigned level,
                   uint64_t addr, uint64_t pa, uint64_t table_bits,
                   uint64_t bits);
void vtd_map(VTDTest *t, uint64_t root, uint64_t addr, uint64_t pa,
             uint64_t bits);
uint64_t vtd_pasid_dir_entry(VTDTest *t, uint32_t pasid);
uint64_t vtd_pasid_entry(VTDTest *t, uint32_t pasid);
void vtd_set_pasid(VTDTest *t, uint32_t pasid, const VTDTestPASID *p);

/* Queue one descriptor; returns whether the hardware took it */
bool vtd_queue(VTDTest *t, uint64_t lo, uint64_t hi);
/* One that has more than two quadwords */
bool vtd_queue_private(VTDTest *t, uint64_t lo, uint64_t hi, uint64_t val2,
                       uint64_t val3);
void vtd_inv(VTDTest *t, uint64_t lo, uint64_t hi);

/* The recorded fault, which is cleared; 0 if there is none */
typedef struct VTDTestFault {
    uint8_t reason;
    uint64_t hi;
    uint64_t addr;
} VTDTestFault;

VTDTestFault vtd_fault(VTDTest *t);
void vtd_assert_fault(VTDTest *t, uint8_t reason);
void vtd_assert_no_fault(VTDTest *t);

uint64_t td_read(VTDTest *t, unsigned reg);
void td_write(VTDTest *t, unsigned reg, uint64_t val);
/* Returns VTD_TESTDEV_RESULT */
uint64_t td_command(VTDTest *t, unsigned command, uint32_t pasid,
                    uint64_t addr, unsigned flags);
bool td_dma_read(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                 uint64_t *data);
bool td_dma_write(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                  uint64_t data);
/* A read succeeds with this data, or fails with this fault */
void td_assert_reads(VTDTest *t, uint32_t pasid, uint64_t addr, uint64_t data);
void td_assert_faults(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                      uint8_t reason);
void td_assert_ats(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                   unsigned bits);

/* The machine @args, by way of a file, which the caller removes; ends @from */
QTestState *vtd_migrate(QTestState *from, const char *args, const char *uri);

/* Descriptors */
#define INV_PIOTLB_PASID(did, pasid) \
    (VTD_INV_DESC_PIOTLB | VTD_INV_DESC_PIOTLB_ALL_IN_PASID | \
     (uint64_t)(did) << 16 | (uint64_t)(pasid) << 32)
#define INV_PIOTLB_PAGE(did, pasid) \
    (VTD_INV_DESC_PIOTLB | VTD_INV_DESC_PIOTLB_PSI_IN_PASID | \
     (uint64_t)(did) << 16 | (uint64_t)(pasid) << 32)
#define INV_IOTLB_GLOBAL    (VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_GLOBAL)
#define INV_IOTLB_DOMAIN(did) \
    (VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_DOMAIN | (uint64_t)(did) << 16)
#define INV_IOTLB_PAGE(did) \
    (VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_PAGE | (uint64_t)(did) << 16)
#define INV_PASID_CACHE(did, pasid) \
    (VTD_INV_DESC_PC | VTD_INV_DESC_PC_PASID_SI | (uint64_t)(did) << 16 | \
     (uint64_t)(pasid) << 32)
#define INV_CONTEXT_GLOBAL  (VTD_INV_DESC_CC | VTD_INV_DESC_CC_GLOBAL)
#define INV_DEV_IOTLB(sid)  (VTD_INV_DESC_DEVICE | (uint64_t)(sid) << 32)
#define INV_DEV_PIOTLB(sid, pasid) \
    (VTD_INV_DESC_DEV_PIOTLB | (uint64_t)(sid) << 16 | (uint64_t)(pasid) << 32)
/* Of the second quadword */
#define INV_IH              (1 << 6)
#define INV_DEV_S           1           /* device-TLB */
#define INV_DEV_PASID_S     (1 << 11)   /* PASID-based device-TLB */
#define INV_DEV_PASID_G     1
#define PAGE_RESPONSE(sid, pasid, code) \
    (VTD_INV_DESC_PGRP | VTD_INV_DESC_PGRP_PASID_PRESENT | \
     (uint64_t)(code) << 12 | (uint64_t)(sid) << 16 | (uint64_t)(pasid) << 32)

#endif
