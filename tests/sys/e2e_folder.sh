#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes reach the mirror through a folder, byte for byte, seen on the way.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sqlite3

sites
volume disk 32M
pair disk file

say "before its first base a group is unprotected"
is here disk 'g["state"]' unprotected || fail "state of the source"
expect 4 here wait disk --timeout 1
both

say "base of a disk with something on it"
dd if=/dev/urandom of="$T/disk.img" bs=1M count=3 seek=7 conv=notrunc \
	status=none
sum=$(sum_of "$T/disk.img")
here base disk --wait || fail "base: status $?"
settled disk
[ "$(sum_of "$T/disk.mir")" = "$sum" ] || fail "the base differs"
is there disk 'g["mirror"]["consistent"]' true || fail "not consistent"
is here disk 'g["state"]' streaming || fail "not streaming"

say "writes of several programs"
must captured disk dd if=/dev/urandom of="$T/disk.img" bs=64k count=50 \
	seek=10 conv=notrunc,fdatasync status=none
must captured disk python3 "$TOP/tests/sys/writer.py" --count 3000 \
	"$T/disk.img"
must captured disk sh -c "printf end | dd of='$T/disk.img' bs=1 \
	seek=33554429 conv=notrunc status=none"
settled disk
mirrored
tail -c 3 "$T/disk.mir" | grep -q '^end$' || fail "the last bytes"

say "a marker, and every file shown"
number=$(here marker disk noon) || fail "marker"
[ "$number" -gt 0 ] || fail "marker printed $number"
settled disk
for file in "$THERE"/done/*/*.aim; do
	must aimdump --verify --home "$THERE" "$file" >"$T/dump"
	head -n 3 "$T/dump"
done
must aimdump --verify --home "$THERE" "$THERE"/done/*/*.aim >"$T/dump"
grep -q 'noon' "$T/dump" || fail "aimdump does not show the marker"
must aimdump --json --home "$THERE" "$THERE"/done/*/*.aim >"$T/dump.json"
python3 -c 'import json, sys
d = json.JSONDecoder(); t = open(sys.argv[1]).read().strip()
while t: _, e = d.raw_decode(t); t = t[e:].strip()' "$T/dump.json" ||
	fail "aimdump --json is not JSON"

say "pruned here once applied there; the newest file stays"
few() { [ "$(find "$HERE/sealed" -name '*.aim' | wc -l)" -le 2 ]; }
within 20 few || {
	find "$HERE/sealed" -name '*.aim'
	fail "applied files are not pruned"
}
[ "$(find "$HERE/sealed" -name '*.aim' | wc -l)" -ge 1 ] ||
	fail "the tip of the stream is gone"

stop "$HERE"
stop "$THERE"
pass
