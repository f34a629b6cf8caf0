/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints are not there in user space. */
#define trace_alloc(set, id)		do { } while (0)
#define trace_release(set, id)		do { } while (0)
#define trace_free(set, id, refs)	do { } while (0)
#define trace_bind(set, id, spid)	do { } while (0)
#define trace_unbind(set, id, spid)	do { } while (0)
#define trace_charge_failed(set, cgroup)	do { (void)(cgroup); } while (0)
