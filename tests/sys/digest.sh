#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After a host crash only what differs travels; sums that lie change nothing.
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed.
if [ -z "${AIM_UNSHARED:-}" ]; then
	export AIM_UNSHARED=1
	own=(--mount --propagation unchanged)
	[ "$(id -u)" -eq 0 ] || own=(--mount --user --map-root-user)
	if unshare "${own[@]}" mount --make-private /proc 2>/dev/null; then
		exec unshare "${own[@]}" bash "$0" "$@"
	fi
	echo "SKIP: needs a mount namespace (root, or user namespaces)"
	exit 77
fi
mount --make-private /proc || exit 1
. "$(dirname "$0")/lib.sh"
need python3

boot() {
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
}
at_end 'while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done'

# put SEED GROUP FILE: a captured write into each of its extents.
put() {
	must captured "$2" python3 - "$3" "$1" <<'END'
import os, random, sys
r = random.Random(int(sys.argv[2]))
f = os.open(sys.argv[1], os.O_RDWR)
for at in range(0, os.fstat(f).st_size, 4 << 20):
    os.pwrite(f, r.randbytes(3000), at + r.randrange(1 << 20))
os.fsync(f)
END
}
# lose SEED FILE: what the disk has is older in four places.
lose() {
	python3 - "$2" "$1" <<'END' || fail "lose"
import os, random, sys
r = random.Random(int(sys.argv[2]))
f = os.open(sys.argv[1], os.O_RDWR)
n = os.fstat(f).st_size >> 22
for i in range(4):
    os.pwrite(f, r.randbytes(4096), (r.randrange(n) << 22) + 100000)
END
}
# numbers GROUP: bytes that its last copy-in has copied, and left out.
numbers() {
	sed -n "s/.* source $1: copy-in: \([0-9]*\) bytes were copied, \([0-9]*\) were.*/\1 \2/p" \
		"$T/here.log" | tail -n 1
}
# crash SEED GROUP FILE: the host goes down and comes back.
crash() {
	murder "$HERE"
	lose "$1" "$3"
	boot
	start "$HERE"
}
# compared GROUP FILE GRAINS: the recovery brought no more, and left out the rest.
compared() {
	local copied equal
	read -r copied equal < <(numbers "$1")
	say "copied $copied, left out $equal"
	[ $((copied + equal)) -ge "$(stat -c %s "$2")" ] ||
		fail "not all was looked at"
	[ "$copied" -le $(($3 * 65536)) ] || fail "too much was copied"
	[ "$copied" -gt 0 ] || fail "nothing was copied"
}
fill() {
	python3 -c 'import os,sys
f = open(sys.argv[1], "r+b")
f.write(os.urandom(os.fstat(f.fileno()).st_size * 3 // 4))' "$1"
}

sites
volume disk 48M data
fill "$T/disk.img"
pair data file
both
quietly here base data
settled data
mirrored
IN=$(stream_of data)/ack
pages() { find "$IN" -name '*.sums'; }

say "all extents are in doubt, a few blocks differ"
put 1 data "$T/disk.img"
settled data
crash 11 data "$T/disk.img"
settled data
mirrored
compared data "$T/disk.img" 8
is here data 'g["digest"]["copied_bytes"] <= 8 * 65536' true ||
	fail "status does not tell"
nothing() { [ -z "$(pages)" ]; }
within 20 nothing || fail "sums are left there: $(pages)"
for file in "$THERE"/done/*/00000002-*.aim; do
	must aimdump "$file"
done >"$T/shown"
grep -q 'compares .* grains of 64 KiB' "$T/shown" || fail "aimdump tells nothing"

say "sums that were changed, or are of before, are not believed"
expect 4 here group digest data 2s
expect 4 here group digest nothing 2
here group digest data 2 || fail "group digest"
while :; do
	cp "$IN"/*.0000.sums "$T/.old" && mv "$T/.old" "$T/old.sums"
	sleep 0.01
done 2>/dev/null &
copier=$!
put 2 data "$T/disk.img"
crash 12 data "$T/disk.img"
settled data
mirrored
kill $copier
wait $copier 2>/dev/null
[ -s "$T/old.sums" ] || fail "no page was seen"
name=$(find "$IN" -name '*.ack' | head -n 1)
name=$(basename "$name" .ack).0000.sums
# From here on somebody puts his own there, again and again: first what the
# mirror had signed for the recovery before, then that with a byte changed.
python3 - "$T/old.sums" "$T/bad.sums" <<'END'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[700] ^= 1
open(sys.argv[2], "wb").write(b)
END
for page in old bad; do
	put 3 data "$T/disk.img"
	settled data
	while :; do
		cp "$T/$page.sums" "$IN/.x" && mv "$IN/.x" "$IN/$name"
		sleep 0.002
	done 2>/dev/null &
	liar=$!
	crash 13 data "$T/disk.img"
	settled data
	kill $liar
	wait $liar 2>/dev/null
	mirrored
	say "with $page sums: $(numbers data)"
done
stop "$HERE"
stop "$THERE"

say "coordinators that come by ask, too, where that was wanted"
here group digest data 600 || fail "group digest"
put 5 data "$T/disk.img"
once "$HERE" "$THERE" "$HERE"
put 6 data "$T/disk.img"
lose 15 "$T/disk.img"
boot
once "$HERE" "$THERE" "$HERE" "$THERE" "$HERE"
mirrored
# What was written last is not at the mirror either.
compared data "$T/disk.img" 30

say "a mirror that fetches its files, of an encrypted group"
VOLUMES=()
mkdir "$T/hub"
truncate -s 24M "$T/e.img"
quietly here volume add e "$T/e.img" --encrypt
VOLUMES+=(e:e)
fill "$T/e.img"
quietly here key export e --to "$T/e.key"
here group export e >"$T/e.pairing" 2>/dev/null || fail "export"
quietly there mirror add e --pairing "$T/e.pairing" --pull "file://$T/hub" \
	--create --onto "e=$T/e.mir"
quietly there key import e "$T/e.key"
there mirror export e >"$T/e.mirror" 2>/dev/null || fail "mirror export"
quietly here destination add there --group e --url "file://$T/hub" --hub \
	--pairing "$T/e.mirror"
both
quietly here base e
settled e
mirrored
put 4 e "$T/e.img"
settled e
crash 14 e "$T/e.img"
settled e
mirrored
compared e "$T/e.img" 8
pass
