/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/watch.h"

#include "common/clock.h"

#include <stddef.h>
#include <sys/mman.h>

#define LOOKS 8u	  /* in one limit */
#define SYNC_PATIENCE 10u /* times the limit */
#define MS UINT64_C(1000000)

int
watch_open(struct watch *w, struct err *e)
{
	void *p;

	if (w->pulse != NULL)
		return 0;
	p = mmap(NULL, sizeof(*w->pulse), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map memory for a pulse");
	w->pulse = p;
	return 0;
}

void
watch_close(struct watch *w)
{
	if (w->pulse != NULL)
		(void)munmap(w->pulse, sizeof(*w->pulse));
	w->pulse = NULL;
}

void
watch_begin(struct watch *w)
{
	w->moved_ns = w->looked_ns = clock_mono_ns();
	if (w->pulse == NULL)
		return;
	w->beats = atomic_load(&w->pulse->beats);
	/* The one before may have been killed in the middle of it. */
	atomic_store(&w->pulse->syncing, 0);
}

bool
watch_look(struct watch *w, uint32_t limit_ms, uint64_t *next_ns)
{
	uint64_t now = clock_mono_ns(), every = limit_ms * MS / LOOKS;
	uint64_t limit = limit_ms * MS, beats;
	bool late;

	if (w->pulse == NULL || limit_ms == 0)
		return false;
	late = now - w->looked_ns > 2 * every + 2000 * MS;
	w->looked_ns = now;
	beats = atomic_load(&w->pulse->beats);
	if (late || beats != w->beats) {
		w->beats = beats;
		w->moved_ns = now;
	}
	if (atomic_load(&w->pulse->syncing) != 0)
		limit *= SYNC_PATIENCE;
	if (*next_ns > now + every)
		*next_ns = now + every;
	return now - w->moved_ns >= limit;
}
