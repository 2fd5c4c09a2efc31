/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/ssh_key.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- the private key ---- */

/* One length-prefixed string of OpenSSH's key format. */
static bool
take_string(const uint8_t **at, size_t *left, const uint8_t **s, size_t *len)
{
	size_t n;

	if (*left < 4)
		return false;
	n = (size_t)(*at)[0] << 24 | (size_t)(*at)[1] << 16 |
	    (size_t)(*at)[2] << 8 | (*at)[3];
	if (n > *left - 4)
		return false;
	*s = *at + 4;
	*len = n;
	*at += 4 + n;
	*left -= 4 + n;
	return true;
}

static bool
is_text(const uint8_t *s, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(s, text, len) == 0;
}

/* The beginning of the base64 text that follows the first line, decoded. */
static size_t
decode_beginning(const char *pem, uint8_t *out, size_t room)
{
	char text[512];
	size_t n = 0;
	int len;

	pem = strchr(pem, '\n');
	for (; pem != NULL && *pem != '\0' && *pem != '-'; pem++)
		if (strchr("\r\n \t", *pem) == NULL && n < sizeof(text) - 1)
			text[n++] = *pem;
	n -= n % 4;
	text[n] = '\0';
	if (n == 0 || n / 4 * 3 > room)
		return 0;
	len = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
	return len < 0 ? 0 : (size_t)len;
}

static int
check_openssh(const char *path, const char *pem, struct err *e)
{
	static const char magic[] = "openssh-key-v1"; /* with its NUL */
	uint8_t bytes[400];
	size_t left = decode_beginning(pem, bytes, sizeof(bytes)), len;
	const uint8_t *at = bytes, *s, *blob;

	if (left < sizeof(magic) || memcmp(at, magic, sizeof(magic)) != 0)
		return err_set(
		    e, ERR_REFUSED, "%s is no key that can be read", path);
	at += sizeof(magic);
	left -= sizeof(magic);
	if (!take_string(&at, &left, &s, &len))
		return err_set(e, ERR_REFUSED, "%s is damaged", path);
	if (!is_text(s, len, "none"))
		return err_set(e, ERR_REFUSED,
		    "%s has a passphrase, which nobody is there to type: make "
		    "a key for this alone, ssh-keygen -t ed25519 -N ''",
		    path);
	/* kdf name, kdf options, number of keys, public key */
	if (!take_string(&at, &left, &s, &len) ||
	    !take_string(&at, &left, &s, &len) || left < 8)
		return err_set(e, ERR_REFUSED, "%s is damaged", path);
	blob = at + 8; /* number, length of the public key */
	left -= 8;
	if (!take_string(&blob, &left, &s, &len))
		return err_set(e, ERR_REFUSED, "%s is damaged", path);
	if (is_text(s, len, "ssh-ed25519") ||
	    (len > 11 && memcmp(s, "ecdsa-sha2-", 11) == 0))
		return 0;
	return err_set(e, ERR_REFUSED,
	    "%s is a key of kind %.*s, which does not work here: use Ed25519 "
	    "(ssh-keygen -t ed25519 -N '') or ECDSA",
	    path, (int)(len < 32 ? len : 32), (const char *)s);
}

static int
check_text(const char *path, const char *pem, struct err *e)
{
	if (strncmp(pem, "-----BEGIN OPENSSH PRIVATE KEY-----", 35) == 0)
		return check_openssh(path, pem, e);
	if (strncmp(pem, "-----BEGIN EC PRIVATE KEY-----", 30) == 0 &&
	    strstr(pem, "ENCRYPTED") == NULL)
		return 0;
	if (strncmp(pem, "-----BEGIN ", 11) == 0)
		return err_set(e, ERR_REFUSED,
		    "%s is a %.24s..., which does not work here: use Ed25519 "
		    "(ssh-keygen -t ed25519 -N '') or ECDSA",
		    path, pem + 11);
	return err_set(e, ERR_REFUSED,
	    "%s is no private key (is it the .pub half?)", path);
}

int
ssh_key_check(const char *path, struct err *e)
{
	AUTO(secret_release) struct buf b = {0};

	if (secret_read("key file", path, &b, e) < 0)
		return -1;
	return check_text(path, (const char *)b.data, e);
}

/* ---- known_hosts ---- */

static bool
hashed_fits(const char *field, size_t len, const char *name)
{
	/* |1|base64 of 20 bytes of salt|base64 of HMAC-SHA1(salt, name) */
	uint8_t salt[24], want[24], got[EVP_MAX_MD_SIZE];
	size_t got_len = 0;
	char text[64];

	if (len != 3 + 28 + 1 + 28 || field[31] != '|')
		return false;
	memcpy(text, field + 3, 57);
	text[28] = text[57] = '\0';
	if (EVP_DecodeBlock(salt, (const unsigned char *)text, 28) != 21 ||
	    EVP_DecodeBlock(want, (const unsigned char *)text + 29, 28) != 21)
		return false;
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, salt, 20,
		(const unsigned char *)name, strlen(name), got, sizeof(got),
		&got_len) == NULL)
		return false;
	return got_len == 20 && memcmp(got, want, 20) == 0;
}

static bool
names_fit(const char *field, size_t len, const char *name)
{
	size_t want = strlen(name), n;
	const char *comma;

	if (len > 3 && strncmp(field, "|1|", 3) == 0)
		return hashed_fits(field, len, name);
	while (len > 0) {
		comma = memchr(field, ',', len);
		n = comma == NULL ? len : (size_t)(comma - field);
		if (n == want && strncasecmp(field, name, n) == 0)
			return true;
		if (comma == NULL)
			return false;
		field += n + 1;
		len -= n + 1;
	}
	return false;
}

/* The higher the better; 0: does not work here. */
static int
key_rank(const char *type, size_t len)
{
	static const char *const types[] = {"ecdsa-sha2-nistp521",
	    "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp256", "ssh-ed25519"};
	int i;

	for (i = 0; i < 4; i++)
		if (len == strlen(types[i]) && memcmp(type, types[i], len) == 0)
			return i + 1;
	return 0;
}

struct host_line {
	const char *names, *type, *key;
	size_t names_len, type_len, key_len;
};

static bool
split_line(const char *line, size_t len, struct host_line *out)
{
	const char *end = line + len;
	const char **fields[] = {&out->names, &out->type, &out->key};
	size_t *lens[] = {&out->names_len, &out->type_len, &out->key_len};
	int i;

	for (i = 0; i < 3; i++) {
		while (line < end && (*line == ' ' || *line == '\t'))
			line++;
		*fields[i] = line;
		while (line < end && *line != ' ' && *line != '\t' &&
		       *line != '\r')
			line++;
		*lens[i] = (size_t)(line - *fields[i]);
		if (*lens[i] == 0)
			return false;
	}
	/* Comments, and marks such as @revoked. */
	return out->names[0] != '#' && out->names[0] != '@';
}

static int
not_known(const char *path, const char *name, bool other, uint16_t port,
    const char *host, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s has no %skey for %s: get it with `ssh-keyscan -t ed25519 -p %u "
	    "%s`, compare its fingerprint with the server's, and put it there",
	    path, other ? "Ed25519 or ECDSA " : "", name, port, host);
}

int
ssh_known_host(const char *path, const char *host, uint16_t port,
    struct buf *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0}, best = {0};
	struct host_line l = {0};
	const char *at, *end;
	bool other = false;
	char name[300];
	int rank = 0;

	if (port == 22)
		(void)snprintf(name, sizeof(name), "%s", host);
	else
		(void)snprintf(name, sizeof(name), "[%s]:%u", host, port);
	if (io_read_file(AT_FDCWD, path, 4u << 20, &b, e) < 0)
		return err_at(e, "known hosts");
	at = (const char *)b.data;
	for (end = at + b.len; at < end; at++) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((eol == NULL ? end : eol) - at);
		int r;

		if (split_line(at, len, &l) &&
		    names_fit(l.names, l.names_len, name)) {
			r = key_rank(l.type, l.type_len);
			other = other || r == 0;
			if (r > rank) {
				best.len = 0;
				if (buf_printf(&best, e, "%s %.*s %.*s\n", name,
					(int)l.type_len, l.type, (int)l.key_len,
					l.key) < 0)
					return -1;
				rank = r;
			}
		}
		at += len;
	}
	if (rank == 0)
		return not_known(path, name, other, port, host, e);
	if (out != NULL)
		buf_swap(out, &best);
	return 0;
}
