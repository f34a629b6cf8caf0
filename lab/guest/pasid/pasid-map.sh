#!/bin/sh
# usage: pasid-map.sh first-level|second-level
#
# Prints TAP. Mappings of a domain that is attached to a PASID, with the help of map-faults-mod.c: memory runs out in
# the middle, what is not mapped is unmapped, a large page takes the place of a table.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

# One that says what it can reach
a=0000:00:12.0

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
# The emulated IOMMU keeps where tables are for the first level
if [ "$1" = first-level ]; then
	says "ok walked until then" replace $a
else
	says ok replace $a
fi
says ok gather $a
says ok order $a

echo "# what is said of a fault"
says ok dump $a

echo "# what is not mapped"
for what in hole hole-large before inside beyond; do
	says ok $what $a
done

check "the module can be unloaded" rmmod map-faults-mod
finish
