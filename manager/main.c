/* SPDX-License-Identifier: Apache-2.0 */
/* aim-manager: what the operator types. */
#include <config.h>

#include "coordinator/request.h"
#include "manager/command.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor below 3 that is closed would be taken by the next open: text
 * for standard error would land in the catalogue. */
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

int
main(int argc, char **argv)
{
	static struct args a;
	struct err e = {0};

	if (keep_standard_descriptors() < 0)
		return EXIT_FAILED;
	if (args_parse(&a, argc, argv, &e) < 0) {
		(void)fprintf(stderr,
		    "aim-manager: %s\nTry 'aim-manager %s%s%s%s--help'.\n",
		    e.text, a.command != NULL ? a.command->noun : "",
		    a.command != NULL ? " " : "",
		    a.command != NULL && a.command->verb != NULL
			? a.command->verb
			: "",
		    a.command != NULL && a.command->verb != NULL ? " " : "");
		return EXIT_USAGE;
	}
	if (args_has(&a, "help")) {
		args_help(&a);
		return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
	}
	if (args_has(&a, "version")) {
		(void)printf("aim-manager %s\n", PACKAGE_VERSION);
		return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
	}
	if (!a.command->takes_rest) { /* what is run gets ours as it was */
		(void)umask(077);
		(void)signal(SIGPIPE, SIG_IGN);
	}
	return a.command->run(&a);
}
