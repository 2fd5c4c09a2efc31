/* SPDX-License-Identifier: Apache-2.0 */
/* apply_done: applied files on their way to done/, and out of it. */
#include "coordinator/apply.h"

#include "common/cleanup.h"
#include "common/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DONE_LAG 256u

int
apply_add_name(
    struct apply_names *to, const struct chain_name *n, struct err *e)
{
	if (to->count == to->room) {
		size_t more = to->room == 0 ? 64 : to->room * 2;
		struct chain_name *p = reallocarray(to->at, more, sizeof(*p));

		if (p == NULL)
			return err_set(e, ERR_RETRY, "out of memory");
		to->at = p;
		to->room = more;
	}
	to->at[to->count++] = *n;
	return 0;
}

/* The last one always stays, because the tail check reads it. */
static size_t
done_keep(const struct apply *a)
{
	return a->stage.mirror.done_keep < 1 ? 1 : a->stage.mirror.done_keep;
}

int
apply_trim(struct apply *a, struct err *e)
{
	char old[JOURNAL_NAME_LEN];

	if (a->done.count <= done_keep(a))
		return 0;
	(void)journal_name(
	    a->done.at[0].epoch_number, a->done.at[0].sequence, old);
	if (sys_unlink(a->stage.done, old) < 0 && errno != ENOENT)
		return err_sys(e, "remove done/%s", old);
	memmove(a->done.at, a->done.at + 1,
	    --a->done.count * sizeof(a->done.at[0]));
	return 1;
}

/* A file moves to done/. What is too much there goes when there is nothing
 * else to do, for removing files can take long; but it does not pile up. */
int
apply_retire(struct apply *a, const struct chain_name *n, struct err *e)
{
	char name[JOURNAL_NAME_LEN];

	(void)journal_name(n->epoch_number, n->sequence, name);
	if (sys_rename(a->stage.stage, name, a->stage.done, name, 0) < 0) {
		if (errno != ENOENT)
			return err_sys(e, "move %s to done/", name);
		return 0;
	}
	if (apply_add_name(&a->done, n, e) < 0)
		return -1;
	while (a->done.count > done_keep(a) + DONE_LAG)
		if (apply_trim(a, e) < 0)
			return -1;
	return 0;
}

int
apply_settle_done(struct apply *a, struct err *e)
{
	AUTO_FREE struct chain_name *staged = NULL;
	const struct position *c = &a->state.clean;
	size_t count, i;
	int more;

	if (stage_list(a->stage.done, &a->done.at, &a->done.count, e) < 0)
		return -1;
	a->done.room = a->done.count;
	if (stage_list(a->stage.stage, &staged, &count, e) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (staged[i].epoch_number > c->epoch_number ||
		    (staged[i].epoch_number == c->epoch_number &&
			staged[i].sequence > c->sequence))
			break;
		if (apply_retire(a, &staged[i], e) < 0)
			return -1;
	}
	while ((more = apply_trim(a, e)) > 0)
		continue;
	return more;
}
