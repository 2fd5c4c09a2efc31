/* SPDX-License-Identifier: Apache-2.0 */
/* filter: the program of the tripwire; x86-64. */
#ifndef AIMDRIVER_PRELOAD_FILTER_H
#define AIMDRIVER_PRELOAD_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

/* The page that writes may come from, the same in every process, and for
 * good: a filter outlives the program that set it. */
#define FILTER_GATE 0x6a7200000000L
#define FILTER_GATE_LEN 4096
/* In siginfo's si_errno: that the trap is ours. */
#define FILTER_OURS 0xa1d

enum { FILTER_MAX = 96 };

/* Fills in the program, returns its length. `opens`: traps what opens with
 * O_TRUNC, too. */
unsigned short filter_make(struct sock_filter out[FILTER_MAX], bool opens);

#endif
