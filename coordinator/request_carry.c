/* SPDX-License-Identifier: Apache-2.0 */
/* request_carry: carry-acks (ack...: the bytes of acknowledgements that came
 * back with a folder). Nobody ships to such destinations, so what is saved
 * here is all that anybody goes by. */
#include "coordinator/request.h"

#include "coordinator/ack_store.h"
#include "coordinator/carry.h"

#include <string.h>

static const struct destination_config *
find_carried(struct change *ch, const struct ack *a)
{
	for (uint32_t i = 0; i < ch->now.destination_count; i++) {
		const struct destination_config *d = &ch->now.destinations[i];

		if (strcmp(d->url, CARRY_URL) == 0 &&
		    uuid_equal(&d->mirror, &a->mirror))
			return d;
	}
	return NULL;
}

static int
accept(struct change *ch, const struct destination_config *d,
    const uint8_t *bytes, size_t len, struct err *e)
{
	struct sealed sealed = {.dir = -1};
	struct err why = {0};
	struct ack old, a;
	int had, got;

	if (sealed_open(ch->home, &d->stream, &sealed, e) < 0)
		return -1;
	had = ack_load(ch->home, d, &old, &why);
	got = ack_accept(
	    ch->home, d, &sealed, bytes, len, had == 1 ? &old : NULL, &a, e);
	sealed_close(&sealed);
	if (got < 0)
		return err_at(e, "destination '%s'", d->name);
	return buf_printf(&ch->out, e,
	    "destination %s: %s, stored %ju, applied %ju\n", d->name,
	    got == 1 ? "acknowledged" : "nothing new",
	    (uintmax_t)(got == 1 ? a.stored.last : old.stored.last),
	    (uintmax_t)(got == 1 ? a.applied.last : old.applied.last));
}

int
request_carry_acks(struct change *ch, struct err *e)
{
	struct message_pair at = {0};

	while (message_next(ch->in, &at)) {
		const struct destination_config *d;
		struct ack a;

		if (strcmp(at.key, "ack") != 0)
			continue;
		if (ack_decode((const uint8_t *)at.value, at.len, &a, NULL) !=
		    VERDICT_WHOLE)
			return err_set(e, ERR_CORRUPT,
			    "an acknowledgement in the folder is damaged: "
			    "fetch it again from the mirror's site");
		d = find_carried(ch, &a);
		if (d != NULL &&
		    accept(ch, d, (const uint8_t *)at.value, at.len, e) < 0)
			return -1;
	}
	return 0;
}
