#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What cannot be captured is not started, and programs say why.

# shellcheck disable=SC2016 # $V is for the commands to expand
# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
bad=0

# expect STATUS TEXT COMMAND...: status and a line "aim: ...TEXT..." (or none).
expect() {
	local want=$1 text=$2 rc=0
	shift 2
	"$@" >"$T/out" 2>"$T/err" </dev/null || rc=$?
	if [ "$rc" -ne "$want" ]; then
		echo "FAIL: status $rc, not $want: $*"
		bad=$((bad + 1))
	elif [ -n "$text" ] && ! grep -q "^aim: .*$text" "$T/err"; then
		echo "FAIL: it does not say \"$text\": $*"
		bad=$((bad + 1))
	elif [ -z "$text" ] && grep -q '^aim: ' "$T/err"; then
		echo "FAIL: it says something: $*"
		bad=$((bad + 1))
	else
		return 0
	fi
	cat "$T/err"
}

truncate -s 1M "$T/v"
group "$T/v"

# ---- the library ----
needed=$(objdump -p "$LIBRARY" | awk '$1 == "NEEDED" { print $2 }' |
	grep -v -e '^libc\.so' -e '^ld-linux')
[ -z "$needed" ] || fail "the library needs $needed"
strays=$(nm -D --defined-only "$LIBRARY" | awk '{ print $3 }' |
	grep -E '^(px_|capture_|err_|io_$|sys_|iocb_)')
[ -z "$strays" ] || fail "the library exports $strays"

# ---- starting ----
expect 0 '' captured true
expect 125 'AIM_HOME' env LD_PRELOAD="$LIBRARY" true
expect 125 'AIM_HOME' env LD_PRELOAD="$LIBRARY" AIM_HOME=relative true
expect 125 'No such file' env LD_PRELOAD="$LIBRARY" AIM_HOME="$T" true
mkdir -p "$T/empty/active"
expect 125 'no group' env LD_PRELOAD="$LIBRARY" AIM_HOME="$T/empty" true
mv "$AIM/active/$GROUP/control" "$T/control"
expect 125 'could not start' captured true
mv "$T/control" "$AIM/active/$GROUP/control"
expect 0 '' captured true
mv "$T/v" "$T/v.away"
expect 125 'could not start' captured true
mv "$T/v.away" "$T/v"
expect 125 'changed outside AIM' captured true
group "$T/v"
expect 0 '' captured true

# What the program itself does to times and rights is no change outside.
for command in 'touch $V' 'chmod 640 $V' 'chown $(id -u) $V' \
	'touch -d yesterday $V' 'cp --attributes-only -p /etc/passwd $V' \
	'rsync -a --inplace $V.mirror $V' \
	'python3 -c "import os; os.setxattr(\"$V\", \"user.x\", b\"1\")"'; do
	replay || fail replay
	"$TOOL" settle "$AIM" "$GROUP" || fail settle
	expect 0 '' env V="$T/v" AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" \
		bash -c "$command"
	expect 0 '' captured true
done

# ---- programs that lock themselves up ----
# Whoever forbids itself to ask what a file is cannot be captured.
cat >"$T/sandbox.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static const long kept[] = {SYS_statx, SYS_fstat, SYS_newfstatat};
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kept[0], 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kept[1], 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kept[2], 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	int fd = open(argv[1], O_WRONLY);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 77;
	if (argc > 2)
		return open(argv[1], O_WRONLY | O_TRUNC) < 0;
	return write(fd, "x", 1) == 1 ? 0 : 1;
}
END
cc -o "$T/sandbox" "$T/sandbox.c" || fail "no compiler"
cp "$T/v" "$T/before"
rc=0
"$T/sandbox" "$T/before" || rc=$?
if [ $rc -eq 0 ]; then
	cp "$T/v" "$T/before"
	for way in '' truncate; do
		expect 126 'seccomp' captured bash -c \
			"set -o pipefail; $T/sandbox $T/v $way 2>&1 | cat >&2"
	done
	cmp "$T/v" "$T/before" || fail "a sandboxed program has written"
fi

# ---- openat2 ----
# The name may mean something else than to other calls.
cat >"$T/at2.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct open_how how = {O_RDWR | O_TRUNC, 0, RESOLVE_IN_ROOT};
	int dir = open(argv[1], O_PATH | O_DIRECTORY);

	if (syscall(SYS_openat2, dir, argv[2], 0, sizeof(how)) >= 0 ||
	    (errno != EFAULT && errno != ENOSYS))
		return 2;
	return syscall(SYS_openat2, dir, argv[2], &how, sizeof(how)) >= 0 ? 0
	    : errno == ENOSYS ? 38 : argc;
}
END
cc -o "$T/at2" "$T/at2.c" || fail "no compiler"
printf 'content' | dd of="$T/v.mirror" conv=notrunc status=none
captured cp --reflink=never "$T/v.mirror" "$T/v" || fail "cp"
cp "$T/v" "$T/before"
ln -s /v "$T/to"
if "$T/at2" "$T" /before && cp "$T/v" "$T/before"; then
	for name in /v v to; do
		expect 38 '' captured "$T/at2" "$T" "$name"
	done
	cmp "$T/v" "$T/before" || fail "openat2 has truncated"
fi

# ---- companions ----
cat >"$T/empty.c" <<'END'
int nothing;
END
cc -shared -fPIC -o "$T/libeatmydata.so" "$T/empty.c" || fail "no compiler"
expect 125 'fsync' env AIM_HOME="$AIM" \
	LD_PRELOAD="$LIBRARY:$T/libeatmydata.so" true
expect 125 'fsync' env AIM_HOME="$AIM" \
	LD_PRELOAD="$T/libeatmydata.so:$LIBRARY" true

# ---- starting others ----
cat >"$T/hello.c" <<'END'
#include <unistd.h>
int main(void) { return write(1, "hello\n", 6) == 6 ? 0 : 1; }
END
cc -o "$T/dynamic" "$T/hello.c" || fail "no compiler"
expect 0 '' captured bash -c "$T/dynamic"
if cc -static -o "$T/static" "$T/hello.c" 2>/dev/null; then
	expect 126 'statically linked' captured bash -c "$T/static"
	expect 126 'statically linked' captured dash -c "$T/static"
	expect 126 'statically linked' captured env "$T/static"
	expect 1 'statically linked' captured python3 -c "
import subprocess, sys
try: subprocess.run(['$T/static'])
except PermissionError: sys.exit(1)"
	printf '#!%s\n' "$T/static" >"$T/script"
	chmod 755 "$T/script"
	expect 126 'statically linked' captured bash -c "$T/script"
fi
if cc -static-pie -o "$T/pie" "$T/hello.c" 2>/dev/null; then
	expect 126 'statically linked' captured bash -c "$T/pie"
fi
cp "$T/dynamic" "$T/foreign"
loader=$(strings -n 8 "$T/dynamic" | grep -m1 '^/.*ld-linux')
if [ -n "$loader" ]; then
	other=$(printf '%s' "$loader" | sed 's/ld-linux/ld-linuy/')
	sed -i "s|$loader|$other|" "$T/foreign"
	expect 126 'another C library' captured bash -c "$T/foreign"
fi
cp "$T/dynamic" "$T/other"
printf '\xf3\x00' | dd of="$T/other" bs=1 seek=18 conv=notrunc status=none
expect 126 'architecture' captured bash -c "$T/other"
cp "$T/dynamic" "$T/setuid"
if [ "$(id -u)" -eq 0 ]; then
	chown 65534 "$T/setuid"
	chmod 4755 "$T/setuid"
	expect 126 'setuid' captured bash -c "$T/setuid"
	chown 0:65534 "$T/setuid"
	chmod 2755 "$T/setuid"
	expect 126 'setgid' captured bash -c "$T/setuid"
fi
# The death of such a child in a write would lock the others out for good.
if [ "$(uname -m)" = x86_64 ] && command -v perl >/dev/null; then
	expect 125 'clone(2)' captured perl -e '
		open(my $f, "+<", $ARGV[0]) or die;
		my $pid = syscall(56, 17, 0, 0, 0, 0);
		if ($pid == 0) { syswrite($f, "x"); exit 0; }
		waitpid($pid, 0);
		exit($? >> 8);' "$T/v"
fi
# ld.so would leave out what the new user cannot read, and go on.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	cp "$LIBRARY" "$T/private.so"
	chmod 600 "$T/private.so"
	expect 126 'may not be read' env AIM_HOME="$AIM" \
		LD_PRELOAD="$T/private.so" setpriv --reuid 65534 \
		--regid 65534 --clear-groups "$T/dynamic"
fi
expect 0 '' captured bash -c "$loader $T/dynamic"
expect 127 '' captured bash -c "$T/absent"

# ---- and all that has harmed nothing ----
expect 0 '' captured dd if=/dev/zero of="$T/v" bs=64k count=2 status=none \
	conv=notrunc
replay || fail "replay"
cmp "$T/v" "$T/v.mirror" || fail "the mirror differs"
[ $bad -eq 0 ] || fail "$bad findings"
echo "ok: what cannot be captured is refused"
