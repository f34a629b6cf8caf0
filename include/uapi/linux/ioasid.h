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
 *    /dev/ioasid can have of it; or no room for a mapping.
 *  - EEXIST: It is there already.
 *  - EOVERFLOW: An address and a length reach beyond the largest number.
 *  - EINTR: The task is being killed.
 *  - ENOMEM, EFAULT: As everywhere.
 *
 * What fails has not happened, also when it fails with EFAULT because out_*
 * members cannot be written: they are tried first. Only when another thread takes
 * the memory away while the ioctl runs, an id may have been freed by FREE, and a
 * mapping unmapped by UNMAP.
 *
 * A program finds out what a kernel can do by trying it. There is no version to
 * ask for.
 */

/* See Documentation/userspace-api/ioctl/ioctl-number.rst; 0x00 is not used. */
#define IOASID_IOC_MAGIC	'^'

/**
 * enum ioasid_type - what an IOASID is for
 * @IOASID_TYPE_NONE: a number
 * @IOASID_TYPE_IOVA: an I/O address space: a page table that the kernel manages, in
 *		      which MAP maps memory of processes
 * @IOASID_TYPE_SVA: the address space of the process that calls ALLOC
 * @IOASID_TYPE_PGTABLE: a page table that the user makes, in memory that an
 *			 IOASID_TYPE_IOVA maps, its parent
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
 * enum ioasid_pgtable_format - formats of page tables of users
 * @IOASID_FORMAT_VTD_S1: first-level table of Intel VT-d (VT-d 4.0, 3.6), that of x86
 */
enum ioasid_pgtable_format {
	IOASID_FORMAT_VTD_S1 = 1,
};

/**
 * enum ioasid_features - what a machine can do
 * @IOASID_FEATURE_NEST_PARENT: ALLOC takes IOASID_ALLOC_NEST_PARENT
 */
enum ioasid_features {
	IOASID_FEATURE_NEST_PARENT = 1 << 0,
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
 * @out_page_sizes: page sizes that a mapping can be made of, one bit each; 0 when
 *		    there is no IOASID_TYPE_IOVA
 * @out_iova_last: the last address that an IOASID_TYPE_IOVA has
 * @out_mapped: bytes that this file has mapped
 * @out_attached: attachments to devices that this file has
 * @out_formats: of page tables of users, 1 << enum ioasid_pgtable_format each
 * @out_features: enum ioasid_features
 * @__reserved: must be 0
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
	__aligned_u64 out_page_sizes;
	__aligned_u64 out_iova_last;
	__aligned_u64 out_mapped;
	__u32 out_attached;
	__u32 out_formats;
	__u32 out_features;
	__u32 __reserved;
};

#define IOASID_GET_INFO		_IO(IOASID_IOC_MAGIC, 0x01)

/**
 * enum ioasid_alloc_flags - flags of struct ioasid_alloc
 * @IOASID_ALLOC_NEST_PARENT: an IOASID_TYPE_IOVA that can be the parent of others
 */
enum ioasid_alloc_flags {
	IOASID_ALLOC_NEST_PARENT = 1 << 0,
};

/**
 * struct ioasid_alloc - ioctl(IOASID_ALLOC)
 * @size: sizeof(struct ioasid_alloc)
 * @flags: enum ioasid_alloc_flags
 * @type: enum ioasid_type
 * @min: lowest IOASID wanted
 * @max: highest IOASID wanted
 * @out_ioasid: the IOASID
 * @cookie: any number; events of the IOASID have it, and QUERY returns it
 * @parent: for IOASID_TYPE_PGTABLE: an IOASID of this file that was allocated with
 *	    IOASID_ALLOC_NEST_PARENT; otherwise 0
 * @format: for IOASID_TYPE_PGTABLE: enum ioasid_pgtable_format; otherwise 0
 * @addr_width: for IOASID_TYPE_PGTABLE: of addresses, in bits: 48 or 57, that is with 4 or
 *		5 levels; otherwise 0
 * @__reserved: must be 0
 *
 * Allocates an IOASID in the range that is free and charges it to the caller's
 * cgroup. Which one is the kernel's choice; for IOASID_TYPE_NONE, which no device
 * sees, it prefers high numbers, so that low ones are left for devices that have
 * few. It can be used with this file only, by whoever has the file.
 * It stays until it is freed or the file is closed for the last time.
 *
 * In an IOASID_TYPE_IOVA nothing is mapped at first. The page sizes and addresses
 * that it can have are those of all IOMMUs of the machine, whatever it will be
 * attached to.
 *
 * With an IOASID_TYPE_SVA a device has the addresses of the process that calls ALLOC, and
 * page faults of its own. When the process has ended or called exec, and no page fault of
 * it is served any more, everything is refused, and the IOASID stays. MAP, UNMAP and
 * GET_IOVA_RANGES are EINVAL. A process can have 16 of them (ENOSPC).
 *
 * For an IOASID_TYPE_PGTABLE the user makes the page table, see BIND_PGTABLE. ENOENT when
 * there is no such parent, EBUSY while it is being freed; EINVAL when the IOASID cannot be
 * one, or for another addr_width; EOPNOTSUPP when the IOMMUs cannot walk such a table, or
 * have no such parents: then it is IOASID_ALLOC_NEST_PARENT that fails.
 *
 * When the kernel frees the IOASID meanwhile, an event IOASID_EVENT_FREED follows. What
 * is mapped stays so until the file is closed, or an ALLOC of it returns the same number.
 */
struct ioasid_alloc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 min;
	__u32 max;
	__u32 out_ioasid;
	__aligned_u64 cookie;
	__u32 parent;
	__u32 format;
	__u32 addr_width;
	__u32 __reserved;
};

#define IOASID_ALLOC		_IO(IOASID_IOC_MAGIC, 0x02)

/**
 * struct ioasid_free - ioctl(IOASID_FREE)
 * @size: sizeof(struct ioasid_free)
 * @flags: must be 0
 * @ioasid: the IOASID
 * @out_pending: 1 when the kernel still uses it, 0 when it is released
 *
 * Takes the IOASID away from whoever uses it, a guest with its SPID included. It is
 * detached from all devices. Of one of type IOASID_TYPE_PGTABLE the table is unbound. Of
 * one of type IOASID_TYPE_IOVA everything is unmapped, and what is bound on top of it is
 * unbound; that waits for a MAP or UNMAP of another thread, and is interrupted (EINTR)
 * only there.
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
 * enum ioasid_map_flags - flags of struct ioasid_map
 * @IOASID_MAP_READ: devices can read
 * @IOASID_MAP_WRITE: devices can write; they may be able to read, too
 * @IOASID_MAP_FIXED_IOVA: at the address in iova; otherwise the kernel chooses one
 */
enum ioasid_map_flags {
	IOASID_MAP_READ = 1 << 0,
	IOASID_MAP_WRITE = 1 << 1,
	IOASID_MAP_FIXED_IOVA = 1 << 2,
};

/**
 * struct ioasid_map - ioctl(IOASID_MAP)
 * @size: sizeof(struct ioasid_map)
 * @flags: enum ioasid_map_flags, one of READ and WRITE at least
 * @ioasid: an IOASID_TYPE_IOVA
 * @__reserved: must be 0
 * @user_va: address of the memory in the calling process
 * @length: number of bytes
 * @iova: with FIXED_IOVA, the address for devices; otherwise 0
 * @out_iova: the address for devices
 *
 * Pins the memory and maps it, for devices that the IOASID is attached to, and those
 * that it will be. Addresses and length are multiples of 4 KiB. A page of the table
 * can be large where user_va and the address for devices are equal modulo its size,
 * and the memory is contiguous; the kernel chooses addresses accordingly.
 *
 * The memory is charged to RLIMIT_MEMLOCK of the caller (VmLck), which CAP_IPC_LOCK
 * overrides, until it is unmapped, by whomever; page tables are charged to the memory
 * cgroup of the caller. What the process does with its own mapping afterwards changes
 * nothing for devices. Memory that is private, and mapped for reading only, is copied
 * for that where it is shared with other processes.
 *
 *  - EINVAL: Neither READ nor WRITE; not aligned; beyond out_iova_last; length 0; an
 *    iova without FIXED_IOVA; not an IOASID_TYPE_IOVA.
 *  - EEXIST: Something is mapped there.
 *  - EADDRINUSE: The address is reserved for a device that the IOASID is attached to.
 *  - EFAULT: The process has no memory there, may not write to it, or it is none that
 *    can be pinned, as registers of devices.
 *  - EOPNOTSUPP: WRITE, and the memory is of a file system that has to notice changes;
 *    or it is of one that cannot have it pinned for long; or no WRITE, and the IOASID can
 *    be a parent: some IOMMUs note accesses to page tables on top of it all the same.
 *  - ENOSPC: There is no room, or there are 65535 mappings.
 *  - ENOMEM: Also above RLIMIT_MEMLOCK.
 */
struct ioasid_map {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
	__aligned_u64 out_iova;
};

#define IOASID_MAP		_IO(IOASID_IOC_MAGIC, 0x07)

/**
 * struct ioasid_unmap - ioctl(IOASID_UNMAP)
 * @size: sizeof(struct ioasid_unmap)
 * @flags: must be 0
 * @ioasid: an IOASID_TYPE_IOVA
 * @__reserved: must be 0
 * @iova: the first address
 * @length: number of bytes
 * @out_length: number of bytes that were mapped and are not any more
 *
 * Unmaps all mappings in the range. When it returns no device has the translations,
 * and the memory is not pinned any more. 0 and 2^64-1 stand for everything, which may
 * be nothing.
 *
 *  - EINVAL: The range has a part of a mapping; nothing is unmapped. Or: not aligned;
 *    length 0; not an IOASID_TYPE_IOVA.
 *  - ENOENT: Nothing is mapped there.
 */
struct ioasid_unmap {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 out_length;
};

#define IOASID_UNMAP		_IO(IOASID_IOC_MAGIC, 0x08)

/**
 * struct ioasid_iova_range - addresses that a mapping can have
 * @start: the first one
 * @last: the last one
 */
struct ioasid_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;
};

/**
 * struct ioasid_get_iova_ranges - ioctl(IOASID_GET_IOVA_RANGES)
 * @size: sizeof(struct ioasid_get_iova_ranges)
 * @flags: must be 0
 * @ioasid: an IOASID_TYPE_IOVA
 * @num: how many ranges there is room for
 * @ranges: address of an array of struct ioasid_iova_range
 * @out_alignment: of addresses and lengths
 * @out_num: how many ranges there are; of more than num, or 256, the first are told
 * @__reserved: must be 0
 *
 * Tells which addresses can be mapped, in ascending order, whether they are or not.
 * They become fewer with a device that the IOASID is attached to. EINVAL when it is not
 * an IOASID_TYPE_IOVA.
 */
struct ioasid_get_iova_ranges {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 num;
	__aligned_u64 ranges;
	__aligned_u64 out_alignment;
	__u32 out_num;
	__u32 __reserved;
};

#define IOASID_GET_IOVA_RANGES	_IO(IOASID_IOC_MAGIC, 0x0a)

/**
 * enum ioasid_pgtable_flags - flags of struct ioasid_bind_pgtable
 * @IOASID_PGTABLE_VTD_SRE: the device may send privileged requests
 * @IOASID_PGTABLE_VTD_EAFE: the extended accessed flag of entries is set
 * @IOASID_PGTABLE_VTD_PCD: reserved: memory type of the table
 * @IOASID_PGTABLE_VTD_PWT: reserved
 * @IOASID_PGTABLE_VTD_EMTE: reserved: memory type of pages
 * @IOASID_PGTABLE_VTD_CD: reserved
 * @IOASID_PGTABLE_VTD_WPE: privileged requests do not write where the table does not let
 *			    them; with SRE only
 *
 * As the fields of a PASID entry of VT-d that have these names. Memory types would give a
 * device another view of memory than the CPUs have; they are not supported.
 */
enum ioasid_pgtable_flags {
	IOASID_PGTABLE_VTD_SRE = 1 << 0,
	IOASID_PGTABLE_VTD_EAFE = 1 << 1,
	IOASID_PGTABLE_VTD_PCD = 1 << 2,
	IOASID_PGTABLE_VTD_PWT = 1 << 3,
	IOASID_PGTABLE_VTD_EMTE = 1 << 4,
	IOASID_PGTABLE_VTD_CD = 1 << 5,
	IOASID_PGTABLE_VTD_WPE = 1 << 6,
};

/**
 * struct ioasid_bind_pgtable - ioctl(IOASID_BIND_PGTABLE)
 * @size: sizeof(struct ioasid_bind_pgtable)
 * @flags: enum ioasid_pgtable_flags
 * @ioasid: an IOASID_TYPE_PGTABLE
 * @pat: must be 0
 * @pgtable: where the table is: an address of the parent
 * @emt: must be 0
 * @__reserved: must be 0
 * @__reserved2: must be 0
 *
 * From now on devices that the IOASID is attached to have the addresses of this table.
 * Those of tables and pages that it refers to are addresses of the parent, and translated
 * as its mappings are at that time: where nothing is mapped, a request is refused, and the
 * event says so. The kernel does not look at the table. The IOMMU notes accesses in it.
 *
 * Devices and the IOMMU keep what they have read of the table, until INVALIDATE says that
 * it changed. What is unmapped from the parent, they lose at once.
 *
 *  - EINVAL: pgtable is not aligned to a page, or beyond the addresses of the parent, or
 *    beyond the physical addresses that the CPU has (/proc/cpuinfo), which a table cannot
 *    be at; WPE without SRE; not an IOASID_TYPE_PGTABLE.
 *  - EBUSY: A table is bound.
 *  - ENOENT: The parent was freed.
 *  - EOPNOTSUPP: A flag that an IOMMU of the machine cannot do.
 *  - When devices are attached, also what DEVICE_ATTACH can fail with, as ENOSPC. Nothing
 *    is bound then, and they stay attached.
 */
struct ioasid_bind_pgtable {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 pat;
	__aligned_u64 pgtable;
	__u32 emt;
	__u32 __reserved;
	__aligned_u64 __reserved2;
};

#define IOASID_BIND_PGTABLE	_IO(IOASID_IOC_MAGIC, 0x09)

/**
 * struct ioasid_unbind_pgtable - ioctl(IOASID_UNBIND_PGTABLE)
 * @size: sizeof(struct ioasid_unbind_pgtable)
 * @flags: must be 0
 * @ioasid: an IOASID_TYPE_PGTABLE
 * @__reserved: must be 0
 *
 * When it returns, nothing of the table is in caches of devices and IOMMUs. Devices stay
 * attached: until a table is bound again, what they request is refused, and no event.
 * ENOENT when none is bound; EINVAL when it is not an IOASID_TYPE_PGTABLE.
 */
struct ioasid_unbind_pgtable {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

#define IOASID_UNBIND_PGTABLE	_IO(IOASID_IOC_MAGIC, 0x0d)

/**
 * enum ioasid_inv_vtd_s1_flags - flags of struct ioasid_inv_vtd_s1
 * @IOASID_INV_LEAF: only entries that refer to pages changed, none that refers to a table.
 *		    It can be left out
 */
enum ioasid_inv_vtd_s1_flags {
	IOASID_INV_LEAF = 1 << 0,
};

/**
 * struct ioasid_inv_vtd_s1 - what changed in a table of format IOASID_FORMAT_VTD_S1
 * @addr: the first address, of a page and canonical for the width of the table
 * @npages: number of pages of 4 KiB; 2^64-1, with address 0, for all of the table
 * @flags: enum ioasid_inv_vtd_s1_flags
 * @__reserved: must be 0
 */
struct ioasid_inv_vtd_s1 {
	__aligned_u64 addr;
	__aligned_u64 npages;
	__u32 flags;
	__u32 __reserved;
};

/**
 * enum ioasid_invalidate_flags - flags of struct ioasid_invalidate
 * @IOASID_INVALIDATE_SPID: ioasid is an SPID
 */
enum ioasid_invalidate_flags {
	IOASID_INVALIDATE_SPID = 1 << 0,
};

/**
 * struct ioasid_invalidate - ioctl(IOASID_INVALIDATE)
 * @size: sizeof(struct ioasid_invalidate)
 * @flags: enum ioasid_invalidate_flags
 * @ioasid: an IOASID_TYPE_PGTABLE, or its SPID
 * @num: number of entries
 * @entry_size: size of an entry, sizeof(struct ioasid_inv_vtd_s1)
 * @out_num: how many of them were done, which are the first
 * @entries: address of the entries, an array
 * @__reserved: must be 0
 *
 * Devices and IOMMUs lose what they have of the ranges, when it returns. Of more than
 * 1024 entries only the first ones are looked at and done: out_num says how many, and the
 * others are left to another call, as they are when a signal kills the caller, or what is
 * bound is unbound meanwhile. With num 0 nothing is done; it fails as it would with some.
 *
 *  - EINVAL: An entry makes no sense: address not aligned or not canonical, no pages, a
 *    range that is not all in one half of the addresses, or wraps. None is done then, and
 *    out_num is as it was. Or: entry_size is too small; not an IOASID_TYPE_PGTABLE.
 *  - E2BIG, EOPNOTSUPP: An entry has something that the kernel does not know. E2BIG also
 *    for an entry_size above a page.
 *  - ENOENT: Also when no table is bound.
 */
struct ioasid_invalidate {
	__u32 size;
	__u32 flags;
	__u32 ioasid;
	__u32 num;
	__u32 entry_size;
	__u32 out_num;
	__aligned_u64 entries;
	__aligned_u64 __reserved;
};

#define IOASID_INVALIDATE	_IO(IOASID_IOC_MAGIC, 0x0b)

/**
 * DOC: ioctls on the file of a device
 *
 * They are for the file of a device, not for that of /dev/ioasid. A file whose driver
 * does not have them returns ENOTTY, or what it returns for ioctls it does not know.
 * VFIO has them, for devices behind an IOMMU.
 *
 *  - EBADF: ioasid_fd is not a file of /dev/ioasid.
 */

/**
 * struct ioasid_device_info - ioctl(IOASID_DEVICE_INFO)
 * @size: sizeof(struct ioasid_device_info)
 * @flags: must be 0
 * @out_ioasid_last: the highest IOASID that can be attached; 0 when the device has no
 *		     PASIDs
 * @out_types: types that can be attached, 1 << enum ioasid_type each
 * @out_formats: of page tables of users, 1 << enum ioasid_pgtable_format each
 * @out_features: enum ioasid_features, of the machine
 * @out_vtd_cap: with a format of VT-d, the capability register of the device's IOMMU
 *		 (VT-d 4.0, 11.4.2), for who makes page tables: bit 56 for pages of
 *		 1 GiB, bit 60 for five levels
 * @out_vtd_ecap: and its extended capability register (11.4.3): bit 31 for privileged
 *		  requests, bit 34 for the extended accessed flag
 */
struct ioasid_device_info {
	__u32 size;
	__u32 flags;
	__u32 out_ioasid_last;
	__u32 out_types;
	__u32 out_formats;
	__u32 out_features;
	__aligned_u64 out_vtd_cap;
	__aligned_u64 out_vtd_ecap;
};

#define IOASID_DEVICE_INFO	_IO(IOASID_IOC_MAGIC, 0x10)

/**
 * struct ioasid_device_attach - ioctl(IOASID_DEVICE_ATTACH)
 * @size: sizeof(struct ioasid_device_attach)
 * @flags: must be 0
 * @ioasid_fd: a file of /dev/ioasid
 * @ioasid: one of it, of another type than IOASID_TYPE_NONE
 * @cookie: any number, by which events of the device under this IOASID name it
 * @out_pasid: the PASID that the device has to tag its requests with
 * @__reserved: must be 0
 *
 * From now on requests of the device with this PASID reach what is mapped, or where the
 * page table that is bound leads to. Each other one is refused, and is an event
 * IOASID_EVENT_FAULT of ioasid_fd; not so where the device asks for the translation
 * first (ATS), and gets none for an answer. It ends by DETACH, by FREE, or with the last
 * close of one of both files. When the device goes away before, there is an event
 * IOASID_EVENT_DETACHED.
 *
 * Files of work queues have one IOASID each, at a time. One IOASID can be attached by way
 * of several files of one device; faults have the cookie of one of them.
 *
 *  - EBUSY: It is attached by way of this file already, or another one is where there can
 *    be one only, or it is being freed.
 *  - EINVAL: The IOASID is higher than what the device can send, or of type NONE; it is of
 *    type PGTABLE and nothing is bound; the device cannot be told from others, or not
 *    be kept from reaching them; its IOMMU was added later, and can do less than the
 *    others.
 *  - EADDRINUSE: Something is mapped where addresses are reserved for the device.
 *  - EOPNOTSUPP: The device or its IOMMU has no PASIDs, or the IOMMU was added later
 *    and cannot be told to snoop caches as the others; for SVA, page faults of the device
 *    are not served, those of VFIO never.
 *  - ENODEV: The device is not behind an IOMMU, or its IOMMU has no memory for it; or it
 *    went away under this file.
 *  - ENOSPC: The IOMMU has no room for another page table; or it is the 257th time that a
 *    table on top of the same parent is attached.
 *  - EPERM: The file is of a work queue that another process has opened; or the IOASID is
 *    of type SVA and of another process.
 */
struct ioasid_device_attach {
	__u32 size;
	__u32 flags;
	__s32 ioasid_fd;
	__u32 ioasid;
	__aligned_u64 cookie;
	__u32 out_pasid;
	__u32 __reserved;
};

#define IOASID_DEVICE_ATTACH	_IO(IOASID_IOC_MAGIC, 0x11)

/**
 * struct ioasid_device_detach - ioctl(IOASID_DEVICE_DETACH)
 * @size: sizeof(struct ioasid_device_detach)
 * @flags: must be 0
 * @ioasid_fd: a file of /dev/ioasid
 * @ioasid: an IOASID of it
 * @__reserved: must be 0
 *
 * When it returns, requests of the device with this PASID are refused, and nothing of
 * the IOASID is in its caches or those of its IOMMU, unless it is attached by way of
 * another file of the device. ENOENT when it is not attached.
 */
struct ioasid_device_detach {
	__u32 size;
	__u32 flags;
	__s32 ioasid_fd;
	__u32 ioasid;
	__u32 __reserved;
};

#define IOASID_DEVICE_DETACH	_IO(IOASID_IOC_MAGIC, 0x12)

/**
 * enum ioasid_event_type - types of events
 * @IOASID_EVENT_FREED: struct ioasid_event_freed
 * @IOASID_EVENT_FAULT: struct ioasid_event_fault
 * @IOASID_EVENT_DETACHED: struct ioasid_event_detached
 *
 * 0 and 3 are not used.
 */
enum ioasid_event_type {
	IOASID_EVENT_FREED = 1,
	IOASID_EVENT_FAULT = 2,
	IOASID_EVENT_DETACHED = 4,
};

/**
 * struct ioasid_event - what every event begins with
 * @size: size of the event, this header included
 * @type: enum ioasid_event_type
 * @flags: by type
 *
 * read() returns as many whole events as fit, at least one; EINVAL when the
 * buffer is too small for the first, which 256 bytes never are. It waits for one,
 * unless the file is O_NONBLOCK (EAGAIN). poll() says POLLIN when there is one. A
 * program skips types that it does not know with the help of size, and ignores what
 * a newer kernel puts behind the members it knows. Events are in the order in which
 * things happened. Of several readers, each event goes to one. None is lost, but for
 * faults, of which a file has 256 that are not read.
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

/**
 * enum ioasid_fault_perm - what a request of a device asked for
 * @IOASID_FAULT_PERM_READ: to read
 * @IOASID_FAULT_PERM_WRITE: to write; with READ, an atomic operation
 * @IOASID_FAULT_PERM_EXEC: to execute
 * @IOASID_FAULT_PERM_PRIV: as one that is privileged
 */
enum ioasid_fault_perm {
	IOASID_FAULT_PERM_READ = 1 << 0,
	IOASID_FAULT_PERM_WRITE = 1 << 1,
	IOASID_FAULT_PERM_EXEC = 1 << 2,
	IOASID_FAULT_PERM_PRIV = 1 << 3,
};

/**
 * enum ioasid_fault_reason - why a request was refused
 * @IOASID_FAULT_UNKNOWN: another reason: see hw_reason
 * @IOASID_FAULT_ACCESS: nothing is mapped at the address, or not for this
 * @IOASID_FAULT_RANGE: no IOASID has such an address
 * @IOASID_FAULT_TABLE: a page table of the user has an entry that is not allowed
 */
enum ioasid_fault_reason {
	IOASID_FAULT_UNKNOWN = 0,
	IOASID_FAULT_ACCESS = 1,
	IOASID_FAULT_RANGE = 2,
	IOASID_FAULT_TABLE = 3,
};

/**
 * enum ioasid_fault_flags - flags of struct ioasid_event_fault
 * @IOASID_FAULT_STAGE2: it is the parent that does not map what the user's page table
 *			 refers to, be it a table or the page
 */
enum ioasid_fault_flags {
	IOASID_FAULT_STAGE2 = 1 << 0,
};

/**
 * struct ioasid_event_fault - a request of a device was refused
 * @header: type IOASID_EVENT_FAULT, flags: enum ioasid_fault_flags
 * @ioasid: the IOASID
 * @cookie: cookie of DEVICE_ATTACH
 * @addr: the address that the device asked for, rounded down to its page
 * @spid: SPID of the IOASID at that time, 0xffffffff for none
 * @perm: enum ioasid_fault_perm
 * @reason: enum ioasid_fault_reason
 * @hw_reason: as the IOMMU says it; for VT-d, a fault reason of its specification
 * @lost: faults of this file for which there was no room, after this one
 * @__reserved: 0
 *
 * The device went on as it does when a request fails. An IOMMU that gets faults
 * faster than they are read from it may drop some itself, which no event tells, and it
 * may leave out those that are like one that was not read yet.
 */
struct ioasid_event_fault {
	struct ioasid_event header;
	__u32 ioasid;
	__aligned_u64 cookie;
	__aligned_u64 addr;
	__u32 spid;
	__u32 perm;
	__u32 reason;
	__u32 hw_reason;
	__u32 lost;
	__u32 __reserved;
};

/**
 * struct ioasid_event_detached - a device went away that an IOASID was attached to
 * @header: type IOASID_EVENT_DETACHED, flags 0
 * @ioasid: the IOASID
 * @cookie: cookie of DEVICE_ATTACH
 * @spid: SPID of the IOASID at that time, 0xffffffff for none
 * @__reserved: 0
 *
 * For a work queue: it was disabled, or its device was removed or has halted. What was
 * submitted has ended, the IOASID is detached, and all else of it is as it was. There is
 * none for what ends by an ioctl or a close.
 */
struct ioasid_event_detached {
	struct ioasid_event header;
	__u32 ioasid;
	__aligned_u64 cookie;
	__u32 spid;
	__u32 __reserved;
};

#endif /* _UAPI_LINUX_IOASID_H */
