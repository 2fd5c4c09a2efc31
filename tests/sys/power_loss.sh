#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hosts lose power at chosen and random moments; all goes on by itself.
# shellcheck source=tests/sys/lib.sh

# A mount namespace of our own, where the boot id can be changed and file
# systems mounted. In a chroot / is no mount point, so there only /proc is
# made our own.
if [ -z "${AIM_UNSHARED:-}" ] && [ "$(id -u)" -eq 0 ]; then
	AIM_UNSHARED=1 exec unshare --mount --propagation unchanged \
		bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need python3 losetup mkfs.ext4 mkfs.xfs
is_root || skip "needs root: file systems are mounted and shut down"
mount --make-private /proc || skip "needs a mount namespace"

RANDOM=${AIM_SEED:-$$}
say "AIM_SEED=${AIM_SEED:-$$}"
STAMPS="python3 $TOP/tests/sys/stamps.py"
FILES=(disk data grow)
PARTS=(here disks there mirrors)

boot() {
	cat /proc/sys/kernel/random/uuid >"$T/boot_id"
	mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id ||
		fail "cannot change the boot id"
}
at_end 'while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done'

# A disk that is a file; it stays attached while its file system goes down.
disks() {
	local part loop
	for part in "${PARTS[@]}"; do
		mkdir -p "$T/$part"
		truncate -s 320M "$T/$part.fs"
		loop=$(losetup --find --show "$T/$part.fs" 2>/dev/null) ||
			skip "needs loop devices"
		printf -v "LOOP_$part" %s "$loop"
		at_end "losetup -d $loop"
	done
}

mount_part() {
	local loop=LOOP_$1
	mount "${!loop}" "$T/$1" || fail "mount $1"
	at_end "umount $T/$1 2>/dev/null"
}

# umount_part PART: those who were killed may take a moment to let go.
umount_part() { within 10 umount "$T/$1" 2>/dev/null || fail "umount $1"; }

images() { printf "$T/disks/%s.img\n" "${FILES[@]}"; }
mirrors() { printf "$T/mirrors/%s.mir\n" "${FILES[@]}"; }

# What is not synced is really gone, else nothing is tested here.
bites() {
	local part=disks
	echo kept >"$T/$part/synced" && sync "$T/$part/synced" "$T/$part"
	echo gone >"$T/$part/unsynced"
	quietly "$BUILD/tests/sys/power" -t 1 "$T/$part"
	umount_part $part
	mount_part $part
	[ "$(cat "$T/$part/synced")" = kept ] || fail "what was synced is gone"
	[ ! -s "$T/$part/unsynced" ] || fail "no power was lost"
	rm -f "$T/$part/synced" "$T/$part/unsynced"
}

# What lib.sh's `volume` and `pair` do, each on its own disk.
setup() {
	local name onto=()
	mkdir "$T/mirrors/incoming"
	quietly here init --site here
	quietly there init --site there
	for name in "${FILES[@]}"; do
		truncate -s 2M "$T/disks/$name.img"
		[ "$name" != grow ] || : >"$T/disks/$name.img"
		quietly here volume add "$name" "$T/disks/$name.img" --group g
		onto+=(--onto "$name=$T/mirrors/$name.mir")
	done
	here group export g >"$T/g.pairing" 2>"$T/quietly" || fail "export"
	quietly there mirror add g --pairing "$T/g.pairing" --create \
		--incoming "$T/mirrors/incoming" "${onto[@]}"
	there mirror export g >"$T/g.mirror" 2>"$T/quietly" || fail "export"
	quietly here destination add there --group g --pairing "$T/g.mirror" \
		--url "file://$T/mirrors/incoming"
	STREAM=$(sed -n 's/^stream //p' "$T/g.pairing")
	MIRROR=$(sed -n "s/^mirror //p" "$T/g.mirror")
}

same_all() {
	local name
	for name in "${FILES[@]}"; do
		same "$T/disks/$name.img" "$T/mirrors/$name.mir" "$name.mir"
	done
}

# awake HOME: its coordinator runs again.
awake() {
	rm -f "$1/state/coordinator.sock"
	start "$1"
}

begin_writer() {
	local name
	rm -rf "$T/before" "$T/synced.log"
	mkdir "$T/before"
	echo "$NEXT" >"$T/before/first"
	for name in "${FILES[@]}"; do
		cp "$T/disks/$name.img" "$T/before/$name" || fail "cp"
	done
	# shellcheck disable=SC2046,SC2086 # lists
	captured g $STAMPS write "$NEXT" "$T/synced.log" $(images) \
		>"$T/writer.log" 2>&1 &
	WRITER=$!
	within 20 test -s "$T/synced.log" || {
		cat "$T/writer.log"
		fail "the writer does not begin"
	}
}

end_writer() {
	[ -n "$WRITER" ] || return 0
	slay "$WRITER"
	wait "$WRITER" 2>/dev/null
	WRITER=
	# shellcheck disable=SC2086 # a list of numbers
	gone $SLAIN
}

# Every journal file that has its name is whole.
whole() {
	local list
	mapfile -t list < <(find "$@" -name '*.aim' ! -name '.*' | sort)
	[ ${#list[@]} -eq 0 ] || quietly aimdump "${list[@]}"
}

# What the source still has begins no later than what the mirror needs next.
nothing_missing() {
	local applied oldest first
	applied=$(ask there g 'g["mirror"]["applied"]')
	oldest=$(find "$T/here/sealed/$STREAM" -name '*.aim' ! -name '.*' |
		sort | head -n 1)
	[ -n "$oldest" ] || fail "no sealed file is left"
	first=$(aimdump --json "$oldest" | python3 -c '
import json, sys
print(json.loads(sys.stdin.readline())["header"]["first"])') || fail "aimdump"
	[ "$first" -le $((applied + 1)) ] ||
		fail "$oldest begins at $first, $applied is applied"
}

# The mirror, with what it has received, is the source as it once was; it has
# all that it has acknowledged. Its coordinator is not running.
prefix() {
	local said=$1 applied n
	once "$THERE"
	applied=$(ask there g 'g["mirror"]["applied"]')
	[ "$applied" -ge "$said" ] ||
		fail "$said was acknowledged as applied, $applied is"
	# shellcheck disable=SC2046,SC2086 # lists
	n=$($STAMPS prefix "$T/before" $(mirrors)) || fail "no prefix"
	[ "$(ask there g 'g["mirror"]["consistent"]')" = true ] ||
		fail "the mirror says it is inconsistent"
	say "the mirror has all writes up to $n"
}

lose_source() {
	local last
	end_writer
	murder "$HERE"
	umount_part here
	umount_part disks
	mount_part here
	mount_part disks
	whole "$T/here/sealed"
	last=$(tail -n 1 "$T/synced.log")
	# shellcheck disable=SC2046,SC2086 # lists
	last=$($STAMPS synced "$T/before" "$last" $(images)) ||
		fail "the source's disk"
}

lose_mirror() {
	murder "$THERE"
	umount_part there
	umount_part mirrors
	mount_part there
	mount_part mirrors
	whole "$T/there/stage" "$T/there/done"
}

# processes LOSERS: options -p for all that their hosts run.
processes() {
	[ "$1" = mirror ] || printf -- '-p%s\n' "$(coordinator "$HERE")"
	[ "$1" = mirror ] || [ -z "$WRITER" ] || printf -- '-p%s\n' "$WRITER"
	[ "$1" = source ] || printf -- '-p%s\n' "$(coordinator "$THERE")"
}

# round LOSERS HOW EVENT FILE: losers: source, mirror or both.
round() {
	local losers=$1 event=$2 file=$3 said mounts=() options=() how hosts
	[ "$losers" = mirror ] || mounts+=("$T/here" "$T/disks")
	[ "$losers" = source ] || mounts+=("$T/there" "$T/mirrors")
	[ $((RANDOM % 2)) -eq 0 ] || mapfile -t mounts < <(
		printf '%s\n' "${mounts[@]}" | tac)
	[ $((RANDOM % 3)) -ne 0 ] || options+=(-l)
	[ -z "$event" ] || options+=(-e "$event" -w "$file"
		-n $((RANDOM % 20 + 1)))
	[ $((RANDOM % 2)) -eq 0 ] || options+=(-u $((RANDOM % 2000)))
	[ -n "$event" ] && options+=(-t 3000) ||
		options+=(-t $((RANDOM % 1000 + 50)))
	begin_writer
	mapfile -t hosts < <(processes "$losers")
	how=$("$BUILD/tests/sys/power" "${options[@]}" "${hosts[@]}" \
		"${mounts[@]}") || fail "power ${options[*]} ${mounts[*]}"
	say "$losers: ${options[*]//$T\//}: $how"

	[ "$losers" = mirror ] || lose_source
	[ "$losers" = source ] || lose_mirror
	said=$(ask here g 'g["destinations"][0]["applied"]')
	[ "$losers" != source ] || stop "$THERE"
	prefix "$said"
	[ "$losers" = mirror ] || {
		nothing_missing
		boot
	}
	[ $((RANDOM % 3)) -ne 0 ] || lost_again "$losers"
	[ "$losers" = mirror ] || awake "$HERE"
	awake "$THERE"
	if [ "$losers" = mirror ]; then
		sleep 0.3
		end_writer
	fi
	settled g
	same_all
	NEXT=$((NEXT + 1000000))
	[ -z "$(find "$T/here/quarantine" "$T/there/quarantine" -type f)" ] ||
		fail "something was put into quarantine"
}

# clean_round: what is closed cleanly stays so, though its disk then has
# another number.
clean_round() {
	local epoch
	begin_writer
	end_writer
	settled g
	stop "$HERE"
	epoch=$(ask here g 'g["epoch"]')
	"$BUILD/tests/sys/power" -t 1 "$T/here" "$T/disks" >"$T/quietly" ||
		fail "power"
	say "source: closed cleanly"
	umount_part here
	umount_part disks
	LOOP_disks=$(losetup --find --show "$T/disks.fs") || fail "losetup"
	at_end "losetup -d $LOOP_disks"
	mount_part here
	mount_part disks
	boot
	awake "$HERE"
	NEXT=$((NEXT + 1000000))
	begin_writer
	end_writer
	settled g
	same_all
	is here g 'g["epoch"]' "$epoch" || fail "a new epoch for a clean group"
	NEXT=$((NEXT + 1000000))
}

# lost_again LOSERS: once more, while it recovers.
lost_again() {
	local mounts=() hosts
	[ "$1" = mirror ] || mounts+=("$T/here" "$T/disks")
	[ "$1" = source ] || mounts+=("$T/there" "$T/mirrors")
	[ "$1" = mirror ] || awake "$HERE"
	[ "$1" = source ] || awake "$THERE"
	mapfile -t hosts < <(processes "$1")
	"$BUILD/tests/sys/power" -t $((RANDOM % 300 + 1)) "${hosts[@]}" \
		"${mounts[@]}" >"$T/quietly" || fail "power"
	say "$1: once more"
	[ "$1" = mirror ] || lose_source
	[ "$1" = source ] || lose_mirror
	[ "$1" = mirror ] || boot
}

rounds() {
	local sealed=$T/here/sealed/$STREAM
	local stage=$T/there/stage/$MIRROR
	round source moved "$sealed"
	round mirror moved "$stage"
	round both modify "$T/there/state/$MIRROR.state"
	round mirror modify "$T/mirrors/disk.mir"
	round source create "$sealed"
	round both "" ""
	clean_round
	[ -n "$LONG" ] || return 0
	round source moved "$T/here/state"
	round mirror moved "$T/mirrors/incoming/$STREAM"
	round mirror delete "$T/mirrors/incoming/$STREAM"
	round mirror moved "$T/mirrors/incoming/$STREAM/ack"
	round source delete "$sealed"
	round mirror create "$stage"
	round mirror delete "$stage"
	round both delete "$stage"
	round mirror modify "$T/there/state/$MIRROR.state"
	round source "" ""
	round mirror "" ""
	round both moved "$T/mirrors/incoming/$STREAM"
}

disks
for fs in ext4 xfs; do
	say "== $fs"
	for part in "${PARTS[@]}"; do
		quietly mkfs.$fs -q -"$([ $fs = xfs ] && echo f || echo F)" \
			"$T/$part.fs"
		mount_part "$part"
	done
	bites
	setup
	NEXT=1
	quietly here base g
	start "$HERE"
	start "$THERE"
	settled g
	for ((i = ${AIM_ROUNDS:-1}; i > 0; i--)); do
		rounds
	done
	stop "$HERE"
	stop "$THERE"
	for part in "${PARTS[@]}"; do
		umount_part "$part"
	done
done
pass
