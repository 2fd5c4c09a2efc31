#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# S3: what the server says is believed only as far as it goes.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need /usr/bin/python3 openssl curl timeout

TOOL=$BUILD/tests/transport_tool
[ -x "$TOOL" ] || fail "transport_tool is not built in $BUILD"
FOLDER=3f0b0e5a-0000-4000-8000-000000000001
mkdir -p "$T/files" "$T/other"

# name N: a file's name.
name() { printf '00000001-%016x.aim' "$1"; }
for i in 1 2 3 4 5 6 7 8 9 10; do
	head -c $((i * 70001)) /dev/urandom >"$T/files/$(name $i)"
	head -c $((i * 70001)) /dev/urandom >"$T/other/$(name $i)"
done
echo short >"$T/other/$(name 2)"
mkdir "$T/late"
head -c 100000 /dev/urandom >"$T/late/$(name 32)"
echo tiny >"$T/late/$(name 33)"

# tool VERB URL ARGUMENT...
tool() {
	local verb=$1 url=$2
	shift 2
	"$TOOL" -o "ca=$S3_CA" -o "credentials=$S3_KEYS" "$verb" "$url" - - "$@"
}

# fresh [OPTION...]: our own server, with an empty bucket.
fresh() {
	[ -z "${S3_PID:-}" ] || kill "$S3_PID"
	LANDING=$(mktemp -d "$T/landing.XXXXXX")
	mkdir "$LANDING/incoming"
	IN=$LANDING/incoming/a/b/$FOLDER
	s3_start "$T/s3" "$LANDING" "$@" || fail "no S3 server"
	URL=$(s3_url a/b)
}

# asked PATTERN N: so many requests were answered like that.
asked() {
	local n
	n=$(grep -cE "$1" "$LANDING/log")
	[ "$n" -eq "$2" ] || fail "$n requests like '$1', not $2:
$(cat "$LANDING/log")"
}
same_there() { same "$T/files/$(name "$1")" "$IN/$(name "$1")" "file $1"; }

say "the policies that are printed are JSON"
for hub in '' --hub; do
	# shellcheck disable=SC2086 # none, or one
	aim-manager destination template s3 --bucket b/p $hub |
		python3 -m json.tool >"$T/policy" || fail "no JSON"
	grep -q 'arn:aws:s3:::b/p/' "$T/policy" || fail "$(cat "$T/policy")"
done

say "a server that keeps what it has: one request for a file"
fresh
must tool put "$URL" "$FOLDER" "$T"/files/*
for i in 1 2 3 4 5 6 7 8 9 10; do same_there $i; done
asked 'PUT .*aim-conditional.part 200' 1
asked 'PUT .*aim-conditional.part 412' 1
asked 'PUT .*\.aim 200' 10
asked 'HEAD' 0
asked 'list-type|GET' 0
must tool put "$URL" "$FOLDER" "$T"/files/*
asked 'PUT .*\.aim 412' 10
asked 'HEAD .*\.aim 200' 10
expect 4 tool put "$URL" "$FOLDER" "$T/other/$(name 1)"
says 'OTHER CONTENT .another SHA-256'
expect 4 tool put "$URL" "$FOLDER" "$T/other/$(name 2)"
says 'OTHER CONTENT .another length'
rm -r "$LANDING/.meta/incoming"
must tool put "$URL" "$FOLDER" "$T/files/$(name 1)"
expect 4 tool put "$URL" "$FOLDER" "$T/other/$(name 1)"
says 'OTHER CONTENT .another MD5'
same_there 1
same_there 2

say "an object is read to its limit; there or not, it is known"
expect 3 tool get "$URL" "$FOLDER/none"
must tool put "$URL" "$FOLDER" "$T/late/$(name 33)"
expect 0 tool get "$URL" "$FOLDER/$(name 33)"
says '^tiny$'
expect 4 tool get "$URL" "$FOLDER/$(name 1)"
says 'larger than'

say "accounts: wrong, unknown, reading only, writing only"
for who in wrong=secret nobody='does not know' reader='may not write'; do
	expect 4 tool put "$URL&profile=${who%=*}" "$FOLDER" "$T/files/$(name 3)"
	says "${who#*=}"
done
says 'conditional=yes or no'
must tool put "$URL&profile=writer" "$FOLDER" "$T/files/$(name 3)"
expect 4 tool get "$URL&profile=writer" "$FOLDER/$(name 3)"
says 'ListBucket'
expect 4 tool put "$URL&profile=none" "$FOLDER" "$T/files/$(name 3)"
says 'no section'
chmod 644 "$S3_KEYS"
expect 4 tool put "$URL" "$FOLDER" "$T/files/$(name 3)"
says 0600
chmod 600 "$S3_KEYS"
expect 4 tool put "${URL/incoming/outgoing}" "$FOLDER" "$T/files/$(name 3)"
says 'no bucket outgoing'
expect 4 tool put "$URL&region=eu-west-3" "$FOLDER" "$T/files/$(name 3)"
says 'put region=us-east-1'
expect 4 "$TOOL" -o "ca=$T/s3/pki/stranger.crt" -o "credentials=$S3_KEYS" put \
	"$URL" - - "$FOLDER" "$T/files/$(name 3)"
says "THE SERVER'S CERTIFICATE"

say "bad weather: what may pass is tried again, and nothing is said falsely"
echo 503 SlowDown >"$LANDING/weather"
expect 1 tool put "$URL" "$FOLDER" "$T/late/$(name 32)"
says SlowDown
echo 507 InsufficientStorage >"$LANDING/weather"
expect 5 tool put "$URL" "$FOLDER" "$T/late/$(name 32)"
echo 307 TemporaryRedirect >"$LANDING/weather"
expect 4 tool put "$URL" "$FOLDER" "$T/late/$(name 32)"
echo cut >"$LANDING/weather"
expect 1 tool put "$URL" "$FOLDER" "$T/late/$(name 32)"
[ ! -e "$IN/$(name 32)" ] || fail "it was put"
# It is there, but nobody said so: then it is found as ours.
echo lost >"$LANDING/weather"
expect 1 tool put "$URL&conditional=yes" "$FOLDER" "$T/late/$(name 32)"
same "$T/late/$(name 32)" "$IN/$(name 32)" "what was sent"
rm "$LANDING/weather"
must tool put "$URL" "$FOLDER" "$T/late/$(name 32)"
same "$T/late/$(name 32)" "$IN/$(name 32)" "what was sent"

# fetched: what is fetched is what was sent, with its limits and without what
# is not there; small objects are replaced and removed.
fetched() {
	local i names=()
	mkdir -p "$T/fetched"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		names+=("$FOLDER/$(name $i)")
	done
	must tool fetch "$URL" 10000000 "$T/fetched" "${names[@]}"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		same "$T/files/$(name $i)" "$T/fetched/$(name $i)" "what came, $i"
	done
	expect 3 tool fetch "$URL" 700010 "$T/fetched" "$FOLDER/$(name 99)" \
		"$FOLDER/$(name 10)"
	same "$T/files/$(name 10)" "$T/fetched/$(name 10)" "what came"
	expect 6 tool fetch "$URL" 100000 "$T/fetched" "$FOLDER/$(name 10)" \
		"$FOLDER/$(name 1)"
	says 'larger than the 100000'
	[ ! -e "$T/fetched/$(name 10)" ] || fail "it was taken"
	same "$T/files/$(name 1)" "$T/fetched/$(name 1)" "what came, 1"
	expect 3 tool has "$URL" "$FOLDER/ack/x.ack"
	for i in one two; do
		echo $i >"$T/fetched/small"
		must tool replace "$URL" "$FOLDER/ack/x.ack" "$T/fetched/small"
		expect 0 tool get "$URL" "$FOLDER/ack/x.ack"
		says "^$i\$"
	done
	must tool has "$URL" "$FOLDER/ack/x.ack"
	must tool remove "$URL" "$FOLDER/ack/x.ack"
	expect 3 tool has "$URL" "$FOLDER/ack/x.ack"
	rm -r "$T/fetched"
}

say "the bucket before the host's name"
URL=$(S3_HOST=localhost s3_url v style=virtual)
must tool put "$URL" "$FOLDER" "$T/files/$(name 3)"
same "$T/files/$(name 3)" "$LANDING/incoming/v/$FOLDER/$(name 3)" "file 3"
must tool put "$URL" "$FOLDER" "$T/files/$(name 3)"
must tool has "$URL" "$FOLDER/$(name 3)"
URL=$(s3_url a/b)

say "a bucket is fetched from"
fetched
expect 1 tool fetch "$URL&profile=wrong" 10000000 "$T" "$FOLDER/$(name 1)" \
	"$FOLDER/$(name 2)"
says 'signature is wrong'
asked 'list-type' 0

say "a session"
fresh --token tok/en+==
expect 4 tool put "$URL" "$FOLDER" "$T/files/$(name 1)"
says 'session token'
must tool put "$URL&profile=session" "$FOLDER" "$T/files/$(name 1)"
same_there 1

for how in never ignored; do
	say "a server that writes over what it has ($how): it is looked first"
	fresh --conditional $how
	must tool put "$URL" "$FOLDER" "$T/files/$(name 1)" "$T/files/$(name 2)"
	asked 'HEAD .*\.aim 404' 2
	must tool put "$URL" "$FOLDER" "$T/files/$(name 1)" "$T/files/$(name 2)"
	expect 4 tool put "$URL" "$FOLDER" "$T/other/$(name 1)"
	says 'OTHER CONTENT'
	asked 'PUT .*\.aim 200' 2
	same_there 1
	expect 4 tool put "$URL&profile=writer" "$FOLDER" "$T/other/$(name 1)"
	says 'it is looked'
	same_there 1
done
kill "$S3_PID"
S3_PID=

/usr/bin/python3 -c 'import swift' 2>/dev/null || skip "needs python3-swift"
say "OpenStack Swift: files, a duplicate, another content, bounds, absence"
swift_start "$T/swift" || fail "no Swift"
must swift_curl PUT incoming
URL=$(s3_url a/b profile=swift)
must tool put "$URL" "$FOLDER" "$T"/files/*
for i in 1 9 10; do
	must swift_curl GET "incoming/a/b/$FOLDER/$(name $i)" -o "$T/got"
	same "$T/files/$(name $i)" "$T/got" "object $i"
done
must tool put "$URL" "$FOLDER" "$T"/files/*
expect 4 tool put "$URL" "$FOLDER" "$T/other/$(name 1)"
says 'OTHER CONTENT'
must swift_curl GET "incoming/a/b/$FOLDER/$(name 1)" -o "$T/got"
same "$T/files/$(name 1)" "$T/got" "object 1"
expect 4 tool get "$URL" "$FOLDER/$(name 1)"
fetched
URL=$(S3_HOST=localhost s3_url v profile=swift style=virtual)
must tool put "$URL" "$FOLDER" "$T/files/$(name 3)"
must swift_curl GET "incoming/v/$FOLDER/$(name 3)" -o "$T/got"
same "$T/files/$(name 3)" "$T/got" "an object of the bucket's own host"
# Another signer's object, without our digest.
S3_PAYLOAD=$(sum_of "$T/files/$(name 1)")
must swift_curl PUT "incoming/c/$(name 1)" --data-binary "@$T/files/$(name 1)" \
	-H 'Content-Type: x/y'
URL=$(s3_url '' profile=swift)
must tool put "$URL" c "$T/files/$(name 1)"
expect 4 tool put "$URL" c "$T/other/$(name 1)"
says 'OTHER CONTENT .another MD5'

say "Swift: wrong secret, wrong key, no bucket, another region"
sed 's/testing/testinh/' "$S3_KEYS" >"$T/keys"
chmod 600 "$T/keys"
S3_GOOD=$S3_KEYS S3_KEYS=$T/keys
expect 4 tool put "$URL" c "$T/files/$(name 2)"
says 'secret key'
S3_KEYS=$S3_GOOD
expect 4 tool put "$(s3_url '')" c "$T/files/$(name 2)"
says 'signature is wrong'
expect 4 tool put "${URL/incoming/outgoing}" c "$T/files/$(name 2)"
says 'no bucket outgoing'
expect 4 tool put "$URL&region=eu-west-3" c "$T/files/$(name 2)"
says 'put region=us-east-1'
kill "$S3_PID"

say "Swift whose clock is wrong"
swift_start "$T/swift" --skew 2000 || fail "no Swift"
expect 4 tool put "$(s3_url '' profile=swift)" c "$T/files/$(name 2)"
says 'clocks'
echo "   $OUT"
pass
