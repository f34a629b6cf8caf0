#!/bin/sh
# usage: sva-dpdk.sh
#
# Prints TAP. DPDK's driver of idxd, and DPDK's own test of DMA devices, on a dedicated queue of an emulated DSA in mode sva.
# The driver finds queues whose names begin with dpdk_ in /sys/bus/dsa, and maps their portals.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

DPDK=/lab/dpdk

# dpdk TEST: without huge pages and PCI devices; what it says is in /tmp/dpdk
dpdk() {
	DPDK_TEST=$1 $DPDK/lib/ld-linux-x86-64.so.2 --library-path $DPDK/lib $DPDK/dpdk-test --no-huge -m 128 --no-shconf \
		--no-pci -l 0 -d $DPDK/lib/librte_mempool_ring.so.23 -d $DPDK/lib/librte_dma_idxd.so.23 </dev/null >/tmp/dpdk 2>&1
	status=$?
	# A line of its counters is written over again and again
	sed 's/.*\r//; s/^/# /' /tmp/dpdk
	echo
	return $status
}

# runs WORDS: the test says so, as it passes when there is no device, too
runs() {
	grep -qF "$1" /tmp/dpdk
}

# It loads no driver from where others could put one
chmod 755 / && mkdir -p /var/run
export NAME=dpdk_queue
check "a DSA" sh /lab/ioas-queues.sh load
# One of its tests wants batches of 64
cat /sys/bus/dsa/devices/dsa0/max_batch_size >/sys/bus/dsa/devices/wq0.0/max_batch_size
check "a queue for DPDK" sh /lab/ioas-queues.sh queue 0 sva 0 1
[ "$(cat /sys/bus/dsa/devices/wq0.0/pasid_mode)" = sva ]
result $? "in mode sva"
dpdk dmadev_autotest
result $? "DPDK's test of DMA devices"
check "has driven the queue" runs "Test dmadev instance 0 [wq0.0]"
for test in copy "burst capacity" "error handling" fill; do
	check "$test" runs "DMA Dev 0: Running $test Tests"
done
check "the queue is disabled" sh -c "sh /lab/ioas-queues.sh off 0 && rmmod idxd"
finish
