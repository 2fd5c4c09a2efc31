/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/capture_rig.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
/* Its deadlock detector knows 64 locks of a thread; "everything" is more. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}
#endif

uint64_t
rig_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void
rig_fill(void *to, uint64_t len, uint64_t seed)
{
	uint8_t *p = to;
	uint64_t i, v = 0;

	for (i = 0; i < len; i++) {
		if (i % 8 == 0)
			v = rig_random(&seed);
		p[i] = (uint8_t)(v >> i % 8 * 8);
	}
}

static void
make_file(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void
add_volume(struct rig *r, uint32_t i, uint64_t size)
{
	struct capture_volume v = {.kind = VOLUME_FILE, .size = size};
	struct err e = {0};

	(void)snprintf(r->path[i], sizeof(r->path[i]), "%s/vol%u", r->home, i);
	(void)snprintf(r->copy[i], sizeof(r->copy[i]), "%s/copy%u", r->home, i);
	make_file(r->path[i], size);
	ck_assert_int_eq(uuid_make(&v.uuid, &e), 0);
	(void)snprintf(v.path, sizeof(v.path), "%s", r->path[i]);
	ck_assert_msg(
	    capture_add_volume(r->home, &r->group, &v, &e) == 0, "%s", e.text);
}

void
rig_open(struct rig *r, uint32_t volumes, uint64_t size)
{
	rig_open_in(r, "/tmp", volumes, size);
}

void
rig_open_in(struct rig *r, const char *where, uint32_t volumes, uint64_t size)
{
	struct err e = {0};
	uint32_t i;

	*r = (struct rig){.volumes = volumes, .next = 1};
	(void)snprintf(
	    r->home, sizeof(r->home), "%s/aim-capture-XXXXXX", where);
	ck_assert_ptr_nonnull(mkdtemp(r->home));
	ck_assert_int_eq(uuid_make(&r->group, &e), 0);
	ck_assert_msg(capture_create(r->home, &r->group, (gid_t)-1, &e) == 0,
	    "%s", e.text);
	for (i = 0; i < volumes; i++)
		add_volume(r, i, size);
	ck_assert_msg(
	    capture_accept_volumes(r->home, &r->group, &e) == 0, "%s", e.text);
}

static void
copy_file(const char *from, const char *to)
{
	char command[512];

	(void)snprintf(
	    command, sizeof(command), "cp --sparse=always %s %s", from, to);
	ck_assert_int_eq(system(command), 0);
}

void
rig_start(struct rig *r)
{
	struct capture *c = rig_attach(r, CAPTURE_COORDINATOR);
	struct err e = {0};
	uint32_t i;

	ck_assert_msg(capture_set_mode(c, CAPTURE_ON, &e) == 0, "%s", e.text);
	for (i = 0; i < r->volumes; i++)
		copy_file(r->path[i], r->copy[i]);
	capture_detach(c);
}

void
rig_close(struct rig *r)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", r->home);
	ck_assert_int_eq(system(command), 0);
}

struct capture *
rig_attach(const struct rig *r, unsigned flags)
{
	struct capture *c = NULL;
	struct err e = {0};

	ck_assert_msg(capture_attach(r->home, &r->group, flags, &c, &e) == 0,
	    "%s", e.text);
	return c;
}

/* ---- the sealer ---- */

static void
put(int fd, const uint8_t *data, uint64_t len, uint64_t off)
{
	ck_assert_int_eq(pwrite(fd, data, len, (off_t)off), (ssize_t)len);
}

static void
put_zeroes(int fd, uint64_t len, uint64_t off)
{
	static const uint8_t zero[65536];

	while (len > 0) {
		uint64_t n = len < sizeof(zero) ? len : sizeof(zero);

		put(fd, zero, n, off);
		len -= n;
		off += n;
	}
}

static void
replay(const int *fd, const struct iocb *b, const uint8_t *data)
{
	switch (b->op) {
	case OP_WRITE:
	case OP_COPYIN:
		put(fd[b->volume], data, b->len, b->off);
		break;
	case OP_ZERO:
	case OP_DISCARD:
	case OP_COPYIN_ZERO:
		put_zeroes(fd[b->volume], b->len, b->off);
		break;
	case OP_RESIZE:
		ck_assert_int_eq(
		    lseek(fd[b->volume], 0, SEEK_END), (off_t)b->len);
		ck_assert_int_eq(ftruncate(fd[b->volume], (off_t)b->off), 0);
		break;
	default:
		break;
	}
}

static uint64_t
drain_span(struct rig *r, struct capture *c, const struct capture_span *s,
    const int *fd, uint8_t *room)
{
	uint32_t i, count = (uint32_t)(s->last - s->first + 1);
	struct err e = {0};
	struct iocb b;

	for (i = 0; i < count; i++) {
		ck_assert_msg(capture_span_entry(c, s, i, &b, room, &e) == 0,
		    "%s", e.text);
		ck_assert_uint_eq(b.number, r->next + i);
		ck_assert_uint_ge(b.time_ns, r->last_time_ns);
		r->last_time_ns = b.time_ns;
		r->counts[b.op]++;
		replay(fd, &b, room);
	}
	r->next = s->last + 1;
	return count;
}

uint64_t
rig_drain(struct rig *r, struct capture *c)
{
	uint8_t *room = malloc(CAPTURE_CHUNK);
	struct err e = {0};
	struct capture_span s;
	uint64_t total = 0;
	int fd[RIG_VOLUMES];
	uint32_t i;
	int more;

	ck_assert_ptr_nonnull(room);
	for (i = 0; i < r->volumes; i++) {
		fd[i] = open(r->copy[i], O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(fd[i], 0);
	}
	while ((more = capture_span_next(c, r->next, &s, NULL, &e)) > 0) {
		ck_assert_uint_eq(s.first, r->next);
		total += drain_span(r, c, &s, fd, room);
		if (!r->no_report)
			capture_sealed(c, s.last);
	}
	ck_assert_msg(more == 0, "%s", e.text);
	for (i = 0; i < r->volumes; i++)
		close(fd[i]);
	free(room);
	return total;
}

static void
compare_files(const char *a, const char *b)
{
	static uint8_t x[1 << 16], y[1 << 16];
	int p = open(a, O_RDONLY | O_CLOEXEC);
	int q = open(b, O_RDONLY | O_CLOEXEC);
	off_t off = 0;
	ssize_t n;

	ck_assert_int_ge(p, 0);
	ck_assert_int_ge(q, 0);
	ck_assert_int_eq(lseek(p, 0, SEEK_END), lseek(q, 0, SEEK_END));
	while ((n = pread(p, x, sizeof(x), off)) > 0) {
		ck_assert_int_eq(pread(q, y, sizeof(y), off), n);
		if (memcmp(x, y, (size_t)n) != 0) {
			ssize_t i = 0;

			while (x[i] == y[i])
				i++;
			ck_abort_msg("%s and %s differ at offset %jd", a, b,
			    (intmax_t)off + i);
		}
		off += n;
	}
	close(p);
	close(q);
}

void
rig_compare(struct rig *r, struct capture *c)
{
	struct capture_status s;
	uint32_t i;

	while (rig_drain(r, c) > 0)
		continue;
	capture_status(c, &s);
	ck_assert_uint_eq(s.reserved + 1, r->next);
	ck_assert_uint_eq(s.completed, s.reserved);
	for (i = 0; i < r->volumes; i++)
		compare_files(r->path[i], r->copy[i]);
}

/* ---- the driver ---- */

void
rig_file_open(
    struct rig_file *f, struct capture *c, const struct rig *r, uint32_t volume)
{
	*f = (struct rig_file){.c = c, .volume = volume};
	f->fd = open(r->path[volume], O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(f->fd, 0);
}

void
rig_file_close(struct rig_file *f)
{
	close(f->fd);
}

struct call {
	struct rig_file *file;
	const uint8_t *data; /* the caller's own */
	enum aim_op op;
	bool plain;
};

static int64_t
locate(void *ctx)
{
	struct call *k = ctx;
	off_t at = lseek(k->file->fd, 0, SEEK_CUR);

	return at < 0 ? -errno : at;
}

static int64_t
issue_write(struct call *k, const uint8_t *data, uint64_t len, uint64_t off)
{
	ssize_t n = k->plain ? write(k->file->fd, data, len)
			     : pwrite(k->file->fd, data, len, (off_t)off);

	return n < 0 ? -errno : n;
}

static int64_t
issue(void *ctx, const void *data, uint64_t len, uint64_t off, uint64_t done,
    bool *clean)
{
	struct call *k = ctx;
	struct rig_file *f = k->file;
	const uint8_t *from =
	    data == NULL && k->data != NULL ? k->data + done : data;
	int r = 0;

	*clean = f->clean;
	if (f->fail != 0) {
		int64_t fail = f->fail;

		f->fail = 0;
		return fail;
	}
	if (f->cut != 0) {
		uint64_t cut = f->cut;

		f->cut = 0;
		return issue_write(k, from, cut < len ? cut : len, off);
	}
	switch (k->op) {
	case OP_WRITE:
		return issue_write(k, from, len, off);
	case OP_RESIZE:
		r = ftruncate(f->fd, (off_t)off);
		break;
	case OP_ZERO:
		r = fallocate(
		    f->fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len);
		break;
	default:
		r = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)off, (off_t)len);
		break;
	}
	return r < 0 ? -errno : 0;
}

static bool
interrupted(void *ctx)
{
	const struct call *k = ctx;

	return k->file->give_up;
}

static int64_t
submit(struct rig_file *f, struct call *k, enum capture_place place,
    const void *data, uint64_t len, uint64_t off)
{
	union {
		const void *in;
		void *out;
	} u = {.in = data};
	struct iovec v[2] = {
	    {u.out, len / 3}, {(uint8_t *)u.out + len / 3, len - len / 3}};
	struct capture_req req = {.volume = f->volume,
	    .op = k->op,
	    .place = place,
	    .direct = f->direct,
	    .off = off,
	    .len = len,
	    .iov = v,
	    .iov_count = 2,
	    .ctx = k,
	    .locate = locate,
	    .issue = issue,
	    .interrupted = interrupted};

	k->file = f;
	k->data = data;
	return capture_submit(f->c, &req);
}

int64_t
rig_write(struct rig_file *f, const void *data, uint64_t len, uint64_t off)
{
	struct call k = {.op = OP_WRITE};

	return submit(f, &k, CAPTURE_AT, data, len, off);
}

int64_t
rig_append(struct rig_file *f, const void *data, uint64_t len)
{
	struct call k = {.op = OP_WRITE};

	return submit(f, &k, CAPTURE_APPEND, data, len, 0);
}

int64_t
rig_plain_write(struct rig_file *f, const void *data, uint64_t len)
{
	struct call k = {.op = OP_WRITE, .plain = true};

	return submit(f, &k, CAPTURE_POSITION, data, len, 0);
}

int64_t
rig_change(struct rig_file *f, enum aim_op op, uint64_t off, uint64_t len)
{
	struct call k = {.op = op};

	return submit(f, &k, CAPTURE_AT, NULL, len, off);
}
