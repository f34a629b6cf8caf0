/*
 * x86 64-byte direct stores and enqueue stores
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

/* Dword 0 of a command: PASID in bits 19:0, privileged in bit 31 */
#define ENQCMDS_RESERVED 0x7ff00000

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

/*
 * Intel SDM Vol. 2, ENQCMD, "enqueue store".  Unlike a direct store it reaches
 * enqueue registers only: what is anything else does not take the command, and
 * is not changed.
 */
static target_ulong enqueue_command(CPUX86State *env, target_ulong dst,
                                    uint64_t data[ENQUEUE_QWORDS],
                                    uint32_t dword0, uintptr_t ra)
{
    stl_le_p(data, dword0);
#ifndef CONFIG_USER_ONLY
    if (enqueue_write(env, dst, data, false, ra) == ENQUEUE_ACCEPT) {
        return 0;
    }
#endif
    return CC_Z;
}

/* Intel SDM Vol. 2, ENQCMD: the PASID is the one that IA32_PASID holds */
target_ulong helper_enqcmd(CPUX86State *env, target_ulong dst, target_ulong src)
{
    uint64_t data[ENQUEUE_QWORDS];
    uintptr_t ra = GETPC();

    if (dst % sizeof(data) || !(env->msr_ia32_pasid & IA32_PASID_VALID)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }

    load_64_bytes(env, src, data, ra);
    if (ldl_le_p(data)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    return enqueue_command(env, dst, data,
                           env->msr_ia32_pasid & IA32_PASID_PASID, ra);
}

/* Intel SDM Vol. 2, ENQCMDS: PASID and privilege come with the command */
target_ulong helper_enqcmds(CPUX86State *env, target_ulong dst,
                            target_ulong src)
{
    uint64_t data[ENQUEUE_QWORDS];
    uintptr_t ra = GETPC();

    if (dst % sizeof(data)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }

    load_64_bytes(env, src, data, ra);
    if (ldl_le_p(data) & ENQCMDS_RESERVED) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    return enqueue_command(env, dst, data, ldl_le_p(data), ra);
}
