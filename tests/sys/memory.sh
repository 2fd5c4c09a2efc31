#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 10,000 files queued: memory stays under 64 MiB, work for each file flat.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
queue=$BUILD/tests/bench/bench_queue
[ -x "$queue" ] || fail "$queue is not built"

files=10000
sites
volume disk 4M
pair disk file
quietly here base disk
once "$HERE" "$THERE" "$HERE"
group=$(ask here disk 'g["uuid"]')

# anonymous: the most that a process of the coordinator here has, in KiB.
anonymous() {
	local pid kb most=0
	for pid in $(family "$(coordinator "$HERE")"); do
		kb=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' \
			"/proc/$pid/status" 2>/dev/null)
		[ "${kb:-0}" -le "$most" ] || most=$kb
	done
	echo "$most"
}

# ticks: processor time of all of them, in hundredths of a second.
ticks() {
	local pid sum=0 fields
	for pid in $(family "$(coordinator "$1")"); do
		read -ra fields < <(sed 's/.*) //' "/proc/$pid/stat")
		sum=$((sum + fields[11] + fields[12]))
	done
	echo $sum
}

say "files that pile up because nobody takes them"
mv "$T/landing" "$T/landing.gone"
start "$HERE"
"$queue" "$HERE" "$group" 1000 || fail "queue: $?"
a=$(ticks "$HERE")
"$queue" "$HERE" "$group" 1000 || fail "queue: $?"
b=$(ticks "$HERE")
"$queue" "$HERE" "$group" $((files - 3000)) || fail "queue: $?"
c=$(ticks "$HERE")
"$queue" "$HERE" "$group" 1000 || fail "queue: $?"
d=$(ticks "$HERE")
count=$(find "$HERE/sealed" -name '*.aim' | wc -l)
say "$count files; processor time for 1000: $((b - a)), later $((d - c))"
[ "$count" -ge $files ] || fail "only $count files"
sleep 2
kb=$(anonymous)
say "anonymous memory of the largest process here: $kb KiB"
[ "$kb" -gt 0 ] || fail "no memory at all?"
[ "$kb" -lt 65536 ] || fail "$kb KiB are too many"
[ $((d - c)) -le $((3 * (b - a) + 50)) ] ||
	fail "work for each file grows with the queue"

say "restarted with all of them"
stop "$HERE"
begin=$SECONDS
start "$HERE"
sleep 3
kb=$(anonymous)
say "after a restart: $kb KiB"
[ "$kb" -lt 65536 ] || fail "$kb KiB are too many"

say "all of it goes over"
mv "$T/landing.gone" "$T/landing"
start "$THERE"
settled disk 250
say "$((SECONDS - begin)) s"
kb=$(anonymous)
[ "$kb" -lt 65536 ] || fail "$kb KiB are too many while sending"
mirrored
stop "$HERE"
stop "$THERE"
pass
