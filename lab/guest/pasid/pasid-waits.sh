#!/bin/sh
# usage: pasid-waits.sh [device-tlb]
#
# Prints TAP. How often software waits for the IOMMU when what a domain has mapped is unmapped: once for its IOTLB and, with
# device-tlb, once for the TLBs of devices, however many PASIDs there are; and that each of them is flushed, the device TLBs
# behind the IOTLB. Strict and deferred; attaching and detaching; more PASIDs than are submitted together. The test window of
# the emulated VT-d says what came.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh
# shellcheck source=lab/guest/lib/window-lib.sh
. /lab/window-lib.sh

a=0000:00:10.0
b=0000:00:11.0
id_of_a=128 # requester ids
id_of_b=136
tlb=$1
stages=$((1 + ${#tlb} / 10))
# How many descriptors are submitted together at most, with some room
together=8
# PASIDs of $b on the domain of $a, and the one that $a itself has by iommu_dma_pasid_enable()
attached=
enabled=

# attach_until NUMBER
attach_until() {
	while [ "$(echo "$attached" | wc -w)" -lt "$1" ]; do
		tell attach $b $a
		case $answer in
		"ok "*) attached="$attached ${answer#ok }" ;;
		*) result 1 "attach: $answer"; return ;;
		esac
	done
}

# expected_iotlb, expected_tlbs: what window_log has to have of one flush
expected_iotlb() {
	for pasid in 0 $enabled $attached; do
		echo 6 "$pasid" -
	done
}

expected_tlbs() {
	[ "$tlb" ] || return
	echo 3 - $id_of_a
	for pasid in $enabled; do echo 8 "$pasid" $id_of_a; done
	for pasid in $attached; do echo 8 "$pasid" $id_of_b; done
}

# seen FLUSHES PATTERN EXPECTED...: of the lines of the log that are like it, each that is expected is there so many times
seen() {
	grep "$2" /tmp/log | sort >/tmp/seen
	times=$1
	shift 2
	round=0
	while [ $round -lt "$times" ]; do
		"$@"
		round=$((round + 1))
	done | sort >/tmp/expected
	[ -s /tmp/log ] && cmp -s /tmp/seen /tmp/expected && return
	echo "type PASID device: seen"
	uniq -c /tmp/seen
	echo "expected"
	uniq -c /tmp/expected
	return 1
}

# Behind the last flush of an IOTLB that is not waited for there is no flush of a device TLB
in_order() {
	awk '$1 == 6 { open = 1 }
		$1 == 5 { open = 0 }
		$1 == 3 || $1 == 8 { if (open) bad = 1 }
		{ last = $1 }
		END { exit bad || last != 5 }' /tmp/log && return
	cut -d' ' -f1 /tmp/log | tr '\n' ' '
	return 1
}

# waits_are LEAST MOST
waits_are() {
	echo "$waits instead of $1 to $2"
	[ "$waits" -ge "$1" ] && [ "$waits" -le "$2" ]
}

# what_came NAME: into the log and $waits; prints the counts
what_came() {
	waits=$(window_waits)
	iotlb=$(window_count 2 6)
	tlbs=$(window_count 3 8)
	window_log | grep -v '^4' >/tmp/log
	echo "# $1: $waits waits, $iotlb flushes of IOTLBs, $tlbs of device TLBs"
}

# all_flushed NAME FLUSHES MOST: so many flushes of the domain, each of all that it has; the waits are what they should be for
# what one submission holds, and not more than MOST
all_flushed() {
	check "$1: waits for each stage once" waits_are $((stages * $2)) "$3"
	check "$1: each IOTLB entry is flushed" seen "$2" '^6' expected_iotlb
	check "$1: each device TLB is flushed" seen "$2" '^[38]' expected_tlbs
	check "$1: stage behind stage" in_order
}

# most FLUSHES: of waits, for what is submitted together as well as for more than that
most() {
	if [ $((iotlb / $1)) -gt 16 ]; then
		echo $(((iotlb + tlbs) / together + 2))
	else
		echo $((stages * $1))
	fi
}

# unmaps NAME: the two mappings of a buffer, by the DMA API; strict
unmaps() {
	says "ok dma * is translated" map $a buffer 4096
	window_clear
	tell unmap buffer
	what_came "$1"
	all_flushed "$1" 2 "$(most 2)"
	says ok drop buffer
}

# unmaps_range NAME: a range that is not aligned to its size, past the DMA API; strict also in a deferred domain
unmaps_range() {
	says "ok dma * is translated" map $a buffer 16384
	window_clear
	tell tail buffer 1 2
	what_came "$1"
	all_flushed "$1" 1 "$(most 1)"
	says ok drop buffer
}

# came: anything of the domain; what belongs to it follows at once
came() {
	[ "$(window_count 6)" -gt 0 ]
}

# unmaps_later NAME: as unmaps, deferred: the flush queue takes the two together, or not
unmaps_later() {
	says "ok dma * is translated" map $a buffer 4096
	# What was deferred before is done
	sleep 0.5
	window_clear
	tell unmap buffer
	check "$1: flushed in the end" wait_for came
	sleep 0.5
	what_came "$1"
	flushes=$(grep -c '^6 0 ' /tmp/log)
	all_flushed "$1" "$flushes" "$(most "$flushes")"
	says ok drop buffer
}

# detaches NAME PASID: not more waits than there are kinds of things to flush: PASID cache, IOTLB, device TLB, and what the
# page requests of the device wait for, a fence and a drain
detaches() {
	window_clear
	says ok detach $b "$2"
	what_came "$1"
	check "$1: waits" waits_are 1 $((stages == 1 ? 2 : 5))
	check "$1: the PASID cache is flushed" grep "^7 $2 -" /tmp/log
	check "$1: the IOTLB is flushed" grep "^6 $2 -" /tmp/log
	[ ! "$tlb" ] || check "$1: the device TLB is flushed" grep "^8 $2 $id_of_b" /tmp/log
	check "$1: of no other PASID" fails grep -v -e "^[678] $2 " -e "^5" -e "^3 - $id_of_b" /tmp/log
	# The drain is one submission, behind a fence
	sed -i '/^5 [13]/,$d' /tmp/log
	check "$1: stage behind stage" in_order
}

# detach_until NUMBER
detach_until() {
	while [ "$(echo "$attached" | wc -w)" -gt "$1" ]; do
		tell detach $b "${attached##* }"
		attached=${attached% *}
	done
}

# many: nothing of what $a has mapped stays in the caches for queues of $b with the first PASID, and with those around the
# end of what is submitted together
many() {
	says ok start $b
	says "ok dma * is translated" map $a buffer 12000
	for queue in 1 15 16 17 20; do
		says ok queue $b $((queue % 6)) "$(echo "$attached" | awk "{ print \$$queue }")"
		says ok copy $b $((queue % 6)) buffer
	done
	says ok unmap buffer
	for queue in 1 15 16 17 20; do
		says "Bad address" copy $b $((queue % 6)) buffer
	done
	says ok drop buffer
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe idxd_pasid_client
for device in $a $b; do
	check "$device is bound" bind "$device" idxd_pasid_client
	check "translation of $device is first-level" [ "$(translation "$device")" = first-level ]
done
check "the window is there" window_is_there

echo "# strict"
for number in 0 1 2 8; do
	attach_until $number
	unmaps "strict, $number PASIDs"
	unmaps_range "a range, $number PASIDs"
done
says "ok [1-9]*" enable $a iova
enabled=${answer#ok }
unmaps "strict, 8 PASIDs and that of the kernel"
says ok disable $a iova
enabled=

echo "# attach and detach"
window_clear
attach_until 9
what_came "attach"
check "attach: waits" waits_are 0 $stages
detaches "detach beside 8" "${attached##* }"
attached=${attached% *}

echo "# more than are submitted together"
attach_until 20
unmaps_range "a range, 20 PASIDs"
many
detaches "detach beside 19" "${attached##* }"
attached=${attached% *}
detach_until 8

echo "# deferred"
check "$a: DMA-FQ" group_type $a DMA-FQ
unmaps_later "deferred, 8 PASIDs"
detach_until 2
unmaps_later "deferred, 2 PASIDs"
sleep 0.5
unmaps_range "a range of a deferred domain, 2 PASIDs"
detach_until 1
detaches "detach the last" "${attached# }"
attached=
unmaps_later "deferred, no PASID"
check "the test client can be unloaded" rmmod idxd_pasid_client iommu-dma-pasid-client
finish
