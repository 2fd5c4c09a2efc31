#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A full spool fails writes or makes them wait, as its policy says.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
command -v python3 >/dev/null || skip "needs python3"

same() {
	replay || fail "replay $1"
	cmp "$T/v" "$T/v.mirror" || fail "the mirror differs $1"
}

truncate -s 64M "$T/v"
LIMIT=10000000 group "$T/v"
captured dd if=/dev/zero of="$T/v" bs=64k status=none conv=notrunc count=500 \
	2>"$T/err" && fail "32 MB went into a spool of 10 MB"
grep -q 'No space left' "$T/err" || fail "$(cat "$T/err")"
same "after ENOSPC"
captured dd if="$LIBRARY" of="$T/v" bs=64k status=none conv=notrunc count=4 ||
	fail "there is room again"
same "after there was room again"

truncate -s 64M "$T/w"
LIMIT=10000000b group "$T/w"
captured python3 - "$T/w" <<'END' || fail "status $? from the interrupted writer"
import os, signal, sys

class Enough(Exception):
    pass

def handler(number, frame):
    raise Enough

signal.signal(signal.SIGALRM, handler)  # without SA_RESTART
fd = os.open(sys.argv[1], os.O_RDWR)
signal.setitimer(signal.ITIMER_REAL, 2)
try:
    for i in range(1000):
        os.pwrite(fd, b"x" * 65536, i * 65536)
    sys.exit("it never waited")
except Enough:
    pass
END
captured dd if="$LIBRARY" of="$T/w" bs=64k status=none conv=notrunc count=400 \
	iflag=fullblock &
pid=$!
sleep 0.3
kill -0 $pid || fail "it did not wait"
for _ in $(seq 100); do
	replay >/dev/null || fail "replay while it waits"
	kill -0 $pid 2>/dev/null || break
	sleep 0.1
done
wait $pid || fail "status $? from the writer that waited"
replay || fail "replay"
cmp "$T/w" "$T/w.mirror" || fail "the mirror differs after waiting"
echo "ok: ENOSPC, EINTR, and waiting"
