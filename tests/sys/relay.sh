#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A relay passes files on over folder and SFTP; it may die, fill up, be made anew.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# relay NAME INCOMING [OPTION...]: a relay of "disk" on a site of its own.
relay() {
	local name=$1 incoming=$2
	shift 2
	quietly aim-manager --home "$T/$name" init --site "$name"
	mkdir -p "$incoming"
	quietly aim-manager --home "$T/$name" relay add disk \
		--pairing "$T/disk.pairing" --incoming "$incoming" "$@"
	aim-manager --home "$T/$name" relay export disk >"$T/$name.relay" \
		2>/dev/null || fail "relay export: $?"
}

# kept: how many files the relay has.
kept() { find "$T/mid/sealed" -name '*.aim' | wc -l; }
is_empty() { [ "$(kept)" -eq 0 ]; }
sealed_here() { find "$HERE/sealed" -name '*.aim' | wc -l; }
is_pruned() { [ "$(sealed_here)" -le 1 ]; }

sites
volume disk 16M
here group export disk >"$T/disk.pairing" 2>/dev/null || fail "export: $?"
relay mid "$T/mid.in"
quietly there mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/landing/incoming" --create --onto "disk=$T/disk.mir"
there mirror export disk >"$T/disk.mirror" 2>/dev/null || fail "export: $?"
options=()
url=file://$T/landing/incoming
if command -v sshd >/dev/null; then
	serve
	sshd_may_write "$T"/landing/incoming/*/ || fail "rights"
	url=sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/incoming
	options=(--key "$SSHD_UPLOAD_KEY" --ack-key "$SSHD_ACK_KEY"
		--known-hosts "$SSHD_KNOWN_HOSTS")
fi

say "a relay is no mirror"
quietly here destination add mid --group disk --url "file://$T/mid.in" \
	--pairing "$T/mid.relay"
expect 4 here base disk
says 'is a relay'
expect 4 here destination add there --group disk --via nobody \
	--pairing "$T/disk.mirror"
quietly here destination add there --group disk --via mid \
	--pairing "$T/disk.mirror"
quietly aim-manager --home "$T/mid" destination add there --group disk \
	--url "$url" ${options[@]+"${options[@]}"} --pairing "$T/disk.mirror"
both
start "$T/mid"
quietly here base disk
settled disk
mirrored
must captured disk python3 "$TOP/tests/sys/writer.py" --count 300 \
	"$T/disk.img"
settled disk
mirrored
within 20 is_empty || fail "the relay drops nothing: $(kept) files"
within 20 is_pruned || fail "the source prunes nothing: $(sealed_here) files"
is here disk '[d["relay"] for d in g["destinations"]]' '[True, False]' ||
	fail "status of the hop"
is here disk '[d["via"] for d in g["destinations"]]' "[None, 'mid']" ||
	fail "status of the end"
is here disk 'len(set(d["stored"] for d in g["destinations"]))' 1 ||
	fail "hop and end differ"

say "killed in the middle, again and again"
captured disk python3 "$TOP/tests/sys/writer.py" --seed 2 --count 1500 \
	"$T/disk.img" >"$T/writer.log" 2>&1 &
writer=$!
for _ in 1 2; do
	sleep 0.3
	murder "$T/mid"
	start "$T/mid"
done
wait $writer || fail "the writer: status $?"
settled disk
mirrored

say "the end is away: the relay keeps, the source does not prune"
murder "$THERE"
for seed in 3 4; do
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed $seed \
		--count 100 "$T/disk.img"
	here wait disk --stored --destination mid --timeout 30 ||
		fail "the relay stores nothing: $?"
done
expect 3 here wait disk --timeout 1
[ "$(kept)" -gt 0 ] || fail "the relay keeps nothing"
[ "$(sealed_here)" -gt 1 ] || fail "pruned before the end had applied it"
OUT=$(here status disk)
says 'behind mid'

say "the relay is lost and made anew"
murder "$T/mid"
rm -rf "$T/mid" "$T/mid.in"
quietly here destination remove mid --group disk
relay mid "$T/mid.in"
quietly here destination add mid --group disk --url "file://$T/mid.in" \
	--pairing "$T/mid.relay"
quietly aim-manager --home "$T/mid" destination add there --group disk \
	--url "$url" ${options[@]+"${options[@]}"} --pairing "$T/disk.mirror"
start "$T/mid"
start "$THERE"
settled disk
mirrored
stop "$HERE"
stop "$T/mid"
stop "$THERE"
pass
