#!/bin/sh
# Prints TAP. The driver in user space that the documentation shows, tools/iommu/ioasid/dsa-copy.c: it drives a DSA, its fault
# is an event and no line of the kernel's log, and when it cannot work it says why in one line.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

dsa=0000:00:10.0
other=0000:00:12.0

# drives NAME COMMAND...: one test: it ends well; its steps are shown in any case
drives() {
	name=$1
	shift
	"$@" >/tmp/steps 2>&1
	status=$?
	sed 's/^/# /' /tmp/steps
	result $status "$name"
}

# ends_with WORDS COMMAND...: an error, the line about which comes last and has these words
ends_with() {
	words=$1
	shift
	"$@" >/tmp/steps 2>&1
	status=$?
	cat /tmp/steps
	[ $status -eq 1 ] && [ "$(grep -c "^dsa-copy: " /tmp/steps)" -eq 1 ] && tail -n 1 /tmp/steps | grep -q "^dsa-copy: .*$words"
}

# as_user KIB: the driver, run by a user who may lock so much memory
as_user() {
	su user -c "ulimit -l $1 && exec /lab/dsa-copy $dsa"
}

echo "# what it cannot drive"
check "no device" ends_with "usage" /lab/dsa-copy
check "one that is not there" ends_with "0000:00:1e.7.*No such file" /lab/dsa-copy 0000:00:1e.7
check "a DSA that is not bound to vfio-pci" ends_with "is $dsa bound to vfio-pci" /lab/dsa-copy $dsa
check "$other: vfio-pci" bind $other vfio-pci
check "it is no DSA" ends_with "$other is no DSA" /lab/dsa-copy $other

echo "# a DSA"
check "$dsa: vfio-pci" bind $dsa vfio-pci
dmesg -c >/dev/null
drives "it copies, and reads of the fault" /lab/dsa-copy $dsa
check "the log has no line about the fault" quiet "DMAR\|fault"
drives "once more, with what the first run left" /lab/dsa-copy $dsa
drives "resets of the device, under the IOASID" /lab/ioas-reset $dsa

echo "# a user"
mkdir -p /etc
echo "user:x:1000:1000::/:/bin/sh" >/etc/passwd
chmod o+rx /lab
check "without the files" ends_with "/dev/vfio/[0-9]*.*Permission denied" as_user 64
chown user "/dev/vfio/$(group_of $dsa)"
check "without /dev/ioasid" ends_with "/dev/ioasid: Permission denied" as_user 64
chown user /dev/ioasid
check "with less memory than it maps" ends_with "IOASID_MAP: Cannot allocate memory" as_user 8
drives "needs no more than both files" as_user 64

echo "# another process has the group"
mkfifo /tmp/hold
/lab/vfio-claim "$(group_of $dsa)" hold </tmp/hold >/tmp/held 2>&1 &
exec 6>/tmp/hold
wait_for grep -q . /tmp/held
check "it has" grep claimed /tmp/held
check "the device is busy" ends_with "busy" /lab/dsa-copy $dsa
exec 6>&-
wait
drives "then it is not" /lab/dsa-copy $dsa
finish
