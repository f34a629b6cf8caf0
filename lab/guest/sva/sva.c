// SPDX-License-Identifier: GPL-2.0
/*
 * Shared virtual addressing with an emulated DSA, as a program uses it: work queues
 * of type user, MOVDIR64B to a dedicated one, ENQCMD to a shared one, page faults
 * that the device takes, and several processes on one queue. Prints TAP.
 *
 * Each process has its data at the same addresses. A descriptor that ran with the
 * PASID of another process, or with a translation that is no longer true, leaves
 * the wrong data behind, and that is what is looked for.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "sva-user.h"

/* Where each process has what the device works on, out of reach of a heap at a random address */
static uint8_t *const arena = (uint8_t *)0x500000000ul;
#define ARENA_SIZE (256 * PAGE)

static void test_copy(struct queue *queue, const char *name)
{
	uint8_t *memory = map(8 * PAGE);
	int ok = 1;

	for (int i = 0; i < 64; i++) {
		fill(memory, 4 * PAGE, 1, i);
		ok &= copy(queue, memory + 4 * PAGE, memory, 4 * PAGE, 1) == DSA_COMP_SUCCESS &&
		      filled(memory + 4 * PAGE, 4 * PAGE, 1, i);
	}
	check(ok, name);
	munmap(memory, 8 * PAGE);
}

static void test_faults(struct queue *queue)
{
	const size_t size = 64 * PAGE;
	uint8_t *from = map(size), *to = map(size), *other = map(size);
	struct dsa_completion_record *far = (void *)map(PAGE);
	int file = open("/proc/self/exe", O_RDONLY), status;
	uint8_t *program = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
	size_t done;

	/* The file's pages are there, this process's entries for them are not */
	check(read(file, other, size) == (ssize_t)size && copy(queue, to, program, size, 1) == DSA_COMP_SUCCESS &&
	      !memcmp(to, other, size), "faults_of_source_and_destination_are_served");

	descriptor = memmove_of(to, from, PAGE, far, 1);
	submit(queue, &descriptor);
	check(wait_for(far) == DSA_COMP_SUCCESS && !to[0] && !to[PAGE - 1], "fault_of_completion_record_is_served");

	/* Without block on fault: the copy ends at the page that is not there, and software goes on */
	fill(from, size, 2, 1);
	for (int i = 0; i < 64; i++)
		to[i * PAGE] = 1;
	madvise(to + 40 * PAGE, PAGE, MADV_DONTNEED);
	status = copy(queue, to, from, size, 0);
	done = record.bytes_completed;
	check(status == (DSA_COMP_PAGE_FAULT_NOBOF | DSA_COMP_STATUS_WRITE) && done <= 40 * PAGE &&
	      record.fault_addr >> 12 == (uintptr_t)(to + 40 * PAGE) >> 12 && filled(to, done & -8ul, 2, 1),
	      "fault_without_blocking_ends_the_copy");
	to[40 * PAGE] = 1;
	check(copy(queue, to + done, from + done, size - done, 0) == DSA_COMP_SUCCESS && filled(to, size, 2, 1),
	      "copy_goes_on_where_it_ended");

	munmap(other, size);
	status = copy(queue, to, other, PAGE, 1);
	check(status == DSA_COMP_PAGE_FAULT_IR && record.fault_addr >> 12 == (uintptr_t)other >> 12,
	      "fault_that_nothing_can_serve");
	mprotect(to, PAGE, PROT_READ);
	status = copy(queue, to, from, PAGE, 1);
	check(status == (DSA_COMP_PAGE_FAULT_IR | DSA_COMP_STATUS_WRITE) && filled(to, PAGE, 2, 1),
	      "write_to_read_only_memory");
	munmap(from, size);
	munmap(to, size);
	munmap(program, size);
	munmap(far, PAGE);
	close(file);
}

/* Translations that the device holds must go when the kernel changes the page table */
static void test_stale(struct queue *queue)
{
	uint8_t *from = arena, *to = arena + PAGE;
	int ok = 1;
	pid_t child;
	int pipe_to[2], status;

	for (int i = 0; i < 200; i++) {
		map_at(from, PAGE, PROT_READ | PROT_WRITE);
		if (i % 2 == 0)
			map_at(to, PAGE, PROT_READ | PROT_WRITE);
		fill(from, PAGE, 3, i);
		ok &= copy(queue, to, from, PAGE, 1) == DSA_COMP_SUCCESS && filled(to, PAGE, 3, i);
	}
	check(ok, "remapped_memory_is_translated_anew");

	if (pipe(pipe_to))
		exit(1);
	fill(to, PAGE, 3, 1000);
	child = fork();
	if (!child) {
		char go;

		/* The parent's copy went to a page of its own */
		_exit(read(pipe_to[0], &go, 1) != 1 || !filled(to, PAGE, 3, 1000));
	}
	fill(from, PAGE, 3, 1001);
	ok = copy(queue, to, from, PAGE, 1) == DSA_COMP_SUCCESS && filled(to, PAGE, 3, 1001);
	ok &= write(pipe_to[1], "g", 1) == 1;
	waitpid(child, &status, 0);
	check(ok && WIFEXITED(status) && !WEXITSTATUS(status), "copy_on_write_after_fork");
	close(pipe_to[0]);
	close(pipe_to[1]);

	map_at(to, PAGE, PROT_READ | PROT_WRITE);
	fill(to, PAGE, 3, 1002);
	copy(queue, to, from, PAGE, 1);
	fill(to, PAGE, 3, 1002);
	munmap(from, PAGE);
	check(copy(queue, to, from, PAGE, 1) == DSA_COMP_PAGE_FAULT_IR && filled(to, PAGE, 3, 1002),
	      "unmapped_memory_is_not_read");
	munmap(to, PAGE);
}

static void *in_thread(void *argument)
{
	struct queue *queue = argument;
	uint8_t *memory = map(2 * PAGE);

	fill(memory, PAGE, 4, 7);
	return (void *)(uintptr_t)(copy(queue, memory + PAGE, memory, PAGE, 1) == DSA_COMP_SUCCESS &&
				   filled(memory + PAGE, PAGE, 4, 7));
}

static void test_pasid_of_tasks(struct queue *queue)
{
	static uint8_t command[64] __attribute__((aligned(64))), target[64] __attribute__((aligned(64)));
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	pthread_t thread;
	void *result;
	int status, ok = 1;

	ok &= !pthread_create(&thread, NULL, in_thread, queue) && !pthread_join(thread, &result) && result;
	check(ok, "another_thread_submits");

	/* A child has no PASID, whatever its parent does with its own at the same time */
	ok = 1;
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();

		if (!child) {
			sigaction(SIGSEGV, &action, NULL);
			if (!sigsetjmp(fault, 1)) {
				idxd_enqcmd(target, command);
				_exit(1);
			}
			_exit(fault_code != SI_KERNEL);
		}
		for (int j = 0; j < 10; j++)
			ok &= idxd_enqcmd(target, command);
		waitpid(child, &status, 0);
		ok &= WIFEXITED(status) && !WEXITSTATUS(status);
	}
	check(ok, "a_child_has_no_pasid");
}

#define SLOTS 8

static size_t size_of(unsigned int i)
{
	return i * 72 % PAGE / 8 * 8 + 64;
}

/* Some destinations are not there when the device comes to them; the others end with a guard */
static int is_unpopulated(unsigned int i)
{
	return i % 61 == 0;
}

/* Keep several descriptors of this process on the queue and look at what each of them did */
static int work(const char *name, unsigned int who, unsigned int count)
{
	struct dsa_hw_desc slots[SLOTS] __attribute__((aligned(64)));
	uint8_t *from = arena, *to = arena + SLOTS * 2 * PAGE;
	struct dsa_completion_record *records = (void *)(to + SLOTS * 2 * PAGE);
	struct queue queue;

	map_at(arena, ARENA_SIZE, PROT_READ | PROT_WRITE);
	if (queue_open(&queue, name)) {
		printf("# process %u: %s\n", who, strerror(errno));
		return 1;
	}
	for (unsigned int i = 0; i < count + SLOTS; i++) {
		unsigned int slot = i % SLOTS, before = i - SLOTS;
		uint8_t *source = from + slot * 2 * PAGE, *target = to + slot * 2 * PAGE;

		if (i >= SLOTS) {
			int status = wait_for(&records[slot]);

			if (status != DSA_COMP_SUCCESS || !filled(target, size_of(before), who, before) ||
			    (!is_unpopulated(before) && target[size_of(before)] != (uint8_t)~who)) {
				printf("# process %u, descriptor %u: status %#x, fault at %#lx, data %#llx\n", who, before,
				       status, (unsigned long)records[slot].fault_addr, *(unsigned long long *)target);
				return 1;
			}
		}
		if (i >= count)
			continue;
		fill(source, size_of(i), who, i);
		if (is_unpopulated(i))
			madvise(target, 2 * PAGE, MADV_DONTNEED);
		else
			target[size_of(i)] = ~who;
		slots[slot] = memmove_of(target, source, size_of(i), &records[slot], 1);
		submit(&queue, &slots[slot]);
	}
	printf("# process %u: %u descriptors, %lu retries\n", who, count, queue.retries);
	fflush(stdout);
	queue_close(&queue);
	return 0;
}

static int work_together(unsigned int processes, unsigned int count)
{
	pid_t children[8];
	int ok = 1, status;

	fflush(stdout);
	for (unsigned int i = 0; i < processes; i++) {
		children[i] = fork();
		if (!children[i])
			_exit(work(SHARED, i + 1, count));
	}
	for (unsigned int i = 0; i < processes; i++)
		ok &= waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && !WEXITSTATUS(status);
	return ok;
}

/* A process that dies with descriptors on the queue takes them and its PASID along */
static void test_killed(void)
{
	int ok = 1, status;

	for (int i = 0; i < 20; i++) {
		pid_t child = fork();

		if (!child) {
			work(SHARED, 9, 1u << 30);
			_exit(1);
		}
		usleep(10000 + i * 1000);
		kill(child, SIGKILL);
		ok &= waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	check(ok && work_together(2, 200), "killed_at_work");
}

#define TRACING "/sys/kernel/debug/tracing/"

/* The PASIDs that the IOASID core has allocated, on a kernel that has one */
static int pasids(void)
{
	return line_count("/sys/kernel/debug/ioasid", "id ");
}

static int pasids_become(int wanted)
{
	for (int i = 0; i < 1200 && pasids() != wanted; i++) {
		visit_cpus();
		usleep(100000);
	}
	printf("# %d PASIDs, want %d\n", pasids(), wanted);
	return pasids() == wanted;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? atoi(argv[1]) : 4000;
	struct queue dedicated, shared;
	int ok = 1, own;

	printf("TAP version 13\n");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(shell("sh /lab/sva-queues.sh"), "queues_of_type_user");
	if (queue_open(&dedicated, DEDICATED) || queue_open(&shared, SHARED)) {
		printf("Bail out! cannot open the queues: %s\n", strerror(errno));
		return 1;
	}

	test_copy(&dedicated, "movdir64b_to_a_dedicated_queue");
	test_copy(&shared, "enqcmd_to_a_shared_queue");
	test_faults(&dedicated);
	test_faults(&shared);
	test_stale(&dedicated);
	test_stale(&shared);
	test_pasid_of_tasks(&shared);
	queue_close(&dedicated);
	queue_close(&shared);

	own = pasids();
	check(work_together(2, count), "two_processes_on_a_shared_queue");
	check(work_together(5, count / 4), "five_processes_on_a_shared_queue");
	check(!log_count("fault addr"), "no_fault_was_recorded");
	test_killed();
	/*
	 * 6.1.192 takes the present bit off the PASID entry first, and disables fault
	 * recording only after the invalidations. What comes in between is recorded.
	 */
	check(log_count("fault addr") == log_count("fault reason 0x59"), "only_absent_pasids_were_recorded");
	check(pasids_become(own), "ended_processes_give_their_pasids_back");
	shell("echo >" TRACING "trace");
	put_file(TRACING "events/intel_iommu/qi_submit/enable", "1");
	for (int i = 0; i < 50; i++)
		ok &= !work(i % 2 ? SHARED : DEDICATED, 1, 8);
	put_file(TRACING "events/intel_iommu/qi_submit/enable", "0");
	check(ok, "queues_open_again_and_again");
	/* Nothing else has the IOMMU wait in the middle of what it is told */
	check(line_count(TRACING "trace", "qi_submit: inv_wait ") == 50, "each_close_drains_page_requests");
	printf("1..%d\n", number);
	return failed;
}
