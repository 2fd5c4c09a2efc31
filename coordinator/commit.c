/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/commit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADVICE                                                                 \
	"it is 'local', 'journal', 'all' or 'any K of (A,B,...)' with names "  \
	"of destinations"

static const char *
skip_space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* The word there, if it is that one, and nothing of a longer one. */
static bool
take_word(const char **p, const char *word)
{
	const char *at = skip_space(*p);
	size_t len = strlen(word);

	if (strncmp(at, word, len) != 0 || isalnum((unsigned char)at[len]))
		return false;
	*p = skip_space(at + len);
	return true;
}

static int
add_name(struct commit_config *out, const char *from, size_t len, struct err *e)
{
	char name[NAME_LIMIT];

	if (len == 0 || len >= sizeof(name))
		return err_set(
		    e, ERR_REFUSED, "commit: a destination's name is missing");
	memcpy(name, from, len);
	name[len] = 0;
	if (name_check("destination", name, e) < 0)
		return err_at(e, "commit");
	for (uint32_t i = 0; i < out->count; i++)
		if (strcmp(out->names[i], name) == 0)
			return err_set(e, ERR_REFUSED,
			    "commit: '%s' is named twice", name);
	if (out->count == COMMIT_NAMES)
		return err_set(e, ERR_REFUSED,
		    "commit: at most %u destinations", COMMIT_NAMES);
	(void)strcpy(out->names[out->count++], name);
	return 0;
}

/* "(A,B)" or "A,B", to the end. */
static int
parse_names(const char *p, struct commit_config *out, struct err *e)
{
	bool closes = *p == '(';

	if (closes)
		p++;
	for (;;) {
		size_t len;

		p = skip_space(p);
		len = strcspn(p, " \t\n,()");
		if (add_name(out, p, len, e) < 0)
			return -1;
		p = skip_space(p + len);
		if (*p != ',')
			break;
		p++;
	}
	if (closes && *p++ != ')')
		return err_set(e, ERR_REFUSED, "commit: ')' is missing");
	if (*skip_space(p) != 0)
		return err_set(e, ERR_REFUSED, "commit '%s': " ADVICE, p);
	return 0;
}

static int
parse_any(const char *p, struct commit_config *out, struct err *e)
{
	char *end;
	unsigned long needed;

	needed = strtoul(p, &end, 10);
	if (end == p || !isdigit((unsigned char)*p) || needed == 0)
		return err_set(
		    e, ERR_REFUSED, "commit: 'any' needs a number: " ADVICE);
	p = end;
	if (!take_word(&p, "of"))
		return err_set(
		    e, ERR_REFUSED, "commit: 'of' is missing: " ADVICE);
	if (parse_names(p, out, e) < 0)
		return -1;
	if (needed > out->count)
		return err_set(e, ERR_REFUSED,
		    "commit: any %lu of %u destinations cannot be had", needed,
		    out->count);
	out->needed = (uint32_t)needed;
	out->kind = COMMIT_MIRRORS;
	return 0;
}

int
commit_parse(const char *text, struct commit_config *out, struct err *e)
{
	struct commit_config p = *out;
	const char *at = text;

	p.kind = COMMIT_LOCAL;
	p.all = false;
	p.needed = p.count = 0;
	memset(p.names, 0, sizeof(p.names));
	if (take_word(&at, "any")) {
		if (parse_any(at, &p, e) < 0)
			return -1;
		*out = p;
		return 0;
	}
	if (take_word(&at, "all")) {
		p.kind = COMMIT_MIRRORS;
		p.all = true;
	} else if (take_word(&at, "journal"))
		p.kind = COMMIT_JOURNAL;
	else if (!take_word(&at, "local"))
		return err_set(e, ERR_REFUSED, "commit '%s': " ADVICE, text);
	if (*at != 0)
		return err_set(e, ERR_REFUSED, "commit '%s': " ADVICE, text);
	*out = p;
	return 0;
}

const char *
commit_text(const struct commit_config *p, char out[COMMIT_TEXT])
{
	size_t used;

	switch (p->kind) {
	case COMMIT_LOCAL:
		return strcpy(out, "local");
	case COMMIT_JOURNAL:
		return strcpy(out, "journal");
	case COMMIT_MIRRORS:
		break;
	}
	if (p->all)
		return strcpy(out, "all");
	used = (size_t)snprintf(out, COMMIT_TEXT, "any %u of (", p->needed);
	for (uint32_t i = 0; i < p->count; i++)
		used += (size_t)snprintf(out + used, COMMIT_TEXT - used, "%s%s",
		    i == 0 ? "" : ",", p->names[i]);
	(void)snprintf(out + used, COMMIT_TEXT - used, ")");
	return out;
}

bool
commit_names(const struct commit_config *p, const char *name)
{
	if (p->kind != COMMIT_MIRRORS)
		return false;
	if (p->all)
		return true;
	for (uint32_t i = 0; i < p->count; i++)
		if (strcmp(p->names[i], name) == 0)
			return true;
	return false;
}

static int
descending(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x < y) - (x > y);
}

uint64_t
commit_position(uint64_t *at, uint32_t count, uint32_t needed)
{
	if (needed == 0 || needed > count)
		return 0;
	qsort(at, count, sizeof(*at), descending);
	return at[needed - 1];
}
