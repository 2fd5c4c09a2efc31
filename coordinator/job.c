/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: "key value" lines in fixed order, the last one a sum of those before
 * it. The file is replaced as a whole, so a damaged one was damaged from
 * outside, and is reported instead of being taken for "no base yet".
 */
#include "coordinator/job.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define JOB_TEXT_LIMIT 1024
#define JOB_NAME_LEN (UUID_TEXT + 4)

static const char *const state_names[] = {
    [JOB_NONE] = "none",
    [JOB_QUEUED] = "queued",
    [JOB_RUNNING] = "running",
    [JOB_DONE] = "done",
};

const char *
job_state_name(enum job_state s)
{
	return (unsigned)s <= JOB_DONE ? state_names[s] : "?";
}

static const char *
job_name(const struct uuid *destination, char out[JOB_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, JOB_NAME_LEN, "%s.job", uuid_text(destination, text));
	return out;
}

/* The value of the next line if its key is `key`; NULL otherwise. */
static char *
take(char **at, const char *key)
{
	size_t len = strlen(key);
	char *line = *at, *end = line == NULL ? NULL : strchr(line, '\n');

	if (end == NULL || strncmp(line, key, len) != 0 || line[len] != ' ')
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line + len + 1;
}

static bool
take_number(char **at, const char *key, uint64_t max, uint64_t *out)
{
	char *text = take(at, key), *end;
	unsigned long long n;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || n > max)
		return false;
	*out = n;
	return true;
}

static bool
take_uuid(char **at, const char *key, struct uuid *out)
{
	char *text = take(at, key);

	return text != NULL && uuid_parse(text, out, NULL) == 0;
}

static bool
take_state(char **at, enum job_state *out)
{
	char *text = take(at, "state");
	int s;

	for (s = JOB_QUEUED; text != NULL && s <= JOB_DONE; s++) {
		if (strcmp(text, state_names[s]) != 0)
			continue;
		*out = (enum job_state)s;
		return true;
	}
	return false;
}

static bool
take_kind(char **at, enum copyin_kind *out)
{
	char *text = take(at, "kind");

	if (text == NULL)
		return false;
	*out = strcmp(text, "base") == 0 ? COPYIN_BASE : COPYIN_RECOVERY;
	return *out == COPYIN_BASE || strcmp(text, "recovery") == 0;
}

/* `text` ends with a NUL and is taken apart. */
static bool
job_parse(char *text, size_t len, struct job *out)
{
	char *at = text, *sum, want[17];
	uint64_t volume = 0, marked = 0;
	struct job j = {0};
	size_t body;

	if (strlen(text) != len || len < 21 || text[len - 1] != '\n')
		return false;
	body = len - 21; /* "sum " and 16 digits and newline */
	(void)snprintf(
	    want, sizeof(want), "%016" PRIx64, XXH3_64bits(text, body));
	sum = text + body;
	if (strncmp(sum, "sum ", 4) != 0 || strncmp(sum + 4, want, 16) != 0)
		return false;
	if (take(&at, "aim-job") == NULL || !take_uuid(&at, "id", &j.id) ||
	    !take_uuid(&at, "destination", &j.destination) ||
	    !take_uuid(&at, "mirror", &j.mirror) || !take_kind(&at, &j.kind) ||
	    !take_state(&at, &j.state) ||
	    !take_number(&at, "begin", UINT64_MAX, &j.begin) ||
	    !take_number(&at, "end", UINT64_MAX, &j.end) ||
	    !take_number(&at, "from", UINT64_MAX, &j.from) ||
	    !take_number(&at, "volume", UINT32_MAX, &volume) ||
	    !take_number(&at, "off", UINT64_MAX, &j.off) ||
	    !take_number(&at, "marked", 1, &marked) || at != sum)
		return false;
	j.volume = (uint32_t)volume;
	j.marked = marked != 0;
	*out = j;
	return true;
}

int
job_load(struct home *h, const struct uuid *destination, struct job *out,
    struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char name[JOB_NAME_LEN];
	struct err why = {0};
	struct job j;

	if (io_read_file(h->state, job_name(destination, name), JOB_TEXT_LIMIT,
		&b, &why) < 0) {
		if (why.sys != ENOENT)
			return err_set(e, why.kind, "state/%s", why.text);
		*out = (struct job){0};
		return 0;
	}
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	if (!job_parse((char *)b.data, b.len - 1, &j) ||
	    !uuid_equal(&j.destination, destination))
		return err_set(e, ERR_CORRUPT,
		    "state/%s is damaged: remove it and ask for a new base",
		    name);
	*out = j;
	return 0;
}

int
job_store(struct home *h, const struct job *j, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	char id[UUID_TEXT], destination[UUID_TEXT], mirror[UUID_TEXT];
	char name[JOB_NAME_LEN];

	if (buf_printf(&b, e,
		"aim-job 1\nid %s\ndestination %s\nmirror %s\nkind %s\n"
		"state %s\nbegin %ju\nend %ju\nfrom %ju\nvolume %u\noff %ju\n"
		"marked %d\n",
		uuid_text(&j->id, id), uuid_text(&j->destination, destination),
		uuid_text(&j->mirror, mirror),
		j->kind == COPYIN_BASE ? "base" : "recovery",
		job_state_name(j->state), (uintmax_t)j->begin,
		(uintmax_t)j->end, (uintmax_t)j->from, j->volume,
		(uintmax_t)j->off, j->marked) < 0)
		return -1;
	if (buf_printf(
		&b, e, "sum %016" PRIx64 "\n", XXH3_64bits(b.data, b.len)) < 0)
		return -1;
	if (io_write_file(h->state, job_name(&j->destination, name), b.data,
		b.len, 0600, e) < 0)
		return err_at(e, "state");
	return 0;
}

int
job_restart(struct home *h, struct job *j, enum copyin_kind kind, struct err *e)
{
	struct job next = *j;

	if (uuid_make(&next.id, e) < 0)
		return -1;
	next.kind = kind;
	next.state = JOB_QUEUED;
	next.begin = next.end = 0;
	next.volume = 0;
	next.off = 0;
	if (job_store(h, &next, e) < 0)
		return -1;
	*j = next;
	return 0;
}

int
job_queue(struct home *h, const struct destination_config *d,
    enum copyin_kind kind, struct err *e)
{
	struct job j;

	if (job_load(h, &d->uuid, &j, e) < 0)
		return -1;
	if (j.state == JOB_QUEUED || j.state == JOB_RUNNING)
		return 0;
	j.marked = false;
	j.destination = d->uuid;
	j.mirror = d->mirror;
	return job_restart(h, &j, kind, e);
}
