#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A live QEMU log is followed, also when QEMU changes it and when we are killed.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need qemu-storage-daemon fio python3
fio --enghelp | grep -qw nbd || skip "needs fio with its nbd engine"

sites
volume disk 16M
dd if=/dev/urandom of="$T/disk.img" bs=1M count=16 conv=notrunc status=none
pair disk
both
quietly here base disk --wait
settled disk
must aim-logwrites prepare --home "$HERE" --volume "$T/disk.img" \
	"$T/log0" "$T/log1" "$T/log2"

# qmp JSON...: to the storage daemon, which must agree
qmp() {
	python3 - "$T/qmp" "$@" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for command in ['{"execute":"qmp_capabilities"}'] + sys.argv[2:]:
    f.write(command + "\n")
    f.flush()
    answer = {}
    while "return" not in answer and "error" not in answer:
        answer = json.loads(f.readline())
    if "error" in answer:
        sys.exit(command + ": " + str(answer["error"]))
END
}
# logging N: the options of the node that writes to log N
logging() {
	printf '{"driver":"blklogwrites","node-name":"lw%s","file":"disk",' "$1"
	printf '"log-append":true,"discard":"unmap","log":"log%s"}' "$1"
}
log_node() {
	printf '{"driver":"file","node-name":"log%s","filename":"%s"}' \
		"$1" "$T/log$1"
}
change() {
	qmp "{\"execute\":\"blockdev-add\",\"arguments\":$(log_node "$2")}" \
		"{\"execute\":\"blockdev-add\",\"arguments\":$(logging "$2")}" \
		"{\"execute\":\"blockdev-reopen\",\"arguments\":{\"options\":[
		{\"driver\":\"raw\",\"node-name\":\"top\",\"discard\":\"unmap\",
		\"file\":\"lw$2\"}]}}" \
		"{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"lw$1\"}}" \
		"{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"log$1\"}}" |
		tr '\n' ' ' || fail "the log is not changed"
}
qemu-storage-daemon --blockdev \
	"driver=file,node-name=disk,filename=$T/disk.img,discard=unmap" \
	--blockdev "$(log_node 0)" --blockdev "$(logging 0)" \
	--blockdev driver=raw,node-name=top,file=lw0,discard=unmap \
	--nbd-server "addr.type=unix,addr.path=$T/nbd" \
	--export type=nbd,id=e,node-name=top,name=disk,writable=on \
	--chardev "socket,id=c,path=$T/qmp,server=on,wait=off" \
	--monitor chardev=c >"$T/daemon.log" 2>&1 &
daemon=$!
within 10 test -S "$T/nbd" || fail "the storage daemon does not start"

follow() {
	aim-logwrites follow --home "$HERE" --volume "$T/disk.img" \
		--interval 50 "$@" >>"$T/follow.log" 2>&1 &
	follower=$!
}
# recorded LOG ENTRIES: the follower has come so far
recorded() {
	here logwrites list --json >"$T/list.json" || fail "list: $?"
	python3 - "$T/list.json" "$@" <<'END'
import json, sys
l = json.load(open(sys.argv[1]))["logs"][0]
sys.exit(l["state"] != "working" or
         (l["number"], l["entry"]) < (int(sys.argv[2]), int(sys.argv[3])))
END
}
# write: under load, with flushes, until $T/enough is there
write() {
	local seed=0
	while [ ! -e "$T/enough" ]; do
		seed=$((seed + 1))
		write_on 1 $seed
	done
}
# write_on SECONDS SEED
write_on() {
	fio --name=w --ioengine=nbd --uri="nbd+unix:///disk?socket=$T/nbd" \
		--rw=randwrite --bsrange=4k-64k --size=16M --time_based \
		--runtime="$1" --iodepth=1 --fsync=8 --randseed="$2" \
		--rate_iops=300 --end_fsync=1 --output="$T/fio.out" || fail "fio: status $?"
}

say "followed under load, while the log is changed"
follow "$T/log0" "$T/log1" "$T/log2"
write &
writer=$!
within 20 recorded 0 50 || fail "log0 is not followed"
change 0 1
within 20 recorded 1 20 || fail "log1 is not followed"
# Killed in the middle: it goes on from where it was.
kill -9 $follower
wait $follower 2>/dev/null
follow "$T/log0" "$T/log1" "$T/log2"
within 20 recorded 1 50 || fail "log1 is not followed any further"
change 1 2
within 20 recorded 2 20 || fail "log2 is not followed"
touch "$T/enough"
wait $writer || fail "the writer: status $?"
grep -q "log0 is at its end" "$T/follow.log" ||
	within 10 grep -q "log0 is at its end" "$T/follow.log" ||
	fail "log1 is not followed"
within 10 grep -q "log1 is at its end" "$T/follow.log" ||
	fail "log2 is not followed"

say "the last flush is in the mirror, with the log still open"
mirror_is() { cmp -s "$T/disk.img" "$T/disk.mir"; }
within 20 mirror_is || same "$T/disk.img" "$T/disk.mir"
expect 4 aim-logwrites import --home "$HERE" --volume "$T/disk.img" "$T/log0"
says 'programs are capturing'

say "ended, closed, and finished"
kill $follower
wait $follower || fail "it ended with status $?"
grep -q 'stopped before entry' "$T/follow.log" || fail "it does not say so"
kill $daemon
wait $daemon || fail "the storage daemon: status $?"
expect 0 aim-logwrites import --home "$HERE" --volume "$T/disk.img" "$T/log2"
settled disk
mirrored

say "a log that is lost under it is a gap: the disk is copied in"
must aim-logwrites prepare --home "$HERE" --volume "$T/disk.img" "$T/lost"
follow "$T/lost"
within 10 grep -q 'lost from entry' "$T/follow.log" || fail "not followed"
printf 'unlogged' | dd of="$T/disk.img" bs=1 seek=5M conv=notrunc status=none
dd if=/dev/zero of="$T/lost" bs=512 count=2 conv=notrunc status=none
rc=0
wait $follower || rc=$?
[ $rc -eq 1 ] || fail "status $rc"
grep -q 'cannot be followed any further' "$T/follow.log" || fail "not said"
gap='the log was begun anew, damaged or taken away'
is here disk 'g["logwrites"]["gap"]' "$gap" || fail "status tells of no gap"
within 30 mirror_is || same "$T/disk.img" "$T/disk.mir"
pass
