/*
 * A PCI function that sends the requests it is told to, to test the emulated
 * VT-d, by qtests; and with sva=on what a guest does with page requests
 *
 * With sva=on it has a function level reset, which clears all registers, drops
 * the device TLB, forgets page requests that were not answered, and ends what is
 * in flight.
 *
 * A page of registers in BAR 0.  Registers are 64 bits wide and are accessed as
 * such.  A write to COMMAND sends one request, which is done when the write
 * returns.  With COUNT not 0 those that access memory begin a flight instead:
 * COUNT requests, one by one, from the main loop.  What they are is remembered,
 * so that the registers and other commands can be used in the meantime; there is
 * one flight at a time.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_VTD_TESTDEV_H
#define HW_I386_VTD_TESTDEV_H

#define TYPE_VTD_TESTDEV            "vtd-testdev"
#define VTD_TESTDEV_VENDOR_ID       0x1234
#define VTD_TESTDEV_DEVICE_ID       0x11f0

/* What to send; RW */
#define VTD_TESTDEV_ADDR            0x00
#define VTD_TESTDEV_PASID           0x08    /* ~0: none */
#define VTD_TESTDEV_FLAGS           0x10    /* VTD_REQ_* */
#define VTD_TESTDEV_DATA            0x18    /* 8 bytes to write, or read */
#define VTD_TESTDEV_PRGI            0x20
#define VTD_TESTDEV_LAST            0x28    /* last page request of the group */
#define VTD_TESTDEV_PRIVATE         0x30    /* and 0x38; 0: no private data */

/* WO */
#define VTD_TESTDEV_COMMAND         0x40
enum {
    VTD_TESTDEV_DMA = 1,            /* untranslated request */
    VTD_TESTDEV_ATS,                /* translation request */
    VTD_TESTDEV_DMA_TRANSLATED,     /* translated request */
    VTD_TESTDEV_DMA_TLB,            /* by way of the device TLB */
    VTD_TESTDEV_PAGE_REQUEST,
    VTD_TESTDEV_SILENT,             /* DATA 1: answer no invalidations */
    VTD_TESTDEV_STOP,               /* end the flight; fails if there is none */
};

/* What came of the last command; RO */
#define VTD_TESTDEV_RESULT          0x48
#define VTD_TESTDEV_OK              0       /* also: page request sent */
#define VTD_TESTDEV_FAILED          1
#define VTD_TESTDEV_ANSWERED        0x100   /* plus the response code */

/* Of the last translation completion; RO */
#define VTD_TESTDEV_XLAT_ADDR       0x50
#define VTD_TESTDEV_XLAT_SIZE       0x58
#define VTD_TESTDEV_XLAT_BITS       0x60
#define VTD_TESTDEV_XLAT_READ       (1 << 0)
#define VTD_TESTDEV_XLAT_WRITE      (1 << 1)
#define VTD_TESTDEV_XLAT_EXEC       (1 << 2)
#define VTD_TESTDEV_XLAT_PRIV       (1 << 3)
#define VTD_TESTDEV_XLAT_GLOBAL     (1 << 4)
#define VTD_TESTDEV_XLAT_U          (1 << 5)

/* The last invalidation request, and how many there were; RO */
#define VTD_TESTDEV_INV_COUNT       0x80
#define VTD_TESTDEV_INV_PASID       0x88
#define VTD_TESTDEV_INV_GLOBAL      0x90
#define VTD_TESTDEV_INV_ADDR        0x98
#define VTD_TESTDEV_INV_SIZE        0xa0

/* The last page request group response, and how many there were; RO */
#define VTD_TESTDEV_RESP_COUNT      0xc0    /* that answered a group */
#define VTD_TESTDEV_RESP_PASID      0xc8
#define VTD_TESTDEV_RESP_PRGI       0xd0
#define VTD_TESTDEV_RESP_CODE       0xd8
#define VTD_TESTDEV_RESP_PRIVATE    0xe0    /* and 0xe8; 0: no private data */
#define VTD_TESTDEV_RESP_PARTIAL    0xf0    /* how many did not */
#define VTD_TESTDEV_RESP_UNKNOWN    0xf8    /* of both: nothing was requested */

/* Flights; RW */
#define VTD_TESTDEV_COUNT           0x100   /* requests of one; 0: at once */
#define VTD_TESTDEV_PERIOD          0x108   /* ns of virtual time before each */
#define VTD_TESTDEV_STRIDE          0x110   /* to add to the address after each */

/* The flight, or the last one; RO */
#define VTD_TESTDEV_FLIGHT_LEFT     0x120   /* requests to come */
#define VTD_TESTDEV_FLIGHT_OK       0x128
#define VTD_TESTDEV_FLIGHT_FAILED   0x130
#define VTD_TESTDEV_FLIGHT_DATA     0x138   /* what the last one read */

#define VTD_TESTDEV_REGS_SIZE       0x140
#define VTD_TESTDEV_BAR_SIZE        0x1000

#define VTD_TESTDEV_NO_PASID        0xffffffffu

#endif
