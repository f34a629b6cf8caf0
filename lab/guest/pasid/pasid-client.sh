#!/bin/sh
# usage: pasid-client.sh ROUNDS
#
# Prints TAP. The two halves of the test client of DMA with PASID come and go: commands without a driver of the device, a
# driver that goes, by itself and with its module, while threads copy on two devices, modules that others need.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
b=0000:00:11.0
modules="idxd_pasid_client iommu-dma-pasid-client"

# start DEVICE: two queues without PASID
start() {
	says ok start "$1"
	says ok queue "$1" 0 0
	says ok queue "$1" 1 0
}

# run DEVICE: threads on both of its queues, for longer than anybody waits, and under way when it returns
run() {
	for queue in 0 1; do
		{
			echo "run $1 $queue 4 100000000" 2>"/tmp/error $1 $queue" >"$client/command"
			: >"/tmp/ended $1 $queue"
		} &
	done
	sleep 1
}

both_ended() {
	[ -e "/tmp/ended $1 0" ] && [ -e "/tmp/ended $1 1" ]
}

# ended DEVICE: both runs, without an error but the one of a copy that comes too late
ended() {
	wait_for both_ended "$1" || return
	rm "/tmp/ended $1 0" "/tmp/ended $1 1"
	! cat "/tmp/error $1 0" "/tmp/error $1 1" | grep -v "endpoint shutdown"
}

going_on() {
	[ ! -e "/tmp/ended $1 0" ] && [ ! -e "/tmp/ended $1 1" ]
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
echo "# without a driver"
check "the half that knows no hardware loads" modprobe iommu-dma-pasid-client
says "No such device" start $a
says "No such device" copy $a 0 nothing
says "No such device" nonsense $a
says "No such file or directory" unmap nothing
says "ok [1-9]*" enable $a iova
says ok disable $a iova
says "ok dma *" map $a buffer 4096
says ok drop buffer
exec 5>"$client/command"
check "it stays while its file is open" fails rmmod iommu-dma-pasid-client
exec 5>&-
check "and can be unloaded then" rmmod iommu-dma-pasid-client

echo "# refused"
check "the driver brings it in" modprobe idxd_pasid_client
check "which stays with it" fails rmmod iommu-dma-pasid-client
for device in $a $b; do
	check "$device is bound" bind "$device" idxd_pasid_client
	start "$device"
done
says "Invalid argument" nonsense $a
says "Invalid argument" start $a 1
says "Invalid argument" queue $a 8 0
says "Invalid argument" queue $a x 0
says "No such file or directory" copy $a 8 nothing
says "ok dma *" map $a buffer 4096
says "Invalid argument" copy $a 8 buffer
says "File exists" map $b buffer 4096
says "Numerical result out of range" map $b other 4294967296
says "Invalid argument" run $a 0 17 1
says "Invalid argument" bench $a 0 0
says "ok [0-9]*" bench $a 0 4
says ok drop buffer

echo "# unbound under load"
run $b
round=0
while [ $round -lt "$1" ]; do
	round=$((round + 1))
	says "ok dma *" map $a mine 4096
	says "ok dma *" map $b others 4096
	run $a
	check "round $round: unbind" bind $a -
	check "the threads end" ended $a
	says "No such device" copy $a 0 others
	says "No such file or directory" unmap mine
	says ok copy $b 0 others
	says ok drop others
	check "those of $b go on" going_on $b
	check "bind again" bind $a idxd_pasid_client
	start $a
done

echo "# unloaded under load"
run $a
exec 5>"$client/command"
check "the driver's module, with the file open" rmmod idxd_pasid_client
check "the threads of $a end" ended $a
check "the threads of $b end" ended $b
says "No such device" stop $a
exec 5>&-
check "no copy went wrong" quiet "run: queue"
check "load it again" modprobe idxd_pasid_client
start $a
says "ok *rounds" run $a 0 4 10
# shellcheck disable=SC2086 # two words
check "both can be unloaded" rmmod $modules
finish
