#!/bin/sh
# usage: pasid.sh TRANSLATION [device-tlb]
#
# Prints TAP. DMA with PASID of two emulated DSAs that the test client drives: modes and their refusals, DMA after unmap
# and next to a mapped range in strict and deferred mode, two devices on one domain, many threads, function level reset,
# suspend, ownership and VFIO, what a driver leaves behind. TRANSLATION is what the IOMMU does without PASID.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

# A device that asks for translations is told that there is none, which is no fault.
tlb=$2
a=0000:00:10.0
b=0000:00:11.0
# A device, the disk controller, that has neither PASIDs nor a device TLB
plain=0000:00:1f.2
pasids=/sys/kernel/debug/iommu_pasids
threads=4
rounds=25

translated() {
	found=$(translation "$1")
	echo "$found"
	[ "$found" = "$2" ]
}

type_is() {
	found=$(group_type "$1")
	echo "$found"
	[ "$found" = "$2" ]
}

# enables DEVICE MODE: the PASID is in $pasid
enables() {
	says "ok [1-9]*" enable "$1" "$2"
	pasid=${answer#ok }
}

# start DEVICE PASID: queue 0 with it, queue 1 without
start() {
	says ok start "$1"
	says ok queue "$1" 0 "$2"
	says ok queue "$1" 1 0
}

# write_protected DEVICE PASID: its entry admits privileged requests, which keep to read-only pages (bits SRE and WPE)
write_protected() {
	found=$(awk -v device="${1#0000:}" -v pasid="$2" '$1 == device && $4 == pasid { print $5 }' \
		/sys/kernel/debug/iommu/intel/dmar_translation_struct)
	echo "$found"
	[ -n "$found" ] && [ $((${found%%:*} & 0x11)) -eq 17 ]
}

# Buffers that a copy goes over the end of have three pages: the DMA API takes an address range of four for them, so that
# the one behind is never that of another mapping.

# The queues of $a with PASID $pasid and without both lose what is unmapped, after DELAY seconds
unmapped() {
	says "ok dma * is translated" map $a buffer 12000
	says ok copy $a 0 buffer
	says ok copy $a 1 buffer
	says "Bad address" over $a 0 buffer
	says ok copy $a 0 buffer
	says ok unmap buffer
	sleep "$1"
	says "Bad address" copy $a 0 buffer
	says "Bad address" copy $a 1 buffer
	says ok drop buffer
}

# A range that is not aligned to its size takes a larger flush, or its end stays in the caches
unaligned() {
	says "ok dma * is translated" map $a buffer 16384
	says ok copy $a 0 buffer
	says ok copy $a 1 buffer
	says ok tail buffer 1 2
	says "Bad address" copy $a 0 buffer
	says "Bad address" copy $a 1 buffer
	says ok drop buffer
}

# A domain of one device under a PASID of the other: what is unmapped is unmapped for both
two_devices() {
	says "ok [2-9]*" attach $b $a
	shared=${answer#ok }
	says ok queue $b 2 "$shared"
	says "ok dma * is translated" map $a common 12000
	says ok copy $b 2 common
	says ok copy $a 0 common
	says "Bad address" over $b 2 common
	says ok copy $b 2 common
	says ok copy $a 0 common
	says ok unmap common
	sleep "$1"
	says "Bad address" copy $b 2 common
	says "Bad address" copy $a 0 common
	says ok drop common
	watch_queue
	says ok detach $b "$shared"
	[ ! "$tlb" ] || check "its page requests are drained behind its PASID entry" told "pc_inv inv_wait"
	# The queue has the number still, which means nothing any more
	says "ok dma * is translated" map $a gone 4096
	says "No such device or address" copy $b 2 gone
	says ok copy $a 0 gone
	says ok drop gone
}

# The domain of a device without PASIDs under one: what is unmapped must leave the device TLB of the other
plain_domain() {
	says "ok [2-9]*" attach $b $plain
	shared=${answer#ok }
	says ok queue $b 2 "$shared"
	says "ok dma * is translated" map $plain elsewhere 8192
	says ok copy $b 2 elsewhere
	says ok unmap elsewhere
	says "Bad address" copy $b 2 elsewhere
	says ok drop elsewhere
	says ok detach $b "$shared"
}

attached() {
	grep -q "${1#0000:} pasid $2 " $pasids
}

# A number that its owner frees while a domain is attached: detached soon, and only then allocated again
freed() {
	says "ok [2-9]*" attach $b $a
	number=${answer#ok }
	says ok queue $b 2 "$number"
	says "ok dma * is translated" map $a left 4096
	says ok copy $b 2 left
	says ok free $b "$number"
	tries=0
	while attached $b "$number" && [ $tries -lt 1200 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	check "PASID $number, freed, is detached" fails attached $b "$number"
	says "No such device or address" copy $b 2 left
	says ok drop left
	says "ok $number" attach $b $a
	check "allocated again, it is in use" grep "^id $number .*state active" /sys/kernel/debug/ioasid
	says ok detach $b "$number"
}

many_threads() {
	for job in "$a 0" "$a 1" "$b 0"; do
		# shellcheck disable=SC2086 # device and queue
		{ echo run $job $threads $rounds >"$client/command" && echo good >"/tmp/run ${job##* } ${job%% *}"; } &
	done
	wait
	cat /tmp/run*
	[ "$(cat /tmp/run* | grep -c good)" -eq 3 ]
	status=$?
	rm /tmp/run*
	return $status
}

flr() {
	echo 1 >"$pci/$a/reset"
}

same_domain_id() {
	found=$(domain_id "$1")
	echo "$2, now $found"
	[ "$found" = "$2" ]
}

vfio() {
	/lab/vfio-claim "$(group_of $b)" 2>&1
}

vfio_says() {
	found=$(vfio)
	echo "$found"
	[ "$found" = "$1" ]
}

none_left() {
	! grep -q "${1#0000:}" $pasids
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check "the test client loads" modprobe idxd_pasid_client
for device in $a $b; do
	check "$device is bound" bind "$device" idxd_pasid_client
	check "translation of $device is $1" translated "$device" "$1"
	check "its domain is strict" type_is "$device" DMA
done
id_of_a=$(domain_id $a)

echo "# modes, and what is refused"
enables $a iova
says "ok $pasid" enable $a iova
[ "$1" != first-level ] || check "what is privileged is write protected" write_protected $a "$pasid"
says ok disable $a iova
says "Device or resource busy" enable $a bypass
says "Operation not supported" enable $a kva
says "Invalid argument" disable $a bypass
dmesg -c >/dev/null
says "Operation not permitted" enable $b bypass
check "and the log says why" logged "$b.*bypass: .*identity"
says "No such device" enable 0000:00:1f.9 iova
check "its group keeps its type" fails group_type $a identity

echo "# strict"
start $a "$pasid"
first=$pasid
enables $b iova
start $b "$pasid"
pasid=$first
says "ok dma *" map $a first 4096
says ok copy $a 0 first
says ok unmap first
calm_down
says "Bad address" copy $a 0 first
[ "$tlb" ] || check "the fault names PASID $pasid" fault_names "$pasid"
says ok drop first
unmapped 0
unaligned
two_devices 0
plain_domain
freed
check "$threads threads on each of three queues" many_threads

echo "# deferred"
check "$a: DMA-FQ with a PASID enabled" group_type $a DMA-FQ
check "$a: DMA-FQ it is" type_is $a DMA-FQ
check "$b: DMA-FQ with a PASID enabled" group_type $b DMA-FQ
unmapped 0.2
two_devices 0.2
check "$threads threads on each of three queues" many_threads

echo "# reset and suspend"
says "ok dma *" map $a kept 12000
check "function level reset" flr
start $a "$pasid"
says ok copy $a 0 kept
says "ok $pasid" enable $a iova
says ok disable $a iova
for level in "devices freeze" "none mem"; do
	# shellcheck disable=SC2086 # two words
	check "suspend and resume: $level" go_to_sleep $level
	start $a "$pasid"
	says ok copy $a 0 kept
	says ok copy $a 1 kept
done
says "Bad address" over $a 0 kept
says ok drop kept
unmapped 0.2

echo "# disabled"
says "ok dma *" map $a late 4096
says ok copy $a 0 late
says ok disable $a iova
calm_down
says "No such device or address" copy $a 0 late
[ "$tlb" ] || check "the fault names PASID $pasid" fault_names "$pasid"
says ok copy $a 1 late
says ok drop late
says "Invalid argument" disable $a iova

echo "# left enabled by a driver that goes away"
enables $a iova
says ok queue $a 0 "$pasid"
dmesg -c >/dev/null
check "unbind" bind $a -
check "the log says so" logged "$a.*left enabled"
check "nothing of $a is left" none_left $a
check "bind again" bind $a idxd_pasid_client
enables $a iova
start $a "$pasid"
unmapped 0.2
says "ok [2-9]*" attach $a $b
attached=${answer#ok }
says ok disable $a iova
check "unbind with a PASID attached" bind $a -
check "nothing of $a is left" none_left $a
says ok detach $a "$attached"

echo "# ownership"
check "$b: unbind" bind $b -
says "ok [1-9]*" enable $b iova
check "its type cannot be changed" fails group_type $b identity
dmesg -c >/dev/null
says "Device or resource busy" claim $b
check "and the log says why" logged "PASID"
says ok disable $b iova
exec 5>"$client/command"
check "user space claims $b" sh -c "echo claim $b >&5"
check "and claims it again" sh -c "echo claim $b >&5"
says "Device or resource busy" claim $b
says "Device or resource busy" enable $b iova
check "no driver can be bound" fails bind $b idxd_pasid_client
check "released" sh -c "echo release $b >&5"
says "Device or resource busy" enable $b iova
check "and released again" sh -c "echo release $b >&5"
check "which is enough" fails sh -c "echo release $b >&5"
check "claimed once more" sh -c "echo claim $b >&5"
exec 5>&-
enables $b iova
says ok disable $b iova
check "a driver can be bound" bind $b idxd_pasid_client
says "Operation not permitted" claim $b

echo "# VFIO"
check "$b: vfio-pci" bind $b vfio-pci
check "VFIO claims it" vfio_says claimed
enables $b iova
check "not while the kernel has a PASID" vfio_says "VFIO_GROUP_SET_CONTAINER: Device or resource busy"
says ok disable $b iova
check "but then" vfio_says claimed
mkfifo /tmp/hold
/lab/vfio-claim "$(group_of $b)" hold </tmp/hold >/tmp/held &
exec 6>/tmp/hold
until grep -q . /tmp/held; do sleep 0.1; done
check "VFIO holds it" grep claimed /tmp/held
says "Device or resource busy" enable $b iova
exec 6>&-
wait
enables $b iova
says ok disable $b iova
check "$b: back to the test client" bind $b idxd_pasid_client
enables $b iova
check "$b: unbind with it enabled, then vfio-pci" bind $b vfio-pci
check "VFIO claims it" vfio_says claimed

echo "# identity domain"
check "$a: unbind" bind $a -
check "$a: identity" group_type $a identity
check "$a: bind" bind $a idxd_pasid_client
enables $a bypass
start $a "$pasid"
says "ok dma * is physical" map $a phys 12000
says ok copy $a 0 phys
says ok copy $a 1 phys
says ok drop phys
says "Device or resource busy" enable $a iova
says "ok *rounds" run $a 0 $threads $rounds
says ok disable $a bypass
enables $a iova
says ok queue $a 0 "$pasid"
says "ok dma * is physical" map $a phys 12000
says ok copy $a 0 phys
says ok drop phys
says ok disable $a iova

echo "# removed with a PASID"
check "$a: unbind" bind $a -
check "$b: unbind" bind $b -
enables $b iova
dmesg -c >/dev/null
check "$b is removed" remove $b
check "the log says what was left" logged "$b.*left enabled"
check "nothing of $b is left" none_left $b
check "$b is found again" rescan $b
enables $b iova
says ok disable $b iova

echo "# nothing stays"
check "$a: DMA" group_type $a DMA
check "its first domain has given its number back" same_domain_id $a "$id_of_a"
check "the test client can be unloaded" rmmod idxd_pasid_client iommu-dma-pasid-client
finish
