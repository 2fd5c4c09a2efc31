#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gcc -fanalyzer finds nothing in the libraries and programs.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need gcc pkg-config

# Off: leak and initialisation checks, which do not know
# __attribute__((cleanup)), and the one for NULL, which does not know that an
# out-parameter is set when a function of another file has returned 0.
# __clang_analyzer__: common/err.h then tells what its functions return.
flags="$(compile_flags) -O1 -D__clang_analyzer__ -fanalyzer
	-Wno-analyzer-malloc-leak -Wno-analyzer-file-leak
	-Wno-analyzer-fd-leak -Wno-analyzer-use-of-uninitialized-value
	-Wno-analyzer-null-dereference -Werror"
export flags
# shellcheck disable=SC2016 # expanded by the shells below
sources '*.c' | grep -v '^tests/' | xargs -P "$(nproc)" -I{} sh -c \
	'gcc $flags -c {} -o /dev/null ||
	{ echo "finding in {}"; exit 1; }' || complain "see above"
verdict
