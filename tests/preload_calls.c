/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_calls: `--list` names the calls ("NAME KIND");
 * `NAME PATH` makes one on a file and prints what came of it. A test runs
 * each plainly and captured, and compares.
 */
#include "tests/preload_calls.h"

#include <stdarg.h>

const char *own_name;

void
show(const char *what, long value)
{
	int error = errno;

	printf("%s = %ld%s%s\n", what, value, value == -1 ? " " : "",
	    value == -1 ? strerror(error) : "");
}

char *
pattern(size_t len, unsigned seed)
{
	char *p = NULL;

	if (posix_memalign((void **)&p, 4096, len + 1) != 0)
		abort();
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (char)(seed >> 16);
	}
	p[len] = '\0';
	return p;
}

int
must_open(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static const struct call *const all[] = {write_calls, size_calls, other_calls,
    process_calls, inside_calls, signal_calls, native_calls};
enum { FAMILIES = sizeof(all) / sizeof(all[0]) };

static void
list(void)
{
	for (unsigned i = 0; i < FAMILIES; i++)
		for (const struct call *c = all[i]; c->name != NULL; c++)
			printf("%s %s\n", c->name, c->kind);
}

int
main(int argc, char **argv)
{
	own_name = argv[0];
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list();
		return 0;
	}
	for (unsigned i = 0; argc == 3 && i < FAMILIES; i++)
		for (const struct call *c = all[i]; c->name != NULL; c++)
			if (strcmp(c->name, argv[1]) == 0) {
				c->run(argv[2]);
				return 0;
			}
	fprintf(stderr, "usage: preload_calls --list | NAME PATH\n");
	return 2;
}
