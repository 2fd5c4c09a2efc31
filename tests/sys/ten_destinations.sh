#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ten destinations by four transports, three of them dead in three ways.
#
# One refuses connections, one accepts them and says nothing more, one folder
# has gone. Neither the writers nor the seven others notice; when the three are
# back they get what gathered, each at its own speed.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need sshd nginx openssl python3

ALIVE="file1 file2 file3 sftp1 sftp2 https1 s3a"
DEAD="silent refusing vanished"
site() { aim-manager --home "$T/at.$1" "${@:2}"; }

quietly here init --site here
volume disk 16M
here group export disk >"$T/pairing" 2>/dev/null || fail "group export"
for name in $ALIVE $DEAD; do
	mkdir -p "$T/$name/incoming"
	quietly site "$name" init --site "$name"
	quietly site "$name" mirror add disk --pairing "$T/pairing" --create \
		--incoming "$T/$name/incoming" --onto "disk=$T/disk.$name"
	site "$name" mirror export disk >"$T/$name.mirror" 2>/dev/null ||
		fail "mirror export at $name"
done
add() {
	quietly here destination add "$1" --group disk \
		--pairing "$T/$1.mirror" "${@:2}"
}
# over_sftp NAME: a server of its own; its number is in PID_<NAME>.
over_sftp() {
	sshd_start "$T/$1.sshd" "$T/$1" || fail "no SFTP server"
	sshd_may_write "$T/$1/incoming"/*/ || fail "rights at $1"
	printf -v "PID_$1" %s "$SSHD_PID"
	add "$1" --key "$SSHD_UPLOAD_KEY" --ack-key "$SSHD_ACK_KEY" \
		--known-hosts "$SSHD_KNOWN_HOSTS" --url \
		"sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/incoming"
}
for name in file1 file2 file3 vanished; do
	add $name --url "file://$T/$name/incoming"
done
for name in sftp1 sftp2 refusing; do
	over_sftp $name
done
REFUSING=$SSHD_PORT
nginx_start "$T/nginx" "$T/https1" || fail "no HTTPS server"
nginx_may_write "$T"/https1/incoming/*/ || fail "rights"
add https1 --url "https://127.0.0.1:$NGINX_PORT/incoming" --ca "$NGINX_CA" \
	--credentials "$NGINX_CREDENTIALS"
for name in s3a silent; do
	s3_start "$T/$name.s3" "$T/$name" || fail "no S3 server"
	add $name --url "$(s3_url '')" --ca "$S3_CA" --credentials "$S3_KEYS"
done
SILENT=$S3_PID

# What the mirrors' sites do, one after the other, until COMMAND succeeds.
meanwhile() {
	local end=$((SECONDS + $1)) name
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		for name in $ALIVE $DEAD; do
			[ -d "$T/$name" ] || continue
			once "$T/at.$name"
		done
	done
}
# have NAME...: all that is captured is applied at these.
have() {
	here status --json >"$T/status.json" || fail "status: $?"
	python3 - "$T/status.json" "$@" <<'END'
import json, sys
g = json.load(open(sys.argv[1]))["groups"][0]
at = {d["name"]: d["applied"] for d in g["destinations"]}
sys.exit(any(at[n] < g["captured"] for n in sys.argv[2:]))
END
}
writes() {
	must captured disk python3 "$TOP/tests/sys/writer.py" --seed "$1" \
		--count "$2" "$T/disk.img" >"$T/writer.log"
}
alike() {
	local name
	for name; do
		same "$T/disk.img" "$T/disk.$name" "the mirror $name"
	done
}

say "all ten get the base and what is written"
start "$HERE"
quietly here base disk
based() { is here disk 'g["captured"] > 0' true; }
within 30 based || fail "no base begins"
writes 1 100
# shellcheck disable=SC2086 # a list of names
meanwhile 120 have $ALIVE $DEAD || fail "they do not get there"
# shellcheck disable=SC2086
alike $ALIVE $DEAD

say "three die; the others get all of it"
kill -STOP "$SILENT"
# shellcheck disable=SC2046,SC2154 # a list of numbers; set by over_sftp
{
	kill -9 $(family "$PID_refusing")
	wait "$PID_refusing"
} 2>/dev/null
mv "$T/vanished" "$T/vanished.away"
for round in 2 3; do
	writes $round 400
	# shellcheck disable=SC2086
	meanwhile 120 have $ALIVE || fail "the living are held up"
	# shellcheck disable=SC2086
	alike $ALIVE
done
for name in $DEAD; do
	! have "$name" || fail "$name is not dead"
done
here status >"$T/status.txt" || fail "status: $?"
for name in $DEAD; do
	grep -q "$name" "$T/status.txt" || fail "status does not name $name"
done

say "the three come back"
kill -CONT "$SILENT"
mv "$T/vanished.away" "$T/vanished"
SSHD_FIXED_PORT=$REFUSING
sshd_start "$T/refusing.sshd" "$T/refusing" || fail "no SFTP server"
# shellcheck disable=SC2086
meanwhile 180 have $ALIVE $DEAD || fail "the dead do not catch up"
# shellcheck disable=SC2086
alike $ALIVE $DEAD
few() { [ "$(find "$HERE/sealed" -name '[0-9]*.aim' | wc -l)" -le 1 ]; }
within 30 few || fail "not pruned when all had it"
stop "$HERE"
pass
