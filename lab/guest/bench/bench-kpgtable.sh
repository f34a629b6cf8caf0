#!/bin/sh
# usage: bench-kpgtable.sh [sva]
#
# kpgtable-insns.c, which measures when it is loaded, and is not loaded then; with "sva" also while a process, this one,
# is bound to a DSA.

# measure ARGUMENT...: any other error than that of a measurement done is one
measure() {
	for _ in 1 2; do
		insmod /lab/kpgtable-insns.ko "$@" 2>/tmp/insmod
		grep -q "Resource temporarily unavailable" /tmp/insmod || { cat /tmp/insmod; exit 1; }
	done
}

measure
[ "$1" = sva ] || exit 0
sh /lab/sva-queues.sh >/tmp/queues 2>&1 || { cat /tmp/queues; exit 1; }
exec 5<>/dev/dsa/wq0.0 || exit 1
measure sva=1
