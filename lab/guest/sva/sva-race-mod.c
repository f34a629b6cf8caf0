// SPDX-License-Identifier: GPL-2.0
/*
 * Makes two meet that hardly ever do. Who comes first to a place is held there, with its CPU, until the other one has come
 * and gone on for a while, or time is over. /sys/kernel/debug/sva-race: write() names the place, and read() says what was
 * seen: was one held, and is it over; did the other one arrive meanwhile, and did it overtake, that is, come to the end
 * of what must wait for the first.
 *
 *                who is held                        arrives                          overtakes
 * tear-down      one that tears a PASID entry down  another one, of the other kind   when its tear-down returns
 * report         one that reports a page request    one that removes the device      when the IOMMU has forgotten it
 * flush          one that flushes a range of a mm   one that removes the device      when the device is released
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

/* The CPU has its interrupts disabled meanwhile; the clock of a machine may wrap in less than five seconds */
#define PATIENCE_NS	(2 * NSEC_PER_SEC)
#define LINGER_NS	(NSEC_PER_SEC)

/* drivers/iommu/intel/flush.h: the order of all pages */
#define FLUSH_ALL	52

enum scene { NOTHING, TEAR_DOWN, REPORT, FLUSH, SCENES };

static const char * const names[SCENES] = { "nothing", "tear-down", "report", "flush" };
static enum scene scene;
/* Of the scene; nobody writes them when another one begins, as the last is over by then */
static atomic_t began, over, arrived, overtaken;
static struct task_struct *first;
static struct dentry *file;

static void hold(enum scene where)
{
	u64 now, end;
	bool waits = true;

	if (READ_ONCE(scene) != where || atomic_cmpxchg(&began, 0, 1))
		return;
	now = ktime_get_mono_fast_ns();
	end = now + PATIENCE_NS;
	smp_store_release(&first, current);
	while (now < end && !atomic_read(&overtaken)) {
		/* Not the clock all the time: where that is a device, the other one would not get to any */
		udelay(100);
		now = ktime_get_mono_fast_ns();
		if (waits && atomic_read(&arrived)) {
			waits = false;
			end = now + LINGER_NS;
		}
	}
	smp_store_release(&first, NULL);
	atomic_set(&over, 1);
}

static void meets(enum scene where, atomic_t *what)
{
	struct task_struct *held = smp_load_acquire(&first);

	if (READ_ONCE(scene) == where && held && held != current)
		atomic_set(what, 1);
}

/* The end of a PASID entry */
static int on_flush_entry(struct kprobe *probe, struct pt_regs *regs)
{
	hold(TEAR_DOWN);
	return 0;
}

/* Of a range: intel_flush_dev_tlb(flush, info, pasid, addr, order) */
static int on_flush_range(struct kprobe *probe, struct pt_regs *regs)
{
	if ((unsigned int)regs_get_kernel_argument(regs, 4) != FLUSH_ALL)
		hold(FLUSH);
	return 0;
}

static int on_report(struct kprobe *probe, struct pt_regs *regs)
{
	hold(REPORT);
	return 0;
}

static int on_end_of_bond(struct kprobe *probe, struct pt_regs *regs)
{
	meets(TEAR_DOWN, &arrived);
	return 0;
}

static struct kprobe probes[] = {
	{ .symbol_name = "intel_flush_pasid_cache", .pre_handler = on_flush_entry },
	{ .symbol_name = "intel_flush_dev_tlb", .pre_handler = on_flush_range },
	{ .symbol_name = "iommu_report_device_fault", .pre_handler = on_report },
	{ .symbol_name = "intel_mm_release", .pre_handler = on_end_of_bond },
	{ .symbol_name = "intel_svm_unbind", .pre_handler = on_end_of_bond },
};

static int torn_down(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	meets(TEAR_DOWN, &overtaken);
	return 0;
}

static int forgets(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	meets(REPORT, &arrived);
	return 0;
}

static int forgotten(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	meets(REPORT, &overtaken);
	return 0;
}

static int releases(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	meets(FLUSH, &arrived);
	return 0;
}

static int released(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	meets(FLUSH, &overtaken);
	return 0;
}

static struct kretprobe tear_down = { .kp.symbol_name = "intel_pasid_tear_down_entry", .handler = torn_down };
static struct kretprobe forget = {
	.kp.symbol_name = "intel_svm_remove_prq_device", .entry_handler = forgets, .handler = forgotten,
};
static struct kretprobe release = {
	.kp.symbol_name = "intel_iommu_release_device", .entry_handler = releases, .handler = released,
};
static struct kretprobe *returns[] = { &tear_down, &forget, &release };
static unsigned int set_probes, set_returns;

static ssize_t race_write(struct file *filp, const char __user *from, size_t size, loff_t *at)
{
	char text[16] = "";
	int which;

	if (size >= sizeof(text) || copy_from_user(text, from, size))
		return -EINVAL;
	which = match_string(names, SCENES, text);
	if (which < 0)
		return which;
	if (atomic_read(&began) && !atomic_read(&over))
		return -EBUSY;
	WRITE_ONCE(scene, NOTHING);
	atomic_set(&over, 0);
	atomic_set(&arrived, 0);
	atomic_set(&overtaken, 0);
	atomic_set(&began, 0);
	smp_store_release(&scene, which);
	return size;
}

static ssize_t race_read(struct file *filp, char __user *to, size_t size, loff_t *at)
{
	char text[64];
	int length = scnprintf(text, sizeof(text), "held %d over %d arrived %d overtaken %d\n", atomic_read(&began),
			       atomic_read(&over), atomic_read(&arrived), atomic_read(&overtaken));

	return simple_read_from_buffer(to, size, at, text, length);
}

static const struct file_operations race_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = race_read,
	.write = race_write,
};

static void race_leave(void)
{
	while (set_returns)
		unregister_kretprobe(returns[--set_returns]);
	while (set_probes)
		unregister_kprobe(&probes[--set_probes]);
}

static int __init race_init(void)
{
	int ret = 0;

	for (; !ret && set_probes < ARRAY_SIZE(probes); set_probes += !ret)
		ret = register_kprobe(&probes[set_probes]);
	for (; !ret && set_returns < ARRAY_SIZE(returns); set_returns += !ret)
		ret = register_kretprobe(returns[set_returns]);
	if (!ret) {
		file = debugfs_create_file_unsafe("sva-race", 0600, NULL, NULL, &race_fops);
		ret = PTR_ERR_OR_ZERO(file);
	}
	if (ret)
		race_leave();
	return ret;
}
module_init(race_init);

static void __exit race_exit(void)
{
	debugfs_remove(file);
	race_leave();
}
module_exit(race_exit);

MODULE_DESCRIPTION("Makes two meet");
MODULE_LICENSE("GPL");
