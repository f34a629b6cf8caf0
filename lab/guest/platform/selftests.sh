#!/bin/sh
# usage: selftests.sh DIRECTORY PROGRAM...
#
# Runs kselftest programs of one directory and prints one KTAP report, each program's own
# report nested in it. Status 4 is kselftest's word for "skipped".

# shellcheck disable=SC3040 # busybox has it
set -o pipefail
cd "$1" || exit 1
shift
echo "KTAP version 1"
echo "1..$#"
number=0
failed=0
for program in "$@"; do
	number=$((number + 1))
	# Line by line, so that a program that hangs has said what it did
	"./$program" 2>&1 | while IFS= read -r line; do printf '  %s\n' "$line"; done
	status=$?
	case $status in
	0) echo "ok $number $program" ;;
	4) echo "ok $number $program # SKIP" ;;
	*)
		echo "not ok $number $program # exit $status"
		failed=1
		;;
	esac
done
exit $failed
