#!/bin/sh
# Loads idxd and gives programs two queues of the first emulated DSA: /dev/dsa/wq0.0 is dedicated, /dev/dsa/wq0.1 shared.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh

# queue NUMBER OPTION...
queue() {
	number=$1
	shift
	accel config-wq "dsa0/wq0.$number" --group-id=0 --type=user --name="sva$number" --driver-name=user --wq-size=16 \
		--priority=10 --max-batch-size=32 --max-transfer-size=2097152 --block-on-fault=1 "$@"
}

set -e
modprobe idxd
accel config-engine dsa0/engine0.0 --group-id=0
accel config-engine dsa0/engine0.1 --group-id=0
queue 0 --mode=dedicated
queue 1 --mode=shared --threshold=8
accel enable-device dsa0
accel enable-wq dsa0/wq0.0
accel enable-wq dsa0/wq0.1
