# SPDX-License-Identifier: GPL-2.0
# The benchmark: one program for each of what is compared, run in turn.

# Aligned, or some nanoseconds depend on where the linker happens to put things.
BENCH_CFLAGS	 = $(COMMON) -O2 -DIOASID_BENCH -DXA_CHUNK_SHIFT=6 \
		   -DCONFIG_BASE_SMALL=0 -ffunction-sections -falign-functions=64
BENCH_LDFLAGS	:= -Wl,--gc-sections
BENCH_OBJS	:= bench-shim.o xa-node.o xarray.o find_bit.o bitmap.o
BENCHES		:= $(O)/bench-core $(O)/bench-charged $(O)/bench-stock $(O)/bench-ida

$(O)/bench/core/bench.o $(O)/bench/charged/bench.o: COMMON += -DBENCH_CORE
# All of it, as an id is larger then
$(O)/bench/charged/%: COMMON += -DCONFIG_CGROUP_MISC=1
$(O)/bench/stock/bench.o: COMMON += -DBENCH_STOCK
# Its header is found before ours, by the same guard.
$(addprefix $(O)/bench/stock/,bench.o ioasid-stock.o): \
	COMMON += -include linux/types.h -include $(STOCK_SRC)/include/linux/ioasid.h
$(O)/bench/ida/bench.o: COMMON += -DBENCH_IDA
$(O)/bench/ida/idr.o: COMMON += -w

$(O)/bench-core: $(addprefix $(O)/bench/core/,bench.o $(BENCH_OBJS) \
		   notifier.o $(CORE_OBJS))
$(O)/bench-charged: $(addprefix $(O)/bench/charged/,bench.o $(BENCH_OBJS) \
		      notifier.o bench-cgroup.o ioasid-cgroup.o $(CORE_OBJS))
$(O)/bench-stock: $(addprefix $(O)/bench/stock/,bench.o $(BENCH_OBJS) \
		    ioasid-stock.o)
$(O)/bench-ida: $(addprefix $(O)/bench/ida/,bench.o $(BENCH_OBJS) idr.o)

$(BENCHES):
	$(CC) $(BENCH_LDFLAGS) -o $@ $^ -lurcu-qsbr -lpthread

$(O)/bench/stock/ioasid-stock.o: $(STOCK_SRC)/drivers/iommu/ioasid.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -c -o $@ $<

$(O)/bench/ida/idr.o: $(KSRC)/lib/idr.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -c -o $@ $<

define bench_rule
$(O)/bench/$(1)/%.o: %.c Makefile bench.mk
	@mkdir -p $$(@D)
	$$(CC) $$(BENCH_CFLAGS) -c -o $$@ $$<
endef
$(foreach v,core charged stock ida,$(eval $(call bench_rule,$(v))))

bench: bench-check $(BENCHES)
	$(PYTHON) bench.py --rounds $(or $(ROUNDS),5) $(BENCHES)

bench-check:
	@test -f "$(STOCK_SRC)/drivers/iommu/ioasid.c" || { \
		echo "bench: STOCK_SRC= must name an unpatched Linux 6.1 source" \
		     "(its drivers/iommu/ioasid.c is what we compare with)"; \
		exit 1; }

.PHONY: bench bench-check
