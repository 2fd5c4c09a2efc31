#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Journal files are packed as asked, also under encryption, and come back whole.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

sites
truncate -s 8M "$T/zlib.img" "$T/zstd.img"
say "what is no codec or level is refused"
expect 4 here volume add zlib "$T/zlib.img" --compress lzma
expect 4 here volume add zlib "$T/zlib.img" --compress zlib:10
expect 4 here volume add zlib "$T/zlib.img" --compress none:1
quietly here volume add zlib "$T/zlib.img" --compress zlib:9
codec=zstd
here volume add zstd "$T/zstd.img" --compress zstd:3 --encrypt \
	>"$T/out" 2>&1 || {
	grep -q 'not built' "$T/out" || fail "$(cat "$T/out")"
	codec=zlib
	quietly here volume add zstd "$T/zstd.img" --compress zlib --encrypt
}
VOLUMES+=(zlib:zlib zstd:zstd)
pair zlib
pair zstd
quietly here key export zstd --to "$T/key"
quietly there key import zstd "$T/key"

say "bases and writes, some of which cannot be packed"
both
for group in zlib zstd; do
	quietly here base $group --wait
	must captured $group python3 - "$T/$group.img" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for i in range(200):
    os.pwrite(fd, b"again and again " * 512, i * 16384)
    os.pwrite(fd, os.urandom(8192), i * 16384 + 8192)
os.fsync(fd)
END
	settled $group
done
mirrored

say "the files say what they are"
stream() { here group list --json | python3 -c 'import json, sys
print(*[g["stream"] for g in json.load(sys.stdin)["groups"]
	if g["name"] == sys.argv[1]])' "$1"; }
for group in zlib zstd; do
	aimdump --json --verify --home "$THERE" \
		"$THERE"/done/*/*.aim | grep "$(stream $group)" >"$T/dump" ||
		fail "no files of $group"
	want=zlib
	[ $group = zlib ] || want=$codec
	grep -q "\"codec\":\"$want\"" "$T/dump" || fail "$group is not packed"
done
stop "$HERE"
stop "$THERE"
pass
