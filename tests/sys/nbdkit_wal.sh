#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With commit=wal every flush that was answered survives a power loss.
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed and file
# systems mounted.
if [ -z "${AIM_UNSHARED:-}" ] && [ "$(id -u)" -eq 0 ]; then
	AIM_UNSHARED=1 exec unshare --mount --propagation unchanged \
		bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need nbdinfo python3 losetup mkfs.ext4 mkfs.xfs strace
# shellcheck source=tests/nbd.sh
. "$TOP/tests/nbd.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
is_root || skip "needs root: file systems are mounted and shut down"
mount --make-private /proc || skip "needs a mount namespace"
RANDOM=${AIM_SEED:-$$}
say "AIM_SEED=${AIM_SEED:-$$}"
stamps() { /usr/bin/python3 "$TOP/tests/sys/nbd_stamps.py" "$@"; }
PARTS=(here disks)
LOST=0 # rounds in which the disk alone would not have been enough

boot() {
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
}
at_end 'while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done'

mount_part() {
	local loop=LOOP_$1
	mount "${!loop}" "$T/$1" || fail "mount $1"
	at_end "umount -l $T/$1 2>/dev/null"
}
umount_part() { within 10 umount "$T/$1" 2>/dev/null || fail "umount $1"; }

for part in "${PARTS[@]}"; do
	mkdir -p "$T/$part"
	truncate -s 320M "$T/$part.fs"
	loop=$(losetup --find --show "$T/$part.fs" 2>/dev/null) ||
		skip "needs loop devices"
	printf -v "LOOP_$part" %s "$loop"
	at_end "losetup -d $loop"
done

begin_writer() {
	rm -f "$T/log"
	cp "$DISK" "$T/before" || fail "cp"
	FIRST=$NEXT
	stamps write "$URI" "$FIRST" "$T/log" 2>>"$T/writer.log" &
	WRITER=$!
	within 20 test -s "$T/log" || fail "the writer does not begin"
}

# lose_power MS [OPTION...]: in MS milliseconds, or as `power` is told.
lose_power() {
	local ms=$1 part
	shift
	"$BUILD/tests/sys/power" -t "$ms" "$@" -p "$(coordinator "$HERE")" \
		-p "$NBDKIT" "$T/here" "$T/disks" >"$T/power.out" || fail "power"
	murder "$HERE"
	slay "$NBDKIT"
	wait "$NBDKIT" 2>/dev/null
	# shellcheck disable=SC2086 # a list of numbers
	gone $SLAIN
	[ -z "$WRITER" ] || wait "$WRITER" || fail "the writer: status $?"
	WRITER=
	for part in "${PARTS[@]}"; do
		umount_part "$part"
		mount_part "$part"
	done
	boot
	rm -f "$HERE/state/coordinator.sock"
}

durable() { stamps durable "$T/before" "$DISK" "$FIRST" "$T/log"; }

is_refused() {
	expect "$1" captured g dd if=/dev/zero of="$DISK" bs=4k count=1 \
		conv=notrunc status=none
	says "$2"
}

# recovered: the disk has been redone; all goes on.
recovered() {
	must durable
	settled g
	same "$DISK" "$MIRROR" "the mirror"
	is here g 'g["epoch"]' $((EPOCH + 1)) || fail "the epoch"
	EPOCH=$((EPOCH + 1))
	NEXT=$((FIRST + 10000000))
}

lost() {
	durable >"$T/quietly" 2>&1 || LOST=$((LOST + 1))
	say "without the log: $(tail -n 1 "$T/quietly")"
}

round() {
	begin_writer
	lose_power $((RANDOM % 900 + 100))
	lost
	# What the mirror has is of before, and a prefix.
	stop "$THERE"
	once "$THERE"
	must stamps prefix "$T/before" "$MIRROR" "$FIRST"
	start "$THERE"

	is_refused 125 'redone from its log first'
	start "$HERE"
	within 10 waits || fail "the coordinator does not say what it waits for"
	is here g 'g["epoch"]' "$EPOCH" || fail "an epoch before the redo"
	serve_disk g "$DISK" "$@"
	recovered
}
waits() { [[ $(ask here g 'g["reason"]') == *redone* ]]; }

# killed_redo: the redo is killed at some of its writes, and the power is lost
# once more.
killed_redo() {
	local n
	begin_writer
	lose_power $((RANDOM % 300 + 300))
	lost
	for n in 1 $((RANDOM % 30 + 2)) 60; do
		strace -f -qq -o "$T/strace" -e trace=pwrite64 \
			-e inject=pwrite64:signal=KILL:when=$n \
			nbdkit -f -U "$SOCKET" --filter="$FILTER" file "$DISK" \
			group=g home="$HERE" commit=wal wal-size=8M \
			>>"$T/nbdkit.log" 2>&1 && fail "the redo was not killed"
		is_refused 125 'redone from its log first'
	done
	umount_part disks
	mount_part disks
	boot
	is_refused 125 'redone from its log first'
	start "$HERE"
	serve_disk g "$DISK" commit=wal wal-size=8M
	recovered
}

# block_device: one that no mirror has yet, all kinds of requests, and a disk
# that kept nothing of them.
block_device() {
	local device
	truncate -s 16M "$T/block.raw"
	device=$(losetup --find --show "$T/block.raw") || fail "losetup"
	at_end "free_loop '$device'"
	quietly here volume add block "$device" --group b
	serve_disk b "$device" commit=wal
	dd if=/dev/urandom of="$T/random" bs=1M count=16 status=none
	must /usr/bin/python3 - "$URI" "$RANDOM" "$T/random" "$device" \
		"$T/old" <<'END'
import nbd, random, shutil, sys

h = nbd.NBD()
h.connect_uri(sys.argv[1])
rng = random.Random(sys.argv[2])
h.pwrite(open(sys.argv[3], "rb").read(3 << 20), 0)
h.flush()
shutil.copyfile(sys.argv[4], sys.argv[5])
for i in range(300):
    n = rng.randrange(1, 40) * 512
    off = rng.randrange((4 << 20) // 512) * 512
    kind = rng.randrange(8)
    if kind == 0:
        h.trim(n, off)
    elif kind == 1:
        h.zero(n, off)
    elif kind == 2:
        h.zero(n, off, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
    else:
        h.pwrite(rng.randbytes(n), off)
    if i % 10 == 9:
        h.flush()
END
	cp "$device" "$T/want" || fail "cp"
	kill_disk
	dd if="$T/old" of="$device" bs=1M conv=notrunc,fsync status=none
	cmp -s "$device" "$T/want" && fail "nothing was lost"
	boot
	serve_disk b "$device"
	same "$T/want" "$device" "what was redone"
	stop_disk
	must losetup -d "$device"
}

buffer() { is here p 'g["buffer"]' "$1"; }
leaves() { ! buffer passthrough; }
is_back() {
	buffer active && here wait p --applied --timeout 1 >"$T/wait" 2>&1
}
answered() { [ "$(wc -l <"$T/log")" -gt "$1" ]; }

# killed WHAT...: nbdkit is killed at once, and what else; all goes on.
killed() {
	kill_disk
	"$@"
	wait "$WRITER" || fail "the writer: status $?"
	WRITER=
	must durable
	NEXT=$((FIRST + 10000000))
	serve_disk p "$DISK" commit=wal wal-size=8M
}
restart() {
	murder "$1"
	start "$1"
}

# passing: design 9.11. The spool is full, writes pass, flushes still wait for
# the log; each in turn dies while it begins, lasts and ends.
passing() {
	DISK=$T/disks/full.img MIRROR=$T/full.mir
	truncate -s 16M "$DISK"
	quietly here volume add full "$DISK" --group p --spool-limit 4M
	VOLUMES+=("p:full")
	pair p file
	here base p --wait || fail "base: status $?"
	serve_disk p "$DISK" commit=wal wal-size=8M
	stop "$THERE"

	say "the spool is full; nbdkit is killed"
	begin_writer
	within 30 buffer passthrough || fail "writes do not pass"
	killed :
	buffer passthrough || fail "after nbdkit was killed"
	say "writes pass; the coordinator is killed, too"
	begin_writer
	killed restart "$HERE"
	buffer passthrough || fail "after both were killed"
	begin_writer
	within 10 answered "$(wc -l <"$T/log")" || fail "flushes are not answered"
	say "the power is lost"
	lose_power $((RANDOM % 300 + 100))
	lost
	OUT=$(captured p dd if=/dev/zero of="$DISK" bs=4k count=1 \
		conv=notrunc status=none 2>&1) && fail "not refused"
	says 'redone from its log first'
	start "$HERE"
	serve_disk p "$DISK" commit=wal wal-size=8M
	must durable
	NEXT=$((FIRST + 10000000))

	say "there is room; both are killed"
	begin_writer
	within 60 buffer passthrough || fail "writes do not pass again"
	start "$THERE"
	within 60 leaves || fail "it stays as it is"
	killed restart "$HERE"
	within 60 is_back || {
		here status
		there status
		fail "it does not recover"
	}
	begin_writer
	within 10 answered 8 || fail "flushes are not answered in the end"
	killed :
	settled p
	same "$DISK" "$MIRROR" "the mirror"
	stop_disk
}

filesystem() {
	local fs=$1 part
	for part in "${PARTS[@]}"; do
		quietly mkfs."$fs" -q -"$([ "$fs" = xfs ] && echo f || echo F)" \
			"$T/$part.fs"
		mount_part "$part"
	done
	DISK=$T/disks/disk.img MIRROR=$T/disk.mir
	rm -rf "$THERE" "$T/landing" "$T"/*.mir
	sites
	truncate -s 16M "$DISK"
	quietly here volume add disk "$DISK" --group g
	VOLUMES=("g:disk")
	pair g file
	both
	here base g --wait || fail "base: status $?"
	serve_disk g "$DISK" commit=wal wal-size=8M
	EPOCH=1 NEXT=1 WRITER=

	round commit=wal wal-size=8M
	round commit=local
	stop_disk
	serve_disk g "$DISK" commit=wal wal-size=8M
	killed_redo
	[ -z "$LONG" ] || for ((i = 0; i < 10; i++)); do
		round commit=wal wal-size=8M
	done

	say "others meanwhile, and after nbdkit alone was killed"
	is_refused 1 'has it for itself'
	expect 1 nbdkit -f -U - --filter="$FILTER" file "$DISK" group=g \
		home="$HERE" --run true
	says 'another nbdkit serves'
	begin_writer
	sleep 0.3
	kill_disk
	wait "$WRITER" || fail "the writer: status $?"
	must durable
	must captured g dd if=/dev/urandom of="$DISK" bs=4k count=1 \
		conv=notrunc status=none
	settled g
	same "$DISK" "$MIRROR" "the mirror"
	passing
	stop "$HERE"
	stop "$THERE"

	say "a block device"
	block_device
	for part in "${PARTS[@]}"; do
		umount_part "$part"
	done
}

filesystem ext4
[ -z "$LONG" ] || filesystem xfs
[ $LOST -gt 0 ] || fail "no power was lost: the disk always had everything"
pass
