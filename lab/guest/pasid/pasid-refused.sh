#!/bin/sh
# Prints TAP. What iommu_attach_device_pasid() and iommu_dma_pasid_enable() refuse with the help of pasid-group-mod.c:
# domains of another driver of IOMMUs, domains in use that an IOMMU cannot walk as they are, a group without a domain.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
b=0000:00:11.0

# A domain that is in use, here by a, for the PASIDs of b
attached() {
	says "ok [2-9]*" attach $b $a
	says ok detach $b "${answer#ok }"
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe idxd_pasid_client
check "what misuses groups loads" insmod /lab/pasid-group-mod.ko
check "$a is bound" bind $a idxd_pasid_client

echo "# a domain of another driver of IOMMUs"
group_says "Invalid argument" foreign $b

echo "# a domain in use, and an IOMMU that lacks what it was made with"
attached
for what in coherency pages; do
	group_says ok lacks $b $what
	says "Invalid argument" attach $b $a
	group_says ok lacks $b nothing
	attached
done

echo "# what passes through has no tables to be walked"
check "$a: unbind" bind $a -
check "$a: identity" group_type $a identity
check "$a: bind" bind $a idxd_pasid_client
group_says ok lacks $b coherency
attached
group_says ok lacks $b nothing
check "$a: unbind again" bind $a -
check "$a: DMA" group_type $a DMA

echo "# a group without a domain"
group_says ok alone $b
dmesg -c >/dev/null
says "No such device" enable $b iova
check "and the log says why" logged "$b.*no default domain"
says "No such device" enable $b bypass
group_says ok back $b
says "ok [1-9]*" enable $b iova
says ok disable $b iova

echo "# nothing stays"
check "what misuses groups can be unloaded" rmmod pasid-group-mod
check "the test client can be unloaded" rmmod idxd_pasid_client iommu-dma-pasid-client
finish
