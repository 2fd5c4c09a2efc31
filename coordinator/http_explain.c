/* SPDX-License-Identifier: Apache-2.0 */
/* http_explain: the status of an answer in words that help. */
#include "common/name.h"
#include "coordinator/http.h"

#include <stdio.h>
#include <string.h>

struct meaning {
	int status;
	enum err_kind kind;
	const char *text;
};

static const struct meaning meanings[] = {
    {400, ERR_REFUSED,
	"the server does not understand it; one that asks for a certificate "
	"of ours (--key FILE) may say this"},
    {401, ERR_REFUSED,
	"the server does not let us in: are the credentials right "
	"(--credentials FILE)?"},
    {403, ERR_REFUSED, "this account may not do that there"},
    {404, ERR_RETRY,
	"no such folder there: was `mirror add` run at the other site, with "
	"this DIR as --incoming?"},
    {405, ERR_REFUSED,
	"the server does not do that there: is WebDAV switched on for this "
	"folder? See 'destination template nginx'"},
    {407, ERR_REFUSED, "the proxy asks for credentials"},
    {408, ERR_RETRY, "the server has waited too long for us"},
    {409, ERR_RETRY,
	"no such folder there: was `mirror add` run at the other site, with "
	"this DIR as --incoming?"},
    {410, ERR_RETRY, "the folder there has gone"},
    {411, ERR_REFUSED, "the server wants it otherwise"},
    {412, ERR_REFUSED, "the name is taken there"},
    {413, ERR_REFUSED,
	"the file is larger than the server accepts (nginx: "
	"client_max_body_size)"},
    {414, ERR_REFUSED, "the name is too long for the server"},
    {423, ERR_RETRY, "it is locked there"},
    {429, ERR_RETRY, "the server asks for a pause"},
    {500, ERR_RETRY,
	"the server has failed; a full disk there, or a folder that it may "
	"not write to, looks like this: see its log"},
    {501, ERR_REFUSED, "the server cannot do that"},
    {502, ERR_RETRY, "what is behind the server does not answer"},
    {503, ERR_RETRY, "the server is busy"},
    {504, ERR_RETRY, "what is behind the server is too slow"},
    {507, ERR_FULL, "the disk there is full"},
};
#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

static struct meaning
find(int status)
{
	size_t i;

	for (i = 0; i < MEANINGS; i++)
		if (meanings[i].status == status)
			return meanings[i];
	return (struct meaning){.status = status,
	    .kind = status >= 500 ? ERR_RETRY : ERR_REFUSED,
	    .text =
		status >= 500 ? "the server has failed" : "the server refuses"};
}

static int
moved(const struct http_setup *s, const struct http_answer *a, struct err *e)
{
	char to[200], shown[200];

	(void)http_header(a->headers, "Location", to, sizeof(to));
	return err_set(e, ERR_REFUSED,
	    "%.160s: the server sends us elsewhere (%d, \"%s\"), which is not "
	    "followed: give the right URL",
	    s->url, a->status, name_quote(to, strlen(to), shown, 120));
}

int
http_explain(const struct http_setup *s, const struct http_answer *a,
    const char *doing, struct err *e)
{
	struct meaning m;

	if (a->status == 0)
		return err_set(e, a->kind == ERR_NONE ? ERR_RETRY : a->kind,
		    "%s", a->text);
	if (a->status >= 300 && a->status < 400)
		return moved(s, a, e);
	m = find(a->status);
	return err_set(e, m.kind, "%.160s: %s (status %d to %s)", s->url,
	    m.text, a->status, doing);
}
