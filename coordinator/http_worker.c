/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_worker: a loop around libcurl's multi interface. A request comes over
 * the socket and gets a free slot; its answer goes back as soon as it is
 * complete. Connections stay open between requests, and with HTTP/2 several
 * requests share one.
 */
#include "coordinator/http_worker.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MS 1000
#define CONNECTIONS 32L /* with a server that does not speak HTTP/2 */

struct slot {
	CURL *curl;
	bool busy;
	bool again; /* it was asked once before */
	int fd;
	uint64_t off;
	struct curl_slist *headers;
	size_t headers_len; /* of the answer */
	struct http_request request;
	struct http_answer answer;
	struct err write_trouble; /* with what was to be written here */
	char detail[CURL_ERROR_SIZE];
};

struct worker {
	const struct http_setup *setup;
	int sock;
	CURLM *multi;
	struct slot slots[HTTP_IN_FLIGHT];
};

/* ---- what libcurl calls ---- */

static size_t
read_body(char *to, size_t size, size_t n, void *ctx)
{
	struct slot *t = ctx;
	size_t want = size * n;
	ssize_t got;

	if (want > t->request.len - t->off)
		want = (size_t)(t->request.len - t->off);
	if (want == 0)
		return 0;
	got = io_read_some_at(t->fd, to, want, t->off, NULL);
	if (got < 0 || (size_t)got < want)
		return CURL_READFUNC_ABORT;
	t->off += (uint64_t)got;
	return (size_t)got;
}

/* A connection that was kept may turn out to be closed: from the start. */
static int
seek_body(void *ctx, curl_off_t off, int origin)
{
	struct slot *t = ctx;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > t->request.len)
		return CURL_SEEKFUNC_FAIL;
	t->off = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

static bool
goes_into_file(struct slot *t)
{
	long status = 0;

	return t->request.max_file > 0 &&
	       curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status) ==
		   CURLE_OK &&
	       status >= 200 && status < 300;
}

static size_t
write_body(struct slot *t, const char *from, size_t len)
{
	struct http_answer *a = &t->answer;

	a->cut = len > t->request.max_file - a->file_len;
	if (a->cut ||
	    io_write_at(t->fd, from, len, a->file_len, &t->write_trouble) < 0)
		return 0;
	a->file_len += len;
	return len;
}

static size_t
keep_body(char *from, size_t size, size_t n, void *ctx)
{
	struct slot *t = ctx;
	struct http_answer *a = &t->answer;
	size_t len = size * n, room = t->request.max - a->body_len;

	if (goes_into_file(t))
		return len == 0 ? 0 : write_body(t, from, len);
	if (len > room) {
		a->cut = true;
		len = room;
	}
	memcpy(a->body + a->body_len, from, len);
	a->body_len += (uint32_t)len;
	return a->cut ? 0 : size * n;
}

static size_t
keep_header(char *from, size_t size, size_t n, void *ctx)
{
	struct slot *t = ctx;
	char *to = t->answer.headers;
	size_t len = size * n, i;

	if (len >= 5 && memcmp(from, "HTTP/", 5) == 0) {
		t->headers_len = 0; /* what came before was provisional */
		to[0] = '\0';
		return len;
	}
	for (i = 0; i < len && from[i] != '\r' && from[i] != '\n'; i++)
		if (from[i] == '\0')
			return len;
	if (i == 0 || i + 2 > sizeof(t->answer.headers) - t->headers_len)
		return len;
	memcpy(to + t->headers_len, from, i);
	t->headers_len += i;
	to[t->headers_len++] = '\n';
	to[t->headers_len] = '\0';
	return len;
}

/* ---- one request ---- */

#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == 0

static const char *
method_name(enum http_method m)
{
	switch (m) {
	case HTTP_DELETE:
		return "DELETE";
	case HTTP_MKCOL:
		return "MKCOL";
	case HTTP_MOVE:
		return "MOVE";
	default:
		return NULL; /* libcurl's own name */
	}
}

static bool
set_method(CURL *c, const struct http_request *r)
{
	const char *name = method_name(r->method);
	bool ok = true;

	switch (r->method) {
	case HTTP_PUT:
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->len);
		break;
	case HTTP_POST:
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
		break;
	case HTTP_HEAD:
		SET(CURLOPT_NOBODY, 1L);
		break;
	default:
		SET(CURLOPT_HTTPGET, 1L);
	}
	if (name != NULL)
		SET(CURLOPT_CUSTOMREQUEST, name);
	return ok;
}

static bool
set_url(CURL *c, const struct http_setup *s, const struct http_request *r)
{
	char host[URL_HOST_LIMIT + 16];
	char url[sizeof(host) + HTTP_PATH_LIMIT + HTTP_QUERY_LIMIT + 16];

	(void)snprintf(url, sizeof(url), "http%s://%s%s%s%s", s->tls ? "s" : "",
	    http_host(s, host, sizeof(host)), r->path,
	    r->query[0] != '\0' ? "?" : "", r->query);
	return curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK;
}

static bool
add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (more != NULL)
		*list = more;
	return more != NULL;
}

/* The request's lines as libcurl wants them. No waiting for "100 Continue":
 * a server that refuses says so soon enough. */
static bool
set_headers(struct slot *t)
{
	char *line = t->request.headers, *end;
	bool ok = add_line(&t->headers, "Expect:");

	for (; ok && *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		if (end == NULL)
			return false;
		*end = '\0';
		ok = add_line(&t->headers, line);
	}
	explicit_bzero(t->request.headers, sizeof(t->request.headers));
	return ok &&
	       curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers) == 0;
}

static bool
set_transfer(struct slot *t)
{
	const struct http_request *r = &t->request;
	CURL *c = t->curl;
	bool ok = true;

	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_TIMEOUT_MS, (long)(http_limit_ms(r) - TRANSFER_MARGIN_MS));
	SET(CURLOPT_READFUNCTION, read_body);
	SET(CURLOPT_READDATA, t);
	SET(CURLOPT_SEEKFUNCTION, seek_body);
	SET(CURLOPT_SEEKDATA, t);
	SET(CURLOPT_WRITEFUNCTION, keep_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, keep_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_ERRORBUFFER, t->detail);
	return ok;
}

static int
prepare(struct worker *w, struct slot *t, struct err *e)
{
	struct http_request *r = &t->request;

	if (t->curl == NULL && (t->curl = curl_easy_init()) == NULL)
		return err_set(
		    e, ERR_RETRY, "cannot start the transfer library");
	curl_easy_reset(t->curl);
	if (http_credentials(w->setup, r, e) < 0 ||
	    (w->setup->sign != NULL && w->setup->sign(w->setup, r, t->fd, e)))
		return -1;
	if (http_curl_setup(t->curl, w->setup, e) < 0)
		return -1;
	if (set_method(t->curl, r) && set_url(t->curl, w->setup, r) &&
	    set_transfer(t) && set_headers(t))
		return 0;
	return err_set(e, ERR_REFUSED, "%s: this cannot be asked for: %s",
	    w->setup->url, r->path);
}

static bool
send_answer(struct worker *w, struct slot *t)
{
	struct http_answer *a = &t->answer;
	int sent =
	    transfer_send(w->sock, a, HTTP_ANSWER_HEAD + a->body_len, -1, NULL);

	curl_slist_free_all(t->headers);
	t->headers = NULL;
	cleanup_fd(&t->fd);
	t->fd = -1;
	t->busy = false;
	return sent == 0;
}

static bool
begin(struct worker *w, struct slot *t)
{
	struct http_answer *a = &t->answer;
	struct err e = {0};

	memset(a, 0, HTTP_ANSWER_HEAD);
	a->ticket = t->request.ticket;
	t->off = t->headers_len = 0;
	t->detail[0] = '\0';
	t->write_trouble = (struct err){0};
	t->busy = true;
	t->again = false;
	if (prepare(w, t, &e) == 0) {
		if (curl_multi_add_handle(w->multi, t->curl) == CURLM_OK)
			return true;
		(void)err_set(&e, ERR_RETRY, "the transfer library refuses");
	}
	a->kind = e.kind;
	(void)snprintf(
	    a->text, sizeof(a->text), "%.*s", (int)sizeof(a->text) - 1, e.text);
	return send_answer(w, t);
}

/* ---- all of them ---- */

static bool
take_request(struct worker *w)
{
	struct slot *t = w->slots;
	struct http_request *r;

	while (t < w->slots + HTTP_IN_FLIGHT && t->busy)
		t++;
	if (t == w->slots + HTTP_IN_FLIGHT)
		return false; /* it was agreed that there are no more */
	r = &t->request;
	if (transfer_receive(w->sock, r, sizeof(*r), &t->fd) != sizeof(*r))
		return false;
	r->path[sizeof(r->path) - 1] = '\0';
	r->query[sizeof(r->query) - 1] = '\0';
	r->headers[sizeof(r->headers) - 1] = '\0';
	if (r->max > HTTP_BODY_LIMIT)
		r->max = HTTP_BODY_LIMIT;
	return begin(w, t);
}

/* An error that the server told before all was sent is its answer; so is what
 * came before it was cut. */
static void
settle(struct worker *w, struct slot *t, CURLcode code)
{
	struct http_answer *a = &t->answer;
	long status = 0;

	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->write_trouble.kind != ERR_NONE) {
		a->kind = t->write_trouble.kind;
		(void)snprintf(a->text, sizeof(a->text), "%.*s",
		    (int)sizeof(a->text) - 1, t->write_trouble.text);
		return;
	}
	if (code == CURLE_OK || a->cut || status >= 400) {
		a->status = (int)status;
		return;
	}
	a->body_len = 0;
	http_curl_explain(w->setup, code, t->detail, a);
}

/*
 * Servers end a connection after so many requests (nginx: 1000, with HTTP/2 as
 * well), at worst while the next are under way; libcurl asks again by itself
 * only where it is sure that nothing was taken. Every request of ours may be
 * asked twice; a caller whom the difference concerns sees `again`.
 */
static bool
ask_again(struct worker *w, struct slot *t, CURLcode code)
{
	long status = 0;

	if (t->again ||
	    (code != CURLE_HTTP2 && code != CURLE_HTTP2_STREAM &&
		code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR &&
		code != CURLE_GOT_NOTHING) ||
	    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status) !=
		CURLE_OK ||
	    status != 0)
		return false;
	t->again = t->answer.again = true;
	t->off = t->headers_len = 0;
	return curl_multi_add_handle(w->multi, t->curl) == CURLM_OK;
}

static bool
send_done(struct worker *w)
{
	struct CURLMsg *m;
	char *mine = NULL;
	struct slot *t;
	CURLcode code;
	int left;

	while ((m = curl_multi_info_read(w->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(
			m->easy_handle, CURLINFO_PRIVATE, &mine) != CURLE_OK)
			continue;
		t = (struct slot *)(void *)mine;
		code = m->data.result; /* goes with the message */
		(void)curl_multi_remove_handle(w->multi, t->curl);
		if (ask_again(w, t, code))
			continue;
		settle(w, t, code);
		if (!send_answer(w, t))
			return false;
	}
	return true;
}

static void
serve(struct worker *w)
{
	struct curl_waitfd wait = {.fd = w->sock, .events = CURL_WAIT_POLLIN};
	int running;

	do {
		if (curl_multi_perform(w->multi, &running) != CURLM_OK ||
		    !send_done(w))
			return;
		wait.revents = 0;
		if (curl_multi_poll(w->multi, &wait, 1, WAIT_MS, NULL) !=
		    CURLM_OK)
			return;
	} while (wait.revents == 0 || take_request(w));
}

/* The system takes back all that it has. */
void
http_worker_run(int sock, const void *setup)
{
	static struct worker the_worker; /* too large for a stack */
	struct worker *w = &the_worker;
	int i;

	w->setup = setup;
	w->sock = sock;
	for (i = 0; i < (int)HTTP_IN_FLIGHT; i++)
		w->slots[i].fd = -1;
	if (curl_global_init(CURL_GLOBAL_ALL) != 0 ||
	    (w->multi = curl_multi_init()) == NULL)
		return;
	(void)curl_multi_setopt(
	    w->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(
	    w->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS);
	serve(w);
}
