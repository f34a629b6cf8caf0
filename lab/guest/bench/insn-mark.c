// SPDX-License-Identifier: GPL-2.0
/*
 * Self-check of instruction counting, see insn-mark.h; used by tests/lab.
 *
 * Region 1 is empty, region 2 is a loop of known length: 2 instructions a
 * round. Region 3 is 1000 system calls, as an example of kernel work.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "insn-mark.h"

int main(void)
{
	unsigned long rounds = 1000;

	INSN_MARK_BEGIN(1);
	INSN_MARK_END(1);

	INSN_MARK_BEGIN(2);
	asm volatile("1: dec %0; jnz 1b" : "+r"(rounds));
	INSN_MARK_END(2);

	INSN_MARK_BEGIN(3);
	for (int i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	INSN_MARK_END(3);
	puts("marked");
	return 0;
}
