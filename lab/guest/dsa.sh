#!/bin/sh
# usage: dsa.sh DEVICES TRANSLATION
#
# Prints TAP. Unmodified idxd on DEVICES emulated DSAs: accel-config lists, configures, enables, disables, saves and loads
# them, dmatest runs over several queues of each, and the IOMMU translates the way that TRANSLATION says.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

devices=$1
mode=$2
queues=4

in_use() {
	for device in /sys/bus/pci/drivers/idxd/0*; do
		found=$(translation "${device##*/}")
		echo "${device##*/}: $found"
		[ "$found" = "$mode" ] || return 1
	done
}

listed() {
	accel list -i >/tmp/list && [ "$(grep -c '"dev":"dsa' /tmp/list)" -eq "$devices" ] && grep -q '"max_work_queues":8' /tmp/list
}

on_each() {
	d=0
	while [ $d -lt "$devices" ]; do
		"$1" dsa$d $queues || return
		d=$((d + 1))
	done
}

disable() {
	accel disable-device "$1"
}

saved() {
	accel save-config -s /tmp/saved && grep -q '"name":"dmaengine3"' /tmp/saved
}

loaded() {
	accel load-config -c /tmp/saved -e && [ "$(cat /sys/bus/dsa/devices/wq0.3/state)" = enabled ]
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "idxd probes" modprobe idxd
check "accel-config lists $devices device(s)" listed
check "translation is $mode" in_use
check "configure" on_each configure
check "enable" on_each enable_queues
check "dmatest, $((queues * devices)) queues" dmatest 100 $((queues * devices))
sed -n 's/^/# /p' /tmp/check
rmmod dmatest
check "save the configuration" saved
check "disable" on_each disable
check "load the configuration and enable" loaded
check "dmatest again" dmatest 20 $((queues * devices))
rmmod dmatest
check "idxd can be unloaded" rmmod idxd
finish
