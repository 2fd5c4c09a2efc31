/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_rig: a home with one group on real files, a driver that writes with
 * pwrite and write, and a sealer that replays what it takes onto copies. For
 * the tests of the capture core.
 */
#ifndef TESTS_CAPTURE_RIG_H
#define TESTS_CAPTURE_RIG_H

#include "aimdriver/capture.h"

#define RIG_VOLUMES 8

struct rig {
	char home[64];
	struct uuid group;
	uint32_t volumes;
	char path[RIG_VOLUMES][128], copy[RIG_VOLUMES][128];
	uint64_t next;	     /* first number not yet replayed */
	uint64_t counts[64]; /* replayed, by operation */
	uint64_t last_time_ns;
	bool no_report; /* do not tell the core what was replayed */
};

/* `volumes` files of `size` bytes; mode OFF. */
void rig_open(struct rig *r, uint32_t volumes, uint64_t size);
/* In another folder than /tmp. */
void rig_open_in(
    struct rig *r, const char *where, uint32_t volumes, uint64_t size);
/* Mode ON, copies as the volumes are now. */
void rig_start(struct rig *r);
void rig_close(struct rig *r);

struct capture *rig_attach(const struct rig *r, unsigned flags);

/* Takes all spans that are ready and replays them onto the copies; returns
 * how many transactions. Fails the test on anything that is not right. */
uint64_t rig_drain(struct rig *r, struct capture *coordinator);
/* Drains until nothing is left, then compares copies with volumes. */
void rig_compare(struct rig *r, struct capture *coordinator);

/* A descriptor of the driver's, and requests through it. */
struct rig_file {
	struct capture *c;
	uint32_t volume;
	int fd;
	int64_t fail; /* the next issue: this -errno without writing */
	uint64_t cut; /* the next issue: writes only so many bytes */
	bool clean;
	bool direct;
	bool give_up; /* interrupted() says so */
};
void rig_file_open(struct rig_file *f, struct capture *c, const struct rig *r,
    uint32_t volume);
void rig_file_close(struct rig_file *f);
int64_t rig_write(
    struct rig_file *f, const void *data, uint64_t len, uint64_t off);
int64_t rig_append(struct rig_file *f, const void *data, uint64_t len);
/* At the file's position. */
int64_t rig_plain_write(struct rig_file *f, const void *data, uint64_t len);
int64_t rig_change(
    struct rig_file *f, enum aim_op op, uint64_t off, uint64_t len);

/* A small generator: the same numbers for the same start. */
uint64_t rig_random(uint64_t *state);
void rig_fill(void *to, uint64_t len, uint64_t seed);

#endif
