# The steps of the demonstration about shared virtual addressing; demo.sh brings step, die and the functions of dsa-lib.sh.
# shellcheck shell=sh

cgroup=/sys/fs/cgroup/users

# A process in the cgroup shares the queue until its standard input ends
share() {
	mkfifo "/tmp/share$1"
	(echo 0 >$cgroup/cgroup.procs && exec /lab/demo-sva share "$1") <"/tmp/share$1" >"/tmp/shared$1" &
}

ready() {
	grep -q ready "/tmp/shared$1"
}

# An idle CPU keeps the address space of the task that it ran last until it runs another
uncharged() {
	taskset 1 true
	taskset 2 true
	[ "$(cat $cgroup/ioasids.current)" = 0 ]
}

step "Shared virtual addressing: a program gives the DSA its own addresses, and page faults are served"
sh /lab/sva-queues.sh 1 2>&1 | sed 's/^/   /'
/lab/demo-sva faults || die "the copy"

step "Two processes share a queue of the DSA; their cgroup may have 2 PASIDs, a third is refused"
mkdir $cgroup
echo 2 >$cgroup/ioasids.max
share 1
first=$!
exec 4>/tmp/share1
share 2 4>&-
second=$!
exec 5>/tmp/share2
{ wait_for ready 1 && wait_for ready 2; } || die "they do not come up: $(cat /tmp/shared1 /tmp/shared2)"
echo "   ioasids.current $(cat $cgroup/ioasids.current), ioasids.max $(cat $cgroup/ioasids.max)"
dmesg -c >/dev/null
(echo 0 >$cgroup/cgroup.procs && exec /lab/demo-sva open) 4>&- 5>&-
[ $? -eq 16 ] || die "the third is not refused with EBUSY"
dmesg | grep "refused a PASID" | sed 's/^[^]]*] /   log: /'
dmesg | grep -q "refused a PASID: its cgroup is at its limit" || die "no line in the log"
echo "   ioasids.events: $(cat $cgroup/ioasids.events)"
exec 4>&- 5>&-
{ wait "$first" && wait "$second"; } || die "a copy went wrong: $(cat /tmp/shared1 /tmp/shared2)"
grep -h process /tmp/shared1 /tmp/shared2
wait_for uncharged || die "PASIDs are still charged"
echo "   they end: ioasids.current $(cat $cgroup/ioasids.current)"
rmdir $cgroup || die "rmdir"
rmmod idxd || die "rmmod"
