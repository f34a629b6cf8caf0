#!/bin/sh
# usage: qi-refused.sh
#
# Prints TAP. A descriptor that the IOMMU does not know, in each place of a submission: what is submitted with it and after
# it is done, nobody waits for ever, and the queue does not fill up.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
b=0000:00:11.0
parameters=/sys/module/qi_refused_mod/parameters

mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe idxd_pasid_client
check "the drivers" bind $a idxd_pasid_client
bind $b idxd_pasid_client
says ok start $a
says ok queue $a 1 0
says "ok [1-9]*" attach $b $a
first=${answer#ok }
says "ok [1-9]*" attach $b $a
second=${answer#ok }
check "a module that spoils descriptors" insmod /lab/qi-refused-mod.ko
dmesg -c >/dev/null

# spoil PLACE: of the next two submissions; three flushes of the IOTLB are in each: without PASID, and for both
spoil() {
	echo "$1" >$parameters/at
	echo 2 >$parameters/left
}

refused() {
	check "number $1 was refused" [ "$(cat $parameters/left)" = 0 ]
	check "which the log says" logged "Invalidation Queue Error"
	dmesg -c >/dev/null
}

# What is copied here goes through what was not flushed then: that it ends is all
spoil 0
tell bench $a 1 20
refused 0
for at in 1 2; do
	spoil $at
	says "ok [1-9]*" bench $a 1 20
	refused $at
done
# Longer than the queue
echo 1 >$parameters/at
echo 300 >$parameters/left
says "ok [1-9]*" bench $a 1 200
check "all of many were refused" [ "$(cat $parameters/left)" = 0 ]
says "ok [1-9]*" bench $a 1 20
check "the module goes" rmmod qi_refused_mod
says ok detach $b "$first"
says ok detach $b "$second"
finish
