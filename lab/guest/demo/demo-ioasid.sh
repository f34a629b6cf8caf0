# The steps of the demonstration about what user space attaches to devices; demo.sh brings step, die and the functions of dsa-lib.sh.
# shellcheck shell=sh

# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

device=0000:00:10.0

step "A driver in user space: the DSA reaches what is mapped in an IOASID; what it reads beside that is an event"
bind $device vfio-pci || die "vfio-pci"
dmesg -c >/dev/null
/lab/dsa-copy $device >/tmp/dsa-copy 2>&1 || die "$(cat /tmp/dsa-copy)"
sed 's/^/   /' /tmp/dsa-copy
quiet DMAR || die "the fault is in the log"
bind $device -

step "Three processes share a queue of the DSA, each with an IOASID: two have data at one address, the third has nothing there"
dmesg -c >/dev/null
/lab/ioas-wq-share demo || die "the processes"
quiet "fault addr" || die "the fault is in the log"
