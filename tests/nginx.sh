# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx: a private HTTPS server on a free loopback port, for the system tests,
# configured by `aim-manager destination template nginx`. Runs as whoever
# calls; as root it lets an account without rights serve.

# shellcheck disable=SC2034 # results for those who source this

# pki_make DIR: an authority, a certificate for 127.0.0.1, one for a client,
# and the same three of a stranger; once.
pki_make() {
	local dir=$1 who key="ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
	local signer

	[ ! -f "$dir/ca.crt" ] || return 0
	mkdir -p "$dir" && chmod 755 "$dir" || return 1
	for who in ca stranger; do
		# shellcheck disable=SC2086 # a list of options
		openssl req -x509 -newkey $key -days 30 -subj "/CN=aim $who" \
			-keyout "$dir/$who.key" -out "$dir/$who.crt" || return 1
	done >>"$dir/openssl.log" 2>&1
	for who in server client impostor; do
		signer=ca
		[ $who != impostor ] || signer=stranger
		# shellcheck disable=SC2086
		openssl req -newkey $key -subj "/CN=$who" \
			-addext 'subjectAltName=IP:127.0.0.1' \
			-keyout "$dir/$who.key" -out "$dir/$who.csr" &&
			openssl x509 -req -in "$dir/$who.csr" -days 30 \
				-CA "$dir/$signer.crt" -CAkey "$dir/$signer.key" \
				-CAcreateserial -copy_extensions copy \
				-out "$dir/$who.crt" || return 1
	done >>"$dir/openssl.log" 2>&1
	(umask 077 && cat "$dir/client.key" "$dir/client.crt" >"$dir/client.pem")
	(umask 077 && cat "$dir/impostor.key" "$dir/impostor.crt" \
		>"$dir/stranger.pem")
}

# nginx_start DIR LANDING [TEMPLATE-OPTION...]: configuration and log go to
# DIR, certificates to DIR/pki; LANDING is the folder that the source sees.
# Sets NGINX_PID NGINX_PORT NGINX_USER NGINX_CA NGINX_CREDENTIALS NGINX_KEY.
nginx_start() {
	local dir=$1 landing=$2 tries=0 first user='' kind
	shift 2

	mkdir -p "$dir" && chmod 755 "$dir" && pki_make "$dir/pki" || return 1
	NGINX_CA=$dir/pki/ca.crt NGINX_KEY=$dir/pki/client.pem
	NGINX_CREDENTIALS=$dir/credentials
	NGINX_USER=$(id -un)
	if [ "$(id -u)" -eq 0 ]; then
		NGINX_USER=nobody
		user='user nobody nogroup;'
	fi
	[ -f "$NGINX_CREDENTIALS" ] || {
		(umask 077 && echo "uploader:se cret:1" >"$NGINX_CREDENTIALS")
		printf 'uploader:%s\n' "$(openssl passwd -6 'se cret:1')" \
			>"$dir/passwords"
		chmod 644 "$dir/passwords"
	}
	[ $# -gt 0 ] || set -- --passwords "$dir/passwords"
	while [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		NGINX_PORT=${NGINX_FIXED_PORT:-$((20000 + RANDOM % 40000))}
		! (exec 3<>"/dev/tcp/127.0.0.1/$NGINX_PORT") 2>/dev/null ||
			continue
		aim-manager destination template nginx --folder "$landing" \
			--listen "127.0.0.1:$NGINX_PORT" \
			--certificate "${NGINX_CERT:-$dir/pki/server.crt}" \
			--certificate-key "${NGINX_CERT_KEY:-$dir/pki/server.key}" \
			"$@" >"$dir/aim.conf" || return 1
		{
			echo "daemon off; pid $dir/nginx.pid; $user"
			echo "worker_processes 1;"
			echo "events { worker_connections 256; }"
			echo "http {"
			echo "log_format how '\$server_protocol \$request_method \$status';"
			echo "access_log $dir/access.log how;"
			for kind in proxy fastcgi uwsgi scgi; do
				echo "${kind}_temp_path $dir/tmp_$kind;"
			done
			echo "include $dir/aim.conf; ${NGINX_MORE:-}"
			echo "}"
		} >"$dir/nginx.conf"
		nginx -e "$dir/nginx.log" -p "$dir" -c "$dir/nginx.conf" \
			>>"$dir/nginx.out" 2>&1 &
		NGINX_PID=$!
		first=1
		while [ $first -lt 100 ]; do
			kill -0 "$NGINX_PID" 2>/dev/null || break
			(exec 3<>"/dev/tcp/127.0.0.1/$NGINX_PORT") \
				2>/dev/null && return 0
			sleep 0.05
			first=$((first + 1))
		done
		kill "$NGINX_PID" 2>/dev/null
		wait "$NGINX_PID" 2>/dev/null
	done
	echo "nginx does not start:" >&2
	tail -n 5 "$dir/nginx.out" "$dir/nginx.log" >&2
	return 1
}

# nginx_may_write DIR...: as sshd_may_write.
nginx_may_write() {
	local dir
	[ "$(id -u)" -eq 0 ] || return 0
	for dir; do
		chown "$NGINX_USER" "$dir" && chmod 755 "$dir" "$dir/ack" ||
			return 1
	done
}
