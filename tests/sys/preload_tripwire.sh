#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What makes system calls past libc is captured, or stopped; never missed.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
INLINE=$BUILD/tests/preload_inline
bad=0

[ "$(uname -m)" = x86_64 ] || skip "the tripwire is for x86-64"
grep -q '^Seccomp:' /proc/self/status || skip "no seccomp in this kernel"

wrong() {
	echo "FAIL: $*"
	bad=$((bad + 1))
}

# watched COMMAND...: captured, with the tripwire.
watched() { captured env AIM_TRIPWIRE=1 "$@"; }

# fresh: a new volume, plain and captured.
fresh() {
	rm -rf "$T/a" "$T/b"
	mkdir "$T/a" "$T/b"
	cp "$T/seed" "$T/a/v"
	cp "$T/seed" "$T/b/v"
	group "$T/b/v"
}

whole() {
	replay || wrong "$1: replay"
	cmp "$T/b/v" "$T/b/v.mirror" || wrong "$1: the mirror differs"
	rm -rf "$AIM"
}

# same_as_plain WHAT: results, content and mirror.
same_as_plain() {
	local plain=0 rc=0
	fresh
	(cd "$T/a" && timeout 60 "$INLINE" "$1" v) \
		>"$T/out.a" 2>"$T/err.a" || plain=$?
	(cd "$T/b" && watched timeout 60 "$INLINE" "$1" v) \
		>"$T/out.b" 2>"$T/err.b" || rc=$?
	[ $plain -eq $rc ] || wrong "$1: status $rc, not $plain"
	diff "$T/out.a" "$T/out.b" || wrong "$1: results"
	diff "$T/err.a" "$T/err.b" || wrong "$1: messages"
	cmp "$T/a/v" "$T/b/v" || wrong "$1: content"
	whole "$1"
}

# stopped STATUS WHAT COMMAND...: nothing is written.
stopped() {
	local want=$1 what=$2 rc=0
	shift 2
	fresh
	(cd "$T/b" && watched "$@") >"$T/out" 2>"$T/err" </dev/null || rc=$?
	[ "$rc" -eq "$want" ] || {
		wrong "$what: status $rc, not $want"
		cat "$T/out" "$T/err"
	}
	cmp "$T/seed" "$T/b/v" || wrong "$what: something was written"
	whole "$what"
}

said() { grep -q "^aim: .*$1" "$T/err" || wrong "it does not say \"$1\""; }

head -c 1500000 /dev/urandom >"$T/seed"

for call in writes truncates copies handlers threads cancels replaces \
	shares keeps flags; do
	same_as_plain $call
done

# ---- somebody who is not captured has the open file ----
# outsider COMMAND...: beside it, with the same number 9.
outsider() {
	rm -f socket
	"$INLINE" takes socket 9<>v >/dev/null || return 1
	"$@" 9<>v
}

# By name, by instruction, as one of several; -1: it was there before.
for how in -1 0 1 2; do
	fresh
	(cd "$T/a" && outsider "$INLINE" sends v $how) >"$T/out.a" ||
		wrong "sends $how: $(cat "$T/out.a")"
	(cd "$T/b" && outsider watched "$INLINE" sends v $how) >"$T/out.b" ||
		wrong "sends $how, captured: $(cat "$T/out.b")"
	diff "$T/out.a" "$T/out.b" || wrong "sends $how: results"
	cmp "$T/a/v" "$T/b/v" || wrong "sends $how: content"
	whole "sends $how"
done

# ---- refused ----
stopped 0 'inline io_uring' "$INLINE" ring v
grep -q '= -38$' "$T/out" || wrong "another errno than ENOSYS"
said 'io_uring'
said 'nbdkit'
stopped 0 'inline fanotify' "$INLINE" gives v
grep -vq '= -1$' "$T/out" && wrong "another errno than EPERM: $(cat "$T/out")"
said 'fanotify'
stopped 0 'inline mmap' "$INLINE" maps v
grep -q '= -13$' "$T/out" || wrong "another errno than EACCES"
said 'shared writing'
said 'nbdkit'

# ---- what goes on after exec ----
cat >"$T/static.c" <<'EOF'
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int fd = open(argv[argc - 1], O_WRONLY);
	return write(fd, "x", 1) == 1 ? 0 : 1;
}
EOF
cc -o "$T/dynamic" "$T/static.c" || fail "no compiler"
# By checked ways it is not started; by others it ends at its first write.
if cc -static -o "$T/static" "$T/static.c" 2>/dev/null; then
	stopped 126 'a static program' bash -c "$T/static v"
	said 'statically linked'
	stopped 159 'a static program, started past all checks' \
		"$INLINE" execs v "$T/static" v
fi
# It has lost LD_PRELOAD and all.
stopped 159 'a program without the driver' \
	"$INLINE" execs v "$T/dynamic" v

# ---- ordinary programs, through several generations ----
fresh
(cd "$T/b" && watched bash -c 'echo one >v
	sort /etc/passwd | sh -c "sed s/a/b/ | tee -a v" >/dev/null
	env -i /bin/sh -c "echo more >>v; exec /bin/echo last" >>v') ||
	wrong "bash: status $?"
grep -q '^last' "$T/b/v" || wrong "bash: the end is missing"
whole bash

# The text that libc itself writes before an abort.
cat >"$T/abort.c" <<'EOF'
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
static char room[64]; /* what lies before the pointer says which text it is */
int main(int argc, char **argv)
{
	dup2(open(argv[1], O_WRONLY), 2);
	free(room + 24);
	return argc;
}
EOF
cc -w -o "$T/abort" "$T/abort.c" || fail "no compiler"
fresh
(cd "$T/b" && watched bash -c "ulimit -c 0; $T/abort v") >"$T/out" 2>&1
[ $? -eq 134 ] || wrong "no abort: $(cat "$T/out")"
head -n 1 "$T/b/v" | grep -aq 'invalid pointer' || wrong "no text before the abort"
whole abort

# ---- rights ----
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	# Who builds may do so where others cannot look.
	cp "$LIBRARY" "$INLINE" "$T/" || fail "cp"
	LIBRARY=$T/$(basename "$LIBRARY") INLINE=$T/$(basename "$INLINE")
	fresh
	chmod 666 "$T/b/v"
	group "$T/b/v"
	find "$AIM" -type d -exec chmod 777 {} +
	find "$AIM" -type f -exec chmod 666 {} +
	(cd "$T/b" && watched setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$INLINE" writes v) >"$T/out" 2>"$T/err" ||
		wrong "as an ordinary user: $(cat "$T/err")"
	(cd "$T/b" && setpriv --reuid 65534 --regid 65534 --clear-groups env \
		AIM_TRIPWIRE=1 AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" \
		"$INLINE" writes v) >"$T/out" 2>"$T/err" ||
		wrong "armed by an ordinary user: $(cat "$T/err")"
	whole "an ordinary user"
	cp "$T/dynamic" "$T/setuid"
	chown 65534 "$T/setuid"
	chmod 4755 "$T/setuid"
	stopped 126 setuid bash -c "$T/setuid v"
	said setuid
fi

[ $bad -eq 0 ] || fail "$bad findings"
echo "ok: past libc is captured or stopped"
