/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sftp_worker: libcurl is told everything explicitly, so that no environment
 * variable, no .netrc and no default can weaken it. The host's key comes from
 * a private known_hosts with exactly one line, in memory. The connection
 * stays open between files.
 */
#include "coordinator/sftp_worker.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/ssh_key.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UPLOAD_BUFFER (2L << 20)
#define READ_BUFFER (512L << 10)
#define LOW_SPEED_BYTES 512L
#define LOW_SPEED_SECONDS 20L
#define CONNECT_MS 15000L

struct worker {
	const struct sftp_setup *setup;
	int sock;
	int known_hosts; /* memory file, or -1: not yet made */
	CURL *curl;
	char detail[CURL_ERROR_SIZE];
	/* the transfer under way */
	int fd;
	uint64_t off, len;
	bool too_large;
	struct err write_trouble;
	size_t got;
	curl_off_t size;
	struct sftp_answer answer;
};

static size_t
read_file(char *to, size_t size, size_t n, void *ctx)
{
	struct worker *w = ctx;
	size_t want = size * n;
	ssize_t got;

	if (want > w->len - w->off)
		want = (size_t)(w->len - w->off);
	got = io_read_some_at(w->fd, to, want, w->off, NULL);
	if (got < 0 || (size_t)got < want)
		return CURL_READFUNC_ABORT;
	w->off += (uint64_t)got;
	return (size_t)got;
}

static size_t
keep_data(char *from, size_t size, size_t n, void *ctx)
{
	struct worker *w = ctx;
	size_t len = size * n;

	if (len > sizeof(w->answer.data) - w->got || w->got + len > w->len)
		return 0;
	memcpy(w->answer.data + w->got, from, len);
	w->got += len;
	return len;
}

/* Into the descriptor that came along. */
static size_t
write_data(char *from, size_t size, size_t n, void *ctx)
{
	struct worker *w = ctx;
	size_t len = size * n;

	w->too_large = len > w->len - w->off;
	if (w->too_large ||
	    io_write_at(w->fd, from, len, w->off, &w->write_trouble) < 0)
		return 0;
	w->off += len;
	return len;
}

/* Makes the one-line known_hosts; its path is good in this process only. */
static int
make_known_hosts(struct worker *w, char *path, size_t room, struct err *e)
{
	const struct sftp_setup *s = w->setup;
	AUTO(buf_release) struct buf line = {0};
	AUTO_CLOSE int fd = -1;

	if (ssh_known_host(s->known_hosts, s->url.host, s->url.port, &line, e) <
	    0)
		return -1;
	fd = memfd_create("known_hosts", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "make a private known_hosts");
	if (io_write_at(fd, line.data, line.len, 0, e) < 0)
		return -1;
	cleanup_fd(&w->known_hosts);
	w->known_hosts = STEAL_FD(fd);
	(void)snprintf(path, room, "/proc/self/fd/%d", w->known_hosts);
	return 0;
}

#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == 0

static int
set_options(struct worker *w, CURL *c, struct err *e)
{
	const struct sftp_setup *s = w->setup;
	char known_hosts[64];
	bool ok = true;

	if (make_known_hosts(w, known_hosts, sizeof(known_hosts), e) < 0)
		return -1;
	SET(CURLOPT_PROTOCOLS_STR, "sftp");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERNAME, s->url.user);
	SET(CURLOPT_SSH_AUTH_TYPES, (long)CURLSSH_AUTH_PUBLICKEY);
	SET(CURLOPT_SSH_PRIVATE_KEYFILE, s->key_file);
	SET(CURLOPT_SSH_KNOWNHOSTS, known_hosts);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	SET(CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	SET(CURLOPT_NEW_FILE_PERMS, 0640L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_READFUNCTION, read_file);
	SET(CURLOPT_READDATA, w);
	SET(CURLOPT_WRITEFUNCTION, keep_data);
	SET(CURLOPT_WRITEDATA, w);
	SET(CURLOPT_ERRORBUFFER, w->detail);
	if (!ok)
		return err_set(e, ERR_REFUSED,
		    "this libcurl has no SFTP or is too old: 7.85 with libssh2 "
		    "is needed");
	return 0;
}

static int
make_handle(struct worker *w, struct err *e)
{
	CURL *c = curl_easy_init();

	if (c == NULL)
		return err_set(
		    e, ERR_RETRY, "cannot start the transfer library");
	if (set_options(w, c, e) < 0) {
		curl_easy_cleanup(c);
		return -1;
	}
	w->curl = c;
	return 0;
}

static int
set_url(struct worker *w, const char *name, struct err *e)
{
	const struct sftp_url *u = &w->setup->url;
	bool v6 = strchr(u->host, ':') != NULL;
	char url[2048];
	int n = snprintf(url, sizeof(url), "sftp://%s%s%s:%u%s/%s",
	    v6 ? "[" : "", u->host, v6 ? "]" : "", u->port, u->dir, name);

	if (n < 0 || (size_t)n >= sizeof(url) ||
	    curl_easy_setopt(w->curl, CURLOPT_URL, url) != CURLE_OK)
		return err_set(e, ERR_REFUSED, "name too long: %s", name);
	return 0;
}

static CURLcode
transfer(struct worker *w, uint64_t len, struct curl_slist *after)
{
	CURL *c = w->curl;

	w->detail[0] = '\0';
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
	    (long)(transfer_limit_ms(len, SFTP_AT_ONCE) - TRANSFER_MARGIN_MS));
	(void)curl_easy_setopt(c, CURLOPT_POSTQUOTE, after);
	return curl_easy_perform(c);
}

/* Did the rename fail because the name is taken? The server cannot say so in
 * this version of the protocol: it says "failure", and nothing more. */
static bool
is_taken(CURLcode code, const char *detail)
{
	return code == CURLE_QUOTE_ERROR &&
	       (strstr(detail, "Operation failed") != NULL ||
		   strstr(detail, "already exists") != NULL);
}

static void
free_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* Adds "WORDS DIR/NAME", and " DIR/MORE" when there is more. */
static int
add_command(struct worker *w, struct curl_slist **list, const char *words,
    const char *name, const char *more, struct err *e)
{
	const char *dir = w->setup->url.dir;
	struct curl_slist *longer;
	char command[2600];

	(void)snprintf(command, sizeof(command), "%s %s/%s%s%s%s%s", words, dir,
	    name, more == NULL ? "" : " ", more == NULL ? "" : dir,
	    more == NULL ? "" : "/", more == NULL ? "" : more);
	longer = curl_slist_append(*list, command);
	if (longer == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	*list = longer;
	return 0;
}

static int
put_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	AUTO(free_list) struct curl_slist *after = NULL;
	char part[TRANSPORT_NAME_LIMIT];
	CURLcode code;

	if (transport_part_name(ask->name, part, sizeof(part), e) < 0 ||
	    set_url(w, part, e) < 0)
		return -1;
	/* This version of the protocol cannot rename over another name; a star
	 * lets the command fail. */
	if ((ask->op == SFTP_REPLACE &&
		add_command(w, &after, "*rm", ask->name, NULL, e) < 0) ||
	    add_command(w, &after, "rename", part, ask->name, e) < 0)
		return -1;
	w->off = 0;
	w->len = ask->len;
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(
	    w->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)ask->len);
	code = transfer(w, ask->len, after);
	(void)curl_easy_setopt(w->curl, CURLOPT_POSTQUOTE, NULL);
	if (code == CURLE_OK)
		return 1;
	if (ask->op == SFTP_PUT && is_taken(code, w->detail))
		return 0;
	return sftp_explain((int)code, w->detail, SFTP_PUT, w->setup, e);
}

static int
get_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	CURLcode code;

	if (set_url(w, ask->name, e) < 0)
		return -1;
	w->got = 0;
	w->len = ask->len;
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 0L);
	code = transfer(w, ask->len, NULL);
	if (code == CURLE_OK)
		return 1;
	if (code == CURLE_REMOTE_FILE_NOT_FOUND)
		return 0;
	return sftp_explain((int)code, w->detail, SFTP_GET, w->setup, e);
}

/* The server's own words tell why a file is not accepted better than the
 * library's, which says only that writing failed. */
static int
fetch_trouble(struct worker *w, CURLcode code, struct err *e)
{
	if (code == CURLE_WRITE_ERROR && w->too_large)
		return err_set(e, ERR_CORRUPT,
		    "%s: a file there is larger than the %ju bytes that are "
		    "accepted",
		    w->setup->url_text, (uintmax_t)w->len);
	if (code == CURLE_WRITE_ERROR && w->write_trouble.kind != ERR_NONE)
		return err_set(
		    e, w->write_trouble.kind, "%s", w->write_trouble.text);
	return sftp_explain((int)code, w->detail, SFTP_FETCH, w->setup, e);
}

static int
fetch_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	CURLcode code;

	if (set_url(w, ask->name, e) < 0)
		return -1;
	w->off = 0;
	w->len = ask->len;
	w->too_large = false;
	w->write_trouble = (struct err){0};
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 0L);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, write_data);
	code = transfer(w, ask->len, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, keep_data);
	if (code == CURLE_OK)
		return 1;
	if (code == CURLE_REMOTE_FILE_NOT_FOUND)
		return 0;
	return fetch_trouble(w, code, e);
}

/* Its first byte will do. */
static int
has_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	struct sftp_ask one = *ask;
	int got;

	one.len = 1;
	(void)curl_easy_setopt(w->curl, CURLOPT_RANGE, "0-0");
	got = get_file(w, &one, e);
	(void)curl_easy_setopt(w->curl, CURLOPT_RANGE, NULL);
	return got;
}

/* Commands alone, and no file: a listing of DIR that is not begun. */
static int
run_commands(struct worker *w, struct curl_slist *commands, CURLcode *code,
    struct err *e)
{
	if (set_url(w, "", e) < 0)
		return -1;
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 0L);
	(void)curl_easy_setopt(w->curl, CURLOPT_NOBODY, 1L);
	(void)curl_easy_setopt(w->curl, CURLOPT_QUOTE, commands);
	*code = transfer(w, 0, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_QUOTE, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_NOBODY, 0L);
	return 0;
}

static int
remove_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	AUTO(free_list) struct curl_slist *commands = NULL;
	CURLcode code;

	if (add_command(w, &commands, "rm", ask->name, NULL, e) < 0 ||
	    run_commands(w, commands, &code, e) < 0)
		return -1;
	if (code == CURLE_OK)
		return 1;
	if (code == CURLE_QUOTE_ERROR &&
	    strstr(w->detail, "No such file") != NULL)
		return 0;
	return sftp_explain((int)code, w->detail, SFTP_REMOVE, w->setup, e);
}

/* A folder that is there already makes its command fail, and no harm is done:
 * should it be missing for another reason, the next file will say so. */
static int
make_folder(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	AUTO(free_list) struct curl_slist *commands = NULL;
	const char *end = ask->name;
	char folder[TRANSPORT_NAME_LIMIT];
	CURLcode code;

	while (end != NULL) {
		end = strchr(end, '/');
		(void)snprintf(folder, sizeof(folder), "%.*s",
		    end == NULL ? (int)strlen(ask->name)
				: (int)(end - ask->name),
		    ask->name);
		if (add_command(w, &commands, "*mkdir", folder, NULL, e) < 0)
			return -1;
		end = end == NULL ? NULL : end + 1;
	}
	if (run_commands(w, commands, &code, e) < 0)
		return -1;
	if (code == CURLE_OK)
		return 0;
	return sftp_explain(
	    (int)code, w->detail, SFTP_MAKE_FOLDER, w->setup, e);
}

/* ---- ranges of large files ---- */

/* The size is known once the first bytes come; no more are wanted. */
static size_t
look_at_data(char *from, size_t size, size_t n, void *ctx)
{
	struct worker *w = ctx;
	curl_off_t len = -1;

	(void)from;
	(void)size;
	(void)n;
	(void)curl_easy_getinfo(
	    w->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	w->size = len;
	return 0;
}

static void
note_time(struct worker *w)
{
	curl_off_t when = -1;

	(void)curl_easy_getinfo(w->curl, CURLINFO_FILETIME_T, &when);
	w->answer.time = (int64_t)when;
}

static int
look_at_file(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	CURLcode code;

	if (set_url(w, ask->name, e) < 0)
		return -1;
	w->size = 0;
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 0L);
	(void)curl_easy_setopt(w->curl, CURLOPT_FILETIME, 1L);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, look_at_data);
	code = transfer(w, 0, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, keep_data);
	if (code == CURLE_REMOTE_FILE_NOT_FOUND)
		return 0;
	if (code != CURLE_OK && (code != CURLE_WRITE_ERROR || w->size == 0))
		return sftp_explain(
		    (int)code, w->detail, SFTP_LOOK, w->setup, e);
	if (w->size < 0)
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not tell how large %s is; devices "
		    "cannot be read by SFTP",
		    w->setup->url_text, ask->name);
	note_time(w);
	w->answer.size = (uint64_t)w->size;
	return 1;
}

static int
read_range(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	char range[64];
	CURLcode code;

	if (set_url(w, ask->name, e) < 0)
		return -1;
	(void)snprintf(range, sizeof(range), "%ju-%ju", (uintmax_t)ask->off,
	    (uintmax_t)(ask->off + ask->len - 1));
	w->len = ask->len;
	w->too_large = false;
	w->write_trouble = (struct err){0};
	(void)curl_easy_setopt(w->curl, CURLOPT_UPLOAD, 0L);
	(void)curl_easy_setopt(w->curl, CURLOPT_FILETIME, 1L);
	(void)curl_easy_setopt(w->curl, CURLOPT_BUFFERSIZE, READ_BUFFER);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, write_data);
	(void)curl_easy_setopt(w->curl, CURLOPT_RANGE, range);
	code = transfer(w, ask->len, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_RANGE, NULL);
	(void)curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, keep_data);
	if (code == CURLE_REMOTE_FILE_NOT_FOUND)
		return 0;
	if (code != CURLE_OK)
		return fetch_trouble(w, code, e);
	if (w->off != ask->len)
		return err_set(e, ERR_CORRUPT, "%s: %s ends before byte %ju",
		    w->setup->url_text, ask->name,
		    (uintmax_t)(ask->off + ask->len));
	note_time(w);
	return 1;
}

static int
serve(struct worker *w, const struct sftp_ask *ask, struct err *e)
{
	w->got = 0;
	w->off = 0;
	w->answer.size = 0;
	w->answer.time = -1;
	if (w->curl == NULL && make_handle(w, e) < 0)
		return -1;
	switch (ask->op) {
	case SFTP_PUT:
	case SFTP_REPLACE:
		return put_file(w, ask, e);
	case SFTP_GET:
		return get_file(w, ask, e);
	case SFTP_FETCH:
		return fetch_file(w, ask, e);
	case SFTP_HAS:
		return has_file(w, ask, e);
	case SFTP_REMOVE:
		return remove_file(w, ask, e);
	case SFTP_MAKE_FOLDER:
		return make_folder(w, ask, e);
	case SFTP_LOOK:
		return look_at_file(w, ask, e);
	case SFTP_READ:
		return read_range(w, ask, e);
	}
	return err_set(e, ERR_FATAL, "a worker was asked for nothing known");
}

static bool
send_answer(struct worker *w, const struct sftp_answer *a)
{
	return transfer_send(w->sock, a, SFTP_ANSWER_HEAD + a->len, -1, NULL) ==
	       0;
}

void
sftp_worker_run(int sock, const void *setup)
{
	static struct worker the_worker; /* too large for a stack */
	struct worker *w = &the_worker;
	struct sftp_answer *a = &w->answer;
	struct sftp_ask ask;

	*w = (struct worker){
	    .setup = setup, .sock = sock, .known_hosts = -1, .fd = -1};
	if (curl_global_init(CURL_GLOBAL_ALL) != 0)
		return;
	while (
	    transfer_receive(sock, &ask, sizeof(ask), &w->fd) == sizeof(ask)) {
		struct err e = {0};

		ask.name[sizeof(ask.name) - 1] = '\0';
		a->result = serve(w, &ask, &e);
		a->kind = e.kind;
		a->len =
		    ask.op == SFTP_GET && a->result == 1 ? (uint32_t)w->got : 0;
		a->got = w->off;
		(void)snprintf(a->text, sizeof(a->text), "%.*s",
		    (int)sizeof(a->text) - 1, e.text);
		cleanup_fd(&w->fd);
		w->fd = -1;
		if (!send_answer(w, a))
			break;
	}
	if (w->curl != NULL)
		curl_easy_cleanup(w->curl);
}
