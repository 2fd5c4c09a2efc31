/* SPDX-License-Identifier: Apache-2.0 */
/* request_destination: destination-add (name, group, url, pairing,
 * fingerprint, key, known-hosts, ack-url, ack-key, prune-at, hub, and those
 * of destination_option.h),
 * destination-pause (name, group, paused), destination-limit (name, group,
 * limit), destination-remove. */
#include "coordinator/request.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/destination_option.h"
#include "coordinator/carry.h"
#include "coordinator/rate.h"
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

static int
take_options(struct change *ch, struct destination_config *d, struct err *e)
{
	const char *prune = change_text(ch, "prune-at");
	struct rate rate;

	d->hub = change_has(ch, "hub");
	d->prune_at =
	    strcmp(prune, "stored") == 0 ? PRUNE_STORED : PRUNE_APPLIED;
	if (prune[0] != 0 && d->prune_at == PRUNE_APPLIED &&
	    strcmp(prune, "applied") != 0)
		return err_set(e, ERR_REFUSED,
		    "--prune-at is 'applied' or 'stored', not '%s'", prune);
	if (change_place(ch, d, e) < 0 || rate_parse(d->limit, &rate, e) < 0)
		return -1;
	return d->hub ? transport_check_hub(d, e) : 0;
}

/* What was exported is a stream of the group: *out, or NULL for its own. */
static int
find_stream(struct change *ch, const struct pairing *p,
    const struct group_config *g, const struct projection_config **out,
    struct err *e)
{
	*out = snapshot_projection_of(&ch->now, &p->stream);
	if (!uuid_equal(&p->group, &g->uuid) ||
	    (*out == NULL && !uuid_equal(&p->stream, &g->stream)))
		return err_set(e, ERR_REFUSED,
		    "the pairing text of site '%s' is for another group (there "
		    "called '%s'), not for '%s' of this site",
		    p->site_name, p->group_name, g->name);
	return 0;
}

static int
check_pairing(struct change *ch, const struct pairing *p,
    const struct group_config *g, const struct projection_config **of,
    struct err *e)
{
	uint32_t count;

	if (find_stream(ch, p, g, of, e) < 0)
		return -1;
	count = *of != NULL ? (*of)->part_count : g->volume_count;
	if (p->volume_count != count)
		return err_set(e, ERR_REFUSED,
		    "the mirror has %u volumes, the group has %u",
		    p->volume_count, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct volume_config *v =
		    &g->volumes[*of != NULL ? (*of)->parts[i].volume : i];

		if (!uuid_equal(&p->volumes[i].uuid, &v->uuid))
			return err_set(e, ERR_REFUSED,
			    "the mirror's volume %u is not '%s'", i + 1,
			    v->name);
	}
	return 0;
}

static int
check_free(struct change *ch, const struct group_config *g, const char *name,
    const struct uuid *mirror, struct err *e)
{
	for (uint32_t i = 0; i < ch->now.destination_count; i++) {
		const struct destination_config *d = &ch->now.destinations[i];

		if (uuid_equal(&d->mirror, mirror))
			return err_set(e, ERR_REFUSED,
			    "this mirror is a destination already: '%s'",
			    d->name);
		if (uuid_equal(&d->group, &g->uuid) &&
		    strcmp(d->name, name) == 0)
			return err_set(e, ERR_REFUSED,
			    "group '%s' has a destination '%s' already",
			    g->name, name);
	}
	return 0;
}

int
request_destination_add(struct change *ch, struct err *e)
{
	char home[SHELL_WORD];
	AUTO(pairing_release) struct pairing p = {0};
	struct destination_config d = {0};
	const struct projection_config *of;
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);
	const struct group_config *g =
	    group == NULL ? NULL : change_group(ch, group, e);

	if (g == NULL || name_check("destination", name, e) < 0 ||
	    change_pairing(ch, PAIRING_MIRROR, &p, e) < 0 ||
	    check_pairing(ch, &p, g, &of, e) < 0 ||
	    check_free(ch, g, name, &p.mirror, e) < 0)
		return -1;
	(void)strcpy(d.name, name);
	d.group = g->uuid;
	d.stream = p.stream;
	d.mirror = p.mirror;
	d.mirror_site = p.site;
	d.mirror_key = p.key;
	(void)strcpy(d.mirror_site_name, p.site_name);
	if (take_options(ch, &d, e) < 0)
		return err_at(e, "destination '%s'", name);
	if (of != NULL && strcmp(d.url, CARRY_URL) == 0)
		return err_set(e, ERR_REFUSED,
		    "a projection cannot be carried by hand: send it to a "
		    "folder, --url file:///DIR");
	if (uuid_make(&d.uuid, e) < 0 ||
	    catalogue_add_destination(ch->catalogue, &d, e) < 0 ||
	    (of != NULL && catalogue_save_stream(ch->catalogue, &d, e) < 0))
		return err_at(e, "destination '%s'", name);
	if (buf_printf(&ch->out, e, "destination %s: %s at site %s\n", d.name,
		d.url, d.mirror_site_name) < 0)
		return -1;
	return buf_printf(&ch->err, e, "next: aim-manager --home %s base %s\n",
	    shell_word(ch->home->path, home, sizeof(home)), g->name);
}

static const struct destination_config *
need_destination(struct change *ch, struct err *e)
{
	const char *name = change_need(ch, "name", e);
	const char *group = name == NULL ? NULL : change_need(ch, "group", e);
	const struct group_config *g =
	    group == NULL ? NULL : change_group(ch, group, e);

	return g == NULL ? NULL : change_destination(ch, g, name, e);
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

int
request_destination_remove(struct change *ch, struct err *e)
{
	static const char *const kinds[] = {"ack", "job", "ship", "hub"};
	const struct destination_config *d = need_destination(ch, e);
	char file[UUID_TEXT + 8], uuid[UUID_TEXT];

	if (d == NULL ||
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
