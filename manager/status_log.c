/* SPDX-License-Identifier: Apache-2.0 */
/* status_log: what a source's write logs (aim-logwrites) mean for its group. */
#include "manager/status.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What has no better reason than that. */
static void
remark(struct status_group *g, const char *text)
{
	if (g->reason[0] == 0)
		(void)snprintf(g->reason, sizeof(g->reason), "%s", text);
}

static void
stall(struct status_group *g, enum status_state s, const char *text)
{
	if (g->state < s)
		g->state = s;
	(void)snprintf(g->reason, sizeof(g->reason), "%s", text);
}

static void
judge(struct status_group *g)
{
	const struct progress *p = &g->log.progress;
	char text[REASON_LIMIT];

	switch (g->log.phase) {
	case LOG_PREPARED:
		remark(g,
		    "a write log is prepared: the mirrors have nothing of it "
		    "before it is followed or imported");
		break;
	case LOG_WORKING:
		(void)snprintf(text, sizeof(text),
		    "a write log is being imported or followed: log %" PRIu64
		    ", entry %" PRIu64,
		    p->log, p->place.index);
		remark(g, text);
		break;
	case LOG_STOPPED:
		(void)snprintf(text, sizeof(text),
		    "the import of a write log has stopped before entry "
		    "%" PRIu64 " of log %" PRIu64
		    ": the disk has what comes after it, the mirrors have not",
		    p->place.index, p->log);
		stall(g, STATUS_STALLED, text);
		break;
	case LOG_CUT:
		stall(g, STATUS_STALLED,
		    "the machine stopped in the middle of the import of a "
		    "write log, and how far it was is not known");
		break;
	case LOG_GAP:
		(void)snprintf(text, sizeof(text),
		    "the write log cannot be followed any further (%s): the "
		    "disk is to be copied in",
		    log_gap_text(p->gap));
		stall(g, STATUS_SUSPECT, text);
		break;
	case LOG_OVER:
		if (p->gap == GAP_NONE)
			break;
		(void)snprintf(text, sizeof(text),
		    "the last write log has a gap (%s), and the disk was "
		    "copied in since: no log is followed; prepare a new one "
		    "before the disk is written to",
		    log_gap_text(p->gap));
		remark(g, text);
		break;
	case LOG_DONE:
		break;
	}
}

void
status_log_collect(struct home *h, struct status_group *g)
{
	AUTO(log_states_release) struct log_states s = {.list = NULL};
	struct err e = {0};

	if (log_states_look(h->path, &g->source->uuid, &s, &e) < 0) {
		remark(g, e.text);
		return;
	}
	if (s.damaged > 0)
		remark(g,
		    "what is known of an imported write log is damaged: its "
		    "log can no longer be imported");
	if (s.count == 0)
		return;
	g->has_log = true;
	g->log = s.list[0];
	judge(g);
}

bool
status_log_advise(const struct status *s, struct status_group *g)
{
	const struct group_config *c = g->source;
	char home[SHELL_WORD], path[SHELL_WORD];

	if (!g->has_log)
		return false;
	if (g->log.phase == LOG_CUT) {
		(void)snprintf(g->next, sizeof(g->next),
		    "aim-manager --home %s base %s",
		    shell_word(s->home->path, home, sizeof(home)), g->name);
		return true;
	}
	if (g->log.phase != LOG_STOPPED &&
	    (g->log.phase != LOG_PREPARED ||
		strstr(g->reason, "outside AIM") == NULL))
		return false;
	for (uint32_t i = 0; i < c->volume_count; i++)
		if (uuid_equal(&c->volumes[i].uuid, &g->log.progress.volume)) {
			(void)snprintf(g->next, sizeof(g->next),
			    "aim-logwrites import --home %s --volume %s LOG...",
			    shell_word(s->home->path, home, sizeof(home)),
			    shell_word(c->volumes[i].path, path, sizeof(path)));
			return true;
		}
	return false;
}

void
status_log_json(struct json *j, const struct status_group *g)
{
	const struct progress *p = &g->log.progress;
	char id[UUID_TEXT];

	if (!g->has_log) {
		json_null(j, "logwrites");
		return;
	}
	json_object(j, "logwrites");
	json_text(j, "chain", uuid_text(&p->chain, id));
	json_text(j, "kind", p->kernel ? "dm-log-writes" : "blklogwrites");
	json_text(j, "state", log_phase_name(g->log.phase));
	json_number(j, "number", p->log);
	json_number(j, "entry", p->place.index);
	if (p->gap != GAP_NONE)
		json_text(j, "gap", log_gap_text(p->gap));
	else
		json_null(j, "gap");
	json_object_end(j);
}
