#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a guest: a live log of dm-log-writes is followed from device to device.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need mkfs.ext4 dmsetup
# shellcheck source=tests/guest.sh
. "$TOP/tests/guest.sh"
guest_kernel

# files for the guest: PROGRAM with its libraries; a module
program() {
	local file
	for file in $(ldd "$1" | grep -oE '/[^ ]+'); do
		mkdir -p "$T/initrd$(dirname "$file")"
		[ -e "$T/initrd$file" ] || cp -L "$file" "$T/initrd$file"
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

say "a guest with AIM in it"
mkdir -p "$T/initrd"/{bin,mod,etc,tmp}
for name in dmsetup aim-manager aim-coordinator aim-logwrites; do
	program "$(command -v $name)"
done
for m in crc32c-intel dm-mod dm-log-writes; do module $m; done
echo 0123456789abcdef0123456789abcdef >"$T/initrd/etc/machine-id"
echo 'root:x:0:0:root:/:/bin/sh' >"$T/initrd/etc/passwd"
cat >"$T/initrd/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
. /modules
. /more
n=0
until [ -b /dev/vdd ] || [ $n -gt 100 ]; do n=$((n + 1)); sleep 0.1; done
mkdir /h /lw
mount -t ext4 /dev/vdd /h || echo "guest: no home"
mkdir /h/in
at() { echo "guest: $* after $(cut -d. -f1 /proc/uptime) s"; }
try() { "$@" >/h/out 2>&1 || { echo "guest: $? from $*"; cat /h/out; }; }
here="aim-manager --home /h/here"
there="aim-manager --home /h/there"
once() {
	for site; do try aim-coordinator --home /h/$site --once; done
}
export AIM_HOME=/h/here
try $here init --site here
try $there init --site there
try $here volume add disk /dev/vda
$here group export disk >/h/pairing 2>/dev/null
try $there mirror add disk --pairing /h/pairing --incoming /h/in --create \
	--onto disk=/h/disk.mir
$there mirror export disk >/h/mirror 2>/dev/null
try $here destination add there --group disk --url file:///h/in \
	--pairing /h/mirror
try $here base disk
once here there here
cmp /dev/vda /h/disk.mir || echo "guest: no base"

at base
manage="aim-manager logwrites"
refused() { "$@" 2>&1; [ $? -eq 4 ] || echo "guest: not refused: $*"; }
logs="--log /dev/vdb --log /dev/vdc"
$manage attach disk --device lw $logs --dry-run
$manage attach disk --device lw $logs --dry-run --json
dmsetup info lw >/dev/null 2>&1 && echo "guest: no dry run"
refused $manage attach disk --device lw --log /dev/vdb --log /dev/vda
refused $manage attach disk --device lw --log /dev/vdb --log /dev/vdb
refused $manage attach disk --device lw --log /dev/vdd
refused $manage attach disk --device ../x --log /dev/vdb
refused $manage attach disk --device lw --log /h/pairing
try $manage attach disk --device lw $logs
refused $manage attach disk --device other --log /dev/vdc
follow() {
	aim-logwrites follow --volume /dev/vda --device lw --interval 300 \
		/dev/vdb /dev/vdc 2>&1 &
	follower=$!
}
follow
mount -t ext4 -o discard /dev/mapper/lw /lw || echo "guest: no mount"
used() { dmsetup status lw | cut -d' ' -f5; }
# The log that is written to is the one that is followed, and far from full.
steady() {
	now=$(dmsetup table lw | cut -d' ' -f5)
	number=$($manage list | sed -n 2p | tr -s ' ' | cut -d' ' -f4)
	[ "${now#*:}" -eq $((16 + 16 * (number % 2))) ] &&
		[ "$(used)" -le 7000 ]
}
# As a follower that is killed right after it has changed the log: no mark.
change() {
	next=/dev/vdb
	[ $((number % 2)) -eq 1 ] || next=/dev/vdc
	dd if=/dev/zero of=$next bs=64k count=1 conv=notrunc,fsync 2>/dev/null
	try dmsetup load lw --table "0 32768 log-writes /dev/vda $next"
	try dmsetup resume lw
}
i=0
while [ $i -lt 30 ]; do
	# It must not be full before the follower has changed it.
	n=0
	until [ "$(used)" -le 7800 ] || [ $n -gt 300 ]; do
		n=$((n + 1))
		sleep 0.1
	done
	dd if=/dev/urandom of=/lw/$((i % 12)) bs=64k count=4 2>/dev/null
	sync
	if [ $i -eq 15 ]; then
		n=0
		until steady || [ $n -gt 300 ]; do
			n=$((n + 1))
			[ "$(used)" -gt 7800 ] ||
				dd if=/dev/zero of=/lw/more bs=16k count=1 \
					conv=fsync 2>/dev/null
			sleep 0.1
		done
		kill -9 $follower
		wait $follower
		if steady; then
			change
			echo "guest: changed without a mark"
		fi
		follow
	fi
	[ $((i % 15)) -ne 14 ] || once here there
	i=$((i + 1))
done
umount /lw
$manage detach --device lw --dry-run
try $manage detach --device lw
wait $follower || echo "guest: the follower ended with $?"

at detached
# The last one is finished; the other is not next.
for log in /dev/vdb /dev/vdc; do
	aim-logwrites import --volume /dev/vda $log && echo "guest: finished"
done
once here there here
cmp /dev/vda /h/disk.mir && echo "guest: mirrored"

# A log that is full.
dd if=/dev/zero of=/h/small bs=1k count=512 2>/dev/null
try $manage attach disk --device lw --log /dev/vde
aim-logwrites follow --volume /dev/vda --device lw --interval 100 /dev/vde \
	>/h/full 2>&1 &
follower=$!
n=0
until grep -q following /h/full || [ $n -gt 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
dd if=/dev/urandom of=/dev/mapper/lw bs=64k count=40 conv=fsync 2>/dev/null
wait $follower
echo "guest: full, status $?"
cat /h/full
$here status disk
try $manage detach --device lw
once here here there here
cmp /dev/vda /h/disk.mir && echo "guest: recovered"
$here status disk

at recovered
# Changed by hand under load, and imported at the end.
try $manage attach disk --device lw --log /dev/vdb
dd if=/dev/urandom of=/dev/mapper/lw bs=16k count=60 conv=fsync 2>/dev/null &
$manage rotate disk --device lw --log /dev/vdc --dry-run
try $manage rotate disk --device lw --log /dev/vdc
at changed
wait $!
at written
dd if=/dev/urandom of=/dev/mapper/lw bs=16k seek=70 count=9 conv=fsync \
	2>/dev/null
try $manage detach --device lw
aim-logwrites import --volume /dev/vda /dev/vdb /dev/vdc &&
	echo "guest: rotated"
once here there here
cmp /dev/vda /h/disk.mir && echo "guest: mirrored again"
$manage list
umount /h
echo "guest: done"
poweroff -f
END
chmod 755 "$T/initrd/init"
guest_initrd "$T/initrd" "$T/initrd.gz"

say "followed"
truncate -s 16M "$T/disk.img"
quietly mkfs.ext4 -qF "$T/disk.img"
truncate -s 5M "$T/a" "$T/b"
# A stale superblock and what follows it, of a session that was never ours.
{
	printf 'rhswfsj\0\1\0\0\0\0\0\0\0\62\0\0\0\0\0\0\0\0\2\0\0'
	head -c 1M /dev/urandom
} | dd of="$T/a" conv=notrunc status=none
truncate -s 1M "$T/small"
truncate -s 256M "$T/home"
quietly mkfs.ext4 -qF "$T/home"
drives=()
n=0
for file in disk.img a b home small; do
	drives+=(-drive "if=none,id=d$n,format=raw,cache=unsafe,discard=unmap,\
file=$T/$file" -device "virtio-blk-pci,drive=d$n")
	n=$((n + 1))
done
guest_run 240 "$T/initrd.gz" "" "${drives[@]}" ||
	fail "the guest ended with status $?"
tr -d '\r' <"$T/guest.log" >"$T/told"
for line in 'done' mirrored finished recovered 'full, status 1' rotated \
	'changed without a mark' \
	'mirrored again'; do
	grep -q "^guest: $line" "$T/told" || {
		cat "$T/told"
		fail "the guest does not say \"$line\""
	}
done
grep -E 'guest: ([0-9]+ from|no |not )' "$T/told" && fail "something went wrong"
[ "$(grep -c 'following /dev/vd., log' "$T/told")" -ge 2 ] ||
	fail "the log was hardly ever changed"
for text in "dmsetup create lw --table '0 32768 log-writes /dev/vda /dev/vdb'" \
	'dd if=/dev/zero of=/dev/vdb bs=65536' 'dmsetup message lw 0 mark aim:' \
	'"commands":\[\["dd",' 'dmsetup remove --retry lw' 'is the disk itself' \
	'is given twice' 'is in use' 'is no name for' 'is no block device' \
	"dmsetup load lw --table '0 32768 log-writes /dev/vda /dev/vdc'" \
	'cannot be followed any further (the log was full)' \
	'last write log has a gap (the log was full)'; do
	grep -q -e "$text" "$T/told" || {
		cat "$T/told"
		fail "nowhere: $text"
	}
done
pass
