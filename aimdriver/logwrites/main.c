/* SPDX-License-Identifier: Apache-2.0 */
/* aim-logwrites: write logs of dm-log-writes and blklogwrites. */
#include "aimdriver/logwrites/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: aim-logwrites dump [--json] LOG...\n";

static const char help[] =
    "\n"
    "Reads the write logs of Linux' dm-log-writes and of QEMU's\n"
    "blklogwrites.\n"
    "\n"
    "  dump         shows what a log holds, entry by entry; L a flush comes\n"
    "               first, F force unit access, M the file system's own\n"
    "               data, ? flags that are not known\n"
    "\n"
    "  --json       one JSON object for the log and one for each entry\n"
    "  --help       this text\n"
    "\n"
    "Exit status: 0 done; 1 failed; 2 wrong usage; 4 refused: it would not\n"
    "be right, and the message says why.\n"
    "\n"
    "Example:\n"
    "  aim-logwrites dump /dev/vdb | less\n";

enum { JSON = 256, HELP };

static const struct option known[] = {
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
	int least; /* names */
} commands[] = {
    {"dump", run_dump, 1},
};

int
complain(const struct err *e)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "aim-logwrites: %s\n", e->text);
	return e->kind == ERR_REFUSED ? EXIT_REFUSED : EXIT_FAILED;
}

static int
misused(void)
{
	(void)fprintf(stderr, "%sTry \"aim-logwrites --help\".\n", usage);
	return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	struct options o = {.home = getenv("AIM_HOME")};
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0)
		switch (c) {
		case JSON:
			o.json = true;
			break;
		case HELP:
			(void)printf("%s%s", usage, help);
			return EXIT_DONE;
		default:
			return misused();
		}
	if (optind == argc)
		return misused();
	o.count = argc - optind - 1;
	o.name = argv + optind + 1;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[optind], commands[i].name) == 0 &&
		    o.count >= commands[i].least)
			return commands[i].run(&o);
	return misused();
}
