#!/bin/sh
# usage: bench-dma.sh
#
# dma_map_benchmark (kernel/dma/map_benchmark.c) on a DSA's default domain, strict and deferred: for a kernel with the test
# client of DMA with PASID also with 1, 2 and 8 PASIDs of a second device on that domain. For a machine that counts
# instructions (-icount): a nanosecond is one. The times are the benchmark's own, which include reading the clock twice.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

a=0000:00:10.0
b=0000:00:11.0

die() {
	echo "** $*"
	exit 1
}

row() {
	/lab/dma_map_benchmark -t 1 -s 1 >/tmp/bench || die "dma_map_benchmark"
	map=$(sed -n 's/average map latency(us):\([0-9.]*\).*/\1/p' /tmp/bench)
	unmap=$(sed -n 's/average unmap latency(us):\([0-9.]*\).*/\1/p' /tmp/bench)
	[ -n "$unmap" ] || die "$(cat /tmp/bench)"
	printf '%-9s %-28s %7s %7s\n' "$mode" "$1" "$map" "$unmap"
}

table() {
	mode=$1
	row "no PASID"
	[ -d "$client" ] || return 0
	pasids=
	for number in 1 2 3 4 5 6 7 8; do
		tell attach $b $a
		pasids="$pasids ${answer#ok }"
		case $number in
		1 | 2 | 8) row "$number PASIDs" ;;
		esac
	done
	for pasid in $pasids; do
		tell detach $b "$pasid"
	done
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe idxd_pasid_client 2>/dev/null && bind $b idxd_pasid_client
bind $a dma_map_benchmark || die "bind"
printf '%-9s %-28s %7s %7s\n' flushing "dma_map_benchmark, 4 KiB" map/us unmap/us
table strict
group_type $a DMA-FQ || die "no deferred flushing"
table deferred
