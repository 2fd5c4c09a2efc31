#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 8 threads in 4 processes write overlapping ranges; some are killed: the mirror is the disk.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
command -v cc >/dev/null || skip "needs a C compiler"
rounds=4 kills=8
[ -z "${AIM_LONG:-}" ] || rounds=100 kills=200
RANDOM=${AIM_SEED:-$$}
echo "-- seed ${AIM_SEED:-$$}"

cat >"$T/many.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* many PATH SEED COUNT: 0 without end. */
enum { THREADS = 8, LONGEST = 40000, PLACES = 600000 };
static const char *path;
static unsigned seed;
static long count;

static int one(int fd, unsigned *s, char *data)
{
	size_t len = 1 + (size_t)rand_r(s) % (rand_r(s) % 8 ? 5000 : LONGEST);
	off_t at = rand_r(s) % PLACES;
	struct iovec iov[2] = {{data, len / 3}, {data, len - len / 3}};

	memset(data, rand_r(s), len);
	switch (rand_r(s) % 8) {
	case 0: /* another position than the other threads' */
		return lseek(fd, at, SEEK_SET) >= 0 &&
		       write(fd, data, len) == (ssize_t)len;
	case 1:
		return pwritev(fd, iov, 2, at) == (ssize_t)len;
	case 2:
		return rand_r(s) % 20 != 0 || fdatasync(fd) == 0;
	default:
		return pwrite(fd, data, len, at) == (ssize_t)len;
	}
}

static void *run(void *arg)
{
	unsigned s = seed * 1000 + (unsigned)(uintptr_t)arg;
	char *data = malloc(LONGEST);
	int fd = open(path, O_RDWR);

	if (fd < 0 || data == NULL)
		_exit(2);
	for (long i = 0; count == 0 || i < count; i++)
		if (!one(fd, &s, data))
			_exit(3);
	free(data);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];

	if (argc != 4)
		return 1;
	path = argv[1];
	seed = (unsigned)atoi(argv[2]);
	count = atol(argv[3]);
	(void)alarm(count == 0 ? 100 : 0); /* whatever becomes of the test */
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, run, (void *)i) != 0)
			return 2;
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	return 0;
}
END
cc -O1 -pthread -o "$T/many" "$T/many.c" || fail "cannot compile"
TRIPWIRE=
[ "$(uname -m)" != x86_64 ] || TRIPWIRE=AIM_TRIPWIRE=1

# In a process of its own: the number is that of the program itself.
exec_many() {
	# shellcheck disable=SC2086 # none or one
	exec env $TRIPWIRE AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" \
		"$T/many" "$T/v" "$@"
}

# begin COUNT...: one process for each; numbers in ${pids[@]}.
begin() {
	local count
	pids=()
	for count; do
		exec_many "$RANDOM" "$count" &
		pids+=($!)
	done
}

same() {
	replay || fail "replay in $1"
	cmp "$T/v" "$T/v.mirror" || fail "the mirror differs in $1"
}

truncate -s 700000 "$T/v"
group "$T/v"
for ((round = 1; round <= rounds; round++)); do
	begin 60 60 60 60
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a writer ended with $?"
	done
	same "round $round"
done

killed=0
for ((round = 1; round <= kills; round++)); do
	begin 30 0 0 0
	sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
	for i in 1 2 3; do
		{
			kill -9 "${pids[i]}" && killed=$((killed + 1))
			[ $((RANDOM % 2)) -eq 0 ] || sleep "0.0$((RANDOM % 10))"
		} 2>/dev/null
	done
	# It outlives the others, and waits for nobody.
	{
		wait "${pids[0]}" || fail "the one that is left ended with $?"
		wait "${pids[@]:1}"
	} 2>/dev/null
	same "kill $round"
done
[ $killed -eq $((3 * kills)) ] || fail "only $killed were killed"
echo "ok: $rounds rounds of 4 processes, $killed killed in $kills"
