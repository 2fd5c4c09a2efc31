/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_rsync: what the parts of the rsync transport share.
 *
 * rsync itself runs, as a program with a list of arguments; nothing goes
 * through a shell here, and names are of letters and digits. What is sent is
 * found by rsync under its name in a private folder, as a symbolic link to
 * /proc/self/fd/N; so nothing is copied, and no path of ours is told. It
 * writes .NAME.XXXXXX over there and renames that when all of it is there.
 * Files that are there already are left alone (--ignore-existing), and then
 * compared by a checksum that the other side computes. "/." at the end of a
 * folder's name lets a folder that is not there be an error; rsync would make
 * it.
 *
 * A secret is never an argument: rsync reads the password from its file, ssh
 * its key. ssh has no configuration but what is said here, and takes one
 * host's key from a private known_hosts.
 *
 *   transport_rsync.c  check, open, files on their way, get
 *   rsync_call.c       one call of rsync
 *   rsync_explain.c    what it says, in words that help
 *   rsync_place.c      a place that is fetched from
 */
#ifndef COORDINATOR_TRANSPORT_RSYNC_H
#define COORDINATOR_TRANSPORT_RSYNC_H

#include "coordinator/tool.h"
#include "coordinator/rsync_url.h"
#include "coordinator/scratch.h"
#include "coordinator/transport.h"

#define RSYNC_AT_ONCE 3u /* calls, each with a connection */
#define RSYNC_FILES 32u	 /* in one call */
#define RSYNC_URL 2400u

struct rsync_file {
	int fd; /* our own */
	uint64_t len;
	char name[TRANSPORT_NAME_LIMIT]; /* without the folder */
	bool sent;			 /* it was not there before */
};

/* Files for one call, of one folder. */
struct rsync_batch {
	char folder[TRANSPORT_NAME_LIMIT];
	uint32_t count;
	uint64_t bytes;
	struct rsync_file files[RSYNC_FILES];
};

struct rsync_slot {
	struct tool program;
	bool comparing; /* what was there already */
	struct rsync_batch batch;
};

struct rsync_transport {
	struct transport base;
	struct rsync_url url;
	char url_text[2048]; /* for messages */
	char password_file[PATH_MAX], key_file[PATH_MAX], known_hosts[PATH_MAX];
	char under[PATH_MAX]; /* where the private folder is to be */
	struct scratch scratch;
	char ssh_command[1024]; /* "": a daemon */
	bool no_fsync;		/* one of both sides does not know --fsync */
	bool proven;		/* a call has worked: several at once */
	struct err failed;	/* of a put that was handed over */
	struct rsync_batch next;
	struct rsync_slot slots[RSYNC_AT_ONCE];
	struct tool alone; /* a call that nothing runs beside */
};

static inline struct rsync_transport *
rsync_from_base(struct transport *t)
{
	return (struct rsync_transport *)(void *)t;
}

/* ---- rsync_call.c ---- */

/* The arguments of one call. They are lent, but for `url`. */
struct rsync_args {
	const char *argv[RSYNC_FILES + 40];
	size_t count;
	char password[PATH_MAX + 32], timeout[32];
	char url[RSYNC_URL];
};

/* The private folder, and in it what ssh needs. Once. */
int rsync_prepare(struct rsync_transport *t, struct err *e) CHECKED;
/* A few bytes under a name that is not there, and not for ever. */
int rsync_small_file(int dir, const char *name, const void *bytes, size_t len,
    struct err *e) CHECKED;
/* How long nothing need move in a call about so many bytes. */
uint32_t rsync_still_ms(uint64_t len);
/* What every call has. */
void rsync_begin(struct rsync_transport *t, uint64_t len, struct rsync_args *a);
void rsync_add(struct rsync_args *a, const char *arg);
/* DIR/FOLDER + `more` as the last argument (or before one more). FOLDER may be
 * "": DIR itself. */
int rsync_add_url(struct rsync_transport *t, struct rsync_args *a,
    const char *folder, const char *more, struct err *e) CHECKED;
/* Runs it alone in the folder `cwd`, and waits; `len` is of what it moves. */
int rsync_run(struct rsync_transport *t, struct rsync_args *a, int cwd,
    uint64_t len, uint64_t file_limit, struct err *e) CHECKED;
/* Did it say so, as a line of its own? */
bool rsync_says(const struct tool *p, const char *begin, const char *name);
/*
 * Gets files of one folder into the empty folder `into` of the private one:
 * those that are there afterwards. `max` is for each; one that is larger is
 * not got, and rsync_is_over knows.
 */
int rsync_pull(struct rsync_transport *t, const char *folder,
    const char *const *names, size_t count, uint64_t max, int *into,
    struct err *e) CHECKED;
bool rsync_is_over(const struct rsync_transport *t, const char *name);

/* ---- rsync_explain.c ---- */

enum rsync_op { RSYNC_WRITE = 1, RSYNC_READ };
/* Why it failed. -1. */
int rsync_explain(const struct rsync_transport *t, const struct tool *p,
    enum rsync_op op, struct err *e);
/* Does it say only that something is not there? */
bool rsync_is_absence(const struct tool *p);

/* ---- rsync_place.c ---- */

void rsync_fetch(
    struct transport *base, struct transport_file *files, size_t count);
int rsync_replace(struct transport *base, const void *bytes, size_t len,
    const char *name, struct err *e) CHECKED;
int rsync_remove(
    struct transport *base, const char *name, struct err *e) CHECKED;
int rsync_has(struct transport *base, const char *name, struct err *e) CHECKED;
int rsync_make_folder(
    struct transport *base, const char *name, struct err *e) CHECKED;

/* ---- transport_rsync.c ---- */

int rsync_drain(struct transport *base, struct err *e) CHECKED;
/* "FOLDER/NAME" apart. */
const char *rsync_split(const char *name, char folder[TRANSPORT_NAME_LIMIT]);

#endif
