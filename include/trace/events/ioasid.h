/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ioasid

#if !defined(_TRACE_IOASID_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOASID_H

#include <linux/ioasid-types.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(ioasid_id,
	TP_PROTO(u32 set, ioasid_t id),
	TP_ARGS(set, id),
	TP_STRUCT__entry(
		__field(u32, set)
		__field(u32, id)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
	),
	TP_printk("set=%u id=%u", __entry->set, __entry->id)
);

/* The id can be found */
DEFINE_EVENT(ioasid_id, alloc,
	TP_PROTO(u32 set, ioasid_t id),
	TP_ARGS(set, id)
);

/* Its number can be allocated again */
DEFINE_EVENT(ioasid_id, release,
	TP_PROTO(u32 set, ioasid_t id),
	TP_ARGS(set, id)
);

/* The owner freed it; refs are the references at that time */
TRACE_EVENT(free,
	TP_PROTO(u32 set, ioasid_t id, u32 refs),
	TP_ARGS(set, id, refs),
	TP_STRUCT__entry(
		__field(u32, set)
		__field(u32, id)
		__field(u32, refs)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
		__entry->refs = refs;
	),
	TP_printk("set=%u id=%u refs=%u", __entry->set, __entry->id,
		  __entry->refs)
);

/* Refused: the task's cgroup, or one above it, is at its limit */
TRACE_EVENT(charge_failed,
	TP_PROTO(u32 set, u64 cgroup),
	TP_ARGS(set, cgroup),
	TP_STRUCT__entry(
		__field(u32, set)
		__field(u64, cgroup)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->cgroup = cgroup;
	),
	TP_printk("set=%u cgroup=%llu", __entry->set, __entry->cgroup)
);

DECLARE_EVENT_CLASS(ioasid_spid,
	TP_PROTO(u32 set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid),
	TP_STRUCT__entry(
		__field(u32, set)
		__field(u32, id)
		__field(u32, spid)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
		__entry->spid = spid;
	),
	TP_printk("set=%u id=%u spid=%u", __entry->set, __entry->id,
		  __entry->spid)
);

/* Subscribers are about to get BIND */
DEFINE_EVENT(ioasid_spid, bind,
	TP_PROTO(u32 set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid)
);

/* Subscribers are about to get UNBIND */
DEFINE_EVENT(ioasid_spid, unbind,
	TP_PROTO(u32 set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid)
);

#endif /* _TRACE_IOASID_H */

#include <trace/define_trace.h>
