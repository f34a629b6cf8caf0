# What a guest with a VT-d and Data Streaming Accelerators needs, and no more;
# for --without-default-devices --with-devices-x86_64=lab

CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_INTEL_DSA=y
CONFIG_PCIE_PORT=y
CONFIG_PXB=y
CONFIG_CXL=y
CONFIG_CXL_MEM_DEVICE=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_ISA_DEBUG=y
CONFIG_TEST_DEVICES=y
