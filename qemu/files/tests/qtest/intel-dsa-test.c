/*
 * QTest testcase for intel-dsa: registers, commands, operations, errors
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qemu/crc32c.h"
#include "hw/pci/pci_regs.h"
#include "intel-dsa-lib.h"

#define DEV "-device intel-dsa,id=dsa0,addr=4"

static const DSAWQConfig dwq = { .size = 16 };

/* A shared queue needs PASIDs, and those need a VT-d: pass-through */
#define DEV_VTD "-device intel-iommu,x-scalable-mode=on,x-flts=on," \
                "x-slts=on,x-pasid-mode=on,x-pss=19 " DEV
#define PASID   5

static const DSAWQConfig swq = { .shared = true, .size = 16, .threshold = 4,
                                 .pasid_en = true };
static const DSAWQConfig dwq_pasid = { .size = 16, .pasid_en = true,
                                       .pasid = PASID };

static DSATest *start_vtd(void)
{
    DSATest *t = dsa_start(DEV_VTD);

    vtd_enable(t);
    vtd_set_pasid(t, PASID, PGTT_PT, 1, 0);
    dsa_pasid_enable(t);
    return t;
}

static void test_reset_values(void)
{
    DSATest *t = dsa_start(DEV ",num-wqs=4,num-engines=2,wq-size=64,"
                           "max-batch-shift=8,max-xfer-shift=30");
    uint64_t gencap = dsa_readq(t, A_GENCAP);
    uint64_t wqcap = dsa_readq(t, A_WQCAP);

    g_assert_cmphex(dsa_readl(t, A_VERSION), ==, 0x100);
    g_assert_cmpuint(FIELD_EX64(gencap, GENCAP, MAX_XFER_SHIFT), ==, 30);
    g_assert_cmpuint(FIELD_EX64(gencap, GENCAP, MAX_BATCH_SHIFT), ==, 8);
    g_assert_cmpuint(FIELD_EX64(gencap, GENCAP, CONFIG_EN), ==, 1);
    g_assert_cmpuint(FIELD_EX64(gencap, GENCAP, BLOCK_ON_FAULT), ==, 1);
    g_assert_cmpuint(FIELD_EX64(wqcap, WQCAP, TOTAL_WQ_SIZE), ==, 64);
    g_assert_cmpuint(FIELD_EX64(wqcap, WQCAP, NUM_WQS), ==, 4);
    g_assert_cmpuint(dsa_readq(t, A_ENGCAP), ==, 2);
    g_assert_cmphex(dsa_readq(t, A_OPCAP0), ==, 0x1000303ffull);
    g_assert_cmphex(dsa_readl(t, A_CMDCAP), ==, 0x7ffe);
    g_assert_cmphex(dsa_readq(t, A_OFFSETS1), ==, 0);
    g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, 0);
    g_assert_cmphex(dsa_readl(t, A_CMDSTS), ==, 0);
    g_assert_cmphex(qpci_msix_table_size(t->dev), ==, 5);
    dsa_stop(t);
}

static void test_access_rules(void)
{
    DSATest *t = dsa_start(DEV);
    uint32_t wq = dsa_wqcfg(t, 0);
    uint32_t grp = dsa_grpcfg(t, 0);
    uint64_t cap = dsa_readq(t, A_GENCAP);

    /* Read-only */
    dsa_writeq(t, A_GENCAP, ~0ull);
    g_assert_cmphex(dsa_readq(t, A_GENCAP), ==, cap);
    dsa_writel(t, wq + DSA_WQCFG_DW_STATUS * 4, ~0u);
    g_assert_cmphex(dsa_readl(t, wq + DSA_WQCFG_DW_STATUS * 4), ==, 0);

    /* Reserved bits read 0, bits of WQs that do not exist too */
    dsa_writel(t, A_GENCTRL, ~0u);
    g_assert_cmphex(dsa_readl(t, A_GENCTRL), ==, 3);
    dsa_writeq(t, grp + DSA_GRPCFG_WQS, ~0ull);
    g_assert_cmphex(dsa_readq(t, grp + DSA_GRPCFG_WQS), ==, 0xff);
    dsa_writel(t, wq + DSA_WQCFG_DW_MODE * 4, ~0u);
    g_assert_cmphex(dsa_readl(t, wq + DSA_WQCFG_DW_MODE * 4), ==, 0x3ffffff7);

    /* Behind the last group there is no table */
    dsa_writeq(t, dsa_grpcfg(t, 4), ~0ull);
    g_assert_cmphex(dsa_readq(t, dsa_grpcfg(t, 4)), ==, 0);

    /* Locked while the device, or the WQ, is enabled */
    dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0);
    g_assert_cmphex(dsa_readq(t, grp + DSA_GRPCFG_WQS), ==, 0);
    dsa_enable(t, &dwq, &dwq);
    dsa_writeq(t, grp + DSA_GRPCFG_WQS, 0);
    g_assert_cmphex(dsa_readq(t, grp + DSA_GRPCFG_WQS), ==, 3);
    dsa_writel(t, wq + DSA_WQCFG_DW_LIMITS * 4, 0);
    g_assert_cmphex(dsa_readl(t, wq + DSA_WQCFG_DW_LIMITS * 4), !=, 0);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0), ==, 0);
    dsa_writel(t, wq + DSA_WQCFG_DW_LIMITS * 4, 0);
    g_assert_cmphex(dsa_readl(t, wq + DSA_WQCFG_DW_LIMITS * 4), ==, 0);
    dsa_writel(t, wq + DSA_WQCFG_DW_SIZE * 4, 1);
    g_assert_cmphex(dsa_readl(t, wq + DSA_WQCFG_DW_SIZE * 4), ==, 16);

    /* A plain write to a portal is no submission */
    qtest_writeq(t->qts, dsa_portal(t, 1, true), 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);
    dsa_stop(t);
}

static void test_device_commands(void)
{
    DSATest *t = dsa_start(DEV);
    uint32_t grp = dsa_grpcfg(t, 0);

    g_assert_cmphex(dsa_cmd(t, 0, 0), ==, DSA_CMDSTS_INVALID_CMD);
    g_assert_cmphex(dsa_cmd(t, 15, 0), ==, DSA_CMDSTS_INVALID_CMD);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_DIS_NOT_ENABLED);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_PASID, 1), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ABORT_PASID, 1), ==, 0);

    /* Each thing that is wrong with the configuration */
    dsa_configure_wq(t, 0, &(DSAWQConfig) { .size = 129 });
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_WQ_SIZE_SUM);
    dsa_configure_wq(t, 0, &dwq);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_GRP_WQ);
    dsa_writeq(t, grp + DSA_GRPCFG_WQS, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_GRP_NO_ENGINE);
    dsa_writeq(t, grp + DSA_GRPCFG_ENGINES, 1);
    dsa_writeq(t, dsa_grpcfg(t, 1) + DSA_GRPCFG_ENGINES, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_GRP_ENGINE);
    dsa_writeq(t, dsa_grpcfg(t, 1) + DSA_GRPCFG_ENGINES, 2);
    dsa_writeq(t, dsa_grpcfg(t, 1) + DSA_GRPCFG_WQS, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_GRP_WQ);
    dsa_writeq(t, dsa_grpcfg(t, 1) + DSA_GRPCFG_WQS, 0);
    dsa_writeq(t, grp + DSA_GRPCFG_FLAGS,
               97ull << R_GRPFLAGS_RDBUFS_ALLOWED_SHIFT);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_GRP_RDBUFS);
    dsa_writeq(t, grp + DSA_GRPCFG_FLAGS, 0);

    qpci_config_writew(t->dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_NO_BUS_MASTER);
    dsa_pci_enable(t);

    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==,
                    DSA_CMDSTS_DEV_NOT_ENABLED);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, DSA_STATE_ENABLED);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                    DSA_CMDSTS_DEV_ENABLED);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ABORT_ALL, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_PASID, 1), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ABORT_PASID, 1), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, DSA_STATE_DISABLED);

    /* Disable keeps the configuration, reset does not */
    g_assert_cmphex(dsa_readq(t, grp + DSA_GRPCFG_WQS), ==, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_readq(t, grp + DSA_GRPCFG_WQS), ==, 0);
    dsa_stop(t);
}

static void wq_enable_error(DSATest *t, int dword, uint32_t val, uint8_t err)
{
    uint32_t addr = dsa_wqcfg(t, 0) + dword * 4;
    uint32_t old = dsa_readl(t, addr);

    dsa_writel(t, addr, val);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, err);
    dsa_writel(t, addr, old);
}

static void test_wq_commands(void)
{
    DSATest *t = dsa_start(DEV);
    uint32_t mode;

    dsa_enable(t, &dwq, NULL);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==,
                    DSA_CMDSTS_WQ_ENABLED);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 8), ==,
                    DSA_CMDSTS_INVALID_WQ);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 1), ==, DSA_CMDSTS_WQ_SIZE);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DRAIN_WQ, 1), ==,
                    DSA_CMDSTS_WQ_NOT_ENABLED);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DRAIN_WQ, 8), ==,
                    DSA_CMDSTS_INVALID_WQ);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DRAIN_WQ, 16), ==,
                    DSA_CMDSTS_INVALID_WQ);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DRAIN_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_ABORT_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0), ==,
                    DSA_CMDSTS_WQ_NOT_ENABLED);

    mode = dsa_readl(t, dsa_wqcfg(t, 0) + DSA_WQCFG_DW_MODE * 4);
    wq_enable_error(t, DSA_WQCFG_DW_MODE,
                    mode & ~R_WQCFG_MODE_PRIORITY_MASK,
                    DSA_CMDSTS_WQ_PRIORITY);
    wq_enable_error(t, DSA_WQCFG_DW_MODE, mode | R_WQCFG_MODE_BOF_MASK,
                    DSA_CMDSTS_WQ_BOF);
    wq_enable_error(t, DSA_WQCFG_DW_MODE, mode | R_WQCFG_MODE_PASID_EN_MASK,
                    DSA_CMDSTS_WQ_PASID);
    wq_enable_error(t, DSA_WQCFG_DW_LIMITS,
                    11 << R_WQCFG_LIMITS_MAX_BATCH_SHIFT_SHIFT,
                    DSA_CMDSTS_WQ_MAX_BATCH);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);

    /* Reset takes the configuration away but for the size */
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_RESET_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_readl(t, dsa_wqcfg(t, 0) + DSA_WQCFG_DW_MODE * 4), ==,
                    0);
    g_assert_cmphex(dsa_readl(t, dsa_wqcfg(t, 0)), ==, 16);

    /* Of a disabled queue too; a shared one needs PASIDs */
    dsa_configure_wq(t, 0, &(DSAWQConfig) { .shared = true });
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, DSA_CMDSTS_WQ_PASID);
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_RESET_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_readl(t, dsa_wqcfg(t, 0) + DSA_WQCFG_DW_MODE * 4), ==,
                    0);
    dsa_stop(t);
}

/* What depends on the PASID capability: 5.2 */
static void test_wq_pasid(void)
{
    DSATest *t = start_vtd();
    DSAWQConfig priv = { .size = 16, .pasid_en = true, .priv = true };
    uint64_t ctrl = dsa_ext_cap(t, PCI_EXT_CAP_ID_PASID) + PCI_PASID_CTRL;

    dsa_enable(t, &priv, NULL);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);

    qtest_writew(t->qts, ctrl, PCI_PASID_CTRL_ENABLE);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, DSA_CMDSTS_WQ_PRIV);
    priv.shared = true;
    dsa_configure_wq(t, 0, &priv);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0), ==, 0);

    qtest_writew(t->qts, ctrl, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, DSA_CMDSTS_WQ_PASID);
    dsa_stop(t);
}

static void test_max_xfer_shift(void)
{
    DSATest *t = dsa_start(DEV ",max-xfer-shift=20");

    dsa_writeq(t, dsa_grpcfg(t, 0) + DSA_GRPCFG_WQS, 1);
    dsa_writeq(t, dsa_grpcfg(t, 0) + DSA_GRPCFG_ENGINES, 1);
    dsa_configure_wq(t, 0, &dwq);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==,
                    DSA_CMDSTS_WQ_MAX_XFER);
    dsa_stop(t);
}

static void msix_set(DSATest *t, int vector)
{
    uint32_t e = DSA_MSIX_TABLE + vector * 16;

    dsa_writel(t, e, DSA_MEM_MSG + vector * 4);
    dsa_writel(t, e + 4, 0);
    dsa_writel(t, e + 8, 0x5a00 + vector);
    dsa_writel(t, e + 12, 0);
}

static bool msix_fired(DSATest *t, int vector)
{
    uint64_t addr = DSA_MEM_MSG + vector * 4;

    for (int i = 0; i < 1000; i++) {
        if (qtest_readl(t->qts, addr) == 0x5a00 + vector) {
            qtest_writel(t->qts, addr, 0);
            return true;
        }
    }
    return false;
}

static void msix_start(DSATest *t)
{
    uint8_t cap = qpci_find_capability(t->dev, PCI_CAP_ID_MSIX, 0);
    uint16_t ctrl = qpci_config_readw(t->dev, cap + PCI_MSIX_FLAGS);

    qtest_memset(t->qts, DSA_MEM_MSG, 0, 64);
    qpci_config_writew(t->dev, cap + PCI_MSIX_FLAGS,
                       ctrl | PCI_MSIX_FLAGS_ENABLE);
    for (int i = 0; i < 3; i++) {
        msix_set(t, i);
    }
}

static void test_interrupts(void)
{
    DSATest *t = dsa_start(DEV);
    uint32_t perm = 0x1000 + 1 * DSA_MSIXPERM_SIZE;
    DSADesc d = dsa_desc(DSA_OP_NOOP, DSA_FLAG_RCI, 0, 0, 0);
    uint16_t handle;

    msix_start(t);
    dsa_enable(t, &dwq, NULL);

    /* A command with an interrupt requested */
    g_assert(!msix_fired(t, 0));
    dsa_writel(t, A_CMD, DSA_CMD_DRAIN_ALL << R_CMD_CODE_SHIFT |
                         R_CMD_INT_REQ_MASK);
    g_assert(msix_fired(t, 0));
    g_assert_cmphex(dsa_readl(t, A_INTCAUSE), ==, R_INTCAUSE_CMD_MASK);
    dsa_writel(t, A_INTCAUSE, R_INTCAUSE_CMD_MASK);
    g_assert_cmphex(dsa_readl(t, A_INTCAUSE), ==, 0);

    /* Handles: none for the misc. vector, behind the table, or with IMS */
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_REQUEST_INT_HANDLE, 0), ==,
                    DSA_CMDSTS_INT_INDEX);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_REQUEST_INT_HANDLE, 9), ==,
                    DSA_CMDSTS_INT_INDEX);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_REQUEST_INT_HANDLE, 1 << 16 | 1), ==,
                    DSA_CMDSTS_INT_INDEX);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_REQUEST_INT_HANDLE, 1), ==, 0);
    handle = FIELD_EX32(dsa_readl(t, A_CMDSTS), CMDSTS, RESULT);

    stw_le_p(d.b + DSA_DESC_INT_HANDLE, handle);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    g_assert(msix_fired(t, 1));

    /* A handle of another, of none, or that a PASID is needed for */
    stw_le_p(d.b + DSA_DESC_INT_HANDLE, handle + 1);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_INT_HANDLE);
    stw_le_p(d.b + DSA_DESC_INT_HANDLE, handle);
    dsa_writel(t, perm, R_MSIXPERM_PASID_EN_MASK);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_INT_HANDLE);
    dsa_writel(t, perm, R_MSIXPERM_PASID_EN_MASK | R_MSIXPERM_IGNORE_MASK);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    g_assert(msix_fired(t, 1));
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_RELEASE_INT_HANDLE, handle), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_RELEASE_INT_HANDLE, handle), ==,
                    DSA_CMDSTS_INT_RELEASE);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_INT_HANDLE);
    g_assert(!msix_fired(t, 1));
    dsa_stop(t);
}

/* Without GENCFG.USER_INT_EN only privileged descriptors may interrupt */
static void test_user_interrupt(void)
{
    DSATest *t = dsa_start(DEV ",int-handles=off");
    DSADesc d = dsa_desc(DSA_OP_NOOP, DSA_FLAG_RCI, 0, 0, 0);
    uint32_t mode = dsa_wqcfg(t, 0) + DSA_WQCFG_DW_MODE * 4;
    DSARecord r;

    msix_start(t);
    dsa_enable(t, &dwq, NULL);
    dsa_cmd(t, DSA_CMD_DISABLE_DEVICE, 0);
    dsa_writel(t, A_GENCFG, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==, 0);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);

    g_assert_cmphex(dsa_cmd(t, DSA_CMD_REQUEST_INT_HANDLE, 1), ==,
                    DSA_CMDSTS_INVALID_CMD);
    stw_le_p(d.b + DSA_DESC_INT_HANDLE, 1);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_INVALID_FLAGS);
    g_assert_cmphex(r.data, ==, DSA_FLAG_RCI);
    g_assert(!msix_fired(t, 1));

    dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0);
    dsa_writel(t, mode, dsa_readl(t, mode) | R_WQCFG_MODE_PRIV_MASK);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 0), ==, 0);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    g_assert(msix_fired(t, 1));
    dsa_stop(t);
}

static void test_swerr(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = dsa_desc(DSA_OP_NOOP, 0, 0, 0, 0);
    uint64_t err;

    msix_start(t);
    dsa_enable(t, &dwq, NULL);
    dsa_writel(t, A_GENCTRL, R_GENCTRL_SWERR_INT_EN_MASK);

    /* An error without a place for a completion record */
    stl_le_p(d.b + DSA_DESC_DW1, 0x3f << 24);
    dsa_submit(t, 0, true, &d);
    g_assert(msix_fired(t, 0));
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, VALID), ==, 1);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, OVERFLOW), ==, 0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_BAD_OPCODE);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, OPERATION), ==, 0x3f);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, WQ_IDX_VALID), ==, 1);
    g_assert_cmphex(dsa_readl(t, A_INTCAUSE), ==, R_INTCAUSE_SWERR_MASK);

    /* The first stays; one more only sets overflow: CR not aligned */
    d = dsa_desc(DSA_OP_NOOP, 0, 0, 0, 0);
    stq_le_p(d.b + DSA_DESC_CR_ADDR, DSA_MEM_CR + 8);
    dsa_submit(t, 0, true, &d);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, OVERFLOW), ==, 1);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_BAD_OPCODE);
    dsa_writeq(t, A_SWERR0, 3);
    g_assert_cmphex(FIELD_EX64(dsa_readq(t, A_SWERR0), SWERR0, VALID), ==, 0);
    dsa_submit(t, 0, true, &d);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_CR_ALIGN);
    dsa_writeq(t, A_SWERR0, 3);

    /* A completion record where there is no memory */
    stq_le_p(d.b + DSA_DESC_CR_ADDR, 0xfe00000000ull);
    dsa_submit(t, 0, true, &d);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_STATUS_CR_XLAT);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, FAULT_WRITE), ==, 1);
    g_assert_cmphex(dsa_readq(t, A_SWERR2), ==, 0xfe00000001ull);
    dsa_stop(t);
}

/* Bus mastering taken away from an enabled device halts it until an FLR */
static void test_halt_and_flr(void)
{
    DSATest *t = dsa_start(DEV);
    uint8_t exp = qpci_find_capability(t->dev, PCI_CAP_ID_EXP, 0);

    dsa_enable(t, &dwq, NULL);
    qpci_config_writew(t->dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, DSA_CMDSTS_HW_ERR);
    g_assert_cmphex(FIELD_EX32(dsa_readl(t, A_GENSTS), GENSTS, STATE), ==,
                    DSA_STATE_HALT);
    g_assert_cmphex(FIELD_EX32(dsa_readl(t, A_GENSTS), GENSTS, RESET_TYPE), ==,
                    DSA_RESET_TYPE_FLR);
    g_assert_cmphex(FIELD_EX64(dsa_readq(t, A_SWERR0), SWERR0, ERROR), ==,
                    DSA_SWERR_PCI_CFG);

    g_assert(qpci_config_readl(t->dev, exp + PCI_EXP_DEVCAP) &
             PCI_EXP_DEVCAP_FLR);
    qpci_config_writew(t->dev, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    t->bar0 = qpci_iomap(t->dev, 0, NULL);
    t->bar2 = qpci_iomap(t->dev, 2, NULL);
    dsa_pci_enable(t);
    g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, 0);
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);
    dsa_enable(t, &dwq, NULL);
    dsa_stop(t);
}

/* A halt that a test asks for; each reset type ends it in its own way */
static void test_halt_on_request(void)
{
    DSATest *t = dsa_start(DEV ",x-test=on");
    uint64_t ctrl = dsa_ext_cap(t, PCI_EXT_CAP_ID_VNDR) + INTEL_DSA_TEST_CTRL;
    static const struct {
        uint32_t ctrl;
        unsigned type;
    } halts[] = {
        { INTEL_DSA_TEST_HALT, DSA_RESET_TYPE_SOFTWARE },
        { INTEL_DSA_TEST_HALT | INTEL_DSA_TEST_HALT_FLR, DSA_RESET_TYPE_FLR },
    };

    g_assert_cmphex(ctrl, !=, INTEL_DSA_TEST_CTRL);
    for (int i = 0; i < ARRAY_SIZE(halts); i++) {
        uint32_t sts;
        uint8_t err;

        msix_start(t);
        dsa_writel(t, A_GENCTRL, R_GENCTRL_HALT_INT_EN_MASK);
        dsa_enable(t, &dwq, NULL);
        g_assert(!msix_fired(t, 0));
        qtest_writel(t->qts, ctrl, halts[i].ctrl);
        g_assert(msix_fired(t, 0));
        g_assert_cmphex(dsa_readl(t, A_INTCAUSE), ==, R_INTCAUSE_HALT_MASK);
        g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);
        sts = dsa_readl(t, A_GENSTS);
        g_assert_cmphex(FIELD_EX32(sts, GENSTS, STATE), ==, DSA_STATE_HALT);
        g_assert_cmphex(FIELD_EX32(sts, GENSTS, RESET_TYPE), ==,
                        halts[i].type);
        g_assert_cmphex(qtest_readl(t->qts, ctrl) & INTEL_DSA_TEST_HALT, ==, 0);

        /* No command works, but the reset if it is of that type */
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==,
                        DSA_CMDSTS_HW_ERR);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_DEVICE, 0), ==,
                        DSA_CMDSTS_HW_ERR);
        err = dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0);
        if (halts[i].type == DSA_RESET_TYPE_FLR) {
            g_assert_cmphex(err, ==, DSA_CMDSTS_HW_ERR);
            g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, sts);
            dsa_flr(t);
        } else {
            g_assert_cmphex(err, ==, DSA_CMDSTS_SUCCESS);
        }
        g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, 0);
        dsa_enable(t, &dwq, NULL);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
    }
    dsa_stop(t);

    /* Only for tests */
    t = dsa_start(DEV);
    g_assert_cmphex(dsa_ext_cap(t, PCI_EXT_CAP_ID_VNDR), ==, 0);
    dsa_stop(t);
}

static void test_memmove(void)
{
    DSATest *t = dsa_start(DEV);
    static const unsigned sizes[] = { 1, 63, 4096, 5000, 300000 };
    DSADesc d;
    DSARecord r;

    dsa_enable(t, &dwq, NULL);
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        dsa_fill_pattern(t, DSA_MEM_SRC + 3, sizes[i], i);
        d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC + 3, DSA_MEM_DST + 77,
                     sizes[i]);
        r = dsa_run(t, 0, &d);
        g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
        g_assert_cmpuint(r.bytes, ==, sizes[i]);
        dsa_assert_equal(t, DSA_MEM_SRC + 3, DSA_MEM_DST + 77, sizes[i]);
    }

    /* Overlapping, both directions */
    for (int shift = -100; shift <= 100; shift += 200) {
        dsa_fill_pattern(t, DSA_MEM_SRC, 20000, 1);
        dsa_fill_pattern(t, DSA_MEM_AUX, 20000, 1);
        d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC + 200,
                     DSA_MEM_SRC + 200 + shift, 15000);
        r = dsa_run(t, 0, &d);
        g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
        g_assert_cmpuint(r.result, ==, shift > 0);
        dsa_assert_equal(t, DSA_MEM_SRC + 200 + shift, DSA_MEM_AUX + 200,
                         15000);
    }

    /* A fault in the middle: what was done before it is told */
    d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, 128 * MiB - 8192, 16384);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_PAGE_FAULT | DSA_CR_STATUS_WRITE);
    g_assert_cmpuint(r.bytes, ==, 8192);
    g_assert_cmphex(r.fault, ==, 128 * MiB);
    d = dsa_desc(DSA_OP_MEMMOVE, 0, 128 * MiB, DSA_MEM_DST, 4);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_PAGE_FAULT);

    /* Sizes */
    d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, DSA_MEM_DST, 0);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_XFER_SIZE);
    d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, DSA_MEM_DST, (1 << 21) + 1);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_XFER_SIZE);
    dsa_stop(t);
}

static void test_fill_compare(void)
{
    DSATest *t = dsa_start(DEV);
    const uint64_t pattern = 0x1122334455667788ull;
    DSADesc d;
    DSARecord r;

    dsa_enable(t, &dwq, NULL);
    d = dsa_desc(DSA_OP_FILL, 0, pattern, DSA_MEM_DST + 1, 9003);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmphex(qtest_readq(t->qts, DSA_MEM_DST + 1), ==, pattern);
    g_assert_cmphex(qtest_readq(t->qts, DSA_MEM_DST + 1 + 8992), ==, pattern);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_DST + 9003), ==, 0x66);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_DST + 9004), ==, 0);

    d = dsa_desc(DSA_OP_COMPVAL, 0, DSA_MEM_DST + 1, pattern, 9003);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.result, ==, 0);
    g_assert_cmpuint(r.bytes, ==, 9003);

    dsa_fill_pattern(t, DSA_MEM_SRC, 9000, 5);
    dsa_fill_pattern(t, DSA_MEM_AUX, 9000, 5);
    d = dsa_desc(DSA_OP_COMPARE, 0, DSA_MEM_SRC, DSA_MEM_AUX, 9000);
    g_assert_cmpuint(dsa_run(t, 0, &d).result, ==, 0);
    qtest_writeb(t->qts, DSA_MEM_AUX + 6000, 0xee);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.result, ==, 1);
    g_assert_cmpuint(r.bytes, ==, 6000);

    /* Check Result: expected equal, then expected different */
    d = dsa_desc(DSA_OP_COMPARE, DSA_FLAG_CHECK_RESULT, DSA_MEM_SRC,
                 DSA_MEM_AUX, 9000);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_FALSE_PREDICATE);
    d.b[DSA_DESC_EXPECTED_RES] = 1;
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);

    d = dsa_desc(DSA_OP_CFLUSH, DSA_FLAG_CACHE_CTRL, 0, DSA_MEM_DST, 9000);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    d = dsa_desc(DSA_OP_CFLUSH, 0, 0, 128 * MiB, 64);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_PAGE_FAULT);
    dsa_stop(t);
}

static DSADesc delta_desc(uint32_t max)
{
    DSADesc d = dsa_desc(DSA_OP_CREATE_DELTA, 0, DSA_MEM_SRC, DSA_MEM_DST,
                         16384);

    stq_le_p(d.b + DSA_DESC_DELTA_ADDR, DSA_MEM_AUX);
    stl_le_p(d.b + DSA_DESC_MAX_DELTA, max);
    return d;
}

static void test_delta(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = delta_desc(200);
    DSARecord r;

    dsa_enable(t, &dwq, NULL);
    dsa_fill_pattern(t, DSA_MEM_SRC, 16384, 9);
    dsa_fill_pattern(t, DSA_MEM_DST, 16384, 9);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.result, ==, 0);
    g_assert_cmpuint(r.data, ==, 0);

    qtest_writeb(t->qts, DSA_MEM_DST + 8, 0xfe);
    qtest_writeb(t->qts, DSA_MEM_DST + 5001, 0xfd);
    qtest_writeb(t->qts, DSA_MEM_DST + 16383, 0xfc);
    r = dsa_run(t, 0, &d);
    g_assert_cmpuint(r.result, ==, 1);
    g_assert_cmpuint(r.data, ==, 30);
    g_assert_cmpuint(qtest_readw(t->qts, DSA_MEM_AUX), ==, 1);
    g_assert_cmpuint(qtest_readw(t->qts, DSA_MEM_AUX + 10), ==, 5001 / 8);
    g_assert_cmpuint(qtest_readw(t->qts, DSA_MEM_AUX + 20), ==, 16383 / 8);

    /* Applying it to the source makes it the destination */
    d = dsa_desc(DSA_OP_APPLY_DELTA, 0, DSA_MEM_AUX, DSA_MEM_SRC, 16384);
    stl_le_p(d.b + DSA_DESC_DELTA_SIZE, 30);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.bytes, ==, 30);
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, 16384);

    /* Records that are out of order or range */
    qtest_writew(t->qts, DSA_MEM_AUX + 20, 3);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_DELTA_ORDER);
    g_assert_cmpuint(r.bytes, ==, 20);
    qtest_writew(t->qts, DSA_MEM_AUX + 20, 2048);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_DELTA_RANGE);
    stl_le_p(d.b + DSA_DESC_DELTA_SIZE, 31);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_DELTA_SIZE);

    /* A record that does not fit, and the expected-result mask */
    dsa_fill_pattern(t, DSA_MEM_SRC, 16384, 1);
    dsa_fill_pattern(t, DSA_MEM_DST, 16384, 2);
    d = delta_desc(100);
    r = dsa_run(t, 0, &d);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.result, ==, 2);
    g_assert_cmpuint(r.data, ==, 100);
    g_assert_cmpuint(r.bytes, ==, 80);
    stl_le_p(d.b + DSA_DESC_DW1,
             ldl_le_p(d.b + DSA_DESC_DW1) | DSA_FLAG_CHECK_RESULT);
    d.b[DSA_DESC_EXPECTED_MASK] = 3;
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_FALSE_PREDICATE);
    d.b[DSA_DESC_EXPECTED_MASK] = 4;
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);

    /* Operands */
    d = delta_desc(70);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_DELTA_SIZE);
    d = delta_desc(200);
    stq_le_p(d.b + DSA_DESC_SRC, DSA_MEM_SRC + 4);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_ADDR_ALIGN);
    d = delta_desc(200);
    stl_le_p(d.b + DSA_DESC_XFER_SIZE, 0x80000);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_XFER_SIZE);
    d = delta_desc(200);
    stq_le_p(d.b + DSA_DESC_DELTA_ADDR, DSA_MEM_SRC + 16384 - 8);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_OVERLAP);
    dsa_stop(t);
}

static void test_dualcast(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = dsa_desc(DSA_OP_DUALCAST, 0, DSA_MEM_SRC + 9,
                         DSA_MEM_DST + 0x123, 20000);

    dsa_enable(t, &dwq, NULL);
    dsa_fill_pattern(t, DSA_MEM_SRC, 30000, 77);
    stq_le_p(d.b + DSA_DESC_DST2, DSA_MEM_AUX + 0x123);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC + 9, DSA_MEM_DST + 0x123, 20000);
    dsa_assert_equal(t, DSA_MEM_SRC + 9, DSA_MEM_AUX + 0x123, 20000);

    stq_le_p(d.b + DSA_DESC_DST2, DSA_MEM_AUX + 0x124);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_DUALCAST);
    stq_le_p(d.b + DSA_DESC_DST2, DSA_MEM_DST + 0x1123);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_OVERLAP);
    dsa_stop(t);
}

static void test_crc(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = dsa_desc(DSA_OP_CRCGEN, 0, DSA_MEM_SRC, 0, 9);
    g_autofree uint8_t *buf = g_malloc(9000);
    uint32_t whole, half;

    /* The check value that every description of CRC-32C gives */
    dsa_enable(t, &dwq, NULL);
    qtest_memwrite(t->qts, DSA_MEM_SRC, "123456789", 9);
    g_assert_cmphex(dsa_run(t, 0, &d).data, ==, 0xe3069283);

    /* Neither reflected nor inverted: CRC with initial value 0 */
    d = dsa_desc(DSA_OP_CRCGEN, DSA_FLAG_CRC_BYPASS_INVERT |
                 DSA_FLAG_CRC_BYPASS_DATA, DSA_MEM_SRC, 0, 1);
    qtest_writeb(t->qts, DSA_MEM_SRC, 1);
    g_assert_cmphex(dsa_run(t, 0, &d).data, ==, 0x1edc6f41);

    dsa_fill_pattern(t, DSA_MEM_SRC, 9000, 3);
    qtest_memread(t->qts, DSA_MEM_SRC, buf, 9000);
    whole = crc32c(0xffffffff, buf, 9000);
    d = dsa_desc(DSA_OP_CRCGEN, 0, DSA_MEM_SRC, 0, 9000);
    g_assert_cmphex(dsa_run(t, 0, &d).data, ==, whole);

    /* In two halves, the second with the seed from memory, and copied */
    d = dsa_desc(DSA_OP_CRCGEN, 0, DSA_MEM_SRC, 0, 4500);
    half = dsa_run(t, 0, &d).data;
    qtest_writel(t->qts, DSA_MEM_AUX, half);
    d = dsa_desc(DSA_OP_COPY_CRC, DSA_FLAG_CRC_READ_SEED, DSA_MEM_SRC + 4500,
                 DSA_MEM_DST, 4500);
    stq_le_p(d.b + DSA_DESC_CRC_SEED_ADDR, DSA_MEM_AUX);
    g_assert_cmphex(dsa_run(t, 0, &d).data, ==, whole);
    dsa_assert_equal(t, DSA_MEM_SRC + 4500, DSA_MEM_DST, 4500);

    stq_le_p(d.b + DSA_DESC_CRC_SEED_ADDR, DSA_MEM_AUX + 2);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_ADDR_ALIGN);
    d = dsa_desc(DSA_OP_COPY_CRC, 0, DSA_MEM_SRC, DSA_MEM_SRC + 1, 10);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_OVERLAP);
    dsa_stop(t);
}

static void test_descriptor_errors(void)
{
    DSATest *t = dsa_start(DEV);
    static const struct {
        uint8_t opcode;
        uint32_t flags;
        uint8_t byte;           /* set to 1 */
        uint8_t status;
        uint32_t invalid;
    } cases[] = {
        { 0x0a, 0, 0, DSA_STATUS_BAD_OPCODE },
        { 0xff, 0, 0, DSA_STATUS_BAD_OPCODE },
        { DSA_OP_DIF_CHECK, 0, 0, DSA_STATUS_BAD_OPCODE },
        { DSA_OP_NOOP, DSA_FLAG_FENCE, 0, DSA_STATUS_INVALID_FLAGS,
          DSA_FLAG_FENCE },
        { DSA_OP_MEMMOVE, DSA_FLAG_BOF, 0, DSA_STATUS_INVALID_FLAGS,
          DSA_FLAG_BOF },
        { DSA_OP_MEMMOVE, DSA_FLAG_DEST_READBACK, 0, DSA_STATUS_INVALID_FLAGS,
          DSA_FLAG_DEST_READBACK },
        { DSA_OP_NOOP, 1 << 6, 0, DSA_STATUS_INVALID_FLAGS, 1 << 6 },
        { DSA_OP_FILL, 0xff0000, 0, DSA_STATUS_INVALID_FLAGS, 0xff0000 },
        { DSA_OP_NOOP, 0, 3, DSA_STATUS_RESERVED },
        { DSA_OP_NOOP, 0, 63, DSA_STATUS_RESERVED },
        { DSA_OP_MEMMOVE, 0, 38, DSA_STATUS_RESERVED },
        { DSA_OP_DRAIN, 0, 16, DSA_STATUS_RESERVED },
    };

    dsa_enable(t, &dwq, NULL);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        DSADesc d = dsa_desc(cases[i].opcode, cases[i].flags, 0, 0, 0);
        DSARecord r;

        if (cases[i].byte) {
            d.b[cases[i].byte] = 1;
        }
        r = dsa_run(t, 0, &d);
        g_assert_cmphex(r.status, ==, cases[i].status);
        g_assert_cmphex((uint32_t)r.data, ==, cases[i].invalid);
    }
    dsa_stop(t);
}

static void put_list(DSATest *t, int i, DSADesc d)
{
    uint64_t cr = DSA_MEM_CR + (i + 1) * DSA_CR_SIZE;

    stq_le_p(d.b + DSA_DESC_CR_ADDR, cr);
    qtest_memset(t->qts, cr, 0, DSA_CR_SIZE);
    qtest_memwrite(t->qts, DSA_MEM_LIST + i * DSA_DESC_SIZE, d.b,
                   DSA_DESC_SIZE);
}

static uint8_t list_status(DSATest *t, int i)
{
    return qtest_readb(t->qts, DSA_MEM_CR + (i + 1) * DSA_CR_SIZE);
}

static void test_batch(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc move = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, DSA_MEM_DST, 100);
    DSADesc fence = dsa_desc(DSA_OP_NOOP, DSA_FLAG_FENCE, 0, 0, 0);
    DSADesc bad = dsa_desc(DSA_OP_MEMMOVE, 0, 128 * MiB, DSA_MEM_DST, 100);
    DSADesc b = dsa_desc(DSA_OP_BATCH, 0, DSA_MEM_LIST, 0, 3);
    DSARecord r;

    dsa_enable(t, &dwq, NULL);
    put_list(t, 0, move);
    put_list(t, 1, fence);
    put_list(t, 2, move);
    r = dsa_run(t, 0, &b);
    g_assert_cmphex(r.status, ==, DSA_STATUS_SUCCESS);
    g_assert_cmpuint(r.bytes, ==, 3);
    g_assert_cmphex(list_status(t, 2), ==, DSA_STATUS_SUCCESS);

    /* Without a fence a failure does not stop the rest */
    put_list(t, 0, bad);
    put_list(t, 1, move);
    put_list(t, 2, move);
    r = dsa_run(t, 0, &b);
    g_assert_cmphex(r.status, ==, DSA_STATUS_BATCH_FAIL);
    g_assert_cmpuint(r.bytes, ==, 3);
    g_assert_cmphex(list_status(t, 0), ==, DSA_STATUS_PAGE_FAULT);
    g_assert_cmphex(list_status(t, 2), ==, DSA_STATUS_SUCCESS);

    /* With one it does, a false predicate too */
    put_list(t, 0, bad);
    put_list(t, 1, fence);
    put_list(t, 2, move);
    r = dsa_run(t, 0, &b);
    g_assert_cmphex(r.status, ==, DSA_STATUS_BATCH_FAIL);
    g_assert_cmpuint(r.bytes, ==, 1);
    g_assert_cmphex(list_status(t, 1), ==, 0);
    g_assert_cmphex(list_status(t, 2), ==, 0);

    /* No batch and no drain in a batch */
    put_list(t, 0, b);
    put_list(t, 1, dsa_desc(DSA_OP_DRAIN, 0, 0, 0, 0));
    put_list(t, 2, move);
    r = dsa_run(t, 0, &b);
    g_assert_cmphex(r.status, ==, DSA_STATUS_BATCH_FAIL);
    g_assert_cmphex(list_status(t, 0), ==, DSA_STATUS_BAD_OPCODE);
    g_assert_cmphex(list_status(t, 1), ==, DSA_STATUS_BAD_OPCODE);
    g_assert_cmphex(list_status(t, 2), ==, DSA_STATUS_SUCCESS);

    b = dsa_desc(DSA_OP_BATCH, 0, DSA_MEM_LIST + 8, 0, 3);
    g_assert_cmphex(dsa_run(t, 0, &b).status, ==, DSA_STATUS_LIST_ALIGN);
    b = dsa_desc(DSA_OP_BATCH, 0, DSA_MEM_LIST, 0, 1);
    g_assert_cmphex(dsa_run(t, 0, &b).status, ==, DSA_STATUS_DESC_COUNT);
    b = dsa_desc(DSA_OP_BATCH, 0, DSA_MEM_LIST, 0, 33);
    g_assert_cmphex(dsa_run(t, 0, &b).status, ==, DSA_STATUS_DESC_COUNT);

    /* The list ends where memory does */
    b = dsa_desc(DSA_OP_BATCH, 0, 128 * MiB - 64, 0, 4);
    qtest_memset(t->qts, 128 * MiB - 64, 0, 64);
    r = dsa_run(t, 0, &b);
    g_assert_cmphex(r.status, ==, DSA_STATUS_BATCH_PAGE_FAULT);
    g_assert_cmphex(r.fault, ==, 128 * MiB);
    g_assert_cmpuint(r.bytes, ==, 1);
    dsa_stop(t);
}

/* Long enough to be still running when the next qtest command arrives */
static DSADesc long_desc(void)
{
    DSADesc d = dsa_desc(DSA_OP_FILL, 0, 0, DSA_MEM_BIG, 1 << 21);

    stl_le_p(d.b + DSA_DESC_DW0, PASID);
    return d;
}

/* A whole batch of them */
static DSADesc slow_batch(DSATest *t)
{
    DSADesc b = dsa_desc(DSA_OP_BATCH, 0, DSA_MEM_LIST, 0, 16);

    for (int i = 0; i < 16; i++) {
        put_list(t, i, long_desc());
    }
    stl_le_p(b.b + DSA_DESC_DW0, PASID);
    return b;
}

static void test_wq_limits(void)
{
    DSATest *t = start_vtd();
    DSADesc slow = slow_batch(t);
    DSADesc noop = dsa_desc(DSA_OP_NOOP, 0, 0, 0, 0);
    uint32_t sts;
    int ok = 0, retry = 0;

    dsa_enable(t, &dwq_pasid, &swq);

    /*
     * The wrong kind of write, a disabled WQ, a portal for message storage
     * that does not exist: retry, or ignored without an error
     */
    g_assert_cmpint(dsa_submit(t, 0, false, &noop), ==, 1);
    g_assert_cmpint(dsa_submit(t, 1, true, &noop), ==, 0);
    g_assert_cmpint(dsa_submit(t, 2, false, &noop), ==, 1);
    g_assert_cmpint(dsa_submit(t, 2, true, &noop), ==, 0);
    g_assert_cmpint(qtest_enqueue64(t->qts, dsa_portal(t, 0, true) +
                                    DSA_PORTAL_IMS * DSA_PORTAL_PAGE, true,
                                    noop.b), ==, 0);
    g_assert_cmpint(qtest_enqueue64(t->qts, dsa_portal(t, 1, true) +
                                    DSA_PORTAL_IMS * DSA_PORTAL_PAGE, false,
                                    noop.b), ==, 1);
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_DRAIN_ALL, 0), ==, 0);
    g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR), ==, 0);
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);

    /* The threshold of the limited portal, the size of the other */
    for (int i = 0; i < 64; i++) {
        if (dsa_submit(t, 1, false, &slow)) {
            retry++;
        } else {
            ok++;
        }
        sts = dsa_readl(t, dsa_wqcfg(t, 1) + DSA_WQCFG_DW_STATUS * 4);
        g_assert_cmpuint(FIELD_EX32(sts, WQCFG_STATUS, OCCUPANCY), <=, 4);
    }
    g_assert_cmpint(ok, >=, 4);
    g_assert_cmpint(retry, >, 0);
    for (int i = 0; i < 64; i++) {
        qtest_enqueue64(t->qts, dsa_portal(t, 1, false), false, slow.b);
    }
    sts = dsa_readl(t, dsa_wqcfg(t, 1) + DSA_WQCFG_DW_STATUS * 4);
    g_assert_cmpuint(FIELD_EX32(sts, WQCFG_STATUS, OCCUPANCY), >, 4);

    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_ABORT_WQ, 1), ==, 0);
    sts = dsa_readl(t, dsa_wqcfg(t, 1) + DSA_WQCFG_DW_STATUS * 4);
    g_assert_cmpuint(FIELD_EX32(sts, WQCFG_STATUS, OCCUPANCY), ==, 0);
    g_assert_cmphex(dsa_run(t, 0, &noop).status, ==, DSA_STATUS_SUCCESS);
    dsa_stop(t);
}

/* A dedicated WQ cannot say retry: SWERROR tells of what it lost */
static void test_dwq_full(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc slow = slow_batch(t);
    uint64_t err;

    dsa_enable(t, &dwq, NULL);
    for (int i = 0; i < 16; i++) {
        dsa_submit(t, 0, true, &slow);
    }
    g_assert_cmphex(dsa_readq(t, A_SWERR0), ==, 0);
    for (int i = 0; i < 16; i++) {
        dsa_submit(t, 0, true, &slow);
    }
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_SWERR_DWQ_FULL);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, WQ_IDX_VALID), ==, 1);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, DESC_VALID), ==, 0);

    /* A reset of the device keeps it: 3.15 */
    g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
    err = dsa_readq(t, A_SWERR0);
    g_assert_cmphex(FIELD_EX64(err, SWERR0, ERROR), ==, DSA_SWERR_DWQ_FULL);
    dsa_stop(t);
}

static void test_drain_waits(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = long_desc();

    dsa_enable(t, &dwq, NULL);
    for (int i = 0; i < 8; i++) {
        stq_le_p(d.b + DSA_DESC_CR_ADDR, DSA_MEM_CR + i * DSA_CR_SIZE);
        dsa_submit(t, 0, true, &d);
    }
    g_assert_cmphex(dsa_cmd_wq(t, DSA_CMD_DISABLE_WQ, 0), ==, 0);
    for (int i = 0; i < 8; i++) {
        g_assert_cmphex(qtest_readb(t->qts, DSA_MEM_CR + i * DSA_CR_SIZE), ==,
                        DSA_STATUS_SUCCESS);
    }
    dsa_stop(t);
}

/*
 * A WQ that is being disabled finishes what it has and takes nothing new.  The
 * device does not wait for the test: on a busy host the queue can be drained
 * before the test has looked at it, so try again until it is seen half full.
 */
static void test_disable_refuses(void)
{
    DSATest *t = start_vtd();
    DSADesc d = long_desc();
    bool seen = false;
    uint32_t sts;

    dsa_enable(t, &dwq_pasid, &swq);
    for (int i = 0; i < 1000 && !seen; i++) {
        while (!dsa_submit(t, 1, false, &d)) {
            ;
        }
        dsa_writel(t, A_CMD, DSA_CMD_DISABLE_WQ << R_CMD_CODE_SHIFT | 2);
        do {
            sts = dsa_readl(t, dsa_wqcfg(t, 1) + DSA_WQCFG_DW_STATUS * 4);
        } while (FIELD_EX32(sts, WQCFG_STATUS, STATE) == DSA_WQ_ENABLED ||
                 FIELD_EX32(sts, WQCFG_STATUS, OCCUPANCY) > 2);
        seen = FIELD_EX32(sts, WQCFG_STATUS, STATE) == DSA_WQ_BUSY;
        g_assert_cmpint(dsa_submit(t, 1, false, &d), ==, 1);
        while (FIELD_EX32(dsa_readl(t, A_CMDSTS), CMDSTS, ACTIVE)) {
            ;
        }
        g_assert_cmphex(dsa_readl(t, A_CMDSTS), ==, 0);
        g_assert_cmphex(dsa_cmd(t, DSA_CMD_ENABLE_WQ, 1), ==, 0);
    }
    g_assert_true(seen);
    dsa_stop(t);
}

static void test_reset_in_flight(void)
{
    DSATest *t = dsa_start(DEV);
    DSADesc d = long_desc();
    uint8_t exp = qpci_find_capability(t->dev, PCI_CAP_ID_EXP, 0);

    for (int round = 0; round < 6; round++) {
        dsa_enable(t, &dwq, NULL);
        for (int i = 0; i < 16; i++) {
            dsa_submit(t, 0, true, &d);
        }
        switch (round % 3) {
        case 0:
            g_assert_cmphex(dsa_cmd(t, DSA_CMD_RESET_DEVICE, 0), ==, 0);
            break;
        case 1:
            /* A command while another is active is refused and reported */
            dsa_writel(t, A_CMD, DSA_CMD_DRAIN_ALL << R_CMD_CODE_SHIFT);
            dsa_writel(t, A_CMD, DSA_CMD_DRAIN_ALL << R_CMD_CODE_SHIFT);
            g_assert_cmphex(FIELD_EX64(dsa_readq(t, A_SWERR0), SWERR0, ERROR),
                            ==, DSA_SWERR_CMD_ACTIVE);
            /* fall through */
        default:
            qpci_config_writew(t->dev, exp + PCI_EXP_DEVCTL,
                               PCI_EXP_DEVCTL_BCR_FLR);
            t->bar0 = qpci_iomap(t->dev, 0, NULL);
            t->bar2 = qpci_iomap(t->dev, 2, NULL);
            dsa_pci_enable(t);
        }
        g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, 0);
        g_assert_cmphex(dsa_readl(t, A_CMDSTS), ==, 0);
        g_assert_cmphex(dsa_readl(t, dsa_wqcfg(t, 0)), ==, 0);
    }
    dsa_stop(t);
}

static void test_two_devices(void)
{
    DSATest *t = dsa_start(DEV " -device intel-dsa,id=dsa1,addr=5");
    QPCIDevice *second = qpci_device_find(t->bus, QPCI_DEVFN(5, 0));
    QPCIBar bar0;

    g_assert(second);
    bar0 = qpci_iomap(second, 0, NULL);
    qpci_device_enable(second);
    dsa_enable(t, &dwq, NULL);
    g_assert_cmphex(dsa_readl(t, A_GENSTS), ==, DSA_STATE_ENABLED);
    g_assert_cmphex(qpci_io_readl(second, bar0, A_GENSTS), ==, 0);
    g_free(second);
    dsa_stop(t);
}

static void test_migration_blocked(void)
{
    DSATest *t = dsa_start(DEV);
    QDict *rsp = qtest_qmp(t->qts, "{ 'execute': 'query-migrate' }");
    QDict *ret = qdict_get_qdict(rsp, "return");

    g_assert(qdict_haskey(ret, "blocked-reasons"));
    qobject_unref(rsp);
    dsa_stop(t);
}

static void test_bad_properties(void)
{
    static const char *const props[] = {
        "num-wqs=0", "num-wqs=65", "num-groups=17", "num-engines=0",
        "wq-size=0", "wq-size=5000", "max-xfer-shift=32", "max-batch-shift=0",
        "pasid=off,pri=on", "ats=off,pri=on", "atc-entries=2",
        "atc-entries=48", "atc-entries=8192",
    };
    QTestState *qts = qtest_init("-M q35 -nodefaults "
                                 "-device pcie-root-port,id=rp0,addr=6");

    for (int i = 0; i < ARRAY_SIZE(props); i++) {
        g_autofree char *cmd =
            g_strdup_printf("device_add intel-dsa,bus=rp0,id=x,%s", props[i]);
        g_autofree char *out = qtest_hmp(qts, "%s", cmd);

        g_assert(strstr(out, "Error"));
    }
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-dsa/reset-values", test_reset_values);
    qtest_add_func("/intel-dsa/access-rules", test_access_rules);
    qtest_add_func("/intel-dsa/properties", test_bad_properties);
    qtest_add_func("/intel-dsa/cmd/device", test_device_commands);
    qtest_add_func("/intel-dsa/cmd/wq", test_wq_commands);
    qtest_add_func("/intel-dsa/cmd/wq-pasid", test_wq_pasid);
    qtest_add_func("/intel-dsa/cmd/max-xfer", test_max_xfer_shift);
    qtest_add_func("/intel-dsa/cmd/drain-waits", test_drain_waits);
    qtest_add_func("/intel-dsa/cmd/disable-refuses", test_disable_refuses);
    qtest_add_func("/intel-dsa/cmd/reset-in-flight", test_reset_in_flight);
    qtest_add_func("/intel-dsa/interrupts", test_interrupts);
    qtest_add_func("/intel-dsa/user-interrupt", test_user_interrupt);
    qtest_add_func("/intel-dsa/swerr", test_swerr);
    qtest_add_func("/intel-dsa/halt-flr", test_halt_and_flr);
    qtest_add_func("/intel-dsa/halt-on-request", test_halt_on_request);
    qtest_add_func("/intel-dsa/wq-limits", test_wq_limits);
    qtest_add_func("/intel-dsa/dwq-full", test_dwq_full);
    qtest_add_func("/intel-dsa/op/memmove", test_memmove);
    qtest_add_func("/intel-dsa/op/fill-compare-cflush", test_fill_compare);
    qtest_add_func("/intel-dsa/op/delta", test_delta);
    qtest_add_func("/intel-dsa/op/dualcast", test_dualcast);
    qtest_add_func("/intel-dsa/op/crc", test_crc);
    qtest_add_func("/intel-dsa/op/batch", test_batch);
    qtest_add_func("/intel-dsa/descriptor-errors", test_descriptor_errors);
    qtest_add_func("/intel-dsa/two-devices", test_two_devices);
    qtest_add_func("/intel-dsa/migration-blocked", test_migration_blocked);

    return g_test_run();
}
