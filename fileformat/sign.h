/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign: Ed25519 and SHA-256 by libcrypto. A key id is the first 16 bytes of
 * SHA-256 of the public key; a fingerprint is all 32. Thread safe. Functions
 * fail (-1, FATAL) only when libcrypto does.
 */
#ifndef FILEFORMAT_SIGN_H
#define FILEFORMAT_SIGN_H

#include "common/err.h"
#include "fileformat/header.h"

#include <stdbool.h>

struct sign_public {
	uint8_t key[32];
};

struct sign_secret {
	uint8_t seed[32];
	struct sign_public pub;
};

int sign_make(struct sign_secret *out, struct err *e) CHECKED;
/* Fills pub from seed. */
int sign_derive(struct sign_secret *s, struct err *e) CHECKED;
void sign_forget(struct sign_secret *s); /* explicit_bzero */
int sign_key_id(const struct sign_public *p, uint8_t out[KEY_ID_LEN],
    struct err *e) CHECKED;
int sign_fingerprint(const struct sign_public *p, uint8_t out[DIGEST_LEN],
    struct err *e) CHECKED;

/* `domain` ("aim journal 1") is signed in front of the bytes, with its NUL,
 * so that no signature can be used for another purpose. */
int sign_bytes(const struct sign_secret *s, const char *domain,
    const void *bytes, size_t len, uint8_t out[SIGNATURE_LEN],
    struct err *e) CHECKED;
/* *valid says whether; -1 only when libcrypto failed. */
int sign_check(const struct sign_public *p, const char *domain,
    const void *bytes, size_t len, const uint8_t signature[SIGNATURE_LEN],
    bool *valid, struct err *e) CHECKED;

int digest_bytes(const void *bytes, size_t len, uint8_t out[DIGEST_LEN],
    struct err *e) CHECKED;

#endif
