/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_projection: what some destinations get in place of all. */
#include "common/cleanup.h"
#include "common/json.h"
#include "coordinator/projection.h"
#include "coordinator/request.h"
#include "manager/client.h"
#include "manager/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* VOLUME:OFFSET+LENGTH, with units; as plain numbers to the request. */
static int
add_range(struct message *m, const char *value, struct err *e)
{
	const char *sign = strrchr(value, ':'), *end = NULL;
	AUTO_FREE char *whole = NULL;
	uint64_t off, len;

	if (sign == NULL || size_read(sign + 1, &end, &off) < 0 ||
	    *end != '+' || size_read(end + 1, &end, &len) < 0 || *end != '\0')
		return err_set(e, ERR_REFUSED,
		    "--range %s: it takes VOLUME:OFFSET+LENGTH, as in "
		    "db:4G+512M",
		    value);
	if (asprintf(&whole, "%.*s:%" PRIu64 "+%" PRIu64, (int)(sign - value),
		value, off, len) < 0) {
		whole = NULL;
		return err_set(e, ERR_RETRY, "out of memory");
	}
	return message_add_text(m, "range", whole, e);
}

int
run_projection_add(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (!args_has(a, "group"))
		return tell(EXIT_USAGE, "projection add needs --group");
	if (message_add_text(&m, "verb", "projection-add", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    client_add(&m, a, "group", &e) < 0 ||
	    client_add(&m, a, "fold", &e) < 0 ||
	    client_add(&m, a, "compress", &e) < 0)
		return tell_err(&e);
	for (int i = 0; i < a->option_count; i++) {
		const char *name = a->options[i].spec->name;
		const char *value = a->options[i].value;

		if ((strcmp(name, "range") == 0 &&
			add_range(&m, value, &e) < 0) ||
		    (strcmp(name, "volume") == 0 &&
			message_add_text(&m, "volume", value, &e) < 0))
			return tell_err(&e);
	}
	return client_request(a->home, &m);
}

int
run_projection_remove(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (!args_has(a, "group"))
		return tell(EXIT_USAGE, "projection remove needs --group");
	if (message_add_text(&m, "verb", "projection-remove", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0 ||
	    message_add_text(&m, "name", a->words[0], &e) < 0 ||
	    client_add(&m, a, "group", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

int
run_group_layout(struct args *a)
{
	AUTO(message_release) struct message m = {0};
	struct err e = {0};

	if (message_add_text(&m, "verb", "group-layout", &e) < 0 ||
	    client_add(&m, a, "dry-run", &e) < 0 ||
	    message_add_text(&m, "group", a->words[0], &e) < 0 ||
	    message_add_text(&m, "layout", a->words[1], &e) < 0 ||
	    client_add(&m, a, "fold", &e) < 0)
		return tell_err(&e);
	return client_request(a->home, &m);
}

/* ---- listing ---- */

static const struct group_config *
group_of(const struct snapshot *s, const struct projection_config *p)
{
	uint32_t i = 0;

	while (!uuid_equal(&s->groups[i].uuid, &p->group))
		i++; /* it was loaded with its group */
	return &s->groups[i];
}

static void
part_json(struct json *j, const struct group_config *g,
    const struct projection_part *part)
{
	json_object(j, NULL);
	json_text(j, "volume", g->volumes[part->volume].name);
	if (part->len > 0) {
		json_number(j, "offset", part->off);
		json_number(j, "length", part->len);
	} else {
		json_null(j, "offset");
		json_null(j, "length");
	}
	json_object_end(j);
}

static void
one_json(struct json *j, const struct snapshot *s,
    const struct projection_config *p, const struct projection_note *n)
{
	const struct group_config *g = group_of(s, p);
	char uuid[UUID_TEXT];

	json_object(j, NULL);
	json_text(j, "name", p->name);
	json_text(j, "group", g->name);
	json_text(j, "stream", uuid_text(&p->stream, uuid));
	json_text(j, "fold", fold_mode_name(p->fold));
	json_text(j, "compress", codec_name(p->codec));
	json_number(j, "compress_level", (uint64_t)p->codec_level);
	json_array(j, "parts");
	for (uint32_t i = 0; i < p->part_count; i++)
		part_json(j, g, &p->parts[i]);
	json_array_end(j);
	if (p->layout.members > 0) {
		json_text(j, "layout", layout_level_name(p->layout.level));
		json_number(j, "member", p->member);
	} else {
		json_null(j, "layout");
		json_null(j, "member");
	}
	json_number(j, "projected", n->upto.last);
	json_number(j, "files", n->files);
	json_number(j, "spool_bytes", n->spool_bytes);
	json_number(j, "transactions_in", n->transactions_in);
	json_number(j, "transactions_out", n->transactions_out);
	json_number(j, "bytes_in", n->bytes_in);
	json_number(j, "bytes_out", n->bytes_out);
	if (n->error[0] == '\0')
		json_null(j, "error");
	else
		json_text(j, "error", n->error);
	json_object_end(j);
}

static int
print_json(struct home *h, const struct snapshot *s)
{
	AUTO(buf_release) struct buf b = {0};
	struct projection_note n;
	struct json j = {0};
	struct err e = {0};

	json_object(&j, NULL);
	json_number(&j, "format", 1);
	json_array(&j, "projections");
	for (uint32_t i = 0; i < s->projection_count; i++) {
		projection_note_read(h, &s->projections[i].stream, &n);
		one_json(&j, s, &s->projections[i], &n);
	}
	json_array_end(&j);
	json_object_end(&j);
	if (json_end(&j, &b, &e) < 0)
		return tell_err(&e);
	return tell_out(b.data, b.len);
}

static void
print_text(struct home *h, const struct snapshot *s)
{
	struct projection_note n;

	(void)printf("%-14s %-14s %-8s %6s %s\n", "PROJECTION", "GROUP", "FOLD",
	    "SENDS", "TAKES");
	for (uint32_t i = 0; i < s->projection_count; i++) {
		const struct projection_config *p = &s->projections[i];
		const struct group_config *g = group_of(s, p);

		projection_note_read(h, &p->stream, &n);
		(void)printf("%-14s %-14s %-8s %5.0f%%", p->name, g->name,
		    fold_mode_name(p->fold),
		    n.bytes_in == 0
			? 100
			: 100.0 * (double)n.bytes_out / (double)n.bytes_in);
		for (uint32_t k = 0; k < p->part_count; k++) {
			const struct projection_part *part = &p->parts[k];

			(void)printf(" %s", g->volumes[part->volume].name);
			if (part->len > 0)
				(void)printf(":%ju+%ju", (uintmax_t)part->off,
				    (uintmax_t)part->len);
		}
		if (p->layout.members > 0)
			(void)printf(" (%s, member %u of %u)",
			    layout_level_name(p->layout.level), p->member + 1,
			    p->layout.members);
		(void)printf("\n");
		if (n.error[0] != '\0')
			(void)printf("    %s\n", n.error);
	}
}

int
run_projection_list(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	AUTO(snapshot_release) struct snapshot s = {0};
	struct err e = {0};

	if (home_open(a->home, &h, &e) < 0 ||
	    catalogue_open(&h, false, &c, &e) < 0 ||
	    catalogue_load(c, &s, &e) < 0)
		return tell_err(&e);
	if (args_has(a, "json"))
		return print_json(&h, &s);
	print_text(&h, &s);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
