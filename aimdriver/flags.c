/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags: how often programs have changed the flags of open files of a group's
 * volumes. One word in shared memory: changes that were begun in the high
 * half, those that ended in the low one. Who is killed in between leaves them
 * different, and then all ask at each write, until the machine boots.
 */
#include "aimdriver/control.h"

#define BEGUN (UINT64_C(1) << 32)
#define GIVEN (UINT64_C(1) << 63)

void
capture_flags_change(struct capture *c, enum capture_flags what)
{
	_Atomic uint64_t *word = &c->ctl->flag_changes;

	switch (what) {
	case CAPTURE_FLAGS_BEGIN:
		(void)atomic_fetch_add(word, BEGUN);
		break;
	case CAPTURE_FLAGS_END:
		(void)atomic_fetch_add(word, 1);
		break;
	case CAPTURE_FLAGS_GIVEN:
		(void)atomic_fetch_or(word, GIVEN);
		break;
	}
}

uint64_t
capture_flags_changes(const struct capture *c)
{
	return atomic_load(&c->ctl->flag_changes);
}

bool
capture_flags_are_steady(uint64_t changes)
{
	return changes >> 32 == (changes & UINT32_MAX);
}
