#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every call of the manager's contract: exit codes, outputs, JSON fields.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

say "usage is 2, and tells"
expect 2 aim-manager
expect 2 aim-manager --home "$HERE" nonsense
says 'aim-manager'
expect 2 aim-manager --home "$HERE" init
expect 2 aim-manager --home "$HERE" init --site
expect 2 aim-manager --home "$HERE" init --nonsense x
expect 2 aim-coordinator --nonsense
expect 2 aimdump
expect 2 aimdump --nonsense
expect 2 aimdump "$T/none"
for words in '' volume 'volume add' group 'group export' mirror 'mirror add' \
	'mirror export' destination 'destination add' base run status wait \
	marker init; do
	# shellcheck disable=SC2086 # words
	expect 0 aim-manager $words --help
	says 'aim-manager'
done
expect 0 aim-coordinator --help
expect 0 aimdump --help

say "init"
expect 4 here status
says 'init'
expect 4 aim-coordinator --home "$HERE" --once
expect 4 here init --site ../x
expect 4 here init --site ''
expect 0 here init --site here
expect 4 here init --site here
expect 0 there init --site there
[ "$(stat -c %a "$HERE/keys/site.key")" = 600 ] || fail "the key's mode"

say "volume add"
truncate -s 8M "$T/disk.img"
truncate -s 1M "$T/db.img"
expect 4 here volume add disk "$T/none"
expect 4 here volume add 'a b' "$T/disk.img"
expect 4 here volume add disk "$T"
expect 4 here volume add disk /dev/null
expect 2 here volume add disk
expect 0 here volume add disk "$T/disk.img"
expect 4 here volume add disk "$T/db.img"
expect 4 here volume add again "$T/disk.img"
ln -s disk.img "$T/link.img"
expect 4 here volume add again "$T/link.img"
(cd "$T" && expect 0 here volume add db db.img --group disk)
VOLUMES=(disk:disk disk:db)

say "before there is a destination"
expect 4 here base disk
says 'destination'
expect 4 here base nobody
expect 4 here wait disk --timeout 1
expect 4 here wait nobody
expect 4 here marker nobody x
expect 0 here status disk
expect 4 here status nobody
expect 0 here status --json

say "group export fixes the group"
expect 4 here group export nobody
here group export disk >"$T/disk.pairing" 2>"$T/print" || fail "export: $?"
grep -qi 'fingerprint' "$T/print" || fail "no fingerprint"
print=$(grep -oE '[0-9a-f]{16,}' "$T/print" | head -n 1)
truncate -s 1M "$T/late.img"
expect 4 here volume add late "$T/late.img" --group disk
expect 0 here volume add late "$T/late.img"
here group export disk 2>/dev/null >"$T/again" || fail "export again: $?"

say "mirror add"
refused() {
	expect 4 there "$@"
	if [ -e "$T/disk.mir" ] || [ -n "$(ls -A "$T/in")" ]; then
		fail "a refused command left something: $*"
	fi
}
add=(mirror add disk --pairing "$T/disk.pairing" --incoming "$T/in")
mkdir "$T/in"
expect 2 there mirror add disk --pairing "$T/disk.pairing"
refused "${add[@]}" --onto "disk=$T/disk.mir" --create
says 'db'
refused "${add[@]}" --onto "disk=$T/disk.mir" --onto "db=$T/db.mir"
refused "${add[@]}" --onto "disk=$T/disk.mir" --onto "db=$T/db.mir" \
	--onto "more=$T/more.mir" --create
refused "${add[@]}" --onto "disk=$T/disk.mir" --onto "db=$T/db.mir" \
	--create --fingerprint 00112233445566778899aabbccddeeff
says 'fingerprint'
sed 's/^stream ./&0/' "$T/disk.pairing" >"$T/forged"
refused mirror add disk --pairing "$T/forged" --incoming "$T/in" \
	--onto "disk=$T/disk.mir" --onto "db=$T/db.mir" --create
expect 0 there "${add[@]}" --onto "disk=$T/disk.mir" --onto "db=$T/db.mir" \
	--create --fingerprint "$print"
expect 4 there "${add[@]}" --onto "disk=$T/disk.mir" --onto "db=$T/db.mir"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "export: $?"
expect 4 there mirror export nobody

say "destination add"
expect 2 here destination add there
expect 4 here destination add there --group nobody --url "file://$T/in" \
	--pairing "$T/disk.mirror"
for url in "ftp://h/x" "http://h/x" "/x" "file://relative" "sftp://h/x" \
	"sftp://u@h:0/x" "sftp://u@h:99999/x" "sftp:///x"; do
	expect 4 here destination add there --group disk --url "$url" \
		--pairing "$T/disk.mirror"
done
expect 4 here destination add there --group disk \
	--url "sftp://u@127.0.0.1/x" --pairing "$T/disk.mirror"
says 'known'
expect 4 here destination add there --group disk --url "file://$T/in" \
	--pairing "$T/disk.pairing"
expect 0 here destination add there --group disk --url "file://$T/in" \
	--pairing "$T/disk.mirror"
expect 4 here destination add there --group disk --url "file://$T/in" \
	--pairing "$T/disk.mirror"

say "base and wait, without a coordinator and with"
expect 0 here base disk
expect 0 here base disk
expect 4 here wait disk
says 'coordinator'
expect 3 here wait disk --timeout 1
both
expect 4 aim-coordinator --home "$HERE" --once
says 'coordinator'
expect 4 timeout 10 aim-coordinator --home "$HERE"
settled disk
mirrored
expect 0 here wait disk --stored --timeout 10
expect 0 here wait disk --destination there --timeout 10
expect 4 here wait disk --destination nobody --timeout 10
expect 0 there wait disk --timeout 10

say "run gives the command's status"
expect 0 here run disk -- true
expect 7 here run disk -- sh -c 'exit 7'
# shellcheck disable=SC2016 # for perl
expect 7 perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' \
	aim-manager --home "$HERE" run disk -- sh -c 'exit 7'
expect 137 here run disk -- sh -c 'kill -9 $$'
expect 143 here run disk -- sh -c 'kill $$'
expect 159 here run disk -- sh -c 'kill -SYS $$'
says 'stopped at a system call'
if [ "$(uname -m)" = x86_64 ]; then
	expect 159 here run disk -- "$BUILD/tests/preload_inline" execs \
		"$T/disk.img" /bin/true --version
	says 'stopped at a system call'
	expect 0 here run disk -- grep -q '^Seccomp:.2' /proc/self/status
	# A container may have a filter of its own.
	! grep -q '^Seccomp:.0' /proc/self/status ||
		expect 1 here run --no-tripwire disk -- \
			grep -q '^Seccomp:.2' /proc/self/status
fi
expect 127 here run disk -- "$T/none"
expect 127 here run disk -- no-such-program-anywhere
expect 126 here run disk -- "$T/disk.pairing"
expect 2 here run disk
expect 2 here run
expect 125 here run nobody -- true
says '^aim: '
expect 0 here run late -- true # rule 9.19: writes pass, it is told
says '^aim: .*no base'

say "marker prints its number alone"
OUT=$(here marker disk one) || fail "marker: $?"
case $OUT in
'' | *[!0-9]*) fail "marker printed \"$OUT\"" ;;
esac
expect 4 here marker disk 'a b'
says 'name of a marker:'

say "the fields of status --json"
settled disk
here status --json >"$T/here.json" || fail "status --json: $?"
there status --json >"$T/there.json" || fail "status --json: $?"
python3 - "$T/here.json" "$T/there.json" <<'END' || fail "status --json"
import json, sys, uuid
def check(path, name, role):
    s = json.load(open(path))
    assert s["format"] == 1
    assert s["site"]["name"] == name
    uuid.UUID(s["site"]["uuid"])
    g = next(x for x in s["groups"] if x["name"] == "disk")
    uuid.UUID(g["uuid"])
    assert g["role"] == role, g["role"]
    states = ("unprotected base streaming paused stalled unclean suspect "
              "inconsistent").split()
    for x in s["groups"]:
        assert x["state"] in states, x["state"]
        assert "next" in x
    assert g["state"] == "streaming", g
    return g
g = check(sys.argv[1], "here", "source")
assert isinstance(g["epoch"], int) and g["epoch"] == 1
assert isinstance(g["captured"], int) and g["captured"] > 0
assert g["sealed"] == g["captured"], g
d = g["destinations"][0]
assert d["name"] == "there" and d["state"] == "streaming", d
assert d["stored"] == d["applied"] == g["sealed"], d
assert d["lag_seconds"] < 60 and d["lag_bytes"] == d["lag_files"] == 0, d
m = check(sys.argv[2], "there", "mirror")["mirror"]
assert m["received"] == m["applied"] == g["sealed"], m
assert m["consistent"] is True and m["state"] == "streaming", m
END

say "aimdump's exit codes"
file=$(find "$THERE/done" -name '*.aim' | sort | head -n 1)
expect 0 aimdump "$file"
says 'signature: not checked'
expect 0 aimdump --home "$THERE" "$file"
head -c 300 "$file" >"$T/cut.aim"
expect 1 aimdump "$T/cut.aim"
cp "$file" "$T/flip.aim"
printf 'X' | dd of="$T/flip.aim" bs=1 seek=120 conv=notrunc status=none
expect 1 aimdump "$T/flip.aim"
expect 2 aimdump "$file" "$T/none"
: >"$T/empty.aim"
expect 1 aimdump "$T/empty.aim"
expect 1 aimdump "$T/disk.pairing"

say "changes take effect without a restart"
truncate -s 1M "$T/two.img"
expect 0 here volume add two "$T/two.img"
VOLUMES+=(two:two)
here group export two >"$T/two.pairing" 2>/dev/null || fail "export: $?"
expect 0 there mirror add two --pairing "$T/two.pairing" --incoming "$T/in" \
	--onto "two=$T/two.mir" --create
there mirror export two >"$T/two.mirror" 2>/dev/null || fail "export: $?"
expect 0 here destination add there --group two --url "file://$T/in" \
	--pairing "$T/two.mirror"
expect 0 here base two
settled two
must captured two dd if=/dev/urandom of="$T/two.img" bs=4k count=9 \
	conv=notrunc status=none
settled two
mirrored
stop "$HERE"
stop "$THERE"
must captured two dd if=/dev/urandom of="$T/two.img" bs=4k count=1 \
	conv=notrunc status=none
expect 4 here wait two
says 'coordinator'

say "commands that are shown can be typed, whatever the home is called"
expect 0 aim-manager --home "$T/it's a home" init --site odd
expect 0 aim-manager --home "$T/it's a home" status
next=$(printf '%s\n' "$OUT" | sed -n 's/^ *next: //p')
truncate -s 1M "$T/odd.img"
expect 0 bash -c "${next/NAME PATH/odd \"$T/odd.img\"}"
next=$(printf '%s\n' "$OUT" | sed -n 's/^ *next: //p')
expect 0 bash -c "${next/FILE/\"$T/odd.pairing\"}"
[ -s "$T/odd.pairing" ] || fail "no pairing text by: $next"

say "a home that lost its name is told how to get it back"
rm "$T/it's a home/state/site"
expect 4 aim-manager --home "$T/it's a home" status
says 'has lost state/site'
says 'sqlite3'
pass
