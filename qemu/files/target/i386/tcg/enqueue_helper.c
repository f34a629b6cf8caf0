/*
 * x86 64-byte direct stores
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "helper-tcg.h"
#ifndef CONFIG_USER_ONLY
#include "hw/i386/enqueue-portal.h"
#endif

#define ENQUEUE_QWORDS 8

static void load_64_bytes(CPUX86State *env, target_ulong addr,
                          uint64_t data[ENQUEUE_QWORDS], uintptr_t ra)
{
    for (int i = 0; i < ENQUEUE_QWORDS; i++) {
        /* Kept in memory order */
        data[i] = cpu_to_le64(cpu_ldq_data_ra(env, addr + i * 8, ra));
    }
}

/* Stores of a CPU without a portal; atomic in units of eight bytes only */
static void store_64_bytes(CPUX86State *env, target_ulong addr,
                           const uint64_t data[ENQUEUE_QWORDS], uintptr_t ra)
{
    for (int i = 0; i < ENQUEUE_QWORDS; i++) {
        cpu_stq_data_ra(env, addr + i * 8, le64_to_cpu(data[i]), ra);
    }
}

#ifndef CONFIG_USER_ONLY
/* Raises the exceptions of a 64-byte store to @addr, whatever is there */
static EnqueueStatus enqueue_write(CPUX86State *env, target_ulong addr,
                                   const uint64_t data[ENQUEUE_QWORDS],
                                   bool posted, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);
    CPUTLBEntryFull *full;
    void *host;
    int flags;

    flags = probe_access_full(env, addr, ENQUEUE_SIZE, MMU_DATA_STORE,
                              cpu_mmu_index(cs, false), false, &host, &full,
                              ra);
    if (!(flags & TLB_MMIO)) {
        return ENQUEUE_NOT_PORTAL;
    }
    return enqueue_portal_write(cpu_addressspace(cs, full->attrs),
                                full->phys_addr | (addr & ~TARGET_PAGE_MASK),
                                (const uint8_t *)data, posted);
}
#endif

/* Intel SDM Vol. 2, MOVDIR64B */
void helper_movdir64b(CPUX86State *env, target_ulong dst, target_ulong src)
{
    uint64_t data[ENQUEUE_QWORDS];
    uintptr_t ra = GETPC();

    if (dst % sizeof(data)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }

    load_64_bytes(env, src, data, ra);
#ifndef CONFIG_USER_ONLY
    if (enqueue_write(env, dst, data, true, ra) != ENQUEUE_NOT_PORTAL) {
        return;
    }
#endif
    store_64_bytes(env, dst, data, ra);
}
