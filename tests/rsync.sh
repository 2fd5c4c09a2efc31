# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# rsync: a private rsync daemon, and an SSH server for rsync, on free loopback
# ports, for the system tests, configured by `aim-manager destination template
# rsyncd` and `rsync_keys`. They run as whoever calls; as root an account
# without rights does the work.

# shellcheck disable=SC2034 # results for those who source this

# listens PID PORT: waits for it; 1 when it ended instead.
listens() {
	local tries=0
	while [ $tries -lt 100 ]; do
		kill -0 "$1" 2>/dev/null || return 1
		(exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null && return 0
		sleep 0.05
		tries=$((tries + 1))
	done
	return 1
}

# free_port: one of our own choice that nobody listens on.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 40000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# rsyncd_start DIR LANDING [TEMPLATE-OPTION...]: configuration and log go to
# DIR; LANDING is the folder that has incoming/ in it. Sets RSYNCD_PID
# RSYNCD_PORT RSYNCD_PASSWORD (a file); the account is "uploader".
rsyncd_start() {
	local dir=$1 landing=$2 tries=0 fit='/^[ug]id =/d; s/^use chroot = yes/use chroot = no/'
	shift 2

	mkdir -p "$dir" && chmod 755 "$dir" || return 1
	(umask 077 && echo 'uploader:se cret:1' >"$dir/secrets" &&
		echo 'se cret:1' >"$dir/password") || return 1
	RSYNCD_PASSWORD=$dir/password
	[ "$(id -u)" -ne 0 ] || fit=
	aim-manager destination template rsyncd --folder "$landing" \
		--user nobody --secrets "$dir/secrets" "$@" |
		sed "$fit" >"$dir/rsyncd.conf" || return 1
	while [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		RSYNCD_PORT=${RSYNCD_FIXED_PORT:-$(free_port)}
		rsync --daemon --no-detach --address=127.0.0.1 \
			--port="$RSYNCD_PORT" --config="$dir/rsyncd.conf" \
			--log-file="$dir/rsyncd.log" >>"$dir/rsyncd.out" 2>&1 &
		RSYNCD_PID=$!
		! listens "$RSYNCD_PID" "$RSYNCD_PORT" || return 0
		kill "$RSYNCD_PID" 2>/dev/null
		wait "$RSYNCD_PID" 2>/dev/null
	done
	echo "rsync --daemon does not start:" >&2
	tail -n 5 "$dir/rsyncd.out" "$dir/rsyncd.log" >&2
	return 1
}

# rsync_sshd_start DIR LANDING: as sshd_start, and sets RSYNC_SSHD_PID
# RSYNC_SSHD_PORT RSYNC_USER RSYNC_UPLOAD_KEY RSYNC_ACK_KEY RSYNC_HUB_KEY
# RSYNC_KNOWN_HOSTS. DIR is LANDING/incoming for whoever comes in. Its own home,
# because a shell that sshd starts may read what lies in the account's.
rsync_sshd_start() {
	local dir=$1 landing=$2 tries=0 key as=

	mkdir -p "$dir" && chmod 755 "$dir" || return 1
	for key in host upload ack hub; do
		[ -f "$dir/$key" ] ||
			ssh-keygen -q -t ed25519 -N '' -C "aim-$key" \
				-f "$dir/$key" || return 1
	done
	RSYNC_UPLOAD_KEY=$dir/upload RSYNC_ACK_KEY=$dir/ack
	RSYNC_HUB_KEY=$dir/hub RSYNC_KNOWN_HOSTS=$dir/known_hosts
	RSYNC_USER=$(id -un)
	# An account that may log in is not made for a test: root gives its
	# rights up instead.
	[ "$(id -u)" -ne 0 ] ||
		as="setpriv --reuid=65534 --regid=65534 --clear-groups "
	{
		aim-manager destination template rsync_keys \
			--folder "$landing" --upload-key "$dir/upload.pub" \
			--ack-key "$dir/ack.pub" || return 1
		echo "restrict,command=\"rrsync -no-lock $landing/incoming\"" \
			"$(cat "$dir/hub.pub")"
	} | sed "s|command=\"|&$as|" >"$dir/authorized_keys"
	chmod 644 "$dir/authorized_keys"
	[ "$(id -u)" -ne 0 ] || { mkdir -p /run/sshd && chmod 755 /run/sshd; }
	while [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		RSYNC_SSHD_PORT=${RSYNCD_FIXED_PORT:-$(free_port)}
		cat >"$dir/sshd_config" <<END
ListenAddress 127.0.0.1
Port $RSYNC_SSHD_PORT
HostKey $dir/host
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin forced-commands-only
AllowUsers $RSYNC_USER
AuthorizedKeysFile $dir/authorized_keys
SetEnv HOME=$dir
MaxStartups 100
LogLevel INFO
END
		"$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)" -D -e \
			-f "$dir/sshd_config" >>"$dir/sshd.log" 2>&1 &
		RSYNC_SSHD_PID=$!
		if listens "$RSYNC_SSHD_PID" "$RSYNC_SSHD_PORT"; then
			echo "[127.0.0.1]:$RSYNC_SSHD_PORT" \
				"$(cut -d' ' -f1,2 "$dir/host.pub")" \
				>"$RSYNC_KNOWN_HOSTS"
			return 0
		fi
		kill "$RSYNC_SSHD_PID" 2>/dev/null
		wait "$RSYNC_SSHD_PID" 2>/dev/null
	done
	echo "sshd does not start:" >&2
	tail -n 5 "$dir/sshd.log" >&2
	return 1
}

# rsync_may_write DIR...: as sshd_may_write.
rsync_may_write() {
	local dir
	[ "$(id -u)" -eq 0 ] || return 0
	for dir; do
		chown nobody "$dir" && chmod 755 "$dir" "$dir/ack" || return 1
	done
}
