/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: what the catalogue says, as plain structs handed to the roles.
 * A role copies what it is given; a change of configuration restarts it.
 */
#ifndef COORDINATOR_CONFIG_H
#define COORDINATOR_CONFIG_H

#include "aimdriver/capture.h"
#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/layout.h"
#include "coordinator/commit.h"
#include "coordinator/hook.h"
#include "fileformat/pairing.h"
#include "fileformat/sign.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct volume_config {
	char name[NAME_LIMIT];
	struct uuid uuid;
	enum volume_kind kind;
	uint64_t size; /* when it was added */
	char path[PATH_MAX];
};

/* When the spool of a group raises an alarm. */
struct spool_warn {
	uint32_t count;
	uint32_t percent[8]; /* of the limit, ascending */
	uint32_t age_s;	     /* the oldest that waits; 0: never */
};

/* A group of which this site is the source. */
struct group_config {
	char name[NAME_LIMIT];
	struct uuid uuid, stream;
	uint64_t spool_limit; /* bytes; 0: none */
	enum capture_policy spool_policy;
	uint32_t seal_age_ms;  /* default 1000 */
	uint32_t heartbeat_ms; /* default 30000 */
	uint32_t retention_ms; /* least age of a file before it is pruned */
	/* How long a recovery waits for sums of a mirror that does not come
	 * nearer; 0: it compares nothing. */
	uint32_t compare_wait_ms;
	bool compare_asked; /* that was set by the operator */
	enum codec codec;
	int codec_level;	    /* 0: the codec's default */
	bool exported;		    /* its volumes are fixed */
	bool encrypted;		    /* has a current key, for ever */
	uint8_t key_id[KEY_ID_LEN]; /* that one */
	struct commit_config commit;
	struct spool_warn spool_warn;
	uint32_t volume_count;
	struct volume_config *volumes; /* owned by the catalogue snapshot */
};

/* What becomes of writes that are written over before they are sent. */
enum fold_mode { FOLD_NONE = 0, FOLD_WITHIN, FOLD_LAGGING };

/* What a projection takes of a volume. */
struct projection_part {
	uint32_t volume;   /* of the group, by its place there */
	uint64_t off, len; /* bytes; len 0: all of it */
};

/*
 * Another stream that is made from the group's own: what some destinations get
 * in its place. Nobody else makes files of that stream.
 */
struct projection_config {
	char name[NAME_LIMIT];
	struct uuid group, stream;
	enum fold_mode fold;
	enum codec codec; /* the group's, unless it was given its own */
	int codec_level;
	struct layout layout; /* members 0: none; else the group's */
	uint32_t member;      /* of it, from 0; its name is that one's */
	uint32_t part_count;  /* 1 or more, no volume twice */
	struct projection_part *parts; /* in the order of the volumes; owned by
					* the catalogue snapshot */
};

#define ALARM_SILENCE_MS 300000u /* unless the operator says otherwise */

/* HOP: as soon as the relay before it has stored it. */
enum prune_at { PRUNE_APPLIED = 1, PRUNE_STORED = 2, PRUNE_HOP = 3 };

struct destination_config {
	char name[NAME_LIMIT];
	struct uuid uuid;
	/* Whose it is: a group, or the mirror or relay that passes it on. */
	struct uuid owner;
	bool forward; /* of a mirror or relay */
	struct uuid group;
	struct uuid stream; /* the group's, or that of a projection of it */
	struct uuid source_site;	 /* nil: this one */
	struct uuid mirror, mirror_site; /* from the pairing text */
	struct sign_public mirror_key;
	char mirror_site_name[NAME_LIMIT];
	char url[2048];	    /* see transport.h for the schemes */
	char ack_url[2048]; /* "" : the same */
	char key_file[PATH_MAX], known_hosts[PATH_MAX], ack_key_file[PATH_MAX];
	bool paused;
	enum prune_at prune_at;
	/* What only some transports have: see destination_option.h. */
	char ca_file[PATH_MAX], credentials_file[PATH_MAX];
	char ack_credentials_file[PATH_MAX];
	char pin[256], proxy[256];
	char limit[256];    /* see rate.h */
	char retry_at[160]; /* see retry.h */
	char relay[8];	    /* "yes": holds no mirror, passes files on */
	/* Behind another destination of its owner, which sends for it: the
	 * place is that one's. Only the acknowledgement is fetched. */
	char via[NAME_LIMIT];
	/* Where a transport may make a private folder; "": as is usual. */
	char scratch[PATH_MAX];
	/*
	 * The place only holds the files until the mirrors have fetched them:
	 * who sends there clears it, too. Of the destinations of a stream that
	 * are not paused and share such a place the one with rank 0 does it.
	 */
	bool hub;
	uint32_t hub_rank;
	bool commit;		  /* the group's flushes may wait for it */
	struct location location; /* of the mirror's site, from the pairing */
	struct layout layout;	  /* members 0: none; else it is this one: */
	uint32_t member;
};

struct mirror_volume_config {
	char name[NAME_LIMIT];
	struct uuid uuid;
	enum volume_kind source_kind;
	uint64_t size; /* at pairing */
	char path[PATH_MAX];
	enum volume_kind kind; /* of what is at path */
};

/* What becomes of a group's key. A mirror's are all kept. */
enum key_state {
	KEY_NEXT = 1, /* made, not yet used */
	KEY_CURRENT,  /* files are sealed with it */
	KEY_KEPT,     /* for reading */
	KEY_RETIRED,  /* its file is gone; the id never comes again */
};

struct key_config {
	struct uuid group;
	uint8_t id[KEY_ID_LEN];
	enum key_state state;
	uint64_t time_ns; /* when it came here */
};

/* A group of which this site holds a mirror. */
struct mirror_config {
	char group_name[NAME_LIMIT];
	struct uuid uuid; /* the mirror's own */
	struct uuid group, stream, source_site;
	char source_site_name[NAME_LIMIT];
	struct sign_public source_key;
	char incoming[PATH_MAX]; /* DIR; files are in DIR/<stream>/ */
	/* Where files are fetched from and acknowledgements are put; lent by
	 * the snapshot. NULL: others put files into `incoming`. */
	struct destination_config *pull;
	bool fetch_paused, apply_paused;
	uint32_t done_keep; /* applied files kept in done/ */
	/* No mirror: files are kept until the next hops have them. Its volumes
	 * have no paths. */
	bool relay;
	uint64_t spool_limit; /* of a relay, bytes; 0: none */
	/* Where its files are passed on to; lent by the snapshot. */
	const struct destination_config *destinations;
	uint32_t destination_count;
	uint32_t alarm_ms;	  /* silence of the source; 0: never an alarm */
	struct location location; /* of the source's site, from the pairing */
	uint32_t keys; /* of the group, here: a new one restarts its roles */
	uint32_t volume_count;
	struct mirror_volume_config *volumes;
};

#endif
