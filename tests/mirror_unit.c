/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mirror_unit.h"

#include "common/io.h"

#include <dirent.h>
#include <stdio.h>

/*
 * These tests are about processes that die, not machines, and sync often; so
 * they run in memory where that can be had, on a disk in a long run.
 */
static void
make_dir(struct unit_dir *d)
{
	const char *l = getenv("AIM_LONG");

	(void)strcpy(d->path, "/dev/shm/aim-unit.XXXXXX");
	if ((l != NULL && l[0] != '\0') || mkdtemp(d->path) == NULL) {
		unit_dir_make(d);
		return;
	}
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(d->fd, 0);
}

static int
make_folder(struct mirror_unit *u, const char *name)
{
	struct err e = {0};
	int fd = -1;

	ck_assert_msg(
	    io_make_dir(u->dir.fd, name, 0755, &e) == 0, "%s", e.text);
	ck_assert_int_eq(io_open_dir(u->dir.fd, name, &fd, &e), 0);
	return fd;
}

static void
make_incoming(struct mirror_unit *u)
{
	char name[128], stream[UUID_TEXT];

	(void)close(make_folder(u, "in"));
	(void)snprintf(
	    name, sizeof(name), "in/%s", uuid_text(&u->maker.stream, stream));
	u->in = make_folder(u, name);
	(void)strcat(name, "/ack");
	u->ack = make_folder(u, name);
}

static void
make_mirrors(struct mirror_unit *u)
{
	uint32_t v;

	for (v = 0; v < MAKER_VOLUMES; v++) {
		AUTO_CLOSE int fd = open(u->volumes[v].path,
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)u->volumes[v].size), 0);
	}
}

void
mirror_unit_make(struct mirror_unit *u, uint64_t seed, uint64_t size)
{
	char home[128], in[128];
	struct err e = {0};

	memset(u, 0, sizeof(*u));
	make_dir(&u->dir);
	(void)snprintf(home, sizeof(home), "%s/home", u->dir.path);
	(void)snprintf(in, sizeof(in), "%s/in", u->dir.path);
	ck_assert_msg(home_create(home, "mirror", &e) == 0, "%s", e.text);
	ck_assert_msg(home_open(home, &u->home, &e) == 0, "%s", e.text);
	maker_init(&u->maker, seed, size);
	maker_config(&u->maker, u->dir.path, in, u->volumes, &u->config);
	u->made = make_folder(u, "made");
	make_incoming(u);
	make_mirrors(u);
}

void
mirror_unit_drop(struct mirror_unit *u)
{
	ladder_unset();
	(void)close(u->made);
	(void)close(u->in);
	(void)close(u->ack);
	home_close(&u->home);
	maker_release(&u->maker);
	unit_dir_drop(&u->dir);
}

static void
empty_folder(const char *above, const char *name)
{
	char path[256];
	AUTO_CLOSEDIR DIR *d = NULL;
	struct dirent *entry;

	(void)snprintf(path, sizeof(path), "%s/%s", above, name);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		char below[600];

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(
		    below, sizeof(below), "%s/%s", path, entry->d_name);
		unit_remove_tree(below);
	}
}

void
mirror_unit_reset(struct mirror_unit *u)
{
	static const char *const kinds[] = {
	    "state", "recv", "apply", "counter", "targets"};
	char text[UUID_TEXT], name[64];
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s.%s",
		    uuid_text(&u->maker.mirror, text), kinds[i]);
		(void)unlinkat(u->home.state, name, 0);
	}
	empty_folder(u->home.path, "stage");
	empty_folder(u->home.path, "done");
	empty_folder(u->home.path, "quarantine");
	(void)close(u->in);
	(void)close(u->ack);
	empty_folder(u->dir.path, "in");
	make_incoming(u);
	make_mirrors(u);
}

uint8_t *
made_bytes(struct mirror_unit *u, uint32_t i, size_t *len)
{
	struct buf b = {0};
	struct err e = {0};

	ck_assert_uint_lt(i, u->maker.files);
	ck_assert_msg(
	    io_read_file(u->made, u->maker.file[i].name, 1u << 30, &b, &e) == 0,
	    "%s", e.text);
	*len = b.len;
	return b.data;
}

void
deliver_bytes(
    struct mirror_unit *u, const char *name, const void *bytes, size_t len)
{
	AUTO_CLOSE int fd =
	    openat(u->in, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(io_write_at(fd, bytes, len, 0, NULL), 0);
}

void
deliver(struct mirror_unit *u, uint32_t i)
{
	size_t len;
	AUTO_FREE uint8_t *bytes = made_bytes(u, i, &len);

	deliver_bytes(u, u->maker.file[i].name, bytes, len);
}

void
deliver_all(struct mirror_unit *u)
{
	uint32_t i;

	for (i = 0; i < u->maker.files; i++)
		deliver(u, i);
}

int
run_receive(struct mirror_unit *u, struct err *e)
{
	struct receive *r = NULL;
	int got;

	if (receive_open(&u->home, &u->config, &r, e) < 0)
		return -1;
	while ((got = receive_pass(r, e)) > 0)
		continue;
	receive_close(r);
	return got;
}

int
run_apply(struct mirror_unit *u, struct err *e)
{
	struct apply *a = NULL;
	int got;

	if (apply_open(&u->home, &u->config, &a, e) < 0)
		return -1;
	while ((got = apply_pass(a, e)) > 0)
		continue;
	apply_close(a);
	return got;
}

void
run_both(struct mirror_unit *u)
{
	struct err e = {0};

	ck_assert_msg(run_receive(u, &e) == 0, "%s", e.text);
	ck_assert_msg(run_apply(u, &e) == 0, "%s", e.text);
	ck_assert_msg(run_receive(u, &e) == 0, "%s", e.text);
}

void
load_state(struct mirror_unit *u, struct mirror_state *out)
{
	struct err e = {0};

	ck_assert_msg(
	    mirror_state_load(&u->home, &u->maker.mirror, out, &e) == 0, "%s",
	    e.text);
}

bool
has_ack(struct mirror_unit *u)
{
	char name[ACK_NAME_LEN];

	return is_in(u->ack, ack_name(&u->maker.mirror, name));
}

void
load_ack(struct mirror_unit *u, struct ack *out)
{
	AUTO(buf_release) struct buf b = {0};
	char name[ACK_NAME_LEN];
	struct err e = {0};
	struct why why = {0};
	bool valid = false;

	ck_assert_msg(io_read_file(u->ack, ack_name(&u->maker.mirror, name),
			  ACK_LIMIT, &b, &e) == 0,
	    "%s", e.text);
	ck_assert_msg(ack_decode(b.data, b.len, out, &why) == VERDICT_WHOLE,
	    "%s", why.text);
	ck_assert_int_eq(
	    ack_check(b.data, b.len, &u->home.key.pub, &valid, &e), 0);
	ck_assert(valid);
	ck_assert(uuid_equal(&out->mirror, &u->maker.mirror));
	ck_assert(uuid_equal(&out->stream, &u->maker.stream));
}

static void
volume_is(struct mirror_unit *u, uint32_t v, const uint8_t *want, uint64_t size)
{
	AUTO(buf_release) struct buf b = {0};
	struct err e = {0};
	uint64_t k;

	ck_assert_msg(
	    io_read_file(AT_FDCWD, u->volumes[v].path, 1u << 30, &b, &e) == 0,
	    "%s", e.text);
	ck_assert_uint_eq(b.len, size);
	if (size == 0 || memcmp(b.data, want, size) == 0)
		return;
	for (k = 0; b.data[k] == want[k]; k++)
		continue;
	ck_abort_msg("volume %u differs from byte %ju", v, (uintmax_t)k);
}

void
mirror_is(struct mirror_unit *u, uint32_t i)
{
	const struct maker_file *f = &u->maker.file[i];
	uint32_t v;

	for (v = 0; v < MAKER_VOLUMES; v++)
		volume_is(u, v, f->image[v], f->size[v]);
}

void
mirror_is_clean(struct mirror_unit *u)
{
	struct mirror_state s;
	int i;

	load_state(u, &s);
	if (s.phase == MIRROR_EMPTY) {
		ck_assert(mirror_is_zero(u));
		return;
	}
	ck_assert_int_eq(s.phase, MIRROR_CLEAN);
	i = maker_find(&u->maker, &s.clean);
	ck_assert_int_ge(i, 0);
	ck_assert_mem_eq(
	    s.clean.digest, u->maker.file[i].at.digest, DIGEST_LEN);
	ck_assert_int_eq(s.consistent, u->maker.file[i].consistent);
	mirror_is(u, (uint32_t)i);
}

void
mirror_stands_at(struct mirror_unit *u, uint32_t i)
{
	struct mirror_state s;

	load_state(u, &s);
	ck_assert_msg(
	    s.phase == MIRROR_CLEAN, "phase %d: %s", (int)s.phase, s.reason);
	ck_assert_int_eq(maker_find(&u->maker, &s.clean), (int)i);
	mirror_is_clean(u);
}

bool
mirror_is_zero(struct mirror_unit *u)
{
	uint32_t v;

	for (v = 0; v < MAKER_VOLUMES; v++) {
		AUTO(buf_release) struct buf b = {0};

		ck_assert_int_eq(io_read_file(AT_FDCWD, u->volumes[v].path,
				     1u << 30, &b, NULL),
		    0);
		if (b.len != u->volumes[v].size || !io_is_zero(b.data, b.len))
			return false;
	}
	return true;
}

uint32_t
count_names(int dir, const char *ending)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *d = fdopendir(fd);
	struct dirent *entry;
	uint32_t n = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		size_t len = strlen(entry->d_name), end = strlen(ending);

		if (entry->d_name[0] != '.' && len >= end &&
		    strcmp(entry->d_name + len - end, ending) == 0)
			n++;
	}
	return n;
}

bool
is_quarantined(struct mirror_unit *u, const char *text)
{
	int fd =
	    openat(u->home.quarantine, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *d = fdopendir(fd);
	struct dirent *entry;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		AUTO(buf_release) struct buf b = {0};

		if (strstr(entry->d_name, ".why") == NULL)
			continue;
		ck_assert_int_eq(io_read_file(u->home.quarantine, entry->d_name,
				     4096, &b, NULL),
		    0);
		ck_assert_int_eq(buf_add(&b, "", 1, NULL), 0);
		if (strstr((const char *)b.data, text) != NULL)
			return true;
	}
	return false;
}

bool
is_in(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
open_own(struct mirror_unit *u, int above)
{
	char text[UUID_TEXT];
	int fd = openat(above, uuid_text(&u->maker.mirror, text),
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

int
open_stage(struct mirror_unit *u)
{
	return open_own(u, u->home.stage);
}

int
open_done(struct mirror_unit *u)
{
	return open_own(u, u->home.done);
}
