/*
 * Intel Data Streaming Accelerator: state of the model
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_DSA_H
#define HW_I386_INTEL_DSA_H

#include "exec/memory.h"
#include "hw/pci/pci_device.h"
#include "intel-dsa-regs.h"
#include "qemu/bitmap.h"
#include "qemu/timer.h"
#include "qom/object.h"

/*
 * Words used in this directory:
 *   descriptor  the 64 bytes that software submits
 *   work        a descriptor that an engine has taken, with its progress
 *   step        one bounded piece of work, never more than a page of data
 *   context     the address space and privilege that a descriptor's DMA uses,
 *               and whether it may use ATS
 *
 * Everything here runs under the BQL.  MMIO handlers and portal writes come
 * from vCPU threads and only record what is asked for; commands, descriptors
 * and interrupts are handled by a bottom half in the main loop, a bounded
 * amount per run.
 */

#define TYPE_INTEL_DSA "intel-dsa"
OBJECT_DECLARE_SIMPLE_TYPE(IntelDSAState, INTEL_DSA)

#define INTEL_DSA_MAX_WQS       64
#define INTEL_DSA_MAX_GROUPS    16
#define INTEL_DSA_MAX_ENGINES   16
#define INTEL_DSA_MAX_WQ_SIZE   4096    /* sum over all WQs */

/* BAR0: registers and tables, then the MSI-X structures */
#define INTEL_DSA_GRPCFG        0x0400
#define INTEL_DSA_WQCFG         0x0800
#define INTEL_DSA_MSIXPERM      0x1000
#define INTEL_DSA_REGS_SIZE     0x2000
#define INTEL_DSA_MSIX_TABLE    0x2000
#define INTEL_DSA_MSIX_PBA      0x3000
#define INTEL_DSA_BAR0_SIZE     0x4000

/* Largest piece of data that one step moves: a page */
#define INTEL_DSA_CHUNK         4096

/* Device TLB: entries that a translation can go to, and the most of all */
#define INTEL_DSA_ATC_WAYS      4
#define INTEL_DSA_ATC_MAX       4096

/* Page requests that can be outstanding: as many as there are group indices */
#define INTEL_DSA_MAX_PRS       512

/* When the RW bits of a register are writable */
typedef enum IntelDSALock {
    INTEL_DSA_LOCK_NONE,
    INTEL_DSA_LOCK_DEVICE,      /* only while the device is disabled */
    INTEL_DSA_LOCK_WQ,          /* only while that WQ is disabled */
} IntelDSALock;

typedef struct IntelDSAContext {
    bool has_pasid;
    bool priv;
    bool no_ats;                /* WQCFG.ATS_DISABLE */
    uint32_t pasid;
} IntelDSAContext;

typedef struct IntelDSAFault {
    uint64_t addr;
    bool write;
    uint8_t status;             /* DSA_STATUS_PAGE_FAULT if it may be mended */
} IntelDSAFault;

/* An entry of the device TLB */
typedef struct IntelDSATranslation {
    uint64_t iova;
    uint64_t hpa;
    uint32_t pasid;             /* PCI_NO_PASID: none */
    bool valid;
    bool priv;
    bool read;
    bool write;
} IntelDSATranslation;

/* A page request group, of one request; the index is that of the array */
typedef struct IntelDSAPageRequest {
    bool busy;                  /* sent and not answered */
    int8_t engine;              /* that waits for it; -1 if none does now */
    uint32_t pasid;             /* PCI_NO_PASID: none */
} IntelDSAPageRequest;

/* What an engine waits for before it goes on with its work */
typedef enum IntelDSAWait {
    INTEL_DSA_WAIT_NONE,
    INTEL_DSA_WAIT_CREDIT,      /* until a page request may be sent */
    INTEL_DSA_WAIT_RESPONSE,    /* for the answer to one */
    INTEL_DSA_WAIT_ANSWERED,    /* not any more, but it has not looked yet */
} IntelDSAWait;

typedef enum IntelDSAPage {
    INTEL_DSA_PAGE_WAIT,
    INTEL_DSA_PAGE_RETRY,       /* it should be there */
    INTEL_DSA_PAGE_DENIED,
} IntelDSAPage;

typedef enum IntelDSAWorkState {
    INTEL_DSA_WORK_CHECK,       /* nothing was looked at yet */
    INTEL_DSA_WORK_RUN,         /* the operation has bytes left */
    INTEL_DSA_WORK_COMPLETE,    /* status is final, to be reported */
    INTEL_DSA_WORK_FETCH,       /* reported; the next one of the batch */
} IntelDSAWorkState;

typedef struct IntelDSAWork {
    uint8_t raw[DSA_DESC_SIZE];
    IntelDSAContext ctx;
    uint8_t opcode;
    uint32_t flags;
    uint64_t cr_addr;
    uint64_t src;
    uint64_t dst;
    uint32_t size;
    uint16_t vector;            /* MSI-X vector of the completion interrupt */

    IntelDSAWorkState state;
    uint8_t status;
    uint8_t result;
    uint32_t invalid_flags;
    uint64_t done;              /* bytes, or descriptors of a batch */
    IntelDSAFault fault;
    uint32_t crc;
    uint32_t delta_size;        /* bytes of delta record written */
    int32_t delta_last;         /* last offset applied, -1 for none */
} IntelDSAWork;

typedef struct IntelDSAQueued {
    uint8_t raw[DSA_DESC_SIZE];
    bool drain;                 /* a Drain PASID command waits for it */
} IntelDSAQueued;

typedef struct IntelDSAWQ {
    uint8_t state;              /* DSA_WQ_* as WQCFG shows it */
    bool accepting;             /* false while being disabled */
    bool busy;                  /* an engine has a descriptor of this WQ */
    int group;                  /* -1: none */
    unsigned credit;            /* descriptors left in this priority round */

    /* Ring of accepted descriptors that no engine has taken; size slots */
    IntelDSAQueued *ring;
    unsigned size;
    unsigned head;
    unsigned count;

    /*
     * Descriptors accepted, and completed or dropped, since the WQ was
     * enabled.  A drain waits until retired reaches what submitted was.
     */
    uint64_t submitted;
    uint64_t retired;
    uint64_t drain_target;
} IntelDSAWQ;

typedef struct IntelDSAEngine {
    int wq;                     /* -1: idle */
    bool drain;                 /* a Drain PASID command waits for it */
    IntelDSAWork work;

    /* Block on fault: the fault, and the request for its page */
    IntelDSAWait wait;
    IntelDSAFault fault;
    unsigned prs_tries;         /* requests for that page so far */
    uint16_t prgi;
    uint8_t prs_code;           /* the answer */
    int64_t prs_after;          /* ms, QEMU_CLOCK_REALTIME: look at it then */

    /* While a batch is processed, work holds one descriptor of it */
    bool in_batch;
    IntelDSAWork batch;
    uint32_t batch_next;        /* descriptors read from the list */
    bool batch_failed;
} IntelDSAEngine;

struct IntelDSAState {
    PCIDevice parent_obj;

    MemoryRegion bar0;
    MemoryRegion regs_mr;
    MemoryRegion portals_mr;
    QEMUBH *bh;
    Error *migration_blocker;

    /* Properties */
    uint32_t num_wqs;
    uint32_t num_groups;
    uint32_t num_engines;
    uint32_t wq_size;
    uint32_t num_rdbufs;
    uint8_t max_xfer_shift;
    uint8_t max_batch_shift;
    bool int_handles;
    bool pasid;
    bool pasid_priv;
    bool ats;
    OnOffAuto pri;
    uint32_t atc_entries;
    bool test;
    uint32_t flr_ms;

    /* Extended capabilities; 0: there is none */
    uint16_t pasid_cap;
    uint16_t pri_cap;
    uint16_t test_cap;

    /* Register file: value, and per bit whether it is RW or W1C */
    uint32_t regs[INTEL_DSA_REGS_SIZE / 4];
    uint32_t regs_reset[INTEL_DSA_REGS_SIZE / 4];
    uint32_t regs_rw[INTEL_DSA_REGS_SIZE / 4];
    uint32_t regs_w1c[INTEL_DSA_REGS_SIZE / 4];
    uint8_t regs_lock[INTEL_DSA_REGS_SIZE / 4];

    IntelDSAWQ wqs[INTEL_DSA_MAX_WQS];
    IntelDSAEngine engines[INTEL_DSA_MAX_ENGINES];
    /* MSI-X vectors that REQUEST_INT_HANDLE gave a handle */
    DECLARE_BITMAP(handles, INTEL_DSA_MAX_WQS + 1);

    /* The command being executed; CMDSTS.ACTIVE says that there is one */
    bool cmd_started;
    DECLARE_BITMAP(cmd_wqs, INTEL_DSA_MAX_WQS);
    unsigned drain_left;        /* descriptors that Drain PASID waits for */

    /* Device TLB, in sets of INTEL_DSA_ATC_WAYS */
    IntelDSATranslation *atc;
    unsigned atc_victim;

    IntelDSAPageRequest prs[INTEL_DSA_MAX_PRS];
    unsigned prs_count;         /* that are busy */
    unsigned prs_next;          /* where to look for a free one */
    QEMUTimer *prs_timer;

    /* A misc. interrupt is due; sent by the bottom half */
    bool misc_irq;

    /*
     * The address of an MSI-X message is the guest's choice.  In configuration
     * space (ECAM) it can reset or unplug this device from inside its own
     * bottom half.  That only leaves a mark, looked at between steps.
     */
    bool in_bh;
    bool bh_again;
    bool reset_pending;
    bool halt_pending;
    bool dead;

    /* What the halt that is pending reports: reset type, SWERROR or 0 */
    uint8_t halt_type;
    uint8_t halt_error;

    int64_t reset_until;        /* ms, QEMU_CLOCK_VIRTUAL: no answers before */
};

/* intel-dsa-mmio.c: register file */
extern const MemoryRegionOps intel_dsa_regs_ops;
void intel_dsa_regs_init(IntelDSAState *s);
void intel_dsa_regs_reset(IntelDSAState *s);
void intel_dsa_regs_reset_wq(IntelDSAState *s, int wq);
uint64_t intel_dsa_reg64(IntelDSAState *s, hwaddr addr);
void intel_dsa_set_reg64(IntelDSAState *s, hwaddr addr, uint64_t val);
uint32_t intel_dsa_wqcfg(IntelDSAState *s, int wq, int dword);

static inline uint32_t intel_dsa_reg(IntelDSAState *s, hwaddr addr)
{
    return s->regs[addr / 4];
}

static inline void intel_dsa_set_reg(IntelDSAState *s, hwaddr addr,
                                     uint32_t val)
{
    s->regs[addr / 4] = val;
}

static inline int intel_dsa_state(IntelDSAState *s)
{
    return FIELD_EX32(intel_dsa_reg(s, A_GENSTS), GENSTS, STATE);
}

/* intel-dsa.c: PCI function */
bool intel_dsa_pasid_enabled(IntelDSAState *s);
bool intel_dsa_pasid_priv_enabled(IntelDSAState *s);
bool intel_dsa_ats(IntelDSAState *s, const IntelDSAContext *ctx);
bool intel_dsa_bus_master(IntelDSAState *s);
bool intel_dsa_silent(IntelDSAState *s);
void intel_dsa_schedule(IntelDSAState *s);
void intel_dsa_reset_state(IntelDSAState *s);

/* intel-dsa-irq.c: interrupts, software error register */
void intel_dsa_misc_interrupt(IntelDSAState *s, uint32_t cause);
void intel_dsa_flush_misc_interrupt(IntelDSAState *s);
bool intel_dsa_int_handle(IntelDSAState *s, uint16_t handle,
                          const IntelDSAContext *ctx, uint16_t *vector);
uint16_t intel_dsa_handle_of_vector(unsigned vector);
void intel_dsa_swerr(IntelDSAState *s, uint8_t error);
void intel_dsa_swerr_submit(IntelDSAState *s, int wq, uint8_t error);
void intel_dsa_swerr_work(IntelDSAState *s, IntelDSAEngine *e, uint8_t error,
                          const IntelDSAFault *fault);

/* intel-dsa-cmd.c: commands */
void intel_dsa_cmd_write(IntelDSAState *s, uint32_t val);
bool intel_dsa_cmd_step(IntelDSAState *s);

/* intel-dsa-wq.c: work queues, portals, dispatch to engines */
extern const MemoryRegionOps intel_dsa_portal_ops;
void intel_dsa_portal_class_init(ObjectClass *oc);
void intel_dsa_wq_enable(IntelDSAState *s, int wq);
void intel_dsa_wq_disable(IntelDSAState *s, int wq);
void intel_dsa_wq_abort(IntelDSAState *s, int wq, int64_t pasid);
void intel_dsa_wq_mark(IntelDSAState *s, int wq, uint32_t pasid);
void intel_dsa_wq_context(IntelDSAState *s, int wq, const uint8_t *raw,
                          IntelDSAContext *ctx);
bool intel_dsa_engine_dispatch(IntelDSAState *s, int engine);

/* intel-dsa-desc.c: life of a descriptor in an engine */
bool intel_dsa_engine_step(IntelDSAState *s, int engine, unsigned *cost);
void intel_dsa_engine_idle(IntelDSAState *s, IntelDSAEngine *e);
void intel_dsa_work_init(IntelDSAWork *w, const uint8_t *raw,
                         const IntelDSAContext *ctx);

/* intel-dsa-ops.c: operations */
typedef struct IntelDSAOp {
    const char *name;
    uint32_t flags;             /* that are not reserved */
    uint64_t reserved;          /* one bit per descriptor byte: must be zero */
    bool record_required;       /* CRAV and RCR must be set */
    bool not_in_batch;
    bool sized;                 /* has a transfer size */
    uint8_t (*check)(IntelDSAWork *w);
    /* One step; returns bytes handled.  A final status ends the operation. */
    unsigned (*step)(IntelDSAState *s, IntelDSAWork *w);
} IntelDSAOp;

const IntelDSAOp *intel_dsa_op(uint8_t opcode);
uint64_t intel_dsa_opcap(void);

/* intel-dsa-atc.c: device TLB */
uint8_t intel_dsa_atc_translate(IntelDSAState *s, uint32_t pasid,
                                unsigned flags, uint64_t addr, uint64_t *hpa,
                                bool *untranslated);
void intel_dsa_atc_flush(IntelDSAState *s);
void intel_dsa_atc_class_init(ObjectClass *oc);

/* intel-dsa-prs.c: page requests */
bool intel_dsa_pri_enabled(IntelDSAState *s);
uint32_t intel_dsa_pri_allocation(IntelDSAState *s);
bool intel_dsa_prs_block(IntelDSAState *s, IntelDSAEngine *e,
                         IntelDSAFault *fault);
IntelDSAPage intel_dsa_prs_poll(IntelDSAState *s, IntelDSAEngine *e);
void intel_dsa_prs_abandon(IntelDSAState *s, IntelDSAEngine *e);
void intel_dsa_prs_reset(IntelDSAState *s);
void intel_dsa_prs_config(IntelDSAState *s, bool enabled);
void intel_dsa_prs_class_init(ObjectClass *oc);

/* intel-dsa-dma.c: memory accesses of a descriptor */
bool intel_dsa_dma(IntelDSAState *s, const IntelDSAContext *ctx, uint64_t addr,
                   void *buf, unsigned len, bool write, IntelDSAFault *fault);

#endif
