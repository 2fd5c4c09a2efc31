/* SPDX-License-Identifier: Apache-2.0 */
/* rsync_explain: rsync's exit codes and words in words that help. */
#include "coordinator/transport_rsync.h"

#include <stdio.h>
#include <string.h>

#define WORDS 240

/* Its first line that says something, without what a terminal would obey; it
 * may be the server's. */
static const char *
words(const struct tool *p, char out[WORDS])
{
	const char *at = p->err_text;
	size_t n = 0;

	while (*at == '\n' || *at == '@' || *at == '\r')
		at++;
	for (; *at != '\0' && *at != '\n' && n < WORDS - 1; at++)
		out[n++] = *at >= ' ' && *at < 0x7f ? *at : '?';
	out[n] = '\0';
	if (n == 0)
		(void)snprintf(
		    out, WORDS, "rsync ended with status %d", p->status);
	return out;
}

static bool
has(const struct tool *p, const char *text)
{
	return strstr(p->err_text, text) != NULL;
}

static bool
has_any(const struct tool *p, const char *const *texts)
{
	for (; *texts != NULL; texts++)
		if (has(p, *texts))
			return true;
	return false;
}

static const char *const let_in[] = {"auth failed on module",
    "Permission denied (publickey", "Too many authentication failures",
    "Permission denied (password", "Permission denied (keyboard", NULL};
static const char *const not_allowed[] = {"Unknown module",
    "module is read only", "module is write only", "is not allowed",
    "configured to refuse", "daemon has excluded", "daemon refused to receive",
    "access denied to", "invalid option", "disabled on this server",
    "not allowed to", NULL};
static const char *const no_room[] = {
    "No space left on device", "Disk quota exceeded", NULL};
static const char *const no_right[] = {"Permission denied (13)",
    "Operation not permitted (1)", "Read-only file system (30)",
    "Permission denied", NULL};

bool
rsync_is_absence(const struct tool *p)
{
	switch (p->status) {
	case 3:
	case 11:
	case 12:
	case 23:
		return has(p, "No such file or directory") &&
		       !has_any(p, no_right) && !has_any(p, no_room);
	default:
		return false;
	}
}

static int
not_let_in(const struct rsync_transport *t, const char *why, struct err *e)
{
	if (t->url.ssh)
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not let user %s in with key %s (%s): "
		    "is its public half in authorized_keys there?",
		    t->url_text, t->url.user, t->key_file, why);
	return err_set(e, ERR_REFUSED,
	    "%s: the server does not let user %s in (%s): compare "
	    "--credentials "
	    "with its secrets file",
	    t->url_text, t->url.user[0] == '\0' ? "(none)" : t->url.user, why);
}

/* What is there, but not as it should be. */
static int
about_files(const struct rsync_transport *t, const struct tool *p,
    enum rsync_op op, const char *why, struct err *e)
{
	if (has_any(p, no_room))
		return err_set(e, ERR_FULL, "%s: the disk there is full (%s)",
		    t->url_text, why);
	if (has_any(p, no_right))
		return err_set(e, ERR_REFUSED,
		    "%s: the account may not %s "
		    "there (%s)",
		    t->url_text, op == RSYNC_READ ? "read" : "write", why);
	if (rsync_is_absence(p))
		return err_set(e, ERR_RETRY,
		    "%s: no such folder there (%s): was `mirror add` run at "
		    "the other site, with this DIR as --incoming?",
		    t->url_text, why);
	if (p->status == 30 || p->status == 35)
		return err_set(e, ERR_RETRY, "%s: nothing moved for %u s (%s)",
		    t->url_text, p->still_ms / 1000, why);
	if (p->status == 11 && p->err_len == 0)
		return err_set(e, ERR_RETRY,
		    "%s: files cannot be written there (rsync's status 11, "
		    "without a reason); a full disk there looks like this",
		    t->url_text);
	if (p->status == 1 || p->status == 2 || p->status == 4)
		return err_set(e, ERR_REFUSED,
		    "%s: this rsync and that one there do not understand each "
		    "other (%s)",
		    t->url_text, why);
	return err_set(
	    e, ERR_RETRY, "%s: %s (%d)", t->url_text, why, p->status);
}

int
rsync_explain(const struct rsync_transport *t, const struct tool *p,
    enum rsync_op op, struct err *e)
{
	char text[WORDS];
	const char *why = words(p, text);

	if (p->still)
		return err_set(e, ERR_RETRY,
		    "%s: nothing moved for %u s: rsync was stopped",
		    t->url_text, p->still_ms / 1000);
	if (p->expired)
		return err_set(e, ERR_RETRY,
		    "%s: not done within %u s: rsync was stopped", t->url_text,
		    p->limit_ms / 1000);
	if (p->status == 127 || has(p, "Failed to exec"))
		return err_set(e, ERR_REFUSED,
		    "%s: %s: rsync%s must be installed here, and in PATH",
		    t->url_text, why, t->url.ssh ? " and ssh" : "");
	if (t->url.ssh && (has(p, "Host key verification failed") ||
			      has(p, "IDENTIFICATION HAS CHANGED")))
		return err_set(e, ERR_REFUSED,
		    "%s: THE SERVER'S HOST KEY IS NOT THE ONE in %s. Nothing "
		    "was sent. Either the server was set up anew, or somebody "
		    "is in between: compare fingerprints before you change %s",
		    t->url.host, t->known_hosts, t->known_hosts);
	if (has_any(p, let_in))
		return not_let_in(t, why, e);
	if (has_any(p, not_allowed))
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not allow "
		    "that (%s)",
		    t->url_text, why);
	return about_files(t, p, op, why, e);
}
