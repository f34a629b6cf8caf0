# The steps of the demonstration about DMA with PASID; demo.sh brings step, die and the functions of dsa-lib.sh.
# shellcheck shell=sh

# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

device=0000:00:10.0

# reply WANT COMMAND...: give the test client a command, show its answer, and insist on it
reply() {
	want=$1
	shift
	printf '   %-40s-> ' "$*"
	tell "$@"
	echo "$answer"
	# shellcheck disable=SC2254 # a pattern
	case $answer in $want) ;; *) die "want \"$want\"" ;; esac
}

# Two queues of the device, and dmatest on them
copy_through_queues() {
	dmesg | grep "DMA with PASID" | tail -n 1 | sed 's/^[^]]*] /   log: /'
	{ configure dsa0 2 && enable_queues dsa0 2; } 2>&1 | sed 's/^/   /'
	dmatest 100 2 >/tmp/dmatest || die "dmatest: $(cat /tmp/dmatest)"
	sed 's/^/   /' /tmp/dmatest
	rmmod dmatest
}

step "Kernel queues of the DSA tag their DMA with a PASID (mode iova: addresses of the DMA API)"
dmesg | grep -q "$device: DMA with PASID [0-9]* in mode iova" || die "no PASID"
copy_through_queues

step "The administrator makes its default domain identity: mode bypass, physical addresses"
dmesg -c >/dev/null
echo bypass >/sys/module/idxd/parameters/system_pasid
{ bind $device idxd && dmesg -c; } | grep -q "no DMA with PASID in mode bypass" || die "bypass in a translated domain"
echo "   before that, bypass is refused: not more than the device has without PASID"
{ bind $device - && group_type $device identity && bind $device idxd; } || die "identity"
dmesg | grep -q "$device: DMA with PASID [0-9]* in mode bypass" || die "no PASID"
copy_through_queues

step "A driver that does what idxd would not: DMA after unmap, and next to what is mapped"
modprobe idxd_pasid_client || die "the test client does not load"
{ bind $device - && group_type $device DMA && bind $device idxd_pasid_client; } || die "bind"
reply "ok [1-9]*" enable $device iova
pasid=${answer#ok }
reply ok start $device
reply ok queue $device 0 "$pasid"
reply "ok dma*translated" map $device buffer 12000
reply ok copy $device 0 buffer
reply "Bad address" over $device 0 buffer
reply ok unmap buffer
calm_down
reply "Bad address" copy $device 0 buffer
fault_names "$pasid" >/tmp/fault || die "no line about the fault names the PASID"
sed 's/^[^]]*] /   log: /' /tmp/fault
reply ok drop buffer
reply ok disable $device iova

step "User space (VFIO) and PASIDs of the kernel exclude each other"
bind $device vfio-pci || die "vfio-pci"
group=$(group_of $device)
reply "ok [1-9]*" enable $device iova
echo "   /dev/vfio/$group: $(/lab/vfio-claim "$group")"
/lab/vfio-claim "$group" | grep -q busy || die "VFIO's claim is not refused"
dmesg | grep "ownership refused" | tail -n 1 | sed 's/^[^]]*] /   log: /'
reply ok disable $device iova
echo "   /dev/vfio/$group: $(/lab/vfio-claim "$group")"
/lab/vfio-claim "$group" | grep -q claimed || die "VFIO's claim is refused"
bind $device -
rmmod idxd_pasid_client iommu-dma-pasid-client idxd || die "rmmod"
