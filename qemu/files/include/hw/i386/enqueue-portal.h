/*
 * Enqueue portals: device registers that take one 64-byte write as one item
 *
 * MOVDIR64B, ENQCMD and ENQCMDS write 64 bytes with one atomic transaction
 * (Intel SDM Vol. 2, "MOVDIR64B" and "ENQCMD").  A device that understands
 * such writes, for instance the submission portals of a Data Streaming
 * Accelerator, would lose that atomicity if the write arrived as eight
 * MMIO accesses.  The owner of the MMIO region implements this interface
 * instead and receives the 64 bytes in one call.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_ENQUEUE_PORTAL_H
#define HW_I386_ENQUEUE_PORTAL_H

#include "exec/memory.h"
#include "qom/object.h"

#define TYPE_ENQUEUE_PORTAL "enqueue-portal"

typedef struct EnqueuePortalClass EnqueuePortalClass;
DECLARE_CLASS_CHECKERS(EnqueuePortalClass, ENQUEUE_PORTAL, TYPE_ENQUEUE_PORTAL)
#define ENQUEUE_PORTAL(obj) \
    INTERFACE_CHECK(EnqueuePortal, (obj), TYPE_ENQUEUE_PORTAL)

typedef struct EnqueuePortal EnqueuePortal;

/* Bytes of one enqueue write, and its alignment */
#define ENQUEUE_SIZE 64

typedef enum EnqueueStatus {
    /* The device took the write.  Always the answer to a posted write. */
    ENQUEUE_ACCEPT,
    /* The device cannot take a non-posted write now; the CPU sets ZF */
    ENQUEUE_RETRY,
    /* The address is no enqueue portal; never returned by write64() */
    ENQUEUE_NOT_PORTAL,
} EnqueueStatus;

struct EnqueuePortalClass {
    InterfaceClass parent_class;

    /*
     * write64 - one 64-byte write to a portal; called with the BQL held
     *
     * @portal: the owner of @mr
     * @mr: the region that was hit
     * @offset: offset in @mr, a multiple of ENQUEUE_SIZE
     * @data: the 64 bytes in memory order; dword 0 of an ENQCMD(S) write
     *        already carries what the CPU puts there (PASID, privilege)
     * @posted: true for MOVDIR64B, which gets no answer; false for a deferred
     *          memory write (ENQCMD, ENQCMDS), whose answer the CPU waits for
     */
    EnqueueStatus (*write64)(EnqueuePortal *portal, MemoryRegion *mr,
                             hwaddr offset, const uint8_t *data, bool posted);
};

/*
 * enqueue_portal_write - send a 64-byte write to the portal at @addr of @as
 *
 * Takes the BQL if the caller does not hold it.  @addr must be a multiple of
 * ENQUEUE_SIZE.  Returns ENQUEUE_NOT_PORTAL, with nothing written, if @addr is
 * RAM, unassigned, or MMIO whose owner has no portal.
 */
EnqueueStatus enqueue_portal_write(AddressSpace *as, hwaddr addr,
                                   const uint8_t *data, bool posted);

#endif
