/*
 * usage: ioas-two GROUP DEVICE GROUP DEVICE
 *
 * Prints TAP. One IOASID of /dev/ioasid is attached to two devices of VFIO, each with a cache of translations. What is
 * unmapped is gone from both, what one of them does is told with its own name, and one that goes takes nothing with it.
 */
#include <sys/wait.h>

#include "ioas-check.h"
#include "kernel-log.h"

#define PLACE (64ul << 30)
#define VALUE 0x1234567887654321ul
#define STORM 500

static struct requester devs[2] = { { .has_tlb = 1 }, { .has_tlb = 1 } };
static char **names;
static int fd;
static uint64_t *memory;

static int attach(int which, uint32_t id)
{
	struct ioasid_device_attach a = { .size = sizeof(a), .ioasid_fd = fd, .ioasid = id, .cookie = 100 + which };

	return ioctl(devs[which].fd, IOASID_DEVICE_ATTACH, &a) ? errno : 0;
}

static int both_read(uint32_t id, uint64_t iova)
{
	return reads(&devs[0], id, iova, VALUE) && reads(&devs[1], id, iova, VALUE);
}

static int neither_reads(uint32_t id, uint64_t iova)
{
	return is_refused(&devs[0], id, iova) && is_refused(&devs[1], id, iova);
}

/* A fault of that device, told with its cookie */
static int fault_of(int which, uint32_t id)
{
	struct ioasid_event_fault e;
	uint64_t data = 0;

	return request(&devs[which], id, PLACE - PAGE, TD_DMA, 0, &data) && next_event(fd, &e, 2000) &&
	       e.header.type == IOASID_EVENT_FAULT && e.ioasid == id && e.cookie == 100u + which && e.addr == PLACE - PAGE;
}

static void drain(void)
{
	struct ioasid_event_fault e;

	while (next_event(fd, &e, 50))
		;
}

static uint32_t attached(void)
{
	struct ioasid_get_info info;

	return get_info(fd, &info) ? ~0u : info.out_attached;
}

static void together(uint32_t id)
{
	uint64_t iova = PLACE;

	check(!attach(0, id) && !attach(1, id) && attached() == 2, "one IOASID is attached to two devices");
	check(!ioas_map(fd, id, memory, PAGE, RW | FIXED, &iova) && both_read(id, iova), "both read what is mapped");
	check(!ioas_unmap(fd, id, iova, PAGE) && neither_reads(id, iova), "and neither what is unmapped");
	check(!ioas_map(fd, id, memory, PAGE, RW | FIXED, &iova) && both_read(id, iova), "mapped again, both do");
	drain();
	check(fault_of(0, id) && fault_of(1, id) && fault_of(0, id), "a fault has the cookie of its device");
	check(!ioas_detach(&devs[0], fd, id) && is_refused(&devs[0], id, iova) && reads(&devs[1], id, iova, VALUE) &&
	      attached() == 1, "detached from one, it is attached to the other");
	check(!attach(0, id) && both_read(id, iova), "and to both again");
}

/* Each has its own lines in the log: one that sends what nobody knows, all the time, does not take those of another */
static void logs(uint32_t id)
{
	uint64_t data = 0;
	int i, before;

	for (i = 0; i < STORM; i++)
		request(&devs[0], id + 100, PLACE, TD_DMA, 0, &data);
	usleep(200000);
	before = log_count("Request device [00:13.0]");
	request(&devs[1], id + 100, PLACE, TD_DMA, 0, &data);
	usleep(200000);
	check(log_count("Request device [00:12.0]") && log_count("Request device [00:13.0]") == before + 1,
	      "one that fills the log does not keep the other out of it");
}

/* Whose user is asked to give it back, and has it as long as he does not */
static void taken_away(uint32_t id)
{
	uint64_t iova = PLACE;
	char path[128];
	int remove, status;
	pid_t pid;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", names[1]);
	pid = fork();
	if (!pid) {
		/* It has the device from its parent */
		close_requester(&devs[1]);
		remove = open(path, O_WRONLY);
		_exit(write(remove, "1", 1) != 1);
	}
	usleep(300000);
	check(!waitpid(pid, &status, WNOHANG) && both_read(id, iova), "a device that is to be removed waits for its user");
	close_requester(&devs[1]);
	check(waitpid(pid, &status, 0) == pid && !status && access(path, F_OK), "closed, it is gone");
	check(attached() == 1 && reads(&devs[0], id, iova, VALUE), "the other one has the IOASID still");
	check(!ioas_unmap(fd, id, iova, PAGE) && is_refused(&devs[0], id, iova), "from which something is unmapped");
	check(!ioas_map(fd, id, memory, PAGE, RW | FIXED, &iova) && reads(&devs[0], id, iova, VALUE), "and mapped");
}

int main(int argc, char **argv)
{
	uint64_t iova = PLACE;
	uint32_t id = 0;
	int pending;

	if (argc != 5)
		return 2;
	names = (char *[]){ argv[2], argv[4] };
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory[0] = VALUE;
	fd = open("/dev/ioasid", O_RDWR | O_NONBLOCK);
	check(fd >= 0 && !open_requester(&devs[0], argv[1], argv[2]) && !open_requester(&devs[1], argv[3], argv[4]) &&
	      !ioas_alloc(fd, &id), "/dev/ioasid and two devices are opened");
	if (failed)
		goto out;
	together(id);
	logs(id);
	taken_away(id);
	check(!ioas_free(fd, id, &pending) && !pending && is_refused(&devs[0], id, iova) && locked_kib() == 0,
	      "FREE with what was left: nothing is charged");
out:
	printf("1..%d\n", number);
	return failed;
}
