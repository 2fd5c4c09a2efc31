#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links that lose, reset, crawl, swallow: every mirror gets there (F43 to F45).
#
# In a network namespace of its own, where rules of nft and a token bucket make
# the weather on the loopback interface. One group, three mirrors: over SFTP,
# HTTPS and S3, all hit at once. The source's writers never wait for any.
if [ -z "${AIM_OWN_NET:-}" ]; then
	if [ "$(id -u)" -eq 0 ]; then
		AIM_OWN_NET=1 exec unshare --net "$0" "$@"
	fi
	AIM_OWN_NET=1 exec unshare --user --map-current-user --keep-caps \
		--net "$0" "$@"
fi
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need nft tc ip sshd nginx openssl python3
# Packets as on an Ethernet, so that losing one means something.
must ip link set lo mtu 1500 gso_max_size 1500 gso_max_segs 1 up
# "ct bytes" counts.
echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct || fail "no accounting"

MIRRORS="sftp https s3"
site() { aim-manager --home "$T/$1" "${@:2}"; }

sftp_up() { sshd_start "$T/sshd" "$T/landing.sftp"; }
https_up() { nginx_start "$T/nginx" "$T/landing.https"; }
s3_up_here() { s3_start "$T/bucket" "$T/landing.s3"; }
all_up() {
	for name in sftp_up https_up s3_up_here; do
		$name || fail "$name: it does not start"
	done
	SSHD_FIXED_PORT=$SSHD_PORT NGINX_FIXED_PORT=$NGINX_PORT
	S3_FIXED_PORT=$S3_PORT
}
all_down() {
	local all
	all=$(family "$SSHD_PID"; family "$NGINX_PID"; family "$S3_PID")
	# shellcheck disable=SC2086 # a list of numbers
	{
		kill -9 $all
		wait "$SSHD_PID" "$NGINX_PID" "$S3_PID"
	} 2>/dev/null
	# shellcheck disable=SC2086
	gone $all
}

# met: each rule of now has met packets on their way to a server.
met() {
	! nft list chain inet weather in 2>/dev/null |
		grep -q 'dport.*packets 0 bytes'
}
# weather RULE VERDICT...: for packets to or from the servers; none: fair. What
# was said before must have met some packets.
weather() {
	local ports="{ $SSHD_PORT, $NGINX_PORT, $S3_PORT }"
	within 20 met || fail "these met nothing: $(nft list table inet weather)"
	{
		echo "table inet weather"
		echo "flush table inet weather"
		echo "table inet weather {"
		echo "	chain in {"
		echo "		type filter hook input priority 0"
		while [ $# -gt 0 ]; do
			printf '		tcp %s %s %s counter %s\n' \
				dport "$ports" "$1" "$2" \
				sport "$ports" "$1" "$2"
			shift 2
		done
		printf '	}\n}\n'
	} | nft -f - || fail "nft: status $?"
}

SEED=0
# writes COUNT: by a captured program, which must not wait for any mirror; at
# most this long even on a slow machine.
writes() {
	SEED=$((SEED + 1))
	must timeout 60 aim-manager --home "$HERE" run disk -- python3 \
		"$TOP/tests/sys/writer.py" --seed $SEED --count "$1" \
		"$T/disk.img" >"$T/writer.log"
}
alike() {
	local name
	settled disk "${1:-120}"
	for name in $MIRRORS; do
		same "$T/disk.img" "$T/disk.$name" "the mirror over $name"
	done
}
# behind: none has got everything, and none will before the weather changes.
behind() {
	local name
	within 20 met || fail "no packets to the servers"
	expect 3 here wait disk --timeout 1
	for name in $MIRRORS; do
		is here disk "[d['applied'] < g['captured'] for d in
			g['destinations'] if d['name'] == '$name'][0]" true ||
			fail "the weather did not reach $name"
	done
}

quietly here init --site here
truncate -s 16M "$T/disk.img"
quietly here volume add disk "$T/disk.img"
here group export disk >"$T/pairing" 2>/dev/null || fail "group export"
for name in $MIRRORS; do
	mkdir -p "$T/landing.$name/incoming"
	quietly site "$name" init --site "$name"
	quietly site "$name" mirror add disk --pairing "$T/pairing" \
		--incoming "$T/landing.$name/incoming" --create \
		--onto "disk=$T/disk.$name"
	site "$name" mirror export disk >"$T/$name.mirror" 2>/dev/null ||
		fail "mirror export at $name"
done
all_up
sshd_may_write "$T"/landing.sftp/incoming/*/ || fail "rights"
nginx_may_write "$T"/landing.https/incoming/*/ || fail "rights"
add() {
	quietly here destination add "$1" --group disk \
		--pairing "$T/$1.mirror" "${@:2}"
}
add sftp --url "sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/incoming" \
	--key "$SSHD_UPLOAD_KEY" --ack-key "$SSHD_ACK_KEY" \
	--known-hosts "$SSHD_KNOWN_HOSTS"
add https --url "https://127.0.0.1:$NGINX_PORT/incoming" --ca "$NGINX_CA" \
	--credentials "$NGINX_CREDENTIALS"
add s3 --url "$(s3_url '')" --ca "$S3_CA" --credentials "$S3_KEYS"
for name in $MIRRORS; do
	start "$T/$name"
done
start "$HERE"
must here base disk --wait --timeout 60
weather

say "the link is cut in the middle of it, and mended"
writes 300
weather '' drop
writes 300
behind
weather
alike

say "connections are reset at any time"
weather 'numgen random mod 1000 < 5' 'reject with tcp reset'
writes 300
here wait disk --timeout 3 >/dev/null 2>&1
weather
alike

say "no connection lives long"
weather 'ct bytes > 300000' 'reject with tcp reset'
writes 300
behind
weather
alike

say "packets are lost, five of a hundred"
weather 'numgen random mod 100 < 5' drop
writes 300
alike 240
weather

say "whatever is large is swallowed"
weather 'meta length > 1000' drop
writes 300
behind
weather
alike

say "the link crawls"
must tc qdisc add dev lo root tbf rate 24mbit burst 32k latency 400ms
writes 300
alike 240
must tc qdisc del dev lo root

say "the servers are killed; what gathered meanwhile goes in one rush"
all_down
writes 2500
behind
all_up
alike 240

say "what came by these links was whole, or did not come"
for name in $MIRRORS; do
	site "$name" status --json >"$T/status.json" || fail "status: $?"
	python3 -c 'import json, sys
sys.exit(json.load(sys.stdin)["groups"][0]["mirror"]["quarantined"] != 0)' \
		<"$T/status.json" || fail "quarantine at $name"
	stop "$T/$name"
done
stop "$HERE"
pass
