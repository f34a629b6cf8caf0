/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that give work queues of idxd in mode ioasid an IOASID of type SVA: addresses are those of the
 * process, and page faults of the device are served
 */
#ifndef IOAS_SVA_H
#define IOAS_SVA_H

#include "ioas-wq.h"

#define REMAPS 50

static inline int alloc_sva(int fd, uint32_t *id)
{
	struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = IOASID_TYPE_SVA, .max = UINT32_MAX };

	if (ioctl(fd, IOASID_ALLOC, &alloc))
		return errno;
	*id = alloc.out_ioasid;
	return 0;
}

/* Filled in as an area without memory */
static inline int sva_open(struct area *area, int fd)
{
	*area = (struct area) { .fd = fd };
	return fd < 0 ? EBADF : alloc_sva(fd, &area->id);
}

/* FREE, which leaves nothing to wait for */
static inline int sva_free(const struct area *area)
{
	int pending, ret = ioas_free(area->fd, area->id, &pending);

	return ret ?: pending ? EINPROGRESS : 0;
}

/* Memory of its own, which the device is the first to touch where it writes */
static inline int moves_own(struct queue *queue, unsigned int who, unsigned int count)
{
	return queue->shared ? copies_by_write(queue->file, who, count) : copies(queue, who, count);
}

static inline int own_status(struct queue *queue, void *to, const void *from)
{
	descriptor = memmove_of(to, from, PAGE, &record, 1);
	record.status = 0;
	return give(queue, &descriptor) ? -1 : wait_for(&record);
}

/* What stands there now is copied, whatever stood there when the device looked last */
static inline int sees_what_is_mapped_anew(struct queue *queue)
{
	uint8_t *memory = map(2 * PAGE);
	int ok = 1;

	for (unsigned int i = 0; i < REMAPS; i++) {
		void *again;

		fill(memory, PAGE, 7, i);
		ok &= own_status(queue, memory + PAGE, memory) == DSA_COMP_SUCCESS && filled(memory + PAGE, PAGE, 7, i);
		munmap(memory, PAGE);
		ok &= own_status(queue, memory + PAGE, memory) > DSA_COMP_SUCCESS;
		again = mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		ok &= again == memory;
	}
	munmap(memory, 2 * PAGE);
	return ok;
}

static inline int allocated(int fd)
{
	struct ioasid_get_info info;

	return get_info(fd, &info) ? -1 : (int)info.out_allocated;
}

static inline int attached_by(int fd)
{
	struct ioasid_get_info info;

	return get_info(fd, &info) ? -1 : (int)info.out_attached;
}

#endif
