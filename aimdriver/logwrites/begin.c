/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/logwrites/begin.h"

#include "aimdriver/logwrites/state.h"
#include "common/cleanup.h"

#include <inttypes.h>

static void
detach(struct capture **c)
{
	capture_detach(*c);
}

/* One that was left half done: the disk has what the mirrors have not. */
static int
check_others(const char *home, const struct target *t, struct err *e)
{
	AUTO(log_states_release) struct log_states s = {.list = NULL};
	size_t i;

	if (log_states_look(home, &t->group, &s, e) < 0)
		return -1;
	for (i = 0; i < s.count; i++) {
		const struct log_state *l = &s.list[i];

		if (!uuid_equal(&l->progress.volume, &t->info.uuid) ||
		    l->phase == LOG_PREPARED || l->phase == LOG_DONE ||
		    l->phase == LOG_OVER)
			continue;
		return err_set(e, ERR_REFUSED,
		    "another write log of %s is in the stream up to entry "
		    "%" PRIu64 " of log %" PRIu64
		    " only: import it to its end first, or copy the disk in "
		    "with 'aim-manager base'",
		    t->info.path, l->progress.place.index, l->progress.log);
	}
	return 0;
}

int
begin_chain(const char *home, const struct target *t, bool kernel,
    struct progress *out, struct err *e)
{
	AUTO(detach) struct capture *c = NULL;
	struct capture_copyins copyins;
	struct capture_status st;
	struct progress p;

	if (capture_attach(home, &t->group, CAPTURE_INSPECT, &c, e) < 0 ||
	    capture_copyins(c, &copyins, e) < 0)
		return -1;
	capture_status(c, &st);
	if (st.mode != CAPTURE_ON || copyins.running || st.needs_recovery ||
	    st.suspect)
		return err_set(e, ERR_REFUSED,
		    "%s has no finished base: pair its group, run "
		    "'aim-manager base' and wait for it, with nobody writing "
		    "to the disk; then prepare its log",
		    t->info.path);
	if (check_others(home, t, e) < 0)
		return -1;
	p = (struct progress){.volume = t->info.uuid,
	    .copyins = copyins.count,
	    .kernel = kernel,
	    .boots = st.boots};
	if (uuid_make(&p.chain, e) < 0)
		return -1;
	*out = p;
	return 0;
}

int
begin_store(const char *home, const struct target *t, const struct progress *p,
    struct err *e)
{
	struct progress_file f = PROGRESS_FILE_NONE;
	struct progress none;
	int r = progress_open(&f, home, &t->group, &p->chain, &none, e);

	if (r == 0)
		r = progress_store(&f, p, e);
	progress_close(&f);
	return r;
}
