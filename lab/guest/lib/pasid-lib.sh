# Functions for guest scripts that drive the test client of DMA with PASID.
# shellcheck shell=sh

client=/sys/kernel/debug/iommu-dma-pasid-test
pci=/sys/bus/pci/devices
tracing=/sys/kernel/debug/tracing

# tell COMMAND...: what the client says is in $answer: "ok" and its result, or the errno in words
tell() {
	# shellcheck disable=SC2320 # the status of echo is that of the kernel's answer
	if echo "$*" 2>/tmp/error >$client/command; then
		answer="ok $(cat $client/result)"
		answer=${answer% }
	else
		read -r answer </tmp/error
		answer=${answer##*: }
	fi
}

# says PATTERN COMMAND...: one test: the client's answer is like PATTERN
says() {
	pattern=$1
	shift
	tell "$@"
	# shellcheck disable=SC2254 # a pattern
	case $answer in
	$pattern) result 0 "$*: $answer" ;;
	*)
		echo "# want $pattern"
		[ "$answer" = ok ] || echo "# result: $(cat $client/result)"
		dmesg | tail -n 12 | sed 's/^/# /'
		result 1 "$*: $answer"
		;;
	esac
}

# group_says PATTERN COMMAND...: the same of what pasid-group-mod.c answers
group_says() {
	client=/sys/kernel/debug/pasid-group
	says "$@"
	client=/sys/kernel/debug/iommu-dma-pasid-test
}

# bind DEVICE DRIVER: whatever it is bound to now; DRIVER - leaves it without
bind() {
	[ ! -e "$pci/$1/driver" ] || echo "$1" >"$pci/$1/driver/unbind"
	echo "${2#-}" >"$pci/$1/driver_override"
	[ "$2" = - ] || echo "$1" >"/sys/bus/pci/drivers/$2/bind"
}

group_of() {
	basename "$(readlink "$pci/$1/iommu_group")"
}

# group_type DEVICE [TYPE]: what it is, or make it that
group_type() {
	if [ $# -eq 1 ]; then
		cat "$pci/$1/iommu_group/type"
	else
		echo "$2" >"$pci/$1/iommu_group/type"
	fi
}

# fails COMMAND...: the opposite of its status
fails() {
	! "$@"
}

# logged PATTERN: the kernel said so since the last dmesg -c
logged() {
	dmesg | grep "$1" | head -n 3
	dmesg | grep -q "$1"
}

# The kernel limits the rate of its lines about faults (dmar_fault(), 10 in 5 s, of which each takes several)
calm_down() {
	sleep 5
	dmesg -c >/dev/null
}

# fault_names PASID: in a line about a fault since calm_down
fault_names() {
	tries=0
	until dmesg | grep -q "DMA .* PASID 0x$(printf %x "$1")] Request device"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return
		sleep 0.1
	done
	dmesg | grep "PASID 0x$(printf %x "$1")]" | head -n 1
}

# quiet PATTERN: it did not
quiet() {
	! logged "$1"
}

# domain_id DEVICE: of its requests without PASID (VT-d specification 9.6, DID)
domain_id() {
	entry=$(grep "${1#0000:}" /sys/kernel/debug/iommu/intel/dmar_translation_struct | head -n 1)
	entry=${entry%:*}
	echo $((${entry##*:} & 0xffff))
}

# From now on, what is put in the invalidation queue is in the trace
watch_queue() {
	echo 1 >$tracing/events/intel_iommu/qi_submit/enable
	: >$tracing/trace
}

# told WORDS: the queue was told so since watch_queue, of what comes but once for a PASID, in this order
told() {
	found=$(sed -n 's/.*qi_submit: \(pc_inv\|inv_wait\) .*/\1/p' $tracing/trace | tr '\n' ' ')
	echo 0 >$tracing/events/intel_iommu/qi_submit/enable
	echo "$found"
	[ "$found" = "$1 " ]
}

# remove DEVICE, rescan DEVICE: by way of sysfs
remove() {
	echo 1 >"$pci/$1/remove"
	[ ! -e "$pci/$1" ]
}

rescan() {
	echo 1 >/sys/bus/pci/rescan
	[ -e "$pci/$1" ]
}
