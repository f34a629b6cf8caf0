#!/bin/sh
# usage: ioas-vfio.sh [device-tlb]
#
# Prints TAP. IOASIDs with page tables, attached to a device that a process has from VFIO.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

requester=0000:00:12.0

bind $requester vfio-pci || exit 1
exec /lab/ioas-vfio "$(group_of $requester)" $requester "$@"
