#!/bin/sh
# The demonstration of `make run`: each step says what is done and what the kernel answered.

step() {
	printf '\n== %s\n' "$*"
}

step "The kernel"
uname -sr

step "The IOMMU: Intel VT-d as QEMU emulates it"
read -r ecap </sys/class/iommu/dmar0/intel-iommu/ecap
echo "extended capabilities 0x$ecap"
# Bit 43 of the extended capability register (VT-d specification 11.4.3): SMTS
if [ $((0x$ecap >> 43 & 1)) -eq 1 ]; then
	echo "scalable mode: yes, PASIDs of $(((0x$ecap >> 35 & 31) + 1)) bits"
else
	echo "scalable mode: no"
	exit 1
fi
