/* SPDX-License-Identifier: Apache-2.0 */
/* stored_mend: makes the digest of a journal file's stored bytes right again.
 * The file may be as broken as it likes; only magic and header length count. */
#ifndef TESTS_STORED_MEND_H
#define TESTS_STORED_MEND_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when libcrypto fails. */
void stored_mend(uint8_t *bytes, size_t len);

#endif
