/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden: the files of format 1 that every later version must read. All keys,
 * salts, identities and times in them are fixed, so that they can be made
 * again byte for byte (those with zlib or zstd: by the same one).
 */
#ifndef TESTS_DATA_GOLDEN_H
#define TESTS_DATA_GOLDEN_H

#include "common/err.h"

/* Their names; those of journal files end in ".aim". NULL at the end. */
extern const char *const golden_names[];
/* What made those in the repository. */
#define GOLDEN_ZLIB "1.2.13"
#define GOLDEN_ZSTD "1.5.4"

/* Makes them all in a directory that is there. */
int golden_make(int dir, struct err *e) CHECKED;

#endif
