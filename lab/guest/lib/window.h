/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that read the test window of an emulated VT-d: x-inv-log=on, and its layout in
 * qemu/files/include/hw/i386/intel_iommu_inv_log.h
 */
#ifndef WINDOW_H
#define WINDOW_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW		0xfed91000ul
#define WINDOW_SPACING	0x2000ul	/* from unit to unit */
#define WINDOW_MAGIC	0x474f4c564e494456ull
#define WINDOW_TOTAL	(0x10 / 8)
#define WINDOW_COUNTERS	(0x200 / 8)
#define WINDOW_LOG	(0x800 / 8)
#define WINDOW_LOG_NR	128

/* Types of descriptors, VT-d 4.0, 6.5.2 */
enum window_type {
	IOTLB = 2,
	DEVICE_TLB = 3,
	INTERRUPTS = 4,
	WAIT = 5,
	PIOTLB = 6,
	DEVICE_PIOTLB = 8,
	PAGE_RESPONSE = 9,
};

/* NULL when there is none */
static inline const volatile uint64_t *window_of_unit(unsigned int unit)
{
	int memory = open("/dev/mem", O_RDONLY | O_SYNC | O_CLOEXEC);
	const volatile uint64_t *window = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, WINDOW + unit * WINDOW_SPACING);

	close(memory);
	return window != MAP_FAILED && window[0] == WINDOW_MAGIC ? window : NULL;
}

/* Descriptors of the type, of all granularities */
static inline uint64_t window_count(const volatile uint64_t *window, enum window_type type)
{
	const volatile uint64_t *counters = window + WINDOW_COUNTERS + type * 4;

	return counters[0] + counters[1] + counters[2] + counters[3];
}

/*
 * Of the descriptors since there had been SINCE: flushes by PASID, of the type, of the block of 2^ORDER pages at ADDRESS, and by
 * DEVICE_PIOTLB of the device with this requester id
 */
static inline uint64_t window_flushes(const volatile uint64_t *window, uint64_t since, enum window_type type, unsigned int device,
				      const void *address, unsigned int order)
{
	uint64_t count = 0, low, high;

	for (; since < window[WINDOW_TOTAL]; since++) {
		low = window[WINDOW_LOG + since % WINDOW_LOG_NR * 2];
		high = window[WINDOW_LOG + since % WINDOW_LOG_NR * 2 + 1];
		count += (low & 0xf) == type && high >> (12 + order) == (uintptr_t)address >> (12 + order) &&
			 (type != DEVICE_PIOTLB || (low >> 16 & 0xffff) == device);
	}
	return count;
}

#endif
