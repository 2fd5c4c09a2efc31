#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# System calls of the coordinators fail, sampled: told, survived, converged.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 strace
strace -qq -o /dev/null true 2>/dev/null || skip "needs strace to be allowed"

limit=100
[ -z "$LONG" ] || limit=2000
faults="pwrite64:error=EIO pwrite64:error=ENOSPC fsync:error=EIO
	fdatasync:error=EIO renameat2:error=EIO openat:error=EMFILE
	unlinkat:error=EACCES pread64:error=EIO pread64:error=EINTR
	pwrite64:error=EINTR mkdirat:error=ENOSPC"
begin=$SECONDS
hits=0
bases=0

sites
volume disk 4M data
volume db 100K data
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
mirrored

# struck HOME FAULT N [+]: one pass whose N-th call fails (with + every later
# one, too); returns 1 when the pass has fewer.
struck() {
	local rc=0 call=${2%%:*}
	: >"$T/strace.out"
	timeout 60 strace -f -qq -o "$T/strace.out" -e "trace=$call" \
		-e "inject=$2:when=$3${4:-}" \
		aim-coordinator --home "$1" --once \
		>>"$T/$(basename "$1").log" 2>&1 || rc=$?
	case $rc in
	0 | 1 | 4 | 127) ;; # 127: the loader could not read a library
	*) fail "status $rc of a pass of $1 with $2 at number $3${4:-}" ;;
	esac
	grep -q INJECTED "$T/strace.out" || return 1
	hits=$((hits + 1))
}

pass_of() {
	local rc=0
	timeout 60 aim-coordinator --home "$1" --once \
		>>"$T/$(basename "$1").log" 2>&1 || rc=$?
	case $rc in
	0 | 1 | 4) ;;
	*) fail "status $rc of a pass of $1 after $fault" ;;
	esac
}

# A disk that failed is not believed until the operator takes a new base.
healed() {
	local tries
	for tries in 1 2 3 4 5 6; do
		pass_of "$HERE"
		pass_of "$THERE"
		pass_of "$HERE"
		if here wait data --timeout 1 >/dev/null 2>&1; then
			mirrored
			return
		fi
		if [ "$tries" -eq 3 ]; then
			here status data >"$T/status.out"
			there status data >>"$T/status.out"
			grep -qE 'suspect|stalled|unclean' "$T/status.out" ||
				fail "it does not converge and does not say why"
			quietly here base data
			bases=$((bases + 1))
		fi
	done
	here status
	there status
	fail "it does not converge after $fault number $n"
}

work() {
	seed=$((${seed:-0} + 1))
	must captured data python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 8 --max 9000 "$T/disk.img" "$T/db.img" >"$T/writer.out"
}

sweep() {
	local home=$1 plus
	for fault in $faults; do
		n=1
		step=1
		while [ $((SECONDS - begin)) -lt "$2" ]; do
			work
			[ "$home" = "$HERE" ] || pass_of "$HERE"
			plus=
			# Retried for ever, so it must not stay.
			case $fault in
			*EINTR) ;;
			*) [ $((hits % 3)) -ne 2 ] || plus=+ ;;
			esac
			struck "$home" "$fault" $n $plus || break
			healed
			[ $n -lt 3 ] || [ -n "$LONG" ] || step=$((step * 2))
			n=$((n + step))
		done
		say "$(basename "$home") $fault: up to $((n - 1))"
		healed
	done
}

sweep "$HERE" $((limit / 2))
sweep "$THERE" $limit
[ $hits -ge 20 ] || fail "only $hits faults: the sweep does not bite"
say "$hits faults, $bases times a new base was needed"
pass
