/*
 * Intel Data Streaming Accelerator: address translation cache
 *
 * What PCIe calls an ATC and VT-d a device TLB.  A translation stays in use
 * until it is invalidated or gives its place to another one, whatever the page
 * tables say by then: a driver that forgets an invalidation reads and writes
 * memory that is not its own any more, as it does on hardware.
 *
 * An entry holds 4K of what a translation request returned, for one PASID, or
 * none, and one privilege.  Pages that are not present are not kept.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/pci_bus.h"
#include "intel-dsa.h"
#include "trace.h"

#define PAGE_MASK   (~(uint64_t)(INTEL_DSA_CHUNK - 1))

static IntelDSATranslation *find_set(IntelDSAState *s, uint32_t pasid,
                                     uint64_t iova)
{
    uint32_t sets = s->atc_entries / INTEL_DSA_ATC_WAYS;
    uint64_t page = iova / INTEL_DSA_CHUNK;
    uint32_t hash = page ^ (page >> 9) ^ pasid * 0x9e3779b1u;

    return &s->atc[(hash & (sets - 1)) * INTEL_DSA_ATC_WAYS];
}

static IntelDSATranslation *find(IntelDSATranslation *set, uint32_t pasid,
                                 bool priv, uint64_t iova)
{
    for (int i = 0; i < INTEL_DSA_ATC_WAYS; i++) {
        if (set[i].valid && set[i].iova == iova && set[i].pasid == pasid &&
            set[i].priv == priv) {
            return &set[i];
        }
    }
    return NULL;
}

/* A place that is free, or else that of the entries by turns */
static IntelDSATranslation *victim(IntelDSAState *s, IntelDSATranslation *set)
{
    for (int i = 0; i < INTEL_DSA_ATC_WAYS; i++) {
        if (!set[i].valid) {
            return &set[i];
        }
    }
    return &set[s->atc_victim++ % INTEL_DSA_ATC_WAYS];
}

/*
 * Translate @addr for one access within its page.  Returns a status code, 0
 * for success.  With *@untranslated the IOMMU wants the plain address.
 */
uint8_t intel_dsa_atc_translate(IntelDSAState *s, uint32_t pasid,
                                unsigned flags, uint64_t addr, uint64_t *hpa,
                                bool *untranslated)
{
    bool write = flags & VTD_REQ_WRITE;
    bool priv = flags & VTD_REQ_PRIV;
    uint64_t iova = addr & PAGE_MASK;
    IntelDSATranslation *set = find_set(s, pasid, iova);
    IntelDSATranslation *e = find(set, pasid, priv, iova);
    VTDTranslation t;
    bool ok;

    *untranslated = false;
    if (!e || !(write ? e->write : e->read)) {
        ok = vtd_ats_translate(PCI_DEVICE(s), pasid, iova, flags, &t);
        trace_intel_dsa_translate(DEVICE(s)->id ?: "", pasid, priv, iova,
                                  write, ok, ok && t.read, ok && t.write);
        if (!ok) {
            return DSA_STATUS_TRANSLATION;
        }
        if (!(write ? t.write : t.read)) {
            return DSA_STATUS_PAGE_FAULT;
        }
        if (t.untranslated) {
            *untranslated = true;
            return DSA_STATUS_NONE;
        }
        if (!e) {
            e = victim(s, set);
        }
        *e = (IntelDSATranslation) {
            .valid = true,
            .iova = iova,
            .hpa = t.addr | (iova & (t.size - 1)),
            .pasid = pasid,
            .priv = priv,
            .read = t.read,
            .write = t.write,
        };
    }
    *hpa = e->hpa | (addr & ~PAGE_MASK);
    return DSA_STATUS_NONE;
}

void intel_dsa_atc_flush(IntelDSAState *s)
{
    memset(s->atc, 0, s->atc_entries * sizeof(s->atc[0]));
}

/*
 * PCIe 6.0 10.3: an invalidation without PASID is for translations without
 * one; a global one is for all that have one.
 */
static bool intel_dsa_invalidate(VTDAtsDevice *dev, uint32_t pasid,
                                 bool global, uint64_t addr, uint64_t size)
{
    IntelDSAState *s = INTEL_DSA(dev);
    unsigned dropped = 0;

    if (intel_dsa_silent(s)) {
        return false;
    }

    for (unsigned i = 0; i < s->atc_entries; i++) {
        IntelDSATranslation *e = &s->atc[i];

        if (e->valid && (!size || e->iova - addr < size) &&
            (global ? e->pasid != PCI_NO_PASID : e->pasid == pasid)) {
            e->valid = false;
            dropped++;
        }
    }
    trace_intel_dsa_invalidate(DEVICE(s)->id ?: "", pasid, global, addr, size,
                               dropped);
    return true;
}

void intel_dsa_atc_class_init(ObjectClass *oc)
{
    VTD_ATS_DEVICE_CLASS(oc)->dev_iotlb_invalidate = intel_dsa_invalidate;
}
