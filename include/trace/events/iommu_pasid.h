/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_pasid

#if !defined(_TRACE_IOMMU_PASID_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOMMU_PASID_H

#include <linux/device.h>
#include <linux/ioasid-types.h>
#include <linux/tracepoint.h>

/* Domain types are those of linux/iommu.h, as numbers */
DECLARE_EVENT_CLASS(iommu_pasid_domain,
	TP_PROTO(struct device *dev, ioasid_t pasid, unsigned int type,
		 const char *mode),
	TP_ARGS(dev, pasid, type, mode),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u32, type)
		__string(mode, mode)
	),
	TP_fast_assign(
		__assign_str(dev, dev_name(dev));
		__entry->pasid = pasid;
		__entry->type = type;
		__assign_str(mode, mode);
	),
	TP_printk("dev=%s pasid=%u domain_type=%#x mode=%s", __get_str(dev),
		  __entry->pasid, __entry->type, __get_str(mode))
);

/* Requests of dev with pasid are translated by a domain */
DEFINE_EVENT(iommu_pasid_domain, iommu_pasid_attach,
	TP_PROTO(struct device *dev, ioasid_t pasid, unsigned int type,
		 const char *mode),
	TP_ARGS(dev, pasid, type, mode)
);

/* They are refused, and the IOMMU has forgotten the domain for them */
DEFINE_EVENT(iommu_pasid_domain, iommu_pasid_detach,
	TP_PROTO(struct device *dev, ioasid_t pasid, unsigned int type,
		 const char *mode),
	TP_ARGS(dev, pasid, type, mode)
);

/*
 * An IOMMU invalidates translations of a PASID: npages (of 4 KiB) at
 * addr, all of them when npages is 0
 */
TRACE_EVENT(iommu_pasid_flush,
	TP_PROTO(const char *iommu, ioasid_t pasid, u64 addr,
		 unsigned long npages),
	TP_ARGS(iommu, pasid, addr, npages),
	TP_STRUCT__entry(
		__string(iommu, iommu)
		__field(u32, pasid)
		__field(u64, addr)
		__field(unsigned long, npages)
	),
	TP_fast_assign(
		__assign_str(iommu, iommu);
		__entry->pasid = pasid;
		__entry->addr = addr;
		__entry->npages = npages;
	),
	TP_printk("iommu=%s pasid=%u addr=%#llx npages=%lu", __get_str(iommu),
		  __entry->pasid, __entry->addr, __entry->npages)
);

#endif /* _TRACE_IOMMU_PASID_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
