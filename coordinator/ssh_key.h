/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_key: what AIM must know of OpenSSH's key files before a connection is
 * made, because the transfer library says little when they do not suit it:
 * RSA does not work with it, and it takes the first line of known_hosts that
 * fits. Reads files; one thread.
 */
#ifndef COORDINATOR_SSH_KEY_H
#define COORDINATOR_SSH_KEY_H

#include "common/buf.h"
#include "common/err.h"

#include <stdint.h>

/* REFUSED unless it is a private key, ours, of mode 0600 or less, of kind
 * Ed25519 or ECDSA and without a passphrase. */
int ssh_key_check(const char *path, struct err *e) CHECKED;

/*
 * Finds the host in a known_hosts file (plain or hashed names) and gives a
 * file of one line with the best key for it: Ed25519 before ECDSA. REFUSED
 * with advice when there is none. `out` may be NULL: check only.
 */
int ssh_known_host(const char *path, const char *host, uint16_t port,
    struct buf *out, struct err *e) CHECKED;

#endif
