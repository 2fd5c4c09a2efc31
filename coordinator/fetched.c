/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/fetched.h"

#include "common/cleanup.h"
#include "common/io.h"

int
fetched_open(struct home *h, const struct uuid *stream, int *out, struct err *e)
{
	AUTO_CLOSE int all = -1, one = -1;
	char name[UUID_TEXT];

	(void)uuid_text(stream, name);
	if (io_make_dir(h->dir, "fetched", 0700, e) < 0 ||
	    io_open_dir(h->dir, "fetched", &all, e) < 0 ||
	    io_make_dir(all, name, 0700, e) < 0 ||
	    io_open_dir(all, name, &one, e) < 0 ||
	    io_make_dir(one, "ack", 0700, e) < 0)
		return err_at(e, "the folder of fetched files");
	*out = STEAL_FD(one);
	return 0;
}
