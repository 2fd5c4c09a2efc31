#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A full spool lets writes pass, remembers them, and brings them over later.
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed.
if [ -z "${AIM_UNSHARED:-}" ] && [ "$(id -u)" -eq 0 ]; then
	AIM_UNSHARED=1 exec unshare --mount --propagation unchanged \
		bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need python3

buffer() { is here data 'g["buffer"]' "$1"; }
# random SEED COUNT: writes all over the disk.
random() {
	captured data python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--max 300000 --count "$2" "$T/disk.img" "$T/grow.img" --resize
}
recovered() {
	buffer active && here wait data --applied --timeout 1 >"$T/wait" 2>&1
}

sites
truncate -s 64M "$T/disk.img"
truncate -s 300K "$T/grow.img"
quietly here volume add disk "$T/disk.img" --group data --spool-limit 4M
quietly here volume add grow "$T/grow.img" --group data
VOLUMES=(data:disk data:grow)
is here data 'g["buffer"]' off || fail "before the base"
pair data file
here group list --json >"$T/groups" 2>/dev/null ||
	here volume list --json >"$T/groups"
grep -q '"spool_policy": *"passthrough"' "$T/groups" ||
	fail "passthrough is not the default: $(cat "$T/groups")"
both
quietly here base data
settled data
mirrored
buffer active || fail "after the base: $(ask here data 'g["buffer"]')"

say "the mirror's site is away: writers go on"
stop "$THERE"
must random 1 600 >/dev/null
buffer passthrough || fail "the spool is full: $(ask here data 'g["buffer"]')"
is here data 'g["state"]' passthrough || fail "$(here status)"
OUT=$(here status data)
says passthrough
says 'the spool was full'
cp "$T/disk.mir" "$T/disk.old"
must random 2 300 >/dev/null

say "it stays so as long as nothing is acknowledged, and over a restart"
murder "$HERE"
start "$HERE"
must random 3 50 >/dev/null
buffer passthrough || fail "after a restart"
same "$T/disk.old" "$T/disk.mir" "the mirror's image"

say "there is room again: a new epoch, and all is brought over"
start "$THERE"
must random 4 200 >/dev/null
within 60 recovered || {
	here status
	there status
	fail "it does not recover"
}
mirrored
is here data 'g["state"]' streaming || fail "not streaming"
[ "$(ask here data 'g["epoch"]')" -ge 2 ] || fail "no new epoch"
here events >"$T/events"
grep -q 'writes pass without' "$T/events" || fail "no event: it began"
grep -q 'writes are captured' "$T/events" || fail "no event: it ended"

for round in 1 2; do
	say "round $round: both are killed while it comes and goes"
	random $((10 + round)) 100000 >/dev/null 2>&1 &
	writer=$!
	sleep "1.$((RANDOM % 10))"
	murder "$THERE"
	sleep "0.$((RANDOM % 10))"
	murder "$HERE"
	start "$THERE"
	start "$HERE"
	sleep "1.$((RANDOM % 10))"
	slay $writer
	wait $writer 2>/dev/null
	# shellcheck disable=SC2086 # a list of numbers
	gone $SLAIN
	within 90 recovered || {
		here status
		there status
		fail "it does not recover"
	}
	mirrored
done

if is_root && mount --make-private /proc 2>/dev/null; then
	say "the host goes down while writes pass"
	at_end 'umount /proc/sys/kernel/random/boot_id 2>/dev/null'
	stop "$THERE"
	must random 21 600 >/dev/null
	buffer passthrough || fail "the spool is not full"
	murder "$HERE"
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
	must random 22 20 >/dev/null
	both
	within 90 recovered || {
		here status
		there status
		fail "it does not recover"
	}
	mirrored
fi

say "coordinators that come by from time to time will do"
stop "$HERE"
stop "$THERE"
must random 31 300 >/dev/null
buffer passthrough || fail "the spool is not full"
once "$HERE" "$THERE" "$HERE" "$THERE"
buffer active || fail "after --once: $(ask here data 'g["buffer"]')"
mirrored
pass
