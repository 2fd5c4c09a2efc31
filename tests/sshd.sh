# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# sshd: a private SFTP server on a free loopback port, for quickstart and the
# system tests, configured by `aim-manager destination template`. Runs as
# whoever calls; as root it lets only an account without any rights in, into a
# folder that it cannot leave.

# shellcheck disable=SC2034 # results for those who source this
# sshd_start DIR LANDING: keys, configuration and log go to DIR; LANDING is
# the folder that the source sees. Sets
#   SSHD_PID SSHD_PORT SSHD_USER     the server
#   SSHD_ROOT                        LANDING as the client names it
#   SSHD_UPLOAD_KEY SSHD_ACK_KEY     what uploads, and what only reads
#   SSHD_HUB_KEY                     what does both, removes and makes folders
#   SSHD_KNOWN_HOSTS                 with exactly our host key
sshd_start() {
	local dir=$1 landing=$2 tries=0 chroot='/ChrootDirectory/d' first='' key

	mkdir -p "$dir" && chmod 755 "$dir" || return 1
	for key in host upload ack hub; do
		[ -f "$dir/$key" ] ||
			ssh-keygen -q -t ed25519 -N '' -C "aim-$key" \
				-f "$dir/$key" || return 1
	done
	{
		aim-manager destination template authorized_keys \
			--upload-key "$dir/upload.pub" \
			--ack-key "$dir/ack.pub" || return 1
		echo "restrict,command=\"internal-sftp\" $(cat "$dir/hub.pub")"
	} >"$dir/authorized_keys"
	chmod 644 "$dir/authorized_keys"
	SSHD_UPLOAD_KEY=$dir/upload SSHD_ACK_KEY=$dir/ack
	SSHD_HUB_KEY=$dir/hub
	SSHD_KNOWN_HOSTS=$dir/known_hosts
	SSHD_USER=$(id -un) SSHD_ROOT=$landing
	if [ "$(id -u)" -eq 0 ]; then
		mkdir -p /run/sshd && chmod 755 /run/sshd
		SSHD_USER=nobody
		if path_is_roots "$landing"; then
			chroot=
			SSHD_ROOT=
		fi
	fi
	while [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		SSHD_PORT=${SSHD_FIXED_PORT:-$((20000 + RANDOM % 40000))}
		! (exec 3<>"/dev/tcp/127.0.0.1/$SSHD_PORT") 2>/dev/null ||
			continue
		{
			cat <<END
ListenAddress 127.0.0.1
Port $SSHD_PORT
HostKey $dir/host
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers $SSHD_USER
MaxStartups 100
LogLevel INFO
Subsystem sftp internal-sftp
END
			aim-manager destination template sshd \
				--folder "$landing" --user "$SSHD_USER" \
				--keys "$dir/authorized_keys" | sed "$chroot"
		} >"$dir/sshd_config"
		# It starts itself anew by its full name.
		"$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)" -D -e \
			-f "$dir/sshd_config" >>"$dir/sshd.log" 2>&1 &
		SSHD_PID=$!
		first=1
		while [ $first -lt 100 ]; do
			kill -0 "$SSHD_PID" 2>/dev/null || break
			if (exec 3<>"/dev/tcp/127.0.0.1/$SSHD_PORT") \
				2>/dev/null; then
				echo "[127.0.0.1]:$SSHD_PORT" \
					"$(cut -d' ' -f1,2 "$dir/host.pub")" \
					>"$SSHD_KNOWN_HOSTS"
				return 0
			fi
			sleep 0.05
			first=$((first + 1))
		done
		kill "$SSHD_PID" 2>/dev/null
		wait "$SSHD_PID" 2>/dev/null
	done
	echo "sshd does not start:" >&2
	tail -n 5 "$dir/sshd.log" >&2
	return 1
}

# May it be a ChrootDirectory: root's from top to bottom, nobody else writes?
path_is_roots() {
	local path=$1 owner mode
	while :; do
		read -r owner mode < <(stat -c '%u %a' "$path") || return 1
		[ "$owner" -eq 0 ] && [ $((0$mode & 022)) -eq 0 ] || return 1
		[ "$path" != / ] || return 0
		path=$(dirname "$path")
	done
}

# sshd_may_write DIR...: lets the upload account create files in DIR, and
# read what is in DIR/ack; nothing to do when it is ourselves.
sshd_may_write() {
	local dir
	[ "$(id -u)" -eq 0 ] || return 0
	for dir; do
		chown "$SSHD_USER" "$dir" && chmod 755 "$dir" "$dir/ack" ||
			return 1
	done
}
