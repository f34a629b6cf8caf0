// SPDX-License-Identifier: GPL-2.0
/*
 * Notifying others that the kernel flushed its own translations
 *
 * An IOMMU that translates kernel addresses for a device has translations in
 * its IOTLB that the kernel must be able to take back, as it takes them back
 * from the CPUs: when it unmaps memory, or lets less be done with it. There is
 * no mm whose notifiers could do that, so whoever gives the kernel's tables
 * to such a device registers here and is called after each flush of the CPUs.
 *
 * User requests get no translation of a kernel address. For their sake nobody
 * needs to register; what they leave in caches of upper levels is the matter of
 * kernel_pgtable.c.
 *
 * Translations that only one CPU uses and flushes (kmap_local(), the fixmap) are
 * not notified of: nobody else may use them.
 */
#include <linux/notifier.h>

#include <asm/kernel_tlb.h>

/* Somebody is registered */
DEFINE_STATIC_KEY_FALSE(kernel_tlb_watched);

/* Protects itself: a spinlock for changes, RCU for calls */
static ATOMIC_NOTIFIER_HEAD(kernel_tlb_chain);

/**
 * kernel_tlb_register_notifier - be called when the kernel flushes translations
 * @nb: gets 0 and a struct kernel_tlb_range. It is called after the CPUs were
 *	flushed, and the memory may become something else when it returns. It
 *	must not sleep, nor change mappings of the kernel.
 *
 * To be called before the hardware is given the kernel's tables. What the
 * kernel changed before, the hardware finds in them; of what it changes later, @nb
 * is notified.
 *
 * Context: Process context, may sleep.
 * Return: 0, or -EEXIST if @nb is registered already.
 */
int kernel_tlb_register_notifier(struct notifier_block *nb)
{
	int ret = atomic_notifier_chain_register(&kernel_tlb_chain, nb);

	if (!ret)
		static_branch_inc(&kernel_tlb_watched);
	return ret;
}

/**
 * kernel_tlb_unregister_notifier - undo kernel_tlb_register_notifier()
 * @nb: is not called any more after this
 *
 * To be called after the hardware has neither the kernel's tables nor anything
 * of them in a cache.
 *
 * Context: Process context, may sleep.
 * Return: 0, or -ENOENT if @nb is not registered.
 */
int kernel_tlb_unregister_notifier(struct notifier_block *nb)
{
	int ret = atomic_notifier_chain_unregister(&kernel_tlb_chain, nb);

	if (!ret)
		static_branch_dec(&kernel_tlb_watched);
	return ret;
}

/* See kernel_tlb_flushed() */
void kernel_tlb_call_notifiers(unsigned long start, unsigned long end)
{
	struct kernel_tlb_range range = { .start = start, .end = end };

	atomic_notifier_call_chain(&kernel_tlb_chain, 0, &range);
}
