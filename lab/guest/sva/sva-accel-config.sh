#!/bin/sh
# usage: sva-accel-config.sh
#
# Prints TAP. accel-config's own test program on a dedicated and a shared queue of an emulated DSA: it submits descriptors
# and batches of them with its own virtual addresses, and compares what came out.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

# dsa_test OPTION...: block on fault, no UMWAIT
dsa_test() {
	"$ACCEL"/lib/ld-linux-x86-64.so.2 --library-path "$ACCEL/lib" "$ACCEL/dsa_test" -f 0x3 -t 10000 -v "$@" >/tmp/dsa_test 2>&1
	status=$?
	tail -n 30 /tmp/dsa_test
	return $status
}

# The operations that the model has (DSA specification 8.1), but for delta records: dsa_test asks for a maximum size that is not
# a multiple of an entry's, which the model refuses.
operations="0:nop 3:memory-move 4:fill 5:compare 6:compare-pattern 9:dualcast 16:CRC 17:copy-with-CRC 32:cache-flush"

check "queues of type user" sh /lab/sva-queues.sh
for queue in 0:dsa0/wq0.0:dedicated 1:dsa0/wq0.1:shared; do
	mode=${queue%%:*}
	name=${queue##*:}
	queue=${queue#*:}
	queue=${queue%:*}
	check "$name: drain" dsa_test -w "$mode" -d "$queue" -o 2 -l 4096
	for operation in $operations; do
		check "$name: ${operation#*:}" dsa_test -w "$mode" -d "$queue" -o "${operation%:*}" -l 65536 -n 8
		check "$name: batch of ${operation#*:}" dsa_test -w "$mode" -d "$queue" -o 1 -b "${operation%:*}" -c 16 -l 65536
	done
done
finish
