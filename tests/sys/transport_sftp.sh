#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SFTP: several files at a time, the right server only, keys that will do.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need sshd ssh-keygen

TOOL=$BUILD/tests/transport_tool
[ -x "$TOOL" ] || fail "transport_tool is not built in $BUILD"
FOLDER=3f0b0e5a-0000-4000-8000-000000000001
IN=$T/landing/incoming/$FOLDER
mkdir -p "$IN/ack" "$T/files"
sshd_start "$T/sshd" "$T/landing" || fail "no SFTP server"
sshd_may_write "$IN" || fail "rights in $IN"
BASE=sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT
URL=$BASE/incoming

make_files() {
	local i name
	for ((i = 1; i <= $1; i++)); do
		printf -v name '%08x-%016x.aim' "$3" "$i"
		head -c "$2" /dev/urandom >"$T/files/$name"
	done
}

# put FILE...: with the right key and host.
put() { "$TOOL" put "$URL" "$SSHD_UPLOAD_KEY" "$SSHD_KNOWN_HOSTS" "$FOLDER" "$@"; }

# whole: what can be seen there is what was sent; $SEEN of them.
whole() {
	local file
	SEEN=0
	for file in "$IN"/*.aim; do
		[ -e "$file" ] || continue
		cmp -s "$file" "$T/files/$(basename "$file")" ||
			fail "$file is not whole"
		SEEN=$((SEEN + 1))
	done
}

say "files arrive as they were sent"
make_files 20 300k 1
must put "$T"/files/00000001-*.aim
whole
[ "$SEEN" -eq 20 ] || fail "$SEEN of 20 arrived"
[ -z "$(find "$IN" -name '.*.part')" ] || fail "temporary names are left"

say "a name that is taken is left alone"
mkdir "$T/other"
echo other >"$T/other/00000001-0000000000000001.aim"
must put "$T/other/00000001-0000000000000001.aim"
whole
[ "$SEEN" -eq 20 ] || fail "$SEEN files"
rm -f "$IN"/.*.part

say "acknowledgements are read by their own account, absence is no failure"
echo hello >"$IN/ack/x.ack"
chmod 644 "$IN/ack/x.ack"
expect 0 "$TOOL" get "$URL" "$SSHD_ACK_KEY" "$SSHD_KNOWN_HOSTS" \
	"$FOLDER/ack/x.ack"
says hello
expect 3 "$TOOL" get "$URL" "$SSHD_ACK_KEY" "$SSHD_KNOWN_HOSTS" \
	"$FOLDER/ack/none.ack"
head -c 40000 /dev/zero >"$IN/ack/big.ack"
chmod 644 "$IN/ack/big.ack"
expect 4 "$TOOL" get "$URL" "$SSHD_ACK_KEY" "$SSHD_KNOWN_HOSTS" \
	"$FOLDER/ack/big.ack"
says 'larger than is accepted'
"$TOOL" put "$URL" "$SSHD_ACK_KEY" "$SSHD_KNOWN_HOSTS" "$FOLDER" \
	"$T/other/00000001-0000000000000001.aim" 2>/dev/null &&
	fail "the reading account can write"

say "files are fetched whole, what is missing or too large has its result"
# with VERB WORD...: by the key that may do all.
with() { "$TOOL" "$1" "$URL" "$SSHD_HUB_KEY" "$SSHD_KNOWN_HOSTS" "${@:2}"; }
mkdir "$T/got"
names=()
for ((i = 1; i <= 20; i++)); do
	printf -v name "$FOLDER/00000001-%016x.aim" "$i"
	names+=("$name")
done
must with fetch 1000000 "$T/got" "${names[@]}"
for name in "${names[@]##*/}"; do
	same "$T/files/$name" "$T/got/$name"
done
expect 3 with fetch 1000000 "$T/got" "${names[0]}" "$FOLDER/none.aim"
says 'none.aim: not there'
expect 6 with fetch 307199 "$T/got" "${names[0]}"
says 'larger than the 307199 bytes'
head -c 100 /dev/urandom >"$IN/small.aim"
chmod 644 "$IN/small.aim"
expect 6 with fetch 307199 "$T/got" "${names[0]}" "${names[1]}" \
	"$FOLDER/none.aim" "$FOLDER/small.aim"
says 'none.aim: not there'
same "$IN/small.aim" "$T/got/small.aim"
rm "$IN/small.aim"
expect 0 with fetch 307200 "$T/got" "${names[0]}"

say "small files are replaced, looked for and removed; folders are made"
echo one >"$T/one" && echo two >"$T/two"
for text in one two two; do
	must with replace "$FOLDER/x.begin" "$T/$text"
	same "$T/$text" "$IN/x.begin"
done
[ -z "$(find "$IN" -name '.*.part')" ] || fail "temporary names are left"
expect 0 with has "$FOLDER/x.begin"
expect 0 with remove "$FOLDER/x.begin"
expect 3 with remove "$FOLDER/x.begin"
expect 3 with has "$FOLDER/x.begin"
must with mkdir "$FOLDER/new/ack"
must with mkdir "$FOLDER/new/ack"
[ -d "$IN/new/ack" ] || fail "no folder was made"
must with replace "$FOLDER/new/ack/x.ack" "$T/one"
expect 4 "$TOOL" replace "$URL" "$SSHD_ACK_KEY" "$SSHD_KNOWN_HOSTS" \
	"$FOLDER/new/ack/x.ack" "$T/two"
same "$T/one" "$IN/new/ack/x.ack"
rm -r "$IN/new"

say "another server's key: nothing is sent"
ssh-keygen -q -t ed25519 -N '' -f "$T/stranger"
echo "[127.0.0.1]:$SSHD_PORT $(cut -d' ' -f1,2 "$T/stranger.pub")" \
	>"$T/wrong_hosts"
cp "$T/files/00000001-0000000000000001.aim" "$T/other/00000009-0000000000000001.aim"
expect 4 "$TOOL" put "$URL" "$SSHD_UPLOAD_KEY" "$T/wrong_hosts" "$FOLDER" \
	"$T/other/00000009-0000000000000001.aim"
says 'HOST KEY IS NOT THE ONE'
expect 4 "$TOOL" check "$URL" "$SSHD_UPLOAD_KEY" -
says 'known-hosts'
echo "[127.0.0.1]:$((SSHD_PORT + 1)) $(cut -d' ' -f1,2 "$T/sshd/host.pub")" \
	>"$T/wrong_hosts"
expect 4 "$TOOL" put "$URL" "$SSHD_UPLOAD_KEY" "$T/wrong_hosts" "$FOLDER" \
	"$T/other/00000009-0000000000000001.aim"
says 'ssh-keyscan'
[ -z "$(find "$IN" -name '*00000009-*')" ] || fail "something was sent"

say "a key that is not let in, a folder that is not there, nobody listening"
expect 4 "$TOOL" put "$URL" "$T/stranger" "$SSHD_KNOWN_HOSTS" "$FOLDER" \
	"$T/other/00000009-0000000000000001.aim"
says 'authorized_keys'
expect 1 "$TOOL" put "$BASE/nowhere" "$SSHD_UPLOAD_KEY" "$SSHD_KNOWN_HOSTS" \
	"$FOLDER" "$T/other/00000009-0000000000000001.aim"
says 'mirror add'
chmod 644 "$T/stranger"
expect 4 "$TOOL" check "$URL" "$T/stranger" "$SSHD_KNOWN_HOSTS"
says 0600

pass
