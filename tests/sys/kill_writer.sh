#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Captured programs are killed at random; the mirror is what the disk is.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

rounds=30
[ -z "$LONG" ] || rounds=1000
RANDOM=${AIM_SEED:-$$}
say "seed ${AIM_SEED:-$$}"

sites
volume disk 24M
pair disk file
both
here base disk --wait || fail "base: status $?"

for ((round = 1; round <= rounds; round++)); do
	captured disk python3 "$TOP/tests/sys/writer.py" --seed $round \
		--count 1000000000 --max 300000 "$T/disk.img" \
		>"$T/writer.log" 2>&1 &
	one=$!
	captured disk python3 "$TOP/tests/sys/writer.py" --seed 1$round \
		--count 1000000000 --max 20000 --resize "$T/disk.img" \
		>"$T/writer2.log" 2>&1 &
	two=$!
	sleep "0.$((RANDOM % 7 + 1))"
	slay $one
	all=$SLAIN
	sleep "0.0$((RANDOM % 9 + 1))"
	slay $two
	wait $one $two 2>/dev/null
	# shellcheck disable=SC2086 # lists of numbers
	gone $all $SLAIN
	if [ $((round % 10)) -eq 0 ]; then
		settled disk
		mirrored
		say "$round rounds"
	fi
done
settled disk
mirrored
is here disk 'g["state"]' streaming || fail "the group is not streaming"
must captured disk python3 "$TOP/tests/sys/writer.py" --count 100 \
	"$T/disk.img"
settled disk
mirrored
stop "$HERE"
stop "$THERE"
pass
