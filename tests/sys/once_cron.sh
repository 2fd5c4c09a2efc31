#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Without a daemon: only --once on both sides, as from cron.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 16M
volume log 1M
pair disk file
pair log file
quietly here base disk
quietly here base log
once "$HERE" "$THERE" "$HERE"

say "three rounds"
for round in 1 2 3; do
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed "$round" \
		--count 400 --resize "$T/disk.img"
	must captured log python3 "$TOP/tests/sys/writer.py" --seed "$round" \
		--count 300 --max 900 "$T/log.img"
	once "$HERE" "$THERE" "$HERE"
	expect 0 here wait disk --timeout 1
	expect 0 here wait log --timeout 1
	mirrored
done

say "more than all segments hold: the writer waits for --once, loses nothing"
captured disk dd if=/dev/urandom of="$T/disk.img" bs=1M count=12 \
	conv=notrunc status=none &
writer=$!
while kill -0 $writer 2>/dev/null; do
	once "$HERE"
	sleep 0.2
done
wait $writer || fail "the writer: status $?"
once "$HERE" "$THERE" "$HERE"
mirrored

say "nothing to do is no failure"
once "$HERE" "$THERE" "$HERE" "$THERE"
mirrored
expect 4 here wait disk --destination nobody
[ -z "$(own_processes)" ] || fail "something is left running"
pass
