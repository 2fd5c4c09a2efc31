#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two mirrors fetch from one S3 bucket (OpenStack Swift) that the source fills.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need /usr/bin/python3 openssl curl
/usr/bin/python3 -c 'import swift' 2>/dev/null || skip "needs python3-swift"

WRITER=$TOP/tests/sys/writer.py
AFAR=$T/afar
afar() { aim-manager --home "$AFAR" "$@"; }

swift_start "$T/swift" || fail "no Swift"
must swift_curl PUT incoming
URL=$(s3_url hub profile=swift)
HOW=(--ca "$S3_CA" --credentials "$S3_KEYS")

# meet SITE PATH: a mirror at SITE (there or afar) on PATH, through the bucket.
meet() {
	here group export disk >"$T/disk.pairing" 2>/dev/null ||
		fail "group export"
	quietly "$1" mirror add disk --pairing "$T/disk.pairing" \
		--pull "$URL" --create --onto "disk=$2" "${HOW[@]}"
	"$1" mirror export disk >"$T/disk.$1" 2>/dev/null ||
		fail "mirror export"
	quietly here destination add "$1" --group disk --url "$URL" --hub \
		--pairing "$T/disk.$1" "${HOW[@]}"
}
alike() {
	mirrored
	same "$T/disk.img" "$T/disk.far" "the mirror afar"
}

sites
quietly afar init --site afar
volume disk 16M
meet there "$T/disk.mir"
meet afar "$T/disk.far"
both
start "$AFAR"

say "two mirrors meet the source in a bucket"
here base disk --wait --timeout 120 || fail "base: status $?"
must captured disk python3 "$WRITER" --count 1000 "$T/disk.img"
settled disk 120
alike
in_bucket() { swift_curl GET 'incoming' | grep -o 'hub/[^<]*\.aim' | wc -l; }
is_clear() { [ "$(in_bucket)" -eq 0 ]; }
within 60 is_clear || fail "$(in_bucket) files are left in the bucket"

say "the server dies and comes back; one mirror is away meanwhile"
kill -9 "$S3_PID"
wait "$S3_PID" 2>/dev/null
stop "$AFAR"
must captured disk python3 "$WRITER" --count 300 --seed 2 "$T/disk.img"
S3_FIXED_PORT=$S3_PORT
swift_start "$T/swift" || fail "no Swift"
must here wait disk --destination there --timeout 120
start "$AFAR"
settled disk 120
alike
within 60 is_clear || fail "$(in_bucket) files are left in the bucket"
stop "$HERE"
stop "$THERE"
stop "$AFAR"
pass
