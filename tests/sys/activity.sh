#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A host loses power under load: exactly what is marked is compared (9.10).
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed.
if [ -z "${AIM_UNSHARED:-}" ] && [ "$(id -u)" -eq 0 ]; then
	AIM_UNSHARED=1 exec unshare --mount --propagation unchanged \
		bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need python3 losetup mkfs.ext4
is_root || skip "needs root: a file system is mounted and shut down"
mount --make-private /proc 2>/dev/null || skip "needs a mount namespace"

boot() {
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
}
at_end 'while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done'

plug() { mount "$LOOP" "$T/host" || fail "mount"; }
unplug() { within 20 umount "$T/host" 2>/dev/null || fail "umount"; }

# power_off: nothing that is in memory reaches the disk any more.
power_off() {
	python3 - "$T/host" <<'END' || fail "the file system cannot be shut down"
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))
END
}

# looked_at: MiB of the last copy-in that were copied, or compared and left out.
looked_at() {
	sed -n 's/.*copy-in: \([0-9]*\) bytes were copied, \([0-9]*\) were.*/\1 \2/p' \
		"$T/home.log" | tail -n 1 >"$T/copied"
	read -r copied equal <"$T/copied" || fail "no copy-in has ended"
	echo $(((copied + equal) >> 20))
}

# written N: so many transactions were captured.
written() { [ "$(ask here data 'g["captured"]')" -gt "$1" ]; }
recovered() {
	here wait data --applied --timeout 1 >/dev/null 2>&1 &&
		is here data 'g["state"]' streaming
}

truncate -s 700M "$T/host.fs"
quietly mkfs.ext4 -q -F "$T/host.fs"
LOOP=$(losetup --find --show "$T/host.fs" 2>/dev/null) ||
	skip "needs loop devices"
at_end "losetup -d $LOOP"
mkdir "$T/host"
plug
at_end "umount $T/host 2>/dev/null"
HERE=$T/host/home

sites
truncate -s 200M "$T/host/disk.img"
truncate -s 1M "$T/host/small.img"
python3 -c 'import os,sys
f = open(sys.argv[1], "r+b")
[f.write(os.urandom(1 << 20)) for i in range(200)]' "$T/host/disk.img"
for name in disk small; do
	quietly here volume add $name "$T/host/$name.img" --group data
	VOLUMES+=("data:$name")
done
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
same "$T/host/disk.img" "$T/disk.mir" "the base"

for round in 1 2 3 4; do
	say "round $round: writes in 20 MiB, then the power goes"
	start "$HERE"
	captured data python3 - "$T/host/disk.img" "$T/host/small.img" $round \
		>"$T/writer.log" 2>&1 <<'END' &
import os, random, sys
r = random.Random(int(sys.argv[3]))
disk, small = (os.open(p, os.O_RDWR) for p in sys.argv[1:3])
n = 0
while True:
    at = r.choice((8, 9, 10, 11, 12, 13, 64, 65, 120, 121)) << 20
    os.pwrite(disk, r.randbytes(r.randrange(1, 70000)), at + r.randrange(900000))
    n += 1
    if n % 7 == 0:
        os.ftruncate(small, r.randrange(1, 3 << 20))
        os.pwrite(small, r.randbytes(5000), r.randrange(2 << 20))
    if n % 60 == 0:
        os.fdatasync(r.choice((disk, small)))
END
	writer=$!
	within 20 written $((round * 100)) || fail "nothing is written"
	sleep "0.$((RANDOM % 9))"
	power_off
	slay $writer
	wait $writer 2>/dev/null
	# shellcheck disable=SC2086 # a list of numbers
	gone $SLAIN
	murder "$HERE"
	unplug
	boot
	plug
	if [ $round -eq 3 ]; then
		say "writes before the coordinator is back are remembered"
		captured data dd if=/dev/urandom of="$T/host/disk.img" bs=4k \
			count=3 seek=40000 conv=notrunc status=none ||
			fail "status $? from the first writer"
	fi
	both
	within 60 recovered || {
		here status
		there status
		fail "it does not recover"
	}
	for name in disk small; do
		same "$T/host/$name.img" "$T/$name.mir" "the mirror of $name"
	done
	is here data 'g["epoch"]' $((round + 1)) || fail "the epoch"
	stop "$HERE"
	stop "$THERE"
	mib=$(looked_at)
	say "in doubt: $mib MiB; $(cat "$T/copied")"
	if [ "$mib" -lt 1 ] || [ "$mib" -gt 80 ]; then
		fail "$mib MiB of 200 were in doubt"
	fi
done

say "a log that is damaged means everything"
captured data dd if=/dev/urandom of="$T/host/disk.img" bs=4k count=1 \
	conv=notrunc,fsync status=none || fail "status $? from dd"
dd if=/dev/urandom of="$(find "$HERE/active" -name activity)" bs=16 count=1 \
	conv=notrunc,fsync status=none
boot
both
settled data
for name in disk small; do
	same "$T/host/$name.img" "$T/$name.mir" "the mirror of $name"
done
grep -q 'activity log was damaged' "$T/home.log" ||
	fail "the damage was not told"
stop "$HERE"
stop "$THERE"
mib=$(looked_at)
[ "$mib" -ge 200 ] || fail "only $mib MiB were compared"
read -r copied equal <"$T/copied"
[ "$copied" -lt "$equal" ] || fail "$copied bytes were copied in"
pass
