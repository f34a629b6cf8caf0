// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID files of the misc controller
 *
 * An IOASID (on PCI: a PASID) tags a DMA request with an address space. There
 * are at most 2^20 of them in a system, often far fewer, and a task that takes
 * them all keeps everybody else from using their devices.
 *
 * The misc controller counts and limits them. The files here have no counters
 * of their own: ioasids.{max,current,events} are the line "ioasids" of
 * misc.{max,current,events}, for people and tools that know those names.
 *
 * A task is refused an id when its cgroup or an ancestor is at its limit.
 * Lowering a limit below what is in use takes no id away. An id stays charged
 * to the cgroup that its task was in when the id was allocated, until the id is
 * released, whatever becomes of the task and the cgroup.
 */
#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/misc_cgroup.h>
#include <linux/seq_file.h>
#include <linux/string.h>

static struct misc_res *ioasids_res(struct cgroup_subsys_state *css)
{
	return &css_misc(css)->res[MISC_CG_RES_IOASIDS];
}

static int ioasids_max_show(struct seq_file *sf, void *v)
{
	unsigned long max = READ_ONCE(ioasids_res(seq_css(sf))->max);

	if (max == ULONG_MAX)
		seq_puts(sf, "max\n");
	else
		seq_printf(sf, "%lu\n", max);
	return 0;
}

/* Takes what misc.max takes after the name, and fails as that does. */
static ssize_t ioasids_max_write(struct kernfs_open_file *of, char *buf,
				 size_t nbytes, loff_t off)
{
	unsigned long max;
	int ret;

	buf = strstrip(buf);
	if (!strcmp(buf, "max")) {
		max = ULONG_MAX;
	} else {
		ret = kstrtoul(buf, 0, &max);
		if (ret)
			return ret;
	}

	if (!misc_cg_res_capacity(MISC_CG_RES_IOASIDS))
		return -EINVAL;
	WRITE_ONCE(ioasids_res(of_css(of))->max, max);
	return nbytes;
}

static u64 ioasids_current_read(struct cgroup_subsys_state *css,
				struct cftype *cft)
{
	return atomic_long_read(&ioasids_res(css)->usage);
}

static int ioasids_events_show(struct seq_file *sf, void *v)
{
	seq_printf(sf, "max %ld\n",
		   atomic_long_read(&ioasids_res(seq_css(sf))->events));
	return 0;
}

/*
 * The files belong to misc and so would be called misc.ioasids.*; NO_PREFIX
 * gives them the names that a controller of that name would have. The root
 * cgroup cannot be limited and has none of them.
 */
static struct cftype ioasids_files[] = {
	{
		.name = "ioasids.max",
		.flags = CFTYPE_NO_PREFIX | CFTYPE_NOT_ON_ROOT,
		.seq_show = ioasids_max_show,
		.write = ioasids_max_write,
	},
	{
		.name = "ioasids.current",
		.flags = CFTYPE_NO_PREFIX | CFTYPE_NOT_ON_ROOT,
		.read_u64 = ioasids_current_read,
	},
	{
		.name = "ioasids.events",
		.flags = CFTYPE_NO_PREFIX | CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct misc_cg, ioasids_events_file),
		.seq_show = ioasids_events_show,
	},
	{ }
};

/* An array is linked into the controller, so each hierarchy needs its own. */
static struct cftype ioasids_legacy_files[ARRAY_SIZE(ioasids_files)];

static int __init ioasids_cgroup_init(void)
{
	memcpy(ioasids_legacy_files, ioasids_files, sizeof(ioasids_files));
	WARN_ON(cgroup_add_dfl_cftypes(&misc_cgrp_subsys, ioasids_files));
	WARN_ON(cgroup_add_legacy_cftypes(&misc_cgrp_subsys,
					  ioasids_legacy_files));
	return 0;
}
subsys_initcall(ioasids_cgroup_init);
