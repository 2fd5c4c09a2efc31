/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_key: the keys of encrypted groups. */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "coordinator/keyring.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEX_ID (2 * KEY_ID_LEN + 1)

static const char *
state_name(enum key_state state)
{
	static const char *const names[] = {
	    "?", "next", "current", "kept", "retired"};

	return names[state];
}

static int
request(struct args *a, const char *verb)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (message_add_text(&m, "verb", verb, &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    (a->word_count > 1 &&
		message_add_text(&m, "key", a->words[1], &e) < 0))
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_key_generate(struct args *a)
{
	return request(a, "key-generate");
}

int
run_key_rotate(struct args *a)
{
	return request(a, "key-rotate");
}

int
run_key_retire(struct args *a)
{
	return request(a, "key-retire");
}

int
run_key_import(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};
	struct stat st;
	int code;

	if (stat(a->words[1], &st) == 0 && (st.st_mode & 077) != 0)
		(void)fprintf(stderr,
		    "aim-manager: warning: %s may be read by others; remove "
		    "it, and think of a new key\n",
		    a->words[1]);
	if (message_add_text(&m, "verb", "key-import", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    client_add_content(&m, "key", a->words[1], KEYFILE_LIMIT, &e) < 0)
		code = tell_err(&e);
	else
		code = client_request(a->home, &m);
	if (m.bytes.data != NULL)
		explicit_bzero(m.bytes.data, m.bytes.len);
	return code;
}

/* ---- what needs no change ---- */

static int
load(const char *path, struct home *h, struct snapshot *s, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (home_open(path, h, e) < 0 || catalogue_open(h, false, &c, e) < 0)
		return -1;
	return catalogue_load(c, s, e);
}

/* Its group's name here; "?" when it is of none (an adopted home). */
static const char *
owner_name(const struct snapshot *s, const struct key_config *k)
{
	for (uint32_t i = 0; i < s->group_count; i++)
		if (uuid_equal(&s->groups[i].uuid, &k->group))
			return s->groups[i].name;
	for (uint32_t i = 0; i < s->mirror_count; i++)
		if (uuid_equal(&s->mirrors[i].group, &k->group))
			return s->mirrors[i].group_name;
	return "?";
}

static void
key_json(struct json *j, const struct snapshot *s, const struct key_config *k)
{
	char id[HEX_ID], when[CLOCK_TEXT], uuid[UUID_TEXT];

	json_object(j, NULL);
	json_text(j, "id", hex_text(k->id, KEY_ID_LEN, id));
	json_text(j, "group", owner_name(s, k));
	json_text(j, "group_uuid", uuid_text(&k->group, uuid));
	json_text(j, "state", state_name(k->state));
	json_text(j, "since", clock_text(k->time_ns, when));
	json_object_end(j);
}

static void
key_line(const struct snapshot *s, const struct key_config *k)
{
	char id[HEX_ID], when[CLOCK_TEXT];

	(void)printf("%-32s %-14s %-8s %s\n", hex_text(k->id, KEY_ID_LEN, id),
	    owner_name(s, k), state_name(k->state),
	    clock_text(k->time_ns, when));
}

int
run_key_list(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	AUTO(buf_release) struct buf b = {0};
	const char *group = args_option(a, "group");
	bool json = args_has(a, "json");
	struct json j = {0};
	struct err e = {0};

	if (load(a->home, &h, &s, &e) < 0)
		return tell_err(&e);
	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_array(&j, "keys");
	if (!json)
		(void)printf(
		    "%-32s %-14s %-8s %s\n", "KEY", "GROUP", "STATE", "SINCE");
	for (uint32_t i = 0; i < s.key_count; i++) {
		if (group != NULL &&
		    strcmp(owner_name(&s, &s.keys[i]), group) != 0)
			continue;
		key_json(&j, &s, &s.keys[i]);
		if (!json)
			key_line(&s, &s.keys[i]);
	}
	json_array_end(&j);
	json_object_end(&j);
	if (json_end(&j, &b, &e) < 0)
		return tell_err(&e);
	if (json)
		return tell_out(b.data, b.len);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* The one with that id; without, the newest that is not retired. */
static const struct key_config *
choose(const struct snapshot *s, const char *group, const char *id)
{
	const struct key_config *found = NULL;
	char text[HEX_ID];

	for (uint32_t i = 0; i < s->key_count; i++) {
		const struct key_config *k = &s->keys[i];

		if (strcmp(owner_name(s, k), group) != 0 ||
		    k->state == KEY_RETIRED)
			continue;
		if (id == NULL ||
		    strcmp(hex_text(k->id, KEY_ID_LEN, text), id) == 0)
			found = k;
	}
	return found;
}

/* Never over a file that is there. */
static int
write_new(const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, "make %s", path);
	if (io_write_at(fd, text, strlen(text), 0, e) == 0 &&
	    io_fsync(fd, path, e) == 0)
		return 0;
	(void)unlink(path);
	return -1;
}

int
run_key_export(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(snapshot_release) struct snapshot s = {0};
	const char *to = args_option(a, "to"), *id = args_option(a, "key");
	const struct key_config *k;
	char text[KEYFILE_LEN];
	struct group_key key;
	struct err e = {0};
	int found, code = EXIT_DONE;

	if (to == NULL)
		return tell(EXIT_USAGE, "key export needs --to");
	if (load(a->home, &h, &s, &e) < 0)
		return tell_err(&e);
	k = choose(&s, a->words[0], id);
	if (k == NULL)
		return tell(EXIT_REFUSED,
		    "there is no such key of '%s' here; see 'aim-manager key "
		    "list'",
		    a->words[0]);
	found = keyring_find(&h, &k->group, k->id, &key, &e);
	if (found <= 0)
		return found < 0 ? tell_err(&e)
				 : tell(EXIT_REFUSED,
				       "the file of this key is gone from "
				       "keys/groups: a mirror's site may "
				       "still have it");
	keyfile_encode(&k->group, &key, text);
	group_key_forget(&key);
	if (write_new(to, text, &e) < 0)
		code = tell_err(&e);
	explicit_bzero(text, sizeof(text));
	if (code == EXIT_DONE)
		(void)fprintf(stderr,
		    "next, at a mirror's site: aim-manager key import %s "
		    "FILE\n",
		    a->words[0]);
	return code;
}
