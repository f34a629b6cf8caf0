# Functions for guest scripts that configure emulated DSAs with accel-config and run dmatest.
# shellcheck shell=sh

ACCEL=/lab/accel-config
planned=0
failed=0

accel() {
	"$ACCEL"/lib/ld-linux-x86-64.so.2 --library-path "$ACCEL/lib" "$ACCEL/accel-config" "$@"
}

# result STATUS NAME: one TAP line
result() {
	planned=$((planned + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $planned $2"
	else
		failed=$((failed + 1))
		echo "not ok $planned $2"
	fi
}

# check NAME COMMAND...
check() {
	name=$1
	shift
	"$@" >/tmp/check 2>&1
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' /tmp/check
	result $status "$name"
}

# wait_for COMMAND...: until it is true; gives up after two minutes, as what hangs does
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || return
		sleep 0.1
	done
}

finish() {
	echo "1..$planned"
	[ "$failed" -eq 0 ]
	exit
}

# configure DEVICE QUEUES: one group, two engines, so many dedicated kernel queues
configure() {
	n=${1#dsa}
	accel config-engine "$1/engine$n.0" --group-id=0 &&
		accel config-engine "$1/engine$n.1" --group-id=0 || return
	i=0
	while [ $i -lt "$2" ]; do
		accel config-wq "$1/wq$n.$i" --group-id=0 --mode=dedicated --wq-size=16 --priority=$((i + 5)) \
			--type=kernel --name="dmaengine$i" --max-batch-size=32 --max-transfer-size=2097152 || return
		i=$((i + 1))
	done
}

# enable_queues DEVICE QUEUES: the device and so many queues
enable_queues() {
	accel enable-device "$1" || return
	i=0
	while [ $i -lt "$2" ]; do
		accel enable-wq "$1/wq${1#dsa}.$i" || return
		i=$((i + 1))
	done
}

# dmatest ITERATIONS CHANNELS: run it on so many channels, all at once; 0 failures and all have run
dmatest() {
	set -- "$1" "$2" /sys/module/dmatest/parameters
	[ -d "$3" ] || modprobe dmatest || return
	echo 60000 >"$3/timeout"
	echo "$1" >"$3/iterations"
	echo 2 >"$3/threads_per_chan"
	dmesg -c >/dev/null
	for channel in /sys/class/dma/*; do
		echo "${channel##*/}" >"$3/channel" || return
	done
	echo 1 >"$3/run"
	# The module's own "wait" returns at once when it finds the threads not yet started
	tries=0
	until [ "$(dmesg | grep -c ': summary ')" -ge $((2 * $2)) ]; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || break
		sleep 0.1
	done
	dmesg | grep 'summary' | sed 's/.*dmatest: //; s/ [0-9.]* iops.*//'
	[ "$(dmesg | grep -c "summary $1 tests, 0 failures")" -eq $((2 * $2)) ]
}

# translation FUNCTION: how the IOMMU translates its requests without PASID (VT-d specification 9.6, PGTT)
translation() {
	entry=$(grep "${1#0000:}" /sys/kernel/debug/iommu/intel/dmar_translation_struct | head -n 1)
	low=${entry##*:}
	case $entry in
	'') echo none ;;
	*) case $((low >> 6 & 7)) in
		1) echo first-level ;;
		2) echo second-level ;;
		4) echo pass-through ;;
		*) echo legacy ;;
		esac ;;
	esac
}

# suspend_to_ram: and back by an alarm, which ends an attempt that takes too long on a busy host
suspend_to_ram() {
	alarm=/sys/class/rtc/rtc0/wakealarm
	[ -d /sys/module/chipset_mod ] || insmod /lab/chipset-mod.ko || return
	for seconds in 4 10 30 120; do
		# An alarm that comes before the sleep counts, too
		count=$(cat /sys/power/wakeup_count)
		echo 0 >$alarm
		echo +$seconds >$alarm
		echo "$count" >/sys/power/wakeup_count && echo mem >/sys/power/state && return
	done
	return 1
}

# go_to_sleep LEVEL STATE: as far as LEVEL and back after a second (Documentation/power/basic-pm-debugging.rst); none: really
go_to_sleep() {
	echo 1 >/sys/module/suspend/parameters/pm_test_delay
	echo "$1" >/sys/power/pm_test || return
	if [ "$1" = none ]; then
		suspend_to_ram
	else
		echo "$2" >/sys/power/state
	fi
}
