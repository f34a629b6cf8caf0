// SPDX-License-Identifier: GPL-2.0
/*
 * Does to PCI devices what no driver should: for tests of what the IOMMU core and VT-d refuse, and of what they clean up.
 *
 * In /sys/kernel/debug/pasid-group, as the test client of DMA with PASID (drivers/iommu/iommu-dma-pasid-client.c) has it:
 *
 * command	One command a write(). The errno is that of the function called.
 *
 *	alone DEV	a new group for it, which has no domain
 *	back DEV	into the group where it was
 *	foreign DEV	attach a domain of another driver of IOMMUs to a new PASID
 *	wide DEV	map 16 TiB for a new PASID of it, and unmap them at once
 *	lacks DEV WHAT	its IOMMU says that it lacks: coherency; pages (large ones); nothing (the truth again)
 *	sva DEV on, sva DEV off
 *	bind DEV	SVA for the process that writes; its PASID is in result
 *	unbind DEV	the oldest bond of it; its PASID by then is in result
 *	take DEV	attach DEV's default domain to the PASID of the process
 *	leave DEV	and detach it
 *
 * result	what the last command has to say, in words
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <../drivers/iommu/intel/iommu.h>

#define PGM_WORD 32
#define SZ_1T (1ul << 40)
/* VT-d 4.0, 11.4.2 (FS1GP, SSLPS) and 11.4.3 (SMPWCS, C) */
#define PGM_CAP_PAGES	(BIT_ULL(56) | GENMASK_ULL(37, 34))
#define PGM_ECAP_COHERENT	(BIT_ULL(48) | BIT_ULL(0))

struct pgm_bond {
	struct list_head list;
	struct device *dev;
	struct iommu_sva *sva;
};

/* Protects all of them; commands come one after the other */
static DEFINE_MUTEX(pgm_lock);
static LIST_HEAD(pgm_bonds);
static char pgm_result[32];
static struct dentry *pgm_dir;
static struct iommu_group *pgm_home;	/* of pgm_moved, with a reference */
static struct device *pgm_moved;
static struct intel_iommu *pgm_iommu;	/* which lacks something */
static u64 pgm_cap, pgm_ecap;

static int pgm_alone(struct device *dev)
{
	struct iommu_group *group;
	int ret;

	if (pgm_moved)
		return -EBUSY;
	group = iommu_group_alloc();
	if (IS_ERR(group))
		return PTR_ERR(group);
	pgm_home = iommu_group_get(dev);
	pgm_moved = get_device(dev);
	iommu_group_remove_device(dev);
	ret = iommu_group_add_device(group, dev);
	iommu_group_put(group);
	return ret;
}

static int pgm_back(struct device *dev)
{
	int ret;

	if (dev != pgm_moved)
		return -EINVAL;
	iommu_group_remove_device(dev);
	ret = iommu_group_add_device(pgm_home, dev);
	iommu_group_put(pgm_home);
	put_device(dev);
	pgm_moved = NULL;
	return ret;
}

static int pgm_foreign_set(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	return 0;
}

static void pgm_foreign_remove(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
}

static const struct iommu_domain_ops pgm_foreign_ops = {
	.set_dev_pasid = pgm_foreign_set,
	.remove_dev_pasid = pgm_foreign_remove,
};

/* Attach a domain to a new PASID of a device, and detach it when USE is done with it */
static int pgm_with_pasid(struct iommu_domain *domain, struct device *dev, int (*use)(struct iommu_domain *domain))
{
	struct ioasid_set *set = ioasid_set_alloc(NULL, 0, IOASID_SET_TYPE_NULL);
	ioasid_t pasid;
	int ret;

	if (IS_ERR(set))
		return PTR_ERR(set);
	ret = ioasid_alloc(set, IOASID_ALLOC_BASE, IOASID_MAX, NULL, &pasid);
	if (!ret) {
		ret = iommu_attach_device_pasid(domain, dev, pasid);
		if (!ret) {
			ret = use ? use(domain) : 0;
			iommu_detach_device_pasid(domain, dev, pasid);
		}
		ioasid_free(set, pasid);
	}
	ioasid_set_free(set);
	return ret;
}

static int pgm_foreign(struct device *dev)
{
	struct iommu_domain domain = { .type = IOMMU_DOMAIN_UNMANAGED, .ops = &pgm_foreign_ops };

	return pgm_with_pasid(&domain, dev, NULL);
}

static int pgm_map_wide(struct iommu_domain *domain)
{
	int ret = iommu_map(domain, 0, 0, 16 * SZ_1T, IOMMU_READ);

	if (!ret && iommu_unmap(domain, 0, 16 * SZ_1T) != 16 * SZ_1T)
		ret = -EIO;
	return ret;
}

static int pgm_wide(struct device *dev)
{
	struct iommu_domain *domain = iommu_domain_alloc(dev->bus);
	int ret;

	if (!domain)
		return -ENOMEM;
	ret = pgm_with_pasid(domain, dev, pgm_map_wide);
	iommu_domain_free(domain);
	return ret;
}

static int pgm_lacks(struct device *dev, const char *what)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!strcmp(what, "nothing")) {
		if (!pgm_iommu)
			return -EINVAL;
		pgm_iommu->cap = pgm_cap;
		pgm_iommu->ecap = pgm_ecap;
		pgm_iommu = NULL;
		return 0;
	}
	if (pgm_iommu)
		return -EBUSY;
	pgm_iommu = info->iommu;
	pgm_cap = pgm_iommu->cap;
	pgm_ecap = pgm_iommu->ecap;
	if (!strcmp(what, "coherency"))
		pgm_iommu->ecap &= ~PGM_ECAP_COHERENT;
	else if (!strcmp(what, "pages"))
		pgm_iommu->cap &= ~PGM_CAP_PAGES;
	return 0;
}

static void pgm_say_pasid(struct iommu_sva *sva)
{
	snprintf(pgm_result, sizeof(pgm_result), "%d", (int)iommu_sva_get_pasid(sva));
}

static int pgm_bind(struct device *dev)
{
	struct pgm_bond *bond = kzalloc(sizeof(*bond), GFP_KERNEL);

	if (!bond)
		return -ENOMEM;
	bond->sva = iommu_sva_bind_device(dev, 0);
	if (IS_ERR(bond->sva)) {
		int ret = PTR_ERR(bond->sva);

		kfree(bond);
		return ret;
	}
	bond->dev = get_device(dev);
	list_add_tail(&bond->list, &pgm_bonds);
	pgm_say_pasid(bond->sva);
	return 0;
}

static int pgm_unbind(const char *name)
{
	struct pgm_bond *bond;

	list_for_each_entry(bond, &pgm_bonds, list) {
		if (strcmp(dev_name(bond->dev), name))
			continue;
		pgm_say_pasid(bond->sva);
		iommu_sva_unbind_device(bond->sva);
		list_del(&bond->list);
		put_device(bond->dev);
		kfree(bond);
		return 0;
	}
	return -ENOENT;
}

static int pgm_command(char *line)
{
	char word[3][PGM_WORD];
	struct device *dev;
	int nr, ret = -EINVAL;

	nr = sscanf(line, "%31s %31s %31s", word[0], word[1], word[2]);
	if (nr < 2)
		return -EINVAL;
	/* The device may be gone */
	if (!strcmp(word[0], "unbind"))
		return pgm_unbind(word[1]);
	dev = bus_find_device_by_name(&pci_bus_type, NULL, word[1]);
	if (!dev)
		return -ENODEV;
	if (!strcmp(word[0], "alone"))
		ret = pgm_alone(dev);
	else if (!strcmp(word[0], "back"))
		ret = pgm_back(dev);
	else if (!strcmp(word[0], "foreign"))
		ret = pgm_foreign(dev);
	else if (!strcmp(word[0], "wide"))
		ret = pgm_wide(dev);
	else if (!strcmp(word[0], "bind"))
		ret = pgm_bind(dev);
	else if (!strcmp(word[0], "take"))
		ret = iommu_attach_device_pasid(iommu_get_domain_for_dev(dev), dev, current->mm->pasid);
	else if (!strcmp(word[0], "leave"))
		iommu_detach_device_pasid(iommu_get_domain_for_dev(dev), dev, current->mm->pasid), ret = 0;
	else if (nr == 3 && !strcmp(word[0], "lacks"))
		ret = pgm_lacks(dev, word[2]);
	else if (nr == 3 && !strcmp(word[0], "sva"))
		ret = strcmp(word[2], "on") ? iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA) :
		      iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	put_device(dev);
	return ret;
}

static ssize_t pgm_command_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	char *line;
	int ret;

	if (count > 3 * PGM_WORD)
		return -EINVAL;
	line = memdup_user_nul(buf, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&pgm_lock);
	pgm_result[0] = '\0';
	ret = pgm_command(line);
	mutex_unlock(&pgm_lock);
	kfree(line);
	return ret ?: count;
}

static const struct file_operations pgm_command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = pgm_command_write,
	.llseek = no_llseek,
};

static ssize_t pgm_result_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	char line[sizeof(pgm_result) + 1];
	int len;

	mutex_lock(&pgm_lock);
	len = scnprintf(line, sizeof(line), "%s\n", pgm_result);
	mutex_unlock(&pgm_lock);
	return simple_read_from_buffer(buf, count, pos, line, len);
}

static const struct file_operations pgm_result_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = pgm_result_read,
	.llseek = no_llseek,
};

static int __init pgm_init(void)
{
	pgm_dir = debugfs_create_dir("pasid-group", NULL);
	debugfs_create_file("command", 0200, pgm_dir, NULL, &pgm_command_fops);
	debugfs_create_file("result", 0400, pgm_dir, NULL, &pgm_result_fops);
	return 0;
}
module_init(pgm_init);

static void __exit pgm_exit(void)
{
	debugfs_remove(pgm_dir);
}
module_exit(pgm_exit);

MODULE_DESCRIPTION("Misuses groups and PASIDs for tests");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
