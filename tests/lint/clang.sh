#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A second compiler builds everything without a warning.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need clang
TOP=$PWD
LOGS=$BUILD/logs
export TOP LOGS
# shellcheck source=tests/prepare.sh
. tests/prepare.sh
build_tree build-clang --enable-werror CC=clang ||
	complain "clang does not build it"
make -C build-clang -s -j "$(nproc)" check TESTS= >/dev/null ||
	complain "clang does not build the tests"
verdict
