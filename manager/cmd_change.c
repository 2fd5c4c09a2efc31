/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_change: the commands that are one request each. */
#include "common/cleanup.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
start(struct message *m, struct args *a, const char *verb, struct err *e)
{
	return message_add_text(m, "verb", verb, e) < 0
		   ? -1
		   : client_add(m, a, "dry-run", e);
}

/* An option that must be given. */
static int
need(struct args *a, const char *option, int *code)
{
	if (args_has(a, option))
		return 0;
	*code = tell(EXIT_USAGE, "%s%s%s needs --%s", a->command->noun,
	    a->command->verb != NULL ? " " : "",
	    a->command->verb != NULL ? a->command->verb : "", option);
	return -1;
}

/* "10G" as bytes, under `key`; `what` is the operator's word for it. */
static int
put_size(struct message *m, const char *key, const char *what, const char *text,
    struct err *e)
{
	char plain[32];
	const char *end;
	uint64_t n;

	if (size_read(text, &end, &n) < 0 || *end != 0)
		return err_set(e, ERR_REFUSED,
		    "%s %s: a size is a number, then K, M, G or T, and not too "
		    "large",
		    what, text);
	(void)snprintf(plain, sizeof(plain), "%ju", (uintmax_t)n);
	return message_add_text(m, key, plain, e);
}

int
client_add_size(
    struct message *m, const struct args *a, const char *option, struct err *e)
{
	const char *text = args_option(a, option);
	char what[40];

	if (text == NULL)
		return 0;
	(void)snprintf(what, sizeof(what), "--%s", option);
	return put_size(m, option, what, text, e);
}

int
run_volume_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	const char *compress = args_option(a, "compress");

	if (start(&m, a, "volume-add", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    client_add_path(&m, "path", a->words[1], &e) < 0 ||
	    client_add(&m, a, "group", &e) < 0 ||
	    client_add(&m, a, "access", &e) < 0 ||
	    client_add(&m, a, "spool-policy", &e) < 0 ||
	    client_add(&m, a, "encrypt", &e) < 0 ||
	    (compress != NULL &&
		message_add_text(&m, "codec", compress, &e) < 0) ||
	    client_add_size(&m, a, "spool-limit", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_volume_expand(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct uuid id;
	char text[UUID_TEXT];
	struct err e = {0};
	int code;

	if (!wait_timeout_is_good(a))
		return EXIT_USAGE;
	if (uuid_make(&id, &e) < 0 || start(&m, a, "volume-expand", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    put_size(&m, "size", "SIZE", a->words[1], &e) < 0 ||
	    message_add_text(&m, "message", uuid_text(&id, text), &e) < 0)
		return tell_err(&e);
	code = client_request(a->home, &m);
	if (code != EXIT_DONE || args_has(a, "no-wait") ||
	    args_has(a, "dry-run"))
		return code;
	return wait_for_message(a, &id);
}

static int
group_request(struct args *a, const char *verb)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (start(&m, a, verb, &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    client_add(&m, a, "projection", &e) < 0 ||
	    client_add(&m, a, "layout", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_group_export(struct args *a)
{
	return group_request(a, "group-export");
}

int
run_mirror_export(struct args *a)
{
	return group_request(a, "mirror-export");
}

/* VOLUME=PATH with the path absolute. */
static int
add_onto(struct message *m, const char *value, struct err *e)
{
	AUTO(message_release) struct message path = {0};
	AUTO_FREE char *whole = NULL;
	const char *sign = strchr(value, '=');

	if (sign == NULL || sign == value || sign[1] == 0)
		return err_set(
		    e, ERR_REFUSED, "--onto %s: it takes VOLUME=PATH", value);
	if (client_add_path(&path, "path", sign + 1, e) < 0)
		return err_at(e, "--onto %s", value);
	if (asprintf(&whole, "%.*s=%s", (int)(sign - value), value,
		message_get(&path, "path", NULL)) < 0) {
		whole = NULL;
		return err_set(e, ERR_RETRY, "out of memory");
	}
	return message_add_text(m, "onto", whole, e);
}

static int
add_pairing(struct message *m, struct args *a, struct err *e)
{
	if (client_add_content(
		m, "pairing", args_option(a, "pairing"), PAIRING_LIMIT, e) < 0)
		return err_at(e, "pairing text");
	return client_add(m, a, "fingerprint", e);
}

/* A file that is read later too: its path, absolute. */
static int
add_file(struct message *m, struct args *a, const char *option, struct err *e)
{
	const char *path = args_option(a, option);

	if (path == NULL)
		return 0;
	if (client_add_path(m, option, path, e) < 0)
		return err_at(e, "--%s", option);
	return 0;
}

/* Where a mirror fetches from: a place like that of a destination. */
static int
add_pull(struct message *m, struct args *a, struct err *e)
{
	const char *url = args_option(a, "pull");

	if (url == NULL)
		return 0;
	if (message_add_text(m, "url", url, e) < 0 ||
	    add_file(m, a, "key", e) < 0 ||
	    add_file(m, a, "known-hosts", e) < 0 ||
	    add_file(m, a, "credentials", e) < 0 || add_file(m, a, "ca", e) < 0)
		return -1;
	return client_add(m, a, "pin", e) < 0 ? -1
					      : client_add(m, a, "proxy", e);
}

int
run_mirror_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (need(a, "pairing", &code) < 0 || need(a, "onto", &code) < 0)
		return code;
	if (args_has(a, "incoming") == args_has(a, "pull"))
		return tell(EXIT_USAGE,
		    "mirror add needs --incoming or --pull, "
		    "one of them");
	if (start(&m, a, "mirror-add", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    add_pairing(&m, a, &e) < 0 || add_file(&m, a, "incoming", &e) < 0 ||
	    add_pull(&m, a, &e) < 0 || client_add(&m, a, "create", &e) < 0 ||
	    client_add(&m, a, "overwrite", &e) < 0 ||
	    client_add(&m, a, "as", &e) < 0)
		return tell_err(&e);
	for (int i = 0; i < a->option_count; i++)
		if (strcmp(a->options[i].spec->name, "onto") == 0 &&
		    add_onto(&m, a->options[i].value, &e) < 0)
			return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_relay_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (need(a, "pairing", &code) < 0 || need(a, "incoming", &code) < 0)
		return code;
	if (start(&m, a, "relay-add", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    add_pairing(&m, a, &e) < 0 || add_file(&m, a, "incoming", &e) < 0 ||
	    client_add_size(&m, a, "spool-limit", &e) < 0 ||
	    client_add(&m, a, "as", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_relay_export(struct args *a)
{
	return group_request(a, "relay-export");
}

static int
pause_mirror(struct args *a, const char *pause)
{
	AUTO(message_release) struct message m = {0};
	bool both = !args_has(a, "fetch") && !args_has(a, "apply");
	struct err e = {0};

	if (start(&m, a, "mirror-pause", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    ((both || args_has(a, "fetch")) &&
		message_add_text(&m, "fetch", pause, &e) < 0) ||
	    ((both || args_has(a, "apply")) &&
		message_add_text(&m, "apply", pause, &e) < 0))
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_mirror_pause(struct args *a)
{
	return pause_mirror(a, "yes");
}

int
run_mirror_resume(struct args *a)
{
	return pause_mirror(a, "no");
}

int
run_destination_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (need(a, "group", &code) < 0 || need(a, "pairing", &code) < 0)
		return code;
	if (args_has(a, "url") == args_has(a, "via"))
		return tell(EXIT_USAGE,
		    "destination add needs --url or --via, one of them");
	if (start(&m, a, "destination-add", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    add_pairing(&m, a, &e) < 0 || client_add(&m, a, "group", &e) < 0 ||
	    client_add(&m, a, "url", &e) < 0 ||
	    client_add(&m, a, "via", &e) < 0 ||
	    client_add(&m, a, "ack-url", &e) < 0 ||
	    client_add(&m, a, "prune-at", &e) < 0 ||
	    client_add(&m, a, "hub", &e) < 0 ||
	    add_file(&m, a, "key", &e) < 0 ||
	    add_file(&m, a, "known-hosts", &e) < 0 ||
	    add_file(&m, a, "ack-key", &e) < 0 ||
	    add_file(&m, a, "ca", &e) < 0 ||
	    add_file(&m, a, "credentials", &e) < 0 ||
	    add_file(&m, a, "ack-credentials", &e) < 0 ||
	    client_add(&m, a, "pin", &e) < 0 ||
	    client_add(&m, a, "proxy", &e) < 0 ||
	    client_add(&m, a, "limit", &e) < 0 ||
	    client_add(&m, a, "retry-at", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

static int
destination_request(struct args *a, const char *verb, const char *paused)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (need(a, "group", &code) < 0)
		return code;
	if (start(&m, a, verb, &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    client_add(&m, a, "group", &e) < 0 ||
	    (paused != NULL && message_add_text(&m, "paused", paused, &e) < 0))
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_group_digest(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (start(&m, a, "group-digest", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    message_add_text(&m, "seconds", a->words[1], &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_destination_pause(struct args *a)
{
	return destination_request(a, "destination-pause", "yes");
}

int
run_destination_resume(struct args *a)
{
	return destination_request(a, "destination-pause", "no");
}

/* One that takes NAME and a text. */
static int
destination_text(struct args *a, const char *request, const char *key)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (need(a, "group", &code) < 0)
		return code;
	if (start(&m, a, request, &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    message_add_text(&m, key, a->words[1], &e) < 0 ||
	    client_add(&m, a, "group", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_destination_limit(struct args *a)
{
	return destination_text(a, "destination-limit", "limit");
}

int
run_destination_retry(struct args *a)
{
	return destination_text(a, "destination-retry", "retry-at");
}

int
run_destination_remove(struct args *a)
{
	return destination_request(a, "destination-remove", NULL);
}

int
run_base(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	int code;

	if (args_has(a, "timeout") && !args_has(a, "wait"))
		return tell(EXIT_USAGE, "--timeout goes with --wait");
	if (start(&m, a, "base", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    client_add(&m, a, "destination", &e) < 0)
		return tell_err(&e);
	code = client_request(a->home, &m);
	if (code != EXIT_DONE || !args_has(a, "wait"))
		return code;
	return run_wait(a);
}
