/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sftp_worker: one SFTP connection in a process of its own (transfer.h): one
 * ask (with a file's descriptor, when it needs one), one answer (with what was
 * fetched behind it, for GET).
 */
#ifndef COORDINATOR_SFTP_WORKER_H
#define COORDINATOR_SFTP_WORKER_H

#include "coordinator/sftp_url.h"
#include "coordinator/transfer.h"
#include "coordinator/transport.h"

#include <stddef.h>

struct sftp_setup {
	struct sftp_url url;
	char url_text[2048]; /* for messages */
	char key_file[PATH_MAX], known_hosts[PATH_MAX];
};

enum sftp_ask_op {
	SFTP_PUT = 1, /* the descriptor is read */
	SFTP_GET,
	SFTP_REPLACE, /* as PUT, over what is there */
	SFTP_FETCH,   /* as GET, into the descriptor */
	SFTP_HAS,
	SFTP_REMOVE,
	SFTP_MAKE_FOLDER,
	SFTP_LOOK, /* only its size and time of change */
	SFTP_READ, /* just `len` bytes from `off`, into the descriptor */
};

struct sftp_ask {
	enum sftp_ask_op op;
	uint64_t len; /* of the file; GET, FETCH: at most */
	uint64_t off; /* READ */
	char name[TRANSPORT_NAME_LIMIT];
};

struct sftp_answer {
	int result; /* as transport put and get */
	enum err_kind kind;
	uint32_t len;  /* bytes that follow */
	uint64_t got;  /* FETCH, READ: bytes that were written */
	uint64_t size; /* LOOK: of the file */
	int64_t time;  /* LOOK, READ: of change, in seconds; -1: unknown */
	char text[400];
	uint8_t data[TRANSPORT_GET_LIMIT];
};
#define SFTP_AT_ONCE 3 /* processes, each with a connection */
#define SFTP_ANSWER_HEAD offsetof(struct sftp_answer, data)

/* Serves asks until `sock` is closed; `setup`: struct sftp_setup. */
transfer_fn sftp_worker_run;

/* For the worker: text and kind from what the library says. */
int sftp_explain(int code, const char *detail, enum sftp_ask_op op,
    const struct sftp_setup *s, struct err *e);

#endif
