/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/ack_store.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STORE_NAME_LEN (UUID_TEXT + 4)

static const char *
store_name(const struct destination_config *d, char out[STORE_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, STORE_NAME_LEN, "%s.ack", uuid_text(&d->uuid, text));
	return out;
}

static int
refuse_other(const char *what, const struct uuid *is, struct err *e)
{
	char text[UUID_TEXT];

	return err_set(e, ERR_REFUSED, "acknowledgement is of another %s, %s",
	    what, uuid_text(is, text));
}

int
ack_read(const struct home *h, const struct destination_config *d,
    const uint8_t *bytes, size_t len, struct ack *out, struct err *e)
{
	struct why why = {0};
	bool valid = false;
	struct ack a;

	if (ack_decode(bytes, len, &a, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_CORRUPT,
		    "acknowledgement is damaged at offset %ju: %s",
		    (uintmax_t)why.offset, why.text);
	if (ack_check(bytes, len, &d->mirror_key, &valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_REFUSED,
		    "acknowledgement is not signed by the key of site %s: "
		    "forged, or the site has a new key (pair again)",
		    d->mirror_site_name);
	if (!uuid_equal(&a.stream, &d->stream))
		return refuse_other("stream", &a.stream, e);
	if (!uuid_equal(&a.group, &d->group))
		return refuse_other("group", &a.group, e);
	if (!uuid_equal(&a.mirror, &d->mirror))
		return refuse_other("mirror", &a.mirror, e);
	if (!uuid_equal(&a.mirror_site, &d->mirror_site))
		return refuse_other("mirror site", &a.mirror_site, e);
	if (!uuid_equal(&a.source_site,
		uuid_is_nil(&d->source_site) ? &h->site : &d->source_site))
		return refuse_other("source site", &a.source_site, e);
	if (position_compare(&a.applied, &a.stored) > 0)
		return err_set(e, ERR_CORRUPT,
		    "acknowledgement says more applied than stored");
	*out = a;
	return 0;
}

int
ack_load(struct home *h, const struct destination_config *d, struct ack *out,
    struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[STORE_NAME_LEN];
	struct err why = {0};

	if (io_read_file(h->state, store_name(d, name), ACK_LIMIT, &b, &why) <
	    0) {
		if (why.sys == ENOENT)
			return 0;
		return err_set(e, why.kind, "state/%s", why.text);
	}
	if (ack_read(h, d, b.data, b.len, out, e) < 0)
		return err_at(e, "state/%s", name);
	return 1;
}

/* Is the end of one of our files? A file that was pruned cannot be asked any
 * more; then it is enough that its place is before the oldest. */
static int
check_position(const struct destination_config *d, struct sealed *s,
    const char *what, const struct position *p, const struct position *known,
    struct err *e)
{
	char name[JOURNAL_NAME_LEN];
	struct sealed_ends ends;
	struct sealed_file f;
	int found;

	if (position_is_nil(p) || (known != NULL && position_equal(p, known)))
		return 0;
	(void)journal_name(p->epoch_number, p->sequence, name);
	found = sealed_look(s, p->epoch_number, p->sequence, &f, e);
	if (found < 0)
		return -1;
	if (found == 1) {
		if (memcmp(f.at.digest, p->digest, DIGEST_LEN) == 0 &&
		    uuid_equal(&f.at.epoch, &p->epoch) && f.at.last == p->last)
			return 0;
		return err_set(e, ERR_REFUSED,
		    "acknowledges as %s another file %s than ours: its "
		    "history is not that of this source",
		    what, name);
	}
	/* A relay made anew has never seen the files before. */
	if (d->forward)
		return 0;
	if (sealed_list(s, false, &ends, e) < 0)
		return -1;
	if (ends.count > 0 && (p->epoch_number < ends.oldest_epoch ||
				  (p->epoch_number == ends.oldest_epoch &&
				      p->sequence < ends.oldest_sequence)))
		return 0;
	return err_set(e, ERR_REFUSED,
	    "acknowledges as %s the file %s, which this source never made",
	    what, name);
}

static int
check_newer(const struct ack *old, const struct ack *a, struct err *e)
{
	if (a->counter < old->counter)
		return err_set(e, ERR_REFUSED,
		    "acknowledgement %ju is older than %ju, seen before: a "
		    "replay, or the mirror's site was rolled back",
		    (uintmax_t)a->counter, (uintmax_t)old->counter);
	if (a->counter == old->counter)
		return err_set(e, ERR_REFUSED,
		    "two different acknowledgements have the number %ju: the "
		    "mirror's site was rolled back or copied",
		    (uintmax_t)a->counter);
	/* A mirror that was made anew says so, under its own key. */
	if (a->state == ACK_EMPTY && position_is_nil(&a->stored))
		return 0;
	if (position_compare(&a->applied, &old->applied) < 0)
		return err_set(e, ERR_REFUSED,
		    "takes back what it had applied (file %ju of epoch %u, "
		    "was %ju of %u): the mirror's site was rolled back; take "
		    "a new base there",
		    (uintmax_t)a->applied.sequence, a->applied.epoch_number,
		    (uintmax_t)old->applied.sequence,
		    old->applied.epoch_number);
	return 0;
}

/* Are the bytes the saved ones? Then nothing is to be done. */
static bool
is_saved(struct home *h, const struct destination_config *d,
    const uint8_t *bytes, size_t len)
{
	AUTO(buf_release) struct buf b = {0};
	char name[STORE_NAME_LEN];

	return io_read_file(
		   h->state, store_name(d, name), ACK_LIMIT, &b, NULL) == 0 &&
	       b.len == len && memcmp(b.data, bytes, len) == 0;
}

int
ack_accept(struct home *h, const struct destination_config *d, struct sealed *s,
    const uint8_t *bytes, size_t len, const struct ack *old, struct ack *out,
    struct err *e)
{
	char name[STORE_NAME_LEN];
	struct ack a;

	if (ack_read(h, d, bytes, len, &a, e) < 0)
		return -1;
	if (old != NULL && a.counter == old->counter &&
	    is_saved(h, d, bytes, len))
		return 0;
	if (old != NULL && check_newer(old, &a, e) < 0)
		return -1;
	if (check_position(d, s, "stored", &a.stored,
		old == NULL ? NULL : &old->stored, e) < 0 ||
	    check_position(d, s, "applied", &a.applied,
		old == NULL ? NULL : &old->applied, e) < 0)
		return -1;
	if (io_write_file(h->state, store_name(d, name), bytes, len, 0600, e) <
	    0)
		return err_at(e, "state");
	*out = a;
	return 1;
}
