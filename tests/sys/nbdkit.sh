#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What NBD clients write through nbdkit and the filter aim is on the mirror.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdcopy nbdfuse qemu-io qemu-img fio fusermount3 strace
# shellcheck source=tests/nbd.sh
. "$TOP/tests/nbd.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
RANDOM=${AIM_SEED:-$$}
say "seed ${AIM_SEED:-$$}"

qio() { quietly qemu-io -f raw -d unmap "$@" "$URI"; }
# Into its own regions: overlapping writers, 4 connections, 8 in flight each.
overlap() {
	fio --name=overlap --ioengine=nbd --uri="$URI" --rw=randwrite \
		--bs=8k --blockalign=512 --offset="${1}M" --size=64k \
		--io_size="$2" --norandommap --randrepeat=0 --refill_buffers \
		--iodepth=8 --numjobs=4 --thread --group_reporting
}

sites
volume disk 64M vm
volume fs 320M vm
pair vm file

say "what is refused"
truncate -s 64M "$T/other.img"
refused() { expect 1 nbdkit -f -U - --filter="$FILTER" "$@" home="$HERE" --run true; }
refused file "$T/disk.img"
says 'which group'
refused file "$T/disk.img" group=nobody
says "no group 'nobody'"
refused file "$T/other.img" group=vm
says 'is no volume of group vm'
refused file "$T/disk.img" group=vm commit=wal wal-size=1M
says 'a log of changes has 8 MiB'
refused file "$T/disk.img" group=vm commit=later
says "it is 'local'"
refused file "$T/disk.img" group=vm volume="$T/fs.img"
says 'another volume'
refused memory 64M group=vm
says 'has 2 volumes'
# A disk of the right size and content which is another one.
# shellcheck disable=SC2016 # nbdkit has $uri
for wrong in "memory 64M volume=$T/disk.img" \
	"--filter=cow file $T/disk.img"; do
	# shellcheck disable=SC2086 # a list of words
	expect 1 nbdkit -f -U - --filter="$FILTER" $wrong group=vm \
		home="$HERE" --run 'nbdsh -u "$uri" \
		-c "h.pwrite(bytes(512), 0)" -c "h.pwrite(b\"x\" * 512, 0)"'
	says 'did not arrive in'
done
# shellcheck disable=SC2016
expect 1 nbdkit -f -U - --filter="$FILTER" memory 32M "volume=$T/disk.img" \
	group=vm home="$HERE" --run 'nbdinfo "$uri"'
says 'serves 33554432 bytes'

say "base, then what it offers"
both
dd if=/dev/urandom of="$T/disk.img" bs=1M count=3 seek=7 conv=notrunc \
	status=none
serve_disk vm "$T/disk.img"
qio -c 'write -P 1 1M 1M' # before the base it is passed on
here base vm --wait || fail "base: status $?"
nbdinfo --json "$URI" >"$T/info.json" || fail "nbdinfo"
for can in can_multi_conn can_fua can_flush can_trim can_zero; do
	grep -q "\"$can\": true" "$T/info.json" || fail "not: $can"
done
nbdinfo --map "$URI" | grep -q hole || fail "no extents"

say "requests of every kind"
qio -c 'write -P 2 0 64k' -c 'write -f -P 3 5000 4097' -c 'write -z 4k 12k' \
	-c 'write -z -u 32k 8k' -c 'discard 7M 1M' -c 'write -P 5 63M 1M' \
	-c 'writev -P 6 12M 1M 512 3M' -c flush
must /usr/bin/python3 "$TOP/tests/sys/nbd_writer.py" "$URI" 600 "$RANDOM"
nbdcopy "$T/disk.img" "$URI" --destination-is-zero &&
	must nbdcopy --requests=16 --connections=4 "$URI" "$T/copy"
same "$T/disk.img" "$T/copy" "what is read"
settled vm
mirrored

rounds=10
[ -z "$LONG" ] || rounds=100
say "overlapping writers on 4 connections, $rounds rounds"
for ((i = 0; i < rounds; i++)); do
	quietly overlap $((i % 60)) 4M
done
settled vm
mirrored

say "nbdkit is killed and goes on"
for ((i = 0; i < rounds / 2; i++)); do
	overlap $((30 + i % 20)) 10G >"$T/fio.out" 2>&1 &
	fio=$!
	sleep "0.$((RANDOM % 5 + 1))"
	kill_disk
	wait $fio && fail "fio did not notice"
	serve_disk vm "$T/disk.img"
	qio -c "write -P $i $((30 + i % 20))M 32k"
done
settled vm
mirrored

say "commit=journal syncs the segments, commit=wal not the disk"
stop_disk
for commit in local journal wal; do
	rm -f "$SOCKET"
	strace -f -qq -e trace=msync,fdatasync -o "$T/$commit.trace" nbdkit -f \
		-U "$SOCKET" --filter="$FILTER" file "$T/disk.img" group=vm \
		home="$HERE" commit=$commit >>"$T/nbdkit.log" 2>&1 &
	strace=$!
	within 10 answers || fail "nbdkit does not answer under strace"
	writes=()
	for ((i = 0; i < 10; i++)); do
		writes+=(-c "write -f -P $i ${i}k 1k")
	done
	qio -c 'write -P 7 0 64k' -c flush "${writes[@]}" -c flush
	kill "$(pgrep -P $strace)"
	wait $strace || fail "nbdkit ended with status $?"
	syncs=$(grep -c 'MS_SYNC' "$T/$commit.trace")
	flushes=$(grep -c 'fdatasync' "$T/$commit.trace")
	say "commit=$commit: $syncs syncs, $flushes of the disk"
	case $commit in
	# Marks are made durable, too, a few.
	local) [ "$syncs" -le 5 ] || fail "local syncs the journal" ;;
	journal) [ "$syncs" -ge 10 ] || fail "journal does not sync it" ;;
	# At its beginning, its end, and for the heads of the log.
	wal)
		[ "$syncs" -le 7 ] || fail "wal syncs the journal"
		[ "$flushes" -le 7 ] || fail "wal flushes the disk"
		;;
	esac
done
settled vm
mirrored

say "in the background, and with programs that are captured otherwise"
rm -f "$SOCKET"
must nbdkit -P "$T/nbdkit.pid" -U "$SOCKET" --filter="$FILTER" \
	file "$T/disk.img" group=vm home="$HERE"
within 10 answers || fail "nbdkit in the background does not answer"
overlap 8 4M >"$T/fio.out" 2>&1 &
fio=$!
must captured vm python3 "$TOP/tests/sys/writer.py" --count 300 "$T/disk.img"
wait $fio || {
	cat "$T/fio.out"
	fail "fio: status $?"
}
NBDKIT=$(cat "$T/nbdkit.pid")
must kill "$NBDKIT"
gone "$NBDKIT"
settled vm
mirrored

say "a change of size is seen by the next connection"
serve_disk vm "$T/disk.img"
must captured vm truncate -s 65M "$T/disk.img"
[ "$(nbdinfo --size "$URI")" = 68157440 ] || fail "the new size is not seen"
qio -c 'write -P 9 64M 1M'
must captured vm truncate -s 64M "$T/disk.img"
settled vm
mirrored
truncate -s 66M "$T/disk.img" # behind AIM's back
expect 1 nbdinfo "$URI"
grep -q 'changed outside AIM' "$T/nbdkit.log" || fail "a changed size is served"
truncate -s 64M "$T/disk.img"
qio -c 'write -P 10 0 4k'
stop_disk
settled vm
mirrored

say "a volume is expanded under a connected client"
for commit in local wal; do
	serve_disk vm "$T/disk.img" commit=$commit
	must /usr/bin/python3 - "$URI" "$HERE" <<'END'
import nbd, subprocess, sys

MIB = 1 << 20


def connect():
    h = nbd.NBD()
    h.set_strict_mode(0)
    h.connect_uri(sys.argv[1])
    return h


old = connect()
size = old.get_size()
subprocess.check_call(["aim-manager", "--home", sys.argv[2], "volume",
                       "expand", "disk", str(size + 2 * MIB)])
new = connect()
assert new.get_size() == size + 2 * MIB, new.get_size()
new.pwrite(b"n" * MIB, size, nbd.CMD_FLAG_FUA)
# The old one goes on with the size that it was told.
assert old.get_size() == size
old.pwrite(b"o" * MIB, size - MIB)
old.flush()
try:
    old.pwrite(b"x" * 512, size)
    raise SystemExit("a write beyond what the client was told")
except nbd.Error as e:
    print("beyond:", e)
END
	stop_disk
	settled vm
	mirrored
done

say "a full spool is ENOSPC where the policy says so"
volume small 32M
here volume add tiny "$T/other.img" --spool-limit 8M --spool-policy fail \
	>"$T/quietly" 2>&1 || fail "volume add: $(cat "$T/quietly")"
VOLUMES=("tiny:tiny" "vm:disk" "vm:fs")
ln "$T/other.img" "$T/tiny.img"
pair tiny file
here base tiny --wait || fail "base: status $?"
settled tiny
stop "$THERE"
serve_disk tiny "$T/other.img"
expect 1 qemu-io -f raw -c 'write -P 1 0 16M' -c 'write -P 2 16M 16M' "$URI"
says 'No space left'
stop_disk
start "$THERE"
settled tiny
settled vm
mirrored

if ! can_mount; then
	[ "${CI:-}" != true ] || ! is_root || fail "no loop devices or no FUSE"
	say "no right to mount: file systems are not tried"
	stop "$HERE"
	stop "$THERE"
	pass
fi

say "a block device"
device=$(losetup --find --show "$T/copy") || fail "losetup"
at_end "free_loop '$device'"
quietly here volume add block "$device"
VOLUMES+=("block:block")
ln -s "$device" "$T/block.img"
pair block file
here base block --wait || fail "base: status $?"
serve_disk block "$device"
must /usr/bin/python3 "$TOP/tests/sys/nbd_writer.py" "$URI" 200 "$RANDOM" 512
qio -c 'write -P 11 0 1M' -c 'discard 1M 1M' -c 'write -z -u 5M 8k' -c flush
# The kernel zeroes whole sectors only; what it made of this is looked up.
expect 1 qemu-io -f raw -c 'write -z -u 5000 7777' "$URI"
says 'Invalid argument'
stop_disk
settled block
mirrored

serve_disk vm "$T/fs.img"
mkdir "$T/mnt"
at_end "umount -l '$T/mnt' 2>/dev/null"
for type in ext4 xfs btrfs; do
	say "$type on a loop device"
	attach_disk
	case $type in
	ext4) quietly mkfs.ext4 -qF "$LOOP" ;;
	*) quietly "mkfs.$type" -qf "$LOOP" ;;
	esac
	must mount -t $type -o discard "$LOOP" "$T/mnt"
	mkdir "$T/mnt/a" "$T/mnt/b"
	must cp -r "$TOP/docs" "$TOP/tests/sys" "$T/mnt/a"
	head -c 20000000 /dev/urandom >"$T/mnt/b/random"
	sync -f "$T/mnt/b"
	sum=$(sum_of "$T/mnt/b/random")
	rm -r "$T/mnt/a"
	mountpoint -q "$T/mnt" && must fstrim "$T/mnt"
	must umount "$T/mnt"
	detach_disk
	settled vm
	mirrored
	must mount -o loop,ro "$T/fs.mir" "$T/mnt"
	[ "$(sum_of "$T/mnt/b/random")" = "$sum" ] || fail "$type: the file"
	must umount "$T/mnt"
done

say "nbdkit is killed under a mounted ext4"
attach_disk
quietly mkfs.ext4 -qF "$LOOP"
must mount "$LOOP" "$T/mnt"
head -c 3000000 /dev/urandom >"$T/mnt/kept"
sync -f "$T/mnt"
sum=$(sum_of "$T/mnt/kept")
(while head -c 300000 /dev/urandom >"$T/mnt/$RANDOM"; do :; done) 2>/dev/null &
writer=$!
sleep 0.5
kill_disk
slay $writer
wait $writer 2>/dev/null
# shellcheck disable=SC2086 # a list of numbers
gone $SLAIN
must umount "$T/mnt"
drop_disk
serve_disk vm "$T/fs.img"
attach_disk
must mount "$LOOP" "$T/mnt"
[ "$(sum_of "$T/mnt/kept")" = "$sum" ] || fail "what was synced is lost"
must umount "$T/mnt"
detach_disk
stop_disk
settled vm
mirrored
is here vm 'g["state"]' streaming || fail "the group is not streaming"
stop "$HERE"
stop "$THERE"
pass
