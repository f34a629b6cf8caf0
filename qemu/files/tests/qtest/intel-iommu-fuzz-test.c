/*
 * QTest of intel-iommu in scalable mode: a hostile guest
 *
 * Tables with random entries that lead to each other, to themselves, to
 * registers and to nowhere; random register accesses and descriptors; requests
 * of every kind in between, resets as well.  It passes when QEMU survives, has
 * not grown, and translates as ever after a reset.  INTEL_IOMMU_FUZZ_SEED and
 * INTEL_IOMMU_FUZZ_STEPS repeat or lengthen a run; the seed is printed.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/i386/intel_iommu_ats.h"
#include "vtd-lib.h"

#define DEFAULT_STEPS   12000
#define REVIVE_STEPS    300
/* AddressSanitizer keeps freed memory for a while, 256 MiB of it */
#ifdef QEMU_SANITIZE_ADDRESS
#define GROWTH_MAX      (16 * MiB + 256 * MiB)
#else
#define GROWTH_MAX      (16 * MiB)
#endif

/* The tables of vtd_enable(), and those that vtd_page() gives out first */
#define ARENA_PAGES     0x60
#define PASIDS          4
#define DID             5
#define IOVA            0x4000000000ull

static GRand *rnd;
static uint64_t roots[3];

static uint64_t rnd64(void)
{
    return (uint64_t)g_rand_int(rnd) << 32 | g_rand_int(rnd);
}

static unsigned below(unsigned n)
{
    return g_rand_int_range(rnd, 0, n);
}

/* Where tables, queues and pages may be */
static uint64_t page(void)
{
    switch (below(12)) {
    case 0:
        return Q35_HOST_BRIDGE_IOMMU_ADDR;
    case 1:
        return 0xfee00000 + below(0x100) * VTD_PAGE_SIZE;
    case 2:
        return rnd64() & VTD_PAGE_MASK_4K;
    case 3:
        return VTD_MEM_SIZE * MiB - below(3) * VTD_PAGE_SIZE;
    case 4:
        return VTD_MEM_A + below(512) * VTD_PAGE_SIZE;
    default:
        return VTD_MEM_TABLES + below(ARENA_PAGES) * VTD_PAGE_SIZE;
    }
}

static uint64_t input_address(void)
{
    switch (below(6)) {
    case 0:
        return rnd64();
    case 1:
        return 0xfee00000 + below(0x1000);
    case 2:
        return page() + below(VTD_PAGE_SIZE);
    default:
        return IOVA + below(0x400) * 0x800;
    }
}

static uint32_t pasid(void)
{
    switch (below(8)) {
    case 0:
        return VTD_TESTDEV_NO_PASID;
    case 1:
        return g_rand_int(rnd) & 0xfffff;
    default:
        return below(PASIDS);
    }
}

static uint64_t entry(void)
{
    uint64_t e = page() | (below(4) ? 7 : below(0x1000));

    if (!below(4)) {
        e |= below(0x1000);
    }
    return below(8) ? e : e | rnd64() << 48;
}

/* The size of a range is in its lowest bits: sizes of all magnitudes */
static uint64_t range(void)
{
    return (rnd64() | ((1ull << below(64)) - 1)) & VTD_PAGE_MASK_4K;
}

/* Now and then a descriptor with reserved bits or of no type */
static void queue_random(VTDTest *t)
{
    uint64_t iqa = vtd_reg_readq(t, DMAR_IQA_REG);
    uint64_t tail = vtd_reg_readq(t, DMAR_IQT_REG);
    uint64_t lo, hi = input_address() & VTD_PAGE_MASK_4K;
    uint64_t did = (below(4) ? DID : below(0x10000)) << 16;
    uint64_t pasid_field = (uint64_t)(pasid() & 0xfffff) << 32;

    switch (below(11)) {
    case 0:
        lo = VTD_INV_DESC_CC | below(4) << 4 | did | (uint64_t)VTD_SID << 32;
        hi = 0;
        break;
    case 1:
        lo = VTD_INV_DESC_IOTLB | below(4) << 4 | did;
        hi |= below(64) | (below(2) ? INV_IH : 0);
        break;
    case 2:
        lo = INV_DEV_IOTLB(VTD_SID);
        hi = range() | below(2);
        break;
    case 3:
        lo = VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW | below(4) << 6;
        hi = page();
        break;
    case 4:
        lo = VTD_INV_DESC_PIOTLB | below(4) << 4 | did | pasid_field;
        hi |= below(64) | (below(2) ? INV_IH : 0);
        break;
    case 5:
        lo = VTD_INV_DESC_PC | below(4) << 4 | did | pasid_field;
        hi = 0;
        break;
    case 6:
        lo = VTD_INV_DESC_DEV_PIOTLB | (uint64_t)VTD_SID << 16 | pasid_field;
        hi = range() | below(2) | below(2) << 11;
        break;
    case 7:
        lo = VTD_INV_DESC_PGRP | (uint64_t)VTD_SID << 16 | pasid_field |
             below(16) << 12 | below(4) << 4;
        hi = below(0x400) << 2;
        break;
    case 8:
        lo = VTD_INV_DESC_IEC | below(2) << 4;
        hi = 0;
        break;
    case 9:
        lo = rnd64() & 0xfff;
        break;
    default:
        lo = INV_PIOTLB_PAGE(DID, below(PASIDS));
        break;
    }

    iqa &= VTD_PAGE_MASK_4K;
    if (iqa < VTD_MEM_SIZE * MiB - VTD_PAGE_SIZE) {
        uint64_t desc[4] = { cpu_to_le64(lo), cpu_to_le64(hi) };

        qtest_memwrite(t->qts, iqa + tail % VTD_PAGE_SIZE, desc, sizeof(desc));
    }
    vtd_reg_writel(t, DMAR_IQT_REG, (tail + 32) % VTD_PAGE_SIZE);
    if (vtd_reg_readl(t, DMAR_FSTS_REG) & VTD_FSTS_IQE) {
        /* As an operating system does: put something harmless there instead */
        uint64_t head = vtd_reg_readq(t, DMAR_IQH_REG);

        if (iqa < VTD_MEM_SIZE * MiB - VTD_PAGE_SIZE) {
            uint64_t desc[4] = { cpu_to_le64(VTD_INV_DESC_WAIT |
                                             VTD_INV_DESC_WAIT_FN) };

            qtest_memwrite(t->qts, iqa + head % VTD_PAGE_SIZE, desc,
                           sizeof(desc));
        }
        vtd_reg_writel(t, DMAR_FSTS_REG, VTD_FSTS_IQE);
    }
}

static void write_register(VTDTest *t)
{
    unsigned reg = below(DMAR_REG_SIZE + 16) & ~3;
    uint64_t val = below(2) ? page() | below(0x1000) : rnd64();

    /* Commands only now and then: the rest is about translating */
    if (reg == DMAR_GCMD_REG && below(4)) {
        return;
    }
    if (below(2)) {
        vtd_reg_writel(t, reg, val);
    } else {
        vtd_reg_writeq(t, reg & ~7, val);
    }
}

static void step(VTDTest *t)
{
    uint64_t pe, root;

    switch (below(24)) {
    case 0:
        write_register(t);
        break;
    case 1:
        vtd_reg_readl(t, below(DMAR_REG_SIZE) & ~3);
        vtd_reg_readq(t, below(DMAR_REG_SIZE) & ~7);
        break;
    case 2:
        /* Somewhere in the tables: root, context, directory, ... */
        qtest_writeq(t->qts, VTD_MEM_TABLES +
                     below(ARENA_PAGES) * VTD_PAGE_SIZE + below(512) * 8,
                     entry());
        break;
    case 3:
    case 4:
        /* In the way of the requests; one of four leads back to its table */
        root = roots[below(3)];
        qtest_writeq(t->qts, root +
                     (below(2) ? (IOVA >> 39) * 8 : below(512) * 8),
                     below(4) ? entry() : root | 7 | below(2) << 11);
        break;
    case 5:
        pe = vtd_pasid_entry(t, 0) + below(PASIDS) * VTD_PASID_ENTRY_SIZE;
        if (pe < VTD_MEM_SIZE * MiB - VTD_PAGE_SIZE) {
            qtest_writeq(t->qts, pe + 16, (below(4) ? roots[below(3)] : page())
                         | below(below(8) ? 128 : 256));
            qtest_writeq(t->qts, pe + 8, DID | VTD_SM_PASID_ENTRY_PWSNP);
            qtest_writeq(t->qts, pe, (below(4) ? roots[below(3)] : page()) |
                         below(8) << 6 | 2 << 2 | (below(8) ? 1 : 3));
        }
        break;
    case 6 ... 10:
        queue_random(t);
        break;
    case 11:
        vtd_fault(t);
        break;
    case 12:
        vtd_reg_writeq(t, DMAR_PQH_REG, vtd_reg_readq(t, DMAR_PQT_REG));
        vtd_reg_writel(t, DMAR_PRS_REG, VTD_PRS_PPR | VTD_PRS_PRO);
        break;
    default:
        td_write(t, VTD_TESTDEV_PRGI, below(0x200));
        td_write(t, VTD_TESTDEV_LAST, below(2));
        td_write(t, VTD_TESTDEV_COUNT, below(8) ? 0 : below(1000));
        td_write(t, VTD_TESTDEV_PERIOD, 1 + below(1000000));
        td_write(t, VTD_TESTDEV_STRIDE, below(2) ? 0 : input_address());
        td_command(t, VTD_TESTDEV_DMA + below(7), pasid(), input_address(),
                   below(16));
        if (!below(4)) {
            qtest_clock_step(t->qts, below(3000000));
        }
    }
}

/* A reset, and tables that translate */
static void revive(VTDTest *t)
{
    VTDTestPASID p = { .did = DID };

    qtest_system_reset(t->qts);
    qpci_config_writel(t->dev, PCI_BASE_ADDRESS_0, t->bar.addr);
    qpci_device_enable(t->dev);
    t->tables = VTD_MEM_TABLES + 0x30000;
    qtest_memset(t->qts, VTD_MEM_TABLES, 0, ARENA_PAGES * VTD_PAGE_SIZE);
    vtd_enable(t, VTD_CONTEXT_ALL);
    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ);

    for (int i = 0; i < 3; i++) {
        roots[i] = vtd_page(t);
    }
    for (int i = 0; i < 8; i++) {
        uint64_t off = i * VTD_PAGE_SIZE;

        vtd_map(t, roots[0], IOVA + off, VTD_MEM_A + off, FS_USER);
        vtd_map_level(t, roots[1], 4, 1, IOVA + off, VTD_MEM_A + off, SS_RW,
                      SS_RW);
        vtd_map_level(t, roots[1], 4, 2, 0x200000 * i, 0x200000 * i, SS_RW,
                      SS_RW);
    }
    vtd_map_level(t, roots[1], 4, 2, VTD_MEM_TABLES, VTD_MEM_TABLES, SS_RW,
                  SS_RW);
    vtd_map_level(t, roots[1], 4, 2, VTD_MEM_A, VTD_MEM_A, SS_RW, SS_RW);

    p.fs_root = roots[0];
    p.ss_root = roots[1];
    for (int i = 0; i < PASIDS; i++) {
        p.pgtt = (i + 1) << 6;
        vtd_set_pasid(t, i, &p);
    }
}

static void assert_works(VTDTest *t)
{
    const uint64_t data = rnd64();

    qtest_writeq(t->qts, VTD_MEM_A, data);
    td_assert_reads(t, VTD_TESTDEV_NO_PASID, IOVA, data);
    for (int i = 0; i < PASIDS - 1; i++) {
        td_assert_reads(t, i, IOVA, data);
        td_assert_ats(t, i, IOVA, VTD_REQ_WRITE,
                      VTD_TESTDEV_XLAT_READ | VTD_TESTDEV_XLAT_WRITE);
    }
    td_assert_reads(t, PASIDS - 1, VTD_MEM_A, data);
}

static uint64_t resident(VTDTest *t)
{
    g_autofree char *name = g_strdup_printf("/proc/%d/statm",
                                            qtest_pid(t->qts));
    g_autofree char *text = NULL;
    unsigned long size, pages;

    if (!g_file_get_contents(name, &text, NULL, NULL) ||
        sscanf(text, "%lu %lu", &size, &pages) != 2) {
        return 0;
    }
    return pages * qemu_real_host_page_size();
}

static unsigned setting(const char *name, unsigned val)
{
    const char *env = getenv(name);

    g_assert(!env || !qemu_strtoui(env, NULL, 0, &val));
    return val;
}

static void test_fuzz(void)
{
    unsigned seed = setting("INTEL_IOMMU_FUZZ_SEED", g_random_int());
    unsigned steps = setting("INTEL_IOMMU_FUZZ_STEPS", DEFAULT_STEPS);
    /* What the guest does wrong is said on stderr, thousands of times */
    VTDTest *t = vtd_start(VTD_OPTIONS " 2>/dev/null");
    uint64_t before = 0, after;

    rnd = g_rand_new_with_seed(seed);
    g_test_message("INTEL_IOMMU_FUZZ_SEED=%u INTEL_IOMMU_FUZZ_STEPS=%u", seed,
                   steps);

    for (unsigned i = 0; i < steps; i++) {
        if (i % REVIVE_STEPS == 0) {
            revive(t);
            if (i % (REVIVE_STEPS * 10) == 0) {
                assert_works(t);
            }
        }
        if (i == steps / 2) {
            before = resident(t);
        }
        step(t);
    }

    revive(t);
    assert_works(t);
    after = resident(t);
    g_test_message("resident: %" PRIu64 " KiB, %" PRIu64 " KiB at half time",
                   after / KiB, before / KiB);
    g_assert_cmpuint(after, <, before + GROWTH_MAX);
    g_rand_free(rnd);
    vtd_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/intel-iommu/fuzz", test_fuzz);
    return g_test_run();
}
