/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Count guest instructions between two points: INSN_MARK_BEGIN(n); ...
 * INSN_MARK_END(n); with n a constant below 32768.
 *
 * The marks are NOPs to a CPU. QEMU's plugin markcount (qemu/files/contrib/
 * plugins/markcount.c) looks for them; `python3 -m lab.run --count` loads it. No header
 * is included, so kernel code can use this file as well as programs.
 */
#ifndef LAB_INSN_MARK_H
#define LAB_INSN_MARK_H

/* nopl 0x51af0000 + mark(%rax) */
#define INSN_MARK(mark)							\
	asm volatile(".byte 0x0f, 0x1f, 0x80; .long %c0"		\
		     : : "i"(0x51af0000 + (mark)) : "memory")
#define INSN_MARK_BEGIN(n)	INSN_MARK(2 * (n))
#define INSN_MARK_END(n)	INSN_MARK(2 * (n) + 1)

#endif
