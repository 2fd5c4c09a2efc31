#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A copied home is refused until adopted; then it is another site.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
[ -s /etc/machine-id ] || skip "needs /etc/machine-id"

sites
volume disk 8M
must dd if=/dev/urandom of="$T/disk.img" bs=1M count=3 conv=notrunc status=none
pair disk
quietly here base disk
once "$HERE" "$THERE" "$HERE"
mirrored

say "the copy is refused by everything"
clone=$T/clone
cp -a "$HERE" "$clone"
sed -i 's/^machine .*/machine 00112233445566778899aabbccddeeff/' \
	"$clone/state/site"
expect 4 aim-manager --home "$clone" status
says 'init --adopt'
expect 4 aim-manager --home "$clone" base disk
expect 4 aim-coordinator --home "$clone" --once
says 'init --adopt'
expect 125 aim-manager --home "$clone" run disk -- true
says 'init --adopt'

say "adopted, it has another name for everything that is signed"
expect 4 here init --adopt
before=$(cat "$clone/keys/site.pub")
expect 0 aim-manager --home "$clone" init --adopt
says 'fingerprint'
[ "$(cat "$clone/keys/site.pub")" != "$before" ] || fail "the key is the same"
expect 4 aim-manager --home "$clone" init --adopt
expect 4 aim-manager --home "$clone" base disk
says 'destination'

say "an interrupted adoption is completed by another one"
: >"$clone/state/adopt"
expect 0 aim-manager --home "$clone" init --adopt
[ ! -e "$clone/state/adopt" ] || fail "it is not completed"

say "paired again it mirrors, beside the old one"
mkdir "$T/landing/more"
aim-manager --home "$clone" group export disk >"$T/again" 2>/dev/null ||
	fail "export: $?"
quietly there mirror add disk --as copy --pairing "$T/again" \
	--incoming "$T/landing/more" --onto "disk=$T/copy.mir" --create
there mirror export copy >"$T/copy.pairing" 2>/dev/null || fail "export: $?"
quietly aim-manager --home "$clone" destination add there --group disk \
	--url "file://$T/landing/more" --pairing "$T/copy.pairing"
quietly aim-manager --home "$clone" base disk
once "$clone" "$THERE" "$clone"
expect 0 aim-manager --home "$clone" wait disk --timeout 1
same "$T/disk.img" "$T/copy.mir"
once "$HERE" "$THERE"
mirrored
pass
