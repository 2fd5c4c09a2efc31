#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A virtual machine boots from a captured disk, is killed, boots again: mirrored.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdcopy mkfs.ext4 e2fsck debugfs
# shellcheck source=tests/nbd.sh
. "$TOP/tests/nbd.sh"
# shellcheck source=tests/guest.sh
. "$TOP/tests/guest.sh"
guest_kernel

say "a system of busybox alone"
mkdir -p "$T/initrd" "$T/root"/{bin,sbin,proc,sys,dev,data}
cat >"$T/initrd/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
. /modules
n=0
until [ -b /dev/vda ] || [ $n -gt 100 ]; do n=$((n + 1)); sleep 0.1; done
mount -t ext4 -o discard /dev/vda /root || poweroff -f
exec switch_root /root /sbin/init
END
cat >"$T/root/sbin/init" <<'END'
#!/bin/busybox sh
PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
n=$(cat /boots)
[ "$n" -eq 0 ] || md5sum -c /sums || echo "guest: files are damaged"
n=$((n + 1))
echo $n >/boots
dd if=/dev/urandom of=/data/$n bs=64k count=40 2>/dev/null
md5sum /data/$n >>/sums
dd if=/dev/zero of=/data/gone bs=64k count=40 2>/dev/null
sync
rm /data/gone
sync
fstrim / || echo "guest: no trim"
echo "guest: boot $n"
while grep -q forever /proc/cmdline; do
	dd if=/dev/urandom of=/data/more bs=16k count=20 conv=fsync 2>/dev/null
done
mount -o remount,ro /
poweroff -f
END
chmod 755 "$T/initrd/init" "$T/root/sbin/init"
cp "$(command -v busybox)" "$T/root/bin/busybox"
ln -s busybox "$T/root/bin/sh"
for name in mount cat md5sum dd sync rm fstrim grep poweroff echo; do
	ln -s busybox "$T/root/bin/$name"
done
echo 0 >"$T/root/boots"
guest_initrd "$T/initrd" "$T/initrd.gz"
truncate -s 48M "$T/new.img"
quietly mkfs.ext4 -qF -d "$T/root" "$T/new.img"

sites
volume vm 48M
pair vm file
both
here base vm --wait || fail "base: status $?"
serve_disk vm "$T/vm.img" commit=journal
must nbdcopy "$T/new.img" "$URI"
same "$T/new.img" "$T/vm.img" "the disk"
drive="file=nbd:unix:$SOCKET,format=raw,if=none,id=d,discard=unmap"
DISK=(-drive "$drive" -device "virtio-blk-pci,drive=d")

# boots N: the guest has said that it came so far.
boots() { grep -q "guest: boot $1" "$T/guest.log"; }
fine() {
	! grep -E 'guest: (files|no)' "$T/guest.log" ||
		fail "see what the guest says"
}

say "it boots, writes, trims and ends"
guest_run 100 "$T/initrd.gz" once "${DISK[@]}" || fail "QEMU: status $?"
boots 1 || fail "the guest did not boot"
fine
settled vm
mirrored

say "it is killed while it writes, and nbdkit too"
guest_run 100 "$T/initrd.gz" forever "${DISK[@]}" &
guest=$!
within 60 boots 2 || fail "the guest did not boot again"
before=$(ask here vm 'g["captured"]')
writes() { [ "$(ask here vm 'g["captured"]')" -gt $((before + 20)) ]; }
within 30 writes || fail "the guest does not write"
kill_disk
slay $guest
wait $guest 2>/dev/null
# shellcheck disable=SC2086 # a list of numbers
gone $SLAIN
fine

say "it boots from what is left"
serve_disk vm "$T/vm.img"
guest_run 100 "$T/initrd.gz" once "${DISK[@]}" || fail "QEMU: status $?"
boots 3 || fail "the guest did not boot after that"
fine
stop_disk
settled vm
mirrored
quietly e2fsck -fn "$T/vm.mir"
[ "$(debugfs -R 'cat /boots' "$T/vm.mir" 2>/dev/null)" = 3 ] ||
	fail "the mirror has not seen three boots"
stop "$HERE"
stop "$THERE"
pass
