/*
 * QTest of the scalable-mode parts of intel-iommu that need no DMA: properties
 * and the capabilities they set, and the invalidation queue
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "hw/i386/intel_iommu_internal.h"
#include "hw/i386/intel_iommu_inv_log.h"

#define SCALABLE "x-scalable-mode=on,x-flts=on"
#define PASID    SCALABLE ",x-slts=on,x-pasid-mode=on,x-pss=19"

/* One page of 128 256-bit descriptors, and a page for status writes */
#define QUEUE       0x100000
#define QUEUE_NR    128
#define STATUS      0x200000
#define STATUS_DONE 0xd09e

static QTestState *start(const char *options)
{
    return qtest_initf("-M q35 -device intel-iommu,%s", options);
}

static uint64_t reg_readq(QTestState *s, uint64_t offset)
{
    return qtest_readq(s, Q35_HOST_BRIDGE_IOMMU_ADDR + offset);
}

static void reg_writeq(QTestState *s, uint64_t offset, uint64_t val)
{
    qtest_writeq(s, Q35_HOST_BRIDGE_IOMMU_ADDR + offset, val);
}

static uint32_t reg_readl(QTestState *s, uint64_t offset)
{
    return qtest_readl(s, Q35_HOST_BRIDGE_IOMMU_ADDR + offset);
}

static void reg_writel(QTestState *s, uint64_t offset, uint32_t val)
{
    qtest_writel(s, Q35_HOST_BRIDGE_IOMMU_ADDR + offset, val);
}

static void queue_enable(QTestState *s)
{
    reg_writeq(s, DMAR_IQT_REG, 0);
    reg_writeq(s, DMAR_IQA_REG, QUEUE | VTD_IQA_DW_MASK);
    reg_writel(s, DMAR_GCMD_REG, VTD_GCMD_QIE);
    g_assert_true(reg_readl(s, DMAR_GSTS_REG) & VTD_GSTS_QIES);
}

/* Queue one descriptor; returns whether the hardware took it */
static bool queue_desc(QTestState *s, uint64_t lo, uint64_t hi)
{
    uint64_t tail = reg_readq(s, DMAR_IQT_REG);
    uint64_t next = (tail + 32) % (QUEUE_NR * 32);

    qtest_writeq(s, QUEUE + tail, lo);
    qtest_writeq(s, QUEUE + tail + 8, hi);
    qtest_writeq(s, QUEUE + tail + 16, 0);
    qtest_writeq(s, QUEUE + tail + 24, 0);
    reg_writeq(s, DMAR_IQT_REG, next);

    if (reg_readl(s, DMAR_FSTS_REG) & VTD_FSTS_IQE) {
        g_assert_cmphex(reg_readq(s, DMAR_IQH_REG), ==, tail);
        return false;
    }
    g_assert_cmphex(reg_readq(s, DMAR_IQH_REG), ==, next);
    return true;
}

/* The queue works: a wait descriptor is answered */
static void queue_is_alive(QTestState *s)
{
    qtest_writel(s, STATUS, 0);
    g_assert_true(queue_desc(s, VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW |
                             (uint64_t)STATUS_DONE <<
                             VTD_INV_DESC_WAIT_DATA_SHIFT, STATUS));
    g_assert_cmphex(qtest_readl(s, STATUS), ==, STATUS_DONE);
}

static uint64_t piotlb_page(uint16_t did, uint32_t pasid)
{
    return VTD_INV_DESC_PIOTLB | VTD_INV_DESC_PIOTLB_PSI_IN_PASID |
           (uint64_t)did << 16 | (uint64_t)pasid << 32;
}

static void test_default_has_one_table_type(void)
{
    QTestState *s = start(SCALABLE);
    uint64_t ecap = reg_readq(s, DMAR_ECAP_REG);

    g_assert_cmphex(ecap & (VTD_ECAP_FLTS | VTD_ECAP_SLTS | VTD_ECAP_PASID),
                    ==, VTD_ECAP_FLTS);
    g_assert_cmphex(ecap & VTD_ECAP_PSS(0x1f), ==, 0);
    g_assert_cmpuint(reg_readq(s, DMAR_CAP_REG) >> VTD_CAP_MAMV_SHIFT & 0x3f,
                     ==, 18);
    qtest_quit(s);
}

static void test_both_table_types(void)
{
    QTestState *s = start(PASID);
    uint64_t ecap = reg_readq(s, DMAR_ECAP_REG);

    g_assert_cmphex(ecap & (VTD_ECAP_FLTS | VTD_ECAP_SLTS | VTD_ECAP_PASID),
                    ==, VTD_ECAP_FLTS | VTD_ECAP_SLTS | VTD_ECAP_PASID);
    qtest_quit(s);
}

static void test_pasid_width(void)
{
    for (int pss = 0; pss <= VTD_PSS_MAX; pss++) {
        g_autofree char *options =
            g_strdup_printf(SCALABLE ",x-pasid-mode=on,x-pss=%d", pss);
        QTestState *s = start(options);

        g_assert_cmphex(reg_readq(s, DMAR_ECAP_REG) & VTD_ECAP_PSS(0x1f), ==,
                        VTD_ECAP_PSS(pss));
        qtest_quit(s);
    }
}

static void test_address_mask_limit(void)
{
    QTestState *s = start(PASID);

    /* The default: 18 is taken, 19 stops the queue */
    queue_enable(s);
    g_assert_true(queue_desc(s, piotlb_page(1, 1), 18));
    g_assert_false(queue_desc(s, piotlb_page(1, 1), 19));
    qtest_quit(s);

    s = start(PASID ",x-mamv=45");
    g_assert_cmpuint(reg_readq(s, DMAR_CAP_REG) >> VTD_CAP_MAMV_SHIFT & 0x3f,
                     ==, 45);
    queue_enable(s);
    for (int am = 0; am <= 45; am++) {
        g_assert_true(queue_desc(s, piotlb_page(1, 1), am));
        g_assert_true(queue_desc(s, VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_PAGE
                                 | 1 << 16, am));
    }
    queue_is_alive(s);
    g_assert_false(queue_desc(s, piotlb_page(1, 1), 46));
    qtest_quit(s);
}

static void test_pasid_cache_granularity(void)
{
    static const struct {
        uint64_t lo;
        bool valid;
    } cases[] = {
        { VTD_INV_DESC_PC_DSI | 5 << 16, true },
        { VTD_INV_DESC_PC_PASID_SI | 5 << 16 | 0xfffffULL << 32, true },
        { VTD_INV_DESC_PC_GLOBAL, true },
        { 2 << 4, false },                                  /* reserved */
        { VTD_INV_DESC_PC_GLOBAL | 1ULL << 52, false },     /* reserved bits */
        { VTD_INV_DESC_PC_GLOBAL | 1 << 6, false },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QTestState *s = start(PASID ",x-pasid-cache=on");

        queue_enable(s);
        g_assert_cmpint(queue_desc(s, VTD_INV_DESC_PC | cases[i].lo, 0), ==,
                        cases[i].valid);
        if (cases[i].valid) {
            queue_is_alive(s);
        }
        qtest_quit(s);
    }
}

static void test_wait_fence_only(void)
{
    QTestState *s = start(PASID);

    queue_enable(s);
    g_assert_true(queue_desc(s, VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_FN, 0));
    queue_is_alive(s);
    /* nothing asked for, nothing to do: not a valid descriptor */
    g_assert_false(queue_desc(s, VTD_INV_DESC_WAIT, 0));
    qtest_quit(s);
}

static uint64_t log_readq(QTestState *s, uint64_t offset)
{
    return qtest_readq(s, VTD_INV_LOG_ADDR + offset);
}

static uint64_t log_counter(QTestState *s, int type, int gran)
{
    return log_readq(s, VTD_INV_LOG_REG_COUNTERS +
                     8 * VTD_INV_LOG_COUNTER(type, gran));
}

static void test_invalidation_log(void)
{
    QTestState *s = start(PASID ",x-inv-log=on");
    uint64_t last;

    g_assert_cmphex(log_readq(s, VTD_INV_LOG_REG_MAGIC), ==,
                    VTD_INV_LOG_MAGIC);
    queue_enable(s);
    g_assert_true(queue_desc(s, piotlb_page(3, 7), 0x1000));
    g_assert_true(queue_desc(s, piotlb_page(3, 8), 0x2000));
    g_assert_true(queue_desc(s, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0));
    queue_is_alive(s);

    g_assert_cmpuint(log_readq(s, VTD_INV_LOG_REG_TOTAL), ==, 4);
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PIOTLB, 3), ==, 2);
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PIOTLB, 2), ==, 0);
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PC, 3), ==, 1);
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_WAIT, 0), ==, 1);

    last = VTD_INV_LOG_REG_LOG + 16;
    g_assert_cmphex(log_readq(s, last), ==, piotlb_page(3, 8));
    g_assert_cmphex(log_readq(s, last + 8), ==, 0x2000);

    qtest_writeq(s, VTD_INV_LOG_ADDR + VTD_INV_LOG_REG_RESET, 1);
    g_assert_cmpuint(log_readq(s, VTD_INV_LOG_REG_TOTAL), ==, 0);
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PIOTLB, 3), ==, 0);
    g_assert_cmphex(log_readq(s, last), ==, 0);

    /* The log wraps; the counters go on */
    for (int i = 0; i < VTD_INV_LOG_NR + 3; i++) {
        g_assert_true(queue_desc(s, piotlb_page(1, i), 0));
    }
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PIOTLB, 3), ==,
                     VTD_INV_LOG_NR + 3);
    g_assert_cmphex(log_readq(s, VTD_INV_LOG_REG_LOG + 2 * 16), ==,
                    piotlb_page(1, VTD_INV_LOG_NR + 2));
    qtest_quit(s);
}

/* Waits are counted by their bits FN and PD, however they tell that they came */
static void test_log_counts_waits(void)
{
    static const struct {
        uint64_t lo;
        int gran;
    } waits[] = {
        { VTD_INV_DESC_WAIT_SW, VTD_INV_LOG_WAIT_PLAIN },
        { VTD_INV_DESC_WAIT_IF, VTD_INV_LOG_WAIT_PLAIN },
        { VTD_INV_DESC_WAIT_SW | VTD_INV_DESC_WAIT_IF, VTD_INV_LOG_WAIT_PLAIN },
        { VTD_INV_DESC_WAIT_FN, VTD_INV_LOG_WAIT_FENCE },
        { VTD_INV_DESC_WAIT_FN | VTD_INV_DESC_WAIT_SW, VTD_INV_LOG_WAIT_FENCE },
        { VTD_INV_DESC_WAIT_PD | VTD_INV_DESC_WAIT_SW, VTD_INV_LOG_WAIT_DRAIN },
        { VTD_INV_DESC_WAIT_PD | VTD_INV_DESC_WAIT_FN | VTD_INV_DESC_WAIT_SW,
          VTD_INV_LOG_WAIT_BOTH },
    };
    QTestState *s = start(PASID ",x-inv-log=on,device-iotlb=on");
    unsigned int expected[4] = {};

    queue_enable(s);
    for (int i = 0; i < ARRAY_SIZE(waits); i++) {
        /* What is between two waits belongs to neither */
        g_assert_true(queue_desc(s, piotlb_page(3, i), 0));
        g_assert_true(queue_desc(s, VTD_INV_DESC_WAIT | waits[i].lo,
                                 waits[i].lo & VTD_INV_DESC_WAIT_SW ? STATUS :
                                 0));
        expected[waits[i].gran]++;
        for (int gran = 0; gran < 4; gran++) {
            g_assert_cmpuint(log_counter(s, VTD_INV_DESC_WAIT, gran), ==,
                             expected[gran]);
        }
    }
    g_assert_cmpuint(log_counter(s, VTD_INV_DESC_PIOTLB, 3), ==,
                     ARRAY_SIZE(waits));
    g_assert_cmpuint(log_readq(s, VTD_INV_LOG_REG_TOTAL), ==,
                     2 * ARRAY_SIZE(waits));
    qtest_quit(s);
}

static void test_log_is_off(void)
{
    QTestState *s = start(PASID);

    g_assert_cmphex(log_readq(s, VTD_INV_LOG_REG_MAGIC), !=,
                    VTD_INV_LOG_MAGIC);
    qtest_quit(s);
}

/* A 64-bit write to any register is survived, and does what two writes do */
static void test_wide_writes(void)
{
    QTestState *s = start(PASID);

    reg_writeq(s, DMAR_IEADDR_REG, 0x1234567800001000ULL);
    g_assert_cmphex(reg_readl(s, DMAR_IEADDR_REG), ==, 0x1000);

    for (int reg = 0; reg < DMAR_REG_SIZE; reg += 8) {
        reg_writeq(s, reg, ~0ULL);
        reg_writeq(s, reg, 0);
        reg_readq(s, reg);
    }
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("intel-iommu/scalable/default_has_one_table_type",
                   test_default_has_one_table_type);
    qtest_add_func("intel-iommu/scalable/both_table_types",
                   test_both_table_types);
    qtest_add_func("intel-iommu/scalable/pasid_width", test_pasid_width);
    qtest_add_func("intel-iommu/scalable/address_mask_limit",
                   test_address_mask_limit);
    qtest_add_func("intel-iommu/scalable/pasid_cache_granularity",
                   test_pasid_cache_granularity);
    qtest_add_func("intel-iommu/scalable/wait_fence_only",
                   test_wait_fence_only);
    qtest_add_func("intel-iommu/scalable/invalidation_log",
                   test_invalidation_log);
    qtest_add_func("intel-iommu/scalable/log_counts_waits",
                   test_log_counts_waits);
    qtest_add_func("intel-iommu/scalable/log_is_off", test_log_is_off);
    qtest_add_func("intel-iommu/scalable/wide_writes", test_wide_writes);

    return g_test_run();
}
