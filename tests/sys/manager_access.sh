#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever may write to the volumes may capture, without rights to the home.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need setpriv
is_root || skip "needs root, to become two other users"

# A build that others can read, wherever the tree is.
mkdir -p "$T/bin/manager"
cp "$BUILD/manager/aim-manager" "$T/bin/manager/"
cp "$BUILD/libaim-preload.so" "$T/bin/" || skip "needs the preload driver"
chmod 755 "$T/bin" "$T/bin/manager" "$T"/bin/*/* "$T"/bin/*.so

# as USER COMMAND...: with the Unix group "users" or with nothing.
as() {
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
}
as_member() {
	setpriv --reuid daemon --regid daemon --groups "$gid" "$@"
}
gid=$(getent group users | cut -d: -f3)
[ -n "$gid" ] || skip "needs a Unix group 'users'"
run=("$T/bin/manager/aim-manager" --home "$HERE" run disk --)

sites
truncate -s 4M "$T/disk.img"
chgrp "$gid" "$T/disk.img"
chmod 660 "$T/disk.img"
expect 4 here volume add disk "$T/disk.img" --access no-such-group-at-all
quietly here volume add disk "$T/disk.img" --access users
VOLUMES+=(disk:disk)
pair disk
quietly here base disk
once "$HERE" "$THERE" "$HERE"

say "a member of the group is captured"
must as_member "${run[@]}" dd if=/dev/urandom of="$T/disk.img" bs=64k \
	count=5 conv=notrunc status=none
once "$HERE" "$THERE" "$HERE"
expect 0 here wait disk --timeout 1
mirrored

say "others are not, and are told"
expect 125 as bin "${run[@]}" true
says '^aim: '
chmod 666 "$T/disk.img"
expect 125 as bin "${run[@]}" true

say "nobody but the owner sees what is kept"
expect 4 as_member "$T/bin/manager/aim-manager" --home "$HERE" status
for path in keys keys/site.key state sealed catalogue.db; do
	as_member test -r "$HERE/$path" && fail "others may read $path"
done
pass
