/*
 * QTest testcase for intel-dsa: a hostile guest
 *
 * Random register, MSI-X and configuration writes, commands, descriptors with
 * every field random and addresses that hit memory, the device itself, the
 * VT-d's tables and nothing; page requests that are answered in every way or
 * never, answers to none, random invalidations; resets in between.  It passes
 * when QEMU survives, has not grown, and the device works after a reset.
 * INTEL_DSA_FUZZ_SEED and INTEL_DSA_FUZZ_STEPS repeat or lengthen a run; the
 * seed is printed.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/pci/pci_regs.h"
#include "intel-dsa-lib.h"

#define DEFAULT_STEPS 50000

/* What QEMU may grow between a quarter of the steps and all of them */
#define MAX_GROWTH (96 * MiB)

/* One that passes through, one with holes, one with nothing */
enum { PASID_PT = 1, PASID_HOLES, PASID_NONE, PASIDS };

static GRand *rnd;
static uint64_t holes;

static uint64_t rnd64(void)
{
    return (uint64_t)g_rand_int(rnd) << 32 | g_rand_int(rnd);
}

static unsigned below(unsigned n)
{
    return g_rand_int_range(rnd, 0, n);
}

static uint64_t address(DSATest *t)
{
    if (!below(100)) {
        return DSA_MEM_TABLES + below(0x40000);
    }
    switch (below(9)) {
    case 0:
        return t->bar0.addr + below(0x4000);
    case 1:
        return dsa_portal(t, below(8), below(2)) + below(4096);
    case 2:
        return dsa_config(t, below(4096));
    case 3:
        return 0xfed90000 + below(4096);
    case 4:
        return rnd64();
    case 5:
        return 128 * MiB - below(8192);
    case 6:
        return DSA_MEM_LIST + below(64) * 64;
    default:
        return DSA_MEM_SRC + below(0x100000);
    }
}

static uint32_t some_pasid(void)
{
    return below(30) ? below(PASIDS) : g_rand_int(rnd) & 0xfffff;
}

/* Three of four descriptors get past the checks of flags and reserved fields */
static void tame(DSADesc *d, uint8_t opcode)
{
    static const struct {
        uint8_t opcode, first, last;
    } reserved[] = {
        { DSA_OP_NOOP, 16, 63 }, { DSA_OP_DRAIN, 16, 63 },
        { DSA_OP_BATCH, 24, 31 }, { DSA_OP_BATCH, 38, 63 },
        { DSA_OP_MEMMOVE, 38, 63 }, { DSA_OP_FILL, 38, 63 },
        { DSA_OP_COMPARE, 38, 63 }, { DSA_OP_COMPVAL, 38, 63 },
        { DSA_OP_CRCGEN, 24, 31 }, { DSA_OP_CRCGEN, 44, 47 },
        { DSA_OP_COPY_CRC, 44, 47 }, { DSA_OP_APPLY_DELTA, 44, 63 },
        { DSA_OP_DUALCAST, 48, 63 }, { DSA_OP_CFLUSH, 16, 23 },
        { DSA_OP_CFLUSH, 38, 63 },
    };

    stl_le_p(d->b, some_pasid() | (below(4) ? 0 : 1u << 31));
    stw_le_p(d->b + 38, 0);
    for (int i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (reserved[i].opcode == opcode) {
            memset(d->b + reserved[i].first, 0,
                   reserved[i].last - reserved[i].first + 1);
        }
    }
    if (opcode == DSA_OP_BATCH) {
        stq_le_p(d->b + DSA_DESC_SRC, DSA_MEM_LIST + below(64) * 64);
        stl_le_p(d->b + DSA_DESC_XFER_SIZE, below(34));
    } else if (opcode == DSA_OP_CREATE_DELTA || opcode == DSA_OP_APPLY_DELTA) {
        stq_le_p(d->b + DSA_DESC_SRC, (DSA_MEM_SRC + below(5000)) & ~7);
        stq_le_p(d->b + DSA_DESC_DST, (DSA_MEM_DST + below(5000)) & ~7);
        stl_le_p(d->b + DSA_DESC_XFER_SIZE, below(9000) * 8);
        if (opcode == DSA_OP_APPLY_DELTA) {
            stl_le_p(d->b + DSA_DESC_DELTA_SIZE, below(50) * 10);
        }
    }
}

static DSADesc descriptor(DSATest *t)
{
    static const uint8_t ops[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11,
                                   0x12, 0x20, 0xff };
    DSADesc d = { 0 };
    uint8_t op = ops[below(ARRAY_SIZE(ops))];
    bool wild = !below(4);

    for (int i = 0; i < DSA_DESC_SIZE / 8; i++) {
        stq_le_p(d.b + i * 8, wild ? rnd64() : 0);
    }
    stl_le_p(d.b + DSA_DESC_DW1, op << 24 |
             (below(8) ? DSA_FLAG_CRAV | DSA_FLAG_RCR : 0) |
             (op >= DSA_OP_MEMMOVE && below(2) ? DSA_FLAG_BOF : 0) |
             (below(8) ? 0 : g_rand_int(rnd) & 0xffffff));
    stq_le_p(d.b + DSA_DESC_CR_ADDR, address(t) & (below(8) ? ~31ull : ~0ull));
    stq_le_p(d.b + DSA_DESC_SRC, address(t) & (below(2) ? ~63ull : ~0ull));
    stq_le_p(d.b + DSA_DESC_DST, address(t) & (below(2) ? ~7ull : ~0ull));
    stl_le_p(d.b + DSA_DESC_XFER_SIZE, below(3) ? below(40) : below(70000));
    if (below(2)) {
        stq_le_p(d.b + DSA_DESC_DELTA_ADDR, address(t) & ~7ull);
        stl_le_p(d.b + DSA_DESC_MAX_DELTA, below(40) * 10);
    }
    if (!wild) {
        tame(&d, op);
    }
    return d;
}

/* Some more pages of the buffers, and what is behind them */
static void map_some(DSATest *t)
{
    for (int i = 0; i < 16; i++) {
        uint64_t page = DSA_MEM_CR + below(0x300) * 4096;

        vtd_map(t, PGTT_FL, holes, page, page, 4096);
    }
}

static void start_vtd(DSATest *t)
{
    vtd_restart(t);
    holes = vtd_page(t);
    vtd_set_pasid(t, 0, PGTT_PT, 1, 0);
    vtd_set_pasid(t, PASID_PT, PGTT_PT, 1, 0);
    vtd_set_pasid(t, PASID_HOLES, PGTT_FL, 2, holes);
    vtd_set_pasid_sre(t, PASID_HOLES);
    map_some(t);
}

/* Bring the device to where descriptors are taken again */
static void revive(DSATest *t, const DSAWQConfig *dwq)
{
    static const DSAWQConfig swq = { .shared = true, .size = 32, .group = 1,
                                     .threshold = 16, .pasid_en = true,
                                     .bof = true };
    uint8_t msix = qpci_find_capability(t->dev, PCI_CAP_ID_MSIX, 0);

    dsa_flr(t);
    dsa_pasid_enable(t);
    dsa_ats_enable(t, true);
    dsa_pri_enable(t, 1 + below(8));
    qpci_config_writew(t->dev, msix + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE);
    dsa_enable(t, dwq, &swq);
}

static void revive_somehow(DSATest *t)
{
    DSAWQConfig dwq = {
        .size = 32,
        .pasid_en = below(4),
        .pasid = below(PASIDS),
        .bof = below(4),
        .priv = !below(3),
        .ats_disable = !below(3),
    };

    if (!below(3)) {
        start_vtd(t);
    }
    revive(t, &dwq);
}

/* The oldest page request, or one that never was, is answered somehow */
static void respond(DSATest *t)
{
    static const uint8_t codes[] = { 0, 0, 0, 0, 1, 1, 2, 15 };
    uint64_t q0 = 0, q1 = 0;
    uint16_t prgi = below(24);
    uint32_t pasid = some_pasid();

    if (below(8) && vtd_pop_page_request(t, &q0, &q1)) {
        prgi = extract64(q1, 3, 9);
        pasid = extract64(q0, 32, 20);
        if (below(2)) {
            vtd_map(t, PGTT_FL, holes, q1 & 0xfffff000ull, DSA_MEM_SRC, 4096);
        }
    }
    if (vtd_stuck(t) && !below(4)) {
        start_vtd(t);
    }
    vtd_queue(t, VTD_PAGE_RESP(below(50) ? t->sid : below(0x10000), pasid,
                               codes[below(ARRAY_SIZE(codes))]),
              VTD_PAGE_RESP_HI(prgi));
}

static void invalidate(DSATest *t)
{
    uint64_t page = DSA_MEM_CR + below(0x300) * 4096;

    switch (below(8)) {
    case 0:
        vtd_queue(t, VTD_INV_DEV_PASID(some_pasid()),
                  below(2) ? VTD_INV_DEV_PASID_ALL : page);
        break;
    case 1:
        vtd_queue(t, VTD_INV_DEV_PASID(some_pasid()),
                  rnd64() & (~0xfffull | VTD_INV_DEV_PASID_S |
                             VTD_INV_DEV_PASID_GLOBAL));
        break;
    case 2:
        vtd_queue(t, VTD_INV_DEV, below(2) ? VTD_INV_DEV_ALL : page);
        break;
    case 3:
        vtd_queue(t, VTD_INV_PIOTLB(2, PASID_HOLES), 0);
        break;
    case 4:
        vtd_queue(t, VTD_INV_PASID_CACHE(below(3), some_pasid()), 0);
        break;
    case 5:
        map_some(t);
        break;
    default:
        /* Once in a while one that stops the queue */
        if (!below(50)) {
            vtd_queue(t, rnd64(), rnd64());
        }
        break;
    }
}

static void step(DSATest *t)
{
    unsigned what = below(100);
    DSADesc d;

    if (what < 50) {
        d = descriptor(t);
        dsa_submit(t, below(3), below(2), &d);
    } else if (what < 60) {
        d = descriptor(t);
        qtest_memwrite(t->qts, DSA_MEM_LIST + below(64) * DSA_DESC_SIZE, d.b,
                       DSA_DESC_SIZE);
    } else if (what < 70) {
        respond(t);
    } else if (what < 74) {
        invalidate(t);
    } else if (what < 80) {
        dsa_writel(t, below(0x2000) & ~3u, g_rand_int(rnd));
    } else if (what < 83) {
        dsa_writel(t, A_CMD, below(20) << R_CMD_CODE_SHIFT | below(32) |
                             (below(2) ? R_CMD_INT_REQ_MASK : 0));
    } else if (what < 90) {
        dsa_writel(t, DSA_MSIX_TABLE + below(9) * 16, address(t));
        dsa_writel(t, DSA_MSIX_TABLE + below(9) * 16 + below(4) * 4,
                   g_rand_int(rnd) & 0xf);
    } else if (what < 94) {
        dsa_readl(t, below(0x4000) & ~3u);
    } else if (what < 96) {
        qtest_writeb(t->qts, dsa_config(t, 0x40 + below(0x200)),
                     g_rand_int(rnd));
    } else if (what < 97 && !below(3)) {
        dsa_writel(t, A_CMD, DSA_CMD_RESET_DEVICE << R_CMD_CODE_SHIFT);
    } else {
        revive_somehow(t);
    }
}

static unsigned setting(const char *name, unsigned val)
{
    const char *env = getenv(name);

    g_assert(!env || !qemu_strtoui(env, NULL, 0, &val));
    return val;
}

static uint64_t resident(DSATest *t)
{
    g_autofree char *name = g_strdup_printf("/proc/%d/statm",
                                            (int)qtest_pid(t->qts));
    g_autofree char *text = NULL;
    unsigned long long pages;

    if (!g_file_get_contents(name, &text, NULL, NULL) ||
        sscanf(text, "%*u %llu", &pages) != 1) {
        return 0;
    }
    return pages * qemu_real_host_page_size();
}

static void test_fuzz(void)
{
    static const DSAWQConfig dwq = { .size = 32, .pasid_en = true,
                                     .pasid = PASID_PT };
    unsigned seed = setting("INTEL_DSA_FUZZ_SEED", g_random_int());
    unsigned steps = setting("INTEL_DSA_FUZZ_STEPS", DEFAULT_STEPS);
    DSATest *t = dsa_start("-device intel-iommu,x-scalable-mode=on,x-flts=on,"
                           "x-slts=on,x-pasid-mode=on,x-pss=19,"
                           "x-pasid-cache=on,device-iotlb=on "
                           "-device intel-dsa,id=dsa0,addr=4");
    uint64_t before = 0, after;
    DSADesc d;

    rnd = g_rand_new_with_seed(seed);
    g_test_message("INTEL_DSA_FUZZ_SEED=%u INTEL_DSA_FUZZ_STEPS=%u", seed,
                   steps);

    start_vtd(t);
    revive_somehow(t);
    for (unsigned i = 0; i < steps; i++) {
        if (i == steps / 4) {
            before = resident(t);
        }
        step(t);
    }
    after = resident(t);
    g_test_message("resident: %" PRIu64 " KiB, then %" PRIu64 " KiB",
                   before / KiB, after / KiB);
#ifndef QEMU_SANITIZE_ADDRESS
    /* Which keeps what is freed */
    g_assert_cmpuint(after, <, before + MAX_GROWTH);
#endif

    start_vtd(t);
    revive(t, &dwq);
    dsa_fill_pattern(t, DSA_MEM_SRC, 10000, seed);
    d = dsa_desc(DSA_OP_MEMMOVE, 0, DSA_MEM_SRC, DSA_MEM_DST, 10000);
    g_assert_cmphex(dsa_run(t, 0, &d).status, ==, DSA_STATUS_SUCCESS);
    dsa_assert_equal(t, DSA_MEM_SRC, DSA_MEM_DST, 10000);
    g_rand_free(rnd);
    dsa_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/intel-dsa/fuzz", test_fuzz);
    return g_test_run();
}
