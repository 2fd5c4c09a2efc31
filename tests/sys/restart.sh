#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Both coordinators are killed again and again under load; all converges.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sshd

rounds=20
[ -z "$LONG" ] || rounds=500
RANDOM=${AIM_SEED:-$$}
say "seed ${AIM_SEED:-$$}"

sites
volume disk 48M data
volume db 2M data
pair data sftp
both
quietly here base data # it may be killed on its way, too

captured data python3 "$TOP/tests/sys/writer.py" --count 1000000000 \
	--seconds $((rounds * 2)) --pause 0.002 "$T/disk.img" \
	>"$T/writer.log" 2>&1 &
writer=$!
captured data python3 "$TOP/tests/sys/writer.py" --count 1000000000 --resize \
	--max 2000 --seconds $((rounds * 2)) --pause 0.003 "$T/db.img" \
	>"$T/writer2.log" 2>&1 &
writer2=$!

# One of the processes of a site; or all of them.
victim() {
	local home=$1 all
	mapfile -t all < <(family "$(coordinator "$home")")
	if [ $((RANDOM % 2)) -eq 0 ]; then
		murder "$home"
		sleep "0.$((RANDOM % 5))"
		start "$home"
	else
		kill -9 "${all[RANDOM % ${#all[@]}]}" 2>/dev/null
		sleep 0.2
		kill -0 "$(coordinator "$home")" 2>/dev/null || {
			murder "$home"
			start "$home"
		}
	fi
}

for ((round = 1; round <= rounds; round++)); do
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	if [ $((RANDOM % 2)) -eq 0 ]; then
		victim "$HERE"
	else
		victim "$THERE"
	fi
done
wait $writer || fail "the writer: status $?"
wait $writer2 || fail "the second writer: status $?"
settled data 120
mirrored
is there data 'g["mirror"]["consistent"]' true || fail "not consistent"
[ -z "$(find "$HERE/quarantine" "$THERE/quarantine" -type f)" ] ||
	fail "something was put into quarantine"
stop "$HERE"
stop "$THERE"
pass
