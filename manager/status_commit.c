/* SPDX-License-Identifier: Apache-2.0 */
/* status_commit: what flushes of a group wait for, and whether they get it. */
#include "manager/status.h"

#include "common/clock.h"

#include <stdio.h>

static double
late_seconds(const struct capture_status *c)
{
	uint64_t now = clock_wall_ns();

	if (c->commit_late_ns == 0 || now <= c->commit_late_ns)
		return 0;
	return (double)(now - c->commit_late_ns) / 1e9;
}

void
status_commit_judge(struct status_group *g)
{
	const struct capture_status *c = &g->capture;

	if (c->commit != COMMIT_MIRRORS || c->commit_late_ns == 0 ||
	    g->reason[0] != 0)
		return;
	(void)snprintf(g->reason, sizeof(g->reason),
	    c->commit_hold ? "flushes wait for mirrors that do not confirm, "
			     "since %.0f s"
			   : "flushes do not wait for mirrors since %.0f s: "
			     "these did not confirm in time",
	    late_seconds(c));
}

void
status_commit_json(struct json *j, const struct status_group *g)
{
	const struct commit_config *p = &g->source->commit;
	const struct capture_status *c = &g->capture;
	char text[COMMIT_TEXT];

	json_object(j, "commit");
	json_text(j, "policy", commit_text(p, text));
	json_text(j, "stage", p->applied ? "applied" : "stored");
	json_real(j, "timeout_seconds", p->timeout_ms / 1000.0);
	json_text(j, "late", p->hold ? "hold" : "degrade");
	json_number(j, "committed", c->committed);
	json_number(j, "waiting_flushes", c->commit_waiting);
	json_bool(j, "degraded", c->commit_late_ns != 0 && !c->commit_hold);
	json_bool(j, "held", c->commit_late_ns != 0 && c->commit_hold);
	json_number(j, "late_since_ns", c->commit_late_ns);
	json_object_end(j);
}

int
status_commit_text(const struct status_group *g, struct buf *b, struct err *e)
{
	const struct commit_config *p = &g->source->commit;
	const struct capture_status *c = &g->capture;
	char text[COMMIT_TEXT];

	if (p->kind == COMMIT_LOCAL)
		return 0;
	if (p->kind == COMMIT_JOURNAL)
		return buf_printf(b, e, "  commit journal\n");
	if (buf_printf(b, e, "  commit %s, %s within %.3g s, else %s\n",
		commit_text(p, text), p->applied ? "applied" : "stored",
		p->timeout_ms / 1000.0, p->hold ? "hold" : "degrade") < 0)
		return -1;
	return buf_printf(b, e, "    committed %ju, %u flush%s waiting%s\n",
	    (uintmax_t)c->committed, c->commit_waiting,
	    c->commit_waiting == 1 ? "" : "es",
	    c->commit_late_ns == 0 ? ""
	    : c->commit_hold	   ? ", HELD"
				   : ", DEGRADED");
}
