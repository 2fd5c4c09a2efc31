/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "coordinator/request.h"
#include "manager/command.h"
#include "manager/status.h"

#include <stdio.h>

static int
no_group(const struct status *s, const char *name)
{
	char known[200] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < s->group_count && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used,
		    "%s%s", i == 0 ? "" : ", ", s->groups[i].name);
	return tell(EXIT_REFUSED, "no group '%s' in this home; %s%s", name,
	    known[0] != 0 ? "there are: " : "there is none yet", known);
}

int
run_status(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(status_release) struct status s = {0};
	AUTO(buf_release) struct buf b = {0};
	const struct status_group *only = NULL;
	struct err e = {0};
	int done;

	if (home_open(a->home, &h, &e) < 0 || status_collect(&h, &s, &e) < 0)
		return tell_err(&e);
	if (a->word_count > 0) {
		only = status_group(&s, a->words[0]);
		if (only == NULL)
			return no_group(&s, a->words[0]);
	}
	done = args_has(a, "json") ? status_json(&s, only, &b, &e)
				   : status_text(&s, only, &b, &e);
	return done < 0 ? tell_err(&e) : tell_out(b.data, b.len);
}
