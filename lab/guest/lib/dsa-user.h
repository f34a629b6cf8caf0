/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs of the guest that give an emulated DSA work through its character devices:
 * queues (sva-queues.sh sets them up), submission, completion, and data that says whose it is.
 */
#ifndef DSA_USER_H
#define DSA_USER_H

#include <fcntl.h>
#include <linux/idxd.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../tools/testing/selftests/idxd/idxd_util.h"

#define PAGE 4096ul
#define DEDICATED "/dev/dsa/wq0.0"
#define SHARED "/dev/dsa/wq0.1"
/* Of the second DSA, where the scenario has one */
#define DEDICATED2 "/dev/dsa/wq1.0"
#define SHARED2 "/dev/dsa/wq1.1"

struct queue {
	int file, shared;
	uint8_t *portal;
	unsigned int next;
	unsigned long retries;
};

static inline int queue_open(struct queue *queue, const char *name)
{
	memset(queue, 0, sizeof(*queue));
	queue->shared = !strcmp(name, SHARED) || !strcmp(name, SHARED2);
	queue->file = open(name, O_RDWR | O_CLOEXEC);
	if (queue->file < 0)
		return -1;
	queue->portal = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED | MAP_POPULATE, queue->file, 0);
	return queue->portal == MAP_FAILED ? -1 : 0;
}

static inline void queue_close(struct queue *queue)
{
	munmap(queue->portal, PAGE);
	close(queue->file);
}

static inline void submit(struct queue *queue, const struct dsa_hw_desc *descriptor)
{
	void *portal = queue->portal + queue->next++ % 64 * 64;

	((struct dsa_completion_record *)descriptor->completion_addr)->status = 0;
	if (!queue->shared) {
		idxd_movdir64b(portal, descriptor);
		return;
	}
	while (idxd_enqcmd(portal, descriptor)) {
		queue->retries++;
		sched_yield();
	}
}

/* The kernel submits; the number of descriptors that it took, or -1 */
static inline int submit_by_write(int file, const struct dsa_hw_desc *descriptors, unsigned int count)
{
	ssize_t written;

	for (unsigned int i = 0; i < count; i++)
		((struct dsa_completion_record *)descriptors[i].completion_addr)->status = 0;
	written = write(file, descriptors, count * sizeof(*descriptors));
	return written < 0 ? -1 : (int)(written / sizeof(*descriptors));
}

/*
 * The status; 0 when none came in two minutes, which is a hang: a busy machine can take
 * seconds. Several that only poll would take the CPUs from the kernel's threads that serve
 * the page requests.
 */
static inline int wait_for(const struct dsa_completion_record *record)
{
	struct timespec now, end;
	unsigned int polls = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 120;
	while (!*(volatile uint8_t *)&record->status) {
		if (polls++ < 100)
			sched_yield();
		else
			usleep(100);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec)
			break;
	}
	return record->status;
}

static inline struct dsa_hw_desc memmove_of(void *to, const void *from, size_t size, struct dsa_completion_record *record,
				     int block_on_fault)
{
	return (struct dsa_hw_desc) {
		.opcode = DSA_OPCODE_MEMMOVE,
		.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR | (block_on_fault ? IDXD_OP_FLAG_BOF : 0),
		.completion_addr = (uintptr_t)record,
		.src_addr = (uintptr_t)from,
		.dst_addr = (uintptr_t)to,
		.xfer_size = size,
	};
}

static struct dsa_completion_record record __attribute__((aligned(32)));
static struct dsa_hw_desc descriptor __attribute__((aligned(64)));

static inline int copy(struct queue *queue, void *to, const void *from, size_t size, int block_on_fault)
{
	descriptor = memmove_of(to, from, size, &record, block_on_fault);
	submit(queue, &descriptor);
	return wait_for(&record);
}

static inline uint8_t *map_at(void *where, size_t size, int protection)
{
	return mmap(where, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
}

static inline uint8_t *map(size_t size)
{
	return map_at(NULL, size, PROT_READ | PROT_WRITE);
}

/* Data that depends on who wrote it, when, and where it is */
static inline void fill(uint8_t *at, size_t size, unsigned int who, unsigned int when)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t value = (uint64_t)who << 56 | (uint64_t)when << 24 | i;

		memcpy(at + i, &value, 8);
	}
}

static inline int filled(const uint8_t *at, size_t size, unsigned int who, unsigned int when)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t value = (uint64_t)who << 56 | (uint64_t)when << 24 | i;

		if (memcmp(at + i, &value, 8))
			return 0;
	}
	return 1;
}

#endif
