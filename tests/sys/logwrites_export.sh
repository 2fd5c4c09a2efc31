#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An exported stream, replayed by another tool, gives the source's bytes.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# kept: the stream's files so far, in $T/all
mkdir "$T/all"
kept() {
	once "$HERE"
	cp "$(stream_of disk)"/*.aim "$T/all/"
	once "$THERE" "$HERE"
}

# replayed LOG DISK: onto $T/replica, which is then cut to the disk's size
replayed() {
	python3 "$TOP/tests/sys/replay_log.py" "$1" "$T/replica" \
		>"$T/marks" || fail "the log cannot be replayed"
	truncate -s "$(stat -c %s "$2")" "$T/replica"
	same "$2" "$T/replica" "what was replayed"
}

sites
volume disk 8M
dd if=/dev/urandom of="$T/disk.img" bs=1M count=8 conv=notrunc status=none
pair disk
quietly here base disk
kept
cp "$T/disk.img" "$T/before"
for seed in 1 2; do
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 200 --resize "$T/disk.img"
	kept
done
here marker disk the-end >/dev/null || fail "marker"
kept
mirrored

say "all of it, onto nothing"
for sector in 512 4096; do
	expect 0 aim-logwrites export --out "$T/log$sector" --sector $sector \
		"$T/all"
	: >"$T/replica"
	truncate -s 8M "$T/replica"
	replayed "$T/log$sector" "$T/disk.img"
	grep -qx the-end "$T/marks" || fail "the marker is not in the log"
	expect 0 aim-logwrites dump "$T/log$sector"
done

say "without the base, onto what was there"
rest=("$T/all"/*.aim)
i=0
while [ ${#rest[@]} -gt 1 ] && aimdump "${rest[0]}" |
	grep -q 'copyin'; do
	rest=("${rest[@]:1}")
	i=$((i + 1))
done
[ $i -gt 0 ] || fail "no base among the files"
expect 4 aim-logwrites export --out "$T/rest" "${rest[@]}"
says 'say with --base'
expect 0 aim-logwrites export --out "$T/rest" --base "$T/before" "${rest[@]}"
cp "$T/before" "$T/replica"
replayed "$T/rest" "$T/disk.img"

say "what is not a stream in order is refused"
expect 4 aim-logwrites export --out "$T/rest" "${rest[@]}"
says 'is there already'
rm "$T/rest"
expect 4 aim-logwrites export --out "$T/rest" "${rest[-1]}" "${rest[0]}"
says 'does not follow'
printf x | dd of="${rest[0]}" bs=1 seek=3000 conv=notrunc status=none
expect 1 aim-logwrites export --out "$T/rest" --base "$T/before" "${rest[@]}"
[ ! -e "$T/rest" ] || fail "half a log is left"
pass
