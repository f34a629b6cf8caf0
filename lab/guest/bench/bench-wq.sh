#!/bin/sh
# wq-insns.c, with the queues of a DSA in mode sva and then in mode ioasid, in a cgroup below the root: what the kernel
# allocates for it is charged, as it is for every process of a system.

cgroup=/sys/fs/cgroup/bench
set -e

mkdir $cgroup
echo $$ >$cgroup/cgroup.procs
sh /lab/ioas-queues.sh load
for mode in sva ioasid; do
	for number in 0 1; do
		sh /lab/ioas-queues.sh queue $number $mode 0
	done
	/lab/wq-insns $mode
	sh /lab/ioas-queues.sh off 0 1
done
