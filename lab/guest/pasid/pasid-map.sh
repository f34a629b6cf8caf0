#!/bin/sh
# Prints TAP. Mappings of a domain that is attached to a PASID, with the help of map-faults-mod.c: memory runs out in
# the middle, what is not mapped is unmapped, a large page takes the place of a table.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the module loads" insmod /lab/map-faults-mod.ko
client=/sys/kernel/debug/map-faults
dmesg -c >/dev/null

echo "# memory runs out"
says "ok [2-9]* places" nomem $a small
says "ok [1-9]* places" nomem $a large
check "nothing was mapped twice" quiet "already set"

echo "# tables"
says ok gfp $a
says ok replace $a

echo "# what is not mapped"
for what in hole hole-large before inside beyond; do
	says ok $what $a
done

check "the module can be unloaded" rmmod map-faults-mod
finish
