// SPDX-License-Identifier: GPL-2.0
/*
 * What a virtual machine monitor does with /dev/ioasid when its guest allocates
 * a PASID, uses it and frees it. Documentation/userspace-api/ioasid.rst shows
 * this program, and the kernel's selftests run it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/ioasid.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Read events until what was allocated with @cookie is gone. */
static void wait_until_gone(int fd, __u64 cookie)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[4096], *pos;
	ssize_t len;

	for (;;) {
		if (poll(&pfd, 1, -1) < 0)
			fail("poll");
		len = read(fd, buf, sizeof(buf));
		if (len < 0)
			fail("read");

		for (pos = buf; pos < buf + len; ) {
			struct ioasid_event_freed event = { };
			__u32 size;

			/* A newer kernel may know other types, and longer events */
			memcpy(&size, pos, sizeof(size));
			memcpy(&event, pos, size < sizeof(event) ?
			       size : sizeof(event));
			pos += size;
			if (event.header.type == IOASID_EVENT_FREED &&
			    event.cookie == cookie)
				return;
		}
	}
}

int main(void)
{
	/* The guest has chosen 5; which PASID the device will use is up to us. */
	const __u32 guest_pasid = 5;
	struct ioasid_alloc alloc = {
		.size = sizeof(alloc),
		.type = IOASID_TYPE_NONE,
		/* What the PASIDs of the device can be */
		.min = 0,
		.max = (1 << 20) - 1,
		/* Ours, to know events of it by; a pointer, for instance */
		.cookie = 12345,
	};
	struct ioasid_set_spid set_spid = {
		.size = sizeof(set_spid),
		.spid = guest_pasid,
	};
	struct ioasid_find_spid find_spid = {
		.size = sizeof(find_spid),
		.spid = guest_pasid,
	};
	struct ioasid_free free_id = { .size = sizeof(free_id) };
	int fd;

	fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fprintf(stderr, "this kernel has no /dev/ioasid\n");
		return 4;
	}
	if (fd < 0)
		fail("/dev/ioasid");

	/* EBUSY: ioasids.max of the cgroup; ENOSPC: none left at all */
	if (ioctl(fd, IOASID_ALLOC, &alloc))
		fail("IOASID_ALLOC");

	set_spid.ioasid = alloc.out_ioasid;
	if (ioctl(fd, IOASID_SET_SPID, &set_spid))
		fail("IOASID_SET_SPID");

	if (ioctl(fd, IOASID_FIND_SPID, &find_spid))
		fail("IOASID_FIND_SPID");
	printf("guest PASID %u is PASID %u\n", guest_pasid,
	       find_spid.out_ioasid);

	/*
	 * The guest frees it, used or not. Its PASID can be used again when this
	 * has returned.
	 */
	free_id.ioasid = alloc.out_ioasid;
	if (ioctl(fd, IOASID_FREE, &free_id))
		fail("IOASID_FREE");
	if (free_id.out_pending)
		wait_until_gone(fd, alloc.cookie);
	printf("PASID %u is gone\n", alloc.out_ioasid);

	close(fd);
	return 0;
}
