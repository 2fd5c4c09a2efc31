#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Volumes are put together from members on SFTP, HTTPS, S3 and here.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need sshd ssh-keygen nginx openssl /usr/bin/python3

TOOL=$BUILD/tests/gather_tool
[ -x "$TOOL" ] || fail "gather_tool is not built in $BUILD"
IN=$T/landing/incoming
mkdir -p "$IN"
cd "$T" || exit 1

# An odd size, with holes, so that the last chunk is short.
SIZE=$((17 * 1048576 + 4321))
head -c $SIZE /dev/urandom >volume
dd if=/dev/zero of=volume bs=1M seek=5 count=3 conv=notrunc status=none

sshd_start "$T/sshd" "$T/landing" || fail "no SFTP server"
start_web() {
	# shellcheck disable=SC2034 # for nginx_start
	NGINX_MORE="server { listen 127.0.0.1:$WEB ssl; root $IN;
		ssl_certificate $T/nginx/pki/server.crt;
		ssl_certificate_key $T/nginx/pki/server.key;
		location /whole/ { alias $IN/; max_ranges 0; } }"
	NGINX_FIXED_PORT=${NGINX_PORT:-}
	nginx_start "$T/nginx" "$T/landing" || fail "no HTTPS server"
}
WEB=$((20000 + RANDOM % 40000))
start_web
s3_start "$T/s3" "$T/landing" || fail "no S3 server"
ln -sf s3/s3.log s3.log

SFTP=sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/incoming
HTTPS=https://127.0.0.1:$WEB
S3="s3://incoming/%s?endpoint=https://127.0.0.1:$S3_PORT"

# at NAME: the options by which that member is reached: each its own way.
at() {
	case $1 in
	a) echo "--member a=$SFTP/a --key a=$SSHD_HUB_KEY
		--known-hosts a=$SSHD_KNOWN_HOSTS" ;;
	b) echo "--member b=$HTTPS/b --ca b=$NGINX_CA" ;;
	c) # shellcheck disable=SC2059 # a pattern of ours
		echo "--member c=$(printf "$S3" c) --ca c=$S3_CA
		--credentials c=$S3_KEYS" ;;
	*) echo "--member $1=$IN/$1" ;;
	esac
}

# members LAYOUT NAME...: makes them, and $ALL, the options for them.
members() {
	local layout=$1 name files=()
	shift
	ALL=(--layout "$layout" --ack "$IN" --size "$SIZE")
	for name; do
		files+=("$IN/$name")
		must "$TOOL" word "$name" "$IN" 100 1
		must "$TOOL" pairing "$name" $SIZE >"$name.pairing"
		# shellcheck disable=SC2207 # words
		ALL+=($(at "$name") --pairing "$name=$name.pairing")
	done
	rm -f "${files[@]}"
	"$TOOL" split "$layout" volume "${files[@]}" || fail "split"
	rm -f out out.gather
}

# gathered STATUS [OPTION...]: what is told is in $OUT.
gathered() {
	local want=$1
	shift
	expect "$want" aim-manager gather --to "$T/out" --still "$@"
}
whole() {
	same volume out "what was gathered"
	[ ! -e out.gather ] || fail "the list of ranges is left"
}

say "each level from all of its members, with a comparison of the copies"
members raid0:chunk=64K a b c d
gathered 0 "${ALL[@]}" --once
whole
members raid10:chunk=1M a b c d
gathered 0 "${ALL[@]}" --once --compare
whole
says "^$SIZE bytes of other copies were compared, 0 could not"
members raid1e:chunk=128K a b c
gathered 0 "${ALL[@]}" --once --compare
whole
says "^$SIZE bytes of other copies were compared, 0 could not"

say "a member less: its copies do, where there are some"
mv "$IN/b" "$IN/b.gone"
rm out
gathered 0 "${ALL[@]}" --once --json
says '"result":"done".*"name":"b","read":false'
whole
printf x | dd of="$IN/a" bs=1 seek=140000 conv=notrunc status=none
rm out
gathered 4 "${ALL[@]}" --once --compare
says 'copies differ within'
members raid0:chunk=64K a b c d
mv "$IN/b" "$IN/b.gone"
gathered 3 "${ALL[@]}" --once
says 'not there'
says 'not complete: .* are still to be read'
gathered 4 "${ALL[@]}" --once
says 'go on with --continue'
mv "$IN/b.gone" "$IN/b"
expect 0 aim-manager gather --to "$T/out" --continue --once
whole

say "servers die and come back meanwhile; the reader is killed, and goes on"
members raid0:chunk=64K a b c d
slay "$NGINX_PID"
slay "$S3_PID"
wait "$NGINX_PID" "$S3_PID" 2>/dev/null
aim-manager gather --to "$T/out" --still "${ALL[@]}" >"$T/gather.log" 2>&1 &
reader=$!
trouble() { grep -qs 'b: .*nobody answers' gather.log; }
within 20 trouble || fail "it does not say that a server is away"
within 20 test -e out.gather || fail "no list of ranges"
slay "$reader"
# shellcheck disable=SC2086 # a list of numbers
gone $SLAIN
aim-manager gather --to "$T/out" --continue >>"$T/gather.log" 2>&1 &
reader=$!
S3_FIXED_PORT=$S3_PORT
s3_start "$T/s3" "$T/landing" || fail "no S3 server"
start_web
wait "$reader" || fail "status $? from gather"
whole

say "only those at the same moment are read; what is forged is told"
members raid1e:chunk=128K a b c
"$TOOL" word b "$IN" 99 1
gathered 0 "${ALL[@]}" --once
says 'b is left out: it is at transaction 99, behind 100'
whole
"$TOOL" word c "$IN" 100 1 moving
rm out
gathered 4 "${ALL[@]}" --once
says 'c is left out: something is being applied there'
says 'do not suffice'
[ ! -e out ] || fail "something was made"
"$TOOL" word c "$IN" 100 1
stream=$IN/05000000-0000-0000-0000-000000000000/ack
cp "$stream/$(sed -n 's/^mirror //p' c.pairing).ack" \
	"$stream/$(sed -n 's/^mirror //p' a.pairing).ack"
gathered 4 "${ALL[@]}" --once
says 'ACKNOWLEDGEMENT of a IS NOT SIGNED'
gathered 0 "${ALL[@]}" --once --force
same volume out
rm out

say "the layout text of the source; wrong servers, keys and options"
members raid1e:chunk=128K a b c
"$TOOL" members raid1e:chunk=128K:members=a,b,c $SIZE "file://$IN" >text
# shellcheck disable=SC2046 # words
gathered 0 --members text $(at a) $(at b) $(at c) --once
whole
rm out
sed 's/^chunk .*/chunk 65536/' text >false
# shellcheck disable=SC2046
gathered 4 --members false $(at a) $(at b) $(at c) --once
says 'signature does not fit'
ssh-keygen -q -t ed25519 -N '' -f stranger
echo "[127.0.0.1]:$SSHD_PORT $(cut -d' ' -f1,2 stranger.pub)" >wrong_hosts
gathered 0 "${ALL[@]}" --known-hosts a=wrong_hosts --once
says 'HOST KEY IS NOT THE ONE'
whole
rm out
gathered 0 "${ALL[@]}" --ca b="$T/nginx/pki/stranger.crt" --once
says 'CERTIFICATE IS NOT ONE TO TRUST'
whole
gathered 4 "${ALL[@]}" --once
says 'out is not empty'
gathered 0 "${ALL[@]}" --once --overwrite
whole
rm out
cp volume other
ALL=(--layout raid1 --ack "$IN" --member a="$HTTPS/whole/volume" --ca "$NGINX_CA"
	--member b="$T/other")
cp volume "$IN/volume"
for name in a b; do
	ALL+=(--pairing "$name=$name.pairing")
done
gathered 0 "${ALL[@]}" --once
says 'sends whole files only'
whole
expect 2 aim-manager gather --layout raid1
expect 2 aim-manager gather --to "$T/out" --continue --force
expect 4 aim-manager gather --to "$T/out" --continue
gathered 4 --layout raid1 --member a="$IN/a" --member b="$IN/b" --once
says 'nobody knows at what moment'
gathered 4 --layout raid1 --member a="$IN/a" --member b="$IN/a" --once
says 'at the same place'
pass
