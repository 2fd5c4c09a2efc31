/* SPDX-License-Identifier: Apache-2.0 */
/* aimdump: show and check journal files. */
#include "manager/aimdump/examine.h"

#include "common/cleanup.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: aimdump [--json] [--verify] [--data] [--key FILE | --home H] "
    "FILE...\n";

static const char help[] =
    "\n"
    "Shows journal files: where each belongs, the volumes, and every\n"
    "transaction in order. Nothing is changed.\n"
    "\n"
    "  --verify     check each file fully, and that each continues the one\n"
    "               before it: give the files of a stream in their order\n"
    "  --key FILE   check signatures by this pairing text, or by this public\n"
    "               key (64 hexadecimal digits), or open encrypted files\n"
    "               with this group's key; may be given several times\n"
    "  --home H     check signatures by the keys that the home H trusts, and\n"
    "               open encrypted files with those that it has\n"
    "  --data       show the bytes of every transaction too\n"
    "  --json       one JSON object for each file\n"
    "  --help       this text\n"
    "\n"
    "Without --verify the checksums of all parts are checked, which finds\n"
    "accidents. Only --key or --home can tell who wrote a file. Of an\n"
    "encrypted file whose key is not given only the header is shown.\n"
    "\n"
    "Flags of transactions: F force unit access, R re-read from the disk\n"
    "because its writer died or failed, S shorter than was asked for.\n"
    "\n"
    "Exit status: 0 all files are valid; 1 one is invalid or partial;\n"
    "2 one cannot be read, or wrong usage.\n"
    "\n"
    "Examples:\n"
    "  aimdump 00000001-0000000000000007.aim\n"
    "  aimdump --verify --home /var/lib/aim "
    "/var/lib/aim/sealed/*/*.aim\n"
    "  aimdump --json --data FILE | jq '.transactions[] | .op'\n";

enum { KEY = 256, HOME, VERIFY, DATA, JSON, HELP };

static const struct option options[] = {
    {"key", required_argument, NULL, KEY},
    {"home", required_argument, NULL, HOME},
    {"verify", no_argument, NULL, VERIFY},
    {"data", no_argument, NULL, DATA},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

struct wanted {
	bool json, data, help;
};

static int
complain(const struct err *e)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "aimdump: %s\n", e->text);
	return EXAMINE_UNREADABLE;
}

static int
read_options(int argc, char **argv, struct examine *x, struct wanted *w)
{
	struct err e = {0};
	int c, rc = 0;

	while (rc == 0 && (c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (c) {
		case KEY:
			rc = keys_add_file(&x->keys, optarg, &e);
			x->has_keys = x->has_keys || x->keys.count > 0;
			break;
		case HOME:
			rc = keys_add_home(&x->keys, optarg, &e);
			x->has_keys = true;
			break;
		case VERIFY:
			x->verify = true;
			break;
		case DATA:
			w->data = true;
			break;
		case JSON:
			w->json = true;
			break;
		case HELP:
			w->help = true;
			return 0;
		default:
			(void)fprintf(
			    stderr, "%sTry \"aimdump --help\".\n", usage);
			return EXAMINE_UNREADABLE;
		}
	return rc < 0 ? complain(&e) : 0;
}

int
main(int argc, char **argv)
{
	struct examine x = {.keys = KEYS_NONE};
	struct wanted w = {0};
	struct err e = {0};
	int worst = read_options(argc, argv, &x, &w), i;

	if (worst == 0 && w.help) {
		(void)printf("%s%s", usage, help);
	} else if (worst == 0 && optind == argc) {
		(void)fprintf(stderr, "%sTry \"aimdump --help\".\n", usage);
		worst = EXAMINE_UNREADABLE;
	} else if (worst == 0) {
		if (w.json)
			show_json_init(&x.show, w.data);
		else
			show_text_init(&x.show, w.data);
		for (i = optind; i < argc; i++) {
			int is = examine_file(&x, argv[i], &e);

			if (is == EXAMINE_UNREADABLE)
				(void)complain(&e);
			if (is > worst)
				worst = is;
		}
	}
	examine_release(&x);
	if (show_flush(&x.show, &e) < 0)
		worst = complain(&e);
	return worst;
}
