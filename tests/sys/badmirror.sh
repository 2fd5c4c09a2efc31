#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Wrong mirrors, homes, keys and paths are refused, told, and left unchanged.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 4M
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "export: $?"
mkdir -p "$T/in"
# mirror PATH [OPTION...]
mirror() {
	local path=$1
	shift
	there mirror add disk --pairing "$T/disk.pairing" --incoming "$T/in" \
		--onto "disk=$path" "$@"
}

say "the wrong size"
truncate -s 3M "$T/small"
truncate -s 5M "$T/large"
expect 4 mirror "$T/small"
says 'size\|bytes'
expect 4 mirror "$T/large" --overwrite
expect 4 mirror "$T/small" --create

say "something is on it"
truncate -s 4M "$T/full"
printf 'data' | dd of="$T/full" bs=1 seek=4000000 conv=notrunc status=none
sum=$(sum_of "$T/full")
expect 4 mirror "$T/full"
says 'overwrite'
expect 4 mirror "$T/full" --create
[ "$(sum_of "$T/full")" = "$sum" ] || fail "it was changed"

say "not a disk"
mkfifo "$T/fifo"
expect 4 timeout 10 aim-manager --home "$THERE" mirror add disk \
	--pairing "$T/disk.pairing" --incoming "$T/in" --onto "disk=$T/fifo"
expect 4 mirror "$T"
expect 4 mirror /dev/null
expect 4 mirror "$T/none/disk" --create
expect 4 mirror "$T/missing"

say "the mirror inside the home, or a home's own file"
expect 4 mirror "$THERE/catalogue.db" --overwrite

if is_root && loop=$(losetup --find --show "$T/full" 2>/dev/null); then
	at_end "losetup -d $loop"
	say "a block device of the wrong size"
	truncate -s 8M "$T/loop8"
	other=$(losetup --find --show "$T/loop8") || fail "losetup"
	at_end "losetup -d $other"
	expect 4 mirror "$other"
	says 'size\|bytes'
	say "a block device that is mounted"
	mkfs.ext4 -q "$loop" || fail "mkfs"
	mkdir "$T/mnt"
	mount "$loop" "$T/mnt" || fail "mount"
	at_end "umount $T/mnt 2>/dev/null"
	expect 4 mirror "$loop" --overwrite
	says 'mounted\|in use\|busy'
	say "an image that is mounted by a loop device"
	expect 4 mirror "$T/full" --overwrite
	says 'mounted\|in use\|loop'
	umount "$T/mnt"

	say "a home on the protected disk"
	truncate -s 16M "$T/base"
	mkfs.ext4 -q "$T/base"
	third=$(losetup --find --show "$T/base") || fail "losetup"
	at_end "losetup -d $third"
	mkdir "$T/homefs"
	mount "$third" "$T/homefs" || fail "mount"
	at_end "umount $T/homefs 2>/dev/null"
	quietly aim-manager --home "$T/homefs/home" init --site eats-itself
	expect 4 aim-manager --home "$T/homefs/home" volume add self "$third"
	expect 4 aim-manager --home "$T/homefs/home" volume add self "$T/base"
	umount "$T/homefs"
else
	say "(no loop devices here: mounted mirrors are not tried)"
fi

say "a home inside what it protects is its own file"
expect 4 here volume add self "$HERE/catalogue.db"

say "in use by somebody else"
pair disk file
quietly here base disk
once "$HERE" "$THERE" "$HERE"
mirrored
sum=$(sum_of "$T/disk.mir")
truncate -s 4M "$T/other.img"
quietly here volume add other "$T/other.img"
here group export other >"$T/other.pairing" 2>/dev/null
expect 4 there mirror add other --pairing "$T/other.pairing" \
	--incoming "$T/in" --onto "other=$T/disk.mir" --overwrite
says 'mirror\|use'

say "a mirror that somebody cuts off, changes, takes away, replaces"
must captured disk python3 "$TOP/tests/sys/writer.py" --count 50 \
	"$T/disk.img"
once "$HERE"
mv "$T/disk.mir" "$T/away"
aim-coordinator --home "$THERE" --once >>"$T/there.log" 2>&1
OUT=$(there status)
says 'disk.mir'
is there disk 'g["mirror"]["state"] not in ("streaming",)' true ||
	fail "it says healthy without its disk"
[ ! -e "$T/disk.mir" ] || fail "it made a new disk"
mv "$T/away" "$T/disk.mir"
aim-coordinator --home "$THERE" --once >>"$T/there.log" 2>&1
aim-coordinator --home "$THERE" --once >>"$T/there.log" 2>&1
once "$HERE"
expect 0 here wait disk --timeout 1
mirrored

say "the protected file is replaced: nothing is captured into the wrong one"
cp "$T/disk.img" "$T/disk.copy"
mv "$T/disk.img" "$T/disk.true"
mv "$T/disk.copy" "$T/disk.img"
expect 125 captured disk true
says 'outside AIM\|another file\|replaced'
mv "$T/disk.true" "$T/disk.img"
# A rename changes its ctime: it is told as changed until it is accepted.
expect 125 captured disk true
says 'outside AIM'
quietly here base disk
once "$HERE" "$THERE" "$HERE" "$THERE" "$HERE"
must captured disk true

say "the protected file is changed while nothing is captured"
sleep 0.1
printf 'intruder' | dd of="$T/disk.img" bs=1 seek=5000 conv=notrunc status=none
expect 125 captured disk true
says 'outside AIM'
aim-coordinator --home "$HERE" --once >>"$T/here.log" 2>&1
OUT=$(here status)
says 'outside AIM'
say "a new base puts it right"
quietly here base disk
aim-coordinator --home "$HERE" --once >>"$T/here.log" 2>&1
once "$HERE" "$THERE" "$HERE" "$THERE" "$HERE"
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 3 --count 50 \
	"$T/disk.img"
once "$HERE" "$THERE" "$HERE"
expect 0 here wait disk --timeout 1
mirrored

say "missing, foreign or open keys"
mv "$THERE/keys/site.key" "$T/key"
expect 4 there status
says 'key'
expect 4 aim-coordinator --home "$THERE" --once
cp "$T/key" "$THERE/keys/site.key"
chmod 644 "$THERE/keys/site.key"
expect 4 aim-coordinator --home "$THERE" --once
says 'key'
chmod 600 "$THERE/keys/site.key"
cp "$HERE/keys/site.key" "$THERE/keys/site.key"
expect 4 aim-coordinator --home "$THERE" --once
cp "$T/key" "$THERE/keys/site.key"
chmod 600 "$THERE/keys/site.key"
once "$THERE"
mirrored
pass
