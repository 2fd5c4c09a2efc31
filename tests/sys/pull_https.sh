#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mirror fetches from a web server that the source fills, nginx as a hub.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
need nginx openssl python3

WRITER=$TOP/tests/sys/writer.py
mkdir -p "$T/landing/incoming"
! is_root || chown nobody "$T/landing/incoming"
serve_hub() {
	nginx_start "$T/nginx" "$T/landing" --hub \
		--passwords "$T/nginx/passwords" || fail "no HTTPS server"
}
serve_hub
ln -sf nginx/nginx.log "$T/nginx.log"
URL=https://127.0.0.1:$NGINX_PORT/incoming
HOW=(--ca "$NGINX_CA" --credentials "$NGINX_CREDENTIALS")

sites
volume disk 16M
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "group export"
quietly there mirror add disk --pairing "$T/disk.pairing" --pull "$URL" \
	--create --onto "disk=$T/disk.mir" "${HOW[@]}"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "mirror export"
quietly here destination add there --group disk --url "$URL" --hub \
	--pairing "$T/disk.mirror" "${HOW[@]}"
both
must here base disk --wait --timeout 60
must captured disk python3 "$WRITER" --count 300 "$T/disk.img"
settled disk
mirrored

say "what all have stored is cleared there"
is_clear() {
	! find "$T/landing/incoming" -name '[0-9]*.aim' | grep -q .
}
within 30 is_clear || fail "files are left at the hub"

say "the server dies and comes back"
# shellcheck disable=SC2046 # a list of numbers
kill -9 $(family "$NGINX_PID")
wait "$NGINX_PID" 2>/dev/null
must captured disk python3 "$WRITER" --count 300 --seed 2 "$T/disk.img"
expect 3 here wait disk --timeout 1
# shellcheck disable=SC2034 # for nginx_start
NGINX_FIXED_PORT=$NGINX_PORT
serve_hub
settled disk
mirrored
within 30 is_clear || fail "files are left at the hub"
stop "$HERE"
stop "$THERE"
pass
