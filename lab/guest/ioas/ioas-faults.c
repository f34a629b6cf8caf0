/*
 * usage: ioas-faults GROUP DEVICE [device-tlb]
 *
 * Prints TAP. What a device asks for and does not get, under an IOASID of /dev/ioasid that it is attached to, is told
 * to who has the file, and to nobody else: however much that is, it does not reach the log, nor keep others out of it.
 */
#include <pthread.h>
#include <time.h>

#include "ioas-check.h"
#include "kernel-log.h"

#define PLACE (64ul << 30)
#define INTERRUPTS 0xfee00000ul
/* No table has it */
#define FAR (1ul << 60)
#define FAULTS 256
#define STORM 10000
#define RACES 60
/* For what comes by way of an interrupt, or of being looked for now and then */
#define SOON 2000

static int fd;
static uint64_t *memory;

/* As the device sends it, not by way of its cache */
static int refused_at(uint32_t pasid, uint64_t addr, unsigned int flags)
{
	uint64_t data = 0;

	return request(&dev, pasid, addr, TD_DMA, flags, &data);
}

static int is_fault(const struct ioasid_event_fault *e, uint32_t id, uint64_t addr, uint32_t perm, uint32_t reason)
{
	if (e->header.size == sizeof(*e) && e->header.type == IOASID_EVENT_FAULT && !e->header.flags && e->ioasid == id &&
	    e->cookie == COOKIE_OF(id) && e->addr == addr && e->perm == perm && e->reason == reason && e->hw_reason &&
	    !e->lost && !e->__reserved)
		return 1;
	printf("# size %u type %u ioasid %u cookie %llx addr %llx spid %x perm %u reason %u hw %x lost %u\n", e->header.size,
	       e->header.type, e->ioasid, e->cookie, e->addr, e->spid, e->perm, e->reason, e->hw_reason, e->lost);
	return 0;
}

/* Cause one fault, and look whether it is told as what it is */
static int told(uint32_t id, uint64_t addr, uint32_t perm, uint32_t reason, uint32_t spid)
{
	struct ioasid_event_fault e;

	if (!refused_at(id, addr, perm == IOASID_FAULT_PERM_WRITE ? TD_WRITE : 0))
		return 0;
	return next_event(fd, &e, SOON) && is_fault(&e, id, addr & ~(PAGE - 1), perm, reason) && e.spid == spid;
}

static int set_spid(uint32_t id, uint32_t spid)
{
	struct ioasid_set_spid s = { .size = sizeof(s), .ioasid = id, .spid = spid };
	struct ioasid_clear_spid c = { .size = sizeof(c), .ioasid = id };

	return spid == ~0u ? ioctl(fd, IOASID_CLEAR_SPID, &c) : ioctl(fd, IOASID_SET_SPID, &s);
}

/* What the kernel says of a request with a PASID that it knows nothing of */
static int logged(void)
{
	return log_count("[DMA Read PASID");
}

static void one_by_one(uint32_t id, uint32_t other)
{
	struct ioasid_event_fault e, second;
	int before = logged();
	char small[24];

	check(!next_event(fd, &e, 0), "no event at first");
	check(told(id, PLACE + PAGE + 8, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS, ~0u), "a read beside what is mapped is told");
	check(told(id, PLACE - PAGE, IOASID_FAULT_PERM_WRITE, IOASID_FAULT_ACCESS, ~0u), "so is a write");
	check(told(id, PLACE, IOASID_FAULT_PERM_WRITE, IOASID_FAULT_ACCESS, ~0u), "and a write to what is to be read");
	check(told(id, FAR, IOASID_FAULT_PERM_READ, IOASID_FAULT_RANGE, ~0u), "an address that there is not is another reason");
	check(!set_spid(id, 7) && told(id, PLACE + PAGE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS, 7), "with its SPID");
	check(!set_spid(id, ~0u) && told(id, PLACE + PAGE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS, ~0u), "as long as it has one");

	check(refused_at(id, PLACE + PAGE, 0) && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, SOON) == 1 &&
	      read(fd, small, sizeof(small)) == -1 && errno == EINVAL, "it is not told in part");
	check(refused_at(other, PLACE, 0) && next_event(fd, &e, SOON) && next_event(fd, &second, SOON) &&
	      is_fault(&e, id, PLACE + PAGE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS) &&
	      is_fault(&second, other, PLACE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS), "those of two come one by one, each with its own");
	check(logged() == before, "the log has none of them");
}

static void nobodys(uint32_t id)
{
	struct ioasid_event_fault e;
	int before = logged();

	check(refused_at(id + 100, PLACE, 0) && !next_event(fd, &e, 100) && logged() > before, "one of no IOASID is for the log");
	before = logged();
	check(!ioas_detach(&dev, fd, id) && refused_at(id, PLACE, 0) && !next_event(fd, &e, 100) && logged() == before,
	      "one that is detached is told to nobody");
	check(!ioas_attach(&dev, fd, id), "and attached again");
}

/* Read all that there are; returns how many, and sets what the last one says of others */
static int drain(uint32_t *lost)
{
	struct ioasid_event_fault e;
	int count = 0;

	for (*lost = 0; next_event(fd, &e, 0); count++)
		*lost = *lost && e.lost ? ~0u : e.lost;
	return count;
}

static void storm(uint32_t id)
{
	int before = logged(), i, count, rounds;
	uint32_t lost;

	for (i = 0; i < STORM; i++)
		refused_at(id, PLACE + PAGE * (1 + i % 64), 0);
	check(logged() == before, "any number of them does not reach the log");
	/* The IOMMU keeps one, until the kernel has read it; so it also takes time until there are many */
	usleep(SOON * 100);
	check(refused_at(id + 100, PLACE, 0) && (usleep(SOON * 100), logged()) == before + 1, "where one of somebody else is");
	drain(&lost);
	for (rounds = FAULTS; rounds < 64 * FAULTS; rounds *= 2) {
		for (i = 0; i < rounds; i++) {
			refused_at(id, PLACE + PAGE, 0);
			usleep(1000);
		}
		count = drain(&lost);
		if (lost)
			break;
	}
	printf("# %d events, the last of which says that %u more were lost\n", count, lost);
	check(count == FAULTS && lost && lost != ~0u, "as many as there is room for are told, the others are counted");
	check(told(id, PLACE + PAGE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS, ~0u), "then there is room again");
}

static void *read_one(void *event)
{
	/* There is nothing to read as yet */
	return (void *)(long)(read(fd, event, sizeof(struct ioasid_event_fault)) == sizeof(struct ioasid_event_fault));
}

static void waits(uint32_t id)
{
	struct ioasid_event_fault e = { };
	pthread_t thread;
	void *got;

	pthread_create(&thread, NULL, read_one, &e);
	usleep(100000);
	refused_at(id, PLACE + PAGE, 0);
	pthread_join(thread, &got);
	check(got && is_fault(&e, id, PLACE + PAGE, IOASID_FAULT_PERM_READ, IOASID_FAULT_ACCESS), "who waits for one gets it");
}

static volatile int stop;
static volatile uint32_t raced;

static void *race_faults(void *unused)
{
	(void)unused;
	while (!stop)
		refused_at(raced, PLACE + 7 * PAGE, 0);
	return NULL;
}

static void *race_read(void *own)
{
	struct ioasid_event_fault e[4];

	while (!stop)
		if (read(*(int *)own, e, sizeof(e)) < 0)
			usleep(500);
	return NULL;
}

/* Files and attachments come and go while the device goes on */
static void races(void)
{
	int own[2], round, wrong = 0;
	pthread_t threads[2];
	uint32_t id;

	own[1] = open("/dev/ioasid", O_RDWR | O_NONBLOCK);
	wrong = ioas_alloc(own[1], &id);
	raced = id;
	pthread_create(&threads[0], NULL, race_faults, NULL);
	pthread_create(&threads[1], NULL, race_read, &own[1]);
	for (round = 0; round < RACES && !wrong; round++) {
		own[0] = open("/dev/ioasid", O_RDWR | O_NONBLOCK);
		wrong |= ioas_attach(&dev, own[1], raced);
		usleep(round % 7 * 500);
		wrong |= ioas_detach(&dev, own[1], raced);
		wrong |= ioas_alloc(own[0], &id) || ioas_attach(&dev, own[0], id);
		raced = id;
		usleep(round % 5 * 500);
		/* With what was not read */
		close(own[0]);
		wrong |= ioas_alloc(own[1], &id);
		raced = id;
	}
	stop = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	close(own[1]);
	check(!wrong && round == RACES, "attachments and files come and go under faults");
}

int main(int argc, char **argv)
{
	uint64_t iova = PLACE;
	uint32_t id, other;

	if (argc < 3)
		return 2;
	dev.has_tlb = argc == 4;
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory[0] = 1;
	fd = open("/dev/ioasid", O_RDWR);
	check(fd >= 0 && !open_requester(&dev, argv[1], argv[2]), "/dev/ioasid and the device are opened");
	if (failed)
		goto out;
	check(!ioas_alloc(fd, &id) && !ioas_alloc(fd, &other) && !ioas_map(fd, id, memory, PAGE, IOASID_MAP_READ | IOASID_MAP_FIXED_IOVA, &iova) &&
	      !ioas_attach(&dev, fd, id) && !ioas_attach(&dev, fd, other), "two IOASIDs are attached");
	one_by_one(id, other);
	nobodys(id);
	waits(id);
	storm(id);
	races();
out:
	printf("1..%d\n", number);
	return failed;
}
