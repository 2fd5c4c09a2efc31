#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a flush costs that waits for a mirror, by folder, SFTP and HTTPS.
#
# bench_commit.sh [COUNT]: medians of COUNT fsyncs of 512 bytes each, in ms,
# beside a plain fsync and a round trip of each transport on this machine.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/../sys/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
need python3 nginx openssl sshd ssh-keygen curl

COUNT=${1:-200}
tool() { python3 "$TOP/tests/sys/commit_writer.py" "$@"; }
median() {
	rm -f "$T/witness"
	tool "$2" "$3" "$T/witness" "$COUNT"
	printf '%-42s %s ms\n' "$1" "$(tool median "$T/witness")"
}
median_captured() {
	rm -f "$T/witness"
	must captured "$2" python3 "$TOP/tests/sys/commit_writer.py" fsync \
		"$T/$2.img" "$T/witness" "$COUNT" 2>"$T/said.log"
	printf '%-42s %s ms\n' "$1" "$(tool median "$T/witness")"
}

sites
truncate -s 4M "$T/plain.img"
median "plain fsync" fsync "$T/plain.img"
for how in file sftp https; do
	volume $how 4M
	if [ $how != https ]; then
		pair $how $how
		continue
	fi
	pki=$T/nginx
	! is_root || chown nobody "$T/landing/incoming"
	nginx_start "$pki" "$T/landing" || fail "no HTTPS server"
	here group export https >"$T/https.pairing" 2>/dev/null || fail export
	quietly there mirror add https --pairing "$T/https.pairing" \
		--incoming "$T/landing/incoming" --create \
		--onto "https=$T/https.mir"
	there mirror export https >"$T/https.mirror" 2>/dev/null || fail export
	quietly here destination add there --group https \
		--url "https://127.0.0.1:$NGINX_PORT/incoming" \
		--ca "$NGINX_CA" --credentials "$NGINX_CREDENTIALS" \
		--pairing "$T/https.mirror"
done
both
for how in file sftp https; do
	must here base $how --wait >/dev/null
	median_captured "$how: local" $how
	quietly here group set $how --commit journal
	median_captured "$how: journal" $how
	quietly here group set $how --commit all --commit-timeout 60
	within 10 is here $how 'g["commit"]["policy"]' all || fail "the policy"
	median_captured "$how: all, stored" $how
	quietly here group set $how --commit-stage applied
	median_captured "$how: all, applied" $how
	is here $how 'g["commit"]["degraded"]' false || fail "degraded"
done
curl -s -o /dev/null --cacert "$NGINX_CA" -w '%{time_pretransfer} %{time_starttransfer}\n' \
	"https://127.0.0.1:$NGINX_PORT/incoming/" |
	awk '{ printf "one HTTPS request, connected               %.2f ms\n", ($2 - $1) * 1000 }'
stop "$HERE"
stop "$THERE"
pass
