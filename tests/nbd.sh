# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nbd: nbdkit with our filter, and disks of the kernel on it, for the system
# tests; sourced after tests/sys/lib.sh.

FILTER=$BUILD/nbdkit-aim-filter.so
SOCKET=$T/nbd.sock
# shellcheck disable=SC2034 # for those who source this
URI="nbd+unix:///?socket=$SOCKET"
need nbdkit
[ -f "$FILTER" ] ||
	skip "the filter was not built: nbdkit-plugin-dev was not there"

answers() { nbdinfo --size "$URI" >"$T/nbdinfo" 2>&1; }

# serve_disk GROUP ARGUMENT...: nbdkit with the filter, the file plugin and
# these; its number is in $NBDKIT. Messages are in nbdkit.log.
serve_disk() {
	local group=$1
	shift
	rm -f "$SOCKET"
	nbdkit -f -U "$SOCKET" --filter="$FILTER" file "$@" group="$group" \
		home="$HERE" >>"$T/nbdkit.log" 2>&1 &
	NBDKIT=$!
	within 10 answers || {
		cat "$T/nbdinfo"
		fail "nbdkit does not answer"
	}
}

# stop_disk: asks nbdkit to end, which it must do well.
stop_disk() {
	local rc=0
	kill "$NBDKIT" || fail "nbdkit has ended"
	wait "$NBDKIT" || rc=$?
	[ $rc -eq 0 ] || fail "nbdkit ended with status $rc"
}

# kill_disk: SIGKILL.
kill_disk() {
	kill -9 "$NBDKIT"
	wait "$NBDKIT" 2>/dev/null
	gone "$NBDKIT"
}

# is_ours LOOP: it is on a file of this test; a free one is soon somebody's.
is_ours() { losetup -n -O BACK-FILE "$1" 2>/dev/null | grep -qF "$T/"; }
free_loop() { ! is_ours "$1" || losetup -d "$1"; }

# attach_disk: a loop device over nbdfuse over $SOCKET; its name is in $LOOP.
attach_disk() {
	mkdir -p "$T/fuse"
	nbdfuse "$T/fuse/disk" --unix "$SOCKET" >>"$T/nbdfuse.log" 2>&1 &
	NBDFUSE=$!
	at_end "fusermount3 -uz '$T/fuse' 2>/dev/null"
	within 10 test -f "$T/fuse/disk" || fail "nbdfuse does not start"
	LOOP=$(losetup --find --show --direct-io=on "$T/fuse/disk") ||
		fail "losetup"
	at_end "free_loop '$LOOP'"
}

is_detached() { ! is_ours "$LOOP"; }

# detach_disk: the way back.
detach_disk() {
	must losetup -d "$LOOP"
	# It goes when the last one who looks at it lets go.
	within 30 is_detached || fail "$LOOP stays"
	must fusermount3 -u "$T/fuse"
	wait "$NBDFUSE" || fail "nbdfuse ended with status $?"
}

# drop_disk: nbdkit is dead: the way back without its help.
drop_disk() {
	losetup -d "$LOOP" || fail "losetup -d $LOOP"
	within 30 is_detached || fail "$LOOP stays"
	fusermount3 -u "$T/fuse" 2>/dev/null || fusermount3 -uz "$T/fuse" ||
		fail "fusermount3 -uz $T/fuse"
	kill -9 "$NBDFUSE" 2>/dev/null
	wait "$NBDFUSE" 2>/dev/null
	gone "$NBDFUSE"
}

# shut_down DIR: the file system there forgets what it has not written.
shut_down() {
	python3 -c 'import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
# FS_IOC_SHUTDOWN, without flushing the log
fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2))' "$1"
}

# can_mount: this machine gives us loop devices and FUSE.
can_mount() {
	is_root || return 1
	[ -e /dev/fuse ] || mknod /dev/fuse c 10 229 || return 1
	losetup --find >/dev/null 2>&1
}
