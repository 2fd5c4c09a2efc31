#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# HTTPS: upload-only accounts, certificates, pins, and a group mirrored by it.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
need nginx openssl curl python3 sqlite3

TOOL=$BUILD/tests/transport_tool
[ -x "$TOOL" ] || fail "transport_tool is not built in $BUILD"
FOLDER=3f0b0e5a-0000-4000-8000-000000000001
ACK=3f0b0e5a-0000-4000-8000-00000000000a.ack
LANDING=$T/landing
IN=$LANDING/incoming/$FOLDER
mkdir -p "$LANDING/incoming" "$T/files"
! is_root || chown nobody "$LANDING/incoming"
name() { printf '00000001-%016x.aim' "$1"; }
for ((i = 1; i <= 30; i++)); do
	head -c 200k /dev/urandom >"$T/files/$(name "$i")"
done
# Beside it, without TLS: what asks for a token, and what sends elsewhere.
PLAIN=$((20000 + RANDOM % 40000))
# shellcheck disable=SC2034 # for nginx_start
# It ends a connection after so many requests, whatever is under way.
NGINX_MORE="keepalive_requests 25; server {
	listen 127.0.0.1:$PLAIN; root $LANDING; dav_methods PUT MKCOL MOVE;
	client_max_body_size 100k;
	location /incoming { if (\$http_authorization != 'Bearer a.token') {
		return 401; } }
	location /moved { return 301 https://127.0.0.1:1/; } }"
nginx_start "$T/nginx" "$LANDING" || fail "no HTTPS server"
ln -sf nginx/nginx.log "$T/nginx.log"
BASE=https://127.0.0.1:$NGINX_PORT
URL=$BASE/incoming
CA=(-o "ca=$NGINX_CA")
ALL=("${CA[@]}" -o "credentials=$NGINX_CREDENTIALS")

# with OPTION... -- VERB WORD...: by the tool.
with() {
	local options=() verb
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	verb=$2
	shift 2
	"$TOOL" ${options[@]+"${options[@]}"} "$verb" "$URL" - - "$@"
}

say "a folder that is missing is made; many files share a connection"
must with "${ALL[@]}" -- put "$FOLDER" "$T"/files/*
for ((i = 1; i <= 30; i++)); do
	same "$T/files/$(name "$i")" "$IN/$(name "$i")"
done
[ -z "$(find "$IN" -name '.*.part')" ] || fail "temporary names are left"
grep -q '^HTTP/2.0 MOVE 20' "$T/nginx/access.log" || fail "no HTTP/2"
! grep -q '^HTTP/1' "$T/nginx/access.log" || fail "HTTP/1 was spoken"

say "the server ends connections while requests are under way"
for ((i = 1001; i <= 1600; i++)); do
	echo "$i" >"$T/files/$(name $i)"
done
must with "${ALL[@]}" -- put "$FOLDER" "$T"/files/00000001-0000000000000[3-6]*
for ((i = 1001; i <= 1600; i++)); do
	same "$T/files/$(name $i)" "$IN/$(name $i)"
	rm "$T/files/$(name $i)" "$IN/$(name $i)"
done

say "the environment has no say"
rm "$IN/$(name 1)"
https_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 \
	SSL_CERT_FILE=/none CURL_CA_BUNDLE=/none HOME=/none \
	with "${ALL[@]}" -- put "$FOLDER" "$T/files/$(name 1)" ||
	fail "status $?"
same "$T/files/$(name 1)" "$IN/$(name 1)"
expect 1 with "${ALL[@]}" -o proxy=http://127.0.0.1:1 -- \
	put "$FOLDER" "$T/files/$(name 1)"

say "the account can upload, and nothing else"
mkdir -p "$IN/ack"
echo signed >"$IN/ack/$ACK"
chmod 755 "$IN" "$IN/ack"
# ask STATUS METHOD PATH [CURL-OPTION...]: what the server says to the account.
ask() {
	local want=$1 method=$2 path=$3 got
	shift 3
	got=$(curl -s -o /dev/null -w '%{http_code}' --cacert "$NGINX_CA" \
		-u "$(cat "$NGINX_CREDENTIALS")" --path-as-is -X "$method" \
		"$@" "$BASE/$path")
	[ "$got" = "$want" ] || fail "$method $path: $got, not $want"
}
part=incoming/$FOLDER/.$(name 1).0123456789abcdef0123456789abcdef.part
ask 200 GET "incoming/$FOLDER/ack/$ACK"
ask 403 GET "incoming/$FOLDER/$(name 1)"
ask 403 GET "incoming/$FOLDER/"
ask 403 GET incoming/
ask 403 GET "incoming/$FOLDER/ack/../$(name 1)"
ask 403 DELETE "incoming/$FOLDER/$(name 1)"
ask 403 DELETE "incoming/$FOLDER/"
ask 403 PUT "incoming/$FOLDER/$(name 1)" -d evil
ask 403 PUT "incoming/$FOLDER/ack/$ACK" -d evil
ask 403 MKCOL incoming/other/
ask 403 COPY "$part" -H "Destination: $BASE/incoming/$FOLDER/$(name 99)"
ask 201 PUT "$part" -d evil
for overwrite in T t ''; do
	ask 403 MOVE "$part" -H "Overwrite: $overwrite" \
		-H "Destination: $BASE/incoming/$FOLDER/$(name 1)"
done
for to in "$FOLDER/ack/$ACK" "$FOLDER/$(name 1)x" "../x" \
	"$FOLDER/../$FOLDER/$(name 99)" "$(name 99)"; do
	ask 403 MOVE "$part" -H 'Overwrite: F' \
		-H "Destination: $BASE/incoming/$to"
done
ask 412 MOVE "$part" -H 'Overwrite: F' \
	-H "Destination: $BASE/incoming/$FOLDER/$(name 1)"
same "$T/files/$(name 1)" "$IN/$(name 1)"
rm "$IN"/.*.part

say "certificates, names and keys"
expect 4 with -o "credentials=$NGINX_CREDENTIALS" -- get "$FOLDER/ack/$ACK"
says 'CERTIFICATE IS NOT ONE TO TRUST'
URL=https://localhost:$NGINX_PORT/incoming
expect 4 with "${ALL[@]}" -- get "$FOLDER/ack/$ACK"
says 'CERTIFICATE IS NOT ONE TO TRUST'
URL=$BASE/incoming
pin=sha256//$(openssl x509 -in "$T/nginx/pki/server.crt" -noout -pubkey |
	openssl pkey -pubin -outform der | openssl dgst -sha256 -binary |
	base64)
expect 0 with "${ALL[@]}" -o "pin=$pin" -- get "$FOLDER/ack/$ACK"
expect 4 with "${ALL[@]}" -o "pin=sha256//${pin:9:-1}A=" -- \
	get "$FOLDER/ack/$ACK"
says 'KEY IS NOT THE ONE'
expect 4 with "${CA[@]}" -- get "$FOLDER/ack/$ACK"
says -- '--credentials'
chmod 640 "$NGINX_CREDENTIALS"
expect 4 with "${ALL[@]}" -- get "$FOLDER/ack/$ACK"
says 0600
chmod 600 "$NGINX_CREDENTIALS"

say "a token, a redirect, a file too large, a server without TLS"
(umask 077 && echo "bearer a.token" >"$T/token")
URL=http://127.0.0.1:$PLAIN/incoming
expect 0 with -o "credentials=$T/token" -- get "$FOLDER/ack/$ACK"
says '^signed$'
expect 4 with -o "credentials=$NGINX_CREDENTIALS" -- get "$FOLDER/ack/$ACK"
expect 4 with -o "credentials=$T/token" -- put "$FOLDER" "$T/files/$(name 1)"
says 'client_max_body_size'
URL=http://127.0.0.1:$PLAIN/moved
expect 4 with -- get "$FOLDER/ack/$ACK"
says 'elsewhere (301, "https://127.0.0.1:1/")'
URL=http://192.0.2.1/incoming
expect 4 with -- put "$FOLDER" "$T/files/$(name 1)"
says 'plain http'

say "a client certificate in the place of a password; a place to fetch from"
kill "$NGINX_PID"
wait "$NGINX_PID"
# shellcheck disable=SC2034 # for nginx_start
NGINX_MORE=
nginx_start "$T/nginx" "$LANDING" --client-ca "$NGINX_CA" --hub ||
	fail "no HTTPS server"
BASE=https://127.0.0.1:$NGINX_PORT
URL=$BASE/incoming
expect 4 with "${CA[@]}" -- get "$FOLDER/ack/$ACK"
says -- '--key'
expect 4 "$TOOL" "${CA[@]}" get "$URL" "$T/nginx/pki/stranger.pem" - \
	"$FOLDER/ack/$ACK"
hub() {
	"$TOOL" "${CA[@]}" "$1" "$URL" "$NGINX_KEY" - "${@:2}"
}
expect 0 hub get "$FOLDER/ack/$ACK"
says '^signed$'
mkdir "$T/got"
mapfile -t names < <(for ((i = 1; i <= 30; i++)); do
	echo "$FOLDER/$(name "$i")"
done)
must hub fetch 1000000 "$T/got" "${names[@]}"
for ((i = 1; i <= 30; i++)); do
	same "$T/files/$(name "$i")" "$T/got/$(name "$i")"
done
expect 3 hub fetch 1000000 "$T/got" "${names[0]}" "$FOLDER/$(name 99)"
says 'not there'
expect 6 hub fetch 204799 "$T/got" "${names[0]}"
says 'larger than the 204799 bytes'
head -c 100 /dev/urandom >"$IN/$(name 98)"
chmod 644 "$IN/$(name 98)"
expect 6 hub fetch 204799 "$T/got" "${names[0]}" "${names[1]}" \
	"$FOLDER/$(name 99)" "$FOLDER/$(name 98)"
says "$(name 99): not there"
same "$IN/$(name 98)" "$T/got/$(name 98)"
rm "$IN/$(name 98)"
expect 0 hub fetch 204800 "$T/got" "${names[0]}"
begin=$FOLDER/${ACK%.ack}.begin
echo one >"$T/one" && echo two >"$T/two"
for text in one two two; do
	must hub replace "$begin" "$T/$text"
	same "$T/$text" "$LANDING/incoming/$begin"
done
expect 0 hub has "$begin"
expect 0 hub remove "$begin"
expect 3 hub remove "$begin"
expect 3 hub has "$begin"
must hub mkdir "${FOLDER/0001/0002}/ack"
must hub mkdir "${FOLDER/0001/0002}/ack"
must hub replace "${FOLDER/0001/0002}/ack/$ACK" "$T/one"
same "$T/one" "$LANDING/incoming/${FOLDER/0001/0002}/ack/$ACK"
rm -r "$IN" "$LANDING/incoming/${FOLDER/0001/0002}"

say "a group is mirrored, the server killed meanwhile"
sites
volume disk 16M data
here group export data >"$T/data.pairing" 2>"$T/print" || fail "group export"
quietly there mirror add data --pairing "$T/data.pairing" \
	--incoming "$LANDING/incoming" --create --onto "disk=$T/disk.mir"
there mirror export data >"$T/data.mirror" 2>"$T/print" || fail "mirror export"
nginx_may_write "$LANDING"/incoming/*/ || fail "rights"
expect 4 here destination add there --group data --pairing "$T/data.mirror" \
	--url "$URL" --ca "$T/none"
quietly here destination add there --group data --pairing "$T/data.mirror" \
	--url "$URL" --ca "$NGINX_CA" --key "$NGINX_KEY" --pin "$pin"
both
must here base data --wait
must captured data python3 "$TOP/tests/sys/writer.py" --seed 1 --count 300 \
	"$T/disk.img"
settled data
mirrored

say "the link is tried, and what is sent again is dropped"
must there mirror pause data --apply
must captured data dd if=/dev/urandom of="$T/disk.img" bs=64k count=4 \
	conv=notrunc status=none
here wait data --stored --timeout 30 || fail "wait --stored: $?"
expect 0 here destination test there --group data
says 'acknowledgement: read in'
says '^upload: 0.*aim again'
expect 4 here destination test elsewhere --group data
must there mirror resume data --apply
settled data
mirrored
landed() { find "$LANDING/incoming" -name '[0-9]*.aim' | grep -q .; }
is_dropped() { ! landed; }
within 20 is_dropped || fail "what was sent again stays there"
# shellcheck disable=SC2046 # a list of numbers
kill -9 $(family "$NGINX_PID")
wait "$NGINX_PID" 2>/dev/null
must captured data python3 "$TOP/tests/sys/writer.py" --seed 2 --count 300 \
	"$T/disk.img"
expect 3 here wait data --timeout 2
expect 1 here destination test there --group data
says 'nobody answers there'
# shellcheck disable=SC2034 # for nginx_start
NGINX_FIXED_PORT=$NGINX_PORT
nginx_start "$T/nginx" "$LANDING" --client-ca "$NGINX_CA" ||
	fail "the server does not start again"
settled data
mirrored
stop "$HERE"
stop "$THERE"
pass
