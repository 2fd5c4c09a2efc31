#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tarball has all that is tracked, and builds from read-only sources.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need git tar gzip

git rev-parse --is-inside-work-tree >/dev/null 2>&1 || skip "needs git's list"
# Tests are run elsewhere; here they are only built.
rm -rf "$BUILD"/aim-*
make -C "$BUILD" -s -j "$(nproc)" distcheck AM_MAKEFLAGS=TESTS= >"$BUILD/logs/dist.log" \
	2>&1 || {
	tail -n 20 "$BUILD/logs/dist.log"
	complain "make distcheck fails"
}
tarball=$(find "$BUILD" -maxdepth 1 -name 'aim-*.tar.gz' | head -n 1)
if [ -z "$tarball" ]; then
	complain "there is no tarball"
	verdict
fi
missing=$(comm -13 \
	<(tar -tzf "$tarball" | sed 's,^[^/]*/,,' | grep -v '/$' | sort -u) \
	<(git ls-files | sort -u))
[ -z "$missing" ] || complain "not in the tarball:" "$missing"
rm -f "$tarball"
verdict
