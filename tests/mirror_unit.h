/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror_unit: a mirror's site in a folder of its own, with a source in a box
 * (stream_maker.h) whose files lie in made/ until a test delivers them.
 */
#ifndef TESTS_MIRROR_UNIT_H
#define TESTS_MIRROR_UNIT_H

#include "coordinator/home.h"
#include "coordinator/mirror_state.h"
#include "coordinator/roles.h"
#include "tests/stream_maker.h"
#include "tests/unit.h"

struct mirror_unit {
	struct unit_dir dir; /* home/ in/ made/ v0 v1 */
	struct home home;
	int made, in, ack; /* in: DIR/<stream> */
	struct mirror_volume_config volumes[MAKER_VOLUMES];
	struct mirror_config config;
	struct maker maker;
};

/* Volumes of `size` bytes, mirrors made and zero. */
void mirror_unit_make(struct mirror_unit *u, uint64_t seed, uint64_t size);
void mirror_unit_drop(struct mirror_unit *u);
/* Back to the beginning: no state, nothing received, mirrors zero. */
void mirror_unit_reset(struct mirror_unit *u);

/* Copies file `i` (or other bytes) into the incoming folder. */
void deliver(struct mirror_unit *u, uint32_t i);
void deliver_all(struct mirror_unit *u);
void deliver_bytes(
    struct mirror_unit *u, const char *name, const void *bytes, size_t len);
/* The bytes of file `i`; free() them. */
uint8_t *made_bytes(struct mirror_unit *u, uint32_t i, size_t *len);

/* Opens the role, lets it do all it can, closes it: the last result. */
int run_receive(struct mirror_unit *u, struct err *e);
int run_apply(struct mirror_unit *u, struct err *e);
/* Both in turn until neither has anything to do; must not fail. */
void run_both(struct mirror_unit *u);

void load_state(struct mirror_unit *u, struct mirror_state *out);
/* The acknowledgement, which must be whole and rightly signed. */
void load_ack(struct mirror_unit *u, struct ack *out);
bool has_ack(struct mirror_unit *u);

/* The mirror is byte for byte what it must be at the end of file `i`. */
void mirror_is(struct mirror_unit *u, uint32_t i);
/* ... of the file at which its state says that it is, CLEAN. */
void mirror_is_clean(struct mirror_unit *u);
/* CLEAN at file `i`, and is it. */
void mirror_stands_at(struct mirror_unit *u, uint32_t i);
bool mirror_is_zero(struct mirror_unit *u);

/* Names in a folder of the home ("quarantine", "stage"), . files left out. */
uint32_t count_names(int dir, const char *ending);
/* Does a reason in quarantine/ contain this text? */
bool is_quarantined(struct mirror_unit *u, const char *text);
bool is_in(int dir, const char *name);
/* stage/<mirror> and done/<mirror> */
int open_stage(struct mirror_unit *u);
int open_done(struct mirror_unit *u);

#endif
