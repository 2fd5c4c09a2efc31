#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A group reaches its mirror through an S3 bucket, and the news come back.
#
# The bucket is a gateway's: its objects are files of the mirror's --incoming
# folder. Every request's signature is verified there.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need /usr/bin/python3 openssl sqlite3

sites
volume disk 32M
volume db 1M disk
quietly here group export disk
here group export disk >"$T/disk.pairing" 2>"$T/disk.print" ||
	fail "group export"
mapfile -t options < <(onto disk)
quietly there mirror add disk --pairing "$T/disk.pairing" \
	--incoming "$T/landing/incoming" --create "${options[@]}"
there mirror export disk >"$T/disk.mirror" 2>"$T/mirror.print" ||
	fail "mirror export: $(cat "$T/mirror.print")"

s3_start "$T/s3" "$T/landing" || fail "no S3 server"
URL=$(s3_url '')
add() {
	here destination add there --group disk --pairing "$T/disk.mirror" \
		--ca "$S3_CA" "$@"
}
say "what cannot work is refused at once"
expect 4 add --url "$URL"
says 'needs --credentials FILE'
expect 4 add --url "$URL&regoin=x" --credentials "$S3_KEYS"
says 'regoin'
expect 4 add --url "s3://incoming?endpoint=http://example.net" \
	--credentials "$S3_KEYS"
says 'not encrypted'
quietly add --url "$URL&profile=writer" --credentials "$S3_KEYS" \
	--ack-url "$URL&profile=reader"
both
here base disk --wait || fail "base: status $?"
mirrored

say "writers, while one account may only write and one only read"
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 1 --count 1500 \
	"$T/disk.img" >"$T/w1.log"
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 2 --count 500 \
	--max 3000 --resize "$T/db.img" >"$T/w2.log"
settled disk 120
mirrored

say "the server dies and comes back; nothing is lost"
kill -9 "$S3_PID"
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 3 --count 300 \
	"$T/disk.img" >"$T/w3.log"
expect 3 here wait disk --timeout 2
S3_FIXED_PORT=$S3_PORT
s3_start "$T/s3" "$T/landing" || fail "no S3 server"
settled disk 120
mirrored

say "keys that have ended are said so, and new ones count at once"
sed 's/SECRET/GUESS/' "$S3_KEYS" >"$S3_KEYS.bad"
chmod 600 "$S3_KEYS.bad"
cp "$S3_KEYS" "$S3_KEYS.good"
mv "$S3_KEYS.bad" "$S3_KEYS"
must captured disk python3 "$TOP/tests/sys/writer.py" --seed 4 --count 100 \
	"$T/disk.img" >"$T/w4.log"
told() { here status | grep -q 'signature is wrong'; }
within 60 told || fail "status does not say so: $(here status)"
mv "$S3_KEYS.good" "$S3_KEYS"
settled disk 120
mirrored
! grep -q 'list-type' "$T/landing/log" || fail "the bucket was listed"
stop "$HERE"
stop "$THERE"
pass
