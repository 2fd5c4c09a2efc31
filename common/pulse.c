/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pulse.h"

#include <stddef.h>

static struct pulse *the_pulse;

void
pulse_use(struct pulse *p)
{
	the_pulse = p;
}

void
pulse_beat(void)
{
	struct pulse *p = the_pulse;

	if (p != NULL)
		atomic_fetch_add_explicit(&p->beats, 1, memory_order_relaxed);
}

void
pulse_sync_begin(void)
{
	pulse_beat();
	if (the_pulse != NULL)
		atomic_fetch_add(&the_pulse->syncing, 1);
}

void
pulse_sync_end(void)
{
	pulse_beat();
	if (the_pulse != NULL)
		atomic_fetch_sub(&the_pulse->syncing, 1);
}
