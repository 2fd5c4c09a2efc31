# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# s3: private S3 servers on free loopback ports, over TLS: one of our own,
# whose objects are plain files and whose weather can be made, and OpenStack
# Swift. Both verify every signature. Needs pki_make of nginx.sh.

# shellcheck disable=SC2034 # results for those who source this

# s3_up PORT-FILE PROGRAM ARGUMENT...: starts one in the background; sets S3_PID
# S3_PORT.
s3_up() {
	local file=$1 tries=0
	shift
	rm -f "$file"
	/usr/bin/python3 "$@" >>"$S3_DIR/s3.log" 2>&1 &
	S3_PID=$!
	while [ ! -s "$file" ]; do
		tries=$((tries + 1))
		if ! kill -0 "$S3_PID" 2>/dev/null || [ $tries -gt 600 ]; then
			echo "the S3 server does not start:" >&2
			tail -n 5 "$S3_DIR/s3.log" >&2
			return 1
		fi
		sleep 0.05
	done
	S3_PORT=$(cat "$file")
}

# s3_certificate PKI: prints one for 127.0.0.1 and the bucket's own name.
s3_certificate() {
	local name='subjectAltName=IP:127.0.0.1,DNS:incoming.localhost'
	openssl req -new -key "$1/server.key" -subj /CN=s3 -addext "$name" \
		-out "$1/s3.csr" &&
		openssl x509 -req -in "$1/s3.csr" -days 30 -CA "$1/ca.crt" \
			-CAkey "$1/ca.key" -CAcreateserial \
			-copy_extensions copy 2>>"$1/openssl.log" &&
		cat "$1/server.key"
}

# s3_prepare DIR: certificates and keys.
s3_prepare() {
	local who
	S3_DIR=$1
	mkdir -p "$S3_DIR" && pki_make "$S3_DIR/pki" || return 1
	S3_CA=$S3_DIR/pki/ca.crt S3_KEYS=$S3_DIR/keys
	[ -f "$S3_DIR/server.pem" ] || s3_certificate "$S3_DIR/pki" \
		>"$S3_DIR/server.pem" || return 1
	[ -f "$S3_KEYS" ] || (
		umask 077
		for who in default=AKIAAIM reader=AKIAREAD writer=AKIAWRITE \
			nobody=AKIANONE; do
			printf '[%s]\naws_access_key_id = %s\n' \
				"${who%=*}" "${who#*=}"
			printf 'aws_secret_access_key = SECRET/key+\n'
		done
		printf '[wrong]\naws_access_key_id = AKIAAIM\n'
		printf 'aws_secret_access_key = SECRET/kez+\n'
		printf '[session]\naws_access_key_id = AKIAAIM\n'
		printf 'aws_secret_access_key = SECRET/key+\n'
		printf 'aws_session_token = tok/en+==\n'
		printf '[swift]\naws_access_key_id = test:tester\n'
		printf 'aws_secret_access_key = testing\n'
	) >"$S3_KEYS"
	chmod 600 "$S3_KEYS"
}

# s3_start DIR LANDING [OPTION...]: ours; LANDING/BUCKET/KEY are its objects.
s3_start() {
	local landing=$2
	s3_prepare "$1" || return 1
	shift 2
	s3_up "$S3_DIR/port" "$TOP/tests/sys/s3_server.py" \
		--port-file "$S3_DIR/port" --dir "$landing" \
		--cert "$S3_DIR/server.pem" --port "${S3_FIXED_PORT:-0}" "$@"
}

# swift_start DIR [OPTION...]: Swift, with the bucket "incoming".
swift_start() {
	s3_prepare "$1" || return 1
	shift
	s3_up "$S3_DIR/swift/port" "$TOP/tests/sys/swift_server.py" \
		"$S3_DIR/swift" --cert "$S3_DIR/server.pem" \
		--port "${S3_FIXED_PORT:-0}" "$@"
}

# swift_curl METHOD PATH [OPTION...]: asks Swift with another signer than ours.
swift_curl() {
	local method=$1 path=$2
	shift 2
	curl -sS --fail-with-body --http1.1 --cacert "$S3_CA" \
		--aws-sigv4 aws:amz:us-east-1:s3 -X "$method" \
		-H "x-amz-content-sha256: ${S3_PAYLOAD:-$S3_NOTHING}" "$@" \
		"https://test%3Atester:testing@127.0.0.1:$S3_PORT/$path"
}
S3_NOTHING=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# s3_url PREFIX [OPTION...]: of the bucket "incoming".
s3_url() {
	local url="s3://incoming/$1?endpoint=https://${S3_HOST:-127.0.0.1}"
	url=$url:$S3_PORT
	shift
	while [ $# -gt 0 ]; do
		url="$url&$1"
		shift
	done
	echo "$url"
}
