#!/bin/sh
# usage: ioas-vfio.sh PROGRAM [device-tlb]
#
# Prints TAP. Runs a program with a device of VFIO, to which it attaches IOASIDs with page tables.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

requester=0000:00:12.0

bind $requester vfio-pci || exit 1
program=$1
shift
exec "/lab/$program" "$(group_of $requester)" $requester "$@"
