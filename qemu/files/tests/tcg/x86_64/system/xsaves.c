/*
 * XSAVEC, XSAVES, XRSTORS, the compacted form of XRSTOR, IA32_XSS and the PASID
 * state component at CPL 0
 *
 * Intel SDM Vol. 1, chapter 13, and Vol. 2, the instructions.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "trap.h"

#define MSR_PASID 0xd93
#define MSR_XSS 0xda0
#define CR0_TS 0x8
#define CR4_WANTED (1 << 9 | 1 << 10 | 1 << 18 | 1 << 22)
#define CR4_OSXSAVE (1 << 18)

#define FP (1ull << 0)
#define SSE (1ull << 1)
#define AVX (1ull << 2)
#define BNDREGS (1ull << 3)
#define BNDCSR (1ull << 4)
#define PKRU (1ull << 9)
#define PASID (1ull << 10)
#define ALL (~0ull)
#define COMPACTED (1ull << 63)

#define PASID_A 0x800abcdeull
#define PKRU_A 0x0000000cu

struct area {
    uint8_t legacy[24];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st_xmm[480];
    uint64_t xstate_bv, xcomp_bv, reserved[6];
    uint8_t extended[4096 - 576];
} __attribute__((aligned(4096)));

static struct area area, other;
static uint64_t xcr0;

#define MASK(m) "a"((uint32_t)(m)), "d"((uint32_t)((m) >> 32))

static int xsave(void *to, uint64_t mask)
{
    return FAULT_OF("xsave64 (%0)", "r"(to), MASK(mask));
}

static int xsavec(void *to, uint64_t mask)
{
    return FAULT_OF("xsavec64 (%0)", "r"(to), MASK(mask));
}

static int xsaves(void *to, uint64_t mask)
{
    return FAULT_OF("xsaves64 (%0)", "r"(to), MASK(mask));
}

static int xrstor(const void *from, uint64_t mask)
{
    return FAULT_OF("xrstor64 (%0)", "r"(from), MASK(mask));
}

static int xrstors(const void *from, uint64_t mask)
{
    return FAULT_OF("xrstors64 (%0)", "r"(from), MASK(mask));
}

static int xsetbv(uint64_t value)
{
    return FAULT_OF("xsetbv", "c"(0), MASK(value));
}

static uint64_t xgetbv(uint32_t which)
{
    uint32_t low, high;

    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(which));
    return (uint64_t)high << 32 | low;
}

static void set_pkru(uint32_t value)
{
    asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0));
}

static uint32_t get_pkru(void)
{
    uint32_t value, high;

    asm volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
    return value;
}

static void set_ymm1(const uint8_t value[32])
{
    asm volatile("vmovdqu (%0), %%ymm1" : : "r"(value) : "memory");
}

static void get_ymm1(uint8_t value[32])
{
    asm volatile("vmovdqu %%ymm1, (%0)" : : "r"(value) : "memory");
}

static void set_mxcsr(uint32_t value)
{
    asm volatile("ldmxcsr %0" : : "m"(value));
}

static uint32_t get_mxcsr(void)
{
    uint32_t value;

    asm volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void fill(void *to, uint8_t value, size_t size)
{
    uint8_t *p = to;

    while (size--) {
        *p++ = value;
    }
}

static void copy(void *to, const void *from, size_t size)
{
    const uint8_t *s = from;
    uint8_t *d = to;

    while (size--) {
        *d++ = *s++;
    }
}

static bool same(const void *a, const void *b, size_t size)
{
    const uint8_t *p = a, *q = b;

    while (size--) {
        if (*p++ != *q++) {
            return false;
        }
    }
    return true;
}

static bool filled(const void *at, uint8_t value, size_t size)
{
    const uint8_t *p = at;

    while (size--) {
        if (*p++ != value) {
            return false;
        }
    }
    return true;
}

static uint64_t read64(const void *area, unsigned offset)
{
    uint64_t value;

    copy(&value, (const uint8_t *)area + offset, sizeof(value));
    return value;
}

static void write64(void *area, unsigned offset, uint64_t value)
{
    copy((uint8_t *)area + offset, &value, sizeof(value));
}

/* All components in their initial configuration */
static void init_state(void)
{
    fill(&other, 0, 576);
    other.xcomp_bv = COMPACTED;
    xrstors(&other, ALL);
}

static const uint8_t ymm_a[32] = "0123456789abcdef" "GHIJKLMNOPQRSTU";
static const uint8_t ymm_b[32] = "another value of" " a YMM register";

static void set_state(void)
{
    set_ymm1(ymm_a);
    set_pkru(PKRU_A);
    wrmsr(MSR_PASID, PASID_A);
}

static bool state_is_set(void)
{
    uint8_t ymm[32];

    get_ymm1(ymm);
    return same(ymm, ymm_a, 32) && get_pkru() == PKRU_A &&
           rdmsr(MSR_PASID) == PASID_A;
}

static bool state_is_init(void)
{
    uint8_t ymm[32];

    get_ymm1(ymm);
    return filled(ymm, 0, 32) && get_pkru() == 0 && rdmsr(MSR_PASID) == 0;
}

static void test_cpuid(void)
{
    struct cpuid d1 = cpuid(0xd, 1), d10 = cpuid(0xd, 10);
    unsigned all = 576 + 256 + 64 + 64 + 8 + 8;

    check((d1.eax & 0xf) == 0xf, "cpuid_shows_all_xsave_instructions");
    check(d1.ecx == PASID && d1.edx == 0, "cpuid_shows_pasid_state");
    check(d10.eax == 8 && d10.ebx == 0 && d10.ecx == 1 && d10.edx == 0,
          "cpuid_describes_pasid_state");
    check(cpuid(7, 0).ecx >> 29 & 1, "cpuid_shows_enqcmd");
    check(xcr0 == (FP | SSE | AVX | BNDREGS | BNDCSR | PKRU),
          "user_components");

    xsetbv(FP | SSE);
    check(cpuid(0xd, 1).ebx == 576, "cpuid_size_without_components");
    wrmsr(MSR_XSS, PASID);
    check(cpuid(0xd, 1).ebx == 584, "cpuid_size_follows_xss");
    xsetbv(FP | SSE | AVX);
    check(cpuid(0xd, 1).ebx == 840, "cpuid_size_follows_xcr0");
    xsetbv(xcr0);
    check(cpuid(0xd, 1).ebx == all, "cpuid_size_of_everything");
    wrmsr(MSR_XSS, 0);
}

static void test_msrs(void)
{
    bool ok = true;

    check(wrmsr(MSR_XSS, PASID) == NO_FAULT && rdmsr(MSR_XSS) == PASID,
          "xss_takes_pasid");
    for (int bit = 0; bit < 64; bit++) {
        if (bit != 10) {
            ok &= wrmsr(MSR_XSS, PASID | 1ull << bit) == GP;
        }
    }
    check(ok && rdmsr(MSR_XSS) == PASID, "xss_refuses_other_bits");

    check(wrmsr(MSR_PASID, 0x800fffff) == NO_FAULT &&
          rdmsr(MSR_PASID) == 0x800fffff, "pasid_msr_takes_pasid_and_valid");
    ok = true;
    for (int bit = 20; bit < 64; bit++) {
        if (bit != 31) {
            ok &= wrmsr(MSR_PASID, 1ull << bit) == GP;
        }
    }
    check(ok && rdmsr(MSR_PASID) == 0x800fffff,
          "pasid_msr_refuses_reserved_bits");
}

static void test_layout(void)
{
    const uint64_t everything = xcr0 | PASID;

    init_state();
    check(state_is_init(), "xrstors_without_xstate_bv_initialises");
    check(!(xgetbv(1) & (SSE | AVX | BNDREGS | BNDCSR | PKRU)),
          "xgetbv_1_shows_initial_state");

    set_state();
    check((xgetbv(1) & (SSE | AVX | PKRU)) == (SSE | AVX | PKRU),
          "xgetbv_1_shows_use");
    check(!(xgetbv(1) & PASID), "xgetbv_1_hides_supervisor_state");

    fill(&area, 0xee, sizeof(area));
    check(xsaves(&area, ALL) == NO_FAULT, "xsaves");
    check(area.xcomp_bv == (COMPACTED | everything),
          "xsaves_notes_the_layout");
    check((area.xstate_bv & ~FP) == (SSE | AVX | PKRU | PASID),
          "xsaves_notes_what_is_in_use");
    check(filled(area.reserved, 0xee, sizeof(area.reserved)),
          "xsaves_leaves_the_rest_of_the_header");
    check(same((uint8_t *)&area + 160 + 16, ymm_a, 16) &&
          same((uint8_t *)&area + 576 + 16, ymm_a + 16, 16),
          "xsaves_avx_at_576");
    check(filled((uint8_t *)&area + 832, 0xee, 128),
          "xsaves_leaves_out_unused_bounds");
    check(read64(&area, 960) == PKRU_A, "xsaves_pkru_follows_bounds");
    check(read64(&area, 968) == PASID_A, "xsaves_pasid_follows_pkru");
    check(filled((uint8_t *)&area + 976, 0xee, sizeof(area) - 976),
          "xsaves_stores_no_more");

    fill(&area, 0xee, sizeof(area));
    xsaves(&area, PKRU | PASID);
    check(area.xcomp_bv == (COMPACTED | PKRU | PASID) &&
          area.xstate_bv == (PKRU | PASID) &&
          read64(&area, 576) == PKRU_A && read64(&area, 584) == PASID_A,
          "xsaves_lays_out_by_mask");
    check(filled(&area, 0xee, 512), "xsaves_leaves_unwanted_legacy_region");

    fill(&area, 0xee, sizeof(area));
    check(xsavec(&area, ALL) == NO_FAULT &&
          area.xcomp_bv == (COMPACTED | xcr0) &&
          (area.xstate_bv & ~FP) == (SSE | AVX | PKRU) &&
          read64(&area, 960) == PKRU_A &&
          filled((uint8_t *)&area + 968, 0xee, 8),
          "xsavec_saves_user_state_only");

    wrmsr(MSR_XSS, 0);
    fill(&area, 0xee, sizeof(area));
    xsaves(&area, ALL);
    check(area.xcomp_bv == (COMPACTED | xcr0) && !(area.xstate_bv & PASID),
          "xsaves_without_xss_leaves_out_pasid");
    wrmsr(MSR_XSS, PASID);

    asm volatile("vzeroupper");
    fill(&area, 0xee, sizeof(area));
    xsaves(&area, ALL);
    check((area.xstate_bv & ~FP) == (SSE | PKRU | PASID) &&
          filled((uint8_t *)&area + 576, 0xee, 256) &&
          read64(&area, 960) == PKRU_A,
          "xsaves_unused_component_keeps_its_place");

    init_state();
    fill(&area, 0xee, sizeof(area));
    xsaves(&area, SSE);
    check(area.xstate_bv == 0 && area.mxcsr == 0xeeeeeeee,
          "xsaves_unused_sse_without_mxcsr");
    set_mxcsr(0x1f00);
    xsaves(&area, SSE);
    check(area.xstate_bv == SSE && area.mxcsr == 0x1f00 &&
          area.mxcsr_mask == 0xffff && filled((uint8_t *)&area + 160, 0, 256),
          "xsaves_mxcsr_makes_sse_used");
    set_mxcsr(0x1f80);

    fill(&area, 0xee, sizeof(area));
    area.xstate_bv = 0;
    xsave(&area, SSE | AVX);
    check(area.mxcsr == 0x1f80 && area.xstate_bv == 0,
          "xsave_always_stores_mxcsr");
}

static void test_restore(void)
{
    uint8_t ymm[32];

    init_state();
    set_state();
    set_mxcsr(0x1f00);
    xsaves(&area, ALL);
    init_state();
    check(state_is_init() && get_mxcsr() == 0x1f80, "xrstors_initialises_all");
    fill(area.reserved, 0, sizeof(area.reserved));
    check(xrstors(&area, ALL) == NO_FAULT && state_is_set() &&
          get_mxcsr() == 0x1f00, "xrstors_restores_all");

    init_state();
    check(xrstors(&area, PASID) == NO_FAULT && rdmsr(MSR_PASID) == PASID_A &&
          get_pkru() == 0, "xrstors_restores_by_mask");
    set_state();
    area.xstate_bv &= ~PASID;
    check(xrstors(&area, ALL & ~PASID) == NO_FAULT &&
          rdmsr(MSR_PASID) == PASID_A, "xrstors_leaves_what_is_not_asked_for");
    check(xrstors(&area, ALL) == NO_FAULT && rdmsr(MSR_PASID) == 0 &&
          get_pkru() == PKRU_A, "xrstors_initialises_pasid");

    set_state();
    xsavec(&area, ALL);
    init_state();
    wrmsr(MSR_PASID, PASID_A);
    check(xrstor(&area, ALL) == NO_FAULT && state_is_set(),
          "xrstor_takes_the_compacted_format");
    set_mxcsr(0x1f00);
    area.xstate_bv = 0;
    check(xrstor(&area, ALL) == NO_FAULT && get_mxcsr() == 0x1f80 &&
          rdmsr(MSR_PASID) == PASID_A,
          "xrstor_compacted_initialises_mxcsr_but_not_pasid");

    /* The standard format is not affected */
    init_state();
    set_state();
    fill(&area, 0, sizeof(area));
    xsave(&area, ALL);
    init_state();
    area.mxcsr = 0x1f00;
    area.xstate_bv &= ~SSE;
    check(area.xcomp_bv == 0 && xrstor(&area, ALL) == NO_FAULT &&
          get_pkru() == PKRU_A && get_mxcsr() == 0x1f00,
          "xrstor_standard_loads_mxcsr_always");
    get_ymm1(ymm);
    check(filled(ymm, 0, 16) && same(ymm + 16, ymm_a + 16, 16),
          "xrstor_standard_avx_without_sse");
    set_mxcsr(0x1f80);
}

/* Every refusal must leave the state as it was */
static void refuse(int fault, const char *name)
{
    check(fault == GP && state_is_set(), name);
}

static void test_faults(void)
{
    struct area *good = &area, *bad = &other;
    uint8_t *hole = (uint8_t *)(6 << 20);
    uint64_t cr0 = read_cr0();
    bool ok = true;

    /* A valid area of other values, so that what is loaded of it shows */
    init_state();
    set_ymm1(ymm_b);
    set_pkru(0x30);
    wrmsr(MSR_PASID, 0x80000001);
    xsaves(good, ALL);
    fill(good->reserved, 0, sizeof(good->reserved));
    set_state();

    copy(bad, good, sizeof(*bad));
    bad->xcomp_bv &= ~COMPACTED;
    refuse(xrstors(bad, ALL), "xrstors_refuses_the_standard_format");
    bad->xcomp_bv = 0;
    bad->xstate_bv = 0;
    refuse(xrstors(bad, ALL), "xrstors_refuses_the_standard_format_when_valid");

    copy(bad, good, sizeof(*bad));
    bad->xcomp_bv |= 1ull << 8;
    refuse(xrstors(bad, ALL), "xrstors_refuses_layout_with_disabled_component");

    copy(bad, good, sizeof(*bad));
    bad->xcomp_bv &= ~PASID;
    refuse(xrstors(bad, ALL), "xrstors_refuses_state_outside_the_layout");

    wrmsr(MSR_XSS, 0);
    refuse(xrstors(good, ALL), "xrstors_refuses_pasid_without_xss");
    wrmsr(MSR_XSS, PASID);
    refuse(xrstor(good, ALL), "xrstor_refuses_supervisor_state");

    for (int i = 0; i < 48; i++) {
        copy(bad, good, sizeof(*bad));
        ((uint8_t *)bad->reserved)[i] = 1;
        ok &= xrstors(bad, ALL) == GP && state_is_set();
        bad->xcomp_bv &= ~PASID;
        bad->xstate_bv &= ~PASID;
        ok &= xrstor(bad, ALL) == GP && state_is_set();
    }
    check(ok, "reserved_header_bytes");

    copy(bad, good, sizeof(*bad));
    bad->mxcsr = 0x10000;
    refuse(xrstors(bad, ALL), "xrstors_refuses_reserved_mxcsr");
    check(xrstors(bad, ALL & ~SSE) == NO_FAULT && get_pkru() == 0x30,
          "xrstors_ignores_mxcsr_that_it_does_not_load");
    bad->xstate_bv &= ~SSE;
    check(xrstors(bad, ALL) == NO_FAULT,
          "xrstors_ignores_mxcsr_that_it_initialises");
    set_state();

    copy(bad, good, sizeof(*bad));
    write64(bad, 960, 0);
    ok = true;
    for (int bit = 20; bit < 64; bit++) {
        if (bit != 31) {
            write64(bad, 968, 1ull << bit);
            ok &= xrstors(bad, ALL) == GP && state_is_set();
        }
    }
    check(ok, "xrstors_refuses_reserved_pasid_bits");

    refuse(xsaves((uint8_t *)bad + 32, ALL), "xsaves_misaligned");
    refuse(xsavec((uint8_t *)bad + 32, ALL), "xsavec_misaligned");
    refuse(xrstors((uint8_t *)bad + 32, ALL), "xrstors_misaligned");
    refuse(xrstor((uint8_t *)bad + 32, ALL), "xrstor_misaligned");

    check(FAULT_OF("lock; xsaves64 (%0)", "r"(bad), MASK(ALL)) == UD &&
          FAULT_OF("lock; xsavec64 (%0)", "r"(bad), MASK(ALL)) == UD &&
          FAULT_OF("lock; xrstors64 (%0)", "r"(bad), MASK(ALL)) == UD,
          "lock_prefix");

    write_cr0(cr0 | CR0_TS);
    check(xsave(bad, ALL) == NM && xsavec(bad, ALL) == NM &&
          xsaves(bad, ALL) == NM && xrstor(good, xcr0) == NM &&
          xrstors(good, ALL) == NM, "task_switched");
    check(xsaves((uint8_t *)bad + 32, ALL) == NM,
          "task_switched_before_alignment");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    check(xsave(bad, ALL) == UD && xsavec(bad, ALL) == UD &&
          xsaves(bad, ALL) == UD && xrstor(good, xcr0) == UD &&
          xrstors(good, ALL) == UD, "osxsave_off");
    write_cr0(cr0);
    write_cr4(read_cr4() | CR4_OSXSAVE);

    /* Only what is saved or loaded must be there */
    fill(hole - 4096, 0, 4096);
    unmap_large_page((uint64_t)hole);
    init_state();
    check(xsaves(hole - 576, SSE | AVX) == NO_FAULT,
          "xsaves_needs_no_room_for_unused_state");
    ((struct area *)(hole - 576))->xstate_bv = 0;
    check(xrstors(hole - 576, SSE | AVX) == NO_FAULT,
          "xrstors_needs_no_room_for_initial_state");
    ((struct area *)(hole - 576))->xstate_bv = AVX;
    set_state();
    check(xrstors(hole - 576, SSE | AVX) == PF && state_is_set(),
          "xrstors_page_fault");
    fill(hole - 576, 0xee, 576);
    check(xsaves(hole - 576, SSE | AVX) == PF && filled(hole - 576, 0xee, 576),
          "xsaves_page_fault_stores_nothing");
    check(xsaves(hole - 832, SSE | AVX) == NO_FAULT, "xsaves_exact_fit");
}

int main(void)
{
    trap_init();
    check(wrmsr(MSR_XSS, 0) == NO_FAULT && rdmsr(MSR_XSS) == 0,
          "xss_zero_after_reset");
    write_cr4(read_cr4() | CR4_WANTED);
    xcr0 = cpuid(0xd, 0).eax;
    check(xsetbv(xcr0) == NO_FAULT, "xsetbv");

    test_cpuid();
    test_msrs();
    test_layout();
    test_restore();
    test_faults();
    return tap_end();
}
