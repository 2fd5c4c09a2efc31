/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_key: key-generate (group), key-rotate (group), key-import (group,
 * key: a key file), key-retire (group, key: an id).
 *
 * A key's file is durable before the catalogue names it, and is removed before
 * the catalogue says retired: what a crash leaves is a file that nobody asks
 * for, or a retirement that can be asked for again.
 */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "coordinator/keyring.h"
#include "coordinator/sealed.h"
#include "coordinator/stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX_ID (2 * KEY_ID_LEN + 1)

/* Whose keys: a group of which this site is the source, or holds a mirror. */
struct owner {
	const char *name;
	struct uuid group;
	const struct group_config *source; /* or */
	const struct mirror_config *mirror;
};

static int
find_owner(struct change *ch, struct owner *out, struct err *e)
{
	const char *name = change_need(ch, "group", e);

	if (name == NULL)
		return -1;
	*out = (struct owner){.name = name,
	    .source = snapshot_group(&ch->now, name),
	    .mirror = snapshot_mirror(&ch->now, name)};
	if (out->source != NULL)
		out->group = out->source->uuid;
	else if (out->mirror != NULL)
		out->group = out->mirror->group;
	else
		return err_set(e, ERR_REFUSED,
		    "this home has neither a group '%s' nor a mirror of one",
		    name);
	return 0;
}

static int
find_source(struct change *ch, struct owner *out, struct err *e)
{
	if (find_owner(ch, out, e) < 0)
		return -1;
	if (out->source == NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' is mirrored here: its keys are made at its "
		    "source; bring them here with 'aim-manager key import'",
		    out->name);
	return 0;
}

static const struct key_config *
key_in_state(struct change *ch, const struct owner *o, enum key_state state)
{
	for (uint32_t i = 0; i < ch->now.key_count; i++)
		if (uuid_equal(&ch->now.keys[i].group, &o->group) &&
		    ch->now.keys[i].state == state)
			return &ch->now.keys[i];
	return NULL;
}

static const struct key_config *
key_of_id(struct change *ch, const uint8_t id[KEY_ID_LEN])
{
	for (uint32_t i = 0; i < ch->now.key_count; i++)
		if (memcmp(ch->now.keys[i].id, id, KEY_ID_LEN) == 0)
			return &ch->now.keys[i];
	return NULL;
}

/* Where to go from here, on the operator's stderr. */
static int
show_next(struct change *ch, const char *group, const char *verb,
    const char *rest, struct err *e)
{
	char home[SHELL_WORD];

	return buf_printf(&ch->err, e,
	    "next: aim-manager --home %s key %s %s%s\n",
	    shell_word(ch->home->path, home, sizeof(home)), verb, group, rest);
}

int
change_add_key(struct change *ch, const struct uuid *group,
    enum key_state state, struct err *e)
{
	struct key_config k = {
	    .group = *group, .state = state, .time_ns = clock_wall_ns()};
	struct group_key fresh;
	char id[HEX_ID];
	int done = -1;

	if (change_has(ch, "dry-run"))
		return buf_printf(&ch->out, e, "a key would be made\n");
	if (group_key_make(&fresh, e) < 0)
		return err_at(e, "make a key");
	memcpy(k.id, fresh.id, KEY_ID_LEN);
	if (keyring_put(ch->home, group, &fresh, e) == 0 &&
	    catalogue_add_key(ch->catalogue, &k, e) == 0)
		done = buf_printf(
		    &ch->out, e, "key %s\n", hex_text(k.id, KEY_ID_LEN, id));
	group_key_forget(&fresh);
	return done;
}

int
request_key_generate(struct change *ch, struct err *e)
{
	const struct key_config *next;
	struct owner o;
	char id[HEX_ID];

	if (find_source(ch, &o, e) < 0)
		return -1;
	next = key_in_state(ch, &o, KEY_NEXT);
	if (next != NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' has a key that is not in use yet, %s: 'key "
		    "rotate' begins to use it",
		    o.name, hex_text(next->id, KEY_ID_LEN, id));
	if (change_add_key(ch, &o.group,
		o.source->encrypted ? KEY_NEXT : KEY_CURRENT, e) < 0 ||
	    buf_printf(&ch->err, e,
		o.source->encrypted
		    ? "it is used after 'key rotate', when every mirror has "
		      "it\n"
		    : "every file from the next one on is encrypted; mirrors "
		      "wait until they have the key\n") < 0)
		return -1;
	return show_next(ch, o.name, "export", " --to FILE", e);
}

int
request_key_rotate(struct change *ch, struct err *e)
{
	const struct key_config *next, *current;
	struct owner o;
	char id[HEX_ID];

	if (find_source(ch, &o, e) < 0)
		return -1;
	next = key_in_state(ch, &o, KEY_NEXT);
	current = key_in_state(ch, &o, KEY_CURRENT);
	if (current == NULL)
		return err_set(e, ERR_REFUSED,
		    "group '%s' is not encrypted: 'aim-manager key generate "
		    "%s' begins it",
		    o.name, o.name);
	if (next == NULL)
		return err_set(e, ERR_REFUSED,
		    "there is no new key: make one with 'aim-manager key "
		    "generate %s' and bring it to every mirror first",
		    o.name);
	if (catalogue_set_key(ch->catalogue, current->id, KEY_KEPT, e) < 0 ||
	    catalogue_set_key(ch->catalogue, next->id, KEY_CURRENT, e) < 0)
		return -1;
	return buf_printf(&ch->out, e, "key %s is used from the next file on\n",
	    hex_text(next->id, KEY_ID_LEN, id));
}

static int
take_key(struct change *ch, const struct owner *o, const struct group_key *k,
    struct err *e)
{
	const struct key_config *known = key_of_id(ch, k->id);
	struct key_config add = {
	    .group = o->group, .state = KEY_KEPT, .time_ns = clock_wall_ns()};
	char id[HEX_ID];

	(void)hex_text(k->id, KEY_ID_LEN, id);
	if (known != NULL && known->state == KEY_RETIRED && o->source != NULL)
		return err_set(e, ERR_REFUSED, "key %s was retired here", id);
	if (change_has(ch, "dry-run"))
		return buf_printf(&ch->out, e, "key %s\n", id);
	memcpy(add.id, k->id, KEY_ID_LEN);
	if (keyring_put(ch->home, &o->group, k, e) < 0)
		return -1;
	if (known == NULL && catalogue_add_key(ch->catalogue, &add, e) < 0)
		return -1;
	if (known != NULL && known->state == KEY_RETIRED &&
	    catalogue_set_key(ch->catalogue, k->id, KEY_KEPT, e) < 0)
		return -1;
	return buf_printf(&ch->out, e, "key %s%s\n", id,
	    known != NULL && known->state != KEY_RETIRED ? ": was here already"
							 : "");
}

int
request_key_import(struct change *ch, struct err *e)
{
	char of[UUID_TEXT], want[UUID_TEXT];
	struct group_key k;
	struct uuid group;
	struct owner o;
	const char *text;
	size_t len = 0;
	int done = -1;

	if (find_owner(ch, &o, e) < 0)
		return -1;
	text = message_get(ch->in, "key", &len);
	if (text == NULL)
		return err_set(e, ERR_REFUSED, "the key file is missing");
	if (keyfile_decode(text, len, &group, &k, e) < 0)
		return err_at(e, "what was given");
	if (uuid_equal(&group, &o.group))
		done = take_key(ch, &o, &k, e);
	else
		(void)err_set(e, ERR_REFUSED,
		    "the key is of group %s; '%s' is group %s",
		    uuid_text(&group, of), o.name, uuid_text(&o.group, want));
	group_key_forget(&k);
	return done;
}

/* ---- retiring ---- */

/* Looks at every journal file of a folder: *last is the key of the newest. */
static int
check_unused(int dir, const uint8_t id[KEY_ID_LEN], uint8_t last[KEY_ID_LEN],
    struct err *e)
{
	AUTO_FREE struct chain_name *names = NULL;
	size_t i, n = 0;

	if (stage_list(dir, &names, &n, e) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		struct staged f = STAGED_NONE;
		bool used = false;
		int got = staged_open(
		    NULL, dir, names[i].epoch_number, names[i].sequence, &f, e);

		if (got == 1) {
			memcpy(last, reader_header(f.reader)->group_key_id,
			    KEY_ID_LEN);
			used = memcmp(last, id, KEY_ID_LEN) == 0;
		}
		staged_close(&f);
		if (got < 0)
			return -1;
		if (used)
			return err_set(e, ERR_REFUSED,
			    "%s needs this key: it is kept until that file "
			    "is gone",
			    f.name);
	}
	return 0;
}

/* What was made from the group's files is encrypted, too. */
static int
check_projections(struct change *ch, const struct owner *o,
    const uint8_t id[KEY_ID_LEN], struct err *e)
{
	for (uint32_t i = 0; i < ch->now.projection_count; i++) {
		const struct projection_config *p = &ch->now.projections[i];
		uint8_t last[KEY_ID_LEN] = {0};
		struct sealed s;
		int done;

		if (!uuid_equal(&p->group, &o->group))
			continue;
		if (sealed_open(ch->home, &p->stream, &s, e) < 0)
			return -1;
		done = check_unused(s.dir, id, last, e);
		sealed_close(&s);
		if (done < 0)
			return -1;
		if (!io_is_zero(last, sizeof(last)) &&
		    memcmp(last, o->source->key_id, KEY_ID_LEN) != 0)
			return err_set(e, ERR_REFUSED,
			    "no file of projection '%s' was made with the "
			    "current key of group '%s' yet: try again when "
			    "one was",
			    p->name, o->name);
	}
	return 0;
}

/*
 * That the newest file has the current key tells that whoever seals has left
 * the old one for good.
 */
static int
check_source(struct change *ch, const struct owner *o,
    const uint8_t id[KEY_ID_LEN], struct err *e)
{
	const struct key_config *current = key_in_state(ch, o, KEY_CURRENT);
	uint8_t last[KEY_ID_LEN] = {0};
	struct sealed s;
	int done;

	if (check_projections(ch, o, id, e) < 0 ||
	    sealed_open(ch->home, &o->source->stream, &s, e) < 0)
		return -1;
	done = check_unused(s.dir, id, last, e);
	sealed_close(&s);
	if (done < 0)
		return -1;
	if (current == NULL || memcmp(last, current->id, KEY_ID_LEN) != 0)
		return err_set(e, ERR_REFUSED,
		    "no file was sealed with the current key of group '%s' "
		    "yet: try again when one was",
		    o->name);
	return 0;
}

static int
check_mirror(struct change *ch, const struct owner *o,
    const uint8_t id[KEY_ID_LEN], struct err *e)
{
	const int above[2] = {ch->home->stage, ch->home->done};
	uint8_t last[KEY_ID_LEN];
	char name[UUID_TEXT];

	(void)uuid_text(&o->mirror->uuid, name);
	for (int i = 0; i < 2; i++) {
		AUTO_CLOSE int dir = -1;
		struct err why = {0};

		if (io_open_dir(above[i], name, &dir, &why) < 0) {
			if (why.sys == ENOENT)
				continue;
			return err_set(e, why.kind, "%s", why.text);
		}
		if (check_unused(dir, id, last, e) < 0)
			return -1;
	}
	return 0;
}

int
request_key_retire(struct change *ch, struct err *e)
{
	const char *text = change_need(ch, "key", e);
	const struct key_config *k;
	uint8_t id[KEY_ID_LEN];
	struct owner o;

	if (text == NULL || find_owner(ch, &o, e) < 0)
		return -1;
	if (hex_parse(text, id, sizeof(id), NULL) < 0)
		return err_set(e, ERR_REFUSED,
		    "a key's id has %d hexadecimal digits, as 'aim-manager "
		    "key list' shows it",
		    2 * KEY_ID_LEN);
	k = key_of_id(ch, id);
	if (k == NULL || !uuid_equal(&k->group, &o.group))
		return err_set(e, ERR_REFUSED, "group '%s' has no key %s here",
		    o.name, text);
	if (k->state == KEY_CURRENT || k->state == KEY_NEXT)
		return err_set(e, ERR_REFUSED,
		    "key %s is %s: 'key generate' and 'key rotate' come first",
		    text,
		    k->state == KEY_CURRENT ? "in use" : "to be used next");
	if ((o.source != NULL ? check_source(ch, &o, id, e)
			      : check_mirror(ch, &o, id, e)) < 0)
		return -1;
	if (change_has(ch, "dry-run"))
		return 0;
	if (keyring_drop(ch->home, &o.group, id, e) < 0 ||
	    catalogue_set_key(ch->catalogue, id, KEY_RETIRED, e) < 0)
		return -1;
	return buf_printf(&ch->out, e, "key %s is gone from here\n", text);
}
