/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_group: how a group is kept. */
#include "common/cleanup.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

static const char *const settings[] = {"commit", "commit-stage",
    "commit-timeout", "commit-late", "spool-policy", "spool-warn", "spool-age"};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static bool
is_any(struct args *a)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (args_has(a, settings[i]))
			return true;
	return args_has(a, "spool-limit");
}

int
run_group_set(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (!is_any(a))
		return tell(EXIT_USAGE, "group set: nothing to set");
	if (message_add_text(&m, "verb", "group-set", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0)
		return tell_err(&e);
	for (size_t i = 0; i < SETTINGS; i++)
		if (client_add(&m, a, settings[i], &e) < 0)
			return tell_err(&e);
	if (client_add_size(&m, a, "spool-limit", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}
