// SPDX-License-Identifier: GPL-2.0
/*
 * Does what firmware does, and the emulator's does not, on the way back from a suspend to RAM: gives the Q35 chipset
 * the addresses of the extended configuration space and of the power management again, which the clock is part of.
 * Before devices are resumed, as their PASID, ATS and PRI capabilities are in that space, and before timekeeping is,
 * which begins from what it reads of the clock.
 *
 * And it stops the other processors. The firmware starts them, does not wait for them, and keeps the lock that they ask
 * for: whoever comes late tries for ever to set a bit in what is read-only by then. The emulator stops all processors
 * for each try, and the kernel's is nearly at a standstill until it starts the others.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <asm/apic.h>

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

/* The local APIC has to be up */
static void processors_resume(void)
{
	unsigned int cpu;

	for_each_present_cpu(cpu)
		if (!cpu_online(cpu))
			apic_icr_write(APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT,
				       per_cpu(x86_cpu_to_apicid, cpu));
}

static struct syscore_ops chipset_ops = {
	.resume = chipset_resume,
};

static struct syscore_ops processors_ops = {
	.resume = processors_resume,
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
	/* The last of a ring is before its head: now it is the first */
	list_move(&chipset_ops.node, chipset_ops.node.next);
	register_syscore_ops(&processors_ops);
	return 0;
}
module_init(chipset_init);

static void __exit chipset_exit(void)
{
	unregister_syscore_ops(&processors_ops);
	unregister_syscore_ops(&chipset_ops);
}
module_exit(chipset_exit);

MODULE_DESCRIPTION("Sets the Q35 up after a suspend to RAM");
MODULE_LICENSE("GPL");
