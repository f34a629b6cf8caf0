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
#define VTD_FSTS        0x34
#define VTD_IQH         0x80
#define VTD_IQT         0x88
#define VTD_IQA         0x90
#define VTD_PQH         0xc0
#define VTD_PQT         0xc8
#define VTD_PQA         0xd0
#define VTD_PRS         0xdc

/* Fixed pages of DSA_MEM_TABLES; vtd_page() gives out the ones behind them */
#define TBL_ROOT        (DSA_MEM_TABLES + 0x0000)
#define TBL_CONTEXT     (DSA_MEM_TABLES + 0x1000)
#define TBL_QUEUE       (DSA_MEM_TABLES + 0x2000)
#define TBL_PAGE_REQ    (DSA_MEM_TABLES + 0x3000)
#define TBL_PASID_DIR   (DSA_MEM_TABLES + 0x10000)  /* for 20 bits: 128 KiB */
#define TBL_FREE        (DSA_MEM_TABLES + 0x30000)
#define TBL_END         (DSA_MEM_TABLES + 0x800000)

/* A root port, and a megabyte of MMIO behind it */
#define PORT_SLOT       6
#define PORT_WINDOW     0xe8000000u

/* Polls before a wait is given up; each lets the main loop run */
#define POLLS           100000

static DSATest *start(const char *args, int slot)
{
    DSATest *t = g_new0(DSATest, 1);

    t->qts = qtest_initf("-M q35 -nodefaults -m 128 %s", args);
    t->bus = qpci_new_pc(t->qts, NULL);
    t->dev = qpci_device_find(t->bus, QPCI_DEVFN(slot, 0));
    g_assert(t->dev);
    t->sid = QPCI_DEVFN(slot, 0);
    t->tables = TBL_FREE;

    /* PCIEXBAR of the host bridge: extended configuration space */
    qtest_outl(t->qts, 0xcf8, 0x80000060);
    qtest_outl(t->qts, 0xcfc, ECAM | 1);
    return t;
}

DSATest *dsa_start(const char *args)
{
    DSATest *t = start(args, DSA_SLOT);

    t->bar0 = qpci_iomap(t->dev, 0, NULL);
    t->bar2 = qpci_iomap(t->dev, 2, NULL);
    dsa_pci_enable(t);
    return t;
}

/* @args put the device behind a root port at PORT_SLOT, on bus 1 */
DSATest *dsa_start_behind_port(const char *args)
{
    DSATest *t = start(args, PORT_SLOT);

    /* Secondary and subordinate bus; a window of memory from PORT_WINDOW */
    qpci_config_writew(t->dev, PCI_SECONDARY_BUS, 0x0101);
    qpci_config_writew(t->dev, PCI_MEMORY_BASE, PORT_WINDOW >> 16);
    qpci_config_writew(t->dev, PCI_MEMORY_LIMIT, PORT_WINDOW >> 16);
    /* No prefetchable one: base above limit */
    qpci_config_writel(t->dev, PCI_PREF_MEMORY_BASE, 0x0000fff0);
    qpci_config_writew(t->dev, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

    t->sid = 1 << 8;
    t->bar0.addr = PORT_WINDOW;
    t->bar2.addr = PORT_WINDOW + 0x80000;
    qtest_writeq(t->qts, dsa_config(t, PCI_BASE_ADDRESS_0), t->bar0.addr);
    qtest_writeq(t->qts, dsa_config(t, PCI_BASE_ADDRESS_2), t->bar2.addr);
    qtest_writew(t->qts, dsa_config(t, PCI_COMMAND),
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return t;
}

/* Power and power indicator off: the slot's device is gone */
void dsa_unplug_port(DSATest *t)
{
    uint8_t exp = qpci_find_capability(t->dev, PCI_CAP_ID_EXP, 0);

    qpci_config_writew(t->dev, exp + PCI_EXP_SLTCTL,
                       PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF);
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
    return ECAM + (t->sid << 12) + offset;
}

/* The address of an extended capability, 0 if there is none */
uint64_t dsa_ext_cap(DSATest *t, uint16_t id)
{
    unsigned pos = PCI_CFG_SPACE_SIZE;

    while (pos) {
        uint32_t header = qtest_readl(t->qts, dsa_config(t, pos));

        if (PCI_EXT_CAP_ID(header) == id) {
            return dsa_config(t, pos);
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return 0;
}

void dsa_flr(DSATest *t)
{
    uint8_t exp = qpci_find_capability(t->dev, PCI_CAP_ID_EXP, 0);

    qpci_config_writew(t->dev, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    t->bar0 = qpci_iomap(t->dev, 0, NULL);
    t->bar2 = qpci_iomap(t->dev, 2, NULL);
    dsa_pci_enable(t);
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

bool dsa_cmd_active(DSATest *t)
{
    return FIELD_EX32(dsa_readl(t, A_CMDSTS), CMDSTS, ACTIVE);
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
    mode = FIELD_DP32(mode, WQCFG_MODE, PRIV, cfg->priv);
    mode = FIELD_DP32(mode, WQCFG_MODE, BOF, cfg->bof);
    mode = FIELD_DP32(mode, WQCFG_MODE, ATS_DISABLE, cfg->ats_disable);
    limits = FIELD_DP32(limits, WQCFG_LIMITS, MAX_XFER_SHIFT, 21);
    limits = FIELD_DP32(limits, WQCFG_LIMITS, MAX_BATCH_SHIFT, 5);

    dsa_writel(t, base + DSA_WQCFG_DW_SIZE * 4, cfg->size);
    dsa_writel(t, base + DSA_WQCFG_DW_THRESHOLD * 4, cfg->threshold);
    dsa_writel(t, base + DSA_WQCFG_DW_MODE * 4, mode);
    dsa_writel(t, base + DSA_WQCFG_DW_LIMITS * 4, limits);
}

static void add_to_group(DSATest *t, int wq, unsigned group)
{
    uint32_t grp = dsa_grpcfg(t, group);

    dsa_writeq(t, grp + DSA_GRPCFG_WQS,
               dsa_readq(t, grp + DSA_GRPCFG_WQS) | 1ull << wq);
    dsa_writeq(t, grp + DSA_GRPCFG_ENGINES, 1ull << group);
}

/* One or two WQs, all enabled */
void dsa_enable(DSATest *t, const DSAWQConfig *wq0, const DSAWQConfig *wq1)
{
    /* Completion interrupts are allowed to unprivileged descriptors */
    dsa_writel(t, A_GENCFG, R_GENCFG_USER_INT_EN_MASK);
    dsa_configure_wq(t, 0, wq0);
    add_to_group(t, 0, wq0->group);
    if (wq1) {
        dsa_configure_wq(t, 1, wq1);
        add_to_group(t, 1, wq1->group);
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

/* The first quadword of SWERROR, when there is something in it */
uint64_t dsa_wait_swerr(DSATest *t)
{
    for (int i = 0; i < POLLS; i++) {
        uint64_t err = dsa_readq(t, A_SWERR0);

        if (FIELD_EX64(err, SWERR0, VALID)) {
            return err;
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

void dsa_ats_enable(DSATest *t, bool on)
{
    qtest_writew(t->qts, dsa_ext_cap(t, PCI_EXT_CAP_ID_ATS) + PCI_ATS_CTRL,
                 on ? PCI_ATS_CTRL_ENABLE : 0);
}

/* As Linux does: reset, allocation, enable */
void dsa_pri_enable(DSATest *t, uint32_t allocation)
{
    uint64_t cap = dsa_ext_cap(t, PCI_EXT_CAP_ID_PRI);

    g_assert(qtest_readw(t->qts, cap + PCI_PRI_STATUS) &
             PCI_PRI_STATUS_STOPPED);
    qtest_writew(t->qts, cap + PCI_PRI_CTRL, PCI_PRI_CTRL_RESET);
    qtest_writel(t->qts, cap + PCI_PRI_ALLOC_REQ, allocation);
    qtest_writew(t->qts, cap + PCI_PRI_CTRL, PCI_PRI_CTRL_ENABLE);
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
static void enable(DSATest *t, unsigned bits)
{
    uint64_t context = TBL_CONTEXT + (t->sid & 0xff) * 32;

    qtest_memset(t->qts, DSA_MEM_TABLES, 0, TBL_FREE - DSA_MEM_TABLES);
    qtest_writeq(t->qts, TBL_ROOT + (t->sid >> 8) * 16, TBL_CONTEXT | 1);
    /* PDTS 7: 2^14 directory entries; PASID enable; present */
    qtest_writeq(t->qts, context, TBL_PASID_DIR | 7 << 9 | 1 << 3 | 1 | bits);

    /* Queued invalidation with 256-bit descriptors */
    qtest_writeq(t->qts, VTD + VTD_IQT, 0);
    qtest_writeq(t->qts, VTD + VTD_IQA, TBL_QUEUE | 1 << 11);
    vtd_command(t, 1u << 26);

    qtest_writeq(t->qts, VTD + VTD_RTADDR, TBL_ROOT | 1 << 10);
    vtd_command(t, 1u << 30);
    vtd_command(t, 1u << 31);
}

void vtd_enable(DSATest *t)
{
    enable(t, 0);
}

/* With device TLB (DTE) and page requests (PRE), and a queue for them */
void vtd_enable_ats(DSATest *t)
{
    enable(t, 1 << 2 | 1 << 4);
    qtest_writeq(t->qts, VTD + VTD_PQH, 0);
    qtest_writeq(t->qts, VTD + VTD_PQT, 0);
    qtest_writeq(t->qts, VTD + VTD_PQA, TBL_PAGE_REQ);
}

/* From whatever state it is in, with empty tables */
void vtd_restart(DSATest *t)
{
    uint64_t tail = qtest_readq(t->qts, VTD + VTD_IQT);

    /* A queue can only be disabled after a wait descriptor */
    for (int i = 0; i < 4096; i += 32) {
        qtest_writeq(t->qts, TBL_QUEUE + i, 5 | 1 << 6);
        qtest_memset(t->qts, TBL_QUEUE + i + 8, 0, 24);
    }
    qtest_writel(t->qts, VTD + VTD_FSTS, ~0u);
    qtest_writel(t->qts, VTD + VTD_PRS, ~0u);
    qtest_writeq(t->qts, VTD + VTD_IQT, (tail % 4096 + 32) % 4096);
    qtest_writel(t->qts, VTD + VTD_GCMD, 0);
    t->tables = TBL_FREE;
    vtd_enable_ats(t);
}

/* Put one descriptor into the invalidation queue */
void vtd_queue(DSATest *t, uint64_t lo, uint64_t hi)
{
    uint64_t tail = qtest_readq(t->qts, VTD + VTD_IQT);

    tail %= 4096;
    qtest_writeq(t->qts, TBL_QUEUE + tail, lo);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 8, hi);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 16, 0);
    qtest_writeq(t->qts, TBL_QUEUE + tail + 24, 0);
    qtest_writeq(t->qts, VTD + VTD_IQT, (tail + 32) % 4096);
}

/* The invalidation queue has stopped at a descriptor that is wrong */
bool vtd_stuck(DSATest *t)
{
    return qtest_readl(t->qts, VTD + VTD_FSTS) & 1 << 4;
}

/* A device did not answer an invalidation; the queue goes on */
bool vtd_timed_out(DSATest *t)
{
    const uint32_t ite = 1 << 6;
    uint32_t fsts = qtest_readl(t->qts, VTD + VTD_FSTS);

    qtest_writel(t->qts, VTD + VTD_FSTS, ite);
    return fsts & ite;
}

/* Submit one invalidation and see it taken */
void vtd_invalidate(DSATest *t, uint64_t lo, uint64_t hi)
{
    vtd_queue(t, lo, hi);
    g_assert_cmphex(qtest_readq(t->qts, VTD + VTD_IQH), ==,
                    qtest_readq(t->qts, VTD + VTD_IQT));
    g_assert_cmphex(qtest_readl(t->qts, VTD + VTD_FSTS) & 0x70, ==, 0);
}

/* Have the page request queue overflow, or make it usable and empty */
void vtd_page_queue_full(DSATest *t, bool full)
{
    uint64_t tail = qtest_readq(t->qts, VTD + VTD_PQT);

    qtest_writeq(t->qts, VTD + VTD_PQH, (tail + (full ? 32 : 0)) % 4096);
    qtest_writel(t->qts, VTD + VTD_PRS, full ? 0 : ~0u);
}

/* Take the oldest page request, if there is one, as it is in the queue */
bool vtd_pop_page_request(DSATest *t, uint64_t *q0, uint64_t *q1)
{
    uint64_t head = qtest_readq(t->qts, VTD + VTD_PQH);

    if (head == qtest_readq(t->qts, VTD + VTD_PQT)) {
        return false;
    }
    *q0 = qtest_readq(t->qts, TBL_PAGE_REQ + head % 4096);
    *q1 = qtest_readq(t->qts, TBL_PAGE_REQ + head % 4096 + 8);
    qtest_writeq(t->qts, VTD + VTD_PQH, (head + 32) % 4096);
    return true;
}

bool vtd_page_request(DSATest *t, DSAPageRequest *req)
{
    uint64_t q0, q1;

    if (!vtd_pop_page_request(t, &q0, &q1)) {
        return false;
    }
    g_assert_cmphex(q0 & 0xff, ==, 1);
    g_assert_cmphex(extract64(q0, 16, 16), ==, t->sid);
    *req = (DSAPageRequest) {
        .pasid = extract64(q0, 8, 1) ? extract64(q0, 32, 20) : ~0u,
        .priv = extract64(q0, 53, 1),
        .read = extract64(q1, 0, 1),
        .write = extract64(q1, 1, 1),
        .last = extract64(q1, 2, 1),
        .prgi = extract64(q1, 3, 9),
        .addr = q1 & ~4095ull,
    };
    return true;
}

DSAPageRequest vtd_wait_page_request(DSATest *t)
{
    DSAPageRequest req;

    for (int i = 0; i < POLLS; i++) {
        if (vtd_page_request(t, &req)) {
            return req;
        }
    }
    g_assert_not_reached();
}

void vtd_page_response(DSATest *t, uint32_t pasid, uint16_t prgi,
                       unsigned code)
{
    vtd_invalidate(t, VTD_PAGE_RESP(t->sid, pasid, code),
                   VTD_PAGE_RESP_HI(prgi));
}

/* Four levels of 4K pages; @leaf: the bits of the last level */
static void map(DSATest *t, DSAPgtt pgtt, uint64_t root, uint64_t iova,
                uint64_t pa, unsigned len, uint64_t leaf)
{
    /* Present or read, write, and user for FL */
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
                     (pa + done) | leaf);
    }
}

void vtd_map(DSATest *t, DSAPgtt pgtt, uint64_t root, uint64_t iova,
             uint64_t pa, unsigned len)
{
    map(t, pgtt, root, iova, pa, len, pgtt == PGTT_FL ? 7 : 3);
}

/* First level, without the user bit */
void vtd_map_supervisor(DSATest *t, uint64_t root, uint64_t iova, uint64_t pa,
                        unsigned len)
{
    map(t, PGTT_FL, root, iova, pa, len, 3);
}

/* Supervisor requests enable, in an entry with a first-level table */
void vtd_set_pasid_sre(DSATest *t, uint32_t pasid)
{
    uint64_t dir = TBL_PASID_DIR + (pasid >> 6) * 8;
    uint64_t pe = (qtest_readq(t->qts, dir) & ~4095ull) + (pasid & 63) * 64;

    qtest_writeq(t->qts, pe + 16, qtest_readq(t->qts, pe + 16) | 1);
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
    /* page-walk snoop */
    qtest_writeq(t->qts, pe + 8, did | 1 << 23);
    qtest_writeq(t->qts, pe, (pgtt == PGTT_SL ? root : 0) | pgtt << 6 |
                             2 << 2 | 1);
}
