#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What nbdkit has confirmed by flush or FUA is at the mirror, also with wal.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdinfo python3
# shellcheck source=tests/nbd.sh
. "$TOP/tests/nbd.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"

WITNESS=$T/witness
tool() { /usr/bin/python3 "$TOP/tests/sys/commit_writer.py" "$@"; }
told() { wc -l <"$WITNESS"; }
told_more() { [ "$(told)" -ge "$1" ]; }

write() {
	tool "$1" "$URI" "$WITNESS" >>"$T/writer.log" 2>&1 &
	WRITER=$!
	within 20 told_more $(($(told) + 20)) || fail "the writer"
}

sites
volume db 4M
pair db file
both
must here base db --wait
quietly here group set db --commit 'any 1 of (there)' --commit-timeout 60 \
	--commit-stage applied
: >"$WITNESS"

for how in local:flush local:fua wal:flush; do
	say "commit=${how%:*}, by ${how#*:}: the mirror has it at once"
	serve_disk db "$T/db.img" commit="${how%:*}"
	write "${how#*:}"
	# A copy of the witness is older than one of the mirror.
	cp "$WITNESS" "$T/told"
	cp "$T/db.mir" "$T/now"
	must tool check "$T/now" "$T/told"
	kill "$WRITER"
	wait "$WRITER" 2>/dev/null
	stop_disk
done

say "the mirror is away: nbdkit can be ended, and the flush has failed"
murder "$THERE"
quietly here group set db --commit-late hold --commit-timeout 0.2
serve_disk db "$T/db.img"
was=$(told)
tool flush "$URI" "$WITNESS" 1 >"$T/held.log" 2>&1 &
WRITER=$!
within 20 is here db 'g["commit"]["held"]' true || fail "it is not held"
stop_disk
! wait "$WRITER" || fail "the flush was confirmed"
[ "$(told)" -eq "$was" ] || fail "the witness was told"

say "everything at the source is lost"
start "$THERE"
serve_disk db "$T/db.img"
write flush
murder "$HERE"
kill_disk
rm -rf "$HERE" "$T/db.img"
wait "$WRITER" 2>/dev/null
must tool check "$T/db.mir" "$WITNESS"
pass
