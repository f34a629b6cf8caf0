# Functions for guest scripts that plug and unplug devices by way of QEMU's monitor (scenarios dsa-hotplug and
# dsa-sva-two).
# shellcheck shell=sh

# The addresses of the scenario's own DSAs, and the round that a test is in: for plug() and unplug()
: "${builtin:=0000:00:10.0}" "${round:=0}"

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

# Is there a DSA besides those of the scenario, $builtin? Its address is in $found.
here() {
	set -- /sys/bus/pci/devices/*/vendor
	for file in "$@"; do
		found=${file%/vendor}
		[ "$(cat "$found/device")" = 0x0b25 ] || continue
		found=${found##*/}
		case " $builtin " in *" $found "*) ;; *) return 0 ;; esac
	done
	return 1
}

gone() {
	! here
}

# A DSA in the root port of the scenario; $round says which. Its address is in $device.
plug() {
	monitor "device_add intel-dsa,id=plugged$round,bus=rp0"
	wait_for here || { grep Error /tmp/monitor; return 1; }
	device=$found
	echo "$device"
}

unplug() {
	monitor "device_del plugged$round"
	wait_for gone || { grep Error /tmp/monitor; return 1; }
	until [ "$(cat /sys/bus/pci/slots/1/adapter)" -eq 0 ]; do
		sleep 0.1
	done
}
