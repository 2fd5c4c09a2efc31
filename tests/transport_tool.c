/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_tool: a transport by hand, for system tests and measurements.
 *
 *   transport_tool put URL KEY KNOWN_HOSTS FOLDER FILE...
 *   transport_tool get URL KEY KNOWN_HOSTS NAME
 *   transport_tool check URL KEY KNOWN_HOSTS
 *   transport_tool fetch URL KEY KNOWN_HOSTS MAX INTO NAME...
 *   transport_tool replace URL KEY KNOWN_HOSTS NAME FILE
 *   transport_tool remove|has|mkdir URL KEY KNOWN_HOSTS NAME
 *
 * In front of these, -o NAME=VALUE: an option of destination_option.h. "-" for
 * KEY or KNOWN_HOSTS: none. Status 0 done, 1 RETRY or other, 3 the name is
 * taken or missing, 4 REFUSED, 5 FULL, 6 CORRUPT; the text goes to stderr.
 */
#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/destination_option.h"
#include "coordinator/transport.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
say(const struct err *e)
{
	(void)fprintf(stderr, "%s\n", e->text);
	if (e->kind == ERR_REFUSED)
		return 4;
	return e->kind == ERR_FULL ? 5 : 1;
}

static void
take(char *to, size_t room, const char *from)
{
	(void)snprintf(to, room, "%s", strcmp(from, "-") == 0 ? "" : from);
}

static struct destination_config d;

static bool
take_option(const char *text)
{
	const char *sign = strchr(text, '=');
	const struct destination_option *o;
	char name[64];

	if (sign == NULL || (size_t)(sign - text) >= sizeof(name))
		return false;
	memcpy(name, text, (size_t)(sign - text));
	name[sign - text] = '\0';
	o = destination_option_find(name);
	if (o != NULL)
		take(destination_option_text(&d, o), o->room, sign + 1);
	return o != NULL;
}

static int
put_one(
    struct transport *t, const char *folder, const char *file, struct err *e)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	const char *base = strrchr(file, '/');
	char name[TRANSPORT_NAME_LIMIT];
	uint64_t len;

	if (fd < 0)
		return err_sys(e, "open %s", file);
	if (io_size(fd, &len, e) < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "%.80s/%.60s", folder,
	    base == NULL ? file : base + 1);
	return transport_put(t, fd, len, name, e);
}

static int
put_all(struct transport *t, const char *folder, char **files, struct err *e)
{
	bool taken = false;
	int done;

	for (; *files != NULL; files++) {
		done = put_one(t, folder, *files, e);
		if (done < 0)
			return -1;
		taken = taken || done == 0;
	}
	if (transport_drain(t, e) < 0)
		return -1;
	return taken ? 3 : 0;
}

static int
get_one(struct transport *t, const char *name, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	int got = transport_get(t, name, TRANSPORT_GET_LIMIT, &b, e);

	if (got < 0)
		return -1;
	if (got == 1 && fwrite(b.data, 1, b.len, stdout) != b.len)
		return err_sys(e, "write");
	return got == 1 ? 0 : 3;
}

/* Into the folder INTO, by the last part of each name; says what became of
 * each that is not there afterwards. */
static int
fetch_all(struct transport *t, const char *max, const char *into, char **names,
    struct err *e)
{
	static struct transport_file files[64];
	static char paths[64][300];
	size_t n = 0, i;
	int status = 0;

	for (; names[n] != NULL && n < 64; n++) {
		const char *slash = strrchr(names[n], '/');

		(void)snprintf(paths[n], sizeof(paths[n]), "%.200s/%.80s", into,
		    slash == NULL ? names[n] : slash + 1);
		files[n] = (struct transport_file){.name = names[n],
		    .max = strtoull(max, NULL, 10),
		    .fd = open(paths[n],
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
		if (files[n].fd < 0)
			return err_sys(e, "create %s", paths[n]);
	}
	transport_fetch(t, files, n);
	for (i = 0; i < n; i++) {
		(void)close(files[i].fd);
		if (files[i].result == 1)
			continue;
		(void)unlink(paths[i]);
		(void)fprintf(stderr, "%s: %s\n", names[i],
		    files[i].result == 0 ? "not there" : files[i].why.text);
		if (files[i].result == 0 && status == 0)
			status = 3;
		if (files[i].result < 0)
			status = files[i].why.kind == ERR_CORRUPT ? 6 : 1;
	}
	return status;
}

static int
replace_one(
    struct transport *t, const char *name, const char *file, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};

	if (io_read_file(AT_FDCWD, file, TRANSPORT_GET_LIMIT, &b, e) < 0)
		return -1;
	return transport_replace(t, b.data, b.len, name, e);
}

/* remove and has: 3 when it is not there. */
static int
small_one(
    struct transport *t, const char *verb, const char *name, struct err *e)
{
	int got;

	if (strcmp(verb, "mkdir") == 0)
		return transport_make_folder(t, name, e);
	got = strcmp(verb, "has") == 0 ? transport_has(t, name, e)
				       : transport_remove(t, name, e);
	if (got < 0)
		return -1;
	return got == 1 ? 0 : 3;
}

static int
do_verb(struct transport *t, int argc, char **argv, struct err *e)
{
	const char *verb = argv[1];

	if (strcmp(verb, "put") == 0 && argc > 5)
		return put_all(t, argv[5], argv + 6, e);
	if (strcmp(verb, "fetch") == 0 && argc > 7)
		return fetch_all(t, argv[5], argv[6], argv + 7, e);
	if (strcmp(verb, "replace") == 0 && argc == 7)
		return replace_one(t, argv[5], argv[6], e);
	if (strcmp(verb, "get") == 0)
		return get_one(t, argc > 5 ? argv[5] : "", e);
	return small_one(t, verb, argc > 5 ? argv[5] : "", e);
}

int
main(int argc, char **argv)
{
	struct transport *t = NULL;
	struct err e = {0};
	int status;

	while (argc > 2 && strcmp(argv[1], "-o") == 0 && take_option(argv[2])) {
		argc -= 2;
		argv += 2;
	}
	if (argc < 5) {
		(void)fprintf(stderr,
		    "usage: transport_tool [-o NAME=VALUE]... "
		    "put|get|check|fetch|replace|remove|has|mkdir URL KEY "
		    "KNOWN_HOSTS [WORDS...]\n");
		return 2;
	}
	take(d.url, sizeof(d.url), argv[2]);
	take(d.key_file, sizeof(d.key_file), argv[3]);
	take(d.known_hosts, sizeof(d.known_hosts), argv[4]);
	if (transport_check(&d, &e) < 0)
		return say(&e);
	if (strcmp(argv[1], "check") == 0)
		return 0;
	if (transport_open(&d, false, &t, &e) < 0)
		return say(&e);
	status = do_verb(t, argc, argv, &e);
	transport_close(t);
	return status < 0 ? say(&e) : status;
}
