#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A group that lies on several mirrors is put together again from its members.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

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

# gathered STATUS GROUP MEMBER...: from these, as the source's text says.
MORE=()
gathered() {
	local want=$1 group=$2 name options=()
	shift 2
	for name; do
		options+=(--member "$name=$T/$group.$name")
	done
	rm -f "$T/out" "$T/out.gather"
	expect "$want" aim-manager gather --to "$T/out" --once --still \
		--members "$T/$group.layout" "${options[@]}" ${MORE[@]+"${MORE[@]}"}
}

sites
head -c $((4 << 20 | 5000)) /dev/urandom >"$T/ten.img"
cp "$T/ten.img" "$T/one.img"
for name in ten one; do
	quietly here volume add $name "$T/$name.img"
done
quietly here group layout ten raid10:chunk=64K:members=a,b,c,d
quietly here group layout one raid1e:chunk=64K:members=x,y,z
for name in a b c d; do
	member ten $name
done
for name in x y z; do
	member one $name
done
for name in ten one; do
	here group export $name --layout >"$T/$name.layout" 2>/dev/null ||
		fail "no layout text"
done
both
for name in ten one; do
	quietly here base $name
	must captured $name python3 "$TOP/tests/sys/writer.py" --count 300 \
		"$T/$name.img"
	settled $name
done
for name in a b c d x y z; do
	must there mirror pause $name --apply
done
stop "$THERE"

say "from all members, and from those that are left"
gathered 0 ten a b c d
same "$T/ten.img" "$T/out"
gathered 0 one x y z
same "$T/one.img" "$T/out"
mv "$T/one.y" "$T/y.gone"
mv "$T/ten.b" "$T/b.gone"
mv "$T/ten.c" "$T/c.gone"
gathered 0 one x y z
same "$T/one.img" "$T/out"
gathered 0 ten a b c d
same "$T/ten.img" "$T/out"
mv "$T/ten.a" "$T/a.gone"
gathered 1 ten a b c d
says 'say --size'
mv "$T/one.z" "$T/z.gone"
MORE=(--size "$(stat -c %s "$T/one.img")")
gathered 3 one x y z
mv "$T/y.gone" "$T/one.y"
expect 0 aim-manager gather --to "$T/out" --continue --once
same "$T/one.img" "$T/out"
MORE=()

say "members at different moments are told, and enough of one are taken"
mv "$T/z.gone" "$T/one.z"
start "$THERE"
must there mirror resume x --apply
must there mirror resume z --apply
must captured one python3 "$TOP/tests/sys/writer.py" --count 50 --seed 2 \
	"$T/one.img"
for name in x z; do
	must here wait one --destination $name --timeout 60
	must there mirror pause $name --apply
done
stop "$THERE"
gathered 0 one x y z
says 'y is left out: it is at transaction .*, behind'
same "$T/one.img" "$T/out"
stop "$HERE"
pass
