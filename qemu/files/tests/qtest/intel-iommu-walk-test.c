/*
 * QTest of the page-table walks and caches of intel-iommu in scalable mode
 *
 * Every cache is shown twice: what is left out of an invalidation goes on being
 * used, what is invalidated is not.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vtd-lib.h"

#define PASID   0x12345
#define DID     7

/* Not where any memory is */
#define IOVA    0x4000000000ull
#define IOVA_2  (IOVA + 0x1000)         /* same table */
#define IOVA_3  (IOVA + 0x200000)       /* another table, same directory */

static VTDTestPASID first_stage(VTDTest *t, uint64_t bits2)
{
    return (VTDTestPASID) {
        .pgtt = VTD_SM_PASID_ENTRY_FLT,
        .did = DID,
        .fs_root = vtd_page(t),
        .bits2 = bits2,
    };
}

static VTDTestPASID second_stage(VTDTest *t)
{
    return (VTDTestPASID) {
        .pgtt = VTD_SM_PASID_ENTRY_SLT,
        .did = DID,
        .ss_root = vtd_page(t),
    };
}

static uint64_t leaf(VTDTest *t, uint64_t root, uint64_t addr)
{
    return vtd_entry(t, root, 4, 1, addr);
}

/*
 * Privilege
 */

static void test_sre(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    VTDTestFault f;
    uint64_t data;

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_KERNEL);
    vtd_set_pasid(t, PASID, &p);

    g_assert_false(td_dma_read(t, PASID, IOVA, VTD_REQ_PRIV, &data));
    f = vtd_fault(t);
    g_assert_cmphex(f.reason, ==, VTD_FR_PASID_ENTRY_SRE);
    g_assert_cmphex(f.addr, ==, IOVA);
    g_assert_cmphex(f.hi & ~VTD_FRCD_F, ==,
                    VTD_FRCD_T | VTD_FRCD_PV((uint64_t)PASID) |
                    VTD_FRCD_FR((uint64_t)VTD_FR_PASID_ENTRY_SRE) |
                    VTD_FRCD_PP(1) | VTD_FRCD_PRIV(1) | VTD_SID);

    /* The cached entry says no; the new one is read after an invalidation */
    p.bits2 = VTD_SM_PASID_ENTRY_SRE;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    g_assert_true(td_dma_read(t, PASID, IOVA, VTD_REQ_PRIV, &data));
    g_assert_cmphex(data, ==, VTD_MEM_A_DATA);
    vtd_assert_no_fault(t);

    /* What the supervisor's request left in the IOTLB is not for users */
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_US);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_FS_PAGING_ENTRY_US);
    vtd_stop(t);
}

/* Without the capability supervisor requests are blocked */
static void test_no_srs(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-srs=off");
    VTDTestPASID p = first_stage(t, 0);

    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_SRS, ==, 0);
    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_KERNEL);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_PRIV, VTD_FR_PASID_ENTRY_SRE);
    vtd_stop(t);
}

static void test_wpe(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, VTD_SM_PASID_ENTRY_SRE);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, VTD_FL_P);
    vtd_map(t, p.fs_root, IOVA_2, VTD_MEM_A + 0x1000, VTD_FL_P | VTD_FL_US);
    vtd_set_pasid(t, PASID, &p);

    g_assert_true(td_dma_write(t, PASID, IOVA, VTD_REQ_PRIV, 1));
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, 1);
    g_assert_true(td_dma_write(t, PASID, IOVA_2, VTD_REQ_PRIV, 2));
    vtd_assert_no_fault(t);
    td_assert_faults(t, PASID, IOVA_2, VTD_REQ_WRITE, VTD_FR_SM_WRITE);

    p.bits2 |= VTD_SM_PASID_ENTRY_WPE;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    g_assert_false(td_dma_write(t, PASID, IOVA, VTD_REQ_PRIV, 3));
    vtd_assert_fault(t, VTD_FR_SM_WRITE);
    g_assert_false(td_dma_write(t, PASID, IOVA_2, VTD_REQ_PRIV, 3));
    vtd_assert_fault(t, VTD_FR_SM_WRITE);
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, 1);

    /* Reading is no matter of WPE */
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA, PASID, IOVA, VTD_REQ_PRIV),
                    ==, VTD_TESTDEV_OK);
    vtd_stop(t);
}

/* A right must be given on every level */
static void test_upper_levels(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-psc=off");
    VTDTestPASID p = first_stage(t, 0);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t at = vtd_entry(t, p.fs_root, 4, level, IOVA);
        uint64_t pte = qtest_readq(t->qts, at);

        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

        qtest_writeq(t->qts, at, pte & ~VTD_FL_US);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_US);

        qtest_writeq(t->qts, at, pte & ~VTD_FL_RW);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SM_WRITE);

        qtest_writeq(t->qts, at, pte & ~VTD_FL_P);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_P);

        /* Bits above the address width are reserved */
        qtest_writeq(t->qts, at, pte | 1ull << 50);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_RSVD);
        qtest_writeq(t->qts, at, pte);
    }
    vtd_stop(t);
}

static void test_execute(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, VTD_SM_PASID_ENTRY_SRE);
    VTDTestFault f;
    uint64_t data;

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_map(t, p.fs_root, IOVA_2, VTD_MEM_B, FS_USER | VTD_FL_XD);
    vtd_set_pasid(t, PASID, &p);

    g_assert_false(td_dma_read(t, PASID, IOVA, VTD_REQ_EXEC, &data));
    f = vtd_fault(t);
    g_assert_cmphex(f.reason, ==, VTD_FR_PASID_ENTRY_ERE);
    g_assert_cmphex(f.hi & (VTD_FRCD_EXE(1) | VTD_FRCD_PRIV(1)), ==,
                    VTD_FRCD_EXE(1));

    /* NXE=0: XD means nothing */
    p.bits2 |= VTD_SM_PASID_ENTRY_ERE;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    g_assert_true(td_dma_read(t, PASID, IOVA, VTD_REQ_EXEC, &data));
    g_assert_true(td_dma_read(t, PASID, IOVA_2, VTD_REQ_EXEC, &data));
    g_assert_cmphex(data, ==, VTD_MEM_B_DATA);

    p.bits2 |= VTD_SM_PASID_ENTRY_NXE;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    vtd_assert_no_fault(t);
    g_assert_true(td_dma_read(t, PASID, IOVA, VTD_REQ_EXEC, &data));
    td_assert_reads(t, PASID, IOVA_2, VTD_MEM_B_DATA);
    td_assert_faults(t, PASID, IOVA_2, VTD_REQ_EXEC, VTD_FR_FS_PAGING_ENTRY_X);

    /* SMEP: the supervisor does not execute what is the user's */
    g_assert_true(td_dma_read(t, PASID, IOVA, VTD_REQ_EXEC | VTD_REQ_PRIV,
                              &data));
    p.bits2 |= VTD_SM_PASID_ENTRY_SMEP;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_EXEC | VTD_REQ_PRIV,
                     VTD_FR_FS_PAGING_ENTRY_X);
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",x-ers=off");
    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_ERS, ==, 0);
    p = first_stage(t, 0);
    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_EXEC, VTD_FR_PASID_ENTRY_ERE);
    vtd_stop(t);
}

/* Requests without PASID are privileged if the context-entry says so */
static void test_rid_priv(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, VTD_SM_PASID_ENTRY_SRE);
    uint64_t context = VTD_MEM_TABLES + 0x1000 +
                       VTD_SID * VTD_CTX_ENTRY_SCALABLE_SIZE;

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_KERNEL);
    vtd_set_pasid(t, 0, &p);
    td_assert_faults(t, VTD_TESTDEV_NO_PASID, IOVA, 0,
                     VTD_FR_FS_PAGING_ENTRY_US);

    /* The context-entry is cached, too */
    qtest_writeq(t->qts, context + 8, VTD_SM_CONTEXT_ENTRY_RID_PRIV);
    td_assert_faults(t, VTD_TESTDEV_NO_PASID, IOVA, 0,
                     VTD_FR_FS_PAGING_ENTRY_US);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    td_assert_reads(t, VTD_TESTDEV_NO_PASID, IOVA, VTD_MEM_A_DATA);
    vtd_stop(t);
}

/*
 * Fault processing disable: in the context, the directory and the PASID entry,
 * of which the last two count also if they are not present
 */
static void test_fpd(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    const uint32_t other = 0x54321;
    uint64_t data;

    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_P);

    vtd_set_context(t, VTD_CONTEXT_ALL | VTD_CONTEXT_ENTRY_FPD);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    td_assert_faults(t, PASID, IOVA, 0, 0);
    td_assert_faults(t, other, IOVA, 0, 0);
    vtd_set_context(t, VTD_CONTEXT_ALL);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_P);

    p.bits0 = VTD_PASID_ENTRY_FPD;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    td_assert_faults(t, PASID, IOVA, 0, 0);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_PRIV, 0);

    /* As Linux leaves an entry whose faults it does not want to hear of */
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID), VTD_PASID_ENTRY_FPD);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    td_assert_faults(t, PASID, IOVA, 0, 0);
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID), 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_PASID_ENTRY_P);

    td_assert_faults(t, other, IOVA, 0, VTD_FR_PASID_DIR_ENTRY_P);
    qtest_writeq(t->qts, vtd_pasid_dir_entry(t, other), VTD_PASID_DIR_FPD);
    td_assert_faults(t, other, IOVA, 0, 0);

    /* Faults are not seen, translations are as ever */
    p.bits0 = VTD_PASID_ENTRY_FPD;
    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    g_assert_true(td_dma_read(t, PASID, IOVA, 0, &data));
    g_assert_cmphex(data, ==, VTD_MEM_A_DATA);
    vtd_stop(t);
}

/*
 * IOTLB and PASID cache: each invalidation, and what it leaves
 */

static void swap_leaf(VTDTest *t, uint64_t root, uint64_t pa, uint64_t bits)
{
    qtest_writeq(t->qts, leaf(t, root, IOVA), pa | bits);
}

static void test_iotlb_first_stage(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        /* another page, PASID or domain: the translation stays */
        { INV_PIOTLB_PAGE(DID, PASID), IOVA_2, false },
        { INV_PIOTLB_PAGE(DID, PASID + 1), IOVA, false },
        { INV_PIOTLB_PAGE(DID + 1, PASID), IOVA, false },
        { INV_PIOTLB_PASID(DID, PASID + 1), 0, false },
        { INV_PIOTLB_PASID(DID + 1, PASID), 0, false },
        { INV_IOTLB_DOMAIN(DID + 1), 0, false },
        { INV_IOTLB_PAGE(DID + 1), IOVA, false },
        { INV_PASID_CACHE(DID, PASID), 0, false },
        { INV_CONTEXT_GLOBAL, 0, false },
        { INV_DEV_PIOTLB(VTD_SID, PASID), IOVA, false },

        { INV_PIOTLB_PAGE(DID, PASID), IOVA, true },
        { INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH, true },
        { INV_PIOTLB_PAGE(DID, PASID), IOVA | 9, true },
        { INV_PIOTLB_PASID(DID, PASID), 0, true },
        { INV_IOTLB_DOMAIN(DID), 0, true },
        { INV_IOTLB_GLOBAL, 0, true },
        /* the address is a second-stage one: it does not matter */
        { INV_IOTLB_PAGE(DID), 0x1000, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        swap_leaf(t, p.fs_root, VTD_MEM_B, FS_USER);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        vtd_inv(t, inv[i].lo, inv[i].hi);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        swap_leaf(t, p.fs_root, VTD_MEM_A, FS_USER);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
    }
    vtd_stop(t);
}

static void test_iotlb_second_stage(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        /* PASID-based invalidation is for the first stage */
        { INV_PIOTLB_PAGE(DID, PASID), IOVA, false },
        { INV_PIOTLB_PASID(DID, PASID), 0, false },
        { INV_IOTLB_PAGE(DID), IOVA_2, false },
        { INV_IOTLB_PAGE(DID + 1), IOVA, false },
        { INV_IOTLB_DOMAIN(DID + 1), 0, false },

        { INV_IOTLB_PAGE(DID), IOVA, true },
        { INV_IOTLB_PAGE(DID), IOVA | INV_IH, true },
        { INV_IOTLB_PAGE(DID), IOVA | 9, true },
        { INV_IOTLB_DOMAIN(DID), 0, true },
        { INV_IOTLB_GLOBAL, 0, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = second_stage(t);

    vtd_map_level(t, p.ss_root, 4, 1, IOVA, VTD_MEM_A, SS_RW, SS_RW);
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        swap_leaf(t, p.ss_root, VTD_MEM_B, SS_RW);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        vtd_inv(t, inv[i].lo, inv[i].hi);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        swap_leaf(t, p.ss_root, VTD_MEM_A, SS_RW);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
    }

    /* Rights of the second stage */
    swap_leaf(t, p.ss_root, VTD_MEM_A, VTD_SL_R);
    vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
    swap_leaf(t, p.ss_root, VTD_MEM_A, VTD_SL_W);
    vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SM_READ);
    swap_leaf(t, p.ss_root, VTD_MEM_A, 0);
    vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_PAGING_ENTRY_P);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SS_PAGING_ENTRY_P);
    td_assert_faults(t, PASID, 1ull << 48, 0, VTD_FR_SS_ADDR_BEYOND);
    vtd_stop(t);
}

static void test_pasid_cache(void)
{
    static const struct {
        uint64_t lo;
        bool drops;
    } inv[] = {
        { INV_PASID_CACHE(DID, PASID + 1), false },
        { INV_PASID_CACHE(DID + 1, PASID), false },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_DSI | (DID + 1) << 16, false },
        { INV_IOTLB_GLOBAL, false },
        { INV_CONTEXT_GLOBAL, false },

        { INV_PASID_CACHE(DID, PASID), true },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_DSI | DID << 16, true },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID a = first_stage(t, 0), b = first_stage(t, 0);

    vtd_map(t, a.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_map(t, b.fs_root, IOVA, VTD_MEM_B, FS_USER);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        vtd_set_pasid(t, PASID, &a);
        vtd_inv(t, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

        vtd_set_pasid(t, PASID, &b);
        vtd_inv(t, inv[i].lo, 0);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
    }
    vtd_stop(t);
}

/* The context cache, of which each entry belongs to one requester */
static void test_context_cache(void)
{
    static const struct {
        uint64_t lo;
        bool drops;
    } inv[] = {
        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DEVICE |
          (uint64_t)(VTD_SID + 8) << 32, false },
        /* mask 1 is bit 2 of the function, mask 3 all three */
        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DEVICE |
          (uint64_t)(VTD_SID + 1) << 32 | 1ull << 48, false },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, false },

        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DEVICE | (uint64_t)VTD_SID << 32,
          true },
        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DEVICE |
          (uint64_t)(VTD_SID + 4) << 32 | 1ull << 48, true },
        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DEVICE |
          (uint64_t)(VTD_SID + 7) << 32 | 3ull << 48, true },
        { VTD_INV_DESC_CC | VTD_INV_DESC_CC_DOMAIN | DID << 16, true },
        { INV_CONTEXT_GLOBAL, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        vtd_set_context(t, VTD_CONTEXT_ALL);
        vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

        vtd_set_context(t, 0);
        vtd_inv(t, inv[i].lo, 0);
        /* what is in the IOTLB does not ask the context-entry */
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        if (inv[i].drops) {
            td_assert_faults(t, PASID, IOVA, 0, VTD_FR_CONTEXT_PASIDE);
        } else {
            td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        }
    }
    vtd_stop(t);
}

/*
 * Paging-structure caches
 */

/* Replace the page table of IOVA, as if the old one had been freed */
static void test_psc_first_stage(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        /* the hint: only leaf entries changed */
        { INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH, false },
        { INV_PIOTLB_PAGE(DID, PASID), IOVA_3, false },
        { INV_PIOTLB_PASID(DID, PASID + 1), 0, false },

        { INV_PIOTLB_PAGE(DID, PASID), IOVA, true },
        /* the page is another one that the same table is for */
        { INV_PIOTLB_PAGE(DID, PASID), IOVA_2, true },
        { INV_PIOTLB_PAGE(DID, PASID), IOVA_3 | 10, true },
        { INV_PIOTLB_PASID(DID, PASID), 0, true },
        { INV_IOTLB_DOMAIN(DID), 0, true },
        { INV_IOTLB_PAGE(DID), IOVA_3 | INV_IH, true },
        { INV_IOTLB_GLOBAL, 0, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    uint64_t pde, table_a, table_b = vtd_page(t);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    pde = vtd_entry(t, p.fs_root, 4, 2, IOVA);
    table_a = qtest_readq(t->qts, pde);
    qtest_writeq(t->qts, table_b + 0, VTD_MEM_B | FS_USER);
    vtd_set_pasid(t, PASID, &p);

    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_b | FS_USER);
        vtd_inv(t, inv[i].lo, inv[i].hi);
        /* the IOTLB is not what this is about */
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_a);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
    }

    /*
     * A freed table is walked, whatever it holds by then: here, an attacker's
     * idea of a page-table entry
     */
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    qtest_writeq(t->qts, pde, 0);
    vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH);
    qtest_writeq(t->qts, (table_a & VTD_PT_BASE_ADDR_MASK(48)) + 8,
                 VTD_MEM_B | FS_USER);
    td_assert_reads(t, PASID, IOVA_2, VTD_MEM_B_DATA);
    vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA | 1);
    td_assert_faults(t, PASID, IOVA_2, 0, VTD_FR_FS_PAGING_ENTRY_P);
    vtd_stop(t);
}

/*
 * A refused request fills the cache as well: a user's request to a kernel
 * address makes the kernel's tables be remembered.  Nothing is readable through
 * them, but the walk goes on setting accessed flags in a directory that was
 * freed and is something else by now.
 */
static void test_psc_refused(const void *data)
{
    bool psc = GPOINTER_TO_INT(data);
    VTDTest *t = vtd_start_enabled(psc ? VTD_OPTIONS :
                                         VTD_OPTIONS ",x-psc=off");
    VTDTestPASID p = first_stage(t, 0);
    uint64_t pdpte, pde, freed;

    vtd_map_level(t, p.fs_root, 4, 1, IOVA, VTD_MEM_A, FS_KERNEL, FS_KERNEL);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_US);

    pdpte = vtd_entry(t, p.fs_root, 4, 3, IOVA);
    pde = vtd_entry(t, p.fs_root, 4, 2, IOVA_3);
    freed = vtd_page(t) | FS_USER;
    qtest_writeq(t->qts, pdpte, 0);
    qtest_writeq(t->qts, pde, freed);
    td_assert_faults(t, PASID, IOVA_3, 0, VTD_FR_FS_PAGING_ENTRY_P);
    g_assert_cmphex(qtest_readq(t->qts, pde), ==,
                    psc ? freed | VTD_FL_A : freed);

    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    qtest_writeq(t->qts, pde, freed);
    td_assert_faults(t, PASID, IOVA_3, 0, VTD_FR_FS_PAGING_ENTRY_P);
    g_assert_cmphex(qtest_readq(t->qts, pde), ==, freed);
    vtd_stop(t);
}

/* Each level on its own: the entry of the level changes to another table */
static void test_psc_levels(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID a = first_stage(t, 0), b = first_stage(t, 0);

    vtd_map(t, a.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_map(t, b.fs_root, IOVA, VTD_MEM_B, FS_USER);
    vtd_set_pasid(t, PASID, &a);
    for (unsigned level = 4; level >= 2; level--) {
        uint64_t at = vtd_entry(t, a.fs_root, 4, level, IOVA);
        uint64_t old = qtest_readq(t->qts, at);

        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        qtest_writeq(t->qts, at,
                     qtest_readq(t->qts, vtd_entry(t, b.fs_root, 4, level,
                                                   IOVA)));
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_B_DATA);
        qtest_writeq(t->qts, at, old);
        vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    }
    vtd_stop(t);
}

static void test_psc_second_stage(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        { INV_IOTLB_PAGE(DID), IOVA | INV_IH, false },
        { INV_IOTLB_PAGE(DID), IOVA_3, false },
        { INV_IOTLB_DOMAIN(DID + 1), 0, false },
        { INV_PIOTLB_PASID(DID, PASID), 0, false },

        { INV_IOTLB_PAGE(DID), IOVA, true },
        { INV_IOTLB_DOMAIN(DID), 0, true },
        { INV_IOTLB_GLOBAL, 0, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = second_stage(t);
    uint64_t pde, table_a, table_b = vtd_page(t);

    vtd_map_level(t, p.ss_root, 4, 1, IOVA, VTD_MEM_A, SS_RW, SS_RW);
    pde = vtd_entry(t, p.ss_root, 4, 2, IOVA);
    table_a = qtest_readq(t->qts, pde);
    qtest_writeq(t->qts, table_b + 0, VTD_MEM_B | SS_RW);
    vtd_set_pasid(t, PASID, &p);

    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_b | SS_RW);
        vtd_inv(t, inv[i].lo, inv[i].hi);
        vtd_inv(t, INV_IOTLB_PAGE(DID), IOVA | INV_IH);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_a);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
    }
    vtd_stop(t);
}

/* The same by registers, with queued invalidation off */
static void test_register_invalidation(void)
{
    static const struct {
        uint64_t iotlb, iva;
        bool drops;
    } inv[] = {
        { VTD_TLB_PSI_FLUSH | (uint64_t)DID << 32, IOVA | INV_IH, false },
        { VTD_TLB_PSI_FLUSH | (uint64_t)(DID + 1) << 32, IOVA, false },
        { VTD_TLB_DSI_FLUSH | (uint64_t)(DID + 1) << 32, 0, false },

        { VTD_TLB_PSI_FLUSH | (uint64_t)DID << 32, IOVA, true },
        { VTD_TLB_DSI_FLUSH | (uint64_t)DID << 32, 0, true },
        { VTD_TLB_GLOBAL_FLUSH, 0, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = second_stage(t);
    uint64_t pde, table_a, table_b = vtd_page(t);

    vtd_inv(t, VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_FN, 0);
    vtd_reg_writel(t, DMAR_GCMD_REG,
                   vtd_reg_readl(t, DMAR_GSTS_REG) & ~VTD_GSTS_QIES);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_GSTS_REG) & VTD_GSTS_QIES, ==, 0);

    vtd_map_level(t, p.ss_root, 4, 1, IOVA, VTD_MEM_A, SS_RW, SS_RW);
    pde = vtd_entry(t, p.ss_root, 4, 2, IOVA);
    table_a = qtest_readq(t->qts, pde);
    qtest_writeq(t->qts, table_b + 0, VTD_MEM_B | SS_RW);
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_b | SS_RW);
        vtd_reg_writeq(t, DMAR_IVA_REG, inv[i].iva);
        vtd_reg_writeq(t, DMAR_IOTLB_REG, VTD_TLB_IVT | inv[i].iotlb);
        g_assert_cmphex(vtd_reg_readq(t, DMAR_IOTLB_REG) & VTD_TLB_IVT, ==, 0);
        td_assert_reads(t, PASID, IOVA,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        qtest_writeq(t->qts, pde, table_a);
        vtd_reg_writeq(t, DMAR_IOTLB_REG, VTD_TLB_IVT | VTD_TLB_GLOBAL_FLUSH);
    }
    vtd_stop(t);
}

/* Pages of all sizes, and the reserved bits of large ones */
static void test_large_pages(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    uint64_t at;

    vtd_map_level(t, p.fs_root, 4, 2, IOVA, VTD_MEM_A, FS_USER, FS_USER);
    vtd_map_level(t, p.fs_root, 4, 3, IOVA + (1 << 30), 0, FS_USER, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    td_assert_reads(t, PASID, IOVA + 0x1ffff8, VTD_MEM_A_DATA);
    td_assert_reads(t, PASID, IOVA + (1 << 30) + VTD_MEM_B, VTD_MEM_B_DATA);

    at = vtd_entry(t, p.fs_root, 4, 2, IOVA);
    qtest_writeq(t->qts, at, qtest_readq(t->qts, at) | 0x2000);
    vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_RSVD);
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",fs1gp=off");
    p = first_stage(t, 0);
    vtd_map_level(t, p.fs_root, 4, 3, IOVA, 0, FS_USER, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_RSVD);
    vtd_stop(t);
}

/* Accessed and dirty flags, on every level */
static void test_accessed_dirty(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    uint64_t at;

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    for (unsigned level = 4; level >= 1; level--) {
        at = vtd_entry(t, p.fs_root, 4, level, IOVA);
        g_assert_cmphex(qtest_readq(t->qts, at) & (VTD_FL_A | VTD_FL_D), ==,
                        VTD_FL_A);
    }
    /* The translation is cached, the first write is walked again */
    g_assert_true(td_dma_write(t, PASID, IOVA, 0, 1));
    g_assert_cmphex(qtest_readq(t->qts, at) & (VTD_FL_A | VTD_FL_D), ==,
                    VTD_FL_A | VTD_FL_D);
    g_assert_cmphex(qtest_readq(t->qts,
                                vtd_entry(t, p.fs_root, 4, 2, IOVA)) & VTD_FL_D,
                    ==, 0);

    /* A refused write leaves no mark */
    vtd_map(t, p.fs_root, IOVA_2, VTD_MEM_B, VTD_FL_P | VTD_FL_US);
    td_assert_faults(t, PASID, IOVA_2, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
    g_assert_cmphex(qtest_readq(t->qts, leaf(t, p.fs_root, IOVA_2)) & VTD_FL_D,
                    ==, 0);
    vtd_stop(t);
}

/*
 * 5-level tables
 */

static void test_five_levels(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    const uint64_t addr[] = {
        0x00f0123456789000ull, 0xff10000000001000ull, 0x1000,
    };

    p.fs_level = 5;
    g_assert_cmphex(vtd_reg_readq(t, DMAR_CAP_REG) & VTD_CAP_FS5LP, !=, 0);
    for (int i = 0; i < ARRAY_SIZE(addr); i++) {
        vtd_map_level(t, p.fs_root, 5, 1, addr[i], VTD_MEM_A + i * 0x1000,
                      FS_USER, FS_USER);
        qtest_writeq(t->qts, VTD_MEM_A + i * 0x1000, 0x5000 + i);
    }
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(addr); i++) {
        td_assert_reads(t, PASID, addr[i], 0x5000 + i);
    }
    td_assert_faults(t, PASID, 0x0100000000000000ull, 0,
                     VTD_FR_FS_NON_CANONICAL);
    td_assert_faults(t, PASID, 0xfe00000000000000ull, 0,
                     VTD_FR_FS_NON_CANONICAL);

    /* PSI needs the whole, sign-extended address */
    qtest_writeq(t->qts, vtd_entry(t, p.fs_root, 5, 1, addr[1]),
                 VTD_MEM_B | FS_USER);
    vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), addr[1] & ((1ull << 57) - 1));
    td_assert_reads(t, PASID, addr[1], 0x5001);
    vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), addr[1]);
    td_assert_reads(t, PASID, addr[1], VTD_MEM_B_DATA);

    /* PML5 entries have no page size */
    qtest_writeq(t->qts, vtd_entry(t, p.fs_root, 5, 5, addr[0]),
                 FS_USER | VTD_PT_PAGE_SIZE_MASK);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    td_assert_faults(t, PASID, addr[0], 0, VTD_FR_FS_PAGING_ENTRY_RSVD);
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",x-fs5lp=off");
    p = first_stage(t, 0);
    p.fs_level = 5;
    g_assert_cmphex(vtd_reg_readq(t, DMAR_CAP_REG) & VTD_CAP_FS5LP, ==, 0);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, 0x1000, 0, VTD_FR_PASID_TABLE_ENTRY_INV);
    vtd_stop(t);
}

static void test_smpwc(void)
{
    VTDTest *t = vtd_start(VTD_OPTIONS);

    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_SMPWC, !=, 0);
    vtd_stop(t);
    t = vtd_start(VTD_OPTIONS ",x-smpwc=off");
    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_SMPWC, ==, 0);
    vtd_stop(t);
}

/*
 * Nested translation.  "Guest physical" addresses are GPA + the real one.
 */

#define GPA     0x8000000000ull

/* Map the page that holds @pa at GPA + @pa */
static void nest_map(VTDTest *t, VTDTestPASID *p, uint64_t pa, uint64_t bits)
{
    pa &= VTD_PAGE_MASK_4K;
    vtd_map_level(t, p->ss_root, 4, 1, GPA + pa, pa, SS_RW, bits);
}

static uint64_t nest_leaf(VTDTest *t, VTDTestPASID *p, uint64_t pa)
{
    return leaf(t, p->ss_root, GPA + pa);
}

/* Four first-stage tables at GPAs; returns where the entry of a level is */
static VTDTestPASID nested(VTDTest *t, uint64_t at[5])
{
    VTDTestPASID p = {
        .pgtt = VTD_SM_PASID_ENTRY_NESTED,
        .did = DID,
        .ss_root = vtd_page(t),
    };
    uint64_t table = vtd_page(t);

    p.fs_root = GPA + table;
    nest_map(t, &p, table, SS_RW);
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t next = level > 1 ? vtd_page(t) : VTD_MEM_A;

        at[level] = table + (IOVA >> (12 + 9 * (level - 1)) & 511) * 8;
        qtest_writeq(t->qts, at[level], (GPA + next) | FS_USER);
        nest_map(t, &p, next, SS_RW);
        table = next;
    }
    return p;
}

static void test_nested(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t at[5];
    VTDTestPASID p = nested(t, at);

    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_NEST, !=, 0);
    vtd_set_pasid(t, PASID, &p);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    g_assert_true(td_dma_write(t, PASID, IOVA + 8, 0, 0x77));
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A + 8), ==, 0x77);
    for (unsigned level = 4; level >= 1; level--) {
        g_assert_cmphex(qtest_readq(t->qts, at[level]) & VTD_FL_A, !=, 0);
    }
    g_assert_cmphex(qtest_readq(t->qts, at[1]) & VTD_FL_D, !=, 0);

    /* The smaller of the two page sizes is what is cached */
    qtest_writeq(t->qts, at[2], GPA | FS_USER | VTD_PT_PAGE_SIZE_MASK);
    nest_map(t, &p, 0x5000, SS_RW);
    qtest_writeq(t->qts, 0x5000, 0x55);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    td_assert_reads(t, PASID, IOVA + 0x5000, 0x55);
    td_assert_ats(t, PASID, IOVA + 0x5000, 0, VTD_TESTDEV_XLAT_READ);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, 0x1000);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_ADDR), ==, 0x5000);
    td_assert_faults(t, PASID, IOVA + 0x6000, 0, VTD_FR_SS_PAGING_ENTRY_P);
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",x-nest=off");
    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & VTD_ECAP_NEST, ==, 0);
    p = nested(t, at);
    vtd_set_pasid(t, PASID, &p);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_PASID_TABLE_ENTRY_INV);
    vtd_stop(t);
}

static void test_nested_faults(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-psc=off");
    uint64_t at[5];
    VTDTestPASID p = nested(t, at);
    uint64_t old;

    vtd_set_pasid(t, PASID, &p);

    /* The tables, read by the walk and written for their flags */
    for (unsigned level = 4; level >= 1; level--) {
        uint64_t ss = nest_leaf(t, &p, at[level]);

        old = qtest_readq(t->qts, ss);
        qtest_writeq(t->qts, ss, 0);
        vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_PAGING_ENTRY_P);
        qtest_writeq(t->qts, ss, old & ~VTD_SL_R);
        td_assert_faults(t, PASID, IOVA, 0,
                         level == 4 ? VTD_FR_NEST_ROOT_READ :
                                      VTD_FR_NEST_TABLE_READ);
        qtest_writeq(t->qts, ss, old & ~VTD_SL_W);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_NEST_TABLE_WRITE);
        qtest_writeq(t->qts, ss, old);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

        /* flags that are set already need no writing */
        qtest_writeq(t->qts, ss, old & ~VTD_SL_W);
        vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        qtest_writeq(t->qts, ss, old);
        for (unsigned l = 4; l >= 1; l--) {
            qtest_writeq(t->qts, at[l], qtest_readq(t->qts, at[l]) &
                         ~(VTD_FL_A | VTD_FL_D));
        }
        vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    }

    /* Tables and pages beyond the input width of the second stage */
    for (unsigned level = 4; level >= 1; level--) {
        old = qtest_readq(t->qts, at[level]);
        qtest_writeq(t->qts, at[level], old | 1ull << 47);
        vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_PAGING_ENTRY_P);
        qtest_writeq(t->qts, at[level], old);
    }

    /* The page: rights of both stages */
    old = qtest_readq(t->qts, nest_leaf(t, &p, VTD_MEM_A));
    qtest_writeq(t->qts, nest_leaf(t, &p, VTD_MEM_A), old & ~VTD_SL_W);
    vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
    qtest_writeq(t->qts, nest_leaf(t, &p, VTD_MEM_A), 0);
    vtd_inv(t, INV_IOTLB_DOMAIN(DID), 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_PAGING_ENTRY_P);
    qtest_writeq(t->qts, nest_leaf(t, &p, VTD_MEM_A), old & ~VTD_SL_R);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SM_READ);
    qtest_writeq(t->qts, nest_leaf(t, &p, VTD_MEM_A), old);
    qtest_writeq(t->qts, at[1], (GPA + VTD_MEM_A) | VTD_FL_P | VTD_FL_US);
    td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
    qtest_writeq(t->qts, at[1], (GPA + VTD_MEM_A) | FS_KERNEL);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_US);
    qtest_writeq(t->qts, at[1], 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_PAGING_ENTRY_P);
    vtd_stop(t);

    /* With three second-stage levels 39 bits are the limit */
    t = vtd_start_enabled(VTD_OPTIONS);
    p = nested(t, at);
    vtd_set_pasid(t, PASID, &p);
    p.ss_root = qtest_readq(t->qts, vtd_entry(t, p.ss_root, 4, 4, GPA)) &
                VTD_PT_BASE_ADDR_MASK(48);
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID),
                 p.ss_root | p.pgtt | 1 << 2 | VTD_PASID_ENTRY_P);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_NEST_TABLE_BEYOND);
    for (unsigned level = 4; level >= 2; level--) {
        qtest_writeq(t->qts, at[level],
                     qtest_readq(t->qts, at[level]) & ~GPA);
    }
    p.fs_root &= ~GPA;
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID) + 16, p.fs_root);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_ADDR_BEYOND);
    qtest_writeq(t->qts, at[1], qtest_readq(t->qts, at[1]) & ~GPA);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    vtd_stop(t);
}

/* Either stage changes; either kind of invalidation drops the translation */
static void test_nested_invalidation(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        { INV_PIOTLB_PAGE(DID, PASID), IOVA_2, false },
        { INV_PIOTLB_PASID(DID, PASID + 1), 0, false },
        { INV_PIOTLB_PASID(DID + 1, PASID), 0, false },
        { INV_IOTLB_DOMAIN(DID + 1), 0, false },
        { INV_IOTLB_PAGE(DID + 1), GPA + VTD_MEM_A, false },

        { INV_PIOTLB_PAGE(DID, PASID), IOVA, true },
        { INV_PIOTLB_PASID(DID, PASID), 0, true },
        { INV_IOTLB_DOMAIN(DID), 0, true },
        { INV_IOTLB_PAGE(DID), GPA + VTD_MEM_A, true },
        { INV_IOTLB_GLOBAL, 0, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t at[5];
    VTDTestPASID p = nested(t, at);
    uint64_t ss;

    vtd_set_pasid(t, PASID, &p);
    nest_map(t, &p, VTD_MEM_B, SS_RW);
    ss = nest_leaf(t, &p, VTD_MEM_A);
    for (int stage = 1; stage <= 2; stage++) {
        uint64_t where = stage == 1 ? at[1] : ss;
        uint64_t a = stage == 1 ? (GPA + VTD_MEM_A) | FS_USER :
                                  VTD_MEM_A | SS_RW;
        uint64_t b = a - VTD_MEM_A + VTD_MEM_B;

        for (int i = 0; i < ARRAY_SIZE(inv); i++) {
            td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
            qtest_writeq(t->qts, where, b);
            td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
            vtd_inv(t, inv[i].lo, inv[i].hi);
            td_assert_reads(t, PASID, IOVA,
                            inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
            qtest_writeq(t->qts, where, a);
            vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        }
    }

    /* A first-stage table moves in the second stage: also a cached structure */
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    {
        uint64_t other = vtd_page(t);
        uint64_t entry = nest_leaf(t, &p, at[1] & VTD_PAGE_MASK_4K);

        qtest_writeq(t->qts, other + at[1] % VTD_PAGE_SIZE,
                     (GPA + VTD_MEM_B) | FS_USER);
        qtest_writeq(t->qts, entry, other | SS_RW);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA | INV_IH);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        vtd_inv(t, INV_IOTLB_PAGE(DID), GPA + (at[1] & VTD_PAGE_MASK_4K));
        td_assert_reads(t, PASID, IOVA, VTD_MEM_B_DATA);
    }
    vtd_stop(t);
}

/* Tables that are no tables: in themselves, in MMIO, beyond memory */
static void test_hostile_tables(void)
{
    const uint64_t where[] = {
        Q35_HOST_BRIDGE_IOMMU_ADDR, 0xfee00000, 0xfffffffff000ull,
        0xb0000000, 0xa0000,
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);
    uint64_t data;

    /* Each entry of the table leads to the table */
    for (int i = 0; i < 512; i++) {
        qtest_writeq(t->qts, p.fs_root + i * 8, p.fs_root | FS_USER);
    }
    vtd_set_pasid(t, PASID, &p);
    g_assert_true(td_dma_read(t, PASID, IOVA, 0, &data));
    g_assert_cmphex(data & VTD_PT_BASE_ADDR_MASK(48), ==, p.fs_root);

    for (int type = 1; type <= 3; type++) {
        for (int i = 0; i < ARRAY_SIZE(where); i++) {
            uint64_t table = vtd_page(t);
            uint8_t reason;

            p.pgtt = type << 6;
            p.fs_root = p.ss_root = where[i];
            vtd_set_pasid(t, PASID, &p);
            vtd_inv(t, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0);
            vtd_inv(t, INV_IOTLB_GLOBAL, 0);
            g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA, PASID, IOVA, 0), ==,
                            VTD_TESTDEV_FAILED);
            reason = vtd_fault(t).reason;
            if (where[i] != 0xa0000) {
                g_assert_cmphex(reason, ==,
                                type == 1 ? VTD_FR_PASID_ENTRY_FSPTPTR_INV :
                                            VTD_FR_PASID_ENTRY_SSPTPTR_INV);
            }
            if (type == 3) {
                continue;
            }

            p.fs_root = p.ss_root = table;
            for (int e = 0; e < 512; e++) {
                qtest_writeq(t->qts, table + e * 8,
                             where[i] | FS_USER | SS_RW);
            }
            vtd_set_pasid(t, PASID, &p);
            vtd_inv(t, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0);
            vtd_inv(t, INV_IOTLB_GLOBAL, 0);
            td_command(t, VTD_TESTDEV_DMA, PASID, IOVA, VTD_REQ_WRITE);
            reason = vtd_fault(t).reason;
            if (where[i] != 0xa0000) {
                g_assert_cmphex(reason, ==,
                                type == 1 ? VTD_FR_FS_PAGING_ENTRY_INV :
                                            VTD_FR_SS_PAGING_ENTRY_INV);
            }
        }
    }
    vtd_stop(t);
}

/*
 * x-strict-inv: what an invalidation need not drop stays
 */

/* A 2M page of either stage, and an invalidation of 2^@am pages in it */
static void check_large_page(bool fs, unsigned am, bool strict)
{
    VTDTest *t = vtd_start_enabled(strict ? VTD_OPTIONS ",x-strict-inv=on" :
                                            VTD_OPTIONS);
    VTDTestPASID p = fs ? first_stage(t, 0) : second_stage(t);
    const uint64_t bits = fs ? FS_USER : SS_RW;
    uint64_t root = fs ? p.fs_root : p.ss_root;
    bool kept = strict && am < 9;

    vtd_map_level(t, root, 4, 2, IOVA, VTD_MEM_A, bits, bits);
    vtd_set_pasid(t, PASID, &p);
    td_assert_reads(t, PASID, IOVA + 0x3000, VTD_MEM_A_DATA);

    vtd_map_level(t, root, 4, 2, IOVA, VTD_MEM_B, bits, bits);
    vtd_inv(t, fs ? INV_PIOTLB_PAGE(DID, PASID) : INV_IOTLB_PAGE(DID),
            IOVA | am);
    td_assert_reads(t, PASID, IOVA + 0x3000,
                    kept ? VTD_MEM_A_DATA : VTD_MEM_B_DATA);

    /* One for all that there is always does it */
    vtd_inv(t, fs ? INV_PIOTLB_PASID(DID, PASID) : INV_IOTLB_DOMAIN(DID), 0);
    td_assert_reads(t, PASID, IOVA + 0x3000, VTD_MEM_B_DATA);
    vtd_stop(t);
}

static void test_strict_large_page(void)
{
    for (int fs = 0; fs < 2; fs++) {
        check_large_page(fs, 0, true);
        check_large_page(fs, 8, true);
        check_large_page(fs, 9, true);
        check_large_page(fs, 10, true);
        check_large_page(fs, 0, false);
    }
}

/* An entry that denies is not looked up again */
static void test_strict_denied(void)
{
    for (int strict = 0; strict < 2; strict++) {
        VTDTest *t = vtd_start_enabled(strict ?
                                       VTD_OPTIONS ",x-strict-inv=on" :
                                       VTD_OPTIONS);
        VTDTestPASID p = first_stage(t, 0);

        vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, VTD_FL_P | VTD_FL_US);
        vtd_map(t, p.fs_root, IOVA_2, VTD_MEM_A, FS_USER);
        vtd_set_pasid(t, PASID, &p);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        td_assert_reads(t, PASID, IOVA_2, VTD_MEM_A_DATA);

        /* A page that only has to become dirty denies nothing */
        g_assert_true(td_dma_write(t, PASID, IOVA_2, 0, 1));
        vtd_assert_no_fault(t);

        vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
        if (strict) {
            td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
            td_assert_ats(t, PASID, IOVA, VTD_REQ_WRITE, VTD_TESTDEV_XLAT_READ);
            vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        }
        td_assert_ats(t, PASID, IOVA, VTD_REQ_WRITE,
                      VTD_TESTDEV_XLAT_READ | VTD_TESTDEV_XLAT_WRITE);
        g_assert_true(td_dma_write(t, PASID, IOVA, 0, 2));
        vtd_assert_no_fault(t);
        vtd_stop(t);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-iommu/privilege/sre", test_sre);
    qtest_add_func("/intel-iommu/privilege/no_srs", test_no_srs);
    qtest_add_func("/intel-iommu/privilege/wpe", test_wpe);
    qtest_add_func("/intel-iommu/privilege/upper_levels", test_upper_levels);
    qtest_add_func("/intel-iommu/privilege/execute", test_execute);
    qtest_add_func("/intel-iommu/privilege/rid_priv", test_rid_priv);
    qtest_add_func("/intel-iommu/fault_processing_disable", test_fpd);
    qtest_add_func("/intel-iommu/iotlb/first_stage", test_iotlb_first_stage);
    qtest_add_func("/intel-iommu/iotlb/second_stage", test_iotlb_second_stage);
    qtest_add_func("/intel-iommu/pasid_cache", test_pasid_cache);
    qtest_add_func("/intel-iommu/context_cache", test_context_cache);
    qtest_add_func("/intel-iommu/psc/first_stage", test_psc_first_stage);
    qtest_add_data_func("/intel-iommu/psc/refused", GINT_TO_POINTER(true),
                        test_psc_refused);
    qtest_add_data_func("/intel-iommu/psc/off", GINT_TO_POINTER(false),
                        test_psc_refused);
    qtest_add_func("/intel-iommu/psc/levels", test_psc_levels);
    qtest_add_func("/intel-iommu/psc/second_stage", test_psc_second_stage);
    qtest_add_func("/intel-iommu/register_invalidation",
                   test_register_invalidation);
    qtest_add_func("/intel-iommu/large_pages", test_large_pages);
    qtest_add_func("/intel-iommu/accessed_dirty", test_accessed_dirty);
    qtest_add_func("/intel-iommu/five_levels", test_five_levels);
    qtest_add_func("/intel-iommu/smpwc", test_smpwc);
    qtest_add_func("/intel-iommu/nested/translation", test_nested);
    qtest_add_func("/intel-iommu/nested/faults", test_nested_faults);
    qtest_add_func("/intel-iommu/nested/invalidation",
                   test_nested_invalidation);
    qtest_add_func("/intel-iommu/hostile_tables", test_hostile_tables);
    qtest_add_func("/intel-iommu/strict/large_page", test_strict_large_page);
    qtest_add_func("/intel-iommu/strict/denied", test_strict_denied);

    return g_test_run();
}
