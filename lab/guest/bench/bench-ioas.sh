#!/bin/sh
# usage: bench-ioas.sh [threads]
#
# ioas-insns.c, with a device of VFIO and huge pages, in a cgroup below the root: what the kernel allocates for it is
# charged, as it is for every process of a system.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

requester=0000:00:12.0
cgroup=/sys/fs/cgroup/bench
# 1 GiB
wanted=512

echo $wanted >/proc/sys/vm/nr_hugepages
pages=$(cat /proc/sys/vm/nr_hugepages)
[ "$pages" -eq $wanted ] || {
	echo "** $pages huge pages, not $wanted"
	exit 1
}
bind $requester vfio-pci || exit 1
mkdir $cgroup && echo $$ >$cgroup/cgroup.procs || exit 1
exec /lab/ioas-insns "$(group_of $requester)" $requester $cgroup "$@"
