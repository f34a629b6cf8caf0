/*
 * usage: ioas-reset ADDRESS, that of a DSA which is bound to vfio-pci
 *
 * Resets the device, with an IOASID attached, as its user may at any time (VFIO_DEVICE_RESET, a function level reset): it
 * can be driven again and reaches the same memory, and nothing else. The driver is that of the documentation.
 */
#define main dsa_copy_main
#include "../../../tools/iommu/ioasid/dsa-copy.c"
#undef main

#define RESETS 3

int main(int argc, char **argv)
{
	struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = IOASID_TYPE_IOVA, .max = ~0u };
	struct ioasid_map map = { .size = sizeof(map), .flags = IOASID_MAP_READ | IOASID_MAP_WRITE };
	struct ioasid_device_attach attach = { .size = sizeof(attach), .cookie = COOKIE };
	struct ioasid_unmap unmap = { .size = sizeof(unmap) };
	struct ioasid_device_detach detach = { .size = sizeof(detach) };
	int device, i;

	if (argc != 2)
		return 2;
	device = open_device(argv[1]);
	detach.ioasid_fd = attach.ioasid_fd = open("/dev/ioasid", O_RDWR);
	DO(attach.ioasid_fd, IOASID_ALLOC, &alloc);
	detach.ioasid = unmap.ioasid = map.ioasid = attach.ioasid = alloc.out_ioasid;
	map.user_va = (uintptr_t)&memory;
	map.length = sizeof(memory);
	DO(attach.ioasid_fd, IOASID_MAP, &map);
	DO(device, IOASID_DEVICE_ATTACH, &attach);

	for (i = 0; i <= RESETS; i++) {
		probe(device, argv[1]);
		start(attach.out_pasid);
		memset(memory.to, 0, PAGE);
		copy_twice(attach.ioasid_fd, alloc.out_ioasid, map.out_iova);
		/* With the work queue as it is */
		DO(device, VFIO_DEVICE_RESET, NULL);
	}
	unmap.iova = map.out_iova;
	unmap.length = map.length;
	DO(attach.ioasid_fd, IOASID_UNMAP, &unmap);
	probe(device, argv[1]);
	start(attach.out_pasid);
	memory.record.status = DSA_COMP_NONE;
	submit(&(struct dsa_hw_desc){ .opcode = DSA_OPCODE_NOOP, .flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR,
				      .completion_addr = map.out_iova + offsetof(typeof(memory), record) });
	if (read_fault(attach.ioasid_fd).ioasid != alloc.out_ioasid || memory.record.status != DSA_COMP_NONE)
		errx(1, "it reaches what is unmapped");
	DO(device, VFIO_DEVICE_RESET, NULL);
	DO(device, IOASID_DEVICE_DETACH, &detach);
	return 0;
}
