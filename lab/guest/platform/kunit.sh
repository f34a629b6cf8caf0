#!/bin/sh
# usage: kunit.sh SUITE...
#
# Prints the results of KUnit suites that ran while this kernel booted, as one KTAP report.
# A suite that did not run is a failure.

results=/sys/kernel/debug/kunit
echo "KTAP version 1"
echo "1..$#"
number=0
for suite in "$@"; do
	number=$((number + 1))
	if ! [ -r "$results/$suite/results" ]; then
		echo "not ok $number $suite # did not run in this kernel"
		continue
	fi
	# Nested by two spaces; the suite's own last line says how it ended as a whole.
	sed 's/^/  /' "$results/$suite/results"
	if grep -q '^ *not ok' "$results/$suite/results"; then
		echo "not ok $number $suite"
	else
		echo "ok $number $suite"
	fi
done
