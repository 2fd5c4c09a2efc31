#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two destinations, one of them dead: neither source nor the other suffers.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 16M
pair disk file

say "a second mirror, on a third site"
AFAR=$T/afar
quietly aim-manager --home "$AFAR" init --site afar
mkdir -p "$T/far/incoming"
quietly aim-manager --home "$AFAR" mirror add disk \
	--pairing "$T/disk.pairing" --incoming "$T/far/incoming" \
	--onto "disk=$T/disk.far" --create
aim-manager --home "$AFAR" mirror export disk >"$T/disk.afar" 2>/dev/null ||
	fail "mirror export"
quietly here destination add afar --group disk \
	--url "file://$T/far/incoming" --pairing "$T/disk.afar"

both
start "$AFAR"
quietly here base disk
settled disk
mirrored
same "$T/disk.img" "$T/disk.far"

say "afar dies; its folder goes away, too"
murder "$AFAR"
mv "$T/far" "$T/far.gone"
begin=$SECONDS
must captured disk python3 "$TOP/tests/sys/writer.py" --count 2000 \
	"$T/disk.img"
here wait disk --destination there --timeout 30 ||
	fail "wait for the living one: status $?"
mirrored
[ $((SECONDS - begin)) -lt 40 ] || fail "the living one was held up"
expect 3 here wait disk --timeout 2
expect 3 here wait disk --destination afar --timeout 1
is here disk '[d["lag_files"] > 0 for d in g["destinations"]
	if d["name"] == "afar"][0]' true || fail "no lag of the dead one"
is here disk '[d["lag_files"] for d in g["destinations"]
	if d["name"] == "there"][0]' 0 || fail "lag of the living one"
[ "$(find "$HERE/sealed" -name '*.aim' | wc -l)" -gt 0 ] ||
	fail "pruned before the dead one had it"

say "it comes back"
mv "$T/far.gone" "$T/far"
start "$AFAR"
settled disk 60
mirrored
same "$T/disk.img" "$T/disk.far"
here wait disk --destination afar --timeout 5 || fail "wait: $?"

say "a base for one alone leaves the other as it is"
here base disk --destination afar --wait || fail "base: $?"
settled disk
mirrored
same "$T/disk.img" "$T/disk.far"
stop "$HERE"
stop "$THERE"
stop "$AFAR"
pass
