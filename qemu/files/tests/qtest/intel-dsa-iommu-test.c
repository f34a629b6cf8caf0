/*
 * QTest testcase for intel-dsa: PASID-tagged DMA through the VT-d model
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "intel-dsa-lib.h"

#define VTD_ARGS "-device intel-iommu,x-scalable-mode=on,x-flts=on,x-slts=on," \
                 "x-pasid-mode=on,x-pss=19,x-pasid-cache=on " \
                 "-device intel-dsa,id=dsa0,addr=4"

/* I/O virtual addresses, away from any memory */
#define IOVA_CR     0x4000000000ull
#define IOVA_SRC    0x4000100000ull
#define IOVA_DST    0x4000200000ull

#define LEN         (3 * 4096)

static DSATest *start(const DSAWQConfig *wq0, const DSAWQConfig *wq1)
{
    DSATest *t = dsa_start(VTD_ARGS);

    vtd_enable(t);
    dsa_pasid_enable(t);
    dsa_enable(t, wq0, wq1);
    return t;
}

/* An address space in which the test buffers are at the IOVA_* addresses */
static uint64_t space(DSATest *t, DSAPgtt pgtt, uint64_t dst)
{
    uint64_t root = vtd_page(t);

    vtd_map(t, pgtt, root, IOVA_CR, DSA_MEM_CR, 4096);
    vtd_map(t, pgtt, root, IOVA_SRC, DSA_MEM_SRC, LEN);
    vtd_map(t, pgtt, root, IOVA_DST, dst, LEN);
    return root;
}

static DSADesc iova_move(void)
{
    DSADesc d = dsa_desc(DSA_OP_MEMMOVE, 0, IOVA_SRC, IOVA_DST, LEN);

    stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR);
    return d;
}

static void move_and_check(DSATest *t, int wq, uint64_t dst, unsigned seed)
{
    DSADesc d = iova_move();

    dsa_fill_pattern(t, DSA_MEM_SRC, LEN, seed);
    qtest_memset(t->qts, dst, 0, LEN);
    g_assert_cmphex(dsa_run(t, wq, &d).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, dst, LEN);
}

static void test_translation(const void *data)
{
    DSAPgtt pgtt = GPOINTER_TO_INT(data);
    DSAWQConfig wq = { .size = 16, .pasid_en = true, .pasid = 0x8765 };
    DSATest *t = start(&wq, NULL);
    DSADesc d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, DSA_MEM_DST, LEN);

    if (pgtt == PGTT_PT) {
        vtd_set_pasid(t, wq.pasid, pgtt, 5, 0);
        dsa_fill_pattern(t, DSA_MEM_SRC, LEN, 1);
        g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
        dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);
    } else {
        vtd_set_pasid(t, wq.pasid, pgtt, 5, space(t, pgtt, DSA_MEM_DST));
        move_and_check(t, 0, DSA_MEM_DST, 1);

        /* What is mapped is all there is */
        d = iova_move();
        stl_le_p(d.b + DSA_DESC_XFER_SIZE, LEN + 1);
        qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
        dsa_submit(t, 0, true, &d);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                        DSA_STATUS_PAGE_FAULT);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).fault, ==, IOVA_SRC + LEN);
        g_assert_cmpuint(dsa_wait(t, DSA_MEM_CR).bytes, ==, LEN);
    }
    dsa_stop(t);
}

/* Two queues, two PASIDs: the same IOVA leads to different memory */
static void test_isolation(void)
{
    DSAWQConfig wq0 = { .size = 16, .pasid_en = true, .pasid = 1 };
    DSAWQConfig wq1 = { .size = 16, .pasid_en = true, .pasid = 0xfffff };
    DSATest *t = start(&wq0, &wq1);

    vtd_set_pasid(t, 1, PGTT_FL, 5, space(t, PGTT_FL, DSA_MEM_DST));
    vtd_set_pasid(t, 0xfffff, PGTT_SL, 6, space(t, PGTT_SL, DSA_MEM_AUX));
    move_and_check(t, 0, DSA_MEM_DST, 1);
    qtest_memset(t->qts, DSA_MEM_DST, 0x55, LEN);
    move_and_check(t, 1, DSA_MEM_AUX, 2);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_DST), ==, 0x55);
    move_and_check(t, 0, DSA_MEM_DST, 3);
    dsa_stop(t);
}

/* A shared queue takes the PASID from each descriptor */
static void test_shared(void)
{
    DSAWQConfig wq = { .shared = true, .size = 16, .threshold = 16,
                       .pasid_en = true };
    DSATest *t = start(&wq, NULL);
    const uint64_t dst[] = { DSA_MEM_DST, DSA_MEM_AUX };

    for (int i = 0; i < 2; i++) {
        vtd_set_pasid(t, 10 + i, PGTT_FL, 5, space(t, PGTT_FL, dst[i]));
    }
    for (int i = 0; i < 20; i++) {
        DSADesc d = iova_move();

        dsa_fill_pattern(t, DSA_MEM_SRC, LEN, i);
        qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
        stl_le_p(d.b + DSA_DESC_DW0, 10 + i % 2);
        g_assert_cmpint(dsa_submit(t, 0, false, &d), ==, 0);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                        DSA_STATUS_SUCCESS);
        dsa_assert_equal(t, DSA_MEM_SRC, dst[i % 2], LEN);
    }
    dsa_stop(t);
}

/* A PASID without an entry: SWERROR, as the record cannot be written either */
static void test_no_pasid_entry(void)
{
    DSAWQConfig wq = { .size = 16, .pasid_en = true, .pasid = 77 };
    DSATest *t = start(&wq, NULL);
    DSADesc d = iova_move();
    uint64_t err;

    dsa_submit(t, 0, true, &d);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_CR_XLAT);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, PASID), ==, 77);
    dsa_stop(t);
}

/*
 * The mapping of a page changes.  Without the IOTLB invalidation the device
 * goes on using the old one, which is what makes a missing one visible.
 */
static void test_stale_iotlb(const void *data)
{
    DSAPgtt pgtt = GPOINTER_TO_INT(data);
    DSAWQConfig wq = { .size = 16, .pasid_en = true, .pasid = 9 };
    DSATest *t = start(&wq, NULL);
    uint64_t root = space(t, pgtt, DSA_MEM_DST);
    DSADesc d = iova_move();

    vtd_set_pasid(t, 9, pgtt, 5, root);
    move_and_check(t, 0, DSA_MEM_DST, 1);

    vtd_map(t, pgtt, root, IOVA_DST, DSA_MEM_AUX, LEN);
    qtest_memset(t->qts, DSA_MEM_AUX, 0, LEN);
    qtest_memset(t->qts, DSA_MEM_DST, 0, LEN);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);

    vtd_invalidate(t, pgtt == PGTT_FL ? VTD_INV_PIOTLB(5, 9) :
                                        VTD_INV_IOTLB_DOMAIN(5), 0);
    move_and_check(t, 0, DSA_MEM_AUX, 2);
    dsa_stop(t);
}

/* The same for the PASID entry: another table, then another type */
static void test_stale_pasid_entry(void)
{
    DSAWQConfig wq = { .size = 16, .pasid_en = true, .pasid = 9 };
    DSATest *t = start(&wq, NULL);
    DSADesc d = iova_move();

    vtd_set_pasid(t, 9, PGTT_FL, 5, space(t, PGTT_FL, DSA_MEM_DST));
    move_and_check(t, 0, DSA_MEM_DST, 1);

    vtd_set_pasid(t, 9, PGTT_SL, 5, space(t, PGTT_SL, DSA_MEM_AUX));
    vtd_invalidate(t, VTD_INV_PIOTLB(5, 9), 0);
    qtest_memset(t->qts, DSA_MEM_DST, 0, LEN);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);

    vtd_invalidate(t, VTD_INV_PASID_CACHE(5, 9), 0);
    vtd_invalidate(t, VTD_INV_PIOTLB(5, 9), 0);
    move_and_check(t, 0, DSA_MEM_AUX, 2);
    dsa_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_data_func("/intel-dsa/iommu/first-level",
                        GINT_TO_POINTER(PGTT_FL), test_translation);
    qtest_add_data_func("/intel-dsa/iommu/second-level",
                        GINT_TO_POINTER(PGTT_SL), test_translation);
    qtest_add_data_func("/intel-dsa/iommu/pass-through",
                        GINT_TO_POINTER(PGTT_PT), test_translation);
    qtest_add_func("/intel-dsa/iommu/isolation", test_isolation);
    qtest_add_func("/intel-dsa/iommu/shared", test_shared);
    qtest_add_func("/intel-dsa/iommu/no-pasid-entry", test_no_pasid_entry);
    qtest_add_data_func("/intel-dsa/iommu/stale-iotlb/first-level",
                        GINT_TO_POINTER(PGTT_FL), test_stale_iotlb);
    qtest_add_data_func("/intel-dsa/iommu/stale-iotlb/second-level",
                        GINT_TO_POINTER(PGTT_SL), test_stale_iotlb);
    qtest_add_func("/intel-dsa/iommu/stale-pasid-entry",
                   test_stale_pasid_entry);

    return g_test_run();
}
