/*
 * usage: vfio-claim GROUP [hold]
 *
 * Claims an IOMMU group by way of VFIO, as a virtual machine monitor does, and gives it back; with "hold", when its
 * standard input ends. Prints "claimed", or why not.
 */
#include <unistd.h>

#include "vfio-group.h"

int main(int argc, char **argv)
{
	char byte;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "hold"))) {
		fprintf(stderr, "usage: vfio-claim GROUP [hold]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (claim_group(argv[1]))
		return 1;
	puts("claimed");
	while (argc == 3 && read(0, &byte, 1) > 0)
		;
	return 0;
}
