/*
 * Intel Data Streaming Accelerator: work queues, portals, dispatch
 *
 * An engine takes descriptors of the enabled WQs of its group.  At most one
 * engine works on a WQ at a time, so the descriptors of a WQ complete in the
 * order in which they were accepted.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/i386/enqueue-portal.h"
#include "intel-dsa.h"
#include "trace.h"

static int group_of_wq(IntelDSAState *s, int wq)
{
    for (int i = 0; i < s->num_groups; i++) {
        hwaddr base = INTEL_DSA_GRPCFG + i * DSA_GRPCFG_SIZE;

        if (intel_dsa_reg64(s, base + DSA_GRPCFG_WQS) & (1ull << wq)) {
            return i;
        }
    }
    return -1;
}

static bool engine_in_group(IntelDSAState *s, int engine, int group)
{
    hwaddr base = INTEL_DSA_GRPCFG + group * DSA_GRPCFG_SIZE;

    return intel_dsa_reg64(s, base + DSA_GRPCFG_ENGINES) & (1ull << engine);
}

static unsigned wq_priority(IntelDSAState *s, int wq)
{
    return FIELD_EX32(intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_MODE), WQCFG_MODE,
                      PRIORITY);
}

/* The configuration was checked by the ENABLE_DEVICE and ENABLE_WQ commands */
void intel_dsa_wq_enable(IntelDSAState *s, int wq)
{
    IntelDSAWQ *q = &s->wqs[wq];

    g_free(q->ring);
    q->size = FIELD_EX32(intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_SIZE), WQCFG_SIZE,
                         SIZE);
    q->ring = g_new0(IntelDSAQueued, q->size);
    q->head = 0;
    q->count = 0;
    q->submitted = 0;
    q->retired = 0;
    q->group = group_of_wq(s, wq);
    q->credit = wq_priority(s, wq);
    q->accepting = true;
    q->state = DSA_WQ_ENABLED;
}

void intel_dsa_wq_disable(IntelDSAState *s, int wq)
{
    IntelDSAWQ *q = &s->wqs[wq];

    intel_dsa_wq_abort(s, wq, -1);
    q->state = DSA_WQ_DISABLED;
    q->accepting = false;
    g_free(q->ring);
    q->ring = NULL;
    q->size = 0;
}

/* The context of a descriptor's DMA: chapter 3, dedicated and shared WQs */
void intel_dsa_wq_context(IntelDSAState *s, int wq, const uint8_t *raw,
                          IntelDSAContext *ctx)
{
    uint32_t mode = intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_MODE);
    uint32_t dw0 = ldl_le_p(raw + DSA_DESC_DW0);

    ctx->has_pasid = FIELD_EX32(mode, WQCFG_MODE, PASID_EN);
    ctx->no_ats = FIELD_EX32(mode, WQCFG_MODE, ATS_DISABLE);
    if (FIELD_EX32(mode, WQCFG_MODE, DEDICATED)) {
        ctx->pasid = FIELD_EX32(mode, WQCFG_MODE, PASID);
        ctx->priv = FIELD_EX32(mode, WQCFG_MODE, PRIV);
    } else {
        ctx->pasid = FIELD_EX32(dw0, DESC_DW0, PASID);
        ctx->priv = FIELD_EX32(dw0, DESC_DW0, PRIV);
    }
}

/* Drop the descriptors of @wq, those of one @pasid unless that is negative */
void intel_dsa_wq_abort(IntelDSAState *s, int wq, int64_t pasid)
{
    IntelDSAWQ *q = &s->wqs[wq];
    IntelDSAContext ctx;
    unsigned kept = 0;

    for (unsigned i = 0; i < q->count; i++) {
        IntelDSAQueued *d = &q->ring[(q->head + i) % q->size];

        intel_dsa_wq_context(s, wq, d->raw, &ctx);
        if (pasid >= 0 && !(ctx.has_pasid && ctx.pasid == pasid)) {
            q->ring[(q->head + kept++) % q->size] = *d;
        } else {
            q->retired++;
            s->drain_left -= d->drain;
        }
    }
    q->count = kept;

    for (unsigned i = 0; i < s->num_engines; i++) {
        IntelDSAEngine *e = &s->engines[i];

        if (e->wq == wq && (pasid < 0 || (e->work.ctx.has_pasid &&
                                          e->work.ctx.pasid == pasid))) {
            intel_dsa_engine_idle(s, e);
        }
    }
}

/* Drain PASID: have it wait for what is there of @pasid */
void intel_dsa_wq_mark(IntelDSAState *s, int wq, uint32_t pasid)
{
    IntelDSAWQ *q = &s->wqs[wq];
    IntelDSAContext ctx;

    for (unsigned i = 0; i < q->count; i++) {
        IntelDSAQueued *d = &q->ring[(q->head + i) % q->size];

        intel_dsa_wq_context(s, wq, d->raw, &ctx);
        d->drain = ctx.has_pasid && ctx.pasid == pasid;
        s->drain_left += d->drain;
    }
    for (unsigned i = 0; i < s->num_engines; i++) {
        IntelDSAEngine *e = &s->engines[i];

        if (e->wq == wq) {
            e->drain = e->work.ctx.has_pasid && e->work.ctx.pasid == pasid;
            s->drain_left += e->drain;
        }
    }
}

/*
 * Weighted round robin by WQ priority: in one round a WQ gives at most as many
 * descriptors as its priority says.
 */
static int pick_wq(IntelDSAState *s, int engine)
{
    int best = -1;

    for (int round = 0; round < 2 && best < 0; round++) {
        for (int i = 0; i < s->num_wqs; i++) {
            IntelDSAWQ *q = &s->wqs[i];

            if (q->state == DSA_WQ_DISABLED || q->busy || !q->count ||
                q->group < 0 || !engine_in_group(s, engine, q->group)) {
                continue;
            }
            if (round == 1) {
                q->credit = wq_priority(s, i);
            }
            if (q->credit && (best < 0 || q->credit > s->wqs[best].credit)) {
                best = i;
            }
        }
    }
    return best;
}

bool intel_dsa_engine_dispatch(IntelDSAState *s, int engine)
{
    IntelDSAEngine *e = &s->engines[engine];
    IntelDSAContext ctx;
    IntelDSAQueued *d;
    IntelDSAWQ *q;
    int wq = pick_wq(s, engine);

    if (wq < 0) {
        return false;
    }

    q = &s->wqs[wq];
    d = &q->ring[q->head];
    q->head = (q->head + 1) % q->size;
    q->count--;
    q->credit--;
    q->busy = true;

    intel_dsa_wq_context(s, wq, d->raw, &ctx);
    intel_dsa_work_init(&e->work, d->raw, &ctx);
    e->drain = d->drain;
    e->in_batch = false;
    e->wq = wq;
    return true;
}

/*
 * 5.3: a shared WQ answers retry when it cannot take a descriptor.  A dedicated
 * one cannot answer; software that overruns it loses descriptors, and learns of
 * it from SWERROR.  Other posted writes are ignored.
 */
static bool accepts(IntelDSAState *s, int wq, bool limited, bool posted)
{
    IntelDSAWQ *q = &s->wqs[wq];
    unsigned limit = q->size;
    bool dedicated;

    if (intel_dsa_state(s) != DSA_STATE_ENABLED || !q->accepting) {
        return false;
    }

    dedicated = FIELD_EX32(intel_dsa_wqcfg(s, wq, DSA_WQCFG_DW_MODE),
                           WQCFG_MODE, DEDICATED);
    if (dedicated != posted) {
        return false;
    }
    if (!dedicated && limited) {
        limit = MIN(limit, FIELD_EX32(intel_dsa_wqcfg(s, wq,
                                                      DSA_WQCFG_DW_THRESHOLD),
                                      WQCFG_THRESHOLD, THRESHOLD));
    }
    if (dedicated && q->count == limit) {
        intel_dsa_swerr_submit(s, wq, DSA_SWERR_DWQ_FULL);
    }
    return q->count < limit;
}

static EnqueueStatus intel_dsa_write64(EnqueuePortal *portal, MemoryRegion *mr,
                                       hwaddr offset, const uint8_t *data,
                                       bool posted)
{
    IntelDSAState *s = INTEL_DSA(portal);
    unsigned page = offset / DSA_PORTAL_PAGE;
    unsigned wq = page / DSA_PORTAL_PAGES;
    bool ok = mr == &s->portals_mr && wq < s->num_wqs;
    IntelDSAQueued *d;
    IntelDSAWQ *q;

    /* Without interrupt message storage there are no portals for it: 3.3 */
    page %= DSA_PORTAL_PAGES;
    ok = ok && !(page & DSA_PORTAL_IMS);
    ok = ok && accepts(s, wq, page & DSA_PORTAL_LIMITED, posted);
    trace_intel_dsa_submit(DEVICE(s)->id ?: "", wq, page, posted, ok);

    if (!ok) {
        if (posted) {
            qemu_log_mask(LOG_GUEST_ERROR, "intel-dsa: descriptor for WQ %u "
                          "dropped: not an enabled dedicated WQ with room\n",
                          wq);
        }
        return posted ? ENQUEUE_ACCEPT : ENQUEUE_RETRY;
    }

    q = &s->wqs[wq];
    d = &q->ring[(q->head + q->count) % q->size];
    memcpy(d->raw, data, DSA_DESC_SIZE);
    d->drain = false;
    q->count++;
    q->submitted++;
    intel_dsa_schedule(s);
    return ENQUEUE_ACCEPT;
}

static uint64_t intel_dsa_portal_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

/* Only a 64-byte write submits a descriptor: chapter 3, portals */
static void intel_dsa_portal_write(void *opaque, hwaddr addr, uint64_t val,
                                   unsigned size)
{
    qemu_log_mask(LOG_GUEST_ERROR, "intel-dsa: %u-byte write to a portal at "
                  "0x%" HWADDR_PRIx " ignored\n", size, addr);
}

const MemoryRegionOps intel_dsa_portal_ops = {
    .read = intel_dsa_portal_read,
    .write = intel_dsa_portal_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.max_access_size = 8,
    .impl.max_access_size = 8,
};

void intel_dsa_portal_class_init(ObjectClass *oc)
{
    ENQUEUE_PORTAL_CLASS(oc)->write64 = intel_dsa_write64;
}
