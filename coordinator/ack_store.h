/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ack_store: the last acknowledgement of a destination that was believed, as
 * the bytes that its site signed, in state/<destination>.ack. The ship role
 * writes it; the source role reads it to prune. Nothing is believed because
 * it is on our disk: every load checks the signature again. One thread.
 */
#ifndef COORDINATOR_ACK_STORE_H
#define COORDINATOR_ACK_STORE_H

#include "coordinator/config.h"
#include "coordinator/home.h"
#include "coordinator/sealed.h"
#include "fileformat/ack.h"

/*
 * Decodes an acknowledgement and checks that it is signed by the
 * destination's mirror and names our stream, group, site and that mirror, and
 * that `applied` is not beyond `stored`. CORRUPT or REFUSED says why not.
 */
int ack_read(const struct home *h, const struct destination_config *d,
    const uint8_t *bytes, size_t len, struct ack *out, struct err *e) CHECKED;

/* The saved one: 1, or 0 when there is none, or -1 when it cannot be believed
 * (another will come). */
int ack_load(struct home *h, const struct destination_config *d,
    struct ack *out, struct err *e) CHECKED;

/*
 * Looks at bytes that were fetched: 1 when they are newer than `old` (NULL:
 * none yet), true, and durably saved; 0 when they are `old` itself; -1 when
 * they are forged, of another stream, older than `old`, take back what was
 * applied, or name a place that is not in the stream (faults F49, F50).
 */
int ack_accept(struct home *h, const struct destination_config *d,
    struct sealed *s, const uint8_t *bytes, size_t len, const struct ack *old,
    struct ack *out, struct err *e) CHECKED;

#endif
