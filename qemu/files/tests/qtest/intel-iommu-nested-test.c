/*
 * QTest of nested translation of intel-iommu: first-stage tables of a guest,
 * confined by a second stage that several of them share
 *
 * What a guest can do to its tables, and which stage is told to have refused
 * it; which invalidation reaches the translations of which guest; random tables
 * against a walk of the test's own.
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
#define GPA     0x8000000000ull     /* "guest physical" is GPA + the real one */
#define RW      (VTD_SL_R | VTD_SL_W)
#define PS      VTD_PT_PAGE_SIZE_MASK
#define MiB2    0x200000ull
/* Of entries of either stage: beyond the host address width */
#define RSVD    (1ull << 48)

/* A guest: its first-stage tables, and where its entries for IOVA are */
typedef struct Guest {
    VTDTestPASID p;
    unsigned levels;
    uint64_t root;      /* real address */
    uint64_t at[6];     /* real address of the entry of a level */
} Guest;

static void parent_map(VTDTest *t, uint64_t ss_root, uint64_t pa, uint64_t bits)
{
    pa &= VTD_PAGE_MASK_4K;
    vtd_map_level(t, ss_root, 4, 1, GPA + pa, pa, RW, bits);
}

/* Where the parent's entry for the page at @pa is */
static uint64_t parent_leaf(VTDTest *t, uint64_t ss_root, uint64_t pa)
{
    return vtd_entry(t, ss_root, 4, 1, GPA + pa);
}

/* IOVA to @page, everything in the parent */
static Guest make_guest(VTDTest *t, uint64_t ss_root, unsigned levels,
                        uint64_t page)
{
    Guest g = {
        .p = {
            .pgtt = VTD_SM_PASID_ENTRY_NESTED,
            .did = DID,
            .ss_root = ss_root,
            .fs_level = levels,
        },
        .levels = levels,
    };
    uint64_t table = g.root = vtd_page(t);

    g.p.fs_root = GPA + table;
    parent_map(t, ss_root, table, RW);
    for (unsigned level = levels; level >= 1; level--) {
        uint64_t next = level > 1 ? vtd_page(t) : page;

        g.at[level] = table + (IOVA >> (12 + 9 * (level - 1)) & 511) * 8;
        qtest_writeq(t->qts, g.at[level], (GPA + next) | FS_USER);
        parent_map(t, ss_root, next, RW);
        table = next;
    }
    return g;
}

static void flush(VTDTest *t)
{
    vtd_inv(t, VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, 0);
    vtd_inv(t, INV_IOTLB_GLOBAL, 0);
}

/* With the entry at @at as @val; it is as before afterwards */
static void assert_entry_faults(VTDTest *t, uint64_t at, uint64_t val,
                                unsigned flags, uint8_t reason)
{
    uint64_t old = qtest_readq(t->qts, at);

    qtest_writeq(t->qts, at, val);
    flush(t);
    td_assert_faults(t, PASID, IOVA, flags, reason);
    g_assert_cmphex(qtest_readq(t->qts, at), ==, val);
    qtest_writeq(t->qts, at, old);
    flush(t);
}

static void clear_flags(VTDTest *t, const Guest *g)
{
    for (unsigned l = g->levels; l >= 1; l--) {
        qtest_writeq(t->qts, g->at[l], qtest_readq(t->qts, g->at[l]) &
                     ~(uint64_t)(VTD_FL_A | VTD_FL_D));
    }
}

/*
 * Who is told to have refused a request
 */

/* Each entry of the guest, and each entry of the parent for its page */
static void check_stages(unsigned levels)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-psc=off");
    uint64_t ss_root = vtd_page(t);
    Guest g = make_guest(t, ss_root, levels, VTD_MEM_A);

    vtd_set_pasid(t, PASID, &g.p);
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

    for (unsigned level = levels; level >= 1; level--) {
        uint64_t pte = qtest_readq(t->qts, g.at[level]);
        uint64_t ss = parent_leaf(t, ss_root, g.at[level]);
        uint64_t ss_pte = qtest_readq(t->qts, ss);
        uint8_t read = level == levels ? VTD_FR_NEST_ROOT_READ :
                                         VTD_FR_NEST_TABLE_READ;

        /* First stage */
        assert_entry_faults(t, g.at[level], pte & ~VTD_FL_P, 0,
                            VTD_FR_FS_PAGING_ENTRY_P);
        assert_entry_faults(t, g.at[level], pte | RSVD, 0,
                            VTD_FR_FS_PAGING_ENTRY_RSVD);
        assert_entry_faults(t, g.at[level], pte & ~VTD_FL_US, 0,
                            VTD_FR_FS_PAGING_ENTRY_US);
        assert_entry_faults(t, g.at[level], pte & ~VTD_FL_RW, VTD_REQ_WRITE,
                            VTD_FR_SM_WRITE);
        if (level >= 4) {
            assert_entry_faults(t, g.at[level], pte | PS, 0,
                                VTD_FR_FS_PAGING_ENTRY_RSVD);
        }

        /* Second stage, where the guest's table is */
        assert_entry_faults(t, ss, 0, 0, VTD_FR_SS_PAGING_ENTRY_P);
        assert_entry_faults(t, ss, ss_pte & ~VTD_SL_R, 0, read);
        assert_entry_faults(t, ss, ss_pte | RSVD, 0,
                            VTD_FR_SS_PAGING_ENTRY_RSVD);
        /* ... and what it leads to can not be read as a table */
        assert_entry_faults(t, ss, Q35_HOST_BRIDGE_IOMMU_ADDR | RW, 0,
                            level == levels ? VTD_FR_PASID_ENTRY_FSPTPTR_INV :
                                              VTD_FR_FS_PAGING_ENTRY_INV);

        /* The guest leads out of the parent, or into a hole of it */
        assert_entry_faults(t, g.at[level], (pte & 0xfff) | 1ull << 47, 0,
                            VTD_FR_SS_PAGING_ENTRY_P);
        assert_entry_faults(t, g.at[level], (pte & 0xfff) | (GPA + 0x5000), 0,
                            VTD_FR_SS_PAGING_ENTRY_P);
    }

    /* The page itself */
    {
        uint64_t ss = parent_leaf(t, ss_root, VTD_MEM_A);
        uint64_t ss_pte = qtest_readq(t->qts, ss);

        assert_entry_faults(t, ss, 0, 0, VTD_FR_SS_PAGING_ENTRY_P);
        assert_entry_faults(t, ss, 0, VTD_REQ_WRITE, VTD_FR_SS_PAGING_ENTRY_P);
        assert_entry_faults(t, ss, ss_pte & ~VTD_SL_R, 0, VTD_FR_SM_READ);
        assert_entry_faults(t, ss, ss_pte & ~VTD_SL_W, VTD_REQ_WRITE,
                            VTD_FR_SM_WRITE);
        assert_entry_faults(t, ss, ss_pte | RSVD, 0,
                            VTD_FR_SS_PAGING_ENTRY_RSVD);
    }

    /* The upper entries of the parent, of which the root has a code too */
    for (unsigned level = 4; level >= 2; level--) {
        uint64_t ss = vtd_entry(t, ss_root, 4, level, GPA + VTD_MEM_A);
        uint64_t ss_pte = qtest_readq(t->qts, ss);

        assert_entry_faults(t, ss, 0, 0, VTD_FR_SS_PAGING_ENTRY_P);
        assert_entry_faults(t, ss, Q35_HOST_BRIDGE_IOMMU_ADDR | RW, 0,
                            VTD_FR_SS_PAGING_ENTRY_INV);
        assert_entry_faults(t, ss, ss_pte | RSVD, 0,
                            VTD_FR_SS_PAGING_ENTRY_RSVD);
    }
    td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
    vtd_stop(t);
}

static void test_stages(const void *data)
{
    check_stages(GPOINTER_TO_UINT(data));
}

/* The root pointer of the guest */
static void test_root(void)
{
    static const struct {
        uint64_t root;
        uint8_t reason;
    } roots[] = {
        { 0, VTD_FR_SS_PAGING_ENTRY_P },
        { GPA + 0x5000, VTD_FR_SS_PAGING_ENTRY_P },
        { 0x7ffffffff000ull, VTD_FR_SS_PAGING_ENTRY_P },
        /* wider than the parent, as wide as a PASID entry can hold it, wider */
        { 0x800000000000ull, VTD_FR_SS_PAGING_ENTRY_P },
        { 0xfffffffff000ull, VTD_FR_SS_PAGING_ENTRY_P },
        { 0x1000000000000ull, VTD_FR_PASID_TABLE_ENTRY_RSVD },
        { 0x8000000000000000ull, VTD_FR_PASID_TABLE_ENTRY_RSVD },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t ss_root = vtd_page(t);

    for (unsigned levels = 4; levels <= 5; levels++) {
        Guest g = make_guest(t, ss_root, levels, VTD_MEM_A);

        for (int i = 0; i < ARRAY_SIZE(roots); i++) {
            g.p.fs_root = roots[i].root;
            vtd_set_pasid(t, PASID, &g.p);
            flush(t);
            td_assert_faults(t, PASID, IOVA, 0, roots[i].reason);
        }
        g.p.fs_root = GPA + g.root;
        vtd_set_pasid(t, PASID, &g.p);
        flush(t);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);

        /* A parent of three levels has 39 bits */
        qtest_writeq(t->qts, vtd_pasid_entry(t, PASID),
                     vtd_page(t) | g.p.pgtt | 1 << 2 | VTD_PASID_ENTRY_P);
        flush(t);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_NEST_TABLE_BEYOND);
        qtest_writeq(t->qts, vtd_pasid_entry(t, PASID) + 16,
                     0x7ffffff000ull | (levels - 4) << 2);
        flush(t);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_SS_PAGING_ENTRY_P);
    }
    vtd_stop(t);
}

static void test_canonical(void)
{
    static const struct {
        unsigned levels;
        uint64_t addr;
        uint8_t reason;
    } addrs[] = {
        { 4, 0x00007ffffffff000ull, VTD_FR_FS_PAGING_ENTRY_P },
        { 4, 0x0000800000000000ull, VTD_FR_FS_NON_CANONICAL },
        { 4, 0x0001000000000000ull, VTD_FR_FS_NON_CANONICAL },
        { 4, 0x8000004000000000ull, VTD_FR_FS_NON_CANONICAL },
        { 4, 0xffff7ffffffff000ull, VTD_FR_FS_NON_CANONICAL },
        { 4, 0xffff800000000000ull, VTD_FR_FS_PAGING_ENTRY_P },
        { 4, 0xfffffffffffff000ull, VTD_FR_FS_PAGING_ENTRY_P },
        { 5, 0x00fffffffffff000ull, VTD_FR_FS_PAGING_ENTRY_P },
        { 5, 0x0100000000000000ull, VTD_FR_FS_NON_CANONICAL },
        { 5, 0xfefffffffffff000ull, VTD_FR_FS_NON_CANONICAL },
        { 5, 0xff00000000000000ull, VTD_FR_FS_PAGING_ENTRY_P },
    };
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t ss_root = vtd_page(t);
    Guest g[6];

    for (unsigned levels = 4; levels <= 5; levels++) {
        g[levels] = make_guest(t, ss_root, levels, VTD_MEM_A);
        vtd_set_pasid(t, PASID + levels, &g[levels].p);
    }
    for (int i = 0; i < ARRAY_SIZE(addrs); i++) {
        td_assert_faults(t, PASID + addrs[i].levels, addrs[i].addr, 0,
                         addrs[i].reason);
    }
    vtd_stop(t);
}

/* Large pages of either stage, and their reserved bits */
static void test_large_pages(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t ss_root = vtd_page(t);
    Guest g = make_guest(t, ss_root, 4, VTD_MEM_A);
    uint64_t ss, same = vtd_page(t);

    vtd_set_pasid(t, PASID, &g.p);

    /* A large page of the guest over small ones of the parent */
    for (unsigned level = 2; level <= 3; level++) {
        uint64_t size = 1ull << (12 + 9 * (level - 1));
        uint64_t pte = qtest_readq(t->qts, g.at[level]);
        uint64_t page = (GPA & ~(size - 1)) | FS_USER | PS;
        uint64_t a = IOVA + (VTD_MEM_A & (size - 1));

        if (level == 2) {
            page |= VTD_MEM_A & ~(size - 1);
            a = IOVA;
        }
        /* Bits 13 up to the size are reserved; bit 12 is PAT */
        for (unsigned bit = 13; bit < 12 + 9 * (level - 1); bit++) {
            assert_entry_faults(t, g.at[level], page | 1ull << bit, 0,
                                VTD_FR_FS_PAGING_ENTRY_RSVD);
        }
        qtest_writeq(t->qts, g.at[level], page);
        flush(t);
        td_assert_reads(t, PASID, a, VTD_MEM_A_DATA);
        /* the next one is not in the parent */
        td_assert_faults(t, PASID, a + 0x1000, 0, VTD_FR_SS_PAGING_ENTRY_P);
        td_assert_ats(t, PASID, a, 0, VTD_TESTDEV_XLAT_READ);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, 0x1000);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_ADDR), ==, VTD_MEM_A);
        qtest_writeq(t->qts, g.at[level], pte);
        flush(t);
    }

    /* A large page of the parent below small ones of the guest */
    g.p.ss_root = same;
    vtd_set_pasid(t, PASID, &g.p);
    for (unsigned level = 2; level <= 3; level++) {
        uint64_t size = 1ull << (12 + 9 * (level - 1)), at, pte;

        for (uint64_t pa = 0; pa < VTD_MEM_SIZE * 0x100000ull; pa += size) {
            vtd_map_level(t, same, 4, level, GPA + pa, pa, RW, RW);
        }
        flush(t);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        td_assert_ats(t, PASID, IOVA, 0, VTD_TESTDEV_XLAT_READ);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, 0x1000);

        at = vtd_entry(t, same, 4, level, GPA + VTD_MEM_A);
        pte = qtest_readq(t->qts, at);
        for (unsigned bit = 12; bit < 12 + 9 * (level - 1); bit++) {
            if (!(pte & 1ull << bit)) {
                assert_entry_faults(t, at, pte | 1ull << bit, 0,
                                    VTD_FR_SS_PAGING_ENTRY_RSVD);
            }
        }
        /* Both large */
        ss = qtest_readq(t->qts, g.at[2]);
        qtest_writeq(t->qts, g.at[2], (GPA + VTD_MEM_A) | FS_USER | PS);
        flush(t);
        td_assert_reads(t, PASID, IOVA + MiB2 - 8, VTD_MEM_A_DATA);
        td_assert_ats(t, PASID, IOVA, 0, VTD_TESTDEV_XLAT_READ);
        g_assert_cmphex(td_read(t, VTD_TESTDEV_XLAT_SIZE), ==, MiB2);
        qtest_writeq(t->qts, g.at[2], ss);
        /* the tables of this size make way for the next one */
        qtest_writeq(t->qts, vtd_entry(t, same, 4, 3, GPA), 0);
    }
    vtd_stop(t);

    /* 1G pages of the guest need the capability */
    t = vtd_start_enabled(VTD_OPTIONS ",fs1gp=off");
    g = make_guest(t, vtd_page(t), 4, VTD_MEM_A);
    vtd_set_pasid(t, PASID, &g.p);
    assert_entry_faults(t, g.at[3], GPA | FS_USER | PS, 0,
                        VTD_FR_FS_PAGING_ENTRY_RSVD);
    vtd_stop(t);
}

/* Accessed and dirty flags in tables that the parent does not let be written */
static void check_flags(unsigned levels)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t ss_root = vtd_page(t);
    Guest g = make_guest(t, ss_root, levels, VTD_MEM_A);

    vtd_set_pasid(t, PASID, &g.p);
    for (unsigned level = levels; level >= 1; level--) {
        uint64_t ss = parent_leaf(t, ss_root, g.at[level]);
        uint64_t ss_pte = qtest_readq(t->qts, ss);

        clear_flags(t, &g);
        qtest_writeq(t->qts, ss, ss_pte & ~VTD_SL_W);
        flush(t);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_NEST_TABLE_WRITE);
        td_assert_ats(t, PASID, IOVA, 0, 0);
        for (unsigned l = levels; l >= 1; l--) {
            g_assert_cmphex(qtest_readq(t->qts, g.at[l]) & VTD_FL_A, ==,
                            l > level ? VTD_FL_A : 0);
        }

        /* The guest may set them beforehand */
        qtest_writeq(t->qts, g.at[level],
                     qtest_readq(t->qts, g.at[level]) | VTD_FL_A);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        if (level == 1) {
            td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE,
                             VTD_FR_NEST_TABLE_WRITE);
            g_assert_cmphex(qtest_readq(t->qts, VTD_MEM_A), ==,
                            VTD_MEM_A_DATA);
            qtest_writeq(t->qts, g.at[1],
                         qtest_readq(t->qts, g.at[1]) | VTD_FL_D);
            g_assert_true(td_dma_write(t, PASID, IOVA, 0, VTD_MEM_A_DATA));
        }
        qtest_writeq(t->qts, ss, ss_pte);
        flush(t);
    }

    /* A write that is refused for the page sets nothing in its entry */
    clear_flags(t, &g);
    assert_entry_faults(t, parent_leaf(t, ss_root, VTD_MEM_A),
                        VTD_MEM_A | VTD_SL_R, VTD_REQ_WRITE, VTD_FR_SM_WRITE);
    g_assert_cmphex(qtest_readq(t->qts, g.at[1]) & (VTD_FL_A | VTD_FL_D), ==,
                    0);
    vtd_stop(t);
}

static void test_flags(const void *data)
{
    check_flags(GPOINTER_TO_UINT(data));
}

/* PWSNP=0: flags can be there, but not be set; of the first stage alone, too */
static void test_no_snoop(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS);
    uint64_t ss_root = vtd_page(t);
    Guest g = make_guest(t, ss_root, 4, VTD_MEM_A);
    VTDTestPASID fs = {
        .pgtt = VTD_SM_PASID_ENTRY_FLT, .did = DID, .fs_root = vtd_page(t),
    };
    const uint64_t flags = VTD_FL_A | VTD_FL_D;

    vtd_map_level(t, fs.fs_root, 4, 1, IOVA, VTD_MEM_A, FS_USER | flags,
                  FS_USER);
    for (int nested = 0; nested < 2; nested++) {
        uint64_t leaf = nested ? g.at[1] :
                                 vtd_entry(t, fs.fs_root, 4, 1, IOVA);
        uint64_t top = nested ? g.at[4] : vtd_entry(t, fs.fs_root, 4, 4, IOVA);
        uint64_t pte;

        vtd_set_pasid(t, PASID, nested ? &g.p : &fs);
        qtest_writeq(t->qts, vtd_pasid_entry(t, PASID) + 8, DID);
        for (unsigned l = 4; l >= 1; l--) {
            qtest_writeq(t->qts, g.at[l],
                         qtest_readq(t->qts, g.at[l]) | VTD_FL_A);
        }
        qtest_writeq(t->qts, leaf, qtest_readq(t->qts, leaf) & ~VTD_FL_A);
        flush(t);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_BIT_UPDATE_NO_SNOOP);
        qtest_writeq(t->qts, leaf, qtest_readq(t->qts, leaf) | VTD_FL_A);
        td_assert_reads(t, PASID, IOVA, VTD_MEM_A_DATA);
        td_assert_faults(t, PASID, IOVA, VTD_REQ_WRITE,
                         VTD_FR_FS_BIT_UPDATE_NO_SNOOP);
        /* nothing that a page request repairs */
        g_assert_cmphex(td_command(t, VTD_TESTDEV_ATS, PASID, IOVA,
                                   VTD_REQ_WRITE), ==, VTD_TESTDEV_FAILED);
        vtd_assert_fault(t, VTD_FR_FS_BIT_UPDATE_NO_SNOOP);
        qtest_writeq(t->qts, leaf, qtest_readq(t->qts, leaf) | VTD_FL_D);
        g_assert_true(td_dma_write(t, PASID, IOVA, 0, VTD_MEM_A_DATA));
        pte = qtest_readq(t->qts, top);
        qtest_writeq(t->qts, top, pte & ~VTD_FL_A);
        flush(t);
        td_assert_faults(t, PASID, IOVA, 0, VTD_FR_FS_BIT_UPDATE_NO_SNOOP);
        g_assert_cmphex(qtest_readq(t->qts, top) & VTD_FL_A, ==, 0);
    }

    /* Second-stage tables have no flags */
    fs.pgtt = VTD_SM_PASID_ENTRY_SLT;
    fs.ss_root = ss_root;
    vtd_set_pasid(t, PASID, &fs);
    qtest_writeq(t->qts, vtd_pasid_entry(t, PASID) + 8, DID);
    flush(t);
    td_assert_reads(t, PASID, GPA + VTD_MEM_A, VTD_MEM_A_DATA);
    vtd_stop(t);
}

/* What is no error to a translation request, and what is */
static void test_translation_requests(void)
{
    VTDTest *t = vtd_start_enabled(VTD_OPTIONS ",x-psc=off");
    uint64_t ss_root = vtd_page(t);
    Guest g = make_guest(t, ss_root, 4, VTD_MEM_A);
    uint64_t ss = parent_leaf(t, ss_root, VTD_MEM_A), at[] = {
        parent_leaf(t, ss_root, g.at[4]), parent_leaf(t, ss_root, g.at[1]), ss,
    };

    vtd_set_pasid(t, PASID, &g.p);
    for (int i = 0; i < ARRAY_SIZE(at); i++) {
        uint64_t old = qtest_readq(t->qts, at[i]);

        qtest_writeq(t->qts, at[i], 0);
        flush(t);
        td_assert_ats(t, PASID, IOVA, 0, 0);
        qtest_writeq(t->qts, at[i], old & ~VTD_SL_R);
        td_assert_ats(t, PASID, IOVA, 0, 0);
        qtest_writeq(t->qts, at[i], old | RSVD);
        g_assert_cmphex(td_command(t, VTD_TESTDEV_ATS, PASID, IOVA, 0), ==,
                        VTD_TESTDEV_FAILED);
        vtd_assert_fault(t, VTD_FR_SS_PAGING_ENTRY_RSVD);
        qtest_writeq(t->qts, at[i], old);
    }
    qtest_writeq(t->qts, ss, VTD_MEM_A | VTD_SL_R);
    flush(t);
    td_assert_ats(t, PASID, IOVA, VTD_REQ_WRITE, VTD_TESTDEV_XLAT_READ);
    vtd_stop(t);
}

/*
 * Guests that share the domain-id of their parent
 */

#define CHILDREN    3

typedef struct Family {
    VTDTest *dev[CHILDREN + 1];     /* who sends a member's requests */
    uint32_t pasid[CHILDREN + 1];   /* the last one is the parent itself */
    uint64_t addr[CHILDREN + 1];
    Guest guest[CHILDREN];
    uint64_t ss_root;
} Family;

/*
 * Three children of one parent, of 4 and 5 levels, the last one of another
 * device, and the parent; all of them read VTD_MEM_A through one of its pages
 */
static Family make_family(const char *options)
{
    g_autofree char *more = g_strdup_printf(" -device vtd-testdev,bus=pcie.0,"
                                            "addr=%d", VTD_SLOT + 1);
    VTDTest *t = vtd_start_with(options, more);
    VTDTest *other = vtd_second(t, t->regs, VTD_SID + 8);
    Family f = { .dev = { t, t, other, t } };

    vtd_enable(t, VTD_CONTEXT_ALL);
    /* The same tables and queue as the first device's */
    other->base = t->base;
    vtd_set_context(other, VTD_CONTEXT_ALL);
    f.ss_root = vtd_page(t);
    for (int i = 0; i < CHILDREN; i++) {
        f.guest[i] = make_guest(t, f.ss_root, i == 1 ? 5 : 4, VTD_MEM_A);
        f.pasid[i] = PASID + i;
        f.addr[i] = IOVA;
        vtd_set_pasid(t, f.pasid[i], &f.guest[i].p);
    }
    f.pasid[CHILDREN] = PASID + CHILDREN;
    f.addr[CHILDREN] = GPA + VTD_MEM_A;
    vtd_set_pasid(t, f.pasid[CHILDREN], &(VTDTestPASID) {
        .pgtt = VTD_SM_PASID_ENTRY_SLT, .did = DID, .ss_root = f.ss_root,
    });
    return f;
}

static void family_stop(Family *f)
{
    VTDTest *other = f->dev[2];

    g_free(other->dev);
    g_free(other);
    vtd_stop(f->dev[0]);
}

static void assert_family_reads(Family *f, unsigned members, uint64_t data,
                                uint64_t others)
{
    for (int i = 0; i <= CHILDREN; i++) {
        td_assert_reads(f->dev[i], f->pasid[i], f->addr[i],
                        members & 1u << i ? data : others);
    }
}

#define NOBODY      0
#define PARENT      (1u << CHILDREN)
#define ALL         (2 * PARENT - 1)

/* The parent moves a page: one invalidation by domain-id is for everybody */
static void test_children_of_parent(void)
{
    static const struct {
        uint64_t lo, hi;
        unsigned members;           /* who has lost the old translation */
    } inv[] = {
        { INV_IOTLB_PAGE(DID), GPA + VTD_MEM_A, ALL },
        { INV_IOTLB_PAGE(DID), (GPA + VTD_MEM_A) | INV_IH, ALL },
        { INV_IOTLB_PAGE(DID), (GPA + VTD_MEM_A) | 9, ALL },
        { INV_IOTLB_DOMAIN(DID), 0, ALL },
        { INV_IOTLB_GLOBAL, 0, ALL },
        /* the children's are not looked up by the parent's address */
        { INV_IOTLB_PAGE(DID), GPA + VTD_MEM_B, ALL & ~PARENT },

        { INV_IOTLB_PAGE(DID + 1), GPA + VTD_MEM_A, NOBODY },
        { INV_IOTLB_DOMAIN(DID + 1), 0, NOBODY },
        /* by PASID: one child's, never the parent's */
        { INV_PIOTLB_PASID(DID, PASID), 0, 1u << 0 },
        { INV_PIOTLB_PASID(DID, PASID + 1), 0, 1u << 1 },
        { INV_PIOTLB_PAGE(DID, PASID + 2), IOVA, 1u << 2 },
        { INV_PIOTLB_PAGE(DID, PASID + 2), IOVA + 0x1000, NOBODY },
        { INV_PIOTLB_PASID(DID, PASID + CHILDREN), 0, NOBODY },
        { INV_PIOTLB_PASID(DID + 1, PASID), 0, NOBODY },
        { INV_PASID_CACHE(DID, PASID), 0, NOBODY },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_DSI | DID << 16, 0, NOBODY },
    };

    for (int strict = 0; strict < 2; strict++) {
        Family f = make_family(strict ? VTD_OPTIONS ",x-strict-inv=on" :
                                        VTD_OPTIONS);
        VTDTest *t = f.dev[0];
        uint64_t ss = parent_leaf(t, f.ss_root, VTD_MEM_A);

        for (int i = 0; i < ARRAY_SIZE(inv); i++) {
            assert_family_reads(&f, ALL, VTD_MEM_A_DATA, 0);
            qtest_writeq(t->qts, ss, VTD_MEM_B | RW);
            assert_family_reads(&f, ALL, VTD_MEM_A_DATA, 0);
            vtd_inv(t, inv[i].lo, inv[i].hi);
            assert_family_reads(&f, inv[i].members, VTD_MEM_B_DATA,
                                VTD_MEM_A_DATA);
            qtest_writeq(t->qts, ss, VTD_MEM_A | RW);
            vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        }
        family_stop(&f);
    }
}

/*
 * The parent takes away a page that holds a table of a child: what is cached of
 * the tables themselves (VT-d spec 6.2.5) goes, too
 */
static void test_children_tables(void)
{
    Family f = make_family(VTD_OPTIONS);
    VTDTest *t = f.dev[0];

    for (int i = 0; i < CHILDREN; i++) {
        Guest *g = &f.guest[i];

        for (unsigned level = g->levels; level >= 1; level--) {
            uint64_t table = g->at[level] & VTD_PAGE_MASK_4K;
            uint64_t ss = parent_leaf(t, f.ss_root, table);
            uint64_t old = qtest_readq(t->qts, ss);

            assert_family_reads(&f, ALL, VTD_MEM_A_DATA, 0);
            qtest_writeq(t->qts, ss, 0);
            /* The IOTLB alone: the walk begins behind the upper tables */
            vtd_inv(t, INV_PIOTLB_PAGE(DID, f.pasid[i]), IOVA | INV_IH);
            td_assert_reads(f.dev[i], f.pasid[i], IOVA, VTD_MEM_A_DATA);

            vtd_inv(t, INV_IOTLB_PAGE(DID), GPA + table);
            td_assert_faults(f.dev[i], f.pasid[i], IOVA, 0,
                             VTD_FR_SS_PAGING_ENTRY_P);
            for (int n = 0; n <= CHILDREN; n++) {
                if (n != i) {
                    td_assert_reads(f.dev[n], f.pasid[n], f.addr[n],
                                    VTD_MEM_A_DATA);
                }
            }
            qtest_writeq(t->qts, ss, old);
            vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        }
    }
    family_stop(&f);
}

/* PASID entries of all children go with an invalidation by domain-id */
static void test_children_entries(void)
{
    static const struct {
        uint64_t lo;
        unsigned members;
    } inv[] = {
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_DSI | DID << 16, ALL & ~PARENT },
        { VTD_INV_DESC_PC | VTD_INV_DESC_PC_GLOBAL, ALL & ~PARENT },
        { INV_PASID_CACHE(DID, PASID), 1u << 0 },
        { INV_PASID_CACHE(DID, PASID + 2), 1u << 2 },
        { INV_PASID_CACHE(DID + 1, PASID), NOBODY },
        { INV_IOTLB_DOMAIN(DID), NOBODY },
    };
    Family f = make_family(VTD_OPTIONS);
    VTDTest *t = f.dev[0];
    Guest b[CHILDREN];

    /* Another set of tables for each */
    parent_map(t, f.ss_root, VTD_MEM_B, RW);
    for (int i = 0; i < CHILDREN; i++) {
        b[i] = make_guest(t, f.ss_root, f.guest[i].levels, VTD_MEM_B);
    }
    for (int n = 0; n < ARRAY_SIZE(inv); n++) {
        assert_family_reads(&f, ALL, VTD_MEM_A_DATA, 0);
        for (int i = 0; i < CHILDREN; i++) {
            vtd_set_pasid(t, f.pasid[i], &b[i].p);
        }
        vtd_inv(t, inv[n].lo, 0);
        vtd_inv(t, INV_IOTLB_GLOBAL, 0);
        assert_family_reads(&f, inv[n].members, VTD_MEM_B_DATA,
                            VTD_MEM_A_DATA);
        for (int i = 0; i < CHILDREN; i++) {
            vtd_set_pasid(t, f.pasid[i], &f.guest[i].p);
        }
        flush(t);
    }
    family_stop(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_data_func("/intel-iommu/nesting/stages/4", GUINT_TO_POINTER(4),
                        test_stages);
    qtest_add_data_func("/intel-iommu/nesting/stages/5", GUINT_TO_POINTER(5),
                        test_stages);
    qtest_add_func("/intel-iommu/nesting/root", test_root);
    qtest_add_func("/intel-iommu/nesting/canonical", test_canonical);
    qtest_add_func("/intel-iommu/nesting/large_pages", test_large_pages);
    qtest_add_data_func("/intel-iommu/nesting/flags/4", GUINT_TO_POINTER(4),
                        test_flags);
    qtest_add_data_func("/intel-iommu/nesting/flags/5", GUINT_TO_POINTER(5),
                        test_flags);
    qtest_add_func("/intel-iommu/nesting/no_snoop", test_no_snoop);
    qtest_add_func("/intel-iommu/nesting/translation_requests",
                   test_translation_requests);
    qtest_add_func("/intel-iommu/nesting/children/parent",
                   test_children_of_parent);
    qtest_add_func("/intel-iommu/nesting/children/tables",
                   test_children_tables);
    qtest_add_func("/intel-iommu/nesting/children/entries",
                   test_children_entries);

    return g_test_run();
}
