/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: what the parts of the source role share. The role owns the end of
 * a stream: it alone makes journal files, opens epochs, and prunes.
 *
 *   source.c  open, pass, wait, close        tip.c     where the stream ends
 *   seal.c    captured runs -> files         break.c   what ends an epoch
 *   copyin.c  jobs -> copy-ins               prune.c   files nobody needs
 *   copyin_compare.c  what need not be copied in
 *   cool.c    marks of the activity log that are no longer needed
 *   passing.c writes that pass while the spool is full
 *   source_cut.c    the cuts of a layout
 *   source_projected.c  what projections of the stream still need
 *   source_commit.c  flushes that wait for mirrors
 *   source_spool.c  alarms before the spool is full
 *   source_note.c  state/<group>.source
 */
#ifndef COORDINATOR_SOURCE_H
#define COORDINATOR_SOURCE_H

#include "aimdriver/capture.h"
#include "coordinator/backoff.h"
#include "coordinator/compare.h"
#include "coordinator/extents.h"
#include "coordinator/job.h"
#include "coordinator/need.h"
#include "coordinator/projection.h"
#include "coordinator/roles.h"
#include "coordinator/sealed.h"
#include "fileformat/ack.h"
#include "fileformat/crypt.h"

#include <sys/types.h>
#include <time.h>

#define SOURCE_REASON 160

/* A reader's place in the stream, for sums of bytes without a list of files:
 * `at` is the last file that has been counted. */
struct walk {
	struct position at;
	bool in_copyin; /* one is open after `at` */
};

/* What a pass consists of; each part has its own trouble. */
enum source_part {
	PART_SEAL,
	PART_COPYIN,
	PART_HEARTBEAT,
	PART_CLOSE,
	PART_COOL,
	PART_CUT,
	PART_PASSING,
	PART_PRUNE,
	SOURCE_PARTS,
};
/* A part's result beside 1, 0 and -1: it was not the time to try. */
#define PART_NOT_NOW 2

/* A round of taking marks away (cool.c). */
struct cooling {
	bool under_way;
	struct extents cooled;
	uint64_t upto;	  /* transactions that must be durable */
	uint64_t next_ns; /* monotonic: not before */
	uint64_t keep;	  /* so many marks do not matter */
	uint32_t rest_ms; /* from cooling to taking away, and between rounds */
};

/* Mode PASSTHROUGH as the coordinator sees it (passing.c). */
struct passing {
	bool on, was_off;
	uint64_t acks;	   /* counters of all acknowledgements, before it */
	uint64_t next_ns;  /* monotonic: it is not left before */
	uint32_t wait_ms;  /* doubled by each recovery that failed */
	const char *event; /* to be told once; NULL: none */
};

/* A projection that some destinations get, as far as it is known here. */
struct projected {
	struct uuid stream;
	struct projection_note note;
};

/* Flushes that wait for mirrors (source_commit.c). */
struct commit_member {
	bool counts; /* the policy names it */
	bool known;  /* `ack` is what is saved now */
	struct ack ack;
	ino_t ino;
	struct timespec mtime;
};
struct committing {
	struct commit_member *members; /* one for each destination */
	uint64_t *at;
	uint32_t needed;
	uint64_t published;
	bool told;		/* that, by us */
	bool late;		/* it was said */
	uint64_t mark, mark_ns; /* the end of the stream, some time ago */
	const char *event;	/* to be told once; NULL: none */
};

/* Alarms of the spool (source_spool.c). */
struct spooling {
	uint32_t level; /* thresholds that are reached */
	bool old;	/* so is the age */
	uint64_t next_ns;
	char event[160], told[160];
};

/* A recovery by digest (copyin_compare.c). */
struct compare_target;
struct comparing {
	uint64_t number;	       /* of its BEGIN; 0: none is known */
	struct compare_list *list;     /* what is compared */
	struct position fork;	       /* a mirror's image must be this */
	struct compare_target *target; /* one for each destination */
	struct summer summer;
	uint8_t *room;	   /* a grain */
	uint64_t begun_ns; /* wall clock */
	bool waits, over;
	char why[160];		/* it is over */
	uint64_t equal, copied; /* bytes of the copy-in under way, or last */
};

struct source {
	struct home *home;
	struct group_config group; /* without its volumes */
	struct destination_config *destinations;
	struct job *jobs; /* one for each destination */
	uint32_t count;
	uint64_t jobs_ns;	     /* monotonic: when they were loaded */
	struct projected *projected; /* one for each such stream */
	uint32_t projected_count;
	uint64_t projected_ns; /* monotonic: when it was looked at */

	struct capture *capture;
	uint32_t volume_count;
	struct journal_volume *volumes;
	uint64_t *sizes;
	struct uuid *targets;
	uint8_t *room; /* CAPTURE_CHUNK */

	struct group_key key; /* when group.encrypted */
	struct sealed sealed;
	struct sealed_file tip; /* tip.at nil: no file yet */
	bool tip_unsure;	/* a rename or its sync failed: look again */
	bool tip_free;		/* nobody needs it any more; as last seen */
	struct sealed_file oldest;
	struct walk counted_out; /* the file before the oldest */
	uint64_t files;
	uint64_t spool_bytes; /* in sealed/, copied-in content left out */
	bool held;	      /* mirrors hold back what they have stored */
	bool sent_known;      /* the next two are so */
	struct walk sent;     /* up to where all have stored */
	uint64_t sent_bytes;  /* of spool_bytes, up to there */
	uint64_t first_seen, first_seen_ns; /* oldest unsealed transaction */

	bool breaking;	   /* the next file opens an epoch */
	bool must_break;   /* seal nothing before break_run has succeeded */
	bool gap;	   /* seal up to a gap, then break */
	bool break_marked; /* what is marked is all that may be missing */
	bool break_passed; /* and all else that was captured is sealed */
	bool rest_kept;	   /* what a copy-in had still to do is in `extents` */
	char break_reason[SOURCE_REASON];
	uint64_t break_ns; /* monotonic: the last one; 0: none yet */
	uint32_t break_wait_ms;

	struct walk window; /* up to where all targets have stored */
	bool window_known;
	uint64_t window_bytes; /* copied in beyond that, in sealed files */
	uint64_t window_limit; /* of those and what is not sealed */
	uint64_t saved_bytes;  /* copied in since progress was stored */
	struct backoff copyin_backoff;
	bool recovering;	/* until every recovery's END is durable */
	struct extents extents; /* what they copy in */
	struct comparing comparing;
	struct cooling cooling;
	struct passing passing;
	struct committing commit;
	struct spooling spool;

	/* of a layout (source_cut.c) */
	uint64_t cut;	  /* announced last since the role began */
	uint64_t content; /* last transaction sealed that is no cut */
	uint64_t cut_ns;  /* monotonic: not before */

	uint64_t prune_ns;	/* monotonic: next look */
	uint64_t flushed;	/* volumes flushed past this transaction */
	uint64_t retention_ns;	/* monotonic: since when ages are believed */
	int64_t wall_offset_ns; /* wall clock - monotonic, as last seen */

	uint64_t heartbeat_ns; /* monotonic: of the last transaction */
	uint64_t heartbeat_wall_ns;
	uint64_t heartbeat_reserved;
	uint64_t idle_reserved, idle_ns; /* for closing the group */
	uint64_t note_ns;
	struct err trouble[SOURCE_PARTS]; /* kind 0: none */
};

bool source_has_tip(const struct source *s);
/*
 * Bytes that wait here, for the spool limit. The last file is never pruned:
 * once nobody needs it, it does not count alone, or a spool smaller than that
 * would be full for ever. While mirrors hold back what comes after a break,
 * until the recovery's END, what they have stored does not count, or there
 * would never be room for that recovery.
 */
uint64_t source_spool(const struct source *s);
/* The gravest trouble there is; NULL: none. */
const struct err *source_trouble(const struct source *s);
/* Loads all jobs unless that was done a moment ago and !now. */
int source_jobs(struct source *s, bool now, struct err *e) CHECKED;

/* ---- tip.c ---- */
/*
 * The newest file of the folder, verified whole against `key`; ends->count 0
 * when there is none. REFUSED with advice when it is damaged: a stream is
 * never continued from a file that cannot be believed. Unfinished files are
 * removed, and names made durable.
 */
int tip_load(struct sealed *sealed, const struct sign_public *key,
    struct sealed_ends *ends, struct sealed_file *out, struct err *e) CHECKED;
/* Finds tip, oldest file and sums; tells the capture core what is sealed. */
int source_find_tip(struct source *s, struct err *e) CHECKED;

/* ---- seal.c ---- */
/* Seals one file if one is due, or, with `all`, if anything is settled: 1, 0,
 * -1. Sets must_break when what was captured cannot be believed. */
int seal_one(struct source *s, bool all, struct err *e) CHECKED;

/* ---- break.c ---- */
/* At open: was there a break that is not yet in the stream, or is there one
 * now? */
int break_open(struct source *s, struct err *e) CHECKED;
/* Looks for one in a pass. */
void break_look(struct source *s);
/* RETRY while the last break is so fresh that what caused it must be there
 * still; each one that follows at once doubles the wait (rule 9.11). */
int break_may(const struct source *s, struct err *e) CHECKED;
/* Notes the break durably, queues recoveries, lets capture begin again. */
int break_run(struct source *s, struct err *e) CHECKED;
/* The file that opens the new epoch is durable. */
int break_sealed(struct source *s, struct err *e) CHECKED;

/* ---- copyin.c ---- */
#define COPYIN_WINDOW (UINT64_C(256) << 20)
/* Begins, goes on with, or ends a copy-in: 1 when something was done, 0, -1,
 * or PART_NOT_NOW. */
int copyin_step(struct source *s, struct err *e) CHECKED;
/* A file with so many stored bytes of copied-in content was sealed. */
void copyin_sealed(struct source *s, uint64_t bytes);
/* Stores how far the running one is. */
int copyin_save(struct source *s, struct err *e) CHECKED;
/* The job that is running (all that run share one copy-in); NULL: none. */
const struct job *copyin_running(const struct source *s);
bool copyin_pending(const struct source *s); /* queued or running */
/* Done part of the running copy-in, 0..100. */
uint32_t copyin_percent(const struct source *s);

/* ---- copyin_compare.c ---- */
/*
 * What is to be done at `off` of the volume that j is at? 1: *equal bytes are
 * at every mirror, or, if that is 0, all up to *end, which may become less,
 * has to be copied in. 0: it is not known yet. -1.
 */
int copyin_compare(struct source *s, const struct job *j, uint64_t off,
    uint64_t *end, uint64_t *equal, struct err *e) CHECKED;
void copyin_compare_close(struct source *s);
/* For people: "" when no recovery is compared. */
const char *copyin_compare_state(const struct source *s);

/* ---- cool.c ---- */
/* One step of design 9.10; also lets go of the extents of a recovery whose END
 * is durable: 1, 0, -1, or PART_NOT_NOW. */
int cool_step(struct source *s, struct err *e) CHECKED;

/* ---- passing.c ---- */
/* Design 9.11: notices that writes pass, and begins a new epoch once there is
 * room again: 1, 0, -1, or PART_NOT_NOW. */
int passing_step(struct source *s, struct err *e) CHECKED;
/* Works out held, sent and sent_bytes afresh. */
int passing_look(struct source *s, struct err *e) CHECKED;
/* The oldest file, with `kept` bytes of the spool, goes. */
void passing_pruned(struct source *s, uint64_t kept);
/* A recovery is complete: the next one waits no longer than the first. */
void passing_recovered(struct source *s);
/*
 * Nothing of the stream is missing, so what a copy-in under way has brought is
 * good: what it has not brought yet is noted, durably, for the next one. Sets
 * rest_kept.
 */
int passing_keep_rest(struct source *s, struct err *e) CHECKED;

/* ---- source_commit.c ---- */
/* Tells the capture core the group's policy. */
int commit_open(struct source *s, struct err *e) CHECKED;
void commit_close(struct source *s);
/* Tells it up to where mirrors have the stream, and whether that is in time. */
void commit_step(struct source *s);
/* Before writes are captured again: nothing is committed. */
void commit_break(struct source *s);
/* As source_event. */
const char *commit_event(struct source *s);

/* ---- source_spool.c ---- */
/* What was raised before. */
void spool_open(struct source *s);
/* Looks whether an alarm is to be raised, or cleared. */
void spool_step(struct source *s);
/* As source_event. */
const char *spool_event(struct source *s);

/* ---- prune.c ---- */
/* Removes what nobody needs: 1 when something was removed, 0, -1, or
 * PART_NOT_NOW. */
int prune_step(struct source *s, bool now, struct err *e) CHECKED;

/* ---- source_projected.c ---- */
int projected_open(struct source *s, struct err *e) CHECKED;
/* Reads anew how far they are, unless that was done a moment ago and !now. */
void projected_look(struct source *s, bool now);
/* What destination i gets is a projection; NULL: the group's own files. */
const struct projected *projected_of(const struct source *s, uint32_t i);
/* Up to where destination i needs the group's files no more, for it has stored
 * them, or its projection stands behind them; nil: nothing. */
void projected_stored(const struct source *s, uint32_t i, struct position *out);
/* What it needs of them. */
int projected_hold(
    struct source *s, uint32_t i, struct file_hold *out, struct err *e) CHECKED;
/* Bytes that wait in their files, for the spool limit; and those of a copy-in
 * that its targets have not stored. */
uint64_t projected_spool(const struct source *s, bool held);
uint64_t projected_copyin(const struct source *s);

/* ---- source_cut.c ---- */
/* Announces a cut when enough members of the group's layout have stored more:
 * 1, 0, -1, or PART_NOT_NOW. */
int cut_step(struct source *s, struct err *e) CHECKED;

/* ---- source_note.c ---- */
void source_note(struct source *s, bool now);

#endif
