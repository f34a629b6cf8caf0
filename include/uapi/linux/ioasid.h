/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/ioasid: IOASIDs (PCI: PASIDs) for user space
 *
 * Documentation/userspace-api/ioasid.rst explains how it is used.
 */
#ifndef _UAPI_LINUX_IOASID_H
#define _UAPI_LINUX_IOASID_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General format of the ioctls of /dev/ioasid
 *
 * Every ioctl takes a pointer to its own struct, which begins with its size and
 * with flags. A struct can grow: the caller sets size to the size that it was
 * compiled with. What it does not give is taken as 0; what the kernel does not
 * know must be 0. Members called out_* are written by the kernel, nothing else
 * is. flags without a meaning must be 0.
 *
 * An ioctl returns 0, or -1 and in errno:
 *
 *  - ENOTTY: The kernel does not know the ioctl.
 *  - E2BIG: The struct has a byte other than 0 where the kernel knows no member,
 *    or is longer than a page.
 *  - EOPNOTSUPP: A known member has a value that this kernel, or the hardware,
 *    does not support: a flag, a type.
 *  - EINVAL: A member has a supported value that makes no sense here, or size is
 *    smaller than the first version of the struct.
 *  - ENOENT: There is no such IOASID, or no such SPID, on this file.
 *  - EBUSY: The IOASID is being freed, or the cgroup is at its limit.
 *  - ENOSPC: No IOASID is left, in the range asked for, in the system, or of what
 *    /dev/ioasid can have of it.
 *  - EEXIST: It is there already.
 *  - ENOMEM, EFAULT: As everywhere.
 *
 * What fails has not happened, also when it fails with EFAULT because out_*
 * members cannot be written: they are tried first. Only when another thread takes
 * the memory away while the ioctl runs, an id may have been freed by FREE.
 *
 * A program finds out what a kernel can do by trying it. There is no version to
 * ask for.
 */

/* See Documentation/userspace-api/ioctl/ioctl-number.rst; 0x00 is not used. */
#define IOASID_IOC_MAGIC	'^'

/**
 * enum ioasid_type - what an IOASID is for
 * @IOASID_TYPE_NONE: a number
 * @IOASID_TYPE_IOVA: not supported yet: a page table that the kernel manages
 * @IOASID_TYPE_SVA: not supported yet: the address space of the process
 * @IOASID_TYPE_PGTABLE: not supported yet: a page table of the user
 * @IOASID_TYPE_EPT: reserved: the page table of a KVM guest
 * @IOASID_TYPE_PASID_TABLE: reserved: a table of PASIDs of the user
 */
enum ioasid_type {
	IOASID_TYPE_NONE = 0,
	IOASID_TYPE_IOVA = 1,
	IOASID_TYPE_SVA = 2,
	IOASID_TYPE_PGTABLE = 3,
	IOASID_TYPE_EPT = 4,
	IOASID_TYPE_PASID_TABLE = 5,
};

/**
 * struct ioasid_get_info - ioctl(IOASID_GET_INFO)
 * @size: sizeof(struct ioasid_get_info)
 * @flags: must be 0
 * @out_capacity: how many IOASIDs there can be in the system
 * @out_min: lowest IOASID that ALLOC can return
 * @out_max: highest IOASID that ALLOC can return: what the machine's IOMMUs can send
 * @out_types: types that ALLOC supports, 1 << enum ioasid_type each
 * @out_allocated: IOASIDs of this file, those being freed included
 * @out_pending: of these, how many are being freed
 * @out_charged: IOASIDs charged to the caller's cgroup and those below it; 0
 *		 when the kernel has no misc controller
 * @out_limit: how many IOASIDs all files of /dev/ioasid can have together; the
 *	       others are kept for the kernel and for processes that share their
 *	       address space with a device
 *
 * Numbers change while others allocate and free: they are for people, and to
 * size tables. Whether an IOASID can be had is only known by ALLOC.
 */
struct ioasid_get_info {
	__u32 size;
	__u32 flags;
	__u32 out_capacity;
	__u32 out_min;
	__u32 out_max;
	__u32 out_types;
	__u32 out_allocated;
	__u32 out_pending;
	__u32 out_charged;
	__u32 out_limit;
};

#define IOASID_GET_INFO		_IO(IOASID_IOC_MAGIC, 0x01)

/**
 * struct ioasid_alloc - ioctl(IOASID_ALLOC)
 * @size: sizeof(struct ioasid_alloc)
 * @flags: must be 0
 * @type: enum ioasid_type
 * @min: lowest IOASID wanted
 * @max: highest IOASID wanted
 * @out_ioasid: the IOASID
 * @cookie: any number; events of the IOASID have it, and QUERY returns it
 *
 * Allocates an IOASID in the range that is free and charges it to the caller's
 * cgroup. Which one is the kernel's choice; for IOASID_TYPE_NONE, which no device
 * sees, it prefers high numbers, so that low ones are left for devices that have
 * few. It can be used with this file only, by whoever has the file.
 * It stays until it is freed or the file is closed for the last time.
 *
 * When the kernel frees the IOASID meanwhile, an event IOASID_EVENT_FREED follows.
 */
struct ioasid_alloc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 min;
	__u32 max;
	__u32 out_ioasid;
	__aligned_u64 cookie;
};

#define IOASID_ALLOC		_IO(IOASID_IOC_MAGIC, 0x02)

/**
 * struct ioasid_free - ioctl(IOASID_FREE)
 * @size: sizeof(struct ioasid_free)
 * @flags: must be 0
 * @ioasid: the IOASID
 * @out_pending: 1 when the kernel still uses it, 0 when it is released
 *
 * Takes the IOASID away from whoever uses it, a guest with its SPID included.
 * When a user in the kernel needs time to drop its reference, out_pending is 1:
 * the IOASID stays charged and its number is not allocated again before an event
 * of type IOASID_EVENT_FREED. Until then, other ioctls on it fail with EBUSY,
 * another FREE too.
 *
 * When it returns, all users that translate have forgotten the SPID, and it can be
 * set for another IOASID.
 */
struct ioasid_free {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 out_pending;
};

#define IOASID_FREE		_IO(IOASID_IOC_MAGIC, 0x03)

/**
 * struct ioasid_set_spid - ioctl(IOASID_SET_SPID)
 * @size: sizeof(struct ioasid_set_spid)
 * @flags: must be 0
 * @ioasid: the IOASID
 * @spid: the number that the user, for instance a guest, knows it by; any but
 *	  0xffffffff
 *
 * An IOASID has one SPID at most, and an SPID names one IOASID of the file at
 * most (EEXIST). Two files can use the same SPIDs. Users in the kernel that
 * translate, as the PASID table of a virtual CPU, are notified.
 */
struct ioasid_set_spid {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 spid;
};

#define IOASID_SET_SPID		_IO(IOASID_IOC_MAGIC, 0x04)

/**
 * struct ioasid_clear_spid - ioctl(IOASID_CLEAR_SPID)
 * @size: sizeof(struct ioasid_clear_spid)
 * @flags: must be 0
 * @ioasid: the IOASID
 * @__reserved: must be 0
 *
 * Takes the SPID off an IOASID, ENOENT when it has none. When it returns, all users
 * that translate have forgotten it, and it can be set for another IOASID.
 */
struct ioasid_clear_spid {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

#define IOASID_CLEAR_SPID	_IO(IOASID_IOC_MAGIC, 0x05)

/**
 * struct ioasid_find_spid - ioctl(IOASID_FIND_SPID)
 * @size: sizeof(struct ioasid_find_spid)
 * @flags: must be 0
 * @spid: the SPID
 * @out_ioasid: the IOASID that has it
 */
struct ioasid_find_spid {
	__u32 size;
	__u32 flags;
	__u32 spid;
	__u32 out_ioasid;
};

#define IOASID_FIND_SPID	_IO(IOASID_IOC_MAGIC, 0x06)

/**
 * enum ioasid_id_state - what becomes of an IOASID
 * @IOASID_STATE_LIVE: it is allocated
 * @IOASID_STATE_FREEING: it was freed, by FREE or by the kernel, and has users in
 *			  the kernel that refer to it still. IOASID_EVENT_FREED will
 *			  come.
 */
enum ioasid_id_state {
	IOASID_STATE_LIVE = 0,
	IOASID_STATE_FREEING = 1,
};

/**
 * struct ioasid_query - ioctl(IOASID_QUERY)
 * @size: sizeof(struct ioasid_query)
 * @flags: must be 0
 * @ioasid: the IOASID
 * @out_state: enum ioasid_id_state
 * @out_cookie: cookie of its ALLOC
 *
 * Changes nothing. ENOENT when the file has no such IOASID, any more or yet.
 */
struct ioasid_query {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 out_state;
	__aligned_u64 out_cookie;
};

#define IOASID_QUERY		_IO(IOASID_IOC_MAGIC, 0x0c)

/**
 * enum ioasid_event_type - types of events
 * @IOASID_EVENT_FREED: struct ioasid_event_freed
 *
 * 0 is not used.
 */
enum ioasid_event_type {
	IOASID_EVENT_FREED = 1,
};

/**
 * struct ioasid_event - what every event begins with
 * @size: size of the event, this header included
 * @type: enum ioasid_event_type
 * @flags: by type
 *
 * read() returns as many whole events as fit, at least one; EINVAL when the
 * buffer is too small for the first. It waits for one, unless the file is
 * O_NONBLOCK (EAGAIN). poll() says POLLIN when there is one. A program skips
 * types that it does not know with the help of size, and ignores what a newer
 * kernel puts behind the members it knows. Events are in the order in which
 * things happened, and none is lost. Of several readers, each event goes to one.
 */
struct ioasid_event {
	__u32 size;
	__u32 type;
	__u32 flags;
};

/**
 * struct ioasid_event_freed - an IOASID is released
 * @header: type IOASID_EVENT_FREED, flags 0
 * @ioasid: the IOASID
 * @cookie: cookie of its ALLOC
 *
 * For an IOASID that FREE left pending, or that the kernel freed of itself. Its
 * number may be allocated again by now; the cookie says which one is meant.
 */
struct ioasid_event_freed {
	struct ioasid_event header;
	__u32 ioasid;
	__aligned_u64 cookie;
};

#endif /* _UAPI_LINUX_IOASID_H */
