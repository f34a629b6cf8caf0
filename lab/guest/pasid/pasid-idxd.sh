#!/bin/sh
# usage: pasid-idxd.sh TRANSLATION
#
# Prints TAP. idxd with a system PASID in the modes iova and bypass and without one: accel-config names and enables kernel
# queues, dmatest runs on them; across the device's own reset, a function level reset under load, unbind and bind.
# That the queues use the PASID is seen by taking it away.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
queues=4
parameter=/sys/module/idxd/parameters/system_pasid

# mode_is MODE: of the system PASID that the log of this bind shows
mode_is() {
	logged "$a: DMA with PASID [1-9][0-9]* in mode $1"
}

use() {
	configure dsa0 $queues && enable_queues dsa0 $queues && dmatest "$1" $queues
	status=$?
	rmmod dmatest
	return $status
}

disable() {
	accel disable-device dsa0
}

rebind() {
	dmesg -c >/dev/null
	echo "$1" >$parameter && bind $a idxd
}

# Three resets while eight threads of dmatest submit
reset_under_load() {
	# For longer than the resets, which is looked at below; the debug kernel does 38 a second
	iterations=3000
	[ ! -e /sys/kernel/debug/kmemleak ] || iterations=600
	modprobe dmatest timeout=120000 iterations=$iterations threads_per_chan=2
	dmesg -c >/dev/null
	for channel in /sys/class/dma/*; do
		echo "${channel##*/}" >/sys/module/dmatest/parameters/channel || return
	done
	echo 1 >/sys/module/dmatest/parameters/run
	for i in 1 2 3; do
		sleep 0.1
		dmesg | grep -q ': summary ' && echo "over before reset $i" && return 1
		echo 1 >"$pci/$a/reset" || return
	done
	tries=0
	until [ "$(dmesg | grep -c ': summary ')" -ge $((2 * queues)) ]; do
		tries=$((tries + 1))
		[ $tries -lt 6000 ] || break
		sleep 0.1
	done
	dmesg | grep 'summary' | sed 's/.*dmatest: //; s/ [0-9.]* iops.*//'
	[ "$(dmesg | grep -c "summary $iterations tests, 0 failures")" -eq $((2 * queues)) ]
	status=$?
	rmmod dmatest
	return $status
}

# A queue that was disabled has no say in what becomes of the others, nor in whether it is enabled again
reset_beside_disabled() {
	configure dsa0 3 && enable_queues dsa0 3 && accel disable-wq dsa0/wq0.0 && accel disable-wq dsa0/wq0.1 &&
		echo 1 >"$pci/$a/reset" && dmatest 20 1
	status=$?
	rmmod dmatest
	for i in 0 1; do
		accel config-wq dsa0/wq0.$i --group-id=0 --mode=dedicated --priority=5 --type=kernel --name=dmaengine$i \
			--max-batch-size=32 --max-transfer-size=2097152 && accel enable-wq dsa0/wq0.$i || return
	done
	dmatest 20 3 || status=1
	rmmod dmatest
	return $status
}

# sleeps LEVEL STATE: clients keep their queues, those that were not enabled stay so
sleeps() {
	configure dsa0 2 && enable_queues dsa0 2 && go_to_sleep "$1" "$2" || return
	[ "$(cat /sys/bus/dsa/devices/dsa0/state /sys/bus/dsa/devices/wq0.[012]/state | tr '\n' ' ')" = \
		"enabled enabled enabled disabled " ] || return
	dmatest 20 2
	status=$?
	rmmod dmatest
	return $status
}

# The queues carry the PASID: without it nothing comes through, and the IOMMU says which PASID that was
taken_away() {
	echo "disable $a iova" >"$client/command" || return
	dmesg -c >/dev/null
	modprobe dmatest timeout=300 iterations=2 threads_per_chan=1
	set -- /sys/class/dma/*
	echo "${1##*/}" >/sys/module/dmatest/parameters/channel
	echo 1 >/sys/module/dmatest/parameters/run
	tries=0
	until dmesg | grep -q ': summary ' || [ $tries -ge 1200 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	rmmod dmatest
	echo "enable $a iova" >"$client/command" || return
	dmesg | grep -E 'summary|fault addr' | head -n 4
	dmesg | grep -q 'summary 2 tests, 2 failures' && fault_names 1
}

# A queue to which ENQCMDS carries the PASID in each descriptor
shared() {
	accel config-engine dsa0/engine0.0 --group-id=0 &&
		accel config-wq dsa0/wq0.0 --group-id=0 --mode=shared --threshold=12 --wq-size=16 --priority=5 --type=kernel \
			--name=dmaengine0 --max-batch-size=32 --max-transfer-size=2097152 && enable_queues dsa0 1 && dmatest "$1" 1
	status=$?
	rmmod dmatest
	return $status
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe iommu-dma-pasid-client
dmesg -c >/dev/null
check "idxd probes" modprobe idxd
check "with a PASID in mode iova" mode_is iova
check "configure, enable, dmatest on $queues queues" use 50
sed -n 's/^/# /p' /tmp/check
check "the device's own reset" disable
if grep -qw enqcmd /proc/cpuinfo; then
	check "a shared queue" shared 50
	check "the device's own reset" disable
else
	planned=$((planned + 1))
	echo "ok $planned a shared queue # SKIP the CPU has no ENQCMD"
fi
check "configure, enable, dmatest again" use 20
check "function level reset under dmatest" reset_under_load
check "the device's own reset" disable
check "function level reset beside queues that are disabled" reset_beside_disabled
check "the device's own reset" disable
for level in "devices freeze" "none mem"; do
	# shellcheck disable=SC2086 # two words
	check "suspend and resume: $level" sleeps $level
	sed -n 's/^/# /p' /tmp/check
	check "the device's own reset" disable
done
check "configure and enable" use 2
dmesg -c >/dev/null
check "without its PASID nothing is copied, and the fault names it" taken_away
sed -n 's/^/# /p' /tmp/check
dmesg -c >/dev/null
check "unbind" bind $a -
check "leaves nothing enabled" quiet "left enabled"
check "no PASID: bind" rebind off
check "no PASID, no line about one" quiet "DMA with PASID"
check "configure, enable, dmatest" use 20
check "the device's own reset" disable
check "no shared queue without PASID" fails shared 1
check "bypass in a translated domain: bind" rebind bypass
check "is refused, and the log says why" logged "bypass: .*identity"
check "configure, enable, dmatest without PASID" use 20
check "kva: bind" rebind kva
check "is refused" logged "No system PASID, mode kva"
check "unbind" bind $a -
check "identity domain" group_type $a identity
check "bypass: bind" rebind bypass
check "with a PASID in mode bypass" mode_is bypass
check "configure, enable, dmatest" use 50
sed -n 's/^/# /p' /tmp/check
check "iova in an identity domain: bind" rebind iova
check "with a PASID in mode iova" mode_is iova
check "configure, enable, dmatest" use 20
check "idxd can be unloaded" rmmod idxd
finish
