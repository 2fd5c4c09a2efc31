#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh SECONDS [BUILD]: builds the fuzz targets with the address and
# undefined-behaviour sanitizers in a build folder of their own, and runs each
# for that long.
set -eu
seconds=${1:?usage: run.sh SECONDS [BUILD]}
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${2:-$top/build-fuzz}
[ -x "$top/configure" ] || (cd "$top" && autoreconf -fi)
mkdir -p "$build"
cd "$build"
[ -f Makefile ] || "$top/configure" -q --enable-fuzz --enable-sanitizers CC=clang
make -j2 -s fuzz-targets
for target in tests/fuzz/fuzz_*; do
	if [ ! -x "$target" ] || [ -d "$target" ]; then
		continue
	fi
	echo "-- ${target##*/}"
	bash "$top/tests/fuzz/run" "$target" "$seconds"
done
