/*
 * Test window of the emulated VT-d: which invalidations did software issue?
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "hw/i386/intel_iommu_inv_log.h"
#include "intel_iommu_internal.h"

/* Written by the invalidation queue and read by MMIO, both under the BQL */
struct VTDInvLog {
    MemoryRegion mr;
    uint64_t total;
    uint64_t counters[VTD_INV_LOG_COUNTER_NR];
    uint64_t log[VTD_INV_LOG_NR * 2];
};

static void vtd_inv_log_reset(struct VTDInvLog *l)
{
    l->total = 0;
    memset(l->counters, 0, sizeof(l->counters));
    memset(l->log, 0, sizeof(l->log));
}

static uint64_t vtd_inv_log_read(void *opaque, hwaddr addr, unsigned size)
{
    struct VTDInvLog *l = opaque;
    hwaddr i;

    switch (addr) {
    case VTD_INV_LOG_REG_MAGIC:
        return VTD_INV_LOG_MAGIC;
    case VTD_INV_LOG_REG_TOTAL:
        return l->total;
    case VTD_INV_LOG_REG_COUNTERS ... VTD_INV_LOG_REG_LOG - 1:
        i = (addr - VTD_INV_LOG_REG_COUNTERS) / 8;
        return i < ARRAY_SIZE(l->counters) ? l->counters[i] : 0;
    case VTD_INV_LOG_REG_LOG ... VTD_INV_LOG_SIZE - 1:
        i = (addr - VTD_INV_LOG_REG_LOG) / 8;
        return i < ARRAY_SIZE(l->log) ? l->log[i] : 0;
    default:
        return 0;
    }
}

static void vtd_inv_log_write(void *opaque, hwaddr addr, uint64_t val,
                              unsigned size)
{
    if (addr == VTD_INV_LOG_REG_RESET) {
        vtd_inv_log_reset(opaque);
    }
}

static const MemoryRegionOps vtd_inv_log_ops = {
    .read = vtd_inv_log_read,
    .write = vtd_inv_log_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 8, .max_access_size = 8 },
    .valid = { .min_access_size = 8, .max_access_size = 8 },
};

void vtd_inv_log_add(IntelIOMMUState *s, const VTDInvDesc *desc)
{
    struct VTDInvLog *l = s->inv_log;
    unsigned int type, gran = 0;

    if (!l) {
        return;
    }

    type = VTD_INV_DESC_TYPE(desc->lo);
    switch (type) {
    case VTD_INV_DESC_CC:
    case VTD_INV_DESC_IOTLB:
    case VTD_INV_DESC_PIOTLB:
    case VTD_INV_DESC_PC:
        gran = desc->lo >> 4 & 3;
        break;
    case VTD_INV_DESC_WAIT:
        gran = desc->lo >> VTD_INV_LOG_WAIT_SHIFT & 3;
        break;
    }

    if (VTD_INV_LOG_COUNTER(type, gran) < ARRAY_SIZE(l->counters)) {
        l->counters[VTD_INV_LOG_COUNTER(type, gran)]++;
    }
    l->log[l->total % VTD_INV_LOG_NR * 2] = desc->val[0];
    l->log[l->total % VTD_INV_LOG_NR * 2 + 1] = desc->val[1];
    l->total++;
}

/* A page group response, counted already, that no device waits for */
void vtd_inv_log_add_unknown_response(IntelIOMMUState *s)
{
    struct VTDInvLog *l = s->inv_log;

    if (l) {
        l->counters[VTD_INV_LOG_UNKNOWN_RESPONSE]++;
    }
}

void vtd_inv_log_init(IntelIOMMUState *s)
{
    struct VTDInvLog *l = g_new0(struct VTDInvLog, 1);

    s->inv_log = l;
    memory_region_init_io(&l->mr, OBJECT(s), &vtd_inv_log_ops, l,
                          "intel-iommu-inv-log", VTD_INV_LOG_SIZE);
    memory_region_add_subregion(get_system_memory(),
                                s->csrmem.addr + VTD_INV_LOG_OFFSET, &l->mr);
    object_property_add_uint64_ptr(OBJECT(s), "inv-desc-total", &l->total,
                                   OBJ_PROP_FLAG_READ);
}
