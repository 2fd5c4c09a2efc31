/* SPDX-License-Identifier: Apache-2.0 */
/* tip: where a stream ends, from its folder. */
#include "coordinator/source.h"

#include "aimdriver/reader.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/keyring.h"

#include <string.h>

static void
drop_reader(struct reader **r)
{
	reader_close(*r);
}

static int
verify(struct sealed *sealed, const struct sealed_ends *ends,
    const struct sign_public *key, struct err *e)
{
	AUTO(drop_reader) struct reader *r = NULL;
	char name[JOURNAL_NAME_LEN];
	AUTO_CLOSE int fd = -1;

	(void)journal_name(ends->newest_epoch, ends->newest_sequence, name);
	if (sealed_open_file(
		sealed, ends->newest_epoch, ends->newest_sequence, &fd, e) <= 0)
		return -1;
	if (reader_open(fd, name, &r, e) < 0)
		return -1;
	keyring_give(sealed->home, r);
	return reader_verify(r, key, e);
}

int
tip_load(struct sealed *sealed, const struct sign_public *key,
    struct sealed_ends *ends, struct sealed_file *out, struct err *e)
{
	char name[JOURNAL_NAME_LEN], stream[UUID_TEXT];
	struct err why = {0};

	if (sealed_list(sealed, true, ends, e) < 0)
		return -1;
	/* A rename that a crash came close after may not be durable yet. */
	if (io_fsync(sealed->dir, "the folder of sealed files", e) < 0)
		return -1;
	if (ends->count == 0)
		return 0;
	if (sealed_look(sealed, ends->newest_epoch, ends->newest_sequence, out,
		&why) == 1 &&
	    verify(sealed, ends, key, &why) == 0)
		return 0;
	if (why.kind == ERR_RETRY)
		return err_set(e, why.kind, "%s", why.text);
	(void)journal_name(ends->newest_epoch, ends->newest_sequence, name);
	return err_set(e, ERR_REFUSED,
	    "sealed/%s/%s, the end of the stream, cannot be believed (%s). "
	    "Nothing is sealed until it is put right: copy the good file back "
	    "from DIR, stage/ or done/ of a mirror, or from a backup",
	    uuid_text(&sealed->stream, stream), name, why.text);
}

/* Was a copy-in open before this file? The jobs know. */
static bool
copyin_before(const struct source *s, const struct sealed_file *f)
{
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		const struct job *j = &s->jobs[i];

		if (j->state != JOB_NONE && j->begin > 0 &&
		    j->begin < f->first && (j->end == 0 || j->end >= f->first))
			return true;
	}
	return false;
}

static void
warn_hole(const struct sealed_file *f)
{
	char name[JOURNAL_NAME_LEN];

	log_warn(
	    "sealed files are missing after %s: destinations that have not "
	    "stored them need a new base",
	    journal_name(f->at.epoch_number, f->at.sequence, name));
}

static int
count_all(struct source *s, struct err *e)
{
	struct sealed_file f = s->oldest, next;
	bool in_copyin = s->counted_out.in_copyin;
	uint64_t copied;
	int found;

	s->files = 0;
	s->spool_bytes = 0;
	for (;;) {
		if (sealed_copyin_len(&s->sealed, &f, &in_copyin, &copied, e) <
		    0)
			return -1;
		s->spool_bytes += f.file_len - copied;
		s->files++;
		if (position_compare(&f.at, &s->tip.at) >= 0)
			return 0;
		found = sealed_after(
		    &s->sealed, f.at.epoch_number, f.at.sequence, &next, e);
		if (found == 0) {
			warn_hole(&f);
			found = sealed_skip(&s->sealed, f.at.epoch_number,
			    f.at.sequence, &next, e);
		}
		if (found < 0)
			return -1;
		if (found == 0)
			return err_set(e, ERR_RETRY,
			    "sealed files vanish while they are counted");
		f = next;
	}
}

static int
find_oldest(struct source *s, const struct sealed_ends *ends, struct err *e)
{
	int found = sealed_look(&s->sealed, ends->oldest_epoch,
	    ends->oldest_sequence, &s->oldest, e);

	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(e, ERR_RETRY, "the oldest sealed file is gone");
	s->counted_out =
	    (struct walk){.in_copyin = copyin_before(s, &s->oldest)};
	return count_all(s, e);
}

/* What the capture core believes to be sealed must be there. */
static int
compare_with_capture(struct source *s, struct err *e)
{
	struct capture_status st;
	char stream[UUID_TEXT];

	capture_status(s->capture, &st);
	if (st.needs_recovery || st.sealed <= s->tip.at.last)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "sealed/%s ends at transaction %ju, but files up to %ju were made "
	    "there: put them back (a mirror's stage/ or done/ has them), or "
	    "give up this group and protect its volumes anew",
	    uuid_text(&s->sealed.stream, stream), (uintmax_t)s->tip.at.last,
	    (uintmax_t)st.sealed);
}

int
source_find_tip(struct source *s, struct err *e)
{
	struct sealed_ends ends;
	struct sealed_file tip = {0};

	if (tip_load(&s->sealed, &s->home->key.pub, &ends, &tip, e) < 0)
		return -1;
	s->tip = tip;
	s->files = 0;
	s->spool_bytes = 0;
	if (compare_with_capture(s, e) < 0)
		return -1;
	if (ends.count > 0) {
		if (find_oldest(s, &ends, e) < 0)
			return -1;
		capture_sealed(s->capture, s->tip.at.last);
	}
	s->tip_unsure = false;
	s->tip_free = false;
	s->window_known = false;
	s->sent_known = false;
	return 0;
}
