#!/bin/sh
# usage: sva-queues.sh [N]
#
# Loads idxd and gives programs two queues of an emulated DSA, the first unless N says which: /dev/dsa/wqN.0 is dedicated,
# /dev/dsa/wqN.1 shared.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

dsa=${1:-0}

# queue NUMBER OPTION...
queue() {
	number=$1
	shift
	accel config-wq "dsa$dsa/wq$dsa.$number" --group-id=0 --type=user --name="sva$number" --driver-name=user --wq-size=16 \
		--priority=10 --max-batch-size=32 --max-transfer-size=2097152 --block-on-fault=1 "$@"
}

set -e
modprobe idxd
accel config-engine "dsa$dsa/engine$dsa.0" --group-id=0
accel config-engine "dsa$dsa/engine$dsa.1" --group-id=0
queue 0 --mode=dedicated
queue 1 --mode=shared --threshold=8
accel enable-device "dsa$dsa"
accel enable-wq "dsa$dsa/wq$dsa.0"
accel enable-wq "dsa$dsa/wq$dsa.1"
