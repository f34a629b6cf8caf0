#!/bin/sh
# usage: bench-pasid.sh
#
# What DMA with PASID costs: the guest instructions of map + submit + unmap of a page, the invalidation descriptors that the
# emulated IOMMU gets for it, and how often software waits for them, without a PASID, with the PASID of the kernel, and with 1,
# 2 and 8 PASIDs of another device on the same domain; strict and deferred. For a machine that counts instructions (-icount):
# its cycles are those.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh
# shellcheck source=lab/guest/lib/window-lib.sh
. /lab/window-lib.sh

a=0000:00:10.0
b=0000:00:11.0
rounds=500

die() {
	echo "** $*"
	exit 1
}

must() {
	tell "$@"
	case $answer in
	ok*) answer=${answer#ok}; answer=${answer# } ;;
	*) die "$*: $answer" ;;
	esac
}

# measure QUEUE: the median of five in $cost; of one run in $flushes what it flushed of IOTLBs, PASID-based ones included, and
# its waits in $waits
measure() {
	for _ in 1 2 3 4 5; do
		window_clear
		must bench $a "$1" $rounds
		echo "$answer"
	done >/tmp/costs
	flushes=$(window_count 2 6)
	waits=$(window_waits)
	cost=$(sort -n /tmp/costs | sed -n 3p)
}

# row NAME QUEUE: measures; the ratio is to the first row of a table
row() {
	measure "$2"
	[ -n "$first" ] || first=$cost
	ratio=$(((cost * 100 + first / 2) / first))
	printf '%-9s %-34s %12d %7d.%02d %10d.%02d %5d.%02d\n' "$mode" "$1" "$cost" $((ratio / 100)) $((ratio % 100)) \
		$((flushes / rounds)) $((flushes * 100 / rounds % 100)) \
		$((waits / rounds)) $((waits * 100 / rounds % 100))
}

table() {
	mode=$1
	first=
	row "requester id" 1
	must enable $a iova
	must queue $a 0 "$answer"
	row "requester id, kernel PASID enabled" 1
	row "kernel PASID" 0
	must disable $a iova
	pasids=
	for number in 1 2 3 4 5 6 7 8; do
		must attach $b $a
		pasids="$pasids $answer"
		case $number in
		1 | 2 | 8) row "requester id, $number other PASIDs" 1 ;;
		esac
	done
	for pasid in $pasids; do
		must detach $b "$pasid"
	done
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe idxd_pasid_client
bind $a idxd_pasid_client || die "bind"
bind $b idxd_pasid_client || die "bind"
must start $a
must queue $a 1 0
window_is_there || die "no test window: x-inv-log=on?"
printf '%-9s %-34s %12s %10s %13s %8s\n' flushing "map + submit + unmap, 2 x 4 KiB" instructions ratio IOTLB-flushes waits
table strict
group_type $a DMA-FQ || die "no deferred flushing"
table deferred
