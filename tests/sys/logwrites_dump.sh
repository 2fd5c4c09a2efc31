#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# aim-logwrites shows every entry of a QEMU write log, and where one is damaged.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need qemu-io python3

# log SECTOR COMMAND...: $T/log, of writes to a new disk of 1 MiB
log() {
	local sector=$1 options=() command
	shift
	for command; do options+=(-c "$command"); done
	rm -f "$T/disk" "$T/log"
	truncate -s 1M "$T/disk"
	truncate -s 0 "$T/log"
	quietly qemu-io --image-opts "driver=blklogwrites,discard=unmap,\
file.driver=file,file.filename=$T/disk,file.discard=unmap,\
log.driver=file,log.filename=$T/log,log-sector-size=$sector" "${options[@]}"
}

for sector in 512 4096 65536; do
	log $sector 'write -P 0x41 0 128k' 'write -P 0x42 256k 64k' \
		'discard 512k 128k' 'write -z 64k 64k' flush
	expect 0 aim-logwrites dump --json "$T/log"
	printf '%s\n' "$OUT" >"$T/shown"
	must python3 - "$T/shown" $sector <<'END'
import json, sys
lines = [json.loads(x) for x in open(sys.argv[1])]
head, all = lines[0], lines[1:]
assert head["sector"] == int(sys.argv[2]) and head["entries"] == len(all)
want = [("write", 0, 131072), ("write", 262144, 65536),
        ("discard", 524288, 131072), ("write", 65536, 65536)]
got = [(x["op"], x["offset"], x["length"]) for x in all
       if x["op"] != "flush"]
assert got == want, got
assert all[-1]["op"] == "flush" and all[-1]["flush"]
END
done

say "damaged logs"
log 512 'write -P 0x41 0 4k' 'write -P 0x42 8k 4k' flush
expect 0 aim-logwrites dump "$T/log"
says 'write  *8192  *4096'
truncate -s 6000 "$T/log"
expect 1 aim-logwrites dump "$T/log"
says 'entry 1, at byte 5120: its data is cut off'
truncate -s 512 "$T/log"
truncate -s 20k "$T/log"
expect 1 aim-logwrites dump "$T/log"
says 'entry 0, at byte 512: no entry was ever written here'
: >"$T/log"
expect 1 aim-logwrites dump "$T/log"
says 'a superblock has 28 bytes'
head -c 4096 /dev/zero >"$T/log"
expect 1 aim-logwrites dump "$T/log"
says 'no write log'
expect 4 aim-logwrites dump "$T/none"
expect 2 aim-logwrites dump
expect 2 aim-logwrites
pass
