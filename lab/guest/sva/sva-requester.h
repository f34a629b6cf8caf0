/* SPDX-License-Identifier: GPL-2.0 */
/* What lab/guest/sva/sva-requester-mod.c does for programs, by ioctl() on /sys/kernel/debug/sva-requester */
#ifndef LAB_SVA_REQUESTER_H
#define LAB_SVA_REQUESTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Flags of a request, as QEMU's hw/i386/intel_iommu_dma.h has them */
#define REQUESTER_WRITE		1
#define REQUESTER_PRIV		2
#define REQUESTER_EXEC		4
#define REQUESTER_READ		8

struct requester_page {
	__u64 addr;
	__u32 flags;
	__u32 group;
	__u32 last;		/* of its group: it is answered */
	__u32 no_pasid;
	__u32 wait_ms;		/* for a response */
	__s32 response;		/* out: the code, -1 for none within that time */
};

struct requester_flood {
	__u64 addr;		/* of the first page, which is read; others follow it */
	__u32 count;
	__u32 hold_ms;		/* so long the kernel does not get beyond the first of them */
	__u32 refused;		/* out: so many the queue did not take */
};

struct requester_storm {
	__u64 addr;		/* that is read without asking before, and is not mapped */
	__u32 ms;		/* so long, as fast as it goes, and at least once */
	__u32 count;		/* out: so often */
	__u32 rounds;		/* out: most of what the fault interrupt looked at before it came to its end */
};

/* The device gets the caller's address space, for one at a time */
#define REQUESTER_BIND		_IO('r', 1)
/* And loses it; gives the number of responses since the module was loaded */
#define REQUESTER_UNBIND	_IO('r', 2)
/* One page request */
#define REQUESTER_PAGE		_IOWR('r', 3, struct requester_page)
/* Many, faster than they can be served */
#define REQUESTER_FLOOD		_IOWR('r', 4, struct requester_flood)
/* The number of responses */
#define REQUESTER_RESPONSES	_IO('r', 5)
/* The number of floods that were sent; each is held from then on */
#define REQUESTER_FLOODS	_IO('r', 7)
/* Faults of DMA that are not served; and one more whenever the interrupt's handler is done with one */
#define REQUESTER_STORM		_IOWR('r', 8, struct requester_storm)
/* Reads eight bytes at that address, by way of the device TLB; 0 when it could */
#define REQUESTER_READ_DATA	_IOW('r', 6, __u64)

#endif
