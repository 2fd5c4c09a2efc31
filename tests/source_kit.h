/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_kit: a home with one group on real files, destinations in a folder,
 * and a mirror that is played: it looks at what has arrived, replays it onto
 * copies, and signs acknowledgements. For the tests of the source's side.
 */
#ifndef TESTS_SOURCE_KIT_H
#define TESTS_SOURCE_KIT_H

#include "coordinator/ack_store.h"
#include "coordinator/job.h"
#include "coordinator/roles.h"
#include "coordinator/sealed.h"
#include "tests/capture_rig.h"
#include "tests/unit.h"

#define KIT_DESTINATIONS 2

struct source_kit {
	struct unit_dir dir;
	struct home home;
	struct rig rig; /* its paths and group, for rig_file */
	struct group_config group;
	struct destination_config destination[KIT_DESTINATIONS];
	struct sign_secret mirror_key[KIT_DESTINATIONS];
	uint64_t counter[KIT_DESTINATIONS];
	uint32_t destinations;
	/* what kit_replay found */
	uint64_t files, transactions, breaks, begins, ends, copied, zeroed;
	struct position end;
};

/* `volumes` files of `size` bytes, filled; mode OFF; DIR with the stream's
 * folder, that destination i sends to: dir/in<i>. */
void kit_open(struct source_kit *k, uint32_t volumes, uint64_t size,
    uint32_t destinations);
void kit_close(struct source_kit *k);

struct source *kit_source(struct source_kit *k);
struct ship *kit_ship(struct source_kit *k, uint32_t i);
/* Passes until there is nothing left to do; fails the test on errors. */
void kit_pass(struct source *s);
void kit_ship_pass(struct ship *s);
/* Queues a base for all destinations. */
void kit_base(struct source_kit *k);

/*
 * Verifies the chain of all files in `dir` from the first on, replays them
 * onto fresh copies, and returns false when the copies differ from the
 * volumes (it may be too early). Anything that is wrong fails the test.
 */
bool kit_replay(struct source_kit *k, int dir);
/* The same, going on from where the last call ended. */
bool kit_follow(struct source_kit *k, int dir);

/* Destination i acknowledges: both may be nil. Published in its DIR. */
void kit_ack(struct source_kit *k, uint32_t i, const struct position *stored,
    const struct position *applied);
/* The bytes of such an acknowledgement, changed by the caller at will. */
void kit_fill_ack(struct source_kit *k, uint32_t i, struct ack *out);
void kit_publish(struct source_kit *k, uint32_t i, const struct ack *a,
    const struct sign_secret *key);
/* As if it had been fetched and believed. */
void kit_save_ack(struct source_kit *k, uint32_t i, const struct ack *a);

/* The place where file number n (from 1) of the folder ends. */
void kit_position(struct source_kit *k, uint64_t n, struct position *out);
uint64_t kit_count(int dir);

#endif
