/* SPDX-License-Identifier: Apache-2.0 */
/* request_destination: destination-add (name, group, url, pairing,
 * fingerprint, key, known-hosts, ack-url, ack-key, prune-at, hub, and those
 * of destination_option.h),
 * destination-pause (name, group, paused), destination-limit (name, group,
 * limit), destination-retry (name, group, retry-at), destination-remove. */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/destination_option.h"
#include "coordinator/carry.h"
#include "coordinator/rate.h"
#include "coordinator/retry.h"
#include "coordinator/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
copy_text(
    struct change *ch, const char *key, char *out, size_t room, struct err *e)
{
	const char *text = change_text(ch, key);

	if ((size_t)snprintf(out, room, "%s", text) >= room)
		return err_set(e, ERR_REFUSED, "--%s is too long", key);
	for (const char *p = text; *p != 0; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_set(e, ERR_REFUSED,
			    "--%s has a control character in it", key);
	return 0;
}

/* A private key: regular, ours or root's, nobody else's to read. */
static int
check_key(const char *path, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (path[0] == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, "key file %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "key file %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_REFUSED, "key file %s is no regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_REFUSED, "key file %s belongs to user %u",
		    path, (unsigned)st.st_uid);
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_REFUSED,
		    "key file %s may be read by others (mode %04o): chmod 600",
		    path, (unsigned)(st.st_mode & 07777));
	return 0;
}

/* Who may change it could let us talk to an impostor. */
static int
check_known_hosts(const char *path, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (path[0] == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, "known-hosts file %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "known-hosts file %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0)
		return err_set(e, ERR_REFUSED,
		    "known-hosts file %s must be a regular file that only its "
		    "owner may change",
		    path);
	return 0;
}

int
change_place(struct change *ch, struct destination_config *d, struct err *e)
{
	const struct destination_option *o = destination_options;

	if (copy_text(ch, "url", d->url, sizeof(d->url), e) < 0 ||
	    copy_text(ch, "ack-url", d->ack_url, sizeof(d->ack_url), e) < 0 ||
	    copy_text(ch, "key", d->key_file, sizeof(d->key_file), e) < 0 ||
	    copy_text(ch, "known-hosts", d->known_hosts, sizeof(d->known_hosts),
		e) < 0 ||
	    copy_text(
		ch, "ack-key", d->ack_key_file, sizeof(d->ack_key_file), e) < 0)
		return -1;
	for (; o < destination_options + destination_option_count; o++)
		if (copy_text(ch, o->name, destination_option_text(d, o),
			o->room, e) < 0)
			return -1;
	if (strcmp(d->url, CARRY_URL) == 0)
		return 0; /* see manager/cmd_carry.c */
	if (check_key(d->key_file, e) < 0 ||
	    check_key(d->ack_key_file, e) < 0 ||
	    check_known_hosts(d->known_hosts, e) < 0)
		return -1;
	return transport_check(d, e);
}

/* A relay keeps files until the next hop has them, others until the mirror at
 * the end has applied them. */
static int
take_prune_at(struct change *ch, const struct stream_owner *o,
    struct destination_config *d, struct err *e)
{
	static const char *const names[] = {
	    [PRUNE_APPLIED] = "applied",
	    [PRUNE_STORED] = "stored",
	    [PRUNE_HOP] = "hop",
	};
	const char *text = change_text(ch, "prune-at");
	bool relay = o->mirror != NULL && o->mirror->relay;
	int i;

	d->prune_at = PRUNE_APPLIED;
	if (d->relay[0] != 0)
		d->prune_at = PRUNE_STORED;
	else if (relay)
		d->prune_at = d->via[0] != 0 ? PRUNE_HOP : PRUNE_STORED;
	if (text[0] == 0)
		return 0;
	for (i = PRUNE_APPLIED; i <= PRUNE_HOP; i++)
		if (strcmp(text, names[i]) == 0)
			break;
	if (i > PRUNE_HOP)
		return err_set(e, ERR_REFUSED,
		    "--prune-at is 'applied', 'stored' or 'hop', not '%s'",
		    text);
	if (i == PRUNE_HOP && d->via[0] == 0)
		return err_set(e, ERR_REFUSED,
		    "--prune-at hop is for what lies behind a relay (--via)");
	if (i != PRUNE_STORED && d->relay[0] != 0)
		return err_set(e, ERR_REFUSED,
		    "what a relay needs are files that it has not stored: "
		    "--prune-at %s is of no use",
		    text);
	d->prune_at = (enum prune_at)i;
	return 0;
}

/* The destination that it lies behind must be there, and send itself, or lie
 * behind one that does. */
static int
take_via(struct change *ch, const struct stream_owner *o,
    const struct pairing *p, struct destination_config *d, struct err *e)
{
	const char *via = change_text(ch, "via");
	const struct destination_config *next;

	if (via[0] == 0)
		return 0;
	if (change_has(ch, "url"))
		return err_set(e, ERR_REFUSED,
		    "--via or --url: what lies behind '%s' is sent there", via);
	next = change_destination(ch, &o->uuid, o->name, via, e);
	if (next == NULL)
		return -1;
	if (!uuid_equal(&next->stream, &p->stream))
		return err_set(e, ERR_REFUSED,
		    "'%s' gets other files of the group than this mirror", via);
	if (strcmp(next->url, CARRY_URL) == 0)
		return err_set(e, ERR_REFUSED,
		    "'%s' is carried by hand, which does not bring back what "
		    "mirrors behind it acknowledge",
		    via);
	return copy_text(ch, "via", d->via, sizeof(d->via), e);
}

static int
take_options(struct change *ch, const struct stream_owner *o, bool relay,
    struct destination_config *d, struct err *e)
{
	struct rate rate;
	struct retry retry;

	if (d->via[0] != 0)
		return 0; /* it has no place of its own */
	d->hub = change_has(ch, "hub");
	if (change_place(ch, d, e) < 0 || rate_parse(d->limit, &rate, e) < 0 ||
	    retry_parse(d->retry_at, &retry, e) < 0)
		return -1;
	if (strcmp(d->url, CARRY_URL) == 0 && (relay || o->mirror != NULL))
		return err_set(e, ERR_REFUSED,
		    "relays are not carried to or from by hand: what mirrors "
		    "behind them acknowledge would not come back");
	return d->hub ? transport_check_hub(d, e) : 0;
}

/* What was exported is a stream of the group: *out, or NULL for its own. */
static int
find_stream(struct change *ch, const struct pairing *p,
    const struct stream_owner *o, const struct projection_config **out,
    struct err *e)
{
	*out = o->source == NULL ? NULL
				 : snapshot_projection_of(&ch->now, &p->stream);
	if (!uuid_equal(&p->group, &o->group) ||
	    (*out == NULL && !uuid_equal(&p->stream, &o->stream)))
		return err_set(e, ERR_REFUSED,
		    "the pairing text of site '%s' is for another group (there "
		    "called '%s'), not for '%s' of this site",
		    p->site_name, p->group_name, o->name);
	if (o->mirror != NULL && uuid_equal(&p->mirror, &o->mirror->uuid))
		return err_set(e, ERR_REFUSED,
		    "this pairing text is that of this home itself");
	return 0;
}

/* What volume `i` of the stream is here: its UUID and its name. */
static const struct uuid *
volume_of(const struct stream_owner *o, const struct projection_config *of,
    uint32_t i, const char **name)
{
	const struct volume_config *v;

	if (o->source == NULL) {
		*name = o->mirror->volumes[i].name;
		return &o->mirror->volumes[i].uuid;
	}
	v = &o->source->volumes[of != NULL ? of->parts[i].volume : i];
	*name = v->name;
	return &v->uuid;
}

static int
check_pairing(struct change *ch, const struct pairing *p,
    const struct stream_owner *o, const struct projection_config **of,
    struct err *e)
{
	uint32_t count;

	if (find_stream(ch, p, o, of, e) < 0)
		return -1;
	count = *of != NULL	    ? (*of)->part_count
		: o->source != NULL ? o->source->volume_count
				    : o->mirror->volume_count;
	if (p->volume_count != count)
		return err_set(e, ERR_REFUSED,
		    "the mirror has %u volumes, the group has %u",
		    p->volume_count, count);
	for (uint32_t i = 0; i < count; i++) {
		const char *name;
		const struct uuid *u = volume_of(o, *of, i, &name);

		if (!uuid_equal(&p->volumes[i].uuid, u))
			return err_set(e, ERR_REFUSED,
			    "the mirror's volume %u is not '%s'", i + 1, name);
	}
	return 0;
}

static int
check_free(struct change *ch, const struct stream_owner *o, const char *name,
    const struct uuid *mirror, struct err *e)
{
	for (uint32_t i = 0; i < ch->now.destination_count; i++) {
		const struct destination_config *d = &ch->now.destinations[i];

		if (uuid_equal(&d->mirror, mirror))
			return err_set(e, ERR_REFUSED,
			    "this mirror is a destination already: '%s'",
			    d->name);
		if (uuid_equal(&d->owner, &o->uuid) &&
		    strcmp(d->name, name) == 0)
			return err_set(e, ERR_REFUSED,
			    "group '%s' has a destination '%s' already",
			    o->name, name);
	}
	return 0;
}

/* What to do next depends on what it is. */
static int
tell_next(struct change *ch, const struct stream_owner *o,
    const struct destination_config *d, struct err *e)
{
	char home[SHELL_WORD];

	if (d->via[0] != 0
		? buf_printf(&ch->out, e,
		      "destination %s: behind %s, at site "
		      "%s\n",
		      d->name, d->via, d->mirror_site_name) < 0
		: buf_printf(&ch->out, e, "destination %s: %s at site %s\n",
		      d->name, d->url, d->mirror_site_name) < 0)
		return -1;
	(void)shell_word(ch->home->path, home, sizeof(home));
	if (d->relay[0] != 0)
		return buf_printf(&ch->err, e,
		    "next: aim-manager --home %s destination add NAME --group "
		    "%s --via %s --pairing FILE, for each mirror behind it\n",
		    home, o->name, d->name);
	if (o->source == NULL)
		return buf_printf(&ch->err, e,
		    "next: at site %s, with the same pairing text: aim-manager "
		    "destination add NAME --group %s --via HERE --pairing "
		    "FILE\n",
		    o->mirror->source_site_name, o->name);
	if (d->via[0] != 0 &&
	    buf_printf(&ch->err, e,
		"its relays must know it before its base begins\n") < 0)
		return -1;
	return buf_printf(&ch->err, e, "next: aim-manager --home %s base %s\n",
	    home, o->name);
}

static void
take_mirror(struct destination_config *d, const struct stream_owner *o,
    const struct pairing *p)
{
	d->owner = o->uuid;
	d->forward = o->mirror != NULL;
	d->group = o->group;
	d->stream = p->stream;
	d->mirror = p->mirror;
	d->mirror_site = p->site;
	d->mirror_key = p->key;
	(void)strcpy(d->mirror_site_name, p->site_name);
	if (p->role == PAIRING_RELAY)
		(void)strcpy(d->relay, "yes");
}

/* An rsync daemon has no encryption, and proves nothing to us. */
static int
tell_open(struct change *ch, const struct stream_owner *o,
    const struct destination_config *d, struct err *e)
{
	if (strncmp(d->url, "rsync://", 8) != 0 ||
	    (o->source != NULL && o->source->encrypted))
		return 0;
	return buf_printf(&ch->err, e,
	    "warning: whoever is on the way to %s can read the disks' content; "
	    "use rsync+ssh://, or 'aim-manager key generate %s'\n",
	    d->url, o->name);
}

int
request_destination_add(struct change *ch, struct err *e)
{
	AUTO(pairing_release) struct pairing p = {0};
	struct destination_config d = {0};
	const struct projection_config *of;
	struct stream_owner o;
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);

	if (group == NULL || change_owner(ch, group, &o, e) < 0 ||
	    name_check("destination", name, e) < 0 ||
	    change_pairing(ch, PAIRING_MIRROR, &p, e) < 0 ||
	    check_pairing(ch, &p, &o, &of, e) < 0 ||
	    check_free(ch, &o, name, &p.mirror, e) < 0)
		return -1;
	(void)strcpy(d.name, name);
	if (take_via(ch, &o, &p, &d, e) < 0 ||
	    take_options(ch, &o, p.role == PAIRING_RELAY, &d, e) < 0)
		return err_at(e, "destination '%s'", name);
	if (of != NULL && strcmp(d.url, CARRY_URL) == 0)
		return err_set(e, ERR_REFUSED,
		    "a projection cannot be carried by hand: send it to a "
		    "folder, --url file:///DIR");
	take_mirror(&d, &o, &p);
	if (take_prune_at(ch, &o, &d, e) < 0 || uuid_make(&d.uuid, e) < 0 ||
	    (d.forward ? catalogue_add_forward(ch->catalogue, &d, e)
		       : catalogue_add_destination(ch->catalogue, &d, e)) < 0 ||
	    catalogue_set_location(ch->catalogue, &d.uuid, &p.location, e) <
		0 ||
	    (of != NULL && catalogue_save_stream(ch->catalogue, &d, e) < 0))
		return err_at(e, "destination '%s'", name);
	return tell_open(ch, &o, &d, e) < 0 ? -1 : tell_next(ch, &o, &d, e);
}

static const struct destination_config *
need_destination(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);
	struct stream_owner o;

	if (group == NULL || change_owner(ch, group, &o, e) < 0)
		return NULL;
	return change_destination(ch, &o.uuid, o.name, name, e);
}

int
request_destination_pause(struct change *ch, struct err *e)
{
	const struct destination_config *d = need_destination(ch, e);

	if (d == NULL)
		return -1;
	return catalogue_pause_destination(ch->catalogue, &d->uuid,
	    strcmp(change_text(ch, "paused"), "yes") == 0, e);
}

int
request_destination_limit(struct change *ch, struct err *e)
{
	const struct destination_config *d = need_destination(ch, e);
	char limit[sizeof(d->limit)];
	struct rate rate;

	if (d == NULL || copy_text(ch, "limit", limit, sizeof(limit), e) < 0 ||
	    rate_parse(limit, &rate, e) < 0)
		return -1;
	return catalogue_set_destination(
	    ch->catalogue, &d->uuid, "limit", limit, e);
}

/* No flush is to wait for one that is not there any more. */
static int
check_unneeded(
    struct change *ch, const struct destination_config *d, struct err *e)
{
	uint32_t count = 0;

	if (!d->commit)
		return 0;
	for (uint32_t i = 0; i < ch->now.destination_count; i++)
		count += ch->now.destinations[i].commit &&
			 uuid_equal(&ch->now.destinations[i].group, &d->group);
	for (uint32_t i = 0; i < ch->now.group_count; i++) {
		const struct group_config *g = &ch->now.groups[i];

		if (!uuid_equal(&g->uuid, &d->group) ||
		    (g->commit.all && count > 1))
			continue;
		return err_set(e, ERR_REFUSED,
		    "flushes of group '%s' wait for destination '%s': change "
		    "that first ('aim-manager group set %s --commit ...')",
		    g->name, d->name, g->name);
	}
	return 0;
}

int
request_destination_retry(struct change *ch, struct err *e)
{
	const struct destination_config *d = need_destination(ch, e);
	char times[sizeof(d->retry_at)];
	struct retry retry;

	if (d == NULL ||
	    copy_text(ch, "retry-at", times, sizeof(times), e) < 0 ||
	    retry_parse(times, &retry, e) < 0)
		return -1;
	return catalogue_set_destination(
	    ch->catalogue, &d->uuid, "retry-at", times, e);
}

int
request_destination_remove(struct change *ch, struct err *e)
{
	static const char *const kinds[] = {
	    "ack", "job", "ship", "hub", "sums"};
	const struct destination_config *d = need_destination(ch, e);
	char file[UUID_TEXT + 8], uuid[UUID_TEXT];

	if (d == NULL || check_unneeded(ch, d, e) < 0 ||
	    catalogue_remove_destination(ch->catalogue, &d->uuid, e) < 0)
		return -1;
	if (change_has(ch, "dry-run"))
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)snprintf(file, sizeof(file), "%s.%s",
		    uuid_text(&d->uuid, uuid), kinds[i]);
		if (io_remove(ch->home->state, file, e) < 0)
			return -1;
	}
	return 0;
}
