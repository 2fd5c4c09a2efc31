/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/gather.h"

#include "common/cleanup.h"
#include "coordinator/transport.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len >= n && memcmp(text + len - n, end, n) == 0;
}

/* The place in d->url, and the name beneath it. */
static int
find_place(const struct gather_member *m, struct destination_config *d,
    char name[TRANSPORT_NAME_LIMIT], struct err *e)
{
	const char *url = m->how.ack_url;
	char stream[UUID_TEXT], file[ACK_NAME_LEN];
	size_t len = strcspn(url, "?"), at = len;
	int n;

	(void)snprintf(name, TRANSPORT_NAME_LIMIT, "%s/ack/%s",
	    uuid_text(&m->how.stream, stream), ack_name(&m->how.mirror, file));
	if (ends_with(url, len, ".ack")) {
		while (at > 0 && url[at - 1] != '/')
			at--;
		if (at < 2 || len - at >= TRANSPORT_NAME_LIMIT)
			return err_set(
			    e, ERR_REFUSED, "\"%.120s\" names no file", url);
		(void)snprintf(name, TRANSPORT_NAME_LIMIT, "%.*s",
		    (int)(len - at), url + at);
		len = at - 1;
	}
	n = snprintf(d->url, sizeof(d->url), "%s%.*s%s",
	    url[0] == '/' ? "file://" : "", (int)len, url,
	    url + strcspn(url, "?"));
	if (n < 0 || (size_t)n >= sizeof(d->url))
		return err_set(e, ERR_REFUSED, "URL too long");
	return 0;
}

static int
fetch(const struct gather_member *m, struct buf *out, struct err *e)
{
	AUTO_FREE struct destination_config *d = malloc(sizeof(*d));
	char name[TRANSPORT_NAME_LIMIT];
	struct transport *t = NULL;
	int got;

	if (d == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	*d = m->how;
	d->ack_url[0] = '\0';
	if (d->ack_key_file[0] != '\0')
		memcpy(d->key_file, d->ack_key_file, sizeof(d->key_file));
	if (d->ack_credentials_file[0] != '\0')
		memcpy(d->credentials_file, d->ack_credentials_file,
		    sizeof(d->credentials_file));
	if (find_place(m, d, name, e) < 0 ||
	    transport_open(d, false, &t, e) < 0)
		return -1;
	got = transport_get(t, name, ACK_LIMIT, out, e);
	transport_close(t);
	return got;
}

static int
verify(const struct gather_member *m, const struct buf *b, struct ack *out,
    struct err *e)
{
	struct why why = {0};
	bool valid = false;

	if (ack_decode(b->data, b->len, out, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_RETRY,
		    "the acknowledgement of %s cannot be read: %s", m->name,
		    why.text);
	if (ack_check(b->data, b->len, &m->how.mirror_key, &valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_REFUSED,
		    "THE ACKNOWLEDGEMENT of %s IS NOT SIGNED by its site: it "
		    "is forged, or the key is not that site's",
		    m->name);
	if (!uuid_equal(&out->stream, &m->how.stream) ||
	    !uuid_equal(&out->mirror, &m->how.mirror) ||
	    !uuid_equal(&out->mirror_site, &m->how.mirror_site))
		return err_set(e, ERR_REFUSED,
		    "the acknowledgement found for %s is of another mirror",
		    m->name);
	return 0;
}

void
gather_hear(const struct gather_member *m, struct gather_word *out)
{
	AUTO(buf_release) struct buf b = {0};

	*out = (struct gather_word){.known = 0};
	if (!m->has_ack)
		return;
	out->known = fetch(m, &b, &out->why);
	if (out->known == 0) {
		/* It may be replaced just now: absence is no news. */
		(void)err_set(&out->why, ERR_RETRY,
		    "%s has no acknowledgement there now", m->name);
		out->known = -1;
	} else if (out->known > 0 && verify(m, &b, &out->ack, &out->why) < 0) {
		out->known = -1;
	}
}

/* Members of a layout have streams of their own, with files of their own, but
 * the numbers of the captured transactions. */
static bool
is_at(const struct ack *a, const struct uuid *stream, const struct position *p)
{
	if (a->applied.epoch_number != p->epoch_number ||
	    a->applied.last != p->last)
		return false;
	return !uuid_equal(&a->stream, stream) ||
	       (a->applied.sequence == p->sequence &&
		   uuid_equal(&a->applied.epoch, &p->epoch) &&
		   memcmp(a->applied.digest, p->digest, DIGEST_LEN) == 0);
}

bool
gather_same(const struct gather_word *a, const struct gather_word *b)
{
	return a->known > 0 && b->known > 0 &&
	       is_at(&a->ack, &b->ack.stream, &b->ack.applied);
}

/* May it be read now? */
static bool
is_fit(const struct gather_word *w)
{
	return w->known > 0 && w->ack.consistent && w->ack.at_rest &&
	       !position_is_nil(&w->ack.applied);
}

static int
compare_moments(const struct position *a, const struct position *b)
{
	if (a->epoch_number != b->epoch_number)
		return a->epoch_number < b->epoch_number ? -1 : 1;
	return a->last == b->last ? 0 : a->last < b->last ? -1 : 1;
}

/* ---- telling ---- */

static void __attribute__((format(printf, 2, 3)))
say(const struct gather_config *c, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	if (c->tell == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->tell(c->ctx, text);
}

/* Why a member is left out, and what to do there. */
static void
say_left(const struct gather_config *c, uint32_t m, const struct gather_word *w,
    const struct position *cut)
{
	const char *name = c->members[m].name;

	if (w->known < 0)
		say(c, "%s is left out: %s", name, w->why.text);
	else if (w->known == 0)
		say(c,
		    "%s is left out: nobody knows at what moment it is "
		    "(--ack, --pairing)",
		    name);
	else if (!w->ack.consistent || position_is_nil(&w->ack.applied))
		say(c, "%s is left out: its site says that it is %s", name,
		    ack_state_name(w->ack.state));
	else if (!w->ack.at_rest)
		say(c,
		    "%s is left out: something is being applied there. Run "
		    "'aim-manager mirror pause GROUP --apply' at its site",
		    name);
	else if (compare_moments(&w->ack.applied, cut) < 0)
		say(c,
		    "%s is left out: it is at transaction %" PRIu64
		    ", behind %" PRIu64
		    ". Run 'aim-manager mirror resume GROUP' at its site, "
		    "and gather again when it has caught up",
		    name, w->ack.applied.last, cut->last);
	else
		say(c,
		    "%s is left out: it is at transaction %" PRIu64
		    ", beyond %" PRIu64 ", and does not go back",
		    name, w->ack.applied.last, cut->last);
}

static void
say_moving(const struct gather_config *c, uint32_t m, const struct ack *a)
{
	if (c->still || a->state == ACK_PAUSED)
		return;
	say(c,
	    "%s is not paused: should it move, what was read of it is read "
	    "again. 'aim-manager mirror pause GROUP --apply' at its site "
	    "holds it where it is",
	    c->members[m].name);
}

/* ---- picking ---- */

static uint64_t
members_at(const struct gather_config *c, const struct gather_word *words,
    const struct gather_word *where)
{
	uint64_t found = 0;
	uint32_t i;

	for (i = 0; i < c->layout.members; i++)
		if (is_fit(&words[i]) && gather_same(&words[i], where))
			found |= UINT64_C(1) << i;
	return found;
}

/* The highest moment that is known of, by whoever says so. */
static const struct gather_word *
highest(const struct gather_config *c, const struct gather_word *words)
{
	const struct gather_word *best = NULL, *w;

	for (w = words; w < words + c->layout.members; w++)
		if (w->known > 0 && w->ack.consistent &&
		    (best == NULL || compare_moments(&w->ack.applied,
					 &best->ack.applied) > 0))
			best = w;
	return best;
}

/* One that is where `cut` is, so that it need not be given up. */
static const struct gather_word *
find_at(const struct gather_config *c, const struct gather_word *words,
    const struct gather_cut *cut)
{
	const struct gather_word *w;

	if (position_is_nil(&cut->at))
		return NULL;
	for (w = words; w < words + c->layout.members; w++)
		if (w->known > 0 && is_at(&w->ack, &cut->stream, &cut->at))
			return w;
	return NULL;
}

static struct gather_cut
cut_of(const struct gather_word *w)
{
	return (struct gather_cut){w->ack.stream, w->ack.applied};
}

static bool
are_all_heard(const struct gather_config *c, const struct gather_word *words)
{
	uint32_t i;

	for (i = 0; i < c->layout.members; i++)
		if (words[i].known < 0 && words[i].why.kind != ERR_REFUSED)
			return false;
	return true;
}

/* With force: the best moment that suffices, or all of them, mixed. */
static uint64_t
pick_by_force(const struct gather_config *c, const struct gather_word *words,
    struct gather_cut *cut)
{
	const struct gather_word *best = NULL, *w;
	uint64_t all = 0;
	uint32_t i;

	for (w = words; w < words + c->layout.members; w++)
		if (is_fit(w) &&
		    layout_is_covered(&c->layout, members_at(c, words, w)) &&
		    (best == NULL || compare_moments(&w->ack.applied,
					 &best->ack.applied) > 0))
			best = w;
	if (best != NULL) {
		say(c,
		    "--force: transaction %" PRIu64 " is taken, which is "
		    "not the latest that is known of",
		    best->ack.applied.last);
		*cut = cut_of(best);
		return members_at(c, words, best);
	}
	memset(cut, 0, sizeof(*cut));
	for (i = 0; i < c->layout.members; i++)
		all |= UINT64_C(1) << i;
	say(c, "--force: the members are read as they are. They may be of "
	       "different moments: then what is put together never was, and "
	       "a file system or database on it may be damaged");
	return all;
}

static int
refuse(const struct gather_config *c, const struct gather_word *words,
    struct err *e)
{
	if (!are_all_heard(c, words))
		return err_set(e, ERR_RETRY,
		    "too few members can be heard to know what moment can be "
		    "had");
	return err_set(e, ERR_REFUSED,
	    "the members do not suffice at one moment of their history: see "
	    "above for what to do at which site (--force takes an older "
	    "moment, or a mixture)");
}

int
gather_pick(const struct gather_config *c, const struct gather_word *words,
    struct gather_cut *cut, uint64_t *members, struct err *e)
{
	const struct gather_word *w = find_at(c, words, cut);
	uint64_t found = w == NULL ? 0 : members_at(c, words, w);
	struct position none = {.last = 0};
	uint32_t i;

	if (!layout_is_covered(&c->layout, found)) {
		w = highest(c, words);
		found = w == NULL ? 0 : members_at(c, words, w);
	}
	for (i = 0; i < c->layout.members; i++)
		if ((found >> i & 1) == 0)
			say_left(c, i, &words[i],
			    w == NULL ? &none : &w->ack.applied);
		else
			say_moving(c, i, &words[i].ack);
	if (layout_is_covered(&c->layout, found))
		*cut = cut_of(w);
	else if (c->force)
		found = pick_by_force(c, words, cut);
	else
		return refuse(c, words, e);
	*members = found;
	return 0;
}
