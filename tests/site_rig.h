/* SPDX-License-Identifier: Apache-2.0 */
/* site_rig: a site in a folder of its own, for tests of what stands on it. */
#ifndef TESTS_SITE_RIG_H
#define TESTS_SITE_RIG_H

#include "common/uuid.h"
#include "coordinator/catalogue.h"
#include "coordinator/request.h"
#include "tests/unit.h"

#include <stdarg.h>
#include <stdio.h>

struct site_rig {
	struct unit_dir dir;
	char path[96]; /* of the home */
	struct home home;
};

static inline void
site_rig_make(struct site_rig *r)
{
	struct err e = {0};

	unit_dir_make(&r->dir);
	(void)snprintf(r->path, sizeof(r->path), "%s/home", r->dir.path);
	ck_assert_msg(home_create(r->path, "here", &e) == 0, "%s", e.text);
	ck_assert_msg(home_open(r->path, &r->home, &e) == 0, "%s", e.text);
	ck_assert_msg(catalogue_create(&r->home, &e) == 0, "%s", e.text);
}

static inline void
site_rig_drop(struct site_rig *r)
{
	home_close(&r->home);
	unit_dir_drop(&r->dir);
}

/* A sparse file of that size in the rig's folder; its path. */
static inline const char *
site_rig_file(struct site_rig *r, const char *name, uint64_t size, char *path)
{
	int fd = openat(r->dir.fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	(void)close(fd);
	(void)sprintf(path, "%s/%s", r->dir.path, name);
	return path;
}

/* Carries out a request made of key, value, ... NULL; the exit code. *out,
 * when it is not NULL, gets the answer's text (free()). */
static inline int
site_rig_ask(struct site_rig *r, char **out, ...)
{
	struct message in = {0}, answer = {0};
	struct err e = {0};
	const char *key, *text;
	va_list ap;
	int code;

	va_start(ap, out);
	while ((key = va_arg(ap, const char *)) != NULL)
		ck_assert_int_eq(
		    message_add_text(&in, key, va_arg(ap, const char *), &e),
		    0);
	va_end(ap);
	ck_assert_msg(
	    request_execute(&r->home, &in, &answer, &e) == 0, "%s", e.text);
	text = message_get(&answer, "exit", NULL);
	ck_assert_ptr_nonnull(text);
	code = atoi(text);
	if (out != NULL)
		*out = strdup(message_get(
		    &answer, code == EXIT_DONE ? "out" : "err", NULL));
	message_release(&in);
	message_release(&answer);
	return code;
}

#endif
