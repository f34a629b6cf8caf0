/*
 * QTest of two intel-iommus in one machine: one for a root bus, one for the
 * rest.  Nothing that is done to one may be seen at the other.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "hw/i386/intel_iommu_ats.h"
#include "hw/i386/intel_iommu_inv_log.h"
#include "libqos/fw_cfg.h"
#include "vtd-lib.h"

#define ROOT_BUS        0x20
#define SECOND_BUS      0x21
#define SECOND_SID      (SECOND_BUS << 8)
#define SECOND_REGS     (Q35_HOST_BRIDGE_IOMMU_ADDR + VTD_UNIT_SPACING)
#define PRQ_OF(t)       (VTD_MEM_PRQ + ((t)->sid == VTD_SID ? 0 : 0x10000))

#define PASID   5
#define DID     9
#define IOVA    0x4000000000ull
#define NONE    VTD_TESTDEV_NO_PASID

#define PORT    " -device pxb-pcie,id=pxb1,bus_nr=32" \
                " -device pcie-root-port,id=rp1,bus=pxb1,chassis=1,slot=1"

typedef struct Units {
    VTDTest *a;         /* without a root bus */
    VTDTest *b;
} Units;

/* What the firmware does: the bus behind the root port, and its memory */
static void port_enable(VTDTest *t)
{
    QPCIAddress addr = { .devfn = ROOT_BUS << 8 };
    QPCIDevice port;
    uint16_t window;

    t->bus->mmio_alloc_ptr = ROUND_UP(t->bus->mmio_alloc_ptr, 1 << 20);
    window = t->bus->mmio_alloc_ptr >> 16;
    qpci_device_init(&port, t->bus, &addr);
    qpci_config_writeb(&port, PCI_PRIMARY_BUS, ROOT_BUS);
    qpci_config_writeb(&port, PCI_SECONDARY_BUS, SECOND_BUS);
    qpci_config_writeb(&port, PCI_SUBORDINATE_BUS, SECOND_BUS);
    qpci_config_writew(&port, PCI_MEMORY_BASE, window);
    qpci_config_writew(&port, PCI_MEMORY_LIMIT, window);
    qpci_config_writew(&port, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static Units start(const char *options, const char *second_options)
{
    g_autofree char *more =
        g_strdup_printf(PORT " -device intel-iommu,root-bus=pxb1,%s"
                        " -device vtd-testdev,bus=rp1", second_options);
    Units u = { .a = vtd_start_with(options, more) };

    port_enable(u.a);
    u.b = vtd_second(u.a, SECOND_REGS, SECOND_SID);
    return u;
}

static Units start_enabled(const char *options)
{
    Units u = start(options, options);

    vtd_enable(u.a, VTD_CONTEXT_ALL);
    vtd_enable(u.b, VTD_CONTEXT_ALL);
    return u;
}

static void stop(Units u)
{
    g_free(u.b->dev);
    g_free(u.b);
    vtd_stop(u.a);
}

/* The PASID with one page; returns the table's root */
static uint64_t map_page(VTDTest *t, uint64_t pa)
{
    VTDTestPASID p = {
        .pgtt = VTD_SM_PASID_ENTRY_FLT,
        .did = DID,
        .fs_root = vtd_page(t),
    };

    vtd_map(t, p.fs_root, IOVA, pa, FS_USER);
    vtd_set_pasid(t, PASID, &p);
    return p.fs_root;
}

static void test_registers(void)
{
    Units u = start(VTD_OPTIONS, VTD_OPTIONS ",x-pss=7,x-mamv=30");
    VTDTest *one;

    g_assert_cmphex(vtd_reg_readq(u.a, DMAR_ECAP_REG) & VTD_ECAP_PSS(0x1f), ==,
                    VTD_ECAP_PSS(19));
    g_assert_cmphex(vtd_reg_readq(u.b, DMAR_ECAP_REG) & VTD_ECAP_PSS(0x1f), ==,
                    VTD_ECAP_PSS(7));
    vtd_reg_writel(u.a, DMAR_FEDATA_REG, 0xaaaa);
    vtd_reg_writel(u.b, DMAR_FEDATA_REG, 0xbbbb);
    g_assert_cmphex(vtd_reg_readl(u.a, DMAR_FEDATA_REG), ==, 0xaaaa);
    g_assert_cmphex(vtd_reg_readl(u.b, DMAR_FEDATA_REG), ==, 0xbbbb);
    stop(u);

    /* With one there is nothing where the second would be */
    one = vtd_start(VTD_OPTIONS);
    g_assert_cmphex(qtest_readl(one->qts, SECOND_REGS + DMAR_VER_REG), ==, 0);
    vtd_stop(one);
}

static void test_translation(void)
{
    Units u = start(VTD_OPTIONS, VTD_OPTIONS);
    uint64_t data;

    /* The second is still off */
    vtd_enable(u.a, VTD_CONTEXT_ALL);
    g_assert_false(td_dma_read(u.a, NONE, VTD_MEM_B, 0, &data));
    g_assert_cmphex(vtd_fault(u.a).reason, !=, 0);
    td_assert_reads(u.b, NONE, VTD_MEM_B, VTD_MEM_B_DATA);

    /* The same PASID, domain and address */
    vtd_enable(u.b, VTD_CONTEXT_ALL);
    map_page(u.a, VTD_MEM_A);
    map_page(u.b, VTD_MEM_B);
    for (int i = 0; i < 2; i++) {
        td_assert_reads(u.a, PASID, IOVA, VTD_MEM_A_DATA);
        td_assert_reads(u.b, PASID, IOVA, VTD_MEM_B_DATA);
    }
    stop(u);
}

/* The reserved bits of second-stage entries depend on the address width */
static void test_reserved_bits(void)
{
    static const char *const width[] = { "39", "48" };
    const uint64_t bit = 1ull << 45;

    for (int i = 0; i < 2; i++) {
        g_autofree char *first = g_strdup_printf(
            "x-scalable-mode=on,x-pasid-mode=on,aw-bits=%s", width[i]);
        g_autofree char *second = g_strdup_printf(
            "x-scalable-mode=on,x-pasid-mode=on,aw-bits=%s", width[!i]);
        Units u = start(first, second);
        VTDTest *of[2] = { u.a, u.b };

        for (int j = 0; j < 2; j++) {
            VTDTest *t = of[j];
            bool narrow = i == j;
            VTDTestPASID p = {
                .pgtt = VTD_SM_PASID_ENTRY_SLT,
                .did = DID,
                .ss_root = vtd_page(t),
            };
            uint64_t pe;

            vtd_enable(t, 0);
            vtd_map_level(t, p.ss_root, 3, 1, IOVA & 0xfffffff,
                          VTD_MEM_A | bit, SS_RW, SS_RW);
            vtd_set_pasid(t, 0, &p);
            /* AW 1: three levels */
            pe = vtd_pasid_entry(t, 0);
            qtest_writeq(t->qts, pe, (qtest_readq(t->qts, pe) & ~(7 << 2)) |
                                     1 << 2);
            td_command(t, VTD_TESTDEV_DMA, NONE, IOVA & 0xfffffff, 0);
            if (narrow) {
                vtd_assert_fault(t, VTD_FR_SS_PAGING_ENTRY_RSVD);
            } else {
                vtd_assert_no_fault(t);
            }
        }
        stop(u);
    }
}

static uint64_t logged(VTDTest *t)
{
    return qtest_readq(t->qts, t->regs + VTD_INV_LOG_OFFSET +
                       VTD_INV_LOG_REG_COUNTERS +
                       8 * VTD_INV_LOG_COUNTER(VTD_INV_DESC_PIOTLB, 2));
}

static void test_invalidations(void)
{
    Units u = start_enabled(VTD_OPTIONS ",x-inv-log=on");
    uint64_t root_a = map_page(u.a, VTD_MEM_A);
    uint64_t root_b = map_page(u.b, VTD_MEM_A);

    td_assert_reads(u.a, PASID, IOVA, VTD_MEM_A_DATA);
    td_assert_reads(u.b, PASID, IOVA, VTD_MEM_A_DATA);
    vtd_map(u.a, root_a, IOVA, VTD_MEM_B, FS_USER);
    vtd_map(u.b, root_b, IOVA, VTD_MEM_B, FS_USER);

    vtd_inv(u.a, INV_PIOTLB_PASID(DID, PASID), 0);
    td_assert_reads(u.a, PASID, IOVA, VTD_MEM_B_DATA);
    td_assert_reads(u.b, PASID, IOVA, VTD_MEM_A_DATA);
    g_assert_cmpuint(logged(u.a), ==, 1);
    g_assert_cmpuint(logged(u.b), ==, 0);

    vtd_inv(u.b, INV_PIOTLB_PASID(DID, PASID), 0);
    td_assert_reads(u.b, PASID, IOVA, VTD_MEM_B_DATA);
    g_assert_cmpuint(logged(u.a), ==, 1);
    g_assert_cmpuint(logged(u.b), ==, 1);

    /* A queue that stopped with an error, and the other goes on */
    g_assert_false(vtd_queue(u.a, VTD_INV_DESC_PC | 2 << 4, 0));
    g_assert_true(vtd_reg_readl(u.a, DMAR_FSTS_REG) & VTD_FSTS_IQE);
    g_assert_false(vtd_reg_readl(u.b, DMAR_FSTS_REG) & VTD_FSTS_IQE);
    vtd_inv(u.b, INV_PIOTLB_PASID(DID, PASID), 0);
    stop(u);
}

static void test_faults(void)
{
    Units u = start_enabled(VTD_OPTIONS);
    VTDTestFault f;
    uint64_t data;

    map_page(u.a, VTD_MEM_A);
    map_page(u.b, VTD_MEM_B);
    g_assert_false(td_dma_read(u.b, PASID, IOVA + 0x1000, 0, &data));
    vtd_assert_no_fault(u.a);
    f = vtd_fault(u.b);
    g_assert_cmphex(f.addr, ==, IOVA + 0x1000);
    g_assert_cmphex(f.hi & 0xffff, ==, SECOND_SID);

    g_assert_false(td_dma_read(u.a, PASID, IOVA + 0x2000, 0, &data));
    vtd_assert_no_fault(u.b);
    f = vtd_fault(u.a);
    g_assert_cmphex(f.addr, ==, IOVA + 0x2000);
    g_assert_cmphex(f.hi & 0xffff, ==, VTD_SID);
    stop(u);
}

static void test_device_tlb(void)
{
    Units u = start_enabled(VTD_OPTIONS ",x-inv-timeout=on");
    VTDTest *of[2] = { u.a, u.b };

    for (int i = 0; i < 2; i++) {
        VTDTest *t = of[i], *other = of[!i];
        uint64_t count = td_read(t, VTD_TESTDEV_INV_COUNT);

        /* A unit does not reach what is behind the other */
        for (int pasid = 0; pasid < 2; pasid++) {
            vtd_inv(other, pasid ? INV_DEV_PIOTLB(t->sid, PASID) :
                                   INV_DEV_IOTLB(t->sid), IOVA);
            g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count);
            g_assert_true(vtd_reg_readl(other, DMAR_FSTS_REG) & VTD_FSTS_ITE);
            g_assert_false(vtd_reg_readl(t, DMAR_FSTS_REG) & VTD_FSTS_ITE);
            vtd_reg_writel(other, DMAR_FSTS_REG, VTD_FSTS_ITE);
        }

        vtd_inv(t, INV_DEV_PIOTLB(t->sid, PASID), IOVA);
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_INV_COUNT), ==, count + 1);
        g_assert_false(vtd_reg_readl(t, DMAR_FSTS_REG) & VTD_FSTS_ITE);
    }
    stop(u);
}

static void test_page_requests(void)
{
    Units u = start_enabled(VTD_OPTIONS);
    VTDTest *of[2] = { u.a, u.b };

    for (int i = 0; i < 2; i++) {
        vtd_reg_writeq(of[i], DMAR_PQH_REG, 0);
        vtd_reg_writeq(of[i], DMAR_PQT_REG, 0);
        vtd_reg_writeq(of[i], DMAR_PQA_REG, PRQ_OF(of[i]));
    }
    for (int i = 0; i < 2; i++) {
        VTDTest *t = of[i], *other = of[!i];
        uint64_t tail = vtd_reg_readq(other, DMAR_PQT_REG);

        td_write(t, VTD_TESTDEV_PRGI, 3);
        td_write(t, VTD_TESTDEV_LAST, 1);
        g_assert_cmphex(td_command(t, VTD_TESTDEV_PAGE_REQUEST, PASID, IOVA,
                                   VTD_REQ_READ), ==, VTD_TESTDEV_OK);
        g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, VTD_PRQ_DESC_SIZE);
        g_assert_cmphex(vtd_reg_readq(other, DMAR_PQT_REG), ==, tail);
        g_assert_cmphex(qtest_readq(t->qts, PRQ_OF(t)) >> 16 & 0xffff, ==,
                        t->sid);

        vtd_inv(other, PAGE_RESPONSE(t->sid, PASID, 0), 3 << 3 | 1 << 2);
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 0);
        vtd_inv(t, PAGE_RESPONSE(t->sid, PASID, 0), 3 << 3 | 1 << 2);
        g_assert_cmpuint(td_read(t, VTD_TESTDEV_RESP_COUNT), ==, 1);
    }
    stop(u);
}

/*
 * VT-d spec 8.3: a unit with device scopes comes before the one that has the
 * rest of its segment
 */
static void assert_dmar(const char *options, const uint8_t *drhds, size_t size)
{
    QTestState *qts = qtest_initf("-M q35 -nodefaults %s", options);
    QFWCFG *fw_cfg = pc_fw_cfg_init(qts);
    g_autofree uint8_t *tables = g_malloc(1 << 20);
    uint8_t *dmar;
    size_t len;

    len = qfw_cfg_get_file(fw_cfg, "etc/acpi/tables", tables, 1 << 20);
    dmar = memmem(tables, MIN(len, 1 << 20), "DMAR\1", 4);
    g_assert(dmar);
    g_assert_cmpuint(ldl_le_p(dmar + 4), >=, 48 + size);
    for (size_t i = 0; i < size; i++) {
        if (dmar[48 + i] != drhds[i]) {
            g_test_message("byte %zu of the first structures: 0x%x, not 0x%x",
                           i, dmar[48 + i], drhds[i]);
        }
    }
    g_assert_cmpmem(dmar + 48, size, drhds, size);
    pc_fw_cfg_uninit(fw_cfg);
    qtest_quit(qts);
}

static void test_dmar(void)
{
    static const uint8_t one[] = {
        0, 0, 16 + 5 * 8, 0, 0, 0, 0, 0,
        0, 0, 0xd9, 0xfe, 0, 0, 0, 0,              /* its registers */
        3, 8, 0, 0, 0, 0xff, 0, 0,                  /* I/O APIC */
        1, 8, 0, 0, 0, 0, 0, 0,                     /* host bridge */
        1, 8, 0, 0, 0, 0, 31, 0,                    /* ISA bridge */
        1, 8, 0, 0, 0, 0, 31, 2,                    /* SATA */
        1, 8, 0, 0, 0, 0, 31, 3,                    /* SMBus */
    };
    static const uint8_t two[] = {
        0, 0, 16 + 8, 0, 0, 0, 0, 0,
        0, 0x20, 0xd9, 0xfe, 0, 0, 0, 0,
        2, 8, 0, 0, 0, ROOT_BUS, 0, 0,              /* root port */
        0, 0, 16 + 8, 0, 1, 0, 0, 0,
        0, 0, 0xd9, 0xfe, 0, 0, 0, 0,              /* its registers */
        3, 8, 0, 0, 0, 0xff, 0, 0,                  /* I/O APIC */
        2, 0, 8, 0, 1,                              /* ATSR, all ports */
    };
    static const uint8_t bypass[] = {
        0, 0, 16 + 8, 0, 0, 0, 0, 0,
        0, 0x20, 0xd9, 0xfe, 0, 0, 0, 0,
        2, 8, 0, 0, 0, ROOT_BUS, 0, 0,
        /* Not the rest: one bus is behind none */
        0, 0, 16 + 7 * 8, 0, 0, 0, 0, 0,
        0, 0, 0xd9, 0xfe, 0, 0, 0, 0,              /* its registers */
        3, 8, 0, 0, 0, 0xff, 0, 0,                  /* I/O APIC */
    };

    assert_dmar("-device intel-iommu", one, sizeof(one));
    assert_dmar("-device intel-iommu,device-iotlb=on" PORT
                " -device intel-iommu,root-bus=pxb1", two, sizeof(two));
    assert_dmar("-device intel-iommu" PORT
                " -device intel-iommu,root-bus=pxb1"
                " -device pxb-pcie,id=pxb2,bus=pcie.0,bus_nr=48,bypass_iommu=on",
                bypass, sizeof(bypass));
}

static void test_migration(void)
{
    const char *args = "-M q35 -nodefaults -device intel-iommu," VTD_OPTIONS
                       PORT " -device intel-iommu,root-bus=pxb1," VTD_OPTIONS;
    g_autofree char *dir = g_dir_make_tmp("vtd-units-XXXXXX", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s/state", dir);
    QTestState *from = qtest_init(args), *to;
    const uint64_t a = Q35_HOST_BRIDGE_IOMMU_ADDR;

    qtest_writel(from, a + DMAR_FEDATA_REG, 0xaaaa);
    qtest_writel(from, SECOND_REGS + DMAR_FEDATA_REG, 0xbbbb);
    to = vtd_migrate(from, args, uri);
    g_assert_cmphex(qtest_readl(to, a + DMAR_FEDATA_REG), ==, 0xaaaa);
    g_assert_cmphex(qtest_readl(to, SECOND_REGS + DMAR_FEDATA_REG), ==, 0xbbbb);
    qtest_quit(to);

    {
        g_autofree char *state = g_strdup_printf("%s/state", dir);

        g_unlink(state);
        g_rmdir(dir);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-iommu/units/registers", test_registers);
    qtest_add_func("/intel-iommu/units/translation", test_translation);
    qtest_add_func("/intel-iommu/units/reserved_bits", test_reserved_bits);
    qtest_add_func("/intel-iommu/units/invalidations", test_invalidations);
    qtest_add_func("/intel-iommu/units/faults", test_faults);
    qtest_add_func("/intel-iommu/units/device_tlb", test_device_tlb);
    qtest_add_func("/intel-iommu/units/page_requests", test_page_requests);
    qtest_add_func("/intel-iommu/units/dmar", test_dmar);
    qtest_add_func("/intel-iommu/units/migration", test_migration);

    return g_test_run();
}
