#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each destination has a codec and level of its own; the images are equal.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
truncate -s 8M "$T/disk.img"
quietly here volume add disk "$T/disk.img" --compress zlib:1
VOLUMES+=(disk:disk)
say "what there is not is refused"
expect 4 here projection add bad --group disk --compress lzma
says "'none', 'zlib' or 'zstd'"
expect 4 here projection add bad --group disk --compress zstd:99
says 'levels of zstd'

# coded NAME CODEC: a mirror of a projection with that codec.
coded() {
	quietly here projection add "$1" --group disk --compress "$2"
	here group export disk --projection "$1" >"$T/$1.pairing" \
		2>/dev/null || fail "export of $1"
	quietly there mirror add disk --as "disk-$1" \
		--pairing "$T/$1.pairing" --incoming "$T/landing/incoming" \
		--onto "disk=$T/disk.$1" --create
	there mirror export "disk-$1" >"$T/$1.mirror" 2>/dev/null ||
		fail "mirror export of $1"
	destination disk "$1" file "$T/$1.mirror"
}
pair disk
coded near none
coded far zstd:19
here projection list --json | python3 -c 'import json, sys
p = {x["name"]: (x["compress"], x["compress_level"])
	for x in json.load(sys.stdin)["projections"]}
sys.exit(p != {"near": ("none", 0), "far": ("zstd", 19)})' ||
	fail "projection list: $(here projection list --json)"

check() {
	local name
	settled disk
	mirrored
	for name in near far; do
		same "$T/disk.img" "$T/disk.$name" "the mirror $name"
	done
}
# kept PAIRING: the codecs that the files of its stream have here, and their
# bytes.
kept() {
	local stream
	stream=$(sed -n 's/^stream //p' "$1")
	aimdump --json "$HERE/sealed/$stream"/*.aim >"$T/dump" ||
		fail "aimdump: $?"
	python3 - "$T/dump" <<'END'
import json, sys
at, text, total, codecs = 0, open(sys.argv[1]).read().strip(), 0, set()
while at < len(text):
    f, at = json.JSONDecoder().raw_decode(text, at)
    while at < len(text) and text[at].isspace():
        at += 1
    total += f["header"]["file_len"]
    if f["header"]["data_raw_len"] > 65536:
        codecs.add(f["header"]["codec"])
print(",".join(sorted(codecs)), total)
END
}
projected() {
	here projection list --json | python3 -c 'import json, sys
sys.exit(any(p["projected"] < int(sys.argv[1])
	for p in json.load(sys.stdin)["projections"]))' \
		"$(ask here disk 'g["captured"]')"
}

both
must here base disk --wait --timeout 60
stop "$THERE"
say "text that can be made smaller, and a restart in between"
for round in 1 2; do
	must captured disk python3 - "$T/disk.img" $round <<'END'
import os, random, sys
r = random.Random(int(sys.argv[2]))
words = [b"%d " % r.randrange(10**6) for _ in range(300)]
fd = os.open(sys.argv[1], os.O_RDWR)
for i in range(40):
    data = b"".join(r.choices(words, k=9000))[:49152]
    os.pwrite(fd, data, 65536 * r.randrange(100))
END
	murder "$HERE"
	start "$HERE"
done
within 30 projected || fail "not projected: $(here projection list)"
read -r codec_own own < <(kept "$T/disk.pairing")
read -r codec_near near < <(kept "$T/near.pairing")
read -r codec_far far < <(kept "$T/far.pairing")
say "own $codec_own $own, near $codec_near $near, far $codec_far $far"
[ "$codec_own $codec_near $codec_far" = "zlib none zstd" ] ||
	fail "other codecs"
if [ "$near" -le "$own" ] || [ "$own" -le "$far" ]; then
	fail "other sizes"
fi
start "$THERE"
check
stop "$HERE"
stop "$THERE"
pass
