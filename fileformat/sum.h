/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum: XXH3-64, the checksum against accidents (never against adversaries).
 * Pure, thread safe.
 */
#ifndef FILEFORMAT_SUM_H
#define FILEFORMAT_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t sum_bytes(const void *data, size_t len, uint64_t seed);
/*
 * As if bytes hole..hole+hole_len of the data were zero (they hold the sum
 * itself). hole_len <= 128; the hole lies within the data.
 */
uint64_t sum_with_hole(
    const uint8_t *data, size_t len, size_t hole, size_t hole_len);

/* sum_wide.c, for sum.c: the same sum, where the processor can do it. */
bool sum_wide_works(void);
uint64_t sum_bytes_wide(const void *data, size_t len, uint64_t seed);

#endif
