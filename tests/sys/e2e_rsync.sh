#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One mirror behind an rsync daemon, one that pulls by rsync over SSH.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/rsync.sh
. "$TOP/tests/rsync.sh"
need rsync rrsync sshd ssh-keygen setpriv python3

WRITER=$TOP/tests/sys/writer.py
sites
volume disk 16M
volume far 8M
mkdir -p "$T/hub/incoming"
! is_root || chown nobody "$T/hub/incoming"
rsync_sshd_start "$T/rsync-sshd" "$T/hub" || fail "no SSH server"
ln -sf rsync-sshd/sshd.log "$T/rsync-sshd.log"
rsyncd_start "$T/rsyncd" "$T/landing" || fail "no rsync daemon"
ln -sf rsyncd/rsyncd.log "$T/rsyncd.log"

for group in disk far; do
	here group export $group >"$T/$group.pairing" 2>/dev/null ||
		fail "group export $group"
done
PULL=rsync+ssh://$RSYNC_USER@127.0.0.1:$RSYNC_SSHD_PORT/
HOW=(--key "$RSYNC_HUB_KEY" --known-hosts "$RSYNC_KNOWN_HOSTS")
quietly there mirror add disk --pairing "$T/disk.pairing" --create \
	--incoming "$T/landing/incoming" --onto "disk=$T/disk.mir"
quietly there mirror add far --pairing "$T/far.pairing" --create \
	--pull "$PULL" --onto "far=$T/far.mir" "${HOW[@]}"
for group in disk far; do
	there mirror export $group >"$T/$group.mirror" 2>/dev/null ||
		fail "mirror export $group"
done
rsync_may_write "$T"/landing/incoming/*/ || fail "rights"

say "a daemon shows all to everybody: that is said, and what it needs"
URL=rsync://uploader@127.0.0.1:$RSYNCD_PORT/aim
expect 4 here destination add there --group disk --url "$URL" \
	--pairing "$T/disk.mirror"
says '--credentials'
expect 0 here destination add there --group disk --url "$URL" \
	--ack-url "$URL-ack" --pairing "$T/disk.mirror" \
	--credentials "$RSYNCD_PASSWORD"
says 'warning: whoever is on the way'
quietly here destination add there --group far --url "$PULL" --hub \
	--pairing "$T/far.mirror" "${HOW[@]}"

say "both get their base and what is written after it"
both
must here base disk
must here base far --wait --timeout 60
must captured disk python3 "$WRITER" --count 300 "$T/disk.img"
must captured far python3 "$WRITER" --count 300 --seed 2 "$T/far.img"
settled disk
settled far
mirrored
expect 0 here destination test there --group disk
says 'acknowledgement: read in'

say "both servers die and come back"
# shellcheck disable=SC2046 # a list of numbers
kill -9 $(family "$RSYNCD_PID") $(family "$RSYNC_SSHD_PID")
wait "$RSYNCD_PID" "$RSYNC_SSHD_PID" 2>/dev/null
must captured disk python3 "$WRITER" --count 300 --seed 3 "$T/disk.img"
must captured far python3 "$WRITER" --count 300 --seed 4 "$T/far.img"
expect 3 here wait disk --timeout 1
# shellcheck disable=SC2034 # for those who start it
RSYNCD_FIXED_PORT=$RSYNCD_PORT
rsyncd_start "$T/rsyncd" "$T/landing" || fail "no rsync daemon"
# shellcheck disable=SC2034
RSYNCD_FIXED_PORT=$RSYNC_SSHD_PORT
rsync_sshd_start "$T/rsync-sshd" "$T/hub" || fail "no SSH server"
settled disk
settled far
mirrored
is_clear() {
	! find "$T/hub/incoming" -name '[0-9]*.aim' | grep -q .
}
within 30 is_clear || fail "files are left at the hub"
stop "$HERE"
stop "$THERE"
[ -z "$(find "$HERE/stage" "$THERE/stage" -name '.aim-scratch.*')" ] ||
	fail "private folders are left"
pass
