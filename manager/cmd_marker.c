/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/capture.h"
#include "common/cleanup.h"
#include "coordinator/request.h"
#include "fileformat/note.h"
#include "manager/command.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int
find_group(const char *path, const char *name, struct home *h,
    struct uuid *group, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	AUTO(snapshot_release) struct snapshot s = {0};
	const struct group_config *g;

	if (home_open(path, h, e) < 0 || catalogue_open(h, false, &c, e) < 0 ||
	    catalogue_load(c, &s, e) < 0)
		return -1;
	g = snapshot_group(&s, name);
	if (g == NULL)
		return err_set(e, ERR_REFUSED,
		    "no group '%s' is protected in this home%s", name,
		    snapshot_mirror(&s, name) != NULL
			? ": it is mirrored here; set markers at its source"
			: "");
	*group = g->uuid;
	return 0;
}

static int
put_marker(struct home *h, struct capture *c, const char *name,
    uint64_t *number, struct err *e)
{
	struct control_note note = {.initiator = h->site};
	uint8_t payload[CONTROL_NOTE_LEN];
	struct capture_status s;

	capture_status(c, &s);
	if (s.mode != CAPTURE_ON)
		return err_set(e, ERR_REFUSED,
		    "nothing is captured before the group's first base: run "
		    "'aim-manager base' first");
	if (uuid_make(&note.message, e) < 0)
		return -1;
	(void)snprintf(note.name, sizeof(note.name), "%s", name);
	control_note_encode(&note, payload);
	return capture_control(
	    c, OP_MARKER, payload, sizeof(payload), number, e);
}

int
run_marker(struct args *a)
{
	AUTO(home_close) struct home h = HOME_NONE;
	struct capture *c;
	struct uuid group;
	uint64_t number;
	struct err e = {0};
	int done;

	if (name_check("marker", a->words[1], &e) < 0 ||
	    find_group(a->home, a->words[0], &h, &group, &e) < 0 ||
	    capture_attach(h.path, &group, CAPTURE_INSPECT, &c, &e) < 0)
		return tell_err(&e);
	done = put_marker(&h, c, a->words[1], &number, &e);
	capture_detach(c);
	if (done < 0)
		return tell_err(&e);
	(void)printf("%ju\n", (uintmax_t)number);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
