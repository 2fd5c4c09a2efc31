#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes that QEMU logged reach the mirror, whatever kills the import.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need qemu-io python3 strace

# logged DISK LOG DISCARD: 150 random requests, through blklogwrites
logged() {
	python3 - "$SEED" >"$T/requests" <<'END'
import random, sys
r = random.Random(int(sys.argv[1]))
size = 8 << 20
for i in range(150):
    n = 512 * r.choice([1, 1, 2, 8, 8, 64, 512, 2500])
    at = r.randrange(0, (size - n) // 512) * 512
    print({0: f"discard {at} {n}", 1: f"write -z {at} {n}", 2: "flush",
           3: f"write -f -P {r.randrange(1, 255)} {at} {n}"}.get(
        r.randrange(10), f"write -P {r.randrange(1, 255)} {at} {n}"))
print("flush")
END
	SEED=$((SEED + 1))
	quietly qemu-io --image-opts "driver=blklogwrites,discard=unmap,\
log-append=${4:-on},file.driver=file,file.filename=$1,file.discard=$3,\
log.driver=file,log.filename=$2" <"$T/requests"
}
SEED=1

import() { aim-logwrites import --home "$HERE" --volume "$T/disk.img" "$@"; }
prepare() {
	must aim-logwrites prepare --home "$HERE" --volume "$T/disk.img" "$@"
}
turn() { once "$HERE" "$THERE" "$HERE"; }

sites
volume disk 8M
volume other 8M
dd if=/dev/urandom of="$T/disk.img" bs=1M count=8 conv=notrunc status=none
expect 4 aim-logwrites prepare --home "$HERE" --volume "$T/disk.img" "$T/log0"
says 'has no finished base'
pair disk
quietly here base disk
turn
mirrored_disk() { same "$T/disk.img" "$T/disk.mir" "the mirror of disk"; }
mirrored_disk

say "two logs, one after the other, with a mark"
prepare "$T/log0" "$T/log1"
logged "$T/disk.img" "$T/log0" unmap
logged "$T/disk.img" "$T/log1" unmap
must python3 - "$T/log1" <<'END'
import os, struct, sys
with open(sys.argv[1], "r+b") as f:
    n, sector = struct.unpack("<QI", f.read(28)[16:])
    at = sector
    for i in range(n):
        f.seek(at)
        _, count, flags, _ = struct.unpack("<QQQQ", f.read(32))
        at += sector + (0 if flags & 4 else count * sector)
    text = b"before the upgrade"
    f.seek(at)
    f.write((struct.pack("<QQQQ", 0, 0, 8, len(text)) + text).ljust(512, b"\0"))
    f.seek(16)
    f.write(struct.pack("<Q", n + 1))
END
expect 1 aim-coordinator --home "$HERE" --once
says 'changed outside AIM'
expect 4 import "$T/log1"
says 'give the logs from log 0 on'
expect 4 import "$T/log1" "$T/log0"
says 'is log 0, but after'
expect 4 aim-logwrites import --home "$HERE" --volume "$T/other.img" "$T/log0"
says 'nothing is captured'
expect 0 import --dry-run "$T/log0" "$T/log1"
says 'would be imported'
expect 0 import "$T/log0" "$T/log1"
says 'imported [0-9]* entries'
expect 0 import "$T/log0" "$T/log1"
says 'imported already'
once "$HERE"
for file in "$(stream_of disk)"/*.aim; do
	aimdump "$file"
done >"$T/shown"
turn
mirrored_disk
for op in write zero discard flush before_the_upgrade; do
	grep -q "$op" "$T/shown" || fail "no $op in the stream"
done

say "killed at any call, it goes on"
# In the middle of an entry: tests/check_import.c.
n=0
for call in pread64:4 renameat:1 set_robust_list:3 set_robust_list:4 \
	renameat:2; do
	n=$((n + 1))
	prepare "$T/log$n"
	logged "$T/disk.img" "$T/log$n" unmap
	rc=0
	strace -qq -o /dev/null -e \
		"inject=${call%:*}:signal=KILL:when=${call#*:}" \
		aim-logwrites import --home "$HERE" --volume "$T/disk.img" \
		"$T/log$n" >"$T/killed" 2>&1 || rc=$?
	[ $rc -eq 137 ] || fail "not killed at $call: status $rc"
	if [ "$call" = renameat:2 ]; then # the last step
		is here disk 'g["logwrites"]["state"]' stopped ||
			fail "status does not tell of a half-done import"
		expect 0 here status disk
		says 'the import of a write log has stopped before entry'
		says "next: aim-logwrites import --home $HERE --volume"
		expect 4 aim-logwrites prepare --home "$HERE" \
			--volume "$T/disk.img" "$T/other.log"
		says 'import it to its end first'
	fi
	# What is there so far; if nothing, the disk was "changed outside AIM".
	[ $n -lt 3 ] || aim-coordinator --home "$HERE" --once >"$T/turn" 2>&1
	expect 0 import "$T/log$n"
	says 'imported'
	turn
	mirrored_disk
done

is here disk 'g["logwrites"]["state"]' 'done' || fail "it is not done"

say "what the disk has otherwise is read from it"
prepare "$T/ignored"
logged "$T/disk.img" "$T/ignored" ignore
printf 'write -P 1 1M 64k\nflush\n' | quietly qemu-io --image-opts \
	"driver=blklogwrites,log-append=on,file.driver=file,\
file.filename=$T/disk.img,log.driver=file,log.filename=$T/ignored"
printf 'failed' | dd of="$T/disk.img" bs=1 seek=1058000 conv=notrunc status=none
expect 0 import "$T/ignored"
says 'has not zeroed'
says 'are not as the log has them'
turn
mirrored_disk

say "a log that was not closed is refused"
prepare "$T/open"
logged "$T/disk.img" "$T/open" unmap
# count N: what the superblock of $T/open says, plus N
count() {
	python3 - "$T/open" "$1" <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(16)
    n = struct.unpack("<Q", f.read(8))[0] + int(sys.argv[2])
    f.seek(16)
    f.write(struct.pack("<Q", n))
END
}
count -2
expect 4 import "$T/open"
says 'goes on after the entries that it counts'
count 2
expect 0 import "$T/open"
turn
mirrored_disk

say "what does not belong is refused"
expect 4 aim-logwrites prepare --home "$HERE" --volume "$T/disk.img" \
	"$T/disk.mir"
says 'it is not overwritten'
cp "$T/disk.img" "$T/foreign"
: >"$T/foreign.log"
logged "$T/foreign" "$T/foreign.log" unmap off
expect 4 import "$T/foreign.log"
says 'does not begin with a mark'
expect 4 import --unmarked "$T/foreign.log"
says 'it is the log of another disk'
prepare "$T/late"
captured disk sleep 100 &
program=$!
refused() {
	! import --dry-run "$T/late" >"$T/said" 2>&1 &&
		grep -q 'programs are capturing' "$T/said"
}
within 10 refused || fail "imported while a program captures"
slay $program
wait $program 2>/dev/null
logged "$T/disk.img" "$T/late" unmap
truncate -s 1000 "$T/late"
expect 1 import "$T/late"
quietly here base disk
expect 0 aim-coordinator --home "$HERE" --once
expect 4 import "$T/late"
turn
mirrored_disk
pass
