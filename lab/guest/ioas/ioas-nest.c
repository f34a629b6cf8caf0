// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-nest GROUP DEVICE [device-tlb]
 *
 * Prints TAP. A process makes page tables of its own in memory that it has mapped in an IOASID, the parent, binds them to
 * IOASIDs of type PGTABLE, and asks the device of VFIO what it reaches: what its table says, of what the parent maps.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "ioas-nest.h"
#include "window.h"

#define ROUNDS 220
#define ACCESSES 8
#define TABLE_PAGES 32
#define GVA 0x7f0000000000ul
#define RACES 30
/* DOMAIN_MAX_NESTED of intel/pasid-dev.c */
#define MAX_NESTED 256

static struct guest guest;
static int fd, levels = 4;
static uint32_t parent;
static const char *group_number, *device_name;

static void mark_data(void)
{
	for (unsigned int nr = DATA; nr < GUEST_PAGES; nr++)
		guest_page(&guest, nr)[0] = 0xda7a000000000000ul | nr;
}

static uint64_t data_of(unsigned int nr)
{
	return 0xda7a000000000000ul | nr;
}

static int is_fault(uint32_t id, uint64_t addr, unsigned int reason, int stage2)
{
	struct ioasid_event_fault e;

	if (next_event(fd, &e, 5000) && e.header.type == IOASID_EVENT_FAULT && e.ioasid == id && e.cookie == COOKIE_OF(id) &&
	    e.addr == (addr & ~(PAGE - 1)) && e.reason == reason && !!(e.header.flags & IOASID_FAULT_STAGE2) == stage2)
		return 1;
	printf("# event %u of %u at 0x%llx: reason %u (0x%x), flags %x; not at 0x%lx: reason %u, stage2 %d\n", e.header.type,
	       e.ioasid, e.addr, e.reason, e.hw_reason, e.header.flags, addr, reason, stage2);
	return 0;
}

static int is_silent(void)
{
	struct ioasid_event_fault e;

	return !next_event(fd, &e, 50);
}

static void allocs(void)
{
	struct ioasid_get_info info;
	uint32_t plain, id, other;
	uint64_t iova;
	int own;

	get_info(fd, &info);
	check(info.out_types & 1 << IOASID_TYPE_PGTABLE && info.out_formats == 1 << IOASID_FORMAT_VTD_S1 &&
	      info.out_features & IOASID_FEATURE_NEST_PARENT, "GET_INFO says that there are page tables of users");
	ioas_alloc(fd, &plain);
	check(is_err(nest_alloc(fd, plain, 48, &id), EINVAL), "a parent has to be allocated as one");
	check(is_err(nest_alloc(fd, 77777, 48, &id), ENOENT), "and to be there");
	check(is_err(nest_alloc(fd, parent, 39, &id), EINVAL), "there are 48 bits or 57");
	own = open("/dev/ioasid", O_RDWR);
	check(is_err(nest_alloc(own, parent, 48, &id), ENOENT), "a parent is of the same file");
	close(own);
	check(!nest_alloc(fd, parent, 48, &id), "a page table");
	check(is_err(nest_alloc(fd, id, 48, &other), EINVAL), "it is no parent");
	check(is_err(ioas_attach(&dev, fd, id), EINVAL), "it is not attached before a table is bound");
	check(is_err(nest_unbind(fd, id), ENOENT) && is_err(nest_invalidate(fd, id, 0, WHOLE, 0), ENOENT), "none is");
	check(is_err(nest_bind(fd, id, gpa_of(0) + 8, 0), EINVAL) && is_err(nest_bind(fd, id, 1ul << 60, 0), EINVAL),
	      "a table is at a page of the parent");
	check(is_err(nest_bind(fd, id, gpa_of(0), IOASID_PGTABLE_VTD_PCD), EOPNOTSUPP) &&
	      is_err(nest_bind(fd, id, gpa_of(0), IOASID_PGTABLE_VTD_WPE), EINVAL), "flags are looked at");
	check(is_err(nest_bind(fd, plain, gpa_of(0), 0), EINVAL) && is_err(nest_unbind(fd, plain), EINVAL), "and types");
	check(is_err(ioas_unmap(fd, id, 0, ~0ul), EINVAL), "it has no mappings");
	iova = gpa_of(HOLE);
	check(is_err(ioas_map(fd, parent, guest_page(&guest, HOLE), PAGE, IOASID_MAP_READ | FIXED, &iova), EOPNOTSUPP),
	      "and a parent none that can only be read");
	ioas_free(fd, id, NULL);
	ioas_free(fd, plain, NULL);
}

static void binds(void)
{
	uint32_t id, second;

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	make_table(&guest, levels, TABLES + 8, GVA, DATA + 1, P | W | U);
	nest_alloc(fd, parent, 48, &id);
	check(!nest_bind(fd, id, gpa_of(TABLES), 0) && is_err(nest_bind(fd, id, gpa_of(TABLES), 0), EBUSY), "a table is bound, once");
	check(is_refused(&dev, id, GVA) && is_silent(), "it is not attached");
	check(!ioas_attach(&dev, fd, id) && reads(&dev, id, GVA, data_of(DATA)), "attached, the device has its page");
	check(writes(&dev, id, GVA + 8, 47) && guest_page(&guest, DATA)[1] == 47, "which it writes to");
	check(*leaf_of(&guest, levels, TABLES, GVA) & D, "and that is noted");
	check(is_refused(&dev, id, GVA + PAGE) && is_fault(id, GVA + PAGE, IOASID_FAULT_ACCESS, 0), "it has no other");
	check(is_refused(&dev, id, gpa_of(DATA)) && is_fault(id, gpa_of(DATA), IOASID_FAULT_ACCESS, 0),
	      "nor those of the parent as such");
	check(!nest_unbind(fd, id) && is_refused(&dev, id, GVA) && is_silent(), "unbound, it is refused, and no event");
	check(is_err(nest_unbind(fd, id), ENOENT), "it is not unbound twice");
	check(!nest_bind(fd, id, gpa_of(TABLES + 8), 0) && reads(&dev, id, GVA, data_of(DATA + 1)),
	      "the next table is reached at once by who is attached");
	check(!nest_alloc(fd, parent, 48, &second) && !nest_bind(fd, second, gpa_of(TABLES), 0) &&
	      !ioas_attach(&dev, fd, second) && reads(&dev, second, GVA, data_of(DATA)) && reads(&dev, id, GVA, data_of(DATA + 1)),
	      "two tables of one parent");
	check(!ioas_attach(&dev, fd, parent) && reads(&dev, parent, gpa_of(DATA), data_of(DATA)), "and the parent itself");
	check(!ioas_free(fd, second, NULL) && is_refused(&dev, second, GVA) && reads(&dev, id, GVA, data_of(DATA + 1)),
	      "FREE of one leaves the other");
	check(!ioas_detach(&dev, fd, id) && is_refused(&dev, id, GVA), "detached, it is refused");
	ioas_free(fd, id, NULL);
	ioas_detach(&dev, fd, parent);
}

/* What the user changes is seen when it says so, if not before */
static void invalidations(void)
{
	struct ioasid_inv_vtd_s1 entries[3] = { { .addr = GVA, .npages = 1, .flags = IOASID_INV_LEAF },
						{ .addr = GVA + PAGE, .npages = 512 }, { .addr = GVA + 1, .npages = 1 } };
	struct ioasid_invalidate i = { .size = sizeof(i), .num = 3, .entry_size = sizeof(entries[0]),
				       .entries = (uintptr_t)entries };
	uint32_t id;

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	nest_alloc(fd, parent, 48, &id);
	nest_bind(fd, id, gpa_of(TABLES), 0);
	ioas_attach(&dev, fd, id);
	check(reads(&dev, id, GVA, data_of(DATA)), "a page is in the caches");
	*leaf_of(&guest, levels, TABLES, GVA) = gpa_of(DATA + 2) | P | W | U;
	check(!nest_invalidate(fd, id, GVA, 1, IOASID_INV_LEAF) && reads(&dev, id, GVA, data_of(DATA + 2)),
	      "another one is, after INVALIDATE of the page");
	*leaf_of(&guest, levels, TABLES, GVA) = 0;
	check(!nest_invalidate(fd, id, GVA - PAGE, 3, 0) && is_refused(&dev, id, GVA) &&
	      is_fault(id, GVA, IOASID_FAULT_ACCESS, 0), "of a range");
	*leaf_of(&guest, levels, TABLES, GVA) = gpa_of(DATA + 3) | P | W | U;
	check(!nest_invalidate(fd, id, 0, WHOLE, 0) && reads(&dev, id, GVA, data_of(DATA + 3)), "of everything");
	ioas_set_spid(fd, id, 4711);
	*leaf_of(&guest, levels, TABLES, GVA) = gpa_of(DATA + 4) | P | W | U;
	i.ioasid = 4711;
	i.flags = IOASID_INVALIDATE_SPID;
	i.num = 2;
	check(!ioctl(fd, IOASID_INVALIDATE, &i) && i.out_num == 2 && reads(&dev, id, GVA, data_of(DATA + 4)), "by the SPID");
	*leaf_of(&guest, levels, TABLES, GVA) = 0;
	i.num = 3;
	i.out_num = 99;
	check(ioctl(fd, IOASID_INVALIDATE, &i) && errno == EINVAL && i.out_num == 99 && reads(&dev, id, GVA, data_of(DATA + 4)),
	      "with a bad entry nothing is done");
	i.ioasid = 4712;
	check(ioctl(fd, IOASID_INVALIDATE, &i) && errno == ENOENT, "an SPID that there is not");
	i.flags = 0;
	i.ioasid = id;
	i.num = 0;
	check(!ioctl(fd, IOASID_INVALIDATE, &i) && i.out_num == 0, "of no entry");
	check(is_err(nest_invalidate(fd, id, GVA + 8, 1, 0), EINVAL) && is_err(nest_invalidate(fd, id, GVA, 0, 0), EINVAL) &&
	      is_err(nest_invalidate(fd, id, 1ul << 47, 1, 0), EINVAL) &&
	      is_err(nest_invalidate(fd, id, GVA, 1ul << 52, 0), EINVAL) &&
	      is_err(nest_invalidate(fd, id, GVA, WHOLE, 0), EINVAL) && is_err(nest_invalidate(fd, id, -PAGE, 2, 0), EINVAL) &&
	      is_err(nest_invalidate(fd, id, (1ul << 47) - PAGE, 2, 0), EINVAL) &&
	      is_err(nest_invalidate(fd, id, GVA, 1, 2), EOPNOTSUPP), "ranges that make no sense");
	check(!nest_invalidate(fd, id, 0, 1ul << 35, 0) && !nest_invalidate(fd, id, -(1ul << 47), 1ul << 35, 0) &&
	      is_refused(&dev, id, GVA) && is_fault(id, GVA, IOASID_FAULT_ACCESS, 0), "half of all addresses does");
	ioas_free(fd, id, NULL);
}

/* What the parent loses, all tables on top of it lose, and devices */
static void parents(void)
{
	uint32_t ids[2];
	int ok = 1;

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	for (int i = 0; i < 2; i++) {
		nest_alloc(fd, parent, 48, &ids[i]);
		ok &= !nest_bind(fd, ids[i], gpa_of(TABLES), 0) && !ioas_attach(&dev, fd, ids[i]) &&
		      reads(&dev, ids[i], GVA, data_of(DATA));
	}
	check(ok, "two have a page");
	check(!ioas_unmap(fd, parent, gpa_of(DATA), PAGE) && is_refused(&dev, ids[0], GVA) &&
	      is_fault(ids[0], GVA, IOASID_FAULT_ACCESS, 1) && is_refused(&dev, ids[1], GVA) &&
	      is_fault(ids[1], GVA, IOASID_FAULT_ACCESS, 1),
	      "neither has, when it is unmapped from the parent");
	check(!nest_map(fd, parent, &guest, DATA) && reads(&dev, ids[0], GVA, data_of(DATA)), "both do, when it is mapped again");
	check(!ioas_unmap(fd, parent, gpa_of(TABLES), PAGE) && is_refused(&dev, ids[0], GVA) &&
	      is_fault(ids[0], GVA, IOASID_FAULT_ACCESS, 1),
	      "the table itself is unmapped");
	check(is_refused(&dev, ids[1], GVA) && is_fault(ids[1], GVA, IOASID_FAULT_ACCESS, 1), "of the other one, too");
	check(!nest_map(fd, parent, &guest, TABLES) && reads(&dev, ids[1], GVA, data_of(DATA)), "and mapped");
	check(!ioas_free(fd, parent, NULL) && is_refused(&dev, ids[0], GVA) && is_refused(&dev, ids[1], GVA) && is_silent(),
	      "the parent is freed");
	check(is_err(nest_unbind(fd, ids[0]), ENOENT) && is_err(nest_bind(fd, ids[0], gpa_of(TABLES), 0), ENOENT),
	      "with it the tables are unbound, for good");
	check(!nest_make_parent(fd, &guest, &parent) && is_err(nest_bind(fd, ids[1], gpa_of(TABLES), 0), ENOENT),
	      "though its number is there again");
	ioas_free(fd, ids[0], NULL);
	ioas_free(fd, ids[1], NULL);
}

static const volatile uint64_t *window;

struct counts {
	uint64_t waits, by_domain, by_pasid, of_device;
};

static struct counts counts_now(void)
{
	return (struct counts){ window_count(window, WAIT), window_count(window, IOTLB), window_count(window, PIOTLB),
				window_count(window, DEVICE_PIOTLB) };
}

/* So many descriptors of each kind since then */
static int counted(const struct counts *since, uint64_t waits, uint64_t by_domain, uint64_t by_pasid, uint64_t of_device)
{
	struct counts now = counts_now(), got = { now.waits - since->waits, now.by_domain - since->by_domain,
						  now.by_pasid - since->by_pasid, now.of_device - since->of_device };

	if (got.waits == waits && got.by_domain == by_domain && got.by_pasid == by_pasid && got.of_device == of_device)
		return 1;
	printf("# %lu waits, %lu flushes by domain, %lu by PASID, %lu of the device\n", got.waits, got.by_domain, got.by_pasid,
	       got.of_device);
	return 0;
}

/* What is flushed, and how often that is waited for */
static void flushes(void)
{
	static const unsigned long pages[] = { 1, 16, 512 };
	struct counts since;
	uint32_t ids[2];
	int ok = 1;

	window = window_of_unit(0);
	if (!window || !dev.has_tlb)
		return;
	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	for (int i = 0; i < 2; i++) {
		nest_alloc(fd, parent, 48, &ids[i]);
		ok &= !nest_bind(fd, ids[i], gpa_of(TABLES), 0) && !ioas_attach(&dev, fd, ids[i]);
	}
	for (int i = 0; i < 3; i++) {
		since = counts_now();
		ok &= !nest_invalidate(fd, ids[0], GVA, pages[i], 0) && counted(&since, 2, 0, 1, 1);
	}
	check(ok, "INVALIDATE of 1, 16, 512 pages is a flush of the IOTLB and one of the device");
	since = counts_now();
	check(!ioas_unmap(fd, parent, gpa_of(DATA), PAGE) && counted(&since, 2, 1, 0, 2),
	      "UNMAP of the parent flushes once by domain, and the device for each table");
	nest_map(fd, parent, &guest, DATA);
	ioas_free(fd, ids[0], NULL);
	ioas_free(fd, ids[1], NULL);
}

/* An event has the SPID of its IOASID, be it as old as the binding, or not */
static void spids(void)
{
	struct ioasid_event_fault e;
	uint32_t id;
	int ok;

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	nest_alloc(fd, parent, 48, &id);
	ok = !nest_bind(fd, id, gpa_of(TABLES), 0) && !ioas_attach(&dev, fd, id);
	ok &= is_refused(&dev, id, GVA + PAGE) && next_event(fd, &e, 5000) && e.spid == ~0u;
	check(ok && !ioas_set_spid(fd, id, 4712) && is_refused(&dev, id, GVA + PAGE) && next_event(fd, &e, 5000) &&
	      e.ioasid == id && e.spid == 4712, "an SPID that comes behind BIND is in events");
	check(!nest_unbind(fd, id) && !nest_bind(fd, id, gpa_of(TABLES), 0) && is_refused(&dev, id, GVA + PAGE) &&
	      next_event(fd, &e, 5000) && e.ioasid == id && e.spid == 4712, "and one that was there before");
	ioas_free(fd, id, NULL);
}

/* What one UNMAP of a parent has to flush is bounded */
static void attachments(void)
{
	static uint32_t ids[MAX_NESTED + 1];
	unsigned int i, wrong = 0;

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	for (i = 0; i < MAX_NESTED; i++)
		wrong += nest_alloc(fd, parent, 48, &ids[i]) || nest_bind(fd, ids[i], gpa_of(TABLES), 0) ||
			 ioas_attach(&dev, fd, ids[i]) || !reads(&dev, ids[i], GVA, data_of(DATA));
	check(!wrong, "256 tables of one parent are attached");
	nest_alloc(fd, parent, 48, &ids[i]);
	check(!nest_bind(fd, ids[i], gpa_of(TABLES), 0) && is_err(ioas_attach(&dev, fd, ids[i]), ENOSPC), "no more than that");
	check(!nest_unbind(fd, ids[0]) && !ioas_attach(&dev, fd, ids[i]) && reads(&dev, ids[i], GVA, data_of(DATA)) &&
	      is_err(nest_bind(fd, ids[0], gpa_of(TABLES), 0), ENOSPC) && is_err(nest_unbind(fd, ids[0]), ENOENT) &&
	      is_refused(&dev, ids[0], GVA), "one that was unbound gives its place to another, and finds none");
	check(!ioas_detach(&dev, fd, ids[i]) && !nest_bind(fd, ids[0], gpa_of(TABLES), 0) &&
	      reads(&dev, ids[0], GVA, data_of(DATA)), "before that is detached");
	ioas_unmap(fd, parent, gpa_of(DATA), PAGE);
	for (wrong = i = 0; i < MAX_NESTED; i++)
		wrong += !is_refused(&dev, ids[i], GVA);
	check(!wrong, "UNMAP of the parent reaches all of them");
	nest_map(fd, parent, &guest, DATA);
	for (i = 0; i <= MAX_NESTED; i++)
		ioas_free(fd, ids[i], NULL);
	drain_events(fd, 50);
}

#define TD_PRIV 2u

/* Requests of a privileged mode, as far as BIND lets a device send them */
static void privileged(void)
{
	uint64_t data = 0;
	uint32_t id;

	make_table(&guest, levels, TABLES, GVA, DATA, P);
	nest_alloc(fd, parent, 48, &id);
	nest_bind(fd, id, gpa_of(TABLES), 0);
	ioas_attach(&dev, fd, id);
	check(is_refused(&dev, id, GVA) && is_fault(id, GVA, IOASID_FAULT_ACCESS, 0), "a page that is not for users is refused");
	check(request(&dev, id, GVA, TD_DMA, TD_PRIV, &data) && is_fault(id, GVA, IOASID_FAULT_ACCESS, 0),
	      "to a privileged request, too");
	nest_unbind(fd, id);
	check(!nest_bind(fd, id, gpa_of(TABLES), IOASID_PGTABLE_VTD_SRE) && !request(&dev, id, GVA, TD_DMA, TD_PRIV, &data) &&
	      data == guest_page(&guest, DATA)[0], "with SRE it is not");
	check(is_refused(&dev, id, GVA) && is_fault(id, GVA, IOASID_FAULT_ACCESS, 0), "users still are");
	data = 48;
	check(!request(&dev, id, GVA + 16, TD_DMA, TD_PRIV | TD_WRITE, &data) && guest_page(&guest, DATA)[2] == 48,
	      "and it writes where the table does not let it");
	nest_unbind(fd, id);
	data = 49;
	check(!nest_bind(fd, id, gpa_of(TABLES), IOASID_PGTABLE_VTD_SRE | IOASID_PGTABLE_VTD_WPE) &&
	      request(&dev, id, GVA + 16, TD_DMA, TD_PRIV | TD_WRITE, &data) && is_fault(id, GVA, IOASID_FAULT_ACCESS, 0) &&
	      guest_page(&guest, DATA)[2] == 48, "but with WPE");
	nest_unbind(fd, id);
	check(is_err(nest_bind(fd, id, gpa_of(TABLES), IOASID_PGTABLE_VTD_EAFE), EOPNOTSUPP), "the model has no EAFE");
	ioas_free(fd, id, NULL);
}

static unsigned int chance(unsigned int of)
{
	return random() % of == 0;
}

/* Mostly one that leads somewhere; else garbage, loops, what the parent does not have */
static uint64_t random_entry(unsigned int of_page)
{
	uint64_t entry = P | A, to = TABLES + random() % TABLE_PAGES;

	if (chance(32))
		return (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ random();
	if (of_page != chance(8))
		to = DATA + random() % (GUEST_PAGES - DATA);
	if (chance(16))
		to = HOLE + random() % (DATA - HOLE);
	if (chance(24))
		entry &= ~P;
	entry |= chance(12) ? 0 : W;
	entry |= chance(32) ? 0 : U;
	entry ^= chance(2) ? A : 0;
	entry |= chance(2) ? D : 0;
	entry |= chance(48) ? 1ul << 50 : 0;
	entry |= chance(4) ? 1ul << 63 : 0;
	if (chance(48))
		return entry | 1ul << (40 + random() % 8);
	/* A large page begins where the guest does */
	if (chance(24))
		return entry | PS | (chance(2) ? BASE : gpa_of(to));
	return entry | gpa_of(to);
}

/* Entries of the lower half are mostly those of tables, the others of pages */
static void random_tables(void)
{
	for (int nr = TABLES; nr < TABLES + TABLE_PAGES; nr++)
		for (int i = 0; i < 512; i++)
			guest_page(&guest, nr)[i] = random_entry(i >= 256);
}

static int is_table(const uint64_t *host)
{
	return host < guest_page(&guest, TABLES + TABLE_PAGES);
}

/* Eight bytes that are not on two pages; mostly by tables down to the last level */
static uint64_t random_gva(void)
{
	uint64_t gva = (uint64_t)random() << 33 ^ (uint64_t)random() << 8;
	int unused = 64 - 12 - 9 * levels;

	if (!chance(8)) {
		for (int level = 2; level <= levels; level++)
			gva &= ~(256ul << (12 + 9 * (level - 1)));
		gva |= 256ul << 12;
	}
	if (!chance(30))
		gva = (uint64_t)((int64_t)(gva << unused) >> unused);
	return gva & ~7ul;
}

/* One access by the device, and what there is afterwards, is as the walk says */
static int as_the_walk_says(uint32_t id, uint64_t root, struct guest *model, unsigned long counts[3])
{
	uint64_t gva = random_gva(), data = (uint64_t)random() << 20, got;
	int write = random() % 2, ret, ok = 1;
	struct walk w;

	memcpy(model->memory, guest.memory, GUEST_PAGES * PAGE);
	w = walk(model, root, levels, gva, write);
	/* A device that changes the tables that it walks does as it finds */
	if (w.ok && write && is_table(w.host - model->memory + guest.memory))
		return 1;
	got = data;
	ret = request(&dev, id, gva, TD_DMA, write ? TD_WRITE : 0, &got);
	if (w.ok && write)
		*w.host = data;
	if (w.ok)
		ok = !ret && (write || got == *w.host);
	else
		ok = ret && is_fault(id, gva, w.reason, w.stage2);
	if (!ok || memcmp(model->memory, guest.memory, GUEST_PAGES * PAGE)) {
		printf("# %s of 0x%lx by the table at page %lu: %s, not %s%s\n", write ? "write" : "read", gva,
		       (root - BASE) / PAGE, ret ? "refused" : "done", w.ok ? "done" : "refused",
		       ok ? "; memory differs" : "");
		return 0;
	}
	counts[w.ok ? 0 : w.stage2 ? 2 : 1]++;
	return 1;
}

static void against_a_walk(unsigned int width)
{
	struct guest model = guest;
	unsigned long counts[3] = {};
	unsigned int round, wrong = 0;
	char line[96];
	uint32_t id;

	model.memory = guest_memory();
	levels = width == 57 ? 5 : 4;
	snprintf(line, sizeof(line), "%u bits: random tables lead where a walk of the specification leads", width);
	if (nest_alloc(fd, parent, width, &id)) {
		check(0, line);
		return;
	}
	for (round = 0; round < ROUNDS && !wrong; round++) {
		uint64_t root = gpa_of(TABLES + random() % TABLE_PAGES);

		random_tables();
		wrong += nest_bind(fd, id, root, 0) || (!round && ioas_attach(&dev, fd, id));
		for (int i = 0; i < ACCESSES && !wrong; i++)
			wrong += !as_the_walk_says(id, root, &model, counts);
		wrong += nest_unbind(fd, id);
	}
	printf("# %u tables: %lu accesses done, %lu refused by the table, %lu by the parent\n", round, counts[0], counts[1],
	       counts[2]);
	check(!wrong && counts[0] > ROUNDS / 2 && counts[1] > ROUNDS / 2 && counts[2] > ROUNDS / 2, line);
	ioas_free(fd, id, NULL);
	munmap(model.memory, GUEST_PAGES * PAGE);
	levels = 4;
}

static uint32_t raced, raced_parent;
static int raced_fd;

static void *race(void *what)
{
	uint64_t iova = gpa_of(TABLES);

	switch ((uintptr_t)what) {
	case 0:
		ioas_free(raced_fd, raced, NULL);
		break;
	case 1:
		ioas_free(raced_fd, raced_parent, NULL);
		break;
	case 2:
		nest_unbind(raced_fd, raced);
		nest_bind(raced_fd, raced, iova, 0);
		break;
	case 3:
		ioas_attach(&dev, raced_fd, raced);
		break;
	case 4:
		for (int i = 0; i < 8; i++)
			nest_invalidate(raced_fd, raced, GVA, 1, 0);
		break;
	case 5:
		ioas_detach(&dev, raced_fd, raced);
		break;
	default:
		close(raced_fd);
	}
	return NULL;
}

static void races(void)
{
	unsigned int round, reached = 0;
	uint64_t iova = BASE;
	pthread_t threads[7];

	make_table(&guest, levels, TABLES, GVA, DATA, P | W | U);
	for (round = 0; round < RACES; round++) {
		raced_fd = open("/dev/ioasid", O_RDWR);
		if (nest_parent(raced_fd, &raced_parent) ||
		    ioas_map(raced_fd, raced_parent, guest.memory, GUEST_PAGES * PAGE, RW | FIXED, &iova) ||
		    nest_alloc(raced_fd, raced_parent, 48, &raced) || nest_bind(raced_fd, raced, gpa_of(TABLES), 0) ||
		    (round % 2 && ioas_attach(&dev, raced_fd, raced)))
			break;
		for (uintptr_t i = 0; i < 7; i++)
			pthread_create(&threads[i], NULL, race, (void *)((i + round) % 7));
		for (int i = 0; i < 7; i++)
			pthread_join(threads[i], NULL);
		reached += !is_refused(&dev, raced, GVA);
	}
	check(round == RACES && !reached, "FREE of both, BIND, UNBIND, ATTACH, DETACH, INVALIDATE and close at once");
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct ioasid_device_info info = { .size = sizeof(info) };
	struct ioasid_get_info machine;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	group_number = argv[1];
	device_name = argv[2];
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	srandom(20);
	guest.memory = guest_memory();
	mark_data();
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, group_number, device_name), "/dev/ioasid and the device are opened");
	check(!failed && !ioctl(dev.fd, IOASID_DEVICE_INFO, &info) && info.out_vtd_ecap >> 26 & 1, "its IOMMU can nest");
	check(!failed && !nest_make_parent(fd, &guest, &parent), "a parent, with what the guest has of memory");
	if (failed)
		goto out;
	guest.giant = info.out_vtd_cap >> 56 & 1;
	get_info(fd, &machine);
	guest.last = machine.out_iova_last;
	allocs();
	binds();
	invalidations();
	parents();
	flushes();
	spids();
	attachments();
	privileged();
	against_a_walk(48);
	if (info.out_vtd_cap >> 60 & 1)
		against_a_walk(57);
	races();
	ioas_free(fd, parent, NULL);
	check(locked_kib() == 0 && !pinned_pages(), "nothing is left");
out:
	printf("1..%d\n", number);
	return failed;
}
