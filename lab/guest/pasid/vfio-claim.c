/*
 * usage: vfio-claim GROUP [hold]
 *
 * Claims an IOMMU group by way of VFIO, as a virtual machine monitor does, and gives it back; with "hold", when its
 * standard input ends. Prints "claimed", or why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int refused(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	char path[64], byte;
	int container, group;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "hold"))) {
		fprintf(stderr, "usage: vfio-claim GROUP [hold]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		return refused("/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	if (group < 0)
		return refused(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return refused("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return refused("VFIO_SET_IOMMU");
	puts("claimed");
	while (argc == 3 && read(0, &byte, 1) > 0)
		;
	return 0;
}
