// SPDX-License-Identifier: GPL-2.0
/*
 * XSAVEC, XSAVES and ENQCMD of the CPU, as far as a kernel without SVA lets a
 * program see them: what CPUID and the kernel say, what is refused to a
 * program, and whether the kernel, which switches tasks with XSAVES and XRSTORS
 * then, gives each of them its own registers back. Prints TAP.
 *
 * With the argument no-xsaves: on a CPU without it the kernel uses XSAVEC, and
 * not ENQCMD.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tap-fault.h"

#define FP 1u
#define SSE 2u
#define AVX 4u
#define PKRU 0x200u
#define COMPACTED (1ull << 63)
#define USER_STATES 0x21fu

#define PROCESSES 6
#define ROUNDS 1500

/* What of a task's registers is compared */
struct registers {
	uint8_t ymm[16][32];
	double x87;
	uint32_t mxcsr, pkru;
	uint16_t fcw;
};

struct area {
	uint8_t legacy[24];
	uint32_t mxcsr;
	uint8_t rest[484];
	uint64_t xstate_bv, xcomp_bv, reserved[6];
	uint8_t extended[4096 - 576];
} __attribute__((aligned(64)));

static int protection_keys;
static struct area area;
static int general_protection(int signal)
{
	return signal == SIGSEGV && fault_code == SI_KERNEL;
}

static void enqcmd(void *to, const void *from)
{
	asm volatile(".byte 0xf2, 0x0f, 0x38, 0xf8, 0x02" : : "a"(to), "d"(from) : "memory", "cc");
}

static void enqcmds(void *to, const void *from)
{
	asm volatile(".byte 0xf3, 0x0f, 0x38, 0xf8, 0x02" : : "a"(to), "d"(from) : "memory", "cc");
}

static void xsavec(void *to, uint32_t mask)
{
	asm volatile("xsavec64 (%0)" : : "r"(to), "a"(mask), "d"(0) : "memory");
}

static void xsaves(void *to)
{
	asm volatile("xsaves64 (%0)" : : "r"(to), "a"(-1), "d"(-1) : "memory");
}

static void xrstors(const void *from)
{
	asm volatile("xrstors64 (%0)" : : "r"(from), "a"(-1), "d"(-1) : "memory");
}

static void xrstor(const void *from, uint32_t mask)
{
	asm volatile("xrstor64 (%0)" : : "r"(from), "a"(mask), "d"(0) : "memory");
}

static uint32_t xgetbv(uint32_t which)
{
	uint32_t low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(which));
	return low;
}

/*
 * Load the registers, make a system call, and store them: nothing else may use
 * them in between.
 */
static long keep(long call, long a, long b, const struct registers *in, struct registers *out)
{
	long result;

	memset(out, 0, sizeof(*out));
	asm volatile("fninit\n fldcw %[icw]\n fldl %[i87]\n ldmxcsr %[icsr]\n"
		     "testl %[keys], %[keys]\n jz 1f\n"
		     "xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n movl %[ipk], %%eax\n wrpkru\n 1:\n"
		     "vmovdqu 0x000(%[i]), %%ymm0\n vmovdqu 0x020(%[i]), %%ymm1\n"
		     "vmovdqu 0x040(%[i]), %%ymm2\n vmovdqu 0x060(%[i]), %%ymm3\n"
		     "vmovdqu 0x080(%[i]), %%ymm4\n vmovdqu 0x0a0(%[i]), %%ymm5\n"
		     "vmovdqu 0x0c0(%[i]), %%ymm6\n vmovdqu 0x0e0(%[i]), %%ymm7\n"
		     "vmovdqu 0x100(%[i]), %%ymm8\n vmovdqu 0x120(%[i]), %%ymm9\n"
		     "vmovdqu 0x140(%[i]), %%ymm10\n vmovdqu 0x160(%[i]), %%ymm11\n"
		     "vmovdqu 0x180(%[i]), %%ymm12\n vmovdqu 0x1a0(%[i]), %%ymm13\n"
		     "vmovdqu 0x1c0(%[i]), %%ymm14\n vmovdqu 0x1e0(%[i]), %%ymm15\n"
		     "movq %[call], %%rax\n movq %[a], %%rdi\n movq %[b], %%rsi\n syscall\n"
		     "movq %%rax, %%r8\n"
		     "vmovdqu %%ymm0, 0x000(%[o])\n vmovdqu %%ymm1, 0x020(%[o])\n"
		     "vmovdqu %%ymm2, 0x040(%[o])\n vmovdqu %%ymm3, 0x060(%[o])\n"
		     "vmovdqu %%ymm4, 0x080(%[o])\n vmovdqu %%ymm5, 0x0a0(%[o])\n"
		     "vmovdqu %%ymm6, 0x0c0(%[o])\n vmovdqu %%ymm7, 0x0e0(%[o])\n"
		     "vmovdqu %%ymm8, 0x100(%[o])\n vmovdqu %%ymm9, 0x120(%[o])\n"
		     "vmovdqu %%ymm10, 0x140(%[o])\n vmovdqu %%ymm11, 0x160(%[o])\n"
		     "vmovdqu %%ymm12, 0x180(%[o])\n vmovdqu %%ymm13, 0x1a0(%[o])\n"
		     "vmovdqu %%ymm14, 0x1c0(%[o])\n vmovdqu %%ymm15, 0x1e0(%[o])\n"
		     "vzeroupper\n"
		     "fnstcw %[ocw]\n fstpl %[o87]\n fninit\n stmxcsr %[ocsr]\n"
		     "testl %[keys], %[keys]\n jz 2f\n"
		     "xorl %%ecx, %%ecx\n rdpkru\n movl %%eax, %[opk]\n 2:\n"
		     "movq %%r8, %%rax\n"
		     : "=&a"(result), [ocw] "=m"(out->fcw), [o87] "=m"(out->x87),
		       [ocsr] "=m"(out->mxcsr), [opk] "=m"(out->pkru)
		     : [call] "m"(call), [a] "m"(a), [b] "m"(b), [i] "r"(in), [o] "r"(out),
		       [icw] "m"(in->fcw), [i87] "m"(in->x87), [icsr] "m"(in->mxcsr),
		       [ipk] "m"(in->pkru), [keys] "r"(protection_keys)
		     : "rcx", "rdx", "rsi", "rdi", "r8", "r11", "memory", "cc",
		       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
		       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return result;
}

/* A pattern of its own for each seed; some of them leave components in their initial state */
static struct registers pattern(int seed)
{
	struct registers r = {};

	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 32; j++)
			r.ymm[i][j] = seed * 37 + i * 11 + j + 1;
	if (seed % 3 == 1)
		for (int i = 0; i < 16; i++)
			memset(r.ymm[i] + 16, 0, 16);
	if (seed % 3 == 2)
		memset(r.ymm, 0, sizeof(r.ymm));
	r.x87 = seed + 0.5;
	r.fcw = seed & 1 ? 0x27f : 0x37f;
	r.mxcsr = seed & 2 ? 0x1f80 : 0x3f80;
	/* Keys that no page has, so that the program itself can go on */
	r.pkru = seed % 3 == 2 ? 0 : 4u << 4 * (seed % 7);
	return r;
}

static int same(const struct registers *a, const struct registers *b)
{
	return !memcmp(a->ymm, b->ymm, sizeof(a->ymm)) && a->x87 == b->x87 && a->fcw == b->fcw &&
	       a->mxcsr == b->mxcsr && (!protection_keys || a->pkru == b->pkru);
}

static int keeps_its_registers(int seed)
{
	struct timespec nap = { .tv_nsec = 20000 };

	for (int i = 0; i < ROUNDS; i++) {
		struct registers in = pattern(seed + i * PROCESSES), out;

		if (i % 16)
			keep(SYS_sched_yield, 0, 0, &in, &out);
		else
			keep(SYS_nanosleep, (long)&nap, 0, &in, &out);
		if (!same(&in, &out))
			return 0;
	}
	return 1;
}

static int exited_with_zero(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

static void test_switches(void)
{
	pid_t children[PROCESSES];
	int ok = 1;

	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (!children[i])
			_exit(!keeps_its_registers(i));
	}
	for (int i = 0; i < PROCESSES; i++)
		ok &= exited_with_zero(children[i]);
	check(ok, "registers_survive_context_switches");
}

static void test_fork(void)
{
	struct registers in = pattern(6), out;
	pid_t child;

	/* Without a handler for at-fork of the C library: registers straight from the parent */
	child = keep(SYS_fork, 0, 0, &in, &out);
	if (!child)
		_exit(!same(&in, &out));
	check(same(&in, &out), "fork_leaves_the_parent_its_registers");
	check(child > 0 && exited_with_zero(child), "fork_gives_the_child_a_copy");
}

static volatile uint64_t frame_states;
static volatile int frame_has_ymm;
static struct registers in_frame;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint8_t *frame = (uint8_t *)uc->uc_mcontext.fpregs;
	struct registers other = pattern(9), out;

	(void)signal, (void)info;
	memcpy((void *)&frame_states, frame + 512, 8);
	frame_has_ymm = !memcmp(frame + 160 + 16 * 3, in_frame.ymm[3], 16) &&
			!memcmp(frame + 576 + 16 * 3, in_frame.ymm[3] + 16, 16);
	keep(SYS_sched_yield, 0, 0, &other, &out);
	/* What the frame holds is what comes back */
	frame[576] ^= 0xff;
}

static void test_signal(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct registers out;

	in_frame = pattern(3);
	sigaction(SIGUSR1, &action, NULL);
	keep(SYS_kill, getpid(), SIGUSR1, &in_frame, &out);
	check((frame_states & (SSE | AVX)) == (SSE | AVX) && !(frame_states & ~(uint64_t)USER_STATES),
	      "signal_frame_names_user_states_only");
	check(frame_has_ymm, "signal_frame_has_the_standard_format");
	in_frame.ymm[0][16] ^= 0xff;
	check(same(&in_frame, &out), "signal_returns_to_the_registers_of_the_frame");
}

static void test_ptrace(void)
{
	static uint8_t buffer[8192];
	struct iovec set = { buffer, sizeof(buffer) };
	struct registers in = pattern(0), out;
	uint64_t states, in_use;
	uint32_t a, b, c, d;
	pid_t child = fork();
	int status;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		keep(SYS_kill, getpid(), SIGSTOP, &in, &out);
		in.ymm[5][20] ^= 0xff;
		_exit(!same(&in, &out));
	}
	waitpid(child, &status, 0);
	check(WIFSTOPPED(status) && !ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &set),
	      "ptrace_reads_extended_state");
	memcpy(&states, buffer + 464, 8);
	memcpy(&in_use, buffer + 512, 8);
	__cpuid_count(0xd, 0, a, b, c, d);
	check(set.iov_len == c && states == USER_STATES && !(in_use & ~states),
	      "ptrace_hides_supervisor_state");
	check(!memcmp(buffer + 160 + 16 * 5, in.ymm[5], 16) &&
	      !memcmp(buffer + 576 + 16 * 5, in.ymm[5] + 16, 16), "ptrace_shows_the_registers");
	buffer[576 + 16 * 5 + 4] ^= 0xff;
	check(!ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &set), "ptrace_writes_extended_state");
	buffer[576 + 16 * 5 + 4] ^= 0xff;
	in_use |= 1 << 10;
	memcpy(buffer + 512, &in_use, 8);
	check(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &set) && errno == EINVAL,
	      "ptrace_refuses_supervisor_state");
	ptrace(PTRACE_CONT, child, 0, 0);
	check(exited_with_zero(child), "ptrace_changed_the_registers");
}

static void test_xsavec(void)
{
	struct area image;
	uint8_t ymm[32];

	memset(ymm, 0x5a, sizeof(ymm));
	asm volatile("vzeroall\n vmovdqu %0, %%ymm7" : : "m"(ymm) : "memory", "xmm7");
	memset(&area, 0xee, sizeof(area));
	xsavec(&area, SSE | AVX);
	image = area;
	check(image.xcomp_bv == (COMPACTED | SSE | AVX) && image.xstate_bv == (SSE | AVX), "xsavec_header");
	check(!memcmp(image.extended + 16 * 7, ymm, 16) && image.extended[256] == 0xee,
	      "xsavec_stores_the_upper_halves");

	asm volatile("vmovdqu %0, %%ymm7" : : "m"(ymm) : "memory", "xmm7");
	check((xgetbv(1) & AVX) && !(xgetbv(1) & ~xgetbv(0)), "xgetbv_1_shows_avx_in_use");
	asm volatile("vzeroupper");
	check(!(xgetbv(1) & AVX), "xgetbv_1_shows_avx_in_its_initial_state");
	memset(&area, 0xee, sizeof(area));
	xsavec(&area, AVX | PKRU);
	image = area;
	check(image.xcomp_bv == (COMPACTED | AVX | PKRU) && !(image.xstate_bv & AVX) &&
	      image.extended[0] == 0xee, "xsavec_leaves_out_initial_state");

	memset(&area, 0, sizeof(area));
	area.mxcsr = 0x1f80;
	area.xcomp_bv = COMPACTED | AVX;
	area.xstate_bv = AVX;
	memset(area.extended + 16 * 9, 0xa5, 16);
	xrstor(&area, AVX);
	asm volatile("vmovdqu %%ymm9, %0\n vzeroupper" : "=m"(ymm));
	memset(area.extended, 0xa5, 16);
	check(!memcmp(ymm + 16, area.extended, 16), "xrstor_takes_the_compacted_format");
	area.xcomp_bv |= 1 << 10;
	check(general_protection(SIGNAL_OF(xrstor(&area, AVX))), "xrstor_refuses_supervisor_state");
}

/* Lines of /proc/cpuinfo and of the kernel's log, searched as text */
static int file_has(const char *name, const char *word)
{
	char text[8192];
	int file = open(name, O_RDONLY);
	ssize_t length = read(file, text, sizeof(text) - 1);

	close(file);
	text[length < 0 ? 0 : length] = 0;
	return strstr(text, word) != NULL;
}

static int log_has(const char *line)
{
	static char log[1 << 18];
	int length = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1);

	log[length < 0 ? 0 : length] = 0;
	return strstr(log, line) != NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int with_xsaves = argc < 2 || strcmp(argv[1], "no-xsaves");
	static uint64_t command[8];
	static uint8_t page[4096] __attribute__((aligned(64)));
	uint32_t a, b, c, d;

	printf("TAP version 13\n1..%d\n", with_xsaves ? 34 : 33);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);

	__cpuid_count(7, 0, a, b, c, d);
	protection_keys = c >> 4 & 1;
	if (protection_keys)
		check(1, "kernel_uses_protection_keys");
	else
		printf("ok %d kernel_uses_protection_keys # SKIP it is built without them\n", ++number);
	__cpuid_count(0xd, 1, a, b, c, d);
	check(!(a & 8) == !with_xsaves && (a & 7) == 7, "cpuid_shows_the_instructions");
	check(c == (with_xsaves ? 0x400 : 0), "cpuid_shows_pasid_state_with_xsaves");
	check(b == (with_xsaves ? 976 : 968), "cpuid_shows_the_compacted_size");
	__cpuid_count(0xd, 10, a, b, c, d);
	check(with_xsaves ? a == 8 && b == 0 && c == 1 : !(a | b | c), "cpuid_describes_pasid_state");
	check(log_has("'PASID state'") == with_xsaves, "kernel_switches_pasid_state");
	check(log_has("using 'compacted' format"), "kernel_uses_the_compacted_format");
	check(file_has("/proc/cpuinfo", " enqcmd") == with_xsaves, "kernel_uses_enqcmd_with_xsaves");

	if (with_xsaves) {
		check(general_protection(SIGNAL_OF(enqcmd(page, command))), "enqcmd_without_pasid");
		check(general_protection(SIGNAL_OF(enqcmd(page + 8, command))), "enqcmd_misaligned");
		check(general_protection(SIGNAL_OF(enqcmds(page, command))), "enqcmds_of_a_program");
		check(general_protection(SIGNAL_OF(xsaves(&area))), "xsaves_of_a_program");
		check(general_protection(SIGNAL_OF(xrstors(&area))), "xrstors_of_a_program");
	} else {
		check(SIGNAL_OF(enqcmd(page, command)) == SIGILL, "enqcmd_is_unknown");
		check(SIGNAL_OF(enqcmds(page, command)) == SIGILL, "enqcmds_is_unknown");
		check(SIGNAL_OF(xsaves(&area)) == SIGILL, "xsaves_is_unknown");
		check(SIGNAL_OF(xrstors(&area)) == SIGILL, "xrstors_is_unknown");
	}
	check(page[0] == 0 && !memcmp(page, page + 1, 4095), "nothing_was_stored");
	check(general_protection(SIGNAL_OF(xsavec(area.legacy + 8, -1))), "xsavec_misaligned");

	test_xsavec();
	test_switches();
	test_fork();
	test_signal();
	test_ptrace();
	return failed;
}
