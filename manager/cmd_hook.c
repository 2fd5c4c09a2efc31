/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_hook: programs that are run at an alarm, and what raises one. */
#include "common/cleanup.h"
#include "common/json.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

int
run_hook_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (message_add_text(&m, "verb", "hook-add", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    message_add_text(&m, "path", a->words[1], &e) < 0 ||
	    client_add(&m, a, "on", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_hook_remove(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (message_add_text(&m, "verb", "hook-remove", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_mirror_set(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (!args_has(a, "alarm-after"))
		return tell(EXIT_USAGE, "mirror set: nothing to set");
	if (message_add_text(&m, "verb", "mirror-set", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    client_add(&m, a, "alarm-after", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_site_set(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (!args_has(a, "location"))
		return tell(EXIT_USAGE, "site set: nothing to set");
	if (message_add_text(&m, "verb", "site-set", &e) < 0 ||
	    client_add(&m, a, "location", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

static int
load(const char *path, struct home *h, struct snapshot *s, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (home_open(path, h, e) < 0 || catalogue_open(h, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, s, e);
}

static int
list_json(const struct snapshot *s, struct buf *out, struct err *e)
{
	struct json j = {0};

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_array(&j, "hooks");
	for (uint32_t i = 0; i < s->hook_count; i++) {
		json_object(&j, NULL);
		json_text(&j, "name", s->hooks[i].name);
		json_text(&j, "on", s->hooks[i].kinds);
		json_text(&j, "path", s->hooks[i].path);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	return json_end(&j, out, e);
}

static int
list_text(const struct snapshot *s, struct buf *out, struct err *e)
{
	for (uint32_t i = 0; i < s->hook_count; i++)
		if (buf_printf(out, e, "%-16s %-20s %s\n", s->hooks[i].name,
			s->hooks[i].kinds, s->hooks[i].path) < 0)
			return -1;
	return 0;
}

int
run_hook_list(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};

	if (load(a->home, &h, &s, &e) < 0 ||
	    (args_has(a, "json") ? list_json(&s, &out, &e)
				 : list_text(&s, &out, &e)) < 0)
		return tell_err(&e);
	return tell_out(out.data, out.len);
}

static int
tell_end(const struct hook_config *k, int status)
{
	if (WIFSIGNALED(status))
		return tell(EXIT_FAILED, "hook %s was killed by signal %d",
		    k->name, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return tell(EXIT_FAILED, "hook %s ended with status %d",
		    k->name, WEXITSTATUS(status));
	return EXIT_DONE;
}

static int
test_hook(const struct home *h, const struct hook_config *k)
{
	struct hook_call call = {.hook = *k,
	    .alarm = {.kind = "test", .raised = true},
	    .group = "test",
	    .text = "this is a test, nothing is wrong"};
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	struct stat st;
	int status = 0, done;

	(void)snprintf(call.site, sizeof(call.site), "%s", h->site_name);
	if (fstat(h->dir, &st) < 0) {
		(void)err_sys(&e, "stat %s", h->path);
		return tell_err(&e);
	}
	done = hook_run(&call, st.st_uid, HOOK_WAIT_MS, &out, &status, &e);
	if (tell_out(out.data, out.len) != EXIT_DONE)
		return EXIT_FAILED;
	return done < 0 ? tell_err(&e) : tell_end(k, status);
}

int
run_hook_test(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	struct err e = {0};

	if (load(a->home, &h, &s, &e) < 0)
		return tell_err(&e);
	for (uint32_t i = 0; i < s.hook_count; i++)
		if (strcmp(s.hooks[i].name, a->words[0]) == 0)
			return test_hook(&h, &s.hooks[i]);
	return tell(EXIT_REFUSED,
	    "there is no hook '%s' (see 'aim-manager hook list')", a->words[0]);
}
