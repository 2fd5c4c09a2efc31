/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_carry: `carry out` copies the files that a group's carried destinations
 * (URL carry://) have not stored yet into a folder; `carry in` takes, from
 * such a folder, what concerns this site: at the mirror's site the files, and
 * it leaves the acknowledgement there; at the source's the acknowledgements.
 * What is in the folder is checked against its manifest before anything is
 * taken. Both may be repeated, and broken off at any point.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/carry.h"
#include "coordinator/catalogue.h"
#include "coordinator/need.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARRIED_LIMIT 64
#define LOOK_MS 200u

struct site {
	struct home home;
	struct snapshot now;
};

static void
site_release(struct site *s)
{
	snapshot_release(&s->now);
	home_close(&s->home);
}

static int
site_open(struct site *s, const char *path, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	s->home = (struct home)HOME_NONE;
	if (home_open(path, &s->home, e) < 0 ||
	    catalogue_open(&s->home, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, &s->now, e);
}

/* FOLDER/<stream>/, and ack/ in it; made when they are not there. */
static int
open_stream(const char *folder, const struct uuid *stream, int *dir, int *ack,
    struct err *e)
{
	AUTO_CLOSE int top = -1, one = -1, acks = -1;
	char name[UUID_TEXT];

	(void)uuid_text(stream, name);
	if (io_open_dir(AT_FDCWD, folder, &top, e) < 0 ||
	    io_make_dir(top, name, 0755, e) < 0 ||
	    io_open_dir(top, name, &one, e) < 0 ||
	    io_make_dir(one, "ack", 0755, e) < 0 ||
	    io_open_dir(one, "ack", &acks, e) < 0)
		return err_at(e, "%s", folder);
	*dir = STEAL_FD(one);
	*ack = STEAL_FD(acks);
	return 0;
}

/* ---- out ---- */

/* What those destinations need that are carried. */
static int
find_needs(struct site *s, const struct group_config *g,
    struct need needs[CARRIED_LIMIT], uint32_t *count, struct err *e)
{
	uint32_t all, n = 0;
	const struct destination_config *d =
	    snapshot_destinations(&s->now, &g->uuid, &all);
	struct job j;

	for (uint32_t i = 0; i < all && n < CARRIED_LIMIT; i++) {
		if (strcmp(d[i].url, CARRY_URL) != 0 || d[i].paused)
			continue;
		if (job_load(&s->home, &d[i].uuid, &j, e) < 0 ||
		    need_find(&s->home, &d[i], &j, true, &needs[n++], e) < 0)
			return -1;
	}
	*count = n;
	if (n > 0)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "group '%s' has no destination that is carried: add one with "
	    "'aim-manager destination add NAME --group %s --url %s'",
	    g->name, g->name, CARRY_URL);
}

static bool
is_needed(const struct need *needs, uint32_t count, const struct sealed_file *f)
{
	for (uint32_t i = 0; i < count; i++)
		if (need_has(&needs[i], f))
			return true;
	return false;
}

/* Copies one file unless it is there as it should be. */
static int
copy_out(struct sealed *from, int to, const struct sealed_file *f,
    struct carry_list *l, uint64_t *bytes, struct err *e)
{
	struct carry_file *c = carry_add(l, e), there;
	int found;

	if (c == NULL)
		return -1;
	(void)journal_name(f->at.epoch_number, f->at.sequence, c->name);
	if (carry_look(from->dir, c->name, &c->len, c->digest, e) < 0)
		return -1;
	found = carry_look(to, c->name, &there.len, there.digest, NULL);
	if (found == 1 && there.len == c->len &&
	    memcmp(there.digest, c->digest, DIGEST_LEN) == 0)
		return 0;
	*bytes += c->len;
	return carry_copy(from->dir, to, c, true, e);
}

static int
copy_all_out(struct sealed *from, int to, const struct need *needs,
    uint32_t count, struct carry_list *l, uint64_t *bytes, struct err *e)
{
	struct sealed_file f;
	int found = sealed_skip(from, 0, 0, &f, e);

	while (found == 1) {
		if (is_needed(needs, count, &f) &&
		    copy_out(from, to, &f, l, bytes, e) < 0)
			return -1;
		found =
		    sealed_after(from, f.at.epoch_number, f.at.sequence, &f, e);
	}
	return found < 0 ? -1 : io_fsync(to, "the folder", e);
}

static bool
is_listed(const struct carry_list *l, const char *name)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (strcmp(l->files[i].name, name) == 0)
			return true;
	return false;
}

/* What an older manifest named and the new one does not has arrived. */
static int
remove_old(int dir, const struct carry_list *was, const struct carry_list *is,
    struct err *e)
{
	for (uint32_t i = 0; i < was->count; i++)
		if (!is_listed(is, was->files[i].name) &&
		    sys_unlink(dir, was->files[i].name) < 0 && errno != ENOENT)
			return err_sys(e, "remove %s", was->files[i].name);
	return 0;
}

static int
carry_out(struct site *s, const struct group_config *g, const char *folder,
    struct carry_list *is, uint64_t *bytes, struct err *e)
{
	AUTO(carry_release) struct carry_list was = {0};
	AUTO(sealed_close) struct sealed from = {.dir = -1};
	struct need needs[CARRIED_LIMIT];
	AUTO_CLOSE int dir = -1, ack = -1;
	uint32_t count;

	is->stream = g->stream;
	(void)snprintf(is->group, sizeof(is->group), "%s", g->name);
	if (find_needs(s, g, needs, &count, e) < 0 ||
	    sealed_open(&s->home, &g->stream, &from, e) < 0 ||
	    open_stream(folder, &g->stream, &dir, &ack, e) < 0)
		return -1;
	/* A damaged one names nothing. */
	if (carry_load(dir, &was, NULL) < 0)
		was.count = 0;
	if (copy_all_out(&from, dir, needs, count, is, bytes, e) < 0 ||
	    carry_store(dir, is, e) < 0)
		return -1;
	return remove_old(dir, &was, is, e);
}

int
run_carry_out(struct args *a)
{
	AUTO(site_release) struct site s = {.home = HOME_NONE};
	AUTO(carry_release) struct carry_list l = {0};
	const char *folder = args_option(a, "to");
	const struct group_config *g;
	struct err e = {0};
	uint64_t bytes = 0;

	if (folder == NULL)
		return tell(EXIT_USAGE, "carry out needs --to");
	if (site_open(&s, a->home, &e) < 0)
		return tell_err(&e);
	g = snapshot_group(&s.now, a->words[0]);
	if (g == NULL)
		return tell(EXIT_REFUSED,
		    "no group '%s' is protected in this home", a->words[0]);
	if (carry_out(&s, g, folder, &l, &bytes, &e) < 0)
		return tell_err(&e);
	(void)printf("%u file%s of %s in %s, %ju bytes of them new\n", l.count,
	    l.count == 1 ? "" : "s", g->name, folder, (uintmax_t)bytes);
	(void)fprintf(stderr,
	    "next, at the mirror's site: aim-manager carry in FOLDER\n");
	return EXIT_DONE;
}

/* ---- in, at the mirror's site ---- */

/* All of it, before any of it is taken. */
static int
check_all(int dir, const struct carry_list *l, struct err *e)
{
	uint8_t digest[DIGEST_LEN];
	uint64_t len = 0;

	for (uint32_t i = 0; i < l->count; i++) {
		const struct carry_file *f = &l->files[i];
		int found = carry_look(dir, f->name, &len, digest, e);

		if (found < 0)
			return -1;
		if (found == 0)
			return err_set(e, ERR_CORRUPT,
			    "%s is missing in the folder: nothing was taken; "
			    "carry it out again",
			    f->name);
		if (len != f->len || memcmp(digest, f->digest, DIGEST_LEN) != 0)
			return err_set(e, ERR_CORRUPT,
			    "%s was damaged on the way: nothing was taken; "
			    "carry it out again",
			    f->name);
	}
	return 0;
}

/* The acknowledgement as the receiver has published it: 1, 0, -1. */
static int
published(int in, const struct mirror_config *m, struct buf *bytes,
    struct ack *out, struct err *e)
{
	AUTO_CLOSE int ack = -1;
	char name[ACK_NAME_LEN];
	struct err why = {0};

	if (io_open_dir(in, "ack", &ack, e) < 0)
		return -1;
	if (io_read_file(
		ack, ack_name(&m->uuid, name), ACK_LIMIT, bytes, &why) < 0)
		return why.sys == ENOENT ? 0
					 : err_set(e, why.kind, "%s", why.text);
	if (ack_decode(bytes->data, bytes->len, out, NULL) != VERDICT_WHOLE)
		return err_set(e, ERR_RETRY,
		    "the acknowledgement in %s is damaged: the receiver will "
		    "write it anew",
		    m->incoming);
	return 1;
}

static bool
has_it(const struct ack *a, const struct carry_file *f)
{
	uint32_t epoch_number;
	uint64_t sequence;

	if (!journal_name_parse(f->name, &epoch_number, &sequence))
		return false;
	if (epoch_number != a->stored.epoch_number)
		return epoch_number < a->stored.epoch_number;
	return sequence <= a->stored.sequence;
}

static int
take_files(int from, int in, struct carry_list *l, const struct ack *a,
    uint32_t *taken, struct err *e)
{
	for (uint32_t i = 0; i < l->count; i++) {
		if (has_it(a, &l->files[i]))
			continue;
		if (carry_copy(from, in, &l->files[i], true, e) < 0)
			return -1;
		++*taken;
	}
	return io_fsync(in, "the incoming folder", e);
}

/* Waits until the receiver has all that came; false: not in time. */
static int
await(int in, const struct mirror_config *m, const struct carry_list *l,
    uint32_t wait_ms, struct buf *bytes, bool *all, struct err *e)
{
	uint64_t end = clock_mono_ns() + (uint64_t)wait_ms * 1000000;
	struct ack a = {0};
	int got;

	for (;;) {
		got = published(in, m, bytes, &a, e);
		if (got < 0 && e->kind != ERR_RETRY)
			return -1;
		*all = l->count == 0 ||
		       (got == 1 && has_it(&a, &l->files[l->count - 1]));
		if (*all || clock_mono_ns() >= end)
			return got == 1;
		clock_sleep_ms(LOOK_MS);
	}
}

static int
open_incoming(const struct mirror_config *m, int *out, struct err *e)
{
	char path[PATH_MAX + UUID_TEXT], stream[UUID_TEXT];

	if (m->pull != NULL)
		return err_set(e, ERR_REFUSED,
		    "the mirror of '%s' fetches its files from %s: what is "
		    "carried is for one with --incoming",
		    m->group_name, m->pull->url);
	(void)snprintf(path, sizeof(path), "%s/%s", m->incoming,
	    uuid_text(&m->stream, stream));
	return io_open_dir(AT_FDCWD, path, out, e);
}

static int
leave_ack(int ack, const struct mirror_config *m, const struct buf *bytes,
    struct err *e)
{
	char name[ACK_NAME_LEN];

	return io_write_file(
	    ack, ack_name(&m->uuid, name), bytes->data, bytes->len, 0644, e);
}

/* The exit code. */
static int
in_mirror(const struct mirror_config *m, int dir, int ack, uint32_t wait_ms)
{
	AUTO(carry_release) struct carry_list l = {0};
	AUTO(buf_release) struct buf bytes = {0};
	AUTO_CLOSE int in = -1;
	struct err e = {0};
	struct ack a = {0};
	uint32_t taken = 0;
	bool all = false;
	int got = carry_load(dir, &l, &e);

	if (got == 0)
		(void)err_set(&e, ERR_REFUSED,
		    "there is no manifest in the folder of '%s': was 'carry "
		    "out' broken off? Nothing was taken",
		    m->group_name);
	if (got <= 0 || !uuid_equal(&l.stream, &m->stream) ||
	    open_incoming(m, &in, &e) < 0 || check_all(dir, &l, &e) < 0 ||
	    published(in, m, &bytes, &a, &e) < 0 ||
	    take_files(dir, in, &l, &a, &taken, &e) < 0)
		return e.kind == ERR_NONE
			   ? tell(EXIT_REFUSED,
				 "the manifest is of another stream")
			   : tell_err(&e);
	(void)printf("mirror of %s: %u of %u files taken\n", m->group_name,
	    taken, l.count);
	got = await(in, m, &l, wait_ms, &bytes, &all, &e);
	if (got < 0 || (got == 1 && leave_ack(ack, m, &bytes, &e) < 0))
		return tell_err(&e);
	if (all)
		return EXIT_DONE;
	return tell(EXIT_TIMEOUT,
	    "the coordinator of this site has not received all of it yet: run "
	    "'carry in' once more before the folder goes back, so that it "
	    "takes the acknowledgement along");
}

/* ---- in, at the source's site ---- */

static int
add_acks(struct site *s, const struct group_config *g, int ack,
    struct message *m, uint32_t *count, struct err *e)
{
	uint32_t all;
	const struct destination_config *d =
	    snapshot_destinations(&s->now, &g->uuid, &all);
	char name[ACK_NAME_LEN];

	for (uint32_t i = 0; i < all; i++) {
		AUTO(buf_release) struct buf b = {0};
		struct err why = {0};

		if (strcmp(d[i].url, CARRY_URL) != 0)
			continue;
		if (io_read_file(ack, ack_name(&d[i].mirror, name), ACK_LIMIT,
			&b, &why) < 0) {
			if (why.sys == ENOENT)
				continue;
			return err_set(e, why.kind, "%s", why.text);
		}
		if (message_add(m, "ack", b.data, b.len, e) < 0)
			return -1;
		++*count;
	}
	return 0;
}

static int
in_source(
    struct site *s, const struct group_config *g, const char *home, int ack)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	uint32_t count = 0;

	if (message_add_text(&m, "verb", "carry-acks", &e) < 0 ||
	    message_add_text(&m, "group", g->name, &e) < 0 ||
	    add_acks(s, g, ack, &m, &count, &e) < 0)
		return tell_err(&e);
	if (count == 0) {
		(void)printf("group %s: no acknowledgement has come back yet\n",
		    g->name);
		return EXIT_DONE;
	}
	return client_request(home, &m);
}

/* ---- in ---- */

/* FOLDER/<stream>/: 1 and both descriptors, 0: not there. */
static int
find_stream(const char *folder, const struct uuid *stream, int *dir, int *ack,
    struct err *e)
{
	char path[PATH_MAX + UUID_TEXT + 2], name[UUID_TEXT];
	AUTO_CLOSE int one = -1;

	(void)snprintf(
	    path, sizeof(path), "%s/%s", folder, uuid_text(stream, name));
	if (io_open_dir(AT_FDCWD, path, &one, e) < 0)
		return e->sys == ENOENT ? 0 : -1;
	if (io_make_dir(one, "ack", 0755, e) < 0 ||
	    io_open_dir(one, "ack", ack, e) < 0)
		return -1;
	*dir = STEAL_FD(one);
	return 1;
}

static uint32_t
wait_of(struct args *a)
{
	const char *text = args_option(a, "timeout");

	return text == NULL ? 30000u : (uint32_t)strtoul(text, NULL, 10) * 1000;
}

static int
in_all(struct site *s, struct args *a, const char *folder, uint32_t *found)
{
	int worst = EXIT_DONE, code;

	for (uint32_t i = 0; i < s->now.mirror_count + s->now.group_count;
	     i++) {
		bool mirror = i < s->now.mirror_count;
		const struct mirror_config *m = &s->now.mirrors[i];
		const struct group_config *g =
		    mirror ? NULL : &s->now.groups[i - s->now.mirror_count];
		AUTO_CLOSE int dir = -1, ack = -1;
		struct err e = {0};
		int there = find_stream(
		    folder, mirror ? &m->stream : &g->stream, &dir, &ack, &e);

		if (there == 0)
			continue;
		++*found;
		if (there < 0)
			code = tell_err(&e);
		else if (mirror)
			code = in_mirror(m, dir, ack, wait_of(a));
		else
			code = in_source(s, g, a->home, ack);
		worst = code > worst ? code : worst;
	}
	return worst;
}

int
run_carry_in(struct args *a)
{
	AUTO(site_release) struct site s = {.home = HOME_NONE};
	const char *folder = a->words[0];
	AUTO_CLOSE int top = -1;
	struct err e = {0};
	uint32_t found = 0;
	int code;

	if (!wait_timeout_is_good(a))
		return EXIT_USAGE;
	if (site_open(&s, a->home, &e) < 0 ||
	    io_open_dir(AT_FDCWD, folder, &top, &e) < 0)
		return tell_err(&e);
	code = in_all(&s, a, folder, &found);
	if (found > 0)
		return code;
	return tell(EXIT_REFUSED,
	    "nothing in %s is for this site: no stream that it mirrors or is "
	    "the source of",
	    folder);
}
