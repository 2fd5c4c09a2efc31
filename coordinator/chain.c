/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/chain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
chain_expected(const struct position *tip, struct chain_name out[2])
{
	out[0].epoch_number = tip->epoch_number;
	out[0].sequence = tip->sequence + 1;
	out[1].epoch_number = tip->epoch_number + 1;
	out[1].sequence = 1;
}

__attribute__((format(printf, 2, 3))) static bool
no(char why[CHAIN_WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, CHAIN_WHY, fmt, ap);
	va_end(ap);
	return false;
}

static bool
has_volume(const struct mirror_config *m, const struct uuid *u)
{
	uint32_t i;

	for (i = 0; i < m->volume_count; i++)
		if (uuid_equal(&m->volumes[i].uuid, u))
			return true;
	return false;
}

static bool
same_volumes(
    const struct mirror_config *m, const struct reader *r, char why[CHAIN_WHY])
{
	const struct journal_header *h = reader_header(r);
	struct journal_volume v, w;
	char text[UUID_TEXT];
	uint32_t i, j;

	if (h->volume_count != m->volume_count)
		return no(why, "the file has %u volumes, the mirror has %u",
		    h->volume_count, m->volume_count);
	for (i = 0; i < h->volume_count; i++) {
		reader_volume(r, i, &v);
		if (!has_volume(m, &v.uuid))
			return no(why,
			    "the mirror has no volume %s, the file has",
			    uuid_text(&v.uuid, text));
		for (j = 0; j < i; j++) {
			reader_volume(r, j, &w);
			if (uuid_equal(&v.uuid, &w.uuid))
				return no(why, "the file has volume %s twice",
				    uuid_text(&v.uuid, text));
		}
	}
	return true;
}

bool
chain_belongs(const struct mirror_config *m, const uint8_t key_id[KEY_ID_LEN],
    const struct reader *r, char why[CHAIN_WHY])
{
	const struct journal_header *h = reader_header(r);
	char text[UUID_TEXT];

	if (!uuid_equal(&h->stream, &m->stream))
		return no(why, "it is of another stream, %s",
		    uuid_text(&h->stream, text));
	if (!uuid_equal(&h->group, &m->group))
		return no(why, "it is of another group, %s",
		    uuid_text(&h->group, text));
	if (!uuid_equal(&h->site, &m->source_site))
		return no(why, "it comes from another site, %s",
		    uuid_text(&h->site, text));
	if (memcmp(h->key_id, key_id, KEY_ID_LEN) != 0)
		return no(why, "it is signed by another key than that of the "
			       "source, as paired");
	return same_volumes(m, r, why);
}

static enum chain_fit
fit_same_epoch(const struct position *tip, const struct journal_header *h,
    char why[CHAIN_WHY])
{
	if (!uuid_equal(&h->epoch, &tip->epoch)) {
		(void)no(why,
		    "epoch %u is another one than the epoch %u that the mirror "
		    "follows: two histories",
		    h->epoch_number, tip->epoch_number);
		return CHAIN_OTHER;
	}
	if ((h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0 ||
	    h->first != tip->last + 1) {
		(void)no(why,
		    "it begins at transaction %ju, after %ju was expected",
		    (uintmax_t)h->first, (uintmax_t)tip->last);
		return CHAIN_OTHER;
	}
	if (memcmp(h->prev_digest, tip->digest, DIGEST_LEN) != 0) {
		(void)no(why, "it follows another file than the one before it "
			      "here: two histories");
		return CHAIN_OTHER;
	}
	return CHAIN_NEXT;
}

static enum chain_fit
fit_new_epoch(const struct position *tip, const struct journal_header *h,
    char why[CHAIN_WHY])
{
	if ((h->compat & JOURNAL_COMPAT_EPOCH_OPEN) == 0 ||
	    h->parent_epoch_number != tip->epoch_number ||
	    !uuid_equal(&h->parent_epoch, &tip->epoch) ||
	    h->first != h->fork + 1) {
		(void)no(why,
		    "epoch %u does not continue the epoch %u that the mirror "
		    "follows: two histories",
		    h->epoch_number, tip->epoch_number);
		return CHAIN_OTHER;
	}
	if (h->parent_sequence > tip->sequence && h->fork > tip->last) {
		(void)no(why,
		    "epoch %u begins after transaction %ju; files up to %ju of "
		    "epoch %u are missing",
		    h->epoch_number, (uintmax_t)h->fork,
		    (uintmax_t)h->parent_sequence, tip->epoch_number);
		return CHAIN_WAIT;
	}
	if (h->fork < tip->last && h->parent_sequence < tip->sequence) {
		(void)no(why,
		    "source rolled back to transaction %ju, the mirror has "
		    "%ju: take a new base, or promote the mirror",
		    (uintmax_t)h->fork, (uintmax_t)tip->last);
		return CHAIN_BACK;
	}
	if (h->fork != tip->last || h->parent_sequence != tip->sequence ||
	    memcmp(h->prev_digest, tip->digest, DIGEST_LEN) != 0) {
		(void)no(why,
		    "epoch %u follows another end of epoch %u than the one "
		    "that is here: two histories",
		    h->epoch_number, tip->epoch_number);
		return CHAIN_OTHER;
	}
	return CHAIN_NEXT;
}

enum chain_fit
chain_fit(const struct position *tip, const struct journal_header *h,
    char why[CHAIN_WHY])
{
	if (h->epoch_number == tip->epoch_number &&
	    h->sequence == tip->sequence + 1)
		return fit_same_epoch(tip, h, why);
	if (h->epoch_number == tip->epoch_number + 1 && h->sequence == 1)
		return fit_new_epoch(tip, h, why);
	(void)no(why, "it is not next");
	return h->epoch_number > tip->epoch_number ||
		       (h->epoch_number == tip->epoch_number &&
			   h->sequence > tip->sequence)
		   ? CHAIN_WAIT
		   : CHAIN_OTHER;
}

bool
chain_begins(const struct mirror_config *m, const struct reader *r)
{
	if (reader_header(r)->kind != JOURNAL_COPYIN_OPEN)
		return false;
	for (uint32_t i = 0; m->relay && i < m->destination_count; i++)
		if (reader_has_target(r, &m->destinations[i].mirror))
			return true;
	return reader_has_target(r, &m->uuid);
}

void
chain_before(const struct journal_header *h, struct position *out)
{
	bool opens = (h->compat & JOURNAL_COMPAT_EPOCH_OPEN) != 0;

	*out = (struct position){.epoch = opens ? h->parent_epoch : h->epoch,
	    .epoch_number = opens ? h->parent_epoch_number : h->epoch_number,
	    .sequence = opens ? h->parent_sequence : h->sequence - 1,
	    .last = h->first - 1};
	memcpy(out->digest, h->prev_digest, DIGEST_LEN);
	/* Before the first file of all there is nothing. */
	if (out->sequence == 0)
		*out = (struct position){0};
}

int
chain_note(
    struct reader *r, uint64_t number, struct copyin_note *out, struct err *e)
{
	const uint8_t *data;
	struct iocb b;
	struct why why;
	int more;

	reader_rewind(r);
	while ((more = reader_next(r, &b, &data, e)) > 0 && b.number != number)
		continue;
	if (more < 0)
		return -1;
	if (more == 0 || data == NULL ||
	    copyin_note_decode(data, (size_t)b.len, out, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_CORRUPT,
		    "transaction %ju has no note of a copy-in",
		    (uintmax_t)number);
	reader_rewind(r);
	return 0;
}

bool
chain_is_partial(struct reader *r)
{
	struct copyin_note note;

	return chain_note(r, reader_header(r)->first, &note, NULL) == 0 &&
	       note.kind != COPYIN_BASE;
}
