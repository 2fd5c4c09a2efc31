#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two volumes in one group reach their mirrors over SFTP under a mixed load.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sqlite3 sshd

sites
volume disk 64M data
volume db 1M data
pair data sftp
both
here base data --wait || fail "base: status $?"

say "several processes at once; small and big, growing and shrinking"
work=("$TOP/tests/sys/writer.py")
for seed in 1 2 3; do
	captured data python3 "${work[@]}" --seed $seed --count 2000 \
		"$T/disk.img" >"$T/w$seed.log" 2>&1 &
	pids[seed]=$!
done
captured data python3 "${work[@]}" --seed 4 --count 1500 --max 3000 --resize \
	"$T/db.img" "$T/disk.img" >"$T/w4.log" 2>&1 &
pids[4]=$!
captured data dd if=/dev/urandom of="$T/disk.img" bs=8M count=4 seek=1 \
	conv=notrunc,fsync status=none >"$T/w5.log" 2>&1 &
pids[5]=$!
for seed in 1 2 3 4 5; do
	wait "${pids[$seed]}" || fail "writer $seed: status $?"
done
settled data 120
mirrored

say "truncated to nothing and written anew"
must captured data sh -c ": > '$T/db.img'"
must captured data sqlite3 "$T/db.img" 'create table t (x);
	insert into t select hex(randomblob(500)) from generate_series(1,2000)'
settled data
mirrored
[ "$(sqlite3 "file:$T/db.mir?immutable=1" 'pragma integrity_check; select count(*) from t')" \
	= "ok
2000" ] || fail "the mirrored database"

say "the server dies and comes back; nothing is lost"
unserve
must captured data python3 "${work[@]}" --seed 9 --count 500 "$T/disk.img"
expect 3 here wait data --timeout 3
export SSHD_FIXED_PORT=$SSHD_PORT
serve
settled data 120
mirrored

say "another host key is refused, loudly"
unserve
cp "$SSHD_KNOWN_HOSTS" "$T/known"
mv "$T/sshd/host" "$T/sshd/host.good"
mv "$T/sshd/host.pub" "$T/sshd/host.good.pub"
serve
cp "$T/known" "$SSHD_KNOWN_HOSTS"
must captured data python3 "${work[@]}" --seed 10 --count 50 "$T/disk.img"
expect 3 here wait data --timeout 4
before=$(find "$(stream_of data)" -name '*.part' -o -name '*.aim' | wc -l)
[ "$before" -eq 0 ] || fail "something was sent to an unknown host"
OUT=$(here status)
says '[Hh][Oo][Ss][Tt] [Kk][Ee][Yy]'
unserve
mv "$T/sshd/host.good" "$T/sshd/host"
mv "$T/sshd/host.good.pub" "$T/sshd/host.pub"
serve
settled data 120
mirrored

stop "$HERE"
stop "$THERE"
pass
