/*
 * Test window of the emulated VT-d: which invalidations did software issue?
 *
 * No hardware has this.  With intel-iommu,x-inv-log=on a page of 64-bit
 * registers follows the register page of the VT-d, where a guest kernel, a
 * guest program (through /dev/mem) or a qtest reads it:
 *
 *   0x000  RO  VTD_INV_LOG_MAGIC
 *   0x008  RW  any write clears all counters and the log
 *   0x010  RO  number of descriptors since then; the newest log entry is the
 *              one at (number - 1) % VTD_INV_LOG_NR
 *   0x200  RO  64 counters, index VTD_INV_LOG_COUNTER(type, granularity)
 *   0x800  RO  log: VTD_INV_LOG_NR entries of qwords 0 and 1 of a descriptor
 *
 * A descriptor is counted when it is fetched, also if it turns out invalid.
 * Waits are counted by what they do beside telling software that they are
 * reached, so that a fence in the middle of a submission is not taken for one
 * more time that software waited; the sum of the four is all of them.
 *
 * Page group responses are counted once more if no device waits for them: the
 * group was never requested, answered before, or forgotten in a reset.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_IOMMU_INV_LOG_H
#define HW_I386_INTEL_IOMMU_INV_LOG_H

#define VTD_INV_LOG_ADDR            0xfed91000ULL
#define VTD_INV_LOG_OFFSET          0x1000      /* from the registers */
#define VTD_INV_LOG_SIZE            0x1000

#define VTD_INV_LOG_REG_MAGIC       0x000
#define VTD_INV_LOG_REG_RESET       0x008
#define VTD_INV_LOG_REG_TOTAL       0x010
#define VTD_INV_LOG_REG_COUNTERS    0x200
#define VTD_INV_LOG_REG_LOG         0x800

#define VTD_INV_LOG_MAGIC           0x474f4c564e494456ULL   /* "VDINVLOG" */
#define VTD_INV_LOG_COUNTER_NR      64
#define VTD_INV_LOG_NR              128

/*
 * @type: descriptor type, 0 to 15
 * @gran: bits 5:4 of the descriptor for types 1, 2, 6 and 7 (context-cache,
 *        IOTLB, PASID-based IOTLB, PASID-cache); VTD_INV_LOG_WAIT_* for type 5
 *        (wait); 0 for the others
 */
#define VTD_INV_LOG_COUNTER(type, gran) ((type) * 4 + (gran))

/* Bits 7:6 of a wait descriptor, PD and FN (VT-d 4.0, 6.5.2.8) */
#define VTD_INV_LOG_WAIT_SHIFT      6
#define VTD_INV_LOG_WAIT_PLAIN      0
#define VTD_INV_LOG_WAIT_FENCE      1   /* before what follows is fetched */
#define VTD_INV_LOG_WAIT_DRAIN      2   /* of page requests */
#define VTD_INV_LOG_WAIT_BOTH       3

/* The counter of page group responses that nobody waits for */
#define VTD_INV_LOG_UNKNOWN_RESPONSE    VTD_INV_LOG_COUNTER(9, 1)

#endif
