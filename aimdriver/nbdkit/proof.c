/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof: does what is passed on to the plugin end in the volume's own path?
 * The plugin, or a filter below this one, may lead anywhere (memory, an
 * overlay, a copy), and a mirror of the wrong disk would look healthy.
 *
 * When a connection is opened, size and sample blocks are compared. That
 * cannot tell two empty disks from each other, so the first changes of each
 * connection are looked at, too, until one of them has made a difference and
 * that difference was seen at the path.
 */
#include "aimdriver/nbdkit/filter.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SAMPLES = 64, SAMPLE = 4096 };

struct sample {
	nbdkit_next *next;
	uint64_t off;
	uint32_t len;
	struct err *e;
};

/* The range is locked: neither side is being written by us. */
static int
look_at_sample(void *ctx)
{
	struct sample *s = ctx;
	uint8_t ours[SAMPLE], theirs[SAMPLE];
	int sys = 0;

	if (io_read_at(nf_disk.fd, ours, s->len, s->off, s->e) < 0)
		return err_at(s->e, "%s", nf_disk.path);
	if (s->next->pread(s->next, theirs, s->len, s->off, 0, &sys) < 0) {
		errno = sys;
		return err_sys(s->e, "read through nbdkit");
	}
	if (memcmp(ours, theirs, s->len) == 0)
		return 0;
	return err_set(s->e, ERR_REFUSED,
	    "refused: what nbdkit serves differs from %s at offset %" PRIu64
	    ": the filter aim must be next to the plugin, and that must serve "
	    "this path",
	    nf_disk.path, s->off);
}

/* Where there is something to compare, near `off`. */
static uint64_t
near_data(uint64_t off, uint64_t size)
{
	off_t at = lseek(nf_disk.fd, (off_t)off, SEEK_DATA);

	if (nf_disk.kind != VOLUME_FILE || at < 0 || (uint64_t)at >= size)
		return off;
	return (uint64_t)at & ~(uint64_t)(SAMPLE - 1);
}

static int
compare_samples(nbdkit_next *next, uint64_t size, struct err *e)
{
	uint64_t last =
	    size > SAMPLE ? (size - 1) & ~(uint64_t)(SAMPLE - 1) : 0;

	for (uint64_t i = 0; i < SAMPLES; i++) {
		/* All of them, when there are fewer blocks than samples. */
		uint64_t step = last / (SAMPLES - 1) + SAMPLE;
		struct sample s = {.next = next, .e = e};

		s.off = i * (step & ~(uint64_t)(SAMPLE - 1));
		if (s.off > last || i == SAMPLES - 1)
			s.off = last;
		s.off = near_data(s.off, size);
		s.len =
		    size - s.off < SAMPLE ? (uint32_t)(size - s.off) : SAMPLE;
		if (capture_look(nf_disk.capture, nf_disk.volume, s.off, s.len,
			look_at_sample, &s, e) < 0)
			return -1;
		if (s.off >= last)
			break;
	}
	return 0;
}

/* The size that the stream goes by. A captured program may be changing it:
 * its own comes a moment after the file's. */
static int
check_size(uint64_t *size, struct err *e)
{
	struct capture_status st;
	struct capture_volume v;
	unsigned tries;

	for (tries = 0; tries < 50; tries++) {
		if (tries > 0)
			clock_sleep_ms(10);
		if (io_size(nf_disk.fd, size, e) < 0)
			return err_at(e, "%s", nf_disk.path);
		capture_status(nf_disk.capture, &st);
		capture_volume_get(nf_disk.capture, nf_disk.volume, &v);
		if (st.mode != CAPTURE_ON || v.size == *size)
			return 0;
	}
	return err_set(e, ERR_REFUSED,
	    "refused: %s has %" PRIu64 " bytes, but its stream %" PRIu64
	    ": if it was made larger on purpose, tell aim-manager volume "
	    "expand; else it was changed outside AIM and a resync is needed",
	    nf_disk.path, *size, v.size);
}

int
nf_compare(nbdkit_next *next, struct err *e)
{
	uint64_t size = 0;
	int64_t served;

	if (check_size(&size, e) < 0)
		return -1;
	served = next->get_size(next);
	if (served < 0)
		return err_set(
		    e, ERR_FATAL, "the plugin does not say its size");
	if (size != (uint64_t)served)
		return err_set(e, ERR_REFUSED,
		    "refused: nbdkit serves %" PRIi64 " bytes, but %s has "
		    "%" PRIu64 ": the filter aim must be next to the plugin, "
		    "and that must serve this path",
		    served, nf_disk.path, size);
	return size == 0 ? 0 : compare_samples(next, size, e);
}

/* ---- the first changes ---- */

void
nf_probe_begin(struct nf_probe *p, uint64_t off, uint64_t len)
{
	ssize_t n;

	p->off = off;
	p->len = len < sizeof(p->was) ? (size_t)len : sizeof(p->was);
	n = io_read_some_at(nf_disk.fd, p->was, p->len, off, NULL);
	p->known = n == (ssize_t)p->len;
}

bool
nf_probe_end(const struct nf_probe *p, struct nf_client *c, const void *data)
{
	static const uint8_t zeroes[sizeof(p->was)];
	const void *should = data != NULL ? data : zeroes;
	uint8_t is[sizeof(p->was)];
	struct err e = {0};

	if (io_read_at(nf_disk.fd, is, p->len, p->off, &e) == 0 &&
	    memcmp(is, should, p->len) == 0) {
		/* What was there before proves nothing. */
		if (!p->known || memcmp(p->was, should, p->len) != 0)
			atomic_store(&c->proven, true);
		return true;
	}
	if (!atomic_exchange(&c->refused, true))
		nbdkit_error("aim: refused: a change at offset %" PRIu64
			     " did not arrive in %s%s%s: the filter aim must "
			     "be next to the plugin, and that must serve this "
			     "path",
		    p->off, nf_disk.path, e.kind != ERR_NONE ? ": " : "",
		    e.text);
	return false;
}

/* ---- trim ---- */

/* `queue`: a partition's is its disk's. */
static bool
queue_zeroes(const char *queue)
{
	AUTO_FCLOSE FILE *f = NULL;
	char path[128], text[32];
	struct stat st;

	if (fstat(nf_disk.fd, &st) < 0)
		return false;
	(void)snprintf(path, sizeof(path),
	    "/sys/dev/block/%u:%u/%s/write_zeroes_max_bytes", major(st.st_rdev),
	    minor(st.st_rdev), queue);
	f = fopen(path, "re");
	return f != NULL && fgets(text, sizeof(text), f) != NULL &&
	       strtoull(text, NULL, 10) > 0;
}

bool
nf_can_trim(void)
{
	return nf_disk.kind == VOLUME_FILE || queue_zeroes("queue") ||
	       queue_zeroes("../queue");
}
