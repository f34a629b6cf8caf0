// SPDX-License-Identifier: GPL-2.0
/*
 * usage: ioas-wq [no-sva]
 *
 * Prints TAP. Work queues of idxd in mode ioasid: what a program reaches by them is what it has mapped in an IOASID of
 * /dev/ioasid and has attached to its open file of the queue, as long as it has. With no-sva the device has neither ATS nor
 * page requests, which mode sva needs.
 */
#define _GNU_SOURCE
#include "ioas-wq.h"

#define MODE0 "/sys/bus/dsa/devices/wq0.0/pasid_mode"
#define REUSES 30
#define RACES 60
#define IN_FLIGHT 8

static int has_sva;

/* 0 or errno */
static int put(const char *name, const char *word)
{
	int file = open(name, O_WRONLY), ret = 0;

	if (file < 0 || write(file, word, strlen(word)) < 0)
		ret = errno;
	close(file);
	return ret;
}

static int is_mode(const char *name, const char *word)
{
	char text[32] = "";
	int file = open(name, O_RDONLY);

	if (read(file, text, sizeof(text) - 1) > 0)
		text[strcspn(text, "\n")] = 0;
	close(file);
	return !strcmp(text, word);
}

static void test_attribute(void)
{
	static const char * const wrong[] = { "iova", "ioasid2", "sv", "SVA", "1", "sva ioasid" };
	int ok = 1;

	check(is_mode(MODE0, "sva"), "a queue is in mode sva");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ok &= is_err(put(MODE0, wrong[i]), EINVAL);
	check(ok && is_mode(MODE0, "sva"), "words that are no mode are refused");
	check(is_err(put(MODE0, "ioasid"), 0) && is_mode(MODE0, "ioasid") && is_err(put(MODE0, "sva\n"), 0) &&
	      is_mode(MODE0, "sva"), "it is given another mode, and this one again");
}

/* By a program that is bound to the device, as ever */
static int has_no_ioctls(int talk)
{
	struct area area;
	struct queue queue;
	struct ioasid_device_info info = { .size = sizeof(info) };
	int ok = !area_open(&area);

	(void)talk;
	for (int i = 0; i < 2; i++) {
		ok &= !queue_open(&queue, i ? SHARED : DEDICATED);
		ok &= ioctl(queue.file, IOASID_DEVICE_INFO, &info) == -1 && errno == ENOTTY;
		ok &= is_err(wq_attach(&queue, &area), ENOTTY) && is_err(wq_detach(&queue, &area), ENOTTY);
		ok &= copies(&queue, 1, 5) && copies_by_write(queue.file, 1, 5);
		queue_close(&queue);
	}
	return !ok;
}

static void test_mode_sva(void)
{
	if (!has_sva) {
		check(!shell(QUEUES "queue 0 sva 0"), "mode sva needs what this device does not have");
		return;
	}
	check(shell(QUEUES "queue 0 sva 0 1 && " QUEUES "queue 1 sva 0 1") && run_child(has_no_ioctls),
	      "in mode sva queues have no ioctls, and work");
	check(shell(QUEUES "off 0 1"), "they are disabled");
}

/* Nothing of the machine is reached by a queue that is only open */
static void test_open(struct queue *queue, const struct area *area)
{
	struct ioasid_device_info info = { .size = sizeof(info) };
	int mapped = portal_map(queue);

	of(queue, is_err(mapped, EINVAL), "no portal before something is attached");
	of(queue, is_err(write_error(queue), EINVAL), "no write() either");
	of(queue, !ioctl(queue->file, IOASID_DEVICE_INFO, &info) && info.out_ioasid_last &&
	   info.out_types & 1u << IOASID_TYPE_IOVA, "it says what can be attached");
	of(queue, is_err(wq_detach(queue, area), ENOENT), "there is nothing to detach");
	of(queue, ioctl(queue->file, IOASID_MAP, &info) == -1 && errno == ENOTTY, "it is no /dev/ioasid");
}

static void test_refused(struct queue *queue, const struct area *area, const struct area *other)
{
	struct ioasid_alloc none = { .size = sizeof(none), .type = IOASID_TYPE_NONE, .max = ~0u };
	struct ioasid_device_attach flags = { .size = sizeof(flags), .flags = 1, .ioasid_fd = area->fd, .ioasid = area->id };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	of(queue, is_err(wq_attach_as(queue, -1, area->id, 0), EBADF) &&
	   is_err(wq_attach_as(queue, null, area->id, 0), EBADF) &&
	   is_err(wq_attach_as(queue, queue->file, area->id, 0), EBADF), "files that are not of /dev/ioasid are refused");
	of(queue, is_err(wq_attach_as(queue, area->fd, 77777, 0), ENOENT), "an IOASID that there is not");
	of(queue, is_err(wq_attach_as(queue, area->fd, other->id, 0), ENOENT), "one of another file");
	of(queue, !ioctl(area->fd, IOASID_ALLOC, &none) &&
	   is_err(wq_attach_as(queue, area->fd, none.out_ioasid, 0), EINVAL) &&
	   !ioas_free(area->fd, none.out_ioasid, NULL), "one that is only a number");
	of(queue, ioctl(queue->file, IOASID_DEVICE_ATTACH, &flags) == -1 && errno == EOPNOTSUPP, "flags that there are not");
	of(queue, is_err(write_error(queue), EINVAL), "then there is no write() still");
	close(null);
}

/* From here on @area is attached */
static void test_moves(struct queue *queue, const struct area *area, const struct area *other)
{
	int mapped;

	of(queue, is_err(wq_attach(queue, area), 0), "an IOASID is attached");
	of(queue, is_err(wq_attach(queue, area), EBUSY) && is_err(wq_attach(queue, other), EBUSY), "one for each open file");
	of(queue, moves(queue, area, 1, 20), "the kernel submits, and what is mapped is copied");
	mapped = portal_map(queue);
	if (queue->shared) {
		of(queue, is_err(mapped, EINVAL), "it has no portal");
		return;
	}
	of(queue, is_err(mapped, 0) && moves(queue, area, 2, 20), "the same by the portal");
}

static void test_beside(struct queue *queue, const struct area *area, const struct area *other)
{
	of(queue, no_event(area), "so far there was no fault");
	of(queue, is_kept_out(queue, area, TARGET, BESIDE) && fault_is_told(area, BESIDE, IOASID_FAULT_PERM_READ),
	   "a read beside what is mapped fails, and is told");
	of(queue, is_kept_out(queue, area, BESIDE, SOURCE) && fault_is_told(area, BESIDE, IOASID_FAULT_PERM_WRITE),
	   "so does a write");
	of(queue, is_kept_out(queue, area, TARGET, (uintptr_t)area->memory) &&
	   fault_is_told(area, (uintptr_t)area->memory, IOASID_FAULT_PERM_READ), "and one of an address of the process");
	of(queue, no_event(area) && no_event(other), "nobody else is told");
	of(queue, moves(queue, area, 3, 5), "what is mapped is copied still");
}

/* Nothing is attached; what was does not come back by the mapping of the portal that the program has */
static int is_cut_off(struct queue *queue)
{
	int ok = is_err(write_error(queue), EINVAL), got;

	if (!queue->portal)
		return ok;
	got = portal_signal(queue);
	if (got != SIGBUS)
		printf("# a store to the portal ends with signal %d\n", got);
	portal_unmap(queue);
	return ok && got == SIGBUS && is_err(portal_map(queue), EINVAL);
}

/* What is copied is @other's, at the same addresses, and @area stays as it is */
static int has_changed_hands(struct queue *queue, const struct area *area, const struct area *other)
{
	fill_both(area);
	return is_err(wq_start(queue, other), 0) && moves(queue, other, 4, 20) && both_filled(area);
}

static void test_detach(struct queue *queue, const struct area *area, const struct area *other)
{
	of(queue, is_err(wq_detach(queue, other), ENOENT), "what is not attached is not detached");
	of(queue, !wq_detach(queue, area) && is_cut_off(queue), "detached, there is neither portal nor write()");
	of(queue, is_err(wq_detach(queue, area), ENOENT), "it is not detached twice");
	of(queue, has_changed_hands(queue, area, other), "another one is attached, and only its memory is reached");
	of(queue, is_kept_out(queue, other, TARGET, BESIDE) && fault_is_told(other, BESIDE, IOASID_FAULT_PERM_READ) &&
	   no_event(area), "it is told of its faults");
	of(queue, !wq_detach(queue, other) && is_cut_off(queue), "that is detached, too");
}

/* What was submitted before DETACH, too, does not write behind it */
static void test_in_flight(struct queue *queue, const struct area *area)
{
	struct dsa_hw_desc desc __attribute__((aligned(64))) = move_at(TARGET, SOURCE);
	union any_event e;
	int ok = 1;

	for (int i = 0; i < RACES && ok; i++) {
		fill(area->memory, PAGE, 5, i);
		ok &= !wq_start(queue, area);
		for (int j = 0; j < IN_FLIGHT; j++)
			ok &= !give(queue, &desc);
		usleep(i % 4 * 20);
		ok &= !wq_detach(queue, area);
		fill(area->memory + PAGE, PAGE, 6, i);
		usleep(2000);
		ok &= filled(area->memory + PAGE, PAGE, 6, i);
		portal_unmap(queue);
	}
	of(queue, ok, "nothing is written behind DETACH");
	/* What was on its way may have been a fault before the end */
	while (next_of_any(area->fd, &e, 100))
		;
}

static void test_free(struct queue *queue, const struct area *other)
{
	struct area area;
	int ok = !area_add(&area, other->fd) && !wq_start(queue, &area) && moves(queue, &area, 7, 5);

	of(queue, ok && is_err(area_free(&area), 0) && is_cut_off(queue), "FREE detaches, and waits for that");
	ok = !wq_start(queue, other) && moves(queue, other, 7, 5);
	of(queue, ok && !wq_detach(queue, other), "then another one can be attached");
	portal_unmap(queue);
}

static uint32_t attached(const struct area *area)
{
	struct ioasid_get_info info;

	return get_info(area->fd, &info) ? ~0u : info.out_attached;
}

/* The mapping of the portal has the file open as well */
static void test_close_queue(const char *name, const struct area *area)
{
	struct queue queue;
	int ok = !wq_open(&queue, name) && !wq_start(&queue, area);

	if (!queue.shared) {
		close(queue.file);
		of(&queue, ok && attached(area) && moves(&queue, area, 8, 5), "it is open as long as its portal is mapped");
		portal_unmap(&queue);
	} else {
		wq_close(&queue);
	}
	of(&queue, attached(area) == 0, "closed, it has nothing attached");
	ok = !wq_open(&queue, name) && !wq_start(&queue, area) && moves(&queue, area, 8, 5);
	of(&queue, ok && attached(area), "opened again, it has what is attached again");
	wq_close(&queue);
}

static void test_close_ioasid(const char *name, const struct area *other)
{
	struct queue queue;
	struct area area;
	int ok = !area_open(&area) && !wq_open(&queue, name) && !wq_start(&queue, &area) && moves(&queue, &area, 9, 5);

	close(area.fd);
	of(&queue, ok && is_cut_off(&queue), "the close of /dev/ioasid detaches");
	of(&queue, has_changed_hands(&queue, &area, other), "an IOASID of another file takes its place");
	munmap(area.memory, PAGES);
	/* With what is attached */
	wq_close(&queue);
	of(&queue, attached(other) == 0, "which is detached by the close of the queue");
}

/* One IOASID, and both queues; the device has its PASID until the last one gives it back */
static void test_both(const struct area *area)
{
	struct queue queues[2];
	int ok = 1;

	for (int i = 0; i < 2; i++)
		ok &= !wq_open(&queues[i], i ? SHARED : DEDICATED) && is_err(wq_start(&queues[i], area), 0);
	check(ok && moves(&queues[0], area, 10, 5) && moves(&queues[1], area, 10, 5), "one IOASID is attached to both queues");
	check(!wq_detach(&queues[0], area) && is_cut_off(&queues[0]) && moves(&queues[1], area, 11, 5),
	      "detached from the dedicated one, it is attached to the shared one");
	check(is_err(wq_start(&queues[0], area), 0) && moves(&queues[0], area, 12, 5), "and to both again");
	check(!wq_detach(&queues[1], area) && is_cut_off(&queues[1]) && moves(&queues[0], area, 13, 5),
	      "detached from the shared one, it is attached to the dedicated one");
	check(!wq_start(&queues[1], area) && moves(&queues[1], area, 13, 5), "and to both again");
	wq_close(&queues[0]);
	check(attached(area) && moves(&queues[1], area, 14, 5), "the close of one leaves the other");
	wq_close(&queues[1]);
	check(attached(area) == 0, "that of the other leaves nothing");
}

/* FREE and the close of /dev/ioasid find all of them; two open files of the shared queue are two */
static void test_all_at_once(void)
{
	static const char * const names[] = { DEDICATED, SHARED, SHARED };
	struct queue queues[3];
	struct area area;
	int ok = !area_open(&area);

	for (int i = 0; i < 3; i++)
		ok &= !wq_open(&queues[i], names[i]) && is_err(wq_start(&queues[i], &area), 0);
	check(ok && moves(&queues[2], &area, 15, 5) && !area_free(&area) && is_cut_off(&queues[0]) &&
	      is_cut_off(&queues[1]) && is_cut_off(&queues[2]), "FREE ends three attachments of one IOASID");
	ok = !area_add(&area, area.fd);
	for (int i = 0; i < 3; i++)
		ok &= is_err(wq_start(&queues[i], &area), 0);
	ok &= moves(&queues[2], &area, 16, 5);
	area_close(&area);
	check(ok && is_cut_off(&queues[0]) && is_cut_off(&queues[1]) && is_cut_off(&queues[2]), "so does the close of its file");
	for (int i = 0; i < 3; i++)
		wq_close(&queues[i]);
}

/* Of two files with one IOASID, faults have the cookie of one that is attached */
static void test_cookies(void)
{
	struct queue queues[2];
	struct area area;
	union any_event e;
	int ok = !area_open(&area);

	for (int i = 0; i < 2; i++)
		ok &= !wq_open(&queues[i], SHARED) && !wq_attach_as(&queues[i], area.fd, area.id, 100 + i);
	ok &= is_kept_out(&queues[1], &area, TARGET, BESIDE) && next_of_any(area.fd, &e, SOON) &&
	      (e.fault.cookie == 100 || e.fault.cookie == 101);
	ok &= !wq_detach(&queues[0], &area) && is_kept_out(&queues[1], &area, TARGET, BESIDE) &&
	      next_of_any(area.fd, &e, SOON);
	check(ok && e.header.type == IOASID_EVENT_FAULT && e.fault.cookie == 101, "a fault has the cookie of what is attached still");
	wq_close(&queues[0]);
	wq_close(&queues[1]);
	area_close(&area);
}

static struct queue *inherited;
static const struct area *inherited_area;

/* The file is of the process that opened it; so is its IOASID there, whoever has both files */
static int has_only_the_file(int talk)
{
	struct queue *queue = inherited;
	int ok = 1;

	(void)talk;
	if (queue->portal)
		ok &= portal_signal(queue) == SIGSEGV;
	queue->portal = NULL;
	ok &= is_err(write_error(queue), EPERM);
	if (!queue->shared)
		ok &= is_err(portal_map(queue), EPERM);
	ok &= is_err(wq_detach(queue, inherited_area), EPERM);
	ok &= is_err(wq_attach(queue, inherited_area), EPERM);
	return !ok;
}

static void test_fork(const char *name, const struct area *area)
{
	struct queue queue;
	int ok = !wq_open(&queue, name);

	inherited = &queue;
	inherited_area = area;
	of(&queue, ok && run_child(has_only_the_file), "a child cannot attach anything to the file that it has");
	ok = !wq_start(&queue, area) && run_child(has_only_the_file);
	of(&queue, ok, "nor use or detach what is attached");
	of(&queue, moves(&queue, area, 17, 5), "which its parent can");
	wq_close(&queue);
}

static void test_one(const char *name, const struct area *area, const struct area *other)
{
	struct queue queue;

	check(!wq_open(&queue, name), name);
	test_open(&queue, area);
	test_refused(&queue, area, other);
	test_moves(&queue, area, other);
	test_beside(&queue, area, other);
	test_detach(&queue, area, other);
	test_in_flight(&queue, area);
	test_free(&queue, other);
	wq_close(&queue);
	test_close_queue(name, area);
	test_close_ioasid(name, other);
	test_fork(name, area);
}

/*
 * The device has translations of its own: those of an IOASID that has ended are not those of the next one, which may have
 * its number
 */
static void test_reused(const char *name, const struct area *other)
{
	struct area old, area;
	struct queue queue;
	int ok = !wq_open(&queue, name) && !area_add(&old, other->fd), again = 0;

	for (int i = 0; i < REUSES && ok; i++) {
		ok &= !wq_start(&queue, &old) && moves(&queue, &old, 18, 2);
		/* Its memory stays to be looked at */
		ok &= !ioas_free(old.fd, old.id, NULL);
		portal_unmap(&queue);
		ok &= !area_add(&area, other->fd) && has_changed_hands(&queue, &old, &area) && !wq_detach(&queue, &area);
		portal_unmap(&queue);
		again += area.id == old.id;
		munmap(old.memory, PAGES);
		old = area;
	}
	printf("# %d of %d times the number was the same\n", again, REUSES);
	of(&queue, ok, "with ATS: an IOASID reaches nothing of one before it");
	ok = !wq_start(&queue, &old) && is_kept_out(&queue, &old, TARGET, BESIDE);
	of(&queue, ok && no_event(&old), "with ATS: a copy beside what is mapped fails, which is no fault");
	wq_close(&queue);
	area_free(&old);
}

/* A page request of an IOASID is answered: there are no pages to come */
static void test_block_on_fault(const char *name, const struct area *area)
{
	struct queue queue;
	int ok = !wq_open(&queue, name) && !wq_start(&queue, area), status;

	fill_both(area);
	descriptor = memmove_of((void *)TARGET, (void *)BESIDE, PAGE, (void *)RECORD, 1);
	record_of(area)->status = 0;
	ok &= !give(&queue, &descriptor);
	status = ok ? wait_for(record_of(area)) : 0;
	of(&queue, status > DSA_COMP_SUCCESS && both_filled(area), "with ATS: a page that is not mapped is not waited for");
	of(&queue, moves(&queue, area, 19, 5), "with ATS: what is mapped is copied");
	wq_close(&queue);
}

static void test_ats(const struct area *area)
{
	if (!has_sva)
		return;
	check(shell(QUEUES "off 0 1 && " QUEUES "queue 0 ioasid 0 1 && " QUEUES "queue 1 ioasid 0 1"), "queues that use ATS");
	test_reused(DEDICATED, area);
	test_reused(SHARED, area);
	test_block_on_fault(DEDICATED, area);
	test_block_on_fault(SHARED, area);
}

int main(int argc, char **argv)
{
	struct area area, other;
	struct rest before;
	int ok;

	has_sva = argc < 2 || strcmp(argv[1], "no-sva");
	printf("TAP version 13\n");
	check(shell(QUEUES "load"), "idxd and its device");
	before = the_rest();
	test_attribute();
	test_mode_sva();
	check(shell(QUEUES "queue 0 ioasid 1 && " QUEUES "queue 1 ioasid 1"), "two queues in mode ioasid");
	check(is_err(put(MODE0, "sva"), EPERM) && is_err(put(MODE0, "ioasid"), EPERM) && is_mode(MODE0, "ioasid"),
	      "a queue that is enabled keeps its mode");
	ok = !area_open(&area) && !area_open(&other);
	check(ok, "two IOASIDs of two files");
	if (!ok)
		goto out;

	test_one(DEDICATED, &area, &other);
	test_one(SHARED, &area, &other);
	test_both(&area);
	test_all_at_once();
	test_cookies();
	test_ats(&area);
	check(attached(&area) == 0 && attached(&other) == 0, "nothing is attached");
	area_close(&area);
	area_close(&other);
	check(is_as_before(&before), "nothing is left");
	check(shell(QUEUES "off 0 1") && is_mode(MODE0, "sva"), "queues that are disabled are in mode sva");
	check(!log_count("left enabled") && !log_count("left bound") && shell("rmmod idxd"), "the driver goes");
out:
	printf("1..%d\n", number);
	return failed;
}
