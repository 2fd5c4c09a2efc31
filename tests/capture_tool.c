/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_tool: a group without a coordinator, for tests of drivers.
 *
 *   capture_tool create HOME LIMIT VOLUME...   prints the group's UUID; LIMIT
 *                 is the spool's in bytes, 0 for none, with b behind it for
 *                 the policy block instead of fail, with p for passthrough
 *   capture_tool replay HOME GROUP MIRROR...   redrives what was captured and
 *                 is not yet taken onto the mirrors (one for each volume);
 *                 prints "transactions: N", then "writes: N BYTES"
 *   capture_tool settle HOME GROUP     as a writer who comes and goes: the last
 *                 one notes the volumes' times
 *   capture_tool passive HOME GROUP    mode OFF from now on
 *   capture_tool positions HOME GROUP  for each line that it reads, prints the
 *                 highest number that was given out
 */
#include "aimdriver/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
fail(const char *what, const struct err *e)
{
	fprintf(stderr, "capture_tool: %s: %s\n", what, e->text);
	return 1;
}

static int
add(const char *home, const struct uuid *group, const char *path, struct err *e)
{
	struct capture_volume v = {0};
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, "stat %s", path);
	v.kind = S_ISBLK(st.st_mode) ? VOLUME_BLOCK : VOLUME_FILE;
	v.size = S_ISBLK(st.st_mode) ? 0 : (uint64_t)st.st_size;
	v.dev = st.st_dev;
	v.ino = st.st_ino;
	v.rdev = st.st_rdev;
	(void)snprintf(v.path, sizeof(v.path), "%s", path);
	if (uuid_make(&v.uuid, e) < 0)
		return -1;
	return capture_add_volume(home, group, &v, e);
}

static int
create(const char *home, const char *limit, char **paths)
{
	struct capture *c = NULL;
	struct uuid group;
	char text[UUID_TEXT];
	struct err e = {0};

	if (uuid_make(&group, &e) < 0 ||
	    capture_create(home, &group, (gid_t)-1, &e) < 0)
		return fail("create", &e);
	for (; *paths != NULL; paths++)
		if (add(home, &group, *paths, &e) < 0)
			return fail("add", &e);
	if (capture_accept_volumes(home, &group, &e) < 0 ||
	    capture_attach(home, &group, CAPTURE_COORDINATOR, &c, &e) < 0)
		return fail("attach", &e);
	if (capture_set_mode(c, CAPTURE_ON, &e) < 0)
		return fail("mode", &e);
	capture_set_spool(c, 0, strtoull(limit, NULL, 10),
	    strchr(limit, 'b') != NULL	 ? CAPTURE_BLOCK
	    : strchr(limit, 'p') != NULL ? CAPTURE_PASS
					 : CAPTURE_FAIL);
	capture_detach(c);
	printf("%s\n", uuid_text(&group, text));
	return 0;
}

static int
put(int fd, const uint8_t *data, uint64_t len, uint64_t off)
{
	static const uint8_t zero[65536];

	while (len > 0) {
		uint64_t n =
		    data == NULL && len > sizeof(zero) ? sizeof(zero) : len;
		ssize_t w = pwrite(
		    fd, data == NULL ? zero : data, (size_t)n, (off_t)off);

		if (w <= 0)
			return -1;
		len -= (uint64_t)w;
		off += (uint64_t)w;
		if (data != NULL)
			data += w;
	}
	return 0;
}

static int
apply(int fd, const struct iocb *b, const uint8_t *data, struct err *e)
{
	int r = 0;

	switch (b->op) {
	case OP_WRITE:
		r = put(fd, data, b->len, b->off);
		break;
	case OP_ZERO:
	case OP_DISCARD:
		r = put(fd, NULL, b->len, b->off);
		break;
	case OP_RESIZE:
		r = ftruncate(fd, (off_t)b->off);
		break;
	case OP_FLUSH:
	case OP_VOID:
		break;
	default:
		return err_set(e, ERR_CORRUPT, "transaction %" PRIu64 " is %s",
		    b->number, op_name(b->op));
	}
	return r < 0 ? err_sys(e, "%s", op_name(b->op)) : 0;
}

static uint64_t writes, written;

static int
redrive(struct capture *c, const int *fd, uint64_t *next, struct err *e)
{
	static uint8_t room[CAPTURE_CHUNK];
	struct capture_span s;
	struct iocb b;
	int more;

	while ((more = capture_span_next(c, *next, &s, NULL, e)) > 0) {
		for (uint32_t i = 0; i <= s.last - s.first; i++)
			if (capture_span_entry(c, &s, i, &b, room, e) < 0 ||
			    apply(fd[b.volume], &b, room, e) < 0)
				return -1;
			else if (b.op == OP_WRITE) {
				writes++;
				written += b.len;
			}
		*next = s.last + 1;
		capture_sealed(c, s.last);
	}
	return more;
}

static int
attach(const char *home, const char *group, struct capture **c, struct err *e)
{
	struct uuid id;

	if (uuid_parse(group, &id, e) < 0)
		return -1;
	return capture_attach(home, &id, CAPTURE_COORDINATOR, c, e);
}

static int
replay(const char *home, const char *group, char **mirrors)
{
	struct capture *c = NULL;
	struct capture_status st;
	struct err e = {0};
	int fd[64];
	uint64_t next;
	int n = 0;

	if (attach(home, group, &c, &e) < 0)
		return fail("attach", &e);
	for (; mirrors[n] != NULL && n < 64; n++) {
		fd[n] = open(mirrors[n], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd[n] < 0) {
			(void)err_sys(&e, "open %s", mirrors[n]);
			return fail("replay", &e);
		}
	}
	if ((uint32_t)n != capture_volume_count(c)) {
		fprintf(stderr, "capture_tool: one mirror for each volume\n");
		return 1;
	}
	capture_status(c, &st);
	next = st.sealed + 1;
	if (redrive(c, fd, &next, &e) < 0)
		return fail("replay", &e);
	capture_status(c, &st);
	if (st.suspect || st.sealed != st.reserved) {
		fprintf(stderr,
		    "capture_tool: %" PRIu64 " reserved, %" PRIu64 " taken%s\n",
		    st.reserved, st.sealed, st.suspect ? ", suspect" : "");
		return 1;
	}
	printf("transactions: %" PRIu64 "\nwrites: %" PRIu64 " %" PRIu64 "\n",
	    st.sealed, writes, written);
	capture_detach(c);
	return 0;
}

static int
passive(const char *home, const char *group)
{
	struct capture *c = NULL;
	struct err e = {0};

	if (attach(home, group, &c, &e) < 0 ||
	    capture_set_mode(c, CAPTURE_OFF, &e) < 0)
		return fail("passive", &e);
	capture_detach(c);
	return 0;
}

static int
positions(const char *home, const char *group)
{
	struct capture *c = NULL;
	struct capture_status st;
	struct uuid id;
	struct err e = {0};
	char line[64];

	if (uuid_parse(group, &id, &e) < 0 ||
	    capture_attach(home, &id, CAPTURE_INSPECT, &c, &e) < 0)
		return fail("positions", &e);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		capture_status(c, &st);
		printf("%" PRIu64 "\n", st.reserved);
		(void)fflush(stdout);
	}
	capture_detach(c);
	return 0;
}

static int
settle(const char *home, const char *group)
{
	struct capture *c = NULL;
	struct uuid id;
	struct err e = {0};

	if (uuid_parse(group, &id, &e) < 0 ||
	    capture_attach(home, &id, CAPTURE_WRITER, &c, &e) < 0)
		return fail("settle", &e);
	capture_detach(c);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "create") == 0)
		return create(argv[2], argv[3], argv + 4);
	if (argc >= 5 && strcmp(argv[1], "replay") == 0)
		return replay(argv[2], argv[3], argv + 4);
	if (argc == 4 && strcmp(argv[1], "settle") == 0)
		return settle(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "passive") == 0)
		return passive(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "positions") == 0)
		return positions(argv[2], argv[3]);
	fprintf(stderr, "usage: capture_tool create HOME LIMIT VOLUME... | "
			"replay HOME GROUP MIRROR... | "
			"settle HOME GROUP | passive HOME GROUP | "
			"positions HOME GROUP\n");
	return 2;
}
