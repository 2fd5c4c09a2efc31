#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A group's control or segments are lost or damaged: told, and base mends it.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 2M data
volume db 300K data
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
folder=$(find "$HERE/active" -mindepth 1 -maxdepth 1 -type d)
[ -d "$folder" ] || fail "no folder under active/"

work() {
	captured data python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count 40 --resize "$T/disk.img" "$T/db.img" >"$T/writer.log"
}
flip() {
	python3 -c 'import sys
f = open(sys.argv[1], "r+b")
for at in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3])):
    f.seek(at)
    b = f.read(1)
    f.seek(at)
    f.write(bytes([b[0] ^ 0xa5]))' "$folder/control" "$1" "$2" || fail "flip"
}

SEED=0
EPOCH=1
# mended WHAT: a captured program and status say it, base makes it good, and
# the mirror keeps its image until all has come.
mended() {
	say "$1"
	expect 125 work $SEED
	says 'aim: '
	says 'aim-manager base'
	OUT=$(here status)
	says stalled
	says "next.*base data"
	rc=0
	aim-coordinator --home "$HERE" --once >>"$T/here.log" 2>&1 || rc=$?
	[ $rc -ne 0 ] || fail "a pass over it says nothing"
	cp "$T/disk.mir" "$T/disk.old"
	cp "$T/db.mir" "$T/db.old"
	expect 0 here base data
	says 'made anew'
	says 'recovery of data for there: queued'
	is here data 'g["state"]' unclean || fail "$1: not unclean"
	once "$HERE"
	# What comes last is held back.
	stream=$(stream_of data)
	last=$(find "$stream" -maxdepth 1 -name '*.aim' | sort | tail -n 1)
	mv "$last" "$T/last"
	once "$THERE"
	same "$T/disk.old" "$T/disk.mir" "the image that was to be kept"
	same "$T/db.old" "$T/db.mir" "the image that was to be kept"
	is there data 'g["mirror"]["consistent"]' true ||
		fail "$1: the old image is not consistent"
	mv "$T/last" "$last"
	once "$THERE" "$HERE"
	mirrored
	EPOCH=$((EPOCH + 1))
	is here data 'g["epoch"]' $EPOCH || fail "$1: the epoch"
	is here data 'g["state"]' streaming || fail "$1: not streaming again"
	SEED=$((SEED + 1))
	# Some of it is not sealed when the next trouble comes.
	must work $SEED
	once "$HERE" "$THERE" "$HERE"
	mirrored
	SEED=$((SEED + 1))
	must work $SEED
	[ ! -e "$folder/control.broken" ] || fail "control.broken stays"
}

must work 0
rm "$folder/control"
mended "control is removed"
: >"$folder/control"
mended "control is empty"
truncate -s 5000 "$folder/control"
mended "control is cut"
flip 0 8
mended "control begins with other bytes"
flip 8 4
mended "control has another layout"
flip 16 16
mended "control is of another group"
rm "$folder/segments"
mended "segments is removed"
truncate -s 1M "$folder/segments"
mended "segments is cut"
rm -r "$folder"
mended "the whole folder is removed"

say "while programs capture it is refused, and nothing of theirs is lost"
both
captured data python3 -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
n = 0
while not os.path.exists(sys.argv[2]):
    os.pwrite(fd, b"%08d" % n, 8 * (n % 1000))
    n += 1
    if n == 100:
        open(sys.argv[2] + ".going", "w").close()
    time.sleep(0.002)
' "$T/disk.img" "$T/enough" >"$T/writer.log" 2>&1 &
writer=$!
within 20 test -e "$T/enough.going" || fail "the writer does not write"
rm "$folder/control"
expect 4 here base data
says 'still capture'
says 'fuser'
OUT=$(here status)
says stalled
touch "$T/enough"
wait $writer || fail "the writer ended with status $?"
must here base data --wait --timeout 60
settled data
mirrored
# The roles tell what they have done a moment later.
within 30 is here data 'g["state"]' streaming || {
	here status
	fail "not streaming at the end"
}
stop "$HERE"
stop "$THERE"
pass
