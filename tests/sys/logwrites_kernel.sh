#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What dm-log-writes logs in a guest's kernel reaches the mirror.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need mkfs.ext4 dmsetup e2fsck
# shellcheck source=tests/guest.sh
. "$TOP/tests/guest.sh"
guest_kernel

# files for the guest: PROGRAM with its libraries; a module
program() {
	local file
	for file in $(ldd "$1" | grep -oE '/[^ ]+'); do
		mkdir -p "$T/initrd$(dirname "$file")"
		cp -L "$file" "$T/initrd$file"
	done
	cp -L "$1" "$T/initrd/bin/"
}
module() {
	local file
	file=$(find "$GUEST_MODULES" -name "$1.ko*" | head -n 1)
	case $file in
	'') return ;; # built in
	*.xz) xz -dc "$file" >"$T/initrd/mod/$1.ko" ;;
	*) cp "$file" "$T/initrd/mod/$1.ko" ;;
	esac
	echo "insmod /mod/$1.ko" >>"$T/initrd/more"
}

say "a guest with dm-log-writes"
mkdir -p "$T/initrd/bin" "$T/initrd/mod"
program "$(command -v dmsetup)"
for m in crc32c-intel dm-mod dm-log-writes; do module $m; done
cat >"$T/initrd/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
. /modules
. /more
n=0
until [ -b /dev/vdg ] || [ $n -gt 100 ]; do n=$((n + 1)); sleep 0.1; done
dm() { dmsetup --noudevrules --noudevsync "$@" || echo "guest: dmsetup $*"; }
# table NAME DISK LOG
table() { echo "0 $(cat /sys/block/$1/size) log-writes /dev/$1 /dev/$2"; }
mark() { grep -o "$1=[^ ]*" /proc/cmdline | cut -d= -f2; }
# make NAME DISK LOG MARK
make() {
	dm create "$1" --table "$(table "$2" "$3")"
	dm message "$1" 0 mark "$(mark "$4")"
	dm mknodes >/dev/null 2>&1
	mkdir -p "/$1"
}
churn() {
	i=0
	while [ $i -lt $2 ]; do
		dd if=/dev/urandom of=$1/$i bs=16k count=$((i % 7 + 1)) 2>/dev/null
		[ $((i % 5)) -ne 0 ] || sync
		[ $((i % 6)) -ne 5 ] || rm $1/$((i - 3))
		i=$((i + 1))
	done
}

make lw vda vdb mark0
mount -t ext4 -o discard /dev/mapper/lw /lw || echo "guest: no mount"
churn /lw 40 &
sleep 0.3
dm load lw --table "$(table vda vdc)"
dm suspend lw
dm resume lw
dm message lw 0 mark "$(mark mark0 | sed 's/0$/1/')"
wait
dm message lw 0 mark after-the-change
fstrim /lw || echo "guest: no trim"
umount /lw
dm remove lw

make big vdd vde mark1
mount -t ext4 /dev/mapper/big /big || echo "guest: no mount of big"
churn /big 15
umount /big
dm remove big

make full vdf vdg mark2
dd if=/dev/urandom of=/dev/mapper/full bs=64k count=60 conv=fsync 2>/dev/null
dmsetup status full
dm remove full
echo "guest: done"
poweroff -f
END
chmod 755 "$T/initrd/init"
guest_initrd "$T/initrd" "$T/initrd.gz"

say "three disks with a base"
sites
for name in disk big full; do
	volume $name 16M
	pair $name
done
quietly mkfs.ext4 -qF "$T/disk.img"
quietly mkfs.ext4 -qF -b 4096 "$T/big.img"
for name in disk big full; do quietly here base $name; done
once "$HERE" "$THERE" "$HERE"
mirrored
n=0
append=
for name in disk big full; do
	mark=$(aim-logwrites prepare --home "$HERE" --volume "$T/$name.img") ||
		fail "prepare: $?"
	append+=" mark$n=$mark"
	n=$((n + 1))
done
truncate -s 48M "$T/disk.wlog" "$T/disk.wlog1" "$T/big.wlog"
truncate -s 1M "$T/full.wlog"
# What an earlier session left must not be taken for ours.
head -c 1M /dev/urandom >>"$T/stale"
dd if="$T/stale" of="$T/disk.wlog1" bs=1M seek=2 conv=notrunc status=none

say "writes in the guest, the log changed under load"
disks=()
number=0
# disk FILE [OPTIONS]
disk() {
	disks+=(-drive "if=none,id=d$number,format=raw,cache=writeback,\
discard=unmap,file=$1" -device "virtio-blk-pci,drive=d$number${2:-}")
	number=$((number + 1))
}
disk "$T/disk.img"
disk "$T/disk.wlog"
disk "$T/disk.wlog1"
disk "$T/big.img" ,logical_block_size=4096,physical_block_size=4096
disk "$T/big.wlog" ,logical_block_size=4096,physical_block_size=4096
disk "$T/full.img"
disk "$T/full.wlog"
guest_run 120 "$T/initrd.gz" "$append" "${disks[@]}" ||
	fail "the guest ended with status $?"
grep -q 'guest: done' "$T/guest.log" || fail "the guest did not come to its end"
if grep 'guest: dmsetup\|guest: no' "$T/guest.log"; then
	fail "something went wrong in the guest"
fi
grep -q 'logging_disabled' "$T/guest.log" || fail "the small log was not full"
cmp -s "$T/disk.img" "$T/disk.mir" && fail "nothing was written"

say "imported"
import() {
	local name=$1
	shift
	aim-logwrites import --home "$HERE" --volume "$T/$name.img" "$@"
}
expect 4 import disk "$T/disk.wlog1"
says 'give the logs from log 0 on'
expect 0 import disk "$T/disk.wlog" "$T/disk.wlog1"
echo "$OUT"
expect 0 import big "$T/big.wlog"
expect 0 aim-logwrites dump "$T/big.wlog"
says 'sector 4096 bytes'
for log in "$T/disk.wlog" "$T/disk.wlog1"; do
	expect 0 aim-logwrites dump "$log"
	says ' write '
	says 'dm-log-writes-end'
done

say "a log that was full is refused, and the disk copied in"
expect 4 import full "$T/full.wlog"
says 'was not ended by dm-log-writes'
quietly here base full
once "$HERE"
for file in "$(stream_of disk)"/*.aim; do aimdump "$file"; done >"$T/shown"
grep -q after-the-change "$T/shown" || fail "the mark is no marker"
grep -q discard "$T/shown" || fail "no discard came"
once "$THERE" "$HERE"
mirrored
for name in disk big; do
	quietly e2fsck -fn "$T/$name.mir"
done
pass
