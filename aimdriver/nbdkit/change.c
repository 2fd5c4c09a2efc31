/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: write, zero, trim and flush, through the capture core.
 *
 * The disk is written from the segment's copy, through the plugin, with the
 * range locked. The core re-reads the volume's path when the plugin reports a
 * failure: nothing that it says proves that the disk was left alone.
 *
 * What a trimmed range holds afterwards is the device's secret, and a mirror
 * cannot guess it. So a trim is a zeroing that may unmap: both sides read
 * zeroes then.
 */
#include "aimdriver/nbdkit/filter.h"

#include "common/clock.h"

#include <errno.h>
#include <string.h>

#define SAY_EVERY_NS UINT64_C(1000000000)

struct change {
	nbdkit_next *next;
	struct nf_client *client;
	enum aim_op op;
	const uint8_t *buf; /* the client's; NULL: zeroes */
	struct iovec iov;   /* the same, for the core */
	uint32_t flags;	    /* for the plugin */
};

/* Errors that NBD has a number for; all others are EIO. */
static int
nbd_errno(int64_t r)
{
	switch (-r) {
	case EINTR:
		return ESHUTDOWN;
	case EPERM:
	case EROFS:
	case EIO:
	case EINVAL:
	case ENOMEM:
	case EDQUOT:
	case EFBIG:
	case ENOSPC:
	case EOVERFLOW:
	case EOPNOTSUPP:
	case ESHUTDOWN:
		return (int)-r;
	default:
		return EIO;
	}
}

/* The core's own trouble, at most once a second. */
static void
say_trouble(int64_t r)
{
	static _Atomic uint64_t said;
	uint64_t now = clock_mono_ns(), was = atomic_load(&said);
	const char *why = capture_trouble(nf_disk.capture);

	if ((was != 0 && now - was < SAY_EVERY_NS) ||
	    !atomic_compare_exchange_strong(&said, &was, now))
		return;
	if (r == -ENOSPC)
		nbdkit_error("aim: %s: the spool is full and its policy is to "
			     "fail, or the disk is full; see aim-manager "
			     "status",
		    nf_disk.path);
	else
		nbdkit_error("aim: %s: %s: %s", nf_disk.path, strerror((int)-r),
		    why[0] != '\0' ? why : "see above");
}

static int
fail(int64_t r, int *err)
{
	*err = nbd_errno(r);
	say_trouble(r);
	return -1;
}

/* While the spool is full: ends with the server. */
static bool
interrupted(void *ctx)
{
	(void)ctx;
	return nbdkit_nanosleep(0, 1000) < 0;
}

static int
pass_on(const struct change *ch, const void *data, uint64_t len, uint64_t off,
    int *sys)
{
	uint32_t flags = ch->flags;

	/* The log is what must have it. */
	if (nf_disk.wal != NULL)
		flags &= ~(uint32_t)NBDKIT_FLAG_FUA;
	if (ch->buf == NULL)
		return ch->next->zero(ch->next, (uint32_t)len, off, flags, sys);
	return ch->next->pwrite(ch->next, data, (uint32_t)len, off, flags, sys);
}

static int64_t
issue(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	const struct change *ch = ctx;
	bool proven =
	    atomic_load_explicit(&ch->client->proven, memory_order_relaxed);
	struct nf_probe probe;
	int r, sys = 0;

	if (data == NULL && ch->buf != NULL)
		data = ch->buf + done;
	if (!proven)
		nf_probe_begin(&probe, off, len);
	r = pass_on(ch, data, len, off, &sys);
	if (r < 0) {
		/* "Not fast" is said before anything is done. */
		*clean = (ch->flags & NBDKIT_FLAG_FAST_ZERO) != 0 &&
			 (sys == EOPNOTSUPP || sys == ENOTSUP);
		return sys > 0 ? -sys : -EIO;
	}
	if (!proven && !nf_probe_end(&probe, ch->client, data))
		return -EIO;
	if (nf_disk.wal != NULL)
		wal_stage(nf_disk.wal, ch->op, off, len, data);
	return (int64_t)len;
}

static int
flush_disk(void *ctx)
{
	nbdkit_next *next = ctx;
	int sys = 0;

	if (next->flush(next, 0, &sys) == 0)
		return 0;
	return sys > 0 ? -sys : -EIO;
}

/* commit=wal: all that is on the disk is in the log, too. */
static int
sync_log(nbdkit_next *next, int *err)
{
	struct err e = {0};

	if (wal_commit(nf_disk.wal, flush_disk, next, &e) == 0)
		return 0;
	nbdkit_error("aim: %s: commit=wal: %s; nbdkit must be started again",
	    nf_disk.path, e.text);
	*err = EIO;
	return -1;
}

/* What is captured is durable in the journal, too, before the answer, and
 * where the group's commit policy wants it. */
static int
commit(int *err)
{
	struct err e = {0};

	if ((!nf_disk.journal ||
		capture_sync_journal(nf_disk.capture, &e) == 0) &&
	    capture_commit(nf_disk.capture, interrupted, NULL, &e) == 0)
		return 0;
	if (e.sys == EINTR)
		nbdkit_error("aim: %s: nbdkit ends while a flush waits for "
			     "mirrors: it fails",
		    nf_disk.path);
	else
		nbdkit_error("aim: %s: the journal cannot be made durable: %s",
		    nf_disk.path, e.text);
	*err = nbd_errno(-e.sys);
	return -1;
}

/* After a flush or a FUA. */
static int
sync_all(nbdkit_next *next, int *err)
{
	if (nf_disk.wal != NULL && sync_log(next, err) < 0)
		return -1;
	return commit(err);
}

static bool
is_refused(const struct nf_client *c, int *err)
{
	if (!atomic_load_explicit(&c->refused, memory_order_relaxed))
		return false;
	*err = EPERM;
	return true;
}

/* A write of which only a part was done is gone on with, so that the error
 * comes to light. */
static int64_t
submit_all(struct change *ch, struct capture_req *req)
{
	int64_t r = capture_submit(nf_disk.capture, req);

	while (req->op == OP_WRITE && r > 0 && (uint64_t)r < req->len) {
		ch->buf += r;
		ch->iov.iov_base = (char *)ch->iov.iov_base + r;
		ch->iov.iov_len -= (size_t)r;
		req->off += (uint64_t)r;
		req->len -= (uint64_t)r;
		r = capture_submit(nf_disk.capture, req);
	}
	return r == 0 && req->op == OP_WRITE && req->len > 0 ? -EIO : r;
}

/* flags: as the client gave them. */
static int
submit(struct change *ch, struct capture_req *req, uint32_t flags, int *err)
{
	int64_t r;

	if (is_refused(ch->client, err))
		return -1;
	ch->flags = flags;
	ch->op = req->op;
	req->volume = nf_disk.volume;
	req->place = CAPTURE_AT;
	req->ctx = ch;
	req->issue = issue;
	req->interrupted = interrupted;
	if ((flags & NBDKIT_FLAG_FUA) != 0)
		req->flags = IOCB_FUA;
	r = submit_all(ch, req);
	if (r < 0 && req->op != OP_WRITE &&
	    (flags & NBDKIT_FLAG_FAST_ZERO) != 0 &&
	    (r == -EOPNOTSUPP || r == -ENOTSUP)) {
		*err = EOPNOTSUPP;
		return -1;
	}
	if (r < 0)
		return fail(r, err);
	if ((flags & NBDKIT_FLAG_FUA) == 0)
		return 0;
	return sync_all(ch->next, err);
}

int
nf_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count,
    uint64_t offset, uint32_t flags, int *err)
{
	struct change ch = {.next = next, .client = handle, .buf = buf};
	struct capture_req req = {.op = OP_WRITE,
	    .off = offset,
	    .len = count,
	    .iov = &ch.iov,
	    .iov_count = 1};

	ch.iov.iov_len = count;
	memcpy(&ch.iov.iov_base, &buf, sizeof(ch.iov.iov_base));
	return submit(&ch, &req, flags, err);
}

int
nf_zero(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset,
    uint32_t flags, int *err)
{
	struct change ch = {.next = next, .client = handle};
	struct capture_req req = {
	    .op = (flags & NBDKIT_FLAG_MAY_TRIM) != 0 ? OP_DISCARD : OP_ZERO,
	    .off = offset,
	    .len = count};

	return submit(&ch, &req, flags, err);
}

int
nf_trim(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset,
    uint32_t flags, int *err)
{
	return nf_zero(
	    next, handle, count, offset, flags | NBDKIT_FLAG_MAY_TRIM, err);
}

int
nf_flush(nbdkit_next *next, void *handle, uint32_t flags, int *err)
{
	struct nf_client *c = handle;
	int r;

	if (is_refused(c, err))
		return -1;
	if (nf_disk.wal != NULL)
		return sync_all(next, err);
	if (next->flush(next, flags, err) < 0)
		return -1;
	if (!c->writes)
		return 0;
	r = capture_flushed(nf_disk.capture, nf_disk.volume);
	return r < 0 ? fail(r, err) : commit(err);
}
