/* For test programs of the guest that print TAP and look at the signals that instructions end with */
#ifndef TAP_FAULT_H
#define TAP_FAULT_H

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf fault;
static volatile sig_atomic_t fault_code;
static int number, failed;

static inline void check(int ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	fflush(stdout);
	failed |= !ok;
}

static inline void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	fault_code = info->si_code;
	siglongjmp(fault, signal);
}

/* The signal that the statement ends with, 0 for none */
#define SIGNAL_OF(statement) ({			\
	fault_code = 0;				\
	int got = sigsetjmp(fault, 1);		\
	if (!got) {				\
		statement;			\
	}					\
	got; })

#endif
