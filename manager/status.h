/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: how every group of a home stands, collected from the files that
 * hold the truth: the capture core's control file, sealed journal files,
 * saved acknowledgements, jobs, mirror states, and the roles' notes. Takes no
 * lock and changes nothing.
 */
#ifndef MANAGER_STATUS_H
#define MANAGER_STATUS_H

#include "aimdriver/capture.h"
#include "aimdriver/logwrites/state.h"
#include "common/buf.h"
#include "common/json.h"
#include "coordinator/catalogue.h"
#include "coordinator/distance.h"
#include "coordinator/job.h"
#include "coordinator/mirror_state.h"
#include "coordinator/projection.h"
#include "fileformat/ack.h"

/* In order of how bad they are; the worst of its parts is a group's. */
enum status_state {
	STATUS_STREAMING = 0,
	STATUS_UNPROTECTED,
	STATUS_PAUSED,
	STATUS_BASE,
	STATUS_STALLED,
	STATUS_INCONSISTENT,
	STATUS_UNCLEAN,
	STATUS_PASSTHROUGH,
	STATUS_SUSPECT,
};
const char *status_state_name(enum status_state s);

#define REASON_LIMIT 512

struct status_destination {
	const struct destination_config *config;
	enum status_state state;
	char reason[REASON_LIMIT]; /* "" when there is nothing to say */
	bool acked;		   /* `ack` is the last valid acknowledgement */
	struct ack ack;
	double ack_age; /* seconds since it came */
	struct job job;
	uint64_t stored, applied; /* transactions */
	/* NULL: it gets the group's own files */
	const struct projection_config *projection;
	struct projection_note projected;
	double lag_seconds;
	uint64_t lag_bytes, lag_files;
	double distance_km; /* < 0: not known */
};

struct status_group {
	const char *name;
	const struct group_config *source;  /* NULL: a mirror */
	const struct mirror_config *mirror; /* NULL: a source */
	enum status_state state;
	char reason[REASON_LIMIT];
	char next[SHELL_WORD + 320]; /* the command to run next; "" for none */
	uint32_t epoch;
	/* source */
	struct capture_status capture;
	char buffer[16]; /* active, no buffer, passthrough, recovering, off */
	uint64_t sealed_files, sealed_bytes;
	bool spool_alarm;
	/* the copy-in under way, or the last one since its role began */
	struct status_compare {
		char state[REASON_LIMIT]; /* what is compared; "": nothing */
		uint64_t equal, copied;	  /* bytes left out, copied */
	} compare;
	uint32_t destination_count;
	struct status_destination *destinations;
	bool has_log;
	struct log_state log; /* the newest write log of it */
	/* mirror */
	uint64_t received, applied;
	bool consistent;
	uint64_t quarantined;
	/* of a relay, or where files are passed on */
	uint64_t spool_files, spool_bytes;
	double distance_km;	  /* of the source's site; < 0: not known */
	uint64_t silent_since_ns; /* the source; wall clock; 0: no alarm */
	/* of a mirror that fetches its files (mirror->pull) */
	struct status_fetch {
		char error[REASON_LIMIT];    /* "" when there is none */
		uint64_t files, bytes;	     /* since its role began */
		uint64_t reached_ns, got_ns; /* wall clock; 0: not yet */
	} fetch;
};

struct status {
	const struct home *home;
	bool coordinated; /* a coordinator is at work */
	bool standby;	  /* one waits to take over */
	uint64_t fence;	  /* of the last coordinator; 0: not known */
	struct snapshot config;
	uint32_t group_count;
	struct status_group *groups;
	char fingerprint[2 * DIGEST_LEN + 1];
};

/* Trouble with a part goes into that part's reason. */
int status_collect(struct home *h, struct status *out, struct err *e) CHECKED;
void status_release(struct status *s);
/* One of its groups, by name, only; NULL when there is none. */
struct status_group *status_group(struct status *s, const char *name);

/* The contract's JSON; `only` NULL for all groups. */
int status_json(const struct status *s, const struct status_group *only,
    struct buf *out, struct err *e) CHECKED;
/* A table of at most 80 columns. */
int status_text(const struct status *s, const struct status_group *only,
    struct buf *out, struct err *e) CHECKED;

/* ---- parts, for status.c and wait ---- */
/* The last valid acknowledgement: 1, 0 when there is none. */
int status_ack(struct home *h, const struct destination_config *d,
    struct ack *out, struct err *e) CHECKED;
/* The last transaction that has arrived at a mirror and been verified. */
int status_received(struct home *h, const struct mirror_config *m,
    const struct mirror_state *s, uint64_t *out, struct err *e) CHECKED;

/* ---- flushes that wait (status_commit.c) ---- */
void status_commit_judge(struct status_group *g);
void status_commit_json(struct json *j, const struct status_group *g);
int status_commit_text(
    const struct status_group *g, struct buf *b, struct err *e) CHECKED;

/* ---- write logs (status_log.c) ---- */
/* When all else is known of a source. */
void status_log_collect(struct home *h, struct status_group *g);
/* True: it has said what to do next. */
bool status_log_advise(const struct status *s, struct status_group *g);
void status_log_json(struct json *j, const struct status_group *g);

#endif
