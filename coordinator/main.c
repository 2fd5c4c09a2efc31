/* SPDX-License-Identifier: Apache-2.0 */
/* aim-coordinator: the one daemon of a site. */
#include <config.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/home.h"
#include "coordinator/lease.h"
#include "coordinator/request.h"
#include "coordinator/server.h"
#include "coordinator/supervisor.h"
#include "coordinator/watch.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 10000u /* for a manager that is changing something */

static const char usage[] =
    "usage: aim-coordinator [--home DIR] [--foreground | --standby | --once]\n"
    "           [--hang-limit SECONDS] [--verbose]\n"
    "\n"
    "Does all the work of a site: seals, ships, receives, redrives and\n"
    "acknowledges journal files, until SIGTERM.\n"
    "\n"
    "options:\n"
    "  --home DIR     the site's folder (else $AIM_HOME, else /var/lib/aim)\n"
    "  --foreground   stays until SIGTERM or SIGINT (the default)\n"
    "  --standby      waits while another coordinator works for the home, and\n"
    "                 takes over as soon as that one ends or hangs\n"
    "  --once         one pass over everything, then ends: 0 if nothing "
    "failed\n"
    "  --hang-limit SECONDS\n"
    "                 kills a role that has not moved for so long, and starts\n"
    "                 it again (120; 0: never); a standby does so with the\n"
    "                 coordinator that it waits for\n"
    "  --verbose      logs more\n"
    "  --help         says how it is used\n"
    "  --version      says which release this is\n"
    "\n"
    "A first mirror, step by step: see EXAMPLES in aim-manager(8).\n";

/* A closed descriptor below 3 would be taken by the next file: text for
 * standard error would land in it. */
static int
keep_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	(void)close(fd);
	return 0;
}

/* Another coordinator keeps it; a manager gives it back soon. */
static int
take_lock(struct home *h, int *lock, struct err *e)
{
	uint64_t until = clock_mono_ns() + LOCK_WAIT_MS * UINT64_C(1000000);

	while (home_lock(h, lock, e) < 0) {
		AUTO_CLOSE int other = -1;

		if (e->kind != ERR_RETRY)
			return -1;
		if (server_connect(h, &other, NULL) == 0 ||
		    clock_mono_ns() > until)
			return err_set(e, ERR_REFUSED,
			    "another coordinator runs on home %s: there can "
			    "be only one, and one that waits (--standby)",
			    h->path);
		clock_sleep_ms(50);
	}
	return 0;
}

static int
fail(const struct err *e)
{
	log_error("%s", e->text);
	return exit_code(e);
}

enum way { FOREGROUND, STANDBY, ONCE };

/* 1 the lock is ours; 0 a standby was told to end; -1. */
static int
wait_for_turn(struct home *h, const char *home, enum way way,
    uint32_t hang_limit_ms, int *lock, struct err *e)
{
	int got;

	if (home_open(home, h, e) < 0)
		return -1;
	if (way != STANDBY)
		return take_lock(h, lock, e) < 0 ? -1 : 1;
	got = lease_stand_by(h, hang_limit_ms, lock, e);
	if (got <= 0)
		return got;
	/* It may have another key by now. */
	home_close(h);
	return home_open(home, h, e) < 0 ? -1 : 1;
}

static int
run(const char *home, enum way way, uint32_t hang_limit_ms)
{
	AUTO(home_close) struct home h = HOME_NONE;
	AUTO(lease_release) struct lease lease = LEASE_NONE;
	AUTO_CLOSE int lock = -1;
	struct err e = {0};
	int done = wait_for_turn(&h, home, way, hang_limit_ms, &lock, &e);

	if (done < 0)
		return fail(&e);
	if (done == 0)
		return EXIT_DONE;
	if (way == ONCE)
		done = supervisor_once(&h, &e);
	else
		done =
		    lease_take(&h, hang_limit_ms, &lease, &e) < 0
			? -1
			: supervisor_run(&h, lock, &lease, way == STANDBY, &e);
	if (done < 0)
		return fail(&e);
	return done == 0 ? EXIT_DONE : EXIT_FAILED;
}

static void
set_process_up(void)
{
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);	 /* a write then says EFBIG */
	(void)prctl(PR_SET_DUMPABLE, 0); /* keys are in memory */
	log_set_role("coordinator");
}

static bool
read_limit(const char *text, uint32_t *out)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != 0 || seconds > 1000000) {
		(void)fprintf(stderr,
		    "aim-coordinator: --hang-limit takes seconds, 0 to "
		    "1000000\n%s",
		    usage);
		return false;
	}
	*out = (uint32_t)seconds * 1000;
	return true;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"home", required_argument, NULL, 'H'},
	    {"foreground", no_argument, NULL, 'f'},
	    {"standby", no_argument, NULL, 's'},
	    {"once", no_argument, NULL, 'o'},
	    {"hang-limit", required_argument, NULL, 'l'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	const char *home = getenv("AIM_HOME");
	bool once = false, foreground = false, standby = false;
	uint32_t hang_limit_ms = WATCH_LIMIT_MS;
	int got;

	if (keep_standard_descriptors() < 0)
		return EXIT_FAILED;
	set_process_up();
	while ((got = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (got) {
		case 'H':
			home = optarg;
			break;
		case 'f':
			foreground = true;
			break;
		case 's':
			standby = true;
			break;
		case 'o':
			once = true;
			break;
		case 'l':
			if (!read_limit(optarg, &hang_limit_ms))
				return EXIT_USAGE;
			break;
		case 'v':
			log_set_level(LOG_DEBUG_);
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
		case 'V':
			(void)printf("aim-coordinator %s\n", PACKAGE_VERSION);
			return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc || once + foreground + standby > 1) {
		(void)fprintf(stderr, "aim-coordinator: %s\n%s",
		    optind < argc
			? "no arguments are taken"
			: "only one of --foreground, --standby and --once",
		    usage);
		return EXIT_USAGE;
	}
	if (home == NULL || home[0] == 0)
		home = "/var/lib/aim";
	return run(home,
	    once      ? ONCE
	    : standby ? STANDBY
		      : FOREGROUND,
	    hang_limit_ms);
}
