/*
 * Enqueue portals: device registers that take one 64-byte write as one item
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "hw/i386/enqueue-portal.h"
#include "system/qtest.h"

EnqueueStatus enqueue_portal_write(AddressSpace *as, hwaddr addr,
                                   const uint8_t *data, bool posted)
{
    EnqueueStatus status = ENQUEUE_NOT_PORTAL;
    hwaddr offset, len = ENQUEUE_SIZE;
    EnqueuePortalClass *epc;
    MemoryRegion *mr;
    Object *portal;

    assert(QEMU_IS_ALIGNED(addr, ENQUEUE_SIZE));

    BQL_LOCK_GUARD();
    RCU_READ_LOCK_GUARD();

    mr = address_space_translate(as, addr, &offset, &len, true,
                                 MEMTXATTRS_UNSPECIFIED);
    if (memory_access_is_direct(mr, true, MEMTXATTRS_UNSPECIFIED) ||
        len < ENQUEUE_SIZE) {
        return ENQUEUE_NOT_PORTAL;
    }

    portal = memory_region_owner(mr);
    if (portal && object_dynamic_cast(portal, TYPE_ENQUEUE_PORTAL)) {
        epc = ENQUEUE_PORTAL_GET_CLASS(portal);
        status = epc->write64(ENQUEUE_PORTAL(portal), mr, offset, data, posted);
        assert(status != ENQUEUE_NOT_PORTAL);
    }
    return status;
}

/*
 * qtest has no CPU that could execute MOVDIR64B.  "enqueue64 ADDR POSTED HEX"
 * performs the write that one would cause; HEX is 0x and 128 digits.  Answers
 * "OK 0 STATUS" with an EnqueueStatus.
 */
static bool enqueue_portal_qtest(CharBackend *chr, gchar **words)
{
    uint8_t data[ENQUEUE_SIZE];
    uint64_t addr, posted;
    EnqueueStatus status;

    if (strcmp(words[0], "enqueue64")) {
        return false;
    }

    g_assert(words[1] && words[2] && words[3]);
    g_assert(qemu_strtou64(words[1], NULL, 0, &addr) == 0);
    g_assert(qemu_strtou64(words[2], NULL, 0, &posted) == 0);
    g_assert(strlen(words[3]) == 2 + 2 * ENQUEUE_SIZE);

    for (int i = 0; i < ENQUEUE_SIZE; i++) {
        int hi = g_ascii_xdigit_value(words[3][2 + 2 * i]);
        int lo = g_ascii_xdigit_value(words[3][3 + 2 * i]);

        g_assert(hi >= 0 && lo >= 0);
        data[i] = hi << 4 | lo;
    }

    status = enqueue_portal_write(&address_space_memory, addr, data, posted);
    qtest_sendf(chr, "OK 0 %d\n", status);
    return true;
}

static const TypeInfo enqueue_portal_info = {
    .name = TYPE_ENQUEUE_PORTAL,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(EnqueuePortalClass),
};

static void enqueue_portal_register_types(void)
{
    type_register_static(&enqueue_portal_info);
    qtest_set_command_cb(enqueue_portal_qtest);
}

type_init(enqueue_portal_register_types)
