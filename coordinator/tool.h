/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool: another program, run without a shell. It gets an environment of its
 * own (PATH and LC_ALL=C), nothing to read, no descriptor but those it is
 * given, and a group of processes that ends with it. Of what it says as much
 * is kept as fits, the rest is thrown away. It dies with the thread that
 * started it.
 */
#ifndef COORDINATOR_TOOL_H
#define COORDINATOR_TOOL_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOOL_OUT 16384u
#define TOOL_ERR 2048u
#define TOOL_LEAST 8192u

struct tool {
	pid_t pid;    /* 0: none */
	int ended;    /* a pidfd */
	int out, err; /* pipes */
	uint64_t until_ns;
	uint32_t limit_ms;
	/* when it had moved so much, and how long it may stand still */
	uint64_t moved, moved_ns, look_ns;
	uint32_t still_ms;
	size_t out_len, err_len;
	/* with a NUL; those of the last run stay until the next */
	char out_text[TOOL_OUT], err_text[TOOL_ERR];
	bool expired; /* was stopped because its time was over */
	bool still;   /* the same, because it moved too little */
	int status;   /* what it exited with; -1: a signal ended it */
};

struct tool_setup {
	const char *const *argv; /* ends with NULL; [0] is looked for in PATH */
	int cwd;
	const int *keep; /* descriptors that it has under the same number */
	size_t keep_count;
	uint64_t file_limit; /* bytes of a file that it writes; 0: no limit */
	uint32_t limit_ms;   /* then it is stopped */
	/* And when it and its children have read and written less than
	 * TOOL_LEAST in so long; 0: that is not looked at. */
	uint32_t still_ms;
};

void tool_init(struct tool *p);
int tool_start(
    struct tool *p, const struct tool_setup *s, struct err *e) CHECKED;
static inline bool
tool_is_running(const struct tool *p)
{
	return p->pid > 0;
}
/*
 * Waits for one of those that run to end, and cleans up after it: which, or
 * NULL when the time is over. Beats meanwhile (pulse.h).
 */
struct tool *tool_wait(struct tool *const *all, size_t count, uint32_t wait_ms);
/* Bytes that it and its children have read and written so far; false: not
 * known. */
bool tool_moved(const struct tool *p, uint64_t *out);
/* Ends it and all that it has started. */
void tool_stop(struct tool *p);

#endif
