#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A reader written from the document alone agrees with aimdump on every file.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sha256sum

export PYTHONDONTWRITEBYTECODE=1
golden=$TOP/tests/data
reader=$TOP/tests/read_journal.py
files=()
for file in "$golden"/*.aim; do
	case $file in
	*zstd*) echo "   not ${file##*/}: Python's library has no zstd" ;;
	*) files+=("$file") ;;
	esac
done

say "it reads the golden files, signatures included"
python3 "$reader" "$golden/source.pub" "$golden/group.key" "${files[@]}" \
	>"$T/python.json" || fail "journal files"
python3 "$reader" "$golden/source.pub" "$golden/source.pairing" \
	>"$T/pairing.json" || fail "source.pairing"
python3 "$reader" "$golden/mirror.pub" "$golden/mirror.ack" \
	"$golden/mirror.pairing" >"$T/mirror.json" || fail "mirror's files"

say "it says what aimdump says"
aimdump --json --data --verify --key "$golden/source.pairing" \
	--key "$golden/group.key" "${files[@]}" >"$T/aimdump.json"
status=$?
# The plain file after its compressed twin repeats it: that is valid.
[ "$status" -eq 0 ] || fail "aimdump: $status"
python3 - "$T/python.json" "$T/aimdump.json" <<'END' || fail "they differ"
import json, sys
one, two = ([json.loads(l) for l in open(p)] for p in sys.argv[1:])
assert len(one) == len(two) == 6, (len(one), len(two))
names = {"kind": {1: "plain", 2: "copyin-open"}, "codec": {1: "none", 2: "zlib"}}
for a, b in zip(one, two):
    assert b["valid"] and b["signature"] == b["digests"] == "valid", b["error"]
    for key in ("volumes", "targets", "transactions"):
        assert a[key] == b[key], (b["file"], key)
    h, g = a["header"], b["header"]
    for key in h.keys() & g.keys():
        is_ = names[key][h[key]] if key in names else h[key]
        assert is_ == g[key], (b["file"], key, is_, g[key])
    missing = h.keys() - g.keys() - {"incompat", "compat", "volumes", "targets"}
    assert not missing, missing
    assert g["dense"] == bool(h["compat"] & 1), h
    assert g["epoch_open"] == bool(h["compat"] & 2), h
    assert g["break"] == bool(h["incompat"] & 2), h
END

say "it rejects a flipped bit at every place"
flipped() {
	PYTHONPATH=$TOP/tests \
		python3 - "$reader" "$@" "$golden/source.pub" <<'END'
import importlib.util, sys
import unlock_journal
unlock_journal.take(open(sys.argv[4], "rb").read())
spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
good = open(sys.argv[2], "rb").read()
key = bytes.fromhex(open(sys.argv[5]).read())
reader.journal(good, key)
for at in list(range(0, 640, 7)) + list(range(640, len(good), int(sys.argv[3]))):
    if 632 <= at < 640:
        continue  # the XXH3 that it leaves out
    b = bytearray(good)
    b[at] ^= 1 << at % 8
    try:
        reader.journal(bytes(b), key)
    except Exception:
        continue
    sys.exit("byte %d" % at)
END
}
flipped "$golden/2-plain-zlib.aim" 61 "$golden/group.key" ||
	fail "a flipped bit passed"
flipped "$golden/5-encrypted.aim" 211 "$golden/group.key" ||
	fail "a flipped bit passed in the encrypted file"

say "the document's test vectors are those of the files"
while read -r sum file; do
	grep -F "\`${file##*/}\`" "$TOP/docs/journal-format.md" |
		grep -qF "$sum" || fail "${file##*/} is not in the document"
done < <(sha256sum "$golden"/*.aim "$golden"/*.ack "$golden"/*.pairing \
	"$golden"/*.pub "$golden"/*.key)
[ "$(wc -l <"$reader")" -le 200 ] || fail "the reader has grown"
[ "$(wc -l <"$TOP/tests/unlock_journal.py")" -le 130 ] ||
	fail "what opens encrypted files has grown"
pass
