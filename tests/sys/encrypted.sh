#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An encrypted group: nothing can be read on the way, keys come and go.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sqlite3

SECRET=BlueWhaleSongs

# put BLOCK COUNT: so many blocks of the secret under capture, from BLOCK on.
put() {
	must captured disk python3 - "$T/disk.img" "$1" "$2" $SECRET <<'END'
import os, sys
path, at, n, word = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
fd = os.open(path, os.O_WRONLY)
for i in range(at, at + n):
    os.pwrite(fd, ((word + str(i) + " ") * 400)[:4096].encode(), i * 4096)
os.fsync(fd)
END
}

# id_of STATE: the key of the group at the source that is in that state.
id_of() {
	here key list --json >"$T/keys" || fail "key list"
	python3 -c 'import json, sys
print(*[k["id"] for k in json.load(open(sys.argv[1]))["keys"]
	if k["state"] == sys.argv[2]])' "$T/keys" "$1"
}

# hidden: neither the secret nor a key is in what others may come to see.
hidden() {
	local found
	found=$(grep -rlaF "$SECRET" "$HERE/sealed" "$THERE/stage" \
		"$THERE/done" "$T/landing")
	[ -z "$found" ] || fail "in the open: $found"
	# Each key's secret half, wherever it could be but in its own file.
	for key in "$HERE"/keys/groups/*/*.key; do
		sed -n 's/^key //p' "$key" >"$T/pattern"
		[ "$(stat -c %a "$key")" = 600 ] || fail "mode of $key"
		found=$(grep -rlaF -f "$T/pattern" "$HERE/sealed" \
			"$HERE/state" "$HERE/catalogue.db" "$THERE/state" \
			"$THERE/catalogue.db" "$T/landing" \
			"$T"/*.log "$T"/*.pairing "$T"/*.mirror)
		[ -z "$found" ] || fail "a key is in $found"
	done
}

waits() { is there disk 'g["state"]' stalled; }
sealed_with() {
	aimdump --json "$(find "$HERE/sealed" -name '*.aim' | sort | tail -n 1)" |
		grep -q "\"group_key_id\":\"$1\""
}

say "a group that is encrypted from the beginning, and a base"
sites
truncate -s 8M "$T/disk.img"
quietly here volume add disk "$T/disk.img" --encrypt
VOLUMES+=(disk:disk)
expect 4 here volume add more "$T/disk.img" --group disk --encrypt
printf %s $SECRET | dd of="$T/disk.img" bs=1 seek=5000 conv=notrunc status=none
pair disk file
grep -qx 'encrypted yes' "$T/disk.pairing" || fail "pairing text"
both
quietly here base disk
first=$(id_of current)

say "the mirror waits for its key, says so, and goes on when it has it"
within 30 waits || fail "it does not wait"
there status disk >"$T/status"
grep -q "needs key $first" "$T/status" || {
	cat "$T/status"
	fail "the key is not named"
}
expect 0 here key export disk --to "$T/disk.key"
[ "$(stat -c %a "$T/disk.key")" = 600 ] || fail "mode of the exported key"
expect 4 here key export disk --to "$T/disk.key"
sed 's/^key ./key x/' "$T/disk.key" >"$T/bad.key"
expect 4 there key import disk "$T/bad.key"
expect 4 there key import nothing "$T/disk.key"
quietly there key import disk "$T/disk.key"
settled disk
mirrored

say "writes, and nothing of them to be read on the way"
hidden
put 10 50
here marker disk one >/dev/null || fail marker
settled disk
mirrored
hidden

say "aimdump: the header without the key, all with it"
file=$(find "$THERE/done" -name '*.aim' | sort | tail -n 1)
expect 0 aimdump "$file"
says "encrypted: with key $first, which was not given"
! printf '%s' "$OUT" | grep -q '  marker ' || fail "it shows entries"
expect 2 aimdump --verify "$file"
says 'stored bytes valid, content not checked'
must aimdump --verify --key "$T/disk.key" "$THERE"/done/*/*.aim >"$T/dump"
grep -q '"one"' "$T/dump" || fail "no marker with --key"
must aimdump --verify --home "$THERE" "$THERE"/done/*/*.aim >"$T/dump"
grep -q '"one"' "$T/dump" || fail "no marker with --home"

say "rotation under writes: the new key is there before it is used"
( put 100 400 ) &
writer=$!
quietly here key generate disk
expect 4 here key generate disk
second=$(id_of next)
rm "$T/disk.key"
quietly here key export disk --to "$T/disk.key"
grep -qx "id $second" "$T/disk.key" || fail "the newest is not exported"
quietly there key import disk "$T/disk.key"
quietly here key rotate disk
[ "$(id_of current) $(id_of kept)" = "$second $first" ] || fail "rotated"
wait $writer || fail "the writer: $?"
put 600 100
here marker disk two >/dev/null || fail marker
settled disk
within 20 sealed_with "$second" || fail "the new key is not used"
mirrored
hidden

say "a key is retired when no file needs it any more"
expect 4 here key retire disk "$second"
says 'is in use'
unused() { here key retire disk "$first" >"$T/retire" 2>&1; }
within 40 unused || {
	cat "$T/retire"
	fail "it cannot be retired"
}
[ "$(id_of retired)" = "$first" ] || fail "it is not retired"
[ "$(find "$HERE/keys/groups" -name "$first.key" | wc -l)" = 0 ] ||
	fail "its file is there"
expect 4 there key retire disk "$second"

say "after a crash of both: the same, and a plain file is refused"
murder "$HERE"
murder "$THERE"
both
put 800 20
settled disk
mirrored
hidden
stop "$HERE"
sqlite3 "$HERE/catalogue.db" 'delete from group_key' || fail sqlite3
start "$HERE"
put 900 1
bare() { here status disk | grep -q 'nothing is sealed in the open'; }
within 20 bare || {
	here status disk
	fail "the source would seal in the open"
}
hidden
stop "$THERE"
pass
