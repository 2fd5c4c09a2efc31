/* SPDX-License-Identifier: Apache-2.0 */
/* status_text: the table for people: 80 columns, but for reasons and paths. */
#include "manager/status.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* "3.2 MiB" */
static const char *
amount(uint64_t bytes, char out[16])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes;
	size_t u = 0;

	while (n >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1024;
		u++;
	}
	(void)snprintf(out, 16, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
	return out;
}

/* "12 s", "5 min", "3 h" */
static const char *
duration(double seconds, char out[16])
{
	if (seconds < 120)
		(void)snprintf(out, 16, "%.1f s", seconds);
	else if (seconds < 7200)
		(void)snprintf(out, 16, "%.0f min", seconds / 60);
	else
		(void)snprintf(out, 16, "%.0f h", seconds / 3600);
	return out;
}

/* Reasons and commands are not folded, so that they can be searched for and
 * pasted. */
static int
line(struct buf *b, const char *label, const char *text, struct err *e)
{
	return text[0] == 0 ? 0 : buf_printf(b, e, "    %s%s\n", label, text);
}

static int
destination(struct buf *b, const struct status_destination *d, struct err *e)
{
	char bytes[16], all[16], age[16];

	if (buf_printf(b, e, "  to %-14.20s %-12s stored %ju", d->config->name,
		status_state_name(d->state), (uintmax_t)d->stored) < 0 ||
	    (d->config->relay[0] != 0 ? buf_printf(b, e, " (relay)\n")
				      : buf_printf(b, e, ", applied %ju\n",
					    (uintmax_t)d->applied)) < 0)
		return -1;
	if (d->config->via[0] != 0 &&
	    buf_printf(b, e, "    behind %s\n", d->config->via) < 0)
		return -1;
	if ((d->lag_bytes > 0 || d->lag_files > 0) &&
	    buf_printf(b, e, "    lag %s, %s in %ju file%s\n",
		duration(d->lag_seconds, age), amount(d->lag_bytes, bytes),
		(uintmax_t)d->lag_files, d->lag_files == 1 ? "" : "s") < 0)
		return -1;
	if (d->projection != NULL &&
	    buf_printf(b, e, "    projection %.40s: %s sent of %s written\n",
		d->projection->name, amount(d->projected.bytes_out, bytes),
		amount(d->projected.bytes_in, all)) < 0)
		return -1;
	if ((d->job.state == JOB_QUEUED || d->job.state == JOB_RUNNING) &&
	    buf_printf(b, e, "    copy-in %s, volume %u, at %s\n",
		d->job.state == JOB_QUEUED ? "queued" : "under way",
		d->job.volume + 1, amount(d->job.off, bytes)) < 0)
		return -1;
	return line(b, "", d->reason, e);
}

/* Of the other site. */
static int
distance(struct buf *b, double km, struct err *e)
{
	if (km < 0)
		return 0;
	return buf_printf(b, e, "    %.*f km away%s\n", km < 10 ? 1 : 0, km,
	    km < DISTANCE_LEAST_KM ? ": NEAR, one disaster may take both sites"
				   : "");
}

static int
relay(struct buf *b, const struct status_group *g, struct err *e)
{
	char bytes[16], limit[16];

	if (buf_printf(b, e, "  received %ju, %ju file%s wait here, %s",
		(uintmax_t)g->received, (uintmax_t)g->spool_files,
		g->spool_files == 1 ? "" : "s",
		amount(g->spool_bytes, bytes)) < 0)
		return -1;
	return g->mirror->spool_limit == 0
		   ? buf_printf(b, e, "\n")
		   : buf_printf(b, e, " of at most %s\n",
			 amount(g->mirror->spool_limit, limit));
}

/* A recovery by digest, while it is under way. */
static int
compared(struct buf *b, const struct status_group *g, struct err *e)
{
	char copied[16], equal[16];

	if (g->source == NULL || g->compare.state[0] == 0)
		return 0;
	return buf_printf(b, e, "  recovery: %s left out, %s copied (%s)\n",
	    amount(g->compare.equal, equal), amount(g->compare.copied, copied),
	    g->compare.state);
}

static int
group(struct buf *b, const struct status_group *g, struct err *e)
{
	bool told = false;

	if (buf_printf(b, e, "%s %.30s: %s\n",
		g->source != NULL  ? "group"
		: g->mirror->relay ? "relay of"
				   : "mirror of",
		g->name, status_state_name(g->state)) < 0)
		return -1;
	if (g->source == NULL && g->mirror->relay ? relay(b, g, e) < 0
	    : g->source != NULL
		? buf_printf(b, e, "  epoch %u, captured %ju, sealed %ju\n",
		      g->epoch, (uintmax_t)g->capture.completed,
		      (uintmax_t)g->capture.sealed) < 0
		: buf_printf(b, e,
		      "  epoch %u, received %ju, applied %ju, %sconsistent\n",
		      g->epoch, (uintmax_t)g->received, (uintmax_t)g->applied,
		      g->consistent ? "" : "NOT ") < 0)
		return -1;
	if ((g->source != NULL && status_commit_text(g, b, e) < 0) ||
	    compared(b, g, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g->destination_count; i++) {
		told =
		    told || strcmp(g->destinations[i].reason, g->reason) == 0;
		if (destination(b, &g->destinations[i], e) < 0 ||
		    distance(b, g->destinations[i].distance_km, e) < 0)
			return -1;
	}
	if (g->mirror != NULL && distance(b, g->distance_km, e) < 0)
		return -1;
	if (!told && line(b, "", g->reason, e) < 0)
		return -1;
	if (g->quarantined > 0 &&
	    buf_printf(b, e, "    %ju file%s put into quarantine\n",
		(uintmax_t)g->quarantined,
		g->quarantined == 1 ? " was" : "s were") < 0)
		return -1;
	return line(b, "next: ", g->next, e);
}

int
status_text(const struct status *s, const struct status_group *only,
    struct buf *out, struct err *e)
{
	char home[SHELL_WORD];

	if (buf_printf(out, e, "site %s, coordinator %s%s\n",
		s->home->site_name, s->coordinated ? "running" : "NOT running",
		s->standby ? ", standby waiting" : "") < 0)
		return -1;
	for (uint32_t i = 0; i < s->group_count; i++)
		if ((only == NULL || only == &s->groups[i]) &&
		    group(out, &s->groups[i], e) < 0)
			return -1;
	if (s->group_count > 0)
		return 0;
	return buf_printf(out, e,
	    "nothing is protected or mirrored here yet\n"
	    "    next: aim-manager --home %s volume add NAME PATH\n",
	    shell_word(s->home->path, home, sizeof(home)));
}
