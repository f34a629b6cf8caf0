/*
 * Helpers of the intel-dsa qtests: device set-up, descriptors, VT-d tables
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_INTEL_DSA_LIB_H
#define TESTS_INTEL_DSA_LIB_H

#include "libqtest.h"
#include "libqos/pci.h"
#include "hw/i386/intel-dsa/intel-dsa-regs.h"

/* Where the tests put things in guest memory */
#define DSA_MEM_TABLES      0x01000000  /* VT-d tables */
#define DSA_MEM_CR          0x02000000  /* completion records */
#define DSA_MEM_SRC         0x02100000
#define DSA_MEM_DST         0x02200000
#define DSA_MEM_AUX         0x02300000
#define DSA_MEM_LIST        0x02400000
#define DSA_MEM_MSG         0x02500000  /* MSI-X messages go to memory */

#define DSA_MEM_BIG         0x03000000  /* megabytes */

#define DSA_SLOT            4

/* MMIO of BAR0 that does not follow from TABLE OFFSETS */
#define DSA_MSIX_TABLE      0x2000

/* Linux enables commands, WQs and portals the way the defaults here do */
typedef struct DSATest {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar0;
    QPCIBar bar2;
    uint16_t sid;               /* bus, device and function */
    uint64_t tables;            /* next free page for VT-d tables */
} DSATest;

typedef struct DSADesc {
    uint8_t b[DSA_DESC_SIZE];
} DSADesc;

typedef struct DSARecord {
    uint8_t status;
    uint8_t result;
    uint32_t bytes;
    uint64_t fault;
    uint64_t data;
} DSARecord;

typedef struct DSAWQConfig {
    bool shared;
    unsigned size;
    unsigned threshold;
    unsigned group;             /* engine N belongs to group N */
    bool pasid_en;
    uint32_t pasid;
    bool priv;
    bool bof;
    bool ats_disable;
} DSAWQConfig;

/* A page request descriptor: VT-d spec 7.4.1 */
typedef struct DSAPageRequest {
    uint32_t pasid;
    bool priv;
    bool read;
    bool write;
    bool last;
    uint16_t prgi;
    uint64_t addr;
} DSAPageRequest;

DSATest *dsa_start(const char *args);
DSATest *dsa_start_behind_port(const char *args);
void dsa_unplug_port(DSATest *t);
void dsa_stop(DSATest *t);
void dsa_pci_enable(DSATest *t);

uint32_t dsa_readl(DSATest *t, uint32_t addr);
uint64_t dsa_readq(DSATest *t, uint32_t addr);
void dsa_writel(DSATest *t, uint32_t addr, uint32_t val);
void dsa_writeq(DSATest *t, uint32_t addr, uint64_t val);
uint32_t dsa_grpcfg(DSATest *t, int group);
uint32_t dsa_wqcfg(DSATest *t, int wq);

uint64_t dsa_config(DSATest *t, int offset);
uint64_t dsa_ext_cap(DSATest *t, uint16_t id);
void dsa_flr(DSATest *t);
uint8_t dsa_cmd(DSATest *t, unsigned code, uint32_t operand);
uint8_t dsa_cmd_wq(DSATest *t, unsigned code, int wq);
bool dsa_cmd_active(DSATest *t);

void dsa_configure_wq(DSATest *t, int wq, const DSAWQConfig *cfg);
void dsa_enable(DSATest *t, const DSAWQConfig *wq0, const DSAWQConfig *wq1);

DSADesc dsa_desc(unsigned opcode, uint32_t flags, uint64_t src, uint64_t dst,
                 uint32_t size);
uint64_t dsa_portal(DSATest *t, int wq, bool limited);
int dsa_submit(DSATest *t, int wq, bool posted, const DSADesc *d);
DSARecord dsa_wait(DSATest *t, uint64_t cr);
uint64_t dsa_wait_swerr(DSATest *t);
DSARecord dsa_run(DSATest *t, int wq, DSADesc *d);
void dsa_fill_pattern(DSATest *t, uint64_t addr, unsigned len, unsigned seed);
void dsa_assert_equal(DSATest *t, uint64_t a, uint64_t b, unsigned len);

/* VT-d in scalable mode */
typedef enum { PGTT_FL = 1, PGTT_SL = 2, PGTT_PT = 4 } DSAPgtt;

void dsa_pasid_enable(DSATest *t);
void dsa_ats_enable(DSATest *t, bool on);
void dsa_pri_enable(DSATest *t, uint32_t allocation);
void vtd_enable(DSATest *t);
void vtd_enable_ats(DSATest *t);
void vtd_restart(DSATest *t);
uint64_t vtd_page(DSATest *t);
void vtd_map(DSATest *t, DSAPgtt pgtt, uint64_t root, uint64_t iova,
             uint64_t pa, unsigned len);
void vtd_map_supervisor(DSATest *t, uint64_t root, uint64_t iova, uint64_t pa,
                        unsigned len);
void vtd_set_pasid_sre(DSATest *t, uint32_t pasid);
void vtd_set_pasid(DSATest *t, uint32_t pasid, DSAPgtt pgtt, unsigned did,
                   uint64_t root);
void vtd_queue(DSATest *t, uint64_t lo, uint64_t hi);
void vtd_invalidate(DSATest *t, uint64_t lo, uint64_t hi);
bool vtd_stuck(DSATest *t);
bool vtd_timed_out(DSATest *t);
void vtd_page_queue_full(DSATest *t, bool full);
bool vtd_pop_page_request(DSATest *t, uint64_t *q0, uint64_t *q1);
bool vtd_page_request(DSATest *t, DSAPageRequest *req);
DSAPageRequest vtd_wait_page_request(DSATest *t);
void vtd_page_response(DSATest *t, uint32_t pasid, uint16_t prgi,
                       unsigned code);

/* Page group response, 7.6.1: low and high quadword */
#define VTD_PAGE_RESP(sid, pasid, code) \
    (9ull | 1ull << 4 | (uint64_t)(code) << 12 | (uint64_t)(sid) << 16 | \
     (uint64_t)(pasid) << 32)
#define VTD_PAGE_RESP_HI(prgi) (1ull << 2 | (uint64_t)(prgi) << 3)

#define VTD_INV_PIOTLB(did, pasid) \
    (6ull | 2ull << 4 | (uint64_t)(did) << 16 | (uint64_t)(pasid) << 32)
#define VTD_INV_PASID_CACHE(did, pasid) \
    (7ull | 1ull << 4 | (uint64_t)(did) << 16 | (uint64_t)(pasid) << 32)
#define VTD_INV_IOTLB_DOMAIN(did) (2ull | 2ull << 4 | (uint64_t)(did) << 16)

/*
 * Device TLB, 6.5.2.5 without and 6.5.2.6 with PASID: low quadword, then what
 * goes with the address
 */
#define VTD_INV_DEV         (3ull | (uint64_t)QPCI_DEVFN(DSA_SLOT, 0) << 32)
#define VTD_INV_DEV_ALL     0x7ffffffffffff001ull
#define VTD_INV_DEV_PASID(pasid) \
    (8ull | (uint64_t)QPCI_DEVFN(DSA_SLOT, 0) << 16 | (uint64_t)(pasid) << 32)
#define VTD_INV_DEV_PASID_S         (1ull << 11)
#define VTD_INV_DEV_PASID_GLOBAL    1ull
#define VTD_INV_DEV_PASID_ALL \
    (0x7ffffffffffff000ull | VTD_INV_DEV_PASID_S)

#endif
