/*
 * A PCI function that sends the requests it is told to, to test the emulated
 * VT-d, by qtests; and with sva=on what a guest does with page requests
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/i386/vtd-testdev.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"

/* A device TLB that forgets only when it is full, or told to */
#define TLB_SIZE 64

typedef struct VTDTestDevTLB {
    bool valid;
    uint32_t pasid;
    bool priv;
    uint64_t iova;
    VTDTranslation t;
} VTDTestDevTLB;

/* The page requests of a group index that no response has come to */
typedef struct VTDTestDevGroup {
    uint32_t pasid;
    bool partial;       /* some, but not the last of the group */
    unsigned waiting;   /* groups: software may let the index be used again */
} VTDTestDevGroup;

/* A request that is sent again and again, while registers do other things */
typedef struct VTDTestDevFlight {
    uint64_t left;
    int64_t period;
    uint64_t command;
    uint32_t pasid;
    unsigned flags;
    uint64_t addr;
    uint64_t stride;
    uint64_t data;
} VTDTestDevFlight;

struct VTDTestDevState {
    PCIDevice parent_obj;

    bool sva;

    MemoryRegion mr;
    uint64_t regs[VTD_TESTDEV_REGS_SIZE / 8];
    VTDTestDevTLB tlb[TLB_SIZE];
    unsigned tlb_next;
    VTDTestDevGroup groups[VTD_PRGI_MAX + 1];
    VTDTestDevFlight flight;
    QEMUTimer *timer;
    QEMUBH *bh;
    bool silent;
};

OBJECT_DECLARE_SIMPLE_TYPE(VTDTestDevState, VTD_TESTDEV)

/* Offsets in configuration space */
#define EXP_CAP     0x40
#define PASID_CAP   0x100
#define ATS_CAP     0x110
#define PRI_CAP     0x120

#define REG(s, name) ((s)->regs[VTD_TESTDEV_##name / 8])

static VTDTestDevTLB *tlb_lookup(VTDTestDevState *s, uint32_t pasid, bool priv,
                                 uint64_t addr)
{
    for (int i = 0; i < TLB_SIZE; i++) {
        VTDTestDevTLB *e = &s->tlb[i];

        if (e->valid && e->pasid == pasid && e->priv == priv &&
            (addr & ~(e->t.size - 1)) == e->iova) {
            return e;
        }
    }
    return NULL;
}

static bool tlb_permits(const VTDTranslation *t, unsigned flags)
{
    return flags & VTD_REQ_WRITE ? t->write : t->read;
}

/* One access that stays within a page, by way of the device TLB */
static bool tlb_dma(VTDTestDevState *s, uint32_t pasid, uint64_t addr,
                    uint64_t *data, unsigned flags)
{
    PCIDevice *dev = PCI_DEVICE(s);
    bool priv = flags & VTD_REQ_PRIV;
    VTDTestDevTLB *e = tlb_lookup(s, pasid, priv, addr);

    if (!e || !tlb_permits(&e->t, flags)) {
        VTDTranslation t;

        if (!vtd_ats_translate(dev, pasid, addr, flags, &t) ||
            t.untranslated || !tlb_permits(&t, flags)) {
            return false;
        }
        if (!e) {
            e = &s->tlb[s->tlb_next++ % TLB_SIZE];
        }
        *e = (VTDTestDevTLB) {
            .valid = true,
            .pasid = pasid,
            .priv = priv,
            .iova = addr & ~(t.size - 1),
            .t = t,
        };
    }
    return vtd_dma_translated_rw(dev, e->t.addr | (addr & (e->t.size - 1)),
                                 data, sizeof(*data), flags) == MEMTX_OK;
}

static void vtd_testdev_translate(VTDTestDevState *s, uint32_t pasid,
                                  uint64_t addr, unsigned flags)
{
    VTDTranslation t;

    REG(s, RESULT) = vtd_ats_translate(PCI_DEVICE(s), pasid, addr, flags, &t) ?
                     VTD_TESTDEV_OK : VTD_TESTDEV_FAILED;
    REG(s, XLAT_ADDR) = t.addr;
    REG(s, XLAT_SIZE) = t.size;
    REG(s, XLAT_BITS) = (t.read ? VTD_TESTDEV_XLAT_READ : 0) |
                        (t.write ? VTD_TESTDEV_XLAT_WRITE : 0) |
                        (t.exec ? VTD_TESTDEV_XLAT_EXEC : 0) |
                        (t.priv ? VTD_TESTDEV_XLAT_PRIV : 0) |
                        (t.global ? VTD_TESTDEV_XLAT_GLOBAL : 0) |
                        (t.untranslated ? VTD_TESTDEV_XLAT_U : 0);
}

static void vtd_testdev_page_request(VTDTestDevState *s, uint32_t pasid,
                                     uint64_t addr, unsigned flags)
{
    uint16_t prgi = REG(s, PRGI) & VTD_PRGI_MAX;
    uint64_t *private = &REG(s, PRIVATE);
    VTDTestDevGroup *group = &s->groups[prgi];
    bool last = REG(s, LAST);
    /* VT-d does not let software answer it */
    bool stop_marker = last && !(flags & (VTD_REQ_READ | VTD_REQ_WRITE));
    VTDPageResponse resp;
    bool sent;

    sent = vtd_page_request(PCI_DEVICE(s), pasid, addr, prgi, flags, last,
                            private[0] || private[1] ? private : NULL, &resp);
    REG(s, RESULT) = sent ? VTD_TESTDEV_OK : VTD_TESTDEV_ANSWERED | resp;

    if (group->pasid != pasid) {
        *group = (VTDTestDevGroup) { .pasid = pasid };
    }
    group->partial = sent && !last;
    group->waiting += sent && last && !stop_marker;
}

/* One of the requests that access memory */
static bool vtd_testdev_access(VTDTestDevState *s, uint64_t command,
                               uint32_t pasid, uint64_t addr, uint64_t *val,
                               unsigned flags)
{
    PCIDevice *dev = PCI_DEVICE(s);
    uint64_t data = cpu_to_le64(*val);
    bool ok;

    switch (command) {
    case VTD_TESTDEV_DMA:
        ok = vtd_dma_rw(dev, pasid, addr, &data, sizeof(data), flags,
                        NULL) == MEMTX_OK;
        break;
    case VTD_TESTDEV_DMA_TRANSLATED:
        ok = vtd_dma_translated_rw(dev, addr, &data, sizeof(data),
                                   flags) == MEMTX_OK;
        break;
    default:
        ok = tlb_dma(s, pasid, addr, &data, flags);
    }
    if (ok && !(flags & VTD_REQ_WRITE)) {
        *val = le64_to_cpu(data);
    }
    return ok;
}

static void vtd_testdev_flight_next(VTDTestDevState *s)
{
    VTDTestDevFlight *f = &s->flight;

    if (!f->left) {
        return;
    }
    if (f->period) {
        timer_mod(s->timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + f->period);
    } else {
        qemu_bh_schedule(s->bh);
    }
}

static void vtd_testdev_flight_end(VTDTestDevState *s)
{
    s->flight.left = 0;
    timer_del(s->timer);
    qemu_bh_cancel(s->bh);
}

static void vtd_testdev_flight_step(VTDTestDevState *s)
{
    VTDTestDevFlight *f = &s->flight;

    /* Software may end it while this is on its way */
    if (!f->left) {
        return;
    }
    if (vtd_testdev_access(s, f->command, f->pasid, f->addr, &f->data,
                           f->flags)) {
        REG(s, FLIGHT_OK)++;
        REG(s, FLIGHT_DATA) = f->data;
    } else {
        REG(s, FLIGHT_FAILED)++;
    }
    /* What it wrote to may have been the end of it */
    if (f->left) {
        f->left--;
        f->addr += f->stride;
        REG(s, FLIGHT_LEFT) = f->left;
        vtd_testdev_flight_next(s);
    }
}

/*
 * Bottom half and timer, guarded as by qemu_bh_new_guarded(), but @s may go in
 * the middle of it.
 */
static void vtd_testdev_fly(void *opaque)
{
    VTDTestDevState *s = opaque;
    bool *engaged = &DEVICE(s)->mem_reentrancy_guard.engaged_in_io;
    bool before = *engaged;

    object_ref(OBJECT(s));
    *engaged = true;
    vtd_testdev_flight_step(s);
    *engaged = before;
    object_unref(OBJECT(s));
}

static bool vtd_testdev_flight_start(VTDTestDevState *s, uint64_t command,
                                     uint32_t pasid, unsigned flags)
{
    if (s->flight.left) {
        return false;
    }
    s->flight = (VTDTestDevFlight) {
        .left = REG(s, COUNT),
        .period = MIN(REG(s, PERIOD), INT64_MAX / 2),
        .command = command,
        .pasid = pasid,
        .flags = flags,
        .addr = REG(s, ADDR),
        .stride = REG(s, STRIDE),
        .data = REG(s, DATA),
    };
    REG(s, FLIGHT_LEFT) = s->flight.left;
    REG(s, FLIGHT_OK) = 0;
    REG(s, FLIGHT_FAILED) = 0;
    vtd_testdev_flight_next(s);
    return true;
}

static void vtd_testdev_command(VTDTestDevState *s, uint64_t command)
{
    uint32_t pasid = REG(s, PASID);
    uint64_t addr = REG(s, ADDR);
    unsigned flags = REG(s, FLAGS) & (VTD_REQ_WRITE | VTD_REQ_PRIV |
                                      VTD_REQ_EXEC | VTD_REQ_READ);
    bool ok = false;

    if (pasid != PCI_NO_PASID) {
        pasid &= 0xfffff;
    }

    switch (command) {
    case VTD_TESTDEV_DMA:
    case VTD_TESTDEV_DMA_TRANSLATED:
    case VTD_TESTDEV_DMA_TLB:
        ok = REG(s, COUNT) ?
             vtd_testdev_flight_start(s, command, pasid, flags) :
             vtd_testdev_access(s, command, pasid, addr, &REG(s, DATA), flags);
        break;
    case VTD_TESTDEV_STOP:
        ok = s->flight.left;
        vtd_testdev_flight_end(s);
        REG(s, FLIGHT_LEFT) = 0;
        break;
    case VTD_TESTDEV_ATS:
        vtd_testdev_translate(s, pasid, addr, flags);
        return;
    case VTD_TESTDEV_PAGE_REQUEST:
        vtd_testdev_page_request(s, pasid, addr, flags);
        return;
    case VTD_TESTDEV_SILENT:
        s->silent = REG(s, DATA);
        REG(s, RESULT) = VTD_TESTDEV_OK;
        return;
    }
    REG(s, RESULT) = ok ? VTD_TESTDEV_OK : VTD_TESTDEV_FAILED;
}

static uint64_t vtd_testdev_read(void *opaque, hwaddr addr, unsigned size)
{
    VTDTestDevState *s = opaque;

    return addr < VTD_TESTDEV_REGS_SIZE ? s->regs[addr / 8] : 0;
}

static void vtd_testdev_write(void *opaque, hwaddr addr, uint64_t val,
                              unsigned size)
{
    VTDTestDevState *s = opaque;

    if (addr < VTD_TESTDEV_COMMAND ||
        (addr >= VTD_TESTDEV_COUNT && addr <= VTD_TESTDEV_STRIDE)) {
        s->regs[addr / 8] = val;
    } else if (addr == VTD_TESTDEV_COMMAND) {
        vtd_testdev_command(s, val);
    }
}

static const MemoryRegionOps vtd_testdev_ops = {
    .read = vtd_testdev_read,
    .write = vtd_testdev_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 8, .max_access_size = 8 },
    .valid = { .min_access_size = 8, .max_access_size = 8 },
};

static bool vtd_testdev_dev_iotlb_invalidate(VTDAtsDevice *dev, uint32_t pasid,
                                             bool global, uint64_t addr,
                                             uint64_t size)
{
    VTDTestDevState *s = VTD_TESTDEV(dev);

    REG(s, INV_COUNT)++;
    REG(s, INV_PASID) = pasid;
    REG(s, INV_GLOBAL) = global;
    REG(s, INV_ADDR) = addr;
    REG(s, INV_SIZE) = size;
    if (s->silent) {
        return false;
    }

    for (int i = 0; i < TLB_SIZE; i++) {
        VTDTestDevTLB *e = &s->tlb[i];
        bool pasid_hit = global ? e->pasid != PCI_NO_PASID : e->pasid == pasid;
        /* Both ranges are aligned: they overlap if the larger holds both */
        bool addr_hit = size == 0 ||
                        !((e->iova ^ addr) & ~(MAX(size, e->t.size) - 1));

        if (e->valid && pasid_hit && addr_hit) {
            e->valid = false;
        }
    }
    return true;
}

static bool vtd_testdev_page_response(VTDAtsDevice *dev,
                                      const VTDPageGroupResponse *response)
{
    VTDTestDevState *s = VTD_TESTDEV(dev);
    const uint64_t *private_data = response->private_data;
    VTDTestDevGroup *group = &s->groups[response->prgi];

    if (response->last) {
        REG(s, RESP_COUNT)++;
    } else {
        REG(s, RESP_PARTIAL)++;
    }
    REG(s, RESP_PASID) = response->pasid;
    REG(s, RESP_PRGI) = response->prgi;
    REG(s, RESP_CODE) = response->code;
    (&REG(s, RESP_PRIVATE))[0] = private_data ? private_data[0] : 0;
    (&REG(s, RESP_PRIVATE))[1] = private_data ? private_data[1] : 0;

    if (group->pasid != response->pasid ||
        (!group->waiting && !(group->partial && !response->last))) {
        REG(s, RESP_UNKNOWN)++;
        return false;
    }
    group->waiting -= response->last;
    return true;
}

static const VMStateDescription vtd_testdev_vmstate = {
    .name = TYPE_VTD_TESTDEV,
    .unmigratable = 1,
};

/* Of the machine, and a function level reset */
static void vtd_testdev_reset_hold(Object *obj, ResetType type)
{
    VTDTestDevState *s = VTD_TESTDEV(obj);
    PCIDevice *dev = PCI_DEVICE(obj);

    if (s->sva) {
        pci_set_word(dev->config + PASID_CAP + PCI_PASID_CTRL, 0);
        pci_set_word(dev->config + ATS_CAP + PCI_ATS_CTRL, 0);
        pci_set_word(dev->config + PRI_CAP + PCI_PRI_CTRL, 0);
        pci_set_long(dev->config + PRI_CAP + PCI_PRI_ALLOC_REQ, 0);
    }

    vtd_testdev_flight_end(s);
    memset(s->regs, 0, sizeof(s->regs));
    memset(s->tlb, 0, sizeof(s->tlb));
    memset(s->groups, 0, sizeof(s->groups));
    s->tlb_next = 0;
    s->silent = false;
}

/* For software to find and enable.  Requests do not depend on any of it. */
static void vtd_testdev_add_capabilities(PCIDevice *dev)
{
    pcie_endpoint_cap_init(dev, EXP_CAP);
    pcie_cap_flr_init(dev);

    pcie_add_capability(dev, PCI_EXT_CAP_ID_PASID, 1, PASID_CAP,
                        PCI_EXT_CAP_PASID_SIZEOF);
    pci_set_word(dev->config + PASID_CAP + PCI_PASID_CAP, 20 << 8 |
                 PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV);
    pci_set_word(dev->wmask + PASID_CAP + PCI_PASID_CTRL,
                 PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_EXEC |
                 PCI_PASID_CTRL_PRIV);

    pcie_ats_init(dev, ATS_CAP, true);

    pcie_add_capability(dev, PCI_EXT_CAP_ID_PRI, 1, PRI_CAP,
                        PCI_EXT_CAP_PRI_SIZEOF);
    pci_set_word(dev->config + PRI_CAP + PCI_PRI_STATUS,
                 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
    pci_set_word(dev->wmask + PRI_CAP + PCI_PRI_CTRL, PCI_PRI_CTRL_ENABLE);
    pci_set_long(dev->config + PRI_CAP + PCI_PRI_MAX_REQ, VTD_PRGI_MAX + 1);
    pci_set_long(dev->wmask + PRI_CAP + PCI_PRI_ALLOC_REQ, UINT32_MAX);
}

static void vtd_testdev_config_write(PCIDevice *dev, uint32_t addr,
                                     uint32_t val, int len)
{
    pci_default_write_config(dev, addr, val, len);
    if (VTD_TESTDEV(dev)->sva) {
        pcie_cap_flr_write_config(dev, addr, val, len);
    }
}

static void vtd_testdev_realize(PCIDevice *dev, Error **errp)
{
    VTDTestDevState *s = VTD_TESTDEV(dev);

    if (s->sva) {
        vtd_testdev_add_capabilities(dev);
    }
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vtd_testdev_fly, s);
    s->bh = qemu_bh_new(vtd_testdev_fly, s);
    memory_region_init_io(&s->mr, OBJECT(s), &vtd_testdev_ops, s,
                          TYPE_VTD_TESTDEV, VTD_TESTDEV_BAR_SIZE);
    pci_register_bar(dev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->mr);
}

static void vtd_testdev_exit(PCIDevice *dev)
{
    VTDTestDevState *s = VTD_TESTDEV(dev);

    vtd_testdev_flight_end(s);
    timer_free(s->timer);
    qemu_bh_delete(s->bh);
}

static const Property vtd_testdev_properties[] = {
    /* The capabilities without which software does not use PASIDs and PRI */
    DEFINE_PROP_BOOL("sva", VTDTestDevState, sva, false),
};

static void vtd_testdev_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    VTDAtsDeviceClass *ac = VTD_ATS_DEVICE_CLASS(klass);

    k->realize = vtd_testdev_realize;
    k->exit = vtd_testdev_exit;
    k->config_write = vtd_testdev_config_write;
    k->vendor_id = VTD_TESTDEV_VENDOR_ID;
    k->device_id = VTD_TESTDEV_DEVICE_ID;
    k->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = vtd_testdev_reset_hold;
    ac->dev_iotlb_invalidate = vtd_testdev_dev_iotlb_invalidate;
    ac->page_response = vtd_testdev_page_response;
    dc->vmsd = &vtd_testdev_vmstate;
    device_class_set_props(dc, vtd_testdev_properties);
    dc->desc = "Requester for tests of the emulated VT-d";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo vtd_testdev_info = {
    .name = TYPE_VTD_TESTDEV,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(VTDTestDevState),
    .class_init = vtd_testdev_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { TYPE_VTD_ATS_DEVICE },
        { },
    },
};

static void vtd_testdev_register_types(void)
{
    type_register_static(&vtd_testdev_info);
}

type_init(vtd_testdev_register_types)
