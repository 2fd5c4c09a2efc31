/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile: the text in which a group's key is kept and handed over. */
#include "fileformat/crypt.h"

#include "common/name.h"

#include <stdio.h>
#include <string.h>

void
keyfile_encode(
    const struct uuid *group, const struct group_key *k, char out[KEYFILE_LEN])
{
	char uuid[UUID_TEXT], id[2 * KEY_ID_LEN + 1];
	char key[2 * GROUP_KEY_LEN + 1];

	(void)snprintf(out, KEYFILE_LEN,
	    KEYFILE_BEGIN "1\ngroup %s\nid %s\nkey %s\n",
	    uuid_text(group, uuid), hex_text(k->id, KEY_ID_LEN, id),
	    hex_text(k->key, GROUP_KEY_LEN, key));
	explicit_bzero(key, sizeof(key));
}

/* The value of the line at *at, which must begin with `word`. */
static const char *
value_of(char **at, const char *word)
{
	char *line = *at, *end = strchr(line, '\n');
	size_t n = strlen(word);

	if (end == NULL || strncmp(line, word, n) != 0)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line + n;
}

static int
no(struct err *e, const char *what)
{
	return err_set(e, ERR_REFUSED, "is no key file: %s", what);
}

static int
read_lines(char *at, struct uuid *group, struct group_key *k, struct err *e)
{
	uint8_t id[KEY_ID_LEN];
	const char *value = value_of(&at, KEYFILE_BEGIN);

	if (value == NULL)
		return no(e, "it does not begin with \"" KEYFILE_BEGIN "1\"");
	if (strcmp(value, "1") != 0)
		return no(e, "it is of another version than 1");
	value = value_of(&at, "group ");
	if (value == NULL || uuid_parse(value, group, NULL) < 0)
		return no(e, "line 2 is not \"group UUID\"");
	value = value_of(&at, "id ");
	if (value == NULL || hex_parse(value, id, sizeof(id), NULL) < 0)
		return no(e, "line 3 is not \"id\" and 32 digits");
	value = value_of(&at, "key ");
	if (value == NULL || hex_parse(value, k->key, sizeof(k->key), NULL) < 0)
		return no(e, "line 4 is not \"key\" and 64 digits");
	if (*at != '\0')
		return no(e, "there is more behind line 4");
	if (group_key_derive(k, e) < 0)
		return -1;
	if (memcmp(id, k->id, sizeof(id)) != 0)
		return err_set(e, ERR_CORRUPT,
		    "is a damaged key file: the id is not that of the key");
	return 0;
}

int
keyfile_decode(const char *text, size_t len, struct uuid *group,
    struct group_key *out, struct err *e)
{
	char copy[KEYFILE_LIMIT + 1];
	struct group_key k = {0};
	struct uuid g;
	int done;

	if (len > KEYFILE_LIMIT || memchr(text, '\0', len) != NULL)
		return no(e, "it is too long, or has zeroes in it");
	memcpy(copy, text, len);
	copy[len] = '\0';
	done = read_lines(copy, &g, &k, e);
	if (done == 0) {
		*group = g;
		*out = k;
	}
	explicit_bzero(copy, sizeof(copy));
	group_key_forget(&k);
	return done;
}
