#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real programs write to a protected disk: captured whole, or refused.
#
# Each run happens twice: plainly on one file, captured on a copy, with the
# tripwire where there is one. Then the mirror, redriven from what was captured,
# must be the captured file byte for byte, and the writes that strace has seen
# must be those of the journal, in number and bytes. What a run is expected to
# be:
#   same     the captured file is also what the plain run made
#   varies   the program puts times or random numbers in: not compared
#   refused  it fails, and a line "aim: ..." says why; the mirror is right
#   told     as same (told-varies: as varies), but a line "aim: ..." says what
#            was refused and what it went around
#   stopped  it ends by SIGSYS, and nothing is written
# $V is the volume, a file name in the current folder.

# shellcheck disable=SC2016 # $V is for the commands to expand
# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
ONLY=${1:-}
TRIPWIRE=
[ "$(uname -m)" != x86_64 ] || TRIPWIRE=AIM_TRIPWIRE=1
bad=0 done_runs=0 total=0 missing=()
command -v strace >/dev/null || skip "needs strace"

wrong() {
	echo "FAIL: $NAME: $*"
	bad=$((bad + 1))
}

# prepare DIR: the inputs and the volume of $SIZE bytes.
prepare() {
	mkdir "$1"
	cp -r "$T/seed/." "$1"
	truncate -s "$SIZE" "$1/v"
	[ -z "$BEFORE" ] || (cd "$1" && V=v bash -c "$BEFORE") \
		>"$T/before" 2>&1 || fail "$NAME: $(cat "$T/before")"
}

# here DIR PREFIX...: the run itself; status in $rc.
here() {
	local dir=$1
	shift
	rc=0
	(cd "$dir" && V=v exec "$@" timeout 60 bash -c "$COMMAND") \
		>"$dir.out" 2>"$dir.err" </dev/null || rc=$?
}

# check: the captured run against what is expected.
check() {
	local plain=$1 rc=$2
	local said=no whole=yes seen
	! grep -q '^aim: ' "$T/b.err" || said=yes
	cmp -s "$T/b/v" "$T/b/v.mirror" || whole=no
	seen=$("$(dirname "$0")/count_writes.py" "$(realpath "$T/b/v")" \
		"$T"/trace.*) || fail "count_writes.py"
	[ "$seen" = "$WRITES" ] ||
		wrong "writes and bytes: $seen seen, $WRITES in the journal"
	total=$((total + ${seen% *}))
	[ $whole = yes ] || wrong "writes were missed: the mirror differs"
	case $KIND in
	refused)
		[ $said = yes ] || {
			wrong "refused without a message (status $rc)"
			tail -n 3 "$T/b.out" "$T/b.err"
		}
		[ "$rc" -ne 0 ] || wrong "refused, but it succeeds"
		return
		;;
	stopped)
		[ "$rc" -eq 159 ] || wrong "status $rc, not 159"
		[ "$WRITES" = "0 0" ] || wrong "something was written"
		return
		;;
	told*) [ $said = yes ] || wrong "nothing was said" ;;
	*) [ $said = no ] || wrong "$(grep '^aim: ' "$T/b.err")" ;;
	esac
	[ "$rc" -eq "$plain" ] || {
		wrong "status $rc, plainly $plain"
		tail -n 3 "$T/a.err" "$T/b.err"
	}
	[[ $KIND = *varies ]] || cmp "$T/a/v" "$T/b/v" ||
		wrong "another result than plainly"
	[ "$TRANSACTIONS" -gt 0 ] || wrong "nothing was captured"
}

# run KIND PROGRAM NAME COMMAND [SIZE [BEFORE]]
run() {
	local plain
	KIND=$1 NAME=$3 COMMAND=$4 SIZE=${5:-8M} BEFORE=${6:-}
	[ -z "$ONLY" ] || [ "$ONLY" = "$NAME" ] || return 0
	command -v "$2" >/dev/null || {
		missing+=("$2")
		return 0
	}
	rm -rf "$T/a" "$T/b"
	prepare "$T/a"
	here "$T/a" env
	plain=$rc
	prepare "$T/b"
	group "$T/b/v"
	rm -f "$T"/trace.*
	here "$T/b" strace -ff -qq -y -s 0 -o "$T/trace" -e signal=SIGSYS \
		-e trace=write,pwrite64,writev,pwritev,pwritev2 --seccomp-bpf \
		env $TRIPWIRE AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY"
	replay || wrong "replay"
	check "$plain" "$rc"
	rm -rf "$AIM"
	done_runs=$((done_runs + 1))
}

mkdir -p "$T/seed/tree/sub"
head -c 1000000 /dev/urandom >"$T/seed/src"
head -c 300000 "$T/seed/src" >"$T/seed/tree/file"
seq 2000 >"$T/seed/tree/sub/lines"
seq 5000 | awk '{ print ($1 * 7919) % 5003 }' >"$T/seed/text"
truncate -s 3M "$T/seed/sparse"
dd if="$T/seed/src" of="$T/seed/sparse" bs=64k seek=20 count=3 conv=notrunc \
	status=none
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' \
	>"$T/seed/hello.c"
FS='E2FSPROGS_FAKE_TIME=1700000000 mkfs.ext4 -q -F -U 11111111-2222-3333-4444-555555555555 \
	-E hash_seed=11111111-2222-3333-4444-555555555555 $V'

# ---- copying ----
run same dd dd-truncating 'dd if=src of=$V bs=4k'
run same dd dd-notrunc 'dd if=src of=$V bs=3000 seek=7 conv=notrunc'
run same dd dd-fsync 'dd if=src of=$V bs=64k conv=notrunc,fsync'
run same dd dd-fdatasync 'dd if=src of=$V bs=64k conv=notrunc,fdatasync'
run same dd dd-dsync 'dd if=src of=$V bs=64k oflag=dsync conv=notrunc'
run same dd dd-sync 'dd if=src of=$V bs=64k oflag=sync count=5 conv=notrunc'
run same dd dd-direct 'dd if=src of=$V bs=64k oflag=direct count=10 conv=notrunc'
run same dd dd-append 'dd if=src of=$V bs=5000 oflag=append conv=notrunc'
run same dd dd-sparse 'dd if=sparse of=$V bs=64k conv=sparse,notrunc'
run same dd dd-big 'dd if=/dev/zero of=$V bs=5M count=2'
run same dd dd-swab 'dd if=src of=$V conv=swab,notrunc bs=1k'
run same dd dd-excl-nocreat 'dd if=src of=$V conv=nocreat bs=1M'
run told cp cp-plain 'cp src $V'
run same cp cp-reflink-never 'cp --reflink=never src $V'
run refused cp cp-reflink-always 'cp --reflink=always src $V'
run same cp cp-sparse-always 'cp --sparse=always --reflink=never sparse $V'
run same cp cp-sparse-never 'cp --sparse=never --reflink=never sparse $V'
run told cp cp-sparse-auto 'cp --sparse=auto sparse $V'
run told cp cp-attributes-only 'cp --attributes-only src $V; cp src $V'
run refused cp cp-remove-destination 'cp --remove-destination src $V'
run refused mv mv-onto 'mv -f src $V'
run refused rm rm 'rm -f $V'
run refused ln ln-onto 'ln -f src $V'
run refused install install-onto 'install src $V'
run same cat cat-redirected 'cat src >$V'
run same cat cat-appended 'cat src >>$V'
run same cat cat-both 'cat src 1<>$V'
run same head head-redirected 'head -c 5000 src >$V'
run same rsync rsync-inplace 'rsync --inplace src $V'
run same rsync rsync-inplace-delta 'rsync --inplace --no-whole-file src $V'
run refused rsync rsync-renaming 'rsync src $V'
run same tar tar-create 'tar --sort=name --mtime=@0 -cf $V tree'
run same tar tar-append 'tar --mtime=@0 -rf $V src' 8M \
	'tar --sort=name --mtime=@0 -cf $V tree'
run refused tar tar-extract-onto 'tar -xf x.tar' 8M \
	'cp $V keep; cp src v2; tar --transform s/v2/v/ -cf x.tar v2'
run same tar tar-extract-overwrite 'tar --overwrite -xf x.tar' 8M \
	'cp src v2; tar --transform s/v2/v/ -cf x.tar v2'
run same cpio cpio-create 'cd tree && find . -type f | LC_ALL=C sort |
	cpio --quiet --reproducible -o -H newc >../$V'
run same split split-filter 'split -b 1M --filter="cat >>$V" src'
run same shred shred-zero 'shred -n 0 -z $V'
run varies shred shred-random 'shred -n 2 $V'
run same truncate truncate-grow 'truncate -s 20M $V'
run same truncate truncate-shrink 'truncate -s 100 $V'
run same fallocate fallocate-extend 'fallocate -l 9M $V'
run same fallocate fallocate-punch 'fallocate -p -o 4000 -l 100000 $V' 8M \
	'dd if=src of=$V conv=notrunc'
run same fallocate fallocate-zero 'fallocate -z -o 4000 -l 100000 $V' 8M \
	'dd if=src of=$V conv=notrunc'
run same fallocate fallocate-dig 'fallocate -d $V; echo x >>$V' 8M \
	'dd if=sparse of=$V conv=notrunc'
run refused fallocate fallocate-collapse 'fallocate -c -o 0 -l 4096 $V'
run refused fallocate fallocate-insert 'fallocate -i -o 0 -l 4096 $V'

# ---- partitions and file systems ----
run same sfdisk sfdisk-dos 'printf "label: dos\nlabel-id: 0x12345678\n,4M\n,,\n" |
	sfdisk -q $V'
run varies sfdisk sfdisk-gpt 'printf "label: gpt\n,4M\n,,\n" | sfdisk -q $V'
run varies fdisk fdisk-gpt 'printf "g\nn\n\n\n\nw\n" | fdisk $V'
run varies sgdisk sgdisk 'sgdisk -n 1:2048:+2M -n 2:: $V'
run varies parted parted 'parted -s $V mklabel gpt mkpart a 1MiB 3MiB'
run same wipefs wipefs 'wipefs -a $V' 16M "$FS"
run same mkfs.ext2 mkfs.ext2-d 'E2FSPROGS_FAKE_TIME=1700000000 mkfs.ext2 -q -F \
	-U 11111111-2222-3333-4444-555555555555 -d tree \
	-E hash_seed=11111111-2222-3333-4444-555555555555 $V' 16M
run varies mkfs.ext3 mkfs.ext3 'mkfs.ext3 -q -F $V' 16M
run varies mkfs.ext4 mkfs.ext4 'mkfs.ext4 -q -F $V' 64M
run varies mkfs.ext4 mkfs.ext4-full 'mkfs.ext4 -q -F \
	-E lazy_itable_init=0,lazy_journal_init=0 $V' 32M
run varies mke2fs mke2fs-d 'mke2fs -q -F -t ext4 -d tree $V' 32M
run varies e2fsck e2fsck 'e2fsck -fy $V; test $? -le 1' 16M \
	"$FS && debugfs -w -R 'clri <2>' \$V"
run varies tune2fs tune2fs 'tune2fs -L name -O ^has_journal $V' 16M "$FS"
run varies resize2fs resize2fs 'e2fsck -fp $V && resize2fs $V 30M' 16M "$FS"
run varies debugfs debugfs 'debugfs -w -R "write src x" $V' 16M "$FS"
run varies e2image e2image 'e2image -ra fs $V' 16M \
	'truncate -s 16M fs && mkfs.ext4 -q -F fs'
run varies mkfs.xfs mkfs.xfs 'mkfs.xfs -q -f $V' 320M
run varies xfs_db xfs_db 'xfs_db -x -c "sb 0" -c "write fname \"abc\"" $V' 320M \
	'mkfs.xfs -q $V'
run varies xfs_repair xfs_repair 'xfs_repair $V' 320M \
	'mkfs.xfs -q $V && xfs_db -x -c "sb 0" -c "write icount 9" $V'
run varies xfs_io xfs_io 'xfs_io -c "pwrite 0 1m" -c "fpunch 4k 64k" \
	-c "fzero 128k 4k" -c fsync $V'
run refused xfs_io xfs_io-map 'xfs_io -c "mmap -rw 0 64k" -c "mwrite 0 4k" $V;
	cmp -n 4096 $V /dev/zero && false'
run varies mkfs.btrfs mkfs.btrfs 'mkfs.btrfs -q -f $V' 128M
run varies mkfs.btrfs mkfs.btrfs-r 'mkfs.btrfs -q -f -r tree $V' 128M
run varies mkfs.vfat mkfs.vfat 'mkfs.vfat $V' 16M
run varies fsck.vfat fsck.vfat 'fsck.vfat -a $V; true' 16M 'mkfs.vfat $V &&
	printf "\1\2\3" | dd of=$V bs=1 seek=2050 conv=notrunc'
run varies mkswap mkswap 'mkswap $V'
run same badblocks badblocks 'badblocks -w -t 0x5a -b 4096 $V'

# ---- databases ----
for mode in DELETE TRUNCATE PERSIST MEMORY OFF; do
	run same sqlite3 sqlite-$mode "sqlite3 \$V 'PRAGMA journal_mode=$mode;
	CREATE TABLE t(a, b); WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL
	SELECT x + 1 FROM c LIMIT 5000) INSERT INTO t SELECT x, x * x FROM c;
	CREATE INDEX i ON t(b); DELETE FROM t WHERE a % 3 = 0; VACUUM;'" 0
done
run varies sqlite3 sqlite-WAL "sqlite3 \$V 'PRAGMA journal_mode=WAL;
	CREATE TABLE t(a); INSERT INTO t VALUES (1), (2);
	PRAGMA wal_checkpoint(TRUNCATE);'" 0

# A table of a cluster: its file is the volume. (PostgreSQL does not run as
# root; in a user namespace of its own it is nobody, with root's files.)
for bin in /usr/lib/postgresql/*/bin; do
	PATH=$PATH:$bin
done
PG='unshare -U postgres --single -D pg postgres'
mkdir "$T/cluster"
if command -v initdb >/dev/null && command -v postgres >/dev/null &&
	(cd "$T/cluster" && unshare -U initdb -N -A trust -D pg &&
		echo 'CREATE TABLE t AS SELECT 1 AS a;' | $PG) \
		>"$T/before" 2>&1; then
	PLACE=$(cd "$T/cluster" &&
		echo "SELECT 'at:' || pg_relation_filepath('t');" |
		$PG 2>/dev/null |
		sed -n 's/.*"at:\([^"]*\)".*/\1/p' | tail -n 1)
	run varies postgres postgres-single "printf '%s\n' \
		'INSERT INTO t SELECT generate_series(2, 20000);' \
		'UPDATE t SET a = a + 1 WHERE a % 3 = 0;' \
		'DELETE FROM t WHERE a % 5 = 0;' 'VACUUM t;' 'CHECKPOINT;' |
		$PG" 0 "cp -r '$T/cluster/pg' pg &&
		mv 'pg/$PLACE' v && ln -s \$PWD/v 'pg/$PLACE'"
else
	tail -n 3 "$T/before" 2>/dev/null
	missing+=(postgres)
fi

# ---- languages ----
run same perl perl-print 'perl -e "open(F, q(>), q($V)) or die;
	print F qq(line \$_\n) for 1..9000; close F or die"'
run same perl perl-syswrite 'perl -e "open(F, q(+<), q($V)) or die;
	sysseek F, 5000, 0; syswrite F, q(x) x 9000 or die; truncate F, 90000"'
run same python3 python-file 'python3 -c "
f = open(\"$V\", \"r+b\"); f.seek(100); f.write(b\"x\" * 100000); f.close()
with open(\"$V\", \"a\") as f: f.write(\"text at the end\")"'
run same python3 python-os 'python3 -c "
import os
fd = os.open(\"$V\", os.O_RDWR)
os.write(fd, b\"abc\"); os.pwrite(fd, b\"d\" * 70000, 5)
os.pwritev(fd, [b\"e\" * 100, b\"f\" * 9], 200000); os.writev(fd, [b\"gh\", b\"i\"])
os.ftruncate(fd, 5000000); os.truncate(\"$V\", 4999999); os.fsync(fd)
os.posix_fallocate(fd, 0, 6000000)
os.sendfile(fd, os.open(\"src\", 0), 0, 300000)
os.copy_file_range(os.open(\"src\", 0), fd, 300000, 0, 400000)"'
run same python3 python-subprocess 'python3 -c "
import subprocess
f = open(\"$V\", \"wb\")
subprocess.run([\"cat\", \"src\"], stdout=f, env={}, check=True)
subprocess.run([\"sh\", \"-c\", \"echo end\"], stdout=f, close_fds=True, check=True)"'
run refused python3 python-mmap 'python3 -c "
import mmap
f = open(\"$V\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[5] = 7; m.flush()"'
run same python3 python-mmap-read 'python3 -c "
import mmap
f = open(\"$V\", \"r+b\"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
f.write(m[0:10] + b\"x\"); f.close()"'
run refused python3 python-replace 'python3 -c "import os; os.replace(\"src\", \"$V\")"'

if [ -n "$TRIPWIRE" ]; then
	run same python3 python-ctypes 'python3 -c "
import ctypes, os
c = ctypes.CDLL(\"libc.so.6\", use_errno=True)
fd = os.open(\"$V\", os.O_RDWR)
assert c.write(fd, b\"a\" * 5000, 5000) == 5000
assert c.pwrite(fd, b\"b\" * 70, 70, ctypes.c_long(9000)) == 70
assert c.ftruncate(fd, ctypes.c_long(5000000)) == 0
assert c.syscall(1, fd, b\"c\" * 9, 9) == 9
c.dup2(fd, 1); c.puts(b\"from inside\"); c.fflush(None)"'
fi

# ---- programs that libc does not carry ----
cat >"$T/seed/hand.c" <<'END'
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int fd = open(argv[argc - 1], O_WRONLY);
	return write(fd, "by hand", 7) == 7 ? 0 : 1;
}
END
run refused cc static-program './hand $V' 8M 'cc -static -o hand hand.c'
run refused cc static-by-env 'env -i ./hand $V' 8M 'cc -static -o hand hand.c'
run refused cc static-pie './hand $V' 8M 'cc -static-pie -o hand hand.c'
run same cc dynamic-program './hand $V' 8M 'cc -o hand hand.c'
run same cc dynamic-by-env 'env -i ./hand $V' 8M 'cc -o hand hand.c'
# Go programs, without libc and with it; they make system calls themselves.
run refused golang-petname go-static 'golang-petname >>$V'
[ -z "$TRIPWIRE" ] || run stopped age-keygen go-dynamic 'age-keygen >>$V'
if [ -n "$TRIPWIRE" ]; then
	for what in writes truncates copies threads; do
		run same cc inline-$what "$BUILD/tests/preload_inline $what \$V"
	done
	run stopped cc static-past-checks "$BUILD/tests/preload_inline execs \
		\$V ./hand \$V" 8M 'cc -static -o hand hand.c'
	run stopped cc dynamic-past-checks "$BUILD/tests/preload_inline execs \
		\$V ./hand \$V" 8M 'cc -o hand hand.c'
fi

# ---- text ----
run same bash bash-echo 'echo hello >$V; echo more >>$V; printf "%s\n" a b >>$V'
run same bash bash-exec 'exec >>$V; echo one; cat text; printf two'
run same bash bash-block '{ echo a; seq 1000; } >$V 2>&1'
run same dash dash-echo 'dash -c "echo hello >$V; cat text >>$V; echo end >>$V"'
run same tee tee 'tee $V <text >/dev/null'
run same tee tee-append 'seq 9 | tee -a $V | cat >/dev/null'
run same awk awk-output 'awk -v v=$V "{ print \$1 * 2 > v }" text'
run same awk awk-stdout 'awk "{ print \$1 + 1 }" text >$V'
run same sort sort-o 'sort -n -o $V text'
run same sort sort-stdout 'sort text >$V'
run same sed sed-w 'sed -n "w $V" text'
run same sed sed-stdout 'sed s/1/2/ text >$V'
run refused sed sed-i 'sed -i s/1/2/ $V' 0 'cp text $V'
run refused perl perl-i 'perl -pi -e s/1/2/ $V' 0 'cp text $V'
run same gzip gzip-stdout 'gzip -nc text >$V'
run same xz xz-stdout 'xz -c text >$V'
run same zstd zstd-stdout 'zstd -qc text >$V'
run same openssl openssl-enc 'openssl enc -aes-128-cbc -K 00 -iv 00 -in src \
	-out $V 2>/dev/null'
run told gcc gcc-output 'gcc -o $V hello.c -Wl,--build-id=none || gcc -c -o $V hello.c'
run told as as-output 'echo nop | as -o $V'
run same printf env-printf 'env printf "%d\n" 1 2 3 >$V'
run same date date-stderr 'date --nonsense 2>$V; true'
[ "$(id -u)" -ne 0 ] || run refused setpriv no-such-rights 'printf "#!/bin/true\n" >s; chmod 4755 s;
	cp /bin/true ./t; chmod 4755 t;
	setpriv --reuid 65534 --clear-groups ./t' 0
run same curl curl-o 'curl -s -o $V "file://$PWD/text"'
run same jq jq-stdout 'jq -n "[range(500)]" >$V'
run same ed ed-write 'printf "1d\nw $V\nq\n" | ed -s text'
run same vim vim-write 'vim -es -u NONE -c "set nobackup nowritebackup" \
	-c "w! $V" -c "qa!" text'
run refused patch patch-file 'printf "1c1\n< 5\n---\n> 6\n" | patch $V' 0 \
	'seq 5 9 >$V'
run same tclsh tcl-write 'echo "set f [open $V r+]; seek \$f 9; puts \$f abc; close \$f" |
	tclsh'
run same node node-write 'UV_USE_IO_URING=0 node -e "const fs = require(\"fs\");
	const f = fs.openSync(\"$V\", \"r+\"); fs.writeSync(f, \"abc\", 70);
	fs.ftruncateSync(f, 5000); fs.copyFileSync(\"text\", \"$V\");
	fs.createWriteStream(\"$V\", {flags: \"r+\", start: 9}).end(\"xyz\");"'
run same git git-hash 'git hash-object src >$V'

# ---- virtual disks and benchmarks ----
run told-varies qemu-img qemu-img-raw 'qemu-img convert -n -f raw -O raw src.raw $V' \
	8M 'truncate -s 8M src.raw; dd if=src of=src.raw conv=notrunc'
run told-varies qemu-img qemu-img-qcow2 'qemu-img create -q -f qcow2 $V 64M' 0
run told-varies qemu-io qemu-io 'qemu-io -f raw -c "write -P 7 0 64k" \
	-c "write -z 128k 64k" -c "discard 1M 1M" -c flush $V'
run told-varies qemu-io qemu-io-direct 'qemu-io -f raw -n -c "write -P 7 0 64k" $V'
run told-varies qemu-io qemu-io-native 'qemu-io -f raw -n -i native \
	-c "write -P 7 0 64k" -c "aio_write -P 8 1M 64k" -c "aio_flush" -c flush $V'
run refused qemu-io qemu-io-uring 'qemu-io -f raw -i io_uring \
	-c "write -P 7 0 64k" $V'
# libc's helper threads are captured where libc is patched.
engines='psync sync vsync pvsync pvsync2 libaio' refused='io_uring mmap splice'
if [ "$(uname -m)" = x86_64 ]; then
	engines="$engines posixaio"
else
	refused="$refused posixaio"
fi
for engine in $engines; do
	run varies fio "fio-$engine" "fio --name=a --filename=\$V --size=8M --bs=4k \
	--rw=randwrite --io_size=2M --ioengine=$engine --end_fsync=1"
done
for engine in $refused; do
	run refused fio "fio-$engine" "fio --name=a --filename=\$V --size=8M \
	--bs=4k --rw=write --io_size=1M --ioengine=$engine"
done

mapfile -t missing < <(printf '%s\n' ${missing[@]+"${missing[@]}"} | sort -u)
echo "runs: $done_runs"
[ ${#missing[@]} -eq 0 ] || [ -z "${missing[0]}" ] ||
	echo "not installed: ${missing[*]}"
[ $bad -eq 0 ] || fail "$bad findings"
[ -n "$ONLY" ] || [ "$done_runs" -ge 80 ] || fail "fewer than 80 runs"
[ -n "$ONLY" ] || [ "$total" -ge 1000 ] || fail "strace has seen nothing"
echo "ok: $done_runs runs captured whole or refused; $total writes counted"
