/*
 * Intel Data Streaming Accelerator: PCI function
 *
 * A model of the accelerator that Linux' idxd driver knows as "dsa", after the
 * Intel Data Streaming Accelerator Architecture Specification, version 1.0 of
 * the architecture.  What is modelled and what is not, and all properties:
 * docs/system/devices/intel-dsa.rst.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "hw/i386/enqueue-portal.h"
#include "hw/i386/intel_iommu_ats.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "intel-dsa.h"
#include "trace.h"

/*
 * What one run of the bottom half may cost: bytes moved, plus a fixed part a
 * step.  It keeps the main loop, and with it the BQL, responsive.
 */
#define BH_BUDGET       (256 * 1024)
#define STEP_COST       256

/* Configuration space: PCI Express capability, first extended capability */
#define EXP_CAP         0x80
#define FIRST_EXT_CAP   PCI_CONFIG_SPACE_SIZE
#define EXT_CAP_SPACE   0x10

/* PCIe 6.0 sections 7.8.9 PASID, 10.5.2 PRI */
#define PASID_WIDTH     20

static uint16_t pasid_ctrl(IntelDSAState *s)
{
    return s->pasid_cap ? pci_get_word(PCI_DEVICE(s)->config + s->pasid_cap +
                                       PCI_PASID_CTRL) : 0;
}

bool intel_dsa_pasid_enabled(IntelDSAState *s)
{
    return pasid_ctrl(s) & PCI_PASID_CTRL_ENABLE;
}

bool intel_dsa_pasid_priv_enabled(IntelDSAState *s)
{
    return pasid_ctrl(s) & PCI_PASID_CTRL_PRIV;
}

static bool ats_enabled(IntelDSAState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    return s->ats && (pci_get_word(pdev->config + pdev->exp.ats_cap +
                                   PCI_ATS_CTRL) & PCI_ATS_CTRL_ENABLE);
}

/* Whether requests of @ctx go through the device TLB: 3.13.1 */
bool intel_dsa_ats(IntelDSAState *s, const IntelDSAContext *ctx)
{
    return !ctx->no_ats && ats_enabled(s);
}

bool intel_dsa_bus_master(IntelDSAState *s)
{
    return pci_get_word(PCI_DEVICE(s)->config + PCI_COMMAND) &
           PCI_COMMAND_MASTER;
}

static uint32_t test_control(IntelDSAState *s)
{
    return s->test_cap ? pci_get_long(PCI_DEVICE(s)->config + s->test_cap +
                                      INTEL_DSA_TEST_CTRL) : 0;
}

/* Whether invalidations of the device TLB get no answer */
bool intel_dsa_silent(IntelDSAState *s)
{
    return (test_control(s) & INTEL_DSA_TEST_SILENT) ||
           qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) < s->reset_until;
}

void intel_dsa_schedule(IntelDSAState *s)
{
    if (!s->dead) {
        qemu_bh_schedule(s->bh);
    }
}

static void stop_work(IntelDSAState *s)
{
    for (int i = 0; i < s->num_wqs; i++) {
        intel_dsa_wq_disable(s, i);
    }
}

void intel_dsa_reset_state(IntelDSAState *s)
{
    trace_intel_dsa_reset(DEVICE(s)->id ?: "");
    stop_work(s);
    intel_dsa_atc_flush(s);
    intel_dsa_regs_reset(s);
    bitmap_zero(s->handles, INTEL_DSA_MAX_WQS + 1);
    bitmap_zero(s->cmd_wqs, INTEL_DSA_MAX_WQS);
    s->cmd_started = false;
    s->misc_irq = false;
}

/* Chapter 5, halt state: the reset that it names ends it, or a larger one */
static void halt(IntelDSAState *s)
{
    uint32_t sts = FIELD_DP32(0, GENSTS, STATE, DSA_STATE_HALT);

    stop_work(s);
    intel_dsa_set_reg(s, A_GENSTS, FIELD_DP32(sts, GENSTS, RESET_TYPE,
                                              s->halt_type));
    if (s->halt_error) {
        intel_dsa_swerr(s, s->halt_error);
    }
    if (FIELD_EX32(intel_dsa_reg(s, A_GENCTRL), GENCTRL, HALT_INT_EN)) {
        intel_dsa_misc_interrupt(s, R_INTCAUSE_HALT_MASK);
    }
}

/* Everything that must not happen in the middle of a step */
static void handle_marks(IntelDSAState *s)
{
    if (s->reset_pending) {
        s->reset_pending = false;
        s->halt_pending = false;
        intel_dsa_reset_state(s);
    }
    if (s->halt_pending) {
        s->halt_pending = false;
        halt(s);
    }
}

static void halt_later(IntelDSAState *s, uint8_t type, uint8_t error)
{
    if (intel_dsa_state(s) != DSA_STATE_HALT && !s->reset_pending) {
        s->halt_pending = true;
        s->halt_type = type;
        s->halt_error = error;
        intel_dsa_schedule(s);
    }
}

static bool run_once(IntelDSAState *s, unsigned *cost)
{
    bool progress;

    handle_marks(s);
    progress = intel_dsa_cmd_step(s);
    for (int i = 0; i < s->num_engines && !s->dead; i++) {
        if (intel_dsa_engine_step(s, i, cost)) {
            *cost += STEP_COST;
            progress = true;
        }
        handle_marks(s);
    }
    return progress;
}

static void intel_dsa_bh(void *opaque)
{
    IntelDSAState *s = opaque;
    MemReentrancyGuard *guard = &DEVICE(s)->mem_reentrancy_guard;
    unsigned cost = 0;
    bool more = true;

    /* A nested main loop, or MMIO of this device further up the stack */
    if (s->in_bh || guard->engaged_in_io) {
        s->bh_again = s->in_bh;
        if (!s->in_bh) {
            intel_dsa_schedule(s);
        }
        return;
    }

    /*
     * Set by hand, where qemu_bh_new_guarded() would do it, because @s can be
     * unplugged by its own MSI-X message and the guard is part of it.
     */
    object_ref(OBJECT(s));
    s->in_bh = true;
    guard->engaged_in_io = true;

    while (more && cost < BH_BUDGET && !s->dead) {
        more = run_once(s, &cost);
    }
    if (!s->dead) {
        intel_dsa_flush_misc_interrupt(s);
        handle_marks(s);
    }

    guard->engaged_in_io = false;
    s->in_bh = false;
    if (more || s->bh_again || s->misc_irq) {
        s->bh_again = false;
        intel_dsa_schedule(s);
    }
    object_unref(OBJECT(s));
}

static void intel_dsa_timer(void *opaque)
{
    intel_dsa_schedule(opaque);
}

static void intel_dsa_reset(DeviceState *dev)
{
    IntelDSAState *s = INTEL_DSA(dev);
    PCIDevice *pdev = PCI_DEVICE(s);

    msix_reset(pdev);
    if (s->pasid_cap) {
        pci_set_word(pdev->config + s->pasid_cap + PCI_PASID_CTRL, 0);
    }
    if (s->ats) {
        pci_set_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL, 0);
    }
    if (s->test_cap) {
        pci_set_long(pdev->config + s->test_cap + INTEL_DSA_TEST_CTRL, 0);
    }
    s->reset_until = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + s->flr_ms;
    intel_dsa_prs_reset(s);
    intel_dsa_atc_flush(s);
    if (s->in_bh) {
        s->reset_pending = true;
    } else {
        s->halt_pending = false;
        intel_dsa_reset_state(s);
    }
}

/* What must not change while the device is not disabled: table 5-1 */
static uint32_t locked_controls(IntelDSAState *s)
{
    return (pasid_ctrl(s) & (PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_PRIV)) |
           ats_enabled(s) << 8 | intel_dsa_pri_enabled(s) << 9;
}

static void intel_dsa_config_write(PCIDevice *pdev, uint32_t addr,
                                   uint32_t val, int len)
{
    IntelDSAState *s = INTEL_DSA(pdev);
    uint32_t before = locked_controls(s);
    bool pri = intel_dsa_pri_enabled(s);

    pci_default_write_config(pdev, addr, val, len);
    intel_dsa_prs_config(s, pri);
    pcie_cap_flr_write_config(pdev, addr, val, len);

    if (before != locked_controls(s)) {
        intel_dsa_atc_flush(s);
    }
    if (test_control(s) & INTEL_DSA_TEST_HALT) {
        pci_set_long(pdev->config + s->test_cap + INTEL_DSA_TEST_CTRL,
                     test_control(s) & ~INTEL_DSA_TEST_HALT);
        halt_later(s, test_control(s) & INTEL_DSA_TEST_HALT_FLR ?
                      DSA_RESET_TYPE_FLR : DSA_RESET_TYPE_SOFTWARE, 0);
    }
    if (intel_dsa_state(s) != DSA_STATE_DISABLED &&
        (!intel_dsa_bus_master(s) || before != locked_controls(s))) {
        halt_later(s, DSA_RESET_TYPE_FLR, DSA_SWERR_PCI_CFG);
    }
}

static bool check_properties(IntelDSAState *s, Error **errp)
{
    const struct {
        const char *name;
        uint32_t val, min, max;
    } props[] = {
        { "num-wqs", s->num_wqs, 1, INTEL_DSA_MAX_WQS },
        { "num-groups", s->num_groups, 1, INTEL_DSA_MAX_GROUPS },
        { "num-engines", s->num_engines, 1, INTEL_DSA_MAX_ENGINES },
        { "wq-size", s->wq_size, 1, INTEL_DSA_MAX_WQ_SIZE },
        { "num-rdbufs", s->num_rdbufs, 0, 255 },
        { "max-xfer-shift", s->max_xfer_shift, 12, 31 },
        { "max-batch-shift", s->max_batch_shift, 1, 15 },
        { "atc-entries", s->atc_entries, INTEL_DSA_ATC_WAYS,
          INTEL_DSA_ATC_MAX },
    };

    for (int i = 0; i < ARRAY_SIZE(props); i++) {
        if (props[i].val < props[i].min || props[i].val > props[i].max) {
            error_setg(errp, "%s must be %u to %u", props[i].name,
                       props[i].min, props[i].max);
            return false;
        }
    }
    if (!is_power_of_2(s->atc_entries)) {
        error_setg(errp, "atc-entries must be a power of two");
        return false;
    }
    if (s->pri == ON_OFF_AUTO_ON && !(s->pasid && s->ats)) {
        error_setg(errp, "pri=on needs pasid=on and ats=on");
        return false;
    }
    return true;
}

static void add_ext_capabilities(IntelDSAState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint16_t pos = FIRST_EXT_CAP;

    if (s->pasid) {
        s->pasid_cap = pos;
        pcie_add_capability(pdev, PCI_EXT_CAP_ID_PASID, 1, pos,
                            PCI_EXT_CAP_PASID_SIZEOF);
        pci_set_word(pdev->config + pos + PCI_PASID_CAP, PASID_WIDTH << 8 |
                     (s->pasid_priv ? PCI_PASID_CAP_PRIV : 0));
        pci_set_word(pdev->wmask + pos + PCI_PASID_CTRL,
                     PCI_PASID_CTRL_ENABLE |
                     (s->pasid_priv ? PCI_PASID_CTRL_PRIV : 0));
        pos += EXT_CAP_SPACE;
    }
    if (s->ats) {
        pcie_ats_init(pdev, pos, true);
        pos += EXT_CAP_SPACE;
    }
    if (s->pri == ON_OFF_AUTO_ON ||
        (s->pri == ON_OFF_AUTO_AUTO && s->pasid && s->ats)) {
        s->pri_cap = pos;
        pcie_add_capability(pdev, PCI_EXT_CAP_ID_PRI, 1, pos,
                            PCI_EXT_CAP_PRI_SIZEOF);
        pci_set_long(pdev->config + pos + PCI_PRI_MAX_REQ, INTEL_DSA_MAX_PRS);
        /* Reset reads as 0: intel_dsa_prs_config() takes it away again */
        pci_set_word(pdev->wmask + pos + PCI_PRI_CTRL,
                     PCI_PRI_CTRL_ENABLE | PCI_PRI_CTRL_RESET);
        pci_set_word(pdev->w1cmask + pos + PCI_PRI_STATUS,
                     PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
        pci_set_long(pdev->wmask + pos + PCI_PRI_ALLOC_REQ, UINT32_MAX);
        pos += EXT_CAP_SPACE;
    }
    if (s->test) {
        s->test_cap = pos;
        pcie_add_capability(pdev, PCI_EXT_CAP_ID_VNDR, 1, pos,
                            INTEL_DSA_TEST_SIZE);
        pci_set_long(pdev->config + pos + PCI_VNDR_HEADER,
                     INTEL_DSA_TEST_ID | INTEL_DSA_TEST_SIZE << 20);
        pci_set_long(pdev->wmask + pos + INTEL_DSA_TEST_CTRL,
                     INTEL_DSA_TEST_HALT | INTEL_DSA_TEST_HALT_FLR |
                     INTEL_DSA_TEST_SILENT);
    }
}

static void intel_dsa_realize(PCIDevice *pdev, Error **errp)
{
    IntelDSAState *s = INTEL_DSA(pdev);
    uint64_t portals;
    int i;

    if (!check_properties(s, errp)) {
        return;
    }

    error_setg(&s->migration_blocker, "Migration is disabled: the state of "
               "device 'intel-dsa' is not saved");
    if (migrate_add_blocker(&s->migration_blocker, errp) < 0) {
        return;
    }

    memory_region_init(&s->bar0, OBJECT(s), "intel-dsa-bar0",
                       INTEL_DSA_BAR0_SIZE);
    if (msix_init(pdev, s->num_wqs + 1, &s->bar0, 0, INTEL_DSA_MSIX_TABLE,
                  &s->bar0, 0, INTEL_DSA_MSIX_PBA, 0, errp) < 0) {
        migrate_del_blocker(&s->migration_blocker);
        return;
    }
    for (i = 0; i <= s->num_wqs; i++) {
        msix_vector_use(pdev, i);
    }

    pcie_endpoint_cap_init(pdev, EXP_CAP);
    pcie_cap_flr_init(pdev);
    add_ext_capabilities(s);

    memory_region_init_io(&s->regs_mr, OBJECT(s), &intel_dsa_regs_ops, s,
                          "intel-dsa-regs", INTEL_DSA_REGS_SIZE);
    memory_region_add_subregion(&s->bar0, 0, &s->regs_mr);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->bar0);

    portals = s->num_wqs * DSA_PORTAL_PAGES * DSA_PORTAL_PAGE;
    memory_region_init_io(&s->portals_mr, OBJECT(s), &intel_dsa_portal_ops, s,
                          "intel-dsa-portals", pow2ceil(portals));
    pci_register_bar(pdev, 2, PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->portals_mr);

    for (i = 0; i < INTEL_DSA_MAX_ENGINES; i++) {
        s->engines[i].wq = -1;
    }
    s->atc = g_new0(IntelDSATranslation, s->atc_entries);
    s->bh = qemu_bh_new(intel_dsa_bh, s);
    s->prs_timer = timer_new_ms(QEMU_CLOCK_REALTIME, intel_dsa_timer, s);
    intel_dsa_prs_reset(s);
    intel_dsa_regs_init(s);
    intel_dsa_reset_state(s);
}

/* Can run inside the bottom half: what that still uses goes in finalize */
static void intel_dsa_exit(PCIDevice *pdev)
{
    IntelDSAState *s = INTEL_DSA(pdev);

    s->dead = true;
    qemu_bh_delete(s->bh);
    timer_free(s->prs_timer);
    msix_unuse_all_vectors(pdev);
    msix_uninit(pdev, &s->bar0, &s->bar0);
    pcie_cap_exit(pdev);
    migrate_del_blocker(&s->migration_blocker);
}

static void intel_dsa_finalize(Object *obj)
{
    IntelDSAState *s = INTEL_DSA(obj);

    for (int i = 0; i < INTEL_DSA_MAX_WQS; i++) {
        g_free(s->wqs[i].ring);
    }
    g_free(s->atc);
}

static const Property intel_dsa_properties[] = {
    DEFINE_PROP_UINT32("num-wqs", IntelDSAState, num_wqs, 8),
    DEFINE_PROP_UINT32("num-groups", IntelDSAState, num_groups, 4),
    DEFINE_PROP_UINT32("num-engines", IntelDSAState, num_engines, 4),
    DEFINE_PROP_UINT32("wq-size", IntelDSAState, wq_size, 128),
    DEFINE_PROP_UINT32("num-rdbufs", IntelDSAState, num_rdbufs, 96),
    DEFINE_PROP_UINT8("max-xfer-shift", IntelDSAState, max_xfer_shift, 31),
    DEFINE_PROP_UINT8("max-batch-shift", IntelDSAState, max_batch_shift, 10),
    DEFINE_PROP_BOOL("int-handles", IntelDSAState, int_handles, true),
    DEFINE_PROP_BOOL("pasid", IntelDSAState, pasid, true),
    DEFINE_PROP_BOOL("pasid-priv", IntelDSAState, pasid_priv, true),
    DEFINE_PROP_BOOL("ats", IntelDSAState, ats, true),
    DEFINE_PROP_ON_OFF_AUTO("pri", IntelDSAState, pri, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_UINT32("atc-entries", IntelDSAState, atc_entries, 256),
    DEFINE_PROP_BOOL("x-test", IntelDSAState, test, false),
    DEFINE_PROP_UINT32("x-flr-ms", IntelDSAState, flr_ms, 0),
};

static void intel_dsa_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(oc);

    k->realize = intel_dsa_realize;
    k->exit = intel_dsa_exit;
    k->config_write = intel_dsa_config_write;
    k->vendor_id = PCI_VENDOR_ID_INTEL;
    k->device_id = INTEL_DSA_DEVICE_ID;
    k->class_id = PCI_CLASS_SYSTEM_OTHER;
    device_class_set_legacy_reset(dc, intel_dsa_reset);
    device_class_set_props(dc, intel_dsa_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    dc->desc = "Intel Data Streaming Accelerator (model)";
    intel_dsa_portal_class_init(oc);
    intel_dsa_atc_class_init(oc);
    intel_dsa_prs_class_init(oc);
}

static const TypeInfo intel_dsa_info = {
    .name = TYPE_INTEL_DSA,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(IntelDSAState),
    .instance_finalize = intel_dsa_finalize,
    .class_init = intel_dsa_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { TYPE_ENQUEUE_PORTAL },
        { TYPE_VTD_ATS_DEVICE },
        { }
    },
};

static void intel_dsa_register_types(void)
{
    type_register_static(&intel_dsa_info);
}

type_init(intel_dsa_register_types)
