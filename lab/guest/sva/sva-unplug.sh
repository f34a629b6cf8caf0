#!/bin/sh
# usage: sva-unplug.sh ROUNDS
#
# Prints TAP. Plugs a third DSA into the root port of scenario dsa-sva-two and unplugs it while a process has both of its
# queues and copies; the process must learn it, and nothing of it be left.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/plug-lib.sh
. /lab/plug-lib.sh

builtin="0000:00:10.0 0000:00:11.0"
current=/sys/fs/cgroup/sva/ioasids.current

holding() {
	[ "$(cat /tmp/holder)" = holding ]
}

# An idle CPU keeps the mm of the task that it ran last until it runs another
uncharged() {
	taskset 1 true
	taskset 2 true
	[ "$(cat $current)" -eq 0 ]
}

mkdir /sys/fs/cgroup/sva
check "idxd probes" modprobe idxd
open_monitor
result $? "the monitor is there"
round=0
while [ $round -lt "$1" ]; do
	round=$((round + 1))
	check "round $round: plug" plug
	check "its queues are enabled" sh /lab/sva-queues.sh 2
	(echo 0 >/sys/fs/cgroup/sva/cgroup.procs && exec /lab/sva-gone hold 2) >/tmp/holder &
	holder=$!
	check "a process has them" wait_for holding
	sleep 1
	check "unplug under load" unplug
	wait "$holder"
	result $? "the process saw both queues go"
	check "its PASID is given back" wait_for uncharged
done
check "idxd can be unloaded" rmmod idxd
rmdir /sys/fs/cgroup/sva
result $? "the cgroup is empty"
finish
