#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every transport: whole files or none, no replacing, the right server only.
#
# One function for each kind of server sets it up; the cases are the same for
# all. A new transport adds KIND_serve, KIND_end, KIND_may_write and `say_how`.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
# shellcheck source=tests/rsync.sh
. "$TOP/tests/rsync.sh"
need sshd ssh-keygen nginx rsync openssl timeout setpriv

TOOL=$BUILD/tests/transport_tool
[ -x "$TOOL" ] || fail "transport_tool is not built in $BUILD"
FOLDER=3f0b0e5a-0000-4000-8000-000000000001
OTHER=3f0b0e5a-0000-4000-8000-000000000002
ACK=3f0b0e5a-0000-4000-8000-00000000000a.ack
mkdir -p "$T/files" "$T/other"

# name N [GROUP]: a file's name.
name() { printf '%08x-%016x.aim' "${2:-1}" "$1"; }

# make COUNT SIZE GROUP: files to send.
make() {
	local i
	for ((i = 1; i <= $1; i++)); do
		head -c "$2" /dev/urandom >"$T/files/$(name "$i" "$3")"
	done
}
make 12 300k 1
# More than is sent before a server can be stopped: one content, many names.
make 1 4M 2
for ((i = 2; i <= 100; i++)); do
	ln "$T/files/$(name 1 2)" "$T/files/$(name "$i" 2)"
done
make 1 6M 3
make 1 100 4
echo other >"$T/other/$(name 1)"

# ---- the servers: $LANDING is what is shown; how WHO sets HOW and URL ----

file_serve() { :; }
file_end() { :; }
file_may_write() { chmod 777 "$@"; }
file_how() {
	HOW=() URL=file://$LANDING/incoming KEY=- KNOWN=-
}

sftp_serve() {
	local dir=$T/sshd-$1
	sshd_start "$dir" "$LANDING" || fail "no SFTP server"
	ln -sf "$dir/sshd.log" "$T/sshd.log"
	[ -f "$T/stranger" ] || ssh-keygen -q -t ed25519 -N '' -f "$T/stranger"
	echo "[127.0.0.1]:$SSHD_PORT $(cut -d' ' -f1,2 "$T/stranger.pub")" \
		>"$T/wrong_hosts"
	SERVER=$SSHD_PID PORT=$SSHD_PORT
}
sftp_may_write() { sshd_may_write "$@"; }
sftp_how() {
	HOW=() KEY=$SSHD_UPLOAD_KEY KNOWN=$SSHD_KNOWN_HOSTS
	URL=sftp://$SSHD_USER@127.0.0.1:$PORT$SSHD_ROOT/incoming
	case $1 in
	reader) KEY=$SSHD_ACK_KEY ;;
	stranger) KEY=$T/stranger ;;
	impostor) KNOWN=$T/wrong_hosts ;;
	esac
}

https_serve() {
	local dir=$T/nginx-$1
	nginx_start "$dir" "$LANDING" || fail "no HTTPS server"
	ln -sf "$dir/nginx.log" "$T/nginx.log"
	(umask 077 && echo uploader:wrong >"$T/wrong_credentials")
	SERVER=$NGINX_PID PORT=$NGINX_PORT
}
https_may_write() { nginx_may_write "$@"; }
https_how() {
	HOW=(-o "ca=$NGINX_CA" -o "credentials=$NGINX_CREDENTIALS")
	URL=https://127.0.0.1:$PORT/incoming KEY=- KNOWN=-
	case $1 in
	stranger) HOW[3]=credentials=$T/wrong_credentials ;;
	impostor) HOW[1]=ca=$T/nginx-$KIND/pki/stranger.crt ;;
	esac
}

# Objects are files of $LANDING; the bucket is "incoming".
s3_serve() {
	s3_start "$T/s3-$1" "$LANDING" || fail "no S3 server"
	ln -sf "$T/s3-$1/s3.log" "$T/s3.log"
	SERVER=$S3_PID PORT=$S3_PORT
}
s3_may_write() { :; }
s3_how() {
	HOW=(-o "ca=$S3_CA" -o "credentials=$S3_KEYS")
	URL=$(s3_url '') KEY=- KNOWN=-
	case $1 in
	reader) URL=$(s3_url '' profile=reader) ;;
	stranger) URL=$(s3_url '' profile=wrong) ;;
	impostor) HOW[1]=ca=$S3_DIR/pki/stranger.crt ;;
	esac
}

rsync_serve() {
	rsyncd_start "$T/rsyncd-$1" "$LANDING" || fail "no rsync daemon"
	(umask 077 && echo wrong >"$T/wrong_password")
	SERVER=$RSYNCD_PID PORT=$RSYNCD_PORT
}
rsync_how() {
	HOW=(-o "credentials=$RSYNCD_PASSWORD") KEY=- KNOWN=-
	URL=rsync://uploader@127.0.0.1:$PORT/aim
	case $1 in
	reader) URL+=-ack ;;
	stranger) HOW[1]=credentials=$T/wrong_password ;;
	esac
}

rsync_ssh_serve() {
	rsync_sshd_start "$T/rsync-sshd-$1" "$LANDING" || fail "no SSH server"
	[ -f "$T/stranger" ] || ssh-keygen -q -t ed25519 -N '' -f "$T/stranger"
	echo "[127.0.0.1]:$RSYNC_SSHD_PORT" \
		"$(cut -d' ' -f1,2 "$T/stranger.pub")" >"$T/wrong_rsync_hosts"
	SERVER=$RSYNC_SSHD_PID PORT=$RSYNC_SSHD_PORT
}
rsync_ssh_may_write() { rsync_may_write "$@"; }
rsync_ssh_how() {
	HOW=() KEY=$RSYNC_UPLOAD_KEY KNOWN=$RSYNC_KNOWN_HOSTS
	URL=rsync+ssh://$RSYNC_USER@127.0.0.1:$PORT/
	case $1 in
	reader) KEY=$RSYNC_ACK_KEY ;;
	stranger) KEY=$T/stranger ;;
	impostor) KNOWN=$T/wrong_rsync_hosts ;;
	esac
}

# ---- what all of them do ----

# put|get|check WHO ...: as the right account and so on.
run() {
	local verb=$1 who=$2
	shift 2
	"${KIND}_how" "$who"
	"$TOOL" ${HOW[@]+"${HOW[@]}"} "$verb" "$URL" "$KEY" "$KNOWN" "$@"
}
put() { run put "$@"; }
get() { run get "$@"; }

# as_nobody COMMAND...: a folder has no other account than ours.
as_nobody() {
	if is_root; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# whole: all that can be seen there is what was sent; $SEEN of them.
whole() {
	local file
	SEEN=0
	for file in "$IN"/*.aim; do
		[ -e "$file" ] || continue
		cmp -s "$file" "$T/files/$(basename "$file")" ||
			fail "$KIND: $file is not whole"
		SEEN=$((SEEN + 1))
	done
}

# empty: nothing of group $1 appeared, not even for a moment a hidden name
# that stays when $2 is given.
empty() {
	local seen
	seen=$(find "$LANDING" -name "$(printf '%s%08x-*' "${2:+*}" "$1")")
	[ -z "$seen" ] || fail "$KIND: this appeared: $seen"
}

# serve DIR: its own landing folder and server.
serve_it() {
	LANDING=$T/landing-$1
	IN=$LANDING/incoming/$FOLDER
	mkdir -p "$IN/ack" "$LANDING/incoming/$OTHER/ack"
	"${KIND}_serve" "$1"
	"${KIND}_may_write" "$IN"
}

the_cases() {
	say "$KIND: files appear whole, and as they were sent"
	put right "$FOLDER" "$T"/files/00000001-* &
	local putter=$!
	while kill -0 $putter 2>/dev/null; do
		whole
	done
	wait $putter || fail "status $? from put"
	whole
	[ "$SEEN" -eq 12 ] || fail "$SEEN of 12 arrived"
	[ -z "$(find "$IN" -name '.0*.part')" ] ||
		fail "temporary names are left"

	say "$KIND: a name that is taken stays; a duplicate is accepted"
	put right "$FOLDER" "$T/other/$(name 1)" 2>"$T/taken"
	case $?:$KIND in
	0:* | 3:* | 4:s3 | 4:rsync) ;; # these can tell that it is another
	*) fail "status $? for a name that is taken: $(cat "$T/taken")" ;;
	esac
	put right "$FOLDER" "$T/files/$(name 2)"
	case $? in
	0 | 3) ;;
	*) fail "status $? for a duplicate" ;;
	esac
	whole
	[ "$SEEN" -eq 12 ] || fail "$SEEN of 12 files"

	say "$KIND: reading is bounded, absence is no failure"
	echo hello >"$IN/ack/$ACK"
	expect 0 get reader "$FOLDER/ack/$ACK"
	says '^hello$'
	expect 3 get reader "$FOLDER/ack/${ACK/000a/000b}"
	expect 3 get reader "${FOLDER/0001/0003}/ack/$ACK"
	head -c 40000 /dev/zero >"$IN/ack/$ACK"
	expect 4 get reader "$FOLDER/ack/$ACK"
	says 'larger than'

	say "$KIND: names that AIM would not make are refused unconnected"
	local bad
	for bad in .. a/.. 'a b' "a'" 'a"b' 'a%2e' -x .hidden 'a;b' $'a\nb'; do
		expect 4 put right "$bad" "$T/files/$(name 1 4)"
		expect 4 get reader "$bad/x"
	done
	empty 4 any
}

no_rights() {
	say "$KIND: a folder that may not be written to"
	local as=() rc=0
	[ "$KIND" != file ] || as=(as_nobody)
	chmod 555 "$LANDING/incoming/$OTHER"
	"${KIND}_how" right
	OUT=$("${as[@]}" "$TOOL" ${HOW[@]+"${HOW[@]}"} put "$URL" "$KEY" \
		"$KNOWN" "$OTHER" "$T/files/$(name 1 4)" 2>&1) || rc=$?
	case $rc in
	1 | 4) echo "   $OUT" ;;
	*) fail "status $rc without the right to write: $OUT" ;;
	esac
	empty 4 any
	chmod 755 "$LANDING/incoming/$OTHER"
}

wrong_ones() {
	say "$KIND: wrong credentials, and another server than ours"
	expect 4 put stranger "$FOLDER" "$T/files/$(name 1 4)"
	echo "   $OUT"
	expect 4 get stranger "$FOLDER/ack/$ACK"
	empty 4 any
	[ "$KIND" != rsync ] || return # its server proves nothing
	expect 4 put impostor "$FOLDER" "$T/files/$(name 1 4)"
	says "THE SERVER'S"
	says 'Nothing was sent'
	expect 4 get impostor "$FOLDER/ack/$ACK"
	empty 4 any
}

# killed: the server dies midway and comes back.
killed() {
	say "$KIND: the server is killed midway; again is harmless"
	put right "$FOLDER" "$T"/files/00000002-* 2>"$T/put.log" &
	local putter=$! begin rc=0
	within 20 test -e "$IN/$(name 1 2)" || fail "nothing arrives"
	# shellcheck disable=SC2046 # a list of numbers
	kill -9 $(family "$SERVER")
	wait "$SERVER" 2>/dev/null
	begin=$SECONDS
	wait $putter || rc=$?
	[ $rc -eq 1 ] || fail "status $rc when it died: $(cat "$T/put.log")"
	[ $((SECONDS - begin)) -lt 60 ] || fail "noticed too late"
	whole
	expect 1 put right "$FOLDER" "$T/files/$(name 1 2)"
	SSHD_FIXED_PORT=$PORT NGINX_FIXED_PORT=$PORT S3_FIXED_PORT=$PORT
	RSYNCD_FIXED_PORT=$PORT
	"${KIND}_serve" "$KIND"
	unset SSHD_FIXED_PORT NGINX_FIXED_PORT S3_FIXED_PORT RSYNCD_FIXED_PORT
	must put right "$FOLDER" "$T"/files/00000002-*0[1-9a-f].aim
	whole
	[ "$SEEN" -ge 27 ] || fail "$SEEN of 27 arrived"
	rm -f "$IN"/00000002-* "$IN"/.*.part
}

# frozen: a server of its own stops answering; run beside the others.
frozen() {
	local begin rc=0 all putter
	serve_it "$KIND-frozen"
	put right "$FOLDER" "$T"/files/00000002-* 2>"$T/frozen-$KIND.log" &
	putter=$!
	within 20 test -e "$IN/$(name 1 2)" || fail "nothing arrives"
	all=$(family "$SERVER")
	# shellcheck disable=SC2086 # a list of numbers
	kill -STOP $all 2>/dev/null
	begin=$SECONDS
	wait $putter || rc=$?
	# shellcheck disable=SC2086
	kill -CONT $all 2>/dev/null
	[ $rc -eq 1 ] || fail "status $rc from a frozen server"
	[ $((SECONDS - begin)) -lt 75 ] || fail "given up too late"
	echo "   $KIND: given up after $((SECONDS - begin)) s:" \
		"$(cat "$T/frozen-$KIND.log")"
	whole
	must put right "$FOLDER" "$T"/files/00000002-*0[1-9a-f].aim
	whole
	[ "$SEEN" -ge 15 ] || fail "$SEEN of 15 arrived"
}

full() {
	say "$KIND: the disk there is full: nothing appears, and that is said"
	local rc=0
	# shellcheck disable=SC2317
	mount -t tmpfs -o size=4m none "$LANDING" || skip "cannot mount"
	at_end "umount -l '$LANDING'"
	mkdir -p "$IN/ack"
	"${KIND}_serve" "$KIND-full"
	"${KIND}_may_write" "$IN"
	OUT=$(put right "$FOLDER" "$T/files/$(name 1 3)" 2>&1) || rc=$?
	case $rc in
	1 | 5) echo "   $OUT" ;;
	*) fail "status $rc from a full disk: $OUT" ;;
	esac
	empty 3
	rm -f "$IN"/.*.part # the mirror's site does so, later
	must put right "$FOLDER" "$T/files/$(name 1 4)"
}

for KIND in sftp https s3 rsync rsync_ssh; do
	(
		SERVER=
		# shellcheck disable=SC2046 # a list of numbers
		trap '[ -z "$SERVER" ] || kill -9 $(family "$SERVER") 2>/dev/null' EXIT
		frozen
	) >"$T/frozen-$KIND.out" 2>&1 &
	FROZEN+=($!)
done
for KIND in file sftp https s3 rsync rsync_ssh; do
	serve_it "$KIND"
	the_cases
	no_rights
	if [ $KIND != file ]; then
		wrong_ones
		killed
	fi
	if is_root; then
		full
	fi
done
say "servers that stop answering are given up"
for i in "${!FROZEN[@]}"; do
	wait "${FROZEN[$i]}" || {
		cat "$T"/frozen-*.out
		fail "frozen servers"
	}
done
cat "$T"/frozen-*.out
pass
