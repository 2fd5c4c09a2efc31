/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/aimdump/examine.h"

#include "common/cleanup.h"
#include "common/name.h"
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void
cleanup_reader(struct reader **r)
{
	reader_close(*r);
}

/* Never blocks: a FIFO or a device is not read. */
static int
open_file(const char *path, const char *shown, int *out, struct err *e)
{
	AUTO_CLOSE int fd =
	    sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0)
		return err_sys(e, "open %s", shown);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", shown);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is a directory; give the journal files in it", shown);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is a FIFO, socket or device, not a journal file",
		    shown);
	*out = STEAL_FD(fd);
	return 0;
}

/* Bytes that are wrong make a file invalid; anything else is our trouble. */
static bool
is_news(const struct err *e)
{
	return e->kind == ERR_CORRUPT || e->kind == ERR_REFUSED;
}

/* The file's name stands above it already. */
static const char *
without_path(const struct err *e, const char *shown)
{
	size_t n = strlen(shown);

	if (strncmp(e->text, shown, n) == 0 &&
	    strncmp(e->text + n, ": ", 2) == 0)
		return e->text + n + 2;
	return e->text;
}

/* What else people hand to this program. */
static const char *
foreign(int fd, const struct err *e)
{
	char begin[16] = {0};
	ssize_t n = sys_pread(fd, begin, sizeof(begin) - 1, 0);

	if (n > 8 && memcmp(begin,
			 "\x89"
			 "AIM ACK",
			 8) == 0)
		return "is an acknowledgement, not a journal file";
	if (n >= 11 && strncmp(begin, "aim-pairing", 11) == 0)
		return "is a pairing text, not a journal file";
	return e->text;
}

/* What can be said without the group's key. */
static int
check_locked(struct reader *r, const struct sign_public *key, struct finding *f,
    struct err *e)
{
	if (key != NULL && reader_check_signature(r, key, e) < 0)
		return -1;
	if (key != NULL)
		f->signature = "valid";
	if (reader_check_stored(r, e) < 0)
		return -1;
	f->digests = "stored bytes valid, content not checked";
	return 0;
}

/* Looks for the key of an encrypted file; *f says what came of it. */
static int
unlock(struct reader *r, struct finding *f, struct err *e)
{
	f->encryption =
	    header_is_encrypted(reader_header(r)) ? "opened" : "none";
	if (reader_unlock(r, e) == 0)
		return 0;
	f->locked = true;
	f->encryption = "locked";
	return e->sys == ENOKEY ? 0 : -1;
}

static int
check(struct examine *x, struct reader *r, struct finding *f, struct err *e)
{
	const struct journal_header *h = reader_header(r);
	const struct sign_public *key = NULL;
	char id[2 * KEY_ID_LEN + 1];

	if (x->has_keys) {
		f->signature = "invalid";
		if (keys_find(&x->keys, h->key_id, &key, e) < 0)
			return -1;
		if (key == NULL)
			return err_set(e, ERR_REFUSED,
			    "signed by key %s, which is none of the %zu given",
			    hex_text(h->key_id, KEY_ID_LEN, id), x->keys.count);
	}
	if (key == NULL && !x->verify)
		return 0;
	f->digests = "invalid";
	if (f->locked)
		return check_locked(r, key, f, e);
	if (reader_verify(r, key, e) < 0) {
		/* The signature is looked at first. */
		if (key != NULL && strstr(e->text, "signature") == NULL)
			f->signature = "valid";
		return -1;
	}
	f->digests = "valid";
	if (key != NULL)
		f->signature = "valid";
	return 0;
}

static int
broken(struct err *e, const char *what)
{
	return err_set(
	    e, ERR_CORRUPT, "does not continue the file before it: %s", what);
}

static int
check_epoch(const struct journal_header *a, const struct journal_header *h,
    struct err *e)
{
	if (h->epoch_number == a->epoch_number) {
		if (h->sequence != a->sequence + 1)
			return broken(e, "its sequence is not the next");
		if (!uuid_equal(&h->epoch, &a->epoch))
			return broken(e, "it has another epoch of that number");
		return 0;
	}
	if (h->epoch_number != a->epoch_number + 1 || h->sequence != 1)
		return broken(e, "its epoch and sequence are not the next");
	if (!uuid_equal(&h->parent_epoch, &a->epoch) ||
	    h->parent_sequence != a->sequence || h->fork != a->last)
		return broken(e, "its epoch forks from elsewhere");
	return 0;
}

/* The volumes stay the same, and a file's go on with the size that the one
 * before left; but a break may have lost what made them grow or shrink. */
static int
check_volumes(struct examine *x, struct reader *r, struct err *e)
{
	const struct journal_header *h = reader_header(r);
	bool sizes = (h->incompat & JOURNAL_INCOMPAT_BREAK) == 0;
	struct journal_volume v;
	uint32_t i;

	if (x->volumes == NULL)
		return 0;
	if (h->volume_count != x->before.volume_count)
		return broken(e, "it has another number of volumes");
	for (i = 0; i < h->volume_count; i++) {
		const struct journal_volume *was = &x->volumes[i];

		reader_volume(r, i, &v);
		if (!uuid_equal(&v.uuid, &was->uuid) || v.kind != was->kind)
			return broken(e, "it has other volumes");
		if (sizes && v.kind == VOLUME_FILE && v.size != was->size)
			return err_set(e, ERR_CORRUPT,
			    "does not continue the file before it: volume %u "
			    "has %ju bytes, there it ended with %ju",
			    i, (uintmax_t)v.size, (uintmax_t)was->size);
	}
	return 0;
}

/* What this file begins with; note_size makes of it what it ends with. */
static int
take_volumes(struct examine *x, struct reader *r, bool locked, struct err *e)
{
	uint32_t n = reader_header(r)->volume_count, i;

	free(x->volumes);
	x->volumes = NULL;
	if (!x->verify || locked)
		return 0;
	x->volumes = calloc((size_t)n + 1, sizeof(*x->volumes));
	if (x->volumes == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	for (i = 0; i < n; i++)
		reader_volume(r, i, &x->volumes[i]);
	return 0;
}

static void
note_size(struct examine *x, const struct iocb *b)
{
	if (x->volumes != NULL && b->op == OP_RESIZE &&
	    b->volume < x->before.volume_count)
		x->volumes[b->volume].size = b->off;
}

void
examine_release(struct examine *x)
{
	keys_release(&x->keys);
	free(x->volumes);
	x->volumes = NULL;
}

/* A file of another stream begins another chain. */
static int
check_chain(
    struct examine *x, struct reader *r, struct finding *f, struct err *e)
{
	const struct journal_header *a = &x->before, *h = reader_header(r);

	if (!x->verify)
		return 0;
	if (!x->has_before || !uuid_equal(&a->stream, &h->stream)) {
		f->chain = "begins";
		return 0;
	}
	if (memcmp(h->content_digest, a->content_digest, DIGEST_LEN) == 0) {
		f->chain = "repeats";
		return 0;
	}
	f->chain = "broken";
	if (check_epoch(a, h, e) < 0)
		return -1;
	if (h->first != a->last + 1)
		return broken(e, "transactions are missing between them");
	if (memcmp(h->prev_digest, a->content_digest, DIGEST_LEN) != 0)
		return broken(e, "it follows a file with another content");
	if (check_volumes(x, r, e) < 0)
		return -1;
	f->chain = "continues";
	return 0;
}

static int
show_entries(struct examine *x, struct reader *r, struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	int more;

	reader_rewind(r);
	while ((more = reader_next(r, &b, &data, e)) > 0) {
		note_size(x, &b);
		x->show.entry(&x->show, &b, data);
	}
	return more;
}

static int
examine_reader(
    struct examine *x, struct reader *r, struct finding *f, struct err *e)
{
	struct err first = {0}, later = {0};
	int rc = unlock(r, f, &first);

	if (rc == 0)
		rc = check(x, r, f, &first);
	if (rc == 0)
		rc = check_chain(x, r, f, &first);
	if (rc == 0)
		rc = take_volumes(x, r, f->locked, &first);
	if (rc < 0 && !is_news(&first)) {
		*e = first;
		return EXAMINE_UNREADABLE;
	}
	x->has_before = rc == 0;
	x->before = *reader_header(r);
	f->reader = r;
	x->show.begin(&x->show, f);
	if (!f->locked && show_entries(x, r, &later) < 0 && rc == 0) {
		rc = -1;
		first = later;
	}
	if (rc < 0)
		f->error = without_path(&first, f->shown);
	x->show.end(&x->show, f);
	if (rc < 0)
		return EXAMINE_INVALID;
	if (!f->locked || !x->verify)
		return EXAMINE_VALID;
	(void)err_set(e, ERR_REFUSED,
	    "%s: its content was not checked: the key was not given", f->shown);
	return EXAMINE_UNREADABLE;
}

int
examine_file(struct examine *x, const char *path, struct err *e)
{
	char shown[256];
	struct finding f = {.path = path,
	    .shown = name_quote(path, strlen(path), shown, sizeof(shown)),
	    .signature = "not checked",
	    .digests = "not checked",
	    .encryption = "none",
	    .chain = "not checked"};
	AUTO(cleanup_reader) struct reader *r = NULL;
	AUTO_CLOSE int fd = -1;

	if (open_file(path, shown, &fd, e) < 0)
		return EXAMINE_UNREADABLE;
	if (reader_open(fd, shown, &r, e) == 0) {
		keys_give(&x->keys, r);
		return examine_reader(x, r, &f, e);
	}
	if (!is_news(e))
		return EXAMINE_UNREADABLE;
	f.error = foreign(fd, e);
	if (f.error == e->text)
		f.error = without_path(e, shown);
	x->has_before = false;
	x->show.begin(&x->show, &f);
	x->show.end(&x->show, &f);
	return EXAMINE_INVALID;
}
