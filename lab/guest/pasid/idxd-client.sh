#!/bin/sh
# usage: idxd-client.sh
#
# Prints TAP. Clients of idxd that terminate, release their channel or are unloaded with descriptors in flight, and queues
# that are unbound under their clients: nothing is copied and no callback runs behind the end, and what is left of the
# queue refuses work.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
debug=/sys/kernel/debug/idxd-client

client() {
	for word in "$@"; do
		echo "$word" >$debug/command || { echo "client: $word" && return 1; }
	done
}

# over: all callbacks have returned, now
over() {
	left=$(cat $debug/left)
	echo "$left callbacks are left"
	[ "$left" -eq 0 ]
}

# untouched: nor is anything written in the next moments
untouched() {
	sleep 0.3
	late=$(cat $debug/late)
	echo "$late bytes were written late"
	[ "$late" -eq 0 ]
}

terminates() {
	client take load sync && over && untouched && client release
}

releases() {
	client take load release && over && untouched
}

without_interrupts() {
	client take quiet sync && untouched && client quiet release && untouched
}

# Its callbacks sleep: what is called later is not there any more
is_unloaded() {
	client take load && rmmod idxd_client_mod && dmesg | grep "idxd-client: " && logged "idxd-client: 0 callbacks" &&
		insmod /lab/idxd-client-mod.ko
}

bring_up() {
	configure dsa0 1 && enable_queues dsa0 1
}

queue_goes() {
	client take prepare load && echo wq0.0 >/sys/bus/dsa/drivers/dmaengine/unbind && over && fails client submit &&
		fails client prepare && fails client load && client sync
}

# With the client of the queue before
comes_back() {
	accel config-wq dsa0/wq0.0 --group-id=0 --mode=dedicated --priority=5 --type=kernel --name=dmaengine0 \
		--max-batch-size=32 --max-transfer-size=2097152 && accel enable-wq dsa0/wq0.0 && dmatest 20 1
	status=$?
	rmmod dmatest
	fails client submit && fails client prepare || return
	client release && return $status
}

again() {
	client take load sync release && over
}

device_goes() {
	client take prepare load && echo dsa0 >/sys/bus/dsa/drivers/idxd/unbind && over && fails client submit &&
		fails client prepare && bring_up && client release
}

# Nothing may be mapped for a device that loses its driver: what is in flight then is for device_goes
driver_goes() {
	client take prepare load sync unmap && echo $a >/sys/bus/pci/drivers/idxd/unbind && fails client submit &&
		fails client prepare && client release && echo $a >/sys/bus/pci/drivers/idxd/bind && bring_up
}

# Not only ends that are chosen well: eight threads submit all the time
dmatest_ends() {
	modprobe dmatest timeout=2000 iterations=0 threads_per_chan=8
	for channel in /sys/class/dma/*; do
		echo "${channel##*/}" >/sys/module/dmatest/parameters/channel || return
	done
	echo 1 >/sys/module/dmatest/parameters/run
	sleep 0.5
	$1
	status=$?
	rmmod dmatest && return $status
}

queue_goes_under_dmatest() {
	echo wq0.0 >/sys/bus/dsa/drivers/dmaengine/unbind
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the client" insmod /lab/idxd-client-mod.ko
check "idxd" modprobe idxd
check "a queue" bring_up
check "a client terminates: callbacks have returned, nothing is copied" terminates
sed -n 's/^/# /p' /tmp/check
check "a client releases its channel: the same" releases
check "a client that asks for no interrupts" without_interrupts
check "a client is unloaded" is_unloaded
check "dmatest ends under load" dmatest_ends true
check "the channel is as before" again
check "a queue goes under its client, which is refused from then on" queue_goes
check "another takes its place, and the client is not its" comes_back
check "the channel is as before" again
check "a queue goes under dmatest" dmatest_ends queue_goes_under_dmatest
check "the device is disabled" accel disable-device dsa0
check "a queue" bring_up
check "the device goes under its client" device_goes
check "the channel is as before" again
check "the driver goes under its client" driver_goes
check "the channel is as before" again
check "both can be unloaded" rmmod idxd_client_mod idxd
finish
