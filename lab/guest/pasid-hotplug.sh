#!/bin/sh
# usage: pasid-hotplug.sh ROUNDS
#
# Prints TAP. Plugs a second DSA into the root port of scenario dsa-hotplug and unplugs it while the test client's threads
# do DMA with a PASID of it, once disabled by nobody; and while idxd has a system PASID with queues enabled.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/pasid-lib.sh
. /lab/pasid-lib.sh
# shellcheck source=lab/guest/plug-lib.sh
. /lab/plug-lib.sh

# Is there a DSA besides the one of the scenario? Its address is in $found.
here() {
	set -- "$pci"/*/vendor
	for file in "$@"; do
		found=${file%/vendor}
		[ "$(cat "$found/device")" = 0x0b25 ] || continue
		found=${found##*/}
		[ "$found" = 0000:00:10.0 ] || return 0
	done
	return 1
}

# wait_for COMMAND...
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return
		sleep 0.1
	done
}

plug() {
	monitor "device_add intel-dsa,id=plugged$round,bus=rp0"
	wait_for here || { grep Error /tmp/monitor; return 1; }
	device=$found
	echo "$device"
}

unplug() {
	monitor "device_del plugged$round"
	wait_for fails here || { grep Error /tmp/monitor; return 1; }
	until [ "$(cat /sys/bus/pci/slots/1/adapter)" -eq 0 ]; do
		sleep 0.1
	done
}

configured() {
	configure dsa"$1" 2 && enable_queues dsa"$1" 2
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe iommu-dma-pasid-test
open_monitor
result $? "the monitor is there"
round=0
while [ $round -lt "$1" ]; do
	round=$((round + 1))
	check "round $round: plug" plug
	check "bind" bind "$device" iommu-dma-pasid-test
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
check "the test client can be unloaded" rmmod iommu-dma-pasid-test
finish
