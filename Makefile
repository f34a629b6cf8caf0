# make = this text. Every target that needs something builds it first.
#
# See it:
#   make run                  boot the patched kernel and watch the subsystem at work
#   make guest RUN=prog       run a static program or script in the guest; exits with its status
#                             [ARGS="..."] [KERNEL=stock|series|debug] [SCENARIO=name] [TIMEOUT=s] [ADD="file ..."]
#   make shell                a prompt in the guest [KERNEL=] [SCENARIO=]
#
# Change it (T=kernel or T=qemu):
#   make prepare              the patched source as a git tree in build/linux (build/qemu);
#                             run again (or make sync) to bring changes of the repository into it
#   make export               write the commits of that tree back as overlay files and patches
#   make status               which of the two is newer
#   make kernel               build it [KERNEL=stock|series|debug]
#
# Variables: KERNEL_SRC=, QEMU_SRC= a tarball or tree to use instead of Debian's; QEMU= the
# QEMU to run; ACCEL=tcg|kvm|auto; BUILD= where everything is built (default: build).

T ?= kernel
KERNEL ?= series
SCENARIO ?= default
TIMEOUT ?= 300
export KERNEL_SRC QEMU_SRC QEMU ACCEL BUILD

run_py = lab/run.py --kernel $(KERNEL) --scenario $(SCENARIO) --timeout $(TIMEOUT) $(addprefix --add ,$(ADD))

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

deps-guest:
	@scripts/deps kernel guest

prepare sync:
	@scripts/deps kernel
	@scripts/prepare $(T)

export:
	@scripts/export $(T) $(addprefix --replace ,$(REPLACE))

status:
	@scripts/status $(T)

kernel: deps-guest
	@scripts/build-kernel $(KERNEL) >/dev/null

run: KERNEL = series
run: kernel
	@$(run_py) --keep-going lab/guest/demo.sh

guest: kernel
	@$(run_py) $(RUN) $(ARGS)

shell: kernel
	@$(run_py) --shell

again:
	@lab/run.py --again $(RUN)

clean:
	rm -rf build/kernel-* build/stock build/guest build/results build/log

distclean:
	rm -rf build

.PHONY: help deps-guest prepare sync export status kernel run guest shell again clean distclean
