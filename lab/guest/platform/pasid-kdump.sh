#!/bin/sh
# Prints TAP. A kernel that looks at the crash of another one has no DMA with PASID, and idxd works without.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0

use() {
	configure dsa0 1 && enable_queues dsa0 1 && dmatest 20 1
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe iommu-dma-pasid-client
says "Operation not supported" enable $a iova
check "the log says why" logged "$a: no DMA with PASID in mode iova: .*kdump"
check "idxd probes" modprobe idxd
check "without PASID" logged "No system PASID in mode iova"
check "configure, enable, dmatest" use
finish
