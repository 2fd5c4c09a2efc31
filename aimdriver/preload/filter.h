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

/* Requests by which descriptors come: XFS' way to open, VFIO's devices, and
 * that by which a supervisor puts one into another process. */
#define FILTER_XFS_OPEN 0xc038586bU
#define FILTER_VFIO_DEVICE 0x3b6aU
#define FILTER_ADD_FD 0x40182103U

enum { FILTER_MAX = 160 };

/* Which calls are traps. */
enum filter_kind {
	FILTER_WRITES,
	FILTER_OPENS,	 /* also what opens with O_TRUNC */
	FILTER_INSTALLS, /* also what known.c minds */
};

/* Fills in the program, returns its length. */
unsigned short filter_make(
    struct sock_filter out[FILTER_MAX], enum filter_kind kind);

#endif
