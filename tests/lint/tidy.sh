#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy finds nothing; .clang-tidy says what is asked and why not more.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need clang-tidy pkg-config

flags=$(compile_flags)
export flags
# shellcheck disable=SC2016 # expanded by the shells below
sources '*.c' | grep -v '^tests/' | xargs -P "$(nproc)" -I{} sh -c \
	'clang-tidy --quiet --warnings-as-errors="*" {} -- $flags 2>/dev/null ||
	{ echo "finding in {}"; exit 1; }' || complain "see above"
verdict
