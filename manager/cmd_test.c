/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_test: tries a destination's link as the coordinator would use it, beside
 * a coordinator that runs. The way back is tried by reading the
 * acknowledgement; the way there by sending the last file again that the
 * mirror has stored, which the receiver drops as a duplicate: so nothing
 * appears there that was not meant to.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "coordinator/ack_store.h"
#include "coordinator/request.h"
#include "coordinator/transport.h"
#include "manager/command.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct link {
	struct home home;
	struct snapshot config;
	const struct destination_config *d;
	struct sealed sealed;
	bool has_ack;
	struct ack ack;
};

static void
link_release(struct link *l)
{
	sealed_close(&l->sealed);
	snapshot_release(&l->config);
	home_close(&l->home);
}

static int
find_destination(
    struct link *l, const char *group, const char *name, struct err *e)
{
	const struct group_config *g = snapshot_group(&l->config, group);
	const struct mirror_config *m = snapshot_mirror(&l->config, group);
	const struct destination_config *d;
	uint32_t count = 0, i;

	d = g != NULL	? snapshot_destinations(&l->config, &g->uuid, &count)
	    : m != NULL ? snapshot_destinations(&l->config, &m->uuid, &count)
			: NULL;
	for (i = 0; i < count; i++)
		if (strcmp(d[i].name, name) == 0) {
			l->d = &d[i];
			return 0;
		}
	return err_set(e, ERR_REFUSED,
	    "group '%s' has no destination '%s': see 'destination list'", group,
	    name);
}

static int
open_link(struct link *l, struct args *a, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (home_open(a->home, &l->home, e) < 0 ||
	    catalogue_open(&l->home, false, &c, e) < 0 ||
	    catalogue_load(c, &l->config, e) < 0 ||
	    find_destination(l, args_option(a, "group"), a->words[0], e) < 0)
		return -1;
	return sealed_open(&l->home, &l->d->stream, &l->sealed, e);
}

static uint64_t
ms_since(uint64_t begin_ns)
{
	return (clock_mono_ns() - begin_ns) / NS_PER_MS;
}

static void
tell_ack(const struct link *l, uint64_t took_ms)
{
	uint64_t now = clock_wall_ns(), then = l->ack.time_ns;

	(void)printf("acknowledgement: read in %ju ms, %ju s old, stored up to "
		     "transaction %ju, applied up to %ju\n",
	    (uintmax_t)took_ms,
	    (uintmax_t)(now > then ? (now - then) / NS_PER_S : 0),
	    (uintmax_t)l->ack.stored.last, (uintmax_t)l->ack.applied.last);
}

static int
test_reading(struct link *l, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char file[ACK_NAME_LEN], stream[UUID_TEXT], path[120];
	uint64_t begin = clock_mono_ns();
	struct transport *t = NULL;
	int got;

	(void)snprintf(path, sizeof(path), "%s/ack/%s",
	    uuid_text(&l->d->stream, stream), ack_name(&l->d->mirror, file));
	if (transport_open(l->d, true, &t, e) < 0)
		return -1;
	got = transport_get(t, path, ACK_LIMIT, &b, e);
	transport_close(t);
	if (got < 0)
		return err_at(e, "acknowledgement");
	if (got == 0) {
		(void)printf("acknowledgement: none there yet (answered in %ju "
			     "ms)\n",
		    (uintmax_t)ms_since(begin));
		return 0;
	}
	if (ack_read(&l->home, l->d, b.data, b.len, &l->ack, e) < 0)
		return -1;
	l->has_ack = true;
	tell_ack(l, ms_since(begin));
	return 0;
}

static int
send_again(struct link *l, int fd, const struct sealed_file *f, struct err *e)
{
	char name[JOURNAL_NAME_LEN], stream[UUID_TEXT], path[120];
	uint64_t begin = clock_mono_ns();
	struct transport *t = NULL;
	int sent;

	(void)journal_name(f->at.epoch_number, f->at.sequence, name);
	(void)snprintf(path, sizeof(path), "%s/%s",
	    uuid_text(&l->d->stream, stream), name);
	if (transport_open(l->d, false, &t, e) < 0)
		return -1;
	sent = transport_put(t, fd, f->file_len, path, e);
	if (sent >= 0 && transport_drain(t, e) < 0)
		sent = -1;
	transport_close(t);
	if (sent < 0)
		return err_at(e, "upload");
	(void)printf("upload: %s again, %ju bytes in %ju ms\n", name,
	    (uintmax_t)f->file_len, (uintmax_t)ms_since(begin));
	return 0;
}

static int
test_writing(struct link *l, struct err *e)
{
	const struct position *p = &l->ack.stored;
	AUTO_CLOSE int fd = -1;
	struct sealed_file f;
	int found = 0;

	/* Elsewhere nobody would drop it. */
	if (l->d->hub) {
		(void)printf("upload: not tried at a hub\n");
		return 0;
	}
	if (l->has_ack && !position_is_nil(p))
		found = sealed_look(
		    &l->sealed, p->epoch_number, p->sequence, &f, e);
	if (found == 1)
		found = sealed_open_file(
		    &l->sealed, p->epoch_number, p->sequence, &fd, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return send_again(l, fd, &f, e);
	(void)printf("upload: not tried, because no file that is stored there "
		     "is still here\n");
	return 0;
}

int
run_destination_test(struct args *a)
{
	AUTO(link_release)
	struct link l = {.home = HOME_NONE, .sealed = {.dir = -1}};
	struct err e = {0};

	if (!args_has(a, "group"))
		return tell(EXIT_USAGE, "destination test needs --group");
	if (open_link(&l, a, &e) < 0)
		return tell_err(&e);
	(void)printf("destination %s: %s\n", l.d->name, l.d->url);
	if (test_reading(&l, &e) < 0 || test_writing(&l, &e) < 0) {
		(void)fflush(stdout);
		return tell_err(&e);
	}
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
