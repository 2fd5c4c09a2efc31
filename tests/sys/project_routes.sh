#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Routes: a volume goes to one mirror, a range to another, each byte for byte.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

OFFSET=$((5 << 20 | 12345))
LENGTH=$((3 << 20 | 777))
SEED=0

# route NAME MIRROR_OF...: a projection's mirror there, and its destination.
route() {
	local name=$1 volume options=()
	shift
	for volume; do
		options+=(--onto "$volume=$T/$volume.$name")
	done
	here group export shop --projection "$name" >"$T/$name.pairing" \
		2>/dev/null || fail "export of $name"
	quietly there mirror add shop --as "shop-$name" \
		--pairing "$T/$name.pairing" \
		--incoming "$T/landing/incoming" --create "${options[@]}"
	there mirror export "shop-$name" >"$T/$name.mirror" 2>/dev/null ||
		fail "mirror export of $name"
	destination shop "to-$name" file "$T/$name.mirror"
}

# in_range: the range's mirror has that range, and zeroes around it.
in_range() {
	python3 - "$T/db.img" "$T/db.low" $OFFSET $LENGTH <<'END' ||
import sys
a, b = (open(p, "rb").read() for p in sys.argv[1:3])
o, n = map(int, sys.argv[3:])
assert len(a) == len(b), "sizes differ"
assert a[o:o + n] == b[o:o + n], "the range differs"
assert not any(b[:o]) and not any(b[o + n:]), "something outside is written"
END
		fail "the mirror of the range is wrong"
}

check() {
	settled shop
	mirrored
	same "$T/log.img" "$T/log.logs"
	in_range
}

scribble() {
	must captured shop python3 "$TOP/tests/sys/writer.py" \
		--seed $((SEED += 1)) --count "$1" "$T/db.img" "$T/log.img"
}

sites
volume db 16M shop
volume log 6M shop
python3 -c 'import random, sys
for p in sys.argv[1:]:
    f = open(p, "r+b"); n = f.seek(0, 2); f.seek(0)
    f.write(random.Random(p).randbytes(n))' "$T/db.img" "$T/log.img"
pair shop
quietly here projection add logs --group shop --volume log
quietly here projection add low --group shop --range "db:$OFFSET+$LENGTH"
route logs log
route low db

say "nonsense is refused"
expect 4 here projection add logs --group shop
says 'already'
expect 4 here projection add x --group shop --volume nosuch
says 'no volume'
expect 4 here projection add x --group shop --range db:16M+1
says 'bytes'
expect 4 here projection add x --group shop --volume db --range db:0+1M
says 'twice'
expect 4 here projection remove logs --group shop
says 'destination'

say "base and writes"
both
quietly here base shop
scribble 600
check
is here shop 'all(d["projection"]["bytes_out"] < d["projection"]["bytes_in"]
	for d in g["destinations"] if d["projection"])' true ||
	fail "nothing was left out"

say "all is killed among writes, and again; the file volume grows"
scribble 600
murder "$HERE"
murder "$THERE"
both
must captured shop truncate -s 18M "$T/db.img"
scribble 500
murder "$HERE"
start "$HERE"
check

say "only what they need is kept, and files verify"
pruned() { [ "$(find "$HERE/sealed" -name '*.aim' | wc -l)" -le 6 ]; }
within 20 pruned || fail "files are not pruned"
for file in "$HERE"/sealed/*/*.aim; do
	quietly aimdump --verify --key "$HERE/keys/site.pub" "$file"
done
stop "$HERE"
stop "$THERE"

say "with --once, and without the mirrors' site for a while"
captured shop dd if=/dev/urandom of="$T/log.img" bs=64K count=20 seek=3 \
	conv=notrunc status=none || fail "dd: $?"
once "$HERE" "$THERE" "$HERE" "$THERE" "$HERE"
same "$T/log.img" "$T/log.logs"
mirrored
in_range
pass
