/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking one file (reliability 3.5, R2 and R3): a safe look at the name, the
 * header for what it says it is, a private copy, and then the whole check of
 * that copy, so that nothing its sender does afterwards matters (F61). A file
 * that is not what it must be goes to quarantine and the chain stands still
 * until the right one comes; nothing is ever skipped.
 */
#include "coordinator/receive.h"

#include "coordinator/attempt.h"
#include "coordinator/keyring.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define COPY_BLOCK (1u << 20)
#define DEATHS 2

int
receive_refuse(
    struct receive *r, const char *name, const char *why, struct err *e)
{
	char quoted[300];

	(void)name_quote(name, strlen(name), quoted, sizeof(quoted));
	if (home_quarantine(r->stage.home, incoming_dir(r->in), name, why, e) <
	    0)
		return err_at(e, "put '%s' aside (%s)", quoted, why);
	r->quarantined++;
	(void)snprintf(
	    r->refused, sizeof(r->refused), "%.60s: %.160s", quoted, why);
	log_warn("'%s' was put into quarantine: %s", quoted, why);
	return 0;
}

/* The reader puts the name in front; it is said already. */
static const char *
without_name(const char *text, const char *name)
{
	size_t n = strlen(name);

	return strncmp(text, name, n) == 0 && text[n] == ':' ? text + n + 2
							     : text;
}

int
receive_refuse_next(
    struct receive *r, const char *name, const char *why, struct err *e)
{
	why = without_name(why, name);
	if (receive_refuse(r, name, why, e) < 0)
		return -1;
	(void)snprintf(r->stall, sizeof(r->stall),
	    "%s is in quarantine: %.110s", name, why);
	r->stall_lasts = true;
	return 0;
}

/*
 * What reading a header or body has to say: bytes that are wrong put the file
 * aside (0), anything else is our own trouble (-1).
 */
static int
judge(struct receive *r, const char *name, const struct incoming_file *f,
    struct err *trouble, struct err *e)
{
	if (trouble->kind != ERR_CORRUPT && trouble->kind != ERR_REFUSED) {
		if (e != NULL)
			*e = *trouble;
		return err_at(e, "receive %s", name);
	}
	if (incoming_is_written(f)) {
		(void)snprintf(r->stall, sizeof(r->stall),
		    "%s is still being written", name);
		return 0;
	}
	return receive_refuse_next(r, name, trouble->text, e);
}

/* 1 when the header says that this is the file that comes next. */
static int
is_next(struct receive *r, const char *name, const struct chain_name *at,
    const struct reader *reader, struct err *e)
{
	const struct journal_header *h = reader_header(reader);
	char why[CHAIN_WHY];

	if (!stage_belongs(&r->stage, reader, why))
		return receive_refuse_next(r, name, why, e);
	if (h->epoch_number != at->epoch_number || h->sequence != at->sequence)
		return receive_refuse_next(
		    r, name, "it says inside that it is another file", e);
	if (position_is_nil(&r->tip)) {
		if (chain_begins(&r->stage.mirror, reader))
			return 1;
		return 0;
	}
	switch (chain_fit(&r->tip, h, why)) {
	case CHAIN_NEXT:
		return 1;
	case CHAIN_OTHER:
		return receive_refuse_next(r, name, why, e);
	case CHAIN_WAIT:
	case CHAIN_BACK:
	default:
		/* It stays where it is: it may become right, or the operator
		 * decides. The name of one that has to come again, because it
		 * was put aside, says more than that others wait for it. */
		if (!r->stall_lasts)
			(void)snprintf(r->stall, sizeof(r->stall), "%s", why);
		return 0;
	}
}

static int
copy_all(int from, int to, uint64_t len, struct err *e)
{
	AUTO_FREE uint8_t *block = malloc(COPY_BLOCK);
	uint64_t off = 0;

	if (block == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	while (off < len) {
		size_t n =
		    len - off < COPY_BLOCK ? (size_t)(len - off) : COPY_BLOCK;
		ssize_t got = io_read_some_at(from, block, n, off, e);

		if (got < 0)
			return -1;
		if (got == 0) /* cut meanwhile: the check will say so */
			return 0;
		if (io_write_at(to, block, (size_t)got, off, e) < 0)
			return -1;
		off += (uint64_t)got;
	}
	return 0;
}

/* What the fetcher has put there is ours alone, and synced, already: a second
 * name is as good as a copy. 1, or 0 when there must be a copy. */
static int
second_name(struct receive *r, const char *name, const char *tmp, int *out,
    struct err *e)
{
	int fd;

	if (r->stage.mirror.pull == NULL)
		return 0;
	if (sys_unlink(r->stage.stage, tmp) < 0 && errno != ENOENT)
		return err_sys(e, "remove stage/%s", tmp);
	if (sys_link(incoming_dir(r->in), name, r->stage.stage, tmp) < 0)
		return 0;
	fd = sys_openat(r->stage.stage, tmp, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(e, "open stage/%s", tmp);
	*out = fd;
	return 1;
}

/* A synced copy of ours under the name `tmp`. */
static int
private_copy(struct receive *r, const struct incoming_file *f, const char *tmp,
    int *out, struct err *e)
{
	AUTO_CLOSE int fd = sys_openat(
	    r->stage.stage, tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, "create stage/%s", tmp);
	if (copy_all(f->fd, fd, f->len, e) < 0 || io_fsync(fd, tmp, e) < 0) {
		(void)sys_unlink(r->stage.stage, tmp);
		return -1;
	}
	*out = STEAL_FD(fd);
	return 0;
}

static void
auto_reader(struct reader **r)
{
	reader_close(*r);
}

/* After one encrypted file nothing else may follow. */
static int
pin(struct receive *r, const struct reader *reader, struct err *e)
{
	if (r->stage.encrypted || !header_is_encrypted(reader_header(reader)))
		return 0;
	if (stage_pin(r->stage.home, &r->stage.mirror.uuid, e) < 0)
		return -1;
	r->stage.encrypted = true;
	return 0;
}

/* A relay cannot read what is encrypted, and need not. */
static int
verify(struct receive *r, struct reader *reader, struct err *e)
{
	const struct sign_public *key = &r->stage.mirror.source_key;

	if (r->stage.mirror.relay && header_is_encrypted(reader_header(reader)))
		return reader_check_signature(reader, key, e) < 0
			   ? -1
			   : reader_check_stored(reader, e);
	keyring_give(r->stage.home, reader);
	return reader_verify(reader, key, e);
}

/* 1 when the copy is whole, genuine and next; then *tip is where it ends. */
static int
check_copy(struct receive *r, const char *name, const struct chain_name *at,
    const struct incoming_file *f, int fd, struct position *tip, struct err *e)
{
	AUTO(auto_reader) struct reader *reader = NULL;
	struct err why = {0};
	int next;

	if (reader_open(fd, name, &reader, &why) < 0)
		return judge(r, name, f, &why, e);
	if (verify(r, reader, &why) < 0)
		return judge(r, name, f, &why, e);
	next = is_next(r, name, at, reader, e);
	if (next == 1 && position_is_nil(&r->tip) && !r->stage.mirror.relay &&
	    chain_is_partial(reader))
		return 0;
	if (next == 1 && pin(r, reader, e) < 0)
		return -1;
	if (next == 1)
		reader_position(reader, tip);
	return next;
}

/* Gives the copy its name; a file that does not fit makes way. */
static int
name_copy(struct receive *r, const char *tmp, const char *name, struct err *e)
{
	int dir = r->stage.stage;

	if (sys_rename(dir, tmp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, "rename stage/%s to %s", tmp, name);
	if (home_quarantine(r->stage.home, dir, name,
		"staged, but not in the chain", e) < 0)
		return -1;
	if (sys_rename(dir, tmp, dir, name, RENAME_NOREPLACE) < 0)
		return err_sys(e, "rename stage/%s to %s", tmp, name);
	return 0;
}

static int
stage_it(struct receive *r, const char *name, const struct chain_name *at,
    const struct incoming_file *f, struct err *e)
{
	char tmp[JOURNAL_NAME_LEN + 8];
	AUTO_CLOSE int fd = -1;
	struct position tip;
	int whole;

	(void)snprintf(tmp, sizeof(tmp), ".%s.tmp", name);
	whole = second_name(r, name, tmp, &fd, e);
	if (whole == 0)
		whole = private_copy(r, f, tmp, &fd, e);
	if (whole < 0)
		return err_at(e, "stage %s", name);
	whole = check_copy(r, name, at, f, fd, &tip, e);
	if (whole <= 0) {
		(void)sys_unlink(r->stage.stage, tmp);
		return whole;
	}
	if (receive_keep(r, tmp, name, &tip, f->len, e) < 0 ||
	    name_copy(r, tmp, name, e) < 0) {
		/* It may have a second name, so it is not written to again. */
		(void)sys_unlink(r->stage.stage, tmp);
		return -1;
	}
	r->tip = tip;
	r->received++;
	memcpy(r->pending[r->pending_count++], name, JOURNAL_NAME_LEN);
	return 1;
}

/*
 * Is the key of an encrypted file here? 1, else 0 (a file that is genuine
 * waits for its key), -1.
 */
static int
has_key(struct receive *r, const char *name, const struct incoming_file *f,
    struct reader *reader, struct err *e)
{
	const struct journal_header *h = reader_header(reader);
	char id[2 * KEY_ID_LEN + 1];
	struct err why = {0};

	if (r->stage.mirror.relay)
		return 1; /* it needs none */
	keyring_give(r->stage.home, reader);
	if (reader_unlock(reader, &why) == 0)
		return 1;
	if (why.sys != ENOKEY)
		return judge(r, name, f, &why, e);
	if (reader_check_signature(reader, &r->stage.mirror.source_key, &why) <
	    0)
		return judge(r, name, f, &why, e);
	(void)snprintf(r->stall, sizeof(r->stall),
	    "%s needs key %s, which is not here: bring it with 'aim-manager "
	    "key import'",
	    name, hex_text(h->group_key_id, KEY_ID_LEN, id));
	return 0;
}

static int
take_open(struct receive *r, const char *name, const struct chain_name *at,
    const struct incoming_file *f, struct err *e)
{
	AUTO(auto_reader) struct reader *reader = NULL;
	struct err why = {0};
	uint32_t deaths;
	int next;

	if (attempt_begin(r->stage.stage, name, f, &deaths, e) < 0)
		return -1;
	if (deaths >= DEATHS)
		return receive_refuse_next(r, name,
		    "reading it has ended the receiver twice; keep it for "
		    "the developers",
		    e);
	if (reader_open(f->fd, name, &reader, &why) < 0)
		return judge(r, name, f, &why, e);
	next = is_next(r, name, at, reader, e);
	if (next == 1)
		next = has_key(r, name, f, reader, e);
	return next <= 0 ? next : stage_it(r, name, at, f, e);
}

int
receive_take(struct receive *r, const struct chain_name *at, struct err *e)
{
	struct incoming_file f = {.fd = -1};
	char name[JOURNAL_NAME_LEN], why[CHAIN_WHY];
	int got, r1;

	(void)journal_name(at->epoch_number, at->sequence, name);
	got = incoming_get(r->in, name, &f, why, e);
	if (got <= 0)
		return got;
	if (got == 2)
		return receive_refuse_next(r, name, why, e);
	r1 = take_open(r, name, at, &f, e);
	(void)close(f.fd);
	if (r1 >= 0 && attempt_end(r->stage.stage, e) < 0)
		return -1;
	if (r1 == 1) {
		r->stall[0] = '\0';
		r->stall_lasts = false;
	}
	return r1;
}

int
receive_walk(struct receive *r, struct err *e)
{
	int more;

	do {
		struct staged f = STAGED_NONE;

		more = stage_next(&r->stage, &r->tip, &f, e);
		if (more < 0 && e != NULL && e->kind == ERR_CORRUPT) {
			/* Damaged while it lay here: it has to come again. */
			log_error("staged file is damaged: %s", e->text);
			return home_quarantine(
			    r->stage.home, r->stage.stage, f.name, e->text, e);
		}
		if (more == 1)
			reader_position(f.reader, &r->tip);
		staged_close(&f);
	} while (more > 0);
	return more;
}
