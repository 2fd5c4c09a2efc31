/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_gather: `gather`: what the operator typed becomes a gather_config, and
 * what has become of it is told. Needs no home: it is for the day on which
 * the source's host is gone.
 */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "coordinator/gather.h"
#include "coordinator/request.h"
#include "fileformat/members.h"
#include "manager/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Options that a member has for itself (NAME=VALUE), or all have (VALUE). */
struct option_field {
	const char *option;
	size_t at, room;
	bool is_path;
};
#define FIELD(option, of, is_path)                                             \
	{                                                                      \
		option, offsetof(struct destination_config, of),               \
		    sizeof(((struct destination_config *)NULL)->of), is_path   \
	}
static const struct option_field fields[] = {
    FIELD("ack", ack_url, false),
    FIELD("key", key_file, true),
    FIELD("known-hosts", known_hosts, true),
    FIELD("credentials", credentials_file, true),
    FIELD("ca", ca_file, true),
    FIELD("pin", pin, false),
    FIELD("proxy", proxy, false),
    FIELD("ack-key", ack_key_file, true),
    FIELD("ack-credentials", ack_credentials_file, true),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static void
auto_config(struct gather_config *c)
{
	free(c->members);
}

static struct gather_member *
find_member(struct gather_config *c, const char *name, size_t len)
{
	uint32_t i;

	for (i = 0; i < c->layout.members; i++)
		if (strlen(c->members[i].name) == len &&
		    memcmp(c->members[i].name, name, len) == 0)
			return &c->members[i];
	return NULL;
}

/* ---- paths and sizes ---- */

/* Absolute; the folder must be there. */
static int
absolute(const char *path, char out[PATH_MAX], struct err *e)
{
	char one[PATH_MAX], two[PATH_MAX];
	AUTO_FREE char *real = NULL;

	if (strlen(path) >= sizeof(one) || path[0] == '\0')
		return err_set(e, ERR_REFUSED, "'%.100s' is no path", path);
	(void)snprintf(one, sizeof(one), "%s", path);
	(void)snprintf(two, sizeof(two), "%s", path);
	real = realpath(dirname(one), NULL);
	if (real == NULL)
		return err_sys(e, "'%s'", path);
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s",
		strcmp(real, "/") == 0 ? "" : real, basename(two)) >= PATH_MAX)
		return err_set(e, ERR_REFUSED, "path too long: %s", path);
	return 0;
}

static int
parse_size(const char *text, uint64_t *out, struct err *e)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned shift = 0;

	errno = 0;
	*out = strtoull(text, &end, 10);
	unit = *end == '\0' ? NULL : strchr(units, *end);
	if (unit != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\0' ||
	    *out == 0 || *out > (uint64_t)INT64_MAX >> shift)
		return err_set(e, ERR_REFUSED,
		    "--size %s: expected a number of bytes, or with K M G T",
		    text);
	*out <<= shift;
	return 0;
}

static int
read_text(const char *path, size_t max, struct buf *out, struct err *e)
{
	return io_read_file(AT_FDCWD, path, max, out, e) < 0
		   ? err_at(e, "read %s", path)
		   : 0;
}

/* ---- where the members are ---- */

static int
check_fingerprint(struct args *a, const struct sign_public *key, struct err *e)
{
	const char *want = args_option(a, "fingerprint");
	uint8_t is[DIGEST_LEN], typed[DIGEST_LEN];

	if (want == NULL)
		return 0;
	if (hex_parse(want, typed, sizeof(typed), e) < 0)
		return err_at(e, "--fingerprint");
	if (sign_fingerprint(key, is, e) < 0)
		return -1;
	if (memcmp(is, typed, sizeof(is)) != 0)
		return err_set(e, ERR_REFUSED,
		    "the layout text is not from the site with this "
		    "fingerprint: get it again");
	return 0;
}

static int
take_size(struct args *a, const struct pairing_volume *v, uint32_t count,
    struct gather_config *c, struct err *e)
{
	const char *name = args_option(a, "volume");
	uint32_t i;

	if (name == NULL && count > 1)
		return err_set(e, ERR_REFUSED,
		    "the group has several volumes: say which one, --volume "
		    "NAME (%s, %s...)",
		    v[0].name, v[1].name);
	for (i = 0; i < count; i++)
		if (name == NULL || strcmp(v[i].name, name) == 0)
			break;
	if (i == count)
		return err_set(
		    e, ERR_REFUSED, "the group has no volume '%s'", name);
	/* A file may have been resized since. */
	if (v[i].kind == VOLUME_FILE)
		c->was = v[i].size;
	else if (c->size == 0)
		c->size = v[i].size;
	return 0;
}

/* What 'group export --layout' printed. */
static int
take_members(struct args *a, struct gather_config *c, struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	AUTO(members_release) struct members m = {.volume_count = 0};
	uint32_t i;

	if (read_text(args_option(a, "members"), MEMBERS_LIMIT, &text, e) < 0 ||
	    members_decode((char *)text.data, text.len, &m, e) < 0 ||
	    check_fingerprint(a, &m.key, e) < 0 ||
	    take_size(a, m.volumes, m.volume_count, c, e) < 0)
		return -1;
	c->layout = m.layout;
	for (i = 0; i < m.layout.members; i++) {
		struct gather_member *to = &c->members[i];
		const struct member *from = &m.members[i];

		memcpy(to->name, from->name, sizeof(to->name));
		memcpy(to->how.ack_url, from->acks, sizeof(to->how.ack_url));
		to->how.stream = from->stream;
		to->how.mirror = from->mirror;
		to->how.mirror_site = from->site;
		to->how.mirror_key = from->key;
		to->has_ack = true;
	}
	return 0;
}

static int
take_layout(struct args *a, struct gather_config *c, struct err *e)
{
	AUTO_FREE struct layout_spec *s = calloc(1, sizeof(*s));
	uint32_t i;

	if (s == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (layout_parse(args_option(a, "layout"), s, e) < 0)
		return -1;
	c->layout = s->layout;
	for (i = 0; i < s->layout.members; i++)
		memcpy(c->members[i].name, s->names[i], NAME_LIMIT);
	return 0;
}

/* NAME=URL; without names in the layout, their order is that of these. */
static int
take_url(struct gather_config *c, bool named, const char *value, struct err *e)
{
	const char *sign = strchr(value, '=');
	size_t len = sign == NULL ? 0 : (size_t)(sign - value);
	struct gather_member *m = find_member(c, value, len);
	struct err why = {0};
	int n;

	if (len == 0 || len >= NAME_LIMIT)
		return err_set(
		    e, ERR_REFUSED, "--member %s: it takes NAME=URL", value);
	if (m == NULL && !named && c->layout.members < LAYOUT_MOST) {
		m = &c->members[c->layout.members++];
		(void)snprintf(m->name, NAME_LIMIT, "%.*s", (int)len, value);
		if (name_check("member", m->name, &why) < 0)
			return err_set(e, why.kind, "%s", why.text);
	}
	if (m == NULL || m->how.url[0] != '\0')
		return err_set(e, ERR_REFUSED,
		    "--member %s: the layout has no such member, or it came "
		    "before",
		    value);
	if (sign[1] == '/' || strstr(sign + 1, "://") != NULL)
		n = snprintf(m->how.url, sizeof(m->how.url), "%s", sign + 1);
	else
		return err_set(e, ERR_REFUSED,
		    "--member %s: expected an absolute path, or a URL", value);
	return n < 0 || (size_t)n >= sizeof(m->how.url)
		   ? err_set(e, ERR_REFUSED, "--member: URL too long")
		   : 0;
}

static int
take_urls(struct args *a, struct gather_config *c, struct err *e)
{
	bool named = c->layout.members > 0;
	uint32_t m;

	for (int i = 0; i < a->option_count; i++)
		if (strcmp(a->options[i].spec->name, "member") == 0 &&
		    take_url(c, named, a->options[i].value, e) < 0)
			return -1;
	for (m = 0; m < c->layout.members; m++)
		if (c->members[m].how.url[0] == '\0')
			return err_set(e, ERR_REFUSED,
			    "where is the volume of member %s? --member "
			    "%s=URL (a path that is not there, if it is lost)",
			    c->members[m].name, c->members[m].name);
	return 0;
}

/* What 'mirror export' printed at a member's site. */
static int
take_pairing(
    struct args *a, struct gather_config *c, const char *value, struct err *e)
{
	AUTO(buf_release) struct buf text = {0};
	AUTO(pairing_release) struct pairing p = {0};
	const char *sign = strchr(value, '=');
	struct gather_member *m =
	    sign == NULL ? NULL : find_member(c, value, (size_t)(sign - value));

	if (m == NULL)
		return err_set(e, ERR_REFUSED,
		    "--pairing %s: it takes MEMBER=FILE", value);
	if (read_text(sign + 1, PAIRING_LIMIT, &text, e) < 0 ||
	    pairing_decode((char *)text.data, text.len, &p, e) < 0)
		return err_at(e, "member %s", m->name);
	if (p.role != PAIRING_MIRROR)
		return err_set(e, ERR_REFUSED,
		    "%s is of the source: it takes what 'mirror export' "
		    "printed",
		    sign + 1);
	if (c->layout.level == LAYOUT_RAID1 &&
	    take_size(a, p.volumes, p.volume_count, c, e) < 0)
		return -1;
	m->how.stream = p.stream;
	m->how.mirror = p.mirror;
	m->how.mirror_site = p.site;
	m->how.mirror_key = p.key;
	m->has_ack = true;
	return 0;
}

static int
put_field(const struct option_field *f, struct gather_member *m,
    const char *value, struct err *e)
{
	char path[PATH_MAX];

	if (f->is_path) {
		if (absolute(value, path, e) < 0)
			return err_at(e, "--%s", f->option);
		value = path;
	}
	if ((size_t)snprintf((char *)&m->how + f->at, f->room, "%s", value) >=
	    f->room)
		return err_set(e, ERR_REFUSED, "--%s: too long", f->option);
	return 0;
}

/* The value for one member, or for all that have none of their own yet. */
static int
take_field(const struct option_field *f, struct gather_config *c,
    const char *value, bool own, struct err *e)
{
	const char *sign = strchr(value, '=');
	struct gather_member *m =
	    sign == NULL ? NULL : find_member(c, value, (size_t)(sign - value));
	uint32_t i;

	if ((m != NULL) != own)
		return 0;
	if (m != NULL)
		return put_field(f, m, sign + 1, e);
	for (i = 0; i < c->layout.members; i++)
		if (put_field(f, &c->members[i], value, e) < 0)
			return -1;
	return 0;
}

static int
take_fields(struct args *a, struct gather_config *c, struct err *e)
{
	for (int own = 0; own < 2; own++)
		for (size_t k = 0; k < FIELDS; k++)
			for (int i = 0; i < a->option_count; i++)
				if (strcmp(a->options[i].spec->name,
					fields[k].option) == 0 &&
				    take_field(&fields[k], c,
					a->options[i].value, own == 1, e) < 0)
					return -1;
	return 0;
}

/* ---- the whole configuration ---- */

static int
take_all(struct args *a, struct gather_config *c, struct err *e)
{
	c->members = calloc(LAYOUT_MOST, sizeof(*c->members));
	if (c->members == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	if (args_has(a, "size") &&
	    parse_size(args_option(a, "size"), &c->size, e) < 0)
		return -1;
	if ((args_has(a, "members") ? take_members : take_layout)(a, c, e) <
		0 ||
	    take_urls(a, c, e) < 0)
		return -1;
	for (int i = 0; i < a->option_count; i++)
		if (strcmp(a->options[i].spec->name, "pairing") == 0 &&
		    take_pairing(a, c, a->options[i].value, e) < 0)
			return -1;
	c->force = args_has(a, "force");
	c->still = args_has(a, "still");
	c->compare = args_has(a, "compare");
	return take_fields(a, c, e);
}

/* The list of ranges is beside a file; for a device it must be told where. */
static int
take_paths(struct args *a, struct gather_config *c, struct err *e)
{
	const char *state = args_option(a, "state");
	struct stat st;

	if (absolute(args_option(a, "to"), c->target, e) < 0)
		return err_at(e, "--to");
	if (state != NULL)
		return absolute(state, c->state, e) < 0 ? err_at(e, "--state")
							: 0;
	if (stat(c->target, &st) == 0 && S_ISBLK(st.st_mode))
		return err_set(e, ERR_REFUSED,
		    "%s is a device: say --state FILE, where the list of "
		    "ranges that are still to be read can be kept",
		    c->target);
	if ((size_t)snprintf(c->state, sizeof(c->state), "%s.gather",
		c->target) >= sizeof(c->state))
		return err_set(e, ERR_REFUSED, "path too long");
	return 0;
}

static int
recall(struct gather_config *c, struct err *e)
{
	AUTO(buf_release) struct buf plan = {0};
	struct gather_cut cut;
	uint64_t unit;
	int there = gather_state_plan(c->state, &plan, e);

	if (there < 0)
		return -1;
	if (there == 0)
		return err_set(e, ERR_REFUSED,
		    "there is nothing to go on with: %s is not there",
		    c->state);
	return gather_plan_decode(&plan, c, &unit, &cut, e);
}

/* ---- telling ---- */

struct teller {
	bool json, terminal, shown;
	uint64_t last_ns, begin_ns;
};

static void
end_line(struct teller *t)
{
	if (t->shown)
		(void)fputc('\n', stderr);
	t->shown = false;
}

static void
tell_text(void *ctx, const char *text)
{
	end_line(ctx);
	(void)fprintf(stderr, "aim-manager: %s\n", text);
}

/* A line that is written over at a terminal; every ten seconds elsewhere. */
static void
tell_progress(void *ctx, uint64_t done, uint64_t all)
{
	struct teller *t = ctx;
	uint64_t now = clock_mono_ns();
	double share = all == 0 ? 100 : 100.0 * (double)done / (double)all;

	if (!t->terminal && now - t->last_ns < UINT64_C(10000000000))
		return;
	t->last_ns = now;
	(void)fprintf(stderr,
	    "%s%5.1f %% read, %" PRIu64 " of %" PRIu64 " MiB, %" PRIu64 " s%s",
	    t->terminal ? "\r" : "", share, done >> 20, all >> 20,
	    (now - t->begin_ns) / UINT64_C(1000000000),
	    t->terminal ? "  " : "\n");
	t->shown = t->terminal;
}

static const char *
end_word(enum gather_end end)
{
	return end == GATHER_DONE     ? "done"
	       : end == GATHER_UNREAD ? "unread"
				      : "differs";
}

static int
print_json(const struct gather_config *c, const struct gather_result *r)
{
	AUTO(buf_release) struct buf out = {0};
	struct json j = {0};
	struct err e = {0};
	uint32_t i;

	json_object(&j, NULL);
	json_text(&j, "result", end_word(r->end));
	json_text(&j, "target", c->target);
	json_number(&j, "size", r->size);
	json_number(&j, "unread", r->unread);
	json_number(&j, "read_again", r->again);
	json_number(&j, "transaction", r->cut.at.last);
	json_number(&j, "epoch", r->cut.at.epoch_number);
	json_array(&j, "members");
	for (i = 0; i < c->layout.members; i++) {
		json_object(&j, NULL);
		json_text(&j, "name", c->members[i].name);
		json_bool(&j, "read", (r->used >> i & 1) != 0);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_array(&j, "ranges");
	for (i = 0; i < r->left_count && i < GATHER_DIFFERENCES; i++) {
		json_object(&j, NULL);
		json_number(&j, "offset", r->left[i].off);
		json_number(&j, "length", r->left[i].len);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_number(&j, "compared", r->compared);
	json_number(&j, "not_compared", r->not_compared);
	json_number(&j, "differences", r->difference_count);
	json_object_end(&j);
	if (json_end(&j, &out, &e) < 0)
		return tell_err(&e);
	return tell_out(out.data, out.len);
}

static void
print_text(const struct gather_config *c, const struct gather_result *r)
{
	uint32_t i;

	if (r->end == GATHER_UNREAD)
		(void)printf("%s is not complete: %" PRIu64 " of %" PRIu64
			     " bytes are still to be read%s\n",
		    c->target, r->unread, r->size,
		    r->unread == 0 ? ", but the members do not tell yet "
				     "whether they have moved"
				   : ":");
	for (i = 0; i < r->left_count && i < GATHER_DIFFERENCES; i++)
		(void)printf("  %" PRIu64 " bytes from %" PRIu64 "\n",
		    r->left[i].len, r->left[i].off);
	if (r->left_count > GATHER_DIFFERENCES)
		(void)printf(
		    "  and %u more\n", r->left_count - GATHER_DIFFERENCES);
	if (r->end == GATHER_UNREAD)
		(void)printf("Go on with: aim-manager gather --continue --to "
			     "%s\n",
		    c->target);
	else if (r->cut.at.last != 0)
		(void)printf("%s has %" PRIu64
			     " bytes, as of transaction %" PRIu64 "\n",
		    c->target, r->size, r->cut.at.last);
	else
		(void)printf("%s has %" PRIu64
			     " bytes, of which nobody knows the moment\n",
		    c->target, r->size);
	if (c->compare)
		(void)printf("%" PRIu64 " bytes of other copies were compared, "
			     "%" PRIu64 " could not be\n",
		    r->compared, r->not_compared);
	for (i = 0; i < r->difference_count && i < GATHER_DIFFERENCES; i++)
		(void)printf("  the copies differ within %" PRIu64
			     " bytes from %" PRIu64 "\n",
		    r->differences[i].len, r->differences[i].off);
}

static int
report(struct args *a, const struct gather_config *c,
    const struct gather_result *r)
{
	int told = EXIT_DONE;

	if (args_has(a, "json"))
		told = print_json(c, r);
	else
		print_text(c, r);
	if (fflush(stdout) != 0)
		told =
		    tell(EXIT_FAILED, "standard output: %s", strerror(errno));
	if (r->end == GATHER_UNREAD)
		return EXIT_TIMEOUT;
	if (r->end == GATHER_DIFFERS)
		return tell(EXIT_REFUSED,
		    "%u ranges differ between copies of the same moment: a "
		    "member is damaged. The target has what was read first",
		    r->difference_count);
	return told;
}

/* ---- the command ---- */

static int
check_usage(struct args *a)
{
	static const char *const begins[] = {"members", "layout", "member",
	    "pairing", "ack", "size", "volume", "force", "still", "overwrite"};
	size_t i;

	if (!args_has(a, "to"))
		return tell(EXIT_USAGE, "gather needs --to PATH");
	for (i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (args_has(a, "continue") && args_has(a, begins[i]))
			return tell(EXIT_USAGE,
			    "--continue goes on as it was begun: without "
			    "--%s",
			    begins[i]);
	if (!args_has(a, "continue") &&
	    args_has(a, "members") == args_has(a, "layout"))
		return tell(EXIT_USAGE,
		    "gather needs --members FILE or --layout LAYOUT, one of "
		    "them");
	return EXIT_DONE;
}

int
run_gather(struct args *a)
{
	AUTO(auto_config) struct gather_config c = {.size = 0};
	struct gather_result r = {.end = GATHER_DONE};
	struct teller t = {.json = args_has(a, "json")};
	bool again = args_has(a, "continue");
	struct err e = {0};
	int code = check_usage(a);

	if (code != EXIT_DONE)
		return code;
	if (take_paths(a, &c, &e) < 0 ||
	    (again ? recall(&c, &e) : take_all(a, &c, &e)) < 0)
		return tell_err(&e);
	c.overwrite = args_has(a, "overwrite");
	c.once = args_has(a, "once");
	c.compare = c.compare || args_has(a, "compare");
	if (args_has(a, "retry-at") &&
	    (size_t)snprintf(c.retry_at, sizeof(c.retry_at), "%s",
		args_option(a, "retry-at")) >= sizeof(c.retry_at))
		return tell(EXIT_USAGE, "--retry-at: too long");
	t.terminal = isatty(STDERR_FILENO) != 0;
	t.begin_ns = t.last_ns = clock_mono_ns();
	c.tell = tell_text;
	c.progress = tell_progress;
	c.ctx = &t;
	if (args_has(a, "dry-run"))
		return gather_check(&c, &e) < 0 ? tell_err(&e) : EXIT_DONE;
	if (gather_run(&c, again, &r, &e) < 0) {
		end_line(&t);
		return tell_err(&e);
	}
	end_line(&t);
	return report(a, &c, &r);
}
