/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/hooks.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void
hooks_release(struct hooks *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		free(q->waiting[i]);
	q->count = 0;
}

static void
add(struct hooks *q, const struct snapshot *s, const struct hook_config *hook,
    const char *group, const struct alarm *a)
{
	struct hook_call *call;

	if (q->count == HOOKS_WAITING ||
	    (call = calloc(1, sizeof(*call))) == NULL) {
		log_error("hook %s is not run for '%s': too many wait",
		    hook->name, a->text);
		return;
	}
	call->hook = *hook;
	call->alarm = *a;
	(void)snprintf(call->text, sizeof(call->text), "%s", a->text);
	call->alarm.text = NULL; /* was lent */
	(void)snprintf(call->group, sizeof(call->group), "%.*s",
	    (int)sizeof(call->group) - 1, group);
	(void)snprintf(call->site, sizeof(call->site), "%s", s->site_name);
	q->waiting[q->count++] = call;
}

void
hooks_take(struct hooks *q, const struct snapshot *s, const char *name,
    const char *event)
{
	const char *group = strchr(name, ' ');
	struct alarm a;

	if (group == NULL || !alarm_parse(event, &a))
		return;
	for (uint32_t i = 0; i < s->hook_count; i++)
		if (hook_wants(&s->hooks[i], a.kind))
			add(q, s, &s->hooks[i], group + 1, &a);
}

static pid_t *
find(struct hooks *q, pid_t pid)
{
	for (size_t i = 0; i < HOOKS_RUNNING; i++)
		if (q->running[i] == pid)
			return &q->running[i];
	return NULL;
}

struct hook_call *
hooks_next(struct hooks *q)
{
	struct hook_call *call = q->waiting[0];

	if (q->count == 0 || find(q, 0) == NULL)
		return NULL;
	q->count--;
	memmove(q->waiting, q->waiting + 1, q->count * sizeof(call));
	return call;
}

void
hooks_started(struct hooks *q, pid_t pid)
{
	pid_t *place = find(q, 0);

	if (place != NULL)
		*place = pid;
}

bool
hooks_reaped(struct hooks *q, pid_t pid)
{
	pid_t *place = find(q, pid);

	if (place != NULL)
		*place = 0;
	return place != NULL;
}

bool
hooks_are_running(const struct hooks *q)
{
	for (size_t i = 0; i < HOOKS_RUNNING; i++)
		if (q->running[i] != 0)
			return true;
	return false;
}

void
hooks_stop(struct hooks *q)
{
	hooks_release(q);
	for (size_t i = 0; i < HOOKS_RUNNING; i++)
		if (q->running[i] != 0)
			(void)kill(q->running[i], SIGTERM);
}

/* Its first line, for the history. */
static void
first_line(const struct buf *out, char *line, size_t room)
{
	size_t n = 0;

	for (; n < out->len && n + 1 < room && out->data[n] != '\n'; n++)
		line[n] = out->data[n] >= ' ' && out->data[n] <= '~'
			      ? (char)out->data[n]
			      : '?';
	line[n] = 0;
}

void
hooks_work(const struct home *h, const struct hook_call *call, int report)
{
	AUTO(buf_release) struct buf out = {0};
	char said[160], result[256], line[512];
	struct err e = {0};
	struct stat st;
	int status = 0, n;

	if (fstat(h->dir, &st) < 0 ||
	    hook_run(call, st.st_uid, HOOK_WAIT_MS, &out, &status, &e) < 0)
		(void)snprintf(result, sizeof(result), "failed: %.200s",
		    e.text[0] != 0 ? e.text : strerror(errno));
	else if (WIFSIGNALED(status))
		(void)snprintf(result, sizeof(result), "killed by signal %d",
		    WTERMSIG(status));
	else
		(void)snprintf(
		    result, sizeof(result), "status %d", WEXITSTATUS(status));
	first_line(&out, said, sizeof(said));
	n = snprintf(line, sizeof(line), "hook %s%c%s %s: %s%s%s",
	    call->hook.name, 0, call->alarm.kind,
	    call->alarm.raised ? "raised" : "cleared", result,
	    said[0] != 0 ? ": " : "", said);
	log_info("hook %s: %s", call->hook.name, line + strlen(line) + 1);
	if (n < 0 || (size_t)n >= sizeof(line) ||
	    write(report, line, (size_t)n + 1) < 0)
		log_warn("an event was not noted: %s", strerror(errno));
}
