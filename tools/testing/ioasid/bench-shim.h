/* SPDX-License-Identifier: GPL-2.0 */
/* What bench.c sees of the kernel that bench-shim.c is */
#ifndef _IOASID_BENCH_SHIM_H
#define _IOASID_BENCH_SHIM_H

/* Call now and then, not in an RCU section: callbacks run here */
void bench_quiesce(void);
/* Run all callbacks of this thread */
void bench_drain(void);
/* Bytes that are allocated */
long bench_bytes(void);
void bench_shim_init(void);

int initcall_ioasid_init(void);
int initcall_ioasid_notifier_init(void);

#endif
