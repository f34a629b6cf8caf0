/*
 * QTest of device TLBs (ATS) and page requests (PRI) of intel-iommu
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/i386/intel_iommu_inv_log.h"
#include "vtd-lib.h"

#define PASID   0x23456
#define DID     9
#define IOVA    0x4000000000ull
#define IOVA_2  (IOVA + 0x1000)
#define NONE    VTD_TESTDEV_NO_PASID

#define R       VTD_TESTDEV_XLAT_READ
#define W       VTD_TESTDEV_XLAT_WRITE
#define X       VTD_TESTDEV_XLAT_EXEC
#define P       VTD_TESTDEV_XLAT_PRIV

static VTDTestPASID first_stage(VTDTest *t, uint64_t bits2)
{
    return (VTDTestPASID) {
        .pgtt = VTD_SM_PASID_ENTRY_FLT,
        .did = DID,
        .fs_root = vtd_page(t),
        .bits2 = bits2,
    };
}

/*
 * Translation requests
 */

static void test_capabilities(void)
{
    const uint64_t mask = VTD_ECAP_DT | VTD_ECAP_PRS | VTD_ECAP_PDS;
    VTDTest *t = vtd_start(VTD_OPTIONS);

    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & mask, ==, mask);
    vtd_stop(t);
    t = vtd_start(VTD_OPTIONS ",x-prs=off");
    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & mask, ==, VTD_ECAP_DT);
    vtd_stop(t);
    t = vtd_start(VTD_OPTIONS ",device-iotlb=off");
    g_assert_cmphex(vtd_reg_readq(t, DMAR_ECAP_REG) & mask, ==, 0);
    vtd_stop(t);
}

static void test_completion(void)
{
    const uint64_t extra = VTD_SM_PASID_ENTRY_SRE | VTD_SM_PASID_ENTRY_ERE |
                           VTD_SM_PASID_ENTRY_NXE | VTD_SM_PASID_ENTRY_WPE;
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, extra);
    uint64_t at;

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_map(t, p.fs_root, IOVA_2, VTD_MEM_B, VTD_FL_P | VTD_FL_US | VTD_FL_XD);
    vtd_map(t, p.fs_root, IOVA + 0x2000, VTD_MEM_B, FS_KERNEL);
    vtd_map_level(t, p.fs_root, 4, 2, IOVA + 0x200000, VTD_MEM_B, FS_USER,
                  FS_USER);
    vtd_set_pasid(t, PASID, &p);

    /* No write asked for: the page stays clean and is not permitted */
    td_assert_ats(t, PASID, IOVA, 0, R);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_ADDR), ==, VTD_MEM_A);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, 0x1000);
    at = vtd_entry(t, p.fs_root, 4, 1, IOVA);
    g_assert_cmphex(qtest_readq(t->qts, at) & (VTD_FL_A | VTD_FL_D), ==,
                    VTD_FL_A);
    td_assert_ats(t, PASID, IOVA, VTD_REQ_WRITE, R | W);
    g_assert_cmphex(qtest_readq(t->qts, at) & VTD_FL_D, !=, 0);

    /* Less than was asked for */
    td_assert_ats(t, PASID, IOVA_2, VTD_REQ_WRITE, R);
    td_assert_ats(t, PASID, IOVA_2, VTD_REQ_EXEC, R);
    td_assert_ats(t, PASID, IOVA, VTD_REQ_EXEC, R | W | X);
    td_assert_ats(t, PASID, IOVA + 0x2000, 0, 0);
    td_assert_ats(t, PASID, IOVA + 0x2000, VTD_REQ_PRIV, R | P);
    td_assert_ats(t, PASID, IOVA + 0x2000, VTD_REQ_PRIV | VTD_REQ_WRITE,
                  R | W | P);
    td_assert_ats(t, PASID, IOVA_2, VTD_REQ_PRIV | VTD_REQ_WRITE, R | P);

    /* A large page as a whole, whatever part of it was asked for */
    td_assert_ats(t, PASID, IOVA + 0x212345, 0, R);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_ADDR), ==, VTD_MEM_B);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, 0x200000);

    /* Not there, or no address: no fault, nothing permitted */
    td_assert_ats(t, PASID, IOVA + 0x100000, VTD_REQ_WRITE, 0);
    td_assert_ats(t, PASID, 1ull << 60, 0, 0);

    /* A page that is not present is not remembered */
    vtd_map(t, p.fs_root, IOVA + 0x100000, VTD_MEM_A, FS_USER);
    td_assert_ats(t, PASID, IOVA + 0x100000, VTD_REQ_WRITE, R | W);

    /* Privileged mode or execution that the PASID entry does not allow */
    p.bits2 = 0;
    vtd_set_pasid(t, PASID, &p);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    vtd_inv(t, INV_IOTLB_GLOBAL, 0);
    td_assert_ats(t, PASID, IOVA, VTD_REQ_PRIV, P);
    td_assert_ats(t, PASID, IOVA, VTD_REQ_EXEC, 0);
    vtd_stop(t);
}

static void test_completion_other_types(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = {
        .pgtt = VTD_SM_PASID_ENTRY_SLT, .did = DID, .ss_root = vtd_page(t),
    };
    VTDTestPASID pt = { .pgtt = VTD_SM_PASID_ENTRY_PT, .did = 1 };

    vtd_map_level(t, p.ss_root, 4, 1, IOVA, VTD_MEM_A, SS_RW, SS_RW);
    vtd_map_level(t, p.ss_root, 4, 1, IOVA_2, VTD_MEM_A, SS_RW, VTD_SL_W);
    vtd_set_pasid(t, PASID, &p);
    td_assert_ats(t, PASID, IOVA, 0, R | W);
    td_assert_ats(t, PASID, IOVA_2, VTD_REQ_WRITE, W);
    td_assert_ats(t, PASID, IOVA + 0x2000, 0, 0);
    td_assert_ats(t, PASID, 1ull << 50, 0, 0);

    vtd_set_pasid(t, 3, &pt);
    td_assert_ats(t, 3, VTD_MEM_A + 0x234, 0, R | W);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_ADDR), ==, VTD_MEM_A);

    /* Without PASID; interrupts are for untranslated requests only */
    vtd_set_pasid(t, 0, &p);
    td_assert_ats(t, NONE, IOVA, VTD_REQ_PRIV, R | W);
    td_assert_ats(t, NONE, 0xfee00000, VTD_REQ_WRITE, W | VTD_TESTDEV_XLAT_U);
    td_assert_ats(t, PASID, 0xfee00000, VTD_REQ_WRITE, 0);
    vtd_stop(t);
}

static void assert_ats_refused(VTDTest *t, uint32_t pasid, uint8_t reason)
{
    VTDTestFault f;

    g_assert_cmphex(td_command(t, VTD_TESTDEV_ATS, pasid, IOVA, 0), ==,
                    VTD_TESTDEV_FAILED);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_BITS), ==, 0);
    f = vtd_fault(t);
    g_assert_cmphex(f.reason, ==, reason);
    if (reason) {
        g_assert_cmphex(f.hi & (3ull << 60), ==, VTD_FRCD_AT_TRANSLATION);
    }
}

/* What is a mistake in the tables is a fault, and an error for the device */
static void test_refused(void)
{
    VTDTest *t = vtd_start(VTD_OPTIONS);
    VTDTestPASID p;
    uint64_t at;

    assert_ats_refused(t, PASID, 0);        /* translation is off */
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TRANSLATED, NONE, VTD_MEM_A,
                               0), ==, VTD_TESTDEV_FAILED);

    vtd_enable(t, VTD_CONTEXT_ALL);
    p = first_stage(t, 0);
    assert_ats_refused(t, PASID, VTD_FR_PASID_DIR_ENTRY_P);
    vtd_pasid_entry(t, PASID);
    assert_ats_refused(t, PASID, VTD_FR_PASID_ENTRY_P);
    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    td_assert_ats(t, PASID, IOVA, 0, R);

    at = vtd_entry(t, p.fs_root, 4, 1, IOVA);
    qtest_writeq(t->qts, at, (VTD_MEM_A | FS_USER) + (1ull << 50));
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    assert_ats_refused(t, PASID, VTD_FR_FS_PAGING_ENTRY_RSVD);
    qtest_writeq(t->qts, at, VTD_MEM_A | FS_USER);

    /* The context-entry decides, also about what is cached */
    td_assert_ats(t, PASID, IOVA, 0, R);
    vtd_set_context(t, VTD_SM_CONTEXT_ENTRY_PASIDE);
    td_assert_ats(t, PASID, IOVA, 0, R);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    assert_ats_refused(t, PASID, VTD_FR_CONTEXT_DTE);
    vtd_set_context(t, VTD_SM_CONTEXT_ENTRY_DTE);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    assert_ats_refused(t, PASID, VTD_FR_CONTEXT_PASIDE);
    vtd_stop(t);

    /* No device TLBs: whatever DTE says */
    t = vtd_start_enabled(VTD_OPTIONS ",device-iotlb=off");
    assert_ats_refused(t, PASID, VTD_FR_CONTEXT_DTE);
    vtd_stop(t);
}

static void test_translated_requests(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestFault f;

    td_write(t, VTD_TESTDEV_DATA, 0x1234);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TRANSLATED, NONE, VTD_MEM_A,
                               VTD_REQ_WRITE), ==, VTD_TESTDEV_OK);
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, 0x1234);

    vtd_set_context(t, VTD_SM_CONTEXT_ENTRY_PASIDE);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TRANSLATED, NONE, VTD_MEM_B,
                               VTD_REQ_WRITE), ==, VTD_TESTDEV_FAILED);
    f = vtd_fault(t);
    g_assert_cmphex(f.hi & ~VTD_FRCD_F, ==, VTD_FRCD_AT_TRANSLATED | VTD_SID |
                    VTD_FRCD_FR((uint64_t)VTD_FR_CONTEXT_DTE));
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_B), ==, VTD_MEM_B_DATA);

    /* Fault processing disabled */
    vtd_set_context(t, VTD_SM_CONTEXT_ENTRY_PASIDE | VTD_CONTEXT_ENTRY_FPD);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TRANSLATED, NONE, VTD_MEM_B,
                               0), ==, VTD_TESTDEV_FAILED);
    vtd_assert_no_fault(t);

    /* They are for memory: not for the registers of the VT-d, say */
    vtd_set_context(t, VTD_CONTEXT_ALL);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TRANSLATED, NONE,
                               Q35_HOST_BRIDGE_IOMMU_ADDR, 0), ==,
                    VTD_TESTDEV_FAILED);
    vtd_stop(t);
}

/*
 * Invalidation of device TLBs
 */

static void assert_invalidated(VTDTest *t, uint64_t count, uint32_t pasid,
                               bool global, uint64_t addr, uint64_t size)
{
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count);
    if (!global) {
        g_assert_cmphex((uint32_t)td_read(t, VTD_TESTDEV_INV_PASID), ==, pasid);
    }
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_GLOBAL), ==, global);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_INV_ADDR), ==, addr);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_INV_SIZE), ==, size);
}

static void test_ranges(void)
{
    static const struct {
        uint64_t field;
        bool s;
        uint64_t addr, size;
    } cases[] = {
        { 0x12345000, false, 0x12345000, 0x1000 },
        { 0x1000, false, 0x1000, 0x1000 },
        { 0x12344000, true, 0x12344000, 0x2000 },
        { 0x12345000, true, 0x12344000, 0x4000 },
        { 0x12343000, true, 0x12340000, 0x8000 },
        { 0x12347000, true, 0x12340000, 0x10000 },
        { 0x400ff000, true, 0x40000000, 0x200000 },
        { 0x3ffff000, true, 0, 0x80000000 },
        { 0x3ffffffffffff000ull, true, 0, 1ull << 63 },
        /* what Linux sends for everything */
        { 0x7ffffffffffff000ull, true, 0, 0 },
        { 0xfffffffffffff000ull, true, 0, 0 },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t count = 0;

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t f = cases[i].field;
        bool s = cases[i].s;

        vtd_inv(t, INV_DEV_IOTLB(VTD_SID), f | (s ? INV_DEV_S : 0));
        assert_invalidated(t, ++count, NONE, false, cases[i].addr,
                           cases[i].size);
        vtd_inv(t, INV_DEV_PIOTLB(VTD_SID, PASID),
                f | (s ? INV_DEV_PASID_S : 0));
        assert_invalidated(t, ++count, PASID, false, cases[i].addr,
                           cases[i].size);
        vtd_inv(t, INV_DEV_PIOTLB(VTD_SID, PASID),
                f | (s ? INV_DEV_PASID_S : 0) | INV_DEV_PASID_G);
        assert_invalidated(t, ++count, PASID, true, cases[i].addr,
                           cases[i].size);
    }

    /* To nobody, and to a device without a device TLB */
    vtd_inv(t, INV_DEV_IOTLB(0x1234), 0);
    vtd_inv(t, INV_DEV_PIOTLB(0, PASID), 0);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count);

    /* Reserved bits stop the queue */
    g_assert_false(vtd_queue(t, INV_DEV_PIOTLB(VTD_SID, PASID), 2));
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count);
    vtd_stop(t);
}

static uint64_t tlb_reads(VTDTest *t, uint32_t pasid, uint64_t addr)
{
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TLB, pasid, addr, 0), ==,
                    VTD_TESTDEV_OK);
    return td_read(t, VTD_TESTDEV_DATA);
}

/* The IOTLB was invalidated, the device TLB was not, or not rightly */
static void test_stale_device_tlb(void)
{
    static const struct {
        uint64_t lo, hi;
        bool drops;
    } inv[] = {
        { INV_DEV_PIOTLB(VTD_SID, PASID), IOVA_2, false },
        { INV_DEV_PIOTLB(VTD_SID, PASID + 1), IOVA, false },
        { INV_DEV_PIOTLB(VTD_SID + 1, PASID), IOVA, false },
        { INV_DEV_IOTLB(VTD_SID), IOVA, false },
        { INV_IOTLB_GLOBAL, 0, false },
        { INV_CONTEXT_GLOBAL, 0, false },
        { INV_PASID_CACHE(DID, PASID), 0, false },
        /* S is set, but these are the two pages before */
        { INV_DEV_PIOTLB(VTD_SID, PASID),
          (IOVA - 0x2000) | INV_DEV_PASID_S, false },

        { INV_DEV_PIOTLB(VTD_SID, PASID), IOVA, true },
        { INV_DEV_PIOTLB(VTD_SID, PASID), IOVA | INV_DEV_PASID_S, true },
        { INV_DEV_PIOTLB(VTD_SID, PASID),
          (IOVA + 0x7000) | INV_DEV_PASID_S, true },
        { INV_DEV_PIOTLB(VTD_SID, PASID),
          0x7ffffffffffff000ull | INV_DEV_PASID_S, true },
        { INV_DEV_PIOTLB(VTD_SID, PASID + 1), IOVA | INV_DEV_PASID_G, true },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        g_assert_cmphex(tlb_reads(t, PASID, IOVA), ==, VTD_MEM_A_DATA);
        vtd_map(t, p.fs_root, IOVA, VTD_MEM_B, FS_USER);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        g_assert_cmphex(tlb_reads(t, PASID, IOVA), ==, VTD_MEM_A_DATA);
        vtd_inv(t, inv[i].lo, inv[i].hi);
        g_assert_cmphex(tlb_reads(t, PASID, IOVA), ==,
                        inv[i].drops ? VTD_MEM_B_DATA : VTD_MEM_A_DATA);
        vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
        vtd_inv(t, INV_PIOTLB_PAGE(DID, PASID), IOVA);
        vtd_inv(t, INV_DEV_PIOTLB(VTD_SID, PASID), IOVA);
    }

    /* Without PASID the descriptor without PASID is the one */
    vtd_set_pasid(t, 0, &p);
    g_assert_cmphex(tlb_reads(t, NONE, IOVA), ==, VTD_MEM_A_DATA);
    vtd_map(t, p.fs_root, IOVA, VTD_MEM_B, FS_USER);
    vtd_inv(t, INV_PIOTLB_PASID(DID, 0), 0);
    vtd_inv(t, INV_DEV_PIOTLB(VTD_SID, 0), IOVA | INV_DEV_PASID_G);
    g_assert_cmphex(tlb_reads(t, NONE, IOVA), ==, VTD_MEM_A_DATA);
    vtd_inv(t, INV_DEV_IOTLB(VTD_SID), IOVA);
    g_assert_cmphex(tlb_reads(t, NONE, IOVA), ==, VTD_MEM_B_DATA);
    vtd_stop(t);
}

/*
 * Page requests
 */

#define PRQ_NR  128         /* one page */

static VTDTest *prq_start(const char *options)
{
    VTDTest *t = vtd_start_enabled(options);

    vtd_reg_writeq(t, DMAR_PQH_REG, 0);
    vtd_reg_writeq(t, DMAR_PQT_REG, 0);
    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ);
    return t;
}

static uint64_t page_request(VTDTest *t, uint32_t pasid, uint64_t addr,
                             unsigned flags, unsigned prgi, bool last)
{
    td_write(t, VTD_TESTDEV_PRGI, prgi);
    td_write(t, VTD_TESTDEV_LAST, last);
    return td_command(t, VTD_TESTDEV_PAGE_REQUEST, pasid, addr, flags);
}

static void assert_queued(VTDTest *t, unsigned index, uint64_t lo, uint64_t hi,
                          uint64_t priv0, uint64_t priv1)
{
    uint64_t at = VTD_MEM_PRQ + index * VTD_PRQ_DESC_SIZE;

    g_assert_cmphex(qtest_readq(t->qts, at), ==, lo);
    g_assert_cmphex(qtest_readq(t->qts, at + 8), ==, hi);
    g_assert_cmphex(qtest_readq(t->qts, at + 16), ==, priv0);
    g_assert_cmphex(qtest_readq(t->qts, at + 24), ==, priv1);
}

static void test_page_request(void)
{
    VTDTest *t = prq_start(VTD_OPTIONS);
    uint64_t lo = 1 | 1 << 8 | (uint64_t)VTD_SID << 16 | (uint64_t)PASID << 32;

    /* Bit positions from VT-d spec 7.4.1.1 */
    g_assert_cmphex(page_request(t, PASID, IOVA + 0x123, VTD_REQ_READ, 5, true),
                    ==, VTD_TESTDEV_OK);
    assert_queued(t, 0, lo, IOVA | 5 << 3 | 1 << 2 | 1, 0, 0);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, 32);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==, VTD_PRS_PPR);

    page_request(t, PASID, IOVA, VTD_REQ_READ | VTD_REQ_WRITE | VTD_REQ_PRIV |
                 VTD_REQ_EXEC, 0x1ff, false);
    assert_queued(t, 1, lo | 1ull << 52 | 1ull << 53, IOVA | 0x1ff << 3 | 3,
                  0, 0);
    td_write(t, VTD_TESTDEV_PRIVATE, 0x1111);
    td_write(t, VTD_TESTDEV_PRIVATE + 8, 0x2222);
    page_request(t, NONE, IOVA, VTD_REQ_WRITE | VTD_REQ_PRIV, 0, true);
    assert_queued(t, 2, 1 | 1 << 9 | VTD_SID << 16, IOVA | 1 << 2 | 2, 0x1111,
                  0x2222);
    vtd_assert_no_fault(t);
    vtd_stop(t);
}

static void test_page_response(void)
{
    VTDTest *t = prq_start(VTD_OPTIONS);

    /* Only what answers the last request of a group is sent on */
    vtd_inv(t, PAGE_RESPONSE(VTD_SID, PASID, 1), 5 << 3);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 0);
    vtd_inv(t, PAGE_RESPONSE(VTD_SID, PASID, 1), 5 << 3 | 1 << 2);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 1);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PASID), ==, PASID);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRGI), ==, 5);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_CODE), ==, 1);

    vtd_inv(t, VTD_INV_DESC_PGRP | 15 << 12 | VTD_SID << 16,
            0x1ff << 3 | 1 << 2);
    g_assert_cmphex((uint32_t)td_read(t, VTD_TESTDEV_RESP_PASID), ==, NONE);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRGI), ==, 0x1ff);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_CODE), ==, 15);

    /* To nobody */
    vtd_inv(t, PAGE_RESPONSE(0x4321, PASID, 0), 1 << 2);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 2);
    g_assert_false(vtd_queue(t, PAGE_RESPONSE(VTD_SID, PASID, 0), 1));
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",x-prs=off");
    g_assert_false(vtd_queue(t, PAGE_RESPONSE(VTD_SID, PASID, 0), 1 << 2));
    vtd_stop(t);
}

/* A response brings back what its request had, each request's own */
static void test_private_data(void)
{
    const uint64_t response = PAGE_RESPONSE(VTD_SID, PASID, 0) |
                              VTD_INV_DESC_PGRP_PRIVATE_DATA;
    VTDTest *t = prq_start(VTD_OPTIONS);

    for (int i = 1; i <= 3; i++) {
        td_write(t, VTD_TESTDEV_PRIVATE, 0x1111 * i);
        td_write(t, VTD_TESTDEV_PRIVATE + 8, ~(uint64_t)i);
        g_assert_cmphex(page_request(t, PASID, IOVA + i * 0x1000, VTD_REQ_READ,
                                     9, i == 3), ==, VTD_TESTDEV_OK);
    }
    for (int i = 1; i <= 3; i++) {
        uint64_t request = VTD_MEM_PRQ + (i - 1) * VTD_PRQ_DESC_SIZE;
        uint64_t data[2] = {
            qtest_readq(t->qts, request + 16),
            qtest_readq(t->qts, request + 24),
        };

        g_assert_cmphex(qtest_readq(t->qts, request) & VTD_PRQ_PRIVATE_DATA,
                        !=, 0);
        g_assert_true(vtd_queue_private(t, response, 9 << 3 | (i == 3) << 2,
                                        data[0], data[1]));
        g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRIVATE), ==, 0x1111 * i);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRIVATE + 8), ==,
                        ~(uint64_t)i);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRGI), ==, 9);
        /* The group is answered by the last one, and not before */
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_PARTIAL), ==, MIN(i, 2));
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, i == 3);
    }

    /* Without the bit there is none, whatever the descriptor holds */
    td_write(t, VTD_TESTDEV_PRIVATE, 0);
    td_write(t, VTD_TESTDEV_PRIVATE + 8, 0);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 10, true);
    g_assert_true(vtd_queue_private(t, PAGE_RESPONSE(VTD_SID, PASID, 0),
                                    10 << 3, 1, 2));
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRGI), ==, 9);
    g_assert_true(vtd_queue_private(t, PAGE_RESPONSE(VTD_SID, PASID, 0),
                                    10 << 3 | 1 << 2, 1, 2));
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRGI), ==, 10);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRIVATE), ==, 0);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_RESP_PRIVATE + 8), ==, 0);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 2);
    vtd_stop(t);
}

static uint64_t unknown_responses(VTDTest *t)
{
    return qtest_readq(t->qts, VTD_INV_LOG_ADDR + VTD_INV_LOG_REG_COUNTERS +
                       8 * VTD_INV_LOG_UNKNOWN_RESPONSE);
}

/* Responses that nobody waits for are counted, here and by the device */
static void test_unknown_response(void)
{
    const uint64_t last = 1 << 2, private = VTD_INV_DESC_PGRP_PRIVATE_DATA;
    VTDTest *t = prq_start(VTD_OPTIONS ",x-inv-log=on");
    const struct {
        uint64_t lo, hi;
        bool known;
        bool here;          /* it reached the device */
    } responses[] = {
        /* never requested, with another PASID or none, for nobody */
        { PAGE_RESPONSE(VTD_SID, PASID, 0), 8 << 3 | last, false, true },
        { PAGE_RESPONSE(VTD_SID, PASID + 1, 0), 7 << 3 | last, false, true },
        { VTD_INV_DESC_PGRP | VTD_SID << 16, 7 << 3 | last, false, true },
        { PAGE_RESPONSE(VTD_SID + 8, PASID, 0), 7 << 3 | last, false, false },
        { PAGE_RESPONSE(0x4321, PASID, 0), 7 << 3 | last, false, false },
        /* requested; once */
        { PAGE_RESPONSE(VTD_SID, PASID, 0) | private, 7 << 3, true, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 0), 7 << 3 | last, true, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 0), 7 << 3 | last, false, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 0) | private, 7 << 3, false, true },
        /* requested, but its group is not complete */
        { PAGE_RESPONSE(VTD_SID, PASID, 0), 6 << 3 | last, false, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 0) | private, 6 << 3, true, true },
        /* a stop marker is not answered */
        { PAGE_RESPONSE(VTD_SID, PASID, 0), 5 << 3 | last, false, true },
        /* requested twice without an answer in between */
        { PAGE_RESPONSE(VTD_SID, PASID, 1), 4 << 3 | last, true, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 1), 4 << 3 | last, true, true },
        { PAGE_RESPONSE(VTD_SID, PASID, 1), 4 << 3 | last, false, true },
    };
    uint64_t unknown = 0, of_device = 0;

    page_request(t, PASID, IOVA, VTD_REQ_READ, 7, true);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 6, false);
    page_request(t, PASID, IOVA, 0, 5, true);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 4, true);
    page_request(t, PASID, IOVA, VTD_REQ_WRITE, 4, true);
    for (int i = 0; i < ARRAY_SIZE(responses); i++) {
        g_assert_true(vtd_queue_private(t, responses[i].lo, responses[i].hi,
                                        i, i));
        unknown += !responses[i].known;
        of_device += !responses[i].known && responses[i].here;
        g_assert_cmpuint(unknown_responses(t), ==, unknown);
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_UNKNOWN), ==, of_device);
    }
    g_assert_cmpuint(qtest_readq(t->qts, VTD_INV_LOG_ADDR +
                                 VTD_INV_LOG_REG_COUNTERS +
                                 8 * VTD_INV_LOG_COUNTER(VTD_INV_DESC_PGRP, 0)),
                     ==, ARRAY_SIZE(responses));

    /* An overflow is the answer to what it drops */
    for (int i = 0; i < PRQ_NR; i++) {
        page_request(t, PASID, IOVA, VTD_REQ_READ, i, true);
    }
    vtd_inv(t, PAGE_RESPONSE(VTD_SID, PASID, 0), (PRQ_NR - 1) << 3 | last);
    g_assert_cmpuint(unknown_responses(t), ==, unknown + 1);
    vtd_stop(t);
}

static void test_drain(void)
{
    const uint64_t wait = VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW |
                          VTD_INV_DESC_WAIT_PD | 0x77ull << 32;
    VTDTest *t = prq_start(VTD_OPTIONS);

    vtd_inv(t, wait, VTD_MEM_A);
    g_assert_cmphex(qtest_readl(t->qts, VTD_MEM_A), ==, 0x77);
    vtd_stop(t);

    t = vtd_start_enabled(VTD_OPTIONS ",x-prs=off");
    g_assert_false(vtd_queue(t, wait, VTD_MEM_A));
    vtd_stop(t);
}

/* The event is pending (IP) while it is masked, and once per condition */
static void test_event(void)
{
    VTDTest *t = prq_start(VTD_OPTIONS);

    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, VTD_PECTL_IM);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==,
                    VTD_PECTL_IM | VTD_PECTL_IP);

    /* Serviced before it was sent */
    vtd_reg_writel(t, DMAR_PRS_REG, VTD_PRS_PPR);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==, 0);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, VTD_PECTL_IM);

    /* Unmasked while it is pending: sent, and not again for the next one */
    page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true);
    vtd_reg_writel(t, DMAR_PECTL_REG, 0);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, 0);
    vtd_reg_writel(t, DMAR_PECTL_REG, VTD_PECTL_IM);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, VTD_PECTL_IM);

    /* As 64-bit writes, which belong to two registers each */
    vtd_reg_writeq(t, DMAR_PRS_REG - 4, (uint64_t)VTD_PRS_PPR << 32);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==, 0);
    page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==,
                    VTD_PECTL_IM | VTD_PECTL_IP);
    vtd_reg_writeq(t, DMAR_PECTL_REG, 0);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, 0);
    vtd_stop(t);
}

/* The message of the event goes where PEADDR and PEDATA say */
static void test_event_message(void)
{
    const unsigned vector = 97;
    const char *irr = "IRR\t 97 ";
    VTDTest *t = prq_start(VTD_OPTIONS);
    g_autofree char *before = NULL, *after = NULL;

    /* The local APIC remembers the request, though nobody enabled it */
    vtd_reg_writel(t, DMAR_PEADDR_REG, 0xfee00000);
    vtd_reg_writel(t, DMAR_PEDATA_REG, vector);
    vtd_reg_writel(t, DMAR_PECTL_REG, 0);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PEADDR_REG), ==, 0xfee00000);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PEDATA_REG), ==, vector);
    before = qtest_hmp(t->qts, "info lapic");
    page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true);
    after = qtest_hmp(t->qts, "info lapic");
    g_assert_null(strstr(before, irr));
    g_assert_nonnull(strstr(after, irr));
    vtd_stop(t);
}

static void test_overflow(void)
{
    VTDTest *t = prq_start(VTD_OPTIONS);
    uint64_t last = VTD_MEM_PRQ + (PRQ_NR - 1) * VTD_PRQ_DESC_SIZE;

    for (int i = 0; i < PRQ_NR - 1; i++) {
        g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, i, true), ==,
                        VTD_TESTDEV_OK);
    }
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==, VTD_PRS_PPR);

    /* One entry is always left: full and empty would look the same */
    qtest_writeq(t->qts, last, 0xdead);
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_ANSWERED | VTD_PAGE_RESP_SUCCESS);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==,
                    VTD_PRS_PPR | VTD_PRS_PRO);
    g_assert_cmphex(qtest_readq(t->qts, last), ==, 0xdead);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, (PRQ_NR - 1) * 32);
    /* There is no answer to a request that is not the last of its group */
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 1, false), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, (PRQ_NR - 1) * 32);

    /* Room alone does not help: software has to clear the overflow */
    vtd_reg_writeq(t, DMAR_PQH_REG, (PRQ_NR - 1) * 32);
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_ANSWERED | VTD_PAGE_RESP_SUCCESS);
    vtd_reg_writel(t, DMAR_PRS_REG, VTD_PRS_PRO);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PRS_REG), ==, VTD_PRS_PPR);
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(qtest_readq(t->qts, last), !=, 0xdead);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, 0);
    vtd_assert_no_fault(t);

    /* A larger queue */
    vtd_reg_writeq(t, DMAR_PQH_REG, 0);
    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ | 1);
    for (int i = 0; i < 2 * PRQ_NR - 1; i++) {
        g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, i, true), ==,
                        VTD_TESTDEV_OK);
    }
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_ANSWERED | VTD_PAGE_RESP_SUCCESS);
    vtd_stop(t);
}

static void assert_pr_refused(VTDTest *t, uint32_t pasid, uint8_t reason)
{
    VTDTestFault f;

    g_assert_cmphex(page_request(t, pasid, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_ANSWERED | VTD_PAGE_RESP_FAILURE);
    f = vtd_fault(t);
    g_assert_cmphex(f.reason, ==, reason);
    if (reason) {
        g_assert_cmphex(f.hi & (VTD_FRCD_T | VTD_FRCD_T2), ==, VTD_FRCD_T2);
    }
}

static void test_page_request_refused(void)
{
    VTDTest *t = vtd_start(VTD_OPTIONS);

    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ);
    assert_pr_refused(t, PASID, 0);

    vtd_enable(t, VTD_CONTEXT_ALL & ~VTD_SM_CONTEXT_ENTRY_PRE);
    assert_pr_refused(t, PASID, VTD_FR_CONTEXT_PRE);
    assert_pr_refused(t, NONE, VTD_FR_CONTEXT_PRE);
    vtd_set_context(t, VTD_SM_CONTEXT_ENTRY_PRE);
    assert_pr_refused(t, PASID, VTD_FR_CONTEXT_PRE);
    vtd_inv(t, INV_CONTEXT_GLOBAL, 0);
    assert_pr_refused(t, PASID, VTD_FR_CONTEXT_PASIDE);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, 0);
    g_assert_cmphex(page_request(t, NONE, IOVA, VTD_REQ_READ, 1, true), ==,
                    VTD_TESTDEV_OK);

    /* The queue is not in memory */
    vtd_reg_writeq(t, DMAR_PQA_REG, Q35_HOST_BRIDGE_IOMMU_ADDR);
    assert_pr_refused(t, NONE, 0);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, 32);
    vtd_stop(t);

    /* Without the capability there are no registers and no requests */
    t = vtd_start_enabled(VTD_OPTIONS ",x-prs=off");
    vtd_reg_writeq(t, DMAR_PQA_REG, ~0ull);
    vtd_reg_writel(t, DMAR_PRS_REG, ~0u);
    vtd_reg_writel(t, DMAR_PECTL_REG, ~0u);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_PQA_REG), ==, 0);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_PECTL_REG), ==, 0);
    assert_pr_refused(t, PASID, 0);
    vtd_stop(t);
}

/* The way a device meets a page that is not there: ATS, PRI, ATS again */
static void test_page_fault_served(void)
{
    VTDTest *t = prq_start(VTD_OPTIONS);
    VTDTestPASID p = first_stage(t, 0);

    vtd_set_pasid(t, PASID, &p);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA_TLB, PASID, IOVA, 0), ==,
                    VTD_TESTDEV_FAILED);
    vtd_assert_no_fault(t);
    g_assert_cmphex(page_request(t, PASID, IOVA, VTD_REQ_READ, 3, true), ==,
                    VTD_TESTDEV_OK);

    vtd_map(t, p.fs_root, IOVA, VTD_MEM_A, FS_USER);
    vtd_reg_writeq(t, DMAR_PQH_REG, vtd_reg_readq(t, DMAR_PQT_REG));
    vtd_inv(t, PAGE_RESPONSE(VTD_SID, PASID, 0), 3 << 3 | 1 << 2);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 1);
    g_assert_cmphex(tlb_reads(t, PASID, IOVA), ==, VTD_MEM_A_DATA);
    vtd_assert_no_fault(t);
    vtd_stop(t);
}

/* All state of page requests is in registers; they move with the machine */
static void test_migration(void)
{
    static const struct {
        unsigned reg;
        uint32_t val;
    } regs[] = {
        { DMAR_PQH_REG, 0x60 },
        { DMAR_PQT_REG, 0x100 },
        { DMAR_PQA_REG, VTD_MEM_PRQ | 2 },
        { DMAR_PECTL_REG, 0 },
        { DMAR_PEDATA_REG, 0x51 },
        { DMAR_PEADDR_REG, 0xfee01000 },
    };
    const char *machine = "-M q35 -nodefaults -device intel-iommu," VTD_OPTIONS;
    g_autofree char *file = g_strdup_printf("%s/vtd-migration-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *uri = g_strdup_printf("file:%s", file);
    QTestState *from = qtest_init(machine), *to;
    uint64_t base = Q35_HOST_BRIDGE_IOMMU_ADDR;

    for (int i = 0; i < ARRAY_SIZE(regs); i++) {
        qtest_writel(from, base + regs[i].reg, regs[i].val);
    }
    to = vtd_migrate(from, machine, uri);
    for (int i = 0; i < ARRAY_SIZE(regs); i++) {
        g_assert_cmphex(qtest_readl(to, base + regs[i].reg), ==, regs[i].val);
    }
    qtest_quit(to);
    unlink(file);
}

/*
 * Invalidations that a device does not answer
 */

#define FSTS_ERRORS     (VTD_FSTS_IQE | VTD_FSTS_ITE)
#define STATUS          (VTD_MEM_TABLES + 0xf00000)
#define WAIT(n)         (VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW | \
                         (uint64_t)(n) << VTD_INV_DESC_WAIT_DATA_SHIFT)

static void set_silent(VTDTest *t, bool silent)
{
    td_write(t, VTD_TESTDEV_DATA, silent);
    g_assert_cmphex(td_command(t, VTD_TESTDEV_SILENT, NONE, 0, 0), ==,
                    VTD_TESTDEV_OK);
}

/* Queue an invalidation and two wait descriptors at once */
static void queue_with_waits(VTDTest *t, uint64_t lo, uint64_t hi)
{
    uint64_t queue = vtd_reg_readq(t, DMAR_IQA_REG) & ~0xfffull;
    uint64_t tail = vtd_reg_readq(t, DMAR_IQT_REG);
    uint64_t desc[3][4] = {
        { lo, hi }, { WAIT(1), STATUS }, { WAIT(2), STATUS + 4 },
    };

    qtest_writeq(t->qts, STATUS, 0);
    for (int i = 0; i < 12; i++) {
        qtest_writeq(t->qts, queue + tail + i * 8, desc[i / 4][i % 4]);
    }
    vtd_reg_writeq(t, DMAR_IQT_REG, tail + sizeof(desc));
}

static void assert_timed_out(VTDTest *t, uint16_t sid)
{
    g_assert_cmphex(vtd_reg_readl(t, DMAR_FSTS_REG) & FSTS_ERRORS, ==,
                    VTD_FSTS_ITE);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_IQERCD_REG) >> 32, ==, sid);
}

static void assert_answered(VTDTest *t)
{
    g_assert_cmphex(vtd_reg_readl(t, DMAR_FSTS_REG) & FSTS_ERRORS, ==, 0);
    g_assert_cmphex(qtest_readq(t->qts, STATUS), ==, 0x200000001ull);
}

static void test_invalidation_timeout(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-inv-timeout=on");
    const uint16_t absent = VTD_SID + 8;
    uint64_t count, tail;

    queue_with_waits(t, INV_DEV_PIOTLB(VTD_SID, PASID), IOVA);
    assert_answered(t);

    set_silent(t, true);
    count = td_read(t, VTD_TESTDEV_INV_COUNT);
    tail = vtd_reg_readq(t, DMAR_IQT_REG);
    queue_with_waits(t, INV_DEV_PIOTLB(VTD_SID, PASID), IOVA);
    assert_timed_out(t, VTD_SID);
    g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count + 1);

    /* The wait descriptor after it is taken and gone, no more is fetched */
    g_assert_cmphex(vtd_reg_readq(t, DMAR_IQH_REG), ==, tail + 2 * 32);
    g_assert_cmphex(qtest_readq(t->qts, STATUS), ==, 0);
    g_assert_false(vtd_queue(t, WAIT(3), STATUS + 8));
    g_assert_cmphex(vtd_reg_readq(t, DMAR_IQH_REG), ==, tail + 2 * 32);
    vtd_reg_writel(t, DMAR_FSTS_REG, VTD_FSTS_IQE);
    assert_timed_out(t, VTD_SID);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_IQH_REG), ==, tail + 2 * 32);

    /* Until software has seen it */
    vtd_reg_writel(t, DMAR_FSTS_REG, VTD_FSTS_ITE);
    g_assert_cmphex(vtd_reg_readl(t, DMAR_FSTS_REG) & FSTS_ERRORS, ==, 0);
    g_assert_cmphex(vtd_reg_readq(t, DMAR_IQH_REG), ==, tail + 4 * 32);
    g_assert_cmphex(qtest_readq(t->qts, STATUS), ==, 0x200000000ull);
    g_assert_cmphex(qtest_readl(t->qts, STATUS + 8), ==, 3);

    /* With nothing behind it, and without PASID */
    g_assert_true(vtd_queue(t, INV_DEV_IOTLB(VTD_SID), IOVA));
    assert_timed_out(t, VTD_SID);
    vtd_reg_writel(t, DMAR_FSTS_REG, VTD_FSTS_ITE);

    /* It answers again; nobody does for a device that is not there */
    set_silent(t, false);
    queue_with_waits(t, INV_DEV_IOTLB(VTD_SID), IOVA);
    assert_answered(t);
    queue_with_waits(t, INV_DEV_IOTLB(absent), IOVA);
    assert_timed_out(t, absent);
    vtd_stop(t);

    /* Hardware that does not say which device it was */
    t = vtd_start_enabled(VTD_OPTIONS ",x-inv-timeout=on,"
                          "x-inv-timeout-id=off");
    set_silent(t, true);
    queue_with_waits(t, INV_DEV_PIOTLB(VTD_SID, PASID), IOVA);
    assert_timed_out(t, 0);
    vtd_stop(t);

    /* As devices always did */
    t = vtd_start_enabled(VTD_OPTIONS);
    set_silent(t, true);
    queue_with_waits(t, INV_DEV_PIOTLB(VTD_SID, PASID), IOVA);
    assert_answered(t);
    queue_with_waits(t, INV_DEV_IOTLB(absent), IOVA);
    assert_answered(t);
    vtd_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-iommu/ats/capabilities", test_capabilities);
    qtest_add_func("/intel-iommu/ats/completion", test_completion);
    qtest_add_func("/intel-iommu/ats/completion_other_types",
                   test_completion_other_types);
    qtest_add_func("/intel-iommu/ats/refused", test_refused);
    qtest_add_func("/intel-iommu/ats/translated_requests",
                   test_translated_requests);
    qtest_add_func("/intel-iommu/ats/ranges", test_ranges);
    qtest_add_func("/intel-iommu/ats/stale_device_tlb", test_stale_device_tlb);
    qtest_add_func("/intel-iommu/ats/invalidation_timeout",
                   test_invalidation_timeout);
    qtest_add_func("/intel-iommu/prq/page_request", test_page_request);
    qtest_add_func("/intel-iommu/prq/page_response", test_page_response);
    qtest_add_func("/intel-iommu/prq/private_data", test_private_data);
    qtest_add_func("/intel-iommu/prq/unknown_response",
                   test_unknown_response);
    qtest_add_func("/intel-iommu/prq/drain", test_drain);
    qtest_add_func("/intel-iommu/prq/event", test_event);
    qtest_add_func("/intel-iommu/prq/event_message", test_event_message);
    qtest_add_func("/intel-iommu/prq/overflow", test_overflow);
    qtest_add_func("/intel-iommu/prq/refused", test_page_request_refused);
    qtest_add_func("/intel-iommu/prq/page_fault_served",
                   test_page_fault_served);
    qtest_add_func("/intel-iommu/prq/migration", test_migration);

    return g_test_run();
}
