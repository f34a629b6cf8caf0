#!/bin/sh
# usage: idxd-selftests.sh DIRECTORY PROGRAM...
#
# selftests.sh with work queues of type user, as an administrator sets them up.

sh /lab/sva-queues.sh >/tmp/queues 2>&1 || { cat /tmp/queues; exit 1; }
exec sh /lab/selftests.sh "$@"
