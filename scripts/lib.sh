# shellcheck shell=bash
# Shared by the shell scripts: where things are, the pins, and how to say what is being done.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(realpath -m "${BUILD:-$ROOT/build}")
export ROOT BUILD LC_ALL=C.UTF-8

say() { printf '[%s] %s\n' "${0##*/}" "$*" >&2; }
die() { printf '[%s] error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# pin NAME: the value of NAME in pins.mk
pin() {
	local value
	value=$(sed -n "s/^$1 = //p" "$ROOT/pins.mk")
	[ -n "$value" ] || die "pins.mk does not define $1"
	printf '%s\n' "$value"
}

# usage: print the leading comment block of the calling script
usage() {
	sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
	exit "${1:-0}"
}

# quietly LOG WHAT COMMAND...: run COMMAND with its output in LOG; print a line every
# 20 seconds so that nobody wonders, and the end of the log when it fails.
quietly() {
	local log=$1 what=$2 start=$SECONDS pid rc=0
	shift 2
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		if [ $((SECONDS - start)) -ge 20 ] && [ $(((SECONDS - start) % 20)) -eq 0 ]; then
			say "$what: $((SECONDS - start)) s, $(wc -l <"$log") log lines"
			sleep 0.6
		fi
	done
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 25 "$log" >&2
		die "$what failed (exit $rc); the whole log is $log"
	fi
	say "$what: done in $((SECONDS - start)) s"
}
