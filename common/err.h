/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: what went wrong, for programs (kind) and for people (text).
 *
 * A fallible function returns 0 or -1 and takes `struct err *` last. The
 * deepest function fills it, those above add context in front with err_at,
 * and only the top prints it, once. A NULL err is allowed everywhere and
 * throws the text away.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#define CHECKED __attribute__((warn_unused_result))

enum err_kind {
	ERR_NONE = 0,
	ERR_RETRY,   /* may work later: network, busy, interrupted */
	ERR_FULL,    /* no room: disk, segment, quota */
	ERR_CORRUPT, /* bytes that are not what they must be */
	ERR_REFUSED, /* the operator must act or ask differently */
	ERR_FATAL,   /* this object cannot be used any more */
};

struct err {
	enum err_kind kind;
	int sys; /* errno, or 0 */
	char text[512];
};

/* Sets kind and text; always returns -1, so that callers can return it. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As err_set, from errno: ": <strerror>" is added to the text, and the kind
 * follows from the number (FULL for ENOSPC and EDQUOT, RETRY for EAGAIN, EINTR,
 * EBUSY and network errors, REFUSED for missing rights, names and read-only
 * places, FATAL otherwise).
 */
int err_sys(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts context before the text that is there; keeps kind; returns -1. */
int err_at(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

#ifdef __clang_analyzer__
/* It sees one file at a time, so it is told what these return. */
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_at(...) (err_at(__VA_ARGS__), -1)
#endif

#endif
