/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums_store: the pages of sums that a destination's mirror has sent for a
 * recovery, as its site signed them, in state/<destination>.sums, page n at
 * n * SUMS_LIMIT. The ship role writes it, the source role reads it. Nothing
 * is believed because it is on our disk: signature and all that the page names
 * are looked at each time, so a write that was torn is a page that is not
 * there, and nothing is synced. One thread each.
 */
#ifndef COORDINATOR_SUMS_STORE_H
#define COORDINATOR_SUMS_STORE_H

#include "coordinator/config.h"
#include "coordinator/home.h"
#include "fileformat/sums.h"

/*
 * Is it page number `page` of this destination's mirror, signed by its site,
 * for the copy-in that begins with the file that ends at `begin`? 1; 0 no, but
 * right for another copy-in or place; -1 (CORRUPT, REFUSED: why not).
 */
int sums_read(const struct home *h, const struct destination_config *d,
    const struct position *begin, uint32_t page, const uint8_t *bytes,
    size_t len, struct sums *out, struct err *e) CHECKED;

/* 1 and opened; 0 when it is not there, and is not to be made; -1. */
int sums_store_open(struct home *h, const struct destination_config *d,
    bool make, int *fd, struct err *e) CHECKED;
int sums_store_put(int fd, uint32_t page, const uint8_t *bytes, size_t len,
    struct err *e) CHECKED;
/* 1 and the page, 0 when it is not there, -1. `bytes` has SUMS_LIMIT. */
int sums_store_get(const struct home *h, const struct destination_config *d,
    int fd, const struct position *begin, uint32_t page, uint8_t *bytes,
    struct sums *out, struct err *e) CHECKED;
/* Also when it is missing already. */
void sums_store_drop(struct home *h, const struct destination_config *d);

#endif
