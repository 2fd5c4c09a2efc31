#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Captured programs killed at any call leave a mirror that is the disk.
#
# SIGKILL at the N-th fstat, pwrite64, lseek, ... of one writer (strace), for
# N = 1, 2, ..., and at any moment of several writers at work. Each time the
# others go on, and what is redriven is what is on the disk.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
command -v strace >/dev/null || skip "needs strace"
command -v perl >/dev/null || skip "needs perl"
calls=24 rounds=4 killed=0
[ -z "${AIM_LONG:-}" ] || calls=200 rounds=50

same() {
	replay || fail "replay after $1"
	cmp "$T/v" "$T/v.mirror" || fail "the mirror differs after $1"
}

truncate -s 1M "$T/v"
head -c 400000 /dev/urandom >"$T/src"
group "$T/v"

# die CALL N: the program is killed at it; 1 when it ended before.
die() {
	local rc=0
	(
		strace -f -qq -o /dev/null -e trace="$1" \
			-e inject="$1":signal=SIGKILL:when="$2" \
			-E AIM_HOME="$AIM" -E LD_PRELOAD="$LIBRARY" \
			dd if="$T/src" of="$T/v" bs=30000 seek=20 \
			conv=notrunc,fsync status=none
		exit $?
	) 2>/dev/null || rc=$?
	[ $rc -eq 137 ] || return 1
	killed=$((killed + 1))
}

for call in pwrite64 fstat lseek fcntl fsync msync fallocate mprotect openat; do
	for n in $(seq $calls); do
		die $call "$n" || break
		same "SIGKILL at $call $n"
	done
done
[ $killed -gt 40 ] || fail "only $killed were killed"

# Several at once, over the same ranges, growing the file, killed at random.
writer() {
	exec env AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" perl - "$T/v" "$1" <<'END'
my ($path, $seed) = @ARGV;
srand($seed);
open(my $f, '+<', $path) or die;
open(my $a, '>>', $path) or die;
for (;;) {
	my $data = chr(rand(256)) x (1 + rand(200000));
	my $what = int(rand(6));
	if ($what == 0) {
		syswrite($a, $data, 5000) or die;
	} elsif ($what == 1) {
		truncate($f, 200000 + int(rand(1800000))) or die;
	} else {
		sysseek($f, int(rand(1000000)), 0) or die;
		syswrite($f, $data) or die;
	}
}
END
}
for round in $(seq $rounds); do
	pids=()
	for i in 1 2 3; do
		writer $((round * 10 + i)) &
		pids+=($!)
	done
	sleep 0.5
	for pid in "${pids[@]}"; do
		{
			kill -9 "$pid" || fail "a writer ended by itself"
			wait "$pid"
		} 2>/dev/null
	done
	same "round $round"
done

# By signals that come to the driver first: none is kept for later for ever.
ended() { ! kill -0 "$1" 2>/dev/null; }
ulimit -c 0
for sig in SEGV BUS SYS SEGV BUS SYS SEGV BUS SYS; do
	# shellcheck disable=SC2016 # for perl
	env AIM_TRIPWIRE=1 AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" perl -e '
		open(my $f, "+<", $ARGV[0]) or die;
		print "ready\n"; close(STDOUT);
		for (;;) {
			sysseek($f, 4096, 0) or die;
			syswrite($f, "x" x 300000) or die;
		}' "$T/v" >"$T/ready" &
	pid=$!
	for _ in $(seq 200); do
		[ ! -s "$T/ready" ] || break
		sleep 0.05
	done
	[ -s "$T/ready" ] || fail "the writer does not start"
	{
		kill -$sig $pid
		for _ in $(seq 200); do
			ended $pid && break
			sleep 0.05
		done
		ended $pid || {
			kill -9 $pid
			fail "a writer goes on after SIG$sig"
		}
		rc=0
		wait $pid || rc=$?
	} 2>/dev/null
	[ $rc -eq $((128 + $(kill -l $sig))) ] || fail "SIG$sig: status $rc"
	rm -f "$T/ready"
	same "SIG$sig"
done
echo "ok: $killed killed at a call, $round rounds of three"
