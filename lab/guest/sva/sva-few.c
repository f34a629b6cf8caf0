// SPDX-License-Identifier: GPL-2.0
/*
 * Behind an IOMMU whose PASIDs have 8 bits: how many processes can have one at the same time, and what the next is told.
 * Prints TAP.
 */
#define _GNU_SOURCE
#include "sva-user.h"

/* All but 0 and that of the kernel's own DMA */
#define PASIDS 254

static int holds(int talk)
{
	struct queue queue;

	enter_cgroup();
	if (queue_open(&queue, SHARED)) {
		say(talk, errno == ENOSPC ? 'f' : 'e');
		return 0;
	}
	say(talk, 'o');
	while (hear(talk))
		say(talk, copies(&queue, 1, 2) ? 'y' : 'n');
	return 0;
}

int main(void)
{
	static struct child children[PASIDS + 1];
	int count, ok = 1;
	char last = 0;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	check(log_count("DMA with PASID 1 in mode"), "the_kernel_has_one");
	make_cgroup("max");

	for (count = 0; count <= PASIDS; count++) {
		children[count] = start(holds);
		last = hear(children[count].talk);
		if (last != 'o')
			break;
	}
	if (count <= PASIDS)
		ok &= end(&children[count]);
	printf("# %d processes have one\n", count);
	check(ok && count >= PASIDS * 7 / 8, "processes_get_seven_eighths");
	check(count <= PASIDS * 15 / 16 && last == 'f', "the_next_is_told_that_none_is_left");
	check(number_in("/sys/fs/cgroup/misc.capacity", "ioasids ") == count, "the_capacity_of_cgroups_says_so");
	for (int i = 0; i < count; i++) {
		say(children[i].talk, 'g');
		ok &= hear(children[i].talk) == 'y';
	}
	check(ok, "each_of_them_works");
	for (int i = 0; i < count; i++)
		ok &= end(&children[i]);
	check(ok && ids_become(0), "their_end_gives_them_back");
	children[0] = start(holds);
	check(hear(children[0].talk) == 'o' && end(&children[0]), "another_gets_one");
	check(ids_become(0) && !rmdir(CGROUP) && shell("rmmod idxd"), "nothing_is_left");
	printf("1..%d\n", number);
	return failed;
}
