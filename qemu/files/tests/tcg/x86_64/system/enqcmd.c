/*
 * ENQCMD and ENQCMDS at CPL 0, without a device that takes a command
 *
 * Intel SDM Vol. 2, ENQCMD and ENQCMDS.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "trap.h"

#define MSR_PASID 0xd93
#define VALID 0x80000000u

#define ZF 0x40
#define DF 0x400
/* The status flags, and one that the instructions leave alone */
#define ALL_FLAGS (0x8d5 | DF)

/* enqcmd rdi, [rsi] and so on; spelled out for any assembler */
#define ENQCMD ".byte 0xf2, 0x0f, 0x38, 0xf8, 0x3e"
#define ENQCMDS ".byte 0xf3, 0x0f, 0x38, 0xf8, 0x3e"

static uint32_t command[17] __attribute__((aligned(64)));
static uint8_t target[128] __attribute__((aligned(64)));
/* An I/O APIC: a device, but none that takes commands */
static void *const device = (void *)0xfec00000;
static void *const rom = (void *)0xffff0000;
static uint8_t *const hole = (uint8_t *)(6 << 20);

static int enqcmd(const void *to, const void *from)
{
    return FAULT_OF(ENQCMD, "D"(to), "S"(from));
}

static int enqcmds(const void *to, const void *from)
{
    return FAULT_OF(ENQCMDS, "D"(to), "S"(from));
}

/* The flags after the instruction when they were @before */
#define FLAGS_OF(insn, to, from, before) ({                             \
    uint64_t flags_ = (before) | 2;                                     \
    asm volatile("pushq %0\n"                                           \
                 "popfq\n"                                              \
                 insn "\n"                                              \
                 "pushfq\n"                                             \
                 "popq %0\n"                                            \
                 "cld\n"                                                \
                 : "+r"(flags_) : "D"(to), "S"(from) : "memory", "cc"); \
    flags_; })

static bool untouched(void)
{
    for (int i = 0; i < sizeof(target); i++) {
        if (target[i] != 0xee) {
            return false;
        }
    }
    return true;
}

int main(void)
{
    bool ok = true;

    trap_init();
    for (int i = 0; i < sizeof(target); i++) {
        target[i] = 0xee;
    }
    for (int i = 1; i < 17; i++) {
        command[i] = i;
    }
    unmap_large_page((uint64_t)hole);

    check(rdmsr(MSR_PASID) == 0, "pasid_zero_after_reset");
    check(enqcmd(target, command) == GP, "enqcmd_without_pasid");
    wrmsr(MSR_PASID, 0x12345);
    check(enqcmd(target, command) == GP, "enqcmd_without_valid_bit");
    wrmsr(MSR_PASID, VALID | 0x12345);
    check(enqcmd(target, command) == NO_FAULT, "enqcmd_with_pasid");
    check(rdmsr(MSR_PASID) == (VALID | 0x12345), "enqcmd_leaves_the_msr");

    check(FLAGS_OF(ENQCMD, target, command, ALL_FLAGS) == (2 | ZF | DF) &&
          FLAGS_OF(ENQCMD, target, command, 0) == (2 | ZF),
          "enqcmd_to_memory_is_retry");
    check(FLAGS_OF(ENQCMDS, target, command, ALL_FLAGS) == (2 | ZF | DF) &&
          FLAGS_OF(ENQCMDS, target, command, 0) == (2 | ZF),
          "enqcmds_to_memory_is_retry");
    check(untouched(), "memory_takes_no_command");
    check(FLAGS_OF(ENQCMD, device, command, 0) == (2 | ZF) &&
          FLAGS_OF(ENQCMDS, device, command, 0) == (2 | ZF),
          "other_device_is_retry");
    check(FLAGS_OF(ENQCMD, rom, command, 0) == (2 | ZF) &&
          FLAGS_OF(ENQCMDS, rom, command, 0) == (2 | ZF), "rom_is_retry");

    check(enqcmd(target + 8, command) == GP &&
          enqcmds(target + 8, command) == GP, "misaligned_destination");
    check(enqcmd(hole + 32, command) == GP && enqcmds(hole + 32, command) == GP,
          "misaligned_wins_over_page_fault");
    check(enqcmd(hole, command) == PF && enqcmds(hole, command) == PF,
          "destination_page_fault");
    check(enqcmd(target, hole - 32) == PF && enqcmds(target, hole - 32) == PF,
          "source_page_fault");
    command[16] = 0;
    check(enqcmd(target, (uint8_t *)(command + 1) - 4) == NO_FAULT,
          "source_needs_no_alignment");

    for (int bit = 0; bit < 32; bit++) {
        command[0] = 1u << bit;
        ok &= enqcmd(target, command) == GP;
    }
    check(ok, "enqcmd_refuses_dword_0");
    ok = true;
    for (int bit = 0; bit < 32; bit++) {
        command[0] = 1u << bit;
        ok &= enqcmds(target, command) ==
              (bit >= 20 && bit < 31 ? GP : NO_FAULT);
    }
    check(ok, "enqcmds_refuses_reserved_bits");
    command[0] = VALID | 0x12345;
    wrmsr(MSR_PASID, 0);
    check(enqcmds(target, command) == NO_FAULT, "enqcmds_needs_no_pasid_msr");
    command[0] = 0;

    check(FAULT_OF("lock; " ENQCMD, "D"(target), "S"(command)) == UD &&
          FAULT_OF("lock; " ENQCMDS, "D"(target), "S"(command)) == UD,
          "lock_prefix");
    check(FAULT_OF(".byte 0xf2, 0x0f, 0x38, 0xf8, 0xfe",
                   "D"(target), "S"(command)) == UD &&
          FAULT_OF(".byte 0xf3, 0x0f, 0x38, 0xf8, 0xfe",
                   "D"(target), "S"(command)) == UD, "register_operand");
    check(untouched(), "nothing_was_stored");
    return tap_end();
}
