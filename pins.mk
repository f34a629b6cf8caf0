# What is fetched, the version it was tested with, and the checksum of that version.
# Plain NAME = value lines: make includes this file, the scripts read it too.
# A newer point release of the same package is accepted with a notice.

KERNEL_PACKAGE = linux-source-6.1
KERNEL_VERSION = 6.1.192-2
KERNEL_SHA256 = 4d415b3d364834fd818270e88813e90323bbfce4f519a0e6bd4940ddcd7df693

QEMU_PACKAGE = qemu
QEMU_SUITE = trixie
QEMU_VERSION = 1:10.0.13+ds-0+deb13u1
QEMU_SHA256 = 6a0888e806c2ffc0c5f0733e974f9aea55491950d3c47c98669c8b236dde59ae

MESON_PACKAGE = meson
MESON_SUITE = bookworm-backports
MESON_VERSION = 1.7.0-1~bpo12+1
MESON_SHA256 = 4b86d2f2cb4431d03826fa4b2c3a89508edeb8140509e7e4b285285ec3175bbe

DPDK_PACKAGE = dpdk-dev
DPDK_VERSION = 22.11.11-0+deb12u1
DPDK_SHA256 = 26da414b2945b9f08438b90fe5f70a7a1f668ce0060482f6d143a669e9d67635
