#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad journal files and acknowledgements: told, put away, mirror unchanged.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
forge=$BUILD/tests/sys/forge
[ -x "$forge" ] || fail "$forge is not built"

# a pass over a site that may meet trouble, but must not hang or die.
pass_of() {
	local rc=0
	timeout 30 aim-coordinator --home "$1" --once \
		>>"$T/$(basename "$1").log" 2>&1 || rc=$?
	case $rc in
	0 | 1 | 4) ;;
	*) fail "status $rc of a pass of $1 over $WHAT" ;;
	esac
}

sums() { sha256sum "$T/disk.mir" "$T/db.mir"; }
quarantined() { find "$THERE/quarantine" -type f -name '*.why' | wc -l; }

# unharmed [told]: after WHAT was put there, the mirror's site stays as it
# was, and with `told` has put a file away and says why.
unharmed() {
	local before=$QUARANTINED
	pass_of "$THERE"
	[ "$(sums)" = "$SUMS" ] || fail "$WHAT changed the mirror"
	is there data 'g["mirror"]["applied"]' "$APPLIED" ||
		fail "$WHAT moved the position"
	[ "$(ls -A "$T")" = "$LISTING" ] || fail "$WHAT made files outside"
	QUARANTINED=$(quarantined)
	if [ "${1:-}" = told ]; then
		[ "$QUARANTINED" -gt "$before" ] || [ "$before" -ge 120 ] ||
			fail "$WHAT was not put into quarantine"
		OUT=$(there status)
		says 'quarantine'
		rm -rf "$THERE"/quarantine/*
		QUARANTINED=0
	fi
	find "$stream" -mindepth 1 -maxdepth 1 ! -name ack \
		-exec rm -rf {} + 2>/dev/null
}

sites
volume disk 512K data
volume db 64K data
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
stream=$(stream_of data)
work() {
	must captured data python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count 4 --max 300 "$T/disk.img" "$T/db.img" >"$T/writer.log"
}
work 1
once "$HERE" "$THERE" "$HERE"
replay=$(find "$THERE/done" -name '*.aim' | sort | tail -n 1)
[ -n "$replay" ] || fail "no applied file is kept"
work 2
once "$HERE"
work 3
once "$HERE"
mkdir "$T/good" "$T/bad"
touch "$T/status.json" "$T/quietly" "$T/wait" "$T/dump"
mv "$stream"/*.aim "$T/good/"
mapfile -t good < <(find "$T/good" -name '*.aim' | sort)
[ ${#good[@]} -ge 2 ] || fail "fewer than two files to play with"
one=${good[0]}
two=${good[1]}
name=$(basename "$one")
SUMS=$(sums)
APPLIED=$(ask there data 'g["mirror"]["applied"]')
QUARANTINED=$(quarantined)
LISTING=$(ls -A "$T")
size=$(stat -c %s "$one")

say "cut short ($size bytes in all)"
for len in 0 1 8 16 639 640 641 700 $((size / 2)) $((size - 1)); do
	WHAT="the first $len bytes"
	head -c "$len" "$one" >"$stream/$name"
	unharmed
done
WHAT="a file that ends early, for the fifth time"

say "longer than it is"
for tail in 1 4096; do
	WHAT="$tail bytes too many"
	{
		cat "$one"
		head -c "$tail" /dev/zero
	} >"$stream/$name"
	unharmed told
done

say "one bit flipped"
for at in 0 17 40 100 200 300 400 500 600 639 $((size - 1)) \
	$((size / 2)) $((size * 3 / 4)); do
	[ "$at" -lt "$size" ] || continue
	WHAT="bit 3 of byte $at flipped"
	python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[int(sys.argv[3])] ^= 8
open(sys.argv[2], "wb").write(b)' "$one" "$stream/$name" "$at"
	unharmed
done

say "every length and every byte, shown by aimdump"
python3 - "$one" "$T/bad" <<'END' || fail "aimdump"
import os, subprocess, sys
good = open(sys.argv[1], "rb").read()
step = max(1, len(good) // 250)
tries = [good[:n] for n in range(0, len(good), step)]
for n in range(0, len(good), step):
    b = bytearray(good)
    b[n] ^= 1 << (n % 8)
    tries.append(bytes(b))
path = os.path.join(sys.argv[2], "x.aim")
for t in tries:
    open(path, "wb").write(t)
    r = subprocess.run(["aimdump", path], capture_output=True, timeout=20)
    assert r.returncode == 1, (r, len(t))
END

say "in the wrong order: the later one waits, and is not lost"
WHAT="the second file before the first"
cp "$two" "$stream/"
pass_of "$THERE"
[ "$(sums)" = "$SUMS" ] || fail "$WHAT changed the mirror"
rm -f "$stream"/*.aim

say "under another's name"
WHAT="the second file under the first one's name"
cp "$two" "$stream/$name"
unharmed told
WHAT="a file of long ago under the next one's name"
cp "$replay" "$stream/$name"
unharmed told

say "again, though it was applied"
WHAT="a file that was applied"
cp "$replay" "$stream/"
unharmed

say "signed by somebody else"
WHAT="a right file with a stranger's signature"
quietly aim-manager --home "$T/bad/evil" init --site evil
"$forge" "$one" "$stream/$name" "$T/bad/evil/keys/site.key" ||
	fail "forge"
unharmed told

key=$HERE/keys/site.key
say "signed by the source itself, and wrong"
for wish in stream=00000000-0000-4000-8000-000000000000 \
	group=00000000-0000-4000-8000-000000000000 \
	site=00000000-0000-4000-8000-000000000000 \
	prev=1 epoch=7 sequence=77 first=999999; do
	WHAT="$wish"
	"$forge" "$one" "$stream/$name" "$key" $wish || fail "forge $wish"
	unharmed told
done
for wish in address=0xfffffffff volume=1000 address=0x7ffffffffffffff0; do
	WHAT="$wish"
	# The writer itself may refuse to make such a file.
	if "$forge" "$one" "$stream/$name" "$key" $wish 2>/dev/null; then
		unharmed told
	fi
	rm -f "$stream/$name"
done

say "as something that is no file"
WHAT="a symbolic link"
ln -s "$one" "$stream/$name"
unharmed
WHAT="a symbolic link to nowhere"
ln -s /nowhere "$stream/$name"
unharmed
WHAT="a FIFO"
mkfifo "$stream/$name"
unharmed
WHAT="a folder"
mkdir -p "$stream/$name/x"
unharmed
WHAT="a socket"
python3 -c 'import os, socket, sys
os.chdir(sys.argv[1])
socket.socket(socket.AF_UNIX).bind(sys.argv[2])' "$stream" "$name"
unharmed
if is_root && mknod "$stream/$name" b 7 250 2>/dev/null; then
	WHAT="a device"
	unharmed
fi

say "a giant"
WHAT="a file of 2 TiB"
truncate -s 2T "$stream/$name" 2>/dev/null ||
	truncate -s 8G "$stream/$name"
unharmed told

say "hostile names"
WHAT="a crowd of strange names"
python3 - "$stream" "$one" <<'END' || fail "names"
import os, sys
good = open(sys.argv[2], "rb").read()
os.chdir(sys.argv[1].encode())
for n in (b"a\nb", b"\xff\xfe", b"-rf", b"..aim", b".hidden", b"x" * 255,
          b"0000000g-0000000000000001.aim", b"00000001-0000000000000001.AIM",
          b"00000001-0000000000000001.aim ", b"%00.aim", b"$(reboot)",
          b"ffffffff-ffffffffffffffff.aim", b"00000000-0000000000000000.aim",
          b".x.aim.0123456789abcdef0123456789abcdef.part"):
    open(n, "wb").write(good)
for n in range(3000):
    open(b"junk%d" % n, "wb").close()
END
unharmed
[ -z "$(find "$T" -path "$T/good" -prune -o -name 'reboot*' -print)" ] ||
	fail "a name was believed"

say "acknowledgements that lie"
mirror=$(basename "$(find "$stream/ack" -name '*.ack')" .ack)
ack=$stream/ack/$mirror.ack
[ -s "$ack" ] || fail "no acknowledgement"
cp "$ack" "$T/bad/true.ack"
sealed() { find "$HERE/sealed" -name '*.aim' | sort; }
SEALED=$(sealed)
POSITION=$(ask here data 'g["destinations"][0]["applied"]')
# distrusted WHAT: no pruning, no change of position, no hanging.
distrusted() {
	WHAT="an acknowledgement: $1"
	pass_of "$HERE"
	[ "$(sealed)" = "$SEALED" ] || fail "$WHAT: files were pruned"
	is here data 'g["destinations"][0]["applied"]' "$POSITION" ||
		fail "$WHAT was believed"
	rm -rf "$ack"
	find "$stream" -mindepth 1 -maxdepth 1 ! -name ack -exec rm -rf {} +
}
asize=$(stat -c %s "$ack")
for len in 0 1 $((asize / 2)) $((asize - 1)); do
	head -c "$len" "$T/bad/true.ack" >"$ack"
	distrusted "its first $len bytes"
done
for at in 0 20 50 100 200 300 $((asize - 1)); do
	python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[int(sys.argv[3])] ^= 1
open(sys.argv[2], "wb").write(b)' "$T/bad/true.ack" "$ack" "$at"
	distrusted "byte $at changed"
done
head -c 100000 /dev/urandom >"$ack"
distrusted "noise"
truncate -s 1T "$ack"
distrusted "a giant"
mkfifo "$ack"
distrusted "a FIFO"
mkdir "$ack"
distrusted "a folder"
ln -s /dev/zero "$ack"
distrusted "a link to /dev/zero"

say "after all that: the true files are sent again and all converges"
rm -f "$T/good"/*.aim "$T/bad"/*.aim
again() {
	pass_of "$THERE"
	pass_of "$HERE"
	here wait data --timeout 1 >/dev/null 2>&1
}
WHAT="nothing at all"
within 60 again || {
	here status
	there status
	fail "it does not converge"
}
mirrored

say "an old acknowledgement replayed is no news"
work 4
once "$HERE" "$THERE"
cp "$T/bad/true.ack" "$ack"
SEALED=$(sealed)
pass_of "$HERE"
[ "$(sealed)" = "$SEALED" ] || fail "an old acknowledgement pruned files"
within 30 again || fail "it does not converge"
mirrored
is there data 'g["state"]' streaming || fail "the mirror does not stream"
pass
