/*
 * Helpers of the qtests that send requests through the emulated VT-d: tables,
 * the invalidation queue, faults, and the requester vtd-testdev
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "vtd-lib.h"

/* Fixed pages; vtd_page() gives out the ones behind them */
#define TBL_ROOT        0x0000
#define TBL_CONTEXT     0x1000
#define TBL_QUEUE       0x2000
#define TBL_PASID_DIR   0x10000     /* for 20 bits: 128 KiB */
#define TBL_FREE        0x30000
#define TBL_SIZE        0x800000

VTDTest *vtd_start(const char *options)
{
    return vtd_start_with(options, "");
}

VTDTest *vtd_start_with(const char *options, const char *more)
{
    VTDTest *t = g_new0(VTDTest, 1);

    t->qts = qtest_initf("-M q35 -nodefaults -m %d -device intel-iommu,%s%s "
                         "-device vtd-testdev,bus=pcie.0,addr=%d",
                         VTD_MEM_SIZE, options, more, VTD_SLOT);
    t->bus = qpci_new_pc(t->qts, NULL);
    t->dev = qpci_device_find(t->bus, QPCI_DEVFN(VTD_SLOT, 0));
    g_assert(t->dev);
    qpci_device_enable(t->dev);
    t->bar = qpci_iomap(t->dev, 0, NULL);
    t->regs = Q35_HOST_BRIDGE_IOMMU_ADDR;
    t->sid = VTD_SID;
    t->base = VTD_MEM_TABLES;
    t->tables = t->base + TBL_FREE;
    qtest_memset(t->qts, VTD_MEM_A, VTD_MEM_A_DATA & 0xff, 0x200000);
    qtest_memset(t->qts, VTD_MEM_B, VTD_MEM_B_DATA & 0xff, 0x200000);
    return t;
}

VTDTest *vtd_second(VTDTest *t, uint64_t regs, uint16_t sid)
{
    QPCIAddress addr = {
        .devfn = sid,
        .vendor_id = VTD_TESTDEV_VENDOR_ID,
        .device_id = VTD_TESTDEV_DEVICE_ID,
    };
    VTDTest *second = g_new0(VTDTest, 1);

    second->qts = t->qts;
    second->bus = t->bus;
    second->dev = g_new0(QPCIDevice, 1);
    qpci_device_init(second->dev, t->bus, &addr);
    qpci_device_enable(second->dev);
    second->bar = qpci_iomap(second->dev, 0, NULL);
    second->regs = regs;
    second->sid = sid;
    second->base = VTD_MEM_TABLES + TBL_SIZE;
    second->tables = second->base + TBL_FREE;
    return second;
}

VTDTest *vtd_start_enabled(const char *options)
{
    VTDTest *t = vtd_start(options);

    vtd_enable(t, VTD_CONTEXT_ALL);
    return t;
}

void vtd_stop(VTDTest *t)
{
    g_free(t->dev);
    qpci_free_pc(t->bus);
    qtest_quit(t->qts);
    g_free(t);
}

uint64_t vtd_reg_readq(VTDTest *t, unsigned reg)
{
    return qtest_readq(t->qts, t->regs + reg);
}

uint32_t vtd_reg_readl(VTDTest *t, unsigned reg)
{
    return qtest_readl(t->qts, t->regs + reg);
}

void vtd_reg_writeq(VTDTest *t, unsigned reg, uint64_t val)
{
    qtest_writeq(t->qts, t->regs + reg, val);
}

void vtd_reg_writel(VTDTest *t, unsigned reg, uint32_t val)
{
    qtest_writel(t->qts, t->regs + reg, val);
}

static void vtd_command(VTDTest *t, uint32_t bit)
{
    vtd_reg_writel(t, DMAR_GCMD_REG, vtd_reg_readl(t, DMAR_GSTS_REG) | bit);
    g_assert(vtd_reg_readl(t, DMAR_GSTS_REG) & bit);
}

/* VT-d spec 9.4: scalable-mode context entry with a PASID directory */
void vtd_set_context(VTDTest *t, uint64_t bits)
{
    /* PDTS 7: 2^14 directory entries */
    qtest_writeq(t->qts, t->base + TBL_CONTEXT +
                 (t->sid & 0x7f) * VTD_CTX_ENTRY_SCALABLE_SIZE,
                 (t->base + TBL_PASID_DIR) | 7 << 9 | bits |
                 VTD_CONTEXT_ENTRY_P);
}

void vtd_enable(VTDTest *t, uint64_t context_bits)
{
    qtest_memset(t->qts, t->base, 0, TBL_FREE);
    qtest_writeq(t->qts, t->base + TBL_ROOT + VTD_SID_TO_BUS(t->sid) * 16,
                 (t->base + TBL_CONTEXT) | VTD_ROOT_ENTRY_P);
    vtd_set_context(t, context_bits);

    /* Queued invalidation with 256-bit descriptors */
    vtd_reg_writeq(t, DMAR_IQT_REG, 0);
    vtd_reg_writeq(t, DMAR_IQA_REG, (t->base + TBL_QUEUE) | VTD_IQA_DW_MASK);
    vtd_command(t, VTD_GCMD_QIE);

    vtd_reg_writeq(t, DMAR_RTADDR_REG, (t->base + TBL_ROOT) | VTD_RTADDR_SMT);
    vtd_command(t, VTD_GCMD_SRTP);
    vtd_command(t, VTD_GCMD_TE);
}

uint64_t vtd_page(VTDTest *t)
{
    uint64_t page = t->tables;

    g_assert(page < t->base + TBL_SIZE);
    qtest_memset(t->qts, page, 0, VTD_PAGE_SIZE);
    t->tables += VTD_PAGE_SIZE;
    return page;
}

static uint64_t vtd_index(uint64_t addr, unsigned level)
{
    return (addr >> (12 + (level - 1) * 9) & 511) * 8;
}

/* Where the entry of @level for @addr is; the tables above it are there */
uint64_t vtd_entry(VTDTest *t, uint64_t root, unsigned levels, unsigned level,
                   uint64_t addr)
{
    uint64_t table = root;

    for (unsigned l = levels; l > level; l--) {
        table = qtest_readq(t->qts, table + vtd_index(addr, l)) &
                VTD_PT_BASE_ADDR_MASK(48);
        g_assert(table);
    }
    return table + vtd_index(addr, level);
}

void vtd_map_level(VTDTest *t, uint64_t root, unsigned levels, unsigned level,
                   uint64_t addr, uint64_t pa, uint64_t table_bits,
                   uint64_t bits)
{
    for (unsigned l = levels; l > level; l--) {
        uint64_t at = vtd_entry(t, root, levels, l, addr);

        if (!qtest_readq(t->qts, at)) {
            qtest_writeq(t->qts, at, vtd_page(t) | table_bits);
        }
    }
    qtest_writeq(t->qts, vtd_entry(t, root, levels, level, addr),
                 pa | bits | (level > 1 ? VTD_PT_PAGE_SIZE_MASK : 0));
}

/* Four levels; the tables permit everything */
void vtd_map(VTDTest *t, uint64_t root, uint64_t addr, uint64_t pa,
             uint64_t bits)
{
    vtd_map_level(t, root, 4, 1, addr, pa, FS_USER, bits);
}

uint64_t vtd_pasid_dir_entry(VTDTest *t, uint32_t pasid)
{
    return t->base + TBL_PASID_DIR + (pasid >> 6) * VTD_PASID_DIR_ENTRY_SIZE;
}

uint64_t vtd_pasid_entry(VTDTest *t, uint32_t pasid)
{
    uint64_t dir = vtd_pasid_dir_entry(t, pasid);

    if (!qtest_readq(t->qts, dir)) {
        qtest_writeq(t->qts, dir, vtd_page(t) | 1);
    }
    return (qtest_readq(t->qts, dir) & VTD_PASID_TABLE_BASE_ADDR_MASK) +
           (pasid & 63) * VTD_PASID_ENTRY_SIZE;
}

void vtd_set_pasid(VTDTest *t, uint32_t pasid, const VTDTestPASID *p)
{
    uint64_t pe = vtd_pasid_entry(t, pasid);
    unsigned fs_level = p->fs_level ? p->fs_level : 4;

    qtest_writeq(t->qts, pe + 16, p->fs_root | p->bits2 | (fs_level - 4) << 2);
    qtest_writeq(t->qts, pe + 8, p->did | VTD_SM_PASID_ENTRY_PWSNP);
    /* AW 2: four levels */
    qtest_writeq(t->qts, pe, p->ss_root | p->pgtt | p->bits0 | 2 << 2 |
                             VTD_PASID_ENTRY_P);
}

bool vtd_queue(VTDTest *t, uint64_t lo, uint64_t hi)
{
    return vtd_queue_private(t, lo, hi, 0, 0);
}

bool vtd_queue_private(VTDTest *t, uint64_t lo, uint64_t hi, uint64_t val2,
                       uint64_t val3)
{
    uint64_t tail = vtd_reg_readq(t, DMAR_IQT_REG);
    uint64_t desc[4] = {
        cpu_to_le64(lo), cpu_to_le64(hi), cpu_to_le64(val2), cpu_to_le64(val3),
    };

    qtest_memwrite(t->qts, t->base + TBL_QUEUE + tail, desc, sizeof(desc));
    tail = (tail + sizeof(desc)) % VTD_PAGE_SIZE;
    vtd_reg_writeq(t, DMAR_IQT_REG, tail);
    return vtd_reg_readq(t, DMAR_IQH_REG) == tail;
}

void vtd_inv(VTDTest *t, uint64_t lo, uint64_t hi)
{
    g_assert_true(vtd_queue(t, lo, hi));
}

VTDTestFault vtd_fault(VTDTest *t)
{
    VTDTestFault f = { .hi = vtd_reg_readq(t, DMAR_FRCD_REG_0_2) };

    if (f.hi & VTD_FRCD_F) {
        f.reason = f.hi >> 32 & 0xff;
        f.addr = vtd_reg_readq(t, DMAR_FRCD_REG_0_0);
        vtd_reg_writeq(t, DMAR_FRCD_REG_0_2, VTD_FRCD_F);
    }
    return f;
}

void vtd_assert_fault(VTDTest *t, uint8_t reason)
{
    g_assert_cmphex(vtd_fault(t).reason, ==, reason);
}

void vtd_assert_no_fault(VTDTest *t)
{
    vtd_assert_fault(t, 0);
}

uint64_t td_read(VTDTest *t, unsigned reg)
{
    return qpci_io_readq(t->dev, t->bar, reg);
}

void td_write(VTDTest *t, unsigned reg, uint64_t val)
{
    qpci_io_writeq(t->dev, t->bar, reg, val);
}

uint64_t td_command(VTDTest *t, unsigned command, uint32_t pasid,
                    uint64_t addr, unsigned flags)
{
    td_write(t, VTD_TESTDEV_ADDR, addr);
    td_write(t, VTD_TESTDEV_PASID, pasid);
    td_write(t, VTD_TESTDEV_FLAGS, flags);
    td_write(t, VTD_TESTDEV_COMMAND, command);
    return td_read(t, VTD_TESTDEV_RESULT);
}

bool td_dma_read(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                 uint64_t *data)
{
    bool ok;

    td_write(t, VTD_TESTDEV_DATA, 0);
    ok = td_command(t, VTD_TESTDEV_DMA, pasid, addr, flags) == VTD_TESTDEV_OK;
    *data = td_read(t, VTD_TESTDEV_DATA);
    return ok;
}

bool td_dma_write(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                  uint64_t data)
{
    td_write(t, VTD_TESTDEV_DATA, data);
    return td_command(t, VTD_TESTDEV_DMA, pasid, addr,
                      flags | VTD_REQ_WRITE) == VTD_TESTDEV_OK;
}

void td_assert_reads(VTDTest *t, uint32_t pasid, uint64_t addr, uint64_t data)
{
    uint64_t got;

    g_assert_true(td_dma_read(t, pasid, addr, 0, &got));
    g_assert_cmphex(got, ==, data);
    vtd_assert_no_fault(t);
}

void td_assert_faults(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                      uint8_t reason)
{
    g_assert_cmphex(td_command(t, VTD_TESTDEV_DMA, pasid, addr, flags), ==,
                    VTD_TESTDEV_FAILED);
    vtd_assert_fault(t, reason);
}

void td_assert_ats(VTDTest *t, uint32_t pasid, uint64_t addr, unsigned flags,
                   unsigned bits)
{
    g_assert_cmphex(td_command(t, VTD_TESTDEV_ATS, pasid, addr, flags), ==,
                    VTD_TESTDEV_OK);
    g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_BITS), ==, bits);
    vtd_assert_no_fault(t);
}

QTestState *vtd_migrate(QTestState *from, const char *args, const char *uri)
{
    QTestState *to;

    qtest_qmp_assert_success(from, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", uri);
    qtest_qmp_eventwait(from, "STOP");
    for (;;) {
        QDict *info = qtest_qmp_assert_success_ref(from,
                                            "{ 'execute': 'query-migrate' }");
        bool done = !strcmp(qdict_get_str(info, "status"), "completed");

        g_assert_cmpstr(qdict_get_str(info, "status"), !=, "failed");
        qobject_unref(info);
        if (done) {
            break;
        }
        g_usleep(1000);
    }
    qtest_quit(from);

    to = qtest_initf("%s -incoming %s", args, uri);
    /* The event may be over before there is anybody to hear it. */
    for (bool running = false; !running; g_usleep(1000)) {
        QDict *info = qtest_qmp_assert_success_ref(to,
                                            "{ 'execute': 'query-status' }");

        running = qdict_get_bool(info, "running");
        qobject_unref(info);
    }
    return to;
}
