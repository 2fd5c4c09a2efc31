/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_tool: a transport by hand, for system tests and measurements.
 *
 *   transport_tool put URL KEY KNOWN_HOSTS FOLDER FILE...
 *   transport_tool get URL KEY KNOWN_HOSTS NAME
 *   transport_tool check URL KEY KNOWN_HOSTS
 *
 * "-" for KEY or KNOWN_HOSTS: none. Status 0 done, 1 RETRY or other, 3 the
 * name is taken or missing, 4 REFUSED, 5 FULL; the text goes to stderr.
 */
#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/transport.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

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

int
main(int argc, char **argv)
{
	static struct destination_config d;
	struct transport *t = NULL;
	struct err e = {0};
	int status;

	if (argc < 5) {
		(void)fprintf(stderr,
		    "usage: transport_tool put|get|check URL "
		    "KEY KNOWN_HOSTS [FOLDER FILE...|NAME]\n");
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
	if (strcmp(argv[1], "put") == 0 && argc > 5)
		status = put_all(t, argv[5], argv + 6, &e);
	else
		status = get_one(t, argc > 5 ? argv[5] : "", &e);
	transport_close(t);
	return status < 0 ? say(&e) : status;
}
