#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# aimdump tells valid from invalid, partial, foreign, unsigned and out of order.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 mkfifo

golden=$TOP/tests/data
one=$golden/1-copyin-open.aim
two=$golden/2-plain.aim
zlib=$golden/2-plain-zlib.aim
three=$golden/3-empty.aim
four=$golden/4-epoch-break.aim
key=$golden/source.pub

say "keys: none, right, wrong, of a home, unreadable"
expect 0 aimdump "$one"
says 'signature: not checked'
says 'digests: not checked'
expect 0 aimdump --key "$key" "$one"
says 'signature: valid'
expect 0 aimdump --key "$golden/source.pairing" "$one"
expect 0 aimdump --key "$golden/mirror.pub" --key "$key" "$one"
expect 1 aimdump --key "$golden/mirror.pub" "$one"
says 'INVALID: signed by key 3097e2dee2cb4a34b53840cdb705aed7'
mkdir -p "$T/home/keys/trusted"
cp "$golden/mirror.pub" "$T/home/keys/site.pub"
expect 1 aimdump --home "$T/home" "$one"
cp "$key" "$T/home/keys/trusted/here.pub"
expect 0 aimdump --home "$T/home" "$one"
expect 2 aimdump --home "$T/nowhere" "$one"
expect 2 aimdump --key "$T/nowhere" "$one"
expect 2 aimdump --key "$one" "$one"

say "the chain: in order, in two encodings, with a gap, backwards, again"
expect 0 aimdump --verify --key "$key" "$one" "$two" "$three" "$four"
says 'chain: begins'
says 'chain: continues'
expect 0 aimdump --verify "$one" "$zlib" "$three" "$four"
expect 0 aimdump --verify "$zlib" "$two" "$three"
says 'chain: repeats'
expect 1 aimdump --verify "$one" "$three"
says 'chain: broken'
expect 1 aimdump --verify "$two" "$one"
expect 1 aimdump --verify "$two" "$four"
expect 0 aimdump "$two" "$one"

say "the sizes of volumes go on, resizes counted"
printf '%064d\n' 1 >"$T/seed"
forge=$BUILD/tests/sys/forge
must "$forge" "$three" "$T/three" "$T/seed" size=1048676
expect 0 aimdump --verify "$two" "$T/three"
must "$forge" "$three" "$T/three" "$T/seed" size=1048576
expect 1 aimdump --verify "$two" "$T/three"
says 'volume 0 has 1048576 bytes, there it ended with 1048676'
expect 0 aimdump --verify "$T/three"

say "what it shows"
expect 0 aimdump "$two"
says 'resize'
says '"a-marker", message c4000000-0000-0000-0000-000000000000'
expect 0 aimdump --data "$four"
says '00000000   00 07 0e 15 1c 23 2a 31  38 3f 46 4d 54 5b 62 69'
expect 0 aimdump "$four"
says 'parent:       epoch 1, b4000000-0000-0000-0000-000000000000, file 3'
aimdump "$two" | awk 'length > 80 { print; bad = 1 } END { exit bad }' ||
	fail "a line is wider than 80 columns"

say "partial, damaged, foreign, nothing"
head -c 300 "$two" >"$T/cut.aim"
expect 1 aimdump "$T/cut.aim"
says 'is partial'
head -c 3000 "$two" >"$T/cut.aim"
expect 1 aimdump "$T/cut.aim"
says 'is partial: has 3000 bytes, should have 5067'
{ cat "$two" && echo; } >"$T/long.aim"
expect 1 aimdump "$T/long.aim"
: >"$T/empty.aim"
expect 1 aimdump "$T/empty.aim"
head -c 9000 /dev/zero >"$T/zero.aim"
expect 1 aimdump "$T/zero.aim"
says 'never written'
expect 1 aimdump "$golden/mirror.ack"
says 'is an acknowledgement, not a journal file'
expect 1 aimdump "$golden/source.pairing"
says 'is a pairing text, not a journal file'
printf '\033[31m' >"$T/esc.aim"
expect 1 aimdump "$T/esc.aim"
# A later version: one byte, which the checksum is not asked about.
cp "$two" "$T/later.aim"
printf '\002' | dd of="$T/later.aim" bs=1 seek=16 conv=notrunc status=none
expect 1 aimdump "$T/later.aim"
says 'format version 2 is not known'

say "what cannot be read"
mkfifo "$T/fifo"
expect 2 timeout 10 aimdump "$T/fifo"
says 'is a FIFO, socket or device'
expect 2 aimdump "$T"
says 'is a directory'
expect 2 aimdump /dev/null
expect 2 aimdump "$T/none"
expect 2 aimdump "$T/none" "$one"
expect 2 aimdump
expect 2 aimdump --nonsense "$one"
expect 0 aimdump --help
if [ -w /dev/full ]; then
	aimdump "$two" >/dev/full 2>"$T/err"
	[ $? -eq 2 ] || fail "a full output is no error"
fi

say "a name with control characters is shown as plain text"
evil=$T/$'a\033[31m\n.aim'
cp "$one" "$evil"
expect 0 aimdump "$evil"
says 'a.x1b.31m.x0a.aim$'
expect 2 aimdump "$evil.none"
says 'a.x1b.31m.x0a.aim.none'

say "JSON of good and bad files"
aimdump --json "$one" "$T/cut.aim" "$four" "$evil" >"$T/json"
[ $? -eq 1 ] || fail "exit status of --json"
python3 - "$T/json" <<'END' || fail "JSON"
import json, sys
a, b, c, d = map(json.loads, open(sys.argv[1]))
assert a["valid"] and a["error"] is None and a["header"]["sequence"] == 1
assert len(a["transactions"]) == a["header"]["iocb_count"] == 4
assert a["transactions"][0]["note"]["kind"] == "base"
assert not b["valid"] and b["header"] is None and "partial" in b["error"]
assert c["header"]["break"] and c["header"]["fork"] == 35
assert d["file"].endswith("a\x1b[31m\n.aim")
END
pass
