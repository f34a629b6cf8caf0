#!/bin/sh
# usage: dsa-hotplug.sh ROUNDS
#
# Prints TAP. Plugs a second DSA into the root port of scenario dsa-hotplug, runs dmatest on it, unplugs it.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/plug-lib.sh
. /lab/plug-lib.sh

# The driver's own: its link to the PCI device is there before it has probed it
devices() {
	set -- /sys/bus/dsa/devices/dsa*
	[ -e "$1" ] && echo $# || echo 0
}

# Has idxd so many? An unplug takes the 5 s of the attention button.
has() {
	[ "$(devices)" -eq "$1" ]
}

plug() {
	monitor "device_add intel-dsa,id=plugged$round,bus=rp0"
	wait_for has 2 || { grep Error /tmp/monitor; return 1; }
}

# The base's idxd can follow a NULL pointer when a device goes that is enabled: disable it first. The series
# mends that, and pasid-hotplug.sh unplugs enabled ones.
unplug() {
	accel disable-device "$device" || return
	monitor "device_del plugged$round"
	wait_for has 1 || { grep Error /tmp/monitor; return 1; }
	# QEMU takes it away once the indicator of the slot is off
	until [ "$(cat /sys/bus/pci/slots/1/adapter)" -eq 0 ]; do
		sleep 0.1
	done
}

newest() {
	set -- /sys/bus/dsa/devices/dsa*
	shift $(($# - 1))
	echo "${1##*/}"
}

use() {
	device=$(newest)
	[ "$device" != dsa0 ] && configure "$device" 2 && enable_queues "$device" 2 && dmatest 50 2
}

check "idxd probes" modprobe idxd
open_monitor
result $? "the monitor is there"
round=0
while [ $round -lt "$1" ]; do
	round=$((round + 1))
	check "round $round: plug" plug
	check "round $round: configure, enable, dmatest" use
	rmmod dmatest
	check "round $round: unplug" unplug
done
check "idxd can be unloaded" rmmod idxd
finish
