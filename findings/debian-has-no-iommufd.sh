#!/usr/bin/env bash
# QEMU as Debian 13 packages it has an iommufd backend for VFIO, and the kernel that Debian 13 packages for the same
# machine has no /dev/iommu for it, neither built in nor as a module: VFIO there means the container and type1.
#
# Seen with: qemu-system-x86 1:10.0.13+ds-0+deb13u1, linux-image-6.12.117+deb13-amd64 6.12.117-1, 2026-11-30
#   iommufd options:
#     fd=<string>
#   6.12.117+deb13-amd64: vfio yes, type1 yes, iommufd no
# The same configuration is in linux-base-7.2.13+deb14-amd64 7.2.13-1 (read, not booted): CONFIG_IOMMUFD is not set.
#
# Exit: 0 as seen; 1 another behaviour; 2 it could not be tried.

set -euo pipefail

qemu="qemu-system-x86=1:10.0.13+ds-0+deb13u1"
kernel=6.12.117+deb13-amd64
packages=("$qemu" "linux-image-$kernel=6.12.117-1" busybox-static=1:1.37.0-6+b9)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
give_up() {
	echo "not tried: $*" >&2
	exit 2
}

# apt with lists and a status file of its own: the archive that this machine uses, Debian 13
cd "$work"
mkdir -p lists/partial cache/archives/partial root
touch status
# shellcheck disable=SC2016 # apt expands these
archive=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' | awk -F'|' '$1 == "Debian" { print $2; exit }')
[ -n "$archive" ] || give_up "apt knows no Debian archive"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive trixie main" >sources
apt=(apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "Dir::State::status=$work/status"
	-o "Dir::Etc::SourceList=$work/sources" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root -o Debug::NoLocking=1)
"${apt[@]}" update || give_up "no package lists"
"${apt[@]}" install --download-only --no-install-recommends -y "${packages[@]}" >/dev/null ||
	give_up "the archive has not these versions: ${packages[*]}"
for package in cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$package" | tar -x -C root
done

# Debian's QEMU with Debian's libraries
libraries=root/usr/lib/x86_64-linux-gnu
emulator() {
	"$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$libraries/pulseaudio" root/usr/bin/qemu-system-x86_64 \
		-L root/usr/share/seabios -L root/usr/share/qemu "$@"
}
QEMU_MODULE_DIR=$work/$libraries/qemu
export QEMU_MODULE_DIR
backend=$(emulator -object iommufd,help 2>&1) || give_up "QEMU does not start: $backend"

# A guest of Debian's kernel that loads what VFIO has
modules=root/usr/lib/modules/$kernel
[ -d "$modules" ] || modules=root/lib/modules/$kernel
mkdir -p guest/bin guest/dev guest/proc "guest/lib/modules/$kernel"
cp root/usr/bin/busybox guest/bin/
cp -r "$modules/kernel" "guest/lib/modules/$kernel/"
find "guest/lib/modules/$kernel" -type f ! -path '*/vfio/*' ! -path '*/iommu/*' ! -path '*/virt/lib/*' -delete
guest/bin/busybox depmod -b guest "$kernel"
cat >guest/init <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
has() {
	modprobe "$1" 2>/dev/null
	if [ -e "$2" ]; then echo yes; else echo no; fi
}
echo "$(uname -r): vfio $(has vfio /dev/vfio/vfio), type1 $(modprobe vfio_iommu_type1 2>/dev/null && echo yes || echo no)," \
	"iommufd $(has iommufd /dev/iommu)" >/dev/ttyS0
poweroff -f
INIT
chmod +x guest/init
(cd guest && find . | ./bin/busybox cpio -o -H newc 2>/dev/null) >initrd
said=$(timeout 300 bash -c "$(declare -f emulator); libraries=$libraries; emulator -machine q35 -accel tcg -m 512 -nodefaults \
	-display none -no-reboot -serial stdio -kernel root/boot/vmlinuz-$kernel -initrd initrd \
	-append 'console=ttyS0 quiet'" | tr -d '\r' | grep -a "^$kernel:") || give_up "the guest said nothing"

echo "$backend"
echo "$said"
case $backend/$said in
*fd=*/*"vfio yes, type1 yes, iommufd no") echo "as seen: a backend, and nothing behind it" ;;
*) echo "this has changed" && exit 1 ;;
esac
