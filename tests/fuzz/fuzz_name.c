/* SPDX-License-Identifier: Apache-2.0 */
/* Names from outside: what passes is harmless, what is shown is plain. */
#include "tests/fuzz/fuzz.h"

#include "common/name.h"
#include "common/uuid.h"
#include "fileformat/header.h"

#include <stdlib.h>
#include <string.h>

static void
check_text(const char *text)
{
	char again[JOURNAL_NAME_LEN], uuid[UUID_TEXT];
	struct uuid u;
	uint32_t epoch;
	uint64_t sequence;

	if (journal_name_parse(text, &epoch, &sequence))
		FUZZ_MUST(
		    strcmp(journal_name(epoch, sequence, again), text) == 0);
	if (name_check("thing", text, NULL) == 0) {
		FUZZ_MUST(strlen(text) < NAME_LIMIT && text[0] != '.');
		FUZZ_MUST(strpbrk(text, "/\\ \t\n\r'\"$`;|&<>*?") == NULL);
	}
	if (uuid_parse(text, &u, NULL) == 0)
		FUZZ_MUST(strcasecmp(uuid_text(&u, uuid), text) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *shown;
	size_t room = size == 0 ? 1 : data[0] + 1u, i;

	shown = malloc(room);
	if (text == NULL || shown == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	check_text(text);
	(void)name_quote(text, size, shown, room);
	FUZZ_MUST(strlen(shown) < room);
	for (i = 0; shown[i] != '\0'; i++)
		FUZZ_MUST(shown[i] >= 0x20 && shown[i] < 0x7f);
	free(text);
	free(shown);
	return 0;
}
