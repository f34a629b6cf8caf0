// SPDX-License-Identifier: GPL-2.0
/*
 * Does what firmware does, and the emulator's does not, on the way back from a suspend to RAM: gives the Q35 chipset
 * the addresses of the extended configuration space and of the power management again, which the clock is part of.
 * Before devices are resumed, as their PASID, ATS and PRI capabilities are in that space.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/syscore_ops.h>

/* Of the ICH9 (00:1f.0): PMBASE, ACPI_CNTL; of the MCH (00:00.0): PCIEXBAR, which is enabled by its low half */
static struct {
	unsigned int devfn;
	int reg;
	u32 value;
} chipset_regs[] = {
	{ PCI_DEVFN(0x1f, 0), 0x40 },
	{ PCI_DEVFN(0x1f, 0), 0x44 },
	{ PCI_DEVFN(0, 0), 0x64 },
	{ PCI_DEVFN(0, 0), 0x60 },
};

static struct pci_bus *chipset_bus;

static void chipset_resume(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(chipset_regs); i++)
		pci_bus_write_config_dword(chipset_bus, chipset_regs[i].devfn, chipset_regs[i].reg,
					   chipset_regs[i].value);
}

static struct syscore_ops chipset_ops = {
	.resume = chipset_resume,
};

static int __init chipset_init(void)
{
	int i;

	chipset_bus = pci_find_bus(0, 0);
	if (!chipset_bus)
		return -ENODEV;
	for (i = 0; i < ARRAY_SIZE(chipset_regs); i++)
		pci_bus_read_config_dword(chipset_bus, chipset_regs[i].devfn, chipset_regs[i].reg,
					  &chipset_regs[i].value);
	register_syscore_ops(&chipset_ops);
	return 0;
}
module_init(chipset_init);

static void __exit chipset_exit(void)
{
	unregister_syscore_ops(&chipset_ops);
}
module_exit(chipset_exit);

MODULE_DESCRIPTION("Sets the Q35 up after a suspend to RAM");
MODULE_LICENSE("GPL");
