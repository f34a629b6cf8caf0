/*
 * PASID cache of the emulated VT-d
 *
 * VT-d spec 6.2.3: hardware may keep a PASID entry that it used until software
 * invalidates it.  This cache does keep it, so that a driver which forgets the
 * invalidation is seen to use the old entry.  Entries are tagged with the
 * source-id, because each device may have a PASID table of its own, and with
 * the domain-id that the entry holds, by which software invalidates.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel_iommu_internal.h"

/* A full cache is dropped as a whole; hardware may evict at any time */
#define VTD_PASID_CACHE_MAX_SIZE 1024

typedef struct VTDPASIDCacheEntry {
    uint64_t key;       /* source-id and PASID */
    VTDPASIDEntry pe;
    uint32_t pasid;
    uint16_t domain_id;
    bool fpd;
} VTDPASIDCacheEntry;

static uint64_t vtd_pasid_cache_key(uint16_t sid, uint32_t pasid)
{
    return (uint64_t)sid << VTD_PASID_ID_SHIFT | pasid;
}

void vtd_pasid_cache_init(IntelIOMMUState *s)
{
    s->pasid_cache = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                           NULL, g_free);
}

bool vtd_pasid_cache_lookup(IntelIOMMUState *s, uint16_t sid, uint32_t pasid,
                            VTDPASIDEntry *pe, bool *fpd)
{
    uint64_t key = vtd_pasid_cache_key(sid, pasid);
    VTDPASIDCacheEntry *e = g_hash_table_lookup(s->pasid_cache, &key);

    if (!e) {
        return false;
    }
    *pe = e->pe;
    *fpd = e->fpd;
    return true;
}

void vtd_pasid_cache_add(IntelIOMMUState *s, uint16_t sid, uint32_t pasid,
                         const VTDPASIDEntry *pe, bool fpd)
{
    VTDPASIDCacheEntry *e = g_new(VTDPASIDCacheEntry, 1);

    if (g_hash_table_size(s->pasid_cache) >= VTD_PASID_CACHE_MAX_SIZE) {
        vtd_pasid_cache_reset(s);
    }

    *e = (VTDPASIDCacheEntry) {
        .key = vtd_pasid_cache_key(sid, pasid),
        .pe = *pe,
        .pasid = pasid,
        .domain_id = VTD_SM_PASID_ENTRY_DID(pe->val[1]),
        .fpd = fpd,
    };
    g_hash_table_replace(s->pasid_cache, &e->key, e);
}

static gboolean vtd_pasid_cache_in_domain(gpointer key, gpointer value,
                                          gpointer user_data)
{
    VTDPASIDCacheEntry *e = value;
    uint16_t *domain_id = user_data;

    return e->domain_id == *domain_id;
}

void vtd_pasid_cache_flush_domain(IntelIOMMUState *s, uint16_t domain_id)
{
    g_hash_table_foreach_remove(s->pasid_cache, vtd_pasid_cache_in_domain,
                                &domain_id);
}

static gboolean vtd_pasid_cache_same_pasid(gpointer key, gpointer value,
                                           gpointer user_data)
{
    VTDPASIDCacheEntry *e = value;
    VTDPASIDCacheEntry *which = user_data;

    return e->domain_id == which->domain_id && e->pasid == which->pasid;
}

void vtd_pasid_cache_flush_pasid(IntelIOMMUState *s, uint16_t domain_id,
                                 uint32_t pasid)
{
    VTDPASIDCacheEntry which = { .pasid = pasid, .domain_id = domain_id };

    g_hash_table_foreach_remove(s->pasid_cache, vtd_pasid_cache_same_pasid,
                                &which);
}

void vtd_pasid_cache_reset(IntelIOMMUState *s)
{
    g_hash_table_remove_all(s->pasid_cache);
}
