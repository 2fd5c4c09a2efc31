/* SPDX-License-Identifier: Apache-2.0 */
/* sftp_explain: libcurl's result codes in words that help. */
#include "coordinator/sftp_worker.h"

#include <curl/curl.h>
#include <string.h>

/* The library's own words, or something where it has none (79 often has). */
static const char *
words(CURLcode code, const char *detail)
{
	return detail[0] != '\0' ? detail : curl_easy_strerror(code);
}

static int
host_key(const char *detail, const struct sftp_setup *s, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s: THE SERVER'S HOST KEY IS NOT THE ONE in %s (%s). Nothing was "
	    "sent. Either the server was set up anew, or somebody is in "
	    "between: compare fingerprints before you change %s",
	    s->url.host, s->known_hosts, detail, s->known_hosts);
}

static int
ssh_trouble(CURLcode code, const char *detail, const struct sftp_setup *s,
    struct err *e)
{
	if (strstr(detail, "host key") != NULL ||
	    strstr(detail, "remote public key") != NULL ||
	    strstr(detail, "known hosts") != NULL)
		return host_key(detail, s, e);
	if (strstr(detail, "Permission denied") != NULL)
		return err_set(e, ERR_REFUSED,
		    "%s: %s: user %s may not write there", s->url_text, detail,
		    s->url.user);
	if (detail[0] == '\0')
		return err_set(e, ERR_RETRY,
		    "%s: the server gave up without a reason; a full disk "
		    "there looks like this",
		    s->url_text);
	return err_set(e, ERR_RETRY, "%s: %s (%d)", s->url_text,
	    words(code, detail), code);
}

int
sftp_explain(int number, const char *detail, enum sftp_ask_op op,
    const struct sftp_setup *s, struct err *e)
{
	CURLcode code = (CURLcode)number;

	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return host_key(words(code, detail), s, e);
	case CURLE_LOGIN_DENIED:
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not let user %s in with key %s (%s): "
		    "is its public half in authorized_keys there?",
		    s->url_text, s->url.user, s->key_file, words(code, detail));
	case CURLE_REMOTE_FILE_NOT_FOUND:
		return err_set(e, ERR_RETRY,
		    "%s: no such folder there (%s): was `mirror add` run at "
		    "the other site, with this DIR as --incoming?",
		    s->url_text, words(code, detail));
	case CURLE_REMOTE_ACCESS_DENIED:
		return err_set(e, ERR_REFUSED,
		    "%s: user %s may not %s there (%s)", s->url_text,
		    s->url.user,
		    op == SFTP_GET || op == SFTP_FETCH || op == SFTP_LOOK ||
			    op == SFTP_READ
			? "read"
			: "write",
		    words(code, detail));
	case CURLE_REMOTE_DISK_FULL:
		return err_set(e, ERR_FULL, "%s: the disk there is full (%s)",
		    s->url_text, words(code, detail));
	case CURLE_SSH:
	case CURLE_QUOTE_ERROR:
	case CURLE_FAILED_INIT:
		return ssh_trouble(code, detail, s, e);
	case CURLE_SEND_ERROR:
	case CURLE_UPLOAD_FAILED:
		return err_set(e, ERR_RETRY,
		    "%s: the transfer broke off (%s): connection lost, or no "
		    "room there",
		    s->url_text, words(code, detail));
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_WRITE_ERROR:
		return err_set(e, ERR_REFUSED,
		    "%s: a file there is larger than is accepted", s->url_text);
	default:
		return err_set(e, ERR_RETRY, "%s: %s (%d)", s->url_text,
		    words(code, detail), number);
	}
}
