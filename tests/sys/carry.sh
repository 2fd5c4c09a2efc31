#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk carried by hand brings the files, whole or not at all, and acks back.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

WRITER=$TOP/tests/sys/writer.py
USB=$T/usb
mkdir "$USB"
sites
volume disk 8M
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "group export"
mapfile -t options < <(onto disk)
quietly there mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/landing/incoming" --create "${options[@]}"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "mirror export"
expect 4 here carry out disk --to "$USB"
says 'carry://'
quietly here destination add usb --group disk --url carry:// \
	--pairing "$T/disk.mirror"
FOLDER=$USB/$(sed -n 's/^stream //p' "$T/disk.pairing")

all_sealed() { is here disk 'g["captured"] == g["sealed"]' true; }
# trip: out, in over there, and back.
trip() {
	within 40 all_sealed || fail "not all is sealed"
	must here carry out disk --to "$USB"
	must there carry in "$USB" --timeout 60
	must here carry in "$USB"
}

both
quietly here base disk
copied() { grep -q "source disk: copy-in ends" "$T/here.log"; }
within 40 copied || fail "no base"
must captured disk python3 "$WRITER" --count 1000 "$T/disk.img"

say "there and back"
trip
settled disk
mirrored
is_small() { [ "$(find "$HERE/sealed" -name '*.aim' | wc -l)" -le 2 ]; }
within 40 is_small || fail "nothing is pruned after the acknowledgement"

say "again, with only what is new; and once more, with nothing"
must captured disk python3 "$WRITER" --count 500 --seed 2 "$T/disk.img"
trip
settled disk
mirrored
trip
OUT=$(there carry in "$USB")
says ': 0 of '

say "a damaged file, a missing one, a cut manifest: nothing is taken"
must captured disk python3 "$WRITER" --count 500 --seed 3 "$T/disk.img"
within 40 all_sealed || fail "not all is sealed"
must captured disk python3 "$WRITER" --count 50 --seed 4 "$T/disk.img"
within 40 all_sealed || fail "not all is sealed"
must here carry out disk --to "$USB"
cp -r "$USB" "$T/good"
file=$(find "$FOLDER" -name '*.aim' | sort | tail -n 1)
refused() {
	expect 4 there carry in "$USB"
	says "$1"
	[ "$(find "$T/landing/incoming" -name '*.aim*' | wc -l)" -eq 0 ] ||
		fail "something was taken"
	rm -rf "$USB"
	cp -r "$T/good" "$USB"
}
printf '\xff' | dd of="$file" bs=1 seek=900 conv=notrunc status=none
refused 'damaged on the way: nothing was taken'
rm "$file"
refused 'missing'
truncate -s -20 "$FOLDER/manifest"
refused 'manifest is damaged'
sed -i 's/ [0-9]/ 1/' "$FOLDER/manifest"
refused 'manifest is damaged'

say "carrying out is killed at any moment: the folder is as before, or whole"
rm -rf "$USB"
mkdir "$USB"
for ((i = 1; i <= 12; i++)); do
	here carry out disk --to "$USB" >/dev/null 2>&1 &
	sleep 0.0$((RANDOM % 5 + 1))
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	if [ -e "$FOLDER/manifest" ]; then
		must there carry in "$USB" --timeout 60
		rm -rf "$USB"
		mkdir "$USB"
	fi
done
trip
settled disk
mirrored

say "a folder of strangers, and a full disk"
mkdir "$T/empty"
expect 4 there carry in "$T/empty"
says 'nothing in .* is for this site'
if is_root && mkdir "$T/small" &&
	mount -t tmpfs -o size=64k none "$T/small"; then
	# shellcheck disable=SC2016 # expanded when it runs
	at_end 'umount "$T/small"'
	must captured disk python3 "$WRITER" --count 300 --seed 5 "$T/disk.img"
	within 40 all_sealed || fail "not all is sealed"
	expect 1 here carry out disk --to "$T/small"
	expect 4 there carry in "$T/small"
	says 'no manifest'
	trip
	settled disk
	mirrored
fi
stop "$HERE"
stop "$THERE"
pass
