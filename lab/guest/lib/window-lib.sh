# Functions for guest scripts that read the test window of the emulated VT-d: x-inv-log=on, and its layout in
# qemu/files/include/hw/i386/intel_iommu_inv_log.h.
# shellcheck shell=sh

window=0xfed91000

# window_word OFFSET
window_word() {
	echo $(($(devmem $((window + $1)) 64)))
}

window_is_there() {
	[ "$(window_word 0)" = $((0x474f4c564e494456)) ]
}

window_clear() {
	devmem $((window + 8)) 64 0
}

# window_count TYPE...: descriptors of these types since it was cleared, of all granularities
window_count() {
	sum=0
	for type in "$@"; do
		for gran in 0 1 2 3; do
			sum=$((sum + $(window_word $((0x200 + 8 * (4 * type + gran))))))
		done
	done
	echo $sum
}

# window_waits: wait descriptors (type 5), without those of interrupt remapping (type 4), of which each has one
window_waits() {
	echo $(($(window_count 5) - $(window_count 4)))
}

# window_log: the descriptors since it was cleared, of which the window has the newest 128, the oldest first: type, PASID,
# requester id, "-" for what a type has not; of waits what kind they are (0 plain, 1 fence, 2 drain, 3 both)
window_log() {
	total=$(window_word 0x10)
	entry=$((total > 128 ? total - 128 : 0))
	while [ $entry -lt "$total" ]; do
		word=$(window_word $((0x800 + 16 * (entry % 128))))
		pasid=$((word >> 32 & 0xfffff))
		case $((word & 15)) in
		3) echo 3 - $((word >> 32 & 0xffff)) ;;
		5) echo 5 $((word >> 6 & 3)) - ;;
		6 | 7) echo $((word & 15)) $pasid - ;;
		8) echo 8 $pasid $((word >> 16 & 0xffff)) ;;
		*) echo $((word & 15)) - - ;;
		esac
		entry=$((entry + 1))
	done
}
