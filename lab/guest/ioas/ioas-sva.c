// SPDX-License-Identifier: GPL-2.0
/*
 * IOASIDs of type SVA at work queues of idxd in mode ioasid: the address space of a process under numbers of a file of
 * /dev/ioasid. Page faults of the device, memory that is unmapped and mapped anew under it, several numbers and queues,
 * IOASIDs of other types beside, passed files, and processes that end. Prints TAP.
 */
#define _GNU_SOURCE
#include "ioas-sva.h"

#define COPIES 50
#define KILLS 10

static int writes_nothing_behind_mprotect(struct queue *queue)
{
	uint8_t *memory = map(2 * PAGE);
	int ok;

	fill(memory, PAGE, 8, 0);
	ok = own_status(queue, memory + PAGE, memory) == DSA_COMP_SUCCESS;
	fill(memory, PAGE, 8, 1);
	mprotect(memory + PAGE, PAGE, PROT_READ);
	ok &= own_status(queue, memory + PAGE, memory) > DSA_COMP_SUCCESS && filled(memory + PAGE, PAGE, 8, 0);
	munmap(memory, 2 * PAGE);
	return ok;
}

static void one(const char *name)
{
	struct queue queue;
	struct area area;
	struct ioasid_device_info info = { .size = sizeof(info) };

	of(&queue, !wq_open(&queue, name) && is_err(sva_open(&area, open("/dev/ioasid", O_RDWR)), 0), "an IOASID of type SVA");
	of(&queue, !ioctl(queue.file, IOASID_DEVICE_INFO, &info) && info.out_types & 1u << IOASID_TYPE_SVA,
	   "DEVICE_INFO says that it can be attached");
	of(&queue, is_err(wq_start(&queue, &area), 0), "it is attached");
	of(&queue, line_count("/sys/kernel/debug/iommu_pasids", "domain SVA mode user") == 1, "which debugfs shows");
	of(&queue, moves_own(&queue, 1, COPIES), "page faults of the device are served");
	of(&queue, sees_what_is_mapped_anew(&queue), "it sees nothing that is unmapped, and what is mapped anew");
	of(&queue, writes_nothing_behind_mprotect(&queue), "it writes nothing that cannot be written any more");
	of(&queue, is_err(wq_detach(&queue, &area), 0) && write_error(&queue) == EINVAL, "DETACH");
	of(&queue, queue.shared || portal_signal(&queue) == SIGBUS, "there is no portal then");
	portal_unmap(&queue);
	of(&queue, is_err(wq_start(&queue, &area), 0) && moves_own(&queue, 2, COPIES), "attached again");
	of(&queue, is_err(area_free(&area), 0) && write_error(&queue) == EINVAL, "FREE, while it is attached");
	of(&queue, line_count("/sys/kernel/debug/iommu_pasids", "mode user") == 0, "nothing is attached");
	wq_close(&queue);
	close(area.fd);
}

/* Both numbers are those of one process, what it unmaps goes for both; beside them, an IOASID with mappings */
static void several(void)
{
	struct queue queues[3];
	struct area areas[3];
	int fd = open("/dev/ioasid", O_RDWR);

	check(!wq_open(&queues[0], DEDICATED) && !wq_open(&queues[1], SHARED) && !wq_open(&queues[2], SHARED) &&
	      !sva_open(&areas[0], fd) && !sva_open(&areas[1], fd) && !area_add(&areas[2], fd), "three queues, three IOASIDs");
	check(is_err(wq_start(&queues[0], &areas[0]), 0) && is_err(wq_start(&queues[1], &areas[1]), 0) &&
	      is_err(wq_start(&queues[2], &areas[2]), 0), "each has one");
	check(moves_own(&queues[0], 3, COPIES) && moves_own(&queues[1], 4, COPIES) && moves(&queues[2], &areas[2], 5, COPIES),
	      "each copies where it should");
	check(sees_what_is_mapped_anew(&queues[0]) && sees_what_is_mapped_anew(&queues[1]), "what is unmapped is so for both");
	check(is_err(wq_detach(&queues[0], &areas[0]), 0) && sees_what_is_mapped_anew(&queues[1]), "and for one when the other is detached");
	check(is_err(wq_attach(&queues[0], &areas[1]), 0) && moves_own(&queues[0], 6, COPIES) &&
	      is_err(wq_detach(&queues[1], &areas[1]), 0) && sees_what_is_mapped_anew(&queues[0]),
	      "one number at two queues stays with one of them");
	for (int i = 0; i < 3; i++)
		wq_close(&queues[i]);
	munmap(areas[2].memory, PAGES);
	close(fd);
}

static struct area of_parent;

/* It has the file, and opens the queue itself */
static int child_with_the_file(int talk)
{
	struct queue queue;
	struct area own;
	int ok;

	ok = !wq_open(&queue, SHARED) && is_err(wq_attach(&queue, &of_parent), EPERM) && write_error(&queue) == EINVAL;
	ok &= is_err(sva_open(&own, of_parent.fd), 0) && is_err(wq_attach(&queue, &own), 0) && moves_own(&queue, 9, COPIES);
	say(talk, ok ? 'y' : 'n');
	/* And is killed, or goes on until then */
	while (ok)
		ok = moves_own(&queue, 9, COPIES);
	return 1;
}

static void passed(void)
{
	struct child child;

	check(!sva_open(&of_parent, open("/dev/ioasid", O_RDWR)), "an IOASID of the parent");
	for (int i = 0; i < KILLS; i++) {
		child = start(child_with_the_file);
		if (!heard(&child, 'y')) {
			check(0, "a child attaches its own address space only");
			end_at_once(&child);
			return;
		}
		usleep(i * 3000);
		end_at_once(&child);
	}
	check(1, "a child attaches its own address space only");
	check(allocated(of_parent.fd) == 1 + KILLS, "numbers of children that were killed stay with the file");
	close(of_parent.fd);
}

/* The queue is disabled while a process copies by it */
static int loses(int talk)
{
	struct queue queue;
	struct area area = { .fd = -1 };
	int ok;

	ok = !wq_open(&queue, SHARED) && !sva_open(&area, open("/dev/ioasid", O_RDWR)) && !wq_attach(&queue, &area);
	say(talk, ok ? 'o' : 'x');
	while (ok && moves_own(&queue, 10, 1))
		;
	ok = ok && end_is_told(&area, COOKIE_OF(area.id)) && is_err(wq_attach(&queue, &area), ENODEV);
	say(talk, ok ? 'y' : 'n');
	wq_close(&queue);
	close(area.fd);
	return !ok;
}

static void disabled(void)
{
	struct child child = start(loses);
	int ok = heard(&child, 'o');

	usleep(50000);
	ok &= shell(QUEUES "off 1");
	ok &= heard(&child, 'y') && end(&child);
	check(ok && shell(QUEUES "queue 1 ioasid 0 1"), "a queue that is disabled says so");
}

int main(void)
{
	struct rest before;

	printf("TAP version 13\n");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell(QUEUES "load && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"), "two queues in mode ioasid");
	before = the_rest();
	one(DEDICATED);
	one(SHARED);
	several();
	passed();
	disabled();
	check(is_as_before(&before), "nothing is left");
	printf("1..%d\n", number);
	return failed;
}
