# Functions for guest scripts that plug and unplug devices by way of QEMU's monitor (scenario dsa-hotplug).
# shellcheck shell=sh

# A port takes one open at a time, and what is not read from it would block the monitor.
open_monitor() {
	for port in /sys/class/virtio-ports/*; do
		if [ "$(cat "$port/name")" = lab.monitor ]; then
			exec 3<>"/dev/${port##*/}"
			cat <&3 >/tmp/monitor &
			return
		fi
	done
	return 1
}

monitor() {
	echo "$*" >&3
}
