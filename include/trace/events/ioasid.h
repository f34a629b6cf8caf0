/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ioasid

#if !defined(_TRACE_IOASID_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOASID_H

#include <linux/ioasid.h>
#include <linux/tracepoint.h>

struct ioasid_set;

DECLARE_EVENT_CLASS(ioasid_id,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id),
	TP_ARGS(set, id),
	TP_STRUCT__entry(
		__field(const void *, set)
		__field(u32, id)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
	),
	TP_printk("set=%p id=%u", __entry->set, __entry->id)
);

/* The id can be found */
DEFINE_EVENT(ioasid_id, ioasid_alloc,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id),
	TP_ARGS(set, id)
);

/* Its number can be handed out again */
DEFINE_EVENT(ioasid_id, ioasid_gone,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id),
	TP_ARGS(set, id)
);

/* The owner freed it; refs are the references at that time */
TRACE_EVENT(ioasid_free,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id, u32 refs),
	TP_ARGS(set, id, refs),
	TP_STRUCT__entry(
		__field(const void *, set)
		__field(u32, id)
		__field(u32, refs)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
		__entry->refs = refs;
	),
	TP_printk("set=%p id=%u refs=%u", __entry->set, __entry->id,
		  __entry->refs)
);

DECLARE_EVENT_CLASS(ioasid_spid,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid),
	TP_STRUCT__entry(
		__field(const void *, set)
		__field(u32, id)
		__field(u32, spid)
	),
	TP_fast_assign(
		__entry->set = set;
		__entry->id = id;
		__entry->spid = spid;
	),
	TP_printk("set=%p id=%u spid=%u", __entry->set, __entry->id,
		  __entry->spid)
);

/* Subscribers are about to get BIND */
DEFINE_EVENT(ioasid_spid, ioasid_bind,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid)
);

/* Subscribers are about to get UNBIND */
DEFINE_EVENT(ioasid_spid, ioasid_unbind,
	TP_PROTO(const struct ioasid_set *set, ioasid_t id, ioasid_t spid),
	TP_ARGS(set, id, spid)
);

#endif /* _TRACE_IOASID_H */

#include <trace/define_trace.h>
