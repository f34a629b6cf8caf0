#!/bin/sh
# Prints TAP. A kernel as its packages install it: the modules that bring the series in are there and load, /dev/ioasid
# gives ids that a cgroup limits, and queues of idxd tag their DMA with a PASID.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

cgroup=/sys/fs/cgroup/few

ids() {
	echo 2 >$cgroup/ioasids.max &&
		printf 'alloc\nalloc\nalloc\nquit\n' | sh -c "echo 0 >$cgroup/cgroup.procs; exec /lab/ioasidctl shell" >/tmp/ids
	cat /tmp/ids
	[ "$(grep -c '^[0-9][0-9]*$' /tmp/ids)" -eq 2 ] && grep -q '^error' /tmp/ids
}

use() {
	configure dsa0 4 && enable_queues dsa0 4 && dmatest 50 4
	status=$?
	rmmod dmatest
	return $status
}

user_queue() {
	accel disable-device dsa0 && accel config-engine dsa0/engine0.0 --group-id=0 &&
		accel config-wq dsa0/wq0.0 --group-id=0 --mode=dedicated --wq-size=16 --priority=5 --type=user --name=user \
			--driver-name=user --max-batch-size=32 --max-transfer-size=2097152 && enable_queues dsa0 1 && [ -c /dev/dsa/wq0.0 ]
}

uname -a | sed 's/^/# /'
mount -t debugfs none /sys/kernel/debug 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
echo +misc >/sys/fs/cgroup/cgroup.subtree_control
mkdir $cgroup
check "the module ioasid_user loads" modprobe ioasid_user
check "/dev/ioasid is there" test -c /dev/ioasid
check "ids until the limit of a cgroup" ids
check "the module idxd loads" modprobe idxd
check "kernel queues have a PASID" logged "DMA with PASID 1 in mode iova"
check "configure, enable, dmatest" use
check "a queue for user space" user_queue
check "idxd can be unloaded" rmmod idxd
check "ioasid_user can be unloaded" rmmod ioasid_user
finish
