#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mirror passes files on; a site is source and mirror; a relay's spool is full.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

MID=$T/mid
mid() { aim-manager --home "$MID" "$@"; }
kept() { find "$MID/sealed" -name '*.aim' | wc -l; }
drops() { [ "$(kept)" -le 1 ]; }

write() {
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count "${2:-100}" "$T/disk.img" >"$T/writer.log"
}

sites
volume disk 8M
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "export: $?"
quietly mid init --site mid
mkdir "$T/mid.in"
quietly mid mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/mid.in" --create --onto "disk=$T/disk.mid"
mid mirror export disk >"$T/mid.mirror" 2>/dev/null || fail "export: $?"
quietly there mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/landing/incoming" --create --onto "disk=$T/disk.mir"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "export: $?"
quietly mid destination add there --group disk \
	--url "file://$T/landing/incoming" --pairing "$T/disk.mirror"
quietly here destination add mid --group disk --url "file://$T/mid.in" \
	--pairing "$T/mid.mirror"
quietly here destination add there --group disk --via mid \
	--pairing "$T/disk.mirror"

say "the mirror's site protects a disk of its own, mirrored at the first one"
truncate -s 4M "$T/back.img"
quietly there volume add back "$T/back.img"
there group export back >"$T/back.pairing" 2>/dev/null || fail "export: $?"
mkdir "$T/here.in"
quietly here mirror add back --pairing "$T/back.pairing" \
	--incoming "$T/here.in" --create --onto "back=$T/back.mir"
here mirror export back >"$T/back.mirror" 2>/dev/null || fail "export: $?"
quietly there destination add here --group back \
	--url "file://$T/here.in" --pairing "$T/back.mirror"

both
start "$MID"
quietly here base disk
quietly there base back
settled disk
there wait back --timeout 60 || fail "wait at the other site: $?"
write 1 &
first=$!
aim-manager --home "$THERE" run back -- python3 \
	"$TOP/tests/sys/writer.py" --seed 2 --count 300 "$T/back.img" \
	>"$T/back.log" || fail "the writer there: $?"
wait $first || fail "the writer here: $?"
settled disk
there wait back --timeout 60 || fail "wait at the other site: $?"
mirrored
same "$T/disk.img" "$T/disk.mid" "the mirror in between"
same "$T/back.img" "$T/back.mir" "the mirror of the other site's disk"
within 20 drops || fail "the mirror in between keeps $(kept) files"

say "the end is away, and the mirror in between dies"
murder "$THERE"
write 3
here wait disk --destination mid --timeout 30 || fail "wait for mid: $?"
write 4
murder "$MID"
start "$MID"
here wait disk --destination mid --timeout 30 || fail "wait for mid: $?"
same "$T/disk.img" "$T/disk.mid" "the mirror in between"
[ "$(kept)" -gt 0 ] || fail "nothing is kept for the end"
start "$THERE"
settled disk
mirrored

say "a relay with a small spool in place of that mirror; the end pulls"
stop "$MID"
quietly here destination remove there --group disk
quietly here destination remove mid --group disk
stop "$THERE"
rm -rf "$MID" "$T/mid.in" "$THERE" "$T/landing/incoming"
mkdir -p "$T/mid.in" "$T/landing/incoming"
quietly mid init --site mid
quietly there init --site there
quietly mid relay add disk --pairing "$T/disk.pairing" \
	--incoming "$T/mid.in" --spool-limit 1M
mid relay export disk >"$T/mid.relay" 2>/dev/null || fail "export: $?"
mkdir "$T/hub"
quietly there mirror add disk --pairing "$T/disk.pairing" --overwrite \
	--pull "file://$T/hub" --onto "disk=$T/disk.mir"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "export: $?"
quietly mid destination add there --group disk \
	--url "file://$T/hub" --hub --pairing "$T/disk.mirror"
quietly here destination add mid --group disk --url "file://$T/mid.in" \
	--pairing "$T/mid.relay"
quietly here destination add there --group disk --via mid \
	--pairing "$T/disk.mirror"
start "$MID"
quietly here base disk
write 5
is_full() { is mid disk '"spool is full" in str(g["reason"])' true; }
within 30 is_full || fail "the relay does not say that it is full"
expect 3 here wait disk --timeout 1
start "$THERE"
settled disk
mirrored
within 20 drops || fail "the relay keeps $(kept) files"
is_clear() { [ "$(find "$T/hub" -name '*.aim' | wc -l)" -le 1 ]; }
within 20 is_clear || fail "what was fetched is not cleared"
for name in "$HERE" "$MID" "$THERE"; do
	stop "$name"
done
pass
