/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_rsync: see transport_rsync.h. Files that are put are gathered, and
 * sent by one call when there are enough of them or somebody waits; a second
 * call runs beside the first only once one has worked. The receiver waits for
 * the next expected name, so that the order in which files arrive does not
 * matter.
 */
#include "coordinator/transport_rsync.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/secret.h"
#include "coordinator/ssh_key.h"
#include "coordinator/transfer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENOUGH_BYTES (UINT64_C(16) << 20)
#define LONG_MS 60000u
#define LEAST_FD 10 /* above those that every program has */

static const char *
key_of(const struct destination_config *d, bool for_acks)
{
	return for_acks && d->ack_key_file[0] != '\0' ? d->ack_key_file
						      : d->key_file;
}

static const char *
password_of(const struct destination_config *d, bool for_acks)
{
	return for_acks && d->ack_credentials_file[0] != '\0'
		   ? d->ack_credentials_file
		   : d->credentials_file;
}

static int
check_ssh(const struct destination_config *d, const struct rsync_url *u,
    const char *url, const char *key, struct err *e)
{
	if (d->known_hosts[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s needs --known-hosts FILE: without the server's key "
		    "anybody could pose as it",
		    url);
	if (key[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s needs --key FILE, an Ed25519 or ECDSA key", url);
	if (ssh_key_check(key, e) < 0)
		return -1;
	return ssh_known_host(d->known_hosts, u->host, u->port, NULL, e);
}

static int
check_password(
    const struct rsync_url *u, const char *url, const char *file, struct err *e)
{
	AUTO(secret_release) struct buf b = {0};

	if (file[0] == '\0' && u->user[0] == '\0')
		return 0; /* a module without accounts */
	if (file[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s needs --credentials FILE with the password of %s in "
		    "it, and mode 0600",
		    url, u->user);
	if (u->user[0] == '\0')
		return err_set(e, ERR_REFUSED,
		    "%s names no user that the password in %s is of: "
		    "rsync://USER@HOST...",
		    url, file);
	if (secret_read("password file", file, &b, e) < 0)
		return -1;
	if (strcspn((const char *)b.data, "\r\n") == 0)
		return err_set(
		    e, ERR_REFUSED, "%s: no password in its first line", file);
	return 0;
}

static int
rsync_check(const struct destination_config *d, bool for_acks, struct err *e)
{
	const char *url = transport_url(d, for_acks);
	struct rsync_url u;

	if (rsync_url_parse(url, &u, e) < 0)
		return -1;
	return u.ssh ? check_ssh(d, &u, url, key_of(d, for_acks), e)
		     : check_password(&u, url, password_of(d, for_acks), e);
}

/* rsync runs in another folder: a name of its own for the file. */
static int
take_path(const char *path, char out[PATH_MAX], struct err *e)
{
	if (path[0] != '\0' && realpath(path, out) == NULL)
		return err_sys(e, "find %s", path);
	return 0;
}

static void
init(struct rsync_transport *t, const struct transport_ops *ops)
{
	uint32_t i;

	t->base.ops = ops;
	t->scratch = SCRATCH_NONE;
	tool_init(&t->alone);
	for (i = 0; i < RSYNC_AT_ONCE; i++)
		tool_init(&t->slots[i].program);
}

static int
rsync_open(const struct destination_config *d, bool for_acks,
    struct transport **out, struct err *e)
{
	AUTO_FREE struct rsync_transport *t = calloc(1, sizeof(*t));
	const char *url = transport_url(d, for_acks);

	if (t == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (rsync_url_parse(url, &t->url, e) < 0 ||
	    take_path(d->known_hosts, t->known_hosts, e) < 0 ||
	    take_path(key_of(d, for_acks), t->key_file, e) < 0 ||
	    take_path(password_of(d, for_acks), t->password_file, e) < 0)
		return -1;
	init(t, t->url.ssh ? &transport_rsync_ssh_ops : &transport_rsync_ops);
	(void)snprintf(t->url_text, sizeof(t->url_text), "%s", url);
	(void)snprintf(t->under, sizeof(t->under), "%s", d->scratch);
	*out = &STEAL(t)->base;
	return 0;
}

/* ---- batches ---- */

static void
batch_release(struct rsync_batch *b)
{
	uint32_t i;

	for (i = 0; i < b->count; i++)
		cleanup_fd(&b->files[i].fd);
	*b = (struct rsync_batch){0};
}

const char *
rsync_split(const char *name, char folder[TRANSPORT_NAME_LIMIT])
{
	const char *slash = strrchr(name, '/');

	(void)snprintf(folder, TRANSPORT_NAME_LIMIT, "%.*s",
	    slash == NULL ? 0 : (int)(slash - name), name);
	return slash == NULL ? name : slash + 1;
}

static int
batch_add(struct rsync_batch *b, int fd, uint64_t len, const char *folder,
    const char *name, struct err *e)
{
	struct rsync_file *f = &b->files[b->count];
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_FD);

	if (copy < 0)
		return err_sys(e, "keep %s open", name);
	*f = (struct rsync_file){.fd = copy, .len = len};
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	(void)snprintf(b->folder, sizeof(b->folder), "%s", folder);
	b->count++;
	b->bytes += len;
	return 0;
}

/* ---- calls ---- */

static int
link_files(const struct rsync_batch *b, int work, struct err *e)
{
	char target[64];
	uint32_t i;

	for (i = 0; i < b->count; i++) {
		(void)snprintf(
		    target, sizeof(target), "/proc/self/fd/%d", b->files[i].fd);
		if (symlinkat(target, work, b->files[i].name) < 0)
			return err_sys(e, "link %s", b->files[i].name);
	}
	return 0;
}

/* The arguments of a call that sends, or compares what was not sent. */
static int
arguments(struct rsync_transport *t, const struct rsync_slot *s,
    struct rsync_args *a, struct err *e)
{
	const struct rsync_batch *b = &s->batch;
	uint32_t i;

	rsync_begin(t, b->bytes, a);
	rsync_add(a, "--copy-links");
	if (s->comparing) {
		rsync_add(a, "--dry-run");
		rsync_add(a, "--checksum");
	} else {
		rsync_add(a, "--ignore-existing");
		rsync_add(a, "--perms");
		rsync_add(a, "--chmod=F640");
		if (!t->no_fsync)
			rsync_add(a, "--fsync");
	}
	rsync_add(a, "--");
	for (i = 0; i < b->count; i++)
		if (!b->files[i].sent)
			rsync_add(a, b->files[i].name);
	return rsync_add_url(t, a, b->folder, "/.", e);
}

/* In the slot's own folder; there is nothing of an earlier call in it. */
static int
call(struct rsync_transport *t, struct rsync_slot *s, struct err *e)
{
	const struct rsync_batch *b = &s->batch;
	AUTO_CLOSE int work = -1;
	struct rsync_args a;
	struct tool_setup setup = {.argv = a.argv,
	    .limit_ms = transfer_limit_ms(b->bytes, RSYNC_AT_ONCE),
	    .still_ms = rsync_still_ms(b->bytes),
	    .keep_count = b->count};
	int keep[RSYNC_FILES];
	char name[16];
	uint32_t i;

	for (i = 0; i < b->count; i++)
		keep[i] = b->files[i].fd;
	(void)snprintf(name, sizeof(name), "put-%u", (unsigned)(s - t->slots));
	if (rsync_prepare(t, e) < 0 ||
	    scratch_folder(&t->scratch, name, &work, e) < 0 ||
	    link_files(b, work, e) < 0 || arguments(t, s, &a, e) < 0)
		return -1;
	setup.keep = keep;
	setup.cwd = work;
	return tool_start(&s->program, &setup, e);
}

/* Those that were not there before: how many are left. */
static uint32_t
note_sent(struct rsync_slot *s)
{
	struct rsync_batch *b = &s->batch;
	uint32_t i, left = 0;

	for (i = 0; i < b->count; i++) {
		struct rsync_file *f = &b->files[i];

		f->sent = rsync_says(&s->program, "<f", f->name);
		left += !f->sent;
	}
	return left;
}

/* One that the receiver took meanwhile ("<f+++") is not another. */
static int
check_same(struct rsync_transport *t, const struct rsync_slot *s, struct err *e)
{
	const struct rsync_batch *b = &s->batch;
	uint32_t i;

	for (i = 0; i < b->count; i++)
		if (!b->files[i].sent &&
		    rsync_says(&s->program, "<fc", b->files[i].name))
			return err_set(e, ERR_REFUSED,
			    "%s: another file is there under the name %s; it "
			    "was left alone",
			    t->url_text, b->files[i].name);
	return 0;
}

/*
 * A call has ended: 0 when the slot is done with its files, 1 when another
 * call was begun for them.
 */
static int
go_on(struct rsync_transport *t, struct rsync_slot *s, struct err *e)
{
	const struct tool *p = &s->program;

	if (p->status != 0 && !t->no_fsync && !p->expired &&
	    strstr(p->err_text, "--fsync") != NULL) {
		t->no_fsync = true;
		return call(t, s, e) < 0 ? -1 : 1;
	}
	if (p->status != 0)
		return rsync_explain(t, p, RSYNC_WRITE, e);
	if (s->comparing)
		return check_same(t, s, e);
	t->proven = true;
	if (note_sent(s) == 0)
		return 0;
	s->comparing = true;
	return call(t, s, e) < 0 ? -1 : 1;
}

static void
keep_failure(struct rsync_transport *t, const struct err *why)
{
	if (t->failed.kind == ERR_NONE)
		(void)err_set(&t->failed,
		    why->kind == ERR_NONE ? ERR_RETRY : why->kind, "%s",
		    why->text);
}

static bool
any_busy(const struct rsync_transport *t)
{
	uint32_t i;

	for (i = 0; i < RSYNC_AT_ONCE; i++)
		if (tool_is_running(&t->slots[i].program))
			return true;
	return false;
}

/* Deals with calls that have ended, for so long; false: none has. */
static bool
settle_one(struct rsync_transport *t, uint32_t wait_ms)
{
	struct tool *all[RSYNC_AT_ONCE], *ended;
	struct rsync_slot *s;
	struct err why = {0};
	uint32_t i, n = 0;
	int more;

	for (i = 0; i < RSYNC_AT_ONCE; i++)
		if (tool_is_running(&t->slots[i].program))
			all[n++] = &t->slots[i].program;
	ended = n == 0 ? NULL : tool_wait(all, n, wait_ms);
	if (ended == NULL)
		return false;
	for (s = t->slots; &s->program != ended; s++)
		continue;
	more = go_on(t, s, &why);
	if (more < 0)
		keep_failure(t, &why);
	if (more <= 0)
		batch_release(&s->batch);
	return true;
}

static int
report_failure(struct rsync_transport *t, struct err *e)
{
	struct err was = t->failed;

	if (was.kind == ERR_NONE)
		return 0;
	t->failed = (struct err){0};
	return err_set(e, was.kind, "%s", was.text);
}

static struct rsync_slot *
free_slot(struct rsync_transport *t)
{
	uint32_t i;

	if (any_busy(t) && !t->proven)
		return NULL;
	for (i = 0; i < RSYNC_AT_ONCE; i++)
		if (!tool_is_running(&t->slots[i].program))
			return &t->slots[i];
	return NULL;
}

/* Hands the gathered files to a call, waiting for room; nothing is begun after
 * a failure. */
static int
send_next(struct rsync_transport *t, struct err *e)
{
	struct rsync_slot *s = NULL;

	if (t->next.count == 0)
		return report_failure(t, e);
	while (t->failed.kind == ERR_NONE && (s = free_slot(t)) == NULL)
		(void)settle_one(t, LONG_MS);
	if (report_failure(t, e) < 0) {
		batch_release(&t->next);
		return -1;
	}
	assert(s != NULL);
	s->comparing = false;
	s->batch = t->next;
	t->next = (struct rsync_batch){0};
	if (call(t, s, e) == 0)
		return 0;
	batch_release(&s->batch);
	return -1;
}

static int
rsync_put(struct transport *base, int fd, uint64_t len, const char *name,
    struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *file = rsync_split(name, folder);

	while (settle_one(t, 0))
		continue;
	if (t->next.count > 0 && strcmp(t->next.folder, folder) != 0 &&
	    send_next(t, e) < 0)
		return -1;
	if (report_failure(t, e) < 0) {
		batch_release(&t->next);
		return -1;
	}
	if (batch_add(&t->next, fd, len, folder, file, e) < 0)
		return -1;
	if ((t->next.count == RSYNC_FILES || t->next.bytes >= ENOUGH_BYTES) &&
	    send_next(t, e) < 0)
		return -1;
	return 1;
}

int
rsync_drain(struct transport *base, struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	struct err why = {0};

	if (send_next(t, &why) < 0)
		keep_failure(t, &why);
	while (any_busy(t))
		(void)settle_one(t, LONG_MS);
	return report_failure(t, e);
}

static int
rsync_get(struct transport *base, const char *name, size_t max, struct buf *out,
    struct err *e)
{
	struct rsync_transport *t = rsync_from_base(base);
	char folder[TRANSPORT_NAME_LIMIT];
	const char *file = rsync_split(name, folder);
	AUTO(buf_release) struct buf b = {0};
	AUTO_CLOSE int got = -1, fd = -1;
	uint64_t len;

	if (rsync_drain(base, e) < 0 ||
	    rsync_pull(t, folder, &file, 1, max, &got, e) < 0)
		return -1;
	if (rsync_is_over(t, file))
		return err_set(e, ERR_REFUSED,
		    "%s: a file there is larger than is accepted", t->url_text);
	if (faccessat(got, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "look for %s", file);
	if (io_open_regular(got, file, &fd, e) < 0 || io_size(fd, &len, e) < 0)
		return -1;
	if (len > max)
		return err_set(e, ERR_REFUSED,
		    "%s: a file there is larger than is accepted", t->url_text);
	if (buf_room(&b, len + 1, e) < 0 ||
	    io_read_at(fd, b.data, len, 0, e) < 0)
		return -1;
	b.len = len;
	buf_swap(out, &b);
	return 1;
}

static void
rsync_close(struct transport *base)
{
	struct rsync_transport *t = rsync_from_base(base);
	uint32_t i;

	tool_stop(&t->alone);
	for (i = 0; i < RSYNC_AT_ONCE; i++) {
		tool_stop(&t->slots[i].program);
		batch_release(&t->slots[i].batch);
	}
	batch_release(&t->next);
	scratch_close(&t->scratch);
	free(t);
}

#define OPS(name)                                                              \
	.scheme = (name), .check = rsync_check, .open = rsync_open,            \
	.put = rsync_put, .drain = rsync_drain, .get = rsync_get,              \
	.close = rsync_close, .fetch = rsync_fetch, .replace = rsync_replace,  \
	.remove = rsync_remove, .has = rsync_has,                              \
	.make_folder = rsync_make_folder

const struct transport_ops transport_rsync_ops = {OPS("rsync")};
const struct transport_ops transport_rsync_ssh_ops = {OPS("rsync+ssh")};
