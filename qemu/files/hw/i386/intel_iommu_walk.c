/*
 * Page-table walks of the emulated VT-d: first-stage, second-stage and nested
 *
 * VT-d spec chapter 3 (tables, access rights, accessed and dirty flags) and 7.1
 * (fault conditions).  Tables are read from RAM only.  Entries are followed for
 * at most as many levels as the tables have, so tables that point to
 * themselves do no harm; for the same reason an update of flags is given up
 * when the guest changes the entry all the time.
 *
 * Rights are collected on the way down and judged at the leaf, as hardware
 * does: also a request that will be refused fills the paging-structure caches.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "exec/cpu-common.h"
#include "system/dma.h"
#include "intel_iommu_internal.h"

/* Attempts to set accessed and dirty flags in an entry that keeps changing */
#define VTD_AD_MAX_RETRIES 64

static unsigned vtd_level_shift(uint32_t level)
{
    return VTD_PAGE_SHIFT_4K + (level - 1) * VTD_LEVEL_BITS;
}

static uint64_t vtd_level_mask(uint32_t level)
{
    return ~((1ULL << vtd_level_shift(level)) - 1);
}

static hwaddr vtd_entry_addr(hwaddr table, uint64_t addr, uint32_t level)
{
    uint64_t index = addr >> vtd_level_shift(level) & (VTD_PT_ENTRY_NR - 1);

    return table + index * sizeof(uint64_t);
}

static bool vtd_read_entry(hwaddr addr, uint64_t *pte)
{
    MemTxAttrs attrs = { .memory = true };

    if (dma_memory_read(&address_space_memory, addr, pte, sizeof(*pte),
                        attrs) != MEMTX_OK) {
        return false;
    }
    le64_to_cpus(pte);
    return true;
}

/*
 * Set accessed and dirty flags in the entry at @addr, but only if it still is
 * @pte: the guest may change its tables at any time, and hardware updates the
 * flags with a locked operation (VT-d spec 3.6.2).
 *
 * Returns MEMTX_OK and, in @changed, whether the entry was not @pte any more
 * and must be looked at again.
 */
static MemTxResult vtd_set_flags(hwaddr addr, uint64_t pte, uint64_t flags,
                                 bool *changed)
{
    hwaddr offset, len = sizeof(pte);
    uint64_t *host, old;
    MemoryRegion *mr;

    *changed = false;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory, addr, &offset, &len,
                                 true, MEMTXATTRS_UNSPECIFIED);
    if (!memory_access_is_direct(mr, true, MEMTXATTRS_UNSPECIFIED) ||
        len < sizeof(pte)) {
        return MEMTX_ACCESS_ERROR;
    }

    host = qemu_map_ram_ptr(mr->ram_block, offset);
    old = qatomic_cmpxchg(host, cpu_to_le64(pte), cpu_to_le64(pte | flags));
    if (old != cpu_to_le64(pte)) {
        *changed = true;
        return MEMTX_OK;
    }
    memory_region_set_dirty(mr, offset, sizeof(pte));
    return MEMTX_OK;
}

/* The page that a walk ended at; the rights are those of its stage */
typedef struct VTDWalkPage {
    hwaddr addr;
    uint64_t mask;
    bool read;
    bool write;
} VTDWalkPage;

/*
 * Second-stage walk.  Fails if a level does not permit @need, which is VTD_SL_R
 * or VTD_SL_W, or 0 if either will do.
 */
static VTDFaultReason vtd_walk_second_stage(VTDWalk *w, uint64_t addr,
                                            uint64_t need, VTDWalkPage *page)
{
    IntelIOMMUState *s = w->s;
    VTDPSCTag tag = {
        .second_stage = true,
        .source_id = w->source_id,
        .domain_id = w->domain_id,
    };
    VTDPSCTable t = { .addr = w->ss_root, .rights = VTD_SL_R | VTD_SL_W };
    uint32_t level = w->ss_level, cached;
    bool scalable = s->root_scalable;
    uint64_t pte;

    if (addr >> MIN(s->aw_bits,
                    VTD_PAGE_SHIFT_4K + w->ss_level * VTD_LEVEL_BITS)) {
        return VTD_FR_ADDR_BEYOND_MGAW;
    }

    /* Legacy mode has no PASID and no one who asked for this cache */
    cached = scalable ? vtd_psc_lookup(s, &tag, addr, level, &t) : 0;
    if (cached) {
        level = cached;
    }
    for (;;) {
        if (!vtd_read_entry(vtd_entry_addr(t.addr, addr, level), &pte)) {
            if (level == w->ss_level) {
                return scalable ? VTD_FR_PASID_ENTRY_SSPTPTR_INV :
                                  VTD_FR_CONTEXT_ENTRY_INV;
            }
            return VTD_FR_PAGING_ENTRY_INV;
        }
        t.rights &= pte;
        if (!t.rights && scalable) {
            return VTD_FR_SS_PAGING_ENTRY_P;
        }
        if (!t.rights || (need & ~t.rights)) {
            return need & ~t.rights & VTD_SL_W ? VTD_FR_WRITE : VTD_FR_READ;
        }
        if (vtd_slpte_nonzero_rsvd(s, pte, level)) {
            return VTD_FR_PAGING_ENTRY_RSVD;
        }
        t.addr = pte & VTD_PT_BASE_ADDR_MASK(s->aw_bits);
        if (level == VTD_PT_LEVEL || (pte & VTD_PT_PAGE_SIZE_MASK)) {
            break;
        }
        level--;
        if (scalable) {
            vtd_psc_add(s, &tag, addr, level, &t);
        }
    }

    page->mask = vtd_level_mask(level);
    page->addr = t.addr & page->mask;
    page->read = t.rights & VTD_SL_R;
    page->write = t.rights & VTD_SL_W;
    return 0;
}

/* Reserved bits of a present first-stage entry, VT-d spec 9.8 */
static bool vtd_fs_reserved(IntelIOMMUState *s, uint64_t pte, uint32_t level)
{
    uint64_t rsvd = ~(VTD_HAW_MASK(s->aw_bits) | VTD_FS_UPPER_IGNORED);

    switch (level) {
    case VTD_PT_LEVEL:
        break;
    case VTD_PD_LEVEL:
        if (pte & VTD_PT_PAGE_SIZE_MASK) {
            rsvd |= VTD_FPTE_LPAGE_L2_RSVD;
        }
        break;
    case VTD_PDP_LEVEL:
        if (!(s->cap & VTD_CAP_FS1GP)) {
            rsvd |= VTD_PT_PAGE_SIZE_MASK;
        } else if (pte & VTD_PT_PAGE_SIZE_MASK) {
            rsvd |= VTD_FPTE_LPAGE_L3_RSVD;
        }
        break;
    default:
        rsvd |= VTD_PT_PAGE_SIZE_MASK;
    }
    return pte & rsvd;
}

/*
 * Nested translation: the first-stage tables are at addresses that the second
 * stage translates.  Replaces the address of a table.
 */
static VTDFaultReason vtd_nest_table(VTDWalk *w, VTDPSCTable *t, bool root)
{
    VTDWalkPage page;
    VTDFaultReason fault;

    fault = vtd_walk_second_stage(w, t->addr, VTD_SL_R, &page);
    switch (fault) {
    case 0:
        t->addr = page.addr | (t->addr & ~page.mask);
        t->writable = page.write;
        return 0;
    case VTD_FR_ADDR_BEYOND_MGAW:
        return VTD_FR_NEST_TABLE_BEYOND;
    case VTD_FR_READ:
        return root ? VTD_FR_NEST_ROOT_READ : VTD_FR_NEST_TABLE_READ;
    default:
        return fault;
    }
}

/* The rights of a first-stage page: see VT-d spec 3.6.1 */
static VTDFaultReason vtd_fs_access(VTDWalk *w, uint64_t rights)
{
    bool priv = w->flags & VTD_REQ_PRIV;
    bool write = (rights & VTD_FL_RW) || (priv && !w->wpe);
    bool exec = !(w->nxe && !(rights & VTD_FL_XD)) &&
                !(priv && w->smep && (rights & VTD_FL_US));

    if (!priv && !(rights & VTD_FL_US)) {
        return VTD_FR_FS_PAGING_ENTRY_US;
    }
    w->access = IOMMU_RO | (write ? IOMMU_WO : 0) |
                (exec ? VTD_ACCESS_EXEC : 0);

    /* A translation completion says what is allowed instead */
    if (!(w->flags & VTD_REQ_ATS)) {
        if ((w->flags & VTD_REQ_EXEC) && !exec) {
            return VTD_FR_FS_PAGING_ENTRY_X;
        }
        if ((w->flags & VTD_REQ_WRITE) && !write) {
            return VTD_FR_SM_WRITE;
        }
    }
    return 0;
}

/* Nested translation of the page that the first stage found */
static VTDFaultReason vtd_nest_page(VTDWalk *w)
{
    bool ats = w->flags & VTD_REQ_ATS;
    uint64_t addr = w->page | (w->addr & ~w->mask);
    uint64_t need = (w->flags & VTD_REQ_WRITE) && !ats ? VTD_SL_W : VTD_SL_R;
    VTDWalkPage page;
    VTDFaultReason fault = vtd_walk_second_stage(w, addr, need, &page);

    if (fault) {
        return fault;
    }
    if (!page.read) {
        w->access &= ~(IOMMU_RO | VTD_ACCESS_EXEC);
    }
    if (!page.write) {
        w->access &= ~IOMMU_WO;
    }
    w->mask |= page.mask;
    w->page = (page.addr | (addr & ~page.mask)) & w->mask;
    return 0;
}

static VTDFaultReason vtd_walk_first_stage(VTDWalk *w, bool nested)
{
    IntelIOMMUState *s = w->s;
    VTDPSCTag tag = {
        .source_id = w->source_id,
        .domain_id = w->domain_id,
        .pasid = w->pasid,
    };
    /* XD is kept inverted: a set bit is a right */
    VTDPSCTable t = {
        .addr = w->fs_root,
        .rights = VTD_FL_RW | VTD_FL_US | VTD_FL_XD,
        .writable = true,
    };
    unsigned width = VTD_PAGE_SHIFT_4K + w->fs_level * VTD_LEVEL_BITS;
    uint32_t level = w->fs_level, cached;
    unsigned retries = 0;
    VTDFaultReason fault;
    MemTxResult res;
    bool changed;

    if (w->addr != sextract64(w->addr, 0, width)) {
        return VTD_FR_FS_NON_CANONICAL;
    }

    cached = vtd_psc_lookup(s, &tag, w->addr, level, &t);
    if (cached) {
        level = cached;
    } else if (nested) {
        fault = vtd_nest_table(w, &t, true);
        if (fault) {
            return fault;
        }
    }
    for (;;) {
        hwaddr at = vtd_entry_addr(t.addr, w->addr, level);
        uint64_t pte, rights, flags = VTD_FL_A;
        bool last;

        if (!vtd_read_entry(at, &pte)) {
            return level == w->fs_level ? VTD_FR_PASID_ENTRY_FSPTPTR_INV :
                                          VTD_FR_FS_PAGING_ENTRY_INV;
        }
        if (!(pte & VTD_FL_P)) {
            return VTD_FR_FS_PAGING_ENTRY_P;
        }
        if (vtd_fs_reserved(s, pte, level)) {
            return VTD_FR_FS_PAGING_ENTRY_RSVD;
        }
        rights = t.rights & (pte ^ VTD_FL_XD);

        last = level == VTD_PT_LEVEL || (pte & VTD_PT_PAGE_SIZE_MASK);
        if (last) {
            w->mask = vtd_level_mask(level);
            w->page = pte & VTD_PT_BASE_ADDR_MASK(s->aw_bits) & w->mask;
            fault = vtd_fs_access(w, rights);
            if (!fault && nested) {
                fault = vtd_nest_page(w);
            }
            if (fault) {
                return fault;
            }
            if ((w->flags & VTD_REQ_WRITE) && (w->access & IOMMU_WO)) {
                flags |= VTD_FL_D;
            }
        }

        if (flags & ~pte) {
            /* A locked update has to see what the processors cache */
            if (w->no_snoop) {
                return VTD_FR_FS_BIT_UPDATE_NO_SNOOP;
            }
            if (!t.writable) {
                return VTD_FR_NEST_TABLE_WRITE;
            }
            res = vtd_set_flags(at, pte, flags, &changed);
            if (res != MEMTX_OK) {
                return VTD_FR_FS_BIT_UPDATE_FAILED;
            }
            if (changed) {
                /* A guest that goes on changing the entry is not waited for */
                if (++retries > VTD_AD_MAX_RETRIES) {
                    return VTD_FR_FS_BIT_UPDATE_FAILED;
                }
                continue;
            }
        }

        if (last) {
            /*
             * The first write has to set the dirty flag: let it come here
             * instead of finding the translation in a TLB.
             */
            if (!((pte | flags) & VTD_FL_D)) {
                w->clean = w->access & IOMMU_WO;
                w->access &= ~IOMMU_WO;
            }
            return 0;
        }

        level--;
        t.rights = rights;
        t.addr = pte & VTD_PT_BASE_ADDR_MASK(s->aw_bits);
        if (nested) {
            fault = vtd_nest_table(w, &t, false);
            if (fault) {
                return fault;
            }
        }
        vtd_psc_add(s, &tag, w->addr, level, &t);
    }
}

/*
 * Translate w->addr.  Returns 0 and the result in w, or why not.
 * Must be called with IOMMU lock held.
 */
VTDFaultReason vtd_walk(VTDWalk *w)
{
    uint64_t need = VTD_SL_R;
    VTDFaultReason fault;
    VTDWalkPage page;

    switch (w->pgtt) {
    case VTD_SM_PASID_ENTRY_FLT:
        return vtd_walk_first_stage(w, false);
    case VTD_SM_PASID_ENTRY_NESTED:
        return vtd_walk_first_stage(w, true);
    case VTD_SM_PASID_ENTRY_SLT:
        if ((w->flags & VTD_REQ_WRITE) && !(w->flags & VTD_REQ_ATS)) {
            need = VTD_SL_W;
        } else if (w->flags & VTD_REQ_ATS) {
            /* A completion may permit writes only */
            need = 0;
        }
        fault = vtd_walk_second_stage(w, w->addr, need, &page);
        if (fault) {
            return fault;
        }
        w->mask = page.mask;
        w->page = page.addr;
        w->access = IOMMU_ACCESS_FLAG(page.read, page.write) |
                    (page.read ? VTD_ACCESS_EXEC : 0);
        return 0;
    default:
        g_assert_not_reached();
    }
}
