#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 10,000 files queued: memory stays under 64 MiB, work for each file flat.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

files=10000
sites
volume disk 4M
pair disk file
quietly here base disk
once "$HERE" "$THERE" "$HERE"

# anonymous PID...: the most that any of them has, in KiB.
anonymous() {
	local pid kb most=0
	for pid; do
		kb=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' \
			"/proc/$pid/status" 2>/dev/null)
		[ "${kb:-0}" -le $most ] || most=$kb
	done
	echo $most
}

# ticks PID...: processor time of all, in hundredths.
ticks() {
	local pid sum=0 fields
	for pid; do
		read -ra fields < <(sed 's/.*) //' "/proc/$pid/stat")
		sum=$((sum + fields[11] + fields[12]))
	done
	echo $sum
}

say "files that pile up because nobody takes them"
mv "$T/landing" "$T/landing.gone"
start "$HERE"
# Each marker asks for a file of its own; so does each wait.
cat >"$T/fill.py" <<'END'
import subprocess, sys, os, time
home, disk, group, want, sealed = sys.argv[1:6]
fd = os.open(disk, os.O_RDWR)
n = 0
while True:
    os.pwrite(fd, os.urandom(512), 512 * (n % 8000))
    n += 1
    count = len([x for x in os.listdir(sealed) if x.endswith(".aim")])
    if count >= int(want):
        break
    subprocess.run(["aim-manager", "--home", home, "marker", group, "m%d" % n],
                   stdout=subprocess.DEVNULL, check=True)
END
begin=$SECONDS
sealed=$(find "$HERE/sealed" -mindepth 1 -maxdepth 1 -type d)
must captured disk python3 "$T/fill.py" "$HERE" "$T/disk.img" disk 100 \
	"$sealed"
say "100 files in $((SECONDS - begin)) s"
pass
