/*
 * QTest of what vtd-testdev does beside sending what it is told to at once:
 * function level reset, and requests that are in flight
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/pci_regs.h"
#include "vtd-lib.h"

#define PASID   0x23456
#define DID     9
#define IOVA    0x4000000000ull
#define LAST    (1 << 2)

/* Of the requester with sva=on */
#define EXP_CAP     0x40
#define PASID_CAP   0x100
#define ATS_CAP     0x110

/* Extended configuration space, where sva_start() puts it */
#define ECAM        0xb0000000ull
#define PCIEXBAR    0x80000060  /* of the host bridge */

static uint64_t ext_address(VTDTest *t, unsigned offset)
{
    return ECAM + (t->sid << 12) + offset;
}

static uint16_t ext_readw(VTDTest *t, unsigned offset)
{
    return qtest_readw(t->qts, ext_address(t, offset));
}

static void ext_writew(VTDTest *t, unsigned offset, uint16_t val)
{
    qtest_writew(t->qts, ext_address(t, offset), val);
}

/* A second requester, with the capabilities that a driver looks for */
static VTDTest *sva_start(VTDTest **first)
{
    g_autofree char *more = g_strdup_printf(" -device vtd-testdev,sva=on,"
                                            "bus=pcie.0,addr=%d",
                                            VTD_SLOT + 1);
    VTDTest *t = vtd_start_with(VTD_OPTIONS, more);
    VTDTest *sva = vtd_second(t, t->regs, VTD_SID + 8);
    VTDTestPASID p = {
        .pgtt = VTD_SM_PASID_ENTRY_FLT, .did = DID, .fs_root = vtd_page(t),
    };

    qtest_outl(t->qts, 0xcf8, PCIEXBAR);
    qtest_outl(t->qts, 0xcfc, ECAM | 1);
    vtd_enable(t, VTD_CONTEXT_ALL);
    sva->base = t->base;
    vtd_set_context(sva, VTD_CONTEXT_ALL);
    for (int i = 0; i < 512; i++) {
        vtd_map(t, p.fs_root, IOVA + i * VTD_PAGE_SIZE,
                VTD_MEM_A + i * VTD_PAGE_SIZE, FS_USER);
    }
    vtd_set_pasid(t, PASID, &p);
    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ);
    *first = t;
    return sva;
}

static void sva_stop(VTDTest *first, VTDTest *sva)
{
    g_free(sva->dev);
    g_free(sva);
    vtd_stop(first);
}

static void function_level_reset(VTDTest *sva)
{
    uint16_t command = qpci_config_readw(sva->dev, PCI_COMMAND);

    qpci_config_writew(sva->dev, EXP_CAP + PCI_EXP_DEVCTL,
                       PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmphex(qpci_config_readw(sva->dev, PCI_COMMAND) &
                    PCI_COMMAND_MASTER, ==, 0);
    /* As a driver restores it */
    qpci_config_writel(sva->dev, PCI_BASE_ADDRESS_0, sva->bar.addr);
    qpci_config_writew(sva->dev, PCI_COMMAND, command);
}

static void test_flr(void)
{
    VTDTest *t, *sva = sva_start(&t);
    uint64_t at;

    g_assert_cmphex(qpci_config_readl(sva->dev, EXP_CAP + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, !=, 0);
    ext_writew(sva, PASID_CAP + PCI_PASID_CTRL, PCI_PASID_CTRL_ENABLE);
    ext_writew(sva, ATS_CAP + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
    g_assert_cmphex(ext_readw(sva, PASID_CAP + PCI_PASID_CTRL), !=, 0);
    g_assert_cmphex(ext_readw(sva, ATS_CAP + PCI_ATS_CTRL), !=, 0);

    /* Something in the device TLB, and a page request without an answer */
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_DMA_TLB, PASID, IOVA, 0), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(td_read(sva, VTD_TESTDEV_DATA), ==, VTD_MEM_A_DATA);
    at = vtd_entry(t, qtest_readq(t->qts, vtd_pasid_entry(t, PASID) + 16) &
                   VTD_PT_BASE_ADDR_MASK(48), 4, 1, IOVA);
    qtest_writeq(t->qts, at, VTD_MEM_B | FS_USER);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_DMA_TLB, PASID, IOVA, 0), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(td_read(sva, VTD_TESTDEV_DATA), ==, VTD_MEM_A_DATA);
    for (int i = 1; i <= 2; i++) {
        td_write(sva, VTD_TESTDEV_PRGI, i);
        td_write(sva, VTD_TESTDEV_LAST, true);
        g_assert_cmphex(td_command(sva, VTD_TESTDEV_PAGE_REQUEST, PASID, IOVA,
                                   VTD_REQ_READ), ==, VTD_TESTDEV_OK);
    }
    vtd_inv(t, PAGE_RESPONSE(sva->sid, PASID, 0), 1 << 3 | LAST);
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_RESP_COUNT), ==, 1);
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_RESP_UNKNOWN), ==, 0);
    td_write(sva, VTD_TESTDEV_DATA, 1);
    td_command(sva, VTD_TESTDEV_SILENT, PASID, 0, 0);

    function_level_reset(sva);
    g_assert_cmphex(ext_readw(sva, PASID_CAP + PCI_PASID_CTRL), ==, 0);
    g_assert_cmphex(ext_readw(sva, ATS_CAP + PCI_ATS_CTRL), ==, 0);
    for (unsigned reg = 0; reg < VTD_TESTDEV_REGS_SIZE; reg += 8) {
        g_assert_cmphex(td_read(sva, reg), ==, 0);
    }
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_DMA_TLB, PASID, IOVA, 0), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(td_read(sva, VTD_TESTDEV_DATA), ==, VTD_MEM_B_DATA);
    vtd_inv(t, PAGE_RESPONSE(sva->sid, PASID, 0), 2 << 3 | LAST);
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_RESP_UNKNOWN), ==, 1);

    /* It is the function's own: the other requester has kept all */
    td_write(t, VTD_TESTDEV_DATA, 0x1234);
    function_level_reset(sva);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_DATA), ==, 0x1234);
    sva_stop(t, sva);
}

static void start_flight(VTDTest *sva, unsigned command, uint64_t count,
                         uint64_t period, uint64_t stride, unsigned flags)
{
    td_write(sva, VTD_TESTDEV_COUNT, count);
    td_write(sva, VTD_TESTDEV_PERIOD, period);
    td_write(sva, VTD_TESTDEV_STRIDE, stride);
    g_assert_cmphex(td_command(sva, command, PASID, IOVA, flags), ==,
                    VTD_TESTDEV_OK);
    /* Whatever else is sent, is sent at once */
    td_write(sva, VTD_TESTDEV_COUNT, 0);
}

static void assert_flight(VTDTest *sva, uint64_t left, uint64_t ok,
                          uint64_t failed)
{
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_FLIGHT_LEFT), ==, left);
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_FLIGHT_OK), ==, ok);
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_FLIGHT_FAILED), ==, failed);
}

/* By a timer: as many as there was time for */
static void test_flight_period(void)
{
    VTDTest *t, *sva = sva_start(&t);

    td_write(sva, VTD_TESTDEV_DATA, 0x77);
    start_flight(sva, VTD_TESTDEV_DMA, 10, 1000, VTD_PAGE_SIZE, VTD_REQ_WRITE);
    assert_flight(sva, 10, 0, 0);
    qtest_clock_step(t->qts, 999);
    assert_flight(sva, 10, 0, 0);
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, VTD_MEM_A_DATA);
    for (int i = 0; i < 3; i++) {
        qtest_clock_step(t->qts, i ? 1000 : 1);
        assert_flight(sva, 9 - i, i + 1, 0);
        g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A + i * VTD_PAGE_SIZE), ==,
                        0x77);
        g_assert_cmphex(qtest_readq(t->qts,
                                    VTD_MEM_A + (i + 1) * VTD_PAGE_SIZE), ==,
                        VTD_MEM_A_DATA);
        /* The registers are for others in the meantime */
        td_write(sva, VTD_TESTDEV_DATA, 0x88);
        g_assert_cmphex(td_command(sva, VTD_TESTDEV_DMA, PASID + 1, 0,
                                   VTD_REQ_WRITE), ==, VTD_TESTDEV_FAILED);
        vtd_fault(t);
    }

    /* One at a time */
    td_write(sva, VTD_TESTDEV_COUNT, 1);
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_DMA, PASID, IOVA, 0), ==,
                    VTD_TESTDEV_FAILED);
    assert_flight(sva, 7, 3, 0);

    /* The IOMMU stops it; it does not end by that */
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID), 0);
    vtd_inv(t, INV_PASID_CACHE(DID, PASID), 0);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    qtest_clock_step(t->qts, 1000);
    assert_flight(sva, 6, 3, 1);
    vtd_assert_fault(t, VTD_FR_PASID_ENTRY_P);
    qtest_clock_step(t->qts, 100000);
    assert_flight(sva, 0, 3, 7);
    qtest_clock_step(t->qts, 100000);
    assert_flight(sva, 0, 3, 7);
    vtd_assert_fault(t, VTD_FR_PASID_ENTRY_P);
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_STOP, 0, 0, 0), ==,
                    VTD_TESTDEV_FAILED);
    sva_stop(t, sva);
}

/* From a bottom half: no time passes in between, but other things happen */
static void test_flight_bottom_half(void)
{
    VTDTest *t, *sva = sva_start(&t);
    int64_t end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    for (int n = 0; n < 2; n++) {
        start_flight(sva, n ? VTD_TESTDEV_DMA_TLB : VTD_TESTDEV_DMA, 500, 0,
                     VTD_PAGE_SIZE, 0);
        while (td_read(sva, VTD_TESTDEV_FLIGHT_LEFT) &&
               g_get_monotonic_time() < end) {
        }
        assert_flight(sva, 0, 500, 0);
        g_assert_cmphex(td_read(sva, VTD_TESTDEV_FLIGHT_DATA), ==,
                        VTD_MEM_A_DATA);
    }

    /* Longer than anybody waits: only by being ended */
    start_flight(sva, VTD_TESTDEV_DMA, ~0ull, 0, 0, 0);
    while (td_read(sva, VTD_TESTDEV_FLIGHT_OK) < 100 &&
           g_get_monotonic_time() < end) {
    }
    g_assert_cmphex(td_command(sva, VTD_TESTDEV_STOP, 0, 0, 0), ==,
                    VTD_TESTDEV_OK);
    {
        uint64_t ok = td_read(sva, VTD_TESTDEV_FLIGHT_OK);

        g_assert_cmpuint(ok, >=, 100);
        qtest_clock_step(t->qts, 1000000);
        assert_flight(sva, 0, ok, 0);
    }

    /* To its own registers: not taken, and no harm */
    vtd_map(t, qtest_readq(t->qts, vtd_pasid_entry(t, PASID) + 16) &
            VTD_PT_BASE_ADDR_MASK(48), IOVA, sva->bar.addr, FS_USER);
    vtd_inv(t, INV_PIOTLB_PASID(DID, PASID), 0);
    td_write(sva, VTD_TESTDEV_DATA, VTD_TESTDEV_STOP);
    start_flight(sva, VTD_TESTDEV_DMA, 3, 0, VTD_TESTDEV_COMMAND,
                 VTD_REQ_WRITE);
    while (td_read(sva, VTD_TESTDEV_FLIGHT_LEFT) &&
           g_get_monotonic_time() < end) {
    }
    g_assert_cmpuint(td_read(sva, VTD_TESTDEV_FLIGHT_LEFT), ==, 0);
    sva_stop(t, sva);
}

/* A function level reset ends it, whichever way it goes on */
static void test_flight_flr(void)
{
    VTDTest *t, *sva = sva_start(&t);

    for (int period = 0; period <= 1000; period += 1000) {
        td_write(sva, VTD_TESTDEV_DATA, 0x99);
        start_flight(sva, VTD_TESTDEV_DMA, ~0ull, period, 0, VTD_REQ_WRITE);
        qtest_clock_step(t->qts, 10000);
        g_assert_cmpuint(td_read(sva, VTD_TESTDEV_FLIGHT_LEFT), !=, 0);

        function_level_reset(sva);
        qtest_writeq(t->qts, VTD_MEM_A, VTD_MEM_A_DATA);
        qtest_clock_step(t->qts, 1000000);
        assert_flight(sva, 0, 0, 0);
        g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, VTD_MEM_A_DATA);
    }

    /* So does the end of QEMU, and a reset of the machine */
    start_flight(sva, VTD_TESTDEV_DMA, ~0ull, 0, 0, VTD_REQ_WRITE);
    qtest_system_reset(t->qts);
    qtest_writeq(t->qts, VTD_MEM_A, VTD_MEM_A_DATA);
    qtest_clock_step(t->qts, 1000000);
    g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==, VTD_MEM_A_DATA);
    sva_stop(t, sva);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-iommu/requester/flr", test_flr);
    qtest_add_func("/intel-iommu/requester/flight/period", test_flight_period);
    qtest_add_func("/intel-iommu/requester/flight/bottom_half",
                   test_flight_bottom_half);
    qtest_add_func("/intel-iommu/requester/flight/flr", test_flight_flr);

    return g_test_run();
}
