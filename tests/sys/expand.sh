#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume grows by command, and its mirrors at just that point (design 9.9).
#
# A file as anybody; a block device, and mirrors that are too small, as root.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 8M
pair disk
both
quietly here base disk --wait --timeout 60

say "what is not to be done is refused, and nothing happens"
expect 4 here volume expand disk 4M
says "never made smaller"
expect 4 here volume expand disk 8X
says "K, M, G or T"
expect 4 here volume expand disk 99999999T
expect 4 here volume expand no-such 9M
says "volume list"
expect 2 here volume expand disk
expect 2 here volume expand disk 9M --timeout soon
expect 0 here volume expand disk 8M
says "already"
expect 0 here volume expand disk 12M --dry-run
says "would grow"
[ "$(stat -c %s "$T/disk.img")" -eq $((8 << 20)) ] || fail "it has grown"

say "a file grows under a writer"
captured disk python3 "$TOP/tests/sys/writer.py" --count 4000 \
	"$T/disk.img" >"$T/writer.log" 2>&1 &
writer=$!
expect 0 here volume expand disk 12M --timeout 60
says "bytes from transaction"
[ "$(stat -c %s "$T/disk.mir")" -eq $((12 << 20)) ] ||
	fail "the command returned before the mirror had grown"
wait $writer || fail "the writer: $(cat "$T/writer.log")"
must captured disk dd if=/dev/urandom of="$T/disk.img" bs=64k seek=150 \
	count=20 conv=notrunc status=none
settled disk
mirrored
here volume list | grep -q "12" || fail "volume list: $(here volume list)"

say "without a mirror's answer: time-out, and it comes later"
stop "$THERE"
expect 3 here volume expand disk 13M --timeout 1
expect 0 here volume expand disk 14M --no-wait
start "$THERE"
settled disk
mirrored
[ "$(stat -c %s "$T/disk.mir")" -eq $((14 << 20)) ] || fail "size"

say "in the stream: RESIZE, and EXPAND after it"
stop "$THERE"
expect 0 here volume expand disk 15M --no-wait
within 20 test -n "$(find "$(stream_of disk)" -name '*.aim')" ||
	fail "nothing arrives"
find "$(stream_of disk)" -name '*.aim' -exec aimdump {} + >"$T/dump" ||
	fail "aimdump: $?"
tr -s ' ' <"$T/dump" | grep -E 'resize|expand' | tail -2 >"$T/two"
tr '\n' ' ' <"$T/two" | grep -q 'resize.*expand' ||
	fail "not RESIZE, EXPAND: $(cat "$T/dump")"
start "$THERE"
settled disk
mirrored
stop "$HERE"
stop "$THERE"

is_root || {
	echo "-- the rest needs root for loop devices"
	pass
}
need losetup
truncate -s 8M "$T/back" "$T/back.mir"
dev=$(losetup --find --show "$T/back") || skip "no loop device"
mirror=$(losetup --find --show "$T/back.mir") || {
	losetup -d "$dev"
	skip "no second loop device"
}
detach() { losetup -d "$dev" "$mirror" 2>/dev/null; }
trap 'detach; lib_end' EXIT

quietly here volume add block "$dev"
here group export block >"$T/block.pairing" 2>/dev/null || fail "export"
quietly there mirror add block --pairing "$T/block.pairing" \
	--incoming "$T/landing/incoming" --onto "block=$mirror"
there mirror export block >"$T/block.mirror" 2>/dev/null || fail "export"
destination block there file "$T/block.mirror"
both
quietly here base block --wait --timeout 60

# fill OFFSET COUNT: in blocks of 64 KiB.
fill() {
	captured block dd if=/dev/urandom of="$dev" bs=64k seek="$1" \
		count="$2" conv=notrunc,fsync status=none
}
must fill 0 128

say "the device is too small, then large, and still ends where it did"
expect 4 here volume expand block 12M
says "enlarge it first"
truncate -s 12M "$T/back"
losetup -c "$dev" || fail "losetup -c"
must fill 16 16
fill 120 16 2>"$T/over" && fail "a write went beyond the end of the mirrors"
grep -q "No space left" "$T/over" || fail "not ENOSPC: $(cat "$T/over")"
settled block
cmp -n $((8 << 20)) "$dev" "$mirror" || fail "the mirror differs"

say "a mirror that is too small stops at just that point"
expect 4 here volume expand block 12M --timeout 60
says "of no use"
must fill 120 16
within 20 is there block 'g["state"]' stalled ||
	within 1 is there block 'g["state"]' suspended ||
	fail "the mirror says $(ask there block 'g["state"]')"
there status | tee "$T/status.there" | grep -q "bytes" ||
	fail "no reason: $(cat "$T/status.there")"

say "and goes on when it has been enlarged"
truncate -s 12M "$T/back.mir"
losetup -c "$mirror" || fail "losetup -c"
settled block 60
same "$dev" "$mirror"

say "what was added is captured"
must fill 150 20
settled block
same "$dev" "$mirror"
pass
