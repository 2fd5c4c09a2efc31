#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a flush has confirmed is at K mirrors, though all of the source is lost.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

WITNESS=$T/witness
ROME=$T/rome
tool() { python3 "$TOP/tests/sys/commit_writer.py" "$@"; }
commit() { quietly here group set db --commit "$@"; }
told() { wc -l <"$WITNESS"; }
told_more() { [ "$(told)" -ge "$1" ]; }
commit_is() { is here db "g[\"commit\"][\"$1\"]" "$2"; }
event() { here events | grep -q -e "$1"; }

# write HOW [COUNT]: captured, into the background; $WRITER is its number.
write() {
	: >>"$WITNESS"
	aim-manager --home "$HERE" run db -- python3 \
		"$TOP/tests/sys/commit_writer.py" "$1" "$T/db.img" "$WITNESS" \
		${2:+"$2"} >>"$T/writer.log" 2>&1 &
	WRITER=$!
}
write_on() {
	local now
	now=$(told)
	within 20 told_more $((now + $1)) || fail "the writer does not go on"
}

sites
volume db 4M
pair db file
say "a second mirror, at rome"
quietly aim-manager --home "$ROME" init --site rome
mkdir -p "$T/far/incoming"
quietly aim-manager --home "$ROME" mirror add db \
	--pairing "$T/db.pairing" --incoming "$T/far/incoming" \
	--onto "db=$T/db.rome" --create
aim-manager --home "$ROME" mirror export db >"$T/db.rome.pairing" 2>/dev/null ||
	fail "mirror export"
quietly here destination add rome --group db \
	--url "file://$T/far/incoming" --pairing "$T/db.rome.pairing"
both
start "$ROME"
must here base db --wait

say "policies that cannot be are refused"
expect 4 here group set db --commit 'any 2 of (there)'
says 'cannot be had'
expect 4 here group set db --commit 'any 1 of (oslo)'
says "no destination 'oslo'"
expect 4 here group set db --commit-timeout 0
expect 4 here group set db --commit-late sometimes
expect 2 here group set db

say "any 1 of two, one of which is dead: nothing is late"
murder "$ROME"
commit 'any 1 of (there,rome)' --commit-timeout 60
within 10 commit_is policy 'any 1 of (there,rome)' || fail "the policy"
expect 4 here destination remove rome --group db
says 'group set'
write fsync 40
wait "$WRITER" || fail "the writer: $?"
[ "$(told)" -eq 40 ] || fail "$(told) records were told"
commit_is degraded false || fail "it is degraded"
echo "   a flush took $(tool median "$WITNESS") ms"
write dsync 10
wait "$WRITER" || fail "the writer with O_DSYNC: $?"

say "all of two: the dead one holds flushes up; in time they go on without"
commit all --commit-timeout 0.7
write fsync 3
wait "$WRITER" || fail "the writer: $?"
[ "$(tail -n 3 "$WITNESS" | head -n 1 | cut -d' ' -f2)" -ge 650000 ] ||
	fail "it did not wait"
[ "$(tail -n 1 "$WITNESS" | cut -d' ' -f2)" -lt 500000 ] ||
	fail "it waited although degraded"
commit_is degraded true || fail "it is not degraded"
expect 0 here status
says DEGRADED
within 10 event 'go on without' || fail "no event"

say "rome comes back: flushes wait again, by themselves"
start "$ROME"
within 20 commit_is degraded false || fail "it stays degraded"
within 10 event 'caught up' || fail "no event"
commit all --commit-timeout 60
write fsync
write_on 20
commit_is degraded false || fail "it is degraded"

say "hold: a flush waits for the mirrors, signals come through"
commit all --commit-timeout 0.3 --commit-late hold
write_on 3
murder "$ROME"
within 20 commit_is held true || fail "it is not held"
was=$(told)
# shellcheck disable=SC2046 # a list of numbers
kill -USR1 $(family "$WRITER") 2>/dev/null
within 10 test -s "$WITNESS.signals" || fail "no handler ran"
commit_is waiting_flushes 1 || fail "it is not counted"

say "the source's coordinator dies meanwhile, and comes back; so does rome"
murder "$HERE"
start "$HERE"
[ "$(told)" -le $((was + 1)) ] || fail "it did not hold"
start "$ROME"
write_on 5
within 20 commit_is held false || fail "it stays held"

say "stage applied: what is confirmed is on rome's disk, whenever it dies"
commit 'any 1 of (rome)' --commit-stage applied
write_on 10
murder "$ROME"
cp "$WITNESS" "$T/witness.applied"
must tool check "$T/db.rome" "$T/witness.applied"
start "$ROME"

say "everything at the source is lost: all mirrors have what was confirmed"
commit all --commit-stage stored
within 10 commit_is stage stored || fail "the stage"
write_on 30
slay "$WRITER"
murder "$HERE"
rm -rf "$HERE" "$T/db.img"
murder "$THERE"
murder "$ROME"
once "$THERE" "$ROME"
must tool check "$T/db.mir" "$WITNESS"
must tool check "$T/db.rome" "$WITNESS"
pass
