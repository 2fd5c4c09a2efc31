/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's native AIO: writes and reads mixed, in one ring. */
#include "tests/preload_calls.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#define iocb kernel_iocb
#include <linux/aio_abi.h>
#undef iocb

enum { RING = 8 };

static aio_context_t ring;

static long
submit(struct kernel_iocb **list, long count)
{
	return syscall(SYS_io_submit, ring, count, list);
}

/* Events by the program's data, which is 1, 2, ... */
static void
show_events(long count, long seen)
{
	struct io_event e[RING];
	long result[RING + 1] = {0};
	int64_t object[RING + 1] = {0};
	struct timespec limit = {10, 0};

	SHOW(syscall(SYS_io_getevents, ring, count, RING, e, &limit));
	for (long i = 0; i < count; i++)
		if (e[i].data <= RING) {
			result[e[i].data] = (long)e[i].res;
			object[e[i].data] = (int64_t)e[i].obj;
		}
	for (long i = 1; i <= seen; i++) {
		SHOW(result[i]);
		SHOW(object[i] != 0);
	}
}

static struct kernel_iocb
request(unsigned op, int fd, const void *buf, uint64_t len, int64_t off)
{
	static uint64_t number;

	return (struct kernel_iocb){.aio_data = ++number,
	    .aio_lio_opcode = (uint16_t)op,
	    .aio_fildes = (uint32_t)fd,
	    .aio_buf = (uintptr_t)buf,
	    .aio_nbytes = len,
	    .aio_offset = off};
}

static void
mixed(int fd)
{
	char *data = pattern(100000, 1), *back = pattern(5000, 2);
	struct iovec iov[2] = {{data + 5, 700}, {data + 9000, 3000}};
	int pipes = eventfd(0, EFD_CLOEXEC), other = must_open("/dev/null", 1);
	uint64_t told = 0;
	struct kernel_iocb r[7] = {
	    request(IOCB_CMD_PWRITE, fd, data, 100000, 5000),
	    request(IOCB_CMD_PREAD, fd, back, 5000, 0),
	    request(IOCB_CMD_PWRITEV, fd, iov, 2, 1499000),
	    request(IOCB_CMD_PWRITE, other, data, 77, 0),
	    request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0),
	    request(IOCB_CMD_PWRITE, fd, data, 0, 3),
	    request(IOCB_CMD_PWRITE, fd, data + 7, 9, 1600000)};
	struct kernel_iocb was[7], *list[7];

	for (int i = 0; i < 7; i++)
		list[i] = &r[i];
	r[2].aio_flags = IOCB_FLAG_RESFD;
	r[2].aio_resfd = (uint32_t)pipes;
	r[6].aio_rw_flags = 2; /* RWF_DSYNC */
	memcpy(was, r, sizeof(r));
	SHOW(submit(list, 7));
	for (int i = 0; i < 7; i++) {
		was[i].aio_key = r[i].aio_key;
		SHOW(memcmp(&was[i], &r[i], sizeof(r[i])));
	}
	show_events(7, 7);
	SHOW(read(pipes, &told, sizeof(told)));
	SHOW(told);
}

/* What the kernel does not take. */
static void
wrong(const char *path, int fd)
{
	char *data = pattern(100, 3);
	int reads = must_open(path, O_RDONLY);
	struct kernel_iocb good = request(IOCB_CMD_PWRITE, fd, data, 10, 100),
			   before = request(IOCB_CMD_PWRITE, fd, data, 10, -1),
			   closed = request(IOCB_CMD_PWRITE, 999, data, 10, 0),
			   other = request(IOCB_CMD_PWRITE, reads, data, 10, 0),
			   odd = request(99, fd, data, 10, 0);
	struct kernel_iocb *two[2] = {&good, NULL};
	struct kernel_iocb *bad[] = {&closed, &other, &odd};

	for (int i = 0; i < 3; i++) {
		struct kernel_iocb *one[1] = {bad[i]};

		SHOW(submit(one, 1));
		two[1] = bad[i];
		SHOW(submit(two, 2));
		show_events(1, 0);
	}
	two[0] = &before;
	SHOW(submit(two, 1) < 0 || before.aio_offset == -1);
	SHOW(submit(two, -1));
	SHOW(submit(two, 0));
	two[0] = NULL;
	SHOW(submit(two, 1));
	SHOW(submit(NULL, 1));
	SHOW(syscall(SYS_io_submit, ring + 4096, 1, two));
}

/* More than the ring takes: the rest comes with the next tries. */
static void
many(int fd)
{
	char *data = pattern(200 * 512, 4);
	struct io_event e[64];
	long done = 0, reaped = 0, bad = 0;

	while (done < 200) {
		struct kernel_iocb r = request(
		    IOCB_CMD_PWRITE, fd, data + done * 512, 512, done * 700);
		struct kernel_iocb *one = &r;

		if (submit(&one, 1) == 1) {
			done++;
			continue;
		}
		bad += errno != EAGAIN;
		reaped += syscall(SYS_io_getevents, ring, 1, 64, e, NULL);
	}
	while (reaped < 200)
		reaped += syscall(SYS_io_getevents, ring, 1, 64, e, NULL);
	SHOW(bad);
	SHOW(reaped);
}

static void
native_aio(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(syscall(SYS_io_setup, RING, &ring));
	mixed(fd);
	wrong(path, fd);
	many(fd);
	SHOW(syscall(SYS_io_destroy, ring));
}

/* With a full ring the program would try again, and it would be there twice. */
static void
native_append(const char *path)
{
	struct kernel_iocb r =
	    request(IOCB_CMD_PWRITE, must_open(path, O_RDWR), "end", 3, 0);
	struct kernel_iocb *one = &r;

	r.aio_rw_flags = 0x10; /* RWF_APPEND */
	SHOW(syscall(SYS_io_setup, RING, &ring));
	SHOW(submit(&one, 1));
}

const struct call native_calls[] = {
    SAME(native_aio), REFUSED(native_append), {NULL, NULL, NULL}};
