/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
	const char *name;
	change_fn *run;
} verbs[] = {
    {"carry-acks", request_carry_acks},
    {"volume-add", request_volume_add},
    {"volume-expand", request_volume_expand},
    {"group-export", request_group_export},
    {"group-layout", request_group_layout},
    {"group-set", request_group_set},
    {"group-digest", request_group_digest},
    {"mirror-add", request_mirror_add},
    {"mirror-export", request_mirror_export},
    {"mirror-pause", request_mirror_pause},
    {"relay-add", request_relay_add},
    {"relay-export", request_relay_export},
    {"mirror-set", request_mirror_set},
    {"hook-add", request_hook_add},
    {"hook-remove", request_hook_remove},
    {"site-set", request_site_set},
    {"destination-add", request_destination_add},
    {"destination-pause", request_destination_pause},
    {"destination-limit", request_destination_limit},
    {"destination-retry", request_destination_retry},
    {"destination-remove", request_destination_remove},
    {"base", request_base},
    {"key-generate", request_key_generate},
    {"key-rotate", request_key_rotate},
    {"key-import", request_key_import},
    {"key-retire", request_key_retire},
    {"projection-add", request_projection_add},
    {"projection-remove", request_projection_remove},
};

int
exit_code(const struct err *e)
{
	return e->kind == ERR_REFUSED || e->kind == ERR_CORRUPT ? EXIT_REFUSED
								: EXIT_FAILED;
}

const char *
change_need(struct change *ch, const char *key, struct err *e)
{
	size_t len;
	const char *value = message_get(ch->in, key, &len);

	if (value == NULL || strlen(value) != len) {
		(void)err_set(e, ERR_REFUSED, "'%s' is missing", key);
		return NULL;
	}
	return value;
}

const char *
change_text(struct change *ch, const char *key)
{
	const char *value = change_need(ch, key, NULL);

	return value == NULL ? "" : value;
}

bool
change_has(struct change *ch, const char *key)
{
	return message_get(ch->in, key, NULL) != NULL;
}

const struct group_config *
change_group(struct change *ch, const char *name, struct err *e)
{
	const struct group_config *g = snapshot_group(&ch->now, name);
	char known[200] = "";
	size_t used = 0;

	if (g != NULL)
		return g;
	for (uint32_t i = 0; i < ch->now.group_count && used < sizeof(known);
	     i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used,
		    "%s%s", i == 0 ? "" : ", ", ch->now.groups[i].name);
	(void)err_set(e, ERR_REFUSED,
	    "no group '%s' is protected in this home; %s%s", name,
	    known[0] != 0 ? "there are: " : "there is none yet", known);
	return NULL;
}

int
change_owner(struct change *ch, const char *name, struct stream_owner *out,
    struct err *e)
{
	const struct mirror_config *m = snapshot_mirror(&ch->now, name);
	const struct group_config *g;

	if (m != NULL) {
		*out = (struct stream_owner){.name = m->group_name,
		    .uuid = m->uuid,
		    .group = m->group,
		    .stream = m->stream,
		    .mirror = m};
		return 0;
	}
	g = change_group(ch, name, e);
	if (g == NULL)
		return -1;
	*out = (struct stream_owner){.name = g->name,
	    .uuid = g->uuid,
	    .group = g->uuid,
	    .stream = g->stream,
	    .source = g};
	return 0;
}

const struct destination_config *
change_destination(struct change *ch, const struct uuid *owner,
    const char *group, const char *name, struct err *e)
{
	const struct destination_config *d;
	uint32_t count;

	d = snapshot_destinations(&ch->now, owner, &count);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(d[i].name, name) == 0)
			return &d[i];
	(void)err_set(e, ERR_REFUSED,
	    "group '%s' has no destination '%s' (see 'aim-manager destination "
	    "list')",
	    group, name);
	return NULL;
}

static int
check_fingerprint(
    const char *given, const struct sign_public *key, struct err *e)
{
	uint8_t want[DIGEST_LEN], has[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];

	if (hex_parse(given, want, sizeof(want), NULL) < 0)
		return err_set(e, ERR_REFUSED,
		    "the fingerprint must be %d hex digits, as printed by the "
		    "other site's export",
		    2 * DIGEST_LEN);
	if (sign_fingerprint(key, has, e) < 0)
		return -1;
	if (memcmp(want, has, sizeof(has)) != 0)
		return err_set(e, ERR_REFUSED,
		    "the pairing text is not the one that was exported: its "
		    "fingerprint is %s. Somebody may have replaced it",
		    hex_text(has, sizeof(has), hex));
	return 0;
}

int
change_pairing(struct change *ch, enum pairing_role role, struct pairing *out,
    struct err *e)
{
	AUTO(pairing_release) struct pairing p = {0};
	size_t len = 0;
	const char *text = message_get(ch->in, "pairing", &len);
	const char *fingerprint = change_text(ch, "fingerprint");

	if (text == NULL)
		return err_set(e, ERR_REFUSED, "the pairing text is missing");
	if (pairing_decode(text, len, &p, e) < 0)
		return err_at(e, "pairing text");
	if (p.role != role &&
	    !(p.role == PAIRING_RELAY && role == PAIRING_MIRROR))
		return err_set(e, ERR_REFUSED,
		    "this pairing text was made by '%s export', needed is "
		    "that of '%s export'",
		    p.role == PAIRING_RELAY    ? "relay"
		    : p.role == PAIRING_MIRROR ? "mirror"
					       : "group",
		    role == PAIRING_SOURCE ? "group" : "mirror");
	if (fingerprint[0] != 0 &&
	    check_fingerprint(fingerprint, &p.key, e) < 0)
		return -1;
	*out = p;
	memset(&p, 0, sizeof(p));
	return 0;
}

static void
change_release(struct change *ch)
{
	catalogue_close(ch->catalogue);
	snapshot_release(&ch->now);
	buf_release(&ch->out);
	buf_release(&ch->err);
}

static const struct verb *
find_verb(const struct message *in, struct err *e)
{
	const char *name = message_get(in, "verb", NULL);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (name != NULL && strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	(void)err_set(e, ERR_REFUSED,
	    "the coordinator does not know this request: it is of another "
	    "release than the manager");
	return NULL;
}

/* "verb subject" for the history. */
static int
note_event(struct change *ch, const struct verb *v, struct err *e)
{
	const char *subject = change_text(ch, "name");

	if (subject[0] == 0)
		subject = change_text(ch, "group");
	return catalogue_event(ch->catalogue, subject, v->name, e);
}

static int
carry_out(struct change *ch, struct err *e)
{
	const struct verb *v = find_verb(ch->in, e);

	if (v == NULL ||
	    catalogue_open(ch->home, true, &ch->catalogue, e) < 0 ||
	    request_recover(ch->home, ch->catalogue, e) < 0 ||
	    catalogue_begin(ch->catalogue, e) < 0 ||
	    catalogue_load(ch->catalogue, &ch->now, e) < 0 || v->run(ch, e) < 0)
		return -1;
	if (change_has(ch, "dry-run"))
		return 0; /* closing gives the change up */
	if (note_event(ch, v, e) < 0 || catalogue_commit(ch->catalogue, e) < 0)
		return -1;
	return io_remove(ch->home->state, "pending", e);
}

int
request_execute(struct home *h, const struct message *in, struct message *out,
    struct err *e)
{
	AUTO(change_release) struct change ch = {.home = h, .in = in};
	AUTO(message_release) struct message m = {0};
	struct err why = {0};
	char code[16];

	(void)snprintf(code, sizeof(code), "%d", EXIT_DONE);
	if (carry_out(&ch, &why) < 0) {
		(void)snprintf(code, sizeof(code), "%d", exit_code(&why));
		if (buf_printf(&ch.err, e, "%s\n", why.text) < 0)
			return -1;
		ch.out.len = 0;
	}
	if (message_add_text(&m, "exit", code, e) < 0 ||
	    message_add(&m, "out", ch.out.data, ch.out.len, e) < 0 ||
	    message_add(&m, "err", ch.err.data, ch.err.len, e) < 0)
		return -1;
	buf_swap(&out->bytes, &m.bytes);
	return 0;
}
