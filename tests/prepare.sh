# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# prepare: what quickstart and runtests share: the Debian packages that are
# needed, and the build. Sourced with TOP set to the top of the source tree.

# Packages by purpose; docs/dependencies.md says what each is for.
# shellcheck disable=SC2034 # used by those who source this
{
PACKAGES_BUILD="gcc libc6-dev make autoconf automake pkg-config
	libcurl4-openssl-dev libsqlite3-dev zlib1g-dev libzstd-dev
	libxxhash-dev
	libssl-dev check nbdkit-plugin-dev"
PACKAGES_RUN="openssh-server openssh-client openssh-sftp-server sqlite3 fdisk
	e2fsprogs mount util-linux"
PACKAGES_TEST="strace python3 perl-base procps rsync mandoc shellcheck
	cppcheck clang clang-tidy clang-format libclang-rt-14-dev
	git xfsprogs btrfs-progs qemu-utils fio gdisk dosfstools xxd bzip2
	xz-utils zstd file binutils bsdextrautils
	cpio curl dmsetup ed jq openssl parted patch age golang-petname
	nbdkit libnbd-bin python3-libnbd fuse3 postgresql-15
	qemu-system-x86 busybox-static nginx-light python3-swift
	nftables iproute2"
}

packages_missing() {
	local p
	for p; do
		# "ii ", also "ii" with an architecture: installed and whole.
		case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>&1) in
		ii*) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

# packages_need PACKAGE...: installs what is missing, or says how to.
packages_need() {
	local missing sudo='' policy=/usr/sbin/policy-rc.d made=''

	command -v dpkg-query >/dev/null 2>&1 || {
		echo "no dpkg here; install what docs/dependencies.md lists" >&2
		return 0
	}
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
			sudo=sudo
		else
			echo "These packages are missing. Install them, then" \
				"start again:" >&2
			echo "  sudo apt-get install -y $missing" >&2
			return 1
		fi
	fi
	echo "installing: $missing"
	# No service is to be started by the installation.
	if [ ! -e $policy ] && [ ! -d /run/systemd/system ]; then
		printf '#!/bin/sh\nexit 101\n' |
			$sudo tee $policy >/dev/null && made=1
		$sudo chmod 755 $policy
	fi
	local rc=0
	# shellcheck disable=SC2086 # a list of words
	{
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
			$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q \
				install -y --no-install-recommends $missing
	} >"$LOGS/packages.log" 2>&1 </dev/null || rc=1
	[ -z "$made" ] || $sudo rm -f $policy
	if [ $rc -ne 0 ]; then
		tail -n 20 "$LOGS/packages.log" >&2
		echo "apt-get failed; all of it: $LOGS/packages.log" >&2
	fi
	return $rc
}

# What a bare chroot lacks before sshd starts as root.
sshd_prepare() {
	[ "$(id -u)" -eq 0 ] || return 0
	mkdir -p /run/sshd && chmod 755 /run/sshd || return 1
	getent passwd sshd >/dev/null ||
		useradd --system --no-create-home --home-dir /run/sshd \
			--shell /usr/sbin/nologin sshd
}

# A bare chroot has no name for the machine, by which a copied home is known.
# MACHINE_ID_MADE is set when we made it.
machine_prepare() {
	MACHINE_ID_MADE=
	[ "$(id -u)" -eq 0 ] && [ ! -e /etc/machine-id ] || return 0
	tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id &&
		MACHINE_ID_MADE=1
}

# build_tree DIR [CONFIGURE-ARGUMENT...]: configures (once for each set of
# arguments) and makes all in $TOP/DIR.
build_tree() {
	local dir=$1 args
	shift
	args="$*"
	if [ ! -x "$TOP/configure" ] ||
		[ "$TOP/configure.ac" -nt "$TOP/configure" ]; then
		(cd "$TOP" && autoreconf -fi) || return 1
	fi
	mkdir -p "$TOP/$dir" || return 1
	if [ ! -f "$TOP/$dir/Makefile" ] ||
		[ "$(cat "$TOP/$dir/.configured" 2>/dev/null)" != "$args" ]; then
		(cd "$TOP/$dir" && ../configure -q "$@") || return 1
		echo "$args" >"$TOP/$dir/.configured"
	fi
	make -C "$TOP/$dir" -s -j "$(nproc)" || return 1
}
