#!/bin/sh
# usage: sva-refused.sh WORDS [none]
#
# Prints TAP. A device that cannot have SVA: the log says WORDS as the reason. With "none" there is no IOMMU that could.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

logged() {
	dmesg | grep -F 'SVA'
	dmesg | grep -qF "$1"
}

once() {
	[ "$(dmesg | grep -c 'no SVA: ')" -eq 1 ]
}

check "idxd probes" modprobe idxd
if [ "${2:-}" = none ]; then
	check "the driver says that there is no IOMMU" logged "Unable to turn on user SVA feature: $1 ("
else
	check "the driver says that the IOMMU refuses" logged 'Unable to turn on user SVA feature: refused by the IOMMU ('
	check "the IOMMU says why" logged "no SVA: $1 ("
	check "it says one thing" once
fi
check "idxd can be unloaded" rmmod idxd
finish
