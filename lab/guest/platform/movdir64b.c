// SPDX-License-Identifier: GPL-2.0
/*
 * MOVDIR64B and MOVDIRI of the CPU, as a program sees them: what is stored,
 * what is left alone, and which operands fault. Prints TAP.
 *
 * Intel SDM volume 2, MOVDIR64B and MOVDIRI. The encodings are spelled out so
 * that any assembler will do; operands are in the registers that they name.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tap-fault.h"

/* movdir64b rax, [rdx] */
static void movdir64b(void *to, const void *from)
{
	asm volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0x02"
		     : : "a"(to), "d"(from) : "memory");
}

/* movdir64b eax, [edx]: the address-size prefix cuts both addresses to 32 bits */
static void movdir64b_addr32(uint64_t to, uint64_t from)
{
	asm volatile(".byte 0x67, 0x66, 0x0f, 0x38, 0xf8, 0x02"
		     : : "a"(to), "d"(from) : "memory");
}

/* movdir64b rax, fs:[rdx]: the override is for the source only */
static void movdir64b_fs(void *to, uint64_t from)
{
	asm volatile(".byte 0x64, 0x66, 0x0f, 0x38, 0xf8, 0x02"
		     : : "a"(to), "d"(from) : "memory");
}

static void movdiri32(uint32_t *to, uint32_t value)
{
	asm volatile(".byte 0x0f, 0x38, 0xf9, 0x02"	/* movdiri [rdx], eax */
		     : : "d"(to), "a"(value) : "memory");
}

static void movdiri64(uint64_t *to, uint64_t value)
{
	asm volatile(".byte 0x48, 0x0f, 0x38, 0xf9, 0x02" /* movdiri [rdx], rax */
		     : : "d"(to), "a"(value) : "memory");
}

static void register_operand(void)
{
	asm volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0xc2" : : : "memory");
}

static void *map(void *where, int protection)
{
	return mmap(where, 8192, protection,
		    MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED_NOREPLACE : 0), -1, 0);
}

static int filled(const uint8_t *at, int value, int count)
{
	while (count--)
		if (*at++ != value)
			return 0;
	return 1;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	uint8_t *page = map(NULL, PROT_READ | PROT_WRITE);
	uint8_t *low = map((void *)0x10000000, PROT_READ | PROT_WRITE);
	uint8_t *fixed = map(NULL, PROT_READ);
	static _Thread_local uint8_t local[64];
	uint8_t data[128] __attribute__((aligned(64)));
	uint32_t a, b, c, d;
	uint64_t base;

	printf("TAP version 13\n1..16\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (page == MAP_FAILED || low == MAP_FAILED || fixed == MAP_FAILED) {
		printf("Bail out! mmap failed\n");
		return 1;
	}
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	for (int i = 0; i < 128; i++)
		data[i] = i + 1;

	__cpuid_count(7, 0, a, b, c, d);
	check(c >> 27 & 1, "cpuid_shows_movdiri");
	check(c >> 28 & 1, "cpuid_shows_movdir64b");

	memset(page, 0xee, 8192);
	movdir64b(page + 128, data);
	check(!memcmp(page + 128, data, 64), "movdir64b_stores_64_bytes");
	check(filled(page, 0xee, 128) && filled(page + 192, 0xee, 8192 - 192), "movdir64b_stores_no_more");
	movdir64b(page + 256, data + 3);
	check(!memcmp(page + 256, data + 3, 64), "movdir64b_source_needs_no_alignment");
	memcpy(page + 4096 - 32, data, 64);
	movdir64b(page + 512, page + 4096 - 32);
	check(!memcmp(page + 512, data, 64), "movdir64b_source_crosses_pages");
	memcpy(low, data, 64);
	movdir64b_addr32(0xffffffff00000000 | (uintptr_t)(low + 64), 0xffffffff00000000 | (uintptr_t)low);
	check(!memcmp(low + 64, data, 64), "movdir64b_address_size");

	memcpy(local, data + 5, 64);
	asm("mov %%fs:0, %0" : "=r"(base));
	movdir64b_fs(page + 640, (uint64_t)(uintptr_t)local - base);
	check(!memcmp(page + 640, data + 5, 64), "movdir64b_segment_of_source_only");

	fault_code = 0;
	check(SIGNAL_OF(movdir64b(page + 8, data)) == SIGSEGV && fault_code == SI_KERNEL,
	      "movdir64b_misaligned_is_general_protection");
	check(SIGNAL_OF(movdir64b((void *)0x8, data)) == SIGSEGV && fault_code == SI_KERNEL,
	      "movdir64b_misaligned_wins_over_page_fault");
	check(SIGNAL_OF(movdir64b(NULL, data)) == SIGSEGV && fault_code == SEGV_MAPERR,
	      "movdir64b_to_unmapped_is_page_fault");
	check(SIGNAL_OF(movdir64b(fixed, data)) == SIGSEGV && fault_code == SEGV_ACCERR,
	      "movdir64b_to_read_only_is_page_fault");
	memset(page, 0xee, 64);
	check(SIGNAL_OF(movdir64b(page, (void *)8)) == SIGSEGV && filled(page, 0xee, 64),
	      "movdir64b_from_unmapped_stores_nothing");
	check(SIGNAL_OF(register_operand()) == SIGILL, "movdir64b_register_operand_is_invalid");

	memset(page, 0xee, 64);
	movdiri32((uint32_t *)(page + 4), 0x01020304);
	check(filled(page, 0xee, 4) && !memcmp(page + 4, "\4\3\2\1", 4) && filled(page + 8, 0xee, 56), "movdiri_32");
	memset(page, 0xee, 64);
	movdiri64((uint64_t *)(page + 8), 0x0102030405060708);
	check(filled(page, 0xee, 8) && !memcmp(page + 8, "\10\7\6\5\4\3\2\1", 8) && filled(page + 16, 0xee, 48),
	      "movdiri_64");
	return failed;
}
