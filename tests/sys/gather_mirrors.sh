#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume is put together from two mirrors; one dies, then one moves meanwhile.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need sshd ssh-keygen python3

AFAR=$T/afar
FAR=$T/landing/far
afar() { aim-manager --home "$AFAR" "$@"; }
sites
quietly afar init --site afar
volume disk 300M
pair disk file
mkdir -p "$FAR/incoming"
quietly afar mirror add disk --pairing "$T/disk.pairing" --create \
	--incoming "$FAR/incoming" --onto "disk=$FAR/disk"
chmod 644 "$FAR/disk"
afar mirror export disk >"$T/disk.afar" 2>/dev/null || fail "mirror export"
quietly here destination add afar --group disk --pairing "$T/disk.afar" \
	--url "file://$FAR/incoming"
serve
both
start "$AFAR"
must captured disk python3 "$TOP/tests/sys/writer.py" --count 400 \
	"$T/disk.img"
quietly here base disk
settled disk
must there mirror pause disk --apply
must afar mirror pause disk --apply

# One is read here, the other by SFTP; acknowledgements both ways, too.
SFTP=sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/far
GATHER=(aim-manager gather --to "$T/out" --layout raid1
	--member there="$T/disk.mir" --pairing there="$T/disk.mirror"
	--ack there="$T/landing/incoming"
	--member afar="$SFTP/disk" --pairing afar="$T/disk.afar"
	--ack afar="$FAR/incoming"
	--key "$SSHD_HUB_KEY" --known-hosts "$SSHD_KNOWN_HOSTS")

# Makes both sites say where they are, more often than they would.
nudge() {
	there mirror pause disk --fetch && there mirror resume disk --fetch
	afar mirror pause disk --fetch && afar mirror resume disk --fetch
} >/dev/null
# begin: the reader, held once it reads.
begin() {
	: >"$T/sshd/sshd.log"
	rm -f "$T/out"
	"${GATHER[@]}" >"$T/gather.log" 2>&1 &
	READER=$!
	within 20 reads || fail "it does not begin"
	kill -STOP "$READER"
}
reads() { [ "$(grep -c Accepted "$T/sshd/sshd.log")" -ge 3 ]; }
# ends: it goes on to its end, and has the volume as it is now.
ends() {
	kill -CONT "$READER"
	while kill -0 "$READER" 2>/dev/null; do
		nudge || fail "nudge"
	done
	wait "$READER" || fail "status $? from gather"
	same "$T/disk.img" "$T/out"
	[ ! -e "$T/out.gather" ] || fail "the list of ranges is left"
}

say "one dies while it is read"
begin
unserve
ends
grep -q '^aim-manager: afar: ' "$T/gather.log" ||
	say "it had given all by then"

say "both move while they are read"
SSHD_FIXED_PORT=$SSHD_PORT
serve
begin
must there mirror resume disk --apply
must afar mirror resume disk --apply
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 2 --count 400 \
	"$T/disk.img"
settled disk
must there mirror pause disk --apply
must afar mirror pause disk --apply
ends
grep -q 'has moved while it was read' "$T/gather.log" || fail "not noticed"

say "one is behind: the other alone is read"
must there mirror resume disk --apply
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 3 --count 50 \
	"$T/disk.img"
must here wait disk --destination there --timeout 60
must there mirror pause disk --apply
rm "$T/out"
"${GATHER[@]}" >"$T/gather.log" 2>&1 &
READER=$!
ends
grep -q 'afar is left out: .*behind' "$T/gather.log" || fail "not told"
stop "$HERE"
stop "$THERE"
stop "$AFAR"
pass
