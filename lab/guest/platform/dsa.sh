#!/bin/sh
# usage: dsa.sh DEVICES TRANSLATION [ats]
#
# Prints TAP. Unmodified idxd on DEVICES emulated DSAs: accel-config lists, configures, enables, disables, saves and loads
# them, dmatest runs over several queues of each, and the IOMMU translates the way that TRANSLATION says. With ats the kernel
# must have enabled ATS, PASID and page requests.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

devices=$1
mode=$2
ats=${3:-}
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

# The control registers of the PASID, ATS and PRI capabilities, at the places where the model has them
enabled() {
	for device in /sys/bus/pci/drivers/idxd/0*; do
		for register in "262 1 05" "279 1 80" "292 1 01"; do
			# shellcheck disable=SC2086
			set -- $register
			value=$(od -An -tx1 -j "$1" -N "$2" "$device/config" | tr -d ' ')
			echo "${device##*/}: $1 $value"
			[ "$value" = "$3" ] || return 1
		done
	done
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
[ -z "$ats" ] || check "PASID, ATS and page requests are enabled" enabled
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
