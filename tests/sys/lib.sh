# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib: what the system tests share. A test states its goal in its first
# comment line, sources this, calls `need`, and ends with `pass`. Everything
# that it makes lies in $T, a folder of its own on a disk; everything that it
# starts is ended by number when it ends, however it ends.
#
# Two sites are played: "here", the source, with home $HERE, and "there", the
# mirror's, with home $THERE. Each function either succeeds or ends
# the test, unless it says otherwise.

set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
BUILD=${AIM_BUILD:-$TOP/build}
# shellcheck disable=SC2034 # for those who source this
LONG=${AIM_LONG:-}
# shellcheck source=tests/sshd.sh
. "$TOP/tests/sshd.sh"

# The system's own programs, not wrappers of them that a user may have.
PATH=$BUILD/manager:$BUILD/manager/aimdump:$BUILD/coordinator:$BUILD/aimdriver/logwrites:$BUILD:/usr/bin:/bin:$PATH
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
unset AIM_HOME LD_PRELOAD
umask 022

GOAL=$(sed -n '3s/^# //p' "$0")

fail() {
	trap - ERR
	echo "FAIL: $*"
	FAILED=1
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

pass() {
	echo "ok: $GOAL"
	exit 0
}

# need TOOL...: the test cannot be had without them.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

say() { printf -- '-- %s\n' "$*"; }

# is_root: may mount, change owners, use other accounts.
is_root() { [ "$(id -u)" -eq 0 ]; }

# quietly COMMAND...: its output is shown only when it fails.
quietly() {
	local rc=0
	"$@" >"$T/quietly" 2>&1 || rc=$?
	if [ $rc -ne 0 ]; then
		cat "$T/quietly"
		fail "status $rc from: $*"
	fi
}

# must COMMAND...: shows its output, ends the test when it fails.
must() {
	"$@" || fail "status $? from: $*"
}

# expect STATUS COMMAND...: it ends with exactly that status; its output
# (both kinds) is in $OUT afterwards.
expect() {
	local want=$1 rc=0
	shift
	OUT=$("$@" 2>&1 </dev/null) || rc=$?
	if [ $rc -ne "$want" ]; then
		printf '%s\n' "$OUT"
		fail "status $rc, not $want, from: $*"
	fi
}

# says TEXT: $OUT of the last `expect` has it (a basic regular expression).
says() {
	printf '%s\n' "$OUT" | grep -q -e "$1" || {
		printf '%s\n' "$OUT"
		fail "it does not say \"$1\""
	}
}

# within SECONDS COMMAND...: until it succeeds; returns 1 when it never does.
within() {
	local end=$((SECONDS + $1 + 1))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# same FILE FILE [WHAT]: byte for byte.
same() {
	cmp "$1" "$2" || fail "${3:-$2} differs from $1"
}

sum_of() { sha256sum "$1" | cut -d' ' -f1; }

# ---- the test's own folder, and its end ----

# Programs that carry our folder's name in their environment.
own_processes() {
	local pid word
	for pid in /proc/[0-9]*; do
		while IFS= read -r -d '' word; do
			if [ "$word" = "AIM_TEST_T=$T" ]; then
				echo "${pid#/proc/}"
				break
			fi
		done <"$pid/environ"
	done 2>/dev/null
}

AT_END=()

# at_end COMMAND: run when the test ends, last one first.
at_end() { AT_END=("$1" ${AT_END[@]+"${AT_END[@]}"}); }

lib_end() {
	local rc=$? pid command log
	trap - EXIT INT TERM HUP
	set +e
	if [ $rc -ne 0 ] && [ $rc -ne 77 ]; then
		for log in "$T"/*.log; do
			[ -s "$log" ] || continue
			echo "== the end of $(basename "$log")"
			tail -n 12 "$log"
		done
		[ -n "${FAILED:-}" ] || echo "FAIL: status $rc"
	fi
	# sshd writes over its environment to show a title.
	# A coordinator's environment is nobody's to read but root's.
	for pid in $(own_processes) \
		$(for job in $(jobs -p); do family "$job"; done) \
		$([ -z "${SSHD_PID:-}" ] || family "$SSHD_PID"); do
		kill -CONT "$pid"
		kill -9 "$pid"
	done 2>/dev/null
	wait 2>/dev/null
	for command in ${AT_END[@]+"${AT_END[@]}"}; do
		eval "$command"
	done
	if [ -n "${AIM_KEEP:-}" ]; then
		echo "kept: $T"
	else
		chmod -R u+rwX "$T" 2>/dev/null
		# What was killed may take a moment to go.
		rm -rf "$T" 2>/dev/null || {
			sleep 1
			rm -rf "$T"
		}
	fi
	# Last, so that it is the last thing read.
	if [ $rc -ne 0 ] && [ $rc -ne 77 ]; then
		echo "FAIL: ${FAILED:+see above: }$GOAL"
	fi
	exit $rc
}

T=$(mktemp -d "${AIM_TEST_DIR:-/var/tmp}/aim-test.XXXXXX") || exit 1
case $(stat -f -c %T "$T") in
tmpfs | ramfs)
	rmdir "$T"
	skip "set AIM_TEST_DIR to a folder on a disk"
	;;
esac
chmod 755 "$T"
AIM_TEST_T=$T
export AIM_TEST_T
trap lib_end EXIT
trap 'exit 130' INT TERM HUP
HERE=$T/here
THERE=$T/there

for program in aim-manager aim-coordinator aimdump; do
	command -v $program >/dev/null ||
		fail "$program is not built in $BUILD"
done

# ---- sites ----

here() { aim-manager --home "$HERE" "$@"; }
there() { aim-manager --home "$THERE" "$@"; }

# captured GROUP COMMAND...: under the driver.
captured() {
	local group=$1
	shift
	aim-manager --home "$HERE" run "$group" -- "$@"
}

# start HOME: its coordinator; the number is in COORDINATOR_<last part>.
start() {
	local name
	name=$(basename "$1")
	aim-coordinator --home "$1" >>"$T/$name.log" 2>&1 &
	printf -v "COORDINATOR_$name" %s $!
	within 10 test -S "$1/state/coordinator.sock" ||
		fail "the coordinator of $name does not start"
}

# coordinator HOME: its number.
coordinator() {
	local var
	var=COORDINATOR_$(basename "$1")
	echo "${!var:-}"
}

# family PID: it and all that come from it.
family() {
	local child
	echo "$1"
	cat "/proc/$1/task/"*/children 2>/dev/null | tr ' ' '\n' |
		while read -r child; do
			[ -z "$child" ] || family "$child"
		done
}

# stop HOME: asks its coordinator to end, which it must do well.
stop() {
	local pid rc=0
	pid=$(coordinator "$1")
	[ -n "$pid" ] || return 0
	kill "$pid" || fail "no coordinator $pid"
	wait "$pid" || rc=$?
	printf -v "COORDINATOR_$(basename "$1")" %s ''
	[ $rc -eq 0 ] || fail "the coordinator of $1 ended with status $rc"
}

# gone PID...: waits until each has ended. A killed process ends what the
# kernel does for it first, and may be the child of somebody else by then.
gone() {
	local pid line
	for pid; do
		while read -r line 2>/dev/null <"/proc/$pid/stat"; do
			case ${line##*) } in
			[ZX]*) break ;;
			esac
			sleep 0.02
		done
	done
}

# slay PID: SIGKILL for it and all its children; the list is in $SLAIN. They are
# stopped first, so that none starts another one meanwhile.
slay() {
	local now was=none
	while now=$(family "$1" | sort) && [ "$now" != "$was" ]; do
		# shellcheck disable=SC2086 # a list of numbers
		kill -STOP $now 2>/dev/null
		was=$now
	done
	# shellcheck disable=SC2034 # for the caller
	SLAIN=$now
	# shellcheck disable=SC2086
	kill -9 $now 2>/dev/null
}

# murder HOME: SIGKILL for its coordinator and all its children.
murder() {
	local pid all
	pid=$(coordinator "$1")
	[ -n "$pid" ] || return 0
	all=$(family "$pid")
	# shellcheck disable=SC2086 # a list of numbers
	kill -9 $all 2>/dev/null
	wait "$pid" 2>/dev/null
	# The others end when the kernel lets them.
	for pid in $all; do
		while kill -0 "$pid" 2>/dev/null; do
			sleep 0.02
		done
	done
	printf -v "COORDINATOR_$(basename "$1")" %s ''
}

# once HOME...: one pass of each coordinator, in this order.
once() {
	local home
	for home; do
		aim-coordinator --home "$home" --once \
			>>"$T/$(basename "$home").log" 2>&1 ||
			fail "status $? from aim-coordinator --home $home --once"
	done
}

# volume NAME SIZE [GROUP]: a new protected file $T/NAME.img, mirror
# $T/NAME.mir; for `pair` to find.
VOLUMES=()
volume() {
	truncate -s "$2" "$T/$1.img" || fail "make $T/$1.img"
	quietly here volume add "$1" "$T/$1.img" ${3:+--group "$3"}
	VOLUMES+=("${3:-$1}:$1")
}

sites() {
	quietly here init --site here
	quietly there init --site there
	mkdir -p "$T/landing/incoming"
}

# onto GROUP: the options --onto of its volumes.
onto() {
	local entry
	for entry in "${VOLUMES[@]}"; do
		[ "${entry%%:*}" = "$1" ] || continue
		printf -- '--onto\n%s=%s\n' "${entry#*:}" \
			"$T/${entry#*:}.mir"
	done
}

# pair GROUP [file|sftp]: mirror there, destination "there" here.
pair() {
	local group=$1 how=${2:-file} options=()
	here group export "$group" >"$T/$group.pairing" 2>"$T/$group.print" ||
		fail "group export $group: $(cat "$T/$group.print")"
	mapfile -t options < <(onto "$group")
	quietly there mirror add "$group" --pairing "$T/$group.pairing" \
		--incoming "$T/landing/incoming" --create "${options[@]}"
	there mirror export "$group" >"$T/$group.mirror" 2>"$T/mirror.print" ||
		fail "mirror export $group: $(cat "$T/mirror.print")"
	destination "$group" there "$how" "$T/$group.mirror"
}

# destination GROUP NAME file|sftp PAIRING
destination() {
	local options=() url=file://$T/landing/incoming
	if [ "$3" = sftp ]; then
		[ -n "${SSHD_PORT:-}" ] || serve
		url=sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/incoming
		options=(--key "$SSHD_UPLOAD_KEY" --ack-key "$SSHD_ACK_KEY"
			--known-hosts "$SSHD_KNOWN_HOSTS")
		sshd_may_write "$T"/landing/incoming/*/ ||
			fail "rights in $T/landing/incoming"
	fi
	quietly here destination add "$2" --group "$1" --url "$url" \
		--pairing "$4" ${options[@]+"${options[@]}"}
}

# serve: the SFTP server of $T/landing.
serve() {
	need sshd ssh-keygen
	sshd_start "$T/sshd" "$T/landing" || fail "no SFTP server"
	ln -sf sshd/sshd.log "$T/sshd.log"
}

# unserve: the SFTP server dies.
unserve() {
	# shellcheck disable=SC2046 # a list of numbers
	{
		kill -9 $(family "$SSHD_PID")
		wait "$SSHD_PID"
	} 2>/dev/null
}

# both: coordinators of both sites.
both() {
	start "$HERE"
	start "$THERE"
}

# settled GROUP [SECONDS]: all that is captured is applied.
settled() {
	local rc=0
	here wait "$1" --applied --timeout "${2:-60}" >"$T/wait" 2>&1 || rc=$?
	[ $rc -ne 0 ] || return 0
	cat "$T/wait"
	here status
	there status
	fail "status $rc from wait $1 --applied --timeout ${2:-60}"
}

# mirrored: every volume is the same on both sides.
mirrored() {
	local entry name
	for entry in "${VOLUMES[@]}"; do
		name=${entry#*:}
		same "$T/$name.img" "$T/$name.mir" "the mirror of $name"
	done
}

# ask here|there GROUP EXPRESSION: a Python expression over g, that group in
# `status --json`, and s, all of it; prints its value.
ask() {
	"$1" status --json >"$T/status.json" || fail "$1 status --json: $?"
	python3 - "$T/status.json" "$2" "$3" <<'END' || fail "ask $*"
import json, sys
s = json.load(open(sys.argv[1]))
g = next(x for x in s["groups"] if x["name"] == sys.argv[2])
v = eval(sys.argv[3])
print(str(v).lower() if isinstance(v, bool) else v)
END
}

# is here|there GROUP EXPRESSION VALUE: returns 1 when it is not.
is() { [ "$(ask "$1" "$2" "$3")" = "$4" ]; }

# stream_of GROUP: the folder of its stream under the landing folder.
stream_of() {
	local id
	id=$(sed -n 's/^stream //p' "$T/$1.pairing")
	[ -n "$id" ] || fail "no stream in $T/$1.pairing"
	echo "$T/landing/incoming/$id"
}
