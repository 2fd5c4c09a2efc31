#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Folding: less is sent, encrypted too, and mirrors are equal all the same.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# folded MODE: a mirror of a folding projection of that name.
folded() {
	quietly here projection add "$1" --group disk --fold "$1"
	here group export disk --projection "$1" >"$T/$1.pairing" \
		2>/dev/null || fail "export of $1"
	quietly there mirror add disk --as "disk-$1" \
		--pairing "$T/$1.pairing" --incoming "$T/landing/incoming" \
		--onto "disk=$T/disk.$1" --create
	there mirror export "disk-$1" >"$T/$1.mirror" 2>/dev/null ||
		fail "mirror export of $1"
	destination disk "$1" file "$T/$1.mirror"
}

# hammer COUNT: random writes to a few places, zeroes among them.
hammer() {
	must captured disk python3 - "$T/disk.img" "$1" <<'END'
import os, random, sys
r = random.Random(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR)
for i in range(int(sys.argv[2])):
    n = 4096 * r.randrange(1, 5)
    data = bytes(n) if i % 10 == 0 else r.randbytes(n)
    os.pwrite(fd, data, 4096 * r.randrange(40))
os.fsync(fd)
END
}

check() {
	settled disk
	mirrored
	same "$T/disk.img" "$T/disk.within"
	same "$T/disk.img" "$T/disk.lagging"
}

# sends NAME: how many in a hundred bytes this destination is sent.
sends() {
	ask here disk '[100 * d["projection"]["bytes_out"]
		// d["projection"]["bytes_in"] for d in g["destinations"]
		if d["name"] == "'"$1"'"][0]'
}

sites
truncate -s 8M "$T/disk.img"
quietly here volume add disk "$T/disk.img" --encrypt
VOLUMES+=(disk:disk)
pair disk
folded within
folded lagging
quietly here key export disk --to "$T/disk.key"
for name in disk disk-within disk-lagging; do
	quietly there key import $name "$T/disk.key"
done

say "base and overwriting"
both
quietly here base disk
check
hammer 1000
check
[ "$(sends within)" -lt 90 ] || fail "within: $(sends within) % are sent"

say "one lags: more is folded"
quietly here destination pause lagging --group disk
for count in 101 102 103 104 105 106 107 108 109 110; do
	hammer $count
	# So that each is in a file of its own.
	must here wait disk --destination there --stored --timeout 30
done
murder "$HERE"
start "$HERE"
quietly here destination resume lagging --group disk
check
echo "within $(sends within) %, lagging $(sends lagging) %"
[ "$(sends lagging)" -lt "$(sends within)" ] ||
	fail "lagging sends $(sends lagging) %, within $(sends within) %"
quietly here marker disk noon
check
for file in "$THERE"/done/*/*.aim; do
	must aimdump --home "$THERE" "$file"
done >"$T/dump"
grep -q ', folded' "$T/dump" || fail "aimdump does not tell"
expect 0 here status
says 'projection within: .* sent of'
stop "$HERE"
stop "$THERE"
pass
