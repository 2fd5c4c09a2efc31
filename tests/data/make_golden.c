/* SPDX-License-Identifier: Apache-2.0 */
/* make_golden DIR: makes the golden files there. */
#include "tests/data/golden.h"

#include "common/cleanup.h"
#include "common/io.h"

#include <fcntl.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	AUTO_CLOSE int dir = -1;
	struct err e;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: make_golden DIR\n");
		return 2;
	}
	if (io_open_dir(AT_FDCWD, argv[1], &dir, &e) < 0 ||
	    golden_make(dir, &e) < 0) {
		(void)fprintf(stderr, "make_golden: %s\n", e.text);
		return 1;
	}
	return 0;
}
