#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two relays in a row without the key: they can neither read nor alter anything.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

SECRET=BlueWhaleSongs

# at NAME COMMAND...: aim-manager of a relay.
at() {
	local name=$1
	shift
	aim-manager --home "$T/$name" "$@"
}

# kept NAME: the files that a relay has.
kept() { find "$T/$1/sealed" -name '*.aim' | sort; }
has_any() { [ -n "$(kept "$1")" ]; }
has_none() { [ -z "$(kept "$1")" ]; }

# write SEED: some writes, the secret among them.
write() {
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count 100 "$T/disk.img" >"$T/writer.log"
	printf %s $SECRET >"$T/secret"
	must captured disk dd if="$T/secret" of="$T/disk.img" conv=notrunc \
		bs=4096 seek=7 status=none
}

sites
truncate -s 4M "$T/disk.img"
quietly here volume add disk "$T/disk.img" --encrypt
VOLUMES+=(disk:disk)
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "export: $?"
quietly here key export disk --to "$T/disk.key"
for name in one two; do
	quietly aim-manager --home "$T/$name" init --site $name
	mkdir "$T/$name.in"
	quietly at $name relay add disk --pairing "$T/disk.pairing" \
		--incoming "$T/$name.in"
	at $name relay export disk >"$T/$name.relay" 2>/dev/null ||
		fail "relay export: $?"
done
quietly there mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/landing/incoming" --create --onto "disk=$T/disk.mir"
quietly there key import disk "$T/disk.key"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "export: $?"

say "each hop knows the next one, and what lies behind it"
quietly at two destination add there --group disk \
	--url "file://$T/landing/incoming" --pairing "$T/disk.mirror"
quietly at one destination add two --group disk --url "file://$T/two.in" \
	--pairing "$T/two.relay"
quietly at one destination add there --group disk --via two \
	--pairing "$T/disk.mirror"
quietly here destination add one --group disk --url "file://$T/one.in" \
	--pairing "$T/one.relay"
quietly here destination add two --group disk --via one \
	--pairing "$T/two.relay"
quietly here destination add there --group disk --via two \
	--pairing "$T/disk.mirror"
both
start "$T/one"
start "$T/two"
quietly here base disk
settled disk
mirrored
write 1
settled disk
mirrored
is here disk 'len(set(d["stored"] for d in g["destinations"]))' 1 ||
	fail "the hops differ"

say "the disk grows, and the command hears of it through both"
expect 0 here volume expand disk 5M --timeout 60
[ "$(stat -c %s "$T/disk.mir")" -eq $((5 << 20)) ] || fail "it has not grown"

say "a relay alters a file: it is refused at the end, and comes again"
within 20 has_none two || fail "two drops nothing"
murder "$THERE"
write 2
within 20 has_any two || fail "two keeps nothing"
here wait disk --stored --destination two --timeout 20 || fail "wait: $?"
within 20 has_none one || fail "one drops nothing"
murder "$T/two"
rm -f "$T"/landing/incoming/*/*.aim
file=$(kept two | tail -n 1)
python3 - "$file" <<'END'
import sys
f = open(sys.argv[1], "r+b")
f.seek(-100, 2)
b = f.read(1)
f.seek(-100, 2)
f.write(bytes([b[0] ^ 1]))
END
start "$T/two"
start "$THERE"
settled disk 60
mirrored
[ -n "$(ls "$THERE/quarantine")" ] || fail "nothing was refused"
[ -n "$(ls "$T/two/quarantine")" ] || fail "two has not looked"
here status disk --json >"$T/status" || fail "status: $?"

say "nothing could be read on the way"
found=$(grep -rlaF $SECRET "$T/one" "$T/two" "$T/one.in" "$T/two.in")
[ -z "$found" ] || fail "in the open: $found"
found=$(find "$T/one/keys" "$T/two/keys" -name '*.key' -path '*groups*')
[ -z "$found" ] || fail "a relay has a key: $found"

say "both die in the middle"
captured disk python3 "$TOP/tests/sys/writer.py" --seed 5 --count 600 \
	"$T/disk.img" >"$T/writer.log" 2>&1 &
writer=$!
for name in one two; do
	sleep 0.2
	murder "$T/$name"
	start "$T/$name"
done
wait $writer || fail "the writer: status $?"
settled disk
mirrored
for name in "$HERE" "$T/one" "$T/two" "$THERE"; do
	stop "$name"
done
pass
