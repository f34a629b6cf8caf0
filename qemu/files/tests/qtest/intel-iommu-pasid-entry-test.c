/*
 * QTest of the checks of PASID-table entries in intel-iommu: each bit of an
 * entry that translates, for each translation type and capability
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "vtd-lib.h"

#define PASID   0x12345
#define DID     7
#define IOVA    0x4000000000ull
#define NONE    VTD_TESTDEV_NO_PASID

#define RSVD    VTD_FR_PASID_TABLE_ENTRY_RSVD
#define INV     VTD_FR_PASID_TABLE_ENTRY_INV
#define ANY     0xff    /* neither of the two */

#define FLT     VTD_SM_PASID_ENTRY_FLT
#define SLT     VTD_SM_PASID_ENTRY_SLT
#define NESTED  VTD_SM_PASID_ENTRY_NESTED
#define PT      VTD_SM_PASID_ENTRY_PT
#define AW(val) ((val) << 2)
#define FSPM(val) ((uint64_t)(val) << 2)

typedef struct Tables {
    uint64_t fs;        /* IOVA to VTD_MEM_A */
    uint64_t ss;        /* the same */
    uint64_t same;      /* second stage: all memory where it is */
} Tables;

static Tables make_tables(VTDTest *t)
{
    Tables tables = {
        .fs = vtd_page(t), .ss = vtd_page(t), .same = vtd_page(t),
    };

    vtd_map(t, tables.fs, IOVA, VTD_MEM_A, FS_USER);
    vtd_map_level(t, tables.ss, 4, 1, IOVA, VTD_MEM_A, SS_RW, SS_RW);
    vtd_map_level(t, tables.same, 4, 3, 0, 0, SS_RW, SS_RW);
    return tables;
}

/* Of the type @pgtt, and all else as little as it can be */
static void make_entry(const Tables *tables, unsigned pgtt, uint64_t e[8])
{
    memset(e, 0, 8 * sizeof(*e));
    e[0] = VTD_PASID_ENTRY_P | pgtt;
    e[1] = DID | VTD_SM_PASID_ENTRY_PWSNP;
    if (pgtt == SLT || pgtt == NESTED) {
        e[0] |= AW(2) | (pgtt == SLT ? tables->ss : tables->same);
    }
    if (pgtt == FLT || pgtt == NESTED) {
        e[2] |= tables->fs;
    }
}

static void set_entry(VTDTest *t, uint32_t pasid, const uint64_t e[8])
{
    uint64_t at = vtd_pasid_entry(t, pasid);

    qtest_writeq(t->qts, at, 0);
    for (int i = 7; i >= 0; i--) {
        qtest_writeq(t->qts, at + i * 8, e[i]);
    }
    vtd_inv(t, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0);
    vtd_inv(t, INV_IOTLB_GLOBAL, 0);
}

static uint64_t address(unsigned pgtt)
{
    return pgtt == PT ? VTD_MEM_A : IOVA;
}

static uint8_t reason_of_read(VTDTest *t, uint32_t pasid, unsigned pgtt)
{
    bool ok = td_command(t, VTD_TESTDEV_DMA, pasid, address(pgtt), 0) ==
              VTD_TESTDEV_OK;
    uint8_t reason = vtd_fault(t).reason;

    g_assert_cmpint(ok, ==, !reason);
    return reason;
}

static void assert_reason(VTDTest *t, unsigned pgtt, const uint64_t e[8],
                          uint8_t want)
{
    uint8_t reason;

    set_entry(t, PASID, e);
    reason = reason_of_read(t, PASID, pgtt);
    if (want == ANY ? reason == RSVD || reason == INV : reason != want) {
        g_test_message("type %u, qwords %" PRIx64 " %" PRIx64 " %" PRIx64,
                       pgtt >> 6, e[0], e[1], e[2]);
        g_assert_cmphex(reason, ==, want);
    }
}

/*
 * Each bit that is clear in a good entry.  SKIP: it makes another entry of it,
 * of another type or for another table.
 */
#define SKIP    0xfe

static uint8_t expect_bit(unsigned pgtt, unsigned bit)
{
    bool fs = pgtt == FLT || pgtt == NESTED;
    bool ss = pgtt == SLT || pgtt == NESTED;

    switch (bit) {
    case 1:                         /* FPD: nothing is recorded or wrong */
        return 0;
    case 2 ... 4:                   /* AW 3 and 6, where it is used */
        return ss ? INV : 0;
    case 6 ... 8:                   /* PGTT */
    case 12 ... 47:                 /* SSPTPTR */
    case 128 + 12 ... 128 + 47:     /* FSPTPTR */
        return SKIP;
    case 64 ... 64 + 15:            /* DID */
        return 0;
    case 128 + 0:                   /* SRE, ERE */
    case 128 + 1:
        return 0;
    case 128 + 2:                   /* FSPM: 5 levels, and reserved values */
        return fs ? ANY : 0;
    case 128 + 3:
        return fs ? INV : 0;
    case 128 + 4 ... 128 + 6:       /* WPE, NXE, SMEP */
        return 0;
    default:
        return RSVD;
    }
}

static void test_bits(void)
{
    static const unsigned types[] = { FLT, SLT, NESTED, PT };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    Tables tables = make_tables(t);
    uint64_t good[8], e[8];

    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        make_entry(&tables, types[i], good);
        assert_reason(t, types[i], good, 0);
        for (unsigned bit = 0; bit < 512; bit++) {
            uint8_t want = expect_bit(types[i], bit);

            memcpy(e, good, sizeof(e));
            e[bit / 64] |= 1ull << bit % 64;
            if (e[bit / 64] == good[bit / 64] || want == SKIP) {
                continue;
            }
            assert_reason(t, types[i], e, want);
        }
        assert_reason(t, types[i], good, 0);
    }
    vtd_stop(t);
}

/* All values of the fields that select tables */
static void test_fields(void)
{
    static const unsigned types[] = { FLT, SLT, NESTED, PT };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    Tables tables = make_tables(t);
    uint64_t e[8];

    for (unsigned pgtt = 0; pgtt < 8; pgtt++) {
        bool known = pgtt >= 1 && pgtt <= 4;

        make_entry(&tables, pgtt << 6, e);
        assert_reason(t, pgtt << 6, e, known ? 0 : INV);
    }
    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        bool fs = types[i] == FLT || types[i] == NESTED;
        bool ss = types[i] == SLT || types[i] == NESTED;

        for (unsigned aw = 0; aw < 8; aw++) {
            make_entry(&tables, types[i], e);
            e[0] = (e[0] & ~(uint64_t)AW(7)) | AW(aw);
            assert_reason(t, types[i], e,
                          !ss || aw == 2 ? 0 : aw == 1 ? ANY : INV);
        }
        for (unsigned fspm = 0; fspm < 4; fspm++) {
            make_entry(&tables, types[i], e);
            e[2] |= FSPM(fspm);
            assert_reason(t, types[i], e,
                          !fs || !fspm ? 0 : fspm == 1 ? ANY : INV);
        }
    }
    vtd_stop(t);
}

/* What is there only with a capability, without and with it */
static void test_capabilities(void)
{
    static const struct {
        const char *options;
        unsigned pgtt;
        uint64_t val[3];        /* to add to the entry */
        uint8_t want;
    } caps[] = {
        { "x-srs=off", FLT, { 0 }, 0 },
        { "x-srs=off", FLT, { 0, 0, VTD_SM_PASID_ENTRY_SRE }, RSVD },
        { "x-srs=off", FLT, { 0, 0, VTD_SM_PASID_ENTRY_WPE }, RSVD },
        /* as Linux once did, and real hardware answered */
        { "x-srs=off", SLT, { 0, 0, VTD_SM_PASID_ENTRY_SRE }, RSVD },
        { "x-srs=off", PT, { 0, 0, VTD_SM_PASID_ENTRY_SRE }, RSVD },
        { "x-ers=off", FLT, { 0, 0, VTD_SM_PASID_ENTRY_ERE }, RSVD },
        { "x-ers=off", FLT, { 0, 0, VTD_SM_PASID_ENTRY_NXE }, 0 },
        { "x-smpwc=off", SLT, { 0 }, RSVD },
        { "snoop-control=on", FLT, { 0, VTD_SM_PASID_ENTRY_PGSNP }, 0 },
        { "snoop-control=on", NESTED, { 0, VTD_SM_PASID_ENTRY_PGSNP }, 0 },
        { "snoop-control=off", NESTED, { 0, VTD_SM_PASID_ENTRY_PGSNP }, RSVD },
        { "x-fs5lp=off", FLT, { 0, 0, FSPM(1) }, INV },
        { "x-fs5lp=off", NESTED, { 0, 0, FSPM(1) }, INV },
        { "x-fs5lp=off", SLT, { 0, 0, FSPM(1) }, 0 },
        { "x-slts=off", SLT, { 0 }, INV },
        { "x-slts=off", NESTED, { 0 }, INV },
        { "x-slts=off", FLT, { AW(2) }, 0 },
        { "x-nest=off", NESTED, { 0 }, INV },
        { "x-nest=off", SLT, { 0 }, 0 },
        { "x-flts=off,x-slts=off", FLT, { 0 }, INV },
        { "x-flts=off,x-slts=off", NESTED, { 0 }, INV },
        { "x-flts=off,x-slts=off", SLT, { 0 }, 0 },
        { "pt=off", PT, { 0 }, INV },
        { "pt=off", FLT, { 0 }, 0 },
        { "x-flts=off,x-slts=off,aw-bits=39", SLT, { 0 }, INV },
        { "x-flts=off,x-slts=off,aw-bits=39", PT, { 0 }, 0 },
        { "x-flts=off,x-slts=off,aw-bits=39", PT, { 1ull << 38 }, 0 },
        { "x-flts=off,x-slts=off,aw-bits=39", PT, { 1ull << 39 }, RSVD },
        { "x-flts=off,x-slts=off,aw-bits=39", PT, { 0, 0, 1ull << 39 }, RSVD },
    };

    for (int i = 0; i < ARRAY_SIZE(caps); i++) {
        g_autofree char *options = g_strdup_printf("%s,%s", VTD_OPTIONS,
                                                   caps[i].options);
        VTDTest *t = vtd_start_enabled(options);
        Tables tables = make_tables(t);
        uint64_t e[8];

        g_test_message("%s", caps[i].options);
        make_entry(&tables, caps[i].pgtt, e);
        for (int n = 0; n < ARRAY_SIZE(caps[i].val); n++) {
            e[n] |= caps[i].val[n];
        }
        assert_reason(t, caps[i].pgtt, e, caps[i].want);
        vtd_stop(t);
    }
}

static uint64_t page_request(VTDTest *t, uint32_t pasid)
{
    td_write(t, VTD_TESTDEV_LAST, true);
    return td_command(t, VTD_TESTDEV_PAGE_REQUEST, pasid, IOVA, VTD_REQ_READ);
}

/* What a wrong entry is to each kind of request */
static void test_requests(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    Tables tables = make_tables(t);
    const uint32_t other = PASID + 1;
    const struct {
        unsigned word;
        uint64_t bits;
        uint8_t reason;
    } wrong[] = {
        { 1, 1ull << 20, RSVD },
        { 2, VTD_SM_PASID_ENTRY_EAFE, RSVD },
        { 2, FSPM(2), INV },
    };
    uint64_t good[8], e[8], tail;
    VTDTestFault f;

    vtd_reg_writeq(t, DMAR_PQA_REG, VTD_MEM_PRQ);
    make_entry(&tables, FLT, good);
    set_entry(t, other, good);
    for (int i = 0; i < ARRAY_SIZE(wrong); i++) {
        memcpy(e, good, sizeof(e));
        e[wrong[i].word] |= wrong[i].bits;
        set_entry(t, PASID, e);

        td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE, wrong[i].reason);
        /* before SRE and ERE are looked at */
        td_assert_faults(t, PASID, IOVA, VTD_REQ_PRIV, wrong[i].reason);

        /* Nothing that a page request would repair: an error, and recorded */
        g_assert_cmphex(td_command(t, VTD_TESTDEV_ATS, PASID, IOVA, 0), ==,
                        VTD_TESTDEV_FAILED);
        f = vtd_fault(t);
        g_assert_cmphex(f.reason, ==, wrong[i].reason);
        g_assert_cmphex(f.addr, ==, IOVA);
        g_assert_cmphex(f.hi & VTD_FRCD_AT_TRANSLATION, !=, 0);

        /* The PASID table has no say in page requests */
        tail = vtd_reg_readq(t, DMAR_PQT_REG);
        g_assert_cmphex(page_request(t, PASID), ==, VTD_TESTDEV_OK);
        g_assert_cmphex(vtd_reg_readq(t, DMAR_PQT_REG), ==, tail + 32);
        vtd_assert_no_fault(t);

        /* Others of the device are not concerned */
        td_assert_reads(t, other, IOVA, VTD_MEM_A_DATA);

        /* FPD counts in an entry that is wrong, too */
        e[0] |= VTD_PASID_ENTRY_FPD;
        set_entry(t, PASID, e);
        td_assert_faults(t, PASID, IOVA, 0, 0);

        /* An entry that is not present may hold anything */
        e[0] &= ~(uint64_t)(VTD_PASID_ENTRY_FPD | VTD_PASID_ENTRY_P);
        set_entry(t, PASID, e);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_PASID_ENTRY_P);

        /* RID_PASID */
        e[0] |= VTD_PASID_ENTRY_P;
        set_entry(t, 0, e);
        td_assert_faults(t, NONE, IOVA, 0, wrong[i].reason);
        td_assert_reads(t, other, IOVA, VTD_MEM_A_DATA);
        set_entry(t, 0, good);
        td_assert_reads(t, NONE, IOVA, VTD_MEM_A_DATA);
    }
    vtd_stop(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/intel-iommu/pasid_entry/bits", test_bits);
    qtest_add_func("/intel-iommu/pasid_entry/fields", test_fields);
    qtest_add_func("/intel-iommu/pasid_entry/capabilities",
                   test_capabilities);
    qtest_add_func("/intel-iommu/pasid_entry/requests", test_requests);

    return g_test_run();
}
