/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that give work queues of idxd an IOASID of /dev/ioasid: queues in mode ioasid (ioas-queues.sh
 * sets them up), memory in IOASIDs, copies there, and what the kernel tells of them
 */
#ifndef IOAS_WQ_H
#define IOAS_WQ_H

#include "../sva/sva-user.h"
#include "ioas-check.h"

/* Where each IOASID has its pages: what is copied, whereto, and completion records. The rest is not mapped. */
#define PLACE (64ul << 30)
#define SOURCE PLACE
#define TARGET (PLACE + PAGE)
#define RECORD (PLACE + 2 * PAGE)
#define BESIDE (PLACE + 3 * PAGE)
#define PAGES (3 * PAGE)

/* For what comes by way of an interrupt, or of being looked for now and then */
#define SOON 2000

#define QUEUES "sh /lab/ioas-queues.sh "

/* An IOASID and its memory; FD may be that of others, too */
struct area {
	int fd;
	uint32_t id;
	uint8_t *memory;
};

/* Fills in ID and MEMORY; 0 or errno */
static inline int area_add(struct area *area, int fd)
{
	uint64_t iova = PLACE;

	*area = (struct area) { .fd = fd, .memory = map(PAGES) };
	return fd < 0 ? EBADF : ioas_alloc(fd, &area->id) ?: ioas_map(fd, area->id, area->memory, PAGES, RW | FIXED, &iova);
}

static inline int area_open(struct area *area)
{
	return area_add(area, open("/dev/ioasid", O_RDWR | O_CLOEXEC));
}

static inline void area_close(struct area *area)
{
	close(area->fd);
	munmap(area->memory, PAGES);
}

/* FREE, which leaves nothing to wait for */
static inline int area_free(struct area *area)
{
	int pending, ret = ioas_free(area->fd, area->id, &pending);

	munmap(area->memory, PAGES);
	return ret ?: pending ? EINPROGRESS : 0;
}

/* A check of one of both queues */
static inline void of(const struct queue *queue, int ok, const char *name)
{
	static char line[256];

	snprintf(line, sizeof(line), "%s: %s", queue->shared ? "shared" : "dedicated", name);
	check(ok, line);
}

/* Without the portal: nothing can be submitted as yet */
static inline int wq_open(struct queue *queue, const char *name)
{
	memset(queue, 0, sizeof(*queue));
	queue->shared = !strcmp(name, SHARED) || !strcmp(name, SHARED2);
	queue->file = open(name, O_RDWR | O_CLOEXEC);
	return queue->file < 0 ? errno : 0;
}

static inline int portal_map(struct queue *queue)
{
	void *portal = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, queue->file, 0);

	if (portal == MAP_FAILED)
		return errno;
	queue->portal = portal;
	return 0;
}

static inline void portal_unmap(struct queue *queue)
{
	if (queue->portal)
		munmap(queue->portal, PAGE);
	queue->portal = NULL;
}

static inline void wq_close(struct queue *queue)
{
	portal_unmap(queue);
	close(queue->file);
}

static inline int wq_attach_as(struct queue *queue, int fd, uint32_t id, uint64_t cookie)
{
	struct ioasid_device_attach a = { .size = sizeof(a), .ioasid_fd = fd, .ioasid = id, .cookie = cookie };

	if (ioctl(queue->file, IOASID_DEVICE_ATTACH, &a))
		return errno;
	return a.out_pasid == id ? 0 : EPROTO;
}

static inline int wq_attach(struct queue *queue, const struct area *area)
{
	return wq_attach_as(queue, area->fd, area->id, COOKIE_OF(area->id));
}

static inline int wq_detach(struct queue *queue, const struct area *area)
{
	struct ioasid_device_detach d = { .size = sizeof(d), .ioasid_fd = area->fd, .ioasid = area->id };

	return ioctl(queue->file, IOASID_DEVICE_DETACH, &d) ? errno : 0;
}

/* Attached, and with a portal where there is one */
static inline int wq_start(struct queue *queue, const struct area *area)
{
	return wq_attach(queue, area) ?: queue->shared ? 0 : portal_map(queue);
}

static inline struct dsa_completion_record *record_of(const struct area *area)
{
	return (void *)(area->memory + RECORD - PLACE);
}

static inline struct dsa_hw_desc move_at(uint64_t to, uint64_t from)
{
	return memmove_of((void *)to, (void *)from, PAGE, (void *)RECORD, 0);
}

/* By the portal, if the program has it, otherwise by write(); 0 or errno */
static inline int give(struct queue *queue, const struct dsa_hw_desc *desc)
{
	if (queue->portal) {
		idxd_movdir64b(queue->portal + queue->next++ % 64 * 64, desc);
		return 0;
	}
	while (write(queue->file, desc, sizeof(*desc)) != sizeof(*desc)) {
		if (errno != EAGAIN)
			return errno;
		sched_yield();
	}
	return 0;
}

/* The status, or -1 when the descriptor is not taken */
static inline int run(struct queue *queue, const struct area *area, uint64_t to, uint64_t from)
{
	int refused;

	descriptor = move_at(to, from);
	/* Not for the process to say */
	descriptor.pasid = 0x7fff1;
	descriptor.priv = 1;
	record_of(area)->status = 0;
	refused = give(queue, &descriptor);
	if (!refused)
		return wait_for(record_of(area));
	printf("# a descriptor is refused: %s\n", strerror(refused));
	return -1;
}

/* Data of WHO is copied, COUNT times, and is whose it is then */
static inline int moves(struct queue *queue, const struct area *area, unsigned int who, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		fill(area->memory, PAGE, who, i);
		memset(area->memory + PAGE, 0, PAGE);
		if (run(queue, area, TARGET, SOURCE) == DSA_COMP_SUCCESS && filled(area->memory + PAGE, PAGE, who, i))
			continue;
		printf("# %s queue: copy %u of %u has status %#x, fault at %#lx\n", queue->shared ? "shared" : "dedicated",
		       i, who, record_of(area)->status, (unsigned long)record_of(area)->fault_addr);
		return 0;
	}
	return 1;
}

static inline void fill_both(const struct area *area)
{
	fill(area->memory, PAGE, 0x5a, 1);
	fill(area->memory + PAGE, PAGE, 0xa5, 2);
}

static inline int both_filled(const struct area *area)
{
	return filled(area->memory, PAGE, 0x5a, 1) && filled(area->memory + PAGE, PAGE, 0xa5, 2);
}

/* A copy that is to fail does, and changes nothing. Which status that is depends on how the device sends its requests. */
static inline int is_kept_out(struct queue *queue, const struct area *area, uint64_t to, uint64_t from)
{
	int status;

	fill_both(area);
	status = run(queue, area, to, from);
	if (status > DSA_COMP_SUCCESS && both_filled(area))
		return 1;
	printf("# copy from %#lx to %#lx: status %#x\n", from, to, status);
	return 0;
}

union any_event {
	struct ioasid_event header;
	struct ioasid_event_fault fault;
	struct ioasid_event_detached detached;
};

/* The next event of any type; 0 when there is none for so many milliseconds. One that detaches is the smaller one. */
static inline int next_of_any(int fd, union any_event *e, int wait)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	memset(e, 0, sizeof(*e));
	if (poll(&p, 1, wait) != 1)
		return 0;
	got = read(fd, e, sizeof(e->detached));
	if (got == -1 && errno == EINVAL)
		got = read(fd, e, sizeof(e->fault));
	return got > 0 && got == (ssize_t)e->header.size;
}

static inline int no_event(const struct area *area)
{
	struct pollfd p = { .fd = area->fd, .events = POLLIN };

	return poll(&p, 1, 200) == 0;
}

static inline int fault_is_told(const struct area *area, uint64_t addr, uint32_t perm)
{
	union any_event e;
	int got = next_of_any(area->fd, &e, SOON);

	if (got && e.header.type == IOASID_EVENT_FAULT && e.fault.ioasid == area->id &&
	    e.fault.cookie == COOKIE_OF(area->id) && e.fault.addr == addr && e.fault.perm == perm &&
	    e.fault.reason == IOASID_FAULT_ACCESS && e.fault.hw_reason)
		return 1;
	printf("# %s: type %u ioasid %u cookie %llx addr %llx perm %u reason %u\n", got ? "event" : "no event",
	       e.header.type, e.fault.ioasid, e.fault.cookie, e.fault.addr, e.fault.perm, e.fault.reason);
	return 0;
}

/* The next event says that the kernel has ended the attachment of that cookie */
static inline int end_is_told(const struct area *area, uint64_t cookie)
{
	union any_event e;
	int got = next_of_any(area->fd, &e, HANG_MS);

	if (got && e.header.type == IOASID_EVENT_DETACHED && e.header.size == sizeof(e.detached) && !e.header.flags &&
	    e.detached.ioasid == area->id && e.detached.spid == ~0u && e.detached.cookie == cookie)
		return 1;
	printf("# %s: type %u size %u ioasid %u spid %x cookie %llx\n", got ? "event" : "no event", e.header.type,
	       e.header.size, e.detached.ioasid, e.detached.spid, e.detached.cookie);
	return 0;
}

/* The signal that a store to the portal ends with */
static inline int portal_signal(struct queue *queue)
{
	catch_faults();
	return SIGNAL_OF(idxd_movdir64b(queue->portal, &descriptor));
}

static inline int write_error(struct queue *queue)
{
	static const struct dsa_hw_desc nothing __attribute__((aligned(64)));

	return write(queue->file, &nothing, sizeof(nothing)) == -1 ? errno : 0;
}

/* What is left of IOASIDs in the system, and of memory that is pinned for them */
struct rest {
	long ids, attached, areas, pinned;
};

static inline struct rest the_rest(void)
{
	return (struct rest) {
		.ids = line_count("/sys/kernel/debug/ioasid", "id "),
		.attached = line_count("/sys/kernel/debug/iommu_pasids", "mode user"),
		.areas = line_count("/sys/kernel/debug/ioasid_spaces", "ioasid "),
		.pinned = pinned_pages(),
	};
}

/* As it was; a process that was killed may take a moment, and an idle CPU keeps the PASID of the one that it ran last */
static inline int is_as_before(const struct rest *before)
{
	struct rest now;

	for (int i = 0; i < SOON * 10 / 100; i++) {
		visit_cpus();
		now = the_rest();
		if (!memcmp(&now, before, sizeof(now)))
			return locked_kib() == 0;
		usleep(100000);
	}
	printf("# ids %ld, attached %ld, address spaces %ld, pages pinned %ld; before: %ld, %ld, %ld, %ld\n", now.ids, now.attached,
	       now.areas, now.pinned, before->ids, before->attached, before->areas, before->pinned);
	return 0;
}

#endif
