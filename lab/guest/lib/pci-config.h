/* SPDX-License-Identifier: GPL-2.0 */
/* For programs of the guest that read the configuration space of a PCI device from a file */
#ifndef PCI_CONFIG_H
#define PCI_CONFIG_H

#include <linux/pci_regs.h>
#include <stdint.h>
#include <unistd.h>

/* Where the extended capability ID is, in the space that begins at BASE of the file; 0: nowhere, -1: it cannot be read */
static inline int pci_ext_capability(int config, off_t base, unsigned int id)
{
	unsigned int at = PCI_CFG_SPACE_SIZE;
	uint32_t header;

	while (at) {
		if (pread(config, &header, sizeof(header), base + at) != sizeof(header))
			return -1;
		if (PCI_EXT_CAP_ID(header) == id)
			return at;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

#endif
