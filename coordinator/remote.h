/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote: one large file or block device, here or elsewhere, that is read by
 * ranges: PATH or file:///PATH, sftp://, https://, s3://. Several reads are
 * under way at a time; none hangs for ever. The server's key or certificate is
 * verified as the transports do it.
 *
 * A `tag` says which version of the file was read, as far as that can be told
 * (entity tag, time of change): all reads of one remote are of the version
 * that the first look found, or fail.
 *
 * One thread. Errors: RETRY (later), REFUSED (the operator must look), CORRUPT
 * (it is not the file that it was).
 */
#ifndef COORDINATOR_REMOTE_H
#define COORDINATOR_REMOTE_H

#include "common/err.h"
#include "coordinator/config.h"

#include <poll.h>

#define REMOTE_TAG 160u
#define REMOTE_READ_LIMIT (UINT32_C(4) << 20)
#define REMOTE_SOCKETS 4u

struct remote;

struct remote_answer {
	uint32_t ticket;
	int result;   /* 1: all is there; -1: *why says why not */
	bool changed; /* -1: the file is another than at the first look */
	struct err why;
	uint64_t size;	      /* of a look */
	char tag[REMOTE_TAG]; /* of a look; "": cannot be told */
};

/*
 * Connects to nobody yet. `d` has the URL of the file itself, and the options
 * that transport_open would take; nothing else of it counts.
 */
int remote_open(const struct destination_config *d, struct remote **out,
    struct err *e) CHECKED;
void remote_close(struct remote *r);
/* REFUSED when the URL or an option is of no use; connects to nobody. */
int remote_check(const struct destination_config *d, struct err *e) CHECKED;

/* May another read or look begin? */
bool remote_has_room(const struct remote *r);
/* Begins to find out size and tag. */
int remote_look(struct remote *r, uint32_t *ticket, struct err *e) CHECKED;
/*
 * Only the version with this tag will do from now on ("": any); a look that
 * finds another one is answered with `changed`.
 */
void remote_expect(struct remote *r, uint64_t size, const char *tag);
/*
 * Begins to read exactly [off, off + len) of the expected version, of at most
 * REMOTE_READ_LIMIT bytes, into the file `fd` from its beginning. `fd` is
 * borrowed until the answer.
 */
int remote_read(struct remote *r, uint64_t off, uint32_t len, int fd,
    uint32_t *ticket, struct err *e) CHECKED;
/* Takes one answer; false: none has come yet. */
bool remote_next(struct remote *r, struct remote_answer *out);
/* What to poll for answers, at most REMOTE_SOCKETS; returns how many. Look
 * again after half a second even so. */
uint32_t remote_sockets(const struct remote *r, struct pollfd *out);

/* ---- for the kinds ---- */

struct remote_ops {
	bool (*has_room)(const struct remote *r);
	int (*look)(struct remote *r, uint32_t ticket, struct err *e);
	int (*read)(struct remote *r, uint64_t off, uint32_t len, int fd,
	    uint32_t ticket, struct err *e);
	bool (*next)(struct remote *r, struct remote_answer *out);
	uint32_t (*sockets)(const struct remote *r, struct pollfd *out);
	void (*close)(struct remote *r);
};

struct remote {
	const struct remote_ops *ops;
	uint32_t last_ticket;
	uint64_t size;	      /* that is expected; see `expected` */
	char tag[REMOTE_TAG]; /* that is expected; "": any */
	bool expected;
	char url[2048]; /* for messages */
};

/* A look has found this: is it what is expected? Fills `out`. */
void remote_found(struct remote *r, uint64_t size, const char *tag,
    struct remote_answer *out);
/* It is another version than is expected. */
void remote_is_changed(const struct remote *r, struct remote_answer *out);

/* Each takes the URL apart, and checks all that can be. */
int remote_here_open(
    const char *path, struct remote **out, struct err *e) CHECKED;
int remote_sftp_open(const struct destination_config *d, const char *name,
    struct remote **out, struct err *e) CHECKED;
int remote_http_open(const struct destination_config *d, const char *name,
    struct remote **out, struct err *e) CHECKED;

#endif
