/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/role.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/carry.h"
#include "coordinator/roles.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const kind_names[] = {
    "source", "ship", "receive", "apply", "fetch", "project"};

void
role_title(const struct role *r)
{
	char title[16]; /* the kernel's limit */

	(void)snprintf(title, sizeof(title), "aim-%s", kind_names[r->kind]);
	(void)prctl(PR_SET_NAME, title);
}

/* Structs are zeroed before they are filled, so their bytes can be compared;
 * pointers in them are not part of it. */
static int
add_digest(struct buf *b, const void *bytes, size_t len, struct err *e)
{
	return buf_add(b, bytes, len, e);
}

static int
digest_of(struct role *r, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct group_config g;
	struct mirror_config m;
	struct projection_config p;

	if (r->projection != NULL) {
		memcpy(&p, r->projection, sizeof(p));
		p.parts = NULL;
		if (add_digest(&b, &p, sizeof(p), e) < 0 ||
		    add_digest(&b, r->projection->parts,
			p.part_count * sizeof(*r->projection->parts), e) < 0)
			return -1;
	}
	if (r->group != NULL) {
		memcpy(&g, r->group, sizeof(g));
		g.volumes = NULL;
		if (add_digest(&b, &g, sizeof(g), e) < 0 ||
		    add_digest(&b, r->group->volumes,
			g.volume_count * sizeof(*r->group->volumes), e) < 0)
			return -1;
	}
	if (r->destination_count > 0 &&
	    add_digest(&b, r->destinations,
		r->destination_count * sizeof(*r->destinations), e) < 0)
		return -1;
	if (r->sibling_count > 0 &&
	    add_digest(&b, r->siblings, r->sibling_count * sizeof(*r->siblings),
		e) < 0)
		return -1;
	if (r->mirror != NULL) {
		memcpy(&m, r->mirror, sizeof(m));
		m.volumes = NULL;
		m.pull = NULL;
		m.destinations = NULL;
		if (r->mirror->pull != NULL &&
		    add_digest(
			&b, r->mirror->pull, sizeof(*r->mirror->pull), e) < 0)
			return -1;
		if (add_digest(&b, &m, sizeof(m), e) < 0 ||
		    add_digest(&b, r->mirror->volumes,
			m.volume_count * sizeof(*r->mirror->volumes), e) < 0)
			return -1;
	}
	return digest_bytes(b.data, b.len, r->digest, e);
}

static int
finish(struct role *r, enum role_kind kind, const struct uuid *subject,
    const char *name, struct err *e)
{
	r->kind = kind;
	r->subject = *subject;
	r->lock = -1;
	(void)snprintf(
	    r->name, sizeof(r->name), "%s %s", kind_names[kind], name);
	return digest_of(r, e);
}

static int
sources(const struct snapshot *s, struct role *r, uint32_t *n, struct err *e)
{
	for (uint32_t i = 0; i < s->group_count; i++) {
		const struct group_config *g = &s->groups[i];

		/* Until it is exported its volumes may change. */
		if (!g->exported)
			continue;
		r[*n].group = g;
		r[*n].destinations = snapshot_destinations(
		    s, &g->uuid, &r[*n].destination_count);
		if (finish(&r[(*n)++], ROLE_SOURCE, &g->uuid, g->name, e) < 0)
			return -1;
	}
	return 0;
}

/* Until one of its destinations is there it has nothing to do. */
static int
projections(
    const struct snapshot *s, struct role *r, uint32_t *n, struct err *e)
{
	for (uint32_t i = 0; i < s->projection_count; i++) {
		const struct projection_config *p = &s->projections[i];

		r[*n].projection = p;
		for (uint32_t k = 0; k < s->group_count; k++)
			if (uuid_equal(&s->groups[k].uuid, &p->group))
				r[*n].group = &s->groups[k];
		r[*n].destinations = snapshot_destinations(
		    s, &p->group, &r[*n].destination_count);
		if (finish(&r[(*n)++], ROLE_PROJECT, &p->stream, p->name, e) <
		    0)
			return -1;
	}
	return 0;
}

static int
ships(const struct snapshot *s, struct role *r, uint32_t *n, struct err *e)
{
	for (uint32_t i = 0; i < s->destination_count; i++) {
		const struct destination_config *d = &s->destinations[i];

		/* Nobody sends what is carried by hand. */
		if (strcmp(d->url, CARRY_URL) == 0)
			continue;
		/* Nor what lies behind one that is gone. */
		if (d->url[0] == 0)
			continue;
		r[*n].destinations = d;
		r[*n].destination_count = 1;
		if (d->hub || d->relay[0] != 0)
			r[*n].siblings = snapshot_destinations(
			    s, &d->owner, &r[*n].sibling_count);
		for (uint32_t k = 0; d->forward && k < s->mirror_count; k++)
			if (uuid_equal(&s->mirrors[k].uuid, &d->owner))
				r[*n].mirror = &s->mirrors[k];
		if (finish(&r[(*n)++], ROLE_SHIP, &d->uuid, d->name, e) < 0)
			return -1;
	}
	return 0;
}

static int
mirrors(const struct snapshot *s, enum role_kind kind, struct role *r,
    uint32_t *n, struct err *e)
{
	for (uint32_t i = 0; i < s->mirror_count; i++) {
		const struct mirror_config *m = &s->mirrors[i];

		if ((kind == ROLE_FETCH && m->pull == NULL) ||
		    (kind == ROLE_APPLY && m->relay))
			continue;
		r[*n].mirror = m;
		if (kind == ROLE_RECEIVE) {
			r[*n].destinations = m->destinations;
			r[*n].destination_count = m->destination_count;
		}
		if (finish(&r[(*n)++], kind, &m->uuid, m->group_name, e) < 0)
			return -1;
	}
	return 0;
}

int
roles_of(
    const struct snapshot *s, struct role **out, uint32_t *count, struct err *e)
{
	size_t most = (size_t)s->group_count + s->projection_count +
		      s->destination_count + 3 * (size_t)s->mirror_count;
	AUTO_FREE struct role *r = calloc(most + 1, sizeof(*r));
	uint32_t n = 0;

	if (r == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (sources(s, r, &n, e) < 0 || projections(s, r, &n, e) < 0 ||
	    ships(s, r, &n, e) < 0 || mirrors(s, ROLE_FETCH, r, &n, e) < 0 ||
	    mirrors(s, ROLE_RECEIVE, r, &n, e) < 0 ||
	    mirrors(s, ROLE_APPLY, r, &n, e) < 0)
		return -1;
	*out = STEAL(r);
	*count = n;
	return 0;
}

int
role_lock(struct home *h, enum role_kind kind, const struct uuid *subject,
    int *out, struct err *e)
{
	char name[UUID_TEXT + 24], uuid[UUID_TEXT];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(name, sizeof(name), "%s.%s.lock",
	    uuid_text(subject, uuid), kind_names[kind]);
	fd = sys_openat(h->state, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "open state/%s", name);
	if (io_lock(fd, true, e) < 0)
		return err_at(e, "another process still does this work");
	*out = STEAL_FD(fd);
	return 0;
}

/* For status: a worker that cannot be opened cannot tell itself. */
static void
note_failure(struct role *r, struct home *h, const char *text)
{
	bool source = r->kind == ROLE_SOURCE;
	struct note_pair pairs[] = {
	    {"state", "stalled"}, {source ? "trouble" : "error", text}};
	char name[UUID_TEXT + 8], uuid[UUID_TEXT];

	if (!source && r->kind != ROLE_SHIP && r->kind != ROLE_FETCH &&
	    r->kind != ROLE_PROJECT)
		return; /* a mirror's other roles do */
	(void)snprintf(name, sizeof(name), "%s.%s",
	    uuid_text(&r->subject, uuid), kind_names[r->kind]);
	/* Status only: the next one will say it. */
	(void)!note_write(h, name, pairs, 2, NULL);
}

int
role_open(struct role *r, struct home *h, struct err *e)
{
	int done = -1;

	if (role_lock(h, r->kind, &r->subject, &r->lock, e) < 0)
		return -1;
	switch (r->kind) {
	case ROLE_SOURCE:
		done = source_open(h, r->group, r->destinations,
		    r->destination_count, (struct source **)&r->work, e);
		break;
	case ROLE_SHIP:
		done =
		    ship_open(h, r->destinations, (struct ship **)&r->work, e);
		if (done == 0) {
			ship_share(r->work, r->siblings, r->sibling_count);
			ship_forward(r->work, r->mirror);
		}
		break;
	case ROLE_RECEIVE:
		done =
		    receive_open(h, r->mirror, (struct receive **)&r->work, e);
		break;
	case ROLE_APPLY:
		done = apply_open(h, r->mirror, (struct apply **)&r->work, e);
		break;
	case ROLE_FETCH:
		done = fetch_open(h, r->mirror, (struct fetch **)&r->work, e);
		break;
	case ROLE_PROJECT:
		done = project_open(h, r->group, r->projection, r->destinations,
		    r->destination_count, (struct project **)&r->work, e);
		break;
	}
	if (done < 0) {
		note_failure(r, h, e == NULL ? "" : e->text);
		r->work = NULL;
		cleanup_fd(&r->lock);
		r->lock = -1;
	}
	return done;
}

int
role_pass(struct role *r, struct err *e)
{
	switch (r->kind) {
	case ROLE_SOURCE:
		return source_pass(r->work, e);
	case ROLE_SHIP:
		return ship_pass(r->work, e);
	case ROLE_RECEIVE:
		return receive_pass(r->work, e);
	case ROLE_APPLY:
		return apply_pass(r->work, e);
	case ROLE_FETCH:
		return fetch_pass(r->work, e);
	case ROLE_PROJECT:
		return project_pass(r->work, e);
	}
	return 0;
}

void
role_wait(struct role *r, uint32_t wait_ms)
{
	switch (r->kind) {
	case ROLE_SOURCE:
		source_wait(r->work, wait_ms);
		break;
	case ROLE_SHIP:
		ship_wait(r->work, wait_ms);
		break;
	case ROLE_RECEIVE:
		receive_wait(r->work, wait_ms);
		break;
	case ROLE_APPLY:
		apply_wait(r->work, wait_ms);
		break;
	case ROLE_FETCH:
		fetch_wait(r->work, wait_ms);
		break;
	case ROLE_PROJECT:
		project_wait(r->work, wait_ms);
		break;
	}
}

void
role_close(struct role *r)
{
	if (r->work == NULL)
		return;
	switch (r->kind) {
	case ROLE_SOURCE:
		source_close(r->work);
		break;
	case ROLE_SHIP:
		ship_close(r->work);
		break;
	case ROLE_RECEIVE:
		receive_close(r->work);
		break;
	case ROLE_APPLY:
		apply_close(r->work);
		break;
	case ROLE_FETCH:
		fetch_close(r->work);
		break;
	case ROLE_PROJECT:
		project_close(r->work);
		break;
	}
	r->work = NULL;
	cleanup_fd(&r->lock);
	r->lock = -1;
}
