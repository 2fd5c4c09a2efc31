#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rsync, daemon and SSH: several files in one call, the rights of each account.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/rsync.sh
. "$TOP/tests/rsync.sh"
need rsync rrsync sshd ssh-keygen setpriv

TOOL=$BUILD/tests/transport_tool
[ -x "$TOOL" ] || fail "transport_tool is not built in $BUILD"
FOLDER=3f0b0e5a-0000-4000-8000-000000000001
IN=$T/landing/incoming/$FOLDER
mkdir -p "$IN/ack" "$T/files" "$T/got" "$T/other" "$T/tmp"
export TMPDIR=$T/tmp
rsyncd_start "$T/rsyncd" "$T/landing" || fail "no rsync daemon"
rsync_sshd_start "$T/rsync-sshd" "$T/landing" || fail "no SSH server"
DAEMON=rsync://uploader@127.0.0.1:$RSYNCD_PORT
PASSWORD=(-o "credentials=$RSYNCD_PASSWORD")
BASE=rsync+ssh://$RSYNC_USER@127.0.0.1:$RSYNC_SSHD_PORT
rsync_may_write "$IN" || fail "rights in $IN"

# name N [GROUP]
name() { printf '%08x-%016x.aim' "${2:-1}" "$1"; }
for ((i = 1; i <= 70; i++)); do
	head -c $((i * 1000)) /dev/urandom >"$T/files/$(name $i)"
done
echo other >"$T/other/$(name 9 9)"

# by WHO VERB WORD...: as that account.
by() {
	local who=$1 verb=$2
	shift 2
	case $who in
	uploader) "$TOOL" "${PASSWORD[@]}" "$verb" "$DAEMON/aim" - - "$@" ;;
	reader) "$TOOL" "${PASSWORD[@]}" "$verb" "$DAEMON/aim-ack" - - "$@" ;;
	*) "$TOOL" "$verb" "$BASE/" "$T/rsync-sshd/$who" \
		"$RSYNC_KNOWN_HOSTS" "$@" ;;
	esac
}

# whole COUNT: so many are there, and as they were sent.
whole() {
	local file seen=0
	for file in "$IN"/*.aim; do
		cmp -s "$file" "$T/files/$(basename "$file")" ||
			fail "$file is not whole"
		seen=$((seen + 1))
	done
	[ $seen -eq "$1" ] || fail "$seen of $1 arrived"
	[ -z "$(find "$IN" -name '.*')" ] || fail "temporary names are left"
}

say "more files than one call takes, some of them there already"
must by uploader put "$FOLDER" "$T"/files/*[0-7].aim
whole 38
must by uploader put "$FOLDER" "$T"/files/*.aim
whole 70
[ "$(stat -c %a "$IN/$(name 1)")" = 640 ] || fail "mode of an arrived file"
if is_root; then
	[ "$(stat -c %U "$IN/$(name 1)")" = nobody ] || fail "its owner"
fi
rm "$IN"/*.aim
must by upload put "$FOLDER" "$T"/files/*.aim
must by upload put "$FOLDER" "$T"/files/*[0-3].aim
whole 70
[ -z "$(ls -A "$T/tmp")" ] || fail "a private folder is left"

say "a killed transfer leaves its private folder, the next one removes it"
"$TOOL" put "$BASE/" "$RSYNC_UPLOAD_KEY" "$RSYNC_KNOWN_HOSTS" "$FOLDER" \
	"$T"/files/*.aim &
putter=$!
any_folder() { [ -n "$(ls -A "$T/tmp")" ]; }
within 10 any_folder || fail "no private folder"
kill -9 $putter
wait $putter 2>/dev/null
any_folder || fail "it cannot have been killed in time"
expect 3 by reader get "$FOLDER/ack/none.ack"
[ -z "$(ls -A "$T/tmp")" ] || fail "a private folder is left"

say "the accounts may do what they are for, and no more"
echo hello >"$IN/ack/x.ack"
head -c 40000 /dev/zero >"$IN/ack/big.ack"
chmod 644 "$IN"/ack/*
for who in reader ack hub; do
	expect 0 by $who get "$FOLDER/ack/x.ack"
	says '^hello$'
	expect 3 by $who get "$FOLDER/ack/none.ack"
	expect 3 by $who get "${FOLDER/0001/0002}/ack/none.ack"
	expect 4 by $who get "$FOLDER/ack/big.ack"
	says 'larger than is accepted'
done
expect 3 by reader get "$FOLDER/$(name 1)" # it is not shown
for who in uploader upload; do
	expect 4 by $who get "$FOLDER/ack/x.ack"
	expect 4 by $who replace "$FOLDER/ack/x.ack" "$T/other/$(name 9 9)"
	expect 4 by $who remove "$FOLDER/$(name 1)"
done
for who in reader ack; do
	expect 4 by $who put "$FOLDER" "$T/other/$(name 9 9)"
	expect 4 by $who remove "$FOLDER/$(name 1)"
done
whole 70
[ "$(cat "$IN/ack/x.ack")" = hello ] || fail "ack/x.ack was changed"

say "files are fetched whole, what is missing or too large has its result"
names=()
for ((i = 1; i <= 40; i++)); do
	names+=("$FOLDER/$(name $i)")
done
chmod a+r "$IN"/*.aim
must by hub fetch 70000 "$T/got" "${names[@]}"
for file in "${names[@]##*/}"; do
	same "$T/files/$file" "$T/got/$file"
done
expect 3 by hub fetch 70000 "$T/got" "${names[0]}" "$FOLDER/none.aim"
says 'none.aim: not there'
expect 6 by hub fetch 9999 "$T/got" "${names[@]:0:12}" "$FOLDER/none.aim"
says 'larger than the 9999 bytes'
says 'none.aim: not there'
[ "$(find "$T/got" -name '*.aim' | wc -l)" -eq 37 ] ||
	fail "what was too large is there"
expect 3 by hub fetch 9999 "$T/got" "${FOLDER/0001/0002}/$(name 1)"

say "small files are replaced, looked for and removed; folders are made"
! is_root || chown nobody "$T/landing/incoming" "$IN/ack"
echo one >"$T/one" && echo two >"$T/two"
for text in one two two; do
	must by hub replace "$FOLDER/x.begin" "$T/$text"
	same "$T/$text" "$IN/x.begin"
done
expect 0 by hub has "$FOLDER/x.begin"
expect 0 by hub remove "$FOLDER/x.begin"
expect 3 by hub remove "$FOLDER/x.begin"
expect 3 by hub has "$FOLDER/x.begin"
expect 3 by hub has "${FOLDER/0001/0002}/x.begin"
must by hub mkdir "${FOLDER/0001/0003}/ack"
must by hub mkdir "${FOLDER/0001/0003}/ack"
must by hub replace "${FOLDER/0001/0003}/ack/x.ack" "$T/one"
same "$T/one" "${IN/0001/0003}/ack/x.ack"

say "a folder that is not there is not made"
for who in uploader upload; do
	expect 1 by $who put "${FOLDER/0001/0004}" "$T/other/$(name 9 9)"
	says 'mirror add'
	[ ! -e "${IN/0001/0004}" ] || fail "a folder was made"
done

say "nobody listening, no such module, no program, passwords others can read"
expect 1 "$TOOL" "${PASSWORD[@]}" put rsync://uploader@127.0.0.1:1/aim - - \
	"$FOLDER" "$T/one"
expect 4 "$TOOL" "${PASSWORD[@]}" put "$DAEMON/other" - - "$FOLDER" "$T/one"
says 'other'
mkdir "$T/empty"
expect 4 env PATH="$T/empty" "$TOOL" "${PASSWORD[@]}" put "$DAEMON/aim" - - \
	"$FOLDER" "$T/one"
says 'must be installed'
ln -s "$(command -v rsync)" "$T/empty/rsync"
expect 4 env PATH="$T/empty" "$TOOL" put "$BASE/" "$RSYNC_UPLOAD_KEY" \
	"$RSYNC_KNOWN_HOSTS" "$FOLDER" "$T/one"
says 'must be installed'
expect 4 "$TOOL" check "$DAEMON/aim" - -
says '--credentials'
cp "$RSYNCD_PASSWORD" "$T/open" && chmod 644 "$T/open"
expect 4 "$TOOL" -o credentials="$T/open" check "$DAEMON/aim" - -
says 0600
expect 4 "$TOOL" check "$BASE/" "$RSYNC_UPLOAD_KEY" -
says 'known-hosts'

say "an environment and a user's configuration change nothing"
mkdir -p "$T/home/.ssh"
printf 'Host *\n\tProxyCommand false\n' >"$T/home/.ssh/config"
printf 'rsync alias -W --dry-run\nrsync alias --whole-file --dry-run\n' \
	>"$T/home/.popt"
rm "$IN/$(name 1)" "$IN/$(name 2)"
export HOME=$T/home RSYNC_RSH=false RSYNC_PASSWORD=wrong \
	RSYNC_CONNECT_PROG=false RSYNC_PROXY=127.0.0.1:1
must by uploader put "$FOLDER" "$T/files/$(name 1)"
must by upload put "$FOLDER" "$T/files/$(name 2)"
whole 70
pass
