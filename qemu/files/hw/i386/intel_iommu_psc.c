/*
 * Paging-structure caches of the emulated VT-d
 *
 * VT-d spec 6.2.5: hardware may keep what it read from entries that point to
 * other tables, and start later walks from there, until software invalidates
 * it.  This cache does keep it.  So a page-table page that software freed
 * without an invalidation goes on being walked, whatever it holds by then, and
 * the mistake is seen.
 *
 * An entry stands for one table below the root of a walk.  First-stage entries,
 * those of nested translation included, are tagged with domain-id and PASID;
 * second-stage entries with the domain-id, by which software invalidates them.
 * Both are tagged with the source-id, too, as the IOTLB is.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel_iommu_internal.h"

/* A full cache is dropped as a whole; hardware may evict at any time */
#define VTD_PSC_MAX_SIZE 1024

typedef struct VTDPSCEntry {
    VTDPSCTag tag;
    uint64_t prefix;        /* the address bits that led to the table */
    uint32_t level;         /* of the table */
    VTDPSCTable table;
} VTDPSCEntry;

/* Address bits that the entries of a table of this level select among */
static unsigned vtd_psc_shift(uint32_t level)
{
    return VTD_PAGE_SHIFT_4K + level * VTD_LEVEL_BITS;
}

static guint vtd_psc_hash(gconstpointer v)
{
    const VTDPSCEntry *e = v;
    uint64_t hash = e->prefix ^ (uint64_t)e->tag.pasid << 20 ^
                    (uint64_t)e->tag.domain_id << 32 ^
                    (uint64_t)e->tag.source_id << 40 ^
                    (uint64_t)e->level << 60 ^ e->tag.second_stage;

    return g_int64_hash(&hash);
}

static gboolean vtd_psc_equal(gconstpointer v1, gconstpointer v2)
{
    const VTDPSCEntry *a = v1, *b = v2;

    return a->prefix == b->prefix && a->level == b->level &&
           a->tag.pasid == b->tag.pasid &&
           a->tag.domain_id == b->tag.domain_id &&
           a->tag.source_id == b->tag.source_id &&
           a->tag.second_stage == b->tag.second_stage;
}

void vtd_psc_init(IntelIOMMUState *s)
{
    s->psc = g_hash_table_new_full(vtd_psc_hash, vtd_psc_equal, NULL, g_free);
}

/*
 * Find the table closest to the page at @addr, below one of @top levels.
 * Returns its level, or 0 if there is none.
 */
uint32_t vtd_psc_lookup(IntelIOMMUState *s, const VTDPSCTag *tag,
                        uint64_t addr, uint32_t top, VTDPSCTable *table)
{
    VTDPSCEntry key = { .tag = *tag };

    if (!s->psc_on) {
        return 0;
    }
    for (key.level = VTD_PT_LEVEL; key.level < top; key.level++) {
        VTDPSCEntry *e;

        key.prefix = addr >> vtd_psc_shift(key.level);
        e = g_hash_table_lookup(s->psc, &key);
        if (e) {
            *table = e->table;
            return key.level;
        }
    }
    return 0;
}

void vtd_psc_add(IntelIOMMUState *s, const VTDPSCTag *tag, uint64_t addr,
                 uint32_t level, const VTDPSCTable *table)
{
    VTDPSCEntry *e;

    if (!s->psc_on) {
        return;
    }
    if (g_hash_table_size(s->psc) >= VTD_PSC_MAX_SIZE) {
        vtd_psc_reset(s);
    }
    e = g_new(VTDPSCEntry, 1);
    *e = (VTDPSCEntry) {
        .tag = *tag,
        .prefix = addr >> vtd_psc_shift(level),
        .level = level,
        .table = *table,
    };
    g_hash_table_replace(s->psc, e, e);
}

/* What an invalidation is about; see VT-d spec 6.5.2 for what it drops */
typedef struct VTDPSCFlush {
    uint16_t domain_id;
    bool by_pasid;
    uint32_t pasid;
    bool by_page;
    uint64_t addr;
    unsigned shift;         /* log2 of the bytes from @addr */
    bool keep_second_stage; /* invalidation hint: leaf entries only */
} VTDPSCFlush;

static gboolean vtd_psc_flush_one(gpointer key, gpointer value,
                                  gpointer user_data)
{
    VTDPSCEntry *e = value;
    VTDPSCFlush *f = user_data;
    unsigned shift;

    if (e->tag.domain_id != f->domain_id) {
        return false;
    }
    if (f->by_pasid) {
        /* PASID-based invalidations are about first-stage tables only */
        if (e->tag.second_stage || e->tag.pasid != f->pasid) {
            return false;
        }
    } else if (!e->tag.second_stage) {
        /*
         * Of first-stage and nested mappings the domain's are dropped without
         * a look at the address, which is one of the second stage.
         */
        return true;
    } else if (f->keep_second_stage) {
        return false;
    }
    if (!f->by_page) {
        return true;
    }
    shift = MAX(vtd_psc_shift(e->level), f->shift);
    return shift >= 64 ||
           f->addr >> shift ==
           e->prefix << vtd_psc_shift(e->level) >> shift;
}

static void vtd_psc_flush(IntelIOMMUState *s, VTDPSCFlush *f)
{
    g_hash_table_foreach_remove(s->psc, vtd_psc_flush_one, f);
}

void vtd_psc_flush_domain(IntelIOMMUState *s, uint16_t domain_id)
{
    vtd_psc_flush(s, &(VTDPSCFlush) { .domain_id = domain_id });
}

/* @ih: the invalidation hint, software changed leaf entries only */
void vtd_psc_flush_domain_page(IntelIOMMUState *s, uint16_t domain_id,
                               uint64_t addr, uint8_t am, bool ih)
{
    vtd_psc_flush(s, &(VTDPSCFlush) {
        .domain_id = domain_id,
        .by_page = true,
        .addr = addr,
        .shift = VTD_PAGE_SHIFT_4K + am,
        .keep_second_stage = ih,
    });
}

void vtd_psc_flush_pasid(IntelIOMMUState *s, uint16_t domain_id,
                         uint32_t pasid)
{
    vtd_psc_flush(s, &(VTDPSCFlush) {
        .domain_id = domain_id,
        .by_pasid = true,
        .pasid = pasid,
    });
}

void vtd_psc_flush_pasid_page(IntelIOMMUState *s, uint16_t domain_id,
                              uint32_t pasid, uint64_t addr, uint8_t am,
                              bool ih)
{
    if (ih) {
        return;
    }
    vtd_psc_flush(s, &(VTDPSCFlush) {
        .domain_id = domain_id,
        .by_pasid = true,
        .pasid = pasid,
        .by_page = true,
        .addr = addr,
        .shift = VTD_PAGE_SHIFT_4K + am,
    });
}

void vtd_psc_reset(IntelIOMMUState *s)
{
    g_hash_table_remove_all(s->psc);
}
