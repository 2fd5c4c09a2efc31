#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A block device that others have written to is refused until it is copied in.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
is_root || skip "needs root for a loop device"
need losetup python3

truncate -s 8M "$T/backing"
LOOP=$(losetup --find --show "$T/backing" 2>/dev/null) || skip "no loop device"
at_end "losetup -d $LOOP 2>/dev/null"
ln -s "$LOOP" "$T/disk.img"
sites
quietly here volume add disk "$LOOP" --group data
truncate -s 8M "$T/disk.mir"
VOLUMES=(data:disk)
here group export data >"$T/data.pairing" 2>"$T/quietly" || fail "export"
quietly there mirror add data --pairing "$T/data.pairing" \
	--incoming "$T/landing/incoming" --onto "disk=$T/disk.mir"
there mirror export data >"$T/data.mirror" 2>"$T/quietly" || fail "export"
destination data there file "$T/data.mirror"
quietly here base data

writes() {
	captured data python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count 50 "$LOOP" >"$T/quietly" 2>&1
}
# clean: all is sealed and the device is flushed, noted and applied.
clean() {
	once "$HERE" "$THERE" "$HERE"
	[ -s "$T/here/active/$GROUP/seen" ] && cmp -s "$LOOP" "$T/disk.mir"
}
closed() { within 30 clean || fail "the group is not closed cleanly"; }
refused() {
	expect 125 captured data true
	says 'changed outside AIM'
	expect 0 here base data
	closed
	must captured data true
}
reattach() {
	local again
	losetup -d "$LOOP" || fail "losetup -d"
	again=$(losetup --show "$LOOP" "$T/backing") || fail "losetup"
	[ "$again" = "$LOOP" ] || fail "another device"
}

GROUP=$(cut -d' ' -f1 "$HERE/groups")
once "$HERE" "$THERE" "$HERE"
say "what is captured is no change outside"
for seed in 1 2 3; do
	must writes $seed
	must writes 1$seed
	closed
	must captured data cat "$LOOP" >"$T/read"
	python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' \
		"$LOOP"
done

say "one block, written anywhere, by the kernel's count"
dd if=/dev/urandom of="$LOOP" bs=512 seek=9999 count=1 conv=notrunc,fsync \
	status=none
refused

say "the same disk, attached anew, is the same"
reattach
must writes 21
closed

say "attached anew, what was changed meanwhile is found by samples"
losetup -d "$LOOP" || fail "losetup -d"
dd if=/dev/urandom of="$T/backing" bs=4k count=1 conv=notrunc status=none
losetup "$LOOP" "$T/backing" || fail "losetup"
refused

say "as long as something is captured, it is not asked"
must writes 31
dd if=/dev/urandom of="$LOOP" bs=4k seek=3 count=1 conv=notrunc,fsync \
	status=none
must captured data true
pass
