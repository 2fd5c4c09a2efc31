/* SPDX-License-Identifier: Apache-2.0 */
/* aim-logwrites: write logs of dm-log-writes and blklogwrites. */
#include "aimdriver/logwrites/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: aim-logwrites dump [--json] LOG...\n"
    "       aim-logwrites prepare [--home H] --volume V [--sector N] "
    "[LOG...]\n"
    "       aim-logwrites import [--home H] --volume V [--unmarked]\n"
    "           [--no-compare] [--dry-run] LOG...\n";

static const char help[] =
    "\n"
    "Reads the write logs of Linux' dm-log-writes and of QEMU's\n"
    "blklogwrites, and captures what they tell.\n"
    "\n"
    "  prepare      begins a new chain of logs for a volume whose base is\n"
    "               done: writes to each LOG the mark that it is known by\n"
    "               (then use it with log-append=on). Without LOG the mark\n"
    "               is printed, for 'dmsetup message DEVICE 0 mark MARK'\n"
    "  import       puts the writes of finished logs into the stream of the\n"
    "               volume's group, in order; one that was interrupted goes\n"
    "               on where it was\n"
    "  dump         shows what a log holds, entry by entry; L a flush comes\n"
    "               first, F force unit access, M the file system's own\n"
    "               data, ? flags that are not known\n"
    "\n"
    "  --home H     the site's home; else AIM_HOME, else /var/lib/aim\n"
    "  --volume V   the protected disk: its path, or the volume's UUID\n"
    "  --sector N   bytes of a log sector (512)\n"
    "  --unmarked   import a log that was not prepared: you say that it is\n"
    "               all that was written since the base\n"
    "  --no-compare do not compare the disk with what the log leaves on it\n"
    "  --dry-run    check everything and change nothing\n"
    "  --json       one JSON object for the log and one for each entry\n"
    "  --help       this text\n"
    "\n"
    "Exit status: 0 done; 1 failed; 2 wrong usage; 4 refused: it would not\n"
    "be right, and the message says why.\n"
    "\n"
    "Example:\n"
    "  aim-logwrites prepare --volume /srv/disk.img disk.log\n"
    "  qemu-system-x86_64 ... -blockdev driver=blklogwrites,node-name=d,\\\n"
    "      file=f,log=l,log-append=on,discard=unmap\n"
    "  aim-logwrites import --volume /srv/disk.img disk.log\n";

enum {
	JSON = 256,
	HELP,
	AT_HOME,
	VOLUME,
	SECTOR,
	UNMARKED,
	NO_COMPARE,
	DRY_RUN,
};

static const struct option known[] = {
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {"home", required_argument, NULL, AT_HOME},
    {"volume", required_argument, NULL, VOLUME},
    {"sector", required_argument, NULL, SECTOR},
    {"unmarked", no_argument, NULL, UNMARKED},
    {"no-compare", no_argument, NULL, NO_COMPARE},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {0},
};

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
	int least; /* names */
	bool volume;
} commands[] = {
    {"dump", run_dump, 1, false},
    {"import", run_import, 1, true},
    {"prepare", run_prepare, 0, true},
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

/* 1: go on; else the exit status is ready. */
static int
read_options(int argc, char **argv, struct options *o, int *status)
{
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0)
		switch (c) {
		case JSON:
			o->json = true;
			break;
		case AT_HOME:
			o->home = optarg;
			break;
		case VOLUME:
			o->volume = optarg;
			break;
		case SECTOR:
			o->sector = (unsigned)strtoul(optarg, &end, 10);
			if (*end == '\0')
				break;
			*status = misused();
			return 0;
		case UNMARKED:
			o->unmarked = true;
			break;
		case NO_COMPARE:
			o->no_compare = true;
			break;
		case DRY_RUN:
			o->dry_run = true;
			break;
		case HELP:
			(void)printf("%s%s", usage, help);
			*status = EXIT_DONE;
			return 0;
		default:
			*status = misused();
			return 0;
		}
	return 1;
}

int
main(int argc, char **argv)
{
	struct options o = {.home = getenv("AIM_HOME"), .sector = 512};
	int status = EXIT_USAGE;
	size_t i;

	if (o.home == NULL)
		o.home = "/var/lib/aim";
	if (read_options(argc, argv, &o, &status) == 0)
		return status;
	if (optind == argc)
		return misused();
	o.count = argc - optind - 1;
	o.name = argv + optind + 1;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[optind], commands[i].name) == 0 &&
		    o.count >= commands[i].least &&
		    (!commands[i].volume || o.volume != NULL))
			return commands[i].run(&o);
	return misused();
}
