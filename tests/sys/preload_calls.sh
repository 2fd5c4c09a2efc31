#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every entry point does captured what it does plainly, and the mirror follows.
#
# Each call of tests/preload_calls.c runs plainly on one file and captured on
# a copy, with and without the tripwire and patches: output (results, errno),
# status, and content must be the same, and the redriven mirror too. Calls that are refused
# must say so, and must leave the file as it was.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
CALLS=$BUILD/tests/preload_calls
bad=0

wrong() {
	echo "FAIL: $*"
	bad=$((bad + 1))
}

# Where libc's own wrappers are patched, they are captured as well.
case $(uname -m) in
x86_64) PATCHED=same WIRE=wire ;;
*) PATCHED=refused WIRE= ;;
esac

# A process that may not execute what it has written: libc stays as it is.
BARE=
if [ "$(uname -m)" = x86_64 ]; then
	cat >"$T/bare.c" <<'END'
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	(void)argc;
	if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) != 0)
		return 1;
	(void)execvp(argv[1], argv + 1);
	return 2;
}
END
	cc -o "$T/bare" "$T/bare.c" || fail "no compiler"
	! "$T/bare" true || BARE=bare
fi

# one NAME same|refused|patched|inside|inside-refused on|wire|bare|off
one() {
	local name=$1 kind=$2 mode=$3 dir=$T/call plain=0 rc=0 wire=()
	[ "$mode" != wire ] || wire=(AIM_TRIPWIRE=1)
	if [ "$mode" = bare ]; then
		wire=("$T/bare")
		[[ $kind != inside* ]] || return 0
		[ "$kind" != patched ] || kind=refused
	fi
	[ "$kind" != patched ] || kind=$PATCHED
	[[ $kind != inside* ]] || [ $PATCHED = same ] || return 0
	[ "$kind" != inside ] || kind=same
	[ "$kind" != inside-refused ] || kind=refused
	rm -rf "$dir" && mkdir "$dir" "$dir/a" "$dir/b"
	cp "$T/seed" "$dir/a/v"
	cp "$T/seed" "$dir/b/v"
	group "$dir/b/v"
	[ "$mode" != off ] || "$TOOL" passive "$AIM" "$GROUP" || fail passive
	(cd "$dir/a" && timeout 60 "$CALLS" "$name" v) \
		>"$dir/out.a" 2>"$dir/err.a" || plain=$?
	(cd "$dir/b" && captured env ${wire[@]+"${wire[@]}"} timeout 60 \
		"$CALLS" "$name" v) \
		>"$dir/out.b" 2>"$dir/err.b" || rc=$?
	[ "$mode" = off ] || replay || wrong "$name: replay"
	if [ "$kind" = refused ]; then
		grep -q '^aim: ' "$dir/err.b" || wrong "$name: nothing said"
		cmp "$T/seed" "$dir/b/v" || wrong "$name: changed the volume"
	else
		[ $plain -eq $rc ] || wrong "$name: status $rc, not $plain"
		diff "$dir/out.a" "$dir/out.b" || wrong "$name: results"
		diff "$dir/err.a" "$dir/err.b" || wrong "$name: messages"
		cmp "$dir/a/v" "$dir/b/v" || wrong "$name: content"
	fi
	[ "$mode" = off ] || cmp "$dir/b/v" "$dir/b/v.mirror" ||
		wrong "$name: the mirror differs"
}

head -c 1500000 /dev/urandom >"$T/seed"
mapfile -t LIST < <("$CALLS" --list)
[ ${#LIST[@]} -gt 40 ] || fail "the list of calls is short"
for entry in "${LIST[@]}"; do
	[ $# -eq 0 ] || [ "${entry% *}" = "$1" ] || continue
	one "${entry% *}" "${entry#* }" on
	one "${entry% *}" "${entry#* }" off
	[ -z "$WIRE" ] || one "${entry% *}" "${entry#* }" $WIRE
	[ -z "$BARE" ] || one "${entry% *}" "${entry#* }" $BARE
done
[ $bad -eq 0 ] || fail "$bad differences in ${#LIST[@]} calls"
echo "ok: ${#LIST[@]} calls, each captured and in passing"
