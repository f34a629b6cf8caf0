/*
 * QTest testcase for intel-dsa: device TLB, page requests, privilege
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_ids.h"
#include "hw/pci/pci_regs.h"
#include "intel-dsa-lib.h"

#define VTD_DEV "-device intel-iommu,x-scalable-mode=on,x-flts=on,x-slts=on," \
                "x-pasid-mode=on,x-pss=19,x-pasid-cache=on,device-iotlb=on "
#define DSA_DEV "-device intel-dsa,id=dsa0,addr=4"

/* I/O virtual addresses, away from any memory */
#define IOVA_CR     0x4000000000ull
#define IOVA_SRC    0x4000100000ull
#define IOVA_DST    0x4000200000ull
#define IOVA_LIST   0x4000300000ull

#define LEN         (3 * 4096)
#define PASID       9
#define DID         5

enum { SUCCESS = 0, INVALID = 1, FAILURE = 15 };

static const DSAWQConfig dwq = { .size = 16, .pasid_en = true, .pasid = PASID };

/* VT-d, PASID, ATS and page requests as Linux enables them */
static DSATest *start_with(const char *args)
{
    DSATest *t = dsa_start(args);

    vtd_enable_ats(t);
    dsa_pasid_enable(t);
    dsa_ats_enable(t, true);
    dsa_pri_enable(t, 32);
    return t;
}

static DSATest *start(void)
{
    return start_with(VTD_DEV DSA_DEV);
}

/* An address space in which the test buffers are at the IOVA_* addresses */
static uint64_t space(DSATest *t, DSAPgtt pgtt, uint64_t dst)
{
    uint64_t root = vtd_page(t);

    vtd_map(t, pgtt, root, IOVA_CR, DSA_MEM_CR, 4096);
    vtd_map(t, pgtt, root, IOVA_SRC, DSA_MEM_SRC, LEN);
    if (dst) {
        vtd_map(t, pgtt, root, IOVA_DST, dst, LEN);
    }
    return root;
}

static DSADesc iova_move(uint32_t flags)
{
    DSADesc d = dsa_desc(DSA_OP_MEMMOVE, flags, IOVA_SRC, IOVA_DST, LEN);

    stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR);
    stl_le_p(d.b + DSA_DESC_DW0, PASID);
    return d;
}

static void submit(DSATest *t, int wq, const DSADesc *d)
{
    qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
    g_assert_cmpint(dsa_submit(t, wq, true, d), ==, 0);
}

/* Move to the destination's IOVA; the data must arrive at @dst */
static void move_and_check(DSATest *t, int wq, uint64_t dst, unsigned seed)
{
    DSADesc d = iova_move(0);

    dsa_fill_pattern(t, DSA_MEM_SRC, LEN, seed);
    qtest_memset(t->qts, dst, 0, LEN);
    submit(t, wq, &d);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, dst, LEN);
}

static void no_page_request(DSATest *t)
{
    DSAPageRequest req;

    for (int i = 0; i < 100; i++) {
        g_assert(!vtd_page_request(t, &req));
    }
}

static uint16_t pri_status(DSATest *t)
{
    return qtest_readw(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI) +
                               PCI_PRI_STATUS);
}

static void pri_ctrl(DSATest *t, uint16_t val)
{
    qtest_writew(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI) + PCI_PRI_CTRL,
                 val);
}

/* What Linux 6.1 looks at before it enables SVA */
static void test_capabilities(void)
{
    DSATest *t = dsa_start(VTD_DEV DSA_DEV);
    uint8_t exp = qpci_find_capability(t->dev, PCI_CAP_ID_EXP, 0);
    uint64_t pasid = dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID);
    uint64_t ats = dsa_ext_cap(t, PCI_EXT_CAP_ID_ATS);
    uint64_t pri = dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI);

    g_assert(pasid && ats && pri);
    g_assert(qpci_config_readl(t->dev, exp + PCI_EXP_DEVCAP2) &
             PCI_EXP_DEVCAP2_EE_PREFIX);
    g_assert_cmphex(qtest_readw(t->qts, pasid + PCI_PASID_CAP), ==,
                    20 << 8 | PCI_PASID_CAP_PRIV);
    g_assert(qtest_readw(t->qts, ats + PCI_ATS_CAP) &
             PCI_ATS_CAP_PAGE_ALIGNED);
    g_assert_cmpuint(qtest_readl(t->qts, pri + PCI_PRI_MAX_REQ), ==, 512);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);

    /* Reset reads 0; Stopped follows Enable */
    pri_ctrl(t, PCI_PRI_CTRL_RESET);
    g_assert_cmphex(qtest_readw(t->qts, pri + PCI_PRI_CTRL), ==, 0);
    pri_ctrl(t, PCI_PRI_CTRL_ENABLE);
    g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);
    pri_ctrl(t, 0);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);

    /* A function level reset disables all three */
    dsa_pasid_enable(t);
    dsa_ats_enable(t, true);
    dsa_pri_enable(t, 7);
    dsa_flr(t);
    g_assert_cmphex(qtest_readw(t->qts, pasid + PCI_PASID_CTRL), ==, 0);
    g_assert_cmphex(qtest_readw(t->qts, ats + PCI_ATS_CTRL), ==, 0);
    g_assert_cmphex(qtest_readw(t->qts, pri + PCI_PRI_CTRL), ==, 0);
    g_assert_cmphex(qtest_readl(t->qts, pri + PCI_PRI_ALLOC_REQ), ==, 0);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);

    /* 5.1: an allocation of nothing, or of too much */
    dsa_pri_enable(t, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_PRS_ALLOC);
    qtest_writel(t->qts, pri + PCI_PRI_ALLOC_REQ, 513);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_PRS_ALLOC);
    qtest_writel(t->qts, pri + PCI_PRI_ALLOC_REQ, 512);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    dsa_stop(t);

    t = dsa_start(VTD_DEV DSA_DEV ",ats=off");
    g_assert(dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID));
    g_assert(!dsa_ext_cap(t, PCI_EXT_CAP_ID_ATS));
    g_assert(!dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI));
    g_assert_cmpuint(FIELD_EX64(dsa_readq(t, A_GENCAP), GENCAP, BLOCK_ON_FAULT),
                     ==, 0);
    dsa_stop(t);
    t = dsa_start(VTD_DEV DSA_DEV ",pasid=off,pasid-priv=off");
    g_assert(!dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID));
    g_assert(!dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI));
    dsa_stop(t);
}

/* Table 5-1: what must not change while the device is enabled halts it */
static void test_locked_controls(void)
{
    static const struct {
        uint16_t cap;
        int offset;
    } ctrl[] = {
        { PCI_EXT_CAP_ID_PASID, PCI_PASID_CTRL },
        { PCI_EXT_CAP_ID_ATS, PCI_ATS_CTRL },
        { PCI_EXT_CAP_ID_PRI, PCI_PRI_CTRL },
    };
    DSATest *t = start();

    for (int i = 0; i < ARRAY_SIZE(ctrl); i++) {
        uint64_t addr = dsa_ext_cap(t, ctrl[i].cap) + ctrl[i].offset;

        dsa_enable(t, &dwq, NULL);
        /* The same once more is no change */
        qtest_writew(t->qts, addr, qtest_readw(t->qts, addr));
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
        qtest_writew(t->qts, addr, 0);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==,
                        DSA_CMDSTS_HW_ERR);
        g_assert_cmphex(FIELD_EX32(dsa_readl(t, A_GENSTS), GENSTS, STATE), ==,
                        DSA_STATE_HALT);
        g_assert_cmphex(FIELD_EX64(dsa_readq(t, A_SWERR0), SWERR0, ERROR), ==,
                        DSA_SWERR_PCI_CFG);
        dsa_flr(t);
        dsa_pasid_enable(t);
        dsa_ats_enable(t, true);
        dsa_pri_enable(t, 32);
    }
    dsa_stop(t);
}

static void invalidate_iotlb(DSATest *t, DSAPgtt pgtt)
{
    vtd_invalidate(t, pgtt == PGTT_FL ? VTD_INV_PIOTLB(DID, PASID) :
                                        VTD_INV_IOTLB_DOMAIN(DID), 0);
}

/*
 * The mapping changes and the IOTLB is invalidated, but the device TLB is not:
 * the old page is written.  After each kind of invalidation that covers it the
 * new one is, after those that do not cover it the old one still.
 */
static void test_stale(const void *data)
{
    DSAPgtt pgtt = GPOINTER_TO_INT(data);
    static const struct {
        uint64_t lo, hi;
        bool hits;
    } inv[] = {
        { VTD_INV_DEV_PASID(PASID), VTD_INV_DEV_PASID_ALL, true },
        /* Four pages from there */
        { VTD_INV_DEV_PASID(PASID), IOVA_DST | VTD_INV_DEV_PASID_S | 0x1000,
          true },
        { VTD_INV_DEV_PASID(0x777),
          VTD_INV_DEV_PASID_ALL | VTD_INV_DEV_PASID_GLOBAL, true },
        { VTD_INV_DEV_PASID(PASID + 1), VTD_INV_DEV_PASID_ALL },
        { VTD_INV_DEV_PASID(PASID), IOVA_SRC | VTD_INV_DEV_PASID_S | 0x1000 },
        { VTD_INV_DEV, VTD_INV_DEV_ALL },
    };
    const uint64_t dst[] = { DSA_MEM_DST, DSA_MEM_AUX };
    DSATest *t = start();
    uint64_t root = space(t, pgtt, dst[0]);
    DSADesc d = iova_move(0);
    int now = 0;

    vtd_set_pasid(t, PASID, pgtt, DID, root);
    dsa_enable(t, &dwq, NULL);
    move_and_check(t, 0, dst[0], 1);

    for (int i = 0; i < ARRAY_SIZE(inv); i++) {
        now = !now;
        vtd_map(t, pgtt, root, IOVA_DST, dst[now], LEN);
        invalidate_iotlb(t, pgtt);

        /* Left out: stale */
        qtest_memset(t->qts, dst[0], 0, LEN);
        qtest_memset(t->qts, dst[1], 0, LEN);
        submit(t, 0, &d);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                        DSA_STATUS_SUCCESS);
        dsa_assert_equal(t, DSA_MEM_SRC, dst[!now], LEN);
        g_assert_cmphex(qtest_readb(t->qts, dst[now]), ==, 0);

        vtd_invalidate(t, inv[i].lo, inv[i].hi);
        move_and_check(t, 0, inv[i].hits ? dst[now] : dst[!now], i);
        if (!inv[i].hits) {
            vtd_invalidate(t, inv[0].lo, inv[0].hi);
            move_and_check(t, 0, dst[now], i);
        }
    }

    /* One page of it */
    vtd_map(t, pgtt, root, IOVA_DST, dst[!now], LEN);
    invalidate_iotlb(t, pgtt);
    vtd_invalidate(t, VTD_INV_DEV_PASID(PASID), IOVA_DST + 4096);
    qtest_memset(t->qts, dst[0], 0, LEN);
    qtest_memset(t->qts, dst[1], 0, LEN);
    submit(t, 0, &d);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, dst[now], 4096);
    dsa_assert_equal(t, DSA_MEM_SRC + 4096, dst[!now] + 4096, 4096);
    dsa_assert_equal(t, DSA_MEM_SRC + 8192, dst[now] + 8192, 4096);
    dsa_stop(t);
}

/* Requests without PASID have translations of their own */
static void test_stale_no_pasid(void)
{
    static const DSAWQConfig plain = { .size = 16 };
    DSATest *t = start();
    uint64_t root = space(t, PGTT_SL, DSA_MEM_DST);

    /* RID_PASID is 0 */
    vtd_set_pasid(t, 0, PGTT_SL, DID, root);
    dsa_enable(t, &plain, NULL);
    move_and_check(t, 0, DSA_MEM_DST, 1);

    vtd_map(t, PGTT_SL, root, IOVA_DST, DSA_MEM_AUX, LEN);
    vtd_invalidate(t, VTD_INV_IOTLB_DOMAIN(DID), 0);
    vtd_invalidate(t, VTD_INV_DEV_PASID(0), VTD_INV_DEV_PASID_ALL);
    vtd_invalidate(t, VTD_INV_DEV_PASID(0),
                   VTD_INV_DEV_PASID_ALL | VTD_INV_DEV_PASID_GLOBAL);
    move_and_check(t, 0, DSA_MEM_DST, 2);

    vtd_invalidate(t, VTD_INV_DEV, VTD_INV_DEV_ALL);
    move_and_check(t, 0, DSA_MEM_AUX, 3);
    dsa_stop(t);
}

/* WQCFG.ATS_DISABLE: nothing of that WQ is in the device TLB */
static void test_ats_disable(void)
{
    DSAWQConfig no_ats = dwq;
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, DSA_MEM_DST);

    no_ats.ats_disable = true;
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &no_ats, &dwq);
    move_and_check(t, 0, DSA_MEM_DST, 1);
    move_and_check(t, 1, DSA_MEM_DST, 2);

    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_AUX, LEN);
    invalidate_iotlb(t, PGTT_FL);
    move_and_check(t, 0, DSA_MEM_AUX, 3);
    move_and_check(t, 1, DSA_MEM_DST, 4);
    dsa_stop(t);
}

/* What empties the device TLB, other than an invalidation */
static void test_dropped(void)
{
    const uint64_t dst[] = { DSA_MEM_DST, DSA_MEM_AUX };
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, dst[1]);

    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    for (int i = 0; i < 4; i++) {
        dsa_enable(t, &dwq, NULL);
        move_and_check(t, 0, dst[(i + 1) % 2], i);
        vtd_map(t, PGTT_FL, root, IOVA_DST, dst[i % 2], LEN);
        invalidate_iotlb(t, PGTT_FL);

        /* Not a disable */
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
        dsa_enable(t, &dwq, NULL);
        move_and_check(t, 0, dst[(i + 1) % 2], i);

        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
        switch (i) {
        case 0:
            g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
            break;
        case 1:
            dsa_ats_enable(t, false);
            dsa_ats_enable(t, true);
            break;
        case 2:
            qtest_writew(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID) +
                                 PCI_PASID_CTRL, 0);
            dsa_pasid_enable(t);
            break;
        default:
            dsa_flr(t);
            dsa_pasid_enable(t);
            dsa_ats_enable(t, true);
            dsa_pri_enable(t, 32);
            break;
        }
        dsa_enable(t, &dwq, NULL);
        move_and_check(t, 0, dst[i % 2], i);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
    }
    dsa_stop(t);
}

/*
 * A device that does not answer invalidations, because it was told to or is in
 * a function level reset, and goes on with what it has
 */
static void test_silent(void)
{
    DSATest *t = start_with("-device intel-iommu,x-scalable-mode=on,x-flts=on,"
                            "x-slts=on,x-pasid-mode=on,x-pss=19,"
                            "device-iotlb=on,x-inv-timeout=on "
                            DSA_DEV ",x-test=on,x-flr-ms=1000");
    uint64_t ctrl = dsa_ext_cap(t, PCI_EXT_CAP_ID_VNDR) + INTEL_DSA_TEST_CTRL;
    uint64_t root = space(t, PGTT_FL, DSA_MEM_DST);

    qtest_clock_step(t->qts, 1000 * 1000 * 1000);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &dwq, NULL);
    move_and_check(t, 0, DSA_MEM_DST, 1);
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_AUX, LEN);
    invalidate_iotlb(t, PGTT_FL);

    qtest_writel(t->qts, ctrl, INTEL_DSA_TEST_SILENT);
    vtd_queue(t, VTD_INV_DEV_PASID(PASID), VTD_INV_DEV_PASID_ALL);
    g_assert_true(vtd_timed_out(t));
    move_and_check(t, 0, DSA_MEM_DST, 2);

    qtest_writel(t->qts, ctrl, 0);
    vtd_invalidate(t, VTD_INV_DEV_PASID(PASID), VTD_INV_DEV_PASID_ALL);
    move_and_check(t, 0, DSA_MEM_AUX, 3);

    /* The reset ends what a test asked for, and takes its time */
    qtest_writel(t->qts, ctrl, INTEL_DSA_TEST_SILENT);
    dsa_flr(t);
    g_assert_cmphex(qtest_readl(t->qts, ctrl), ==, 0);
    vtd_queue(t, VTD_INV_DEV, VTD_INV_DEV_ALL);
    g_assert_true(vtd_timed_out(t));
    qtest_clock_step(t->qts, 1000 * 1000 * 1000);
    vtd_invalidate(t, VTD_INV_DEV, VTD_INV_DEV_ALL);
    dsa_stop(t);
}

/* The device TLB has an end: old translations make place for new ones */
static void test_bounded(void)
{
    DSATest *t = start_with(VTD_DEV DSA_DEV ",atc-entries=4");
    uint64_t root = space(t, PGTT_FL, DSA_MEM_DST);
    DSADesc d = dsa_desc(DSA_OP_FILL, 0, 0, IOVA_LIST, 64 * 4096);

    vtd_map(t, PGTT_FL, root, IOVA_LIST, DSA_MEM_BIG, 64 * 4096);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &dwq, NULL);
    move_and_check(t, 0, DSA_MEM_DST, 1);

    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_AUX, LEN);
    invalidate_iotlb(t, PGTT_FL);
    stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR);
    submit(t, 0, &d);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    move_and_check(t, 0, DSA_MEM_AUX, 2);
    dsa_stop(t);
}

/*
 * Pages that only a supervisor may use.  The translation that a privileged
 * request has put into the device TLB is not one for the others.
 */
static void test_privilege(const void *data)
{
    bool ats = GPOINTER_TO_INT(data);
    DSAWQConfig kernel = dwq, user = dwq;
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, 0);
    DSADesc d = iova_move(0);
    DSARecord r;

    kernel.priv = true;
    kernel.ats_disable = user.ats_disable = !ats;
    vtd_map_supervisor(t, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    vtd_set_pasid_sre(t, PASID);
    dsa_enable(t, &kernel, &user);

    move_and_check(t, 0, DSA_MEM_DST, 1);
    submit(t, 1, &d);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_PAGE_FAULT | DSA_CR_STATUS_WRITE);
    g_assert_cmphex(r.fault & ~4095ull, ==, IOVA_DST);
    move_and_check(t, 0, DSA_MEM_DST, 2);
    dsa_stop(t);
}

/* ENQCMDS can ask for privilege, if the capability allows it */
static void test_shared_privilege(void)
{
    DSAWQConfig swq = dwq;
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, 0);
    DSADesc d = iova_move(0);
    uint64_t err;

    swq.shared = true;
    swq.threshold = 16;
    vtd_map_supervisor(t, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    vtd_set_pasid_sre(t, PASID);
    dsa_enable(t, &swq, NULL);
    dsa_fill_pattern(t, DSA_MEM_SRC, LEN, 3);

    for (int priv = 0; priv < 2; priv++) {
        stl_le_p(d.b + DSA_DESC_DW0, PASID | (uint32_t)priv << 31);
        qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
        g_assert_cmpint(dsa_submit(t, 0, false, &d), ==, 0);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, priv ?
                        DSA_STATUS_SUCCESS :
                        DSA_STATUS_PAGE_FAULT | DSA_CR_STATUS_WRITE);
    }
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);

    /* Without it the error is in SWERROR, and no record is written */
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
    qtest_writew(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID) + PCI_PASID_CTRL,
                 PCI_PASID_CTRL_ENABLE);
    dsa_enable(t, &swq, NULL);
    qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
    g_assert_cmpint(dsa_submit(t, 0, false, &d), ==, 0);
    err = dsa_wait_swerr(t);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_PRIV);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, PRIV), ==, 1);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, PASID), ==, PASID);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);
    dsa_stop(t);
}

/* A device with a queue whose descriptors may block, and a hole at IOVA_DST */
static DSATest *start_hole(uint64_t *root, const DSAWQConfig *wq1)
{
    DSAWQConfig bof = dwq;
    DSATest *t = start();

    bof.bof = true;
    *root = space(t, PGTT_FL, 0);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, *root);
    dsa_enable(t, &bof, wq1);
    dsa_fill_pattern(t, DSA_MEM_SRC, LEN, 7);
    return t;
}

/* Without Block on Fault: partial completion, and nobody is asked */
static void test_no_block(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(0);
    DSARecord r;

    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, 4096);
    submit(t, 0, &d);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_PAGE_FAULT | DSA_CR_STATUS_WRITE);
    g_assert_cmphex(r.fault, ==, IOVA_DST + 4096);
    g_assert_cmpuint(r.bytes, ==, 4096);

    stq_le_p(d.b + DSA_DESC_SRC, IOVA_LIST);
    submit(t, 0, &d);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_PAGE_FAULT);
    g_assert_cmphex(r.fault, ==, IOVA_LIST);
    g_assert_cmpuint(r.bytes, ==, 0);
    no_page_request(t);
    dsa_stop(t);
}

/* Where blocking is not configured it cannot be asked for */
static void test_block_config(void)
{
    static const DSAWQConfig bof = { .size = 16, .bof = true };
    DSATest *t = dsa_start(VTD_DEV DSA_DEV);
    DSADesc d = dsa_desc(DSA_OP_NOOP, DSA_FLAG_BOF, 0, 0, 0);

    dsa_writeq(t, dsa_grpcfg(t, 0) + DSA_GRPCFG_WQS, 1);
    dsa_writeq(t, dsa_grpcfg(t, 0) + DSA_GRPCFG_ENGINES, 1);
    dsa_configure_wq(t, 0, &bof);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, DSA_CMDSTS_WQ_BOF);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
    dsa_pri_enable(t, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);

    /* Some operations never block */
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_INVALID_FLAGS);
    d = dsa_desc(DSA_OP_MEMMOVE, DSA_FLAG_BOF, DSA_MEM_SRC, DSA_MEM_DST, 64);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0), ==, 0);
    dsa_configure_wq(t, 0, &(DSAWQConfig) { .size = 16 });
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_INVALID_FLAGS);
    dsa_stop(t);
}

/* With it: nothing happens until the page is there, then it goes on */
static void test_block(void)
{
    DSAWQConfig other = dwq;
    uint64_t root;
    DSADesc noop = dsa_desc(DSA_OP_NOOP, 0, 0, 0, 0);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;
    DSARecord r;
    DSATest *t;

    other.group = 1;
    t = start_hole(&root, &other);
    submit(t, 0, &d);

    for (int i = 0; i < 3; i++) {
        req = vtd_wait_page_request(t);
        g_assert_cmphex(req.pasid, ==, PASID);
        g_assert_cmphex(req.addr, ==, IOVA_DST + i * 4096);
        g_assert(req.write && !req.read && req.last && !req.priv);
        no_page_request(t);
        g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);

        /* An engine of another group works on */
        stq_le_p(noop.b + DSA_DESC_CR_ADDR, IOVA_CR + 64);
        qtest_memset(t->qts, DSA_MEM_CR + 64, 0, DSA_CR_SIZE);
        g_assert_cmpint(dsa_submit(t, 1, true, &noop), ==, 0);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR + 64).status, ==,
                        DSA_STATUS_SUCCESS);

        vtd_map(t, PGTT_FL, root, req.addr,
                DSA_MEM_DST + (req.addr - IOVA_DST), 4096);
        vtd_page_response(t, PASID, req.prgi, SUCCESS);
    }
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.bytes, ==, LEN);
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);
    g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);

    /* The same for a read */
    stq_le_p(d.b + DSA_DESC_SRC, IOVA_LIST);
    stl_le_p(d.b + DSA_DESC_XFER_SIZE, 100);
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    g_assert_cmphex(req.addr, ==, IOVA_LIST);
    g_assert(req.read && !req.write);
    vtd_map(t, PGTT_FL, root, IOVA_LIST, DSA_MEM_AUX, 4096);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    dsa_stop(t);
}

/* Every operation that may block does the same with and without a fault */
static void test_block_operations(void)
{
    static const uint8_t ops[] = {
        DSA_OP_MEMMOVE, DSA_OP_FILL, DSA_OP_COMPARE, DSA_OP_COMPVAL,
        DSA_OP_CREATE_DELTA, DSA_OP_APPLY_DELTA, DSA_OP_DUALCAST,
        DSA_OP_CRCGEN, DSA_OP_COPY_CRC, DSA_OP_CFLUSH,
    };
    const uint64_t iova[] = { IOVA_SRC, IOVA_DST, IOVA_LIST };
    const uint64_t mem[] = { DSA_MEM_SRC, DSA_MEM_DST, DSA_MEM_AUX };
    DSAWQConfig bof = dwq;
    DSATest *t = start();
    uint64_t root;

    bof.bof = true;
    dsa_enable(t, &bof, NULL);
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        DSARecord whole = { 0 }, r;
        g_autofree uint8_t *out = g_malloc(3 * LEN);
        g_autofree uint8_t *again = g_malloc(3 * LEN);
        unsigned asked = 0;

        for (int hole = 0; hole < 2; hole++) {
            DSADesc d = dsa_desc(ops[i], DSA_FLAG_BOF, IOVA_SRC, IOVA_DST,
                                 LEN - 8);
            DSAPageRequest req;

            stl_le_p(d.b + DSA_DESC_DW0, PASID);
            stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR);
            for (int j = 0; j < 3; j++) {
                dsa_fill_pattern(t, mem[j], LEN, 3);
            }
            switch (ops[i]) {
            case DSA_OP_CRCGEN:
            case DSA_OP_CFLUSH:
            case DSA_OP_COMPVAL:
                stq_le_p(d.b + (ops[i] == DSA_OP_CFLUSH ? DSA_DESC_SRC :
                                DSA_DESC_DST), 0);
                qtest_memset(t->qts, DSA_MEM_SRC, 0, LEN);
                break;
            case DSA_OP_CREATE_DELTA:
                dsa_fill_pattern(t, DSA_MEM_SRC, LEN, 4);
                stq_le_p(d.b + DSA_DESC_DELTA_ADDR, IOVA_LIST);
                stl_le_p(d.b + DSA_DESC_MAX_DELTA, 8000);
                break;
            case DSA_OP_APPLY_DELTA:
                for (int j = 0; j < 1000; j++) {
                    qtest_writew(t->qts, DSA_MEM_SRC + j * 10, j + 500);
                }
                stl_le_p(d.b + DSA_DESC_DELTA_SIZE, 10000);
                break;
            case DSA_OP_DUALCAST:
                stq_le_p(d.b + DSA_DESC_DST2, IOVA_LIST);
                break;
            }

            root = vtd_page(t);
            vtd_map(t, PGTT_FL, root, IOVA_CR, DSA_MEM_CR, 4096);
            for (int j = 0; j < 3 && !hole; j++) {
                vtd_map(t, PGTT_FL, root, iova[j], mem[j], LEN);
            }
            vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
            vtd_invalidate(t, VTD_INV_PASID_CACHE(DID, PASID), 0);
            invalidate_iotlb(t, PGTT_FL);
            vtd_invalidate(t, VTD_INV_DEV_PASID(PASID), VTD_INV_DEV_PASID_ALL);

            submit(t, 0, &d);
            while (!qtest_readb(t->qts, DSA_MEM_CR)) {
                if (vtd_page_request(t, &req)) {
                    for (int j = 0; j < 3; j++) {
                        if (req.addr - iova[j] < LEN) {
                            vtd_map(t, PGTT_FL, root, req.addr,
                                    mem[j] + (req.addr - iova[j]), 4096);
                        }
                    }
                    asked++;
                    vtd_page_response(t, PASID, req.prgi, SUCCESS);
                }
            }
            r = dsa_wait(t, DSA_MEM_CR);
            for (int j = 0; j < 3; j++) {
                qtest_memread(t->qts, mem[j], again + j * LEN, LEN);
            }
            if (hole) {
                g_assert_cmpuint(asked, >=, 3);
                g_assert_cmpmem(&r, sizeof(r), &whole, sizeof(whole));
                g_assert_cmpmem(again, 3 * LEN, out, 3 * LEN);
            } else {
                g_assert_cmpuint(asked, ==, 0);
                g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
                memcpy(&whole, &r, sizeof(r));
                memcpy(out, again, 3 * LEN);
            }
        }
    }
    dsa_stop(t);
}

/* The page does not come */
static void test_denied(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;
    DSARecord r;

    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, 4096);
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_PAGE_DENIED | DSA_CR_STATUS_WRITE);
    g_assert_cmphex(r.fault, ==, IOVA_DST + 4096);
    g_assert_cmpuint(r.bytes, ==, 4096);
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);

    /* A failure ends page requests altogether, until they are enabled again */
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_page_response(t, PASID, req.prgi, FAILURE);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                    DSA_STATUS_TRANSLATION);
    g_assert_cmphex(FIELD_EX64(dsa_wait_swerr(t), SWERR0, ERROR), ==,
                    DSA_STATUS_TRANSLATION);
    g_assert(pri_status(t) & PCI_PRI_STATUS_RF);
    submit(t, 0, &d);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                    DSA_STATUS_PAGE_FAULT | DSA_CR_STATUS_WRITE);
    no_page_request(t);

    g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
    pri_ctrl(t, 0);
    dsa_pri_enable(t, 8);
    g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);
    dsa_stop(t);
}

/* Success, but still no page: asked again, though not for ever */
static void test_retries(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    unsigned asked = 0;
    DSAPageRequest req;

    submit(t, 0, &d);
    for (int i = 0; i < 5; i++) {
        req = vtd_wait_page_request(t);
        g_assert_cmphex(req.addr, ==, IOVA_DST);
        vtd_page_response(t, PASID, req.prgi, SUCCESS);
    }
    req = vtd_wait_page_request(t);
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);

    stq_le_p(d.b + DSA_DESC_SRC, IOVA_LIST);
    submit(t, 0, &d);
    while (!qtest_readb(t->qts, DSA_MEM_CR)) {
        if (vtd_page_request(t, &req)) {
            g_assert_cmpuint(++asked, <, 10000);
            vtd_page_response(t, PASID, req.prgi, SUCCESS);
        }
    }
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==,
                    DSA_STATUS_PAGE_DENIED);
    g_assert_cmpuint(asked, >, 100);
    dsa_stop(t);
}

/*
 * A queue that is full: VT-d answers success in its place, and the page is asked
 * for until it is there, or too often
 */
static void test_overflow(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;

    vtd_page_queue_full(t, true);
    submit(t, 0, &d);
    for (int i = 0; i < 20; i++) {
        g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);
    }
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, LEN);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);

    stq_le_p(d.b + DSA_DESC_SRC, IOVA_LIST);
    submit(t, 0, &d);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                    DSA_STATUS_PAGE_DENIED);
    g_assert(!(pri_status(t) & (PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI)));

    vtd_page_queue_full(t, false);
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                    DSA_STATUS_PAGE_DENIED);
    dsa_stop(t);
}

/* 3.13.2: completion records block whatever Block on Fault says */
static void test_record(void)
{
    DSATest *t = start();
    uint64_t root = vtd_page(t);
    DSADesc d = iova_move(0);
    DSAPageRequest req;
    uint64_t err;

    vtd_map(t, PGTT_FL, root, IOVA_SRC, DSA_MEM_SRC, LEN);
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &dwq, NULL);
    dsa_fill_pattern(t, DSA_MEM_SRC, LEN, 1);

    /* Denied: the record is lost, and SWERROR says so */
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    g_assert_cmphex(req.addr, ==, IOVA_CR);
    g_assert(req.write && !req.read);
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    err = dsa_wait_swerr(t);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_CR_XLAT);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, FAULT_WRITE), ==, 1);
    g_assert_cmphex(dsa_readq(t, A_SWERR2) & ~4095ull, ==, IOVA_CR);
    dsa_writeq(t, A_SWERR0, 3);

    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_map(t, PGTT_FL, root, IOVA_CR, DSA_MEM_CR, 4096);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    g_assert(!FIELD_EX64(dsa_readq(t, A_SWERR0), SWERR0, VALID));
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, LEN);
    dsa_stop(t);
}

/* So do the lists of batches, and the records of what is in them */
static void test_batch(void)
{
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, DSA_MEM_DST);
    DSADesc b = dsa_desc(DSA_OP_BATCH, 0, IOVA_LIST, 0, 3);
    DSADesc d = iova_move(0);
    DSAPageRequest req;
    DSARecord r;

    stq_le_p(b.b + DSA_DESC_CR_ADDR, IOVA_CR);
    for (int i = 0; i < 3; i++) {
        stq_le_p(d.b + DSA_DESC_CR_ADDR,
                 i == 1 ? IOVA_LIST + 4096 : IOVA_CR + (i + 1) * DSA_CR_SIZE);
        qtest_memwrite(t->qts, DSA_MEM_LIST + i * DSA_DESC_SIZE, d.b,
                       DSA_DESC_SIZE);
    }
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &dwq, NULL);

    submit(t, 0, &b);
    req = vtd_wait_page_request(t);
    g_assert_cmphex(req.addr, ==, IOVA_LIST);
    g_assert(req.read && !req.write);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_BATCH_PAGE_FAULT);
    g_assert_cmphex(r.fault, ==, IOVA_LIST);
    g_assert_cmpuint(r.bytes, ==, 0);

    submit(t, 0, &b);
    req = vtd_wait_page_request(t);
    vtd_map(t, PGTT_FL, root, IOVA_LIST, DSA_MEM_LIST, 4096);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    req = vtd_wait_page_request(t);
    g_assert_cmphex(req.addr, ==, IOVA_LIST + 4096);
    g_assert(req.write && !req.read);
    vtd_map(t, PGTT_FL, root, IOVA_LIST + 4096, DSA_MEM_AUX, 4096);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    r = dsa_wait(t, DSA_MEM_CR);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.bytes, ==, 3);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_AUX), ==, DSA_STATUS_SUCCESS);
    dsa_stop(t);
}

/* Answers to what was not asked do no harm */
static void test_stale_response(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;

    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_page_response(t, PASID, (req.prgi + 1) % 512, SUCCESS);
    vtd_page_response(t, PASID, (req.prgi + 1) % 512, FAILURE);
    vtd_page_response(t, PASID + 1, req.prgi, INVALID);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_UPRGI);
    for (int i = 0; i < 100; i++) {
        g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);
    }
    qtest_writew(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI) + PCI_PRI_STATUS,
                 PCI_PRI_STATUS_UPRGI);
    g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);

    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_UPRGI);
    dsa_stop(t);
}

/* No more requests are outstanding than were allocated */
static void test_allocation(void)
{
    DSAWQConfig bof[2] = { dwq, dwq };
    DSATest *t = start();
    uint64_t root = space(t, PGTT_FL, 0);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;

    bof[0].bof = bof[1].bof = true;
    bof[1].group = 1;
    pri_ctrl(t, 0);
    dsa_pri_enable(t, 1);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, root);
    dsa_enable(t, &bof[0], &bof[1]);

    stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR + 64);
    qtest_memset(t->qts, DSA_MEM_CR, 0, 128);
    submit(t, 1, &d);
    req = vtd_wait_page_request(t);
    stq_le_p(d.b + DSA_DESC_CR_ADDR, IOVA_CR);
    submit(t, 0, &d);
    no_page_request(t);

    vtd_page_response(t, PASID, req.prgi, INVALID);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR + 64).status, ==,
                    DSA_STATUS_PAGE_DENIED | DSA_CR_STATUS_WRITE);
    req = vtd_wait_page_request(t);
    vtd_page_response(t, PASID, req.prgi, INVALID);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                    DSA_STATUS_PAGE_DENIED | DSA_CR_STATUS_WRITE);
    dsa_stop(t);
}

/* Drain waits for a blocked descriptor, but Drain PASID not for another's */
static void test_drain(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    static const struct {
        unsigned code;
        uint32_t operand;
    } cmd[] = {
        { DSA_CMD_DRAIN_ALL }, { DSA_CMD_DRAIN_WQ, 1 },
        { DSA_CMD_DRAIN_PASID, PASID }, { DSA_CMD_DISABLE_WQ, 1 },
    };
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;

    for (int i = 0; i < ARRAY_SIZE(cmd); i++) {
        /* The second one is still in the queue */
        submit(t, 0, &d);
        submit(t, 0, &d);
        req = vtd_wait_page_request(t);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_PASID, PASID + 1), ==, 0);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_ABORT_PASID, PASID + 1), ==, 0);

        dsa_writel(t, A_CMD, cmd[i].code << R_CMD_CODE_SHIFT | cmd[i].operand);
        for (int j = 0; j < 200; j++) {
            g_assert(dsa_cmd_active(t));
        }
        vtd_page_response(t, PASID, req.prgi, INVALID);
        req = vtd_wait_page_request(t);
        for (int j = 0; j < 200; j++) {
            g_assert(dsa_cmd_active(t));
        }
        vtd_page_response(t, PASID, req.prgi, INVALID);
        while (dsa_cmd_active(t)) {
            ;
        }
        g_assert_cmphex(dsa_readl(t, A_CMDSTS), ==, 0);
        g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==,
                        DSA_STATUS_PAGE_DENIED | DSA_CR_STATUS_WRITE);
    }
    dsa_stop(t);
}

/*
 * An abort gives the descriptor up.  Its request stays outstanding, so that
 * the late answer can do no harm to a new one.
 */
static void test_abort(void)
{
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    static const struct {
        unsigned code;
        uint32_t operand;
    } cmd[] = {
        { DSA_CMD_ABORT_ALL }, { DSA_CMD_ABORT_WQ, 1 },
        { DSA_CMD_ABORT_PASID, PASID }, { DSA_CMD_RESET_WQ, 1 },
        /* It has nothing to wait for in a queue that has started over */
        { DSA_CMD_ABORT_PASID, PASID }, { DSA_CMD_RESET_DEVICE },
    };
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAWQConfig bof = dwq;
    DSAPageRequest req, late;

    bof.bof = true;
    for (int i = 0; i < ARRAY_SIZE(cmd); i++) {
        submit(t, 0, &d);
        late = vtd_wait_page_request(t);
        submit(t, 0, &d);
        g_assert_cmphex(dsa_cmd(t, cmd[i].code, cmd[i].operand), ==, 0);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);

        if (cmd[i].code == DSA_CMD_RESET_DEVICE) {
            /* Not stopped before the answer is there */
            pri_ctrl(t, 0);
            g_assert(!(pri_status(t) & PCI_PRI_STATUS_STOPPED));
            vtd_page_response(t, PASID, late.prgi, SUCCESS);
            g_assert_cmphex(pri_status(t), ==,
                            PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
            break;
        }
        if (cmd[i].code == DSA_CMD_RESET_WQ) {
            dsa_configure_wq(t, 0, &bof);
            g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);
        }
        submit(t, 0, &d);
        req = vtd_wait_page_request(t);
        g_assert_cmphex(req.prgi, !=, late.prgi);
        vtd_page_response(t, PASID, late.prgi, INVALID);
        for (int j = 0; j < 100; j++) {
            g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);
        }
        g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);
        vtd_page_response(t, PASID, req.prgi, INVALID);
        g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==,
                        DSA_STATUS_PAGE_DENIED | DSA_CR_STATUS_WRITE);
    }
    dsa_stop(t);
}

/* A function level reset while a request is outstanding */
static void test_reset(void)
{
    DSAWQConfig bof = dwq;
    uint64_t root;
    DSATest *t = start_hole(&root, NULL);
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAPageRequest req;

    bof.bof = true;
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    dsa_flr(t);
    g_assert_cmphex(pri_status(t), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert(pri_status(t) & PCI_PRI_STATUS_UPRGI);

    dsa_pasid_enable(t);
    dsa_ats_enable(t, true);
    dsa_pri_enable(t, 32);
    g_assert_cmphex(pri_status(t), ==, PCI_PRI_STATUS_PASID);
    dsa_enable(t, &bof, NULL);
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);
    vtd_map(t, PGTT_FL, root, IOVA_DST, DSA_MEM_DST, LEN);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    g_assert_cmphex(dsa_wait(t, DSA_MEM_CR).status, ==, DSA_STATUS_SUCCESS);
    dsa_stop(t);
}

/* The device goes; then come an answer and an invalidation for it */
static void test_unplug(void)
{
    DSATest *t = dsa_start_behind_port(VTD_DEV
                                       "-device pcie-root-port,id=rp0,addr=6 "
                                       "-device intel-dsa,id=dsa0,bus=rp0");
    DSADesc d = iova_move(DSA_FLAG_BOF);
    DSAWQConfig bof = dwq;
    DSAPageRequest req;

    vtd_enable_ats(t);
    dsa_pasid_enable(t);
    dsa_ats_enable(t, true);
    dsa_pri_enable(t, 32);
    vtd_set_pasid(t, PASID, PGTT_FL, DID, space(t, PGTT_FL, 0));
    bof.bof = true;
    dsa_enable(t, &bof, NULL);
    submit(t, 0, &d);
    req = vtd_wait_page_request(t);

    g_assert_cmphex(qtest_readl(t->qts, dsa_config(t, 0)), ==,
                    INTEL_DSA_DEVICE_ID << 16 | PCI_VENDOR_ID_INTEL);
    dsa_unplug_port(t);
    g_assert_cmphex(qtest_readl(t->qts, dsa_config(t, 0)), ==, UINT32_MAX);
    vtd_page_response(t, PASID, req.prgi, SUCCESS);
    vtd_invalidate(t, VTD_INV_DEV_PASID(PASID) ^
                      (uint64_t)(QPCI_DEVFN(DSA_SLOT, 0) ^ t->sid) << 16,
                   VTD_INV_DEV_PASID_ALL);
    dsa_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-dsa/ats/capabilities", test_capabilities);
    qtest_add_func("/intel-dsa/ats/locked-controls", test_locked_controls);
    qtest_add_data_func("/intel-dsa/ats/stale/first-level",
                        GINT_TO_POINTER(PGTT_FL), test_stale);
    qtest_add_data_func("/intel-dsa/ats/stale/second-level",
                        GINT_TO_POINTER(PGTT_SL), test_stale);
    qtest_add_func("/intel-dsa/ats/stale/no-pasid", test_stale_no_pasid);
    qtest_add_func("/intel-dsa/ats/wq-ats-disable", test_ats_disable);
    qtest_add_func("/intel-dsa/ats/dropped", test_dropped);
    qtest_add_func("/intel-dsa/ats/silent", test_silent);
    qtest_add_func("/intel-dsa/ats/bounded", test_bounded);
    qtest_add_data_func("/intel-dsa/ats/privilege/untranslated",
                        GINT_TO_POINTER(0), test_privilege);
    qtest_add_data_func("/intel-dsa/ats/privilege/translated",
                        GINT_TO_POINTER(1), test_privilege);
    qtest_add_func("/intel-dsa/ats/privilege/shared", test_shared_privilege);
    qtest_add_func("/intel-dsa/prs/no-block", test_no_block);
    qtest_add_func("/intel-dsa/prs/config", test_block_config);
    qtest_add_func("/intel-dsa/prs/block", test_block);
    qtest_add_func("/intel-dsa/prs/operations", test_block_operations);
    qtest_add_func("/intel-dsa/prs/denied", test_denied);
    qtest_add_func("/intel-dsa/prs/retries", test_retries);
    qtest_add_func("/intel-dsa/prs/overflow", test_overflow);
    qtest_add_func("/intel-dsa/prs/record", test_record);
    qtest_add_func("/intel-dsa/prs/batch", test_batch);
    qtest_add_func("/intel-dsa/prs/stale-response", test_stale_response);
    qtest_add_func("/intel-dsa/prs/allocation", test_allocation);
    qtest_add_func("/intel-dsa/prs/drain", test_drain);
    qtest_add_func("/intel-dsa/prs/abort", test_abort);
    qtest_add_func("/intel-dsa/prs/reset", test_reset);
    qtest_add_func("/intel-dsa/prs/unplug", test_unplug);

    return g_test_run();
}
