#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A group lies on four members as RAID 10 says, and on three as RAID 1E says.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
CHUNK=$((64 << 10))

# member GROUP NAME: its mirror there, and the destination here.
member() {
	here group export "$1" --projection "$2" >"$T/$2.pairing" \
		2>/dev/null || fail "export of $2"
	quietly there mirror add "$1" --as "$2" --pairing "$T/$2.pairing" \
		--incoming "$T/landing/incoming" --onto "$1=$T/$1.$2" --create
	there mirror export "$2" >"$T/$2.mirror" 2>/dev/null ||
		fail "mirror export of $2"
	destination "$1" "$2" file "$T/$2.mirror"
}

# lies GROUP MEMBER...: every copy of every byte is where the map says, and
# nothing else is there.
lies() {
	local group=$1 name files=()
	shift
	for name; do
		files+=("$T/$group.$name")
	done
	python3 - $CHUNK "$T/$group.img" "${files[@]}" <<'END' ||
import sys
chunk = int(sys.argv[1])
volume, *members = (open(p, "rb").read() for p in sys.argv[2:])
want = [b""] * len(members)
for slot in range(-(-len(volume) // chunk) * 2):
    at = slot // 2 * chunk
    want[slot % len(members)] += volume[at:at + chunk]
for i, m in enumerate(members):
    assert len(m) == len(want[i]), "member %d has %d bytes" % (i, len(m))
    assert m == want[i], "member %d differs" % i
END
		fail "the members of $group are not what the layout says"
}

check() {
	settled ten
	settled one
	lies ten a b c d
	lies one x y z
}

sites
for name in ten one; do
	head -c $((4 << 20 | 5000)) /dev/urandom >"$T/$name.img"
	quietly here volume add $name "$T/$name.img"
done
expect 4 here group layout ten raid10:chunk=64K:members=a,b,c
expect 4 here group layout ten raid10:chunk=64K
says 'members'
quietly here group layout ten raid10:chunk=64K:members=a,b,c,d
expect 4 here group layout ten raid0:members=e,f
says 'already'
quietly here group layout one raid1e:chunk=64K:members=x,y,z --fold within
for name in a b c d; do
	member ten $name
done
for name in x y z; do
	member one $name
done

here group export one --layout >"$T/one.layout" 2>/dev/null ||
	fail "no layout text"
[ "$(grep -c '^member [xyz] ' "$T/one.layout")" -eq 3 ] ||
	fail "not all members are in the layout text"

say "bases and writes"
both
quietly here base ten
quietly here base one
for name in ten one; do
	must captured $name python3 "$TOP/tests/sys/writer.py" --count 300 \
		--max 300000 "$T/$name.img"
done
check

say "writes of all sizes while the volume grows and shrinks, and a crash"
for name in ten one; do
	must captured $name python3 "$TOP/tests/sys/writer.py" --seed 2 \
		--resize --count 200 "$T/$name.img"
done
murder "$HERE"
murder "$THERE"
both
must captured one truncate -s 6M "$T/one.img"
check
say "no member goes where too few can follow"
at() { ask there "$1" 'g["mirror"]["applied"]'; }
came() { [ "$(ask there "$1" 'g["mirror"]["received"]')" -ge "$2" ]; }
for name in c d; do
	quietly here destination pause $name --group ten
done
was=$(at a)
cp "$T/ten.a" "$T/was"
must captured ten python3 "$TOP/tests/sys/writer.py" --seed 3 --count 200 \
	"$T/ten.img"
number=$(ask here ten 'g["captured"]')
for name in a b; do
	within 20 came $name "$number" || fail "$name does not receive"
done
murder "$THERE"
start "$THERE"
expect 3 here wait ten --destination a --timeout 2
same "$T/was" "$T/ten.a" "member a, which is ahead,"
[ "$(at a)" -lt "$number" ] || fail "a is at $(at a), was at $was"
say "one of each pair is enough, and the last one comes after"
quietly here destination resume c --group ten
for name in a b c; do
	must here wait ten --destination $name --timeout 30
done
quietly here destination resume d --group ten
check
together() { [ "$(at a) $(at b) $(at c)" = "$(at d) $(at d) $(at d)" ]; }
within 20 together || fail "members are at $(at a), $(at b), $(at c), $(at d)"
stop "$HERE"
stop "$THERE"
pass
