#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The source's host "boots" unclean: new epoch, full copy-in, old image kept.
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed. In a chroot
# / is no mount point, so there only /proc is made our own.
if [ -z "${AIM_UNSHARED:-}" ]; then
	export AIM_UNSHARED=1
	own=(--mount --propagation unchanged)
	[ "$(id -u)" -eq 0 ] || own=(--mount --user --map-root-user)
	if unshare "${own[@]}" mount --make-private /proc 2>/dev/null; then
		exec unshare "${own[@]}" bash "$0" "$@"
	fi
	echo "SKIP: needs a mount namespace (root, or user namespaces)"
	exit 77
fi
mount --make-private /proc || exit 1
. "$(dirname "$0")/lib.sh"
need python3

boot() {
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
}
once_more() {
	once "$HERE" "$THERE" "$HERE"
	here wait data --timeout 1 >/dev/null 2>&1
}
# history: passes until the last file of the new epoch has come, held back.
history() {
	find "$stream" -maxdepth 1 -name "$epoch-*.aim" \
		-exec mv {} "$T/held/" \;
	once "$THERE"
	[ ! -e "$T/held/$(basename "$last")" ] || return 0
	once "$HERE"
	return 1
}
at_end 'while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done'

sites
volume disk 24M data
volume db 300K data
pair data file
quietly here base data
once "$HERE" "$THERE" "$HERE"
must captured data python3 "$TOP/tests/sys/writer.py" --count 300 --resize \
	"$T/disk.img" "$T/db.img"
once "$HERE" "$THERE" "$HERE"
mirrored

say "a boot after a clean stop changes nothing"
boot
once "$HERE" "$THERE" "$HERE"
is here data 'g["epoch"]' 1 || fail "a new epoch after a clean stop"
must captured data python3 "$TOP/tests/sys/writer.py" --seed 2 --count 50 \
	"$T/disk.img"
once "$HERE" "$THERE" "$HERE"
mirrored

loaded() { [ "$(ask here data 'g["captured"]')" -gt $((before + 1000)) ]; }
for round in 1 2 3; do
	say "round $round: the host dies under load"
	captured data python3 "$TOP/tests/sys/writer.py" --seed "$round" \
		--count 1000000000 "$T/disk.img" "$T/db.img" \
		>"$T/writer.log" 2>&1 &
	writer=$!
	start "$HERE"
	before=$(ask here data 'g["captured"]')
	within 30 loaded || fail "the writer does not write"
	murder "$HERE"
	# shellcheck disable=SC2046 # a list of numbers
	kill -9 $(family $writer) 2>/dev/null
	wait $writer 2>/dev/null
	cmp -s "$T/disk.img" "$T/disk.mir" && [ $round -eq 1 ] &&
		fail "there was no load"
	boot

	if [ $round -eq 2 ]; then
		say "a writer that attaches first is told, and captured or not"
		captured data dd if=/dev/zero of="$T/disk.img" bs=4k count=1 \
			conv=notrunc status=none >"$T/first.log" 2>&1
		say "its status: $?"
	fi
	say "status says unclean until it is over"
	once "$HERE"
	is here data 'g["state"]' unclean ||
		is here data 'g["state"]' base ||
		{ here status; fail "state after an unclean boot"; }

	say "the mirror keeps its image while the copy is not complete"
	stream=$(stream_of data)
	epoch=$(printf '%08x' $((round + 1)))
	mkdir "$T/held"
	last=$(find "$HERE/sealed" -name '*.aim' | sort | tail -n 1)
	# What was sealed before is history, and may be applied; of the new
	# epoch nothing arrives yet.
	within 60 history || fail "the new epoch was not sent"
	cp "$T/disk.mir" "$T/disk.old"
	cp "$T/db.mir" "$T/db.old"
	mv "$T/held/$(basename "$last")" "$T/last"
	find "$T/held" -name '*.aim' -exec mv {} "$stream/" \;
	once "$THERE"
	same "$T/disk.old" "$T/disk.mir" "the image that was to be kept"
	same "$T/db.old" "$T/db.mir" "the image that was to be kept"
	is there data 'g["mirror"]["consistent"]' true ||
		fail "the old image is not consistent"
	expect 3 here wait data --timeout 1

	say "complete: it moves in one step"
	mv "$T/last" "$stream/$(basename "$last")"
	rmdir "$T/held"
	once "$THERE" "$HERE" "$THERE" "$HERE"
	within 20 once_more || fail "it does not converge"
	mirrored
	is here data 'g["epoch"]' $((round + 1)) || fail "the epoch"
	is here data 'g["state"]' streaming || fail "not streaming again"
	is there data 'g["mirror"]["consistent"]' true || fail "inconsistent"
	must captured data python3 "$TOP/tests/sys/writer.py" --seed 9 \
		--count 100 --resize "$T/db.img"
	once "$HERE" "$THERE" "$HERE"
	expect 0 here wait data --timeout 1
	mirrored
done

say "who waits is told of the break, and waits for the recovery"
must captured data python3 "$TOP/tests/sys/writer.py" --seed 77 --count 300 \
	"$T/disk.img" "$T/db.img"
aim-manager --home "$HERE" wait data --timeout 60 >"$T/wait" 2>&1 &
waiter=$!
within 10 grep -q /active/ "/proc/$waiter/maps" || fail "it does not wait"
sleep 1 # it knows the number now
boot
converged() {
	once "$HERE" "$THERE" "$HERE"
	! kill -0 "$waiter" 2>/dev/null
}
within 30 converged || fail "it waits for ever"
wait "$waiter" || { cat "$T/wait"; fail "status of the wait"; }
grep -q "broke off" "$T/wait" || { cat "$T/wait"; fail "it says nothing"; }
mirrored
pass
