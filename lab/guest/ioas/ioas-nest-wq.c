// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-nest-wq
 *
 * Prints TAP. Work queues of idxd in mode ioasid with page tables of the program's making: a DSA goes by them, on top of what
 * the parent maps, and what goes wrong is told by the number that the "guest" knows its IOASID by.
 */
#define _GNU_SOURCE
#include "ioas-wq.h"
#include "ioas-nest.h"

#define SPID 4711u
/* The pages of the last level, of the first table and the second one */
#define FIRST TABLES
#define SECOND (TABLES + 8)
#define LEVELS 4
/* Where data of the first table is, and of the second one */
#define DATA2 (DATA + 8)

static struct guest guest;
static uint32_t parent;
static int fd;

/* SOURCE, TARGET and RECORD, which are elsewhere in the parent; and BESIDE, which the parent does not have */
static void make_place(unsigned int table, unsigned int data)
{
	make_table(&guest, LEVELS, table, SOURCE, data, P | W | U);
	for (int i = 1; i < 3; i++)
		*leaf_of(&guest, LEVELS, table, PLACE + i * PAGE) = gpa_of(data + i) | P | W | U;
	*leaf_of(&guest, LEVELS, table, BESIDE) = gpa_of(HOLE) | P | W | U;
}

/* What the program sees of it */
static struct area area_of(uint32_t id, unsigned int data)
{
	return (struct area){ .fd = fd, .id = id, .memory = (uint8_t *)guest_page(&guest, data) };
}

static int invalidate_spid(uint32_t spid, uint64_t addr)
{
	return nest_invalidate_as(fd, spid, IOASID_INVALIDATE_SPID, addr, 1, IOASID_INV_LEAF);
}

/* The next event is a fault of it, by that name and of that stage */
static int fault_of(uint32_t id, uint32_t spid, uint64_t addr, int stage2)
{
	union any_event e;
	int got = next_of_any(fd, &e, SOON);

	if (got && e.header.type == IOASID_EVENT_FAULT && e.fault.ioasid == id && e.fault.spid == spid &&
	    e.fault.cookie == COOKIE_OF(id) && e.fault.addr == addr && e.fault.reason == IOASID_FAULT_ACCESS &&
	    !!(e.header.flags & IOASID_FAULT_STAGE2) == stage2)
		return 1;
	printf("# %s: type %u flags %x ioasid %u spid %u addr %llx reason %u\n", got ? "event" : "no event", e.header.type,
	       e.header.flags, e.fault.ioasid, e.fault.spid, e.fault.addr, e.fault.reason);
	return 0;
}

/* Nothing is read nor written, not even a record: there is no table */
static int is_silent(struct queue *queue, const struct area *area)
{
	int ok;

	fill_both(area);
	descriptor = move_at(TARGET, SOURCE);
	record_of(area)->status = 0;
	ok = !give(queue, &descriptor);
	ok &= no_event(area);
	return ok && !record_of(area)->status && both_filled(area);
}

static void test_binds(struct queue *queue, uint32_t id, const struct area *area, const struct area *second)
{
	of(queue, is_err(wq_attach(queue, area), EINVAL) && is_err(write_error(queue), EINVAL),
	   "a page table is not attached before it is bound");
	of(queue, !nest_bind(fd, id, gpa_of(FIRST), 0) && is_err(wq_start(queue, area), 0) && moves(queue, area, 1, 20),
	   "then the device copies what the table leads to");
	of(queue, moves(queue, area, 2, 5) && *leaf_of(&guest, LEVELS, FIRST, TARGET) & D &&
	   !(*leaf_of(&guest, LEVELS, FIRST, SOURCE) & D),
	   "what it has written is noted in the table");
	of(queue, no_event(area) && !nest_unbind(fd, id) && is_silent(queue, area),
	   "unbound, it reaches nothing, and no event tells");
	of(queue, !nest_bind(fd, id, gpa_of(SECOND), 0) && moves(queue, second, 3, 20),
	   "the next table is gone by at once, by the same portal");
	of(queue, !nest_unbind(fd, id) && !nest_bind(fd, id, gpa_of(FIRST), 0) && moves(queue, area, 4, 5), "and the first again");
}

static void test_faults(struct queue *queue, uint32_t id, const struct area *area)
{
	uint64_t iova = gpa_of(DATA + 1);

	*leaf_of(&guest, LEVELS, FIRST, BESIDE + PAGE) = 0;
	of(queue, is_kept_out(queue, area, TARGET, BESIDE + PAGE) && fault_of(id, ~0u, BESIDE + PAGE, 0),
	   "what the table does not have is its fault");
	of(queue, is_kept_out(queue, area, TARGET, BESIDE) && fault_of(id, ~0u, BESIDE, 1),
	   "what the parent does not have is the parent's");
	of(queue, is_kept_out(queue, area, TARGET, gpa_of(DATA)) && fault_of(id, ~0u, gpa_of(DATA), 0),
	   "addresses of the parent are not those of the table");
	of(queue, !ioas_unmap(fd, parent, iova, PAGE) && is_kept_out(queue, area, TARGET, SOURCE) && fault_of(id, ~0u, TARGET, 1),
	   "what the parent has no more is not written to");
	of(queue, !nest_map(fd, parent, &guest, DATA + 1) && moves(queue, area, 5, 5), "and is, when it is mapped again");
}

static void test_spids(struct queue *queue, uint32_t id, const struct area *area)
{
	of(queue, !ioas_set_spid(fd, id, SPID) && is_kept_out(queue, area, TARGET, BESIDE) && fault_of(id, SPID, BESIDE, 1),
	   "an SPID behind BIND is in events");
	of(queue, !nest_unbind(fd, id) && !nest_bind(fd, id, gpa_of(FIRST), 0) && is_kept_out(queue, area, TARGET, BESIDE) &&
	   fault_of(id, SPID, BESIDE, 1), "so is one that was there before it");
}

/* The device has translations of its own, when it uses ATS: it has what was, until it is told */
static void test_invalidate(struct queue *queue, const struct area *area, const struct area *second)
{
	int ok = moves(queue, area, 6, 5);

	/* From then on what is copied is the other table's first page */
	*leaf_of(&guest, LEVELS, FIRST, SOURCE) = gpa_of(DATA2) | P | W | U;
	ok &= !invalidate_spid(SPID, SOURCE);
	fill(second->memory, PAGE, 7, 7);
	fill(area->memory, PAGE, 8, 8);
	ok &= run(queue, area, TARGET, SOURCE) == DSA_COMP_SUCCESS && filled(area->memory + PAGE, PAGE, 7, 7);
	of(queue, ok, "a page that was replaced is copied, after INVALIDATE by SPID");
	*leaf_of(&guest, LEVELS, FIRST, SOURCE) = 0;
	ok = !invalidate_spid(SPID, SOURCE) && is_kept_out(queue, area, TARGET, SOURCE);
	of(queue, ok, "and one that was taken away is not");
	*leaf_of(&guest, LEVELS, FIRST, SOURCE) = gpa_of(DATA) | P | W | U;
	of(queue, moves(queue, area, 9, 5), "what was not there needs no word");
}

static void test_ends(struct queue *queue, uint32_t id, const struct area *area)
{
	of(queue, !wq_detach(queue, area) && is_err(write_error(queue), EINVAL), "DETACH leaves it bound");
	portal_unmap(queue);
	of(queue, is_err(wq_start(queue, area), 0) && moves(queue, area, 10, 5), "to be attached again");
	of(queue, !ioas_free(fd, id, NULL) && is_err(write_error(queue), EINVAL), "FREE detaches");
	portal_unmap(queue);
}

static void test_one(const char *name, int ats)
{
	struct area area, second;
	struct queue queue;
	union any_event e;
	uint32_t id;
	int ok;

	make_place(FIRST, DATA);
	make_place(SECOND, DATA2);
	ok = !wq_open(&queue, name) && !nest_alloc(fd, parent, 48, &id);
	area = area_of(id, DATA);
	second = area_of(id, DATA2);
	of(&queue, ok, ats ? "with ATS: a queue, and a page table" : "a queue, and a page table");
	test_binds(&queue, id, &area, &second);
	if (!ats) {
		test_faults(&queue, id, &area);
		test_spids(&queue, id, &area);
	} else {
		ioas_set_spid(fd, id, SPID);
	}
	test_invalidate(&queue, &area, &second);
	/* With ATS there is none; without, that of what was taken away */
	while (next_of_any(fd, &e, 100))
		;
	test_ends(&queue, id, &area);
	wq_close(&queue);
}

/* FREE of the parent, under both queues */
static void test_parent(void)
{
	static const char * const names[] = { DEDICATED, SHARED };
	struct queue queues[2];
	struct area areas[2];
	uint32_t ids[2];
	int ok = 1;

	for (int i = 0; i < 2; i++) {
		ok &= !wq_open(&queues[i], names[i]) && !nest_alloc(fd, parent, 48, &ids[i]);
		areas[i] = area_of(ids[i], i ? DATA2 : DATA);
		ok &= !nest_bind(fd, ids[i], gpa_of(i ? SECOND : FIRST), 0) && !wq_start(&queues[i], &areas[i]);
	}
	check(ok && moves(&queues[0], &areas[0], 11, 5) && moves(&queues[1], &areas[1], 12, 5), "two tables on one parent");
	check(!ioas_free(fd, parent, NULL) && is_silent(&queues[0], &areas[0]) && is_silent(&queues[1], &areas[1]),
	      "which is freed: none of them leads anywhere");
	for (int i = 0; i < 2; i++)
		wq_close(&queues[i]);
}

int main(void)
{
	struct rest before;

	printf("TAP version 13\n");
	check(shell(QUEUES "load"), "idxd and its device");
	before = the_rest();
	guest.memory = guest_memory();
	fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	check(!nest_make_parent(fd, &guest, &parent), "a parent, with what the guest has of memory");
	check(shell(QUEUES "queue 0 ioasid 1 && " QUEUES "queue 1 ioasid 1"), "two queues in mode ioasid");
	test_one(DEDICATED, 0);
	test_one(SHARED, 0);
	check(shell(QUEUES "off 0 1 && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"), "queues that use ATS");
	test_one(DEDICATED, 1);
	test_one(SHARED, 1);
	test_parent();
	close(fd);
	check(is_as_before(&before), "nothing is left");
	check(shell(QUEUES "off 0 1 && rmmod idxd"), "the driver goes");
	printf("1..%d\n", number);
	return failed;
}
