/*
 * usage: vfio-user GROUP DEVICE pasid | tables | hold
 *
 * What a user of VFIO can do with a device, of which it opens the group, container and configuration space.
 *
 * pasid	Prints TAP: reads and writes the PASID capability, whose place it asks sysfs for.
 * tables	Maps a page in each of many GiB, and prints how many bytes of kernel memory that cost its cgroup.
 * hold		Prints "held", and gives the group back when its standard input ends.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "pci-config.h"
#include "vfio-group.h"

#define TABLES 256

static int device, number, failed;

static void check(int ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	failed |= !ok;
}

static int claim(const char *nr, const char *name)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (claim_group(nr))
		return 1;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (device < 0)
		return refused("VFIO_GROUP_GET_DEVICE_FD");
	if (ioctl(device, VFIO_DEVICE_GET_INFO, &info))
		return refused("VFIO_DEVICE_GET_INFO");
	return 0;
}

/* What the device has there; 0 for an error */
static uint32_t real(int config, unsigned int at)
{
	uint32_t value = 0;

	return pread(config, &value, sizeof(value), at) == sizeof(value) ? value : 0;
}

static int pasid(const char *name)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	unsigned int width, i, changed = 0, seen = 0;
	uint64_t before, after, next;
	uint32_t ats_before;
	char path[80];
	int config, at, ats;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		return refused("VFIO_DEVICE_GET_REGION_INFO");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	config = open(path, O_RDONLY);
	at = pci_ext_capability(config, 0, PCI_EXT_CAP_ID_PASID);
	ats = pci_ext_capability(config, 0, PCI_EXT_CAP_ID_ATS);
	if (at <= 0 || ats <= 0)
		return refused(path);
	check(pread(config, &before, sizeof(before), at) == sizeof(before) &&
	      before >> 48 & PCI_PASID_CTRL_ENABLE, "the kernel has enabled PASIDs");
	check(!pci_ext_capability(device, region.offset, PCI_EXT_CAP_ID_PASID), "the capability is not listed");
	check(pci_ext_capability(device, region.offset, PCI_EXT_CAP_ID_ATS) > 0, "others are");

	/* In each width, at each place, all bits set and none */
	for (width = 1; width <= 4; width *= 2) {
		for (i = 0; i < PCI_EXT_CAP_PASID_SIZEOF; i += width) {
			uint32_t bits[] = { ~0u, 0 }, value = 0, b;

			for (b = 0; b < 2; b++) {
				if (pwrite(device, &bits[b], width, region.offset + at + i) != width)
					return refused("write");
				if (pread(config, &after, sizeof(after), at) != sizeof(after) || after != before) {
					printf("# %u bytes at %u: %016llx becomes %016llx\n", width, i,
					       (unsigned long long)before, (unsigned long long)after);
					changed++;
				}
				if (pread(device, &value, width, region.offset + at + i) != width)
					return refused("read");
				/* The header may anchor the list: the place of the next one */
				if (value && i >= PCI_PASID_CAP) {
					printf("# %u bytes at %u: reads %x\n", width, i, value);
					seen++;
				}
			}
		}
	}
	check(!changed, "no write reaches the device");
	check(!seen, "it reads as 0");

	/* What is behind it is as before */
	ats_before = real(config, ats);
	next = 0;
	check(pread(device, &next, 4, region.offset + ats) == 4 && PCI_EXT_CAP_ID(next) == PCI_EXT_CAP_ID(ats_before),
	      "another capability can be read");
	printf("1..%d\n", number);
	return failed;
}

/* Bytes of kernel memory of the cgroup in which this runs */
static long kernel_memory(const char *cgroup)
{
	char path[128], line[128];
	long bytes = -1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/memory.stat", cgroup);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "kernel %ld", &bytes) == 1)
			break;
	fclose(file);
	return bytes;
}

static int tables(const char *cgroup)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE };
	long before, after;
	int i;

	map.size = sysconf(_SC_PAGESIZE);
	map.vaddr = (uintptr_t)mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	before = kernel_memory(cgroup);
	for (i = 0; i < TABLES; i++) {
		/* Not where the interrupts are */
		map.iova = (i + 4ull) << 30;
		if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
			return refused("VFIO_IOMMU_MAP_DMA");
	}
	after = kernel_memory(cgroup);
	printf("%ld bytes for %d pages in as many GiB\n", after - before, TABLES);
	/* Two tables each. What the cgroup had before may be freed meanwhile, and some is still to be counted on another CPU. */
	return before < 0 || after - before < (TABLES * 2 - TABLES / 4) * (long)map.size;
}

int main(int argc, char **argv)
{
	char byte;
	int ret;

	if (argc < 4) {
		fprintf(stderr, "usage: vfio-user GROUP DEVICE pasid | tables CGROUP | hold\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	ret = claim(argv[1], argv[2]);
	if (ret)
		return ret;
	if (!strcmp(argv[3], "pasid"))
		return pasid(argv[2]);
	if (!strcmp(argv[3], "tables") && argc == 5)
		return tables(argv[4]);
	puts("held");
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
