#!/bin/sh
# usage: pasid-hotplug.sh ROUNDS
#
# Prints TAP. Plugs a second DSA into the root port of scenario dsa-hotplug and unplugs it while the test client's threads
# do DMA with a PASID of it, once disabled by nobody; and while idxd has a system PASID with queues enabled.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh
# shellcheck source=lab/guest/lib/plug-lib.sh
. /lab/plug-lib.sh

configured() {
	configure dsa"$1" 2 && enable_queues dsa"$1" 2
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe idxd_pasid_client
open_monitor
result $? "the monitor is there"
round=0
while [ $round -lt "$1" ]; do
	round=$((round + 1))
	check "round $round: plug" plug
	check "bind" bind "$device" idxd_pasid_client
	says "ok [1-9]*" enable "$device" iova
	pasid=${answer#ok }
	says ok start "$device"
	says ok queue "$device" 0 "$pasid"
	says ok queue "$device" 1 0
	runs=
	for queue in 0 1; do
		echo "run $device $queue 4 1000000" 2>/dev/null >"$client/command" &
		runs="$runs $!"
	done
	sleep 1
	dmesg -c >/dev/null
	check "round $round: unplug under load" unplug
	check "the log says what was left" logged "$device: DMA with PASID .*left enabled"
	check "no copy went wrong" quiet "run: queue"
	# shellcheck disable=SC2086 # pids; there are other jobs
	wait $runs
done
round=$((round + 1))
check "idxd: plug" plug
check "probe" modprobe idxd
check "its queues are enabled" configured 1
dmesg -c >/dev/null
check "idxd: unplug" unplug
check "no PASID was left" quiet "$device: DMA with PASID .*left enabled"
check "idxd can be unloaded" rmmod idxd
check "the test client can be unloaded" rmmod idxd_pasid_client iommu-dma-pasid-client
finish
