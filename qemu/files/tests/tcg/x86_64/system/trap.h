/*
 * Support for tests of privileged instructions: their faults and MSRs, and TAP
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TRAP_H
#define TRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <minilib.h>

enum { NO_FAULT, UD = 6, NM = 7, GP = 13, PF = 14 };

/* The last fault, and the address to go on at after it */
volatile uint64_t trap_vector, trap_resume;

asm(".pushsection .text\n"
    ".macro trap_entry vector, error_code\n"
    "trap_\\vector:\n"
    "   movq $\\vector, trap_vector(%rip)\n"
    "   addq $8 * \\error_code, %rsp\n"
    "   pushq %rax\n"
    "   movq trap_resume(%rip), %rax\n"
    "   movq %rax, 8(%rsp)\n"
    "   popq %rax\n"
    "   iretq\n"
    ".endm\n"
    "trap_entry 6 0\n"
    "trap_entry 7 0\n"
    "trap_entry 13 1\n"
    "trap_entry 14 1\n"
    ".popsection\n");

extern char trap_6[], trap_7[], trap_13[], trap_14[];

/*
 * Execute one instruction and return its fault.  Operands are in the registers
 * that the constraints name; RBX is not available.
 */
#define FAULT_OF(insn, ...) ({                                          \
    trap_vector = NO_FAULT;                                             \
    asm volatile("leaq 1f(%%rip), %%rbx\n"                              \
                 "movq %%rbx, trap_resume(%%rip)\n"                     \
                 insn "\n"                                              \
                 "1:" : : __VA_ARGS__ : "rbx", "memory", "cc");         \
    trap_vector; })

static struct {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset1;
    uint32_t offset2, reserved;
} trap_idt[32] __attribute__((aligned(16)));

static void trap_gate(int vector, const char *entry)
{
    uint64_t offset = (uintptr_t)entry;

    trap_idt[vector].offset0 = offset;
    trap_idt[vector].selector = 8;
    trap_idt[vector].type = 0x8e;
    trap_idt[vector].offset1 = offset >> 16;
    trap_idt[vector].offset2 = offset >> 32;
}

static inline void trap_init(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {
        sizeof(trap_idt) - 1, (uintptr_t)trap_idt
    };

    trap_gate(UD, trap_6);
    trap_gate(NM, trap_7);
    trap_gate(GP, trap_13);
    trap_gate(PF, trap_14);
    asm volatile("lidt %0" : : "m"(idtr));
}

static inline int wrmsr(uint32_t msr, uint64_t value)
{
    return FAULT_OF("wrmsr", "c"(msr), "a"((uint32_t)value),
                    "d"((uint32_t)(value >> 32)));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t read_cr0(void)
{
    uint64_t value;

    asm volatile("movq %%cr0, %0" : "=r"(value));
    return value;
}

static inline void write_cr0(uint64_t value)
{
    asm volatile("movq %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint64_t read_cr4(void)
{
    uint64_t value;

    asm volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr4(uint64_t value)
{
    asm volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                 : "a"(leaf), "c"(subleaf));
    return r;
}

/*
 * Take away the 2 MB page at @address, which boot.S mapped to itself.  What
 * follows this address faults, what precedes it does not.
 */
static inline void unmap_large_page(uint64_t address)
{
    const uint64_t frame = 0xffffffffff000ull;
    uint64_t *table, cr3;

    asm volatile("movq %%cr3, %0" : "=r"(cr3));
    table = (uint64_t *)(cr3 & frame);
    table = (uint64_t *)(table[0] & frame);
    table = (uint64_t *)(table[address >> 30] & frame);
    table[address >> 21 & 511] = 0;
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static int tap_count, tap_failed;

static inline void check(bool ok, const char *name)
{
    ml_printf("%sok %d %s\n", ok ? "" : "not ", ++tap_count, name);
    tap_failed |= !ok;
}

static inline int tap_end(void)
{
    ml_printf("1..%d\n", tap_count);
    return tap_failed;
}

#endif
