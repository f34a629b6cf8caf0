#!/bin/sh
# nest-insns.c, with a device of VFIO and a work queue of a DSA in mode ioasid, in a cgroup below the root: what the kernel
# allocates for it is charged, as it is for every process of a system.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

requester=0000:00:12.0
cgroup=/sys/fs/cgroup/bench

sh /lab/ioas-queues.sh load && sh /lab/ioas-queues.sh queue 1 ioasid 0 || exit 1
bind $requester vfio-pci || exit 1
mkdir $cgroup && echo $$ >$cgroup/cgroup.procs || exit 1
exec /lab/nest-insns "$(group_of $requester)" $requester
