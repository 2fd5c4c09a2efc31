# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lint: what the lint stages share. Run from anywhere; works in the top folder.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILD=${AIM_BUILD:-build}
bad=0

# complain TEXT...: one finding.
complain() {
	echo "$*"
	bad=$((bad + 1))
}

# The verdict; to be the last command of a stage.
verdict() {
	[ $bad -eq 0 ] && exit 0
	echo "FAIL: $bad findings"
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

# Sources under version control, or all when there is no git here.
sources() {
	local pattern
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard -- "$@"
	else
		for pattern; do
			find . -path './build*' -prune -o -name "$pattern" \
				-print | sed 's,^\./,,'
		done
	fi | sort -u | while read -r file; do
		# Not those that were removed and not yet recorded.
		[ ! -f "$file" ] || echo "$file"
	done
}

# Flags with which any source compiles.
compile_flags() {
	echo "-std=gnu11 -D_GNU_SOURCE -DAIM_PKGLIBDIR=\"/usr/lib/aim\""
	echo "-I. -I$BUILD"
	pkg-config --cflags libcurl sqlite3 libcrypto zlib libxxhash check
}
