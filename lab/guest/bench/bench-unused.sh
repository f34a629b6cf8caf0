#!/bin/sh
# usage: bench-unused.sh
#
# What a kernel costs that enables no PASID, for a comparison with one that has no series: the time until this runs, and
# dmatest over two queues of a DSA. For a machine that counts instructions (-icount): a nanosecond is one.
# Prints "NAME: VALUE" lines.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

echo "boot, seconds: $(cut -d ' ' -f 1 /proc/uptime)"
# The stock driver does not know the parameter, and says no more than that
{ modprobe idxd system_pasid=off && configure dsa0 2 && enable_queues dsa0 2; } >/tmp/configure 2>&1 || {
	cat /tmp/configure
	exit 1
}
for _ in 1 2 3 4 5; do
	# Always the same size, or the random numbers decide
	modprobe dmatest norandom=1
	dmatest 200 2 >/tmp/dmatest || {
		cat /tmp/dmatest
		exit 1
	}
	dmesg | sed -n 's/.* 0 failures \([0-9.]*\) iops.*/\1/p' | awk '{ sum += $1 } END { print sum }'
	rmmod dmatest
done | sort -n | sed -n '3s/^/dmatest, copies in a second: /p'
[ ! -e /sys/kernel/debug/iommu_pasids ] || [ ! -s /sys/kernel/debug/iommu_pasids ] || {
	echo "a PASID is enabled:"
	cat /sys/kernel/debug/iommu_pasids
	exit 1
}
