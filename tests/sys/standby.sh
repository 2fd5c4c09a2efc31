#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A standby takes over when the coordinator is killed, hangs or ends; writers
# do not notice, and two never work at once (design 5, faults F1 to F3).
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
STANDBY_here='' STANDBY_there='' # process numbers
volume disk 8M data
pair data file

# begin HOME WORD...: a coordinator in the background; its number is in $began
begin() {
	local home=$1
	shift
	aim-coordinator --home "$home" "$@" >>"$T/$(basename "$home").log" 2>&1 &
	began=$!
}
status() { aim-manager --home "$1" status --json | field "$2"; }
waits() { [ "$(status "$1" 'd["standby"]')" = True ]; }
works() { # works HOME PID: it has the lease
	[ "$(sed -n 's/^pid //p' "$1/state/lease" 2>/dev/null)" = "$2" ] &&
		[ -S "$1/state/coordinator.sock" ] &&
		[ "$(status "$1" 'd["coordinator"]')" = running ]
}
field() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
# Roles at work for a home, whoever their parent is: they have it as folder.
roles() {
	python3 - "$1" <<'END'
import os, sys
n = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        name = open(f"/proc/{pid}/comm").read().strip()
        if name not in ("aim-source", "aim-ship", "aim-receive", "aim-apply"):
            continue
        fds = os.listdir(f"/proc/{pid}/fd")
        n += any(os.readlink(f"/proc/{pid}/fd/{fd}") == sys.argv[1]
                 for fd in fds)
    except OSError:
        pass
print(n)
END
}

for home in "$HERE" "$THERE"; do
	begin "$home" --hang-limit 3
	printf -v "COORDINATOR_$(basename "$home")" %s $began
	within 10 works "$home" $began || fail "no coordinator in $home"
	begin "$home" --standby --hang-limit 3
	printf -v "STANDBY_$(basename "$home")" %s $began
	within 10 waits "$home" || fail "no standby in $home"
done
[ "$(status "$HERE" 'd["fence"]')" = 1 ] || fail "the first fence is not 1"
aim-manager --home "$HERE" status | grep -q "standby waiting" ||
	fail "status does not tell of the standby"
begin "$HERE" --standby
wait $began
[ $? -eq 4 ] || fail "a second standby is not refused"
begin "$HERE"
wait $began
[ $? -eq 4 ] || fail "a second coordinator is not refused"

quietly here base data
settled data
captured data python3 "$TOP/tests/sys/writer.py" --count 1000000000 \
	--seconds 12 --pause 0.002 "$T/disk.img" >"$T/writer.log" 2>&1 &
writer=$!

# next HOME HOW: ends the coordinator of HOME; its standby has to work in
# time, with the next fence, and gets a standby of its own.
next() {
	local home=$1 how=$2 name fence was standby
	name=$(basename "$home")
	was=COORDINATOR_$name
	standby=STANDBY_$name
	fence=$(status "$home" 'd["fence"]')
	say "$name: the coordinator $how"
	case $how in
	"is killed") kill -9 "${!was}" ;;
	"is stopped") kill -STOP "${!was}" ;;
	"ends") kill "${!was}" ;;
	esac
	within 15 works "$home" "${!standby}" ||
		fail "the standby of $name does not take over"
	gone "${!was}"
	[ "$(status "$home" 'd["fence"]')" = $((fence + 1)) ] ||
		fail "the fence has not grown by one"
	printf -v "$was" %s "${!standby}"
	begin "$home" --standby --hang-limit 3
	printf -v "$standby" %s $began
	within 10 waits "$home" || fail "no new standby"
}
next "$HERE" "is killed"
next "$THERE" "is killed"
next "$HERE" "is stopped"
next "$THERE" "is stopped"
next "$HERE" "ends"
grep -q "has not moved for . s and is killed" "$T/here.log" ||
	fail "the log does not tell that it hung"
say "a manager's request reaches who works now"
must here destination list --json >"$T/list" || fail "no answer"
wait $writer || fail "the writer: status $?"
settled data 60
mirrored
[ "$(roles "$HERE")" -eq 2 ] || fail "$(roles "$HERE") roles here, not 2"
[ "$(roles "$THERE")" -eq 2 ] || fail "$(roles "$THERE") roles there, not 2"
python3 - "$HERE/catalogue.db" <<'END' || fail "take-overs are no events"
import sqlite3, sys
d = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
n = d.execute("SELECT count(*) FROM event WHERE text LIKE 'a standby took%'")
sys.exit(n.fetchone()[0] != 3)
END

say "a damaged lease is mended"
echo rubbish >"$HERE/state/lease"
aim-manager --home "$HERE" status >"$T/quietly" || fail "status fails"
kill "$COORDINATOR_here"
within 10 works "$HERE" "$STANDBY_here" || fail "no take-over"
grep -q "lease is damaged" "$T/here.log" || fail "nothing is said of it"
COORDINATOR_here=$STANDBY_here

say "a standby that is told to end ends"
kill "$STANDBY_there"
wait "$STANDBY_there" || fail "status $?"
waits "$THERE" && fail "status still tells of it"
stop "$HERE"
stop "$THERE"
pass
