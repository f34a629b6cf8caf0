#!/bin/sh
# usage: ioas-queues.sh                                 all of it: two queues in mode ioasid, which do not use ATS
#        ioas-queues.sh load                            loads idxd and enables the device, but no queue
#        ioas-queues.sh queue N MODE ATS_DISABLE [BOF]  enables queue N with these values of its attributes
#        ioas-queues.sh off N...                        disables queues, under whoever has them open
#
# Queues of a DSA for programs, by way of sysfs alone: of the first one, unless the variable DSA has the number of another.
# /dev/dsa/wq0.0 is dedicated, /dev/dsa/wq0.1 shared. The variable NAME is what a queue is called.

bus=/sys/bus/dsa
dsa=${DSA:-0}
set -e

# What can be changed only while the device is disabled
load() {
	modprobe idxd
	for engine in 0 1; do
		echo 0 >"$bus/devices/engine$dsa.$engine/group_id"
	done
	for number in 0 1; do
		echo 0 >"$bus/devices/wq$dsa.$number/group_id"
		echo 16 >"$bus/devices/wq$dsa.$number/size"
	done
	echo "dsa$dsa" >$bus/drivers/idxd/bind
}

# queue N MODE ATS_DISABLE [BOF]: also what the end of a queue resets
queue() {
	wq=$bus/devices/wq$dsa.$1
	echo user >"$wq/type"
	echo "${NAME:-ioas$1}" >"$wq/name"
	echo 10 >"$wq/priority"
	if [ "$1" = 0 ]; then
		echo dedicated >"$wq/mode"
	else
		echo shared >"$wq/mode"
		echo 8 >"$wq/threshold"
	fi
	# A device that has no ATS refuses to do without
	{ echo "$3" >"$wq/ats_disable"; } 2>/dev/null || :
	[ -z "$4" ] || echo "$4" >"$wq/block_on_fault"
	echo "$2" >"$wq/pasid_mode"
	echo "wq$dsa.$1" >$bus/drivers/user/bind
}

off() {
	for number; do
		echo "wq$dsa.$number" >$bus/drivers/user/unbind
	done
}

case $1 in
'')
	load
	queue 0 ioasid 1
	queue 1 ioasid 1
	;;
load | queue | off) "$@" ;;
*) exit 2 ;;
esac
