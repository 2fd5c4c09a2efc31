/* SPDX-License-Identifier: Apache-2.0 */
/* http_check: what can be known of a setup before anything connects. */
#include "common/cleanup.h"
#include "coordinator/http.h"
#include "coordinator/secret.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void
drop_certificate(X509 **x)
{
	X509_free(*x);
}

static void
drop_bio(BIO **b)
{
	BIO_free(*b);
}

/* Who may change the file could let us talk to an impostor. */
static int
check_ca(const char *path, struct err *e)
{
	AUTO_FCLOSE FILE *f = fopen(path, "re");
	AUTO(drop_certificate) X509 *x = NULL;
	struct stat st;

	if (f == NULL || fstat(fileno(f), &st) < 0)
		return err_sys(e, "certificates %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s must be a regular file that only its owner may change",
		    path);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	if (x == NULL)
		return err_set(e, ERR_REFUSED,
		    "%s has no certificate in it: expected PEM, '-----BEGIN "
		    "CERTIFICATE-----'",
		    path);
	return 0;
}

static int
no_passphrase(char *to, int room, int writing, void *ctx)
{
	(void)to;
	(void)room;
	(void)writing;
	(void)ctx;
	return -1;
}

static int
check_key(const char *path, struct err *e)
{
	AUTO(secret_release) struct buf b = {0};
	AUTO(drop_bio) BIO *bio = NULL;
	AUTO(drop_certificate) X509 *x = NULL;
	EVP_PKEY *key;
	int fits;

	if (secret_read("key file", path, &b, e) < 0)
		return -1;
	bio = BIO_new_mem_buf(b.data, (int)b.len);
	if (bio == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (x == NULL)
		return err_set(e, ERR_REFUSED,
		    "%s has no certificate in it: for https the file has the "
		    "private key and its certificate, both PEM",
		    path);
	(void)BIO_reset(bio);
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (key == NULL)
		return err_set(e, ERR_REFUSED,
		    "%s has no private key in it, or one with a passphrase, "
		    "which nobody is there to type: expected PEM, '-----BEGIN "
		    "PRIVATE KEY-----'",
		    path);
	fits = X509_check_private_key(x, key);
	EVP_PKEY_free(key);
	if (fits != 1)
		return err_set(e, ERR_REFUSED,
		    "%s: its first certificate is not that of its key", path);
	return 0;
}

/* "sha256//" and 44 characters of base64, one or several with ';'. */
static int
check_pin(const char *pin, struct err *e)
{
	const char *p = pin;

	for (;;) {
		if (strncmp(p, "sha256//", 8) != 0 || strlen(p + 8) < 44 ||
		    !url_is_plain(p + 8, 43, "+/") || p[8 + 43] != '=')
			break;
		p += 8 + 44;
		if (*p == '\0')
			return 0;
		if (*p++ != ';')
			break;
	}
	return err_set(e, ERR_REFUSED,
	    "pin \"%.80s\": expected sha256//BASE64, the SHA-256 of the "
	    "server's public key (several with ';' between them)",
	    pin);
}

static int
check_proxy(const struct http_setup *s, struct err *e)
{
	char host[URL_HOST_LIMIT];
	uint16_t port = 0;

	if (s->proxy[0] == '\0')
		return 0;
	if (strncmp(s->proxy, "http://", 7) != 0 ||
	    !url_host(s->proxy + 7, strlen(s->proxy + 7), host, &port) ||
	    port == 0)
		return err_set(e, ERR_REFUSED,
		    "proxy \"%.80s\": expected http://HOST:PORT", s->proxy);
	return 0;
}

int
http_check(const struct http_setup *s, struct err *e)
{
	if (!s->tls && !http_is_loopback(s->host))
		return err_set(e, ERR_REFUSED,
		    "%s: plain http shows everything to everybody on the way, "
		    "and anybody could answer; use https://. It is accepted "
		    "for this machine only (127.0.0.1)",
		    s->url);
	if (!s->tls && (s->ca_file[0] != '\0' || s->key_file[0] != '\0' ||
			   s->pin[0] != '\0' || s->proxy[0] != '\0'))
		return err_set(e, ERR_REFUSED,
		    "%s: certificates, keys, pins and proxies are for https",
		    s->url);
	if ((s->ca_file[0] != '\0' && check_ca(s->ca_file, e) < 0) ||
	    (s->key_file[0] != '\0' && check_key(s->key_file, e) < 0) ||
	    (s->pin[0] != '\0' && check_pin(s->pin, e) < 0))
		return -1;
	if (check_proxy(s, e) < 0)
		return -1;
	return http_credentials(s, NULL, e);
}
