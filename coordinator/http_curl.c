/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_curl: libcurl is told everything explicitly, so that no environment
 * variable, no .netrc and no default can weaken it; and its result codes in
 * words that help.
 */
#include "coordinator/http_worker.h"

#include <stdio.h>
#include <string.h>

#define UPLOAD_BUFFER (256L << 10)
#define LOW_SPEED_BYTES 512L
#define LOW_SPEED_SECONDS 20L
#define CONNECT_MS 15000L

#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == 0

static bool
set_tls(CURL *c, const struct http_setup *s)
{
	bool ok = true;

	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (s->ca_file[0] != '\0') {
		SET(CURLOPT_CAINFO, s->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (s->pin[0] != '\0')
		SET(CURLOPT_PINNEDPUBLICKEY, s->pin);
	if (s->key_file[0] != '\0') {
		SET(CURLOPT_SSLCERT, s->key_file);
		SET(CURLOPT_SSLKEY, s->key_file);
	}
	return ok;
}

int
http_curl_setup(CURL *c, const struct http_setup *s, struct err *e)
{
	bool ok = true;

	SET(CURLOPT_PROTOCOLS_STR, s->tls ? "https" : "http");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, s->proxy);
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_HTTP_VERSION,
	    (long)(s->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	SET(CURLOPT_USERAGENT, "aim");
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	SET(CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	if (ok && (!s->tls || set_tls(c, s)))
		return 0;
	return err_set(e, ERR_REFUSED,
	    "this libcurl is too old, or has no TLS: 7.85 with OpenSSL is "
	    "needed");
}

/* ---- in words ---- */

static void
say(struct http_answer *a, const struct http_setup *s, enum err_kind kind,
    const char *what, const char *detail)
{
	a->kind = kind;
	(void)snprintf(a->text, sizeof(a->text), "%.120s: %.160s (%.100s)",
	    s->url, what, detail);
}

/* Troubles of TLS; false when it is none. */
static bool
explain_tls(const struct http_setup *s, CURLcode code, const char *detail,
    struct http_answer *a)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		say(a, s, ERR_REFUSED,
		    "THE SERVER'S CERTIFICATE IS NOT ONE TO TRUST. Nothing was "
		    "sent. Is --ca FILE the one that signed it, and is this "
		    "its name?",
		    detail);
		return true;
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		say(a, s, ERR_REFUSED,
		    "THE SERVER'S KEY IS NOT THE ONE that was pinned. Nothing "
		    "was sent. It was set up anew, or somebody is in between",
		    detail);
		return true;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		say(a, s, ERR_REFUSED, "a file of certificates is no good",
		    detail);
		return true;
	default:
		break;
	}
	if (strstr(detail, "alert") != NULL &&
	    (strstr(detail, "certificate") != NULL ||
		strstr(detail, "unknown ca") != NULL)) {
		say(a, s, ERR_REFUSED,
		    "the server does not accept our certificate, or asks for "
		    "one: --key FILE",
		    detail);
		return true;
	}
	return false;
}

static const char *
explain_network(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "its name is not known";
	case CURLE_COULDNT_RESOLVE_PROXY:
		return "the proxy's name is not known";
	case CURLE_COULDNT_CONNECT:
		return "nobody answers there";
	case CURLE_OPERATION_TIMEDOUT:
		return "it is too slow, or hangs";
	case CURLE_ABORTED_BY_CALLBACK:
	case CURLE_READ_ERROR:
		return "the file here cannot be read to its end";
	case CURLE_SSL_CONNECT_ERROR:
		return "no secure connection";
	default:
		return "the connection broke off";
	}
}

void
http_curl_explain(const struct http_setup *s, CURLcode code, const char *detail,
    struct http_answer *a)
{
	if (detail[0] == '\0')
		detail = curl_easy_strerror(code);
	if (!explain_tls(s, code, detail, a))
		say(a, s, ERR_RETRY, explain_network(code), detail);
}
