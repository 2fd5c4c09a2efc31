#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A protected block device is captured like a file, discards and zeroes too.
#
# Needs root and a loop device: what the driver sees is a block device.

# shellcheck disable=SC2016 # $V is for the commands to expand
# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root for a loop device"
command -v losetup >/dev/null || skip "needs losetup"
truncate -s 64M "$T/disk"
V=$(losetup --find --show "$T/disk" 2>/dev/null) || skip "no loop device"
trap 'umount "$T/m" 2>/dev/null; losetup -d "$V"; rm -rf "$T"' EXIT
bad=0 count=0

# run refused|captured COMMAND: then the mirror is as the device.
run() {
	local rc=0
	V=$V captured timeout 60 bash -c "$2" >"$T/out" 2>&1 </dev/null || rc=$?
	replay || fail "replay after: $2"
	cmp "$V" "$T/mirror" || {
		echo "FAIL: the mirror differs after: $2"
		bad=$((bad + 1))
	}
	if [ "$1" = captured ] && [ $rc -eq 0 ] &&
		! grep -q '^aim: ' "$T/out"; then
		:
	elif [ "$1" = refused ] && [ $rc -ne 0 ] &&
		grep -q '^aim: ' "$T/out"; then
		:
	else
		echo "FAIL: status $rc, not $1: $2"
		cat "$T/out"
		bad=$((bad + 1))
	fi
	count=$((count + 1))
}

AIM=$T/home
mkdir -p "$AIM/active"
head -c 3000000 /dev/urandom >"$T/src"
GROUP=$("$TOOL" create "$AIM" 0 "$V") || fail "no group"
truncate -s 64M "$T/mirror"
MIRRORS=("$T/mirror")
cd "$T" || fail "cd"
run captured 'dd if=src of=$V bs=64k'
run captured 'dd if=src of=$V bs=4k oflag=direct,dsync seek=100 count=50'
run captured 'dd if=src of=$V bs=1M conv=fsync seek=60; cat src | dd of=$V bs=777 seek=5'
run captured '! dd if=src of=$V bs=1M seek=62'
run captured 'printf "label: gpt\n,8M\n,,\n" | sfdisk -q --no-reread $V'
run captured 'blkdiscard -f -o 1M -l 1M $V'
run captured 'blkdiscard -f -z -o 4096 -l 512k $V'
run captured 'fallocate -p -o 8M -l 1M $V; fallocate -z -n -o 16M -l 1M $V; true'
run captured 'wipefs -aq $V'
run captured 'mkfs.ext4 -qF $V'
run captured 'e2fsck -fp $V'
run captured 'debugfs -w -R "write src x" $V'
run captured 'echo text >$V; seq 1000 >>$V; cp --reflink=never src $V'
run captured 'mkswap -f $V'
run captured 'python3 -c "
import os
fd = os.open(\"$V\", os.O_RDWR | os.O_APPEND)
os.write(fd, b\"x\" * 5000); os.pwrite(fd, b\"y\" * 5000, 1 << 20)
try: os.ftruncate(fd, 5)
except OSError: pass
os.fsync(fd)"'
run refused 'mkdir -p m; mount -t ext4 $V m'
run captured 'mkdir -p m; mkfs.ext4 -qF $V'
run refused 'mount -o ro -t ext4 $V m'
run captured 'mount -o ro,noload -t ext4 $V m && umount m'
run refused 'losetup --find --show $V'
run refused 'mkswap -f $V && swapon $V'

# The newer way to mount.
cat >fs.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	long fd = syscall(SYS_fsopen, "ext4", 0);
	if (fd < 0)
		return 77;
	return syscall(SYS_fsconfig, fd, 1, "source", argv[1], 0) == 0 ||
		errno != EBUSY ? 0 : argc;
}
END
cc -o fs fs.c || fail "no compiler"
rc=0
./fs /dev/null || rc=$?
[ $rc -eq 77 ] || run refused './fs $V'

# What is written to a partition would not be seen.
run captured 'printf "label: dos\n2048,8M\n" | sfdisk -q --no-reread $V'
losetup -d "$V"
V=$(losetup --find --show --partscan "$T/disk") || fail "losetup --partscan"
part=/sys/class/block/${V##*/}p1/dev
[ -e "$part" ] || addpart "$V" 1 2048 16384 2>/dev/null
if [ -e "$part" ]; then
	IFS=: read -r major minor <"$part"
	mknod "$T/part" b "$major" "$minor" || fail "mknod"
	rm -rf "$AIM"
	mkdir -p "$AIM/active"
	GROUP=$("$TOOL" create "$AIM" 0 "$V") || fail "no group"
	cp --sparse=always "$T/disk" "$T/mirror"
	run refused 'dd if=src of=part bs=64k conv=notrunc'
	run refused 'blkdiscard -f part'
	run captured 'dd if=part of=/dev/null bs=64k status=none'
	run captured 'dd if=src of=$V bs=64k seek=16 conv=notrunc'
fi
[ $bad -eq 0 ] || fail "$bad of $count runs"
echo "ok: $count runs on a block device"
