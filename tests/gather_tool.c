/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather_tool: makes the members of a layout, and what their sites would say.
 *
 *   gather_tool split LAYOUT VOLUME FILE...
 *   gather_tool word NAME DIR TRANSACTION COUNTER [moving|inconsistent]
 *       DIR/<stream>/ack/<mirror>.ack of the mirror NAME, whose key, stream
 *       and ids follow from its name
 *   gather_tool pairing NAME SIZE        its pairing text, to standard output
 *   gather_tool members LAYOUT SIZE DIR  the layout text, with DIR for acks
 */
#include "common/cleanup.h"
#include "common/io.h"
#include "fileformat/ack.h"
#include "fileformat/members.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
fail(const struct err *e)
{
	(void)fprintf(stderr, "gather_tool: %s\n", e->text);
	return 1;
}

/* ---- members ---- */

static int
split(int argc, char **argv, struct err *e)
{
	static struct layout_spec spec;
	AUTO_CLOSE int from = open(argv[1], O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint8_t *bytes = NULL;
	struct layout_piece p;
	uint64_t size = 0, off, len, mine;
	uint32_t m;

	if (layout_parse(argv[0], &spec, e) < 0)
		return -1;
	spec.layout.members = (uint32_t)(argc - 2);
	if (layout_check(&spec.layout, e) < 0)
		return -1;
	if (from < 0 || io_size(from, &size, e) < 0)
		return err_sys(e, "open %s", argv[1]);
	bytes = malloc(size + 1);
	if (bytes == NULL || io_read_at(from, bytes, size, 0, e) < 0)
		return -1;
	for (m = 0; m < spec.layout.members; m++) {
		AUTO_CLOSE int to = open(argv[2 + m],
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (to < 0)
			return err_sys(e, "create %s", argv[2 + m]);
		mine = layout_member_size(&spec.layout, size, m);
		for (off = 0; off < mine; off += p.len) {
			len = mine - off;
			layout_unmap(&spec.layout, m, off, len, &p);
			if (io_write_at(
				to, bytes + p.volume_off, p.len, off, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- who they are ---- */

static int
be_mirror(
    const char *name, struct member *m, struct sign_secret *key, struct err *e)
{
	uint8_t digest[DIGEST_LEN];

	if (digest_bytes(name, strlen(name), digest, e) < 0)
		return -1;
	*m = (struct member){.stream = {{5}}};
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	memcpy(m->mirror.b, digest, 16);
	memcpy(m->site.b, digest + 16, 16);
	memcpy(key->seed, digest, sizeof(key->seed));
	if (sign_derive(key, e) < 0)
		return -1;
	m->key = key->pub;
	return 0;
}

static int
open_acks(const char *dir, const struct uuid *stream, int *out, struct err *e)
{
	AUTO_CLOSE int top = -1, mine = -1;
	char name[UUID_TEXT];

	(void)uuid_text(stream, name);
	if (io_open_dir(AT_FDCWD, dir, &top, e) < 0 ||
	    io_make_dir(top, name, 0755, e) < 0 ||
	    io_open_dir(top, name, &mine, e) < 0 ||
	    io_make_dir(mine, "ack", 0755, e) < 0)
		return -1;
	return io_open_dir(mine, "ack", out, e);
}

static int
word(int argc, char **argv, struct err *e)
{
	const char *how = argc > 4 ? argv[4] : "";
	struct sign_secret key;
	struct member m;
	uint8_t bytes[ACK_LIMIT];
	char name[ACK_NAME_LEN];
	AUTO_CLOSE int dir = -1;
	size_t len;
	struct ack a = {.state = ACK_PAUSED,
	    .group = {{4}},
	    .source_site = {{3}},
	    .counter = strtoull(argv[3], NULL, 10),
	    .consistent = strcmp(how, "inconsistent") != 0,
	    .at_rest = strcmp(how, "moving") != 0};

	if (be_mirror(argv[0], &m, &key, e) < 0)
		return -1;
	a.stream = m.stream;
	a.mirror = m.mirror;
	a.mirror_site = m.site;
	a.applied = (struct position){.epoch = {{9}},
	    .epoch_number = 1,
	    .sequence = 7,
	    .last = strtoull(argv[2], NULL, 10),
	    .digest = {1}};
	a.stored = a.durable = a.applied;
	if (ack_encode(&a, &key, bytes, &len, e) < 0 ||
	    open_acks(argv[1], &m.stream, &dir, e) < 0)
		return -1;
	return io_write_file(
	    dir, ack_name(&m.mirror, name), bytes, len, 0644, e);
}

static struct pairing_volume
volume_of(const char *size)
{
	return (struct pairing_volume){.name = "disk",
	    .uuid = {{6}},
	    .kind = VOLUME_BLOCK,
	    .size = strtoull(size, NULL, 10)};
}

static int
pairing(char **argv, struct err *e)
{
	struct pairing_volume v = volume_of(argv[1]);
	AUTO_FREE char *text = NULL;
	struct sign_secret key;
	struct member m;
	struct pairing p = {.role = PAIRING_MIRROR,
	    .site_name = "there",
	    .group_name = "disk",
	    .group = {{4}},
	    .volume_count = 1,
	    .volumes = &v};
	size_t len;

	if (be_mirror(argv[0], &m, &key, e) < 0)
		return -1;
	p.site = m.site;
	p.stream = m.stream;
	p.mirror = m.mirror;
	if (pairing_encode(&p, &key, &text, &len, e) < 0)
		return -1;
	(void)fputs(text, stdout);
	return 0;
}

static int
members(char **argv, struct err *e)
{
	static struct layout_spec spec;
	static struct member all[LAYOUT_MOST];
	struct pairing_volume v = volume_of(argv[1]);
	AUTO_FREE char *text = NULL;
	struct sign_secret key;
	struct members m = {.site_name = "here",
	    .site = {{3}},
	    .group_name = "disk",
	    .group = {{4}},
	    .stream = {{5}},
	    .volume_count = 1,
	    .volumes = &v,
	    .members = all};
	size_t len;
	uint32_t i;

	if (layout_parse(argv[0], &spec, e) < 0)
		return -1;
	m.layout = spec.layout;
	for (i = 0; i < spec.layout.members; i++) {
		if (be_mirror(spec.names[i], &all[i], &key, e) < 0)
			return -1;
		(void)snprintf(all[i].acks, sizeof(all[i].acks), "%s", argv[2]);
	}
	if (members_encode(&m, &key, &text, &len, e) < 0)
		return -1;
	(void)fputs(text, stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	struct err e = {0};

	if (argc > 4 && strcmp(argv[1], "split") == 0)
		return split(argc - 2, argv + 2, &e) < 0 ? fail(&e) : 0;
	if (argc > 5 && strcmp(argv[1], "word") == 0)
		return word(argc - 2, argv + 2, &e) < 0 ? fail(&e) : 0;
	if (argc == 4 && strcmp(argv[1], "pairing") == 0)
		return pairing(argv + 2, &e) < 0 ? fail(&e) : 0;
	if (argc == 5 && strcmp(argv[1], "members") == 0)
		return members(argv + 2, &e) < 0 ? fail(&e) : 0;
	(void)fputs("usage: see the source\n", stderr);
	return 2;
}
