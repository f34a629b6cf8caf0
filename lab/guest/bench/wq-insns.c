// SPDX-License-Identifier: GPL-2.0
/*
 * usage: wq-insns sva|ioasid
 *
 * For scripts/bench: guest instructions to get an address space for work queues of idxd, to end that, and to submit a
 * descriptor, with both queues in that mode. The regions of both modes are beside each other, so are those of the queues.
 */
#define _GNU_SOURCE
#include "../ioas/ioas-wq.h"

#include "insn-mark.h"

#define ROUNDS 200
/* Each is a process */
#define FIRST_ROUNDS 150

/* By how much the regions of a mode, and those of a queue, are behind the others' */
#define IOASID_MODE 60
#define DEDICATED_QUEUE 30

enum {
	/* open() and close() */
	FIRST_OPEN = 1, OPEN_AGAIN = 3, OPEN_BOUND = 5, OPEN_ONLY = 7,
	/* ALLOC, DEVICE_ATTACH, DEVICE_DETACH, FREE */
	TYPE_IOVA = 9, TYPE_SVA = 13, SVA_BESIDE = 17,
	/* DEVICE_ATTACH and DEVICE_DETACH */
	ATTACH_BOUND = 21,
	BY_WRITE = 23, BY_PORTAL = 24,
};

static struct queue queue;
static struct area area;

static void die(const char *what)
{
	printf("** %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Mark numbers are constants, so there is one copy for each */
#define INLINE static inline __attribute__((always_inline))

/* From the second round on, the process has had a PASID before; whatever else open() did, close() has undone */
INLINE void measure_open(const char *name, const int region, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		int file, err;

		INSN_MARK_BEGIN(region);
		file = open(name, O_RDWR | O_CLOEXEC);
		INSN_MARK_END(region);
		if (file < 0)
			die(name);
		INSN_MARK_BEGIN(region + 1);
		err = close(file);
		INSN_MARK_END(region + 1);
		if (err)
			die("close");
	}
}

/* Its PASID, too, is new. What it has shared with its parent until it writes there is its own before. */
INLINE int measure_first(const char *name, const int region)
{
	close(open("/dev/null", O_RDWR | O_CLOEXEC));
	measure_open(name, region, 1);
	return 0;
}

static int first_shared(int talk)
{
	(void)talk;
	return measure_first(SHARED, FIRST_OPEN);
}

static int first_dedicated(int talk)
{
	(void)talk;
	return measure_first(DEDICATED, FIRST_OPEN + DEDICATED_QUEUE);
}

INLINE void measure_type(const int region, uint32_t type)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = type, .max = UINT32_MAX };
		struct ioasid_device_attach attach = { .size = sizeof(attach), .ioasid_fd = area.fd };
		struct ioasid_device_detach detach = { .size = sizeof(detach), .ioasid_fd = area.fd };
		struct ioasid_free free = { .size = sizeof(free) };
		int err;

		INSN_MARK_BEGIN(region);
		err = ioctl(area.fd, IOASID_ALLOC, &alloc);
		INSN_MARK_END(region);
		attach.ioasid = detach.ioasid = free.ioasid = alloc.out_ioasid;
		INSN_MARK_BEGIN(region + 1);
		err |= ioctl(queue.file, IOASID_DEVICE_ATTACH, &attach);
		INSN_MARK_END(region + 1);
		INSN_MARK_BEGIN(region + 2);
		err |= ioctl(queue.file, IOASID_DEVICE_DETACH, &detach);
		INSN_MARK_END(region + 2);
		INSN_MARK_BEGIN(region + 3);
		err |= ioctl(area.fd, IOASID_FREE, &free);
		INSN_MARK_END(region + 3);
		if (err || free.out_pending)
			die(type == IOASID_TYPE_SVA ? "an IOASID of type SVA" : "an IOASID of type IOVA");
	}
}

/* What @area is attached to already, by way of another file */
INLINE void measure_attach(const int region)
{
	for (int i = 0; i < ROUNDS; i++) {
		int err;

		INSN_MARK_BEGIN(region);
		err = wq_attach(&queue, &area);
		INSN_MARK_END(region);
		INSN_MARK_BEGIN(region + 1);
		err |= wq_detach(&queue, &area);
		INSN_MARK_END(region + 1);
		if (err)
			die("an IOASID that the device has");
	}
}

static int is_copied(unsigned int round)
{
	return wait_for(record_of(&area)) == DSA_COMP_SUCCESS && filled(area.memory + PAGE, PAGE, 1, round);
}

/* All pages were touched, by the device, too, from the second round on */
#define MEASURE_COPIES(region, submission)					\
do {										\
	for (int i = 0; i < ROUNDS; i++) {					\
		int err;							\
										\
		fill(area.memory, PAGE, 1, i);					\
		record_of(&area)->status = 0;					\
		INSN_MARK_BEGIN(region);					\
		err = submission;						\
		INSN_MARK_END(region);						\
		if (err || !is_copied(i))					\
			die("a copy by way of " #region);			\
	}									\
} while (0)

/* One page, without an interrupt at its end, to where the device finds the area's memory */
INLINE void measure_submission(uint64_t place, const int base)
{
	uint64_t record_at = place + RECORD - PLACE;

	descriptor = memmove_of((void *)(place + PAGE), (void *)place, PAGE, (void *)record_at, 0);
	MEASURE_COPIES(base + BY_WRITE, write(queue.file, &descriptor, sizeof(descriptor)) != sizeof(descriptor));
	if (!queue.portal)
		return;
	if (queue.shared)
		MEASURE_COPIES(base + BY_PORTAL, idxd_enqcmd(queue.portal, &descriptor));
	else
		MEASURE_COPIES(base + BY_PORTAL, (idxd_movdir64b(queue.portal, &descriptor), 0));
}

INLINE void measure_sva(const char *name, const char *other, int (*first)(int talk), const int base)
{
	struct queue beside;

	for (int i = 0; i < FIRST_ROUNDS; i++)
		if (!run_child(first))
			die("a process of its own");
	measure_open(name, base + OPEN_AGAIN, ROUNDS);
	if (wq_open(&beside, other))
		die(other);
	measure_open(name, base + OPEN_BOUND, ROUNDS);
	wq_close(&beside);
	if (queue_open(&queue, name))
		die(name);
	measure_submission((uintptr_t)area.memory, base);
	queue_close(&queue);
}

/* Another queue of the device has this process, by an IOASID of type SVA */
static uint32_t attach_sva(struct queue *beside)
{
	struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = IOASID_TYPE_SVA, .max = UINT32_MAX };

	if (ioctl(area.fd, IOASID_ALLOC, &alloc))
		die("ALLOC");
	errno = wq_attach_as(beside, area.fd, alloc.out_ioasid, 0);
	if (errno)
		die("an IOASID of type SVA beside");
	return alloc.out_ioasid;
}

INLINE void measure_ioasid(const char *name, const char *other, const int base)
{
	struct queue beside;
	uint32_t id;

	measure_open(name, base + OPEN_ONLY, ROUNDS);
	if (wq_open(&queue, name) || wq_open(&beside, other))
		die("queues");
	measure_type(base + TYPE_IOVA, IOASID_TYPE_IOVA);
	measure_type(base + TYPE_SVA, IOASID_TYPE_SVA);
	id = attach_sva(&beside);
	measure_type(base + SVA_BESIDE, IOASID_TYPE_SVA);
	if (wq_detach(&beside, &(struct area){ .fd = area.fd, .id = id }) || ioas_free(area.fd, id, NULL) ||
	    wq_attach(&beside, &area))
		die("another IOASID for the queue beside");
	measure_attach(base + ATTACH_BOUND);
	wq_close(&beside);
	errno = wq_start(&queue, &area);
	if (errno)
		die("DEVICE_ATTACH");
	measure_submission(PLACE, base);
	wq_close(&queue);
}

int main(int argc, char **argv)
{
	/* Nothing is tested here */
	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	errno = area_open(&area);
	if (errno)
		die("/dev/ioasid");
	fill_both(&area);
	if (!strcmp(argv[1], "sva")) {
		measure_sva(SHARED, DEDICATED, first_shared, 0);
		measure_sva(DEDICATED, SHARED, first_dedicated, DEDICATED_QUEUE);
	} else {
		measure_ioasid(SHARED, DEDICATED, IOASID_MODE);
		measure_ioasid(DEDICATED, SHARED, IOASID_MODE + DEDICATED_QUEUE);
	}
	return 0;
}
