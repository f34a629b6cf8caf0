// SPDX-License-Identifier: GPL-2.0
/*
 * A queue of idxd in mode ioasid whose device does not take the PASID back: it is busy with a command that waits for a page
 * fault of somebody else. The number is nobody else's until the queue goes, also when both files are closed long before, one
 * of them by a node of a file system that has gone, too. Prints TAP.
 */
#define _GNU_SOURCE
#include <sys/sysmacros.h>

#include "../sva/sva-stall.h"
#include "ioas-wq.h"
#include "load-module.h"

#define NODE "/tmp/node"
/* Command register and status (DSA specification 9.2): drain queue 1, and interrupt then, as the driver waits for that */
#define CMD (0xa0 / 4)
#define CMDSTS (0xa8 / 4)
#define DRAIN_WQ_1 (1u << 31 | 8u << 20 | 1 << 1)
#define ACTIVE (1u << 31)

static volatile uint32_t *registers(void)
{
	int file = open("/sys/bus/pci/devices/0000:00:10.0/resource0", O_RDWR | O_SYNC);

	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

/* Errno of ALLOC of that number by another file, which has it as long as it is open */
static int number_error(uint32_t id, int *file)
{
	struct ioasid_alloc alloc = { .size = sizeof(alloc), .type = IOASID_TYPE_IOVA, .min = id, .max = id };

	*file = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	return ioctl(*file, IOASID_ALLOC, &alloc) ? errno : 0;
}

static int open_by_node(struct queue *queue)
{
	struct stat st;

	memset(queue, 0, sizeof(*queue));
	if (stat(DEDICATED, &st) || mknod(NODE, S_IFCHR | 0600, st.st_rdev))
		return errno;
	queue->file = open(NODE, O_RDWR | O_CLOEXEC);
	return queue->file < 0 ? errno : 0;
}

/* The device takes no other command until the page fault of that process is answered */
static int is_stuck(struct child *slow, volatile uint32_t *regs)
{
	int ok;

	queue_name = SHARED;
	*slow = start(stalls);
	ok = heard(slow, 's');
	while (number_in(STALL, "") < 1)
		usleep(10000);
	regs[CMD] = DRAIN_WQ_1;
	usleep(100000);
	return ok && regs[CMDSTS] & ACTIVE;
}

static int freed_is_told(const struct area *area)
{
	struct pollfd p = { .fd = area->fd, .events = POLLIN };
	struct ioasid_event_freed e;

	return poll(&p, 1, HANG_MS) == 1 && read(area->fd, &e, sizeof(e)) == sizeof(e) && e.header.type == IOASID_EVENT_FREED &&
	       e.ioasid == area->id;
}

int main(void)
{
	volatile uint32_t *regs;
	int file, pending = 0;
	struct queue queue;
	struct child slow;
	struct area area;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(!load("/lab/sva-stall-mod.ko") && shell(QUEUES "load && " QUEUES "queue 0 ioasid 1 && " QUEUES "queue 1 sva 0 1"),
	      "a queue in mode ioasid, another one in mode sva");
	regs = registers();
	check(!area_open(&area) && !open_by_node(&queue) && !wq_start(&queue, &area) && moves(&queue, &area, 1, 3),
	      "an IOASID is attached to the first");
	check(is_stuck(&slow, regs), "the device waits for the other, and takes no command");
	check(is_err(wq_detach(&queue, &area), 0) && write_error(&queue) == EINVAL, "DETACH all the same");
	check(is_err(wq_attach(&queue, &area), EBUSY), "the file takes no other IOASID");
	check(is_err(ioas_free(area.fd, area.id, &pending), 0) && pending == 1, "FREE leaves the number pending");
	check(is_err(number_error(area.id, &file), ENOSPC), "which nobody else gets");
	close(file);
	portal_unmap(&queue);
	close(queue.file);
	unlink(NODE);
	check(open(DEDICATED, O_RDWR) == -1 && errno == EBUSY, "closed, the queue is nobody else's");
	put_file(STALL, "go");
	for (int i = 0; i < HANG_MS / 10 && regs[CMDSTS] & ACTIVE; i++)
		usleep(10000);
	check(!(regs[CMDSTS] & ACTIVE), "the page comes, and the device takes commands");
	check(shell(QUEUES "off 0") && freed_is_told(&area), "disabled, it gives the number back");
	check(is_err(number_error(area.id, &file), 0), "which others get");
	close(file);
	say(slow.talk, 'g');
	heard(&slow, 'c');
	end_at_once(&slow);
	check(shell(QUEUES "queue 0 ioasid 1") && !area_add(&area, area.fd) && !wq_open(&queue, DEDICATED) &&
	      is_err(wq_start(&queue, &area), 0) && moves(&queue, &area, 2, 3), "and the queue is as new");
	printf("1..%d\n", number);
	return failed;
}
