#!/bin/sh
# Prints TAP. A range whose number of pages needs more than 32 bits, mapped and unmapped with the help of
# pasid-group-mod.c.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "what misuses groups loads" insmod /lab/pasid-group-mod.ko
group_says ok wide $a
group_says ok wide $a
check "and can be unloaded" rmmod pasid-group-mod
finish
