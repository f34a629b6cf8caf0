#!/bin/sh
# Prints TAP. What a user of VFIO can do to PASIDs and to the kernel's memory: the PASID capability, page tables, and
# PASIDs that are left attached when a group is given back.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

b=0000:00:11.0
cgroup=/sys/fs/cgroup/vfio

# user ACTION...
user() {
	/lab/vfio-user "$(group_of $b)" $b "$@"
}

# in_cgroup COMMAND...: the memory that it causes is charged there
in_cgroup() {
	(echo 0 >$cgroup/cgroup.procs && "$@")
}

# attachments: how many PASIDs of b the core has
attachments() {
	grep -c "$b" /sys/kernel/debug/iommu_pasids
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the module loads" insmod /lab/map-faults-mod.ko
client=/sys/kernel/debug/map-faults
check "$b: vfio-pci" bind $b vfio-pci

echo "# the PASID capability"
check "a user cannot write it" user pasid

echo "# page tables"
check "a cgroup" mkdir $cgroup
check "tables are charged to who maps" in_cgroup user tables $cgroup

echo "# leftovers"
mkfifo /tmp/hold
user hold </tmp/hold >/tmp/held 2>&1 &
exec 6>/tmp/hold
wait_for grep -q . /tmp/held
check "VFIO holds it" grep held /tmp/held
dmesg -c >/dev/null
says "ok [1-9]*" leave $b
check "a PASID is attached" [ "$(attachments)" = 1 ]
exec 6>&-
wait
check "it is gone with the group" [ "$(attachments)" = 0 ]
check "which the log says" logged "$b: PASID [0-9]* (attached) was left attached: detached"
says ok clear $b
check "VFIO claims it again" user pasid
check "the module can be unloaded" rmmod map-faults-mod
finish
