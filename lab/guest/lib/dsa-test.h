/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the emulated DSA does for tests when a register of its own is written (x-test=on; docs/system/devices/intel-dsa.rst
 * of the emulator says what the bits mean)
 */
#ifndef DSA_TEST_H
#define DSA_TEST_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define FUNCTION "/sys/bus/pci/devices/0000:00:10.0/"

enum dsa_test {
	DSA_TEST_HALT = 1 << 0,
	DSA_TEST_NEEDS_FLR = 1 << 1,
	DSA_TEST_SILENT = 1 << 4,
};

/* Of the vendor-specific extended capability (PCIe 7.9.5) with ID 7E57h */
static inline int dsa_test_capability(int config)
{
	uint32_t header, vsec;
	int at = 0x100;

	while (at && pread(config, &header, 4, at) == 4) {
		if ((header & 0xffff) == 0xb && pread(config, &vsec, 4, at + 4) == 4 && (vsec & 0xffff) == 0x7e57)
			return at;
		at = header >> 20;
	}
	return 0;
}

static inline void dsa_test(uint32_t value)
{
	int config = open(FUNCTION "config", O_RDWR), at = dsa_test_capability(config);

	if (!at || pwrite(config, &value, 4, at + 8) != 4)
		printf("# the device was not told\n");
	close(config);
}

#endif
