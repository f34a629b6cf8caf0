#!/bin/sh
# Prints TAP. Bonds of a process, this one, with a device (SVA) are uses of its PASID as domains are: user space cannot
# claim the device, its default domain stays, and what a driver has left behind goes. pasid-group-mod.c makes them.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

b=0000:00:11.0
dead=-1

# bonds DEVICE: the PASID of this process is in $pasid
bonds() {
	group_says "ok [2-9]*" bind "$1"
	pasid=${answer#ok }
}

# Is the PASID of this process in the PASID table of the device?
has_entry() {
	awk -v device="${1#0000:}" -v pasid="$pasid" '$1 == device && $4 == pasid { print; found = 1 } END { exit !found }' \
		/sys/kernel/debug/iommu/intel/dmar_translation_struct
}

claimed_and_released() {
	exec 5>"$client/command"
	check "user space claims $1" sh -c "echo claim $1 >&5"
	exec 5>&-
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe idxd_pasid_client
check "what misuses groups loads" insmod /lab/pasid-group-mod.ko

echo "# a bond is a use of the device"
group_says ok sva $b on
bonds $b
check "the PASID table has $pasid" has_entry $b
dmesg -c >/dev/null
says "Device or resource busy" claim $b
check "and the log says why" logged "PASID"
check "its type cannot be changed" fails group_type $b identity
group_says "Device or resource busy" take $b
check "that changed nothing" has_entry $b
says "ok [1-9]*" enable $b iova
says ok disable $b iova

echo "# bound twice"
group_says "ok $pasid" bind $b
group_says "ok $pasid" unbind $b
check "the PASID table has $pasid" has_entry $b
says "Device or resource busy" claim $b
group_says "ok $pasid" unbind $b
check "the PASID table has nothing any more" fails has_entry $b
claimed_and_released $b

echo "# not for a device that user space owns"
exec 5>"$client/command"
check "user space claims $b" sh -c "echo claim $b >&5"
dmesg -c >/dev/null
group_says "Device or resource busy" bind $b
check "and the log says why" logged "$b: not bound.*user space owns"
exec 5>&-
bonds $b
group_says "ok $pasid" unbind $b

echo "# nor with a PASID that a domain has"
group_says ok take $b
dmesg -c >/dev/null
group_says "Device or resource busy" bind $b
check "and the log says why" logged "$b: not bound.*a domain has the PASID"
group_says ok leave $b
bonds $b
group_says ok leave $b
check "which is no domain to be detached" has_entry $b
group_says "ok $pasid" unbind $b
group_says ok sva $b off

echo "# left by a driver that goes away"
check "$b: bind" bind $b idxd_pasid_client
group_says ok sva $b on
bonds $b
bonds $b
group_says ok sva $b off
dmesg -c >/dev/null
check "$b: unbind" bind $b -
check "the log says so" logged "$b: PASID $pasid was left bound"
check "the PASID table has nothing any more" fails has_entry $b
claimed_and_released $b
check "$b: its type can be changed" group_type $b identity
check "$b: and back" group_type $b DMA
check "$b: bind again" bind $b idxd_pasid_client
group_says ok sva $b on
bonds $b
group_says "ok $dead" unbind $b
group_says "ok $dead" unbind $b
check "the new bond is none of theirs" has_entry $b
group_says "ok $pasid" bind $b
group_says "ok $pasid" unbind $b
group_says "ok $pasid" unbind $b
check "the PASID table has nothing any more" fails has_entry $b

echo "# left by a driver, and the process ends"
sh -c "echo bind $b >/sys/kernel/debug/pasid-group/command"
group_says ok sva $b off
dmesg -c >/dev/null
check "$b: unbind" bind $b -
check "the log says so" logged "$b: PASID .* was left bound"
group_says "ok $dead" unbind $b

echo "# the device goes away"
group_says ok sva $b on
bonds $b
group_says ok sva $b off
dmesg -c >/dev/null
check "$b is removed" remove $b
check "the log says what was left" logged "$b: PASID $pasid was left bound"
check "$b is found again" rescan $b
group_says ok sva $b on
bonds $b
group_says "ok $dead" unbind $b
check "the new bond is none of the old one's" has_entry $b
group_says "ok $pasid" unbind $b
group_says ok sva $b off
claimed_and_released $b

echo "# nothing stays"
check "what misuses groups can be unloaded" rmmod pasid-group-mod
check "the test client can be unloaded" rmmod idxd_pasid_client iommu-dma-pasid-client
finish
