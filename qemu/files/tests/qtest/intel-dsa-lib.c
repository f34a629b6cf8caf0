/*
 * Helpers of the intel-dsa qtests: device set-up, descriptors, VT-d tables
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqos/pci-pc.h"
#include "qemu/bswap.h"
#include "hw/pci/pci_regs.h"
#include "intel-dsa-lib.h"

#define ECAM            0xb0000000ull
#define VTD             0xfed90000ull
#define VTD_GCMD        0x18
#define VTD_GSTS        0x1c
#define VTD_RTADDR      0x20
#define VTD_IQH         0x80
#define VTD_IQT         0x88
#define VTD_IQA         0x90

/* Fixed pages of DSA_MEM_TABLES; vtd_page() gives out the ones behind them */
#define TBL_ROOT        (DSA_MEM_TABLES + 0x0000)
#define TBL_CONTEXT     (DSA_MEM_TABLES + 0x1000)
#define TBL_QUEUE       (DSA_MEM_TABLES + 0x2000)
#define TBL_PASID_DIR   (DSA_MEM_TABLES + 0x10000)  /* for 20 bits: 128 KiB */
#define TBL_FREE        (DSA_MEM_TABLES + 0x30000)
#define TBL_END         (DSA_MEM_TABLES + 0x800000)

/* Polls before a wait is given up; each lets the main loop run */
#define POLLS           100000

DSATest *dsa_start(const char *args)
{
    DSATest *t = g_new0(DSATest, 1);

    t->qts = qtest_initf("-M q35 -nodefaults -m 128 %s", args);
    t->bus = qpci_new_pc(t->qts, NULL);
    t->dev = qpci_device_find(t->bus, QPCI_DEVFN(DSA_SLOT, 0));
    g_assert(t->dev);
    t->bar0 = qpci_iomap(t->dev, 0, NULL);
    t->bar2 = qpci_iomap(t->dev, 2, NULL);
    t->tables = TBL_FREE;

    /* PCIEXBAR of the host bridge: extended configuration space */
    qtest_outl(t->qts, 0xcf8, 0x80000060);
    qtest_outl(t->qts, 0xcfc, ECAM | 1);
    dsa_pci_enable(t);
    return t;
}

void dsa_pci_enable(DSATest *t)
{
    qpci_device_enable(t->dev);
}

void dsa_stop(DSATest *t)
{
    g_free(t->dev);
    qpci_free_pc(t->bus);
    qtest_quit(t->qts);
    g_free(t);
}

uint64_t dsa_config(DSATest *t, int offset)
{
    return ECAM + (QPCI_DEVFN(DSA_SLOT, 0) << 12) + offset;
}

uint32_t dsa_readl(DSATest *t, uint32_t addr)
{
    return qpci_io_readl(t->dev, t->bar0, addr);
}

uint64_t dsa_readq(DSATest *t, uint32_t addr)
{
    return qpci_io_readq(t->dev, t->bar0, addr);
}

void dsa_writel(DSATest *t, uint32_t addr, uint32_t val)
{
    qpci_io_writel(t->dev, t->bar0, addr, val);
}

void dsa_writeq(DSATest *t, uint32_t addr, uint64_t val)
{
    qpci_io_writeq(t->dev, t->bar0, addr, val);
}

uint32_t dsa_grpcfg(DSATest *t, int group)
{
    uint64_t off = dsa_readq(t, A_OFFSETS0);

    return FIELD_EX64(off, OFFSETS0, GRPCFG) * INTEL_DSA_TABLE_UNIT +
           group * DSA_GRPCFG_SIZE;
}

uint32_t dsa_wqcfg(DSATest *t, int wq)
{
    uint64_t off = dsa_readq(t, A_OFFSETS0);

    return FIELD_EX64(off, OFFSETS0, WQCFG) * INTEL_DSA_TABLE_UNIT +
           wq * DSA_WQCFG_SIZE;
}

/* Returns the error code; the whole status is in CMDSTS */
uint8_t dsa_cmd(DSATest *t, unsigned code, uint32_t operand)
{
    uint32_t cmd = FIELD_DP32(0, CMD, CODE, code);

    dsa_writel(t, A_CMD, FIELD_DP32(cmd, CMD, OPERAND, operand));
    for (int i = 0; i < POLLS; i++) {
        uint32_t sts = dsa_readl(t, A_CMDSTS);

        if (!FIELD_EX32(sts, CMDSTS, ACTIVE)) {
            return FIELD_EX32(sts, CMDSTS, ERR);
        }
    }
    g_assert_not_reached();
}

uint8_t dsa_cmd_wq(DSATest *t, unsigned code, int wq)
{
    return dsa_cmd(t, code, 1u << (wq % 16) | (wq / 16) << 16);
}

void dsa_configure_wq(DSATest *t, int wq, const DSAWQConfig *cfg)
{
    uint32_t base = dsa_wqcfg(t, wq);
    uint32_t mode = 0, limits = 0;

    mode = FIELD_DP32(mode, WQCFG_MODE, DEDICATED, !cfg->shared);
    mode = FIELD_DP32(mode, WQCFG_MODE, PRIORITY, 10);
    mode = FIELD_DP32(mode, WQCFG_MODE, PASID_EN, cfg->pasid_en);
    mode = FIELD_DP32(mode, WQCFG_MODE, PASID, cfg->pasid);
    limits = FIELD_DP32(limits, WQCFG_LIMITS, MAX_XFER_SHIFT, 21);
    limits = FIELD_DP32(limits, WQCFG_LIMITS, MAX_BATCH_SHIFT, 5);

    dsa_writel(t, base + DSA_WQCFG_DW_SIZE * 4, cfg->size);
    dsa_writel(t, base + DSA_WQCFG_DW_THRESHOLD * 4, cfg->threshold);
    dsa_writel(t, base + DSA_WQCFG_DW_MODE * 4, mode);
    dsa_writel(t, base + DSA_WQCFG_DW_LIMITS * 4, limits);
}

/* One group with engine 0 and one or two WQs, all enabled */
void dsa_enable(DSATest *t, const DSAWQConfig *wq0, const DSAWQConfig *wq1)
{
    uint32_t grp = dsa_grpcfg(t, 0);

    /* Completion interrupts are allowed to unprivileged descriptors */
    dsa_writel(t, A_GENCFG, R_GENCFG_USER_INT_EN_MASK);
    dsa_writeq(t, grp + DSA_GRPCFG_WQS, wq1 ? 3 : 1);
    dsa_writeq(t, grp + DSA_GRPCFG_ENGINES, 1);
    dsa_configure_wq(t, 0, wq0);
    if (wq1) {
        dsa_configure_wq(t, 1, wq1);
    }
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);
    if (wq1) {
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 1), ==, 0);
    }
}

/* A descriptor that asks for a completion record at DSA_MEM_CR */
DSADesc dsa_desc(unsigned opcode, uint32_t flags, uint64_t src, uint64_t dst,
                 uint32_t size)
{
    DSADesc d = { 0 };

    flags |= DSA_FLAG_CRAV | DSA_FLAG_RCR;
    stl_le_p(d.b + DSA_DESC_DW1, opcode << 24 | flags);
    stq_le_p(d.b + DSA_DESC_CR_ADDR, DSA_MEM_CR);
    stq_le_p(d.b + DSA_DESC_SRC, src);
    stq_le_p(d.b + DSA_DESC_DST, dst);
    stl_le_p(d.b + DSA_DESC_XFER_SIZE, size);
    return d;
}

uint64_t dsa_portal(DSATest *t, int wq, bool limited)
{
    return t->bar2.addr + (wq * DSA_PORTAL_PAGES + limited) * DSA_PORTAL_PAGE;
}

int dsa_submit(DSATest *t, int wq, bool posted, const DSADesc *d)
{
    return qtest_enqueue64(t->qts, dsa_portal(t, wq, true), posted, d->b);
}

DSARecord dsa_wait(DSATest *t, uint64_t cr)
{
    DSARecord r = { 0 };

    for (int i = 0; i < POLLS; i++) {
        r.status = qtest_readb(t->qts, cr + DSA_CR_STATUS);
        if (r.status) {
            r.result = qtest_readb(t->qts, cr + DSA_CR_RESULT);
            r.bytes = qtest_readl(t->qts, cr + DSA_CR_BYTES_COMPLETED);
            r.fault = qtest_readq(t->qts, cr + DSA_CR_FAULT_ADDR);
            r.data = qtest_readq(t->qts, cr + DSA_CR_CRC);
            return r;
        }
    }
    g_assert_not_reached();
}

/* Run one descriptor on a dedicated WQ, completion record at DSA_MEM_CR */
DSARecord dsa_run(DSATest *t, int wq, DSADesc *d)
{
    qtest_memset(t->qts, DSA_MEM_CR, 0, DSA_CR_SIZE);
    g_assert_cmpint(dsa_submit(t, wq, true, d), ==, 0);
    return dsa_wait(t, DSA_MEM_CR);
}

void dsa_fill_pattern(DSATest *t, uint64_t addr, unsigned len, unsigned seed)
{
    g_autofree uint8_t *buf = g_malloc(len);

    for (unsigned i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8) * 13 + seed;
    }
    qtest_memwrite(t->qts, addr, buf, len);
}

void dsa_assert_equal(DSATest *t, uint64_t a, uint64_t b, unsigned len)
{
    g_autofree uint8_t *x = g_malloc(len);
    g_autofree uint8_t *y = g_malloc(len);

    qtest_memread(t->qts, a, x, len);
    qtest_memread(t->qts, b, y, len);
    g_assert_cmpmem(x, len, y, len);
}

void dsa_pasid_enable(DSATest *t)
{
    uint64_t cap = dsa_config(t, PCI_CFG_SPACE_SIZE);

    g_assert_cmphex(qtest_readw(t->qts, cap), ==, PCI_EXT_CAP_ID_PASID);
    qtest_writew(t->qts, cap + PCI_PASID_CTRL,
                 PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_PRIV);
}

uint64_t vtd_page(DSATest *t)
{
    uint64_t page = t->tables;

    g_assert(page < TBL_END);
    qtest_memset(t->qts, page, 0, 4096);
    t->tables += 4096;
    return page;
}

static void vtd_command(DSATest *t, uint32_t bit)
{
    uint32_t sts = qtest_readl(t->qts, VTD + VTD_GSTS);

    qtest_writel(t->qts, VTD + VTD_GCMD, sts | bit);
    g_assert(qtest_readl(t->qts, VTD + VTD_GSTS) & bit);
}

/* VT-d spec chapter 9: scalable-mode root, context and PASID entries */
void vtd_enable(DSATest *t)
{
    uint64_t context = TBL_CONTEXT + QPCI_DEVFN(DSA_SLOT, 0) * 32;

    qtest_memset(t->qts, DSA_MEM_TABLES, 0, TBL_FREE - DSA_MEM_TABLES);
    qtest_writeq(t->qts, TBL_ROOT, TBL_CONTEXT | 1);
    /* PDTS 7: 2^14 directory entries; PASID enable; present */
    qtest_writeq(t->qts, context, TBL_PASID_DIR | 7 << 9 | 1 << 3 | 1);

    /* Queued invalidation with 256-bit descriptors */
    qtest_writeq(t->qts, VTD + VTD_IQT, 0);
    qtest_writeq(t->qts, VTD + VTD_IQA, TBL_QUEUE | 1 << 11);
    vtd_command(t, 1u << 26);

    qtest_writeq(t->qts, VTD + VTD_RTADDR, TBL_ROOT | 1 << 10);
    vtd_command(t, 1u << 30);
    vtd_command(t, 1u << 31);
}

/* Submit one invalidation and see it taken */
void vtd_invalidate(DSATest *t, uint64_t lo, uint64_t hi)
{
    uint64_t tail = qtest_readq(t->qts, VTD + VTD_IQT);

    qtest_writeq(t->qts, TBL_QUEUE + tail, lo);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 8, hi);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 16, 0);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 24, 0);
    tail = (tail + 32) % 4096;
    qtest_writeq(t->qts, VTD + VTD_IQT, tail);
    g_assert_cmphex(qtest_readq(t->qts, VTD + VTD_IQH), ==, tail);
}

/* Four levels of 4K pages; bits: present/read, write, and user for FL */
void vtd_map(DSATest *t, DSAPgtt pgtt, uint64_t root, uint64_t iova,
             uint64_t pa, unsigned len)
{
    uint64_t bits = pgtt == PGTT_FL ? 7 : 3;

    for (unsigned done = 0; done < len; done += 4096) {
        uint64_t table = root;

        for (int shift = 39; shift > 12; shift -= 9) {
            uint64_t at = table + (((iova + done) >> shift) & 511) * 8;

            if (!qtest_readq(t->qts, at)) {
                qtest_writeq(t->qts, at, vtd_page(t) | bits);
            }
            table = qtest_readq(t->qts, at) & ~4095ull;
        }
        qtest_writeq(t->qts, table + (((iova + done) >> 12) & 511) * 8,
                     (pa + done) | bits);
    }
}

void vtd_set_pasid(DSATest *t, uint32_t pasid, DSAPgtt pgtt, unsigned did,
                   uint64_t root)
{
    uint64_t dir = TBL_PASID_DIR + (pasid >> 6) * 8;
    uint64_t pe;

    if (!qtest_readq(t->qts, dir)) {
        qtest_writeq(t->qts, dir, vtd_page(t) | 1);
    }
    pe = (qtest_readq(t->qts, dir) & ~4095ull) + (pasid & 63) * 64;

    /* AW 2: four levels */
    qtest_writeq(t->qts, pe + 16, pgtt == PGTT_FL ? root : 0);
    qtest_writeq(t->qts, pe + 8, did);
    qtest_writeq(t->qts, pe, (pgtt == PGTT_SL ? root : 0) | pgtt << 6 |
                             2 << 2 | 1);
}
