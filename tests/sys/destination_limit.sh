#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A destination is sent to no faster than its rules allow, by the hour.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
volume disk 8M
pair disk file
limit() { quietly here destination limit there --group disk "$1"; }
write() {
	must captured disk dd if=/dev/urandom of="$T/disk.img" bs=64k count=64 \
		conv=notrunc status=none
}
both
must here base disk --wait
settled disk

say "rules that mean nothing are refused"
expect 4 here destination limit there --group disk 8-9=fast
says 'HH:MM-HH:MM=SPEED'
expect 4 here destination limit nowhere --group disk full

say "nothing is sent, by a rule that holds now; the last one counts"
hour=$(date +%H)
printf -v rule '%s:00-%02d:59=none' "$hour" "$((10#$hour))"
[ "$(date +%M)" -lt 58 ] || rule=none
limit "full,$rule"
write
expect 3 here wait disk --timeout 3
is here disk 'g["destinations"][0]["lag_bytes"] > 1000000' true ||
	fail "it was sent all the same"
limit "$rule,full"
settled disk
mirrored

say "2 MiB in a second: 8 MiB take some, but for a last file of half of it"
limit 2M
begin=$(date +%s%N)
write
settled disk
write
settled disk
took=$((($(date +%s%N) - begin) / 1000000))
echo "   took $took ms"
[ $took -ge 1200 ] || fail "it took only $took ms"
mirrored
here destination list --json | grep -q '"limit": *"2M"' ||
	fail "the list does not show it"
limit ''

say "what fails is tried again at given times, and at once when it is said so"
expect 4 here destination retry there --group disk 25:00
says 'HH:MM'
hour=$(date +%H)
printf -v later '%02d:30' $(((10#$hour + 3) % 24))
quietly here destination retry there --group disk "$later"
here destination list --json | grep -q "\"retry_at\": *\"$later\"" ||
	fail "the list does not show it"
mv "$T/landing/incoming" "$T/landing/away"
write
fails() { here status | grep -q 'is not ready'; }
within 20 fails || fail "no trouble without the folder"
mv "$T/landing/away" "$T/landing/incoming"
expect 3 here wait disk --timeout 3
quietly here destination retry there --group disk ''
settled disk
mirrored
stop "$HERE"
stop "$THERE"
pass
