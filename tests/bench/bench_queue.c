/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_queue: makes a running coordinator seal one journal file after the
 * other, each of one captured write of 4 KiB, until HOME has sealed COUNT more.
 *
 *   bench_queue HOME GROUP-UUID COUNT
 */
#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define BLOCK 4096u
#define PATIENCE_NS (UINT64_C(60) * 1000000000u)

static int64_t
issue(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	const int *fd = ctx;
	ssize_t n = pwrite(*fd, data, len, (off_t)off);

	(void)done;
	(void)clean;
	return n < 0 ? -errno : n;
}

/* Captures the write and waits until it is in a sealed file. */
static int
queue_one(struct capture *c, int fd, uint64_t off, struct err *e)
{
	uint8_t page[BLOCK] = {0};
	struct iovec v = {.iov_base = page, .iov_len = sizeof(page)};
	struct capture_req req = {
	    .op = OP_WRITE,
	    .place = CAPTURE_AT,
	    .off = off,
	    .len = sizeof(page),
	    .iov = &v,
	    .iov_count = 1,
	    .ctx = &fd,
	    .issue = issue,
	};
	struct capture_status st;
	uint64_t upto, start = clock_mono_ns();

	memcpy(page, &start, sizeof(start));
	if (capture_submit(c, &req) != (int64_t)sizeof(page))
		return err_set(e, ERR_FATAL, "capture: %s", capture_trouble(c));
	capture_status(c, &st);
	upto = st.reserved;
	capture_request_seal(c, upto);
	for (;;) {
		capture_status(c, &st);
		if (st.sealed >= upto)
			return 0;
		if (clock_mono_ns() - start > PATIENCE_NS)
			return err_set(e, ERR_RETRY,
			    "transaction %" PRIu64 " was not sealed in time",
			    upto);
		clock_sleep_ms(1);
	}
}

static int
run(const char *home, const char *group, uint32_t count, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct capture_volume v;
	struct capture *c;
	struct uuid id;
	uint32_t i;
	int failed = 0;

	if (uuid_parse(group, &id, e) != 0 ||
	    capture_attach(home, &id, CAPTURE_WRITER, &c, e) != 0)
		return -1;
	capture_volume_get(c, 0, &v);
	fd = open(v.path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		failed = err_sys(e, "open %s", v.path);
	for (i = 0; failed == 0 && i < count; i++)
		failed = queue_one(
		    c, fd, (uint64_t)i * BLOCK % (v.size / BLOCK * BLOCK), e);
	capture_detach(c);
	return failed;
}

int
main(int argc, char **argv)
{
	struct err e = {0};

	if (argc != 4) {
		(void)fprintf(
		    stderr, "usage: bench_queue HOME GROUP-UUID COUNT\n");
		return 2;
	}
	if (run(argv[1], argv[2], (uint32_t)strtoul(argv[3], NULL, 10), &e) !=
	    0) {
		(void)fprintf(stderr, "bench_queue: %s\n", e.text);
		return 1;
	}
	return 0;
}
