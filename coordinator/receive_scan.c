/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in the folder besides the expected file: copies of what we have
 * (dropped), things that do not belong there (put aside), later files (left),
 * and, for a mirror without state, the file to begin with. Looked through a
 * bounded number of entries at a time, seldom, so that a flood costs no more
 * than its own disk space (F62).
 */
#include "coordinator/receive.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/keyring.h"
#include "fileformat/sum.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* At most so much in one go, so that the expected file need not wait. */
#define SCAN_ENTRIES 256
#define SCAN_STRANGE 64
#define SCAN_NS UINT64_C(200000000)

/* Where is it, seen from the tip? <0 before or at, >0 after. */
static int
side_of(const struct position *tip, const struct chain_name *at)
{
	if (position_is_nil(tip))
		return 1;
	if (at->epoch_number != tip->epoch_number)
		return at->epoch_number < tip->epoch_number ? -1 : 1;
	return at->sequence <= tip->sequence ? -1 : 1;
}

/* Content digest of the file that we hold under this name: 1, 0 none. */
static int
our_digest(struct receive *r, const struct chain_name *at,
    uint8_t out[DIGEST_LEN], struct err *e)
{
	const int dirs[2] = {r->stage.stage, r->stage.done};
	int i;

	if (at->epoch_number == r->tip.epoch_number &&
	    at->sequence == r->tip.sequence) {
		memcpy(out, r->tip.digest, DIGEST_LEN);
		return 1;
	}
	for (i = 0; i < 2; i++) {
		struct staged f = STAGED_NONE;
		int got = staged_open(
		    NULL, dirs[i], at->epoch_number, at->sequence, &f, e);

		if (got < 0 && e->kind != ERR_CORRUPT)
			return -1;
		if (got == 1) {
			memcpy(out, reader_header(f.reader)->content_digest,
			    DIGEST_LEN);
			staged_close(&f);
			return 1;
		}
	}
	return 0;
}

static int
drop(struct receive *r, const char *name, struct err *e)
{
	if (sys_unlink(incoming_dir(r->in), name) < 0 && errno != ENOENT)
		return err_sys(e, "remove the duplicate %s", name);
	r->duplicates++;
	return 0;
}

/* Same name, other content: forged, damaged, or a second history (F66). */
static int
refuse_other(
    struct receive *r, const char *name, struct reader *reader, struct err *e)
{
	char why[CHAIN_WHY];
	struct err bad = {0};

	if (!stage_belongs(&r->stage, reader, why))
		return receive_refuse(r, name, why, e);
	keyring_give(r->stage.home, reader);
	/* Without the key it is known to be rightly signed. */
	if (reader_verify(reader, &r->stage.mirror.source_key, &bad) < 0 &&
	    bad.sys != ENOKEY) {
		if (bad.kind == ERR_CORRUPT || bad.kind == ERR_REFUSED)
			return receive_refuse(r, name, bad.text, e);
		*e = bad;
		return -1;
	}
	log_error("%s came again with other content, rightly signed: does the "
		  "source run twice (a clone, a restored copy)?",
	    name);
	return receive_refuse(r, name,
	    "another file of this name was received before: two histories", e);
}

/* A file that is before or at the tip. */
static int
old_file(struct receive *r, const struct incoming_entry *entry, struct err *e)
{
	struct incoming_file f = {.fd = -1};
	struct reader *reader = NULL;
	uint8_t ours[DIGEST_LEN];
	char why[CHAIN_WHY];
	struct err bad = {0};
	int got = incoming_get(r->in, entry->name, &f, why, e), known, done;

	if (got <= 0)
		return got;
	if (got == 2)
		return receive_refuse(r, entry->name, why, e);
	known = our_digest(r, &entry->at, ours, e);
	if (known < 0) {
		done = -1;
	} else if (reader_open(f.fd, entry->name, &reader, &bad) < 0) {
		done = incoming_is_written(&f)
			   ? 0
			   : receive_refuse(r, entry->name, bad.text, e);
	} else if (known == 0 || memcmp(reader_header(reader)->content_digest,
				     ours, DIGEST_LEN) == 0) {
		done = drop(r, entry->name, e);
	} else {
		done = refuse_other(r, entry->name, reader, e);
	}
	reader_close(reader);
	(void)close(f.fd);
	return done;
}

/* Remembers that this very file was looked at; false when it was already. */
static bool
first_look(struct receive *r, const struct incoming_entry *entry)
{
	uint64_t key[3] = {
	    entry->at.epoch_number, entry->at.sequence, entry->ino};
	uint64_t hash = sum_bytes(key, sizeof(key), 0) | 1;
	uint32_t i = (uint32_t)(hash >> 32) % RECEIVE_LOOKED;

	if (r->looked == NULL) {
		r->looked = calloc(RECEIVE_LOOKED, sizeof(*r->looked));
		if (r->looked == NULL)
			return true; /* look again, then */
	}
	if (r->looked_count > RECEIVE_LOOKED / 4 * 3) {
		memset(r->looked, 0, RECEIVE_LOOKED * sizeof(*r->looked));
		r->looked_count = 0;
	}
	for (; r->looked[i] != 0; i = (i + 1) % RECEIVE_LOOKED)
		if (r->looked[i] == hash)
			return false;
	r->looked[i] = hash;
	r->looked_count++;
	return true;
}

static bool
is_later(const struct chain_name *a, const struct chain_name *b)
{
	return a->epoch_number != b->epoch_number
		   ? a->epoch_number > b->epoch_number
		   : a->sequence > b->sequence;
}

/* An encrypted one whose key is missing may be: it is waited for. */
static bool
is_base(struct receive *r, struct reader *reader)
{
	if (r->stage.mirror.relay)
		return true; /* that is for the mirrors behind to say */
	keyring_give(r->stage.home, reader);
	return !chain_is_partial(reader);
}

/* Is it of our stream? What was fetched must be what its name says, too;
 * else taking it finds that out. */
static bool
is_it(struct receive *r, const struct incoming_entry *entry,
    const struct reader *reader, char why[CHAIN_WHY])
{
	const struct journal_header *h = reader_header(reader);

	if (!stage_belongs(&r->stage, reader, why))
		return false;
	(void)snprintf(
	    why, CHAIN_WHY, "it says inside that it is another file");
	return r->stage.mirror.pull == NULL ||
	       (h->epoch_number == entry->at.epoch_number &&
		   h->sequence == entry->at.sequence);
}

/* A name that the fetcher sees here it does not ask for again: what is of no
 * use makes way. Others may be uploading still, or know better. */
static int
make_way(struct receive *r, const char *name, const char *why, struct err *e)
{
	return r->stage.mirror.pull == NULL
		   ? 0
		   : receive_refuse_next(r, name, why, e);
}

/*
 * A mirror without state begins at a base that names it; of several, at the
 * newest: what follows that one has surely not been pruned. (A recovery is no
 * beginning: it may bring only what a crash has left in doubt.) Taking it
 * verifies the rest.
 */
static int
may_begin(struct receive *r, const struct incoming_entry *entry, struct err *e)
{
	struct incoming_file f = {.fd = -1};
	struct reader *reader = NULL;
	char why[CHAIN_WHY];
	struct err bad = {0};
	int got, done = 0;

	if (!first_look(r, entry))
		return 0;
	got = incoming_get(r->in, entry->name, &f, why, e);
	if (got <= 0)
		return got;
	if (got == 2)
		return receive_refuse(r, entry->name, why, e);
	if (reader_open(f.fd, entry->name, &reader, &bad) < 0) {
		/* Somebody may write it just now: all are looked at again. */
		r->looked_count = RECEIVE_LOOKED;
		if (bad.kind == ERR_CORRUPT || bad.kind == ERR_REFUSED)
			done = make_way(r, entry->name, bad.text, e);
	} else if (!is_it(r, entry, reader, why)) {
		done = make_way(r, entry->name, why, e);
	} else if (chain_begins(&r->stage.mirror, reader) &&
		   is_base(r, reader) &&
		   (!r->has_best || is_later(&entry->at, &r->best))) {
		r->has_best = true;
		r->best = entry->at;
	}
	reader_close(reader);
	(void)close(f.fd);
	return done;
}

/*
 * Quarantine is for looking at, and holds a limited number: of a crowd the
 * first ones go there, and the rest, if they are files, just goes. Each would
 * drive out another one, at the price of several syncs.
 */
static int
strange(struct receive *r, const struct incoming_entry *entry, struct err *e)
{
	if (++r->strange <= SCAN_STRANGE)
		return receive_refuse(r, entry->name, entry->why, e);
	if (sys_unlink(incoming_dir(r->in), entry->name) == 0) {
		if (r->strange == SCAN_STRANGE + 1)
			log_warn("a crowd of strange names is in the incoming "
				 "folder: more than %d are removed, not kept",
			    SCAN_STRANGE);
		r->quarantined++;
		return 0;
	}
	return receive_refuse(r, entry->name, entry->why, e);
}

static int
one_entry(struct receive *r, const struct incoming_entry *entry, struct err *e)
{
	struct chain_name next[2];

	if (entry->kind == INCOMING_STRANGE)
		return strange(r, entry, e);
	if (entry->kind != INCOMING_JOURNAL)
		return 0;
	if (position_is_nil(&r->tip))
		return may_begin(r, entry, e);
	if (side_of(&r->tip, &entry->at) < 0)
		return old_file(r, entry, e);
	chain_expected(&r->tip, next);
	if (is_later(&entry->at, &next[0]) &&
	    (entry->at.epoch_number != next[1].epoch_number ||
		entry->at.sequence != 1))
		r->later_now = true;
	return 0;
}

static void
whole_scan_done(struct receive *r)
{
	r->later = r->later_now;
	r->later_now = false;
	r->strange = 0;
	r->scan_ns = clock_mono_ns();
}

int
receive_scan(struct receive *r, struct err *e)
{
	struct incoming_entry entry;
	uint64_t begun = clock_mono_ns();
	int i, more = 1, bad = 0;

	if (incoming_scan_begin(r->in, e) < 0)
		return -1;
	for (i = 0;
	     i < SCAN_ENTRIES && more > 0 && clock_mono_ns() - begun < SCAN_NS;
	     i++) {
		more = incoming_scan_next(r->in, &entry, e);
		if (more < 0)
			return -1;
		/* One name that cannot be dealt with must not hide others. */
		if (more > 0 && one_entry(r, &entry, e) < 0)
			bad = -1;
	}
	if (more == 0)
		whole_scan_done(r);
	return bad < 0 ? -1 : more;
}
