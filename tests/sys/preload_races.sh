#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A file grows while another process zeroes beyond its end, O_APPEND comes and
# goes while a thread writes: the mirror has what the disk has.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
command -v cc >/dev/null || skip "needs a C compiler"

cat >"$T/race.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void append(const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND);
	char text[100];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 20; i++)
		if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text))
			_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR), status, round, i;

	for (round = 0; argc == 2 && round < 100; round++) {
		pid_t pid = fork();

		if (pid == 0)
			append(argv[1]);
		for (i = 0; i < 5; i++)
			if (fallocate(fd, FALLOC_FL_ZERO_RANGE,
				lseek(fd, 0, SEEK_END) - 3000, 60000) < 0)
				return errno == EOPNOTSUPP ? 77 : 2;
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return 3;
	}
	return 0;
}
END
cc -o "$T/race" "$T/race.c" || fail "cannot compile"
head -c 70000 /dev/urandom >"$T/v"
group "$T/v"
captured "$T/race" "$T/v"
rc=$?
[ $rc -ne 77 ] || skip "the file system cannot zero a range"
[ $rc -eq 0 ] || fail "the program ended with $rc"
replay || fail "replay"
cmp "$T/v" "$T/v.mirror" || fail "the mirror differs"

cat >"$T/toggle.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static volatile int over;
static int fd;

static void *toggle(void *unused)
{
	while (!over) {
		fcntl(fd, F_SETFL, O_APPEND);
		fcntl(fd, F_SETFL, 0);
	}
	return unused;
}

int main(int argc, char **argv)
{
	char block[4096];
	struct iovec one = {block, 1};
	pthread_t t;

	fd = open(argv[argc - 1], O_RDWR);
	if (argc == 3) /* can the kernel do it? */
		return pwritev2(fd, &one, 1, 0, RWF_NOAPPEND) == 1 ? 0 : 77;
	if (pthread_create(&t, NULL, toggle, NULL) != 0)
		return 1;
	for (int i = 0; i < 3000; i++) {
		memset(block, i, sizeof(block));
		if (pwrite(fd, block, sizeof(block), i % 100 * 500) !=
			sizeof(block))
			return 2;
	}
	over = 1;
	return pthread_join(t, NULL);
}
END
cc -pthread -o "$T/toggle" "$T/toggle.c" || fail "cannot compile"
: >"$T/try"
"$T/toggle" ask "$T/try"
if [ $? -eq 77 ]; then
	echo "(this kernel cannot be told where to write: not tried)"
else
	captured "$T/toggle" "$T/v" || fail "the program ended with $?"
	replay || fail "replay"
	cmp "$T/v" "$T/v.mirror" || fail "the mirror differs"
fi
echo "ok: zeroing beyond the end under appending writes"
