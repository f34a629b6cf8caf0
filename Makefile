# make = this text. Every target that needs something builds it first.
#
# See it:
#   make run                  boot the patched kernel and watch the subsystem at work
#   make guest RUN=prog       run a static program or script in the guest; exits with its status
#                             [ARGS="..."] [KERNEL=stock|sva|series|debug|deb] [SCENARIO=name] [TIMEOUT=s] [ADD="file ..."]
#   make shell                a prompt in the guest [KERNEL=] [SCENARIO=]
#   make again RUN=...        repeat a run of build/results (RUN=latest for the last one)
#
# Test it:
#   make test                 what fits in an hour; ends with 'N passed, N failed, N skipped'
#   make test-TIER            one tier, the whole of it: lab, user, kunit, qtest, stock, sva, guest, debug, canary
#   make test-all             all tiers, the whole of them (half a day)
#   make test-one TEST=name   one test of lab/guest-tests, on each of its kernels [KERNEL=]
#   make loop TIER=...        one tier again and again until it is red
#   make series               the series as mails for git am, in build/series [T=]
#   make check-series         git am takes them, the tree agrees, checkpatch --strict [T=]
#   make check-series FULL=1  and every commit of the kernel's builds, in six configurations and for arm64;
#                             where the prefix of the subject changes it links, boots and passes its tests (long) [FROM=n]
#   make lint                 sparse, W=1, kernel-doc, coccicheck, shellcheck: new findings only
#   make bench                the core beside 6.1's and the IDA, native and in guest instructions
#   make test-kcsan           the tests of a kernel that watches for data races
#   make test-fresh           README's two commands in a minimal Debian 12 made for it (as root, more than an hour)
#   make soak MINUTES=30      everything at once in a guest; nothing may leak [WHAT=sva|ioas] [KERNEL=series|debug|kcsan]
#   make mutate               break the series line by line: the tests must notice [ONLY=regex]
#
# Change it (T=kernel or T=qemu):
#   make prepare              the patched source as a git tree in build/linux (build/qemu);
#                             run again (or make sync) to bring changes of the repository into it
#   make export               write the commits of that tree back as overlay files and patches
#   make status               which of the two is newer
#   scripts/where NAME        what belongs to a file or a symbol of the series: layer, commits, documentation, tests
#   make kernel               build it [KERNEL=stock|sva|series|debug|kcsan]
#   make deb                  Debian packages of it, from the cloud kernel's configuration (an hour);
#                             make test-deb boots what they install, make guest KERNEL=deb RUN=... too
#   make qemu                 build the emulated platform; make test-qtest-asan: its tests with sanitizers
#   make clean                remove what was built; make distclean: downloads and trees too
#
# Variables: KERNEL_SRC=, QEMU_SRC= a tarball or tree to use instead of Debian's; QEMU= the
# QEMU to run; ACCEL=tcg|kvm|auto; BUILD= where everything is built (default: build).

T ?= kernel
KERNEL ?= series
SCENARIO ?= default
TIMEOUT ?= 300
export KERNEL_SRC QEMU_SRC QEMU ACCEL BUILD MINUTES

run_py = /usr/bin/python3 -m lab.run --kernel $(KERNEL) --scenario $(SCENARIO) --timeout $(TIMEOUT) $(addprefix --add ,$(ADD))
test_py = /usr/bin/python3 -m tests.run

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

deb:
	@scripts/build-deb

# The QEMU of this repository, unless another one is given
qemu:
	@[ -n "$(QEMU)" ] || scripts/build-qemu >/dev/null

# The guest test of that name, with its output shown
run: KERNEL = series
run: kernel qemu
	@/usr/bin/python3 -m lab.guesttest demo $(KERNEL)

guest: kernel qemu
	@$(run_py) $(RUN) $(ARGS)

shell: kernel qemu
	@$(run_py) --shell

TIERS = lab user kunit qtest stock sva guest debug canary

deps-test:
	@scripts/deps kernel guest test lint

test: deps-test
	@$(test_py)

test-all: deps-test
	@$(test_py) --all

$(TIERS:%=test-%): deps-test
	@$(test_py) $(@:test-%=%)

# On all the kernels that the test names, unless one is given
test-one: deps-test
	@$(test_py) --test '$(TEST)' $(if $(filter file,$(origin KERNEL)),,--kernel '$(KERNEL)')

# Outside make test: the second build of QEMU takes as long as the rest of its tests
test-qtest-asan:
	@scripts/test-qemu asan

# Outside make test too: a kernel of its own each, or hours
test-kcsan test-deb: deps-test
	@$(test_py) $(@:test-%=%)

# Nothing of this machine but its kernel and its mirror
test-fresh:
	@scripts/fresh

bench: deps-test qemu
	@scripts/bench

soak: deps-test qemu
	@scripts/soak --kernel $(KERNEL)

mutate: deps-test qemu
	@scripts/mutate --only '$(ONLY)'

loop: deps-test
	@scripts/loop $(TIER)

series:
	@scripts/prepare $(T)
	@scripts/series $(T)

check-series:
	@scripts/deps kernel lint
	@scripts/prepare $(T)
	@scripts/check-series $(T)
	@$(if $(FULL),scripts/check-commits --from $(or $(FROM),1))

lint:
	@scripts/deps kernel lint
	@scripts/prepare
	@scripts/lint

again:
	@/usr/bin/python3 -m lab.run --again $(RUN)

clean:
	rm -rf $(addprefix $(or $(BUILD),build)/,kernel-* stock sva kunit guest selftests user mutate bench deb full fresh declared qemu-build qemu-asan series results log)

# Work in the source trees that was not exported is not thrown away.
distclean:
	@scripts/status kernel --clean
	@scripts/status qemu --clean
	rm -rf $(or $(BUILD),build)

.PHONY: help deps-guest deps-test prepare sync export status kernel qemu test-qtest-asan run guest test-one shell test $(TIERS:%=test-%) loop
.PHONY: test-kcsan test-deb test-fresh bench soak mutate deb series check-series lint again clean distclean
