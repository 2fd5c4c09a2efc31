# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# driver: for tests of the preload driver by itself, without coordinator: a
# group that capture_tool makes, whose transactions it redrives onto a mirror.
# Everything lies in $T, which goes when the test ends.

set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
BUILD=${AIM_BUILD:-$TOP/build}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
TOOL=$BUILD/tests/capture_tool
LIBRARY=$BUILD/libaim-preload.so
unset AIM_HOME LD_PRELOAD
umask 022

skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*"
	exit 1
}

[ -x "$TOOL" ] || fail "$TOOL is not built"
[ -e "$LIBRARY" ] || skip "the driver is not built with sanitizers"
T=$(mktemp -d "${AIM_TEST_DIR:-/var/tmp}/aim-driver.XXXXXX") || exit 1
chmod 755 "$T"
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM HUP

# group VOLUME...: a new home with one group, capturing; the mirrors
# (VOLUME.mirror) are as the volumes are now. LIMIT: of the spool.
group() {
	local volume
	HOME_NUMBER=$((${HOME_NUMBER:-0} + 1))
	AIM=$T/home$HOME_NUMBER
	mkdir -p "$AIM/active"
	MIRRORS=()
	for volume; do
		cp --sparse=always "$volume" "$volume.mirror"
		MIRRORS+=("$volume.mirror")
	done
	GROUP=$("$TOOL" create "$AIM" "${LIMIT:-0}" "$@") || fail "no group of $*"
}

# captured COMMAND...
captured() {
	env AIM_HOME="$AIM" LD_PRELOAD="$LIBRARY" "$@"
}

# replay: redrives; $TRANSACTIONS is how many there have been, $WRITES how many
# writes this time, and their bytes.
replay() {
	local said
	said=$("$TOOL" replay "$AIM" "$GROUP" "${MIRRORS[@]}") || return 1
	# shellcheck disable=SC2034 # for those who source this
	{
		WRITES=${said##*writes: }
		said=${said%%$'\n'*}
		TRANSACTIONS=${said#transactions: }
	}
}
