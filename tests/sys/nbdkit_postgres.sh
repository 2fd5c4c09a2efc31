#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL on a captured disk loses power: its mirror has every witnessed row.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdfuse fusermount3 losetup mkfs.ext4 e2fsck setpriv python3
# shellcheck source=tests/nbd.sh
. "$TOP/tests/nbd.sh"
PGBIN=$(find /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
[ -n "$PGBIN" ] || skip "needs PostgreSQL"
PGBIN=$(dirname "$PGBIN")
id postgres >/dev/null 2>&1 || skip "needs the account postgres"
can_mount || skip "needs root, a loop device and FUSE"
RANDOM=${AIM_SEED:-$$}
say "seed ${AIM_SEED:-$$}"
export PGHOST=$T/pg PGUSER=postgres PGDATABASE=postgres
mkdir -p "$T/mnt" "$T/pg" "$T/check"
chown postgres "$T/pg"
at_end "umount -l '$T/mnt' '$T/check' 2>/dev/null"

as_postgres() {
	(cd / && exec setpriv --reuid postgres --regid postgres \
		--init-groups "$@")
}
ready() { "$PGBIN/pg_isready" -q; }
# database DIR: PostgreSQL on it; its number is in $DATABASE.
database() {
	rm -f "$1/postmaster.pid"
	as_postgres "$PGBIN/postgres" -D "$1" -k "$T/pg" \
		>>"$T/postgres.log" 2>&1 &
	DATABASE=$!
	within 60 ready || fail "PostgreSQL does not start on $1"
}
end_database() {
	local pid
	pid=$(head -n 1 "$1/postmaster.pid") || fail "no postmaster in $1"
	kill -INT "$pid" || fail "PostgreSQL has ended"
	wait "$DATABASE" || fail "PostgreSQL ended with status $?"
}
sql() { "$PGBIN/psql" -qAtX -c "$1" || fail "psql: $1"; }

# check IMAGE POSITION: a mirror as of POSITION, promoted by hand: it is
# mounted, and the database started.
check() {
	local loop missing sums
	loop=$(losetup --find --show "$1") || fail "losetup"
	at_end "free_loop $loop"
	must mount -t ext4 "$loop" "$T/check"
	database "$T/check/data"
	awk -v p="$2" '$2 <= p { print $1 }' "$T/notes" >"$T/rows.must"
	sql 'select row from witness order by row' >"$T/rows.are"
	missing=$(sort "$T/rows.must" | comm -23 - <(sort "$T/rows.are"))
	[ -z "$missing" ] || fail "at $2 witnessed rows are missing:" "$missing"
	sums=$(sql 'select count(distinct s) from (
		select sum(abalance) s from pgbench_accounts union all
		select sum(tbalance) from pgbench_tellers union all
		select sum(bbalance) from pgbench_branches union all
		select coalesce(sum(delta), 0) from pgbench_history) x')
	[ "$sums" = 1 ] || fail "at $2 the sums of pgbench differ"
	quietly "$PGBIN/pg_amcheck" --heapallindexed --install-missing \
		postgres
	end_database "$T/check/data"
	quietly as_postgres "$PGBIN/pg_checksums" --check -D "$T/check/data"
	must umount "$T/check"
	quietly e2fsck -fn "$loop"
	must losetup -d "$loop"
	say "at $2: $(wc -l <"$T/rows.must") witnessed rows of" \
		"$(wc -l <"$T/notes"), $(wc -l <"$T/rows.are") there"
}

# snapshot N: the mirror as it is now, and where that is.
snapshot() {
	stop "$THERE"
	cp --sparse=always "$T/pg.mir" "$T/snap.$1" || fail "cp"
	ask there pg 'g["mirror"]["applied"]' >"$T/snap.$1.at"
	[ "$(ask there pg 'g["mirror"]["consistent"]')" = true ] ||
		fail "the mirror is not consistent"
	start "$THERE"
}

mount_disk() {
	serve_disk pg "$T/pg.img" "$@"
	attach_disk
	[ "$(blkid -o value -s TYPE "$LOOP")" = ext4 ] ||
		quietly mkfs.ext4 -qF "$LOOP"
	must mount -t ext4 -o discard "$LOOP" "$T/mnt"
}

# power_loss: everything dies, and the file system forgets.
power_loss() {
	slay "$DATABASE"
	dead=$SLAIN
	kill -9 "$NBDKIT" "$NBDFUSE"
	murder "$HERE"
	shut_down "$T/mnt"
	wait "$DATABASE" "$NBDKIT" "$NBDFUSE" 2>/dev/null
	# shellcheck disable=SC2086 # a list of numbers
	gone $dead "$NBDKIT" "$NBDFUSE"
	must umount "$T/mnt"
	drop_disk
}

sites
volume pg 384M
pair pg file
both
here base pg --wait || fail "base: status $?"

say "a database on a captured disk"
mount_disk
mkdir "$T/mnt/data"
chown postgres "$T/mnt/data"
quietly as_postgres "$PGBIN/initdb" -D "$T/mnt/data" -A trust -U postgres \
	--data-checksums --wal-segsize=1 --no-sync --no-locale -E UTF8
cat >>"$T/mnt/data/postgresql.conf" <<'END'
listen_addresses = ''
shared_buffers = 16MB
max_wal_size = 32MB
min_wal_size = 8MB
checkpoint_timeout = 30s
dynamic_shared_memory_type = mmap
autovacuum_naptime = 2s
fsync = on
END
database "$T/mnt/data"
quietly "$PGBIN/pgbench" -i -s 2 -q
sql 'create table witness (row bigint primary key)'
sync -f "$T/mnt"
settled pg # a mirror from before this sync may hold no database yet
group=$(ls "$HERE/active") # the one that there is
: >"$T/notes"

rounds=3 snapshots=2 seconds=2
[ -z "$LONG" ] || rounds=10 snapshots=3 seconds=5
for ((round = 1; round <= rounds; round++)); do
	say "round $round: pgbench, until the power fails"
	"$PGBIN/pgbench" -n -c 4 -T 600 >"$T/pgbench.out" 2>&1 &
	pgbench=$!
	python3 "$TOP/tests/sys/pg_witness.py" "$T/notes" "${round}000000" \
		"$BUILD/tests/capture_tool" positions "$HERE" "$group" -- \
		"$PGBIN/psql" -qAtX 2>"$T/witness.out" &
	witness=$!
	for ((i = 0; i < snapshots; i++)); do
		sleep "$((RANDOM % seconds)).$((RANDOM % 10))"
		snapshot $i
	done
	sleep "1.$((RANDOM % 10))"
	power_loss
	wait $pgbench && fail "pgbench did not notice"
	wait $witness || fail "no row was witnessed: $(cat "$T/witness.out")"
	for ((i = 0; i < snapshots; i++)); do
		check "$T/snap.$i" "$(cat "$T/snap.$i.at")"
	done
	start "$HERE"
	settled pg
	mirrored
	snapshot last
	check "$T/snap.last" "$(cat "$T/snap.last.at")"
	mapfile -t lost < <(awk -v p="$(cat "$T/snap.last.at")" '$2 > p' \
		"$T/notes")
	[ ${#lost[@]} -eq 0 ] || fail "noted beyond the end: ${lost[*]}"

	# The source goes on, with another kind of commit.
	case $((round % 3)) in
	0) mount_disk commit=local ;;
	1) mount_disk commit=wal wal-size=8M ;;
	2) mount_disk commit=journal ;;
	esac
	database "$T/mnt/data"
done
rows=$(sql 'select count(*) from witness')
[ "$rows" -ge "$(wc -l <"$T/notes")" ] || fail "rows are lost at the source"
end_database "$T/mnt/data"
must umount "$T/mnt"
detach_disk
stop_disk
settled pg
mirrored
stop "$HERE"
stop "$THERE"
pass
