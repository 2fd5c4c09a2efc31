/* SPDX-License-Identifier: Apache-2.0 */
/* aim-logwrites: write logs of dm-log-writes and blklogwrites. */
#include "aimdriver/logwrites/program.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: aim-logwrites dump [--json] LOG...\n"
    "       aim-logwrites prepare [--home H] --volume V [--sector N] "
    "[LOG...]\n"
    "       aim-logwrites import [--home H] --volume V [--unmarked]\n"
    "           [--no-compare] [--dry-run] LOG...\n"
    "       aim-logwrites follow [--home H] --volume V [--interval MS]\n"
    "           [--device NAME] LOG...\n"
    "       aim-logwrites export --out LOG [--volume UUID] [--sector N]\n"
    "           [--base IMAGE] FILE|FOLDER...\n";

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
    "  follow       does so with the logs that QEMU writes to now, one after\n"
    "               the other, until it is told to end (SIGTERM); import\n"
    "               does the rest when the last is closed. With --device:\n"
    "               those of dm-log-writes, as 'aim-manager logwrites\n"
    "               attach' has set it up, with the same LOGs\n"
    "  export       makes a write log of journal files of one stream, in\n"
    "               order, that other tools can replay\n"
    "  dump         shows what a log holds, entry by entry; L a flush comes\n"
    "               first, F force unit access, M the file system's own\n"
    "               data, ? flags that are not known\n"
    "\n"
    "  --home H     the site's home; else AIM_HOME, else /var/lib/aim\n"
    "  --volume V   the protected disk: its path, or the volume's UUID\n"
    "  --interval MS how often a log that is followed is looked at (200)\n"
    "  --device NAME the device is /dev/mapper/NAME\n"
    "  --out LOG    the log to be made; it must not be there yet\n"
    "  --base IMAGE what the volume held before the first file; needed when\n"
    "               that begins no base and writes are not in whole sectors\n"
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
	OUT,
	BASE,
	INTERVAL,
	DEVICE,
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
    {"device", required_argument, NULL, DEVICE},
    {"interval", required_argument, NULL, INTERVAL},
    {"out", required_argument, NULL, OUT},
    {"base", required_argument, NULL, BASE},
    {0},
};

/* What a command needs. */
enum { NEEDS_VOLUME = 1, NEEDS_OUT = 2 };

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
	int least; /* names */
	unsigned needs;
} commands[] = {
    {"dump", run_dump, 1, 0},
    {"export", run_export, 1, NEEDS_OUT},
    {"follow", run_follow, 1, NEEDS_VOLUME},
    {"import", run_import, 1, NEEDS_VOLUME},
    {"prepare", run_prepare, 0, NEEDS_VOLUME},
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

static bool
read_number(const char *text, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n > UINT_MAX)
		return false;
	*out = (unsigned)n;
	return true;
}

/* False: it is not one. */
static bool
take_option(int c, struct options *o)
{
	switch (c) {
	case JSON:
		o->json = true;
		return true;
	case AT_HOME:
		o->home = optarg;
		return true;
	case VOLUME:
		o->volume = optarg;
		return true;
	case OUT:
		o->out = optarg;
		return true;
	case DEVICE:
		o->device = optarg;
		return true;
	case BASE:
		o->base = optarg;
		return true;
	case SECTOR:
		return read_number(optarg, &o->sector);
	case INTERVAL:
		return read_number(optarg, &o->interval) && o->interval > 0 &&
		       o->interval <= 3600000;
	case UNMARKED:
		o->unmarked = true;
		return true;
	case NO_COMPARE:
		o->no_compare = true;
		return true;
	case DRY_RUN:
		o->dry_run = true;
		return true;
	default:
		return false;
	}
}

static bool
has(const struct options *o, unsigned needs)
{
	return ((needs & NEEDS_VOLUME) == 0 || o->volume != NULL) &&
	       ((needs & NEEDS_OUT) == 0 || o->out != NULL);
}

int
main(int argc, char **argv)
{
	struct options o = {
	    .home = getenv("AIM_HOME"), .sector = 512, .interval = 200};
	size_t i;
	int c;

	if (o.home == NULL)
		o.home = "/var/lib/aim";
	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (c == HELP) {
			(void)printf("%s%s", usage, help);
			return EXIT_DONE;
		}
		if (!take_option(c, &o))
			return misused();
	}
	if (optind == argc)
		return misused();
	o.count = argc - optind - 1;
	o.name = argv + optind + 1;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[optind], commands[i].name) == 0 &&
		    o.count >= commands[i].least && has(&o, commands[i].needs))
			return commands[i].run(&o);
	return misused();
}
