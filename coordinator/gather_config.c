/* SPDX-License-Identifier: Apache-2.0 */
/* gather_config: the plan as a text, and times to try again. */
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/gather.h"
#include "fileformat/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLAN_LINE 4000u

/* The texts of a member that may be empty, by name. */
struct field {
	const char *name;
	size_t at, room;
};
#define FIELD(name, of)                                                        \
	{                                                                      \
		name, offsetof(struct destination_config, of),                 \
		    sizeof(((struct destination_config *)NULL)->of)            \
	}
static const struct field fields[] = {
    FIELD("url", url),
    FIELD("acks", ack_url),
    FIELD("key-file", key_file),
    FIELD("known-hosts", known_hosts),
    FIELD("ack-key-file", ack_key_file),
    FIELD("ca", ca_file),
    FIELD("credentials", credentials_file),
    FIELD("ack-credentials", ack_credentials_file),
    FIELD("pin", pin),
    FIELD("proxy", proxy),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- writing ---- */

static int
write_cut(const struct gather_cut *cut, struct buf *b, struct err *e)
{
	char stream[UUID_TEXT], epoch[UUID_TEXT], digest[2 * DIGEST_LEN + 1];
	const struct position *p = &cut->at;

	return buf_printf(b, e,
	    "cut %s %s %" PRIu32 " %" PRIu64 " %" PRIu64 " %s\n",
	    uuid_text(&cut->stream, stream), uuid_text(&p->epoch, epoch),
	    p->epoch_number, p->sequence, p->last,
	    hex_text(p->digest, DIGEST_LEN, digest));
}

static int
write_member(const struct gather_member *m, struct buf *b, struct err *e)
{
	const struct destination_config *d = &m->how;
	char key[65], uuid[UUID_TEXT];
	size_t i;

	if (buf_printf(b, e, "member %s\n", m->name) < 0)
		return -1;
	for (i = 0; i < FIELDS; i++) {
		const char *text = (const char *)d + fields[i].at;

		if (text[0] == '\0')
			continue;
		if (strpbrk(text, "\r\n") != NULL || strlen(text) > 3000)
			return err_set(e, ERR_REFUSED,
			    "%s: \"%.80s\" cannot be kept in a plan", m->name,
			    text);
		if (buf_printf(b, e, "%s %s\n", fields[i].name, text) < 0)
			return -1;
	}
	if (!m->has_ack)
		return 0;
	return buf_printf(b, e, "stream %s\n", uuid_text(&d->stream, uuid)) <
			   0 ||
		       buf_printf(b, e, "mirror %s\n",
			   uuid_text(&d->mirror, uuid)) < 0 ||
		       buf_printf(b, e, "site %s\n",
			   uuid_text(&d->mirror_site, uuid)) < 0 ||
		       buf_printf(b, e, "key %s\n",
			   hex_text(d->mirror_key.key, 32, key)) < 0
		   ? -1
		   : 0;
}

int
gather_plan_encode(const struct gather_config *c, uint64_t unit,
    const struct gather_cut *cut, struct buf *out, struct err *e)
{
	uint32_t i;

	if (buf_printf(out, e,
		"aim-gather 1\nlevel %s\nchunk %" PRIu64 "\nsize %" PRIu64
		"\nunit %" PRIu64 "\n%s%s%s",
		layout_level_name(c->layout.level), c->layout.chunk, c->size,
		unit, c->force ? "force yes\n" : "",
		c->still ? "still yes\n" : "",
		c->compare ? "compare yes\n" : "") < 0 ||
	    write_cut(cut, out, e) < 0)
		return -1;
	for (i = 0; i < c->layout.members; i++)
		if (write_member(&c->members[i], out, e) < 0)
			return -1;
	return 0;
}

/* ---- reading ---- */

static int
want_number(struct lines *l, const char *key, uint64_t *out, struct err *e)
{
	const char *value = lines_want(l, key, e);

	if (value == NULL)
		return -1;
	if (lines_number(value, out) < 0)
		return err_set(
		    e, ERR_CORRUPT, "line %u is no number", l->number);
	return 0;
}

static int
may_yes(struct lines *l, const char *key, bool *out, struct err *e)
{
	char *value;
	int more = lines_may(l, key, &value, e);

	*out = more > 0;
	return more < 0 ? -1 : 0;
}

static int
read_cut(struct lines *l, struct gather_cut *cut, struct err *e)
{
	char *value = lines_want(l, "cut", e), *save = NULL;
	const char *word[6];
	uint64_t epoch_number;
	size_t i;

	for (i = 0; value != NULL && i < 6; i++) {
		word[i] = strtok_r(i == 0 ? value : NULL, " ", &save);
		if (word[i] == NULL)
			value = NULL;
	}
	if (value == NULL || uuid_parse(word[0], &cut->stream, e) < 0 ||
	    uuid_parse(word[1], &cut->at.epoch, e) < 0 ||
	    lines_number(word[2], &epoch_number) < 0 ||
	    epoch_number > UINT32_MAX ||
	    lines_number(word[3], &cut->at.sequence) < 0 ||
	    lines_number(word[4], &cut->at.last) < 0 ||
	    hex_parse(word[5], cut->at.digest, DIGEST_LEN, e) < 0)
		return err_set(e, ERR_CORRUPT, "line %u is no cut", l->number);
	cut->at.epoch_number = (uint32_t)epoch_number;
	return 0;
}

static int
read_member(struct lines *l, struct gather_member *m, struct err *e)
{
	struct destination_config *d = &m->how;
	char *value;
	size_t i;
	int more;

	for (i = 0; i < FIELDS; i++) {
		more = lines_may(l, fields[i].name, &value, e);
		if (more < 0)
			return -1;
		if (more > 0 && strlen(value) >= fields[i].room)
			return err_set(
			    e, ERR_CORRUPT, "line %u is too long", l->number);
		if (more > 0)
			memcpy(
			    (char *)d + fields[i].at, value, strlen(value) + 1);
	}
	more = lines_may(l, "stream", &value, e);
	if (more <= 0)
		return more;
	m->has_ack = true;
	if (uuid_parse(value, &d->stream, e) < 0 ||
	    lines_uuid(l, "mirror", &d->mirror, e) < 0 ||
	    lines_uuid(l, "site", &d->mirror_site, e) < 0)
		return -1;
	return lines_hex(l, "key", d->mirror_key.key, 32, e);
}

static int
read_members(struct lines *l, struct gather_config *c, struct err *e)
{
	struct gather_member *m;
	char *value;
	int more;

	while ((more = lines_may(l, "member", &value, e)) > 0) {
		if (c->layout.members == LAYOUT_MOST)
			return err_set(e, ERR_CORRUPT, "too many members");
		m = &c->members[c->layout.members++];
		if (name_check("member", value, e) < 0)
			return -1;
		memcpy(m->name, value, strlen(value) + 1);
		if (read_member(l, m, e) < 0)
			return -1;
	}
	return more;
}

static int
read_plan(struct lines *l, struct gather_config *c, uint64_t *unit,
    struct gather_cut *cut, struct err *e)
{
	struct layout_spec spec;
	const char *value = lines_want(l, "aim-gather", e);

	if (value == NULL)
		return -1;
	if (strcmp(value, "1") != 0)
		return err_set(e, ERR_REFUSED, "it is of another version");
	value = lines_want(l, "level", e);
	if (value == NULL || layout_parse(value, &spec, e) < 0)
		return -1;
	c->layout.level = spec.layout.level;
	if (want_number(l, "chunk", &c->layout.chunk, e) < 0 ||
	    want_number(l, "size", &c->size, e) < 0 ||
	    want_number(l, "unit", unit, e) < 0 ||
	    may_yes(l, "force", &c->force, e) < 0 ||
	    may_yes(l, "still", &c->still, e) < 0 ||
	    may_yes(l, "compare", &c->compare, e) < 0 ||
	    read_cut(l, cut, e) < 0 || read_members(l, c, e) < 0)
		return -1;
	if (*unit == 0)
		return err_set(e, ERR_CORRUPT, "its units have no bytes");
	return layout_check(&c->layout, e);
}

int
gather_plan_decode(const struct buf *plan, struct gather_config *c,
    uint64_t *unit, struct gather_cut *cut, struct err *e)
{
	const char *text = (const char *)plan->data;
	struct lines l = {.what = "plan",
	    .most = PLAN_LINE,
	    .at = text,
	    .end = text + plan->len};

	memset(&c->layout, 0, sizeof(c->layout));
	c->members = calloc(LAYOUT_MOST, sizeof(*c->members));
	if (c->members == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (read_plan(&l, c, unit, cut, e) == 0)
		return 0;
	free(c->members);
	c->members = NULL;
	return err_at(e, "the plan");
}

/* ---- times ---- */

/* Minutes of the day, of the first of "HH:MM,..."; NULL: it is none. */
static const char *
parse_time(const char *text, uint32_t *out)
{
	uint32_t hour, minute;
	int n = 0;

	if (sscanf(text, "%2" SCNu32 ":%2" SCNu32 "%n", &hour, &minute, &n) !=
		2 ||
	    n != 5 || hour > 23 || minute > 59 ||
	    (text[n] != '\0' && text[n] != ','))
		return NULL;
	*out = hour * 60 + minute;
	return text + n;
}

int
gather_times_check(const char *times, struct err *e)
{
	const char *at = times;
	uint32_t minutes;

	do {
		at = parse_time(at, &minutes);
		if (at == NULL)
			return err_set(e, ERR_REFUSED,
			    "times \"%.80s\": expected HH:MM[,HH:MM...]",
			    times);
	} while (*at++ == ',');
	return 0;
}

void
gather_wait_after(const struct gather_config *c, struct backoff *b)
{
	const char *at = c->retry_at;
	uint64_t now = clock_mono_ns(), best = 24 * 3600, wait;
	time_t wall = time(NULL);
	uint32_t minutes, second;
	struct tm day;

	if (*at == '\0' || localtime_r(&wall, &day) == NULL) {
		backoff_fail(b, now);
		return;
	}
	second = (uint32_t)(day.tm_hour * 3600 + day.tm_min * 60 + day.tm_sec);
	for (;;) {
		at = parse_time(at, &minutes);
		if (at == NULL)
			break;
		wait = (minutes * 60 + 24 * 3600 - second) % (24 * 3600);
		best = wait > 0 && wait < best ? wait : best;
		if (*at++ != ',')
			break;
	}
	b->until_ns = now + best * UINT64_C(1000000000);
}
