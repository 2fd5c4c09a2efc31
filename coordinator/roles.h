/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles: the workers of a coordinator. Each configured thing has one: a source
 * group (seal, copy-in, heartbeat, prune), a projection of it (what some
 * destinations get in its place), a destination (ship, fetch its
 * acknowledgement), a mirror's receiver (receive, verify, stage, publish the
 * acknowledgement), where it pulls its fetcher (get files, put the
 * acknowledgement), and a mirror's redriver (apply). The supervisor runs each
 * in a child process of its own, so that one that hangs or dies hurts nobody;
 * they share nothing but files in the home, and learn of each other's
 * progress by inotify, with a time-out as the truth. `--once` calls the
 * *_pass functions one after the other.
 *
 * *_open takes what was left by any crash and puts it right. *_pass does all
 * that can be done now: 1 when it did something, 0 when there was nothing to
 * do, -1 (RETRY: again after a while; anything else: the operator must look;
 * either way what was done stays done). *_wait sleeps until there may be more
 * to do, at most wait_ms. *_close gives everything back. One thread each.
 *
 * A role keeps its status file (home.h) up to date itself.
 */
#ifndef COORDINATOR_ROLES_H
#define COORDINATOR_ROLES_H

#include "coordinator/config.h"
#include "coordinator/home.h"

/*
 * ---- source (source.c, seal.c, copyin.c, prune.c) ----
 *
 * state/<group>.source: state (unprotected base streaming stalled unclean
 * suspect), reason (of the last break), trouble ("" when there is none), mode
 * (off on passthrough), captured (all up to here complete), reserved, sealed
 * (transactions), sealed_time_ns (wall clock of that one), epoch, sequence (of
 * the tip), oldest (first transaction still in sealed/), files,
 * unsealed_bytes, unsealed_ns (wall clock of the oldest unsealed; 0: none),
 * spool_bytes, spool_limit, waiting (writers), attached, unclean, break (0 or
 * 1), copyin (0 or 1), copyin_percent, copyin_begin, heartbeat_ns, updated_ns
 * (wall clock).
 */
struct source;
/* `destinations`: those of this group, `count` of them. */
int source_open(struct home *h, const struct group_config *g,
    const struct destination_config *destinations, uint32_t count,
    struct source **out, struct err *e) CHECKED;
int source_pass(struct source *s, struct err *e) CHECKED;
/* What has happened that the operator should find later; NULL: nothing new. */
const char *source_event(struct source *s);
void source_wait(struct source *s, uint32_t wait_ms);
void source_close(struct source *s);
/* Seals everything that is settled now, whatever its age, and prunes. */
int source_seal_all(struct source *s, struct err *e) CHECKED;
/* Clean shutdown: seals all, closes the group cleanly if nobody writes. -1
 * too when something else (a copy-in, pruning) was in trouble at the end. */
int source_finish(struct source *s, struct err *e) CHECKED;

/*
 * ---- projection (project*.c) ----
 *
 * state/<stream>.project: error ("" when there is none), epoch, sequence, last
 * (of the group's files: where it stands), files, spool_bytes, sent_bytes,
 * copyin_bytes, transactions_in, transactions_out, bytes_in, bytes_out,
 * updated_ns: see projection_note.
 */
struct project;
/* `destinations`: those of the group, of which it takes its own. */
int project_open(struct home *h, const struct group_config *g,
    const struct projection_config *c,
    const struct destination_config *destinations, uint32_t count,
    struct project **out, struct err *e) CHECKED;
int project_pass(struct project *p, struct err *e) CHECKED;
void project_wait(struct project *p, uint32_t wait_ms);
void project_close(struct project *p);

/*
 * ---- destination (ship.c, transport*.c) ----
 *
 * state/<destination>.ship: state (unprotected base inconsistent streaming
 * paused stalled unclean suspect), error ("" when there is none), ack_state,
 * reason (the mirror's own words), consistent (0 or 1), stored, applied, sent,
 * sealed (transactions), applied_time_ns (source's clock), ack_time_ns (the
 * mirror site's clock), free_bytes (there), lag_files, lag_bytes, lag_seconds,
 * oldest_ns (wall clock of the oldest transaction not applied; 0: none: lag
 * for whoever reads later), attempts, next_retry (wall clock, ns; 0: none),
 * updated_ns.
 */
struct ship;
int ship_open(struct home *h, const struct destination_config *d,
    struct ship **out, struct err *e) CHECKED;
/* Of a hub or a relay: all `count` destinations of its owner, lent. */
void ship_share(
    struct ship *s, const struct destination_config *all, uint32_t count);
/* Of a mirror or relay that passes files on: that one, lent. */
void ship_forward(struct ship *s, const struct mirror_config *m);
int ship_pass(struct ship *s, struct err *e) CHECKED;
void ship_wait(struct ship *s, uint32_t wait_ms);
void ship_close(struct ship *s);

/* ---- mirror: receiver (receive.c) ---- */
struct receive;
int receive_open(struct home *h, const struct mirror_config *m,
    struct receive **out, struct err *e) CHECKED;
int receive_pass(struct receive *r, struct err *e) CHECKED;
void receive_wait(struct receive *r, uint32_t wait_ms);
/* As source_event. */
const char *receive_event(struct receive *r);
void receive_close(struct receive *r);

/*
 * ---- mirror: fetcher (fetch*.c), where it pulls ----
 *
 * state/<mirror>.fetch: state (streaming stalled paused), error ("" when there
 * is none), from (URL), files, bytes (fetched since it began), reached_ns (wall
 * clock: the place answered last), got_ns (a file came last; 0: none),
 * next_retry (wall clock, ns; 0: none), updated_ns.
 */
struct fetch;
int fetch_open(struct home *h, const struct mirror_config *m,
    struct fetch **out, struct err *e) CHECKED;
int fetch_pass(struct fetch *f, struct err *e) CHECKED;
void fetch_wait(struct fetch *f, uint32_t wait_ms);
void fetch_close(struct fetch *f);

/* ---- mirror: redriver (apply.c) ---- */
struct apply;
int apply_open(struct home *h, const struct mirror_config *m,
    struct apply **out, struct err *e) CHECKED;
int apply_pass(struct apply *a, struct err *e) CHECKED;
void apply_wait(struct apply *a, uint32_t wait_ms);
void apply_close(struct apply *a);

#endif
