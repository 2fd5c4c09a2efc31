#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A source that is silent raises the mirror's alarm, which runs a hook once.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

write() {
	must captured disk dd if=/dev/urandom of="$T/disk.img" bs=4k count=1 \
		conv=notrunc status=none
}
silent() { is there disk 'g["mirror"]["source_silent"]' "$1"; }
lines() { [ "$(grep -c "$1" "$T/hook.out")" -eq "$2" ]; }
event() { there events | grep -q -e "$1"; }

sites
volume disk 1M
say "each site learns from the pairing text how far the other one is"
expect 4 here site set --location 52.5186
quietly here site set --location 52.5186,13.4083
quietly there site set --location 52.3906,13.0645
pair disk file
near='round(g["destinations"][0]["distance_km"])'
is here disk "$near" 27 || fail "the distance, seen from here"
is there disk 'round(g["mirror"]["distance_km"])' 27 || fail "from there"
expect 0 here status
says '27 km away: NEAR'
mkdir "$T/hooks"
cat >"$T/hooks/tell" <<END
#!/bin/sh
echo "\$AIM_ALARM \$AIM_STATE \$AIM_GROUP \$AIM_SITE: \$AIM_TEXT" >>$T/hook.out
echo told
END
printf '#!/bin/sh\nsleep 1000\n' >"$T/hooks/hang"
chmod 755 "$T/hooks/tell" "$T/hooks/hang"

say "only what nobody else can change may be registered"
expect 4 there hook add tell hooks/tell
says 'absolute path'
chmod 777 "$T/hooks"
expect 4 there hook add tell "$T/hooks/tell"
says 'can be changed by others'
chmod 755 "$T/hooks"
expect 4 there hook add tell "$T/hooks/tell" --on noise
expect 4 there mirror set disk --alarm-after 0.5
expect 4 there mirror set nothing --alarm-after 5
must there hook add hang "$T/hooks/hang"
must there hook add tell "$T/hooks/tell" --on silence,spool
there hook list --json | grep -q '"on": *"silence,spool"' ||
	fail "it is not in the list"
expect 0 there hook test tell
says '^told$'
grep -q '^test raised test there: ' "$T/hook.out" || fail "the test did not run"
expect 4 there hook test other

say "a source that speaks raises none"
quietly there mirror set disk --alarm-after 3
both
must here base disk --wait
write
settled disk
silent false || fail "an alarm"

say "the source dies: an alarm, once, though a hook hangs"
murder "$HERE"
within 20 silent true || fail "no alarm"
within 10 lines '^silence raised disk there: no word' 1 || fail "no hook ran"
expect 0 there status
says 'ALARM: no word from the source.s site here'
within 10 event 'silence raised: status 0: told' || fail "no event"

say "it lasts over a restart of the mirror's coordinator, and is not new"
stop "$THERE"
start "$THERE"
sleep 0.7
silent true || fail "it is forgotten"
lines '^silence raised' 1 || fail "the hook ran again"

say "the source is heard again"
start "$HERE"
write
within 20 silent false || fail "it stays"
within 10 lines '^silence cleared disk there: ' 1 || fail "no hook ran"
settled disk
must there hook remove hang
must there hook remove tell
expect 4 there hook remove tell

say "a spool that fills up, or holds old things, raises one at each threshold"
told() { here events | grep -c "$1"; }
told_is() { [ "$(told "$1")" -eq "$2" ]; }
spool() { is here disk 'g["spool_alarm"]' "$1"; }
expect 4 here group set disk --spool-warn 80,50
expect 4 here group set disk --spool-age soon
stop "$THERE"
quietly here group set disk --spool-limit 100K --spool-warn 20,60
write
write
write
write
write
write
within 20 told_is 'alarm spool raised: .* % of the spool limit' 1 ||
	fail "no alarm at the first threshold"
captured disk dd if=/dev/urandom of="$T/disk.img" bs=48k count=1 \
	conv=notrunc status=none || fail "dd"
within 20 told_is 'alarm spool raised: .* % of the spool limit' 2 ||
	fail "no alarm at the second threshold"
quietly here group set disk --spool-warn none --spool-age 1
within 20 told_is 'alarm spool raised: what was written .* s ago' 1 ||
	fail "no alarm for its age"
within 10 spool true || fail "the status"
start "$THERE"
within 30 told_is 'alarm spool cleared' 1 || fail "it is not cleared"
within 10 spool false || fail "the status afterwards"
stop "$HERE"
stop "$THERE"
pass
