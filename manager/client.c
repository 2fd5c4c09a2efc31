/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/client.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "coordinator/request.h"
#include "coordinator/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_WAIT_MS 10000u    /* for another manager, or --once */
#define ANSWER_WAIT_MS 600000u /* looking for zeroes may take long */

static int
print_answer(const struct message *answer)
{
	const char *code = message_get(answer, "exit", NULL);
	size_t out_len = 0, err_len = 0;
	const char *out = message_get(answer, "out", &out_len);
	const char *err = message_get(answer, "err", &err_len);
	int n = code == NULL ? EXIT_FAILED : atoi(code);

	if (err != NULL && err_len > 0)
		(void)fprintf(stderr, "%s%.*s",
		    n == EXIT_DONE ? "" : "aim-manager: ", (int)err_len, err);
	if (out != NULL && out_len > 0 && tell_out(out, out_len) != EXIT_DONE)
		return EXIT_FAILED;
	return n;
}

/* 1 when it was carried out, 0 when nobody answers, -1. */
static int
ask(struct home *h, const struct message *m, struct message *answer,
    struct err *e)
{
	AUTO_CLOSE int s = -1;

	if (server_connect(h, &s, e) < 0)
		return e->kind == ERR_RETRY ? 0 : -1;
	if (message_send(s, m, ANSWER_WAIT_MS, e) < 0 ||
	    message_receive(s, answer, ANSWER_WAIT_MS, e) < 0)
		return err_at(e, "the coordinator");
	return 1;
}

static int
carry_out(struct home *h, const struct message *m, struct message *answer,
    struct err *e)
{
	uint64_t until = clock_mono_ns() + BUSY_WAIT_MS * UINT64_C(1000000);
	int done;

	for (;;) {
		AUTO_CLOSE int lock = -1;

		if (home_lock(h, &lock, e) == 0)
			return request_execute(h, m, answer, e);
		if (e->kind != ERR_RETRY)
			return -1;
		done = ask(h, m, answer, e);
		if (done != 0)
			return done < 0 ? -1 : 0;
		if (clock_mono_ns() > until)
			return err_set(e, ERR_RETRY,
			    "home %s is busy: another manager, or "
			    "'aim-coordinator --once', is at work; try again",
			    h->path);
		clock_sleep_ms(50);
	}
}

int
client_request(const char *home, const struct message *m)
{
	AUTO(message_release) struct message answer = {0};
	AUTO(home_close) struct home h = HOME_NONE;
	struct err e = {0};

	if (home_open(home, &h, &e) < 0 || carry_out(&h, m, &answer, &e) < 0)
		return tell_err(&e);
	return print_answer(&answer);
}

bool
client_is_coordinated(struct home *h)
{
	AUTO_CLOSE int fd =
	    openat(h->state, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0 &&
	       l.l_type != F_UNLCK;
}

int
client_add(
    struct message *m, const struct args *a, const char *option, struct err *e)
{
	for (int i = 0; i < a->option_count; i++)
		if (strcmp(a->options[i].spec->name, option) == 0 &&
		    message_add_text(m, option, a->options[i].value, e) < 0)
			return -1;
	return 0;
}

/* Absolute; links are followed as far as the path exists. */
int
client_add_path(
    struct message *m, const char *key, const char *path, struct err *e)
{
	AUTO_FREE char *real = realpath(path, NULL);
	AUTO_FREE char *dir = NULL;
	char whole[PATH_MAX + NAME_MAX + 2];
	const char *slash, *last;

	if (real != NULL)
		return message_add_text(m, key, real, e);
	if (errno != ENOENT || path[0] == 0)
		return err_sys(e, "'%s'", path);
	/* What is to be made lies in a folder that is there. */
	slash = strrchr(path, '/');
	last = slash == NULL ? path : slash + 1;
	if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return err_set(e, ERR_REFUSED, "'%s' does not exist", path);
	dir = slash == NULL ? strdup(".")
			    : strndup(path, (size_t)(slash - path) + 1);
	if (dir == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	real = realpath(dir, NULL);
	if (real == NULL)
		return err_sys(e, "'%s'", path);
	(void)snprintf(whole, sizeof(whole), "%s/%s",
	    strcmp(real, "/") == 0 ? "" : real, last);
	return message_add_text(m, key, whole, e);
}

int
client_add_content(struct message *m, const char *key, const char *path,
    size_t max, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};

	if (io_read_file(AT_FDCWD, path, max, &b, e) < 0)
		return -1;
	return message_add(m, key, b.data, b.len, e);
}
