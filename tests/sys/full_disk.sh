#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Full disks on both sides: policies hold, status tells, nothing is lost.
# shellcheck source=tests/sys/lib.sh

# Small file systems of our own: loop devices as root, else tmpfs in a
# namespace (no crash is tried here, so that will do).
if [ -z "${AIM_UNSHARED:-}" ]; then
	if [ "$(id -u)" -ne 0 ]; then
		unshare -Urm true 2>/dev/null || {
			echo "SKIP: needs root, or user namespaces"
			exit 77
		}
		AIM_UNSHARED=user exec unshare -Urm \
			bash "$0" "$@"
	fi
	# In a chroot / is no mount point, and cannot be made private.
	AIM_UNSHARED=root exec unshare --mount --propagation unchanged \
		bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need python3

# small DIR MIB: a file system of that size there.
small() {
	local loop
	mkdir -p "$1"
	if [ "$AIM_UNSHARED" = root ]; then
		truncate -s "$2M" "$1.fs"
		mkfs.ext4 -q -m 0 "$1.fs" || fail "mkfs"
		if loop=$(losetup --find --show "$1.fs" 2>/dev/null); then
			at_end "losetup -d $loop"
			mount "$loop" "$1" || fail "mount $loop"
			at_end "umount $1"
			return
		fi
	fi
	mount -t tmpfs -o "size=$2m" tmpfs "$1" || fail "mount tmpfs"
	at_end "umount $1"
}

# fill DIR: leaves no room there; drain DIR.
fill() {
	dd if=/dev/zero of="$1/filler" bs=64k status=none 2>/dev/null
	dd if=/dev/zero of="$1/filler2" bs=1k status=none 2>/dev/null
	return 0
}
drain() { rm -f "$1/filler" "$1/filler2"; }

write() {
	captured "$1" dd if=/dev/urandom of="$T/$1.img" bs=64k "count=$2" \
		seek="$3" conv=notrunc status=none
}

small "$T/hfs" 96
small "$T/tfs" 64
HERE=$T/hfs/here
THERE=$T/tfs/there
sites
rm -rf "$T/landing"
ln -s tfs/landing "$T/landing"
mkdir -p "$T/tfs/landing/incoming"
truncate -s 16M "$T/wait.img" "$T/fails.img"
quietly here volume add wait "$T/wait.img" --spool-limit 6M \
	--spool-policy block
quietly here volume add fails "$T/fails.img" --spool-limit 6M \
	--spool-policy fail
VOLUMES=(wait:wait fails:fails)
pair wait file
pair fails file
both
quietly here base wait
quietly here base fails
settled wait
settled fails
mirrored

say "policy block: the writer waits until there is room again"
stop "$THERE"
write wait 200 0 >"$T/block.log" 2>&1 &
writer=$!
sleep 6
kill -0 $writer 2>/dev/null || fail "the writer did not wait"
OUT=$(here status wait)
says 'spool'
say "others are not held up, and can be told so"
must captured fails dd if=/dev/urandom of="$T/fails.img" bs=4k count=1 \
	conv=notrunc status=none
start "$THERE"
wait $writer || fail "the writer that waited: status $?"
settled wait
mirrored

say "policy block: a writer that waits can be killed"
stop "$THERE"
write wait 200 40 >"$T/block.log" 2>&1 &
writer=$!
sleep 4
kill -0 $writer 2>/dev/null || fail "the writer did not wait"
# shellcheck disable=SC2046 # a list of numbers
kill -TERM $(family $writer | tail -n 1)
within 5 eval "! kill -0 $writer 2>/dev/null" || fail "it cannot be ended"
wait $writer
start "$THERE"
settled wait
mirrored

say "policy fail: the writer gets ENOSPC; what it wrote is mirrored"
stop "$THERE"
write fails 200 0 >"$T/fail.log" 2>&1 && fail "the write did not fail"
grep -q 'No space left' "$T/fail.log" || fail "not ENOSPC: $(cat "$T/fail.log")"
is here fails 'g["state"]' stalled || is here fails 'g["state"]' streaming ||
	fail "state $(ask here fails 'g["state"]')"
start "$THERE"
settled fails
mirrored
# There is room as soon as what was applied has been pruned.
within 30 eval 'write fails 4 3 2>/dev/null' || fail "there is no room again"
settled fails
mirrored

say "the destination's file system is full"
fill "$T/tfs"
write wait 30 100 >"$T/w.log" 2>&1 || fail "the write: status $?"
expect 3 here wait wait --timeout 5
OUT="$(here status wait) $(there status wait)"
says 'space'
drain "$T/tfs"
settled wait 90
mirrored

say "the source's file system is full: the write fails or waits, no more"
fill "$T/hfs"
write wait 60 20 >"$T/w.log" 2>&1 &
writer=$!
sleep 4
drain "$T/hfs"
wait $writer
say "the writer's status: $?"
settled wait 90
mirrored
must write wait 4 9
settled wait
mirrored
stop "$HERE"
stop "$THERE"
pass
