#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Coordinators are killed at their N-th system call, sampled; all converges.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 strace
strace -qq -o /dev/null true 2>/dev/null || skip "needs strace to be allowed"

limit=120
[ -z "$LONG" ] || limit=3000
calls="pwrite64 fsync fdatasync renameat2 unlinkat openat write mkdirat
	linkat ftruncate"
begin=$SECONDS
kills=0

sites
volume disk 4M data
volume db 100K data
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
mirrored

# killed HOME CALL N: one pass that dies at its N-th CALL; returns 1 when the
# pass has fewer.
killed() {
	local rc=0
	strace -f -qq -o /dev/null -e "trace=$2" \
		-e "inject=$2:signal=SIGKILL:when=$3" \
		aim-coordinator --home "$1" --once \
		>>"$T/$(basename "$1").log" 2>&1 || rc=$?
	case $rc in
	0) return 1 ;;
	137)
		kills=$((kills + 1))
		return 0
		;;
	*) fail "status $rc of a pass of $1 killed at $2 number $3" ;;
	esac
}

work() {
	seed=$((${seed:-0} + 1))
	must captured data python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 8 --max 9000 "$T/disk.img" >"$T/writer.log"
	must captured data python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 3 --max 99 "$T/db.img" >"$T/writer.log"
}

# sweep HOME: the mirror's side gets files first, or the source has new ones.
sweep() {
	local home=$1 call n step
	for call in $calls; do
		n=1
		step=1
		while [ $((SECONDS - begin)) -lt "$2" ]; do
			work
			[ "$home" = "$HERE" ] || once "$HERE"
			killed "$home" "$call" $n || break
			# Now and then it dies again while it recovers.
			if [ $((kills % 5)) -eq 0 ]; then
				killed "$home" "$call" $((n / 2 + 1))
			fi
			once "$HERE" "$THERE" "$HERE"
			expect 0 here wait data --timeout 1
			mirrored
			if [ -z "$LONG" ] && [ $n -ge 4 ]; then
				step=$((step + 1))
			fi
			n=$((n + step))
		done
		say "$(basename "$home") $call: up to $((n - 1))"
		once "$HERE" "$THERE" "$HERE"
		mirrored
	done
}

sweep "$HERE" $((limit / 2))
sweep "$THERE" $limit
[ -z "$(find "$HERE/quarantine" "$THERE/quarantine" -type f)" ] ||
	fail "something was put into quarantine"
[ $kills -ge 20 ] || fail "only $kills kills: the sweep does not bite"
say "$kills kills"
pass
