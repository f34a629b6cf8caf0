#!/bin/sh
# Prints TAP. One IOASID, two devices of VFIO.

# shellcheck source=/dev/null
. /lab/dsa-lib.sh
# shellcheck source=lab/guest/lib/pasid-lib.sh
. /lab/pasid-lib.sh

first=0000:00:12.0
second=0000:00:13.0

bind $first vfio-pci && bind $second vfio-pci || exit 1
exec /lab/ioas-two "$(group_of $first)" $first "$(group_of $second)" $second
