#!/bin/sh
# The demonstration of `make run`: each step says what is done and what the kernel answered.
# It ends with an error when an answer is not the one that the step is about.

client=/sys/kernel/debug/ioasid-test
state=/sys/kernel/debug/ioasid

step() {
	printf '\n== %s\n' "$*"
}

die() {
	echo "** not what was expected: $*"
	exit 1
}

# Give a command to the test client, a kernel user of IOASIDs, and show the answer.
# The shell itself writes it (no subshell), as sets may belong to its mm.
tell() {
	printf '   %-24s-> ' "$*"
	# shellcheck disable=SC2320 # the status of echo is that of the kernel's answer
	if echo "$*" 2>/tmp/error >$client/command; then
		answer=ok
		case $1 in
		alloc) answer="id $(cat $client/result)" ;;
		find) answer="id $(cat $client/result)" ;;
		free | put | unuse)
			answer="users remain"
			[ "$(cat $client/result)" = 0 ] || answer="released"
			;;
		esac
	else
		read -r answer </tmp/error
		answer="refused: ${answer##*: }"
	fi
	echo "$answer"
}

# tell, and insist on the answer
ask() {
	want=$1
	shift
	tell "$@"
	[ "$answer" = "$want" ] || die "\"$answer\", want \"$want\""
}

# Allocate in a set; the number is in $id.
alloc() {
	tell alloc "$1"
	id=${answer#id }
	[ "$answer" != "$id" ] || die "$answer"
}

events() {
	sed 's/^/   /' $client/log >/tmp/events
	cat /tmp/events
}

step "The kernel"
uname -sr

step "The IOMMU: Intel VT-d as QEMU emulates it"
read -r ecap </sys/class/iommu/dmar0/intel-iommu/ecap
echo "   extended capabilities 0x$ecap"
# Bit 43 of the extended capability register (VT-d specification 11.4.3): SMTS
if [ $((0x$ecap >> 43 & 1)) -eq 1 ]; then
	echo "   scalable mode: yes"
else
	die "no scalable mode"
fi

step "A DSA, as this lab's QEMU models it: idxd drives it, accel-config configures it"
# shellcheck source=lab/guest/lib/dsa-lib.sh
. /lab/dsa-lib.sh
modprobe idxd || die "idxd does not load"
accel list -i >/tmp/list
grep -E '"(dev|max_work_queues|max_transfer_size|pasid_enabled|numa_node)":' /tmp/list | grep -v '"wq' | head -4
grep -q '"dev":"dsa0"' /tmp/list || die "accel-config lists no dsa0"

# In a shell of its own: it has another client to tell
# shellcheck source=lab/guest/demo/demo-pasid.sh
(. /lab/demo-pasid.sh) || exit
# shellcheck source=lab/guest/demo/demo-sva.sh
(. /lab/demo-sva.sh) || exit

read -r pool_before <$state
step "Two sets, as for two virtual machines. Both guests use PASID 100 for something"
ask ok set vm-a null
ask ok set vm-b null
alloc vm-a
a=$id
alloc vm-b
b=$id
ask ok spid "$a" 100
ask ok spid "$b" 100
echo "   Whose PASID 100 is which?"
ask "id $a" find vm-a 100
ask "id $b" find vm-b 100
ask "refused: File exists" spid "$a" 101
ask "refused: No such file or directory" get 4711

step "Three subscribers of vm-a, registered in the wrong order, hear in order of priority"
ask ok sub watcher vm-a last
ask ok sub vt-d vm-a iommu
ask ok sub vcpus vm-a cpu
alloc vm-a
c=$id
ask ok spid "$c" 7
ask released free "$c"
events
head -3 /tmp/events | tr -d '\n' | grep -q 'vcpus ALLOC.*vt-d ALLOC.*watcher ALLOC' || die "order"
[ "$(grep -c 'FREE' /tmp/events)" = 3 ] || die "one FREE for each subscriber"

step "Freed by its owner while a device still uses it: pending until the device drops its reference"
ask ok use "$a"
ask "users remain" free "$a"
events
grep "^id $a " $state | sed 's/^/   debugfs: /'
grep -q "^id $a .*state free-pending" $state || die "not pending"
ask "refused: Device or resource busy" get "$a"
alloc vm-a
[ "$id" != "$a" ] || die "number $a was allocated again"
ask released unuse "$a"
alloc vm-a
[ "$id" = "$a" ] || die "number $a is not used again"

step "A set with a quota of 2"
ask ok set small null 2
alloc small
alloc small
ask "refused: No space left on device" alloc small
ask ok quota small 3
alloc small

step "A virtual machine monitor opens /dev/ioasid, in a cgroup that may have 5 ids"
cgroup=/sys/fs/cgroup/vm
mkdir $cgroup
echo 5 >$cgroup/ioasids.max
mkfifo /tmp/vmm-in
(
	echo 0 >$cgroup/cgroup.procs
	exec /lab/ioasidctl shell
) </tmp/vmm-in >/tmp/vmm-out 2>&1 &
vmm=$!
exec 3>/tmp/vmm-in
lines=0

# Give the monitor a command and show its answer.
vmm() {
	printf '   %-24s-> ' "$*"
	echo "$*" >&3
	lines=$((lines + 1))
	while [ "$(wc -l </tmp/vmm-out)" -lt $lines ]; do
		usleep 10000
	done
	answer=$(sed -n "${lines}p" /tmp/vmm-out)
	echo "$answer"
}

vmm alloc
host1=$answer
vmm alloc
host2=$answer
echo "   The guest calls them 20 and 21"
vmm spid "$host1" 20
vmm spid "$host2" 21
vmm find 21
[ "$answer" = "$host2" ] || die "PASID 21 of the guest is $host2"
vmm alloc
vmm alloc
vmm alloc
vmm alloc
case $answer in error*) ;; *) die "the limit is 5" ;; esac
/lab/ioasidctl limits | sed 's/^/   /'
grep -q '^max 1$' $cgroup/ioasids.events || die "one refusal in ioasids.events"
[ "$(cat $cgroup/ioasids.current)" = 5 ] || die "5 ids in ioasids.current"
echo "   kill -9 of the monitor, and its ids are released:"
kill -9 "$vmm"
wait "$vmm" 2>/dev/null
exec 3>&-
echo "   ioasids.current $(cat $cgroup/ioasids.current)"
[ "$(cat $cgroup/ioasids.current)" = 0 ] || die "ids are still charged"
rmdir $cgroup

# shellcheck source=lab/guest/demo/demo-ioasid.sh
(. /lab/demo-ioasid.sh) || exit

step "Everything is given back"
ask ok unsub watcher
ask ok unsub vt-d
ask ok unsub vcpus
ask ok end vm-a
ask ok end vm-b
ask ok end small
read -r pool <$state
echo "   debugfs: $pool"
[ "$pool" = "$pool_before" ] || die "it was: $pool_before"
echo
echo "Done."
