#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A role that hangs is killed and started again; all goes on by itself.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 2M data
pair data file

# What systemd would be told.
python3 - "$T/notify" >"$T/notified" <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)
END
within 10 test -S "$T/notify" || fail "no notify socket"

# begin HOME: with a short limit, watched by somebody.
begin() {
	NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=500000 \
		aim-coordinator --home "$1" --hang-limit 2 \
		>>"$T/$(basename "$1").log" 2>&1 &
	printf -v "COORDINATOR_$(basename "$1")" %s $!
	within 10 test -S "$1/state/coordinator.sock" ||
		fail "the coordinator of $1 does not start"
}

# role HOME TITLE: number of that role's process.
role() {
	local pid
	for pid in $(family "$(coordinator "$1")"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "aim-$2" ] ||
			echo "$pid"
	done
}
another() {
	local now
	now=$(role "$1" "$2")
	[ -n "$now" ] && [ "$now" != "$3" ]
}
watched() { [ "$(grep -c WATCHDOG=1 "$T/notified")" -gt "$1" ]; }

begin "$HERE"
begin "$THERE"
quietly here base data
settled data
seed=0
for entry in here:source here:ship there:receive there:apply; do
	home=$T/${entry%%:*}
	title=${entry#*:}
	within 10 another "$home" "$title" "" || fail "no role $title"
	pid=$(role "$home" "$title")
	say "$title stands still"
	kill -STOP "$pid" || fail "no process $pid"
	seed=$((seed + 1))
	must captured data python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 50 "$T/disk.img" >"$T/quietly"
	within 30 another "$home" "$title" "$pid" ||
		fail "$title $pid is not replaced"
	settled data
	mirrored
	grep -q "$title .* has not moved for 2 s" "$T/${entry%%:*}.log" ||
		fail "the log does not say it"
done

say "who works or sleeps is not taken for one that hangs"
was=$(role "$HERE" ship)
quietly there mirror pause data
before=$(grep -c WATCHDOG=1 "$T/notified")
within 20 watched $((before + 16)) || fail "the watchdog is not fed"
[ "$(role "$HERE" ship)" = "$was" ] || fail "ship was replaced"
quietly there mirror resume data
grep -q READY=1 "$T/notified" || fail "nobody was told that it is ready"
[ "$(grep -c 'has not moved' "$T/here.log")" -eq 2 ] ||
	fail "others were killed here"
[ "$(grep -c 'has not moved' "$T/there.log")" -eq 2 ] ||
	fail "others were killed there"
python3 - "$HERE/catalogue.db" <<'END' || fail "no event"
import sqlite3, sys
d = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
n = d.execute("SELECT count(*) FROM event WHERE text LIKE 'hung for 2 s%'")
sys.exit(n.fetchone()[0] != 2)
END
settled data
stop "$HERE"
stop "$THERE"
pass
